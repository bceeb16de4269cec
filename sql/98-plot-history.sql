-- 98-plot-history.sql: pictures of what became of segments

-- As those of 80-plot.sql, over what runs left in the tables.

-- ---- who moved ----

CREATE FUNCTION kseg_plot_migration(migration jsonb)
RETURNS json
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
	WITH m AS MATERIALIZED (
		SELECT from_segment, to_segment, customers, share,
			CASE WHEN from_segment IS NULL THEN 'new'
				ELSE format('%s: %s', from_segment, from_label) END AS "from",
			CASE WHEN to_segment IS NULL THEN 'gone'
				ELSE format('%s: %s', to_segment, to_label) END AS "to",
			CASE WHEN from_segment IS NULL THEN 'new'
				WHEN to_segment IS NULL THEN 'gone'
				WHEN from_segment = to_segment THEN 'stayed'
				ELSE 'moved' END AS fate
		FROM jsonb_to_recordset(migration) AS m (from_segment integer,
			from_label text, to_segment integer, to_label text,
			customers bigint, share double precision)
		WHERE customers IS NOT NULL
	),
	f AS (
		SELECT coalesce(sum(customers)
				FILTER (WHERE from_segment IS NOT NULL), 0) AS before,
			coalesce(sum(customers) FILTER (WHERE fate = 'moved'), 0) AS moved,
			coalesce(sum(customers) FILTER (WHERE fate = 'new'), 0) AS new,
			coalesce(sum(customers) FILTER (WHERE fate = 'gone'), 0) AS gone,
			coalesce(max(share) FILTER (WHERE fate IN ('moved', 'gone')), 1)
				AS most
		FROM m
	),
	names AS (
		SELECT (SELECT jsonb_agg("from" ORDER BY from_segment NULLS LAST)
				FROM (SELECT DISTINCT "from", from_segment FROM m) AS n)
				AS rows,
			(SELECT jsonb_agg("to" ORDER BY to_segment NULLS LAST)
				FROM (SELECT DISTINCT "to", to_segment FROM m) AS n)
				AS columns
	)
	SELECT kseg_plot_spec('Who moved to another segment', ARRAY[
			CASE WHEN before + new = 0 THEN 'There are no customers.'
				WHEN before = 0 THEN format('All %s customers are new.',
					to_char(new, 'FM999,999,999,999'))
				ELSE format('%s of %s customers moved (%s%%); %s are new, '
					'%s are gone.', to_char(moved, 'FM999,999,999,999'),
					to_char(before, 'FM999,999,999,999'),
					round(100 * moved / before, 1),
					to_char(new, 'FM999,999,999,999'),
					to_char(gone, 'FM999,999,999,999')) END],
		(SELECT jsonb_agg(to_jsonb(m) || jsonb_build_object('shown',
				kseg_plot_number(customers::double precision))
				ORDER BY from_segment NULLS LAST, to_segment NULLS LAST)
			FROM m),
		'{"width": {"step": 64}, "height": {"step": 34}}' ||
		jsonb_build_object(
			'encoding', jsonb_build_object(
				'y', '{"field": "from", "type": "nominal", "title": "from",
					"axis": {"labelLimit": 300, "ticks": false,
						"domain": false, "labelPadding": 8}}' ||
					jsonb_build_object('sort', NULL, 'scale',
						jsonb_build_object('domain', coalesce(rows, '[]'))),
				'x', '{"field": "to", "type": "nominal", "title": "to",
					"axis": {"orient": "top", "labelAngle": -35,
						"labelLimit": 220, "ticks": false, "domain": false,
						"labelPadding": 8}}' ||
					jsonb_build_object('sort', NULL, 'scale',
						jsonb_build_object('domain', coalesce(columns, '[]'))),
				'tooltip', '[
					{"field": "from"}, {"field": "to"},
					{"field": "customers", "format": ","},
					{"field": "share", "title": "share of those before",
						"format": ".2%"}]'::jsonb),
			-- Those who stay are the many, and of the new there is no share:
			-- their colour would make all others look the same.
			'layer', jsonb_build_array(
				jsonb_build_object(
					'name', 'moves',
					'mark', '{"type": "rect", "stroke": "white",
						"strokeWidth": 2, "invalid": null}'::jsonb,
					'encoding', jsonb_build_object('color', '{
						"condition": {"value": "#eeeeee", "test":
							"datum.fate === \"stayed\" || datum.fate === \"new\""},
						"field": "share", "type": "quantitative"}' ||
						jsonb_build_object('legend', CASE
							WHEN moved + gone > 0 THEN '{
								"title": ["of those who", "were there"],
								"format": ".2~%", "tickCount": 4}'::jsonb END,
							'scale', jsonb_build_object(
							'range', '["#eaf3fb", "#6baed6"]'::jsonb,
							'domain', jsonb_build_array(0, most))))),
				'{"mark": {"type": "text", "baseline": "middle"},
					"encoding": {"text": {"field": "shown"}}}'::jsonb)))
	FROM f, names;
END;

COMMENT ON FUNCTION kseg_plot_migration(jsonb) IS
	'picture of moves between segments; rows as kseg_migration gives them, as an array';

CREATE FUNCTION kseg_plot_migration(
	name text,
	since timestamp with time zone DEFAULT NULL,
	until timestamp with time zone DEFAULT NULL
)
RETURNS json
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000000
BEGIN ATOMIC
	SELECT kseg_plot_migration(coalesce(jsonb_agg(m), '[]'))
	FROM kseg_migration(kseg_plot_migration.name, since, until) AS m;
END;

COMMENT ON FUNCTION kseg_plot_migration(text, timestamp with time zone,
	timestamp with time zone) IS
	'picture of who moved between the segments of a segmentation';

-- ---- how sizes went ----

CREATE FUNCTION kseg_plot_sizes(
	name text,
	since timestamp with time zone DEFAULT NULL
)
RETURNS json
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10000
BEGIN ATOMIC
	WITH z AS MATERIALIZED (
		SELECT z.run_id AS run, z.at, z.version, z.segment, z.size, z.share,
			format('%s: %s', z.segment, z.label) AS name
		FROM kseg_segment_sizes AS z
		WHERE z.segmentation = kseg_plot_sizes.name AND
			(since IS NULL OR z.at >= since)
	),
	-- Milliseconds; a day around a single run.
	f AS (
		SELECT 1000 * extract(epoch FROM first_at - room)::float8 AS first_at,
			1000 * extract(epoch FROM last_at + room)::float8 AS last_at, most
		FROM (SELECT coalesce(min(at), now()) AS first_at,
				coalesce(max(at), now()) AS last_at,
				CASE WHEN min(at) < max(at) THEN interval '0'
					ELSE interval '12 hours' END AS room,
				1.05 * coalesce(max(size), 1) AS most
			FROM z) AS z
	),
	s AS (SELECT DISTINCT segment, z.name FROM z),
	looks AS (
		SELECT kseg_plot_segments(array_agg(segment ORDER BY segment),
			array_agg(s.name ORDER BY segment)) AS looks
		FROM s
	)
	SELECT kseg_plot_spec('How large the segments were', ARRAY[
			CASE (SELECT count(DISTINCT run) FROM z)
				WHEN 0 THEN 'There is no run.'
				WHEN 1 THEN 'After a single run.'
				ELSE format('After each of %s runs.',
					(SELECT count(DISTINCT run) FROM z)) END],
		(SELECT jsonb_agg(to_jsonb(z) ORDER BY run, segment) FROM z),
		jsonb_build_object(
			'width', 520, 'height', 300,
			'encoding', jsonb_build_object(
				'x', '{"field": "at", "type": "temporal", "title": null,
					"axis": {"grid": false, "tickCount": 8,
						"labelOverlap": true}}' ||
					jsonb_build_object('scale', jsonb_build_object('domain',
						jsonb_build_array(first_at, last_at))),
				'y', '{"field": "size", "type": "quantitative",
					"axis": {"title": "customers", "format": "~s",
						"tickCount": 5}}' ||
					jsonb_build_object('scale', jsonb_build_object('domain',
						jsonb_build_array(0, most)))),
			'layer', jsonb_build_array(
				jsonb_build_object(
					'mark', '{"type": "line", "strokeWidth": 2}'::jsonb,
					'encoding', jsonb_build_object(
						'color', looks -> 'color',
						'opacity', '{"value": 0.08, "condition":
							{"param": "picked", "value": 0.8}}'::jsonb)),
				jsonb_build_object(
					'name', 'sizes',
					'params', '[{"name": "picked", "bind": "legend", "select":
						{"type": "point", "fields": ["name"]}}]'::jsonb,
					'mark', '{"type": "point", "filled": true,
						"size": 50}'::jsonb,
					'encoding', looks || '{
						"opacity": {"value": 0.08, "condition":
							{"param": "picked", "value": 1}},
						"tooltip": [
							{"field": "name", "title": "segment"},
							{"field": "at", "type": "temporal",
								"title": "run", "format": "%Y-%m-%d %H:%M"},
							{"field": "size", "title": "customers",
								"format": ","},
							{"field": "share", "format": ".1%"},
							{"field": "version", "title": "model"}]}'))))
	FROM f, looks, kseg_migration_check(kseg_plot_sizes.name,
		(SELECT s.id FROM kseg_segmentations AS s
			WHERE s.name = kseg_plot_sizes.name),
		NULL, '-infinity', NULL, 'infinity') AS id
	-- or the check would be left out
	WHERE id IS NOT NULL;
END;

COMMENT ON FUNCTION kseg_plot_sizes(text, timestamp with time zone) IS
	'picture of the sizes of a segmentation''s segments over its runs';
