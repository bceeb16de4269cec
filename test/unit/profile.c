/*
 * profile.c
 *		Profiles of segments against a plain computation, in any order of the
 *		rows; memory refused, polls stopped; means over all rows of a model.
 */
#include "data.h"

#define ROWS	3000
#define K		5				/* the last segment has no row */
#define COLUMNS	3				/* number, category, number often missing */
#define CODES	6

typedef struct Table
{
	double		values[ROWS][COLUMNS];
	int			segment[ROWS];
	int			place[CODES];	/* of each code among the sorted names */
} Table;

static void
make_table(Table *table)
{
	static const int place[CODES] = {3, 5, 0, 1, 4, 2};
	uint64_t	state = 5;

	memcpy(table->place, place, sizeof(place));
	for (int i = 0; i < ROWS; i++)
	{
		double	   *row = table->values[i];

		table->segment[i] = random_below(&state, K - 1);
		row[0] = random_normal(&state) * 1e6 + 1e9;
		row[1] = random_below(&state, CODES);
		row[2] = random_below(&state, 3) > 0 ? NAN :
			ldexp(random_normal(&state), random_below(&state, 100) - 50);
		/* in segment 3 no value of the last column is there */
		if (table->segment[i] == 3)
			row[2] = NAN;
		if (table->segment[i] == 2)
			row[1] = random_below(&state, 2) ? 1 : NAN;
	}
}

static KmStatus
run_profile(TestHost *host, const Table *table, const int *order,
			KmProfileCell cells[COLUMNS][K])
{
	KmProfile  *profile = NULL;
	KmStatus	status = km_profile_create(&host->host, K, COLUMNS, 0,
										   &profile);

	for (int i = 0; i < ROWS && status == KM_OK; i++)
	{
		int			row = order == NULL ? i : order[i];

		status = km_profile_add(profile, table->segment[row],
								table->values[row]);
	}
	for (int c = 0; c < COLUMNS && status == KM_OK; c++)
		status = km_profile_column(profile, c, c == 1 ? CODES : 0,
								   c == 1 ? table->place : NULL, cells[c]);
	km_profile_free(profile);
	return status;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* Values of a column in a segment (-1: in all), sorted; how many. */
static int
gather(const Table *table, int column, int segment, double *values)
{
	int			n = 0;

	for (int i = 0; i < ROWS; i++)
	{
		if ((segment < 0 || table->segment[i] == segment) &&
			!isnan(table->values[i][column]))
			values[n++] = table->values[i][column];
	}
	qsort(values, n, sizeof(double), compare_doubles);
	return n;
}

static void
plain_moments(const double *values, int n, double *mean, double *sd)
{
	long double sum = 0;
	long double squares = 0;

	for (int i = 0; i < n; i++)
		sum += values[i];
	*mean = (double) (sum / n);
	for (int i = 0; i < n; i++)
		squares += (values[i] - sum / n) * (values[i] - sum / n);
	*sd = sqrt((double) (squares / n));
}

static bool
right_number(const Table *table, int column, int c, const KmProfileCell *cell)
{
	static double values[ROWS];
	double		mean;
	double		sd;
	int			n = gather(table, column, -1, values);
	bool		right;

	plain_moments(values, n, &mean, &sd);
	right = near(cell->overall_mean, mean, 1e-14) &&
		near(cell->overall_sd, sd, 1e-12) && cell->top == -1;
	n = gather(table, column, c, values);
	if (n == 0)
		return right && cell->count == 0 && cell->mean == 0;
	plain_moments(values, n, &mean, &sd);
	right &= cell->count == n && near(cell->mean, mean, 1e-14);
	for (int q = 0; q < 3; q++)
	{
		/* percentile_cont's own arithmetic */
		double		at = (q + 1) * 0.25 * (n - 1);
		double		low = values[(int) floor(at)];
		double		high = values[(int) ceil(at)];

		right &= same_bits(cell->quartiles[q],
						   low + (at - floor(at)) * (high - low));
	}
	return right;
}

static bool
right_category(const Table *table, int c, const KmProfileCell *cell)
{
	static double values[ROWS];
	int			counts[CODES] = {0};
	int			n = gather(table, 1, c, values);
	int			top = -1;
	int			all;
	double		share;

	for (int i = 0; i < n; i++)
		counts[(int) values[i]]++;
	for (int place = 0; place < CODES; place++)
	{
		for (int v = 0; v < CODES; v++)
		{
			if (table->place[v] == place && counts[v] > 0 &&
				(top < 0 || counts[v] > counts[top]))
				top = v;
		}
	}
	if (top < 0)
		return cell->count == 0 && cell->top == -1;
	all = gather(table, 1, -1, values);
	share = 0;
	for (int i = 0; i < all; i++)
		share += values[i] == top;
	share /= all;
	return cell->count == n && cell->top == top &&
		cell->mean == (double) counts[top] / n &&
		cell->overall_mean == share &&
		near(cell->overall_sd, sqrt(share * (1 - share)), 1e-15);
}

static void
test_values(const Table *table)
{
	TestHost	host;
	KmProfileCell cells[COLUMNS][K];
	KmProfileCell again[COLUMNS][K];
	int			order[ROWS];
	uint64_t	state = 9;
	bool		numbers = true;
	bool		categories = true;
	bool		same = true;

	host_init(&host);
	check(run_profile(&host, table, NULL, cells) == KM_OK, "a profile");
	for (int c = 0; c < K; c++)
	{
		numbers &= right_number(table, 0, c, &cells[0][c]);
		numbers &= right_number(table, 2, c, &cells[2][c]);
		categories &= right_category(table, c, &cells[1][c]);
	}
	check(numbers, "means and quartiles, also where values are missing");
	check(categories, "most frequent category, its share here and overall");

	for (int i = 0; i < ROWS; i++)
		order[i] = i;
	for (int round = 0; round < 4; round++)
	{
		shuffle(&state, order, ROWS);
		same &= run_profile(&host, table, order, again) == KM_OK &&
			memcmp(cells, again, sizeof(cells)) == 0;
	}
	check(same, "the same bits in any order of the rows");
	check(host.outstanding == 0, "all freed");
}

/* Equally frequent: the first by name, not the first to come. */
static void
test_ties(void)
{
	static const int place[2] = {1, 0};
	TestHost	host;
	KmProfile  *profile;
	KmProfileCell cell;

	host_init(&host);
	km_profile_create(&host.host, 1, 1, 0, &profile);
	for (int i = 0; i < 4; i++)
		km_profile_add(profile, 0, (double[]) {i % 2});
	km_profile_column(profile, 0, 2, place, &cell);
	check(cell.top == 1 && cell.mean == 0.5, "ties go by name");
	check(km_profile_rows(profile) == 4 && km_profile_size(profile, 0) == 4,
		  "rows are counted");
	km_profile_free(profile);
}

/* Halves of what is beyond double's range when subtracted. */
static void
test_extremes(void)
{
	TestHost	host;
	KmProfile  *profile;
	KmProfileCell cells[2];

	host_init(&host);
	km_profile_create(&host.host, 2, 1, 0, &profile);
	km_profile_add(profile, 0, (double[]) {-DBL_MAX});
	km_profile_add(profile, 0, (double[]) {DBL_MAX});
	km_profile_add(profile, 1, (double[]) {-0.0});
	km_profile_column(profile, 0, 0, NULL, cells);
	check(cells[0].mean == 0 && cells[0].quartiles[1] == 0 &&
		  near(cells[0].quartiles[0], -DBL_MAX / 2, 1e-15),
		  "from end to end of double");
	check(!signbit(cells[1].mean) && !signbit(cells[1].quartiles[0]),
		  "no negative zero");
	km_profile_free(profile);

	km_profile_create(&host.host, 2, 1, 0, &profile);
	check(km_profile_column(profile, 0, 0, NULL, cells) == KM_OK &&
		  cells[0].count == 0 && cells[1].overall_mean == 0, "no rows");
	km_profile_free(profile);
	check(host.outstanding == 0, "all freed");
}

static void
test_limit(void)
{
	const size_t limit = 100 * 1000;
	TestHost	host;
	KmProfile  *profile;
	KmStatus	status = KM_OK;

	host_init(&host);
	km_profile_create(&host.host, 1, 2, limit, &profile);
	while (status == KM_OK)
		status = km_profile_add(profile, 0, (double[]) {1, 2});
	/* 28 bytes a row: segment, two values, and room to sort one */
	check(status == KM_OVER_LIMIT &&
		  km_profile_rows(profile) > (int64_t) limit / 28 / 3 &&
		  km_profile_rows(profile) <= (int64_t) limit / 28,
		  "%ld rows fit into the limit", (long) km_profile_rows(profile));
	km_profile_free(profile);
	check(host.outstanding == 0, "all freed");
}

static void
test_failure(const Table *table)
{
	TestHost	host;
	KmProfileCell cells[COLUMNS][K];
	long		calls;
	long		polls;
	bool		told = true;
	bool		clean = true;

	host_init(&host);
	(void) run_profile(&host, table, NULL, cells);
	calls = host.allocations;
	polls = host.polls;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		told &= run_profile(&host, table, NULL, cells) == KM_NO_MEMORY;
		clean &= host.outstanding == 0;
	}
	check(told && calls > 8, "each of %ld allocations refused: told", calls);
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		told &= run_profile(&host, table, NULL, cells) == KM_CANCELLED &&
			host.polls == n;
		clean &= host.outstanding == 0;
	}
	check(told && polls > 8, "stopped at each of %ld polls", polls);
	check(clean, "and nothing left behind");
}

/* What a model says of all rows: as its rows do, weighted if they are. */
static void
test_overall(bool weighted)
{
	uint64_t	state = 4;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	double		weight = 0;
	double		shares[3] = {0, 0, 0};
	bool		right = true;

	host_init(&host);
	km_options_default(&options);
	data_blobs(&data, &state, 400, 2, 4, 0.3);
	data_categorise(&data, &state, 1, 3);
	if (weighted)
	{
		data.weights = malloc(sizeof(double) * 400);
		for (int i = 0; i < 400; i++)
			data.weights[i] = 1 + random_below(&state, 3);
	}
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	for (int i = 0; i < 400; i++)
	{
		double		w = weighted ? data.weights[i] : 1;

		weight += w;
		shares[(int) data_row(&data, i)[1]] += w;
	}
	for (int d = 0; d < 4; d++)
	{
		double		mean;
		double		sd;
		double		share = d == 0 ? 0 : shares[d - 1] / weight;

		km_model_overall(&fitted.model, d == 0 ? 0 : 1, d == 0 ? 0 : d - 1, d,
						 &mean, &sd);
		right &= d == 0 ? mean == fitted.features[0].mean &&
			sd == fitted.features[0].sd
			: near(mean, share, weighted ? 1e-14 : 0) &&
			near(sd, sqrt(share * (1 - share)), 1e-13);
		for (int c = 0; c < 4; c++)
			right &= same_bits(km_model_value_at(&fitted.model, c,
												 d == 0 ? 0 : 1, d),
							   km_model_value(&fitted.model, c,
											  d == 0 ? 0 : 1,
											  d == 0 ? 0 : d - 1));
	}
	check(right, "means over all rows of a model%s",
		  weighted ? ", weighted" : "");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	static Table table;

	make_table(&table);
	test_values(&table);
	test_ties();
	test_extremes();
	test_limit();
	test_failure(&table);
	test_overall(false);
	test_overall(true);
	return finish();
}
