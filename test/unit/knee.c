/*
 * knee.c
 *		Where a curve of inertia has a knee: the rule on curves that are given,
 *		then whole fits of data whose groups are known, or that has none.
 */
#include "data.h"

#define POINTS	12

/* ---- the rule ---- */

typedef struct Curve
{
	const char *name;
	double		excess[POINTS]; /* over 0.3, from point 1 on */
	int			n;
	double		noise;
	bool		is_end;
	int			knee;
	int			second;
	bool		is_open;
} Curve;

static const Curve curves[] = {
	{"nothing", {0, 0, 0, 0, 0, 0}, 6, 0.01, false, -1, -1, false},
	{"noise", {0, 0.02, -0.03, 0.04, -0.01, 0.03, 0}, 7, 0.02, false, -1, -1, false},
	{"three groups", {0, 0.1, 0.4, -0.1, -0.05, 0}, 6, 0.01, false, 2, -1, false},
	{"the same under noise", {0, 0.1, 0.4, -0.1, -0.05, 0}, 6, 0.2, false, -1, -1, false},
	{"less before a large one", {0, 0.3, 0.5, 0.9, 0, 0, 0}, 7, 0.01, false, 3, -1, false},
	{"little after the knee", {0, 0.3, 0.6, 0.1, 0.07, 0, 0}, 7, 0.01, false, 2, -1, false},
	{"one group in two drops", {0, 0.3, 0, 0.5, 0, 0, 0}, 7, 0.01, false, 3, -1, false},
	{"two, the first stronger", {0, 0.2, 0.9, 0, 0, 0.1, 0.3, 0, 0}, 9, 0.01, false, 2, 6, false},
	{"two, the second stronger", {0, 0.2, 0.5, 0, 0, 0.3, 0.9, 0, 0}, 9, 0.01, false, 6, 2, false},
	{"as strong: the first", {0, 0.2, 0.5, 0, 0, 0.3, 0.5, 0, 0}, 9, 0.01, false, 2, 6, false},
	{"three: the two strongest", {0, 0.5, 0, 0, 0.3, 0, 0, 0.4, 0, 0}, 10, 0.01, false, 1, 7, false},
	{"at the last point", {0, 0.2, 0.3, 0.4}, 4, 0.01, false, -1, -1, true},
	{"a knee, little at the last point", {0, 0.2, 1.5, 0, 0.2}, 5, 0.01, false, 2, -1, false},
	{"a knee, much at the last point", {0, 0.2, 1.5, 0, 0.6}, 5, 0.01, false, 2, -1, true},
	{"at the last point, where rows end", {0, 0.2, 0.3, 0.6}, 4, 0.01, true, 3, -1, false},
	{"two points", {0, 0.5}, 2, 0.01, false, -1, -1, true},
	{"one point", {0}, 1, 0.01, false, -1, -1, false}
};

static void
test_rule(void)
{
	for (int c = 0; c < (int) (sizeof(curves) / sizeof(*curves)); c++)
	{
		const Curve *curve = &curves[c];
		double		drop[POINTS];
		double		expected[POINTS];
		KmKnee		knee;

		for (int i = 0; i < curve->n; i++)
		{
			expected[i] = 0.3;
			drop[i] = 0.3 + curve->excess[i];
		}
		km_find_knees(drop, expected, curve->noise, curve->n, curve->is_end,
					  &knee);
		check(knee.knee == curve->knee && knee.second == curve->second &&
			  knee.is_open == curve->is_open &&
			  knee.is_judged == (curve->n > 2),
			  "%s: %d, %d", curve->name, knee.knee, knee.second);
	}
}

static void
test_drop(void)
{
	check(near(km_drop(2, 1, 10), log(2), 1e-14), "a drop is a logarithm");
	check(km_drop(1, 2, 10) == 0, "inertia never rises");
	check(near(km_drop(1, 0, 1), log(1e6), 1e-14) &&
		  km_drop(0, 0, 1) == 0 && km_drop(1e-9, 1e-12, 1) == 0,
		  "what is next to nothing is nothing");
}

/* ---- data ---- */

typedef void (*Make) (uint64_t *state, double *row);

static void
make_wide(uint64_t *state, double *row)
{
	for (int f = 0; f < DATA_FEATURES; f++)
		row[f] = random_share(state);
}

static void
make_square(uint64_t *state, double *row)
{
	row[0] = random_share(state);
	row[1] = random_share(state);
}

static void
make_cube(uint64_t *state, double *row)
{
	for (int f = 0; f < 8; f++)
		row[f] = random_share(state);
}

static void
make_line(uint64_t *state, double *row)
{
	row[0] = random_share(state);
}

static void
make_normal(uint64_t *state, double *row)
{
	row[0] = random_normal(state);
	row[1] = 0.8 * row[0] + 0.6 * random_normal(state);
	row[2] = random_normal(state) - row[1];
}

static void
make_skewed(uint64_t *state, double *row)
{
	for (int f = 0; f < 4; f++)
		row[f] = exp(random_normal(state));
}

static void
make_grid(uint64_t *state, double *row)
{
	row[0] = random_below(state, 6);
	row[1] = random_below(state, 6);
	row[2] = random_below(state, 6);
}

static void
make_answers(uint64_t *state, double *row)
{
	row[0] = random_below(state, 5);
}

/* one after another, whatever the numbers drawn */
static void
make_steps(uint64_t *state, double *row)
{
	*state += 1;
	row[0] = (double) *state;
}

static void
make_flags(uint64_t *state, double *row)
{
	for (int f = 0; f < 4; f++)
		row[f] = random_below(state, 2 + f) == 0;
	row[4] = random_normal(state);
}

static void
make_corners(uint64_t *state, double *row)
{
	row[0] = random_below(state, 2) + 0.15 * random_normal(state);
	row[1] = random_below(state, 2) + 0.15 * random_normal(state);
}

/* five groups of very unequal size */
static void
make_unequal(uint64_t *state, double *row)
{
	static const double at[5][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0},
	{0, 0, 1}, {1, 1, 1}};
	double		u = random_share(state);
	int			c = u < 0.5 ? 0 : u < 0.75 ? 1 : u < 0.87 ? 2 : u < 0.95 ? 3 : 4;

	for (int f = 0; f < 3; f++)
		row[f] = at[c][f] + 0.12 * random_normal(state);
}

/* three groups of three */
static void
make_nested(uint64_t *state, double *row)
{
	static const double at[3][2] = {{1, 0}, {-0.5, 0.87}, {-0.5, -0.87}};
	int			a = random_below(state, 3);
	int			b = random_below(state, 3);

	row[0] = 10 * at[a][0] + 2.2 * at[b][0] + 0.4 * random_normal(state);
	row[1] = 10 * at[a][1] + 2.2 * at[b][1] + 0.4 * random_normal(state);
}

typedef struct Scene
{
	const char *name;
	Make		make;
	int			nrows;
	int			nfeatures;
	int			k_min;
	int			k_max;
	int			knee;			/* 0: none */
	int			second;
} Scene;

static const Scene scenes[] = {
	{"uniform in a square", make_square, 1000, 2, 1, 8, 0, 0},
	{"uniform in eight dimensions", make_cube, 400, 8, 1, 8, 0, 0},
	{"uniform on a line", make_line, 800, 1, 1, 8, 0, 0},
	{"one correlated normal cloud", make_normal, 800, 3, 1, 8, 0, 0},
	{"skewed columns", make_skewed, 800, 4, 1, 8, 0, 0},
	{"a grid", make_grid, 800, 3, 1, 8, 0, 0},
	{"flags that are independent", make_flags, 600, 5, 1, 8, 0, 0},
	{"thirty uniform rows", make_square, 30, 2, 1, 8, 0, 0},
	{"ten uniform rows", make_square, 10, 2, 1, 12, 0, 0},
	{"more columns than rows", make_wide, 5, DATA_FEATURES, 1, 4, 0, 0},
	{"ten numbers in a row", make_steps, 10, 1, 1, 12, 0, 0},
	{"five answers", make_answers, 300, 1, 1, 8, 5, 0},
	{"four corners", make_corners, 600, 2, 1, 8, 4, 0},
	{"from two on", make_corners, 600, 2, 2, 8, 4, 0},
	{"from four on: not told", make_corners, 600, 2, 4, 8, 0, 0},
	{"up to four: not told", make_corners, 600, 2, 1, 4, 0, 0},
	{"five unequal groups", make_unequal, 800, 3, 1, 8, 5, 0},
	{"sixty rows", make_corners, 60, 2, 1, 8, 4, 0},
	{"groups of groups", make_nested, 900, 2, 1, 11, 3, 9},
	{"only the large ones", make_nested, 900, 2, 1, 6, 3, 0}
};

/* km_fit_knee for k_min .. k_max; fitted is freed here */
static KmStatus
find_knee(TestHost *host, const Data *data, const int *order,
		  const KmOptions *options, int k_min, int k_max, KmKnee *knee)
{
	Fitted		fitted;
	KmSolution *solutions[64];
	int			n = 0;
	KmStatus	status = fit_begin(host, data, order, options, &fitted);

	for (int k = k_min; k <= k_max && status == KM_OK; k++)
	{
		status = km_fit_run(fitted.fit, k, NULL, &solutions[n]);
		if (status == KM_OK && solutions[n++]->k < k)
		{
			n--;
			break;
		}
	}
	if (status == KM_OK)
		status = km_fit_knee(fitted.fit, solutions, n, knee);
	fitted_free(&fitted);
	return status;
}

static void
make_data(const Scene *scene, uint64_t seed, Data *data)
{
	uint64_t	state = seed;

	data_init(data, scene->nrows, scene->nfeatures);
	for (int i = 0; i < scene->nrows; i++)
		scene->make(&state, data_row(data, i));
}

static void
test_scene(const Scene *scene)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	KmKnee		knee = {false, -1, -1, false};
	int			k;
	int			second;

	km_options_default(&options);
	options.n_init = 2;
	make_data(scene, 17, &data);
	host_init(&host);
	check(find_knee(&host, &data, NULL, &options, scene->k_min, scene->k_max,
					&knee) == KM_OK && host.outstanding == 0,
		  "%s", scene->name);
	k = knee.knee < 0 ? 0 : scene->k_min + knee.knee;
	second = knee.second < 0 ? 0 : scene->k_min + knee.second;
	check(k == scene->knee && second == scene->second,
		  "knee at %d (%d), second %d (%d)", k, scene->knee, second,
		  scene->second);
	data_free(&data);
}

/* all rows equal, one row, one k, two k: nothing to judge */
static void
test_nothing(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	KmKnee		knee;
	bool		right = true;

	km_options_default(&options);
	host_init(&host);
	data_init(&data, 5, 2);
	for (int n = 1; n <= 5; n += 4)
	{
		data.nrows = n;
		right &= find_knee(&host, &data, NULL, &options, 1, 4, &knee) == KM_OK;
		right &= knee.knee == -1 && knee.second == -1 && !knee.is_judged;
	}
	check(right, "no knee in one row, or in equal ones");
	for (int i = 0; i < 10; i++)
		data.values[i] = i * i;
	right = find_knee(&host, &data, NULL, &options, 3, 3, &knee) == KM_OK &&
		!knee.is_judged;
	right &= find_knee(&host, &data, NULL, &options, 1, 2, &knee) == KM_OK &&
		!knee.is_judged;
	check(right, "none of one k, or two");
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* ---- references ---- */

/* Drops of references, of categories and cosine too. */
static KmStatus
reference_drops(TestHost *host, const Data *data, const int *order,
				const KmOptions *options, double *drops)
{
	Fitted		fitted;
	KmStatus	status = fit_begin(host, data, order, options, &fitted);

	if (status == KM_OK)
		status = km_reference_drops(fitted.fit, 1, 6, 2, drops);
	fitted_free(&fitted);
	return status;
}

static bool
same_drops(const double *a, const double *b)
{
	bool		same = true;

	for (int b2 = 0; b2 < 2; b2++)
	{
		for (int i = 1; i < 6; i++)
			same &= same_bits(a[b2 * 6 + i], b[b2 * 6 + i]);
	}
	return same;
}

static void
test_bits(const char *name, KmDistance distance, int ncat, bool weighted)
{
	static const KmSimd simd[] = {KM_SIMD_BASELINE, KM_SIMD_AVX2,
	KM_SIMD_AVX512};
	TestHost	host;
	KmOptions	options;
	Data		data;
	uint64_t	state = 5;
	int			order[700];
	double		drops[12];
	double		other[12];
	bool		same = true;

	km_options_default(&options);
	options.distance = distance;
	options.sample = 300;
	host_init(&host);
	data_blobs(&data, &state, 700, 4, 3, 0.4);
	for (int f = 0; f < ncat; f++)
		data_categorise(&data, &state, 3 - f, 3 + f);
	data.weights = weighted ? malloc(sizeof(double) * 700) : NULL;
	for (int i = 0; i < 700; i++)
	{
		order[i] = i;
		if (weighted)
			data.weights[i] = 1 + i % 4;
	}
	same &= reference_drops(&host, &data, NULL, &options, drops) == KM_OK;
	for (int i = 1; i < 6; i++)
		same &= drops[i] > 0 && drops[i] < 3 && drops[i] != drops[6 + i];
	check(same, "references of %s: each drops, no two alike", name);
	same = true;
	for (int s = 0; s < 3; s++)
	{
		shuffle(&state, order, 700);
		options.simd = simd[s];
		if (!km_simd_supported(simd[s]))
			continue;
		same &= reference_drops(&host, &data, order, &options, other) == KM_OK;
		same &= same_drops(drops, other);
	}
	check(same, "the same bits in any order, with any vectors");
	options.seed = 1;
	check(reference_drops(&host, &data, NULL, &options, other) == KM_OK &&
		  !same_drops(drops, other), "other bits with another seed");
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* ---- failures ---- */

static void
test_failures(bool stop)
{
	static const Scene scene = {"", make_flags, 60, 5, 1, 4, 0, 0};
	TestHost	host;
	KmOptions	options;
	Data		data;
	KmKnee		knee;
	bool		right = true;
	long		first;
	long		last;
	uint64_t	state = 3;

	km_options_default(&options);
	options.n_init = 1;
	make_data(&scene, 3, &data);
	data_categorise(&data, &state, 2, 3);
	/* what comes before the knee has its own tests */
	host_init(&host);
	right &= find_knee(&host, &data, NULL, &options, 1, 1, &knee) == KM_OK;
	first = stop ? host.polls : host.allocations;
	host_init(&host);
	right &= find_knee(&host, &data, NULL, &options, 1, 4, &knee) == KM_OK;
	last = stop ? host.polls : host.allocations;
	for (long n = first; n <= last; n++)
	{
		KmStatus	status;

		host_init(&host);
		if (stop)
			host.stop_at = n;
		else
			host.refuse_at = n;
		status = find_knee(&host, &data, NULL, &options, 1, 4, &knee);
		if (status != (stop ? KM_CANCELLED : KM_NO_MEMORY) ||
			host.outstanding != 0 || (stop && host.polls != n))
		{
			note("%ld of %ld: status %d, %ld outstanding", n, last, status,
				 host.outstanding);
			right = false;
		}
	}
	check(right && last > first + 20, "%ld %s: told, and nothing left behind",
		  last - first, stop ? "polls stopped" : "allocations refused");
	data_free(&data);
}

int
main(void)
{
	test_rule();
	test_drop();
	for (int s = 0; s < (int) (sizeof(scenes) / sizeof(*scenes)); s++)
		test_scene(&scenes[s]);
	test_nothing();
	test_bits("numbers", KM_EUCLIDEAN, 0, false);
	test_bits("categories", KM_EUCLIDEAN, 2, true);
	test_bits("directions", KM_COSINE, 0, false);
	test_failures(false);
	test_failures(true);
	return finish();
}
