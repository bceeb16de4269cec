/*
 * server.c
 *		libFuzzer inside a server's process, for what needs the server: JSON
 *		and base64 as values, options, limits, the categories of a survey.
 *
 * This and all of kseg, instrumented, are one library, which server.sh installs
 * as an extension of another name.  kseg_fuzz(libFuzzer's arguments) does not
 * return: libFuzzer ends the process.  Each input is a subtransaction of its
 * own.  Its first byte says what it is:
 *
 *		m s		text of a kseg_model, a kseg_scaler
 *		M S P	the same types and a kseg_pass as they are sent in binary form
 *		T		a kseg_pass with its length before it (four bytes) and a
 *				kseg_state, in binary form
 *		o		options of kseg_fit()
 *		r h		refit_when, hold_when
 *
 * Whatever is accepted comes out, and in again, as the same value, and can be
 * used.  Errors are what most inputs end with; an internal error of ours, or a
 * value that does not come back, ends the process.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/varlena.h"

#include "../../src/managed/managed.h"
#include "../../src/pg/json.h"
#include "../../src/pg/kseg.h"
#include "../../src/pg/state.h"
#include "must.h"

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*call) (const uint8_t *bytes,
											 size_t size));

PG_FUNCTION_INFO_V1(kseg_fuzz);
PG_FUNCTION_INFO_V1(kseg_fuzz_survey);

static Oid
type_named(const char *name)
{
	Oid			type = DatumGetObjectId(DirectFunctionCall1(to_regtype,
															PointerGetDatum(cstring_to_text(name))));

	MUST(OidIsValid(type));
	return type;
}

/* ---- errors ---- */

/* of a message's source: kseg's files have names that the server's have not */
static bool
is_ours(const ErrorData *error)
{
	return error->funcname != NULL &&
		(strncmp(error->funcname, "kseg_", 5) == 0 ||
		 strncmp(error->funcname, "km_", 3) == 0);
}

/* set while something is done that must not fail, as what it starts from was
 * accepted */
static bool no_error_now;

/* A subtransaction in which an error ends nothing else; false: there was one. */
static bool
try_it(void (*work) (const void *arg), const void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = true;

	no_error_now = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (no_error_now ||
			(error->sqlerrcode == ERRCODE_INTERNAL_ERROR && is_ours(error)))
		{
			fprintf(stderr, "internal error: %s\n", error->message);
			abort();
		}
		good = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return good;
}

/* ---- values ---- */

typedef struct Value
{
	const char *type;
	const char *bytes;			/* with a NUL behind */
	Size		size;
	bool		is_binary;
} Value;

static Datum
read_binary(Oid type, const char *bytes, Size size)
{
	StringInfoData message;
	Oid			function;
	Oid			element;

	initStringInfo(&message);
	appendBinaryStringInfo(&message, bytes, (int) size);
	getTypeBinaryInputInfo(type, &function, &element);
	return OidReceiveFunctionCall(function, &message, element, -1);
}

static Datum
read_text(Oid type, const char *text)
{
	Oid			function;
	Oid			element;

	getTypeInputInfo(type, &function, &element);
	return OidInputFunctionCall(function, unconstify(char *, text), element,
								-1);
}

static char *
print(Oid type, Datum value)
{
	Oid			function;
	bool		is_varlena;

	getTypeOutputInfo(type, &function, &is_varlena);
	return OidOutputFunctionCall(function, value);
}

static bytea *
send_value(Oid type, Datum value)
{
	Oid			function;
	bool		is_varlena;

	getTypeBinaryOutputInfo(type, &function, &is_varlena);
	return OidSendFunctionCall(function, value);
}

static bool
same_bytes(const void *a, const void *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* Out and in again, in both forms: the same value.  No error is expected. */
static void
check_round_trips(Oid type, Datum value)
{
	bytea	   *sent;
	Datum		again;

	no_error_now = true;
	sent = send_value(type, value);
	again = read_binary(type, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
	MUST(same_bytes(DatumGetPointer(value), DatumGetPointer(again)));
	again = read_text(type, print(type, value));
	MUST(same_bytes(DatumGetPointer(value), DatumGetPointer(again)));
	no_error_now = false;
}

static Datum
read_value(const Value *value)
{
	Oid			type = type_named(value->type);

	return value->is_binary ? read_binary(type, value->bytes, value->size) :
		read_text(type, value->bytes);
}

/* ---- uses ---- */

/* A statement and what it is about. */
typedef struct Use
{
	const char *statement;
	const char *type;
	const char *second_type;	/* NULL: there is one parameter */
	Datum		values[2];
} Use;

static void
run_use(const void *arg)
{
	const Use  *use = arg;
	Oid			types[2];
	Datum		values[2] = {use->values[0], use->values[1]};
	int			n = use->second_type == NULL ? 1 : 2;

	types[0] = type_named(use->type);
	if (n == 2)
		types[1] = type_named(use->second_type);
	SPI_connect();
	(void) SPI_execute_with_args(use->statement, n, types,
								 values, NULL, true,
								 0);
	SPI_finish();
}

static void
run_uses(const char *const *statements, Use *use)
{
	for (; *statements != NULL; statements++)
	{
		use->statement = *statements;
		(void) try_it(run_use, use);
	}
}

static const char *const model_uses[] = {
	"SELECT count(i) FROM kseg_info($1) AS i",
	"SELECT count(c) FROM kseg_centroids($1) AS c",
	"SELECT count(p) FROM kseg_profile($1) AS p",
	"SELECT kseg_align($1, $1)::text",
	"SELECT $1::jsonb::kseg_model = $1, $1::json::text",
	"SELECT kseg_predict($1, a, b, c), kseg_score($1, a, b, c) FROM fuzz_rows",
	"SELECT kseg_predict($1, a, b), kseg_score($1, a, d) FROM fuzz_rows",
	"SELECT kseg_fit(kseg_options(previous => $1), a, b, d) FROM fuzz_rows",
	"SELECT kseg_fit(kseg_options(init => $1::jsonb), a, b) FROM fuzz_rows",
	"SELECT kseg_evaluate($1, 'SELECT a, b FROM fuzz_rows')",
	"SELECT kseg_profile($1, 'SELECT a, b, c, d FROM fuzz_rows')",
	"SELECT kseg_svg_profile($1), kseg_plot_profile($1)",
	NULL
};

static const char *const scaler_uses[] = {
	"SELECT $1::jsonb::kseg_scaler = $1, $1::json::text",
	"SELECT kseg_scale($1, a, b), kseg_unscale($1, ARRAY[a, b]) FROM fuzz_rows",
	"SELECT kseg_scale($1, a, b, c) FROM fuzz_rows",
	NULL
};

static const char *const pass_uses[] = {
	"SELECT kseg_accum(kseg_point($1, ARRAY[a, b, c, a]))::text FROM fuzz_rows",
	"SELECT kseg_accum(kseg_point($1, a, b))::text FROM fuzz_rows",
	"SELECT kseg_accum(kseg_point($1, a, b, c, d))::text FROM fuzz_rows",
	"SELECT kseg_accum(kseg_point($1, c, a, b, c, a))::text FROM fuzz_rows",
	NULL
};

static const char *const state_uses[] = {
	"SELECT kseg_merge($2)::text FROM generate_series(1, 2)",
	"SELECT kseg_merge(s)::text FROM (SELECT kseg_accum(kseg_point($1, a, b)) "
	"FROM fuzz_rows UNION ALL SELECT $2) AS t (s)",
	"SELECT kseg_merge(s)::text FROM (SELECT kseg_accum(kseg_point($1, a, b, d)) "
	"FROM fuzz_rows UNION ALL SELECT $2) AS t (s)",
	"SELECT kseg_merge(s)::text FROM (SELECT $2 UNION ALL "
	"SELECT kseg_accum(kseg_point($1, a, b, d)) FROM fuzz_rows) AS t (s)",
	"SELECT kseg_merge(s)::text FROM (SELECT kseg_accum(kseg_point($1, "
	"ARRAY[a, b, c, a])) FROM fuzz_rows UNION ALL SELECT $2) AS t (s)",
	NULL
};

static void
try_value(const void *arg)
{
	const Value *value = arg;
	Use			use = {.type = value->type};

	use.values[0] = read_value(value);
	check_round_trips(type_named(value->type), use.values[0]);
	run_uses(strcmp(value->type, "kseg_model") == 0 ? model_uses :
			 strcmp(value->type, "kseg_scaler") == 0 ? scaler_uses : pass_uses,
			 &use);
}

static void
try_state(const void *arg)
{
	const Value *value = arg;
	Use			use = {.type = "kseg_pass", .second_type = "kseg_state"};
	Oid			type = type_named("kseg_state");
	uint32		length;

	if (value->size < sizeof(length))
		return;
	memcpy(&length, value->bytes, sizeof(length));
	if (length > value->size - sizeof(length))
		return;
	use.values[1] = read_binary(type, value->bytes + sizeof(length) + length,
								value->size - sizeof(length) - length);
	check_round_trips(type, use.values[1]);
	use.values[0] = read_binary(type_named("kseg_pass"),
								value->bytes + sizeof(length), length);
	run_uses(state_uses, &use);
}

/* ---- options ---- */

static void
make_features(KmFeature *features)
{
	static char *categories[] = {"blue", "green", "red"};
	static int64_t counts[] = {1, 2, 3};

	memset(features, 0, sizeof(KmFeature) * 3);
	features[0].name = "a";
	features[1].name = "b";
	features[2].name = "d";
	features[2].kind = KM_CATEGORY;
	features[2].ncategories = 3;
	features[2].categories = categories;
	features[2].counts = counts;
}

/* A pass for seeds, which no SQL makes: the survey of two numbers and a text. */
Datum
kseg_fuzz_survey(PG_FUNCTION_ARGS)
{
	KmFeature	features[3];
	KmModel		model = {.scale = KM_NONE, .nfeatures = 3, .width = 5};
	KmPass		pass = {.form = KM_FORM_SURVEY, .weight_argument = -1};

	make_features(features);
	for (int f = 0; f < 3; f++)
	{
		features[f].weight = features[f].factor = features[f].divisor = 1;
		features[f].clip_low = -get_float8_infinity();
		features[f].clip_high = get_float8_infinity();
	}
	model.features = features;
	pass.model = &model;
	pass.encoding = GetDatabaseEncoding();
	PG_RETURN_POINTER(kseg_pass_make(&pass));
}

static void
try_options(const void *arg)
{
	const Value *value = arg;
	KsegOptions *options;
	KsegOptions *again;
	KmFeature	features[3];
	int			k = 0;
	char	   *printed;

	options = kseg_options_parse(kseg_json_parse(value->bytes), 0, false);
	MUST(options->k >= 0 && options->k <= KM_MAX_K);
	/* what a model keeps of them: options, with fewer keys */
	no_error_now = true;
	printed = kseg_options_print(options);
	again = kseg_options_parse(kseg_json_parse(printed), 0, false);
	MUST(strcmp(kseg_options_print(again), printed) == 0);
	no_error_now = false;
	make_features(features);
	kseg_options_bind(options, features, 3);
	MUST(options->core.order_by >= -1 && options->core.order_by < 3);
	for (int f = 0; f < 3; f++)
		MUST(features[f].weight > 0);
	(void) kseg_options_init(options, features, 3, &k);
	(void) kseg_options_previous(options, features, 3);
}

static void
try_refit_when(const void *arg)
{
	const Value *value = arg;
	KsegRefitWhen when = kseg_refit_when_parse(kseg_json_parse(value->bytes));
	KsegRefitWhen again;

	no_error_now = true;
	again = kseg_refit_when_parse(kseg_refit_when_print(&when));
	/* an interval is of whole microseconds */
	MUST(again.psi == when.psi && again.share_psi == when.share_psi &&
		 again.inertia == when.inertia &&
		 (again.age == when.age || fabs(again.age - when.age) <=
		  1e-6 + 1e-12 * when.age));
	no_error_now = false;
}

static void
try_hold_when(const void *arg)
{
	const Value *value = arg;
	KsegHoldWhen when = kseg_hold_when_parse(kseg_json_parse(value->bytes));
	KsegHoldWhen again;

	no_error_now = true;
	again = kseg_hold_when_parse(kseg_hold_when_print(&when));
	MUST(memcmp(&again, &when, sizeof(when)) == 0);
	no_error_now = false;
}

/* ---- inputs ---- */

static const struct
{
	char		letter;
	const char *type;
	bool		is_binary;
	void		(*work) (const void *arg);
}			kinds[] =
{
	{'m', "kseg_model", false, try_value},
	{'s', "kseg_scaler", false, try_value},
	{'M', "kseg_model", true, try_value},
	{'S', "kseg_scaler", true, try_value},
	{'P', "kseg_pass", true, try_value},
	{'T', "kseg_state", true, try_state},
	{'o', NULL, false, try_options},
	{'r', NULL, false, try_refit_when},
	{'h', NULL, false, try_hold_when}
};

static MemoryContext fuzz_context;

static int
try_input(const uint8_t *bytes, size_t size)
{
	MemoryContext caller = MemoryContextSwitchTo(fuzz_context);

	for (int i = 0; i < (int) lengthof(kinds) && size > 0; i++)
	{
		Value		value = {.type = kinds[i].type};
		char	   *copy;

		if (kinds[i].letter != (char) bytes[0])
			continue;
		copy = palloc(size);
		memcpy(copy, bytes + 1, size - 1);
		copy[size - 1] = '\0';
		value.bytes = copy;
		value.size = size - 1;
		value.is_binary = kinds[i].is_binary;
		/* text reaches a type in the database's encoding, without NUL */
		if (value.is_binary ||
			(strlen(copy) == value.size &&
			 pg_verifymbstr(copy, (int) value.size, true)))
			(void) try_it(kinds[i].work, &value);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(fuzz_context);
	return 0;
}

Datum
kseg_fuzz(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *elements;
	int			argc;
	char	  **argv;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  NULL, &argc);
	argv = palloc(sizeof(char *) * (argc + 2));
	argv[0] = "kseg_fuzz";
	for (int i = 0; i < argc; i++)
		argv[i + 1] = TextDatumGetCString(elements[i]);
	argc++;
	argv[argc] = NULL;
	fuzz_context = AllocSetContextCreate(CurrentMemoryContext, "kseg fuzz",
										 ALLOCSET_DEFAULT_SIZES);
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, try_input));
}
