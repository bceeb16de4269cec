/*
 * model_parse.c
 *		Models and scalers from JSON.
 *
 * Reading trusts nothing and names the key that is wrong; what no single key
 * can show is left to km_model_check().  Any key that does not belong is an
 * error, so that what comes in is what goes out again.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "errors.h"
#include "json.h"
#include "kseg.h"
#include "model_json.h"

/* as km_model_check() has it */
#define MAX_GRID	1000

/* the stored length of a name has two bytes */
#define MAX_NAME	65535

/* An object being read, and how messages call its keys. */
typedef struct Object
{
	const char *type;			/* kseg_model or kseg_scaler */
	const char *path;			/* before each key: "" or "segments[2]." */
	JsonbValue	json;
} Object;

static char *
full_key(const Object *object, const char *key)
{
	return psprintf("%s%s", object->path, key);
}

pg_noreturn static void refuse(const Object *object, const char *key,
							   const char *wanted, const JsonbValue *value);

static void
refuse(const Object *object, const char *key, const char *wanted,
	   const JsonbValue *value)
{
	kseg_error_model_key(object->type, full_key(object, key), wanted,
						 kseg_json_describe(value));
}

static void
get_value(const Object *object, const char *key, JsonbValue *value)
{
	if (!kseg_json_find(&object->json, key, value))
		kseg_error_model_key_missing(object->type, full_key(object, key));
}

static double
get_double(const Object *object, const char *key)
{
	JsonbValue	value;
	double		result;

	get_value(object, key, &value);
	if (!kseg_json_double(&value, &result))
		refuse(object, key, "a number", &value);
	return result;
}

static double
get_at_least(const Object *object, const char *key, double min)
{
	JsonbValue	value;
	double		result;

	get_value(object, key, &value);
	if (!kseg_json_double(&value, &result) || result < min)
		refuse(object, key, psprintf("a number not below %.17g", min),
			   &value);
	return result;
}

static double
get_size(const Object *object, const char *key)
{
	return get_at_least(object, key, 0);
}

static double
get_positive(const Object *object, const char *key)
{
	JsonbValue	value;
	double		result;

	get_value(object, key, &value);
	if (!kseg_json_double(&value, &result) || result <= 0)
		refuse(object, key, "a number above 0", &value);
	return result;
}

static int64
get_integer(const Object *object, const char *key, int64 min, int64 max)
{
	JsonbValue	value;
	int64		result;

	get_value(object, key, &value);
	if (!kseg_json_integer(&value, min, max, &result))
		refuse(object, key, psprintf("a whole number between %lld and %lld",
									 (long long) min, (long long) max),
			   &value);
	return result;
}

static bool
get_boolean(const Object *object, const char *key)
{
	JsonbValue	value;

	get_value(object, key, &value);
	if (value.type != jbvBool)
		refuse(object, key, "true or false", &value);
	return value.val.boolean;
}

static char *
get_string(const Object *object, const char *key, JsonbValue *value)
{
	char	   *result;

	get_value(object, key, value);
	result = kseg_json_string(value);
	if (result == NULL)
		refuse(object, key, "a string", value);
	return result;
}

/* An array with at least min and at most max elements; how many. */
static int
get_array(const Object *object, const char *key, int min, int max,
		  JsonbValue *value)
{
	int			length;

	get_value(object, key, value);
	length = kseg_json_array_length(value);
	if (length < min || length > max)
		refuse(object, key, min == max ?
			   psprintf("an array of length %d", min) :
			   psprintf("an array of length %d to %d", min, max), value);
	return length;
}

/* All numbers of an array of known length. */
static void
get_doubles(const Object *object, const char *key, int count,
			double *values)
{
	JsonbValue	array;
	JsonbValue	element;
	JsonbIterator *iterator;

	(void) get_array(object, key, count, count, &array);
	iterator = kseg_json_iterate(&array);
	for (int i = 0; kseg_json_next(&iterator, &element); i++)
	{
		if (!kseg_json_double(&element, &values[i]))
			refuse(object, key, "an array of numbers", &element);
	}
}

/* The next object in an array of them, and the path of its keys. */
static void
next_object(JsonbIterator **iterator, const char *type, const char *array,
			int i, Object *object)
{
	(void) kseg_json_next(iterator, &object->json);
	object->type = type;
	if (kseg_json_object_length(&object->json) < 0)
		kseg_error_model_key(type, psprintf("%s[%d]", array, i),
							 "an object", kseg_json_describe(&object->json));
	object->path = psprintf("%s[%d].", array, i);
}

/*
 * Any key but these is an error, or a misspelt one would be lost.  The list
 * ends with NULL.
 */
static void
check_keys(const Object *object, const char *const *keys)
{
	JsonbIterator *iterator = kseg_json_iterate(&object->json);
	JsonbValue	key;
	JsonbValue	value;

	while (kseg_json_next_pair(&iterator, &key, &value))
	{
		int			i = 0;
		char	   *name = kseg_json_string(&key);

		while (keys[i] != NULL && strcmp(keys[i], name) != 0)
			i++;
		if (keys[i] == NULL)
			kseg_error_model_key_unknown(object->type,
										 full_key(object, name));
		pfree(name);
	}
}

static KmScale
get_scale(const Object *object)
{
	JsonbValue	value;
	KmScale		scale;

	if (!kseg_scale_find(get_string(object, "scale", &value), &scale))
		refuse(object, "scale", "the name of a scaling method", &value);
	return scale;
}

static KmDistance
get_distance(const Object *object)
{
	JsonbValue	value;
	KmDistance	distance;

	if (!kseg_distance_find(get_string(object, "distance", &value),
							&distance))
		refuse(object, "distance", "euclidean or cosine", &value);
	return distance;
}

static bool
get_fill_nulls(const Object *object)
{
	JsonbValue	value;
	char	   *name = get_string(object, "nulls", &value);

	if (strcmp(name, "skip") != 0 && strcmp(name, "mean") != 0)
		refuse(object, "nulls", "skip or mean", &value);
	return strcmp(name, "mean") == 0;
}

static KmKind
get_kind(const Object *object)
{
	JsonbValue	value;
	char	   *name = get_string(object, "kind", &value);

	for (int kind = KM_NUMBER; kind <= KM_CATEGORY; kind++)
	{
		if (strcmp(name, kseg_kind_name((KmKind) kind)) == 0)
			return (KmKind) kind;
	}
	refuse(object, "kind",
		   "number, boolean, moment, interval or category", &value);
}

static void
read_number_feature(const Object *object, KmFeature *feature)
{
	static const char *const keys[] = {
		"name", "kind", "weight", "factor", "clip", "min", "max", "mean",
		"sd", "center", "divisor", "origin", "grid", NULL
	};
	JsonbValue	clip;

	check_keys(object, keys);
	feature->clip_low = -INFINITY;
	feature->clip_high = INFINITY;
	get_value(object, "clip", &clip);
	if (clip.type != jbvNull)
	{
		double		bounds[2] = {0, 0};

		get_doubles(object, "clip", 2, bounds);
		if (bounds[0] > bounds[1])
			refuse(object, "clip", "two rising numbers", &clip);
		feature->clip_low = bounds[0];
		feature->clip_high = bounds[1];
	}
	feature->min = get_double(object, "min");
	feature->max = get_at_least(object, "max", feature->min);
	feature->mean = get_double(object, "mean");
	feature->sd = get_size(object, "sd");
	feature->center = get_double(object, "center");
	feature->divisor = get_positive(object, "divisor");
	feature->origin = get_double(object, "origin");
	feature->grid = get_integer(object, "grid", -MAX_GRID, MAX_GRID);
}

static void
read_category_feature(const Object *object, KmFeature *feature)
{
	static const char *const keys[] = {
		"name", "kind", "weight", "factor", "categories", "counts", NULL
	};
	JsonbValue	array;
	JsonbValue	element;
	JsonbIterator *iterator;
	int			count;

	check_keys(object, keys);
	count = get_array(object, "categories", 1, KM_MAX_CATEGORIES, &array);
	feature->ncategories = count;
	feature->categories = palloc(sizeof(char *) * count);
	iterator = kseg_json_iterate(&array);
	for (int c = 0; c < count; c++)
	{
		(void) kseg_json_next(&iterator, &element);
		feature->categories[c] = kseg_json_string(&element);
		if (feature->categories[c] == NULL ||
			(c > 0 && strcmp(feature->categories[c - 1],
							 feature->categories[c]) >= 0))
			refuse(object, "categories", "an array of strings in rising order",
				   &element);
	}

	(void) get_array(object, "counts", count, count, &array);
	feature->counts = palloc(sizeof(int64_t) * count);
	iterator = kseg_json_iterate(&array);
	for (int c = 0; c < count; c++)
	{
		int64		number;

		(void) kseg_json_next(&iterator, &element);
		if (!kseg_json_integer(&element, 0, PG_INT64_MAX, &number))
			refuse(object, "counts", "an array of whole numbers not below 0",
				   &element);
		feature->counts[c] = number;
	}
}

static void
read_features(const Object *object, KmModel *model)
{
	JsonbValue	array;
	JsonbValue	name;
	JsonbIterator *iterator;

	model->nfeatures = get_array(object, "features", 1, KM_MAX_FEATURES,
								 &array);
	model->features = palloc0(sizeof(KmFeature) * model->nfeatures);
	iterator = kseg_json_iterate(&array);
	for (int f = 0; f < model->nfeatures; f++)
	{
		KmFeature  *feature = &model->features[f];
		Object		one;

		CHECK_FOR_INTERRUPTS();
		next_object(&iterator, object->type, "features", f, &one);
		feature->name = get_string(&one, "name", &name);
		if (name.val.string.len < 1 || name.val.string.len > MAX_NAME)
			refuse(&one, "name", psprintf("a string of 1 to %d bytes",
										  MAX_NAME), &name);
		feature->kind = get_kind(&one);
		feature->weight = get_positive(&one, "weight");
		feature->factor = get_positive(&one, "factor");
		if (feature->kind == KM_CATEGORY && model->k == 0)
			kseg_error_model_key(one.type, full_key(&one, "kind"),
								 "the kind of a number", "category");
		if (feature->kind == KM_CATEGORY && model->distance == KM_COSINE)
			kseg_error_model_key(one.type, full_key(&one, "kind"),
								 "the kind of a number when \"distance\" is cosine",
								 "category");
		if (feature->kind == KM_CATEGORY)
		{
			read_category_feature(&one, feature);
			model->width += feature->ncategories;
		}
		else
		{
			read_number_feature(&one, feature);
			model->width++;
		}
	}
}

/* Ids rise, so that there is one order of a model's segments. */
static int
get_id(const Object *object, int before, int last_id)
{
	JsonbValue	value;
	int64		id;

	get_value(object, "id", &value);
	if (!kseg_json_integer(&value, (int64) before + 1, last_id, &id))
		refuse(object, "id",
			   psprintf("a whole number above %d and not above \"last_id\", %d",
						before, last_id), &value);
	return id;
}

static void
read_segment(const Object *object, KmModel *model, bool has_ids, int i)
{
	/* a euclidean model has no "mean", a new one no "id" */
	const char *keys[] = {
		"size", "weight", "inertia", "reach", "center", NULL, NULL, NULL
	};
	KmSegment  *segment = &model->segments[i];
	size_t		first = (size_t) i * model->width;
	int			nkeys = 5;

	if (model->distance == KM_COSINE)
		keys[nkeys++] = "mean";
	if (has_ids)
		keys[nkeys++] = "id";
	check_keys(object, keys);
	segment->id = i + 1;
	if (has_ids)
		segment->id = get_id(object, i > 0 ? segment[-1].id : 0,
							 model->last_id);
	segment->size = get_integer(object, "size", 0, PG_INT64_MAX);
	segment->weight = get_size(object, "weight");
	segment->inertia = get_size(object, "inertia");
	segment->reach = get_size(object, "reach");
	get_doubles(object, "center", model->width, model->centers + first);
	if (model->means != NULL)
		get_doubles(object, "mean", model->width, model->means + first);
}

/*
 * Room for the centers is made only when every segment is known to bring as
 * many numbers: a short text must not claim gigabytes.  Segments have ids
 * when the model has a "last_id".
 */
static void
read_segments(const Object *object, KmModel *model)
{
	JsonbValue	last_id;
	bool		has_ids = kseg_json_find(&object->json, "last_id", &last_id);

	JsonbValue	array;
	JsonbValue	center;
	JsonbIterator *iterator;
	Object		one;
	Size		size;

	model->last_id = model->k;
	if (has_ids)
		model->last_id = get_integer(object, "last_id", model->k,
									 PG_INT32_MAX);
	(void) get_array(object, "segments", model->k, model->k, &array);
	iterator = kseg_json_iterate(&array);
	for (int i = 0; i < model->k; i++)
	{
		CHECK_FOR_INTERRUPTS();
		next_object(&iterator, object->type, "segments", i, &one);
		(void) get_array(&one, "center", model->width, model->width,
						 &center);
	}

	model->segments = palloc0(sizeof(KmSegment) * model->k);
	size = sizeof(double) * model->k * model->width;
	model->centers = palloc_extended(size, MCXT_ALLOC_HUGE);
	if (model->distance == KM_COSINE)
		model->means = palloc_extended(size, MCXT_ALLOC_HUGE);
	iterator = kseg_json_iterate(&array);
	for (int i = 0; i < model->k; i++)
	{
		CHECK_FOR_INTERRUPTS();
		next_object(&iterator, object->type, "segments", i, &one);
		read_segment(&one, model, has_ids, i);
	}
}

/* The object itself, with the version under the key that names the type. */
static void
open_object(const JsonbValue *json, const char *type, const char *key,
			Object *object)
{
	JsonbValue	version;
	int64		number;

	if (kseg_json_object_length(json) < 0)
		kseg_error_model_shape(type, kseg_json_describe(json));
	object->type = type;
	object->path = "";
	object->json = *json;
	get_value(object, key, &version);
	if (version.type != jbvNumeric)
		refuse(object, key, psprintf("%d", KM_FORMAT), &version);
	if (!kseg_json_integer(&version, KM_FORMAT, KM_FORMAT, &number))
		kseg_error_model_version(type, kseg_json_describe(&version));
}

static char *
get_options(const Object *object)
{
	JsonbValue	value;

	get_value(object, "options", &value);
	if (kseg_json_object_length(&value) < 0)
		refuse(object, "options", "an object", &value);
	return kseg_json_print(JsonbValueToJsonb(&value));
}

KmModel *
kseg_model_parse(const JsonbValue *json)
{
	static const char *const keys[] = {
		"kseg", "k", "last_id", "scale", "distance", "nulls", "rows",
		"rows_skipped", "inertia", "total", "iterations", "converged", "seed", "options",
		"features", "segments", NULL
	};
	KmModel    *model = palloc0(sizeof(KmModel));
	Object		object;

	open_object(json, "kseg_model", "kseg", &object);
	check_keys(&object, keys);
	model->k = get_integer(&object, "k", 1, KM_MAX_K);
	model->scale = get_scale(&object);
	model->distance = get_distance(&object);
	model->fill_nulls = get_fill_nulls(&object);
	model->rows = get_integer(&object, "rows", 1, PG_INT64_MAX);
	model->rows_skipped = get_integer(&object, "rows_skipped", 0,
									  PG_INT64_MAX);
	model->inertia = get_size(&object, "inertia");
	model->total = get_size(&object, "total");
	model->iterations = get_integer(&object, "iterations", 0, PG_INT32_MAX);
	model->converged = get_boolean(&object, "converged");
	model->seed = (uint64_t) get_integer(&object, "seed", 0, PG_INT64_MAX);
	model->options = get_options(&object);
	read_features(&object, model);
	if (model->width > KM_MAX_WIDTH)
		kseg_raise(KM_TOO_WIDE);
	read_segments(&object, model);
	return model;
}

KmModel *
kseg_scaler_parse(const JsonbValue *json)
{
	static const char *const keys[] = {
		"kseg_scaler", "scale", "rows", "features", NULL
	};
	KmModel    *scaler = palloc0(sizeof(KmModel));
	Object		object;

	open_object(json, "kseg_scaler", "kseg_scaler", &object);
	check_keys(&object, keys);
	scaler->scale = get_scale(&object);
	scaler->rows = get_integer(&object, "rows", 0, PG_INT64_MAX);
	read_features(&object, scaler);
	if (scaler->width > KM_MAX_WIDTH)
		kseg_raise(KM_TOO_WIDE);
	return scaler;
}
