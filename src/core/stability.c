/*
 * stability.c
 *		How well a segmentation survives resampling.
 *
 * Segments that are in the data come out again when other rows of it are
 * segmented; pieces that k-means cut out of one cloud come out elsewhere each
 * time (Ben-Hur, Elisseeff, Guyon, "A stability based method for discovering
 * structure in clustered data", 2002; Hennig, "Cluster-wise assessment of
 * cluster stability", 2007).  So halves of the sample are segmented anew, all
 * rows of the sample get the segment that such a refit gives them, and that
 * is compared with the solution's own: stability is the mean of the adjusted
 * Rand indices.  1: always the same; 0: no better than chance.
 *
 * Which copies of a row are in a half comes from the row's content.
 */
#include <math.h>
#include <string.h>

#include "crew.h"
#include "fit.h"
#include "sketch.h"

/* fewer for many segments: each takes longer, and more rows decide */
#define REFITS			8
#define REFITS_MANY		4
#define MANY_SEGMENTS	16

/*
 * Chains of a refit, and swaps in a row that may fail.  A refit that misses
 * what a better search would have found makes a good solution look unstable;
 * with few segments a swap has few to choose from, and costs little.
 */
#define FAILURES		5
#define FAILURES_FEW	10
#define CHAINS_FEW		2
#define FEW_SEGMENTS	5

/* beyond, pairs of segments are counted where they occur */
#define TABLE_SEGMENTS	256

/* weights are integers of so many bits at most */
#define WEIGHT_BITS		20

typedef struct Stability
{
	/* set once */
	const KmEvidence *evidence;
	KmFit	   *fit;
	bool		is_weighted;
	/* changes with each refit */
	KmSample	half;
	uint16_t   *own;			/* the solution's segment of each row */
	uint16_t   *other;			/* the refit's */
	int64_t    *table;
	KmPair	   *pairs;
} Stability;

/* ---- halves ---- */

/* How many of a row's copies are in a half: each by one bit. */
static int64_t
copies_in_half(const KmDraw *draw, int64_t row, uint64_t stream)
{
	int64_t		n = 0;
	uint64_t	bits = 0;

	for (int64_t j = 0; j < draw->multiplicity[row]; j++)
	{
		if (j % 64 == 0)
			bits = km_mix(draw->hash[row] ^ km_mix(stream + (uint64_t) j));
		n += bits & 1;
		bits >>= 1;
	}
	return n;
}

/* The rows of a half, with their weights. */
static KmStatus
fill_half(Stability *s, uint64_t stream)
{
	const KmDraw *draw = s->evidence->draw;
	const KmSpace *space = &s->fit->space;
	KmSample   *half = &s->half;
	int64_t		n = 0;

	half->weight = 0;
	half->squares = 0;
	for (int64_t i = 0; i < draw->table.nrows; i++)
	{
		int64_t		copies = copies_in_half(draw, i, stream);
		const double *from;
		double	   *to;
		double		weight = (double) copies;

		if (copies == 0)
			continue;
		if (s->is_weighted)
			weight = fmax(1, rint(weight * draw->weight[i] *
								  (1 << WEIGHT_BITS)));
		from = km_cell(&draw->table, draw->table.blocks, (int) i, 0);
		to = km_cell(&half->table, half->table.blocks, (int) n, 0);
		half->norm[n] = 0;
		for (int f = 0; f < space->nfeatures; f++)
		{
			double		x = from[f * KM_LANES];

			to[f * KM_LANES] = x;
			x = f < space->nnum ? x : space->factor[f - space->nnum];
			half->norm[n] += x * x;
		}
		to[half->table.weight_slot * KM_LANES] = weight;
		half->hash[n] = draw->hash[i];
		half->weight += weight;
		half->squares += weight * half->norm[n];
		n++;
		if (!km_poll(&s->fit->poll, copies + 2 * space->nfeatures))
			return KM_CANCELLED;
	}
	half->distinct = n;
	half->table.nrows = n;
	half->table.blocks[0].nrows = (int) n;
	return KM_OK;
}

/* ---- comparing ---- */

/* Adjusted Rand index of own and other over the rows drawn. */
static KmStatus
compare_labels(Stability *s, int k, double *index)
{
	const KmDraw *draw = s->evidence->draw;
	int64_t		n = draw->table.nrows;

	if (k > TABLE_SEGMENTS)
	{
		for (int64_t i = 0; i < n; i++)
		{
			s->pairs[i].a = s->own[i];
			s->pairs[i].b = s->other[i];
			s->pairs[i].count = draw->multiplicity[i];
		}
		return km_adjusted_rand_pairs(s->fit->host, s->pairs, (size_t) n,
									  index);
	}
	memset(s->table, 0, sizeof(int64_t) * k * k);
	for (int64_t i = 0; i < n; i++)
		s->table[s->own[i] * k + s->other[i]] += draw->multiplicity[i];
	*index = km_adjusted_rand(s->table, k, k);
	return KM_OK;
}

/*
 * One refit for one solution: its index is added to what others gave.  NAN:
 * the half has too few different rows.
 */
static KmStatus
compare_refit(Stability *s, const KmSolution *solution, int refit,
			  double *index)
{
	KmFit	   *fit = s->fit;
	KmOptions	options = fit->options;
	int			k = solution->k;
	KmPool		pool;
	KmStatus	status;

	*index = NAN;
	if (s->half.distinct < k)
		return KM_OK;
	options.n_init = k < FEW_SEGMENTS ? CHAINS_FEW : 1;
	options.failures = k < FEW_SEGMENTS ? FAILURES_FEW : FAILURES;
	options.seed = km_mix(fit->options.seed +
						  km_mix((uint64_t) k * REFITS + (uint64_t) refit));
	KM_TRY(km_pool_create(&fit->space, k, &pool));
	status = km_search(&s->half, &fit->space, &fit->poll, &options, k,
					   NULL, 0, &pool);
	if (status == KM_OK)
		status = km_evidence_labels(s->evidence, pool.centers[0], k,
									s->other);
	if (status == KM_OK)
		status = compare_labels(s, k, index);
	km_pool_clear(&fit->space, &pool);
	return status;
}

/* ---- refits, made by whoever is free ---- */

/* Refit b of solution i is item b * n + i. */
typedef struct RefitTask
{
	KmTask		task;
	/* set once */
	KmOptions	options;
	int			n;				/* solutions */
	bool		is_weighted;
	int64_t		total;			/* rows drawn */
	/* offsets */
	size_t		space;
	size_t		table;			/* of the draw */
	size_t		multiplicity;
	size_t		hash;
	size_t		weight;
	size_t		k;				/* of each solution */
	size_t		centers;		/* of all of them, one after another */
	/* of each item, by whoever took it */
	size_t		index;			/* NAN: not to be told, or not asked for */
} RefitTask;

static int
refits_of(int k)
{
	return k > MANY_SEGMENTS ? REFITS_MANY : REFITS;
}

static KmStatus
create_stability(const KmEvidence *evidence, bool is_weighted, Stability *s)
{
	const KmHost *host = evidence->fit->host;
	const KmTable *table = &evidence->draw->table;
	size_t		n = (size_t) table->nrows;
	int			most = 1;

	memset(s, 0, sizeof(*s));
	s->evidence = evidence;
	s->fit = evidence->fit;
	s->is_weighted = is_weighted;
	for (int i = 0; i < evidence->n; i++)
	{
		if (evidence->solutions[i]->k <= TABLE_SEGMENTS &&
			evidence->solutions[i]->k > most)
			most = evidence->solutions[i]->k;
	}
	s->own = km_alloc(host, n, sizeof(uint16_t));
	s->other = km_alloc(host, n, sizeof(uint16_t));
	s->pairs = km_alloc(host, n, sizeof(KmPair));
	s->table = km_alloc(host, (size_t) most * most, sizeof(int64_t));
	s->half.hash = km_alloc(host, n, sizeof(uint64_t));
	s->half.norm = km_alloc(host, n, sizeof(double));
	s->half.complete = true;
	if (s->own == NULL || s->other == NULL || s->pairs == NULL ||
		s->table == NULL || s->half.hash == NULL || s->half.norm == NULL)
		return KM_NO_MEMORY;
	return km_table_clone(table, table->nrows, &s->half.table);
}

static void
free_stability(Stability *s)
{
	const KmHost *host = s->fit->host;

	km_sample_clear(host, &s->half);
	km_free(host, s->own);
	km_free(host, s->other);
	km_free(host, s->pairs);
	km_free(host, s->table);
}

static KmStatus
measure_refits(RefitTask *task, Stability *s)
{
	double	   *index = km_task_at(task, task->index);
	int			half = -1;		/* that is in s->half */
	int64_t		item;

	while ((item = km_task_take(&task->task, (int64_t) REFITS * task->n)) >= 0)
	{
		int			b = (int) (item / task->n);
		const KmSolution *solution =
			s->evidence->solutions[item % task->n];

		km_report(s->fit->host, KM_PHASE_STABILITY, b + 1, REFITS);
		index[item] = NAN;
		if (solution->k < 2 || b >= refits_of(solution->k))
			continue;
		if (b != half)
			KM_TRY(fill_half(s, km_mix(s->fit->options.seed +
									   km_mix((uint64_t) b))));
		half = b;
		KM_TRY(km_evidence_labels(s->evidence, solution->centers,
								  solution->k, s->own));
		KM_TRY(compare_refit(s, solution, b, &index[item]));
	}
	return KM_OK;
}

/*
 * A member's part: of the fit and its evidence it has what refits look at.
 * solutions: where the member keeps them, n of them.
 */
static KmStatus
run_part(RefitTask *task, KmMember *part, KmDraw *draw, const KmSpace *space,
		 KmSolution *solutions, KmSolution **list)
{
	const int  *k = km_task_at(task, task->k);
	double	   *centers = km_task_at(task, task->centers);
	KmEvidence	evidence = {0};
	KmFit		fit = {0};
	Stability	s;
	KmStatus	status;

	for (int i = 0; i < task->n; i++)
	{
		memset(&solutions[i], 0, sizeof(KmSolution));
		solutions[i].k = k[i];
		solutions[i].centers = centers;
		centers += (size_t) k[i] * space->width;
		list[i] = &solutions[i];
	}
	fit.host = &part->host;
	fit.poll = part->poll;
	fit.options = task->options;
	fit.space = *space;
	fit.space.host = &part->host;
	draw->table.host = &part->host;
	evidence.fit = &fit;
	evidence.solutions = list;
	evidence.n = task->n;
	evidence.draw = draw;
	status = create_stability(&evidence, task->is_weighted, &s);
	if (status == KM_OK)
		status = measure_refits(task, &s);
	free_stability(&s);
	part->poll.work = fit.poll.work;
	return status;
}

static KmStatus
measure_part(RefitTask *task, KmMember *part, KmDraw *draw,
			 const KmSpace *space)
{
	const KmHost *host = &part->host;
	KmSolution *solutions = km_alloc(host, task->n, sizeof(KmSolution));
	KmSolution **list = km_alloc(host, task->n, sizeof(KmSolution *));
	KmStatus	status = solutions == NULL || list == NULL ? KM_NO_MEMORY :
		run_part(task, part, draw, space, solutions, list);

	km_free(host, solutions);
	km_free(host, list);
	return status;
}

KmStatus
km_help_refits(KmMember *part, void *input)
{
	RefitTask  *task = input;
	KmDraw		draw = {0};
	KmBlock		block;
	KmSpace		space;

	km_table_see(&part->host, task, task->table, &draw.table, &block);
	km_space_see(&part->host, task, task->space, &space);
	draw.multiplicity = km_task_at(task, task->multiplicity);
	draw.hash = km_task_at(task, task->hash);
	draw.weight = km_task_at(task, task->weight);
	draw.total = task->total;
	return measure_part(task, part, &draw, &space);
}

/* ---- all of it ---- */

static RefitTask *
create_task(const KmEvidence *evidence, int others, KmHandle *handle)
{
	const KmFit *fit = evidence->fit;
	const KmDraw *draw = evidence->draw;
	size_t		nrows = (size_t) draw->table.nrows;
	size_t		segments = 0;
	size_t		end = sizeof(RefitTask);
	RefitTask	layout = {0};
	RefitTask  *task;
	double	   *centers;

	for (int i = 0; i < evidence->n; i++)
		segments += (size_t) evidence->solutions[i]->k;
	layout.options = fit->options;
	layout.n = evidence->n;
	layout.is_weighted = fit->table->weight_slot >= 0;
	layout.total = draw->total;
	layout.space = km_space_lay(&end, &fit->space);
	layout.table = km_table_lay(&end, &draw->table);
	layout.multiplicity = km_lay(&end, nrows, sizeof(int64_t));
	layout.hash = km_lay(&end, nrows, sizeof(uint64_t));
	layout.weight = km_lay(&end, nrows, sizeof(double));
	layout.k = km_lay(&end, (size_t) evidence->n, sizeof(int));
	layout.centers = km_lay(&end, segments * fit->space.width,
							sizeof(double));
	layout.index = km_lay(&end, (size_t) evidence->n * REFITS,
						  sizeof(double));
	task = km_task_create(fit->host, others, end, handle);
	if (task == NULL)
		return NULL;
	*task = layout;
	km_space_put(task, task->space, &fit->space);
	km_table_put(task, task->table, &draw->table);
	memcpy(km_task_at(task, task->multiplicity), draw->multiplicity,
		   sizeof(int64_t) * nrows);
	memcpy(km_task_at(task, task->hash), draw->hash, sizeof(uint64_t) * nrows);
	memcpy(km_task_at(task, task->weight), draw->weight, sizeof(double) * nrows);
	centers = km_task_at(task, task->centers);
	for (int i = 0; i < evidence->n; i++)
	{
		const KmSolution *solution = evidence->solutions[i];
		size_t		cells = (size_t) solution->k * fit->space.width;

		((int *) km_task_at(task, task->k))[i] = solution->k;
		memcpy(centers, solution->centers, sizeof(double) * cells);
		centers += cells;
	}
	return task;
}

/* Means over the refits, in their order. */
static void
take_means(RefitTask *task, double *stability)
{
	const int  *k = km_task_at(task, task->k);
	const double *index = km_task_at(task, task->index);

	for (int i = 0; i < task->n; i++)
	{
		int			refits = refits_of(k[i]);

		stability[i] = k[i] > 1 ? 0 : NAN;
		for (int b = 0; b < refits; b++)
			stability[i] += index[(size_t) b * task->n + i] / refits;
	}
}

static int
refit_others(const KmEvidence *evidence)
{
	const KmFit *fit = evidence->fit;
	double		work = 0;

	/* a chain over half of the rows, some 50 rounds of Lloyd */
	for (int i = 0; i < evidence->n; i++)
		work += 50.0 * evidence->solutions[i]->k * REFITS *
			(double) evidence->draw->table.nrows / 2 * fit->space.nfeatures;
	return km_crew_others(fit->host, work, work);
}

static KmStatus
run_refits(const KmEvidence *evidence, RefitTask *task, KmHandle handle)
{
	const KmHost *host = evidence->fit->host;
	KmDraw		draw = *evidence->draw;
	KmMember	part;

	if (handle != 0)
		host->crew->call(host->crew->arg, KM_TASK_REFITS, handle);
	km_member_begin(&part, host, &evidence->fit->poll, &task->task);
	km_member_end(&part, measure_part(task, &part, &draw,
									&evidence->fit->space));
	if (handle != 0)
		host->crew->wait(host->crew->arg);
	return (KmStatus) atomic_load(&task->task.status);
}

KmStatus
km_evidence_stability(const KmEvidence *evidence, double *stability)
{
	const KmHost *host = evidence->fit->host;
	int			others = refit_others(evidence);
	KmHandle	handle;
	RefitTask  *task = create_task(evidence, others, &handle);
	KmStatus	status;

	if (task == NULL && others > 0)
		task = create_task(evidence, 0, &handle);
	if (task == NULL)
		return KM_NO_MEMORY;
	status = run_refits(evidence, task, handle);
	if (status == KM_OK)
		take_means(task, stability);
	km_task_free(host, task, handle);
	return status;
}
