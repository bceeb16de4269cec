--
-- kseg_apply(): segments written back, only where they change, to every kind
-- of table and view, as the caller, and never by running what a model says
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

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

CREATE TABLE apply_customer (id int PRIMARY KEY, age int, income numeric, tier text,
	segment int, distance float8);
INSERT INTO apply_customer (id, age, income, tier)
SELECT i,
	(CASE i % 3 WHEN 0 THEN 20 WHEN 1 THEN 45 ELSE 70 END) + i % 5,
	(CASE i % 3 WHEN 0 THEN 1000 WHEN 1 THEN 5000 ELSE 3000 END) + i,
	(ARRAY['bronze', 'gold', 'silver'])[i % 3 + 1]
FROM generate_series(1, 92) AS i;
CREATE TABLE apply_model (name text PRIMARY KEY, model kseg_model);
INSERT INTO apply_model
SELECT 'plain', kseg_fit(3, age, income, tier) FROM apply_customer;
INSERT INTO apply_model
SELECT 'two', kseg_fit(2, age, income, tier) FROM apply_customer;
INSERT INTO apply_model
SELECT 'log', kseg_fit(3, age, ln(income)) FROM apply_customer;
INSERT INTO apply_model
SELECT 'age', kseg_fit('{"k": 2, "scale": "none"}'::jsonb, age) FROM apply_customer;
CREATE FUNCTION model(text) RETURNS kseg_model LANGUAGE sql STABLE
RETURN (SELECT model FROM apply_model WHERE name = $1);

-- ---- a plain table ----

SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
SELECT segment, count(*),
	bool_and(segment = kseg_predict(model('plain'), age, income, tier)) AS same
FROM apply_customer GROUP BY 1 ORDER BY 1;
-- again: nothing is written, which the rows themselves can tell
CREATE TABLE apply_before AS SELECT id, ctid AS place, xmin AS writer FROM apply_customer;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
SELECT count(*) FROM apply_customer AS c JOIN apply_before AS b
ON c.ctid = b.place AND c.xmin = b.writer;
-- what changed meanwhile is written, and nothing else
UPDATE apply_customer SET age = 20, income = 1000, tier = 'bronze' WHERE id = 1;
UPDATE apply_customer SET segment = NULL WHERE id = 2;
UPDATE apply_customer SET income = NULL WHERE id IN (3, 6);
INSERT INTO apply_customer VALUES (93, 20, 1000, 'bronze'), (94, 20, NULL, 'gold');
DROP TABLE apply_before;
CREATE TABLE apply_before AS SELECT id, ctid AS place FROM apply_customer;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
SELECT id, segment IS NULL AS without FROM apply_customer
WHERE ctid <> ALL (SELECT place FROM apply_before) ORDER BY id;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
-- another model
SELECT scored, changed > 0 AS changed, unassigned
FROM kseg_apply(model('two'), 'apply_customer', 'segment');
SELECT count(DISTINCT segment), count(*) FILTER (WHERE segment IS NULL)
FROM apply_customer;
-- with the distance, which is kept up to date too
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment', 'distance');
SELECT count(*), count(*) FILTER (WHERE c.segment = s.segment AND c.distance = s.distance)
	AS same, count(*) FILTER (WHERE c.segment IS NULL AND c.distance IS NULL) AS without
FROM apply_customer AS c, kseg_score(model('plain'), age, income, tier) AS s;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment', 'distance');
UPDATE apply_customer SET age = 21 WHERE id = 9;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment', 'distance');
-- a transaction that is rolled back
BEGIN;
SELECT changed > 0 AS changed FROM kseg_apply(model('two'), 'apply_customer', 'segment');
ROLLBACK;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
-- in a loop of PL/pgSQL, and after an error that was caught
DO $$
DECLARE
	result record;
BEGIN
	FOR i IN 1..3 LOOP
		SELECT * INTO result FROM kseg_apply(model(CASE i WHEN 2 THEN 'two' ELSE 'plain' END),
			'apply_customer', 'segment');
		RAISE NOTICE '% %', result.scored, result.unassigned;
		BEGIN
			PERFORM kseg_apply(model('age'), 'apply_customer', 'segment',
				features => ARRAY['1 / (id - 50)']);
		EXCEPTION WHEN division_by_zero THEN
			RAISE NOTICE 'caught';
		END;
	END LOOP;
END $$;

-- ---- column types ----

CREATE DOMAIN apply_segment AS smallint CHECK (value BETWEEN 1 AND 9);
CREATE TABLE apply_types (age int, small smallint, big bigint, own apply_segment,
	short real, exact numeric, rounded numeric(6,2));
INSERT INTO apply_types (age) SELECT age FROM apply_customer;
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'small', 'short');
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'small', 'short');
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'big', 'exact');
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'big', 'exact');
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'own', 'rounded');
SELECT * FROM kseg_apply(model('age'), 'apply_types', 'own', 'rounded');
SELECT count(*), bool_and(small = big AND big = own) AS same,
	bool_and(abs(short - rounded) < 0.006) AS near FROM apply_types;

-- ---- partitioned and inherited tables ----

CREATE TABLE apply_parted (id int, age int, segment int) PARTITION BY LIST (segment);
CREATE TABLE apply_part_1 PARTITION OF apply_parted FOR VALUES IN (1);
CREATE TABLE apply_part_2 (segment int, gone text, age int, id int);
ALTER TABLE apply_part_2 DROP COLUMN gone;
ALTER TABLE apply_parted ATTACH PARTITION apply_part_2 FOR VALUES IN (2);
CREATE TABLE apply_part_rest PARTITION OF apply_parted DEFAULT;
INSERT INTO apply_parted SELECT id, age FROM apply_customer;
-- the rows move to their segment's partition
SELECT * FROM kseg_apply(model('age'), 'apply_parted', 'segment');
SELECT tableoid::regclass, count(*),
	bool_and(segment = kseg_predict(model('age'), age)) AS right_ones
FROM apply_parted GROUP BY 1 ORDER BY 1;
SELECT * FROM kseg_apply(model('age'), 'apply_parted', 'segment');

CREATE TABLE apply_parent (age int, segment int);
CREATE TABLE apply_child (extra text) INHERITS (apply_parent);
INSERT INTO apply_parent SELECT age FROM apply_customer WHERE id % 2 = 0;
INSERT INTO apply_child SELECT age FROM apply_customer WHERE id % 2 = 1;
SELECT * FROM kseg_apply(model('age'), 'apply_parent', 'segment');
SELECT tableoid::regclass, count(segment) FROM apply_parent GROUP BY 1 ORDER BY 1;
SELECT * FROM kseg_apply(model('age'), 'apply_child', 'segment');

-- ---- triggers and generated columns ----

CREATE TABLE apply_trigger (age int, segment int, changes int DEFAULT 0,
	doubled int GENERATED ALWAYS AS (age * 2) STORED,
	label text GENERATED ALWAYS AS ('segment ' || segment::text) STORED);
CREATE TABLE apply_log (changes int);
CREATE FUNCTION apply_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	result record;
BEGIN
	IF TG_LEVEL = 'STATEMENT' THEN
		INSERT INTO apply_log SELECT count(*) FROM changed;
		RETURN NULL;
	END IF;
	IF NEW.age = 22 THEN
		RETURN NULL;
	END IF;
	NEW.changes := OLD.changes + 1;
	-- another kseg_apply() within, on another table
	SELECT * INTO result FROM kseg_apply(model('age'), 'apply_child', 'segment');
	IF result.scored <> 47 THEN
		RAISE 'counted for the wrong call: %', result;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER each BEFORE UPDATE ON apply_trigger
	FOR EACH ROW EXECUTE FUNCTION apply_trigger();
CREATE TRIGGER whole AFTER UPDATE ON apply_trigger REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION apply_trigger();
INSERT INTO apply_trigger (age) SELECT age FROM apply_customer WHERE id < 90;
SELECT * FROM kseg_apply(model('age'), 'apply_trigger', 'segment');
SELECT age = 22 AS refused, segment, label, changes, count(*) FROM apply_trigger
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
SELECT * FROM kseg_apply(model('age'), 'apply_trigger', 'segment');
SELECT * FROM apply_log ORDER BY 1;
-- a generated column is a feature like any other, but no target
SELECT * FROM kseg_apply(kseg_fit('SELECT age * 2 AS doubled FROM apply_customer', 2),
	'apply_trigger', 'segment');
ALTER TABLE apply_trigger ADD made int GENERATED ALWAYS AS (age) STORED;
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_trigger', 'made')$$) \gx

-- ---- views ----

CREATE VIEW apply_view AS SELECT id, age AS years, segment, income, tier
FROM apply_customer WHERE id > 50;
SELECT * FROM kseg_apply(model('age'), 'apply_view', 'segment', features => '{years}');
SELECT id > 50 AS visible, segment = kseg_predict(model('age'), age) AS right_one,
	count(*) FROM apply_customer WHERE id < 93 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM kseg_apply(model('plain'), 'apply_customer', 'segment') \gset done_
CREATE VIEW apply_grouped AS SELECT age, max(segment) AS segment FROM apply_customer GROUP BY 1;
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_grouped', 'segment')$$) \gx

-- ---- hostile names ----

CREATE SCHEMA "apply ""schema"" --";
CREATE TABLE "apply ""schema"" --"."select" (
	"a""b" int, "user" int, "group by; DROP TABLE apply_log" int, "ünï'çødé \" text,
	"a234567890123456789012345678901234567890123456789012345678901bc" int,
	"Segment""s" int, "order" float8);
INSERT INTO "apply ""schema"" --"."select"
SELECT i, i % 7, i % 3, 'x' || i % 2, i % 5 FROM generate_series(1, 50) AS i;
INSERT INTO apply_model SELECT 'hostile', kseg_fit('SELECT "a""b", "user",
	"group by; DROP TABLE apply_log", "ünï''çødé \",
	"a234567890123456789012345678901234567890123456789012345678901bc"
	FROM "apply ""schema"" --"."select"', 3);
SELECT * FROM kseg_apply(model('hostile'), '"apply ""schema"" --"."select"',
	'Segment"s', 'order');
SELECT count(*) FROM "apply ""schema"" --"."select"
WHERE "Segment""s" = kseg_predict(model('hostile'), "a""b", "user",
	"group by; DROP TABLE apply_log", "ünï'çødé \",
	"a234567890123456789012345678901234567890123456789012345678901bc");
SELECT * FROM kseg_apply(model('hostile'), '"apply ""schema"" --"."select"',
	'Segment"s', 'order');

-- ---- a model's text is never run ----

CREATE FUNCTION apply_trap() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE 'a model ran SQL'; END $$;
INSERT INTO apply_model
SELECT 'evil ' || n, jsonb_set(model::jsonb, '{features,0,name}', to_jsonb(e.name))::kseg_model
FROM apply_model, (VALUES (1, 'apply_trap()'), (2, 'age + apply_trap()'),
	(3, 'age) = 1 OR apply_trap() = (1'), (4, '"age"'), (5, 'age -- '),
	(6, 'ctid'), (7, 'tableoid'), (8, 'apply_customer.age'), (9, 'AGE'),
	(10, 'age; SELECT apply_trap()'), (11, repeat('age', 100))) AS e (n, name)
WHERE apply_model.name = 'age';
SELECT m.name, f.code, f.message, f.hint
FROM apply_model AS m, failure(format(
	'SELECT kseg_apply(model(%L), ''apply_customer'', ''segment'')', m.name)) AS f
WHERE m.name LIKE 'evil %' ORDER BY substr(m.name, 6)::int;
SELECT f.detail FROM failure(
	$$SELECT kseg_apply(model('evil 2'), 'apply_customer', 'segment')$$) AS f;
-- unless the column really has such a name
CREATE TABLE apply_evil ("age + apply_trap()" int, segment int);
INSERT INTO apply_evil VALUES (20), (70);
SELECT * FROM kseg_apply(model('evil 2'), 'apply_evil', 'segment');

-- ---- the caller's own expressions ----

SELECT * FROM failure($$SELECT kseg_apply(model('log'), 'apply_customer', 'segment')$$) \gx
SELECT * FROM kseg_apply(model('log'), 'apply_customer', 'segment',
	features => ARRAY['age', 'ln(income)']);
SELECT count(*) FROM apply_customer
WHERE segment = kseg_predict(model('log'), age, ln(income));
-- comments, line breaks, strings with parentheses, columns of the table's name
SELECT * FROM kseg_apply(model('log'), 'apply_customer', 'segment', features => ARRAY[
	'apply_customer.age -- the age', E'ln(\n/* ) */ income + length($a$)($a$) - 2\n)']);
SELECT changed FROM kseg_apply(model('plain'), 'apply_customer', 'segment',
	features => ARRAY['age', 'income', '(SELECT c.tier FROM apply_customer AS c
		WHERE c.id = apply_customer.id)']);
SELECT changed FROM kseg_apply(model('plain'), 'apply_customer', 'segment');
-- an array column is all features
CREATE TABLE apply_array (features float8[], segment int);
INSERT INTO apply_array SELECT ARRAY[age] FROM apply_customer;
SELECT * FROM kseg_apply(model('age'), 'apply_array', 'segment', features => '{features}');
SELECT g.n, f.*
FROM (VALUES
	(1, '{age}'), (2, '{}'), (3, '{age,NULL,tier}'), (4, '{{age,income,tier}}'),
	(5, '{age,income,""}'), (6, '{age,"income, tier",tier}'),
	(7, '{age,"income) = 1, (tier",tier}'), (8, '{age,"income FROM apply_log",tier}'),
	(9, '{age,"income AS x",tier}'), (10, '{age,*,tier}'), (11, '{age,apply_customer.*,tier}'),
	(12, '{age,"income; DROP TABLE apply_log",tier}'), (13, '{age,"income WHERE true",tier}'),
	(14, '{age,"income LIMIT 1",tier}'), (15, '{age,"DISTINCT income",tier}'),
	(16, '{age,"income ORDER BY 1",tier}'), (17, '{age,"SELECT income",tier}'),
	(18, '{age,"income /* ",tier}'), (19, '{age,"sum(income)",tier}'),
	(20, '{age,"generate_series(1, 2)",tier}'), (21, '{age,missing,tier}'),
	(22, '{age,"income UNION SELECT 1",tier}'), (23, '{age,tier,income}')) AS g (n, features),
	failure(format('SELECT kseg_apply(model(''plain''), ''apply_customer'', ''segment'',
		features => %L)', features)) AS f
ORDER BY n;
SELECT kseg_apply(model('plain'), 'apply_customer', 'segment',
	features => '{age,income + + ),tier}');

-- ---- whose rights ----

CREATE ROLE regress_kseg_owner;
CREATE ROLE regress_kseg_clerk;
CREATE TABLE apply_rights (id int, age int, secret int, region text, segment int, distance float8);
INSERT INTO apply_rights SELECT id, age, id, CASE WHEN id % 2 = 0 THEN 'north' ELSE 'south' END
FROM apply_customer WHERE id <= 90;
ALTER TABLE apply_rights OWNER TO regress_kseg_owner;
GRANT SELECT ON apply_model TO regress_kseg_clerk;
SET ROLE regress_kseg_clerk;
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_rights', 'segment')$$) \gx
RESET ROLE;
GRANT SELECT (age, segment), UPDATE (segment) ON apply_rights TO regress_kseg_clerk;
SET ROLE regress_kseg_clerk;
SELECT * FROM kseg_apply(model('age'), 'apply_rights', 'segment');
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_rights', 'segment', 'distance')$$) \gx
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_rights', 'segment',
	features => '{secret}')$$) \gx
RESET ROLE;
-- row-level security: rows that cannot be seen are not scored
UPDATE apply_rights SET segment = NULL;
ALTER TABLE apply_rights ENABLE ROW LEVEL SECURITY;
CREATE POLICY north ON apply_rights TO regress_kseg_clerk USING (region = 'north');
SET ROLE regress_kseg_clerk;
SELECT * FROM kseg_apply(model('age'), 'apply_rights', 'segment');
RESET ROLE;
SELECT region, count(*), count(segment) FROM apply_rights GROUP BY 1 ORDER BY 1;
DROP POLICY north ON apply_rights;
CREATE POLICY first_only ON apply_rights TO regress_kseg_clerk USING (true)
	WITH CHECK (segment = 1);
SET ROLE regress_kseg_clerk;
SELECT * FROM failure($$SELECT kseg_apply(model('age'), 'apply_rights', 'segment')$$) \gx
RESET ROLE;
-- a read-only transaction
BEGIN TRANSACTION READ ONLY;
SELECT kseg_apply(model('age'), 'apply_rights', 'segment');
ROLLBACK;
-- somebody's function must not be run in place of ours
CREATE FUNCTION kseg_changed(kseg_model, bigint, int, int, numeric, text)
RETURNS boolean LANGUAGE sql AS 'SELECT apply_trap() = 1';
SELECT * FROM failure($$SELECT kseg_apply(model('plain'), 'apply_customer', 'segment')$$) \gx
DROP FUNCTION kseg_changed(kseg_model, bigint, int, int, numeric, text);

-- ---- other mistakes ----

CREATE MATERIALIZED VIEW apply_frozen AS SELECT age, segment FROM apply_customer;
CREATE SEQUENCE apply_sequence;
SELECT call, f.*
FROM (VALUES
	(1, '(NULL, ''apply_customer'', ''segment'')'),
	(2, '(model(''age''), NULL, ''segment'')'),
	(3, '(model(''age''), ''apply_customer'', NULL)'),
	(4, '(model(''age''), ''apply_missing'', ''segment'')'),
	(5, '(model(''age''), 4294967295::oid, ''segment'')'),
	(6, '(model(''age''), ''apply_customer'', ''Segment'')'),
	(7, '(model(''age''), ''apply_customer'', ''ctid'')'),
	(8, '(model(''age''), ''apply_customer'', ''tier'')'),
	(9, '(model(''age''), ''apply_customer'', ''distance'')'),
	(10, '(model(''age''), ''apply_customer'', ''segment'', ''segment'')'),
	(11, '(model(''age''), ''apply_customer'', ''segment'', ''tier'')'),
	(12, '(model(''age''), ''apply_customer'', ''segment'', ''far'')'),
	(13, '(model(''age''), ''apply_frozen'', ''segment'')'),
	(14, '(model(''age''), ''apply_sequence'', ''last_value'')'),
	(15, '(model(''age''), ''apply_model_pkey'', ''name'')'),
	(16, '(model(''plain''), ''apply_types'', ''small'')')) AS c (n, call),
	failure('SELECT kseg_apply' || call) AS f
ORDER BY n \gx
-- a column of the right name and the wrong type
ALTER TABLE apply_types ADD income text, ADD tier text;
SELECT * FROM failure($$SELECT kseg_apply(model('plain'), 'apply_types', 'small')$$) \gx
-- what kseg_apply() calls, by hand
SELECT * FROM failure($$SELECT kseg_assigned(1)$$) \gx
SELECT * FROM failure($$SELECT kseg_changed(model('age'), 1, 1, 20)$$) \gx
SELECT * FROM failure($$SELECT kseg_changed(model('age'), NULL, 1, 20)$$) \gx
-- more features than a call has arguments
DO $$
DECLARE
	columns text := (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 150) AS i);
BEGIN
	EXECUTE format('CREATE TABLE apply_wide AS SELECT i AS id, %s
		FROM generate_series(1, 40) AS i',
		(SELECT string_agg(format('(i * %s) %% 17 AS c%s', i, i), ', ')
		 FROM generate_series(1, 150) AS i));
	EXECUTE 'ALTER TABLE apply_wide ADD segment int, ADD tier text';
	EXECUTE format('INSERT INTO apply_model SELECT ''wide'', kseg_fit(
		''SELECT %s FROM apply_wide'', 3)', columns);
	EXECUTE format('INSERT INTO apply_model SELECT ''wide mixed'', kseg_fit(
		''SELECT %s, ''''a'''' || id %% 2 AS tier FROM apply_wide'', 3)', columns);
END $$;
SELECT * FROM kseg_apply(model('wide'), 'apply_wide', 'segment');
SELECT count(*) FROM apply_wide AS w JOIN kseg_segments('TABLE apply_wide', 'id',
	model('wide')) AS s ON w.id::text = s.key AND w.segment = s.segment;
SELECT * FROM failure($$SELECT kseg_apply(model('wide mixed'), 'apply_wide', 'segment')$$) \gx

DROP VIEW apply_view, apply_grouped;
DROP MATERIALIZED VIEW apply_frozen;
DROP SEQUENCE apply_sequence;
DROP SCHEMA "apply ""schema"" --" CASCADE;
DROP TABLE apply_customer, apply_before, apply_types, apply_parted, apply_parent, apply_child,
	apply_trigger, apply_log, apply_evil, apply_array, apply_rights, apply_wide;
DROP FUNCTION failure, model, apply_trigger, apply_trap;
DROP TABLE apply_model;
DROP DOMAIN apply_segment;
DROP ROLE regress_kseg_owner, regress_kseg_clerk;

-- ---- what would destroy data, or reach into the statement ----

CREATE TABLE precious (age int, spent float8, segment int);
INSERT INTO precious SELECT 20 + i % 50, i, NULL FROM generate_series(1, 100) AS i;
CREATE TABLE precious_model AS SELECT kseg_fit(3, age, spent) AS model FROM precious;
SELECT kseg_apply(model, 'precious', 'age') FROM precious_model;
SELECT kseg_apply(model, 'precious', 'segment', 'spent') FROM precious_model;
-- with expressions of his own the caller says what he means
SELECT kseg_apply(model, 'precious', 'segment', features => ARRAY['age', '$2']) FROM precious_model;
SELECT kseg_apply(model, 'precious', 'segment', features => ARRAY['age', 'coalesce($1, 2)']) FROM precious_model;
SELECT min(age), max(age), sum(spent), count(segment) FROM precious;
DROP TABLE precious, precious_model;
