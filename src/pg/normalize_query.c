/*
 * normalize_query.c
 *		kseg_normalize(query, key, method): the columns of a query, scaled.
 *
 * Scaling needs the statistics of all rows, and the query runs only once, so
 * its rows wait in a tuplestore, which spills to disk beyond work_mem.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_normalize_query);

typedef struct NormalizeRows
{
	/* set once, but for the key's column by start() */
	MemoryContext context;
	const char *key_name;
	KmScale		scale;

	/* of the query's columns, the key left out */
	KsegKey		key;
	int			nfeatures;
	int		   *positions;		/* of each feature's column in the slot */
	KsegColumn *columns;
	KmFeature  *features;

	KmStats    *stats;
	TupleDesc	desc;			/* key, then the features */
	Tuplestorestate *store;

	/* the row at hand */
	double	   *numbers;		/* NaN where the value is null */
	Datum	   *values;			/* of the tuplestore's row */
	bool	   *nulls;
} NormalizeRows;

static void
start_normalize(void *arg, const KsegQuery *query)
{
	NormalizeRows *rows = arg;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	int			n = query->ncolumns - 1;
	int			f = 0;
	KmStatus	status;

	kseg_key_init(&rows->key, query, rows->key_name, rows->context);
	if (n == 0)
		kseg_error_no_features();
	if (n > KM_MAX_FEATURES)
		kseg_error_too_many_features(n);

	rows->nfeatures = n;
	rows->positions = palloc(sizeof(int) * n);
	rows->columns = palloc0(sizeof(KsegColumn) * n);
	rows->features = palloc0(sizeof(KmFeature) * n);
	rows->numbers = palloc(sizeof(double) * n);
	rows->values = palloc(sizeof(Datum) * (n + 1));
	rows->nulls = palloc(sizeof(bool) * (n + 1));
	rows->desc = CreateTemplateTupleDesc(n + 1);
	TupleDescInitEntry(rows->desc, 1, "key", TEXTOID, -1, 0);

	for (int i = 0; i < query->ncolumns; i++)
	{
		if (i == rows->key.column)
			continue;
		rows->positions[f] = i;
		rows->features[f].name = pstrdup(query->names[i]);
		kseg_column_init(&rows->columns[f], rows->features[f].name,
						 query->types[i], rows->context);
		rows->features[f].kind = rows->columns[f].kind;
		if (rows->features[f].kind == KM_CATEGORY)
			kseg_error_category_scaled(rows->features[f].name,
									   query->types[i]);
		f++;
		TupleDescInitEntry(rows->desc, f + 1, NULL, FLOAT8OID, -1, 0);
	}

	status = km_stats_create(kseg_host(rows->context), n,
							 rows->scale == KM_ROBUST, &rows->stats);
	if (status != KM_OK)
		kseg_raise(status);
	rows->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
}

static void
add_normalize_row(void *arg, const Datum *values, const bool *nulls)
{
	NormalizeRows *rows = arg;
	KmStatus	status;

	rows->values[0] = kseg_key_text(&rows->key, values, nulls,
									&rows->nulls[0]);
	for (int f = 0; f < rows->nfeatures; f++)
	{
		int			position = rows->positions[f];

		rows->nulls[f + 1] = nulls[position];
		rows->numbers[f] = nulls[position] ? get_float8_nan() :
			kseg_column_read(&rows->columns[f], values[position]);
		rows->values[f + 1] = Float8GetDatum(rows->numbers[f]);
	}
	tuplestore_putvalues(rows->store, rows->desc, rows->values, rows->nulls);

	status = km_stats_add(rows->stats, rows->numbers);
	if (status != KM_OK)
		kseg_raise(status);
	if (km_stats_bytes(rows->stats) > (size_t) kseg_work_mem * 1024)
		kseg_error_work_mem(km_stats_rows(rows->stats), rows->nfeatures);
}

/* Read the rows back and put out one row for each key and feature. */
static void
put_scaled(NormalizeRows *rows, ReturnSetInfo *result)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rows->desc,
													&TTSOpsMinimalTuple);
	Datum	   *names = palloc(sizeof(Datum) * rows->nfeatures);

	for (int f = 0; f < rows->nfeatures; f++)
		names[f] = CStringGetTextDatum(rows->features[f].name);

	while (tuplestore_gettupleslot(rows->store, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		for (int f = 0; f < rows->nfeatures; f++)
		{
			Datum		values[4] = {slot->tts_values[0], names[f]};
			bool		nulls[4] = {slot->tts_isnull[0], false, true, true};

			if (!slot->tts_isnull[f + 1])
			{
				double		number = DatumGetFloat8(slot->tts_values[f + 1]);

				values[2] = Float8GetDatum(number);
				values[3] = Float8GetDatum(km_scale_value(&rows->features[f],
														  number));
				nulls[2] = nulls[3] = false;
			}
			tuplestore_putvalues(result->setResult, result->setDesc, values,
								 nulls);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
}

Datum
kseg_normalize_query(PG_FUNCTION_ARGS)
{
	MemoryContext caller;
	NormalizeRows rows = {0};
	KmStatus	status;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("query");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("key");
	if (PG_ARGISNULL(2))
		kseg_error_null_argument("method");

	InitMaterializedSRF(fcinfo, 0);

	rows.context = AllocSetContextCreate(CurrentMemoryContext,
										 "kseg normalize of a query",
										 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(rows.context);
	(void) kseg_progress_start(KSEG_COMMAND_NORMALIZE);
	rows.key_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	rows.scale = kseg_scale_parse(text_to_cstring(PG_GETARG_TEXT_PP(2)));

	kseg_query_run(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, start_normalize,
				   add_normalize_row, &rows);

	status = km_stats_finish(rows.stats, rows.scale, rows.features);
	if (status == KM_OK)
		put_scaled(&rows, (ReturnSetInfo *) fcinfo->resultinfo);
	else if (status != KM_NO_ROWS)
		kseg_raise(status);

	tuplestore_end(rows.store);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(rows.context);
	return (Datum) 0;
}
