--
-- The customers of a night: those of the query and those of the target, read
-- together or brought together by key.  Whichever it is, a night does the same.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
CREATE SCHEMA members;
SET search_path = members, public;

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

-- what a run did, besides its number and its time
CREATE FUNCTION night(segmentation text, mode text = 'score') RETURNS text LANGUAGE sql
RETURN (SELECT concat_ws(' ', action, scored, changed, new, gone, unassigned) FROM kseg_run(segmentation, mode));

-- ---- which way is taken ----

CREATE TABLE small (id int PRIMARY KEY, a float8, active boolean, segment int);
INSERT INTO small SELECT i, i % 3 * 10, i % 5 > 0 FROM generate_series(1, 15) AS i;
DO $$
DECLARE
	names text[] = '{plain, where, computed, apart}';
	queries text[] = ARRAY['SELECT id, a FROM members.small ORDER BY a',
		'SELECT a, id FROM members.small WHERE active',
		'SELECT a * 2 AS a, id FROM members.small WHERE active',
		'SELECT id, max(a) AS a FROM members.small GROUP BY id'];
BEGIN
	FOR i IN 1 .. 4 LOOP
		PERFORM kseg_create(names[i], queries[i], 'id', 3, target => 'small',
			segment_column => names[i], add_column => true);
		PERFORM kseg_run(names[i]);
	END LOOP;
END $$;
SET client_min_messages = debug1;
SELECT night('plain');
SELECT night('where');
SELECT night('computed');
SELECT night('apart');
SET client_min_messages = warning;
SELECT * FROM small ORDER BY id;

-- ---- all ways do the same ----

-- A customer table is segmented three times: by the query as it is, by one
-- that cannot be read with the target's segments, and into a table of its
-- own.  After each night all three must have the same customers in the same
-- segments, in their tables and in their histories.
CREATE FUNCTION prepare(columns text, quals text, keys text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	query text = format('SELECT %s FROM members.customer %s', columns, quals);
	apart text = format('SELECT %s FROM (TABLE members.customer OFFSET 0) AS customer %s', columns, quals);
BEGIN
	CREATE TABLE customer (id int, "sh""op" text, a float8, b numeric, kind text, direct int, "By Key" smallint,
		PRIMARY KEY ("sh""op", id), UNIQUE (id));
	INSERT INTO customer SELECT i, 'shop ' || i % 7, i % 4 * 10 + i * 0.001, nullif(i % 9, 0), 'kind ' || i % 3
	FROM generate_series(1, 400) AS i;
	PERFORM kseg_create('direct', query, keys, 4, target => 'customer', segment_column => 'direct', hysteresis => 0);
	PERFORM kseg_create('by key', apart, keys, 4, target => 'customer', segment_column => 'By Key', hysteresis => 0);
	PERFORM kseg_create('own', query, keys, 4, hysteresis => 0);
END $$;

CREATE FUNCTION change(step int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF step = 3 THEN
		DELETE FROM customer WHERE id % 10 = 3;
		UPDATE customer SET a = a + 10, b = NULL WHERE id % 10 = 5;
		UPDATE customer SET a = 30, kind = NULL WHERE id % 10 = 6;
		UPDATE customer SET kind = 'kind 0' WHERE id % 20 = 7;
		UPDATE customer SET b = 4 WHERE id % 9 = 0;
		UPDATE customer SET id = -id WHERE id % 50 = 1;
		INSERT INTO customer SELECT i, 'shop, "' || i, i % 4 * 10, 3, 'kind 1' FROM generate_series(401, 420) AS i;
	ELSIF step = 4 THEN
		-- by hand: nothing, segments and what is none
		UPDATE customer SET direct = v, "By Key" = v
		FROM unnest('{null, 1, 99, 0, -5}'::int[]) WITH ORDINALITY AS hand(v, n) WHERE id % 8 = n;
	END IF;
END $$;

-- rows of the first that are not in the second, and the other way round
CREATE FUNCTION difference(one text, other text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) AS d', one, other)
	INTO n;
	RETURN n;
END $$;

CREATE FUNCTION compare(columns text, quals text, keys text = 'id')
RETURNS TABLE (step text, night text, by_key text, differ bigint, told bigint) LANGUAGE plpgsql AS $$
DECLARE
	key text = CASE keys WHEN 'id' THEN 'id::text' ELSE 'ROW(' || keys || ')::text' END;
	expected text;
BEGIN
	PERFORM prepare(columns, quals, keys);
	FOR i IN 1 .. 4 LOOP
		PERFORM change(i);
		step = (ARRAY['first', 'same', 'changed', 'edited'])[i];
		night = night('direct', CASE i WHEN 1 THEN 'auto' ELSE 'score' END);
		by_key = night('by key', CASE i WHEN 1 THEN 'auto' ELSE 'score' END);
		IF by_key = night THEN
			by_key = 'same';
		END IF;
		PERFORM night('own', CASE i WHEN 1 THEN 'auto' ELSE 'score' END);
		expected = format('SELECT %s, direct FROM customer WHERE direct IS NOT NULL', key);
		differ = difference(expected, format('SELECT %s, "By Key" FROM customer WHERE "By Key" IS NOT NULL', key)) +
			difference(expected, format('SELECT %s, segment FROM own_segments WHERE segment IS NOT NULL', key));
		SELECT sum(difference(expected, format('SELECT key, segment FROM kseg_history
			WHERE valid_to IS NULL AND segmentation = %s', id))) INTO told
		FROM kseg_segmentations WHERE name IN ('direct', 'by key', 'own');
		RETURN NEXT;
	END LOOP;
	PERFORM kseg_drop('direct'), kseg_drop('by key'), kseg_drop('own');
	DROP TABLE customer;
END $$;

SELECT * FROM compare('id, a, b', '');
SELECT * FROM compare('id, a, b', 'WHERE kind = ''kind 1''');
-- computed features, which a WHERE guards
SELECT * FROM compare('1 / (id % 3) AS a, id, b', 'WHERE id % 3 <> 0');
-- neither true nor false
SELECT * FROM compare('a, id', 'WHERE b > 3 AND NOT kind = ''kind 2''');
SELECT * FROM compare('id, a, b', 'WHERE b > 3 OR kind = ''kind 2'' ORDER BY a + b DESC, kind');
-- not to be read twice
SELECT * FROM compare('id, a', 'WHERE random() >= 0 AND b > 2');
SELECT * FROM compare('id, a', 'WHERE kind IN (SELECT ''kind 1'' UNION SELECT ''kind 0'')');
-- not one row for each of the target's
SELECT * FROM compare('DISTINCT id, a', 'WHERE b > 3');
SELECT * FROM compare('id, avg(a) AS a', 'WHERE b > 3 GROUP BY id HAVING max(a) < 100');
SELECT * FROM compare('id, a', 'WHERE b > 3 ORDER BY id LIMIT 1000');
SELECT * FROM compare('id, a, kind, row_number() OVER () * 0 AS n', 'WHERE b > 3');
-- several columns, in another order than the index's
SELECT * FROM compare('id, "sh""op", a', 'WHERE b > 3', '"sh""op", id');
SELECT * FROM compare('a, "sh""op", id, b', '', 'id, "sh""op"');

-- ---- keys of any type ----

-- text of the key, as the history has it: what the type prints, in any session
CREATE FUNCTION keys(type text, keys text[], apart boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TABLE keyed ("the Key" %s PRIMARY KEY, a float8, b int DEFAULT 1, segment int)', type);
	EXECUTE format('INSERT INTO keyed SELECT key::%s, n * n FROM unnest($1) WITH ORDINALITY AS k(key, n)', type)
	USING keys;
	PERFORM kseg_create('keyed', CASE WHEN apart THEN 'SELECT * FROM (SELECT a, "the Key" FROM keyed OFFSET 0) AS k'
		ELSE 'SELECT a, "the Key" FROM keyed' END, '"the Key"', 2, target => 'keyed');
	PERFORM night('keyed', 'auto');
	PERFORM set_config('datestyle', 'german, dmy', true), set_config('timezone', 'Asia/Tokyo', true),
		set_config('intervalstyle', 'iso_8601', true), set_config('extra_float_digits', '-5', true),
		set_config('bytea_output', 'escape', true);
	-- what was edited by hand makes the history be compared with the table
	UPDATE keyed SET segment = 3 - segment WHERE b = 1;
	PERFORM night('keyed');
	UPDATE keyed SET segment = NULL;
	PERFORM night('keyed');
	SELECT string_agg(format('%s:%s', h.key, segment), ' | ' ORDER BY h.key COLLATE "C") INTO result
	FROM kseg_history AS h JOIN kseg_segmentations AS s ON s.id = h.segmentation WHERE name = 'keyed';
	result = result || (SELECT format(' (%s of %s)', count(segment), count(*)) FROM keyed);
	PERFORM kseg_drop('keyed');
	DROP TABLE keyed;
	RESET datestyle;
	RESET timezone;
	RESET intervalstyle;
	RESET extra_float_digits;
	RESET bytea_output;
	RETURN result;
END $$;

CREATE TYPE size AS ENUM ('small', 'la,rge');
CREATE DOMAIN sku AS text COLLATE "C" CHECK (value <> 'x');
SELECT type, keys(type, keys, false), keys(type, keys, false) = keys(type, keys, true) AS same
FROM (VALUES
	('int2', '{1, -3}'::text[]), ('int8', '{9223372036854775807, -1}'), ('oid', '{1, 4294967295}'),
	('numeric', '{1.50, NaN, -0.001}'), ('float8', '{0.1, 1e300, -0}'), ('boolean', '{true, false}'),
	('text', E'{"", "a,b", "q\\"q", "b\\\\s", "(x)", "null", é, " "}'), ('varchar(9)', '{ab, c}'),
	('char(5)', '{a, "", abcde}'), ('"char"', '{a, b}'), ('name', '{ab, "c d"}'), ('sku', '{B, a}'),
	('size', '{small, "la,rge"}'), ('uuid', '{00000000-0000-0000-0000-000000000001, a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
	('date', '{2020-02-01, 0044-03-15 BC, infinity}'), ('timestamp', '{2020-02-01 10:00, infinity}'),
	('timestamptz', '{2020-02-01 10:00:00.5+02, infinity}'), ('interval', '{1 day, 24:00:01}'),
	('bytea', '{"\\x01", "\\x"}'), ('inet', '{10.0.0.1, ::1}'), ('bit(4)', '{1010, 0001}'),
	('int[]', '{"{1,2}", "{}"}'), ('jsonb', '{"{\"a\": 1}", "1"}')) AS k(type, keys);

-- several columns: a row
CREATE TABLE pairs (a text, "B ""b" timestamptz, c char(3), x int, segment int, PRIMARY KEY (a, "B ""b", c));
INSERT INTO pairs VALUES ('x, "y"', '2020-02-01 10:00+02', 'k', 1), ('', '2020-02-01 10:00+02', '\', 5), ('(', 'infinity', '', 9);
SELECT writes_to FROM kseg_create('pairs', 'SELECT a, "B ""b", x, c FROM pairs', 'c, "B ""b", a', 2, target => 'pairs');
SELECT night('pairs', 'auto');
UPDATE pairs SET segment = 3 - segment WHERE x > 1;
SELECT night('pairs');
SELECT key, segment, valid_to IS NULL AS current FROM kseg_history WHERE segmentation =
	(SELECT id FROM kseg_segmentations WHERE name = 'pairs') ORDER BY key COLLATE "C", valid_from;

-- ---- the query's key has another type ----

CREATE TABLE typed (i int UNIQUE NOT NULL, s smallint UNIQUE NOT NULL, t varchar(9) UNIQUE NOT NULL,
	c char(9) UNIQUE NOT NULL, n numeric UNIQUE NOT NULL, d timestamp UNIQUE NOT NULL, a int, segment int);
INSERT INTO typed SELECT i, i, 't' || i, 'c' || i, i, date '2020-01-01' + i, i % 4 FROM generate_series(1, 20) AS i;
-- half of the query's customers are not in the target
CREATE FUNCTION typed(key text, type text, other text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	UPDATE typed SET segment = NULL, a = i % 4;
	PERFORM kseg_create('typed', format('SELECT %1$s::%2$s, a FROM typed WHERE a < 2
		UNION ALL SELECT %3$s, a FROM typed WHERE a < 2', key, type, other), key, 2, target => 'typed');
	result = night('typed', 'auto');
	UPDATE typed SET a = 3 - a WHERE i > 10;
	result = result || ', ' || night('typed');
	result = result || ', wrong: ' ||
		(SELECT count(*) FROM typed WHERE segment IS DISTINCT FROM CASE WHEN a < 2 THEN a + 1 END);
	PERFORM kseg_drop('typed');
	RETURN result;
END $$;
SELECT typed('i', 'int', 'i + 100'), typed('i', 'int2', '(i + 100)::int2'), typed('i', 'int8', 'i + 10000000000');
SELECT typed('s', 'int4', 's + 100'), typed('s', 'int4', 's + 65536'), typed('n', 'int8', 'i + 100');
SELECT typed('t', 'text', '''x'' || t'), typed('t', 'char(9)', '''x'' || t'), typed('c', 'text', '''x'' || c');
SELECT typed('d', 'date', 'd::date + 100');
SELECT failure($$SELECT typed('i', 'numeric', 'i + 100')$$);

-- by the column's collation
CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE names (name text COLLATE anycase PRIMARY KEY, segment int);
INSERT INTO names VALUES ('Ann'), ('BOB'), ('Carl');
SELECT rows FROM kseg_create('names', $$SELECT lower(name) AS name, length(name) AS l FROM names WHERE name <> 'carl'$$,
	'name', 2, target => 'names');
UPDATE names SET segment = 7;
SELECT night('names', 'auto');
SELECT name, segment FROM names ORDER BY name;
SELECT h.key, segment FROM kseg_history AS h JOIN kseg_segmentations AS s ON s.id = h.segmentation
WHERE name = 'names' ORDER BY h.key;

-- ---- keys that are missing, or come twice ----

CREATE TABLE orders (customer int, shop text, amount float8);
INSERT INTO orders SELECT i % 10, 's' || i % 2, i FROM generate_series(1, 40) AS i;
CREATE TABLE people (customer int, shop text, segment int, PRIMARY KEY (customer, shop));
INSERT INTO people SELECT DISTINCT customer, shop FROM orders;
SELECT writes_to FROM kseg_create('mine', 'SELECT customer, shop, amount FROM orders WHERE amount <= 10', 'customer, shop', 2,
	target => 'people');
SELECT writes_to FROM kseg_create('own', 'SELECT customer, amount FROM orders WHERE amount <= 10', 'customer', 2);
SELECT night('mine', 'auto'), night('own', 'auto');
-- in the target, and new
UPDATE orders SET amount = 1 WHERE amount = 11;
SELECT failure($$SELECT night('mine')$$);
SELECT failure($$SELECT night('own')$$);
UPDATE orders SET customer = 77 WHERE amount = 1;
SELECT failure($$SELECT night('own')$$);
UPDATE orders SET shop = 'a, "b' WHERE amount = 1;
SELECT failure($$SELECT night('mine')$$);
UPDATE orders SET customer = NULL WHERE amount = 1;
SELECT failure($$SELECT night('mine', 'dry')$$);
SELECT failure($$SELECT night('own')$$);
-- nothing was written
SELECT count(*) FROM kseg_runs AS r JOIN kseg_segmentations AS s ON s.id = r.segmentation WHERE s.name IN ('mine', 'own');
DELETE FROM orders WHERE customer IS NULL;
SELECT night('mine'), night('own');

-- ---- partitions, and rows that the owner does not see ----

CREATE TABLE parts (dropped int, region text, id int, a float8, segment int, again int, PRIMARY KEY (id, region))
PARTITION BY LIST (region);
CREATE TABLE "Part One" PARTITION OF parts FOR VALUES IN ('one');
ALTER TABLE parts DROP COLUMN dropped;
CREATE TABLE parts_others PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT (ARRAY['one', 'two', 'three'])[1 + i % 3], i / 2, i % 2 FROM generate_series(1, 30) AS i;
CREATE ROLE regress_members;
GRANT USAGE, CREATE ON SCHEMA members TO regress_members;
GRANT SELECT, UPDATE ON parts TO regress_members;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON parts USING (id < 10);
SET ROLE regress_members;
SELECT writes_to, rows FROM kseg_create('direct', 'SELECT id, region, a FROM parts WHERE region <> ''two''', 'region, id', 2,
	target => 'parts');
SELECT writes_to, rows FROM kseg_create('by key', 'SELECT id, region, max(a) AS a FROM parts WHERE region <> ''two''
	GROUP BY id, region', 'region, id', 2, target => 'parts', segment_column => 'again');
SELECT night('direct', 'auto'), night('by key', 'auto');
RESET ROLE;
UPDATE parts SET segment = 5, again = 5 WHERE id IN (3, 12);
UPDATE parts SET region = 'two' WHERE id IN (4, 13) AND region = 'three';
SELECT night('direct'), night('by key');
SELECT region, id, a, segment, again FROM parts WHERE id IN (3, 4, 5, 12, 13) ORDER BY id, region COLLATE "C", a;
SELECT kseg_drop('direct'), kseg_drop('by key');

-- ---- the target changed since ----

CREATE FUNCTION changed(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
BEGIN
	EXECUTE change;
	message = failure($f$SELECT night('target')$f$);
	RAISE EXCEPTION '%', message;
EXCEPTION WHEN raise_exception THEN
	RETURN SQLERRM;
END $$;
CREATE TABLE target (id int PRIMARY KEY, "Seg ment" int);
INSERT INTO target SELECT generate_series(1, 9);
SELECT writes_to FROM kseg_create('target', 'SELECT customer AS id, amount FROM orders WHERE amount < 10', 'id', 2,
	target => 'target', segment_column => 'Seg ment');
SELECT night('target', 'auto');
SELECT changed('DROP TABLE target');
SELECT changed('ALTER TABLE target DROP COLUMN id');
SELECT changed('ALTER TABLE target RENAME id TO "ID"');
SELECT changed('ALTER TABLE target DROP COLUMN "Seg ment"');
SELECT changed('ALTER TABLE target ALTER COLUMN "Seg ment" TYPE text');
SELECT changed('ALTER TABLE target ALTER COLUMN id TYPE text');
SELECT changed('ALTER TABLE target DROP CONSTRAINT target_pkey');
SELECT changed('ALTER TABLE target DROP CONSTRAINT target_pkey, ADD UNIQUE (id) DEFERRABLE');
SELECT changed('ALTER TABLE target DROP CONSTRAINT target_pkey; CREATE UNIQUE INDEX ON target (id) WHERE id > 0');
SELECT changed('ALTER TABLE target DROP CONSTRAINT target_pkey; CREATE UNIQUE INDEX ON target (id, "Seg ment")');
SELECT changed('ALTER TABLE target DROP CONSTRAINT target_pkey, ADD UNIQUE (id); ALTER TABLE target ALTER COLUMN id DROP NOT NULL');
SELECT changed('CREATE TABLE child () INHERITS (target)');
-- what makes no difference
ALTER TABLE target DROP CONSTRAINT target_pkey, ALTER COLUMN id TYPE bigint, ALTER COLUMN "Seg ment" TYPE smallint;
CREATE UNIQUE INDEX ON target (id) INCLUDE ("Seg ment");
ALTER TABLE target ALTER COLUMN id SET NOT NULL;
ALTER TABLE target RENAME TO "the Target";
SELECT night('target');

-- ---- memory ----

CREATE TABLE many (id int PRIMARY KEY, segment int);
INSERT INTO many SELECT generate_series(1, 50000);
SELECT rows FROM kseg_create('many', 'SELECT id, id % 2 AS a FROM many WHERE id <= 10 UNION SELECT 1, 1', 'id', 2,
	target => 'many');
SELECT night('many', 'auto');
SET kseg.work_mem = '1MB';
SELECT failure($$SELECT night('many')$$);
RESET kseg.work_mem;

DROP OWNED BY regress_members;
DROP ROLE regress_members;

-- nothing stays for other tests
SELECT count(*) FROM (SELECT name FROM kseg_segmentations ORDER BY id) AS s, kseg_drop(name);
SET client_min_messages = error;
DROP SCHEMA members CASCADE;
