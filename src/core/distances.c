/*
 * distances.c
 *		Distances of all rows to their own centers: summed per segment, and the
 *		largest of each.
 *
 * A row's own segment stands beside it, or is that of its nearest center; the
 * distance may be measured to something else than that center.  Sums are in
 * fixed point, so that they depend on no order.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* distances are looked at so many tiles at a time */
#define GROUP_ROWS		(KM_KERNEL_TILES * KM_LANES)

/* ---- each row's own segment ---- */

static size_t
centers_size(const KmCenters *centers, int width)
{
	return (size_t) centers->k * width * sizeof(double) *
		(centers->has_targets ? 2 : 1);
}

KmStatus
km_owners_open(KmOwners *owners, const KmJob *job, const KmCenters *centers,
			   const double *positions, size_t size)
{
	const KmSpace *space = job->space;
	int			k = centers->k;

	memset(owners, 0, sizeof(*owners));
	if (k < 1 || k > KM_MAX_K || size != centers_size(centers, space->width))
		return KM_BAD_FORMAT;
	owners->nearest = km_nearest_kernel(job->simd);
	KM_TRY(km_packed_create(space, k, &owners->centers));
	km_packed_set(space, &owners->centers, positions, k);
	if (!centers->has_targets)
		return KM_OK;
	KM_TRY(km_packed_create(space, k, &owners->targets));
	km_packed_set(space, &owners->targets,
				  positions + (size_t) k * space->width, k);
	owners->has_targets = true;
	return KM_OK;
}

void
km_owners_close(KmOwners *owners, const KmJob *job)
{
	if (owners->centers.memory != NULL)
		km_packed_free(job->space, &owners->centers);
	if (owners->targets.memory != NULL)
		km_packed_free(job->space, &owners->targets);
}

const uint16_t *
km_owners_find(const KmOwners *owners, const KmJob *job,
			   const KmBlock *block, int tile, int ntiles, uint16_t *scratch)
{
	int64_t		id[GROUP_ROWS];
	double		d1[GROUP_ROWS];
	double		d2[GROUP_ROWS];

	if (block->beside != NULL)
		return km_block_own(block) + tile * KM_LANES;
	owners->nearest(job->space, &owners->centers,
					km_tile(job->table, block, tile), ntiles,
					job->table->nslots, id, d1, d2);
	for (int i = 0; i < ntiles * KM_LANES; i++)
		scratch[i] = (uint16_t) id[i];
	return scratch;
}

/* squared distance of each row of a tile to what its segment is measured to */
static void
measure_tile(const KmOwners *owners, const KmSpace *space, const double *tile,
			 int nrows, const uint16_t *own, double *square)
{
	const KmPacked *packed = owners->has_targets ? &owners->targets :
		&owners->centers;

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

/* what a step does with a tile whose rows have these segments */
typedef void (*TileWork) (void *state, const KmJob *job, const double *tile,
						  int nrows, const uint16_t *own);

static KmStatus
work_on_block(const KmOwners *owners, KmJob *job, KmBlock *block,
			  TileWork work)
{
	const KmTable *table = job->table;
	int			ntiles = km_block_tiles(block);
	double		row_work = table->nslots + 8 +
		(block->beside != NULL ? 0 :
		 (double) owners->centers.k * table->nslots);

	for (int tile = 0; tile < ntiles; tile += KM_KERNEL_TILES)
	{
		int			here = ntiles - tile < KM_KERNEL_TILES ? ntiles - tile :
			KM_KERNEL_TILES;
		uint16_t	scratch[GROUP_ROWS];
		const uint16_t *own = km_owners_find(owners, job, block, tile, here,
											 scratch);

		for (int t = 0; t < here; t++)
			work(job->state, job, km_tile(table, block, tile + t),
				 km_tile_rows(block, tile + t), own + t * KM_LANES);
		if (!km_poll(job->poll, here * KM_LANES * row_work))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* ---- KM_STEP_DISTANCES ---- */

typedef struct Distances
{
	int			k;
	int			step;			/* from one segment's scale to the next's */
	const FixedScale *scales;	/* the input's */
	KmOwners	owners;
	SegmentSums *sums;
} Distances;

static KmStatus
open_distances(KmJob *job)
{
	const KmDistancesInput *input = job->input;
	size_t		scales;
	Distances  *d;

	if (job->input_size < sizeof(*input) ||
		(input->nscales != 1 && input->nscales != input->centers.k))
		return KM_BAD_FORMAT;
	scales = (size_t) input->nscales * sizeof(FixedScale);
	if (job->input_size - sizeof(*input) < scales)
		return KM_BAD_FORMAT;
	job->state = d = km_alloc_zero(job->host, 1, sizeof(Distances));
	if (d == NULL)
		return KM_NO_MEMORY;
	d->k = input->centers.k;
	d->step = input->nscales == 1 ? 0 : 1;
	d->scales = (const FixedScale *) (input + 1);
	KM_TRY(km_owners_open(&d->owners, job, &input->centers,
						  (const double *) (d->scales + input->nscales),
						  job->input_size - sizeof(*input) - scales));
	d->sums = km_alloc_zero(job->host, d->k, sizeof(SegmentSums));
	return d->sums == NULL ? KM_NO_MEMORY : KM_OK;
}

static void
close_distances(KmJob *job)
{
	Distances  *d = job->state;

	if (d == NULL)
		return;
	km_owners_close(&d->owners, job);
	km_free(job->host, d->sums);
	km_free(job->host, d);
	job->state = NULL;
}

static inline void
add_fixed(FixedSum *sum, int64_t whole, int64_t fraction, int64_t weight)
{
	sum->high += (KmWide) whole * weight;
	sum->low += (KmWide) fraction * weight;
}

static void
sum_tile(void *state, const KmJob *job, const double *tile, int nrows,
		 const uint16_t *own)
{
	Distances  *d = state;
	double		square[KM_LANES];

	measure_tile(&d->owners, job->space, tile, nrows, own, square);
	for (int l = 0; l < nrows; l++)
	{
		const FixedScale *scale = &d->scales[own[l] * d->step];
		/* a bound that is none, from elsewhere, must not overflow */
		double		scaled = fmin(square[l] * scale->square, 0x1p62);
		int64_t		whole = (int64_t) scaled;
		int64_t		fraction = (int64_t)
			((scaled - (double) whole) * 0x1p62);
		SegmentSums *to = &d->sums[own[l]];

		add_fixed(&to->plain, whole, fraction, 1);
		add_fixed(&to->square, whole, fraction,
				  km_row_weight(job->table, tile + l));
		to->way += (int64_t) fmin(sqrt(square[l]) * scale->root, 0x1p62);
	}
}

static KmStatus
add_distances(KmJob *job, KmBlock *block)
{
	Distances  *d = job->state;

	return work_on_block(&d->owners, job, block, sum_tile);
}

static size_t
size_distances(const KmJob *job)
{
	const Distances *d = job->state;

	return (size_t) d->k * sizeof(SegmentSums);
}

static void
write_distances(const KmJob *job, unsigned char *bytes)
{
	const Distances *d = job->state;

	memcpy(bytes, d->sums, size_distances(job));
}

/*
 * Each row adds less than 2^62, as often as it weighs, and all weights
 * together are below 2^62: sums of others are not beyond that, nor below 0.
 */
static bool
merge_wide(KmWide *into, KmWide from)
{
	const KmWide most = (KmWide) 1 << 124;

	if (from < 0 || from > most || *into > most - from)
		return false;
	*into += from;
	return true;
}

static KmStatus
merge_distances(KmJob *job, const unsigned char *bytes, size_t size)
{
	Distances  *d = job->state;

	if (size != size_distances(job))
		return KM_BAD_FORMAT;
	for (int c = 0; c < d->k; c++, bytes += sizeof(SegmentSums))
	{
		SegmentSums from;

		memcpy(&from, bytes, sizeof(from));
		if (!merge_wide(&d->sums[c].square.high, from.square.high) ||
			!merge_wide(&d->sums[c].square.low, from.square.low) ||
			!merge_wide(&d->sums[c].plain.high, from.plain.high) ||
			!merge_wide(&d->sums[c].plain.low, from.plain.low) ||
			!merge_wide(&d->sums[c].way, from.way))
			return KM_BAD_FORMAT;
	}
	return KM_OK;
}

const KmStep km_step_distances = {
	.id = KM_STEP_DISTANCES,
	.name = "distances",
	.open = open_distances,
	.add = add_distances,
	.size = size_distances,
	.write = write_distances,
	.merge = merge_distances,
	.close = close_distances
};

/* ---- KM_STEP_EXTENT ---- */

typedef struct Extent
{
	KmExtent	found;
	int			k;				/* 0: no segments */
	KmOwners	owners;
} Extent;

static KmStatus
open_extent(KmJob *job)
{
	const KmCenters *input = job->input;
	Extent	   *e;

	if (job->input_size < sizeof(*input))
		return KM_BAD_FORMAT;
	job->state = e = km_alloc_zero(job->host, 1, sizeof(Extent));
	if (e == NULL)
		return KM_NO_MEMORY;
	e->found.largest = km_alloc_zero(job->host, job->table->nnum,
									 sizeof(double));
	if (e->found.largest == NULL)
		return KM_NO_MEMORY;
	if (input->k == 0)
		return job->input_size == sizeof(*input) ? KM_OK : KM_BAD_FORMAT;
	KM_TRY(km_owners_open(&e->owners, job, input, (const double *) (input + 1),
						  job->input_size - sizeof(*input)));
	e->k = input->k;
	e->found.bounds = km_alloc_zero(job->host, e->k, sizeof(double));
	return e->found.bounds == NULL ? KM_NO_MEMORY : KM_OK;
}

static void
close_extent(KmJob *job)
{
	Extent	   *e = job->state;

	if (e == NULL)
		return;
	km_owners_close(&e->owners, job);
	km_free(job->host, e->found.largest);
	km_free(job->host, e->found.bounds);
	km_free(job->host, e);
	job->state = NULL;
}

static void
extend_positions(KmExtent *found, const KmTable *table, const double *tile,
				 int nrows)
{
	for (int s = 0; s < table->nnum; s++)
	{
		const double *x = tile + s * KM_LANES;

		for (int l = 0; l < nrows; l++)
			found->largest[s] = fmax(found->largest[s], fabs(x[l]));
	}
	for (int l = 0; l < nrows && table->length_slot >= 0; l++)
		found->longest = fmax(found->longest,
							  tile[table->length_slot * KM_LANES + l]);
}

static void
extend_bounds(void *state, const KmJob *job, const double *tile, int nrows,
			  const uint16_t *own)
{
	Extent	   *e = state;
	double		square[KM_LANES];

	measure_tile(&e->owners, job->space, tile, nrows, own, square);
	for (int l = 0; l < nrows; l++)
	{
		double	   *bound = &e->found.bounds[own[l]];

		*bound = square[l] > *bound ? square[l] : *bound;
	}
}

static KmStatus
add_extent(KmJob *job, KmBlock *block)
{
	Extent	   *e = job->state;
	int			ntiles = km_block_tiles(block);

	for (int t = 0; t < ntiles; t++)
	{
		extend_positions(&e->found, job->table, km_tile(job->table, block, t),
						 km_tile_rows(block, t));
		if (!km_poll(job->poll, KM_LANES * (double) job->table->nslots))
			return KM_CANCELLED;
	}
	return e->k == 0 ? KM_OK :
		work_on_block(&e->owners, job, block, extend_bounds);
}

/* longest, then the largest positions, then the bounds */
static size_t
size_extent(const KmJob *job)
{
	const Extent *e = job->state;

	return sizeof(double) * (1 + (size_t) job->table->nnum + e->k);
}

static void
write_extent(const KmJob *job, unsigned char *bytes)
{
	const Extent *e = job->state;
	size_t		n = sizeof(double) * job->table->nnum;

	memcpy(bytes, &e->found.longest, sizeof(double));
	memcpy(bytes + sizeof(double), e->found.largest, n);
	if (e->k > 0)
		memcpy(bytes + sizeof(double) + n, e->found.bounds,
			   sizeof(double) * e->k);
}

static KmStatus
merge_largest(double *into, int n, const unsigned char **bytes)
{
	for (int i = 0; i < n; i++, *bytes += sizeof(double))
	{
		double		x;

		memcpy(&x, *bytes, sizeof(x));
		if (!(x >= 0))
			return KM_BAD_FORMAT;
		into[i] = fmax(into[i], x);
	}
	return KM_OK;
}

static KmStatus
merge_extent(KmJob *job, const unsigned char *bytes, size_t size)
{
	Extent	   *e = job->state;

	if (size != size_extent(job))
		return KM_BAD_FORMAT;
	KM_TRY(merge_largest(&e->found.longest, 1, &bytes));
	KM_TRY(merge_largest(e->found.largest, job->table->nnum, &bytes));
	return merge_largest(e->found.bounds, e->k, &bytes);
}

const KmStep km_step_extent = {
	.id = KM_STEP_EXTENT,
	.name = "extent",
	.open = open_extent,
	.add = add_extent,
	.size = size_extent,
	.write = write_extent,
	.merge = merge_extent,
	.close = close_extent
};

/* ---- passes ---- */

FixedScale
km_fixed_scales(double bound)
{
	FixedScale	scale;

	scale.square = km_fixed_scale(bound);
	scale.root = km_fixed_scale(sqrt(bound));
	return scale;
}

double
km_fixed_value(const FixedSum *sum)
{
	KmWide		carry = sum->low >> 62;

	return (double) (sum->high + carry) +
		(double) (sum->low & ((INT64_C(1) << 62) - 1)) * 0x1p-62;
}

/* The input of a job: head, an array, centers, and targets if there are. */
static KmStatus
make_input(KmJob *job, const void *head, size_t head_size, const void *array,
		   size_t array_size, int k, const double *centers,
		   const double *targets)
{
	size_t		n = (size_t) k * job->space->width * sizeof(double);
	char	   *input;

	job->input_size = head_size + array_size + n * (targets != NULL ? 2 : 1);
	input = km_alloc(job->host, 1, job->input_size);
	job->input = input;
	if (input == NULL)
		return KM_NO_MEMORY;
	memcpy(input, head, head_size);
	if (array_size > 0)
		memcpy(input + head_size, array, array_size);
	input += head_size + array_size;
	if (n > 0)
		km_copy(job->host, input, centers, n);
	if (targets != NULL)
		km_copy(job->host, input + n, targets, n);
	return KM_OK;
}

KmStatus
km_sum_own_distances(KmRun *run, int k, const double *centers,
					 const double *targets, const FixedScale *scales,
					 int nscales, SegmentSums *sums)
{
	KmDistancesInput input = {{k, targets != NULL}, nscales, 0};
	KmJob		job = km_run_job(run, &km_step_distances);
	KmStatus	status = make_input(&job, &input, sizeof(input), scales,
									nscales * sizeof(FixedScale), k, centers,
									targets);

	if (status == KM_OK)
		status = km_pass(run->source, &job);
	if (status == KM_OK)
		memcpy(sums, ((Distances *) job.state)->sums,
			   sizeof(SegmentSums) * k);
	close_distances(&job);
	km_free(run->host, (void *) job.input);
	return status;
}

KmStatus
km_find_extent(KmRun *run, int k, const double *centers,
			   const double *targets, double *longest, double *largest,
			   double *bounds)
{
	KmCenters	input = {k, targets != NULL};
	KmJob		job = km_run_job(run, &km_step_extent);
	KmStatus	status = make_input(&job, &input, sizeof(input), NULL, 0, k,
									centers, targets);

	if (status == KM_OK)
		status = km_pass(run->source, &job);
	if (status == KM_OK)
	{
		const KmExtent *found = &((Extent *) job.state)->found;

		if (longest != NULL)
			*longest = found->longest;
		if (largest != NULL)
			memcpy(largest, found->largest,
				   sizeof(double) * run->source->table->nnum);
		if (bounds != NULL)
			memcpy(bounds, found->bounds, sizeof(double) * k);
	}
	close_extent(&job);
	km_free(run->host, (void *) job.input);
	return status;
}

KmRun
km_fit_rows_run(KmFit *fit)
{
	KmRun		run = {fit->host, &fit->source, &fit->space, &fit->poll,
	fit->options.simd};

	return run;
}

KmStatus
km_sum_distances(KmFit *fit, SegmentSums *sums)
{
	FixedScale	scale = km_fixed_scales(fit->bound);
	KmRun		run = km_fit_rows_run(fit);

	return km_sum_own_distances(&run, fit->lloyd.k, fit->lloyd.centers, NULL,
								&scale, 1, sums);
}

double
km_total_inertia(const KmFit *fit, const SegmentSums *sums, int k)
{
	FixedSum	total = {0, 0};

	for (int c = 0; c < k; c++)
	{
		total.high = km_wide_add(total.high, sums[c].square.high);
		total.low = km_wide_add(total.low, sums[c].square.low);
	}
	return km_fixed_value(&total) / km_fixed_scale(fit->bound) *
		fit->weight_unit;
}
