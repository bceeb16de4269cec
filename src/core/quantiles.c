/*
 * quantiles.c
 *		Quantiles, interpolated linearly between two neighbours as numpy does.
 *
 * Row weights do not count.  Columns in memory are copied and partitioned;
 * others are narrowed down by passes (ranks.c).  Both find the same values.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

/* ---- of values in memory ---- */

/*
 * Partition around a pivot taken from fixed places (the result, a value, does
 * not depend on it).  Hoare's scheme copes with many equal values.
 */
KmStatus
km_select(KmPoll *poll, double *v, int64_t low, int64_t high, int64_t nth)
{
	while (low < high)
	{
		double		a = v[low + (high - low) / 4];
		double		b = v[low + (high - low) / 2];
		double		c = v[high - (high - low) / 4];
		double		pivot = a < b ? (b < c ? b : (a < c ? c : a))
			: (a < c ? a : (b < c ? c : b));
		int64_t		i = low;
		int64_t		j = high;

		while (i <= j)
		{
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j)
			{
				double		t = v[i];

				v[i++] = v[j];
				v[j--] = t;
			}
		}
		if (!km_poll(poll, (double) (high - low) * 4))
			return KM_CANCELLED;
		if (nth <= j)
			high = j;
		else if (nth >= i)
			low = i;
		else
			break;
	}
	return KM_OK;
}

/* Values at and beside the places that orders ask for, by rising "at". */
static KmStatus
select_orders(KmPoll *poll, double *values, int64_t n, KmOrder *orders,
			  int norders)
{
	int64_t		from = 0;

	for (int q = 0; q < norders; q++)
	{
		KmOrder    *order = &orders[q];
		/* what lies below an earlier quantile stays below */
		double		place = order->at * (double) (n - 1);
		int64_t		lower = (int64_t) floor(place);

		KM_TRY(km_select(poll, values, from, n - 1, lower));
		order->part = place - (double) lower;
		order->low = values[lower];
		order->high = order->low;
		if (order->part > 0 && lower + 1 < n)
		{
			order->high = INFINITY;
			for (int64_t i = lower + 1; i < n; i++)
				order->high = values[i] < order->high ? values[i] :
					order->high;
		}
		from = lower;
	}
	return KM_OK;
}

static double
clip(double x, double low, double high)
{
	x = x < low ? low : x;
	return x > high ? high : x;
}

double
km_order_value(const KmOrder *order, double clip_low, double clip_high)
{
	double		low = clip(order->low, clip_low, clip_high);
	double		high = clip(order->high, clip_low, clip_high);
	double		part = order->part;

	/* numpy's lerp: from the nearer end, so that it is monotonic */
	if (high == low)
		return low;
	if (isinf(high - low))
		return low * (1 - part) + high * part;
	if (part < 0.5)
		return low + (high - low) * part;
	return high - (high - low) * (1 - part);
}

KmStatus
km_quantiles(KmPoll *poll, double *values, int64_t n, const double *at,
			 int nat, double *result)
{
	KmOrder		orders[KM_MAX_ORDERS];

	for (int from = 0; from < nat; from += KM_MAX_ORDERS)
	{
		int			here = nat - from < KM_MAX_ORDERS ? nat - from :
			KM_MAX_ORDERS;

		for (int q = 0; q < here; q++)
			orders[q].at = at[from + q];
		KM_TRY(select_orders(poll, values, n, orders, here));
		for (int q = 0; q < here; q++)
			result[from + q] = km_order_value(&orders[q], -INFINITY,
											  INFINITY);
	}
	return KM_OK;
}

/* ---- of a table's columns ---- */

/* The values of a column that are there. */
typedef struct Column
{
	const KmTable *table;
	KmPoll	   *poll;
	int			slot;
	double	   *values;
	int64_t		n;
} Column;

static KmStatus
read_column(void *arg, const KmBlock *block)
{
	Column	   *column = arg;

	for (int i = 0; i < block->nrows; i++)
	{
		double		x = *km_cell(column->table, block, i, column->slot);

		if (!isnan(x))
			column->values[column->n++] = x;
	}
	return km_poll(column->poll, block->nrows) ? KM_OK : KM_CANCELLED;
}

static KmStatus
select_in_column(KmTable *table, KmPoll *poll, int slot, double *values,
				 KmOrder *orders, int norders)
{
	Column		column = {table, poll, slot, values, 0};

	KM_TRY(km_read_blocks(table, read_column, &column));
	if (column.n > 0)
		return select_orders(poll, values, column.n, orders, norders);
	for (int q = 0; q < norders; q++)
		orders[q].low = orders[q].high = orders[q].part = 0;
	return KM_OK;
}

static KmStatus
select_orders_in_table(KmTable *table, KmPoll *poll, KmOrder *orders,
					   int norders)
{
	double	   *values = km_alloc(table->host, (size_t) table->nrows,
								  sizeof(double));
	KmStatus	status = values == NULL ? KM_NO_MEMORY : KM_OK;

	for (int slot = 0; slot < table->nnum && status == KM_OK; slot++)
		status = select_in_column(table, poll, slot, values,
								  orders + (size_t) slot * norders, norders);
	km_free(table->host, values);
	return status;
}

/* ---- of rows that are not in memory ---- */

/* Two targets of each order; of orders without a value none is looked for. */
static int
set_targets(const KmRanking *ranking, int nnum, const KmOrder *orders,
			int norders, KmRankTarget *targets)
{
	int			n = 0;

	for (int i = 0; i < nnum * norders; i++)
	{
		int			slot = i / norders;
		int64_t		count = km_ranking_count(ranking, slot);
		double		place = orders[i].at * (double) (count - 1);
		int64_t		lower = (int64_t) floor(place);
		bool		is_between = place > (double) lower && lower + 1 < count;

		if (count == 0)
			continue;
		targets[n].slot = slot;
		targets[n++].nth = lower;
		targets[n].slot = slot;
		targets[n++].nth = is_between ? lower + 1 : lower;
	}
	return n;
}

static void
take_targets(const KmRanking *ranking, int nnum, KmOrder *orders, int norders,
			 const KmRankTarget *targets)
{
	for (int i = 0; i < nnum * norders; i++)
	{
		int64_t		count = km_ranking_count(ranking, i / norders);
		double		place = orders[i].at * (double) (count - 1);

		orders[i].low = orders[i].high = orders[i].part = 0;
		if (count == 0)
			continue;
		orders[i].part = place - floor(place);
		orders[i].low = (targets++)->value;
		orders[i].high = (targets++)->value;
	}
}

static KmStatus
rank_orders(KmSource *source, KmPoll *poll, KmOrder *orders, int norders)
{
	const KmHost *host = source->table->host;
	int			nnum = source->table->nnum;
	/* without a space: rows are raw */
	KmRun		run = {host, source, NULL, poll, KM_SIMD_AUTO};
	KmRanking  *ranking = NULL;
	KmRankTarget *targets = km_alloc_zero(host, (size_t) nnum * norders * 2,
										  sizeof(KmRankTarget));
	KmStatus	status = targets == NULL ? KM_NO_MEMORY :
		km_ranking_create(&run, &ranking);

	if (status == KM_OK)
		status = km_ranking_find(ranking, targets,
								 set_targets(ranking, nnum, orders, norders,
											 targets));
	if (status == KM_OK)
		take_targets(ranking, nnum, orders, norders, targets);
	km_ranking_free(ranking);
	km_free(host, targets);
	return status;
}

/* Is there room for a copy of a column? */
static bool
has_room(const KmTable *table)
{
	return !km_table_is_stored(table) &&
		(table->limit == 0 || table->stored == NULL ||
		 table->bytes + (size_t) table->nrows * sizeof(double) <
		 table->limit);
}

KmStatus
km_find_orders(KmSource *source, KmPoll *poll, KmOrder *orders, int norders)
{
	if (source->remote == NULL && has_room(source->table))
		return select_orders_in_table(source->table, poll, orders, norders);
	return rank_orders(source, poll, orders, norders);
}
