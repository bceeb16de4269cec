/*
 * draw.c
 *		The uniform sample of rows: against the definition carried out plainly,
 *		in any order of rows, with forged hashes, refused and stopped.
 */
#include "../../src/core/draw.c"

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

/* ---- the definition, plainly ---- */

static int
compare_keys(const void *a, const void *b)
{
	const Pick *x = a;
	const Pick *y = b;

	return key_before(x, y) ? -1 : key_before(y, x) ? 1 : 0;
}

/* hash of each row, in the order of the table */
static uint64_t *
all_hashes(const KmTable *table, const KmSpace *space)
{
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	uint64_t   *hashes = malloc(sizeof(uint64_t) * (table->nrows + 1));

	host_init(&host);
	(void) hash_rows(table, space, &poll, hashes);
	return hashes;
}

/* Does every content have the copies that the smallest keys give it? */
static bool
is_by_definition(const KmTable *table, const KmSpace *space, int want,
				 const KmDraw *draw)
{
	int			n = (int) table->nrows;
	uint64_t   *hashes = all_hashes(table, space);
	Pick	   *picks = malloc(sizeof(Pick) * n);
	int64_t		total = 0;
	bool		good = true;

	for (int i = 0; i < n; i++)
	{
		picks[i].hash = hashes[i];
		picks[i].copy = 1;
		for (int j = 0; j < i; j++)
			picks[i].copy += hashes[j] == hashes[i];
		picks[i].key = km_mix(hashes[i] + (uint64_t) picks[i].copy *
							  UINT64_C(0x9e3779b97f4a7c15));
	}
	qsort(picks, n, sizeof(Pick), compare_keys);
	for (int64_t i = 0; i < draw->table.nrows; i++)
	{
		int64_t		count = 0;

		for (int j = 0; j < n && j < want; j++)
			count += picks[j].hash == draw->hash[i];
		good &= count == draw->multiplicity[i] && count > 0;
		good &= i == 0 || draw->hash[i - 1] < draw->hash[i];
		good &= cell(draw, i, draw->table.weight_slot) == (double) count;
		total += count;
		/* the content belongs to the hash */
		for (int j = 0; j < n; j++)
		{
			if (hashes[j] != draw->hash[i])
				continue;
			for (int s = 0; s < space->nfeatures; s++)
				good &= *km_cell(table, table->blocks, j, s) ==
					cell(draw, i, s);
			break;
		}
	}
	good &= total == draw->total && total == (n < want ? n : want) &&
		draw->rows == n;
	free(hashes);
	free(picks);
	return good;
}

static void
test_definition(void)
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
			KmTable		one;
			KmDraw		draw;
			KmDraw		again;

			make_hard(&data, &state, kind, n);
			table_create(&table, &data, NULL, KM_ZSCORE);
			for (int i = 0; i < n; i++)
				order[i] = i;
			shuffle(&state, order, n);
			table_create(&other, &data, order, KM_ZSCORE);

			/* one block, so that a row's number says where it is */
			km_table_clone(&table.rows->table, n, &one);
			for (int i = 0, b = 0; i < n; i++)
			{
				const KmTable *from = &table.rows->table;

				while (i >= from->blocks[b].first + from->blocks[b].nrows)
					b++;
				for (int s = 0; s < from->nslots; s++)
					*km_cell(&one, one.blocks, i, s) =
						*km_cell(from, &from->blocks[b],
								 i - (int) from->blocks[b].first, s);
			}
			good &= km_draw_create(&one, &table.space, want, &table.poll,
								   &draw) == KM_OK;
			good &= is_by_definition(&one, &table.space, want, &draw);
			same &= km_draw_create(&other.rows->table, &other.space, want,
								   &other.poll, &again) == KM_OK;
			same &= same_draw(&draw, &again);
			km_draw_clear(&draw);
			km_draw_clear(&again);
			km_draw_clear(&again);
			km_table_clear(&one);
			table_free(&table);
			table_free(&other);
			data_free(&data);
			free(order);
		}
		check(good, "the smallest keys are drawn: %s", hard_names[kind]);
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
	km_draw_create(&raw.rows->table, &raw.space, want, &raw.poll, &draw);
	for (int64_t i = 0; i < draw.table.nrows; i++)
	{
		if (cell(&draw, i, 0) < 0)
			common = (double) draw.multiplicity[i];
		else
			drawn[(int) cell(&draw, i, 0) * 10 / n]++;
	}
	/* binomial: sd of the third 26, of a tenth of the rest 14 */
	for (int i = 0; i < 10; i++)
		worst = fmax(worst, fabs(drawn[i] - want / 15.0));
	check(fabs(common - want / 3.0) < 100 && worst < 55,
		  "every row has the same chance: %g copies of the third, %g off",
		  common, worst);
	km_draw_clear(&draw);
	raw_free(&raw);
	free(values);
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
			good &= km_draw_create(&raw.rows->table, &raw.space, want,
								   &raw.poll, &draw) == KM_OK;
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

static int
compare_bits(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

static void
test_sort(void)
{
	uint64_t	state = 9;
	bool		good = true;

	for (int round = 0; round < 200; round++)
	{
		size_t		n = (size_t) random_below(&state, 3000);
		int			kind = round % 4;
		TestHost	host;
		KmPoll		poll = {&host.host, 0};
		uint64_t   *a = malloc(sizeof(uint64_t) * (n + 1));
		uint64_t   *b = malloc(sizeof(uint64_t) * (n + 1));

		host_init(&host);
		for (size_t i = 0; i < n; i++)
		{
			uint64_t	x = random_bits(&state);

			/* any; few values; equal above the last bits; below the first */
			a[i] = kind == 0 ? x :
				kind == 1 ? x % 5 * UINT64_C(0x3fffffffffffffff) :
				kind == 2 ? x % 1000 : x << 50;
			b[i] = a[i];
		}
		good &= sort_hashes(&poll, a, n, 64) == KM_OK;
		qsort(b, n, sizeof(uint64_t), compare_bits);
		good &= memcmp(a, b, sizeof(uint64_t) * n) == 0;
		free(a);
		free(b);
	}
	check(good, "hashes are sorted, whatever they are");
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
		km_draw_create(&table.rows->table, &table.space, 120, &table.poll,
					   &draw);
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
	KmDraw		draw;
	KmStatus	status;

	status = km_draw_create(&raw->rows->table, &raw->space, want, &raw->poll,
							&draw);
	if (status == KM_OK)
		status = km_draw_assign(&draw, &raw->space, &raw->poll, KM_SIMD_AUTO,
								centers, 2, own);
	km_draw_clear(&draw);
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
	test_definition();
	test_chances();
	test_collisions();
	test_sort();
	test_assign();
	test_failure(300);
	test_failure(2000);
	return finish();
}
