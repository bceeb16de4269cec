/*
 * evidence.c
 *		Silhouettes and stability of several solutions of one fit.
 */
#include "data.h"

#define MOST_K	12

typedef struct Evidence
{
	int			n;
	int64_t		sampled;
	double		silhouettes[MOST_K];
	double		stability[MOST_K];
} Evidence;

/* Solutions for 1 .. k_max, and what is said of them. */
static KmStatus
find_evidence(TestHost *host, const Data *data, const int *order,
			  const KmOptions *options, int k_max, Evidence *found)
{
	Fitted		fitted;
	KmSolution *solutions[MOST_K];
	KmEvidence *evidence = NULL;
	KmStatus	status = fit_begin(host, data, order, options, &fitted);

	found->n = 0;
	for (int k = 1; k <= k_max && status == KM_OK; k++)
	{
		status = km_fit_run(fitted.fit, k, NULL, &solutions[found->n]);
		if (status == KM_OK && solutions[found->n++]->k < k)
		{
			found->n--;
			break;
		}
	}
	if (status == KM_OK)
		status = km_evidence_create(fitted.fit, solutions, found->n,
									&evidence);
	if (status == KM_OK)
	{
		found->sampled = km_evidence_rows(evidence);
		status = km_evidence_silhouettes(evidence, found->silhouettes);
	}
	if (status == KM_OK)
		status = km_evidence_stability(evidence, found->stability);
	km_evidence_free(evidence);
	fitted_free(&fitted);
	return status;
}

static bool
same_evidence(const Evidence *a, const Evidence *b)
{
	bool		same = a->n == b->n && a->sampled == b->sampled;

	for (int i = 0; i < a->n && same; i++)
		same = same_bits(a->silhouettes[i], b->silhouettes[i]) &&
			same_bits(a->stability[i], b->stability[i]);
	return same;
}

/* four groups at the corners of a square */
static void
make_corners(Data *data, uint64_t *state, int nrows, double spread)
{
	data_init(data, nrows, 2);
	for (int i = 0; i < nrows; i++)
	{
		for (int f = 0; f < 2; f++)
			data_row(data, i)[f] = random_below(state, 2) +
				spread * random_normal(state);
	}
}

static void
test_groups(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Evidence	found;
	uint64_t	state = 7;

	km_options_default(&options);
	options.n_init = 3;
	host_init(&host);
	make_corners(&data, &state, 800, 0.1);
	check(find_evidence(&host, &data, NULL, &options, 7, &found) == KM_OK &&
		  found.n == 7 && found.sampled == 800, "four groups");
	check(isnan(found.silhouettes[0]) && isnan(found.stability[0]),
		  "one segment has neither");
	check(found.stability[3] == 1, "the groups come out of each half");
	check(found.stability[2] < 0.95 && found.stability[6] < 0.95,
		  "fewer and more do not: %.3f, %.3f", found.stability[2],
		  found.stability[6]);
	check(found.silhouettes[3] > 0.75 &&
		  found.silhouettes[3] > found.silhouettes[2] &&
		  found.silhouettes[3] > found.silhouettes[4],
		  "and have the best silhouette");
	data_free(&data);

	data_init(&data, 700, 5);
	for (int i = 0; i < 700 * 5; i++)
		data.values[i] = random_normal(&state);
	check(find_evidence(&host, &data, NULL, &options, 7, &found) == KM_OK,
		  "one cloud");
	check(found.stability[2] < 0.6 && found.stability[6] < 0.6,
		  "its pieces do not: %.3f, %.3f", found.stability[2],
		  found.stability[6]);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* rows of great weight decide a weighted fit, and its refits */
static void
test_weights(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Evidence	found;
	uint64_t	state = 11;

	km_options_default(&options);
	options.n_init = 3;
	options.scale = KM_NONE;
	host_init(&host);
	data_init(&data, 600, 1);
	data.weights = malloc(sizeof(double) * 600);
	/* two groups nearby that weigh a lot, one far away that weighs nothing */
	for (int i = 0; i < 600; i++)
	{
		data.values[i] = (i % 3 == 0 ? 30 : i % 3 * 3) +
			0.3 * random_normal(&state);
		data.weights[i] = i % 3 == 0 ? 0.0001 : 1;
	}
	check(find_evidence(&host, &data, NULL, &options, 2, &found) == KM_OK,
		  "two of three groups weigh a lot");
	check(found.stability[1] > 0.99, "weights count in refits: %.3f",
		  found.stability[1]);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* equal rows are drawn into halves one by one */
static void
test_copies(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Evidence	found;

	km_options_default(&options);
	host_init(&host);
	data_init(&data, 300, 1);
	for (int i = 0; i < 300; i++)
		data.values[i] = (i % 3) * (i % 3);
	check(find_evidence(&host, &data, NULL, &options, 5, &found) == KM_OK &&
		  found.n == 3, "three different rows");
	check(found.stability[1] > 0.9 && found.stability[2] == 1 &&
		  found.silhouettes[2] == 1, "all of them in every half: %.3f, %.3f",
		  found.stability[1], found.stability[2]);

	/* a half may lack one of few rows */
	data.nrows = 3;
	for (int i = 0; i < 3; i++)
		data.values[i] = i * i;
	check(find_evidence(&host, &data, NULL, &options, 3, &found) == KM_OK &&
		  found.n == 3 && isnan(found.stability[2]) &&
		  isnan(found.silhouettes[2]), "or too few for a refit: not told");
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

static void
test_bits(const char *name, KmDistance distance, int ncat, bool weighted,
		  int nrows)
{
	static const KmSimd simd[] = {KM_SIMD_BASELINE, KM_SIMD_AVX2,
	KM_SIMD_AVX512};
	TestHost	host;
	KmOptions	options;
	Data		data;
	uint64_t	state = 5;
	int		   *order = malloc(sizeof(int) * nrows);
	Evidence	found;
	Evidence	other;
	bool		same = true;

	km_options_default(&options);
	options.distance = distance;
	options.n_init = 1;
	host_init(&host);
	data_blobs(&data, &state, nrows, 3, 3, 0.6);
	for (int f = 0; f < ncat; f++)
		data_categorise(&data, &state, 2 - f, 3 + f);
	data.weights = weighted ? malloc(sizeof(double) * nrows) : NULL;
	for (int i = 0; i < nrows; i++)
	{
		order[i] = i;
		if (weighted)
			data.weights[i] = 1 + i % 4;
	}
	check(find_evidence(&host, &data, NULL, &options, 4, &found) == KM_OK &&
		  found.n == 4 && found.sampled == (nrows < KM_SILHOUETTE_ROWS ?
											nrows : KM_SILHOUETTE_ROWS),
		  "evidence of %s", name);
	for (int s = 0; s < 3; s++)
	{
		shuffle(&state, order, nrows);
		options.simd = simd[s];
		if (!km_simd_supported(simd[s]))
			continue;
		same &= find_evidence(&host, &data, order, &options, 4,
							  &other) == KM_OK;
		same &= same_evidence(&found, &other);
	}
	check(same, "the same bits in any order, with any vectors");
	data_free(&data);
	free(order);
	check(host.outstanding == 0, "and nothing left behind");
}

static void
test_failures(bool stop)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Evidence	found;
	bool		right = true;
	long		first;
	long		last;
	uint64_t	state = 3;

	km_options_default(&options);
	options.n_init = 1;
	data_blobs(&data, &state, 90, 3, 3, 0.4);
	data_categorise(&data, &state, 1, 3);
	data.weights = malloc(sizeof(double) * 90);
	for (int i = 0; i < 90; i++)
		data.weights[i] = 1 + i % 3;
	/* the fits alone have their own tests */
	host_init(&host);
	right &= find_evidence(&host, &data, NULL, &options, 1, &found) == KM_OK;
	first = stop ? host.polls : host.allocations;
	host_init(&host);
	right &= find_evidence(&host, &data, NULL, &options, 3, &found) == KM_OK;
	last = stop ? host.polls : host.allocations;
	for (long n = first; n <= last; n++)
	{
		KmStatus	status;

		host_init(&host);
		if (stop)
			host.stop_at = n;
		else
			host.refuse_at = n;
		status = find_evidence(&host, &data, NULL, &options, 3, &found);
		if (status != (stop ? KM_CANCELLED : KM_NO_MEMORY) ||
			host.outstanding != 0 || (stop && host.polls != n))
		{
			note("%ld of %ld: status %d, %ld outstanding", n, last, status,
				 host.outstanding);
			right = false;
		}
	}
	check(right && last > first + 20, "%ld %s: told, and nothing left behind",
		  last - first, stop ? "polls stopped" : "allocations refused");
	data_free(&data);
}

int
main(void)
{
	test_groups();
	test_weights();
	test_copies();
	test_bits("numbers", KM_EUCLIDEAN, 0, false, 500);
	test_bits("categories and weights", KM_EUCLIDEAN, 2, true, 500);
	test_bits("directions", KM_COSINE, 0, false, 500);
	test_bits("a sample", KM_EUCLIDEAN, 0, false, 10500);
	test_failures(false);
	test_failures(true);
	return finish();
}
