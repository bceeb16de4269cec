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

#include <sys/mman.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "kseg.h"
#include "progress.h"

#define HUGE_PAGE			((uintptr_t) 2 * 1024 * 1024)
#define HUGE_PAGES_FROM		(8 * HUGE_PAGE)

/*
 * Ask for huge pages where they fit in: a fit touches all of its memory once,
 * and every page costs the kernel as much as reading a hundred values.  It is
 * free to refuse.
 */
static void
use_huge_pages(void *memory, size_t size)
{
#ifdef MADV_HUGEPAGE
	uintptr_t	from = TYPEALIGN(HUGE_PAGE, (uintptr_t) memory);
	uintptr_t	to = TYPEALIGN_DOWN(HUGE_PAGE, (uintptr_t) memory + size);

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's pointer */
	(void) madvise((void *) from, to - from, MADV_HUGEPAGE);
#endif
}

static void *
allocate(void *arg, size_t size)
{
	void	   *memory;

	if (size > MaxAllocHugeSize)
		return NULL;
	memory = MemoryContextAllocExtended((MemoryContext) arg, size,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (memory != NULL && size >= HUGE_PAGES_FROM)
		use_huge_pages(memory, size);
	return memory;
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
