--
-- kseg_project(): rows of a query on their principal axes
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET datestyle = 'ISO';

-- ---- against scikit-learn ----

-- PCA(3).fit_transform(StandardScaler().fit_transform(rows)), signs as ours:
-- what weighs most in an axis is positive
CREATE TABLE project_customer (id int, age int, income int, score int,
	x float8, y float8, z float8);
INSERT INTO project_customer VALUES
	(1, 23, 15, 39, -1.666943765509, 0.215259394601, 0.011718588220),
	(2, 31, 17, 81, -0.772922304082, 1.326022353290, -0.637509162227),
	(3, 22, 16, 6, -2.056166103107, -0.810398204731, 0.306325673500),
	(4, 58, 77, 77, 1.721420189552, 0.303285047522, -0.736288175537),
	(5, 35, 19, 40, -0.981725244972, -0.095572214635, -0.522515851708),
	(6, 47, 120, 18, 1.394168750101, -1.375345593353, 1.116650324823),
	(7, 30, 78, 91, 0.507431973534, 1.523543882624, 0.614909145166),
	(8, 64, 60, 50, 1.383995594363, -0.681618795093, -1.212932007920),
	(9, 29, 61, 49, -0.340151589937, 0.255137379575, 0.595828825094),
	(10, 36, 87, 12, 0.123555393089, -1.180803235997, 1.030436654710),
	(11, 33, 88, 92, 0.867040525556, 1.447782706325, 0.663525044320),
	(12, 52, 23, 29, -0.179703418588, -0.927292720130, -1.230149058442);
CREATE TABLE project_model AS
SELECT kseg_fit(3, age, income, score) AS model FROM project_customer;

SELECT key, p.segment, round(p.x::numeric, 6) AS x, round(p.y::numeric, 6) AS y, p.z,
	round(explained::numeric, 12) AS explained
FROM project_model, kseg_project(model, 'SELECT * FROM project_customer', 'id') AS p
LIMIT 4;
-- 0.4600739 + 0.32375657 of the variance, and all of it
SELECT dims, count(*), max(abs(p.x - c.x)) < 1e-9 AS x, max(abs(p.y - c.y)) < 1e-9 AS y,
	max(abs(p.z - c.z)) < 1e-9 AS z, min(round(explained::numeric, 12)) AS least,
	max(round(explained::numeric, 12)) AS most,
	bool_and(p.segment = kseg_predict(model, age, income, score)) AS segments
FROM project_model, (VALUES (2), (3)) AS d (dims),
	kseg_project(model, 'SELECT * FROM project_customer', 'id', dims) AS p
	JOIN project_customer AS c ON c.id::text = p.key
GROUP BY dims ORDER BY dims;
-- the axes are those of the rows given, whatever rows the model comes from
SELECT dims, max(abs(p.x - c.x)) < 1e-9 AS x, max(abs(p.y - c.y)) < 1e-9 AS y,
	max(abs(p.z - c.z)) < 1e-9 AS z
FROM (SELECT kseg_fit('VALUES (0, 0, 0), (100, 200, 200), (7, 9, 60)', 2,
	jsonb_build_object('init', ARRAY[[0, 0, 0], [1, 1, 1]], 'scale', 'none',
		'weights', jsonb_build_object('column1', 1 / var_pop(age),
			'column2', 1 / var_pop(income), 'column3', 1 / var_pop(score)))) AS model
	FROM project_customer) AS m, (VALUES (2), (3)) AS d (dims),
	kseg_project(model, 'SELECT id, score AS column3, age AS column1, income AS column2
		FROM project_customer ORDER BY score', 'id', dims) AS p
	JOIN project_customer AS c ON c.id::text = p.key
GROUP BY dims ORDER BY dims;

-- ---- rows, keys, segments ----

-- in the query's order; keys of any type, missing and double ones; a row with
-- a null has no segment and is left out
SELECT key, segment, round(x::numeric, 6) AS x, round(y::numeric, 6) AS y
FROM kseg_project((SELECT kseg_fit('SELECT * FROM (VALUES (1, 2.0), (2, 5.0), (7, 1.0)) AS v (a, b)', 2)),
	$$SELECT * FROM (VALUES
	(date '2024-05-03', 1, 2.0), (NULL, 2, 5.0), ('2024-05-01', 7, NULL),
	('2024-05-01', 7, 1.0), ('2024-05-01', 7, 1.0)) AS v (day, a, b)$$, 'day') AS p;
-- with nulls => mean it has one
SELECT count(*), count(segment), count(x), count(z)
FROM (SELECT kseg_fit('{"k": 2, "nulls": "mean"}'::jsonb, age, income) AS model
	FROM project_customer) AS m,
	kseg_project(model, 'SELECT id, nullif(age, 23) AS age, income FROM project_customer',
		'id', 3) AS p;
-- a float8[] holds all features
SELECT count(*), bool_and((p.segment, p.x, p.y, p.explained) = (q.segment, q.x, q.y, q.explained)) AS same
FROM project_model, kseg_project(model, 'SELECT * FROM project_customer', 'id') AS p
	JOIN kseg_project((SELECT model FROM project_model),
		'SELECT id, ARRAY[age, income, score]::float8[] AS f FROM project_customer', 'id') AS q
	USING (key);

-- ---- few dimensions ----

-- no rows; none with a segment; one row; equal rows
SELECT count(*) FROM project_model,
	kseg_project(model, 'SELECT * FROM project_customer WHERE false', 'id');
SELECT count(*) FROM project_model,
	kseg_project(model, 'SELECT id, age, income, NULL::int AS score FROM project_customer', 'id', 3, 5);
SELECT p.* FROM project_model,
	kseg_project(model, 'SELECT * FROM project_customer WHERE id = 4', 'id', 3) AS p;
SELECT p.* FROM project_model,
	kseg_project(model, 'SELECT id, 30 AS age, 0.1 AS income, 40 AS score
		FROM project_customer WHERE id < 4', 'id') AS p;
-- one feature has one axis; so have columns that follow from each other
SELECT key, round(x::numeric, 6) AS x, y, z, explained
FROM kseg_project((SELECT kseg_fit(2, age) FROM project_customer),
	'SELECT * FROM project_customer', 'id', 3, 3) AS p;
SELECT count(DISTINCT x), count(DISTINCT y), max(y), min(y), max(abs(explained - 1)) < 1e-14 AS all_of_it
FROM kseg_project(kseg_fit('SELECT age, 7 - 3 * age AS less, age / 10.0 AS tenth FROM project_customer', 2),
	'SELECT id, age, 7 - 3 * age AS less, age / 10.0 AS tenth FROM project_customer', 'id');

-- ---- categories ----

CREATE TYPE project_tier AS ENUM ('bronze', 'silver', 'gold');
CREATE TABLE project_mixed AS
SELECT i AS id, 20 + (hashint4(i) & 31) + 20 * (i % 3 = 0)::int AS age,
	exp(((hashint4(i + 7) & 1023) / 256.0)::float8) AS spend,
	(ARRAY['bronze', 'gold', 'silver']::project_tier[])[1 + (hashint4(i + 5) & 7) % 3] AS tier,
	(ARRAY['north', 'south', 'east', 'west'])[1 + (i % 3 + (hashint4(i + 3) & 1))] AS region
FROM generate_series(1, 3000) AS i;
CREATE TABLE project_mixed_model AS
SELECT kseg_fit(4, age, tier, spend, region) AS model FROM project_mixed;
-- all distances are kept by all axes: three axes of two categories are two,
-- and rows of different tiers stand 2 * factor^2 apart
SELECT count(*), count(DISTINCT (x, y)), max(z), min(z),
	max(abs(explained - 1)) < 1e-14 AS all_of_it
FROM kseg_project((SELECT kseg_fit(3, tier) FROM project_mixed),
	'TABLE project_mixed', 'id', 3);
SELECT max(abs((p.x - q.x) ^ 2 + (p.y - q.y) ^ 2 - 2 / (1 - s.same))) < 1e-12 AS apart
FROM (SELECT sum((n / 3000.0) ^ 2) AS same FROM (SELECT count(*) AS n FROM project_mixed GROUP BY tier) AS t) AS s,
	(SELECT DISTINCT c.tier, p.x, p.y FROM project_mixed AS c
		JOIN kseg_project((SELECT kseg_fit(3, tier) FROM project_mixed), 'TABLE project_mixed', 'id') AS p
		ON p.key = c.id::text) AS p (tier, x, y),
	(SELECT DISTINCT c.tier, p.x, p.y FROM project_mixed AS c
		JOIN kseg_project((SELECT kseg_fit(3, tier) FROM project_mixed), 'TABLE project_mixed', 'id') AS p
		ON p.key = c.id::text) AS q (tier, x, y)
WHERE p.tier < q.tier;
-- one that the model has never seen is one more category
SELECT count(*), count(DISTINCT (x, y)), count(DISTINCT segment) < 4 AS in_few
FROM kseg_project(kseg_fit('SELECT tier::text FROM project_mixed', 3),
	$$SELECT id, CASE id % 7 WHEN 0 THEN 'tin' WHEN 1 THEN 'lead' ELSE tier::text END AS tier
	FROM project_mixed$$, 'id', 3);

-- ---- the same bits ----

CREATE TABLE project_bits AS
SELECT 'as stored' AS how, p.* FROM project_mixed_model, kseg_project(model, 'TABLE project_mixed', 'id', 3) AS p;
INSERT INTO project_bits
SELECT how, p.* FROM project_mixed_model, (VALUES ('shuffled', 'hashint4(id)'),
	('sorted', 'spend DESC'), ('grouped', 'region, tier')) AS o (how, by),
	kseg_project(model, 'SELECT * FROM project_mixed ORDER BY ' || by, 'id', 3) AS p;
DO $$
DECLARE
	unit text;
BEGIN
	FOREACH unit IN ARRAY ARRAY['auto', 'baseline', 'avx2', 'avx512']
	LOOP
		BEGIN
			PERFORM set_config('kseg.simd', unit, true);
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;				-- a machine without it: the one before again
		END;
		INSERT INTO project_bits
		SELECT unit, p.* FROM project_mixed_model,
			kseg_project(model, 'SELECT region, spend, tier, id, age::numeric FROM project_mixed', 'id', 3) AS p;
	END LOOP;
END $$;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
INSERT INTO project_bits
SELECT 'parallel', p.* FROM project_mixed_model, kseg_project(model, 'SELECT * FROM project_mixed WHERE age > 0', 'id', 3) AS p;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT a.how, count(*), bool_and((a.segment, a.x, a.y, a.z, a.explained) = (b.segment, b.x, b.y, b.z, b.explained)) AS same
FROM project_bits AS a JOIN project_bits AS b USING (key)
WHERE b.how = 'as stored' AND a.how NOT LIKE 'avx%' GROUP BY a.how ORDER BY a.how;
SELECT bool_and((a.segment, a.x, a.y, a.z, a.explained) = (b.segment, b.x, b.y, b.z, b.explained)) IS NOT FALSE AS same
FROM project_bits AS a JOIN project_bits AS b USING (key)
WHERE b.how = 'as stored' AND a.how LIKE 'avx%';
-- and on every machine: if this changes, the changelog must say so
SELECT md5(string_agg(concat_ws(',', key, segment, x, y, z, explained), ';' ORDER BY key::int)) AS golden
FROM project_bits WHERE how = 'as stored';

-- ---- a part of the rows ----

-- whose choice and order depend on no order; the axes are those of all rows
CREATE TABLE project_some AS
SELECT by, p.*
FROM project_mixed_model, (VALUES ('id'), ('hashint4(id)'), ('spend DESC')) AS o (by),
	kseg_project(model, 'SELECT * FROM project_mixed ORDER BY ' || by, 'id', 3, 100)
	WITH ORDINALITY AS p (key, segment, x, y, z, explained, n);
SELECT s.by, count(*), bool_and((s.segment, s.x, s.y, s.z, s.explained) = (b.segment, b.x, b.y, b.z, b.explained)) AS same,
	md5(string_agg(key, ' ' ORDER BY n)) AS chosen
FROM project_some AS s JOIN project_bits AS b USING (key)
WHERE b.how = 'as stored' GROUP BY 1 ORDER BY 1;
-- fewer of them are the first of more; there may be fewer than asked for
SELECT string_agg(key, ' ') FROM project_mixed_model,
	kseg_project(model, 'TABLE project_mixed', 'id', 3, 5);
SELECT string_agg(key, ' ' ORDER BY n) FROM project_some WHERE by = 'id' AND n <= 5;
SELECT count(*), count(DISTINCT key), count(z) FROM project_mixed_model,
	kseg_project(model, 'TABLE project_mixed', 'id', max_rows => 4000);
-- as one draws: segments keep their shares, equal rows are not left out or
-- taken together
SELECT count(*) BETWEEN 430 AND 570 AS half
FROM kseg_project((SELECT kseg_fit(2, age) FROM project_mixed),
	'SELECT i, 20 + 30 * (i % 2) AS age FROM generate_series(1, 10000) AS i', 'i', 2, 1000)
WHERE x < 0;
-- the key tells rows apart; without one, those of equal values are taken
-- together
SELECT count(*), count(key), count(DISTINCT x) FROM kseg_project((SELECT kseg_fit(2, age) FROM project_mixed),
	'SELECT NULL::int AS i, 20 + 30 * (i % 2) AS age FROM generate_series(1, 100) AS i', 'i', 2, 60);
-- keys that do not fit into work_mem
SET work_mem = '64kB';
SELECT shown, count(*), count(DISTINCT key), max(abs(x)) > 1 AS far
FROM (VALUES (NULL), (15000)) AS s (shown), kseg_project((SELECT kseg_fit(2, age, spend) FROM project_mixed),
	'SELECT repeat(''k'', 100) || i AS key, i % 100 AS age, i % 7 AS spend
	FROM generate_series(1, 20000) AS i', 'key', 2, shown)
GROUP BY 1 ORDER BY 1;
RESET work_mem;

-- ---- changes nothing ----

BEGIN READ ONLY;
SELECT count(*) FROM project_mixed_model, kseg_project(model, 'TABLE project_mixed', 'id');
SELECT count(*) FROM project_mixed_model, kseg_project(model, 'TABLE project_mixed', 'id', 3, 7);
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
	(1, '(model, ''TABLE project_customer'', ''id'', 1)'),
	(2, '(model, ''TABLE project_customer'', ''id'', 4)'),
	(3, '(model, ''TABLE project_customer'', ''id'', NULL)'),
	(4, '(model, ''TABLE project_customer'', ''id'', max_rows => 0)'),
	(5, '(model, ''TABLE project_customer'', ''number'')'),
	(6, '(model, ''TABLE project_customer'', NULL)'),
	(7, '(model, NULL, ''id'')'),
	(8, '(NULL::kseg_model, ''TABLE project_customer'', ''id'')'),
	(9, '(model, ''SELECT id, age, score FROM project_customer'', ''id'')'),
	(10, '(model, ''SELECT id, age, income::text, score FROM project_customer'', ''id'')'),
	(11, '(model, ''SELECT id, age, income, score * 1e160 AS score FROM project_customer'', ''id'')'),
	(12, '(model, ''DELETE FROM project_customer RETURNING *'', ''id'')'))
	AS c (n, call),
	failure('SELECT p.* FROM project_model, kseg_project' || call || ' AS p') AS f
ORDER BY n \gx

-- memory: of the rows, of what their covariances take, and how wide they are
SET kseg.work_mem = '1MB';
SELECT f.* FROM failure($$SELECT count(*) FROM project_model, kseg_project(model,
	'SELECT i, i % 7 AS age, i % 11 AS income, i % 13 AS score
	FROM generate_series(1, 50000) AS i', 'i')$$) AS f \gx
SET kseg.work_mem = '16MB';
CREATE TABLE project_wide AS
SELECT kseg_fit('SELECT i::text AS name, i % 7 AS x FROM generate_series(1, 2500) AS i', 2) AS model;
SET kseg.work_mem = '1MB';
SELECT f.* FROM failure($$SELECT count(*) FROM project_wide, kseg_project(model,
	'SELECT i::text AS name, i % 7 AS x FROM generate_series(1, 500) AS i', 'name')$$) AS f \gx
RESET kseg.work_mem;
SELECT f.* FROM failure($$SELECT count(*) FROM project_wide, kseg_project(model,
	'SELECT i::text AS name, i % 7 AS x FROM generate_series(1, 2500) AS i', 'name')$$) AS f \gx
-- categories that do not occur are no dimensions
SELECT count(*), count(DISTINCT (x, y, z)) FROM project_wide, kseg_project(model,
	'SELECT i, (i % 9)::text AS name, 1 AS x FROM generate_series(1, 100) AS i', 'i', 3);

DROP FUNCTION failure;
DROP TABLE project_customer, project_model, project_mixed, project_mixed_model,
	project_bits, project_some, project_wide;
DROP TYPE project_tier;
