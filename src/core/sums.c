/*
 * sums.c
 *		Exact sums of the rows of each segment.
 *
 * Positions are integers on the grid: adding and taking away commute, and
 * what others have summed is added like a row.
 */
#include <string.h>

#include "assign.h"

KmStatus
km_sums_create(const KmHost *host, int k, int width, KmSums *sums)
{
	sums->sums = km_alloc_zero(host, (size_t) k * width, sizeof(KmWide));
	sums->weight = km_alloc_zero(host, k, sizeof(KmWide));
	sums->size = km_alloc_zero(host, k, sizeof(int64_t));
	if (sums->sums != NULL && sums->weight != NULL && sums->size != NULL)
		return KM_OK;
	km_sums_free(host, sums);
	return KM_NO_MEMORY;
}

void
km_sums_free(const KmHost *host, KmSums *sums)
{
	km_free(host, sums->sums);
	km_free(host, sums->weight);
	km_free(host, sums->size);
	memset(sums, 0, sizeof(*sums));
}

void
km_sums_clear(KmSums *sums, int k, int width)
{
	memset(sums->sums, 0, sizeof(KmWide) * k * width);
	memset(sums->weight, 0, sizeof(KmWide) * k);
	memset(sums->size, 0, sizeof(int64_t) * k);
}

bool
km_sums_add(KmSums *into, const KmSums *from, int k, int width, KmPoll *poll)
{
	KmWide		any = 0;

	for (int c = 0; c < k; c++)
	{
		KmWide	   *to = into->sums + (size_t) c * width;
		const KmWide *more = from->sums + (size_t) c * width;

		for (int i = 0; i < width; i++)
		{
			any |= more[i];
			to[i] += more[i];
		}
		any |= from->weight[c] | from->size[c];
		into->weight[c] += from->weight[c];
		into->size[c] += from->size[c];
		km_poll_within(poll, 4.0 * width);
	}
	return any != 0;
}

bool
km_sums_differ(const KmSums *a, const KmSums *b, int k, int width)
{
	return memcmp(a->sums, b->sums, sizeof(KmWide) * k * width) != 0 ||
		memcmp(a->weight, b->weight, sizeof(KmWide) * k) != 0 ||
		memcmp(a->size, b->size, sizeof(int64_t) * k) != 0;
}

size_t
km_sums_size(int k, int width)
{
	return (size_t) k * ((size_t) width * sizeof(KmWide) + sizeof(KmWide) +
						 sizeof(int64_t));
}

void
km_sums_write(const KmSums *sums, int k, int width, unsigned char *bytes)
{
	size_t		cells = (size_t) k * width * sizeof(KmWide);

	memcpy(bytes, sums->sums, cells);
	memcpy(bytes + cells, sums->weight, k * sizeof(KmWide));
	memcpy(bytes + cells + k * sizeof(KmWide), sums->size,
		   k * sizeof(int64_t));
}

void
km_sums_merge(KmSums *sums, int k, int width, const unsigned char *bytes)
{
	for (size_t i = 0; i < (size_t) k * width; i++, bytes += sizeof(KmWide))
	{
		KmWide		x;

		memcpy(&x, bytes, sizeof(x));
		sums->sums[i] = km_wide_add(sums->sums[i], x);
	}
	for (int c = 0; c < k; c++, bytes += sizeof(KmWide))
	{
		KmWide		x;

		memcpy(&x, bytes, sizeof(x));
		sums->weight[c] = km_wide_add(sums->weight[c], x);
	}
	for (int c = 0; c < k; c++, bytes += sizeof(int64_t))
	{
		int64_t		x;

		memcpy(&x, bytes, sizeof(x));
		sums->size[c] = (int64_t) ((uint64_t) sums->size[c] + (uint64_t) x);
	}
}
