/*
 * kseg.c
 *		The module: what happens when the library is loaded, and its settings.
 *
 * Loading changes nothing but the settings; there is no hook, no shared
 * memory and no background worker, so preloading is never needed.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"

KSEG_MODULE_MAGIC;

/* the server declares it from 16 on */
extern PGDLLEXPORT void _PG_init(void);

int			kseg_work_mem = 256 * 1024;
int			kseg_simd = KM_SIMD_AUTO;
int			kseg_parallel_min_work = 100;

static const struct config_enum_entry simd_values[] = {
	{"auto", KM_SIMD_AUTO, false},
	{"baseline", KM_SIMD_BASELINE, false},
	{"avx2", KM_SIMD_AVX2, false},
	{"avx512", KM_SIMD_AVX512, false},
	{NULL, 0, false}
};

/* Code that this processor cannot run must not be chosen. */
static bool
check_simd(int *value, void **extra, GucSource source)
{
	if (km_simd_supported((KmSimd) *value))
		return true;
	kseg_detail_simd();
	return false;
}

void
_PG_init(void)
{
	DefineCustomIntVariable("kseg.work_mem",
							"Sets the most memory the rows of one segmentation may take.",
							NULL,
							&kseg_work_mem,
							256 * 1024,
							1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL,
							NULL,
							NULL);

	DefineCustomEnumVariable("kseg.simd",
							 "Chooses the vector instructions kseg computes with.",
							 "Results are the same to the last bit with each. For developers.",
							 &kseg_simd,
							 KM_SIMD_AUTO,
							 simd_values,
							 PGC_USERSET,
							 GUC_NOT_IN_SAMPLE,
							 check_simd,
							 NULL,
							 NULL);

	DefineCustomIntVariable("kseg.parallel_min_work",
							"Sets how much work, in millions of multiplications, is worth starting parallel workers.",
							"Results are the same to the last bit with any number of workers. 0 is for tests: any work, and more workers than processors.",
							&kseg_parallel_min_work,
							100,
							0,
							INT_MAX,
							PGC_USERSET,
							GUC_NOT_IN_SAMPLE,
							NULL,
							NULL,
							NULL);

	MarkGUCPrefixReserved("kseg");
}
