/*
 * progress.h
 *		What a session is doing, for the view kseg_progress.
 *
 * The outermost of our functions that runs owns what is shown; those that it
 * runs, and the core below them, say which phase it is in and how far.  All
 * of this costs a few stores into shared memory, so call it often, but not
 * once a row: kseg_progress_due() thins it out.
 */
#ifndef KSEG_PROGRESS_H
#define KSEG_PROGRESS_H

#include "../core/km.h"

/* Functions that can be watched.  New ones go to the end: sessions may have
 * loaded different builds. */
typedef enum KsegCommand
{
	KSEG_COMMAND_FIT,
	KSEG_COMMAND_CLUSTER,
	KSEG_COMMAND_ELBOW,
	KSEG_COMMAND_SEGMENTS,
	KSEG_COMMAND_EVALUATE,
	KSEG_COMMAND_PROFILE,
	KSEG_COMMAND_EXPLAIN,
	KSEG_COMMAND_PROJECT,
	KSEG_COMMAND_NORMALIZE,
	KSEG_COMMAND_APPLY,
	KSEG_COMMAND_RUN,
	KSEG_COMMAND_ROLLBACK
} KsegCommand;

/* The core's phases, and then ours.  New ones go to the end here, too. */
typedef enum KsegPhase
{
	KSEG_PHASE_READ = 100,
	KSEG_PHASE_SCORE,
	KSEG_PHASE_WRITE,
	KSEG_PHASE_HISTORY
} KsegPhase;

typedef struct KsegProgress KsegProgress;

/*
 * A command that begins and ends once or several times, as long as the
 * context lives.  When that goes in an error the command has ended.
 */
extern KsegProgress *kseg_progress_create(MemoryContext context,
										  KsegCommand command);
/*
 * Take what is shown, unless another command owns it or this is a worker;
 * true when it is this command's from now on, and was not before.
 */
extern bool kseg_progress_begin(KsegProgress *progress);
extern bool kseg_progress_is_shown(const KsegProgress *progress);
/*
 * The same for all that runs until the end: when another command owns what is
 * shown, which then called this one in one of its rows, nothing is told.
 */
extern void kseg_progress_enter(KsegProgress *progress);
extern void kseg_progress_end(KsegProgress *progress);

/* create in the current context, and enter */
extern KsegProgress *kseg_progress_start(KsegCommand command);

/* A new phase: a KsegPhase or KmPhase. */
extern void kseg_progress_phase(int phase);
/* as KmHost.report: the phase, if it is new, and its steps */
extern void kseg_progress_report(int phase, int64 done, int64 total);
/* rows of the phase; total: 0 when not known */
extern void kseg_progress_rows(int64 done, int64 total);
extern void kseg_progress_changed(int64 rows);
extern void kseg_progress_k(int k);

/* Is it time to tell of so many rows? */
static inline bool
kseg_progress_due(int64 rows)
{
	return (rows & 1023) == 0 || (rows < 1024 && (rows & 15) == 0);
}

#endif							/* KSEG_PROGRESS_H */
