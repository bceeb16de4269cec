--
-- options: every option, every way to get it wrong, kseg_options(), starting
-- points, and the settings
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- 60 customers in three groups
CREATE TABLE customer AS
SELECT n AS id, (n % 3) * 20 + 20 + n % 7 AS age,
	(n % 3) * 1000.0 + n % 11 AS income,
	(ARRAY['Female', 'Male'])[1 + n % 2] AS gender, n % 5 = 0 AS active,
	date '2024-01-01' + n AS since, 1 + n % 2 AS times
FROM generate_series(1, 60) AS n;

-- ---- named arguments ----

SELECT kseg_options();
SELECT kseg_options(k => 5);
SELECT kseg_options(k => 5, scale => 'robust', weights => '{"age": 2.5}',
	row_weight => 'times', nulls => 'mean', clip => '{0.01,0.99}',
	n_init => 3, sample => 1000, max_iter => 10, tol => 1e-4,
	seed => 9223372036854775807, init => '[[1], [2], [3], [4], [5]]',
	order_by => 'age', small => 'error', distance => 'cosine') AS options;
SELECT kseg_options(row_weight => 'a"b\c', tol => 0.1::float8 + 0.2) AS options;

-- they name what the parser knows, in its order
SELECT array_to_string(proargnames, ', ') AS arguments
FROM pg_proc WHERE oid = 'kseg_options'::regproc;

-- ---- errors: the value named, and what is valid ----

CREATE FUNCTION outcome(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	RETURN (kseg_info(kseg_fit(options, age, income))).k FROM customer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' | ' || nullif(hint, ''),
		'');
END $$;

CREATE FUNCTION outcome4(init jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kseg_fit(jsonb_build_object('init', init), age, gender, active,
		since) FROM customer;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

\a\t
SELECT left(options::text, 60), outcome(options) FROM (VALUES
	('{"k": 3, "sclae": "none"}'::jsonb), ('{"K": 3}'), ('{"": 3}'),
	('[]'), ('5'), ('"k"'), ('null'), ('true'),
	('{}'), ('{"k": null}'),
	('{"k": 0}'), ('{"k": -1}'), ('{"k": 10001}'), ('{"k": 1e400}'),
	('{"k": 2.5}'), ('{"k": "3"}'), ('{"k": [3]}'), ('{"k": true}'),
	('{"k": 3, "scale": "std"}'), ('{"k": 3, "scale": 1}'),
	('{"k": 3, "scale": "ZSCORE"}'), ('{"k": 3, "scale": ""}'),
	('{"k": 3, "weights": 2}'), ('{"k": 3, "weights": [2]}'),
	('{"k": 3, "weights": {"age": 0}}'), ('{"k": 3, "weights": {"age": -1}}'),
	('{"k": 3, "weights": {"age": 1e7}}'),
	('{"k": 3, "weights": {"age": "2"}}'),
	('{"k": 3, "weights": {"age": null}}'),
	('{"k": 3, "weights": {"agee": 2}}'),
	('{"k": 3, "row_weight": 1}'), ('{"k": 3, "row_weight": ""}'),
	('{"k": 3, "row_weight": "nothing"}'),
	('{"k": 3, "nulls": "zero"}'), ('{"k": 3, "nulls": false}'),
	('{"k": 3, "clip": 0.1}'), ('{"k": 3, "clip": []}'),
	('{"k": 3, "clip": [0.1]}'), ('{"k": 3, "clip": [0.9, 0.1]}'),
	('{"k": 3, "clip": [0.5, 0.5]}'), ('{"k": 3, "clip": [-0.1, 1]}'),
	('{"k": 3, "clip": [0, 1.1]}'), ('{"k": 3, "clip": [0, "1"]}'),
	('{"k": 3, "clip": [0, 1, 1]}'),
	('{"k": 3, "n_init": 0}'), ('{"k": 3, "n_init": 10001}'),
	('{"k": 3, "n_init": "auto"}'),
	('{"k": 3, "sample": 99}'), ('{"k": 3, "sample": 1e8}'),
	('{"k": 101, "sample": 100}'),
	('{"k": 3, "max_iter": 0}'), ('{"k": 3, "max_iter": 1.5}'),
	('{"k": 3, "tol": -1e-9}'), ('{"k": 3, "tol": 1}'),
	('{"k": 3, "tol": "0"}'),
	('{"k": 3, "seed": -1}'), ('{"k": 3, "seed": 9223372036854775808}'),
	('{"k": 3, "seed": 0.5}'),
	('{"k": 3, "init": "kmeans++"}'), ('{"k": 3, "init": []}'),
	('{"k": 3, "init": {}}'), ('{"k": 3, "init": {"kseg": 2}}'),
	('{"k": 3, "init": {"kseg": 1}}'), ('{"k": 3, "init": 3}'),
	('{"k": 3, "init": [[1, 2]]}'), ('{"k": 1, "init": [7]}'),
	('{"k": 1, "init": [[1]]}'), ('{"k": 1, "init": [[1, 2, 3]]}'),
	('{"k": 1, "init": [[1, null]]}'), ('{"k": 1, "init": [[1, "x"]]}'),
	('{"k": 1, "init": [[1, 1e400]]}'), ('{"k": 1, "init": [{"age": 1}]}'),
	('{"k": 1, "init": [{"age": 1, "income": 1, "size": 1}]}'),
	('{"k": 3, "order_by": 1}'), ('{"k": 3, "order_by": ""}'),
	('{"k": 3, "order_by": "gender"}'),
	('{"k": 3, "small": "less"}'), ('{"k": 3, "small": null}'),
	('{"k": 3, "distance": "manhattan"}')
) AS v (options);
\a\t

SELECT kseg_options(k => 0);
SELECT kseg_options(scale => 'std');
SELECT kseg_options(tol => 'NaN');
SELECT kseg_options(clip => '{0,Infinity}');
SELECT kseg_options(clip => '{NULL,1}');
SELECT kseg_options(weights => '[]');
SELECT kseg_options(init => '{"kseg": 7}');
SELECT kseg_options(k => 5, init => '[[1], [2]]');

-- the call and the options
SELECT kseg_fit('{"distance": "cosine"}'::jsonb || '{"k": 2}', age, gender)
FROM customer;
SELECT kseg_fit('{"k": 2, "order_by": "gender"}'::jsonb, age, gender)
FROM customer;

-- ---- what they do ----

-- options are kept as they were given
SELECT options FROM kseg_info((SELECT kseg_fit(kseg_options(k => 2,
	tol => 1e-3, seed => 5), age) FROM customer));
SELECT options FROM kseg_info((SELECT kseg_fit(2, age) FROM customer));

-- segments are numbered by a feature
SELECT string_agg(round(value)::text, ' ' ORDER BY segment) AS ages
FROM kseg_centroids((SELECT kseg_fit('{"k": 3, "order_by": "age"}'::jsonb,
	age, income) FROM customer)) WHERE feature = 'age';

-- a weight of 2 is the column twice
SELECT round(a.inertia::numeric, 6) = round(b.inertia::numeric, 6) AS same
FROM kseg_info((SELECT kseg_fit('{"k": 4, "weights": {"age": 2}}'::jsonb,
		age, income) FROM customer)) a,
	kseg_info((SELECT kseg_fit(4, age, age, income) FROM customer)) b;

-- ---- starting points ----

CREATE TABLE model (id int, model kseg_model);
INSERT INTO model SELECT 1, kseg_fit('{"init": [[25, "Male", true, 1e9],
	[45, "Female", false, 1.7e9], [65, "Male", 0, 1.7e9]]}'::jsonb,
	age, gender, active, since) FROM customer;
INSERT INTO model SELECT 2, kseg_fit('{"init": [
	{"since": 1e9, "active": 1, "gender": {"Male": 1}, "age": 25},
	{"since": 1.7e9, "active": 0, "gender": "Female", "age": 45},
	{"since": 1.7e9, "active": false, "gender": {"Male": 1, "Female": 0},
	 "age": 65}]}'::jsonb, age, gender, active, since) FROM customer;
-- both forms are the same
SELECT (a.model::jsonb - 'options') = (b.model::jsonb - 'options') AS same,
	a.model::jsonb ->> 'k' AS k
FROM model a, model b WHERE a.id = 1 AND b.id = 2;

-- a fit that starts from a model ends where that was, whatever the order of
-- the features; the options of that model are not kept again and again
INSERT INTO model SELECT 3, (SELECT kseg_fit(jsonb_build_object('init',
		model::jsonb), since, age, active, gender) FROM customer)
	FROM model WHERE id = 1;
INSERT INTO model SELECT 4, (SELECT kseg_fit(jsonb_build_object('init',
		model::jsonb), since, age, active, gender) FROM customer)
	FROM model WHERE id = 3;
SELECT id, iterations, round(inertia::numeric, 6) = (
		SELECT round(inertia::numeric, 6) FROM kseg_info((
			SELECT model FROM model WHERE id = 1))) AS same_inertia,
	options #>> '{init,options}' AS options_of_init
FROM model, kseg_info(model) WHERE id > 2 ORDER BY id;

-- categories may have come and gone since
SELECT k FROM model m, kseg_info((SELECT kseg_fit(jsonb_build_object('init',
	m.model::jsonb), age, gender, active, since)
	FROM (SELECT age, replace(gender, 'Male', 'Other') AS gender, active, since
		FROM customer OFFSET 0) AS c)) WHERE id = 1;

-- but it must have the same features
SELECT kseg_fit(jsonb_build_object('init', m.model::jsonb), age, gender)
FROM customer, (SELECT model FROM model WHERE id = 1) m;
SELECT kseg_fit(jsonb_build_object('init', m.model::jsonb), age, gender,
	active, income) FROM customer, (SELECT model FROM model WHERE id = 1) m;
SELECT kseg_fit(jsonb_build_object('init', m.model::jsonb), age, gender,
	active, since)
FROM (SELECT age, gender, active, income AS since FROM customer OFFSET 0) c,
	(SELECT model FROM model WHERE id = 1) m;

-- wrong values, by kind
\a\t
SELECT outcome_of FROM (VALUES
	('[["1", "Male", true, 0]]'::jsonb), ('[[1, 2, true, 0]]'),
	('[[1, "male", true, 0]]'), ('[[1, {"male": 1}, true, 0]]'),
	('[[1, {"Male": 2}, true, 0]]'), ('[[1, {"Male": "x"}, true, 0]]'),
	('[[1, ["Male"], true, 0]]'), ('[[1, "Male", "yes", 0]]'),
	('[[1, "Male", true, "2024-01-01"]]'),
	('[[1, "Male", true, false]]'), ('[[true, "Male", true, 0]]')
) AS v (init), LATERAL (SELECT outcome4(init) AS outcome_of) AS o;
\a\t

-- ---- settings ----

SHOW kseg.work_mem;
SET kseg.work_mem = '1MB';
SHOW kseg.work_mem;
SET kseg.work_mem = '2GB';
SHOW kseg.work_mem;
RESET kseg.work_mem;
DO $$ BEGIN
	SET kseg.work_mem = '1023kB';
EXCEPTION WHEN invalid_parameter_value THEN
	RAISE NOTICE 'out of range';
END $$;
SHOW kseg.simd;
SET kseg.simd = 'baseline';
SHOW kseg.simd;
RESET kseg.simd;
SET kseg.simd = 'sse';
-- starting points have to fit
SET kseg.work_mem = '1MB';
SELECT kseg_fit(jsonb_build_object('init', (SELECT jsonb_agg('[1, "g1"]'::jsonb)
	FROM generate_series(1, 200))), n, 'g' || n)
FROM generate_series(1, 1000) AS n;
RESET kseg.work_mem;
-- the prefix is ours
DO $$ BEGIN
	SET kseg.memory = 1;
EXCEPTION WHEN invalid_name THEN
	RAISE NOTICE 'no such setting';
END $$;

DROP FUNCTION outcome, outcome4;
DROP TABLE customer, model;
