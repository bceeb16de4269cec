/*
 * fit.c
 *		A whole fit: scale, sample, search, polish on all rows.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* rows of the sample per segment, at the least */
#define SAMPLE_PER_SEGMENT	10

/*
 * Solutions of the search whose inertia on the sample is worse than the
 * best's by more than this share are not polished: the sample's own error is
 * well below it.
 */
#define POLISH_WITHIN		0.005

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
			bound += 2 * feature->factor * feature->factor;
			spread += feature->factor * feature->factor *
				(1 - km_same_chance(feature, fit->table->nrows));
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

/* fixed point for sums of squared lengths */
static double
find_squares_scale(const KmFit *fit)
{
	double		most = 0;

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
	return km_fixed_scale((fit->space.cosine ? 1 : most) * 1.001);
}

/*
 * Sample and sum of squares of the rows; with placing != NULL rows are raw,
 * and become positions on the way.
 */
static KmStatus
place_and_sample(KmFit *fit, const void *placing, size_t size)
{
	KmSampleInput input = {fit->options.sample, fit->spread,
	find_squares_scale(fit)};
	KmRun		run = km_fit_rows_run(fit);
	KmJob		place = km_run_job(&run, &km_step_place);
	KmJob		sample = km_run_job(&run, &km_step_sample);
	KmJob	   *jobs[2] = {&place, &sample};
	KmStatus	status;

	place.input = placing;
	place.input_size = size;
	sample.input = &input;
	sample.input_size = sizeof(input);
	if (placing != NULL)
		status = km_pass_together(&fit->source, jobs, 2);
	else
		status = km_pass(&fit->source, &sample);
	if (status == KM_OK)
	{
		const KmSampling *found = sample.state;

		fit->squares = (double) found->squares / input.squares_scale;
		status = km_sample_finish(&sample, &fit->sample);
	}
	place.step->close(&place);
	sample.step->close(&sample);
	return status;
}

static KmStatus
draw_sample(KmFit *fit, int64_t want)
{
	km_sample_clear(fit->host, &fit->sample);
	return km_sample_create(&fit->source, &fit->space, &fit->poll, want,
							fit->spread, &fit->sample);
}

KmStatus
km_fit_prepare(KmFit *fit)
{
	km_report(fit->host, KM_PHASE_SAMPLE, 0, 0);
	return place_and_sample(fit, NULL, 0);
}

/* From raw rows to positions and their sample. */
static KmStatus
scale_rows(KmFit *fit, const int *const *recode)
{
	size_t		size;
	KmStatus	status;

	km_report(fit->host, KM_PHASE_SCALE, 0, 0);
	KM_TRY(km_scale_columns(&fit->source, &fit->poll, &fit->options, recode,
							&fit->space, &fit->rounding));
	fit->weight_unit = fit->rows->weighted ? fit->table->max_weight : 1;
	measure_space(fit);
	size = km_placing_size(&fit->space);
	fit->placing = km_alloc(fit->host, 1, size);
	if (fit->placing == NULL)
		return KM_NO_MEMORY;
	km_placing_write(fit->table, &fit->space, &fit->rounding, recode,
					 fit->placing);
	km_report(fit->host, KM_PHASE_SAMPLE, 0, 0);
	if (fit->source.remote != NULL)
	{
		fit->source.remote->placing = fit->placing;
		fit->source.remote->placing_size = size;
		return place_and_sample(fit, NULL, 0);
	}
	status = place_and_sample(fit, fit->placing, size);
	km_free(fit->host, fit->placing);
	fit->placing = NULL;
	return status;
}

/* remote: NULL when the rows are here */
static KmStatus
begin(KmRows *rows, KmRemote *remote, const KmOptions *options,
	  KmFeature *features, const int *const *recode, KmFit **result)
{
	const KmHost *host = rows->table.host;
	KmFit	   *fit = km_alloc_zero(host, 1, sizeof(KmFit));
	KmStatus	status;

	if (fit == NULL)
		return KM_NO_MEMORY;
	fit->host = host;
	fit->rows = rows;
	fit->table = &rows->table;
	fit->source.table = fit->table;
	fit->source.remote = remote;
	fit->options = *options;
	fit->features = features;
	fit->poll.host = host;
	fit->total = -1;
	status = km_space_create(host, features, rows->table.nfeatures,
							 rows->cosine, &fit->space);
	if (status != KM_OK)
	{
		/* the rows stay the caller's: nothing has happened to them */
		km_free(host, fit);
		return status;
	}
	status = scale_rows(fit, recode);
	if (status != KM_OK)
	{
		fit->rows = NULL;
		km_fit_free(fit);
		return status;
	}
	*result = fit;
	return KM_OK;
}

KmStatus
km_fit_begin_remote(KmRows *layout, KmRemote *remote, int64_t nrows,
					const KmOptions *options, KmFeature *features,
					KmFit **result)
{
	layout->table.nrows = nrows;
	remote->placing = NULL;
	return begin(layout, remote, options, features, NULL, result);
}

KmStatus
km_fit_begin(KmRows *rows, const KmOptions *options, KmFeature *features,
			 const int *const *recode, KmFit **result)
{
	if (rows->table.nrows == 0)
		return KM_NO_ROWS;
	return begin(rows, NULL, options, features, recode, result);
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
	km_sample_clear(fit->host, &fit->large);
	km_space_clear(&fit->space);
	if (fit->is_drawn)
		km_draw_clear(&fit->draw);
	km_free(fit->host, fit->placing);
	km_rows_free(fit->rows);
	km_free(fit->host, fit);
}

/* the sample that rows are picked from; the fit's */
static KmStatus
pick_sample(KmFit *fit, const KmSample **sample)
{
	const KmSample *own = &fit->sample;

	*sample = own;
	if (own->complete || own->distinct >= KM_PICK_SAMPLE)
		return KM_OK;
	if (fit->large.distinct == 0)
		KM_TRY(km_sample_create(&fit->source, &fit->space, &fit->poll,
								KM_PICK_SAMPLE, fit->spread, &fit->large));
	*sample = &fit->large;
	return KM_OK;
}

KmStatus
km_fit_draw(KmFit *fit, const KmDraw **draw)
{
	const KmSample *sample;

	if (!fit->is_drawn)
	{
		KM_TRY(pick_sample(fit, &sample));
		KM_TRY(km_draw_create(sample, fit->table->nrows, KM_SILHOUETTE_ROWS,
							  &fit->draw));
	}
	fit->is_drawn = true;
	*draw = &fit->draw;
	return KM_OK;
}

KmStatus
km_fit_pick(KmFit *fit, int64_t want, KmPicked *picked)
{
	const KmSample *sample;

	picked->rows = NULL;
	if (want > KM_SILHOUETTE_ROWS)
		want = KM_SILHOUETTE_ROWS;
	KM_TRY(pick_sample(fit, &sample));
	return km_pick_rows(sample, fit->table->nrows, want, picked);
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
	KM_TRY(km_lloyd_create(&fit->source, &fit->space, &fit->poll,
						   fit->options.simd, k, fit->squares, &fit->lloyd));
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

/* Distances of what fit->lloyd holds, exactly, and the inertia. */
static KmStatus
measure_solution(KmFit *fit, KmSolution *solution)
{
	Node	   *node = km_solution_node(solution);

	km_report(fit->host, KM_PHASE_MEASURE, 0, 0);
	KM_TRY(km_sum_distances(fit, node->sums));
	node->in_order = true;
	solution->inertia = km_total_inertia(fit, node->sums, solution->k);
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
	fit->lloyd.watched = fit->host;
	km_report(fit->host, KM_PHASE_IMPROVE, 0, fit->options.max_iter);
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
			if (fit->lloyd.rows.size[c] < solution->smallest)
				solution->smallest = fit->lloyd.rows.size[c];
		}
		km_copy(fit->host, solution->centers, fit->lloyd.centers,
				sizeof(double) * k * fit->space.width);
		fit->in_lloyd = solution;
	}
	return KM_OK;
}

KmStatus
km_load_solution(KmFit *fit, const KmSolution *solution)
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

/*
 * From the user's starting points, n <= k of them, to positions; those that
 * are missing are added.
 */
static KmStatus
polish_init(KmFit *fit, const double *init, int n, int k,
			KmSolution *solution)
{
	const KmSpace *space = &fit->space;
	double	   *centers = km_alloc_zero(fit->host, (size_t) k * space->width,
										sizeof(double));
	KmStatus	status = KM_OK;

	if (centers == NULL)
		return KM_NO_MEMORY;
	for (int c = 0; c < n; c++)
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
		km_poll_within(&fit->poll, 10.0 * space->width);
		for (int s = 0; s < space->nnum && space->cosine && square > 0; s++)
			to[s] /= sqrt(square);
	}
	if (n < k)
		status = km_add_centers(&fit->sample, space, &fit->poll,
								fit->options.simd, fit->options.seed,
								centers, n, k);
	if (status == KM_OK)
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
	status = km_search(&fit->sample, &fit->space, &fit->poll, &fit->options, k,
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
		weight += (double) lloyd->rows.weight[c];
	for (int j = 0; j < width; j++)
	{
		KmWide		sum = 0;
		double		unit = 0;
		double		all;

		for (int c = 0; c < lloyd->k; c++)
			sum = km_wide_add(sum, lloyd->rows.sums[(size_t) c * width + j]);
		/* from one segment to the next is far */
		km_poll_within(&fit->poll, 8.0 * lloyd->k);
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

/* From nstarts <= k points where starts is given, else by a search. */
static KmStatus
solve(KmFit *fit, int k, const double *starts, int nstarts,
	  KmSolution **solution)
{
	KM_TRY(new_solution(fit, k, solution));
	if (starts != NULL)
		return polish_init(fit, starts, nstarts, k, *solution);
	return search_and_polish(fit, k, *solution);
}

/* What is told of a solution, once it is the one. */
static KmStatus
finish(KmFit *fit, KmSolution *solution)
{
	KM_TRY(km_load_solution(fit, solution));
	KM_TRY(measure_solution(fit, solution));
	find_total(fit, solution);
	/* nothing polls after that: what was said within it is told here */
	return km_poll(&fit->poll, 0) ? KM_OK : KM_CANCELLED;
}

/* As many segments as there are different rows, at most. */
static KmStatus
limit_k(const KmFit *fit, int *k)
{
	if (!fit->sample.complete || *k <= fit->sample.distinct)
		return KM_OK;
	if (fit->options.small_is_error)
		return KM_TOO_FEW_ROWS;
	*k = (int) fit->sample.distinct;
	return KM_OK;
}

KmStatus
km_fit_run(KmFit *fit, int k, const double *init, KmSolution **result)
{
	KM_TRY(limit_k(fit, &k));
	KM_TRY(solve(fit, k, init, k, result));
	return finish(fit, *result);
}

KmStatus
km_fit_continue(KmFit *fit, int k, const double *starts, int nstarts,
				KmSolution **result)
{
	KmSolution *solution;

	KM_TRY(limit_k(fit, &k));
	KM_TRY(solve(fit, k, NULL, 0, result));
	if (nstarts <= k)
	{
		KM_TRY(solve(fit, k, starts, nstarts, &solution));
		if ((*result)->inertia >= solution->inertia * (1 - KM_CONTINUE_MARGIN))
			*result = solution;
	}
	return finish(fit, *result);
}

double
km_fit_total(const KmFit *fit)
{
	return fit->total;
}
