-- 30-predict.sql: which segment a row belongs to

-- Scoring is some dozen times the work of a comparison, and more with more
-- segments; COST lets the planner check cheaper conditions first.

CREATE FUNCTION kseg_predict(model kseg_model, VARIADIC features "any")
RETURNS integer
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 25;

COMMENT ON FUNCTION kseg_predict(kseg_model, "any") IS
	'segment of a row; features in the order of the model, or one float8[]';

CREATE FUNCTION kseg_score(
	model kseg_model,
	VARIADIC features "any",
	OUT segment integer,
	OUT distance double precision,
	OUT second_segment integer,
	OUT second_distance double precision,
	OUT margin double precision,
	OUT is_outlier boolean
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 50;

COMMENT ON FUNCTION kseg_score(kseg_model, "any") IS
	'segment of a row, how far it is, which is next, and whether the row is odd';

