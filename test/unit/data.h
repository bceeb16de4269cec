/*
 * data.h
 *		Data sets, and whole fits of them, for the tests that need a model.
 *
 * A category's value in a data set is its position among the sorted names.
 * Rows are added with codes in order of arrival, as the server does, so that
 * the core's recoding is part of every fit.
 */
#ifndef DATA_H
#define DATA_H

#include "tap.h"

#define DATA_FEATURES	12
#define DATA_CATEGORIES	8

typedef struct Data
{
	int			nrows;
	int			nfeatures;
	KmKind		kinds[DATA_FEATURES];
	int			ncategories[DATA_FEATURES];
	double		feature_weight[DATA_FEATURES];	/* 0: 1 */
	double	   *values;			/* nrows x nfeatures; NaN: missing */
	double	   *weights;		/* of rows; NULL: none */
} Data;

/* A fit and what came of it; fields not reached are zero. */
typedef struct Fitted
{
	TestHost   *host;
	KmRows	   *rows;
	KmFit	   *fit;
	KmFeature	features[DATA_FEATURES];
	int			codes[DATA_FEATURES][DATA_CATEGORIES];	/* position -> code */
	int			recode[DATA_FEATURES][DATA_CATEGORIES]; /* code -> position */
	KmSolution *solution;
	KmModel		model;
	unsigned char *bytes;
	size_t		size;
	KmStatus	status;
} Fitted;

MAYBE_UNUSED static char *feature_names[DATA_FEATURES] = {"f1", "f2", "f3",
"f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12"};
MAYBE_UNUSED static char *category_names[DATA_CATEGORIES] = {"a", "aa", "b",
"ba", "c", "cc", "d", "z"};

/* ---- data ---- */

MAYBE_UNUSED static void
data_init(Data *data, int nrows, int nfeatures)
{
	memset(data, 0, sizeof(*data));
	data->nrows = nrows;
	data->nfeatures = nfeatures;
	data->values = calloc((size_t) nrows * nfeatures + 1, sizeof(double));
}

MAYBE_UNUSED static void
data_free(Data *data)
{
	free(data->values);
	free(data->weights);
}

MAYBE_UNUSED static double *
data_row(const Data *data, int i)
{
	return data->values + (size_t) i * data->nfeatures;
}

/* Numeric features in k groups; spread: of a group, groups are 1 apart. */
MAYBE_UNUSED static void
data_blobs(Data *data, uint64_t *state, int nrows, int nfeatures, int k,
		   double spread)
{
	double	   *at;

	data_init(data, nrows, nfeatures);
	at = malloc(sizeof(double) * (size_t) k * nfeatures);
	for (int i = 0; i < k * nfeatures; i++)
		at[i] = random_normal(state);
	for (int i = 0; i < nrows; i++)
	{
		int			c = random_below(state, k);

		for (int f = 0; f < nfeatures; f++)
			data_row(data, i)[f] = at[c * nfeatures + f] +
				spread * random_normal(state);
	}
	free(at);
}

/* Make feature f a category of n values that depend on the row's first. */
MAYBE_UNUSED static void
data_categorise(Data *data, uint64_t *state, int f, int n)
{
	data->kinds[f] = KM_CATEGORY;
	data->ncategories[f] = n;
	for (int i = 0; i < data->nrows; i++)
	{
		int			v = data_row(data, i)[0] > 0 ? 0 : n - 1;

		if (random_below(state, 3) == 0)
			v = random_below(state, n);
		/* every category occurs, if there are rows enough */
		data_row(data, i)[f] = i < n ? i : v;
	}
}

/*
 * What a fit has to cope with at once: blobs of four features, the last ones
 * categories, rows that weigh 1 .. most_weight (0: no weights).
 */
MAYBE_UNUSED static void
data_mixed(Data *data, uint64_t *state, int nrows, int blobs, double spread,
		   int categories, int most_weight)
{
	data_blobs(data, state, nrows, 4, blobs, spread);
	for (int f = 0; f < categories; f++)
		data_categorise(data, state, 3 - f, 3);
	if (most_weight == 0)
		return;
	data->weights = malloc(sizeof(double) * nrows);
	for (int i = 0; i < nrows; i++)
		data->weights[i] = 1 + random_below(state, most_weight);
}

/* ---- fits ---- */

static void
describe_features(const Data *data, Fitted *fitted)
{
	for (int f = 0; f < data->nfeatures; f++)
	{
		KmFeature  *feature = &fitted->features[f];

		feature->name = feature_names[f];
		feature->kind = data->kinds[f];
		feature->weight = data->feature_weight[f] > 0 ?
			data->feature_weight[f] : 1;
		feature->ncategories = data->ncategories[f];
		feature->categories = data->kinds[f] == KM_CATEGORY ?
			category_names : NULL;
		for (int v = 0; v < DATA_CATEGORIES; v++)
			fitted->codes[f][v] = -1;
	}
}

/* Codes are given in order of arrival. */
static void
encode_row(const Data *data, Fitted *fitted, int *next, int row,
		   double *values)
{
	for (int f = 0; f < data->nfeatures; f++)
	{
		double		x = data_row(data, row)[f];

		values[f] = x;
		if (data->kinds[f] != KM_CATEGORY || isnan(x))
			continue;
		if (fitted->codes[f][(int) x] < 0)
		{
			fitted->recode[f][next[f]] = (int) x;
			fitted->codes[f][(int) x] = next[f]++;
		}
		values[f] = fitted->codes[f][(int) x];
	}
}

/*
 * Rows in the given order (NULL: as they stand), up to km_fit_begin.  Those
 * beyond the limit (0: none) go to the store.
 */
MAYBE_UNUSED static KmStatus
fit_begin_stored(TestHost *host, const Data *data, const int *order,
				 const KmOptions *options, size_t limit, const KmStore *store,
				 Fitted *fitted)
{
	const int  *recode[DATA_FEATURES];
	int			next[DATA_FEATURES] = {0};
	double		values[DATA_FEATURES];

	memset(fitted, 0, sizeof(*fitted));
	fitted->host = host;
	describe_features(data, fitted);
	fitted->status = km_rows_create(&host->host, data->nfeatures, data->kinds,
									data->weights != NULL,
									options->distance == KM_COSINE, limit,
									&fitted->rows);
	if (fitted->status == KM_OK && store != NULL)
		fitted->status = km_rows_spill(fitted->rows, store);
	for (int i = 0; i < data->nrows && fitted->status == KM_OK; i++)
	{
		int			row = order == NULL ? i : order[i];

		encode_row(data, fitted, next, row, values);
		fitted->status = km_rows_add(fitted->rows, values,
									 data->weights == NULL ? 0 :
									 data->weights[row]);
	}
	for (int f = 0; f < data->nfeatures; f++)
		recode[f] = data->kinds[f] == KM_CATEGORY ? fitted->recode[f] : NULL;
	if (fitted->status == KM_OK)
		fitted->status = km_fit_begin(fitted->rows, options, fitted->features,
									  recode, &fitted->fit);
	if (fitted->fit != NULL)
		fitted->rows = NULL;	/* the fit's now */
	return fitted->status;
}

MAYBE_UNUSED static KmStatus
fit_begin(TestHost *host, const Data *data, const int *order,
		  const KmOptions *options, Fitted *fitted)
{
	return fit_begin_stored(host, data, order, options, 0, NULL, fitted);
}

MAYBE_UNUSED static KmStatus
fit_finish(Fitted *fitted, int k, const double *init)
{
	if (fitted->status == KM_OK)
		fitted->status = km_fit_run(fitted->fit, k, init, &fitted->solution);
	if (fitted->status == KM_OK)
		fitted->status = km_fit_model(fitted->fit, fitted->solution,
									  &fitted->model);
	if (fitted->status == KM_OK)
	{
		fitted->size = km_model_size(&fitted->model);
		fitted->bytes = malloc(fitted->size);
		km_model_write(&fitted->model, fitted->bytes);
	}
	return fitted->status;
}

/* All of it; fitted must be freed whatever the status. */
MAYBE_UNUSED static KmStatus
fit_data(TestHost *host, const Data *data, const int *order,
		 const KmOptions *options, int k, const double *init, Fitted *fitted)
{
	(void) fit_begin(host, data, order, options, fitted);
	return fit_finish(fitted, k, init);
}

MAYBE_UNUSED static void
fitted_free(Fitted *fitted)
{
	const KmHost *host = &fitted->host->host;

	/* the core's, but the caller frees them, as the server's context does */
	km_free(host, fitted->model.segments);
	km_free(host, fitted->model.centers);
	km_free(host, fitted->model.means);
	km_fit_free(fitted->fit);
	km_rows_free(fitted->rows);
	for (int f = 0; f < DATA_FEATURES; f++)
		km_free(host, fitted->features[f].counts);
	free(fitted->bytes);
	memset(fitted, 0, sizeof(*fitted));
	fitted->host = NULL;
}

MAYBE_UNUSED static bool
same_model(const Fitted *a, const Fitted *b)
{
	return a->status == KM_OK && b->status == KM_OK && a->size == b->size &&
		memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* ---- scores of a fit's rows ---- */

typedef struct Scores
{
	int			n;
	KmScore    *scores;
} Scores;

static void
collect_score(void *arg, const KmScore *score)
{
	Scores	   *scores = arg;

	scores->scores[scores->n++] = *score;
}

MAYBE_UNUSED static KmStatus
score_rows(Fitted *fitted, const KmPredictor *predictor, Scores *scores)
{
	scores->n = 0;
	scores->scores = malloc(sizeof(KmScore) *
							(size_t) (km_fit_rows(fitted->fit) + 1));
	return km_fit_score(fitted->fit, predictor, collect_score, scores);
}

#endif							/* DATA_H */
