-- 45-pushdown.sql: passes over rows as aggregates, which servers can split

-- What a pass does: a step of a fit, the features, what makes positions of
-- their values, and the step's input.

CREATE TYPE kseg_pass;

CREATE FUNCTION kseg_pass_in(cstring) RETURNS kseg_pass
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_pass_out(kseg_pass) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_pass_recv(internal) RETURNS kseg_pass
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_pass_send(kseg_pass) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE TYPE kseg_pass (
	INPUT = kseg_pass_in,
	OUTPUT = kseg_pass_out,
	RECEIVE = kseg_pass_recv,
	SEND = kseg_pass_send,
	STORAGE = extended
);

COMMENT ON TYPE kseg_pass IS 'one pass over the rows of a fit: what is to be computed';
COMMENT ON FUNCTION kseg_pass_in(cstring) IS 'I/O';
COMMENT ON FUNCTION kseg_pass_out(kseg_pass) IS 'I/O';
COMMENT ON FUNCTION kseg_pass_recv(internal) IS 'I/O';
COMMENT ON FUNCTION kseg_pass_send(kseg_pass) IS 'I/O';

-- A row on its way into a pass.  It goes nowhere else: there is no input, and
-- no form for the wire.

CREATE TYPE kseg_point;

CREATE FUNCTION kseg_point_in(cstring) RETURNS kseg_point
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE FUNCTION kseg_point_out(kseg_point) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;

CREATE TYPE kseg_point (
	INPUT = kseg_point_in,
	OUTPUT = kseg_point_out,
	ALIGNMENT = double,
	STORAGE = plain
);

COMMENT ON TYPE kseg_point IS 'a row on its way into a pass';
COMMENT ON FUNCTION kseg_point_in(cstring) IS 'I/O';
COMMENT ON FUNCTION kseg_point_out(kseg_point) IS 'I/O';

-- What was computed from some of the rows.

CREATE TYPE kseg_state;

CREATE FUNCTION kseg_state_in(cstring) RETURNS kseg_state
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_state_out(kseg_state) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_state_recv(internal) RETURNS kseg_state
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_state_send(kseg_state) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

-- the storage also lets the server keep a state expanded while rows come
CREATE TYPE kseg_state (
	INPUT = kseg_state_in,
	OUTPUT = kseg_state_out,
	RECEIVE = kseg_state_recv,
	SEND = kseg_state_send,
	ALIGNMENT = double,
	STORAGE = extended
);

COMMENT ON TYPE kseg_state IS 'what a pass computed from some of the rows';
COMMENT ON FUNCTION kseg_state_in(cstring) IS 'I/O';
COMMENT ON FUNCTION kseg_state_out(kseg_state) IS 'I/O';
COMMENT ON FUNCTION kseg_state_recv(internal) IS 'I/O';
COMMENT ON FUNCTION kseg_state_send(kseg_state) IS 'I/O';

CREATE FUNCTION kseg_point(pass kseg_pass, VARIADIC features "any")
RETURNS kseg_point
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 5;

COMMENT ON FUNCTION kseg_point(kseg_pass, "any") IS
	'part of the engine pushdown: a row, for kseg_accum()';

CREATE FUNCTION kseg_accum_transition(kseg_state, kseg_point)
RETURNS kseg_state
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 5;

CREATE FUNCTION kseg_state_combine(kseg_state, kseg_state)
RETURNS kseg_state
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;

COMMENT ON FUNCTION kseg_accum_transition(kseg_state, kseg_point) IS
	'aggregate transition function';
COMMENT ON FUNCTION kseg_state_combine(kseg_state, kseg_state) IS
	'aggregate combine function';

-- Citus splits an aggregate that has a combine function and whose state is a
-- type of its own, and one argument of a definite type; postgres_fdw sends a
-- whole one away.

CREATE AGGREGATE kseg_accum(point kseg_point) (
	SFUNC = kseg_accum_transition,
	STYPE = kseg_state,
	SSPACE = 65536,
	COMBINEFUNC = kseg_state_combine,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE kseg_accum(kseg_point) IS
	'part of the engine pushdown: what a pass computes from these rows';

CREATE AGGREGATE kseg_merge(state kseg_state) (
	SFUNC = kseg_state_combine,
	STYPE = kseg_state,
	SSPACE = 65536,
	COMBINEFUNC = kseg_state_combine,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE kseg_merge(kseg_state) IS
	'part of the engine pushdown: states of a pass over parts of the rows as one';
