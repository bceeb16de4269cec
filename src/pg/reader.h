/*
 * reader.h
 *		All columns of a row from Datums to doubles, the usual way.
 *
 * This runs for every row that is fitted or scored.  Columns of one type that
 * stand side by side are read by one loop, and whether anything is odd about
 * the row, a null or a number that is not finite, is found out without a
 * branch for each value.  A row that is odd has to be read again, value by
 * value, by who knows what to do about it.
 */
#ifndef KSEG_READER_H
#define KSEG_READER_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "decimal.h"
#include "kseg.h"

typedef enum KsegReadMethod
{
	KSEG_READ_INT2,
	KSEG_READ_INT4,
	KSEG_READ_INT8,
	KSEG_READ_FLOAT4,
	KSEG_READ_FLOAT8,
	KSEG_READ_NUMERIC,
	KSEG_READ_BOOL,
	KSEG_READ_OTHER				/* by who reads the row */
} KsegReadMethod;

typedef struct KsegReadRun
{
	KsegReadMethod method;
	int			end;			/* column after the last one */
} KsegReadRun;

typedef struct KsegReader
{
	int			ncolumns;
	int			nruns;
	KsegReadRun *runs;
} KsegReader;

/* how a column is read; KSEG_READ_OTHER is always right */
static inline KsegReadMethod
kseg_read_method(const KsegColumn *column)
{
	if (column->kind == KM_CATEGORY)
		return KSEG_READ_OTHER;

	switch (column->type)
	{
		case INT2OID:
			return KSEG_READ_INT2;
		case INT4OID:
			return KSEG_READ_INT4;
		case INT8OID:
			return KSEG_READ_INT8;
		case FLOAT4OID:
			return KSEG_READ_FLOAT4;
		case FLOAT8OID:
			return KSEG_READ_FLOAT8;
		case NUMERICOID:
			return KSEG_READ_NUMERIC;
		case BOOLOID:
			return KSEG_READ_BOOL;
		default:
			return KSEG_READ_OTHER;
	}
}

/* in the current context */
static inline void
kseg_reader_init(KsegReader *reader, const KsegColumn *columns, int ncolumns)
{
	reader->ncolumns = ncolumns;
	reader->nruns = 0;
	reader->runs = palloc(sizeof(KsegReadRun) * ncolumns);
	for (int c = 0; c < ncolumns; c++)
	{
		KsegReadMethod method = kseg_read_method(&columns[c]);

		if (c == 0 || reader->runs[reader->nruns - 1].method != method)
			reader->runs[reader->nruns++].method = method;
		reader->runs[reader->nruns - 1].end = c + 1;
	}
}

/* sets the highest bit when the number is not finite */
static inline uint64
kseg_not_finite(double number)
{
	uint64		bits;

	memcpy(&bits, &number, sizeof(bits));
	return (bits & UINT64CONST(0x7FF0000000000000)) +
		UINT64CONST(0x0010000000000000);
}

/*
 * Read a row; false when it is odd.  other(arg, column, value) reads what has
 * no method here.  Adding zero turns -0 into 0: equal values shall have equal
 * bits.
 */
static pg_attribute_always_inline bool
kseg_reader_read(const KsegReader *reader, const NullableDatum *row,
				 double *values,
				 double (*other) (void *arg, int column, Datum value),
				 void *arg)
{
	int			ncolumns = reader->ncolumns;
	const KsegReadRun *run = reader->runs;
	bool		has_null = false;
	uint64		odd = 0;

	for (int c = 0; c < ncolumns; c++)
		has_null |= row[c].isnull;
	if (unlikely(has_null))
		return false;

	for (int c = 0; c < ncolumns; run++)
	{
		int			end = run->end;

		switch (run->method)
		{
			case KSEG_READ_INT2:
				for (; c < end; c++)
					values[c] = DatumGetInt16(row[c].value);
				break;
			case KSEG_READ_INT4:
				for (; c < end; c++)
					values[c] = DatumGetInt32(row[c].value);
				break;
			case KSEG_READ_INT8:
				for (; c < end; c++)
					values[c] = (double) DatumGetInt64(row[c].value);
				break;
			case KSEG_READ_FLOAT4:
				for (; c < end; c++)
				{
					values[c] = DatumGetFloat4(row[c].value) + 0.0;
					odd |= kseg_not_finite(values[c]);
				}
				break;
			case KSEG_READ_FLOAT8:
				for (; c < end; c++)
				{
					double		number = DatumGetFloat8(row[c].value);

					odd |= kseg_not_finite(number);
					values[c] = number + 0.0;
				}
				break;
			case KSEG_READ_NUMERIC:
				for (; c < end; c++)
				{
					if (likely(kseg_numeric_quick(row[c].value, &values[c])))
						continue;
					values[c] = kseg_numeric_double(row[c].value) + 0.0;
					odd |= kseg_not_finite(values[c]);
				}
				break;
			case KSEG_READ_BOOL:
				for (; c < end; c++)
					values[c] = DatumGetBool(row[c].value) ? 1 : 0;
				break;
			case KSEG_READ_OTHER:
				/* errors come in the order of columns */
				if (unlikely((odd >> 63) != 0))
					return false;
				for (; c < end; c++)
					values[c] = other(arg, c, row[c].value);
				break;
		}
	}
	return likely((odd >> 63) == 0);
}

#endif							/* KSEG_READER_H */
