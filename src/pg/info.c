/*
 * info.c
 *		What is in a model, as rows: kseg_info() and kseg_centroids().
 *
 * Everything is in the customer's own units; only scaled_value shows what
 * distances are measured in (before weights).  Columns have plain types, so
 * that every driver and dashboard reads them.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "json.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_info);
PG_FUNCTION_INFO_V1(kseg_centroids);

static Datum
feature_names(const KmModel *model)
{
	Datum	   *names = palloc(sizeof(Datum) * model->nfeatures);

	for (int f = 0; f < model->nfeatures; f++)
		names[f] = CStringGetTextDatum(model->features[f].name);
	return PointerGetDatum(construct_array(names, model->nfeatures, TEXTOID,
										   -1, false, TYPALIGN_INT));
}

Datum
kseg_info(PG_FUNCTION_ARGS)
{
	KmModel    *model = kseg_model_open(PG_GETARG_VARLENA_PP(0),
										CurrentMemoryContext);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[11];
	bool		nulls[11] = {0};
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	values[n++] = Int32GetDatum(model->k);
	values[n++] = Int64GetDatum(model->rows);
	values[n++] = Int64GetDatum(model->rows_skipped);
	values[n++] = feature_names(model);
	values[n++] = Float8GetDatum(model->inertia);
	values[n++] = Int32GetDatum(model->iterations);
	values[n++] = BoolGetDatum(model->converged);
	values[n++] = CStringGetTextDatum(kseg_scale_name(model->scale));
	values[n++] = Int64GetDatum((int64) model->seed);
	values[n++] = JsonbPGetDatum(kseg_json_parse(model->options));
	values[n++] = CStringGetTextDatum(psprintf("%d", KM_FORMAT));
	Assert(n == lengthof(values));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/*
 * Only a model that no fit made can hold centroids beyond double's range in
 * the customer's units; readers get a null, never NaN.
 */
static void
put_double(Datum *values, bool *nulls, int column, double value)
{
	values[column] = Float8GetDatum(value);
	nulls[column] = !isfinite(value);
}

/* One row: a segment's centroid in one feature, or in one category of it. */
static void
put_centroid(ReturnSetInfo *result, const KmModel *model, int i, int f,
			 int category)
{
	const KmFeature *feature = &model->features[f];
	const KmSegment *segment = &model->segments[i];
	Datum		values[7];
	bool		nulls[7] = {0};
	int			n = 0;

	values[n++] = Int32GetDatum(kseg_segment_id(model, i));
	values[n++] = Int64GetDatum(segment->size);
	values[n++] = Float8GetDatum((double) segment->size /
								 (double) model->rows);
	values[n++] = CStringGetTextDatum(feature->name);
	if (feature->kind == KM_CATEGORY)
		values[n++] = CStringGetTextDatum(feature->categories[category]);
	else
	{
		values[n] = (Datum) 0;
		nulls[n++] = true;
	}
	put_double(values, nulls, n++, km_model_value(model, i, f, category));
	put_double(values, nulls, n++, km_model_scaled(model, i, f, category));
	Assert(n == lengthof(values));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kseg_centroids(PG_FUNCTION_ARGS)
{
	KmModel    *model = kseg_model_open(PG_GETARG_VARLENA_PP(0),
										CurrentMemoryContext);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "kseg centroids",
											  ALLOCSET_SMALL_SIZES);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < model->k; i++)
	{
		for (int f = 0; f < model->nfeatures; f++)
		{
			const KmFeature *feature = &model->features[f];
			int			count = feature->kind == KM_CATEGORY ?
				feature->ncategories : 1;

			for (int c = 0; c < count; c++)
			{
				MemoryContext old = MemoryContextSwitchTo(row);

				CHECK_FOR_INTERRUPTS();
				put_centroid(result, model, i, f, c);
				MemoryContextSwitchTo(old);
				MemoryContextReset(row);
			}
		}
	}
	MemoryContextDelete(row);
	return (Datum) 0;
}
