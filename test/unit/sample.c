/*
 * sample.c
 *		The sample: the same whatever the rows' order, complete when it can be,
 *		and with weights that are right on average when not.
 */
#include "tap.h"

typedef struct Rows
{
	TestHost	host;
	KmRows	   *rows;
	KmFeature	features[3];
	KmSpace		space;
} Rows;

/* values: n rows of 2 numbers and a category, taken as positions */
static void
make_rows(Rows *made, const double *values, const double *weights,
		  const int *order, int n)
{
	static const KmKind kinds[] = {KM_NUMBER, KM_NUMBER, KM_CATEGORY};

	memset(made, 0, sizeof(*made));
	host_init(&made->host);
	for (int f = 0; f < 3; f++)
	{
		made->features[f].kind = kinds[f];
		made->features[f].factor = 1.5;
		made->features[f].ncategories = f == 2 ? 3 : 0;
		made->features[f].grid = 40;
	}
	km_rows_create(&made->host.host, 3, kinds, weights != NULL, false, 0,
				   &made->rows);
	for (int i = 0; i < n; i++)
	{
		int			row = order == NULL ? i : order[i];

		km_rows_add(made->rows, values + 3 * row,
					weights == NULL ? 1 : weights[row]);
	}
	km_space_create(&made->host.host, made->features, 3, false, &made->space);
	km_space_set_grid(&made->space);
}

static void
free_rows(Rows *made)
{
	km_space_clear(&made->space);
	km_rows_free(made->rows);
}

static const double *
sample_lane(const KmSample *sample, int64_t i)
{
	return km_tile(&sample->table, sample->table.blocks, (int) (i / KM_LANES))
		+ i % KM_LANES;
}

static double
sample_weight(const KmSample *sample, int64_t i)
{
	return sample_lane(sample, i)[sample->table.weight_slot * KM_LANES];
}

static bool
same_content(const double *lane, const double *values)
{
	return lane[0] == values[0] && lane[KM_LANES] == values[1] &&
		lane[2 * KM_LANES] == values[2];
}

static bool
same_sample(const KmSample *a, const KmSample *b)
{
	if (a->distinct != b->distinct || a->complete != b->complete ||
		!same_bits(a->weight, b->weight) || !same_bits(a->squares, b->squares))
		return false;
	return memcmp(a->hash, b->hash, sizeof(uint64_t) * a->distinct) == 0 &&
		memcmp(a->norm, b->norm, sizeof(double) * a->distinct) == 0 &&
		memcmp(a->table.blocks[0].data, b->table.blocks[0].data,
			   sizeof(double) * KM_LANES * a->table.nslots *
			   (size_t) km_block_tiles(a->table.blocks)) == 0;
}

/* coarse: rows repeat */
static double *
draw_values(uint64_t *state, int n, bool coarse)
{
	double	   *values = malloc(sizeof(double) * 3 * n);

	for (int i = 0; i < n; i++)
	{
		values[3 * i] = coarse ? random_below(state, 12) :
			random_normal(state);
		values[3 * i + 1] = coarse ? random_below(state, 9) * 0.25 :
			random_normal(state) * 2;
		values[3 * i + 2] = random_below(state, 3);
	}
	return values;
}

/* mean of squared lengths, as the fit would give it */
static double
mean_square(const double *values, int n)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		sum += values[3 * i] * values[3 * i] +
			values[3 * i + 1] * values[3 * i + 1] + 2.25;
	return sum / n;
}

static void
test_order(bool coarse, int64_t want, bool with_spread, bool weighted)
{
	enum
	{
		N = 4000
	};
	uint64_t	state = 11;
	double	   *values = draw_values(&state, N, coarse);
	double		spread = with_spread ? mean_square(values, N) : 0;
	static double weights[N];
	static int	order[N];
	Rows		made;
	KmSample	first;
	bool		same = true;
	bool		freed = true;

	for (int i = 0; i < N; i++)
	{
		order[i] = i;
		weights[i] = 1 + random_below(&state, 100);
	}
	make_rows(&made, values, weighted ? weights : NULL, NULL, N);
	sample_table(&made.rows->table, &made.space, want, spread, &first);
	for (int round = 0; round < 4; round++)
	{
		Rows		other;
		KmSample	sample;

		/* the last round is the reverse, the worst case for pruning */
		shuffle(&state, order, N);
		for (int i = 0; i < N && round == 3; i++)
			order[i] = N - 1 - i;
		make_rows(&other, values, weighted ? weights : NULL, order, N);
		same &= sample_table(&other.rows->table, &other.space, want,
								 spread, &sample) == KM_OK;
		same &= same_sample(&first, &sample);
		km_sample_clear(&other.host.host, &sample);
		free_rows(&other);
		freed &= other.host.outstanding == 0;
	}
	check(same && freed, "any order: %s rows, %d wanted%s%s",
		  coarse ? "repeated" : "distinct", (int) want,
		  with_spread ? ", by distance" : "", weighted ? ", weighted" : "");
	km_sample_clear(&made.host.host, &first);
	free_rows(&made);
	free(values);
}

/* A complete sample against counting pairs of rows. */
static void
test_complete(void)
{
	enum
	{
		N = 1500
	};
	uint64_t	state = 12;
	double	   *values = draw_values(&state, N, true);
	Rows		made;
	KmSample	sample;
	double		total = 0;
	double		squares = 0;
	int64_t		found = 0;
	bool		counts = true;

	make_rows(&made, values, NULL, NULL, N);
	sample_table(&made.rows->table, &made.space, 20000, 3, &sample);
	for (int64_t r = 0; r < sample.distinct; r++)
	{
		const double *lane = sample_lane(&sample, r);
		int			like = 0;

		for (int i = 0; i < N; i++)
			like += same_content(lane, values + 3 * i);
		counts &= like > 0 && sample_weight(&sample, r) == like;
		total += like;
		squares += like * sample.norm[r];
		found += like;
		counts &= near(sample.norm[r], lane[0] * lane[0] + lane[KM_LANES] *
					   lane[KM_LANES] + 2.25, 1e-15);
	}
	check(sample.complete && counts && found == N,
		  "each distinct row once, with its multiplicity");
	check(sample.weight == total && near(sample.squares, squares, 1e-13),
		  "sums over the sample");
	km_sample_clear(&made.host.host, &sample);
	sample_table(&made.rows->table, &made.space, 324, 3, &sample);
	check(sample.complete == (sample.distinct < 324) || sample.distinct == 324,
		  "as many rows as there are distinct ones");
	km_sample_clear(&made.host.host, &sample);
	free_rows(&made);
	free(values);
}

/* what a row's chance depends on */
static double
row_chance(const KmSample *all, int64_t i, double spread)
{
	return spread > 0 ? 0.5 + 0.5 / spread * all->norm[i] : 1;
}

/* A truncated sample is the first part of the complete one. */
static void
test_bottom(double share)
{
	enum
	{
		N = 6000,
		WANT = 500
	};
	uint64_t	state = 13;
	double	   *values = draw_values(&state, N, false);
	double		spread = share * mean_square(values, N);
	Rows		made;
	KmSample	all;
	KmSample	part;
	bool		prefix = true;
	bool		rising = true;
	bool		weights = true;
	double		threshold;

	/* three of each */
	for (int i = 0; i < 3 * N; i++)
		values[i] = values[i % N];
	make_rows(&made, values, NULL, NULL, N);
	sample_table(&made.rows->table, &made.space, N, spread, &all);
	sample_table(&made.rows->table, &made.space, WANT, spread, &part);
	threshold = km_uniform(all.hash[WANT]) / row_chance(&all, WANT, spread);
	for (int i = 0; i < WANT; i++)
	{
		double		p = row_chance(&all, i, spread);
		double		chance = p * threshold;
		double		weight = sample_weight(&all, i) * 1024;

		prefix &= part.hash[i] == all.hash[i] &&
			same_bits(part.norm[i], all.norm[i]);
		rising &= km_uniform(all.hash[i]) / p <=
			km_uniform(all.hash[i + 1]) / row_chance(&all, i + 1, spread);
		weights &= sample_weight(&part, i) ==
			rint(chance < 1 ? weight / chance : weight);
	}
	check(!part.complete && part.distinct == WANT && prefix && rising,
		  "a true sample is the rows of smallest keys, spread %g", share);
	check(weights, "its weights are multiplicity over chance");
	km_sample_clear(&made.host.host, &part);
	km_sample_clear(&made.host.host, &all);
	free_rows(&made);
	free(values);
}

/*
 * Over many data sets the estimates of known totals must be right on
 * average: rows, squared lengths, and rows of a small far group.
 */
static void
test_unbiased(bool with_spread)
{
	enum
	{
		N = 2000,
		WANT = 200,
		ROUNDS = 300
	};
	uint64_t	state = 14;
	double		sum[3] = {0};
	double		squares[3] = {0};
	bool		unbiased = true;

	for (int round = 0; round < ROUNDS; round++)
	{
		double	   *values = draw_values(&state, N, false);
		double		estimate[3] = {0};
		double		truth[3] = {N, 0, 20};
		double		spread = with_spread ? mean_square(values, N) : 0;
		Rows		made;
		KmSample	sample;

		for (int i = 0; i < 20; i++)
			values[3 * i] += 30;
		truth[1] = mean_square(values, N) * N;
		make_rows(&made, values, NULL, NULL, N);
		sample_table(&made.rows->table, &made.space, WANT, spread,
						 &sample);
		for (int i = 0; i < WANT; i++)
		{
			double		weight = sample_weight(&sample, i) / 1024;

			estimate[0] += weight;
			estimate[1] += weight * sample.norm[i];
			estimate[2] += sample_lane(&sample, i)[0] > 15 ? weight : 0;
		}
		for (int e = 0; e < 3; e++)
		{
			double		off = estimate[e] / truth[e] - 1;

			sum[e] += off;
			squares[e] += off * off;
		}
		km_sample_clear(&made.host.host, &sample);
		free_rows(&made);
		free(values);
	}
	/* four standard errors, measured from the same rounds */
	for (int e = 0; e < 3; e++)
		unbiased &= fabs(sum[e]) <= 4 * sqrt(squares[e]);
	check(unbiased, "estimates are right on average%s",
		  with_spread ? ", by distance" : "");
	check(!with_spread || squares[2] / ROUNDS < 0.01,
		  "a small far group is not lost");
}

/*
 * What is done when all rows have come, with millions of entries: sorting,
 * packing, the index, the table.  Each must ask whether to go on; an entry is
 * worth 100 multiply-adds and more, so that each of these asks about N / 20
 * times.
 */
static void
test_polls(void)
{
	enum
	{
		N = 5000
	};
	uint64_t	state = 3;
	double	   *values = draw_values(&state, N, false);
	Rows		made;
	KmSample	sample;
	KmSource	source;
	KmSampleInput input = {N, 0, 0};
	KmPoll		poll = {NULL, 0};
	KmJob		job = {
		.step = &km_step_sample,
		.poll = &poll,
		.input = &input,
		.input_size = sizeof(input)
	};
	KmStatus	status;
	long		before;
	long		after;

	make_rows(&made, values, NULL, NULL, N);
	source = (KmSource) {&made.rows->table, NULL};
	poll.host = job.host = &made.host.host;
	job.table = &made.rows->table;
	job.space = &made.space;
	status = km_pass(&source, &job);
	before = made.host.polls;
	if (status == KM_OK)
		status = km_sample_finish(&job, &sample);
	after = made.host.polls;
	/* 12 levels of a merge sort, the sorted entries, packing, the index */
	check(status == KM_OK && after - before > 12 && before > N / 20,
		  "a large sample asks whether to go on: %ld and %ld times", before,
		  after - before);
	km_sample_clear(&made.host.host, &sample);
	km_step_sample.close(&job);
	free_rows(&made);
	free(values);
}

int
main(void)
{
	test_order(true, 20000, true, false);
	test_order(true, 100, true, false);
	test_order(false, 300, false, false);
	test_order(false, 300, true, true);
	test_order(true, 60, true, true);
	test_complete();
	test_bottom(0);
	test_bottom(1);
	test_unbiased(false);
	test_unbiased(true);
	test_polls();
	return finish();
}
