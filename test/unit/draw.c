/*
 * draw.c
 *		Rows picked from a sample: each with the chance it ought to have, the
 *		same ones in any order of rows, refused and stopped.
 */
#include "table.h"

/* ---- tables of raw values, not scaled ---- */

typedef struct Raw
{
	TestHost	host;
	KmFeature	features[DATA_FEATURES];
	KmRows	   *rows;
	KmSpace		space;
	KmPoll		poll;
} Raw;

static void
raw_create(Raw *raw, const double *values, const int *order, int n,
		   int nfeatures)
{
	KmKind		kinds[DATA_FEATURES] = {KM_NUMBER};

	memset(raw, 0, sizeof(*raw));
	host_init(&raw->host);
	raw->poll.host = &raw->host.host;
	km_rows_create(&raw->host.host, nfeatures, kinds, false, false, 0,
				   &raw->rows);
	for (int i = 0; i < n; i++)
		km_rows_add(raw->rows,
					values + (order == NULL ? i : order[i]) * nfeatures, 1);
	km_space_create(&raw->host.host, raw->features, nfeatures, false,
					&raw->space);
}

static void
raw_free(Raw *raw)
{
	km_space_clear(&raw->space);
	km_rows_free(raw->rows);
}

static bool
same_draw(const KmDraw *a, const KmDraw *b)
{
	const KmTable *x = &a->table;
	const KmTable *y = &b->table;

	if (x->nrows != y->nrows || a->total != b->total || a->rows != b->rows ||
		memcmp(a->multiplicity, b->multiplicity,
			   sizeof(int64_t) * x->nrows) != 0 ||
		memcmp(a->hash, b->hash, sizeof(uint64_t) * x->nrows) != 0)
		return false;
	return memcmp(x->blocks[0].data, y->blocks[0].data,
				  sizeof(double) * x->nslots * KM_LANES *
				  km_block_tiles(&x->blocks[0])) == 0;
}

static double
cell(const KmDraw *draw, int64_t row, int slot)
{
	return *km_cell(&draw->table, draw->table.blocks, (int) row, slot);
}

/* ---- what is picked ---- */

/* how often the content of a draw's row is in the table */
static int64_t
count_content(const KmTable *table, const KmDraw *draw, int64_t row)
{
	int64_t		n = 0;

	for (int64_t i = 0; i < table->nrows; i++)
	{
		const double *lane = km_find_row(table, i);
		bool		same = true;

		for (int s = 0; s < table->nfeatures; s++)
			same &= lane[s * KM_LANES] == cell(draw, row, s);
		n += same;
	}
	return n;
}

/*
 * From a complete sample each content gets its share, rounded up or down, and
 * all rows are taken when all are wanted.
 */
static bool
has_shares(const KmTable *table, int64_t want, const KmDraw *draw)
{
	int64_t		total = 0;
	bool		good = true;

	for (int64_t i = 0; i < draw->table.nrows; i++)
	{
		double		share = (double) count_content(table, draw, i) *
			(double) want / (double) table->nrows;

		good &= fabs((double) draw->multiplicity[i] - share) < 1;
		good &= draw->multiplicity[i] > 0;
		good &= want < table->nrows || (double) draw->multiplicity[i] == share;
		good &= cell(draw, i, draw->table.weight_slot) ==
			(double) draw->multiplicity[i];
		good &= i == 0 || draw->hash[i - 1] <= draw->hash[i];
		total += draw->multiplicity[i];
	}
	return good && total == want && draw->total == want &&
		draw->rows == table->nrows;
}

static void
test_shares(void)
{
	uint64_t	state = 11;

	for (int kind = 0; kind < HARD_KINDS; kind++)
	{
		bool		good = true;
		bool		same = true;

		for (int round = 0; round < 6; round++)
		{
			int			n = 20 + random_below(&state, 400);
			int			want = round == 0 ? n : 1 + random_below(&state, n);
			int		   *order = malloc(sizeof(int) * n);
			Data		data;
			Table		table;
			Table		other;
			KmDraw		draw;
			KmDraw		again;

			make_hard(&data, &state, kind, n);
			table_create(&table, &data, NULL, KM_ZSCORE);
			for (int i = 0; i < n; i++)
				order[i] = i;
			shuffle(&state, order, n);
			table_create(&other, &data, order, KM_ZSCORE);
			good &= draw_rows(&table.rows->table, &table.space, n + 1, want,
							  &draw) == KM_OK;
			good &= has_shares(&table.rows->table, want, &draw);
			same &= draw_rows(&other.rows->table, &other.space, n + 1, want,
							  &again) == KM_OK;
			same &= same_draw(&draw, &again);
			km_draw_clear(&draw);
			km_draw_clear(&again);
			km_draw_clear(&again);
			/* a part of the rows is all there is to pick from */
			same &= draw_rows(&table.rows->table, &table.space, 12, want,
							  &draw) == KM_OK &&
				draw_rows(&other.rows->table, &other.space, 12, want,
						  &again) == KM_OK && same_draw(&draw, &again);
			km_draw_clear(&draw);
			km_draw_clear(&again);
			table_free(&table);
			table_free(&other);
			data_free(&data);
			free(order);
		}
		check(good, "every content has its share: %s", hard_names[kind]);
		check(same, "in any order of rows: %s", hard_names[kind]);
	}
}

/* ---- chances ---- */

static void
test_chances(void)
{
	int			n = 30000;
	int			want = 3000;
	double	   *values = malloc(sizeof(double) * n);
	double		worst = 0;
	double		common = 0;
	int			drawn[10] = {0};
	Raw			raw;
	KmDraw		draw;

	/* a third is one value, the others are different */
	for (int i = 0; i < n; i++)
		values[i] = i % 3 == 0 ? -1 : i;
	raw_create(&raw, values, NULL, n, 1);
	draw_rows(&raw.rows->table, &raw.space, 2 * want, want, &draw);
	for (int64_t i = 0; i < draw.table.nrows; i++)
	{
		if (cell(&draw, i, 0) < 0)
			common = (double) draw.multiplicity[i];
		else
			drawn[(int) cell(&draw, i, 0) * 10 / n] +=
				(int) draw.multiplicity[i];
	}
	/*
	 * The third is in the sample by a chance of 6000 in 20000; then it stands
	 * for 10 / 3 of itself.  Of the rest a tenth is binomial.
	 */
	for (int i = 0; i < 10; i++)
		worst = fmax(worst, fabs(drawn[i] / (want - common) - 0.1));
	check(draw.total == want && worst < 0.02,
		  "every row has the same chance: %g copies of the third, %g off",
		  common, worst);
	km_draw_clear(&draw);
	raw_free(&raw);
	free(values);
}

/* Weights of rows are told from how many they are. */
static void
test_weights(void)
{
	uint64_t	state = 8;
	Data		data;
	Table		table;
	KmDraw		draw;
	bool		good = true;

	data_init(&data, 500, 1);
	data.weights = malloc(sizeof(double) * 500);
	for (int i = 0; i < 500; i++)
	{
		int			v = random_below(&state, 40);

		data_row(&data, i)[0] = v;
		data.weights[i] = v + 1;
	}
	table_create(&table, &data, NULL, KM_NONE);
	draw_rows(&table.rows->table, &table.space, 1000, 500, &draw);
	good &= has_shares(&table.rows->table, 500, &draw);
	for (int64_t i = 0; i < draw.table.nrows; i++)
		for (int64_t j = 0; j < draw.table.nrows; j++)
		{
			double		a = draw.weight[i] - draw.weight[j];
			double		b = (cell(&draw, i, 0) - cell(&draw, j, 0)) / 40;

			good &= fabs(a - b) < 1e-9;
		}
	check(good, "a heavy row is one row");
	km_draw_clear(&draw);
	table_free(&table);
	data_free(&data);
}

/* ---- forged hashes ---- */

static uint64_t
after_first(double x)
{
	uint64_t	bits;
	uint64_t	hash = UINT64_C(0x9e3779b97f4a7c15);

	memcpy(&bits, &x, sizeof(bits));
	hash = (hash ^ bits) * UINT64_C(0xd6e8feb86659fd93);
	return hash ^ hash >> 32;
}

/* a second value such that (x, it) hashes as (a, b) does */
static double
forge(double a, double b, double x)
{
	uint64_t	bits;
	double		y;

	memcpy(&bits, &b, sizeof(bits));
	bits ^= after_first(a) ^ after_first(x);
	memcpy(&y, &bits, sizeof(y));
	return y;
}

static void
test_collisions(void)
{
	enum {ROWS = 600};
	double		values[2 * ROWS];
	int			order[ROWS];
	uint64_t	state = 5;
	bool		good = true;
	bool		forged = false;
	KmDraw		first;

	for (int i = 0; i < ROWS; i++)
	{
		double		x = 1 + random_below(&state, 4);

		/* up to four contents with each of 20 hashes */
		values[2 * i] = x;
		values[2 * i + 1] = forge(1, 1 + random_below(&state, 20), x);
		if (!isfinite(values[2 * i + 1]))
			values[2 * i + 1] = 7;
		order[i] = i;
	}
	for (int want = 1; want <= ROWS; want += 37)
	{
		for (int round = 0; round < 3; round++)
		{
			Raw			raw;
			KmDraw		draw;

			raw_create(&raw, values, order, ROWS, 2);
			good &= draw_rows(&raw.rows->table, &raw.space, ROWS,
							  want, &draw) == KM_OK;
			good &= draw.total == want;
			for (int64_t i = 1; i < draw.table.nrows; i++)
				forged |= draw.hash[i] == draw.hash[i - 1];
			if (round > 0)
			{
				good &= same_draw(&first, &draw);
				km_draw_clear(&draw);
			}
			else
				first = draw;
			/* the draw's memory is the test's own */
			if (round == 2)
				km_draw_clear(&first);
			raw_free(&raw);
			shuffle(&state, order, ROWS);
		}
	}
	check(good && forged, "equal hashes of different contents: no order");
}

/* ---- assigning ---- */

static void
test_assign(void)
{
	static const KmSimd units[] = {KM_SIMD_BASELINE, KM_SIMD_AVX2,
	KM_SIMD_AVX512};
	uint64_t	state = 21;
	bool		good = true;

	for (int kind = 0; kind < HARD_KINDS; kind++)
	{
		Data		data;
		Table		table;
		KmDraw		draw;
		double		centers[5 * DATA_FEATURES * DATA_CATEGORIES];
		double		point[DATA_FEATURES * DATA_CATEGORIES];
		uint16_t	own[3][300];

		make_hard(&data, &state, kind, 300);
		table_create(&table, &data, NULL, KM_ZSCORE);
		draw_rows(&table.rows->table, &table.space, 20000, 120, &draw);
		for (int c = 0; c < 5; c++)
			km_row_center(&table.rows->table, &table.space, c * 7,
						  centers + c * table.space.width);
		for (int u = 0; u < 3; u++)
			good &= km_draw_assign(&draw, &table.space, &table.poll, units[u],
								   centers, 5, own[u]) == KM_OK;
		for (int64_t i = 0; i < draw.table.nrows; i++)
		{
			double		distance[5];

			km_row_center(&draw.table, &table.space, i, point);
			for (int c = 0; c < 5; c++)
			{
				distance[c] = 0;
				for (int j = 0; j < table.space.width; j++)
				{
					double		e = point[j] -
						centers[c * table.space.width + j];

					distance[c] += e * e;
				}
			}
			for (int c = 0; c < 5; c++)
				good &= distance[own[0][i]] <= distance[c] * (1 + 1e-12);
			good &= own[0][i] == own[1][i] && own[0][i] == own[2][i];
		}
		km_draw_clear(&draw);
		table_free(&table);
		data_free(&data);
	}
	check(good, "drawn rows are assigned to the nearest center");
}

/* ---- refused and stopped ---- */

static KmStatus
draw_and_assign(Raw *raw, int want)
{
	double		centers[4] = {0, 0, 3, 3};
	uint16_t	own[2000];
	KmSource	source = {&raw->rows->table, NULL};
	KmSample	sample = {0};
	KmDraw		draw = {0};
	KmStatus	status;

	status = km_sample_create(&source, &raw->space, &raw->poll, 800, 0,
							  &sample);
	if (status == KM_OK)
		status = km_draw_create(&sample, raw->rows->table.nrows, want, &draw);
	if (status == KM_OK)
		status = km_draw_assign(&draw, &raw->space, &raw->poll, KM_SIMD_AUTO,
								centers, 2, own);
	km_draw_clear(&draw);
	km_sample_clear(&raw->host.host, &sample);
	return status;
}

static void
test_failure(int want)
{
	enum {ROWS = 2000};
	double	   *values = malloc(sizeof(double) * 2 * ROWS);
	uint64_t	state = 3;
	bool		good = true;
	Raw			raw;
	long		calls;
	long		polls;
	long		base;

	for (int i = 0; i < 2 * ROWS; i++)
		values[i] = random_below(&state, 40);
	raw_create(&raw, values, NULL, ROWS, 2);
	base = raw.host.outstanding;
	calls = raw.host.allocations;
	polls = raw.host.polls;
	good &= draw_and_assign(&raw, want) == KM_OK;
	calls = raw.host.allocations - calls;
	polls = raw.host.polls - polls;
	for (long n = 1; n <= calls; n++)
	{
		raw.host.refuse_at = raw.host.allocations + n;
		good &= draw_and_assign(&raw, want) == KM_NO_MEMORY &&
			raw.host.outstanding == base;
	}
	raw.host.refuse_at = 0;
	for (long n = 1; n <= polls; n++)
	{
		raw.poll.work = 0;
		raw.host.stop_at = raw.host.polls + n;
		good &= draw_and_assign(&raw, want) == KM_CANCELLED &&
			raw.host.outstanding == base;
	}
	check(good && calls > 6 && polls > 3,
		  "a draw of %d: each of %ld allocations refused, each of %ld polls",
		  want, calls, polls);
	raw_free(&raw);
	check(raw.host.outstanding == 0, "and nothing left behind");
	free(values);
}

int
main(void)
{
	test_shares();
	test_chances();
	test_weights();
	test_collisions();
	test_assign();
	test_failure(300);
	test_failure(2000);
	return finish();
}
