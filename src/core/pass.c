/*
 * pass.c
 *		Running a step over all rows.
 */
#include "pass.h"

/* passes over more blocks are worth telling how far they are */
#define WATCHED_BLOCKS	8

const KmStep *
km_step(KmStepId id)
{
	static const KmStep *const steps[] = {
		&km_step_assign, &km_step_farthest, &km_step_renumber
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		if (steps[i]->id == id)
			return steps[i];
	}
	return NULL;
}

static KmStatus
pass_here(KmTable *table, KmJob *job)
{
	const KmStep *step = job->step;

	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		if (step->skips != NULL && step->skips(job, block))
			continue;
		KM_TRY(step->add(job, block));
		/* small tables are passed very often */
		if (table->nblocks > WATCHED_BLOCKS)
			km_report(job->host, KM_PHASE_ROWS, block->first + block->nrows,
					  table->nrows);
	}
	return KM_OK;
}

static KmStatus
pass_elsewhere(const KmRemote *remote, KmJob *job)
{
	const unsigned char *bytes;
	size_t		size;

	KM_TRY(remote->run(remote->arg, job, &bytes, &size));
	return job->step->merge(job, bytes, size);
}

KmStatus
km_pass_on(KmSource *source, KmJob *job)
{
	if (source->remote != NULL)
		return pass_elsewhere(source->remote, job);
	return pass_here(source->table, job);
}

KmStatus
km_pass(KmSource *source, KmJob *job)
{
	KM_TRY(job->step->open(job));
	return km_pass_on(source, job);
}
