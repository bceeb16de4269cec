/*
 * options.c
 *		The options of a fit: jsonb in, a checked KsegOptions out.
 *
 * Each option has one reader and stands once in the table below; the hint
 * that lists the valid ones is made from it.  JSON null means "not given", so
 * that options can be put together from parameters that may be null.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "errors.h"
#include "json.h"
#include "kseg.h"
#include "model_json.h"

/*
 * Bounds that only keep typing errors away.  A sample or a number of chains
 * beyond them takes days; a weight beyond them leaves the other features, or
 * itself, without influence.
 */
#define MAX_CHAINS		10000
#define MIN_SAMPLE		100
#define MAX_SAMPLE		10000000
#define MAX_ITERATIONS	1000000
#define MIN_WEIGHT		1e-6
#define MAX_WEIGHT		1e6

static const char *const nulls_names[] = {"skip", "mean"};
static const char *const small_names[] = {"fewer", "error"};
/* in the order of KsegEngine */
static const char *const engine_names[] = {"auto", "memory", "pushdown"};

/* ---- names ---- */

static char *
join_names(const char *const *names, int count)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < count; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	return list.data;
}

KmScale
kseg_scale_parse(const char *name)
{
	KmScale		scale;

	if (!kseg_scale_find(name, &scale))
		kseg_error_unknown_scale(name, join_names(kseg_scale_names,
												  KSEG_SCALES));
	return scale;
}

/* ---- readers of one value ---- */

static void
refuse(const char *option, const char *wanted, const JsonbValue *value)
{
	kseg_error_bad_option(option, wanted, kseg_json_describe(value));
}

static int
read_choice(const char *option, const JsonbValue *value,
			const char *const *names, int count)
{
	char	   *name = kseg_json_string(value);
	int			choice = -1;

	if (name != NULL)
		choice = kseg_find_word(name, names, count);
	if (choice < 0)
		refuse(option, psprintf("one of %s", join_names(names, count)),
			   value);
	return choice;
}

static int64
read_integer(const char *option, const JsonbValue *value, int64 min,
			 int64 max)
{
	int64		result;

	if (!kseg_json_integer(value, min, max, &result))
		refuse(option, psprintf("a whole number between %lld and %lld",
								(long long) min, (long long) max), value);
	return result;
}

static const char *
read_name(const char *option, const JsonbValue *value, const char *wanted)
{
	char	   *name = kseg_json_string(value);

	if (name == NULL || name[0] == '\0')
		refuse(option, wanted, value);
	return name;
}

static JsonbValue *
copy_value(const JsonbValue *value)
{
	JsonbValue *copy = palloc(sizeof(JsonbValue));

	*copy = *value;
	return copy;
}

/* ---- readers of each option ---- */

static void
read_k(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->k = read_integer(option, value, 1, KM_MAX_K);
}

static void
read_scale(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.scale = (KmScale)
		read_choice(option, value, kseg_scale_names, KSEG_SCALES);
}

static void
read_weights(KsegOptions *options, const char *option,
			 const JsonbValue *value)
{
	const char *wanted = "an object that gives features a weight between "
		"0.000001 and 1000000";
	JsonbIterator *iterator;
	JsonbValue	feature;
	JsonbValue	weight;
	double		number;

	if (kseg_json_object_length(value) < 0)
		refuse(option, wanted, value);
	iterator = kseg_json_iterate(value);
	while (kseg_json_next_pair(&iterator, &feature, &weight))
	{
		if (!kseg_json_double(&weight, &number) ||
			number < MIN_WEIGHT || number > MAX_WEIGHT)
			refuse(option, wanted, &weight);
	}
	options->weights = copy_value(value);
}

static void
read_row_weight(KsegOptions *options, const char *option,
				const JsonbValue *value)
{
	options->row_weight = read_name(option, value, "the name of a column");
}

static void
read_nulls(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.fill_nulls =
		read_choice(option, value, nulls_names, lengthof(nulls_names)) == 1;
}

static void
read_clip(KsegOptions *options, const char *option, const JsonbValue *value)
{
	const char *wanted = "an array of two rising numbers between 0 and 1";
	JsonbIterator *iterator;
	JsonbValue	element;
	double		bounds[2];

	if (kseg_json_array_length(value) != 2)
		refuse(option, wanted, value);
	iterator = kseg_json_iterate(value);
	for (int i = 0; i < 2; i++)
	{
		(void) kseg_json_next(&iterator, &element);
		if (!kseg_json_double(&element, &bounds[i]) ||
			bounds[i] < 0 || bounds[i] > 1 ||
			(i == 1 && bounds[1] <= bounds[0]))
			refuse(option, wanted, value);
	}
	options->core.clip = true;
	options->core.clip_low = bounds[0];
	options->core.clip_high = bounds[1];
}

static void
read_n_init(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.n_init = read_integer(option, value, 1, MAX_CHAINS);
}

static void
read_sample(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.sample = read_integer(option, value, MIN_SAMPLE,
										MAX_SAMPLE);
}

static void
read_max_iter(KsegOptions *options, const char *option,
			  const JsonbValue *value)
{
	options->core.max_iter = read_integer(option, value, 1, MAX_ITERATIONS);
}

static void
read_tol(KsegOptions *options, const char *option, const JsonbValue *value)
{
	double		number;

	if (!kseg_json_double(value, &number) || number < 0 || number >= 1)
		refuse(option, "a number from 0 to below 1", value);
	options->core.tol = number;
}

static void
read_seed(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.seed = (uint64_t) read_integer(option, value, 0,
												 PG_INT64_MAX);
}

/*
 * Starting points are read when the features are known (init.c); here only
 * their number, which is that of the segments.
 */
static void
read_init(KsegOptions *options, const char *option, const JsonbValue *value)
{
	const char *wanted = "an array of centroids or a kseg_model";
	JsonbValue	version;

	options->init = copy_value(value);
	options->init_k = kseg_json_array_length(value);
	if (options->init_k < 0)
	{
		if (kseg_json_object_length(value) < 0 ||
			!kseg_json_find(value, "kseg", &version))
			refuse(option, wanted, value);
		options->init_k = kseg_model_parse(value)->k;
	}
	if (options->init_k < 1 || options->init_k > KM_MAX_K)
		refuse(option, psprintf("an array of 1 to %d centroids", KM_MAX_K),
			   value);
}

static void
read_previous(KsegOptions *options, const char *option,
			  const JsonbValue *value)
{
	JsonbValue	version;

	if (kseg_json_object_length(value) < 0 ||
		!kseg_json_find(value, "kseg", &version))
		refuse(option, "a kseg_model", value);
	options->previous = kseg_model_parse(value);
}

static void
read_order_by(KsegOptions *options, const char *option,
			  const JsonbValue *value)
{
	const char *name = read_name(option, value,
								 "\"size\" or the name of a feature");

	options->order_by = strcmp(name, "size") == 0 ? NULL : name;
}

static void
read_small(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->core.small_is_error =
		read_choice(option, value, small_names, lengthof(small_names)) == 1;
}

static void
read_distance(KsegOptions *options, const char *option,
			  const JsonbValue *value)
{
	options->core.distance = (KmDistance)
		read_choice(option, value, kseg_distance_names, KSEG_DISTANCES);
}

static void
read_engine(KsegOptions *options, const char *option, const JsonbValue *value)
{
	options->engine = (KsegEngine)
		read_choice(option, value, engine_names, lengthof(engine_names));
}

KsegEngine
kseg_engine_parse(const char *name)
{
	int			engine = kseg_find_word(name, engine_names,
										lengthof(engine_names));

	if (engine < 0)
		kseg_error_unknown_engine(name, join_names(engine_names,
												   lengthof(engine_names)));
	return (KsegEngine) engine;
}

static const struct
{
	const char *name;
	void		(*read) (KsegOptions *options, const char *option,
						 const JsonbValue *value);
}			readers[] =
{
	{"k", read_k},
	{"scale", read_scale},
	{"weights", read_weights},
	{"row_weight", read_row_weight},
	{"nulls", read_nulls},
	{"clip", read_clip},
	{"n_init", read_n_init},
	{"sample", read_sample},
	{"max_iter", read_max_iter},
	{"tol", read_tol},
	{"seed", read_seed},
	{"init", read_init},
	{"order_by", read_order_by},
	{"small", read_small},
	{"distance", read_distance},
	{"previous", read_previous},
	{"engine", read_engine},
};

/* ---- the whole ---- */

static char *
valid_options(void)
{
	const char *names[lengthof(readers)];

	for (int i = 0; i < (int) lengthof(readers); i++)
		names[i] = readers[i].name;
	return join_names(names, lengthof(readers));
}

static void
read_option(KsegOptions *options, const JsonbValue *key,
			const JsonbValue *value)
{
	char	   *name = kseg_json_string(key);

	for (int i = 0; i < (int) lengthof(readers); i++)
	{
		if (strcmp(name, readers[i].name) == 0)
		{
			if (value->type != jbvNull)
				readers[i].read(options, readers[i].name, value);
			return;
		}
	}
	kseg_error_unknown_option(name, valid_options());
}

void
kseg_check_k(int64 k)
{
	if (k < 1 || k > KM_MAX_K)
		kseg_error_k_range(k);
}

/* Bring together what the call, options, init and previous say about k. */
static void
settle_k(KsegOptions *options, int k, bool k_required)
{
	if (k != 0 && options->k != 0 && k != options->k)
		kseg_error_k_differs(k, options->k);
	if (options->k == 0)
		options->k = k;
	if (options->init != NULL)
	{
		if (options->k != 0 && options->k != options->init_k)
			kseg_error_init_count(options->init_k, options->k);
		options->k = options->init_k;
	}
	if (options->previous != NULL && options->init != NULL)
		kseg_error_init_previous();
	if (options->k == 0 && options->previous != NULL)
		options->k = options->previous->k;
	if (options->k == 0 && k_required)
		kseg_error_k_missing();
	if (options->core.sample < options->k)
		kseg_error_sample_below_k(options->core.sample, options->k);
}

KsegOptions *
kseg_options_parse(Jsonb *json, int k, bool k_required)
{
	KsegOptions *options = palloc0(sizeof(KsegOptions));
	JsonbIterator *iterator;
	JsonbValue	whole;
	JsonbValue	key;
	JsonbValue	value;

	km_options_default(&options->core);
	options->core.simd = (KmSimd) kseg_simd;
	if (json == NULL)
		options->json = kseg_json_parse("{}");
	else
	{
		options->json = palloc(VARSIZE(json));
		memcpy(options->json, json, VARSIZE(json));
	}

	JsonbToJsonbValue(options->json, &whole);
	if (kseg_json_object_length(&whole) < 0)
	{
		if (JsonbExtractScalar(&options->json->root, &value))
			whole = value;
		kseg_error_options_type(kseg_json_describe(&whole), valid_options());
	}
	iterator = kseg_json_iterate(&whole);
	while (kseg_json_next_pair(&iterator, &key, &value))
		read_option(options, &key, &value);

	settle_k(options, k, k_required);
	return options;
}

char *
kseg_options_print(const KsegOptions *options)
{
	static const char *const left_out[] = {"previous", "engine"};
	Datum		json = JsonbPGetDatum(options->json);

	for (int i = 0; i < (int) lengthof(left_out); i++)
	{
		Datum		name = CStringGetTextDatum(left_out[i]);

		if (i == 0 ? options->previous != NULL :
			options->engine != KSEG_ENGINE_AUTO)
			json = DirectFunctionCall2(jsonb_delete, json, name);
	}
	return kseg_json_print(DatumGetJsonbP(json));
}

int
kseg_find_feature(const KmFeature *features, int nfeatures, const char *name)
{
	for (int f = 0; f < nfeatures; f++)
	{
		if (strcmp(features[f].name, name) == 0)
			return f;
	}
	return -1;
}

void
kseg_options_bind(KsegOptions *options, KmFeature *features, int nfeatures)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	weight;
	int			f;

	for (f = 0; f < nfeatures; f++)
	{
		features[f].weight = 1;
		if (features[f].kind == KM_CATEGORY &&
			options->core.distance == KM_COSINE)
			kseg_error_cosine_category(features[f].name);
	}

	if (options->weights != NULL)
	{
		iterator = kseg_json_iterate(options->weights);
		while (kseg_json_next_pair(&iterator, &key, &weight))
		{
			char	   *name = kseg_json_string(&key);

			f = kseg_find_feature(features, nfeatures, name);
			if (f < 0)
				kseg_error_no_such_feature("weights", name, features,
										   nfeatures);
			(void) kseg_json_double(&weight, &features[f].weight);
		}
	}

	options->core.order_by = -1;
	if (options->order_by != NULL)
	{
		f = kseg_find_feature(features, nfeatures, options->order_by);
		if (f < 0)
			kseg_error_no_such_feature("order_by", options->order_by,
									   features, nfeatures);
		if (features[f].kind == KM_CATEGORY)
			kseg_error_order_by_category(options->order_by);
		options->core.order_by = f;
	}
}

/* ---- kseg_options(): named arguments to jsonb ---- */

static void
append_key(StringInfo buffer, const char *name)
{
	appendStringInfo(buffer, "%s\"%s\": ", buffer->len > 1 ? ", " : "", name);
}

/* JSON has no NaN and no infinity; they would come out as a syntax error */
static void
append_number(StringInfo buffer, const char *name, double value)
{
	if (isnan(value) || isinf(value))
		kseg_error_bad_option(name, "a finite number",
							  isnan(value) ? "NaN" :
							  value > 0 ? "Infinity" : "-Infinity");
	kseg_append_double(buffer, value);
}

static void
append_numbers(StringInfo buffer, const char *name, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elements, &nulls, &count);
	appendStringInfoChar(buffer, '[');
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(buffer, ", ");
		if (nulls[i])
			appendStringInfoString(buffer, "null");
		else
			append_number(buffer, name, DatumGetFloat8(elements[i]));
	}
	appendStringInfoChar(buffer, ']');
}

static void
append_argument(StringInfo buffer, const char *name, Oid type, Datum value)
{
	KmModel    *model;

	append_key(buffer, name);
	switch (type)
	{
		case INT4OID:
			appendStringInfo(buffer, "%d", DatumGetInt32(value));
			break;
		case INT8OID:
			appendStringInfo(buffer, "%lld", (long long) DatumGetInt64(value));
			break;
		case FLOAT8OID:
			append_number(buffer, name, DatumGetFloat8(value));
			break;
		case FLOAT8ARRAYOID:
			append_numbers(buffer, name, DatumGetArrayTypeP(value));
			break;
		case TEXTOID:
			escape_json(buffer, TextDatumGetCString(value));
			break;
		case JSONBOID:
			appendStringInfoString(buffer,
								   kseg_json_print(DatumGetJsonbP(value)));
			break;
		case InvalidOid:
			model = kseg_model_open((struct varlena *)
									PG_DETOAST_DATUM_PACKED(value),
									CurrentMemoryContext);
			appendStringInfoString(buffer, kseg_model_print(model));
			break;
		default:
			elog(ERROR, "unexpected type of argument \"%s\": %u", name, type);
	}
}

PG_FUNCTION_INFO_V1(kseg_options);

/* The arguments have the names of the options; see sql/10-types.sql. */
Datum
kseg_options(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {
		INT4OID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, FLOAT8ARRAYOID,
		INT4OID, INT4OID, INT4OID, FLOAT8OID, INT8OID, JSONBOID,
		TEXTOID, TEXTOID, TEXTOID, InvalidOid,	/* a kseg_model */
		TEXTOID
	};
	StringInfoData buffer;
	Jsonb	   *json;

	StaticAssertStmt(lengthof(types) == lengthof(readers),
					 "kseg_options() has an argument for each option");
	initStringInfo(&buffer);
	appendStringInfoChar(&buffer, '{');
	for (int i = 0; i < (int) lengthof(types); i++)
	{
		if (!PG_ARGISNULL(i))
			append_argument(&buffer, readers[i].name, types[i],
							PG_GETARG_DATUM(i));
	}
	appendStringInfoChar(&buffer, '}');

	json = kseg_json_parse(buffer.data);
	(void) kseg_options_parse(json, 0, false);
	PG_RETURN_JSONB_P(json);
}
