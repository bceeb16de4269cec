--
-- Parallel workers: the same bits with any number of them, or none, wherever
-- they cannot be had.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TABLE workers_base AS
SELECT i AS id, 20 + (i * 7919 % 51) + 25 * (i % 3) AS age,
       exp(((i::bigint * 104729 % 100003) / 30000.0)::float8) + 10 * (i % 5) AS income,
       ((i::bigint * 1299709 % 65537) / 700.0)::float8 AS spend,
       (ARRAY['north', 'south', 'east', 'west'])[1 + i * 31 % 4] AS region,
       1 + i % 3 AS visits,
       CASE WHEN i % 10 < 8 THEN 'large' ELSE 'small' END AS part
FROM generate_series(1, 12000) AS i;

-- any work is worth it, and more workers than processors are, too
SET kseg.parallel_min_work = 0;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE workers_found (workers int, what text, result text);

-- models of many kinds, an elbow, an evaluation, with so many workers
CREATE FUNCTION workers_run(workers int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o jsonb;
BEGIN
	PERFORM set_config('max_parallel_maintenance_workers', workers::text, true);
	FOR o IN SELECT * FROM unnest(ARRAY[
		'{"k": 5}', '{"k": 4, "n_init": 1}', '{"k": 6, "sample": 1500}',
		'{"k": 4, "scale": "robust", "clip": [0.01, 0.99]}', '{"k": 4, "distance": "cosine"}',
		'{"k": 4, "row_weight": "visits"}', '{"k": 4, "nulls": "mean", "scale": "minmax"}']::jsonb[])
	LOOP
		INSERT INTO workers_found
		SELECT workers, o::text, kseg_fit(o, age, income, spend, visits)::text FROM workers_base;
	END LOOP;
	INSERT INTO workers_found
	SELECT workers, 'categories', kseg_fit(4, age, income, region)::text FROM workers_base;
	INSERT INTO workers_found
	SELECT workers, 'groups', string_agg(model, ' ' ORDER BY part)
	FROM (SELECT part, kseg_fit(3, age, income, spend)::text AS model
	      FROM workers_base GROUP BY part) AS g;
	INSERT INTO workers_found
	SELECT workers, 'query', kseg_fit('SELECT age, spend FROM workers_base', 3)::text;
	INSERT INTO workers_found
	SELECT workers, 'elbow', string_agg(e::text, ' ' ORDER BY k)
	FROM kseg_elbow('SELECT age, income, spend FROM workers_base', 1, 6) AS e;
	INSERT INTO workers_found
	SELECT workers, 'evaluate', string_agg(e::text, ' ' ORDER BY segment)
	FROM kseg_evaluate((SELECT kseg_fit(4, age, income, spend) FROM workers_base WHERE id % 3 = 0),
	                   'SELECT age, income, spend FROM workers_base') AS e;
	INSERT INTO workers_found
	SELECT workers, 'segments', md5(string_agg(s::text, ' ' ORDER BY key))
	FROM kseg_segments('SELECT id, age, income FROM workers_base', 'id', 4) AS s;
	INSERT INTO workers_found
	SELECT workers, 'window', md5(string_agg(segment::text, ' ' ORDER BY id))
	FROM (SELECT id, kseg_cluster(3, age, spend) OVER () AS segment FROM workers_base) AS w;
END $$;

SELECT workers_run(0);
SELECT workers_run(1);
SELECT workers_run(2);
SELECT workers_run(4);
SELECT what, count(*) AS runs, count(DISTINCT result) AS results
FROM workers_found GROUP BY what ORDER BY what COLLATE "C";

SET max_parallel_maintenance_workers = 2;

-- ---- where they cannot be had ----

CREATE FUNCTION workers_same() RETURNS boolean LANGUAGE sql AS $$
	SELECT kseg_fit('{"k": 5}'::jsonb, age, income, spend, visits)::text =
	       (SELECT result FROM workers_found WHERE what = '{"k": 5}' AND workers = 0)
	FROM workers_base $$;

SET max_parallel_workers = 0;
SELECT workers_same();
RESET max_parallel_workers;

-- in a subtransaction, after one that failed, and when the error is caught
DO $$
DECLARE
	caught boolean := false;
BEGIN
	BEGIN
		PERFORM kseg_fit('{"k": 13000}', age, income, spend) FROM workers_base;
	EXCEPTION WHEN OTHERS THEN
		caught := true;
	END;
	BEGIN
		-- found out when workers are there
		PERFORM kseg_fit('{"k": 5000, "small": "error"}'::jsonb, visits) FROM workers_base;
	EXCEPTION WHEN OTHERS THEN
		RAISE NOTICE '%', SQLERRM;
	END;
	BEGIN
		IF NOT workers_same() THEN
			RAISE NOTICE 'another model';
		END IF;
		RAISE EXCEPTION 'all is undone';
	EXCEPTION WHEN OTHERS THEN
		RAISE NOTICE '%', SQLERRM;
	END;
	-- no longer in parallel mode: this writes
	INSERT INTO workers_found VALUES (9, 'written', 'after ' || caught);
END $$;
SELECT result FROM workers_found WHERE what = 'written';

-- one row at a time from a cursor, with others between
BEGIN;
DECLARE workers_cursor CURSOR FOR
SELECT part, kseg_fit(3, age, income, spend) = (SELECT kseg_fit(3, age, income, spend)
                                                FROM workers_base WHERE part = 'large') AS same
FROM workers_base GROUP BY part ORDER BY part;
FETCH 1 FROM workers_cursor;
INSERT INTO workers_found VALUES (9, 'between', '');
SAVEPOINT s;
FETCH 1 FROM workers_cursor;
ROLLBACK TO s;
COMMIT;

-- above a parallel plan
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ANALYZE workers_base;
EXPLAIN (COSTS OFF) SELECT kseg_fit(5, age, income, spend, visits) FROM workers_base;
SELECT workers_same();
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- nothing is left behind
SELECT count(*) AS workers FROM pg_stat_activity
WHERE backend_type = 'parallel worker' AND datname = current_database();

DROP FUNCTION workers_same();
DROP FUNCTION workers_run(int);
DROP TABLE workers_found, workers_base;
