/*
 * spill.c
 *		Rows that do not fit into kseg.work_mem: a temporary file.
 *
 * fd.c's temporary files, as under a BufFile: temp_tablespaces and
 * temp_file_limit hold, log_temp_files and pg_stat_database see them, and an
 * error or the end of the transaction removes them.  A BufFile itself would
 * move each block through a buffer of 8 kB, one system call and one more copy
 * for each; blocks are up to a megabyte.
 *
 * The file is closed with the memory context of its rows, or when the resource
 * owner goes before that: the owner closes it then, and nobody may touch it
 * any more.
 */
#include "postgres.h"

#include "commands/tablespace.h"
#include "lib/ilist.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "errors.h"
#include "kseg.h"

/* as a BufFile's, so that tablespaces share what there is */
#define SEGMENT_BYTES	(INT64CONST(1) << 30)

struct KsegSpill
{
	KmStore		store;
	MemoryContext context;
	ResourceOwner owner;		/* of whoever reads the rows */
	MemoryContextCallback callback;
	/* when there is a file */
	int			nfiles;
	File	   *files;			/* NULL before the first block */
	dlist_node	node;			/* of open_spills, while nfiles > 0 */
};

static dlist_head open_spills = DLIST_STATIC_INIT(open_spills);

/* ---- closing ---- */

static void
forget_files(KsegSpill *spill)
{
	if (spill->nfiles > 0)
		dlist_delete(&spill->node);
	spill->nfiles = 0;
}

static void
close_files(void *arg)
{
	KsegSpill  *spill = arg;

	for (int i = 0; i < spill->nfiles; i++)
		FileClose(spill->files[i]);
	forget_files(spill);
}

/* before files are released: the owner closes them right after */
static void
release_files(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
			  void *arg)
{
	dlist_mutable_iter i;

	if (phase != RESOURCE_RELEASE_BEFORE_LOCKS)
		return;
	dlist_foreach_modify(i, &open_spills)
	{
		KsegSpill  *spill = dlist_container(KsegSpill, node, i.cur);

		if (spill->owner == CurrentResourceOwner)
			forget_files(spill);
	}
}

/* ---- files ---- */

static void
start_files(KsegSpill *spill)
{
	static bool is_registered = false;

	if (!is_registered)
		RegisterResourceReleaseCallback(release_files, NULL);
	is_registered = true;
	PrepareTempTablespaces();
	spill->callback.func = close_files;
	spill->callback.arg = spill;
	MemoryContextRegisterResetCallback(spill->context, &spill->callback);
	spill->files = MemoryContextAlloc(spill->context, sizeof(File));
}

static File
find_file(KsegSpill *spill, int64 segment)
{
	while (spill->nfiles <= segment)
	{
		ResourceOwner caller = CurrentResourceOwner;

		if (spill->files == NULL)
			start_files(spill);
		else
			spill->files = repalloc(spill->files,
									sizeof(File) * (spill->nfiles + 1));
		CurrentResourceOwner = spill->owner;
		spill->files[spill->nfiles] = OpenTemporaryFile(false);
		CurrentResourceOwner = caller;
		if (spill->nfiles++ == 0)
			dlist_push_head(&open_spills, &spill->node);
	}
	return spill->files[segment];
}

/* bytes that are in the same segment as the first */
static int
bytes_here(int64 at, size_t size)
{
	return (int) Min(SEGMENT_BYTES - at % SEGMENT_BYTES, (int64) size);
}

static KmStatus
write_bytes(void *arg, int64_t at, const void *bytes, size_t size)
{
	while (size > 0)
	{
		File		file = find_file(arg, at / SEGMENT_BYTES);
		int			here = bytes_here(at, size);
		int			done;

		errno = 0;
		done = FileWrite(file, (char *) bytes, here, at % SEGMENT_BYTES,
						 WAIT_EVENT_BUFFILE_WRITE);
		if (done <= 0)
		{
			/* what a full disk looks like */
			if (errno == 0)
				errno = ENOSPC;
			kseg_error_spill_write(FilePathName(file));
		}
		at += done;
		bytes = (const char *) bytes + done;
		size -= done;
	}
	return KM_OK;
}

static KmStatus
read_bytes(void *arg, int64_t at, void *bytes, size_t size)
{
	while (size > 0)
	{
		File		file = find_file(arg, at / SEGMENT_BYTES);
		int			here = bytes_here(at, size);
		int			done = FileRead(file, (char *) bytes, here,
									at % SEGMENT_BYTES,
									WAIT_EVENT_BUFFILE_READ);

		if (done <= 0)
			kseg_error_spill_read(FilePathName(file), done);
		at += done;
		bytes = (char *) bytes + done;
		size -= done;
	}
	return KM_OK;
}

KsegSpill *
kseg_spill_create(MemoryContext context)
{
	KsegSpill  *spill = MemoryContextAllocZero(context, sizeof(KsegSpill));

	spill->store.write = write_bytes;
	spill->store.read = read_bytes;
	spill->store.arg = spill;
	spill->context = context;
	spill->owner = CurrentResourceOwner;
	return spill;
}

const KmStore *
kseg_spill_store(const KsegSpill *spill)
{
	return &spill->store;
}
