/*
 * search.c
 *		The search for good centers on the sample.
 *
 * A chain is greedy k-means++, Lloyd, then guided swaps: draw two rows by
 * squared distance, compute the exact inertia of replacing each center by each
 * of them (one pass with the stored nearest and second-nearest distances),
 * apply the best replacement, run Lloyd, keep it if it is better.  A chain
 * ends after ten failures in a row.  Chains repeat until the best basin has
 * been found often enough; work is counted in distances and never timed, so
 * that every machine searches the same.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

#define SWAP_CANDIDATES		2
#define SWAP_FAILURES		10
#define SEARCH_TOL			1e-4	/* Lloyd's on the sample; also a basin */
#define BETTER				1e-6	/* relative fall that counts as progress */
#define SEARCH_MAX_ITER		100

/* when to stop, see enough_chains() */
#define CHAINS_MIN			5
#define BASIN_HITS			3
#define WORK_MIN			2e7
#define CHAINS_LONG			3
#define WORK_LONG			8e9
#define CHAINS_MAX			1000
#define WORK_CHAIN			(WORK_LONG / CHAINS_LONG)	/* of one chain */
#define HITS_ENOUGH			10		/* by themselves, whatever the work */

static void
free_search(KmSearch *search)
{
	const KmHost *host = search->space->host;

	km_free(host, search->weight);
	km_free(host, search->own);
	km_free(host, search->d1);
	km_free(host, search->d2);
	km_free(host, search->dx);
	km_free(host, search->spare);
	km_free(host, search->centers);
	km_free(host, search->point);
	km_free(host, search->gain);
	km_packed_free(search->space, &search->packed);
	km_lloyd_free(&search->lloyd);
	km_view_clear(&search->view);
}

static KmStatus
create_search(KmSearch *search, const KmSample *sample, const KmSpace *space,
			  KmPoll *poll, KmSimd simd, uint64_t seed, int k)
{
	const KmHost *host = space->host;
	size_t		rows = (size_t) (sample->distinct + KM_LANES - 1) /
		KM_LANES * KM_LANES;
	KmStatus	status;

	memset(search, 0, sizeof(*search));
	search->sample = sample;
	search->space = space;
	search->poll = poll;
	search->nearest = km_nearest_kernel(simd);
	search->seed = seed;
	search->weight = km_alloc(host, rows, sizeof(double));
	search->own = km_alloc(host, rows, sizeof(uint16_t));
	search->d1 = km_alloc(host, rows, sizeof(double));
	search->d2 = km_alloc(host, rows, sizeof(double));
	search->dx = km_alloc(host, rows, sizeof(double));
	search->spare = km_alloc(host, rows, sizeof(double));
	search->centers = km_alloc(host, (size_t) k * space->width,
							   sizeof(double));
	search->point = km_alloc(host, space->width, sizeof(double));
	search->gain = km_alloc(host, k, sizeof(double));
	status = km_packed_create(space, 1, &search->packed);
	if (status == KM_OK)
		status = km_table_view(&sample->table, &search->view);
	search->source.table = &search->view;
	if (status == KM_OK)
		status = km_lloyd_create(&search->source, space, poll, simd, k,
								 sample->squares, &search->lloyd);
	if (status != KM_OK || search->weight == NULL || search->own == NULL ||
		search->d1 == NULL || search->d2 == NULL || search->dx == NULL ||
		search->spare == NULL || search->centers == NULL ||
		search->point == NULL || search->gain == NULL)
	{
		free_search(search);
		return KM_NO_MEMORY;
	}
	for (int64_t i = 0; i < sample->distinct; i++)
		search->weight[i] = km_tile(&sample->table, sample->table.blocks,
									(int) (i / KM_LANES))
			[sample->table.weight_slot * KM_LANES + i % KM_LANES];
	return KM_OK;
}

/* ---- solutions worth keeping ---- */

KmStatus
km_pool_create(const KmSpace *space, int k, KmPool *pool)
{
	memset(pool, 0, sizeof(*pool));
	for (int i = 0; i < KM_POOL_MAX; i++)
	{
		pool->centers[i] = km_alloc(space->host, (size_t) k * space->width,
									sizeof(double));
		if (pool->centers[i] == NULL)
		{
			km_pool_clear(space, pool);
			return KM_NO_MEMORY;
		}
	}
	return KM_OK;
}

void
km_pool_clear(const KmSpace *space, KmPool *pool)
{
	for (int i = 0; i < KM_POOL_MAX; i++)
	{
		km_free(space->host, pool->centers[i]);
		pool->centers[i] = NULL;
	}
}

/* Enter a solution unless one as good has been found before. */
static void
offer_solution(KmPool *pool, double inertia, const double *centers,
			   size_t cells)
{
	int			at = pool->n;
	int			same = -1;
	double	   *room;

	for (int i = 0; i < pool->n; i++)
	{
		if (fabs(pool->inertia[i] - inertia) <= SEARCH_TOL * inertia)
			same = i;
	}
	if (same >= 0)
	{
		if (pool->inertia[same] <= inertia)
			return;
		at = same;
	}
	else if (at == KM_POOL_MAX)
	{
		at--;
		if (pool->inertia[at] <= inertia)
			return;
	}
	else
		pool->n++;
	room = pool->centers[at];
	for (; at > 0 && pool->inertia[at - 1] > inertia; at--)
	{
		pool->inertia[at] = pool->inertia[at - 1];
		pool->centers[at] = pool->centers[at - 1];
	}
	pool->inertia[at] = inertia;
	pool->centers[at] = room;
	memcpy(room, centers, sizeof(double) * cells);
}

/* ---- chains ---- */

/* Lloyd from the given centers; search->lloyd then holds the result. */
static KmStatus
settle(KmSearch *search, const double *centers, int k, double give_up,
	   double *inertia)
{
	int			iterations;
	bool		converged;

	km_lloyd_start(&search->lloyd, centers, k);
	KM_TRY(km_lloyd_run(&search->lloyd, SEARCH_MAX_ITER, SEARCH_TOL, give_up,
						&iterations, &converged));
	KM_TRY(km_lloyd_update(&search->lloyd));
	*inertia = km_lloyd_inertia(&search->lloyd);
	return KM_OK;
}

/* The best replacement of a center by one of a few drawn rows. */
static KmStatus
choose_swap(KmSearch *search, int k, int64_t *row, int *center)
{
	int64_t		n = search->sample->distinct;
	int64_t		rows[SWAP_CANDIDATES];
	int			drawn = km_draw_rows(search, search->d1, SWAP_CANDIDATES, rows);
	double		least = INFINITY;

	*center = -1;
	for (int i = 0; i < drawn; i++)
	{
		double		base = 0;

		KM_TRY(km_distances(search, rows[i], search->dx));
		memset(search->gain, 0, sizeof(double) * k);
		for (int64_t r = 0; r < n; r++)
		{
			double		x = search->dx[r];
			double		with = search->d1[r] < x ? search->d1[r] : x;
			double		without = search->d2[r] < x ? search->d2[r] : x;

			base += search->weight[r] * with;
			search->gain[search->own[r]] += search->weight[r] *
				(without - with);
		}
		for (int c = 0; c < k; c++)
		{
			if (base + search->gain[c] < least)
			{
				least = base + search->gain[c];
				*row = rows[i];
				*center = c;
			}
		}
	}
	return KM_OK;
}

static double
work_done(const KmSearch *search)
{
	return (search->evaluations + search->lloyd.evaluations) *
		search->space->nfeatures;
}

/*
 * One chain from its starting centers, in search->centers.  On return these
 * are the best found.  With thousands of segments nearly every swap gains a
 * little, and failures never end it: work does.
 */
static KmStatus
run_chain(KmSearch *search, int k, int most_failures, double *best)
{
	size_t		cells = (size_t) k * search->space->width;
	int			failures = 0;
	bool		stale = true;	/* own, d1, d2 are of older centers */
	double		enough = work_done(search) + WORK_CHAIN;

	KM_TRY(settle(search, search->centers, k, INFINITY, best));
	memcpy(search->centers, search->lloyd.centers, sizeof(double) * cells);
	while (failures < most_failures && k > 1 && work_done(search) < enough)
	{
		int64_t		row;
		int			center;
		double		inertia;

		if (stale)
		{
			km_lloyd_start(&search->lloyd, search->centers, k);
			KM_TRY(km_nearest_all(&search->lloyd, search->own, search->d1,
								  search->d2));
			search->evaluations += (double) search->sample->distinct * k;
			stale = false;
		}
		KM_TRY(choose_swap(search, k, &row, &center));
		if (center < 0)
			break;				/* every row is at a center */
		memcpy(search->lloyd.centers, search->centers, sizeof(double) * cells);
		km_row_center(&search->sample->table, search->space, row,
					  search->lloyd.centers +
					  (size_t) center * search->space->width);
		KM_TRY(settle(search, search->lloyd.centers, k, *best, &inertia));
		if (inertia < *best * (1 - BETTER))
		{
			*best = inertia;
			memcpy(search->centers, search->lloyd.centers,
				   sizeof(double) * cells);
			failures = 0;
			stale = true;
		}
		else
			failures++;
	}
	return KM_OK;
}

/*
 * Stop when the best basin has come up often enough for the work it took, or
 * so often that no more is needed, or when a lot of work has been done.
 */
static bool
enough_chains(const KmOptions *options, int chains, int hits, double work)
{
	if (options->n_init > 0)
		return chains >= options->n_init;
	if (chains >= CHAINS_MAX)
		return true;
	if (chains >= CHAINS_LONG && work > WORK_LONG)
		return true;
	if (hits >= HITS_ENOUGH)
		return true;
	return chains >= CHAINS_MIN && hits >= BASIN_HITS && work >= WORK_MIN;
}

/* The first "have" of k centers are given; seed the others. */
static KmStatus
seed_rest(KmSearch *search, double *centers, int have, int k)
{
	size_t		width = (size_t) search->space->width;
	int			got;

	KM_TRY(km_seed(search, centers, have, k, &got));
	/* every row is at a center */
	for (; got < k; got++)
		memcpy(centers + got * width, centers, sizeof(double) * width);
	return KM_OK;
}

KmStatus
km_add_centers(const KmSample *sample, const KmSpace *space, KmPoll *poll,
			   KmSimd simd, uint64_t seed, double *centers, int have, int k)
{
	KmSearch	search;
	KmStatus	status;

	KM_TRY(create_search(&search, sample, space, poll, simd, seed, k));
	status = seed_rest(&search, centers, have, k);
	free_search(&search);
	return status;
}

KmStatus
km_search(const KmSample *sample, const KmSpace *space, KmPoll *poll,
		  const KmOptions *options, int k, const double *previous, int previous_k, KmPool *pool)
{
	KmSearch	search;
	KmStatus	status;
	size_t		cells = (size_t) k * space->width;
	int			chains = 0;
	int			hits = 0;
	double		best = INFINITY;
	double		work;

	/* the sums' rounding: what is not above it is as good as 0 */
	double		nothing = (k + 10) * 0x1p-53 * sample->squares;

	KM_TRY(create_search(&search, sample, space, poll, options->simd,
						 options->seed, k));
	do
	{
		int			have = 0;
		double		inertia;

		km_report(space->host, KM_PHASE_SEARCH, chains + 1, options->n_init);
		/* the first chain of an elbow's next k splits the segments before */
		if (chains == 0 && previous != NULL)
		{
			have = previous_k;
			memcpy(search.centers, previous,
				   sizeof(double) * previous_k * space->width);
		}
		status = seed_rest(&search, search.centers, have, k);
		if (status == KM_OK)
			status = run_chain(&search, k, options->failures > 0 ?
							   options->failures : SWAP_FAILURES, &inertia);
		if (status != KM_OK)
			break;

		if (inertia < best * (1 - SEARCH_TOL))
			hits = 0;
		if (inertia < best * (1 + SEARCH_TOL))
			hits++;
		best = inertia < best ? inertia : best;
		offer_solution(pool, inertia, search.centers, cells);
		chains++;
		work = work_done(&search);
	} while (best > nothing && !enough_chains(options, chains, hits, work));
	free_search(&search);
	return status;
}
