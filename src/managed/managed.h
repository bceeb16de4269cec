/*
 * managed.h
 *		What the parts of managed segmentations share: those that kseg_create()
 *		registers and kseg_run() keeps up to date.
 *
 *		registry.c		segmentations and models as rows of our tables; who may
 *						do what; whose rights what runs with
 *		resolve.c		a query's text, checked, and every name in it qualified
 *		create.c		kseg_create(), kseg_alter(), kseg_drop()
 *		grant.c			kseg_grant(), kseg_revoke()
 *		policy.c		refit_when and hold_when
 *		members.c		the customers of a night, and where they are now; with
 *						member_*.c and members.h
 *		baseline.c		how the rows of a fit are spread
 *		drift.c			how far later rows are from those; kseg_drift()
 *		run.c			kseg_run(), kseg_rollback(): what is done, and why
 *		pass.c			where each customer would be by a model
 *		kept.c			customers kept for a fit and another pass
 *		refit.c			a new model, and whether it may be published
 *		picture.c		an elbow and a scatter plot of each fit
 *		publish.c		what a run writes: target and registry
 *		history.c		and the history
 *		log.c			and what it tells of itself
 *		label_segment.c	kseg_label(), and which labels need a review
 *		migration.c		errors of kseg_migration()
 *		arrays.c		arrays as parameters of our statements
 *		messages.c		wording of errors
 *
 * Two identities do the work.  What users gave us (the query, and all that
 * the target's triggers do) runs as the segmentation's owner in a
 * security-restricted operation; our own tables are written as their owner.
 * Never is one's SQL run as the other: between kseg_become_owner() and
 * kseg_become_caller() our tables are closed but to kseg_registry_execute().
 */
#ifndef MANAGED_H
#define MANAGED_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/timestamp.h"

#include "../pg/kseg.h"

/* ---- refit_when and hold_when (policy.c) ---- */

/* When to fit again.  A limit that is infinite is off. */
typedef struct KsegRefitWhen
{
	double		psi;			/* largest index of a feature */
	double		share_psi;		/* index of the segments' shares */
	double		inertia;		/* mean squared distance against the fit's */
	double		age;			/* seconds since the fit */
} KsegRefitWhen;

/* When not to publish what was fitted.  A limit that is infinite is off. */
typedef struct KsegHoldWhen
{
	double		moved;			/* share of customers that would move */
	double		vanished;		/* share of today's customers in a segment
								 * that would end */
	double		inertia;		/* how much more of the total inertia the new
								 * model leaves within segments than the old
								 * one did, as a share of the total */
} KsegHoldWhen;

/*
 * From jsonb such as {"psi": 0.25, "age": "90 days"}, where null turns a
 * limit off; NULL: the defaults.  Raises on unknown keys and bad values.
 */
extern KsegRefitWhen kseg_refit_when_parse(Jsonb *json);
extern KsegHoldWhen kseg_hold_when_parse(Jsonb *json);
/* all limits, for the registry */
extern Jsonb *kseg_refit_when_print(const KsegRefitWhen *when);
extern Jsonb *kseg_hold_when_print(const KsegHoldWhen *when);

/* ---- the registry (registry.c) ---- */

/* What a caller may do; each includes those before it. */
typedef enum KsegRight
{
	KSEG_READ,
	KSEG_RUN,
	KSEG_EDIT,					/* labels, rollback: nothing that runs code */
	KSEG_OWN
} KsegRight;

typedef struct KsegSegmentation
{
	int			id;
	char	   *name;
	Oid			owner;
	char	   *query;			/* as registered */
	char	   *resolved;		/* what runs */
	int			nfunctions;
	char	  **functions;		/* that it calls, see KsegResolved */
	int			nkeys;
	char	  **keys;			/* columns of the query, and of the target */
	int			k;				/* 0: the evidence chooses, once */
	Jsonb	   *options;		/* never NULL */
	Oid			target;
	char	   *segment_column;
	bool		owns_target;
	KsegRefitWhen refit_when;
	KsegHoldWhen hold_when;
	double		hysteresis;
	Interval   *keep;			/* NULL: forever */
	int			version;		/* 0: no model yet */
	int			last_version;
	int			last_id;
	char	   *pending;		/* NULL: nothing asks for a fit */
	int64		members;
	uint64		members_hash;
} KsegSegmentation;

typedef enum KsegLock
{
	KSEG_NO_LOCK,
	KSEG_KEEP,					/* it is not dropped meanwhile; waits for none
								 * but kseg_drop() */
	KSEG_WAIT,					/* until whoever holds it has finished */
	KSEG_SKIP					/* do not wait: *is_busy instead */
} KsegLock;

/*
 * The segmentation of that name, locked till the end of the transaction, in
 * the current context.  Raises when there is none that the caller may see, or
 * when he lacks the right.  is_busy: for KSEG_SKIP, else NULL.
 */
extern KsegSegmentation *kseg_registry_find(const char *name, KsegRight right,
											KsegLock lock, bool *is_busy);

/* Delete all rows about a segmentation. */
extern void kseg_registry_forget(const KsegSegmentation *s);
/*
 * Delete models and what is stored with them, or runs and what they logged.
 * condition: on kseg_models or kseg_runs, both called "t"; %s as below.
 */
extern void kseg_registry_forget_models(const char *condition, int nargs,
										const Oid *types,
										const Datum *values);
extern void kseg_registry_forget_runs(const char *condition, int nargs,
									  const Oid *types, const Datum *values);

/*
 * Call first in each of the functions: from then on the registry knows the
 * schema that its tables are in.
 */
extern void kseg_registry_start(FunctionCallInfo fcinfo);
extern Oid	kseg_registry_schema_id(void);

/*
 * Execute one fixed statement as the owner of our tables, within SPI, with
 * search_path = pg_catalog; "%s" in it stands for our schema, quoted (as often
 * as it occurs; no other % may occur).  Results are in SPI_tuptable and
 * SPI_processed.  What it says never comes from users; their values are
 * parameters.  nulls: as SPI_execute_with_args(), may be NULL.
 */
extern void kseg_registry_execute(const char *sql, int nargs,
								  const Oid *types, const Datum *values,
								  const char *nulls);
/* Oid of the type kseg_model */
extern Oid	kseg_registry_model_type(void);

/* A version of a segmentation's model; raises when there is none. */
extern KmModel *kseg_registry_model(const KsegSegmentation *s, int version,
									TimestampTz *created);

/* Arrays, and a name, as parameters (arrays.c).  Of integers, 0 becomes a null. */
extern Datum kseg_int_array(const int *numbers, int n);
extern Datum kseg_count_array(const int64 *counts, int n);
extern Datum kseg_number_array(const double *numbers, int n);
extern Datum kseg_text_array(char *const *texts, int n);
/* a name with all its bytes, which a shorter string has not */
extern Datum kseg_name_datum(const char *name);

/* ---- whose rights (registry.c) ---- */

typedef struct KsegCaller
{
	Oid			user;
	int			security;
	int			guc_level;
} KsegCaller;

/*
 * Run what follows as the segmentation's owner: security-restricted, with
 * search_path = pg_catalog, pg_temp.  An error on the way ends it as well
 * (the transaction's abort restores the user).
 */
extern void kseg_become_owner(const KsegSegmentation *s, KsegCaller *caller);
extern void kseg_become_caller(const KsegCaller *caller);
/*
 * The two parts of kseg_become_owner().  The first leaves settings as they
 * are, so that a query means what its writer means; kseg_become_caller() ends
 * it too.  The second fixes what names and values mean, until the GUC level
 * ends.
 */
extern void kseg_restrict_to(Oid user, KsegCaller *caller);
extern void kseg_fix_settings(void);

/*
 * Raise where nothing can be written; and within a security-restricted
 * operation: whoever is the user there did not ask for this (an index or a
 * query of his is being evaluated).
 */
extern void kseg_start_writing(const char *function);
/* Change a setting until the GUC level ends that the caller has begun. */
extern void kseg_set_for_now(const char *setting, const char *value);

/* ---- queries (resolve.c) ---- */

typedef struct KsegResolved
{
	char	   *text;			/* names qualified, no ";" at its end */
	int			nfunctions;
	char	  **functions;		/* outside pg_catalog that it calls, and those
								 * behind operators from there, with their
								 * argument types; sorted */
	KsegQuery	columns;
	int			nkeys;
	int		   *keys;			/* positions of the key's columns */
} KsegResolved;

/*
 * Analyse the query as the current user and check that it is one SELECT that
 * changes nothing, that its column names differ, and that "key" names columns
 * of it ('customer_id', or several: 'shop, customer_id').  NULL key: none.
 */
extern KsegResolved *kseg_resolve(const char *query, const char *key);

/*
 * Raise when the resolved query would call other functions than those that
 * were registered.  Call as the owner.  Whoever then runs a text made of the
 * query does so behind a guard, since it is analysed anew.
 */
extern void kseg_resolved_check(const KsegSegmentation *s);

/*
 * Lets no query call other functions than those that were registered; what
 * names mean was fixed, and is again if a function has changed it meanwhile.
 * is_within: the query is in the FROM of one of ours.
 */
extern KsegGuard kseg_guard(const KsegSegmentation *s, bool is_within);

/*
 * SQL for two expressions being equal by that operator.  One that is not the
 * server's is given its own types, or of operators of its name the parser
 * might choose another for a domain over them.
 */
extern char *kseg_sql_equal(Oid operator, const char *left,
							const char *right);

/* 'SELECT features FROM (the resolved query)': all columns but the key's */
extern char *kseg_features_query(const KsegSegmentation *s);

/* ---- customers (members.c) ---- */

/* One customer: of the query, of the target, or of both. */
typedef struct KsegMember
{
	const Datum *key;			/* nkeys, none null, of the target's types;
								 * NULL if it is not in_target and has another
								 * type in the query (a user's target only) */
	uint64		hash;			/* of the key, not of its text */
	int			segment;		/* in the target; 0: none, negative: what is
								 * there is neither null nor a segment */
	bool		in_query;
	bool		in_target;
	const Datum *values;		/* of the query's columns, when in_query */
	const bool *nulls;
} KsegMember;

typedef struct KsegMembers KsegMembers;

/*
 * Prepare to read the customers of a segmentation, between
 * kseg_become_owner() and kseg_become_caller(), as all that follows.  Checks
 * the target again: that it is there, its columns, and its unique index.  All
 * in the current context.
 */
extern KsegMembers *kseg_members_create(const KsegSegmentation *s);
/* types of the target's key columns */
extern const Oid *kseg_members_key_types(const KsegMembers *members);
/* qualified and quoted */
extern const char *kseg_members_target(const KsegMembers *members);
/* int2, int4 or int8 */
extern Oid	kseg_members_segment_type(const KsegMembers *members);

/*
 * Read all customers of the query and those of the target that have a
 * segment, under the active snapshot.  start: as kseg_query_run(), with the
 * query's columns.  row: once a customer; what it points to is gone
 * afterwards.  Raises when a key is null in the query, or comes twice.
 */
extern void kseg_members_run(KsegMembers *members,
							 void (*start) (void *arg, const KsegQuery *query),
							 void (*row) (void *arg, const KsegMember *member),
							 void *arg);

/* The key as kseg_history has it; palloc'd. */
extern text *kseg_members_key_text(KsegMembers *members, const Datum *key);
/* An expression for the same of a row of the target called "t". */
extern const char *kseg_members_key_expression(const KsegMembers *members);
/* hash of a customer in a segment; the registry has the sum of them */
extern uint64 kseg_member_hash(uint64 key_hash, int segment);

/* ---- drift (drift.c, baseline.c) ---- */

typedef struct KsegDrift KsegDrift;

/* Counts for the rows that a model scores, in the current context. */
extern KsegDrift *kseg_drift_create(const KsegSegmentation *s,
									const KmModel *model, int version);
/*
 * features: raw, as of KsegScoredRow; score: NULL when the row has no
 * segment.  The model's own choice of segment, without hysteresis.
 */
extern void kseg_drift_add(KsegDrift *drift, const double *features,
						   const KmScore *score);
/*
 * Only for fits with option row_weight, whose figures are of weighted rows:
 * the columns of the query once, and the weight of each row before it is
 * added.  A row that weighs nothing is then left out, as it was of the fit.
 * Does nothing for other fits.
 */
extern void kseg_drift_columns(KsegDrift *drift, const KsegQuery *query);
extern void kseg_drift_weigh(KsegDrift *drift, const Datum *values,
							 const bool *nulls);

typedef struct KsegDriftSummary
{
	double		psi;			/* largest of a feature; never NaN */
	const char *feature;		/* that has it; NULL: all are 0, or the
								 * version has no baseline */
	double		share_psi;		/* of the segments' shares */
	double		inertia;		/* sum of squared distances */
	double		inertia_ratio;	/* per row, against the fit's; 1 without rows,
								 * infinite when the fit's is 0 */
	int64		rows;			/* with a segment */
	const int64 *sizes;			/* of each segment of the model */
} KsegDriftSummary;

extern const KsegDriftSummary *kseg_drift_summary(KsegDrift *drift);
/* its rows of kseg_drifts */
extern void kseg_drift_store(KsegDrift *drift, const KsegSegmentation *s,
							 int64 run);

/*
 * What kseg_drift_create() will compare with: how the rows of a fit are
 * spread.  Taken from a fit that is at its end; stored with the model.
 */
typedef struct KsegBaseline KsegBaseline;

extern KsegBaseline *kseg_baseline_create(KsegIngest *ingest,
										  const KmModel *model);
extern void kseg_baseline_store(const KsegBaseline *baseline,
								const KsegSegmentation *s, int version);
/* bins of each feature of that version's model; NULL: none are stored */
extern KmBins *kseg_baseline_load(const KsegSegmentation *s,
								  const KmModel *model, int version);

/* ---- labels (label_segment.c) ---- */

/*
 * After a model was published, the first one too: write what its segments are
 * called without labels (kseg_names), and mark labels whose segment has moved
 * far from where it was when the label was given, or is gone.  How many need
 * a review now.
 */
extern int	kseg_labels_review(const KsegSegmentation *s,
							   const KmModel *model);

#endif							/* MANAGED_H */
