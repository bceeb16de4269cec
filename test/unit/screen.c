/*
 * screen.c
 *		What the screen is sure of is true, and leads are no longer than they
 *		are, with every vector unit.
 *
 * Truth is the exact kernel's for the nearest center, and long double's for
 * distances.
 */
#include "table.h"
#include "screen.h"

static const KmSimd units[] = {KM_SIMD_BASELINE, KM_SIMD_AVX2, KM_SIMD_AVX512};

typedef struct Tally
{
	long		rows;
	long		unsure;
	long		wrong;			/* sure, and not the kernel's */
	long		long_leads;
	long		other;			/* told wrongly whether the segment is another */
} Tally;

typedef struct Screened
{
	KmPacked	packed;
	KmScreen	screen;
	KmScreened	two;
	KmScreened	three;
	float		to_second[KM_SCREEN_ROWS];
	float		to_others[KM_SCREEN_ROWS];
} Screened;

/* Distance of a row from a center; categories as the kernel has them. */
static long double
distance(const Table *table, const KmPacked *packed, const double *lane,
		 int c)
{
	long double square = 0;

	for (int s = 0; s < table->space.nnum; s++)
	{
		long double e = (long double) lane[s * KM_LANES] -
			packed->numeric[(size_t) c * table->space.nnum + s];

		square += e * e;
	}
	for (int f = 0; f < table->space.ncat; f++)
		square += packed->tables[f]
			[(size_t) lane[(table->space.nnum + f) * KM_LANES] *
			 packed->stride + c];
	return sqrtl(square);
}

/* Are the leads on the second and on all others as long as they are said? */
static bool
leads_hold(const Table *table, const Screened *s, const double *lane, int i)
{
	int			id = s->three.id[i];
	int			second = s->three.second[i];
	long double own = distance(table, &s->packed, lane, id);

	for (int c = 0; c < s->packed.k; c++)
	{
		long double lead = (distance(table, &s->packed, lane, c) - own) *
			s->screen.scale;

		if (c != id && lead < (c == second ? s->to_second[i] :
							   s->to_others[i]))
			return false;
	}
	return true;
}

static void
screen_group(const Table *table, Screened *s, const KmScreening *screening,
			 KmSimd simd, const double *tiles, int nrows, Tally *tally)
{
	const KmTable *rows = &table->rows->table;
	int			ntiles = (nrows + KM_LANES - 1) / KM_LANES;
	uint16_t	own[KM_SCREEN_ROWS];
	int64_t		id[KM_SCREEN_ROWS];
	double		d1[KM_SCREEN_ROWS];
	double		d2[KM_SCREEN_ROWS];

	for (int i = 0; i < KM_SCREEN_ROWS; i++)
		own[i] = (uint16_t) (i % s->packed.k);
	km_nearest_kernel(simd) (&table->space, &s->packed, tiles, ntiles,
							 rows->nslots, id, d1, d2);
	screening->load(&s->screen, tiles, ntiles, rows->nslots);
	screening->two(&s->screen, own, &s->two);
	screening->three(&s->screen, own, &s->three);
	screening->gaps(&s->screen, &s->three, 0, s->to_second, s->to_others);
	for (int i = 0; i < nrows; i++)
	{
		const double *lane = tiles + (size_t) (i / KM_LANES) * rows->nslots *
			KM_LANES + i % KM_LANES;
		bool		unsure = s->two.unsure >> i & 1;

		tally->rows++;
		tally->unsure += unsure;
		tally->wrong += !unsure && s->two.id[i] != id[i];
		tally->wrong += !(s->three.unsure >> i & 1) && s->three.id[i] != id[i];
		tally->other += (s->two.other >> i & 1) != (s->two.id[i] != own[i]);
		tally->long_leads += !leads_hold(table, s, lane, i);
	}
}

static void
screen_table(const Table *table, const double *centers, int k, KmSimd simd,
			 Tally *tally)
{
	const KmTable *rows = &table->rows->table;
	const KmScreening *screening = km_screening(simd);
	Screened	s;

	km_packed_create(&table->space, k, &s.packed);
	km_screen_create(&table->space, k, &s.screen);
	km_packed_set(&table->space, &s.packed, centers, k);
	km_screen_set(&table->space, &s.packed, &s.screen);
	for (int b = 0; b < rows->nblocks && s.screen.usable; b++)
	{
		const KmBlock *block = &rows->blocks[b];

		for (int row = 0; row < block->nrows; row += KM_SCREEN_ROWS)
			screen_group(table, &s, screening, simd,
						 km_tile(rows, block, row / KM_LANES),
						 block->nrows - row < KM_SCREEN_ROWS ?
						 block->nrows - row : KM_SCREEN_ROWS, tally);
	}
	km_screen_free(&table->space, &s.screen);
	km_packed_free(&table->space, &s.packed);
}

/* Rows, rows moved a little, points between two rows, and far ones. */
static double *
choose_centers(const Table *table, uint64_t *state, int k)
{
	int			width = table->space.width;
	double	   *centers = malloc(sizeof(double) * (size_t) k * width);
	int			n = (int) table->rows->table.nrows;

	for (int c = 0; c < k; c++)
	{
		double	   *center = centers + c * width;
		int			how = random_below(state, 6);

		km_row_center(&table->rows->table, &table->space,
					  random_below(state, n), center);
		for (int j = 0; j < width; j++)
		{
			if (how == 1)
				center[j] *= 1 + 0x1p-52 * (random_below(state, 5) - 2);
			else if (how == 2)
				center[j] *= 1 + 0x1p-24 * (random_below(state, 5) - 2);
			else if (how == 3 && c > 0)
				center[j] = (center[j] + center[j - width]) / 2;
			else if (how == 4 && c > 0)
				center[j] = nextafter(center[j - width], INFINITY);
		}
		if (random_below(state, 50) == 0)
			center[random_below(state, width)] *= 1e4;
	}
	return centers;
}

static void
test_hard(void)
{
	for (int kind = 0; kind < HARD_KINDS; kind++)
	{
		uint64_t	state = 50 + kind;
		Tally		tally = {0};

		for (int round = 0; round < 40; round++)
		{
			Data		data;
			Table		table;
			int			k = 1 + random_below(&state, round % 2 == 0 ? 9 : 70);
			double	   *centers;

			make_hard(&data, &state, (Hard) kind,
					  20 + random_below(&state, 300));
			table_create(&table, &data, NULL, kind == SMALL || kind == LARGE ||
						 kind >= SCALES || round % 3 == 0 ? KM_NONE :
						 KM_ZSCORE);
			centers = choose_centers(&table, &state, k);
			for (int u = 0; u < 3; u++)
				screen_table(&table, centers, k, units[u], &tally);
			free(centers);
			table_free(&table);
			data_free(&data);
		}
		if (!check(tally.wrong == 0 && tally.long_leads == 0 &&
				   tally.other == 0 && tally.rows > 0,
				   "what is sure is true: %s", hard_names[kind]))
			note("of %ld rows %ld unsure, %ld wrong, %ld other, %ld leads too "
				 "long", tally.rows, tally.unsure, tally.wrong, tally.other,
				 tally.long_leads);
	}
}

/* A screen that is never sure would be of no use. */
static void
test_sure(void)
{
	uint64_t	state = 3;
	Tally		tally = {0};
	Data		data;
	Table		table;
	double	   *centers;

	data_blobs(&data, &state, 20000, 8, 8, 0.5);
	table_create(&table, &data, NULL, KM_ZSCORE);
	centers = malloc(sizeof(double) * 8 * table.space.width);
	for (int c = 0; c < 8; c++)
		km_row_center(&table.rows->table, &table.space, c,
					  centers + c * table.space.width);
	for (int u = 0; u < 3; u++)
		screen_table(&table, centers, 8, units[u], &tally);
	if (!check(tally.wrong == 0 && tally.unsure < tally.rows / 1000,
			   "less than one row in 1,000 is unsure"))
		note("%ld of %ld", tally.unsure, tally.rows);
	free(centers);
	table_free(&table);
	data_free(&data);
}

/* Centers beyond single precision are told. */
static void
test_usable(void)
{
	static const double far[] = {1e300, -1e300, INFINITY, NAN, 1e30};
	uint64_t	state = 4;
	Data		data;
	Table		table;
	KmPacked	packed;
	KmScreen	screen;
	double		centers[2 * DATA_FEATURES] = {0};
	bool		usable;
	bool		told = true;

	data_blobs(&data, &state, 100, 3, 3, 0.5);
	table_create(&table, &data, NULL, KM_ZSCORE);
	km_packed_create(&table.space, 2, &packed);
	km_screen_create(&table.space, 2, &screen);
	km_packed_set(&table.space, &packed, centers, 2);
	km_screen_set(&table.space, &packed, &screen);
	usable = screen.usable;
	for (int i = 0; i < 5; i++)
	{
		centers[i % 2 * 3 + 1] = far[i];
		km_packed_set(&table.space, &packed, centers, 2);
		km_screen_set(&table.space, &packed, &screen);
		told &= !screen.usable;
		centers[i % 2 * 3 + 1] = 0;
	}
	check(usable && told, "centers beyond single precision are not screened");
	km_screen_free(&table.space, &screen);
	km_packed_free(&table.space, &packed);
	table_free(&table);
	data_free(&data);
}

int
main(void)
{
	test_hard();
	test_sure();
	test_usable();
	return finish();
}
