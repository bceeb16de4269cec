/*
 * quality.c
 *		Measures of quality against plain sums over all pairs; rows placed in
 *		a model's space; equal bits for any order of rows and vector unit;
 *		refused and stopped.
 */
#include "table.h"

static const KmSimd units[] = {KM_SIMD_BASELINE, KM_SIMD_AVX2, KM_SIMD_AVX512};

#define UNITS	3
#define TOLERANCE	1e-11

/* equal, or both not defined */
static bool
alike(double a, double b, double share)
{
	return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : near(a, b, share);
}

static bool
same_or_undefined(double a, double b)
{
	return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : same_bits(a, b);
}

/* ---- the definitions, plainly ---- */

/* Rows as centers, each with its segment; equal rows stand for themselves. */
typedef struct Plain
{
	int			n;
	int			width;
	int			k;
	double	   *points;
	int		   *own;
	int		   *size;
} Plain;

static void
plain_create(Plain *plain, int n, int width, int k)
{
	plain->n = n;
	plain->width = width;
	plain->k = k;
	plain->points = calloc((size_t) n * width + 1, sizeof(double));
	plain->own = calloc(n + 1, sizeof(int));
	plain->size = calloc(k, sizeof(int));
}

static void
plain_free(Plain *plain)
{
	free(plain->points);
	free(plain->own);
	free(plain->size);
}

static void
plain_count(Plain *plain)
{
	memset(plain->size, 0, sizeof(int) * plain->k);
	for (int i = 0; i < plain->n; i++)
		plain->size[plain->own[i]]++;
}

static int
plain_nonempty(const Plain *plain)
{
	int			nonempty = 0;

	for (int c = 0; c < plain->k; c++)
		nonempty += plain->size[c] > 0;
	return nonempty;
}

static long double
distance(const Plain *plain, const double *a, const double *b)
{
	long double square = 0;

	for (int j = 0; j < plain->width; j++)
	{
		long double e = (long double) a[j] - b[j];

		square += e * e;
	}
	return sqrtl(square);
}

/* per segment, and the mean in result[k] */
static void
plain_silhouettes(const Plain *plain, double *result)
{
	/* gcc at -O2 thinks of negative numbers */
	size_t		k = plain->k > 0 ? (size_t) plain->k : 1;
	int			nonempty = plain_nonempty(plain);
	bool		defined = nonempty >= 2 && nonempty < plain->n;
	long double *sums = calloc(k, sizeof(long double));
	long double *total = calloc(k + 1, sizeof(long double));

	for (int i = 0; i < plain->n && defined; i++)
	{
		int			own = plain->own[i];
		long double a;
		long double b = INFINITY;
		long double s = 0;

		memset(sums, 0, sizeof(long double) * plain->k);
		for (int j = 0; j < plain->n; j++)
			sums[plain->own[j]] +=
				distance(plain, plain->points + (size_t) i * plain->width,
						 plain->points + (size_t) j * plain->width);
		a = sums[own] / (plain->size[own] - 1);
		for (int c = 0; c < plain->k; c++)
		{
			if (c != own && plain->size[c] > 0 && sums[c] / plain->size[c] < b)
				b = sums[c] / plain->size[c];
		}
		if (plain->size[own] > 1 && (a > 0 || b > 0))
			s = (b - a) / (a > b ? a : b);
		total[own] += s;
		total[plain->k] += s;
	}
	for (int c = 0; c < plain->k; c++)
		result[c] = defined && plain->size[c] > 0 ?
			(double) (total[c] / plain->size[c]) : NAN;
	result[plain->k] = defined ? (double) (total[plain->k] / plain->n) : NAN;
	free(sums);
	free(total);
}

/* centroids: k x width, of all rows in the last */
static double *
plain_centroids(const Plain *plain)
{
	double	   *centroids = calloc((size_t) (plain->k + 1) * plain->width,
								   sizeof(double));

	for (int c = 0; c <= plain->k; c++)
	{
		for (int j = 0; j < plain->width; j++)
		{
			long double sum = 0;
			int			size = 0;

			for (int i = 0; i < plain->n; i++)
			{
				if (c < plain->k && plain->own[i] != c)
					continue;
				sum += plain->points[(size_t) i * plain->width + j];
				size++;
			}
			centroids[(size_t) c * plain->width + j] =
				size > 0 ? (double) (sum / size) : 0;
		}
	}
	return centroids;
}

/* Davies-Bouldin per segment and in db[k]; Calinski-Harabasz */
static double
plain_scatter(const Plain *plain, double *db)
{
	double	   *centroids = plain_centroids(plain);
	int			width = plain->width;
	int			nonempty = plain_nonempty(plain);
	long double *spread = calloc(plain->k, sizeof(long double));
	long double within = 0;
	long double between = 0;
	long double sum = 0;

	for (int i = 0; i < plain->n; i++)
	{
		int			c = plain->own[i];
		long double d = distance(plain, plain->points + (size_t) i * width,
								 centroids + (size_t) c * width);

		spread[c] += d / plain->size[c];
		within += d * d;
	}
	for (int c = 0; c < plain->k; c++)
	{
		long double d = distance(plain, centroids + (size_t) c * width,
								 centroids + (size_t) plain->k * width);
		long double worst = 0;

		db[c] = NAN;
		if (plain->size[c] == 0 || nonempty < 2)
			continue;
		between += plain->size[c] * d * d;
		for (int e = 0; e < plain->k; e++)
		{
			if (e == c || plain->size[e] == 0)
				continue;
			d = distance(plain, centroids + (size_t) c * width,
						 centroids + (size_t) e * width);
			if (d > 0 && (spread[c] + spread[e]) / d > worst)
				worst = (spread[c] + spread[e]) / d;
		}
		db[c] = (double) worst;
		sum += worst;
	}
	db[plain->k] = nonempty < 2 ? NAN : (double) (sum / nonempty);
	free(centroids);
	free(spread);
	if (nonempty < 2 || plain->n <= nonempty || within == 0)
		return NAN;
	return (double) (between * (plain->n - nonempty) /
					 (within * (nonempty - 1)));
}

/* ---- silhouettes ---- */

#define LABELINGS	5

/* the rows drawn, each as often as it was */
static void
plain_from_draw(Plain *plain, const KmDraw *draw, const KmSpace *space,
				const uint16_t *labels, int k)
{
	int			n = 0;

	plain_create(plain, (int) draw->total, space->width, k);
	for (int64_t i = 0; i < draw->table.nrows; i++)
	{
		for (int64_t m = 0; m < draw->multiplicity[i]; m++, n++)
		{
			km_row_center(&draw->table, space, i,
						  plain->points + (size_t) n * space->width);
			plain->own[n] = labels[i];
		}
	}
	plain_count(plain);
}

static void
test_silhouettes(Hard kind, uint64_t *state)
{
	bool		good = true;
	bool		same = true;

	for (int round = 0; round < 4; round++)
	{
		int			n = 3 + random_below(state, 150);
		int			k[LABELINGS] = {1, 2, 3, 40, 7};
		uint16_t   *labels[LABELINGS];
		double	   *segments[LABELINGS];
		double		overall[LABELINGS];
		double		alone;
		Data		data;
		Table		table;
		KmDraw		draw;

		make_hard(&data, state, kind, n);
		table_create(&table, &data, NULL, KM_ZSCORE);
		draw_rows(&table.rows->table, &table.space, 20000, n, &draw);
		/* the fourth: every row its own, the fifth: with an empty segment */
		for (int j = 0; j < LABELINGS; j++)
		{
			if (j == 3)
				k[j] = (int) draw.table.nrows;
			labels[j] = malloc(sizeof(uint16_t) * n);
			segments[j] = malloc(sizeof(double) * k[j]);
			for (int64_t i = 0; i < draw.table.nrows; i++)
				labels[j][i] = (uint16_t)
					(j == 3 ? i : random_below(state, j == 4 ? 6 : k[j]));
		}
		good &= km_silhouettes(&draw, &table.space, &table.poll,
							   KM_SIMD_BASELINE, LABELINGS, k,
							   (const uint16_t *const *) labels, overall,
							   segments) == KM_OK;
		for (int j = 0; j < LABELINGS; j++)
		{
			double	   *expected = malloc(sizeof(double) * (k[j] + 1));
			Plain		plain;

			plain_from_draw(&plain, &draw, &table.space, labels[j], k[j]);
			plain_silhouettes(&plain, expected);
			good &= isnan(expected[k[j]]) ? isnan(overall[j]) :
				fabs(overall[j] - expected[k[j]]) < TOLERANCE;
			for (int c = 0; c < k[j]; c++)
				good &= isnan(expected[c]) ? isnan(segments[j][c]) :
					fabs(segments[j][c] - expected[c]) < TOLERANCE;
			plain_free(&plain);
			free(expected);

			/* alone and by every unit: the same bits */
			for (int u = 0; u < UNITS; u++)
			{
				same &= km_silhouettes(&draw, &table.space, &table.poll,
									   units[u], 1, &k[j],
									   (const uint16_t *const *) &labels[j],
									   &alone, NULL) == KM_OK;
				same &= same_or_undefined(alone, overall[j]);
			}
		}
		for (int j = 0; j < LABELINGS; j++)
		{
			free(labels[j]);
			free(segments[j]);
		}
		km_draw_clear(&draw);
		table_free(&table);
		data_free(&data);
	}
	check(good, "silhouettes: %s", hard_names[kind]);
	check(same, "of several at once and by each unit the same bits: %s",
		  hard_names[kind]);
}

/* more segments than are worked on together */
static void
test_many_segments(void)
{
	enum {ROWS = 40, MANY = 6};
	uint64_t	state = 17;
	int			k[MANY] = {3000, 2000, 10000, 2, 4000, 97};
	uint16_t	labels[MANY][ROWS];
	const uint16_t *pointers[MANY];
	double		overall[MANY];
	bool		good = true;
	Data		data;
	Table		table;
	KmDraw		draw;

	data_blobs(&data, &state, ROWS, 3, 4, 0.5);
	table_create(&table, &data, NULL, KM_ZSCORE);
	draw_rows(&table.rows->table, &table.space, 20000, ROWS, &draw);
	for (int j = 0; j < MANY; j++)
	{
		pointers[j] = labels[j];
		for (int i = 0; i < ROWS; i++)
			labels[j][i] = (uint16_t) (k[j] - 1 - i % (j + 2));
	}
	k[3] = 10;
	for (int i = 0; i < ROWS; i++)
		labels[3][i] = (uint16_t) (i % 5);
	good &= km_silhouettes(&draw, &table.space, &table.poll, KM_SIMD_AUTO,
						   MANY, k, pointers, overall, NULL) == KM_OK;
	for (int j = 0; j < MANY; j++)
	{
		double	   *expected = malloc(sizeof(double) * (k[j] + 1));
		Plain		plain;

		plain_from_draw(&plain, &draw, &table.space, labels[j], k[j]);
		plain_silhouettes(&plain, expected);
		good &= fabs(overall[j] - expected[k[j]]) < TOLERANCE;
		plain_free(&plain);
		free(expected);
	}
	check(good, "thousands of segments, in several passes");
	km_draw_clear(&draw);
	table_free(&table);
	data_free(&data);
}

static size_t bytes_asked;

static void *
count_bytes(void *arg, size_t size)
{
	(void) arg;
	bytes_asked += size;
	return malloc(size);
}

static void
just_free(void *arg, void *pointer)
{
	(void) arg;
	free(pointer);
}

/* A label and a silhouette for each row, nothing for pairs of them. */
static void
test_memory(void)
{
	size_t		bytes[2];

	for (int i = 0; i < 2; i++)
	{
		KmHost		counting = {count_bytes, just_free, NULL, NULL, NULL,
		NULL};
		uint64_t	state = 4;
		int			k = 5;
		uint16_t   *labels;
		double		overall;
		Data		data;
		Table		table;
		KmDraw		draw;

		data_blobs(&data, &state, i == 0 ? 400 : 3200, 8, 5, 0.5);
		table_create(&table, &data, NULL, KM_ZSCORE);
		draw_rows(&table.rows->table, &table.space, 20000, 10000, &draw);
		labels = malloc(sizeof(uint16_t) * data.nrows);
		for (int r = 0; r < data.nrows; r++)
			labels[r] = (uint16_t) (r % k);
		table.space.host = &counting;
		bytes_asked = 0;
		km_silhouettes(&draw, &table.space, &table.poll, KM_SIMD_AUTO, 1, &k,
					   (const uint16_t *const *) &labels, &overall, NULL);
		bytes[i] = bytes_asked;
		table.space.host = &table.host.host;
		km_draw_clear(&draw);
		table_free(&table);
		data_free(&data);
		free(labels);
	}
	bytes[1] -= (3200 - 400) * (sizeof(uint16_t) + sizeof(double));
	check(bytes[1] < bytes[0] + 256 && bytes[0] < 100000,
		  "silhouettes take %zu bytes, and 10 a row", bytes[0]);
}

/* ---- rows placed in a model's space ---- */

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	FILL = 4,					/* and values are missing */
	WEIGHTS = 8,
	UNCONVERGED = 16,
	NO_SCALE = 32
} Flags;

typedef struct Scene
{
	const char *name;
	int			flags;
	int			categories;
	int			nrows;
	int			k;
} Scene;

static const Scene scenes[] = {
	{"plain", 0, 0, 300, 4},
	{"cosine", COSINE, 0, 300, 3},
	{"categories", 0, 2, 300, 4},
	{"clipped, robust", CLIP, 1, 300, 5},
	{"missing values", FILL, 1, 300, 4},
	{"weighted", WEIGHTS, 1, 300, 4},
	{"not converged", UNCONVERGED | NO_SCALE, 0, 300, 6},
	{"one segment", 0, 1, 50, 1},
	{"every row a segment", 0, 0, 12, 12}
};

#define SCENES	((int) (sizeof(scenes) / sizeof(*scenes)))

static void
make_scene(const Scene *scene, Data *data, KmOptions *options)
{
	uint64_t	state = 3;

	km_options_default(options);
	options->distance = scene->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (scene->flags & CLIP) != 0;
	options->clip_low = 0.1;
	options->clip_high = 0.9;
	options->scale = scene->flags & CLIP ? KM_ROBUST :
		scene->flags & NO_SCALE ? KM_NONE : KM_ZSCORE;
	options->fill_nulls = (scene->flags & FILL) != 0;
	options->n_init = 2;
	if (scene->flags & UNCONVERGED)
		options->max_iter = 1;
	data_blobs(data, &state, scene->nrows, 4, 5, 0.3);
	for (int f = 0; f < scene->categories; f++)
		data_categorise(data, &state, 3 - f, 3);
	for (int i = 4; i < scene->nrows && (scene->flags & FILL); i += 5)
		data_row(data, i)[i % 4] = NAN;
	if (scene->flags & WEIGHTS)
	{
		data->weights = malloc(sizeof(double) * scene->nrows);
		for (int i = 0; i < scene->nrows; i++)
			data->weights[i] = 1 + random_below(&state, 3);
	}
}

static KmStatus
place_rows(const Fitted *fitted, const Data *data, const int *order,
		   KmSimd simd, KmPlaced **placed)
{
	KmStatus	status = km_placed_create(&fitted->host->host, &fitted->model,
										  0, simd, placed);

	for (int i = 0; i < data->nrows && status == KM_OK; i++)
		status = km_placed_add(*placed,
							   data_row(data, order == NULL ? i : order[i]),
							   NULL);
	return status;
}

/* what is in the store, as the plain definitions want it */
static void
plain_from_placed(Plain *plain, const KmPlaced *placed)
{
	plain_create(plain, (int) km_placed_rows(placed), placed->space.width,
				 placed->model->k);
	for (int i = 0; i < plain->n; i++)
	{
		km_row_center(&placed->rows->table, &placed->space, i,
					  plain->points + (size_t) i * plain->width);
		plain->own[i] = km_placed_segment(placed, i);
	}
	plain_count(plain);
}

static bool
right_quality(const KmPlaced *placed, const KmQuality *overall,
			  const KmQuality *segments)
{
	int			k = placed->model->k;
	double	   *silhouettes = malloc(sizeof(double) * (k + 1));
	double	   *db = malloc(sizeof(double) * (k + 1));
	long double *inertia = calloc(k + 1, sizeof(long double));
	double	   *centers;
	bool		good = true;
	Plain		plain;

	plain_from_placed(&plain, placed);
	plain_silhouettes(&plain, silhouettes);
	good &= km_placed_centers(placed, &centers) == KM_OK;
	for (int i = 0; i < plain.n; i++)
	{
		long double d = distance(&plain, plain.points +
								 (size_t) i * plain.width, centers +
								 (size_t) plain.own[i] * plain.width);

		inertia[plain.own[i]] += d * d;
		inertia[k] += d * d;
	}
	good &= alike(overall->calinski_harabasz, plain_scatter(&plain, db),
				  TOLERANCE);
	good &= alike(overall->davies_bouldin, db[k], TOLERANCE);
	good &= isnan(silhouettes[k]) ? isnan(overall->silhouette) :
		fabs(overall->silhouette - silhouettes[k]) < TOLERANCE;
	good &= near(overall->inertia, (double) inertia[k], TOLERANCE);
	good &= overall->size == plain.n;
	for (int c = 0; c < k; c++)
	{
		good &= segments[c].size == plain.size[c];
		good &= near(segments[c].inertia, (double) inertia[c], TOLERANCE);
		good &= alike(segments[c].davies_bouldin, db[c], TOLERANCE);
		good &= isnan(segments[c].calinski_harabasz);
		good &= isnan(silhouettes[c]) ? isnan(segments[c].silhouette) :
			fabs(segments[c].silhouette - silhouettes[c]) < TOLERANCE;
	}
	km_free(placed->host, centers);
	plain_free(&plain);
	free(silhouettes);
	free(db);
	free(inertia);
	return good;
}

static bool
same_quality(const KmQuality *a, const KmQuality *b, int n)
{
	bool		same = true;

	for (int i = 0; i < n; i++)
		same &= a[i].size == b[i].size &&
			same_or_undefined(a[i].inertia, b[i].inertia) &&
			same_or_undefined(a[i].silhouette, b[i].silhouette) &&
			same_or_undefined(a[i].davies_bouldin, b[i].davies_bouldin) &&
			same_or_undefined(a[i].calinski_harabasz,
							  b[i].calinski_harabasz);
	return same;
}

/* The fit's rows, placed: where and in which segment the fit has them. */
static bool
same_as_fit(const Fitted *fitted, const KmPlaced *placed)
{
	const KmTable *theirs;
	const KmTable *ours = &placed->rows->table;
	Scores		scores;
	KmPredictor *predictor;
	bool		same = true;

	km_predictor_create(&fitted->host->host, &fitted->model, &predictor);
	score_rows((Fitted *) fitted, predictor, &scores);
	same &= scores.n == km_placed_rows(placed);
	for (int i = 0; i < scores.n; i++)
		same &= scores.scores[i].segment == km_placed_segment(placed, i);
	free(scores.scores);
	km_predictor_free(predictor);

	/* the fit's store comes first in it */
	theirs = *(KmTable *const *) ((const char *) fitted->fit +
								  sizeof(KmHost *) + sizeof(KmRows *));
	for (int b = 0, o = 0; b < theirs->nblocks; b++)
	{
		for (int i = 0; i < theirs->blocks[b].nrows; i++)
		{
			int64_t		row = theirs->blocks[b].first + i;

			while (row >= ours->blocks[o].first + ours->blocks[o].nrows)
				o++;
			for (int s = 0; s < theirs->nfeatures; s++)
				same &= *km_cell(theirs, &theirs->blocks[b], i, s) ==
					*km_cell(ours, &ours->blocks[o],
							 (int) (row - ours->blocks[o].first), s);
		}
	}
	return same;
}

static void
test_placed(const Scene *scene)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPlaced   *placed;
	KmQuality	quality[20];
	KmQuality	again[20];
	int64_t		sampled;
	int		   *order;
	uint64_t	state = 8;
	bool		same = true;
	double		db;
	double		ch;

	make_scene(scene, &data, &options);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, scene->k, NULL, &fitted);
	place_rows(&fitted, &data, NULL, KM_SIMD_AUTO, &placed);
	check(same_as_fit(&fitted, placed), "placed where the fit has them: %s",
		  scene->name);
	check(km_placed_quality(placed, quality, quality + 1, &sampled) == KM_OK &&
		  sampled == data.nrows && right_quality(placed, quality, quality + 1),
		  "measures of rows placed: %s", scene->name);
	check(km_fit_quality(fitted.fit, fitted.solution, &db, &ch) == KM_OK &&
		  alike(db, quality[0].davies_bouldin, TOLERANCE) &&
		  alike(ch, quality[0].calinski_harabasz, TOLERANCE),
		  "measures of the fit: %s", scene->name);
	if (!(scene->flags & WEIGHTS))
		check(near(quality[0].inertia, fitted.model.inertia, TOLERANCE),
			  "and its inertia");
	km_placed_free(placed);

	order = malloc(sizeof(int) * data.nrows);
	for (int i = 0; i < data.nrows; i++)
		order[i] = i;
	for (int u = 0; u < UNITS; u++)
	{
		shuffle(&state, order, data.nrows);
		place_rows(&fitted, &data, order, units[u], &placed);
		same &= km_placed_quality(placed, again, again + 1,
								  &sampled) == KM_OK;
		same &= same_quality(quality, again, scene->k + 1);
		km_placed_free(placed);
	}
	check(same, "the same bits in any order, by any unit: %s", scene->name);
	free(order);
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* Rows unlike the fit's: far away, with categories never seen. */
static void
test_strange_rows(void)
{
	uint64_t	state = 13;
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	KmPlaced   *placed;
	KmPredictor *predictor;
	KmQuality	quality[20];
	int64_t		sampled;
	bool		good = true;
	bool		scored = true;

	make_scene(&scenes[2], &data, &options);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	km_predictor_create(&host.host, &fitted.model, &predictor);
	km_placed_create(&host.host, &fitted.model, 0, KM_SIMD_AUTO, &placed);
	for (int i = 0; i < 200; i++)
	{
		double		values[4];
		KmScore		score;

		memcpy(values, data_row(&data, i), sizeof(values));
		if (i % 3 == 0)
			values[0] = ldexp(random_share(&state) - 0.5, i);
		if (i % 4 == 0)
			values[3] = -1;
		if (i % 10 == 0)
			values[2] = -1;
		if (i == 50)
			values[2] = NAN;
		if (i == 51)
			values[0] = NAN;
		/* beyond what squares can hold */
		if (i % 3 == 0 && i > 90)
			values[0] = ldexp(values[0], -i);
		km_score(predictor, values, &score);
		good &= km_placed_add(placed, values, i % 2 ? &score : NULL) == KM_OK;
		if (score.segment >= 0)
			scored &= km_placed_segment(placed, km_placed_rows(placed) - 1) ==
				score.segment;
	}
	/* two have no value that a row could be placed by */
	check(good && scored && km_placed_rows(placed) == 198,
		  "strange rows are placed and have the segments of their scores");
	check(km_placed_quality(placed, quality, quality + 1, &sampled) == KM_OK &&
		  right_quality(placed, quality, quality + 1),
		  "measures of strange rows");
	check(km_placed_add(placed, (double[]) {1e300, 0, 0, 0},
						NULL) == KM_NOT_FINITE,
		  "a row beyond double's range is refused");
	km_placed_free(placed);

	/* a single row far away leaves the other segments their digits */
	for (int far = 10; far <= 60; far += 25)
	{
		KmQuality	near_ones[20];
		double		values[4];
		int			own;
		bool		same = true;

		place_rows(&fitted, &data, NULL, KM_SIMD_AUTO, &placed);
		good = km_placed_quality(placed, near_ones, near_ones + 1,
								 &sampled) == KM_OK;
		memcpy(values, data_row(&data, 0), sizeof(values));
		values[0] = ldexp(1, far);
		good &= km_placed_add(placed, values, NULL) == KM_OK;
		own = km_placed_segment(placed, data.nrows);
		good &= km_placed_quality(placed, quality, quality + 1,
								  &sampled) == KM_OK;
		good &= right_quality(placed, quality, quality + 1);
		for (int c = 0; c < 4; c++)
			same &= c == own || near(near_ones[c + 1].inertia,
									 quality[c + 1].inertia, 1e-12);
		check(good && same, "measures beside a row at 2^%d", far);
		km_placed_free(placed);
	}

	km_placed_create(&host.host, &fitted.model, 0, KM_SIMD_AUTO, &placed);
	check(km_placed_quality(placed, quality, quality + 1,
							&sampled) == KM_NO_ROWS, "no rows");
	km_placed_free(placed);

	good = false;
	km_placed_create(&host.host, &fitted.model, 50000, KM_SIMD_AUTO, &placed);
	for (int i = 0; i < 5000 && !good; i++)
		good = km_placed_add(placed, data_row(&data, i % 300),
							 NULL) == KM_OVER_LIMIT;
	check(good && km_placed_rows(placed) > 600 &&
		  km_placed_rows(placed) < 1471, "a limit holds: %d rows",
		  (int) km_placed_rows(placed));
	km_placed_free(placed);
	km_predictor_free(predictor);
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

/* ---- adjusted Rand index ---- */

/* by counting pairs of rows */
static double
plain_rand(const int *a, const int *b, int n)
{
	double		both = 0;
	double		a_only = 0;
	double		b_only = 0;
	double		neither = 0;

	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < n; j++)
		{
			if (i == j)
				continue;
			both += a[i] == a[j] && b[i] == b[j];
			a_only += a[i] == a[j] && b[i] != b[j];
			b_only += a[i] != a[j] && b[i] == b[j];
			neither += a[i] != a[j] && b[i] != b[j];
		}
	}
	if (a_only == 0 && b_only == 0)
		return 1;
	return 2 * (both * neither - a_only * b_only) /
		((both + a_only) * (a_only + neither) +
		 (both + b_only) * (b_only + neither));
}

/* A million pairs take a second to sort: a stop must not wait for it. */
static void
check_stopped_rand(void)
{
	KmPair		pairs[1000];
	TestHost	host;
	double		index;
	bool		stopped = true;
	long		polls;

	host_init(&host);
	for (int i = 0; i < 1000; i++)
		pairs[i] = (KmPair)
	{
		i * 7 % 31, i * 11 % 37, 1
	};
	(void) km_adjusted_rand_pairs(&host.host, pairs, 1000, &index);
	polls = host.polls;
	for (long n = 1; n <= polls; n++)
	{
		host.polls = 0;
		host.stop_at = n;
		stopped &= km_adjusted_rand_pairs(&host.host, pairs, 1000,
										  &index) == KM_CANCELLED;
	}
	check(stopped && polls > 20, "stopped at each of %ld polls", polls);
}

static void
test_rand(void)
{
	uint64_t	state = 31;
	bool		good = true;
	bool		same = true;
	double		none = 0;
	TestHost	host;

	host_init(&host);

	for (int round = 0; round < 60; round++)
	{
		int			n = 1 + random_below(&state, 90);
		int			rows = 1 + random_below(&state, 12);
		int			columns = 1 + random_below(&state, 12);
		int64_t		cells[144] = {0};
		KmPair		pairs[145];
		int			npairs = 0;
		double		index;
		int			a[90];
		int			b[90];

		for (int i = 0; i < n; i++)
		{
			a[i] = random_below(&state, rows);
			b[i] = random_below(&state, 3) > 0 && a[i] < columns ? a[i] :
				random_below(&state, columns);
			cells[a[i] * columns + b[i]]++;
		}
		/* a pair that occurs twice; numbers of any size */
		for (int i = 0; i < rows * columns; i++)
		{
			if (cells[i] > 0)
				pairs[npairs++] = (KmPair)
			{
				i / columns * 1000003 - INT32_MAX, INT32_MAX - i % columns,
				cells[i]
			};
		}
		good &= near(km_adjusted_rand(cells, rows, columns),
					 plain_rand(a, b, n), 1e-14);
		same &= km_adjusted_rand_pairs(&host.host, pairs, (size_t) npairs,
									   &index) == KM_OK &&
			same_bits(km_adjusted_rand(cells, rows, columns), index);
	}
	check(good, "adjusted Rand index by counting pairs");
	check(same, "from a table and from pairs the same bits");
	check(isnan(km_adjusted_rand(NULL, 0, 0)) &&
		  km_adjusted_rand_pairs(&host.host, NULL, 0, &none) == KM_OK &&
		  isnan(none), "of no rows: none");
	check_stopped_rand();
	{
		/* the same shares of more rows than are exact */
		int64_t		few[4] = {3000000, 1000000, 500000, 2500000};
		int64_t		many[4];

		for (int i = 0; i < 4; i++)
			many[i] = few[i] * 1000000;
		check(near(km_adjusted_rand(few, 2, 2), km_adjusted_rand(many, 2, 2),
				   1e-6), "of 7e12 rows: %g", km_adjusted_rand(many, 2, 2));
	}
}

/* ---- refused and stopped ---- */

/* Everything but the fit itself; all of it freed again. */
static KmStatus
measure_all(const Fitted *fitted, const Data *data)
{
	KmPlaced   *placed = NULL;
	KmQuality	quality[20];
	int64_t		sampled;
	double		db;
	double		ch;
	KmStatus	status = place_rows(fitted, data, NULL, KM_SIMD_AUTO, &placed);

	if (status == KM_OK)
		status = km_placed_quality(placed, quality, quality + 1, &sampled);
	km_placed_free(placed);
	if (status == KM_OK)
		status = km_fit_quality(fitted->fit, fitted->solution, &db, &ch);
	return status;
}

static void
test_failure(const Scene *scene)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	bool		good = true;
	long		base;
	long		calls;
	long		polls;

	make_scene(scene, &data, &options);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, scene->k, NULL, &fitted);
	/* the first time the fit goes back to the solution */
	good &= measure_all(&fitted, &data) == KM_OK;
	base = host.outstanding;
	calls = host.allocations;
	polls = host.polls;
	good &= measure_all(&fitted, &data) == KM_OK;
	calls = host.allocations - calls;
	polls = host.polls - polls;
	for (long n = 1; n <= calls; n++)
	{
		host.refuse_at = host.allocations + n;
		good &= measure_all(&fitted, &data) == KM_NO_MEMORY &&
			host.outstanding == base;
	}
	host.refuse_at = 0;
	/* the fit's own count of work goes on from call to call */
	for (long n = 1; n < polls; n++)
	{
		host.stop_at = host.polls + n;
		good &= measure_all(&fitted, &data) == KM_CANCELLED &&
			host.outstanding == base;
	}
	host.stop_at = 0;
	check(good && calls > 40 && polls > 20,
		  "each of %ld allocations refused, each of %ld polls: %s", calls,
		  polls, scene->name);
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

int
main(void)
{
	uint64_t	state = 7;

	for (int kind = 0; kind < HARD_KINDS; kind++)
		test_silhouettes(kind, &state);
	test_many_segments();
	test_memory();
	for (int s = 0; s < SCENES; s++)
		test_placed(&scenes[s]);
	test_strange_rows();
	test_rand();
	test_failure(&scenes[2]);
	test_failure(&scenes[5]);
	return finish();
}
