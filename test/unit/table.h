/*
 * table.h
 *		Tables of rows in positions, for the tests of passes over them, and
 *		data that are hard on such passes.
 */
#ifndef TABLE_H
#define TABLE_H

#include "data.h"

/* A table in positions, and what goes with it. */
typedef struct Table
{
	TestHost	host;
	KmFeature	features[DATA_FEATURES];
	KmRows	   *rows;
	KmSource	source;			/* the same */
	KmSpace		space;
	KmPoll		poll;
	double		squares;		/* weighted sum of squared lengths */
} Table;

/* segment of a row, as Lloyd has left it */
MAYBE_UNUSED static int
own_segment(const KmLloyd *lloyd, int64_t row)
{
	const KmBlock *block = km_find_block(lloyd->source->table, row);

	return km_block_own(block)[row - block->first];
}

MAYBE_UNUSED static void
table_create(Table *table, const Data *data, const int *order, KmScale scale)
{
	static const int identity[DATA_CATEGORIES] = {0, 1, 2, 3, 4, 5, 6, 7};
	const int  *recode[DATA_FEATURES];
	KmOptions	options;
	double		point[DATA_FEATURES * DATA_CATEGORIES];

	memset(table, 0, sizeof(*table));
	host_init(&table->host);
	table->poll.host = &table->host.host;
	km_options_default(&options);
	options.scale = scale;
	km_rows_create(&table->host.host, data->nfeatures, data->kinds,
				   data->weights != NULL, false, 0, &table->rows);
	table->source.table = &table->rows->table;
	for (int i = 0; i < data->nrows; i++)
	{
		int			row = order == NULL ? i : order[i];

		km_rows_add(table->rows, data_row(data, row),
					data->weights == NULL ? 1 : data->weights[row]);
	}
	for (int f = 0; f < data->nfeatures; f++)
	{
		table->features[f].kind = data->kinds[f];
		table->features[f].weight = 1;
		table->features[f].ncategories = data->ncategories[f];
		recode[f] = identity;
	}
	km_space_create(&table->host.host, table->features, data->nfeatures,
					false, &table->space);
	if (scale_table(&table->rows->table, &options, table->features, recode,
					   &table->space) != KM_OK)
		abort();
	for (int i = 0; i < data->nrows; i++)
	{
		int			row = order == NULL ? i : order[i];
		double		square = 0;

		km_row_center(&table->rows->table, &table->space, i, point);
		for (int j = 0; j < table->space.width; j++)
			square += point[j] * point[j];
		table->squares += square * (data->weights == NULL ? 1 :
									data->weights[row]);
	}
}

MAYBE_UNUSED static void
table_free(Table *table)
{
	for (int f = 0; f < DATA_FEATURES; f++)
		km_free(&table->host.host, table->features[f].counts);
	km_space_clear(&table->space);
	km_rows_free(table->rows);
}

MAYBE_UNUSED static void
start_at(Table *table, KmLloyd *lloyd, const int *rows, int k)
{
	double	   *centers = malloc(sizeof(double) * (size_t) k *
								 table->space.width);

	for (int c = 0; c < k; c++)
		km_row_center(&table->rows->table, &table->space, rows[c],
					  centers + c * table->space.width);
	km_lloyd_start(lloyd, centers, k);
	free(centers);
}

/* ---- hard data ---- */

typedef enum Hard
{
	BLOBS,
	LATTICE,					/* exact ties everywhere */
	NEAR_TIES,					/* ties but for the last bits */
	OFFSET,						/* small differences far out */
	FAR,						/* one segment very far away */
	SMALL,						/* positions near 1e-100 */
	LARGE,						/* and 1e140 */
	MIXED,						/* categories too */
	CATEGORIES,					/* alone */
	WEIGHTED,
	EQUAL,						/* all rows the same, or nearly all */
	SCALES,						/* features 1e-12 of each other's size */
	DENORMAL,					/* most positions are next to nothing */
	HARD_KINDS
} Hard;

MAYBE_UNUSED static const char *const hard_names[] = {"blobs", "lattice",
	"near ties", "huge offsets", "one segment far away", "tiny positions",
	"huge positions", "mixed with categories", "categories alone",
	"weighted rows", "equal rows", "features of all sizes",
"denormal positions"};

static double
jitter(uint64_t *state, Hard kind, double v)
{
	switch (kind)
	{
		case LATTICE:
		case WEIGHTED:
			return rint(v * 2);
		case NEAR_TIES:
			return rint(v * 2) + ldexp(random_below(state, 5) - 2, -46);
		case OFFSET:
			return 1e15 + rint(v * 3);
		case SMALL:
			return v * 1e-100;
		case LARGE:
			return v * 1e140;
		case EQUAL:
			return random_below(state, 40) == 0 ? rint(v) : 1;
		case DENORMAL:
			return random_below(state, 20) == 0 ? v : v * 1e-310;
		default:
			return v;
	}
}

MAYBE_UNUSED static void
make_hard(Data *data, uint64_t *state, Hard kind, int n)
{
	int			nfeatures = 1 + random_below(state, 5);

	data_blobs(data, state, n, nfeatures, 1 + random_below(state, 9),
			   0.1 + random_share(state));
	for (int i = 0; i < n * nfeatures; i++)
		data->values[i] = jitter(state, kind, data->values[i]);
	for (int i = 0; kind == SCALES && i < n * nfeatures; i++)
		data->values[i] *= pow(1e-12, i % nfeatures);
	/* a column of nothing else cannot be scaled */
	for (int f = 0; kind == DENORMAL && f < nfeatures; f++)
		data->values[f] = 1;
	if (kind == FAR)
	{
		for (int i = 0; i < n / 20; i++)
			data_row(data, i)[0] += 1e9;
	}
	if (kind == WEIGHTED)
	{
		data->weights = malloc(sizeof(double) * n);
		for (int i = 0; i < n; i++)
			data->weights[i] = ldexp(1 + random_below(state, 9),
									 random_below(state, 20));
	}
	for (int f = kind == CATEGORIES ? 0 : 1; f < nfeatures; f++)
	{
		if (kind == CATEGORIES || (kind == MIXED && f % 2 == 1))
			data_categorise(data, state, f, 2 + random_below(state, 5));
	}
}

#endif							/* TABLE_H */
