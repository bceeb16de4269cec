--
-- kseg_drift() and what runs store of it: customers now beside those of the
-- fit
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
CREATE SCHEMA drift;
SET search_path = drift, public;

-- sqlstate, message, detail and hint of a statement that must fail
CREATE FUNCTION failure(statement text) RETURNS SETOF text
	LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN NEXT 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN NEXT code || ' ' || message;
	RETURN QUERY SELECT x FROM (VALUES (detail), (hint)) AS v (x)
		WHERE x <> '';
END
$$;

CREATE TABLE customer AS
SELECT i AS id, i % 3 * 10 + i % 7 AS visits,
	(i % 3 / 2 * 50 + i % 11)::numeric AS spent,
	(ARRAY['basic', 'plus', 'pro'])[1 + i % 3] AS plan
FROM generate_series(1, 600) AS i;
ALTER TABLE customer ADD PRIMARY KEY (id);

-- Readable figures.
CREATE FUNCTION drift(name text)
	RETURNS TABLE (feature text, segment int, label text, psi numeric,
		share_then numeric, share_now numeric, shift numeric, verdict text)
	LANGUAGE sql AS $$
	SELECT feature, segment, label, round(psi::numeric, 4),
		round(share_then::numeric, 3), round(share_now::numeric, 3),
		round(shift::numeric, 3), verdict
	FROM kseg_drift(name)
$$;

SELECT * FROM kseg_create('plans',
	'SELECT id, visits, spent, plan FROM customer', 'id', 3);

-- ---- calls ----

SELECT failure('SELECT kseg_drift(''plans'')');
SELECT failure('SELECT kseg_drift(''none'')');
SELECT failure('SELECT kseg_drift(NULL)');

-- ---- nothing changed: every index is exactly 0 ----

SELECT action FROM kseg_run('plans');
SELECT * FROM drift('plans');
SELECT count(*) FROM kseg_drift('plans') WHERE psi <> 0 OR shift <> 0;

SELECT feature, "position", cardinality(edges) AS edges, categories, counts
FROM kseg_baselines JOIN kseg_segmentations ON id = segmentation
WHERE name = 'plans' ORDER BY "position";

-- every row is in the bin that its value tells
SELECT bin, count(*), counts[bin] AS stored
FROM kseg_baselines
	JOIN kseg_segmentations AS s ON s.id = segmentation, customer,
	LATERAL (SELECT 1 + count(*) AS bin FROM unnest(edges) AS edge
			 WHERE visits >= edge) AS found
WHERE name = 'plans' AND feature = 'visits' GROUP BY bin, counts ORDER BY bin;

-- ---- a column that shifts is named; what a run stores is the same ----

BEGIN;
UPDATE customer SET spent = spent + 30 WHERE plan = 'plus';
SELECT * FROM drift('plans');
SELECT action FROM kseg_run('plans', 'score');
SELECT count(*) AS same FROM kseg_drift('plans') AS d JOIN kseg_drifts AS s
	ON (d.feature, d.segment, d.psi, d.share_then, d.share_now, d.shift,
		d.verdict) IS NOT DISTINCT FROM
	   (s.feature, s.segment, s.psi, s.share_then, s.share_now, s.shift,
		s.verdict)
WHERE run = (SELECT max(id) FROM kseg_runs);
SELECT count(*) FROM kseg_drifts
WHERE run = (SELECT max(id) FROM kseg_runs);
SELECT drift = (SELECT max(psi) FROM kseg_drift('plans')), inertia_ratio > 1.2
FROM kseg_runs ORDER BY id DESC LIMIT 1;
ROLLBACK;

-- ---- a segment that grows ----

BEGIN;
DELETE FROM customer WHERE plan = 'pro' AND id % 2 = 0;
SELECT * FROM drift('plans');
ROLLBACK;

-- ---- a new category, values that are missing ----

BEGIN;
UPDATE customer SET plan = 'vip' WHERE id % 4 = 0;
SELECT feature, psi, verdict FROM drift('plans') WHERE feature IS NOT NULL;
ROLLBACK;
BEGIN;
UPDATE customer SET spent = NULL WHERE id % 4 = 0;
SELECT feature, psi, shift, verdict FROM drift('plans')
WHERE feature IS NOT NULL;
ROLLBACK;

-- ---- no customers ----

BEGIN;
DELETE FROM customer;
SELECT segment, share_now, shift, verdict FROM drift('plans')
WHERE segment IS NOT NULL;
ROLLBACK;

-- ---- users' labels ----

BEGIN;
INSERT INTO kseg_labels (segmentation, segment, label, version, labelled,
	labelled_by)
SELECT id, 2, 'Savers', 1, now(), 'somebody' FROM kseg_segmentations
WHERE name = 'plans';
SELECT segment, label FROM drift('plans') WHERE segment IS NOT NULL;
ROLLBACK;

-- ---- whatever the options: the same rows have not drifted ----

CREATE TABLE odd AS
SELECT 'k' || i AS "the ""Key""", CASE WHEN i % 5 > 0 THEN i % 17 / 3.0 END
	AS "a 'b'",
	CASE WHEN i % 3 = 0 THEN 0 ELSE i * 37 % 101 * 0.1 END AS "SELECT",
	i % 2 = 0 AS flag, 1 + i % 4 AS copies,
	CASE WHEN i % 7 > 0 THEN 'c' || i % 30 END AS "Ünit"
FROM generate_series(1, 400) AS i;
ALTER TABLE odd ADD PRIMARY KEY ("the ""Key""");

CREATE FUNCTION unchanged(name text, options jsonb, features text)
	RETURNS TABLE (action text, lines bigint, drifted bigint, stored bigint,
		same_inertia boolean)
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kseg_create(name, format('SELECT %I, %s FROM odd', 'the "Key"',
		features), 'the "Key"', 3, options);
	SELECT r.action INTO action FROM kseg_run(name) AS r;
	SELECT count(*), count(*) FILTER (WHERE psi <> 0 OR shift <> 0 OR
			verdict <> 'stable')
		INTO lines, drifted FROM kseg_drift(name);
	PERFORM kseg_run(name, 'score');
	SELECT count(*) INTO stored FROM kseg_drifts
		WHERE run = (SELECT max(id) FROM kseg_runs) AND psi = 0 AND
			coalesce(shift, 0) = 0 AND verdict = 'stable';
	SELECT abs(inertia_ratio - 1) < 1e-8 INTO same_inertia FROM kseg_runs
		ORDER BY id DESC LIMIT 1;
	RETURN NEXT;
	PERFORM kseg_drop(name);
END
$$;

SELECT * FROM unchanged('It''s a "Name"', NULL,
	'"a ''b''", "SELECT", flag, "Ünit"');
SELECT * FROM unchanged('filled', '{"nulls": "mean"}',
	'"a ''b''", "SELECT", flag, "Ünit"');
SELECT * FROM unchanged('clipped', '{"clip": [0.2, 0.7], "scale": "robust"}',
	'"a ''b''", "SELECT"');
SELECT * FROM unchanged('angles', '{"distance": "cosine", "nulls": "mean"}',
	'"a ''b''", "SELECT", flag');
SELECT * FROM unchanged('weighted', '{"row_weight": "copies"}',
	'"a ''b''", "SELECT", copies');
SELECT * FROM unchanged('arrays', NULL,
	'CASE WHEN copies < 4 THEN ARRAY["SELECT"::float8, "a ''b''", copies] END');
SELECT * FROM unchanged('constant', NULL, '7 AS "SELECT", "a ''b''"');

-- ---- a baseline that is missing, or that is not as kseg wrote it ----

BEGIN;
DELETE FROM kseg_baselines;
SELECT * FROM drift('plans');
SELECT action FROM kseg_run('plans', 'score');
SELECT drift FROM kseg_runs ORDER BY id DESC LIMIT 1;
ROLLBACK;

CREATE FUNCTION edited(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE change;
	PERFORM kseg_drift('plans');
	RETURN 'no error';
EXCEPTION WHEN data_corrupted THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END
$$;

SELECT change, edited(format(change, 'kseg_baselines SET'))
FROM (VALUES ('DELETE FROM kseg_baselines WHERE feature = ''plan'''),
	('UPDATE %s feature = ''Plan'' WHERE feature = ''plan'''),
	('UPDATE %s "position" = 9 WHERE feature = ''visits'''),
	('UPDATE %s edges = NULL WHERE feature = ''visits'''),
	('UPDATE %s edges = ARRAY[edges[1:9]] WHERE feature = ''visits'''),
	('UPDATE %s edges[3] = NULL WHERE feature = ''visits'''),
	('UPDATE %s edges[3] = ''NaN'' WHERE feature = ''visits'''),
	('UPDATE %s edges[9] = ''Infinity'' WHERE feature = ''visits'''),
	('UPDATE %s edges[3] = edges[2] WHERE feature = ''visits'''),
	('UPDATE %s edges = edges || 100 WHERE feature = ''visits'''),
	('UPDATE %s edges = edges[1:3] WHERE feature = ''visits'''),
	('UPDATE %s counts[1] = -1 WHERE feature = ''spent'''),
	('UPDATE %s counts[1] = NULL WHERE feature = ''spent'''),
	('UPDATE %s counts[1] = 9223372036854775807 WHERE feature = ''spent'''),
	('UPDATE %s counts = counts || 1::bigint WHERE feature = ''spent'''),
	('UPDATE %s counts = ''{}'' WHERE feature = ''spent'''),
	('UPDATE %s categories = NULL WHERE feature = ''plan'''),
	('UPDATE %s categories[1] = ''gold'' WHERE feature = ''plan'''),
	('UPDATE %s categories[1] = categories[2] WHERE feature = ''plan'''),
	('UPDATE %s edges = edges[1:0], counts = ''{5,0}'' WHERE feature = ''spent'''))
	AS v (change);
BEGIN;
UPDATE kseg_baselines SET counts[1] = -1 WHERE feature = 'spent';
SELECT failure('SELECT kseg_drift(''plans'')');
ROLLBACK;

-- ---- it reads as the owner, for those who may run it ----

CREATE ROLE drift_owner;
CREATE ROLE drift_runner;
CREATE ROLE drift_reader;
GRANT USAGE ON SCHEMA drift TO drift_owner, drift_runner, drift_reader;
GRANT CREATE ON SCHEMA drift TO drift_owner;
SET ROLE drift_owner;
CREATE TABLE secret AS SELECT i AS id, i % 10 AS x
FROM generate_series(1, 100) AS i;
ALTER TABLE secret ADD PRIMARY KEY (id);
CREATE FUNCTION who(x int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'drift_owner' THEN
		RAISE 'called as %', current_user;
	END IF;
	RETURN x;
END
$$;
SELECT * FROM kseg_create('secret', 'SELECT id, who(x) AS x FROM secret',
	'id', 2);
SELECT action FROM kseg_run('secret');
SELECT kseg_grant('secret', 'drift_runner', 'run');
SELECT kseg_grant('secret', 'drift_reader', 'read');
SET ROLE drift_runner;
SELECT feature, segment, psi, verdict FROM drift('secret');
SELECT failure('SELECT count(*) FROM secret');
SET ROLE drift_reader;
SELECT failure('SELECT kseg_drift(''secret'')');
RESET ROLE;
SELECT feature, verdict FROM drift('secret') WHERE feature IS NOT NULL;

SET ROLE drift_owner;
SELECT kseg_drop('secret');
RESET ROLE;
DROP OWNED BY drift_owner, drift_runner, drift_reader;
DROP ROLE drift_owner, drift_runner, drift_reader;

SET client_min_messages = warning;
SELECT kseg_drop('plans');
DROP SCHEMA drift CASCADE;
