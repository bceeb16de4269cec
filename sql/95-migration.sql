-- 95-migration.sql: who went from which segment to which

-- All of it reads the tables as the caller, who sees the segmentations that
-- he may see.

CREATE FUNCTION kseg_migration_check(
	name text,
	segmentation integer,
	since_run bigint,
	since timestamp with time zone,
	until_run bigint,
	until timestamp with time zone
)
RETURNS integer
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1;

COMMENT ON FUNCTION kseg_migration_check(text, integer, bigint,
	timestamp with time zone, bigint, timestamp with time zone) IS
	'part of kseg_migration: the segmentation, or an error that says what does not exist';

-- Customers who stay are the many: one row of the history holds both moments,
-- and these rows are counted by segment.  The key is looked at for the others
-- alone; and for nobody, if nobody had a segment at first, as before the first
-- run.  Strict, so that it is planned by itself and not with its caller.
CREATE FUNCTION kseg_migration_between(
	segmentation integer,
	since timestamp with time zone,
	until timestamp with time zone,
	OUT from_segment integer,
	OUT from_label text,
	OUT to_segment integer,
	OUT to_label text,
	OUT customers bigint,
	OUT share double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 50
BEGIN ATOMIC
	WITH moves AS (
		SELECT from_segment, to_segment, sum(customers)::bigint AS customers
		FROM (SELECT max(segment) FILTER (WHERE was_there) AS from_segment,
				max(segment) FILTER (WHERE is_there) AS to_segment,
				-- of a customer who moved there is a row for each moment
				greatest(count(*) FILTER (WHERE was_there),
					count(*) FILTER (WHERE is_there)) AS customers
			FROM (SELECT h.key, h.segment, h.valid_from <= since AS was_there,
					h.valid_from <= until AND
						(h.valid_to IS NULL OR h.valid_to > until) AS is_there
				FROM kseg_history AS h
				WHERE h.segmentation = kseg_migration_between.segmentation AND
					(h.valid_to IS NULL OR h.valid_to > since)
				-- compute once a row what is used several times
				OFFSET 0) AS h,
				(SELECT NOT EXISTS (SELECT FROM kseg_history AS h
					WHERE h.segmentation =
							kseg_migration_between.segmentation AND
						h.valid_from <= since) AS nobody OFFSET 0) AS n
			WHERE was_there OR is_there
			-- ids of segments are positive
			GROUP BY CASE WHEN is_there AND was_there THEN segment
					WHEN is_there AND nobody THEN -segment END,
				CASE WHEN NOT is_there OR NOT (was_there OR nobody) THEN key
					END) AS m
		GROUP BY 1, 2
	)
	SELECT m.from_segment, from_n.label, m.to_segment,
		to_n.label, m.customers,
		CASE WHEN m.from_segment IS NOT NULL THEN m.customers /
			sum(m.customers::double precision)
				OVER (PARTITION BY m.from_segment) END
	FROM moves AS m
		LEFT JOIN kseg_shown_labels AS from_n
			ON from_n.segmentation = kseg_migration_between.segmentation AND
				from_n.segment = m.from_segment
		LEFT JOIN kseg_shown_labels AS to_n
			ON to_n.segmentation = kseg_migration_between.segmentation AND
				to_n.segment = m.to_segment
	ORDER BY m.from_segment NULLS LAST, m.to_segment NULLS LAST;
END;

COMMENT ON FUNCTION kseg_migration_between(integer, timestamp with time zone,
	timestamp with time zone) IS
	'part of kseg_migration: moves between two moments';

CREATE FUNCTION kseg_migration(
	name text,
	since timestamp with time zone DEFAULT NULL,
	until timestamp with time zone DEFAULT NULL,
	OUT from_segment integer,
	OUT from_label text,
	OUT to_segment integer,
	OUT to_label text,
	OUT customers bigint,
	OUT share double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000000 ROWS 50
BEGIN ATOMIC
	SELECT m.*
	FROM (SELECT (SELECT s.id FROM kseg_segmentations AS s
				WHERE s.name = kseg_migration.name) AS id,
			coalesce(until, 'infinity') AS until) AS s,
		-- a microsecond before the last run that changed something: what that
		-- run moved
		LATERAL (SELECT coalesce(since,
				(SELECT r.started - interval '1 microsecond'
					FROM kseg_runs AS r
					WHERE r.segmentation = s.id AND r.started <= s.until AND
						r.action NOT IN ('dry', 'skipped') AND
						(r.changed > 0 OR r.new > 0 OR r.gone > 0)
					ORDER BY r.started DESC LIMIT 1),
				'-infinity') AS since) AS t,
		LATERAL kseg_migration_between(kseg_migration_check(
			kseg_migration.name, s.id, NULL, t.since, NULL, s.until),
			t.since, s.until) AS m;
END;

COMMENT ON FUNCTION kseg_migration(text, timestamp with time zone,
	timestamp with time zone) IS
	'how many customers went from which segment to which between two moments';

-- An untyped literal could be a moment or a run.
CREATE FUNCTION kseg_migration(
	name text,
	since text,
	until text DEFAULT NULL,
	OUT from_segment integer,
	OUT from_label text,
	OUT to_segment integer,
	OUT to_label text,
	OUT customers bigint,
	OUT share double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000000 ROWS 50
BEGIN ATOMIC
	SELECT m.*
	FROM kseg_migration(kseg_migration.name,
		kseg_migration.since::timestamp with time zone,
		kseg_migration.until::timestamp with time zone) AS m;
END;

COMMENT ON FUNCTION kseg_migration(text, text, text) IS
	'the same, for moments that are written as text';

CREATE FUNCTION kseg_migration(
	name text,
	since_run bigint,
	until_run bigint DEFAULT NULL,
	OUT from_segment integer,
	OUT from_label text,
	OUT to_segment integer,
	OUT to_label text,
	OUT customers bigint,
	OUT share double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000000 ROWS 50
BEGIN ATOMIC
	SELECT m.*
	FROM (SELECT (SELECT s.id FROM kseg_segmentations AS s
				WHERE s.name = kseg_migration.name) AS id) AS s,
		LATERAL (SELECT
			(SELECT r.started FROM kseg_runs AS r
				WHERE r.id = since_run AND r.segmentation = s.id) AS since,
			CASE WHEN until_run IS NULL THEN 'infinity'
				ELSE (SELECT r.started FROM kseg_runs AS r
					WHERE r.id = until_run AND r.segmentation = s.id) END
				AS until) AS t,
		LATERAL kseg_migration_between(kseg_migration_check(
			kseg_migration.name, s.id, since_run, t.since, until_run, t.until),
			t.since, t.until) AS m;
END;

COMMENT ON FUNCTION kseg_migration(text, bigint, bigint) IS
	'how many customers went from which segment to which between two runs';
