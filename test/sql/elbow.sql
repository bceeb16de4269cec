--
-- kseg_elbow(): how good each number of segments is
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- four groups of unequal size
CREATE TABLE elbow_customer AS
SELECT i AS id, x + (i * 7 % 11) / 10.0 AS x, y + (i * 5 % 13) / 10.0 AS y
FROM generate_series(1, 100) AS i,
	LATERAL (SELECT CASE WHEN i <= 40 THEN 0 WHEN i <= 70 THEN 10
			WHEN i <= 90 THEN 0 ELSE 10 END AS x,
		CASE WHEN i <= 40 THEN 0 WHEN i <= 70 THEN 3
			WHEN i <= 90 THEN 20 ELSE 27 END AS y) AS g;

SELECT k, round(inertia::numeric, 6) AS inertia,
	round(explained::numeric, 6) AS explained,
	round(drop_pct::numeric, 4) AS drop_pct,
	smallest_share, iterations > 0 AS iterated, is_knee
FROM kseg_elbow('SELECT x, y FROM elbow_customer', 1, 8) ORDER BY k;
-- the same inertia as a fit of that k
SELECT bool_and(abs(inertia - (SELECT i.inertia FROM kseg_info(
	kseg_fit('SELECT x, y FROM elbow_customer', k)) AS i)) < 1e-9) AS same
FROM kseg_elbow('SELECT x, y FROM elbow_customer');
-- what explained and drop_pct say, and against what
SELECT k, abs(explained - (1 - inertia / 200)) < 1e-9 AS explained,
	abs(drop_pct - 100 * (1 - inertia / lag(inertia) OVER (ORDER BY k))) < 1e-9
		AS dropped
FROM kseg_elbow('SELECT x, y FROM elbow_customer', 3, 6) ORDER BY k;
-- named arguments, options; an option k is for fits and changes nothing here
SELECT e = d AS same
FROM kseg_elbow('SELECT x, y FROM elbow_customer', k_max => 3,
		options => kseg_options(k => 7, scale => 'none')) AS e
	JOIN kseg_elbow('SELECT x, y FROM elbow_customer', k_max => 3,
		options => '{"scale": "none"}') AS d USING (k) ORDER BY k;
-- one k has no knee
SELECT k, is_knee FROM kseg_elbow('SELECT x, y FROM elbow_customer', 4, 4);
-- more segments than distinct rows: the data cannot support them
SELECT k, round(inertia::numeric, 9) AS inertia,
	round(explained::numeric, 9) AS explained, round(drop_pct::numeric, 9) AS drop_pct,
	round(smallest_share::numeric, 3) AS smallest_share, iterations IS NULL AS none
FROM kseg_elbow('VALUES (1), (2), (2), (9)', 1, 5) ORDER BY k;
SELECT k, inertia, explained, drop_pct, smallest_share, is_knee
FROM kseg_elbow('VALUES (5), (5)', 1, 2) ORDER BY k;
SELECT k, inertia, explained, drop_pct, smallest_share, is_knee
FROM kseg_elbow('SELECT x, y FROM elbow_customer WHERE false', 1, 2) ORDER BY k;
-- rows with a null, a float8[], categories, weights
SELECT k, round(smallest_share::numeric, 6) AS smallest_share
FROM kseg_elbow('SELECT CASE WHEN id <> 1 THEN x END AS x, y
	FROM elbow_customer', 1, 2) ORDER BY k;
SELECT a.k, a = b AS same
FROM kseg_elbow('SELECT ARRAY[x, y]::float8[] FROM elbow_customer', 1, 3) AS a
	JOIN kseg_elbow('SELECT x, y FROM elbow_customer', 1, 3) AS b USING (k)
ORDER BY k;
SELECT k, smallest_share
FROM kseg_elbow('SELECT CASE WHEN x < 5 THEN ''left'' ELSE ''right'' END AS side, y,
	id % 2 AS half FROM elbow_customer', 1, 2, '{"row_weight": "half"}')
ORDER BY k;
-- a cursor reads it too, and it can be joined
BEGIN;
DECLARE elbow CURSOR FOR SELECT k FROM kseg_elbow('TABLE elbow_customer', 2, 4);
FETCH 2 FROM elbow;
COMMIT;


-- ---- what the figures mean ----

-- uniform in (0, 1) from two numbers, the same everywhere
CREATE FUNCTION elbow_u(i int, j int) RETURNS float8 IMMUTABLE LANGUAGE sql
AS $$ SELECT ((hashint8extended(i, j) & 4503599627370495) + 0.5) / 4503599627370496 $$;
-- three shapes: four groups; none; three groups of three
CREATE TABLE elbow_clear AS
SELECT (elbow_u(i, 1) > 0.5)::int + 0.4 * (elbow_u(i, 2) + elbow_u(i, 3)) AS x,
	(elbow_u(i, 4) > 0.5)::int + 0.4 * (elbow_u(i, 5) + elbow_u(i, 6)) AS y
FROM generate_series(1, 600) AS i;
CREATE TABLE elbow_none AS
SELECT elbow_u(i, 1) AS x, elbow_u(i, 2) AS y FROM generate_series(1, 600) AS i;
CREATE TABLE elbow_two AS
SELECT 10 * xs[a] + apart * xs[b] + spread * (elbow_u(i, 3) + elbow_u(i, 4)) AS x,
	10 * ys[a] + apart * ys[b] + spread * (elbow_u(i, 5) + elbow_u(i, 6)) AS y,
	apart
FROM generate_series(1, 900) AS i, CAST(ceil(3 * elbow_u(i, 1)) AS int) AS a,
	CAST(ceil(3 * elbow_u(i, 2)) AS int) AS b,
	(VALUES (1.5, 0.5), (2.8, 1.2)) AS s (apart, spread),
	(VALUES (ARRAY[1, -0.5, -0.5], ARRAY[0, 0.87, -0.87])) AS c (xs, ys);

SELECT k, round(silhouette::numeric, 3) AS silhouette,
	round(stability::numeric, 2) AS stability, is_knee, is_best_silhouette, note
FROM kseg_elbow('TABLE elbow_clear', 1, 8) ORDER BY k;
SELECT k, round(silhouette::numeric, 3) AS silhouette,
	round(stability::numeric, 2) AS stability, is_knee, is_best_silhouette, note
FROM kseg_elbow('TABLE elbow_none', 1, 8) ORDER BY k;
SELECT k, round(silhouette::numeric, 3) AS silhouette,
	round(stability::numeric, 2) AS stability, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x, y FROM elbow_two WHERE apart = 1.5', 1, 11) ORDER BY k;
-- elbow and silhouette need not agree
SELECT k, round(silhouette::numeric, 3) AS silhouette,
	round(stability::numeric, 2) AS stability, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x, y FROM elbow_two WHERE apart = 2.8', 2, 10) ORDER BY k;
-- the elbow may lie beyond k_max; one k is never enough to see one
SELECT k, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x, y FROM elbow_two WHERE apart = 1.5', 4, 8) ORDER BY k;
SELECT k, is_knee, is_best_silhouette, note
FROM kseg_elbow('TABLE elbow_clear', 5, 5) ORDER BY k;

-- Davies-Bouldin, Calinski-Harabasz and silhouette are those of the model
SELECT k, abs(e.silhouette - v.silhouette) < 1e-9 AS silhouette,
	abs(e.davies_bouldin - v.davies_bouldin) < 1e-9 AS davies_bouldin,
	abs(e.calinski_harabasz - v.calinski_harabasz) < 1e-9 * e.calinski_harabasz
		AS calinski_harabasz
FROM kseg_elbow('TABLE elbow_clear', 2, 5) AS e,
	kseg_evaluate(kseg_fit('TABLE elbow_clear', k), 'TABLE elbow_clear') AS v
WHERE v.segment IS NULL ORDER BY k;
-- nothing is said of one segment, of rows that are all alike, of no rows
SELECT k, silhouette, davies_bouldin, calinski_harabasz, stability,
	is_best_silhouette, note
FROM kseg_elbow('TABLE elbow_clear', 1, 1) ORDER BY k;
SELECT k, inertia, explained, silhouette, davies_bouldin, calinski_harabasz,
	stability, smallest_share, is_knee, is_best_silhouette, note
FROM kseg_elbow('VALUES (5), (5)', 1, 3) ORDER BY k \gx
SELECT k, inertia, silhouette, stability, iterations, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x FROM elbow_clear WHERE false', 1, 2) ORDER BY k;
SELECT k, inertia, silhouette, is_knee, is_best_silhouette, note
FROM kseg_elbow('VALUES (7)', 1, 2) ORDER BY k;
-- categories that know nothing of each other make no elbow
SELECT k, round(silhouette::numeric, 3) AS silhouette, is_best_silhouette, note
FROM kseg_elbow('SELECT CASE WHEN x > 0.9 THEN ''right'' ELSE ''left'' END AS side,
	CASE WHEN y > 0.9 THEN ''up'' ELSE ''down'' END AS height FROM elbow_clear', 1, 6)
ORDER BY k;
-- a few values, each of them often: they are the groups
SELECT k, is_knee, note
FROM kseg_elbow('SELECT i % 5 AS answer FROM generate_series(1, 200) AS i', 1, 6)
ORDER BY k;
-- but not where one of them is rare, and there is no k after the last value
SELECT k, round(drop_pct::numeric, 2) AS drop_pct, drop_pct <= 100 AS possible,
	is_knee, note
FROM kseg_elbow('SELECT CASE WHEN i > 3 THEN i % 4 ELSE 5 END AS answer
	FROM generate_series(1, 200) AS i', 1, 5) ORDER BY k;
SELECT k, drop_pct, is_knee, note FROM kseg_elbow('VALUES (1), (2), (5)', 3, 3);
SELECT k, drop_pct <= 100 AS possible, is_knee, note
FROM kseg_elbow('VALUES (1), (2), (5)', 1, 3) ORDER BY k;
-- small segments, a cut by max_iter, silhouettes from a sample
SELECT k, round(smallest_share::numeric, 4) AS smallest_share, note
FROM kseg_elbow('SELECT i / 100.0 AS x FROM generate_series(1, 600) AS i
	UNION ALL VALUES (-30), (-31), (40)', 2, 4) ORDER BY k;
SELECT k, note LIKE '%stopped by max_iter before it was done%' AS stopped
FROM kseg_elbow('SELECT elbow_u(i, 1), elbow_u(i, 2)
	FROM generate_series(1, 3000) AS i', 5, 5, '{"sample": 100, "max_iter": 1}');
SELECT k, is_best_silhouette, note
FROM kseg_elbow('SELECT i % 4 AS a, i % 3 AS b FROM generate_series(1, 12345) AS i', 10, 12)
ORDER BY k;
-- directions, categories, row weights, options that change the search
SELECT k, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x - 0.9 AS x, y - 0.9 AS y FROM elbow_clear', 2, 6,
	'{"distance": "cosine", "scale": "none"}') ORDER BY k;
SELECT k, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x, CASE WHEN y > 0.9 THEN ''up'' ELSE ''down'' END AS height
	FROM elbow_clear', 2, 6) ORDER BY k;
SELECT k, is_knee, is_best_silhouette, note
FROM kseg_elbow('SELECT x, y, 1 + x AS weight FROM elbow_clear', 2, 6,
	'{"row_weight": "weight", "sample": 200, "seed": 7}') ORDER BY k;

-- every column has the same bits in any order of the rows, with any vector
-- unit, with a plan that is parallel
CREATE TABLE elbow_bits AS
SELECT elbow_u(i, 1) AS x, elbow_u(i, 2) + elbow_u(i, 3) AS y,
	CASE WHEN elbow_u(i, 4) < 0.3 THEN 'a' ELSE 'b' END AS c,
	1 + i % 3 AS weight
FROM generate_series(1, 11000) AS i;
CREATE TABLE elbow_found AS
SELECT e::text AS row FROM kseg_elbow('TABLE elbow_bits', 1, 4,
	'{"row_weight": "weight", "n_init": 1}') AS e;
SET kseg.simd = baseline;
SELECT count(*) FROM elbow_found WHERE row IN (SELECT e::text
	FROM kseg_elbow('SELECT * FROM elbow_bits ORDER BY y', 1, 4,
		'{"row_weight": "weight", "n_init": 1}') AS e);
RESET kseg.simd;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE elbow_bits SET (parallel_workers = 2);
SELECT count(*) FROM elbow_found WHERE row IN (SELECT e::text
	FROM kseg_elbow('TABLE elbow_bits', 1, 4,
		'{"row_weight": "weight", "n_init": 1}') AS e);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- and it only reads
BEGIN TRANSACTION READ ONLY;
SELECT count(*) FROM kseg_elbow('TABLE elbow_clear', 1, 3);
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
	(1, '(''TABLE elbow_customer'', 0, 5)'),
	(2, '(''TABLE elbow_customer'', 5, 4)'),
	(3, '(''TABLE elbow_customer'', 1, 10001)'),
	(4, '(''TABLE elbow_customer'', NULL, 4)'),
	(5, '(NULL)'),
	(6, '(''DELETE FROM elbow_customer'')'),
	(7, '(''TABLE elbow_customer'', 1, 500, ''{"sample": 400}'')'),
	(8, '(''TABLE elbow_customer'', 1, 3, ''{"init": [[1, 2, 3], [4, 5, 6]]}'')'),
	(9, '(''TABLE elbow_customer'', 1, 3, ''{"k_max": 3}'')'),
	(10, '(''VALUES (1), (2)'', 1, 3, ''{"small": "error"}'')'),
	(11, '(''SELEC x FROM elbow_customer'')')) AS c (n, call),
	failure('SELECT * FROM kseg_elbow' || call) AS f
ORDER BY n \gx

-- the solutions of all k are kept
SET kseg.work_mem = '1MB';
SELECT count(*) FROM kseg_elbow('SELECT array_fill(i::float8, ARRAY[100])
	FROM generate_series(1, 100) AS i', 1, 40);
RESET kseg.work_mem;

-- a segmentation without k asks for the best
CREATE FUNCTION chosen(name text, query text, options jsonb)
	RETURNS TABLE (reason text, k int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kseg_create(name, query, 'id', options => options);
	SELECT r.reason INTO reason FROM kseg_run(name) AS r;
	SELECT max(segment) INTO k FROM kseg_sizes
		WHERE run = (SELECT max(id) FROM kseg_runs);
	PERFORM kseg_drop(name);
	RETURN NEXT;
END $$;
CREATE TABLE elbow_chosen (id int PRIMARY KEY, u float8, one int);
INSERT INTO elbow_chosen
SELECT i, i * 7919 % 1009 / 1009.0, 1 FROM generate_series(1, 300) AS i;
ALTER TABLE elbow_customer ADD PRIMARY KEY (id);
SET client_min_messages = warning;
SELECT c.*
FROM (VALUES (1, 'groups', 'SELECT id, x, y FROM elbow_customer', NULL),
	(2, 'none', 'SELECT id, u FROM elbow_chosen', NULL),
	(3, 'alike', 'SELECT id, one FROM elbow_chosen', NULL),
	(4, 'two', 'SELECT id, u FROM elbow_chosen WHERE id < 3',
	 '{"small": "error"}')) AS v (n, name, query, options),
	chosen(name, query, options::jsonb) AS c
ORDER BY n;
RESET client_min_messages;

DROP FUNCTION failure, elbow_u, chosen;
DROP TABLE elbow_customer, elbow_clear, elbow_none, elbow_two, elbow_bits, elbow_found,
	elbow_chosen;
