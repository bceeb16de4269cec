/*
 * align.c
 *		kseg_align() and kseg_alignment(): segments keep their ids from one
 *		model to the next, and what became of each.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_align);
PG_FUNCTION_INFO_V1(kseg_alignment);

KmAlignment *
kseg_align_models(KmModel *model, const KmModel *old)
{
	const KmHost *host = kseg_host(CurrentMemoryContext);
	KmAlignment *alignment;
	KmStatus	status = km_align(host, model, old,
								  (Size) kseg_work_mem * 1024, &alignment);

	if (status == KM_NOTHING_SHARED)
		kseg_error_align_features(model, old);
	if (status == KM_OVER_LIMIT)
		kseg_error_align_pairs(model->k, old->k);
	kseg_check(status);
	kseg_check(km_alignment_apply(host, alignment, model));
	return alignment;
}

int
kseg_find_segment(const KmModel *model, int id)
{
	int			low = 0;
	int			high = model->k - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (kseg_segment_id(model, middle) == id)
			return middle;
		if (kseg_segment_id(model, middle) < id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

static KmModel *
open_argument(FunctionCallInfo fcinfo, int argument)
{
	return kseg_model_open((struct varlena *) PG_GETARG_VARLENA_P(argument),
						   CurrentMemoryContext);
}

Datum
kseg_align(PG_FUNCTION_ARGS)
{
	KmModel    *model = open_argument(fcinfo, 0);

	(void) kseg_align_models(model, open_argument(fcinfo, 1));
	PG_RETURN_DATUM(kseg_model_datum(model));
}

static const char *
outcome_name(KmOutcome outcome)
{
	switch (outcome)
	{
		case KM_KEPT:
			return "kept";
		case KM_MOVED:
			return "moved";
		case KM_SPLIT:
			return "split";
		case KM_NEW:
			return "new";
		case KM_MERGED:
			return "merged";
		case KM_RETIRED:
			return "retired";
	}
	elog(ERROR, "unexpected outcome of an alignment: %d", (int) outcome);
}

static double
share_of(const KmModel *model, int segment)
{
	return (double) model->segments[segment].size / (double) model->rows;
}

#define ALIGNMENT_COLUMNS 7		/* old_segment, segment, outcome,
								 * other_segment, distance, old_share, share */

static void
put_fate(ReturnSetInfo *result, const KmModel *model, const KmModel *old,
		 const KmFate *fate)
{
	Datum		values[ALIGNMENT_COLUMNS] = {0};
	bool		nulls[ALIGNMENT_COLUMNS] = {0};

	nulls[0] = nulls[5] = fate->old < 0;
	nulls[1] = nulls[6] = fate->segment < 0;
	nulls[3] = fate->other == 0;
	nulls[4] = !isfinite(fate->distance);
	values[0] = Int32GetDatum(fate->id);
	values[1] = Int32GetDatum(fate->id);
	values[2] = CStringGetTextDatum(outcome_name(fate->outcome));
	values[3] = Int32GetDatum(fate->other);
	values[4] = Float8GetDatum(fate->distance);
	if (fate->old >= 0)
		values[5] = Float8GetDatum(share_of(old, fate->old));
	if (fate->segment >= 0)
		values[6] = Float8GetDatum(share_of(model, fate->segment));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kseg_alignment(PG_FUNCTION_ARGS)
{
	KmModel    *model = open_argument(fcinfo, 0);
	KmModel    *old = open_argument(fcinfo, 1);
	KmAlignment *alignment;

	InitMaterializedSRF(fcinfo, 0);
	alignment = kseg_align_models(model, old);
	for (int i = 0; i < alignment->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_fate((ReturnSetInfo *) fcinfo->resultinfo, model, old,
				 &alignment->fates[i]);
	}
	return (Datum) 0;
}
