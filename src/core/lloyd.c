/*
 * lloyd.c
 *		Lloyd's iteration with exact sums and bounds that skip rows.
 *
 * A row's positions are integers on the grid, so a segment's sum is one too:
 * adding and subtracting rows commutes, only rows that change segment are
 * touched, and the centers do not depend on the order of anything.
 *
 * A row whose nearest center is nearer than the second by some slack cannot
 * change segment before its own center and the fastest of the others have
 * together moved that far (Hamerly, "Making k-means even faster", 2010, with
 * one bound for both).  Movements are summed per segment instead of being
 * subtracted from every row, so a pass writes nothing for a row that stays,
 * and reads nothing at all in a group of rows whose least slack is enough.
 * Bounds only decide what is looked at; the decision itself is always made by
 * the kernel's distances.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

#define GROUP_TILES		8
#define GROUP_ROWS		(GROUP_TILES * KM_LANES)

/*
 * Safety of slack against rounding, as a share of the distances it comes
 * from.  Distances are sums of up to 1,600 rounded squares (error below
 * 1e-12), slack is kept as float (6e-8), movements are sums of doubles.
 */
#define SLACK_MARGIN	1e-6

/* float's useful range: beyond it slack is cut, below it there is none */
#define SLACK_MAX		1e37
#define SLACK_MIN		1e-30

KmStatus
km_lloyd_create(const KmTable *table, const KmSpace *space, KmPoll *poll,
				KmNearest nearest, int max_k, double squares, KmLloyd *lloyd)
{
	const KmHost *host = space->host;
	size_t		rows = ((size_t) table->nrows + KM_LANES - 1) /
		KM_LANES * KM_LANES;
	size_t		groups = 0;
	size_t		cells = (size_t) max_k * space->width;

	memset(lloyd, 0, sizeof(*lloyd));
	lloyd->table = table;
	lloyd->space = space;
	lloyd->poll = poll;
	lloyd->nearest = nearest;
	lloyd->max_k = max_k;
	lloyd->squares = squares;
	for (int b = 0; b < table->nblocks; b++)
		groups += ((size_t) table->blocks[b].nrows + GROUP_ROWS - 1) /
			GROUP_ROWS;
	for (int f = 0; f < space->ncat; f++)
		lloyd->margin += 1e-7 * space->factor[f];

	lloyd->centers = km_alloc_zero(host, cells, sizeof(double));
	lloyd->previous = km_alloc_zero(host, cells, sizeof(double));
	lloyd->own = km_alloc_zero(host, rows, sizeof(uint16_t));
	lloyd->slack = km_alloc(host, rows, sizeof(float));
	lloyd->group_slack = km_alloc(host, groups, sizeof(float));
	lloyd->sums = km_alloc(host, cells, sizeof(KmWide));
	lloyd->weight = km_alloc(host, max_k, sizeof(KmWide));
	lloyd->size = km_alloc(host, max_k, sizeof(int64_t));
	lloyd->drift = km_alloc(host, max_k, sizeof(double));
	if (lloyd->centers == NULL || lloyd->previous == NULL ||
		lloyd->own == NULL || lloyd->slack == NULL ||
		lloyd->group_slack == NULL || lloyd->sums == NULL ||
		lloyd->weight == NULL || lloyd->size == NULL || lloyd->drift == NULL ||
		km_packed_create(space, max_k, &lloyd->packed) != KM_OK)
	{
		km_lloyd_free(lloyd);
		return KM_NO_MEMORY;
	}
	return KM_OK;
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
	km_free(host, lloyd->own);
	km_free(host, lloyd->slack);
	km_free(host, lloyd->group_slack);
	km_free(host, lloyd->sums);
	km_free(host, lloyd->weight);
	km_free(host, lloyd->size);
	km_free(host, lloyd->drift);
	km_packed_free(lloyd->space, &lloyd->packed);
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
	{
		memset(lloyd->sums, 0, sizeof(KmWide) * cells);
		memset(lloyd->weight, 0, sizeof(KmWide) * k);
		memset(lloyd->size, 0, sizeof(int64_t) * k);
	}
	if (centers != lloyd->centers)
		memcpy(lloyd->centers, centers, sizeof(double) * cells);
	km_packed_set(lloyd->space, &lloyd->packed, lloyd->centers, k);
	memset(lloyd->drift, 0, sizeof(double) * k);
	lloyd->group_drift = 0;
}

/* ---- sums ---- */

static inline void
change_sums(KmLloyd *lloyd, const double *lane, int c, int64_t weight,
			int rows)
{
	const KmSpace *space = lloyd->space;
	KmWide	   *sums = lloyd->sums + (size_t) c * space->width;

	if (weight == 1)
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += (int64_t) (lane[s * KM_LANES] * space->scale[s]);
	}
	else
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += (KmWide) (int64_t) (lane[s * KM_LANES] *
										   space->scale[s]) * weight;
	}
	for (int f = 0; f < space->ncat; f++)
		sums[space->offset[f] + (int) lane[(space->nnum + f) * KM_LANES]] +=
			weight;
	lloyd->weight[c] += weight;
	lloyd->size[c] += rows;
}

/* ---- passes ---- */

/*
 * Slack as it is stored, from the gap to the second-nearest center, for the
 * movement summed so far of its segment.
 */
static inline float
stored_slack(const KmLloyd *lloyd, double gap, int own)
{
	double		slack = gap - lloyd->margin + lloyd->drift[own];

	slack -= SLACK_MARGIN * fabs(slack);
	/* k = 1: the gap is NaN, and there is nothing to move to */
	if (!(slack < SLACK_MAX))
		return (float) SLACK_MAX;
	return slack < SLACK_MIN ? -1 : (float) slack;
}

/* Take the kernel's word for one tile: move rows, renew slack. */
static inline int64_t
settle_tile(KmLloyd *lloyd, const double *tile, int nrows, int64_t first,
			const int64_t *id, const double *d1, const double *d2)
{
	uint16_t   *own = lloyd->own + first;
	float	   *slack = lloyd->slack + first;
	double		gap[KM_LANES];
	int64_t		moved = 0;

	km_gaps(d1, d2, KM_LANES, SLACK_MARGIN, gap);
	for (int l = 0; l < nrows; l++)
	{
		int			c = (int) id[l];

		if (!lloyd->assigned || own[l] != c)
		{
			int64_t		weight = km_row_weight(lloyd->table, tile + l);

			if (lloyd->assigned)
				change_sums(lloyd, tile + l, own[l], -weight, -1);
			change_sums(lloyd, tile + l, c, weight, 1);
			own[l] = (uint16_t) c;
			moved++;
		}
		slack[l] = stored_slack(lloyd, gap[l], c);
	}
	return moved;
}

/* What the whole group can stand, in terms of group_drift. */
static float
least_slack(const KmLloyd *lloyd, int64_t first, int nrows)
{
	double		least = INFINITY;

	for (int i = 0; i < nrows; i++)
	{
		double		left = lloyd->slack[first + i] -
			lloyd->drift[lloyd->own[first + i]];

		least = left < least ? left : least;
	}
	least += lloyd->group_drift;
	least -= SLACK_MARGIN * fabs(least);
	if (least < SLACK_MIN)
		return -1;
	return (float) (least < SLACK_MAX ? least : SLACK_MAX);
}

static inline bool
tile_may_change(const KmLloyd *lloyd, int64_t first, int nrows)
{
	bool		any = false;

	for (int l = 0; l < nrows; l++)
		any |= lloyd->slack[first + l] <= lloyd->drift[lloyd->own[first + l]];
	return any;
}

static int64_t
assign_group(KmLloyd *lloyd, const KmBlock *block, int tile, int ntiles,
			 bool bounded)
{
	const KmTable *table = lloyd->table;
	int64_t		id[GROUP_ROWS];
	double		d1[GROUP_ROWS];
	double		d2[GROUP_ROWS];
	int64_t		first = block->first + (int64_t) tile * KM_LANES;
	int64_t		moved = 0;

	if (!bounded)
		lloyd->nearest(lloyd->space, &lloyd->packed,
					   km_tile(table, block, tile), ntiles, table->nslots,
					   id, d1, d2);
	for (int t = 0; t < ntiles; t++)
	{
		const double *data = km_tile(table, block, tile + t);
		int			nrows = km_tile_rows(block, tile + t);
		int64_t		at = first + t * KM_LANES;
		int			l = t * KM_LANES;

		if (bounded)
		{
			if (!tile_may_change(lloyd, at, nrows))
				continue;
			lloyd->nearest(lloyd->space, &lloyd->packed, data, 1,
						   table->nslots, id + l, d1 + l, d2 + l);
		}
		moved += settle_tile(lloyd, data, nrows, at, id + l, d1 + l, d2 + l);
	}
	return moved;
}

KmStatus
km_lloyd_assign(KmLloyd *lloyd, bool bounded, int64_t *moved)
{
	const KmTable *table = lloyd->table;
	size_t		group = 0;
	double		row_work = (double) lloyd->k * (table->nfeatures + 2);

	*moved = 0;
	lloyd->evaluations += (double) table->nrows * lloyd->k;
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int tile = 0; tile < ntiles; tile += GROUP_TILES, group++)
		{
			int			here = ntiles - tile < GROUP_TILES ? ntiles - tile
				: GROUP_TILES;
			int64_t		first = (int64_t) tile * KM_LANES;
			int			nrows = block->nrows - first < GROUP_ROWS ?
				(int) (block->nrows - first) : GROUP_ROWS;

			if (bounded && lloyd->group_slack[group] > lloyd->group_drift)
			{
				/* a skipped group is work too: memory is read */
				if (!km_poll(lloyd->poll, 4))
					return KM_CANCELLED;
				continue;
			}
			*moved += assign_group(lloyd, block, tile, here, bounded);
			lloyd->group_slack[group] =
				least_slack(lloyd, block->first + first, nrows);
			if (!km_poll(lloyd->poll, nrows * row_work))
				return KM_CANCELLED;
		}
	}
	lloyd->assigned = true;
	lloyd->has_empty = false;
	for (int c = 0; c < lloyd->k; c++)
		lloyd->has_empty |= lloyd->size[c] == 0;
	return KM_OK;
}

KmStatus
km_lloyd_renumber(KmLloyd *lloyd, const int *order)
{
	const KmHost *host = lloyd->space->host;
	size_t		width = (size_t) lloyd->space->width;
	int			k = lloyd->k;
	KmWide	   *sums = km_alloc(host, (size_t) lloyd->max_k * width,
								sizeof(KmWide));
	KmWide	   *weight = km_alloc(host, lloyd->max_k, sizeof(KmWide));
	int64_t    *size = km_alloc(host, lloyd->max_k, sizeof(int64_t));
	double	   *drift = km_alloc(host, lloyd->max_k, sizeof(double));

	if (sums == NULL || weight == NULL || size == NULL || drift == NULL)
	{
		km_free(host, sums);
		km_free(host, weight);
		km_free(host, size);
		km_free(host, drift);
		return KM_NO_MEMORY;
	}
	for (int c = 0; c < k; c++)
	{
		memcpy(sums + order[c] * width, lloyd->sums + c * width,
			   sizeof(KmWide) * width);
		memcpy(lloyd->previous + order[c] * width, lloyd->centers + c * width,
			   sizeof(double) * width);
		weight[order[c]] = lloyd->weight[c];
		size[order[c]] = lloyd->size[c];
		drift[order[c]] = lloyd->drift[c];
	}
	km_free(host, lloyd->sums);
	km_free(host, lloyd->weight);
	km_free(host, lloyd->size);
	km_free(host, lloyd->drift);
	lloyd->sums = sums;
	lloyd->weight = weight;
	lloyd->size = size;
	lloyd->drift = drift;
	memcpy(lloyd->centers, lloyd->previous, sizeof(double) * k * width);
	km_packed_set(lloyd->space, &lloyd->packed, lloyd->centers, k);
	for (int64_t i = 0; i < lloyd->table->nrows; i++)
		lloyd->own[i] = (uint16_t) order[lloyd->own[i]];
	return KM_OK;
}

KmStatus
km_nearest_all(const KmLloyd *lloyd, uint16_t *own, double *d1, double *d2)
{
	const KmTable *table = lloyd->table;
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

			lloyd->nearest(lloyd->space, &lloyd->packed,
						   km_tile(table, block, tile), here, table->nslots,
						   id, d1 + first, d2 + first);
			for (int i = 0; i < here * KM_LANES; i++)
				own[first + i] = (uint16_t) id[i];
			if (!km_poll(lloyd->poll, (double) here * KM_LANES * lloyd->k *
						 (table->nfeatures + 2)))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/* ---- update ---- */

/* Which of two rows is first by content: rows have no other order. */
static bool
content_before(const KmTable *table, const double *a, const double *b)
{
	for (int s = 0; s < table->nfeatures; s++)
	{
		if (a[s * KM_LANES] != b[s * KM_LANES])
			return a[s * KM_LANES] < b[s * KM_LANES];
	}
	return false;
}

/*
 * The row farthest from its center, as the centers stand in packed; -1 when
 * all rows are at their centers.
 */
static KmStatus
farthest_row(KmLloyd *lloyd, int64_t *row)
{
	const KmTable *table = lloyd->table;
	double		most = 0;
	const double *lane = NULL;

	*row = -1;
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int tile = 0; tile < ntiles; tile++)
		{
			const double *data = km_tile(table, block, tile);
			int			nrows = km_tile_rows(block, tile);
			int64_t		id[KM_LANES];
			double		d1[KM_LANES];
			double		d2[KM_LANES];

			lloyd->nearest(lloyd->space, &lloyd->packed, data, 1,
						   table->nslots, id, d1, d2);
			for (int l = 0; l < nrows; l++)
			{
				if (d1[l] > most || (lane != NULL && d1[l] == most &&
									 content_before(table, data + l, lane)))
				{
					most = d1[l];
					lane = data + l;
					*row = block->first + tile * KM_LANES + l;
				}
			}
			if (!km_poll(lloyd->poll, (double) KM_LANES * lloyd->k *
						 (table->nfeatures + 2)))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

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

		if (lloyd->size[c] > 0)
			km_mean_center(space, space->unit, lloyd->sums + at,
						   (int64_t) lloyd->weight[c], lloyd->centers + at);
	}
}

/* Add this update's movements to what slack is compared with. */
static void
add_drift(KmLloyd *lloyd)
{
	int			width = lloyd->space->width;
	double		first = 0;
	double		second = 0;
	int			fastest = -1;
	double		most = 0;

	for (int pass = 0; pass < 2; pass++)
	{
		for (int c = 0; c < lloyd->k; c++)
		{
			const double *a = lloyd->centers + (size_t) c * width;
			const double *b = lloyd->previous + (size_t) c * width;
			double		square = 0;
			double		way;

			for (int j = 0; j < width; j++)
				square += (a[j] - b[j]) * (a[j] - b[j]);
			way = sqrt(square) * (1 + 1e-9);
			if (pass == 0)
			{
				if (way > first)
				{
					second = first;
					first = way;
					fastest = c;
				}
				else if (way > second)
					second = way;
			}
			else
			{
				way += c == fastest ? second : first;
				lloyd->drift[c] += way;
				most = way > most ? way : most;
			}
		}
	}
	lloyd->group_drift += most;
}

KmStatus
km_lloyd_update(KmLloyd *lloyd)
{
	size_t		cells = (size_t) lloyd->k * lloyd->space->width;

	memcpy(lloyd->previous, lloyd->centers, sizeof(double) * cells);
	compute_means(lloyd);
	if (lloyd->has_empty)
	{
		int64_t		row;

		KM_TRY(farthest_row(lloyd, &row));
		for (int c = 0; c < lloyd->k && row >= 0; c++)
		{
			if (lloyd->size[c] == 0)
			{
				km_row_center(lloyd->table, lloyd->space, row,
							  lloyd->centers + (size_t) c * lloyd->space->width);
				break;
			}
		}
		if (row < 0)
			lloyd->has_empty = false;
	}
	add_drift(lloyd);
	km_packed_set(lloyd->space, &lloyd->packed, lloyd->centers, lloyd->k);
	return KM_OK;
}

double
km_lloyd_inertia(const KmLloyd *lloyd)
{
	const KmSpace *space = lloyd->space;
	double		between = 0;

	for (int c = 0; c < lloyd->k; c++)
	{
		const KmWide *sums = lloyd->sums + (size_t) c * space->width;
		double		weight = (double) lloyd->weight[c];
		double		square = 0;

		if (lloyd->size[c] == 0)
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
		KM_TRY(km_lloyd_assign(lloyd, true, &moved));
		if (moved == 0 && !had_empty)
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
