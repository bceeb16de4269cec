/*
 * rows.c
 *		The store of rows: what goes in comes out, in order; its limit; and
 *		allocation sizes that do not fit.
 */
#include "tap.h"

static const KmKind kinds[] = {KM_NUMBER, KM_CATEGORY, KM_NUMBER};

static double
cell(const KmTable *table, int64_t row, int slot)
{
	const KmBlock *block = table->blocks;

	while (row >= block->first + block->nrows)
		block++;
	row -= block->first;
	return km_tile(table, block, (int) (row / KM_LANES))
		[slot * KM_LANES + row % KM_LANES];
}

static void
test_contents(int n)
{
	TestHost	host;
	KmRows	   *rows;
	bool		added = true;
	bool		same = true;
	bool		aligned = true;
	bool		padded = true;

	host_init(&host);
	km_rows_create(&host.host, 3, kinds, true, false, 0, &rows);
	for (int i = 0; i < n; i++)
		added &= km_rows_add(rows, (double[]) {i + 0.5, i % 3, -i}, i + 1)
			== KM_OK;
	/* categories stand behind numbers */
	for (int i = 0; i < n; i++)
		same &= cell(&rows->table, i, 0) == i + 0.5 &&
			same_bits(cell(&rows->table, i, 1), i == 0 ? 0 : -i) &&
			cell(&rows->table, i, 2) == i % 3 &&
			cell(&rows->table, i, 3) == i + 1;
	for (int b = 0; b < rows->table.nblocks; b++)
	{
		const KmBlock *block = &rows->table.blocks[b];
		int			last = km_block_tiles(block) - 1;
		const double *tile = km_tile(&rows->table, block, last);

		aligned &= (uintptr_t) block->data % 64 == 0 &&
			block->first % KM_LANES == 0 && block->capacity % KM_LANES == 0;
		for (int l = km_tile_rows(block, last); l < KM_LANES; l++)
		{
			for (int s = 0; s < 4; s++)
				padded &= tile[s * KM_LANES + l] == 0;
		}
	}
	check(added && same && km_rows_count(rows) == n,
		  "%d rows come out as they went in", n);
	check(aligned && padded, "tiles stand on cache lines, padded with zeros");
	check(rows->table.bytes >= (size_t) n * 32 &&
		  rows->table.bytes <= (size_t) n * 32 * 9 / 8 + 2048,
		  "an eighth more than needed at most");
	km_rows_free(rows);
	check(host.outstanding == 0, "all freed");
}

static void
test_limit(void)
{
	TestHost	host;
	KmRows	   *rows;
	KmStatus	status = KM_OK;

	host_init(&host);
	km_rows_create(&host.host, 3, kinds, false, false, 50000, &rows);
	while (status == KM_OK)
		status = km_rows_add(rows, (double[]) {1, 2, 3}, 1);
	check(status == KM_OVER_LIMIT && rows->table.bytes <= 50000 &&
		  km_rows_count(rows) > 1700, "the limit holds, and is used");
	check(km_rows_add(rows, (double[]) {1, 2, 3}, 1) == KM_OVER_LIMIT,
		  "it goes on holding");
	km_rows_free(rows);
	check(host.outstanding == 0, "all freed");
}

static void
test_negative_zero(void)
{
	TestHost	host;
	KmRows	   *rows;

	host_init(&host);
	km_rows_create(&host.host, 3, kinds, false, false, 0, &rows);
	km_rows_add(rows, (double[]) {-0.0, 0, NAN}, 1);
	check(same_bits(cell(&rows->table, 0, 0), 0.0) &&
		  isnan(cell(&rows->table, 0, 1)), "-0 is 0, a missing value stays");
	km_rows_free(rows);
}

static void
test_host(void)
{
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	void	   *none;

	host_init(&host);
	check(km_alloc(&host.host, SIZE_MAX / 2, 4) == NULL &&
		  km_alloc(&host.host, (size_t) 1 << 60, 8) == NULL &&
		  host.allocations == 0, "sizes that overflow are refused unasked");
	none = km_alloc(&host.host, 0, 8);
	check(none != NULL, "no bytes are some bytes");
	km_free(&host.host, none);
	km_free(&host.host, NULL);
	check(host.outstanding == 0, "freeing nothing is fine");

	for (int i = 0; i < 100; i++)
		km_poll(&poll, KM_POLL_WORK / 10);
	check(host.polls == 10, "polls come by work");
	host.stop_at = 11;
	check(!km_poll(&poll, KM_POLL_WORK), "and can say stop");
	host.host.poll = NULL;
	check(km_poll(&poll, KM_POLL_WORK), "a host need not poll");
}

int
main(void)
{
	test_contents(1);
	test_contents(8);
	test_contents(33);
	test_contents(5003);
	test_limit();
	test_negative_zero();
	test_host();
	return finish();
}
