/*
 * query_fit.c
 *		Functions that fit the rows of a query: kseg_fit(query) and
 *		kseg_elbow(query).
 *
 * Each reads the rows once.  Everything a call needs lives in one context
 * that is deleted at its end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_fit_query);
PG_FUNCTION_INFO_V1(kseg_elbow);

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

	rows->is_array = query->ncolumns == 1 &&
		query->types[0] == FLOAT8ARRAYOID;
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
	FitRows		rows = {0};
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

	rows.context = AllocSetContextCreate(CurrentMemoryContext,
										 "kseg fit of a query",
										 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(rows.context);
	rows.options = kseg_options_parse(json, k, true);

	callback.callback = explain_text_argument;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	if (!starts_as_query(query))
		error_context_stack = &callback;
	kseg_query_run(query, start_fit, add_fit_row, &rows);
	error_context_stack = callback.previous;

	model = kseg_ingest_fit(rows.ingest, 0);
	MemoryContextSwitchTo(caller);
	if (model != NULL)
		result = kseg_model_datum(model);
	MemoryContextDelete(rows.context);

	if (result == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* ---- kseg_elbow ---- */

typedef struct ElbowPoint
{
	bool		supported;		/* enough distinct rows for this k */
	double		inertia;
	double		smallest_share;
	int			iterations;
} ElbowPoint;

/*
 * Fit each k in turn.  Once the data cannot support a k, it cannot support
 * the higher ones either.  Returns how many it can.
 */
static int
fit_points(KmFit *fit, int k_min, int n, ElbowPoint *points)
{
	double		rows = (double) km_fit_rows(fit);

	kseg_check_centroids(fit, k_min + n - 1);
	for (int i = 0; i < n; i++)
	{
		KmSolution *solution;
		KmStatus	status;

		CHECK_FOR_INTERRUPTS();
		status = km_fit_run(fit, k_min + i, NULL, &solution);
		if (status == KM_TOO_FEW_ROWS)
			kseg_error_too_few_rows(k_min + i, km_fit_distinct(fit));
		if (status != KM_OK)
			kseg_raise(status);
		if (solution->k < k_min + i)
			return i;

		points[i].supported = true;
		points[i].inertia = solution->inertia;
		points[i].smallest_share = (double) solution->smallest / rows;
		points[i].iterations = solution->iterations;
	}
	return n;
}

/* Index of the knee among the first n points, -1 for none. */
static int
find_knee(const ElbowPoint *points, int k_min, int n)
{
	int		   *k = palloc(sizeof(int) * Max(n, 1));
	double	   *inertia = palloc(sizeof(double) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		k[i] = k_min + i;
		inertia[i] = points[i].inertia;
	}
	return km_knee(k, inertia, n);
}

#define ELBOW_COLUMNS 7			/* k, inertia, explained, drop_pct,
								 * smallest_share, iterations, is_knee */

static void
put_elbow(ReturnSetInfo *result, int k_min, int n, const ElbowPoint *points,
		  double total, int knee)
{
	for (int i = 0; i < n; i++)
	{
		const ElbowPoint *point = &points[i];
		Datum		values[ELBOW_COLUMNS] = {0};
		bool		nulls[ELBOW_COLUMNS];

		memset(nulls, true, sizeof(nulls));
		values[0] = Int32GetDatum(k_min + i);
		nulls[0] = false;
		if (point->supported)
		{
			double		before = i > 0 ? points[i - 1].inertia : 0;

			values[1] = Float8GetDatum(point->inertia);
			nulls[1] = false;
			/* all rows alike: there is nothing to explain or to drop */
			if (total > 0)
			{
				values[2] = Float8GetDatum(1 - point->inertia / total);
				nulls[2] = false;
			}
			if (before > 0)
			{
				values[3] = Float8GetDatum(100 *
										   (before - point->inertia) / before);
				nulls[3] = false;
			}
			values[4] = Float8GetDatum(point->smallest_share);
			nulls[4] = false;
			values[5] = Int32GetDatum(point->iterations);
			nulls[5] = false;
		}
		if (knee >= 0)
		{
			values[6] = BoolGetDatum(i == knee);
			nulls[6] = false;
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

Datum
kseg_elbow(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	MemoryContext caller;
	FitRows		rows = {0};
	ElbowPoint *points;
	KmFit	   *fit;
	int			k_min;
	int			k_max;
	int			n;
	int			knee = -1;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("query");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		kseg_error_k_null();
	k_min = PG_GETARG_INT32(1);
	k_max = PG_GETARG_INT32(2);
	kseg_check_k(k_min);
	kseg_check_k(k_max);
	if (k_min > k_max)
		kseg_error_k_order(k_min, k_max);
	n = k_max - k_min + 1;

	InitMaterializedSRF(fcinfo, 0);

	rows.context = AllocSetContextCreate(CurrentMemoryContext, "kseg elbow",
										 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(rows.context);

	rows.options = kseg_options_parse(json, 0, false);
	if (rows.options->init != NULL)
		kseg_error_elbow_init();
	if (rows.options->core.sample < k_max)
		kseg_error_sample_below_k(rows.options->core.sample, k_max);
	kseg_query_run(text_to_cstring(PG_GETARG_TEXT_PP(0)), start_fit,
				   add_fit_row, &rows);

	points = palloc0(sizeof(ElbowPoint) * n);
	fit = kseg_ingest_begin(rows.ingest);
	if (fit != NULL)
		knee = find_knee(points, k_min, fit_points(fit, k_min, n, points));
	put_elbow((ReturnSetInfo *) fcinfo->resultinfo, k_min, n, points,
			  fit != NULL ? km_fit_total(fit) : 0, knee);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(rows.context);
	return (Datum) 0;
}
