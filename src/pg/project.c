/*
 * project.c
 *		kseg_project(): rows of a query on their principal axes, for a picture.
 *
 * All rows make the axes, so all of them are held; what is shown of them may
 * be less.  Their keys wait in a tuplestore, or, when only some are shown, in
 * a sort by a hash of content and key, which forgets all but the first: which
 * rows are shown depends on no order and no plan.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"

#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_project);

/* key, segment, x, y, z, explained */
#define PROJECT_COLUMNS	6

/* of a row that waits: hash, key, number */
#define WAITING_COLUMNS	3

typedef struct Projection
{
	/* set once */
	MemoryContext context;
	ReturnSetInfo *result;
	const KmModel *model;
	const char *key_name;
	int			dims;
	int64		max_rows;		/* 0: all */
	KsegKey		key;
	TupleDesc	waiting_desc;
	TupleTableSlot *slot;

	/* changes while rows come in */
	KmPlaced   *placed;
	Tuplestorestate *keys;		/* all rows, in the query's order; or */
	Tuplesortstate *chosen;		/* those to show */

	KmPca	   *pca;
} Projection;

/* ---- rows in ---- */

/* The first max_rows by hash; by key where that is equal. */
static Tuplesortstate *
begin_choice(Projection *projection)
{
	AttrNumber	columns[] = {1, 2};
	Oid			operators[] = {Int8LessOperator, TextLessOperator};
	Oid			collations[] = {InvalidOid, C_COLLATION_OID};
	bool		nulls_first[] = {false, false};
	Tuplesortstate *sort;

	sort = tuplesort_begin_heap(projection->waiting_desc, 2, columns,
								operators, collations, nulls_first, work_mem,
								NULL, TUPLESORT_ALLOWBOUNDED);
	tuplesort_set_bound(sort, projection->max_rows);
	return sort;
}

static void
start_rows(void *arg, const KsegQuery *query, const int *positions)
{
	Projection *projection = arg;
	MemoryContext caller = MemoryContextSwitchTo(projection->context);
	TupleDesc	desc = CreateTemplateTupleDesc(WAITING_COLUMNS);

	kseg_key_init(&projection->key, query, projection->key_name,
				  projection->context);
	TupleDescInitEntry(desc, 1, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 3, "number", INT8OID, -1, 0);
	projection->waiting_desc = desc;
	projection->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	if (projection->max_rows > 0)
		projection->chosen = begin_choice(projection);
	else
		projection->keys = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
}

static int64
hash_row(const Projection *projection, const KsegScoredRow *row, Datum key,
		 bool key_is_null)
{
	uint64		hash = km_hash_values(row->features,
									  projection->model->nfeatures);

	if (!key_is_null)
	{
		text	   *string = DatumGetTextPP(key);

		hash = km_hash_text(hash, VARDATA_ANY(string),
							VARSIZE_ANY_EXHDR(string));
	}
	return (int64) hash;
}

static void
add_row(void *arg, const KsegScoredRow *row)
{
	Projection *projection = arg;
	Datum		values[WAITING_COLUMNS];
	bool		nulls[WAITING_COLUMNS] = {false, false, false};
	KmStatus	status;

	if (!row->has_segment)
		return;
	values[0] = Int64GetDatum(0);
	values[1] = kseg_key_text(&projection->key, row->values, row->nulls,
							  &nulls[1]);
	values[2] = Int64GetDatum(km_placed_rows(projection->placed));
	status = km_placed_add(projection->placed, row->features, &row->score);
	if (unlikely(status == KM_OVER_LIMIT))
		kseg_error_work_mem(km_placed_rows(projection->placed),
							projection->model->nfeatures);
	kseg_check(status);

	if (projection->keys != NULL)
	{
		tuplestore_putvalues(projection->keys, projection->waiting_desc,
							 values, nulls);
		return;
	}
	values[0] = Int64GetDatum(hash_row(projection, row, values[1], nulls[1]));
	ExecStoreMinimalTuple(kseg_form_minimal_tuple(projection->waiting_desc,
												  values, nulls),
						  projection->slot, false);
	tuplesort_puttupleslot(projection->chosen, projection->slot);
	/* the tuple goes with the row's context */
	ExecClearTuple(projection->slot);
}

/* ---- rows out ---- */

static void
find_axes(Projection *projection)
{
	int			width = 0;
	KmStatus	status = km_placed_pca(projection->placed, projection->dims,
									   (Size) kseg_work_mem * 1024, &width,
									   &projection->pca);

	if (status == KM_TOO_WIDE)
		kseg_error_project_width(width);
	if (status == KM_OVER_LIMIT)
		kseg_error_project_memory(width);
	kseg_check(status);
}

/* The row that waits in the slot. */
static void
put_row(Projection *projection)
{
	double		explained = km_pca_explained(projection->pca);
	double		at[KM_PCA_DIMS];
	Datum		values[PROJECT_COLUMNS];
	bool		nulls[PROJECT_COLUMNS] = {false};
	int64		number;
	int			segment;

	slot_getallattrs(projection->slot);
	number = DatumGetInt64(projection->slot->tts_values[2]);
	segment = km_placed_segment(projection->placed, number);
	km_pca_project(projection->pca, number, at);

	values[0] = projection->slot->tts_values[1];
	nulls[0] = projection->slot->tts_isnull[1];
	values[1] = Int32GetDatum(kseg_segment_id(projection->model, segment));
	for (int a = 0; a < KM_PCA_DIMS; a++)
	{
		nulls[2 + a] = a >= projection->dims;
		if (!nulls[2 + a])
			values[2 + a] = Float8GetDatum(at[a]);
	}
	nulls[5] = explained < 0;
	values[5] = Float8GetDatum(explained);
	tuplestore_putvalues(projection->result->setResult,
						 projection->result->setDesc, values, nulls);
}

static bool
next_row(Projection *projection)
{
	CHECK_FOR_INTERRUPTS();
	if (projection->keys != NULL)
		return tuplestore_gettupleslot(projection->keys, true, false,
									   projection->slot);
	return tuplesort_gettupleslot(projection->chosen, true, false,
								  projection->slot, NULL);
}

static void
put_rows(Projection *projection)
{
	if (projection->chosen != NULL)
		tuplesort_performsort(projection->chosen);
	/* a bounded sort may hand out more than its bound */
	for (int64 n = 0; projection->max_rows == 0 || n < projection->max_rows;
		 n++)
	{
		if (!next_row(projection))
			break;
		put_row(projection);
	}
	ExecDropSingleTupleTableSlot(projection->slot);
	if (projection->keys != NULL)
		tuplestore_end(projection->keys);
	else
		tuplesort_end(projection->chosen);
}

/* ---- the call ---- */

static void
read_arguments(FunctionCallInfo fcinfo, Projection *projection)
{
	static const char *const names[] = {"model", "query", "key", "dims"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			kseg_error_null_argument(names[i]);
	}
	projection->dims = PG_GETARG_INT32(3);
	if (projection->dims < 2 || projection->dims > KM_PCA_DIMS)
		kseg_error_project_dims(projection->dims);
	if (!PG_ARGISNULL(4))
	{
		projection->max_rows = PG_GETARG_INT32(4);
		if (projection->max_rows < 1)
			kseg_error_max_rows((int) projection->max_rows);
	}
}

Datum
kseg_project(PG_FUNCTION_ARGS)
{
	Projection	projection = {0};
	MemoryContext caller;

	read_arguments(fcinfo, &projection);
	InitMaterializedSRF(fcinfo, 0);
	projection.result = (ReturnSetInfo *) fcinfo->resultinfo;
	projection.context = AllocSetContextCreate(CurrentMemoryContext,
											   "kseg project",
											   ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(projection.context);
	(void) kseg_progress_start(KSEG_COMMAND_PROJECT);

	projection.key_name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	projection.model = kseg_model_open((struct varlena *)
									   PG_GETARG_VARLENA_P(0),
									   projection.context);
	kseg_check(km_placed_create(kseg_host(projection.context),
								projection.model,
								(Size) kseg_work_mem * 1024,
								(KmSimd) kseg_simd, &projection.placed));
	kseg_scored_run(projection.model,
					text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL,
					projection.key_name, start_rows, add_row, &projection);
	if (km_placed_rows(projection.placed) > 0)
		find_axes(&projection);
	put_rows(&projection);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(projection.context);
	return (Datum) 0;
}
