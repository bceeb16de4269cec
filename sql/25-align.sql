-- 25-align.sql: segments that keep their ids from one model to the next

CREATE FUNCTION kseg_align(new kseg_model, old kseg_model)
RETURNS kseg_model
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION kseg_align(kseg_model, kseg_model) IS
	'the new model, its segments with the ids of the old one''s that they continue';

CREATE FUNCTION kseg_alignment(
	new kseg_model,
	old kseg_model,
	OUT old_segment integer,
	OUT segment integer,
	OUT outcome text,
	OUT other_segment integer,
	OUT distance double precision,
	OUT old_share double precision,
	OUT share double precision
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;

COMMENT ON FUNCTION kseg_alignment(kseg_model, kseg_model) IS
	'what became of each segment from the old model to the new one';
