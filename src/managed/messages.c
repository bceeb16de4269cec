/*
 * messages.c
 *		Every message of managed segmentations for their users; see messages.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "../pg/kseg.h"
#include "messages.h"

/* ---- which segmentation, and who may ---- */

void
kseg_error_segmentation_unknown(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" does not exist", name),
			 errhint("\"SELECT name FROM kseg_segmentations\" lists those that you may see.")));
}

void
kseg_error_segmentation_right(const char *name, bool owner_only)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for segmentation \"%s\"", name),
			 owner_only ?
			 errhint("Only its owner may do this.") :
			 errhint("Its owner can allow it with kseg_grant().")));
}

void
kseg_error_segmentation_owner(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("the owner of segmentation \"%s\" does not exist any more",
					name),
			 errhint("A superuser can give it to another role: UPDATE kseg_segmentations SET owner = 'role'::regrole WHERE name = %s;",
					 quote_literal_cstr(name))));
}

void
kseg_error_version_unknown(const char *name, int version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has no model of version %d", name,
					version),
			 errhint("kseg_models lists those there are.")));
}

void
kseg_error_restricted(const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot execute %s() within security-restricted operation",
					function),
			 errhint("Queries, index expressions and triggers that the server runs for somebody cannot call it.")));
}

/* ---- queries that are registered ---- */

/* shop, customer_id */
static char *
join_columns(const char *const *columns, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", columns[i]);
	return list.data;
}

void
kseg_error_query_temporary(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("query of a segmentation must not use temporary tables, functions or types"),
			 errhint("Other sessions, which will run it, do not have them.")));
}

void
kseg_error_query_differs(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("query does not mean the same once its names are qualified"),
			 errhint("Make a view of it, and select from that.")));
}

void
kseg_error_query_captured(const char *name, const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
			 errmsg("query of segmentation \"%s\" would now call %s", name,
					function),
			 errdetail("When it was registered, the name meant another function."),
			 errhint("Drop that function, or register the query again with kseg_alter().")));
}

void
kseg_error_query_repeated(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("query has more than one column \"%s\"", column),
			 errhint("Give each a name of its own with AS.")));
}

void
kseg_error_query_no_features(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("query has no columns besides the key"),
			 errhint("Select the features to segment by as well.")));
}

void
kseg_error_key_list(const char *key, const KsegQuery *columns)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("key is neither a column nor a list of columns: \"%s\"",
					key),
			 errhint("Write one column, or several as in 'shop, customer_id'. The query's columns are %s.",
					 join_columns(columns->names, columns->ncolumns))));
}

void
kseg_error_key_repeated(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("key names column \"%s\" more than once", column)));
}

/* ---- what else kseg_create() is given ---- */

void
kseg_error_bad_name(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("\"%s\" cannot be the name of a segmentation", name),
			 errhint("A name has 1 to %d bytes and no control characters.",
					 NAMEDATALEN - 1)));
}

void
kseg_error_name_taken(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("segmentation \"%s\" already exists", name),
			 errhint("Choose another name, or change the one there is with kseg_alter().")));
}

void
kseg_error_hysteresis(double value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"hysteresis\" must be from 0 to below 1, not %g", value),
			 errhint("With 0.1, customers change segment when another one is at least 10 %% nearer; with 0, as soon as one is nearer.")));
}

void
kseg_error_keep(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"keep\" must be an interval above zero"),
			 errhint("Leave it out to keep history forever.")));
}

void
kseg_error_kept_option(const char *option)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" cannot be used in a segmentation", option),
			 errdetail("Every fit but the first one starts from the model before it."),
			 errhint("Leave it out.")));
}

/* ---- keys ---- */

void
kseg_error_key_type(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" cannot be the key: its type %s has no order",
					column, format_type_be(type)),
			 errhint("Cast it in the query, for instance to text.")));
}

void
kseg_error_key_null(const char *column, int64 rows)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg_plural("column \"%s\" of the key is null in %lld row of the query",
						   "column \"%s\" of the key is null in %lld rows of the query",
						   (unsigned long) rows, column, (long long) rows),
			 errhint("Leave such rows out with WHERE %s IS NOT NULL.",
					 quote_identifier(column))));
}

void
kseg_error_key_twice(const char **columns, int n, const char *values,
					 const char *times)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key (%s)=(%s) comes %s times in the query",
					join_columns(columns, n), values, times),
			 errhint("Give one row for each customer: GROUP BY the key, or add columns to it.")));
}

void
kseg_error_key_not_in_target(const char *column, const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table \"%s\" has no column \"%s\", which is the key",
					relation, column),
			 errhint("Key columns have the same names in the query and in the target: rename the query's with AS.")));
}

void
kseg_error_key_types(const char *column, Oid given, Oid expected,
					 const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("key column \"%s\" has type %s in the query, but %s in \"%s\"",
					column, format_type_be(given), format_type_be(expected),
					relation),
			 errhint("Cast it in the query: %s::%s.", quote_identifier(column),
					 format_type_be(expected))));
}

void
kseg_error_key_index(const char *name, const char *relation, char **columns,
					 int n)
{
	const char **quoted = palloc(sizeof(char *) * n);

	for (int i = 0; i < n; i++)
		quoted[i] = quote_identifier(columns[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("table \"%s\" has no unique index on the key (%s)",
					relation, join_columns(quoted, n)),
			 errdetail("It must be on exactly these columns, valid, for all rows, and not deferrable."),
			 errhint("CREATE UNIQUE INDEX ON %s (%s);", name,
					 join_columns(quoted, n))));
}

void
kseg_error_key_nullable(const char *column, const char *name,
						const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("key column \"%s\" of \"%s\" may be null", column,
					relation),
			 errhint("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;", name,
					 quote_identifier(column))));
}

void
kseg_error_keys_elsewhere(const char **columns, int n, int64 rows,
						  const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg_plural("the query's key (%s) is not in \"%s\" for its %lld row",
						   "the query's key (%s) is not in \"%s\" for any of its %lld rows",
						   (unsigned long) rows, join_columns(columns, n),
						   relation, (long long) rows),
			 errhint("Check that query and target mean the same customers.")));
}

void
kseg_notice_keys_missing(int64 missing, int64 rows, const char *relation)
{
	ereport(NOTICE,
			(errmsg_plural("%lld of %lld rows of the query is not in \"%s\" and gets no segment",
						   "%lld of %lld rows of the query are not in \"%s\" and get no segment",
						   (unsigned long) missing, (long long) missing,
						   (long long) rows, relation)));
}

void
kseg_context_survey(void)
{
	errcontext("query of a segmentation, which runs with search_path = pg_catalog, pg_temp; functions that it calls must name the schemas of what they use, or SET search_path");
}

/* ---- targets ---- */

void
kseg_error_no_schema(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_SCHEMA),
			 errmsg("no schema has been selected to create the segments' table in"),
			 errhint("Set \"search_path\", or pass a table as \"target\".")));
}

void
kseg_error_table_exists(const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("relation \"%s\" already exists", relation),
			 errdetail("Without a target, segments are kept in a new table of that name."),
			 errhint("Choose another name for the segmentation, or pass a table as \"target\".")));
}

void
kseg_error_target_no_table(const char *relation, char relkind)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot keep segments in \"%s\"", relation),
			 errdetail_relkind_not_supported(relkind),
			 errhint("The target must be a table. For a view, pass the table below it.")));
}

void
kseg_error_target_temporary(const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("cannot keep segments in \"%s\", which is temporary",
					relation),
			 errhint("Use a table that other sessions see, too.")));
}

void
kseg_error_target_children(const char *relation, const char *child)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot keep segments in \"%s\", from which \"%s\" inherits",
					relation, child),
			 errdetail("No index makes a key unique over tables that inherit."),
			 errhint("Use a partitioned table, or leave out \"target\".")));
}

void
kseg_error_target_deferred(const char *relation, const char *trigger)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot keep segments in \"%s\", whose trigger \"%s\" is deferred",
					relation, trigger),
			 errdetail("A run is a security-restricted operation, which no trigger may outlast."),
			 errhint("Make the trigger INITIALLY IMMEDIATE, or leave out \"target\".")));
}

void
kseg_error_segment_column_missing(const char *column, const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					column, relation),
			 errhint("Add it with add_column => true, or name another as \"segment_column\".")));
}

void
kseg_error_segment_is_key(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("column \"%s\" is part of the key and cannot hold the segment",
					column),
			 errhint("Name another column as \"segment_column\".")));
}

void
kseg_error_segment_is_feature(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("column \"%s\" is a feature of the query and cannot hold the segment",
					column),
			 errhint("Leave it out of the query, or name another column as \"segment_column\".")));
}

void
kseg_error_segment_generated(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_GENERATED_ALWAYS),
			 errmsg("column \"%s\" is generated and cannot hold the segment",
					column),
			 errhint("Name another column as \"segment_column\".")));
}

void
kseg_error_segment_not_null(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" must not be null, but some customers have no segment",
					column),
			 errhint("ALTER TABLE ... ALTER COLUMN %s DROP NOT NULL;",
					 quote_identifier(column))));
}

void
kseg_error_column_taken(const char *column, const char *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("column \"%s\" of \"%s\" is written by another segmentation",
					column, relation),
			 errhint("Name another column as \"segment_column\".")));
}

void
kseg_notice_table_kept(const char *relation)
{
	ereport(NOTICE,
			(errmsg("table \"%s\" is kept: it does not belong to the segmentation's owner any more",
					relation)));
}

/* ---- grants ---- */

void
kseg_error_unknown_privilege(const char *privilege)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown privilege \"%s\"", privilege),
			 errhint("Valid privileges are read, run, edit.")));
}

/* ---- labels ---- */

void
kseg_error_segment_unknown(const char *name, int segment, const char *ids)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has no segment %d", name, segment),
			 errhint("Its segments are %s.", ids)));
}

void
kseg_error_label_empty(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a label must not be empty"),
			 errhint("NULL takes a label away.")));
}

void
kseg_error_label_long(int length, int most)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
			 errmsg("the label has %d characters, more than %d", length,
					most),
			 errhint("What does not fit can be said in the argument \"note\".")));
}

void
kseg_error_label_lines(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a label must not have line breaks, tabs or other control characters"),
			 errhint("Longer text can stand in the argument \"note\".")));
}

void
kseg_error_label_taken(const char *name, const char *label, int other,
					   bool is_over)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("label \"%s\" is that of segment %d already", label,
					other),
			 is_over ?
			 errhint("That segment has ended; kseg_label(%s, %d, NULL) takes its label away.",
					 quote_literal_cstr(name), other) :
			 errhint("Nobody could tell the two apart: choose another label, or take that one away with kseg_label(%s, %d, NULL).",
					 quote_literal_cstr(name), other)));
}

/* ---- history ---- */

void
kseg_error_run_unknown(const char *name, int64 run)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has no run %lld", name,
					(long long) run),
			 errhint("kseg_runs lists those there are.")));
}

void
kseg_error_period(TimestampTz since, TimestampTz until)
{
	/* both are printed into the same buffer */
	char	   *from = pstrdup(timestamptz_to_str(since));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the period ends before it begins"),
			 errdetail("It begins at %s and ends at %s.", from,
					   timestamptz_to_str(until))));
}

/* ---- limits ---- */

void
kseg_error_unknown_limit(const char *option, const char *limit,
						 const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown limit \"%s\" in \"%s\"", limit, option),
			 errhint("Valid limits are %s.", valid)));
}

/* ---- drift ---- */

void
kseg_error_baseline(const char *name, int version, const char *feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("kseg_baselines does not fit the model of version %d of segmentation \"%s\"",
					version, name),
			 feature != NULL ?
			 errdetail("The row of feature \"%s\" is not as kseg wrote it.",
					   feature) :
			 errdetail("It has other features than the model."),
			 errhint("Restore its rows, or delete all of this version: then the drift of features is unknown until the next fit.")));
}

/* ---- runs ---- */

void
kseg_error_unknown_mode(const char *mode)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown mode \"%s\"", mode),
			 errhint("Valid modes are auto, score, refit, dry.")));
}

void
kseg_error_no_model(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("segmentation \"%s\" has no model yet", name),
			 errhint("The first run makes it: kseg_run(%s).",
					 quote_literal_cstr(name))));
}

void
kseg_error_no_rows(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA),
			 errmsg("the query of segmentation \"%s\" gives no row that can have a segment",
					name),
			 errdetail("It gives no row at all, or every row lacks a value."),
			 errhint("Nothing was changed. If the table is loaded at night, run the segmentation after that.")));
}

void
kseg_error_no_earlier_version(const char *name, int version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has no published model before version %d",
					name, version),
			 errhint("Name the version to publish, of those in kseg_models.")));
}

void
kseg_error_id_range(const char *column, int id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column \"%s\" is too narrow for segment %d", column, id),
			 errhint("ALTER TABLE ... ALTER COLUMN ... TYPE integer.")));
}

/* ---- customers of a night ---- */

void
kseg_error_members_no_target(const char *segmentation)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the table that segmentation \"%s\" writes to does not exist any more",
					segmentation),
			 errhint("Drop the segmentation with kseg_drop(), and create it again with another target.")));
}

void
kseg_error_members_key_null(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" of the key is null in a row of the query",
					key),
			 errhint("Leave such rows out with WHERE %s IS NOT NULL.",
					 quote_identifier(key))));
}

void
kseg_error_members_key_twice(int nkeys, const char *const *keys,
							 const char *value)
{
	const char **columns = palloc(sizeof(char *) * nkeys);

	for (int i = 0; i < nkeys; i++)
		columns[i] = quote_identifier(keys[i]);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key (%s)=%s%s%s comes more than once in the query",
					join_columns(columns, nkeys), nkeys == 1 ? "(" : "", value,
					nkeys == 1 ? ")" : ""),
			 errhint("The query must give one row for each customer: GROUP BY the key.")));
}

void
kseg_error_members_memory(int64 customers)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("\"kseg.work_mem\" (%d MB) is full after %lld customers",
					kseg_work_mem / 1024, (long long) customers),
			 errhint("Raise \"kseg.work_mem\". A query that reads the target table alone does without this memory.")));
}
