-- 92-run.sql: segmentations brought up to date

CREATE FUNCTION kseg_run(
	name text,
	mode text DEFAULT 'auto',
	OUT run_id bigint,
	OUT action text,
	OUT reason text,
	OUT scored bigint,
	OUT changed bigint,
	OUT new bigint,
	OUT gone bigint,
	OUT unassigned bigint,
	OUT drift double precision,
	OUT held boolean,
	OUT elapsed interval
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

COMMENT ON FUNCTION kseg_run(text, text) IS
	'bring a segmentation up to date: score, refit when it has drifted, write what changed';

CREATE FUNCTION kseg_rollback(
	name text,
	version integer DEFAULT NULL,
	OUT run_id bigint,
	OUT action text,
	OUT reason text,
	OUT scored bigint,
	OUT changed bigint,
	OUT new bigint,
	OUT gone bigint,
	OUT unassigned bigint,
	OUT drift double precision,
	OUT held boolean,
	OUT elapsed interval
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

COMMENT ON FUNCTION kseg_rollback(text, integer) IS
	'go back to an earlier model of a segmentation, or publish one that was held';
