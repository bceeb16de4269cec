-- Many nights of a segmentation that never were: rows as kseg_run() writes them
-- into its tables, so that a page about years and millions of customers can be
-- made in seconds.  Run as superuser, with kseg in the search path.
--
-- psql variables: name, customers, runs.  Its last run starts at :'last'.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET extra_float_digits = -10;
SET max_parallel_workers_per_gather = 0;
SELECT setseed(0.2026) \g /dev/null

-- ---- people of ten kinds, eight features ----

CREATE TEMPORARY TABLE people AS
SELECT i AS id,
	round(18 + 60 * abs(hashint4(kind * 7 + 1) % 97) / 97.0 + 5 * n[1]) AS age,
	round((18 + 90 * abs(hashint4(kind * 3 + 2) % 89) / 89.0) * 1000 *
		exp(0.12 * n[2])) AS annual_income,
	round(5 + 300 * abs(hashint4(kind * 5 + 4) % 83) / 83.0 + 14 * n[3])
		AS basket,
	round(1 + 40 * abs(hashint4(kind + 60) % 79) / 79.0 + 3 * n[4]) AS purchases,
	round(300 * abs(hashint4(kind * 11 + 5) % 73) / 73.0 + 20 * n[5]) AS recency,
	round(100 * abs(hashint4(kind * 13 + 6) % 71) / 71.0 + 6 * n[6])
		AS spending_score,
	round(30 * abs(hashint4(kind * 17 + 7) % 67) / 67.0 + 2 * n[7]) AS returns,
	(ARRAY['shop', 'web', 'app', 'phone'])[1 + (kind % 4 + (random() < 0.1)::int)
		% 4] AS channel
FROM (SELECT i, (10 * sqrt(random()))::int % 10 AS kind,
		ARRAY(SELECT sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())
			FROM generate_series(1, 7) WHERE i > 0) AS n
	FROM generate_series(1, 20000) AS i) AS people;

-- ---- the segmentation ----

INSERT INTO kseg_segmentations (name, owner, query, resolved_query, key, options,
	target, segment_column, owns_target, refit_when, hold_when, hysteresis,
	version, last_version, last_id, members)
SELECT :'name', current_user::regrole, 'TABLE people',
	'SELECT * FROM pg_temp.people', '{id}', '{}', 'people', 'segment', false,
	'{}', '{}', 0.1, 2, 3, 10, :customers;
SELECT id AS segmentation FROM kseg_segmentations WHERE name = :'name' \gset

INSERT INTO kseg_models
SELECT :segmentation, version, model, is_held, reason, 1,
	:'last'::timestamptz - days * interval '1 day'
FROM (SELECT kseg_fit('SELECT age, annual_income, basket, purchases, recency,
		spending_score, returns, channel FROM people', 10, NULL) AS model)
		AS fitted,
	(VALUES (1, false, 'first run', :runs - 1),
		(2, false, 'feature "recency" drifted (psi 0.26)', :runs / 3),
		(3, true, 'would move 41% of all customers', 2))
		AS v (version, is_held, reason, days);

INSERT INTO kseg_elbows
SELECT :segmentation, version, k, inertia, explained, drop_pct, silhouette,
	davies_bouldin, calinski_harabasz, smallest_share,
	coalesce(is_knee, false), coalesce(is_best_silhouette, false), note
FROM kseg_elbow('SELECT age, annual_income, basket, purchases, recency,
		spending_score, returns, channel FROM people', 1, 14, NULL),
	generate_series(1, 2) AS version;

INSERT INTO kseg_points
SELECT :segmentation, 2, row_number() OVER (ORDER BY key), segment, x, y
FROM kseg_models, kseg_project(model, 'TABLE people', 'id', 2, 2000)
WHERE segmentation = :segmentation AND version = 2;

INSERT INTO kseg_names
SELECT DISTINCT segmentation, segment, label
FROM kseg_models, kseg_profile(model)
WHERE segmentation = :segmentation AND version = 2;

INSERT INTO kseg_labels
SELECT :segmentation, segment, label, NULL, 1, now(), current_user, review
FROM (VALUES
	(1, 'Loyal regulars', NULL),
	(2, 'Weekend browsers', NULL),
	(3, 'Bargain hunters', 'has moved 1.4 standard deviations, mostly "recency"'),
	(5, 'New and curious', NULL)) AS v (segment, label, review);

-- ---- its runs ----

INSERT INTO kseg_runs (id, segmentation, started, elapsed, mode, action, reason,
	version, refit_version, scored, changed, new, gone, unassigned, drift,
	inertia_ratio, held, proposed_k, run_by)
SELECT :segmentation * 1000000 + i, :segmentation,
	:'last'::timestamptz - (:runs - i) * interval '1 day' +
		random() * interval '2 minutes',
	CASE WHEN i IN (1, refit, held) THEN 21.4 ELSE 4 + random() END *
		interval '1 second', 'auto',
	CASE i WHEN 1 THEN 'refit' WHEN refit THEN 'refit' WHEN held THEN 'held'
		ELSE 'score' END,
	CASE i WHEN 1 THEN 'first run'
		WHEN refit THEN 'feature "recency" drifted (psi 0.26)'
		WHEN held THEN 'version 3 would move 41% of all customers'
		ELSE 'no limit of refit_when is reached' END,
	CASE WHEN i < refit THEN 1 ELSE 2 END,
	CASE i WHEN 1 THEN 1 WHEN refit THEN 2 WHEN held THEN 3 END,
	:customers - (:runs - i) * :customers / 4000,
	CASE WHEN i > 1 THEN :customers * (0.003 + 0.002 * random()) *
		CASE i WHEN refit THEN 20 ELSE 1 END ELSE 0 END,
	:customers / 2000, :customers / 4000, :customers / 300,
	drift, 1 + drift / 3, i = held, CASE i WHEN held THEN 11 END, current_user
FROM (SELECT i, refit, held, CASE WHEN i > 1 THEN
			0.02 + 0.24 * ((i - CASE WHEN i > refit THEN refit ELSE 1 END)::float8
				/ (refit - 1)) ^ 2 + 0.01 * random() END AS drift
	FROM generate_series(1, :runs) AS i,
		(SELECT :runs - :runs / 3 AS refit, :runs - 2 AS held) AS special)
	AS nights;

INSERT INTO kseg_sizes
SELECT run, :segmentation, segment, round(weight / all_weights * scored),
	weight / all_weights
FROM (SELECT r.id AS run, r.scored, p.segment,
		p.share * (1 + 0.3 * sin(p.segment + (r.id % 1000000) / 25.0)) AS weight,
		sum(p.share * (1 + 0.3 * sin(p.segment + (r.id % 1000000) / 25.0)))
			OVER (PARTITION BY r.id) AS all_weights
	FROM kseg_runs AS r, kseg_models AS m, kseg_centroids(m.model) AS p
	WHERE r.segmentation = :segmentation AND m.segmentation = :segmentation AND
		m.version = 1 AND p.feature = 'age') AS sizes;

INSERT INTO kseg_moves
SELECT a.run, :segmentation, a.segment, b.segment,
	a.size * CASE WHEN a.segment = b.segment THEN 0.994
		ELSE r.changed / r.scored::float8 * b.share * 2 * random() END
FROM kseg_sizes AS a JOIN kseg_sizes AS b USING (run)
	JOIN kseg_runs AS r ON r.id = a.run
WHERE a.segmentation = :segmentation AND r.id % 1000000 > 1 AND
	(a.segment = b.segment OR (a.segment + b.segment) % 7 <> 3)
UNION ALL
SELECT run, :segmentation, NULL, segment, coalesce(new, scored) * share
FROM kseg_sizes JOIN kseg_runs ON id = run
WHERE kseg_sizes.segmentation = :segmentation
UNION ALL
SELECT run, :segmentation, segment, NULL, gone * share
FROM kseg_sizes JOIN kseg_runs ON id = run
WHERE kseg_sizes.segmentation = :segmentation AND id % 1000000 > 1;

UPDATE kseg_runs SET changed = moved
FROM (SELECT run, sum(customers) AS moved FROM kseg_moves
		WHERE from_segment <> to_segment GROUP BY run) AS m
WHERE id = run AND segmentation = :segmentation;

INSERT INTO kseg_drifts
SELECT r.id, :segmentation, feature, NULL, psi, NULL, NULL, 2 * psi,
	CASE WHEN psi < 0.1 THEN 'stable' WHEN psi < 0.25 THEN 'shifting'
		ELSE 'drifted' END
FROM kseg_runs AS r,
	unnest('{age,annual_income,basket,purchases,recency,spending_score,returns,channel}'::text[])
		WITH ORDINALITY AS f (feature, i),
	LATERAL (SELECT r.drift * CASE feature WHEN 'recency' THEN 1
		ELSE i / 12.0 + 0.05 * random() END) AS p (psi)
WHERE r.segmentation = :segmentation AND r.drift IS NOT NULL
UNION ALL
SELECT r.id, :segmentation, NULL, z.segment,
	(z.share - s.share) * ln(z.share / s.share), s.share, z.share, r.drift,
	CASE WHEN r.drift < 0.1 THEN 'stable' ELSE 'shifting' END
FROM kseg_runs AS r JOIN kseg_sizes AS z ON z.run = r.id
	JOIN kseg_sizes AS s ON s.segment = z.segment AND
		s.run = :segmentation * 1000000 + 1
WHERE r.segmentation = :segmentation AND r.drift IS NOT NULL;
