/*
 * kernel_body.h
 *		The kernels, once for each vector unit: kernel.c includes this with
 *		NAME(stem), TARGET and VECTOR_BYTES defined.
 *
 * gcc makes poor code of vectors wider than the unit's own, hence the width
 * is a parameter; the arithmetic is the same for all.
 */

#define VECTOR_LANES	(VECTOR_BYTES / (int) sizeof(double))

typedef double NAME(Lanes_) __attribute__((vector_size(VECTOR_BYTES),
										   aligned(8)));
typedef int64_t NAME(LaneIds_) __attribute__((vector_size(VECTOR_BYTES),
											  aligned(8)));

#define Lanes	NAME(Lanes_)
#define LaneIds NAME(LaneIds_)

#define LOAD(p)		(*(const Lanes *) (p))
#define STORE(p, v)	(*(Lanes *) (p) = (v))

/* mask ? a : b; macros, as passing wide vectors has no stable ABI */
#define SELECT(mask, a, b) \
	((Lanes) (((mask) & (LaneIds) (a)) | (~(mask) & (LaneIds) (b))))
#define SELECT_ID(mask, a, b)	(((mask) & (a)) | (~(mask) & (b)))

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

/* KmNearest */
static TARGET void
NAME(nearest_) (const KmSpace *space, const KmPacked *packed,
				const double *tiles, int ntiles, int nslots,
				int64_t *id, double *d1, double *d2)
{
	int			nnum = space->nnum;
	int			ncat = space->ncat;
	int			k = packed->k;

	for (int at = 0; at < ntiles * KM_LANES; at += VECTOR_LANES)
	{
		const double *x = tiles +
			(size_t) (at / KM_LANES) * nslots * KM_LANES + at % KM_LANES;
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
				Lanes		v = LOAD(x + s * KM_LANES);
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
				double		entries[TOGETHER][VECTOR_LANES];

				for (int l = 0; l < VECTOR_LANES; l++)
				{
					const double *entry = packed->tables[f] +
						(size_t) codes[f * KM_LANES + l] * packed->stride + c;

					for (int i = 0; i < TOGETHER; i++)
						entries[i][l] = entry[i];
				}
				a0 += LOAD(entries[0]);
				a1 += LOAD(entries[1]);
				a2 += LOAD(entries[2]);
				a3 += LOAD(entries[3]);
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
				Lanes		e = LOAD(x + s * KM_LANES) - p[s];

				a += e * e;
			}
			for (int f = 0; f < ncat; f++)
			{
				double		entries[VECTOR_LANES];

				for (int l = 0; l < VECTOR_LANES; l++)
					entries[l] = packed->tables[f]
						[(size_t) codes[f * KM_LANES + l] * packed->stride + c];
				a += LOAD(entries);
			}
			TAKE(a, c);
		}
		*(Lanes *) (d1 + at) = best;
		*(Lanes *) (d2 + at) = next;
		*(LaneIds *) (id + at) = best_id;
	}
}

/* KmMeasure */
static TARGET void
NAME(measure_) (const double *lane, int step, int nnum,
				const double *transposed, int stride, double *distances)
{
	for (int c = 0; c < stride; c += VECTOR_LANES)
	{
		Lanes		sum = {0};

		for (int s = 0; s < nnum; s++)
		{
			Lanes		e = lane[s * step] -
				LOAD(transposed + (size_t) s * stride + c);

			sum += e * e;
		}
		*(Lanes *) (distances + c) = sum;
	}
}

/* bit l: lane l is equal in both; without this gcc takes vectors apart */
#if !defined(KM_WIDE_X86)
static inline unsigned
NAME(equal_) (const double *a, double b)
{
	unsigned	equal = 0;

	for (int l = 0; l < VECTOR_LANES; l++)
		equal |= (unsigned) (a[l] == b) << l;
	return equal;
}
#define EQUAL_LANES(a, b)	NAME(equal_) ((const double *) &(a), (b)[0])
#elif VECTOR_BYTES == 64
#define EQUAL_LANES(a, b) \
	((unsigned) __builtin_ia32_cmppd512_mask(a, b, 0, (unsigned char) -1, 4))
#elif VECTOR_BYTES == 32
#define EQUAL_LANES(a, b)	((unsigned) __builtin_ia32_movmskpd256((Lanes) ((a) == (b))))
#else
#define EQUAL_LANES(a, b)	((unsigned) __builtin_ia32_movmskpd((Lanes) ((a) == (b))))
#endif

/* KmPredict */
static TARGET int
NAME(predict_) (const double *values, const KmAxis *axes, int n,
				const double *transposed, int stride, double *lane)
{
	Lanes		best = (Lanes) {} + (double) INFINITY;
	LaneIds		best_id = {0};
	double		distance[VECTOR_LANES];
	int64_t		id[VECTOR_LANES];
	unsigned	equal;
	int			nearest = INT_MAX;

	for (int s = 0; s < n; s++)
	{
		if (__builtin_expect(!km_axis_place(&axes[s], values[s], &lane[s]), 0))
			return -1;
	}
	for (int c = 0; c < stride; c += VECTOR_LANES)
	{
		Lanes		sum = {0};
		LaneIds		closer;

		for (int s = 0; s < n; s++)
		{
			Lanes		e = lane[s] -
				LOAD(transposed + (size_t) s * stride + c);

			sum += e * e;
		}
		closer = sum < best;
		best = SELECT(closer, sum, best);
		best_id = SELECT_ID(closer, (LaneIds) {} + (int64_t) c, best_id);
	}

	/* halves against halves, so that nothing waits for all others */
	STORE(distance, best);
	for (int half = VECTOR_LANES / 2; half > 0; half /= 2)
	{
		for (int l = 0; l < half; l++)
			distance[l] = distance[l] < distance[l + half] ? distance[l] :
				distance[l + half];
	}
	/* what is beyond is nearer to nothing */
	if (!(distance[0] < (double) INFINITY))
		return -1;
	equal = EQUAL_LANES(best, (Lanes) {} + distance[0]);
	*(LaneIds *) id = best_id;
	/* as a rule there is one */
	do
	{
		int			l = __builtin_ctz(equal);

		if (id[l] + l < nearest)
			nearest = (int) id[l] + l;
		equal &= equal - 1;
	} while (equal != 0);
	return nearest;
}

/* KmBinning */
static TARGET void
NAME(bins_) (const double *values, const double *edges,
			 const int64_t *missing, int nblocks, int64_t *bins)
{
	for (int at = 0; at < nblocks * KM_LANES; at += VECTOR_LANES)
	{
		const double *e = edges +
			(size_t) (at / KM_LANES) * KM_BIN_EDGES * KM_LANES + at % KM_LANES;
		Lanes		x = LOAD(values + at);
		LaneIds		bin = ~(x == x) & *(const LaneIds *) (missing + at);

		/* what is true is -1 */
		for (int i = 0; i < KM_BIN_EDGES; i++)
			bin -= x >= LOAD(e + i * KM_LANES);
		*(LaneIds *) (bins + at) = bin;
	}
}

/* vectors of rows worked on together: hides what a square root takes */
#define PAIR_LANES	(TOGETHER * VECTOR_LANES)

/*
 * KmPairs.  The scratch is the caller's: an array here would have a vector's
 * alignment, which gcc 14's address sanitizer does not keep on its stack.
 */
static TARGET void
NAME(pairs_) (const KmSpace *space, const double *rows, const double *tile,
			  int n, const int32_t *targets, int ntargets,
			  double *restrict sums, double *restrict distance)
{
	int			nnum = space->nnum;
	int			ncat = space->ncat;
	const double *multiplicity = tile + (size_t) space->nfeatures * KM_LANES;

	for (int l = 0; l < n; l++, targets += ntargets)
	{
		for (int at = 0; at < KM_PAIR_ROWS; at += PAIR_LANES)
		{
			const double *x = rows + at;
			const double *y = tile + l;
			Lanes		a0 = {0};
			Lanes		a1 = {0};
			Lanes		a2 = {0};
			Lanes		a3 = {0};

			for (int s = 0; s < nnum; s++, x += KM_PAIR_ROWS, y += KM_LANES)
			{
				Lanes		e0 = LOAD(x) - *y;
				Lanes		e1 = LOAD(x + VECTOR_LANES) - *y;
				Lanes		e2 = LOAD(x + 2 * VECTOR_LANES) - *y;
				Lanes		e3 = LOAD(x + 3 * VECTOR_LANES) - *y;

				a0 += e0 * e0;
				a1 += e1 * e1;
				a2 += e2 * e2;
				a3 += e3 * e3;
			}
			for (int f = 0; f < ncat; f++, x += KM_PAIR_ROWS, y += KM_LANES)
			{
				LaneIds		apart = (LaneIds) ((Lanes) {} +
											   2 * space->factor[f] *
											   space->factor[f]);
				Lanes		code = (Lanes) {} + *y;

				a0 += (Lanes) ((LOAD(x) != code) & apart);
				a1 += (Lanes) ((LOAD(x + VECTOR_LANES) != code) & apart);
				a2 += (Lanes) ((LOAD(x + 2 * VECTOR_LANES) != code) & apart);
				a3 += (Lanes) ((LOAD(x + 3 * VECTOR_LANES) != code) & apart);
			}
			STORE(distance + at, a0);
			STORE(distance + at + VECTOR_LANES, a1);
			STORE(distance + at + 2 * VECTOR_LANES, a2);
			STORE(distance + at + 3 * VECTOR_LANES, a3);
		}
		/* shorter loops gcc unrolls before it can make vectors of them */
		for (int i = 0; i < KM_PAIR_ROWS; i++)
			distance[i] = sqrt(distance[i]) * multiplicity[l];
		for (int t = 0; t < ntargets; t++)
		{
			double	   *sum = sums + targets[t];

			for (int i = 0; i < KM_PAIR_ROWS; i += VECTOR_LANES)
				STORE(sum + i, LOAD(sum + i) + LOAD(distance + i));
		}
	}
}

#undef VECTOR_LANES
#undef PAIR_LANES
#undef Lanes
#undef LaneIds
#undef LOAD
#undef STORE
#undef SELECT
#undef SELECT_ID
#undef TAKE
#undef EQUAL_LANES
#undef NAME
#undef TARGET
#undef VECTOR_BYTES
