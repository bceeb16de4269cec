/*
 * kernel.c
 *		Every vector unit's kernel gives the bits of a naive loop, and category
 *		tables are squared distances of one-hot vectors.
 */
#include "tap.h"

#define MAX_FEATURES	20
#define MAX_K			40
#define ROWS			(KM_KERNEL_TILES * KM_LANES)

typedef struct Case
{
	TestHost	host;
	KmFeature	features[MAX_FEATURES];
	int			nfeatures;
	KmSpace		space;
	KmPacked	packed;
	int			k;
	double	   *centers;		/* k x width */
	int			nslots;			/* features, and a slot that nobody reads */
	double	   *tiles;
} Case;

/* How positions and centers are drawn. */
typedef enum Kind
{
	PLAIN,
	TIES,						/* small integers: many equal distances */
	SHARES,						/* centers are means: categories as shares */
	HUGE_OFFSET,				/* differences in the last bits */
	INFINITE,					/* squares overflow */
	TINY						/* squares underflow */
} Kind;

static double
draw(uint64_t *state, Kind kind)
{
	switch (kind)
	{
		case TIES:
			return random_below(state, 3);
		case HUGE_OFFSET:
			return 1e15 + random_below(state, 5) / 8.0;
		case INFINITE:
			return random_normal(state) * 1e200;
		case TINY:
			return random_normal(state) * 1e-170;
		default:
			return random_normal(state);
	}
}

static void
case_create(Case *test, uint64_t *state, int nnum, int ncat, int k, Kind kind)
{
	memset(test, 0, sizeof(*test));
	host_init(&test->host);
	test->nfeatures = nnum + ncat;
	test->k = k;
	test->nslots = test->nfeatures + 1;
	for (int f = 0; f < test->nfeatures; f++)
	{
		KmFeature  *feature = &test->features[f];

		feature->kind = f < nnum ? KM_NUMBER : KM_CATEGORY;
		feature->factor = kind == TIES ? 1 : 0.5 + random_share(state);
		feature->ncategories = f < nnum ? 0 : 1 + random_below(state, 6);
		feature->grid = 40;
	}
	km_space_create(&test->host.host, test->features, test->nfeatures, false,
					&test->space);
	km_space_set_grid(&test->space);
	km_packed_create(&test->space, MAX_K, &test->packed);
	test->centers = malloc(sizeof(double) *
						   (size_t) (k * test->space.width + 1));
	for (int i = 0; i < k * test->space.width; i++)
		test->centers[i] = i % test->space.width < nnum ? draw(state, kind) :
			(kind == TIES ? random_below(state, 2) : random_share(state));
	km_packed_set(&test->space, &test->packed, test->centers, k);
	test->tiles = malloc(sizeof(double) * ROWS * test->nslots);
	for (int i = 0; i < ROWS * test->nslots; i++)
	{
		int			slot = i / KM_LANES % test->nslots;

		test->tiles[i] = NAN;
		if (slot < nnum)
			test->tiles[i] = draw(state, kind);
		else if (slot < test->nfeatures)
			test->tiles[i] = random_below(state,
										  test->features[slot].ncategories);
	}
}

static void
case_free(Case *test)
{
	km_packed_free(&test->space, &test->packed);
	km_space_clear(&test->space);
	free(test->centers);
	free(test->tiles);
}

/* the definition, one row after another */
static void
naive_nearest(const Case *test, int row, int64_t *id, double *d1, double *d2)
{
	const double *lane = test->tiles +
		row / KM_LANES * KM_LANES * test->nslots + row % KM_LANES;
	int			nnum = test->space.nnum;

	*id = 0;
	*d1 = INFINITY;
	*d2 = INFINITY;
	for (int c = 0; c < test->k; c++)
	{
		const double *center = test->centers + c * test->space.width;
		double		d = 0;

		for (int s = 0; s < nnum; s++)
			d += (lane[s * KM_LANES] - center[s]) *
				(lane[s * KM_LANES] - center[s]);
		for (int f = 0; f < test->space.ncat; f++)
			d += test->packed.tables[f]
				[(int) lane[(nnum + f) * KM_LANES] * test->packed.stride + c];
		if (d < *d1)
		{
			*d2 = *d1;
			*d1 = d;
			*id = c;
		}
		else if (d < *d2)
			*d2 = d;
	}
}

/* all sizes, for one unit and kind of data */
static bool
kernel_agrees(KmSimd simd, Kind kind, uint64_t seed)
{
	KmNearest	nearest = km_nearest_kernel(simd);
	uint64_t	state = seed;
	bool		agrees = true;

	for (int k = 1; k <= MAX_K; k++)
	{
		Case		test;
		int64_t		id[ROWS];
		double		d1[ROWS];
		double		d2[ROWS];
		int			ntiles = 1 + random_below(&state, KM_KERNEL_TILES);
		int			nnum = random_below(&state, 11);
		int			ncat = random_below(&state, 4);

		case_create(&test, &state, nnum == 0 && ncat == 0 ? 1 : nnum, ncat, k,
					kind);
		nearest(&test.space, &test.packed, test.tiles, ntiles, test.nslots,
				id, d1, d2);
		for (int i = 0; i < ntiles * KM_LANES; i++)
		{
			int64_t		right;
			double		first;
			double		second;

			naive_nearest(&test, i, &right, &first, &second);
			agrees &= id[i] == right && same_bits(d1[i], first) &&
				same_bits(d2[i], second);
		}
		case_free(&test);
	}
	return agrees;
}

static void
test_kernels(void)
{
	static const char *const data[] = {"plain", "ties", "shares",
	"huge offsets", "infinite", "tiny"};

	for (int simd = KM_SIMD_BASELINE; simd <= KM_SIMD_AVX512; simd++)
	{
		const char *name = simd == KM_SIMD_BASELINE ? "baseline" :
			simd == KM_SIMD_AVX2 ? "avx2" : "avx512";

		if (!km_simd_supported((KmSimd) simd))
		{
			check(true, "%s # SKIP not on this machine", name);
			continue;
		}
		for (int kind = PLAIN; kind <= TINY; kind++)
			check(kernel_agrees((KmSimd) simd, (Kind) kind, 100 + kind) &&
				  kernel_agrees((KmSimd) simd, (Kind) kind, 200 + kind),
				  "%s: the naive loop's bits, %s", name, data[kind]);
	}
	check(km_simd_supported(KM_SIMD_AUTO) &&
		  km_simd_supported(KM_SIMD_BASELINE) &&
		  km_simd_supported(km_simd_resolve(KM_SIMD_AUTO)),
		  "there is always a kernel");
}

/* Tables against plain one-hot vectors in long double. */
static void
test_tables(void)
{
	uint64_t	state = 5;
	double		worst = 0;
	double		worst_unseen = 0;
	bool		pure = true;

	for (int round = 0; round < 200; round++)
	{
		Case		test;
		int			n;
		double		factor;

		case_create(&test, &state, 0, 1, 7, SHARES);
		n = test.features[0].ncategories;
		factor = test.features[0].factor;
		for (int c = 0; c < 7; c++)
		{
			double	   *a = test.centers + c * n;
			double		sum = 0;

			/* c = 0: a center of a single category */
			for (int v = 0; v < n; v++)
				sum += a[v] = c == 0 ? v == 0 : random_share(&state);
			for (int v = 0; v < n; v++)
				a[v] = factor * (a[v] / sum);
		}
		km_packed_set(&test.space, &test.packed, test.centers, 7);
		for (int c = 0; c < 7; c++)
		{
			const double *a = test.centers + c * n;
			long double unseen = (long double) factor * factor;

			for (int v = 0; v < n; v++)
			{
				long double d = 0;

				for (int u = 0; u < n; u++)
				{
					long double e = (u == v ? factor : 0) - (long double) a[u];

					d += e * e;
				}
				unseen += (long double) a[v] * a[v];
				worst = fmax(worst, fabs((double)
										 (d - test.packed.tables[0]
										  [v * test.packed.stride + c])));
			}
			unseen -= test.packed.unseen[c];
			worst_unseen = fmax(worst_unseen, fabs((double) unseen));
		}
		pure &= test.packed.tables[0][0] == 0;
		case_free(&test);
	}
	check(worst < 2e-15, "tables are distances of one-hot vectors");
	check(worst_unseen < 2e-15,
		  "a category never seen has a dimension of its own");
	check(pure, "a center of one category is at no distance from it");
}

/* Rows of one category differ by twice factor squared; unseen ones alike. */
static void
test_unseen_is_neutral(void)
{
	uint64_t	state = 6;
	Case		test;
	bool		neutral = true;

	do
		case_create(&test, &state, 0, 1, 2, PLAIN);
	while (test.features[0].ncategories != 5 && (case_free(&test), true));
	memset(test.centers, 0, sizeof(double) * 10);
	test.centers[0] = test.centers[5 + 1] = test.features[0].factor;
	km_packed_set(&test.space, &test.packed, test.centers, 2);
	for (int v = 0; v < 5; v++)
		neutral &= v < 2 || test.packed.tables[0][v * test.packed.stride] ==
			test.packed.unseen[0];
	neutral &= test.packed.unseen[0] == test.packed.unseen[1] &&
		test.packed.tables[0][test.packed.stride] == test.packed.unseen[0];
	check(neutral, "never seen: as far as from any other category");
	case_free(&test);
}

int
main(void)
{
	test_kernels();
	test_tables();
	test_unseen_is_neutral();
	return finish();
}
