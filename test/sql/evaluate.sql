--
-- kseg_evaluate() and kseg_ari(): how good a segmentation is, how alike two are
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- sqlstate and message of a statement that must fail
CREATE FUNCTION pg_temp.code_of(query text)
RETURNS TABLE (code text, message text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	message := 'accepted';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN NEXT;
END
$$;

-- all measures, rounded
CREATE FUNCTION pg_temp.rounded(model kseg_model, query text)
RETURNS TABLE (segment int, size bigint, inertia numeric, silhouette numeric,
	davies_bouldin numeric, calinski_harabasz numeric, note text)
LANGUAGE sql AS $$
	SELECT segment, size, round(inertia::numeric, 9), round(silhouette::numeric, 9),
		round(davies_bouldin::numeric, 9), round(calinski_harabasz::numeric, 9), note
	FROM kseg_evaluate(model, query)
$$;

-- ---- by hand ----

-- two segments, {0, 2} and {10, 12}: each row has a = 2 and b = 11 or 9 on
-- average, so 9/11 and 7/9; centroids 1 and 11, mean distance 1 in both, so
-- (1 + 1) / 10; within 4, between 4 * 5^2, so 100 * 2 / 4
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{0,2,10,12}'::int[]) AS x),
	'SELECT * FROM unnest(''{0,2,10,12}''::int[]) AS x');
-- a row alone in its segment has silhouette 0; its mean distance is 0
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{0,2,100}'::int[]) AS x),
	'SELECT * FROM unnest(''{0,2,100}''::int[]) AS x');
-- other rows than those of the fit: inertia is to the model's centers,
-- Davies-Bouldin and Calinski-Harabasz are of the centroids of these rows
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{0,2,10,12}'::int[]) AS x),
	'SELECT * FROM unnest(''{0,0,4,11,13}''::int[]) AS x');

-- ---- against scikit-learn (test/sklearn/quality.py has more) ----

CREATE TABLE evaluate_customer AS
SELECT i AS id,
	(CASE g WHEN 1 THEN 55 WHEN 2 THEN 25 WHEN 3 THEN 26 WHEN 4 THEN 86 ELSE 88 END +
	 (i * 37 % 29) - 14)::int AS income,
	(CASE g WHEN 1 THEN 50 WHEN 2 THEN 79 WHEN 3 THEN 20 WHEN 4 THEN 82 ELSE 17 END +
	 (i * 53 % 31) - 15)::int AS score,
	(ARRAY['blue', 'green', 'red'])[1 + (g + (i % 7) / 4) % 3] AS color
FROM generate_series(1, 200) AS i,
	LATERAL (SELECT CASE WHEN i <= 80 THEN 1 WHEN i <= 102 THEN 2 WHEN i <= 125 THEN 3
		WHEN i <= 164 THEN 4 ELSE 5 END AS g) AS s;

CREATE TABLE evaluate_expected (what text, segment int, size bigint, inertia float8,
	silhouette float8, davies_bouldin float8, calinski_harabasz float8);
INSERT INTO evaluate_expected VALUES
	('raw', NULL, 200, 29946.53196471403, 0.599224147817988, 0.5310306635722427, 374.1881734811157),
	('raw', 1, 80, 11955.6875, 0.5261810566993168, 0.5539176490472149, NULL),
	('raw', 2, 39, 5848.25641025641, 0.6612809103105912, 0.50365052675157, NULL),
	('raw', 3, 36, 5497.277777777778, 0.6592677850176212, 0.499827507150445, NULL),
	('raw', 4, 23, 3446.173913043478, 0.62452932032748, 0.5539176490472149, NULL),
	('raw', 5, 22, 3199.1363636363635, 0.6301170407896725, 0.5438399858647684, NULL),
	('half', NULL, 100, 14929.963933198243, 0.5963490031545622, 0.5261013798326382, 186.28966005164037),
	('half', 1, 40, 5921.28125, 0.5286646216020251, 0.5510762697579816, NULL),
	('half', 2, 20, 2900.5864562787638, 0.6655741263881789, 0.49499442694473855, NULL),
	('half', 3, 18, 2805.6388888888887, 0.650736689939144, 0.4966236105527939, NULL),
	('half', 4, 11, 1684.525519848771, 0.615967294662441, 0.5367363221497002, NULL),
	('half', 5, 11, 1617.931818181818, 0.6079938421291081, 0.5510762697579816, NULL),
	('zscore', NULL, 200, 92.73866052782012, 0.5276055767110869, 0.6442989280570162, 216.46212483477075),
	('zscore', 1, 102, 69.99508077613372, 0.3732077578451216, 0.7026003450505048, NULL),
	('zscore', 2, 39, 9.003888529052395, 0.686655616878185, 0.6336341342062535, NULL),
	('zscore', 3, 36, 8.448114758553695, 0.711271727094872, 0.5383608879208025, NULL),
	('zscore', 4, 23, 5.291576464080302, 0.6551553394934941, 0.7026003450505048, NULL),
	('cosine', NULL, 200, 48.067288189287, 0.5951689468181423, 0.5767703995177659, 309.44226048193514),
	('cosine', 1, 91, 33.81550467396364, 0.46474803883759375, 0.5840489805441955, NULL),
	('cosine', 2, 55, 7.090163458949571, 0.7068108962021092, 0.5622132374649066, NULL),
	('cosine', 3, 54, 7.161620056373802, 0.7012429358942852, 0.5840489805441955, NULL),
	('color', NULL, 200, 78.18987009310959, 0.5528656083955851, 0.7050104087479199, 200.6429197833316),
	('color', 1, 58, 19.594367345256806, 0.6040149387443057, 0.8109400019497071, NULL),
	('color', 2, 44, 9.263601034312279, 0.6116960942681925, 0.838883481687411, NULL),
	('color', 3, 40, 34.43494993873047, 0.3115365129456288, 0.838883481687411, NULL),
	('color', 4, 36, 12.702463677825868, 0.5108837945049892, 0.585948304371442, NULL),
	('color', 5, 22, 2.194488096984156, 0.8078340892791833, 0.45039677404362627, NULL)
;

CREATE TABLE evaluate_model (what text, model kseg_model, query text);
INSERT INTO evaluate_model
SELECT 'raw', kseg_fit('{"k": 5, "scale": "none"}'::jsonb, income, score),
	'SELECT income, score FROM evaluate_customer' FROM evaluate_customer;
INSERT INTO evaluate_model
SELECT 'zscore', kseg_fit(4, income, score),
	'SELECT income, score FROM evaluate_customer' FROM evaluate_customer;
INSERT INTO evaluate_model
SELECT 'cosine', kseg_fit('{"k": 3, "distance": "cosine"}'::jsonb, income, score),
	'SELECT income, score FROM evaluate_customer' FROM evaluate_customer;
INSERT INTO evaluate_model
SELECT 'color', kseg_fit(5, income, color),
	'SELECT color, income FROM evaluate_customer' FROM evaluate_customer;
INSERT INTO evaluate_model
SELECT 'half', model, query || ' WHERE id % 2 = 0' FROM evaluate_model WHERE what = 'raw';

CREATE FUNCTION pg_temp.close(a float8, b float8) RETURNS boolean
LANGUAGE sql AS $$
	SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL
		ELSE abs(a - b) <= 1e-9 * greatest(abs(a), abs(b)) END
$$;

SELECT x.what, x.segment, e.size = x.size AS size,
	pg_temp.close(e.inertia, x.inertia) AS inertia,
	pg_temp.close(e.silhouette, x.silhouette) AS silhouette,
	pg_temp.close(e.davies_bouldin, x.davies_bouldin) AS davies_bouldin,
	pg_temp.close(e.calinski_harabasz, x.calinski_harabasz) AS calinski_harabasz, note
FROM evaluate_expected AS x
	JOIN evaluate_model AS m USING (what)
	CROSS JOIN LATERAL kseg_evaluate(m.model, m.query) AS e
WHERE e.segment IS NOT DISTINCT FROM x.segment
ORDER BY what, segment NULLS FIRST;
-- the overall row comes first, and Davies-Bouldin is the mean of the segments'
SELECT array_agg(segment ORDER BY n) AS segments,
	round((avg(davies_bouldin) FILTER (WHERE segment > 0) /
		   max(davies_bouldin) FILTER (WHERE segment IS NULL))::numeric, 12) AS mean
FROM evaluate_model AS m,
	LATERAL kseg_evaluate(m.model, m.query) WITH ORDINALITY
		AS e(segment, size, inertia, silhouette, davies_bouldin, ch, note, n)
WHERE what = 'raw';
-- inertia is what the fit says of its own rows
SELECT what, pg_temp.close(e.inertia, i.inertia) AS same
FROM evaluate_model AS m, LATERAL kseg_evaluate(m.model, m.query) AS e,
	LATERAL kseg_info(m.model) AS i
WHERE e.segment IS NULL AND what <> 'half' ORDER BY what;

-- ---- where a measure is not defined ----

-- one segment
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 1, "scale": "none"}'::jsonb, x) FROM unnest('{1,2,3}'::int[]) AS x),
	'SELECT * FROM unnest(''{1,2,3}''::int[]) AS x');
-- two in the model, all rows in one of them
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{1,3,90}'::int[]) AS x),
	'SELECT * FROM unnest(''{1,2,3}''::int[]) AS x');
-- every row a segment of its own
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 3, "scale": "none"}'::jsonb, x) FROM unnest('{1,2,9}'::int[]) AS x),
	'SELECT * FROM unnest(''{1,2,9}''::int[]) AS x');
-- equal rows only: nothing within
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{1,1,9,9,9}'::int[]) AS x),
	'SELECT * FROM unnest(''{1,1,9,9,9}''::int[]) AS x');
-- no row; none with a segment; one row
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit(2, x) FROM unnest('{1,2,9}'::int[]) AS x), 'SELECT 1 AS x WHERE false');
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit(2, x) FROM unnest('{1,2,9}'::int[]) AS x),
	'SELECT NULL::int AS x FROM generate_series(1, 1500)');
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x) FROM unnest('{1,2,9}'::int[]) AS x),
	'SELECT 1 AS x');

-- ---- rows that are not like the fit's ----

-- a missing value; a category never seen, which is as far from the others
SELECT * FROM pg_temp.rounded(
	kseg_fit($$SELECT * FROM (VALUES (0, 'a'), (1, 'a'), (9, 'b'), (10, 'b')) AS v(x, c)$$,
		2, '{"scale": "none"}'),
	$$SELECT * FROM (VALUES (0, 'a'), (1, 'a'), (1, 'new'), (9, 'b'), (NULL, 'a'),
		(10, 'other'), (3, NULL)) AS v(x, c)$$);
-- nulls => mean: the row is at the mean, as kseg_predict has it
SELECT * FROM pg_temp.rounded(
	(SELECT kseg_fit('{"k": 2, "scale": "none", "nulls": "mean"}'::jsonb, x)
	 FROM unnest('{0,2,10,12}'::int[]) AS x),
	'SELECT * FROM unnest(''{0,2,10,12,NULL}''::int[]) AS x');
-- far beyond all that the fit has seen: still exact
SELECT segment, size, silhouette > 0.9999999 AS silhouette, davies_bouldin < 1e-9 AS davies_bouldin
FROM kseg_evaluate((SELECT kseg_fit(2, x) FROM unnest('{0,1,9,10}'::int[]) AS x),
	'SELECT x * 1e12 + y AS x FROM generate_series(0, 1) AS x, generate_series(-1, 1) AS y');
-- columns that are no features, in any order; a float8[] alone
SELECT e = f AS same
FROM evaluate_model AS m,
	LATERAL kseg_evaluate(m.model, 'SELECT color, score, id, income FROM evaluate_customer') AS e,
	LATERAL kseg_evaluate(m.model, 'SELECT ARRAY[income, score]::float8[] FROM evaluate_customer') AS f
WHERE m.what = 'raw' AND e.segment IS NOT DISTINCT FROM f.segment ORDER BY e.segment;
-- repeating every row changes no measure that is a mean
SELECT f.size = 3 * e.size AS size, pg_temp.close(f.inertia, 3 * e.inertia) AS inertia,
	pg_temp.close(f.davies_bouldin, e.davies_bouldin) AS davies_bouldin
FROM evaluate_model AS m, LATERAL kseg_evaluate(m.model, m.query) AS e,
	LATERAL kseg_evaluate(m.model, m.query || ', generate_series(1, 3)') AS f
WHERE m.what = 'raw' AND e.segment IS NOT DISTINCT FROM f.segment ORDER BY e.segment;

-- ---- the same bits, whatever the order of the rows, the plan, the unit ----

CREATE TABLE evaluate_large AS
SELECT i AS id, sqrt((hashint4(i) & 65535)::float8) AS a,
	(hashint4(i + 1) & 63) + 40 * (i % 3) AS b,
	(ARRAY['x', 'y', 'z'])[1 + (hashint4(i + 2) & 1) + i % 2] AS c
FROM generate_series(1, 25000) AS i;
INSERT INTO evaluate_model
SELECT 'large', kseg_fit(4, a, b, c), 'TABLE evaluate_large' FROM evaluate_large;
CREATE TABLE evaluate_bits AS
SELECT 'table' AS how, e.*
FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'), 'TABLE evaluate_large') AS e;
-- the same on every machine, compiler and server version
SELECT md5(string_agg(evaluate_bits::text, E'\n' ORDER BY segment)) FROM evaluate_bits;
INSERT INTO evaluate_bits
SELECT 'shuffled', e.*
FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'),
	'SELECT * FROM evaluate_large ORDER BY hashint4(id)') AS e;
INSERT INTO evaluate_bits
SELECT 'backwards', e.*
FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'),
	'SELECT * FROM evaluate_large ORDER BY id DESC') AS e;
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
		INSERT INTO evaluate_bits
		SELECT unit, e.*
		FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'),
			'SELECT * FROM evaluate_large') AS e;
	END LOOP;
END $$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
INSERT INTO evaluate_bits
SELECT 'parallel', e.*
FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'),
	'SELECT * FROM evaluate_large') AS e;
SELECT b.how, count(*) AS segments,
	bool_and((b.size, b.inertia, b.silhouette, b.davies_bouldin) IS NOT DISTINCT FROM
			 (t.size, t.inertia, t.silhouette, t.davies_bouldin) AND
			 b.calinski_harabasz IS NOT DISTINCT FROM t.calinski_harabasz) AS same,
	min(b.note) AS note
FROM evaluate_bits AS b
	JOIN (SELECT * FROM evaluate_bits WHERE how = 'table') AS t
		ON b.segment IS NOT DISTINCT FROM t.segment
GROUP BY b.how ORDER BY b.how;
-- the sample says nearly what all rows say
SELECT abs(s.silhouette - w.silhouette) < 0.01 AS near, w.note AS of_all
FROM (SELECT silhouette FROM evaluate_bits WHERE how = 'table' AND segment IS NULL) AS s,
	kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'large'),
		'SELECT * FROM evaluate_large ORDER BY id LIMIT 10000') AS w
WHERE w.segment IS NULL;
-- a small segment that the sample has no row of
SELECT segment, size, silhouette IS NULL AS no_silhouette, davies_bouldin IS NULL AS no_ratio, note
FROM kseg_evaluate((SELECT kseg_fit('{"k": 2, "scale": "none"}'::jsonb, x)
		FROM unnest('{0,1,1000000}'::int[]) AS x),
	'SELECT CASE WHEN i = 1 THEN 1000000 ELSE i % 100 END AS x FROM generate_series(1, 100000) AS i');

-- ---- reading only ----

BEGIN TRANSACTION READ ONLY;
SELECT count(*) AS rows FROM evaluate_model AS m, LATERAL kseg_evaluate(m.model, m.query);
COMMIT;

-- ---- errors ----

SELECT * FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'raw'),
	'SELECT income FROM evaluate_customer');
SELECT code, message FROM unnest(ARRAY[
	'SELECT kseg_evaluate(NULL, ''SELECT 1'')',
	'SELECT kseg_evaluate(model, NULL) FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''SELECT 1 AS income'') FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''DELETE FROM evaluate_model RETURNING what'') FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''SELECT 1 AS score, ''''x'''' AS income'') FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''SELECT 1e300::float8 AS score, 1 AS income'') FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''SELECT 1 AS score, ''''NaN''''::float8 AS income'') FROM evaluate_model WHERE what = ''raw''',
	'SELECT kseg_evaluate(model, ''nonsense'') FROM evaluate_model WHERE what = ''raw'''
]) AS q, pg_temp.code_of(q);
SET kseg.work_mem = '1MB';
SELECT code, regexp_replace(message, 'after \d+', 'after N') AS message
FROM pg_temp.code_of('SELECT kseg_evaluate(model, ''SELECT i AS score, i AS income
	FROM generate_series(1, 1000000) AS i'') FROM evaluate_model WHERE what = ''raw''');
RESET kseg.work_mem;
-- few rows, but many segments of many values
INSERT INTO evaluate_model
SELECT 'wide', kseg_fit('{"k": 300, "n_init": 1, "max_iter": 1}'::jsonb,
	(SELECT array_agg(sqrt(i) * j) FROM generate_series(1, 80) AS j))
FROM generate_series(1, 400) AS i;
SELECT size FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'wide'),
	'SELECT array_fill(1.0::float8, ARRAY[80])') LIMIT 1;
SET kseg.work_mem = '1MB';
SELECT * FROM kseg_evaluate((SELECT model FROM evaluate_model WHERE what = 'wide'),
	'SELECT array_fill(1.0::float8, ARRAY[80])');
RESET kseg.work_mem;

-- ---- kseg_ari ----

-- the same by other names; by chance; scikit-learn's own examples
SELECT kseg_ari(a, b) AS same FROM (VALUES (1, 7), (1, 7), (2, -3), (2, -3), (3, 0)) AS v(a, b);
SELECT kseg_ari(a, b) AS apart FROM (VALUES (0, 0), (0, 1), (0, 2), (0, 3)) AS v(a, b);
SELECT round(kseg_ari(a, b)::numeric, 15) AS partly FROM (VALUES (0, 0), (0, 0), (1, 1), (1, 2)) AS v(a, b);
SELECT kseg_ari(a, b) AS crossed FROM (VALUES (0, 0), (0, 1), (1, 0), (1, 1)) AS v(a, b);
-- one row, one segment each, every row a segment of its own in both
SELECT kseg_ari(1, 5) AS one_row;
SELECT kseg_ari(1, 5) AS one_segment FROM generate_series(1, 9);
SELECT kseg_ari(i, -i) AS all_apart FROM generate_series(1, 9) AS i;
-- rows with a null are left out; no row at all is null
SELECT kseg_ari(a, b) = 1 AS same, kseg_ari(a, NULL) IS NULL AS none, kseg_ari(NULL, NULL) IS NULL AS neither
FROM (VALUES (1, 1), (1, NULL), (NULL, 1), (2, 2), (NULL, NULL)) AS v(a, b);
SELECT kseg_ari(1, 2) IS NULL AS none WHERE false;
-- it is symmetric and depends on no order and no plan
SELECT kseg_ari(a, b) = kseg_ari(b, a) AS symmetric,
	kseg_ari(a, b ORDER BY a) = kseg_ari(a, b ORDER BY b DESC) AS any_order,
	pg_temp.close(kseg_ari(a, b), 0.3714135039089287) AS as_scikit_learn
FROM (SELECT i % 7 AS a, (i % 7 + (i % 11) / 8) % 5 AS b FROM generate_series(1, 5000) AS i) AS s;
-- groups, a filter, a window
SELECT g, round(kseg_ari(a, b)::numeric, 12) AS ari, kseg_ari(a, b) FILTER (WHERE a = 0) AS one
FROM (SELECT i % 2 AS g, i % 3 AS a, (i % 3 + (i % 8) / 7) % 3 AS b FROM generate_series(1, 400) AS i) AS s
GROUP BY g ORDER BY g;
SELECT i, kseg_ari(i / 2, i / 3) OVER (ORDER BY i) AS so_far FROM generate_series(0, 5) AS i ORDER BY i;
-- workers count their own pairs
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ANALYZE evaluate_large;
EXPLAIN (COSTS OFF) SELECT kseg_ari(id % 50, b) FROM evaluate_large;
CREATE TABLE evaluate_ari AS SELECT kseg_ari(id % 50, b) AS parallel FROM evaluate_large;
SET max_parallel_workers_per_gather = 0;
SELECT parallel = (SELECT kseg_ari(id % 50, b) FROM evaluate_large) AS same FROM evaluate_ari;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
-- a model's segments against another model's
SELECT round(kseg_ari(kseg_predict(m.model, income, score), kseg_predict(n.model, income, score))::numeric, 9) AS ari
FROM evaluate_customer, evaluate_model AS m, evaluate_model AS n
WHERE m.what = 'raw' AND n.what = 'zscore';
-- row numbers are no segments
SET kseg.work_mem = '1MB';
SELECT kseg_ari(i, i) FROM generate_series(1, 100000) AS i;
RESET kseg.work_mem;

DROP TABLE evaluate_customer, evaluate_expected, evaluate_model, evaluate_large, evaluate_bits, evaluate_ari;
