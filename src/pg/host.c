/*
 * host.c
 *		What the core asks of its surroundings, given by the server: memory
 *		from a memory context, a chance to be interrupted, and one to tell how
 *		far it is.
 *
 * Nothing of it has to be undone by the core on the way out: a cancel leaves
 * through longjmp, and the context takes all memory with it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "kseg.h"
#include "progress.h"

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

static void
report(void *arg, KmPhase phase, int64_t done, int64_t total)
{
	kseg_progress_report(phase, done, total);
}

const KmHost *
kseg_host(MemoryContext context)
{
	return kseg_host_with(context, NULL);
}

const KmHost *
kseg_host_with(MemoryContext context, const KmCrew *crew)
{
	KmHost	   *host = MemoryContextAlloc(context, sizeof(KmHost));

	host->alloc = allocate;
	host->free = release;
	host->poll = poll;
	host->arg = context;
	host->report = report;
	host->crew = crew;
	return host;
}
