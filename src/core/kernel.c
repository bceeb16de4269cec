/*
 * kernel.c
 *		The wide code: squared distances of tiles of rows to all centers.
 *
 * One body, compiled for each vector unit.  The lanes are rows, so a row's
 * distance is summed over the features in order whatever the width, and with
 * -ffp-contract=off (no fused multiply-add) every unit gives the same bits.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

typedef double Lanes __attribute__((vector_size(64), aligned(8)));
typedef int64_t LaneIds __attribute__((vector_size(64), aligned(8)));

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* mask ? a : b; a macro, as passing wide vectors has no stable ABI */
#define SELECT(mask, a, b) \
	((Lanes) (((mask) & (LaneIds) (a)) | (~(mask) & (LaneIds) (b))))
#define SELECT_ID(mask, a, b)	(((mask) & (a)) | (~(mask) & (b)))

/* centers worked on together: enough to hide the additions' latency */
#define TOGETHER	4

/* best two of what was and the distances of center c */
#define TAKE(distance, c) \
	do { \
		LaneIds		closer_ = (distance) < best; \
		Lanes		worse_ = SELECT(closer_, best, distance); \
		LaneIds		second_ = worse_ < next; \
		next = SELECT(second_, worse_, next); \
		best = SELECT(closer_, distance, best); \
		best_id = SELECT_ID(closer_, (LaneIds) {} + (int64_t) (c), best_id); \
	} while (0)

static ALWAYS_INLINE void
nearest_body(const KmSpace *space, const KmPacked *packed,
			 const double *tiles, int ntiles, int nslots,
			 int64_t *id, double *d1, double *d2)
{
	int			nnum = space->nnum;
	int			ncat = space->ncat;
	int			k = packed->k;

	for (int t = 0; t < ntiles; t++)
	{
		const double *x = tiles + (size_t) t * nslots * KM_LANES;
		const double *codes = x + (size_t) nnum * KM_LANES;
		Lanes		best = (Lanes) {} + (double) INFINITY;
		Lanes		next = best;
		LaneIds		best_id = {0};
		int			c = 0;

		for (; c + TOGETHER <= k; c += TOGETHER)
		{
			const double *p0 = packed->numeric + (size_t) c * nnum;
			const double *p1 = p0 + nnum;
			const double *p2 = p1 + nnum;
			const double *p3 = p2 + nnum;
			Lanes		a0 = {0};
			Lanes		a1 = {0};
			Lanes		a2 = {0};
			Lanes		a3 = {0};

			for (int s = 0; s < nnum; s++)
			{
				Lanes		v = *(const Lanes *) (x + s * KM_LANES);
				Lanes		e0 = v - p0[s];
				Lanes		e1 = v - p1[s];
				Lanes		e2 = v - p2[s];
				Lanes		e3 = v - p3[s];

				a0 += e0 * e0;
				a1 += e1 * e1;
				a2 += e2 * e2;
				a3 += e3 * e3;
			}
			for (int f = 0; f < ncat; f++)
			{
				double		entries[TOGETHER][KM_LANES];

				for (int l = 0; l < KM_LANES; l++)
				{
					const double *entry = packed->tables[f] +
						(size_t) codes[f * KM_LANES + l] * packed->stride + c;

					for (int i = 0; i < TOGETHER; i++)
						entries[i][l] = entry[i];
				}
				a0 += *(const Lanes *) entries[0];
				a1 += *(const Lanes *) entries[1];
				a2 += *(const Lanes *) entries[2];
				a3 += *(const Lanes *) entries[3];
			}
			TAKE(a0, c);
			TAKE(a1, c + 1);
			TAKE(a2, c + 2);
			TAKE(a3, c + 3);
		}
		for (; c < k; c++)
		{
			const double *p = packed->numeric + (size_t) c * nnum;
			Lanes		a = {0};

			for (int s = 0; s < nnum; s++)
			{
				Lanes		e = *(const Lanes *) (x + s * KM_LANES) - p[s];

				a += e * e;
			}
			for (int f = 0; f < ncat; f++)
			{
				double		entries[KM_LANES];

				for (int l = 0; l < KM_LANES; l++)
					entries[l] = packed->tables[f]
						[(size_t) codes[f * KM_LANES + l] * packed->stride + c];
				a += *(const Lanes *) entries;
			}
			TAKE(a, c);
		}
		*(Lanes *) (d1 + t * KM_LANES) = best;
		*(Lanes *) (d2 + t * KM_LANES) = next;
		*(LaneIds *) (id + t * KM_LANES) = best_id;
	}
}

#define DEFINE_KERNEL(name, attributes) \
static attributes void \
name(const KmSpace *space, const KmPacked *packed, const double *tiles, \
	 int ntiles, int nslots, int64_t *id, double *d1, double *d2) \
{ \
	nearest_body(space, packed, tiles, ntiles, nslots, id, d1, d2); \
}

DEFINE_KERNEL(nearest_baseline,)

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_WIDE 1
DEFINE_KERNEL(nearest_avx2, __attribute__((target("avx2"))))
#ifdef __clang__
DEFINE_KERNEL(nearest_avx512,
			  __attribute__((target("avx512f,avx512dq,avx512vl"))))
#else
DEFINE_KERNEL(nearest_avx512,
			  __attribute__((target("avx512f,avx512dq,avx512vl,"
									"prefer-vector-width=512"))))
#endif
#endif

void
km_gaps(const double *d1, const double *d2, int n, double share, double *gap)
{
	for (int i = 0; i < n; i++)
	{
		double		far = sqrt(d2[i]);

		gap[i] = far - sqrt(d1[i]) - share * far;
	}
}

bool
km_simd_supported(KmSimd simd)
{
	switch (simd)
	{
		case KM_SIMD_AUTO:
		case KM_SIMD_BASELINE:
			return true;
#ifdef HAVE_WIDE
		case KM_SIMD_AVX2:
			return __builtin_cpu_supports("avx2");
		case KM_SIMD_AVX512:
			return __builtin_cpu_supports("avx512f") &&
				__builtin_cpu_supports("avx512dq") &&
				__builtin_cpu_supports("avx512vl");
#else
		default:
			break;
#endif
	}
	return false;
}

/* what simd comes down to on this machine */
static KmSimd
resolve_simd(KmSimd simd)
{
	if (simd != KM_SIMD_AUTO && km_simd_supported(simd))
		return simd;
	if (simd == KM_SIMD_AUTO && km_simd_supported(KM_SIMD_AVX512))
		return KM_SIMD_AVX512;
	if (simd != KM_SIMD_BASELINE && km_simd_supported(KM_SIMD_AVX2))
		return KM_SIMD_AVX2;
	return KM_SIMD_BASELINE;
}

const char *
km_simd_name(KmSimd simd)
{
	switch (resolve_simd(simd))
	{
		case KM_SIMD_AVX512:
			return "avx512";
		case KM_SIMD_AVX2:
			return "avx2";
		default:
			return "baseline";
	}
}

KmNearest
km_nearest_kernel(KmSimd simd)
{
	switch (resolve_simd(simd))
	{
#ifdef HAVE_WIDE
		case KM_SIMD_AVX512:
			return nearest_avx512;
		case KM_SIMD_AVX2:
			return nearest_avx2;
#endif
		default:
			return nearest_baseline;
	}
}

/* ---- centers in the kernels' form ---- */

KmStatus
km_packed_create(const KmSpace *space, int max_k, KmPacked *packed)
{
	size_t		stride = (size_t) (max_k + TOGETHER - 1) / TOGETHER * TOGETHER;
	size_t		numeric = (size_t) max_k * space->nnum;
	size_t		categories = (size_t) (space->width - space->nnum) * stride;
	size_t		unseen = (size_t) space->ncat * stride;
	double	   *next;

	memset(packed, 0, sizeof(*packed));
	packed->stride = (int) stride;
	packed->memory = km_alloc(space->host, numeric + categories + unseen,
							  sizeof(double));
	packed->tables = km_alloc(space->host, space->ncat, sizeof(double *));
	if (packed->memory == NULL || packed->tables == NULL)
	{
		km_packed_free(space, packed);
		return KM_NO_MEMORY;
	}
	packed->numeric = packed->memory;
	next = packed->memory + numeric;
	for (int f = 0; f < space->ncat; f++)
	{
		packed->tables[f] = next;
		next += (size_t) space->ncategories[f] * stride;
	}
	packed->unseen = next;
	return KM_OK;
}

void
km_packed_free(const KmSpace *space, KmPacked *packed)
{
	km_free(space->host, packed->memory);
	km_free(space->host, packed->tables);
	packed->memory = NULL;
	packed->tables = NULL;
}

/*
 * A row of category v stands at factor in dimension v, a center at a_u:
 * squared distance (factor - a_v)^2 + sum of the others' a_u^2.  A category
 * that the model has never seen would have a dimension of its own, where
 * every center stands at 0: as far from each known category as they are from
 * each other.
 */
void
km_packed_set(const KmSpace *space, KmPacked *packed, const double *centers,
			  int k)
{
	packed->k = k;
	for (int c = 0; c < k; c++)
	{
		const double *center = centers + (size_t) c * space->width;

		memcpy(packed->memory + (size_t) c * space->nnum, center,
			   sizeof(double) * space->nnum);
		for (int f = 0; f < space->ncat; f++)
		{
			const double *a = center + space->offset[f];
			double		factor = space->factor[f];
			double		square = 0;

			for (int v = 0; v < space->ncategories[f]; v++)
				square += a[v] * a[v];
			for (int v = 0; v < space->ncategories[f]; v++)
			{
				double		others = square - a[v] * a[v];
				double		own = factor - a[v];

				others = others > 0 ? others : 0;
				packed->tables[f][(size_t) v * packed->stride + c] =
					own * own + others;
			}
			packed->unseen[(size_t) f * packed->stride + c] =
				factor * factor + square;
		}
	}
}
