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
