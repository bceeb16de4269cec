-- The engine "pushdown": passes over the query, and the same bits as in
-- memory.

CREATE TABLE customers AS
SELECT i AS id, (20 + (hashint4(i) & 31) + 20 * (i % 3 = 0)::int)::smallint AS age,
	CASE WHEN i % 97 <> 0 THEN sqrt((hashint4(i + 9) & 65535)::float8) + 100 * (i % 2) END AS income,
	((hashint4(i + 5) & 1023) / 7.0)::numeric(10, 2) AS spent,
	CASE WHEN i % 89 <> 0 THEN (ARRAY['gold', 'silver', 'none'])[1 + (i % 5 + (hashint4(i + 3) & 1)) % 3] END AS tier,
	(hashint4(i + 7) & 3)::float4 AS members,
	date '2024-01-01' + (hashint4(i + 15) & 511) AS since,
	i % 4 = 0 AS active
FROM generate_series(1, 5000) AS i;
ANALYZE customers;

CREATE FUNCTION same(columns text, options jsonb, k int DEFAULT 4) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT %s FROM customers', columns);
BEGIN
	RETURN kseg_fit(query, k, options || '{"engine": "pushdown"}') =
		kseg_fit(query, k, options || '{"engine": "memory"}');
END $$;

SELECT columns, options, same(columns, options::jsonb)
FROM (VALUES
	('age, income, spent', '{}'),
	('age, income, spent', '{"n_init": 1, "seed": 3}'),
	('age, income, spent', '{"scale": "minmax"}'),
	('age, income, spent', '{"scale": "maxabs"}'),
	('age, income, spent', '{"scale": "none"}'),
	('age, income, spent', '{"scale": "robust"}'),
	('age, income, spent', '{"clip": [0.05, 0.9]}'),
	('age, income, spent', '{"scale": "robust", "clip": [0.1, 0.8], "nulls": "mean"}'),
	('age, income, spent', '{"distance": "cosine"}'),
	('age, income, spent', '{"distance": "cosine", "scale": "none", "nulls": "mean"}'),
	('age, income, spent', '{"weights": {"age": 4}, "order_by": "income"}'),
	('age, income, spent', '{"sample": 200}'),
	('age, income, spent', '{"max_iter": 2}'),
	('age, income, spent', '{"tol": 0.01}'),
	('age, income, members', '{"row_weight": "members"}'),
	('age, members, tier', '{"row_weight": "members", "nulls": "mean"}'),
	('age, tier', '{}'),
	('age, tier, active, since, income', '{"nulls": "mean"}'),
	('tier', '{}'),
	('age / 10', '{"small": "fewer"}'),
	('age, age', '{}'),
	('age, income + 0', '{}'),
	('ARRAY[age, income]::float8[]', '{}'),
	('ARRAY[age, income, members]::float8[]', '{"row_weight": "f3", "nulls": "mean"}'),
	('age, income', '{"init": [[20, 100], [30, 200], [40, 300], [10000, 10000]]}'))
	AS cases (columns, options);

-- more columns than a call can have as arguments
SELECT same(string_agg(format('age + %s * income', i), ', '), '{}')
FROM generate_series(1, 120) AS i;

-- parallel workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT same('age, income, tier', '{}');
SELECT same('age, income, tier', '{"scale": "robust", "nulls": "mean"}');
-- columns that are constants, so that a planner would compute points
SELECT columns, same(columns, '{}') FROM (VALUES ('1 AS a, 2.5 AS b'), ('1 AS a, ''x''::text AS b'),
	('ARRAY[1, 2]::float8[] AS a'), ('NULL::int AS a, 2 AS b'), ('coalesce(1, id) AS a, 2 AS b')) AS cases (columns);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- queries of all kinds
SELECT kseg_fit(query, 3, '{"engine": "pushdown"}') = kseg_fit(query, 3)
FROM (VALUES
	('SELECT age, income FROM customers;'),
	('SELECT age, income FROM customers -- all of them'),
	('TABLE customers'),
	('VALUES (1, 2), (3, 4), (5, 7)'),
	('WITH old AS (SELECT * FROM customers WHERE age > 40) SELECT income, tier FROM old'),
	('SELECT age, count(*) FROM customers GROUP BY age'),
	('SELECT c.age, d.spent FROM customers c JOIN customers d USING (id)'),
	('SELECT age, income FROM customers ORDER BY id LIMIT 700'),
	('SELECT age FROM customers UNION ALL SELECT 99'))
	AS queries (query);

-- no rows, or only such as are skipped
SELECT kseg_fit('SELECT age, income FROM customers WHERE false', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age, income FROM customers WHERE income IS NULL', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT ARRAY[age]::float8[] FROM customers WHERE false', 3, '{"engine": "pushdown"}');
SELECT rows, rows_skipped, options
FROM kseg_info(kseg_fit('SELECT age, income FROM customers', 3, '{"engine": "pushdown", "n_init": 1}'));

-- elbow and evaluation
SELECT count(*) FROM
	(SELECT e FROM kseg_elbow('SELECT age, income, tier FROM customers', 1, 5, '{"engine": "pushdown"}') AS e
	 EXCEPT SELECT e FROM kseg_elbow('SELECT age, income, tier FROM customers', 1, 5) AS e) AS differing;
CREATE TABLE models AS
SELECT 'plain' AS name, kseg_fit('SELECT age, income, tier FROM customers WHERE tier <> ''none''', 4) AS model
UNION ALL
SELECT 'filled', kseg_fit('SELECT age, income, tier FROM customers', 3, '{"nulls": "mean"}')
UNION ALL
SELECT 'cosine', kseg_fit('SELECT age, income, spent FROM customers', 3, '{"distance": "cosine"}');
SELECT name, count(*) FROM models,
	LATERAL (SELECT e FROM kseg_evaluate(model, 'SELECT * FROM customers', 'pushdown') AS e
	 EXCEPT SELECT e FROM kseg_evaluate(model, 'SELECT * FROM customers', 'memory') AS e) AS differing
GROUP BY name;
SELECT size, note
FROM models, kseg_evaluate(model, 'SELECT * FROM customers', 'pushdown') WHERE name = 'plain' AND segment IS NULL;

-- who may read what
CREATE ROLE regress_kseg_pushdown;
SET ROLE regress_kseg_pushdown;
SELECT kseg_fit('SELECT age FROM customers', 2, '{"engine": "pushdown"}');
RESET ROLE;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY young ON customers USING (age < 30);
GRANT SELECT ON customers TO regress_kseg_pushdown;
SET ROLE regress_kseg_pushdown;
SELECT rows = (SELECT count(*) FROM customers)
FROM kseg_info(kseg_fit('SELECT age FROM customers', 2, '{"engine": "pushdown"}'));
RESET ROLE;
ALTER TABLE customers DISABLE ROW LEVEL SECURITY;
DROP POLICY young ON customers;
REVOKE SELECT ON customers FROM regress_kseg_pushdown;
DROP ROLE regress_kseg_pushdown;

-- errors
SELECT kseg_fit('SELECT age, random() FROM customers', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age FROM customers TABLESAMPLE BERNOULLI (50)', 3, '{"engine": "pushdown"}');
SELECT kseg_fit(kseg_options(k => 3, engine => 'pushdown'), age, income) FROM customers;
SELECT kseg_segments('SELECT id, age FROM customers', 'id', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age FROM customers', 3, '{"engine": "cluster"}');
SELECT kseg_evaluate(model, 'SELECT * FROM customers', 'cluster') FROM models;
SELECT kseg_evaluate(model, 'SELECT age FROM customers', 'pushdown') FROM models WHERE name = 'plain';
SELECT kseg_fit('SELECT age, NULL::float8 AS nothing FROM customers', 3, '{"engine": "pushdown", "nulls": "mean"}');
SELECT kseg_fit('SELECT age, log(0.0::float8 + id - 1) FROM customers', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age, ''NaN''::float8 AS odd FROM customers', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age, members - 2 AS w FROM customers', 3, '{"engine": "pushdown", "row_weight": "w"}');
SELECT kseg_fit('SELECT ARRAY[1, 2]::float8[] UNION ALL SELECT ARRAY[1]::float8[]', 1, '{"engine": "pushdown"}');
SELECT kseg_fit('DELETE FROM customers RETURNING age', 3, '{"engine": "pushdown"}');
SELECT kseg_fit('SELECT age, tier FROM customers', 3, '{"engine": "pushdown", "distance": "cosine"}');

-- values of the types
SELECT 'AAAA'::kseg_pass;
SELECT 'not base64'::kseg_pass;
SELECT ''::kseg_state;
SELECT repeat('A', 100)::kseg_state;
SELECT ''::kseg_point;
-- a state of no part, of a pass that nobody knows: such are merged later
SELECT kseg_merge(s::kseg_state) FROM (VALUES ('MFNtawAAAAAHAAAAAAAAAA=='), (NULL), ('MFNtawAAAAAHAAAAAAAAAA==')) AS v (s);
SELECT kseg_merge(s::kseg_state) FROM (VALUES ('MFNtawAAAAAHAAAAAAAAAA=='), ('MFNtawAAAAAIAAAAAAAAAA==')) AS v (s);
SELECT kseg_merge(NULL);
SELECT kseg_accum(NULL);

DROP FUNCTION same;
DROP TABLE customers, models;
