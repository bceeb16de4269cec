/*
 * means.c
 *		Sums of the rows of each segment that Lloyd's do not tell: each row
 *		counting once, far beyond the fit's own rows, or as long as they were
 *		before cosine set them to length 1.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

typedef struct MeansInput
{
	KmCenters	centers;
	int32_t		is_wide;		/* positions take more than 62 bits */
	int32_t		with_lengths;	/* weighted, multiplied by their lengths */
	double		scale;			/* of positions with lengths */
	/* then nnum units, then centers */
} MeansInput;

typedef struct MeansState
{
	int			k;
	MeansInput	input;
	const double *units;
	KmOwners	owners;
	KmWide	   *sums;			/* k x width */
	int64_t    *size;
} MeansState;

static KmStatus
open_means(KmJob *job)
{
	const MeansInput *input = job->input;
	size_t		head = sizeof(*input) + sizeof(double) * job->space->nnum;
	MeansState *m;

	if (job->input_size < head)
		return KM_BAD_FORMAT;
	job->state = m = km_alloc_zero(job->host, 1, sizeof(MeansState));
	if (m == NULL)
		return KM_NO_MEMORY;
	m->input = *input;
	m->units = (const double *) (input + 1);
	if (input->with_lengths && job->table->length_slot < 0)
		return KM_BAD_FORMAT;
	KM_TRY(km_owners_open(&m->owners, job, &input->centers,
						  m->units + job->space->nnum,
						  job->input_size - head));
	m->k = input->centers.k;
	m->sums = km_alloc_zero(job->host, (size_t) m->k * job->space->width,
							sizeof(KmWide));
	m->size = km_alloc_zero(job->host, m->k, sizeof(int64_t));
	return m->sums == NULL || m->size == NULL ? KM_NO_MEMORY : KM_OK;
}

static void
close_means(KmJob *job)
{
	MeansState *m = job->state;

	if (m == NULL)
		return;
	km_owners_close(&m->owners, job);
	km_free(job->host, m->sums);
	km_free(job->host, m->size);
	km_free(job->host, m);
	job->state = NULL;
}

/*
 * The units are such that positions are below this many of them (quality.c,
 * describe.c), if they are those that the units were chosen for.
 */
static inline bool
is_countable(const MeansState *m, double x)
{
	return fabs(x) < (m->input.is_wide ? 0x1p100 : 0x1p62);
}

/* false: the row is not one of those that the pass is about */
static bool
add_row(const MeansState *m, const KmJob *job, const double *lane,
		KmWide *sums)
{
	const KmSpace *space = job->space;
	bool		good = true;

	if (m->input.with_lengths)
	{
		double		length = lane[job->table->length_slot * KM_LANES];
		int64_t		weight = km_row_weight(job->table, lane);

		for (int s = 0; s < space->nnum && good; s++)
		{
			double		x = lane[s * KM_LANES] * length * m->input.scale;

			good = fabs(x) < 0x1p63;
			sums[s] += good ? (KmWide) (int64_t) x * weight : 0;
		}
		return good;
	}
	for (int s = 0; s < space->nnum && good; s++)
	{
		double		x = rint(lane[s * KM_LANES] / m->units[s]);

		good = is_countable(m, x);
		if (good)
			sums[s] += m->input.is_wide ? (KmWide) x : (int64_t) x;
	}
	for (int f = 0; f < space->ncat; f++)
		sums[space->offset[f] +
			 (int) lane[(space->nnum + f) * KM_LANES]]++;
	return good;
}

static KmStatus
add_means(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;
	MeansState *m = job->state;
	int			ntiles = km_block_tiles(block);

	for (int tile = 0; tile < ntiles; tile++)
	{
		int			nrows = km_tile_rows(block, tile);
		uint16_t	scratch[KM_LANES];
		const uint16_t *own = km_owners_find(&m->owners, job, block, tile, 1,
											 scratch);

		for (int l = 0; l < nrows; l++)
		{
			if (!add_row(m, job, km_tile(table, block, tile) + l,
						 m->sums + (size_t) own[l] * job->space->width))
				return KM_BAD_FORMAT;
			m->size[own[l]]++;
		}
		if (!km_poll(job->poll, nrows * (double) table->nslots *
					 (block->beside != NULL ? 1 : m->k)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static size_t
size_means(const KmJob *job)
{
	const MeansState *m = job->state;

	return (size_t) m->k * ((size_t) job->space->width * sizeof(KmWide) +
							sizeof(int64_t));
}

static void
write_means(const KmJob *job, unsigned char *bytes)
{
	const MeansState *m = job->state;
	size_t		n = (size_t) m->k * job->space->width * sizeof(KmWide);

	memcpy(bytes, m->sums, n);
	memcpy(bytes + n, m->size, m->k * sizeof(int64_t));
}

static KmStatus
merge_means(KmJob *job, const unsigned char *bytes, size_t size)
{
	MeansState *m = job->state;
	int64_t		left = KM_COUNT_MAX;

	if (size != size_means(job))
		return KM_BAD_FORMAT;
	for (size_t i = 0; i < (size_t) m->k * job->space->width; i++)
	{
		KmWide		x;

		memcpy(&x, bytes, sizeof(x));
		bytes += sizeof(x);
		m->sums[i] = km_wide_add(m->sums[i], x);
	}
	/* all segments' together can be added up */
	for (int c = 0; c < m->k; c++)
		left -= m->size[c];
	for (int c = 0; c < m->k; c++)
	{
		int64_t		n;

		memcpy(&n, bytes, sizeof(n));
		bytes += sizeof(n);
		if (n < 0 || n > left)
			return KM_BAD_FORMAT;
		left -= n;
		m->size[c] += n;
	}
	return KM_OK;
}

const KmStep km_step_means = {
	.id = KM_STEP_MEANS,
	.name = "means",
	.open = open_means,
	.add = add_means,
	.size = size_means,
	.write = write_means,
	.merge = merge_means,
	.close = close_means
};

/* ---- passes ---- */

static KmStatus
run_means(KmRun *run, const MeansInput *head, const double *units,
		  const double *centers, KmWide *sums, int64_t *size)
{
	KmJob		job = km_run_job(run, &km_step_means);
	size_t		nnum = sizeof(double) * run->space->nnum;
	size_t		n = sizeof(double) * head->centers.k * run->space->width;
	char	   *input;
	KmStatus	status = KM_NO_MEMORY;

	job.input_size = sizeof(*head) + nnum + n;
	job.input = input = km_alloc_zero(run->host, 1, job.input_size);
	if (input != NULL)
	{
		memcpy(input, head, sizeof(*head));
		if (units != NULL && nnum > 0)
			memcpy(input + sizeof(*head), units, nnum);
		memcpy(input + sizeof(*head) + nnum, centers, n);
		status = km_pass(run->source, &job);
	}
	if (status == KM_OK)
	{
		const MeansState *m = job.state;

		memcpy(sums, m->sums, sizeof(KmWide) * m->k * run->space->width);
		if (size != NULL)
			memcpy(size, m->size, sizeof(int64_t) * m->k);
	}
	close_means(&job);
	km_free(run->host, input);
	return status;
}

KmStatus
km_sum_rows(KmRun *run, int k, const double *centers, const double *units,
			bool is_wide, KmWide *sums, int64_t *size)
{
	MeansInput	head = {{k, 0}, is_wide, false, 0};

	return run_means(run, &head, units, centers, sums, size);
}

KmStatus
km_sum_long_rows(KmRun *run, int k, const double *centers, double scale,
				 KmWide *sums)
{
	MeansInput	head = {{k, 0}, false, true, scale};

	return run_means(run, &head, NULL, centers, sums, NULL);
}
