/*
 * options.c
 *		What options do to a fit: weights, starting points, numbering, limits;
 *		and several k on one fit.
 */
#include "data.h"

/* ---- weights ---- */

/* Integer weights against rows written out as often. */
static void
test_row_weights(void)
{
	bool		same = true;
	bool		centers = true;

	for (int round = 0; round < 8; round++)
	{
		uint64_t	state = 300 + round;
		TestHost	host;
		KmOptions	options;
		Data		weighted;
		Data		plain;
		Fitted		a;
		Fitted		b;
		int			n = 0;

		host_init(&host);
		km_options_default(&options);
		options.order_by = 0;	/* sizes differ */
		options.scale = (KmScale) (round % 2 == 0 ? KM_ZSCORE : KM_MINMAX);
		data_blobs(&weighted, &state, 200, 3, 4, 0.5);
		weighted.weights = malloc(sizeof(double) * 200);
		data_init(&plain, 1000, 3);
		for (int i = 0; i < 200; i++)
		{
			weighted.weights[i] = 1 + random_below(&state, 5);
			for (int w = 0; w < weighted.weights[i]; w++)
				memcpy(data_row(&plain, n++), data_row(&weighted, i),
					   sizeof(double) * 3);
		}
		plain.nrows = n;
		fit_data(&host, &weighted, NULL, &options, 4, NULL, &a);
		fit_data(&host, &plain, NULL, &options, 4, NULL, &b);
		same &= a.status == KM_OK && b.status == KM_OK &&
			near(a.model.inertia, b.model.inertia, 1e-12) &&
			near(a.model.total, b.model.total, 1e-12);
		for (int c = 0; c < 4; c++)
			same &= a.model.segments[c].weight == b.model.segments[c].size;
		centers &= memcmp(a.model.centers, b.model.centers,
						  sizeof(double) * 12) == 0;
		fitted_free(&a);
		fitted_free(&b);
		data_free(&weighted);
		data_free(&plain);
	}
	check(same, "a row of weight w is w rows");
	check(centers, "with the same centers, to the bit");
}

/* A feature of weight 2 is the column listed twice. */
static void
test_feature_weight(void)
{
	uint64_t	state = 310;
	TestHost	host;
	KmOptions	options;
	Data		weighted;
	Data		twice;
	Fitted		a;
	Fitted		b;
	bool		same;

	host_init(&host);
	km_options_default(&options);
	data_blobs(&weighted, &state, 300, 2, 4, 0.4);
	weighted.feature_weight[1] = 2;
	data_init(&twice, 300, 3);
	for (int i = 0; i < 300; i++)
	{
		memcpy(data_row(&twice, i), data_row(&weighted, i),
			   sizeof(double) * 2);
		data_row(&twice, i)[2] = data_row(&weighted, i)[1];
	}
	fit_data(&host, &weighted, NULL, &options, 5, NULL, &a);
	fit_data(&host, &twice, NULL, &options, 5, NULL, &b);
	same = near(a.model.inertia, b.model.inertia, 1e-12);
	for (int c = 0; c < 5; c++)
	{
		same &= a.model.segments[c].size == b.model.segments[c].size;
		for (int f = 0; f < 2; f++)
			same &= near(km_model_value(&a.model, c, f, 0),
						 km_model_value(&b.model, c, f, 0), 1e-12);
	}
	check(same, "weight 2 is the column twice");
	fitted_free(&a);
	fitted_free(&b);
	data_free(&weighted);
	data_free(&twice);
}

/* ---- several k on one fit ---- */

static void
test_elbow(void)
{
	uint64_t	state = 320;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmSolution *solutions[12];
	double		before = INFINITY;
	bool		falling = true;
	bool		smallest = true;
	bool		alike = true;

	host_init(&host);
	km_options_default(&options);
	options.n_init = 1;
	options.sample = 300;
	data_blobs(&data, &state, 800, 3, 5, 0.5);
	fit_begin(&host, &data, NULL, &options, &fitted);
	for (int k = 1; k <= 12; k++)
	{
		if (km_fit_run(fitted.fit, k, NULL, &solutions[k - 1]) != KM_OK)
			abort();
		falling &= solutions[k - 1]->inertia < before &&
			solutions[k - 1]->k == k;
		before = solutions[k - 1]->inertia;
	}
	check(falling, "more segments, less inertia");
	check(km_fit_total(fitted.fit) == solutions[0]->inertia &&
		  near(solutions[0]->inertia, 800 * 3, 1e-12),
		  "one segment's inertia is the total: the z-scores' variance");
	for (int round = 0; round < 2; round++)
	{
		/* asking twice must not change the answer */
		for (int k = 12; k >= 1; k--)
		{
			KmModel		model;
			KmModel		again;
			unsigned char *bytes;
			unsigned char *other;
			size_t		size;

			km_fit_model(fitted.fit, solutions[k - 1], &model);
			km_fit_model(fitted.fit, solutions[k - 1], &again);
			size = km_model_size(&model);
			bytes = malloc(size);
			other = malloc(size);
			km_model_write(&model, bytes);
			km_model_write(&again, other);
			alike &= km_model_size(&again) == size &&
				memcmp(bytes, other, size) == 0 &&
				near(model.inertia, solutions[k - 1]->inertia, 1e-12);
			smallest &= model.segments[k - 1].size ==
				solutions[k - 1]->smallest;
			free(bytes);
			free(other);
			km_free(&host.host, model.segments);
			km_free(&host.host, model.centers);
			km_free(&host.host, again.segments);
			km_free(&host.host, again.centers);
		}
	}
	check(smallest, "the smallest segment's size is known beforehand");
	check(alike, "a solution gives the same model each time");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

/* ---- starting points of the user's, numbering, limits ---- */

static void
test_init(void)
{
	/* in the user's units: far from zero and from each other */
	static const double values[] = {1000, 1001, 1002, 2000, 2001, 2002, 5000};
	static const double init[] = {1001, 2001, 4000};
	static const double close[] = {1000, 1001};
	static const double outside[] = {-1e9, 1001, 1e300};
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;

	host_init(&host);
	km_options_default(&options);
	data_init(&data, 7, 1);
	memcpy(data.values, values, sizeof(values));
	fit_data(&host, &data, NULL, &options, 3, init, &fitted);
	check(fitted.model.segments[0].size == 3 &&
		  near(km_model_value(&fitted.model, 0, 0, 0), 1001, 1e-13) &&
		  near(km_model_value(&fitted.model, 1, 0, 0), 2001, 1e-13) &&
		  near(km_model_value(&fitted.model, 2, 0, 0), 5000, 1e-13) &&
		  fitted.model.iterations <= 2, "starting points in the user's units");
	fitted_free(&fitted);
	fit_data(&host, &data, NULL, &options, 3, outside, &fitted);
	check(fitted.status == KM_OK && fitted.model.converged &&
		  fitted.model.segments[2].size > 0,
		  "starting points far outside end well");
	fitted_free(&fitted);
	options.order_by = 0;
	options.max_iter = 1;
	fit_data(&host, &data, NULL, &options, 2, close, &fitted);
	check(fitted.model.iterations == 1 && !fitted.model.converged &&
		  km_model_value(&fitted.model, 0, 0, 0) <
		  km_model_value(&fitted.model, 1, 0, 0),
		  "max_iter 1, and segments by a feature");
	fitted_free(&fitted);
	data_free(&data);
}

/*
 * A row halfway between two centers goes to the lower number.  The larger
 * segment gets it when it becomes the first, and centers follow.
 */
static void
test_tie_at_numbering(void)
{
	/* their mean is 1: positions are exact, and 0 is a tie */
	static const double values[] = {-4, 0, 1, 2, 2, 2, 2, 3};
	static const double init[] = {-2, 2};
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPredictor *predictor;
	bool		own = true;

	host_init(&host);
	km_options_default(&options);
	options.scale = KM_NONE;
	data_init(&data, 8, 1);
	memcpy(data.values, values, sizeof(values));
	fit_data(&host, &data, NULL, &options, 2, init, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	for (int i = 0; i < 8; i++)
		own &= km_predict(predictor, &values[i]) == (i == 0);
	check(own && fitted.model.segments[0].size == 7 &&
		  near(km_model_value(&fitted.model, 0, 0, 0), 12.0 / 7, 1e-14) &&
		  near(km_model_value(&fitted.model, 1, 0, 0), -4, 1e-15) &&
		  near(fitted.model.inertia, 38.0 / 7, 1e-14) &&
		  near(fitted.model.segments[0].inertia, 38.0 / 7, 1e-14),
		  "numbering moves a tie, and the model follows");
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
}

static void
test_order_by(void)
{
	bool		rising = true;

	for (int order_by = 0; order_by < 3; order_by++)
	{
		uint64_t	state = 330;
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;

		host_init(&host);
		km_options_default(&options);
		options.order_by = order_by;
		data_blobs(&data, &state, 400, 3, 6, 0.2);
		fit_data(&host, &data, NULL, &options, 6, NULL, &fitted);
		for (int c = 1; c < 6; c++)
			rising &= km_model_value(&fitted.model, c - 1, order_by, 0) <=
				km_model_value(&fitted.model, c, order_by, 0);
		fitted_free(&fitted);
		data_free(&data);
	}
	check(rising, "order_by numbers segments by a feature");
}

int
main(void)
{
	test_row_weights();
	test_feature_weight();
	test_elbow();
	test_init();
	test_tie_at_numbering();
	test_order_by();
	return finish();
}
