/*
 * baseline.c
 *		How the rows of a fit are spread over bins of each feature, as rows of
 *		kseg_baselines.
 *
 * What is read back is checked as any input: superusers can write our tables,
 * and a restored dump may be somebody's work.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "managed.h"
#include "messages.h"

struct KsegBaseline
{
	int			nfeatures;
	const KmFeature *features;	/* the model's */
	KmBins	   *bins;
};

/* ---- making one ---- */

KsegBaseline *
kseg_baseline_create(KsegIngest *ingest, const KmModel *model)
{
	KsegBaseline *baseline = palloc(sizeof(KsegBaseline));

	baseline->nfeatures = model->nfeatures;
	baseline->features = model->features;
	baseline->bins = palloc(sizeof(KmBins) * model->nfeatures);
	kseg_check(km_fit_bins(kseg_ingest_begin(ingest), baseline->bins));

	/* the fit knows nothing of the rows that it was not given */
	for (int f = 0; f < model->nfeatures; f++)
	{
		KmBins	   *bins = &baseline->bins[f];

		bins->counts[bins->ncounts - 1] += kseg_ingest_missing(ingest, f);
	}
	return baseline;
}

/* ---- storing it ---- */

static Datum
print_categories(const KmFeature *feature, const KmBins *bins)
{
	char	   *names[KM_BIN_CATEGORIES];

	for (int i = 0; i < bins->ncategories; i++)
		names[i] = feature->categories[bins->categories[i]];
	return kseg_text_array(names, bins->ncategories);
}

void
kseg_baseline_store(const KsegBaseline *baseline, const KsegSegmentation *s,
					int version)
{
	static const Oid types[] = {INT4OID, INT4OID, TEXTOID, INT4OID,
	FLOAT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID};
	Datum		values[lengthof(types)] = {0};
	const char *nulls;

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	for (int f = 0; f < baseline->nfeatures; f++)
	{
		const KmFeature *feature = &baseline->features[f];
		const KmBins *bins = &baseline->bins[f];
		bool		is_category = feature->kind == KM_CATEGORY;

		CHECK_FOR_INTERRUPTS();
		nulls = is_category ? "    n  " : "     n ";
		values[2] = CStringGetTextDatum(feature->name);
		values[3] = Int32GetDatum(f + 1);
		if (is_category)
			values[5] = print_categories(feature, bins);
		else
			values[4] = kseg_number_array(bins->edges, bins->nedges);
		values[6] = kseg_count_array(bins->counts, bins->ncounts);
		kseg_registry_execute("INSERT INTO %s.kseg_baselines"
							  " (segmentation, version, feature, \"position\","
							  " edges, categories, counts)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7)",
							  lengthof(types), types, values, nulls);
	}
	SPI_finish();
}

/* ---- reading it back ---- */

/*
 * Elements of an array in column "number" of a row of the last result; -1
 * for a null, or for one with nulls or more than max elements.
 */
static int
read_array(HeapTuple tuple, int number, Oid type, int max, Datum **values)
{
	bool		is_null;
	Datum		datum = SPI_getbinval(tuple, SPI_tuptable->tupdesc, number,
									  &is_null);
	ArrayType  *array;
	int			n;

	if (is_null)
		return -1;
	array = DatumGetArrayTypeP(datum);
	if (ARR_NDIM(array) > 1 || ARR_HASNULL(array) ||
		ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) > max)
		return -1;
	if (type == TEXTOID)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, values,
						  NULL, &n);
	else
		deconstruct_array(array, type, sizeof(int64), FLOAT8PASSBYVAL,
						  TYPALIGN_DOUBLE, values, NULL, &n);
	return n;
}

static bool
read_edges(HeapTuple tuple, KmBins *bins)
{
	Datum	   *values;

	bins->nedges = read_array(tuple, 2, FLOAT8OID, KM_BIN_EDGES, &values);
	for (int i = 0; i < bins->nedges; i++)
	{
		bins->edges[i] = DatumGetFloat8(values[i]);
		if (!isfinite(bins->edges[i]) ||
			(i > 0 && bins->edges[i] <= bins->edges[i - 1]))
			return false;
	}
	return bins->nedges >= 0;
}

static bool
read_categories(HeapTuple tuple, const KmFeature *feature, KmBins *bins)
{
	Datum	   *values;

	bins->ncategories = read_array(tuple, 3, TEXTOID, KM_BIN_CATEGORIES,
								   &values);
	for (int i = 0; i < bins->ncategories; i++)
	{
		text	   *name = DatumGetTextPP(values[i]);

		bins->categories[i] = km_category_find(feature, VARDATA_ANY(name),
											   VARSIZE_ANY_EXHDR(name));
		if (bins->categories[i] < 0)
			return false;
		for (int j = 0; j < i; j++)
		{
			if (bins->categories[j] == bins->categories[i])
				return false;
		}
	}
	return bins->ncategories >= 0;
}

/* one for each bin, none below 0, and a sum that can be told */
static bool
read_counts(HeapTuple tuple, KmBins *bins)
{
	Datum	   *values;
	int64		sum = 0;

	if (read_array(tuple, 4, INT8OID, KM_BIN_COUNTS, &values) !=
		bins->ncounts)
		return false;
	for (int i = 0; i < bins->ncounts; i++)
	{
		bins->counts[i] = DatumGetInt64(values[i]);
		if (bins->counts[i] < 0 ||
			pg_add_s64_overflow(sum, bins->counts[i], &sum))
			return false;
	}
	return true;
}

/* Does the row tell the bins of the feature? */
static bool
read_bins(HeapTuple tuple, const KmFeature *feature, KmBins *bins)
{
	bool		is_category = feature->kind == KM_CATEGORY;

	if (is_category ? !read_categories(tuple, feature, bins) :
		!read_edges(tuple, bins))
		return false;
	km_bins_clear(bins, feature->kind);
	return read_counts(tuple, bins);
}

KmBins *
kseg_baseline_load(const KsegSegmentation *s, const KmModel *model,
				   int version)
{
	static const Oid types[] = {INT4OID, INT4OID};
	KmBins	   *bins = palloc0(sizeof(KmBins) * model->nfeatures);
	Datum		values[lengthof(types)];

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	kseg_registry_execute("SELECT feature, edges, categories, counts"
						  " FROM %s.kseg_baselines"
						  " WHERE segmentation = $1 AND version = $2"
						  " ORDER BY \"position\", feature",
						  lengthof(types), types, values, NULL);
	if (SPI_processed == 0)
	{
		SPI_finish();
		pfree(bins);
		return NULL;
	}
	if (SPI_processed != model->nfeatures)
		kseg_error_baseline(s->name, version, NULL);
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		HeapTuple	tuple = SPI_tuptable->vals[f];
		char	   *name = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1);

		if (strcmp(name, feature->name) != 0)
			kseg_error_baseline(s->name, version, NULL);
		if (!read_bins(tuple, feature, &bins[f]))
			kseg_error_baseline(s->name, version, name);
	}
	SPI_finish();
	return bins;
}
