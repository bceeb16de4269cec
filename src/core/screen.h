/*
 * screen.h
 *		Nearest centers in single precision, with what that can be trusted for.
 *
 * Nothing is decided here: a row whose two nearest centers are closer to each
 * other than the error of single precision is told as unsure, and whoever
 * asks must take the kernel's word (docs/internals.md, "Screening").
 */
#ifndef KM_SCREEN_H
#define KM_SCREEN_H

#include "km_internal.h"

#define KM_SCREEN_ROWS	64

/* centers that are worked on together */
#define KM_SCREEN_TOGETHER	4

/* Centers as the screen wants them, and what it can be trusted for. */
typedef struct KmScreen
{
	/* set once */
	int			nnum;
	int			ncat;
	double		scale;			/* a power of two: positions times it are
								 * below 1 in size */
	/* of the centers */
	int			k;
	int			padded;			/* k rounded up; what is added is far away */
	bool		usable;			/* else centers are beyond single precision */
	float		error;			/* a score less the nearest center's is off by
								 * this, */
	float		square_share;	/* by as much of the row's squared length, */
	float		score_share;	/* and by as much of the nearest's score */
	float		share;			/* what these come from */
	float	   *values;			/* -positions: padded / 4 x nnum x 4 */
	float	   *half;			/* padded: half the squared length */
	float	  **tables;			/* ncat of them: ncategories x padded: halves
								 * of KmPacked's */
	/* scratch: the rows at work, slot by slot */
	float	   *x;				/* nnum x KM_SCREEN_ROWS */
	int32_t    *codes;			/* ncat x KM_SCREEN_ROWS */
	void	   *memory;
} KmScreen;

/*
 * What was found of KM_SCREEN_ROWS rows.  A score is half of the squared
 * distance less half of the row's squared length, in units of scale, and less
 * what it may be too large by.
 */
typedef struct KmScreened
{
	float		best[KM_SCREEN_ROWS];	/* scores of the three nearest */
	float		next[KM_SCREEN_ROWS];
	float		third[KM_SCREEN_ROWS];	/* only km_screen_three's */
	float		square[KM_SCREEN_ROWS]; /* the row's squared length */
	int32_t		id[KM_SCREEN_ROWS];
	int32_t		second[KM_SCREEN_ROWS]; /* only km_screen_three's */
	uint64_t	unsure;			/* a bit a row */
	uint64_t	other;			/* id is not the segment it had */
} KmScreened;

/*
 * A span of rows with bounds: their two nearest centers, and by how much more
 * than these, and than the row's own and the fastest other, centers would have
 * to have moved.
 */
#define KM_LEAD_ROWS	32
#define KM_LOOK_UP		64
#define KM_LEAD_MIN		1e-30f	/* less is none */

typedef struct KmLeads
{
	const uint16_t *own;
	const uint16_t *second;
	const float *to_second;
	const float *to_others;
} KmLeads;

/* The code for a vector unit. */
typedef struct KmScreening
{
	/* tiles -> screen->x and ->codes; what is beyond ntiles stays */
	void		(*load) (KmScreen *screen, const double *tiles, int ntiles,
						 int nslots);
	/* screen->x -> nearest two, or three; own: segments they had */
	void		(*two) (const KmScreen *screen, const uint16_t *own,
						KmScreened *screened);
	void		(*three) (const KmScreen *screen, const uint16_t *own,
						  KmScreened *screened);
	/*
	 * After "three": how much farther, at the least, the second is than the
	 * nearest, and all others, in units of scale, less "margin".
	 */
	void		(*gaps) (const KmScreen *screen, const KmScreened *screened,
						 float margin, float *to_second, float *to_others);

	/*
	 * Rows of a span, a bit each, that have no lead left when centers have
	 * moved by way, and with the fastest other by drift (nways of each,
	 * with room for KM_LOOK_UP more); what the others have left
	 * at the least.
	 */
	uint32_t	(*doubt) (const KmLeads *leads, const float *way,
						  const float *drift, int nways, float *least);

	/*
	 * nrows rows of a tile, in units of the grid, are added to the sums of
	 * their segments: km_sums_stride() for each, nnum of which are sums, and
	 * the next is the number of rows.
	 */
	void		(*add) (const double *tile, const double *scale, int nnum,
						int nrows, const int32_t *id, int64_t *sums);
} KmScreening;

extern const KmScreening *km_screening(KmSimd simd);

/* whole cache lines */
static inline size_t
km_sums_stride(int nnum)
{
	return ((size_t) nnum + KM_LANES) / KM_LANES * KM_LANES;
}

extern KmStatus km_screen_create(const KmSpace *space, int max_k,
								 KmScreen *screen);
extern void km_screen_free(const KmSpace *space, KmScreen *screen);
/* the centers of packed, which km_packed_set() has set */
extern void km_screen_set(const KmSpace *space, const KmPacked *packed,
						  KmScreen *screen);

/*
 * Rows in single precision, row by row: those given (at most
 * KM_SCREEN_ROWS) -> screen->x, and the first n of screen->x -> rows.
 */
extern void km_screen_gather(KmScreen *screen, const float *single,
							 const int32_t *rows, int n);
extern void km_screen_spread(const KmScreen *screen, float *single, int n);

#endif							/* KM_SCREEN_H */
