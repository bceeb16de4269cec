/*
 * engines.c
 *		The same rows through all engines, and through a k-means that is as
 *		plain as can be.
 *
 * The input says what rows there are, how they are scaled, and from where they
 * are segmented.  In memory, beyond a limit of memory, by a crew of threads, by
 * parts told as bytes, in another order, by each vector unit: the model has the
 * same bytes.  From given starting points, without quantiles, the reference
 * below finds the same statistics, scaling, centers, sizes, iterations and
 * segments, bit for bit; and the inertia, which it adds up in long doubles, to
 * 14 digits.
 */
#include "passes.h"
#include "../unit/threads.h"

#define MAX_ROWS		300
#define FEATURES		4
#define REF_K			8
#define REF_WIDTH		(FEATURES * DATA_CATEGORIES)

/* ---- rows that do not fit into memory ---- */

typedef struct Store
{
	KmStore		store;
	unsigned char *bytes;
	int64_t		size;
} Store;

static KmStatus
put_stored(void *arg, int64_t at, const void *bytes, size_t size)
{
	Store	   *store = arg;

	if (at + (int64_t) size > store->size)
	{
		store->size = at + (int64_t) size;
		store->bytes = realloc(store->bytes, (size_t) store->size);
	}
	memcpy(store->bytes + at, bytes, size);
	return KM_OK;
}

static KmStatus
get_stored(void *arg, int64_t at, void *bytes, size_t size)
{
	Store	   *store = arg;

	MUST(at + (int64_t) size <= store->size);
	memcpy(bytes, store->bytes + at, size);
	return KM_OK;
}

/* ---- what is segmented ---- */

typedef struct Task
{
	Data		data;
	KmOptions	options;
	int			k;
	bool		has_starts;
	double		starts[REF_K * REF_WIDTH];	/* raw */
	int			width;
	size_t		limit;			/* of the engine that spills */
	uint64_t	chance;
} Task;

static double
make_value(Task *task, int style, int i, double scale)
{
	double		normal = random_normal(&task->chance);

	switch (style)
	{
		case 0:
			return scale * rint(normal * 2);	/* many ties */
		case 1:
			return scale * rint(normal * 1000);
		case 2:
			return scale * (1000000 + rint(normal * 3));	/* far from zero */
		case 3:
			return scale * 7;	/* constant */
		case 4:
			return scale * (i % 50 == 0 ? 100000 : rint(normal * 5));
		case 5:
			return scale * rint(normal * 0x1p30);
		default:
			/* four blobs */
			return scale * (random_below(&task->chance, 4) * 256 +
							rint(normal * 16));
	}
}

/* Integers times a power of two, so that plain sums can be exact. */
static void
make_values(Task *task, Input *input)
{
	static const int powers[] = {0, 0, -10, 12, -300, 200};
	Data	   *data = &task->data;

	for (int f = 0; f < FEATURES; f++)
	{
		int			style = take_below(input, 8);
		double		scale = ldexp(1, powers[take_below(input, 6)]);

		data->feature_weight[f] = take_below(input, 4) == 0 ? 0.3 : 1;
		for (int i = 0; i < data->nrows; i++)
			data_row(data, i)[f] = make_value(task, style, i, scale);
	}
	for (int f = take_below(input, 3); f > 0; f--)
	{
		if (data->nrows >= 8 && task->options.distance == KM_EUCLIDEAN)
			data_categorise(data, &task->chance, FEATURES - f, 2 + f);
	}
	for (int i = 8; i < data->nrows && task->options.fill_nulls; i += 5)
		data_row(data, i)[i % FEATURES] = NAN;
}

static void
make_starts(Task *task)
{
	const Data *data = &task->data;
	double	   *to = task->starts;

	for (int c = 0; c < task->k; c++)
	{
		const double *row = data_row(data, random_below(&task->chance,
														data->nrows));

		for (int f = 0; f < FEATURES; f++)
		{
			double		x = isnan(row[f]) ? 0 : row[f];

			if (data->kinds[f] != KM_CATEGORY)
				*to++ = x;
			for (int v = 0; v < data->ncategories[f]; v++)
				*to++ = v == (int) x;
		}
	}
}

static void
make_task(Task *task, Input *input)
{
	KmOptions  *options = &task->options;
	Data	   *data = &task->data;
	int			nrows;
	int			flags;

	memset(task, 0, sizeof(*task));
	task->chance = take_word(input) | 1;
	nrows = 1 + take_below(input, 256) % MAX_ROWS;
	flags = take_byte(input);
	km_options_default(options);
	options->scale = (KmScale) take_below(input, KM_NONE + 1);
	options->distance = flags & 1 ? KM_COSINE : KM_EUCLIDEAN;
	options->fill_nulls = (flags & 2) != 0;
	options->clip = (flags & 12) == 12;
	options->clip_low = 0.1;
	options->clip_high = 0.75;
	options->sample = flags & 16 ? 20 : 20000;
	options->max_iter = flags & 32 ? 3 : 300;
	options->n_init = 1;
	options->seed = take_byte(input);
	task->has_starts = (flags & 64) == 0;
	task->k = 1 + take_below(input, REF_K);
	task->limit = 2000 + 40 * (size_t) take_byte(input);
	data_init(data, nrows, FEATURES);
	make_values(task, input);
	if (flags & 128)
	{
		data->weights = malloc(sizeof(double) * nrows);
		for (int i = 0; i < nrows; i++)
			data->weights[i] = 1 + random_below(&task->chance, 9);
	}
	for (int f = 0; f < FEATURES; f++)
		task->width += data->kinds[f] == KM_CATEGORY ?
			data->ncategories[f] : 1;
	make_starts(task);
}

/* ---- engines ---- */

/* store NULL: in memory */
static void
run_here(const Task *task, TestHost *host, const int *order, KmSimd simd,
		 const KmStore *store, Fitted *fitted)
{
	KmOptions	options = task->options;

	options.simd = simd;
	(void) fit_begin_stored(host, &task->data, order, &options,
							store == NULL ? 0 : task->limit, store, fitted);
	(void) fit_finish(fitted, task->k,
					  task->has_starts ? task->starts : NULL);
}

/* The same end, and the same bytes if it is a good one. */
static void
must_be_same(const Fitted *a, const Fitted *b)
{
	MUST(a->status == b->status);
	MUST(a->status != KM_OK || same_model(a, b));
}

static void
try_order(Task *task, const Fitted *first)
{
	int			order[MAX_ROWS];
	TestHost	host;
	Fitted		fitted;

	fuzz_host_init(&host);
	for (int i = 0; i < task->data.nrows; i++)
		order[i] = i;
	for (int simd = KM_SIMD_BASELINE; simd <= KM_SIMD_AVX2; simd++)
	{
		shuffle(&task->chance, order, task->data.nrows);
		run_here(task, &host, order, (KmSimd) simd, NULL, &fitted);
		must_be_same(first, &fitted);
		fitted_free(&fitted);
	}
	MUST(host.outstanding == 0);
}

static void
try_store(const Task *task, const Fitted *first)
{
	Store		store = {{put_stored, get_stored, NULL}, NULL, 0};
	TestHost	host;
	Fitted		fitted;

	fuzz_host_init(&host);
	store.store.arg = &store;
	run_here(task, &host, NULL, KM_SIMD_AUTO, &store.store, &fitted);
	must_be_same(first, &fitted);
	fitted_free(&fitted);
	free(store.bytes);
	MUST(host.outstanding == 0);
}

static void
try_crew(const Task *task, const Fitted *first)
{
	/* as long as the program lives: to start them takes longer than a fit */
	static Threads threads;
	TestHost	host;
	Fitted		fitted;

	if (threads.n == 0)
		threads_start(&threads, 2, 0);
	fuzz_host_init(&host);
	host.host.crew = &threads.crew;
	run_here(task, &host, NULL, KM_SIMD_AUTO, NULL, &fitted);
	must_be_same(first, &fitted);
	fitted_free(&fitted);
	MUST(host.outstanding == 0 && atomic_load(&threads.outstanding) == 0);
}

static void
try_parts(const Task *task, const Fitted *first)
{
	TestHost	host;
	Elsewhere	elsewhere;
	Fitted		fitted;

	fuzz_host_init(&host);
	elsewhere_init(&elsewhere, &host, &task->data, &task->options, 3);
	(void) fit_elsewhere(&elsewhere, task->k,
						 task->has_starts ? task->starts : NULL, &fitted);
	must_be_same(first, &fitted);
	fitted_free(&fitted);
	free(elsewhere.result);
	MUST(host.outstanding == 0);
}

/* ---- the reference ---- */

typedef struct Reference
{
	const Task *task;
	int			n;
	int			k;
	int			width;
	KmFeature	features[FEATURES];
	int			offset[FEATURES];	/* of a category in a center */
	double		positions[MAX_ROWS][FEATURES];	/* or a category */
	int64_t		weights[MAX_ROWS];
	int			own[MAX_ROWS];
	double		centers[REF_K][REF_WIDTH];	/* numbers first */
	__int128	sums[REF_K][REF_WIDTH];
	int64_t		weight[REF_K];
	int64_t		size[REF_K];
	int			iterations;
	bool		converged;
} Reference;

static bool
is_category(const Reference *r, int f)
{
	return r->task->data.kinds[f] == KM_CATEGORY;
}

/* a column's integers; *power: of two, that they are times */
static __int128
as_integer(double x, int power)
{
	return (__int128) ldexp(x, -power);
}

/* the power of two that all values are multiples of */
static int
common_power(const Reference *r, int f)
{
	int			power = 2000;

	for (int i = 0; i < r->n; i++)
	{
		double		x = data_row(&r->task->data, i)[f];
		int			exponent;
		double		m;

		if (isnan(x) || x == 0)
			continue;
		m = frexp(x, &exponent);
		for (exponent -= 53, m = ldexp(m, 53); fmod(m, 2) == 0; m /= 2)
			exponent++;
		power = exponent < power ? exponent : power;
	}
	return power == 2000 ? 0 : power;
}

/* mean and population deviation, by exact integers */
static void
describe_number(Reference *r, int f)
{
	KmFeature  *feature = &r->features[f];
	int			power = common_power(r, f);
	__int128	sum = 0;
	__int128	squares = 0;
	int64_t		weight = 0;
	__int128	variance;

	feature->min = INFINITY;
	feature->max = -INFINITY;
	for (int i = 0; i < r->n; i++)
	{
		double		x = data_row(&r->task->data, i)[f];
		__int128	m;

		if (isnan(x))
			continue;
		m = as_integer(x, power);
		sum += m * r->weights[i];
		squares += m * m * r->weights[i];
		weight += r->weights[i];
		feature->min = fmin(feature->min, x) + 0.0;
		feature->max = fmax(feature->max, x) + 0.0;
	}
	feature->mean = ldexp((double) sum / (double) weight, power);
	feature->mean = fmax(feature->min, fmin(feature->max, feature->mean));
	variance = squares * weight - sum * sum;
	feature->sd = ldexp(sqrt((double) variance) / (double) weight, power);
}

static void
scale_number(Reference *r, int f)
{
	KmFeature  *feature = &r->features[f];

	feature->center = 0;
	feature->divisor = 1;
	switch (r->task->options.scale)
	{
		case KM_ZSCORE:
			feature->center = feature->mean;
			feature->divisor = feature->sd;
			break;
		case KM_MINMAX:
			feature->center = feature->min;
			feature->divisor = feature->max - feature->min;
			break;
		case KM_MAXABS:
			feature->divisor = fmax(fabs(feature->min), fabs(feature->max));
			break;
		default:
			break;
	}
	if (feature->divisor == 0)
		feature->divisor = 1;
	feature->factor = sqrt(feature->weight);
	feature->origin = feature->mean;
	if (r->task->options.distance == KM_COSINE)
		feature->origin = feature->center;
	else if (feature->min == feature->max)
		feature->origin = feature->min;
}

static double
raw_position(const KmFeature *feature, double x)
{
	return (x - feature->origin) * (feature->factor / feature->divisor);
}

static double
on_grid(double x, int grid)
{
	return ldexp(rint(ldexp(x, grid)), -grid);
}

static void
place_number(Reference *r, int f)
{
	KmFeature  *feature = &r->features[f];
	double		largest = fmax(fabs(raw_position(feature, feature->min)),
							   fabs(raw_position(feature, feature->max)));
	int			exponent = 0;

	if (largest > 0)
		(void) frexp(largest, &exponent);
	feature->grid = 50 - exponent;
	for (int i = 0; i < r->n; i++)
	{
		double		x = data_row(&r->task->data, i)[f];

		x = raw_position(feature, isnan(x) ? feature->mean : x);
		r->positions[i][f] = r->task->options.distance == KM_COSINE ? x :
			on_grid(x, feature->grid);
	}
}

static void
place_category(Reference *r, int f)
{
	KmFeature  *feature = &r->features[f];
	int64_t		counts[DATA_CATEGORIES] = {0};
	int64_t		missing = 0;
	int			most = 0;
	double		same = 0;

	for (int i = 0; i < r->n; i++)
	{
		double		x = data_row(&r->task->data, i)[f];

		if (isnan(x))
			missing++;
		else
			counts[(int) x]++;
	}
	for (int v = 1; v < feature->ncategories; v++)
		most = counts[v] > counts[most] ? v : most;
	counts[most] += missing;
	for (int v = 0; v < feature->ncategories; v++)
		same += ((double) counts[v] / r->n) * ((double) counts[v] / r->n);
	feature->factor = sqrt(feature->weight);
	if (r->task->options.scale == KM_ZSCORE)
		feature->factor = sqrt(feature->weight / (1 - same));
	for (int i = 0; i < r->n; i++)
	{
		double		x = data_row(&r->task->data, i)[f];

		r->positions[i][f] = isnan(x) ? most : x;
	}
}

static void
normalize_row(Reference *r, int i)
{
	double		square = 0;

	for (int f = 0; f < FEATURES; f++)
		square += r->positions[i][f] * r->positions[i][f];
	for (int f = 0; f < FEATURES; f++)
		r->positions[i][f] = square == 0 ? 0 :
			on_grid(r->positions[i][f] / sqrt(square), 50);
}

/* dimension of a number among the centers' */
static int
slot_of(const Reference *r, int f)
{
	int			slot = 0;

	for (int g = 0; g < f; g++)
		slot += !is_category(r, g);
	return slot;
}

static void
place_rows(Reference *r)
{
	const Data *data = &r->task->data;
	bool		cosine = r->task->options.distance == KM_COSINE;
	int			width = 0;

	for (int i = 0; i < r->n; i++)
		r->weights[i] = data->weights == NULL ? 1 : (int64_t) data->weights[i];
	for (int f = 0; f < FEATURES; f++)
	{
		KmFeature  *feature = &r->features[f];

		feature->weight = data->feature_weight[f];
		feature->ncategories = data->ncategories[f];
		if (is_category(r, f))
			continue;
		describe_number(r, f);
		scale_number(r, f);
		place_number(r, f);
		width++;
	}
	for (int f = 0; f < FEATURES; f++)
	{
		if (!is_category(r, f))
			continue;
		place_category(r, f);
		r->offset[f] = width;
		width += data->ncategories[f];
	}
	r->width = width;
	for (int i = 0; i < r->n && cosine; i++)
		normalize_row(r, i);
}

static void
place_starts(Reference *r)
{
	const double *from = r->task->starts;

	for (int c = 0; c < r->k; c++)
	{
		double		square = 0;

		for (int f = 0; f < FEATURES; f++)
		{
			double	   *to = &r->centers[c][slot_of(r, f)];

			if (!is_category(r, f))
			{
				*to = raw_position(&r->features[f], *from++);
				square += *to * *to;
			}
			else
				for (int v = 0; v < r->features[f].ncategories; v++)
					r->centers[c][r->offset[f] + v] =
						r->features[f].factor * *from++;
		}
		for (int s = 0; s < r->width && square > 0 &&
			 r->task->options.distance == KM_COSINE; s++)
			r->centers[c][s] /= sqrt(square);
	}
}

static double
squared_distance(const Reference *r, int i, const double *center)
{
	double		d = 0;

	for (int f = 0; f < FEATURES; f++)
	{
		double		e;

		if (is_category(r, f))
			continue;
		e = r->positions[i][f] - center[slot_of(r, f)];
		d += e * e;
	}
	for (int f = 0; f < FEATURES; f++)
	{
		const double *share = center + r->offset[f];
		double		square = 0;
		double		others;
		double		own;
		int			v;

		if (!is_category(r, f))
			continue;
		v = (int) r->positions[i][f];
		for (int u = 0; u < r->features[f].ncategories; u++)
			square += share[u] * share[u];
		others = square - share[v] * share[v];
		own = r->features[f].factor - share[v];
		d += own * own + (others > 0 ? others : 0);
	}
	return d;
}

/* true: the sums are others than before */
static bool
assign_rows(Reference *r)
{
	__int128	before[REF_K][REF_WIDTH];
	int64_t		sizes[REF_K];

	memcpy(before, r->sums, sizeof(before));
	memcpy(sizes, r->size, sizeof(sizes));
	memset(r->sums, 0, sizeof(r->sums));
	memset(r->size, 0, sizeof(r->size));
	memset(r->weight, 0, sizeof(r->weight));
	for (int i = 0; i < r->n; i++)
	{
		double		best = INFINITY;
		int			c = 0;

		for (int j = 0; j < r->k; j++)
		{
			double		d = squared_distance(r, i, r->centers[j]);

			if (d < best)
			{
				best = d;
				c = j;
			}
		}
		r->own[i] = c;
		r->size[c]++;
		r->weight[c] += r->weights[i];
		for (int f = 0; f < FEATURES; f++)
		{
			if (is_category(r, f))
				r->sums[c][r->offset[f] + (int) r->positions[i][f]] +=
					r->weights[i];
			else
				r->sums[c][slot_of(r, f)] += r->weights[i] * (__int128)
					ldexp(r->positions[i][f],
						  r->task->options.distance == KM_COSINE ? 50 :
						  r->features[f].grid);
		}
	}
	return memcmp(before, r->sums, sizeof(before)) != 0 ||
		memcmp(sizes, r->size, sizeof(sizes)) != 0;
}

/* a mean of integers, the fraction apart */
static double
divide(__int128 sum, int64_t weight)
{
	int64_t		whole = (int64_t) ((double) sum / (double) weight);

	return (double) whole +
		(double) (sum - (__int128) whole * weight) / (double) weight;
}

static void
move_centers(Reference *r)
{
	for (int c = 0; c < r->k; c++)
	{
		if (r->size[c] == 0)
			continue;
		for (int f = 0; f < FEATURES; f++)
		{
			int			s = slot_of(r, f);

			if (!is_category(r, f))
				r->centers[c][s] = ldexp(divide(r->sums[c][s], r->weight[c]),
										 r->task->options.distance ==
										 KM_COSINE ? -50 :
										 -r->features[f].grid);
			for (int v = 0; v < r->features[f].ncategories; v++)
				r->centers[c][r->offset[f] + v] = r->features[f].factor *
					((double) r->sums[c][r->offset[f] + v] /
					 (double) r->weight[c]);
		}
	}
}

static int
compare_content(const Reference *r, int i, int j)
{
	for (int pass = 0; pass < 2; pass++)
	{
		for (int f = 0; f < FEATURES; f++)
		{
			double		a = r->positions[i][f];
			double		b = r->positions[j][f];

			if (is_category(r, f) == (pass == 1) && a != b)
				return a < b ? -1 : 1;
		}
	}
	return 0;
}

/*
 * The first empty segment takes the row farthest from the nearest of the
 * centers before; false: there is none away from them.
 */
static bool
fill_empty(Reference *r, double before[REF_K][REF_WIDTH], int c)
{
	double		most = 0;
	int			row = -1;

	for (int i = 0; i < r->n; i++)
	{
		double		best = INFINITY;

		for (int j = 0; j < r->k; j++)
			best = fmin(best, squared_distance(r, i, before[j]));
		if (best > most || (best == most && row >= 0 &&
							compare_content(r, i, row) < 0))
		{
			most = best;
			row = i;
		}
	}
	if (row < 0)
		return false;
	memset(r->centers[c], 0, sizeof(r->centers[c]));
	for (int f = 0; f < FEATURES; f++)
	{
		if (is_category(r, f))
			r->centers[c][r->offset[f] + (int) r->positions[row][f]] =
				r->features[f].factor;
		else
			r->centers[c][slot_of(r, f)] = r->positions[row][f];
	}
	return true;
}

static void
run_lloyd(Reference *r)
{
	(void) assign_rows(r);
	while (r->iterations < r->task->options.max_iter && !r->converged)
	{
		double		before[REF_K][REF_WIDTH];
		int			empty = 0;
		bool		filled = false;

		memcpy(before, r->centers, sizeof(before));
		while (empty < r->k && r->size[empty] > 0)
			empty++;
		move_centers(r);
		if (empty < r->k)
			filled = fill_empty(r, before, empty);
		r->iterations++;
		r->converged = !assign_rows(r) && !filled;
	}
}

/* larger segments first, then by their centers */
static bool
comes_before(const Reference *r, int a, int b)
{
	if (r->size[a] != r->size[b])
		return r->size[a] > r->size[b];
	for (int j = 0; j < r->width; j++)
	{
		if (r->centers[a][j] != r->centers[b][j])
			return r->centers[a][j] < r->centers[b][j];
	}
	return a < b;
}

/* Give the segments their numbers; false: that made rows change hands. */
static bool
number_segments(Reference *r)
{
	double		centers[REF_K][REF_WIDTH];
	int64_t		size[REF_K];

	for (int c = 0; c < r->k; c++)
	{
		int			number = 0;

		for (int d = 0; d < r->k; d++)
			number += comes_before(r, d, c);
		memcpy(centers[number], r->centers[c], sizeof(centers[0]));
		size[number] = r->size[c];
	}
	memcpy(r->centers, centers, sizeof(centers[0]) * r->k);
	(void) assign_rows(r);
	return memcmp(size, r->size, sizeof(size[0]) * r->k) == 0;
}

/* ---- comparing ---- */

static void
compare_features(const Reference *r, const KmModel *model)
{
	for (int f = 0; f < FEATURES; f++)
	{
		const KmFeature *a = &r->features[f];
		const KmFeature *b = &model->features[f];

		MUST(same_bits(a->factor, b->factor));
		if (is_category(r, f))
			continue;
		MUST(a->min == b->min && a->max == b->max);
		MUST(same_bits(a->mean + 0.0, b->mean + 0.0));
		MUST(same_bits(a->sd, b->sd));
		MUST(a->center == b->center && a->divisor == b->divisor &&
			 a->origin == b->origin && a->grid == b->grid);
	}
}

static void
compare_segments(const Reference *r, const KmModel *model)
{
	for (int c = 0; c < r->k; c++)
	{
		const double *center = model->centers + (size_t) c * r->width;
		long double inertia = 0;

		for (int f = 0; f < FEATURES; f++)
		{
			int			from = is_category(r, f) ? r->offset[f] :
				slot_of(r, f);
			int			n = is_category(r, f) ? r->features[f].ncategories : 1;

			for (int v = 0; v < n; v++)
				MUST(r->centers[c][from + v] == *center++);
		}
		for (int i = 0; i < r->n; i++)
		{
			if (r->own[i] == c)
				inertia += (long double) squared_distance(r, i, r->centers[c]) *
					r->weights[i];
		}
		MUST(model->segments[c].size == r->size[c]);
		MUST(model->segments[c].weight == (double) r->weight[c]);
		/* the fixed point of all distances has the largest one's digits */
		MUST(near(model->segments[c].inertia, (double) inertia, 1e-14) ||
			 fabs(model->segments[c].inertia - (double) inertia) <=
			 ldexp(model->total, -100));
	}
}

static void
compare_rows(const Reference *r, const Fitted *fitted)
{
	KmPredictor *predictor;

	MUST(km_predictor_create(&fitted->host->host, &fitted->model,
							 &predictor) == KM_OK);
	for (int i = 0; i < r->n; i++)
	{
		const double *values = data_row(&r->task->data, i);

		MUST(km_predict(predictor, values) == r->own[i]);
	}
	km_predictor_free(predictor);
}

static void
compare_reference(const Task *task, const Fitted *fitted)
{
	static Reference r;

	memset(&r, 0, sizeof(r));
	r.task = task;
	r.n = task->data.nrows;
	r.k = fitted->model.k;
	place_rows(&r);
	compare_features(&r, &fitted->model);
	if (!task->has_starts)
		return;
	place_starts(&r);
	run_lloyd(&r);
	MUST(r.iterations == fitted->model.iterations &&
		 r.converged == fitted->model.converged);
	/* then more is done until numbers and rows agree: not here */
	if (!number_segments(&r))
		return;
	compare_segments(&r, &fitted->model);
	compare_rows(&r, fitted);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	Input		input = {bytes, size};
	TestHost	host;
	Task		task;
	Fitted		first;

	fuzz_host_init(&host);
	make_task(&task, &input);
	run_here(&task, &host, NULL, KM_SIMD_AUTO, NULL, &first);
	MUST(first.status == KM_OK || first.status == KM_NOT_FINITE);
	try_order(&task, &first);
	try_store(&task, &first);
	try_crew(&task, &first);
	try_parts(&task, &first);
	if (first.status == KM_OK && !task.options.clip &&
		task.options.scale != KM_ROBUST)
		compare_reference(&task, &first);
	fitted_free(&first);
	data_free(&task.data);
	MUST(host.outstanding == 0);
	return 0;
}
