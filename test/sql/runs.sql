-- kseg_run() and kseg_rollback(): what a run decides, and why.
-- Members and targets are in members.sql, registration in create.sql.

SET client_min_messages = warning;

CREATE FUNCTION pg_temp.state(statement text) RETURNS text AS $$
DECLARE
	hint text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM,
					 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$ LANGUAGE plpgsql;

-- a number in [0, 1) for each i
CREATE FUNCTION noise(i int, salt int) RETURNS float8 IMMUTABLE PARALLEL SAFE
	RETURN (hashint8extended(i, salt) & 1048575) / 1048576.0;

-- four groups of 250 at the corners of a square
CREATE TABLE customers (
	id int PRIMARY KEY,
	income float8,
	spend float8,
	segment int
);

INSERT INTO customers
SELECT i, 40 * (i % 2) + 4 * noise(i, 1), 40 * (i / 2 % 2) + 4 * noise(i, 2)
FROM generate_series(0, 999) AS i;

-- what a run says, without its number and its time
CREATE FUNCTION run(name text, mode text DEFAULT 'auto',
	OUT action text, OUT reason text, OUT scored bigint, OUT changed bigint,
	OUT new bigint, OUT gone bigint, OUT unassigned bigint, OUT held boolean)
	RETURN (SELECT (action, reason, scored, changed, new, gone, unassigned, held)
			FROM kseg_run(name, mode));

-- ---- modes ----

SELECT rows, unassigned, features FROM kseg_create('c', 'SELECT id, income, spend FROM customers', 'id', 4,
	target => 'customers');
SELECT pg_temp.state($$SELECT kseg_run('c', 'score')$$);
SELECT pg_temp.state($$SELECT kseg_rollback('c')$$);
SELECT pg_temp.state($$SELECT kseg_run('c', 'nightly')$$);
SELECT pg_temp.state($$SELECT kseg_run('c', NULL)$$);
SELECT pg_temp.state($$SELECT kseg_run(NULL)$$);
SELECT pg_temp.state($$SELECT kseg_run('d')$$);

SELECT * FROM run('c', 'dry');
SELECT count(segment) FROM customers;
SELECT count(*) FROM kseg_models;
SELECT * FROM run('c');
SELECT segment, count(*), min(id % 4) AS least, max(id % 4) AS most FROM customers GROUP BY 1 ORDER BY 1;
SELECT * FROM run('c');
SELECT * FROM run('c', 'refit');
SELECT run_id > 0, drift, elapsed > '0' FROM kseg_run('c', 'score');

-- ---- changes ----

UPDATE customers SET income = income + 40 WHERE id IN (0, 4);
UPDATE customers SET income = NULL WHERE id = 1;
DELETE FROM customers WHERE id IN (2, 3, 7);
INSERT INTO customers VALUES (1000, 42, 42), (1001, NULL, 3);
SELECT * FROM run('c');
SELECT id, segment FROM customers WHERE id IN (0, 1, 4, 1000, 1001) ORDER BY id;
SELECT key, segment, previous, valid_to IS NULL AS open FROM kseg_history
WHERE key IN ('0', '1', '2', '4', '1000', '1001') ORDER BY key, valid_from;
SELECT * FROM run('c');

-- the history follows the target, whoever wrote it
UPDATE customers SET segment = 99 WHERE id = 5;
UPDATE customers SET segment = NULL WHERE id = 6;
SELECT * FROM run('c');
SELECT count(*) FROM customers AS t FULL JOIN
	(SELECT * FROM kseg_history WHERE valid_to IS NULL) AS h ON h.key = t.id::text AND h.segment = t.segment
WHERE t.segment IS NOT NULL AND h.key IS NULL OR h.key IS NOT NULL AND t.id IS NULL;

-- ---- drift makes it fit ----

UPDATE customers SET income = income + 12;
SELECT action, reason, changed, held, round(drift::numeric, 2) AS drift FROM kseg_run('c', 'dry');
SELECT action, reason, changed, held FROM kseg_run('c', 'score');
SELECT action, reason, changed, held FROM kseg_run('c');
SELECT action, left(reason, 8) AS reason FROM kseg_run('c');
SELECT version, is_held, (SELECT max(segment) FROM kseg_centroids(model)) AS last FROM kseg_models ORDER BY version;

-- limits are off when null, and met at once when 0
SELECT FROM kseg_alter('c', refit_when => '{"psi": null, "share_psi": null, "inertia": null}');
UPDATE customers SET income = income * 3;
SELECT action FROM kseg_run('c');
SELECT FROM kseg_alter('c', refit_when => '{"psi": null, "share_psi": null, "inertia": null, "age": "1 microsecond"}');
SELECT action, reason, changed FROM kseg_run('c');
SELECT refit_when, hold_when FROM kseg_segmentations;
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"pis": 1}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"psi": "1"}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"inertia": 0.5}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"age": 90}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"age": "never"}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"age": "-1 day"}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', refit_when => '{"age": "178000000 years"}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', hold_when => '[1]')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', hold_when => '{"moved": -1}')$$);
SELECT pg_temp.state($$SELECT kseg_alter('c', hold_when => '{"moved": 30}')$$);
SELECT FROM kseg_alter('c', refit_when => '{"age": "90 days"}');
SELECT refit_when FROM kseg_segmentations;

-- ---- held ----

-- the groups at the left turn round: the same clouds, other customers
UPDATE customers SET spend = 44 - spend;
SELECT action, reason, changed, held FROM kseg_run('c', 'score');
-- two groups become one, which leaves a segment without customers
UPDATE customers SET income = (SELECT min(income) FROM customers) + noise(id, 3);
SELECT FROM kseg_alter('c', hold_when => '{"moved": 0.01}');
SELECT action, reason, held, version FROM kseg_run('c', 'dry') AS r, kseg_segmentations;
SELECT action, reason, held FROM kseg_run('c');
SELECT version, is_held, reason FROM kseg_models ORDER BY version DESC LIMIT 2;
SELECT version, last_version FROM kseg_segmentations;
SELECT action, held FROM kseg_run('c');
-- the latest one held is enough
SELECT count(*) FILTER (WHERE is_held), max(version) FROM kseg_models;

-- published all the same
SELECT action, reason FROM kseg_rollback('c', (SELECT max(version) FROM kseg_models));
SELECT count(*) FILTER (WHERE is_held) FROM kseg_models;
SELECT action, reason FROM kseg_rollback('c');
SELECT pg_temp.state($$SELECT kseg_rollback('c', 77)$$);
SELECT pg_temp.state($$SELECT kseg_rollback('c', 1), kseg_rollback('c')$$);

-- ids go on rising after a rollback
SELECT FROM kseg_alter('c', k => 5, hold_when => '{"moved": null, "vanished": null, "inertia": null}');
SELECT last_id AS before FROM kseg_segmentations \gset
SELECT action, split_part(reason, ';', 1) AS reason FROM kseg_run('c');
SELECT bool_and(segment > :before OR segment IN
	(SELECT segment FROM kseg_models, kseg_centroids(model) WHERE version = 1)) AS new_ids_are_new
FROM kseg_models AS m, kseg_centroids(model) WHERE version = (SELECT max(version) FROM kseg_models);
SELECT kseg_drop('c');
SELECT count(*) FROM kseg_history;

-- ---- the evidence chooses k ----

UPDATE customers SET income = 40 * (id % 2) + 4 * noise(id, 1), spend = 40 * (id / 2 % 2) + 4 * noise(id, 2), segment = NULL;
SELECT FROM kseg_create('e', 'SELECT id, income, spend FROM customers', 'id', target => 'customers');
SELECT * FROM run('e');
-- a group divides; the number stays, and another one is proposed
UPDATE customers SET income = income + 40, spend = spend + 60 WHERE id % 8 = 3;
SELECT action, reason FROM kseg_run('e');
SELECT proposed_k FROM kseg_runs ORDER BY id DESC LIMIT 1;
SELECT FROM kseg_alter('e', k => 5);
SELECT action, reason FROM kseg_run('e');
SELECT k, is_knee FROM kseg_elbows WHERE version = 1 AND (is_knee OR k = 8) ORDER BY k;
SELECT segment, count(*) > 0 AS points FROM kseg_points WHERE version = 1 GROUP BY 1 ORDER BY 1;
SELECT kseg_drop('e');

-- ---- other features ----

SELECT FROM kseg_create('f', 'SELECT id, income, spend FROM customers', 'id', 2, target => 'customers');
SELECT action, reason FROM kseg_run('f');
SELECT FROM kseg_alter('f', query => 'SELECT id, id % 7 AS age FROM customers');
SELECT pg_temp.state($$SELECT kseg_run('f', 'score')$$);
SELECT action, reason FROM kseg_run('f');
SELECT DISTINCT segment FROM customers WHERE segment IS NOT NULL ORDER BY 1;
SELECT kseg_drop('f');

-- ---- nothing to fit, and what does not fit the column ----

CREATE TABLE visitors (id int PRIMARY KEY, x int, segment smallint);
INSERT INTO visitors VALUES (1, 1), (2, 5), (3, 9);
SELECT FROM kseg_create('v', 'SELECT id, x FROM visitors', 'id', 2, target => 'visitors');
DELETE FROM visitors;
SELECT pg_temp.state($$SELECT kseg_run('v')$$);
INSERT INTO visitors VALUES (1, 1), (2, 5), (3, 9);
SELECT * FROM run('v');
UPDATE kseg_segmentations SET last_id = 32767;
SELECT FROM kseg_alter('v', k => 3);
SELECT pg_temp.state($$SELECT kseg_run('v')$$);
-- an empty load takes nobody's segment away
SELECT FROM kseg_alter('v', k => 2);
UPDATE kseg_segmentations SET pending = NULL;
BEGIN;
DELETE FROM visitors WHERE id > 1;
SELECT action, gone FROM kseg_run('v', 'score');
DELETE FROM visitors;
SELECT pg_temp.state($$SELECT kseg_run('v')$$);
SELECT pg_temp.state($$SELECT kseg_run('v', 'score')$$);
SELECT pg_temp.state($$SELECT kseg_run('v', 'refit')$$);
SELECT pg_temp.state($$SELECT kseg_run('v', 'dry')$$);
COMMIT;
SELECT kseg_drop('v');

-- ---- a float8[] holds the features; categories; options ----

SELECT FROM kseg_create('a', 'SELECT id, ARRAY[income, spend] AS f FROM customers WHERE income IS NOT NULL', 'id', 4);
SELECT * FROM run('a');
SELECT * FROM run('a');
SELECT kseg_drop('a');
SELECT FROM kseg_create('o', $$SELECT id, income, CASE WHEN id % 3 = 0 THEN 'a' ELSE 'b' END AS kind FROM customers$$, 'id', 4,
	options => kseg_options(nulls => 'mean', scale => 'robust'));
SELECT * FROM run('o');
SELECT k, scale, features FROM kseg_models, kseg_info(model);
SELECT kseg_drop('o');

-- ---- what is kept ----

SELECT FROM kseg_create('k', 'SELECT id, income, spend FROM customers', 'id', 4, target => 'customers', keep => '1 day');
SELECT action FROM kseg_run('k');
SELECT action FROM kseg_run('k', 'refit');
UPDATE kseg_runs SET started = started - interval '2 days';
UPDATE kseg_models SET created = created - interval '2 days';
UPDATE kseg_history SET valid_from = valid_from - interval '2 days';
UPDATE customers SET income = 100 - income WHERE id < 4;
SELECT action, changed FROM kseg_run('k', 'score');
UPDATE kseg_history SET valid_to = valid_to - interval '2 days';
SELECT count(*) > 0 AS closed FROM kseg_history WHERE valid_to IS NOT NULL;
SELECT action FROM kseg_run('k', 'score');
SELECT count(*) AS closed FROM kseg_history WHERE valid_to IS NOT NULL;
SELECT count(*) AS runs FROM kseg_runs;
SELECT version FROM kseg_models;
SELECT kseg_drop('k');

-- ---- in a transaction that ends otherwise ----

SELECT FROM kseg_create('t', 'SELECT id, income, spend FROM customers', 'id', 4, target => 'customers');
UPDATE customers SET segment = NULL;
DO $$
BEGIN
	PERFORM kseg_run('t');
	RAISE 'no';
EXCEPTION WHEN raise_exception THEN
	NULL;
END $$;
SELECT count(segment) FROM customers;
SELECT count(*) FROM kseg_models;
SHOW search_path;
SELECT current_user = session_user AS same;
BEGIN;
SELECT action FROM kseg_run('t');
SELECT action, new FROM kseg_run('t');
SELECT count(DISTINCT started) FROM kseg_runs;
COMMIT;
SELECT kseg_drop('t');

-- ---- a target that does not take what is written ----

CREATE VIEW odd AS
SELECT c.id, c.segment, h.segment AS history
FROM customers AS c
FULL JOIN (SELECT key::int AS id, segment FROM kseg_history WHERE valid_to IS NULL) AS h USING (id)
WHERE c.segment IS DISTINCT FROM h.segment;
CREATE FUNCTION stubborn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 5 THEN
		RETURN NULL;
	END IF;
	NEW.segment := CASE WHEN NEW.id = 4 THEN 77 ELSE NEW.segment END;
	RETURN NEW;
END $$;
UPDATE customers SET segment = NULL;
CREATE TRIGGER stubborn BEFORE UPDATE OF segment ON customers FOR EACH ROW EXECUTE FUNCTION stubborn();
SELECT FROM kseg_create('s', 'SELECT id, income, spend FROM customers', 'id', 4, target => 'customers');
SELECT scored - new AS refused, reason FROM kseg_run('s');
SELECT id, segment FROM customers WHERE id IN (4, 5) ORDER BY id;
TABLE odd;
SELECT new, changed, gone, reason LIKE '%did not take 2 of 2 changes' AS says_so FROM kseg_run('s', 'score');
TABLE odd;
DROP TRIGGER stubborn ON customers;
SELECT new, changed, gone FROM kseg_run('s', 'score');
SELECT new, changed, gone FROM kseg_run('s', 'score');
-- a rule
CREATE RULE nothing AS ON UPDATE TO customers DO INSTEAD NOTHING;
SELECT kseg_alter('s', k => 3) IS NOT NULL AS altered;
SELECT changed, reason LIKE '%did not take%' AS says_so FROM kseg_run('s');
TABLE odd;
DROP RULE nothing ON customers;
SELECT changed > 0 AS changed, reason LIKE '%did not take%' AS says_so FROM kseg_run('s', 'score');
TABLE odd;
SELECT kseg_drop('s');
DROP VIEW odd;
DROP FUNCTION stubborn;

-- ---- where nothing can be written ----

BEGIN READ ONLY;
SELECT kseg_run('nobody');
ROLLBACK;
BEGIN READ ONLY;
SELECT kseg_create('nobody', 'SELECT id, income FROM customers', 'id');
ROLLBACK;

-- ---- a load that came in part; a fit that left no distance ----

CREATE TABLE parts (id int PRIMARY KEY, x float8, segment int);
INSERT INTO parts SELECT i, i % 3 FROM generate_series(1, 300) AS i;
SELECT FROM kseg_create('p', 'SELECT id, x FROM parts', 'id', 3, target => 'parts');
SELECT action FROM kseg_run('p');
DELETE FROM parts WHERE id > 120 AND x = 0 OR id > 200;
SELECT action, reason, gone, held FROM kseg_run('p', 'refit');
UPDATE parts SET x = x + 0.001 WHERE id = 1;
SELECT reason FROM kseg_run('p', 'score');
SELECT inertia_ratio FROM kseg_runs ORDER BY id DESC LIMIT 1;
SELECT split_part(reason, ';', 1) AS reason FROM kseg_run('p', 'dry');
SELECT kseg_drop('p');
