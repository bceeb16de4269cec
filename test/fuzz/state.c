/*
 * state.c
 *		A fit of rows that are on other machines which do not tell the truth.
 *
 * The input names a data set and what happens to the states on their way: at
 * which state, where in it, what is written there.  Whatever they say, the fit
 * and all that is asked of it comes to an end; and a model that comes out is
 * one that can be stored and read.
 */
#define FUZZ_ANY_CASTS
#include "passes.h"

#define ROWS		40
#define MAX_EDITS	16

typedef struct Edit
{
	unsigned	run;			/* number of the state */
	unsigned	at;				/* of its bytes, modulo their number */
	unsigned	kind;
	unsigned	with;
} Edit;

typedef struct Liar
{
	Edit		edits[MAX_EDITS];
	int			nedits;
	unsigned	run;
} Liar;

static void
edit_bytes(const Edit *edit, unsigned char *bytes, size_t *size)
{
	size_t		at = edit->at % *size;
	size_t		word = at / 8 * 8;
	double		number = hard_values[edit->with % HARD_VALUES];
	int64_t		whole = (int64_t) edit->with - 128;

	switch (edit->kind % 8)
	{
		case 0:
			bytes[at] = (unsigned char) edit->with;
			break;
		case 1:
			bytes[at] ^= (unsigned char) (1 << edit->with % 8);
			break;
		case 2:
		case 3:
			if (word + 8 <= *size)
				memcpy(bytes + word, &number, 8);
			break;
		case 4:
			if (word + 8 <= *size)
				memcpy(bytes + word, &whole, 8);
			break;
		case 5:
			/* as large as can be */
			if (word + 8 <= *size)
				memset(bytes + word, 0x7f, 8);
			break;
		case 6:
			*size = at > 0 ? at : 1;
			break;
		default:
			/* MAX_EDITS of these are within STATE_ROOM */
			*size += edit->with % 64;
			break;
	}
}

static void
lie(void *arg, Sent *sent)
{
	Liar	   *liar = arg;

	for (int i = 0; i < liar->nedits; i++)
	{
		if (liar->edits[i].run == liar->run)
			edit_bytes(&liar->edits[i], sent->state, &sent->state_size);
	}
	liar->run++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	Input		input = {bytes, size};
	TestHost	host;
	Data		data;
	KmOptions	options;
	Elsewhere	elsewhere;
	Fitted		fitted;
	Liar		liar = {0};
	int			v = take_below(&input, VARIANTS);
	int			k = 1 + take_below(&input, 4);
	double		starts[4 * 16];
	bool		has_starts = (variants[v].flags & EMPTY) != 0;

	while (input.left > 0 && liar.nedits < MAX_EDITS)
	{
		Edit	   *edit = &liar.edits[liar.nedits++];

		edit->run = take_byte(&input);
		edit->at = take_byte(&input);
		edit->at |= take_byte(&input) << 8;
		edit->kind = take_byte(&input);
		edit->with = take_byte(&input);
	}
	/* the last ones are far from every row */
	for (int i = 0; i < 4 * 16; i++)
		starts[i] = i < 16 ? i % 3 : 1000 + i;
	fuzz_host_init(&host);
	make_variant(v, ROWS, &data, &options);
	options.n_init = 1;
	options.max_iter = 8;
	elsewhere_init(&elsewhere, &host, &data, &options, 2);
	elsewhere.pass_by = lie;
	elsewhere.arg = &liar;
	if (fit_elsewhere(&elsewhere, k, has_starts ? starts : NULL,
					  &fitted) == KM_OK)
	{
		fitted.model.options = "{}";
		free(fitted.bytes);
		fitted.size = km_model_size(&fitted.model);
		fitted.bytes = malloc(fitted.size);
		km_model_write(&fitted.model, fitted.bytes);
		MUST(km_model_check(fitted.bytes, fitted.size, false) == KM_OK);
		elsewhere_evaluate(&elsewhere, &fitted);
	}
	fitted_free(&fitted);
	data_free(&data);
	free(elsewhere.result);
	MUST(host.outstanding == 0);
	return 0;
}
