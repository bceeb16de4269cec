/*
 * predict.c
 *		Scores: over a fit's own rows the fit's own segments, by every route
 *		and vector unit; over new rows the nearest centroid.
 */
#include "data.h"

/* ---- random fits of every kind ---- */

typedef struct Setting
{
	KmScale		scale;
	KmDistance	distance;
	bool		clip;
	bool		nulls;
	bool		weighted;
	int			categories;
	int			nfeatures;
	int			k;
} Setting;

static void
draw_setting(uint64_t *state, int round, Setting *setting)
{
	setting->scale = (KmScale) (round % 5);
	setting->nfeatures = 1 + random_below(state, 10);
	setting->categories = round % 3 == 0 ? 0 :
		random_below(state, setting->nfeatures + 1);
	setting->distance = setting->categories == 0 && round % 2 == 0 ?
		KM_COSINE : KM_EUCLIDEAN;
	setting->clip = random_below(state, 3) == 0;
	setting->nulls = random_below(state, 2) == 0;
	setting->weighted = random_below(state, 3) == 0;
	setting->k = 1 + random_below(state, round % 4 == 0 ? 30 : 7);
}

static void
make_data(const Setting *setting, uint64_t *state, int n, Data *data,
		  KmOptions *options)
{
	int			cells = n * setting->nfeatures;

	km_options_default(options);
	options->scale = setting->scale;
	options->distance = setting->distance;
	options->clip = setting->clip;
	options->clip_low = 0.02;
	options->clip_high = 0.97;
	options->fill_nulls = setting->nulls;
	options->n_init = 1;
	data_blobs(data, state, n, setting->nfeatures, 5, 0.5);
	/* ties and offsets */
	for (int i = 0; i < cells && n % 3 == 0; i++)
		data->values[i] = rint(data->values[i] * 2);
	for (int i = 0; i < cells && n % 3 == 1; i++)
		data->values[i] = data->values[i] * 1e-3 + 1e9;
	for (int f = 0; f < setting->categories; f++)
		data_categorise(data, state, setting->nfeatures - 1 - f,
						1 + random_below(state, DATA_CATEGORIES));
	for (int i = 0; i < cells && setting->nulls; i += 11)
		data->values[i] = NAN;
	for (int f = 0; f < setting->nfeatures; f++)
		data->feature_weight[f] = random_below(state, 3) == 0 ? 2.5 : 0;
	if (setting->weighted)
	{
		data->weights = malloc(sizeof(double) * n);
		for (int i = 0; i < n; i++)
			data->weights[i] = 0.5 + random_share(state);
	}
}

static bool
same_score(const KmScore *a, const KmScore *b)
{
	return a->segment == b->segment && a->second == b->second &&
		same_bits(a->distance, b->distance) &&
		same_bits(a->second_distance, b->second_distance) &&
		a->is_outlier == b->is_outlier;
}

/* fit's scores, single scores, predictions, read-back models, vector units */
static bool
routes_agree(TestHost *host, const Data *data, Fitted *fitted)
{
	KmPredictor *predictor;
	KmPredictor *reread;
	KmModel    *model;
	Scores		scores;
	bool		agree;

	km_predictor_create(&host->host, &fitted->model, &predictor);
	agree = km_model_read(&host->host, fitted->bytes, fitted->size, false,
						  &model) == KM_OK;
	km_predictor_create(&host->host, model, &reread);
	agree &= score_rows(fitted, predictor, &scores) == KM_OK &&
		scores.n == data->nrows;
	for (int simd = KM_SIMD_AUTO; simd <= KM_SIMD_AVX512; simd++)
	{
		km_predictor_simd(predictor, (KmSimd) simd);
		for (int i = 0; i < data->nrows; i++)
		{
			KmScore		score;

			km_score(predictor, data_row(data, i), &score);
			agree &= same_score(&score, &scores.scores[i]) &&
				km_predict(predictor, data_row(data, i)) == score.segment &&
				km_predict(reread, data_row(data, i)) == score.segment;
		}
	}
	free(scores.scores);
	km_predictor_free(predictor);
	km_predictor_free(reread);
	km_model_free(&host->host, model);
	return agree;
}

/* sizes are those of the fit's own assignment */
static bool
sizes_agree(TestHost *host, const Data *data, const Fitted *fitted)
{
	KmPredictor *predictor;
	int64_t		sizes[40] = {0};
	bool		agree = true;

	km_predictor_create(&host->host, &fitted->model, &predictor);
	for (int i = 0; i < data->nrows; i++)
		sizes[km_predict(predictor, data_row(data, i))]++;
	for (int c = 0; c < fitted->model.k; c++)
		agree &= sizes[c] == fitted->model.segments[c].size;
	km_predictor_free(predictor);
	return agree;
}

static void
test_routes(void)
{
	bool		routes = true;
	bool		sizes = true;
	bool		freed = true;

	for (int round = 0; round < 120; round++)
	{
		uint64_t	state = 1000 + round;
		TestHost	host;
		KmOptions	options;
		Setting		setting;
		Data		data;
		Fitted		fitted;

		host_init(&host);
		draw_setting(&state, round, &setting);
		make_data(&setting, &state, 40 + random_below(&state, 200), &data,
				  &options);
		/* unconverged models too */
		options.max_iter = round % 7 == 0 ? 1 : 300;
		fit_data(&host, &data, NULL, &options, setting.k, NULL, &fitted);
		if (fitted.status != KM_OK || !routes_agree(&host, &data, &fitted))
		{
			note("round %d, status %d", round, fitted.status);
			routes = false;
		}
		else
			sizes &= sizes_agree(&host, &data, &fitted);
		fitted_free(&fitted);
		data_free(&data);
		freed &= host.outstanding == 0;
	}
	check(routes, "fit's scores, km_score and km_predict agree to the bit");
	check(sizes, "and count the fit's own segments");
	check(freed, "all freed");
}

/* ---- new rows: the nearest centroid, in the user's units ---- */

/* squared distance in scaled units, from what the model tells */
static double
naive_distance(const KmModel *model, const double *values, int c)
{
	double		d = 0;

	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		double		e;

		if (feature->kind != KM_CATEGORY)
		{
			double		x = fmin(fmax(values[f], feature->clip_low),
								 feature->clip_high);

			e = km_scale_value(feature, x) - km_model_scaled(model, c, f, 0);
			d += feature->weight * e * e;
			continue;
		}
		for (int v = 0; v < feature->ncategories; v++)
		{
			e = (values[f] == v) - km_model_value(model, c, f, v);
			d += feature->factor * feature->factor * e * e;
		}
	}
	return d;
}

static void
test_new_rows(void)
{
	bool		nearest = true;
	bool		distances = true;

	for (int round = 0; round < 40; round++)
	{
		uint64_t	state = 2000 + round;
		TestHost	host;
		KmOptions	options;
		Setting		setting;
		Data		data;
		Fitted		fitted;
		KmPredictor *predictor;

		host_init(&host);
		draw_setting(&state, round, &setting);
		setting.distance = KM_EUCLIDEAN;
		make_data(&setting, &state, 152, &data, &options);
		fit_data(&host, &data, NULL, &options, setting.k, NULL, &fitted);
		km_predictor_create(&host.host, &fitted.model, &predictor);
		for (int i = 0; i < 100; i++)
		{
			double		values[DATA_FEATURES];
			KmScore		score;
			double		best = INFINITY;

			for (int f = 0; f < setting.nfeatures; f++)
				values[f] = data.kinds[f] == KM_CATEGORY ?
					random_below(&state, data.ncategories[f]) :
					random_normal(&state) * 3;
			km_score(predictor, values, &score);
			for (int c = 0; c < fitted.model.k; c++)
				best = fmin(best, naive_distance(&fitted.model, values, c));
			nearest &= naive_distance(&fitted.model, values, score.segment) <=
				best + 1e-12 * (1 + best);
			distances &= fabs(score.distance * score.distance - best) <=
				1e-12 * (1 + best);
			if (fitted.model.k > 1)
				distances &= score.second != score.segment &&
					score.second_distance >= score.distance &&
					fabs(naive_distance(&fitted.model, values, score.second) -
						 score.second_distance * score.second_distance) <=
					1e-12 * (1 + best) * 100;
			else
				distances &= score.second == -1;
		}
		km_predictor_free(predictor);
		fitted_free(&fitted);
		data_free(&data);
	}
	check(nearest, "a new row gets its nearest centroid");
	check(distances, "distances are in scaled units, second ones too");
}

/* ---- ties, outliers, categories and values never seen ---- */

static void
test_ties(void)
{
	static const double values[] = {0, 4};
	static const double init[] = {0, 4};
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	KmScore		score;
	double		middle = 2;
	double		far = 400;

	host_init(&host);
	km_options_default(&options);
	options.scale = KM_NONE;
	data_init(&data, 2, 1);
	memcpy(data.values, values, sizeof(values));
	fit_data(&host, &data, NULL, &options, 2, init, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	km_score(predictor, &middle, &score);
	check(score.segment == 0 && score.second == 1 && score.distance == 2 &&
		  score.second_distance == 2, "a tie goes to the lower number");
	check(score.is_outlier, "beyond the reach is an outlier");
	km_score(predictor, &values[1], &score);
	check(score.segment == 1 && score.second == 0 && score.distance == 0 &&
		  !score.is_outlier, "a row at the center is none");
	km_score(predictor, &far, &score);
	check(score.segment == 1 && score.distance == 396, "far out");
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

static void
test_beyond_range(int k)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	KmScore		score;
	static const double far[] = {1e300, -1e300, DBL_MAX};
	bool		right = true;

	host_init(&host);
	km_options_default(&options);
	data_init(&data, 10, 1);
	for (int i = 0; i < 10; i++)
		data.values[i] = i;
	fit_data(&host, &data, NULL, &options, k, NULL, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	for (int i = 0; i < 3; i++)
	{
		km_score(predictor, &far[i], &score);
		right &= score.segment >= 0 && score.segment < k &&
			score.second == (k == 1 ? -1 : score.segment == 0 ? 1 : 0) &&
			score.is_outlier && score.distance > 1e100 &&
			km_predict(predictor, &far[i]) == score.segment;
	}
	check(right, "values whose squares overflow are outliers, k = %d", k);
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

/* directions do not depend on how long they are */
static void
test_long_directions(void)
{
	uint64_t	state = 5;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	bool		same = true;

	host_init(&host);
	km_options_default(&options);
	options.scale = KM_NONE;
	options.distance = KM_COSINE;
	data_blobs(&data, &state, 200, 3, 4, 0.2);
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	for (int i = 0; i < 200; i++)
	{
		for (int e = -1000; e <= 1000; e += 250)
		{
			double		values[3];

			for (int f = 0; f < 3; f++)
				values[f] = ldexp(data_row(&data, i)[f], e);
			same &= km_predict(predictor, values) ==
				km_predict(predictor, data_row(&data, i));
		}
	}
	check(same, "cosine: a direction's length does not matter");
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

static void
test_unseen(void)
{
	uint64_t	state = 6;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	KmScore		known;
	KmScore		unseen;
	double		values[2];
	bool		outlier = true;
	bool		neutral = true;

	/* the number decides, the category is even in both segments */
	host_init(&host);
	km_options_default(&options);
	data_init(&data, 80, 2);
	data.kinds[1] = KM_CATEGORY;
	data.ncategories[1] = 4;
	for (int i = 0; i < 80; i++)
	{
		data_row(&data, i)[0] = i % 2 * 10 + random_share(&state);
		data_row(&data, i)[1] = i / 2 % 4;
	}
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	for (int i = 0; i < 80; i++)
	{
		values[0] = data_row(&data, i)[0];
		values[1] = -1;
		km_score(predictor, data_row(&data, i), &known);
		km_score(predictor, values, &unseen);
		outlier &= unseen.is_outlier && !known.is_outlier;
		neutral &= unseen.segment == known.segment &&
			km_predict(predictor, values) == known.segment &&
			unseen.distance > known.distance;
	}
	check(outlier, "a category never seen is an outlier");
	check(neutral, "and leaves the decision to the other features");
	values[1] = NAN;
	km_score(predictor, values, &unseen);
	check(unseen.segment == -1 && unseen.second == -1 &&
		  !unseen.is_outlier && km_predict(predictor, values) == -1,
		  "a missing category gives no segment");
	values[0] = NAN;
	values[1] = 0;
	km_score(predictor, values, &unseen);
	check(unseen.segment == -1 && km_predict(predictor, values) == -1,
		  "nor does a missing number");
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

static void
test_filled(void)
{
	uint64_t	state = 7;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	KmScore		missing;
	KmScore		mean;
	double		values[3] = {NAN, 1, NAN};

	host_init(&host);
	km_options_default(&options);
	options.fill_nulls = true;
	data_blobs(&data, &state, 90, 3, 3, 0.4);
	data_categorise(&data, &state, 2, 3);
	fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	km_score(predictor, values, &missing);
	values[0] = fitted.features[0].mean;
	values[2] = 0;
	for (int v = 1; v < 3; v++)
	{
		if (fitted.features[2].counts[v] >
			fitted.features[2].counts[(int) values[2]])
			values[2] = v;
	}
	km_score(predictor, values, &mean);
	check(same_score(&missing, &mean),
		  "filled: the mean, and the most frequent category");
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

int
main(void)
{
	test_routes();
	test_new_rows();
	test_ties();
	test_beyond_range(1);
	test_beyond_range(3);
	test_beyond_range(9);
	test_long_directions();
	test_unseen();
	test_filled();
	return finish();
}
