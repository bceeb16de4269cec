/*
 * subset.c
 *		Fits of a uniform draw of another fit's rows.
 */
#include "data.h"

typedef struct Case
{
	const char *name;
	KmDistance	distance;
	int			categories;
	bool		is_weighted;
} Case;

static const Case cases[] = {
	{"numbers", KM_EUCLIDEAN, 0, false},
	{"categories and weights", KM_EUCLIDEAN, 2, true},
	{"directions", KM_COSINE, 0, false}
};

static void
make_data(const Case *of, int nrows, Data *data, KmOptions *options)
{
	uint64_t	state = 5;

	km_options_default(options);
	options->distance = of->distance;
	data_blobs(data, &state, nrows, 4, 4, 0.2);
	for (int f = 0; f < of->categories; f++)
		data_categorise(data, &state, 3 - f, 3);
	if (of->is_weighted)
	{
		data->weights = malloc(sizeof(double) * nrows);
		for (int i = 0; i < nrows; i++)
			data->weights[i] = 1 + random_below(&state, 3);
	}
}

/* Where a row points to from the mean, when only its direction counts. */
static void
point(const KmFeature *features, int n, bool is_direction, double *row)
{
	double		length = 0;

	if (!is_direction)
		return;
	for (int f = 0; f < n; f++)
	{
		row[f] = (row[f] - features[f].origin) / features[f].divisor;
		length += row[f] * row[f];
	}
	for (int f = 0; f < n; f++)
		row[f] /= sqrt(length);
}

/* Is row of the subset one of the data? */
static bool
is_known(const Fitted *fitted, const KmFit *subset, const Data *data,
		 bool is_direction, int64_t row)
{
	double		mine[DATA_FEATURES];

	for (int f = 0; f < data->nfeatures; f++)
		mine[f] = km_fit_value(subset, row, f);
	point(fitted->features, data->nfeatures, is_direction, mine);
	for (int i = 0; i < data->nrows; i++)
	{
		double		theirs[DATA_FEATURES];
		bool		same = true;

		memcpy(theirs, data_row(data, i), sizeof(double) * data->nfeatures);
		point(fitted->features, data->nfeatures, is_direction, theirs);
		for (int f = 0; f < data->nfeatures && same; f++)
			same = fabs(mine[f] - theirs[f]) <= 1e-9;
		if (same)
			return true;
	}
	return false;
}

static void
test_rows(const Case *of)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmFit	   *subset = NULL;
	KmSolution *solution = NULL;
	bool		right = true;

	make_data(of, 600, &data, &options);
	host_init(&host);
	fit_begin(&host, &data, NULL, &options, &fitted);
	right &= km_fit_subset(fitted.fit, 150, 2, &subset) == KM_OK;
	right &= km_fit_rows(subset) == 150;
	for (int64_t row = 0; row < 150; row++)
		right &= is_known(&fitted, subset, &data,
						  of->distance == KM_COSINE, row);
	check(right, "150 of 600 rows, as they were, %s", of->name);

	right = km_fit_run(subset, 4, NULL, &solution) == KM_OK &&
		solution->k == 4 && solution->converged;
	right &= solution->inertia < 0.5 * km_fit_total(subset);
	check(right, "they can be segmented");
	km_fit_free(subset);
	fitted_free(&fitted);
	check(host.outstanding == 0, "nothing is left behind");
	data_free(&data);
}

/* All rows, in whatever order they came, are a fit like the one before. */
static void
test_whole(const Case *of)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmFit	   *subset = NULL;
	KmSolution *own = NULL;
	KmSolution *solution = NULL;
	bool		right;

	make_data(of, 300, &data, &options);
	options.n_init = 3;
	free(data.weights);
	data.weights = NULL;
	host_init(&host);
	fit_begin(&host, &data, NULL, &options, &fitted);
	right = km_fit_subset(fitted.fit, 1000, 3, &subset) == KM_OK &&
		km_fit_rows(subset) == 300 &&
		km_fit_run(fitted.fit, 3, NULL, &own) == KM_OK &&
		km_fit_run(subset, 3, NULL, &solution) == KM_OK;
	right &= same_bits(own->inertia, solution->inertia) &&
		memcmp(own->centers, solution->centers,
			   sizeof(double) * 3 * km_fit_width(subset)) == 0;
	check(right, "all rows: the same solution to the bit, %s", of->name);
	km_fit_free(subset);
	fitted_free(&fitted);
	data_free(&data);
}

static KmStatus
draw(TestHost *host, const Data *data, const KmOptions *options, long *before)
{
	Fitted		fitted;
	KmFit	   *subset = NULL;
	KmStatus	status = fit_begin(host, data, NULL, options, &fitted);

	if (before != NULL)
		*before = host->allocations;
	if (status == KM_OK)
		status = km_fit_subset(fitted.fit, 50, 1, &subset);
	km_fit_free(subset);
	fitted_free(&fitted);
	return status;
}

static void
test_refused(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	long		first;
	long		last;
	bool		right;

	make_data(&cases[1], 200, &data, &options);
	host_init(&host);
	right = draw(&host, &data, &options, &first) == KM_OK;
	last = host.allocations;
	for (long n = first + 1; n <= last; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		right &= draw(&host, &data, &options, NULL) == KM_NO_MEMORY &&
			host.outstanding == 0;
	}
	check(right && last > first + 5, "%ld allocations refused: told",
		  last - first);
	data_free(&data);
}

int
main(void)
{
	for (int i = 0; i < (int) (sizeof(cases) / sizeof(*cases)); i++)
	{
		test_rows(&cases[i]);
		test_whole(&cases[i]);
	}
	test_refused();
	return finish();
}
