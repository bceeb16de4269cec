/*
 * cut.h
 *		Cut points that are easy to read.
 */
#ifndef KSEG_CUT_H
#define KSEG_CUT_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* What a column's values, all doubles here, are written as. */
typedef enum KsegCutKind
{
	KSEG_CUT_NUMBER,
	KSEG_CUT_DATE,				/* seconds since 1970, whole days */
	KSEG_CUT_TIMESTAMP,			/* seconds since 1970, to the microsecond */
	KSEG_CUT_TIMESTAMPTZ,		/* the same, in UTC */
	KSEG_CUT_INTERVAL			/* seconds, to the microsecond */
} KsegCutKind;

/*
 * Up to here (until the year 2106) microseconds are different doubles, so
 * that a literal and a double tell the same values apart.
 */
#define KSEG_CUT_EXACT	4294967296.0

/* a cut as easy as this needs no improving: two digits, a month */
#define KSEG_CUT_SHORT	2

/*
 * An easy x with below < x <= above, both finite.  *length: how much there is
 * to read, in digits, or in parts of a date.
 */
extern double kseg_cut_choose(KsegCutKind kind, double below, double above,
							  int *length);

/* significant digits of a number */
extern int	kseg_cut_digits(double x);

/*
 * The cut as SQL: a number or a quoted literal without its type.  A moment or
 * interval has to be below KSEG_CUT_EXACT, a date may be any.
 */
extern void kseg_cut_print(StringInfo buffer, KsegCutKind kind, double cut);

#endif							/* KSEG_CUT_H */
