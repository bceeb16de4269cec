/*
 * search.c
 *		The search against the true optimum where that is known: on one
 *		feature dynamic programming finds it, on tiny sets trying everything.
 */
#include "data.h"

/* ---- one feature: the optimum by dynamic programming ---- */

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* inertia of sorted x[i .. j] as one segment */
static long double
cost(const long double *sum, const long double *square, int i, int j)
{
	long double s = sum[j + 1] - sum[i];

	return square[j + 1] - square[i] - s * s / (j + 1 - i);
}

/* segments of one feature are intervals */
static double
best_on_a_line(const double *values, int n, int k)
{
	double	   *x = malloc(sizeof(double) * n);
	long double *sum = calloc(n + 1, sizeof(long double));
	long double *square = calloc(n + 1, sizeof(long double));
	long double *best = malloc(sizeof(long double) * n * k);
	double		result;

	memcpy(x, values, sizeof(double) * n);
	qsort(x, n, sizeof(double), compare_doubles);
	for (int i = 0; i < n; i++)
	{
		sum[i + 1] = sum[i] + x[i];
		square[i + 1] = square[i] + (long double) x[i] * x[i];
		best[i] = cost(sum, square, 0, i);
	}
	for (int c = 1; c < k; c++)
	{
		for (int j = 0; j < n; j++)
		{
			long double least = best[(c - 1) * n + j];

			for (int i = 1; i <= j; i++)
				least = fminl(least, best[(c - 1) * n + i - 1] +
							  cost(sum, square, i, j));
			best[c * n + j] = least;
		}
	}
	result = (double) best[(k - 1) * n + n - 1];
	free(x);
	free(sum);
	free(square);
	free(best);
	return result;
}

static double
fit_inertia(const Data *data, const KmOptions *options, int k)
{
	TestHost	host;
	Fitted		fitted;
	double		inertia;

	host_init(&host);
	if (fit_data(&host, data, NULL, options, k, NULL, &fitted) != KM_OK)
		abort();
	inertia = fitted.model.inertia;
	fitted_free(&fitted);
	return inertia;
}

static void
test_line(void)
{
	uint64_t	state = 1;
	KmOptions	options;
	int			found = 0;
	int			runs = 0;
	double		worst = 0;
	bool		below = false;

	km_options_default(&options);
	options.scale = KM_NONE;
	for (int round = 0; round < 12; round++)
	{
		Data		data;
		double		inertia;
		double		optimum;
		int			n = 30 + random_below(&state, 200);
		int			k = 2 + random_below(&state, 9);

		data_blobs(&data, &state, n, 1, 1 + random_below(&state, 12),
				   random_share(&state));
		for (int i = 0; i < n && round % 3 == 0; i++)
			data.values[i] = rint(data.values[i] * 10);
		inertia = fit_inertia(&data, &options, k);
		optimum = best_on_a_line(data.values, n, k);
		runs++;
		found += near(inertia, optimum, 1e-9);
		below |= inertia < optimum * (1 - 1e-9);
		worst = fmax(worst, inertia / optimum - 1);
		data_free(&data);
	}
	check(!below, "nothing is better than the optimum");
	if (!check(found >= runs - 1 && worst < 1e-3,
			   "default options find the optimum on a line"))
		note("%d of %d, worst %g", found, runs, worst);
}

/* ---- a few rows: every partition ---- */

/* least inertia of n rows of two features over all ways to make k segments */
static double
best_of_all(const Data *data, int k)
{
	int			n = data->nrows;
	int			assignment[12] = {0};
	double		best = INFINITY;

	for (;;)
	{
		double		sum[4][2] = {{0}};
		int			size[4] = {0};
		double		inertia = 0;
		int			i = 0;

		for (int r = 0; r < n; r++)
		{
			size[assignment[r]]++;
			for (int f = 0; f < 2; f++)
				sum[assignment[r]][f] += data_row(data, r)[f];
		}
		for (int r = 0; r < n; r++)
		{
			for (int f = 0; f < 2; f++)
			{
				double		e = data_row(data, r)[f] -
					sum[assignment[r]][f] / size[assignment[r]];

				inertia += e * e;
			}
		}
		best = fmin(best, inertia);
		while (i < n && ++assignment[i] == k)
			assignment[i++] = 0;
		if (i == n)
			return best;
	}
}

static void
test_partitions(void)
{
	uint64_t	state = 2;
	KmOptions	options;
	bool		best = true;

	km_options_default(&options);
	options.scale = KM_NONE;
	for (int round = 0; round < 12; round++)
	{
		Data		data;
		int			k = 2 + round % 3;

		data_blobs(&data, &state, k == 4 ? 8 : 10, 2, 1 + round % 4, 0.7);
		best &= near(fit_inertia(&data, &options, k), best_of_all(&data, k),
					 1e-12);
		data_free(&data);
	}
	check(best, "ten rows: no partition is better");
}

/* ---- how much work ---- */

/* polls are work, and work may not explode where there is nothing to find */
static void
test_work(void)
{
	static const struct
	{
		int			nrows;
		int			distinct;
		int			k;
		double		most;		/* millions of multiply-adds */
	}			cases[] = {{60, 60, 60, 40}, {250, 250, 250, 400},
	{5000, 40, 40, 40}, {5000, 7, 7, 20}, {3000, 1, 1, 20},
	{2000, 2000, 5, 800}, {300, 300, 299, 1200}};
	uint64_t	state = 3;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		double		work;

		host_init(&host);
		km_options_default(&options);
		data_blobs(&data, &state, cases[i].nrows, 2, 3, 0.5);
		for (int v = 2 * cases[i].distinct; v < 2 * data.nrows; v++)
			data.values[v] = data.values[v % (2 * cases[i].distinct)];
		fit_data(&host, &data, NULL, &options, cases[i].k, NULL, &fitted);
		work = (double) host.polls * KM_POLL_WORK / 1e6;
		if (!check(fitted.status == KM_OK && work <= cases[i].most,
				   "bounded work: k %d on %d rows, %d distinct", cases[i].k,
				   cases[i].nrows, cases[i].distinct))
			note("%g million multiply-adds", work);
		fitted_free(&fitted);
		data_free(&data);
	}
}

/* ---- options of the search ---- */

static void
test_options(void)
{
	uint64_t	state = 4;
	KmOptions	options;
	Data		data;
	double		adaptive;
	double		one;
	bool		better = true;
	bool		seeds = true;

	km_options_default(&options);
	data_blobs(&data, &state, 700, 3, 9, 0.4);
	adaptive = fit_inertia(&data, &options, 8);
	for (int seed = 0; seed < 5; seed++)
	{
		options.seed = (uint64_t) seed;
		options.n_init = 1;
		one = fit_inertia(&data, &options, 8);
		better &= adaptive <= one * (1 + 1e-4);
		options.n_init = 0;
		seeds &= near(fit_inertia(&data, &options, 8), adaptive, 2e-3);
	}
	check(better, "the adaptive search is not worse than one chain");
	check(seeds, "seeds differ little");
	/* a sample much smaller than the data */
	options.sample = 200;
	check(near(fit_inertia(&data, &options, 8), adaptive, 0.05),
		  "a sample of 200 comes near");
	data_free(&data);
}

/* ---- the pool ---- */

static void
test_pool(void)
{
	uint64_t	state = 5;
	TestHost	host;
	Data		data;
	KmOptions	options;
	Fitted		fitted;
	KmSpace		space;
	KmSample	sample;
	KmPoll		poll = {&host.host, 0};
	KmPool		pool;
	bool		sorted = true;
	KmRows	   *rows;
	static const KmKind kinds[] = {KM_NUMBER, KM_NUMBER};
	KmFeature	features[2];
	static const int *const recode[] = {NULL, NULL};

	host_init(&host);
	km_options_default(&options);
	options.n_init = 30;
	options.failures = 1;
	data_blobs(&data, &state, 400, 2, 30, 0.5);
	memset(features, 0, sizeof(features));
	memset(&fitted, 0, sizeof(fitted));
	features[0].weight = features[1].weight = 1;
	km_rows_create(&host.host, 2, kinds, false, false, 0, &rows);
	for (int i = 0; i < 400; i++)
		km_rows_add(rows, data_row(&data, i), 1);
	km_space_create(&host.host, features, 2, false, &space);
	scale_table(&rows->table, &options, features, recode, &space);
	sample_table(&rows->table, &space, 20000, 2, &sample);
	km_pool_create(&space, 9, &pool);
	check(km_search(&sample, &space, &poll, &options, 9, NULL, 0, &pool) == KM_OK && pool.n >= 1 &&
		  pool.n <= KM_POOL_MAX, "a search fills the pool");
	for (int i = 1; i < pool.n; i++)
		sorted &= pool.inertia[i - 1] < pool.inertia[i] * (1 - 1e-5);
	check(sorted && pool.n > 1, "best first, and different");
	km_pool_clear(&space, &pool);
	km_sample_clear(&host.host, &sample);
	km_space_clear(&space);
	km_rows_free(rows);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_line();
	test_partitions();
	test_work();
	test_options();
	test_pool();
	return finish();
}
