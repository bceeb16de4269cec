/*
 * match.c
 *		The assignment problem: matching rows with columns at least cost.
 *
 * Shortest augmenting paths (Jonker, Volgenant 1987; for rectangular matrices
 * Crouse 2016): rows come one after the other, each with a shortest path, as
 * Dijkstra finds it on costs less prices that make none negative, to a column
 * that is still free.  Here the matrix is sparse, since most pairs are out of
 * the question, and a row may also stay alone, at cost 0: as if it had a
 * column of its own.  A path may end there as well, and that row then gives
 * its column to the one before it.
 *
 * Of paths of equal length the one to a free column is taken, then the one to
 * the lowest column: the result follows from the matrix alone.  At most
 * O(rows x (pairs + columns^2)); a path seldom passes more than a few columns.
 */
#include <math.h>

#include "km_internal.h"

typedef struct Matching
{
	/* set once */
	const KmCosts *costs;
	KmPoll	   *poll;
	/* changes while running */
	int		   *column_of;		/* of each row, -1: none */
	int		   *row_of;			/* of each column, -1: free */
	double	   *row_price;
	double	   *column_price;	/* never above 0 */
	/* the present search */
	double	   *way;			/* length of the path to a column */
	int		   *from;			/* the row before it on that path */
	bool	   *is_done;		/* there is no shorter path to the column */
	int		   *reached;		/* columns with a path; the first ndone of */
	int			ndone;			/* them are done */
	int			nreached;
} Matching;

/* Length of the paths to the row's columns, which is itself at "length". */
static void
reach_columns(Matching *m, int row, double length)
{
	const KmCosts *costs = m->costs;

	for (size_t e = costs->first[row]; e < costs->first[row + 1]; e++)
	{
		int			c = costs->column[e];
		double		way = length + costs->cost[e] - m->row_price[row] -
			m->column_price[c];

		/* rounding could make a path look shorter than the shortest */
		if (m->is_done[c])
			continue;
		if (m->from[c] < 0)
			m->reached[m->nreached++] = c;
		else if (!(way < m->way[c]))
			continue;
		m->way[c] = way;
		m->from[c] = row;
	}
}

/* Place in "reached" of the column that comes next, or -1. */
static int
next_column(const Matching *m)
{
	int			next = -1;

	for (int i = m->ndone; i < m->nreached; i++)
	{
		int			c = m->reached[i];
		int			best = next < 0 ? -1 : m->reached[next];
		bool		is_free = m->row_of[c] < 0;
		bool		best_free = next >= 0 && m->row_of[best] < 0;

		if (next < 0 || m->way[c] < m->way[best] ||
			(m->way[c] == m->way[best] &&
			 (is_free != best_free ? is_free : c < best)))
			next = i;
	}
	return next;
}

/* Each row on the path to a column takes the one after it; -1: no path. */
static void
switch_columns(Matching *m, int start, int column)
{
	while (column >= 0)
	{
		int			row = m->from[column];
		int			before = m->column_of[row];

		m->row_of[column] = row;
		m->column_of[row] = column;
		column = row == start ? -1 : before;
	}
}

/* The costs less prices stay as they must: see the top. */
static void
set_prices(Matching *m, int start, double length)
{
	m->row_price[start] += length;
	for (int i = 0; i < m->ndone; i++)
	{
		int			c = m->reached[i];

		m->row_price[m->row_of[c]] += length - m->way[c];
		m->column_price[c] -= length - m->way[c];
	}
}

static KmStatus
add_row(Matching *m, int start)
{
	double		length = 0;
	double		alone = INFINITY;	/* shortest path to staying alone */
	int			loner = -1;		/* the row that would */
	int			column = -1;
	int			row = start;

	m->ndone = m->nreached = 0;
	for (;;)
	{
		size_t		pairs = m->costs->first[row + 1] - m->costs->first[row];
		int			next;

		if (length - m->row_price[row] < alone)
		{
			alone = length - m->row_price[row];
			loner = row;
		}
		reach_columns(m, row, length);
		next = next_column(m);
		if (!km_poll(m->poll, (double) pairs + m->nreached + 1))
			return KM_CANCELLED;
		column = next < 0 ? -1 : m->reached[next];
		if (column < 0 || alone < m->way[column])
		{
			column = -1;
			length = alone;
			break;
		}
		length = m->way[column];
		if (m->row_of[column] < 0)
			break;
		m->reached[next] = m->reached[m->ndone];
		m->reached[m->ndone++] = column;
		m->is_done[column] = true;
		row = m->row_of[column];
	}

	set_prices(m, start, length);
	if (column < 0)
	{
		column = m->column_of[loner];
		m->column_of[loner] = -1;
	}
	switch_columns(m, start, column);
	for (int i = 0; i < m->nreached; i++)
	{
		m->from[m->reached[i]] = -1;
		m->is_done[m->reached[i]] = false;
	}
	return KM_OK;
}

static KmStatus
create_matching(const KmHost *host, Matching *m)
{
	int			nrows = m->costs->nrows;
	int			ncolumns = m->costs->ncolumns;

	m->row_price = km_alloc_zero(host, nrows, sizeof(double));
	m->row_of = km_alloc(host, ncolumns, sizeof(int));
	m->column_price = km_alloc_zero(host, ncolumns, sizeof(double));
	m->way = km_alloc(host, ncolumns, sizeof(double));
	m->from = km_alloc(host, ncolumns, sizeof(int));
	m->is_done = km_alloc_zero(host, ncolumns, sizeof(bool));
	m->reached = km_alloc(host, ncolumns, sizeof(int));
	if (m->row_price == NULL || m->row_of == NULL ||
		m->column_price == NULL || m->way == NULL || m->from == NULL ||
		m->is_done == NULL || m->reached == NULL)
		return KM_NO_MEMORY;
	for (int r = 0; r < nrows; r++)
		m->column_of[r] = -1;
	for (int c = 0; c < ncolumns; c++)
		m->row_of[c] = m->from[c] = -1;
	return KM_OK;
}

KmStatus
km_match(const KmHost *host, KmPoll *poll, const KmCosts *costs, int *match)
{
	Matching	m = {.costs = costs, .poll = poll, .column_of = match};
	KmStatus	status = create_matching(host, &m);

	for (int r = 0; r < costs->nrows && status == KM_OK; r++)
		status = add_row(&m, r);
	km_free(host, m.row_price);
	km_free(host, m.row_of);
	km_free(host, m.column_price);
	km_free(host, m.way);
	km_free(host, m.from);
	km_free(host, m.is_done);
	km_free(host, m.reached);
	return status;
}
