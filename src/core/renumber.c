/*
 * renumber.c
 *		New numbers for segments, in what stands beside rows.
 */
#include <string.h>

#include "assign.h"

/* input: whether there are bounds, then the new number of each segment */
static KmStatus
open_renumber(KmJob *job)
{
	job->state = NULL;
	return job->input_size >= sizeof(int32_t) &&
		job->input_size % sizeof(int32_t) == 0 ? KM_OK : KM_BAD_FORMAT;
}

static KmStatus
renumber_block(KmJob *job, KmBlock *block)
{
	bool		has_bounds = *(const int32_t *) job->input != 0;
	const int32_t *order = (const int32_t *) job->input + 1;
	size_t		k = job->input_size / sizeof(int32_t) - 1;
	KmBeside	beside = km_block_beside(block);

	for (int i = 0; i < block->nrows; i++)
	{
		uint16_t   *own = &beside.own[i];

		if (*own < k)
			*own = (uint16_t) order[*own];
	}
	/* else they may never have been written */
	for (int i = 0; has_bounds && i < block->nrows; i++)
	{
		uint16_t   *second =
			&beside.bounds[i / KM_SPAN_ROWS].second[i % KM_SPAN_ROWS];

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
	const KmHost *host = lloyd->space->host;
	size_t		k = (size_t) lloyd->k;
	KmJob		job = {0};
	int32_t    *input;
	KmStatus	status;

	/* nothing is kept beside rows that are elsewhere */
	if (lloyd->source->remote != NULL)
		return KM_OK;
	input = km_alloc(host, k + 1, sizeof(int32_t));
	if (input == NULL)
		return KM_NO_MEMORY;
	input[0] = lloyd->keeps_bounds;
	memcpy(input + 1, order, sizeof(int32_t) * k);
	job.step = &km_step_renumber;
	job.host = host;
	job.poll = lloyd->poll;
	job.table = lloyd->source->table;
	job.space = lloyd->space;
	job.input = input;
	job.input_size = sizeof(int32_t) * (k + 1);
	status = km_pass(lloyd->source, &job);
	km_free(host, input);
	return status;
}
