-- 93-label.sql: names that people give to segments

CREATE FUNCTION kseg_label(
	name text,
	segment integer,
	label text,
	note text DEFAULT NULL
)
RETURNS void
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION kseg_label(text, integer, text, text) IS
	'give a segment a name, which it keeps through refits; null takes it away';

-- What each segment is called; the other views and kseg_migration() join it.
CREATE VIEW kseg_shown_labels WITH (security_invoker = true) AS
	SELECT n.segmentation, n.segment, coalesce(l.label, n.name) AS label
	FROM kseg_names AS n
		LEFT JOIN kseg_labels AS l
			ON l.segmentation = n.segmentation AND l.segment = n.segment;

COMMENT ON VIEW kseg_shown_labels IS
	'part of the other views: what each segment is called';
COMMENT ON COLUMN kseg_shown_labels.segmentation IS
	'id of kseg_segmentations';
COMMENT ON COLUMN kseg_shown_labels.segment IS
	'id of the segment, also of one that has ended';
COMMENT ON COLUMN kseg_shown_labels.label IS
	'label of the segment: given by people, else automatic';

GRANT SELECT ON kseg_shown_labels TO PUBLIC;
