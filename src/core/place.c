/*
 * place.c
 *		From raw rows to positions, in place: clipping, missing values, scaling,
 *		the grid; cosine's length of 1.
 *
 * What this takes is flat bytes, made from the features when they are known,
 * so that rows can be placed in another process, or on another machine.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

#define MAGIC	UINT32_C(0x6b6d7031)

#define GRID_MAX	1000

typedef struct Header
{
	uint32_t	magic;
	int32_t		nnum;
	int32_t		ncat;
	int32_t		cosine;
	KmRounding	rounding;
} Header;

/* A numeric slot. */
typedef struct Axis
{
	double		low;			/* clip bounds, infinite: none */
	double		high;
	double		origin;
	double		divisor;
	double		factor;
	double		multiplier;
	double		magic;			/* rounds to the grid */
	double		fill;			/* the position of a missing value */
	int32_t		grid;
	int32_t		is_plain;		/* no value is missing, none overflows */
} Axis;

/* A categorical slot; then the position of each code, n of them. */
typedef struct Codes
{
	int32_t		n;
	int32_t		fill;			/* for a missing value */
} Codes;

/* codes are followed by others, which stand on 8 bytes */
static size_t
codes_size(int n)
{
	return sizeof(Codes) + ((size_t) n + 1) / 2 * 2 * sizeof(int32_t);
}

size_t
km_placing_size(const KmSpace *space)
{
	size_t		size = sizeof(Header) + (size_t) space->nnum * sizeof(Axis);

	for (int f = 0; f < space->nfeatures; f++)
	{
		if (space->features[f].kind == KM_CATEGORY)
			size += codes_size(space->features[f].ncategories);
	}
	return size;
}

static void
write_axis(const KmTable *table, const KmSpace *space, int f, Axis *axis)
{
	const KmFeature *feature = &space->features[f];

	axis->low = feature->clip_low;
	axis->high = feature->clip_high;
	axis->origin = feature->origin;
	axis->divisor = feature->divisor;
	axis->factor = feature->factor;
	axis->multiplier = km_multiplier(feature);
	axis->magic = ldexp(1.5, 52 - feature->grid);
	axis->fill = space->cosine ? km_position_raw(feature, feature->mean) :
		km_position(feature, feature->mean);
	axis->grid = feature->grid;
	axis->is_plain = table->missing[f] == 0 && axis->multiplier != 0 &&
		isfinite(feature->min - feature->origin) &&
		isfinite(feature->max - feature->origin);
}

void
km_placing_write(const KmTable *table, const KmSpace *space,
				 const KmRounding *rounding, const int *const *recode,
				 void *bytes)
{
	Header	   *header = bytes;
	Axis	   *axes = (Axis *) (header + 1);
	Codes	   *codes = (Codes *) (axes + space->nnum);

	memset(bytes, 0, km_placing_size(space));
	header->magic = MAGIC;
	header->nnum = space->nnum;
	header->ncat = space->ncat;
	header->cosine = space->cosine;
	header->rounding = *rounding;
	for (int slot = 0; slot < space->nfeatures; slot++)
	{
		int			f = space->feature[slot];
		const KmFeature *feature = &space->features[f];
		int32_t    *to = (int32_t *) (codes + 1);

		if (slot < space->nnum)
		{
			write_axis(table, space, f, &axes[slot]);
			continue;
		}
		codes->n = feature->ncategories;
		codes->fill = km_most_frequent(feature);
		for (int v = 0; v < codes->n; v++)
			to[v] = recode == NULL ? v : recode[f][v];
		codes = (Codes *) ((char *) codes + codes_size(codes->n));
	}
}

static bool
axes_are_sane(const Axis *axes, int n)
{
	for (int i = 0; i < n; i++)
	{
		/* a fit's are far from that (scale.c); steps shift by it */
		if (axes[i].grid < -GRID_MAX || axes[i].grid > GRID_MAX)
			return false;
	}
	return true;
}

static bool
codes_are_sane(const Codes *codes)
{
	const int32_t *to = (const int32_t *) (codes + 1);

	if (codes->fill < 0 || codes->fill >= codes->n)
		return false;
	for (int v = 0; v < codes->n; v++)
	{
		if (to[v] < 0 || to[v] >= codes->n)
			return false;
	}
	return true;
}

KmStatus
km_placing_check(const void *bytes, size_t size, const KmTable *table)
{
	const Header *header = bytes;
	const char *at = (const char *) bytes + sizeof(Header);
	const char *end = (const char *) bytes + size;

	if (size < sizeof(Header) || header->magic != MAGIC ||
		header->nnum != table->nnum || header->ncat != table->ncat ||
		(header->cosine != 0) != (table->length_slot >= 0) ||
		(size_t) (end - at) / sizeof(Axis) < (size_t) table->nnum ||
		!axes_are_sane((const Axis *) at, table->nnum))
		return KM_BAD_FORMAT;
	at += (size_t) table->nnum * sizeof(Axis);
	for (int c = 0; c < table->ncat; c++)
	{
		const Codes *codes = (const Codes *) at;

		if ((size_t) (end - at) < sizeof(Codes) || codes->n < 1 ||
			codes->n > KM_MAX_WIDTH ||
			(size_t) (end - at) < codes_size(codes->n) ||
			!codes_are_sane(codes))
			return KM_BAD_FORMAT;
		at += codes_size(codes->n);
	}
	return at == end ? KM_OK : KM_BAD_FORMAT;
}

/* ---- rows ---- */

/* any value, missing ones among them */
static void
place_any(const Axis *axis, bool cosine, double *x)
{
	KmFeature	feature = {
		.clip_low = axis->low,
		.clip_high = axis->high,
		.origin = axis->origin,
		.divisor = axis->divisor,
		.factor = axis->factor,
		.grid = axis->grid
	};

	for (int l = 0; l < KM_LANES; l++)
	{
		if (isnan(x[l]))
			x[l] = axis->fill;
		else if (cosine)
			x[l] = km_position_raw(&feature, x[l]);
		else
			x[l] = km_position(&feature, x[l]);
	}
}

static void
place_numbers(const Axis *axis, bool cosine, const KmTable *table,
			  KmBlock *block, int slot)
{
	int			ntiles = km_block_tiles(block);
	double		low = axis->low;
	double		high = axis->high;
	double		origin = axis->origin;
	double		multiplier = axis->multiplier;
	double		magic = axis->magic;

	for (int t = 0; t < ntiles; t++)
	{
		double	   *x = km_tile(table, block, t) + slot * KM_LANES;

		if (!axis->is_plain)
		{
			place_any(axis, cosine, x);
			continue;
		}
		for (int l = 0; l < KM_LANES; l++)
		{
			x[l] = x[l] < low ? low : x[l];
			x[l] = x[l] > high ? high : x[l];
			x[l] = (x[l] - origin) * multiplier;
		}
		/* km_position() for values within the fit's own range */
		for (int l = 0; l < KM_LANES && !cosine; l++)
			x[l] = (x[l] + magic) - magic;
	}
}

static KmStatus
place_codes(const Codes *codes, const KmTable *table, KmBlock *block,
			int slot)
{
	const int32_t *to = (const int32_t *) (codes + 1);
	double		n = codes->n;

	for (int i = 0; i < block->nrows; i++)
	{
		double	   *x = km_cell(table, block, i, slot);

		if (isnan(*x))
			*x = codes->fill;
		else if (*x >= 0 && *x < n)
			*x = to[(int) *x];
		else
			return KM_BAD_FORMAT;
	}
	return KM_OK;
}

static void
place_weights(const KmRounding *rounding, const KmTable *table,
			  KmBlock *block)
{
	for (int i = 0; i < block->nrows; i++)
	{
		double	   *w = km_cell(table, block, i, table->weight_slot);

		*w = km_round_weight(rounding, *w);
	}
}

/* cosine: rows of length 1, and the length beside */
static void
normalize_rows(const KmTable *table, KmBlock *block)
{
	for (int i = 0; i < block->nrows; i++)
	{
		double	   *lane = km_cell(table, block, i, 0);

		lane[table->length_slot * KM_LANES] =
			km_normalize(lane, KM_LANES, table->nnum);
	}
}

/*
 * Lanes behind the last row, which kernels work on with the others: where the
 * value 0 would stand may be beyond all that positions can be.
 */
static void
clear_rest(const KmTable *table, KmBlock *block)
{
	int			ntiles = km_block_tiles(block);

	for (int i = block->nrows; i < ntiles * KM_LANES; i++)
	{
		double	   *lane = km_cell(table, block, i, 0);

		for (int s = 0; s < table->nslots; s++)
			lane[s * KM_LANES] = 0;
	}
}

KmStatus
km_place_block(const void *placing, const KmTable *table, KmBlock *block)
{
	const Header *header = placing;
	const Axis *axes = (const Axis *) (header + 1);
	const Codes *codes = (const Codes *) (axes + table->nnum);

	for (int slot = 0; slot < table->nnum; slot++)
		place_numbers(&axes[slot], header->cosine, table, block, slot);
	for (int c = 0; c < table->ncat; c++)
	{
		KM_TRY(place_codes(codes, table, block, table->nnum + c));
		codes = (const Codes *) ((const char *) codes + codes_size(codes->n));
	}
	if (table->weight_slot >= 0)
		place_weights(&header->rounding, table, block);
	if (table->length_slot >= 0)
		normalize_rows(table, block);
	clear_rest(table, block);
	return KM_OK;
}

/* ---- the step ---- */

static KmStatus
open_place(KmJob *job)
{
	return km_placing_check(job->input, job->input_size, job->table);
}

static KmStatus
add_place(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;

	KM_TRY(km_place_block(job->input, table, block));
	return km_poll(job->poll, (double) block->nrows * table->nnum *
				   (table->length_slot >= 0 ? 5 : 1)) ? KM_OK : KM_CANCELLED;
}

/* nothing is found, so there is nothing to merge */
static size_t
size_place(const KmJob *job)
{
	(void) job;
	return 0;
}

static void
write_place(const KmJob *job, unsigned char *bytes)
{
	(void) job;
	(void) bytes;
}

static KmStatus
merge_place(KmJob *job, const unsigned char *bytes, size_t size)
{
	(void) job;
	(void) bytes;
	return size == 0 ? KM_OK : KM_BAD_FORMAT;
}

static void
close_place(KmJob *job)
{
	(void) job;
}

const KmStep km_step_place = {
	.id = KM_STEP_PLACE,
	.name = "place",
	.changes_rows = true,
	.open = open_place,
	.add = add_place,
	.size = size_place,
	.write = write_place,
	.merge = merge_place,
	.close = close_place
};
