/*
 * cluster.c
 *		The window function kseg_cluster(k or options, VARIADIC features).
 *
 * At the first row of a partition all its rows are read and segmented; the
 * segments wait in the partition's memory for their rows.  Frame and order
 * of the window make no difference.
 */
#include "postgres.h"

#include <limits.h>

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "windowapi.h"

#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_cluster_k);
PG_FUNCTION_INFO_V1(kseg_cluster_options);

/* arguments: k or options, features */
#define SETTING		0
#define FEATURES	1

/* What is kept of a partition.  Zero at first. */
typedef struct Partition
{
	int			k;				/* 0: in the options */
	Jsonb	   *json;			/* NULL: k is given */
	int32	   *segments;		/* a row each; 0: none */
} Partition;

/* What reading a partition needs. */
typedef struct Reader
{
	WindowObject window;
	int			ncolumns;
	Oid		   *types;
	bool		is_array;
	KsegIngest *ingest;
	MemoryContext row_context;	/* reset after each row */
	NullableDatum *row;
	bool	   *by_value;		/* a column each */
	int16	   *lengths;
	List	   *arguments;		/* ExprStates; NIL: see fetch_row_singly() */
	ExprContext *expressions;	/* theirs */
} Reader;

/*
 * The head of the server's WindowObjectData, which nodeWindowAgg.c keeps to
 * itself.  It has begun like this since there are window functions.
 */
typedef struct WindowHead
{
	NodeTag		type;
	WindowAggState *state;
} WindowHead;

/*
 * Find the expressions of the function's arguments, so that a row is fetched
 * once for all of them.  WinGetFuncArgInPartition() fetches it for each: a
 * step on and a step back, which are three reads of the file where the rows
 * did not fit into memory.  A server that is built otherwise than known leaves
 * "arguments" empty.
 */
static void
find_arguments(Reader *reader, FunctionCallInfo fcinfo)
{
	WindowHead *window = (WindowHead *) reader->window;
	ListCell   *cell;

	if (!WINDOW_HEAD_IS_KNOWN || window->state == NULL ||
		!IsA(window->state, WindowAggState))
		return;
	foreach(cell, window->state->funcs)
	{
		WindowFuncExprState *function = lfirst(cell);

		if ((Node *) function->wfunc == fcinfo->flinfo->fn_expr &&
			list_length(function->args) == PG_NARGS())
		{
			reader->arguments = function->args;
			reader->expressions = window->state->ss.ps.ps_ExprContext;
			return;
		}
	}
}

static Reader *
make_reader(FunctionCallInfo fcinfo, KsegOptions *options)
{
	Reader	   *reader = palloc0(sizeof(Reader));

	reader->window = PG_WINDOW_OBJECT();
	reader->types = kseg_argument_types(fcinfo, FEATURES, &reader->is_array);
	reader->ncolumns = PG_NARGS() - FEATURES;
	reader->row = palloc(sizeof(NullableDatum) * reader->ncolumns);
	reader->by_value = palloc(sizeof(bool) * reader->ncolumns);
	reader->lengths = palloc(sizeof(int16) * reader->ncolumns);
	for (int c = 0; c < reader->ncolumns; c++)
		get_typlenbyval(reader->types[c], &reader->lengths[c],
						&reader->by_value[c]);

	if (reader->is_array)
		reader->ingest = kseg_ingest_create_array(CurrentMemoryContext,
												  options);
	else
		reader->ingest =
			kseg_ingest_create(CurrentMemoryContext, options,
							   reader->ncolumns,
							   kseg_numbered_names(reader->ncolumns),
							   reader->types);
	reader->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"kseg cluster row",
												ALLOCSET_DEFAULT_SIZES);
	if (reader->ncolumns > 1)
		find_arguments(reader, fcinfo);
	return reader;
}

/* Fetch a row of the partition and evaluate one argument, from 0. */
static void
fetch_argument(Reader *reader, int row, int argument)
{
	NullableDatum *value = &reader->row[argument];
	bool		is_out;

	value->value = WinGetFuncArgInPartition(reader->window,
											FEATURES + argument, row,
											WINDOW_SEEK_HEAD, false,
											&value->isnull, &is_out);
}

/* The first argument fetches the row, which the others find in its slot. */
static void
fetch_row(Reader *reader, int row)
{
	fetch_argument(reader, row, 0);
	for (int c = 1; c < reader->ncolumns; c++)
	{
		ExprState  *argument = list_nth(reader->arguments, FEATURES + c);
		NullableDatum *value = &reader->row[c];

		value->value = ExecEvalExpr(argument, reader->expressions,
									&value->isnull);
	}
}

static void
fetch_row_singly(Reader *reader, int row)
{
	for (int c = 0; c < reader->ncolumns; c++)
	{
		NullableDatum *value = &reader->row[c];

		fetch_argument(reader, row, c);
		/* fetching the next argument frees the tuple this one points into */
		if (!value->isnull && !reader->by_value[c])
			value->value = datumCopy(value->value, false,
									 reader->lengths[c]);
	}
}

/*
 * Add a row of the partition; false when it was skipped.  Arguments are
 * evaluated in the context of the row: in the caller's they would pile up
 * until the end of the partition.
 */
static bool
read_row(Reader *reader, int row)
{
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);
	bool		added;

	if (reader->arguments != NIL)
		fetch_row(reader, row);
	else
		fetch_row_singly(reader, row);
	if (!reader->is_array)
		added = kseg_ingest_add(reader->ingest, reader->row);
	else if (reader->row[0].isnull)
	{
		kseg_ingest_skip(reader->ingest);
		added = false;
	}
	else
		added = kseg_ingest_add_array(reader->ingest, reader->row[0].value);

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_context);
	return added;
}

typedef struct Writer
{
	const KmModel *model;
	int32	   *segments;		/* 1: to be filled in; 0: skipped */
	int64		row;
} Writer;

static void
put_segment(void *arg, const KmScore *score)
{
	Writer	   *writer = arg;

	while (writer->segments[writer->row] == 0)
		writer->row++;
	writer->segments[writer->row++] = kseg_segment_id(writer->model,
													  score->segment);
}

static void
score_rows(KsegIngest *ingest, const KmModel *model, int32 *segments)
{
	Writer		writer = {model, segments, 0};
	KmPredictor *predictor;
	KmStatus	status;

	status = km_predictor_create(kseg_host(CurrentMemoryContext), model,
								 &predictor);
	if (status == KM_OK)
	{
		km_predictor_simd(predictor, (KmSimd) kseg_simd);
		kseg_progress_phase(KSEG_PHASE_SCORE);
		status = km_fit_score(kseg_ingest_begin(ingest), predictor,
							  put_segment, &writer);
	}
	if (status != KM_OK)
		kseg_raise(status);
}

/* Rows may go to a file, their segments may not. */
static void
check_segments(int64 nrows, int nfeatures)
{
	Size		needed = sizeof(int32) * nrows;

	/* rows of a partition are addressed by an int */
	if (nrows > INT_MAX)
		kseg_error_work_mem(nrows, nfeatures);
	if (needed > (Size) kseg_work_mem * 1024)
		kseg_error_work_mem_known(nrows, nfeatures, needed);
}

static void
segment_partition(FunctionCallInfo fcinfo, Partition *partition)
{
	WindowObject window = PG_WINDOW_OBJECT();
	int64		nrows = WinGetPartitionRowCount(window);
	MemoryContext partition_context = GetMemoryChunkContext(partition);
	MemoryContext context;
	MemoryContext old;
	Reader	   *reader;
	KmModel    *model;
	int32	   *segments;

	context = AllocSetContextCreate(partition_context, "kseg cluster",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	(void) kseg_progress_start(KSEG_COMMAND_CLUSTER);
	kseg_progress_phase(KSEG_PHASE_READ);
	reader = make_reader(fcinfo, kseg_options_parse(partition->json,
													partition->k, true));
	check_segments(nrows, reader->ncolumns);
	segments = MemoryContextAllocHuge(partition_context,
									  sizeof(int32) * nrows);
	for (int i = 0; i < (int) nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (kseg_progress_due(i))
			kseg_progress_rows(i, nrows);
		segments[i] = read_row(reader, i) ? 1 : 0;
	}

	model = kseg_ingest_fit(reader->ingest, 0);
	if (model != NULL)
		score_rows(reader->ingest, model, segments);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	partition->segments = segments;
}

static Datum
current_segment(FunctionCallInfo fcinfo, const Partition *partition)
{
	int64		row = WinGetCurrentPosition(PG_WINDOW_OBJECT());

	if (partition->segments[row] == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(partition->segments[row]);
}

Datum
kseg_cluster_k(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	Partition  *partition;
	bool		isnull;
	int			k;

	if (!WindowObjectIsValid(window))
		kseg_error_not_window("kseg_cluster");
	k = DatumGetInt32(WinGetFuncArgCurrent(window, SETTING, &isnull));
	if (isnull)
		kseg_error_k_null();

	partition = WinGetPartitionLocalMemory(window, sizeof(Partition));
	if (partition->segments == NULL)
	{
		kseg_check_k(k);
		partition->k = k;
		segment_partition(fcinfo, partition);
	}
	else if (k != partition->k)
		kseg_error_argument_changed("number of segments");
	return current_segment(fcinfo, partition);
}

Datum
kseg_cluster_options(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	Partition  *partition;
	bool		isnull;
	Datum		value;
	Jsonb	   *json;

	if (!WindowObjectIsValid(window))
		kseg_error_not_window("kseg_cluster");
	value = WinGetFuncArgCurrent(window, SETTING, &isnull);
	if (isnull)
		kseg_error_argument_null("options");

	json = DatumGetJsonbP(value);
	partition = WinGetPartitionLocalMemory(window, sizeof(Partition));
	if (partition->segments == NULL)
	{
		partition->json =
			MemoryContextAlloc(GetMemoryChunkContext(partition),
							   VARSIZE(json));
		memcpy(partition->json, json, VARSIZE(json));
		segment_partition(fcinfo, partition);
	}
	else if (VARSIZE(json) != VARSIZE(partition->json) ||
			 memcmp(json, partition->json, VARSIZE(json)) != 0)
		kseg_error_argument_changed("options");
	return current_segment(fcinfo, partition);
}
