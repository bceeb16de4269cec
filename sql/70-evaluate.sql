-- 70-evaluate.sql: how good a segmentation is, and how alike two are

-- VOLATILE and PARALLEL UNSAFE for the reasons of 50-query.sql
CREATE FUNCTION kseg_evaluate(
	model kseg_model,
	query text,
	engine text DEFAULT NULL,
	OUT segment integer,
	OUT size bigint,
	OUT inertia double precision,
	OUT silhouette double precision,
	OUT davies_bouldin double precision,
	OUT calinski_harabasz double precision,
	OUT note text
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 10;

COMMENT ON FUNCTION kseg_evaluate(kseg_model, text, text) IS
	'how well a model segments the rows of a query: overall (segment is null), then per segment';

CREATE FUNCTION kseg_ari_transition(internal, a integer, b integer)
RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 2;

CREATE FUNCTION kseg_ari_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_ari_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_ari_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION kseg_ari_final(internal) RETURNS double precision
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;

COMMENT ON FUNCTION kseg_ari_transition(internal, integer, integer) IS
	'aggregate transition function';
COMMENT ON FUNCTION kseg_ari_combine(internal, internal) IS
	'aggregate combine function';
COMMENT ON FUNCTION kseg_ari_serialize(internal) IS
	'aggregate serial function';
COMMENT ON FUNCTION kseg_ari_deserialize(bytea, internal) IS
	'aggregate deserial function';
COMMENT ON FUNCTION kseg_ari_final(internal) IS
	'aggregate final function';

CREATE AGGREGATE kseg_ari(a integer, b integer) (
	SFUNC = kseg_ari_transition,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = kseg_ari_final,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = kseg_ari_combine,
	SERIALFUNC = kseg_ari_serialize,
	DESERIALFUNC = kseg_ari_deserialize,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE kseg_ari(integer, integer) IS
	'how alike two segmentations of the same rows are: adjusted Rand index, 1 for the same, about 0 for chance';

