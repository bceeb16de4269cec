/*
 * label.c
 *		Words for the segments of a model: "high spending_score, low age".
 *
 * A label is a list of traits.  At first these are the one or two features in
 * which the segment's mean is farthest from the mean of all rows, if that is
 * far at all, and a third one if that is very far.  Segments whose labels then read the same get a further trait,
 * the one that tells them apart best, until all labels differ.  Labels are a
 * function of the model alone: the same in every function that shows them.
 *
 * Words come from coarse steps of z, so that a refit on slightly other data
 * keeps them; numbers appear only where words cannot tell segments apart.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "label.h"

/* ---- what a segment is like ---- */

/*
 * What a segment is like in a feature.  Of a category's values the one that
 * is farthest from its share in all rows; a value that is more frequent than
 * elsewhere says more than one that is not.  Values that are rare in the
 * segment and in all rows can have any z, and say nothing.  False: nothing.
 */
bool
kseg_label_trait(const KsegLabels *all, int segment, int f, KsegTrait *trait)
{
	double		best = 0;

	trait->has_word = true;
	trait->level = LABEL_NO_VALUE;
	trait->dimension = all->first[f];
	trait->z = 0;
	if (all->model->features[f].kind != KM_CATEGORY)
	{
		trait->z = kseg_label_z(all, segment, trait->dimension);
		return true;
	}
	for (int d = all->first[f]; d < all->first[f + 1]; d++)
	{
		double		z = kseg_label_z(all, segment, d);
		double		share = z > 0 ? kseg_label_mean(all, segment, d) :
			all->dimensions[d].mean;
		double		strength = z > 0 ? z : -0.9 * z;

		if (share >= LABEL_FREQUENT && strength > best)
		{
			best = strength;
			trait->dimension = d;
			trait->z = z;
		}
	}
	return best > 0;
}

/* Very large ones come first, then features in their order. */
static bool
reads_before(const KsegTrait *a, const KsegTrait *b)
{
	bool		a_extreme = fabs(a->z) >= LABEL_EXTREME;
	bool		b_extreme = fabs(b->z) >= LABEL_EXTREME;

	if (a_extreme != b_extreme)
		return a_extreme;
	return a->dimension < b->dimension;
}

static void
order_traits(KsegLabel *label)
{
	KsegTrait  *traits = label->traits;

	for (int i = 1; i < label->ntraits; i++)
	{
		KsegTrait	trait = traits[i];
		int			at = i;

		for (; at > 0 && reads_before(&trait, &traits[at - 1]); at--)
			traits[at] = traits[at - 1];
		traits[at] = trait;
	}
}

static void
describe_segment(KsegLabels *all, KsegLabel *label)
{
	KsegTrait  *traits = label->traits;

	for (int f = 0; f < all->model->nfeatures; f++)
	{
		KsegTrait	trait;
		int			at = label->ntraits;

		if (!kseg_label_trait(all, label->segment, f, &trait) ||
			fabs(trait.z) < LABEL_NOTABLE)
			continue;
		while (at > 0 && fabs(traits[at - 1].z) < fabs(trait.z))
			at--;
		if (at >= LABEL_FIRST_TRAITS)
			continue;
		if (label->ntraits < LABEL_FIRST_TRAITS)
			label->ntraits++;
		memmove(traits + at + 1, traits + at,
				sizeof(KsegTrait) * (label->ntraits - at - 1));
		traits[at] = trait;
	}
	if (label->ntraits == LABEL_FIRST_TRAITS &&
		fabs(traits[label->ntraits - 1].z) < LABEL_STRIKING)
		label->ntraits--;
	order_traits(label);
	kseg_label_work(all, all->model->width);
}

/* ---- all of it ---- */

static void
describe_dimensions(KsegLabels *all)
{
	const KmModel *model = all->model;
	int			d = 0;

	all->dimensions = palloc(sizeof(KsegDimension) * model->width);
	all->first = palloc(sizeof(int) * (model->nfeatures + 1));
	all->names = palloc(sizeof(char *) * model->nfeatures);
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		bool		is_category = feature->kind == KM_CATEGORY;

		all->first[f] = d;
		all->names[f] = kseg_label_name(feature->name);
		for (int v = 0; v < (is_category ? feature->ncategories : 1); v++, d++)
		{
			KsegDimension *dimension = &all->dimensions[d];

			dimension->feature = f;
			dimension->category = is_category ? v : -1;
			km_model_overall(model, f, v, d, &dimension->mean,
							 &dimension->sd);
			kseg_label_work(all, model->k);

			/* a rare value's z is large where nobody would look */
			dimension->spread = kseg_label_is_share(all, d) ? 0.5 :
				dimension->sd > 0 ? dimension->sd : 1;
			dimension->decimals = kseg_label_decimals(dimension->sd);
		}
	}
	all->first[model->nfeatures] = d;
}

char **
kseg_labels(const KmModel *model)
{
	char	  **texts = palloc(sizeof(char *) * model->k);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kseg labels",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	KsegLabels	all = {0};

	all.model = model;
	describe_dimensions(&all);
	all.labels = palloc0(sizeof(KsegLabel) * model->k);
	for (int i = 0; i < model->k; i++)
	{
		all.labels[i].segment = i;
		describe_segment(&all, &all.labels[i]);
		kseg_label_write(&all, &all.labels[i]);
	}
	kseg_label_tell_apart(&all);

	MemoryContextSwitchTo(caller);
	for (int i = 0; i < model->k; i++)
		texts[i] = pstrdup(all.labels[i].text);
	MemoryContextDelete(context);
	return texts;
}
