/*
 * crew.h
 *		Work that is shared by the members of a crew.
 *
 * A task stands in memory that all members see: what is to be done, in
 * offsets and handles and never in pointers, and the results.  Its items have
 * numbers; each member, the caller being one, takes the next number until
 * there are none left.  An item's result depends on its number alone, and
 * results are put together in the order of numbers, or by sums that know no
 * order: so how many members there are, and who is how fast, cannot matter.
 *
 * Without a crew the caller does the same alone, in memory of its own.
 */
#ifndef KM_CREW_H
#define KM_CREW_H

#include <stdatomic.h>

#include "km_internal.h"

/* What a member can be called for. */
typedef enum KmTaskId
{
	KM_TASK_PASS = 1,			/* pass.c */
	KM_TASK_CHAINS = 2,			/* search.c */
	KM_TASK_SILHOUETTES = 3,	/* silhouette.c */
	KM_TASK_REFERENCES = 4,		/* reference.c */
	KM_TASK_REFITS = 5			/* stability.c */
} KmTaskId;

/* What the memory of each task begins with. */
typedef struct KmTask
{
	_Atomic int64_t next;		/* number of the next item */
	_Atomic int stop;			/* take no more, and leave what is begun */
	_Atomic int status;			/* the first failure, a KmStatus */
	_Atomic int lock;			/* for a few instructions */
} KmTask;

/* The next item's number, or -1 when there is none. */
static inline int64_t
km_task_take(KmTask *task, int64_t nitems)
{
	int64_t		item;

	if (atomic_load_explicit(&task->stop, memory_order_acquire))
		return -1;
	item = atomic_fetch_add(&task->next, 1);
	return item < nitems ? item : -1;
}

static inline void
km_task_stop(KmTask *task)
{
	atomic_store_explicit(&task->stop, 1, memory_order_release);
}

static inline bool
km_task_stopped(KmTask *task)
{
	return atomic_load_explicit(&task->stop, memory_order_acquire) != 0;
}

static inline void
km_task_lock(KmTask *task)
{
	while (atomic_exchange_explicit(&task->lock, 1, memory_order_acquire))
		;
}

static inline void
km_task_unlock(KmTask *task)
{
	atomic_store_explicit(&task->lock, 0, memory_order_release);
}

/*
 * A member's part in a task: a host that has no crew, so that nothing in it
 * is shared once more, and whose polls end when the task is to stop.  It must
 * stay where it is.
 */
typedef struct KmMember
{
	KmHost		host;
	const KmHost *of;
	KmTask	   *task;
	KmPoll		poll;
	KmPoll	   *outer;			/* the caller's, whose count goes on; NULL */
	bool		was_told;		/* by the host, to stop */
} KmMember;

extern void km_member_begin(KmMember *part, const KmHost *host,
							KmPoll *outer, KmTask *task);
/* a failure, unless the task was to stop anyhow; OK is none */
extern void km_member_end(KmMember *part, KmStatus status);

/*
 * Memory for a task of the host's crew; for "others" = 0 the host's own, and
 * *handle is 0.  Zeroed.
 */
extern void *km_task_create(const KmHost *host, int others, size_t size,
							KmHandle *handle);
extern void km_task_free(const KmHost *host, void *task, KmHandle handle);
/*
 * Members beside the caller who may help with a task of so many multiply-adds;
 * work: what there is to do in all.
 */
extern int	km_crew_others(const KmHost *host, double task, double work);

/* ---- laying out memory ---- */

/* what stands at an offset of a task's memory */
static inline void *
km_task_at(void *task, size_t offset)
{
	return (char *) task + offset;
}

/* room for count * size bytes at *end, which moves on: where it begins */
extern size_t km_lay(size_t *end, size_t count, size_t size);

/*
 * Spaces, tables of one block and samples for other members, who see them
 * where they are: there is nothing to clear.  part: the host of what they
 * make of them.
 */
extern size_t km_space_lay(size_t *end, const KmSpace *space);
extern void km_space_put(void *base, size_t at, const KmSpace *space);
extern void km_space_see(const KmHost *part, void *base, size_t at,
						 KmSpace *space);
extern size_t km_table_lay(size_t *end, const KmTable *table);
extern void km_table_put(void *base, size_t at, const KmTable *table);
extern void km_table_see(const KmHost *part, void *base, size_t at,
						 KmTable *table, KmBlock *block);

/*
 * A sample is shared once, and its handle kept in it until it is cleared; 0:
 * refused.
 */
extern KmHandle km_sample_share(KmSample *sample);
extern KmStatus km_sample_see(const KmHost *host, const KmHost *part,
							  KmHandle handle, KmSample *sample,
							  KmBlock *block);

/* ---- the tasks, for members who were called ---- */

extern KmStatus km_help_pass(KmMember *part, void *input, int member);
extern KmStatus km_help_chains(KmMember *part, void *input);
extern KmStatus km_help_silhouettes(KmMember *part, void *input);
extern KmStatus km_help_references(KmMember *part, void *input);
extern KmStatus km_help_refits(KmMember *part, void *input);

#endif							/* KM_CREW_H */
