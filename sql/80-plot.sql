-- 80-plot.sql: pictures, as Vega-Lite specifications and as SVG text

-- All of it is SQL over the functions of the other parts.  Names of features,
-- labels and categories are values of the data and never names of its fields:
-- Vega takes dots and brackets in a field's name for a path.

-- ---- what the pictures share ----

CREATE FUNCTION kseg_plot_spec(
	title text,
	subtitle text[],
	data jsonb,
	picture jsonb
)
RETURNS json
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100
BEGIN ATOMIC
	-- "<" stands only in strings here: escaped, it cannot close the script
	-- element of a page that the specification is pasted into.
	SELECT replace((jsonb_build_object(
		'$schema', 'https://vega.github.io/schema/vega-lite/v6.json',
		'title', jsonb_build_object(
			'text', title,
			'subtitle', array_remove(subtitle, NULL)),
		'data', jsonb_build_object('values', coalesce(data, '[]')),
		'config', '{
			"background": "white",
			"padding": 14,
			"font": "Helvetica, Arial, sans-serif",
			"view": {"stroke": null},
			"title": {
				"anchor": "start", "frame": "bounds", "offset": 16,
				"fontSize": 18, "color": "#222",
				"subtitleFontSize": 14, "subtitleColor": "#555",
				"subtitlePadding": 6, "subtitleLineHeight": 18
			},
			"axis": {
				"labelFontSize": 13, "labelColor": "#333",
				"titleFontSize": 13, "titleColor": "#333",
				"titleFontWeight": "normal", "titlePadding": 8,
				"gridColor": "#e4e4e4", "domainColor": "#888",
				"tickColor": "#888"
			},
			"legend": {
				"labelFontSize": 13, "labelColor": "#333",
				"titleFontSize": 13, "titleColor": "#333",
				"titleFontWeight": "normal", "labelLimit": 420,
				"rowPadding": 4, "symbolSize": 110, "symbolLimit": 60
			},
			"text": {"fontSize": 13, "color": "#222"}
		}'::jsonb) || picture)::text, '<', E'\\u003c')::json;
END;

COMMENT ON FUNCTION kseg_plot_spec(text, text[], jsonb, jsonb) IS
	'part of kseg_plot_...: a picture with its title, data and style';

-- The colours of Okabe and Ito, which colour-blind people can tell apart,
-- without yellow, which is too pale on white.  A segment has the colour of its
-- id, today and after a refit; that of one which has ended is not given to
-- another.  The ninth id starts over with another shape.
CREATE FUNCTION kseg_plot_color(segment integer)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 10
BEGIN ATOMIC
	SELECT ('{#0072B2,#E69F00,#009E73,#D55E00,#CC79A7,#56B4E9,#222222,'
		'#999999}'::text[])[1 + (segment - 1) % 8];
END;

COMMENT ON FUNCTION kseg_plot_color(integer) IS
	'part of kseg_plot_...: colour of a segment';

CREATE FUNCTION kseg_plot_segments(segments integer[], names text[])
RETURNS jsonb
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100
BEGIN ATOMIC
	SELECT jsonb_object_agg(channel, jsonb_build_object(
		'field', 'name', 'type', 'nominal', 'title', 'segment',
		'scale', jsonb_build_object(
			'domain', coalesce(names, '{}'),
			'range', coalesce(looks, '[]')),
		-- beyond what a legend can show, numbers must do
		'legend', CASE WHEN coalesce(cardinality(names), 0) <= 60 THEN
			jsonb_build_object('columns',
				1 + (coalesce(cardinality(names), 0) - 1) / 25) END))
	FROM (SELECT jsonb_agg(kseg_plot_color(segment) ORDER BY place) AS color,
			jsonb_agg(('{circle,square,triangle-up,diamond,cross,'
				'triangle-down}'::text[])[1 + (segment - 1) / 8 % 6]
				ORDER BY place) AS shape
		FROM unnest(segments) WITH ORDINALITY AS s (segment, place)) AS s,
		LATERAL (VALUES ('color', color), ('shape', shape))
			AS c (channel, looks);
END;

COMMENT ON FUNCTION kseg_plot_segments(integer[], text[]) IS
	'part of kseg_plot_...: colour and shape of each segment';

-- Three digits: 12300 is 12.3k.
CREATE FUNCTION kseg_plot_number(x double precision)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 10
BEGIN ATOMIC
	SELECT CASE WHEN x = 0 THEN '0'
		WHEN abs(x) NOT BETWEEN 0.0001 AND 1e15 THEN
			trim(to_char(x, '9.99EEEE'))
		ELSE (SELECT trim_scale(round((x / unit)::numeric, greatest(0,
					2 - floor(log(abs(x / unit)))::integer))) || name
			FROM (VALUES (1e12, 1e12, 'T'), (1e9, 1e9, 'G'), (1e6, 1e6, 'M'),
				(1e4, 1e3, 'k'), (0, 1, '')) AS u (least_number, unit, name)
			WHERE abs(x) >= least_number
			ORDER BY least_number DESC LIMIT 1) END;
END;

COMMENT ON FUNCTION kseg_plot_number(double precision) IS
	'part of kseg_plot_... and kseg_svg_...: a number in three digits';

-- Moments and intervals are seconds.
CREATE FUNCTION kseg_plot_value(x double precision, kind text)
RETURNS text
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10
BEGIN ATOMIC
	SELECT CASE WHEN kind = 'moment' AND abs(x) < 1e11 THEN
			to_char(to_timestamp(x) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
		WHEN kind = 'interval' THEN kseg_plot_number(x / 86400) || ' days'
		ELSE kseg_plot_number(x) END;
END;

COMMENT ON FUNCTION kseg_plot_value(double precision, text) IS
	'part of kseg_plot_profile and kseg_svg_profile: a value to read';

-- ---- how many segments ----

-- What an elbow says: its rows, cleaned, and sentences.
CREATE FUNCTION kseg_plot_findings(
	elbow jsonb,
	OUT data jsonb,
	OUT findings text[],
	OUT knee integer,
	OUT best integer
)
RETURNS record
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY k), '[]'),
		array_remove(ARRAY[
			CASE WHEN count(inertia) = 0 THEN
					'There is nothing to compare.'
				WHEN bool_or(is_knee) THEN
					format('The elbow is at %s: more segments than that lower '
						'the inertia little.', min(k) FILTER (WHERE is_knee))
				WHEN count(inertia) > 2 THEN
					format('There is no elbow between %s and %s.', min(k),
						max(k) FILTER (WHERE inertia IS NOT NULL))
				END,
			CASE WHEN bool_or(is_best_silhouette) THEN
				format('The silhouette is best at %s (%s).',
					min(k) FILTER (WHERE is_best_silhouette),
					round(max(silhouette)
						FILTER (WHERE is_best_silhouette)::numeric, 2)) END,
			CASE WHEN count(inertia) < count(*) THEN
				format('From %s on there are fewer distinct rows than '
					'segments.', min(k) FILTER (WHERE inertia IS NULL)) END],
			NULL),
		min(k) FILTER (WHERE is_knee),
		min(k) FILTER (WHERE is_best_silhouette)
	FROM jsonb_to_recordset(elbow) AS e (
		k integer, inertia double precision, explained double precision,
		drop_pct double precision, silhouette double precision,
		davies_bouldin double precision, calinski_harabasz double precision,
		stability double precision, smallest_share double precision,
		is_knee boolean, is_best_silhouette boolean, note text)
	WHERE k IS NOT NULL;
END;

COMMENT ON FUNCTION kseg_plot_findings(jsonb) IS
	'part of kseg_plot_elbow and kseg_svg_elbow: what an elbow says';

CREATE FUNCTION kseg_plot_elbow(elbow jsonb)
RETURNS json
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH f AS (SELECT * FROM kseg_plot_findings(elbow)),
	e AS (
		SELECT jsonb_agg(k ORDER BY k) AS ks, max(inertia) AS top,
			count(inertia) > 0 AS has_inertia,
			count(silhouette) > 0 AS has_silhouette,
			count(stability) > 0 AS has_stability,
			-- Right of the elbow is room for its name, unless it is the last.
			3 * max(f.knee) > min(k) + 2 * max(k) AS is_far
		FROM f, jsonb_to_recordset(f.data) AS e (
			k integer, inertia double precision, silhouette double precision,
			stability double precision)
	),
	panels AS (
		SELECT jsonb_agg(jsonb_build_object(
			'title', '{"fontSize": 14, "fontWeight": "normal"}' ||
				jsonb_build_object('text', title, 'offset', space),
			'width', 520, 'height', height,
			'encoding', jsonb_build_object(
				'x', '{"field": "k", "type": "ordinal"}' ||
					jsonb_build_object('title', axis_title,
						'scale', jsonb_build_object('domain',
							coalesce(ks, '[]')),
						'axis', '{"labelAngle": 0,
							"labelOverlap": true}'::jsonb),
				'tooltip', '[
					{"field": "k", "title": "segments"},
					{"field": "inertia", "format": ",.4~r"},
					{"field": "explained", "format": ".1%"},
					{"field": "drop_pct", "title": "drop in %",
						"format": ".1f"},
					{"field": "silhouette", "format": ".3f"},
					{"field": "davies_bouldin", "title": "Davies-Bouldin",
						"format": ".3f"},
					{"field": "calinski_harabasz",
						"title": "Calinski-Harabasz", "format": ",.4~r"},
					{"field": "stability", "format": ".2f"},
					{"field": "smallest_share", "title": "smallest segment",
						"format": ".1%"},
					{"field": "note"}]'::jsonb),
			'layer', layer) ORDER BY place) AS list
		FROM f, e, LATERAL (VALUES
			(1, has_inertia, 'Inertia: squared distances within the segments',
				10, 220, 'number of segments', jsonb_build_array(
				jsonb_build_object(
					'mark', '{"type": "line", "color": "#0072B2"}'::jsonb,
					'encoding', jsonb_build_object('y', jsonb_build_object(
						'field', 'inertia', 'type', 'quantitative',
						'axis', jsonb_build_object('title', NULL,
							'minExtent', 50, 'tickCount', 5, 'format',
							CASE WHEN top > 1e15 THEN '.1e'
								WHEN top >= 1000 THEN '~s'
								ELSE ',.3~r' END)))),
				'{"name": "inertia",
					"mark": {"type": "point", "filled": true, "opacity": 1,
						"size": 70, "color": "#0072B2"},
					"encoding": {"y": {"field": "inertia",
						"type": "quantitative"}}}'::jsonb) ||
				CASE WHEN f.knee IS NULL THEN '[]' ELSE jsonb_build_array(
				'{"transform": [{"filter": "datum.is_knee"}],
					"mark": {"type": "rule", "color": "#D55E00",
						"strokeDash": [6, 4], "strokeWidth": 1.5}}'::jsonb,
				'{"name": "knee", "transform": [{"filter": "datum.is_knee"}],
					"mark": {"type": "point", "filled": true, "opacity": 1,
						"size": 200, "color": "#D55E00"},
					"encoding": {"y": {"field": "inertia",
						"type": "quantitative"}}}'::jsonb,
				jsonb_build_object(
					'transform', '[{"filter": "datum.is_knee"}]'::jsonb,
					'mark', '{"type": "text", "baseline": "top",
						"fontSize": 14, "fontWeight": "bold",
						"color": "#B34700"}' || CASE WHEN is_far
							THEN '{"align": "right", "dx": -8}'::jsonb
							ELSE '{"align": "left", "dx": 8}' END,
					'encoding', jsonb_build_object(
						'y', '{"value": 2}'::jsonb,
						'text', jsonb_build_object('value',
							format('elbow at %s', f.knee))))) END),
			(2, has_silhouette,
				'Silhouette: how clearly rows belong to their segment '
				'(1 at best)',
				20, 130, NULL, '[
				{"name": "silhouette",
					"mark": "bar",
					"encoding": {
						"y": {"field": "silhouette", "type": "quantitative",
							"axis": {"title": null, "minExtent": 50,
								"tickCount": 4, "format": ".2~f"}},
						"color": {"value": "#9CC7E0", "condition": {
							"test": "datum.is_best_silhouette",
							"value": "#D55E00"}}}}]' ||
				CASE WHEN f.best IS NULL THEN '[]' ELSE '[
				{"transform": [{"filter": "datum.is_best_silhouette"},
						{"calculate": "max(datum.silhouette, 0)",
							"as": "end"}],
					"mark": {"type": "text", "dy": -9, "fontSize": 14,
						"fontWeight": "bold", "color": "#B34700"},
					"encoding": {
						"y": {"field": "end", "type": "quantitative"},
						"text": {"field": "silhouette", "format": ".2f"}}}
				]'::jsonb END),
			(3, has_stability,
				'Stability: how alike fits of half of the rows are '
				'(1 at best)',
				10, 90, NULL, '[
				{"name": "stability",
					"mark": {"type": "bar", "color": "#7FCDB5"},
					"encoding": {"y": {"field": "stability",
						"type": "quantitative", "scale": {"domainMax": 1},
						"axis": {"title": null, "minExtent": 50,
							"tickCount": 4, "format": ".1~f"}}}}
				]')
			) AS p (place, is_shown, title, space, height, axis_title, layer)
		WHERE is_shown
	)
	SELECT kseg_plot_spec('How many segments?', findings, data,
		jsonb_build_object('vconcat', coalesce(list, '[]')))
	FROM f, panels;
END;

COMMENT ON FUNCTION kseg_plot_elbow(jsonb) IS
	'picture of an elbow; its rows as kseg_elbow gives them, as an array';

CREATE FUNCTION kseg_plot_elbow(
	query text,
	k_min integer DEFAULT 1,
	k_max integer DEFAULT 10,
	options jsonb DEFAULT NULL
)
RETURNS json
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
BEGIN ATOMIC
	SELECT kseg_plot_elbow(jsonb_agg(e))
	FROM kseg_elbow(query, k_min, k_max, options) AS e;
END;

COMMENT ON FUNCTION kseg_plot_elbow(text, integer, integer, jsonb) IS
	'picture of how good each number of segments is for the rows of a query';

-- ---- the rows on a plane ----

CREATE FUNCTION kseg_plot_scatter(
	model kseg_model,
	query text,
	key text,
	max_rows integer DEFAULT 2000
)
RETURNS json
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
BEGIN ATOMIC
	WITH p AS MATERIALIZED (
		SELECT p.key, segment, x, coalesce(y, 0) AS y, explained
		FROM kseg_project(model, query, key, 2, max_rows) AS p
	),
	s AS (
		SELECT DISTINCT segment, format('%s: %s', segment, label) AS name
		FROM kseg_profile(model)
	),
	-- Both axes have the same unit: a distance in the picture is a distance
	-- in the data, unless the picture would be too flat or too high.
	f AS (
		SELECT count(*) AS rows, max(explained) AS explained,
			min(x) AS left_end, max(x) AS right_end, min(y) AS bottom,
			max(y) AS top,
			var_pop(x) / nullif(var_pop(x) + var_pop(y), 0) AS x_part,
			greatest(260, least(520, 520 * (max(y) - min(y)) /
				nullif(max(x) - min(x), 0)))::integer AS height
		FROM p
	),
	-- Of what the plane explains, each axis has the part that it has in the
	-- rows shown.
	axes AS (
		SELECT jsonb_object_agg(field, jsonb_build_object(
			'field', field, 'type', 'quantitative',
			'title', concat(name,
				' (' || round(100 * explained * part) || '%)'),
			'scale', '{"zero": false, "nice": false, "padding": 12}' ||
				jsonb_build_object('domain', jsonb_build_array(
					coalesce(low, -1), coalesce(high, 1))))) AS encoding
		FROM f, LATERAL (VALUES
			('x', 'first component', x_part, left_end, right_end),
			('y', 'second component', 1 - x_part, bottom, top))
			AS a (field, name, part, low, high)
	)
	SELECT kseg_plot_spec('The rows and their segments', ARRAY[
			format('%s rows on the plane that shows most of their differences',
				to_char(rows, 'FM999,999,999')) ||
				coalesce(' (' || round(100 * explained) || '%)', '') || '.'],
		(SELECT jsonb_agg(jsonb_build_object('key', key, 'segment', segment,
				'name', name, 'x', x, 'y', y) ORDER BY key, x, y)
			FROM p JOIN s USING (segment)),
		jsonb_build_object('width', 520, 'height', height,
			'layer', jsonb_build_array(
				jsonb_build_object(
					'name', 'rows',
					'params', '[{"name": "picked", "bind": "legend", "select":
						{"type": "point", "fields": ["name"]}}]'::jsonb,
					'mark', '{"type": "point", "filled": true,
						"size": 26}'::jsonb,
					'encoding', axes.encoding || looks || '{
						"opacity": {"value": 0.04,
							"condition": {"param": "picked", "value": 0.7}},
						"tooltip": [{"field": "key"},
							{"field": "name", "title": "segment"}]}'),
				'{"transform": [{"groupby": ["segment"], "aggregate": [
						{"op": "mean", "field": "x", "as": "x"},
						{"op": "mean", "field": "y", "as": "y"}]}],
					"encoding": {
						"x": {"field": "x", "type": "quantitative"},
						"y": {"field": "y", "type": "quantitative"}},
					"layer": [
						{"name": "centers",
							"mark": {"type": "point", "filled": true,
								"shape": "circle", "size": 380, "opacity": 0.9,
								"color": "white", "stroke": "#222",
								"strokeWidth": 1.2}},
						{"mark": {"type": "text", "fontWeight": "bold",
								"baseline": "middle"},
							"encoding": {"text": {"field": "segment"}}}
					]}'::jsonb)))
	FROM f, axes, kseg_plot_segments(
		(SELECT array_agg(segment ORDER BY segment) FROM s),
		(SELECT array_agg(name ORDER BY segment) FROM s)) AS looks;
END;

COMMENT ON FUNCTION kseg_plot_scatter(kseg_model, text, text, integer) IS
	'picture of the rows of a query on a plane, coloured by segment';

-- ---- what the segments are ----

-- The kinds of a model's features, which tell how their values are to be read,
-- added to its profile.
CREATE FUNCTION kseg_plot_kinds(profile jsonb, model kseg_model)
RETURNS jsonb
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	SELECT jsonb_agg(p || jsonb_build_object('kind', kind) ORDER BY i)
	FROM jsonb_array_elements(profile) WITH ORDINALITY AS p (p, i)
		LEFT JOIN jsonb_to_recordset(model::jsonb -> 'features')
			AS f (name text, kind text) ON name = p ->> 'feature';
END;

COMMENT ON FUNCTION kseg_plot_kinds(jsonb, kseg_model) IS
	'part of kseg_plot_profile and kseg_svg_profile: adds kinds of features';

CREATE FUNCTION kseg_plot_rows(
	profile jsonb,
	OUT segment integer,
	OUT name text,
	OUT size bigint,
	OUT share double precision,
	OUT place bigint,
	OUT feature text,
	OUT z double precision,
	OUT index_100 double precision,
	OUT value text,
	OUT average text,
	OUT quartiles text
)
RETURNS SETOF record
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000 ROWS 50
BEGIN ATOMIC
	-- The features that tell the segments apart best come first.
	SELECT segment, format('%s: %s', segment, label), size, share,
		dense_rank() OVER (ORDER BY spread DESC NULLS LAST, feature),
		feature, z, index_100,
		CASE WHEN top_value IS NULL THEN kseg_plot_value(mean, kind)
			ELSE concat(round(100 * mean) || '% ', top_value) END,
		CASE WHEN top_value IS NULL THEN kseg_plot_value(overall_mean, kind)
			ELSE round(100 * overall_mean) || '%' END,
		concat_ws(', ', kseg_plot_value(p25, kind),
			kseg_plot_value(median, kind), kseg_plot_value(p75, kind))
	FROM (SELECT *, sum(coalesce(share, 1) * z * z)
				OVER (PARTITION BY feature ORDER BY segment
					ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
				AS spread
		FROM jsonb_to_recordset(profile) AS p (segment integer, label text,
			size bigint, share double precision, feature text, top_value text,
			mean double precision, overall_mean double precision,
			index_100 double precision, z double precision,
			median double precision, p25 double precision,
			p75 double precision, kind text)
		WHERE segment IS NOT NULL AND feature IS NOT NULL) AS p
	ORDER BY 5, 1;
END;

COMMENT ON FUNCTION kseg_plot_rows(jsonb) IS
	'part of kseg_plot_profile and kseg_svg_profile: a profile made readable';

CREATE FUNCTION kseg_plot_profile(profile jsonb)
RETURNS json
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH p AS MATERIALIZED (SELECT * FROM kseg_plot_rows(profile)),
	s AS (SELECT DISTINCT segment, name FROM p),
	shared AS (
		SELECT '{"field": "feature", "type": "nominal", "title": null,
				"sort": null,
				"axis": {"labelLimit": 220, "grid": true, "domain": false,
					"ticks": false, "labelPadding": 8}}'::jsonb AS y,
			'{"field": "z", "type": "quantitative",
				"axis": {"title": "standard deviations from the average",
					"tickCount": 7, "labelFlush": false,
					"labelExpr":
						"datum.value ? format(datum.value, \"+~g\") : \"0\""
				}}' || jsonb_build_object('scale', jsonb_build_object('domain',
				jsonb_build_array((SELECT least(min(z), -1) FROM p),
					(SELECT greatest(max(z), 1) FROM p)))) AS x,
			'{"mark": {"type": "rule", "color": "#444"},
				"data": {"values": [{}]},
				"encoding": {"x": {"datum": 0}}}'::jsonb AS average,
			'[{"field": "name", "title": "segment"},
				{"field": "feature"},
				{"field": "value"},
				{"field": "average", "title": "all"},
				{"field": "index_100", "title": "index (all = 100)",
					"format": ",.0f"},
				{"field": "z", "title": "standard deviations",
					"format": "+.2f"},
				{"field": "quartiles"}]'::jsonb AS tooltip,
			kseg_plot_segments(array_agg(segment ORDER BY segment),
				array_agg(name ORDER BY segment)) AS looks,
			count(*) <= 8 AS is_one,
			(SELECT max(place) FROM p) AS places
		FROM s
	)
	SELECT kseg_plot_spec('What sets the segments apart',
		ARRAY['How far each segment is from the average of all rows.'],
		(SELECT jsonb_agg(to_jsonb(p) ORDER BY place, segment) FROM p),
		-- A line for each segment in one panel; more than eight cannot be told
		-- apart, and get a panel each.
		CASE WHEN is_one THEN jsonb_build_object(
			'width', 460,
			'height', jsonb_build_object('step', CASE WHEN places > 15 THEN 22
				ELSE 34 END),
			'layer', jsonb_build_array(average,
				jsonb_build_object(
					'mark', '{"type": "line", "strokeWidth": 2}'::jsonb,
					'encoding', jsonb_build_object('x', x, 'y', y,
						'order', '{"field": "place"}'::jsonb,
						'color', looks -> 'color',
						'opacity', '{"value": 0.08, "condition":
							{"param": "picked", "value": 0.8}}'::jsonb)),
				jsonb_build_object(
					'name', 'profile',
					'params', '[{"name": "picked", "bind": "legend", "select":
						{"type": "point", "fields": ["name"]}}]'::jsonb,
					'mark', '{"type": "point", "filled": true,
						"size": 90}'::jsonb,
					'encoding', looks || jsonb_build_object('x', x, 'y', y,
						'tooltip', tooltip, 'opacity', '{"value": 0.08, "condition":
							{"param": "picked", "value": 1}}'::jsonb))))
		ELSE jsonb_build_object(
			'columns', 3,
			'facet', '{"field": "name", "type": "nominal", "title": null,
				"sort": {"field": "segment", "op": "min"},
				"header": {"labelFontSize": 12, "labelLimit": 240,
					"labelAnchor": "start"}}'::jsonb,
			'spec', jsonb_build_object(
				'width', 230, 'height', '{"step": 20}'::jsonb,
				'layer', jsonb_build_array(
					jsonb_build_object('name', 'profile',
						'mark', '{"type": "bar",
							"height": {"band": 0.7}}'::jsonb,
						'encoding', jsonb_build_object('y', y,
							'x', jsonb_set(x, '{axis,title}',
								'"standard deviations"'),
							'color', '{"value": "#0072B2", "condition": {
								"test": "datum.z < 0",
								"value": "#E69F00"}}'::jsonb,
							'tooltip', tooltip)),
					average)))
		END)
	FROM shared;
END;

COMMENT ON FUNCTION kseg_plot_profile(jsonb) IS
	'picture of a profile; its rows as kseg_profile gives them, as an array';

CREATE FUNCTION kseg_plot_profile(model kseg_model)
RETURNS json
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	SELECT kseg_plot_profile(kseg_plot_kinds(jsonb_agg(p), model))
	FROM kseg_profile(model) AS p;
END;

COMMENT ON FUNCTION kseg_plot_profile(kseg_model) IS
	'picture of what sets the segments of a model apart';

CREATE FUNCTION kseg_plot_profile(model kseg_model, query text)
RETURNS json
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
BEGIN ATOMIC
	SELECT kseg_plot_profile(kseg_plot_kinds(jsonb_agg(p), model))
	FROM kseg_profile(model, query) AS p;
END;

COMMENT ON FUNCTION kseg_plot_profile(kseg_model, text) IS
	'picture of what sets segments apart, in all columns of a query';

-- ---- how large they are ----

CREATE FUNCTION kseg_plot_sizes(model kseg_model)
RETURNS json
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH s AS (
		SELECT DISTINCT segment, size, share,
			format('%s: %s', segment, label) AS name
		FROM kseg_profile(model)
	)
	SELECT kseg_plot_spec('How large the segments are', ARRAY[
			format('%s rows in %s segments.',
				to_char(sum(size), 'FM999,999,999,999'), count(*))],
		jsonb_agg(to_jsonb(s) ORDER BY segment), jsonb_set('{
			"width": 420, "height": {"step": 30},
			"encoding": {
				"y": {"field": "name", "type": "nominal", "sort": null,
					"title": null,
					"axis": {"labelLimit": 330, "ticks": false,
						"domain": false, "labelPadding": 8}},
				"x": {"field": "size", "type": "quantitative",
					"axis": {"title": "rows", "format": "~s", "tickCount": 5,
						"labelFlush": false}},
				"tooltip": [
					{"field": "name", "title": "segment"},
					{"field": "size", "title": "rows", "format": ","},
					{"field": "share", "format": ".1%"}]
			},
			"layer": [
				{"name": "sizes", "mark": "bar", "encoding": {}},
				{"mark": {"type": "text", "align": "left", "dx": 6},
					"encoding": {"text": {"field": "share", "format": ".1%"}}}
			]
		}', '{layer,0,encoding,color}', kseg_plot_segments(
			array_agg(segment ORDER BY segment),
			array_agg(name ORDER BY segment)) -> 'color' ||
			'{"legend": null}'))
	FROM s;
END;

COMMENT ON FUNCTION kseg_plot_sizes(kseg_model) IS
	'picture of the sizes of a model''s segments';

-- ---- the same as text ----

-- XML knows neither the control characters nor U+FFFE and U+FFFF.
CREATE FUNCTION kseg_svg_text(x text, most integer DEFAULT 1000)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 10
BEGIN ATOMIC
	SELECT replace(replace(replace(replace(replace(
			CASE WHEN length(t) > most THEN left(t, most - 1) || '...'
				ELSE t END,
			'&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'),
			'''', '&#39;')
	FROM regexp_replace(x, '[\u0001-\u001f\u007f\ufffe\uffff]+', ' ', 'g')
		AS t;
END;

COMMENT ON FUNCTION kseg_svg_text(text, integer) IS
	'part of kseg_svg_...: text cut to a length and escaped';

-- The title is drawn too; the description is read aloud instead of the
-- picture.
CREATE FUNCTION kseg_svg_frame(
	width integer,
	height integer,
	title text,
	subtitle text[],
	description text,
	picture text
)
RETURNS text
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100
BEGIN ATOMIC
	SELECT format(E'<svg xmlns="http://www.w3.org/2000/svg" role="img"'
			' viewBox="0 0 %1$s %2$s" width="%1$s" height="%2$s"'
			' font-family="Helvetica, Arial, sans-serif" font-size="14"'
			' fill="#222222">\n'
			'<title>%3$s</title>\n<desc>%4$s</desc>\n'
			'<rect width="%1$s" height="%2$s" fill="white"/>\n'
			'<text x="20" y="32" font-size="19" font-weight="bold">%3$s'
			'</text>\n',
			width, height, kseg_svg_text(title),
			kseg_svg_text(description, 1000000)) ||
		coalesce((SELECT string_agg(format(
				E'<text x="20" y="%s" fill="#555555">%s</text>\n', 34 + 20 * i,
				kseg_svg_text(line)), '' ORDER BY i)
			FROM unnest(subtitle) WITH ORDINALITY AS l (line, i)), '') ||
		coalesce(picture, '') || '</svg>';
END;

COMMENT ON FUNCTION
	kseg_svg_frame(integer, integer, text, text[], text, text) IS
	'part of kseg_svg_...: a picture with its title and description';

CREATE FUNCTION kseg_svg_elbow(elbow jsonb)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH f AS (SELECT * FROM kseg_plot_findings(elbow)),
	e AS (
		SELECT k, inertia, silhouette, is_knee, is_best_silhouette,
			row_number() OVER (ORDER BY k) AS place,
			count(*) OVER () AS places,
			round(80 + 540 * (row_number() OVER (ORDER BY k) - 0.5) /
				count(*) OVER (), 1) AS x
		FROM f, jsonb_to_recordset(f.data) AS e (k integer,
			inertia double precision, silhouette double precision,
			is_knee boolean, is_best_silhouette boolean)
	),
	-- Ticks are 1, 2 or 5 times a power of ten apart.
	extents AS (
		SELECT panel, heading, top, height, low, high,
			power(10::float8, floor(log(raw))) * CASE
				WHEN log(raw) - floor(log(raw)) < 0.0001 THEN 1
				WHEN log(raw) - floor(log(raw)) < 0.3011 THEN 2
				WHEN log(raw) - floor(log(raw)) < 0.6990 THEN 5
				ELSE 10 END AS step
		FROM f, (SELECT max(inertia) AS inertia, min(silhouette) AS least,
				max(silhouette) AS most FROM e) AS e,
			LATERAL (VALUES
				('inertia', 'Inertia: squared distances within the segments',
					90 + 20 * cardinality(findings), 190, 0, inertia, inertia),
				('silhouette',
					'Silhouette: how clearly rows belong to their segment '
					'(1 at best)',
					380 + 20 * cardinality(findings), 120,
					least(least, 0), greatest(most, 0), most))
				AS p (panel, heading, top, height, low, high, seen),
			LATERAL (SELECT coalesce(nullif(high - low, 0), 1) / 4) AS r (raw)
		WHERE seen IS NOT NULL
	),
	panels AS (
		SELECT panel, heading, top, top + height AS bottom, step,
			floor(low / step)::integer AS first,
			greatest(ceil(high / step), floor(low / step) + 1)::integer
				AS last,
			height / (step * (greatest(ceil(high / step),
				floor(low / step) + 1) - floor(low / step))) AS pixels
		FROM extents
	),
	marks AS (
		SELECT panel, place, k, x, value, top, bottom, is_found,
			-- what is next to nothing would underflow
			round((bottom - pixels * (CASE WHEN abs(value) > step / 1e6
				THEN value ELSE 0 END - first * step))::numeric, 1) AS y,
			round((bottom + pixels * first * step)::numeric, 1) AS zero,
			round(0.8 * 540 / places, 1) AS width,
			place * 3 > places * 2 AS is_far
		FROM e, LATERAL (VALUES ('inertia', inertia, is_knee),
				('silhouette', silhouette, is_best_silhouette))
				AS v (panel, value, is_found)
			JOIN panels USING (panel)
	),
	drawn AS (
		SELECT 1 AS layer, p.panel, 0 AS place, format(
			'<text x="20" y="%s">%s</text>', top - 22, heading) AS element
		FROM panels AS p
		UNION ALL
		SELECT 2, panel, i, format('<line x1="80" x2="620" y1="%1$s" '
			'y2="%1$s" stroke="%2$s"/><text x="72" y="%1$s" dy="5" '
			'text-anchor="end" font-size="13">%3$s</text>',
			round((bottom - pixels * step * (i - first))::numeric, 1),
			CASE i WHEN 0 THEN '#888888' ELSE '#e4e4e4' END,
			kseg_plot_number(i * step))
		FROM panels AS p, generate_series(first, last) AS i
		UNION ALL
		SELECT 2, panel, 1000 + place, format('<text x="%s" y="%s" '
			'text-anchor="middle" font-size="13">%s</text>', x, bottom + 20, k)
		FROM e, panels AS p WHERE (place - 1) % ((places + 24) / 25) = 0
		UNION ALL
		SELECT 2, panel, 2000, format('<text x="350" y="%s" '
			'text-anchor="middle" font-size="13">number of segments</text>',
			bottom + 42)
		FROM panels AS p WHERE panel = 'inertia'
		UNION ALL
		SELECT 3, panel, place, format('<rect x="%s" y="%s" width="%s" '
			'height="%s" fill="%s"/>', round(x - width / 2, 1),
			least(y, zero), width, abs(y - zero),
			CASE WHEN is_found THEN '#D55E00' ELSE '#9CC7E0' END)
		FROM marks WHERE panel = 'silhouette' AND value IS NOT NULL
		UNION ALL
		SELECT 4, panel, place, format('<text x="%s" y="%s" '
			'text-anchor="middle" font-weight="bold" fill="#B34700">%s</text>',
			x, least(y, zero) - 6, round(value::numeric, 2))
		FROM marks WHERE panel = 'silhouette' AND is_found
		UNION ALL
		SELECT 5, panel, place, format('<line x1="%1$s" x2="%1$s" y1="%2$s" '
			'y2="%3$s" stroke="#D55E00" stroke-width="1.5" '
			'stroke-dasharray="6 4"/><text x="%4$s" y="%5$s" '
			'text-anchor="%6$s" font-weight="bold" fill="#B34700">elbow at '
			'%7$s</text>', x, top, bottom,
			x + CASE WHEN is_far THEN -8 ELSE 8 END, top + 14,
			CASE WHEN is_far THEN 'end' ELSE 'start' END, k)
		FROM marks WHERE panel = 'inertia' AND is_found
		UNION ALL
		SELECT 6, 'inertia', 0, format('<polyline fill="none" '
			'stroke="#0072B2" stroke-width="2" points="%s"/>',
			string_agg(x || ',' || y, ' ' ORDER BY place))
		FROM marks WHERE panel = 'inertia' AND value IS NOT NULL
		HAVING count(*) > 1
		UNION ALL
		SELECT 7, panel, place, format('<circle cx="%s" cy="%s" r="%s" '
			'fill="%s"/>', x, y, CASE WHEN is_found THEN 8 ELSE 4.5 END,
			CASE WHEN is_found THEN '#D55E00' ELSE '#0072B2' END)
		FROM marks WHERE panel = 'inertia' AND value IS NOT NULL
	)
	SELECT kseg_svg_frame(640,
		(SELECT coalesce(max(bottom) + CASE count(*) WHEN 1 THEN 56
			ELSE 36 END, 110) FROM panels),
		'How many segments?', findings,
		(SELECT concat(array_to_string(findings, ' '), ' ', string_agg(concat(
				'k = ', k, ': inertia ', coalesce(kseg_plot_number(inertia),
				'unknown'), ', silhouette ' || round(silhouette::numeric, 2)),
				'; ' ORDER BY k))
			FROM e),
		(SELECT string_agg(element || E'\n', '' ORDER BY layer, panel, place)
			FROM drawn))
	FROM f;
END;

COMMENT ON FUNCTION kseg_svg_elbow(jsonb) IS
	'kseg_plot_elbow as SVG text';

CREATE FUNCTION kseg_svg_elbow(
	query text,
	k_min integer DEFAULT 1,
	k_max integer DEFAULT 10,
	options jsonb DEFAULT NULL
)
RETURNS text
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
BEGIN ATOMIC
	SELECT kseg_svg_elbow(jsonb_agg(e))
	FROM kseg_elbow(query, k_min, k_max, options) AS e;
END;

COMMENT ON FUNCTION kseg_svg_elbow(text, integer, integer, jsonb) IS
	'kseg_plot_elbow as SVG text';

CREATE FUNCTION kseg_svg_profile(profile jsonb)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH p AS (
		SELECT p.*, dense_rank() OVER (ORDER BY segment) - 1 AS panel,
			dense_rank() OVER (ORDER BY place, feature) AS line
		FROM kseg_plot_rows(profile) AS p
	),
	-- Two panels stand side by side.
	layout AS (
		SELECT max(abs(z)) AS longest, max(panel) + 1 AS panels,
			70 + 20 * max(line) AS height
		FROM p
	),
	placed AS (
		SELECT p.*, 20 + 470 * (panel % 2) AS x,
			106 + height * (panel / 2) AS y,
			106 + height * (panel / 2) + 34 + 20 * line AS base,
			round((90 * z / nullif(longest, 0))::numeric, 1) AS bar
		FROM p, layout
	),
	drawn AS (
		SELECT DISTINCT 1 AS layer, segment, 0::bigint AS line, format(
			'<text x="%1$s" y="%2$s" font-size="15" font-weight="bold">%3$s'
			'</text><text x="%1$s" y="%4$s" font-size="13" fill="#555555">%5$s'
			' rows, %6$s%%</text>', x, y + 8,
			kseg_svg_text(name, 52), y + 27,
			to_char(size, 'FM999,999,999,999'),
			round(100 * share::numeric, 1)) AS element
		FROM placed
		UNION ALL
		SELECT 2, segment, line, format('<text x="%s" y="%s" font-size="13" '
			'text-anchor="end">%s</text>', x + 150, base + 5,
			kseg_svg_text(feature, 21))
		FROM placed
		UNION ALL
		SELECT 3, segment, line, format('<rect x="%s" y="%s" width="%s" '
			'height="14" fill="%s"/>', x + 250 + least(bar, 0), base - 7,
			abs(bar), CASE WHEN bar < 0 THEN '#E69F00' ELSE '#0072B2' END)
		FROM placed WHERE bar IS NOT NULL
		UNION ALL
		SELECT 4, segment, line, format('<text x="%s" y="%s" font-size="13">%s'
			'</text>', x + 350, base + 5, kseg_svg_text(value, 15))
		FROM placed WHERE value IS NOT NULL
		UNION ALL
		SELECT 5, segment, 0, format('<line x1="%1$s" x2="%1$s" y1="%2$s" '
			'y2="%3$s" stroke="#444444"/>', min(x) + 250, min(base) - 10,
			max(base) + 10)
		FROM placed GROUP BY segment
	)
	SELECT kseg_svg_frame(
		CASE WHEN panels > 1 THEN 960 ELSE 490 END,
		(106 + coalesce(height * ((panels + 1) / 2), 0))::integer,
		'What sets the segments apart', ARRAY[
			'Bars: how far the segment is from the average of all rows' ||
				coalesce(format('; the longest is %s',
					round(longest::numeric, 1)), ''),
			'standard deviations. Beside them its mean, or its most frequent '
				'value.'],
		(SELECT string_agg(format('%s (%s%%)', name, round(100 * share)), '; '
				ORDER BY segment)
			FROM (SELECT DISTINCT segment, name, share FROM p) AS s),
		(SELECT string_agg(element || E'\n', '' ORDER BY layer, segment, line)
			FROM drawn))
	FROM layout;
END;

COMMENT ON FUNCTION kseg_svg_profile(jsonb) IS
	'picture of a profile as SVG text; its rows as kseg_profile gives them';

CREATE FUNCTION kseg_svg_profile(model kseg_model)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	SELECT kseg_svg_profile(kseg_plot_kinds(jsonb_agg(p), model))
	FROM kseg_profile(model) AS p;
END;

COMMENT ON FUNCTION kseg_svg_profile(kseg_model) IS
	'what sets the segments of a model apart, as SVG text';

CREATE FUNCTION kseg_svg_profile(model kseg_model, query text)
RETURNS text
LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
BEGIN ATOMIC
	SELECT kseg_svg_profile(kseg_plot_kinds(jsonb_agg(p), model))
	FROM kseg_profile(model, query) AS p;
END;

COMMENT ON FUNCTION kseg_svg_profile(kseg_model, text) IS
	'what sets segments apart in all columns of a query, as SVG text';
