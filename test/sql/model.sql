--
-- kseg_model and kseg_scaler as values: text, binary and jsonb, forged ones,
-- equality, storage, and what kseg_info() and kseg_centroids() show
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- one model with numbers and categories, one with the rest of the format:
-- cosine, clipping, the other kinds, extreme numbers, names that need quoting
CREATE TABLE example (id int, body text);
INSERT INTO example VALUES
(1, '{"kseg": 1, "k": 2, "scale": "zscore", "distance": "euclidean", '
	'"nulls": "skip", "rows": 5, "rows_skipped": 1, "inertia": 0.1, '
	'"total": 10, "iterations": 2, "converged": true, "seed": 0, '
	'"options": {"k": 2}, "features": ['
	'{"name": "age", "kind": "number", "weight": 1, "factor": 1, '
	'"clip": null, "min": 18, "max": 70, "mean": 40.5, "sd": 12.25, '
	'"center": 40.5, "divisor": 12.25, "origin": 40.5, "grid": 48}, '
	'{"name": "gender", "kind": "category", "weight": 1, '
	'"factor": 1.4142135623730951, "categories": ["Female", "Male"], '
	'"counts": [3, 2]}], "segments": ['
	'{"size": 3, "weight": 3, "inertia": 0.05, "reach": 0.5, '
	'"center": [1, 1.4142135623730951, 0]}, '
	'{"size": 2, "weight": 2, "inertia": 0.05, "reach": 1e-05, '
	'"center": [-1, 0, 1.4142135623730951]}]}'),
(2, '{"kseg": 1, "k": 1, "scale": "none", "distance": "cosine", '
	'"nulls": "mean", "rows": 9007199254740993, "rows_skipped": 0, '
	'"inertia": 5e-324, "total": 1.7976931348623157e+308, "iterations": 0, '
	'"converged": false, "seed": 9223372036854775807, '
	'"options": {"clip": [0.01, 0.99], "order_by": "a\"b"}, "features": ['
	'{"name": "a\"b\\c\t", "kind": "boolean", "weight": 2, '
	'"factor": 1.4142135623730951, "clip": [0, 1], "min": 0, "max": 1, '
	'"mean": 0.1, "sd": 0.30000000000000004, "center": 0, "divisor": 1, '
	'"origin": 0, "grid": 49}, '
	'{"name": "since", "kind": "moment", "weight": 1, "factor": 1, '
	'"clip": null, "min": -1e+300, "max": 1e+300, "mean": 123456789.125, '
	'"sd": 0, "center": 0, "divisor": 2.2250738585072014e-308, '
	'"origin": 0, "grid": -948}, '
	'{"name": "for", "kind": "interval", "weight": 1, "factor": 1, '
	'"clip": null, "min": 0, "max": 86400, "mean": 1, "sd": 1, '
	'"center": 0, "divisor": 1, "origin": 0, "grid": 33}], "segments": ['
	'{"size": 9007199254740993, "weight": 0.1, "inertia": 0, "reach": 0, '
	'"center": [0.6, 0.8, 0], "mean": [1, 1e+22, -86399.99999999999]}]}');
CREATE TABLE model AS SELECT id, body::kseg_model AS model FROM example;

-- ---- round trips ----

SELECT id, model::text = body AS text_is_exact,
	model::text::kseg_model = model AS text,
	model::jsonb::kseg_model = model AS jsonb,
	model::jsonb = body::jsonb AS as_jsonb
FROM model JOIN example USING (id) ORDER BY id;

-- no setting of the reader changes the text
SET extra_float_digits = -15;
SELECT id, model::text = body AS text_is_exact
FROM model JOIN example USING (id) ORDER BY id;
RESET extra_float_digits;

-- order of keys, blanks, ways to write a number: the same model
SELECT id, body::jsonb::text::kseg_model = model AS same
FROM model JOIN example USING (id) ORDER BY id;
SELECT (replace(replace(body, '"k": 2, ', '"k": 2.0, '), '70', '7e1')
		)::kseg_model = model AS same
FROM model JOIN example USING (id) WHERE id = 1;
SELECT (replace(body, '"center": [-1, 0,', '"center": [-1, -0,')
		)::kseg_model = model AS same
FROM model JOIN example USING (id) WHERE id = 1;

-- casts: to jsonb by assignment, back only when asked for
CREATE TABLE archive (body jsonb);
INSERT INTO archive SELECT model FROM model;
INSERT INTO model SELECT 3, body FROM archive;
INSERT INTO model SELECT 3, body::kseg_model FROM archive
	WHERE body ->> 'k' = '2';

-- ---- binary ----

-- Receives a value as a client in binary mode sends it: through COPY, since
-- SQL cannot call a receive function.  In a file, a bytea is what is in it.
CREATE TEMP TABLE received_kseg_model (value kseg_model);
CREATE TEMP TABLE received_kseg_scaler (value kseg_scaler);
CREATE FUNCTION receive(bytes bytea, type regtype = 'kseg_model')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	file text := current_setting('data_directory') || '/kseg_model_test';
	result text;
BEGIN
	EXECUTE format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', bytes,
		file);
	EXECUTE format('DELETE FROM received_%s', type);
	EXECUTE format('COPY received_%s FROM %L (FORMAT binary)', type, file);
	EXECUTE format('SELECT CASE WHEN %1$s_send(value) = $1 '
		'AND %1$s_send(value::text::%1$s) = $1 '
		'THEN ''accepted'' ELSE ''changed'' END FROM received_%1$s', type)
		INTO result USING bytes;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

SELECT id, receive(kseg_model_send(model))
FROM model ORDER BY id;

-- cut off at each byte, and with one byte more
SELECT receive(substr(kseg_model_send(model), 1, n)) AS truncated,
	count(*) > 100 AS often
FROM model, generate_series(0, length(kseg_model_send(model)) - 1) AS n
WHERE id = 1 GROUP BY 1;
SELECT receive(kseg_model_send(model) || '\x00')
FROM model WHERE id = 1;

-- every byte set to something else: refused, or a value that is sent and
-- printed as it came
SELECT left(receive(set_byte(bytes, n, get_byte(bytes, n) # change)),
	60) AS changed, count(*) > 20 AS often
FROM model, kseg_model_send(model) AS bytes, unnest('{1,128,255}'::int[])
	AS change, generate_series(0, length(bytes) - 1) AS n
WHERE id = 1 AND (n > 0 OR change = 1) GROUP BY 1 ORDER BY 1;
SELECT left(receive(set_byte(bytes, n, get_byte(bytes, n) # change)),
	60) AS changed, count(*) > 20 AS often
FROM model, kseg_model_send(model) AS bytes, unnest('{1,128,255}'::int[])
	AS change, generate_series(1, length(bytes) - 1) AS n
WHERE id = 2 GROUP BY 1 ORDER BY 1;

-- of another version
SELECT receive(set_byte(kseg_model_send(model), 0, 2))
FROM model WHERE id = 1;
-- a scaler is no model
SELECT receive(set_byte(kseg_model_send(model), 1, 1))
FROM model WHERE id = 1;

-- what passes of the engine "pushdown" send: a state of no part
CREATE TEMP TABLE received_kseg_state (value kseg_state);
CREATE TEMP TABLE received_kseg_pass (value kseg_pass);
CREATE TEMP TABLE sent AS SELECT decode('MFNtawAAAAAHAAAAAAAAAA==', 'base64') AS bytes;
SELECT receive(bytes, 'kseg_state') FROM sent;
SELECT receive(substr(bytes, 1, n), 'kseg_state') AS truncated, count(*)
FROM sent, generate_series(0, length(bytes) - 1) AS n GROUP BY 1;
SELECT receive(bytes || '\x00', 'kseg_state') FROM sent;
SELECT receive(bytes, 'kseg_pass') FROM sent;

-- ---- forged text ----

CREATE FUNCTION outcome(body text, type regtype = 'kseg_model')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT CASE WHEN ($1::%1$s)::text::%1$s = $1::%1$s '
		'THEN ''accepted'' ELSE ''changed'' END', type)
		INTO result USING body;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

SELECT '{"kseg": 2}'::kseg_model;
SELECT '{}'::kseg_model;
SELECT '[1]'::kseg_model;
SELECT '7'::kseg_model;
SELECT outcome('model');
SELECT 'null'::jsonb::kseg_model;
SELECT '{"kseg_scaler": 1}'::kseg_model;
SELECT '{"kseg": "1"}'::kseg_model;

-- cut off at each character
SELECT left(outcome(left(body, n)), 38) AS truncated, count(*) > 100 AS often
FROM example, generate_series(0, length(body) - 1) AS n
WHERE id = 1 GROUP BY 1 ORDER BY 1;

-- each key of the first model: taken away, and of a wrong type
CREATE TEMP TABLE path AS
WITH RECURSIVE walk (path, value) AS (
	SELECT '{}'::text[], body::jsonb FROM example WHERE id = 1
	UNION ALL
	SELECT walk.path || part.key, part.value
	FROM walk, LATERAL (
		SELECT key, value FROM jsonb_each(CASE jsonb_typeof(walk.value)
			WHEN 'object' THEN walk.value ELSE '{}' END)
		UNION ALL
		SELECT (n - 1)::text, element FROM jsonb_array_elements(
			CASE jsonb_typeof(walk.value)
			WHEN 'array' THEN walk.value ELSE '[]' END)
			WITH ORDINALITY AS e (element, n)) AS part
)
SELECT path, value FROM walk WHERE path <> '{}';

SELECT array_to_string(path, '.') AS key,
	outcome((body::jsonb #- path)::text) AS without_it
FROM path, example WHERE id = 1 ORDER BY path COLLATE "C";
SELECT array_to_string(path, '.') AS key,
	outcome(jsonb_set(body::jsonb, path, forged)::text) AS forged
FROM path, example, (VALUES ('{"a": 1}'::jsonb)) AS f (forged)
WHERE id = 1 ORDER BY path COLLATE "C";
-- and a lot more, of which only counts are shown
SELECT left(outcome(jsonb_set(body::jsonb, path, forged)::text), 5) AS result,
	count(*) > 10 AS often
FROM path, example, (VALUES ('null'::jsonb), ('true'), ('""'), ('"size"'),
	('-1'), ('0'), ('1'), ('2'), ('3.5'), ('1e400'), ('1e-400'), ('1e20'),
	('[]'), ('[[]]'), ('[1, 2]'), ('["b", "a"]'), ('{}'), ('{"kseg": 1}'))
	AS f (forged)
WHERE id = 1 GROUP BY 1 ORDER BY 1;

-- keys that do not belong there
SELECT outcome((body::jsonb || '{"extra": 1}')::text),
	outcome(jsonb_set(body::jsonb, '{features,0,counts}', '[]')::text),
	outcome(jsonb_set(body::jsonb, '{segments,1,mean}', '[0, 0, 0]')::text)
FROM example WHERE id = 1 \gx

-- lengths and order
SELECT outcome(jsonb_set(body::jsonb, '{segments,0,center}',
		'[1, 2]')::text) AS center,
	outcome(jsonb_set(body::jsonb, '{k}', '3')::text) AS k,
	outcome(jsonb_set(body::jsonb, '{features}', '[]')::text) AS features,
	outcome(jsonb_set(body::jsonb, '{features,1,categories}',
		'["b", "a"]')::text) AS unsorted,
	outcome(jsonb_set(body::jsonb, '{features,1,categories}',
		'["a", "a"]')::text) AS twice,
	outcome(jsonb_set(body::jsonb, '{features,0,max}', '1')::text) AS max,
	outcome(jsonb_set(body::jsonb, '{features,0,clip}',
		'[2, 1]')::text) AS clip,
	outcome(jsonb_set(body::jsonb, '{features,0,clip}',
		'[null, 1]')::text) AS half_clip,
	outcome(jsonb_set(body::jsonb, '{features,0,grid}', '1500')::text) AS grid,
	outcome(jsonb_set(body::jsonb, '{features,0,name}',
		to_jsonb(repeat('x', 65536)))::text) AS long_name,
	outcome(jsonb_set(body::jsonb, '{distance}', '"cosine"')::text) AS cosine,
	outcome(jsonb_set(body::jsonb, '{seed}',
		'9223372036854775808')::text) AS seed
FROM example WHERE id = 1 \gx

-- small text must not claim large memory
SELECT outcome(jsonb_set(jsonb_set(jsonb_set(body::jsonb,
	'{features,1,categories}', (SELECT jsonb_agg(lpad(n::text, 5, '0'))
		FROM generate_series(1, 10000) AS n)),
	'{features,1,counts}', (SELECT jsonb_agg(1)
		FROM generate_series(1, 10000))),
	'{k}', '10000')::text)
FROM example WHERE id = 1;
SELECT outcome(jsonb_set(body::jsonb, '{features}', (SELECT jsonb_agg(
		e.body::jsonb #> '{features,0}')
		FROM example e, generate_series(1, 1601) WHERE id = 1))::text)
FROM example WHERE id = 1;

-- ---- models that fits made ----

CREATE TABLE fitted AS
SELECT name, kseg_fit(options::jsonb, age, income, active, since, "wait ""x""")
	AS model
FROM (SELECT n % 61 AS age, n * pi() AS income, n % 3 = 0 AS active,
	timestamptz '2024-01-01' + n * interval '1 hour' AS since,
	n * interval '1.1 seconds' AS "wait ""x"""
	FROM generate_series(1, 200) AS n OFFSET 0) AS data, (VALUES
	('zscore', '{"k": 4}'), ('minmax', '{"k": 4, "scale": "minmax"}'),
	('robust', '{"k": 4, "scale": "robust"}'),
	('maxabs', '{"k": 4, "scale": "maxabs"}'),
	('none', '{"k": 4, "scale": "none", "seed": 9223372036854775807}'),
	('clip', '{"k": 1, "clip": [0.05, 0.9], "weights": {"age": 0.1}}'),
	('cosine', '{"k": 7, "distance": "cosine", "order_by": "age"}'))
	AS v (name, options)
GROUP BY name;
SELECT name, outcome(model::text), receive(kseg_model_send(model)),
	model::jsonb::kseg_model = model AS jsonb
FROM fitted ORDER BY name;

-- ---- equality and storage ----

SELECT a.id, b.id, a.model = b.model AS eq, a.model <> b.model AS ne
FROM model a, model b WHERE a.id < 3 AND b.id < 3 ORDER BY 1, 2;
SELECT NULL::kseg_model = model AS null FROM model WHERE id = 1;

-- a model of 100 segments and 200 features, stored in all ways
CREATE TABLE large AS
SELECT jsonb_build_object('kseg', 1, 'k', 100, 'scale', 'none',
	'distance', 'euclidean', 'nulls', 'skip', 'rows', 100, 'rows_skipped', 0,
	'inertia', 0, 'total', 0, 'iterations', 1, 'converged', true, 'seed', 0,
	'options', '{}'::jsonb, 'features', (SELECT jsonb_agg(jsonb_build_object(
		'name', 'f' || f, 'kind', 'number', 'weight', 1, 'factor', 1,
		'clip', NULL, 'min', 0, 'max', 1, 'mean', 0, 'sd', 0, 'center', 0,
		'divisor', 1, 'origin', 0, 'grid', 40))
		FROM generate_series(1, 200) AS f), 'segments', (SELECT jsonb_agg(
		jsonb_build_object('size', 1, 'weight', 1, 'inertia', 0, 'reach', 0,
		'center', (SELECT jsonb_agg(sin(i * f))
			FROM generate_series(1, 200) AS f)))
		FROM generate_series(1, 100) AS i))::kseg_model AS model;
CREATE TABLE uncompressed (model kseg_model);
ALTER TABLE uncompressed ALTER model SET STORAGE external;
INSERT INTO uncompressed SELECT model FROM large;
SELECT a.model = b.model AS eq, a.model::text = b.model::text AS text,
	length(kseg_model_send(a.model)) > 160000 AS large
FROM large a, uncompressed b;

-- ---- what is in a model ----

SELECT * FROM kseg_info((SELECT model FROM model WHERE id = 1)) \gx
SELECT * FROM kseg_info((SELECT model FROM model WHERE id = 2)) \gx
SELECT segment, size, share, feature, category, value,
	round(scaled_value::numeric, 6) AS scaled_value
FROM kseg_centroids((SELECT model FROM model WHERE id = 1))
ORDER BY segment, feature, category;
SELECT id, features FROM model, kseg_info(model) ORDER BY id;
SELECT count(*), count(DISTINCT segment), count(DISTINCT feature)
FROM large, kseg_centroids(model);
SELECT * FROM kseg_info(NULL);
SELECT * FROM kseg_centroids(NULL);

-- ---- scalers ----

CREATE TABLE scaler (body text);
INSERT INTO scaler VALUES
('{"kseg_scaler": 1, "scale": "robust", "rows": 7, "features": ['
	'{"name": "age", "kind": "number", "weight": 1, "factor": 1, '
	'"clip": null, "min": 18, "max": 70, "mean": 40.5, "sd": 12.25, '
	'"center": 39, "divisor": 13.5, "origin": 40.5, "grid": 48}]}');
SELECT body::kseg_scaler::text = body AS text_is_exact,
	body::kseg_scaler::jsonb::kseg_scaler = body::kseg_scaler AS jsonb,
	body::kseg_scaler <> body::kseg_scaler AS ne,
	receive(kseg_scaler_send(body::kseg_scaler), 'kseg_scaler') AS binary
FROM scaler;
SELECT receive(substr(bytes, 1, n), 'kseg_scaler') AS truncated,
	count(*) > 100 AS often
FROM scaler, kseg_scaler_send(body::kseg_scaler) AS bytes,
	generate_series(0, length(bytes) - 1) AS n
GROUP BY 1;
SELECT left(receive(set_byte(bytes, n, get_byte(bytes, n) # change),
	'kseg_scaler'), 60) AS changed, count(*) > 20 AS often
FROM scaler, kseg_scaler_send(body::kseg_scaler) AS bytes,
	unnest('{1,128,255}'::int[]) AS change,
	generate_series(1, length(bytes) - 1) AS n
GROUP BY 1 ORDER BY 1;
SELECT outcome('{"kseg_scaler": 2}', 'kseg_scaler') AS version,
	outcome('{"kseg": 1}', 'kseg_scaler') AS model,
	outcome('[]', 'kseg_scaler') AS "array",
	outcome((body::jsonb || '{"k": 1}')::text, 'kseg_scaler') AS k,
	outcome(jsonb_set(body::jsonb, '{features,0,kind}',
		'"category"')::text, 'kseg_scaler') AS category,
	outcome(jsonb_set(body::jsonb, '{features,0,divisor}',
		'0')::text, 'kseg_scaler') AS divisor,
	outcome(jsonb_set(body::jsonb, '{scale}',
		'"maximum"')::text, 'kseg_scaler') AS scale
FROM scaler \gx

-- the file of receive(); rm alone would not wait for the line that it gets
DO $$ BEGIN
	EXECUTE format('COPY (SELECT) TO PROGRAM %L', format('cat >/dev/null; rm %L',
		current_setting('data_directory') || '/kseg_model_test'));
END $$;
DROP FUNCTION receive, outcome;
DROP TABLE received_kseg_model, received_kseg_scaler;
DROP TABLE example, model, fitted, archive, large, uncompressed, scaler;

-- the server's JSON functions make an object of it, not a string
SELECT jsonb_typeof(to_jsonb(f) -> 'm') AS model, to_jsonb(f) -> 'm' = m::jsonb AS same,
	json_typeof(row_to_json(f) -> 'm') AS row, jsonb_typeof(to_jsonb(s)) AS scaler,
	m::json::text = m::text AS as_text
FROM (SELECT kseg_fit(2, x) AS m FROM (VALUES (1), (2), (9)) v(x)) f,
	(SELECT kseg_scaler('zscore', x) AS s FROM (VALUES (1), (2)) v(x)) g;
