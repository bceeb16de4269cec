/*
 * steps.h
 *		The steps over all rows of a fit, but for Lloyd's (assign.h): what they
 *		take in, and what is in their state when a pass is over.
 *
 * Inputs are flat: a struct, then the arrays named beside it.
 */
#ifndef KM_STEPS_H
#define KM_STEPS_H

#include "pass.h"
#include "sketch.h"

/* ---- raw rows: sums, extremes, counts (statistics.c) ---- */

/*
 * Row weights become integers: multiples of a power of two.  Two factors:
 * denormal weights need more than a double can hold.
 */
typedef struct KmRounding
{
	double		root;			/* 0: not known yet, rows weigh 1 */
	double		scale;
} KmRounding;

/*
 * The integer for a row's weight.
 */
extern double km_round_weight(const KmRounding *rounding, double weight);

/* then: clip_low and clip_high of each numeric slot, ncategories of the rest
 * (int64_t) */
typedef struct KmStatisticsInput
{
	KmRounding	rounding;
} KmStatisticsInput;

typedef struct KmStatistics
{
	int64_t		rows;
	double		max_weight;		/* 0 when rows have none */
	KmExact    *exact;			/* of each numeric slot */
	int64_t    *ncodes;			/* of each categorical slot */
	int64_t   **counts;			/* of each code */
	/* while rows come */
	KmRounding	rounding;
	const double *clip;			/* the input's */
	KmExactScratch *scratch;
} KmStatistics;

/* the input; *size: its bytes */
extern KmStatus km_statistics_input(const KmTable *table,
									const KmSpace *space,
									const KmRounding *rounding,
									void **input, size_t *size);

/* ---- quantiles of raw rows (quantiles.c) ---- */

/* most of them that are asked for at once */
#define KM_MAX_ORDERS	16

/* A quantile, as the two values that it is between. */
typedef struct KmOrder
{
	double		at;				/* 0 .. 1 */
	double		low;
	double		high;
	double		part;			/* of the way from one to the other */
} KmOrder;

/* The quantile of clipped values, from the order of those that are not. */
extern double km_order_value(const KmOrder *order, double clip_low,
							 double clip_high);
/* orders: norders of each numeric slot, by rising "at" */
extern KmStatus km_find_orders(KmSource *source, KmPoll *poll,
							   KmOrder *orders, int norders);

/* ---- scaling (scale.c) ---- */

/*
 * Fill in what features say of their columns, from the raw rows.  recode: as
 * for km_fit_begin(), or NULL when codes are positions among sorted names.
 */
extern KmStatus km_scale_columns(KmSource *source, KmPoll *poll,
								 const KmOptions *options,
								 const int *const *recode, KmSpace *space,
								 KmRounding *rounding);

/* ---- from raw rows to positions (place.c) ---- */

/*
 * All that placing takes, flat: the input of KM_STEP_PLACE.  recode: as for
 * km_fit_begin(), or NULL when codes are positions among sorted names.
 */
extern size_t km_placing_size(const KmSpace *space);
extern void km_placing_write(const KmTable *table, const KmSpace *space,
							 const KmRounding *rounding,
							 const int *const *recode, void *bytes);
/* KM_BAD_FORMAT unless it is of rows of this layout */
extern KmStatus km_placing_check(const void *bytes, size_t size,
								 const KmTable *table);
/* Raw rows become positions.  KM_BAD_FORMAT: a code that there is not. */
extern KmStatus km_place_block(const void *placing, const KmTable *table,
							   KmBlock *block);

/* ---- the sketch, and the sum of squares (sample.c) ---- */

typedef struct KmSampleInput
{
	int64_t		want;			/* distinct rows */
	double		spread;			/* mean squared distance of the rows from
								 * their mean; 0: not known */
	double		squares_scale;	/* fixed point of the squares */
} KmSampleInput;

typedef struct KmSampling
{
	KmSketch	sketch;
	double		half;			/* 0.5 / spread; 0: not known */
	double		squares_scale;
	KmWide		squares;		/* weighted sum of squared lengths */
} KmSampling;

/* What the pass has found, as a sample; the job is still to be closed. */
extern KmStatus km_sample_finish(KmJob *job, KmSample *sample);

/* ---- whose rows (distances.c) ---- */

/* What passes over the same rows share. */
typedef struct KmRun
{
	const KmHost *host;
	KmSource   *source;
	const KmSpace *space;
	KmPoll	   *poll;
	KmSimd		simd;
} KmRun;

static inline KmJob
km_run_job(const KmRun *run, const KmStep *step)
{
	KmJob		job = {
		.step = step,
		.host = run->host,
		.poll = run->poll,
		.table = run->source->table,
		.space = run->space,
		.simd = run->simd
	};

	return job;
}

/*
 * In the input of steps that look at segments.  In the end stand k x width
 * centers, the nearest of which is a row's own when nothing stands beside it;
 * then, with has_targets, as many points that rows are measured to instead.
 */
typedef struct KmCenters
{
	int32_t		k;
	int32_t		has_targets;
} KmCenters;

typedef struct KmOwners
{
	KmNearest	nearest;
	bool		has_targets;
	KmPacked	centers;
	KmPacked	targets;
} KmOwners;

/* positions: what stands at the end of the input, of so many bytes */
extern KmStatus km_owners_open(KmOwners *owners, const KmJob *job,
							   const KmCenters *centers,
							   const double *positions, size_t size);
/* after a failure, too */
extern void km_owners_close(KmOwners *owners, const KmJob *job);
/* Segments of the rows of up to KM_KERNEL_TILES tiles; scratch: as many. */
extern const uint16_t *km_owners_find(const KmOwners *owners,
									  const KmJob *job, const KmBlock *block,
									  int tile, int ntiles,
									  uint16_t *scratch);

/* ---- distances (distances.c) ---- */

/*
 * A sum in fixed point of 123 bits: with 61, the others' squared distances
 * would be nothing beside the reach of one row far away.
 */
typedef struct FixedSum
{
	KmWide		high;			/* of whole parts */
	KmWide		low;			/* of fractions, in units of 2^-62 */
} FixedSum;

/* Distances in a segment. */
typedef struct SegmentSums
{
	FixedSum	square;			/* weighted squared distances */
	FixedSum	plain;			/* squared distances, each row once */
	KmWide		way;			/* distances, each row once */
} SegmentSums;

/* What distances are multiplied by before they are summed. */
typedef struct FixedScale
{
	double		square;
	double		root;			/* distances that are not squared */
} FixedScale;

/* then nscales FixedScale, one or each segment's; then the centers */
typedef struct KmDistancesInput
{
	KmCenters	centers;
	int32_t		nscales;
	int32_t		unused;
} KmDistancesInput;

/* of KM_STEP_EXTENT, whose input is KmCenters, k = 0 for no bounds */
typedef struct KmExtent
{
	double		longest;		/* length before it was set to 1; else 0 */
	double	   *largest;		/* |position| in each numeric slot */
	double	   *bounds;			/* squared distance in each segment */
} KmExtent;

/* for squared distances up to bound */
extern FixedScale km_fixed_scales(double bound);
extern double km_fixed_value(const FixedSum *sum);

/*
 * Distances of rows in each of k segments, summed.  targets: measured to
 * them, not to the centers; may be NULL.  scales: nscales, one for all or one
 * a segment.
 */
extern KmStatus km_sum_own_distances(KmRun *run, int k,
									 const double *centers,
									 const double *targets,
									 const FixedScale *scales, int nscales,
									 SegmentSums *sums);
/* What is not wanted is NULL; bounds come with k > 0. */
extern KmStatus km_find_extent(KmRun *run, int k, const double *centers,
							   const double *targets, double *longest,
							   double *largest, double *bounds);

/* ---- means (means.c) ---- */

/*
 * Positions of the rows in each segment, rounded to units and summed, each row
 * once; counts of categories; rows.
 */
extern KmStatus km_sum_rows(KmRun *run, int k, const double *centers,
							const double *units, bool is_wide, KmWide *sums,
							int64_t *size);
/* Cosine: weighted, as long as they were, multiplied by scale. */
extern KmStatus km_sum_long_rows(KmRun *run, int k, const double *centers,
								 double scale, KmWide *sums);

/* ---- order statistics (ranks.c) ---- */

/*
 * Values of numeric slots, found by passes that count.  Raw rows when the run
 * has no space; missing values are left out.  Cosine's positions are as long
 * as they were.
 */
typedef struct KmRanking KmRanking;

typedef struct KmRankTarget
{
	int			slot;
	int64_t		nth;			/* from 0 */
	double		value;			/* what is found */
	/* while it is looked for */
	bool		is_found;
	uint64_t	low;			/* it is between these keys */
	uint64_t	high;
	int64_t		below;			/* values below low */
} KmRankTarget;

/* One pass; the run's parts must live as long. */
extern KmStatus km_ranking_create(const KmRun *run, KmRanking **ranking);
/* values that the slot has */
extern int64_t km_ranking_count(const KmRanking *ranking, int slot);
/* n targets, by slot; of a slot by nth */
extern KmStatus km_ranking_find(KmRanking *ranking, KmRankTarget *targets,
								int n);
extern void km_ranking_free(KmRanking *ranking);

#endif							/* KM_STEPS_H */
