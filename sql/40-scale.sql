-- 40-scale.sql: scaling without a fit

CREATE FUNCTION kseg_scaler_transition(internal, method text,
	VARIADIC features "any")
RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 5;

CREATE FUNCTION kseg_scaler_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_scaler_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_scaler_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_scaler_final(internal) RETURNS kseg_scaler
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;

COMMENT ON FUNCTION kseg_scaler_transition(internal, text, "any") IS
	'aggregate transition function';
COMMENT ON FUNCTION kseg_scaler_combine(internal, internal) IS
	'aggregate combine function';
COMMENT ON FUNCTION kseg_scaler_serialize(internal) IS
	'aggregate serial function';
COMMENT ON FUNCTION kseg_scaler_deserialize(bytea, internal) IS
	'aggregate deserial function';
COMMENT ON FUNCTION kseg_scaler_final(internal) IS
	'aggregate final function';

CREATE AGGREGATE kseg_scaler(method text, VARIADIC features "any") (
	SFUNC = kseg_scaler_transition,
	STYPE = internal,
	SSPACE = 8192,
	FINALFUNC = kseg_scaler_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = kseg_scaler_combine,
	SERIALFUNC = kseg_scaler_serialize,
	DESERIALFUNC = kseg_scaler_deserialize,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE kseg_scaler(text, VARIADIC "any") IS
	'scaler of numeric columns: zscore, minmax, robust, maxabs or none';

CREATE FUNCTION kseg_scale(scaler kseg_scaler, VARIADIC features "any")
RETURNS double precision[]
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_unscale(scaler kseg_scaler, scaled double precision[])
RETURNS double precision[]
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION kseg_scale(kseg_scaler, "any") IS
	'features of a row, scaled; in the order of the scaler, or one float8[]';
COMMENT ON FUNCTION kseg_unscale(kseg_scaler, double precision[]) IS
	'scaled features of a row as they were';

-- A window function is called for every row, but works at the first one.

CREATE FUNCTION kseg_normalize(x double precision,
	method text DEFAULT 'zscore')
RETURNS double precision
	AS 'MODULE_PATHNAME', 'kseg_normalize_window'
	LANGUAGE C WINDOW IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION kseg_normalize(double precision, text) IS
	'a value scaled by those of its partition';
