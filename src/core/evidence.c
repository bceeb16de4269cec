/*
 * evidence.c
 *		What a sample of the rows says of several solutions of one fit.
 *
 * The sample is drawn once, by the rows' contents: silhouettes take each of
 * its distances once for all solutions, and stability refits parts of it.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* segments whose silhouettes are computed together; bounds the labels */
#define SEGMENTS_TOGETHER	4096

KmStatus
km_evidence_create(KmFit *fit, KmSolution *const *solutions, int n,
				   KmEvidence **result)
{
	KmEvidence *evidence = km_alloc_zero(fit->host, 1, sizeof(KmEvidence));
	KmStatus	status;

	if (evidence == NULL)
		return KM_NO_MEMORY;
	evidence->fit = fit;
	evidence->solutions = solutions;
	evidence->n = n;
	status = km_fit_draw(fit, &evidence->draw);
	if (status != KM_OK)
	{
		km_free(fit->host, evidence);
		return status;
	}
	*result = evidence;
	return KM_OK;
}

void
km_evidence_free(KmEvidence *evidence)
{
	if (evidence == NULL)
		return;
	km_free(evidence->fit->host, evidence);
}

int64_t
km_evidence_rows(const KmEvidence *evidence)
{
	return evidence->draw->total;
}

KmStatus
km_evidence_labels(const KmEvidence *evidence, const double *centers, int k,
				   uint16_t *labels)
{
	KmFit	   *fit = evidence->fit;

	return km_draw_assign(evidence->draw, &fit->space, &fit->poll,
						  fit->options.simd, centers, k, labels);
}

/* Silhouettes of a few of the solutions, whose labels fit into memory. */
static KmStatus
measure_together(const KmEvidence *evidence, int first, int n, int *k,
				 uint16_t **labels, double *silhouettes)
{
	KmFit	   *fit = evidence->fit;
	size_t		rows = (size_t) evidence->draw->table.nrows;

	for (int i = 0; i < n; i++)
	{
		const KmSolution *solution = evidence->solutions[first + i];

		k[i] = solution->k;
		labels[i] = km_alloc(fit->host, rows, sizeof(uint16_t));
		if (labels[i] == NULL)
			return KM_NO_MEMORY;
		KM_TRY(km_evidence_labels(evidence, solution->centers, k[i],
								  labels[i]));
	}
	return km_silhouettes(evidence->draw, &fit->space, &fit->poll,
						  fit->options.simd, n, k,
						  (const uint16_t *const *) labels,
						  silhouettes + first, NULL);
}

KmStatus
km_evidence_silhouettes(const KmEvidence *evidence, double *silhouettes)
{
	const KmHost *host = evidence->fit->host;
	KmStatus	status = KM_OK;

	for (int first = 0, n; first < evidence->n && status == KM_OK; first += n)
	{
		int			total = 0;
		int		   *k;
		uint16_t  **labels;

		for (n = 0; first + n < evidence->n; n++)
		{
			total += evidence->solutions[first + n]->k;
			if (n > 0 && total > SEGMENTS_TOGETHER)
				break;
		}
		k = km_alloc(host, n, sizeof(int));
		labels = km_alloc_zero(host, n, sizeof(uint16_t *));
		status = k == NULL || labels == NULL ? KM_NO_MEMORY :
			measure_together(evidence, first, n, k, labels, silhouettes);
		for (int i = 0; labels != NULL && i < n; i++)
			km_free(host, labels[i]);
		km_free(host, labels);
		km_free(host, k);
	}
	return status;
}
