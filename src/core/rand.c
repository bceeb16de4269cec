/*
 * rand.c
 *		The adjusted Rand index of two segmentations (Hubert, Arabie,
 *		"Comparing partitions", 1985).
 *
 * From counts of pairs of rows, which are integers: of rows that share a
 * segment in both, in one only, in neither.
 */
#include <math.h>

#include "km_internal.h"

/* rows up to which products of counts of pairs fit 127 bits */
#define EXACT_ROWS		(INT64_C(1) << 31)

/*
 * From the rows, and the sums of the squares of rows in each pair of
 * segments, in each segment of one and in each of the other.
 */
static double
adjusted_rand(int64_t rows, KmWide cells, KmWide a_squares, KmWide b_squares)
{
	/* ordered pairs of different rows */
	KmWide		both = cells - rows;
	KmWide		a_only = a_squares - cells;
	KmWide		b_only = b_squares - cells;
	KmWide		neither = (KmWide) rows * rows - a_squares - b_squares + cells;

	if (rows == 0)
		return NAN;
	if (a_only == 0 && b_only == 0)
		return 1;
	if (rows <= EXACT_ROWS)
		return 2.0 * (double) (both * neither - a_only * b_only) /
			(double) ((both + a_only) * (a_only + neither) +
					  (both + b_only) * (b_only + neither));
	return 2.0 * ((double) both * (double) neither -
				  (double) a_only * (double) b_only) /
		((double) (both + a_only) * (double) (a_only + neither) +
		 (double) (both + b_only) * (double) (b_only + neither));
}

double
km_adjusted_rand(const int64_t *contingency, int rows, int columns)
{
	int64_t		n = 0;
	KmWide		cells = 0;
	KmWide		row_squares = 0;
	KmWide		column_squares = 0;

	for (int i = 0; i < rows; i++)
	{
		int64_t		sum = 0;

		for (int j = 0; j < columns; j++)
		{
			int64_t		count = contingency[(size_t) i * columns + j];

			sum += count;
			cells += (KmWide) count * count;
		}
		n += sum;
		row_squares += (KmWide) sum * sum;
	}
	for (int j = 0; j < columns; j++)
	{
		int64_t		sum = 0;

		for (int i = 0; i < rows; i++)
			sum += contingency[(size_t) i * columns + j];
		column_squares += (KmWide) sum * sum;
	}
	return adjusted_rand(n, cells, row_squares, column_squares);
}

/* ---- from pairs ---- */

static inline int32_t
pair_segment(const KmPair *pair, bool other)
{
	return other ? pair->b : pair->a;
}

/* Heap sort by one of the segments: in place, no worst case. */
static KmStatus
sort_pairs(KmPoll *poll, KmPair *pairs, size_t n, bool other)
{
	for (size_t i = n / 2 + n; i-- > 1;)
	{
		/* first a heap is made, then its largest taken off, again and again */
		size_t		size = i >= n ? n : i;
		size_t		at = i >= n ? i - n : 0;
		KmPair		x = pairs[at];

		if (i < n)
		{
			x = pairs[i];
			pairs[i] = pairs[0];
		}
		for (size_t child; (child = 2 * at + 1) < size; at = child)
		{
			if (child + 1 < size && pair_segment(&pairs[child], other) <
				pair_segment(&pairs[child + 1], other))
				child++;
			if (pair_segment(&x, other) >= pair_segment(&pairs[child], other))
				break;
			pairs[at] = pairs[child];
		}
		pairs[at] = x;
		/* millions of pairs are beyond the cache */
		if (!km_poll(poll, 100))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* sum of the squares of the rows in each segment */
static KmStatus
sum_squares(KmPoll *poll, KmPair *pairs, size_t n, bool other,
			KmWide *squares)
{
	int64_t		sum = 0;

	KM_TRY(sort_pairs(poll, pairs, n, other));
	*squares = 0;
	for (size_t i = 0; i < n; i++)
	{
		sum += pairs[i].count;
		if (i + 1 == n || pair_segment(&pairs[i], other) !=
			pair_segment(&pairs[i + 1], other))
		{
			*squares += (KmWide) sum * sum;
			sum = 0;
		}
	}
	return KM_OK;
}

KmStatus
km_adjusted_rand_pairs(const KmHost *host, KmPair *pairs, size_t n,
					   double *index)
{
	KmPoll		poll = {host, 0};
	int64_t		rows = 0;
	KmWide		cells = 0;
	KmWide		a_squares;
	KmWide		b_squares;

	for (size_t i = 0; i < n; i++)
	{
		rows += pairs[i].count;
		cells += (KmWide) pairs[i].count * pairs[i].count;
	}
	KM_TRY(sum_squares(&poll, pairs, n, false, &a_squares));
	KM_TRY(sum_squares(&poll, pairs, n, true, &b_squares));
	*index = adjusted_rand(rows, cells, a_squares, b_squares);
	return KM_OK;
}
