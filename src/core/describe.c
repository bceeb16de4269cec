/*
 * describe.c
 *		From a solution to a model: numbers for the segments, what is in them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

/* rounds of numbering until no tie changes hands (see number_segments) */
#define NUMBER_ROUNDS		10

/* ---- numbers ---- */

typedef struct Rank
{
	int64_t		size;
	double		first;			/* what order_by looks at */
	const double *center;
	int			width;
	int			segment;
} Rank;

static int
compare_ranks(const void *a, const void *b)
{
	const Rank *x = a;
	const Rank *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	for (int j = 0; j < x->width; j++)
	{
		if (x->center[j] != y->center[j])
			return x->center[j] < y->center[j] ? -1 : 1;
	}
	return x->segment - y->segment;
}

/* order[c]: number that segment c of fit->lloyd ought to have.  True: c. */
static bool
rank_segments(const KmFit *fit, Rank *ranks, int *order)
{
	const KmLloyd *lloyd = &fit->lloyd;
	size_t		width = (size_t) fit->space.width;
	bool		in_order = true;

	for (int c = 0; c < lloyd->k; c++)
	{
		ranks[c].center = lloyd->centers + c * width;
		ranks[c].width = (int) width;
		ranks[c].size = lloyd->rows.size[c];
		ranks[c].segment = c;
		ranks[c].first = fit->options.order_by < 0 ? 0 :
			ranks[c].center[fit->space.slot[fit->options.order_by]];
	}
	qsort(ranks, lloyd->k, sizeof(Rank), compare_ranks);
	for (int c = 0; c < lloyd->k; c++)
	{
		order[ranks[c].segment] = c;
		in_order &= ranks[c].segment == c;
	}
	return in_order;
}

/* After renumbering: rows at equal distance follow, Lloyd goes on if so. */
static KmStatus
settle_ties(KmFit *fit, bool converged, int64_t *moved)
{
	int			iterations;

	KM_TRY(km_lloyd_assign(&fit->lloyd, true, moved));
	if (!fit->lloyd.changed || !converged)
		return KM_OK;
	KM_TRY(km_lloyd_update(&fit->lloyd));
	return km_lloyd_run(&fit->lloyd, fit->options.max_iter, fit->options.tol,
						INFINITY, &iterations, &converged);
}

/*
 * Give the segments their numbers.  A row at equal distance from two centers
 * belongs to the lower number, so numbering can make rows change hands, and
 * then sizes, centers and numbers follow; this goes on until nothing moves.
 * The sums of the node follow the numbers.
 */
static KmStatus
number_segments(KmFit *fit, const KmSolution *solution)
{
	Node	   *node = km_solution_node(solution);
	SegmentSums *sums = node->sums;
	int			k = solution->k;
	Rank	   *ranks = km_alloc(fit->host, k, sizeof(Rank));
	int		   *order = km_alloc(fit->host, k, sizeof(int));
	SegmentSums *sorted = km_alloc(fit->host, k, sizeof(SegmentSums));
	KmStatus	status = ranks == NULL || order == NULL || sorted == NULL ?
		KM_NO_MEMORY : km_load_solution(fit, solution);
	int64_t		moved = 0;

	/* sums may be in the order of an earlier numbering */
	if (status == KM_OK && !node->in_order)
		status = km_sum_distances(fit, sums);
	/* from here on it is numbered differently from the solution */
	fit->in_lloyd = NULL;
	node->in_order = false;
	for (int round = 0; status == KM_OK && round < NUMBER_ROUNDS; round++)
	{
		if (rank_segments(fit, ranks, order))
			break;
		status = km_lloyd_renumber(&fit->lloyd, order);
		for (int c = 0; c < k; c++)
			sorted[order[c]] = sums[c];
		memcpy(sums, sorted, sizeof(SegmentSums) * k);
		if (status == KM_OK)
			status = settle_ties(fit, solution->converged, &moved);
		if (status == KM_OK && moved != 0)
			status = km_sum_distances(fit, sums);
	}
	km_free(fit->host, ranks);
	km_free(fit->host, order);
	km_free(fit->host, sorted);
	return status;
}

/* ---- descriptions ---- */

/* Sizes, inertia and reach of the segments in fit->lloyd. */
static KmStatus
describe_segments(KmFit *fit, const SegmentSums *sums, KmModel *model)
{
	KmLloyd    *lloyd = &fit->lloyd;
	double		scale = km_fixed_scale(fit->bound);
	double		root_scale = km_fixed_scale(sqrt(fit->bound));

	model->segments = km_alloc_zero(fit->host, lloyd->k, sizeof(KmSegment));
	if (model->segments == NULL)
		return KM_NO_MEMORY;
	for (int c = 0; c < lloyd->k; c++)
	{
		KmSegment  *segment = &model->segments[c];
		double		n = lloyd->rows.size[c] > 0 ? (double) lloyd->rows.size[c] : 1;
		double		mean = (double) sums[c].way / root_scale / n;
		double		square = km_fixed_value(&sums[c].plain) / scale / n;
		double		variance = square - mean * mean;

		segment->size = lloyd->rows.size[c];
		segment->weight = (double) lloyd->rows.weight[c] * fit->weight_unit;
		segment->inertia = km_fixed_value(&sums[c].square) / scale *
			fit->weight_unit;
		segment->reach = mean + 3 * sqrt(variance > 0 ? variance : 0);
	}
	model->inertia = km_total_inertia(fit, sums, lloyd->k);
	km_model_number(model);
	return KM_OK;
}

/* cosine: means of the rows as they were before they got length 1 */
static KmStatus
sum_means(KmFit *fit, KmModel *model)
{
	const KmLloyd *lloyd = &fit->lloyd;
	size_t		width = (size_t) fit->space.width;
	size_t		cells = (size_t) lloyd->k * width;
	KmWide	   *sums = km_alloc_zero(fit->host, cells, sizeof(KmWide));
	KmRun		run = km_fit_rows_run(fit);
	double		longest;
	double		scale = 1;
	KmStatus	status = KM_NO_MEMORY;

	model->means = km_alloc_zero(fit->host, cells, sizeof(double));
	if (sums != NULL && model->means != NULL)
		status = km_find_extent(&run, 0, NULL, NULL, &longest, NULL, NULL);
	if (status == KM_OK)
	{
		scale = km_fixed_scale(longest * 1.001);
		status = km_sum_long_rows(&run, lloyd->k, lloyd->centers, scale, sums);
	}
	for (int c = 0; c < lloyd->k && status == KM_OK; c++)
	{
		for (int f = 0; f < fit->space.nfeatures; f++)
			model->means[c * width + f] = (double)
				sums[c * width + fit->space.slot[f]] / scale /
				(double) lloyd->rows.weight[c];
	}
	km_free(fit->host, sums);
	return status;
}

/* centers in the order of features, which the model has, from slots */
static void
order_centers(KmFit *fit, double *centers)
{
	const KmSpace *space = &fit->space;

	for (int c = 0; c < fit->lloyd.k; c++)
	{
		const double *from = fit->lloyd.centers + (size_t) c * space->width;
		double	   *to = centers + (size_t) c * space->width;

		for (int f = 0; f < space->nfeatures; f++)
		{
			int			slot = space->slot[f];
			int			first = slot < space->nnum ? slot :
				space->offset[slot - space->nnum];
			int			n = slot < space->nnum ? 1 :
				space->ncategories[slot - space->nnum];

			/* adding zero: -0 would not survive JSON */
			for (int j = 0; j < n; j++)
				*to++ = from[first + j] + 0.0;
		}
		km_poll_within(&fit->poll, 4.0 * space->width);
	}
}

KmStatus
km_fit_model(KmFit *fit, const KmSolution *solution, KmModel *model)
{
	memset(model, 0, sizeof(*model));
	KM_TRY(number_segments(fit, solution));
	model->scale = fit->options.scale;
	model->distance = fit->options.distance;
	model->fill_nulls = fit->options.fill_nulls;
	model->converged = solution->converged;
	model->k = solution->k;
	model->nfeatures = fit->space.nfeatures;
	model->width = fit->space.width;
	model->iterations = solution->iterations;
	model->seed = fit->options.seed;
	model->rows = fit->table->nrows;
	model->total = fit->total;
	model->features = fit->features;
	model->centers = km_alloc(fit->host, (size_t) model->k * model->width,
							  sizeof(double));
	if (model->centers == NULL)
		return KM_NO_MEMORY;
	order_centers(fit, model->centers);
	KM_TRY(describe_segments(fit, km_solution_node(solution)->sums, model));
	if (fit->space.cosine)
		KM_TRY(sum_means(fit, model));
	/* passes over rows that are elsewhere do not poll: what order_centers()
	 * was told is told here */
	return km_poll(&fit->poll, 0) ? KM_OK : KM_CANCELLED;
}

/* ---- scores of the fitted rows ---- */

typedef struct Scoring
{
	KmFit	   *fit;
	const KmPredictor *predictor;
	void		(*emit) (void *arg, const KmScore *score);
	void	   *arg;
} Scoring;

static KmStatus
score_block(void *arg, const KmBlock *block)
{
	Scoring    *scoring = arg;
	KmFit	   *fit = scoring->fit;

	for (int i = 0; i < block->nrows; i++)
	{
		KmScore		score;

		km_score_position(scoring->predictor,
						  km_cell(fit->table, block, i, 0), KM_LANES,
						  &score);
		scoring->emit(scoring->arg, &score);
		if (!km_poll(&fit->poll, 4.0 * fit->lloyd.k * fit->table->nfeatures))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_fit_score(KmFit *fit, const KmPredictor *predictor,
			 void (*emit) (void *arg, const KmScore *score), void *arg)
{
	Scoring		scoring = {fit, predictor, emit, arg};

	return km_read_blocks(fit->table, score_block, &scoring);
}
