--
-- one model per group: GROUP BY, FILTER, DISTINCT, ORDER BY, plans, memory
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TABLE groups_rows AS
	SELECT g AS id, g % 4 AS r, (g * 7919 % 10007) / 7.0 AS a,
		g * 104729 % 1009 AS b, round((g * 31 % 997) / 9.0, 3) AS c,
		'c' || g * 7 % 5 AS d
	FROM generate_series(1, 2000) g;
ANALYZE groups_rows;

-- ---- a group's model is the model of its rows ----

SELECT r, (SELECT kseg_fit(3, a, b, c, d) FROM groups_rows i
		   WHERE i.r = o.r) = m AS same,
	(m::jsonb -> 'rows')::int AS rows
FROM (SELECT r, kseg_fit(3, a, b, c, d) AS m FROM groups_rows GROUP BY r) o
ORDER BY r;
SELECT count(*) FILTER (WHERE f = w), count(*)
FROM (SELECT r, kseg_fit(3, a, b, c) FILTER (WHERE d <> 'c1') AS f
	  FROM groups_rows GROUP BY r) s
	JOIN (SELECT r, kseg_fit(3, a, b, c) AS w
		  FROM groups_rows WHERE d <> 'c1' GROUP BY r) t USING (r);
SELECT count(*)
FROM (SELECT r, kseg_fit(DISTINCT 3, b % 30, c) AS f
	  FROM groups_rows GROUP BY r) s
	JOIN (SELECT r, kseg_fit(3, x, c) AS w
		  FROM (SELECT DISTINCT r, b % 30 AS x, c FROM groups_rows) i
		  GROUP BY r) t USING (r)
WHERE (f::jsonb -> 'segments') = (w::jsonb -> 'segments');
-- groups that give none
SELECT r, kseg_fit(2, a) FILTER (WHERE r > 1) IS NULL AS no_model,
	kseg_fit(2, a, CASE WHEN r > 2 THEN b END) IS NULL AS only_nulls
FROM groups_rows GROUP BY r ORDER BY r;
-- k and options may be the group's
SELECT r, (kseg_fit(r + 1, a, b)::jsonb -> 'k')::int AS k,
	kseg_fit(kseg_options(2, scale => (ARRAY['none', 'minmax', 'zscore',
											 'robust'])[r + 1]), a, b)::jsonb
	->> 'scale' AS scale
FROM groups_rows GROUP BY r ORDER BY r;
SELECT r, kseg_fit(b % 2 + 1, a) FROM groups_rows GROUP BY r;
-- several in one statement, some of them the same call
SELECT count(DISTINCT x), count(DISTINCT y), count(DISTINCT z)
FROM (SELECT kseg_fit(2, a, b)::text AS x, kseg_fit(2, a, b)::text AS y,
		  kseg_fit(2, b, a)::text || max(a) AS z
	  FROM groups_rows GROUP BY r
	  HAVING kseg_fit(2, a, b) IS NOT NULL) s;
-- grouping sets, and the total beside the groups
SELECT grouping(r) AS total, r,
	(kseg_fit(2, a, b)::jsonb -> 'rows')::int AS rows
FROM groups_rows GROUP BY ROLLUP (r) ORDER BY 1, 2;

-- ---- plans make no difference ----

CREATE TEMP TABLE models (plan text, r int, m text);
SET enable_hashagg = off;
INSERT INTO models
	SELECT 'sorted', r, kseg_fit(3, a, b, c, d) FROM groups_rows GROUP BY r;
SET enable_hashagg = on;
SET enable_sort = off;
INSERT INTO models
	SELECT 'hashed', r, kseg_fit(3, a, b, c, d) FROM groups_rows GROUP BY r;
SET work_mem = '64kB';
INSERT INTO models
	SELECT 'spilled', r, kseg_fit(3, a, b, c, d) FROM groups_rows GROUP BY r;
RESET work_mem;
-- the hash table is read twice, each time asking for the models
SET enable_material = off;
INSERT INTO models
	SELECT 'rescanned', r, m
	FROM (VALUES (1), (2)) v(n) LEFT JOIN
		(SELECT r, kseg_fit(3, a, b, c, d)::text AS m
		 FROM groups_rows GROUP BY r) s ON true;
RESET enable_material;
RESET enable_sort;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
INSERT INTO models
	SELECT 'parallel', r, kseg_fit(3, a, b, c, d) FROM groups_rows
	WHERE sqrt(a) + sqrt(b) + sqrt(c) >= 0 GROUP BY r;
CREATE TABLE groups_parts (LIKE groups_rows) PARTITION BY LIST (r);
CREATE TABLE groups_parts_1 PARTITION OF groups_parts FOR VALUES IN (0, 1);
CREATE TABLE groups_parts_2 PARTITION OF groups_parts FOR VALUES IN (2, 3);
INSERT INTO groups_parts SELECT * FROM groups_rows ORDER BY id DESC;
ANALYZE groups_parts;
SET enable_partitionwise_aggregate = on;
INSERT INTO models
	SELECT 'partitions', r, kseg_fit(3, a, b, c, d)
	FROM groups_parts GROUP BY r;
RESET enable_partitionwise_aggregate;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
SELECT plan, count(*), count(DISTINCT m) FROM models GROUP BY plan
ORDER BY plan;
SELECT r, count(DISTINCT m) FROM models GROUP BY r ORDER BY r;

-- ---- a thousand groups ----

CREATE TEMP TABLE thousand AS
	SELECT g % 1000 AS r, (g * 7919 % 10007) / 7.0 AS a,
		g::bigint * 104729 % 1009 AS b
	FROM generate_series(0, 99999) g;
-- few rows in two of the groups: one notice for all
UPDATE thousand SET a = 1, b = 1 WHERE r IN (998, 999);
ANALYZE thousand;
SELECT count(*), sum(rows) AS rows, min(k), max(k),
	count(*) FILTER (WHERE k < 3) AS fewer
FROM (SELECT kseg_fit(kseg_options(3, n_init => 1), a, b) AS m
	  FROM thousand GROUP BY r) s, kseg_info(m);
-- kseg.work_mem is for each of them
SET kseg.work_mem = '1MB';
SET enable_sort = off;
SELECT count(*), sum(rows) AS rows
FROM (SELECT kseg_fit(kseg_options(3, n_init => 1), a, b) AS m
	  FROM thousand GROUP BY r) s, kseg_info(m);
RESET kseg.work_mem;
RESET enable_sort;
-- a notice for the next statement, but not for the one after
SELECT (kseg_fit(3, a, b)::jsonb -> 'k')::int AS k FROM thousand
WHERE r = 999;
SELECT (kseg_fit(3, a, b)::jsonb -> 'k')::int AS k FROM thousand
WHERE r = 1;

DROP TABLE groups_rows, groups_parts;
