-- 60-apply.sql: segments written back to a table

-- Not for users.  kseg_apply() makes it the condition of its UPDATE; it
-- counts the rows that it sees, so it is VOLATILE and costs more than any
-- condition that may stand beside it.
CREATE FUNCTION kseg_changed(
	model kseg_model,
	run bigint,
	segment bigint,
	VARIADIC features "any"
)
RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

COMMENT ON FUNCTION kseg_changed(kseg_model, bigint, bigint, "any") IS
	'part of kseg_apply(): has the row another segment by now?';

CREATE FUNCTION kseg_apply(
	model kseg_model,
	target regclass,
	segment_column name,
	distance_column name DEFAULT NULL,
	features text[] DEFAULT NULL,
	OUT scored bigint,
	OUT changed bigint,
	OUT unassigned bigint
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000;

COMMENT ON FUNCTION kseg_apply(kseg_model, regclass, name, name, text[]) IS
	'write the segment of every row into a column; only rows that change';

