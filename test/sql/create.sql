--
-- kseg_create(), kseg_alter(), kseg_drop(), kseg_grant(), kseg_revoke(): what
-- they refuse, and why; what they register
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
CREATE SCHEMA creating;
SET search_path = creating, public;

CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(E'\n' || nullif(detail, ''), '') ||
		coalesce(E'\n' || nullif(hint, ''), '');
END $$;

CREATE TABLE customer (id int PRIMARY KEY, age int, income numeric, city text, segment int);
INSERT INTO customer SELECT i, 20 + i % 50, i * 10, 'c' || i % 3 FROM generate_series(1, 100) AS i;
-- an error when the arguments after the name are these, and their checks are not
CREATE FUNCTION refused(arguments text) RETURNS text LANGUAGE sql
RETURN failure('SELECT kseg_create(''x'', ' || arguments || ')');

-- ---- what is registered ----

SELECT * FROM kseg_create('base', 'SELECT id, age, income FROM customer', 'id', 4, target => 'customer');
SELECT name, owner = current_user::regrole AS own, query, resolved_query, key, k, options, target,
	segment_column, owns_target, refit_when, hold_when, hysteresis, keep, version, pending
FROM kseg_segmentations \gx
-- nothing is fitted or written
SELECT count(*) FROM kseg_models;
SELECT count(segment) FROM customer;

-- k may come by the options, and is kept in one place
SELECT * FROM kseg_create('options', $$SELECT id, age, city, income AS "In Come", segment AS old FROM customer
	WHERE age > 21; -- not the youngest$$, 'id', options => '{"k": 3, "weights": {"In Come": 2}, "scale": "robust"}');
SELECT k, options, resolved_query FROM kseg_segmentations WHERE name = 'options';
-- no target: a table of its own
\d options_segments
SELECT obj_description('options_segments'::regclass, 'pg_class');
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid = 'options_segments'::regclass AND attnum > 0 ORDER BY attnum;
SELECT owns_target, target, segment_column FROM kseg_segmentations WHERE name = 'options';

-- rows without a segment are counted; with nulls => mean there are none
CREATE TABLE sparse (id int PRIMARY KEY, a int, w int);
INSERT INTO sparse SELECT i, nullif(i % 5, 0), i % 2 FROM generate_series(1, 20) AS i;
SELECT * FROM kseg_create('sparse', 'SELECT id, a FROM sparse', 'id', 2);
SELECT * FROM kseg_create('mean', 'SELECT id, a FROM sparse', 'id', 2, '{"nulls": "mean"}');
-- the weight is no feature, and those without weight get a segment, too
SELECT * FROM kseg_create('weight', 'SELECT id, a, w FROM sparse', 'id', 2, '{"row_weight": "w"}');
-- features in one array; no rows at all
SELECT * FROM kseg_create('array', 'SELECT id, ARRAY[a, 1.5]::float8[] AS f FROM sparse', 'id', 2);
SELECT * FROM kseg_create('nobody', 'SELECT id, a FROM sparse WHERE false', 'id');
SELECT name, k FROM kseg_segmentations WHERE name IN ('array', 'nobody') ORDER BY 1;

-- the text means the same under any setting
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = sql_standard;
SET extra_float_digits = -10;
SELECT segmentation FROM kseg_create('formats', $$SELECT id, age * 0.1234567890123456789::float8 AS a
	FROM customer WHERE '03/02/2024'::date < '2024-06-01'::date + '1-2'::interval$$, 'id', 2);
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
SELECT resolved_query FROM kseg_segmentations WHERE name = 'formats';

-- ---- keys of all kinds ----

CREATE DOMAIN key_domain AS varchar(20) CHECK (VALUE <> '');
CREATE COLLATION backwards (provider = libc, locale = 'C');
CREATE TABLE kinds (b bigint, u uuid, t text COLLATE backwards, d date, v key_domain, c char(5), n numeric(6, 2), x float8);
INSERT INTO kinds SELECT i, md5(i::text)::uuid, 't' || i, date '2024-01-01' + i, 'v' || i, 'c' || i, i / 4.0, i
FROM generate_series(1, 10) AS i;
SELECT * FROM kseg_create('one', 'SELECT u, x FROM kinds', 'u');
SELECT * FROM kseg_create('all', 'SELECT b, u, t, d, v, c, n, x FROM kinds', 'b, u, T, d,v ,c, "n"');
\d all_segments
SELECT key FROM kseg_segmentations WHERE name = 'all';
-- a column's whole name comes before a list
SELECT segmentation FROM kseg_create('comma', 'SELECT b AS "b, x", x FROM kinds', 'b, x');
SELECT key FROM kseg_segmentations WHERE name = 'comma';
-- the key as the target has it
CREATE TABLE target (b int, t varchar(9) COLLATE "C", d timestamptz, segment smallint, UNIQUE (t, d, b));
ALTER TABLE target ALTER b SET NOT NULL, ALTER t SET NOT NULL, ALTER d SET NOT NULL;
INSERT INTO target SELECT b, t, d FROM kinds WHERE b > 2;
-- some customers are not there, which is said
SELECT * FROM kseg_create('others', 'SELECT b, t, d, x FROM kinds', 'b, t, d', 2, target => 'target');
-- a key beyond the target's range is just not there
SELECT kseg_drop('others');
SELECT segmentation FROM kseg_create('others', 'SELECT b + (b % 3) * 1e10::bigint AS b, t, d, x FROM kinds',
	'b, t, d', 2, target => 'target');

-- ---- hostile names ----

CREATE SCHEMA "Sch""ema $1 '";
CREATE TABLE "Sch""ema $1 '"."Ta""ble %s '" ("K""ey '" text PRIMARY KEY, "A, b" int, "seg""Ment '" int);
INSERT INTO "Sch""ema $1 '"."Ta""ble %s '" VALUES ('O''Brian', 1), ('"', 2);
SELECT * FROM kseg_create('na"Me '' %s', $$SELECT "K""ey '", "A, b" FROM "Sch""ema $1 '"."Ta""ble %s '"$$, 'K"ey ''',
	2, target => '"Sch""ema $1 ''"."Ta""ble %s ''"', segment_column => 'seg"Ment ''');
SELECT * FROM kseg_create('Ow"n '' %s', $$SELECT "K""ey '", "A, b" FROM "Sch""ema $1 '"."Ta""ble %s '"$$, 'K"ey ''',
	2, segment_column => 'seg"Ment ''');
SELECT key, target FROM kseg_segmentations WHERE name = 'Ow"n '' %s';
-- the error shows the key, whatever it holds
SELECT refused($$'SELECT "K""ey ''" FROM "Sch""ema $1 ''"."Ta""ble %s ''"', 'K"ey '''$$);
SELECT refused($$'SELECT ''O''''Brian'' AS "K""ey ''", "A, b" FROM "Sch""ema $1 ''"."Ta""ble %s ''"', 'K"ey '''$$);
-- the table's name is cut, where a character ends
SELECT writes_to FROM kseg_create(repeat('ü', 31), 'SELECT id, age FROM customer', 'id');

-- ---- names of segmentations ----

SELECT failure($$SELECT kseg_create('base', 'SELECT id, age FROM customer', 'id')$$);
SELECT failure($$SELECT kseg_create('', 'SELECT id, age FROM customer', 'id')$$);
SELECT failure($$SELECT kseg_create(repeat('n', 64), 'SELECT id, age FROM customer', 'id')$$);
SELECT failure($$SELECT kseg_create(E'two\nlines', 'SELECT id, age FROM customer', 'id')$$);
SELECT failure($$SELECT kseg_create(NULL, 'SELECT id, age FROM customer', 'id')$$);

-- ---- queries ----

SELECT refused($$NULL, 'id'$$);
SELECT refused($$'', 'id'$$);
SELECT refused($$'SELECT 1; SELECT 2', 'id'$$);
SELECT refused($$'SELECT id, agee FROM customer', 'id'$$);
SELECT refused($$'SELEC id', 'id'$$);
SELECT refused($$'SELECT id, age FROM customer WHERE id = $1', 'id'$$);
SELECT refused($$'DELETE FROM customer RETURNING id, age', 'id'$$);
SELECT refused($$'WITH d AS (DELETE FROM customer RETURNING id, age) SELECT * FROM d', 'id'$$);
SELECT refused($$'SELECT id, age FROM customer FOR UPDATE', 'id'$$);
SELECT refused($$'SELECT id, age INTO other FROM customer', 'id'$$);
SELECT refused($$'EXPLAIN SELECT id, age FROM customer', 'id'$$);
SELECT refused($$'SELECT id, age, income AS age FROM customer', 'id'$$);
SELECT refused($$'SELECT id FROM customer', 'id'$$);
SELECT refused($$'SELECT id, 1 / (age - 20) AS a FROM customer', 'id'$$);
CREATE VIEW locking AS SELECT id, age FROM customer FOR UPDATE;
SELECT refused($$'SELECT * FROM locking', 'id'$$);
CREATE TEMPORARY TABLE passing (id int, a int);
SELECT refused($$'SELECT id, a FROM passing', 'id'$$);
SELECT refused($$'SELECT id, (SELECT max(a) FROM passing) AS a FROM customer', 'id'$$);
CREATE TEMPORARY VIEW passing_view AS SELECT id, age FROM customer;
SELECT refused($$'SELECT * FROM passing_view', 'id'$$);
CREATE FUNCTION pg_temp.passing(int) RETURNS int LANGUAGE sql RETURN $1;
SELECT refused($$'SELECT id, pg_temp.passing(age) AS a FROM customer', 'id'$$);
CREATE DOMAIN pg_temp.passing_domain AS int;
SELECT refused($$'SELECT id, age::pg_temp.passing_domain::int AS a FROM customer', 'id'$$);
-- a function that finds its tables by the caller's search_path
CREATE FUNCTION lost(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT age FROM customer WHERE id = $1); END';
SELECT kseg_create('x', 'SELECT id, lost(id) AS a FROM customer', 'id');
ALTER FUNCTION lost SET search_path = creating, pg_temp;
SELECT segmentation FROM kseg_create('found', 'SELECT id, lost(id) AS a FROM customer', 'id');

-- ---- features and options ----

SELECT refused($$'SELECT id, point(age, age) AS p FROM customer', 'id'$$);
SELECT refused($$'SELECT id, age / 0.0::float8 AS a FROM customer WHERE false', 'id', options => '{"order_by": "b"}'$$);
SELECT refused($$'SELECT id, nullif(age, 30)::float8 + ''NaN'' AS a FROM customer', 'id'$$);
SELECT refused($$'SELECT id, CASE age WHEN 30 THEN ''-Infinity'' ELSE 1::float8 END AS a FROM customer', 'id'$$);
SELECT refused($$'SELECT id, NULL::int AS a FROM customer', 'id', options => '{"nulls": "mean"}'$$);
SELECT refused($$'SELECT id, ARRAY[1, 2]::float8[] AS a, age FROM customer', 'id'$$);
SELECT refused($$'SELECT id, CASE WHEN id < 3 THEN ARRAY[1, 2] ELSE ARRAY[1] END::float8[] AS a FROM customer', 'id'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 0$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 3, '{"k": 4}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 3, '[]'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 3, '{"weights": {"income": 2}}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 3, '{"weights": {"id": 2}}'$$);
SELECT refused($$'SELECT id, age, city FROM customer', 'id', 3, '{"order_by": "city"}'$$);
SELECT refused($$'SELECT id, age, city FROM customer', 'id', 3, '{"distance": "cosine"}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 3, '{"row_weight": "w"}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 300, '{"sample": 200}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', 2, '{"init": [[1], [2]]}'$$);
SELECT left(refused(format($$'SELECT id, age FROM customer', 'id', options => kseg_options(previous => %L::kseg_model)$$,
	kseg_fit('SELECT age FROM customer', 2))), 200);
SELECT refused($$'SELECT id, age FROM customer', 'id', refit_when => '{"psy": 1}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', hold_when => '{"moved": "much"}'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', hysteresis => 1$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', hysteresis => 'NaN'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', hysteresis => NULL$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', keep => '0 days'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id', keep => '-1 month'$$);

-- ---- keys ----

SELECT refused($$'SELECT id, age FROM customer', NULL$$);
SELECT refused($$'SELECT id, age FROM customer', 'customer'$$);
SELECT refused($$'SELECT id, age FROM customer', ''$$);
SELECT refused($$'SELECT id, age FROM customer', 'id,'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id, id'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id; age'$$);
SELECT refused($$'SELECT id, age FROM customer', 'id, age'$$);
SELECT refused($$'SELECT nullif(id, 5) AS id, age FROM customer', 'id'$$);
SELECT refused($$'SELECT id, nullif(age, 33) AS age, income FROM customer', 'id, age'$$);
SELECT refused($$'SELECT id / 7 AS id, age FROM customer', 'id'$$);
SELECT refused($$'SELECT age % 7 AS age, city, income FROM customer', 'age, city'$$);
SELECT refused($$'SELECT point(id, id) AS p, age FROM customer', 'p'$$);
SELECT refused($$'SELECT (id, id) AS p, age FROM customer', 'p'$$);
-- two keys of the query that are one to the target
CREATE TABLE blanks (t char(4) PRIMARY KEY, segment int);
INSERT INTO blanks VALUES ('a');
SELECT refused($$'SELECT t, length(t) AS a FROM (VALUES (''a''), (''a '')) AS v (t)', 't', 2, target => 'blanks'$$);

-- ---- targets ----

CREATE FUNCTION refused_target(target text, more text DEFAULT '', query text DEFAULT 'SELECT id, age FROM customer')
RETURNS text LANGUAGE sql
RETURN failure(format('SELECT kseg_create(''x'', %L, ''id'', 2, target => %L%s)', query, target, more));
SELECT refused_target('missing');
SELECT refused_target('1');
CREATE VIEW view AS SELECT * FROM customer;
SELECT refused_target('view');
CREATE MATERIALIZED VIEW matview AS SELECT * FROM customer;
SELECT refused_target('matview');
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE foreigner (id int, segment int) SERVER nowhere;
SELECT refused_target('foreigner');
SELECT refused_target('customer_pkey');
CREATE TEMPORARY TABLE fleeting (id int PRIMARY KEY, segment int);
SELECT refused_target('fleeting');
CREATE TABLE parent (id int PRIMARY KEY, segment int);
CREATE TABLE child () INHERITS (parent);
SELECT refused_target('parent');
CREATE TABLE mixed (id int PRIMARY KEY, segment int) PARTITION BY RANGE (id);
CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES FROM (1) TO (1000);
CREATE TABLE no_key (ident int PRIMARY KEY, segment int);
SELECT refused_target('no_key');
CREATE TABLE other_key (id uuid PRIMARY KEY, segment int);
SELECT refused_target('other_key');
CREATE TABLE no_index (id int NOT NULL, segment int, b int NOT NULL);
SELECT refused_target('no_index');
-- none of these will do
CREATE INDEX ON no_index (id);
CREATE UNIQUE INDEX ON no_index (id, b);
CREATE UNIQUE INDEX ON no_index ((id + 0));
CREATE UNIQUE INDEX ON no_index (id) WHERE id > 0;
ALTER TABLE no_index ADD UNIQUE (id) DEFERRABLE;
SELECT refused_target('no_index');
-- an index of another idea of equal
CREATE TABLE patterns (t text COLLATE "C" NOT NULL, segment int);
CREATE UNIQUE INDEX ON patterns (t COLLATE "POSIX");
SELECT failure($$SELECT kseg_create('x', 'SELECT city AS t, max(age) AS a FROM customer GROUP BY 1', 't', 2, target => 'patterns')$$);
CREATE TABLE nullable (id int UNIQUE, segment int);
SELECT refused_target('nullable');
CREATE TABLE deferred (id int PRIMARY KEY, segment int, other int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noop();
INSERT INTO deferred SELECT id FROM customer;
SELECT refused_target('deferred');
-- customers, but others
CREATE TABLE elsewhere (id int PRIMARY KEY, segment int);
SELECT refused_target('elsewhere');
INSERT INTO elsewhere VALUES (0), (101);
SELECT refused_target('elsewhere');
SELECT refused_target('elsewhere', query => 'SELECT id, age FROM customer WHERE id = 1');

-- the segment's column
CREATE TABLE columns (id int PRIMARY KEY, small smallint, big bigint, "text" text, real real, strict int NOT NULL,
	double int GENERATED ALWAYS AS (id * 2) STORED, own int GENERATED ALWAYS AS IDENTITY);
INSERT INTO columns (id, strict) SELECT id, 0 FROM customer;
SELECT refused_target('columns');
SELECT refused_target('columns', ', segment_column => ''ctid''');
SELECT refused_target('columns', ', segment_column => ''text''');
SELECT refused_target('columns', ', segment_column => ''real''');
SELECT refused_target('columns', ', segment_column => ''strict''');
SELECT refused_target('columns', ', segment_column => ''double''');
SELECT refused_target('columns', ', segment_column => ''own''');
SELECT refused_target('columns', ', segment_column => ''id''');
SELECT refused_target('columns', ', segment_column => ''small''', 'SELECT id, small, big, strict FROM columns');
SELECT refused_target('columns', ', segment_column => NULL');
SELECT refused($$'SELECT id, age FROM customer', 'id', segment_column => 'id'$$);
-- one is added on request; it is not there when the rest fails
SELECT refused_target('columns', ', add_column => true', 'SELECT id, NULL::point AS p FROM customer');
SELECT refused_target('columns');
SELECT writes_to FROM kseg_create('added', 'SELECT id, age FROM customer', 'id', 2, target => 'columns', add_column => true);
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'columns'::regclass AND attname = 'segment';
CREATE DOMAIN number AS bigint CHECK (VALUE > 0);
ALTER TABLE columns ADD kind number;
SELECT writes_to FROM kseg_create('domain', 'SELECT id, age FROM customer', 'id', 2, target => 'columns',
	segment_column => 'kind', add_column => true);
SELECT writes_to FROM kseg_create('small', 'SELECT id, age FROM customer', 'id', 2, target => 'columns',
	segment_column => 'small');
-- nobody else's
SELECT refused_target('customer');
SELECT refused_target('columns', ', segment_column => ''kind''');

-- partitions
INSERT INTO mixed SELECT id FROM customer;
SELECT writes_to FROM kseg_create('mixed', 'SELECT id, age FROM customer', 'id', 2, target => 'mixed');
SELECT refused_target('mixed_1');
SELECT kseg_drop('mixed');
SELECT writes_to FROM kseg_create('mixed', 'SELECT id, age FROM customer', 'id', 2, target => 'mixed_1');
SELECT refused_target('mixed');
SELECT kseg_drop('mixed');

-- the table that would be made is there, or has nowhere to go
CREATE VIEW x_segments AS SELECT 1;
SELECT refused($$'SELECT id, age FROM customer', 'id'$$);
DROP VIEW x_segments;
SET search_path = '';
SELECT creating.failure($$SELECT public.kseg_create('x', 'SELECT id, age FROM creating.customer', 'id')$$);
SET search_path = pg_temp, creating, public;
SELECT creating.failure($$SELECT public.kseg_create('x', 'SELECT id, age FROM creating.customer', 'id')$$);
SET search_path = creating, public;
-- nothing is left of all that failed
SELECT name FROM kseg_segmentations WHERE name = 'x';
SELECT relname FROM pg_class WHERE relname LIKE 'x\_%';

-- whoever is the user in a security-restricted operation did not ask for this
CREATE FUNCTION sneaky(int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.kseg_grant('base', 'public', 'edit');
	RETURN $1;
END $$;
CREATE MATERIALIZED VIEW waiting AS SELECT sneaky(1) WITH NO DATA;
SELECT failure('REFRESH MATERIALIZED VIEW waiting');
SELECT refused($$'SELECT sneaky(id) AS id, age FROM creating.customer', 'id'$$);

-- ---- kseg_alter() ----

SELECT * FROM kseg_alter('base', hysteresis => 0, keep => '1 year', refit_when => '{"age": "30 days", "psi": null}',
	hold_when => '{"moved": 0.5}');
SELECT query, k, refit_when, hold_when, hysteresis, keep, pending FROM kseg_segmentations WHERE name = 'base';
-- before the first run nothing is pending
SELECT * FROM kseg_alter('base', k => 5, options => '{"scale": "minmax"}');
SELECT k, options, pending, hysteresis FROM kseg_segmentations WHERE name = 'base';
-- as if there was a model
UPDATE kseg_segmentations SET version = 1 WHERE name = 'base';
SELECT features FROM kseg_alter('base', k => 5, options => '{"scale": "minmax", "k": 5}');
SELECT pending FROM kseg_segmentations WHERE name = 'base';
SELECT features FROM kseg_alter('base', k => 6);
SELECT features FROM kseg_alter('base', options => '{"k": 7}');
SELECT k, options, pending FROM kseg_segmentations WHERE name = 'base';
SELECT * FROM kseg_alter('base', 'SELECT id, city FROM customer WHERE id > 50');
SELECT query, resolved_query, pending FROM kseg_segmentations WHERE name = 'base';
-- the same checks
SELECT failure($$SELECT kseg_alter('base', 'SELECT id AS customer, city FROM customer')$$);
SELECT failure($$SELECT kseg_alter('base', 'SELECT id FROM customer')$$);
SELECT failure($$SELECT kseg_alter('base', 'SELECT id::text, age FROM customer')$$);
SELECT failure($$SELECT kseg_alter('base', 'SELECT id / 2 AS id, age FROM customer')$$);
SELECT failure($$SELECT kseg_alter('base', 'SELECT id, age, segment FROM customer')$$);
SELECT failure($$SELECT kseg_alter('base', k => 0)$$);
SELECT failure($$SELECT kseg_alter('base', k => 3, options => '{"k": 4}')$$);
SELECT failure($$SELECT kseg_alter('base', options => '{"weights": {"age": 2}}')$$);
SELECT failure($$SELECT kseg_alter('base', hysteresis => -0.1)$$);
SELECT failure($$SELECT kseg_alter('base', keep => '0')$$);
SELECT failure($$SELECT kseg_alter('base', refit_when => '1')$$);
SELECT failure($$SELECT kseg_alter('nothing')$$);
SELECT failure($$SELECT kseg_alter(NULL)$$);
ALTER TABLE customer DROP CONSTRAINT customer_pkey;
SELECT failure($$SELECT kseg_alter('base', hysteresis => 0.5)$$);
ALTER TABLE customer ADD PRIMARY KEY (id);
-- a key whose column's name is like a list
SELECT features FROM kseg_alter('comma', 'SELECT b AS "b, x", x AS b FROM kinds');

-- ---- kseg_grant(), kseg_revoke() ----

CREATE ROLE "regress Create ""r" ROLE current_user;
SELECT kseg_grant('base', 'regress Create "r');
SELECT kseg_grant('base', 'public', 'run');
SELECT grantee, privilege, grantor = current_user::regrole AS own FROM kseg_grants ORDER BY privilege;
-- the last call counts
SELECT kseg_grant('base', 'public', 'read'), kseg_grant('base', 'regress Create "r', 'edit');
SELECT grantee, privilege FROM kseg_grants ORDER BY privilege;
SELECT kseg_revoke('base', 'public'), kseg_revoke('base', 'public');
SELECT grantee, privilege FROM kseg_grants ORDER BY privilege;
SELECT failure($$SELECT kseg_grant('base', 'nobody at all')$$);
SELECT failure($$SELECT kseg_grant('base', 'public', 'READ')$$);
SELECT failure($$SELECT kseg_grant('nothing', 'public')$$);
SELECT failure($$SELECT kseg_grant(NULL, 'public')$$);
SELECT failure($$SELECT kseg_grant('base', NULL)$$);
SELECT failure($$SELECT kseg_grant('base', 'public', NULL)$$);
SELECT failure($$SELECT kseg_revoke('nothing', 'public')$$);

-- ---- kseg_drop() ----

INSERT INTO kseg_history (segmentation, key, segment, valid_from)
SELECT id, '1', 1, now() FROM kseg_segmentations WHERE name = 'base';
SELECT kseg_drop('base');
SELECT count(*) FROM kseg_history;
SELECT count(*) FROM kseg_grants;
-- a user's column is his
SELECT count(*) FROM customer;
-- the segmentation's own table goes with it
SELECT kseg_drop('options');
SELECT to_regclass('options_segments');
-- unless it is gone already, or another's
DROP TABLE sparse_segments;
SELECT kseg_drop('sparse');
CREATE ROLE regress_create_heir;
CREATE ROLE regress_create_owner;
GRANT ALL ON SCHEMA creating TO regress_create_owner;
GRANT SELECT ON customer TO regress_create_owner;
SET ROLE regress_create_owner;
SELECT segmentation FROM kseg_create('heritage', 'SELECT id, age FROM customer', 'id');
RESET ROLE;
ALTER TABLE heritage_segments OWNER TO regress_create_heir;
SELECT kseg_drop('heritage');
SELECT to_regclass('heritage_segments');
-- nor does what depends on it go unasked
CREATE VIEW dependent AS SELECT * FROM mean_segments;
SELECT failure($$SELECT kseg_drop('mean')$$);
DROP VIEW dependent;
SELECT kseg_drop('mean');
SELECT failure($$SELECT kseg_drop('mean')$$);
SELECT failure($$SELECT kseg_drop(NULL)$$);

-- ---- as another user ----

SET ROLE regress_create_owner;
SELECT failure($$SELECT kseg_drop('one')$$);
SELECT failure($$SELECT kseg_alter('one')$$);
SELECT failure($$SELECT kseg_grant('one', 'public')$$);
SELECT count(*) FROM kseg_segmentations;
-- SELECT is not enough for a target
SELECT failure($$SELECT kseg_create('x', 'SELECT id, age FROM customer', 'id', 2, target => 'customer')$$);
SELECT failure($$SELECT kseg_create('x', 'SELECT id, age FROM customer', 'id', 2, target => 'customer',
	segment_column => 'new', add_column => true)$$);
SELECT failure($$SELECT kseg_create('x', 'SELECT id, a FROM sparse', 'id', 2)$$);
RESET ROLE;
GRANT UPDATE (segment) ON customer TO regress_create_owner;
SET ROLE regress_create_owner;
SELECT writes_to FROM kseg_create('x', 'SELECT id, age FROM customer', 'id', 2, target => 'customer');
-- in a function with its owner's rights, it is the owner's
RESET ROLE;
CREATE FUNCTION made_for(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	PERFORM kseg_create($1, 'SELECT id, age FROM creating.customer', 'id');
END $$;
SET ROLE regress_create_owner;
SELECT made_for('made');
RESET ROLE;
SELECT owner = current_user::regrole AS own FROM kseg_segmentations WHERE name = 'made';

-- ---- the end ----

DO $$
DECLARE
	segmentation text;
BEGIN
	FOR segmentation IN SELECT name FROM kseg_segmentations LOOP
		PERFORM kseg_drop(segmentation);
	END LOOP;
END $$;
SELECT relname FROM pg_class WHERE relname LIKE '%\_segments' ORDER BY 1;
SET client_min_messages = warning;
DROP TABLE heritage_segments;
DROP SCHEMA creating, "Sch""ema $1 '" CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP ROLE "regress Create ""r", regress_create_heir, regress_create_owner;
