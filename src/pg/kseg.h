/*
 * kseg.h
 *		What the parts of the server glue share.
 *
 * The glue turns Datums into doubles and back; the mathematics is in
 * src/core, which it sees through km.h alone.
 *
 *		arguments or query columns	-> KsegColumn (column.c, names.c)
 *		rows						-> KsegIngest (ingest.c)
 *		jsonb options				-> KsegOptions (options.c)
 *		KmModel						<-> kseg_model, JSON, jsonb (model_io.c)
 *		KmModel + values			-> segment (scorer.c)
 */
#ifndef KSEG_H
#define KSEG_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "utils/jsonb.h"

#include "../core/km.h"
#include "compat.h"

/* ---- words for the core's enumerations (words.c) ---- */

#define KSEG_SCALES		5
#define KSEG_DISTANCES	2

extern const char *const kseg_scale_names[KSEG_SCALES];
extern const char *const kseg_distance_names[KSEG_DISTANCES];

/* position of a name in a list, or -1 */
extern int	kseg_find_word(const char *name, const char *const *names,
						   int count);
extern const char *kseg_scale_name(KmScale scale);
extern const char *kseg_distance_name(KmDistance distance);
extern bool kseg_scale_find(const char *name, KmScale *scale);
extern bool kseg_distance_find(const char *name, KmDistance *distance);
/* "number", "boolean", "moment", "interval", "category" */
extern const char *kseg_kind_name(KmKind kind);

/* Notes in one column: "; " before all but the first. */
extern void kseg_add_note(StringInfo notes, const char *format,...)
			pg_attribute_printf(2, 3);
/* a number of rows as people read it: 1,000,000; palloc'd */
extern char *kseg_print_count(int64 count);

/* ---- settings (kseg.c) ---- */

extern int	kseg_work_mem;		/* kB */
extern int	kseg_simd;			/* a KmSimd; a switch for debugging */
extern int	kseg_parallel_min_work; /* that workers are started for, in
									 * millions of multiplications */

/* ---- errors (errors.c): all wording that users meet ---- */

/* Raise the error that goes with a status of the core. */
pg_noreturn extern void kseg_raise(KmStatus status);

static inline void
kseg_check(KmStatus status)
{
	if (unlikely(status != KM_OK))
		kseg_raise(status);
}

/* ---- the core's host: memory contexts and interrupts (host.c) ---- */

/*
 * A host whose memory is palloc'd (huge allocations allowed) in the context.
 * The KmHost lives in the context too.  poll runs CHECK_FOR_INTERRUPTS.
 */
extern const KmHost *kseg_host(MemoryContext context);
/* the same with a crew (team.h), or NULL */
extern const KmHost *kseg_host_with(MemoryContext context,
									const KmCrew *crew);

/* ---- rows beyond kseg.work_mem (spill.c) ---- */

typedef struct KsegSpill KsegSpill;

/* A place for them, on disk once it is used; it goes with the context. */
extern KsegSpill *kseg_spill_create(MemoryContext context);
extern const KmStore *kseg_spill_store(const KsegSpill *spill);

/* ---- columns: from a Datum to a double (column.c) ---- */

typedef struct KsegDictionary KsegDictionary;	/* category -> code */

typedef struct KsegColumn
{
	const char *name;			/* for messages and the model */
	Oid			type;			/* base type, domains looked through */
	KmKind		kind;
	/* the rest is column.c's own */
	int			read;			/* how to read a Datum */
	MemoryContext context;
	KsegDictionary *dictionary; /* categories met so far, NULL before one */
	struct varlena *fetched;	/* value that kseg_column_text() gave out */
} KsegColumn;

/*
 * Set up a column, or raise "column "x" has type y, which kseg cannot use".
 * The dictionary, if any, grows in the context.  Categories are numbered as
 * they come.
 */
extern void kseg_column_init(KsegColumn *column, const char *name, Oid type,
							 MemoryContext context);

/*
 * One value, never null: a finite number, or a category's code.  Raises on
 * NaN and infinity (naming the column) and beyond KM_MAX_CATEGORIES.
 * Allocates nothing that outlives the call except in the dictionary.
 */
extern double kseg_column_read(KsegColumn *column, Datum value);

/* The same value without a dictionary: the category's text (not
 * NUL-terminated; valid until the next call). */
extern const char *kseg_column_text(KsegColumn *column, Datum value,
									int *length);

/* Sorted categories and the map from codes to them, palloc'd. */
extern void kseg_column_categories(KsegColumn *column, int *ncategories,
								   char ***categories, int **recode);


/* ---- a call's arguments (names.c) ---- */

/* Tell equal names apart by a number: x, x_2, x_3. */
extern void kseg_number_names(const char **names, int count);

/*
 * Names of arguments first .. first + count - 1 (the first is number 0) of an
 * aggregate's call as EXPLAIN prints them, made distinct; f1 .. fn where there is no plan.
 * palloc'd in the current context.
 */
extern const char **kseg_argument_names(FunctionCallInfo fcinfo, int first,
										int count);
/*
 * Constants print the same in every session from now on, until
 * AtEOXact_GUC() with the level that is returned.
 */
extern int	kseg_print_alike(void);
/* f1 .. fn */
extern const char **kseg_numbered_names(int count);

/*
 * Types of a call's arguments from number "first" of fcinfo on, at least one;
 * is_array: it is a single float8[].
 */
extern Oid *kseg_argument_types(FunctionCallInfo fcinfo, int first,
								bool *is_array);
/* whether an argument of an aggregate's call is a constant or parameter */
extern bool kseg_is_fixed_argument(FunctionCallInfo fcinfo, int argument);

/* ---- options (options.c) ---- */

/* Where the rows of a query are worked on; results do not depend on it. */
typedef enum KsegEngine
{
	KSEG_ENGINE_AUTO,			/* pushdown when the query reads a distributed
								 * table */
	KSEG_ENGINE_MEMORY,			/* rows are read once, and kept here */
	KSEG_ENGINE_PUSHDOWN		/* passes are aggregates over the query */
} KsegEngine;

/* The engine that an argument names, or an error. */
extern KsegEngine kseg_engine_parse(const char *name);

/*
 * Options of a fit as the user gave them.  Those that name features or need
 * the data wait as text until kseg_options_bind().
 */
typedef struct KsegOptions
{
	KmOptions	core;
	int			k;				/* 0: not given */
	int			k_min;			/* an elbow's; 0: it is a fit, of k */
	int			k_max;
	Jsonb	   *json;			/* as given, for kseg_info; never NULL */
	const char *row_weight;		/* column that weighs the row, or NULL */
	/* the rest is options.c's and init.c's own */
	JsonbValue *weights;
	JsonbValue *init;
	int			init_k;			/* centroids in init */
	KmModel    *previous;		/* that the fit continues, or NULL */
	const char *order_by;		/* NULL: by size */
	KsegEngine	engine;
} KsegOptions;

/*
 * Parse and check in one go; everything is copied into the current context.
 * json may be NULL (all defaults).  k: from the call, 0 when the call has
 * none; it wins only when the options name none, else they must agree.
 * k_required: an error when neither gives one.
 */
extern KsegOptions *kseg_options_parse(Jsonb *json, int k, bool k_required);

/*
 * The options as a model keeps them: without "previous", or each model would
 * hold all those before it, and without "engine", which changes nothing.
 */
extern char *kseg_options_print(const KsegOptions *options);

/* Check a k that came as an argument. */
extern void kseg_check_k(int64 k);

/* The scale that an argument "method" names, or an error. */
extern KmScale kseg_scale_parse(const char *name);

/* Position of a feature, or -1. */
extern int	kseg_find_feature(const KmFeature *features, int nfeatures,
							  const char *name);

/* Apply weights and order_by to the features, by name. */
extern void kseg_options_bind(KsegOptions *options, KmFeature *features,
							  int nfeatures);

/*
 * Starting points of option init in km_fit_run's form, k x width, or NULL
 * (init.c).
 * After km_fit_begin, when the categories are known.  May set *k: init alone
 * implies it.
 */
extern double *kseg_options_init(KsegOptions *options,
								 const KmFeature *features, int nfeatures,
								 int *k);

/*
 * The same for the centroids of option previous, one for each of its
 * segments; NULL without that option.
 */
extern double *kseg_options_previous(const KsegOptions *options,
									 const KmFeature *features,
									 int nfeatures);

/* ---- rows into the core (ingest.c) ---- */

typedef struct KsegIngest KsegIngest;

/*
 * Collect rows of the given columns (names and types; copied).  All memory is
 * in a context of its own below parent.  options->row_weight is looked up
 * among the columns and is then no feature.  Raises on no feature, too many,
 * unsupported types.
 */
extern KsegIngest *kseg_ingest_create(MemoryContext parent,
									  KsegOptions *options, int ncolumns,
									  const char *const *names,
									  const Oid *types);
/* array form: one float8[] whose length the first row sets */
extern KsegIngest *kseg_ingest_create_array(MemoryContext parent,
											KsegOptions *options);

/*
 * Add a row; false when it was skipped because of a null.  The values are
 * read where they stand: Datum/null pairs, so that an aggregate can pass its
 * arguments as they are.
 */
extern bool kseg_ingest_add(KsegIngest *ingest, const NullableDatum *values);
extern bool kseg_ingest_add_array(KsegIngest *ingest, Datum array);
/*
 * The same for a row whose values were read already, as kseg_column_read()
 * reads them, NAN being a null: in the order of the columns, when
 * kseg_ingest_takes_values() (no category, no weight).
 */
extern bool kseg_ingest_takes_values(const KsegIngest *ingest);
extern bool kseg_ingest_add_values(KsegIngest *ingest, const double *values);
/* count a row as skipped: an array that is null */
extern void kseg_ingest_skip(KsegIngest *ingest);
/* the same for a slot's separate arrays; columns[i]: slot column of the
 * ingest's column i */
extern bool kseg_ingest_add_slot(KsegIngest *ingest, const Datum *values,
								 const bool *nulls, const int *columns);

/* all rows of a query, whose columns are the features (query_fit.c) */
struct KsegGuard;
extern KsegIngest *kseg_ingest_query(MemoryContext context,
									 KsegOptions *options, const char *query,
									 const struct KsegGuard *guard);

/* raise if that many rows of that many features exceed kseg.work_mem */
extern void kseg_check_rows(int64 rows, int nfeatures);

/* as given to kseg_ingest_create() */
extern KsegOptions *kseg_ingest_options(const KsegIngest *ingest);
/* of rows skipped: how many had no value for a feature */
extern int64 kseg_ingest_missing(const KsegIngest *ingest, int feature);

/*
 * Scale and sample (km_fit_begin), bind the options.  NULL when there is no
 * row.  Once only: the rows are changed in place.
 */
extern KmFit *kseg_ingest_begin(KsegIngest *ingest);
extern KmFeature *kseg_ingest_features(KsegIngest *ingest, int *nfeatures);

/*
 * Fit k segments and make the model; NULL when there is no row.  Raises the
 * NOTICE on fewer segments than asked and on constant columns (one NOTICE a
 * statement at most).  k = 0: options->k or init's.  Calls
 * kseg_ingest_begin() if need be.
 */
extern KmModel *kseg_ingest_fit(KsegIngest *ingest, int k);

/* workers that may help with the fit, between begin and end; or NULL */
struct KsegTeam;
extern struct KsegTeam *kseg_ingest_team(const KsegIngest *ingest);

/* Raise if looking for k segments takes more than kseg.work_mem. */
extern void kseg_check_centroids(const KmFit *fit, int k_min, int k_max);

extern void kseg_ingest_free(KsegIngest *ingest);

/* Milliseconds since then; "since" becomes now.  For messages at DEBUG1. */
extern double kseg_lap(instr_time *since);

/* ---- the evidence for k (elbow.c) ---- */

/*
 * What kseg_elbow() of k = 1 .. 10 speaks for: its knee, else its best
 * silhouette, else 1.  *reason: which, in words; palloc'd.
 */
extern int	kseg_elbow_choose(const char *query,
							  const struct KsegGuard *guard, Jsonb *options,
							  char **reason);

/* a row of kseg_elbow(): k, inertia, explained, drop_pct, silhouette,
 * davies_bouldin, calinski_harabasz, stability, smallest_share, iterations,
 * is_knee, is_best_silhouette, note */
#define KSEG_ELBOW_COLUMNS 13

typedef struct KsegElbowRow
{
	Datum		values[KSEG_ELBOW_COLUMNS];
	bool		nulls[KSEG_ELBOW_COLUMNS];
} KsegElbowRow;

/*
 * The rows for k = 1 .. k_max, or as far as the fit supports them: *n of
 * them.  Without the stability, which takes longest.
 */
extern KsegElbowRow *kseg_elbow_rows(KmFit *fit, int k_max, int *n);

/* ---- model values (model_io.c) ---- */

/* A kseg_model Datum made from a model, palloc'd; and back. */
extern Datum kseg_model_datum(const KmModel *model);
extern KmModel *kseg_model_open(struct varlena *value, MemoryContext context);
extern Datum kseg_scaler_datum(const KmModel *scaler);
extern KmModel *kseg_scaler_open(struct varlena *value,
								 MemoryContext context);

/* A model from its JSON object, palloc'd; raises on anything else. */
extern KmModel *kseg_model_parse(const JsonbValue *json);

/* What users call a segment that the core counts from 0. */
static inline int
kseg_segment_id(const KmModel *model, int segment)
{
	return model->segments[segment].id;
}

/* shortest text that reads back as the same double */
extern void kseg_append_double(StringInfo buffer, double value);

/* ---- ids of segments, models that continue others (align.c) ---- */

/*
 * Give a model's segments the ids of the older model's that they continue,
 * and sort them by these.
 */
extern KmAlignment *kseg_align_models(KmModel *model, const KmModel *old);
/* the segment with that id, which rise; or -1 */
extern int	kseg_find_segment(const KmModel *model, int id);

/* ---- names for segments (label.c) ---- */

/*
 * A label for each of a model's segments, from the model alone: "high income,
 * low age".  Different wherever the profiles differ.  palloc'd.
 */
extern char **kseg_labels(const KmModel *model);

/* ---- scoring (scorer.c) ---- */

/*
 * A model ready to score rows whose features come in given types, which are
 * checked against the model's.
 */
typedef struct KsegScorer KsegScorer;

/*
 * The scorer of a call whose argument 0 is the model, not null, and whose
 * features start at argument "first".  It is kept in fn_extra and made anew
 * only when the model changed.
 */
extern KsegScorer *kseg_scorer_find(FunctionCallInfo fcinfo, int first);

/* what fn_extra begins with */
typedef struct KsegScorerCall
{
	KsegScorer *constant;		/* when the model is a literal */
} KsegScorerCall;

static inline KsegScorer *
kseg_scorer_get(FunctionCallInfo fcinfo, int first)
{
	const KsegScorerCall *call = fcinfo->flinfo->fn_extra;

	if (likely(call != NULL && call->constant != NULL))
		return call->constant;
	return kseg_scorer_find(fcinfo, first);
}
/* the row type that such a call returns, if it returns one */
extern TupleDesc kseg_scorer_row_type(FunctionCallInfo fcinfo);

/*
 * types[i]: type of what will be passed for feature i; a single float8[]
 * stands for all features.  The model has to live as long.
 */
extern KsegScorer *kseg_scorer_create(const KmModel *model, int ntypes,
									  const Oid *types,
									  MemoryContext context);
extern const KmModel *kseg_scorer_model(const KsegScorer *scorer);
/* false: a null among the values and nulls are skipped */
extern bool kseg_scorer_score(KsegScorer *scorer, const NullableDatum *values,
							  KmScore *score);
/*
 * The same in two steps.  Every value is read, NaN where it is null; the
 * result is the scorer's own, until the next row.  is_complete: the row gets
 * a segment.
 */
extern const double *kseg_scorer_read(KsegScorer *scorer,
									  const NullableDatum *values,
									  bool *is_complete);
extern bool kseg_scorer_score_read(KsegScorer *scorer, KmScore *score);
/* what scores; for km_score_distance() of the row scored last */
extern const KmPredictor *kseg_scorer_predictor(const KsegScorer *scorer);
/* the segment's id, or 0 for the same case */
extern int	kseg_scorer_predict(KsegScorer *scorer,
								const NullableDatum *values);

/* kseg_score's row (predict.c); score is NULL for a row without segment */
#define KSEG_SCORE_COLUMNS 6
extern void kseg_score_columns(const KmModel *model, const KmScore *score,
							   Datum *values, bool *nulls);

/* ---- queries (query.c) ---- */

typedef struct KsegQuery
{
	int			ncolumns;
	const char **names;			/* all different */
	Oid		   *types;
	int32	   *typmods;
	Oid		   *collations;
	bool	   *is_repeated;	/* several columns have the name, or had it
								 * before names were made different: SQL
								 * around the query cannot speak of it */
} KsegQuery;

/*
 * What stands before a query that was registered earlier: "before" is called
 * before the text is analysed, "check" with the very query that will be
 * executed, its views expanded; it raises when that may not run.
 */
struct Query;
typedef struct KsegGuard
{
	void		(*before) (void);
	void		(*check) (struct Query *query, const void *arg);
	const void *arg;
} KsegGuard;

/*
 * Run a read-only query as the caller, under the active snapshot.  guard: NULL
 * for a query that the caller gives.  start is called once with the columns before the first row (they are gone when
 * this returns), row once a row with the slot's values and nulls, in a
 * context that is reset after each row.  Both must switch to a context of
 * theirs for what they keep.  Raises when the text is not one SELECT
 * (VALUES, TABLE, WITH) or would change data.
 */
extern void kseg_query_run(const char *text, const KsegGuard *guard,
						   void (*start) (void *arg, const KsegQuery *query),
						   void (*row) (void *arg, const Datum *values,
										const bool *nulls),
						   void *arg);

/*
 * The two halves of kseg_query_run()'s preparation, within SPI: raise unless
 * the plan is one SELECT without side effects of its own; and describe the
 * columns of its result in the current context.  Their names are made
 * distinct with _2, _3 ..., because options and models find features by name.
 */
struct CachedPlanSource;
struct _SPI_plan;
extern struct CachedPlanSource *kseg_query_check(struct _SPI_plan *plan);
extern void kseg_query_describe(KsegQuery *query, TupleDesc desc);

/* Index of a column, or -1. */
extern int	kseg_query_column(const KsegQuery *query, const char *name);
/* The only column beside those of a key, when that is a float8[] and so holds
 * all features; or -1. */
extern int	kseg_query_array(const KsegQuery *query, const char *const *keys,
							 int nkeys);

/* The column that identifies a query's rows; comes out as text. */
typedef struct KsegKey
{
	int			column;
	FmgrInfo	output;
} KsegKey;

/* Raises, with a list of the columns, when there is no such column. */
extern void kseg_key_init(KsegKey *key, const KsegQuery *query,
						  const char *name, MemoryContext context);
extern Datum kseg_key_text(KsegKey *key, const Datum *values,
						   const bool *nulls, bool *is_null);

/* ---- queries whose rows a model scores (scored.c) ---- */

typedef struct KsegScoredRow
{
	bool		has_segment;	/* false: a null, and the model skips those */
	KmScore		score;			/* when it has one */
	const double *features;		/* raw, in the model's order: a number, a
								 * category's position or -1 for one never
								 * seen, NaN for a null; always filled */
	const Datum *values;		/* of all columns of the query */
	const bool *nulls;
} KsegScoredRow;

/*
 * Run a query as kseg_query_run does and score each row.  key: the column
 * that identifies rows, or NULL.  start is called once with the query's
 * columns and the column of each feature of the model (NULL when one float8[]
 * holds them all), row once a row, in a context that is reset after it.
 */
extern void kseg_scored_run(const KmModel *model, const char *query,
							const KsegGuard *guard, const char *key,
							void (*start) (void *arg, const KsegQuery *query,
										   const int *positions),
							void (*row) (void *arg, const KsegScoredRow *row),
							void *arg);

/*
 * The columns of a query that have a model's features, or an error as of
 * kseg_scored_run(); NULL: the only one is a float8[] that holds them all.
 */
extern int *kseg_scored_columns(const KmModel *model, const KsegQuery *query);

#endif							/* KSEG_H */
