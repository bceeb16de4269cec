--
-- kseg_explain: rules that run, and find what they say they find
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
SET extra_float_digits = 0;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- The rules, and whether counting with each as WHERE gives the same figures,
-- to the last bit.  features: what kseg_predict takes; by default the model's
-- features as columns.
CREATE FUNCTION explained(model kseg_model, query text,
	features text DEFAULT NULL)
RETURNS TABLE (segment int, rule text, coverage float8, "precision" float8,
	"rows" bigint, same boolean) LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
	hits bigint;
	members bigint;
BEGIN
	IF features IS NULL THEN
		SELECT string_agg(quote_ident(f), ', ' ORDER BY n) INTO features
		FROM kseg_info(model) AS i, unnest(i.features) WITH ORDINALITY u (f, n);
	END IF;
	FOR segment, rule, coverage, "precision", "rows" IN
		SELECT e.* FROM kseg_explain(model, query) AS e
	LOOP
		EXECUTE format('SELECT count(*), count(*) FILTER (WHERE
			kseg_predict($1, %s) = $2) FROM (%s) AS q WHERE %s',
			features, query, coalesce(rule, 'false'))
			INTO found, hits USING model, segment;
		EXECUTE format('SELECT count(*) FROM (%s) AS q WHERE
			kseg_predict($1, %s) = $2', query, features)
			INTO members USING model, segment;
		same := CASE WHEN members = 0
			THEN "rows" = 0 AND rule IS NULL AND coverage IS NULL AND
				"precision" IS NULL
			ELSE "rows" = members AND
				coverage = hits::float8 / members AND
				"precision" = hits::float8 / found END;
		coverage := round(coverage::numeric, 4);
		"precision" := round("precision"::numeric, 4);
		RETURN NEXT;
	END LOOP;
END $$;

-- uniform in 0 .. n - 1, the same everywhere
CREATE FUNCTION pick(seed int, n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT (('x' || substr(md5(seed::text), 1, 7))::bit(28)::int % n)
$$;

-- ---- clear groups ----

CREATE TABLE explain_customer AS
	SELECT i AS id, (15 + 60 * (g % 2) + pick(i, 25)) AS annual_income,
		(5 + 55 * (g / 2) + pick(i + 10000, 30)) AS spending_score,
		(20 + pick(i + 20000, 50)) AS age
	FROM generate_series(1, 400) AS i, LATERAL (SELECT i % 4 AS g) AS s;
CREATE TABLE explain_model AS
	SELECT kseg_fit('SELECT annual_income, spending_score
		FROM explain_customer', 4, '{"order_by": "annual_income"}') AS model;
SELECT e.* FROM explain_model, explained(model, 'TABLE explain_customer') AS e;
-- figures are of the query's rows, not of the fit's
SELECT e.* FROM explain_model, explained(model, 'SELECT * FROM explain_customer
	WHERE annual_income > 50 OR id = 4') AS e;
-- a rule runs as it stands
SELECT rule FROM explain_model, kseg_explain(model, 'TABLE explain_customer')
WHERE segment = 3 \gset
SELECT count(*) FROM (TABLE explain_customer) AS q WHERE :rule;
-- one feature is enough for some, and a third one for none
SELECT e.* FROM explained(kseg_fit('SELECT annual_income, age, spending_score
	FROM explain_customer', 2), 'TABLE explain_customer') AS e;
-- rows beside the groups: a bound on both sides
SELECT e.* FROM explained(kseg_fit('SELECT annual_income FROM explain_customer
	UNION ALL SELECT i FROM generate_series(150, 160) AS i', 3),
	'SELECT annual_income FROM explain_customer
	UNION ALL SELECT i FROM generate_series(150, 160) AS i') AS e;
-- one segment; segments without rows; no rows; only rows without a segment
SELECT e.* FROM explained(kseg_fit('SELECT age FROM explain_customer', 1),
	'TABLE explain_customer') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT age FROM explain_customer', 1),
	'SELECT nullif(age, 20) AS age FROM explain_customer') AS e;
SELECT e.* FROM explain_model, explained(model, 'SELECT * FROM explain_customer
	WHERE id IN (4, 8)') AS e;
SELECT e.* FROM explain_model, explained(model, 'SELECT * FROM explain_customer
	WHERE false') AS e;
SELECT e.* FROM explain_model, explained(model, 'SELECT
	NULL::int AS annual_income, spending_score FROM explain_customer') AS e;

-- ---- every type ----

CREATE TYPE explain_tier AS ENUM ('gold', 'silver', 'bronze', 'a"b''c\d');
CREATE DOMAIN explain_years AS int CHECK (VALUE >= 0);
CREATE DOMAIN explain_word AS text;
CREATE DOMAIN explain_level AS explain_tier;
CREATE DOMAIN explain_flag AS boolean;
CREATE DOMAIN explain_day AS date;
CREATE DOMAIN explain_span AS interval;
CREATE DOMAIN explain_amount AS numeric;
CREATE TABLE explain_every AS
	SELECT x::int2 AS i2, x AS i4, x::int8 * 1000000 AS i8,
		(x / 7.0)::float4 AS f4, (x / 7.0)::float8 AS f8,
		x / 7.0 AS num, round(x / 7.0, 2)::numeric(8, 2) AS cents,
		abs(x)::explain_years AS years, (x / 70.0)::explain_amount AS amount,
		x % 2 = 0 AS boo, (x % 2 = 0)::explain_flag AS flag,
		date '2019-06-15' + x AS dat, date '0001-01-01' - x AS ancient,
		(date '2019-06-15' + x)::explain_day AS day,
		timestamp '2019-06-15 10:20:30.4567' + x * interval '1.5 hours' AS ts,
		timestamptz '2019-06-15 10:20:30.4567+00' + x * interval '1.5 days' AS tz,
		timestamptz '2019-06-15 10:20:30.4567+00' + x * interval '0.011 s' AS tick,
		x * interval '1.7 days' + (x % 5) * interval '1 mon' AS iv,
		(x * interval '7 s')::explain_span AS span,
		-abs(x) * interval '1 mon' - interval '0.25 s' AS before,
		'w' || x % 3 AS txt, ('w' || x % 3)::varchar(9) AS vc,
		(E'\t' || x % 3)::char(9) AS ch, ('w' || x % 3)::name AS nam,
		('w' || x % 3)::explain_word AS word,
		(enum_range(NULL::explain_tier))[1 + abs(x % 4)] AS tier,
		(enum_range(NULL::explain_tier))[1 + abs(x % 4)]::explain_level AS level
	FROM (SELECT (i % 3 - 1) * 700 + pick(i, 500) FROM generate_series(1, 600) i)
		AS s (x);
SELECT c.attname, c.atttypid::regtype AS type, e.*
FROM pg_attribute AS c, LATERAL (SELECT 'SELECT ' || c.attname ||
		' FROM explain_every' AS query) AS q,
	LATERAL explained(kseg_fit(q.query, 3), q.query) AS e
WHERE c.attrelid = 'explain_every'::regclass AND c.attnum > 0
ORDER BY c.attnum, e.segment;

-- The same rules find the same rows whatever the settings are by then.
CREATE TABLE explain_rules AS
	SELECT c.attname, e.segment, e.rule, e.coverage, e.precision, e.rows, q.query, m AS model
	FROM pg_attribute AS c, LATERAL (SELECT 'SELECT ' || c.attname ||
			' FROM explain_every' AS query) AS q,
		LATERAL kseg_fit(q.query, 3) AS m, LATERAL kseg_explain(m, q.query) AS e
	WHERE c.attrelid = 'explain_every'::regclass AND c.attnum > 0;
CREATE FUNCTION differing() RETURNS TABLE (rule text) LANGUAGE plpgsql AS $$
DECLARE
	r explain_rules;
	found bigint;
	hits bigint;
BEGIN
	FOR r IN SELECT * FROM explain_rules LOOP
		EXECUTE format('SELECT count(*), count(*) FILTER (WHERE
			kseg_predict($1, %s) = $2) FROM (%s) AS q WHERE %s',
			r.attname, r.query, r.rule) INTO found, hits USING r.model, r.segment;
		IF r.coverage <> hits::float8 / r.rows OR r.precision <> hits::float8 / found THEN
			rule := r.rule;
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
SELECT * FROM differing();
SET timezone = 'America/St_Johns';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT * FROM differing();
SET datestyle = 'German, MDY';
SET intervalstyle = 'iso_8601';
SET timezone = 'UTC';
SET lc_numeric = 'C';
SELECT * FROM differing();
-- and are the same when they are made with others
SELECT count(*) FROM explain_rules AS r, kseg_explain(r.model, r.query) AS e
WHERE e.segment = r.segment AND e.rule IS DISTINCT FROM r.rule;
RESET lc_numeric;
RESET standard_conforming_strings;
RESET escape_string_warning;
SET extra_float_digits = 0;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- ---- numbers that are hard to tell apart ----

CREATE TABLE explain_hard (name text, query text);
INSERT INTO explain_hard VALUES
-- bigints of which several are one double
('bigint', 'SELECT 9007199254740992 + i AS x FROM generate_series(-20, 60) AS i'),
('bigint ends', 'SELECT (9223372036854775807 - i)::int8 AS x FROM generate_series(0, 3000) AS i
	UNION ALL SELECT (-9223372036854775807 + i)::int8 FROM generate_series(0, 3000) AS i'),
-- numerics of which several are one double, among them the cut
('numeric', 'SELECT 70 + i * 0.00000000000000000001 AS x FROM generate_series(-50, 50) AS i
	UNION ALL SELECT 70 + i FROM generate_series(-9, 9) AS i'),
('numeric, averages', 'SELECT i / 3.0 AS x FROM generate_series(1, 100) AS i
	UNION ALL SELECT 1000 + i / 3.0 FROM generate_series(1, 100) AS i'),
('numeric, long', 'SELECT 12345678901234567890.5 + i AS x FROM generate_series(1, 5000) AS i'),
('numeric, tiny', 'SELECT i * 1e-322 AS x FROM generate_series(1, 50) AS i
	UNION ALL SELECT -i * 1e-400 FROM generate_series(1, 50) AS i'),
('numeric, small', 'SELECT i * 1e-290 AS x FROM generate_series(-20, 50) AS i'),
('numeric, huge', 'SELECT i * 1e300 AS x FROM generate_series(-20, 50) AS i'),
-- doubles next to each other, denormal ones, the largest
('float8 by bits', 'SELECT 1 + i * 2.220446049250313e-16::float8 AS x FROM generate_series(0, 20) AS i'),
('float8 denormal', 'SELECT i * 5e-324::float8 AS x FROM generate_series(0, 20) AS i'),
('float8 largest', 'SELECT i * 1.7976931348623157e298::float8 AS x FROM generate_series(-20, 20) AS i'),
('float8 zeros', 'SELECT unnest(ARRAY[-0.0, 0, 1, 1, 5e-324, -5e-324, -1]::float8[]) AS x'),
('float4', 'SELECT (0.1 + i * 0.00000001)::float4 AS x FROM generate_series(0, 40) AS i'),
('float4 largest', 'SELECT (i * 1e37)::float4 AS x FROM generate_series(-20, 20) AS i'),
-- moments of which several are one double; the ends of the calendar
('timestamp, far', 'SELECT timestamp ''2500-01-01'' + i * interval ''1 us'' AS x FROM generate_series(-40, 40) AS i'),
('timestamptz, far', 'SELECT timestamptz ''1500-01-01 00:00+00'' + i * interval ''1 us'' AS x FROM generate_series(-40, 40) AS i'),
('timestamp, near', 'SELECT timestamp ''2100-01-01'' + i * interval ''1 us'' AS x FROM generate_series(-40, 40) AS i'),
('timestamp, before 1970', 'SELECT timestamp ''1960-01-01'' + i * interval ''1 us'' AS x FROM generate_series(-40, 40) AS i'),
('timestamp, ends', 'SELECT unnest(ARRAY[''4713-01-01 00:00:00 BC'', ''4712-01-01 BC'', ''2000-01-01'', ''294276-12-31 23:59:59.999999'', ''294275-01-01'']::timestamp[]) AS x'),
('date, ends', 'SELECT unnest(ARRAY[''4713-01-01 BC'', ''4712-01-01 BC'', ''2000-01-01'', ''5874897-12-31'', ''5874897-12-30'', ''5874890-12-30'']::date[]) AS x'),
('interval, long', 'SELECT i * interval ''1000 years'' + interval ''1 us'' AS x FROM generate_series(-20, 20) AS i'),
('interval, longest', 'SELECT unnest(ARRAY[''178000000 years'', ''-178000000 years'', ''2147483647 days'', ''0'', ''1 us'']::interval[]) AS x'),
('interval, years', 'SELECT i * interval ''1 mon'' AS x FROM generate_series(-60, 200) AS i');
SELECT h.name, e.*
FROM explain_hard AS h, explained(kseg_fit(h.query, 3), h.query) AS e
ORDER BY h.name COLLATE "C", e.segment;

-- ---- names and values that are meant to hurt ----

CREATE TABLE explain_hostile ("Größe in ""m""" int, "select" int, "a.b" int, "q" int, "user" boolean,
	U&"new\000Aline" int, "x'); DROP TABLE t; --" int, "back\slash" text, "?column?" int, "1" int);
INSERT INTO explain_hostile
	SELECT g, g, g, g, g > 10, g, g,
		(ARRAY['it''s', 'a\b', E'two\nlines', '"quoted"', '', ' ', 'ü€😀', '$$', '%s', '-- no'])[1 + i % 10],
		g, g
	FROM generate_series(1, 60) AS i, LATERAL (SELECT i % 3 * 10 + i % 10 AS g) AS s;
SELECT c.attname, e.*
FROM pg_attribute AS c, LATERAL (SELECT 'SELECT ' || quote_ident(c.attname) ||
		' FROM explain_hostile' AS query) AS q,
	LATERAL explained(kseg_fit(q.query, 3), q.query) AS e
WHERE c.attrelid = 'explain_hostile'::regclass AND c.attnum > 0
ORDER BY c.attnum, e.segment;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT bool_and(e.same), count(*)
FROM (SELECT kseg_fit(10, "back\slash") AS m FROM explain_hostile) AS s,
	explained(m, 'TABLE explain_hostile') AS e;
RESET standard_conforming_strings;
RESET escape_string_warning;
-- collations that think different bytes equal
CREATE COLLATION explain_blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
CREATE TABLE explain_blind_words AS
	SELECT (ARRAY['a', 'A', 'á', 'b'])[1 + i % 4] COLLATE explain_blind AS x, i % 4 AS y
	FROM generate_series(1, 40) AS i;
SELECT e.* FROM explained(kseg_fit('SELECT x FROM explain_blind_words', 4), 'SELECT x FROM explain_blind_words') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT x::char(3) FROM explain_blind_words', 4),
	'SELECT x::char(3) FROM explain_blind_words') AS e;
-- and a column that has none
SELECT e.* FROM explained(kseg_fit('SELECT y::text AS x FROM explain_blind_words', 4),
	'SELECT x FROM (SELECT y::text COLLATE "C" AS x FROM explain_blind_words) AS a UNION ALL
	SELECT x FROM (SELECT y::text COLLATE "POSIX" AS x FROM explain_blind_words) AS b') AS e;
-- expressions are columns of the query under their name
CREATE TABLE explain_log AS SELECT kseg_fit(2, ln(age), annual_income / 10) AS m FROM explain_customer;
SELECT e.* FROM explain_log, explained(m, 'SELECT ln(age) AS "ln((age)::double precision)",
	annual_income / 10 AS "annual_income / 10" FROM explain_customer') AS e;
-- a name that two columns have cannot be spoken of
SELECT e.segment, e.rule FROM kseg_fit('SELECT age, annual_income, age FROM explain_customer', 2) AS m,
	kseg_explain(m, 'SELECT age, annual_income, age FROM explain_customer') AS e;
SELECT e.segment, e.rule, e.precision FROM kseg_fit('SELECT age, age FROM explain_customer', 2) AS m,
	kseg_explain(m, 'SELECT age, age FROM explain_customer') AS e;

-- ---- categories ----

-- few of many, most of many, rare ones, long ones
CREATE TABLE explain_words AS
	SELECT 'v' || lpad((i % 40)::text, 2, '0') AS v, (i % 40 < 3)::int * 10 + (i % 40 > 35)::int * 20 AS x,
		CASE WHEN i % 4 = 0 THEN repeat('long', 100) ELSE 'short' || i % 4 END AS l
	FROM generate_series(1, 4000) AS i;
SELECT e.* FROM explained(kseg_fit('SELECT v, x FROM explain_words', 3, '{"weights": {"v": 0.000001}}'),
	'SELECT v, x FROM explain_words') AS e;
SELECT e.segment, e.rule, e.same FROM explained(kseg_fit('SELECT v, x FROM explain_words', 3,
	'{"weights": {"v": 0.000001}}'), 'SELECT v, NULLIF(x, x) AS x FROM explain_words') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT l FROM explain_words', 4), 'SELECT l FROM explain_words') AS e;
-- values that the model has not seen: <> finds them
SELECT e.* FROM explained(kseg_fit('SELECT tier FROM explain_every WHERE tier <> ''gold''', 2),
	'SELECT tier FROM explain_every') AS e;
-- more than there are bins
SELECT count(*), bool_and(same) FROM explained(kseg_fit(
	'SELECT ''v'' || i % 1000 AS v, i % 2 * 100 AS x FROM generate_series(1, 5000) AS i', 3, '{"n_init": 1}'),
	'SELECT ''v'' || i % 1000 AS v, i % 2 * 100 AS x FROM generate_series(1, 5000) AS i') AS e;

-- ---- missing values ----

CREATE TABLE explain_holes AS
	SELECT CASE WHEN i % 7 > 0 THEN annual_income END AS annual_income,
		CASE WHEN i % 11 > 0 THEN spending_score END AS spending_score,
		CASE WHEN i % 5 > 0 THEN 'c' || i % 3 END AS c, CASE WHEN i % 6 > 0 THEN i % 4 = 0 END AS b, age
	FROM explain_customer AS s (i);
SELECT e.* FROM explain_model, explained(model, 'TABLE explain_holes') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT annual_income, spending_score, c, b FROM explain_holes', 4,
	'{"nulls": "mean"}'), 'TABLE explain_holes') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT annual_income, spending_score, c, b FROM explain_holes', 4),
	'TABLE explain_holes') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT annual_income, b, age FROM explain_holes', 2,
	'{"weights": {"annual_income": 99}}'), 'SELECT annual_income, b, NULLIF(age, 20 + age % 5) AS age
	FROM explain_holes') AS e;

-- ---- arrays ----

SELECT e.* FROM explained(kseg_fit('SELECT ARRAY[annual_income, spending_score]::float8[] AS features
	FROM explain_customer', 4), 'SELECT ARRAY[annual_income, spending_score]::float8[] AS features
	FROM explain_customer', 'features') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT ARRAY[annual_income, spending_score]::float8[] AS "My Features"
	FROM explain_customer', 4, '{"nulls": "mean"}'), 'SELECT CASE WHEN id % 10 = 3 THEN NULL WHEN id % 5 = 2
	THEN ARRAY[annual_income, NULL] ELSE ARRAY[annual_income, spending_score] END::float8[] AS "My Features"
	FROM explain_customer', '"My Features"') AS e;
-- an array may start elsewhere
SELECT e.* FROM explained(kseg_fit('SELECT ARRAY[annual_income, spending_score]::float8[] AS x
	FROM explain_customer', 4), 'SELECT (CASE WHEN id % 2 = 0 THEN ''[0:1]='' ELSE '''' END ||
	''{'' || annual_income || '','' || spending_score || ''}'')::float8[] AS x FROM explain_customer', 'x') AS e;

-- ---- options of the model ----

SELECT e.* FROM explained(kseg_fit('TABLE explain_customer', 3, '{"row_weight": "id", "scale": "robust",
	"weights": {"age": 4}, "clip": [0.05, 0.95]}'), 'TABLE explain_customer') AS e;
SELECT e.* FROM explained(kseg_fit('SELECT annual_income - 50 AS a, spending_score - 50 AS s
	FROM explain_customer', 4, '{"distance": "cosine", "scale": "none"}'),
	'SELECT annual_income - 50 AS a, spending_score - 50 AS s FROM explain_customer') AS e;

-- ---- more rows than the sample ----

CREATE TABLE explain_many AS
	SELECT i AS id, CASE WHEN i <= 12 THEN 9000 + pick(i, 9) ELSE 100 * (i % 3) + pick(i, 900) / 10.0 END AS x,
		pick(-i, 1000) AS y, 'c' || i % 5 AS c
	FROM generate_series(1, 60000) AS i;
CREATE TABLE explain_many_model AS SELECT kseg_fit('SELECT x, y, c FROM explain_many', 8,
	'{"n_init": 1, "weights": {"x": 9}}') AS model;
SELECT e.* FROM explain_many_model, explained(model, 'TABLE explain_many') AS e;
-- the same whatever the order, the plan, the instructions
CREATE TABLE explain_text AS
	SELECT 'as is' AS how, e.* FROM explain_many_model, kseg_explain(model, 'TABLE explain_many') AS e;
INSERT INTO explain_text
	SELECT 'ordered', e.* FROM explain_many_model, kseg_explain(model,
		'SELECT * FROM explain_many ORDER BY md5(id::text)') AS e;
SET kseg.simd = baseline;
SET max_parallel_workers_per_gather = 0;
INSERT INTO explain_text
	SELECT 'baseline', e.* FROM explain_many_model, kseg_explain(model,
		'SELECT c, y, x FROM explain_many ORDER BY id DESC') AS e;
RESET kseg.simd;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 4;
INSERT INTO explain_text
	SELECT 'parallel', e.* FROM explain_many_model, kseg_explain(model, 'TABLE explain_many') AS e;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
SELECT count(DISTINCT how) AS ways, count(DISTINCT (segment, rule, coverage, precision, rows)) AS rules
FROM explain_text;
-- groups that are clear are found without a flaw, most rows unseen
CREATE TABLE explain_blobs AS
	SELECT i % 4 / 2 * 50 + pick(i, 100000) / 4000.0 AS x, i % 2 * 50 + pick(-i, 100000) / 4000.0 AS y,
		pick(i * 2, 1000) AS z
	FROM generate_series(1, 50000) AS i;
SELECT e.* FROM explained(kseg_fit('SELECT x, y, z FROM explain_blobs', 4, '{"weights": {"z": 0.001}}'),
	'TABLE explain_blobs') AS e;

-- ---- nothing is written ----

BEGIN READ ONLY;
SELECT count(rule) FROM explain_model, kseg_explain(model, 'TABLE explain_customer');
COMMIT;

-- ---- mistakes ----

CREATE FUNCTION failure(statement text) RETURNS TABLE (code text,
	message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT 'none', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
SELECT call, f.*
FROM (VALUES
	(1, '(NULL, ''TABLE explain_customer'')'),
	(2, '((SELECT model FROM explain_model), NULL)'),
	(3, '((SELECT model FROM explain_model), ''SELECT annual_income FROM explain_customer'')'),
	(4, '((SELECT model FROM explain_model), ''SELECT annual_income::text, spending_score FROM explain_customer'')'),
	(5, '((SELECT model FROM explain_model), ''DELETE FROM explain_customer RETURNING *'')'),
	(6, '((SELECT model FROM explain_model), ''SELECT annual_income / 0 AS annual_income, spending_score FROM explain_customer'')'),
	(7, '((SELECT model FROM explain_model), ''SELECT float8 ''''NaN'''' AS annual_income, spending_score FROM explain_customer'')'),
	(8, '((SELECT model FROM explain_model), ''SELECT ARRAY[1, 2, 3]::float8[]'')'),
	(9, '((SELECT model FROM explain_model), '''')'))
	AS c (n, call),
	failure('SELECT * FROM kseg_explain' || call) AS f
ORDER BY n \gx
SET kseg.work_mem = '1MB';
SELECT f.* FROM failure('SELECT * FROM explain_many_model, kseg_explain(model, ''TABLE explain_many'')') AS f \gx
RESET kseg.work_mem;

DROP FUNCTION failure, differing, explained, pick;
DROP TABLE explain_customer, explain_model, explain_every, explain_rules, explain_hard, explain_hostile,
	explain_blind_words, explain_log, explain_words, explain_holes, explain_many, explain_many_model,
	explain_text, explain_blobs;
DROP COLLATION explain_blind;
DROP DOMAIN explain_years, explain_word, explain_level, explain_flag, explain_day, explain_span, explain_amount;
DROP TYPE explain_tier;
