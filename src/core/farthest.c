/*
 * farthest.c
 *		The row farthest from its nearest center: an empty segment takes it.
 */
#include <math.h>
#include <string.h>

#include "assign.h"

typedef struct FarthestState
{
	KmNearest	nearest;
	KmPacked	packed;
	double		distance;		/* 0: every row is at its center */
	double	   *row;			/* its slots, then */
} FarthestState;

/* Which of two rows is first by content: rows have no other order. */
static bool
content_before(int nslots, const double *a, int stride, const double *b)
{
	for (int s = 0; s < nslots; s++)
	{
		if (a[s * stride] != b[s])
			return a[s * stride] < b[s];
	}
	return false;
}

static void
offer_farthest(const KmJob *job, const double *row, int stride,
			   double distance)
{
	FarthestState *state = job->state;
	int			nslots = job->table->nfeatures;

	if (!(distance > state->distance) &&
		(distance <= 0 || distance != state->distance ||
		 !content_before(nslots, row, stride, state->row)))
		return;
	state->distance = distance;
	for (int s = 0; s < nslots; s++)
		state->row[s] = row[s * stride];
}

static KmStatus
open_farthest(KmJob *job)
{
	FarthestState *state = km_alloc_zero(job->host, 1, sizeof(FarthestState));
	size_t		center = sizeof(double) * (size_t) job->space->width;
	size_t		k = job->input_size / center;

	job->state = state;
	if (state == NULL)
		return KM_NO_MEMORY;
	if (k < 1 || k > KM_MAX_K || job->input_size != k * center)
		return KM_BAD_FORMAT;
	state->nearest = km_nearest_kernel(job->simd);
	state->row = km_alloc_zero(job->host, job->table->nfeatures,
							   sizeof(double));
	if (state->row == NULL)
		return KM_NO_MEMORY;
	KM_TRY(km_packed_create(job->space, (int) k, &state->packed));
	km_packed_set(job->space, &state->packed, job->input, (int) k);
	return KM_OK;
}

static KmStatus
farthest_block(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;
	const FarthestState *state = job->state;
	int			ntiles = km_block_tiles(block);

	for (int tile = 0; tile < ntiles; tile++)
	{
		const double *data = km_tile(table, block, tile);
		int			nrows = km_tile_rows(block, tile);
		int64_t		id[KM_LANES];
		double		d1[KM_LANES];
		double		d2[KM_LANES];

		state->nearest(job->space, &state->packed, data, 1, table->nslots, id,
					   d1, d2);
		for (int l = 0; l < nrows; l++)
		{
			if (d1[l] >= state->distance)
				offer_farthest(job, data + l, KM_LANES, d1[l]);
		}
		if (!km_poll(job->poll, (double) KM_LANES * state->packed.k *
					 (table->nfeatures + 2)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static size_t
size_farthest(const KmJob *job)
{
	return sizeof(double) * ((size_t) job->table->nfeatures + 1);
}

static void
write_farthest(const KmJob *job, unsigned char *bytes)
{
	const FarthestState *state = job->state;

	memcpy(bytes, &state->distance, sizeof(double));
	memcpy(bytes + sizeof(double), state->row,
		   sizeof(double) * job->table->nfeatures);
}

/* What a row of the fit can hold: positions, categories there are. */
static bool
is_row(const KmSpace *space, const double *row)
{
	for (int s = 0; s < space->nnum; s++)
	{
		if (!km_position_is_sane(space, s, row[s]))
			return false;
	}
	for (int f = 0; f < space->ncat; f++)
	{
		double		code = row[space->nnum + f];

		if (!(code >= 0 && code < space->ncategories[f]) ||
			code != floor(code))
			return false;
	}
	return true;
}

static KmStatus
merge_farthest(KmJob *job, const unsigned char *bytes, size_t size)
{
	double		distance;
	double	   *row;

	if (size != size_farthest(job))
		return KM_BAD_FORMAT;
	memcpy(&distance, bytes, sizeof(double));
	if (!(distance >= 0 && isfinite(distance)))
		return KM_BAD_FORMAT;
	if (distance == 0)
		return KM_OK;
	row = km_alloc(job->host, job->table->nfeatures, sizeof(double));
	if (row == NULL)
		return KM_NO_MEMORY;
	memcpy(row, bytes + sizeof(double),
		   sizeof(double) * job->table->nfeatures);
	if (is_row(job->space, row))
		offer_farthest(job, row, 1, distance);
	else
		distance = -1;
	km_free(job->host, row);
	return distance < 0 ? KM_BAD_FORMAT : KM_OK;
}

static void
close_farthest(KmJob *job)
{
	FarthestState *state = job->state;

	if (state == NULL)
		return;
	km_free(job->host, state->row);
	if (state->packed.memory != NULL || state->packed.tables != NULL)
		km_packed_free(job->space, &state->packed);
	km_free(job->host, state);
	job->state = NULL;
}

const KmStep km_step_farthest = {
	.id = KM_STEP_FARTHEST,
	.name = "farthest row",
	.open = open_farthest,
	.add = farthest_block,
	.size = size_farthest,
	.write = write_farthest,
	.merge = merge_farthest,
	.close = close_farthest
};

KmStatus
km_farthest_row(KmSource *source, const KmSpace *space, KmPoll *poll,
				KmSimd simd, const double *centers, int k, double *center,
				bool *found)
{
	KmJob		job = {0};
	KmStatus	status;

	job.step = &km_step_farthest;
	job.host = space->host;
	job.poll = poll;
	job.table = source->table;
	job.space = space;
	job.simd = simd;
	job.input = centers;
	job.input_size = sizeof(double) * (size_t) k * space->width;
	status = km_pass(source, &job);
	if (status == KM_OK)
	{
		const FarthestState *state = job.state;

		*found = state->distance > 0;
		if (*found)
			km_lane_center(space, state->row, 1, center);
	}
	job.step->close(&job);
	return status;
}
