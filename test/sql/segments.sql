--
-- kseg_segments(): the segment of each row of a query, by a model or by a fit
-- of its own
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET datestyle = 'ISO';

CREATE TYPE segments_tier AS ENUM ('bronze', 'silver', 'gold');
CREATE TABLE segments_customer AS
SELECT i AS id, 'c' || i AS name,
	(CASE i % 3 WHEN 0 THEN 20 WHEN 1 THEN 45 ELSE 70 END) + i % 5 AS age,
	(CASE i % 3 WHEN 0 THEN 1000 WHEN 1 THEN 5000 ELSE 3000 END) + i AS income,
	(ARRAY['bronze', 'gold', 'silver']::segments_tier[])[i % 3 + 1] AS tier
FROM generate_series(1, 92) AS i;
CREATE TABLE segments_model AS
SELECT kseg_fit(3, age, income, tier) AS model FROM segments_customer;

-- ---- with a model ----

SELECT key, s.segment, round(distance::numeric, 6) AS distance,
	second_segment, round(margin::numeric, 6) AS margin, is_outlier
FROM segments_model, kseg_segments('SELECT * FROM segments_customer', 'id', model) AS s
ORDER BY key::int LIMIT 5;
-- the same as row by row; columns are found by name, in any order, and others
-- do not matter
SELECT count(*), bool_and((s.segment, s.distance, s.second_segment, s.margin, s.is_outlier)
	= (p.segment, p.distance, p.second_segment, p.margin, p.is_outlier)) AS same
FROM segments_model, segments_customer AS c,
	kseg_score(model, age, income, tier) AS p,
	kseg_segments('SELECT name, tier::text, 0 AS zero, income::numeric, id, age
		FROM segments_customer ORDER BY name', 'name', model) AS s
WHERE s.key = c.name;
-- keys of any type, missing and double ones; rows with a null have no segment
SELECT key, s.segment, s.distance IS NULL AS without, second_segment, is_outlier
FROM segments_model, kseg_segments($$VALUES
	(date '2024-05-01', 20, 1000, 'bronze'), (NULL, 20, 1000, 'bronze'),
	('2024-05-01', 45, 5000, 'gold'), ('2024-05-02', NULL, 5000, 'gold'),
	('2024-05-03', 45, 5000, 'none')$$, 'column1',
	kseg_fit('SELECT age AS column2, income AS column3, tier AS column4
		FROM segments_customer', 3)) AS s
ORDER BY key, s.segment;
-- a float8[] holds all features
SELECT s.segment, count(*)
FROM kseg_segments('SELECT id, ARRAY[age, income]::float8[] AS both FROM segments_customer',
	'id', kseg_fit('SELECT age, income FROM segments_customer', 3)) AS s
GROUP BY 1 ORDER BY 1;
-- one segment has no second
SELECT key, segment, round(distance::numeric, 6) AS distance, second_segment, margin
FROM kseg_segments('VALUES (1, 1), (2, 3)', 'column1',
	kseg_fit('VALUES (0, 1), (0, 3)', 1, '{"scale": "none"}')) AS s ORDER BY key;

-- ---- with a fit of its own ----

SELECT s.segment, count(*), bool_and(s.segment = kseg_predict(model, age, income, tier)) AS same
FROM segments_model, segments_customer AS c
	JOIN kseg_segments('SELECT id, age, income, tier FROM segments_customer',
		'id', 3) AS s ON s.key = c.id::text
GROUP BY 1 ORDER BY 1;
-- options instead of k; the key need not be the first
SELECT segment, count(*), min(length(key)), max(is_outlier::int)
FROM kseg_segments('SELECT age, income, name FROM segments_customer', 'name',
	options => kseg_options(k => 2, scale => 'minmax', seed => 7))
GROUP BY 1 ORDER BY 1;
-- rows that are skipped stand where they were, and have no segment
CREATE TABLE segments_holes AS
SELECT id, CASE WHEN id % 4 <> 0 THEN age END AS age,
	CASE WHEN id NOT IN (1, 92) THEN income END AS income, id % 5 AS times
FROM segments_customer;
SELECT segment IS NULL AS without, count(*), min(key::int), max(key::int),
	count(distance), count(margin), count(is_outlier)
FROM kseg_segments('SELECT id, age, income FROM segments_holes', 'id', 3)
GROUP BY 1 ORDER BY 1;
SELECT bool_and((s.segment IS NULL) = (age IS NULL OR income IS NULL OR times = 0)) AS right_ones
FROM segments_holes AS h JOIN kseg_segments('TABLE segments_holes', 'id', 3,
	'{"row_weight": "times"}') AS s ON s.key = h.id::text;
-- a null is filled with the option, and still no row is lost
SELECT count(*), count(segment) FROM kseg_segments(
	'SELECT id, age, income FROM segments_holes', 'id', 3, '{"nulls": "mean"}');
-- arrays, and arrays that are missing
SELECT segment, count(*) FROM kseg_segments(
	'SELECT CASE WHEN id % 10 > 0 THEN ARRAY[age, income]::float8[] END AS both, id
	 FROM segments_customer', 'id', 3) GROUP BY 1 ORDER BY 1;
-- all rows skipped, no rows at all, fewer rows than segments
SELECT * FROM kseg_segments('SELECT id, NULL::int AS age FROM segments_customer
	WHERE id < 4', 'id', 3) ORDER BY key;
SELECT count(*) FROM kseg_segments('SELECT id, age FROM segments_customer
	WHERE false', 'id', 3);
SELECT key, segment, second_segment FROM kseg_segments(
	'VALUES (1, 10), (2, 20), (3, 20)', 'column1', 3) ORDER BY key;
-- keys that do not fit into work_mem
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT key), count(segment), sum(length(key))
FROM kseg_segments('SELECT repeat(''k'', 100) || i AS key, i % 100 AS x, i % 7 AS y
	FROM generate_series(1, 20000) AS i', 'key', 4, '{"n_init": 1}');
RESET work_mem;

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
	(1, '(''SELECT id, age FROM segments_customer'', ''Id'', 3)'),
	(2, '(''SELECT id, age FROM segments_customer'', ''id, age'', 3)'),
	(3, '(''SELECT id, age FROM segments_customer'', NULL, 3)'),
	(4, '(NULL, ''id'', 3)'),
	(5, '(''SELECT id, age FROM segments_customer'', ''id'', NULL::int)'),
	(6, '(''SELECT id, age FROM segments_customer'', ''id'', 0)'),
	(7, '(''SELECT id FROM segments_customer'', ''id'', 3)'),
	(8, '(''SELECT'', ''id'', 3)'),
	(9, '(''SELECT id, age FROM segments_customer'', ''id'', (SELECT model FROM segments_model))'),
	(10, '(''SELECT id, age, tier AS income, income AS tier FROM segments_customer'', ''id'', (SELECT model FROM segments_model))'),
	(11, '(''SELECT id, age, income, tier FROM segments_customer'', ''number'', (SELECT model FROM segments_model))'),
	(12, '(''SELECT id, age, income, tier FROM segments_customer'', ''id'', NULL::kseg_model)'),
	(13, '(''SELECT id, age, income, tier FROM segments_customer'', ''id'', (SELECT model FROM segments_model), ''{"k": 4}'')'),
	(14, '(''DELETE FROM segments_customer RETURNING *'', ''id'', (SELECT model FROM segments_model))'),
	(15, '(''SELECT id, ARRAY[1, 2]::float8[] AS both FROM segments_customer'', ''id'', (SELECT model FROM segments_model))'),
	(16, '(''SELECT id, age / 0.0 AS x FROM segments_customer'', ''id'', 3)'))
	AS c (n, call),
	failure('SELECT * FROM kseg_segments' || call) AS f
ORDER BY n \gx

DROP FUNCTION failure;
DROP TABLE segments_customer, segments_model, segments_holes;
DROP TYPE segments_tier;
