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

/* some 10 ms, when the kernel has to find the pages in a virtual machine */
#define POLL_BYTES		((size_t) 4 * 1024 * 1024)

/* a host that does not leave through longjmp is asked again soon */
static void
poll_between(const KmHost *host)
{
	if (host->poll != NULL)
		(void) host->poll(host->arg);
}

void *
km_alloc_zero(const KmHost *host, size_t count, size_t size)
{
	char	   *pointer = km_alloc(host, count, size);
	size_t		bytes = count * size;
	size_t		done = 0;

	if (pointer == NULL)
		return NULL;
	for (; bytes - done > POLL_BYTES; done += POLL_BYTES)
	{
		memset(pointer + done, 0, POLL_BYTES);
		poll_between(host);
	}
	memset(pointer + done, 0, bytes - done);
	return pointer;
}

void
km_copy(const KmHost *host, void *to, const void *from, size_t size)
{
	size_t		done = 0;

	for (; size - done > POLL_BYTES; done += POLL_BYTES)
	{
		memcpy((char *) to + done, (const char *) from + done, POLL_BYTES);
		poll_between(host);
	}
	memcpy((char *) to + done, (const char *) from + done, size - done);
}

void
km_free(const KmHost *host, void *pointer)
{
	if (pointer != NULL)
		host->free(host->arg, pointer);
}
