/*
 * fit.h
 *		What the files of a fit share: fit.c runs it, distances.c and
 *		quality.c measure it, describe.c makes a model of it.
 */
#ifndef KM_FIT_H
#define KM_FIT_H

#include "steps.h"

/* A solution, and what only the fit knows of it. */
typedef struct Node
{
	KmSolution	solution;		/* first: the caller sees this */
	SegmentSums *sums;			/* k of them */
	bool		in_order;		/* sums are numbered as the centers are */
	struct Node *next;
} Node;

struct KmFit
{
	const KmHost *host;
	KmRows	   *rows;
	KmTable    *table;
	KmSource	source;			/* the same */
	KmOptions	options;
	KmFeature  *features;
	KmSpace		space;
	KmPoll		poll;
	KmRounding	rounding;		/* of row weights */
	void	   *placing;		/* how, while rows need to be placed */
	KmSample	sample;
	double		spread;			/* what the sample was drawn with */
	double		bound;			/* no squared distance is above it */
	double		squares;		/* weighted sum of squared positions */
	double		weight_unit;	/* what an integer weight of 1 is worth */
	double		total;			/* inertia of one segment; < 0: not known */
	KmLloyd		lloyd;			/* on all rows */
	int			lloyd_k;		/* that it has room for; 0: none */
	const KmSolution *in_lloyd; /* whose rows and centers it holds */
	Node	   *nodes;			/* all solutions, newest first */
	KmSample	large;			/* to pick rows from, where "sample" is too
								 * small for that, and somebody asked */
	bool		is_drawn;
	KmDraw		draw;			/* KM_SILHOUETTE_ROWS of the rows, once
								 * somebody asked for them */
};

static inline Node *
km_solution_node(const KmSolution *solution)
{
	return (Node *) solution;
}

struct KmEvidence
{
	KmFit	   *fit;
	KmSolution *const *solutions;
	int			n;
	const KmDraw *draw;			/* the fit's */
};

/* ---- fit.c ---- */

/* what runs need besides scaled rows and their bounds */
extern KmStatus km_fit_prepare(KmFit *fit);

/* KM_SILHOUETTE_ROWS of the rows, drawn once; the draw is the fit's */
extern KmStatus km_fit_draw(KmFit *fit, const KmDraw **draw);

/* want (at most KM_SILHOUETTE_ROWS) rows, or all */
extern KmStatus km_fit_pick(KmFit *fit, int64_t want, KmPicked *picked);

/* make fit->lloyd hold the solution */
extern KmStatus km_load_solution(KmFit *fit, const KmSolution *solution);

/* ---- distances.c ---- */

/* passes over the fit's rows */
extern KmRun km_fit_rows_run(KmFit *fit);
/* over all rows, with what is in fit->lloyd */
extern KmStatus km_sum_distances(KmFit *fit, SegmentSums *sums);
/* of k segments, in the user's unit of weight */
extern double km_total_inertia(const KmFit *fit, const SegmentSums *sums,
							   int k);

/* ---- evidence.c ---- */

/* segment of each distinct row drawn */
extern KmStatus km_evidence_labels(const KmEvidence *evidence,
								   const double *centers, int k,
								   uint16_t *labels);

#endif							/* KM_FIT_H */
