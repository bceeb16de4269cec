/*
 * normalize_window.c
 *		The window function kseg_normalize(x, method).
 *
 * At the first row of a partition the statistics of all its rows are taken;
 * they are all that is kept.  Frame and order of the window make no
 * difference.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "windowapi.h"

#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_normalize_window);

/* arguments */
#define VALUE		0
#define METHOD		1

/* What is kept of a partition.  Zero at first. */
typedef struct Partition
{
	bool		is_ready;
	KmScale		scale;
	KmFeature	feature;
} Partition;

static KmScale
current_method(WindowObject window)
{
	bool		isnull;
	Datum		method = WinGetFuncArgCurrent(window, METHOD, &isnull);

	if (isnull)
		kseg_error_argument_null("method");
	return kseg_scale_parse(text_to_cstring(DatumGetTextPP(method)));
}

static double
check_finite(double x)
{
	if (!isfinite(x))
		kseg_error_not_finite("x", x);
	return x;
}

static void
measure_partition(WindowObject window, Partition *partition)
{
	int64		nrows = WinGetPartitionRowCount(window);
	bool		keeps_values = partition->scale == KM_ROBUST;
	MemoryContext context;
	MemoryContext row_context;
	MemoryContext old;
	KmStats    *stats;

	/* the median needs all values at once; a partition's rows count in int */
	if (keeps_values)
		kseg_check_rows(nrows, 1);
	if (nrows > INT_MAX)
		kseg_error_work_mem(nrows, 1);

	context = AllocSetContextCreate(GetMemoryChunkContext(partition),
									"kseg normalize", ALLOCSET_SMALL_SIZES);
	row_context = AllocSetContextCreate(context, "kseg normalize row",
										ALLOCSET_SMALL_SIZES);
	kseg_check(km_stats_create(kseg_host(context), 1, keeps_values,
							   &stats));

	/* an argument that is computed leaves its memory in the row's context */
	old = MemoryContextSwitchTo(row_context);
	for (int i = 0; i < (int) nrows; i++)
	{
		bool		isnull;
		bool		is_out;
		double		x;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		value = WinGetFuncArgInPartition(window, VALUE, i, WINDOW_SEEK_HEAD,
										 false, &isnull, &is_out);
		if (!isnull)
		{
			x = check_finite(DatumGetFloat8(value));
			kseg_check(km_stats_add(stats, &x));
		}
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);

	partition->feature.name = "x";
	partition->feature.kind = KM_NUMBER;
	kseg_check(km_stats_finish(stats, partition->scale,
							   &partition->feature));
	MemoryContextDelete(context);
	partition->is_ready = true;
}

Datum
kseg_normalize_window(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	Partition  *partition;
	KmScale		scale;
	bool		isnull;
	double		x;

	if (!WindowObjectIsValid(window))
		kseg_error_not_window("kseg_normalize");
	scale = current_method(window);
	partition = WinGetPartitionLocalMemory(window, sizeof(Partition));
	if (!partition->is_ready)
	{
		partition->scale = scale;
		measure_partition(window, partition);
	}
	else if (scale != partition->scale)
		kseg_error_argument_changed("method");

	x = DatumGetFloat8(WinGetFuncArgCurrent(window, VALUE, &isnull));
	if (isnull)
		PG_RETURN_NULL();
	x = km_scale_value(&partition->feature, x);
	if (!isfinite(x))
		kseg_error_scaled_range("x");
	PG_RETURN_FLOAT8(x);
}
