/*
 * run.h
 *		The steps of a run: a pass over the customers (pass.c, kept.c), a fit
 *		(refit.c, picture.c), what is written (publish.c, history.c, log.c).
 */
#ifndef RUN_H
#define RUN_H

#include "managed.h"

/* ---- a model and the customers of a night (pass.c) ---- */

/* What the customers' segments would be; nothing is written. */
typedef struct KsegPass
{
	/* set once */
	const KsegSegmentation *s;
	const KmModel *model;
	KsegMembers *members;
	KsegDrift *drift;			/* NULL: not asked for */

	/* customers as they were found in the target */
	int64		found;
	uint64		found_hash;		/* sum of kseg_member_hash() */
	/* and as they would be */
	int64		scored;
	uint64		scored_hash;
	int64	   *sizes;			/* of the model's segments */

	int64		changed;
	int64		new;
	int64		gone;
	int64		unassigned;		/* rows of the query without a segment */
	int64		unwritable;		/* with one, but not in the target */

	/*
	 * One row for each customer whose segment differs: the key's columns as
	 * c1, c2 ..., the key as text, the segments before and after (null: none),
	 * and whether the target has it.
	 */
	Tuplestorestate *changes;
	TupleDesc	change;			/* their columns */
	int64		nchanges;
} KsegPass;

typedef struct KsegKept KsegKept;

/*
 * Read and score the customers under the active snapshot, as the owner.
 * version: whose baseline to compare with, 0 for no drift.  kept: to keep
 * them in; or NULL.
 */
extern KsegPass *kseg_pass_run(const KsegSegmentation *s,
							   KsegMembers *members, const KmModel *model,
							   int version, KsegKept *kept);
/* The same by another model, without reading them again. */
extern KsegPass *kseg_pass_again(const KsegPass *before,
								 const KmModel *model, KsegKept *kept);

/* ---- customers kept for a fit (kept.c) ---- */

/* Nothing kept yet, in the current context; a fit with these options. */
extern KsegKept *kseg_kept_create(const KsegSegmentation *s,
								  KsegOptions *options);
extern void kseg_kept_start(KsegKept *kept, const KsegQuery *query,
							const Oid *key_types);
/* features: as they were scored; NULL when the query has no such row */
extern void kseg_kept_add(KsegKept *kept, const KsegMember *member,
						  const double *features, bool has_segment);
/* the rows to fit */
extern KsegIngest *kseg_kept_ingest(KsegKept *kept);
/* Are all customers there, with all that a second pass needs? */
extern bool kseg_kept_complete(const KsegKept *kept);
/* customer number i from 0 on; false: there are no more */
extern bool kseg_kept_get(const KsegKept *kept, int64 i, KsegMember *member,
						  bool *is_fitted);

/* ---- a new model (refit.c) ---- */

typedef struct KsegPicture KsegPicture;

typedef struct KsegRefit
{
	KmModel    *model;			/* its segments with the ids they keep */
	KsegBaseline *baseline;
	KsegPicture *picture;
	char	   *choice;			/* how k was chosen; NULL: it was given */
	char	   *outcome;		/* what became of the old segments; NULL: there
								 * are none */
	int			proposed_k;		/* 0: none */
} KsegRefit;

/* what a segmentation's models are fitted with; old: NULL for the first */
extern KsegOptions *kseg_refit_options(const KsegSegmentation *s,
									   const KmModel *old);
/*
 * Fit the customers under the active snapshot, as the owner.  old: NULL for
 * the first fit.  ingest: their rows, or NULL to read them.
 */
extern KsegRefit *kseg_refit(const KsegSegmentation *s, const KmModel *old,
							 KsegIngest *ingest);

/*
 * An elbow and a scatter plot of a fit, from a sample of its rows, for whoever
 * looks at the model later (picture.c).
 */
extern KsegPicture *kseg_picture_create(KsegIngest *ingest,
										const KmModel *model);
extern void kseg_picture_store(const KsegPicture *picture,
							   const KsegSegmentation *s, int version);

/*
 * Why the model should not be published, NULL: it may be.  before: the old
 * model's pass; after: the new one's.
 */
extern char *kseg_refit_hold(const KsegPass *before, const KsegPass *after);

/* ---- what is written (publish.c, history.c, log.c) ---- */

/* How many customers went from one segment to another; 0: none. */
typedef struct KsegMove
{
	int			from;
	int			to;
	int64		customers;
} KsegMove;

/* A row of kseg_runs, but for what the pass and the segmentation know. */
typedef struct KsegRun
{
	int64		id;
	TimestampTz started;
	const char *mode;
	const char *action;
	char	   *reason;
	int			refit_version;	/* 0: nothing was fitted */
	int			proposed_k;		/* 0: none */
	bool		held;
	KsegDrift  *drift;			/* NULL: not measured */
	double		drift_index;	/* NAN: not measured */
	double		inertia_ratio;	/* likewise */
	Interval   *elapsed;		/* set by kseg_run_log() */
	bool		is_scored;
	/* by kseg_history; in a dry run by the target */
	int64		scored;
	int64		changed;
	int64		new;
	int64		gone;
	int64		unassigned;
	int			nmoves;
	KsegMove   *moves;
} KsegRun;

/* A number for the run, and its time. */
extern void kseg_run_start(const KsegSegmentation *s, KsegRun *run);

/* The segments of a pass to the target, the history and the registry. */
extern void kseg_publish(KsegSegmentation *s, KsegPass *pass, KsegRun *run);

/* A model to kseg_models, as the segmentation's next version. */
extern void kseg_publish_model(KsegSegmentation *s, const KsegRefit *refit,
							   KsegRun *run, bool is_held,
							   const char *reason);

/* The run and what it measured; pass: NULL when nothing was written. */
extern void kseg_run_log(const KsegSegmentation *s, const KsegPass *pass,
						 KsegRun *run);

/* Delete what is older than the segmentation keeps. */
extern void kseg_run_forget(const KsegSegmentation *s, const KsegRun *run);

/* ---- what kseg_publish() and the history share, within SPI ---- */

/* Rows that SQL sees under the name from now on. */
extern void kseg_register_rows(const char *name, Tuplestorestate *rows,
							   TupleDesc desc, int64 count);
/*
 * Have each change find its row by the index on the key, one after the other.
 * Any other join would lose their order, or read the whole table.
 */
extern void kseg_join_by_index(void);

/* History that agreed with the target follows its changes. */
extern void kseg_history_follow(const KsegPass *pass, KsegRun *run,
								MemoryContext context);
/*
 * History that does not agree with the target (the first run; rows were
 * deleted, or segments edited by hand) is compared with all of it.  First the
 * target is read, as its owner: all customers with a segment.
 */
extern Tuplestorestate *kseg_history_members(const KsegPass *pass);
extern void kseg_history_compare(const KsegPass *pass, KsegRun *run,
								 MemoryContext context);

#endif							/* RUN_H */
