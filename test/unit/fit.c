/*
 * fit.c
 *		Whole fits: the same bytes whatever the rows' order and the vector
 *		unit, and a model that says what is true of its rows.
 */
#include "data.h"

/* ---- what a model must not depend on ---- */

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	NULLS = 4,					/* filled */
	WEIGHTED = 8,
	COARSE = 16					/* many equal rows and many ties */
} Flags;

static const struct
{
	const char *name;
	KmScale		scale;
	int			flags;
	int			categories;
	int			k;
	int			sample;
}			variants[] = {
	{"zscore", KM_ZSCORE, 0, 0, 5, 20000},
	{"equal rows", KM_ZSCORE, COARSE, 0, 6, 20000},
	{"small sample", KM_ZSCORE, 0, 0, 4, 150},
	{"small sample of equal rows", KM_NONE, COARSE, 0, 7, 30},
	{"minmax, clip", KM_MINMAX, CLIP, 0, 4, 20000},
	{"robust, nulls", KM_ROBUST, NULLS, 0, 3, 20000},
	{"maxabs, weights", KM_MAXABS, WEIGHTED, 0, 5, 20000},
	{"cosine", KM_ZSCORE, COSINE, 0, 5, 20000},
	{"cosine of all", KM_NONE, COSINE | NULLS | WEIGHTED, 0, 4, 100},
	{"mixed", KM_ZSCORE, COARSE, 2, 5, 20000},
	{"mixed, all", KM_ROBUST, CLIP | NULLS | WEIGHTED | COARSE, 2, 6, 200},
	{"categories alone", KM_ZSCORE, NULLS | COARSE, 4, 4, 20000},
	{"one segment", KM_ZSCORE, 0, 1, 1, 20000}
};

#define VARIANTS	((int) (sizeof(variants) / sizeof(*variants)))

static void
make_variant(int v, uint64_t *state, int nrows, Data *data,
			 KmOptions *options)
{
	int			nfeatures = 4;
	int			flags = variants[v].flags;

	km_options_default(options);
	options->scale = variants[v].scale;
	options->distance = flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (flags & CLIP) != 0;
	options->clip_low = 0.05;
	options->clip_high = 0.9;
	options->fill_nulls = (flags & NULLS) != 0;
	options->sample = variants[v].sample;
	options->n_init = 2;
	data_blobs(data, state, nrows, nfeatures, 5, 0.3);
	for (int i = 0; i < nrows * nfeatures && (flags & COARSE); i++)
		data->values[i] = rint(data->values[i] * 1.5);
	for (int f = 0; f < variants[v].categories; f++)
		data_categorise(data, state, nfeatures - 1 - f, 3 + f);
	for (int i = 0; i < nrows * nfeatures && (flags & NULLS); i += 7)
		data->values[i] = NAN;
	if (flags & WEIGHTED)
	{
		data->weights = malloc(sizeof(double) * nrows);
		for (int i = 0; i < nrows; i++)
			data->weights[i] = 0.1 + random_share(state) * 7;
	}
}

static void
test_order(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		enum
		{
			N = 700
		};
		uint64_t	state = 100 + v;
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		first;
		int			order[N];
		bool		same = true;
		bool		checked;

		host_init(&host);
		make_variant(v, &state, N, &data, &options);
		fit_data(&host, &data, NULL, &options, variants[v].k, NULL, &first);
		checked = first.status == KM_OK && first.model.k == variants[v].k &&
			km_model_check(first.bytes, first.size, false) == KM_OK;
		for (int i = 0; i < N; i++)
			order[i] = i;
		for (int round = 0; round < 6; round++)
		{
			Fitted		other;

			/* three orders, then each vector unit in another order still */
			if (round >= 3)
				options.simd = (KmSimd) (KM_SIMD_BASELINE + round - 3);
			shuffle(&state, order, N);
			fit_data(&host, &data, order, &options, variants[v].k, NULL,
					 &other);
			same &= same_model(&first, &other);
			fitted_free(&other);
		}
		check(checked && same, "any order, any vector unit: %s",
			  variants[v].name);
		fitted_free(&first);
		data_free(&data);
		checked &= check(host.outstanding == 0, "all freed");
	}
}

/* ---- what a model says ---- */

/* raw value as the fit sees it: clipped, filled */
static double
seen_value(const KmFeature *feature, double x)
{
	if (isnan(x))
		return feature->mean;
	return fmin(fmax(x, feature->clip_low), feature->clip_high);
}

/* most frequent category, the first of several */
static int
seen_category(const Data *data, int f, double x)
{
	int			counts[DATA_CATEGORIES] = {0};
	int			most = 0;

	if (!isnan(x))
		return (int) x;
	for (int i = 0; i < data->nrows; i++)
	{
		if (!isnan(data_row(data, i)[f]))
			counts[(int) data_row(data, i)[f]]++;
	}
	for (int v = 1; v < DATA_CATEGORIES; v++)
	{
		if (counts[v] > counts[most])
			most = v;
	}
	return most;
}

/* Means and shares of the rows of each segment, in the user's units. */
static bool
right_values(const Data *data, const Fitted *fitted, const Scores *scores)
{
	const KmModel *model = &fitted->model;
	bool		right = true;

	for (int c = 0; c < model->k; c++)
	{
		for (int f = 0; f < model->nfeatures; f++)
		{
			const KmFeature *feature = &model->features[f];
			bool		numeric = feature->kind != KM_CATEGORY;

			for (int v = 0; v < (numeric ? 1 : feature->ncategories); v++)
			{
				double		sum = 0;
				double		weight = 0;

				for (int i = 0; i < data->nrows; i++)
				{
					double		w = data->weights == NULL ? 1 :
						data->weights[i];
					double		x = data_row(data, i)[f];

					if (scores->scores[i].segment != c)
						continue;
					weight += w;
					sum += w * (numeric ? seen_value(feature, x) :
								seen_category(data, f, x) == v);
				}
				right &= fabs(km_model_value(model, c, f, v) - sum / weight) <
					1e-10;
			}
		}
	}
	return right;
}

static bool
right_segments(const Data *data, const Fitted *fitted, const Scores *scores)
{
	const KmModel *model = &fitted->model;
	int64_t		sizes[40] = {0};
	double		weights[40] = {0};
	double		inertia[40] = {0};
	double		way[40] = {0};
	double		plain[40] = {0};
	double		total = 0;
	bool		right = scores->n == data->nrows;

	for (int i = 0; i < scores->n; i++)
	{
		const KmScore *s = &scores->scores[i];
		double		w = data->weights == NULL ? 1 : data->weights[i];

		sizes[s->segment]++;
		weights[s->segment] += w;
		inertia[s->segment] += w * s->distance * s->distance;
		plain[s->segment] += s->distance * s->distance;
		way[s->segment] += s->distance;
		right &= s->distance <= s->second_distance;
	}
	for (int c = 0; c < model->k; c++)
	{
		const KmSegment *segment = &model->segments[c];
		double		mean = way[c] / sizes[c];
		double		variance = plain[c] / sizes[c] - mean * mean;
		double		deviation = sqrt(fmax(variance, 0));

		total += segment->inertia;
		right &= segment->size == sizes[c] &&
			near(segment->weight, weights[c], 1e-9) &&
			fabs(segment->inertia - inertia[c]) <= 1e-9 * model->total &&
			near(segment->reach, mean + 3 * deviation, 1e-6) &&
			(c == 0 || sizes[c] <= sizes[c - 1]);
	}
	return right && near(total, model->inertia, 1e-12) &&
		model->total >= model->inertia && model->rows == data->nrows;
}

static void
test_truth(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		uint64_t	state = 200 + v;
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		KmPredictor *predictor;
		Scores		scores;

		host_init(&host);
		make_variant(v, &state, 500, &data, &options);
		fit_data(&host, &data, NULL, &options, variants[v].k, NULL, &fitted);
		km_predictor_create(&host.host, &fitted.model, &predictor);
		score_rows(&fitted, predictor, &scores);
		check(fitted.model.converged &&
			  right_values(&data, &fitted, &scores),
			  "centroids are means of their rows: %s", variants[v].name);
		check(right_segments(&data, &fitted, &scores),
			  "sizes, weights, inertia and reach: %s", variants[v].name);
		free(scores.scores);
		km_predictor_free(predictor);
		fitted_free(&fitted);
		data_free(&data);
	}
}

int
main(void)
{
	test_order();
	test_truth();
	return finish();
}
