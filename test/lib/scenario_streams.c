/* SPDX-License-Identifier: MIT */
#include "scenario_streams.h"

#include <string.h>

#include "scenario_life.h"
#include "uvdio/log.h"
#include "uvdio/stream.h"

#define PAGES 32u /* of the file "file", each with its number's pattern */
#define FRAMES 6u
#define FRAME_PAGES 2u
#define BYTES ((size_t)60000) /* that a writer is given */
#define APPENDS 8u
#define RECORD_MAX ((size_t)20000)
#define SEGMENT ((uint64_t)64 * 1024)

static char source[BYTES];

/* What streams and logs have in common: the first error, and whether the engine closes. */
struct part {
  struct scenario* s;
  unsigned (*syncs)(void);
  int error;
  int is_over;
  unsigned closes;
};

/* The end of anything that the part was asked for. */
static void judge(struct part* part, const char* what, int64_t status, int latch) {
  struct scenario* s = part->s;
  int may_be = (part->is_over && (status == UV_EBADF || status == UV_ECANCELED)) ||
               (s->ends_early && (status == UVDIO_ESHORTREAD || status == UVDIO_EDAMAGED)) ||
               (status < 0 && (status == part->error || status == latch));
  s->troubles += may_be && !part->is_over;
  if (!may_be) {
    (void)life_expects(s, what, status, 0);
  }
  if (status == 0 && part->error != 0) {
    life_broken(s, "something ends well behind an error", part->error);
  }
  part->error = part->error == 0 && status < 0 ? (int)status : part->error;
}

/*
 * Reading
 */

struct reading {
  struct part part;
  uvdio_file_t file;
  uvdio_reader_t* reader;
  unsigned waits;
  unsigned waits_ended;
};

static void on_wait(int status, void* arg) {
  struct reading* r = arg;
  (void)status; /* the next take tells */
  r->waits_ended++;
}

static void on_reader_closed(int status, void* arg) {
  struct reading* r = arg;
  r->part.closes++;
  if (status != 0) {
    life_broken(r->part.s, "the close of a reader gave", status);
  }
}

/* Takes blocks to the end, or to an error. Returns the offset of the end, or the error. */
static int64_t take_all(struct reading* r) {
  struct scenario* s = r->part.s;
  uint64_t offset = 0;
  uvdio_block_t block;
  int code;
  while ((code = uvdio_reader_take(r->reader, &block)) == 0 || code == UV_EAGAIN) {
    if (code == UV_EAGAIN) {
      code = uvdio_reader_wait(r->reader, on_wait, r);
      if (code != 0) {
        return code;
      }
      r->waits++;
      life_run(s);
      continue;
    }
    for (size_t at = 0; at + PAGE <= block.view.len; at += PAGE) {
      if (!is_pattern(block.view.base + at, PAGE, (unsigned)((offset + at) / PAGE))) {
        life_broken(s, "a block has other bytes than the file", 0);
      }
    }
    offset += block.view.len;
    (void)uvdio_buf_release(&block.buf);
  }
  return code == UV_EOF ? (int64_t)offset : code;
}

static int begin_reading(struct reading* r, struct scenario* s, uvdio_arena_t* arena) {
  memset(r, 0, sizeof(*r));
  r->part.s = s;
  if (!life_open(s, &r->file, "file", UVDIO_OPEN_READ)) {
    return -1;
  }
  int code = uvdio_reader_create(&r->reader, &r->file, arena, NULL);
  if (!life_expects(s, "uvdio_reader_create gave", code, 0)) {
    life_close(s, &r->file);
    return -1;
  }
  return 0;
}

static void end_reading(struct reading* r) {
  struct scenario* s = r->part.s;
  int code = uvdio_reader_close(r->reader, on_reader_closed, r);
  life_run(s);
  if (r->part.closes != (code == 0) || r->waits_ended != r->waits) {
    life_broken(s, "a reader does not end what it was asked for once", 0);
  }
  if (!life_expects(s, "uvdio_reader_close gave", code, 0) &&
      uvdio_reader_destroy(r->reader) != 0) {
    life_broken(s, "an idle reader can't be destroyed", 0);
  }
  life_close(s, &r->file);
}

static void read_all(struct scenario* s, uvdio_arena_t* arena) {
  static struct reading r;
  if (begin_reading(&r, s, arena) == 0) {
    int64_t end = take_all(&r);
    if (end >= 0 && s->ends_early) {
      s->troubles += end != PAGES * (int64_t)PAGE;
    } else {
      (void)life_expects(s, "the end of a file is", end, PAGES * (int64_t)PAGE);
    }
    end_reading(&r);
  }
}

/*
 * Writing
 */

struct writing {
  struct part part;
  uvdio_file_t file;
  uvdio_writer_t* writer;
  size_t given;
  size_t asked; /* by the sync */
  unsigned before;
  unsigned asks; /* waits, flushes and syncs */
  unsigned ended;
};

static void on_asked(int status, void* arg) {
  struct writing* w = arg;
  w->ended++;
  judge(&w->part, "a stream's wait or flush gave", status, life_latch(&w->file));
}

static void on_stream_synced(int status, void* arg) {
  struct writing* w = arg;
  on_asked(status, arg);
  if (status == 0 &&
      (w->part.syncs() == w->before || !life_holds(w->part.s, "written", 0, source, w->asked))) {
    life_broken(w->part.s, "a stream is synced without a sync, or without its bytes", 0);
  }
}

static void on_writer_closed(int status, void* arg) {
  struct writing* w = arg;
  w->part.closes++;
  judge(&w->part, "the close of a writer gave", status, life_latch(&w->file));
}

/* What a call was answered with. */
static void asked(struct writing* w, const char* what, int code) {
  w->asks += code == 0;
  if (code != 0 && code != UV_EALREADY) {
    judge(&w->part, what, code, life_latch(&w->file));
  }
}

static void give(struct writing* w, size_t length) {
  while (length > 0 && w->part.error == 0) {
    int64_t taken = uvdio_writer_write(w->writer, source + w->given, length);
    if (taken == UV_EAGAIN) {
      asked(w, "uvdio_writer_wait gave", uvdio_writer_wait(w->writer, on_asked, w));
      life_run(w->part.s);
    } else if (taken < 0) {
      judge(&w->part, "uvdio_writer_write gave", taken, life_latch(&w->file));
    } else {
      w->given += (size_t)taken;
      length -= (size_t)taken;
    }
  }
}

static void sync_stream(struct writing* w) {
  w->asked = w->given;
  w->before = w->part.syncs();
  asked(w, "uvdio_writer_sync gave", uvdio_writer_sync(w->writer, on_stream_synced, w));
}

static int begin_writing(struct writing* w, struct scenario* s, uvdio_arena_t* arena,
                         unsigned (*syncs)(void)) {
  static const uvdio_writer_options_t options = {.flags = UVDIO_WRITER_DURABLE, .window_max = 4};
  memset(w, 0, sizeof(*w));
  w->part.s = s;
  w->part.syncs = syncs;
  if (!life_open(s, &w->file, "written", UVDIO_OPEN_CREATE)) {
    return -1;
  }
  int code = uvdio_writer_create(&w->writer, &w->file, arena, &options);
  if (!life_expects(s, "uvdio_writer_create gave", code, 0)) {
    life_close(s, &w->file);
    return -1;
  }
  return 0;
}

static void end_writing(struct writing* w) {
  struct scenario* s = w->part.s;
  unsigned before = w->part.syncs();
  int code = uvdio_writer_close(w->writer, on_writer_closed, w);
  life_run(s);
  if (w->part.closes != (code == 0) || w->ended != w->asks) {
    life_broken(s, "a writer does not end what it was asked for once", 0);
  }
  if (code == 0 && w->part.error == 0 &&
      (w->part.syncs() == before || life_size(s, "written") != (int64_t)w->given ||
       !life_holds(s, "written", 0, source, w->given))) {
    life_broken(s, "a stream that was closed well is not in the file, or not synced", 0);
  }
  if (!life_expects(s, "uvdio_writer_close gave", code, 0) &&
      uvdio_writer_destroy(w->writer) != 0) {
    life_broken(s, "an idle writer can't be destroyed", 0);
  }
  life_close(s, &w->file);
}

static void write_all(struct scenario* s, uvdio_arena_t* arena, unsigned (*syncs)(void)) {
  static struct writing w;
  if (begin_writing(&w, s, arena, syncs) == 0) {
    give(&w, 700);
    asked(&w, "uvdio_writer_flush gave", uvdio_writer_flush(w.writer, on_asked, &w));
    give(&w, BYTES - 1000);
    sync_stream(&w);
    life_run(s);
    give(&w, 300);
    end_writing(&w);
  }
}

/*
 * Logs
 */

struct logging {
  struct part part;
  uvdio_log_t* log;
  uvdio_log_append_t appends[APPENDS];
  unsigned before[APPENDS];
  unsigned count;
  unsigned ended;
  unsigned opens;
  int status;
};

/* Of all lives: records that were acknowledged; each has its number as its first byte. */
static unsigned acknowledged;
static unsigned replayed;
static unsigned appended;
static int has_directory;

static size_t length_of(unsigned number) {
  return number % 3 == 0 ? RECORD_MAX - number : 100 + number;
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  struct logging* l = arg;
  unsigned number = replayed++;
  (void)lsn;
  if (number >= appended || length != length_of(number) ||
      memcmp(data, source + number, length) != 0) {
    life_broken(l->part.s, "a record is not what was appended", 0);
  }
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  struct logging* l = arg;
  (void)log;
  l->opens++;
  l->status = status;
  judge(&l->part, "the open of a log gave", status, 0);
  if (status == 0) {
    if (replayed < acknowledged) {
      life_broken(l->part.s, "a record was acknowledged, and is not replayed", 0);
    }
    acknowledged = appended = replayed;
  }
}

static void on_append(uvdio_log_append_t* append, int status) {
  struct logging* l = append->data;
  unsigned i = l->ended++;
  if (append != &l->appends[i]) {
    life_broken(l->part.s, "appends to a log end in another order", 0);
    return;
  }
  judge(&l->part, "an append to a log gave", status, 0);
  if (status == 0) {
    acknowledged++;
    if (l->part.syncs() == l->before[i]) {
      life_broken(l->part.s, "a record is durable without a sync", 0);
    }
  }
}

static void on_log_closed(uvdio_log_t* log, int status, void* arg) {
  struct logging* l = arg;
  (void)log;
  l->part.closes++;
  judge(&l->part, "the close of a log gave", status, 0);
}

static int begin_log(struct logging* l, struct scenario* s, unsigned (*syncs)(void)) {
  uvdio_log_options_t options = {.segment_size = SEGMENT, .buffer_size = 2 * PAGE};
  memset(l, 0, sizeof(*l));
  l->part.s = s;
  l->part.syncs = syncs;
  replayed = 0;
  int code =
      uvdio_log_open(&l->log, s->f->engine, path_of(s->f, "wal"), &options, on_record, on_open, l);
  return life_expects(s, "uvdio_log_open gave", code, 0) ? 0 : -1;
}

static void append(struct logging* l) {
  uvdio_log_append_t* each = &l->appends[l->count];
  each->data = l;
  l->before[l->count] = l->part.syncs();
  int code = uvdio_log_append(l->log, each, source + appended, length_of(appended), on_append);
  if (code == 0) {
    l->count++;
    appended++;
  } else {
    judge(&l->part, "uvdio_log_append gave", code, 0);
  }
}

static void end_log(struct logging* l) {
  int code = uvdio_log_close(l->log, on_log_closed, l);
  life_run(l->part.s);
  if (l->opens != 1 || l->ended != l->count || l->part.closes != (code == 0)) {
    life_broken(l->part.s, "a log does not end what it was asked for once", 0);
  }
  (void)life_expects(l->part.s, "uvdio_log_close gave", code, 0);
}

/* More than a segment of records. What comes later replays them. */
static void use_log(struct scenario* s, unsigned (*syncs)(void)) {
  static struct logging l;
  struct tracked_op* op = op_new(&s->f->tracker);
  t_mkdir(op, s->f->engine, path_of(s->f, "wal"));
  life_run(s);
  has_directory = life_expects(s, "uvdio_mkdir gave", tracker_outcome(op), 0);
  if (!has_directory || begin_log(&l, s, syncs) != 0) {
    return;
  }
  life_run(s);
  for (unsigned i = 0; i < APPENDS && l.part.error == 0; i++) {
    append(&l);
    if (i % 3 == 0) {
      life_run(s);
    }
  }
  end_log(&l);
}

/*
 * The life
 */

/* The engine is closed on top of a read ahead, writes behind, and a log that is being opened. */
static void end_in_flight(struct scenario* s, uvdio_arena_t* arena, unsigned (*syncs)(void)) {
  static struct reading r;
  static struct writing w;
  static struct logging l;
  uvdio_block_t block;
  int has_reader = begin_reading(&r, s, arena) == 0;
  int has_writer = begin_writing(&w, s, arena, syncs) == 0;
  int has_log = has_directory && begin_log(&l, s, syncs) == 0;
  if (has_reader && uvdio_reader_take(r.reader, &block) == 0) {
    (void)uvdio_buf_release(&block.buf);
  }
  if (has_writer) {
    give(&w, PAGE + 1);
    sync_stream(&w);
  }
  if (has_log) {
    append(&l);
  }
  r.part.is_over = w.part.is_over = l.part.is_over = 1;
  if (t_engine_close(s->f->engine, on_engine_closed) != 0) {
    life_broken(s, "uvdio_engine_close was refused", 0);
  }
  life_run(s);
  s->f->engine = NULL;
  if ((has_reader && uvdio_reader_destroy(r.reader) != 0) ||
      (has_writer && uvdio_writer_destroy(w.writer) != 0) ||
      (has_log && uvdio_log_destroy(l.log) != 0)) {
    life_broken(s, "a stream or log whose engine is gone can't be destroyed", 0);
  }
  life_run(s);
}

void scenario_live_in_streams(struct scenario* s, unsigned (*syncs)(void)) {
  uvdio_arena_options_t options = {.frame_size = FRAME_PAGES * PAGE, .frame_count = FRAMES};
  uvdio_arena_t* arena;
  for (size_t i = 0; i < sizeof(source); i++) {
    source[i] = (char)(1 + i % 251);
  }
  acknowledged = appended = 0;
  if (scenario_start(s) != 0) {
    return;
  }
  if (!life_expects(s, "uvdio_arena_create gave", uvdio_arena_create(&arena, &options), 0)) {
    return;
  }
  read_all(s, arena);
  write_all(s, arena, syncs);
  use_log(s, syncs);
  end_in_flight(s, arena, syncs);
  if (uvdio_arena_destroy(arena, NULL) != 0) {
    life_broken(s, "frames are left", 0);
  }
}

static unsigned no_syncs(void) {
  return 0;
}

void scenario_replay(struct scenario* s) {
  static struct logging l;
  if (acknowledged == 0 || uvdio_engine_create(&s->f->engine, &s->f->loop, NULL) != 0) {
    return;
  }
  if (begin_log(&l, s, no_syncs) == 0) {
    life_run(s);
    if (l.status != 0) {
      life_broken(s, "a log can't be opened when the faults are gone:", l.status);
    }
    end_log(&l);
  }
  if (uvdio_engine_close(s->f->engine, NULL) != 0) {
    life_broken(s, "uvdio_engine_close was refused", 0);
  }
  life_run(s);
  s->f->engine = NULL;
}
