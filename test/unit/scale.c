/*
 * scale.c
 *		Quantiles, scalers, the grid, and what scaling does to a table.
 */
#include "data.h"

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* numpy's default, on sorted values */
static double
plain_quantile(const double *sorted, int n, double at)
{
	long double place = (long double) at * (n - 1);
	int			lower = (int) floorl(place);
	long double part = place - lower;

	if (lower + 1 >= n)
		return sorted[n - 1];
	return (double) (sorted[lower] * (1 - part) + sorted[lower + 1] * part);
}

static void
test_quantiles(void)
{
	static const double at[] = {0, 0.01, 0.25, 0.25, 0.5, 0.75, 0.99, 1};
	uint64_t	state = 1;
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	bool		right = true;
	bool		selected = true;

	host_init(&host);
	for (int round = 0; round < 400; round++)
	{
		double		v[300];
		double		sorted[300];
		double		result[8];
		int			n = 1 + random_below(&state, round < 50 ? 4 : 300);
		int			nth = random_below(&state, n);

		for (int i = 0; i < n; i++)
			v[i] = round % 2 == 0 ? random_normal(&state) :
				random_below(&state, 5);
		memcpy(sorted, v, sizeof(v));
		qsort(sorted, n, sizeof(double), compare_doubles);
		right &= km_quantiles(&poll, v, n, at, 8, result) == KM_OK;
		for (int q = 0; q < 8; q++)
			right &= fabs(result[q] -
						  plain_quantile(sorted, n, at[q])) < 1e-14;
		right &= result[0] == sorted[0] && result[7] == sorted[n - 1];
		selected &= km_select(&poll, v, 0, n - 1, nth) == KM_OK &&
			v[nth] == sorted[nth];
	}
	check(right, "quantiles are numpy's");
	check(selected, "km_select finds what sorting would");
	{
		double		v[] = {DBL_MAX, -DBL_MAX};
		double		result[3];
		static const double quarters[] = {0.25, 0.5, 0.75};

		km_quantiles(&poll, v, 2, quarters, 3, result);
		check(near(result[0], -DBL_MAX / 2, 1e-15) && result[1] == 0 &&
			  near(result[2], DBL_MAX / 2, 1e-15),
			  "quantiles between extremes");
	}
}

/* ---- scalers by hand ---- */

static void
test_scalers(void)
{
	/* mean 4, variance 10, quartiles 2, 3, 4 */
	static const double values[] = {10, 1, 3, 2, 4};
	static const double quartiles[] = {2, 3, 4};
	static const double center[] = {4, 1, 3, 0, 0};
	const double divisor[] = {sqrt(10), 9, 2, 10, 1};
	static const char *const name[] = {"zscore", "minmax", "robust", "maxabs",
	"none"};

	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		KmFeature	feature;
		KmFeature  *of;
		bool		scaled = true;

		host_init(&host);
		km_options_default(&options);
		options.scale = (KmScale) scale;
		data_init(&data, 5, 1);
		memcpy(data.values, values, sizeof(values));
		fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
		of = &fitted.features[0];
		memset(&feature, 0, sizeof(feature));
		feature.min = 1;
		feature.max = 10;
		feature.mean = 4;
		feature.sd = sqrt(10);
		feature.weight = 1;
		km_feature_scale(&feature, (KmScale) scale, quartiles);
		check(fitted.status == KM_OK && of->min == 1 && of->max == 10 &&
			  of->mean == 4 && near(of->sd, sqrt(10), 4e-16) &&
			  of->center == center[scale] &&
			  near(of->divisor, divisor[scale], 4e-16) &&
			  feature.center == of->center &&
			  near(feature.divisor, of->divisor, 4e-16) &&
			  of->factor == 1, "%s by hand", name[scale]);
		for (int i = 0; i < 5; i++)
		{
			double		z = km_scale_value(of, values[i]);

			scaled &= near(z, (values[i] - center[scale]) / divisor[scale],
						   1e-15) &&
				near(km_unscale_value(of, z), values[i], 1e-15);
		}
		check(scaled, "%s: a value scaled, and back", name[scale]);
		fitted_free(&fitted);
		data_free(&data);
	}
}

static void
test_constant(void)
{
	static const double constants[] = {0, 0.1, -7e15, 1e308, 5e-324};

	for (int c = 0; c < 5; c++)
	{
		bool		right = true;

		for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
		{
			TestHost	host;
			KmOptions	options;
			Data		data;
			Fitted		fitted;
			KmFeature  *feature = &fitted.features[1];

			host_init(&host);
			km_options_default(&options);
			options.scale = (KmScale) scale;
			options.n_init = 1;
			data_init(&data, 49, 2);
			for (int i = 0; i < 49; i++)
			{
				data_row(&data, i)[0] = i;
				data_row(&data, i)[1] = constants[c];
			}
			fit_data(&host, &data, NULL, &options, 3, NULL, &fitted);
			right &= fitted.status == KM_OK && feature->sd == 0 &&
				(scale == KM_MAXABS || feature->divisor == 1) &&
				feature->mean == constants[c] &&
				km_position(feature, constants[c]) == 0;
			for (int s = 0; s < 3 && right; s++)
				right &= km_model_value(&fitted.model, s, 1, 0) ==
					constants[c];
			fitted_free(&fitted);
			data_free(&data);
		}
		check(right, "constant column of %g stands at 0", constants[c]);
	}
}

static void
test_extreme_features(void)
{
	KmFeature	feature;
	double		high;

	memset(&feature, 0, sizeof(feature));
	feature.weight = 1;
	feature.min = -DBL_MAX;
	feature.max = DBL_MAX;
	feature.clip_low = -INFINITY;
	feature.clip_high = INFINITY;
	km_feature_scale(&feature, KM_MINMAX, NULL);
	check(isfinite(feature.divisor) && feature.center == -DBL_MAX,
		  "minmax of all of double's range stays finite");
	feature.origin = feature.center;
	high = km_position_raw(&feature, DBL_MAX);
	check(near(high, 2, 1e-15) && km_position_raw(&feature, -DBL_MAX) == 0 &&
		  near(km_position_raw(&feature, 0), 1, 1e-15),
		  "positions do not overflow on the way");
	check(near(km_scale_value(&feature, DBL_MAX), 2, 1e-15) &&
		  near(km_unscale_value(&feature, 2), DBL_MAX, 1e-15) &&
		  isnan(km_scale_value(&feature, NAN)) &&
		  isnan(km_unscale_value(&feature, NAN)),
		  "nor do scaled values; NaN stays NaN");
}

/* ---- the grid ---- */

static void
test_grid(void)
{
	uint64_t	state = 2;
	bool		idempotent = true;
	bool		multiple = true;
	bool		close = true;
	bool		even;

	for (int i = 0; i < 20000; i++)
	{
		int			grid = random_below(&state, 900) - 450;
		double		v = ldexp(random_normal(&state),
							  48 - grid - random_below(&state, 60));
		double		r = km_round_to_grid(v, grid);
		double		units = ldexp(r, grid);

		idempotent &= same_bits(r, km_round_to_grid(r, grid));
		multiple &= units == rint(units);
		close &= fabs(r - v) <= ldexp(0.5, -grid);
	}
	check(idempotent, "rounding to the grid twice is rounding once");
	check(multiple, "what is rounded is a multiple of the grid's unit");
	check(close, "nothing moves by more than half a unit");
	even = km_round_to_grid(0.5, 0) == 0 && km_round_to_grid(1.5, 0) == 2 &&
		km_round_to_grid(-0.5, 0) == 0 && km_round_to_grid(2.5, 0) == 2;
	check(even, "halves go to even");
	check(same_bits(km_round_to_grid(1e300, 50), 1e300) &&
		  same_bits(km_round_to_grid(0x1p52 + 1, 0), 0x1p52 + 1) &&
		  same_bits(km_round_to_grid(-0x1p51 - 0.5, 0), -0x1p51 - 0.5) &&
		  isinf(km_round_to_grid(INFINITY, 0)) &&
		  isnan(km_round_to_grid(NAN, 0)),
		  "values beyond the grid are left alone");
}

/* A table scaled in place by the core, with its space. */
typedef struct Scaled
{
	TestHost	host;
	KmRows	   *rows;
	KmFeature	features[2];
	KmSpace		space;
	KmStatus	status;
} Scaled;

static void
scale_rows(Scaled *scaled, const KmOptions *options, const double *x,
		   const double *weights, int n)
{
	static const KmKind kinds[] = {KM_NUMBER, KM_NUMBER};
	static const int *const recode[] = {NULL, NULL};

	memset(scaled, 0, sizeof(*scaled));
	host_init(&scaled->host);
	scaled->features[0].weight = 1;
	scaled->features[1].weight = 2;
	km_rows_create(&scaled->host.host, 2, kinds, weights != NULL, false, 0,
				   &scaled->rows);
	for (int i = 0; i < n; i++)
		km_rows_add(scaled->rows, (double[]) {x[i], x[i]},
					weights == NULL ? 1 : weights[i]);
	km_space_create(&scaled->host.host, scaled->features, 2, false,
					&scaled->space);
	scaled->status = scale_table(&scaled->rows->table, options,
									scaled->features, recode, &scaled->space);
}

static void
scaled_free(Scaled *scaled)
{
	km_space_clear(&scaled->space);
	km_rows_free(scaled->rows);
}

static double
cell(const KmTable *table, int64_t row, int slot)
{
	const KmBlock *block = table->blocks;

	while (row >= block->first + block->nrows)
		block++;
	row -= block->first;
	return km_tile(table, block, (int) (row / KM_LANES))
		[slot * KM_LANES + row % KM_LANES];
}

static void
test_positions(void)
{
	static const double units[] = {1, 1e-300, 1e290, 5e-324, 1e15};
	uint64_t	state = 3;

	for (int u = 0; u < 5; u++)
	{
		enum
		{
			N = 333
		};
		double		x[N];
		KmOptions	options;
		Scaled		scaled;
		bool		same = true;
		bool		whole = true;
		bool		fine = true;

		km_options_default(&options);
		for (int i = 0; i < N; i++)
			x[i] = u == 4 ? 1e15 + random_below(&state, 9) :
				units[u] * (random_below(&state, 1000) - 300);
		scale_rows(&scaled, &options, x, NULL, N);
		for (int i = 0; i < N; i++)
		{
			for (int f = 0; f < 2; f++)
			{
				const KmFeature *feature = &scaled.features[f];
				double		v = cell(&scaled.rows->table, i, f);
				double		whole_v = v * scaled.space.scale[f];

				same &= same_bits(v, km_position(feature, x[i]));
				whole &= whole_v == rint(whole_v) && fabs(whole_v) <= 0x1p50;
				fine &= fabs(v - (x[i] - feature->mean) / feature->sd *
							 feature->factor) <= 0x1p-45;
			}
		}
		check(scaled.status == KM_OK && same,
			  "table and single values agree to the bit, unit %g", units[u]);
		check(whole && fine,
			  "positions are integers of the grid, and fine enough");
		scaled_free(&scaled);
	}
}

/* ---- beyond double's range ---- */

static void
test_not_finite(void)
{
	static const double huge[] = {-1e300, 0, 1e300};
	static const double tiny[] = {-1e-200, 0, 1e-200};
	static const double fair[] = {-1e140, 0, 1e140};
	KmOptions	options;
	Scaled		scaled;

	km_options_default(&options);
	options.scale = KM_NONE;
	scale_rows(&scaled, &options, huge, NULL, 3);
	check(scaled.status == KM_NOT_FINITE,
		  "unscaled positions whose squares overflow are refused");
	scaled_free(&scaled);
	scale_rows(&scaled, &options, tiny, NULL, 3);
	check(scaled.status == KM_NOT_FINITE, "and those whose squares underflow");
	scaled_free(&scaled);
	scale_rows(&scaled, &options, fair, NULL, 3);
	check(scaled.status == KM_OK, "1e140 is not too much");
	scaled_free(&scaled);
	options.scale = KM_ZSCORE;
	scale_rows(&scaled, &options, huge, NULL, 3);
	check(scaled.status == KM_OK, "scaled, all of it fits");
	scaled_free(&scaled);
}

/* ---- row weights ---- */

static void
test_weights(void)
{
	static const double x[] = {1, 2, 3, 4};
	static const double units[] = {1, 1e-320, 5e-324, 1e-300, 1e307, 1e-3};

	for (int u = 0; u < 6; u++)
	{
		double		weights[4];
		KmOptions	options;
		Scaled		scaled;
		bool		whole = true;
		double		total = 0;
		double		first;

		km_options_default(&options);
		for (int i = 0; i < 4; i++)
			weights[i] = units[u] * x[i];
		scale_rows(&scaled, &options, x, weights, 4);
		first = cell(&scaled.rows->table, 0, 2);
		for (int i = 0; i < 4; i++)
		{
			double		w = cell(&scaled.rows->table, i, 2);

			total += w;
			whole &= w == rint(w) && w >= 1 && w <= 0x1p40 &&
				near(w / first, weights[i] / weights[0], 1e-11);
		}
		/* mean of 1, 2, 3, 4 with weights 1, 2, 3, 4 */
		check(scaled.status == KM_OK && whole && total < 0x1p62 &&
			  near(scaled.features[0].mean, 3, 1e-11) &&
			  near(scaled.features[0].sd, 1, 1e-11),
			  "weights in units of %g keep their proportions", units[u]);
		scaled_free(&scaled);
	}
}

/* ---- categories ---- */

static void
test_category_factor(void)
{
	static const double expected[] = {2, 1, 2, 1, 1};
	bool		right = true;

	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		double		factor;

		host_init(&host);
		km_options_default(&options);
		options.scale = (KmScale) scale;
		data_init(&data, 8, 2);
		data.kinds[1] = KM_CATEGORY;
		data.ncategories[1] = 2;
		data.feature_weight[1] = 3;
		/* shares 3/4 and 1/4: 1 - sum p^2 is 3/8 */
		for (int i = 0; i < 8; i++)
		{
			data_row(&data, i)[0] = i;
			data_row(&data, i)[1] = i % 4 == 2 ? 0 : 1;
		}
		fit_data(&host, &data, NULL, &options, 2, NULL, &fitted);
		factor = expected[scale] == 2 ? sqrt(3 * 8.0 / 3) : sqrt(3);
		right &= fitted.status == KM_OK &&
			near(fitted.features[1].factor, factor, 1e-15) &&
			fitted.features[1].counts[0] == 2 &&
			fitted.features[1].counts[1] == 6;
		fitted_free(&fitted);
		data_free(&data);
	}
	check(right, "a category's factor: sqrt(weight / (1 - sum p^2)) or "
		  "sqrt(weight)");
}

int
main(void)
{
	test_quantiles();
	test_scalers();
	test_constant();
	test_extreme_features();
	test_grid();
	test_positions();
	test_not_finite();
	test_weights();
	test_category_factor();
	return finish();
}
