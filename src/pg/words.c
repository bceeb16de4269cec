/*
 * words.c
 *		What SQL and JSON call the core's enumerations; words and numbers in
 *		notes.
 */
#include "postgres.h"

#include "kseg.h"

const char *const kseg_scale_names[KSEG_SCALES] = {
	[KM_ZSCORE] = "zscore",
	[KM_MINMAX] = "minmax",
	[KM_ROBUST] = "robust",
	[KM_MAXABS] = "maxabs",
	[KM_NONE] = "none",
};

const char *const kseg_distance_names[KSEG_DISTANCES] = {
	[KM_EUCLIDEAN] = "euclidean",
	[KM_COSINE] = "cosine",
};

int
kseg_find_word(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

const char *
kseg_scale_name(KmScale scale)
{
	return kseg_scale_names[scale];
}

const char *
kseg_distance_name(KmDistance distance)
{
	return kseg_distance_names[distance];
}

bool
kseg_scale_find(const char *name, KmScale *scale)
{
	int			i = kseg_find_word(name, kseg_scale_names, KSEG_SCALES);

	*scale = (KmScale) i;
	return i >= 0;
}

bool
kseg_distance_find(const char *name, KmDistance *distance)
{
	int			i = kseg_find_word(name, kseg_distance_names,
							  KSEG_DISTANCES);

	*distance = (KmDistance) i;
	return i >= 0;
}

const char *
kseg_kind_name(KmKind kind)
{
	switch (kind)
	{
		case KM_NUMBER:
			return "number";
		case KM_BOOLEAN:
			return "boolean";
		case KM_MOMENT:
			return "moment";
		case KM_INTERVAL:
			return "interval";
		case KM_CATEGORY:
			return "category";
	}
	elog(ERROR, "unexpected kind of feature: %d", (int) kind);
}

void
kseg_add_note(StringInfo notes, const char *format,...)
{
	if (notes->len > 0)
		appendStringInfoString(notes, "; ");
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(notes, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(notes, needed);
	}
}

char *
kseg_print_count(int64 count)
{
	char	   *digits = psprintf(INT64_FORMAT, count);
	int			left = strlen(digits);
	StringInfoData text;

	initStringInfo(&text);
	for (const char *d = digits; *d != '\0'; d++, left--)
	{
		if (d > digits && left % 3 == 0)
			appendStringInfoChar(&text, ',');
		appendStringInfoChar(&text, *d);
	}
	return text.data;
}
