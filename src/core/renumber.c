/*
 * renumber.c
 *		New numbers for segments, in what stands beside rows.
 */
#include "assign.h"

/* input: the new number of each segment */
static KmStatus
open_renumber(KmJob *job)
{
	job->state = NULL;
	return job->input_size % sizeof(int32_t) == 0 ? KM_OK : KM_BAD_FORMAT;
}

static KmStatus
renumber_block(KmJob *job, KmBlock *block)
{
	const int32_t *order = job->input;
	size_t		k = job->input_size / sizeof(int32_t);
	KmBeside	beside = km_block_beside(block);

	for (int i = 0; i < block->nrows; i++)
	{
		uint16_t   *own = &beside.own[i];
		uint16_t   *second =
			&beside.bounds[i / KM_SPAN_ROWS].second[i % KM_SPAN_ROWS];

		if (*own < k)
			*own = (uint16_t) order[*own];
		if (*second < k)
			*second = (uint16_t) order[*second];
	}
	return km_poll(job->poll, block->nrows) ? KM_OK : KM_CANCELLED;
}

static size_t
size_renumber(const KmJob *job)
{
	(void) job;
	return 0;
}

static void
write_renumber(const KmJob *job, unsigned char *bytes)
{
	(void) job;
	(void) bytes;
}

static KmStatus
merge_renumber(KmJob *job, const unsigned char *bytes, size_t size)
{
	(void) job;
	(void) bytes;
	return size == 0 ? KM_OK : KM_BAD_FORMAT;
}

static void
close_renumber(KmJob *job)
{
	(void) job;
}

const KmStep km_step_renumber = {
	.id = KM_STEP_RENUMBER,
	.name = "renumber",
	.changes_beside = true,
	.open = open_renumber,
	.add = renumber_block,
	.size = size_renumber,
	.write = write_renumber,
	.merge = merge_renumber,
	.close = close_renumber
};

KmStatus
km_renumber_rows(KmLloyd *lloyd, const int *order)
{
	KmJob		job = {0};

	/* nothing is kept beside rows that are elsewhere */
	if (lloyd->source->remote != NULL)
		return KM_OK;
	job.step = &km_step_renumber;
	job.host = lloyd->space->host;
	job.poll = lloyd->poll;
	job.table = lloyd->source->table;
	job.space = lloyd->space;
	job.input = order;
	job.input_size = sizeof(int32_t) * (size_t) lloyd->k;
	return km_pass(lloyd->source, &job);
}
