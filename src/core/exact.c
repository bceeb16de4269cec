/*
 * exact.c
 *		Exact sums and sums of squares of doubles.
 *
 * A double is an integer of 53 bits times a power of two.  Values are first
 * gathered by exponent (one 128-bit addition each), and the buckets are then
 * added to long fixed-point numbers of 32-bit limbs kept in int64, so that
 * carries can wait.  Mean and variance come from integer arithmetic on those:
 * n * sum(x^2) - sum(x)^2 has no cancellation, whatever the data's offset.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* additions of up to 2^32 to a limb before carries must move */
#define CARRY_EVERY		(INT64_C(1) << 29)

/* m^2 < 2^106 and a weight is below 2^52: this many may share a bucket */
#define BUCKET_VALUES	1024

typedef struct Bucket
{
	KmWide		sum;			/* of m * w */
	KmUWide		low;			/* of (m^2 mod 2^64) * w */
	KmUWide		high;			/* of (m^2 / 2^64) * w */
} Bucket;

struct KmExactScratch
{
	Bucket		buckets[2048];	/* by biased exponent; all zero between uses */
};

void
km_exact_init(KmExact *exact)
{
	memset(exact, 0, sizeof(*exact));
	exact->min = INFINITY;
	exact->max = -INFINITY;
}

KmExactScratch *
km_exact_scratch(const KmHost *host)
{
	return km_alloc_zero(host, 1, sizeof(KmExactScratch));
}

/* integer mantissa with sign, and the power of two above 2^-1074 */
static inline int64_t
split_double(double x, int *shift)
{
	uint64_t	bits;
	int			exponent;
	int64_t		m;

	memcpy(&bits, &x, sizeof(bits));
	exponent = (int) ((bits >> 52) & 0x7ff);
	m = (int64_t) (bits & UINT64_C(0x000fffffffffffff));
	if (exponent != 0)
		m |= INT64_C(1) << 52;
	*shift = exponent;
	return (int64_t) bits < 0 ? -m : m;
}

/* limbs += value * 2^bit */
static void
add_wide(int64_t *limbs, KmUWide value, bool negative, int bit)
{
	int			limb = bit / 32;
	int			shift = bit % 32;
	KmUWide		low = value & 0xffffffff;

	/* the lowest 32 bits apart, so that the shift cannot overflow */
	value >>= 32;
	low <<= shift;
	for (int i = 0; low != 0; i++, low >>= 32)
		limbs[limb + i] += negative ? -(int64_t) (low & 0xffffffff)
			: (int64_t) (low & 0xffffffff);
	limb++;
	while (value != 0)
	{
		uint64_t	part = (uint64_t) (value & 0xffffffff) << shift;
		int64_t		here = (int64_t) (part & 0xffffffff);
		int64_t		next = (int64_t) (part >> 32);

		limbs[limb] += negative ? -here : here;
		limbs[limb + 1] += negative ? -next : next;
		value >>= 32;
		limb++;
	}
}

static void
carry_limbs(int64_t *limbs, int n)
{
	int64_t		carry = 0;

	for (int i = 0; i < n - 1; i++)
	{
		int64_t		v = limbs[i] + carry;

		limbs[i] = (int64_t) ((uint64_t) v & 0xffffffff);
		carry = (v - limbs[i]) / (INT64_C(1) << 32);
	}
	limbs[n - 1] += carry;		/* keeps the sign */
}

void
km_exact_carry(KmExact *exact)
{
	carry_limbs(exact->sum, KM_SUM_LIMBS);
	carry_limbs(exact->squares, KM_SQUARE_LIMBS);
	exact->pending = 0;
}

static inline void
note_additions(KmExact *exact, int64_t n)
{
	exact->pending += n;
	if (exact->pending > CARRY_EVERY)
		km_exact_carry(exact);
}

static void
add_bucket(KmExact *exact, const Bucket *bucket, int exponent)
{
	int			bit = exponent > 0 ? exponent - 1 : 0;
	bool		negative = bucket->sum < 0;
	KmUWide		sum = negative ? -(KmUWide) bucket->sum
		: (KmUWide) bucket->sum;

	add_wide(exact->sum, sum, negative, bit);
	add_wide(exact->squares, bucket->low, false, 2 * bit);
	add_wide(exact->squares, bucket->high, false, 2 * bit + 64);
	note_additions(exact, 8);
}

void
km_exact_add(KmExact *exact, double x)
{
	int			exponent;
	int64_t		m = split_double(x, &exponent);
	KmUWide		square = (KmUWide) ((KmWide) m * m);
	Bucket		bucket;

	bucket.sum = m;
	bucket.low = (uint64_t) square;
	bucket.high = square >> 64;
	add_bucket(exact, &bucket, exponent);
	exact->count++;
	exact->weight++;
	if (x < exact->min)
		exact->min = x;
	if (x > exact->max)
		exact->max = x;
}

void
km_exact_add_many(KmExact *exact, KmExactScratch *scratch, const double *x,
				  const double *weights, int n)
{
	Bucket	   *buckets = scratch->buckets;

	while (n > 0)
	{
		int			chunk = n < BUCKET_VALUES ? n : BUCKET_VALUES;
		int			lowest = 2047;
		int			highest = 0;
		double		min = exact->min;
		double		max = exact->max;
		int64_t		count = 0;

		for (int i = 0; i < chunk; i++)
		{
			int			exponent;
			int64_t		m = split_double(x[i], &exponent);
			KmUWide		square = (KmUWide) ((KmWide) m * m);

			if (exponent == 2047)
				continue;		/* NaN: missing */
			count++;
			lowest = exponent < lowest ? exponent : lowest;
			highest = exponent > highest ? exponent : highest;
			min = x[i] < min ? x[i] : min;
			max = x[i] > max ? x[i] : max;
			if (weights == NULL)
			{
				buckets[exponent].sum += m;
				buckets[exponent].low += square;
			}
			else
			{
				int64_t		w = (int64_t) weights[i];

				buckets[exponent].sum += (KmWide) m * w;
				buckets[exponent].low += (KmUWide) (uint64_t) square *
					(uint64_t) w;
				buckets[exponent].high += (square >> 64) * (uint64_t) w;
				exact->weight += w;
			}
		}
		exact->count += count;
		if (weights == NULL)
			exact->weight += count;
		exact->min = min;
		exact->max = max;
		for (int e = lowest; e <= highest; e++)
		{
			if (buckets[e].low == 0 && buckets[e].high == 0)
				continue;
			add_bucket(exact, &buckets[e], e);
			memset(&buckets[e], 0, sizeof(Bucket));
		}
		x += chunk;
		if (weights != NULL)
			weights += chunk;
		n -= chunk;
	}
}

void
km_exact_merge(KmExact *into, const KmExact *from)
{
	KmExact		other = *from;

	km_exact_carry(into);
	km_exact_carry(&other);
	for (int i = 0; i < KM_SUM_LIMBS; i++)
		into->sum[i] += other.sum[i];
	for (int i = 0; i < KM_SQUARE_LIMBS; i++)
		into->squares[i] += other.squares[i];
	km_exact_carry(into);
	into->count += other.count;
	into->weight += other.weight;
	if (other.min < into->min)
		into->min = other.min;
	if (other.max > into->max)
		into->max = other.max;
}

/* ---- from limbs to doubles ---- */

/* magnitude as 32-bit digits, lowest first; true when negative */
static bool
magnitude(const int64_t *limbs, int n, uint32_t *digits)
{
	int64_t		copy[KM_SQUARE_LIMBS];
	bool		negative;

	memcpy(copy, limbs, sizeof(int64_t) * n);
	carry_limbs(copy, n);
	negative = copy[n - 1] < 0;
	if (negative)
	{
		for (int i = 0; i < n; i++)
			copy[i] = -copy[i];
		carry_limbs(copy, n);
	}
	for (int i = 0; i < n; i++)
		digits[i] = (uint32_t) copy[i];
	return negative;
}

/* out = a * b, of na + nb digits */
static void
multiply(const uint32_t *a, int na, const uint32_t *b, int nb, uint32_t *out)
{
	memset(out, 0, sizeof(uint32_t) * (na + nb));
	for (int i = 0; i < na; i++)
	{
		uint64_t	carry = 0;

		if (a[i] == 0)
			continue;
		for (int j = 0; j < nb; j++)
		{
			uint64_t	t = (uint64_t) a[i] * b[j] + out[i + j] + carry;

			out[i + j] = (uint32_t) t;
			carry = t >> 32;
		}
		out[i + nb] = (uint32_t) carry;
	}
}

/* a -= b, a >= b, both of n digits */
static void
subtract(uint32_t *a, const uint32_t *b, int n)
{
	int64_t		borrow = 0;

	for (int i = 0; i < n; i++)
	{
		int64_t		t = (int64_t) a[i] - b[i] + borrow;

		a[i] = (uint32_t) t;
		borrow = t < 0 ? -1 : 0;
	}
}

/* the number as mantissa * 2^exponent, mantissa correctly rounded; 0: 0 */
static double
leading_bits(const uint32_t *digits, int n, int *exponent)
{
	KmUWide		top = 0;
	int			highest = n - 1;
	int			lowest;

	while (highest >= 0 && digits[highest] == 0)
		highest--;
	*exponent = 0;
	if (highest < 0)
		return 0;
	lowest = highest - 3;
	for (int i = highest; i >= lowest; i--)
		top = (top << 32) | (i >= 0 ? digits[i] : 0);
	/* a sticky bit, so that the conversion rounds as if it saw all digits */
	for (int i = lowest - 1; i >= 0; i--)
	{
		if (digits[i] != 0)
		{
			top |= 1;
			break;
		}
	}
	*exponent = 32 * lowest;
	return (double) top;
}

void
km_exact_moments(const KmExact *exact, double *mean, double *sd)
{
	uint32_t	s[KM_SUM_LIMBS];
	uint32_t	q[KM_SQUARE_LIMBS];
	uint32_t	n[2];
	uint32_t	nq[KM_SQUARE_LIMBS + 2 + 2 * KM_SUM_LIMBS];
	uint32_t	ss[2 * KM_SUM_LIMBS];
	int			exponent;
	double		top;
	double		weight = (double) exact->weight;
	bool		negative;
	int			digits = KM_SQUARE_LIMBS + 2;

	*mean = 0;
	*sd = 0;
	if (exact->weight == 0)
		return;

	negative = magnitude(exact->sum, KM_SUM_LIMBS, s);
	top = leading_bits(s, KM_SUM_LIMBS, &exponent);
	*mean = ldexp(top / weight, exponent - 1074);
	if (negative)
		*mean = -*mean;
	/* two roundings may leave the range by a bit; a constant is its mean */
	if (*mean < exact->min)
		*mean = exact->min;
	if (*mean > exact->max)
		*mean = exact->max;

	/* n^2 variance = n * sum(x^2) - sum(x)^2, never below zero */
	(void) magnitude(exact->squares, KM_SQUARE_LIMBS, q);
	n[0] = (uint32_t) exact->weight;
	n[1] = (uint32_t) (exact->weight >> 32);
	memset(nq, 0, sizeof(nq));
	multiply(q, KM_SQUARE_LIMBS, n, 2, nq);
	multiply(s, KM_SUM_LIMBS, s, KM_SUM_LIMBS, ss);
	if (digits < 2 * KM_SUM_LIMBS)
		digits = 2 * KM_SUM_LIMBS;
	subtract(nq, ss, 2 * KM_SUM_LIMBS);
	top = leading_bits(nq, digits, &exponent);
	if (exponent % 2 != 0)
	{
		top *= 2;
		exponent--;
	}
	*sd = ldexp(sqrt(top) / weight, exponent / 2 - 1074);
}
