--
-- the aggregate kseg_fit: both forms, arrays, nulls, weights, notices, errors
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- three blobs, far apart: 3, 2 and 1 rows
CREATE TEMP TABLE blobs (id int, x float8, y int, c text, w numeric);
INSERT INTO blobs VALUES
(1, 0, 0, 'a', 1), (2, 1, 0, 'a', 1), (3, 0, 1, 'a', 1),
(4, 100, 100, 'b', 2), (5, 101, 100, 'b', 2),
(6, 50, -100, 'c', 0.5);

CREATE FUNCTION pg_temp.code_of(query text)
RETURNS TABLE (code text, message text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	message := 'accepted';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN NEXT;
END
$$;

-- ---- both forms ----

SELECT i.k, i.rows, i.rows_skipped, i.features, round(i.inertia::numeric, 9),
	i.scale, i.options
FROM (SELECT kseg_fit(kseg_options(3, scale => 'none'), x, y) AS m
	  FROM blobs) s, kseg_info(m) i;
SELECT segment, size, feature, round(value::numeric, 9) AS value
FROM (SELECT kseg_fit(kseg_options(3, scale => 'none'), x, y) AS m
	  FROM blobs) s, kseg_centroids(m)
ORDER BY segment, feature;
-- k as an argument, in the options, of another integer type, as a parameter
SELECT count(DISTINCT m - 'options')
FROM (SELECT kseg_fit(3, x, y)::jsonb FROM blobs
	  UNION ALL SELECT kseg_fit(3::smallint, x, y)::jsonb FROM blobs
	  UNION ALL SELECT kseg_fit('{"k": 3}'::jsonb, x, y)::jsonb FROM blobs
	  UNION ALL
	  SELECT kseg_fit(jsonb_build_object('k', 3), x, y)::jsonb FROM blobs
	 ) s(m);
PREPARE fit_k(int) AS SELECT kseg_fit($1, x, y)::jsonb AS m FROM blobs;
CREATE TEMP TABLE prepared AS EXECUTE fit_k(3);
PREPARE fit_options(jsonb) AS
	SELECT kseg_fit($1, x, y)::jsonb AS m FROM blobs;
CREATE TEMP TABLE prepared_too AS EXECUTE fit_options('{"k": 3}');
SELECT count(*)
FROM prepared a JOIN prepared_too b ON a.m - 'options' = b.m - 'options';
-- in PL/pgSQL, where the parameter changes from call to call
CREATE FUNCTION pg_temp.ks(OUT ks int[]) LANGUAGE plpgsql AS $$
DECLARE
	m kseg_model;
BEGIN
	FOR n IN 1 .. 3
	LOOP
		SELECT kseg_fit(n, x, y) INTO m FROM blobs;
		ks := ks || (m::jsonb ->> 'k')::int;
		SELECT kseg_fit(jsonb_build_object('k', n), x, y) INTO m FROM blobs;
		ks := ks || (m::jsonb ->> 'k')::int;
	END LOOP;
END
$$;
SELECT pg_temp.ks();

-- ---- the multiset of rows alone decides ----

CREATE TEMP TABLE many AS
	SELECT g AS id, (g * 7919 % 10007) / 7.0 AS a, g * 104729 % 1009 AS b,
		(g * 31 % 101)::float8 AS d, 'c' || g % 4 AS c
	FROM generate_series(1, 3000) g;
SELECT count(DISTINCT m)
FROM (SELECT kseg_fit(5, a, b, c, d)::text FROM many
	  UNION ALL SELECT kseg_fit(5, a, b, c, d ORDER BY b)::text FROM many
	  UNION ALL SELECT kseg_fit(5, a, b, c, d ORDER BY d DESC, a)::text
	  FROM many
	  UNION ALL SELECT kseg_fit(5, a, b, c, d)::text
	  FROM (SELECT * FROM many ORDER BY md5(id::text) OFFSET 0) many
	  UNION ALL SELECT kseg_fit(DISTINCT 5, a, b, c, d)::text FROM many
	 ) s(m);
SELECT count(DISTINCT m), count(*)
FROM (SELECT kseg_fit(DISTINCT 2, y)::text FROM blobs
	  UNION ALL
	  SELECT kseg_fit(2, y)::text FROM (SELECT DISTINCT y FROM blobs) s
	 ) s(m);
-- kseg_predict finds the segments again
SELECT (m::jsonb -> 'segments' -> (s - 1) ->> 'size')::int =
	count(*) AS same, s
FROM (SELECT kseg_predict(m, a, b, c, d) AS s, m
	  FROM many, (SELECT kseg_fit(5, a, b, c, d) AS m FROM many) f
	  OFFSET 0) q
GROUP BY m::text, m::jsonb, s ORDER BY s;

-- ---- arrays ----

SELECT count(DISTINCT m)
FROM (SELECT kseg_fit(3, ARRAY[x, y])::text FROM blobs
	  UNION ALL
	  SELECT kseg_fit(3, VARIADIC ARRAY[x, y])::text FROM blobs
	  UNION ALL
	  SELECT kseg_fit(3, f1, f2)::text
	  FROM (SELECT x AS f1, y AS f2 FROM blobs OFFSET 0) s
	 ) s(m);
CREATE DOMAIN pg_temp.vector AS float8[];
CREATE TEMP TABLE vectors (v pg_temp.vector);
INSERT INTO vectors SELECT ARRAY[x, y] FROM blobs;
-- nulls in them and instead of them
INSERT INTO vectors VALUES (NULL), ('{1, NULL}'), ('{NULL, NULL}');
SELECT rows, rows_skipped, features
FROM (SELECT kseg_fit(3, v) AS m FROM vectors) s, kseg_info(m);
SELECT rows, rows_skipped, features
FROM (SELECT kseg_fit(kseg_options(3, nulls => 'mean'), v) AS m
	  FROM vectors) s, kseg_info(m);
-- bounds that do not start at 1, and stored out of line
SELECT rows, features
FROM (SELECT kseg_fit(2, ('[5:6]={' || x || ',' || y || '}')::float8[]) AS m
	  FROM blobs) s, kseg_info(m);
CREATE TEMP TABLE wide (v float8[]);
INSERT INTO wide
	SELECT array_agg((g * n * 7919 % 1609)::float8 ORDER BY n)
	FROM generate_series(1, 5) g, generate_series(1, 1600) n GROUP BY g;
SELECT rows, cardinality(features), features[1600]
FROM (SELECT kseg_fit(2, v) AS m FROM wide) s, kseg_info(m);

-- ---- nulls ----

CREATE TEMP TABLE holes (x int, c text);
INSERT INTO holes VALUES
(1, 'a'), (2, 'a'), (9, 'b'), (NULL, 'b'), (5, NULL), (NULL, NULL);
SELECT i.rows, i.rows_skipped
FROM (SELECT kseg_fit(2, x, c) AS m FROM holes) s, kseg_info(m) i;
SELECT i.rows, i.rows_skipped, m::jsonb -> 'features' -> 0 -> 'mean' AS mean,
	m::jsonb -> 'features' -> 1 -> 'counts' AS counts
FROM (SELECT kseg_fit(kseg_options(2, nulls => 'mean'), x, c) AS m
	  FROM holes) s, kseg_info(m) i;
-- no row, no model
SELECT kseg_fit(2, x) IS NULL AS no_row FROM holes WHERE false;
SELECT kseg_fit(2, x, NULL::int) IS NULL AS no_whole_row FROM holes;
SELECT kseg_fit(2, x) FILTER (WHERE x > 100) IS NULL AS filtered FROM holes;
SELECT kseg_fit(2, NULL::float8[]) IS NULL AS no_array FROM holes;
SELECT kseg_fit(kseg_options(2, nulls => 'mean'), x, NULL::int) FROM holes;
SELECT kseg_fit(kseg_options(2, nulls => 'mean'), x, NULL::text) FROM holes;

-- ---- row weights ----

-- a row of weight 2 is two rows; of weight 0 or null, none
SELECT i.rows, i.rows_skipped, i.features, s.size, s.weight
FROM (SELECT kseg_fit(kseg_options(2, row_weight => 'w'), x, w, y) AS m
	  FROM blobs) f, kseg_info(m) i,
	jsonb_to_recordset(m::jsonb -> 'segments') AS s(size int, weight float8);
SELECT i.rows, i.rows_skipped
FROM (SELECT kseg_fit(kseg_options(2, row_weight => 'v'), x, v) AS m
	  FROM (SELECT x, CASE WHEN id < 5 THEN id - 1 END AS v FROM blobs
			OFFSET 0) b) f, kseg_info(m) i;
SELECT segment, feature, round(value::numeric, 9)
FROM (SELECT kseg_fit(kseg_options(1, row_weight => 'w'), x, w, y) AS m
	  FROM blobs) f, kseg_centroids(m) ORDER BY feature;
SELECT round(sum(x * w)::numeric / sum(w), 9) AS x,
	round(sum(y * w) / sum(w), 9) AS y FROM blobs;
-- by position in an array, too
SELECT features
FROM (SELECT kseg_fit(kseg_options(2, row_weight => 'f2'), ARRAY[x, w]) AS m
	  FROM blobs) f, kseg_info(m);
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, row_weight => ''nobody''), x, y) FROM blobs');
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, row_weight => ''c''), x, c) FROM blobs');
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, row_weight => ''y''), x, y) FROM blobs');
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, row_weight => ''x''), x) FROM blobs');
SELECT * FROM pg_temp.code_of($$
	SELECT kseg_fit(kseg_options(2, row_weight => 'v'), x, v)
	FROM (SELECT x, 'inf'::float8 AS v FROM blobs OFFSET 0) s $$);

-- ---- weights and order_by go by name ----

SELECT f ->> 'name' AS feature, f ->> 'weight' AS weight
FROM (SELECT kseg_fit(kseg_options(2, weights => '{"y": 4, "sqrt(x)": 0.25}'),
					  sqrt(x), y, c) AS m FROM blobs) s,
	jsonb_array_elements(m::jsonb -> 'features') f;
SELECT segment, size, round(value::numeric, 9) AS y
FROM (SELECT kseg_fit(kseg_options(3, order_by => 'y'), x, y) AS m
	  FROM blobs) s, kseg_centroids(m)
WHERE feature = 'y' ORDER BY segment;
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, weights => ''{"z": 4}''), x, y) FROM blobs');
SELECT * FROM pg_temp.code_of(
	'SELECT kseg_fit(kseg_options(2, order_by => ''z''), x, y) FROM blobs');

-- ---- what is odd is told, in one notice ----

SELECT k FROM (SELECT kseg_fit(10, x, y) AS m FROM blobs) s, kseg_info(m);
SELECT k FROM (SELECT kseg_fit(2, x, 1) AS m FROM blobs) s, kseg_info(m);
SELECT k
FROM (SELECT kseg_fit(2, x, 1, 'c', true) AS m FROM blobs) s, kseg_info(m);
SELECT k FROM (SELECT kseg_fit(2, 1, 'c') AS m FROM blobs) s, kseg_info(m);
SELECT k, cardinality(features)
FROM (SELECT kseg_fit(2, x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) AS m
	  FROM blobs) s, kseg_info(m);
SELECT kseg_fit(kseg_options(10, small => 'error'), x, y) FROM blobs;

-- ---- errors of the call ----

SELECT v.call, c.code, c.message
FROM (VALUES ('0, x'), ('-1, x'), ('10001, x'), ('NULL::int, x'), ('id, x'),
	  ('NULL::jsonb, x'), ('''{}''::jsonb, x'),
	  ('jsonb_build_object(''k'', 1 + id % 2), x'),
	  ('kseg_options(2, nulls => ''mean''), NULL::text'),
	  ('2, ARRAY[[x, y], [x, y]]'), ('2, ARRAY[]::float8[]'),
	  ('2, VARIADIC ARRAY[x::int, y]'), ('2, x, ARRAY[x, y]'),
	  ('2, CASE WHEN id < 5 THEN ARRAY[x, y] ELSE ARRAY[x] END'),
	  ('2, array_fill(1::float8, ARRAY[1601])'),
	  ('kseg_options(2, row_weight => ''f1''), array_fill(1::float8, ARRAY[1602])')
	 ) v(call), pg_temp.code_of('SELECT kseg_fit(' || v.call || ') FROM blobs') c;
-- without features the parser finds no such function
SELECT kseg_fit(2) FROM blobs;
-- a model of a moving frame would cost a fit a row
SELECT kseg_fit(2, x) OVER () FROM blobs;

-- ---- memory ----

SET kseg.work_mem = '1MB';
-- how many rows fit is of no interest here
SELECT code, regexp_replace(message, 'after \d+', 'after N') AS message
FROM unnest(ARRAY[
	'SELECT kseg_fit(2, g, g) FROM generate_series(1, 100000) g',
	'SELECT kseg_fit(2, g) FROM generate_series(1, 1000000) g',
	'SELECT kseg_fit(2, ARRAY[g, g]::float8[]) FROM generate_series(1, 100000) g',
	'SELECT kseg_fit(2, repeat(g::text, 20000)) FROM generate_series(1, 100) g'
]) q, pg_temp.code_of(q);
-- few rows, but many segments of many values
SELECT kseg_fit(900, array_fill(g::float8, ARRAY[20]))
FROM generate_series(1, 1000) g;
SELECT kseg_elbow('SELECT array_fill(g::float8, ARRAY[20]) FROM generate_series(1, 1000) g', 1, 900);
RESET kseg.work_mem;
SELECT rows
FROM (SELECT kseg_fit(kseg_options(2, n_init => 1), g, g) AS m
	  FROM generate_series(1, 100000) g) s, kseg_info(m);
