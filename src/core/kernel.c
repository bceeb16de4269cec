/*
 * kernel.c
 *		The wide code: squared distances of tiles of rows to all centers.
 *
 * One body (kernel_body.h), compiled for each vector unit.  The lanes are
 * rows, so a row's distance is summed over the features in order whatever the
 * width, and with -ffp-contract=off (no fused multiply-add) every unit gives
 * the same bits.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* centers worked on together: enough to hide the additions' latency */
#define TOGETHER	4

#define PASTE(a, b)		PASTE_(a, b)
#define PASTE_(a, b)	a##b

#define NAME(stem)	PASTE(stem, baseline)
#define TARGET
#define VECTOR_BYTES	16
#include "kernel_body.h"

#ifdef KM_WIDE_X86
#define NAME(stem)	PASTE(stem, avx2)
#define TARGET		KM_TARGET_AVX2
#define VECTOR_BYTES	32
#include "kernel_body.h"

#define NAME(stem)	PASTE(stem, avx512)
#define TARGET		KM_TARGET_AVX512
#define VECTOR_BYTES	64
#include "kernel_body.h"
#endif

bool
km_simd_supported(KmSimd simd)
{
	switch (simd)
	{
		case KM_SIMD_AUTO:
		case KM_SIMD_BASELINE:
			return true;
#ifdef KM_WIDE_X86
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

KmSimd
km_simd_resolve(KmSimd simd)
{
	if (simd != KM_SIMD_AUTO && km_simd_supported(simd))
		return simd;
	if (simd == KM_SIMD_AUTO && km_simd_supported(KM_SIMD_AVX512))
		return KM_SIMD_AVX512;
	if (simd != KM_SIMD_BASELINE && km_simd_supported(KM_SIMD_AVX2))
		return KM_SIMD_AVX2;
	return KM_SIMD_BASELINE;
}

KmNearest
km_nearest_kernel(KmSimd simd)
{
	switch (km_simd_resolve(simd))
	{
#ifdef KM_WIDE_X86
		case KM_SIMD_AVX512:
			return nearest_avx512;
		case KM_SIMD_AVX2:
			return nearest_avx2;
#endif
		default:
			return nearest_baseline;
	}
}

KmMeasure
km_measure_kernel(KmSimd simd)
{
	switch (km_simd_resolve(simd))
	{
#ifdef KM_WIDE_X86
		case KM_SIMD_AVX512:
			return measure_avx512;
		case KM_SIMD_AVX2:
			return measure_avx2;
#endif
		default:
			return measure_baseline;
	}
}

KmPredict
km_predict_kernel(KmSimd simd)
{
	switch (km_simd_resolve(simd))
	{
#ifdef KM_WIDE_X86
		case KM_SIMD_AVX512:
			return predict_avx512;
		case KM_SIMD_AVX2:
			return predict_avx2;
#endif
		default:
			return predict_baseline;
	}
}

KmBinning
km_binning_kernel(KmSimd simd)
{
	switch (km_simd_resolve(simd))
	{
#ifdef KM_WIDE_X86
		case KM_SIMD_AVX512:
			return bins_avx512;
		case KM_SIMD_AVX2:
			return bins_avx2;
#endif
		default:
			return bins_baseline;
	}
}

KmPairs
km_pairs_kernel(KmSimd simd)
{
	switch (km_simd_resolve(simd))
	{
#ifdef KM_WIDE_X86
		case KM_SIMD_AVX512:
			return pairs_avx512;
		case KM_SIMD_AVX2:
			return pairs_avx2;
#endif
		default:
			return pairs_baseline;
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
	/* so that km_packed_set(), which does not poll, meets no new memory */
	packed->memory = km_alloc_zero(space->host, numeric + categories + unseen,
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
