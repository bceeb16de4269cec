/*
 * quality.c
 *		How good a segmentation is, over all rows: inertia, Davies-Bouldin,
 *		Calinski-Harabasz; and all measures of a query's rows under a model.
 *
 * The definitions are scikit-learn's, of positions and segments: every row
 * counts once, and a segment's centroid is the mean of its rows, whatever its
 * center is.  Sums over rows are sums of integers; what is computed from them
 * runs over the segments in their order.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* a smaller bound's fixed point would leave double's range */
#define BOUND_MIN		0x1p-900

/* Segments by their rows. */
typedef struct Means
{
	int			k;
	KmWide	   *sums;			/* k x width: positions in units, counts */
	int64_t    *size;			/* rows of each segment */
	double	   *units;			/* of the sums, per numeric slot */
	bool		wide;			/* positions take more than 62 bits of them */
	double	   *centroids;		/* k x width */
	double	   *mean;			/* of all rows: width */
	double	   *spread;			/* mean distance of each segment's rows to
								 * their centroid */
} Means;

/* What both measures come from. */
typedef struct Scatter
{
	const KmSpace *space;
	KmPoll	   *poll;
	const Means *means;
	const SegmentSums *sums;	/* each segment's distances to centroids */
	const FixedScale *scales;	/* that they were summed with: each segment's
								 * own, or with step 0 one for all */
	int			step;
} Scatter;

/* ---- means ---- */

static KmStatus
create_means(const KmSpace *space, int k, Means *means)
{
	const KmHost *host = space->host;
	size_t		cells = (size_t) k * space->width;

	memset(means, 0, sizeof(*means));
	means->k = k;
	means->sums = km_alloc_zero(host, cells, sizeof(KmWide));
	means->size = km_alloc_zero(host, k, sizeof(int64_t));
	means->units = km_alloc(host, space->nnum, sizeof(double));
	means->centroids = km_alloc_zero(host, cells, sizeof(double));
	means->mean = km_alloc_zero(host, space->width, sizeof(double));
	means->spread = km_alloc_zero(host, k, sizeof(double));
	return means->sums == NULL || means->size == NULL ||
		means->units == NULL || means->centroids == NULL ||
		means->mean == NULL || means->spread == NULL ? KM_NO_MEMORY : KM_OK;
}

static void
free_means(const KmHost *host, Means *means)
{
	km_free(host, means->sums);
	km_free(host, means->size);
	km_free(host, means->units);
	km_free(host, means->centroids);
	km_free(host, means->mean);
	km_free(host, means->spread);
}

/*
 * Units that the positions of each slot are summed in: the grid's, on which
 * sums are exact.  Positions beyond 2^60 units are a thousand times farther
 * out than any of the fit's, and take wider integers; beyond 2^90 there is
 * nothing left of the fit's digits to keep.
 */
static KmStatus
choose_units(KmRun *run, Means *means)
{
	const KmSpace *space = run->space;
	double	   *largest = means->units;

	KM_TRY(km_find_extent(run, 0, NULL, NULL, NULL, largest, NULL));
	for (int s = 0; s < space->nnum; s++)
	{
		double		most = largest[s] * space->scale[s];

		means->wide |= !(most < 0x1p60);
		means->units[s] = most < 0x1p90 ? space->unit[s] :
			0x1p-30 / km_fixed_scale(largest[s]);
	}
	return KM_OK;
}

/* Centroids and the mean of all from the sums; the sums become the total. */
static KmStatus
compute_centroids(const KmSpace *space, KmPoll *poll, Means *means)
{
	size_t		width = (size_t) space->width;
	int64_t		rows = 0;

	for (int c = 0; c < means->k; c++)
	{
		if (means->size[c] > 0)
			km_mean_center(space, means->units, means->sums + c * width,
						   means->size[c], means->centroids + c * width);
		rows += means->size[c];
		/* divisions of 128 bits; then from memory */
		if (!km_poll(poll, 20.0 * (double) width))
			return KM_CANCELLED;
	}
	for (int c = 1; c < means->k; c++)
	{
		for (size_t j = 0; j < width; j++)
			means->sums[j] = km_wide_add(means->sums[j],
										 means->sums[c * width + j]);
		if (!km_poll(poll, 4.0 * (double) width))
			return KM_CANCELLED;
	}
	km_mean_center(space, means->units, means->sums, rows, means->mean);
	return KM_OK;
}

/* centers: whose rows the means are of */
static KmStatus
find_means(KmRun *run, const double *centers, Means *means)
{
	KM_TRY(choose_units(run, means));
	KM_TRY(km_sum_rows(run, means->k, centers, means->units, means->wide,
					   means->sums, means->size));
	return compute_centroids(run->space, run->poll, means);
}

/* ---- measures ---- */

static double
squared_distance(const double *a, const double *b, int width)
{
	double		square = 0;

	for (int j = 0; j < width; j++)
		square += (a[j] - b[j]) * (a[j] - b[j]);
	return square;
}

static int
nonempty_segments(const Means *means)
{
	int			n = 0;

	for (int c = 0; c < means->k; c++)
		n += means->size[c] > 0;
	return n;
}

/* variance between segments to variance within, each by its freedom */
static double
calinski_harabasz(const Scatter *scatter)
{
	const Means *means = scatter->means;
	int			width = scatter->space->width;
	int			nonempty = nonempty_segments(means);
	double		within = 0;
	double		between = 0;
	int64_t		rows = 0;

	for (int c = 0; c < means->k; c++)
	{
		rows += means->size[c];
		within += km_fixed_value(&scatter->sums[c].plain) /
			scatter->scales[c * scatter->step].square;
		if (means->size[c] > 0)
			between += (double) means->size[c] *
				squared_distance(means->centroids + (size_t) c * width,
								 means->mean, width);
	}
	if (nonempty < 2 || rows <= nonempty || within == 0)
		return NAN;
	return between / within * (double) (rows - nonempty) /
		(double) (nonempty - 1);
}

static void
compute_spread(const Scatter *scatter)
{
	const Means *means = scatter->means;

	for (int c = 0; c < means->k; c++)
	{
		if (means->size[c] > 0)
			means->spread[c] = (double) scatter->sums[c].way /
				scatter->scales[c * scatter->step].root /
				(double) means->size[c];
	}
}

/*
 * Mean of the segments' worst ratios, which go to worst (may be NULL): of two
 * segments' mean distances, added, to the distance of their centroids.  A
 * pair whose centroids coincide counts as 0, as in scikit-learn.
 */
static KmStatus
davies_bouldin(const Scatter *scatter, double *overall, double *worst)
{
	const Means *means = scatter->means;
	int			width = scatter->space->width;
	int			nonempty = nonempty_segments(means);
	double		sum = 0;

	*overall = NAN;
	compute_spread(scatter);
	for (int c = 0; c < means->k; c++)
	{
		double		most = 0;

		if (worst != NULL)
			worst[c] = NAN;
		if (means->size[c] == 0 || nonempty < 2)
			continue;
		for (int d = 0; d < means->k; d++)
		{
			double		apart;
			double		ratio;

			if (d == c || means->size[d] == 0)
				continue;
			apart = sqrt(squared_distance(means->centroids +
										  (size_t) c * width,
										  means->centroids +
										  (size_t) d * width, width));
			ratio = apart > 0 ?
				(means->spread[c] + means->spread[d]) / apart : 0;
			most = ratio > most ? ratio : most;
			if (!km_poll(scatter->poll, width + 4))
				return KM_CANCELLED;
		}
		if (worst != NULL)
			worst[c] = most;
		sum += most;
	}
	if (nonempty >= 2)
		*overall = sum / nonempty;
	return KM_OK;
}

/* ---- of a fit ---- */

/* What the fit knows already: sums of rows that weigh the same. */
static KmStatus
take_sums(KmFit *fit, Means *means)
{
	const KmLloyd *lloyd = &fit->lloyd;

	memcpy(means->sums, lloyd->rows.sums,
		   sizeof(KmWide) * lloyd->k * fit->space.width);
	memcpy(means->size, lloyd->rows.size, sizeof(int64_t) * lloyd->k);
	memcpy(means->units, fit->space.unit, sizeof(double) * fit->space.nnum);
	return compute_centroids(&fit->space, &fit->poll, means);
}

static KmStatus
measure_fit(KmFit *fit, const KmSolution *solution, Means *means,
			SegmentSums *sums, double *db, double *ch)
{
	const KmSpace *space = &fit->space;
	FixedScale	scale = km_fixed_scales(fit->bound);
	Scatter		scatter = {space, &fit->poll, means, sums, &scale, 0};
	KmRun		run = km_fit_rows_run(fit);

	if (fit->rows->weighted)
		KM_TRY(find_means(&run, fit->lloyd.centers, means));
	else
		KM_TRY(take_sums(fit, means));

	/*
	 * A search that has converged has the means as centers, and the distances
	 * to those are known.
	 */
	if (km_solution_node(solution)->in_order &&
		memcmp(means->centroids, solution->centers,
			   sizeof(double) * solution->k * space->width) == 0)
		scatter.sums = km_solution_node(solution)->sums;
	else
		KM_TRY(km_sum_own_distances(&run, means->k, fit->lloyd.centers,
									means->centroids, &scale, 1, sums));
	*ch = calinski_harabasz(&scatter);
	return davies_bouldin(&scatter, db, NULL);
}

KmStatus
km_fit_quality(KmFit *fit, const KmSolution *solution, double *db, double *ch)
{
	SegmentSums *sums;
	Means		means;
	KmStatus	status;

	KM_TRY(km_load_solution(fit, solution));
	status = create_means(&fit->space, solution->k, &means);
	sums = km_alloc(fit->host, solution->k, sizeof(SegmentSums));
	if (sums == NULL)
		status = KM_NO_MEMORY;
	if (status == KM_OK)
		status = measure_fit(fit, solution, &means, sums, db, ch);
	km_free(fit->host, sums);
	free_means(fit->host, &means);
	return status;
}

/* ---- of a query's rows under a model ---- */

/* What measuring rows takes beside their means; all of it k. */
typedef struct Scratch
{
	SegmentSums *sums;
	FixedScale *scales;
	double	   *values;
} Scratch;

static KmRun
placed_run(KmPlaced *placed, KmSource *source)
{
	KmRun		run = {placed->host, source, &placed->space, &placed->poll,
	placed->simd};

	source->table = &placed->rows->table;
	source->remote = placed->remote;
	return run;
}

/*
 * Distances of the rows to their own centers, or targets.  Each segment has a
 * fixed point of its own: one row far beyond all that the fit has seen must
 * not take the digits of the others.
 */
static KmStatus
sum_placed(KmRun *run, int k, const double *centers, const double *targets,
		   Scratch *scratch)
{
	KM_TRY(km_find_extent(run, k, centers, targets, NULL, NULL,
						  scratch->values));
	for (int c = 0; c < k; c++)
	{
		/* a model may have come from somebody who made it up */
		if (!isfinite(scratch->values[c]))
			return KM_NOT_FINITE;
		scratch->scales[c] = km_fixed_scales(fmax(scratch->values[c],
												  BOUND_MIN));
	}
	return km_sum_own_distances(run, k, centers, targets, scratch->scales, k,
								scratch->sums);
}

/* Inertia, by the distances to the model's centers. */
static KmStatus
measure_inertia(KmRun *run, int k, const double *centers, Scratch *scratch,
				KmQuality *overall, KmQuality *segments)
{
	KM_TRY(sum_placed(run, k, centers, NULL, scratch));
	overall->inertia = 0;
	for (int c = 0; c < k; c++)
	{
		segments[c].inertia = km_fixed_value(&scratch->sums[c].plain) /
			scratch->scales[c].square;
		overall->inertia += segments[c].inertia;
	}
	return KM_OK;
}

static KmStatus
measure_scatter(KmRun *run, const double *centers, Means *means,
				Scratch *scratch, KmQuality *overall, KmQuality *segments)
{
	Scatter		scatter = {run->space, run->poll, means,
	scratch->sums, scratch->scales, 1};

	KM_TRY(find_means(run, centers, means));
	KM_TRY(sum_placed(run, means->k, centers, means->centroids, scratch));
	KM_TRY(davies_bouldin(&scatter, &overall->davies_bouldin,
						  scratch->values));
	for (int c = 0; c < means->k; c++)
	{
		segments[c].size = means->size[c];
		segments[c].davies_bouldin = scratch->values[c];
		segments[c].calinski_harabasz = NAN;
	}
	overall->size = run->source->table->nrows;
	overall->calinski_harabasz = calinski_harabasz(&scatter);
	return KM_OK;
}

static KmStatus
draw_placed(KmRun *run, KmDraw *draw)
{
	KmSample	sample;
	KmStatus	status;

	KM_TRY(km_sample_create(run->source, run->space, run->poll,
							KM_PICK_SAMPLE, 0, &sample));
	status = km_draw_create(&sample, run->source->table->nrows,
							KM_SILHOUETTE_ROWS, draw);
	km_sample_clear(run->host, &sample);
	return status;
}

static KmStatus
measure_silhouette(KmRun *run, int k, const double *centers, Scratch *scratch,
				   KmQuality *overall, KmQuality *segments, int64_t *sampled)
{
	uint16_t   *own;
	KmDraw		draw;
	KmStatus	status;

	KM_TRY(draw_placed(run, &draw));
	*sampled = draw.total;
	own = km_alloc(run->host, (size_t) draw.table.nrows, sizeof(uint16_t));
	status = own == NULL ? KM_NO_MEMORY :
		km_draw_assign(&draw, run->space, run->poll, run->simd, centers, k,
					   own);
	if (status == KM_OK)
	{
		const uint16_t *labels = own;

		status = km_silhouettes(&draw, run->space, run->poll, run->simd, 1,
								&k, &labels, &overall->silhouette,
								&scratch->values);
	}
	for (int c = 0; c < k && status == KM_OK; c++)
		segments[c].silhouette = scratch->values[c];
	km_free(run->host, own);
	km_draw_clear(&draw);
	return status;
}

static KmStatus
measure_placed(KmPlaced *placed, const double *centers, Means *means,
			   Scratch *scratch, KmQuality *overall, KmQuality *segments,
			   int64_t *sampled)
{
	KmSource	source;
	KmRun		run = placed_run(placed, &source);

	KM_TRY(measure_inertia(&run, placed->model->k, centers, scratch, overall,
						   segments));
	KM_TRY(measure_scatter(&run, centers, means, scratch, overall, segments));
	return measure_silhouette(&run, placed->model->k, centers, scratch,
							  overall, segments, sampled);
}

KmStatus
km_placed_quality(KmPlaced *placed, KmQuality *overall, KmQuality *segments,
				  int64_t *sampled)
{
	const KmHost *host = placed->host;
	int			k = placed->model->k;
	double	   *centers = NULL;
	Scratch		scratch;
	Means		means;
	KmStatus	status;

	if (placed->rows->table.nrows == 0)
		return KM_NO_ROWS;
	status = create_means(&placed->space, k, &means);
	scratch.sums = km_alloc(host, k, sizeof(SegmentSums));
	scratch.scales = km_alloc(host, k, sizeof(FixedScale));
	scratch.values = km_alloc(host, k, sizeof(double));
	if (scratch.sums == NULL || scratch.scales == NULL ||
		scratch.values == NULL)
		status = KM_NO_MEMORY;
	if (status == KM_OK)
		status = km_placed_centers(placed, &centers);
	if (status == KM_OK)
		status = measure_placed(placed, centers, &means, &scratch, overall,
								segments, sampled);
	km_free(host, centers);
	km_free(host, scratch.sums);
	km_free(host, scratch.scales);
	km_free(host, scratch.values);
	free_means(host, &means);
	return status;
}

double
km_quality_bytes(int k, int width)
{
	/* sums, centroids, the model's centers; centers for distances */
	return (double) k * width *
		(sizeof(KmWide) + 2 * sizeof(double) + sizeof(double)) +
		(double) k * (sizeof(SegmentSums) + sizeof(FixedScale) +
					  KM_PAIR_ROWS * sizeof(double));
}
