/*
 * host.c
 *		Memory from the host, with sizes checked before asking.
 */
#include <string.h>

#include "km_internal.h"

void *
km_alloc(const KmHost *host, size_t count, size_t size)
{
	if (size != 0 && count > (SIZE_MAX / 2) / size)
		return NULL;
	/* a host may refuse zero bytes; nobody here can use a NULL that is none */
	return host->alloc(host->arg, count * size > 0 ? count * size : 1);
}

void *
km_alloc_zero(const KmHost *host, size_t count, size_t size)
{
	void	   *pointer = km_alloc(host, count, size);

	if (pointer != NULL)
		memset(pointer, 0, count * size);
	return pointer;
}

void
km_free(const KmHost *host, void *pointer)
{
	if (pointer != NULL)
		host->free(host->arg, pointer);
}
