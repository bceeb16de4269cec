/*
 * dictionary.c
 *		The categories of one column, numbered as they come.
 *
 * Texts are told apart by their bytes, whatever the collation: a model must
 * mean the same in every database.  Enums are looked up by Oid and take their
 * labels along.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "dictionary.h"
#include "errors.h"
#include "kseg.h"

typedef struct CategoryKey
{
	const char *bytes;
	int			length;
} CategoryKey;

typedef struct CategoryEntry
{
	CategoryKey key;			/* bytes belong to KsegDictionary.names */
	uint32		hash;
	int			code;
	char		status;
} CategoryEntry;

#define SH_PREFIX category
#define SH_ELEMENT_TYPE CategoryEntry
#define SH_KEY_TYPE CategoryKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) \
	hash_bytes((const unsigned char *) (key).bytes, (key).length)
#define SH_EQUAL(table, a, b) \
	((a).length == (b).length && memcmp((a).bytes, (b).bytes, (a).length) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct LabelEntry
{
	Oid			oid;			/* of the enum's value */
	int			code;
	char		status;
} LabelEntry;

#define SH_PREFIX label
#define SH_ELEMENT_TYPE LabelEntry
#define SH_KEY_TYPE Oid
#define SH_KEY oid
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* enough for most; also what the hash tables start with */
#define FIRST_CATEGORIES	16

struct KsegDictionary
{
	MemoryContext context;
	category_hash *by_text;		/* NULL for an enum */
	label_hash *by_oid;			/* NULL for anything else */
	int			ncategories;
	int			allocated;
	char	  **names;			/* by code */
};

KsegDictionary *
kseg_dictionary_create(MemoryContext context, bool of_enum)
{
	KsegDictionary *dictionary;

	dictionary = MemoryContextAllocZero(context, sizeof(KsegDictionary));
	dictionary->context = context;
	dictionary->allocated = FIRST_CATEGORIES;
	dictionary->names = MemoryContextAlloc(context,
										   sizeof(char *) * FIRST_CATEGORIES);
	if (of_enum)
		dictionary->by_oid = label_create(context, FIRST_CATEGORIES, NULL);
	else
		dictionary->by_text = category_create(context, FIRST_CATEGORIES,
											  NULL);
	return dictionary;
}

/* Number a category that was not met before. */
static int
add_category(KsegDictionary *dictionary, const char *column,
			 const char *bytes, int length)
{
	char	   *name;

	if (dictionary->ncategories == KM_MAX_CATEGORIES)
		kseg_error_too_many_categories(column);

	/* long texts can fill the memory long before they are too many */
	if (MemoryContextMemAllocated(dictionary->context, false) + length >
		(Size) kseg_work_mem * 1024)
		kseg_raise(KM_OVER_LIMIT);

	if (dictionary->ncategories == dictionary->allocated)
	{
		dictionary->allocated *= 2;
		dictionary->names = repalloc(dictionary->names,
									 sizeof(char *) * dictionary->allocated);
	}
	name = MemoryContextAllocHuge(dictionary->context, (Size) length + 1);
	memcpy(name, bytes, length);
	name[length] = '\0';
	dictionary->names[dictionary->ncategories] = name;
	return dictionary->ncategories++;
}

int
kseg_dictionary_text(KsegDictionary *dictionary, const char *column,
					 const char *bytes, int length)
{
	CategoryKey key = {bytes, length};
	CategoryEntry *entry;

	entry = category_lookup(dictionary->by_text, key);
	if (unlikely(entry == NULL))
	{
		int			code = add_category(dictionary, column, bytes, length);
		bool		found;

		/* the caller's bytes will be gone: the key is our copy of them */
		key.bytes = dictionary->names[code];
		entry = category_insert(dictionary->by_text, key, &found);
		entry->code = code;
	}
	return entry->code;
}

int
kseg_dictionary_enum(KsegDictionary *dictionary, const char *column,
					 Oid value)
{
	LabelEntry *entry;

	entry = label_lookup(dictionary->by_oid, value);
	if (unlikely(entry == NULL))
	{
		HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
		const char *label;
		int			code;
		bool		found;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for enum value %u", value);
		label = NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel);
		code = add_category(dictionary, column, label, (int) strlen(label));
		ReleaseSysCache(tuple);
		entry = label_insert(dictionary->by_oid, value, &found);
		entry->code = code;
	}
	return entry->code;
}

int
kseg_dictionary_count(const KsegDictionary *dictionary)
{
	return dictionary->ncategories;
}

const char *
kseg_dictionary_name(const KsegDictionary *dictionary, int code)
{
	return dictionary->names[code];
}

typedef struct SortedName
{
	char	   *name;
	int			code;
} SortedName;

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const SortedName *) a)->name,
				  ((const SortedName *) b)->name);
}

void
kseg_dictionary_sort(const KsegDictionary *dictionary, int *ncategories,
					 char ***names, int **recode)
{
	int			n = dictionary == NULL ? 0 : dictionary->ncategories;
	SortedName *sorted = palloc(sizeof(SortedName) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		sorted[i].name = dictionary->names[i];
		sorted[i].code = i;
	}
	qsort(sorted, n, sizeof(SortedName), compare_names);

	*ncategories = n;
	*names = palloc(sizeof(char *) * Max(n, 1));
	*recode = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*names)[i] = sorted[i].name;
		(*recode)[sorted[i].code] = i;
	}
	pfree(sorted);
}
