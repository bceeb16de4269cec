-- A segmentation with runs, drift and models as the drivers test wants them:
-- every column of every view has a value in some row, and values that drivers
-- have trouble with: integers that a double cannot hold, doubles of all
-- sizes, moments of microseconds, texts of all kinds.

\set ON_ERROR_STOP 1
SET timezone = 'UTC';
CREATE ROLE analyst LOGIN PASSWORD 'it''s "secret"';
CREATE SCHEMA kseg;
CREATE EXTENSION kseg SCHEMA kseg;
GRANT USAGE ON SCHEMA kseg TO analyst;
SET search_path = kseg, public;

CREATE TABLE customer AS
SELECT i AS id, i % 2 * 10 + i % 3 AS age, CASE i % 2 WHEN 0 THEN 'a "quoted" \ value' ELSE '<b>&' END AS "the Plan"
FROM generate_series(1, 60) AS i;
SELECT kseg_create(name, 'SELECT * FROM customer', 'id', 2)
FROM unnest('{shop,hidden,"<i>a</i> ''b'' \"c\" \\ ünï 日本 🙂"}'::text[]) AS name \g /dev/null
SELECT kseg_grant(name, 'analyst') FROM kseg_segmentations WHERE name <> 'hidden' \g /dev/null

CREATE TABLE shop AS SELECT id FROM kseg_segmentations;
INSERT INTO kseg_models
SELECT id, v, kseg_fit('SELECT age, "the Plan" FROM customer', 2), v = 2, NULL, v, timestamptz '2026-01-01 00:00:00.000001'
FROM shop, generate_series(1, 2) AS v;
UPDATE kseg_segmentations SET version = 1, last_version = 2, members = 9007199254740993;
INSERT INTO kseg_names SELECT id, s, 'name ' || s FROM shop, generate_series(1, 3) AS s;
INSERT INTO kseg_labels SELECT id, s.* FROM shop, (VALUES
	(1, '<script>alert("1")</script> \ ''🙂''', 'it''s
two lines', 1, timestamptz '2026-03-29 01:59:59.999999+01', 'analyst', 'the segment has moved')) AS s;
-- 2 ^ 53 + 1 is the first integer that a double cannot hold
INSERT INTO kseg_runs (id, segmentation, started, elapsed, mode, action, reason, version, refit_version, scored, changed,
	new, gone, unassigned, drift, inertia_ratio, held, proposed_k, run_by)
SELECT 9007199254740993 + 2 * id + n, id, timestamptz '2026-03-29 00:59:59.123456+00' + n * interval '1 hour', '1.234567 s',
	'auto', 'score', E'tab\tand\nline', 1, 1, 9007199254740993, 9223372036854775807, 0, 1, 2, 0.1, 1.0 / 3, n = 1, 2, 'analyst'
FROM shop, generate_series(0, 1) AS n;
INSERT INTO kseg_runs (id, segmentation, started, elapsed, mode, action, held, run_by)
SELECT id, id, '2026-01-01', '0', '', 'skipped', false, 'x' FROM shop;
CREATE TABLE ran AS SELECT r.id AS run, r.segmentation AS id FROM kseg_runs AS r WHERE scored IS NOT NULL;
INSERT INTO kseg_sizes SELECT run, id, s, 4503599627370497 * s, s / 3.0 FROM ran, generate_series(1, 2) AS s;
INSERT INTO kseg_moves SELECT run, id, m.* FROM ran, (VALUES (NULL, 1, 2), (1, 2, 9007199254740993), (1, NULL, 7)) AS m;
INSERT INTO kseg_drifts SELECT run, id, d.* FROM ran, (VALUES
	('the Plan', NULL, 1.7976931348623157e308::float8, NULL, NULL, -5e-324::float8, 'drifted'),
	(NULL, 1, 0.1::float8 + 0.2::float8, 1e-300::float8, '-0'::float8, 'NaN', '')) AS d;
INSERT INTO kseg_elbows SELECT id, 1, e.* FROM shop, (VALUES
	(1, 123456789.123456789::float8, NULL, NULL, NULL, NULL, NULL, 1, false, false, 'no segments'),
	(2, 1e15, 1e16::float8, 0.30000000000000004, 1e-5, 1e21, 1e22, 0.5, true, true, NULL)) AS e;
INSERT INTO kseg_points SELECT id, 1, p, p, p / 7.0, -p FROM shop, generate_series(1, 2) AS p;
INSERT INTO kseg_history SELECT id, key, s, nullif(s - 1, 0), '2026-06-30 23:59:59.000001+00', NULL
FROM shop, (VALUES ('(1,"a b")', 1), ('🙂', 2)) AS h (key, s);
