--
-- kseg_current, kseg_segment_sizes, kseg_latest_profile: what dashboards read.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO';

CREATE ROLE regress_shop;
CREATE ROLE regress_reader;
CREATE ROLE regress_stranger;
CREATE TABLE current_target (id int PRIMARY KEY, segment int);
CREATE TABLE current_model AS
SELECT kseg_fit('SELECT i % 2 * 10 + i % 3 AS age, CASE i % 2 WHEN 0 THEN ''a'' ELSE ''"b" '' END AS "Plan "
	FROM generate_series(1, 60) AS i', 2) AS model;
INSERT INTO kseg_segmentations (name, owner, query, resolved_query, key, options, target, segment_column,
	owns_target, refit_when, hold_when, hysteresis, version)
SELECT n, 'regress_shop', 'TABLE x', 'TABLE x', '{id}', '{}', 'current_target', n, false, '{}', '{}', 0.1, 2
FROM unnest('{customers,"It''s \"new\"",empty}'::text[]) AS n;
CREATE TABLE current_id AS
SELECT id, name FROM kseg_segmentations WHERE target = 'current_target'::regclass AND name <> 'empty';
INSERT INTO kseg_grants SELECT id, 'regress_reader', 'read', 'regress_shop' FROM current_id WHERE name = 'customers';
INSERT INTO kseg_models SELECT id, v, model, v = 3, NULL, v, '2026-01-01'
FROM current_id, current_model, generate_series(1, 3) AS v;
INSERT INTO kseg_names SELECT id, p.segment, p.label FROM current_id, current_model,
	LATERAL (SELECT DISTINCT segment, label FROM kseg_profile(model)) AS p;
INSERT INTO kseg_names SELECT id, 3, 'one that ended' FROM current_id;
INSERT INTO kseg_labels SELECT id, 2, '<b>"Two"</b>', 'a note', 1, now(), 'x', NULL FROM current_id;
INSERT INTO kseg_history SELECT id, key, segment, previous, valid_from::timestamptz, valid_to::timestamptz
FROM current_id, (VALUES ('1', 1, NULL, '2026-01-01', NULL), ('2', 3, NULL, '2026-01-01', '2026-01-02'),
	('2', 2, 3, '2026-01-02', NULL), ('(3,"o''k")', 2, NULL, '2026-01-01', '2026-01-03'),
	('4', 1, 2, '2026-01-03', NULL)) AS h (key, segment, previous, valid_from, valid_to);
INSERT INTO kseg_runs (id, segmentation, started, elapsed, mode, action, version, held, run_by)
SELECT 1000000 + i.id * 10 + r, i.id, timestamptz '2026-01-01' + (r - 1) * interval '1 day', '1 s', 'auto', 'score',
	1 + r / 3, false, 'x'
FROM current_id AS i, generate_series(1, 3) AS r;
INSERT INTO kseg_sizes SELECT r.id, r.segmentation, s, 10 * s, s / 6.0
FROM kseg_runs AS r JOIN current_id AS i ON i.id = r.segmentation, generate_series(1, 3) AS s;

SET ROLE regress_reader;
SELECT * FROM kseg_current ORDER BY key;
SELECT segmentation, run_id % 10 AS run, at, version, segment, label, size, round(share::numeric, 2) AS share
FROM kseg_segment_sizes ORDER BY run_id, segment;
SELECT segmentation, version, segment, label, size, share, feature, top_value, round(mean::numeric, 2) AS mean,
	round(overall_mean::numeric, 2) AS overall_mean, round(index_100::numeric) AS index_100, round(z::numeric, 2) AS z, rank
FROM kseg_latest_profile ORDER BY segment, rank;
SET ROLE regress_stranger;
SELECT (SELECT count(*) FROM kseg_current) AS current, (SELECT count(*) FROM kseg_segment_sizes) AS sizes,
	(SELECT count(*) FROM kseg_latest_profile) AS profile;
SET ROLE regress_shop;
SELECT segmentation, count(*) FROM kseg_current GROUP BY 1 ORDER BY 1;
INSERT INTO kseg_current SELECT * FROM kseg_current;
RESET ROLE;

-- types that every driver knows
SELECT c.relname, string_agg(DISTINCT format_type(a.atttypid, NULL), ', ') AS types,
	count(*) FILTER (WHERE col_description(c.oid, a.attnum) IS NULL) + (obj_description(c.oid) IS NULL)::int AS uncommented,
	c.reloptions
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relkind = 'v' AND c.relname IN ('kseg_current', 'kseg_segment_sizes', 'kseg_latest_profile')
GROUP BY c.oid, c.relname ORDER BY 1;

-- one customer is found by the primary key, also by those whom row-level
-- security watches
INSERT INTO kseg_history SELECT id, 'many' || i, 1, NULL, '2026-01-01', NULL FROM current_id, generate_series(1, 5000) AS i;
ANALYZE kseg_history, kseg_segmentations;
CREATE FUNCTION current_plan() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXPLAIN (COSTS OFF)
		SELECT * FROM kseg_current WHERE segmentation = 'customers' AND key = 'many4711'
	LOOP
		IF line ~ 'on kseg_history|Index Cond.*key' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END $$;
SET ROLE regress_reader;
SELECT current_plan();
RESET ROLE;

SET client_min_messages = warning;
DROP FUNCTION current_plan;
DO $$ BEGIN PERFORM kseg_drop(name) FROM kseg_segmentations WHERE target = 'current_target'::regclass; END $$;
DROP TABLE current_target, current_id, current_model;
DROP ROLE regress_shop, regress_reader, regress_stranger;
