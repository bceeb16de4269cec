-- 10-types.sql: kseg_model and kseg_scaler as values, options, and what is in
-- a model

-- ---- kseg_model ----

CREATE TYPE kseg_model;

CREATE FUNCTION kseg_model_in(cstring) RETURNS kseg_model
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_model_out(kseg_model) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_model_recv(internal) RETURNS kseg_model
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_model_send(kseg_model) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE TYPE kseg_model (
	INPUT = kseg_model_in,
	OUTPUT = kseg_model_out,
	RECEIVE = kseg_model_recv,
	SEND = kseg_model_send,
	STORAGE = extended
);

COMMENT ON TYPE kseg_model IS 'a fitted segmentation: everything needed to score new rows';
COMMENT ON FUNCTION kseg_model_in(cstring) IS 'I/O';
COMMENT ON FUNCTION kseg_model_out(kseg_model) IS 'I/O';
COMMENT ON FUNCTION kseg_model_recv(internal) IS 'I/O';
COMMENT ON FUNCTION kseg_model_send(kseg_model) IS 'I/O';

CREATE FUNCTION kseg_model_to_jsonb(kseg_model) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_model_from_jsonb(jsonb) RETURNS kseg_model
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

-- nothing is lost on the way to jsonb; the way back can fail, so one asks
-- for it
CREATE CAST (kseg_model AS jsonb)
	WITH FUNCTION kseg_model_to_jsonb(kseg_model) AS ASSIGNMENT;

CREATE CAST (jsonb AS kseg_model)
	WITH FUNCTION kseg_model_from_jsonb(jsonb);

-- the server's JSON functions look for this one, and make a string without it
CREATE FUNCTION kseg_model_to_json(kseg_model) RETURNS json
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE CAST (kseg_model AS json)
	WITH FUNCTION kseg_model_to_json(kseg_model) AS ASSIGNMENT;

COMMENT ON FUNCTION kseg_model_to_json(kseg_model) IS
	'the model as json, with all its numbers exact';
COMMENT ON CAST (kseg_model AS json) IS
	'the model as json, with all its numbers exact';

COMMENT ON FUNCTION kseg_model_to_jsonb(kseg_model) IS
	'the model as jsonb, with all its numbers exact';
COMMENT ON FUNCTION kseg_model_from_jsonb(jsonb) IS
	'the model that was cast to jsonb';
COMMENT ON CAST (kseg_model AS jsonb) IS
	'the model as jsonb, with all its numbers exact';
COMMENT ON CAST (jsonb AS kseg_model) IS
	'the model that was cast to jsonb';

CREATE FUNCTION kseg_model_eq(kseg_model, kseg_model) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kseg_value_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE FUNCTION kseg_model_ne(kseg_model, kseg_model) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kseg_value_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE OPERATOR = (
	LEFTARG = kseg_model,
	RIGHTARG = kseg_model,
	FUNCTION = kseg_model_eq,
	COMMUTATOR = =,
	NEGATOR = <>,
	RESTRICT = eqsel,
	JOIN = eqjoinsel
);

CREATE OPERATOR <> (
	LEFTARG = kseg_model,
	RIGHTARG = kseg_model,
	FUNCTION = kseg_model_ne,
	COMMUTATOR = <>,
	NEGATOR = =,
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);

COMMENT ON FUNCTION kseg_model_eq(kseg_model, kseg_model) IS
	'implementation of = operator';
COMMENT ON FUNCTION kseg_model_ne(kseg_model, kseg_model) IS
	'implementation of <> operator';
COMMENT ON OPERATOR = (kseg_model, kseg_model) IS
	'the same to the last bit';
COMMENT ON OPERATOR <> (kseg_model, kseg_model) IS
	'not the same to the last bit';

-- ---- kseg_scaler ----

CREATE TYPE kseg_scaler;

CREATE FUNCTION kseg_scaler_in(cstring) RETURNS kseg_scaler
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_scaler_out(kseg_scaler) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_scaler_recv(internal) RETURNS kseg_scaler
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_scaler_send(kseg_scaler) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE TYPE kseg_scaler (
	INPUT = kseg_scaler_in,
	OUTPUT = kseg_scaler_out,
	RECEIVE = kseg_scaler_recv,
	SEND = kseg_scaler_send,
	STORAGE = extended
);

COMMENT ON TYPE kseg_scaler IS 'the scaling of numeric columns, to be applied and undone';
COMMENT ON FUNCTION kseg_scaler_in(cstring) IS 'I/O';
COMMENT ON FUNCTION kseg_scaler_out(kseg_scaler) IS 'I/O';
COMMENT ON FUNCTION kseg_scaler_recv(internal) IS 'I/O';
COMMENT ON FUNCTION kseg_scaler_send(kseg_scaler) IS 'I/O';

CREATE FUNCTION kseg_scaler_to_jsonb(kseg_scaler) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_scaler_from_jsonb(jsonb) RETURNS kseg_scaler
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

-- nothing is lost on the way to jsonb; the way back can fail, so one asks
-- for it
CREATE CAST (kseg_scaler AS jsonb)
	WITH FUNCTION kseg_scaler_to_jsonb(kseg_scaler) AS ASSIGNMENT;

CREATE CAST (jsonb AS kseg_scaler)
	WITH FUNCTION kseg_scaler_from_jsonb(jsonb);

-- the server's JSON functions look for this one, and make a string without it
CREATE FUNCTION kseg_scaler_to_json(kseg_scaler) RETURNS json
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE CAST (kseg_scaler AS json)
	WITH FUNCTION kseg_scaler_to_json(kseg_scaler) AS ASSIGNMENT;

COMMENT ON FUNCTION kseg_scaler_to_json(kseg_scaler) IS
	'the scaler as json, with all its numbers exact';
COMMENT ON CAST (kseg_scaler AS json) IS
	'the scaler as json, with all its numbers exact';

COMMENT ON FUNCTION kseg_scaler_to_jsonb(kseg_scaler) IS
	'the scaler as jsonb, with all its numbers exact';
COMMENT ON FUNCTION kseg_scaler_from_jsonb(jsonb) IS
	'the scaler that was cast to jsonb';
COMMENT ON CAST (kseg_scaler AS jsonb) IS
	'the scaler as jsonb, with all its numbers exact';
COMMENT ON CAST (jsonb AS kseg_scaler) IS
	'the scaler that was cast to jsonb';

CREATE FUNCTION kseg_scaler_eq(kseg_scaler, kseg_scaler) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kseg_value_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE FUNCTION kseg_scaler_ne(kseg_scaler, kseg_scaler) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kseg_value_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE OPERATOR = (
	LEFTARG = kseg_scaler,
	RIGHTARG = kseg_scaler,
	FUNCTION = kseg_scaler_eq,
	COMMUTATOR = =,
	NEGATOR = <>,
	RESTRICT = eqsel,
	JOIN = eqjoinsel
);

CREATE OPERATOR <> (
	LEFTARG = kseg_scaler,
	RIGHTARG = kseg_scaler,
	FUNCTION = kseg_scaler_ne,
	COMMUTATOR = <>,
	NEGATOR = =,
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);

COMMENT ON FUNCTION kseg_scaler_eq(kseg_scaler, kseg_scaler) IS
	'implementation of = operator';
COMMENT ON FUNCTION kseg_scaler_ne(kseg_scaler, kseg_scaler) IS
	'implementation of <> operator';
COMMENT ON OPERATOR = (kseg_scaler, kseg_scaler) IS
	'the same to the last bit';
COMMENT ON OPERATOR <> (kseg_scaler, kseg_scaler) IS
	'not the same to the last bit';

-- ---- options ----

-- The arguments stand in the order of the table in src/pg/options.c.
CREATE FUNCTION kseg_options(
	k integer DEFAULT NULL,
	scale text DEFAULT NULL,
	weights jsonb DEFAULT NULL,
	row_weight text DEFAULT NULL,
	nulls text DEFAULT NULL,
	clip double precision[] DEFAULT NULL,
	n_init integer DEFAULT NULL,
	sample integer DEFAULT NULL,
	max_iter integer DEFAULT NULL,
	tol double precision DEFAULT NULL,
	seed bigint DEFAULT NULL,
	init jsonb DEFAULT NULL,
	order_by text DEFAULT NULL,
	small text DEFAULT NULL,
	distance text DEFAULT NULL,
	previous kseg_model DEFAULT NULL,
	engine text DEFAULT NULL
)
RETURNS jsonb
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION kseg_options(integer, text, jsonb, text, text,
	double precision[], integer, integer, integer, double precision, bigint,
	jsonb, text, text, text, kseg_model, text) IS
	'options of a fit from named arguments, checked';

-- ---- what is in a model ----

CREATE FUNCTION kseg_info(
	model kseg_model,
	OUT k integer,
	OUT rows bigint,
	OUT rows_skipped bigint,
	OUT features text[],
	OUT inertia double precision,
	OUT iterations integer,
	OUT converged boolean,
	OUT scale text,
	OUT seed bigint,
	OUT options jsonb,
	OUT version text
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 ROWS 1;

COMMENT ON FUNCTION kseg_info(kseg_model) IS
	'how a model was made, in one row';

CREATE FUNCTION kseg_centroids(
	model kseg_model,
	OUT segment integer,
	OUT size bigint,
	OUT share double precision,
	OUT feature text,
	OUT category text,
	OUT value double precision,
	OUT scaled_value double precision
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 ROWS 50;

COMMENT ON FUNCTION kseg_centroids(kseg_model) IS
	'mean of each segment in each feature; share of each category';
