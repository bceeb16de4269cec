/*
 * lloyd.c
 *		Lloyd's iteration: sums, means and inertia against plain ones, new
 *		numbers, empty segments, and when it ends.
 */
#include "table.h"

/* ---- sums and means ---- */

static bool
right_sums(const Table *table, const KmLloyd *lloyd)
{
	int			width = table->space.width;
	size_t		cells = (size_t) lloyd->k * width;
	__int128   *sums = calloc(cells, sizeof(__int128));
	__int128   *weight = calloc(lloyd->k, sizeof(__int128));
	const KmTable *t = &table->rows->table;
	bool		right = true;

	for (int64_t i = 0; i < t->nrows; i++)
	{
		double		point[DATA_FEATURES * DATA_CATEGORIES];
		const KmBlock *block = t->blocks;
		int64_t		w = 1;

		while (i >= block->first + block->nrows)
			block++;
		if (t->weight_slot >= 0)
			w = (int64_t) km_tile(t, block,
								  (int) (i - block->first) / KM_LANES)
				[t->weight_slot * KM_LANES + (i - block->first) % KM_LANES];
		km_row_center(t, &table->space, i, point);
		for (int j = 0; j < width; j++)
			sums[own_segment(lloyd, i) * width + j] += w *
				(j < table->space.nnum ?
				 (__int128) (point[j] * table->space.scale[j]) :
				 point[j] > 0);
		weight[own_segment(lloyd, i)] += w;
	}
	for (size_t i = 0; i < cells; i++)
		right &= sums[i] == lloyd->rows.sums[i];
	for (int c = 0; c < lloyd->k; c++)
		right &= weight[c] == lloyd->rows.weight[c];
	free(sums);
	free(weight);
	return right;
}

/* mean of the rows, and the inertia, in long double */
static bool
right_means(const Table *table, const KmLloyd *lloyd, const Data *data)
{
	int			width = table->space.width;
	const KmTable *t = &table->rows->table;
	long double sums[40 * DATA_FEATURES] = {0};
	long double weight[40] = {0};
	long double inertia = 0;
	bool		right = true;

	for (int64_t i = 0; i < t->nrows; i++)
	{
		double		point[DATA_FEATURES * DATA_CATEGORIES];
		double		w = data->weights == NULL ? 1 : data->weights[i];

		km_row_center(t, &table->space, i, point);
		for (int j = 0; j < width; j++)
		{
			long double e = (long double) point[j] -
				lloyd->centers[own_segment(lloyd, i) * width + j];

			sums[own_segment(lloyd, i) * width + j] += w * (long double) point[j];
			inertia += w * e * e;
		}
		weight[own_segment(lloyd, i)] += w;
	}
	for (int c = 0; c < lloyd->k; c++)
	{
		for (int j = 0; j < width && lloyd->rows.size[c] > 0; j++)
			right &= fabsl(sums[c * width + j] / weight[c] -
						   lloyd->centers[c * width + j]) <= 1e-14L;
	}
	return right && fabs((double) inertia - km_lloyd_inertia(lloyd)) <=
		1e-13 * table->squares;
}

static void
test_sums(void)
{
	static const Hard kinds[] = {BLOBS, OFFSET, MIXED, WEIGHTED};
	bool		sums = true;
	bool		means = true;
	bool		converged = true;

	for (int round = 0; round < 20; round++)
	{
		uint64_t	state = 60 + round;
		Data		data;
		Table		table;
		KmLloyd		lloyd;
		int			rows[8];
		int			iterations;
		bool		done;
		double		unit;

		make_hard(&data, &state, kinds[round % 4], 300);
		table_create(&table, &data, NULL, KM_ZSCORE);
		/* weights in the table are integers: the user's, in another unit */
		unit = data.weights == NULL ? 1 : table.rows->table.max_weight;
		for (int i = 0; i < data.nrows && data.weights != NULL; i++)
			data.weights[i] /= unit;
		table.squares /= unit;
		km_lloyd_create(&table.source, &table.space, &table.poll,
						KM_SIMD_AUTO, 8, table.squares,
						&lloyd);
		for (int c = 0; c < 8; c++)
			rows[c] = c * 31;
		start_at(&table, &lloyd, rows, 8);
		km_lloyd_run(&lloyd, 3, 0, INFINITY, &iterations, &done);
		sums &= right_sums(&table, &lloyd);
		km_lloyd_run(&lloyd, 300, 0, INFINITY, &iterations, &done);
		sums &= right_sums(&table, &lloyd);
		means &= right_means(&table, &lloyd, &data);
		converged &= done;
		/* a run from where a run ended has nothing to do */
		km_lloyd_run(&lloyd, 300, 0, INFINITY, &iterations, &done);
		converged &= done && iterations == 1;
		km_lloyd_free(&lloyd);
		table_free(&table);
		data_free(&data);
		sums &= table.host.outstanding == 0;
	}
	check(sums, "sums and weights are those of the rows, to the bit");
	check(means, "centers are means, and the inertia is right");
	check(converged, "runs end when no row moves");
}

/* A segment of equal rows has its center on them, whatever their weights. */
static void
test_equal_rows(void)
{
	uint64_t	state = 65;
	bool		exact = true;

	for (int round = 0; round < 40; round++)
	{
		Data		data;
		Table		table;
		KmLloyd		lloyd;
		int			rows[6] = {0, 1, 2, 3, 4, 5};
		double		point[2];
		int64_t		moved;

		data_blobs(&data, &state, 6000, 2, 1, 1);
		for (int i = 0; i < 12000; i++)
			data.values[i] = data.values[i % 12];
		if (round % 2 == 0)
		{
			data.weights = malloc(sizeof(double) * 6000);
			for (int i = 0; i < 6000; i++)
				data.weights[i] = random_share(&state);
		}
		table_create(&table, &data, NULL, KM_ZSCORE);
		km_lloyd_create(&table.source, &table.space, &table.poll,
						KM_SIMD_AUTO, 6, table.squares,
						&lloyd);
		start_at(&table, &lloyd, rows, 6);
		km_lloyd_assign(&lloyd, false, &moved);
		km_lloyd_update(&lloyd);
		for (int c = 0; c < 6; c++)
		{
			km_row_center(&table.rows->table, &table.space, c, point);
			exact &= memcmp(point, lloyd.centers + 2 * c, sizeof(point)) == 0;
		}
		km_lloyd_free(&lloyd);
		table_free(&table);
		data_free(&data);
	}
	check(exact, "the mean of equal rows is the row");
}

/*
 * What is behind the last row of a tile is worked on with the rows: it stands
 * at 0, not where a value of 0 would, which may be beyond what integers hold.
 */
static void
test_rest(void)
{
	uint64_t	state = 66;
	Data		data;
	Table		table;
	const KmBlock *block;
	bool		empty = true;

	data_blobs(&data, &state, 13, 2, 1, 1);
	for (int i = 0; i < 26; i++)
		data.values[i] += 1e14;
	table_create(&table, &data, NULL, KM_ZSCORE);
	block = &table.rows->table.blocks[0];
	for (int i = 13; i < 2 * KM_LANES; i++)
		for (int s = 0; s < 2; s++)
			empty &= *km_cell(&table.rows->table, block, i, s) == 0;
	check(empty, "lanes behind the last row stand at 0");
	table_free(&table);
	data_free(&data);
}

/* ---- nearest and second nearest, numbers ---- */

static void
test_nearest_all(void)
{
	uint64_t	state = 70;
	Data		data;
	Table		table;
	KmLloyd		lloyd;
	int64_t		moved;
	static uint16_t own[1000];
	static double d1[1000];
	static double d2[1000];
	static uint16_t before[1000];
	int			rows[5] = {0, 100, 200, 300, 400};
	int			order[5] = {3, 0, 4, 1, 2};
	bool		same = true;
	bool		renumbered = true;

	data_blobs(&data, &state, 997, 3, 5, 0.5);
	table_create(&table, &data, NULL, KM_ZSCORE);
	km_lloyd_create(&table.source, &table.space, &table.poll,
					KM_SIMD_AUTO, 5, table.squares, &lloyd);
	start_at(&table, &lloyd, rows, 5);
	km_lloyd_assign(&lloyd, false, &moved);
	km_nearest_all(&lloyd, own, d1, d2);
	for (int i = 0; i < 997; i++)
		same &= own[i] == own_segment(&lloyd, i) && d1[i] <= d2[i];
	check(same && moved == 997, "nearest of all rows, with distances");
	km_lloyd_update(&lloyd);
	km_lloyd_assign(&lloyd, true, &moved);
	for (int i = 0; i < 997; i++)
		before[i] = (uint16_t) own_segment(&lloyd, i);
	km_lloyd_renumber(&lloyd, order);
	for (int i = 0; i < 997; i++)
		renumbered &= own_segment(&lloyd, i) == order[before[i]];
	km_lloyd_assign(&lloyd, true, &moved);
	check(renumbered && moved == 0 && right_sums(&table, &lloyd),
		  "new numbers change nothing else");
	km_lloyd_assign(&lloyd, false, &moved);
	check(moved == 0, "nor does a dense pass after them");
	km_lloyd_free(&lloyd);
	table_free(&table);
	data_free(&data);
}

/* ---- empty segments ---- */

static void
test_empty(void)
{
	static const double values[] = {0, 1, 2, 10, 11, 12, 20, 100};
	uint64_t	state = 80;
	Data		data;
	bool		filled = true;
	bool		same = true;
	double		first[3];

	data_init(&data, 8, 1);
	memcpy(data.values, values, sizeof(values));
	for (int round = 0; round < 6; round++)
	{
		Table		table;
		KmLloyd		lloyd;
		int			order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
		double		centers[3] = {0, 0, 0};
		int64_t		moved;
		int			iterations;
		bool		done;

		if (round > 0)
			shuffle(&state, order, 8);
		table_create(&table, &data, order, KM_NONE);
		km_lloyd_create(&table.source, &table.space, &table.poll,
						KM_SIMD_AUTO, 3, table.squares,
						&lloyd);
		km_lloyd_start(&lloyd, centers, 3);
		km_lloyd_assign(&lloyd, false, &moved);
		filled &= lloyd.has_empty && lloyd.rows.size[0] == 8;
		km_lloyd_update(&lloyd);
		/* the row at 100; origin is the mean, 19.5 */
		filled &= lloyd.centers[0] == 0 && lloyd.centers[1] == 80.5;
		km_lloyd_run(&lloyd, 300, 0, INFINITY, &iterations, &done);
		filled &= done && !lloyd.has_empty;
		if (round == 0)
			memcpy(first, lloyd.centers, sizeof(first));
		same &= memcmp(first, lloyd.centers, sizeof(first)) == 0;
		km_lloyd_free(&lloyd);
		table_free(&table);
	}
	check(filled, "an empty segment takes the farthest row");
	check(same, "whatever the rows' order");
	data_free(&data);
}

/* More segments than distinct rows: some stay empty, and it ends. */
static void
test_hopelessly_empty(void)
{
	Data		data;
	Table		table;
	KmLloyd		lloyd;
	int			rows[5] = {0, 1, 2, 3, 4};
	int			iterations;
	bool		done;
	int			empty = 0;

	data_init(&data, 40, 1);
	for (int i = 0; i < 40; i++)
		data.values[i] = i % 3;
	table_create(&table, &data, NULL, KM_ZSCORE);
	km_lloyd_create(&table.source, &table.space, &table.poll,
					KM_SIMD_AUTO, 5, table.squares, &lloyd);
	start_at(&table, &lloyd, rows, 5);
	km_lloyd_run(&lloyd, 300, 0, INFINITY, &iterations, &done);
	for (int c = 0; c < 5; c++)
		empty += lloyd.rows.size[c] == 0;
	check(empty == 2 && km_lloyd_inertia(&lloyd) < 1e-14,
		  "segments without a row to take stay empty");
	check(done && iterations < 5, "and do not keep it going");
	km_lloyd_free(&lloyd);
	table_free(&table);
	data_free(&data);
}

/* ---- stopping early ---- */

static void
test_stopping(void)
{
	uint64_t	state = 90;
	Data		data;
	Table		table;
	KmLloyd		lloyd;
	int			rows[6] = {0, 1, 2, 3, 4, 5};
	int			iterations;
	int			with_tol;
	bool		done;
	double		best;

	data_blobs(&data, &state, 2000, 2, 3, 1.5);
	table_create(&table, &data, NULL, KM_ZSCORE);
	km_lloyd_create(&table.source, &table.space, &table.poll,
					KM_SIMD_AUTO, 6, table.squares, &lloyd);
	start_at(&table, &lloyd, rows, 6);
	km_lloyd_run(&lloyd, 2, 0, INFINITY, &iterations, &done);
	check(!done && iterations == 2, "max_iter ends a run unconverged");
	start_at(&table, &lloyd, rows, 6);
	km_lloyd_run(&lloyd, 300, 0, INFINITY, &iterations, &done);
	best = km_lloyd_inertia(&lloyd);
	start_at(&table, &lloyd, rows, 6);
	km_lloyd_run(&lloyd, 300, 1e-3, INFINITY, &with_tol, &done);
	check(done && with_tol < iterations &&
		  km_lloyd_inertia(&lloyd) < best * 1.1,
		  "tol ends it early, and not far off");
	start_at(&table, &lloyd, rows, 6);
	km_lloyd_run(&lloyd, 300, 1e-3, best / 2, &with_tol, &done);
	check(!done && with_tol < iterations, "a hopeless run is given up");
	km_lloyd_free(&lloyd);
	table_free(&table);
	data_free(&data);
}

int
main(void)
{
	test_sums();
	test_equal_rows();
	test_rest();
	test_nearest_all();
	test_empty();
	test_hopelessly_empty();
	test_stopping();
	return finish();
}
