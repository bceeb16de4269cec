-- Limits: the most, the least and the oddest that there may be, in every
-- function that looks at rows, by every engine: the same bits, or an error
-- that says what and where.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- What a statement returns, or SQLSTATE, message, detail and hint of its error.
CREATE FUNCTION told(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
	d text;
	h text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	RETURN left(concat_ws(' / ', SQLSTATE, SQLERRM, nullif(d, ''), nullif(h, '')), 300);
END $$;

-- The model of a query by memory, file, pushdown and workers: one line when
-- they are the same, or each engine's own.
CREATE FUNCTION engines(query text, k int, options jsonb DEFAULT '{}') RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	fit text := 'SELECT md5(kseg_model_send(kseg_fit(%L, %s, %L)))';
	results text[];
BEGIN
	results := ARRAY['memory: ' || told(format(fit, query, k, options)),
		'pushdown: ' || told(format(fit, query, k, options || '{"engine": "pushdown"}'))];
	PERFORM set_config('kseg.work_mem', '1MB', false);
	results := results || ('file: ' || told(format(fit, query, k, options)));
	PERFORM set_config('kseg.work_mem', '256MB', false);
	PERFORM set_config('kseg.parallel_min_work', '0', false);
	results := results || ('workers: ' || told(format(fit, query, k, options)));
	PERFORM set_config('kseg.parallel_min_work', '100', false);
	IF (SELECT count(DISTINCT regexp_replace(r, '^[a-z]+: ', '')) FROM unnest(results) AS r) > 1 THEN
		RETURN QUERY SELECT regexp_replace(r, '[0-9a-f]{32}', 'a model') FROM unnest(results) AS r;
	ELSE
		RETURN NEXT regexp_replace(regexp_replace(results[1], '^memory: ', ''), '[0-9a-f]{32}', 'the same model');
	END IF;
END $$;

-- What every function that looks at rows says of a model and its query.
CREATE FUNCTION everywhere(query text, k int, options jsonb DEFAULT '{}') RETURNS TABLE (what text, outcome text)
LANGUAGE plpgsql AS $$
DECLARE
	fit text := format('kseg_fit(%L, %s, %L)', query, k, options);
	keyed text := format('SELECT row_number() OVER () AS id, q.* FROM (%s) AS q', query);
BEGIN
	RETURN QUERY SELECT 'fit', e FROM engines(query, k, options) AS e;
	RETURN QUERY SELECT w, told(s) FROM (VALUES
		('elbow', format('SELECT count(*) FROM kseg_elbow(%L, 1, 3, %L)', query, options - 'small')),
		('evaluate', format('SELECT count(*) FROM kseg_evaluate(%s, %L)', fit, query)),
		('evaluate, pushdown', format('SELECT count(*) FROM kseg_evaluate(%s, %L, ''pushdown'')', fit, query)),
		('profile', format('SELECT count(*) > 0 FROM kseg_profile(%s, %L)', fit, query)),
		('explain', format('SELECT count(*) > 0 FROM kseg_explain(%s, %L)', fit, query)),
		('project', format('SELECT (count(*), count(x)) FROM kseg_project(%s, %L, ''id'')', fit, keyed)),
		('segments', format('SELECT count(segment) FROM kseg_segments(%L, ''id'', %s, %L)', keyed, k, options)),
		('text and back', format('SELECT m = m::text::kseg_model AND m = m::jsonb::kseg_model FROM %s AS m', fit)))
		AS calls (w, s);
END $$;

-- ---- one row, no row, equal rows, one column ----

SELECT * FROM everywhere('SELECT 1.5::float8 AS a, 2 AS b', 3);
SELECT * FROM everywhere('SELECT 1.5::float8 AS a, 2 AS b WHERE false', 3);
SELECT * FROM everywhere('SELECT 7 AS a, ''same''::text AS b FROM generate_series(1, 500)', 4);
SELECT * FROM everywhere('SELECT NULL::int AS a, i AS b FROM generate_series(1, 50) AS i', 2);
SELECT * FROM everywhere('SELECT i % 2 AS a FROM generate_series(1, 100) AS i', 10000);
SELECT * FROM everywhere('SELECT 7 AS a FROM generate_series(1, 5)', 2, '{"small": "error"}');

-- ---- numbers at the ends of their range ----

CREATE TABLE odd (what text, x float8);
INSERT INTO odd VALUES
	('1e308', 1e308), ('1e308', -1e308), ('1e308', 1.5e308), ('1e308', 1.7976931348623157e308), ('1e308', 0),
	('1e-308', 1e-308), ('1e-308', -1e-308), ('1e-308', 3e-308), ('1e-308', 2.2250738585072014e-308),
	('denormal', 5e-324), ('denormal', -5e-324), ('denormal', 1e-320), ('denormal', 2e-320), ('denormal', 0),
	('-0', '-0'), ('-0', 0), ('-0', 1), ('-0', '-0'),
	('both ends', 1e308), ('both ends', 5e-324), ('both ends', -1e308), ('both ends', 1),
	('integers', 9007199254740993), ('integers', 9007199254740991), ('integers', -9223372036854775808),
	('integers', 9223372036854775807),
	('NaN', 1), ('NaN', 'NaN'), ('infinity', 1), ('infinity', 'infinity'), ('-infinity', 1), ('-infinity', '-infinity');
SELECT o.what, e.* FROM (SELECT DISTINCT what FROM odd) AS o,
	everywhere(format('SELECT x, x AS y FROM odd WHERE what = %L', o.what), 2) AS e ORDER BY 1, 2, 3;
-- the scales that do not divide by a standard deviation
SELECT what, scale, e FROM (SELECT DISTINCT what FROM odd WHERE what !~ 'N|inf') AS o,
	unnest('{minmax,robust,maxabs,none}'::text[]) AS scale,
	engines(format('SELECT x FROM odd WHERE what = %L', what), 2, jsonb_build_object('scale', scale)) AS e ORDER BY 1, 2, 3;
-- -0 is 0, to the bit
SELECT kseg_fit('SELECT x FROM odd WHERE what = ''-0''', 2) =
	kseg_fit('SELECT x + 0 AS x FROM odd WHERE what = ''-0''', 2) AS same;
-- scored
SELECT DISTINCT x, told(format('SELECT kseg_predict(m, %L::float8) FROM kseg_fit(''SELECT x FROM odd WHERE what = ''''-0'''''', 2) AS m', x))
FROM odd WHERE x IN (1e308, -1e308, 5e-324, 'NaN', 'Infinity', 0) ORDER BY 1, 2;

-- ---- other types' ends ----

SELECT * FROM engines('VALUES (date ''infinity''), (date ''2024-01-01'')', 2);
SELECT * FROM engines('VALUES (timestamp ''-infinity''), (timestamp ''2024-01-01'')', 2);
SELECT * FROM engines('VALUES (timestamptz ''infinity''), (timestamptz ''2024-01-01Z'')', 2);
SELECT * FROM everywhere('VALUES (date ''4713-01-01 BC''), (date ''5874897-12-31''), (date ''2024-02-29'')', 2);
SELECT * FROM everywhere('VALUES (timestamp ''4713-01-01 BC''), (timestamp ''294276-12-31''), (timestamp ''2024-02-29'')', 2);
SELECT * FROM engines('VALUES (interval ''178000000 years''), (interval ''-178000000 years''), (interval ''1 us'')', 2);
SELECT * FROM engines('VALUES (''NaN''::numeric), (1)', 2);
SELECT * FROM engines('VALUES (''infinity''::numeric), (1)', 2);
SELECT * FROM engines('VALUES (1e400), (1)', 2);
SELECT * FROM everywhere('VALUES (1e-400), (1e300), (0.000)', 2);
SELECT * FROM engines('VALUES (''NaN''::float4), (1)', 2);
SELECT * FROM engines('VALUES (32767::smallint, true, ''x''::char(3)), (-32768, false, ''''), (0, NULL, NULL)', 2);

-- ---- 1,600 features; more ----

CREATE TABLE wide AS
SELECT i AS id, (SELECT array_agg(((hashint8(i * 2000 + j) & 1023) + (i % 3) * 900)::float8 ORDER BY j)
	FROM generate_series(1, 1600) AS j) AS a
FROM generate_series(1, 60) AS i;
SELECT * FROM everywhere('SELECT a FROM wide', 3, '{"n_init": 1}');
SELECT count(DISTINCT kseg_predict(m, a)), count(DISTINCT kseg_predict(m, a)) FILTER (WHERE id % 3 = 0)
FROM wide, kseg_fit('SELECT a FROM wide', 3, '{"n_init": 1}') AS m;
SELECT * FROM engines('SELECT a || 1::float8 FROM wide', 3);
SELECT * FROM engines('SELECT a || 1::float8 FROM wide', 3, '{"row_weight": "f1601", "n_init": 1}');
SELECT * FROM engines('SELECT a || 1::float8 || 1::float8 FROM wide', 3);
SELECT told(format('SELECT kseg_fit(%L, 2)', 'SELECT ' || string_agg(format('id + %s AS c%s', i, i), ', ') || ' FROM wide'))
FROM generate_series(1, 1601) AS i;
SELECT e FROM (SELECT 'SELECT ' || string_agg(format('id %% %s AS c%s', i, i), ', ') || ' FROM wide' AS query
	FROM generate_series(2, 400) AS i) AS q, engines(query, 2, '{"n_init": 1}') AS e;

-- ---- k = 10,000; more ----

CREATE TABLE finest AS SELECT kseg_fit('SELECT i AS a FROM generate_series(1, 10000) AS i', 10000, '{"n_init": 1}') AS model;
SELECT (kseg_info(model)).k, (SELECT count(DISTINCT c.segment) FROM kseg_centroids(model) AS c) FROM finest;
SELECT count(DISTINCT kseg_predict(model, i)), min(kseg_predict(model, i)), max(kseg_predict(model, i)) FROM finest, generate_series(1, 10000) AS i;
SELECT model = model::jsonb::kseg_model AS same FROM finest;
SELECT told('SELECT kseg_fit(10001, i) FROM generate_series(1, 10) AS i');
SELECT told('SELECT kseg_fit(0, i) FROM generate_series(1, 10) AS i');
SELECT told('SELECT kseg_fit(-2147483648, i) FROM generate_series(1, 10) AS i');
SELECT told('SELECT count(*) FROM kseg_elbow(''SELECT 1 AS a'', 1, 10001)');
-- before anything of that size is allocated
SELECT told('SELECT kseg_fit(''SELECT array_fill(i::float8, ARRAY[1600]) FROM generate_series(1, 3000) AS i'', 2500)');

-- ---- categories ----

CREATE TABLE many AS SELECT 'category ' || i AS c, i % 10 AS n FROM generate_series(1, 1000000) AS i;
SELECT told('SELECT kseg_fit(2, c) FROM many');
SELECT * FROM engines('SELECT n, c FROM many', 2);
SELECT told('SELECT count(*) FROM kseg_elbow(''SELECT c FROM many'', 1, 3)');
SELECT told('SELECT kseg_scaler(''zscore'', c) FROM many');
SELECT told('SELECT count(*) > 0 FROM kseg_profile((SELECT kseg_fit(2, n) FROM many WHERE c < ''category 11''), ''TABLE many'')');
-- long values, so that no server has room for them in 1 MB
SELECT * FROM engines('SELECT c || repeat('' '', 60) AS c FROM many LIMIT 10001', 2, '{"n_init": 1}');
SELECT e FROM (SELECT 'SELECT ' || string_agg(format('c || %s AS c%s', i, i), ', ') || ' FROM (SELECT c FROM many LIMIT 9999) AS m' AS query
	FROM generate_series(1, 11) AS i) AS q, engines(query, 2) AS e;
-- a category of a megabyte
SELECT * FROM engines('SELECT repeat(x, 1000000) AS c FROM unnest(''{a,b,c}''::text[]) AS x', 2);
-- a category of nothing, of blanks, of what looks like a null or JSON
SELECT * FROM everywhere('SELECT x AS c FROM unnest(ARRAY['''', '' '', ''NULL'', ''"'', ''\'', ''{"a": 1}'', chr(1), chr(10), chr(127), chr(8232), chr(128512)]) AS x', 3);

-- ---- names ----

SELECT repeat('a', 63) AS a63, repeat('ä', 31) || 'a' AS u63, repeat('s', 63) AS s63, repeat('t', 63) AS t63, repeat('n', 63) AS n63 \gset
CREATE TABLE names AS
SELECT i % 5 AS "a", i % 7 AS :"a63", i % 3 AS :"u63", i % 2 AS """; DROP TABLE names; --", i % 11 AS "c\d'e""f(",
	i % 13 AS " ", i AS "SELECT", i AS key
FROM generate_series(1, 200) AS i;
SELECT * FROM everywhere('SELECT * FROM names', 3);
SELECT octet_length(f), f FROM kseg_info((SELECT kseg_fit(2, "a", :"a63", :"u63", """; DROP TABLE names; --", "c\d'e""f(", " ", "SELECT") FROM names)) AS i,
	unnest(i.features) AS f;
ALTER TABLE names ADD :"s63" int;
SELECT scored, unassigned FROM kseg_apply((SELECT kseg_fit(3, :"a63", :"u63", """; DROP TABLE names; --", "c\d'e""f(", " ", "SELECT") FROM names), 'names', :'s63');
-- a segmentation whose name, table and columns are as long
ALTER TABLE names RENAME TO :"t63";
ALTER TABLE :"t63" ADD PRIMARY KEY (key);
SELECT writes_to FROM kseg_create(:'n63', format('SELECT key, %I, %I, %I FROM %I', :'a63', '"; DROP TABLE names; --', :'u63', :'t63'), 'key', 3,
	target => :'t63', segment_column => :'s63');
SELECT action, scored FROM kseg_run(:'n63');
SELECT action, scored, changed FROM kseg_run(:'n63');
SELECT count(*) > 0 FROM kseg_drift(:'n63');
SELECT told('SELECT kseg_run(repeat(''n'', 64))');
SELECT told('SELECT kseg_create(repeat(''n'', 64), ''SELECT 1 AS id, 2 AS a'', ''id'', 2)');
SELECT kseg_drop(:'n63');

-- ---- runs of nothing, of one customer, of equal ones ----

CREATE TABLE few (id int PRIMARY KEY, a float8, segment int);
SELECT rows FROM kseg_create('few', 'SELECT id, a FROM few', 'id', 3, target => 'few');
SELECT told('SELECT action FROM kseg_run(''few'')');
INSERT INTO few VALUES (1, 5e-324);
SELECT told('SELECT (action, scored) FROM kseg_run(''few'')');
INSERT INTO few SELECT i, 5e-324 FROM generate_series(2, 50) AS i;
SELECT told('SELECT (action, scored, changed) FROM kseg_run(''few'', ''refit'')');
UPDATE few SET a = 1e308 WHERE id > 25;
SELECT told('SELECT (action, scored, changed) FROM kseg_run(''few'', ''refit'')');
UPDATE few SET a = 'NaN' WHERE id = 7;
SELECT told('SELECT kseg_run(''few'', ''score'')');
SELECT told('SELECT kseg_run(''few'', ''refit'')');
UPDATE few SET a = 'infinity' WHERE id = 7;
SELECT told('SELECT kseg_run(''few'')');
DELETE FROM few;
SELECT told('SELECT (action, scored, gone) FROM kseg_run(''few'')');
SELECT kseg_drop('few');

DROP TABLE odd, finest, wide, many, few, :"t63";
DROP FUNCTION everywhere, engines, told;
