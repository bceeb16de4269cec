--
-- kseg_profile(): who the segments are, from a model and from a query's rows
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET datestyle = 'ISO';
SET timezone = 'UTC';

CREATE TYPE profile_tier AS ENUM ('gold', 'silver', 'bronze');
CREATE TABLE profile_customer AS
SELECT i AS id, 'c' || i AS name,
	(CASE i % 3 WHEN 0 THEN 20 WHEN 1 THEN 45 ELSE 70 END) + i % 5 AS age,
	(CASE i % 3 WHEN 0 THEN 1000 WHEN 1 THEN 5000 ELSE 3000 END) + i AS income,
	(ARRAY['bronze', 'gold', 'silver']::profile_tier[])[1 + (i + (i % 7 = 0)::int) % 3] AS tier,
	CASE WHEN i % 11 <> 0 THEN (i * i % 97)::numeric / 7 END AS revenue,
	CASE WHEN i % 8 <> 0 THEN i % 3 = 0 OR i % 5 = 0 END AS churned,
	CASE i % 4 WHEN 0 THEN 'Oslo' WHEN 1 THEN 'Bergen' WHEN 2 THEN 'Oslo' END AS city,
	date '2020-01-01' + i * 3 AS since,
	make_interval(days => i, mins => i % 3) AS tenure
FROM generate_series(1, 92) AS i;
CREATE TABLE profile_model AS
SELECT kseg_fit(3, age, income, tier) AS model FROM profile_customer;

-- ---- of a model ----

SELECT segment, label, size, round(share::numeric, 4) AS share, feature, top_value,
	round(mean::numeric, 4) AS mean, round(overall_mean::numeric, 4) AS overall,
	round(index_100::numeric, 2) AS index_100, round(z::numeric, 4) AS z, rank
FROM profile_model, kseg_profile(model);
-- by hand: means 2, 10, 30 of 42 / 5 rows; population sd of 1, 3, 10, 10, 18
SELECT segment, size, share, mean, overall_mean, round(index_100::numeric, 6) AS index_100,
	abs(z - (mean - 8.4) / sqrt((1 + 9 + 100 + 100 + 324) / 5.0 - 8.4 * 8.4)) < 1e-15 AS z_holds
FROM kseg_profile(kseg_fit('VALUES (1), (3), (10), (10), (18)', 3,
	'{"scale": "none", "init": [[2], [10], [18]], "order_by": "column1"}')) ORDER BY segment;
-- the same means as kseg_centroids has, the same overall means as avg and
-- count; the population's standard deviation
SELECT count(*), bool_and(p.mean = c.value) AS same_mean, bool_and(p.size = c.size) AS same_size,
	bool_and(abs(p.overall_mean / o.mean - 1) < 1e-15) AS overall,
	bool_and(abs(p.z - (p.mean - o.mean) / o.sd) < 1e-13) AS z,
	bool_and(abs(p.index_100 - 100 * p.mean / o.mean) < 1e-12) AS index
FROM profile_model, kseg_profile(model) AS p
	JOIN LATERAL kseg_centroids(model) AS c
		ON c.segment = p.segment AND c.feature = p.feature AND c.category IS NOT DISTINCT FROM p.top_value
	JOIN (SELECT 'age' AS feature, NULL AS value, avg(age)::float8 AS mean, stddev_pop(age)::float8 AS sd FROM profile_customer
		UNION ALL SELECT 'income', NULL, avg(income), stddev_pop(income) FROM profile_customer
		UNION ALL SELECT 'tier', t::text, avg((tier = t)::int), stddev_pop((tier = t)::int)
			FROM profile_customer, unnest(enum_range(NULL::profile_tier)) AS t GROUP BY t) AS o
		ON o.feature = p.feature AND o.value IS NOT DISTINCT FROM p.top_value;
-- rank goes by |z|, ties by the order of the features
SELECT segment, string_agg(feature, ' ' ORDER BY rank) AS features, array_agg(rank ORDER BY rank) AS ranks
FROM kseg_profile(kseg_fit('SELECT i % 2 AS b, -(i % 2) AS a, i % 2 + i % 3 / 9.0 AS c
	FROM generate_series(1, 12) AS i', 2)) GROUP BY 1 ORDER BY 1;
-- row weights count in means and shares, not in sizes
SELECT segment, size, share, feature, top_value, round(mean::numeric, 6) AS mean,
	round(overall_mean::numeric, 6) AS overall, round(z::numeric, 6) AS z
FROM kseg_profile(kseg_fit($$VALUES (1, 'a', 1), (3, 'b', 3), (11, 'b', 1), (13, 'a', 1)$$, 2,
	'{"row_weight": "column3", "init": [[2, "b"], [12, "a"]], "weights": {"column1": 9}}'))
ORDER BY segment, rank;
-- cosine: means of the rows as they were
SELECT segment, feature, mean, overall_mean, round(z::numeric, 6) AS z
FROM kseg_profile(kseg_fit('VALUES (1, 0), (3, 0), (0, 2), (0, 8)', 2,
	'{"distance": "cosine", "scale": "none"}')) ORDER BY segment, feature;
-- one segment, a constant column; no index where there is nothing to compare
-- with: dates, and means that are not positive
SELECT segment, label, feature, round(mean::numeric, 3) AS mean, round(overall_mean::numeric, 3) AS overall,
	round(index_100::numeric, 3) AS index_100, round(z::numeric, 3) AS z, rank
FROM kseg_profile(kseg_fit($$SELECT 7 AS constant, i AS i, i - 4.5 AS around, -i AS negative,
	0 AS zero, i > 4 AS flag, date '2024-01-01' + i AS day, make_interval(days => i) AS span
	FROM generate_series(1, 8) AS i$$, 2)) ORDER BY segment, rank;
SELECT DISTINCT label, rank, z FROM kseg_profile(kseg_fit('SELECT i AS x, i % 3 AS y
	FROM generate_series(1, 9) AS i', 1)) ORDER BY rank;
SELECT count(*) FROM kseg_profile(NULL::kseg_model);

-- ---- labels ----

CREATE FUNCTION labels(query text, options jsonb) RETURNS TABLE (segment int, label text)
LANGUAGE sql AS $$
	SELECT DISTINCT p.segment, p.label FROM kseg_profile(kseg_fit(query, options => options)) AS p
	ORDER BY 1
$$;
-- numbers: high, low, very high, average
SELECT * FROM labels($$SELECT x, y FROM (VALUES (10, 90, 20), (90, 90, 18), (10, 10, 17),
	(90, 10, 16), (50, 50, 40), (300, 52, 2)) AS v (x, y, n), generate_series(1, n)$$, '{"k": 6}');
-- booleans, dates, intervals, in any of their words
SELECT * FROM labels($$SELECT b, d, s FROM (VALUES (true, date '2001-02-03', interval '2 days', 20),
	(false, '2020-02-03', '2 days', 19), (false, '2010-02-03', '400 days', 18), (false, '2010-02-03', '100 days', 60),
	(NOT NULL::boolean, '1960-01-01', '100 days', 2)) AS v (b, d, s, n), generate_series(1, n)$$,
	'{"k": 5, "nulls": "mean"}');
SELECT * FROM labels($$SELECT i > 10 AS "is active", i AS x FROM generate_series(1, 40) AS i$$,
	'{"k": 3, "init": [[0.5, 10], [1, 25], [1, 35]], "scale": "none"}');
-- categories: always, mostly, often; a frequent value that is missing; rare
-- ones, whatever their z, say nothing
SELECT * FROM labels($$SELECT i / 100 AS x, CASE i / 100 WHEN 0 THEN 'Oslo'
		WHEN 1 THEN CASE WHEN i % 10 < 6 THEN 'Bergen' ELSE 'Oslo' END
		WHEN 2 THEN CASE WHEN i % 10 < 4 THEN 'Stavanger' WHEN i % 10 < 8 THEN 'Oslo' ELSE 'b' || i END
		ELSE CASE WHEN i % 10 < 2 THEN 'Oslo' ELSE 'a' || i % 20 END END AS city
	FROM generate_series(0, 399) AS i$$, '{"k": 4, "order_by": "x", "weights": {"x": 100}}');
SELECT * FROM labels($$SELECT i / 50 AS x, CASE WHEN i < 50 THEN '' ELSE 'yes' END AS answer
	FROM generate_series(0, 99) AS i$$, '{"k": 2, "order_by": "x"}');
-- the same words: the feature that tells apart best is added, with a word
-- where there is one, otherwise with its value in as many digits as it takes
SELECT * FROM labels($$SELECT x, y, age FROM (VALUES (9, 9, 30), (9, 9, 60), (1, 1, 45), (1, 1, 47)) AS v (x, y, age),
	generate_series(1, 5)$$, '{"k": 4}');
SELECT * FROM labels($$SELECT x FROM unnest('{1, 2, 3, 100, 101, 102, 102.5}'::numeric[]) AS x,
	generate_series(1, 3)$$, '{"k": 7, "order_by": "x"}');
SELECT * FROM labels($$SELECT d FROM unnest('{2001-01-01, 2001-01-02, 2001-01-20, 2024-07-01}'::date[]) AS d,
	generate_series(1, 3)$$, '{"k": 4, "order_by": "d"}');
SELECT * FROM labels($$SELECT t FROM unnest('{2001-01-01 10:00, 2001-01-01 10:01, 2001-01-01 11:30, 2001-01-01 11:30:00.5}'::timestamp[]) AS t,
	generate_series(1, 3)$$, '{"k": 4, "order_by": "t"}');
SELECT * FROM labels($$SELECT s FROM unnest('{1 hour, 90 min, 1 day, 2 days, 3 days, 100 days, 101 days}'::interval[]) AS s,
	generate_series(1, 3)$$, '{"k": 7, "order_by": "s"}');
SELECT * FROM labels($$SELECT i / 100 AS x, i % 100 < share AS flag, 5 AS five
	FROM generate_series(0, 499) AS i, LATERAL (SELECT (ARRAY[10, 12, 13, 90, 50])[1 + i / 100] AS share) AS s$$,
	'{"k": 5, "order_by": "x", "weights": {"x": 100}, "init": [[0, 0.1, 5], [1, 0.1, 5], [2, 0.1, 5], [3, 0.9, 5], [4, 0.5, 5]]}');
-- differences that nobody sees still differ
SELECT * FROM labels('SELECT x FROM unnest(''{1e6, 1000000.00001, 1000000.00002, 1e9}''::float8[]) AS x,
	generate_series(1, 2)', '{"k": 4, "scale": "none", "order_by": "x"}');
-- many alike
SELECT count(*), count(DISTINCT label), max(length(label)) < 80 AS short
FROM labels('SELECT i % 20 AS x, i / 20 AS y FROM generate_series(0, 399) AS i',
	(SELECT jsonb_build_object('init', jsonb_agg(jsonb_build_array(i % 20, i / 20)))
	FROM generate_series(0, 399) AS i));
SELECT count(*), count(DISTINCT label), max(length(label)) < 80 AS short
FROM labels('SELECT i & 1 = 1 AS a, i & 2 = 2 AS b, i & 4 = 4 AS c, i & 8 = 8 AS d, i & 16 = 16 AS e
	FROM generate_series(0, 31) AS i', '{"k": 32}');
SELECT count(*), count(DISTINCT label) FROM labels('SELECT i FROM generate_series(1, 1000) AS i',
	'{"k": 1000, "n_init": 1}');
-- more features than a label can name: numbers
SELECT count(*), count(DISTINCT label), count(*) FILTER (WHERE label ~ '\(2\)$') AS second
FROM labels('SELECT i & 1 = 1 AS a, i & 2 = 2 AS b, i & 4 = 4 AS c, i & 8 = 8 AS d, i & 16 = 16 AS e,
	i & 32 = 32 AS f, i & 64 = 64 AS g, i & 128 = 128 AS h, i & 256 = 256 AS j FROM generate_series(0, 511) AS i', '{"k": 512}');
-- equal profiles share a label
SELECT segment, label, mean FROM kseg_profile((SELECT jsonb_set(m::jsonb, '{segments,1,center}',
		m::jsonb #> '{segments,0,center}')::kseg_model
	FROM kseg_fit('VALUES (1), (2), (3)', 3) AS m));
-- a model that no fit made: values beyond double's range are nulls
SELECT segment, label, mean, z, rank FROM kseg_profile((SELECT jsonb_set(m::jsonb, '{features,0,divisor}', '1e307')::kseg_model
	FROM kseg_fit('VALUES (1), (20), (300)', 3) AS m));
-- nor is an index lost on the way
SELECT segment, feature, mean, overall_mean, index_100 FROM kseg_profile(kseg_fit('VALUES (1), (2)', 1),
	'SELECT 1 AS column1, 2e307::float8 * n AS large FROM generate_series(1, 3) AS n') ORDER BY 2;
-- names that are hard to read, or look like labels
SELECT * FROM labels($$SELECT x AS "it's ""odd"",
 two lines", y AS "größe_in_ungewöhnlich_langen_worten_die_niemand_liest", c AS "%s"
	FROM (VALUES (1, 9, repeat('ø', 40)), (9, 1, E'tab\tand\nline')) AS v (x, y, c), generate_series(1, 3)$$, '{"k": 2}');
SELECT * FROM labels($$SELECT x AS a, y AS "b, high c", z AS c FROM (VALUES (9, 9, 0), (9, 9, 5), (0, 0, 1)) AS v (x, y, z),
	generate_series(1, 2)$$, '{"k": 3}');
SELECT DISTINCT label FROM profile_customer AS c, LATERAL (SELECT 1 WHERE id = 1) AS one,
	kseg_profile((SELECT kseg_fit(2, ln(income), (income + age * 1000 - 17 * id) / (1 + abs(age - 33))) FROM profile_customer))
ORDER BY 1;
-- another order of rows, another way to compute, the same labels and bits
CREATE TABLE profile_shuffled AS SELECT * FROM profile_customer ORDER BY hashint4(id);
SELECT count(*) FROM (
	(SELECT p.* FROM profile_model, kseg_profile(model) AS p) EXCEPT ALL
	(SELECT p.* FROM kseg_profile((SELECT kseg_fit(3, age, income, tier) FROM profile_shuffled)) AS p)) AS d;
-- a little noise changes no word
SELECT DISTINCT label FROM generate_series(1, 5) AS noise,
	labels('SELECT x + (hashint4(i + 1000 * ' || noise || ') & 255) / 100.0 AS x, y + (hashint4(i + 7000 * ' || noise || ') & 255) / 100.0 AS y
		FROM (VALUES (20, 20), (20, 80), (80, 20), (80, 80), (50, 50)) AS v (x, y), generate_series(1, 40) AS i', '{"k": 5}')
ORDER BY 1;

-- ---- of the rows of a query ----

CREATE TABLE profile_rows AS
SELECT c.*, kseg_predict(model, age, income, tier) AS segment FROM profile_model, profile_customer AS c;
CREATE TABLE profile_result AS
SELECT p.* FROM profile_model, kseg_profile(model,
	'SELECT age, income, tier, revenue, churned, city, since, tenure FROM profile_customer') AS p;
SELECT feature, top_value, round(mean::numeric, 4) AS mean, round(overall_mean::numeric, 4) AS overall,
	round(index_100::numeric, 2) AS index_100, round(z::numeric, 4) AS z, rank, round(median::numeric, 4) AS median,
	round(p25::numeric, 4) AS p25, round(p75::numeric, 4) AS p75, is_fitted
FROM profile_result WHERE segment = 1;
-- numbers: as the server's aggregates have them
CREATE VIEW profile_numbers AS
SELECT segment, feature, x FROM profile_rows, LATERAL (VALUES ('age', age::float8), ('income', income),
	('revenue', revenue), ('churned', churned::int), ('since', extract(epoch FROM since)),
	('tenure', extract(epoch FROM tenure))) AS v (feature, x) WHERE x IS NOT NULL;
SELECT count(*), bool_and(abs(p.mean - s.mean) <= 1e-12 * abs(s.mean)) AS mean,
	bool_and(abs(p.overall_mean - o.mean) <= 1e-12 * abs(o.mean)) AS overall,
	bool_and(abs(p.z - (s.mean - o.mean) / o.sd) <= 1e-11) AS z,
	bool_and(p.median = q[2]) AS median, bool_and(p.p25 = q[1]) AS p25, bool_and(p.p75 = q[3]) AS p75
FROM profile_result AS p
	JOIN (SELECT segment, feature, avg(x) AS mean,
			percentile_cont('{0.25, 0.5, 0.75}'::float8[]) WITHIN GROUP (ORDER BY x) AS q
		FROM profile_numbers GROUP BY 1, 2) AS s USING (segment, feature)
	JOIN (SELECT feature, avg(x) AS mean, stddev_pop(x) AS sd FROM profile_numbers GROUP BY 1) AS o USING (feature);
-- texts: the most frequent, of equals the first; nulls do not count
CREATE VIEW profile_texts AS
SELECT segment, feature, x FROM profile_rows, LATERAL (VALUES ('tier', tier::text), ('city', city)) AS v (feature, x)
WHERE x IS NOT NULL;
SELECT count(*), bool_and(p.top_value = s.x AND p.mean = s.share) AS top, bool_and(p.overall_mean = o.share) AS overall,
	bool_and(abs(p.z - (s.share - o.share) / sqrt(o.share * (1 - o.share))) < 1e-12) AS z,
	bool_and(num_nulls(median, p25, p75) = 3) AS no_quartiles
FROM profile_result AS p
	JOIN (SELECT DISTINCT ON (segment, feature) segment, feature, x,
			count(*)::float8 / sum(count(*)) OVER (PARTITION BY segment, feature)::float8 AS share
		FROM profile_texts GROUP BY 1, 2, 3 ORDER BY 1, 2, count(*) DESC, x COLLATE "C") AS s USING (segment, feature)
	JOIN (SELECT feature, x, count(*)::float8 / sum(count(*)) OVER (PARTITION BY feature)::float8 AS share
		FROM profile_texts GROUP BY 1, 2) AS o ON o.feature = p.feature AND o.x = p.top_value;
-- what both forms say is the same
SELECT count(*), bool_and(q.label = m.label AND q.size = m.size AND q.share = m.share) AS same,
	bool_and(q.top_value IS NOT DISTINCT FROM m.top_value) AS top,
	bool_and(abs(q.mean - m.mean) < 1e-9 AND abs(q.z - m.z) < 1e-9) AS values
FROM profile_result AS q JOIN (SELECT p.* FROM profile_model, kseg_profile(model) AS p) AS m USING (segment, feature);
SELECT segment, array_agg(feature || ' ' || rank || CASE WHEN is_fitted THEN ' fitted' ELSE '' END) AS ranks
FROM (SELECT * FROM profile_result WHERE segment = 2 ORDER BY rank) AS r GROUP BY 1;
-- columns in any order and of other types, a feature twice
SELECT segment, feature, round(mean::numeric, 4) AS mean, is_fitted FROM profile_model,
	kseg_profile(model, 'SELECT tier::text, 1 AS one, income::numeric, age::float4, age FROM profile_customer') AS p
WHERE segment = 1 ORDER BY feature;
-- rows without a segment are left out, with nulls => mean none is; nulls of a
-- column are left out of it alone
CREATE TABLE profile_holes AS
SELECT id, CASE WHEN id % 4 <> 0 THEN age END AS age, CASE WHEN id % 9 <> 0 THEN income END AS income, revenue FROM profile_customer;
SELECT sum(size) AS rows, bool_and(abs(share - size / 61.0) < 1e-15) AS share
FROM (SELECT DISTINCT segment, size, share FROM kseg_profile(kseg_fit('SELECT age, income FROM profile_holes', 3),
	'SELECT age, income, revenue FROM profile_holes')) AS s;
SELECT sum(size) AS rows, sum(share) AS share, min(overall_mean) = (SELECT avg(age)::float8 FROM profile_holes) AS mean
FROM kseg_profile(kseg_fit('SELECT age, income FROM profile_holes', 3, '{"nulls": "mean"}'),
	'SELECT age, income, revenue FROM profile_holes') WHERE feature = 'age';
-- segments without rows, columns without values, no rows at all
SELECT segment, size, share, feature, top_value, mean, overall_mean, index_100, z, rank, median, p25, p75, is_fitted
FROM profile_model, kseg_profile(model, 'SELECT age, income, tier, NULL::int AS nothing, NULL::text AS none,
	CASE WHEN id = 2 THEN 5 END AS once FROM profile_customer WHERE id IN (2, 5)') ORDER BY segment, rank, feature;
SELECT DISTINCT size, share, mean, overall_mean, top_value, rank FROM profile_model,
	kseg_profile(model, 'SELECT * FROM profile_customer WHERE false');
-- values that the model has never seen are profiled like others
SELECT segment, feature, top_value, round(mean::numeric, 3) AS mean FROM kseg_profile(
	kseg_fit('SELECT age, tier::text AS tier FROM profile_customer', 1), 'SELECT age,
	CASE WHEN id > 20 THEN ''new'' ELSE tier::text END AS tier FROM profile_customer') WHERE feature = 'tier';
-- clipping is the fit's: a query shows what is there
SELECT round(m.mean::numeric, 3) AS model, q.mean AS query, q.p75 FROM kseg_fit('SELECT i AS x FROM generate_series(1, 101) AS i',
	1, '{"clip": [0, 0.5]}') AS fitted, kseg_profile(fitted) AS m, kseg_profile(fitted, 'SELECT i AS x FROM generate_series(1, 101) AS i') AS q;
-- a float8[] holds all features
SELECT segment, feature, round(mean::numeric, 3) AS mean, median, is_fitted
FROM kseg_profile(kseg_fit('SELECT ARRAY[age, income]::float8[] AS both FROM profile_customer', 2),
	'SELECT CASE WHEN id <> 7 THEN ARRAY[age, income]::float8[] END AS both FROM profile_customer') ORDER BY 1, rank;
-- any order of rows, plan and vector unit: the same bits
CREATE TABLE profile_large AS SELECT p.*, copy FROM profile_customer AS p, generate_series(1, 40) AS copy;
CREATE FUNCTION profile_md5(query text) RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(p::text, E'\n')) FROM profile_model, kseg_profile(model, query) AS p
$$;
SELECT count(DISTINCT profile_md5('SELECT age, income, tier, revenue, city FROM profile_large ORDER BY ' || o))
FROM unnest('{id, "copy, id DESC", "hashint4(id), copy", random()}'::text[]) AS o;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET kseg.simd = baseline;
SELECT profile_md5('SELECT age, income, tier, revenue, city FROM profile_large') AS baseline \gset
SET max_parallel_workers_per_gather = 0;
SET kseg.simd = auto;
SELECT profile_md5('SELECT age, income, tier, revenue, city FROM profile_large') = :'baseline' AS same;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- nothing is written
BEGIN READ ONLY;
SELECT count(*) FROM profile_model, kseg_profile(model);
SELECT count(*) FROM profile_model, kseg_profile(model, 'TABLE profile_customer');
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
SELECT query, f.*
FROM (VALUES
	(1, NULL),
	(2, 'SELECT age, tier FROM profile_customer'),
	(3, 'SELECT age, income, tier, point(age, income) AS place FROM profile_customer'),
	(4, 'SELECT age, income, tier, ARRAY[age] AS many FROM profile_customer'),
	(5, 'SELECT age, income, tier::text AS "tier", id || ''/'' || n AS ticket FROM profile_customer, generate_series(1, 200) AS n'),
	(6, 'SELECT age, income, tier, ''NaN''::float8 AS ratio FROM profile_customer'),
	(7, 'SELECT age, tier AS income, income AS tier FROM profile_customer'),
	(8, 'DELETE FROM profile_customer RETURNING *'),
	(9, 'SELECT ARRAY[age, income]::float8[] AS both FROM profile_customer'))
	AS c (n, query),
	failure('SELECT kseg_profile(model, ' || quote_nullable(query) || ') FROM profile_model') AS f
ORDER BY n \gx
SELECT code, message FROM failure('SELECT kseg_profile(NULL, ''SELECT 1 AS x'')');
-- memory
SET kseg.work_mem = '1MB';
SELECT code, regexp_replace(message, 'after \d+', 'after N') AS message, hint FROM failure(
	'SELECT kseg_profile(model, ''SELECT c.* FROM profile_customer AS c, generate_series(1, 1000)'') FROM profile_model');
SELECT code, message FROM failure($$SELECT kseg_profile(kseg_fit('SELECT i AS x, i % 7 AS y FROM generate_series(1, 1000) AS i', 1000,
	'{"n_init": 1}'), 'SELECT i AS x, i AS y, i AS z, 1 AS a, 2 AS b, 3 AS c, 4 AS d, 5 AS e, 6 AS f, 7 AS g, 8 AS h, 9 AS i, 10 AS j, 11 AS k,
	12 AS l, 13 AS m, 14 AS n, 15 AS o, 16 AS p FROM generate_series(1, 5) AS i')$$);
RESET kseg.work_mem;

DROP FUNCTION failure, labels, profile_md5;
DROP VIEW profile_numbers, profile_texts;
DROP TABLE profile_customer, profile_model, profile_shuffled, profile_rows, profile_result, profile_holes, profile_large;
DROP TYPE profile_tier;
