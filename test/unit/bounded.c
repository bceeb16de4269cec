/*
 * bounded.c
 *		Passes that screen rows and skip rows against passes that measure all
 *		of them exactly: the same bits, on data made to be hard.
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

/* The ways to run, of which the first is the oracle. */
typedef enum Way
{
	EXACT,						/* all rows by the exact kernel */
	DENSE,						/* all rows are screened */
	EAGER,						/* bounds from the second pass on */
	SPARING,					/* the same without rows in single precision */
	FREELY,						/* as a fit does it */
	WAYS
} Way;

static const KmSimd units[] = {KM_SIMD_AUTO, KM_SIMD_BASELINE, KM_SIMD_AVX2,
KM_SIMD_AVX512};

typedef struct Work
{
	long		all;			/* rows in passes after the first */
	long		measured[WAYS]; /* of these */
	int			iterations;
	bool		agreed;
} Work;

typedef struct Runner
{
	KmTable		view;
	KmSource	source;
	KmLloyd		lloyd;
	int64_t		moved;
} Runner;

static void
create_runner(Table *table, Way way, KmSimd simd, int k, Runner *runner)
{
	/* what each keeps beside the rows is its own */
	km_table_view(&table->rows->table, &runner->view);
	if (way == SPARING)
		runner->view.limit = 1;
	runner->source = (KmSource)
	{
		&runner->view, NULL
	};
	km_lloyd_create(&runner->source, &table->space, &table->poll, simd, k,
					table->squares, &runner->lloyd);
	runner->lloyd.exact = way == EXACT;
	runner->lloyd.eager = way == EAGER || way == SPARING;
}

static void
free_runner(Runner *runner)
{
	km_lloyd_free(&runner->lloyd);
	km_view_clear(&runner->view);
}

/* Now and then segments get other numbers, and bounds must follow. */
static void
renumber(KmLloyd *lloyd)
{
	int			order[40];

	for (int c = 0; c < lloyd->k; c++)
		order[c] = (c + 1) % lloyd->k;
	km_lloyd_renumber(lloyd, order);
}

/* All ways side by side until no row moves. */
static void
run_all(Table *table, const double *centers, int k, KmSimd simd, Work *work)
{
	Runner		runners[WAYS];
	KmLloyd    *oracle = &runners[EXACT].lloyd;

	for (int way = 0; way < WAYS; way++)
	{
		Runner	   *runner = &runners[way];

		create_runner(table, way, simd, k, runner);
		km_lloyd_start(&runner->lloyd, centers, k);
		km_lloyd_assign(&runner->lloyd, false, &runner->moved);
		work->agreed &= same_lloyd(oracle, &runner->lloyd) &&
			runner->moved == runners[EXACT].moved;
	}
	for (int i = 0; i < 200 && (runners[EXACT].moved > 0 ||
								oracle->has_empty); i++)
	{
		for (int way = 0; way < WAYS; way++)
		{
			Runner	   *runner = &runners[way];

			km_lloyd_update(&runner->lloyd);
			if (i % 3 == 1)
				renumber(&runner->lloyd);
			km_lloyd_assign(&runner->lloyd, way != DENSE, &runner->moved);
			work->measured[way] += runner->lloyd.measured;
			work->agreed &= same_lloyd(oracle, &runner->lloyd) &&
				runner->moved == runners[EXACT].moved;
		}
		work->iterations++;
		work->all += table->rows->table.nrows;
	}
	for (int way = 0; way < WAYS; way++)
		free_runner(&runners[way]);
}

/* Start at rows; some centers elsewhere. */
static double *
choose_start(Table *table, uint64_t *state, int k, int round)
{
	static const double far[] = {1e15, -1e300, 1e40, -0.0, 0x1p-1060};
	int			width = table->space.width;
	double	   *centers = malloc(sizeof(double) * (size_t) k * width);

	for (int c = 0; c < k; c++)
	{
		double	   *center = centers + c * width;

		/* sometimes the same row twice: an empty segment */
		km_row_center(&table->rows->table, &table->space,
					  random_below(state, (int) table->rows->table.nrows),
					  center);
		/* next to it: a tie but for the last bit */
		if (random_below(state, 4) == 0)
			center[0] = nextafter(center[0], INFINITY);
	}
	if (round % 5 == 4)
		centers[random_below(state, k * width)] = far[random_below(state, 5)];
	return centers;
}

static void
test_ways(void)
{
	for (int kind = 0; kind < HARD_KINDS; kind++)
	{
		uint64_t	state = 20 + kind;
		Work		work = {.agreed = true};

		for (int round = 0; round < 30; round++)
		{
			Data		data;
			Table		table;
			KmSimd		simd = units[round % 4];
			int			n = round == 7 ? 3 : 20 + random_below(&state, 600);
			int			k = round < 2 ? 1 + round :
				1 + random_below(&state, round % 2 == 0 ? 6 : 40);
			double	   *centers;

			make_hard(&data, &state, (Hard) kind, n);
			table_create(&table, &data, NULL, kind == SMALL || kind == LARGE ||
						 kind >= SCALES || round % 3 == 0 ? KM_NONE :
						 KM_ZSCORE);
			centers = choose_start(&table, &state, k, round);
			run_all(&table, centers, k, simd, &work);
			free(centers);
			table_free(&table);
			data_free(&data);
		}
		check(work.agreed && work.iterations > 30,
			  "all ways give the exact kernel's bits: %s", hard_names[kind]);
	}
}

/* What bounds are for, with every unit. */
static void
test_savings(void)
{
	static const char *const names[] = {"auto", "baseline", "avx2", "avx512"};

	for (int u = 0; u < 4; u++)
	{
		uint64_t	state = 15;
		Work		work = {.agreed = true};
		Data		data;
		Table		table;
		double	   *centers;

		data_blobs(&data, &state, 20000, 4, 8, 0.4);
		table_create(&table, &data, NULL, KM_ZSCORE);
		centers = choose_start(&table, &state, 40, 0);
		run_all(&table, centers, 40, units[u], &work);
		if (!check(work.agreed && work.measured[DENSE] == work.all &&
				   work.measured[FREELY] < work.all / 2 &&
				   work.measured[EAGER] == work.measured[SPARING],
				   "bounds spare more than half of the rows: %s", names[u]))
			note("%ld rows of %ld in %d passes, eagerly %ld",
				 work.measured[FREELY], work.all, work.iterations,
				 work.measured[EAGER]);
		free(centers);
		table_free(&table);
		data_free(&data);
	}
}

int
main(void)
{
	test_ways();
	test_savings();
	return finish();
}
