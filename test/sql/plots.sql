--
-- kseg_plot_...(), kseg_svg_...(): pictures hold what the tables hold.  That
-- they can be drawn is tested in test/t/006_plots.pl.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TABLE plot_customer AS
SELECT i AS id, 20 + (i % 3) * 20 + i % 5 AS age,
	1000 * (1 + (i / 3) % 2) + i AS income,
	date '2024-01-01' + (i % 3) * 100 AS since,
	(ARRAY['basic', 'plus', '</svg>'])[1 + i % 3] AS plan
FROM generate_series(1, 60) AS i;
CREATE TABLE plot_model AS
SELECT kseg_fit('SELECT age, income, since, plan FROM plot_customer', 3) AS model;
CREATE TABLE plot_elbow AS
SELECT * FROM kseg_elbow('SELECT age FROM plot_customer', 1, 6);

-- what all have
CREATE TABLE plot AS
SELECT 'elbow' AS name, kseg_plot_elbow('SELECT age FROM plot_customer', 1, 6) AS spec
UNION ALL SELECT 'scatter', kseg_plot_scatter(model, 'TABLE plot_customer', 'id') FROM plot_model
UNION ALL SELECT 'profile', kseg_plot_profile(model) FROM plot_model
UNION ALL SELECT 'profile of a query', kseg_plot_profile(model, 'TABLE plot_customer') FROM plot_model
UNION ALL SELECT 'sizes', kseg_plot_sizes(model) FROM plot_model;
SELECT name, spec ->> '$schema' AS schema, spec #>> '{title,subtitle,0}' AS subtitle,
	spec::text ~ '<|NaN|Infinity' AS is_odd
FROM plot;

-- ---- the data are the rows of the tables ----

SELECT count(*) AS rows, bool_and(d.inertia = e.inertia) AS inertia,
	bool_and(d.is_knee = e.is_knee) AS knee,
	bool_and(d.silhouette IS NOT DISTINCT FROM e.silhouette) AS silhouette,
	bool_and(d.stability IS NOT DISTINCT FROM e.stability) AS stability,
	bool_and(d.note IS NOT DISTINCT FROM e.note) AS note
FROM plot, json_to_recordset(spec #> '{data,values}') AS d
	(k int, inertia float8, silhouette float8, stability float8, is_knee bool, note text)
	JOIN plot_elbow AS e USING (k)
WHERE name = 'elbow';
SELECT count(*) AS rows, count(DISTINCT key) AS keys, bool_and(d.segment = p.segment) AS segment,
	bool_and(d.x = p.x AND d.y = p.y) AS place, array_agg(DISTINCT d.name ORDER BY d.name) AS names
FROM plot, json_to_recordset(spec #> '{data,values}') AS d
	(key text, segment int, name text, x float8, y float8)
	JOIN kseg_project((SELECT model FROM plot_model), 'TABLE plot_customer', 'id') AS p USING (key)
WHERE plot.name = 'scatter';
SELECT json_array_length(kseg_plot_scatter(model, 'TABLE plot_customer', 'id', 10) #> '{data,values}') AS rows
FROM plot_model;
SELECT d.segment, d.name, d.feature, d.value, d.average, d.z = p.z AS z,
	d.index_100 IS NOT DISTINCT FROM p.index_100 AS index_100
FROM plot, json_to_recordset(spec #> '{data,values}') AS d
	(segment int, name text, feature text, value text, average text, z float8, index_100 float8)
	JOIN kseg_profile((SELECT model FROM plot_model)) AS p USING (segment, feature)
WHERE plot.name = 'profile' ORDER BY d.segment, p.rank;
SELECT d.segment, d.feature, d.value, d.average, d.quartiles
FROM plot, json_to_recordset(spec #> '{data,values}') AS d
	(segment int, feature text, value text, average text, quartiles text)
WHERE plot.name = 'profile of a query' AND segment = 1 ORDER BY d.feature;
SELECT d.segment, d.name, d.size = c.size AS size, d.share = c.share AS share
FROM plot, json_to_recordset(spec #> '{data,values}') AS d
	(segment int, name text, size bigint, share float8)
	JOIN (SELECT DISTINCT segment, size, share
		FROM kseg_centroids((SELECT model FROM plot_model))) AS c USING (segment)
WHERE plot.name = 'sizes' ORDER BY segment;

-- ---- what was stored or filtered can be drawn too ----

SELECT kseg_plot_elbow(jsonb_agg(e))::jsonb = (SELECT spec::jsonb FROM plot WHERE name = 'elbow') AS same
FROM kseg_elbow('SELECT age FROM plot_customer', 1, 6) AS e;
SELECT json_array_length(kseg_plot_profile(jsonb_agg(p)) #> '{data,values}') AS rows
FROM plot_model, kseg_profile(model) AS p WHERE feature <> 'plan';

-- one panel, three, and a sentence for each finding
SELECT elbow #>> '{title,subtitle}' AS findings, json_array_length(elbow -> 'vconcat') AS panels
FROM (VALUES
	(kseg_plot_elbow('[{"k": 1, "inertia": 5}, {"k": 2, "inertia": 3}]'::jsonb)),
	(kseg_plot_elbow('[{"k": 1, "inertia": 5}, {"k": 2, "inertia": 3}, {"k": 3, "inertia": 1}, {"k": 4}]'::jsonb)),
	(kseg_plot_elbow('[{"k": 2, "inertia": 5, "silhouette": 0.4, "stability": 1},
		{"k": 3, "inertia": 3, "silhouette": 0.555, "is_best_silhouette": true, "is_knee": true}]'::jsonb)),
	(kseg_plot_elbow('[{}, {"k": 1}]'::jsonb)),
	(kseg_plot_elbow('[]'::jsonb))) AS v (elbow);

-- more than eight segments get panels of their own, or shapes
SELECT k, p ? 'layer' AS is_one, p ? 'facet' AS has_panels,
	jsonb_array_length(s #> '{layer,0,encoding,color,scale,range}') AS colours,
	(SELECT count(DISTINCT (c, h)) FROM jsonb_array_elements(s #> '{layer,0,encoding,color,scale,range}')
		WITH ORDINALITY AS c (c, i) JOIN jsonb_array_elements(s #> '{layer,0,encoding,shape,scale,range}')
		WITH ORDINALITY AS h (h, i) USING (i)) AS looks
FROM unnest('{1, 8, 9, 40}'::int[]) AS k,
	LATERAL (SELECT kseg_fit('SELECT age, income FROM plot_customer', k) AS m OFFSET 0) AS f,
	LATERAL (SELECT kseg_plot_profile(m)::jsonb AS p,
		kseg_plot_scatter(m, 'TABLE plot_customer', 'id')::jsonb AS s) AS v;

-- a segment has the colour of its id, not of its place
SELECT name, jsonb_path_query_first(spec::jsonb, '$.layer[*].encoding.color.scale') AS colours,
	jsonb_path_query_first(spec::jsonb, '$.layer[*].encoding.shape.scale.range') AS shapes
FROM (SELECT (jsonb_set(jsonb_set(jsonb_set(jsonb_set(model::jsonb, '{segments,0,id}', '2'), '{segments,1,id}', '3'),
		'{segments,2,id}', '10'), '{last_id}', '10'))::kseg_model AS m FROM plot_model) AS m,
	LATERAL (VALUES (1, 'scatter', kseg_plot_scatter(m, 'TABLE plot_customer', 'id')),
		(2, 'profile', kseg_plot_profile(m)), (3, 'sizes', kseg_plot_sizes(m))) AS v (i, name, spec) ORDER BY i;
SELECT array_agg(kseg_plot_color(id) ORDER BY id) AS colours, count(DISTINCT kseg_plot_color(id)) AS different
FROM generate_series(1, 9) AS id;

-- ---- SVG ----

\pset format unaligned
SELECT kseg_svg_elbow('[{"k": 1, "inertia": 12345}, {"k": 2, "inertia": 4000, "silhouette": 0.5,
	"is_knee": true, "is_best_silhouette": true}, {"k": 3, "inertia": 3000, "silhouette": -0.25}, {"k": 4}]'::jsonb);
SELECT kseg_svg_profile('[{"segment": 1, "label": "<b>&\"''", "size": 1500, "share": 0.75, "feature": "a\u0001<b", "mean": 123456, "z": 0.5},
	{"segment": 1, "label": "<b>&\"''", "size": 1500, "share": 0.75, "feature": "plan", "top_value": "</text>", "mean": 0.5, "z": null},
	{"segment": 2, "label": "a label that is longer than what can stand above a panel", "size": 500, "share": 0.25, "feature": "a\u0001<b", "mean": 0.0012345, "z": -1},
	{"segment": 2, "label": "a label that is longer than what can stand above a panel", "size": 500, "share": 0.25, "feature": "a feature with a long name", "mean": null, "z": 2}]'::jsonb);
\pset format aligned
SELECT kseg_svg_elbow('SELECT age FROM plot_customer', 1, 6) = kseg_svg_elbow(jsonb_agg(e)) AS same
FROM kseg_elbow('SELECT age FROM plot_customer', 1, 6) AS e;
SELECT (length(svg) - length(replace(svg, '<rect', ''))) / 5 AS bars_and_ground, svg ~ '2024-04-10' AS has_date
FROM plot_model, kseg_svg_profile(model) AS svg;
SELECT kseg_svg_profile(model, 'SELECT age, income, since, plan FROM plot_customer') LIKE '<svg %</svg>' AS is_svg
FROM plot_model;

SELECT x, kseg_plot_number(x) FROM unnest('{0, 1, -12.345, 999.6, 9999, 10000, 123456, 1.5e6, 2e9, 1e14, 1e16,
	0.00123, -1e-7, 1e300, 1e-300}'::float8[]) AS x;

-- ---- nulls, mistakes, and nothing is written ----

SELECT kseg_plot_elbow(NULL::jsonb) IS NULL AS elbow, kseg_plot_sizes(NULL::kseg_model) IS NULL AS sizes,
	kseg_plot_profile(NULL::kseg_model) IS NULL AS profile, kseg_plot_profile(NULL::jsonb) IS NULL AS rows,
	kseg_svg_elbow(NULL::jsonb) IS NULL AS svg_elbow, kseg_svg_profile(NULL::kseg_model) IS NULL AS svg_profile;

\set VERBOSITY sqlstate
SELECT kseg_plot_elbow(NULL::text);
SELECT kseg_plot_elbow('SELECT age FROM plot_customer', 5, 2);
SELECT kseg_plot_elbow('[]');
SELECT kseg_plot_elbow('{"k": 1}'::jsonb);
SELECT kseg_plot_elbow('[{"k": "one"}]'::jsonb);
SELECT kseg_plot_profile(model, 'SELECT age FROM plot_customer') FROM plot_model;
SELECT kseg_plot_profile(NULL, 'TABLE plot_customer');
SELECT kseg_plot_scatter(model, 'TABLE plot_customer', 'nobody') FROM plot_model;
SELECT kseg_plot_scatter(model, 'TABLE plot_customer', 'id', 0) FROM plot_model;
SELECT kseg_plot_scatter(NULL, 'TABLE plot_customer', 'id');
SELECT kseg_svg_profile(NULL, 'TABLE plot_customer');
\set VERBOSITY default

BEGIN READ ONLY;
SELECT count(*) AS pictures, bool_and(spec IS NOT NULL) AS drawn FROM (
	SELECT kseg_plot_elbow('SELECT age FROM plot_customer')::text
	UNION ALL SELECT kseg_plot_scatter(model, 'TABLE plot_customer', 'id')::text FROM plot_model
	UNION ALL SELECT kseg_plot_profile(model, 'TABLE plot_customer')::text FROM plot_model
	UNION ALL SELECT kseg_plot_sizes(model)::text FROM plot_model
	UNION ALL SELECT kseg_svg_elbow('SELECT age FROM plot_customer')
	UNION ALL SELECT kseg_svg_profile(model) FROM plot_model) AS v (spec);
COMMIT;

-- names are looked up when the extension is made, not when pictures are
CREATE SCHEMA plot_trap;
CREATE FUNCTION plot_trap.kseg_profile(kseg_model) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0';
CREATE FUNCTION plot_trap.replace(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0';
SET search_path = plot_trap, pg_catalog, public;
SELECT kseg_plot_sizes(model) IS NOT NULL AS drawn FROM plot_model;
RESET search_path;
DROP SCHEMA plot_trap CASCADE;

DROP TABLE plot_customer, plot_model, plot_elbow, plot;
