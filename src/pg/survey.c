/*
 * survey.c
 *		The first pass over rows that are elsewhere: how many there are, which
 *		are skipped, and what categories they have.
 *
 * What is known before the other passes need not be found out by each machine
 * in its own way: from then on a category is its position among all of them.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "dictionary.h"
#include "errors.h"
#include "kseg.h"
#include "state.h"

/* as bytes: this, missing and present of each feature, then the categories of
 * each that has any: their number, and length and bytes of each */
typedef struct SurveyHeader
{
	int64		rows;
	int64		skipped;
	int64		unseen;
} SurveyHeader;

KsegSurvey *
kseg_survey_create(MemoryContext context, int nfeatures,
				   const KmFeature *features, bool has_texts)
{
	KsegSurvey *survey = MemoryContextAllocZero(context, sizeof(KsegSurvey));

	survey->context = context;
	survey->nfeatures = nfeatures;
	survey->features = features;
	survey->has_texts = has_texts;
	survey->missing = MemoryContextAllocZero(context,
											 sizeof(int64) * nfeatures);
	survey->present = MemoryContextAllocZero(context,
											 sizeof(int64) * nfeatures);
	survey->dictionaries =
		MemoryContextAllocZero(context, sizeof(KsegDictionary *) * nfeatures);
	return survey;
}

static bool
take(const char **at, Size *left, void *to, Size size)
{
	if (size > *left)
		return false;
	memcpy(to, *at, size);
	*at += size;
	*left -= size;
	return true;
}

static void
add_category(KsegSurvey *survey, int f, const char *bytes, int length)
{
	if (survey->dictionaries[f] == NULL)
		survey->dictionaries[f] = kseg_dictionary_create(survey->context,
														 false);
	(void) kseg_dictionary_text(survey->dictionaries[f],
								survey->features[f].name, bytes, length);
}

void
kseg_survey_add(KsegSurvey *survey, const KsegPoint *point)
{
	const char *texts = (const char *) (point->values + survey->nfeatures);
	Size		left = (const char *) point + VARSIZE(point) - texts;
	bool		is_unseen = false;

	if (point->is_skipped)
	{
		survey->skipped++;
		/* a row without weight is skipped for that alone */
		for (int f = 0; f < survey->nfeatures && point->weight != 0; f++)
			survey->missing[f] += isnan(point->values[f]);
		return;
	}
	survey->rows++;
	for (int f = 0; f < survey->nfeatures; f++)
	{
		bool		is_category = survey->features[f].kind == KM_CATEGORY;

		survey->present[f] += !isnan(point->values[f]);
		is_unseen |= is_category && point->values[f] < 0;
		if (is_category && survey->has_texts)
		{
			int32		length;

			if (!take(&texts, &left, &length, sizeof(length)) ||
				(length > 0 && (Size) length > left))
				kseg_error_bad_value("kseg_point");
			if (length < 0)
				continue;
			add_category(survey, f, texts, length);
			texts += length;
			left -= length;
		}
	}
	survey->unseen += is_unseen;
}

/* ---- as bytes ---- */

static int
count_categories(const KsegSurvey *survey, int f)
{
	return survey->dictionaries[f] == NULL ? 0 :
		kseg_dictionary_count(survey->dictionaries[f]);
}

Size
kseg_survey_size(const KsegSurvey *survey)
{
	Size		size = sizeof(SurveyHeader) +
		2 * sizeof(int64) * survey->nfeatures;

	for (int f = 0; f < survey->nfeatures; f++)
	{
		if (survey->features[f].kind != KM_CATEGORY)
			continue;
		size += sizeof(int32);
		for (int v = 0; v < count_categories(survey, f); v++)
			size += sizeof(int32) +
				strlen(kseg_dictionary_name(survey->dictionaries[f], v));
	}
	return size;
}

static char *
put(char *to, const void *from, Size size)
{
	memcpy(to, from, size);
	return to + size;
}

void
kseg_survey_write(const KsegSurvey *survey, char *bytes)
{
	SurveyHeader header = {survey->rows, survey->skipped, survey->unseen};
	Size		counts = sizeof(int64) * survey->nfeatures;

	bytes = put(bytes, &header, sizeof(header));
	bytes = put(bytes, survey->missing, counts);
	bytes = put(bytes, survey->present, counts);
	for (int f = 0; f < survey->nfeatures; f++)
	{
		int32		n = count_categories(survey, f);

		if (survey->features[f].kind != KM_CATEGORY)
			continue;
		bytes = put(bytes, &n, sizeof(n));
		for (int v = 0; v < n; v++)
		{
			const char *name = kseg_dictionary_name(survey->dictionaries[f],
													v);
			int32		length = (int32) strlen(name);

			bytes = put(bytes, &length, sizeof(length));
			bytes = put(bytes, name, length);
		}
	}
}

/* Add another's count; false: that is none. */
static bool
add_count(int64 *to, int64 count)
{
	if (count < 0 || count > PG_INT64_MAX - *to)
		return false;
	*to += count;
	return true;
}

static bool
merge_categories(KsegSurvey *survey, int f, const char **at, Size *left)
{
	int32		n;
	int32		length;

	if (!take(at, left, &n, sizeof(n)))
		return false;
	for (int v = 0; v < n; v++)
	{
		if (!take(at, left, &length, sizeof(length)) || length < 0 ||
			(Size) length > *left || memchr(*at, 0, length) != NULL ||
			!pg_verify_mbstr(GetDatabaseEncoding(), *at, length, true))
			return false;
		add_category(survey, f, *at, length);
		*at += length;
		*left -= length;
	}
	return n >= 0;
}

bool
kseg_survey_merge(KsegSurvey *survey, const char *bytes, Size size)
{
	SurveyHeader header;
	int64		count;

	if (!take(&bytes, &size, &header, sizeof(header)) ||
		!add_count(&survey->rows, header.rows) ||
		!add_count(&survey->skipped, header.skipped) ||
		!add_count(&survey->unseen, header.unseen))
		return false;
	for (int i = 0; i < 2 * survey->nfeatures; i++)
	{
		int64	   *to = i < survey->nfeatures ? &survey->missing[i] :
			&survey->present[i - survey->nfeatures];

		if (!take(&bytes, &size, &count, sizeof(count)) ||
			!add_count(to, count))
			return false;
	}
	for (int f = 0; f < survey->nfeatures; f++)
	{
		if (survey->features[f].kind == KM_CATEGORY &&
			!merge_categories(survey, f, &bytes, &size))
			return false;
	}
	return size == 0;
}
