/*
 * distances.c
 *		Distances of all rows to their own centers, summed per segment.
 *
 * In fixed point, so that the sums depend on no order.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* squared distance of each lane to its own center */
static void
own_distances(const KmSpace *space, const KmPacked *packed,
			  const double *tile, int nrows, const uint16_t *own,
			  double *square)
{
	for (int l = 0; l < nrows; l++)
	{
		const double *center = packed->numeric +
			(size_t) own[l] * space->nnum;
		double		d = 0;

		for (int s = 0; s < space->nnum; s++)
		{
			double		e = tile[s * KM_LANES + l] - center[s];

			d += e * e;
		}
		for (int f = 0; f < space->ncat; f++)
			d += packed->tables[f]
				[(size_t) tile[(space->nnum + f) * KM_LANES + l] *
				 packed->stride + own[l]];
		square[l] = d;
	}
}

static inline void
add_fixed(FixedSum *sum, int64_t whole, int64_t fraction, int64_t weight)
{
	sum->high += (KmWide) whole * weight;
	sum->low += (KmWide) fraction * weight;
}

double
km_fixed_value(const FixedSum *sum)
{
	KmWide		carry = sum->low >> 62;

	return (double) (sum->high + carry) +
		(double) (sum->low - (carry << 62)) * 0x1p-62;
}

FixedScale
km_fixed_scales(double bound)
{
	FixedScale	scale;

	scale.square = km_fixed_scale(bound);
	scale.root = km_fixed_scale(sqrt(bound));
	return scale;
}

KmStatus
km_own_bounds(const KmTable *table, const KmSpace *space,
			  const KmPacked *packed, const uint16_t *own, KmPoll *poll,
			  double *bounds)
{
	memset(bounds, 0, sizeof(double) * packed->k);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			int			nrows = km_tile_rows(block, t);
			const uint16_t *tile_own = (own == NULL ? km_block_own(block) :
										own + block->first) + t * KM_LANES;
			double		square[KM_LANES];

			own_distances(space, packed, km_tile(table, block, t), nrows,
						  tile_own, square);
			for (int l = 0; l < nrows; l++)
			{
				double	   *bound = &bounds[tile_own[l]];

				*bound = square[l] > *bound ? square[l] : *bound;
			}
		}
		if (!km_poll(poll, (double) block->nrows * (table->nslots + 4)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_sum_own_distances(const KmTable *table, const KmSpace *space,
					 const KmPacked *packed, const uint16_t *own,
					 const FixedScale *scales, int step, KmPoll *poll,
					 SegmentSums *sums)
{
	memset(sums, 0, sizeof(SegmentSums) * packed->k);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			nrows = km_tile_rows(block, t);
			const uint16_t *tile_own = (own == NULL ? km_block_own(block) :
										own + block->first) + t * KM_LANES;
			double		square[KM_LANES];

			own_distances(space, packed, tile, nrows, tile_own, square);
			for (int l = 0; l < nrows; l++)
			{
				const FixedScale *scale = &scales[tile_own[l] * step];
				double		scaled = square[l] * scale->square;
				int64_t		whole = (int64_t) scaled;
				int64_t		fraction = (int64_t)
					((scaled - (double) whole) * 0x1p62);
				SegmentSums *to = &sums[tile_own[l]];

				add_fixed(&to->plain, whole, fraction, 1);
				add_fixed(&to->square, whole, fraction,
						  km_row_weight(table, tile + l));
				to->way += (int64_t) (sqrt(square[l]) * scale->root);
			}
		}
		if (!km_poll(poll, (double) block->nrows * (table->nslots + 8)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_sum_distances(KmFit *fit, SegmentSums *sums)
{
	FixedScale	scale = km_fixed_scales(fit->bound);

	return km_sum_own_distances(fit->table, &fit->space, &fit->lloyd.packed,
								NULL, &scale, 0, &fit->poll, sums);
}

double
km_total_inertia(const KmFit *fit, const SegmentSums *sums, int k)
{
	FixedSum	total = {0, 0};

	for (int c = 0; c < k; c++)
	{
		total.high += sums[c].square.high;
		total.low += sums[c].square.low;
	}
	return km_fixed_value(&total) / km_fixed_scale(fit->bound) *
		fit->weight_unit;
}
