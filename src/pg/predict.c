/*
 * predict.c
 *		kseg_predict() and kseg_score(): which segment a row belongs to.
 *
 * The model is argument 0, the features follow.  What is kept between rows
 * is scorer.c's.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_predict);
PG_FUNCTION_INFO_V1(kseg_score);

#define FIRST_FEATURE 1

Datum
kseg_predict(PG_FUNCTION_ARGS)
{
	KsegScorer *scorer;
	int			segment;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();

	scorer = kseg_scorer_get(fcinfo, FIRST_FEATURE);
	segment = kseg_scorer_predict(scorer, &fcinfo->args[FIRST_FEATURE]);
	if (segment == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(segment);
}

Datum
kseg_score(PG_FUNCTION_ARGS)
{
	KsegScorer *scorer;
	KmScore		score;
	Datum		values[KSEG_SCORE_COLUMNS];
	bool		nulls[KSEG_SCORE_COLUMNS];
	bool		is_scored;
	HeapTuple	row;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();

	scorer = kseg_scorer_get(fcinfo, FIRST_FEATURE);
	is_scored = kseg_scorer_score(scorer, &fcinfo->args[FIRST_FEATURE],
								  &score);
	kseg_score_columns(kseg_scorer_model(scorer), is_scored ? &score : NULL,
					   values, nulls);
	row = heap_form_tuple(kseg_scorer_row_type(fcinfo), values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(row));
}

void
kseg_score_columns(const KmModel *model, const KmScore *score, Datum *values,
				   bool *nulls)
{
	bool		has_second = score != NULL && score->second >= 0;

	memset(values, 0, sizeof(Datum) * KSEG_SCORE_COLUMNS);
	for (int i = 0; i < KSEG_SCORE_COLUMNS; i++)
		nulls[i] = true;

	if (score != NULL)
	{
		values[0] = Int32GetDatum(kseg_segment_id(model, score->segment));
		values[1] = Float8GetDatum(score->distance);
		values[5] = BoolGetDatum(score->is_outlier);
		nulls[0] = nulls[1] = nulls[5] = false;
	}
	if (has_second)
	{
		values[2] = Int32GetDatum(kseg_segment_id(model, score->second));
		values[3] = Float8GetDatum(score->second_distance);
		nulls[2] = nulls[3] = false;
		/* both infinite: nobody can tell by how much */
		if (!isinf(score->distance))
		{
			values[4] = Float8GetDatum(score->second_distance -
									   score->distance);
			nulls[4] = false;
		}
	}
}
