--
-- kseg_predict() and kseg_score(): which segment a row belongs to, whatever
-- type its features and whatever way its model come in
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- SQLSTATE and message of a statement that fails
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

CREATE TYPE predict_tier AS ENUM ('bronze', 'silver', 'gold');
CREATE DOMAIN predict_age AS int CHECK (value > 0);
CREATE TABLE predict_customer AS
SELECT i AS id,
	(CASE i % 3 WHEN 0 THEN 20 WHEN 1 THEN 45 ELSE 70 END) + i % 5 AS age,
	((CASE i % 3 WHEN 0 THEN 1000 WHEN 1 THEN 5000 ELSE 3000 END)
		+ i)::numeric(10,2) AS income,
	(ARRAY['bronze', 'gold', 'silver']::predict_tier[])[i % 3 + 1] AS tier,
	(ARRAY['f', 'm'])[i % 2 + 1] AS gender,
	date '2024-01-01' + i AS joined,
	i * interval '1 hour' AS stay,
	i % 7 = 0 AS returns
FROM generate_series(1, 90) AS i;

-- ---- by hand ----

-- centroids 1 and 11 and 31: 6 is as far from 1 as from 11, the first wins
CREATE TABLE predict_model (name text, model kseg_model);
INSERT INTO predict_model
SELECT 'line', kseg_fit('SELECT * FROM (VALUES (0), (1), (2), (10), (12), (31))
	AS t (x)', 3, '{"scale": "none"}');
SELECT segment, size, round(value::numeric, 9) AS value
FROM predict_model, kseg_centroids(model)
WHERE name = 'line' ORDER BY segment;
SELECT x, kseg_predict(model, x), segment,
	round(distance::numeric, 9) AS distance, second_segment,
	round(second_distance::numeric, 9) AS second_distance,
	round(margin::numeric, 9) AS margin, is_outlier
FROM predict_model, generate_series(-4, 40, 5) AS x,
	kseg_score(model, x) AS s WHERE name = 'line' ORDER BY x;
SELECT kseg_predict(model, 5.9999999), kseg_predict(model, 6),
	kseg_predict(model, 6.0000001)
FROM predict_model WHERE name = 'line';
-- one segment: nothing is second
SELECT segment, round(distance::numeric, 9) AS distance, second_segment,
	second_distance, margin, is_outlier
FROM kseg_fit('VALUES (1), (2), (3)', 1) AS model, kseg_score(model, 2.5);

-- ---- the fitted rows get the fit's segments ----

INSERT INTO predict_model
SELECT 'all', kseg_fit(4, age, income, tier, gender, joined, stay, returns)
FROM predict_customer;
WITH own AS (
	SELECT key::int AS id, segment, distance FROM kseg_segments(
		'TABLE predict_customer', 'id', 4)),
again AS (
	SELECT id, kseg_predict(model, age, income, tier, gender, joined, stay,
		returns) AS segment,
		(kseg_score(model, age, income, tier, gender, joined, stay,
			returns)).*
	FROM predict_customer, predict_model WHERE name = 'all')
SELECT a.segment, count(*), bool_and(o.segment = a.segment) AS same_segment,
	bool_and(o.distance = a.distance) AS same_distance
FROM own AS o JOIN again AS a (id, segment, scored, distance) USING (id)
GROUP BY 1 ORDER BY 1;
SELECT (s ->> 'size')::int AS size FROM predict_model,
	jsonb_array_elements(model::jsonb -> 'segments') AS s WHERE name = 'all';

-- ---- types ----

-- equal values of other types have the same segment
INSERT INTO predict_model
SELECT 'numbers', kseg_fit(3, age, income) FROM predict_customer;
SELECT count(*), count(*) FILTER (WHERE
	kseg_predict(model, age, income) = kseg_predict(model, age::int2, income::float8) AND
	kseg_predict(model, age, income) = kseg_predict(model, age::int8, income::float4) AND
	kseg_predict(model, age, income) = kseg_predict(model, age::float4, income::int) AND
	kseg_predict(model, age, income) = kseg_predict(model, age::predict_age, income) AND
	kseg_predict(model, age, income) = kseg_predict(model, age::numeric, income) AND
	kseg_predict(model, age, income) = kseg_predict(model, ARRAY[age, income]::float8[]) AND
	kseg_predict(model, age, income) = kseg_predict(model, VARIADIC ARRAY[age, income]::float8[])
	) AS same
FROM predict_customer, predict_model WHERE name = 'numbers';
SELECT count(*), count(*) FILTER (WHERE
	kseg_predict(model, age, income, tier, gender, joined, stay, returns) =
	kseg_predict(model, age, income, tier::text, gender::char(10),
		joined::timestamp, stay, returns) AND
	kseg_predict(model, age, income, tier, gender, joined, stay, returns) =
	kseg_predict(model, age, income, tier::text::name, gender::varchar,
		joined::timestamp AT TIME ZONE 'UTC', stay, returns)) AS same
FROM predict_customer, predict_model WHERE name = 'all';
-- literals
SELECT kseg_predict(model, 22, 1010, 'bronze', 'm', date '2024-02-01',
	interval '10 hours', false) = kseg_predict(model, 22.0, 1010,
	'bronze'::predict_tier, 'm'::text, timestamp '2024-02-01 00:00',
	interval '10 hours', false) AS same
FROM predict_model WHERE name = 'all';
-- values out of line and compressed
SELECT kseg_predict(model, repeat('x', 100000)), kseg_predict(model, 'y')
FROM kseg_fit('SELECT repeat(''x'', 100000) AS long UNION ALL SELECT ''y''', 2)
	AS model;

-- ---- nulls, and categories that the model has not seen ----

SELECT kseg_predict(NULL::kseg_model, 1), kseg_score(NULL::kseg_model, 1);
SELECT kseg_predict(model, NULL, 1000), kseg_predict(model, 20, NULL::int),
	kseg_predict(model, NULL::float8[]),
	kseg_predict(model, ARRAY[20, NULL]::float8[])
FROM predict_model WHERE name = 'numbers';
SELECT s.* FROM predict_model, kseg_score(model, 20, NULL) AS s
WHERE name = 'numbers';
-- with the option, a null is the mean, or the most frequent category
INSERT INTO predict_model
SELECT 'filled', kseg_fit('{"k": 3, "nulls": "mean"}'::jsonb, age, tier)
FROM predict_customer;
SELECT kseg_score(model, NULL, 'gold') = kseg_score(model,
		(SELECT avg(age)::float8 FROM predict_customer), 'gold') AS mean,
	kseg_predict(model, 20, NULL) IS NOT NULL AS frequent,
	kseg_predict(model, NULL, NULL) IS NOT NULL AS both
FROM predict_model WHERE name = 'filled';
-- what was never seen is as far from each category as they are from another,
-- is told, and depends on nothing but the other features
SELECT tier, s.segment = kseg_predict(model, 21, 'bronze') AS same_segment,
	round(s.distance::numeric, 6) AS distance, s.is_outlier
FROM predict_model, (VALUES ('bronze'), ('copper'), (''), ('Bronze')) AS t (tier),
	kseg_score(model, 21, tier) AS s
WHERE name = 'filled' ORDER BY tier COLLATE "C";

-- ---- where the model comes from ----

-- models that alternate from row to row, more of them than are kept open,
-- stored in line, compressed and out of line, short and long
CREATE TABLE predict_many (n int, model kseg_model, wide kseg_model);
INSERT INTO predict_many
SELECT n, kseg_fit(format('VALUES (0), (%s)', n), 2, '{"scale": "none"}'),
	kseg_fit(format('SELECT x + i * %s, %s FROM generate_series(0, 1) AS x,
		generate_series(1, 40) AS i', n,
		(SELECT string_agg(format('x * %s AS c%s', c, c), ', ')
		 FROM generate_series(1, 60) AS c)), 20, '{"scale": "none", "n_init": 1}')
FROM generate_series(1, 100) AS n;
ALTER TABLE predict_many ALTER wide SET STORAGE external;
UPDATE predict_many SET wide = wide WHERE n % 2 = 0;
SELECT sum(segment), count(DISTINCT segment), bool_and(segment = expected)
FROM (
	SELECT kseg_predict(model, x * n / 10.0) AS segment,
		CASE WHEN x <= 5 THEN kseg_predict(model, 0)
			ELSE kseg_predict(model, n) END AS expected
	FROM generate_series(0, 10) AS x, predict_many ORDER BY x, n) AS p;
SELECT count(*), bool_and(kseg_predict(wide, VARIADIC features) =
	kseg_predict((SELECT m.wide FROM predict_many AS m WHERE m.n = p.n),
		VARIADIC features)) AS same
FROM predict_many AS p, generate_series(1, 3) AS x,
	LATERAL (SELECT array_agg(c * x)::float8[] AS features
		FROM generate_series(0, 60) AS c) AS f;
-- a PL/pgSQL variable changes between two calls of the same expression
DO $$
DECLARE
	m record;
	found text := '';
BEGIN
	FOR m IN SELECT model FROM predict_many WHERE n IN (2, 20, 100) ORDER BY n
	LOOP
		FOR x IN 0..60 BY 20 LOOP
			found := found || ' ' || kseg_predict(m.model, x);
		END LOOP;
	END LOOP;
	RAISE NOTICE '%', found;
END $$;
-- a prepared statement, both with and without a generic plan
PREPARE scored(kseg_model) AS
SELECT sum(kseg_predict($1, age, income)) = (SELECT sum(kseg_predict(
	(SELECT model FROM predict_model WHERE name = 'numbers'), age, income))
	FROM predict_customer) AS same FROM predict_customer;
SELECT model FROM predict_model WHERE name = 'numbers' \gset
SET plan_cache_mode = force_generic_plan;
EXECUTE scored(:'model');
EXECUTE scored(:'model');
SET plan_cache_mode = force_custom_plan;
EXECUTE scored(:'model');
RESET plan_cache_mode;
DEALLOCATE scored;
-- in a generated column and by workers
CREATE TABLE predict_kept (age int, income numeric);
DO $$ BEGIN
	EXECUTE format('ALTER TABLE predict_kept ADD segment int GENERATED ALWAYS
		AS (kseg_predict(%L::kseg_model, age, income)) STORED',
		(SELECT model FROM predict_model WHERE name = 'numbers'));
END $$;
INSERT INTO predict_kept SELECT age, income FROM predict_customer;
SELECT segment, count(*) FROM predict_kept GROUP BY 1 ORDER BY 1;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SELECT count(*) FROM predict_customer
WHERE kseg_predict((SELECT model FROM predict_model WHERE name = 'numbers'),
	age, income) = 1;
COMMIT;

-- ---- mistakes ----

CREATE VIEW predict_mistake AS
SELECT m.name, call, f.*
FROM predict_model AS m JOIN (VALUES
	(1, 'numbers', 'kseg_predict(%s, 1)'),
	(2, 'numbers', 'kseg_predict(%s, 1, 2, 3)'),
	(3, 'numbers', 'kseg_predict(%s, ''a''::text, 2)'),
	(4, 'numbers', 'kseg_predict(%s, true, 2)'),
	(5, 'numbers', 'kseg_predict(%s, 1, date ''2024-01-01'')'),
	(6, 'numbers', 'kseg_predict(%s, 1, point(1, 2))'),
	(7, 'numbers', 'kseg_predict(%s, 1, ''2'')'),
	(8, 'numbers', 'kseg_predict(%s, 1, ''NaN''::float8)'),
	(9, 'numbers', 'kseg_predict(%s, ''-infinity''::numeric, 2)'),
	(10, 'numbers', 'kseg_predict(%s, ARRAY[1]::float8[])'),
	(11, 'numbers', 'kseg_predict(%s, ARRAY[[1, 2]]::float8[])'),
	(12, 'numbers', 'kseg_predict(%s, ''{}''::float8[])'),
	(13, 'numbers', 'kseg_predict(%s, ARRAY[1, ''infinity'']::float8[])'),
	(14, 'numbers', 'kseg_predict(%s, ARRAY[1, 2])'),
	(15, 'numbers', 'kseg_predict(%s, VARIADIC ARRAY[1, 2])'),
	(16, 'numbers', 'kseg_score(%s, 1)'),
	(17, 'all', 'kseg_predict(%s, 1, 2, 3, 4, 5, 6, 7)'),
	(18, 'all', 'kseg_predict(%s, ARRAY[1, 2, 3, 4, 5, 6, 7]::float8[])'),
	(19, 'filled', 'kseg_predict(%s, 1)'),
	(20, 'filled', 'kseg_predict(%s, ''gold'', 1)')) AS c (n, name, call)
	USING (name),
	failure('SELECT ' || format(call, quote_literal(model) || '::kseg_model'))
		AS f
ORDER BY n;
SELECT * FROM predict_mistake \gx
SELECT kseg_predict('{}'::kseg_model);

DROP VIEW predict_mistake;
DROP FUNCTION failure;
DROP TABLE predict_customer, predict_model, predict_many, predict_kept;
DROP TYPE predict_tier;
DROP DOMAIN predict_age;

-- beyond double's range everything is infinitely far, and no margin is told
SELECT (kseg_score(model, 1e300)).*
FROM (SELECT kseg_fit(kseg_options(2, scale => 'none'), x) AS model
	  FROM (VALUES (1.0), (2.0), (9.0)) v(x)) s;
