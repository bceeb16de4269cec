--
-- kseg_migration(): who went from which segment to which.  The history is
-- made up here, by hashes of the customers' numbers.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO';

CREATE ROLE regress_shop;
CREATE ROLE regress_reader;
CREATE ROLE regress_stranger;
CREATE TABLE migration_target (id int PRIMARY KEY, segment int);
INSERT INTO kseg_segmentations (name, owner, query, resolved_query, key, options, target, segment_column,
	owns_target, refit_when, hold_when, hysteresis)
SELECT n, 'regress_shop', 'TABLE x', 'TABLE x', '{id}', '{}', 'migration_target', n, false, '{}', '{}', 0.1
FROM unnest('{customers,"It''s \"new\"",empty}'::text[]) AS n;
INSERT INTO kseg_grants SELECT id, 'regress_reader', 'read', 'regress_shop' FROM kseg_segmentations;
CREATE TABLE migration_id AS SELECT id, name FROM kseg_segmentations WHERE name IN ('customers', 'It''s "new"');
GRANT SELECT ON migration_id TO PUBLIC;

-- Thirty runs.  At each a customer stays, moves, goes or comes (back).
CREATE TABLE migration_run AS
SELECT run, timestamptz '2026-01-01' + run * interval '1 day' AS at FROM generate_series(1, 30) AS run;
CREATE TABLE migration_state AS
WITH RECURSIVE s AS (
	SELECT name, c, 0 AS run, NULL::int AS segment FROM migration_id, generate_series(1, 300) AS c
	UNION ALL
	SELECT name, c, run + 1, (CASE WHEN h % 100 < 80 AND run > 0 OR h % 100 < 20 THEN segment
		WHEN h % 100 >= 84 OR run = 0 THEN 1 + h / 100 % 5 END)::int
	FROM s, LATERAL (SELECT abs(hashtext(concat_ws(' ', name, c, run))::bigint) AS h) AS h
	WHERE run < 30
)
SELECT s.*, r.at FROM s JOIN migration_run AS r USING (run);
INSERT INTO kseg_history
SELECT i.id, format('(%s,"a ""key""")', c), segment, before, at, next_at
FROM (SELECT *, lead(at) OVER w AS next_at
	FROM (SELECT *, lag(segment) OVER (PARTITION BY name, c ORDER BY run) AS before FROM migration_state) AS s
	WHERE segment IS DISTINCT FROM before
	WINDOW w AS (PARTITION BY name, c ORDER BY run)) AS s
	JOIN migration_id AS i USING (name)
WHERE segment IS NOT NULL;
SELECT name, count(*) > 1000 AS many, count(*) FILTER (WHERE valid_to IS NULL) > 200 AS stay,
	count(*) FILTER (WHERE previous IS NULL) > 350 AS came_back
FROM kseg_history JOIN migration_id ON id = segmentation GROUP BY name ORDER BY name;
INSERT INTO kseg_runs (segmentation, started, elapsed, mode, action, changed, new, gone, held, run_by)
SELECT id, at, '1 s', 'auto', 'score', 5, 0, 0, false, 'regress_shop' FROM migration_id, migration_run
ORDER BY name, at;

INSERT INTO kseg_models SELECT id, 1, kseg_fit(5, x, y), false, NULL, 1, now()
FROM migration_id, (SELECT hashint4(i) % 100 AS x, hashint4(-i) % 100 AS y FROM generate_series(1, 100) AS i) AS r
GROUP BY id;
INSERT INTO kseg_names SELECT id, s, 'segment ' || s FROM migration_id, generate_series(1, 5) AS s;
INSERT INTO kseg_labels SELECT id, 2, '</b> "two"', NULL, 1, now(), 'x', NULL FROM migration_id;

-- ---- the same as two snapshots joined ----

CREATE FUNCTION migration_expected(name text, since timestamptz, until timestamptz)
RETURNS jsonb LANGUAGE sql AS $$
	WITH h AS (
		SELECT key, segment, valid_from, coalesce(valid_to, 'infinity') AS valid_to
		FROM kseg_history JOIN migration_id AS i ON i.id = segmentation WHERE i.name = migration_expected.name
	)
	SELECT jsonb_agg(jsonb_build_array(a, b, customers) ORDER BY a, b)
	FROM (SELECT a.segment AS a, b.segment AS b, count(*) AS customers
		FROM (SELECT * FROM h WHERE valid_from <= since AND valid_to > since) AS a
			FULL JOIN (SELECT * FROM h WHERE valid_from <= until AND valid_to > until) AS b USING (key)
		GROUP BY 1, 2) AS m
$$;
WITH t AS (
	SELECT at + d AS at FROM migration_run, unnest('{0,-1 us,1 us,12 h}'::interval[]) AS d WHERE run % 6 = 1
	UNION SELECT timestamptz '2025-01-01' UNION SELECT timestamptz '2027-01-01' UNION SELECT '-infinity'
)
SELECT name, count(*) AS periods,
	count(*) FILTER (WHERE moves IS NOT DISTINCT FROM migration_expected(name, a.at, b.at)) AS "right",
	count(*) FILTER (WHERE is_share IS NOT FALSE) AS shares
FROM migration_id, t AS a, t AS b,
	LATERAL (SELECT jsonb_agg(jsonb_build_array(from_segment, to_segment, customers)
				ORDER BY from_segment, to_segment) AS moves,
			bool_and(CASE WHEN from_segment IS NULL THEN share IS NULL
				ELSE abs(share - customers / "from") < 1e-15 END) AS is_share
		FROM (SELECT *, sum(customers) OVER (PARTITION BY from_segment) AS "from"
			FROM kseg_migration(name, a.at, b.at)) AS m) AS m
WHERE a.at <= b.at GROUP BY name ORDER BY name;

-- ---- which period ----

SET ROLE regress_reader;
-- by default what the last run that changed something moved
SELECT count(*) AS pairs, sum(customers) FILTER (WHERE from_segment <> to_segment) AS moved,
	jsonb_agg(m) = (SELECT jsonb_agg(p) FROM kseg_migration('customers', timestamptz '2026-01-30 12:00') AS p) AS is_last_day
FROM kseg_migration('customers') AS m;
RESET ROLE;
INSERT INTO kseg_runs (segmentation, started, elapsed, mode, action, changed, new, gone, held, run_by)
SELECT id, '2026-02-01'::timestamptz + i * interval '1 day', interval '1 s', 'auto', action, n, n, n, false, 'x'
FROM migration_id, (VALUES (1, 'dry', 50), (2, 'skipped', NULL), (3, 'score', 0)) AS r (i, action, n);
SET ROLE regress_reader;
SELECT jsonb_agg(m) = (SELECT jsonb_agg(p) FROM kseg_migration('customers', '2026-01-30 12:00') AS p) AS is_last_day
FROM kseg_migration('customers') AS m;
-- at the end of an earlier period: the last run by then
SELECT jsonb_agg(m) = (SELECT jsonb_agg(p)
	FROM kseg_migration('customers', '2026-01-14 20:00+00', '2026-01-15 20:00+00') AS p) AS is_that_day
FROM kseg_migration('customers', until => '2026-01-15 20:00+00') AS m;
-- from run to run: the states right after them
SELECT until, jsonb_array_length(m) > 20 AS many, m = p AS is_same
FROM (SELECT min(r.id) AS first FROM kseg_runs AS r JOIN migration_id AS i ON i.id = r.segmentation
		WHERE name = 'It''s "new"') AS r,
	unnest('{3,9,NULL}'::int[]) AS until,
	LATERAL (SELECT jsonb_agg(m) AS m FROM kseg_migration('It''s "new"', first + 3, first + until) AS m) AS m,
	LATERAL (SELECT jsonb_agg(p) AS p FROM kseg_migration('It''s "new"', timestamptz '2026-01-05',
		timestamptz '2026-01-02' + until * interval '1 day') AS p) AS p
ORDER BY until;
SELECT from_segment, from_label, to_segment, to_label, customers, round(share::numeric, 4) AS share
FROM kseg_migration('It''s "new"', '2026-01-29 12:00') WHERE from_segment IS NULL OR from_segment = 2 OR to_segment IS NULL;
SELECT count(*) AS nobody FROM kseg_migration('empty');
-- everybody is new
SELECT from_segment, to_segment, to_label, share FROM kseg_migration('customers', '-infinity');

-- ---- mistakes ----

\set VERBOSITY default
SELECT * FROM kseg_migration('nobody');
SELECT * FROM kseg_migration(NULL);
SELECT * FROM kseg_migration('customers', '2026-02-01', '2026-01-01');
SELECT * FROM kseg_migration('customers', 0);
SELECT * FROM kseg_migration('customers', NULL::bigint);
\set VERBOSITY sqlstate
SELECT * FROM kseg_migration('customers', 'next year');
-- a run of another segmentation
SELECT max(r.id) AS other, min(r.id) AS other_first FROM kseg_runs AS r JOIN migration_id AS i ON i.id = r.segmentation
WHERE name = 'It''s "new"' \gset
SELECT * FROM kseg_migration('customers', :other);
SELECT * FROM kseg_migration('It''s "new"', :other_first, 0);
SELECT * FROM kseg_migration('It''s "new"', :other, :other_first);
-- whoever may not see it
SET ROLE regress_stranger;
SELECT * FROM kseg_migration('customers');
SELECT * FROM kseg_migration('customers', 1);
-- parts that anybody may call show nothing more
SELECT count(*) FROM migration_id, kseg_migration_between(id, '2026-01-10', 'infinity');
SELECT count(*) FROM kseg_history;
SELECT kseg_migration_check('customers', 7, NULL, '2026-01-01', NULL, '2026-01-01');
SELECT kseg_migration_check('customers', 7, NULL, '2026-01-01', NULL, NULL);

-- ---- pictures; that they can be drawn is tested in test/t/006_plots.pl ----

SELECT kseg_plot_migration('customers');
SELECT kseg_plot_sizes('customers');
SET ROLE regress_reader;
SELECT kseg_plot_migration(NULL::text);
SELECT kseg_plot_sizes(NULL::text);
SELECT p #>> '{title,subtitle,0}' AS subtitle, json_array_length(p #> '{data,values}') AS rows,
	p #> '{encoding,y,scale,domain}' AS "from", p::text ~ '<|NaN|Infinity' AS is_odd
FROM (SELECT kseg_plot_migration('It''s "new"', '2026-01-29 12:00') AS p
	UNION ALL SELECT kseg_plot_migration('It''s "new"', '-infinity')
	UNION ALL SELECT kseg_plot_migration('empty')) AS v;
SELECT p #>> '{title,subtitle,0}' AS subtitle FROM kseg_plot_sizes('customers') AS p;
RESET ROLE;

-- names are looked up when the extension is made
CREATE SCHEMA migration_trap;
CREATE VIEW migration_trap.kseg_history AS SELECT 1 / 0 AS key;
CREATE FUNCTION migration_trap.kseg_migration_check(text, int, bigint, timestamptz, bigint, timestamptz)
RETURNS int LANGUAGE sql AS 'SELECT 1 / 0';
SET search_path = migration_trap, pg_catalog, public;
SELECT count(*) > 10 AS moved FROM kseg_migration('customers');
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA migration_trap CASCADE;
DROP FUNCTION migration_expected;
DO $$ BEGIN PERFORM kseg_drop(name) FROM kseg_segmentations WHERE target = 'migration_target'::regclass; END $$;
DROP TABLE migration_target, migration_id, migration_run, migration_state;
DROP ROLE regress_shop, regress_reader, regress_stranger;
