--
-- The bits are the contract: one multiset of rows, one model, whatever the
-- physical order, the plan, the vector unit.  Models are compared with =.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- more distinct rows than the sample holds; ties, a category, numeric, nulls
CREATE TABLE bits_base AS
SELECT i AS id,
       (20 + hashint4(i) % 17 + 25 * (i % 3 = 0)::int)::int AS age,
       exp(((hashint4(i + 1000000) & 1048575) / 262144.0)::float8) +
         40 * (i % 5 = 0)::int AS income,
       round(((hashint4(i + 2000000) & 65535) / 7.0 + 9000 * (i % 7 = 0)::int)::numeric, 2) AS spend,
       (ARRAY['north', 'south', 'east', 'west'])[1 + (hashint4(i + 3000000) & 3)] AS region,
       CASE WHEN i % 997 = 0 THEN NULL ELSE (hashint4(i + 4000000) & 255) END AS visits
FROM generate_series(1, 40000) AS i;

CREATE TABLE bits_model (how text, model kseg_model);
INSERT INTO bits_model
SELECT 'table', kseg_fit(6, age, income, spend, region, visits) FROM bits_base;

-- three shuffles
CREATE TABLE bits_shuffled AS SELECT * FROM bits_base ORDER BY hashint4(id);
INSERT INTO bits_model
SELECT 'shuffle 1', kseg_fit(6, age, income, spend, region, visits) FROM bits_shuffled;
INSERT INTO bits_model
SELECT 'shuffle 2', kseg_fit(6, age, income, spend, region, visits)
FROM (SELECT * FROM bits_base ORDER BY hashint4(id + 77)) AS s;
INSERT INTO bits_model
SELECT 'shuffle 3', kseg_fit(6, age, income, spend, region, visits)
FROM (SELECT * FROM bits_base ORDER BY spend DESC, id) AS s;
INSERT INTO bits_model
SELECT 'ORDER BY in the call', kseg_fit(6, age, income, spend, region, visits ORDER BY income)
FROM bits_base;

-- clustered
CREATE INDEX bits_shuffled_income ON bits_shuffled (income);
CLUSTER bits_shuffled USING bits_shuffled_income;
INSERT INTO bits_model
SELECT 'clustered', kseg_fit(6, age, income, spend, region, visits) FROM bits_shuffled;

-- partitioned
CREATE TABLE bits_parts (LIKE bits_base) PARTITION BY HASH (id);
CREATE TABLE bits_parts_0 PARTITION OF bits_parts FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE bits_parts_1 PARTITION OF bits_parts FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE bits_parts_2 PARTITION OF bits_parts FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO bits_parts SELECT * FROM bits_shuffled;
INSERT INTO bits_model
SELECT 'partitioned', kseg_fit(6, age, income, spend, region, visits) FROM bits_parts;
ANALYZE bits_base, bits_shuffled, bits_parts;

-- serial and parallel plans: that there is a Gather is checked
SET max_parallel_workers_per_gather = 0;
INSERT INTO bits_model
SELECT 'serial', kseg_fit(6, age, income, spend, region, visits) FROM bits_base;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION bits_plan(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query
	LOOP
		IF line LIKE '%' || node || '%' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT bits_plan('SELECT kseg_fit(6, age, income, spend, region, visits) FROM bits_base', 'Gather');
INSERT INTO bits_model
SELECT 'parallel', kseg_fit(6, age, income, spend, region, visits) FROM bits_base;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- sequential and index scan
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT bits_plan('SELECT kseg_fit(6, age, income, spend, region, visits) FROM bits_shuffled WHERE income > 0',
                 'Index Scan');
INSERT INTO bits_model
SELECT 'index scan', kseg_fit(6, age, income, spend, region, visits) FROM bits_shuffled WHERE income > 0;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- every vector unit that this machine has
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
		INSERT INTO bits_model
		SELECT unit, kseg_fit(6, age, income, spend, region, visits) FROM bits_base;
	END LOOP;
END $$;

-- one query, the query form, names apart
INSERT INTO bits_model
SELECT 'query', kseg_fit('SELECT age, income, spend, region, visits FROM bits_shuffled', 6);

-- numeric, float8 and integer of the same values are the same values
CREATE TABLE bits_types AS
SELECT age::float8 AS age, income, spend::float8 AS spend, region::varchar AS region,
       visits::bigint AS visits FROM bits_base;
INSERT INTO bits_model
SELECT 'types', kseg_fit(6, age, income, spend, region, visits) FROM bits_types;

SELECT how, model = (SELECT model FROM bits_model WHERE how = 'table') AS same
FROM bits_model ORDER BY how;

-- seeds: equal ones agree, and the model says which it was
SELECT (SELECT kseg_fit('{"k": 6, "seed": 5}'::jsonb, age, income, visits) FROM bits_base) =
       (SELECT kseg_fit('{"k": 6, "seed": 5}'::jsonb, age, income, visits) FROM bits_shuffled) AS same_seed,
       (SELECT (kseg_info(kseg_fit('{"k": 6, "seed": 5}'::jsonb, age, income, visits))).seed FROM bits_base) AS seed;

-- the same model on every machine, compiler and server version: if this
-- changes, models of the same rows change, and the changelog must say so
CREATE TABLE bits_golden AS
SELECT hashint4(i) & 127 AS a, sqrt((hashint4(i + 1) & 1048575)::float8) AS b,
       ((hashint4(i + 2) & 65535) / 16.0)::numeric AS c, chr(65 + (hashint4(i + 3) & 3)) AS d
FROM generate_series(1, 25000) AS i;
SELECT md5(kseg_fit(5, a, b, c, d)::text) AS small_k,
       md5(kseg_fit('{"k": 12, "scale": "robust", "sample": 2000, "seed": 7}'::jsonb, a, b, c)::text) AS sampled
FROM bits_golden;

-- other options, two orders each
SELECT o AS options,
       (SELECT kseg_fit(o, age, income, spend, visits) FROM bits_base) =
       (SELECT kseg_fit(o, age, income, spend, visits) FROM bits_shuffled) AS same
FROM unnest(ARRAY[
	'{"k": 4, "scale": "minmax"}', '{"k": 4, "scale": "robust", "clip": [0.01, 0.99]}',
	'{"k": 4, "scale": "maxabs", "nulls": "mean"}', '{"k": 4, "scale": "none"}',
	'{"k": 4, "distance": "cosine"}', '{"k": 4, "weights": {"age": 3}}',
	'{"k": 4, "row_weight": "visits"}', '{"k": 4, "max_iter": 2}', '{"k": 4, "tol": 0.01}',
	'{"k": 4, "sample": 1000}', '{"k": 12, "sample": 500, "n_init": 2}',
	'{"k": 4, "order_by": "income"}']::jsonb[]) AS o
ORDER BY o::text;

-- prediction over the fitted rows is the fit's own assignment
SELECT count(*) AS rows,
       count(*) FILTER (WHERE s.segment = kseg_predict(m.model, b.age, b.income, b.spend, b.region, b.visits)) AS same
FROM bits_model AS m, bits_base AS b
JOIN kseg_segments('SELECT id, age, income, spend, region, visits FROM bits_shuffled', 'id', 6) AS s
  ON s.key = b.id::text
WHERE m.how = 'table' AND b.visits IS NOT NULL;

-- sizes are those of the prediction, on every unit
SELECT bool_and(c.size = p.size) AS sizes_agree, count(*) AS segments
FROM bits_model AS m,
     LATERAL (SELECT DISTINCT segment, size FROM kseg_centroids(m.model)) AS c
     LEFT JOIN LATERAL (SELECT count(*) AS size FROM bits_base AS b
                        WHERE kseg_predict(m.model, b.age, b.income, b.spend, b.region, b.visits) = c.segment) AS p ON true
WHERE m.how = 'table';

-- centroids are the means of their rows
SELECT c.feature, count(*) AS segments,
       bool_and(abs(c.value - a.mean) <= 1e-12 * greatest(abs(a.mean), 1)) AS is_mean
FROM bits_model AS m, kseg_centroids(m.model) AS c
CROSS JOIN LATERAL (
	SELECT avg(CASE c.feature WHEN 'age' THEN b.age WHEN 'income' THEN b.income
	                          WHEN 'spend' THEN b.spend::float8 WHEN 'visits' THEN b.visits
	                          ELSE (b.region = c.category)::int END) AS mean
	FROM bits_base AS b
	WHERE kseg_predict(m.model, b.age, b.income, b.spend, b.region, b.visits) = c.segment) AS a
WHERE m.how = 'table'
GROUP BY c.feature ORDER BY c.feature;

-- text, binary and jsonb hold the same bits
SELECT bool_and(model::text::kseg_model = model) AS text,
       bool_and((model::jsonb)::kseg_model = model) AS jsonb
FROM bits_model;

DROP TABLE bits_base, bits_shuffled, bits_parts, bits_types, bits_golden, bits_model;
DROP FUNCTION bits_plan(text, text);
