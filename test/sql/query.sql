--
-- kseg_fit() and kseg_normalize() over the text of a query: what is a query,
-- whose rights and snapshot it has, and the mistakes one makes
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TYPE query_tier AS ENUM ('bronze', 'silver', 'gold');
CREATE TABLE query_customer (
	id int PRIMARY KEY,
	age int,
	income numeric(10,2),
	tier query_tier,
	joined date,
	gone int
);
ALTER TABLE query_customer DROP COLUMN gone;
INSERT INTO query_customer
SELECT i,
	(CASE i % 3 WHEN 0 THEN 20 WHEN 1 THEN 45 ELSE 70 END) + i % 5,
	(CASE i % 3 WHEN 0 THEN 1000 WHEN 1 THEN 5000 ELSE 3000 END) + i,
	(ARRAY['bronze', 'gold', 'silver']::query_tier[])[i % 3 + 1],
	date '2024-01-01' + i
FROM generate_series(1, 90) AS i;

-- what was made, in short
CREATE FUNCTION brief(model kseg_model) RETURNS TABLE (features text[],
	k int, rows bigint, skipped bigint, sizes text)
BEGIN ATOMIC
	SELECT i.features, i.k, i.rows, i.rows_skipped,
		(SELECT string_agg(s ->> 'size', ' ' ORDER BY n)
		 FROM jsonb_array_elements(brief.model::jsonb -> 'segments')
			WITH ORDINALITY AS e (s, n))
	FROM kseg_info(brief.model) AS i;
END;

-- ---- the same model as from the aggregate ----

SELECT * FROM brief(kseg_fit(
	'SELECT age, income, tier, joined FROM query_customer', 3));
SELECT kseg_fit('SELECT age, income, tier, joined FROM query_customer', 3)
	= (SELECT kseg_fit(3, age, income, tier, joined) FROM query_customer)
	AS same;
-- the options are part of a model, so they have to be the same too
SELECT kseg_fit('SELECT age, income FROM query_customer', NULL,
		kseg_options(k => 3, scale => 'minmax'))
	= (SELECT kseg_fit(kseg_options(k => 3, scale => 'minmax'), age, income)
	   FROM query_customer) AS same;
SELECT kseg_fit('SELECT age, income FROM query_customer', options =>
		'{"k": 3, "weights": {"income": 2}}') IS NOT NULL AS fitted;
-- every form of a query
SELECT * FROM brief(kseg_fit('TABLE query_customer', 3));
SELECT * FROM brief(kseg_fit('VALUES (1, 10), (2, 20), (9, 90)', 2));
SELECT * FROM brief(kseg_fit(
	'WITH old AS (SELECT * FROM query_customer WHERE age > 40)
	 SELECT age, ln(income) AS "ln(income)" FROM old; -- only the old', 2));
SELECT * FROM brief(kseg_fit(
	'(SELECT age FROM query_customer ORDER BY id LIMIT 10) UNION ALL
	 SELECT age FROM query_customer WHERE id > 80', 2));
-- columns that have the same name are told apart
SELECT * FROM brief(kseg_fit(
	'SELECT age, income AS age, age + 1 AS age_2, 1.0 * id FROM query_customer',
	2));
-- a float8[] is all features
SELECT * FROM brief(kseg_fit(
	'SELECT ARRAY[age, income]::float8[] FROM query_customer', 3));
SELECT * FROM brief(kseg_fit(
	'SELECT CASE WHEN id % 2 = 0 THEN ARRAY[age, income]::float8[] END
	 FROM query_customer', 3));
-- a column that weighs the rows
SELECT * FROM brief(kseg_fit(
	'SELECT age, income, id % 2 AS times FROM query_customer', 3,
	kseg_options(row_weight => 'times')));
-- nothing to fit
SELECT kseg_fit('SELECT age FROM query_customer WHERE false', 3) IS NULL
	AS empty;

-- ---- snapshot, rights, transactions ----

-- it sees what the statement sees, and not what the statement does
WITH new AS (
	INSERT INTO query_customer (id, age, income) VALUES (91, 1, 1)
	RETURNING id)
SELECT (SELECT rows FROM brief(kseg_fit(
		'SELECT age FROM query_customer', 2))) AS rows FROM new;
SELECT rows FROM brief(kseg_fit('SELECT age FROM query_customer', 2));
DELETE FROM query_customer WHERE id = 91;
BEGIN TRANSACTION READ ONLY;
SELECT k FROM brief(kseg_fit('SELECT age, income FROM query_customer', 3));
SELECT count(*) FROM kseg_elbow('SELECT age, income FROM query_customer', 1, 3);
SELECT count(*) FROM kseg_segments('SELECT id, age, income FROM query_customer',
	'id', 3);
SELECT count(*) FROM kseg_normalize('SELECT id, age FROM query_customer', 'id');
COMMIT;
-- one fit, although a row of many columns is taken apart
SELECT (i).k, (i).rows, (i).features
FROM (SELECT kseg_info(kseg_fit('SELECT age FROM query_customer', 2)) AS i) AS s;
-- as a cursor, from PL/pgSQL and a query that runs a query
DO $$
DECLARE
	inner_query text := 'SELECT age, income FROM query_customer';
	model kseg_model;
BEGIN
	FOR k IN 2..3 LOOP
		model := kseg_fit(inner_query, k);
		RAISE NOTICE '%', (SELECT b FROM brief(model) AS b);
	END LOOP;
END $$;
SELECT k FROM brief(kseg_fit(
	'SELECT (SELECT b.rows FROM brief(kseg_fit(''SELECT age FROM query_customer'', 2)) AS b)
		+ age AS x FROM query_customer', 2));
CREATE ROLE regress_kseg_reader;
GRANT SELECT (id, age) ON query_customer TO regress_kseg_reader;
SET ROLE regress_kseg_reader;
SELECT k FROM brief(kseg_fit('SELECT age FROM query_customer', 2));
SELECT kseg_fit('SELECT income FROM query_customer', 2);
RESET ROLE;
DROP OWNED BY regress_kseg_reader;
DROP ROLE regress_kseg_reader;
-- with workers or without
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
CREATE TEMP TABLE query_model AS
SELECT kseg_fit('SELECT age, income, tier FROM query_customer', 3) AS model;
SET LOCAL max_parallel_workers_per_gather = 0;
SELECT model = kseg_fit('SELECT age, income, tier FROM query_customer', 3)
	AS same FROM query_model;
COMMIT;

-- ---- what is no query ----

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

CREATE TABLE query_text (n serial, query text);
INSERT INTO query_text (query) VALUES
	(''),
	('-- nothing'),
	('SELECT 1; SELECT 2'),
	('INSERT INTO query_customer VALUES (0) RETURNING age'),
	('UPDATE query_customer SET age = 0'),
	('DELETE FROM query_customer RETURNING age'),
	('MERGE INTO query_customer c USING query_customer d ON c.id = d.id WHEN MATCHED THEN DELETE'),
	('WITH gone AS (DELETE FROM query_customer RETURNING age) SELECT * FROM gone'),
	('SELECT age INTO query_new FROM query_customer'),
	('CREATE TABLE query_new AS SELECT age FROM query_customer'),
	('SELECT age FROM query_customer FOR UPDATE'),
	('SELECT * FROM (SELECT age FROM query_customer FOR KEY SHARE) AS c'),
	('EXPLAIN SELECT 1'),
	('DROP TABLE query_customer'),
	('BEGIN'),
	('COPY query_customer TO STDOUT'),
	('SELECT $1'),
	('SELECT FROM query_customer'),
	('SELECT no_such_column FROM query_customer'),
	('SELECT age FROM query_customer WHERE'),
	('SELECT age, ''{}''::json AS note FROM query_customer'),
	('SELECT age, 1 / (id - 50) AS x FROM query_customer ORDER BY id');
SELECT query, f.*
FROM query_text, failure(format('SELECT kseg_fit(%L, 2)', query)) AS f
ORDER BY n \gx
SELECT count(*) FROM query_customer;
-- what another function does is its own affair, but not within this one
CREATE VIEW query_locking AS SELECT age FROM query_customer FOR UPDATE;
SELECT * FROM failure('SELECT kseg_fit(''TABLE query_locking'', 2)') \gx
-- a type is wrong before a row is read
SELECT * FROM failure('SELECT kseg_fit(
	''SELECT 1 / 0 AS zero, point(1, 2) AS place'', 2)') \gx
-- no query, no k, null
SELECT * FROM failure('SELECT kseg_fit(NULL::text, 2)') \gx
SELECT * FROM failure('SELECT kseg_fit(''SELECT age FROM query_customer'')') \gx
SELECT * FROM failure('SELECT kseg_fit(''SELECT age FROM query_customer'', 0)') \gx
SELECT * FROM failure('SELECT kseg_fit(''SELECT age FROM query_customer'', 2,
	''{"k": 3}'')') \gx
SELECT * FROM failure('SELECT kseg_fit(''SELECT age FROM query_customer'', 2,
	''{"sclae": "none"}'')') \gx
-- two traps: options without a type, and a text as the first feature
SELECT * FROM failure('SELECT kseg_fit(''{"k": 5}'', age) FROM query_customer') \gx
SELECT * FROM failure('SELECT kseg_fit(tier::text, age) FROM query_customer
	ORDER BY id') \gx
SELECT kseg_fit('gold', 5);

-- ---- kseg_normalize ----

SELECT key, feature, value, round(scaled::numeric, 6) AS scaled
FROM kseg_normalize('SELECT * FROM (VALUES (''a'', 1, true), (''b'', 2, false),
	(''c'', 6, NULL), (NULL, NULL, true)) AS v (name, n, flag)', 'name')
ORDER BY key, feature;
-- the scalers, by hand: 1 2 3 4 10 has mean 4, deviation sqrt(10), median 3,
-- quartiles 2 and 4
SELECT method, string_agg(round(scaled::numeric, 6)::text, ' ' ORDER BY key::int)
FROM unnest(ARRAY['zscore', 'minmax', 'robust', 'maxabs', 'none']) AS method,
	kseg_normalize('SELECT id, v FROM (VALUES (1, 1), (2, 2), (3, 3), (4, 4),
		(5, 10)) AS t (id, v)', 'id', method)
GROUP BY method ORDER BY method;
-- a constant, an empty table, dates
SELECT key, value, scaled FROM kseg_normalize('SELECT id, 7 AS seven
	FROM query_customer WHERE id < 3', 'id') ORDER BY key;
SELECT count(*) FROM kseg_normalize('SELECT id, age FROM query_customer
	WHERE false', 'id');
SELECT key, feature, value, round(scaled::numeric, 6) AS scaled
FROM kseg_normalize('SELECT id, joined FROM query_customer WHERE id < 4',
	'id') ORDER BY key;
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id, tier FROM query_customer'', ''id'')') \gx
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id, age FROM query_customer'', ''ID'')') \gx
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id, age FROM query_customer'', ''id'', ''z-score'')') \gx
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id FROM query_customer'', ''id'')') \gx
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id, ''''NaN''''::float8 AS x FROM query_customer'', ''id'')') \gx
SELECT * FROM failure('SELECT * FROM kseg_normalize(
	''SELECT id, age FROM query_customer'', NULL)') \gx

DROP FUNCTION brief, failure;
DROP VIEW query_locking;
DROP TABLE query_customer, query_text, query_model;
DROP TYPE query_tier;
