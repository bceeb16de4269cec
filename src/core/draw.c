/*
 * draw.c
 *		Rows picked from a sample with equal chances.
 *
 * What takes long over all rows and need not be exact (silhouettes, an elbow
 * to look at, where bins meet) is asked of some thousand rows.  The search's
 * sample is there already, and its rows stand for others of their kind, so a
 * walk along these in equal steps comes upon each row of the data with the
 * same chance (systematic sampling; Madow, On the theory of systematic
 * sampling, 1949): no pass over the data, and whoever has the sample has the
 * same draw.  From a complete sample it takes all rows, when so many are
 * wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "km_internal.h"

/* rows that a sample of a part must have for each that is picked from it */
#define SAMPLE_PER_PICK		2

KmStatus
km_pick_rows(const KmSample *sample, int64_t nrows, int64_t want,
			 KmPicked *picked)
{
	KmWide		total = 0;
	KmWide		seen = 0;
	int64_t		n = 0;

	if (want > nrows)
		want = nrows;
	if (!sample->complete && want > sample->distinct / SAMPLE_PER_PICK)
		want = sample->distinct / SAMPLE_PER_PICK;
	picked->table = &sample->table;
	picked->rows = km_alloc(sample->table.host, (size_t) want,
							sizeof(int64_t));
	if (picked->rows == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < sample->distinct; i++)
		total += sample->copies[i];
	for (int64_t i = 0; i < sample->distinct; i++)
	{
		/* of so many of the rows, so many of those picked */
		seen += sample->copies[i];
		while ((n + (KmWide) 1) * total <= seen * want)
			picked->rows[n++] = i;
	}
	picked->n = n;
	return KM_OK;
}

void
km_picked_clear(KmPicked *picked)
{
	if (picked->rows != NULL)
		km_free(picked->table->host, picked->rows);
	picked->rows = NULL;
}

/* ---- as a table ---- */

/* A row of the sample, and how often it was picked. */
typedef struct Picked
{
	uint64_t	hash;
	int64_t		row;
	int64_t		times;
} Picked;

static int
compare_picked(const void *a, const void *b)
{
	const Picked *x = a;
	const Picked *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/*
 * By their hashes: sums over the draw then run over rows in an order that
 * has nothing to do with where they are.
 */
static KmStatus
collect_picked(const KmSample *sample, const KmPicked *picked,
			   Picked **result, int64_t *n)
{
	Picked	   *rows = km_alloc(sample->table.host, (size_t) picked->n,
								sizeof(Picked));

	if (rows == NULL)
		return KM_NO_MEMORY;
	*n = 0;
	for (int64_t i = 0; i < picked->n; i++)
	{
		int64_t		row = picked->rows[i];

		if (*n == 0 || rows[*n - 1].row != row)
		{
			rows[*n].hash = sample->hash[row];
			rows[*n].row = row;
			rows[(*n)++].times = 0;
		}
		rows[*n - 1].times++;
	}
	qsort(rows, (size_t) *n, sizeof(Picked), compare_picked);
	*result = rows;
	return KM_OK;
}

/* Weights of a copy of each row; the largest is 1. */
static void
find_weights(const KmSample *sample, const Picked *rows, int64_t n,
			 double *weight)
{
	double		largest = 0;

	for (int64_t i = 0; i < n; i++)
	{
		int64_t		row = rows[i].row;

		weight[i] = (double)
			km_row_weight(&sample->table, km_find_row(&sample->table, row)) /
			(double) sample->copies[row];
		largest = weight[i] > largest ? weight[i] : largest;
	}
	for (int64_t i = 0; i < n; i++)
		weight[i] /= largest;
}

static KmStatus
fill_draw(const KmSample *sample, const Picked *rows, int64_t n, KmDraw *draw)
{
	const KmHost *host = sample->table.host;
	KmTable    *table = &draw->table;

	KM_TRY(km_table_clone(&sample->table, n, table));
	draw->multiplicity = km_alloc(host, (size_t) n, sizeof(int64_t));
	draw->hash = km_alloc(host, (size_t) n, sizeof(uint64_t));
	draw->weight = km_alloc(host, (size_t) n, sizeof(double));
	if (draw->multiplicity == NULL || draw->hash == NULL ||
		draw->weight == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < n; i++)
	{
		const double *from = km_find_row(&sample->table, rows[i].row);
		double	   *to = km_cell(table, table->blocks, (int) i, 0);

		for (int slot = 0; slot < table->nfeatures; slot++)
			to[slot * KM_LANES] = from[slot * KM_LANES];
		to[table->weight_slot * KM_LANES] = (double) rows[i].times;
		draw->multiplicity[i] = rows[i].times;
		draw->hash[i] = rows[i].hash;
		draw->total += rows[i].times;
	}
	table->max_weight = 1;
	find_weights(sample, rows, n, draw->weight);
	return KM_OK;
}

KmStatus
km_draw_create(const KmSample *sample, int64_t nrows, int64_t want,
			   KmDraw *draw)
{
	const KmHost *host = sample->table.host;
	KmPicked	picked = {0};
	Picked	   *rows = NULL;
	int64_t		n;
	KmStatus	status;

	memset(draw, 0, sizeof(*draw));
	draw->rows = nrows;
	status = km_pick_rows(sample, nrows, want, &picked);
	if (status == KM_OK)
		status = collect_picked(sample, &picked, &rows, &n);
	if (status == KM_OK)
		status = fill_draw(sample, rows, n, draw);
	km_free(host, rows);
	km_picked_clear(&picked);
	if (status != KM_OK)
		km_draw_clear(draw);
	return status;
}

void
km_draw_clear(KmDraw *draw)
{
	const KmHost *host = draw->table.host;

	/* never created, or cleared: there is no host */
	if (host == NULL)
		return;
	km_table_clear(&draw->table);
	km_free(host, draw->multiplicity);
	km_free(host, draw->hash);
	km_free(host, draw->weight);
	memset(draw, 0, sizeof(*draw));
}

KmStatus
km_draw_assign(const KmDraw *draw, const KmSpace *space, KmPoll *poll,
			   KmSimd simd, const double *centers, int k, uint16_t *own)
{
	const KmTable *table = &draw->table;
	KmNearest	nearest = km_nearest_kernel(simd);
	KmPacked	packed;
	KmStatus	status = KM_OK;

	KM_TRY(km_packed_create(space, k, &packed));
	km_packed_set(space, &packed, centers, k);
	for (int64_t row = 0; row < table->nrows; row += KM_LANES)
	{
		int64_t		left = table->nrows - row;
		int64_t		id[KM_LANES];
		double		d1[KM_LANES];
		double		d2[KM_LANES];

		nearest(space, &packed,
				km_tile(table, table->blocks, (int) (row / KM_LANES)), 1,
				table->nslots, id, d1, d2);
		for (int l = 0; l < KM_LANES && l < left; l++)
			own[row + l] = (uint16_t) id[l];
		if (!km_poll(poll, (double) KM_LANES * k * (table->nfeatures + 2)))
		{
			status = KM_CANCELLED;
			break;
		}
	}
	km_packed_free(space, &packed);
	return status;
}
