/*
 * passes.h
 *		Small fits of rows that are elsewhere, and all that is asked of them.
 */
#ifndef PASSES_H
#define PASSES_H

#include "fuzz.h"
#include "../unit/elsewhere.h"
#include "../unit/variants.h"

/* ---- data sets ---- */

static const Variant variants[] = {
	{"zscore", KM_ZSCORE, 0, 0, 20000},
	{"minmax, small sample", KM_MINMAX, 0, 0, 20},
	{"maxabs, weights", KM_MAXABS, WEIGHTED, 0, 20000},
	{"none, nulls", KM_NONE, NULLS, 1, 20},
	{"robust, clip, weights", KM_ROBUST, CLIP | WEIGHTED, 1, 20000},
	{"nulls, weights, empty", KM_ZSCORE, NULLS | WEIGHTED | EMPTY, 2, 20000},
	{"cosine", KM_ZSCORE, COSINE, 0, 20000},
	{"cosine of all", KM_ROBUST, COSINE | NULLS | WEIGHTED | CLIP, 0, 20}
};

#define VARIANTS	((int) (sizeof(variants) / sizeof(*variants)))

MAYBE_UNUSED static void
make_variant(int v, int nrows, Data *data, KmOptions *options)
{
	uint64_t	state = 900 + v;
	int			flags = variants[v].flags;

	variant_options(&variants[v], options);
	options->seed = v;
	data_mixed(data, &state, nrows, 3, 0.3, variants[v].categories,
			   flags & WEIGHTED ? 9 : 0);
	for (int i = 0; i < nrows * 4 && (flags & NULLS); i += 7)
		data->values[i] = NAN;
}

/* ---- what is asked of them ---- */

/* The rest of what a fit tells, and an evaluation by its model. */
MAYBE_UNUSED static void
elsewhere_evaluate(Elsewhere *elsewhere, Fitted *fitted)
{
	const KmHost *host = &elsewhere->host->host;
	KmBins		bins[DATA_FEATURES];
	KmEvidence *evidence;
	KmPlaced   *placed;
	KmQuality	overall;
	KmQuality	segments[DATA_FEATURES];
	int64_t		sampled;
	double		db;
	double		ch;

	if (fitted->status != KM_OK)
		return;
	(void) km_fit_quality(fitted->fit, fitted->solution, &db, &ch);
	(void) km_fit_bins(fitted->fit, bins);
	if (km_evidence_create(fitted->fit, &fitted->solution, 1,
						   &evidence) == KM_OK)
	{
		(void) km_evidence_silhouettes(evidence, &db);
		km_evidence_free(evidence);
	}
	elsewhere->placing_model = &fitted->model;
	if (km_placed_create_remote(host, &fitted->model, &elsewhere->remote,
								elsewhere->data->nrows, KM_SIMD_AUTO,
								&placed) == KM_OK)
	{
		(void) km_placed_quality(placed, &overall, segments, &sampled);
		km_placed_free(placed);
	}
	elsewhere->placing_model = NULL;
}

#endif							/* PASSES_H */
