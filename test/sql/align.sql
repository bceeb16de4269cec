--
-- Ids of segments: in a model, in whatever prints a segment, and kept from
-- one model to the next
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- sqlstate, message and hint of a statement that must fail
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' | ' || nullif(hint, ''), '');
END $$;

-- three groups on a line of two features, 6, 5 and 4 rows
CREATE TABLE customer AS
SELECT row_number() OVER () AS id, x, x + y AS y, NULL::int AS segment
FROM (VALUES (0, 6), (10, 5), (30, 4)) AS g (x, n), generate_series(1, n) AS y;
CREATE TABLE model (name text PRIMARY KEY, model kseg_model);
INSERT INTO model SELECT 'plain', kseg_fit(3, x, y) FROM customer;

-- a model with other ids, as kseg_align() makes them
CREATE FUNCTION with_ids(model kseg_model, ids int[], last_id int)
RETURNS jsonb LANGUAGE sql AS $$
	SELECT model::jsonb || jsonb_build_object('last_id', last_id, 'segments',
		(SELECT jsonb_agg(s || jsonb_build_object('id', ids[n]) ORDER BY n)
		 FROM jsonb_array_elements(model::jsonb -> 'segments')
			 WITH ORDINALITY AS e (s, n)))
$$;
INSERT INTO model
SELECT 'ids', with_ids(model, '{2,5,40000}', 40001)::kseg_model FROM model;

-- ---- stored ----

-- a new model does not mention its ids; told, they come to the same
SELECT model::jsonb ? 'last_id' AS last_id,
	model::jsonb #> '{segments,0}' ? 'id' AS id,
	with_ids(model, '{1,2,3}', 3)::kseg_model = model AS same
FROM model WHERE name = 'plain';
SELECT model::jsonb -> 'last_id' AS last_id,
	jsonb_path_query_array(model::jsonb, '$.segments.id') AS ids,
	model::text::kseg_model = model AS text,
	model::jsonb::kseg_model = model AS jsonb,
	model::jsonb = with_ids(model, '{2,5,40000}', 40001) AS as_jsonb,
	kseg_info(model) = (SELECT kseg_info(model) FROM model
						WHERE name = 'plain') AS same_info
FROM model WHERE name = 'ids';
SELECT a.model = b.model AS equal,
	length(kseg_model_send(b.model)) - length(kseg_model_send(a.model)) AS bytes
FROM model AS a, model AS b WHERE a.name = 'plain' AND b.name = 'ids';

-- binary, through a file, since SQL cannot call a receive function
DO $$
DECLARE
	file text := current_setting('data_directory') || '/kseg_align_test';
BEGIN
	CREATE TABLE received (LIKE model);
	EXECUTE format('COPY model TO %L (FORMAT binary)', file);
	EXECUTE format('COPY received FROM %L (FORMAT binary)', file);
END $$;
SELECT name, received.model = model.model AS same
FROM received JOIN model USING (name) ORDER BY name;

-- forged
CREATE FUNCTION outcome(body jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM body::kseg_model;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT ids, last_id, outcome(with_ids(model, ids, last_id))
FROM model, (VALUES ('{1,2,4}'::int[], 4), ('{7,8,2147483647}', 2147483647),
	('{0,1,2}', 3), ('{-1,2,3}', 3), ('{2,2,3}', 3), ('{1,3,2}', 3),
	('{1,2,5}', 4), ('{4,5,6}', 4), ('{1,2,3}', 2), ('{1,2,NULL}', 3))
	AS v (ids, last_id)
WHERE name = 'plain';
SELECT outcome(model::jsonb || '{"last_id": 2147483648}') AS too_high,
	outcome(model::jsonb - 'last_id') AS no_last_id,
	outcome(model::jsonb #- '{segments,1,id}') AS no_id,
	outcome(jsonb_set(model::jsonb, '{segments,0,id}', '1.5')) AS fraction
FROM model WHERE name = 'ids' \gx

-- ---- shown ----

SELECT kseg_predict(model, x, y) AS segment, count(*), min(x) AS x
FROM customer, model WHERE name = 'ids' GROUP BY 1 ORDER BY 1;
SELECT (kseg_score(model, x, y)).segment, (kseg_score(model, x, y)).second_segment,
	count(*)
FROM customer, model WHERE name = 'ids' GROUP BY 1, 2 ORDER BY 1;
SELECT DISTINCT s.segment, s.second_segment
FROM model, kseg_segments('SELECT id, x, y FROM customer', 'id', model) AS s
WHERE name = 'ids' ORDER BY 1;
SELECT DISTINCT segment, size FROM model, kseg_centroids(model)
WHERE name = 'ids' ORDER BY 1;
SELECT DISTINCT segment, label FROM model, kseg_profile(model)
WHERE name = 'ids' ORDER BY 1;
SELECT DISTINCT segment, label
FROM model, kseg_profile(model, 'SELECT x, y FROM customer')
WHERE name = 'ids' ORDER BY 1;
SELECT segment, size
FROM model, kseg_evaluate(model, 'SELECT x, y FROM customer')
WHERE name = 'ids' ORDER BY 1 NULLS FIRST;
SELECT segment, rule, rows
FROM model, kseg_explain(model, 'SELECT x, y FROM customer')
WHERE name = 'ids' ORDER BY 1;
SELECT segment, count(*)
FROM model, kseg_project(model, 'SELECT id, x, y FROM customer', 'id')
WHERE name = 'ids' GROUP BY 1 ORDER BY 1;
SELECT applied.* FROM model, kseg_apply(model, 'customer', 'segment') AS applied
WHERE name = 'ids';
SELECT segment, count(*) FROM customer GROUP BY 1 ORDER BY 1;
SELECT applied.* FROM model, kseg_apply(model, 'customer', 'segment') AS applied
WHERE name = 'ids';

-- a smallint has no room for such an id
ALTER TABLE customer ADD small smallint;
SELECT failure($$SELECT kseg_apply(model, 'customer', 'small') FROM model WHERE name = 'ids'$$);
SELECT applied.* FROM model, kseg_apply(model, 'customer', 'small') AS applied
WHERE name = 'plain';

-- the pictures
SELECT jsonb_path_query_array(kseg_plot_sizes(model)::jsonb,
	'strict $.**.segment ? (@.type() == "number")') AS sizes
FROM model WHERE name = 'ids';
