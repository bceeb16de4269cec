/*
 * team.c
 *		Parallel workers that help with a computation.
 *
 * The core's crew (src/core/crew.h) made of the server's parallel workers.
 * They are launched when the core asks for help with enough work, and stay
 * until the outermost kseg_team_end(): between two tasks they wait, at first
 * by looking again and again, since in Lloyd's iteration the next task comes
 * within microseconds, then by sleeping.
 *
 * Whoever waits, waits only for workers that have taken part in a task.  One
 * that starts late, or never, is not missed.  An error in a worker reaches
 * the session as it does in a parallel query, and an error or cancel in the
 * session ends its workers as it ends those.
 *
 * Shared memory is a segment for each piece, known to all by its place in a
 * table of handles.  Rows may be put there before there is any worker, so
 * segments belong to the computation's memory context and not to a query.
 */
#include "postgres.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/dsm_impl.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "kseg.h"
#include "team.h"

/* segments at a time; a table of a gigabyte takes some forty */
#define SLOTS			256

/* a handle is its slot's number, from 1, and a place in the segment */
#define SLOT_SHIFT		40
#define PLACE_MASK		((UINT64CONST(1) << SLOT_SHIFT) - 1)

/* bytes that are left for others where shared memory is */
#define LEAVE_FREE		((Size) 16 * 1024 * 1024)

/*
 * How often to look for a change before sleeping: some 50 us, which is what a
 * sleeper's waking up takes.
 */
#define LOOKS			2000

#define KEY_SHARED		UINT64CONST(0x6b73656700000001)

/* What the session and its workers share. */
typedef struct TeamShared
{
	slock_t		mutex;
	uint32		calls;			/* so far */
	bool		is_open;		/* who has not taken part yet, may */
	bool		is_over;
	int			working;		/* workers that take part now */
	int			helped;			/* workers that ever did */
	int			task;
	KmHandle	input;
	double		grain;
	dsm_handle	handles[SLOTS]; /* invalid: free */
	ConditionVariable called;
	ConditionVariable returned;
} TeamShared;

/* Segments as this process has them. */
typedef struct Segments
{
	dsm_handle	handles[SLOTS];
	dsm_segment *segments[SLOTS];
} Segments;

struct KsegTeam
{
	KmCrew		crew;
	MemoryContext context;
	MemoryContextCallback callback;
	Segments   *own;			/* NULL: none so far */
	TeamShared *shared;			/* NULL: no workers */
	ParallelContext *pcxt;		/* NULL in a worker */
	int			depth;			/* of begin and end */
	bool		is_tried;		/* launching, since the outermost begin */
	int			nworkers;
};

extern PGDLLEXPORT void kseg_team_main(dsm_segment *segment, shm_toc *toc);

/* ---- shared memory ---- */

/* Is there so much room where segments are made? */
static bool
has_room(Size size)
{
	const char *where;
	struct statvfs room;

	switch (dynamic_shared_memory_type)
	{
#ifdef USE_DSM_POSIX
		case DSM_IMPL_POSIX:
			where = "/dev/shm";
			break;
#endif
#ifdef USE_DSM_MMAP
		case DSM_IMPL_MMAP:
			where = PG_DYNSHMEM_DIR;
			break;
#endif
		default:
			/* nothing to look at; it is refused in its own way */
			return true;
	}
	/* another system keeps it elsewhere */
	if (statvfs(where, &room) != 0)
		return true;
	return (double) room.f_bavail * room.f_frsize >= (double) size + LEAVE_FREE;
}

/*
 * A segment that belongs to no resource owner; NULL when it is refused.  The
 * server raises an error when there is no room; all that is to be undone then
 * is known to a resource owner of its own.
 */
static dsm_segment *
create_segment(Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner caller = CurrentResourceOwner;
	ResourceOwner owner;
	dsm_segment *segment = NULL;

	if (!has_room(size))
		return NULL;
	/* one without a parent could not be released within a transaction */
	owner = ResourceOwnerCreate(caller, "kseg team");
	CurrentResourceOwner = owner;
	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment != NULL)
			dsm_pin_mapping(segment);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		segment = NULL;
	}
	PG_END_TRY();
	CurrentResourceOwner = caller;
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
	return segment;
}

static dsm_segment *
attach_segment(dsm_handle handle)
{
	dsm_segment *segment = dsm_attach(handle);

	if (segment != NULL)
		dsm_pin_mapping(segment);
	return segment;
}

static void
forget_slot(Segments *own, int slot)
{
	if (own->segments[slot] != NULL)
		dsm_detach(own->segments[slot]);
	own->segments[slot] = NULL;
	own->handles[slot] = DSM_HANDLE_INVALID;
}

static void
forget_all(void *arg)
{
	KsegTeam   *team = arg;

	for (int slot = 0; team->own != NULL && slot < SLOTS; slot++)
		forget_slot(team->own, slot);
}

static Segments *
get_segments(KsegTeam *team)
{
	if (team->own == NULL)
	{
		team->own = MemoryContextAllocZero(team->context, sizeof(Segments));
		for (int slot = 0; slot < SLOTS; slot++)
			team->own->handles[slot] = DSM_HANDLE_INVALID;
	}
	return team->own;
}

/* Make the handle known to all; -1: the table is full. */
static int
enter_handle(KsegTeam *team, dsm_handle handle)
{
	TeamShared *shared = team->shared;
	int			found = -1;

	if (shared != NULL)
		SpinLockAcquire(&shared->mutex);
	for (int slot = 0; slot < SLOTS && found < 0; slot++)
	{
		/* a worker may still have a segment that is no longer in the table */
		if ((shared != NULL ? shared->handles[slot] :
			 team->own->handles[slot]) == DSM_HANDLE_INVALID &&
			team->own->segments[slot] == NULL)
			found = slot;
	}
	if (found >= 0 && shared != NULL)
		shared->handles[found] = handle;
	if (shared != NULL)
		SpinLockRelease(&shared->mutex);
	return found;
}

static void *
share(void *arg, size_t size, KmHandle *handle)
{
	KsegTeam   *team = arg;
	Segments   *own = get_segments(team);
	dsm_segment *segment;
	int			slot;

	*handle = 0;
	if (size > PLACE_MASK || (segment = create_segment(Max(size, 1))) == NULL)
		return NULL;
	slot = enter_handle(team, dsm_segment_handle(segment));
	if (slot < 0)
	{
		dsm_detach(segment);
		return NULL;
	}
	own->handles[slot] = dsm_segment_handle(segment);
	own->segments[slot] = segment;
	*handle = (KmHandle) (slot + 1) << SLOT_SHIFT;
	/* new ones are zeroed, but for those from min_dynamic_shared_memory */
	if (min_dynamic_shared_memory > 0)
		memset(dsm_segment_address(segment), 0, size);
	return dsm_segment_address(segment);
}

static void *
see(void *arg, KmHandle handle)
{
	KsegTeam   *team = arg;
	Segments   *own = get_segments(team);
	int			slot = (int) (handle >> SLOT_SHIFT) - 1;
	dsm_handle	wanted = team->shared != NULL ?
		((volatile TeamShared *) team->shared)->handles[slot] :
		own->handles[slot];

	if (own->segments[slot] == NULL || own->handles[slot] != wanted)
	{
		forget_slot(own, slot);
		own->segments[slot] = attach_segment(wanted);
		if (own->segments[slot] == NULL)
			return NULL;
		own->handles[slot] = wanted;
	}
	return (char *) dsm_segment_address(own->segments[slot]) +
		(handle & PLACE_MASK);
}

static void
unshare(void *arg, KmHandle handle)
{
	KsegTeam   *team = arg;
	int			slot = (int) (handle >> SLOT_SHIFT) - 1;

	if (team->shared != NULL)
	{
		SpinLockAcquire(&team->shared->mutex);
		team->shared->handles[slot] = DSM_HANDLE_INVALID;
		SpinLockRelease(&team->shared->mutex);
	}
	forget_slot(team->own, slot);
}

/* ---- workers ---- */

/* Processes beyond the processors only take turns. */
static int
allowed_workers(void)
{
	int			n = Min(max_parallel_maintenance_workers, max_parallel_workers);
	long		processors = sysconf(_SC_NPROCESSORS_ONLN);

	/* tests want as many as they ask for */
	if (kseg_parallel_min_work > 0 && processors > 0 && n > processors - 1)
		n = (int) processors - 1;
	return n;
}

static void
launch(KsegTeam *team)
{
	ParallelContext *pcxt;
	TeamShared *shared = NULL;
	int			n = allowed_workers();

	team->is_tried = true;
	/* what the server itself needs for workers is less than a megabyte */
	if (n < 1 || !ActiveSnapshotSet() || !has_room(1024 * 1024))
		return;
	EnterParallelMode();
	pcxt = CreateParallelContext("$libdir/kseg", "kseg_team_main", n);
	shm_toc_estimate_chunk(&pcxt->estimator, sizeof(TeamShared));
	shm_toc_estimate_keys(&pcxt->estimator, 1);
	InitializeParallelDSM(pcxt);
	if (pcxt->seg != NULL)
	{
		shared = shm_toc_allocate(pcxt->toc, sizeof(TeamShared));
		memset(shared, 0, sizeof(TeamShared));
		SpinLockInit(&shared->mutex);
		ConditionVariableInit(&shared->called);
		ConditionVariableInit(&shared->returned);
		shared->grain = team->crew.grain;
		memcpy(shared->handles, get_segments(team)->handles,
			   sizeof(shared->handles));
		shm_toc_insert(pcxt->toc, KEY_SHARED, shared);
		LaunchParallelWorkers(pcxt);
	}
	if (pcxt->nworkers_launched == 0)
	{
		DestroyParallelContext(pcxt);
		ExitParallelMode();
		return;
	}
	team->pcxt = pcxt;
	team->shared = shared;
	team->nworkers = pcxt->nworkers_launched;
}

static void
dismiss(KsegTeam *team)
{
	TeamShared *shared = team->shared;
	int			helped;

	SpinLockAcquire(&shared->mutex);
	shared->is_over = true;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->called);
	WaitForParallelWorkersToFinish(team->pcxt);
	helped = shared->helped;
	DestroyParallelContext(team->pcxt);
	ExitParallelMode();
	ereport(DEBUG1,
			(errmsg_internal("kseg: %d of %d parallel workers helped",
							 helped, team->nworkers)));
	team->pcxt = NULL;
	team->shared = NULL;
	team->nworkers = 0;
}

static int
gather(void *arg, double work)
{
	KsegTeam   *team = arg;

	if (team->depth == 0)
		return 0;
	if (!team->is_tried && work >= kseg_parallel_min_work * 1e6)
		launch(team);
	return team->nworkers;
}

static void
call(void *arg, int task, KmHandle input)
{
	TeamShared *shared = ((KsegTeam *) arg)->shared;

	SpinLockAcquire(&shared->mutex);
	shared->task = task;
	shared->input = input;
	shared->is_open = true;
	shared->calls++;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->called);
}

static int
count_working(TeamShared *shared)
{
	int			working;

	SpinLockAcquire(&shared->mutex);
	working = shared->working;
	SpinLockRelease(&shared->mutex);
	return working;
}

static void
wait_for_workers(void *arg)
{
	TeamShared *shared = ((KsegTeam *) arg)->shared;

	SpinLockAcquire(&shared->mutex);
	shared->is_open = false;
	SpinLockRelease(&shared->mutex);
	for (int i = 0; i < LOOKS; i++)
	{
		if (((volatile TeamShared *) shared)->working == 0 &&
			count_working(shared) == 0)
			return;
		pg_spin_delay();
	}
	ConditionVariablePrepareToSleep(&shared->returned);
	while (count_working(shared) > 0)
		ConditionVariableSleep(&shared->returned, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

/* ---- for the rest of the glue ---- */

KsegTeam *
kseg_team_create(MemoryContext context)
{
	KsegTeam   *team;

	if (!IsUnderPostmaster || IsParallelWorker() ||
		Min(max_parallel_maintenance_workers, max_parallel_workers) < 1)
		return NULL;
	team = MemoryContextAllocZero(context, sizeof(KsegTeam));
	team->context = context;
	team->crew.gather = gather;
	team->crew.share = share;
	team->crew.see = see;
	team->crew.unshare = unshare;
	team->crew.call = call;
	team->crew.wait = wait_for_workers;
	team->crew.grain = kseg_parallel_min_work > 0 ? KM_CREW_GRAIN : 0;
	team->crew.arg = team;
	team->callback.func = forget_all;
	team->callback.arg = team;
	MemoryContextRegisterResetCallback(context, &team->callback);
	return team;
}

const KmCrew *
kseg_team_crew(KsegTeam *team)
{
	return team == NULL ? NULL : &team->crew;
}

void
kseg_team_begin(KsegTeam *team)
{
	if (team != NULL && team->depth++ == 0)
		team->is_tried = false;
}

void
kseg_team_end(KsegTeam *team)
{
	if (team != NULL && --team->depth == 0 && team->shared != NULL)
		dismiss(team);
}

void
kseg_team_rest(KsegTeam *team)
{
	if (team == NULL)
		return;
	if (team->shared != NULL)
		dismiss(team);
	team->is_tried = false;
}

/* ---- in a worker ---- */

static int
gather_nobody(void *arg, double work)
{
	return 0;
}

/* Segments that are no longer shared go back to the system. */
static void
forget_stale(KsegTeam *team)
{
	volatile TeamShared *shared = team->shared;

	for (int slot = 0; team->own != NULL && slot < SLOTS; slot++)
	{
		if (team->own->segments[slot] != NULL &&
			team->own->handles[slot] != shared->handles[slot])
			forget_slot(team->own, slot);
	}
}

/*
 * Wait for a call that this worker has not followed yet, and take part in it;
 * false: there will be none.
 */
static bool
next_call(TeamShared *shared, uint32 *seen, int *task, KmHandle *input)
{
	int			looks = 0;

	for (;;)
	{
		volatile TeamShared *looked = shared;
		bool		is_over;
		bool		is_called;

		while (looks++ < LOOKS && !looked->is_over &&
			   (looked->calls == *seen || !looked->is_open))
			pg_spin_delay();
		SpinLockAcquire(&shared->mutex);
		is_over = shared->is_over;
		is_called = !is_over && shared->is_open && shared->calls != *seen;
		if (is_called)
		{
			if (*seen == 0)
				shared->helped++;
			*seen = shared->calls;
			*task = shared->task;
			*input = shared->input;
			shared->working++;
		}
		SpinLockRelease(&shared->mutex);
		if (is_over || is_called)
		{
			ConditionVariableCancelSleep();
			return is_called;
		}
		ConditionVariableSleep(&shared->called, PG_WAIT_EXTENSION);
	}
}

static void
return_from_call(TeamShared *shared)
{
	bool		is_last;

	SpinLockAcquire(&shared->mutex);
	is_last = --shared->working == 0;
	SpinLockRelease(&shared->mutex);
	if (is_last)
		ConditionVariableSignal(&shared->returned);
}

void
kseg_team_main(dsm_segment *segment, shm_toc *toc)
{
	TeamShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	KsegTeam   *team = MemoryContextAllocZero(TopMemoryContext,
											  sizeof(KsegTeam));
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "kseg team",
												  ALLOCSET_DEFAULT_SIZES);
	KmHost		host = *kseg_host(context);
	uint32		seen = 0;
	int			task;
	KmHandle	input;

	team->context = TopMemoryContext;
	team->shared = shared;
	team->crew.gather = gather_nobody;
	team->crew.share = share;
	team->crew.see = see;
	team->crew.unshare = unshare;
	team->crew.grain = shared->grain;
	team->crew.arg = team;
	host.crew = &team->crew;
	/* the session tells how far it is */
	host.report = NULL;
	while (next_call(shared, &seen, &task, &input))
	{
		forget_stale(team);
		km_crew_help(&host, ParallelWorkerNumber + 1, task, input);
		return_from_call(shared);
		MemoryContextReset(context);
	}
}
