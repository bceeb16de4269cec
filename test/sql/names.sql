--
-- names of the features, taken from the call
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;

CREATE FUNCTION pg_temp.names(kseg_model) RETURNS text[]
LANGUAGE sql AS 'SELECT features FROM kseg_info($1)';

CREATE TABLE names_orders (
	id int, cust int, amount numeric, "Weird ""Col" int, "select" int,
	"(paren)" int, "äöü€" int, "a.b" int, "''" int
);
INSERT INTO names_orders
	SELECT g, g % 50, g * 1.5, g % 7, g % 3, g % 5, g % 11, g % 13, g % 17
	FROM generate_series(1, 500) g;
CREATE TABLE names_customers (cust int PRIMARY KEY, age int, region text);
INSERT INTO names_customers
	SELECT g, 20 + g % 40, 'r' || g % 3 FROM generate_series(0, 49) g;
ANALYZE names_orders, names_customers;

-- ---- columns and expressions ----

SELECT pg_temp.names(kseg_fit(2, amount, "Weird ""Col", "select", "(paren)",
							  "äöü€", "a.b", "''")) FROM names_orders;
SELECT pg_temp.names(kseg_fit(2, amount + 1, ln(amount), -id, (id),
							  (id + 1) * (id + 2), id::float8, amount > 10,
							  "select" + 1, 'x', 7,
							  CASE WHEN id > 3 THEN 'a)' ELSE '("' END,
							  CASE id % 2 WHEN 0 THEN ')' ELSE '''(' END ||
							  ')')) FROM names_orders;
SELECT pg_temp.names(kseg_fit(2, x[1], x[2] - x[1]))
FROM (SELECT ARRAY[id, cust] AS x FROM names_orders OFFSET 0) s;
-- names are kept whole, within reason
SELECT cardinality(f), length(f[1]), octet_length(f[2]), right(f[2], 5)
FROM (SELECT pg_temp.names(kseg_fit(2,
		(id+id+id+id+id+id+id+id+id+id+id+id+id+id+id+id+id+id+id+id),
		CASE id WHEN 1 THEN 'ääääääääääääääääääääääääääääääääääääääääääääääää'
			WHEN 2 THEN 'öööööööööööööööööööööööööööööööööööööööööööööööööööö'
			WHEN 3 THEN 'üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü'
			ELSE 'éééééééééééééééééééééééééééééééééééééééééééé' END))
	  FROM names_orders) s(f);
-- the array form has none
SELECT pg_temp.names(kseg_fit(2, ARRAY[id, cust]::float8[]))
FROM names_orders;
SELECT pg_temp.names(kseg_fit(2, VARIADIC ARRAY[id, cust]::float8[]))
FROM names_orders;

-- ---- the same name twice ----

SELECT pg_temp.names(kseg_fit(2, o.amount, c.age, o.cust, c.cust))
FROM names_orders o JOIN names_customers c USING (cust);
-- not an inner join: 18 would see that both sides are the same row
SELECT pg_temp.names(kseg_fit(2, a.age, b.age, a.age, b.region))
FROM names_customers a LEFT JOIN names_customers b ON a.cust = b.cust;
SELECT pg_temp.names(kseg_fit(2, age, age, age)) FROM names_customers;
SELECT pg_temp.names(kseg_fit(2, x, x_2, x, x))
FROM (SELECT id AS x, cust AS x_2 FROM names_orders OFFSET 0) s;
SELECT pg_temp.names(kseg_fit(2, "a b".age, "b c".age))
FROM names_customers "a b", LATERAL (SELECT "a b".age OFFSET 0) "b c";

-- ---- where the rows come from ----

-- joins
SELECT pg_temp.names(kseg_fit(2, cust, age, amount + age))
FROM names_orders JOIN names_customers USING (cust);
SELECT pg_temp.names(kseg_fit(2, cust, age))
FROM names_orders LEFT JOIN names_customers USING (cust);
SELECT pg_temp.names(kseg_fit(2, j.cust, j.age))
FROM (names_orders JOIN names_customers USING (cust)) AS j;
SELECT pg_temp.names(kseg_fit(2, i, z))
FROM (names_orders o JOIN names_customers c ON o.cust = c.cust)
	AS j(i, x, y, z0, z1, z2, z3, z4, z5, w, z);
-- subqueries, grouped, limited, united
SELECT pg_temp.names(kseg_fit(2, total, ln(total), n))
FROM (SELECT cust, sum(amount) AS total, count(*) + cust AS n
	  FROM names_orders GROUP BY cust) s;
SELECT pg_temp.names(kseg_fit(2, a, b + 1))
FROM (SELECT age + 1 AS a, cust AS b FROM names_customers
	  ORDER BY age LIMIT 30) s;
SELECT pg_temp.names(kseg_fit(2, total))
FROM (SELECT DISTINCT sum(amount) OVER (PARTITION BY cust) AS total
	  FROM names_orders) s;
SELECT pg_temp.names(kseg_fit(2, a))
FROM (SELECT age AS a FROM names_customers
	  UNION ALL SELECT id FROM names_orders) s;
SELECT pg_temp.names(kseg_fit(2, a, b))
FROM (SELECT age, cust FROM names_customers
	  UNION SELECT id, cust FROM names_orders) s(a, b);
-- WITH
WITH s AS MATERIALIZED (
	SELECT cust, sum(amount) AS total FROM names_orders GROUP BY cust)
SELECT pg_temp.names(kseg_fit(2, total, s.total / 2)) FROM s;
WITH s AS NOT MATERIALIZED (
	SELECT cust, sum(amount) AS total FROM names_orders GROUP BY cust)
SELECT pg_temp.names(kseg_fit(2, total, s.total / 2)) FROM s;
WITH RECURSIVE s(n) AS (
	SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20)
SELECT pg_temp.names(kseg_fit(2, n, n * n)) FROM s;
-- views
CREATE VIEW names_view AS
	SELECT cust AS who, sum(amount) AS spent FROM names_orders GROUP BY cust;
SELECT pg_temp.names(kseg_fit(2, who, spent)) FROM names_view;
-- column aliases, functions
SELECT pg_temp.names(kseg_fit(2, a, b)) FROM names_customers AS x(a, b);
SELECT pg_temp.names(kseg_fit(2, n, o))
FROM unnest(ARRAY[1, 2, 3]) WITH ORDINALITY AS u(n, o);
SELECT pg_temp.names(kseg_fit(2, g)) FROM generate_series(1, 5) g;
SELECT pg_temp.names(kseg_fit(2, a, b))
FROM json_to_recordset('[{"a": 1, "b": 2}, {"a": 3, "b": 4}]')
	AS j(a int, b int);
-- partitions and inheritance, as a whole and part by part
CREATE TABLE names_parts (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE names_parts_1 PARTITION OF names_parts
	FOR VALUES FROM (0) TO (50);
-- its columns stand in another order
CREATE TABLE names_parts_2 (b int, a int);
ALTER TABLE names_parts ATTACH PARTITION names_parts_2
	FOR VALUES FROM (50) TO (100);
INSERT INTO names_parts SELECT g, g % 10 FROM generate_series(0, 99) g;
SELECT pg_temp.names(kseg_fit(2, a, b, a - b)) FROM names_parts;
SET enable_partitionwise_aggregate = on;
SELECT array_agg(DISTINCT f::text)
FROM (SELECT pg_temp.names(kseg_fit(1, a, b, a - b))
	  FROM names_parts GROUP BY a) s(f);
RESET enable_partitionwise_aggregate;

-- ---- what stands around the call ----

SELECT region, pg_temp.names(kseg_fit(2, age, region)),
	pg_temp.names(kseg_fit(2, -age) FILTER (WHERE age > 25)),
	pg_temp.names(kseg_fit(DISTINCT 2, age)),
	pg_temp.names(kseg_fit(2, age ORDER BY cust, age DESC))
FROM names_customers GROUP BY region ORDER BY region;
SELECT DISTINCT pg_temp.names(kseg_fit(2, age))
FROM names_customers GROUP BY ROLLUP (region);
SELECT pg_temp.names(max(m::text)::kseg_model)
FROM (SELECT kseg_fit(2, age) AS m FROM names_customers
	  GROUP BY region HAVING kseg_fit(1, cust) IS NOT NULL) s;
PREPARE names_prepared(int) AS
	SELECT pg_temp.names(kseg_fit($1, age, cust)) FROM names_customers;
SET plan_cache_mode = force_generic_plan;
EXECUTE names_prepared(2);
SET plan_cache_mode = force_custom_plan;
EXECUTE names_prepared(2);
RESET plan_cache_mode;
-- an outer row's column has no name here, but must not disturb
SELECT cardinality(pg_temp.names(m)), (pg_temp.names(m))[1]
FROM (VALUES (1), (2)) f(n),
	LATERAL (SELECT kseg_fit(2, age, age * f.n) AS m
			 FROM names_customers) s;
SELECT cardinality(pg_temp.names(kseg_fit(2, age, (
	SELECT max(cust) FROM names_customers i
	WHERE i.region = o.region))))
FROM names_customers o;

-- ---- settings and plans make no difference ----

SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET timezone = 'Asia/Kolkata';
SET extra_float_digits = -2;
SET quote_all_identifiers = on;
SELECT pg_temp.names(kseg_fit(1, age, date '2000-02-01' + age,
							  age * interval '1 day 02:03',
							  timestamptz '2000-02-01 00:00:00+00' +
							  age * interval '1 day', age + 0.1::float8))
FROM names_customers;
SHOW datestyle;
RESET datestyle;
RESET intervalstyle;
RESET timezone;
RESET extra_float_digits;
RESET quote_all_identifiers;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE TEMP TABLE names_seen AS
	SELECT kseg_fit(2, amount, ln(amount), o.cust)::text AS m
	FROM names_orders o
	WHERE ln(amount) + ln(amount + 1) + ln(amount + 2) > 3;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;
INSERT INTO names_seen
	SELECT kseg_fit(2, amount, ln(amount), o.cust)::text FROM names_orders o
	WHERE ln(amount) + ln(amount + 1) + ln(amount + 2) > 3;
INSERT INTO names_seen
	SELECT kseg_fit(2, amount, ln(amount), o.cust ORDER BY ln(amount))::text
	FROM names_orders o
	WHERE ln(amount) + ln(amount + 1) + ln(amount + 2) > 3;
CREATE INDEX ON names_orders (amount);
SET enable_seqscan = off;
INSERT INTO names_seen
	SELECT kseg_fit(2, amount, ln(amount), o.cust)::text FROM names_orders o
	WHERE ln(amount) + ln(amount + 1) + ln(amount + 2) > 3 AND amount > 0;
RESET enable_seqscan;
INSERT INTO names_seen
	SELECT kseg_fit(2, amount, ln(amount), o.cust)::text
	FROM (SELECT * FROM names_orders ORDER BY id DESC) o
	WHERE ln(amount) + ln(amount + 1) + ln(amount + 2) > 3;
RESET max_parallel_workers_per_gather;
SELECT count(*), count(DISTINCT m), min(pg_temp.names(m::kseg_model)::text)
FROM names_seen;

DROP TABLE names_customers, names_parts;
DROP TABLE names_orders CASCADE;
