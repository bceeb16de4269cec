/*
 * label_apart.c
 *		Telling segments apart whose labels would read the same.
 *
 * A group of such segments gets a further trait: the feature that separates
 * them best, with words if there are different ones, otherwise with its
 * value.  What still reads the same goes into the next round.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "utils/hsearch.h"

#include "label.h"

/* Words tell segments apart only if they are this far from each other. */
#define WORD_GAP		0.5

/* of so many features the separation is measured in full */
#define CANDIDATES		16

/* ---- what separates a group ---- */

/* How well a dimension separates the segments of a group. */
typedef struct Separation
{
	int			dimension;
	double		range;
	int			visible;		/* different texts at LABEL_VISIBLE */
	int			exact;			/* different values */
	double		gap;			/* least difference of two that follow */
} Separation;

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Values of a group's segments in a dimension, rising. */
static void
sort_values(KsegLabels *all, KsegLabel *const *group, int n, int d,
			double *values)
{
	for (int i = 0; i < n; i++)
		values[i] = kseg_label_mean(all, group[i]->segment, d);
	qsort(values, n, sizeof(double), compare_doubles);
	kseg_label_work(all, 20.0 * n);
}

/* Different texts that sorted values have at a level. */
static int
count_texts(KsegLabels *all, int d, const double *values, int n, int level)
{
	StringInfoData texts[2];
	int			count = 1;

	initStringInfo(&texts[0]);
	initStringInfo(&texts[1]);
	kseg_label_append_value(&texts[0], all, d, values[0], level);
	for (int i = 1; i < n; i++)
	{
		StringInfo	here = &texts[i % 2];

		if (values[i] == values[i - 1])
		{
			resetStringInfo(here);
			appendStringInfoString(here, texts[1 - i % 2].data);
			continue;
		}
		resetStringInfo(here);
		kseg_label_append_value(here, all, d, values[i], level);
		count += strcmp(texts[0].data, texts[1].data) != 0;
	}
	kseg_label_work(all, 50.0 * n);
	pfree(texts[0].data);
	pfree(texts[1].data);
	return count;
}

/* The dimensions with the widest range in the group. */
static int
find_candidates(KsegLabels *all, KsegLabel *const *group, int n,
				Separation *candidates)
{
	int			ncandidates = 0;

	for (int d = 0; d < all->model->width; d++)
	{
		double		low = INFINITY;
		double		high = -INFINITY;
		double		range;
		int			at = ncandidates;

		for (int i = 0; i < n; i++)
		{
			double		value = kseg_label_mean(all, group[i]->segment, d);

			low = Min(low, value);
			high = Max(high, value);
		}
		kseg_label_work(all, n);
		range = (high - low) / all->dimensions[d].spread;
		if (!(range > 0))
			continue;
		while (at > 0 && candidates[at - 1].range < range)
			at--;
		if (at >= CANDIDATES)
			continue;
		if (ncandidates < CANDIDATES)
			ncandidates++;
		memmove(candidates + at + 1, candidates + at,
				sizeof(Separation) * (ncandidates - at - 1));
		candidates[at].dimension = d;
		candidates[at].range = range;
	}
	return ncandidates;
}

static void
measure_separation(KsegLabels *all, KsegLabel *const *group, int n,
				   Separation *separation, double *values)
{
	int			d = separation->dimension;
	double		gap = INFINITY;

	sort_values(all, group, n, d, values);
	separation->visible = count_texts(all, d, values, n, LABEL_VISIBLE);
	separation->exact = 1;
	for (int i = 1; i < n; i++)
	{
		separation->exact += values[i] != values[i - 1];
		gap = Min(gap, values[i] - values[i - 1]);
	}
	separation->gap = gap / all->dimensions[d].spread;
}

/*
 * Most different values first; differences that can be seen matter before
 * those that cannot.  Then the clearest difference.
 */
static bool
separates_better(const Separation *a, const Separation *b)
{
	if (a->visible != b->visible)
		return a->visible > b->visible;
	if (a->visible == 1 && a->exact != b->exact)
		return a->exact > b->exact;
	if (a->gap != b->gap)
		return a->gap > b->gap;
	return a->range > b->range;
}

/* The lowest level at which the group's values differ as they should. */
static int
find_level(KsegLabels *all, const Separation *best, const double *values,
		   int n)
{
	int			level = 0;

	if (best->visible > 1)
		return count_texts(all, best->dimension, values, n, 0) <
			best->visible ? LABEL_VISIBLE : 0;
	while (level < LABEL_EXACT &&
		   count_texts(all, best->dimension, values, n, level) < best->exact)
		level++;
	return level;
}

static KsegTrait *
find_feature(const KsegLabels *all, KsegLabel *label, int f)
{
	for (int i = 0; i < label->ntraits; i++)
	{
		if (all->dimensions[label->traits[i].dimension].feature == f)
			return &label->traits[i];
	}
	return NULL;
}

/*
 * Add words for the feature, if those of any two segments of the group
 * differ.  There are few words: a large group cannot have one each.
 */
static bool
add_words(const KsegLabels *all, KsegLabel *const *group, int n, int f)
{
	KsegTrait	traits[8];
	char	   *texts[8];
	bool		differ = true;

	if (n > lengthof(traits))
		return false;
	for (int i = 0; i < n; i++)
	{
		StringInfoData text;

		if (find_feature(all, group[i], f) != NULL ||
			!kseg_label_trait(all, group[i]->segment, f, &traits[i]))
			return false;
		/* there is no word for a share that is as everywhere */
		if (kseg_label_is_share(all, traits[i].dimension) &&
			fabs(traits[i].z) < LABEL_NOTABLE)
			return false;
		initStringInfo(&text);
		kseg_label_append_trait(&text, all, group[i]->segment, &traits[i]);
		texts[i] = text.data;
		for (int j = 0; j < i; j++)
			differ &= strcmp(texts[i], texts[j]) != 0;
	}
	for (int i = 0; differ && i < n; i++)
		group[i]->traits[group[i]->ntraits++] = traits[i];
	return differ;
}

static void
add_values(KsegLabel *const *group, int n, int d, int level)
{
	for (int i = 0; i < n; i++)
	{
		KsegLabel  *label = group[i];
		int			t = 0;

		while (t < label->ntraits && label->traits[t].dimension != d)
			t++;
		if (t == label->ntraits)
		{
			label->ntraits++;
			label->traits[t].dimension = d;
			label->traits[t].has_word = false;
			label->traits[t].z = 0;
			label->traits[t].level = level;
		}
		else
			label->traits[t].level = Max(label->traits[t].level, level);
	}
}

/* Segments whose labels read the same; false: their profiles are the same. */
static bool
separate(KsegLabels *all, KsegLabel *const *group, int n)
{
	Separation	candidates[CANDIDATES];
	Separation *best = candidates;
	int			ncandidates = find_candidates(all, group, n, candidates);
	double	   *values;

	if (ncandidates == 0)
		return false;
	values = palloc(sizeof(double) * n);
	for (int i = 0; i < ncandidates; i++)
	{
		measure_separation(all, group, n, &candidates[i], values);
		if (separates_better(&candidates[i], best))
			best = &candidates[i];
	}
	if (best->gap < WORD_GAP ||
		!add_words(all, group, n, all->dimensions[best->dimension].feature))
	{
		sort_values(all, group, n, best->dimension, values);
		add_values(group, n, best->dimension,
				   find_level(all, best, values, n));
	}
	pfree(values);
	for (int i = 0; i < n; i++)
		kseg_label_write(all, group[i]);
	return true;
}

static int
compare_labels(const void *a, const void *b)
{
	const KsegLabel *x = *(KsegLabel *const *) a;
	const KsegLabel *y = *(KsegLabel *const *) b;
	int			order = strcmp(x->text, y->text);

	return order != 0 ? order : x->segment - y->segment;
}

/* One round over all groups of equal labels; true if any has changed. */
static bool
separate_all(KsegLabels *all, KsegLabel **sorted)
{
	int			k = all->model->k;
	bool		changed = false;
	int			end;

	qsort(sorted, k, sizeof(KsegLabel *), compare_labels);
	for (int start = 0; start < k; start = end)
	{
		for (end = start + 1; end < k; end++)
		{
			if (strcmp(sorted[start]->text, sorted[end]->text) != 0)
				break;
		}
		if (end - start > 1)
			changed |= separate(all, sorted + start, end - start);
	}
	return changed;
}

/* ---- what words and values could not tell apart ---- */

static bool
same_profile(KsegLabels *all, int a, int b)
{
	kseg_label_work(all, all->model->width);
	for (int d = 0; d < all->model->width; d++)
	{
		double		x = kseg_label_mean(all, a, d);
		double		y = kseg_label_mean(all, b, d);

		if (x != y && !(isnan(x) && isnan(y)))
			return false;
	}
	return true;
}

typedef struct TakenText
{
	const char *text;			/* key */
	int			segment;		/* the first with it */
	int			next;			/* number to try */
} TakenText;

static uint32
hash_text(const void *key, Size size)
{
	const char *text = *(const char *const *) key;

	return hash_bytes((const unsigned char *) text, (int) strlen(text));
}

static int
match_text(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * Number the labels that still read the same though the profiles differ: it
 * takes names that read like labels themselves, or more features than a label
 * can name.
 */
static void
number_labels(KsegLabels *all)
{
	HASHCTL		control = {0};
	HTAB	   *table;

	control.keysize = sizeof(char *);
	control.entrysize = sizeof(TakenText);
	control.hash = hash_text;
	control.match = match_text;
	control.hcxt = CurrentMemoryContext;
	table = hash_create("kseg labels", all->model->k, &control,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
						HASH_CONTEXT);
	for (int i = 0; i < all->model->k; i++)
	{
		KsegLabel  *label = &all->labels[i];
		TakenText  *first = NULL;
		char	   *text = label->text;

		for (;;)
		{
			bool		found;
			TakenText  *entry = hash_search(table, &text, HASH_ENTER, &found);

			if (!found)
			{
				entry->segment = i;
				entry->next = 2;
				break;
			}
			if (same_profile(all, i, entry->segment))
				break;
			if (first == NULL)
				first = entry;
			text = psprintf("%s (%d)", label->text, first->next++);
		}
		label->text = text;
	}
}

/* ---- all of it ---- */

void
kseg_label_tell_apart(KsegLabels *all)
{
	int			k = all->model->k;
	KsegLabel **sorted = palloc(sizeof(KsegLabel *) * k);

	for (int i = 0; i < k; i++)
		sorted[i] = &all->labels[i];
	for (int round = 0; round < LABEL_ROUNDS; round++)
	{
		if (!separate_all(all, sorted))
			break;
	}
	number_labels(all);
}
