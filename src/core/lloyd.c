/*
 * lloyd.c
 *		Lloyd's iteration: passes (assign.c) and new centers, by turns.
 *
 * It has converged when a pass leaves every sum, weight and size as it was:
 * that can be told wherever the rows are.
 */
#include <math.h>
#include <string.h>

#include "assign.h"

/* arrays of a double per segment that tell how far centers have moved */
#define WAYS			KM_ASSIGN_WAYS

/*
 * Bounds pay when no more than this share of the rows may change: looking at
 * a row by itself costs more than two times what it costs among all.
 */
#define KEEP_BELOW		0.38

/* and no longer when so many had to be looked at */
#define DROP_ABOVE		0.6

/* the others, after "way" */
static void
set_ways(KmLloyd *lloyd)
{
	lloyd->drift = lloyd->way + lloyd->max_k;
	lloyd->last_way = lloyd->drift + lloyd->max_k;
	lloyd->last_drift = lloyd->last_way + lloyd->max_k;
}

static void
clear_drift(KmLloyd *lloyd)
{
	memset(lloyd->way, 0, sizeof(double) * lloyd->k);
	memset(lloyd->drift, 0, sizeof(double) * lloyd->k);
	lloyd->all_drift = 0;
}

KmStatus
km_lloyd_create(KmSource *source, const KmSpace *space, KmPoll *poll,
				KmSimd simd, int max_k, double squares, KmLloyd *lloyd)
{
	const KmHost *host = space->host;
	size_t		cells = (size_t) max_k * space->width;
	KmStatus	status;

	memset(lloyd, 0, sizeof(*lloyd));
	lloyd->source = source;
	lloyd->space = space;
	lloyd->poll = poll;
	lloyd->simd = simd;
	lloyd->max_k = max_k;
	lloyd->squares = squares;
	lloyd->centers = km_alloc_zero(host, cells, sizeof(double));
	lloyd->previous = km_alloc_zero(host, cells, sizeof(double));
	lloyd->way = km_alloc_zero(host, WAYS * (size_t) max_k, sizeof(double));
	status = lloyd->centers == NULL || lloyd->previous == NULL ||
		lloyd->way == NULL ? KM_NO_MEMORY :
		km_sums_create(host, max_k, space->width, &lloyd->rows);
	set_ways(lloyd);
	if (status == KM_OK)
		status = km_assigning_create(lloyd);
	if (status != KM_OK)
		km_lloyd_free(lloyd);
	return status;
}

void
km_lloyd_free(KmLloyd *lloyd)
{
	const KmHost *host;

	if (lloyd->space == NULL)
		return;
	host = lloyd->space->host;
	km_free(host, lloyd->centers);
	km_free(host, lloyd->previous);
	km_free(host, lloyd->way);
	km_sums_free(host, &lloyd->rows);
	km_assigning_free(lloyd);
	memset(lloyd, 0, sizeof(*lloyd));
}

void
km_lloyd_start(KmLloyd *lloyd, const double *centers, int k)
{
	size_t		cells = (size_t) k * lloyd->space->width;

	if (k != lloyd->k)
	{
		/* other numbers of segments share no sums */
		lloyd->assigned = false;
		lloyd->k = k;
	}
	if (!lloyd->assigned)
		km_sums_clear(&lloyd->rows, k, lloyd->space->width);
	if (centers != lloyd->centers)
		km_copy(lloyd->space->host, lloyd->centers, centers,
				sizeof(double) * cells);
	km_poll_within(lloyd->poll, 8.0 * (double) cells);
	clear_drift(lloyd);
	lloyd->keeps_bounds = false;
	lloyd->may_keep = false;
	lloyd->updated = false;
}

/* ---- passes ---- */

/*
 * What the next pass does.  By counts of rows, which vary with blocks and
 * vector units: the result is the same whatever it does.
 */
static KmAssignMode
choose_mode(const KmLloyd *lloyd, bool bounded)
{
	if (lloyd->exact)
		return KM_ASSIGN_EXACT;
	if (!bounded || !lloyd->assigned || lloyd->source->remote != NULL)
		return KM_ASSIGN_DENSE;
	if (lloyd->keeps_bounds)
		return KM_ASSIGN_BOUNDED;
	return lloyd->may_keep || lloyd->eager ? KM_ASSIGN_KEEP :
		KM_ASSIGN_DENSE;
}

/* What has been learned for the next one. */
static void
note_counts(KmLloyd *lloyd, KmAssignMode mode, const KmAssignCounts *counts)
{
	double		nrows = (double) lloyd->source->table->nrows;

	lloyd->passes[mode]++;
	lloyd->measured_in[mode] += counts->measured;
	lloyd->measured = counts->measured;
	lloyd->keeps_bounds = mode == KM_ASSIGN_KEEP ||
		(mode == KM_ASSIGN_BOUNDED &&
		 (lloyd->eager || counts->measured <= DROP_ABOVE * nrows));
	/* before the first update centers have not moved */
	lloyd->in_doubt = counts->tried > 0 ? (double) counts->unsettled /
		(double) counts->tried : 1;
	lloyd->may_keep = lloyd->updated && lloyd->in_doubt <= KEEP_BELOW;
}

/*
 * What came from elsewhere is of so many rows, if it is honest; each weighs 1
 * or more.
 */
static bool
sizes_are_sane(const KmSums *rows, int k, int64_t nrows)
{
	int64_t		left = nrows;

	for (int c = 0; c < k; c++)
	{
		if (rows->size[c] < 0 || rows->size[c] > left ||
			rows->weight[c] < rows->size[c] || rows->weight[c] > INT64_MAX ||
			(rows->size[c] == 0 && rows->weight[c] != 0))
			return false;
		left -= rows->size[c];
	}
	return left == 0;
}

KmStatus
km_lloyd_assign(KmLloyd *lloyd, bool bounded, int64_t *moved)
{
	bool		is_remote = lloyd->source->remote != NULL;
	KmAssignMode mode = choose_mode(lloyd, bounded);
	KmAssignCounts counts;
	const KmSums *found;

	lloyd->evaluations += (double) lloyd->source->table->nrows * lloyd->k;
	if (mode == KM_ASSIGN_KEEP)
		clear_drift(lloyd);
	KM_TRY(km_assigning_run(lloyd, mode, &found, &counts));
	km_poll_within(lloyd->poll, 8.0 * lloyd->k * lloyd->space->width);
	/* what others count steers nothing, and may be anything */
	if (is_remote)
		memset(&counts, 0, sizeof(counts));
	note_counts(lloyd, mode, &counts);
	*moved = counts.moved;
	if (is_remote)
	{
		if (!sizes_are_sane(found, lloyd->k, lloyd->source->table->nrows))
			return KM_BAD_FORMAT;
		/* these are the sums, not what changes them */
		*moved = -1;
		lloyd->changed = !lloyd->assigned ||
			km_sums_differ(&lloyd->rows, found, lloyd->k, lloyd->space->width);
		km_sums_clear(&lloyd->rows, lloyd->k, lloyd->space->width);
		(void) km_sums_add(&lloyd->rows, found, lloyd->k,
						   lloyd->space->width, lloyd->poll);
	}
	else
		lloyd->changed = *moved > 0 &&
			km_sums_add(&lloyd->rows, found, lloyd->k, lloyd->space->width,
						lloyd->poll);
	lloyd->assigned = true;
	lloyd->has_empty = false;
	for (int c = 0; c < lloyd->k; c++)
		lloyd->has_empty |= lloyd->rows.size[c] == 0;
	return KM_OK;
}

KmStatus
km_lloyd_renumber(KmLloyd *lloyd, const int *order)
{
	const KmHost *host = lloyd->space->host;
	size_t		width = (size_t) lloyd->space->width;
	int			k = lloyd->k;
	double	   *way = km_alloc_zero(host, WAYS * (size_t) lloyd->max_k,
										sizeof(double));
	KmSums		rows = {0};
	KmStatus	status = way == NULL ? KM_NO_MEMORY :
		km_sums_create(host, lloyd->max_k, (int) width, &rows);

	if (status == KM_OK)
		status = km_renumber_rows(lloyd, order);
	if (status != KM_OK)
	{
		km_free(host, way);
		km_sums_free(host, &rows);
		return status;
	}
	for (int c = 0; c < k; c++)
	{
		memcpy(rows.sums + order[c] * width, lloyd->rows.sums + c * width,
			   sizeof(KmWide) * width);
		memcpy(lloyd->previous + order[c] * width, lloyd->centers + c * width,
			   sizeof(double) * width);
		rows.weight[order[c]] = lloyd->rows.weight[c];
		rows.size[order[c]] = lloyd->rows.size[c];
		km_poll_within(lloyd->poll, 8.0 * (double) width);
		for (int i = 0; i < WAYS; i++)
			way[(size_t) i * lloyd->max_k + order[c]] =
				lloyd->way[(size_t) i * lloyd->max_k + c];
	}
	km_free(host, lloyd->way);
	km_sums_free(host, &lloyd->rows);
	lloyd->rows = rows;
	lloyd->way = way;
	set_ways(lloyd);
	km_copy(host, lloyd->centers, lloyd->previous, sizeof(double) * k * width);
	km_poll_within(lloyd->poll, 4.0 * k * (double) width);
	return KM_OK;
}

static KmStatus
find_nearest(const KmLloyd *lloyd, const KmPacked *packed, uint16_t *own,
			 double *d1, double *d2)
{
	const KmTable *table = lloyd->source->table;
	KmNearest	nearest = km_nearest_kernel(lloyd->simd);
	int64_t		id[KM_KERNEL_TILES * KM_LANES];

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int tile = 0; tile < ntiles; tile += KM_KERNEL_TILES)
		{
			int			here = ntiles - tile < KM_KERNEL_TILES ? ntiles - tile
				: KM_KERNEL_TILES;
			int64_t		first = block->first + (int64_t) tile * KM_LANES;

			nearest(lloyd->space, packed, km_tile(table, block, tile), here,
					table->nslots, id, d1 + first, d2 + first);
			for (int i = 0; i < here * KM_LANES; i++)
				own[first + i] = (uint16_t) id[i];
			if (!km_poll(lloyd->poll, (double) here * KM_LANES * lloyd->k *
						 (table->nfeatures + 2)))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

KmStatus
km_nearest_all(const KmLloyd *lloyd, uint16_t *own, double *d1, double *d2)
{
	KmPacked	packed;
	KmStatus	status;

	KM_TRY(km_packed_create(lloyd->space, lloyd->k, &packed));
	km_packed_set(lloyd->space, &packed, lloyd->centers, lloyd->k);
	status = find_nearest(lloyd, &packed, own, d1, d2);
	km_packed_free(lloyd->space, &packed);
	return status;
}

/* ---- update ---- */

/*
 * sum / weight as if divided without rounding first: rows that are all the
 * same have exactly themselves as their mean.
 */
static inline double
divide_sum(KmWide sum, int64_t weight)
{
	double		mean = (double) sum / (double) weight;
	int64_t		whole;
	int64_t		rest;

	/* far beyond any position of a fit */
	if (!(fabs(mean) < 0x1p62))
		return mean;
	whole = (int64_t) mean;
	/* a few times weight at most, whatever the division's rounding */
	rest = (int64_t) (sum - (KmWide) whole * weight);
	return (double) whole + (double) rest / (double) weight;
}

void
km_mean_center(const KmSpace *space, const double *units, const KmWide *sums,
			   int64_t weight, double *center)
{
	for (int s = 0; s < space->nnum; s++)
		center[s] = divide_sum(sums[s], weight) * units[s];
	for (int f = 0; f < space->ncat; f++)
	{
		for (int v = 0; v < space->ncategories[f]; v++)
			center[space->offset[f] + v] = space->factor[f] *
				((double) sums[space->offset[f] + v] / (double) weight);
	}
}

/* Means of the rows in each segment; empty segments keep their center. */
static void
compute_means(KmLloyd *lloyd)
{
	const KmSpace *space = lloyd->space;

	for (int c = 0; c < lloyd->k; c++)
	{
		size_t		at = (size_t) c * space->width;

		if (lloyd->rows.size[c] > 0)
			km_mean_center(space, space->unit, lloyd->rows.sums + at,
						   (int64_t) lloyd->rows.weight[c], lloyd->centers + at);
		/* divisions of 128 bits */
		km_poll_within(lloyd->poll, 20.0 * space->width);
	}
}

/* How far centers have moved, rounded up. */
static void
measure_ways(KmLloyd *lloyd)
{
	int			width = lloyd->space->width;

	for (int c = 0; c < lloyd->k; c++)
	{
		const double *a = lloyd->centers + (size_t) c * width;
		const double *b = lloyd->previous + (size_t) c * width;
		double		square = 0;

		for (int j = 0; j < width; j++)
			square += (a[j] - b[j]) * (a[j] - b[j]);
		lloyd->last_way[c] = sqrt(square) * (1 + 1e-9);
		km_poll_within(lloyd->poll, 2.0 * width);
	}
}

/* Add this update's movements to what bounds are compared with. */
static void
add_drift(KmLloyd *lloyd)
{
	double		first = 0;
	double		second = 0;
	int			fastest = -1;

	measure_ways(lloyd);
	for (int c = 0; c < lloyd->k; c++)
	{
		double		way = lloyd->last_way[c];

		if (way > first)
		{
			second = first;
			first = way;
			fastest = c;
		}
		else if (way > second)
			second = way;
	}
	for (int c = 0; c < lloyd->k; c++)
	{
		lloyd->last_drift[c] = lloyd->last_way[c] +
			(c == fastest ? second : first);
		lloyd->way[c] += lloyd->last_way[c];
		lloyd->drift[c] += lloyd->last_drift[c];
	}
	lloyd->all_drift += first + second;
	lloyd->updated = true;
}

/* The first empty segment takes the row farthest from the centers before. */
static KmStatus
fill_empty(KmLloyd *lloyd)
{
	int			c = 0;
	bool		found;

	while (lloyd->rows.size[c] > 0)
		c++;
	KM_TRY(km_farthest_row(lloyd->source, lloyd->space, lloyd->poll,
						   lloyd->simd, lloyd->previous, lloyd->k,
						   lloyd->centers + (size_t) c * lloyd->space->width,
						   &found));
	/* all rows are at their centers */
	if (!found)
		lloyd->has_empty = false;
	return KM_OK;
}

KmStatus
km_lloyd_update(KmLloyd *lloyd)
{
	size_t		cells = (size_t) lloyd->k * lloyd->space->width;

	km_copy(lloyd->space->host, lloyd->previous, lloyd->centers,
			sizeof(double) * cells);
	compute_means(lloyd);
	if (lloyd->has_empty)
		KM_TRY(fill_empty(lloyd));
	add_drift(lloyd);
	return KM_OK;
}

double
km_lloyd_inertia(const KmLloyd *lloyd)
{
	const KmSpace *space = lloyd->space;
	double		between = 0;

	for (int c = 0; c < lloyd->k; c++)
	{
		const KmWide *sums = lloyd->rows.sums + (size_t) c * space->width;
		double		weight = (double) lloyd->rows.weight[c];
		double		square = 0;

		if (lloyd->rows.size[c] == 0)
			continue;
		for (int s = 0; s < space->nnum; s++)
		{
			double		sum = (double) sums[s] * space->unit[s];

			square += sum * sum;
		}
		for (int f = 0; f < space->ncat; f++)
		{
			double		part = 0;

			for (int v = 0; v < space->ncategories[f]; v++)
			{
				double		sum = (double) sums[space->offset[f] + v];

				part += sum * sum;
			}
			square += part * space->factor[f] * space->factor[f];
		}
		between += square / weight;
	}
	return between < lloyd->squares ? lloyd->squares - between : 0;
}

KmStatus
km_lloyd_run(KmLloyd *lloyd, int max_iter, double tol, double give_up,
			 int *iterations, bool *converged)
{
	int64_t		moved;
	double		before = INFINITY;

	*iterations = 0;
	*converged = false;
	KM_TRY(km_lloyd_assign(lloyd, false, &moved));
	while (*iterations < max_iter)
	{
		bool		had_empty;

		KM_TRY(km_lloyd_update(lloyd));
		/* false by now when there was no row for it to take */
		had_empty = lloyd->has_empty;
		(*iterations)++;
		if (lloyd->watched != NULL)
			km_report(lloyd->watched, KM_PHASE_IMPROVE, *iterations, max_iter);
		KM_TRY(km_lloyd_assign(lloyd, true, &moved));
		if (lloyd->watched != NULL)
			km_report(lloyd->watched, KM_PHASE_CHANGED, moved, 0);
		if (!lloyd->changed && !had_empty)
		{
			*converged = true;
			break;
		}
		if (tol > 0 || isfinite(give_up))
		{
			double		now = km_lloyd_inertia(lloyd);
			double		fall = before - now;

			if (!lloyd->has_empty && fall <= tol * now)
			{
				*converged = true;
				break;
			}

			/*
			 * The falls shrink, as a rule by a third or more each time: more
			 * than four times the last one is not to be hoped for.
			 */
			if (now - 4 * fall > give_up)
				break;
			before = now;
		}
	}
	return KM_OK;
}
