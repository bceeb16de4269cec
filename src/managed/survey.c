/*
 * survey.c
 *		Reads the rows of a query that is being registered, for everything that
 *		would stop a run later.
 *
 * They are read as a run reads them: as the owner, security-restricted, and
 * with a search_path that finds nothing; a function of the user's that cannot
 * live with that fails here, and not at night.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/ruleutils.h"

#include "../pg/errors.h"
#include "create.h"
#include "messages.h"

/* ---- features and nulls, in one pass ---- */

typedef struct SurveyRows
{
	/* set once */
	MemoryContext context;
	const KsegResolved *resolved;
	KsegOptions *options;
	KsegIngest *ingest;
	bool		is_array;		/* one feature column, float8[] */
	int			nfeatures;		/* columns, the one that weighs included */
	int		   *positions;		/* of these */
	int			weight;			/* which of them weighs rows; -1: none */

	/* counts */
	int64		rows;
	int64		unassigned;
	int64	   *null_keys;		/* of each column of the key */
} SurveyRows;

static bool
is_key(const KsegResolved *resolved, int column)
{
	for (int i = 0; i < resolved->nkeys; i++)
	{
		if (resolved->keys[i] == column)
			return true;
	}
	return false;
}

/*
 * Options that name features are checked before a row is read, and when there
 * is none.
 */
static void
bind_options(SurveyRows *rows, const char **names, const Oid *types)
{
	KmFeature  *features = palloc0(sizeof(KmFeature) * rows->nfeatures);
	int			n = 0;

	for (int i = 0; i < rows->nfeatures; i++)
	{
		KsegColumn	column;

		if (i == rows->weight)
			continue;
		kseg_column_init(&column, names[i], types[i], rows->context);
		features[n].name = unconstify(char *, names[i]);
		features[n++].kind = column.kind;
	}
	kseg_options_bind(rows->options, features, n);
}

static void
start_rows(void *arg, const KsegQuery *query)
{
	SurveyRows *rows = arg;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	const char **names = palloc(sizeof(char *) * query->ncolumns);
	Oid		   *types = palloc(sizeof(Oid) * query->ncolumns);

	rows->positions = palloc(sizeof(int) * query->ncolumns);
	rows->weight = -1;
	for (int c = 0; c < query->ncolumns; c++)
	{
		if (is_key(rows->resolved, c))
			continue;
		if (rows->options->row_weight != NULL &&
			strcmp(query->names[c], rows->options->row_weight) == 0)
			rows->weight = rows->nfeatures;
		names[rows->nfeatures] = query->names[c];
		types[rows->nfeatures] = query->types[c];
		rows->positions[rows->nfeatures++] = c;
	}

	rows->is_array = rows->nfeatures == 1 && types[0] == FLOAT8ARRAYOID;
	if (rows->is_array)
		rows->ingest = kseg_ingest_create_array(rows->context, rows->options);
	else
	{
		rows->ingest = kseg_ingest_create(rows->context, rows->options,
										  rows->nfeatures, names, types);
		bind_options(rows, names, types);
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Will a run give the row a segment?  A fit leaves out rows without weight;
 * a run does not.
 */
static bool
has_segment(const SurveyRows *rows, const bool *nulls)
{
	if (rows->options->core.fill_nulls)
		return true;
	for (int i = 0; i < rows->nfeatures; i++)
	{
		if (i != rows->weight && nulls[rows->positions[i]])
			return false;
	}
	return true;
}

static void
survey_row(void *arg, const Datum *values, const bool *nulls)
{
	SurveyRows *rows = arg;
	bool		is_complete = has_segment(rows, nulls);

	rows->rows++;
	for (int i = 0; i < rows->resolved->nkeys; i++)
	{
		if (nulls[rows->resolved->keys[i]])
			rows->null_keys[i]++;
	}

	if (!rows->is_array)
		(void) kseg_ingest_add_slot(rows->ingest, values, nulls,
									rows->positions);
	else if (nulls[rows->positions[0]])
		kseg_ingest_skip(rows->ingest);
	else
		is_complete = kseg_ingest_add_array(rows->ingest,
											values[rows->positions[0]]);
	if (!is_complete)
		rows->unassigned++;
}

/* "age, income" */
static char *
list_features(const SurveyRows *rows)
{
	const KsegQuery *columns = &rows->resolved->columns;
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < rows->nfeatures; i++)
	{
		if (i != rows->weight)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
							 quote_identifier(columns->names[rows->positions[i]]));
	}
	return list.data;
}

static void
read_rows(const KsegSegmentation *s, const KsegResolved *resolved,
		  KsegOptions *options, KsegSurvey *survey)
{
	SurveyRows	rows = {0};
	KsegGuard	guard = kseg_guard(s, false);

	rows.context = AllocSetContextCreate(CurrentMemoryContext, "kseg survey",
										 ALLOCSET_DEFAULT_SIZES);
	rows.resolved = resolved;
	rows.options = options;
	rows.null_keys = palloc0(sizeof(int64) * resolved->nkeys);
	kseg_query_run(resolved->text, &guard, start_rows, survey_row, &rows);
	for (int i = 0; i < resolved->nkeys; i++)
	{
		if (rows.null_keys[i] > 0)
			kseg_error_key_null(s->keys[i], rows.null_keys[i]);
	}

	/* scaling finds what is wrong with all values of a column together */
	(void) kseg_ingest_begin(rows.ingest);
	survey->rows = rows.rows;
	survey->unassigned = rows.unassigned;
	survey->features = list_features(&rows);
	MemoryContextDelete(rows.context);
}

/* ---- keys, by the server ---- */

/* The query's column as the target has it: another type may tell fewer
 * values apart. */
static char *
key_expression(const KsegKeyColumns *keys, int i)
{
	Oid			collation = keys->collations[i];

	return psprintf("q.%s::%s%s%s", keys->names[i],
					format_type_extended(keys->types[i], -1,
										 FORMAT_TYPE_TYPEMOD_GIVEN |
										 FORMAT_TYPE_FORCE_QUALIFY),
					OidIsValid(collation) ? " COLLATE " : "",
					OidIsValid(collation) ?
					generate_collation_name(collation) : "");
}

/* The query is in the FROM. */
static void
select_rows(const KsegSegmentation *s, const char *sql)
{
	KsegGuard	guard = kseg_guard(s, true);
	SPIPlanPtr	plan;

	guard.before();
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	guard.check(linitial_node(Query, kseg_query_check(plan)->query_list),
				guard.arg);
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(SPI_result));
}

static char *
first_value(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

static void
check_unique(const KsegSegmentation *s, const KsegResolved *resolved,
			 const KsegKeyColumns *keys)
{
	StringInfoData list;
	StringInfoData numbers;
	StringInfoData values;

	initStringInfo(&list);
	initStringInfo(&numbers);
	for (int i = 0; i < keys->n; i++)
	{
		appendStringInfo(&list, "%s, ", key_expression(keys, i));
		appendStringInfo(&numbers, "%s%d", i > 0 ? ", " : "", i + 1);
	}

	SPI_connect();
	select_rows(s,
				psprintf("SELECT %spg_catalog.count(*) FROM (%s) AS q"
						 " GROUP BY %s HAVING pg_catalog.count(*) > 1"
						 " ORDER BY %s LIMIT 1",
						 list.data, resolved->text, numbers.data,
						 numbers.data));
	if (SPI_processed > 0)
	{
		initStringInfo(&values);
		for (int i = 0; i < keys->n; i++)
			appendStringInfo(&values, "%s%s", i > 0 ? ", " : "",
							 first_value(i + 1));
		kseg_error_key_twice(keys->names, keys->n, values.data,
							 first_value(keys->n + 1));
	}
	SPI_finish();
}

/* Keys that the target does not have get no segment. */
static void
check_present(const KsegSegmentation *s, const KsegResolved *resolved,
			  const KsegKeyColumns *keys, int64 rows)
{
	StringInfoData conditions;
	int64		missing;

	initStringInfo(&conditions);
	for (int i = 0; i < keys->n; i++)
		appendStringInfo(&conditions, "%s%s", i > 0 ? " AND " : "",
						 kseg_sql_equal(keys->equals[i],
										psprintf("t.%s", keys->names[i]),
										psprintf("(%s)",
												 key_expression(keys, i))));

	SPI_connect();
	select_rows(s,
				psprintf("SELECT pg_catalog.count(*) FROM (%s) AS q"
						 " LEFT JOIN %s AS t ON %s WHERE t.%s IS NULL",
						 resolved->text, keys->target, conditions.data,
						 keys->names[0]));
	missing = pg_strtoint64(first_value(1));
	SPI_finish();

	if (missing > 0 && missing >= rows)
		kseg_error_keys_elsewhere(keys->names, keys->n, missing,
								  get_rel_name(s->target));
	if (missing > 0)
		kseg_notice_keys_missing(missing, rows, get_rel_name(s->target));
}

/* ---- the whole ---- */

/* A name that was found when the query was analysed is not found now. */
static void
explain_unknown_name(void *arg)
{
	int			code = geterrcode();

	if (code == ERRCODE_UNDEFINED_TABLE || code == ERRCODE_UNDEFINED_FUNCTION ||
		code == ERRCODE_UNDEFINED_OBJECT || code == ERRCODE_UNDEFINED_SCHEMA)
		kseg_context_survey();
}

void
kseg_survey(const KsegSegmentation *s, const KsegResolved *resolved,
			KsegOptions *options, const KsegKeyColumns *keys,
			KsegSurvey *survey)
{
	KsegCaller	caller;
	ErrorContextCallback callback;

	kseg_become_owner(s, &caller);
	callback.callback = explain_unknown_name;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	read_rows(s, resolved, options, survey);
	check_unique(s, resolved, keys);
	if (!s->owns_target)
		check_present(s, resolved, keys, survey->rows);

	error_context_stack = callback.previous;
	kseg_become_caller(&caller);
}
