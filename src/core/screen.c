/*
 * screen.c
 *		Nearest centers in single precision.
 *
 * Sixteen single precision multiply-adds cost what eight in double do, and a
 * score needs one an element where an exact distance needs two operations.
 * That is four times less work for all rows but the few whose two nearest
 * centers are within the error of each other.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "screen.h"

#ifdef KM_WIDE_X86
#include <immintrin.h>
#endif

#define PASTE(a, b)		PASTE_(a, b)
#define PASTE_(a, b)	a##b

/* beyond any score, and what stands in for centers that are not there */
#define FAR_AWAY		1e30f

/*
 * Gaps keep away from 0 by GAP_MARGIN of the distance, far more than the
 * exact kernel's error, and GAP_TRUST is for the roundings of gaps_() itself.
 */
#define GAP_MARGIN		1e-6f
#define GAP_TRUST		(1 - 0x1p-20f)

/*
 * How far a score less the nearest center's may be off, and how far a squared
 * distance: as shares of the row's squared length and of the score, times the
 * error of a sum of products (docs/internals.md has the proof).
 */
#define SQUARE_ERROR	11.5
#define SCORE_ERROR		11.2
#define SQUARE_ROOM		24
#define SCORE_ROOM		23

/* centers farther out, in units of scale, are not screened */
#define CENTER_MAX		0x1p20

/* a result that is too small to be normal errs by this at most */
#define SMALLEST		0x1p-149

#if defined(KM_WIDE_X86)

#define NAME(stem)	PASTE(stem, baseline)
#define TARGET
#define LANES		4
#define Floats		__m128
#define Ids			__m128i
#define Less		__m128
#define LOAD(p)		_mm_loadu_ps(p)
#define STORE(p, v) _mm_storeu_ps(p, v)
#define STORE_ID(p, v)	_mm_storeu_si128((__m128i *) (p), v)
#define LOAD_OWN(p) _mm_unpacklo_epi16(_mm_loadl_epi64((const __m128i *) (p)), \
									   _mm_setzero_si128())
#define SPREAD(v)	_mm_set1_ps(v)
#define SPREAD_ID(v)	_mm_set1_epi32(v)
#define ADD(a, b)	_mm_add_ps(a, b)
#define SUB(a, b)	_mm_sub_ps(a, b)
#define MUL(a, b)	_mm_mul_ps(a, b)
#define DIV(a, b)	_mm_div_ps(a, b)
#define SQRT(a)		_mm_sqrt_ps(a)
#define FMA(a, b, c)	_mm_add_ps(_mm_mul_ps(a, b), c)
#define MIN(a, b)	_mm_min_ps(a, b)
#define MAX(a, b)	_mm_max_ps(a, b)
#define LESS(a, b)	_mm_cmplt_ps(a, b)
#define PICK(mask, a, b) \
	_mm_or_si128(_mm_and_si128(_mm_castps_si128(mask), a), \
				 _mm_andnot_si128(_mm_castps_si128(mask), b))
#define BITS_NOT_ABOVE(a, b)	_mm_movemask_ps(_mm_cmpngt_ps(a, b))
#define BITS_DIFFER(a, b) \
	(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(a, b))) ^ 0xf)
#define LOOK_UP(table, at, n)	look_up_baseline(table, at, n)
#define BIG_UNLESS_ABOVE(a, b) \
	_mm_or_ps(_mm_and_ps(_mm_cmpgt_ps(a, b), a), \
			  _mm_andnot_ps(_mm_cmpgt_ps(a, b), _mm_set1_ps(FAR_AWAY)))
#define LEAST(v)	least_baseline(v)

static inline __m128
look_up_baseline(const float *table, __m128i at, int n)
{
	(void) n;
	/* ids are 16 bits each, in lanes of 32 */
	return _mm_setr_ps(table[_mm_extract_epi16(at, 0)],
					   table[_mm_extract_epi16(at, 2)],
					   table[_mm_extract_epi16(at, 4)],
					   table[_mm_extract_epi16(at, 6)]);
}

static inline float
least_baseline(__m128 v)
{
	v = _mm_min_ps(v, _mm_shuffle_ps(v, v, 0x4e));
	v = _mm_min_ps(v, _mm_shuffle_ps(v, v, 0xb1));
	return _mm_cvtss_f32(v);
}

#include "screen_body.h"

#define NAME(stem)	PASTE(stem, avx2)
#define TARGET		__attribute__((target("avx2,fma")))
#define LANES		8
#define Floats		__m256
#define Ids			__m256i
#define Less		__m256
#define LOAD(p)		_mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define STORE_ID(p, v)	_mm256_storeu_si256((__m256i *) (p), v)
#define LOAD_OWN(p) \
	_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *) (p)))
#define SPREAD(v)	_mm256_set1_ps(v)
#define SPREAD_ID(v)	_mm256_set1_epi32(v)
#define ADD(a, b)	_mm256_add_ps(a, b)
#define SUB(a, b)	_mm256_sub_ps(a, b)
#define MUL(a, b)	_mm256_mul_ps(a, b)
#define DIV(a, b)	_mm256_div_ps(a, b)
#define SQRT(a)		_mm256_sqrt_ps(a)
#define FMA(a, b, c)	_mm256_fmadd_ps(a, b, c)
#define MIN(a, b)	_mm256_min_ps(a, b)
#define MAX(a, b)	_mm256_max_ps(a, b)
#define LESS(a, b)	_mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define PICK(mask, a, b) \
	_mm256_blendv_epi8(b, a, _mm256_castps_si256(mask))
#define BITS_NOT_ABOVE(a, b) \
	_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NGT_UQ))
#define BITS_DIFFER(a, b) \
	(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b))) ^ 0xff)
#define LOOK_UP(table, at, n)	look_up_avx2(table, at, n)
#define BIG_UNLESS_ABOVE(a, b) \
	_mm256_blendv_ps(_mm256_set1_ps(FAR_AWAY), a, \
					 _mm256_cmp_ps(a, b, _CMP_GT_OQ))
#define LEAST(v) \
	least_baseline(_mm_min_ps(_mm256_castps256_ps128(v), \
							  _mm256_extractf128_ps(v, 1)))

/* permutations are several times as fast as gathers */
static inline __attribute__((target("avx2,fma"))) __m256
look_up_avx2(const float *table, __m256i at, int n)
{
	if (n <= 8)
		return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), at);
	return _mm256_i32gather_ps(table, at, 4);
}

#include "screen_body.h"

#define NAME(stem)	PASTE(stem, avx512)
#define TARGET		KM_TARGET_AVX512
#define LANES		16
#define Floats		__m512
#define Ids			__m512i
#define Less		__mmask16
#define LOAD(p)		_mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define STORE_ID(p, v)	_mm512_storeu_si512(p, v)
#define LOAD_OWN(p) \
	_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *) (p)))
#define SPREAD(v)	_mm512_set1_ps(v)
#define SPREAD_ID(v)	_mm512_set1_epi32(v)
#define ADD(a, b)	_mm512_add_ps(a, b)
#define SUB(a, b)	_mm512_sub_ps(a, b)
#define MUL(a, b)	_mm512_mul_ps(a, b)
#define DIV(a, b)	_mm512_div_ps(a, b)
#define SQRT(a)		_mm512_sqrt_ps(a)
#define FMA(a, b, c)	_mm512_fmadd_ps(a, b, c)
#define MIN(a, b)	_mm512_min_ps(a, b)
#define MAX(a, b)	_mm512_max_ps(a, b)
#define LESS(a, b)	_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ)
#define PICK(mask, a, b)	_mm512_mask_blend_epi32(mask, b, a)
#define BITS_NOT_ABOVE(a, b)	_mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ)
#define BITS_DIFFER(a, b)	_mm512_cmpneq_epi32_mask(a, b)
#define LOOK_UP(table, at, n)	look_up_avx512(table, at, n)
#define BIG_UNLESS_ABOVE(a, b) \
	_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), \
						 _mm512_set1_ps(FAR_AWAY), a)
#define LEAST(v)	_mm512_reduce_min_ps(v)
#define HAS_ADD

static inline KM_TARGET_AVX512 __m512
look_up_avx512(const float *table, __m512i at, int n)
{
	if (n <= 16)
		return _mm512_permutexvar_ps(at, _mm512_loadu_ps(table));
	if (n <= 32)
		return _mm512_permutex2var_ps(_mm512_loadu_ps(table), at,
									  _mm512_loadu_ps(table + 16));
	if (n <= 64)
	{
		__m512		low = _mm512_permutex2var_ps(_mm512_loadu_ps(table), at,
												 _mm512_loadu_ps(table + 16));
		__m512		high = _mm512_permutex2var_ps(_mm512_loadu_ps(table + 32),
												  at, _mm512_loadu_ps(table + 48));

		return _mm512_mask_blend_ps(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)),
									low, high);
	}
	return _mm512_i32gather_ps(at, table, 4);
}

/*
 * Eight columns of eight rows, turned.  Elements are numbered from the lowest,
 * and written as column and row: 00 is the first row's value in the first
 * column.
 */
static inline KM_TARGET_AVX512 void
turn_avx512(__m512i v[KM_LANES])
{
	__m512i		pairs[KM_LANES];

	/* 00 10 02 12 04 14 06 16, and 01 11 03 13 05 15 07 17 */
	for (int i = 0; i < KM_LANES; i += 2)
	{
		pairs[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
		pairs[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
	}
	for (int i = 0; i < 2; i++)
	{
		/* 00 10 04 14 20 30 24 34, and 02 12 06 16 22 32 26 36 */
		__m512i		a = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0x88);
		__m512i		b = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0xdd);
		__m512i		c = _mm512_shuffle_i64x2(pairs[i + 4], pairs[i + 6], 0x88);
		__m512i		d = _mm512_shuffle_i64x2(pairs[i + 4], pairs[i + 6], 0xdd);

		v[i] = _mm512_shuffle_i64x2(a, c, 0x88);
		v[i + 4] = _mm512_shuffle_i64x2(a, c, 0xdd);
		v[i + 2] = _mm512_shuffle_i64x2(b, d, 0x88);
		v[i + 6] = _mm512_shuffle_i64x2(b, d, 0xdd);
	}
}

/*
 * KmScreening.add: a row's eight slots at once.  Whole vectors are stored, so
 * that the next row of the segment finds them on their way.
 */
static KM_TARGET_AVX512 void
add_avx512(const double *tile, const double *scale, int nnum, int nrows,
		   const int32_t *id, int64_t *sums)
{
	size_t		stride = km_sums_stride(nnum);

	for (int s = 0; s <= nnum; s += KM_LANES)
	{
		__m512i		rows[KM_LANES];

		/* the number of rows is a column of ones; then there are zeros */
		for (int i = 0; i < KM_LANES; i++, tile += KM_LANES)
			rows[i] = s + i < nnum ?
				_mm512_cvttpd_epi64(_mm512_mul_pd(_mm512_loadu_pd(tile),
												  _mm512_set1_pd(scale[s + i]))) :
				_mm512_set1_epi64(s + i == nnum);
		turn_avx512(rows);
		for (int l = 0; l < nrows; l++)
		{
			int64_t    *to = sums + id[l] * stride + s;

			_mm512_storeu_si512(to, _mm512_add_epi64(_mm512_loadu_si512(to),
													 rows[l]));
		}
	}
}

#include "screen_body.h"

#else

/* plain C for the vectors of any other unit */
#define LANES_		4
typedef float Floats_ __attribute__((vector_size(16), aligned(4)));
typedef int32_t Ids_ __attribute__((vector_size(16), aligned(4)));

static inline Ids_
load_own(const uint16_t *p)
{
	return (Ids_) {p[0], p[1], p[2], p[3]};
}

static inline Ids_
pick(Ids_ mask, Ids_ a, Ids_ b)
{
	return (mask & a) | (~mask & b);
}

static inline int
bits(Ids_ mask)
{
	return (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8);
}

static inline Floats_
look_up(const float *table, Ids_ at, int n)
{
	(void) n;
	return (Floats_) {table[at[0]], table[at[1]], table[at[2]], table[at[3]]};
}

static inline Floats_
roots(Floats_ v)
{
	return (Floats_) {sqrtf(v[0]), sqrtf(v[1]), sqrtf(v[2]), sqrtf(v[3])};
}

static inline float
least_of(Floats_ v)
{
	float		a = v[0] < v[1] ? v[0] : v[1];
	float		b = v[2] < v[3] ? v[2] : v[3];

	return a < b ? a : b;
}

#define NAME(stem)	PASTE(stem, baseline)
#define TARGET
#define LANES		LANES_
#define LOOK_UP(table, at, n)	look_up(table, at, n)
#define BIG_UNLESS_ABOVE(a, b) \
	((Floats_) pick((a) > (b), (Ids_) (a), (Ids_) ((Floats_) {} + FAR_AWAY)))
#define LEAST(v)	least_of(v)
#define Floats		Floats_
#define Ids			Ids_
#define Less		Ids_
#define LOAD(p)		(*(const Floats_ *) (p))
#define STORE(p, v) (*(Floats_ *) (p) = (v))
#define STORE_ID(p, v)	(*(Ids_ *) (p) = (v))
#define LOAD_OWN(p) load_own(p)
#define SPREAD(v)	((Floats_) {} + (float) (v))
#define SPREAD_ID(v)	((Ids_) {} + (int32_t) (v))
#define ADD(a, b)	((a) + (b))
#define SUB(a, b)	((a) - (b))
#define MUL(a, b)	((a) * (b))
#define DIV(a, b)	((a) / (b))
#define SQRT(a)		roots(a)
#define FMA(a, b, c)	((a) * (b) + (c))
#define MIN(a, b)	((Floats_) pick((a) < (b), (Ids_) (a), (Ids_) (b)))
#define MAX(a, b)	((Floats_) pick((a) > (b), (Ids_) (a), (Ids_) (b)))
#define LESS(a, b)	((a) < (b))
#define PICK(mask, a, b)	pick(mask, a, b)
#define BITS_NOT_ABOVE(a, b)	bits(~((a) > (b)))
#define BITS_DIFFER(a, b)	bits((a) != (b))
#include "screen_body.h"

#endif

const KmScreening *
km_screening(KmSimd simd)
{
	static const KmScreening baseline = {
		load_baseline, two_baseline, three_baseline, gaps_baseline,
		doubt_baseline, add_baseline
	};
#ifdef KM_WIDE_X86
	static const KmScreening avx2 = {
		load_avx2, two_avx2, three_avx2, gaps_avx2,
		doubt_avx2, add_avx2
	};
	static const KmScreening avx512 = {
		load_avx512, two_avx512, three_avx512, gaps_avx512,
		doubt_avx512, add_avx512
	};

	switch (km_simd_resolve(simd))
	{
		case KM_SIMD_AVX512:
			return &avx512;
		case KM_SIMD_AVX2:
			/* there are no processors with the one and not the other, but
			 * there are emulators */
			return __builtin_cpu_supports("fma") ? &avx2 : &baseline;
		default:
			break;
	}
#else
	(void) simd;
#endif
	return &baseline;
}

/* ---- centers ---- */

KmStatus
km_screen_create(const KmSpace *space, int max_k, KmScreen *screen)
{
	size_t		padded = (size_t) (max_k + KM_SCREEN_TOGETHER - 1) /
		KM_SCREEN_TOGETHER * KM_SCREEN_TOGETHER;
	size_t		cells = padded * (size_t) (space->width + 1);
	size_t		rows = (size_t) (space->nnum + space->ncat) * KM_SCREEN_ROWS;
	double		most = 0;
	int			exponent;
	float	   *next;

	memset(screen, 0, sizeof(*screen));
	screen->nnum = space->nnum;
	screen->ncat = space->ncat;
	for (int s = 0; s < space->nnum; s++)
	{
		double		limit = space->unit[s] * 0x1p50;

		most = limit > most ? limit : most;
	}
	for (int f = 0; f < space->ncat; f++)
		most = space->factor[f] > most ? space->factor[f] : most;
	(void) frexp(most, &exponent);
	screen->scale = ldexp(1, -exponent);
	screen->memory = km_alloc_zero(space->host, cells + rows, sizeof(float));
	screen->tables = km_alloc(space->host, space->ncat, sizeof(float *));
	if (screen->memory == NULL || screen->tables == NULL)
	{
		km_screen_free(space, screen);
		return KM_NO_MEMORY;
	}
	screen->x = screen->memory;
	screen->codes = (int32_t *) screen->x +
		(size_t) space->nnum * KM_SCREEN_ROWS;
	screen->half = screen->x + rows;
	screen->values = screen->half + padded;
	next = screen->values + padded * space->nnum;
	for (int f = 0; f < space->ncat; f++)
	{
		screen->tables[f] = next;
		next += padded * space->ncategories[f];
	}
	return KM_OK;
}

void
km_screen_free(const KmSpace *space, KmScreen *screen)
{
	km_free(space->host, screen->memory);
	km_free(space->host, screen->tables);
	screen->memory = NULL;
	screen->tables = NULL;
}

static void
set_tables(const KmSpace *space, const KmPacked *packed, KmScreen *screen)
{
	double		share = 0.5 * screen->scale * screen->scale *
		(1 - 2 * (double) screen->share);

	for (int f = 0; f < space->ncat; f++)
	{
		for (int v = 0; v < space->ncategories[f]; v++)
		{
			const double *from = packed->tables[f] +
				(size_t) v * packed->stride;
			float	   *to = screen->tables[f] + (size_t) v * screen->padded;

			for (int c = 0; c < screen->padded; c++)
			{
				double		entry = c < packed->k ? from[c] * share : 0;

				to[c] = (float) entry;
				/* false for NaN, too */
				if (!(entry < CENTER_MAX * CENTER_MAX))
					screen->usable = false;
			}
		}
	}
}

static void
set_centers(const KmSpace *space, const KmPacked *packed, KmScreen *screen)
{
	int			nnum = space->nnum;
	double		lower = 1 - 2 * (double) screen->share;

	for (int c = 0; c < screen->padded; c++)
	{
		float	   *to = screen->values +
			(size_t) (c / KM_SCREEN_TOGETHER) * nnum * KM_SCREEN_TOGETHER +
			c % KM_SCREEN_TOGETHER;
		const double *from = packed->numeric + (size_t) c * nnum;
		double		square = 0;

		for (int s = 0; s < nnum; s++)
		{
			double		v = c < packed->k ? from[s] * screen->scale : 0;

			to[s * KM_SCREEN_TOGETHER] = (float) -v;
			square += v * v;
		}
		screen->half[c] = c < packed->k ? (float) (square / 2 * lower) :
			FAR_AWAY;
		if (!(square < CENTER_MAX * CENTER_MAX))
			screen->usable = false;
	}
}

void
km_screen_set(const KmSpace *space, const KmPacked *packed, KmScreen *screen)
{
	int			n = space->nnum + space->ncat;
	double		share = (2.0 * n + 16) * 0x1p-24;

	screen->k = packed->k;
	screen->padded = (packed->k + KM_SCREEN_TOGETHER - 1) /
		KM_SCREEN_TOGETHER * KM_SCREEN_TOGETHER;
	screen->share = (float) share;
	screen->square_share = (float) (SQUARE_ERROR * share);
	screen->score_share = (float) (SCORE_ERROR * share);
	screen->error = (float) ((4.0 * n + 16) * SMALLEST * CENTER_MAX);
	screen->usable = true;
	set_centers(space, packed, screen);
	set_tables(space, packed, screen);
}

/* ---- rows in single precision ---- */

/*
 * Four values of four rows, turned; from and to: the first of each row, which
 * becomes a column, and of each column.
 */
static inline void
turn(const float *const from[4], float *to, size_t step)
{
#ifdef KM_WIDE_X86
	__m128		a = _mm_loadu_ps(from[0]);
	__m128		b = _mm_loadu_ps(from[1]);
	__m128		c = _mm_loadu_ps(from[2]);
	__m128		d = _mm_loadu_ps(from[3]);

	_MM_TRANSPOSE4_PS(a, b, c, d);
	_mm_storeu_ps(to, a);
	_mm_storeu_ps(to + step, b);
	_mm_storeu_ps(to + 2 * step, c);
	_mm_storeu_ps(to + 3 * step, d);
#else
	for (int i = 0; i < 4; i++)
	{
		for (int j = 0; j < 4; j++)
			to[i * step + j] = from[j][i];
	}
#endif
}

void
km_screen_gather(KmScreen *screen, const float *single, const int32_t *rows,
				 int n)
{
	int			nnum = screen->nnum;
	int			at = 0;

	for (; at + 4 <= n; at += 4)
	{
		float	   *x = screen->x + at;
		const float *from[4];
		int			s = 0;

		for (int i = 0; i < 4; i++)
			from[i] = single + (size_t) rows[at + i] * nnum;
		for (; s + 4 <= nnum; s += 4)
		{
			turn(from, x + s * KM_SCREEN_ROWS, KM_SCREEN_ROWS);
			for (int i = 0; i < 4; i++)
				from[i] += 4;
		}
		for (int j = 0; s < nnum; s++, j++)
		{
			for (int i = 0; i < 4; i++)
				x[s * KM_SCREEN_ROWS + i] = from[i][j];
		}
	}
	for (; at < n; at++)
	{
		const float *from = single + (size_t) rows[at] * nnum;

		for (int s = 0; s < nnum; s++)
			screen->x[s * KM_SCREEN_ROWS + at] = from[s];
	}
}

void
km_screen_spread(const KmScreen *screen, float *single, int n)
{
	int			nnum = screen->nnum;
	int			at = 0;

	for (; at + 4 <= n; at += 4, single += (size_t) 4 * nnum)
	{
		const float *x = screen->x + at;
		int			s = 0;

		for (; s + 4 <= nnum; s += 4, x += 4 * KM_SCREEN_ROWS)
		{
			const float *const from[4] = {
				x, x + KM_SCREEN_ROWS, x + 2 * KM_SCREEN_ROWS,
				x + 3 * KM_SCREEN_ROWS
			};

			turn(from, single + s, nnum);
		}
		for (; s < nnum; s++, x += KM_SCREEN_ROWS)
		{
			for (int i = 0; i < 4; i++)
				single[(size_t) i * nnum + s] = x[i];
		}
	}
	for (; at < n; at++, single += nnum)
	{
		for (int s = 0; s < nnum; s++)
			single[s] = screen->x[s * KM_SCREEN_ROWS + at];
	}
}
