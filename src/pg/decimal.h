/*
 * decimal.h
 *		From decimal numbers to the nearest double.
 */
#ifndef KSEG_DECIMAL_H
#define KSEG_DECIMAL_H

#include "postgres.h"

#include "compat.h"

/* mantissa x 10^exponent, correctly rounded; infinity when beyond double */
extern double kseg_decimal_double(uint64 mantissa, int exponent);

/*
 * The double that a cast of the numeric to float8 gives, but infinity where
 * the cast fails because the number is too large, and zero where it is too
 * small.
 */
extern double kseg_numeric_double(Datum value);

/*
 * Has the numeric at most 15 significant digits (and is it zero, or not
 * near the smallest doubles)?  Such numbers are as far apart as doubles as
 * they are as numerics.
 */
extern bool kseg_numeric_is_short(Datum value);

/*
 * A numeric as it is stored, see numeric.c, which keeps this to itself; it
 * has not changed since 9.1 and cannot, for pg_upgrade.  A header word of
 * flags, followed in the long form by a word of weight, then digits to the
 * base of 10,000 of which the first counts 10,000^weight.
 */
#define NUMERIC_SPECIAL			0xC000	/* both bits: NaN or infinity */
#define NUMERIC_NEGATIVE		0x4000	/* of the long form */
#define NUMERIC_SHORT			0x8000
#define NUMERIC_SHORT_NEGATIVE	0x2000
#define NUMERIC_SHORT_SIGN		0x0040	/* of the weight */
#define NUMERIC_SHORT_WEIGHT	0x003F
#define NUMERIC_KIND			0xF000
#define NUMERIC_NAN				0xC000
#define NUMERIC_INFINITY		0xD000
#define NUMERIC_BASE			10000
#define NUMERIC_DIGITS			4		/* decimal ones in one of base 10000 */

/* digits stand at odd addresses when the value has a short header */
static inline uint16
kseg_numeric_word(const char *data, int index)
{
	uint16		word;

	memcpy(&word, data + index * sizeof(word), sizeof(word));
	return word;
}

extern const double kseg_power_of_ten[];

/*
 * The same for a numeric as nearly every one in a table is: with a short
 * header, at most 12 digits before the point and no zeros to fill up behind
 * it; false for others.  There are one to three digits to the base of 10,000,
 * which are taken as three, with zeros for those that are missing: how many
 * there are changes from row to row and cannot be predicted, and a quotient of
 * the same value rounds to the same double.
 */
static inline bool
kseg_numeric_quick(Datum value, double *result)
{
	const char *data = (const char *) DatumGetPointer(value);
	uint8		first = (uint8) *data;
	int			ndigits = (first >> 2) - 1;
	uint16		header;
	int			weight;
	int64		mantissa;

	/* of one byte, and of a value that is here; without digits it is zero */
	if (unlikely(!VARATT_IS_1B(data) || ndigits < 1 || ndigits > 3))
		return false;
	data += VARHDRSZ_SHORT;
	header = kseg_numeric_word(data, 0);
	weight = header & NUMERIC_SHORT_WEIGHT;
	if (unlikely((header & NUMERIC_SPECIAL) != NUMERIC_SHORT ||
				 (header & NUMERIC_SHORT_SIGN) != 0 || weight > 2))
		return false;

	mantissa = kseg_numeric_word(data, 1);
	mantissa = mantissa * NUMERIC_BASE +
		(kseg_numeric_word(data, Min(ndigits, 2)) & -(ndigits > 1));
	mantissa = mantissa * NUMERIC_BASE +
		(kseg_numeric_word(data, ndigits) & -(ndigits > 2));
	if (header & NUMERIC_SHORT_NEGATIVE)
		mantissa = -mantissa;
	*result = (double) mantissa /
		kseg_power_of_ten[(2 - weight) * NUMERIC_DIGITS];
	return true;
}

#endif							/* KSEG_DECIMAL_H */
