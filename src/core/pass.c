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
		&km_step_statistics, &km_step_place, &km_step_sample,
		&km_step_assign, &km_step_farthest, &km_step_renumber,
		&km_step_distances, &km_step_extent, &km_step_means, &km_step_bins
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		if (steps[i]->id == id)
			return steps[i];
	}
	return NULL;
}

static KmStatus
pass_here(KmTable *table, KmJob *const *jobs, int njobs)
{
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		if (njobs == 1 && jobs[0]->step->skips != NULL &&
			jobs[0]->step->skips(jobs[0], block))
			continue;
		for (int j = 0; j < njobs; j++)
			KM_TRY(jobs[j]->step->add(jobs[j], block));
		/* small tables are passed very often */
		if (table->nblocks > WATCHED_BLOCKS)
			km_report(jobs[0]->host, KM_PHASE_ROWS,
					  block->first + block->nrows, table->nrows);
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
	return pass_here(source->table, &job, 1);
}

KmStatus
km_pass(KmSource *source, KmJob *job)
{
	KM_TRY(job->step->open(job));
	return km_pass_on(source, job);
}

KmStatus
km_pass_together(KmSource *source, KmJob *const *jobs, int njobs)
{
	for (int j = 0; j < njobs; j++)
		KM_TRY(jobs[j]->step->open(jobs[j]));
	if (source->remote == NULL)
		return pass_here(source->table, jobs, njobs);
	for (int j = 0; j < njobs; j++)
		KM_TRY(pass_elsewhere(source->remote, jobs[j]));
	return KM_OK;
}
