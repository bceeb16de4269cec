/*
 * pca.c
 *		Principal axes of rows in a model's space, and where rows stand on
 *		them.
 *
 * The covariance is a sum over all rows, so it is made of integers: numeric
 * positions are counted from their exact mean in units of 2^-51 of the column's
 * largest deviation, and products of two of them are added in 128 bits.  One
 * row far away costs the others at most sqrt(rows) * 2^-51 of a standard
 * deviation: it cannot be far without making that one large.  Categories take
 * counting: a row is in one of them and out of the others, so a feature
 * costs one addition whatever its number of categories.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* rows whose deviations stand side by side: 512 bytes of each column */
#define BATCH_TILES		8
#define BATCH			(BATCH_TILES * KM_LANES)

/* bits of a deviation, without its sign: round_to_integer() can do no more */
#define DEVIATION_BITS	51

/* values that are handed to km_exact_add_many() at once */
#define GATHER			512

/*
 * An axis whose variance is less than this share of what its terms could make
 * is rounding: the columns depend on each other.  Squared deviations have
 * errors of a few 1e-16.
 */
#define NO_VARIANCE		1e-13

struct KmPca
{
	const KmHost *host;
	const KmTable *table;
	const KmSpace *space;
	int			dims;
	double		explained;
	double	   *mean;			/* nnum */
	double	   *axes;			/* KM_PCA_DIMS x nnum */
	double	   *steps;			/* KM_PCA_DIMS x categories of the space: what
								 * being in one adds */
	double		base[KM_PCA_DIMS];	/* what the mean's categories add */
};

/* What is needed while the axes are sought. */
typedef struct Covariance
{
	/* set once */
	const KmHost *host;
	const KmTable *table;
	const KmSpace *space;
	KmPoll		poll;
	int			nnum;
	int			ncategories;	/* of all features */
	const double *mean;			/* nnum */
	double	   *scale;			/* nnum: from a deviation to its integer */
	int		   *shift;			/* nnum: the same as a power of two */
	int			exponent;		/* all deviations are below 2^exponent */
	int			width;			/* dimensions that vary: numeric ones, and
								 * categories that occur */
	int		   *dimension;		/* ncategories: which of those; -1: none */
	int64_t    *counts;			/* width - nnum: rows in each category */
	double	   *step;			/* width - nnum: the category's factor */
	/* changes while rows are read */
	int64_t    *deviations;		/* nnum x BATCH */
	KmWide	   *sums;			/* nnum: of deviations */
	KmWide	   *products;		/* nnum x nnum, lower triangle */
	KmWide	   *cross;			/* (width - nnum) x nnum: deviations of the
								 * rows in a category */
	double	   *matrix;			/* width x width, lower triangle; between
								 * categories first the rows in both */
} Covariance;

static inline int
space_categories(const KmSpace *space)
{
	return space->width - space->nnum;
}

/* number of a category among those of all features */
static inline int
category_number(const KmSpace *space, int f, double code)
{
	return space->offset[f] - space->nnum + (int) code;
}

/* ---- means and deviations ---- */

/* One column's exact statistics. */
static KmStatus
gather_column(Covariance *cov, int slot, KmExactScratch *scratch,
			  KmExact *exact)
{
	const KmTable *table = cov->table;
	double		values[GATHER];
	int			n = 0;

	km_exact_init(exact);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			int			nrows = km_tile_rows(block, t);

			memcpy(values + n, km_tile(table, block, t) + slot * KM_LANES,
				   sizeof(double) * nrows);
			n += nrows;
			if (n > GATHER - KM_LANES)
			{
				km_exact_add_many(exact, scratch, values, NULL, n);
				n = 0;
			}
		}
		if (!km_poll(&cov->poll, 10.0 * block->nrows))
			return KM_CANCELLED;
	}
	km_exact_add_many(exact, scratch, values, NULL, n);
	return KM_OK;
}

/* so that a sum of n products stays below 2^126 */
static int
deviation_bits(int64_t n)
{
	int			bits = 0;

	while (n >> bits > 0)
		bits++;
	bits = (126 - bits) / 2;
	return bits < DEVIATION_BITS ? bits : DEVIATION_BITS;
}

static KmStatus
find_means(Covariance *cov, double *mean)
{
	KmExactScratch *scratch = km_exact_scratch(cov->host);
	int			bits = deviation_bits(cov->table->nrows);
	KmStatus	status = scratch == NULL ? KM_NO_MEMORY : KM_OK;

	cov->exponent = INT32_MIN;
	for (int s = 0; s < cov->nnum && status == KM_OK; s++)
	{
		KmExact		exact;
		double		sd;
		double		bound;
		int			exponent;

		status = gather_column(cov, s, scratch, &exact);
		km_exact_moments(&exact, &mean[s], &sd);
		bound = fmax(exact.max - mean[s], mean[s] - exact.min);
		if (!(bound < INFINITY))
			status = KM_NOT_FINITE;
		if (!(bound > 0))
			continue;			/* constant: scale is 0 */
		(void) frexp(bound, &exponent);
		cov->shift[s] = bits - exponent;
		if (cov->shift[s] > DBL_MAX_EXP - 1)
			cov->shift[s] = DBL_MAX_EXP - 1;
		cov->scale[s] = ldexp(1, cov->shift[s]);
		if (exponent > cov->exponent)
			cov->exponent = exponent;
	}
	km_free(cov->host, scratch);
	return status;
}

/* ---- categories ---- */

static KmStatus
count_categories(Covariance *cov)
{
	const KmTable *table = cov->table;

	for (int f = 0; f < cov->space->ncat; f++)
	{
		for (int b = 0; b < table->nblocks; b++)
		{
			const KmBlock *block = &table->blocks[b];

			for (int r = 0; r < block->nrows; r++)
				cov->counts[category_number(cov->space, f,
											*km_cell(table, block, r,
													 cov->nnum + f))]++;
			if (!km_poll(&cov->poll, 4.0 * block->nrows))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/* Categories that occur get a dimension each; counts keeps only theirs. */
static void
number_categories(Covariance *cov)
{
	const KmSpace *space = cov->space;

	cov->width = cov->nnum;
	for (int f = 0; f < space->ncat; f++)
	{
		int			first = category_number(space, f, 0);

		for (int c = first; c < first + space->ncategories[f]; c++)
		{
			int			at = cov->width - cov->nnum;
			int			exponent;

			cov->dimension[c] = -1;
			if (cov->counts[c] == 0)
				continue;
			cov->dimension[c] = cov->width++;
			cov->counts[at] = cov->counts[c];
			cov->step[at] = space->factor[f];
			(void) frexp(space->factor[f], &exponent);
			if (exponent > cov->exponent)
				cov->exponent = exponent;
		}
	}
}

/* ---- sums over all rows ---- */

/* to the nearest integer, |x| < 2^51 */
static inline int64_t
round_to_integer(double x)
{
	return (int64_t) ((x + 0x1.8p52) - 0x1.8p52);
}

/* Deviations of the rows of some tiles; those of rows that are none are 0. */
static void
deviate(Covariance *cov, const KmBlock *block, int first, int ntiles)
{
	for (int t = 0; t < ntiles; t++)
	{
		const double *tile = km_tile(cov->table, block, first + t);
		int			nrows = km_tile_rows(block, first + t);

		for (int s = 0; s < cov->nnum; s++)
		{
			const double *x = tile + s * KM_LANES;
			int64_t    *to = cov->deviations + (size_t) s * BATCH +
				t * KM_LANES;

			for (int l = 0; l < nrows; l++)
				to[l] = round_to_integer((x[l] - cov->mean[s]) *
										 cov->scale[s]);
			for (int l = nrows; l < KM_LANES; l++)
				to[l] = 0;
		}
	}
}

/* Products of all pairs of numeric columns over n rows of the batch. */
static KmStatus
add_products(Covariance *cov, int n)
{
	for (int i = 0; i < cov->nnum; i++)
	{
		const int64_t *a = cov->deviations + (size_t) i * BATCH;
		KmWide	   *row = cov->products + (size_t) i * cov->nnum;
		int64_t		sum = 0;

		for (int j = 0; j <= i; j++)
		{
			const int64_t *b = cov->deviations + (size_t) j * BATCH;
			KmWide		product = 0;

			for (int r = 0; r < n; r++)
				product += (KmWide) a[r] * b[r];
			row[j] += product;
		}
		for (int r = 0; r < n; r++)
			sum += a[r];		/* below 2^(51 + 6) */
		cov->sums[i] += sum;
		if (!km_poll(&cov->poll, 2.0 * n * (i + 1)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* What a row's categories add: to numeric columns, and to each other. */
static KmStatus
add_categories(Covariance *cov, const KmBlock *block, int first, int n)
{
	const KmSpace *space = cov->space;

	for (int f = 0; f < space->ncat; f++)
	{
		for (int r = 0; r < n; r++)
		{
			int			row = first * KM_LANES + r;
			int			d = cov->dimension
				[category_number(space, f, *km_cell(cov->table, block, row,
													cov->nnum + f))];
			KmWide	   *cross = cov->cross +
				(size_t) (d - cov->nnum) * cov->nnum;
			double	   *both = cov->matrix + (size_t) d * cov->width;

			for (int s = 0; s < cov->nnum; s++)
				cross[s] += cov->deviations[(size_t) s * BATCH + r];
			for (int g = 0; g <= f; g++)
				both[cov->dimension
					 [category_number(space, g,
									  *km_cell(cov->table, block, row,
											   cov->nnum + g))]] += 1;
		}
		if (!km_poll(&cov->poll, (double) n * (cov->nnum + 4 * f + 4)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static KmStatus
add_rows(Covariance *cov)
{
	for (int b = 0; b < cov->table->nblocks; b++)
	{
		const KmBlock *block = &cov->table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t += BATCH_TILES)
		{
			int			n = ntiles - t < BATCH_TILES ? ntiles - t :
				BATCH_TILES;
			int			nrows = block->nrows - t * KM_LANES;

			deviate(cov, block, t, n);
			KM_TRY(add_products(cov, n * KM_LANES));
			KM_TRY(add_categories(cov, block, t,
								  nrows < BATCH ? nrows : BATCH));
		}
	}
	return KM_OK;
}

/* ---- from sums to the matrix ---- */

/*
 * In units of 2^exponent, so that squares stay in double's range.  What the
 * rounding of means left over is in the sums of deviations.
 */
static KmStatus
fill_matrix(Covariance *cov)
{
	double		n = (double) cov->table->nrows;
	int			nnum = cov->nnum;

	for (int i = 0; i < nnum; i++)
	{
		double		mean = (double) cov->sums[i] / n;

		for (int j = 0; j <= i; j++)
		{
			double		sum = (double) cov->products[(size_t) i * nnum + j] -
				mean * (double) cov->sums[j];

			cov->matrix[(size_t) i * cov->width + j] =
				ldexp(sum / n, -cov->shift[i] - cov->shift[j] -
					  2 * cov->exponent);
		}
		if (!km_poll(&cov->poll, 20.0 * (i + 1)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* The same for categories, whose rows are counted: no rounding but one. */
static KmStatus
fill_categories(Covariance *cov)
{
	const int64_t *counts = cov->counts;
	int64_t		n = cov->table->nrows;
	int			nnum = cov->nnum;

	for (int i = nnum; i < cov->width; i++)
	{
		double	   *row = cov->matrix + (size_t) i * cov->width;
		double		step = ldexp(cov->step[i - nnum], -cov->exponent);
		double		share = (double) counts[i - nnum] / (double) n;

		for (int s = 0; s < nnum; s++)
		{
			double		sum = (double) cov->cross
				[(size_t) (i - nnum) * nnum + s] -
				share * (double) cov->sums[s];

			row[s] = step * ldexp(sum / (double) n,
								  -cov->shift[s] - cov->exponent);
		}
		for (int j = nnum; j <= i; j++)
		{
			/* rows in both, less what chance would put there */
			KmWide		excess = (KmWide) (int64_t) row[j] * n -
				(KmWide) counts[i - nnum] * counts[j - nnum];

			row[j] = step * ldexp(cov->step[j - nnum], -cov->exponent) *
				((double) excess / ((double) n * (double) n));
		}
		if (!km_poll(&cov->poll, 40.0 * (i + 1)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* ---- axes ---- */

/*
 * Take over the first axes.  One whose variance is but rounding stays 0, so
 * that its coordinates are 0 and no noise.
 */
static void
take_axes(KmPca *pca, const Covariance *cov, const double *deviations,
		  const double *values, const double *vectors)
{
	int			ncategories = space_categories(cov->space);
	double		kept = 0;
	double		rest = 0;

	for (int a = 0; a < cov->width; a++)
	{
		const double *vector = vectors + (size_t) a * cov->width;
		double		value = values[a] > 0 ? values[a] : 0;
		double		most = 0;

		for (int i = 0; i < cov->width && a < pca->dims; i++)
			most += fabs(vector[i]) * deviations[i];
		if (a >= pca->dims)
		{
			rest += value;
			continue;
		}
		if (value <= NO_VARIANCE * (most * most))
			continue;
		kept += value;
		memcpy(pca->axes + (size_t) a * cov->nnum, vector,
			   sizeof(double) * cov->nnum);
		for (int c = 0; c < ncategories; c++)
		{
			int			d = cov->dimension[c];
			double		step;

			if (d < 0)
				continue;
			step = vector[d] * cov->step[d - cov->nnum];
			pca->steps[(size_t) a * ncategories + c] = step;
			pca->base[a] += step * ((double) cov->counts[d - cov->nnum] /
									(double) cov->table->nrows);
		}
	}
	pca->explained = kept > 0 ? kept / (kept + rest) : -1;
}

static KmStatus
find_axes(KmPca *pca, Covariance *cov)
{
	size_t		width = cov->width;
	double	   *deviations = km_alloc(cov->host, width, sizeof(double));
	double	   *values = km_alloc(cov->host, width, sizeof(double));
	double	   *vectors = km_alloc(cov->host, width,
								   sizeof(double) * width);
	KmStatus	status = KM_NO_MEMORY;

	if (deviations != NULL && values != NULL && vectors != NULL)
	{
		for (size_t i = 0; i < width; i++)
			deviations[i] = sqrt(fmax(cov->matrix[i * width + i], 0));
		status = km_eigen(cov->host, &cov->poll, cov->width, cov->matrix,
						  values, vectors);
	}
	if (status == KM_OK)
		take_axes(pca, cov, deviations, values, vectors);
	km_free(cov->host, deviations);
	km_free(cov->host, values);
	km_free(cov->host, vectors);
	return status;
}

/* ---- all of it ---- */

/* Room for means and counts. */
static KmStatus
begin_covariance(Covariance *cov)
{
	const KmHost *host = cov->host;
	int			ncategories = cov->ncategories;

	cov->scale = km_alloc_zero(host, cov->nnum, sizeof(double));
	cov->shift = km_alloc_zero(host, cov->nnum, sizeof(int));
	cov->dimension = km_alloc(host, ncategories, sizeof(int));
	cov->step = km_alloc(host, ncategories, sizeof(double));
	cov->counts = km_alloc_zero(host, ncategories, sizeof(int64_t));
	return cov->scale == NULL || cov->shift == NULL ||
		cov->dimension == NULL || cov->step == NULL || cov->counts == NULL ?
		KM_NO_MEMORY : KM_OK;
}

/* Room for the sums, now that the width is known. */
static KmStatus
begin_sums(Covariance *cov)
{
	const KmHost *host = cov->host;
	size_t		nnum = cov->nnum;
	size_t		width = cov->width;

	cov->deviations = km_alloc(host, nnum, sizeof(int64_t) * BATCH);
	cov->sums = km_alloc_zero(host, nnum, sizeof(KmWide));
	cov->products = km_alloc_zero(host, nnum, sizeof(KmWide) * nnum);
	cov->cross = km_alloc_zero(host, width - nnum, sizeof(KmWide) * nnum);
	cov->matrix = km_alloc_zero(host, width, sizeof(double) * width);
	return cov->deviations == NULL || cov->sums == NULL ||
		cov->products == NULL || cov->cross == NULL || cov->matrix == NULL ?
		KM_NO_MEMORY : KM_OK;
}

static void
clear_sums(Covariance *cov)
{
	km_free(cov->host, cov->deviations);
	km_free(cov->host, cov->sums);
	km_free(cov->host, cov->products);
	km_free(cov->host, cov->cross);
	cov->deviations = NULL;
	cov->sums = NULL;
	cov->products = NULL;
	cov->cross = NULL;
}

static void
clear_covariance(Covariance *cov)
{
	clear_sums(cov);
	km_free(cov->host, cov->scale);
	km_free(cov->host, cov->shift);
	km_free(cov->host, cov->dimension);
	km_free(cov->host, cov->step);
	km_free(cov->host, cov->counts);
	km_free(cov->host, cov->matrix);
}

/* products and cross together, the matrix, its eigenvectors, a batch */
double
km_pca_bytes(int width)
{
	return (double) width * (width * (sizeof(KmWide) + 2 * sizeof(double)) +
							 BATCH * sizeof(int64_t));
}

static KmStatus
find_covariance(KmPca *pca, Covariance *cov, size_t limit, int *width)
{
	KM_TRY(begin_covariance(cov));
	KM_TRY(find_means(cov, pca->mean));
	KM_TRY(count_categories(cov));
	number_categories(cov);
	*width = cov->width;
	if (cov->width > KM_PCA_MAX_WIDTH)
		return KM_TOO_WIDE;
	if (limit != 0 && km_pca_bytes(cov->width) > (double) limit)
		return KM_OVER_LIMIT;
	KM_TRY(begin_sums(cov));
	if (cov->exponent == INT32_MIN)
		return KM_OK;			/* all rows are equal: zeros */
	KM_TRY(add_rows(cov));
	KM_TRY(fill_matrix(cov));
	KM_TRY(fill_categories(cov));
	clear_sums(cov);
	return KM_OK;
}

KmStatus
km_pca_create(const KmHost *host, const KmTable *table, const KmSpace *space,
			  int dims, size_t limit, int *width, KmPca **result)
{
	KmPca	   *pca = km_alloc_zero(host, 1, sizeof(KmPca));
	Covariance	cov = {
		.host = host,
		.table = table,
		.space = space,
		.poll.host = host,
		.nnum = space->nnum,
		.ncategories = space_categories(space)
	};
	KmStatus	status = KM_NO_MEMORY;

	if (pca == NULL)
		return KM_NO_MEMORY;
	pca->host = host;
	pca->table = table;
	pca->space = space;
	pca->dims = dims;
	pca->mean = km_alloc_zero(host, cov.nnum, sizeof(double));
	pca->axes = km_alloc_zero(host, cov.nnum, sizeof(double) * KM_PCA_DIMS);
	pca->steps = km_alloc_zero(host, cov.ncategories,
							   sizeof(double) * KM_PCA_DIMS);
	cov.mean = pca->mean;
	if (pca->mean != NULL && pca->axes != NULL && pca->steps != NULL)
		status = table->nrows == 0 ? KM_NO_ROWS :
			find_covariance(pca, &cov, limit, width);
	if (status == KM_OK)
		status = find_axes(pca, &cov);
	clear_covariance(&cov);
	if (status != KM_OK)
	{
		km_pca_free(pca);
		return status;
	}
	*result = pca;
	return KM_OK;
}

void
km_pca_free(KmPca *pca)
{
	if (pca == NULL)
		return;
	km_free(pca->host, pca->mean);
	km_free(pca->host, pca->axes);
	km_free(pca->host, pca->steps);
	km_free(pca->host, pca);
}

KmStatus
km_placed_pca(const KmPlaced *placed, int dims, size_t limit, int *width,
			  KmPca **pca)
{
	return km_pca_create(placed->host, &placed->rows->table, &placed->space,
						 dims, limit, width, pca);
}

double
km_pca_explained(const KmPca *pca)
{
	return pca->explained;
}

/* ---- coordinates ---- */

void
km_pca_project(const KmPca *pca, int64_t row, double *coordinates)
{
	const KmTable *table = pca->table;
	const KmSpace *space = pca->space;
	const KmBlock *block = km_find_block(table, row);
	const double *lane = km_cell(table, block, (int) (row - block->first), 0);

	for (int a = 0; a < pca->dims; a++)
	{
		const double *axis = pca->axes + (size_t) a * space->nnum;
		const double *steps = pca->steps +
			(size_t) a * space_categories(space);
		double		sum = 0;

		for (int s = 0; s < space->nnum; s++)
			sum += (lane[s * KM_LANES] - pca->mean[s]) * axis[s];
		for (int f = 0; f < space->ncat; f++)
			sum += steps[category_number(space, f,
										 lane[(space->nnum + f) * KM_LANES])];
		coordinates[a] = sum - pca->base[a];
	}
}
