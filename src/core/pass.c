/*
 * pass.c
 *		Running a step over all rows.
 */
#include <string.h>

#include "crew.h"
#include "pass.h"
#include "share.h"
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

/* May the block be left out? */
static inline bool
skip_block(KmJob *const *jobs, int njobs, const KmBlock *block)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.*): njobs does not change in between */
	return njobs == 1 && jobs[0]->step->skips != NULL &&
		jobs[0]->step->skips(jobs[0], block);
}

static inline KmStatus
pass_block(KmJob *const *jobs, int njobs, KmBlock *block)
{
	for (int j = 0; j < njobs; j++)
		KM_TRY(jobs[j]->step->add(jobs[j], block));
	return KM_OK;
}

/* A block from the store, and back. */
static KmStatus
pass_stored(KmTable *table, KmBlock *block, KmJob *const *jobs, int njobs)
{
	KmBlock		here;
	bool		rows = false;
	bool		beside = false;

	KM_TRY(km_stored_open(table, block, &here));
	KM_TRY(pass_block(jobs, njobs, &here));
	for (int j = 0; j < njobs; j++)
	{
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

		if (skip_block(jobs, njobs, block))
			continue;
		if (km_block_is_out(block))
			KM_TRY(pass_stored(table, block, jobs, njobs));
		else
			KM_TRY(pass_block(jobs, njobs, block));
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

/* ---- by a crew ---- */

/* What a member computed: bytes of a job's state. */
typedef struct PassResult
{
	_Atomic int is_there;
	KmHandle	handle;			/* where they are; 0: in the task */
	size_t		size;
} PassResult;

/* A job, as all members see it. */
typedef struct PassJob
{
	int			step;
	int			simd;
	bool		has_space;
	/* offsets */
	size_t		space;
	size_t		input;
	size_t		input_size;
	size_t		results;		/* PassResult, of each member but the caller */
	size_t		bytes;			/* theirs, one after another, */
	size_t		room;			/* and so many for each */
} PassJob;

#define PASS_JOBS		4		/* in one pass, at most */

typedef struct PassTask
{
	KmTask		task;
	int			njobs;
	int			nblocks;
	KmTable		layout;			/* without its pointers */
	size_t		slot;			/* offsets */
	size_t		blocks;			/* KmSharedBlock */
	PassJob		jobs[PASS_JOBS];
} PassTask;

/* Take blocks until there are none left. */
static KmStatus
pass_blocks(PassTask *pass, KmTable *table, KmJob *const *jobs)
{
	KmSharedBlock *shared = km_task_at(pass, pass->blocks);
	int64_t		b;

	while ((b = km_task_take(&pass->task, pass->nblocks)) >= 0)
	{
		KmBlock    *block = &table->blocks[b];

		/* nobody else looks at it before the pass is over */
		block->least = shared[b].least;
		if (!skip_block(jobs, pass->njobs, block))
		{
			KM_TRY(pass_block(jobs, pass->njobs, block));
			shared[b].least = block->least;
		}
		km_report(jobs[0]->host, KM_PHASE_ROWS, block->first + block->nrows,
				  table->nrows);
	}
	return KM_OK;
}

/* The table of a pass as another member sees it. */
static KmStatus
see_blocks(const KmMember *part, PassTask *pass, KmTable *table)
{
	const KmCrew *crew = part->of->crew;
	const KmSharedBlock *shared = km_task_at(pass, pass->blocks);

	*table = pass->layout;
	table->host = &part->host;
	table->slot = km_task_at(pass, pass->slot);
	table->nblocks = pass->nblocks;
	table->blocks = km_alloc_zero(&part->host, pass->nblocks,
								  sizeof(KmBlock));
	if (table->blocks == NULL)
		return KM_NO_MEMORY;
	for (int b = 0; b < pass->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		block->data = crew->see(crew->arg, shared[b].data);
		if (shared[b].beside != 0)
			block->beside = crew->see(crew->arg, shared[b].beside);
		if (shared[b].single != 0)
			block->single = crew->see(crew->arg, shared[b].single);
		if (block->data == NULL ||
			(shared[b].beside != 0 && block->beside == NULL) ||
			(shared[b].single != 0 && block->single == NULL))
			return KM_NO_MEMORY;
		block->first = shared[b].first;
		block->nrows = shared[b].nrows;
		block->capacity = shared[b].capacity;
	}
	return KM_OK;
}

/* Leave a state where the caller finds it. */
static KmStatus
leave_result(const KmMember *part, PassTask *pass, const PassJob *shared,
			 const KmJob *job, int member)
{
	const KmCrew *crew = part->of->crew;
	PassResult *result = (PassResult *) km_task_at(pass, shared->results) +
		member - 1;
	/* NOLINTNEXTLINE(clang-analyzer-core.*): jobs that are left were opened */
	size_t		size = job->step->size(job);
	unsigned char *bytes;

	if (size <= shared->room)
		bytes = km_task_at(pass, shared->bytes + shared->room *
						   (size_t) (member - 1));
	else
	{
		bytes = crew->share(crew->arg, size, &result->handle);
		if (bytes == NULL)
			return KM_NO_MEMORY;
	}
	job->step->write(job, bytes);
	result->size = size;
	atomic_store_explicit(&result->is_there, 1, memory_order_release);
	return KM_OK;
}

/* Jobs of a pass with the member's own states, open or not. */
static KmStatus
help_jobs(KmMember *part, PassTask *pass, KmTable *table, KmJob *jobs,
		  KmSpace *spaces, int member)
{
	KmJob	   *list[PASS_JOBS];

	for (int j = 0; j < pass->njobs; j++)
	{
		const PassJob *shared = &pass->jobs[j];

		list[j] = &jobs[j];
		jobs[j].step = km_step((KmStepId) shared->step);
		jobs[j].host = &part->host;
		jobs[j].poll = &part->poll;
		jobs[j].table = table;
		jobs[j].simd = (KmSimd) shared->simd;
		jobs[j].input = km_task_at(pass, shared->input);
		jobs[j].input_size = shared->input_size;
		if (shared->has_space)
		{
			km_space_see(&part->host, pass, shared->space, &spaces[j]);
			jobs[j].space = &spaces[j];
		}
	}
	for (int j = 0; j < pass->njobs; j++)
		KM_TRY(jobs[j].step->open(&jobs[j]));
	KM_TRY(pass_blocks(pass, table, list));
	for (int j = 0; j < pass->njobs; j++)
		KM_TRY(leave_result(part, pass, &pass->jobs[j], &jobs[j], member));
	return KM_OK;
}

KmStatus
km_help_pass(KmMember *part, void *input, int member)
{
	PassTask   *pass = input;
	KmTable		table = {0};
	KmJob		jobs[PASS_JOBS] = {{0}};
	KmSpace		spaces[PASS_JOBS];
	KmStatus	status;

	/* there may be nothing left to do */
	if (atomic_load(&pass->task.next) >= pass->nblocks)
		return KM_OK;
	/* one who sees nothing takes no blocks, and nobody misses him */
	status = see_blocks(part, pass, &table) == KM_OK ?
		help_jobs(part, pass, &table, jobs, spaces, member) : KM_OK;
	for (int j = 0; j < PASS_JOBS; j++)
	{
		if (jobs[j].state != NULL)
			jobs[j].step->close(&jobs[j]);
	}
	km_free(&part->host, table.blocks);
	return status;
}

static void
lay_job(size_t *end, const KmJob *job, int others, PassJob *shared)
{
	shared->step = (int) job->step->id;
	shared->simd = (int) job->simd;
	shared->has_space = job->space != NULL;
	if (job->space != NULL)
		shared->space = km_space_lay(end, job->space);
	shared->input = km_lay(end, job->input_size, 1);
	shared->input_size = job->input_size;
	shared->results = km_lay(end, (size_t) others, sizeof(PassResult));
	shared->room = job->step->most != NULL ? job->step->most(job) :
		job->step->size(job);
	shared->room = (shared->room + 63) / 64 * 64;
	shared->bytes = km_lay(end, (size_t) others, shared->room);
}

static void
put_job(PassTask *pass, const KmJob *job, int others, const PassJob *shared)
{
	if (job->space != NULL)
		km_space_put(pass, shared->space, job->space);
	if (job->input_size > 0)
		km_copy(job->host, km_task_at(pass, shared->input), job->input,
				job->input_size);
	memset(km_task_at(pass, shared->results), 0, sizeof(PassResult) * others);
}

static void
put_blocks(PassTask *pass, const KmTable *table)
{
	KmSharedBlock *shared = km_task_at(pass, pass->blocks);

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		shared[b].data = block->shared;
		shared[b].beside = block->beside_shared;
		shared[b].single = block->single_shared;
		shared[b].first = block->first;
		shared[b].nrows = block->nrows;
		shared[b].capacity = block->capacity;
		shared[b].least = block->least;
	}
}

/* The task for a pass of so many others; NULL: memory was refused. */
static PassTask *
make_task(KmTable *table, KmJob *const *jobs, int njobs, int others,
		  KmHandle *handle)
{
	size_t		end = sizeof(PassTask);
	PassTask	layout = {0};
	PassTask   *pass;

	layout.njobs = njobs;
	layout.nblocks = table->nblocks;
	layout.layout = *table;
	layout.layout.host = NULL;
	layout.layout.slot = NULL;
	layout.layout.missing = NULL;
	layout.layout.blocks = NULL;
	layout.layout.sharing = NULL;
	layout.slot = km_lay(&end, (size_t) table->nfeatures, sizeof(int));
	layout.blocks = km_lay(&end, (size_t) table->nblocks,
						   sizeof(KmSharedBlock));
	for (int j = 0; j < njobs; j++)
		lay_job(&end, jobs[j], others, &layout.jobs[j]);

	pass = km_share_task(table, end, handle);
	if (pass == NULL)
		return NULL;
	*pass = layout;
	memcpy(km_task_at(pass, pass->slot), table->slot,
		   sizeof(int) * table->nfeatures);
	put_blocks(pass, table);
	for (int j = 0; j < njobs; j++)
		put_job(pass, jobs[j], others, &pass->jobs[j]);
	return pass;
}

/* What others computed, into the caller's state; what is left is given back. */
static KmStatus
merge_results(PassTask *pass, const PassJob *shared, KmJob *job, int others,
			  KmStatus status)
{
	const KmCrew *crew = job->host->crew;
	PassResult *results = km_task_at(pass, shared->results);

	for (int m = 0; m < others; m++)
	{
		PassResult *result = &results[m];
		unsigned char *bytes = km_task_at(pass, shared->bytes +
										  shared->room * (size_t) m);

		if (!atomic_load_explicit(&result->is_there, memory_order_acquire))
			continue;
		if (result->handle != 0)
			bytes = crew->see(crew->arg, result->handle);
		if (bytes == NULL && status == KM_OK)
			status = KM_NO_MEMORY;
		if (status == KM_OK)
			status = job->step->merge(job, bytes, result->size);
		if (result->handle != 0)
			crew->unshare(crew->arg, result->handle);
	}
	return status;
}

static KmStatus
pass_by_crew(KmTable *table, KmJob *const *jobs, int njobs, int others)
{
	const KmCrew *crew = jobs[0]->host->crew;
	KmHandle	handle;
	PassTask   *pass = make_task(table, jobs, njobs, others, &handle);
	const KmSharedBlock *blocks;
	KmStatus	status;

	if (pass == NULL)
		return pass_here(table, jobs, njobs);
	crew->call(crew->arg, KM_TASK_PASS, handle);
	status = pass_blocks(pass, table, jobs);
	if (status != KM_OK)
		km_task_stop(&pass->task);
	crew->wait(crew->arg);
	if (status == KM_OK)
		status = (KmStatus) atomic_load(&pass->task.status);
	for (int j = 0; j < njobs; j++)
		status = merge_results(pass, &pass->jobs[j], jobs[j], others, status);
	blocks = km_task_at(pass, pass->blocks);
	for (int b = 0; b < table->nblocks; b++)
		table->blocks[b].least = blocks[b].least;
	return status;
}

/* ---- a pass ---- */

static KmStatus
run_pass(KmTable *table, KmJob *const *jobs, int njobs)
{
	int			others = km_table_others(table);

	if (others > 0 && njobs <= PASS_JOBS && km_share_table(table))
		return pass_by_crew(table, jobs, njobs, others);
	return pass_here(table, jobs, njobs);
}

KmStatus
km_pass_on(KmSource *source, KmJob *job)
{
	if (source->remote != NULL)
		return pass_elsewhere(source->remote, job);
	return run_pass(source->table, &job, 1);
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
		return run_pass(source->table, jobs, njobs);
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
