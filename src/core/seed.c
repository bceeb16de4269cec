/*
 * seed.c
 *		Drawing rows, and greedy k-means++ with it.
 *
 * A draw with probability proportional to a weight is an exponential race:
 * each row's clock shows E / weight, the smallest wins.  E comes from a hash of
 * the row's content, the seed and the number of the draw, so the winner does
 * not depend on where the row stands.  The next smallest are further draws
 * without replacement, at no cost.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

#define DRAW_MAX	16

int
km_draw_rows(KmSearch *search, const double *d, int count, int64_t *rows)
{
	const uint64_t *hash = search->sample->hash;
	const double *weight = search->weight;
	int64_t		n = search->sample->distinct;
	uint64_t	stream = km_mix(search->seed +
								km_mix(++search->step));
	double		keys[DRAW_MAX];
	double		worst = INFINITY;
	int			have = 0;

	for (int64_t i = 0; i < n; i++)
	{
		double		w = d == NULL ? weight[i] : weight[i] * d[i];
		double		u = km_uniform(km_mix(hash[i] ^ stream));
		double		key;
		int			at;

		/* -ln(1 - u) > u: most rows are out before the logarithm */
		if (!(w > 0) || u >= worst * w)
			continue;
		key = -km_log(1 - u) / w;
		if (key >= worst)
			continue;
		at = have < count ? have++ : count - 1;
		/* NOLINTNEXTLINE(clang-analyzer-core.*): count is 1 at least */
		while (at > 0 && keys[at - 1] > key)
		{
			keys[at] = keys[at - 1];
			rows[at] = rows[at - 1];
			at--;
		}
		keys[at] = key;
		rows[at] = i;
		if (have == count)
			worst = keys[count - 1];
	}
	return have;
}

KmStatus
km_distances(KmSearch *search, int64_t row, double *distances)
{
	const KmTable *table = &search->sample->table;
	const KmBlock *block = table->blocks;
	int			ntiles = km_block_tiles(block);
	int64_t		id[KM_KERNEL_TILES * KM_LANES];
	double		second[KM_KERNEL_TILES * KM_LANES];

	km_row_center(table, search->space, row, search->point);
	km_packed_set(search->space, &search->packed, search->point, 1);
	for (int tile = 0; tile < ntiles; tile += KM_KERNEL_TILES)
	{
		int			here = ntiles - tile < KM_KERNEL_TILES ? ntiles - tile
			: KM_KERNEL_TILES;

		search->nearest(search->space, &search->packed,
						km_tile(table, block, tile), here, table->nslots,
						id, distances + tile * KM_LANES, second);
		if (!km_poll(search->poll, (double) here * KM_LANES *
					 (table->nfeatures + 2)))
			return KM_CANCELLED;
	}
	search->evaluations += (double) table->nrows;
	return KM_OK;
}

/*
 * Of 2 + ln k candidates the one that lowers the inertia most, as in
 * scikit-learn (Arthur, Vassilvitskii, "k-means++: the advantages of careful
 * seeding", 2007, section 5).
 */
KmStatus
km_seed(KmSearch *search, double *centers, int have, int k, int *got)
{
	const KmTable *table = &search->sample->table;
	int64_t		n = search->sample->distinct;
	size_t		width = (size_t) search->space->width;
	int			candidates = 2 + (int) -km_log(1.0 / (k + 1));
	int64_t		rows[DRAW_MAX];

	*got = have;
	if (have > 0)
	{
		km_lloyd_start(&search->lloyd, centers, have);
		KM_TRY(km_nearest_all(&search->lloyd, search->own, search->d1,
							  search->d2));
		search->evaluations += (double) n * have;
	}
	while (*got < k)
	{
		int			drawn = km_draw_rows(search, *got == 0 ? NULL : search->d1,
										 *got == 0 ? 1 : candidates, rows);
		double		least = INFINITY;
		int			best = -1;

		for (int i = 0; i < drawn; i++)
		{
			double		inertia = 0;

			KM_TRY(km_distances(search, rows[i], search->dx));
			for (int64_t r = 0; r < n; r++)
			{
				if (*got > 0 && search->d1[r] < search->dx[r])
					search->dx[r] = search->d1[r];
				inertia += search->weight[r] * search->dx[r];
			}
			if (inertia < least)
			{
				double	   *swap = search->spare;

				search->spare = search->dx;
				search->dx = swap;
				least = inertia;
				best = i;
			}
		}
		if (best < 0)
			break;
		km_row_center(table, search->space, rows[best],
					  centers + (size_t) *got * width);
		{
			double	   *swap = search->d1;

			search->d1 = search->spare;
			search->spare = swap;
		}
		(*got)++;
	}
	return KM_OK;
}
