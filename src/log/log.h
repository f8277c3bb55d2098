/* SPDX-License-Identifier: MIT */
/*
 * The parts of the log (uvdio/log.h), over the public interface only.
 *
 *   log/log.c       the calls, and the end of a log
 *   log/turn.c      what all calls ask first, and a turn of the loop for what they leave to be done
 *   log/flush.c     records become blocks in a batch, batches are written, appends get their end
 *   log/keeper.c    segments: the next one is made ahead, those that were cut off are used again
 *   log/recover.c   the open: reads all blocks, replays records, and finds the end
 *   log/reader.c    readers, which log/reader.h tells of; log/ahead.c and log/parse.c are theirs
 *   log/paths.c     where segments and other files are
 *   log/format.c    blocks as they are on disk
 *   log/crc32c.c    their checksum
 *
 * log.c calls the others, flush.c the keeper, and recover.c flush.c; whatever has ended calls
 * log->run, which is log.c's.
 *
 *   being opened ----------> is_open ----------> is_closing ----------> freed
 *        |       recovered      |    uvdio_log_close      files closed
 *        +----------------------+-----------> the same with `error`
 *
 * A log that is closed before it is open is opened first. `error` stops everything but the close:
 * nothing is placed, written or acknowledged any more.
 *
 * Batches. Two of them, in a circle: one is filled while the other is being written. A batch lies
 * in one segment, or its first `split` blocks in one and the rest in the next. It is written when
 * the other one is durable and the keeper has the segments that it lies in.
 *
 * While appends are pending, a request of the log or its timer is under way.
 */
#ifndef UVDIO_LOG_INTERNAL_H
#define UVDIO_LOG_INTERNAL_H

#include <assert.h>
#include <string.h>

#include "log/format.h"
#include "uvdio/class.h"
#include "uvdio/log.h"
#include "uvdio/log_reader.h"

#define LOG_SEGMENT_MIN ((uint64_t)64 * 1024)
#define LOG_SEGMENT_MAX ((uint64_t)1 << 40)
#define LOG_PATH_MAX 4096u
#define LOG_NAME_MAX 32u

/* How segments are opened, and what else is written. A lock on what is written keeps a successor
 * out until the last write of a program that has crashed is done. */
#define LOG_FILE_FLAGS (UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_LOCK_EXCLUSIVE)

/* An open segment. */
typedef struct uvdio__log_segment_s {
  uvdio_file_t file;
  uvdio_req_t req; /* of its close */
  uint64_t number; /* 0: the place is free */
  uvdio_log_t* log;
} uvdio__log_segment_t;

/* The one that is written, the next one, and one that is being closed. */
#define LOG_SEGMENTS 3u

typedef struct uvdio__log_batch_s {
  char* base;
  uvdio_log_t* log;
  uint64_t start;           /* position of its first block */
  unsigned blocks;          /* that have been begun, the last one may not be full */
  unsigned split;           /* the first block that lies in the next segment; `blocks_max`: none */
  unsigned used;            /* of the last block's payload */
  unsigned first;           /* of the last block's head */
  uint32_t before;          /* checksum of the block before the last one */
  uint64_t bytes;           /* of records, for the window */
  uvdio_log_append_t* ends; /* appends whose last byte is in it, and those before, in order */
  uvdio_log_append_t* last_end;
  uvdio_req_t reqs[2];
  unsigned writes; /* of these in flight */
} uvdio__log_batch_t;

/* What the keeper does at the moment; each step is one request. */
typedef enum {
  KEEPER_IDLE = 0,
  KEEPER_MAKE,    /* opens "next", a new file */
  KEEPER_SPACE,   /* writes it through */
  KEEPER_TAKE,    /* opens a segment that was cut off */
  KEEPER_MEASURE, /* asks for its size */
  KEEPER_HEAD,    /* writes its first block */
  KEEPER_CLEAR,   /* removes what the next open would take for one behind a gap */
  KEEPER_NAME,    /* gives it its name, durably */
  KEEPER_FIND,    /* opens a next segment that recovery has found */
  KEEPER_CONTROL, /* opens "log.new" */
  KEEPER_TELL,    /* writes it */
  KEEPER_REPLACE, /* makes it "log", durably */
  KEEPER_MARK,    /* marks the lock's file: from here on there is a log */
  KEEPER_LET_GO,  /* closes it */
  KEEPER_REMOVE,  /* removes a segment that was cut off */
  KEEPER_LOOK,    /* opens one to see whether it is there */
  KEEPER_SEEN     /* closes it */
} uvdio__log_keeper_t;

typedef struct uvdio__log_recovery_s uvdio__log_recovery_t;

struct uvdio_log_s {
  uvdio_engine_t* engine;
  /* Does all that can be done now: called whenever something has ended. May free the log. */
  void (*run)(uvdio_log_t* log);
  uvdio_arena_t* arena; /* of one frame, which is not free before the log is gone */
  uvdio_buf_t memory;   /* that: this, batches, a block of the keeper's, and the readers' */
  int error;
  int is_open;    /* open_cb was called with 0 */
  int is_closing; /* uvdio_log_close() was called */
  int is_ending;  /* its files are being closed */
  int is_left;    /* closed, but for what uvdio_log_destroy() does */
  int is_in_callback;
  unsigned pending; /* requests and closes of the log */
  uvdio_log_options_t options;
  uint64_t segment_size;
  uint64_t number; /* random: of this log, in each of its blocks */
  uint32_t epoch;

  uvdio_log_record_cb record_cb;
  uvdio_log_cb open_cb;
  void* arg;
  uvdio_log_cb close_cb;
  void* close_arg;

  uv_timer_t* timer; /* the window, and what has no request to come from; null: closed */
  int is_due;        /* the window is over */

  /* Appends without a place, in their order; the first may have some bytes in a batch. */
  uvdio_log_append_t* waiting;
  uvdio_log_append_t* last_waiting;
  uint64_t waiting_bytes;
  uvdio__log_batch_t batches[2];
  unsigned blocks_max; /* of a batch */
  unsigned filling;    /* which is filled */
  uint64_t durable;    /* LSNs below it are */

  /* For readers. */
  uint64_t end;     /* position of the first block that is not durable */
  uint64_t settled; /* that of the first one that is not, or is written again */
  /* A copy of the block that is written again, where there is one: what of it is durable. */
  char* tail;
  unsigned tail_used;
  unsigned tail_first;
  uint32_t tail_before; /* checksum of the block before it */
  uvdio_log_reader_t* readers;
  uint64_t pinned; /* the first segment that a cut spares; UINT64_MAX: none */

  uvdio__log_segment_t segments[LOG_SEGMENTS];
  uvdio__log_segment_t* current; /* the one in which the oldest batch begins */
  uvdio__log_segment_t* next;    /* null: the keeper has it to make yet */

  uvdio__log_keeper_t keeping;
  int is_needed;  /* a batch waits for the next segment */
  int make_error; /* the next segment could not be made: tried again when it is needed, or cut */
  int tidy_error; /* a cut could not be told or done: tried again at the next cut */
  uvdio_req_t keeper_req;
  uvdio_file_t control_file;
  uvdio__log_segment_t* made; /* the one that is made */
  char* keeper_block;
  int is_new;          /* there is no control file yet */
  int is_unmarked;     /* the lock's file has no mark yet: perhaps a program was killed before it */
  int is_used_again;   /* the segment that is made was another one before */
  uint64_t oldest;     /* segments from here on to `head` were cut off, and may be there */
  uint64_t seen;       /* one of them that is, or `head`, while the oldest is looked for */
  uint64_t head;       /* the first segment, as the control file says */
  uint64_t cut;        /* as it is to say */
  uint64_t telling;    /* as it says when it is written */
  uint64_t last_found; /* by recovery: the last segment that is there */

  uvdio_file_t lock;
  int has_lock; /* it is open, or being opened; not while it is waited for */
  uvdio_req_t close_req;
  uvdio_req_t check_req;           /* is never submitted */
  uvdio__log_recovery_t* recovery; /* null once it is over */
  uvdio_file_t read_file; /* recovery's; an engine that closes may have it open after that */
  uvdio_log_stats_t stats;
  char path[LOG_PATH_MAX];
  char name_path[LOG_PATH_MAX + LOG_NAME_MAX];
  char segment_path[LOG_PATH_MAX + LOG_NAME_MAX];
};

/* Stops the log, unless it has stopped. */
static inline void uvdio__log_fail(uvdio_log_t* log, int64_t error) {
  assert(error < 0);
  if (log->error == 0) {
    log->error = (int)error;
  }
}

/* A request of the log was submitted, or not: counts it, or stops the log. Returns whether it
 * was. */
static inline int uvdio__log_count(uvdio_log_t* log, int error) {
  if (error != 0) {
    uvdio__log_fail(log, error);
    return 0;
  }
  log->pending++;
  return 1;
}

/* Whether an append has no end yet. */
static inline int uvdio__log_has_appends(const uvdio_log_t* log) {
  return log->waiting != NULL || log->batches[0].ends != NULL || log->batches[1].ends != NULL;
}

static inline int uvdio__log_is_file_open(const uvdio_file_t* file) {
  uvdio_file_info_t info;

  return uvdio_file_info(file, &info) == 0;
}

/* Where the log goes on behind a block. The first block of a segment is its head. */
static inline uint64_t uvdio__log_block_behind(const uvdio_log_t* log, uint64_t position) {
  uint64_t next = position + FORMAT_BLOCK;

  return next % log->segment_size == 0 ? next + FORMAT_BLOCK : next;
}

/* The first segment that is to be there: readers may spare some. */
static inline uint64_t uvdio__log_cut_now(const uvdio_log_t* log) {
  return log->cut < log->pinned ? log->cut : log->pinned;
}

/*
 * turn.c
 */

/* What the engine says to anything that is submitted now. */
int uvdio__log_check_engine(uvdio_log_t* log);

/* Does what log->run does, some milliseconds later; 0: after the call that it is asked from, which
 * calls nobody back. The last one who asks decides. */
void uvdio__log_run_in(uvdio_log_t* log, uint64_t milliseconds);

/*
 * paths.c: a name in the log's directory, and a segment; until the next call of its kind
 */
const char* uvdio__log_path(uvdio_log_t* log, const char* name);
const char* uvdio__log_segment_path(uvdio_log_t* log, uint64_t number);

/*
 * flush.c
 */

/* Begins to fill from this position on, behind the block with that checksum. */
void uvdio__log_begin_at(uvdio_log_t* log, uint64_t position, uint32_t before);

/* Places what waits, as far as there is room. */
void uvdio__log_fill(uvdio_log_t* log);

/* The same, and writes a batch where one is due. */
void uvdio__log_pump(uvdio_log_t* log);

/* Gives all appends the log's error. */
void uvdio__log_fail_appends(uvdio_log_t* log);

/*
 * keeper.c
 */

/* Takes up what is to be done, where nothing is being done. */
void uvdio__log_keep(uvdio_log_t* log);

/* The log goes on in the next segment; the current one is closed. */
void uvdio__log_switch(uvdio_log_t* log);

/*
 * reader.c
 */

/* More is durable, or the log is at its end: readers that wait look whether they do. */
void uvdio__log_readers_go_on(uvdio_log_t* log);

/*
 * recover.c
 */
int uvdio__log_recover(uvdio_log_t* log);

/* Asks for the lock again, where somebody else has it and the pause is over. */
void uvdio__log_try_lock(uvdio_log_t* log);
void uvdio__log_end_recovery(uvdio_log_t* log);

#endif /* UVDIO_LOG_INTERNAL_H */
