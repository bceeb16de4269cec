-- 91-managed.sql: segmentations that are registered, and who may use them

-- All of them read the registry as its owner and act for the caller, so none
-- may move into a worker.

CREATE FUNCTION kseg_create(
	name text,
	query text,
	key text,
	k integer DEFAULT NULL,
	options jsonb DEFAULT NULL,
	target regclass DEFAULT NULL,
	segment_column name DEFAULT 'segment',
	refit_when jsonb DEFAULT NULL,
	hold_when jsonb DEFAULT NULL,
	hysteresis double precision DEFAULT 0.1,
	keep interval DEFAULT NULL,
	add_column boolean DEFAULT false,
	OUT segmentation text,
	OUT rows bigint,
	OUT unassigned bigint,
	OUT features text,
	OUT writes_to text
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION kseg_create(text, text, text, integer, jsonb, regclass,
	name, jsonb, jsonb, double precision, interval, boolean) IS
	'register a segmentation for kseg_run(), once all about it was checked';

CREATE FUNCTION kseg_alter(
	name text,
	query text DEFAULT NULL,
	k integer DEFAULT NULL,
	options jsonb DEFAULT NULL,
	refit_when jsonb DEFAULT NULL,
	hold_when jsonb DEFAULT NULL,
	hysteresis double precision DEFAULT NULL,
	keep interval DEFAULT NULL,
	OUT segmentation text,
	OUT rows bigint,
	OUT unassigned bigint,
	OUT features text,
	OUT writes_to text
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION kseg_alter(text, text, integer, jsonb, jsonb, jsonb,
	double precision, interval) IS
	'change a segmentation; what is not given stays as it is';

CREATE FUNCTION kseg_drop(name text)
RETURNS void
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION kseg_drop(text) IS
	'forget a segmentation, its models and its history';

CREATE FUNCTION kseg_grant(
	name text,
	grantee text,
	privilege text DEFAULT 'read'
)
RETURNS void
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION kseg_grant(text, text, text) IS
	'let a role see, run or edit a segmentation';

CREATE FUNCTION kseg_revoke(name text, grantee text)
RETURNS void
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION kseg_revoke(text, text) IS
	'take back what was granted to a role on a segmentation';
