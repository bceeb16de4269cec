-- 73-project.sql: rows in two or three dimensions, for pictures

CREATE FUNCTION kseg_project(
	model kseg_model,
	query text,
	key text,
	dims integer DEFAULT 2,
	max_rows integer DEFAULT NULL,
	OUT key text,
	OUT segment integer,
	OUT x double precision,
	OUT y double precision,
	OUT z double precision,
	OUT explained double precision
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 1000;

COMMENT ON FUNCTION kseg_project(kseg_model, text, text, integer, integer) IS
	'rows of a query on the axes that keep most of their variance (PCA)';
