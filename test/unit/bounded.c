/*
 * bounded.c
 *		Passes that skip rows by bounds against passes that look at all: the
 *		same bits, on data made to be hard.
 */
#include "table.h"

static bool
same_lloyd(const KmLloyd *a, const KmLloyd *b)
{
	size_t		cells = (size_t) a->k * a->space->width;

	for (int64_t i = 0; i < a->source->table->nrows; i++)
	{
		if (own_segment(a, i) != own_segment(b, i))
			return false;
	}
	return memcmp(a->centers, b->centers, sizeof(double) * cells) == 0 &&
		memcmp(a->rows.sums, b->rows.sums, sizeof(KmWide) * cells) == 0 &&
		memcmp(a->rows.weight, b->rows.weight, sizeof(KmWide) * a->k) == 0 &&
		memcmp(a->rows.size, b->rows.size, sizeof(int64_t) * a->k) == 0;
}

typedef struct Work
{
	long		dense;			/* rows measured */
	long		bounded;
	int			iterations;
	bool		agreed;
} Work;

/* Now and then segments get other numbers, and bounds must follow. */
static void
renumber_both(KmLloyd *dense, KmLloyd *bounded)
{
	int			order[40];

	for (int c = 0; c < dense->k; c++)
		order[c] = (c + 1) % dense->k;
	km_lloyd_renumber(dense, order);
	km_lloyd_renumber(bounded, order);
}

/* Two runs side by side until no row moves in either. */
static void
run_both(Table *table, const int *rows, int k, Work *work)
{
	KmLloyd		dense;
	KmLloyd		bounded;
	KmTable		view;
	KmSource	other = {&view, NULL};
	int64_t		moved[2];

	/* what each keeps beside the rows is its own */
	km_table_view(&table->rows->table, &view);
	km_lloyd_create(&table->source, &table->space, &table->poll, KM_SIMD_AUTO,
					k, table->squares, &dense);
	km_lloyd_create(&other, &table->space, &table->poll, KM_SIMD_AUTO, k,
					table->squares, &bounded);
	start_at(table, &dense, rows, k);
	start_at(table, &bounded, rows, k);
	km_lloyd_assign(&dense, false, &moved[0]);
	km_lloyd_assign(&bounded, false, &moved[1]);
	work->agreed &= same_lloyd(&dense, &bounded) && moved[0] == moved[1];
	for (int i = 0; i < 200 && (moved[0] > 0 || dense.has_empty); i++)
	{
		km_lloyd_update(&dense);
		km_lloyd_update(&bounded);
		if (i % 3 == 1)
			renumber_both(&dense, &bounded);
		km_lloyd_assign(&dense, false, &moved[0]);
		km_lloyd_assign(&bounded, true, &moved[1]);
		work->bounded += bounded.measured;
		work->agreed &= same_lloyd(&dense, &bounded) && moved[0] == moved[1];
		work->iterations++;
		work->dense += dense.measured;
	}
	km_lloyd_free(&dense);
	km_lloyd_free(&bounded);
	km_view_clear(&view);
}

static void
test_bounded(void)
{
	for (int kind = 0; kind < HARD_KINDS; kind++)
	{
		uint64_t	state = 20 + kind;
		Work		work = {0, 0, 0, true};

		for (int round = 0; round < 30; round++)
		{
			Data		data;
			Table		table;
			int			n = 20 + random_below(&state, 600);
			int			k = 1 + random_below(&state, round % 2 == 0 ? 6 : 40);
			int			rows[40];

			make_hard(&data, &state, (Hard) kind, n);
			table_create(&table, &data, NULL, kind == SMALL || kind == LARGE ||
						 round % 3 == 0 ? KM_NONE : KM_ZSCORE);
			/* sometimes the same row twice: an empty segment */
			for (int c = 0; c < k; c++)
				rows[c] = random_below(&state, n);
			run_both(&table, rows, k, &work);
			table_free(&table);
			data_free(&data);
		}
		check(work.agreed && work.iterations > 30,
			  "bounded passes are dense ones: %s", hard_names[kind]);
	}
}

/* What bounds are for. */
static void
test_savings(void)
{
	uint64_t	state = 15;
	Work		work = {0, 0, 0, true};
	Data		data;
	Table		table;
	int			rows[8];

	data_blobs(&data, &state, 20000, 4, 8, 0.4);
	table_create(&table, &data, NULL, KM_ZSCORE);
	for (int c = 0; c < 8; c++)
		rows[c] = c;
	run_both(&table, rows, 8, &work);
	if (!check(work.agreed && work.bounded < work.dense / 2,
			   "bounded passes look at less than half of the rows"))
		note("%ld rows of %ld in %d passes", work.bounded, work.dense,
			 work.iterations);
	table_free(&table);
	data_free(&data);
}

int
main(void)
{
	test_bounded();
	test_savings();
	return finish();
}
