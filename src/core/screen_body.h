/*
 * screen_body.h
 *		The screen, once for each vector unit: screen.c includes this with
 *		NAME(stem), TARGET and the unit's types and operations defined.
 *
 * Lanes are rows.  What these compute need not be the same for all units:
 * only its error is bounded.
 */

/* x and codes from tiles */
static TARGET void
NAME(load_) (KmScreen *screen, const double *tiles, int ntiles, int nslots)
{
	double		scale = screen->scale;
	size_t		ahead = (size_t) nslots * KM_SCREEN_ROWS;

	for (int t = 0; t < ntiles; t++)
	{
		const double *tile = tiles + (size_t) t * nslots * KM_LANES;
		float	   *x = screen->x + t * KM_LANES;
		int32_t    *codes = screen->codes + t * KM_LANES;

		for (int s = 0; s < screen->nnum; s++)
		{
			/*
			 * The next calls': hardware stops at the end of a page.  One
			 * level of cache alone has not enough lines on their way.
			 */
			__builtin_prefetch(tile + ahead);
			__builtin_prefetch(tile + 4 * ahead, 0, 2);
			for (int l = 0; l < KM_LANES; l++)
				x[l] = (float) (tile[l] * scale);
			x += KM_SCREEN_ROWS;
			tile += KM_LANES;
		}
		for (int f = 0; f < screen->ncat; f++)
		{
			for (int l = 0; l < KM_LANES; l++)
				codes[l] = (int32_t) tile[l];
			codes += KM_SCREEN_ROWS;
			tile += KM_LANES;
		}
	}
}

#ifndef HAS_ADD
/* KmScreening.add */
static TARGET void
NAME(add_) (const double *tile, const double *scale, int nnum, int nrows,
			const int32_t *id, int64_t *sums)
{
	size_t		stride = km_sums_stride(nnum);
	int64_t    *to[KM_LANES];

	for (int l = 0; l < nrows; l++)
		to[l] = sums + id[l] * stride;
	for (int s = 0; s < nnum; s++, tile += KM_LANES)
	{
		int64_t		column[KM_LANES];

		for (int l = 0; l < KM_LANES; l++)
			column[l] = (int64_t) (tile[l] * scale[s]);
		for (int l = 0; l < nrows; l++)
			to[l][s] += column[l];
	}
	for (int l = 0; l < nrows; l++)
		to[l][nnum]++;
}
#endif

/* scores of four centers for two vectors of rows */
#define SCORE_FOUR(at, c) \
	do { \
		const float *p_ = screen->values + (size_t) (c) * nnum; \
		const float *x_ = screen->x + (at); \
		a0 = b0 = SPREAD(screen->half[c]); \
		a1 = b1 = SPREAD(screen->half[(c) + 1]); \
		a2 = b2 = SPREAD(screen->half[(c) + 2]); \
		a3 = b3 = SPREAD(screen->half[(c) + 3]); \
		for (int s = 0; s < nnum; s++, p_ += 4, x_ += KM_SCREEN_ROWS) \
		{ \
			Floats		x0_ = LOAD(x_); \
			Floats		x1_ = LOAD(x_ + LANES); \
			Floats		c_; \
			c_ = SPREAD(p_[0]); a0 = FMA(x0_, c_, a0); b0 = FMA(x1_, c_, b0); \
			c_ = SPREAD(p_[1]); a1 = FMA(x0_, c_, a1); b1 = FMA(x1_, c_, b1); \
			c_ = SPREAD(p_[2]); a2 = FMA(x0_, c_, a2); b2 = FMA(x1_, c_, b2); \
			c_ = SPREAD(p_[3]); a3 = FMA(x0_, c_, a3); b3 = FMA(x1_, c_, b3); \
		} \
		for (int f = 0; f < ncat; f++) \
		{ \
			const int32_t *codes_ = screen->codes + f * KM_SCREEN_ROWS + (at); \
			float		entries_[4][2 * LANES]; \
			for (int l = 0; l < 2 * LANES; l++) \
			{ \
				const float *entry_ = screen->tables[f] + \
					(size_t) codes_[l] * screen->padded + (c); \
				for (int i = 0; i < 4; i++) \
					entries_[i][l] = entry_[i]; \
			} \
			a0 = ADD(a0, LOAD(entries_[0])); \
			b0 = ADD(b0, LOAD(entries_[0] + LANES)); \
			a1 = ADD(a1, LOAD(entries_[1])); \
			b1 = ADD(b1, LOAD(entries_[1] + LANES)); \
			a2 = ADD(a2, LOAD(entries_[2])); \
			b2 = ADD(b2, LOAD(entries_[2] + LANES)); \
			a3 = ADD(a3, LOAD(entries_[3])); \
			b3 = ADD(b3, LOAD(entries_[3] + LANES)); \
		} \
	} while (0)

/* the same of one */
#define SCORE_ONE(at, c) \
	do { \
		const float *p_ = screen->values + \
			(size_t) ((c) / 4 * 4) * nnum + (c) % 4; \
		const float *x_ = screen->x + (at); \
		a0 = b0 = SPREAD(screen->half[c]); \
		for (int s = 0; s < nnum; s++, p_ += 4, x_ += KM_SCREEN_ROWS) \
		{ \
			a0 = FMA(LOAD(x_), SPREAD(*p_), a0); \
			b0 = FMA(LOAD(x_ + LANES), SPREAD(*p_), b0); \
		} \
		for (int f = 0; f < ncat; f++) \
		{ \
			const int32_t *codes_ = screen->codes + f * KM_SCREEN_ROWS + (at); \
			float		entries_[2 * LANES]; \
			for (int l = 0; l < 2 * LANES; l++) \
				entries_[l] = screen->tables[f] \
					[(size_t) codes_[l] * screen->padded + (c)]; \
			a0 = ADD(a0, LOAD(entries_)); \
			b0 = ADD(b0, LOAD(entries_ + LANES)); \
		} \
	} while (0)

#define TAKE_TWO(v, score, c) \
	do { \
		Less		closer_ = LESS(score, best##v); \
		next##v = MIN(next##v, MAX(best##v, score)); \
		best##v = MIN(best##v, score); \
		id##v = PICK(closer_, SPREAD_ID(c), id##v); \
	} while (0)

#define TAKE_THREE(v, score, c) \
	do { \
		Less		closer_ = LESS(score, best##v); \
		Less		second_ = LESS(score, next##v); \
		third##v = MIN(third##v, MAX(next##v, score)); \
		second##v = PICK(second_, PICK(closer_, id##v, SPREAD_ID(c)), \
						 second##v); \
		next##v = MIN(next##v, MAX(best##v, score)); \
		best##v = MIN(best##v, score); \
		id##v = PICK(closer_, SPREAD_ID(c), id##v); \
	} while (0)

#define TAKE_FOUR(TAKE, c) \
	do { \
		TAKE(0, a0, c); \
		TAKE(1, b0, c); \
		TAKE(0, a1, (c) + 1); \
		TAKE(1, b1, (c) + 1); \
		TAKE(0, a2, (c) + 2); \
		TAKE(1, b2, (c) + 2); \
		TAKE(0, a3, (c) + 3); \
		TAKE(1, b3, (c) + 3); \
	} while (0)

/* all centers, four by four; one or two that are left, by themselves */
#define TAKE_ALL(TAKE, at) \
	do { \
		int			c_ = 0; \
		Floats		a0, a1, a2, a3, b0, b1, b2, b3; \
		for (; c_ + 2 < screen->k; c_ += 4) \
		{ \
			SCORE_FOUR(at, c_); \
			TAKE_FOUR(TAKE, c_); \
		} \
		for (; c_ < screen->k; c_++) \
		{ \
			SCORE_ONE(at, c_); \
			TAKE(0, a0, c_); \
			TAKE(1, b0, c_); \
		} \
	} while (0)

/* lengths of rows, and which of them the scores do not decide */
#define FINISH(v, at) \
	do { \
		Floats		square_ = SPREAD(0); \
		Floats		error_; \
		for (int s = 0; s < nnum; s++) \
		{ \
			Floats		x_ = LOAD(screen->x + s * KM_SCREEN_ROWS + (at)); \
			square_ = FMA(x_, x_, square_); \
		} \
		error_ = FMA(best##v, SPREAD(screen->score_share), \
					 FMA(square_, SPREAD(screen->square_share), \
						 SPREAD(screen->error))); \
		STORE(screened->best + (at), best##v); \
		STORE(screened->next + (at), next##v); \
		STORE(screened->square + (at), square_); \
		STORE_ID(screened->id + (at), id##v); \
		screened->unsure |= (uint64_t) \
			BITS_NOT_ABOVE(SUB(next##v, best##v), error_) << (at); \
		screened->other |= (uint64_t) \
			BITS_DIFFER(id##v, LOAD_OWN(own + (at))) << (at); \
	} while (0)

static TARGET void
NAME(two_) (const KmScreen *screen, const uint16_t *own,
			KmScreened *screened)
{
	int			nnum = screen->nnum;
	int			ncat = screen->ncat;

	screened->unsure = 0;
	screened->other = 0;
	for (int at = 0; at < KM_SCREEN_ROWS; at += 2 * LANES)
	{
		Floats		best0 = SPREAD(FAR_AWAY);
		Floats		best1 = best0;
		Floats		next0 = best0;
		Floats		next1 = best0;
		Ids			id0 = SPREAD_ID(0);
		Ids			id1 = id0;

		TAKE_ALL(TAKE_TWO, at);
		FINISH(0, at);
		FINISH(1, at + LANES);
	}
}

static TARGET void
NAME(three_) (const KmScreen *screen, const uint16_t *own,
			  KmScreened *screened)
{
	int			nnum = screen->nnum;
	int			ncat = screen->ncat;

	screened->unsure = 0;
	screened->other = 0;
	for (int at = 0; at < KM_SCREEN_ROWS; at += 2 * LANES)
	{
		Floats		best0 = SPREAD(FAR_AWAY);
		Floats		best1 = best0;
		Floats		next0 = best0;
		Floats		next1 = best0;
		Floats		third0 = best0;
		Floats		third1 = best0;
		Ids			id0 = SPREAD_ID(0);
		Ids			id1 = id0;
		Ids			second0 = id0;
		Ids			second1 = id0;

		TAKE_ALL(TAKE_THREE, at);
		FINISH(0, at);
		FINISH(1, at + LANES);
		STORE(screened->third + at, third0);
		STORE(screened->third + at + LANES, third1);
		STORE_ID(screened->second + at, second0);
		STORE_ID(screened->second + at + LANES, second1);
	}
}

/* of a center at distance d with this score */
#define GAP(score, d) \
	SUB(SUB(MUL(DIV(MUL(SPREAD(2), SUB(SUB(score, best), error)), \
					ADD(d1, d)), SPREAD(GAP_TRUST)), \
			MUL(SPREAD(GAP_MARGIN), d)), SPREAD(margin))

/*
 * d2 - d1 = (d2^2 - d1^2) / (d2 + d1): the difference of the scores keeps
 * its digits where that of the distances would lose them.
 */
static TARGET void
NAME(gaps_) (const KmScreen *screen, const KmScreened *screened,
			 float margin, float *to_second, float *to_others)
{
	Floats		zero = SPREAD(0);
	Floats		square_room = SPREAD(1 + SQUARE_ROOM * screen->share);
	Floats		twice = SPREAD(2 + SCORE_ROOM * screen->share);

	for (int at = 0; at < KM_SCREEN_ROWS; at += LANES)
	{
		Floats		square = LOAD(screened->square + at);
		Floats		best = LOAD(screened->best + at);
		Floats		next = LOAD(screened->next + at);
		Floats		third = LOAD(screened->third + at);
		Floats		error = FMA(best, SPREAD(screen->score_share),
								FMA(square, SPREAD(screen->square_share),
									SPREAD(screen->error)));
		Floats		room = FMA(square, square_room,
							   SPREAD(4 * screen->error));
		/* no less than the squared distances; negative only by rounding */
		Floats		d1 = SQRT(MAX(FMA(twice, best, room), zero));
		Floats		d2 = SQRT(MAX(FMA(twice, next, room), zero));
		Floats		d3 = SQRT(MAX(FMA(twice, third, room), zero));

		STORE(to_second + at, GAP(next, d2));
		STORE(to_others + at, GAP(third, d3));
	}
}

/* KmScreening.doubt */
static TARGET uint32_t
NAME(doubt_) (const KmLeads *leads, const float *way, const float *drift,
			  int nways, float *least)
{
	Floats		low = SPREAD(FAR_AWAY);
	uint32_t	doubt = 0;

	for (int at = 0; at < KM_LEAD_ROWS; at += LANES)
	{
		Ids			own = LOAD_OWN(leads->own + at);
		Ids			second = LOAD_OWN(leads->second + at);
		Floats		ways = ADD(LOOK_UP(way, own, nways),
							   LOOK_UP(way, second, nways));
		Floats		left = SUB(LOAD(leads->to_second + at), ways);
		Floats		others = SUB(LOAD(leads->to_others + at),
								 LOOK_UP(drift, own, nways));

		left = MIN(left, others);
		doubt |= (uint32_t) BITS_NOT_ABOVE(left, SPREAD(KM_LEAD_MIN)) << at;
		low = MIN(low, BIG_UNLESS_ABOVE(left, SPREAD(KM_LEAD_MIN)));
	}
	*least = LEAST(low);
	return doubt;
}

#undef SCORE_FOUR
#undef SCORE_ONE
#undef TAKE_TWO
#undef TAKE_THREE
#undef TAKE_FOUR
#undef TAKE_ALL
#undef FINISH
#undef GAP
#undef NAME
#undef TARGET
#undef LANES
#undef Floats
#undef Ids
#undef Less
#undef LOAD
#undef STORE
#undef STORE_ID
#undef LOAD_OWN
#undef SPREAD
#undef SPREAD_ID
#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef SQRT
#undef FMA
#undef MIN
#undef MAX
#undef LESS
#undef PICK
#undef BITS_NOT_ABOVE
#undef BITS_DIFFER
#undef LOOK_UP
#undef BIG_UNLESS_ABOVE
#undef LEAST
#undef HAS_ADD
