-- Prints dbt.yml: kseg's views as sources of dbt, with their comments, and a
-- dashboard as an exposure of them.
--
--	psql -X -q -At -f dbt.sql >dbt.yml

WITH views AS (
	SELECT c.oid, c.relname, n.nspname,
		row_number() OVER (ORDER BY c.relname) AS place
	FROM pg_extension AS e
		JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND
			d.refobjid = e.oid AND d.deptype = 'e' AND
			d.classid = 'pg_class'::regclass
		JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'v'
		JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE e.extname = 'kseg' AND
		c.relname IN ('kseg_overview', 'kseg_segment_labels', 'kseg_current',
			'kseg_segment_sizes', 'kseg_latest_profile', 'kseg_latest_elbow',
			'kseg_latest_scatter', 'kseg_run_log', 'kseg_run_drift',
			'kseg_run_migration')
),
lines AS (
	SELECT 1 AS part, 0 AS place, 0 AS attnum, format(
		E'version: 2\n\nsources:\n  - name: kseg\n    schema: %s\n'
		'    description: "customer segmentations, kept up to date by kseg_run()"\n'
		'    tables:', (SELECT to_json(min(nspname::text)) FROM views)) AS line
	UNION ALL
	SELECT 2, place, 0, format(
		E'      - name: %s\n        description: %s\n        columns:', relname,
		to_json(obj_description(oid, 'pg_class')))
	FROM views
	UNION ALL
	SELECT 2, place, attnum, format(E'          - name: %s\n'
		'            data_type: %s\n            description: %s', to_json(attname::text),
		format_type(atttypid, NULL), to_json(col_description(oid, attnum)))
	FROM views JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND
		NOT attisdropped
	UNION ALL
	SELECT 3, 0, 0, E'\nexposures:\n  - name: kseg_dashboard\n    type: dashboard\n'
		'    maturity: high\n'
		'    description: "the page that docs/dashboard makes of a segmentation"\n'
		'    owner:\n      name: "whoever looks after the segmentation"\n'
		'      email: "analytics@example.com"\n    depends_on:'
	UNION ALL
	SELECT 4, place, 0, format('      - source(''kseg'', ''%s'')', relname)
	FROM views
)
SELECT line FROM lines ORDER BY part, place, attnum;
