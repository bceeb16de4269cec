-- What smith.sh lets sqlsmith play with: tables, models, scalers, states, a
-- segmentation that has run; and functions and views over what returns rows,
-- which sqlsmith does not call by itself.

CREATE EXTENSION kseg;

CREATE TABLE customers AS
SELECT i AS customer, (i * 7919 % 60)::int AS age,
	(i * 104729 % 1000)::float8 / 10 AS spending,
	CASE WHEN i % 17 <> 0 THEN (i * 31 % 97)::numeric END AS visits,
	(ARRAY['red', 'green', 'blue'])[i % 3 + 1] AS colour,
	date '2020-01-01' + i % 700 AS since, i % 5 = 0 AS member,
	ARRAY[i % 13, i % 7, i % 3]::float8[] AS habits,
	NULL::int AS segment
FROM generate_series(1, 300) AS i;
ALTER TABLE customers ADD PRIMARY KEY (customer);
CREATE TABLE empty_customers (LIKE customers);

CREATE TABLE models (name text PRIMARY KEY, model kseg_model);
INSERT INTO models
SELECT 'plain', kseg_fit(3, age, spending) FROM customers;
INSERT INTO models
SELECT 'mixed', kseg_fit('{"k": 4, "nulls": "mean"}'::jsonb, age, visits,
						 colour, since, member) FROM customers;
INSERT INTO models
SELECT 'array', kseg_fit(5, habits) FROM customers;
INSERT INTO models
SELECT 'cosine', kseg_fit('{"k": 3, "distance": "cosine"}'::jsonb, age,
						  spending) FROM customers;
INSERT INTO models VALUES ('none', NULL);

CREATE TABLE scalers AS
SELECT method, kseg_scaler(method, age, spending) AS scaler
FROM customers, unnest(ARRAY['zscore', 'minmax']) AS method
GROUP BY method;

-- queries for functions that take one
CREATE TABLE queries (text text);
INSERT INTO queries VALUES
	('SELECT age, spending FROM customers'),
	('SELECT customer, age, spending, colour FROM customers'),
	('SELECT habits FROM customers'),
	('SELECT age, spending FROM empty_customers'),
	('SELECT 1'), ('DELETE FROM customers'), ('no query');

CREATE TABLE settings (options jsonb);
INSERT INTO settings VALUES ('{"k": 3}'), ('{"k": 2, "scale": "robust"}'),
	('{"k": 3, "seed": 7, "clip": [0.1, 0.9]}'), ('{"k": 0}'), ('{}'),
	('{"psi": 0.1}'), ('{"engine": "pushdown"}'), (NULL);

SELECT kseg_create('shop', 'SELECT customer, age, spending FROM customers',
				   'customer', k => 3, target => 'customers',
				   segment_column => 'segment');
SELECT kseg_create('own', 'SELECT customer, visits, colour FROM customers',
				   'customer', k => 2);
SELECT kseg_run('shop'), kseg_run('own');
UPDATE customers SET spending = spending + 5 WHERE customer % 3 = 0;
SELECT kseg_run('shop', 'refit'), kseg_run('own');
SELECT kseg_label('shop', 1, 'regulars');

-- A function of one value for each that returns rows and is no aggregate: how
-- many rows there are.  VARIADIC "any" is left to the views below.
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN
		SELECT p.oid, p.proname, p.pronargs,
			array_to_string(ARRAY(
				SELECT format_type(t, NULL)
				FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)
				ORDER BY n), ', ') AS types,
			array_to_string(ARRAY(
				SELECT '$' || n FROM generate_series(1, p.pronargs) AS n),
				', ') AS arguments
		FROM pg_proc AS p
			JOIN pg_depend AS d ON d.objid = p.oid AND d.deptype = 'e'
				AND d.classid = 'pg_proc'::regclass
			JOIN pg_extension AS e ON e.oid = d.refobjid
		WHERE e.extname = 'kseg' AND p.prokind = 'f' AND
			(p.proretset OR p.prorettype = 'record'::regtype) AND
			p.provariadic <> '"any"'::regtype
	LOOP
		EXECUTE format('CREATE FUNCTION smith_%s_%s(%s) RETURNS bigint '
					   'LANGUAGE sql AS ''SELECT count(*) FROM %s(%s)''',
					   f.proname, f.oid, f.types, f.proname, f.arguments);
	END LOOP;
END
$$;

CREATE VIEW smith_centroids AS
	SELECT name, c.* FROM models, kseg_centroids(model) AS c;
CREATE VIEW smith_info AS
	SELECT name, i.* FROM models, kseg_info(model) AS i;
CREATE VIEW smith_profile AS
	SELECT name, p.* FROM models, kseg_profile(model) AS p;
CREATE VIEW smith_predicted AS
	SELECT customer, kseg_predict(model, age, spending) AS predicted,
		(kseg_score(model, age, spending)).*
	FROM customers, models WHERE name IN ('plain', 'cosine');
CREATE VIEW smith_scaled AS
	SELECT customer, kseg_scale(scaler, age, spending) AS scaled,
		kseg_unscale(scaler, ARRAY[age, spending]) AS unscaled
	FROM customers, scalers;
CREATE VIEW smith_clustered AS
	SELECT customer, colour,
		kseg_cluster(3, age, spending) OVER (PARTITION BY colour) AS segment,
		kseg_normalize(spending, 'minmax') OVER () AS normal
	FROM customers;
CREATE VIEW smith_fitted AS
	SELECT colour, kseg_fit(2, age, spending) AS model,
		kseg_scaler('robust', age, spending) AS scaler
	FROM customers GROUP BY colour;
CREATE VIEW smith_elbow AS
	SELECT * FROM kseg_elbow('SELECT age, spending FROM customers', 1, 4);
CREATE VIEW smith_segments AS
	SELECT * FROM kseg_segments('SELECT customer, age, spending FROM customers',
								'customer', 3);

-- What sqlsmith knows of functions: it looks for pg_proc where search_path says.
-- Most of the server's own take types that it cannot make sense of.
CREATE SCHEMA narrow;
CREATE VIEW narrow.pg_proc AS
SELECT p.* FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace <> 'pg_catalog'::regnamespace OR
	(p.proname IN ('abs', 'sqrt', 'length', 'upper', 'round', 'avg', 'sum',
				   'count', 'max', 'min', 'array_agg', 'string_agg',
				   'jsonb_agg', 'jsonb_build_object', 'to_jsonb', 'row_number',
				   'lag', 'float8', 'int4', 'numeric', 'concat', 'md5', 'ln',
				   'array_length', 'jsonb_typeof', 'array_append') AND
	 NOT EXISTS (SELECT FROM unnest(p.proargtypes) AS t
				 WHERE t IN (SELECT oid FROM pg_type
							 WHERE typcategory IN ('G', 'R', 'I'))));
ALTER ROLE smith IN DATABASE smith SET search_path = narrow, public, pg_catalog;
