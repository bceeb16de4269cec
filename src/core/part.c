/*
 * part.c
 *		A part of a pass, wherever some of the rows are.
 *
 * A pass is told to another machine as bytes: the step, the layout of the
 * rows, how values become positions, and the step's input.  There it is
 * opened, takes that machine's rows and writes its state, which is merged
 * with that of the other machines.  Rows wait in one small block, so that a
 * step gets blocks as it does in memory and no row is kept.
 *
 * What comes from another machine is not trusted: km_pass_check() looks at
 * every length before it is used, and a step at its own input and states.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

/* what a block of waiting rows takes, about half of a first-level cache */
#define BLOCK_BYTES		(16 * 1024)

/* tells the version, and machines of another byte order */
#define PASS_MAGIC		UINT32_C(0x6b6d5031)
#define PART_MAGIC		UINT32_C(0x6b6d5131)

/*
 * Before the features (as a model without segments), what places rows, and
 * the input; each on a boundary of 8 bytes.
 */
typedef struct PassHeader
{
	uint32_t	magic;
	uint16_t	form;
	uint16_t	step;
	int32_t		weight_argument;
	uint32_t	encoding;
	int64_t		rows;
	uint64_t	model_size;
	uint64_t	placing_size;
	uint64_t	input_size;
} PassHeader;

_Static_assert(sizeof(PassHeader) == 48, "no padding in PassHeader");

/* before a step's state */
typedef struct PartHeader
{
	uint32_t	magic;
	uint32_t	unused;
	int64_t		rows;
} PartHeader;

struct KmPart
{
	/* set once */
	const KmHost *host;
	const KmPass *pass;
	KmPoll		poll;
	KmRows	   *layout;			/* no rows in it */
	KmTable		table;			/* one block */
	bool		has_table;
	KmSpace		space;			/* positions, not of a model */
	bool		has_space;
	KmPlaced   *placed;			/* NULL, or its positions */
	KmJob		job;
	bool		is_open;
	int			capacity;		/* rows of the block */
	/* changes while rows come */
	KmBlock    *block;
	int64_t		rows;			/* added or merged, those waiting included */
};

/* ---- a pass as bytes ---- */

static size_t
padded(size_t size)
{
	return (size + 7) & ~(size_t) 7;
}

void
km_job_describe(const KmJob *job, KmPass *pass)
{
	pass->form = job->space == NULL ? KM_FORM_RAW : KM_FORM_POSITIONS;
	pass->step = job->step->id;
	pass->input = job->input;
	pass->input_size = job->input_size;
}

size_t
km_pass_size(const KmPass *pass)
{
	return sizeof(PassHeader) + padded(km_model_size(pass->model)) +
		padded(pass->placing_size) + padded(pass->input_size);
}

/* the place after them */
static unsigned char *
put_padded(unsigned char *to, const void *from, size_t size)
{
	if (size > 0)
		memcpy(to, from, size);
	memset(to + size, 0, padded(size) - size);
	return to + padded(size);
}

void
km_pass_write(const KmPass *pass, unsigned char *bytes)
{
	PassHeader	header = {0};

	header.magic = PASS_MAGIC;
	header.form = (uint16_t) pass->form;
	header.step = (uint16_t) pass->step;
	header.weight_argument = pass->weight_argument;
	header.encoding = (uint32_t) pass->encoding;
	header.rows = pass->rows;
	header.model_size = km_model_size(pass->model);
	header.placing_size = pass->placing_size;
	header.input_size = pass->input_size;
	memcpy(bytes, &header, sizeof(header));
	bytes += sizeof(header);
	km_model_write(pass->model, bytes);
	memset(bytes + header.model_size, 0,
		   padded(header.model_size) - header.model_size);
	bytes += padded(header.model_size);
	bytes = put_padded(bytes, pass->placing, pass->placing_size);
	(void) put_padded(bytes, pass->input, pass->input_size);
}

/* Take a piece of "size" off what is left, which ends with zeros. */
static bool
take_padded(const unsigned char **at, size_t *left, uint64_t size)
{
	if (size > *left || padded(size) > *left)
		return false;
	for (size_t i = size; i < padded(size); i++)
	{
		if ((*at)[i] != 0)
			return false;
	}
	*at += padded(size);
	*left -= padded(size);
	return true;
}

/*
 * Does the step take rows of this form?  Those that look at positions count
 * on a space, and what a step changes in rows or beside them is kept nowhere.
 */
static bool
is_step_of_form(KmStepId step, KmForm form)
{
	switch (step)
	{
		case KM_STEP_STATISTICS:
			return form == KM_FORM_RAW;
		case KM_STEP_RANKS:
			return true;
		case KM_STEP_PLACE:
		case KM_STEP_RENUMBER:
			return false;
		default:
			return form != KM_FORM_RAW && km_step(step) != NULL;
	}
}

static bool
is_header(const PassHeader *header)
{
	if (header->form > KM_FORM_PLACED || header->encoding > 1000 ||
		header->weight_argument < -1 ||
		header->weight_argument > KM_MAX_FEATURES || header->rows < 0)
		return false;
	if (header->form == KM_FORM_SURVEY || header->form == KM_FORM_COUNT)
		return header->step == 0;
	return is_step_of_form((KmStepId) header->step, (KmForm) header->form);
}

/* Where the pieces are; needs no memory. */
static KmStatus
find_pieces(const unsigned char *bytes, size_t size, PassHeader *header,
			const unsigned char *pieces[3])
{
	const unsigned char *at;
	size_t		left;

	if (size < sizeof(PassHeader))
		return KM_BAD_FORMAT;
	memcpy(header, bytes, sizeof(PassHeader));
	at = bytes + sizeof(PassHeader);
	left = size - sizeof(PassHeader);
	if (header->magic != PASS_MAGIC)
		return KM_BAD_VERSION;
	if (!is_header(header))
		return KM_BAD_FORMAT;
	pieces[0] = at;
	if (!take_padded(&at, &left, header->model_size))
		return KM_BAD_FORMAT;
	pieces[1] = at;
	if (!take_padded(&at, &left, header->placing_size))
		return KM_BAD_FORMAT;
	pieces[2] = at;
	return take_padded(&at, &left, header->input_size) && left == 0 ?
		KM_OK : KM_BAD_FORMAT;
}

KmStatus
km_pass_check(const unsigned char *bytes, size_t size)
{
	PassHeader	header;
	const unsigned char *pieces[3];

	KM_TRY(find_pieces(bytes, size, &header, pieces));
	return km_model_check(pieces[0], header.model_size, true);
}

/* a copy on a boundary that doubles like */
static KmStatus
copy_piece(const KmHost *host, const unsigned char *bytes, size_t size,
		   const void **copy)
{
	void	   *to = km_alloc(host, size + 1, 1);

	if (to == NULL)
		return KM_NO_MEMORY;
	memcpy(to, bytes, size);
	*copy = to;
	return KM_OK;
}

KmStatus
km_pass_read(const KmHost *host, const unsigned char *bytes, size_t size,
			 KmPass **result)
{
	PassHeader	header;
	const unsigned char *pieces[3];
	KmPass	   *pass;
	KmStatus	status;

	KM_TRY(find_pieces(bytes, size, &header, pieces));
	pass = km_alloc_zero(host, 1, sizeof(KmPass));
	if (pass == NULL)
		return KM_NO_MEMORY;
	pass->form = (KmForm) header.form;
	pass->step = header.step;
	pass->weight_argument = header.weight_argument;
	pass->encoding = (int) header.encoding;
	pass->rows = header.rows;
	pass->placing_size = header.placing_size;
	pass->input_size = header.input_size;
	status = km_model_read(host, pieces[0], header.model_size, true,
						   &pass->model);
	if (status == KM_OK)
		status = copy_piece(host, pieces[1], header.placing_size,
							&pass->placing);
	if (status == KM_OK)
		status = copy_piece(host, pieces[2], header.input_size, &pass->input);
	if (status != KM_OK)
	{
		km_pass_free(host, pass);
		return status;
	}
	*result = pass;
	return KM_OK;
}

const char *
km_pass_name(const KmPass *pass)
{
	return pass->step == 0 ? "survey" :
		km_step((KmStepId) pass->step)->name;
}

void
km_pass_free(const KmHost *host, KmPass *pass)
{
	if (pass == NULL)
		return;
	if (pass->model != NULL)
		km_model_free(host, pass->model);
	km_free(host, (void *) pass->placing);
	km_free(host, (void *) pass->input);
	km_free(host, pass);
}

/* ---- opening ---- */

static KmStatus
create_table(KmPart *part)
{
	const KmModel *model = part->pass->model;
	KmKind	   *kinds = km_alloc(part->host, model->nfeatures,
								 sizeof(KmKind));
	size_t		rows;
	KmStatus	status;

	if (kinds == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < model->nfeatures; f++)
		kinds[f] = model->features[f].kind;
	status = km_rows_create(part->host, model->nfeatures, kinds,
							part->pass->weight_argument >= 0,
							part->pass->form != KM_FORM_PLACED &&
							model->distance == KM_COSINE, 0, &part->layout);
	km_free(part->host, kinds);
	if (status != KM_OK)
		return status;
	rows = BLOCK_BYTES / (sizeof(double) * part->layout->table.nslots);
	rows -= rows % KM_GROUP_ROWS;
	part->capacity = rows < KM_GROUP_ROWS ? KM_GROUP_ROWS : (int) rows;
	KM_TRY(km_table_clone(&part->layout->table, part->capacity,
						  &part->table));
	part->has_table = true;
	part->block = &part->table.blocks[0];
	part->block->nrows = 0;
	part->table.nrows = part->pass->rows;
	return KM_OK;
}

/* How the step sees rows. */
static KmStatus
create_space(KmPart *part, KmSimd simd)
{
	const KmPass *pass = part->pass;

	if (pass->form == KM_FORM_RAW)
		return KM_OK;
	if (pass->form == KM_FORM_PLACED)
	{
		/* rows that a model places count once, whatever they weigh */
		if (pass->weight_argument >= 0)
			return KM_BAD_FORMAT;
		KM_TRY(km_placed_create(part->host, pass->model, 0, simd,
								&part->placed));
		part->job.space = &part->placed->space;
		return KM_OK;
	}
	KM_TRY(km_space_create(part->host, pass->model->features,
						   pass->model->nfeatures,
						   pass->model->distance == KM_COSINE, &part->space));
	part->has_space = true;
	km_space_set_grid(&part->space);
	part->space.is_bounded = true;
	part->job.space = &part->space;
	return km_placing_check(pass->placing, pass->placing_size, &part->table);
}

static KmStatus
open_part(KmPart *part, KmSimd simd)
{
	const KmPass *pass = part->pass;

	/* a survey is the caller's own */
	if (pass->step == 0)
		return KM_BAD_FORMAT;
	KM_TRY(create_table(part));
	KM_TRY(create_space(part, simd));
	part->job.step = km_step((KmStepId) pass->step);
	part->job.host = part->host;
	part->job.poll = &part->poll;
	part->job.table = &part->table;
	part->job.simd = simd;
	part->job.input = pass->input;
	part->job.input_size = pass->input_size;
	part->is_open = true;
	return part->job.step->open(&part->job);
}

KmStatus
km_part_create(const KmHost *host, const KmPass *pass, KmSimd simd,
			   KmPart **result)
{
	KmPart	   *part = km_alloc_zero(host, 1, sizeof(KmPart));
	KmStatus	status;

	if (part == NULL)
		return KM_NO_MEMORY;
	part->host = host;
	part->pass = pass;
	part->poll.host = host;
	status = open_part(part, simd);
	if (status != KM_OK)
	{
		km_part_free(part);
		return status;
	}
	*result = part;
	return KM_OK;
}

void
km_part_free(KmPart *part)
{
	if (part == NULL)
		return;
	if (part->is_open)
		part->job.step->close(&part->job);
	if (part->has_space)
		km_space_clear(&part->space);
	km_placed_free(part->placed);
	if (part->has_table)
	{
		km_free(part->host, part->table.blocks[0].memory);
		km_free(part->host, part->table.blocks);
	}
	km_rows_free(part->layout);
	km_free(part->host, part);
}

/* ---- rows ---- */

/*
 * Is all within what the fit has seen?  Steps count on it; but rows may have
 * changed since, and so may what places them on its way here.
 */
static bool
block_is_sane(const KmPart *part)
{
	const KmTable *table = &part->table;
	int			ntiles = km_block_tiles(part->block);

	for (int t = 0; t < ntiles; t++)
	{
		const double *tile = km_tile(table, part->block, t);
		int			nrows = km_tile_rows(part->block, t);
		bool		good = true;

		for (int s = 0; s < table->nnum; s++)
		{
			for (int l = 0; l < nrows; l++)
				good &= km_position_is_sane(&part->space, s,
											tile[s * KM_LANES + l]);
		}
		for (int l = 0; l < nrows && table->weight_slot >= 0; l++)
			good &= fabs(tile[table->weight_slot * KM_LANES + l]) <
				KM_WEIGHT_MAX;
		if (!good)
			return false;
	}
	return true;
}

/* Hand the waiting rows to the step. */
static KmStatus
flush(KmPart *part)
{
	KmBlock    *block = part->block;

	if (block->nrows == 0)
		return KM_OK;
	if (part->has_space)
	{
		KM_TRY(km_place_block(part->pass->placing, &part->table, block));
		if (!block_is_sane(part))
			return KM_BAD_FORMAT;
	}
	KM_TRY(part->job.step->add(&part->job, block));
	block->nrows = 0;
	return KM_OK;
}

KmStatus
km_part_add(KmPart *part, const double *values, double weight)
{
	KmTable    *table = &part->table;
	KmBlock    *block = part->block;
	double	   *lane;
	int			l;

	if (part->placed != NULL)
	{
		const double *unused;

		KM_TRY(km_placed_place(part->placed, values, &values, &unused));
		if (values == NULL)
			return KM_OK;
	}
	if (block->nrows == part->capacity)
		KM_TRY(flush(part));
	l = block->nrows % KM_LANES;
	lane = km_tile(table, block, block->nrows / KM_LANES);
	if (l == 0)
		memset(lane, 0, sizeof(double) * table->nslots * KM_LANES);
	lane += l;
	for (int f = 0; f < table->nfeatures; f++)
		lane[table->slot[f] * KM_LANES] = values[f] + 0.0;
	if (table->weight_slot >= 0)
		lane[table->weight_slot * KM_LANES] = weight;
	block->nrows++;
	part->rows++;
	return KM_OK;
}

/* ---- the state as bytes ---- */

KmStatus
km_part_state(KmPart *part, size_t *size)
{
	KM_TRY(flush(part));
	*size = part->job.step->size(&part->job);
	return KM_OK;
}

void
km_part_write_state(const KmPart *part, unsigned char *bytes)
{
	part->job.step->write(&part->job, bytes);
}

KmStatus
km_part_size(KmPart *part, size_t *size)
{
	KM_TRY(km_part_state(part, size));
	*size += sizeof(PartHeader);
	return KM_OK;
}

void
km_part_write(const KmPart *part, unsigned char *bytes)
{
	PartHeader	header = {0};

	header.magic = PART_MAGIC;
	header.rows = part->rows;
	memcpy(bytes, &header, sizeof(header));
	km_part_write_state(part, bytes + sizeof(header));
}

KmStatus
km_part_merge(KmPart *part, const unsigned char *bytes, size_t size)
{
	PartHeader	header;

	if (size < sizeof(header))
		return KM_BAD_FORMAT;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != PART_MAGIC || header.unused != 0 || header.rows < 0 ||
		header.rows > INT64_MAX - part->rows)
		return KM_BAD_FORMAT;
	KM_TRY(part->job.step->merge(&part->job, bytes + sizeof(header),
								 size - sizeof(header)));
	part->rows += header.rows;
	return KM_OK;
}

int64_t
km_part_rows(const KmPart *part)
{
	return part->rows;
}
