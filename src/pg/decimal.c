/*
 * decimal.c
 *		From decimal numbers to the nearest double.
 *
 * The server converts a numeric by printing it and parsing the text, in
 * some 200 ns; a column of them would take longer to read than to segment.
 * Here nearly all take one multiplication or division.  Every way rounds
 * once and correctly, so all give the same bits as the cast.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"

#include "compat.h"
#include "decimal.h"

/* ---- decimal fractions ---- */

/* Up to here an integer, and a power of ten, is a double without rounding. */
#define EXACT_INTEGER	(UINT64CONST(1) << 53)
#define EXACT_POWER		22

const double kseg_power_of_ten[EXACT_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

#ifdef HAVE_INT128

/* The largest power of ten in 64 bits. */
#define WIDE_POWER		19

static uint64
integer_power_of_ten(int n)
{
	uint64		power = 1;

	while (n-- > 0)
		power *= 10;
	return power;
}

/*
 * mantissa / 10^places, correctly rounded, for places up to EXACT_POWER.
 *
 * The mantissa is moved up against bit 127.  As 10^22 < 2^73.1, at least 54
 * bits of quotient are left: the 53 of the result and one to round by.
 * What was cut off only matters as zero or not.
 */
static double
divide_wide(uint64 mantissa, int places)
{
	int			shift = 63 - pg_leftmost_one_pos64(mantissa);
	uint128		quotient = (uint128) (mantissa << shift) << 64;
	int			first = Min(places, WIDE_POWER);
	uint64		divisor = integer_power_of_ten(first);
	bool		inexact;
	int			excess;
	uint64		high;
	uint64		result;
	uint128		rest;
	uint128		half;

	inexact = quotient % divisor != 0;
	quotient /= divisor;
	if (places > first)
	{
		/* a quotient of a quotient is the quotient by the product */
		divisor = integer_power_of_ten(places - first);
		inexact |= quotient % divisor != 0;
		quotient /= divisor;
	}

	high = (uint64) (quotient >> 64);
	excess = high != 0 ? pg_leftmost_one_pos64(high) + 64 - 52 :
		pg_leftmost_one_pos64((uint64) quotient) - 52;
	result = (uint64) (quotient >> excess);
	rest = quotient & (((uint128) 1 << excess) - 1);
	half = (uint128) 1 << (excess - 1);
	if (rest > half || (rest == half && (inexact || result % 2 != 0)))
		result++;
	return ldexp((double) result, excess - 64 - shift);
}
#endif

/* Does kseg_decimal_double() have a fast way for the exponent? */
static inline bool
is_near_exponent(int exponent)
{
#ifdef HAVE_INT128
	return exponent >= -EXACT_POWER && exponent <= WIDE_POWER;
#else
	return false;
#endif
}

/* The rare rest; apart, so that its buffer does not burden the others. */
static pg_noinline double
convert_slowly(uint64 mantissa, int exponent)
{
	char		text[48];

	if (mantissa == 0)
		return 0;
#ifdef HAVE_INT128
	if (is_near_exponent(exponent))
	{
		if (exponent < 0)
			return divide_wide(mantissa, -exponent);
		return (double) ((uint128) mantissa * integer_power_of_ten(exponent));
	}
#endif
	snprintf(text, sizeof(text), UINT64_FORMAT "e%d", mantissa, exponent);
	return strtod(text, NULL);
}

static inline double
convert(uint64 mantissa, int exponent)
{
	if (likely(mantissa <= EXACT_INTEGER))
	{
		/* a single operation on exact operands rounds once */
		if (exponent < 0 && exponent >= -EXACT_POWER)
			return (double) (int64) mantissa / kseg_power_of_ten[-exponent];
		if (exponent >= 0 && exponent <= EXACT_POWER)
			return (double) (int64) mantissa * kseg_power_of_ten[exponent];
	}
	return convert_slowly(mantissa, exponent);
}

double
kseg_decimal_double(uint64 mantissa, int exponent)
{
	return convert(mantissa, exponent);
}

/* ---- numeric ---- */

/*
 * More digits than 64 bits hold: the value lies between mantissa and
 * mantissa + 1.  Mostly both round to the same double; else the server's own
 * conversion by way of text decides, which is some ten times slower.
 */
static double
long_numeric_double(Datum value, uint64 mantissa, int exponent)
{
	Numeric		numeric;
	double		result;

	if (is_near_exponent(exponent) && mantissa < PG_UINT64_MAX)
	{
		result = convert(mantissa, exponent);
		if (result == convert(mantissa + 1, exponent))
			return result;
	}

	/* expand a short header here: the callee would leave its copy behind */
	numeric = DatumGetNumeric(value);
	result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												NumericGetDatum(numeric)));
	if ((Pointer) numeric != DatumGetPointer(value))
		pfree(numeric);
	return fabs(result);
}

double
kseg_numeric_double(Datum value)
{
	struct varlena *numeric = (struct varlena *) DatumGetPointer(value);
	struct varlena *fetched = NULL;
	const char *data;
	int			size;
	uint16		header;
	int			weight;
	int			ndigits;
	bool		is_negative;
	uint64		mantissa = 0;
	int			exponent;
	int			i = 0;
	double		result;

	if (unlikely(VARATT_IS_COMPRESSED(numeric) ||
				 VARATT_IS_EXTERNAL(numeric)))
		numeric = fetched = detoast_attr(numeric);
	data = VARDATA_ANY(numeric);
	size = (int) (VARSIZE_ANY_EXHDR(numeric) / sizeof(uint16));

	header = kseg_numeric_word(data, 0);
	if (unlikely((header & NUMERIC_SPECIAL) == NUMERIC_SPECIAL))
	{
		if ((header & NUMERIC_KIND) == NUMERIC_NAN)
			result = get_float8_nan();
		else
			result = (header & NUMERIC_KIND) == NUMERIC_INFINITY ?
				get_float8_infinity() : -get_float8_infinity();
		goto done;
	}
	if (header & NUMERIC_SHORT)
	{
		is_negative = (header & NUMERIC_SHORT_NEGATIVE) != 0;
		weight = header & NUMERIC_SHORT_WEIGHT;
		if (header & NUMERIC_SHORT_SIGN)
			weight -= NUMERIC_SHORT_WEIGHT + 1;
		data += sizeof(uint16);
		ndigits = size - 1;
	}
	else
	{
		is_negative = (header & NUMERIC_NEGATIVE) != 0;
		weight = (int16) kseg_numeric_word(data, 1);
		data += 2 * sizeof(uint16);
		ndigits = size - 2;
	}

	while (i < ndigits &&
		   mantissa <= (PG_UINT64_MAX - (NUMERIC_BASE - 1)) / NUMERIC_BASE)
		mantissa = mantissa * NUMERIC_BASE + kseg_numeric_word(data, i++);
	exponent = (weight - i + 1) * NUMERIC_DIGITS;

	if (likely(i == ndigits))
	{
		/* 12345678901234.5 ends in three zeros that push it beyond 2^53 */
		while (mantissa > EXACT_INTEGER && mantissa % 10 == 0)
		{
			mantissa /= 10;
			exponent++;
		}
		result = convert(mantissa, exponent);
	}
	else
	{
		int			digit = kseg_numeric_word(data, i);
		int			place = NUMERIC_BASE / 10;

		for (; mantissa <= (PG_UINT64_MAX - 9) / 10 && place > 0; place /= 10)
		{
			mantissa = mantissa * 10 + digit / place % 10;
			exponent--;
		}
		result = long_numeric_double(PointerGetDatum(numeric), mantissa,
									 exponent);
	}
	if (is_negative)
		result = -result;

done:
	if (unlikely(fetched != NULL))
		pfree(fetched);
	return result;
}

bool
kseg_numeric_is_short(Datum value)
{
	struct varlena *numeric = (struct varlena *) DatumGetPointer(value);
	const char *data;
	int			ndigits;
	int			weight;
	uint16		header;

	/* too long to be inline as it is */
	if (unlikely(VARATT_IS_COMPRESSED(numeric) ||
				 VARATT_IS_EXTERNAL(numeric)))
		return false;
	data = VARDATA_ANY(numeric);
	ndigits = (int) (VARSIZE_ANY_EXHDR(numeric) / sizeof(uint16)) - 1;
	header = kseg_numeric_word(data, 0);
	/* what takes the long form has many digits, or an odd weight */
	if ((header & NUMERIC_SPECIAL) != NUMERIC_SHORT)
		return false;
	if (ndigits == 0)
		return true;
	weight = header & NUMERIC_SHORT_WEIGHT;
	if (header & NUMERIC_SHORT_SIGN)
		weight -= NUMERIC_SHORT_WEIGHT + 1;
	/* 10,000^-60 is far from where doubles get coarse */
	if (weight < -60)
		return false;
	if (ndigits < 4)
		return true;
	return ndigits == 4 && (kseg_numeric_word(data, 1) < NUMERIC_BASE / 10 ||
							kseg_numeric_word(data, 4) % 10 == 0);
}
