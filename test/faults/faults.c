/*
 * faults.c
 *		Settings of the library that is built for tests: what fails, where, and
 *		at which of its calls.
 *
 *		kseg.fault				cancel, terminate, memory, file, shared,
 *								attach; none
 *		kseg.fault_in		session, worker: parallel ones
 *		kseg.fault_at			number of the call that fails, from 1; setting it
 *								starts the count anew
 *		kseg.fault_passed		calls so far; to be read
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "faults.h"
#undef _PG_init

extern PGDLLEXPORT void _PG_init(void);
extern void faults_kseg_init(void);

static int	fault = FAULT_NONE;
static bool in_worker = false;
static int	fault_at = 0;
static int	passed = 0;

static const struct config_enum_entry fault_values[] = {
	{"none", FAULT_NONE, false},
	{"cancel", FAULT_CANCEL, false},
	{"terminate", FAULT_TERMINATE, false},
	{"memory", FAULT_MEMORY, false},
	{"file", FAULT_FILE, false},
	{"shared", FAULT_SHARED, false},
	{"attach", FAULT_ATTACH, false},
	{NULL, 0, false}
};

bool
faults_here(Fault kind)
{
	return (int) kind == fault && in_worker == IsParallelWorker() &&
		++passed == fault_at;
}

/* As the signals of pg_cancel_backend() and pg_terminate_backend() do it. */
void
faults_cancel(void)
{
	if (faults_here(FAULT_CANCEL))
		QueryCancelPending = InterruptPending = true;
	if (faults_here(FAULT_TERMINATE))
		ProcDiePending = InterruptPending = true;
}

void
faults_memory(void)
{
	if (faults_here(FAULT_MEMORY))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
}

void
faults_open(void)
{
	if (faults_here(FAULT_FILE))
		ereport(ERROR,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("could not create temporary file: no space")));
}

void
faults_share(void)
{
	if (faults_here(FAULT_SHARED))
		ereport(ERROR,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("could not resize shared memory segment: no space")));
}

static void
start_anew(int value, void *extra)
{
	passed = 0;
}

static const char *
show_passed(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", passed);
	return text;
}

void
_PG_init(void)
{
	static int	shown;

	DefineCustomEnumVariable("kseg.fault", "Sets what fails.", NULL, &fault,
							 FAULT_NONE, fault_values, PGC_USERSET, 0, NULL,
							 NULL, NULL);
	DefineCustomBoolVariable("kseg.fault_in_worker",
							 "Sets that it fails in parallel workers.", NULL,
							 &in_worker, false, PGC_USERSET, 0, NULL, NULL,
							 NULL);
	DefineCustomIntVariable("kseg.fault_at", "Sets which call fails.", NULL,
							&fault_at, 0, 0, INT_MAX, PGC_USERSET, 0, NULL,
							start_anew, NULL);
	DefineCustomIntVariable("kseg.fault_passed", "Shows how many calls there were.",
							NULL, &shown, 0, 0, INT_MAX, PGC_INTERNAL, 0, NULL,
							NULL, show_passed);
	faults_kseg_init();
}
