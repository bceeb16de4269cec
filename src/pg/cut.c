/*
 * cut.c
 *		Cut points that are easy to read.
 *
 * Between two values of a column there is room for many a cut that tells the
 * same rows apart.  The one taken has as few digits as possible (or is the
 * start of a year, a month, a day), no more decimals than the two values
 * have, and is in the middle if that costs nothing.  What is printed is
 * exactly the double that rows are compared with.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "cut.h"
#include "decimal.h"
#include "kseg.h"

/* a cut in the middle may have so many digits */
#define MIDDLE_DIGITS	3

/* What a cut must be: above "below", and within low .. high. */
typedef struct CutRange
{
	double		below;
	double		low;
	double		high;
} CutRange;

static bool
is_within(const CutRange *range, double x)
{
	return x > range->below && x >= range->low && x <= range->high;
}

static double
middle(const CutRange *range)
{
	return range->low / 2 + range->high / 2;
}

/* The inner half: a cut there is far from both values. */
static CutRange
inner_half(const CutRange *range)
{
	double		quarter = range->high / 4 - range->below / 4;

	return (CutRange) {
		.below = range->below,
		.low = range->below + quarter,
		.high = range->high - quarter
	};
}

/* ---- numbers ---- */

/*
 * Significant digits of the shortest decimal that is this double, and its
 * decimal places.
 */
static void
measure_decimal(double x, int *digits, int *places)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			zeros = 0;
	int			after_point = 0;
	int			exponent = 0;
	bool		seen_point = false;

	(void) double_to_shortest_decimal_buf(fabs(x), text);
	*digits = 0;
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == 'e')
		{
			exponent = (int) strtol(c + 1, NULL, 10);
			break;
		}
		if (*c == '.')
		{
			seen_point = true;
			continue;
		}
		after_point += seen_point;
		/* zeros count when another digit comes after them */
		if (*c == '0')
			zeros += *digits > 0;
		else
		{
			*digits += zeros + 1;
			zeros = 0;
		}
	}
	*places = Max(after_point - exponent, 0);
}

int
kseg_cut_digits(double x)
{
	int			digits;
	int			places;

	measure_decimal(x, &digits, &places);
	return digits;
}

/* The multiple of factor x 10^exponent in the range nearest its middle. */
static bool
try_step(const CutRange *range, int factor, int exponent, double *cut)
{
	double		step = kseg_decimal_double(factor, exponent);
	double		center = middle(range);
	double		multiple;

	if (step == 0 || isinf(step) || fabs(center / step) > 1e16)
		return false;
	multiple = floor(center / step);
	/* of its two neighbours the nearer one first */
	for (int i = 0; i < 2; i++)
	{
		bool		upper = (center / step - multiple > 0.5) != (i == 1);
		double		m = multiple + (upper ? 1 : 0);
		double		x = kseg_decimal_double((uint64) fabs(m) * factor,
											exponent);

		x = m < 0 ? -x : x;
		if (is_within(range, x))
		{
			*cut = x;
			return true;
		}
	}
	return false;
}

/* Steps of 100, 50, 10, 5, 1, 0.5 ... until one is in the range. */
static bool
find_number(const CutRange *range, int places, int max_digits, double *cut)
{
	int			binary;
	int			top;

	(void) frexp(Max(fabs(range->low), fabs(range->high)), &binary);
	top = (int) ceil(binary * 0.30103);
	for (int exponent = top; exponent >= Max(-places, top - 18); exponent--)
	{
		if (try_step(range, 1, exponent, cut) ||
			(exponent > -places && try_step(range, 5, exponent - 1, cut)))
			return kseg_cut_digits(*cut) <= max_digits;
	}
	return false;
}

static double
choose_number(const CutRange *range, int *length)
{
	CutRange	inner = inner_half(range);
	double		cut;
	int			digits;
	int			places;
	int			other_places;

	measure_decimal(range->below, &digits, &places);
	measure_decimal(range->high, &digits, &other_places);
	places = Max(places, other_places);
	if (!find_number(&inner, places, MIDDLE_DIGITS, &cut) &&
		!find_number(range, places, DBL_DIG + 2, &cut))
		cut = range->high;
	*length = kseg_cut_digits(cut);
	return cut;
}

/* ---- moments ---- */

typedef enum Unit
{
	UNIT_YEAR = 1,
	UNIT_MONTH,
	UNIT_DAY,
	UNIT_HOUR,
	UNIT_MINUTE,
	UNIT_SECOND
} Unit;

#define EPOCH_SECONDS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* seconds since 1970, of so many since 2000 */
static double
from_seconds(int64 seconds)
{
	return (double) (seconds + EPOCH_SECONDS);
}

static int64
floor_to(int64 x, int64 unit)
{
	int64		rest = x % unit;

	return x - (rest < 0 ? rest + unit : rest);
}

/*
 * When the unit that this second is in started, or the next one starts; in
 * seconds since 2000.
 */
static int64
unit_start(int64 second, Unit unit, bool next)
{
	static const int lengths[] = {
		[UNIT_DAY] = SECS_PER_DAY,
		[UNIT_HOUR] = SECS_PER_HOUR,
		[UNIT_MINUTE] = SECS_PER_MINUTE,
		[UNIT_SECOND] = 1
	};
	int			year;
	int			month;
	int			day;

	if (unit >= UNIT_DAY)
		return floor_to(second, lengths[unit]) + (next ? lengths[unit] : 0);

	j2date((int) (floor_to(second, SECS_PER_DAY) / SECS_PER_DAY) +
		   POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (unit == UNIT_YEAR)
		month = 1;
	if (next && (unit == UNIT_YEAR || month == MONTHS_PER_YEAR))
	{
		year++;
		month = 1;
	}
	else if (next)
		month++;
	return ((int64) date2j(year, month, 1) - POSTGRES_EPOCH_JDATE) *
		SECS_PER_DAY;
}

/* The start of the longest unit that is in the range. */
static bool
find_moment(const CutRange *range, Unit last, double *cut, Unit *unit)
{
	double		center = floor(middle(range)) - (double) EPOCH_SECONDS;

	for (*unit = UNIT_YEAR; *unit <= last; (*unit)++)
	{
		double		before = from_seconds(unit_start((int64) center, *unit,
													 false));
		double		after = from_seconds(unit_start((int64) center, *unit,
													true));
		bool		has_before = is_within(range, before);
		bool		has_after = is_within(range, after);

		if (!has_before && !has_after)
			continue;
		if (has_before && has_after)
			has_before = middle(range) - before <= after - middle(range);
		*cut = has_before ? before : after;
		return true;
	}
	return false;
}

static double
choose_moment(KsegCutKind kind, const CutRange *range, int *length)
{
	CutRange	inner = inner_half(range);
	double		cut;
	Unit		unit;

	if (!find_moment(&inner, UNIT_MONTH, &cut, &unit) &&
		!find_moment(range, kind == KSEG_CUT_DATE ? UNIT_DAY : UNIT_SECOND,
					 &cut, &unit))
	{
		cut = range->high;
		unit = kind == KSEG_CUT_DATE ? UNIT_DAY : UNIT_SECOND + 1;
	}
	*length = (int) unit;
	return cut;
}

/* ---- intervals ---- */

static const struct
{
	const char *name;
	int			seconds;
}			interval_units[] = {
	{"day", SECS_PER_DAY},
	{"hour", SECS_PER_HOUR},
	{"minute", SECS_PER_MINUTE}
};

/* Whole days, hours or minutes if there are any in the range, or seconds. */
static double
choose_interval(const CutRange *range, int *length)
{
	for (int u = 0; u < lengthof(interval_units); u++)
	{
		double		unit = interval_units[u].seconds;
		CutRange	scaled = {
			.below = range->below / unit,
			.low = range->low / unit,
			.high = range->high / unit
		};
		CutRange	inner = inner_half(&scaled);
		double		cut;

		if ((find_number(&inner, 0, MIDDLE_DIGITS, &cut) ||
			 find_number(&scaled, 0, DBL_DIG, &cut)) &&
			is_within(range, cut * unit))
		{
			*length = kseg_cut_digits(cut);
			return cut * unit;
		}
	}
	return choose_number(range, length);
}

double
kseg_cut_choose(KsegCutKind kind, double below, double above, int *length)
{
	CutRange	range = {.below = below,.low = below,.high = above};

	switch (kind)
	{
		case KSEG_CUT_DATE:
		case KSEG_CUT_TIMESTAMP:
		case KSEG_CUT_TIMESTAMPTZ:
			return choose_moment(kind, &range, length);
		case KSEG_CUT_INTERVAL:
			return choose_interval(&range, length);
		case KSEG_CUT_NUMBER:
			break;
	}
	return choose_number(&range, length);
}

/* ---- printing ---- */

/* Microseconds of so many seconds, which were made of microseconds. */
static int64
to_microseconds(double seconds)
{
	int64		guess = (int64) rint(seconds * USECS_PER_SEC);

	for (int64 us = guess - 1; us <= guess + 1; us++)
	{
		double		back = kseg_decimal_double((uint64) llabs(us), -6);

		if ((us < 0 ? -back : back) == seconds)
			return us;
	}
	elog(ERROR, "%.17g seconds are no microseconds", seconds);
}

static void
append_fraction(StringInfo buffer, int microseconds)
{
	int			length = 6;

	if (microseconds == 0)
		return;
	for (; microseconds % 10 == 0; microseconds /= 10)
		length--;
	appendStringInfo(buffer, ".%0*d", length, microseconds);
}

/* ISO 8601, which every DateStyle reads alike. */
static void
print_moment(StringInfo buffer, KsegCutKind kind, double cut)
{
	int64		second = (int64) floor(cut) - EPOCH_SECONDS;
	int64		days = floor_to(second, SECS_PER_DAY) / SECS_PER_DAY;
	int			of_day = (int) (second - days * SECS_PER_DAY);
	int			year;
	int			month;
	int			day;

	j2date((int) days + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	appendStringInfo(buffer, "'%04d-%02d-%02d", year > 0 ? year : 1 - year,
					 month, day);
	if (kind != KSEG_CUT_DATE)
	{
		int			fraction = 0;

		if (cut != floor(cut))
			fraction = (int) (to_microseconds(cut) -
							  (int64) floor(cut) * USECS_PER_SEC);
		if (of_day != 0 || fraction != 0 || kind == KSEG_CUT_TIMESTAMPTZ)
		{
			appendStringInfo(buffer, " %02d:%02d:%02d",
							 of_day / SECS_PER_HOUR,
							 of_day / SECS_PER_MINUTE % MINS_PER_HOUR,
							 of_day % SECS_PER_MINUTE);
			append_fraction(buffer, fraction);
		}
		if (kind == KSEG_CUT_TIMESTAMPTZ)
			appendStringInfoString(buffer, "+00");
	}
	appendStringInfoString(buffer, year > 0 ? "'" : " BC'");
}

/*
 * One unit only: with several, what a minus sign belongs to would depend on
 * IntervalStyle.
 */
static void
print_interval(StringInfo buffer, double cut)
{
	for (int u = 0; u < lengthof(interval_units); u++)
	{
		double		unit = interval_units[u].seconds;

		if (fmod(cut, unit) == 0)
		{
			double		n = cut / unit + 0.0;	/* no -0 */

			appendStringInfo(buffer, "'%.0f %s%s'", n, interval_units[u].name,
							 fabs(n) == 1 ? "" : "s");
			return;
		}
	}
	appendStringInfoChar(buffer, '\'');
	if (cut == floor(cut))
		appendStringInfo(buffer, "%.0f", cut);
	else
	{
		int64		us = to_microseconds(cut);

		appendStringInfo(buffer, "%s%lld", us < 0 ? "-" : "",
						 (long long) (llabs(us) / USECS_PER_SEC));
		append_fraction(buffer, (int) (llabs(us) % USECS_PER_SEC));
	}
	appendStringInfoString(buffer, " seconds'");
}

void
kseg_cut_print(StringInfo buffer, KsegCutKind kind, double cut)
{
	switch (kind)
	{
		case KSEG_CUT_DATE:
		case KSEG_CUT_TIMESTAMP:
		case KSEG_CUT_TIMESTAMPTZ:
			print_moment(buffer, kind, cut);
			break;
		case KSEG_CUT_INTERVAL:
			print_interval(buffer, cut);
			break;
		case KSEG_CUT_NUMBER:
			kseg_append_double(buffer, cut);
			break;
	}
}
