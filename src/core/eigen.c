/*
 * eigen.c
 *		Eigenvalues and eigenvectors of a symmetric matrix.
 *
 * Householder reflections make it tridiagonal, implicit QL sweeps with
 * Wilkinson's shift make it diagonal (Golub, Van Loan, "Matrix Computations",
 * 8.3).  Sums of products are made in eight fixed lanes and rotations element
 * by element, so that the compiler may use any vector unit and the bits stay
 * the same.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* rotations of so many sweeps are applied to the vectors at once, to so many
 * of their columns at a time: n = 1,600 needs 400 kB, which a second-level
 * cache holds */
#define SWEEPS		32
#define COLUMNS		32

/* sweeps for one eigenvalue before precision is given up; two or three do */
#define MAX_SWEEPS	60

/* entries this near to the largest one are as large, see set_sign() */
#define SIGN_TIE	1e-8

typedef struct Eigen
{
	KmPoll	   *poll;
	int			n;
	int		   *order;			/* rows of the caller's matrix, as used here */
	double	   *matrix;			/* lower triangle, then reflections */
	double	   *vectors;		/* its rows become the eigenvectors */
	double	   *diagonal;
	double	   *off;			/* off[i] is between i and i + 1 */
	double	   *work;
	double	   *beta;			/* of each reflection; 0: none */
	/* rotations that wait */
	int			nsweeps;
	int			low[SWEEPS];	/* sweep s rotates rows high[s] .. low[s] */
	int			high[SWEEPS];
	double	   *rotations;		/* SWEEPS x n pairs of cosine and sine */
	double	   *chunk;			/* n x COLUMNS */
} Eigen;

static double
dot(const double *a, const double *b, int n)
{
	double		lanes[KM_LANES] = {0};
	double		sum = 0;
	int			i = 0;

	for (; i + KM_LANES <= n; i += KM_LANES)
	{
		for (int l = 0; l < KM_LANES; l++)
			lanes[l] += a[i + l] * b[i + l];
	}
	for (; i < n; i++)
		sum += a[i] * b[i];
	for (int l = 0; l < KM_LANES; l++)
		sum += lanes[l];
	return sum;
}

/* to += factor * from */
static void
add_multiple(double *restrict to, const double *restrict from, double factor,
			 int n)
{
	for (int i = 0; i < n; i++)
		to[i] += factor * from[i];
}

/* sqrt(x^2 + y^2) where the squares would leave double's range, too */
static double
length_of(double x, double y)
{
	double		larger = fmax(fabs(x), fabs(y));
	double		ratio;

	if (larger == 0)
		return 0;
	ratio = fmin(fabs(x), fabs(y)) / larger;
	return larger * sqrt(1 + ratio * ratio);
}

/* ---- to tridiagonal form ---- */

/*
 * The reflection I - beta u u' that takes the first n entries of a row to
 * (0, ..., 0, result); u replaces them.  beta = 0 when nothing is to be done.
 */
static double
make_reflection(double *row, int n, double *beta)
{
	double		largest = 0;
	double		last;
	double		length;
	int			exponent;

	for (int j = 0; j < n - 1; j++)
		largest = fmax(largest, fabs(row[j]));
	*beta = 0;
	if (largest == 0)
		return row[n - 1];

	/* the row's own scale: its squares must not vanish */
	largest = fmax(largest, fabs(row[n - 1]));
	(void) frexp(largest, &exponent);
	for (int j = 0; j < n; j++)
		row[j] = ldexp(row[j], -exponent);
	last = row[n - 1];
	length = sqrt(dot(row, row, n));
	*beta = 1 / (length * (length + fabs(last)));
	row[n - 1] = last < 0 ? last - length : last + length;
	return ldexp(last < 0 ? length : -length, exponent);
}

/* The leading n x n block becomes H A H for the reflection u in row n. */
static KmStatus
reflect(Eigen *eigen, const double *u, int n, double beta)
{
	size_t		stride = eigen->n;
	double	   *p = eigen->work;
	double		half;

	/* p = beta A u, from the lower triangle */
	memset(p, 0, sizeof(double) * n);
	for (int i = 0; i < n; i++)
	{
		const double *row = eigen->matrix + i * stride;

		p[i] += dot(row, u, i) + row[i] * u[i];
		add_multiple(p, row, u[i], i);
		if (!km_poll(eigen->poll, 2.0 * i))
			return KM_CANCELLED;
	}
	for (int i = 0; i < n; i++)
		p[i] *= beta;

	/* q = p - (beta u'p / 2) u;  A -= u q' + q u' */
	half = beta * dot(u, p, n) / 2;
	add_multiple(p, u, -half, n);
	for (int i = 0; i < n; i++)
	{
		double	   *restrict row = eigen->matrix + i * stride;
		double		ui = u[i];
		double		qi = p[i];

		for (int j = 0; j <= i; j++)
			row[j] -= ui * p[j] + qi * u[j];
		if (!km_poll(eigen->poll, 2.0 * i))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* From the last row up: see sort_rows(). */
static KmStatus
make_tridiagonal(Eigen *eigen)
{
	size_t		stride = eigen->n;

	for (int i = eigen->n - 1; i >= 0; i--)
	{
		double	   *row = eigen->matrix + i * stride;

		eigen->diagonal[i] = row[i];
		eigen->beta[i] = 0;
		if (i == 0)
			break;
		eigen->off[i - 1] = make_reflection(row, i, &eigen->beta[i]);
		if (eigen->beta[i] != 0)
			KM_TRY(reflect(eigen, row, i, eigen->beta[i]));
	}
	return KM_OK;
}

/*
 * Row r of the product of all reflections, the one of the least block first.
 * Those of blocks that end before r leave it alone.
 */
static KmStatus
multiply_reflections(Eigen *eigen)
{
	size_t		stride = eigen->n;

	memset(eigen->vectors, 0, sizeof(double) * stride * stride);
	for (int r = 0; r < eigen->n; r++)
	{
		double	   *row = eigen->vectors + r * stride;

		row[r] = 1;
		for (int i = r + 1; i < eigen->n; i++)
		{
			const double *u = eigen->matrix + i * stride;

			if (eigen->beta[i] == 0)
				continue;
			add_multiple(row, u, -eigen->beta[i] * dot(row, u, i), i);
			if (!km_poll(eigen->poll, 2.0 * i))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/* ---- to diagonal form ---- */

/* rows a and b of the chunk become c a + s b and c b - s a */
static inline void
rotate(double *restrict a, double *restrict b, double c, double s)
{
	for (int j = 0; j < COLUMNS; j++)
	{
		double		x = a[j];
		double		y = b[j];

		a[j] = c * x + s * y;
		b[j] = c * y - s * x;
	}
}

/* Apply the rotations that wait to the vectors. */
static KmStatus
apply_rotations(Eigen *eigen)
{
	size_t		stride = eigen->n;
	int			low = eigen->n;
	int			high = 0;

	for (int s = 0; s < eigen->nsweeps; s++)
	{
		low = eigen->low[s] < low ? eigen->low[s] : low;
		high = eigen->high[s] > high ? eigen->high[s] : high;
	}
	for (int first = 0; first < eigen->n && low < high; first += COLUMNS)
	{
		int			ncolumns = eigen->n - first < COLUMNS ?
			eigen->n - first : COLUMNS;

		/* a copy: rows a power of two apart would share few cache lines */
		for (int i = low; i <= high; i++)
		{
			double	   *to = eigen->chunk + (size_t) i * COLUMNS;

			memset(to, 0, sizeof(double) * COLUMNS);
			memcpy(to, eigen->vectors + i * stride + first,
				   sizeof(double) * ncolumns);
		}
		for (int s = 0; s < eigen->nsweeps; s++)
		{
			const double *rotations = eigen->rotations + s * 2 * stride;

			for (int i = eigen->high[s] - 1; i >= eigen->low[s]; i--)
			{
				double	   *row = eigen->chunk + (size_t) i * COLUMNS;

				rotate(row + COLUMNS, row, rotations[2 * i],
					   rotations[2 * i + 1]);
			}
			if (!km_poll(eigen->poll, 2.0 * COLUMNS *
						 (eigen->high[s] - eigen->low[s])))
				return KM_CANCELLED;
		}
		for (int i = low; i <= high; i++)
			memcpy(eigen->vectors + i * stride + first,
				   eigen->chunk + (size_t) i * COLUMNS,
				   sizeof(double) * ncolumns);
	}
	eigen->nsweeps = 0;
	return KM_OK;
}

/* The eigenvalue of the leading 2 x 2 block that is nearer to its first. */
static double
find_shift(const Eigen *eigen, int low)
{
	double		e = eigen->off[low];
	double		half = (eigen->diagonal[low + 1] - eigen->diagonal[low]) / 2;
	double		root = length_of(half, e);

	return eigen->diagonal[low] - e * (e / (half < 0 ? half - root :
											half + root));
}

/*
 * One implicit QL sweep over rows low .. high, none of whose off-diagonal
 * entries is 0.  x and z are the pair that the next rotation turns to (r, 0):
 * first of the shifted matrix, then the bulge that the last one left.
 */
static void
sweep(Eigen *eigen, int low, int high)
{
	double	   *d = eigen->diagonal;
	double	   *e = eigen->off;
	double	   *rotations = eigen->rotations +
		(size_t) eigen->nsweeps * 2 * eigen->n;
	double		x = d[high] - find_shift(eigen, low);
	double		z = e[high - 1];

	for (int i = high - 1; i >= low; i--)
	{
		double		r = length_of(x, z);
		double		c = r > 0 ? x / r : 1;
		double		s = r > 0 ? z / r : 0;
		double		t = s * (d[i] - d[i + 1]) + 2 * c * e[i];

		if (i < high - 1)
			e[i + 1] = r;
		d[i + 1] += s * t;
		d[i] -= s * t;
		x = c * t - e[i];
		if (i > low)
		{
			z = s * e[i - 1];
			e[i - 1] *= c;
		}
		rotations[2 * i] = c;
		rotations[2 * i + 1] = s;
	}
	e[low] = x;
	eigen->low[eigen->nsweeps] = low;
	eigen->high[eigen->nsweeps] = high;
	eigen->nsweeps++;
}

/* Entries that are nothing beside their neighbours become 0. */
static bool
is_negligible(const Eigen *eigen, int i, double tolerance)
{
	double		beside = fabs(eigen->diagonal[i]) +
		fabs(eigen->diagonal[i + 1]);

	/* the largest entry is near 1: what is below DBL_MIN is noise */
	return fabs(eigen->off[i]) <= DBL_EPSILON * beside ||
		fabs(eigen->off[i]) <= tolerance;
}

static KmStatus
make_diagonal(Eigen *eigen)
{
	for (int low = 0; low < eigen->n; low++)
	{
		double		tolerance = DBL_MIN;

		for (int nsweeps = 0;; nsweeps++)
		{
			int			high = low;

			/* sweeps always converged so far; if not, an end all the same */
			if (nsweeps >= MAX_SWEEPS)
				tolerance = fmax(2 * tolerance, DBL_EPSILON);
			while (high < eigen->n - 1 &&
				   !is_negligible(eigen, high, tolerance))
				high++;
			if (high < eigen->n - 1)
				eigen->off[high] = 0;
			if (high == low)
				break;
			sweep(eigen, low, high);
			if (eigen->nsweeps == SWEEPS)
				KM_TRY(apply_rotations(eigen));
			if (!km_poll(eigen->poll, 8.0 * (high - low)))
				return KM_CANCELLED;
		}
	}
	return apply_rotations(eigen);
}

/* ---- order and signs ---- */

static void
sort_values(Eigen *eigen)
{
	size_t		stride = eigen->n;
	size_t		size = sizeof(double) * stride;

	for (int i = 0; i < eigen->n; i++)
	{
		int			best = i;
		double		value;

		for (int j = i + 1; j < eigen->n; j++)
		{
			if (eigen->diagonal[j] > eigen->diagonal[best])
				best = j;
		}
		if (best == i)
			continue;
		value = eigen->diagonal[i];
		eigen->diagonal[i] = eigen->diagonal[best];
		eigen->diagonal[best] = value;
		memcpy(eigen->work, eigen->vectors + i * stride, size);
		memcpy(eigen->vectors + i * stride, eigen->vectors + best * stride,
			   size);
		memcpy(eigen->vectors + best * stride, eigen->work, size);
	}
}

/*
 * Length 1, and the largest entry positive.  Of two equal z-scored columns
 * the vectors are (1, 1) and (1, -1) but for rounding, which shall not choose
 * the sign: of entries nearly as large the first decides.
 */
static void
set_sign(double *vector, int n)
{
	double		largest = 0;
	double		factor = 1 / sqrt(dot(vector, vector, n));
	int			first = 0;

	for (int j = 0; j < n; j++)
		largest = fmax(largest, fabs(vector[j]));
	while (fabs(vector[first]) < largest * (1 - SIGN_TIE))
		first++;
	if (vector[first] < 0)
		factor = -factor;
	for (int j = 0; j < n; j++)
	{
		vector[j] *= factor;
		if (vector[j] == 0)
			vector[j] = 0;		/* not -0 */
	}
}

/* ---- scale and order of the rows ---- */

/* Bring the largest entry near 1; *exponent takes it back. */
static KmStatus
normalise(KmPoll *poll, double *matrix, int n, int *exponent)
{
	double		largest = 0;

	for (int i = 0; i < n; i++)
	{
		const double *row = matrix + (size_t) i * n;

		for (int j = 0; j <= i; j++)
		{
			if (!isfinite(row[j]))
				return KM_NOT_FINITE;
			largest = fmax(largest, fabs(row[j]));
		}
	}
	(void) frexp(largest, exponent);
	for (int i = 0; i < n; i++)
	{
		double	   *row = matrix + (size_t) i * n;

		for (int j = 0; j <= i; j++)
			row[j] = ldexp(row[j], -*exponent);
		if (!km_poll(poll, 10.0 * (i + 1)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/*
 * Rows in the order of their diagonal entries, the largest last.  Reflections
 * start at the last row and sweeps end there, so that rows of small entries
 * are done with before large ones can drown them: columns of very different
 * scales keep their small eigenvalues.
 */
static KmStatus
sort_rows(Eigen *eigen)
{
	size_t		stride = eigen->n;

	for (int i = 0; i < eigen->n; i++)
	{
		double		entry = fabs(eigen->matrix[i * stride + i]);
		int			at = i;

		for (; at > 0 && eigen->work[at - 1] > entry; at--)
		{
			eigen->work[at] = eigen->work[at - 1];
			eigen->order[at] = eigen->order[at - 1];
		}
		eigen->work[at] = entry;
		eigen->order[at] = i;
	}

	/* the vectors' memory is free until they are made */
	for (int i = 0; i < eigen->n; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			size_t		a = eigen->order[i];
			size_t		b = eigen->order[j];

			eigen->vectors[i * stride + j] = a > b ?
				eigen->matrix[a * stride + b] : eigen->matrix[b * stride + a];
		}
		if (!km_poll(eigen->poll, 20.0 * (i + 1)))
			return KM_CANCELLED;
	}
	for (int i = 0; i < eigen->n; i++)
		memcpy(eigen->matrix + i * stride, eigen->vectors + i * stride,
			   sizeof(double) * (i + 1));
	return KM_OK;
}

/* A vector's entries back in the caller's order. */
static void
restore_order(const Eigen *eigen, double *vector)
{
	memcpy(eigen->work, vector, sizeof(double) * eigen->n);
	for (int i = 0; i < eigen->n; i++)
		vector[eigen->order[i]] = eigen->work[i];
}

static KmStatus
solve(Eigen *eigen)
{
	int			exponent;

	KM_TRY(normalise(eigen->poll, eigen->matrix, eigen->n, &exponent));
	KM_TRY(sort_rows(eigen));
	KM_TRY(make_tridiagonal(eigen));
	KM_TRY(multiply_reflections(eigen));
	KM_TRY(make_diagonal(eigen));
	sort_values(eigen);
	for (int i = 0; i < eigen->n; i++)
	{
		double	   *vector = eigen->vectors + (size_t) i * eigen->n;

		eigen->diagonal[i] = ldexp(eigen->diagonal[i], exponent);
		restore_order(eigen, vector);
		set_sign(vector, eigen->n);
		if (!km_poll(eigen->poll, 10.0 * eigen->n))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_eigen(const KmHost *host, KmPoll *poll, int n, double *matrix,
		 double *values, double *vectors)
{
	Eigen		eigen = {
		.poll = poll,
		.n = n,
		.matrix = matrix,
		.vectors = vectors,
		.diagonal = values
	};
	KmStatus	status = KM_NO_MEMORY;

	eigen.order = km_alloc_zero(host, n, sizeof(int));
	eigen.off = km_alloc_zero(host, n, sizeof(double));
	eigen.work = km_alloc_zero(host, n, sizeof(double));
	eigen.beta = km_alloc_zero(host, n, sizeof(double));
	eigen.rotations = km_alloc_zero(host, n, sizeof(double) * 2 * SWEEPS);
	eigen.chunk = km_alloc_zero(host, n, sizeof(double) * COLUMNS);
	if (eigen.order != NULL && eigen.off != NULL && eigen.work != NULL &&
		eigen.beta != NULL && eigen.rotations != NULL && eigen.chunk != NULL)
		status = solve(&eigen);
	km_free(host, eigen.order);
	km_free(host, eigen.off);
	km_free(host, eigen.work);
	km_free(host, eigen.beta);
	km_free(host, eigen.rotations);
	km_free(host, eigen.chunk);
	return status;
}
