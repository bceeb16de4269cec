/*
 * label.h
 *		What the parts of labels share: label.c says what a segment is like,
 *		label_text.c puts it into words, label_apart.c tells segments apart
 *		that would read the same.
 */
#ifndef KSEG_LABEL_H
#define KSEG_LABEL_H

#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "kseg.h"

/* A mean nearer than this, in standard deviations, is "about average". */
#define LABEL_NOTABLE		0.5
#define LABEL_STRIKING		1.0 /* a third feature has to be */
#define LABEL_EXTREME		2.0 /* "very" */

/* A category's value must be this frequent, in the segment or in all rows. */
#define LABEL_FREQUENT		0.25

#define LABEL_FIRST_TRAITS	3
#define LABEL_ROUNDS		5	/* of telling labels apart */
#define LABEL_TRAITS		(LABEL_FIRST_TRAITS + LABEL_ROUNDS)

/*
 * How exactly a value is shown: 0 and 1 show differences that mean
 * something, down to a hundredth of a standard deviation at least; the last
 * is the double itself.
 */
#define LABEL_NO_VALUE		(-1)
#define LABEL_VISIBLE		1
#define LABEL_EXACT		7

/* A number feature, or one value of a category. */
typedef struct KsegDimension
{
	int			feature;
	int			category;		/* -1: none */
	double		mean;			/* over all rows */
	double		sd;
	double		spread;			/* what differences are measured in */
	int			decimals;		/* of a number at level 0; may be negative */
} KsegDimension;

typedef struct KsegTrait
{
	int			dimension;
	bool		has_word;
	double		z;				/* when it has a word: which one it is */
	int			level;			/* of the value shown, or LABEL_NO_VALUE */
} KsegTrait;

typedef struct KsegLabel
{
	int			segment;
	int			ntraits;
	KsegTrait	traits[LABEL_TRAITS];
	char	   *text;
} KsegLabel;

typedef struct KsegLabels
{
	/* set once */
	const KmModel *model;
	KsegDimension *dimensions;		/* model->width of them */
	int		   *first;			/* of each feature, and the end */
	char	  **names;			/* of features, made readable */

	/* changes while running */
	KsegLabel  *labels;			/* of each segment */
	double		work;			/* since interrupts were looked at */
} KsegLabels;

/* A model of a gigabyte has 10^8 cells. */
static inline void
kseg_label_work(KsegLabels *all, double cells)
{
	all->work += cells;
	if (all->work >= 100000)
	{
		all->work = 0;
		CHECK_FOR_INTERRUPTS();
	}
}

static inline double
kseg_label_mean(const KsegLabels *all, int segment, int d)
{
	return km_model_value_at(all->model, segment, all->dimensions[d].feature,
							 d);
}

static inline double
kseg_label_z(const KsegLabels *all, int segment, int d)
{
	const KsegDimension *dimension = &all->dimensions[d];
	double		z;

	if (!(dimension->sd > 0))
		return 0;
	z = (kseg_label_mean(all, segment, d) - dimension->mean) / dimension->sd;
	return isnan(z) ? 0 : z;
}

static inline KmKind
kseg_label_kind(const KsegLabels *all, int d)
{
	return all->model->features[all->dimensions[d].feature].kind;
}

/* Is the value a share of rows, shown in percent? */
static inline bool
kseg_label_is_share(const KsegLabels *all, int d)
{
	KmKind		kind = kseg_label_kind(all, d);

	return kind == KM_BOOLEAN || kind == KM_CATEGORY;
}

/* ---- label.c ---- */

/*
 * What a segment is like in a feature; false: there is nothing to be said.
 */
extern bool kseg_label_trait(const KsegLabels *all, int segment, int f,
							 KsegTrait *trait);

/* ---- label_text.c ---- */

/* A name on one line and not too long, palloc'd. */
extern char *kseg_label_name(const char *name);
/* As many decimals as a tenth of the standard deviation has. */
extern int	kseg_label_decimals(double sd);
extern void kseg_label_append_value(StringInfo text, const KsegLabels *all,
									int d, double value, int level);
extern void kseg_label_append_trait(StringInfo text, const KsegLabels *all,
									int segment, const KsegTrait *trait);
/* Make a label's text anew. */
extern void kseg_label_write(const KsegLabels *all, KsegLabel *label);

/* ---- label_apart.c ---- */

/* Make all labels differ whose segments do. */
extern void kseg_label_tell_apart(KsegLabels *all);

#endif							/* KSEG_LABEL_H */
