/*
 * random.c
 *		What stands in for chance: the logarithm behind exponential draws, and
 *		hashes.
 *
 * libm's log may differ in its last bit between machines, and a model must
 * not.  This one uses IEEE additions, multiplications and divisions only.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/*
 * ln x = 2 atanh((m - 1) / (m + 1)) + e ln 2 with x = m 2^e and m between
 * sqrt(1/2) and sqrt(2).  The series' first term left out is below 1e-17.
 */
double
km_log(double x)
{
	uint64_t	bits;
	int			exponent;
	double		m;
	double		s;
	double		s2;
	double		series = 0;

	memcpy(&bits, &x, sizeof(bits));
	exponent = (int) (bits >> 52) - 1023;
	bits = (bits & UINT64_C(0x000fffffffffffff)) |
		UINT64_C(0x3ff0000000000000);
	memcpy(&m, &bits, sizeof(m));
	if (m > 1.4142135623730951)
	{
		m *= 0.5;
		exponent++;
	}
	s = (m - 1) / (m + 1);
	s2 = s * s;
	for (int power = 21; power >= 1; power -= 2)
		series = series * s2 + 1.0 / power;
	return 2 * s * series + exponent * 0.69314718055994530942;
}

#define HASH_START		UINT64_C(0x9e3779b97f4a7c15)
#define HASH_FACTOR		UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t
hash_word(uint64_t hash, uint64_t word)
{
	return km_mix((hash ^ word) * HASH_FACTOR);
}

uint64_t
km_hash_values(const double *values, int n)
{
	uint64_t	hash = HASH_START;

	for (int i = 0; i < n; i++)
	{
		double		value = isnan(values[i]) ? INFINITY : values[i] + 0.0;
		uint64_t	bits;

		/* a value is finite, so that infinity is free to stand for none */
		memcpy(&bits, &value, sizeof(bits));
		hash = hash_word(hash, bits);
	}
	return hash;
}

uint64_t
km_hash_text(uint64_t hash, const char *text, size_t length)
{
	hash = hash_word(hash, length);
	for (size_t i = 0; i < length; i += 8)
	{
		uint64_t	word = 0;

		/* byte by byte: the same word whatever the machine's order */
		for (size_t b = i; b < length && b < i + 8; b++)
			word |= (uint64_t) (unsigned char) text[b] << (8 * (b - i));
		hash = hash_word(hash, word);
	}
	return hash;
}
