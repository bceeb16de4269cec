/*
 * init.c
 *		Starting points of a fit, from the options "init" and "previous".
 *
 * Those of init come in the customer's units and in three forms: arrays of values in
 * the order of the features, objects that name the features, or a model.  A
 * category is given as its text, or as an object of shares.  Out come rows of
 * width values as km_fit_run() takes them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "errors.h"
#include "json.h"
#include "kseg.h"

/* What is filled in, and where in the option we are. */
typedef struct Starts
{
	const KmFeature *features;
	int			nfeatures;
	int			width;
	int			centroid;		/* from 1, for messages */
	double	   *values;			/* of this centroid: width */
} Starts;

static void
read_shares(const Starts *starts, const KmFeature *feature, double *values,
			const JsonbValue *shares)
{
	const char *wanted = "shares between 0 and 1";
	JsonbIterator *iterator = kseg_json_iterate(shares);
	JsonbValue	key;
	JsonbValue	share;
	double		number;
	int			position;

	while (kseg_json_next_pair(&iterator, &key, &share))
	{
		position = km_category_find(feature, key.val.string.val,
									key.val.string.len);
		if (position < 0)
			kseg_error_init_category(starts->centroid, feature->name,
									 kseg_json_string(&key));
		if (!kseg_json_double(&share, &number) || number < 0 || number > 1)
			kseg_error_init_value(starts->centroid, feature->name, wanted,
								  kseg_json_describe(&share));
		values[position] = number;
	}
}

static void
read_category(const Starts *starts, const KmFeature *feature, double *values,
			  const JsonbValue *value)
{
	int			position;

	if (kseg_json_object_length(value) >= 0)
	{
		read_shares(starts, feature, values, value);
		return;
	}
	if (value->type != jbvString)
		kseg_error_init_value(starts->centroid, feature->name,
							  "the text of a category",
							  kseg_json_describe(value));
	position = km_category_find(feature, value->val.string.val,
								value->val.string.len);
	if (position < 0)
		kseg_error_init_category(starts->centroid, feature->name,
								 kseg_json_string(value));
	values[position] = 1;
}

/* One feature of one centroid; values: the first of its dimensions. */
static void
read_value(const Starts *starts, const KmFeature *feature, double *values,
		   const JsonbValue *value)
{
	if (feature->kind == KM_CATEGORY)
		read_category(starts, feature, values, value);
	else if (feature->kind == KM_BOOLEAN && value->type == jbvBool)
		*values = value->val.boolean ? 1 : 0;
	else if (!kseg_json_double(value, values))
		kseg_error_init_value(starts->centroid, feature->name,
							  feature->kind == KM_MOMENT ||
							  feature->kind == KM_INTERVAL ?
							  "a number of seconds" : "a number",
							  kseg_json_describe(value));
}

static int
feature_width(const KmFeature *feature)
{
	return feature->kind == KM_CATEGORY ? feature->ncategories : 1;
}

static void
read_array(const Starts *starts, const JsonbValue *array)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	double	   *values = starts->values;

	if (kseg_json_array_length(array) != starts->nfeatures)
		kseg_error_init_length(starts->centroid,
							   kseg_json_array_length(array),
							   starts->features, starts->nfeatures);
	iterator = kseg_json_iterate(array);
	for (int f = 0; f < starts->nfeatures; f++)
	{
		(void) kseg_json_next(&iterator, &value);
		read_value(starts, &starts->features[f], values, &value);
		values += feature_width(&starts->features[f]);
	}
}

/* Raise on a key that names no feature. */
static void
check_keys(const Starts *starts, const JsonbValue *object)
{
	JsonbIterator *iterator = kseg_json_iterate(object);
	JsonbValue	key;
	JsonbValue	value;

	while (kseg_json_next_pair(&iterator, &key, &value))
	{
		char	   *name = kseg_json_string(&key);

		if (kseg_find_feature(starts->features, starts->nfeatures, name) < 0)
			kseg_error_no_such_feature("init", name, starts->features,
									   starts->nfeatures);
		pfree(name);
	}
}

static void
read_object(const Starts *starts, const JsonbValue *object)
{
	double	   *values = starts->values;
	JsonbValue	value;

	/* the names differ, so equal numbers and no gap mean no other key */
	for (int f = 0; f < starts->nfeatures; f++)
	{
		const KmFeature *feature = &starts->features[f];

		if (!kseg_json_find(object, feature->name, &value))
			kseg_error_init_missing(starts->centroid, feature->name);
		read_value(starts, feature, values, &value);
		values += feature_width(feature);
	}
	if (kseg_json_object_length(object) != starts->nfeatures)
		check_keys(starts, object);
}

static void
read_centroids(Starts *starts, const JsonbValue *array)
{
	JsonbIterator *iterator = kseg_json_iterate(array);
	JsonbValue	centroid;

	while (kseg_json_next(&iterator, &centroid))
	{
		CHECK_FOR_INTERRUPTS();
		if (kseg_json_array_length(&centroid) >= 0)
			read_array(starts, &centroid);
		else if (kseg_json_object_length(&centroid) >= 0)
			read_object(starts, &centroid);
		else
			kseg_error_bad_option("init", "an array of arrays or objects",
								  psprintf("an array with %s",
										   kseg_json_describe(&centroid)));
		starts->centroid++;
		starts->values += starts->width;
	}
}

/* The feature of a model that goes with one of init's fit. */
static int
find_in_model(const KmModel *model, const KmFeature *feature)
{
	int			f = kseg_find_feature(model->features, model->nfeatures,
									  feature->name);

	if (f < 0)
		kseg_error_init_no_feature(feature->name);
	if (model->features[f].kind != feature->kind)
		kseg_error_init_kind(feature->name);
	return f;
}

/*
 * Take over one feature of a model's centroids; "first" is our first
 * dimension of it.  Categories may have come and gone since the model was
 * made: the new ones have share 0, the old ones are left out.
 */
static void
read_model_feature(const Starts *starts, const KmFeature *ours, int first,
				   const KmModel *model, int from)
{
	const KmFeature *theirs = &model->features[from];
	int			dimension = km_model_offset(model, from);

	for (int c = 0; c < feature_width(theirs); c++)
	{
		int			to = 0;

		CHECK_FOR_INTERRUPTS();
		if (ours->kind == KM_CATEGORY)
			to = km_category_find(ours, theirs->categories[c],
								  strlen(theirs->categories[c]));
		if (to < 0)
			continue;
		for (int i = 0; i < model->k; i++)
			starts->values[(size_t) i * starts->width + first + to] =
				km_model_value_at(model, i, from, dimension + c);
	}
}

static void
read_model(Starts *starts, const KmModel *model)
{
	int			first = 0;

	if (model->nfeatures != starts->nfeatures)
		kseg_error_init_features(model->nfeatures, starts->features,
								 starts->nfeatures);
	for (int f = 0; f < starts->nfeatures; f++)
	{
		const KmFeature *ours = &starts->features[f];

		read_model_feature(starts, ours, first, model,
						   find_in_model(model, ours));
		first += feature_width(ours);
	}
}

/* Room for k centroids. */
static void
make_starts(Starts *starts, const KmFeature *features, int nfeatures, int k)
{
	Size		size;

	starts->features = features;
	starts->nfeatures = nfeatures;
	starts->centroid = 1;
	starts->width = 0;
	for (int f = 0; f < nfeatures; f++)
		starts->width += feature_width(&features[f]);
	/* at most KM_MAX_K times KM_MAX_WIDTH: no overflow */
	size = sizeof(double) * starts->width * k;
	if (size > (Size) kseg_work_mem * 1024)
		kseg_error_init_size(k, starts->width);
	starts->values = palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

double *
kseg_options_init(KsegOptions *options, const KmFeature *features,
				  int nfeatures, int *k)
{
	Starts		starts;
	double	   *values;

	if (options->init == NULL)
		return NULL;
	if (*k != 0 && *k != options->init_k)
		kseg_error_init_count(options->init_k, *k);
	*k = options->init_k;

	make_starts(&starts, features, nfeatures, *k);
	values = starts.values;
	if (kseg_json_array_length(options->init) >= 0)
		read_centroids(&starts, options->init);
	else
		read_model(&starts, kseg_model_parse(options->init));
	return values;
}

/* ---- previous ---- */

/* A feature that the model does not have: where all rows are on average. */
static void
fill_mean(const Starts *starts, const KmFeature *feature, int first, int k)
{
	double		rows = 0;

	for (int c = 0; c < feature->ncategories; c++)
		rows += (double) feature->counts[c];
	for (int c = 0; c < feature_width(feature); c++)
	{
		double		mean = feature->kind == KM_CATEGORY ?
			(double) feature->counts[c] / Max(rows, 1) : feature->mean;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < k; i++)
			starts->values[(size_t) i * starts->width + first + c] = mean;
	}
}

double *
kseg_options_previous(const KsegOptions *options, const KmFeature *features,
					  int nfeatures)
{
	const KmModel *model = options->previous;
	Starts		starts;
	int			first = 0;
	int			shared = 0;

	if (model == NULL)
		return NULL;
	make_starts(&starts, features, nfeatures, model->k);
	for (int f = 0; f < nfeatures; f++)
	{
		int			from = 0;

		while (from < model->nfeatures &&
			   (model->features[from].kind != features[f].kind ||
				strcmp(model->features[from].name, features[f].name) != 0))
			from++;
		if (from < model->nfeatures)
		{
			read_model_feature(&starts, &features[f], first, model, from);
			shared++;
		}
		else
			fill_mean(&starts, &features[f], first, model->k);
		first += feature_width(&features[f]);
	}
	if (shared == 0)
		kseg_error_previous_features(model, features, nfeatures);
	return starts.values;
}
