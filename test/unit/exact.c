/*
 * exact.c
 *		Exact sums: against counting of single bits, and against 128-bit
 *		integers where those suffice.
 */
#include "tap.h"

/* bits below the point, bits above, room for carries */
#define REFERENCE_BITS	4400

typedef struct Reference
{
	int64_t		sum[REFERENCE_BITS];	/* unit 2^-1074 */
	int64_t		squares[REFERENCE_BITS];	/* unit 2^-2148 */
} Reference;

/* x as integer times 2^shift, shift from -1074 */
static int64_t
integer_part(double x, int *shift)
{
	int			exponent;
	double		m = frexp(x, &exponent);

	*shift = exponent - 53;
	if (*shift < -1074)
	{
		m = ldexp(m, *shift + 1074);
		*shift = -1074;
	}
	return (int64_t) ldexp(m, 53);
}

static void
reference_add(Reference *reference, double x)
{
	int			shift;
	int64_t		m = integer_part(x, &shift);
	uint64_t	size = (uint64_t) (m < 0 ? -m : m);
	unsigned __int128 square = (unsigned __int128) size * size;

	for (int j = 0; j < 53; j++)
		reference->sum[shift + 1074 + j] += m < 0 ?
			-(int64_t) ((size >> j) & 1) : (int64_t) ((size >> j) & 1);
	for (int j = 0; j < 106; j++)
		reference->squares[2 * (shift + 1074) + j] +=
			(int64_t) ((square >> j) & 1);
}

/* two's complement of n bits, as a string of 0 and 1 */
static void
settle_bits(const int64_t *counts, int n, char *bits)
{
	int64_t		carry = 0;

	for (int i = 0; i < n; i++)
	{
		int64_t		v = counts[i] + carry;
		int64_t		bit = v & 1;

		bits[i] = (char) bit;
		carry = (v - bit) / 2;
	}
}

static bool
same_limbs(const int64_t *counts, const int64_t *limbs, int nlimbs)
{
	char		expected[REFERENCE_BITS];

	settle_bits(counts, REFERENCE_BITS, expected);
	for (int i = 0; i < nlimbs * 32; i++)
	{
		if (((limbs[i / 32] >> (i % 32)) & 1) != expected[i])
			return false;
	}
	return true;
}

static bool
same_state(const KmExact *a, const KmExact *b)
{
	KmExact		x = *a;
	KmExact		y = *b;

	km_exact_carry(&x);
	km_exact_carry(&y);
	return memcmp(&x, &y, sizeof(x)) == 0;
}

/* any finite double, all exponents alike */
static double
any_double(uint64_t *state)
{
	for (;;)
	{
		uint64_t	bits = random_bits(state);
		double		x;

		memcpy(&x, &bits, sizeof(x));
		if (isfinite(x))
			return x;
	}
}

static void
test_whole_range(void)
{
	static Reference reference;
	static const double special[] = {0, DBL_MAX, -DBL_MAX, DBL_MAX, DBL_MIN,
		-DBL_MIN, 5e-324, 5e-324, -5e-324, 1, -1, 0x1p53, 0x1p-1060, 1e308,
	1e308, -0.1};
	uint64_t	state = 1;
	KmExact		exact;

	km_exact_init(&exact);
	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
	{
		km_exact_add(&exact, special[i]);
		reference_add(&reference, special[i]);
	}
	km_exact_carry(&exact);
	check(same_limbs(reference.sum, exact.sum, KM_SUM_LIMBS) &&
		  same_limbs(reference.squares, exact.squares, KM_SQUARE_LIMBS),
		  "extreme values are summed bit by bit");
	for (int i = 0; i < 3000; i++)
	{
		double		x = any_double(&state);

		km_exact_add(&exact, x);
		reference_add(&reference, x);
	}
	km_exact_carry(&exact);
	check(same_limbs(reference.sum, exact.sum, KM_SUM_LIMBS),
		  "sum of random doubles of all exponents");
	check(same_limbs(reference.squares, exact.squares, KM_SQUARE_LIMBS),
		  "sum of their squares");
	check(exact.count == 3016 && exact.weight == 3016 &&
		  exact.min == -DBL_MAX && exact.max == DBL_MAX,
		  "count, least and greatest");
}

static void
test_order(void)
{
	enum
	{
		N = 2500
	};
	static double x[N];
	int			order[N];
	uint64_t	state = 2;
	KmExact		forward;
	KmExact		shuffled;
	bool		same = true;
	bool		merged = true;

	km_exact_init(&forward);
	for (int i = 0; i < N; i++)
	{
		x[i] = any_double(&state);
		order[i] = i;
		km_exact_add(&forward, x[i]);
	}
	for (int round = 0; round < 5; round++)
	{
		KmExact		parts[3];
		KmExact		whole;

		shuffle(&state, order, N);
		km_exact_init(&shuffled);
		km_exact_init(&whole);
		for (int p = 0; p < 3; p++)
			km_exact_init(&parts[p]);
		for (int i = 0; i < N; i++)
		{
			km_exact_add(&shuffled, x[order[i]]);
			km_exact_add(&parts[random_below(&state, 3)], x[order[i]]);
		}
		same &= same_state(&forward, &shuffled);
		for (int p = 0; p < 3; p++)
			km_exact_merge(&whole, &parts[p]);
		merged &= same_state(&forward, &whole);
	}
	check(same, "any order gives the same state");
	check(merged, "any split and merge gives the same state");
	km_exact_init(&shuffled);
	km_exact_merge(&shuffled, &forward);
	check(same_state(&forward, &shuffled), "merging into an empty state");
	km_exact_init(&shuffled);
	km_exact_merge(&forward, &shuffled);
	check(forward.count == N && forward.min < forward.max,
		  "merging an empty state");
}

static void
test_many(void)
{
	enum
	{
		N = 5000
	};
	static double x[N];
	static double weights[N];
	uint64_t	state = 3;
	TestHost	host;
	KmExactScratch *scratch;
	KmExact		one;
	KmExact		many;
	KmExact		weighted;
	KmExact		repeated;

	host_init(&host);
	scratch = km_exact_scratch(&host.host);
	km_exact_init(&one);
	km_exact_init(&many);
	km_exact_init(&weighted);
	km_exact_init(&repeated);
	for (int i = 0; i < N; i++)
	{
		x[i] = i % 3 == 0 ? any_double(&state) :
			random_normal(&state) * (i % 3 == 1 ? 1 : 1e-300);
		weights[i] = 1 + random_below(&state, 4);
		if (i % 17 == 0)
			x[i] = NAN;
		else
			km_exact_add(&one, x[i]);
		for (int w = 0; w < weights[i] && !isnan(x[i]); w++)
			km_exact_add(&repeated, x[i]);
	}
	km_exact_add_many(&many, scratch, x, NULL, 700);
	km_exact_add_many(&many, scratch, x + 700, NULL, N - 700);
	check(same_state(&one, &many), "add_many is add, without the NaNs");
	km_exact_add_many(&weighted, scratch, x, weights, N);
	repeated.count = weighted.count;
	check(same_state(&repeated, &weighted), "weight w is w values");

	/* 2^40 on each of 1,024 largest values in one bucket */
	for (int i = 0; i < 1024; i++)
	{
		x[i] = DBL_MAX;
		weights[i] = 0x1p40;
	}
	km_exact_init(&many);
	km_exact_add_many(&many, scratch, x, weights, 1024);
	{
		double		mean;
		double		sd;

		km_exact_moments(&many, &mean, &sd);
		check(mean == DBL_MAX && sd == 0 &&
			  many.weight == INT64_C(1) << 50,
			  "largest values with large weights");
	}
	km_free(&host.host, scratch);
}

/* within two units in the last place */
static bool
two_ulps(double a, long double truth)
{
	double		t = (double) truth;

	return fabsl((long double) a - truth) <=
		2 * (nextafter(fabs(t), INFINITY) - fabs(t));
}

static void
test_moments(void)
{
	static const double offsets[] = {0, 1, 1e6, 1e12, 0x1p52};
	uint64_t	state = 4;
	bool		means = true;
	bool		deviations = true;

	for (int round = 0; round < 200; round++)
	{
		double		offset = offsets[round % 5];
		int			n = 2 + random_below(&state, 500);
		int			shift = random_below(&state, 1800) - 950;
		__int128	sum = 0;
		__int128	squares = 0;
		KmExact		exact;
		double		mean;
		double		sd;

		km_exact_init(&exact);
		for (int i = 0; i < n; i++)
		{
			int64_t		v = (int64_t) offset + random_below(&state, 1000);

			/* squares about the offset: 128 bits hold them */
			sum += v - (int64_t) offset;
			squares += (__int128) (v - (int64_t) offset) *
				(v - (int64_t) offset);
			km_exact_add(&exact, ldexp((double) v, shift));
		}
		km_exact_moments(&exact, &mean, &sd);
		means &= two_ulps(ldexp(mean, -shift), (long double) (int64_t) offset +
						  (long double) sum / n);
		deviations &= two_ulps(ldexp(sd, -shift), sqrtl
							   ((long double) (n * squares - sum * sum)) / n);
	}
	check(means, "mean within two ulps, whatever the offset");
	check(deviations, "standard deviation within two ulps likewise");
}

static void
moments_of(const double *x, int n, double *mean, double *sd)
{
	KmExact		exact;

	km_exact_init(&exact);
	for (int i = 0; i < n; i++)
		km_exact_add(&exact, x[i]);
	km_exact_moments(&exact, mean, sd);
}

static void
test_extremes(void)
{
	double		mean;
	double		sd;

	moments_of((double[]) {1e308, 1e308, 1e308}, 3, &mean, &sd);
	check(mean == 1e308 && sd == 0, "three times 1e308");
	moments_of((double[]) {DBL_MAX, -DBL_MAX}, 2, &mean, &sd);
	check(mean == 0 && sd == DBL_MAX, "largest and least double");
	moments_of((double[]) {5e-324, 5e-324, 5e-324, 15e-324}, 4, &mean, &sd);
	check(mean == 10e-324 && sd == 5e-324, "denormals");
	moments_of((double[]) {0, 0, 0}, 3, &mean, &sd);
	check(mean == 0 && sd == 0 && !signbit(mean), "zeros");
	moments_of((double[]) {1e15, 1e15 + 1, 1e15 + 2, 1e15 + 3, 1e15 + 4}, 5,
			   &mean, &sd);
	check(mean == 1e15 + 2 && sd == sqrt(2), "0 to 4, and 1e15");
	moments_of((double[]) {1e300, 1, -1e300}, 3, &mean, &sd);
	check(mean == 1.0 / 3, "1 between 1e300 and -1e300 is not lost");
	moments_of((double[]) {1, 0x1p-53, 0x1p-900, 0}, 4, &mean, &sd);
	check(mean == (1 + 0x1p-52) / 4, "a far bit decides a tie in rounding");
	moments_of(NULL, 0, &mean, &sd);
	check(mean == 0 && sd == 0, "no values");
}

static void
test_constant(void)
{
	uint64_t	state = 5;
	bool		same = true;
	bool		inside = true;

	for (int round = 0; round < 3000; round++)
	{
		double		x[50];
		int			n = 1 + random_below(&state, 50);
		double		mean;
		double		sd;

		for (int i = 0; i < n; i++)
			x[i] = i == 0 ? random_normal(&state) : x[0];
		moments_of(x, n, &mean, &sd);
		same &= mean == x[0] && sd == 0;
		x[0] = nextafter(x[0], INFINITY);
		moments_of(x, n, &mean, &sd);
		inside &= mean <= x[0] && (n == 1 || mean >= x[1]);
	}
	check(same, "equal values: the mean is the value, deviation 0");
	check(inside, "the mean is never outside the values");
}

/* Pretend that so much was added that carries are due. */
static void
test_carries(void)
{
	KmExact		early;
	KmExact		late;

	km_exact_init(&early);
	km_exact_init(&late);
	for (int i = 0; i < 1000; i++)
	{
		double		x = i % 2 == 0 ? -DBL_MAX : nextafter(1, 2);

		if (i == 500)
			early.pending = INT64_C(1) << 29;
		km_exact_add(&early, x);
		km_exact_add(&late, x);
	}
	check(early.pending < late.pending && same_state(&early, &late),
		  "the time of carries does not matter");
}

int
main(void)
{
	test_whole_range();
	test_order();
	test_many();
	test_moments();
	test_extremes();
	test_constant();
	test_carries();
	return finish();
}
