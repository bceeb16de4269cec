/*
 * member_key.c
 *		Keys of customers: their hash, whether two are the same, their text.
 *
 * Two keys are the same when the target's unique index says so: by the
 * default equality of the columns' types, under the columns' collations.  A
 * type that has no hash function (bit, money) is told apart by its text, which
 * is what the history knows a customer by in any case.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "members.h"

/*
 * The type whose output a key is printed by.  A moment prints in the session's
 * time zone; the same moment is the same number as a timestamp in UTC.
 */
Oid
kseg_member_key_printed(Oid type)
{
	return getBaseType(type) == TIMESTAMPTZOID ? TIMESTAMPOID : type;
}

static void
init_column(KsegKeyColumn *column, Oid type, Oid collation)
{
	TypeCacheEntry *cache = lookup_type_cache(type,
											  TYPECACHE_EQ_OPR_FINFO |
											  TYPECACHE_HASH_EXTENDED_PROC_FINFO);
	Oid			output;
	bool		is_varlena;

	column->collation = collation;
	column->length = cache->typlen;
	column->by_value = cache->typbyval;
	column->has_hash = OidIsValid(cache->eq_opr) &&
		OidIsValid(cache->hash_extended_proc);
	if (column->has_hash)
	{
		fmgr_info(cache->eq_opr_finfo.fn_oid, &column->equal);
		fmgr_info(cache->hash_extended_proc, &column->hash);
	}
	getTypeOutputInfo(kseg_member_key_printed(type), &output, &is_varlena);
	fmgr_info(output, &column->output);
}

void
kseg_member_key_init(KsegMemberKey *key, int ncolumns, const Oid *types,
					 const int32 *typmods, const Oid *collations)
{
	key->ncolumns = ncolumns;
	key->columns = palloc(sizeof(KsegKeyColumn) * ncolumns);
	key->row = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		init_column(&key->columns[i], types[i], collations[i]);
		TupleDescInitEntry(key->row, (AttrNumber) (i + 1), NULL,
						   kseg_member_key_printed(types[i]), typmods[i], 0);
	}
	key->row = BlessTupleDesc(key->row);
	fmgr_info(F_RECORD_OUT, &key->row_output);
}

static inline uint64
hash_value(KsegKeyColumn *column, Datum value)
{
	char	   *text;

	if (likely(column->has_hash))
		return DatumGetUInt64(FunctionCall2Coll(&column->hash,
												column->collation, value,
												UInt64GetDatum(0)));
	text = OutputFunctionCall(&column->output, value);
	return hash_bytes_extended((const unsigned char *) text,
							   (int) strlen(text), 0);
}

uint64
kseg_member_key_hash(KsegMemberKey *key, const Datum *values)
{
	uint64		hash = hash_value(&key->columns[0], values[0]);

	for (int i = 1; i < key->ncolumns; i++)
		hash = hash_combine64(hash, hash_value(&key->columns[i], values[i]));
	return hash;
}

static bool
is_same_text(KsegKeyColumn *column, Datum a, Datum b)
{
	return strcmp(OutputFunctionCall(&column->output, a),
				  OutputFunctionCall(&column->output, b)) == 0;
}

bool
kseg_member_key_equal(KsegMemberKey *key, const Datum *a, const Datum *b)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		KsegKeyColumn *column = &key->columns[i];

		/* the equality of a btree is reflexive */
		if (column->by_value && a[i] == b[i])
			continue;
		if (column->has_hash ?
			!DatumGetBool(FunctionCall2Coll(&column->equal, column->collation,
											a[i], b[i])) :
			!is_same_text(column, a[i], b[i]))
			return false;
	}
	return true;
}

char *
kseg_member_key_print(KsegMemberKey *key, const Datum *values)
{
	bool		nulls[INDEX_MAX_KEYS] = {0};
	HeapTuple	tuple;

	if (key->ncolumns == 1)
		return OutputFunctionCall(&key->columns[0].output, values[0]);
	tuple = heap_form_tuple(key->row, (Datum *) values, nulls);
	return OutputFunctionCall(&key->row_output, HeapTupleGetDatum(tuple));
}

/*
 * These are summed over the customers.  A sum must tell who is where: neither
 * may two that change places leave it as it is, nor keys or segments that
 * differ by a constant.
 */
uint64
kseg_member_hash(uint64 key_hash, int segment)
{
	uint64		h = key_hash ^
		((uint64) (uint32) segment * UINT64CONST(0x9e3779b97f4a7c15));

	/* the finalizer of MurmurHash3 */
	h ^= h >> 33;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64CONST(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}
