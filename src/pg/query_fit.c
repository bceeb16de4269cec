/*
 * query_fit.c
 *		kseg_fit(query): a fit of the rows of a query, which is read once.
 *
 * Everything a call needs lives in one context that is deleted at its end.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "pushdown.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_fit_query);

/* ---- rows of a query into an ingest ---- */

typedef struct FitRows
{
	MemoryContext context;
	KsegOptions *options;
	KsegIngest *ingest;
	bool		is_array;		/* one column, float8[] */
	int		   *columns;		/* of the slot; all of them */
} FitRows;

static void
start_fit(void *arg, const KsegQuery *query)
{
	FitRows    *rows = arg;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);

	rows->is_array = kseg_query_array(query, NULL, 0) >= 0;
	if (rows->is_array)
		rows->ingest = kseg_ingest_create_array(rows->context, rows->options);
	else
		rows->ingest = kseg_ingest_create(rows->context, rows->options,
										  query->ncolumns, query->names,
										  query->types);

	rows->columns = palloc(sizeof(int) * Max(query->ncolumns, 1));
	for (int i = 0; i < query->ncolumns; i++)
		rows->columns[i] = i;
	MemoryContextSwitchTo(caller);
}

static void
add_fit_row(void *arg, const Datum *values, const bool *nulls)
{
	FitRows    *rows = arg;

	if (rows->is_array && nulls[0])
		kseg_ingest_skip(rows->ingest);
	else if (rows->is_array)
		kseg_ingest_add_array(rows->ingest, values[0]);
	else
		kseg_ingest_add_slot(rows->ingest, values, nulls, rows->columns);
}

KsegIngest *
kseg_ingest_query(MemoryContext context, KsegOptions *options,
				  const char *query, const KsegGuard *guard)
{
	FitRows		rows = {0};
	KsegPushdown *pushdown;

	/* a guard looks at the query that is executed, and knows no other */
	pushdown = kseg_pushdown_open(query, guard != NULL ? KSEG_ENGINE_MEMORY :
								  options->engine);
	if (pushdown != NULL)
		return kseg_ingest_pushdown(context, options, pushdown);

	rows.context = context;
	rows.options = options;
	kseg_query_run(query, guard, start_fit, add_fit_row, &rows);
	return rows.ingest;
}

/* Does the text begin as a query does?  Comments are not looked through. */
static bool
starts_as_query(const char *text)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	while (scanner_isspace(*text) || *text == '(')
		text++;
	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if (pg_strncasecmp(text, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

/*
 * kseg_fit(category_column, 5) means the aggregate but finds the query form,
 * because its first argument is a text.  The parser's error alone would be
 * a riddle.
 */
static void
explain_text_argument(void *arg)
{
	/* only the parser's errors have a place; ours have hints of their own */
	if (geterrcode() == ERRCODE_SYNTAX_ERROR && getinternalerrposition() > 0)
		kseg_hint_fit_text();
}

Datum
kseg_fit_query(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	int			k = 0;
	char	   *query;
	const char *start;
	MemoryContext caller;
	MemoryContext context;
	KsegOptions *options;
	KsegIngest *ingest;
	ErrorContextCallback callback;
	KmModel    *model;
	Datum		result = (Datum) 0;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("query");
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
	{
		k = PG_GETARG_INT32(1);
		kseg_check_k(k);
	}

	/* kseg_fit('{"k": 5}', age): options without their type */
	start = query;
	while (scanner_isspace(*start))
		start++;
	if (*start == '{')
		kseg_error_fit_json();

	context = AllocSetContextCreate(CurrentMemoryContext,
									"kseg fit of a query",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	options = kseg_options_parse(json, k, true);
	(void) kseg_progress_start(KSEG_COMMAND_FIT);

	callback.callback = explain_text_argument;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	if (!starts_as_query(query))
		error_context_stack = &callback;
	ingest = kseg_ingest_query(context, options, query, NULL);
	error_context_stack = callback.previous;

	model = kseg_ingest_fit(ingest, 0);
	MemoryContextSwitchTo(caller);
	if (model != NULL)
		result = kseg_model_datum(model);
	MemoryContextDelete(context);

	if (result == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
