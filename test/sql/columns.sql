--
-- columns of every type: how values become numbers or categories, and what is
-- refused
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- what a model says of its features
CREATE FUNCTION pg_temp.features(kseg_model)
RETURNS TABLE (feature text, kind text, min float8, max float8,
			   categories jsonb, counts jsonb)
LANGUAGE sql AS $$
	SELECT f ->> 'name', f ->> 'kind', (f ->> 'min')::float8,
		(f ->> 'max')::float8, f -> 'categories', f -> 'counts'
	FROM jsonb_array_elements($1::jsonb -> 'features') f
$$;

-- a scaler that changes nothing: what kseg_scale() returns is what was read
CREATE TEMP TABLE plain AS
	SELECT kseg_scaler('none', 0) AS number,
		kseg_scaler('none', false) AS boolean,
		kseg_scaler('none', now()) AS moment,
		kseg_scaler('none', interval '1 s') AS interval;

-- ---- every type ----

CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok', 'happy', 'a"b');
CREATE DOMAIN pg_temp.age AS int CHECK (VALUE >= 0);
CREATE DOMAIN pg_temp.old_age AS pg_temp.age;
CREATE DOMAIN pg_temp.temper AS pg_temp.mood;
CREATE TEMP TABLE every (
	i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, num numeric,
	short numeric(8, 2), dom pg_temp.old_age, boo boolean,
	dat date, ts timestamp, tz timestamptz, iv interval,
	txt text, vc varchar(20), ch char(10), nam name,
	enu pg_temp.mood, denu pg_temp.temper
);
INSERT INTO every VALUES
(-32768, -2147483648, -9223372036854775808, -0.1, -1e300, -0.1, -1.25, 0,
 false, '1969-12-31', '1969-12-31 23:59:59.999999',
 '1970-01-01 05:30:00+05:30', '-1 mon',
 'b', 'b', 'b', 'b', 'ok', 'ok'),
(32767, 2147483647, 9223372036854775807, 16777216, 5e-324, 1e20, 123456.78,
 120, true, '2000-01-01', '2000-01-01', '2000-01-01 00:00:00+00',
 '1 year 2 mons 3 days 04:05:06.789',
 'ä', 'ä', 'ä', 'ä', 'a"b', 'a"b'),
(0, 0, 0, 0, '-0', 0, 0, 17,
 true, '1970-01-01', '1970-01-01', '1970-01-01 00:00:00+00', '0',
 '', '', '', '', 'happy', 'happy');

SELECT f.*
FROM (SELECT kseg_fit(3, i2, i4, i8, f4, f8, num, short, dom, boo, dat, ts,
					  tz, iv, txt, vc, ch, nam, enu, denu, 'lit') AS m
	  FROM every) s, pg_temp.features(m) f;

-- equal values of different types are equal: one model
SELECT count(DISTINCT m::text)
FROM (SELECT kseg_fit(2, ARRAY[x::float8])
	  FROM generate_series(1, 20) x
	  UNION ALL SELECT kseg_fit(2, f1) FROM generate_series(1, 20) f1
	  UNION ALL SELECT kseg_fit(2, f1)
	  FROM (SELECT x::int2 AS f1 FROM generate_series(1, 20) x OFFSET 0) s
	  UNION ALL SELECT kseg_fit(2, f1)
	  FROM (SELECT x::numeric AS f1 FROM generate_series(1, 20) x OFFSET 0) s
	  UNION ALL SELECT kseg_fit(2, f1)
	  FROM (SELECT x::float4 AS f1 FROM generate_series(1, 20) x OFFSET 0) s
	 ) q(m);
SELECT count(DISTINCT m::text)
FROM (SELECT kseg_fit(2, c) FROM (SELECT txt AS c FROM every OFFSET 0) s
	  UNION ALL
	  SELECT kseg_fit(2, c) FROM (SELECT vc AS c FROM every OFFSET 0) s
	  UNION ALL
	  SELECT kseg_fit(2, c) FROM (SELECT ch AS c FROM every OFFSET 0) s
	  UNION ALL
	  SELECT kseg_fit(2, c) FROM (SELECT nam AS c FROM every OFFSET 0) s
	 ) q(m);

-- ---- numbers are read as the cast to float8 reads them ----

CREATE FUNCTION pg_temp.digits(seed int, n int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT left(translate(md5(seed::text) || md5((seed + 1)::text) ||
						  md5((seed + 2)::text), 'abcdef', '012345'), n)
$$;

CREATE TEMP TABLE numerics (kind text, x numeric);
-- 1 to 60 digits, any decimal point, both signs
INSERT INTO numerics
	SELECT 'digits', (CASE WHEN g % 2 = 0 THEN '-' ELSE '' END ||
					  pg_temp.digits(g, 1 + g % 60) || 'e' ||
					  (g * 7919 % 131 - 90))::numeric
	FROM generate_series(1, 30000) g;
-- around 16 to 21 digits, where 53 and 64 bits end
INSERT INTO numerics
	SELECT 'long', (pg_temp.digits(g, 15 + g % 7) || 'e-' ||
					(g * 7919 % 27))::numeric
	FROM generate_series(1, 30000) g;
-- quotients, as avg() gives them
INSERT INTO numerics
	SELECT 'quotients', g::numeric / (1 + g * 7919 % 99991)
	FROM generate_series(1, 30000) g;
INSERT INTO numerics
	SELECT 'money', round(g::numeric * 7919 / 997, 2)
	FROM generate_series(1, 10000) g;
-- around 2^53, by powers of ten
INSERT INTO numerics
	SELECT '2^53', (9007199254740992 + g % 101 - 50) *
		(10::numeric ^ (g % 25 - 12))
	FROM generate_series(1, 5000) g;
-- midway between two doubles, and next to it
INSERT INTO numerics
	SELECT 'midway', 4503599627370496::numeric + g * 104729 +
		(ARRAY[0.5, 0.5000000000000001, 0.4999999999999999])[1 + g % 3]
	FROM generate_series(1, 10000) g;
INSERT INTO numerics
	SELECT 'midway', (4503599627370496::numeric * 4 + g * 4 + 2) *
		(2::numeric ^ (g % 60))
	FROM generate_series(1, 10000) g;
INSERT INTO numerics
	SELECT 'midway', (4503599627370496::numeric * 4 + g * 4 + 2) /
		(2::numeric ^ (g % 20))
	FROM generate_series(1, 10000) g;
INSERT INTO numerics
	SELECT 'powers', ('1e' || g)::numeric FROM generate_series(-307, 308) g
	UNION ALL
	SELECT 'powers', ('9.99999999999999999999e' || g)::numeric
	FROM generate_series(-307, 307) g
	UNION ALL
	SELECT 'powers', 2::numeric ^ g FROM generate_series(0, 1023) g;
-- without a normal exponent
INSERT INTO numerics
	SELECT 'subnormal', (pg_temp.digits(g, 1 + g % 30) || 'e-' ||
						 (315 + g % 15))::numeric
	FROM generate_series(1, 1000) g;
INSERT INTO numerics VALUES
('zero', 0), ('zero', 0.000), ('zero', '-0'),
('ends', 1.7976931348623157e308), ('ends', 1.7976931348623158e308),
('ends', 18446744073709551615), ('ends', 18446744073709551616),
('ends', -9223372036854775808), ('ends', 5e-324), ('ends', 2.5e-324);
-- stored out of line and compressed
ALTER TABLE numerics ALTER x SET STORAGE EXTENDED;
INSERT INTO numerics
	SELECT 'toasted', (repeat(pg_temp.digits(g, 8), 1500 + g) || 'e-' ||
					   (12000 + g))::numeric
	FROM generate_series(1, 20) g;
INSERT INTO numerics
	SELECT 'toasted', (string_agg(pg_temp.digits(n, 90), '') ||
					   'e-16100')::numeric
	FROM generate_series(1, 180) n;

-- the cast gives up where a double can hold no digit
SELECT kind, count(*),
	count(*) FILTER (WHERE (kseg_scale(number, x))[1] = x::float8) AS same
FROM plain, numerics
WHERE x = 0 OR abs(x) >= 2.5e-324
GROUP BY kind ORDER BY kind;
SELECT kseg_scale(number, 1e-400) AS too_small, kseg_scale(number, -0.0) AS z
FROM plain;

SELECT count(*) FILTER (WHERE (kseg_scale(number, i8))[1] = i8::float8) AS i8,
	count(*) FILTER (WHERE (kseg_scale(number, f4))[1] = f4::float8) AS f4,
	count(*) FILTER (WHERE (kseg_scale(number, f8))[1] = f8) AS f8,
	count(*) FILTER (WHERE (kseg_scale(boolean, boo))[1] = boo::int) AS boo
FROM plain, every;

-- ---- dates and times are read as extract(epoch) gives them ----

CREATE TEMP TABLE times AS
	SELECT timestamp '2000-01-01' + make_interval(days => g * 7919 % 999983,
												  secs => g / 1000003.0) -
		interval '1000 years' AS t
	FROM generate_series(1, 5000) g;
INSERT INTO times VALUES
('294276-12-31 23:59:59.999999'), ('294247-01-10 04:00:54.775807'),
('294247-01-10 04:00:54.775808'), ('4713-01-01 00:00:00 BC'),
('1969-12-31 23:59:59.999999'), ('1970-01-01'), ('2000-01-01');

SELECT count(*),
	count(*) FILTER (WHERE (kseg_scale(moment, t))[1] =
					 extract(epoch FROM t)::float8) AS timestamp,
	count(*) FILTER (WHERE (kseg_scale(moment, t::date))[1] =
					 extract(epoch FROM t::date)::float8) AS date
FROM plain, times;
SELECT count(*),
	count(*) FILTER (WHERE (kseg_scale(moment, t::timestamptz))[1] =
					 extract(epoch FROM t::timestamptz)::float8) AS timestamptz
FROM plain, times WHERE t < '290000-01-01' AND t > '4000-01-01 BC';

CREATE TEMP TABLE spans AS
	SELECT make_interval(years => g % 301 - 150, months => g % 37 - 18,
						 days => g * 7919 % 100003 - 50000,
						 secs => g * 104729 / 1000.0) AS i
	FROM generate_series(1, 5000) g;
INSERT INTO spans VALUES
('178000000 years'), ('-178000000 years'), ('-2147483648 days'),
('292000 years 5 mons 3 days 4.000001 secs'), ('300000 years 1 us'),
('-1 us'), ('0');
SELECT count(*),
	count(*) FILTER (WHERE (kseg_scale(interval, i))[1] =
					 extract(epoch FROM i)::float8) AS same
FROM plain, spans;

-- ---- categories ----

-- sorted by their bytes whatever the collation, kept apart by them
SELECT f.categories, f.counts
FROM (SELECT kseg_fit(2, x COLLATE "C") AS m
	  FROM unnest(ARRAY['b', 'B', 'a', 'ä', 'a ', '', 'a', E'x\ty', '"', '\',
						'null']) x) s, pg_temp.features(m) f;
-- char(n) without its padding, but with other white space
SELECT f.categories, f.counts
FROM (SELECT kseg_fit(2, x) AS m
	  FROM (SELECT v::char(5) AS x
			FROM unnest(ARRAY['a', 'a  ', ' a', E'a\t', '', '   ']) v
			OFFSET 0) s) s, pg_temp.features(m) f;
-- long ones, stored out of line and compressed
CREATE TEMP TABLE long_texts (t text);
INSERT INTO long_texts
	SELECT repeat(chr(97 + g % 3), 100000) FROM generate_series(1, 9) g;
INSERT INTO long_texts
	SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500) n;
SELECT jsonb_array_length(f.categories), f.counts,
	length(f.categories ->> 1), length(f.categories ->> 0)
FROM (SELECT kseg_fit(2, t) AS m FROM long_texts) s, pg_temp.features(m) f;
SELECT count(DISTINCT kseg_predict(m, t)), count(*)
FROM long_texts, (SELECT kseg_fit(4, t) AS m FROM long_texts) s;
-- many: the dictionary has to grow
SELECT jsonb_array_length(f.categories), f.categories -> 9999
FROM (SELECT kseg_fit(kseg_options(2, n_init => 1, max_iter => 1),
					  to_char(g % 10000, 'FM00000'), g) AS m
	  FROM generate_series(1, 20000) g) s, pg_temp.features(m) f
WHERE f.kind = 'category';
SELECT kseg_fit(2, g::text) FROM generate_series(1, 10001) g;
-- an enum is its labels; the order of its definition does not count
ALTER TYPE pg_temp.mood RENAME VALUE 'happy' TO 'Happy';
SELECT f.categories, f.counts
FROM (SELECT kseg_fit(2, enu) AS m FROM every) s, pg_temp.features(m) f;
-- a row that is skipped leaves no category behind
SELECT f.categories, f.counts
FROM (SELECT kseg_fit(2, c, x) AS m
	  FROM (VALUES ('a', 1), ('b', 2), ('c', NULL)) v(c, x)) s,
	pg_temp.features(m) f
WHERE f.kind = 'category';

-- ---- what is refused ----

-- one statement, many lines: which column, and why
CREATE FUNCTION pg_temp.refused(query text)
RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	message := 'accepted';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END
$$;

SELECT v.value, r.code, r.message
FROM (VALUES ('float8 ''NaN'''), ('float8 ''-inf'''), ('float4 ''inf'''),
	  ('numeric ''NaN'''), ('numeric ''inf'''), ('numeric ''-inf'''),
	  ('1e400'), ('-1e400'), ('date ''infinity'''), ('date ''-infinity'''),
	  ('timestamp ''-infinity'''), ('timestamptz ''infinity''')) v(value),
	pg_temp.refused('SELECT kseg_fit(1, 1, "bad one") FROM (SELECT ' ||
					v.value || ' AS "bad one" OFFSET 0) s') r;
SELECT * FROM pg_temp.refused(
	'SELECT kseg_fit(1, ARRAY[1, 2, ''NaN''::float8])');

SELECT v.value, r.code, r.message
FROM (VALUES ('point ''1,2'''), ('uuid ''00000000-0000-0000-0000-000000000000'''),
	  ('jsonb ''1'''), ('money ''1'''), ('bytea ''1'''), ('time ''12:00'''),
	  ('ARRAY[1, 2]'), ('ARRAY[1.5, 2]'), ('ARRAY[''a'']'), ('"char" ''a'''),
	  ('ROW(1, 2)'), ('bit ''1'''), ('inet ''::1'''), ('oid ''1''')) v(value),
	pg_temp.refused('SELECT kseg_fit(1, 1, bad) FROM (SELECT ' ||
					v.value || ' AS bad OFFSET 0) s') r;
SELECT message, hint FROM pg_temp.refused(
	'SELECT kseg_fit(1, bad) FROM (SELECT ARRAY[1, 2] AS bad OFFSET 0) s');
SELECT message, hint FROM pg_temp.refused(
	'SELECT kseg_fit(1, bad) FROM (SELECT point ''1,2'' AS bad OFFSET 0) s');
