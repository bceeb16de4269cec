/*
 * elements.h
 *		The elements of a float8[], one after the other.
 *
 * Read where they are: taking an array apart with the server's functions
 * costs two allocations a row.
 */
#ifndef KSEG_ELEMENTS_H
#define KSEG_ELEMENTS_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "errors.h"

typedef struct KsegElements
{
	int			length;
	int			index;			/* of the next one */
	const float8 *next;			/* nulls have no place in the data */
	const bits8 *present;		/* NULL: there are no nulls */
} KsegElements;

/* Raises if the array has several dimensions; one of none is empty. */
static inline void
kseg_elements_open(KsegElements *elements, ArrayType *array)
{
	Assert(ARR_ELEMTYPE(array) == FLOAT8OID);
	if (ARR_NDIM(array) > 1)
		kseg_error_array_shape(ARR_NDIM(array));
	elements->length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	elements->index = 0;
	elements->next = (const float8 *) ARR_DATA_PTR(array);
	elements->present = ARR_NULLBITMAP(array);
}

/* The next of "length" elements; false, and 0, if it is null. */
static inline bool
kseg_elements_next(KsegElements *elements, float8 *value)
{
	int			i = elements->index++;

	*value = 0;
	if (elements->present != NULL &&
		(elements->present[i / 8] & (1 << (i % 8))) == 0)
		return false;
	*value = *elements->next++;
	return true;
}

#endif							/* KSEG_ELEMENTS_H */
