/*
 * memcheck.h
 *		What PostgreSQL tells valgrind about its memory, told to the address
 *		sanitizer.
 *
 * A server built with -DUSE_VALGRIND says by these macros which bytes of a
 * block belong to nobody: what was freed, what was never handed out, what is
 * past the end of a piece.  The server that is built for the sanitizer finds
 * this file in valgrind's place, so that palloc() is guarded as malloc() is.
 * What the sanitizer has no word for (memory that was not written yet) is left
 * out: valgrind itself is there for that.
 */
#ifndef KSEG_MEMCHECK_H
#define KSEG_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(addr, size) \
	__asan_poison_memory_region((addr), (size))
#define VALGRIND_MAKE_MEM_UNDEFINED(addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_MAKE_MEM_DEFINED(addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_MEMPOOL_ALLOC(pool, addr, size) \
	__asan_unpoison_memory_region((addr), (size))
#define VALGRIND_MEMPOOL_CHANGE(pool, from, to, size) \
	__asan_unpoison_memory_region((to), (size))

/* freed memory was wiped before, and marked then */
#define VALGRIND_MEMPOOL_FREE(pool, addr)	do {} while (0)
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed)	do {} while (0)
#define VALGRIND_DESTROY_MEMPOOL(pool)	do {} while (0)
#define VALGRIND_MEMPOOL_TRIM(pool, addr, size)	do {} while (0)

#define VALGRIND_CHECK_MEM_IS_DEFINED(addr, size)	do {} while (0)
#define VALGRIND_COUNT_ERRORS	0
#define VALGRIND_PRINTF(...)	do {} while (0)
#define RUNNING_ON_VALGRIND	0

#endif							/* KSEG_MEMCHECK_H */
