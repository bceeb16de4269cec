/*
 * model_print.c
 *		Models and scalers as one line of JSON.
 *
 * The text is exact: doubles are printed in the shortest form that reads back
 * as the same double, whatever extra_float_digits says, and keys come in a
 * fixed order.  Equal models have equal text.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/json.h"

#include "kseg.h"
#include "model_json.h"

void
kseg_append_double(StringInfo buffer, double value)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	Assert(isfinite(value));
	/* jsonb has no -0, and nothing may depend on one */
	if (value == 0)
		value = 0;
	(void) double_to_shortest_decimal_buf(value, text);
	appendStringInfoString(buffer, text);
}

static void
append_double(StringInfo buffer, const char *key, double value)
{
	appendStringInfo(buffer, ", \"%s\": ", key);
	kseg_append_double(buffer, value);
}

static void
append_int64(StringInfo buffer, const char *key, int64 value)
{
	appendStringInfo(buffer, ", \"%s\": %lld", key, (long long) value);
}

static void
append_doubles(StringInfo buffer, const char *key, const double *values,
			   int count)
{
	appendStringInfo(buffer, ", \"%s\": [", key);
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(buffer, ", ");
		kseg_append_double(buffer, values[i]);
	}
	appendStringInfoChar(buffer, ']');
}

static void
append_number_feature(StringInfo buffer, const KmFeature *feature)
{
	if (!isfinite(feature->clip_low))
		appendStringInfoString(buffer, ", \"clip\": null");
	else
	{
		double		bounds[] = {feature->clip_low, feature->clip_high};

		append_doubles(buffer, "clip", bounds, 2);
	}
	append_double(buffer, "min", feature->min);
	append_double(buffer, "max", feature->max);
	append_double(buffer, "mean", feature->mean);
	append_double(buffer, "sd", feature->sd);
	append_double(buffer, "center", feature->center);
	append_double(buffer, "divisor", feature->divisor);
	append_double(buffer, "origin", feature->origin);
	append_int64(buffer, "grid", feature->grid);
}

static void
append_category_feature(StringInfo buffer, const KmFeature *feature)
{
	appendStringInfoString(buffer, ", \"categories\": [");
	for (int c = 0; c < feature->ncategories; c++)
	{
		if (c > 0)
			appendStringInfoString(buffer, ", ");
		escape_json(buffer, feature->categories[c]);
	}
	appendStringInfoString(buffer, "], \"counts\": [");
	for (int c = 0; c < feature->ncategories; c++)
		appendStringInfo(buffer, "%s%lld", c > 0 ? ", " : "",
						 (long long) feature->counts[c]);
	appendStringInfoChar(buffer, ']');
}

static void
append_features(StringInfo buffer, const KmModel *model)
{
	appendStringInfoString(buffer, ", \"features\": [");
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];

		appendStringInfoString(buffer, f > 0 ? ", {\"name\": "
							   : "{\"name\": ");
		escape_json(buffer, feature->name);
		appendStringInfo(buffer, ", \"kind\": \"%s\"",
						 kseg_kind_name(feature->kind));
		append_double(buffer, "weight", feature->weight);
		append_double(buffer, "factor", feature->factor);
		if (feature->kind == KM_CATEGORY)
			append_category_feature(buffer, feature);
		else
			append_number_feature(buffer, feature);
		appendStringInfoChar(buffer, '}');
	}
	appendStringInfoChar(buffer, ']');
}

static void
append_segments(StringInfo buffer, const KmModel *model)
{
	bool		has_ids = km_model_has_ids(model);

	appendStringInfoString(buffer, ", \"segments\": [");
	for (int i = 0; i < model->k; i++)
	{
		const KmSegment *segment = &model->segments[i];
		size_t		first = (size_t) i * model->width;

		CHECK_FOR_INTERRUPTS();
		appendStringInfoString(buffer, i > 0 ? ", {" : "{");
		if (has_ids)
			appendStringInfo(buffer, "\"id\": %d, ", segment->id);
		appendStringInfo(buffer, "\"size\": %lld",
						 (long long) segment->size);
		append_double(buffer, "weight", segment->weight);
		append_double(buffer, "inertia", segment->inertia);
		append_double(buffer, "reach", segment->reach);
		append_doubles(buffer, "center", model->centers + first,
					   model->width);
		if (model->distance == KM_COSINE)
			append_doubles(buffer, "mean", model->means + first,
						   model->width);
		appendStringInfoChar(buffer, '}');
	}
	appendStringInfoChar(buffer, ']');
}

char *
kseg_model_print(const KmModel *model)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	appendStringInfo(&buffer, "{\"kseg\": %d", KM_FORMAT);
	append_int64(&buffer, "k", model->k);
	/* the ids of a new model go without saying */
	if (km_model_has_ids(model))
		append_int64(&buffer, "last_id", model->last_id);
	appendStringInfo(&buffer,
					 ", \"scale\": \"%s\", \"distance\": \"%s\""
					 ", \"nulls\": \"%s\"",
					 kseg_scale_name(model->scale),
					 kseg_distance_name(model->distance),
					 model->fill_nulls ? "mean" : "skip");
	append_int64(&buffer, "rows", model->rows);
	append_int64(&buffer, "rows_skipped", model->rows_skipped);
	append_double(&buffer, "inertia", model->inertia);
	append_double(&buffer, "total", model->total);
	append_int64(&buffer, "iterations", model->iterations);
	appendStringInfo(&buffer, ", \"converged\": %s",
					 model->converged ? "true" : "false");
	append_int64(&buffer, "seed", (int64) model->seed);
	appendStringInfo(&buffer, ", \"options\": %s", model->options);
	append_features(&buffer, model);
	append_segments(&buffer, model);
	appendStringInfoChar(&buffer, '}');
	return buffer.data;
}

char *
kseg_scaler_print(const KmModel *scaler)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	appendStringInfo(&buffer, "{\"kseg_scaler\": %d, \"scale\": \"%s\"",
					 KM_FORMAT, kseg_scale_name(scaler->scale));
	append_int64(&buffer, "rows", scaler->rows);
	append_features(&buffer, scaler);
	appendStringInfoChar(&buffer, '}');
	return buffer.data;
}
