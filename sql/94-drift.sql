
-- 94-drift.sql: how far customers are from those of the fit

-- VOLATILE and PARALLEL UNSAFE as all functions that run a query
-- (50-query.sql); this one runs it as the segmentation's owner.

CREATE FUNCTION kseg_drift(
	name text,
	OUT feature text,
	OUT segment integer,
	OUT label text,
	OUT psi double precision,
	OUT share_then double precision,
	OUT share_now double precision,
	OUT shift double precision,
	OUT verdict text
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 20;

COMMENT ON FUNCTION kseg_drift(text) IS
	'how far a segmentation''s customers now are from those that its model was fitted on';
