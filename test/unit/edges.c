/*
 * edges.c
 *		Fits at the edge: no rows, one row, as many segments as rows, columns
 *		that say nothing, values at the ends of double's range.
 */
#include "data.h"

static TestHost host;
static KmOptions options;

static void
reset(void)
{
	host_init(&host);
	km_options_default(&options);
}

/* n rows of one feature */
static void
line(Data *data, const double *values, int n)
{
	data_init(data, n, 1);
	memcpy(data->values, values, sizeof(double) * n);
}

static bool
readable(const Fitted *fitted)
{
	return fitted->status == KM_OK &&
		km_model_check(fitted->bytes, fitted->size, false) == KM_OK;
}

static void
test_few_rows(void)
{
	static const double values[] = {3, 1, 2, 3, 1, 2, 3};
	Data		data;
	Fitted		fitted;

	reset();
	line(&data, values, 0);
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	check(fitted.status == KM_NO_ROWS, "no rows: said so");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "and the rows stayed the caller's");

	line(&data, values, 1);
	fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
	check(readable(&fitted) && fitted.model.k == 1 &&
		  fitted.model.inertia == 0 && fitted.model.total == 0 &&
		  fitted.model.converged &&
		  km_model_value(&fitted.model, 0, 0, 0) == 3,
		  "one row is one segment");
	fitted_free(&fitted);
	options.small_is_error = true;
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	check(fitted.status == KM_TOO_FEW_ROWS, "or an error, if so wished");
	fitted_free(&fitted);
	data_free(&data);

	line(&data, values, 7);
	fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
	check(readable(&fitted) && fitted.model.k == 3 &&
		  km_fit_distinct(fitted.fit) == 3 && fitted.model.inertia == 0 &&
		  fitted.model.segments[0].size == 3 &&
		  fitted.model.segments[2].size == 2 && fitted.model.converged,
		  "as many segments as distinct rows: inertia 0");
	check(fitted.model.segments[0].reach == 0 &&
		  near(km_model_value(&fitted.model, 0, 0, 0), 3, 1e-15) &&
		  near(fitted.model.total, 7, 1e-12), "each on its rows");
	fitted_free(&fitted);
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	check(fitted.status == KM_TOO_FEW_ROWS, "one more is too many");
	fitted_free(&fitted);
	options.small_is_error = false;
	fit_data(&host, &data, NULL, &options, 100, NULL, &fitted);
	check(readable(&fitted) && fitted.model.k == 3, "or fewer are made");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

static void
test_every_row(void)
{
	bool		zero = true;

	for (int distance = KM_EUCLIDEAN; distance <= KM_COSINE; distance++)
	{
		for (int weighted = 0; weighted < 2; weighted++)
		{
			uint64_t	state = 5;
			Data		data;
			Fitted		fitted;

			reset();
			options.distance = (KmDistance) distance;
			data_blobs(&data, &state, 60, 3, 1, 1);
			data.weights = weighted ? malloc(sizeof(double) * 60) : NULL;
			for (int i = 0; i < 60 && weighted; i++)
				data.weights[i] = random_share(&state);
			/* three times the same */
			for (int i = 0; i < 180; i++)
				data.values[i] = data.values[i % 60];
			fit_data(&host, &data, NULL, &options, 20, NULL, &fitted);
			zero &= readable(&fitted) && fitted.model.inertia == 0 &&
				fitted.model.k == 20 && fitted.model.converged;
			for (int c = 0; c < 20 && zero; c++)
				zero &= fitted.model.segments[c].size == 3;
			fitted_free(&fitted);
			data_free(&data);
		}
	}
	check(zero, "k = n: every row is its own center");
}

static void
test_constant_columns(void)
{
	bool		right = true;

	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		for (int distance = KM_EUCLIDEAN; distance <= KM_COSINE; distance++)
		{
			Data		data;
			Fitted		fitted;
			bool		angles = distance == KM_COSINE && scale >= KM_MAXABS;

			/* all rows equal */
			reset();
			options.scale = (KmScale) scale;
			options.distance = (KmDistance) distance;
			data_init(&data, 49, 3);
			for (int i = 0; i < 49 * 3; i++)
				data.values[i] = 0.1 + i % 3;
			fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
			right &= readable(&fitted) && fitted.model.k == 1 &&
				fitted.model.inertia == 0;
			/* zero is no direction; at a scaler's zero there is none */
			right &= fitted.model.centers[0] == 0 || angles;
			for (int f = 0; f < 3 && !angles; f++)
				right &= km_model_value(&fitted.model, 0, f, 0) ==
					data.values[f];
			fitted_free(&fitted);
			data_free(&data);
		}
	}
	check(right, "all rows equal: one segment, at their place");
}

static void
test_missing_columns(void)
{
	uint64_t	state = 6;
	Data		data;
	Fitted		fitted;

	reset();
	options.fill_nulls = true;
	options.clip = true;
	options.clip_low = 0.01;
	options.clip_high = 0.99;
	data_blobs(&data, &state, 50, 2, 2, 0.1);
	for (int i = 0; i < 50; i++)
		data_row(&data, i)[1] = NAN;
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	check(readable(&fitted) && km_model_value(&fitted.model, 0, 1, 0) == 0 &&
		  fitted.features[1].divisor == 1,
		  "a column of missing values alone is a constant");
	fitted_free(&fitted);
	data.kinds[1] = KM_CATEGORY;
	data.ncategories[1] = 0;
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	check(fitted.status == KM_NO_ROWS,
		  "a category without any value is nothing to fit");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

static void
test_categories(void)
{
	static const double shares[] = {1, 0, 0, 1};
	Data		data;
	Fitted		fitted;
	double		inertia;

	/* one category says nothing */
	reset();
	data_init(&data, 20, 2);
	data.kinds[1] = KM_CATEGORY;
	data.ncategories[1] = 1;
	for (int i = 0; i < 20; i++)
		data_row(&data, i)[0] = i % 4;
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	check(readable(&fitted) && fitted.model.inertia == 0 &&
		  km_model_value(&fitted.model, 0, 1, 0) == 1,
		  "a single category changes nothing");
	fitted_free(&fitted);
	data_free(&data);

	/* alone: segments are categories, z-scored like a column */
	data_init(&data, 100, 1);
	data.kinds[0] = KM_CATEGORY;
	data.ncategories[0] = 3;
	for (int i = 0; i < 100; i++)
		data_row(&data, i)[0] = i < 50 ? 2 : i < 80 ? 0 : 1;
	fit_data(&host, &data, NULL, &options, 1, NULL, &fitted);
	check(near(fitted.model.inertia, 100, 1e-12),
		  "a category's variance is a z-scored column's");
	fitted_free(&fitted);
	fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
	check(readable(&fitted) && fitted.model.inertia == 0 &&
		  km_model_value(&fitted.model, 0, 0, 2) == 1 &&
		  km_model_value(&fitted.model, 1, 0, 0) == 1 &&
		  near(km_model_scaled(&fitted.model, 0, 0, 2),
			   1 / sqrt(1 - 0.25 - 0.09 - 0.04), 1e-15),
		  "as many segments as categories");
	fitted_free(&fitted);
	fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
	/* the two small ones together: 30 and 20 of 50 */
	inertia = 50 * (1 - 0.36 - 0.16) / (1 - 0.25 - 0.09 - 0.04);
	check(near(fitted.model.inertia, inertia, 1e-12) &&
		  near(km_model_value(&fitted.model, 0, 0, 0) +
			   km_model_value(&fitted.model, 1, 0, 0), 0.6, 1e-14),
		  "the two rarest share a segment");
	fitted_free(&fitted);
	data.ncategories[0] = 2;
	for (int i = 0; i < 100; i++)
		data_row(&data, i)[0] = i % 2;
	fit_data(&host, &data, NULL, &options, 2, shares, &fitted);
	check(readable(&fitted) && fitted.model.inertia == 0,
		  "starting points as shares");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

/* three values at each of two places, far from each other */
static const double largest[] = {1e308, 1.1e308, 1.2e308, -1e308, -1.1e308,
-1.2e308};
static const double least[] = {5e-324, 1e-323, 2e-323, 9e-322, 9.05e-322,
9.1e-322};
static const double offset[] = {1e15, 1e15 + 1, 1e15 + 2, 1e15 + 30, 1e15 + 31,
1e15 + 32};
static const double small[] = {1e-100, 1.1e-100, 1.2e-100, 9e-100, 9.1e-100,
9.2e-100};

static void
test_extremes(void)
{
	static const struct
	{
		const char *name;
		const double *values;
		KmScale		scale;
	}			cases[] = {
		{"1e308", largest, KM_ZSCORE},
		{"1e308, minmax", largest, KM_MINMAX},
		{"1e308, robust", largest, KM_ROBUST},
		{"1e308, maxabs", largest, KM_MAXABS},
		{"denormals", least, KM_ZSCORE},
		{"denormals, minmax", least, KM_MINMAX},
		{"1e15 and a little", offset, KM_ZSCORE},
		{"1e15 and a little, as it is", offset, KM_NONE},
		{"1e-100, as it is", small, KM_NONE}
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		for (int distance = KM_EUCLIDEAN; distance <= KM_COSINE; distance++)
		{
			Data		data;
			Fitted		fitted;
			bool		right;

			reset();
			options.scale = cases[i].scale;
			options.distance = (KmDistance) distance;
			data_init(&data, 6, 2);
			for (int r = 0; r < 6; r++)
			{
				data_row(&data, r)[0] = cases[i].values[r];
				data_row(&data, r)[1] = cases[i].values[5 - r];
			}
			fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
			right = readable(&fitted) && fitted.model.k == 2;
			if (right && distance == KM_EUCLIDEAN)
				right = fitted.model.segments[0].size == 3 &&
					fitted.model.segments[1].size == 3;
			check(right, "%s%s", cases[i].name,
				  distance == KM_COSINE ? ", cosine" : "");
			fitted_free(&fitted);
			data_free(&data);
		}
	}
}

/* A value far out must not cost the others their inertia. */
static void
test_outlier(void)
{
	uint64_t	state = 7;
	double		inertia[3];

	for (int round = 0; round < 3; round++)
	{
		Data		data;
		Fitted		fitted;
		double		init[9 * 3] = {0};

		reset();
		options.scale = KM_NONE;
		state = 7;
		data_blobs(&data, &state, 500, 3, 4, 0.2);
		/* outside all else, by more and more */
		data_row(&data, 0)[0] = round == 0 ? 100 : round == 1 ? 1e6 : 1e9;
		for (int c = 0; c < 5; c++)
			memcpy(init + 3 * c, data_row(&data, c), sizeof(double) * 3);
		fit_data(&host, &data, NULL, &options, 5, init, &fitted);
		inertia[round] = fitted.model.inertia;
		fitted_free(&fitted);
		data_free(&data);
	}
	if (!check(near(inertia[1], inertia[0], 1e-6) &&
			   near(inertia[2], inertia[0], 1e-3),
			   "an outlier alone in its segment changes no inertia"))
		note("%g %g %g", inertia[0], inertia[1], inertia[2]);
}

static void
test_too_wide(void)
{
	enum
	{
		FEATURES = 11
	};
	static KmKind kinds[FEATURES];
	static KmFeature features[FEATURES];
	static const int *recode[FEATURES];
	static const int zero[1];
	double		values[FEATURES] = {0};
	KmRows	   *rows;
	KmFit	   *fit;

	reset();
	for (int f = 0; f < FEATURES; f++)
	{
		kinds[f] = KM_CATEGORY;
		features[f].kind = KM_CATEGORY;
		features[f].ncategories = KM_MAX_CATEGORIES;
		recode[f] = zero;
	}
	km_rows_create(&host.host, FEATURES, kinds, false, false, 0, &rows);
	km_rows_add(rows, values, 1);
	check(km_fit_begin(rows, &options, features, recode, &fit) == KM_TOO_WIDE,
		  "more than %d dimensions are refused", KM_MAX_WIDTH);
	km_rows_free(rows);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_few_rows();
	test_every_row();
	test_constant_columns();
	test_missing_columns();
	test_categories();
	test_extremes();
	test_outlier();
	test_too_wide();
	return finish();
}
