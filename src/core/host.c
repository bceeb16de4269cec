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

/* some 10 ms, most of them in the kernel, which has to find the pages */
#define ZERO_BYTES		((size_t) 16 * 1024 * 1024)

void *
km_alloc_zero(const KmHost *host, size_t count, size_t size)
{
	char	   *pointer = km_alloc(host, count, size);
	size_t		bytes = count * size;
	size_t		done = 0;

	if (pointer == NULL)
		return NULL;
	for (; bytes - done > ZERO_BYTES; done += ZERO_BYTES)
	{
		memset(pointer + done, 0, ZERO_BYTES);
		/* a host that does not leave through longjmp is asked again soon */
		if (host->poll != NULL)
			(void) host->poll(host->arg);
	}
	memset(pointer + done, 0, bytes - done);
	return pointer;
}

void
km_free(const KmHost *host, void *pointer)
{
	if (pointer != NULL)
		host->free(host->arg, pointer);
}
