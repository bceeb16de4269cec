/*
 * policy.c
 *		refit_when and hold_when: the limits beyond which kseg_run() fits again,
 *		and those beyond which it does not publish what it fitted.
 *
 * Both are flat objects of numbers; null turns a limit off, which is infinity
 * here.  A limit that is not given has its default.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "../pg/errors.h"
#include "../pg/json.h"
#include "managed.h"
#include "messages.h"

typedef struct PolicyLimit
{
	const char *name;
	double		by_default;		/* infinity: off */
	double		least;			/* lower ones make no sense, */
	double		most;			/* nor do higher ones */
	bool		is_age;			/* an interval, in seconds */
} PolicyLimit;

/*
 * An index of 0.25 is what practice calls a major shift of a population; the
 * rest are round numbers that say the same of other figures.  Models do not
 * age by themselves, so age is off.
 */
static const PolicyLimit refit_limits[] = {
	{"psi", 0.25, 0, INFINITY, false},
	{"share_psi", 0.25, 0, INFINITY, false},
	{"inertia", 1.2, 1, INFINITY, false},
	{"age", INFINITY, 0, INFINITY, true}
};

/*
 * A refit that follows a drift moves some customers; one that moves a third of
 * them is another segmentation.
 */
static const PolicyLimit hold_limits[] = {
	{"moved", 0.3, 0, 1, false},
	{"vanished", 0.05, 0, 1, false},
	{"inertia", 0.1, 0, 1, false}
};

/* "psi, share_psi, inertia, age" */
static char *
list_limits(const PolicyLimit *limits, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", limits[i].name);
	return list.data;
}

static double
interval_seconds(const Interval *interval)
{
	return interval->time / (double) USECS_PER_SEC +
		(double) SECS_PER_DAY * (interval->day +
								 (double) DAYS_PER_MONTH * interval->month);
}

/* "90 days"; the server's own error tells what is wrong with another text */
static double
read_age(const char *name, const JsonbValue *value)
{
	char	   *text = kseg_json_string(value);
	Interval   *interval;
	double		seconds;

	if (text == NULL)
		kseg_error_bad_option(name, "an interval such as \"90 days\"",
							  kseg_json_describe(value));
	interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
													 CStringGetDatum(text),
													 ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
	seconds = interval_seconds(interval);
	if (seconds <= 0 || kseg_interval_infinity(interval) != 0)
		kseg_error_bad_option(name, "an interval above zero",
							  kseg_json_describe(value));
	/* it is printed as an interval without months, in microseconds */
	if (seconds >= (double) (PG_INT64_MAX / USECS_PER_SEC))
		kseg_error_bad_option(name, "an interval below 290000 years",
							  kseg_json_describe(value));
	return seconds;
}

static double
read_limit(const PolicyLimit *limit, const char *option, const JsonbValue *value)
{
	char	   *name = psprintf("%s.%s", option, limit->name);
	double		number;

	if (value->type == jbvNull)
		return INFINITY;
	if (limit->is_age)
		return read_age(name, value);
	if (!kseg_json_double(value, &number) ||
		number < limit->least || number > limit->most)
		kseg_error_bad_option(name, limit->most == 1 ?
							  "a share from 0 to 1, or null" :
							  limit->least > 0 ?
							  "a number of at least 1, or null" :
							  "a number of at least 0, or null",
							  kseg_json_describe(value));
	return number;
}

static void
read_limits(Jsonb *json, const char *option, const PolicyLimit *limits, int n,
			double *results)
{
	JsonbValue	object;
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	for (int i = 0; i < n; i++)
		results[i] = limits[i].by_default;
	if (json == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(json))
		kseg_error_bad_option(option, "an object such as {\"inertia\": 1.5}",
							  "another kind of value");

	object.type = jbvBinary;
	object.val.binary.data = &json->root;
	object.val.binary.len = VARSIZE(json);
	iterator = kseg_json_iterate(&object);
	while (kseg_json_next_pair(&iterator, &key, &value))
	{
		char	   *name = kseg_json_string(&key);
		int			i = 0;

		while (i < n && strcmp(limits[i].name, name) != 0)
			i++;
		if (i == n)
			kseg_error_unknown_limit(option, name, list_limits(limits, n));
		results[i] = read_limit(&limits[i], option, &value);
	}
}

static Jsonb *
print_limits(const PolicyLimit *limits, int n, const double *values)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(&text, "%s\"%s\": ", i > 0 ? ", " : "{",
						 limits[i].name);
		if (isinf(values[i]))
			appendStringInfoString(&text, "null");
		else if (limits[i].is_age)
		{
			Interval	age = {0};
			Datum		days;

			age.time = (TimeOffset) (values[i] * USECS_PER_SEC);
			days = DirectFunctionCall1(interval_justify_hours,
									   IntervalPGetDatum(&age));
			appendStringInfo(&text, "\"%s\"",
							 DatumGetCString(DirectFunctionCall1(interval_out,
																 days)));
		}
		else
			kseg_append_double(&text, values[i]);
	}
	appendStringInfoChar(&text, '}');
	return kseg_json_parse(text.data);
}

KsegRefitWhen
kseg_refit_when_parse(Jsonb *json)
{
	double		values[lengthof(refit_limits)];
	KsegRefitWhen when;

	read_limits(json, "refit_when", refit_limits, lengthof(refit_limits),
				values);
	when.psi = values[0];
	when.share_psi = values[1];
	when.inertia = values[2];
	when.age = values[3];
	return when;
}

Jsonb *
kseg_refit_when_print(const KsegRefitWhen *when)
{
	double		values[] = {when->psi, when->share_psi, when->inertia,
	when->age};

	return print_limits(refit_limits, lengthof(refit_limits), values);
}

KsegHoldWhen
kseg_hold_when_parse(Jsonb *json)
{
	double		values[lengthof(hold_limits)];
	KsegHoldWhen when;

	read_limits(json, "hold_when", hold_limits, lengthof(hold_limits),
				values);
	when.moved = values[0];
	when.vanished = values[1];
	when.inertia = values[2];
	return when;
}

Jsonb *
kseg_hold_when_print(const KsegHoldWhen *when)
{
	double		values[] = {when->moved, when->vanished, when->inertia};

	return print_limits(hold_limits, lengthof(hold_limits), values);
}
