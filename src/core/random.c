/*
 * random.c
 *		The logarithm behind exponential draws.
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
