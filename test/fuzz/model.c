/*
 * model.c
 *		Bytes as a kseg_model or a kseg_scaler.
 *
 * Whatever km_model_check() accepts is read, written as the same bytes, and
 * used: rows scored by every vector unit with the same result, values told,
 * segments matched with those of another model, rows placed and measured,
 * and a fit continued from it.
 */
#include "fuzz.h"

#define MAX_CELLS	20000		/* of a model: beyond, it is only read */
#define MAX_WIDTH	64			/* for what takes the square or cube of it */
#define ROWS		12			/* that are scored */
#define FIT_ROWS	40

static uint64_t chance;

/* a model to be matched with: the last one that was accepted before */
static unsigned char *before;
static size_t before_size;

/* ---- rows that say something about a model ---- */

static double
pick_number(const KmModel *model, int f)
{
	const KmFeature *feature = &model->features[f];

	switch (random_below(&chance, 6))
	{
		case 0:
			return NAN;
		case 1:
			return hard_values[random_below(&chance, HARD_VALUES)];
		case 2:
			return feature->min;
		case 3:
			return feature->max;
		default:
			if (model->k == 0)
				return feature->mean;
			/* near a centroid, and in between of two */
			return (km_model_value(model, random_below(&chance, model->k), f,
								   0) +
					km_model_value(model, random_below(&chance, model->k), f,
								   0)) / 2;
	}
}

static void
make_row(const KmModel *model, double *values)
{
	for (int f = 0; f < model->nfeatures; f++)
	{
		if (model->features[f].kind == KM_CATEGORY)
		{
			values[f] = random_below(&chance,
									 model->features[f].ncategories + 1) - 1;
			if (random_below(&chance, 8) == 0)
				values[f] = NAN;
			continue;
		}
		values[f] = pick_number(model, f);
		if (isinf(values[f]))
			values[f] = 0;
	}
}

/* ---- uses ---- */

static void
same_scores(const KmScore *a, const KmScore *b)
{
	MUST(a->segment == b->segment && a->second == b->second &&
		 a->is_outlier == b->is_outlier);
	MUST(same_bits(a->distance, b->distance) ||
		 (isnan(a->distance) && isnan(b->distance)));
}

static void
score_rows_of(TestHost *host, const KmModel *model)
{
	double	   *values = malloc(sizeof(double) * model->nfeatures);
	KmPredictor *predictor;

	if (km_predictor_create(&host->host, model, &predictor) == KM_OK)
	{
		for (int i = 0; i < ROWS; i++)
		{
			KmScore		scores[4];

			make_row(model, values);
			for (int simd = KM_SIMD_AUTO; simd <= KM_SIMD_AVX512; simd++)
			{
				km_predictor_simd(predictor, (KmSimd) simd);
				km_score(predictor, values, &scores[simd]);
				same_scores(&scores[0], &scores[simd]);
				MUST(km_predict(predictor, values) == scores[0].segment);
			}
			MUST(scores[0].segment >= -1 && scores[0].segment < model->k &&
				 scores[0].second >= -1 && scores[0].second < model->k);
			if (scores[0].segment >= 0)
				(void) km_score_distance(predictor, scores[0].segment);
		}
		km_predictor_free(predictor);
	}
	free(values);
}

/* kseg_info, kseg_centroids, kseg_profile, kseg_scale */
static void
tell_values(const KmModel *model)
{
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		int			n = feature->kind == KM_CATEGORY ? feature->ncategories : 1;
		int			at = km_model_offset(model, f);
		double		mean;
		double		sd;

		for (int v = 0; v < n; v++)
		{
			for (int c = 0; c < model->k; c++)
			{
				(void) km_model_value(model, c, f, v);
				(void) km_model_value_at(model, c, f, at + v);
				(void) km_model_scaled(model, c, f, v);
			}
			if (model->k > 0)
				km_model_overall(model, f, v, at + v, &mean, &sd);
		}
		if (feature->kind == KM_CATEGORY)
			MUST(km_category_find(feature, feature->categories[n - 1],
								  strlen(feature->categories[n - 1])) == n - 1);
		else
			for (int i = 0; i < HARD_VALUES; i++)
				(void) km_unscale_value(feature,
										km_scale_value(feature,
													   hard_values[i]));
	}
}

/* The result has to be a model, too. */
static void
check_written(const KmModel *model)
{
	size_t		size = km_model_size(model);
	unsigned char *bytes = malloc(size);

	km_model_write(model, bytes);
	MUST(km_model_check(bytes, size, model->k == 0) == KM_OK);
	free(bytes);
}

static void
align_with(TestHost *host, const unsigned char *bytes, size_t size,
		   const KmModel *old)
{
	KmAlignment *alignment;
	KmModel    *model;
	KmShift    *shifts = malloc(sizeof(KmShift) * old->k);

	if (km_model_read(&host->host, bytes, size, false, &model) == KM_OK)
	{
		(void) km_shifts(&host->host, model, old, shifts);
		if (km_align(&host->host, model, old, 0, &alignment) == KM_OK)
		{
			if (km_alignment_apply(&host->host, alignment, model) == KM_OK)
				check_written(model);
			km_alignment_free(&host->host, alignment);
		}
		km_model_free(&host->host, model);
	}
	free(shifts);
}

/* kseg_evaluate, kseg_project, kseg_drift */
static void
place_rows(TestHost *host, const KmModel *model)
{
	double	   *values = malloc(sizeof(double) * model->nfeatures);
	KmQuality  *segments = malloc(sizeof(KmQuality) * model->k);
	KmPlaced   *placed = NULL;
	KmPredictor *predictor = NULL;
	KmDrift    *drift = NULL;
	KmPca	   *pca;
	KmQuality	overall;
	int64_t		sampled;
	int			width;

	if (km_placed_create(&host->host, model, 0, KM_SIMD_AUTO,
						 &placed) == KM_OK &&
		km_predictor_create(&host->host, model, &predictor) == KM_OK &&
		km_drift_create(&host->host, model, NULL, false, KM_SIMD_AUTO,
						&drift) == KM_OK)
	{
		for (int i = 0; i < ROWS; i++)
		{
			KmScore		score;

			make_row(model, values);
			km_score(predictor, values, &score);
			(void) km_placed_add(placed, values, i % 2 == 0 ? &score : NULL);
			km_drift_add(drift, values, score.segment < 0 ? NULL : &score, 1);
		}
		(void) km_placed_quality(placed, &overall, segments, &sampled);
		if (km_placed_pca(placed, 2, 0, &width, &pca) == KM_OK)
		{
			double		at[KM_PCA_DIMS];

			for (int64_t i = 0; i < km_placed_rows(placed); i++)
				km_pca_project(pca, i, at);
			km_pca_free(pca);
		}
		for (int c = 0; c < model->k; c++)
		{
			KmSegmentDrift told;

			km_drift_segment(drift, c, &told);
		}
		for (int f = 0; f < model->nfeatures; f++)
		{
			double		psi;
			double		shift;

			km_drift_feature(drift, f, &psi, &shift);
		}
	}
	km_drift_free(drift);
	km_predictor_free(predictor);
	km_placed_free(placed);
	free(segments);
	free(values);
}

/* A fit of other rows that starts from the model's centroids. */
static void
continue_fit(TestHost *host, const KmModel *model)
{
	Data		data;
	Fitted		fitted;
	KmOptions	options;
	double		values[DATA_FEATURES];
	double	   *starts;
	double	   *to;

	data_init(&data, FIT_ROWS, model->nfeatures);
	for (int f = 0; f < model->nfeatures; f++)
	{
		data.kinds[f] = model->features[f].kind;
		data.ncategories[f] = model->features[f].ncategories;
	}
	for (int i = 0; i < FIT_ROWS; i++)
	{
		make_row(model, values);
		for (int f = 0; f < model->nfeatures; f++)
		{
			bool		is_bad = isnan(values[f]) ||
				(data.kinds[f] == KM_CATEGORY && values[f] < 0);

			/* codes are given to those that come: all of them have to */
			if (data.kinds[f] == KM_CATEGORY && i < data.ncategories[f])
				values[f] = i;
			else if (is_bad)
				values[f] = 0;
			data_row(&data, i)[f] = values[f];
		}
	}
	to = starts = malloc(sizeof(double) * model->k * model->width);
	for (int c = 0; c < model->k; c++)
		for (int f = 0; f < model->nfeatures; f++)
			for (int v = 0; v < (data.kinds[f] == KM_CATEGORY ?
								 data.ncategories[f] : 1); v++)
				*to++ = km_model_value(model, c, f, v);
	km_options_default(&options);
	options.n_init = 1;
	options.max_iter = 10;
	options.distance = model->distance;
	if (fit_begin(host, &data, NULL, &options, &fitted) == KM_OK &&
		km_fit_continue(fitted.fit, model->k, starts, model->k,
						&fitted.solution) == KM_OK &&
		km_fit_model(fitted.fit, fitted.solution, &fitted.model) == KM_OK)
	{
		fitted.model.options = "{}";
		check_written(&fitted.model);
	}
	fitted_free(&fitted);
	data_free(&data);
	free(starts);
}

static bool
is_fit_for_data(const KmModel *model)
{
	bool		fits = model->nfeatures <= DATA_FEATURES && model->k <= 20;

	for (int f = 0; f < model->nfeatures; f++)
		fits &= model->features[f].ncategories <= DATA_CATEGORIES;
	return fits;
}

static void
use_model(TestHost *host, const KmModel *model, const unsigned char *bytes,
		  size_t size)
{
	KmModel    *old;

	tell_values(model);
	if (model->k == 0)
		return;
	score_rows_of(host, model);
	if (model->width > MAX_WIDTH)
		return;
	align_with(host, bytes, size, model);
	if (before != NULL &&
		km_model_read(&host->host, before, before_size, false,
					  &old) == KM_OK)
	{
		align_with(host, bytes, size, old);
		km_model_free(&host->host, old);
	}
	place_rows(host, model);
	if (is_fit_for_data(model))
		continue_fit(host, model);
	free(before);
	before = malloc(size);
	memcpy(before, bytes, size);
	before_size = size;
}

static void
try_bytes(const unsigned char *bytes, size_t size, bool scaler)
{
	TestHost	host;
	KmModel    *model;
	unsigned char *again;
	KmStatus	status = km_model_check(bytes, size, scaler);

	fuzz_host_init(&host);
	if (status != KM_OK)
	{
		MUST(status == KM_BAD_FORMAT || status == KM_BAD_VERSION);
		MUST(km_model_read(&host.host, bytes, size, scaler,
						   &model) == status);
	}
	else if (km_model_read(&host.host, bytes, size, scaler, &model) == KM_OK)
	{
		MUST(km_model_size(model) == size);
		again = malloc(size);
		km_model_write(model, again);
		MUST(memcmp(again, bytes, size) == 0);
		free(again);
		if ((size_t) model->k * model->width <= MAX_CELLS)
			use_model(&host, model, bytes, size);
		km_model_free(&host.host, model);
	}
	MUST(host.outstanding == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* the same input, the same rows */
	chance = km_hash_text(1, (const char *) bytes, size) | 1;
	try_bytes(bytes, size, false);
	try_bytes(bytes, size, true);
	return 0;
}
