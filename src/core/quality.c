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
	const SegmentSums *sums;	/* distances to the centroids, per segment */
	double		bound;			/* that they were summed with */
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
 * sums are exact.  Only values far beyond those of the fit do not fit it.
 */
static KmStatus
choose_units(const KmTable *table, const KmSpace *space, KmPoll *poll,
			 Means *means)
{
	double	   *largest = means->units;

	memset(largest, 0, sizeof(double) * space->nnum);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			/* lanes without a row are 0 */
			const double *x = km_tile(table, block, t);

			for (int s = 0; s < space->nnum; s++, x += KM_LANES)
			{
				for (int l = 0; l < KM_LANES; l++)
					largest[s] = fmax(largest[s], fabs(x[l]));
			}
			if (!km_poll(poll, KM_LANES * (double) table->nslots))
				return KM_CANCELLED;
		}
	}
	for (int s = 0; s < space->nnum; s++)
		means->units[s] = largest[s] * space->scale[s] < 0x1p60 ?
			space->unit[s] : 1 / km_fixed_scale(largest[s]);
	return KM_OK;
}

static KmStatus
sum_positions(const KmTable *table, const KmSpace *space,
			  const uint16_t *own, KmPoll *poll, Means *means)
{
	int			nnum = space->nnum;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			const double *lane = km_cell(table, block, i, 0);
			int			c = own[block->first + i];
			KmWide	   *sums = means->sums + (size_t) c * space->width;

			for (int s = 0; s < nnum; s++)
				sums[s] += (int64_t) rint(lane[s * KM_LANES] /
										  means->units[s]);
			for (int f = 0; f < space->ncat; f++)
				sums[space->offset[f] +
					 (int) lane[(nnum + f) * KM_LANES]]++;
			means->size[c]++;
			if (!km_poll(poll, table->nslots))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/* Centroids and the mean of all from the sums; the sums become the total. */
static void
compute_centroids(const KmSpace *space, Means *means)
{
	size_t		width = (size_t) space->width;
	int64_t		rows = 0;

	for (int c = 0; c < means->k; c++)
	{
		if (means->size[c] > 0)
			km_mean_center(space, means->units, means->sums + c * width,
						   means->size[c], means->centroids + c * width);
		rows += means->size[c];
	}
	for (int c = 1; c < means->k; c++)
	{
		for (size_t j = 0; j < width; j++)
			means->sums[j] += means->sums[c * width + j];
	}
	km_mean_center(space, means->units, means->sums, rows, means->mean);
}

static KmStatus
find_means(const KmTable *table, const KmSpace *space, const uint16_t *own,
		   KmPoll *poll, Means *means)
{
	KM_TRY(choose_units(table, space, poll, means));
	KM_TRY(sum_positions(table, space, own, poll, means));
	compute_centroids(space, means);
	return KM_OK;
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
	FixedSum	within = {0, 0};
	double		between = 0;
	int64_t		rows = 0;

	for (int c = 0; c < means->k; c++)
	{
		rows += means->size[c];
		within.high += scatter->sums[c].plain.high;
		within.low += scatter->sums[c].plain.low;
		if (means->size[c] > 0)
			between += (double) means->size[c] *
				squared_distance(means->centroids + (size_t) c * width,
								 means->mean, width);
	}
	if (nonempty < 2 || rows <= nonempty ||
		(within.high == 0 && within.low == 0))
		return NAN;
	return between * km_fixed_scale(scatter->bound) /
		km_fixed_value(&within) * (double) (rows - nonempty) /
		(double) (nonempty - 1);
}

static void
compute_spread(const Scatter *scatter)
{
	const Means *means = scatter->means;
	double		scale = km_fixed_scale(sqrt(scatter->bound));

	for (int c = 0; c < means->k; c++)
	{
		if (means->size[c] > 0)
			means->spread[c] = (double) scatter->sums[c].way / scale /
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

/* distances to the centroids, where they are not to be had yet */
static KmStatus
sum_to_centroids(const KmTable *table, const KmSpace *space,
				 const uint16_t *own, double bound, KmPoll *poll,
				 const Means *means, SegmentSums *sums)
{
	KmPacked	packed;
	KmStatus	status;

	KM_TRY(km_packed_create(space, means->k, &packed));
	km_packed_set(space, &packed, means->centroids, means->k);
	status = km_sum_own_distances(table, space, &packed, own, bound, poll,
								  sums);
	km_packed_free(space, &packed);
	return status;
}

/* What the fit knows already: sums of rows that weigh the same. */
static void
take_sums(const KmFit *fit, Means *means)
{
	const KmLloyd *lloyd = &fit->lloyd;

	memcpy(means->sums, lloyd->sums,
		   sizeof(KmWide) * lloyd->k * fit->space.width);
	memcpy(means->size, lloyd->size, sizeof(int64_t) * lloyd->k);
	memcpy(means->units, fit->space.unit, sizeof(double) * fit->space.nnum);
	compute_centroids(&fit->space, means);
}

static KmStatus
measure_fit(KmFit *fit, const KmSolution *solution, Means *means,
			SegmentSums *sums, double *db, double *ch)
{
	const KmSpace *space = &fit->space;
	Scatter		scatter = {space, &fit->poll, means, sums, fit->bound};

	if (fit->rows->weighted)
		KM_TRY(find_means(fit->table, space, fit->lloyd.own, &fit->poll,
						  means));
	else
		take_sums(fit, means);

	/*
	 * A search that has converged has the means as centers, and the distances
	 * to those are known.
	 */
	if (memcmp(means->centroids, solution->centers,
			   sizeof(double) * solution->k * space->width) == 0)
		scatter.sums = km_solution_node(solution)->sums;
	else
		KM_TRY(sum_to_centroids(fit->table, space, fit->lloyd.own, fit->bound,
								&fit->poll, means, sums));
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

/* No row is farther from a center, and no two are from each other. */
static KmStatus
bound_distances(KmPlaced *placed, const double *centers, double *bound)
{
	const KmTable *table = &placed->rows->table;
	const KmSpace *space = &placed->space;
	double		sum = 0;

	for (int s = 0; s < space->nnum; s++)
	{
		double		low = INFINITY;
		double		high = -INFINITY;

		for (int c = 0; c < placed->model->k; c++)
		{
			low = fmin(low, centers[(size_t) c * space->width + s]);
			high = fmax(high, centers[(size_t) c * space->width + s]);
		}
		for (int b = 0; b < table->nblocks; b++)
		{
			const KmBlock *block = &table->blocks[b];

			for (int i = 0; i < block->nrows; i++)
			{
				double		x = *km_cell(table, block, i, s);

				low = x < low ? x : low;
				high = x > high ? x : high;
			}
			if (!km_poll(&placed->poll, block->nrows))
				return KM_CANCELLED;
		}
		sum += (high - low) * (high - low);
	}
	for (int f = 0; f < space->ncat; f++)
		sum += 2 * space->factor[f] * space->factor[f];
	*bound = fmax(sum * 1.001, BOUND_MIN);
	return KM_OK;
}

/* Inertia, by the distances to the model's centers. */
static KmStatus
measure_inertia(KmPlaced *placed, const double *centers, double bound,
				SegmentSums *sums, KmQuality *overall, KmQuality *segments)
{
	const KmSpace *space = &placed->space;
	int			k = placed->model->k;
	double		scale = km_fixed_scale(bound);
	FixedSum	total = {0, 0};
	KmPacked	packed;
	KmStatus	status;

	KM_TRY(km_packed_create(space, k, &packed));
	km_packed_set(space, &packed, centers, k);
	status = km_sum_own_distances(&placed->rows->table, space, &packed,
								  placed->own, bound, &placed->poll, sums);
	km_packed_free(space, &packed);
	for (int c = 0; c < k && status == KM_OK; c++)
	{
		segments[c].inertia = km_fixed_value(&sums[c].plain) / scale;
		total.high += sums[c].plain.high;
		total.low += sums[c].plain.low;
	}
	overall->inertia = km_fixed_value(&total) / scale;
	return status;
}

/* scratch: k */
static KmStatus
measure_scatter(KmPlaced *placed, double bound, Means *means,
				SegmentSums *sums, double *scratch, KmQuality *overall,
				KmQuality *segments)
{
	const KmTable *table = &placed->rows->table;
	const KmSpace *space = &placed->space;
	KmPoll	   *poll = &placed->poll;
	Scatter		scatter = {space, poll, means, sums, bound};

	KM_TRY(find_means(table, space, placed->own, poll, means));
	KM_TRY(sum_to_centroids(table, space, placed->own, bound, poll, means,
							sums));
	KM_TRY(davies_bouldin(&scatter, &overall->davies_bouldin, scratch));
	for (int c = 0; c < means->k; c++)
	{
		segments[c].size = means->size[c];
		segments[c].davies_bouldin = scratch[c];
		segments[c].calinski_harabasz = NAN;
	}
	overall->size = table->nrows;
	overall->calinski_harabasz = calinski_harabasz(&scatter);
	return KM_OK;
}

/* scratch: k */
static KmStatus
measure_silhouette(KmPlaced *placed, const double *centers, double *scratch,
				   KmQuality *overall, KmQuality *segments, int64_t *sampled)
{
	const KmSpace *space = &placed->space;
	int			k = placed->model->k;
	uint16_t   *own;
	KmDraw		draw;
	KmStatus	status;

	KM_TRY(km_draw_create(&placed->rows->table, space, KM_SILHOUETTE_ROWS,
						  &placed->poll, &draw));
	*sampled = draw.total;
	own = km_alloc(placed->host, (size_t) draw.table.nrows, sizeof(uint16_t));
	status = own == NULL ? KM_NO_MEMORY :
		km_draw_assign(&draw, space, &placed->poll, placed->simd, centers, k,
					   own);
	if (status == KM_OK)
	{
		const uint16_t *labels = own;

		status = km_silhouettes(&draw, space, &placed->poll, placed->simd, 1,
								&k, &labels, &overall->silhouette, &scratch);
	}
	for (int c = 0; c < k && status == KM_OK; c++)
		segments[c].silhouette = scratch[c];
	km_free(placed->host, own);
	km_draw_clear(&draw);
	return status;
}

static KmStatus
measure_placed(KmPlaced *placed, const double *centers, Means *means,
			   SegmentSums *sums, double *scratch, KmQuality *overall,
			   KmQuality *segments, int64_t *sampled)
{
	double		bound;

	KM_TRY(bound_distances(placed, centers, &bound));
	KM_TRY(measure_inertia(placed, centers, bound, sums, overall, segments));
	KM_TRY(measure_scatter(placed, bound, means, sums, scratch, overall,
						   segments));
	return measure_silhouette(placed, centers, scratch, overall, segments,
							  sampled);
}

KmStatus
km_placed_quality(KmPlaced *placed, KmQuality *overall, KmQuality *segments,
				  int64_t *sampled)
{
	const KmHost *host = placed->host;
	int			k = placed->model->k;
	double	   *centers = NULL;
	double	   *scratch;
	SegmentSums *sums;
	Means		means;
	KmStatus	status;

	if (placed->rows->table.nrows == 0)
		return KM_NO_ROWS;
	status = create_means(&placed->space, k, &means);
	sums = km_alloc(host, k, sizeof(SegmentSums));
	scratch = km_alloc(host, k, sizeof(double));
	if (sums == NULL || scratch == NULL)
		status = KM_NO_MEMORY;
	if (status == KM_OK)
		status = km_placed_centers(placed, &centers);
	if (status == KM_OK)
		status = measure_placed(placed, centers, &means, sums, scratch,
								overall, segments, sampled);
	km_free(host, centers);
	km_free(host, scratch);
	km_free(host, sums);
	free_means(host, &means);
	return status;
}

double
km_quality_bytes(int k, int width)
{
	/* sums, centroids, the model's centers; centers for distances */
	return (double) k * width *
		(sizeof(KmWide) + 2 * sizeof(double) + sizeof(double)) +
		(double) k * (sizeof(SegmentSums) + KM_PAIR_ROWS * sizeof(double));
}
