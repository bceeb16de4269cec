-- 96-views.sql: segmentations as dashboards read them

-- Each view has one grain, and columns of plain types.  They show a reader
-- the segmentations that he may see: row-level security of the tables holds,
-- since a view reads them as whoever asks.

CREATE VIEW kseg_current WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, h.key, h.segment, n.label,
		h.valid_from AS segment_since, h.previous AS previous_segment,
		previous_n.label AS previous_label
	FROM kseg_segmentations AS s
		JOIN kseg_history AS h
			ON h.segmentation = s.id AND h.valid_to IS NULL
		LEFT JOIN kseg_shown_labels AS n
			ON n.segmentation = s.id AND n.segment = h.segment
		LEFT JOIN kseg_shown_labels AS previous_n
			ON previous_n.segmentation = s.id AND
				previous_n.segment = h.previous;

COMMENT ON VIEW kseg_current IS
	'the segment that each customer is in now; a row for each customer';
COMMENT ON COLUMN kseg_current.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_current.key IS
	'the customer''s key as text; of several columns: as a row, (1,a)';
COMMENT ON COLUMN kseg_current.segment IS
	'id of the segment';
COMMENT ON COLUMN kseg_current.label IS
	'label of the segment: given by people, else automatic';
COMMENT ON COLUMN kseg_current.segment_since IS
	'start of the run that put the customer there';
COMMENT ON COLUMN kseg_current.previous_segment IS
	'id of the segment before; null: the customer was new';
COMMENT ON COLUMN kseg_current.previous_label IS
	'label of the segment before';

CREATE VIEW kseg_segment_sizes WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, r.id AS run_id, r.started AS at, r.version,
		z.segment, n.label, z.size, z.share
	FROM kseg_segmentations AS s
		JOIN kseg_runs AS r ON r.segmentation = s.id
		JOIN kseg_sizes AS z ON z.run = r.id
		LEFT JOIN kseg_shown_labels AS n
			ON n.segmentation = s.id AND n.segment = z.segment;

COMMENT ON VIEW kseg_segment_sizes IS
	'how large the segments were after each run; a row for each run and segment';
COMMENT ON COLUMN kseg_segment_sizes.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_segment_sizes.run_id IS
	'number of the run';
COMMENT ON COLUMN kseg_segment_sizes.at IS
	'when the run started';
COMMENT ON COLUMN kseg_segment_sizes.version IS
	'version of the model that gave the segments';
COMMENT ON COLUMN kseg_segment_sizes.segment IS
	'id of the segment';
COMMENT ON COLUMN kseg_segment_sizes.label IS
	'label of the segment, the one it has now: given by people, else automatic';
COMMENT ON COLUMN kseg_segment_sizes.size IS
	'customers in the segment';
COMMENT ON COLUMN kseg_segment_sizes.share IS
	'their share of all customers with a segment, 0 to 1';

CREATE VIEW kseg_latest_profile WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, m.version, p.segment,
		coalesce(l.label, p.label) AS label, p.size, p.share, p.feature,
		p.top_value, p.mean, p.overall_mean, p.index_100, p.z, p.rank
	FROM kseg_segmentations AS s
		JOIN kseg_models AS m
			ON m.segmentation = s.id AND m.version = s.version
		CROSS JOIN LATERAL kseg_profile(m.model) AS p
		LEFT JOIN kseg_labels AS l
			ON l.segmentation = s.id AND l.segment = p.segment;

COMMENT ON VIEW kseg_latest_profile IS
	'what the segments of the model in use are like; a row for each segment and feature';
COMMENT ON COLUMN kseg_latest_profile.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_latest_profile.version IS
	'version of the model in use';
COMMENT ON COLUMN kseg_latest_profile.segment IS
	'id of the segment';
COMMENT ON COLUMN kseg_latest_profile.label IS
	'label of the segment: given by people, else automatic';
COMMENT ON COLUMN kseg_latest_profile.size IS
	'rows of the segment when the model was fitted';
COMMENT ON COLUMN kseg_latest_profile.share IS
	'their share of the rows of the fit, 0 to 1';
COMMENT ON COLUMN kseg_latest_profile.feature IS
	'name of the feature';
COMMENT ON COLUMN kseg_latest_profile.top_value IS
	'texts: the most frequent value in the segment; else null';
COMMENT ON COLUMN kseg_latest_profile.mean IS
	'mean in the segment; of a text: share of the top value';
COMMENT ON COLUMN kseg_latest_profile.overall_mean IS
	'the same over all rows of the fit';
COMMENT ON COLUMN kseg_latest_profile.index_100 IS
	'100 times mean, divided by overall_mean';
COMMENT ON COLUMN kseg_latest_profile.z IS
	'how far the mean is from the overall mean, in standard deviations';
COMMENT ON COLUMN kseg_latest_profile.rank IS
	'place of the feature in the segment by the size of z, from 1';

GRANT SELECT ON kseg_current, kseg_segment_sizes, kseg_latest_profile
	TO PUBLIC;
