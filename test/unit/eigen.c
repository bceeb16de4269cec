/*
 * eigen.c
 *		Eigenvalues and eigenvectors: known ones, residuals and orthogonality
 *		of hard matrices, signs, refused memory, stopping.
 */
#include <float.h>

#include "tap.h"

typedef struct Solved
{
	int			n;
	double	   *matrix;			/* as given */
	double	   *values;
	double	   *vectors;
	KmStatus	status;
} Solved;

static KmStatus
solve_with(TestHost *host, const double *matrix, int n, Solved *solved)
{
	size_t		size = sizeof(double) * n * n;
	double	   *copy = malloc(size + 1);
	KmPoll		poll = {&host->host, 0};

	solved->n = n;
	solved->matrix = malloc(size + 1);
	solved->values = malloc(sizeof(double) * n + 1);
	solved->vectors = malloc(size + 1);
	memcpy(copy, matrix, size);
	memcpy(solved->matrix, matrix, size);
	solved->status = km_eigen(&host->host, &poll, n, copy, solved->values,
							  solved->vectors);
	free(copy);
	return solved->status;
}

static void
solved_free(Solved *solved)
{
	free(solved->matrix);
	free(solved->values);
	free(solved->vectors);
}

static Solved
solve(const double *matrix, int n)
{
	TestHost	host;
	Solved		solved;

	host_init(&host);
	if (solve_with(&host, matrix, n, &solved) != KM_OK ||
		host.outstanding != 0)
		note("status %d, %ld outstanding", solved.status, host.outstanding);
	return solved;
}

/* largest |A v - value v| as a share of the largest |value| */
static double
residual(const Solved *solved)
{
	int			n = solved->n;
	long double worst = 0;
	double		norm = 0;

	for (int i = 0; i < n; i++)
		norm = fmax(norm, fabs(solved->values[i]));
	for (int i = 0; i < n && norm > 0; i++)
	{
		const double *v = solved->vectors + (size_t) i * n;

		for (int r = 0; r < n; r++)
		{
			long double sum = -(long double) solved->values[i] * v[r];

			for (int j = 0; j < n; j++)
				sum += (long double) solved->matrix[(size_t) r * n + j] * v[j];
			worst = fmaxl(worst, fabsl(sum) / norm);
		}
	}
	return (double) worst;
}

/* largest difference between the vectors' products and those of a base */
static double
skewness(const Solved *solved)
{
	int			n = solved->n;
	long double worst = 0;

	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			long double sum = i == j ? -1 : 0;

			for (int l = 0; l < n; l++)
				sum += (long double) solved->vectors[(size_t) i * n + l] *
					solved->vectors[(size_t) j * n + l];
			worst = fmaxl(worst, fabsl(sum));
		}
	}
	return (double) worst;
}

static bool
is_ordered(const Solved *solved)
{
	bool		ordered = true;

	for (int i = 0; i < solved->n; i++)
	{
		const double *v = solved->vectors + (size_t) i * solved->n;
		double		largest = 0;
		int			first = 0;

		ordered &= i == 0 || solved->values[i] <= solved->values[i - 1];
		for (int j = 0; j < solved->n; j++)
			largest = fmax(largest, fabs(v[j]));
		while (fabs(v[first]) < largest * (1 - 1e-8))
			first++;
		ordered &= v[first] > 0;
	}
	return ordered;
}

static void
check_solved(Solved *solved, double tolerance, const char *name)
{
	double		r = residual(solved);
	double		s = skewness(solved);

	check(solved->status == KM_OK && r <= tolerance && s <= tolerance &&
		  is_ordered(solved), "%s: residual %.1e, orthogonal to %.1e", name,
		  r, s);
	solved_free(solved);
}

/* ---- matrices ---- */

typedef enum Kind
{
	RANDOM,
	COVARIANCE,					/* of fewer rows than columns: rank n / 2 */
	GRADED,						/* entries over 40 powers of ten */
	GRADED_DOWN,
	ONES,						/* one eigenvalue n, the others 0 */
	BLOCKS,						/* equal eigenvalues */
	NEARLY_EQUAL,				/* 1 + 1e-14 * random */
	SPARSE,
	WILKINSON,					/* pairs that differ in the last bits */
	HUGE_ONES,
	TINY,
	DENORMAL,
	KINDS
} Kind;

static const char *const kind_names[KINDS] = {"random", "covariance",
	"graded", "graded the other way", "ones", "blocks", "nearly equal",
	"sparse", "wilkinson", "huge entries", "tiny entries",
"denormal entries"};

static double
entry(uint64_t *state, Kind kind, int n, int i, int j)
{
	double		x = random_normal(state);

	switch (kind)
	{
		case GRADED:
			return x * pow(10, -20.0 * (i + j) / n);
		case GRADED_DOWN:
			return x * pow(10, -40.0 + 20.0 * (i + j) / n);
		case ONES:
			return 1;
		case BLOCKS:
			return i / 3 == j / 3 ? 1 + (i == j) : 0;
		case NEARLY_EQUAL:
			return (i == j) + x * 1e-14;
		case SPARSE:
			return random_below(state, 5) == 0 ? x : 0;
		case WILKINSON:
			return i == j ? fabs(i - (n - 1) / 2.0) : i == j + 1;
		case HUGE_ONES:
			return x * 1e300;
		case TINY:
			return x * 1e-300;
		case DENORMAL:
			return rint(x * 9) * 5e-324;
		default:
			return x;
	}
}

static double *
make_matrix(uint64_t *state, Kind kind, int n)
{
	double	   *a = malloc(sizeof(double) * n * n + 1);
	double	   *rows = malloc(sizeof(double) * n * n + 1);
	int			nrows = n / 2 + 1;

	for (int i = 0; i < nrows * n && kind == COVARIANCE; i++)
		rows[i] = random_normal(state);
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			double		sum = 0;

			if (kind != COVARIANCE)
				sum = entry(state, kind, n, i, j);
			for (int r = 0; r < nrows && kind == COVARIANCE; r++)
				sum += rows[r * n + i] * rows[r * n + j];
			a[i * n + j] = a[j * n + i] = sum;
		}
	}
	free(rows);
	return a;
}

static void
test_kinds(void)
{
	static const int sizes[] = {1, 2, 3, 4, 7, 8, 9, 21, 33, 70};
	uint64_t	state = 11;

	for (Kind kind = 0; kind < KINDS; kind++)
	{
		double		worst = 0;
		bool		good = true;

		for (int i = 0; i < 30; i++)
		{
			int			n = sizes[i % 10];
			double	   *a = make_matrix(&state, kind, n);
			Solved		solved = solve(a, n);

			/* denormal eigenvalues have few bits themselves */
			if (kind != DENORMAL)
				worst = fmax(worst, residual(&solved));
			worst = fmax(worst, skewness(&solved));
			good &= solved.status == KM_OK && is_ordered(&solved);
			solved_free(&solved);
			free(a);
		}
		check(good && worst < 1e-14, "%s: error %.1e", kind_names[kind],
			  worst);
	}
}

static void
test_large(void)
{
	uint64_t	state = 12;
	double	   *a = make_matrix(&state, RANDOM, 260);
	Solved		solved = solve(a, 260);

	check_solved(&solved, 2e-14, "260 x 260");
	free(a);
}

/*
 * Covariances of columns whose scales differ by up to 1e8, in any order: the
 * small eigenvalues are good, too, though nothing beside the large ones.
 */
static void
test_scales(void)
{
	uint64_t	state = 15;
	double		worst = 0;

	for (int round = 0; round < 200; round++)
	{
		int			n = 2 + random_below(&state, 8);
		double	   *a = make_matrix(&state, RANDOM, n);
		double	   *b = make_matrix(&state, RANDOM, n);
		Solved		solved;

		for (int i = 0; i < n; i++)
		{
			double		scale = pow(10, -8 * random_share(&state));

			for (int j = 0; j < n; j++)
				b[i * n + j] *= scale;
		}
		for (int i = 0; i < n; i++)
		{
			for (int j = 0; j < n; j++)
			{
				a[i * n + j] = 0;
				for (int l = 0; l < n; l++)
					a[i * n + j] += b[i * n + l] * b[j * n + l];
			}
		}
		solved = solve(a, n);
		for (int i = 0; i < n; i++)
		{
			const double *v = solved.vectors + i * n;
			long double quotient = 0;

			for (int r = 0; r < n; r++)
			{
				for (int j = 0; j < n; j++)
					quotient += (long double) a[r * n + j] * v[r] * v[j];
			}
			worst = fmax(worst, fabs((double) quotient - solved.values[i]) /
						 (double) quotient);
		}
		solved_free(&solved);
		free(a);
		free(b);
	}
	check(worst < 1e-6, "columns of different scales: error %.1e", worst);
}

/* ---- known ones ---- */

static bool
has_values(const Solved *solved, const double *values, double tolerance)
{
	bool		equal = solved->status == KM_OK;

	for (int i = 0; i < solved->n; i++)
		equal &= fabs(solved->values[i] - values[i]) <= tolerance;
	return equal;
}

static void
test_known(void)
{
	static const double zero[9] = {0};
	static const double diagonal[9] = {2, 0, 0, 0, 3, 0, 0, 0, -5};
	static const double pair[4] = {1, 0.25, 0.25, 1};
	static const double opposed[4] = {1, -0.25, -0.25, 1};
	double		second[40 * 40] = {0};
	double		expected[40];
	Solved		solved = solve(zero, 3);

	check(has_values(&solved, (double[]) {0, 0, 0}, 0) &&
		  skewness(&solved) == 0, "zeros: a base and no variance");
	solved_free(&solved);

	solved = solve(diagonal, 3);
	check(has_values(&solved, (double[]) {3, 2, -5}, 0) &&
		  solved.vectors[1] == 1 && solved.vectors[3] == 1 &&
		  solved.vectors[8] == 1, "a diagonal matrix is sorted, exactly");
	solved_free(&solved);

	solved = solve(pair, 2);
	check(has_values(&solved, (double[]) {1.25, 0.75}, 1e-15) &&
		  solved.vectors[0] > 0 && solved.vectors[1] > 0 &&
		  solved.vectors[2] > 0 && solved.vectors[3] < 0,
		  "two equal columns: the first entry is positive");
	solved_free(&solved);
	solved = solve(opposed, 2);
	check(has_values(&solved, (double[]) {1.25, 0.75}, 1e-15) &&
		  solved.vectors[0] > 0 && solved.vectors[1] < 0 &&
		  solved.vectors[2] > 0 && solved.vectors[3] > 0,
		  "two opposed columns likewise");
	solved_free(&solved);

	solved = solve((double[]) {-7}, 1);
	check(has_values(&solved, (double[]) {-7}, 0) && solved.vectors[0] == 1,
		  "a number");
	solved_free(&solved);
	solved = solve(zero, 0);
	check(solved.status == KM_OK, "nothing");
	solved_free(&solved);

	/* second differences: 2 - 2 cos(pi i / (n + 1)) */
	for (int i = 0; i < 40; i++)
	{
		second[i * 40 + i] = 2;
		if (i > 0)
			second[i * 40 + i - 1] = second[(i - 1) * 40 + i] = -1;
		expected[i] = 2 - 2 * cos(M_PI * (40 - i) / 41);
	}
	solved = solve(second, 40);
	check(has_values(&solved, expected, 4e-15), "second differences");
	solved_free(&solved);

	solved = solve((double[]) {1, 0, NAN, 1}, 2);
	check(solved.status == KM_NOT_FINITE, "NaN is refused");
	solved_free(&solved);
}

/* The upper triangle and what the caller's memory held do not matter. */
static void
test_lower(void)
{
	uint64_t	state = 13;
	double	   *a = make_matrix(&state, COVARIANCE, 33);
	Solved		whole = solve(a, 33);
	Solved		half;

	for (int i = 0; i < 33; i++)
	{
		for (int j = i + 1; j < 33; j++)
			a[i * 33 + j] = NAN;
	}
	half = solve(a, 33);
	check(memcmp(whole.values, half.values, sizeof(double) * 33) == 0 &&
		  memcmp(whole.vectors, half.vectors, sizeof(double) * 33 * 33) == 0,
		  "the lower triangle alone is read, same bits");
	solved_free(&whole);
	solved_free(&half);
	free(a);
}

/* ---- failures ---- */

static void
test_failures(void)
{
	uint64_t	state = 14;
	double	   *a = make_matrix(&state, RANDOM, 90);
	TestHost	host;
	Solved		solved;
	long		allocations;
	long		polls;
	bool		told = true;

	host_init(&host);
	told &= solve_with(&host, a, 90, &solved) == KM_OK;
	solved_free(&solved);
	allocations = host.allocations;
	polls = host.polls;
	for (long n = 1; n <= allocations; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		told &= solve_with(&host, a, 90, &solved) == KM_NO_MEMORY &&
			host.outstanding == 0;
		solved_free(&solved);
	}
	check(told && allocations >= 6, "each of %ld allocations refused",
		  allocations);
	told = true;
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		told &= solve_with(&host, a, 90, &solved) == KM_CANCELLED &&
			host.polls == n && host.outstanding == 0;
		solved_free(&solved);
	}
	check(told && polls > 20, "stopped at each of %ld polls", polls);
	free(a);
}

int
main(void)
{
	test_kinds();
	test_large();
	test_scales();
	test_known();
	test_lower();
	test_failures();
	return finish();
}
