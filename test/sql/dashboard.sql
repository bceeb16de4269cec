--
-- The views that dashboards read, besides those of current.sql: their values,
-- and for all of them who sees what, and in which types.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO';

CREATE ROLE regress_keeper;
CREATE ROLE "regress ""Reader""";
CREATE ROLE regress_team;
CREATE ROLE regress_member IN ROLE regress_team;
CREATE ROLE regress_distant NOINHERIT IN ROLE regress_team;
CREATE ROLE regress_outsider;
CREATE SCHEMA dashboard AUTHORIZATION regress_keeper;
GRANT USAGE ON SCHEMA dashboard TO PUBLIC;
SET search_path = dashboard, public;

CREATE TABLE customer AS
SELECT i AS id, i % 2 * 10 + i % 3 AS age, (i % 2 * 100 + i % 5)::float8 AS income FROM generate_series(1, 60) AS i;
ALTER TABLE customer OWNER TO regress_keeper;
SET ROLE regress_keeper;
SELECT segmentation, writes_to FROM unnest('{shop,"<b>It''s</b> \"B\"",open,fresh}'::text[]) AS n (name),
	LATERAL kseg_create(n.name, 'SELECT * FROM customer', 'id', 2);
RESET ROLE;

-- what runs would have written
CREATE TABLE chosen AS SELECT id, name FROM kseg_segmentations
WHERE owner = 'regress_keeper'::regrole AND name <> 'fresh';
CREATE VIEW ran AS SELECT c.id, r.id AS run, row_number() OVER (PARTITION BY c.id ORDER BY r.id) AS n
FROM chosen AS c JOIN kseg_runs AS r ON r.segmentation = c.id;
INSERT INTO kseg_models
SELECT id, v, kseg_fit('SELECT age, income FROM dashboard.customer', 2), v IN (1, 4), NULL, v,
	timestamptz '2026-01-01' + v * interval '1 day'
FROM chosen, generate_series(1, 4) AS v;
UPDATE kseg_segmentations SET version = 3, last_version = 4, members = 60 WHERE id IN (SELECT id FROM chosen);
INSERT INTO kseg_names SELECT id, s, 'name ' || s FROM chosen, generate_series(1, 3) AS s;
INSERT INTO kseg_labels SELECT id, s.* FROM chosen, (VALUES
	(1, '<script>alert("1")</script>', 'it''s a note', 3, timestamptz '2026-01-03 12:00', 'regress_keeper', NULL),
	(3, 'Gone ones', NULL, 1, '2026-01-02', 'regress_keeper', 'the segment ended')) AS s;
INSERT INTO kseg_runs (segmentation, started, elapsed, mode, action, reason, version, refit_version, scored, changed,
	new, gone, unassigned, drift, inertia_ratio, held, proposed_k, run_by)
SELECT id, r.started::timestamptz, r.elapsed::interval, r.mode, r.action, r.reason, r.version, r.refit_version,
	r.scored, r.changed, r.new, r.gone, r.unassigned, r.drift, r.inertia_ratio, r.held, r.proposed_k, 'regress "Reader"'
FROM chosen, (VALUES
	('2026-01-02', '1.5 s', 'auto', 'refit', 'the first fit', 1, 1, 59, 0, 59, 0, 1, NULL::float8, 'NaN'::float8, false, 5),
	('2026-01-03', '1 hour 0.25 s', 'auto', 'score', NULL, 1, NULL, 60, 20, 2, 1, 0, 0.125, 1.25, false, NULL),
	('2026-01-04', '2 s', 'refit', 'held', 'too many would move', 1, 4, 60, 0, 0, 0, 0, 0.5, 'Infinity', true, 3),
	('2026-01-05', '0 s', 'auto', 'skipped', 'it runs already', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL))
	AS r (started, elapsed, mode, action, reason, version, refit_version, scored, changed, new, gone, unassigned, drift,
		inertia_ratio, held, proposed_k);
INSERT INTO kseg_sizes SELECT run, id, s, 10 * s, s / 3.0 FROM ran, generate_series(1, 2) AS s WHERE n < 3;
INSERT INTO kseg_moves SELECT run, id, m.* FROM ran, (VALUES
	(NULL, 1, 2), (1, 1, 30), (1, 2, 10), (2, 2, 15), (2, NULL, 1), (3, 2, 0)) AS m WHERE n = 2;
INSERT INTO kseg_drifts SELECT run, id, d.* FROM ran, (VALUES
	('age', NULL, 0.125, NULL, NULL, -0.5, 'shifting'), ('In"come', NULL, 0, NULL, NULL, 'NaN', 'stable'),
	(NULL, 1, 0.01, 0.5, 0.6, 'Infinity', 'stable')) AS d (feature, segment, psi, share_then, share_now, shift, verdict)
WHERE n = 2;
INSERT INTO kseg_elbows SELECT id, v, e.* FROM chosen, generate_series(2, 3) AS v, (VALUES
	(1, 1e-300, NULL, NULL, NULL, NULL, NULL, 1, false, false, 'no segments'),
	(2, 12.5, 0.75, 60, 0.5, 'Infinity'::float8, 'NaN'::float8, 0.5, true, true, NULL)) AS e;
INSERT INTO kseg_points SELECT id, v, p, p, v + p / 4.0, -p FROM chosen, generate_series(2, 3) AS v, generate_series(1, 2) AS p;
INSERT INTO kseg_history SELECT id, 'k' || s, s, nullif(s - 1, 0), '2026-01-02', NULL FROM chosen, generate_series(1, 2) AS s;

-- ---- values ----

\x on
SELECT * FROM kseg_overview WHERE owner = 'regress_keeper' ORDER BY segmentation COLLATE "C";
\x off
-- runs have numbers of the whole database
SELECT segmentation, run_id - min(run_id) OVER () AS run_id, at, mode, action, reason, version, refit_version, scored
FROM kseg_run_log WHERE segmentation = 'shop' ORDER BY run_id;
SELECT at, changed, new, gone, unassigned, drift, inertia_ratio, held, proposed_k, run_by, seconds
FROM kseg_run_log WHERE segmentation = 'shop' ORDER BY run_id;
SELECT * FROM kseg_segment_labels WHERE segmentation = 'shop' ORDER BY segment;
SELECT segmentation, at, feature, segment, label, psi, share_then, share_now, shift, verdict
FROM kseg_run_drift WHERE segmentation = 'shop' ORDER BY run_id, feature COLLATE "C";
SELECT segmentation, at, from_segment, from_label, to_segment, to_label, customers, share
FROM kseg_run_migration WHERE segmentation = 'shop' ORDER BY run_id, from_segment, to_segment;
-- a filter on the target segment does not change shares
SELECT from_segment, to_segment, share FROM kseg_run_migration
WHERE segmentation = 'shop' AND to_segment = 2 AND at = '2026-01-03' ORDER BY from_segment;
SELECT count(*) FROM kseg_run_migration AS m JOIN kseg_run_log AS r USING (segmentation, run_id, at)
WHERE segmentation = 'shop';
SELECT segmentation, version, k, inertia, explained, drop_pct, silhouette, davies_bouldin, calinski_harabasz
FROM kseg_latest_elbow WHERE segmentation = 'shop' ORDER BY k;
SELECT k, smallest_share, is_knee, is_best_silhouette, is_in_use, note
FROM kseg_latest_elbow WHERE segmentation = 'shop' ORDER BY k;
SELECT * FROM kseg_latest_scatter WHERE segmentation = 'shop' ORDER BY segment;
-- after a rollback the older model is the latest
UPDATE kseg_segmentations SET version = 2 WHERE name = 'shop';
SELECT DISTINCT version FROM kseg_latest_elbow WHERE segmentation = 'shop';
SELECT DISTINCT version FROM kseg_latest_scatter WHERE segmentation = 'shop';
SELECT version, fitted, held_version FROM kseg_overview WHERE segmentation = 'shop';
UPDATE kseg_segmentations SET version = 3 WHERE name = 'shop';

-- ---- what tools make of them ----

CREATE VIEW views AS
SELECT c.oid, c.relname AS name, c.reloptions
FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'kseg' AND c.relkind = 'v';
CREATE VIEW view_columns AS
SELECT v.oid, v.name AS view, a.attnum, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attcollation
FROM views AS v JOIN pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0;
SELECT name, reloptions FROM views ORDER BY name;
SELECT type, count(*) > 0 AS used FROM view_columns GROUP BY type ORDER BY type;
SELECT view, name FROM view_columns WHERE name <> lower(name) OR name !~ '^[a-z][a-z0-9_]*$';
-- the same name, the same type
SELECT name, string_agg(DISTINCT type, ', ') AS types FROM view_columns
WHERE view <> 'kseg_shown_labels' GROUP BY name HAVING count(DISTINCT type) > 1;
SELECT name AS without_comment FROM views WHERE coalesce(obj_description(oid, 'pg_class'), '') = ''
UNION ALL SELECT view || '.' || name FROM view_columns WHERE coalesce(col_description(oid, attnum), '') = '';
SELECT table_name FROM information_schema.views JOIN views ON name = table_name
WHERE is_updatable = 'YES' OR is_insertable_into = 'YES';

-- No view shows what JSON cannot hold: neither of the rows above, nor of runs
-- over customers who are all alike, and then are not.
CREATE TABLE alike AS SELECT i AS id, 1.0 AS x, 'one' AS word FROM generate_series(1, 30) AS i;
ALTER TABLE alike OWNER TO regress_keeper;
SET client_min_messages = warning;
SET ROLE regress_keeper;
SELECT segmentation FROM kseg_create('alike', 'SELECT * FROM alike', 'id', 2);
SELECT action, scored FROM kseg_run('alike');
UPDATE alike SET x = 1e15 * id WHERE id > 10;
SELECT action, scored FROM kseg_run('alike', 'score');
SELECT action, scored FROM kseg_run('alike', 'refit');
RESET ROLE;
RESET client_min_messages;
CREATE FUNCTION not_finite() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	found bigint;
BEGIN
	FOR c IN SELECT view, name FROM view_columns WHERE type = 'double precision' ORDER BY view, name LOOP
		EXECUTE format('SELECT count(*) FROM %I WHERE NOT abs(%I) < ''Infinity''', c.view, c.name) INTO found;
		IF found > 0 THEN
			RETURN NEXT format('%s.%s: %s', c.view, c.name, found);
		END IF;
	END LOOP;
END $$;
SELECT not_finite();
SELECT count(*) > 0 AS has_drift FROM kseg_run_drift WHERE segmentation = 'alike';
SELECT kseg_finite(x), x FROM unnest('{NaN,Infinity,-Infinity,NULL,-1.7976931348623157e308,5e-324,0}'::float8[]) AS x;

-- ---- who sees what ----

CREATE TABLE known AS SELECT id, name FROM kseg_segmentations WHERE owner = 'regress_keeper'::regrole;
GRANT SELECT ON views, known TO PUBLIC;
-- segmentations of this test that all views show, then each view that shows others
CREATE FUNCTION seen() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	view text;
	found text;
	usual text;
BEGIN
	-- kseg_progress is about sessions
	FOR view IN SELECT name FROM views WHERE name <> 'kseg_progress' ORDER BY name <> 'kseg_overview', name LOOP
		-- the one that knows them by number
		EXECUTE format('SELECT coalesce(string_agg(DISTINCT name COLLATE "C", '', '' ORDER BY name COLLATE "C"), ''nothing'')
			FROM %I JOIN known ON segmentation::text IN (id::text, name) WHERE name NOT IN (''fresh'', ''alike'')', view) INTO found;
		IF usual IS NULL THEN
			usual := found;
			RETURN NEXT found;
		ELSIF found <> usual THEN
			RETURN NEXT view || ': ' || found;
		END IF;
	END LOOP;
END $$;
SELECT seen() AS superuser;
SET ROLE regress_keeper;
SELECT seen() AS keeper;
SELECT kseg_grant('shop', 'regress "Reader"');
SELECT kseg_grant('<b>It''s</b> "B"', 'regress_team', 'edit');
SELECT kseg_grant('open', 'public');
SET ROLE "regress ""Reader""";
SELECT seen() AS reader;
SET ROLE regress_team;
SELECT seen() AS team;
SET ROLE regress_member;
SELECT seen() AS member;
SET ROLE regress_distant;
SELECT seen() AS member_without_its_rights;
SET ROLE regress_outsider;
SELECT seen() AS outsider;
-- tables tell no more, and nothing can be written
SELECT count(*) FILTER (WHERE segmentation <> (SELECT id FROM known WHERE name = 'open')) AS others, count(*) > 0 AS any
FROM kseg_moves;
UPDATE kseg_segmentations SET name = 'x';
DELETE FROM kseg_runs;
INSERT INTO kseg_grants SELECT id, 'regress_outsider', 'read', 'regress_keeper' FROM known;
UPDATE kseg_overview SET owner = 'x';
RESET ROLE;
SET ROLE regress_keeper;
SELECT kseg_revoke('shop', 'regress "Reader"');
SELECT kseg_revoke('open', 'public');
SET ROLE "regress ""Reader""";
SELECT seen() AS reader_after;
RESET ROLE;
REVOKE regress_team FROM regress_member;
SET ROLE regress_member;
SELECT seen() AS no_member_any_more;
RESET ROLE;

-- ---- plans ----

-- Of many segmentations with many runs one is found by indexes, also below
-- row-level security.
INSERT INTO kseg_segmentations (name, owner, query, resolved_query, key, options, target, segment_column, owns_target,
	refit_when, hold_when, hysteresis, version)
SELECT 'many ' || i, 'regress_keeper', 'TABLE x', 'TABLE x', '{id}', '{}', 'customer', 'segment ' || i, false, '{}', '{}', 0.1, 2
FROM generate_series(1, 60) AS i;
CREATE TABLE many AS SELECT id FROM kseg_segmentations WHERE name LIKE 'many %';
INSERT INTO kseg_models SELECT many.id, v, model, false, NULL, 1, now()
FROM many, generate_series(1, 3) AS v, LATERAL (SELECT model FROM kseg_models LIMIT 1) AS m;
INSERT INTO kseg_runs (segmentation, started, elapsed, mode, action, version, held, run_by)
SELECT id, timestamptz '2026-01-01' + i * interval '1 day', '1 s', 'auto', 'score', 1, false, 'x'
FROM generate_series(1, 20) AS i, many;
CREATE VIEW many_ran AS SELECT r.id AS run, r.segmentation AS id FROM kseg_runs AS r JOIN many ON many.id = r.segmentation;
INSERT INTO kseg_moves SELECT run, id, s, t, 1 FROM many_ran, generate_series(1, 5) AS s, generate_series(1, 5) AS t;
INSERT INTO kseg_drifts SELECT run, id, NULL, s, 0, 0, 0, 0, 'stable' FROM many_ran, generate_series(1, 20) AS s;
INSERT INTO kseg_points SELECT id, v, p, 1, 0, 0 FROM many, generate_series(1, 3) AS v, generate_series(1, 200) AS p;
ANALYZE kseg_segmentations, kseg_runs, kseg_moves, kseg_drifts, kseg_points, kseg_names, kseg_labels;
-- how the large tables of a query are read
CREATE FUNCTION scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		found := found || substring(line, '(Seq Scan|Index Scan).* on kseg_(?:moves|drifts|points)');
	END LOOP;
	RETURN (SELECT string_agg(DISTINCT f, ', ') FROM unnest(found) AS f);
END $$;
SET ROLE regress_keeper;
SELECT kseg_grant('many 7', 'regress_outsider');
SET ROLE regress_outsider;
SELECT view, scans(format('SELECT * FROM %I WHERE segmentation = ''many 7''', view))
FROM unnest('{kseg_run_migration,kseg_run_drift,kseg_latest_scatter}'::text[]) AS view;
-- filters on runs reach below the window function
SELECT count(*) FROM kseg_run_migration
WHERE segmentation = 'many 7' AND at > '2026-01-20' AND from_segment = 1;
RESET ROLE;

SET client_min_messages = warning;
DO $$ BEGIN PERFORM kseg_drop(name) FROM kseg_segmentations WHERE owner = 'regress_keeper'::regrole; END $$;
DROP OWNED BY regress_keeper CASCADE;
DROP SCHEMA IF EXISTS dashboard CASCADE;
DROP ROLE regress_keeper, "regress ""Reader""", regress_team, regress_member, regress_distant, regress_outsider;
