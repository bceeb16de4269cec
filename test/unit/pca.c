/*
 * pca.c
 *		Principal axes: against sums in long double, whatever the rows' order,
 *		one row far away, data that has fewer dimensions than asked for.
 */
#include "table.h"

#define MAX_WIDTH	(DATA_FEATURES * DATA_CATEGORIES)

typedef struct Projected
{
	Table		table;
	KmPca	   *pca;
	int			width;
	KmStatus	status;
} Projected;

static void
project(Projected *p, const Data *data, const int *order, KmScale scale,
		int dims)
{
	table_create(&p->table, data, order, scale);
	p->pca = NULL;
	p->status = km_pca_create(&p->table.host.host, &p->table.rows->table,
							  &p->table.space, dims, 0, &p->width, &p->pca);
}

static void
projected_free(Projected *p)
{
	km_pca_free(p->pca);
	table_free(&p->table);
}

/* ---- against sums in long double ---- */

/* n x width: what differs from the mean */
static long double *
center_rows(const Projected *p, int n)
{
	int			width = p->table.space.width;
	long double *rows = malloc(sizeof(long double) * n * width);
	double		point[MAX_WIDTH];

	for (int i = 0; i < n; i++)
	{
		km_row_center(&p->table.rows->table, &p->table.space, i, point);
		for (int j = 0; j < width; j++)
			rows[i * width + j] = point[j];
	}
	for (int j = 0; j < width; j++)
	{
		long double sum = 0;

		for (int i = 0; i < n; i++)
			sum += rows[i * width + j];
		for (int i = 0; i < n; i++)
			rows[i * width + j] -= sum / n;
	}
	return rows;
}

/*
 * Largest error of the axes' variances and of their products, beside the
 * largest variance; and of the share explained.
 */
static double
axes_error(const Projected *p, int n, int dims)
{
	int			width = p->table.space.width;
	long double *rows = center_rows(p, n);
	double	   *matrix = malloc(sizeof(double) * width * width);
	double	   *vectors = malloc(sizeof(double) * width * width);
	double		values[MAX_WIDTH];
	long double products[KM_PCA_DIMS][KM_PCA_DIMS] = {{0}};
	KmPoll		poll = {&p->table.host.host, 0};
	double		worst = 0;
	double		kept = 0;
	double		total = 0;

	for (int i = 0; i < width; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			long double sum = 0;

			for (int r = 0; r < n; r++)
				sum += rows[r * width + i] * rows[r * width + j];
			matrix[i * width + j] = (double) (sum / n);
		}
	}
	km_eigen(&p->table.host.host, &poll, width, matrix, values, vectors);
	for (int r = 0; r < n; r++)
	{
		double		at[KM_PCA_DIMS] = {0};

		km_pca_project(p->pca, r, at);
		for (int a = 0; a < dims; a++)
		{
			for (int b = 0; b < dims; b++)
				products[a][b] += (long double) at[a] * at[b] / n;
		}
	}
	for (int i = 0; i < width; i++)
	{
		kept += i < dims ? values[i] : 0;
		total += values[i];
	}
	for (int a = 0; a < dims; a++)
	{
		for (int b = 0; b < dims; b++)
		{
			double		expected = a == b && a < width ? values[a] : 0;

			worst = fmax(worst, fabs((double) products[a][b] - expected) /
						 values[0]);
		}
	}
	worst = fmax(worst, fabs(km_pca_explained(p->pca) - kept / total));
	free(rows);
	free(matrix);
	free(vectors);
	return worst;
}

static void
test_hard(void)
{
	uint64_t	state = 21;

	for (Hard kind = 0; kind < HARD_KINDS; kind++)
	{
		double		worst = 0;

		for (int i = 0; i < 20; i++)
		{
			int			dims = 2 + i % 2;
			int			n = 2 + random_below(&state, 300);
			Data		data;
			Projected	p;

			make_hard(&data, &state, kind, n);
			project(&p, &data, NULL, i % 3 == 0 ? KM_NONE : KM_ZSCORE, dims);
			if (p.status != KM_OK)
				worst = INFINITY;
			else
				worst = fmax(worst, axes_error(&p, n, dims));
			projected_free(&p);
			data_free(&data);
		}
		check(worst < 1e-13, "%s: error %.1e", hard_names[kind], worst);
	}
}

/* ---- the rows' order, and their number ---- */

static void
test_order(void)
{
	uint64_t	state = 22;
	bool		same = true;

	for (int round = 0; round < 12; round++)
	{
		int			n = 1 + random_below(&state, 900);
		int		   *order = malloc(sizeof(int) * n);
		Data		data;
		Projected	p;
		Projected	q;

		make_hard(&data, &state, round % 2 == 0 ? MIXED : OFFSET, n);
		for (int i = 0; i < n; i++)
			order[i] = i;
		shuffle(&state, order, n);
		project(&p, &data, NULL, KM_ZSCORE, 3);
		project(&q, &data, order, KM_ZSCORE, 3);
		same &= same_bits(km_pca_explained(p.pca), km_pca_explained(q.pca));
		for (int i = 0; i < n; i++)
		{
			double		a[KM_PCA_DIMS];
			double		b[KM_PCA_DIMS];

			km_pca_project(p.pca, order[i], a);
			km_pca_project(q.pca, i, b);
			same &= memcmp(a, b, sizeof(a)) == 0;
		}
		projected_free(&p);
		projected_free(&q);
		data_free(&data);
		free(order);
	}
	check(same, "any order gives the same bits");
}

/*
 * The others' covariance beside a row that is 1e6 to 1e14 of their standard
 * deviations away in another column.
 */
static void
test_outlier(void)
{
	enum
	{
		N = 4000
	};
	uint64_t	state = 23;

	for (int power = 6; power <= 14; power += 2)
	{
		Data		data;
		Projected	p;
		double		error;

		data_blobs(&data, &state, N, 4, 5, 0.5);
		data_row(&data, N / 3)[0] = pow(10, power);
		project(&p, &data, NULL, KM_NONE, 3);
		error = axes_error(&p, N, 3);
		check(error < 1e-13, "one row 1e%d away: error %.1e", power, error);
		projected_free(&p);

		/* z-scored, no column outweighs the others */
		project(&p, &data, NULL, KM_ZSCORE, 3);
		error = axes_error(&p, N, 3);
		check(error < 1e-12, "and z-scored: error %.1e", error);
		projected_free(&p);
		data_free(&data);
	}
}

/* ---- few dimensions ---- */

static bool
is_flat(const Projected *p, int n, int axis)
{
	bool		flat = true;

	for (int i = 0; i < n; i++)
	{
		double		at[KM_PCA_DIMS];

		km_pca_project(p->pca, i, at);
		flat &= at[axis] == 0 && !signbit(at[axis]);
	}
	return flat;
}

static void
test_few(void)
{
	uint64_t	state = 24;
	double		at[KM_PCA_DIMS];
	Data		data;
	Projected	p;

	data_blobs(&data, &state, 1, 3, 1, 1);
	project(&p, &data, NULL, KM_NONE, 3);
	check(p.status == KM_OK && km_pca_explained(p.pca) == -1 &&
		  is_flat(&p, 1, 0) && is_flat(&p, 1, 1) && is_flat(&p, 1, 2),
		  "one row stands at 0");
	projected_free(&p);
	data_free(&data);

	data_blobs(&data, &state, 50, 2, 1, 1);
	for (int i = 0; i < 50; i++)
		data_row(&data, i)[0] = data_row(&data, i)[1] = 0.1;
	project(&p, &data, NULL, KM_NONE, 2);
	check(p.status == KM_OK && km_pca_explained(p.pca) == -1 &&
		  is_flat(&p, 50, 0) && is_flat(&p, 50, 1), "equal rows stand at 0");
	projected_free(&p);
	data_free(&data);

	data_blobs(&data, &state, 50, 1, 1, 1);
	project(&p, &data, NULL, KM_NONE, 2);
	km_pca_project(p.pca, 7, at);
	check(km_pca_explained(p.pca) == 1 && is_flat(&p, 50, 1) && at[0] != 0,
		  "one column has one axis");
	projected_free(&p);
	data_free(&data);

	data_blobs(&data, &state, 500, 3, 1, 1);
	for (int i = 0; i < 500; i++)
	{
		data_row(&data, i)[1] = 3 * data_row(&data, i)[0] - 7;
		data_row(&data, i)[2] = 1e6 - data_row(&data, i)[0] / 3;
	}
	project(&p, &data, NULL, KM_ZSCORE, 3);
	check(fabs(km_pca_explained(p.pca) - 1) < 1e-14 && is_flat(&p, 500, 1) &&
		  is_flat(&p, 500, 2), "columns that follow from one have one axis");
	projected_free(&p);
	project(&p, &data, NULL, KM_NONE, 2);
	check(fabs(km_pca_explained(p.pca) - 1) < 1e-14 && is_flat(&p, 500, 1),
		  "whatever their scales");
	projected_free(&p);
	data_free(&data);

	/* a column that nobody sees beside the other is there nonetheless */
	data_blobs(&data, &state, 500, 2, 1, 1);
	for (int i = 0; i < 500; i++)
		data_row(&data, i)[0] *= 1e9;
	project(&p, &data, NULL, KM_NONE, 2);
	check(!is_flat(&p, 500, 1) && km_pca_explained(p.pca) == 1,
		  "a small column is not taken for rounding");
	projected_free(&p);
	data_free(&data);

	/* two categories: one axis, and the factor's distance along it */
	data_init(&data, 4, 1);
	data.kinds[0] = KM_CATEGORY;
	data.ncategories[0] = 3;
	data_row(&data, 1)[0] = data_row(&data, 2)[0] = 2;
	project(&p, &data, NULL, KM_NONE, 2);
	km_pca_project(p.pca, 0, at);
	check(p.width == 2 && near(at[0], sqrt(0.5), 1e-15) &&
		  km_pca_explained(p.pca) == 1 && is_flat(&p, 4, 1),
		  "categories that do not occur are no dimensions");
	projected_free(&p);
	data_free(&data);

	data_init(&data, 0, 1);
	table_create(&p.table, &data, NULL, KM_NONE);
	p.pca = NULL;
	p.status = km_pca_create(&p.table.host.host, &p.table.rows->table,
							 &p.table.space, 2, 0, &p.width, &p.pca);
	check(p.status == KM_NO_ROWS && p.pca == NULL, "no rows, no axes");
	projected_free(&p);
	data_free(&data);
}

/* ---- limits and failures ---- */

static KmStatus
create(TestHost *host, const Table *table, size_t limit)
{
	KmPca	   *pca = NULL;
	int			width = 0;
	KmStatus	status = km_pca_create(&host->host, &table->rows->table,
									   &table->space, 3, limit, &width, &pca);

	if (status == KM_OK)
		km_pca_free(pca);
	return status;
}

static void
test_failures(void)
{
	uint64_t	state = 25;
	TestHost	host;
	Data		data;
	Table		table;
	long		allocations;
	long		polls;
	bool		told = true;
	double		bytes;

	data_blobs(&data, &state, 700, 6, 3, 0.5);
	data_categorise(&data, &state, 4, 5);
	data_categorise(&data, &state, 2, 3);
	table_create(&table, &data, NULL, KM_ZSCORE);

	host_init(&host);
	told &= create(&host, &table, 0) == KM_OK;
	allocations = host.allocations;
	polls = host.polls;
	for (long n = 1; n <= allocations; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		told &= create(&host, &table, 0) == KM_NO_MEMORY &&
			host.outstanding == 0;
	}
	check(told && allocations > 15, "each of %ld allocations refused",
		  allocations);
	told = true;
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		told &= create(&host, &table, 0) == KM_CANCELLED &&
			host.polls == n && host.outstanding == 0;
	}
	check(told && polls > 20, "stopped at each of %ld polls", polls);

	host_init(&host);
	bytes = km_pca_bytes(4 + 5 + 3);
	check(create(&host, &table, (size_t) bytes) == KM_OK &&
		  create(&host, &table, (size_t) bytes - 1) == KM_OVER_LIMIT &&
		  host.outstanding == 0, "a limit of %.0f bytes holds", bytes);
	table_free(&table);
	data_free(&data);
}

/* A feature of so many categories, a row in each. */
static KmStatus
create_wide(int ncategories, int *width)
{
	KmFeature	feature = {
		.kind = KM_CATEGORY,
		.factor = 1,
		.ncategories = ncategories
	};
	KmKind		kind = KM_CATEGORY;
	TestHost	host;
	KmRows	   *rows;
	KmSpace		space;
	KmPca	   *pca = NULL;
	KmStatus	status;

	host_init(&host);
	km_rows_create(&host.host, 1, &kind, false, false, 0, &rows);
	for (int i = 0; i < ncategories; i++)
		km_rows_add(rows, (double[]) {i}, 1);
	km_space_create(&host.host, &feature, 1, false, &space);
	km_space_set_grid(&space);
	host.stop_at = 40;			/* the axes themselves would take long */
	status = km_pca_create(&host.host, &rows->table, &space, 2, 0, width,
						   &pca);
	km_pca_free(pca);
	km_space_clear(&space);
	km_rows_free(rows);
	check(host.outstanding == 0, "nothing left of %d categories",
		  ncategories);
	return status;
}

static void
test_wide(void)
{
	int			width;

	check(create_wide(KM_PCA_MAX_WIDTH, &width) == KM_CANCELLED &&
		  width == KM_PCA_MAX_WIDTH, "as wide as may be");
	check(create_wide(KM_PCA_MAX_WIDTH + 1, &width) == KM_TOO_WIDE &&
		  width == KM_PCA_MAX_WIDTH + 1, "too wide, and by how much");
}

int
main(void)
{
	test_hard();
	test_order();
	test_outlier();
	test_few();
	test_failures();
	test_wide();
	return finish();
}
