/*
 * faults.h
 *		Included before everything else by the glue's files when the library
 *		is built for tests: where the server's functions can be interrupted or
 *		refuse something, they are counted, and one of them does.
 *
 * The sources know nothing of it, and neither does the library that is
 * installed.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "postgres.h"

#include <errno.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/fd.h"
#include "utils/memutils.h"

typedef enum Fault
{
	FAULT_NONE,
	FAULT_CANCEL,				/* somebody cancels the statement */
	FAULT_TERMINATE,			/* somebody ends the session */
	FAULT_MEMORY,				/* there is no more memory */
	FAULT_FILE,					/* the disk is full, or broken */
	FAULT_SHARED,				/* there is no more shared memory */
	FAULT_ATTACH				/* shared memory cannot be seen */
} Fault;

/* Is this the place that fails? */
extern bool faults_here(Fault fault);
/* the same, and the error is raised */
extern void faults_cancel(void);
extern void faults_memory(void);
extern void faults_open(void);
extern void faults_share(void);

/* kseg.c's, which faults.c calls from one of its own */
#define _PG_init	faults_kseg_init

#undef CHECK_FOR_INTERRUPTS
#define CHECK_FOR_INTERRUPTS() \
	do { \
		faults_cancel(); \
		if (INTERRUPTS_PENDING_CONDITION()) \
			ProcessInterrupts(); \
	} while (0)

/* Within itself a macro's name is the function's. */
#define palloc(...)	(faults_memory(), palloc(__VA_ARGS__))
#define palloc0(...)	(faults_memory(), palloc0(__VA_ARGS__))
#define repalloc(...)	(faults_memory(), repalloc(__VA_ARGS__))
#define pstrdup(...)	(faults_memory(), pstrdup(__VA_ARGS__))
#define MemoryContextAlloc(...) \
	(faults_memory(), MemoryContextAlloc(__VA_ARGS__))
#define MemoryContextAllocZero(...) \
	(faults_memory(), MemoryContextAllocZero(__VA_ARGS__))

/* those that ask for huge sizes return NULL where they are told to */
static inline void *
faults_alloc_extended(MemoryContext context, Size size, int flags)
{
	if ((flags & MCXT_ALLOC_NO_OOM) == 0)
		faults_memory();
	else if (faults_here(FAULT_MEMORY))
		return NULL;
	return MemoryContextAllocExtended(context, size, flags);
}

#define MemoryContextAllocExtended	faults_alloc_extended
#define palloc_extended(size, flags) \
	faults_alloc_extended(CurrentMemoryContext, size, flags)

#define OpenTemporaryFile(...)	(faults_open(), OpenTemporaryFile(__VA_ARGS__))
#define FileWrite(...) \
	(faults_here(FAULT_FILE) ? (errno = ENOSPC, -1) : FileWrite(__VA_ARGS__))
#define FileRead(...) \
	(faults_here(FAULT_FILE) ? (errno = EIO, -1) : FileRead(__VA_ARGS__))

#define dsm_create(...)	(faults_share(), dsm_create(__VA_ARGS__))
#define dsm_attach(...) \
	(faults_here(FAULT_ATTACH) ? NULL : dsm_attach(__VA_ARGS__))

#endif							/* FAULTS_H */
