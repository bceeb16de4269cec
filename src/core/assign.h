/*
 * assign.h
 *		What Lloyd's iteration sees of its passes.
 */
#ifndef KM_ASSIGN_H
#define KM_ASSIGN_H

#include "pass.h"

/* ---- sums (assign.c) ---- */

extern KmStatus km_sums_create(const KmHost *host, int k, int width,
							   KmSums *sums);
extern void km_sums_free(const KmHost *host, KmSums *sums);
extern void km_sums_clear(KmSums *sums, int k, int width);
/* true: that changed something */
extern bool km_sums_add(KmSums *into, const KmSums *from, int k, int width);
extern bool km_sums_differ(const KmSums *a, const KmSums *b, int k,
						   int width);

/* ---- passes ---- */

/* KM_STEP_ASSIGN, kept open between passes */
typedef struct KmAssigning KmAssigning;

extern KmStatus km_assigning_create(KmLloyd *lloyd);
extern void km_assigning_free(KmLloyd *lloyd);
/*
 * One pass with lloyd's centers and drifts.  *rows: what it changes in the
 * sums of lloyd->rows; with nothing kept beside rows, the sums themselves.
 */
extern KmStatus km_assigning_run(KmLloyd *lloyd, bool bounded,
								 const KmSums **rows, int64_t *moved);
/* segment c is number order[c] from now on, beside the rows */
extern KmStatus km_renumber_rows(KmLloyd *lloyd, const int *order);

/*
 * KM_STEP_FARTHEST (farthest.c): the row farthest from the nearest of k
 * centers, as a center.  found: not all rows are at a center.
 */
extern KmStatus km_farthest_row(KmSource *source, const KmSpace *space,
								KmPoll *poll, KmSimd simd,
								const double *centers, int k, double *center,
								bool *found);

#endif							/* KM_ASSIGN_H */
