/*
 * fit.c
 *		A whole fit: scale, sample, search, polish on all rows, number.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "km_internal.h"

/* rows of the sample per segment, at the least */
#define SAMPLE_PER_SEGMENT	10

/*
 * Solutions of the search whose inertia on the sample is worse than the
 * best's by more than this share are not polished: the sample's own error is
 * well below it.
 */
#define POLISH_WITHIN		0.005

/* rounds of numbering until no tie changes hands (see number_segments) */
#define NUMBER_ROUNDS		10

/*
 * A sum in fixed point of 123 bits: with 61, the others' squared distances
 * would be nothing beside the reach of one row far away.
 */
typedef struct FixedSum
{
	KmWide		high;			/* of whole parts */
	KmWide		low;			/* of fractions, in units of 2^-62 */
} FixedSum;

/* Distances in a segment. */
typedef struct SegmentSums
{
	FixedSum	square;			/* weighted squared distances */
	FixedSum	plain;			/* squared distances, each row once */
	KmWide		way;			/* distances, each row once */
} SegmentSums;

/* A solution, and what only the fit knows of it. */
typedef struct Node
{
	KmSolution	solution;		/* first: the caller sees this */
	SegmentSums *sums;			/* k of them */
	struct Node *next;
} Node;

struct KmFit
{
	const KmHost *host;
	KmRows	   *rows;
	KmTable    *table;
	KmOptions	options;
	KmFeature  *features;
	KmSpace		space;
	KmPoll		poll;
	KmNearest	nearest;
	KmSample	sample;
	double		spread;			/* what the sample was drawn with */
	double		bound;			/* no squared distance is above it */
	double		squares;		/* weighted sum of squared positions */
	double		weight_unit;	/* what an integer weight of 1 is worth */
	double		total;			/* inertia of one segment; < 0: not known yet */
	KmLloyd		lloyd;			/* on all rows */
	int			lloyd_k;		/* that it has room for; 0: none */
	const KmSolution *in_lloyd; /* whose rows and centers it holds */
	Node	   *nodes;			/* all solutions, newest first */
};

void
km_options_default(KmOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->scale = KM_ZSCORE;
	options->distance = KM_EUCLIDEAN;
	options->clip_low = 0;
	options->clip_high = 1;
	options->sample = 20000;
	options->max_iter = 300;
	options->order_by = -1;
	options->simd = KM_SIMD_AUTO;
}

/* ---- sums over all rows that need no centers ---- */

/*
 * Largest possible squared distance, and the mean squared distance from the
 * mean, from the columns' statistics alone.
 */
static void
measure_space(KmFit *fit)
{
	double		bound = 0;
	double		spread = 0;

	for (int f = 0; f < fit->space.nfeatures; f++)
	{
		const KmFeature *feature = &fit->features[f];
		double		side;
		double		deviation;

		if (feature->kind == KM_CATEGORY)
		{
			double		same = 0;

			for (int v = 0; v < feature->ncategories; v++)
			{
				double		p = (double) feature->counts[v] /
					(double) fit->table->nrows;

				same += p * p;
			}
			bound += 2 * feature->factor * feature->factor;
			spread += feature->factor * feature->factor * (1 - same);
			continue;
		}
		side = km_position_raw(feature, feature->max) -
			km_position_raw(feature, feature->min);
		deviation = feature->sd / feature->divisor * feature->factor;
		bound += side * side;
		spread += deviation * deviation;
	}
	if (fit->space.cosine)
	{
		/* rows on the unit sphere: their spread is not in the columns */
		bound = 4;
		spread = 0;
	}
	/* positions are rounded: leave room */
	fit->bound = bound * 1.001;
	fit->spread = spread;
}

/* Weighted sum of squared positions, in fixed point: any order, same bits. */
static KmStatus
sum_squares(KmFit *fit)
{
	const KmTable *table = fit->table;
	double		most = 0;
	double		scale;
	KmWide		sum = 0;

	for (int f = 0; f < fit->space.nfeatures; f++)
	{
		const KmFeature *feature = &fit->features[f];
		double		a = 0;
		double		b = 0;

		if (feature->kind == KM_CATEGORY)
			a = feature->factor;
		else if (!fit->space.cosine)
		{
			a = fabs(km_position_raw(feature, feature->min));
			b = fabs(km_position_raw(feature, feature->max));
		}
		a = a > b ? a : b;
		most += a * a;
	}
	scale = km_fixed_scale((fit->space.cosine ? 1 : most) * 1.001);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			nrows = km_tile_rows(block, t);
			double		square[KM_LANES] = {0};

			for (int s = 0; s < fit->space.nnum; s++)
			{
				for (int l = 0; l < KM_LANES; l++)
					square[l] += tile[s * KM_LANES + l] * tile[s * KM_LANES + l];
			}
			for (int f = 0; f < fit->space.ncat; f++)
			{
				for (int l = 0; l < KM_LANES; l++)
					square[l] += fit->space.factor[f] * fit->space.factor[f];
			}
			for (int l = 0; l < nrows; l++)
			{
				int64_t		fixed = (int64_t) (square[l] * scale);

				sum += table->weight_slot < 0 ? fixed : (KmWide) fixed *
					(int64_t) tile[table->weight_slot * KM_LANES + l];
			}
		}
		if (!km_poll(&fit->poll, (double) block->nrows * table->nslots))
			return KM_CANCELLED;
	}
	fit->squares = (double) sum / scale;
	return KM_OK;
}

static KmStatus
draw_sample(KmFit *fit, int64_t want)
{
	km_sample_clear(fit->host, &fit->sample);
	return km_sample_create(fit->table, &fit->space, want, fit->spread,
							&fit->sample);
}

KmStatus
km_fit_begin(KmRows *rows, const KmOptions *options, KmFeature *features,
			 const int *const *recode, KmFit **result)
{
	const KmHost *host = rows->table.host;
	KmFit	   *fit;
	KmStatus	status;

	if (rows->table.nrows == 0)
		return KM_NO_ROWS;
	fit = km_alloc_zero(host, 1, sizeof(KmFit));
	if (fit == NULL)
		return KM_NO_MEMORY;
	fit->host = host;
	fit->rows = rows;
	fit->table = &rows->table;
	fit->options = *options;
	fit->features = features;
	fit->poll.host = host;
	fit->nearest = km_nearest_kernel(options->simd);
	fit->total = -1;
	status = km_space_create(host, features, rows->table.nfeatures,
							 rows->cosine, &fit->space);
	if (status != KM_OK)
	{
		/* the rows stay the caller's: nothing has happened to them */
		km_free(host, fit);
		return status;
	}
	status = km_scale_table(&rows->table, options, features, recode,
							&fit->space);
	if (status == KM_OK)
	{
		fit->weight_unit = rows->weighted ? rows->table.max_weight : 1;
		measure_space(fit);
		status = sum_squares(fit);
	}
	if (status == KM_OK)
		status = draw_sample(fit, options->sample);
	if (status != KM_OK)
	{
		fit->rows = NULL;
		km_fit_free(fit);
		return status;
	}
	*result = fit;
	return KM_OK;
}

void
km_fit_free(KmFit *fit)
{
	Node	   *next;

	if (fit == NULL)
		return;
	for (Node *node = fit->nodes; node != NULL; node = next)
	{
		next = node->next;
		km_free(fit->host, node->solution.centers);
		km_free(fit->host, node->sums);
		km_free(fit->host, node);
	}
	km_lloyd_free(&fit->lloyd);
	km_sample_clear(fit->host, &fit->sample);
	km_space_clear(&fit->space);
	km_rows_free(fit->rows);
	km_free(fit->host, fit);
}

int64_t
km_fit_distinct(const KmFit *fit)
{
	return fit->sample.complete ? fit->sample.distinct : -1;
}

int64_t
km_fit_rows(const KmFit *fit)
{
	return fit->table->nrows;
}

int
km_fit_width(const KmFit *fit)
{
	return fit->space.width;
}

/* ---- inertia and distances in segments ---- */

/* squared distance of each lane to its own center */
static void
own_distances(const KmFit *fit, const double *tile, int nrows,
			  const uint16_t *own, double *square)
{
	const KmSpace *space = &fit->space;

	for (int l = 0; l < nrows; l++)
	{
		const double *center = fit->lloyd.packed.numeric +
			(size_t) own[l] * space->nnum;
		double		d = 0;

		for (int s = 0; s < space->nnum; s++)
		{
			double		e = tile[s * KM_LANES + l] - center[s];

			d += e * e;
		}
		for (int f = 0; f < space->ncat; f++)
			d += fit->lloyd.packed.tables[f]
				[(size_t) tile[(space->nnum + f) * KM_LANES + l] *
				 fit->lloyd.packed.stride + own[l]];
		square[l] = d;
	}
}

static inline void
add_fixed(FixedSum *sum, int64_t whole, int64_t fraction, int64_t weight)
{
	sum->high += (KmWide) whole * weight;
	sum->low += (KmWide) fraction * weight;
}

static double
fixed_value(const FixedSum *sum)
{
	KmWide		carry = sum->low >> 62;

	return (double) (sum->high + carry) +
		(double) (sum->low - (carry << 62)) * 0x1p-62;
}

/* Over all rows with the centers and segments in fit->lloyd; sums: k of them. */
static KmStatus
sum_distances(KmFit *fit, SegmentSums *sums)
{
	const KmTable *table = fit->table;
	double		scale = km_fixed_scale(fit->bound);
	double		root_scale = km_fixed_scale(sqrt(fit->bound));

	memset(sums, 0, sizeof(SegmentSums) * fit->lloyd.k);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			nrows = km_tile_rows(block, t);
			const uint16_t *own = fit->lloyd.own + block->first + t * KM_LANES;
			double		square[KM_LANES];

			own_distances(fit, tile, nrows, own, square);
			for (int l = 0; l < nrows; l++)
			{
				double		scaled = square[l] * scale;
				int64_t		whole = (int64_t) scaled;
				int64_t		fraction = (int64_t)
					((scaled - (double) whole) * 0x1p62);
				SegmentSums *to = &sums[own[l]];

				add_fixed(&to->plain, whole, fraction, 1);
				add_fixed(&to->square, whole, fraction,
						  table->weight_slot < 0 ? 1 :
						  (int64_t) tile[table->weight_slot * KM_LANES + l]);
				to->way += (int64_t) (sqrt(square[l]) * root_scale);
			}
		}
		if (!km_poll(&fit->poll, (double) block->nrows * (table->nslots + 8)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* ---- running ---- */

/* Room for k segments on all rows. */
static KmStatus
prepare_lloyd(KmFit *fit, int k)
{
	if (fit->lloyd_k >= k)
		return KM_OK;
	km_lloyd_free(&fit->lloyd);
	fit->lloyd_k = 0;
	fit->in_lloyd = NULL;
	KM_TRY(km_lloyd_create(fit->table, &fit->space, &fit->poll, fit->nearest,
						   k, fit->squares, &fit->lloyd));
	fit->lloyd_k = k;
	return KM_OK;
}

static KmStatus
new_solution(KmFit *fit, int k, KmSolution **result)
{
	Node	   *node = km_alloc_zero(fit->host, 1, sizeof(Node));
	KmSolution *solution;

	if (node == NULL)
		return KM_NO_MEMORY;
	solution = &node->solution;
	solution->centers = km_alloc(fit->host, (size_t) k * fit->space.width,
								 sizeof(double));
	node->sums = km_alloc(fit->host, k, sizeof(SegmentSums));
	if (solution->centers == NULL || node->sums == NULL)
	{
		km_free(fit->host, solution->centers);
		km_free(fit->host, node->sums);
		km_free(fit->host, node);
		return KM_NO_MEMORY;
	}
	node->next = fit->nodes;
	fit->nodes = node;
	solution->k = k;
	solution->inertia = INFINITY;
	*result = solution;
	return KM_OK;
}

static Node *
solution_node(const KmSolution *solution)
{
	return (Node *) solution;
}

/* of k segments, in the user's unit of weight */
static double
total_inertia(const KmFit *fit, const SegmentSums *sums, int k)
{
	FixedSum	total = {0, 0};

	for (int c = 0; c < k; c++)
	{
		total.high += sums[c].square.high;
		total.low += sums[c].square.low;
	}
	return fixed_value(&total) / km_fixed_scale(fit->bound) *
		fit->weight_unit;
}

/* Distances of what fit->lloyd holds, exactly, and the inertia. */
static KmStatus
measure_solution(KmFit *fit, KmSolution *solution)
{
	Node	   *node = solution_node(solution);

	KM_TRY(sum_distances(fit, node->sums));
	solution->inertia = total_inertia(fit, node->sums, solution->k);
	return KM_OK;
}

/*
 * Lloyd on all rows; into the solution if it is better than what is there.
 * "better" is judged by the sums, which is good to 1e-15 of the total.
 */
static KmStatus
polish(KmFit *fit, const double *centers, int k, KmSolution *solution)
{
	int			iterations;
	bool		converged;
	double		inertia;

	KM_TRY(prepare_lloyd(fit, k));
	fit->in_lloyd = NULL;
	km_lloyd_start(&fit->lloyd, centers, k);
	KM_TRY(km_lloyd_run(&fit->lloyd, fit->options.max_iter, fit->options.tol,
						INFINITY, &iterations, &converged));
	inertia = km_lloyd_inertia(&fit->lloyd);
	if (inertia < solution->inertia)
	{
		solution->inertia = inertia;
		solution->iterations = iterations;
		solution->converged = converged;
		solution->smallest = fit->table->nrows;
		for (int c = 0; c < k; c++)
		{
			if (fit->lloyd.size[c] < solution->smallest)
				solution->smallest = fit->lloyd.size[c];
		}
		memcpy(solution->centers, fit->lloyd.centers,
			   sizeof(double) * k * fit->space.width);
		fit->in_lloyd = solution;
	}
	return KM_OK;
}

/* Make fit->lloyd hold the solution. */
static KmStatus
load_solution(KmFit *fit, const KmSolution *solution)
{
	int64_t		moved;

	if (fit->in_lloyd == solution)
		return KM_OK;
	KM_TRY(prepare_lloyd(fit, solution->k));
	fit->in_lloyd = NULL;
	km_lloyd_start(&fit->lloyd, solution->centers, solution->k);
	KM_TRY(km_lloyd_assign(&fit->lloyd, false, &moved));
	fit->in_lloyd = solution;
	return KM_OK;
}

/* From the user's starting points to positions. */
static KmStatus
polish_init(KmFit *fit, const double *init, int k, KmSolution *solution)
{
	const KmSpace *space = &fit->space;
	double	   *centers = km_alloc_zero(fit->host, (size_t) k * space->width,
										sizeof(double));
	KmStatus	status;

	if (centers == NULL)
		return KM_NO_MEMORY;
	for (int c = 0; c < k; c++)
	{
		const double *from = init + (size_t) c * space->width;
		double	   *to = centers + (size_t) c * space->width;
		double		square = 0;

		for (int f = 0; f < space->nfeatures; f++)
		{
			const KmFeature *feature = &fit->features[f];
			int			slot = space->slot[f];

			if (feature->kind != KM_CATEGORY)
			{
				to[slot] = km_position_raw(feature, *from++);
				square += to[slot] * to[slot];
				continue;
			}
			for (int v = 0; v < feature->ncategories; v++)
				to[space->offset[slot - space->nnum] + v] =
					feature->factor * *from++;
		}
		for (int s = 0; s < space->nnum && space->cosine && square > 0; s++)
			to[s] /= sqrt(square);
	}
	status = polish(fit, centers, k, solution);
	km_free(fit->host, centers);
	return status;
}

/* The best solution known for fewer segments, to build on. */
static const KmSolution *
previous_solution(const KmFit *fit, int k)
{
	const KmSolution *best = NULL;

	for (const Node *node = fit->nodes; node != NULL; node = node->next)
	{
		const KmSolution *s = &node->solution;

		if (s->k < k && isfinite(s->inertia) &&
			(best == NULL || s->k > best->k))
			best = s;
	}
	return best;
}

static KmStatus
search_and_polish(KmFit *fit, int k, KmSolution *solution)
{
	const KmSolution *previous = previous_solution(fit, k);
	KmPool		pool;
	KmStatus	status;

	if (!fit->sample.complete &&
		fit->sample.distinct < (int64_t) k * SAMPLE_PER_SEGMENT)
		KM_TRY(draw_sample(fit, (int64_t) k * SAMPLE_PER_SEGMENT));
	KM_TRY(km_pool_create(&fit->space, k, &pool));
	status = km_search(&fit->sample, &fit->space, &fit->poll, fit->nearest,
					   &fit->options, k,
					   previous == NULL ? NULL : previous->centers,
					   previous == NULL ? 0 : previous->k, &pool);
	for (int i = 0; i < pool.n && status == KM_OK; i++)
	{
		if (pool.inertia[i] <= pool.inertia[0] * (1 + POLISH_WITHIN))
			status = polish(fit, pool.centers[i], k, solution);
	}
	km_pool_clear(&fit->space, &pool);
	return status;
}

/*
 * Inertia of all rows as one segment.  Its sums are those of any segments
 * taken together; one segment's own inertia is the same to the last bits, and
 * then that is the one to tell.
 */
static void
find_total(KmFit *fit, const KmSolution *solution)
{
	const KmLloyd *lloyd = &fit->lloyd;
	int			width = fit->space.width;
	double		weight = 0;
	double		between = 0;

	if (solution->k == 1)
		fit->total = solution->inertia;
	if (fit->total >= 0)
		return;
	for (int c = 0; c < lloyd->k; c++)
		weight += (double) lloyd->weight[c];
	for (int j = 0; j < width; j++)
	{
		KmWide		sum = 0;
		double		unit = 0;
		double		all;

		for (int c = 0; c < lloyd->k; c++)
			sum += lloyd->sums[(size_t) c * width + j];
		if (j < fit->space.nnum)
			unit = fit->space.unit[j];
		for (int f = 0; f < fit->space.ncat; f++)
		{
			if (j >= fit->space.offset[f])
				unit = fit->space.factor[f];
		}
		all = (double) sum * unit;
		between += all * all;
	}
	fit->total = (fit->squares - between / weight) * fit->weight_unit;
	if (fit->total < solution->inertia)
		fit->total = solution->inertia;
}

KmStatus
km_fit_run(KmFit *fit, int k, const double *init, KmSolution **result)
{
	KmSolution *solution;

	if (fit->sample.complete && k > fit->sample.distinct)
	{
		if (fit->options.small_is_error)
			return KM_TOO_FEW_ROWS;
		k = (int) fit->sample.distinct;
	}
	KM_TRY(new_solution(fit, k, &solution));
	if (init != NULL)
		KM_TRY(polish_init(fit, init, k, solution));
	else
		KM_TRY(search_and_polish(fit, k, solution));
	KM_TRY(load_solution(fit, solution));
	KM_TRY(measure_solution(fit, solution));
	find_total(fit, solution);
	*result = solution;
	return KM_OK;
}

double
km_fit_total(const KmFit *fit)
{
	return fit->total;
}

/* ---- from a solution to a model ---- */

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
		ranks[c].size = lloyd->size[c];
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
	if (*moved == 0 || !converged)
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
	SegmentSums *sums = solution_node(solution)->sums;
	int			k = solution->k;
	Rank	   *ranks = km_alloc(fit->host, k, sizeof(Rank));
	int		   *order = km_alloc(fit->host, k, sizeof(int));
	SegmentSums *sorted = km_alloc(fit->host, k, sizeof(SegmentSums));
	bool		fresh = fit->in_lloyd == solution;
	KmStatus	status = ranks == NULL || order == NULL || sorted == NULL ?
		KM_NO_MEMORY : load_solution(fit, solution);
	int64_t		moved = 0;

	/* sums may be in the order of an earlier numbering */
	if (status == KM_OK && !fresh)
		status = sum_distances(fit, sums);
	/* from here on it is numbered differently from the solution */
	fit->in_lloyd = NULL;
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
		if (status == KM_OK && moved > 0)
			status = sum_distances(fit, sums);
	}
	km_free(fit->host, ranks);
	km_free(fit->host, order);
	km_free(fit->host, sorted);
	return status;
}

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
		double		n = lloyd->size[c] > 0 ? (double) lloyd->size[c] : 1;
		double		mean = (double) sums[c].way / root_scale / n;
		double		square = fixed_value(&sums[c].plain) / scale / n;
		double		variance = square - mean * mean;

		segment->size = lloyd->size[c];
		segment->weight = (double) lloyd->weight[c] * fit->weight_unit;
		segment->inertia = fixed_value(&sums[c].square) / scale *
			fit->weight_unit;
		segment->reach = mean + 3 * sqrt(variance > 0 ? variance : 0);
	}
	model->inertia = total_inertia(fit, sums, lloyd->k);
	return KM_OK;
}

/* cosine: means of the rows as they were before they got length 1 */
static KmStatus
sum_means(KmFit *fit, KmModel *model)
{
	const KmTable *table = fit->table;
	size_t		cells = (size_t) fit->lloyd.k * fit->space.width;
	KmWide	   *sums = km_alloc_zero(fit->host, cells, sizeof(KmWide));
	double		longest = 0;
	double		scale;

	model->means = km_alloc_zero(fit->host, cells, sizeof(double));
	if (sums == NULL || model->means == NULL)
	{
		km_free(fit->host, sums);
		return KM_NO_MEMORY;
	}
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
			longest = fmax(longest, km_tile(table, block, i / KM_LANES)
						   [table->length_slot * KM_LANES + i % KM_LANES]);
	}
	scale = km_fixed_scale(longest * 1.001);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			const double *lane = km_tile(table, block, i / KM_LANES) +
				i % KM_LANES;
			double		length = lane[table->length_slot * KM_LANES];
			KmWide	   *to = sums + (size_t) fit->lloyd.own[block->first + i] *
				fit->space.width;
			int64_t		weight = table->weight_slot < 0 ? 1 :
				(int64_t) lane[table->weight_slot * KM_LANES];

			for (int s = 0; s < fit->space.nnum; s++)
				to[s] += (KmWide) (int64_t) (lane[s * KM_LANES] * length *
											 scale) * weight;
		}
		if (!km_poll(&fit->poll, (double) block->nrows * table->nslots * 2))
		{
			km_free(fit->host, sums);
			return KM_CANCELLED;
		}
	}
	for (int c = 0; c < fit->lloyd.k; c++)
	{
		for (int f = 0; f < fit->space.nfeatures; f++)
			model->means[(size_t) c * fit->space.width + f] =
				(double) sums[(size_t) c * fit->space.width +
							  fit->space.slot[f]] /
				scale / (double) fit->lloyd.weight[c];
	}
	km_free(fit->host, sums);
	return KM_OK;
}

/* centers in the order of features, which the model has, from slots */
static void
order_centers(const KmFit *fit, double *centers)
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
	KM_TRY(describe_segments(fit, solution_node(solution)->sums, model));
	if (fit->space.cosine)
		KM_TRY(sum_means(fit, model));
	return KM_OK;
}

/* ---- scores of the fitted rows ---- */

KmStatus
km_fit_score(KmFit *fit, const KmPredictor *predictor,
			 void (*emit) (void *arg, const KmScore *score), void *arg)
{
	const KmTable *table = fit->table;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			KmScore		score;

			km_score_position(predictor, km_tile(table, block, i / KM_LANES) +
							  i % KM_LANES, KM_LANES, &score);
			emit(arg, &score);
			if (!km_poll(&fit->poll, 4.0 * fit->lloyd.k * table->nfeatures))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}
