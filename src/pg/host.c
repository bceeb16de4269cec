/*
 * host.c
 *		What the core asks of its surroundings, given by the server: memory
 *		from a memory context, and a chance to be interrupted.
 *
 * Neither has to be undone by the core on the way out: a cancel leaves
 * through longjmp, and the context takes all memory with it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "kseg.h"

static void *
allocate(void *arg, size_t size)
{
	if (size > MaxAllocHugeSize)
		return NULL;
	return MemoryContextAllocExtended((MemoryContext) arg, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
release(void *arg, void *pointer)
{
	if (pointer != NULL)
		pfree(pointer);
}

static bool
poll(void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return true;
}

const KmHost *
kseg_host(MemoryContext context)
{
	KmHost	   *host = MemoryContextAlloc(context, sizeof(KmHost));

	host->alloc = allocate;
	host->free = release;
	host->poll = poll;
	host->arg = context;
	return host;
}
