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
 *
 * A chain is a function of the seed and its own number, so chains can be made
 * at the same time.  They are looked at in the order of their numbers; those
 * begun in vain, because an earlier one was the last, are dropped.
 */
#include <math.h>
#include <string.h>

#include "crew.h"

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

/* rounds of Lloyd over all rows that a chain takes, roughly */
#define CHAIN_ROUNDS		100.0

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
	/* its passes are the search's own work, whoever shares the sample */
	search->view.host = host;
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

/* draws of a chain, at most: each has a number of its own in all chains */
#define CHAIN_DRAWS			(UINT64_C(1) << 32)

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
	km_copy(search->space->host, search->centers, search->lloyd.centers,
			sizeof(double) * cells);
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
		km_copy(search->space->host, search->lloyd.centers, search->centers,
				sizeof(double) * cells);
		km_row_center(&search->sample->table, search->space, row,
					  search->lloyd.centers +
					  (size_t) center * search->space->width);
		KM_TRY(settle(search, search->lloyd.centers, k, *best, &inertia));
		if (inertia < *best * (1 - BETTER))
		{
			*best = inertia;
			km_copy(search->space->host, search->centers,
					search->lloyd.centers, sizeof(double) * cells);
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

/* ---- chains, made by whoever is free ---- */

/* What a chain found; its centers stand in the slot's place. */
typedef struct Found
{
	bool		is_there;
	double		inertia;
	double		work;
} Found;

/*
 * Chains may be begun so far ahead of the last one that was looked at: a slot
 * for each.
 */
#define SLOTS_PER_MEMBER	3

typedef struct ChainTask
{
	KmTask		task;
	/* set once */
	KmOptions	options;
	int			k;
	int			previous_k;		/* 0: there are none before */
	int			width;
	int			nslots;
	double		nothing;		/* an inertia that is as good as 0 */
	KmHandle	sample;
	/* offsets */
	size_t		space;
	size_t		previous;		/* previous_k x width */
	size_t		found;			/* of each slot: Found, */
	size_t		centers;		/* k x width */
	size_t		pool;			/* KM_POOL_MAX x k x width */
	/* changes, under the lock */
	int			chains;			/* looked at */
	int			hits;
	double		best;
	double		work;
	int			npool;
	double		pool_inertia[KM_POOL_MAX];
	int			pool_place[KM_POOL_MAX];
} ChainTask;

static inline size_t
chain_cells(const ChainTask *chains)
{
	return (size_t) chains->k * chains->width;
}

/* The task's pool, as a pool. */
static void
open_pool(ChainTask *chains, KmPool *pool)
{
	double	   *centers = km_task_at(chains, chains->pool);

	pool->n = chains->npool;
	for (int i = 0; i < KM_POOL_MAX; i++)
	{
		pool->inertia[i] = chains->pool_inertia[i];
		pool->centers[i] = centers +
			chain_cells(chains) * chains->pool_place[i];
	}
}

static void
close_pool(ChainTask *chains, const KmPool *pool)
{
	const double *centers = km_task_at(chains, chains->pool);

	chains->npool = pool->n;
	for (int i = 0; i < KM_POOL_MAX; i++)
	{
		chains->pool_inertia[i] = pool->inertia[i];
		chains->pool_place[i] = (int) ((size_t) (pool->centers[i] - centers) /
									   chain_cells(chains));
	}
}

/* Look at the next chain; was it the last one? */
static bool
look_at_chain(ChainTask *chains)
{
	int			slot = chains->chains % chains->nslots;
	Found	   *found = (Found *) km_task_at(chains, chains->found) + slot;
	const double *centers = (const double *)
		km_task_at(chains, chains->centers) + chain_cells(chains) * slot;
	double		inertia = found->inertia;
	KmPool		pool;

	if (inertia < chains->best * (1 - SEARCH_TOL))
		chains->hits = 0;
	if (inertia < chains->best * (1 + SEARCH_TOL))
		chains->hits++;
	chains->best = inertia < chains->best ? inertia : chains->best;
	chains->work += found->work;
	open_pool(chains, &pool);
	offer_solution(&pool, inertia, centers, chain_cells(chains));
	close_pool(chains, &pool);
	found->is_there = false;
	chains->chains++;
	return !(chains->best > chains->nothing) ||
		enough_chains(&chains->options, chains->chains, chains->hits,
					  chains->work);
}

/* A chain is done: look at it, and at those that waited for it. */
static void
settle_chain(ChainTask *chains, int chain, const Found *result,
			 const double *centers)
{
	int			slot = chain % chains->nslots;
	Found	   *found = km_task_at(chains, chains->found);

	km_task_lock(&chains->task);
	if (!km_task_stopped(&chains->task))
	{
		memcpy((double *) km_task_at(chains, chains->centers) +
			   chain_cells(chains) * slot, centers,
			   sizeof(double) * chain_cells(chains));
		found[slot] = *result;
		while (found[chains->chains % chains->nslots].is_there)
		{
			if (look_at_chain(chains))
			{
				km_task_stop(&chains->task);
				break;
			}
		}
	}
	km_task_unlock(&chains->task);
}

/* Is there a slot for the chain's result?  Waits for one. */
static KmStatus
wait_for_slot(ChainTask *chains, int64_t chain, KmPoll *poll)
{
	for (;;)
	{
		bool		is_free;

		km_task_lock(&chains->task);
		is_free = chain < (int64_t) chains->chains + chains->nslots;
		km_task_unlock(&chains->task);
		if (is_free)
			return KM_OK;
		/* others are at work: some microseconds each time */
		for (int i = 0; i < 1000; i++)
		{
			if (!km_poll(poll, 4))
				return KM_CANCELLED;
		}
	}
}

/* Chain number "chain": what it finds is in search->centers. */
static KmStatus
make_chain(ChainTask *chains, KmSearch *search, int64_t chain, Found *found)
{
	const KmOptions *options = &chains->options;
	double		before = work_done(search);
	int			have = 0;

	search->step = (uint64_t) chain * CHAIN_DRAWS;
	/* the first chain of an elbow's next k splits the segments before */
	if (chain == 0 && chains->previous_k > 0)
	{
		have = chains->previous_k;
		memcpy(search->centers, km_task_at(chains, chains->previous),
			   sizeof(double) * have * chains->width);
	}
	KM_TRY(seed_rest(search, search->centers, have, chains->k));
	KM_TRY(run_chain(search, chains->k, options->failures > 0 ?
					 options->failures : SWAP_FAILURES, &found->inertia));
	found->work = work_done(search) - before;
	found->is_there = true;
	return KM_OK;
}

static KmStatus
make_chains(ChainTask *chains, KmMember *part, const KmSample *sample,
			const KmSpace *space)
{
	KmSearch	search;
	KmStatus	status = KM_OK;
	int64_t		chain;

	KM_TRY(create_search(&search, sample, space, &part->poll,
						 chains->options.simd, chains->options.seed,
						 chains->k));
	while (status == KM_OK &&
		   (chain = km_task_take(&chains->task, CHAINS_MAX)) >= 0)
	{
		Found		found;

		km_report(space->host, KM_PHASE_SEARCH, chain + 1,
				  chains->options.n_init);
		status = wait_for_slot(chains, chain, &part->poll);
		if (status == KM_OK)
			status = make_chain(chains, &search, chain, &found);
		if (status == KM_OK)
			settle_chain(chains, (int) chain, &found, search.centers);
	}
	free_search(&search);
	return status;
}

KmStatus
km_help_chains(KmMember *part, void *input)
{
	ChainTask  *chains = input;
	KmSample	sample;
	KmBlock		block;
	KmSpace		space;

	if (km_task_stopped(&chains->task))
		return KM_OK;
	/* one who does not see it takes no chain, and nobody misses him */
	if (km_sample_see(part->of, &part->host, chains->sample, &sample,
					  &block) != KM_OK)
		return KM_OK;
	km_space_see(&part->host, chains, chains->space, &space);
	return make_chains(chains, part, &sample, &space);
}

/* ---- a search ---- */

/* Members beside the caller who can make chains of it. */
static int
search_others(const KmSample *sample, const KmSpace *space,
			  const KmOptions *options, int k)
{
	double		chain = (double) sample->distinct * k * space->nfeatures *
		CHAIN_ROUNDS;

	if (options->n_init == 1)
		return 0;
	return km_crew_others(space->host, chain, chain *
						  (options->n_init > 0 ? options->n_init :
						   CHAINS_MIN));
}

static ChainTask *
create_chains(KmSample *sample, const KmSpace *space,
			  const KmOptions *options, int k, const double *previous,
			  int previous_k, int others, KmHandle *handle)
{
	ChainTask	layout = {0};
	ChainTask  *chains;
	size_t		cells = (size_t) k * space->width;
	size_t		end = sizeof(ChainTask);

	layout.options = *options;
	layout.k = k;
	layout.previous_k = previous == NULL ? 0 : previous_k;
	layout.width = space->width;
	layout.nslots = others == 0 ? 1 : SLOTS_PER_MEMBER * (others + 1);
	/* the sums' rounding: what is not above it is as good as 0 */
	layout.nothing = (k + 10) * 0x1p-53 * sample->squares;
	layout.sample = sample->shared;
	layout.best = INFINITY;
	for (int i = 0; i < KM_POOL_MAX; i++)
		layout.pool_place[i] = i;
	layout.space = km_space_lay(&end, space);
	layout.previous = km_lay(&end, (size_t) layout.previous_k * space->width,
							 sizeof(double));
	layout.found = km_lay(&end, (size_t) layout.nslots, sizeof(Found));
	layout.centers = km_lay(&end, layout.nslots * cells, sizeof(double));
	layout.pool = km_lay(&end, KM_POOL_MAX * cells, sizeof(double));

	chains = km_task_create(space->host, others, end, handle);
	if (chains == NULL)
		return NULL;
	*chains = layout;
	km_space_put(chains, chains->space, space);
	if (layout.previous_k > 0)
		memcpy(km_task_at(chains, chains->previous), previous,
			   sizeof(double) * layout.previous_k * space->width);
	return chains;
}

/* What all members found, into the caller's pool. */
static void
take_pool(ChainTask *chains, KmPool *pool)
{
	KmPool		found;

	open_pool(chains, &found);
	pool->n = found.n;
	for (int i = 0; i < found.n; i++)
	{
		pool->inertia[i] = found.inertia[i];
		memcpy(pool->centers[i], found.centers[i],
			   sizeof(double) * chain_cells(chains));
	}
}

KmStatus
km_search(KmSample *sample, const KmSpace *space, KmPoll *poll,
		  const KmOptions *options, int k, const double *previous,
		  int previous_k, KmPool *pool)
{
	const KmHost *host = space->host;
	int			others = search_others(sample, space, options, k);
	KmHandle	handle;
	ChainTask  *chains = NULL;
	KmMember	part;
	KmSpace		own = *space;
	KmStatus	status;

	if (others > 0 && km_sample_share(sample) != 0)
		chains = create_chains(sample, space, options, k, previous,
							   previous_k, others, &handle);
	if (chains == NULL)
		chains = create_chains(sample, space, options, k, previous,
							   previous_k, 0, &handle);
	if (chains == NULL)
		return KM_NO_MEMORY;
	if (handle != 0)
		host->crew->call(host->crew->arg, KM_TASK_CHAINS, handle);
	km_member_begin(&part, host, poll, &chains->task);
	own.host = &part.host;
	km_member_end(&part, make_chains(chains, &part, sample, &own));
	if (handle != 0)
		host->crew->wait(host->crew->arg);
	status = (KmStatus) atomic_load(&chains->task.status);
	if (status == KM_OK)
		take_pool(chains, pool);
	km_task_free(host, chains, handle);
	return status;
}
