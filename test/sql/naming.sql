--
-- kseg_label(): names that people give to segments, and when they should be
-- looked at again.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE ROLE regress_shop;
CREATE ROLE regress_editor;
CREATE ROLE regress_runner;
CREATE ROLE regress_stranger;
GRANT regress_shop TO CURRENT_USER;
GRANT CREATE ON SCHEMA public TO regress_shop;
-- four groups, 50, 40, 30 and 20 customers
CREATE TABLE naming AS
SELECT i AS id, CASE WHEN i <= 50 THEN 1 WHEN i <= 90 THEN 2 WHEN i <= 120 THEN 3 ELSE 4 END AS "group",
	0::float8 AS "Annual ""income""", 0::float8 AS age, NULL::int AS segment FROM generate_series(1, 140) AS i;
UPDATE naming SET "Annual ""income""" = ("group" % 2) * 100 + id % 5, age = ("group" / 2 % 2) * 50 + id % 3;
ALTER TABLE naming ADD PRIMARY KEY (id), OWNER TO regress_shop;

CREATE VIEW naming_labels WITH (security_invoker = true) AS
SELECT segment, label, note, l.version, labelled_by, review FROM kseg_labels AS l
	JOIN kseg_segmentations AS s ON s.id = l.segmentation WHERE name = 'It''s "new"';
GRANT SELECT ON naming_labels TO PUBLIC;

SET ROLE regress_shop;
SELECT segmentation FROM kseg_create('It''s "new"', 'SELECT id, "Annual ""income""", age FROM naming', 'id', 4,
	target => 'naming');
SELECT kseg_label('It''s "new"', 1, 'early');
SELECT action, new FROM kseg_run('It''s "new"');
SELECT kseg_grant('It''s "new"', 'regress_editor', 'edit'), kseg_grant('It''s "new"', 'regress_runner', 'run');
SELECT "group", min(segment) AS segment, max(segment) = min(segment) AS is_one FROM naming GROUP BY 1 ORDER BY 1;
SELECT segment, n.name FROM kseg_names AS n JOIN kseg_segmentations AS s ON s.id = segmentation ORDER BY 1;

-- ---- who may ----

SET ROLE regress_runner;
SELECT kseg_label('It''s "new"', 1, 'mine');
SET ROLE regress_stranger;
SELECT kseg_label('It''s "new"', 1, 'mine');
SELECT count(*) FROM kseg_labels;
INSERT INTO kseg_labels SELECT 1, 1, 'forged', NULL, 1, now(), 'x', NULL;
SET ROLE regress_editor;
SELECT kseg_label('It''s "new"', 1, '  "Big" spenders'' <b>ß</b> '), kseg_label('It''s "new"', 2, 'second', 'a note'),
	kseg_label('It''s "new"', 3, 'third'), kseg_label('It''s "new"', 4, ''')); DROP TABLE naming; --');
SELECT * FROM naming_labels ORDER BY segment;
SELECT DISTINCT segment, label FROM kseg_current WHERE segmentation = 'It''s "new"' ORDER BY 1;

-- ---- mistakes ----

SELECT kseg_label('nobody', 1, 'x');
SELECT kseg_label('It''s "new"', 5, 'x');
SELECT kseg_label('It''s "new"', 5, NULL);
SELECT kseg_label('It''s "new"', 1, '   ');
SELECT kseg_label('It''s "new"', 1, E'two\nlines');
SELECT kseg_label('It''s "new"', 1, repeat('ß', 201));
SELECT kseg_label('It''s "new"', 1, 'SECOND ');
SELECT kseg_label(NULL, 1, 'x');
SELECT kseg_label('It''s "new"', NULL, 'x');
-- none of it changed anything; a label may be as long as that, or be taken
-- away, or given again
SELECT count(*), min(segment) FROM naming_labels WHERE review IS NULL;
SELECT kseg_label('It''s "new"', 1, repeat('ß', 200)), kseg_label('It''s "new"', 1, 'first', 'n');
SELECT kseg_label('It''s "new"', 2, NULL), kseg_label('It''s "new"', 2, NULL);
SELECT kseg_label('It''s "new"', 4, 'second'), kseg_label('It''s "new"', 2, 'fourth');
SELECT segment, label, note FROM naming_labels ORDER BY segment;

-- ---- segments that move ----

-- a little, and a label is as good as before
SET ROLE regress_shop;
UPDATE naming SET age = age + 0.1;
SELECT action, reason FROM kseg_run('It''s "new"', 'refit');
SELECT segment, version, review FROM naming_labels ORDER BY segment;
-- The first group's rows are about 0.044 from its centroid where the model
-- measures, and 1.4 are 0.028 there.  The third goes further.
UPDATE naming SET "Annual ""income""" = "Annual ""income""" + 1.4 WHERE "group" = 1;
UPDATE naming SET age = age + 2.5 WHERE "group" = 3;
SELECT action, reason FROM kseg_run('It''s "new"', 'refit');
SELECT segment, version, review FROM naming_labels ORDER BY segment;
SELECT segment, label FROM kseg_latest_profile WHERE segmentation = 'It''s "new"' AND rank = 1 ORDER BY 1;
-- labelling again ends it; the note is the new one
SELECT kseg_label('It''s "new"', 1, 'first');
SELECT segment, label, note, version, review FROM naming_labels ORDER BY segment;
-- where it was when it was labelled
SELECT action FROM kseg_rollback('It''s "new"', 1);
SELECT segment, version, review FROM naming_labels ORDER BY segment;
SELECT action FROM kseg_rollback('It''s "new"', 3);
-- scoring alone is no reason
SELECT action, reason FROM kseg_run('It''s "new"', 'score');
SELECT segment, version, review IS NULL AS is_good FROM naming_labels ORDER BY segment;

-- ---- segments that end ----

DELETE FROM naming WHERE "group" = 4;
SELECT segmentation FROM kseg_alter('It''s "new"', k => 3);
SELECT action, reason FROM kseg_run('It''s "new"', 'refit');
SELECT segment, label, version, review FROM naming_labels ORDER BY segment;
-- it keeps its name in what has been, and its label until it is taken away
SELECT DISTINCT segment, label FROM kseg_segment_sizes WHERE segmentation = 'It''s "new"' ORDER BY 1;
SELECT kseg_label('It''s "new"', 1, 'Second');
SELECT kseg_label('It''s "new"', 4, 'second');
SELECT kseg_label('It''s "new"', 4, NULL), kseg_label('It''s "new"', 1, 'Second');
SELECT DISTINCT segment, label FROM kseg_segment_sizes WHERE segmentation = 'It''s "new"' ORDER BY 1;
SELECT kseg_label('It''s "new"', 4, NULL);

-- ---- other features ----

SELECT segmentation FROM kseg_alter('It''s "new"', query => 'SELECT id, age AS years FROM naming', k => 2);
SELECT action, held FROM kseg_run('It''s "new"', 'refit');
SELECT segment, label, version, review FROM naming_labels ORDER BY segment;

SELECT kseg_drop('It''s "new"');
SELECT count(*) FROM naming_labels;
RESET ROLE;
SET client_min_messages = warning;
DROP VIEW naming_labels;
DROP TABLE naming;
REVOKE CREATE ON SCHEMA public FROM regress_shop;
DROP ROLE regress_shop, regress_editor, regress_runner, regress_stranger;
