/* SPDX-License-Identifier: MIT */
/*
 * Random operations: what a test with a model does next, with its arguments, and the one place that
 * calls the library for any of them. A harness says how often it wants what (weights), what
 * arguments look like (profile), and where choices come from: a seed, or the bytes of a fuzzer.
 * Faults, forks, power cuts and cancellations are its own.
 *
 *   choices ──► choose_action ──► generate ──► operation_submit ──► callback
 *                  weights         profile
 */
#ifndef UVDIO_TEST_GENERATOR_H
#define UVDIO_TEST_GENERATOR_H

#include "faults.h"
#include "random.h"
#include "uvdio.h"

struct choices {
  const uint8_t* bytes; /* null: numbers by a seed */
  size_t left;          /* behind the last byte, zeros */
  struct random random;
};

struct choices choices_by_seed(uint64_t seed);
struct choices choices_by_bytes(const uint8_t* bytes, size_t size);

/* The next choice, from 0 to bound - 1. A byte does for a bound of 256 at most, two do for more,
 * which goes to 65536 then. */
uint64_t choose(struct choices* choices, uint64_t bound);

/* Whether this is the one time in so many; never, where that is 0 or no bytes are left. */
int one_in(struct choices* choices, uint64_t count);

/* One of the actions of a harness: an operation by its uvdio_op_t, or something of its own, from
 * UVDIO_OP_COUNT on. The last weight of a table is 0; its action is what comes of a byte beyond the
 * sum of all weights. */
struct weight {
  unsigned action;
  unsigned weight;
};

unsigned choose_action(struct choices* choices, const struct weight* weights);

/* What arguments look like. "One in" 0 is never. */
struct profile {
  uint64_t size;        /* bytes: no transfer ends beyond, and no length is more */
  uint64_t most;        /* bytes of a transfer */
  uint64_t seldom_most; /* of one in 16; 0: the same */
  uint64_t step;        /* bytes that lengths of files are multiples of */
  unsigned any_length;  /* one length in so many is no multiple */
  unsigned most_often;  /* one transfer in so many is as long as can be */
  unsigned exact;       /* one read in so many */
  unsigned now;         /* one operation in so many is synchronous */
  unsigned in_pieces;   /* one transfer in so many has several buffers */
  unsigned ranges;      /* one asynchronous read in so many asks for odd bytes */
  unsigned durable;     /* one asynchronous write in so many is durable by itself */
  unsigned shared;      /* one such write in so many leaves its buffer with the caller */
  unsigned atomic;      /* one write in so many can't be torn */
  unsigned spaces;      /* one preallocation in so many has an offset and flags */
  struct {
    unsigned flag; /* of an open, */
    unsigned in;   /* one in so many */
  } flags[8];
};

/* The operations on names, for switches: they have no file. */
#define CASE_NAMES      \
  case UVDIO_OP_RENAME: \
  case UVDIO_OP_LINK:   \
  case UVDIO_OP_UNLINK: \
  case UVDIO_OP_MKDIR:  \
  case UVDIO_OP_RMDIR:  \
  case UVDIO_OP_SYNC_DIRECTORY

struct operation {
  uvdio_op_t op;
  uint64_t offset; /* of a transfer, a range, or to look from */
  uint64_t length; /* of a transfer or range; what a truncate is to; a hint's value; frames */
  unsigned flags;  /* of an open, to which the harness adds its own; of space; a hint */
  int exact;       /* a read */
  int now;         /* synchronous */
  unsigned pieces; /* buffers of a transfer; 0 or 1: one */
  size_t unit;     /* what their sizes are multiples of */
  unsigned how;    /* UVDIO_WRITE_*, of a write */
  size_t skip;     /* bytes at the begin, and at the end, that a read does not ask for */
  unsigned handle; /* of the file's open handles (uvdio_dup()): set by the harness */
};

/* The arguments of an operation on a file whose transfers are multiples of `unit`. */
struct operation generate(struct choices* choices, const struct profile* profile, uvdio_op_t op,
                          uint64_t unit);

/* What an operation is about. Engine and path are for opens and names, the path for a replace, the
 * buffer for transfers, of which it tells the length; engine, arena and array for frames. What is
 * not named is null. */
struct target {
  uvdio_engine_t* engine;
  const char* path;
  uvdio_file_t* file;
  uvdio_buf_t* buf;
  uvdio_stat_t* stat;   /* of a stat; null: that of the tracked operation */
  const char* new_path; /* of a rename or link */
  unsigned flags;       /* of a rename */
  /* Open directories that the paths are relative to, in the place of the engine; of an open and a
   * replace the first. */
  uvdio_file_t* base;
  uvdio_file_t* new_base;
  uvdio_file_t* linked; /* the open file that a link gives the new path to */
  uvdio_arena_t* arena;
  uvdio_buf_t* frames; /* null: those of the tracked operation */
};

int operation_submit(const struct operation* operation, const struct target* target,
                     uvdio_req_t* req, uvdio_cb plain_cb, uvdio_io_cb io_cb);

/* The operation that waits for others, and others for it, as this one does. */
uvdio_op_t operation_ordered_as(uvdio_op_t op, unsigned flags);

/*
 * What the tests know of an operation: one row of the table in generator.c each. Contract programs
 * that ask something of every operation go through it, as do the scenario of the fault sweep and
 * the harnesses, so that a new operation is in all of them by its row.
 */

enum harness { BY_MODEL, BY_FSX, BY_CHAOS, HARNESSES };

/* What can be seen of an operation. Harnesses ask for this where it decides what they do. */
enum effect {
  EFFECT_NONE = 1, /* 0, or an error, and nothing else that a model knows of */
  EFFECT_OPEN,
  EFFECT_CLOSE,
  EFFECT_READ,
  EFFECT_WRITE,
  EFFECT_TRUNCATE,
  EFFECT_PREALLOCATE,
  EFFECT_ZEROS, /* a range reads as zeros, and the size stays */
  EFFECT_SYNC,
  EFFECT_SIZE, /* the result is the size */
  EFFECT_STAT,
  EFFECT_LOOK, /* for data, or for a hole */
  EFFECT_NAMES,
  EFFECT_FRAMES /* none on a file: contract/test_frames.c has a model of its own */
};

struct op_facts {
  enum effect effect;
  int needs_writing; /* refused where the file is open for reads only, as every change is */
  /* Right arguments, for a file that is one written page. `gives` is the result then; paths are in
   * the test's folder, "" is the folder itself. */
  struct operation example;
  const char* path;
  const char* new_path;
  int64_t gives;
  int may_give[4];             /* what a filesystem may give although nothing is wrong */
  enum fault_call call;        /* that carries it out */
  int has_entry;               /* rings of all supported kernels have an entry for it */
  unsigned weights[HARNESSES]; /* how often harnesses do it; names have play_names() */
};

const struct op_facts* facts_of(uvdio_op_t op);

/* What a harness does: operations by the weights of their rows, and its own actions, which are the
 * same at each call. The memory is the generator's. */
const struct weight* weights_of(enum harness harness, const struct weight* own);

/* Whether a filesystem may give this error although nothing is wrong. Nothing was changed then. */
int op_may_give(uvdio_op_t op, int64_t result);

/* Whether the file has to be open for writing. */
int op_needs_writing(uvdio_op_t op);

/* Whether an operation is of one of these kinds (UVDIO_OP_KIND_). */
int op_is(uvdio_op_t op, unsigned kinds);

/* Whether of two operations on a file the newer one has to wait until the older one has ended. */
int op_waits_for(uvdio_op_t newer, uvdio_op_t older);

#endif /* UVDIO_TEST_GENERATOR_H */
