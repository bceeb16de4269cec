/*
 * variants.h
 *		Kinds of fits, for tests and fuzzers that go through a list of them.
 */
#ifndef VARIANTS_H
#define VARIANTS_H

#include "data.h"

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	NULLS = 4,					/* filled */
	WEIGHTED = 8,
	EMPTY = 16,					/* a start that leaves segments empty */
	FAR = 32					/* of zero */
} Flags;

typedef struct Variant
{
	const char *name;
	KmScale		scale;
	int			flags;
	int			categories;
	int			sample;
} Variant;

MAYBE_UNUSED static void
variant_options(const Variant *variant, KmOptions *options)
{
	km_options_default(options);
	options->scale = variant->scale;
	options->distance = variant->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (variant->flags & CLIP) != 0;
	options->clip_low = 0.05;
	options->clip_high = 0.9;
	options->fill_nulls = (variant->flags & NULLS) != 0;
	options->sample = variant->sample;
}

#endif							/* VARIANTS_H */
