/*
 * arrays.c
 *		Arrays as parameters of our statements, which unnest() turns into rows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "managed.h"

Datum
kseg_int_array(const int *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));
	int			low = 1;

	for (int i = 0; i < n; i++)
	{
		values[i] = Int32GetDatum(numbers[i]);
		nulls[i] = numbers[i] == 0;
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &low,
											  INT4OID, sizeof(int32), true,
											  TYPALIGN_INT));
}

Datum
kseg_count_array(const int64 *counts, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(counts[i]);
	return PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

Datum
kseg_number_array(const double *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Float8GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(values, n, FLOAT8OID,
										   sizeof(float8), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

Datum
kseg_text_array(char *const *texts, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

Datum
kseg_name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}
