--
-- Rows beyond kseg.work_mem go to a temporary file: the same models, and
-- nothing left behind.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- eight times what 1 MB holds, and more
CREATE TABLE spill_rows AS
SELECT i AS id, sqrt((hashint4(i) & 1048575)::float8) AS a, (hashint4(i + 1) & 1023) / 8.0 AS b,
       (hashint4(i + 2) & 255) + 300 * (i % 3) AS c, chr(65 + (hashint4(i + 3) & 3)) AS d,
       CASE WHEN i % 991 > 0 THEN hashint4(i + 4) & 63 END AS e, 1 + (i & 7) AS w
FROM generate_series(1, 150000) AS i;
ANALYZE spill_rows;

CREATE TABLE spill_options AS
SELECT o::jsonb AS o FROM unnest(ARRAY[
	'{"k": 4}', '{"k": 4, "scale": "robust", "clip": [0.01, 0.99]}',
	'{"k": 4, "nulls": "mean", "scale": "minmax", "clip": [0.2, 0.4]}',
	'{"k": 3, "row_weight": "w"}', '{"k": 12, "sample": 500, "n_init": 2}',
	'{"k": 4, "max_iter": 3, "order_by": "a"}']) AS o;
CREATE FUNCTION spill_fit(memory text, o jsonb) RETURNS kseg_model LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kseg.work_mem', memory, true);
	RETURN (SELECT kseg_fit(o, a, b, c, d, e, w) FROM spill_rows);
END $$;
CREATE FUNCTION spill_temp_files() RETURNS int LANGUAGE sql AS
	$$SELECT count(*)::int FROM pg_ls_tmpdir()$$;
SELECT o AS options, spill_fit('1MB', o) = spill_fit('1GB', o) AS same,
	spill_fit('3MB', o) = spill_fit('1GB', o) AS same_in_part
FROM spill_options ORDER BY o::text;
-- cosine has no categories
CREATE FUNCTION spill_cosine(memory text) RETURNS kseg_model LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kseg.work_mem', memory, true);
	RETURN (SELECT kseg_fit('{"k": 4, "distance": "cosine"}'::jsonb, a, b, c) FROM spill_rows);
END $$;
SELECT spill_cosine('1MB') = spill_cosine('1GB') AS same_directions;

-- an elbow, segments, a window
CREATE TABLE spill_elbow AS SELECT 'memory' AS how, e.* FROM kseg_elbow('SELECT a, b, c, d FROM spill_rows', 1, 4) AS e;
SET kseg.work_mem = '1MB';
INSERT INTO spill_elbow SELECT 'file', e.* FROM kseg_elbow('SELECT a, b, c, d FROM spill_rows', 1, 4) AS e;
SELECT k, count(DISTINCT (inertia, explained, silhouette, davies_bouldin, calinski_harabasz, stability, is_knee, note)) AS different
FROM spill_elbow GROUP BY k ORDER BY k;
CREATE TABLE spill_segments AS
SELECT key, segment, distance FROM kseg_segments('SELECT id, a, b, c, d FROM spill_rows', 'id', 4);
SELECT count(*) AS rows, count(*) FILTER (WHERE s.segment = kseg_predict(m.model, a, b, c, d)) AS same
FROM spill_rows JOIN spill_segments AS s ON s.key = id::text,
	(SELECT kseg_fit(4, a, b, c, d) AS model FROM spill_rows) AS m;
SELECT count(DISTINCT segment) AS segments, count(*) AS rows
FROM (SELECT kseg_cluster(4, a, b, c) OVER () AS segment FROM spill_rows) AS s;

-- an evaluation
RESET kseg.work_mem;
CREATE TABLE spill_model AS SELECT spill_fit('1GB', '{"k": 4, "nulls": "mean"}') AS model;
CREATE TABLE spill_evaluated AS
SELECT e.* FROM spill_model, kseg_evaluate(model, 'SELECT a, b, c, d, e, w FROM spill_rows') AS e;
SET kseg.work_mem = '1MB';
SELECT count(*) AS segments, count(*) FILTER (WHERE e = s) AS same
FROM spill_model, kseg_evaluate(model, 'SELECT a, b, c, d, e, w FROM spill_rows') AS e
	JOIN spill_evaluated AS s ON s.segment IS NOT DISTINCT FROM e.segment;

-- groups have a file each
SELECT count(*) AS groups, count(DISTINCT model::text) AS models
FROM (SELECT id % 3 AS g, kseg_fit(2, a, b, c) AS model FROM spill_rows GROUP BY id % 3) AS s;

-- statements that do not come to an end: cursors, with and without transaction
BEGIN;
DECLARE spill_cursor CURSOR FOR SELECT id % 3 AS g, kseg_fit(2, a, b, c) IS NOT NULL AS model FROM spill_rows GROUP BY id % 3;
FETCH 1 FROM spill_cursor;
SELECT spill_temp_files() > 0 AS in_use;
CLOSE spill_cursor;
SELECT spill_temp_files() AS left_behind;
DECLARE spill_cursor CURSOR FOR SELECT id % 3 AS g, kseg_fit(2, a, b, c) IS NOT NULL AS model FROM spill_rows GROUP BY id % 3;
FETCH 1 FROM spill_cursor;
COMMIT;
SELECT spill_temp_files() AS left_behind;

-- errors: in the rows, caught and not; the file's limit; a cancel
CREATE FUNCTION spill_caught(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN 'done';
EXCEPTION WHEN OTHERS OR query_canceled THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT spill_caught('SELECT kseg_fit(2, a, b, 1 / (140000 - id)) FROM spill_rows') AS caught, spill_temp_files() AS left_behind;
SELECT kseg_fit(2, a, b, 1 / (140000 - id)) FROM spill_rows;
SET temp_file_limit = '2MB';
-- newer servers quote the setting's name
SELECT replace(spill_caught('SELECT kseg_fit(2, a, b, c) FROM spill_rows'), '"', '') AS caught, spill_temp_files() AS left_behind;
\set VERBOSITY sqlstate
SELECT kseg_fit(2, a, b, c) FROM spill_rows;
\set VERBOSITY default
RESET temp_file_limit;
SELECT spill_temp_files() AS left_behind;
-- nothing of a caught error comes in the way of what follows
SELECT spill_caught('SELECT kseg_fit(2, a, b, 1 / (140000 - id)) FROM spill_rows') AS caught,
	(SELECT kseg_fit(2, a, b, c) FROM spill_rows) = (SELECT kseg_fit(2, a, b, c) FROM spill_rows) AS same;
SELECT spill_temp_files() AS left_behind;
RESET kseg.work_mem;

DROP TABLE spill_rows, spill_options, spill_elbow, spill_segments, spill_evaluated, spill_model;
DROP FUNCTION spill_fit(text, jsonb), spill_cosine(text), spill_temp_files(), spill_caught(text);
