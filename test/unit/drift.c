/*
 * drift.c
 *		Bins of a fit and what later rows are measured by: nothing where
 *		nothing changed, a plain computation where something did, any order of rows,
 *		memory refused, polls stopped.
 */
#include "../../src/core/bins.c"

#include "data.h"

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	WEIGHTED = 4,
	MISSING = 8,				/* and filled in */
	HEAVY = 16,					/* values that take several bins */
	ROBUST = 32,
	RAW = 64					/* no scaling; feature 0 is far from 0 */
} Flags;

typedef struct Scene
{
	const char *name;
	int			flags;
	int			nrows;
	int			nfeatures;
	int			categories;
} Scene;

static const Scene scenes[] = {
	{"plain", 0, 500, 3, 0},
	{"nine features and categories", 0, 700, 11, 2},
	{"drawn", RAW, 25000, 2, 0},
	{"values that are frequent", HEAVY, 900, 4, 1},
	{"clipped, robust", CLIP | ROBUST | HEAVY, 900, 4, 0},
	{"filled", MISSING | HEAVY, 900, 4, 2},
	{"cosine", COSINE | HEAVY, 900, 4, 0},
	{"cosine, filled, clipped", COSINE | MISSING | CLIP, 900, 3, 0},
	{"weighted", WEIGHTED | MISSING, 900, 3, 1},
	{"weighted cosine", WEIGHTED | COSINE, 900, 3, 0},
	{"categories alone", 0, 300, 2, 2},
	{"one row", 0, 1, 2, 0}
};

#define SCENES	((int) (sizeof(scenes) / sizeof(*scenes)))
#define K		4

static void
make_scene(const Scene *scene, Data *data, KmOptions *options)
{
	uint64_t	state = 11;

	km_options_default(options);
	options->distance = scene->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (scene->flags & CLIP) != 0;
	options->clip_low = 0.15;
	options->clip_high = 0.85;
	options->scale = scene->flags & ROBUST ? KM_ROBUST :
		scene->flags & RAW ? KM_NONE : KM_ZSCORE;
	options->fill_nulls = (scene->flags & MISSING) != 0;
	options->n_init = 1;
	data_blobs(data, &state, scene->nrows, scene->nfeatures, K, 0.3);
	for (int f = 0; f < scene->categories; f++)
		data_categorise(data, &state, scene->nfeatures - 1 - f, 5);
	for (int i = 0; i < scene->nrows; i++)
	{
		double	   *row = data_row(data, i);

		/* halves and thirds have no exact positions */
		if (scene->flags & HEAVY && i % 3 > 0)
			row[0] = 0;
		if (scene->flags & HEAVY && i % 4 > 1)
			row[1] = 0.1 * (i % 7);
		if (scene->flags & RAW)
			row[0] = 1e6 / 3 + rint(row[0] * 100) / 3;
		if (scene->flags & MISSING && i % 5 < 2)
			row[1] = NAN;
		if (scene->flags & MISSING && i % 11 == 0)
			row[scene->nfeatures - 1] = NAN;
	}
	if (scene->flags & WEIGHTED)
	{
		data->weights = malloc(sizeof(double) * scene->nrows);
		for (int i = 0; i < scene->nrows; i++)
			data->weights[i] = 0.1 + 3 * random_share(&state);
	}
}

/* A fit with its bins, and a predictor for more rows. */
typedef struct Case
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmBins		bins[DATA_FEATURES];
	KmPredictor *predictor;
} Case;

static void
make_case(Case *c, const Scene *scene, const int *order)
{
	KmOptions	options;

	make_scene(scene, &c->data, &options);
	host_init(&c->host);
	if (fit_data(&c->host, &c->data, order, &options, K, NULL,
				 &c->fitted) != KM_OK ||
		km_fit_bins(c->fitted.fit, c->bins) != KM_OK ||
		km_predictor_create(&c->host.host, &c->fitted.model,
							&c->predictor) != KM_OK)
		abort();
}

static void
free_case(Case *c)
{
	km_predictor_free(c->predictor);
	fitted_free(&c->fitted);
	data_free(&c->data);
}

static void
add_row(const Case *c, KmDrift *drift, const double *values, double weight)
{
	KmScore		score;

	km_score(c->predictor, values, &score);
	km_drift_add(drift, values, score.segment < 0 ? NULL : &score, weight);
}

/* All rows of a data set like the case's. */
static KmDrift *
measure_by(Case *c, const Data *data, const int *order, KmSimd simd)
{
	KmDrift    *drift;

	if (km_drift_create(&c->host.host, &c->fitted.model, c->bins,
						data->weights != NULL, simd, &drift) != KM_OK)
		abort();
	for (int i = 0; i < data->nrows; i++)
	{
		int			row = order == NULL ? i : order[i];

		add_row(c, drift, data_row(data, row),
				data->weights == NULL ? 1 : data->weights[row]);
	}
	return drift;
}

static KmDrift *
measure(Case *c, const Data *data, const int *order)
{
	return measure_by(c, data, order, KM_SIMD_AUTO);
}

/* ---- the index ---- */

static void
test_psi(void)
{
	double		wanted = 0.1 * log(0.6 / 0.5) - 0.1 * log(0.4 / 0.5);
	double		floored = (0.5 - 0.0001) * log(0.5 / 0.0001) +
		0.5 * log(1 / 0.5);

	check(near(km_psi((int64_t[]) {50, 50}, (int64_t[]) {6, 4}, 2), wanted,
			   1e-14), "index of two bins");
	check(near(km_psi((int64_t[]) {50, 50}, (int64_t[]) {0, 7}, 2), floored,
			   1e-14), "index with an empty bin");
	check(km_psi((int64_t[]) {3, 0, 9}, (int64_t[]) {300, 0, 900}, 3) == 0,
		  "index of the same shares is 0");
	check(km_psi((int64_t[]) {INT64_MAX / 2, 1}, (int64_t[]) {1, 0}, 2) == 0,
		  "shares below the floor are the same");
	check(isfinite(km_psi((int64_t[]) {5, 5}, (int64_t[]) {0, 0}, 2)) &&
		  km_psi((int64_t[]) {0, 0}, (int64_t[]) {0, 0}, 2) == 0,
		  "index without rows");
}

/* ---- nothing changed ---- */

/* counts by the edges and the raw values alone */
static bool
counts_agree(const Case *c, int f)
{
	const KmBins *bins = &c->bins[f];
	int64_t		counts[KM_BIN_COUNTS] = {0};

	for (int i = 0; i < c->data.nrows; i++)
	{
		double		x = data_row(&c->data, i)[f];
		int			bin = 0;

		if (c->data.kinds[f] == KM_CATEGORY)
		{
			while (bin < bins->ncategories && bins->categories[bin] != x)
				bin++;
		}
		else
		{
			while (bin < bins->nedges && x >= bins->edges[bin])
				bin++;
		}
		counts[isnan(x) ? bins->ncounts - 1 : bin]++;
	}
	return memcmp(counts, bins->counts, sizeof(counts)) == 0;
}

static bool
edges_rise(const KmBins *bins)
{
	for (int i = 0; i < bins->nedges; i++)
	{
		if (!isfinite(bins->edges[i]) ||
			(i > 0 && bins->edges[i] <= bins->edges[i - 1]))
			return false;
	}
	return true;
}

static void
test_unchanged(const Scene *scene)
{
	Case		c;
	KmDrift    *drift;
	KmSegmentDrift segment;
	double		psi;
	double		shift;
	double		ratio;
	double		most_psi = 0;
	double		most_shift = 0;
	double		most_moved = 0;
	bool		good = true;
	bool		rise = true;

	make_case(&c, scene, NULL);
	drift = measure(&c, &c.data, NULL);
	for (int f = 0; f < scene->nfeatures; f++)
	{
		km_drift_feature(drift, f, &psi, &shift);
		most_psi = fmax(most_psi, psi);
		if (c.data.kinds[f] != KM_CATEGORY)
			most_shift = fmax(most_shift, isnan(shift) ? 1 : fabs(shift));
		else
			good &= isnan(shift);
		good &= counts_agree(&c, f);
		rise &= edges_rise(&c.bins[f]);
	}
	for (int s = 0; s < c.fitted.model.k; s++)
	{
		km_drift_segment(drift, s, &segment);
		most_moved = fmax(most_moved, isnan(segment.shift) ? 1 :
						  segment.shift);
		good &= segment.psi == 0 && segment.share_now == segment.share_then;
	}
	check(most_psi == 0 && km_drift_share_psi(drift) == 0,
		  "%s: nothing changed, every index is 0 (%g)", scene->name,
		  most_psi);
	check(good && rise, "%s: bins are those of the raw values, edges rise",
		  scene->name);
	(void) km_drift_inertia(drift, &ratio);
	/* weights are rounded to 2^-30 or so of their mean */
	check(most_shift == 0 && most_moved == 0 &&
		  near(ratio, 1, 1e-8) &&
		  (scene->flags & WEIGHTED || near(ratio, 1, 1e-12)),
		  "%s: no shift (%g, %g), the same inertia (%.17g)", scene->name,
		  most_shift, most_moved, ratio);
	check(km_drift_rows(drift) == scene->nrows, "%s: all rows counted",
		  scene->name);
	km_drift_free(drift);
	free_case(&c);
	check(c.host.outstanding == 0, "%s: nothing left behind", scene->name);
}

/* ---- any order ---- */

static bool
same_drift(const KmDrift *a, const KmDrift *b, const KmModel *model)
{
	double		x[2];
	double		y[2];
	KmSegmentDrift s;
	KmSegmentDrift t;
	bool		same;

	x[0] = km_drift_inertia(a, &x[1]);
	y[0] = km_drift_inertia(b, &y[1]);
	same = memcmp(x, y, sizeof(x)) == 0;
	for (int f = 0; f < model->nfeatures; f++)
	{
		km_drift_feature(a, f, &x[0], &x[1]);
		km_drift_feature(b, f, &y[0], &y[1]);
		same &= memcmp(x, y, sizeof(x)) == 0;
	}
	for (int c = 0; c < model->k; c++)
	{
		km_drift_segment(a, c, &s);
		km_drift_segment(b, c, &t);
		same &= memcmp(&s, &t, sizeof(s)) == 0;
	}
	return same;
}

static void
test_order(const Scene *scene)
{
	uint64_t	state = 7;
	int		   *order = malloc(sizeof(int) * scene->nrows);
	Case		a;
	Case		b;
	KmDrift    *x;
	KmDrift    *y;

	bool		same = true;

	for (int i = 0; i < scene->nrows; i++)
		order[i] = i;
	shuffle(&state, order, scene->nrows);
	make_case(&a, scene, NULL);
	make_case(&b, scene, order);
	check(memcmp(a.bins, b.bins, sizeof(KmBins) * scene->nfeatures) == 0,
		  "%s: the same bins in any order", scene->name);
	/* far out, so that positions are not on the grid */
	for (int i = 0; i < scene->nrows && scene->categories < scene->nfeatures;
		 i += 13)
		data_row(&a.data, i)[0] *= 1 + 1e5 * random_normal(&state);
	x = measure(&a, &a.data, NULL);
	y = measure(&a, &a.data, order);
	check(same_drift(x, y, &a.fitted.model),
		  "%s: the same drift in any order", scene->name);
	km_drift_free(y);
	for (int simd = KM_SIMD_BASELINE; simd <= KM_SIMD_AVX512; simd++)
	{
		y = measure_by(&a, &a.data, NULL, simd);
		same &= same_drift(x, y, &a.fitted.model);
		for (int f = 0; f < scene->nfeatures; f++)
			same &= memcmp(km_drift_bins(x, f), km_drift_bins(y, f),
						   sizeof(KmBins)) == 0;
		km_drift_free(y);
	}
	check(same, "%s: and by any vector unit", scene->name);
	km_drift_free(x);
	free_case(&a);
	free_case(&b);
	free(order);
}

/* ---- something changed ---- */

/* Against sums of doubles. */
static void
test_changed(void)
{
	static const Scene scene = {"changed", 0, 2000, 3, 1};
	Case		c;
	KmDrift    *drift;
	const KmModel *model;
	double		sum[2] = {0};
	double		means[K][2] = {{0}};
	double		shares[K][5] = {{0}};
	double		squares = 0;
	double		ratio;
	double		psi;
	double		shift;
	bool		good = true;

	make_case(&c, &scene, NULL);
	model = &c.fitted.model;
	for (int i = 0; i < c.data.nrows; i++)
	{
		double	   *row = data_row(&c.data, i);
		KmScore		score;

		row[0] += 0.7;
		row[1] *= 1.3;
		if (i % 9 == 0)
			row[2] = -1;
		km_score(c.predictor, row, &score);
		squares += score.distance * score.distance;
		for (int f = 0; f < 2; f++)
		{
			sum[f] += row[f];
			means[score.segment][f] += km_position(&model->features[f],
												   row[f]);
		}
		if (row[2] >= 0)
			shares[score.segment][(int) row[2]]++;
	}
	drift = measure(&c, &c.data, NULL);
	for (int f = 0; f < 2; f++)
	{
		double		wanted = (sum[f] / c.data.nrows -
							  model->features[f].mean) / model->features[f].sd;

		km_drift_feature(drift, f, &psi, &shift);
		good &= near(shift, wanted, 1e-10);
	}
	check(good, "shifts of means");
	km_drift_feature(drift, 0, &psi, &shift);
	check(psi > 0.1, "the index of a column that moved (%g)", psi);
	km_drift_feature(drift, 2, &psi, &shift);
	check(psi > 0.1 && isnan(shift) &&
		  km_drift_bins(drift, 2)->counts[5] == (2000 + 8) / 9,
		  "values never seen are counted apart (%g)", psi);
	check(near(km_drift_inertia(drift, &ratio), squares, 1e-12) &&
		  near(ratio, squares / model->inertia, 1e-12), "inertia %g", ratio);

	good = true;
	for (int s = 0; s < model->k; s++)
	{
		KmSegmentDrift segment;
		double		n = (double) km_drift_sizes(drift)[s];
		const double *center = model->centers + s * model->width;
		double		square = 0;

		for (int f = 0; f < 2; f++)
			square += pow(means[s][f] / n - center[f], 2);
		for (int v = 0; v < 5; v++)
			square += pow(shares[s][v] / n * model->features[2].factor -
						  center[2 + v], 2);
		km_drift_segment(drift, s, &segment);
		good &= near(segment.shift, sqrt(square * model->segments[s].weight /
										 model->segments[s].inertia), 1e-10);
		good &= segment.share_now == n / 2000;
	}
	check(good, "shifts of segments");
	km_drift_free(drift);
	free_case(&c);
}

/* A column that had one value, and values in the middle of none. */
static void
test_constant(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Case		c;
	KmDrift    *drift;
	double		psi;
	double		shift;

	host_init(&host);
	km_options_default(&options);
	memset(&c, 0, sizeof(c));
	host_init(&c.host);
	data_init(&data, 100, 2);
	for (int i = 0; i < 100; i++)
	{
		data_row(&data, i)[0] = 0.1;
		data_row(&data, i)[1] = i % 2;
	}
	c.data = data;
	if (fit_data(&c.host, &data, NULL, &options, 2, NULL, &c.fitted) != KM_OK
		|| km_fit_bins(c.fitted.fit, c.bins) != KM_OK ||
		km_predictor_create(&c.host.host, &c.fitted.model,
							&c.predictor) != KM_OK)
		abort();
	drift = measure(&c, &data, NULL);
	km_drift_feature(drift, 0, &psi, &shift);
	check(c.bins[0].nedges == 2 && psi == 0 && shift == 0,
		  "a constant column has a bin of its own");
	km_drift_free(drift);
	for (int i = 0; i < 100; i++)
	{
		data_row(&data, i)[0] = i % 4 == 0 ? 0.2 : 0.1;
		data_row(&data, i)[1] = i % 4 == 0 ? 0.5 : i % 2;
	}
	drift = measure(&c, &data, NULL);
	km_drift_feature(drift, 0, &psi, &shift);
	check(psi > 0.25 && isnan(shift), "and is seen to change (%g)", psi);
	km_drift_feature(drift, 1, &psi, &shift);
	check(psi > 0.25, "so is a value between two (%g)", psi);
	km_drift_free(drift);
	free_case(&c);
}

/* Rows that a model skips, with what is missing in them. */
static void
test_skipped(void)
{
	static const Scene scene = {"skipped", 0, 400, 3, 1};
	Case		c;
	KmDrift    *drift;
	double		psi;
	double		shift;
	bool		counted;

	make_case(&c, &scene, NULL);
	for (int i = 0; i < 400; i += 4)
		data_row(&c.data, i)[1 + i % 8 / 4] = NAN;
	drift = measure(&c, &c.data, NULL);
	counted = km_drift_rows(drift) == 300 &&
		km_drift_bins(drift, 1)->counts[c.bins[1].ncounts - 1] == 50 &&
		km_drift_bins(drift, 2)->counts[c.bins[2].ncounts - 1] == 50;
	for (int f = 0; f < 3; f++)
	{
		int64_t		sum = 0;

		for (int i = 0; i < c.bins[f].ncounts; i++)
			sum += km_drift_bins(drift, f)->counts[i];
		counted &= sum == (f == 0 ? 300 : 350);
	}
	check(counted, "of rows without a segment missing values are counted");
	km_drift_feature(drift, 1, &psi, &shift);
	check(psi > 0.25, "and show (%g)", psi);
	km_drift_free(drift);
	free_case(&c);
}

/* ---- edges ---- */

static void
test_extremes(void)
{
	static const Scene scene = {"extremes", 0, 300, 3, 1};
	Case		c;
	KmDrift    *drift;
	KmSegmentDrift segment;
	double		psi;
	double		shift;
	double		ratio;
	double		inertia;
	bool		good = true;

	make_case(&c, &scene, NULL);
	drift = measure(&c, &(Data) {0}, NULL);
	inertia = km_drift_inertia(drift, &ratio);
	km_drift_feature(drift, 0, &psi, &shift);
	km_drift_segment(drift, 0, &segment);
	check(inertia == 0 && ratio == 1 && isnan(shift) && isfinite(psi) &&
		  segment.share_now == 0 && isnan(segment.shift) &&
		  isfinite(km_drift_share_psi(drift)), "no rows at all");
	km_drift_free(drift);

	for (int i = 0; i < 300; i += 3)
	{
		data_row(&c.data, i)[0] = i % 2 ? 1e308 : -1e308;
		data_row(&c.data, i)[1] = i % 2 ? 1e-300 : 1e20;
	}
	drift = measure(&c, &c.data, NULL);
	for (int f = 0; f < 3; f++)
	{
		km_drift_feature(drift, f, &psi, &shift);
		good &= isfinite(psi) && (f == 2 || isfinite(shift));
	}
	for (int s = 0; s < K; s++)
	{
		km_drift_segment(drift, s, &segment);
		good &= isfinite(segment.psi) && !isinf(segment.shift);
	}
	inertia = km_drift_inertia(drift, &ratio);
	check(good && !isnan(ratio) && ratio > 1e10 && inertia > 1e10,
		  "values near the end of the range");
	km_drift_free(drift);

	if (km_drift_create(&c.host.host, &c.fitted.model, NULL, false,
						KM_SIMD_BASELINE, &drift) != KM_OK)
		abort();
	add_row(&c, drift, data_row(&c.data, 1), 1);
	add_row(&c, drift, (double[]) {1, NAN, 0}, 1);
	km_drift_feature(drift, 0, &psi, &shift);
	check(isnan(psi) && isfinite(shift) && km_drift_rows(drift) == 1 &&
		  km_drift_bins(drift, 0) == NULL, "without bins");
	km_drift_free(drift);
	free_case(&c);
}

/* Distances where the fit left none. */
static void
test_no_inertia(void)
{
	KmOptions	options;
	Case		c;
	KmDrift    *drift;
	double		ratio;

	memset(&c, 0, sizeof(c));
	host_init(&c.host);
	km_options_default(&options);
	data_init(&c.data, 40, 1);
	for (int i = 0; i < 40; i++)
		data_row(&c.data, i)[0] = i % 2;
	if (fit_data(&c.host, &c.data, NULL, &options, 2, NULL,
				 &c.fitted) != KM_OK ||
		km_fit_bins(c.fitted.fit, c.bins) != KM_OK ||
		km_predictor_create(&c.host.host, &c.fitted.model,
							&c.predictor) != KM_OK)
		abort();
	drift = measure(&c, &c.data, NULL);
	(void) km_drift_inertia(drift, &ratio);
	check(ratio == 1, "inertia 0 then and now");
	add_row(&c, drift, (double[]) {0.25}, 1);
	(void) km_drift_inertia(drift, &ratio);
	check(isinf(ratio), "inertia 0 then, but not now");
	km_drift_free(drift);
	free_case(&c);
}

/* More categories than bins, on a fit that is forged. */
static void
test_categories(void)
{
	int64_t		counts[50];
	int64_t		missing = 7;
	KmFeature	feature = {0};
	KmFit		fit;
	KmBins		bins;
	int64_t		sum = 0;
	bool		good = true;

	for (int v = 0; v < 50; v++)
		counts[v] = v * 37 % 50;
	counts[12] += 100;			/* the most frequent one, 7 of it filled */
	counts[13] = counts[14] = 31;
	feature.kind = KM_CATEGORY;
	feature.ncategories = 50;
	feature.counts = counts;
	memset(&fit, 0, sizeof(fit));
	memset(&bins, 0, sizeof(bins));
	fit.features = &feature;
	fit.table = &(KmTable) {.missing = &missing};
	make_category_bins(&fit, 0, &bins);
	counts[12] -= 7;
	good &= bins.ncategories == 20 && bins.ncounts == 22;
	for (int i = 0; i < 20; i++)
	{
		good &= bins.counts[i] == counts[bins.categories[i]];
		good &= i == 0 || bins.counts[i] < bins.counts[i - 1] ||
			(bins.counts[i] == bins.counts[i - 1] &&
			 bins.categories[i] > bins.categories[i - 1]);
		counts[bins.categories[i]] = 0;
	}
	for (int v = 0; v < 50; v++)
	{
		good &= counts[v] <= bins.counts[19];
		sum += counts[v];
	}
	check(good && bins.counts[20] == sum && bins.counts[21] == 7,
		  "the twenty most frequent categories, and all others together");
}

/* ---- failures ---- */

static KmStatus
run_all(TestHost *host, Fitted *fitted)
{
	KmBins		bins[DATA_FEATURES];
	KmDrift    *drift = NULL;
	KmStatus	status;

	/* what is left of the last run would make polls come earlier */
	fitted->fit->poll.work = 0;
	status = km_fit_bins(fitted->fit, bins);
	if (status == KM_OK)
		status = km_drift_create(&host->host, &fitted->model, bins, false,
								 KM_SIMD_AUTO, &drift);
	km_drift_free(drift);
	return status;
}

/* A fit keeps its draw; each run shall make it again. */
static void
forget_draw(KmFit *fit)
{
	if (fit->is_drawn)
		km_draw_clear(&fit->draw);
	fit->is_drawn = false;
}

static void
test_failures(const Scene *scene)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	bool		clean = true;
	long		allocations;
	long		polls;
	long		before;
	long		n;

	make_scene(scene, &data, &options);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, K, NULL, &fitted);
	before = host.outstanding;
	allocations = host.allocations;
	polls = host.polls;
	clean &= run_all(&host, &fitted) == KM_OK;
	allocations = host.allocations - allocations;
	polls = host.polls - polls;
	forget_draw(fitted.fit);
	for (n = 1; n <= allocations; n++)
	{
		host.refuse_at = host.allocations + n;
		clean &= run_all(&host, &fitted) == KM_NO_MEMORY;
		forget_draw(fitted.fit);
		clean &= host.outstanding == before;
	}
	host.refuse_at = 0;
	check(clean && allocations > 20,
		  "%s: each of %ld allocations refused", scene->name, allocations);
	clean = true;
	for (n = 1; n <= polls; n++)
	{
		host.polls = 0;
		host.stop_at = n;
		clean &= run_all(&host, &fitted) == KM_CANCELLED && host.polls == n;
		forget_draw(fitted.fit);
		clean &= host.outstanding == before;
	}
	check(clean && polls > 3, "%s: stopped at each of %ld polls",
		  scene->name, polls);
	host.stop_at = 0;
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "%s: and nothing left behind",
		  scene->name);
}

int
main(void)
{
	test_psi();
	for (int s = 0; s < SCENES; s++)
		test_unchanged(&scenes[s]);
	for (int s = 0; s < SCENES; s++)
		test_order(&scenes[s]);
	test_changed();
	test_constant();
	test_skipped();
	test_extremes();
	test_no_inertia();
	test_categories();
	test_failures(&scenes[1]);
	test_failures(&scenes[2]);
	test_failures(&scenes[6]);
	return finish();
}
