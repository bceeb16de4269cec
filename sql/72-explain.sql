-- 72-explain.sql: rules that describe segments

CREATE FUNCTION kseg_explain(
	model kseg_model,
	query text,
	OUT segment integer,
	OUT rule text,
	OUT coverage double precision,
	OUT "precision" double precision,
	OUT rows bigint
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 10;

COMMENT ON FUNCTION kseg_explain(kseg_model, text) IS
	'a condition on the columns of a query for each segment, and how well it finds it';

