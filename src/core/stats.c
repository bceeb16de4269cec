/*
 * stats.c
 *		Column statistics as a state of their own: what the scaler aggregate
 *		adds to, merges and sends between processes.
 *
 * Sums are exact (exact.c), so that any split of the rows over workers gives
 * the same scaler.  Median and quartiles have no small exact state: then all
 * values are kept.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* serialised state: magic, columns, keep_values; then each column */
#define MAGIC		UINT32_C(0x6b6d7331)
#define FIRST_VALUES	64

typedef struct Column
{
	KmExact		exact;
	double	   *values;			/* kept ones, in order of arrival */
	int64_t		nvalues;
	int64_t		allocated;
} Column;

struct KmStats
{
	const KmHost *host;
	int			nfeatures;
	bool		keep_values;
	int64_t		rows;
	size_t		bytes;
	Column	   *columns;
};

KmStatus
km_stats_create(const KmHost *host, int nfeatures, bool keep_values,
				KmStats **result)
{
	KmStats    *stats = km_alloc_zero(host, 1, sizeof(KmStats));

	if (stats == NULL)
		return KM_NO_MEMORY;
	stats->host = host;
	stats->nfeatures = nfeatures;
	stats->keep_values = keep_values;
	stats->columns = km_alloc_zero(host, nfeatures, sizeof(Column));
	if (stats->columns == NULL)
	{
		km_free(host, stats);
		return KM_NO_MEMORY;
	}
	for (int f = 0; f < nfeatures; f++)
		km_exact_init(&stats->columns[f].exact);
	stats->bytes = sizeof(KmStats) + sizeof(Column) * (size_t) nfeatures;
	*result = stats;
	return KM_OK;
}

static KmStatus
reserve_values(KmStats *stats, Column *column, int64_t more)
{
	int64_t		need = column->nvalues + more;
	int64_t		room = column->allocated > 0 ? column->allocated
		: FIRST_VALUES;
	double	   *values;

	if (need <= column->allocated)
		return KM_OK;
	while (room < need)
		room *= 2;
	values = km_alloc(stats->host, (size_t) room, sizeof(double));
	if (values == NULL)
		return KM_NO_MEMORY;
	if (column->nvalues > 0)
		memcpy(values, column->values,
			   sizeof(double) * (size_t) column->nvalues);
	km_free(stats->host, column->values);
	column->values = values;
	stats->bytes += sizeof(double) * (size_t) (room - column->allocated);
	column->allocated = room;
	return KM_OK;
}

KmStatus
km_stats_add(KmStats *stats, const double *values)
{
	for (int f = 0; f < stats->nfeatures; f++)
	{
		Column	   *column = &stats->columns[f];
		double		x = values[f] + 0.0;	/* no -0 */

		if (isnan(x))
			continue;
		km_exact_add(&column->exact, x);
		if (stats->keep_values)
		{
			KM_TRY(reserve_values(stats, column, 1));
			column->values[column->nvalues++] = x;
		}
	}
	stats->rows++;
	return KM_OK;
}

KmStatus
km_stats_merge(KmStats *into, KmStats *from)
{
	if (into->nfeatures != from->nfeatures)
		return KM_BAD_FORMAT;
	for (int f = 0; f < into->nfeatures; f++)
	{
		Column	   *to = &into->columns[f];
		const Column *other = &from->columns[f];

		km_exact_merge(&to->exact, &other->exact);
		if (other->nvalues > 0)
		{
			KM_TRY(reserve_values(into, to, other->nvalues));
			memcpy(to->values + to->nvalues, other->values,
				   sizeof(double) * (size_t) other->nvalues);
			to->nvalues += other->nvalues;
		}
	}
	into->rows += from->rows;
	return KM_OK;
}

int64_t
km_stats_rows(const KmStats *stats)
{
	return stats->rows;
}

size_t
km_stats_bytes(const KmStats *stats)
{
	return stats->bytes;
}

/*
 * Serialised between processes of one server and never stored: the machine's
 * own byte order will do.
 */
typedef struct Header
{
	uint32_t	magic;
	int32_t		nfeatures;
	int64_t		keep_values;
	int64_t		rows;
} Header;

KmStatus
km_stats_size(KmStats *stats, size_t *size)
{
	*size = sizeof(Header);
	for (int f = 0; f < stats->nfeatures; f++)
		*size += sizeof(KmExact) + sizeof(int64_t) +
			sizeof(double) * (size_t) stats->columns[f].nvalues;
	return KM_OK;
}

KmStatus
km_stats_write(KmStats *stats, unsigned char *bytes)
{
	Header		header;

	memset(&header, 0, sizeof(header));
	header.magic = MAGIC;
	header.nfeatures = stats->nfeatures;
	header.keep_values = stats->keep_values;
	header.rows = stats->rows;
	memcpy(bytes, &header, sizeof(header));
	bytes += sizeof(header);
	for (int f = 0; f < stats->nfeatures; f++)
	{
		Column	   *column = &stats->columns[f];
		size_t		n = sizeof(double) * (size_t) column->nvalues;

		memcpy(bytes, &column->exact, sizeof(KmExact));
		bytes += sizeof(KmExact);
		memcpy(bytes, &column->nvalues, sizeof(int64_t));
		bytes += sizeof(int64_t);
		if (n > 0)
			memcpy(bytes, column->values, n);
		bytes += n;
	}
	return KM_OK;
}

static KmStatus
read_column(KmStats *stats, Column *column, const unsigned char **at,
			const unsigned char *end)
{
	int64_t		n;

	if ((size_t) (end - *at) < sizeof(KmExact) + sizeof(int64_t))
		return KM_BAD_FORMAT;
	memcpy(&column->exact, *at, sizeof(KmExact));
	*at += sizeof(KmExact);
	memcpy(&n, *at, sizeof(int64_t));
	*at += sizeof(int64_t);
	if (n < 0 || (size_t) n > (size_t) (end - *at) / sizeof(double))
		return KM_BAD_FORMAT;
	if (n == 0)
		return KM_OK;
	KM_TRY(reserve_values(stats, column, n));
	memcpy(column->values, *at, sizeof(double) * (size_t) n);
	column->nvalues = n;
	*at += sizeof(double) * (size_t) n;
	return KM_OK;
}

KmStatus
km_stats_read(const KmHost *host, const unsigned char *bytes, size_t size,
			  KmStats **result)
{
	const unsigned char *at = bytes + sizeof(Header);
	const unsigned char *end = bytes + size;
	Header		header;
	KmStats    *stats;
	KmStatus	status = KM_OK;

	if (size < sizeof(Header))
		return KM_BAD_FORMAT;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != MAGIC || header.nfeatures < 1 ||
		header.nfeatures > KM_MAX_FEATURES)
		return KM_BAD_FORMAT;
	KM_TRY(km_stats_create(host, header.nfeatures, header.keep_values != 0,
						   &stats));
	stats->rows = header.rows;
	for (int f = 0; f < stats->nfeatures && status == KM_OK; f++)
		status = read_column(stats, &stats->columns[f], &at, end);
	if (status == KM_OK && at != end)
		status = KM_BAD_FORMAT;
	if (status != KM_OK)
	{
		km_stats_free(stats);
		return status;
	}
	*result = stats;
	return KM_OK;
}

KmStatus
km_stats_finish(KmStats *stats, KmScale scale, KmFeature *features)
{
	static const double at[3] = {0.25, 0.5, 0.75};
	KmPoll		poll = {stats->host, 0};

	for (int f = 0; f < stats->nfeatures; f++)
	{
		Column	   *column = &stats->columns[f];
		KmFeature  *feature = &features[f];
		double		quartiles[3] = {0, 0, 0};

		feature->weight = 1;
		feature->clip_low = -INFINITY;
		feature->clip_high = INFINITY;
		feature->min = 0;
		feature->max = 0;
		feature->mean = 0;
		feature->sd = 0;
		if (column->exact.count > 0)
		{
			feature->min = column->exact.min;
			feature->max = column->exact.max;
			km_exact_moments(&column->exact, &feature->mean, &feature->sd);
		}
		if (scale == KM_ROBUST && column->nvalues > 0)
			KM_TRY(km_quantiles(&poll, column->values, column->nvalues, at, 3,
								quartiles));
		km_feature_scale(feature, scale, quartiles);
		feature->origin = feature->mean;
	}
	return KM_OK;
}

void
km_stats_free(KmStats *stats)
{
	if (stats == NULL)
		return;
	for (int f = 0; f < stats->nfeatures; f++)
		km_free(stats->host, stats->columns[f].values);
	km_free(stats->host, stats->columns);
	km_free(stats->host, stats);
}
