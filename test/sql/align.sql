--
-- Ids of segments: in a model, in whatever prints a segment, and kept from
-- one model to the next
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;
CREATE SCHEMA align;
SET search_path = align, public;

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

-- ---- from one model to the next ----

-- Customers of a night: groups of rows around a center, with a spread of 1 in
-- both features.
CREATE FUNCTION night(night int, groups jsonb)
RETURNS TABLE (id int, grp text, x float8, y float8) LANGUAGE sql AS $$
	SELECT (row_number() OVER ())::int, g.name,
		g.x + sqrt(12) * ((hashint4(i * 2 + 100003 * night + 7 * g.n) & 65535) / 65535.0 - 0.5),
		g.y + sqrt(12) * ((hashint4(i * 2 + 1 + 100003 * night + 7 * g.n) & 65535) / 65535.0 - 0.5)
	FROM jsonb_to_recordset(groups) AS g (name text, x float8, y float8, n int),
		generate_series(1, g.n) AS i
$$;
-- what became of each segment, with the place of its centroid
CREATE FUNCTION fates(new kseg_model, old kseg_model)
RETURNS TABLE (old_segment int, segment int, outcome text, other int,
	moved text, old_share numeric, share numeric, x numeric, y numeric)
LANGUAGE sql AS $$
	SELECT a.old_segment, a.segment, a.outcome, a.other_segment,
		CASE WHEN a.outcome = 'kept' THEN CASE WHEN a.distance < 0.2 THEN 'little' ELSE 'far' END
			ELSE round(a.distance::numeric, 1)::text END,
		round(a.old_share::numeric, 2), round(a.share::numeric, 2),
		round(max(c.value::numeric) FILTER (WHERE c.feature = 'x')),
		round(max(c.value::numeric) FILTER (WHERE c.feature = 'y'))
	FROM kseg_alignment(new, old) AS a
	LEFT JOIN kseg_centroids(kseg_align(new, old)) AS c USING (segment)
	GROUP BY a.old_segment, a.segment, a.outcome, a.other_segment, a.distance,
		a.old_share, a.share
	ORDER BY coalesce(a.segment, a.old_segment)
$$;

CREATE TABLE nights (night int, what text, k int, groups jsonb);
INSERT INTO nights VALUES
(1, 'four groups', 4,
 '[{"name": "a", "x": 0, "y": 0, "n": 400}, {"name": "b", "x": 20, "y": 0, "n": 300},
   {"name": "c", "x": 0, "y": 20, "n": 200}, {"name": "d", "x": 20, "y": 20, "n": 100}]'),
(2, 'sizes turn round', 4,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "c", "x": 0, "y": 20, "n": 300}, {"name": "d", "x": 20, "y": 20, "n": 400}]'),
(3, 'd moves', 4,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "c", "x": 0, "y": 20, "n": 300}, {"name": "d", "x": 24, "y": 21, "n": 400}]'),
(4, 'd splits', 5,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "c", "x": 0, "y": 20, "n": 300}, {"name": "d", "x": 23, "y": 20, "n": 250},
   {"name": "d2", "x": 29, "y": 24, "n": 150}]'),
(5, 'c dies', 4,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "d", "x": 23, "y": 20, "n": 250}, {"name": "d2", "x": 29, "y": 24, "n": 150}]'),
(6, 'one is born where c was, another far away', 6,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "d", "x": 23, "y": 20, "n": 250}, {"name": "d2", "x": 29, "y": 24, "n": 150},
   {"name": "e", "x": 0, "y": 20, "n": 600}, {"name": "f", "x": -60, "y": 60, "n": 50}]'),
(7, 'd and d2 are one again', 5,
 '[{"name": "a", "x": 0, "y": 0, "n": 100}, {"name": "b", "x": 20, "y": 0, "n": 200},
   {"name": "d", "x": 25, "y": 22, "n": 400}, {"name": "e", "x": 0, "y": 20, "n": 600},
   {"name": "f", "x": -60, "y": 60, "n": 50}]');
CREATE TABLE chain (night int PRIMARY KEY, fresh kseg_model, aligned kseg_model);
INSERT INTO chain (night, fresh)
SELECT night, kseg_fit(n.k, c.x, c.y) FROM nights AS n, night(night, groups) AS c
GROUP BY night, n.k;
DO $$
BEGIN
	UPDATE chain SET aligned = fresh WHERE night = 1;
	FOR n IN 2 .. 7 LOOP
		UPDATE chain SET aligned = kseg_align(fresh, (SELECT aligned FROM chain WHERE night = n - 1))
		WHERE night = n;
	END LOOP;
END $$;
SELECT n.night, what, f.*
FROM chain AS now JOIN chain AS before ON before.night = now.night - 1
	JOIN nights AS n ON n.night = now.night, fates(now.fresh, before.aligned) AS f
ORDER BY n.night, coalesce(segment, old_segment);

-- an id that was once given is never given again
SELECT night, (SELECT array_agg(DISTINCT segment ORDER BY segment) FROM kseg_centroids(aligned)) AS ids,
	aligned::jsonb -> 'last_id' AS last_id
FROM chain ORDER BY night;
-- up to the highest there is
SELECT jsonb_path_query_array(kseg_align(
	(SELECT fresh FROM chain WHERE night = 6),
	with_ids(aligned, '{1,2,3,4}', 2147483645)::kseg_model)::jsonb, '$.segments.id') AS ids
FROM chain WHERE night = 1;

-- the same segments under other names, and nothing else
SELECT c.night, count(DISTINCT (kseg_predict(fresh, x, y), kseg_predict(aligned, x, y))) AS pairs,
	count(DISTINCT kseg_predict(fresh, x, y)) AS segments,
	bool_and((kseg_score(fresh, x, y)).distance = (kseg_score(aligned, x, y)).distance) AS distance,
	bool_and((kseg_score(fresh, x, y)).margin = (kseg_score(aligned, x, y)).margin) AS margin
FROM chain AS c JOIN nights USING (night), night(night, groups) GROUP BY c.night ORDER BY 1;
SELECT night, (SELECT jsonb_agg(s - 'id' ORDER BY s - 'id') FROM jsonb_array_elements(aligned::jsonb -> 'segments') AS s) =
	(SELECT jsonb_agg(s ORDER BY s) FROM jsonb_array_elements(fresh::jsonb -> 'segments') AS s) AS segments,
	aligned::jsonb - '{segments,last_id}'::text[] = fresh::jsonb - 'segments' AS rest,
	aligned::text::kseg_model = aligned AS text, aligned::jsonb::kseg_model = aligned AS jsonb
FROM chain ORDER BY night;

-- aligned with itself a model stays as it is; aligned twice is aligned
SELECT night, kseg_align(aligned, aligned) = aligned AS itself,
	kseg_align(aligned, lag(aligned) OVER n) = aligned AS again,
	kseg_align(fresh, fresh) = fresh AS fresh
FROM chain WINDOW n AS (ORDER BY night) ORDER BY night;
SELECT kseg_align(NULL, aligned) IS NULL AND kseg_align(aligned, NULL) IS NULL AS strict
FROM chain WHERE night = 1;
SELECT count(*) FROM chain, kseg_alignment(aligned, NULL);

-- Thirty nights: six groups drift, each its own way, by up to 0.7 a night in
-- each feature; sizes change at random, so that the numbers of fresh models
-- do, too.
CREATE TABLE drift AS
SELECT n AS night, c.*
FROM generate_series(1, 30) AS n, night(n, (
	SELECT jsonb_agg(jsonb_build_object('name', g, 'n', 60 + (hashint4(n * 10 + g) & 255),
		'x', 25 * (g % 3) + 0.7 * n * (hashint4(g) & 15) / 15,
		'y', 25 * (g / 3) - 0.7 * n * (hashint4(g + 50) & 15) / 15))
	FROM generate_series(0, 5) AS g)) AS c;
CREATE TABLE drifting AS
SELECT night, kseg_fit(6, x, y) AS fresh, NULL::kseg_model AS aligned FROM drift GROUP BY night;
DO $$
BEGIN
	UPDATE drifting SET aligned = fresh WHERE night = 1;
	FOR n IN 2 .. 30 LOOP
		UPDATE drifting SET aligned = kseg_align(fresh, (SELECT aligned FROM drifting WHERE night = n - 1))
		WHERE night = n;
	END LOOP;
END $$;
SELECT grp, count(DISTINCT kseg_predict(aligned, x, y)) AS aligned,
	count(DISTINCT kseg_predict(fresh, x, y)) > 1 AS fresh_differ
FROM drift JOIN drifting USING (night) GROUP BY grp ORDER BY grp;

-- any order of rows, any vector unit
DO $$
DECLARE
	unit text;
	found kseg_model;
BEGIN
	FOREACH unit IN ARRAY ARRAY['auto', 'baseline', 'avx2', 'avx512'] LOOP
		BEGIN
			PERFORM set_config('kseg.simd', unit, true);
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;				-- a machine without it: the one before again
		END;
		SELECT kseg_align(kseg_fit(6, x, y ORDER BY hashint4(id)), min(m.aligned::text)::kseg_model) INTO found
		FROM drift AS d, drifting AS m WHERE d.night = 30 AND m.night = 29;
		IF found IS DISTINCT FROM (SELECT aligned FROM drifting WHERE night = 30) THEN
			RAISE EXCEPTION '% differs', unit;
		END IF;
	END LOOP;
END $$;

-- ---- features that differ ----

CREATE TABLE mixed AS
SELECT i, i % 3 AS g, (i % 3) * 10 + (hashint4(i) & 63) / 64.0 AS x,
	CASE i % 3 WHEN 0 THEN 5 WHEN 1 THEN 0 ELSE 10 END + (hashint4(i + 1000) & 63) / 64.0 AS y,
	(ARRAY['red', 'green', 'blue'])[1 + i % 3] AS color,
	i % 3 = 1 AS flag
FROM generate_series(1, 300 - 60) AS i
WHERE i % 3 < 2 OR i < 100;
CREATE TABLE other AS
SELECT 'x, y' AS what, kseg_fit(3, x, y) AS model FROM mixed
UNION ALL SELECT 'y, x', kseg_fit(3, y, x) FROM mixed
UNION ALL SELECT 'other scale, weights', kseg_fit(kseg_options(k => 3, scale => 'minmax', weights => '{"y": 9}'), x, y) FROM mixed
UNION ALL SELECT 'cosine', kseg_fit(kseg_options(k => 3, distance => 'cosine'), x, y) FROM mixed
UNION ALL SELECT 'y alone', kseg_fit(3, y) FROM mixed
UNION ALL SELECT 'x is text', kseg_fit('SELECT text(round(x / 10)) AS x, y FROM mixed', 3)
UNION ALL SELECT 'color', kseg_fit(3, color) FROM mixed
UNION ALL SELECT 'color, y', kseg_fit(3, color, y) FROM mixed
UNION ALL SELECT 'color, one more', kseg_fit(
	'SELECT CASE WHEN color = ''red'' AND i % 5 = 0 THEN ''pink'' ELSE color END AS color FROM mixed', 3)
UNION ALL SELECT 'flag', kseg_fit(2, flag) FROM mixed;

-- whatever order, scale and distance, the same segments are found: pairs of
-- segments whose sizes are the same
SELECT new.what AS new, old.what AS old, count(*) FILTER (WHERE outcome = 'kept') AS kept,
	count(*) FILTER (WHERE old_share = share) AS same, count(*)
FROM other AS new, other AS old, kseg_alignment(new.model, old.model)
WHERE new.what NOT IN ('flag', 'x is text') AND old.what NOT IN ('flag', 'x is text')
	AND NOT ('y alone' IN (new.what, old.what) AND new.what || old.what ~ 'color')
	AND (new.what ~ 'color') = (old.what ~ 'color')
GROUP BY 1, 2 ORDER BY 1, 2;
-- x is of another kind: y alone counts
SELECT outcome, count(*), round(max(distance)::numeric, 6) AS distance
FROM other AS new, other AS old, kseg_alignment(new.model, old.model)
WHERE new.what = 'x is text' AND old.what = 'x, y' GROUP BY 1;
-- a category that the old model has not seen; one that is gone
SELECT new.what, old_segment, segment, outcome, other_segment, round(distance::numeric, 3) AS distance,
	round(old_share::numeric, 2) AS old_share, round(share::numeric, 2) AS share
FROM other AS new, other AS old, kseg_alignment(new.model, old.model)
WHERE new.what || old.what IN ('colorcolor, one more', 'color, one morecolor')
ORDER BY 1, coalesce(segment, old_segment);
-- a model of more segments, and of fewer: those that end have gone somewhere
SELECT fit.k, a.*
FROM (SELECT k, kseg_fit(k, x, y) AS model FROM mixed, unnest('{1,2,5}'::int[]) AS k GROUP BY k) AS fit,
	other, LATERAL (SELECT old_segment, segment, outcome, other_segment,
		round(distance::numeric, 2) AS distance, round(share::numeric, 2) AS share
		FROM kseg_alignment(fit.model, other.model)) AS a
WHERE what = 'x, y' ORDER BY fit.k, coalesce(segment, old_segment);

-- segments of equal rows reach nowhere: half the way to the next
SELECT a.* FROM (SELECT kseg_fit(3, v) AS old FROM unnest('{1,2,9}'::int[]) AS v) AS o,
	(SELECT kseg_fit(3, v) AS new FROM unnest('{9,1.2,5.6}'::float8[]) AS v) AS n,
	LATERAL (SELECT old_segment, segment, outcome, round(distance::numeric, 3) AS distance
		FROM kseg_alignment(new, old)) AS a ORDER BY coalesce(segment, old_segment);

-- ---- errors ----

CREATE FUNCTION align(new text, old text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM kseg_align(n.model, o.model) FROM other AS n, other AS o WHERE n.what = new AND o.what = old;
	RETURN 'aligned';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || SQLERRM || ': ' || detail;
END $$;
SELECT align('color', 'x, y');
SELECT align('flag', 'x, y');
SELECT failure($$SELECT kseg_align(n.model, o.model) FROM other AS n, other AS o
	WHERE n.what = 'color' AND o.what = 'y alone'$$);
-- the same name, another kind
SELECT failure($$SELECT kseg_align(kseg_fit('SELECT x::text FROM generate_series(1, 2) AS x', 2), model)
	FROM other WHERE what = 'x, y'$$);
SELECT failure($$SELECT kseg_align((SELECT fresh FROM chain WHERE night = 6),
	with_ids(aligned, '{1,2,3,4}', 2147483647)::kseg_model) FROM chain WHERE night = 1$$);

-- ---- option previous ----

-- a chain of refits: groups keep their ids, and models do not grow
CREATE TABLE refit (night int PRIMARY KEY, model kseg_model);
DO $$
BEGIN
	INSERT INTO refit SELECT 1, kseg_fit(6, x, y) FROM drift WHERE night = 1;
	FOR n IN 2 .. 30 LOOP
		INSERT INTO refit
		SELECT n, kseg_fit((SELECT kseg_options(previous => model, seed => n) FROM refit WHERE night = n - 1), x, y)
		FROM drift WHERE night = n;
	END LOOP;
END $$;
SELECT grp, count(DISTINCT kseg_predict(model, x, y)) AS ids
FROM drift JOIN refit USING (night) GROUP BY grp ORDER BY grp;
SELECT night, i.k, i.options, length(kseg_model_send(model)) < 800 AS small,
	i.inertia <= 1.01 * (kseg_info(fresh)).inertia AS good
FROM refit JOIN drifting USING (night), kseg_info(model) AS i
WHERE night % 7 = 1 ORDER BY night;

-- every form; from another order of rows
SELECT model = kseg_fit('SELECT x, y FROM drift WHERE night = 30 ORDER BY y', options => o) AS query,
	model = (SELECT kseg_fit(6, x, y) FROM drift WHERE night = 30) AS without
FROM refit, (SELECT kseg_options(previous => model, seed => 30) AS o FROM refit WHERE night = 29) AS o
WHERE night = 30;
SELECT count(*), bool_and(s.segment = kseg_predict(model, d.x, d.y)) AS segments
FROM refit, (SELECT kseg_options(k => 6, previous => model) AS o FROM refit WHERE night = 29) AS o,
	kseg_segments('SELECT id, x, y FROM drift WHERE night = 30', 'id', options => o) AS s
	JOIN drift AS d ON d.id = s.key::int AND d.night = 30
WHERE refit.night = 30;
-- a window function knows no names: nor must the model
SELECT DISTINCT x, kseg_cluster((SELECT jsonb_build_object('previous',
	with_ids(kseg_fit(3, ARRAY[x, y]::float8[]), '{4,6,9}', 9)) FROM customer), x::float8, y::float8) OVER () AS segment
FROM customer ORDER BY x;
-- each region continues its own
CREATE TABLE region AS
SELECT g % 2 AS region, jsonb_build_object('previous', with_ids(kseg_fit(2, x), ARRAY[5 + g, 7 + g], 9)) AS o
FROM mixed GROUP BY 1, g HAVING g < 2;
SELECT region, array_agg(DISTINCT segment ORDER BY segment) AS ids
FROM (SELECT g AS region, kseg_fit(o, x) AS model FROM mixed JOIN region ON region = g GROUP BY g) AS m,
	kseg_centroids(model) GROUP BY 1 ORDER BY 1;

-- as jsonb, and from kseg_options
SELECT (kseg_options(previous => model) -> 'previous')::kseg_model = model AS same,
	kseg_options(k => 3, previous => model) = jsonb_build_object('k', 3, 'previous', model) AS jsonb,
	kseg_options(previous => NULL) AS none
FROM model WHERE name = 'ids';

-- Two ways to halve the corners of a rectangle.  Across the longer side is
-- better: by less than 1 % it is not worth a change, by more it is.
CREATE TABLE corner AS
SELECT a, b FROM generate_series(0, 1) AS a, generate_series(0, 1) AS b, generate_series(1, 5);
CREATE TABLE halves AS
SELECT kseg_fit('SELECT a, b FROM corner', options => '{"scale": "none", "init": [[0.5, 0], [0.5, 1]]}') AS model;
SELECT side, round(f.inertia::numeric, 4) AS fresh, round(c.inertia::numeric, 4) AS continued,
	(SELECT array_agg(DISTINCT segment ORDER BY segment) FROM kseg_centroids(m.model)) AS ids
FROM unnest('{1.003,1.004,1.006,1.02}'::float8[]) AS side, halves AS h,
	format('SELECT a * %s AS a, b FROM corner', side) AS query,
	LATERAL (SELECT kseg_fit(query, options => kseg_options(scale => 'none', previous => h.model)) AS model) AS m,
	kseg_info(m.model) AS c,
	LATERAL kseg_info(kseg_fit(query, 2, kseg_options(scale => 'none'))) AS f;

-- more segments than before, and fewer
SELECT k, array_agg(DISTINCT segment ORDER BY segment) AS ids, max(last_id::text) AS last_id
FROM (SELECT k, kseg_fit(jsonb_build_object('k', k, 'previous', refit.model), x, y) AS model
	FROM drift JOIN refit USING (night), unnest('{1,4,6,7,9}'::int[]) AS k WHERE night = 30 GROUP BY k) AS fit,
	kseg_centroids(model), LATERAL (SELECT model::jsonb -> 'last_id') AS l (last_id)
GROUP BY k ORDER BY k;
-- fewer distinct rows than segments before
SELECT array_agg(DISTINCT segment ORDER BY segment) AS ids
FROM model, kseg_centroids(kseg_fit('SELECT 0 AS x, 3 AS y UNION ALL SELECT 30, 32',
	options => jsonb_build_object('previous', with_ids(model, '{2,4,7}', 8))))
WHERE name = 'plain';

-- a feature more, one less, categories that come and go
SELECT what, array_agg(DISTINCT segment ORDER BY segment) AS ids
FROM (SELECT 'x, y, color' AS what, kseg_fit(o, x, y, color) AS model FROM mixed, (SELECT jsonb_build_object('previous',
		with_ids(model, '{3,5,8}', 8)) AS o FROM other WHERE what = 'x, y') AS o
	UNION ALL SELECT 'y', kseg_fit(o, y) FROM mixed, (SELECT jsonb_build_object('previous',
		with_ids(model, '{3,5,8}', 8)) AS o FROM other WHERE what = 'x, y') AS o
	UNION ALL SELECT 'color', kseg_fit(o, color) FROM mixed, (SELECT jsonb_build_object('previous',
		with_ids(model, '{3,5,8}', 8)) AS o FROM other WHERE what = 'color, one more') AS o
	UNION ALL SELECT 'cosine', kseg_fit(o, x, y) FROM mixed, (SELECT jsonb_build_object('distance', 'cosine', 'previous',
		with_ids(model, '{3,5,8}', 8)) AS o FROM other WHERE what = 'cosine') AS o) AS fit,
	kseg_centroids(model) GROUP BY what ORDER BY what;

-- mistakes
SELECT failure($$SELECT kseg_fit(jsonb_build_object('previous', model), color) FROM mixed, other WHERE what = 'x, y'$$);
SELECT failure($$SELECT kseg_fit(jsonb_build_object('previous', model, 'init', model), x, y)
	FROM mixed, other WHERE what = 'x, y'$$);
SELECT failure($$SELECT * FROM kseg_elbow('SELECT x, y FROM mixed', 1, 3,
	(SELECT kseg_options(previous => model) FROM other WHERE what = 'x, y'))$$);
SELECT failure($$SELECT * FROM other, kseg_segments('SELECT i, x, y FROM mixed', 'i', model,
	kseg_options(previous => model)) WHERE what = 'x, y'$$);
SELECT failure($$SELECT kseg_fit('{"previous": 5}'::jsonb, x) FROM mixed$$);
SELECT failure($$SELECT kseg_fit('{"previous": {"k": 5}}'::jsonb, x) FROM mixed$$);
SELECT failure($$SELECT kseg_fit('{"previous": {"kseg": 1}}'::jsonb, x) FROM mixed$$);
SELECT failure($$SELECT kseg_options(k => 0, previous => model) FROM other$$);
