/*
 * scale.c
 *		kseg_scale() and kseg_unscale(): a scaler applied to a row, undone.
 *
 * The scaler is opened once and kept in fn_extra until another one comes.  It
 * is recognised by its bytes as they were passed: for one stored out of line
 * these are its TOAST pointer.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "elements.h"
#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_scale);
PG_FUNCTION_INFO_V1(kseg_unscale);

typedef struct ScaleCall
{
	/* set once */
	bool		is_constant;	/* the scaler is a literal */
	int			ntypes;			/* of arguments to scale; 0: kseg_unscale */
	Oid		   *types;
	bool		is_array;

	/* the current scaler */
	MemoryContext context;		/* owns what follows */
	struct varlena *bytes;		/* as they were passed */
	KmModel    *scaler;
	KsegColumn *columns;		/* NULL when is_array and for kseg_unscale */
	Datum	   *values;			/* the result's elements */
	bool	   *nulls;
} ScaleCall;

/* ---- the scaler of a call ---- */

static ScaleCall *
look_up_call(FunctionCallInfo fcinfo, bool has_features)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	MemoryContext old = MemoryContextSwitchTo(context);
	Node	   *expr = fcinfo->flinfo->fn_expr;
	ScaleCall  *call = palloc0(sizeof(ScaleCall));

	if (has_features)
	{
		call->types = kseg_argument_types(fcinfo, 1, &call->is_array);
		call->ntypes = PG_NARGS() - 1;
	}
	/* a parameter is no constant here: PL/pgSQL changes it between calls */
	call->is_constant = expr != NULL && IsA(expr, FuncExpr) &&
		IsA(linitial(((FuncExpr *) expr)->args), Const);
	call->context = AllocSetContextCreate(context, "kseg scale",
										  ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/* Do the features fit the scaler's? */
static void
init_columns(ScaleCall *call)
{
	const KmModel *scaler = call->scaler;

	if (call->is_array)
	{
		for (int f = 0; f < scaler->nfeatures; f++)
		{
			if (scaler->features[f].kind != KM_NUMBER)
				kseg_error_scaler_kind(&scaler->features[f], FLOAT8OID);
		}
		return;
	}
	if (call->ntypes != scaler->nfeatures)
		kseg_error_scaler_count(call->ntypes, scaler->features,
								scaler->nfeatures);
	call->columns = palloc0(sizeof(KsegColumn) * call->ntypes);
	for (int f = 0; f < call->ntypes; f++)
	{
		/* a bare NULL has no type, and needs none */
		if (call->types[f] == UNKNOWNOID)
			continue;
		kseg_column_init(&call->columns[f], scaler->features[f].name,
						 call->types[f], call->context);
		if (call->columns[f].kind != scaler->features[f].kind)
			kseg_error_scaler_kind(&scaler->features[f], call->types[f]);
	}
}

static void
open_scaler(ScaleCall *call, struct varlena *value)
{
	MemoryContext old;
	struct varlena *bytes;

	/* until all is well, the next call must not find it */
	call->bytes = NULL;
	call->columns = NULL;
	MemoryContextReset(call->context);
	old = MemoryContextSwitchTo(call->context);
	bytes = palloc(VARSIZE_ANY(value));
	memcpy(bytes, value, VARSIZE_ANY(value));
	call->scaler = kseg_scaler_open(value, call->context);
	if (call->ntypes > 0)
		init_columns(call);
	call->values = palloc(sizeof(Datum) * call->scaler->nfeatures);
	call->nulls = palloc(sizeof(bool) * call->scaler->nfeatures);
	call->bytes = bytes;
	MemoryContextSwitchTo(old);
}

static ScaleCall *
current_call(FunctionCallInfo fcinfo, bool has_features)
{
	ScaleCall  *call = fcinfo->flinfo->fn_extra;
	struct varlena *value;

	if (call == NULL)
		call = look_up_call(fcinfo, has_features);
	if (call->is_constant && call->bytes != NULL)
		return call;

	value = (struct varlena *) PG_GETARG_POINTER(0);
	/* a pointer into memory says nothing of what is there by now */
	if (VARATT_IS_EXTERNAL(value) && !VARATT_IS_EXTERNAL_ONDISK(value))
		value = detoast_attr(value);
	if (call->bytes == NULL ||
		VARSIZE_ANY(call->bytes) != VARSIZE_ANY(value) ||
		memcmp(call->bytes, value, VARSIZE_ANY(value)) != 0)
		open_scaler(call, value);
	return call;
}

/* ---- values ---- */

static Datum
make_result(const ScaleCall *call)
{
	int			length = call->scaler->nfeatures;
	int			lower_bound = 1;

	return PointerGetDatum(construct_md_array(call->values, call->nulls, 1,
											  &length, &lower_bound,
											  FLOAT8OID, sizeof(float8),
											  FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
}

static Datum
check_range(const KmFeature *feature, double result)
{
	if (!isfinite(result))
		kseg_error_scaled_range(feature->name);
	return Float8GetDatum(result);
}

/*
 * Apply the function to each element of an array.  What is not finite cannot
 * have come out of a scaler, nor can it go in.
 */
static Datum
convert_array(const ScaleCall *call, ArrayType *array,
			  double (*convert) (const KmFeature *feature, double x))
{
	const KmModel *scaler = call->scaler;
	KsegElements elements;

	kseg_elements_open(&elements, array);
	if (elements.length != scaler->nfeatures)
		kseg_error_scaler_count(elements.length, scaler->features,
								scaler->nfeatures);
	for (int f = 0; f < elements.length; f++)
	{
		const KmFeature *feature = &scaler->features[f];
		float8		x;

		call->nulls[f] = !kseg_elements_next(&elements, &x);
		if (call->nulls[f])
			continue;
		if (!isfinite(x))
			kseg_error_not_finite(feature->name, x);
		call->values[f] = check_range(feature, convert(feature, x));
	}
	return make_result(call);
}

Datum
kseg_scale(PG_FUNCTION_ARGS)
{
	ScaleCall  *call;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	call = current_call(fcinfo, true);
	if (call->is_array)
	{
		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		return convert_array(call, PG_GETARG_ARRAYTYPE_P(1), km_scale_value);
	}

	for (int f = 0; f < call->ntypes; f++)
	{
		const KmFeature *feature = &call->scaler->features[f];
		double		x;

		call->nulls[f] = PG_ARGISNULL(1 + f);
		if (call->nulls[f])
			continue;
		if (call->types[f] == UNKNOWNOID)
			kseg_error_scaler_kind(feature, UNKNOWNOID);
		x = kseg_column_read(&call->columns[f], PG_GETARG_DATUM(1 + f));
		call->values[f] = check_range(feature, km_scale_value(feature, x));
	}
	return make_result(call);
}

Datum
kseg_unscale(PG_FUNCTION_ARGS)
{
	ScaleCall  *call = current_call(fcinfo, false);

	return convert_array(call, PG_GETARG_ARRAYTYPE_P(1), km_unscale_value);
}
