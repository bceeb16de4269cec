/*
 * pass.c
 *		Running a step over all rows.
 */
#include "pass.h"
#include "store.h"

/* passes over more blocks are worth telling how far they are */
#define WATCHED_BLOCKS	8

const KmStep *
km_step(KmStepId id)
{
	static const KmStep *const steps[] = {
		&km_step_statistics, &km_step_ranks, &km_step_place, &km_step_sample,
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

/* A block from the store, and back. */
static KmStatus
pass_stored(KmTable *table, KmBlock *block, KmJob *const *jobs, int njobs)
{
	KmBlock		here;
	bool		rows = false;
	bool		beside = false;

	KM_TRY(km_stored_open(table, block, &here));
	for (int j = 0; j < njobs; j++)
	{
		KM_TRY(jobs[j]->step->add(jobs[j], &here));
		rows |= jobs[j]->step->changes_rows;
		beside |= jobs[j]->step->changes_beside;
	}
	return km_stored_close(table, &here, block, rows, beside);
}

static KmStatus
pass_here(KmTable *table, KmJob *const *jobs, int njobs)
{
	KM_TRY(km_stored_settle(table));
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		if (njobs == 1 && jobs[0]->step->skips != NULL &&
			jobs[0]->step->skips(jobs[0], block))
			continue;
		if (km_block_is_out(block))
			KM_TRY(pass_stored(table, block, jobs, njobs));
		for (int j = 0; j < njobs && !km_block_is_out(block); j++)
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

KmStatus
km_read_blocks(KmTable *table, KmStatus (*read) (void *arg,
												 const KmBlock *block),
			   void *arg)
{
	KM_TRY(km_stored_settle(table));
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		KmBlock		here;

		if (km_block_is_out(block))
		{
			KM_TRY(km_stored_open(table, block, &here));
			block = &here;
		}
		KM_TRY(read(arg, block));
	}
	return KM_OK;
}
