/*
 * km.h
 *		The k-means core: everything the server glue may know of it.
 *
 * Plain C11, nothing of PostgreSQL.  The core computes a model from the
 * multiset of its rows: no result depends on the order in which rows came, on
 * the width of the vector unit, or on the time of day.
 *
 * Rules for callers:
 *	- Memory comes from the KmHost handed in and is never freed behind the
 *	  caller's back except by the matching km_..._free().  A host whose alloc
 *	  does not return on failure (longjmp) is fine, if it owns the memory.
 *	- Everything that can fail returns a KmStatus; results come by pointer.
 *	- Segments and features are counted from 0 here, from 1 in SQL.
 */
#ifndef KM_H
#define KM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KM_MAX_K			10000
#define KM_MAX_FEATURES		1600
#define KM_MAX_CATEGORIES	10000	/* of one feature */
#define KM_MAX_WIDTH		100000	/* numeric features + all categories */
#define KM_FORMAT			1		/* version byte of stored models */

typedef enum KmStatus
{
	KM_OK = 0,
	KM_NO_MEMORY,				/* the host refused an allocation */
	KM_OVER_LIMIT,				/* more rows than the limit given allows */
	KM_CANCELLED,				/* poll() said stop */
	KM_NO_ROWS,					/* nothing to fit; a category without values */
	KM_TOO_FEW_ROWS,			/* fewer distinct than k, and small_is_error */
	KM_TOO_WIDE,				/* over KM_MAX_WIDTH */
	KM_NOT_FINITE,				/* a scaled value is beyond double's range */
	KM_BAD_FORMAT,				/* stored bytes are no model */
	KM_BAD_VERSION,				/* stored by another version */
	KM_NOTHING_SHARED,			/* models without a feature in common */
	KM_NO_IDS					/* the ids of segments are used up */
} KmStatus;

/* What the core is at, for whoever watches; see report of KmHost. */
typedef enum KmPhase
{
	KM_PHASE_SCALE,				/* statistics of columns, rows' positions */
	KM_PHASE_SAMPLE,
	KM_PHASE_SEARCH,			/* on the sample; steps: chains */
	KM_PHASE_IMPROVE,			/* on all rows; steps: iterations */
	KM_PHASE_MEASURE,			/* all rows' distances */
	KM_PHASE_REFERENCE,			/* rows without groups; steps: sets of them */
	KM_PHASE_SILHOUETTE,		/* steps: rows of the sample */
	KM_PHASE_STABILITY,			/* steps: refits */

	/* no phases: rows that the one under way has done, and that its last
	 * step changed */
	KM_PHASE_ROWS,
	KM_PHASE_CHANGED
} KmPhase;

/* What the core needs from whoever calls it. */
typedef struct KmHost
{
	void	   *(*alloc) (void *arg, size_t size);	/* NULL: refused */
	void		(*free) (void *arg, void *pointer);
	bool		(*poll) (void *arg);	/* every 10 ms or so; false: stop */
	void	   *arg;
	/* NULL: nobody watches; done of total steps, total 0: not known.  Called
	 * a few thousand times a second at most. */
	void		(*report) (void *arg, KmPhase phase, int64_t done,
						   int64_t total);
	const struct KmCrew *crew;	/* NULL: the caller works alone */
} KmHost;

/*
 * Where rows go that do not fit into memory: bytes by their place, which
 * nobody reads before they were written.
 */
typedef struct KmStore
{
	KmStatus	(*write) (void *arg, int64_t at, const void *bytes,
						  size_t size);
	KmStatus	(*read) (void *arg, int64_t at, void *bytes, size_t size);
	void	   *arg;
} KmStore;

/* Memory that all members of a crew can look at, each at its own address. */
typedef uint64_t KmHandle;		/* 0: none */

/*
 * Others who help the caller: processes or threads.  What they do, and that
 * the results do not depend on how many they are, is crew.h's.
 */
typedef struct KmCrew
{
	/*
	 * How many there are beside the caller, at most; 0 when it would not pay
	 * for so much work (multiply-adds, roughly).
	 */
	int			(*gather) (void *arg, double work);
	/* zeroed, on a cache line's boundary; NULL: refused */
	void	   *(*share) (void *arg, size_t size, KmHandle *handle);
	/* where it is for this member; NULL: it cannot be seen */
	void	   *(*see) (void *arg, KmHandle handle);
	void		(*unshare) (void *arg, KmHandle handle);
	/* the others may call km_crew_help() with this, and do when they can */
	void		(*call) (void *arg, int task, KmHandle input);
	/* no other one starts, and those who did have returned */
	void		(*wait) (void *arg);
	/* multiply-adds below which a task is not worth calling them */
	double		grain;
	void	   *arg;
} KmCrew;

#define KM_CREW_GRAIN	(1000 * 1000.0) /* some 10 times what calling takes */

/*
 * What a member does when it is called.  host: with memory of its own; its
 * crew has to share and see, and gathers nobody.  member: 1 .. the number of
 * members.  Failures are told to the caller.
 */
extern void km_crew_help(const KmHost *host, int member, int task,
						 KmHandle input);

typedef enum KmScale
{
	KM_ZSCORE,					/* (x - mean) / population sd */
	KM_MINMAX,					/* (x - min) / (max - min) */
	KM_ROBUST,					/* (x - median) / (p75 - p25) */
	KM_MAXABS,					/* x / max |x| */
	KM_NONE						/* x */
} KmScale;

typedef enum KmDistance
{
	KM_EUCLIDEAN,
	KM_COSINE					/* scaled rows are set to length 1 first */
} KmDistance;

/* What a feature's values are; a model refuses values of another kind. */
typedef enum KmKind
{
	KM_NUMBER,					/* integers, float, numeric */
	KM_BOOLEAN,					/* 0 and 1 */
	KM_MOMENT,					/* date, timestamp: seconds since 1970 */
	KM_INTERVAL,				/* seconds */
	KM_CATEGORY					/* text, enum */
} KmKind;

/* Which vector code to use; all give the same bits. */
typedef enum KmSimd
{
	KM_SIMD_AUTO,
	KM_SIMD_BASELINE,
	KM_SIMD_AVX2,
	KM_SIMD_AVX512
} KmSimd;

/*
 * One feature of a model or scaler.
 *
 * scaled   = (x - center) / divisor			what users see, as scikit-learn
 * position = (x - origin) * (factor / divisor)	where the row stands, rounded
 *												to a multiple of 2^-grid
 *
 * origin is the mean (k-means does not care, and numbers near zero are
 * finer); factor is the square root of the feature's weight.  Values are
 * clipped to [clip_low, clip_high] first.  A constant column has divisor 1,
 * as in scikit-learn, and always the position 0.
 *
 * A categorical feature has one dimension per category; a row stands at
 * factor in its own one and at 0 in the others.
 */
typedef struct KmFeature
{
	char	   *name;			/* in the database's encoding, no NUL inside */
	KmKind		kind;
	double		weight;			/* multiplies squared differences, > 0 */
	double		factor;			/* numeric: sqrt(weight); category: see above */

	/* numeric, all in the customer's units, of the rows after clipping */
	double		clip_low;		/* -infinity when not clipped */
	double		clip_high;		/* +infinity when not clipped */
	double		min;
	double		max;
	double		mean;
	double		sd;				/* population */
	double		center;
	double		divisor;		/* > 0 */
	double		origin;
	int			grid;			/* positions are multiples of 2^-grid */

	/* categorical */
	int			ncategories;
	char	  **categories;		/* sorted by their bytes, all different */
	int64_t    *counts;			/* rows of the fit in each */
} KmFeature;

typedef struct KmSegment
{
	int			id;				/* what users call it, from 1 */
	int64_t		size;			/* rows */
	double		weight;			/* sum of row weights; = size without */
	double		inertia;		/* weighted sum of squared distances */
	double		reach;			/* a row farther than this is an outlier:
								 * mean + 3 sd of the segment's distances */
} KmSegment;

/*
 * A model, or a scaler (k = 0).  All pointers belong to the model's host.
 *
 * "centers" has k rows of "width" positions: each numeric feature has one,
 * a categorical feature has one per category (the share of the category in
 * the segment, times factor).  Features stand in the order of the call.
 * "means" is like it: the mean of the rows before they were set to length 1
 * (cosine); NULL when that is the same as centers (euclidean).
 *
 * Ids of segments rise, and are 1 .. k in a model that continues no other.
 */
typedef struct KmModel
{
	KmScale		scale;
	KmDistance	distance;
	bool		fill_nulls;		/* nulls => 'mean' */
	bool		converged;
	int			k;
	int			nfeatures;
	int			width;
	int			iterations;
	int			last_id;		/* highest id that this model, or one that it
								 * continues, ever gave; 0 for a scaler */
	uint64_t	seed;
	int64_t		rows;			/* fitted */
	int64_t		rows_skipped;	/* because of nulls */
	double		inertia;
	double		total;			/* inertia of a single segment */
	char	   *options;		/* as given, JSON text; owned by the caller's
								 * side, the core only stores it */
	KmFeature  *features;
	KmSegment  *segments;
	double	   *centers;
	double	   *means;
} KmModel;

typedef struct KmOptions
{
	KmScale		scale;
	KmDistance	distance;
	bool		fill_nulls;		/* a missing value becomes the mean (or the
								 * most frequent category) */
	bool		clip;
	double		clip_low;		/* quantiles, 0 .. 1, when clip */
	double		clip_high;
	int			n_init;			/* chains of the search; 0: adaptive */
	int			failures;		/* in a row that end a chain; 0: ten */
	int			sample;			/* distinct rows the search works on */
	int			max_iter;
	double		tol;			/* stop when inertia fell by less than this
								 * share; 0: when no row moves */
	uint64_t	seed;
	bool		small_is_error;
	int			order_by;		/* feature that numbers segments; -1: size */
	KmSimd		simd;
} KmOptions;

/* the defaults that docs/reference.md tells */
extern void km_options_default(KmOptions *options);

/* ---- rows ---- */

typedef struct KmRows KmRows;

/*
 * An empty store for rows of nfeatures values.  kinds[f] tells which are
 * categories.  limit: bytes the store may take, 0 for no limit.
 */
extern KmStatus km_rows_create(const KmHost *host, int nfeatures,
							   const KmKind *kinds, bool weighted,
							   bool cosine, size_t limit, KmRows **rows);

/*
 * What is to be done with the rows that will come: segment them into each
 * k_min .. k_max.  A crew is asked for help with large tables if that is much.
 */
extern void km_rows_plan(KmRows *rows, int k_min, int k_max);

/*
 * Rows beyond the limit shall go to the store, which has to live as long; to
 * be called before there are any.  Passes need the memory of two blocks
 * beyond it, each a sixteenth of the limit at most.
 */
extern KmStatus km_rows_spill(KmRows *rows, const KmStore *store);

/*
 * Add one row.  values[f]: a finite number, or a category's code (0, 1, ...
 * in any order so far), or NaN for a missing value (only with fill_nulls).
 * weight: > 0 and finite; ignored unless weighted.
 */
extern KmStatus km_rows_add(KmRows *rows, const double *values, double weight);

extern int64_t km_rows_count(const KmRows *rows);
extern void km_rows_free(KmRows *rows);

/* ---- fit ---- */

typedef struct KmFit KmFit;

/*
 * Scale the rows in place and draw the sample.  "features" (caller's array,
 * nfeatures of them) comes with name, kind and weight set, for categories
 * also ncategories and the sorted names; recode[f][code] gives the sorted
 * position of each code used in km_rows_add (NULL for numeric features).
 * The statistics are filled in.  The rows belong to the fit from now on, and
 * features must stay where it is.
 */
extern KmStatus km_fit_begin(KmRows *rows, const KmOptions *options,
							 KmFeature *features, const int *const *recode,
							 KmFit **fit);

/* One participant's part in a pass over rows (pass.h). */
typedef struct KmJob KmJob;

/*
 * Rows that are not here.  run: the state, as bytes, of a job's step over all
 * of them; the bytes are the remote's, until the next call.
 */
typedef struct KmRemote
{
	KmStatus	(*run) (void *arg, const KmJob *job,
						const unsigned char **bytes, size_t *size);
	void	   *arg;
	/* how raw rows become positions, once the fit knows: the fit's */
	const void *placing;
	size_t		placing_size;
} KmRemote;

/*
 * km_fit_begin() for rows that are elsewhere, nrows of them: layout is a
 * store without rows.  Codes of categories are positions among the sorted
 * names.
 */
extern KmStatus km_fit_begin_remote(KmRows *layout, KmRemote *remote,
									int64_t nrows, const KmOptions *options,
									KmFeature *features, KmFit **fit);

typedef struct KmSolution
{
	int			k;				/* may be less than asked, see small */
	int			iterations;		/* of the polish on all rows */
	bool		converged;
	double		inertia;
	int64_t		smallest;		/* rows of the smallest segment */
	double	   *centers;		/* k x width positions */
} KmSolution;

/*
 * Segment into k.  init: NULL, or k x width starting points in the
 * customer's units (categories: shares); then no search is made.  Runs with
 * rising k on one fit start also from the solution before, one segment
 * split.  The solution belongs to the fit and lives as long.
 */
extern KmStatus km_fit_run(KmFit *fit, int k, const double *init,
						   KmSolution **solution);

/*
 * Segment into k as km_fit_run() does, and also from the centers of a model
 * before: nstarts of them, as init.  When those are fewer than k, more are
 * added; when they are more, they are of no use.  The solution from there is
 * preferred unless the other one's inertia is lower by more than
 * KM_CONTINUE_MARGIN.
 */
#define KM_CONTINUE_MARGIN	0.01
extern KmStatus km_fit_continue(KmFit *fit, int k, const double *starts,
								int nstarts, KmSolution **solution);

/* Distinct rows after scaling, exact up to the sample's size, else -1. */
extern int64_t km_fit_distinct(const KmFit *fit);
extern int64_t km_fit_rows(const KmFit *fit);

/*
 * A fit of rows drawn from a fit with equal chances, "want" of them (at most
 * KM_SILHOUETTE_ROWS) or all, each counting once, scaled as they are: what a
 * small sample says, at the cost of one.  It looks at the features and
 * options of the fit, which has to live as long.  chains: as n_init of
 * KmOptions.
 */
extern KmStatus km_fit_subset(KmFit *fit, int64_t want, int chains,
							  KmFit **subset);
/*
 * A value of a fit's row in the customer's units, good to rounding (of a
 * cosine's subset: of any row in that direction); a category's position.
 */
extern double km_fit_value(const KmFit *fit, int64_t row, int feature);
extern int	km_fit_width(const KmFit *fit);
/* inertia of one segment: what "explained" is measured against */
extern double km_fit_total(const KmFit *fit);

/*
 * Number the segments and describe them.  model->features points to the
 * features given to km_fit_begin; options and rows_skipped are the caller's
 * to set.
 */
extern KmStatus km_fit_model(KmFit *fit, const KmSolution *solution,
							 KmModel *model);

typedef struct KmScore
{
	int			segment;		/* -1: none (missing value, nulls skipped) */
	int			second;			/* -1 when k = 1 */
	double		distance;
	double		second_distance;
	bool		is_outlier;		/* beyond the segment's reach, or a category
								 * the model has never seen */
} KmScore;

typedef struct KmPredictor KmPredictor;

/* Score every row of the fit in the order of km_rows_add. */
extern KmStatus km_fit_score(KmFit *fit, const KmPredictor *predictor,
							 void (*emit) (void *arg, const KmScore *score),
							 void *arg);
extern void km_fit_free(KmFit *fit);

/* ---- passes over rows that are elsewhere (part.c) ---- */

/* What a pass takes rows as. */
typedef enum KmForm
{
	KM_FORM_SURVEY,				/* no step: the caller finds out what rows
								 * there are */
	KM_FORM_COUNT,				/* the same, of those that a model places */
	KM_FORM_RAW,
	KM_FORM_POSITIONS,
	KM_FORM_PLACED				/* positions in a model's space, where a
								 * category never seen is one more */
} KmForm;

/* A pass as it is told to another machine. */
typedef struct KmPass
{
	/* the job's: km_job_describe() */
	KmForm		form;
	int			step;
	const void *input;
	size_t		input_size;
	/* the caller's */
	const void *placing;
	size_t		placing_size;
	KmModel    *model;			/* features, distance, fill_nulls; k = 0 */
	int			weight_argument;	/* that is no feature; -1: none */
	int			encoding;		/* of the texts */
	int64_t		rows;			/* that there are, 0: not known */
} KmPass;

extern void km_job_describe(const KmJob *job, KmPass *pass);
extern const char *km_pass_name(const KmPass *pass);
extern size_t km_pass_size(const KmPass *pass);
extern void km_pass_write(const KmPass *pass, unsigned char *bytes);
/* Trusts nothing, and needs no memory; steps look at their inputs later. */
extern KmStatus km_pass_check(const unsigned char *bytes, size_t size);
extern KmStatus km_pass_read(const KmHost *host, const unsigned char *bytes,
							 size_t size, KmPass **pass);
/* frees what km_pass_read allocated */
extern void km_pass_free(const KmHost *host, KmPass *pass);

/* A pass over some of the rows.  The pass has to live as long. */
typedef struct KmPart KmPart;

extern KmStatus km_part_create(const KmHost *host, const KmPass *pass,
							   KmSimd simd, KmPart **part);
/*
 * values as for km_rows_add(), but categories are sorted positions.
 * KM_BAD_FORMAT, perhaps later: they are not those that the pass is about.
 */
extern KmStatus km_part_add(KmPart *part, const double *values,
							double weight);
/* Another part's bytes, which are not trusted: KM_BAD_FORMAT. */
extern KmStatus km_part_merge(KmPart *part, const unsigned char *bytes,
							  size_t size);
extern int64_t km_part_rows(const KmPart *part);
/* as bytes; between the two calls nothing may be added */
extern KmStatus km_part_size(KmPart *part, size_t *size);
extern void km_part_write(const KmPart *part, unsigned char *bytes);
/* the step's own state, for KmRemote */
extern KmStatus km_part_state(KmPart *part, size_t *size);
extern void km_part_write_state(const KmPart *part, unsigned char *bytes);
extern void km_part_free(KmPart *part);

/* ---- scalers without a fit ---- */

typedef struct KmStats KmStats;

/*
 * Exact statistics of nfeatures numeric columns; add in any order, merge in
 * any order, same bits.  keep_values: hold all values (median and quartiles
 * need them).
 */
extern KmStatus km_stats_create(const KmHost *host, int nfeatures,
								bool keep_values, KmStats **stats);
/* NaN: missing, this value is left out of its column's statistics */
extern KmStatus km_stats_add(KmStats *stats, const double *values);
extern KmStatus km_stats_merge(KmStats *into, KmStats *from);
extern int64_t km_stats_rows(const KmStats *stats);
extern size_t km_stats_bytes(const KmStats *stats);
/* flat bytes for serialisation; write returns what size announced */
extern KmStatus km_stats_size(KmStats *stats, size_t *size);
extern KmStatus km_stats_write(KmStats *stats, unsigned char *bytes);
extern KmStatus km_stats_read(const KmHost *host, const unsigned char *bytes,
							  size_t size, KmStats **stats);
/* Fill the statistics and the scaling of the features (weight set to 1). */
extern KmStatus km_stats_finish(KmStats *stats, KmScale scale,
								KmFeature *features);
extern void km_stats_free(KmStats *stats);

/* scaled value as users see it, and back; NaN stays NaN */
extern double km_scale_value(const KmFeature *feature, double x);
extern double km_unscale_value(const KmFeature *feature, double scaled);

/* ---- what segments are like (profile.c) ---- */

typedef struct KmProfile KmProfile;

/* One column in one segment; without values all but "overall" is 0. */
typedef struct KmProfileCell
{
	int64_t		count;			/* values that are not missing */
	int			top;			/* code of the most frequent category; -1 */
	double		mean;			/* categories: share of the top one */
	double		quartiles[3];	/* numbers alone; as percentile_cont */
	double		overall_mean;	/* over all segments; of the same category */
	double		overall_sd;		/* population */
} KmProfileCell;

/* limit: bytes the rows may take, 0 for no limit */
extern KmStatus km_profile_create(const KmHost *host, int k, int ncolumns,
								  size_t limit, KmProfile **profile);
/* values[c]: a number, a category's code from 0 on, or NaN when missing */
extern KmStatus km_profile_add(KmProfile *profile, int segment,
							   const double *values);
extern int64_t km_profile_rows(const KmProfile *profile);
extern int64_t km_profile_size(const KmProfile *profile, int segment);
/*
 * A column in each of the k segments, when all rows are there.  order: NULL
 * for numbers; the place of each category's code among the sorted categories,
 * which decides ties.
 */
extern KmStatus km_profile_column(KmProfile *profile, int column,
								  int ncategories, const int *order,
								  KmProfileCell *cells);
extern void km_profile_free(KmProfile *profile);

/* ---- models ---- */

/* First dimension of a feature in centers and means. */
extern int	km_model_offset(const KmModel *model, int feature);
/* centroid in the customer's units; categories: share of the category */
extern double km_model_value(const KmModel *model, int segment, int feature,
							 int category);
/*
 * The same for a dimension, which is km_model_offset() of the feature + the
 * category: for loops over all of them, since the offset takes a loop.
 */
extern double km_model_value_at(const KmModel *model, int segment,
								int feature, int dimension);
/*
 * Mean and population standard deviation over all rows of the fit;
 * categories: those of the 0/1 column of one.
 */
extern void km_model_overall(const KmModel *model, int feature, int category,
							 int dimension, double *mean, double *sd);
/* the centroid, scaled as users see it; categories: the one-hot value's mean */
extern double km_model_scaled(const KmModel *model, int segment, int feature,
							  int category);

/*
 * Stored form: little-endian, first byte KM_FORMAT, the same bytes for the
 * same model on every machine.  Reading trusts nothing; km_model_check needs
 * no memory.  With scaler, k must be 0, otherwise at least 1.
 */
extern KmStatus km_model_check(const unsigned char *bytes, size_t size,
							   bool scaler);
extern KmStatus km_model_read(const KmHost *host, const unsigned char *bytes,
							  size_t size, bool scaler, KmModel **model);
/* frees what km_model_read allocated */
extern void km_model_free(const KmHost *host, KmModel *model);
extern size_t km_model_size(const KmModel *model);
extern void km_model_write(const KmModel *model, unsigned char *bytes);

/* give the segments ids from 1 to k, as those of a new model */
extern void km_model_number(KmModel *model);
/* has it other ids than those? */
extern bool km_model_has_ids(const KmModel *model);

/* position of a category's name in the feature; -1: never seen */
extern int	km_category_find(const KmFeature *feature, const char *name,
							 size_t length);

extern KmStatus km_predictor_create(const KmHost *host, const KmModel *model,
									KmPredictor **predictor);
/*
 * values[f]: raw number, or category position, -1 for one never seen; NaN
 * when missing.  km_predict gives the segment alone, at less cost.
 */
extern int	km_predict(const KmPredictor *predictor, const double *values);
extern void km_score(const KmPredictor *predictor, const double *values,
					 KmScore *score);
/* distance of the row that km_score() measured last to any segment */
extern double km_score_distance(const KmPredictor *predictor, int segment);
/* use this vector code from now on (best there is, unless told) */
extern void km_predictor_simd(KmPredictor *predictor, KmSimd simd);
extern void km_predictor_free(KmPredictor *predictor);

/* ---- models that continue others (align.c) ---- */

/* What became of a segment from an older model to a newer one. */
typedef enum KmOutcome
{
	KM_KEPT,					/* it goes on where it was */
	KM_MOVED,					/* it goes on at another place */
	KM_SPLIT,					/* it is new, and came out of another that
								 * goes on */
	KM_NEW,
	KM_MERGED,					/* it ended, and its rows are in another */
	KM_RETIRED					/* it ended */
} KmOutcome;

typedef struct KmFate
{
	KmOutcome	outcome;
	int			id;
	int			segment;		/* of the newer model, -1: none */
	int			old;			/* of the older model, -1: none */
	int			other;			/* id of the one it was split off or went
								 * into; 0: none */
	double		distance;		/* between the two centroids, where the older
								 * model measures distances; NAN: no two */
} KmFate;

typedef struct KmAlignment
{
	int			last_id;		/* of both models */
	int			n;
	KmFate	   *fates;			/* of all segments of both, by id */
} KmAlignment;

/*
 * Find out which segments of a model continue which of an older one.  limit:
 * bytes that the pairs in question may take, 0 for no limit, else
 * KM_OVER_LIMIT.  KM_NOTHING_SHARED: no feature has the same name and kind in
 * both.  KM_NO_IDS: there is none left for a new segment.
 */
extern KmStatus km_align(const KmHost *host, const KmModel *model,
						 const KmModel *old, size_t limit,
						 KmAlignment **alignment);
/*
 * Give the model's segments their ids, and sort them by these; "segment" of
 * the fates follows.
 */
extern KmStatus km_alignment_apply(const KmHost *host,
								   KmAlignment *alignment, KmModel *model);
extern void km_alignment_free(const KmHost *host, KmAlignment *alignment);

/* How far a segment of an older model is from where it was. */
typedef struct KmShift
{
	int			segment;		/* of the newer model; -1: it has none with
								 * that id */
	double		distance;		/* between the centroids, where the older
								 * model measures; NAN without a segment */
	double		spread;			/* root mean square distance of the rows from
								 * the centroid, then */
	int			feature;		/* of the older model, that differs most; -1:
								 * none */
} KmShift;

/*
 * shifts[j]: of each segment of the older model, by its id.
 * KM_NOTHING_SHARED as for km_align().
 */
extern KmStatus km_shifts(const KmHost *host, const KmModel *model,
						  const KmModel *old, KmShift *shifts);

/* ---- how a fit's rows are spread over bins (bins.c) ---- */

#define KM_NUMBER_BINS		10	/* of a numeric feature, at most */
#define KM_BIN_EDGES		(KM_NUMBER_BINS - 1)
#define KM_BIN_CATEGORIES	20	/* that have a bin of their own, at most */
#define KM_BIN_COUNTS		(KM_BIN_CATEGORIES + 2)

/* One feature's bins, and how many rows are in each. */
typedef struct KmBins
{
	int			nedges;			/* numbers: one bin more */
	double		edges[KM_BIN_EDGES];	/* finite, rising; a value on an edge is
										 * in the upper bin */
	int			ncategories;	/* categories: and a bin for all others */
	int			categories[KM_BIN_CATEGORIES];	/* positions */
	int			ncounts;		/* all bins, then values that are missing */
	int64_t		counts[KM_BIN_COUNTS];
} KmBins;

/*
 * Make bins for each feature of a fit and count its rows.  Values that were
 * filled in count as missing.
 */
extern KmStatus km_fit_bins(KmFit *fit, KmBins *bins);
/* set ncounts, and the counts to 0 */
extern void km_bins_clear(KmBins *bins, KmKind kind);

/*
 * Population stability index of n counts: the sum of (a - b) ln(a / b) over
 * the shares then and now, none of which is taken for less than 0.0001.
 */
extern double km_psi(const int64_t *then, const int64_t *now, int n);

/* ---- how far rows are from those of a model's fit (drift.c) ---- */

typedef struct KmDrift KmDrift;

/*
 * Nothing counted yet.  bins: those of each feature of the fit, or NULL; they
 * are copied.  The model has to live as long.  is_weighted: rows have weights,
 * as those of the fit.
 */
extern KmStatus km_drift_create(const KmHost *host, const KmModel *model,
								const KmBins *bins, bool is_weighted,
								KmSimd simd, KmDrift **drift);

/*
 * Add one row; values as for km_score().  score: what that said of them, NULL
 * for a row without a segment: of such a row only missing values count.
 * weight: > 0, ignored unless is_weighted.
 */
extern void km_drift_add(KmDrift *drift, const double *values,
						 const KmScore *score, double weight);

extern int64_t km_drift_rows(const KmDrift *drift); /* with a segment */
/* of each segment */
extern const int64_t *km_drift_sizes(const KmDrift *drift);
/*
 * Sum of squared distances.  *ratio: the mean, divided by that of the fit; 1
 * without rows, infinite where the fit left no distance.
 */
extern double km_drift_inertia(const KmDrift *drift, double *ratio);
/*
 * psi: NAN without bins.  shift: of the mean, in standard deviations of the
 * fit; NAN: cannot be said.
 */
extern void km_drift_feature(const KmDrift *drift, int feature, double *psi,
							 double *shift);
/* counts of the rows added; NULL without bins */
extern const KmBins *km_drift_bins(const KmDrift *drift, int feature);

typedef struct KmSegmentDrift
{
	double		share_then;		/* of the fit's rows */
	double		share_now;		/* 0 without rows */
	double		psi;			/* the segment's part of that of all shares */
	double		shift;			/* of the centroid, divided by the root of the
								 * segment's mean squared distance in the fit;
								 * NAN: cannot be said */
} KmSegmentDrift;

extern void km_drift_segment(const KmDrift *drift, int segment,
							 KmSegmentDrift *result);
/* of the segments' shares */
extern double km_drift_share_psi(const KmDrift *drift);
extern void km_drift_free(KmDrift *drift);

/* ---- rows of a query in a model's space ---- */

typedef struct KmPlaced KmPlaced;

/*
 * An empty store for rows that a model scores.  The model has to live as
 * long.  limit: bytes that the store, and what is computed from it, may take
 * for its rows; 0 for no limit.
 */
extern KmStatus km_placed_create(const KmHost *host, const KmModel *model,
								 size_t limit, KmSimd simd,
								 KmPlaced **placed);

/* The same for nrows rows that are elsewhere, none of which is added. */
extern KmStatus km_placed_create_remote(const KmHost *host,
										const KmModel *model,
										KmRemote *remote, int64_t nrows,
										KmSimd simd, KmPlaced **placed);

/*
 * Rows beyond the limit shall go to the store; to be called before there are
 * any.  Then km_placed_quality() is all that can be asked of them.
 */
extern KmStatus km_placed_spill(KmPlaced *placed, const KmStore *store);

/*
 * Add one row; values as for km_score().  score: what km_score() said of the
 * same values, so that it need not be found again, or NULL.  A row without a
 * segment (a missing value, and the model skips those) is counted, not kept.
 */
extern KmStatus km_placed_add(KmPlaced *placed, const double *values,
							  const KmScore *score);

extern int64_t km_placed_rows(const KmPlaced *placed);
/* segment of a row, in the order of km_placed_add without those skipped */
extern int	km_placed_segment(const KmPlaced *placed, int64_t row);
extern void km_placed_free(KmPlaced *placed);

/* ---- how good a segmentation is ---- */

/*
 * Rows that silhouettes are exact up to; beyond, they come from a sample of
 * so many rows.
 */
#define KM_SILHOUETTE_ROWS	10000

/*
 * Measures as scikit-learn's: every row counts once, centroids are the means
 * of the rows.  NAN where a measure is not defined.
 */
typedef struct KmQuality
{
	int64_t		size;			/* rows */
	double		inertia;		/* squared distances to the model's centers */
	double		silhouette;
	double		davies_bouldin; /* of a segment: its worst ratio */
	double		calinski_harabasz;	/* NAN for a segment */
} KmQuality;

/*
 * The measures over all rows placed, and of each of the model's segments
 * (segments: an array of k).  *sampled: rows that the silhouette comes from.
 */
extern KmStatus km_placed_quality(KmPlaced *placed, KmQuality *overall,
								  KmQuality *segments, int64_t *sampled);

/* bytes that takes beside the rows, for a model of k x width */
extern double km_quality_bytes(int k, int width);

/* Over all rows of a fit; NAN: not defined. */
extern KmStatus km_fit_quality(KmFit *fit, const KmSolution *solution,
							   double *davies_bouldin,
							   double *calinski_harabasz);

/*
 * Adjusted Rand index of two segmentations of the same rows: contingency[i *
 * columns + j] rows are in segment i of one and j of the other.  NAN when
 * there is no row.
 */
extern double km_adjusted_rand(const int64_t *contingency, int rows,
							   int columns);

/* The same from the pairs of segments that occur; they get another order. */
typedef struct KmPair
{
	int32_t		a;
	int32_t		b;
	int64_t		count;
} KmPair;

extern KmStatus km_adjusted_rand_pairs(const KmHost *host, KmPair *pairs,
									   size_t n, double *index);

/* ---- hashes of what a row holds ---- */

/*
 * 64 bits, the same on every machine.  Equal values have equal hashes: 0 and
 * -0, any NaN.  Texts go on from the hash before.
 */
extern uint64_t km_hash_values(const double *values, int n);
extern uint64_t km_hash_text(uint64_t hash, const char *text, size_t length);

/* ---- rows in few dimensions ---- */

#define KM_PCA_DIMS			3	/* at the most */
/* dimensions that rows may vary in: the matrix has the square of it, and
 * finding its axes takes the cube */
#define KM_PCA_MAX_WIDTH	2000

typedef struct KmPca KmPca;

/*
 * The axes that keep most of the variance of the rows placed, each row
 * counting once.  *width: dimensions the rows vary in, categories being one
 * each; KM_TOO_WIDE above KM_PCA_MAX_WIDTH.  limit: bytes for matrices, 0 for
 * no limit, else KM_OVER_LIMIT above it.
 */
extern KmStatus km_placed_pca(const KmPlaced *placed, int dims, size_t limit,
							  int *width, KmPca **pca);
extern double km_pca_bytes(int width);

/* share of the variance on the axes; -1: there is none */
extern double km_pca_explained(const KmPca *pca);
/*
 * Where a row stands on the axes; dims coordinates, 0 is the mean.  Axes that
 * would show nothing but rounding have 0 throughout.
 */
extern void km_pca_project(const KmPca *pca, int64_t row,
						   double *coordinates);
extern void km_pca_free(KmPca *pca);

/* ---- rules that describe segments ---- */

#define KM_RULE_CONDITIONS	3	/* features of a rule, at most */
#define KM_RULE_VALUES		5	/* categories that a condition names */
#define KM_RULE_SAMPLE		20000	/* rows that rules are found on */

typedef struct KmCondition
{
	int			feature;
	/*
	 * Numbers: low <= x < high; infinite where there is no such bound.
	 * Neither: any value, but not a missing one.
	 */
	double		low;
	double		high;
	/* categories: one of the values, or with is_negated none of them */
	bool		is_negated;
	int			nvalues;
	int			values[KM_RULE_VALUES]; /* positions, rising */
} KmCondition;

/* All conditions hold; none: every row.  They stand by rising feature. */
typedef struct KmRule
{
	int			segment;
	int			nconditions;
	KmCondition conditions[KM_RULE_CONDITIONS];
	int64_t		found;			/* rows, by km_rules_measure() */
	int64_t		hits;			/* those of the segment among them */
} KmRule;

typedef struct KmRules KmRules;

/*
 * An empty store for rows that rules shall tell apart.  usable[f]: rules may
 * speak of the feature.  sample: KM_RULE_SAMPLE, tests take less.  limit:
 * bytes that the rows may take, 0 for no limit.
 */
extern KmStatus km_rules_create(const KmHost *host, int nfeatures,
								const KmKind *kinds, const bool *usable,
								int k, int sample, size_t limit,
								KmRules **rules);

/*
 * Add one row.  values[f]: a number, or a category's position, -1 for one
 * that no condition can name; NaN for a missing value, which no condition
 * finds.  segment: -1 for none.
 */
extern KmStatus km_rules_add(KmRules *rules, const double *values,
							 int segment);
extern int64_t km_rules_count(const KmRules *rules);
/* rows of a segment */
extern int64_t km_rules_size(const KmRules *rules, int segment);

/* Rules shall not speak of the feature after all. */
extern void km_rules_exclude(KmRules *rules, int feature);

/* Draw the sample: all rows are there. */
extern KmStatus km_rules_sample(KmRules *rules);

/* The best rule for a segment that has rows, as far as the sample tells. */
extern KmStatus km_rules_find(KmRules *rules, int segment, KmRule *rule);

/*
 * How far the low (or high) bound of a condition can be moved: on the sample,
 * every bound x with below < x <= above makes a rule as good, or (tolerance
 * > 0, and the rule is not perfect) one whose F1 is less by no more than
 * that.  Infinite: the bound is not needed (on the side it cuts off) or
 * leaves nothing.
 */
extern KmStatus km_rules_gap(KmRules *rules, const KmRule *rule,
							 int condition, bool is_high, double tolerance,
							 double *below, double *above);

/* Count what each of n rules finds among all rows. */
extern KmStatus km_rules_measure(KmRules *rules, KmRule *list, int n);
extern void km_rules_free(KmRules *rules);

/* ---- choosing k ---- */

/* knees are looked for up to here: beyond, a segment more is a small step */
#define KM_KNEE_MAX_K		50

/* Indices of solutions, -1: none. */
typedef struct KmKnee
{
	bool		is_judged;		/* a k had neighbours to be compared with */
	int			knee;			/* -1 when no k stands out */
	int			second;			/* a weaker one */
	bool		is_open;		/* the last one found groups, too */
} KmKnee;

/*
 * Where more segments no longer find groups (knee.c).  Solutions have rising
 * k without gaps.  The first one, unless it is of two segments, and the last
 * one are no knees, except where the rows have no more different values.
 */
extern KmStatus km_fit_knee(KmFit *fit, KmSolution *const *solutions, int n,
							KmKnee *knee);

/*
 * What a sample of KM_SILHOUETTE_ROWS rows says of several solutions, which
 * have rising k and must live as long.  Each array has n values, NAN where
 * nothing can be said.
 */
typedef struct KmEvidence KmEvidence;

extern KmStatus km_evidence_create(KmFit *fit, KmSolution *const *solutions,
								   int n, KmEvidence **evidence);
/* rows in the sample */
extern int64_t km_evidence_rows(const KmEvidence *evidence);
extern KmStatus km_evidence_silhouettes(const KmEvidence *evidence,
										double *silhouettes);
/* mean adjusted Rand index with refits of halves (stability.c) */
extern KmStatus km_evidence_stability(const KmEvidence *evidence,
									  double *stability);
extern void km_evidence_free(KmEvidence *evidence);

/* Does this processor have it? */
extern bool km_simd_supported(KmSimd simd);

#endif							/* KM_H */
