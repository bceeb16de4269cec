/*
 * decimal.h
 *		From decimal numbers to the nearest double.
 */
#ifndef KSEG_DECIMAL_H
#define KSEG_DECIMAL_H

#include "postgres.h"

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

#endif							/* KSEG_DECIMAL_H */
