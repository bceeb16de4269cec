/*
 * segments.c
 *		kseg_segments(): the segment of every row of a query.
 *
 * With a model, rows are scored as they come.  With a number of segments, the
 * query still runs once: the keys wait in a tuplestore while the rows are
 * fitted, and are read back in the same order as the core scores them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_segments_model);
PG_FUNCTION_INFO_V1(kseg_segments_fit);

/* What both forms share; argument 0 is the query, 1 the key. */
typedef struct SegmentRows
{
	MemoryContext context;
	const char *key_name;
	KsegKey		key;
	KmModel    *model;
	ReturnSetInfo *result;

	/* the form that fits */
	bool		is_array;		/* the only feature column is a float8[] */
	int			nfeatures;
	int		   *positions;		/* of the features' columns in the slot */
	KsegOptions *options;
	KsegIngest *ingest;
	TupleDesc	key_desc;		/* key, whether the row is fitted */
	Tuplestorestate *keys;
	TupleTableSlot *slot;
} SegmentRows;

/* key, segment, distance, second_segment, margin, is_outlier */
#define SEGMENTS_COLUMNS 6

/* score: NULL for a row without a segment */
static void
put_segment(const SegmentRows *rows, Datum key, bool key_is_null,
			const KmScore *score)
{
	Datum		scored[KSEG_SCORE_COLUMNS];
	bool		scored_nulls[KSEG_SCORE_COLUMNS];
	Datum		values[SEGMENTS_COLUMNS];
	bool		nulls[SEGMENTS_COLUMNS];
	/* of kseg_score's columns all but second_distance */
	static const int columns[SEGMENTS_COLUMNS] = {-1, 0, 1, 2, 4, 5};

	kseg_score_columns(rows->model, score, scored, scored_nulls);
	values[0] = key;
	nulls[0] = key_is_null;
	for (int i = 1; i < SEGMENTS_COLUMNS; i++)
	{
		values[i] = scored[columns[i]];
		nulls[i] = scored_nulls[columns[i]];
	}
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc,
						 values, nulls);
}

static void
begin_call(FunctionCallInfo fcinfo, SegmentRows *rows)
{
	if (PG_ARGISNULL(0))
		kseg_error_null_argument("query");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("key");

	InitMaterializedSRF(fcinfo, 0);
	rows->result = (ReturnSetInfo *) fcinfo->resultinfo;
	rows->context = AllocSetContextCreate(CurrentMemoryContext,
										  "kseg segments",
										  ALLOCSET_DEFAULT_SIZES);
	rows->key_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
}

/* ---- with a model ---- */

static void
start_scoring(void *arg, const KsegQuery *query, const int *positions)
{
	SegmentRows *rows = arg;

	kseg_key_init(&rows->key, query, rows->key_name, rows->context);
}

static void
put_scored_row(void *arg, const KsegScoredRow *row)
{
	SegmentRows *rows = arg;
	Datum		key;
	bool		key_is_null;

	key = kseg_key_text(&rows->key, row->values, row->nulls, &key_is_null);
	put_segment(rows, key, key_is_null,
				row->has_segment ? &row->score : NULL);
}

Datum
kseg_segments_model(PG_FUNCTION_ARGS)
{
	SegmentRows rows = {0};
	MemoryContext caller;

	if (PG_ARGISNULL(2))
		kseg_error_null_argument("model");
	begin_call(fcinfo, &rows);
	caller = MemoryContextSwitchTo(rows.context);
	(void) kseg_progress_start(KSEG_COMMAND_SEGMENTS);

	/* a model is fitted already; an option that does nothing would mislead */
	if (!PG_ARGISNULL(3))
	{
		KsegOptions *options = kseg_options_parse(PG_GETARG_JSONB_P(3), 0,
												  false);

		if (JB_ROOT_COUNT(options->json) > 0)
			kseg_error_options_without_fit();
	}

	rows.model = kseg_model_open((struct varlena *) PG_GETARG_VARLENA_P(2),
								 rows.context);
	kseg_scored_run(rows.model, text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL,
					rows.key_name, start_scoring, put_scored_row, &rows);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(rows.context);
	return (Datum) 0;
}

/* ---- with a fit of its own ---- */

static void
start_fitting(void *arg, const KsegQuery *query)
{
	SegmentRows *rows = arg;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	const char **names = palloc(sizeof(char *) * query->ncolumns);
	Oid		   *types = palloc(sizeof(Oid) * query->ncolumns);

	kseg_key_init(&rows->key, query, rows->key_name, rows->context);
	rows->positions = palloc(sizeof(int) * query->ncolumns);
	for (int i = 0; i < query->ncolumns; i++)
	{
		if (i == rows->key.column)
			continue;
		rows->positions[rows->nfeatures] = i;
		names[rows->nfeatures] = query->names[i];
		types[rows->nfeatures] = query->types[i];
		rows->nfeatures++;
	}

	rows->is_array = kseg_query_array(query, &rows->key_name, 1) >= 0;
	if (rows->is_array)
		rows->ingest = kseg_ingest_create_array(rows->context, rows->options);
	else
		rows->ingest = kseg_ingest_create(rows->context, rows->options,
										  rows->nfeatures, names, types);

	rows->key_desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(rows->key_desc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(rows->key_desc, 2, "is_fitted", BOOLOID, -1, 0);
	rows->slot = MakeSingleTupleTableSlot(rows->key_desc,
										  &TTSOpsMinimalTuple);
	rows->keys = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
}

static void
collect_row(void *arg, const Datum *values, const bool *nulls)
{
	SegmentRows *rows = arg;
	Datum		kept[2];
	bool		kept_nulls[2] = {false, false};
	bool		is_fitted = false;

	if (rows->is_array && nulls[rows->positions[0]])
		kseg_ingest_skip(rows->ingest);
	else if (rows->is_array)
		is_fitted = kseg_ingest_add_array(rows->ingest,
										  values[rows->positions[0]]);
	else
		is_fitted = kseg_ingest_add_slot(rows->ingest, values, nulls,
										 rows->positions);
	kept[0] = kseg_key_text(&rows->key, values, nulls, &kept_nulls[0]);
	kept[1] = BoolGetDatum(is_fitted);
	tuplestore_putvalues(rows->keys, rows->key_desc, kept, kept_nulls);
}

/*
 * Advance to the next key of a fitted row; rows that were skipped come out on
 * the way.  False at the end.
 */
static bool
next_key(SegmentRows *rows)
{
	while (tuplestore_gettupleslot(rows->keys, true, false, rows->slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(rows->slot);
		if (DatumGetBool(rows->slot->tts_values[1]))
			return true;
		put_segment(rows, rows->slot->tts_values[0],
					rows->slot->tts_isnull[0], NULL);
	}
	return false;
}

/* km_fit_score's emit: the next fitted row has this score */
static void
emit_segment(void *arg, const KmScore *score)
{
	SegmentRows *rows = arg;

	if (!next_key(rows))
		elog(ERROR, "more rows scored than fitted");
	put_segment(rows, rows->slot->tts_values[0],
				rows->slot->tts_isnull[0],
				score->segment >= 0 ? score : NULL);
}

Datum
kseg_segments_fit(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	int			k = 0;
	SegmentRows rows = {0};
	MemoryContext caller;
	KmFit	   *fit;

	if (!PG_ARGISNULL(2))
	{
		k = PG_GETARG_INT32(2);
		kseg_check_k(k);
	}
	begin_call(fcinfo, &rows);
	caller = MemoryContextSwitchTo(rows.context);
	(void) kseg_progress_start(KSEG_COMMAND_SEGMENTS);

	rows.options = kseg_options_parse(json, k, true);
	kseg_query_run(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, start_fitting,
				   collect_row, &rows);

	fit = kseg_ingest_begin(rows.ingest);
	if (fit != NULL)
	{
		KmPredictor *predictor;

		rows.model = kseg_ingest_fit(rows.ingest, 0);
		kseg_check(km_predictor_create(kseg_host(rows.context), rows.model,
									   &predictor));
		km_predictor_simd(predictor, (KmSimd) kseg_simd);
		kseg_progress_phase(KSEG_PHASE_SCORE);
		kseg_check(km_fit_score(fit, predictor, emit_segment, &rows));
	}
	if (next_key(&rows))
		elog(ERROR, "more rows fitted than scored");

	ExecDropSingleTupleTableSlot(rows.slot);
	tuplestore_end(rows.keys);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(rows.context);
	return (Datum) 0;
}
