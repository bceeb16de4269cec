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
kseg_start_note(StringInfo notes)
{
	if (notes->len > 0)
		appendStringInfoString(notes, "; ");
}

void
kseg_append_count(StringInfo text, int64 count)
{
	char		digits[32];
	int			n = snprintf(digits, sizeof(digits), INT64_FORMAT, count);

	for (int i = 0; i < n; i++)
	{
		if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-')
			appendStringInfoChar(text, ',');
		appendStringInfoChar(text, digits[i]);
	}
}
