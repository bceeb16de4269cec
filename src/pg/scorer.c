/*
 * scorer.c
 *		A model made ready to score rows, and the cache of such models that a
 *		call keeps between rows.
 *
 * This runs once a row of somebody's largest table, so the usual case does
 * the least possible: a constant model is found without being looked at, and
 * a model that comes from a column or a subquery is recognised by the bytes
 * as they came.  One that is stored out of line is then known by its TOAST
 * pointer and is fetched once, not once a row.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "reader.h"

struct KsegScorer
{
	/* set once */
	const KmModel *model;
	KmPredictor *predictor;
	int			nfeatures;
	bool		skips_nulls;
	bool		is_array;		/* one argument, float8[] */
	int		   *ids;			/* of no segment (0), then of each */
	KsegColumn *columns;		/* of each feature, if no array */
	bool	   *is_untyped;		/* NULL without a type, for a number; likewise */
	KsegReader	reader;			/* likewise */

	/* the row being scored */
	double	   *values;
};

/* ---- making a scorer ---- */

static void
init_feature(KsegScorer *scorer, int f, Oid type, MemoryContext context)
{
	const KmFeature *feature = &scorer->model->features[f];
	KsegColumn *column = &scorer->columns[f];

	/* in kseg_predict(model, 42, NULL) the NULL has no type, and needs none */
	if (type == UNKNOWNOID && feature->kind != KM_CATEGORY)
	{
		scorer->is_untyped[f] = true;
		return;
	}

	kseg_column_init(column, feature->name, type, context);
	if (column->kind != feature->kind)
		kseg_error_feature_kind(scorer->model, f, type);
}

KsegScorer *
kseg_scorer_create(const KmModel *model, int ntypes, const Oid *types,
				   MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	KsegScorer *scorer = palloc0(sizeof(KsegScorer));
	KmStatus	status;

	scorer->model = model;
	scorer->nfeatures = model->nfeatures;
	scorer->skips_nulls = !model->fill_nulls;
	scorer->values = palloc(sizeof(double) * model->nfeatures);
	scorer->ids = palloc0(sizeof(int) * (model->k + 1));
	for (int i = 0; i < model->k; i++)
		scorer->ids[i + 1] = kseg_segment_id(model, i);
	scorer->is_array = ntypes == 1 && getBaseType(types[0]) == FLOAT8ARRAYOID;

	if (scorer->is_array)
	{
		for (int f = 0; f < model->nfeatures; f++)
		{
			if (model->features[f].kind != KM_NUMBER)
				kseg_error_feature_kind(model, f, FLOAT8OID);
		}
	}
	else
	{
		if (ntypes == 1 && type_is_array_domain(types[0]))
			kseg_error_feature_array(types[0]);
		if (ntypes != model->nfeatures)
			kseg_error_feature_count(model, ntypes);
		scorer->is_untyped = palloc0(sizeof(bool) * ntypes);
		scorer->columns = palloc0(sizeof(KsegColumn) * ntypes);
		for (int f = 0; f < ntypes; f++)
			init_feature(scorer, f, types[f], context);
		kseg_reader_init(&scorer->reader, scorer->columns, ntypes);
	}

	status = km_predictor_create(kseg_host(context), model,
								 &scorer->predictor);
	if (status != KM_OK)
		kseg_raise(status);
	km_predictor_simd(scorer->predictor, (KmSimd) kseg_simd);

	MemoryContextSwitchTo(caller);
	return scorer;
}

const KmModel *
kseg_scorer_model(const KsegScorer *scorer)
{
	return scorer->model;
}

/* ---- reading a row ---- */

/* apart, so that its variable's address does not burden the others */
static pg_noinline int
find_category(KsegScorer *scorer, int f, Datum value)
{
	int			length;
	const char *category = kseg_column_text(&scorer->columns[f], value,
											&length);

	return km_category_find(&scorer->model->features[f], category, length);
}

static double
read_value(KsegScorer *scorer, int f, Datum value)
{
	if (scorer->is_untyped[f])
		kseg_error_feature_kind(scorer->model, f, UNKNOWNOID);
	if (scorer->columns[f].kind == KM_CATEGORY)
		return find_category(scorer, f, value);
	return kseg_column_read(&scorer->columns[f], value);
}

/* KsegReader's other */
static double
read_other(void *arg, int f, Datum value)
{
	return read_value(arg, f, value);
}

/* The same from the array form's only argument. */
static bool
read_array(KsegScorer *scorer, const NullableDatum *argument)
{
	ArrayType  *array;
	const double *elements;
	bool		complete = true;
	int			length;

	if (argument->isnull)
	{
		for (int f = 0; f < scorer->nfeatures; f++)
			scorer->values[f] = get_float8_nan();
		return !scorer->skips_nulls;
	}

	array = DatumGetArrayTypeP(argument->value);
	length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (ARR_NDIM(array) > 1)
		kseg_error_array_shape(ARR_NDIM(array));
	if (length != scorer->nfeatures)
		kseg_error_feature_count(scorer->model, length);

	/* nulls take no room among the elements */
	elements = (const double *) ARR_DATA_PTR(array);
	for (int f = 0; f < scorer->nfeatures; f++)
	{
		const bits8 *present = ARR_NULLBITMAP(array);

		if (present != NULL && (present[f / 8] & (1 << (f % 8))) == 0)
		{
			scorer->values[f] = get_float8_nan();
			complete = false;
			continue;
		}
		if (unlikely(!isfinite(*elements)))
			kseg_error_not_finite(scorer->model->features[f].name, *elements);
		scorer->values[f] = *elements++;
	}

	if ((Pointer) array != DatumGetPointer(argument->value))
		pfree(array);
	return complete || !scorer->skips_nulls;
}

/*
 * Every value, NaN where it is null; false when a null means that there is no
 * segment.  to_end: also the values after such a null.
 */
static pg_noinline bool
read_slowly(KsegScorer *scorer, const NullableDatum *arguments, bool to_end)
{
	bool		is_complete = true;

	if (scorer->is_array)
		return read_array(scorer, arguments);

	for (int f = 0; f < scorer->nfeatures; f++)
	{
		if (arguments[f].isnull)
		{
			scorer->values[f] = get_float8_nan();
			is_complete = !scorer->skips_nulls;
			if (!is_complete && !to_end)
				return false;
		}
		else
			scorer->values[f] = read_value(scorer, f, arguments[f].value);
	}
	return is_complete;
}

static pg_attribute_always_inline bool
read_row(KsegScorer *scorer, const NullableDatum *arguments, bool to_end)
{
	return (likely(!scorer->is_array) &&
			kseg_reader_read(&scorer->reader, arguments, scorer->values,
							 read_other, scorer)) ||
		read_slowly(scorer, arguments, to_end);
}

int
kseg_scorer_predict(KsegScorer *scorer, const NullableDatum *values)
{
	if (!read_row(scorer, values, false))
		return 0;
	return scorer->ids[km_predict(scorer->predictor, scorer->values) + 1];
}

bool
kseg_scorer_score(KsegScorer *scorer, const NullableDatum *values,
				  KmScore *score)
{
	if (!read_row(scorer, values, false))
		return false;
	return kseg_scorer_score_read(scorer, score);
}

const double *
kseg_scorer_read(KsegScorer *scorer, const NullableDatum *arguments,
				 bool *is_complete)
{
	*is_complete = read_row(scorer, arguments, true);
	return scorer->values;
}

bool
kseg_scorer_score_read(KsegScorer *scorer, KmScore *score)
{
	km_score(scorer->predictor, scorer->values, score);
	return score->segment >= 0;
}

const KmPredictor *
kseg_scorer_predictor(const KsegScorer *scorer)
{
	return scorer->predictor;
}

/* ---- the cache of a call ---- */

/*
 * Models of a call that alternate (one a region, say) are all kept, up to
 * this many and this much memory.  Opening one costs some microseconds,
 * finding one among 64 some ten nanoseconds.
 */
#define CACHE_MODELS	64
#define CACHE_BYTES		((Size) 16 * 1024 * 1024)

typedef struct CachedModel
{
	MemoryContext context;		/* owns all of it */
	KsegScorer *scorer;
	const char *key;			/* the argument's bytes */
	Size		key_size;
	uint64		fingerprint;	/* of the key */
	uint64		last_used;
} CachedModel;

typedef struct ScorerCache
{
	KsegScorerCall pub;			/* must be first */
	/* set once */
	bool		is_constant;	/* the model argument is a literal */
	int			ntypes;
	Oid		   *types;			/* of the features' arguments */
	TupleDesc	row_type;		/* kseg_score's; NULL until asked for */

	/* changes while running */
	CachedModel *current;
	int			nmodels;
	uint64		clock;
	CachedModel models[CACHE_MODELS];
} ScorerCache;

static ScorerCache *
create_cache(FunctionCallInfo fcinfo, int first)
{
	FmgrInfo   *function = fcinfo->flinfo;
	Node	   *call = function->fn_expr;
	MemoryContext caller;
	ScorerCache *cache;
	bool		is_array;

	cache = MemoryContextAllocZero(function->fn_mcxt, sizeof(ScorerCache));
	caller = MemoryContextSwitchTo(function->fn_mcxt);
	cache->types = kseg_argument_types(fcinfo, first, &is_array);
	cache->ntypes = PG_NARGS() - first;
	MemoryContextSwitchTo(caller);

	/*
	 * Only a literal: what a parameter holds may change between two rows (a
	 * PL/pgSQL variable in a loop).
	 */
	if (call != NULL && IsA(call, FuncExpr))
		cache->is_constant = IsA(linitial(((FuncExpr *) call)->args), Const);

	function->fn_extra = cache;
	return cache;
}

static inline uint64
read_word(const char *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/*
 * A cheap mix of the size and of eight words spread over the bytes (which
 * cover a TOAST pointer wholly).  Equal ones are still compared in full.
 */
static uint64
make_fingerprint(const char *bytes, Size size)
{
	uint64		mix = size;

	if (size >= sizeof(uint64))
	{
		for (int i = 0; i < 8; i++)
		{
			mix = (mix ^ read_word(bytes + (size - sizeof(uint64)) * i / 7)) *
				UINT64CONST(0x9E3779B97F4A7C15);
			mix ^= mix >> 29;
		}
	}
	return mix;
}

static inline bool
has_key(const CachedModel *model, const char *bytes, Size size)
{
	return model->key_size == size && memcmp(model->key, bytes, size) == 0;
}

/* Index of the model that was not used for longest. */
static int
oldest_model(const ScorerCache *cache)
{
	int			oldest = 0;

	for (int i = 1; i < cache->nmodels; i++)
	{
		if (cache->models[i].last_used < cache->models[oldest].last_used)
			oldest = i;
	}
	return oldest;
}

/* Drop models until another fits. */
static void
make_room(ScorerCache *cache)
{
	Size		bytes = 0;

	for (int i = 0; i < cache->nmodels; i++)
		bytes += MemoryContextMemAllocated(cache->models[i].context, true);

	cache->current = NULL;
	while (cache->nmodels == CACHE_MODELS ||
		   (cache->nmodels > 0 && bytes > CACHE_BYTES))
	{
		int			oldest = oldest_model(cache);
		MemoryContext context = cache->models[oldest].context;

		bytes -= MemoryContextMemAllocated(context, true);
		cache->models[oldest] = cache->models[--cache->nmodels];
		MemoryContextDelete(context);
	}
}

static CachedModel *
open_model(ScorerCache *cache, MemoryContext parent, struct varlena *value,
		   const char *bytes, Size size)
{
	MemoryContext context;
	MemoryContext caller;
	CachedModel new = {0};
	char	   *key;

	make_room(cache);

	/* the context moves to its parent only when nothing was wrong with it */
	context = AllocSetContextCreate(CurrentMemoryContext, "kseg scorer",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	key = palloc(size);
	memcpy(key, bytes, size);
	new.key = key;
	new.key_size = size;
	new.fingerprint = make_fingerprint(bytes, size);
	new.context = context;
	new.scorer = kseg_scorer_create(kseg_model_open(value, context),
									cache->ntypes, cache->types, context);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, parent);

	cache->models[cache->nmodels] = new;
	return &cache->models[cache->nmodels++];
}

/* Find the model among those that are open, or open it. */
static CachedModel *
find_model(ScorerCache *cache, MemoryContext parent, Datum argument)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(argument);
	const char *bytes;
	Size		size;
	uint64		fingerprint;

	/* a pointer into memory says nothing of what is there by now */
	if (VARATT_IS_EXTERNAL(value) && !VARATT_IS_EXTERNAL_ONDISK(value))
		value = detoast_attr(value);
	bytes = (const char *) value;
	size = VARSIZE_ANY(value);

	if (cache->current != NULL && has_key(cache->current, bytes, size))
		return cache->current;

	fingerprint = make_fingerprint(bytes, size);
	for (int i = 0; i < cache->nmodels; i++)
	{
		if (cache->models[i].fingerprint == fingerprint &&
			has_key(&cache->models[i], bytes, size))
			return &cache->models[i];
	}
	return open_model(cache, parent, value, bytes, size);
}

KsegScorer *
kseg_scorer_find(FunctionCallInfo fcinfo, int first)
{
	ScorerCache *cache = fcinfo->flinfo->fn_extra;

	if (cache == NULL)
		cache = create_cache(fcinfo, first);
	cache->current = find_model(cache, fcinfo->flinfo->fn_mcxt,
								PG_GETARG_DATUM(0));
	cache->current->last_used = ++cache->clock;
	if (cache->is_constant)
		cache->pub.constant = cache->current->scorer;
	return cache->current->scorer;
}

TupleDesc
kseg_scorer_row_type(FunctionCallInfo fcinfo)
{
	ScorerCache *cache = fcinfo->flinfo->fn_extra;

	if (unlikely(cache->row_type == NULL))
	{
		MemoryContext caller;

		caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		if (get_call_result_type(fcinfo, NULL, &cache->row_type) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		cache->row_type = BlessTupleDesc(cache->row_type);
		MemoryContextSwitchTo(caller);
	}
	return cache->row_type;
}
