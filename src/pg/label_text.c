/*
 * label_text.c
 *		Traits and values of a label as text.
 */
#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"

#include "label.h"

/* characters; what is longer is cut */
#define NAME_HEAD		26
#define NAME_TAIL		12
#define CATEGORY_CHARS	32

#define AVERAGE_LABEL	"about average"

/* ---- values as text ---- */

/* Seconds, minutes, hours or days: which does a duration read well in? */
static double
interval_unit(double value, const char **name)
{
	static const struct
	{
		double		seconds;
		const char *name;
	}			units[] = {
		{SECS_PER_DAY, "day"}, {SECS_PER_HOUR, "hour"},
		{SECS_PER_MINUTE, "minute"}, {1, "second"}
	};
	int			i = 0;

	while (units[i].seconds > 1 && !(fabs(value) >= 2 * units[i].seconds))
		i++;
	*name = units[i].name;
	return units[i].seconds;
}

/* A moment at level 0: 0 year, 1 month, 2 day, 3 minute, 4 second. */
static int
moment_step(double sd)
{
	static const double days[] = {3650, 365, 10, 0.25};
	int			step = 0;

	while (step < lengthof(days) && !(sd >= days[step] * SECS_PER_DAY))
		step++;
	return step;
}

/* As many decimals as a tenth of the standard deviation has. */
int
kseg_label_decimals(double sd)
{
	double		power = 1;
	int			decimals = 0;

	if (!(sd > 1e-9) || sd > 1e15)
		return LABEL_EXACT + 10;	/* too small or large: exponents */
	while (power > sd / 10)
	{
		power /= 10;
		decimals++;
	}
	while (power * 10 <= sd / 10)
	{
		power *= 10;
		decimals--;
	}
	return decimals;
}

static void
append_exact(StringInfo text, double value)
{
	kseg_append_double(text, value + 0.0);
}

static void
append_number(StringInfo text, double value, int decimals)
{
	double		unit = 1;
	char	   *digits;

	if (!(fabs(value) < 1e15) || decimals > 12)
	{
		append_exact(text, value);
		return;
	}
	for (int i = decimals; i < 0; i++)
		unit *= 10;
	if (decimals < 0)
		value = rint(value / unit) * unit;
	digits = psprintf("%.*f", Max(decimals, 0), value);
	/* no -0, and no -0.0 */
	appendStringInfoString(text, digits +
						   (strspn(digits, "-0.") == strlen(digits) &&
							*digits == '-'));
	pfree(digits);
}

/* Dates are those of the time zone UTC: labels depend on the model alone. */
static void
append_moment(StringInfo text, double seconds, int step)
{
	double		day = floor(seconds / SECS_PER_DAY);
	double		rest = seconds - day * SECS_PER_DAY;
	int			year;
	int			month;
	int			mday;

	/* years 1 to 9999; others are not worth words */
	if (!(seconds >= -62135596800.0 && seconds < 253402300800.0) || step > 5)
	{
		append_exact(text, seconds);
		return;
	}
	j2date((int) day + UNIX_EPOCH_JDATE, &year, &month, &mday);
	appendStringInfo(text, "%04d", year);
	if (step >= 1)
		appendStringInfo(text, "-%02d", month);
	if (step >= 2)
		appendStringInfo(text, "-%02d", mday);
	if (step >= 3)
		appendStringInfo(text, " %02d:%02d", (int) (rest / SECS_PER_HOUR),
						 (int) (rest / SECS_PER_MINUTE) % MINS_PER_HOUR);
	if (step >= 4)
		appendStringInfo(text, ":%02d", (int) rest % SECS_PER_MINUTE);
	if (step >= 5)
		appendStringInfo(text, ".%06d",
						 (int) ((rest - floor(rest)) * USECS_PER_SEC));
}

static void
append_interval(StringInfo text, double value, double sd, int level)
{
	const char *name;
	double		unit = interval_unit(value, &name);
	int			start = text->len;

	append_number(text, value / unit, Max(kseg_label_decimals(sd / unit), 0) +
				  level);
	appendStringInfo(text, " %s%s", name,
					 strcmp(text->data + start, "1") == 0 ? "" : "s");
}

void
kseg_label_append_value(StringInfo text, const KsegLabels *all, int d,
						double value, int level)
{
	const KsegDimension *dimension = &all->dimensions[d];

	if (level == LABEL_EXACT)
	{
		append_exact(text, value);
		return;
	}
	switch (kseg_label_kind(all, d))
	{
		case KM_MOMENT:
			append_moment(text, value, moment_step(dimension->sd) + level);
			break;
		case KM_INTERVAL:
			append_interval(text, value, dimension->sd, level);
			break;
		case KM_BOOLEAN:
		case KM_CATEGORY:
			append_number(text, 100 * value, level);
			appendStringInfoChar(text, '%');
			break;
		case KM_NUMBER:
			append_number(text, value, dimension->decimals + level);
			break;
	}
}

/* ---- traits as text ---- */

/* Line ends and the like would tear a legend or a table apart. */
static void
append_readable(StringInfo text, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		/* in a server's encoding these are never part of a longer character */
		unsigned char byte = (unsigned char) bytes[i];

		appendStringInfoChar(text, byte < ' ' || byte == 0x7f ? ' ' : byte);
	}
}

/* The first so many characters, in bytes. */
static int
clip_characters(const char *bytes, int length, int characters)
{
	return Min(pg_mbcharcliplen(bytes, length, characters), length);
}

/* A long expression often differs from another at its end: keep that, too. */
char *
kseg_label_name(const char *name)
{
	StringInfoData text;
	int			length = (int) strlen(name);
	int			characters = pg_mbstrlen_with_len(name, length);
	int			tail;

	initStringInfo(&text);
	if (characters <= NAME_HEAD + NAME_TAIL)
	{
		append_readable(&text, name, length);
		return text.data;
	}
	append_readable(&text, name, clip_characters(name, length, NAME_HEAD));
	appendStringInfoString(&text, "...");
	tail = clip_characters(name, length, characters - NAME_TAIL);
	append_readable(&text, name + tail, length - tail);
	return text.data;
}

static void
append_category(StringInfo text, const char *category)
{
	/* a character takes four bytes at most */
	int			length = (int) strnlen(category, 4 * CATEGORY_CHARS + 4);
	int			kept = clip_characters(category, length, CATEGORY_CHARS);

	if (kept == 0)
		appendStringInfoString(text, "\"\"");
	append_readable(text, category, kept);
	if (category[kept] != '\0')
		appendStringInfoString(text, "...");
}

/* How often something is so, beside how often it is so in all rows. */
static const char *
share_word(double share, bool above)
{
	if (above)
		return share >= 0.995 ? "always" : share >= 0.5 ? "mostly" :
			share >= LABEL_FREQUENT ? "often" : "more often";
	return share <= 0.005 ? "never" : share <= LABEL_FREQUENT ? "rarely" :
		"less often";
}

static const char *
size_word(KmKind kind, double z)
{
	static const char *const words[][5] = {
		{"very low", "low", "average", "high", "very high"},
		{"very early", "early", "average", "late", "very late"},
		{"very short", "short", "average", "long", "very long"}
	};
	int			row = kind == KM_MOMENT ? 1 : kind == KM_INTERVAL ? 2 : 0;

	return words[row][z <= -LABEL_EXTREME ? 0 : z <= -LABEL_NOTABLE ? 1 :
					  z < LABEL_NOTABLE ? 2 : z < LABEL_EXTREME ? 3 : 4];
}

void
kseg_label_append_trait(StringInfo text, const KsegLabels *all, int segment,
			 const KsegTrait *trait)
{
	int			d = trait->dimension;
	const KsegDimension *dimension = &all->dimensions[d];
	const KmFeature *feature = &all->model->features[dimension->feature];
	const char *name = all->names[dimension->feature];
	const char *category = dimension->category < 0 ? NULL :
		feature->categories[dimension->category];
	double		mean = kseg_label_mean(all, segment, d);
	bool		has_value = trait->level != LABEL_NO_VALUE;

	/* high age; mostly churned; city mostly Oslo */
	if (trait->has_word && category != NULL)
	{
		appendStringInfo(text, "%s %s ", name, share_word(mean, trait->z > 0));
		append_category(text, category);
	}
	else if (trait->has_word)
		appendStringInfo(text, "%s %s", feature->kind == KM_BOOLEAN ?
						 share_word(mean, trait->z > 0) :
						 size_word(feature->kind, trait->z), name);
	if (!has_value)
		return;

	/* high age (near 34); age near 34; churned 34%; city 34% Oslo */
	appendStringInfoString(text, trait->has_word ? " (" : name);
	if (!trait->has_word)
		appendStringInfoChar(text, ' ');
	if (!kseg_label_is_share(all, d))
		appendStringInfoString(text, "near ");
	kseg_label_append_value(text, all, d, mean, trait->level);
	if (trait->has_word)
		appendStringInfoChar(text, ')');
	else if (category != NULL)
	{
		appendStringInfoChar(text, ' ');
		append_category(text, category);
	}
}

/* Make a label's text anew. */
void
kseg_label_write(const KsegLabels *all, KsegLabel *label)
{
	StringInfoData text;

	initStringInfo(&text);
	if (label->ntraits == 0 || !label->traits[0].has_word)
		appendStringInfoString(&text, AVERAGE_LABEL);
	for (int i = 0; i < label->ntraits; i++)
	{
		if (text.len > 0)
			appendStringInfoString(&text, ", ");
		kseg_label_append_trait(&text, all, label->segment, &label->traits[i]);
	}
	if (label->text != NULL)
		pfree(label->text);
	label->text = text.data;
}

