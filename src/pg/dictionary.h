/*
 * dictionary.h
 *		The categories of one column, numbered as they come.
 */
#ifndef KSEG_DICTIONARY_H
#define KSEG_DICTIONARY_H

#include "kseg.h"

/* All memory is in the context and goes with it. */
extern KsegDictionary *kseg_dictionary_create(MemoryContext context,
											  bool of_enum);

/* Code of a category, new or known; "column" is for messages. */
extern int	kseg_dictionary_text(KsegDictionary *dictionary,
								 const char *column,
								 const char *bytes, int length);
extern int	kseg_dictionary_enum(KsegDictionary *dictionary,
								 const char *column, Oid value);

extern int	kseg_dictionary_count(const KsegDictionary *dictionary);
extern const char *kseg_dictionary_name(const KsegDictionary *dictionary,
										int code);

/*
 * Names sorted by their bytes, and the place of each code among them;
 * dictionary may be NULL.  The arrays are palloc'd, the names are not copied.
 */
extern void kseg_dictionary_sort(const KsegDictionary *dictionary,
								 int *ncategories, char ***names,
								 int **recode);

#endif							/* KSEG_DICTIONARY_H */
