/*
 * model.c
 *		Models as bytes, and what can be read off a model.
 *
 * Stored form, all little-endian, doubles as their IEEE bits:
 *
 *		byte	KM_FORMAT
 *		byte	0 model, 1 scaler
 *		byte	scale, distance, fill_nulls, converged (a byte each)
 *		u16		1 when ids are stored, otherwise 0
 *		u32		k, features, width, iterations
 *		u64		seed
 *		i64		rows, rows_skipped
 *		f64		inertia, total
 *		u32		length of options, then its bytes
 *		features, each:
 *			byte	kind
 *			byte	0
 *			u16		length of name, then its bytes
 *			f64		weight, factor
 *			numeric:  f64 clip_low, clip_high, min, max, mean, sd, center,
 *					  divisor, origin; i32 grid
 *			category: u32 number; each: u32 length, bytes, i64 count
 *		with ids: u32 last_id
 *		segments, each: i64 size, f64 weight, inertia, reach; with ids: u32 id
 *		f64		centers, k x width
 *		f64		means, k x width, for cosine models alone
 *
 * Ids are stored only when they are not 1 .. k, so that a model has one form.
 *
 * Reading trusts nothing: one walk over the bytes checks every length before
 * it is used, needs no memory, and is what the second walk, which fills a
 * model, relies on.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

#define GRID_MIN	(-1000)
#define GRID_MAX	1000

/* ---- writing ---- */

typedef struct Writer
{
	unsigned char *at;			/* NULL: only count */
	size_t		size;
} Writer;

static void
put_bytes(Writer *w, const void *bytes, size_t n)
{
	if (w->at != NULL && n > 0)
		memcpy(w->at + w->size, bytes, n);
	w->size += n;
}

static void
put_integer(Writer *w, uint64_t value, int bytes)
{
	unsigned char buffer[8];

	for (int i = 0; i < bytes; i++)
		buffer[i] = (unsigned char) (value >> (8 * i));
	put_bytes(w, buffer, bytes);
}

static void
put_double(Writer *w, double value)
{
	uint64_t	bits;

	value += 0.0;				/* no -0: text cannot hold it */
	memcpy(&bits, &value, sizeof(bits));
	put_integer(w, bits, 8);
}

static void
put_feature(Writer *w, const KmFeature *feature)
{
	put_integer(w, feature->kind, 1);
	put_integer(w, 0, 1);
	put_integer(w, strlen(feature->name), 2);
	put_bytes(w, feature->name, strlen(feature->name));
	put_double(w, feature->weight);
	put_double(w, feature->factor);
	if (feature->kind != KM_CATEGORY)
	{
		put_double(w, feature->clip_low);
		put_double(w, feature->clip_high);
		put_double(w, feature->min);
		put_double(w, feature->max);
		put_double(w, feature->mean);
		put_double(w, feature->sd);
		put_double(w, feature->center);
		put_double(w, feature->divisor);
		put_double(w, feature->origin);
		put_integer(w, (uint32_t) feature->grid, 4);
		return;
	}
	put_integer(w, feature->ncategories, 4);
	for (int v = 0; v < feature->ncategories; v++)
	{
		put_integer(w, strlen(feature->categories[v]), 4);
		put_bytes(w, feature->categories[v], strlen(feature->categories[v]));
		put_integer(w, (uint64_t) feature->counts[v], 8);
	}
}

static void
put_model(Writer *w, const KmModel *model)
{
	size_t		options = model->options == NULL ? 0 : strlen(model->options);
	size_t		cells = (size_t) model->k * model->width;
	bool		has_ids = km_model_has_ids(model);

	put_integer(w, KM_FORMAT, 1);
	put_integer(w, model->k == 0, 1);
	put_integer(w, model->scale, 1);
	put_integer(w, model->distance, 1);
	put_integer(w, model->fill_nulls, 1);
	put_integer(w, model->converged, 1);
	put_integer(w, has_ids, 2);
	put_integer(w, model->k, 4);
	put_integer(w, model->nfeatures, 4);
	put_integer(w, model->width, 4);
	put_integer(w, model->iterations, 4);
	put_integer(w, model->seed, 8);
	put_integer(w, (uint64_t) model->rows, 8);
	put_integer(w, (uint64_t) model->rows_skipped, 8);
	put_double(w, model->inertia);
	put_double(w, model->total);
	put_integer(w, options, 4);
	put_bytes(w, model->options, options);
	for (int f = 0; f < model->nfeatures; f++)
		put_feature(w, &model->features[f]);
	if (has_ids)
		put_integer(w, model->last_id, 4);
	for (int c = 0; c < model->k; c++)
	{
		put_integer(w, (uint64_t) model->segments[c].size, 8);
		put_double(w, model->segments[c].weight);
		put_double(w, model->segments[c].inertia);
		put_double(w, model->segments[c].reach);
		if (has_ids)
			put_integer(w, model->segments[c].id, 4);
	}
	for (size_t i = 0; i < cells; i++)
		put_double(w, model->centers[i]);
	for (size_t i = 0; i < cells && model->distance == KM_COSINE; i++)
		put_double(w, model->means[i]);
}

size_t
km_model_size(const KmModel *model)
{
	Writer		w = {NULL, 0};

	put_model(&w, model);
	return w.size;
}

void
km_model_write(const KmModel *model, unsigned char *bytes)
{
	Writer		w = {bytes, 0};

	put_model(&w, model);
}

/* ---- reading ---- */

typedef struct Reader
{
	const unsigned char *at;
	size_t		left;
	bool		bad;			/* once set, everything reads as 0 */
	const KmHost *host;			/* NULL: only check */
	bool		no_memory;
} Reader;

static const unsigned char *
get_bytes(Reader *r, size_t n)
{
	const unsigned char *bytes = r->at;

	if (r->bad || n > r->left)
	{
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return bytes;
}

static uint64_t
get_integer(Reader *r, int bytes)
{
	const unsigned char *from = get_bytes(r, bytes);
	uint64_t	value = 0;

	for (int i = 0; i < bytes && from != NULL; i++)
		value |= (uint64_t) from[i] << (8 * i);
	return value;
}

static void
require(Reader *r, bool holds)
{
	if (!holds)
		r->bad = true;
}

static int64_t
get_count(Reader *r)
{
	int64_t		value = (int64_t) get_integer(r, 8);

	require(r, value >= 0);
	return value;
}

/*
 * A count of what is counted together with others: they can be added up.
 * *left: what is left for this one and those to come.
 */
static int64_t
get_share(Reader *r, int64_t *left)
{
	int64_t		value = get_count(r);

	require(r, value <= *left);
	*left -= r->bad ? 0 : value;
	return value;
}

/* any double but NaN and -0 */
static double
get_bound(Reader *r)
{
	uint64_t	bits = get_integer(r, 8);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	require(r, !isnan(value) && bits != UINT64_C(1) << 63);
	return r->bad ? 0 : value;
}

static double
get_double(Reader *r)
{
	double		value = get_bound(r);

	require(r, isfinite(value));
	return r->bad ? 0 : value;
}

static double
get_positive(Reader *r)
{
	double		value = get_double(r);

	require(r, value > 0);
	return value;
}

static double
get_nonnegative(Reader *r)
{
	double		value = get_double(r);

	require(r, value >= 0);
	return value;
}

/* NULL when only checking, or out of memory */
static void *
reserve(Reader *r, size_t count, size_t size)
{
	void	   *pointer;

	if (r->host == NULL || r->bad || r->no_memory)
		return NULL;
	pointer = km_alloc_zero(r->host, count, size);
	if (pointer == NULL)
		r->no_memory = true;
	return pointer;
}

/* n bytes without NUL, as a string */
static char *
get_string(Reader *r, size_t n)
{
	const unsigned char *bytes = get_bytes(r, n);
	char	   *string;

	if (bytes == NULL)
		return NULL;
	require(r, memchr(bytes, 0, n) == NULL);
	if (n > SIZE_MAX / 4)
		return NULL;
	string = reserve(r, n + 1, 1);
	if (string != NULL)
		memcpy(string, bytes, n);
	return string;
}

static void
get_categories(Reader *r, KmFeature *feature)
{
	const unsigned char *before = NULL;
	size_t		before_length = 0;
	int64_t		left = INT64_MAX;

	feature->clip_low = -INFINITY;
	feature->clip_high = INFINITY;
	feature->divisor = 1;
	feature->ncategories = (int) get_integer(r, 4);
	/* each takes twelve bytes at least: no bomb */
	require(r, feature->ncategories >= 1 &&
			feature->ncategories <= KM_MAX_CATEGORIES &&
			(size_t) feature->ncategories <= r->left / 12);
	if (r->bad)
		return;
	feature->categories = reserve(r, feature->ncategories, sizeof(char *));
	feature->counts = reserve(r, feature->ncategories, sizeof(int64_t));
	for (int v = 0; v < feature->ncategories && !r->bad; v++)
	{
		size_t		length = (size_t) get_integer(r, 4);
		const unsigned char *bytes = r->at;
		char	   *string = get_string(r, length);
		int64_t		count = get_share(r, &left);

		if (r->bad)
			return;
		if (before != NULL)
		{
			size_t		least = length < before_length ? length : before_length;
			int			order = memcmp(before, bytes, least);

			require(r, order < 0 || (order == 0 && before_length < length));
		}
		before = bytes;
		before_length = length;
		if (r->host != NULL && !r->no_memory)
		{
			feature->categories[v] = string;
			feature->counts[v] = count;
		}
	}
}

static void
get_feature(Reader *r, KmFeature *feature)
{
	uint64_t	kind = get_integer(r, 1);
	size_t		length;

	require(r, kind <= KM_CATEGORY && get_integer(r, 1) == 0);
	feature->kind = (KmKind) kind;
	length = (size_t) get_integer(r, 2);
	require(r, length > 0);
	feature->name = get_string(r, length);
	feature->weight = get_positive(r);
	feature->factor = get_positive(r);
	if (r->bad)
		return;
	if (feature->kind == KM_CATEGORY)
	{
		get_categories(r, feature);
		return;
	}
	feature->clip_low = get_bound(r);
	feature->clip_high = get_bound(r);
	require(r, feature->clip_low <= feature->clip_high &&
			feature->clip_low < INFINITY && feature->clip_high > -INFINITY);
	feature->min = get_double(r);
	feature->max = get_double(r);
	require(r, feature->min <= feature->max);
	feature->mean = get_double(r);
	feature->sd = get_nonnegative(r);
	feature->center = get_double(r);
	feature->divisor = get_positive(r);
	feature->origin = get_double(r);
	feature->grid = (int) (int32_t) (uint32_t) get_integer(r, 4);
	require(r, feature->grid >= GRID_MIN && feature->grid <= GRID_MAX);
}

static double *
get_cells(Reader *r, size_t cells)
{
	double	   *array;

	require(r, cells <= r->left / 8);
	if (r->bad)
		return NULL;
	array = reserve(r, cells, sizeof(double));
	for (size_t i = 0; i < cells && !r->bad; i++)
	{
		double		value = get_double(r);

		if (array != NULL)
			array[i] = value;
	}
	return array;
}

/* *has_ids: the segments bring them */
static void
get_header(Reader *r, bool scaler, KmModel *model, bool *has_ids)
{
	uint64_t	value;

	require(r, get_integer(r, 1) == (scaler ? 1 : 0));
	value = get_integer(r, 1);
	require(r, value <= KM_NONE);
	model->scale = (KmScale) value;
	value = get_integer(r, 1);
	require(r, value <= KM_COSINE);
	model->distance = (KmDistance) value;
	value = get_integer(r, 1);
	require(r, value <= 1);
	model->fill_nulls = value != 0;
	value = get_integer(r, 1);
	require(r, value <= 1);
	model->converged = value != 0;
	value = get_integer(r, 2);
	require(r, value <= (scaler ? 0 : 1));
	*has_ids = value != 0;
	value = get_integer(r, 4);
	require(r, scaler ? value == 0 : value >= 1 && value <= KM_MAX_K);
	model->k = (int) value;
	value = get_integer(r, 4);
	require(r, value >= 1 && value <= KM_MAX_FEATURES);
	model->nfeatures = (int) value;
	value = get_integer(r, 4);
	require(r, value >= 1 && value <= KM_MAX_WIDTH);
	model->width = (int) value;
	value = get_integer(r, 4);
	require(r, value <= INT32_MAX);
	model->iterations = (int) value;
	model->seed = get_integer(r, 8);
	require(r, model->seed <= INT64_MAX);
	model->rows = get_count(r);
	model->rows_skipped = get_count(r);
	model->inertia = get_nonnegative(r);
	model->total = get_nonnegative(r);
}

/*
 * Segments; their ids rise and are not above last_id.  Those of a new model
 * are not stored.
 */
static void
get_segments(Reader *r, bool has_ids, KmModel *model)
{
	int			before = 0;
	bool		is_new = true;
	int64_t		left = INT64_MAX;

	model->last_id = model->k;
	if (has_ids)
	{
		uint64_t	value = get_integer(r, 4);

		require(r, value <= INT32_MAX);
		model->last_id = (int) value;
	}
	model->segments = reserve(r, model->k, sizeof(KmSegment));
	for (int c = 0; c < model->k && !r->bad; c++)
	{
		KmSegment	scratch;
		KmSegment  *segment = &scratch;
		uint64_t	id = (uint64_t) c + 1;

		if (model->segments != NULL)
			segment = &model->segments[c];
		segment->size = get_share(r, &left);
		segment->weight = get_nonnegative(r);
		segment->inertia = get_nonnegative(r);
		segment->reach = get_nonnegative(r);
		if (has_ids)
			id = get_integer(r, 4);
		require(r, id > (uint64_t) before && id <= (uint64_t) model->last_id);
		is_new &= id == (uint64_t) c + 1;
		segment->id = before = (int) id;
	}
	require(r, !has_ids || !is_new || model->last_id != model->k);
}

/* One walk: model is filled as far as memory is at hand (host not NULL). */
static void
get_model(Reader *r, bool scaler, KmModel *model)
{
	int			width = 0;
	bool		has_ids;

	get_header(r, scaler, model, &has_ids);
	model->options = get_string(r, (size_t) get_integer(r, 4));
	if (r->bad)
		return;
	model->features = reserve(r, model->nfeatures, sizeof(KmFeature));
	for (int f = 0; f < model->nfeatures && !r->bad; f++)
	{
		KmFeature	scratch;
		KmFeature  *feature = &scratch;

		memset(&scratch, 0, sizeof(scratch));
		if (model->features != NULL)
			feature = &model->features[f];
		get_feature(r, feature);
		width += feature->kind == KM_CATEGORY ? feature->ncategories : 1;
		require(r, width <= KM_MAX_WIDTH &&
				(feature->kind != KM_CATEGORY ||
				 model->distance == KM_EUCLIDEAN));
	}
	require(r, width == model->width);
	if (r->bad)
		return;
	get_segments(r, has_ids, model);
	model->centers = get_cells(r, (size_t) model->k * model->width);
	if (model->distance == KM_COSINE)
		model->means = get_cells(r, (size_t) model->k * model->width);
	require(r, r->left == 0);
}

static KmStatus
read_status(const Reader *r)
{
	if (r->bad)
		return KM_BAD_FORMAT;
	return r->no_memory ? KM_NO_MEMORY : KM_OK;
}

KmStatus
km_model_check(const unsigned char *bytes, size_t size, bool scaler)
{
	Reader		r = {bytes, size, false, NULL, false};
	KmModel		model;

	if (size < 1)
		return KM_BAD_FORMAT;
	if (get_integer(&r, 1) != KM_FORMAT)
		return KM_BAD_VERSION;
	memset(&model, 0, sizeof(model));
	get_model(&r, scaler, &model);
	return read_status(&r);
}

KmStatus
km_model_read(const KmHost *host, const unsigned char *bytes, size_t size,
			  bool scaler, KmModel **result)
{
	Reader		r = {bytes, size, false, host, false};
	KmModel    *model;

	KM_TRY(km_model_check(bytes, size, scaler));
	model = km_alloc_zero(host, 1, sizeof(KmModel));
	if (model == NULL)
		return KM_NO_MEMORY;
	(void) get_integer(&r, 1);
	get_model(&r, scaler, model);
	if (read_status(&r) != KM_OK)
	{
		km_model_free(host, model);
		return read_status(&r);
	}
	*result = model;
	return KM_OK;
}

void
km_model_free(const KmHost *host, KmModel *model)
{
	if (model == NULL)
		return;
	for (int f = 0; f < model->nfeatures && model->features != NULL; f++)
	{
		KmFeature  *feature = &model->features[f];

		km_free(host, feature->name);
		for (int v = 0; v < feature->ncategories &&
			 feature->categories != NULL; v++)
			km_free(host, feature->categories[v]);
		km_free(host, feature->categories);
		km_free(host, feature->counts);
	}
	km_free(host, model->options);
	km_free(host, model->features);
	km_free(host, model->segments);
	km_free(host, model->centers);
	km_free(host, model->means);
	km_free(host, model);
}

/* ---- ids ---- */

void
km_model_number(KmModel *model)
{
	for (int c = 0; c < model->k; c++)
		model->segments[c].id = c + 1;
	model->last_id = model->k;
}

bool
km_model_has_ids(const KmModel *model)
{
	for (int c = 0; c < model->k; c++)
	{
		if (model->segments[c].id != c + 1)
			return true;
	}
	return model->last_id != model->k;
}

/* ---- what a model says ---- */

int
km_model_offset(const KmModel *model, int feature)
{
	int			offset = 0;

	for (int f = 0; f < feature; f++)
		offset += model->features[f].kind == KM_CATEGORY ?
			model->features[f].ncategories : 1;
	return offset;
}

/*
 * A mean is known to about its feature's grid; digits below would show 1 as
 * 0.9999999999999911.  Round to the power of ten above it, if there is a
 * digit to lose.
 */
static double
drop_noise(double v, double known_to)
{
	double		power = 1;
	double		scaled;

	if (known_to >= 1 || known_to < 1e-21)
		return v;
	/* powers up to 10^22 are exact, and so is the rounding below 2^52 */
	while (power * known_to < 1)
		power *= 10;
	scaled = v * (power / 10);
	return fabs(scaled) < 0x1p52 ? rint(scaled) / (power / 10) + 0.0 : v;
}

double
km_model_value_at(const KmModel *model, int segment, int feature,
				  int dimension)
{
	const KmFeature *f = &model->features[feature];
	const double *cells = model->means != NULL ? model->means : model->centers;
	double		v = cells[(size_t) segment * model->width + dimension];

	if (f->kind == KM_CATEGORY)
		return v / f->factor;
	v = f->origin + v / f->factor * f->divisor;
	/* a constant is known exactly, however small */
	return f->min == f->max ? v :
		drop_noise(v, ldexp(1, 1 - f->grid) / f->factor * f->divisor);
}

double
km_model_value(const KmModel *model, int segment, int feature, int category)
{
	bool		is_category = model->features[feature].kind == KM_CATEGORY;

	return km_model_value_at(model, segment, feature,
							 km_model_offset(model, feature) +
							 (is_category ? category : 0));
}

/* Counts of categories are of rows; segments know what their rows weigh. */
static double
overall_share(const KmModel *model, int feature, int category, int dimension)
{
	const KmFeature *f = &model->features[feature];
	bool		weighted = false;
	double		rows = 0;
	double		weight = 0;
	double		sum = 0;

	for (int c = 0; c < model->k; c++)
	{
		const KmSegment *segment = &model->segments[c];

		weighted |= segment->weight != (double) segment->size;
		rows += (double) segment->size;
		weight += segment->weight;
		sum += segment->weight *
			km_model_value_at(model, c, feature, dimension);
	}
	if (weighted)
		return weight > 0 ? sum / weight : 0;
	return rows > 0 ? (double) f->counts[category] / rows : 0;
}

void
km_model_overall(const KmModel *model, int feature, int category,
				 int dimension, double *mean, double *sd)
{
	const KmFeature *f = &model->features[feature];

	if (f->kind != KM_CATEGORY)
	{
		*mean = f->mean;
		*sd = f->sd;
		return;
	}
	*mean = overall_share(model, feature, category, dimension);
	*sd = *mean > 0 && *mean < 1 ? sqrt(*mean * (1 - *mean)) : 0;
}

double
km_model_scaled(const KmModel *model, int segment, int feature, int category)
{
	const KmFeature *f = &model->features[feature];
	double		value = km_model_value(model, segment, feature, category);

	if (f->kind == KM_CATEGORY)
		return value * (f->factor / sqrt(f->weight));
	return km_scale_value(f, value);
}

int
km_category_find(const KmFeature *feature, const char *name, size_t length)
{
	int			low = 0;
	int			high = feature->ncategories - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		const char *here = feature->categories[middle];
		size_t		here_length = strlen(here);
		size_t		least = length < here_length ? length : here_length;
		int			order = memcmp(name, here, least);

		if (order == 0 && length == here_length)
			return middle;
		if (order < 0 || (order == 0 && length < here_length))
			high = middle - 1;
		else
			low = middle + 1;
	}
	return -1;
}
