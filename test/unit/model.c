/*
 * model.c
 *		Models as bytes: written and read back, cut short, and damaged.
 *
 * Whatever km_model_check accepts must be safe to read, to score with and to
 * describe, and must be written again as the same bytes: there is one form of
 * each model.
 */
#include "data.h"

/*
 * Models of every part the format has, small enough to damage everywhere; the
 * cosine one continues others.
 */
static void
make_model(TestHost *host, bool cosine, Data *data, Fitted *fitted)
{
	uint64_t	state = 1;
	KmOptions	options;

	km_options_default(&options);
	options.distance = cosine ? KM_COSINE : KM_EUCLIDEAN;
	options.fill_nulls = true;
	options.clip = !cosine;
	options.clip_low = 0.1;
	options.clip_high = 0.9;
	options.seed = 77;
	data_blobs(data, &state, 40, 3, 2, 0.3);
	if (!cosine)
		data_categorise(data, &state, 1, 4);
	data->feature_weight[2] = 1.5;
	(void) fit_begin(host, data, NULL, &options, fitted);
	(void) fit_finish(fitted, 3, NULL);
	/* the caller's own: written again with them */
	fitted->model.options = "{\"k\": 3}";
	fitted->model.rows_skipped = 5;
	for (int c = 0; c < 3 && cosine; c++)
		fitted->model.segments[c].id = 2 + 3 * c;
	if (cosine)
		fitted->model.last_id = 12;
	free(fitted->bytes);
	fitted->size = km_model_size(&fitted->model);
	fitted->bytes = malloc(fitted->size);
	km_model_write(&fitted->model, fitted->bytes);
}

static void
fitted_end(Fitted *fitted, Data *data)
{
	fitted_free(fitted);
	data_free(data);
}

static bool
same_feature(const KmFeature *a, const KmFeature *b)
{
	bool		same = strcmp(a->name, b->name) == 0 && a->kind == b->kind &&
		a->weight == b->weight && a->factor == b->factor &&
		a->ncategories == b->ncategories;

	if (a->kind != KM_CATEGORY)
		return same && a->clip_low == b->clip_low &&
			a->clip_high == b->clip_high && a->min == b->min &&
			a->max == b->max && a->mean == b->mean && a->sd == b->sd &&
			a->center == b->center && a->divisor == b->divisor &&
			a->origin == b->origin && a->grid == b->grid;
	for (int v = 0; v < a->ncategories && same; v++)
		same &= strcmp(a->categories[v], b->categories[v]) == 0 &&
			a->counts[v] == b->counts[v];
	return same;
}

static bool
same_fields(const KmModel *a, const KmModel *b)
{
	size_t		cells = sizeof(double) * (size_t) a->k * a->width;
	bool		same = a->scale == b->scale && a->distance == b->distance &&
		a->fill_nulls == b->fill_nulls && a->converged == b->converged &&
		a->k == b->k && a->last_id == b->last_id &&
		a->nfeatures == b->nfeatures &&
		a->width == b->width && a->iterations == b->iterations &&
		a->seed == b->seed && a->rows == b->rows &&
		a->rows_skipped == b->rows_skipped && a->inertia == b->inertia &&
		a->total == b->total && strcmp(a->options, b->options) == 0 &&
		(a->means == NULL) == (b->means == NULL);

	for (int f = 0; f < a->nfeatures && same; f++)
		same &= same_feature(&a->features[f], &b->features[f]);
	return same && memcmp(a->segments, b->segments,
						  sizeof(KmSegment) * a->k) == 0 &&
		memcmp(a->centers, b->centers, cells) == 0 &&
		(a->means == NULL || memcmp(a->means, b->means, cells) == 0);
}

static void
test_round_trip(bool cosine)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *model = NULL;
	unsigned char *again;

	host_init(&host);
	make_model(&host, cosine, &data, &fitted);
	check(km_model_check(fitted.bytes, fitted.size, false) == KM_OK &&
		  km_model_read(&host.host, fitted.bytes, fitted.size, false, &model)
		  == KM_OK, "%s model is accepted", cosine ? "cosine" : "mixed");
	check(same_fields(&fitted.model, model), "and has every field");
	again = malloc(fitted.size);
	km_model_write(model, again);
	check(km_model_size(model) == fitted.size &&
		  memcmp(again, fitted.bytes, fitted.size) == 0,
		  "written again: the same bytes");
	check(km_model_check(fitted.bytes, fitted.size, true) == KM_BAD_FORMAT,
		  "a model is no scaler");
	again[0] = KM_FORMAT + 1;
	check(km_model_check(again, fitted.size, false) == KM_BAD_VERSION &&
		  km_model_check(again, 1, false) == KM_BAD_VERSION &&
		  km_model_check(again, 0, false) == KM_BAD_FORMAT,
		  "another version is told apart from damage");
	free(again);
	km_model_free(&host.host, model);
	fitted_end(&fitted, &data);
	check(host.outstanding == 0, "all freed");
}

static void
test_known_bytes(void)
{
	static const unsigned char head[] = {1, 0, 0, 0, 1, 1, 0, 0, 3, 0, 0, 0,
	3, 0, 0, 0, 6, 0, 0, 0};
	TestHost	host;
	Data		data;
	Fitted		fitted;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	check(memcmp(fitted.bytes, head, sizeof(head)) == 0 &&
		  fitted.bytes[24] == 77 && fitted.bytes[32] == 40 &&
		  fitted.bytes[40] == 5, "the header, byte for byte");
	fitted_end(&fitted, &data);
}

/* ---- ids ---- */

static KmStatus
check_ids(Fitted *fitted, int last_id, int a, int b, int c)
{
	int			ids[] = {a, b, c};
	unsigned char *bytes;
	KmStatus	status;

	for (int i = 0; i < 3; i++)
		fitted->model.segments[i].id = ids[i];
	fitted->model.last_id = last_id;
	bytes = malloc(km_model_size(&fitted->model));
	km_model_write(&fitted->model, bytes);
	status = km_model_check(bytes, km_model_size(&fitted->model), false);
	free(bytes);
	return status;
}

static void
test_ids(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *model = &fitted.model;
	size_t		size;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	size = fitted.size;
	check(!km_model_has_ids(model) && model->segments[2].id == 3 &&
		  model->last_id == 3, "a fit numbers from 1 to k");
	check(check_ids(&fitted, 3, 1, 2, 3) == KM_OK &&
		  km_model_size(model) == size, "which takes no room");
	check(check_ids(&fitted, 4, 1, 2, 3) == KM_OK &&
		  km_model_size(model) == size + 16 &&
		  check_ids(&fitted, INT32_MAX, 7, 8, INT32_MAX) == KM_OK,
		  "other ids, up to the highest there is");
	check(check_ids(&fitted, 9, 0, 2, 3) == KM_BAD_FORMAT &&
		  check_ids(&fitted, 9, -1, 2, 3) == KM_BAD_FORMAT &&
		  check_ids(&fitted, 9, 1, 1, 3) == KM_BAD_FORMAT &&
		  check_ids(&fitted, 9, 1, 4, 3) == KM_BAD_FORMAT &&
		  check_ids(&fitted, 9, 1, 2, 10) == KM_BAD_FORMAT &&
		  check_ids(&fitted, -1, 1, 2, 4) == KM_BAD_FORMAT &&
		  check_ids(&fitted, 2, 1, 2, 3) == KM_BAD_FORMAT,
		  "ids that do not rise from 1 to the last at most are refused");
	km_model_number(model);
	check(!km_model_has_ids(model), "and numbered anew");
	fitted_end(&fitted, &data);
}

/* A new model's ids have one form, the one without them. */
static void
test_needless_ids(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	unsigned char *bytes;
	size_t		at = 0;

	host_init(&host);
	make_model(&host, true, &data, &fitted);
	/* ids 1, 2, 4 of 4; then the last becomes 3 of 3 */
	(void) check_ids(&fitted, 4, 1, 2, 4);
	bytes = malloc(fitted.size);
	km_model_write(&fitted.model, bytes);
	at = fitted.size - 2 * sizeof(double) * 3 * fitted.model.width - 4;
	check(bytes[6] == 1 && bytes[at] == 4 && bytes[at - 3 * 36] == 4,
		  "where the ids are");
	bytes[at] = 3;
	check(km_model_check(bytes, fitted.size, false) == KM_OK, "3 of 4");
	bytes[at - 3 * 36] = 3;
	check(km_model_check(bytes, fitted.size, false) == KM_BAD_FORMAT,
		  "ids from 1 to k are refused, as they need not be told");
	free(bytes);
	fitted_end(&fitted, &data);
}

/* ---- numbers that nothing can be done with ---- */

static KmStatus
check_written(const KmModel *model)
{
	size_t		size = km_model_size(model);
	unsigned char *bytes = malloc(size);
	KmStatus	status;

	km_model_write(model, bytes);
	status = km_model_check(bytes, size, false);
	free(bytes);
	return status;
}

/* Whoever reads a model may add up what was counted. */
static void
test_counts(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *model = &fitted.model;
	int64_t		others;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	others = model->segments[1].size + model->segments[2].size;
	model->segments[0].size = INT64_MAX - others;
	check(check_written(model) == KM_OK, "sizes that can be added up");
	model->segments[0].size++;
	check(check_written(model) == KM_BAD_FORMAT, "and one too many");
	model->segments[0].size = 1;
	model->features[1].counts[0] = INT64_MAX;
	check(check_written(model) == KM_BAD_FORMAT, "categories as well");
	model->features[1].counts[0] = 1;
	fitted_end(&fitted, &data);
}

/* Centers so far away that squares are infinite. */
static void
test_far_centers(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *model = &fitted.model;
	KmPlaced   *placed = NULL;
	KmQuality	overall;
	KmQuality	segments[3];
	int64_t		sampled;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	for (int c = 0; c < 3; c++)
		model->centers[(size_t) c * model->width] = c == 1 ? -1e300 : 1e300;
	check(check_written(model) == KM_OK &&
		  km_placed_create(&host.host, model, 0, KM_SIMD_AUTO,
						   &placed) == KM_OK &&
		  km_placed_add(placed, data_row(&data, 0), NULL) == KM_OK &&
		  km_placed_quality(placed, &overall, segments,
							&sampled) == KM_NOT_FINITE,
		  "distances beyond double's range are no quality");
	km_placed_free(placed);
	fitted_end(&fitted, &data);
	check(host.outstanding == 0, "all freed");
}

/* ---- damage ---- */

/* Do with accepted bytes all that can be done. */
static bool
use_model(TestHost *host, const unsigned char *bytes, size_t size)
{
	KmModel    *model;
	KmPredictor *predictor;
	unsigned char *again;
	double		values[DATA_FEATURES] = {0.5, 0, -1e300};
	KmScore		score;
	KmAlignment *alignment;
	bool		same;

	if (km_model_read(&host->host, bytes, size, false, &model) != KM_OK)
		return false;
	again = malloc(km_model_size(model));
	km_model_write(model, again);
	same = km_model_size(model) == size && memcmp(again, bytes, size) == 0;
	free(again);
	if (km_predictor_create(&host->host, model, &predictor) == KM_OK)
	{
		for (int round = 0; round < 3; round++)
		{
			km_score(predictor, values, &score);
			same &= score.segment >= -1 && score.segment < model->k &&
				score.second >= -1 && score.second < model->k;
			(void) km_predict(predictor, values);
			values[round] = round == 1 ? -1 : NAN;
		}
		km_predictor_free(predictor);
	}
	for (int c = 0; c < model->k; c++)
	{
		for (int f = 0; f < model->nfeatures; f++)
		{
			(void) km_model_value(model, c, f, 0);
			(void) km_model_scaled(model, c, f, 0);
		}
	}
	if (km_align(&host->host, model, model, 0, &alignment) == KM_OK)
	{
		same &= km_alignment_apply(&host->host, alignment, model) == KM_OK &&
			model->last_id >= model->k;
		km_alignment_free(&host->host, alignment);
	}
	km_model_free(&host->host, model);
	return same;
}

static void
test_truncated(bool cosine)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	bool		refused = true;
	unsigned char *longer;

	host_init(&host);
	make_model(&host, cosine, &data, &fitted);
	for (size_t n = 0; n < fitted.size; n++)
	{
		/* of its own size: reading beyond is seen */
		unsigned char *part = malloc(n > 0 ? n : 1);
		KmModel    *model;

		memcpy(part, fitted.bytes, n);
		refused &= km_model_check(part, n, false) == KM_BAD_FORMAT &&
			km_model_read(&host.host, part, n, false, &model) ==
			KM_BAD_FORMAT;
		free(part);
	}
	check(refused && host.allocations > 0,
		  "cut short anywhere: refused, %s", cosine ? "cosine" : "mixed");
	longer = calloc(fitted.size + 1, 1);
	memcpy(longer, fitted.bytes, fitted.size);
	check(km_model_check(longer, fitted.size + 1, false) == KM_BAD_FORMAT,
		  "one byte too many: refused");
	free(longer);
	fitted_end(&fitted, &data);
}

static void
test_damaged(bool cosine)
{
	static const unsigned char flips[] = {0x01, 0x80, 0xff, 0x10, 0x7f};
	static const unsigned char sets[] = {0x00, 0xff, 0x7f, 0x80};
	TestHost	host;
	Data		data;
	Fitted		fitted;
	unsigned char *bytes;
	long		accepted = 0;
	long		refused = 0;
	bool		same = true;
	bool		agreed = true;

	host_init(&host);
	make_model(&host, cosine, &data, &fitted);
	bytes = malloc(fitted.size);
	for (size_t i = 0; i < fitted.size; i++)
	{
		for (int d = 0; d < 9; d++)
		{
			KmModel    *model;

			memcpy(bytes, fitted.bytes, fitted.size);
			bytes[i] = d < 5 ? bytes[i] ^ flips[d] : sets[d - 5];
			if (km_model_check(bytes, fitted.size, false) == KM_OK)
			{
				accepted++;
				same &= use_model(&host, bytes, fitted.size);
				continue;
			}
			refused++;
			agreed &= km_model_read(&host.host, bytes, fitted.size, false,
									&model) != KM_OK;
		}
	}
	check(refused > 500 && accepted > 500 && agreed,
		  "each byte damaged in nine ways: refused or safe, %s",
		  cosine ? "cosine" : "mixed");
	check(same, "what is accepted is written again as it was");
	free(bytes);
	fitted_end(&fitted, &data);
	check(host.outstanding == 0, "all freed");
}

/* Several bytes at once, the header above all. */
static void
test_scrambled(void)
{
	uint64_t	state = 9;
	TestHost	host;
	Data		data;
	Fitted		fitted;
	unsigned char *bytes;
	bool		same = true;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	bytes = malloc(fitted.size);
	for (int round = 0; round < 30000; round++)
	{
		size_t		size = fitted.size;

		memcpy(bytes, fitted.bytes, size);
		for (int n = 1 + random_below(&state, 3); n > 0; n--)
		{
			int			range = round % 2 == 0 ? 60 : (int) size;
			int			at = random_below(&state, range);
			int			change = random_below(&state, 3) == 0 ?
				random_below(&state, 256) : random_below(&state, 5) - 2;

			bytes[at] = (unsigned char) (bytes[at] + change);
		}
		if (random_below(&state, 4) == 0)
			size -= random_below(&state, 20);
		if (km_model_check(bytes, size, false) == KM_OK)
			same &= use_model(&host, bytes, size);
	}
	check(same, "scrambled models are refused or safe");
	free(bytes);
	fitted_end(&fitted, &data);
	check(host.outstanding == 0, "all freed");
}

/* ---- scalers ---- */

static void
test_scaler(void)
{
	KmFeature	features[2];
	KmModel		scaler;
	KmModel    *read = NULL;
	TestHost	host;
	unsigned char *bytes;
	size_t		size;
	bool		refused = true;

	host_init(&host);
	memset(features, 0, sizeof(features));
	memset(&scaler, 0, sizeof(scaler));
	for (int f = 0; f < 2; f++)
	{
		features[f].name = feature_names[f];
		features[f].weight = features[f].factor = features[f].divisor = 1;
		features[f].clip_low = -INFINITY;
		features[f].clip_high = INFINITY;
		features[f].max = f;
	}
	scaler.nfeatures = scaler.width = 2;
	scaler.features = features;
	scaler.scale = KM_MAXABS;
	size = km_model_size(&scaler);
	bytes = malloc(size);
	km_model_write(&scaler, bytes);
	check(km_model_check(bytes, size, true) == KM_OK &&
		  km_model_read(&host.host, bytes, size, true, &read) == KM_OK &&
		  read->k == 0 && read->features[1].max == 1 &&
		  read->scale == KM_MAXABS, "a scaler, written and read");
	km_model_free(&host.host, read);
	check(km_model_check(bytes, size, false) == KM_BAD_FORMAT,
		  "a scaler is no model");
	for (size_t n = 0; n < size; n++)
		refused &= km_model_check(bytes, n, true) == KM_BAD_FORMAT;
	check(refused, "cut short: refused");
	/* no negative zero, and not twice the same for one scaler */
	features[0].min = -0.0;
	km_model_write(&scaler, bytes);
	check(km_model_check(bytes, size, true) == KM_OK, "-0 is written as 0");
	free(bytes);
	check(host.outstanding == 0, "all freed");
}

/* ---- categories by name ---- */

static void
test_category_find(void)
{
	static char *names[] = {"", "A", "Z", "a", "aa", "ab", "b", "\xc3\xa4"};
	KmFeature	feature;
	bool		found = true;

	memset(&feature, 0, sizeof(feature));
	feature.kind = KM_CATEGORY;
	feature.categories = names;
	for (int n = 0; n <= 8; n++)
	{
		feature.ncategories = n;
		for (int v = 0; v < 8; v++)
			found &= km_category_find(&feature, names[v], strlen(names[v])) ==
				(v < n ? v : -1);
		found &= km_category_find(&feature, "aaa", 3) == -1 &&
			km_category_find(&feature, "0", 1) == -1 &&
			km_category_find(&feature, "\xff", 1) == -1;
	}
	check(found, "categories are found by name, and no others");
	/* the name need not end with NUL */
	check(km_category_find(&feature, "abc", 2) == 5 &&
		  km_category_find(&feature, "a\0b", 3) == -1,
		  "a name has a length, and no NUL inside");
}

/* ---- what a model says ---- */

static void
test_values(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	bool		offsets;
	bool		shares = true;

	host_init(&host);
	make_model(&host, false, &data, &fitted);
	offsets = km_model_offset(&fitted.model, 0) == 0 &&
		km_model_offset(&fitted.model, 1) == 1 &&
		km_model_offset(&fitted.model, 2) == 5 && fitted.model.width == 6;
	check(offsets, "dimensions stand in the order of features");
	for (int c = 0; c < 3; c++)
	{
		double		sum = 0;

		for (int v = 0; v < 4; v++)
			sum += km_model_value(&fitted.model, c, 1, v);
		shares &= near(sum, 1, 1e-14);
		for (int f = 0; f < 3; f += 2)
			shares &= near(km_model_scaled(&fitted.model, c, f, 0),
						   km_scale_value(&fitted.features[f], km_model_value
										  (&fitted.model, c, f, 0)), 1e-15);
	}
	check(shares, "shares sum to 1; numbers are scaled as the scaler does");
	fitted_end(&fitted, &data);
}

int
main(void)
{
	test_round_trip(false);
	test_round_trip(true);
	test_known_bytes();
	test_ids();
	test_needless_ids();
	test_counts();
	test_far_centers();
	test_truncated(false);
	test_truncated(true);
	test_damaged(false);
	test_damaged(true);
	test_scrambled();
	test_scaler();
	test_category_find();
	test_values();
	return finish();
}
