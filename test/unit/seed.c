/*
 * seed.c
 *		The logarithm, the exponential race, and greedy k-means++.
 */
#include "tap.h"

/* ---- logarithm and uniform numbers ---- */

static void
test_log(void)
{
	uint64_t	state = 1;
	double		worst = 0;
	bool		bounded = true;

	for (int i = 0; i < 200000; i++)
	{
		int			power = random_below(&state, 53);
		double		x = i % 4 == 0 ? random_share(&state) :
			i % 4 == 1 ? 1 - ldexp(random_share(&state), -power) :
			i % 4 == 2 ? ldexp(0.5 + random_share(&state) / 2,
							   -random_below(&state, 1020)) :
			km_uniform(random_bits(&state));
		long double truth = logl(x);

		if (!(x > 0 && x < 1))
			continue;
		bounded &= km_log(x) < 0;
		worst = fmax(worst, (double) fabsl((km_log(x) - truth) / truth));
	}
	/* a draw by weight needs no more */
	check(worst < 1e-15, "logarithm to 1e-15 of the truth");
	check(bounded && km_log(0x1p-53) > -36.8 &&
		  km_log(1 - 0x1p-53) == -0x1p-53,
		  "negative below 1, and right at both ends");
}

static void
test_uniform(void)
{
	uint64_t	state = 2;
	double		sum = 0;
	int			bins[16] = {0};
	bool		even = true;

	for (int i = 0; i < 160000; i++)
	{
		double		u = km_uniform(km_mix(random_bits(&state)));

		sum += u;
		bins[(int) (u * 16)]++;
	}
	for (int b = 0; b < 16; b++)
		even &= abs(bins[b] - 10000) < 500;
	check(km_uniform(0) > 0 && km_uniform(UINT64_MAX) < 1 &&
		  1 - km_uniform(0) < 1, "never 0, never 1");
	check(even && fabs(sum / 160000 - 0.5) < 0.005, "uniform");
}

/* ---- races ---- */

typedef struct Race
{
	KmSample	sample;
	KmSearch	search;
	uint64_t   *hash;
	double	   *weight;
} Race;

static void
race_create(Race *race, int n, uint64_t seed)
{
	uint64_t	state = 3;

	memset(race, 0, sizeof(*race));
	race->hash = malloc(sizeof(uint64_t) * n);
	race->weight = malloc(sizeof(double) * n);
	race->sample.hash = race->hash;
	race->sample.distinct = n;
	race->search.sample = &race->sample;
	race->search.weight = race->weight;
	race->search.seed = seed;
	for (int i = 0; i < n; i++)
	{
		race->hash[i] = random_bits(&state);
		race->weight[i] = i + 1;
	}
}

static void
race_free(Race *race)
{
	free(race->hash);
	free(race->weight);
}

static void
test_proportional(void)
{
	enum
	{
		N = 10,
		DRAWS = 20000
	};
	static const uint64_t seeds[] = {0, 1, 42};

	for (int s = 0; s < 3; s++)
	{
		Race		race;
		int			wins[N] = {0};
		int			pairs[N][N] = {{0}};
		double		chi = 0;
		double		chi_pairs = 0;

		race_create(&race, N, seeds[s]);
		for (int i = 0; i < DRAWS; i++)
		{
			int64_t		rows[2];

			km_draw_rows(&race.search, NULL, 2, rows);
			wins[rows[0]]++;
			pairs[rows[0]][rows[1]]++;
		}
		for (int i = 0; i < N; i++)
		{
			double		expected = DRAWS * (i + 1) / 55.0;

			chi += (wins[i] - expected) * (wins[i] - expected) / expected;
			for (int j = 0; j < N; j++)
			{
				double		second = expected * (j + 1) / (55.0 - (i + 1));

				if (i != j)
					chi_pairs += (pairs[i][j] - second) *
						(pairs[i][j] - second) / second;
			}
		}
		/* one in a thousand: 27.9 of 9 degrees, 134 of 89 */
		check(chi < 27.9 && chi_pairs < 134,
			  "winners, and seconds, in proportion to weight, seed %d",
			  (int) seeds[s]);
		race_free(&race);
	}
}

static void
test_race_rules(void)
{
	enum
	{
		N = 500
	};
	Race		race;
	double		d[N];
	int			order[N];
	uint64_t	state = 4;
	bool		nested = true;
	bool		never = true;
	bool		independent = true;
	int			same = 0;

	race_create(&race, N, 7);
	for (int i = 0; i < N; i++)
	{
		d[i] = i % 3 == 0 ? 0 : random_share(&state);
		order[i] = i;
	}
	for (int round = 0; round < 200; round++)
	{
		int64_t		one;
		int64_t		many[16];
		uint64_t	hash[N];
		double		weight[N];
		double		dd[N];
		Race		other = race;
		int64_t		moved[16];

		km_draw_rows(&race.search, d, 1, &one);
		race.search.step--;
		other.search.step = race.search.step;
		nested &= km_draw_rows(&race.search, d, 16, many) == 16 &&
			many[0] == one;
		for (int i = 0; i < 16; i++)
		{
			never &= d[many[i]] > 0;
			for (int j = 0; j < i; j++)
				nested &= many[i] != many[j];
		}
		shuffle(&state, order, N);
		for (int i = 0; i < N; i++)
		{
			hash[i] = race.hash[order[i]];
			weight[i] = race.weight[order[i]];
			dd[i] = d[order[i]];
		}
		other.sample.hash = hash;
		other.search.sample = &other.sample;
		other.search.weight = weight;
		km_draw_rows(&other.search, dd, 16, moved);
		for (int i = 0; i < 16; i++)
			independent &= order[moved[i]] == many[i];
	}
	check(nested, "more winners begin with the same ones, all different");
	check(never, "a row at a center is never drawn");
	check(independent, "winners do not depend on where rows stand");
	for (int round = 0; round < 100; round++)
	{
		int64_t		one;
		int64_t		two;

		race.search.step = (uint64_t) round;
		race.search.seed = 7;
		km_draw_rows(&race.search, NULL, 1, &one);
		race.search.step = (uint64_t) round;
		race.search.seed = 8;
		km_draw_rows(&race.search, NULL, 1, &two);
		same += one == two;
	}
	check(same < 10, "another seed draws other rows");
	memset(d, 0, sizeof(d));
	d[77] = 1e-200;
	{
		int64_t		rows[3];

		check(km_draw_rows(&race.search, d, 3, rows) == 1 && rows[0] == 77,
			  "fewer winners than asked, if there are no more");
		d[77] = 0;
		check(km_draw_rows(&race.search, d, 3, rows) == 0, "or none");
	}
	race_free(&race);
}

/* ---- seeding ---- */

typedef struct Seeding
{
	TestHost	host;
	KmFeature	features[3];
	KmRows	   *rows;
	KmSpace		space;
	KmPoll		poll;
	KmSample	sample;
	KmSearch	search;
} Seeding;

#define SEEDING_ROWS	200
#define SEEDING_K		12

static void *
room(size_t cells)
{
	return calloc(cells, sizeof(double));
}

/* distinct: different rows there are, of two numbers and a category */
static void
seeding_create(Seeding *seeding, int distinct)
{
	static const KmKind kinds[] = {KM_NUMBER, KM_CATEGORY, KM_NUMBER};
	uint64_t	state = 8;
	KmSearch   *search = &seeding->search;

	memset(seeding, 0, sizeof(*seeding));
	host_init(&seeding->host);
	seeding->poll.host = &seeding->host.host;
	for (int f = 0; f < 3; f++)
	{
		seeding->features[f].kind = kinds[f];
		seeding->features[f].factor = 1;
		seeding->features[f].ncategories = f == 1 ? 3 : 0;
		seeding->features[f].grid = 40;
	}
	km_rows_create(&seeding->host.host, 3, kinds, false, false, 0,
				   &seeding->rows);
	for (int i = 0; i < SEEDING_ROWS; i++)
	{
		int			v = i % distinct;

		km_rows_add(seeding->rows, (double[]) {v % 5, v % 3,
					v / 5 + ldexp(random_below(&state, 2) *
								  (distinct == SEEDING_ROWS), -20)}, 1);
	}
	km_space_create(&seeding->host.host, seeding->features, 3, false,
					&seeding->space);
	km_space_set_grid(&seeding->space);
	sample_table(&seeding->rows->table, &seeding->space, 20000, 1,
					 &seeding->sample);
	search->sample = &seeding->sample;
	search->space = &seeding->space;
	search->poll = &seeding->poll;
	search->nearest = km_nearest_kernel(KM_SIMD_AUTO);
	search->weight = room(SEEDING_ROWS + 8);
	search->own = room(SEEDING_ROWS + 8);
	search->d1 = room(SEEDING_ROWS + 8);
	search->d2 = room(SEEDING_ROWS + 8);
	search->dx = room(SEEDING_ROWS + 8);
	search->spare = room(SEEDING_ROWS + 8);
	search->point = room(seeding->space.width);
	km_packed_create(&seeding->space, 1, &search->packed);
	search->source.table = &seeding->sample.table;
	km_lloyd_create(&search->source, &seeding->space, &seeding->poll,
					KM_SIMD_AUTO, SEEDING_K, seeding->sample.squares,
					&search->lloyd);
	for (int64_t i = 0; i < seeding->sample.distinct; i++)
		search->weight[i] = 1;
}

static void
seeding_free(Seeding *seeding)
{
	KmSearch   *search = &seeding->search;

	free(search->weight);
	free(search->own);
	free(search->d1);
	free(search->d2);
	free(search->dx);
	free(search->spare);
	free(search->point);
	km_packed_free(&seeding->space, &search->packed);
	km_lloyd_free(&search->lloyd);
	km_sample_clear(&seeding->host.host, &seeding->sample);
	km_space_clear(&seeding->space);
	km_rows_free(seeding->rows);
}

/* squared distance of two points of numbers and one-hot categories */
static double
apart(const double *a, const double *b, int width)
{
	double		d = 0;

	for (int j = 0; j < width; j++)
		d += (a[j] - b[j]) * (a[j] - b[j]);
	return d;
}

static void
test_distances(void)
{
	Seeding		seeding;
	bool		right = true;
	double		a[5];
	double		b[5];

	seeding_create(&seeding, SEEDING_ROWS);
	check(seeding.space.width == 5, "two numbers and three categories");
	for (int row = 0; row < seeding.sample.distinct; row += 17)
	{
		right &= km_distances(&seeding.search, row, seeding.search.dx) ==
			KM_OK;
		km_row_center(&seeding.sample.table, &seeding.space, row, a);
		for (int i = 0; i < seeding.sample.distinct; i++)
		{
			km_row_center(&seeding.sample.table, &seeding.space, i, b);
			right &= near(seeding.search.dx[i], apart(a, b, 5), 1e-15);
		}
		right &= seeding.search.dx[row] == 0;
	}
	check(right, "distances to a row are distances of points");
	seeding_free(&seeding);
}

static void
test_seeding(int distinct, int have, int k)
{
	Seeding		seeding;
	double		centers[SEEDING_K * 5];
	double		point[5];
	int			got;
	bool		are_rows = true;
	bool		different = true;
	bool		kept = true;
	double		first[SEEDING_K * 5];

	seeding_create(&seeding, distinct);
	for (int c = 0; c < have; c++)
		km_row_center(&seeding.sample.table, &seeding.space, c,
					  centers + 5 * c);
	memcpy(first, centers, sizeof(first));
	check(km_seed(&seeding.search, centers, have, k, &got) == KM_OK &&
		  got == (k < distinct ? k : distinct),
		  "%d of %d wanted from %d distinct rows, %d given",
		  k < distinct ? k : distinct, k, distinct, have);
	kept &= memcmp(first, centers, sizeof(double) * 5 * have) == 0;
	for (int c = 0; c < got; c++)
	{
		bool		found = false;

		for (int i = 0; i < seeding.sample.distinct; i++)
		{
			km_row_center(&seeding.sample.table, &seeding.space, i, point);
			found |= memcmp(point, centers + 5 * c, sizeof(point)) == 0;
		}
		are_rows &= found;
		for (int j = 0; j < c; j++)
			different &= apart(centers + 5 * j, centers + 5 * c, 5) > 0;
	}
	check(are_rows && different && kept, "seeds are different rows");
	seeding_free(&seeding);
	check(seeding.host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_log();
	test_uniform();
	test_proportional();
	test_race_rules();
	test_distances();
	test_seeding(SEEDING_ROWS, 0, SEEDING_K);
	test_seeding(SEEDING_ROWS, 5, 9);
	test_seeding(7, 0, SEEDING_K);
	test_seeding(1, 0, 3);
	return finish();
}
