/*
 * km_internal.h
 *		What the files of the core share.
 *
 * Rows are stored in tiles of KM_LANES rows: the lanes' values of one slot
 * stand side by side, so that every pass works on KM_LANES rows at once and
 * nothing is ever transposed.  Numeric features take the first slots, then
 * categories (their code, as a double), then the row's weight and its length
 * where those are needed.
 *
 * Everything here that touches all rows is a sum of integers or a minimum, so
 * that it does not depend on the rows' order.  Work on the sample may sum
 * doubles: the sample has one order of its own.
 */
#ifndef KM_INTERNAL_H
#define KM_INTERNAL_H

#include <math.h>

#include "km.h"

#define KM_LANES	8

/*
 * Work between two polls, in multiply-adds: about 5 ms with the slowest
 * kernel, so that a cancel never waits for a whole pass.  Unit tests poll more
 * often, so that small data sets are stopped everywhere.
 */
#ifndef KM_POLL_WORK
#define KM_POLL_WORK	(4 * 1000 * 1000)
#endif

#ifndef __SIZEOF_INT128__
#error "kseg needs 128-bit integers, which compilers have for 64-bit machines"
#endif

/* hosts align to 8 bytes, as palloc does; without this gcc assumes 16 */
typedef __int128 KmWide __attribute__((aligned(8)));
typedef unsigned __int128 KmUWide __attribute__((aligned(8)));

/* sums that came from elsewhere may be anything: they wrap around */
static inline KmWide
km_wide_add(KmWide a, KmWide b)
{
	return (KmWide) ((KmUWide) a + (KmUWide) b);
}

/*
 * No count of rows and no sum of their rounded weights reaches the first, and
 * no such weight the second (they are at most 2^40: scale.c), unless somebody
 * made them up.
 */
#define KM_COUNT_MAX	(INT64_C(1) << 62)
#define KM_WEIGHT_MAX	0x1p41

/* ---- memory and polling (host.c) ---- */

#define KM_CACHE_LINE	64

static inline size_t
km_whole_lines(size_t bytes)
{
	return (bytes + KM_CACHE_LINE - 1) & ~(size_t) (KM_CACHE_LINE - 1);
}

/* the first line of memory that begins anywhere; it needs one line more */
static inline void *
km_first_line(void *memory)
{
	return (char *) memory + (-(uintptr_t) memory & (KM_CACHE_LINE - 1));
}

/* count * size bytes with overflow check; NULL when refused */
extern void *km_alloc(const KmHost *host, size_t count, size_t size);
extern void *km_alloc_zero(const KmHost *host, size_t count, size_t size);
/*
 * memcpy() of what may be all centers of a large model, to memory that may be
 * new: like km_alloc_zero(), it polls now and then.
 */
extern void km_copy(const KmHost *host, void *to, const void *from,
					size_t size);
extern void km_free(const KmHost *host, void *pointer);

static inline void
km_report(const KmHost *host, KmPhase phase, int64_t done, int64_t total)
{
	if (host->report != NULL)
		host->report(host->arg, phase, done, total);
}

/* Counts work and polls when enough has been done; false: stop. */
typedef struct KmPoll
{
	const KmHost *host;
	double		work;			/* since the last poll; INFINITY: it said stop
								 * to km_poll_within() */
} KmPoll;

static inline bool
km_poll(KmPoll *poll, double work)
{
	poll->work += work;
	if (poll->work < KM_POLL_WORK)
		return true;
	if (isinf(poll->work))
		return false;
	poll->work = 0;
	return poll->host->poll == NULL || poll->host->poll(poll->host->arg);
}

/* Within what cannot be left half done: the next km_poll() says stop. */
static inline void
km_poll_within(KmPoll *poll, double work)
{
	if (!km_poll(poll, work))
		poll->work = INFINITY;
}

#define KM_TRY(call) \
	do { \
		KmStatus	try_status_ = (call); \
		if (try_status_ != KM_OK) \
			return try_status_; \
	} while (0)

/* ---- random numbers (random.c) ---- */

/* the splitmix64 finalizer: every input bit reaches every output bit */
static inline uint64_t
km_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return x;
}

/* uniform in (0, 1), 52 bits, never 0 or 1 */
static inline double
km_uniform(uint64_t hash)
{
	return ((double) (hash >> 12) + 0.5) * 0x1p-52;
}

/* natural logarithm of 0 < x < 1 from +, *, / alone: libm's may differ */
extern double km_log(double x);

/* ---- exact sums (exact.c) ---- */

/*
 * Sum and sum of squares of doubles, exactly: fixed point numbers that span
 * double's whole range (after Neal, "Fast exact summation using small and
 * large superaccumulators", 2015).  Order, merging and blocking cannot
 * matter.
 */
#define KM_SUM_LIMBS	70
#define KM_SQUARE_LIMBS	136

typedef struct KmExact
{
	int64_t		count;			/* values */
	int64_t		weight;			/* sum of weights; = count without */
	double		min;
	double		max;
	int64_t		sum[KM_SUM_LIMBS];	/* base 2^32, unit 2^-1074 */
	int64_t		squares[KM_SQUARE_LIMBS];	/* base 2^32, unit 2^-2148 */
	int64_t		pending;		/* additions since carries were moved */
} KmExact;

typedef struct KmExactScratch KmExactScratch;

extern void km_exact_init(KmExact *exact);
extern void km_exact_add(KmExact *exact, double x);
extern void km_exact_merge(KmExact *into, const KmExact *from);
extern void km_exact_carry(KmExact *exact);
extern KmExactScratch *km_exact_scratch(const KmHost *host);
/* n values with their weights (NULL: 1), NaN is left out */
extern void km_exact_add_many(KmExact *exact, KmExactScratch *scratch,
							  const double *x, const double *weights,
							  int n);
/* mean and population standard deviation, within an ulp or two of truth */
extern void km_exact_moments(const KmExact *exact, double *mean, double *sd);

/* ---- tables of rows (rows.c) ---- */

typedef struct KmBlock
{
	double	   *data;			/* tiles, on a cache line's boundary */
	void	   *memory;			/* what was allocated for them */
	int64_t		first;			/* number of its first row */
	int			nrows;
	int			capacity;		/* multiple of KM_LANES */
	unsigned char *beside;		/* what passes keep of its rows, on a cache
								 * line's boundary; NULL: none */
	float	   *single;			/* there, too, in memory that nobody has
								 * touched; NULL: none */
	void	   *beside_memory;	/* what was allocated for them */
	size_t		beside_bytes;
	float		least;			/* that they keep of the whole block */
	/* when it is not in memory (store.c) */
	int64_t		at;				/* where its data are */
	int64_t		beside_at;		/* and what is beside it */
	size_t		beside_room;
	size_t		beside_size;	/* 0: nothing */
	bool		beside_is_zero; /* nothing was written yet */
	KmHandle	shared;			/* data, for a crew; 0: it is not shared */
	KmHandle	beside_shared;	/* the same of what is beside */
	KmHandle	single_shared;
} KmBlock;

typedef struct KmTable
{
	/* set once */
	const KmHost *host;
	int			nfeatures;
	int			nnum;			/* numeric features, slots 0 .. nnum - 1 */
	int			ncat;			/* then categories */
	int			weight_slot;	/* -1: every row weighs 1 */
	int			length_slot;	/* -1: not cosine */
	int			nslots;
	int		   *slot;			/* of each feature */
	int64_t    *missing;		/* of each feature: rows whose value was
								 * filled in when they were scaled */
	/* changes while rows come */
	int64_t		nrows;
	int			nblocks;
	int			blocks_allocated;
	KmBlock    *blocks;
	unsigned char *slab;		/* what is left for further blocks */
	size_t		slab_left;
	size_t		bytes;
	size_t		limit;			/* 0: none */
	double		max_weight;
	struct KmStored *stored;	/* blocks beyond the limit; NULL: none */
	struct KmSharing *sharing;	/* of blocks that a crew sees (share.c) */
	double		effort;			/* to be spent on each value: km_rows_plan() */
} KmTable;

struct KmRows
{
	KmTable		table;
	bool		weighted;
	bool		cosine;
};

static inline double *
km_tile(const KmTable *table, const KmBlock *block, int tile)
{
	return block->data + (size_t) tile * table->nslots * KM_LANES;
}

/* tiles that hold rows */
static inline int
km_block_tiles(const KmBlock *block)
{
	return (block->nrows + KM_LANES - 1) / KM_LANES;
}

/* rows of a tile: KM_LANES, less in a block's last one */
static inline int
km_tile_rows(const KmBlock *block, int tile)
{
	int			left = block->nrows - tile * KM_LANES;

	return left < KM_LANES ? left : KM_LANES;
}

/* Are there blocks that are not in memory? */
extern bool km_table_is_stored(const KmTable *table);

/* one value of a row of the block */
static inline double *
km_cell(const KmTable *table, const KmBlock *block, int row, int slot)
{
	return km_tile(table, block, row / KM_LANES) + slot * KM_LANES +
		row % KM_LANES;
}

/* the block that holds a row, by the number of the row in the table */
extern const KmBlock *km_find_block(const KmTable *table, int64_t row);
/* slot 0 of such a row; the others follow KM_LANES apart */
extern double *km_find_row(const KmTable *table, int64_t row);

/* integer weight of the row at lane */
static inline int64_t
km_row_weight(const KmTable *table, const double *lane)
{
	return table->weight_slot < 0 ? 1 :
		(int64_t) lane[table->weight_slot * KM_LANES];
}

/*
 * Memory beside each block: per_row bytes for each row it has room for,
 * rounded up to groups of KM_GROUP_ROWS, which are zeroed; then, not zeroed,
 * per_group for each of those.  Also "single" bytes for each such row, of all
 * blocks together behind all that: where nobody writes, the kernel need not
 * find pages.  What was there before goes.
 */
#define KM_GROUP_ROWS	64
extern KmStatus km_table_beside(KmTable *table, size_t per_row,
								size_t per_group, size_t single);

static inline size_t
km_block_groups(const KmBlock *block)
{
	return ((size_t) block->capacity + KM_GROUP_ROWS - 1) / KM_GROUP_ROWS;
}

/* what stands beside a block, of so many bytes a group, in whole lines */
static inline size_t
km_beside_size(const KmBlock *block, size_t group)
{
	return km_whole_lines(km_block_groups(block) * group);
}

/* segments of a block's rows: what Lloyd keeps beside it begins with these */
static inline uint16_t *
km_block_own(const KmBlock *block)
{
	return (uint16_t *) block->beside;
}

/* Nothing beside the blocks any more; the memory stays for the next. */
extern void km_table_lone(KmTable *table);

/*
 * The same rows with nothing beside them; to be cleared with
 * km_view_clear(), while "table" still lives.
 */
extern KmStatus km_table_view(const KmTable *table, KmTable *view);
extern void km_view_clear(KmTable *view);

/* Where rows are that passes run over (pass.h). */
typedef struct KmSource
{
	KmTable    *table;			/* of rows that are elsewhere: the layout and
								 * nrows, no blocks */
	KmRemote   *remote;			/* NULL: they are here */
} KmSource;

/* An empty table of the same layout with room for exactly nrows. */
extern KmStatus km_table_clone(const KmTable *like, int64_t nrows,
							   KmTable *table);
extern void km_table_clear(KmTable *table);

/* ---- the space rows live in (space.c) ---- */

/*
 * How positions are laid out.  A center is a vector of "width" positions in
 * the order of slots: numeric ones, then each category of each categorical
 * feature.
 */
typedef struct KmSpace
{
	const KmHost *host;
	int			nfeatures;
	int			nnum;
	int			ncat;
	int			width;
	bool		cosine;
	KmFeature  *features;
	int		   *slot;			/* feature -> slot */
	int		   *feature;		/* slot -> feature */
	int		   *offset;			/* cat slot - nnum -> first dimension */
	bool		is_bounded;		/* of a fit: its rows are all there are */
	double	   *unit;			/* numeric slot: 2^-grid */
	double	   *scale;			/* numeric slot: 2^grid */
	double	   *factor;			/* cat slot - nnum: factor */
	int		   *ncategories;	/* cat slot - nnum */
} KmSpace;

/*
 * Can a row be there?  A fit's are below 2^50 units of the grid, and what
 * sums them counts on that; those that a model scores may be anywhere.
 */
static inline bool
km_position_is_sane(const KmSpace *space, int slot, double x)
{
	return fabs(x) < (space->is_bounded ? space->unit[slot] * 0x1p51 :
					  INFINITY);
}

extern KmStatus km_space_create(const KmHost *host, KmFeature *features,
								int nfeatures, bool cosine, KmSpace *space);
extern void km_space_clear(KmSpace *space);
/* grids are known only after scaling */
extern void km_space_set_grid(KmSpace *space);

/* factor / divisor; 0 when that is beyond the normal doubles */
extern double km_multiplier(const KmFeature *feature);
/* where x stands in a numeric feature's dimension, on its grid */
extern double km_position(const KmFeature *feature, double x);
/* the same before rounding, for cosine */
extern double km_position_raw(const KmFeature *feature, double x);
extern double km_round_to_grid(double v, int grid);
/* cosine: set a row of n positions to length 1; its length before */
extern double km_normalize(double *lane, int stride, int n);
#define KM_COSINE_GRID	50

/* ---- scaling (scale.c, ranks.c) ---- */

/* chance that two random rows have the same category */
extern double km_same_chance(const KmFeature *feature, int64_t rows);
/* what a missing category is filled with: the first most frequent one */
extern int	km_most_frequent(const KmFeature *feature);
extern void km_feature_scale(KmFeature *feature, KmScale scale,
							 const double quartiles[3]);
/* v[nth] becomes what sorting v[low .. high] would put there */
extern KmStatus km_select(KmPoll *poll, double *v, int64_t low, int64_t high,
						  int64_t nth);
/* linear interpolation between order statistics, as numpy's default */
extern KmStatus km_quantiles(KmPoll *poll, double *values, int64_t n,
							 const double *at, int nat, double *result);
/* fixed point: |x| < bound becomes an integer below 2^62 */
extern double km_fixed_scale(double bound);

/* ---- kernels (kernel.c) ---- */

/*
 * Wide code is a body in plain C, inlined into one function per vector unit.
 * clang does not know prefer-vector-width, and does not need it.
 */
#if defined(__x86_64__) && defined(__GNUC__)
#define KM_WIDE_X86	1
#define KM_TARGET_AVX2		__attribute__((target("avx2")))
#ifdef __clang__
#define KM_TARGET_AVX512	__attribute__((target("avx512f,avx512dq,avx512vl")))
#else
#define KM_TARGET_AVX512	\
	__attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#endif

/* what simd comes down to on this machine; never KM_SIMD_AUTO */
extern KmSimd km_simd_resolve(KmSimd simd);

/*
 * Centers as the kernels want them.  Category tables hold, per category,
 * each center's share of the squared distance.
 */
typedef struct KmPacked
{
	int			k;
	int			stride;			/* of a table's rows, >= k */
	const double *numeric;		/* k x nnum */
	double	  **tables;			/* ncat of them: ncategories x stride */
	double	   *unseen;			/* ncat x stride: for an unknown category */
	double	   *memory;
} KmPacked;

extern KmStatus km_packed_create(const KmSpace *space, int max_k,
								 KmPacked *packed);
extern void km_packed_free(const KmSpace *space, KmPacked *packed);
/* centers: k x width; numeric positions are copied */
extern void km_packed_set(const KmSpace *space, KmPacked *packed,
						  const double *centers, int k);

/*
 * For each row of ntiles tiles the nearest center (lowest index on ties), its
 * squared distance and the second-nearest's (infinity when k = 1): the sum
 * over slots, in order, of (x - c)^2 in double.
 */
typedef void (*KmNearest) (const KmSpace *space, const KmPacked *packed,
						   const double *tiles, int ntiles, int nslots,
						   int64_t *id, double *d1, double *d2);
extern KmNearest km_nearest_kernel(KmSimd simd);

/*
 * Squared distances of one row, whose nnum positions stand "step" apart, to
 * stride centers: transposed holds nnum x stride positions.  stride is a
 * multiple of KM_LANES.  The same sums in the same order as KmNearest's.
 */
typedef void (*KmMeasure) (const double *lane, int step, int nnum,
						   const double *transposed, int stride,
						   double *distances);
extern KmMeasure km_measure_kernel(KmSimd simd);

/*
 * A numeric feature: km_position() with its constants at hand, in one cache
 * line.
 */
typedef struct KmAxis
{
	double		clip_low;		/* values are clipped to low and high, */
	double		clip_high;
	double		origin;			/* counted from here, */
	double		multiplier;		/* multiplied (0: only km_position() can), */
	double		magic;			/* and rounded to the grid with this, */
	double		limit;			/* which works up to here */
	int			feature;
	int			unused;
	double		line;			/* nothing, up to the end of the line */
} KmAxis;

/* False for what is missing, or so far out that rounding takes more care. */
static inline bool
km_axis_place(const KmAxis *axis, double x, double *position)
{
	double		v;

	x = x < axis->clip_low ? axis->clip_low : x;
	x = x > axis->clip_high ? axis->clip_high : x;
	v = (x - axis->origin) * axis->multiplier;
	*position = (v + axis->magic) - axis->magic;
	/* false for NaN too */
	return fabs(v) < axis->limit;
}

/*
 * The nearest of the centers in stride, as KmMeasure has them, to a row of n
 * numeric features, whose values stand in the order of the axes.  -1: one is
 * missing or far out, or all distances are infinite.  lane: room for n
 * positions.  All at once: what is stored narrowly and loaded widely right
 * after it makes the processor wait.
 */
typedef int (*KmPredict) (const double *values, const KmAxis *axes, int n,
						  const double *transposed, int stride, double *lane);
extern KmPredict km_predict_kernel(KmSimd simd);

/*
 * Bins of KM_LANES x nblocks values: how many of the value's edges are not
 * above it, or "missing" of a missing value.  edges: for each block the first
 * ones of all its values, then the second ones; infinite ones find nothing.
 */
typedef void (*KmBinning) (const double *values, const double *edges,
						   const int64_t *missing, int nblocks,
						   int64_t *bins);
extern KmBinning km_binning_kernel(KmSimd simd);

/*
 * Distances of KM_PAIR_ROWS rows, whose values of one slot stand side by side,
 * to the n rows of a tile with a weight slot, times each one's weight.
 * Those of row l are added, KM_PAIR_ROWS side by side, to the sums that start
 * at targets[l * ntargets ...]: one sum for each row in the order of the
 * tiles, whatever the vector unit.  distance: scratch, KM_PAIR_ROWS.
 */
#define KM_PAIR_ROWS	32
typedef void (*KmPairs) (const KmSpace *space, const double *rows,
						 const double *tile, int n, const int32_t *targets,
						 int ntargets, double *sums, double *distance);
extern KmPairs km_pairs_kernel(KmSimd simd);

/* most tiles a kernel is called with at once */
#define KM_KERNEL_TILES	16

/* ---- sample (sample.c) ---- */

typedef struct KmSample
{
	KmTable		table;			/* distinct rows in canonical order */
	uint64_t   *hash;			/* of each row's content */
	double	   *norm;			/* squared length of each row */
	int64_t    *copies;			/* rows that each stands for, or a multiple of
								 * that; the weights', when rows have none */
	bool		complete;		/* all distinct rows of the data */
	int64_t		distinct;		/* rows in the sample */
	double		weight;			/* sum of the sample's weights */
	double		squares;		/* weighted sum of norm */
	KmHandle	shared;			/* a copy that a crew sees; 0: none */
} KmSample;

/*
 * want: most rows of the sample.  spread: mean squared distance of the rows
 * from their mean, 0 when unknown.
 */
extern KmStatus km_sample_create(KmSource *source, const KmSpace *space,
								 KmPoll *poll, int64_t want, double spread,
								 KmSample *sample);
extern void km_sample_clear(const KmHost *host, KmSample *sample);

/* a row, whose slots stand "stride" apart, in a center's form */
extern void km_lane_center(const KmSpace *space, const double *lane,
						   int stride, double *center);
extern void km_row_center(const KmTable *table, const KmSpace *space,
						  int64_t row, double *center);

/* ---- Lloyd (assign.c, lloyd.c) ---- */

/* Exact sums of the rows of each segment. */
typedef struct KmSums
{
	KmWide	   *sums;			/* k x width: integer positions x weight */
	KmWide	   *weight;			/* k */
	int64_t    *size;			/* rows */
} KmSums;

typedef struct KmLloyd
{
	/* set once */
	KmSource *source;
	const KmSpace *space;
	KmPoll	   *poll;
	KmSimd		simd;
	int			max_k;
	double		squares;		/* weighted sum of squared lengths */
	const KmHost *watched;		/* told of iterations; NULL: nobody */
	/* changes while running */
	int			k;
	double	   *centers;		/* max_k x width */
	double	   *previous;		/* centers before the last update */
	KmSums		rows;			/* of each segment, as last assigned */
	double	   *way;			/* of each center since bounds were set, */
	double	   *drift;			/* the same with the fastest other's, */
	double	   *last_way;		/* and both of the last update alone */
	double	   *last_drift;
	double		all_drift;		/* the most that any two have moved */
	bool		keeps_bounds;	/* beside the rows */
	bool		updated;		/* since the centers were given */
	bool		may_keep;		/* few rows may change: bounds would pay */
	double		in_doubt;		/* share of those */
	struct KmAssigning *assigning;	/* the pass, kept open (assign.c) */
	bool		assigned;		/* what is beside the rows, and the sums, are
								 * valid */
	bool		changed;		/* by the last pass: sums, weights or sizes */
	bool		has_empty;		/* a segment has no row */
	int64_t		measured;		/* rows, by the last pass: bounds spared the
								 * others */
	int			passes[4];		/* of each KmAssignMode (assign.h), and */
	int64_t		measured_in[4]; /* rows measured in them: for benchmarks */
	double		evaluations;	/* distances computed, nominally */
	/* for tests */
	bool		exact;			/* all rows by the exact kernel */
	bool		eager;			/* bounds from the second pass on */
} KmLloyd;

/*
 * Rows of the source have from now on their segments beside them, of no other
 * Lloyd.  Both must live as long.
 */
extern KmStatus km_lloyd_create(KmSource *source,
								const KmSpace *space, KmPoll *poll,
								KmSimd simd, int max_k, double squares,
								KmLloyd *lloyd);
extern void km_lloyd_free(KmLloyd *lloyd);
/* take these centers; assigned rows stay where they are until a pass */
extern void km_lloyd_start(KmLloyd *lloyd, const double *centers, int k);
/* segment c shall be number order[c] from now on: nothing else changes */
extern KmStatus km_lloyd_renumber(KmLloyd *lloyd, const int *order);
/*
 * One pass over all rows.  *moved: rows that changed segment, -1 when that
 * cannot be known because rows are elsewhere.  Sets lloyd->changed.
 */
extern KmStatus km_lloyd_assign(KmLloyd *lloyd, bool bounded,
								int64_t *moved);
/* centers become means; an empty segment takes the farthest row */
extern KmStatus km_lloyd_update(KmLloyd *lloyd);
/*
 * Mean of rows from their sums: integers in units[slot] for numeric features,
 * counts of categories.
 */
extern void km_mean_center(const KmSpace *space, const double *units,
						   const KmWide *sums, int64_t weight,
						   double *center);
/* from the sums: accurate to about 1e-15 of the total */
extern double km_lloyd_inertia(const KmLloyd *lloyd);
/* nearest and second nearest of every row, without changing anything */
extern KmStatus km_nearest_all(const KmLloyd *lloyd, uint16_t *own,
							   double *d1, double *d2);
/*
 * From the centers set by km_lloyd_start until no sum changes, the inertia's
 * relative fall is below tol, or max_iter.  give_up: stop when the inertia
 * is unlikely to come below it (infinity: never).
 */
extern KmStatus km_lloyd_run(KmLloyd *lloyd, int max_iter, double tol,
							 double give_up, int *iterations,
							 bool *converged);

/* ---- search (seed.c, search.c) ---- */

typedef struct KmSearch
{
	/* set once */
	const KmSample *sample;
	const KmSpace *space;
	KmPoll	   *poll;
	KmNearest	nearest;
	uint64_t	seed;
	double	   *weight;			/* of each sample row */
	/* changes while running */
	uint64_t	step;			/* draws made: each has a stream of its own */
	KmTable		view;			/* of the sample's rows, for lloyd */
	KmSource	source;			/* the same */
	KmLloyd		lloyd;
	uint16_t   *own;			/* of the chain's present centers, per row: */
	double	   *d1;				/* squared distance to the nearest */
	double	   *d2;				/* and to the second nearest */
	double	   *dx;				/* to a candidate */
	double	   *spare;			/* a fourth such array */
	double	   *centers;		/* the chain's present centers */
	double	   *point;			/* a candidate as a center */
	KmPacked	packed;			/* the same for the kernel */
	double	   *gain;			/* per segment */
	double		evaluations;	/* distances computed, nominally */
} KmSearch;

/*
 * The count rows that win a race with weights W * d (d NULL: W), best first;
 * returns how many there are.
 */
extern int	km_draw_rows(KmSearch *search, const double *d, int count,
						 int64_t *rows);
/* squared distances of all sample rows to one of them */
extern KmStatus km_distances(KmSearch *search, int64_t row,
							 double *distances);
/*
 * Greedy k-means++: the first "have" of k centers are given.  *got tells how
 * many there are in the end: fewer when every row is at a center.
 */
extern KmStatus km_seed(KmSearch *search, double *centers, int have, int k,
						int *got);

/* The best distinct solutions of a search, best first. */
#define KM_POOL_MAX		4

typedef struct KmPool
{
	int			n;
	double		inertia[KM_POOL_MAX];	/* on the sample */
	double	   *centers[KM_POOL_MAX];	/* each k x width */
} KmPool;

extern KmStatus km_pool_create(const KmSpace *space, int k, KmPool *pool);
extern void km_pool_clear(const KmSpace *space, KmPool *pool);

/*
 * Fill the pool with solutions for k on the sample.  previous: NULL, or
 * centers of previous_k < k segments that one chain builds on.
 */
extern KmStatus km_search(KmSample *sample, const KmSpace *space,
						  KmPoll *poll, const KmOptions *options, int k,
						  const double *previous, int previous_k,
						  KmPool *pool);

/* Add centers to the first "have" of k, as a chain of the search begins. */
extern KmStatus km_add_centers(const KmSample *sample, const KmSpace *space,
							   KmPoll *poll, KmSimd simd, uint64_t seed,
							   double *centers, int have, int k);

/* ---- symmetric matrices (eigen.c) ---- */

/*
 * Eigenvalues of an n x n matrix, largest first, and its eigenvectors: row i
 * of vectors has length 1 and belongs to values[i]; its largest entry is
 * positive (the first of those that differ by less than 1e-8 of it).  Of the
 * matrix the lower triangle is read, and all of it overwritten.
 * KM_NOT_FINITE when an entry is; a value beyond double's range is infinite.
 */
extern KmStatus km_eigen(const KmHost *host, KmPoll *poll, int n,
						 double *matrix, double *values, double *vectors);

/* ---- principal axes (pca.c) ---- */

/* km_placed_pca() for any table in positions */
extern KmStatus km_pca_create(const KmHost *host, const KmTable *table,
							  const KmSpace *space, int dims, size_t limit,
							  int *width, KmPca **pca);

/* ---- scoring (predict.c) ---- */

/*
 * Score a row that stands as positions (numeric slots, then category codes,
 * -1: never seen) at lane[slot * stride].
 */
extern void km_score_position(const KmPredictor *predictor,
							  const double *lane, int stride,
							  KmScore *score);

/*
 * Positions of a row, in the order of slots, valid until the next call; NULL
 * when a value is missing and the model skips such rows.
 */
extern const double *km_place_row(const KmPredictor *predictor,
								  const double *values);

/* ---- rows of a query (placed.c) ---- */

/*
 * A value that the model has never seen is one more category of its feature,
 * the last one, in which all centers are at 0.  So the space is the model's
 * with categories added, and its features' own ncategories are one less.
 */
struct KmPlaced
{
	const KmHost *host;
	const KmModel *model;
	KmSimd		simd;
	KmPoll		poll;
	KmPredictor *predictor;
	KmSpace		space;
	KmRows	   *rows;			/* rows->table: positions */
	double	   *values;			/* scratch: one row */
	bool		is_spilled;		/* rows may be in a store: no arrays of them */
	uint16_t   *own;			/* segment of each row; NULL then */
	int64_t		own_allocated;
	KmRemote   *remote;			/* rows are elsewhere; NULL: here */
};

/*
 * A row's positions, in the order of the features and of the slots, valid
 * until the next call; NULL when it has no segment.
 */
extern KmStatus km_placed_place(KmPlaced *placed, const double *values,
								const double **positions,
								const double **lane);

/* the model's centers in the space above: k x space.width */
extern KmStatus km_placed_centers(const KmPlaced *placed, double **centers);

/* ---- rows picked from a sample (draw.c) ---- */

/* Rows chosen with equal chances; a copy of a row is one more. */
typedef struct KmPicked
{
	const KmTable *table;		/* the sample's */
	int64_t    *rows;			/* n of them, rising */
	int64_t		n;
} KmPicked;

/*
 * want of nrows rows that the sample was taken from; fewer, when it has not
 * enough different ones.
 */
extern KmStatus km_pick_rows(const KmSample *sample, int64_t nrows,
							 int64_t want, KmPicked *picked);
extern void km_picked_clear(KmPicked *picked);

/* Sample that is large enough to pick so many rows from. */
#define KM_PICK_SAMPLE		(2 * KM_SILHOUETTE_ROWS)

/*
 * Such rows as a table.  Equal rows are one row here.  The table has a weight
 * slot, the multiplicity.
 */
typedef struct KmDraw
{
	KmTable		table;			/* distinct rows in canonical order */
	int64_t    *multiplicity;	/* of each */
	uint64_t   *hash;			/* of each row's content */
	double	   *weight;			/* of a copy of each; the largest is 1 */
	int64_t		total;			/* sum of multiplicities */
	int64_t		rows;			/* that were drawn from */
} KmDraw;

/* draw may be uninitialised; after a failure there is nothing to clear */
extern KmStatus km_draw_create(const KmSample *sample, int64_t nrows,
							   int64_t want, KmDraw *draw);
extern void km_draw_clear(KmDraw *draw);

/*
 * Nearest of k centers (k x space->width) of each distinct row drawn:
 * own[draw->table.nrows], the caller's.
 */
extern KmStatus km_draw_assign(const KmDraw *draw, const KmSpace *space,
							   KmPoll *poll, KmSimd simd,
							   const double *centers, int k, uint16_t *own);

/* ---- bins (bins.c) ---- */

/* what one of the bins adds to km_psi(); counts and their totals */
extern double km_psi_part(int64_t then, int64_t all_then, int64_t now,
						  int64_t all_now);

/* ---- silhouettes (silhouette.c) ---- */

/*
 * Mean silhouettes of several segmentations of the same rows at once:
 * labels[j][row] < k[j].  overall[j]: the mean, NAN where it is not defined;
 * per_segment (may be NULL)[j][c]: the mean over a segment, NAN when it has
 * no row or overall is NAN.  Takes memory for each row, not for pairs.
 */
extern KmStatus km_silhouettes(const KmDraw *draw, const KmSpace *space,
							   KmPoll *poll, KmSimd simd, int nlabelings,
							   const int *k, const uint16_t *const *labels,
							   double *overall, double **per_segment);

/* ---- choosing k (knee.c, reference.c) ---- */

/* ln(before / after), where what is next to nothing beside total is nothing */
extern double km_drop(double before, double after, double total);

/*
 * drops[b * n + i], i >= 1: how much the inertia of reference b drops from
 * first + i - 1 to first + i segments.
 */
extern KmStatus km_reference_drops(KmFit *fit, int first, int n,
								   int references, double *drops);

/*
 * Points i = 1 .. n - 1 have the drops given.  noise: standard deviation of a
 * drop of rows without groups beside the expected one.  is_end: nothing can
 * come after the last point.
 */
extern void km_find_knees(const double *drop, const double *expected,
						  double noise, int n, bool is_end, KmKnee *knee);

/* ---- centroids of two models (mutual.c) ---- */

/* Where one of the two measures, over the features that both have. */
typedef struct KmMutual
{
	int			dims;
	int		   *feature;		/* of each dimension: that of the model which
								 * measures */
	double	   *old_at;			/* k x dims of the older model */
	double	   *new_at;			/* of the newer one */
} KmMutual;

/*
 * space: the one of the two that measures.  *mutual comes zeroed, and is to
 * be cleared after a failure as well.
 */
extern KmStatus km_mutual_create(KmPoll *poll, const KmModel *space,
								 const KmModel *model, const KmModel *old,
								 KmMutual *mutual);
extern void km_mutual_clear(const KmHost *host, KmMutual *mutual);
extern const double *km_mutual_new(const KmMutual *mutual, int segment);
extern const double *km_mutual_old(const KmMutual *mutual, int segment);
/* squared; never NaN */
extern double km_mutual_distance2(const KmMutual *mutual, const double *x,
								  const double *y);
/* root mean square distance of a segment's rows from its centroid */
extern double km_spread(const KmSegment *segment);

/* ---- assignments (match.c) ---- */

/*
 * A sparse matrix of costs, none of them above 0.  Row r can go with
 * column[first[r] .. first[r + 1] - 1].
 */
typedef struct KmCosts
{
	int			nrows;
	int			ncolumns;
	size_t	   *first;			/* nrows + 1 */
	int		   *column;
	double	   *cost;
} KmCosts;

/*
 * match[r]: column of each row, or -1; no column twice, and the sum of the
 * costs is the least there is.
 */
extern KmStatus km_match(const KmHost *host, KmPoll *poll,
						 const KmCosts *costs, int *match);

#endif							/* KM_INTERNAL_H */
