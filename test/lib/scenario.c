/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT */
#endif

#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "uvdio/metrics.h"

#define PAGES 32u
#define NEW 128u /* added to a page's seed by a write */
#define DEPTH 8u
#define FRAMES 64u /* so that an arena is mapped, and not taken from the heap */
#define VIEWS 4u

enum origin { HEAP, FRAME, SECOND_FRAME, VIEW };

/*
 * What is noted.
 */

static void broken(struct scenario* s, const char* what, int64_t result) {
  tracker_violation(&s->f->tracker, "%s: %s %s", s->what, what,
                    result < 0 ? uvdio_err_name((int)result) : "");
}

int scenario_allows(const struct scenario* s, int64_t error) {
  if (error == UVDIO_ELOCKED) { /* what the system says of a lock */
    return scenario_allows(s, UV_EAGAIN) || scenario_allows(s, UV_EACCES);
  }
  for (unsigned i = 0; i < SCENARIO_ALLOWED; i++) {
    if (s->allowed[i] == error) {
      return error != 0;
    }
  }
  return 0;
}

/* A call outside of the operations: 0, or an error that is allowed. */
static int went_well(struct scenario* s, int code, const char* what) {
  if (code == 0) {
    return 1;
  }
  s->troubles++;
  if (!scenario_allows(s, code)) {
    broken(s, what, code);
  }
  return 0;
}

static int latch_of(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  return uvdio_file_info(file, &info) == 0 ? info.latch_error : 0;
}

static int is_open(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  return uvdio_file_info(file, &info) == 0;
}

/* A submitting call refused the operation: for the reasons that the header gives, and no other. */
static void judge_refusal(struct scenario* s, const struct tracked_op* op,
                          const uvdio_file_t* file) {
  int latch = file == NULL ? 0 : latch_of(file);
  int closed = file != NULL && !is_open(file);
  s->troubles++;
  if (!(closed && op->code == UV_EBADF) && !(latch != 0 && op->code == latch) &&
      !scenario_allows(s, op->code)) {
    broken(s, "refused with", op->code);
  }
}

static void judge_result(struct scenario* s, const struct step* step) {
  const struct tracked_op* op = step->op;
  int fell_short = s->ends_early && op->kind == UVDIO_OP_READ && op->result >= 0;
  if (op->done != 1) {
    broken(s, "an operation did not end, or twice:", 0);
    return;
  }
  if (op->result == step->expected || (step->cancelled && op->result == UV_ECANCELED)) {
    return;
  }
  s->troubles++;
  if (!scenario_allows(s, op->result) && !fell_short) {
    char text[64];
    snprintf(text, sizeof(text), "%s gave %lld, not %lld", uvdio_op_name(op->kind),
             (long long)op->result, (long long)step->expected);
    broken(s, text, op->result);
  }
}

static void run_loop(struct scenario* s) {
  watch_for_hang(s->what);
  while (uv_run(&s->f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
}

/* Notes one submitted operation, to be judged when the loop has run. */
static struct step* note(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                         int64_t expected) {
  struct step* step = &s->steps[s->count];
  if (op->accepted == 0) {
    judge_refusal(s, op, file);
  }
  if (s->count + 1 < SCENARIO_STEPS) {
    s->count++;
  }
  memset(step, 0, sizeof(*step));
  step->op = op;
  step->expected = expected;
  if (op->accepted > 0) {
    s->used[op->kind][op->blocking] = 1;
  }
  return step;
}

static void run_and_judge(struct scenario* s, unsigned from) {
  run_loop(s);
  for (unsigned i = from; i < s->count; i++) {
    if (s->steps[i].op->accepted > 0) {
      judge_result(s, &s->steps[i]);
    }
  }
}

static void cancel(struct scenario* s, struct step* step) {
  if (step == NULL || step->op->accepted == 0) {
    return;
  }
  int code = t_cancel(step->op);
  step->cancelled = 1;
  if (code != 0 && code != UV_EBUSY) {
    broken(s, "uvdio_cancel gave", code);
  }
}

/*
 * Transfers.
 */

/* Memory of the kind wanted, or of the heap where that could not be had; -1 when there is none at
 * all. */
static int get_memory(struct scenario* s, enum origin origin, unsigned pages, uvdio_buf_t* buf) {
  static unsigned next_view;
  uvdio_arena_t* arena = origin == FRAME ? s->f->arena : s->second;
  if (origin == VIEW) {
    *buf = uvdio_buf_wrap(s->views + (size_t)(next_view++ % VIEWS) * PAGE, PAGE);
    return 0;
  }
  if (origin != HEAP && arena != NULL && uvdio_arena_acquire(arena, buf) == 0) {
    return 0;
  }
  return went_well(s, uvdio_buf_alloc(buf, (size_t)pages * PAGE, 0), "uvdio_buf_alloc gave") ? 0
                                                                                             : -1;
}

static void release_if_refused(struct scenario* s, const struct tracked_op* op, uvdio_buf_t* buf) {
  if ((op->accepted == 0 || op->blocking) && uvdio_buf_release(buf) != 0) {
    broken(s, "a refused buffer is not the caller's", 0);
  }
}

static struct step* note_transfer(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                                  unsigned first, unsigned pages) {
  struct step* step = note(s, op, file, (int64_t)pages * PAGE);
  step->first = first;
  step->pages = pages;
  return step;
}

static void check_read(struct scenario* s, const struct step* step, const uvdio_buf_t* buf) {
  size_t arrived = step->op->req.transferred;
  for (unsigned i = 0; i < arrived / PAGE; i++) {
    if (!is_pattern(buf->base + (size_t)i * PAGE, PAGE, step->first + i)) {
      broken(s, "a read brought other bytes than the file's", 0);
    }
  }
}

/* Every other transfer of several pages has a buffer for each. */
static void submit_pages(struct tracked_op* op, uvdio_op_t kind, uvdio_file_t* file,
                         uvdio_buf_t* buf, unsigned first, unsigned pages, unsigned how) {
  static unsigned turn;
  struct operation operation = {.op = kind,
                                .offset = (uint64_t)first * PAGE,
                                .now = op->blocking,
                                .pieces = pages > 1 ? pages * (turn++ % 2) : 0,
                                .unit = PAGE,
                                .how = how};
  struct target target = {.file = file, .buf = buf};
  t_operation(op, &operation, &target);
}

static struct step* read_pages(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                               enum origin origin, unsigned first, unsigned pages) {
  uvdio_buf_t buf;
  if (get_memory(s, origin, pages, &buf) != 0) {
    return NULL;
  }
  memset(buf.base, 0xee, buf.cap);
  submit_pages(op, UVDIO_OP_READ, file, &buf, first, pages, 0);
  struct step* step = note_transfer(s, op, file, first, pages);
  if (op->blocking && op->accepted > 0) {
    check_read(s, step, &buf);
  }
  release_if_refused(s, op, &buf);
  return step;
}

static struct step* write_pages_so(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                                   enum origin origin, unsigned first, unsigned pages,
                                   unsigned how) {
  uvdio_buf_t buf;
  if (get_memory(s, origin, pages, &buf) != 0) {
    return NULL;
  }
  for (unsigned i = 0; i < pages; i++) {
    fill_pattern(buf.base + (size_t)i * PAGE, PAGE, first + i + NEW);
  }
  buf.len = (size_t)pages * PAGE;
  submit_pages(op, UVDIO_OP_WRITE, file, &buf, first, pages, how);
  struct step* step = note_transfer(s, op, file, first, pages);
  step->how = how;
  release_if_refused(s, op, &buf);
  return step;
}

static struct step* write_pages(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                                enum origin origin, unsigned first, unsigned pages) {
  return write_pages_so(s, op, file, origin, first, pages, 0);
}

static struct tracked_op* later(struct scenario* s) {
  return op_new(&s->f->tracker);
}

static struct tracked_op* now(struct scenario* s) {
  return op_now(&s->f->tracker);
}

/*
 * The life, part by part.
 */

static int start(struct scenario* s, uvdio_backend_t backend) {
  struct fixture* f = s->f;
  uvdio_engine_options_t options = {0};
  options.backend = backend;
  options.depth = DEPTH;
  options.flags = s->registered ? 0 : UVDIO_ENGINE_NO_AUTO_REGISTER;
  options.flags |= matrix.is_polled ? UVDIO_ENGINE_POLLED : 0;
  int code = uvdio_engine_create(&f->engine, &f->loop, &options);
  if (code != 0) {
    f->engine = NULL;
    s->troubles++;
    if (code != UVDIO_EBACKEND && !scenario_allows(s, code)) {
      broken(s, "uvdio_engine_create gave", code);
    }
    return -1;
  }
  uvdio_engine_set_data(f->engine, f);
  f->closed = 0;
  code = uvdio_metrics_start(f->engine, NULL);
  if (code != 0 && !scenario_allows(s, code)) {
    broken(s, "uvdio_metrics_start gave", code);
  }
  return 0;
}

/* The engine that was asked for, or whichever works; that one tells why. */
int scenario_start(struct scenario* s) {
  char reason[512] = "";
  int code = uvdio_backend_probe(matrix.backend, reason, sizeof(reason));
  if (code > 0 || reason[0] == '\0') {
    broken(s, "a probe without a reason", code);
  }
  if (start(s, matrix.backend) != 0 && start(s, UVDIO_BACKEND_AUTO) != 0) {
    return -1;
  }
  if (uvdio_engine_backend_reason(s->f->engine)[0] == '\0') {
    broken(s, "an engine without a reason", 0);
  }
  return 0;
}

/* Makes an arena of a special kind, and destroys it. */
static int try_arena(struct scenario* s, unsigned flags) {
  uvdio_arena_options_t options = {.frame_count = 4, .flags = flags};
  size_t before = uvdio_allocations();
  uvdio_arena_t* arena;
  int code = uvdio_arena_create(&arena, &options);
  if (code == 0) {
    uvdio_arena_destroy(arena, NULL);
  }
  if (s->keeps_memory) {
    s->f->allocations += uvdio_allocations() - before;
  }
  return code;
}

static void make_arenas(struct scenario* s) {
  uvdio_arena_options_t options = {0};
  options.frame_count = FRAMES;
  if (!went_well(s, uvdio_arena_create(&s->f->arena, &options), "uvdio_arena_create gave")) {
    s->f->arena = NULL;
  }
  if (!went_well(s, uvdio_arena_create(&s->second, &options), "uvdio_arena_create gave")) {
    s->second = NULL;
  }
  (void)went_well(s, try_arena(s, UVDIO_ARENA_LOCKED | UVDIO_ARENA_GUARD_PAGES),
                  "a guarded arena gave");
  (void)try_arena(s, UVDIO_ARENA_HUGE_PAGES); /* The system may have none. */
}

/* A refused registration is no obstacle to anything. */
static void register_second(struct scenario* s) {
  if (s->registered && s->second != NULL) {
    int code = uvdio_arena_register(s->f->engine, s->second);
    s->troubles += code != 0 && code != UV_ENOTSUP;
  }
}

static void drop_second(struct scenario* s) {
  if (s->second == NULL) {
    return;
  }
  for (unsigned i = 0; i < s->count; i++) {
    uvdio_buf_t* back = &s->steps[i].op->back;
    if (uvdio_buf_origin(back) == UVDIO_ORIGIN_ARENA && uvdio_buf_release(back) != 0) {
      broken(s, "a frame can't be released", 0);
    }
  }
  (void)uvdio_arena_unregister(s->f->engine, s->second);
  if (uvdio_arena_destroy(s->second, NULL) != 0) {
    broken(s, "frames are out when all came back", 0);
  }
}

/* A buffer that can't grow or be copied keeps what it has. */
static void grow_a_buffer(struct scenario* s) {
  static const char more[PAGE] = "more";
  uvdio_buf_t buf;
  uvdio_buf_t copy;
  if (!went_well(s, uvdio_buf_page(&buf), "uvdio_buf_page gave")) {
    return;
  }
  fill_pattern(buf.base, PAGE, 1);
  (void)went_well(s, uvdio_buf_extend(&buf, more, sizeof(more)), "uvdio_buf_extend gave");
  if (went_well(s, uvdio_buf_clone(&copy, &buf), "uvdio_buf_clone gave")) {
    uvdio_buf_release(&copy);
  }
  if (!is_pattern(buf.base, PAGE, 1)) {
    broken(s, "a buffer lost its content", 0);
  }
  uvdio_buf_release(&buf);
}

static struct step* open_file(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                              const char* name, unsigned flags, int64_t expected) {
  t_open(op, s->f->engine, file, path_of(s->f, name), flags);
  return note(s, op, NULL, expected);
}

static void open_files(struct scenario* s) {
  struct fixture* f = s->f;
  unsigned from = s->count;
  uvdio_file_t missing = {0};
  open_file(s, later(s), &f->file, "file", UVDIO_OPEN_RW, 0);
  open_file(s, later(s), &f->other, "other", UVDIO_OPEN_CREATE, 0);
  open_file(s, later(s), &s->wal, "wal", UVDIO_OPEN_WAL | UVDIO_O_DIRECT_PREFERRED, 0);
  open_file(s, later(s), &missing, "missing", UVDIO_OPEN_READ, UV_ENOENT);
  cancel(s, open_file(s, later(s), &s->extra, "extra", UVDIO_OPEN_RW, 0));
  run_and_judge(s, from);
  open_file(s, now(s), &s->reader, "file", UVDIO_OPEN_READ | UVDIO_O_NATIVE_ALIGN, 0);
  run_and_judge(s, from);
}

/* More than the engine is deep, of every kind, some of it cancelled. */
static void move_pages(struct scenario* s) {
  struct fixture* f = s->f;
  unsigned from = s->count;
  for (unsigned i = 0; i < 6; i++) {
    read_pages(s, later(s), &f->file, i % 2 ? FRAME : HEAP, i, 1);
    write_pages(s, later(s), &f->file, i % 2 ? HEAP : FRAME, 8 + i, 1);
  }
  note(s, t_sync_data(later(s), &f->file), &f->file, 0);
  read_pages(s, later(s), &f->file, HEAP, 0, 8);
  write_pages(s, later(s), &f->file, HEAP, 14, 4);
  write_pages(s, later(s), &f->file, VIEW, 18, 1);
  note(s, t_sync_all(later(s), &f->file), &f->file, 0);
  note(s, t_size(later(s), &f->file), &f->file, (int64_t)PAGES * PAGE);
  note(s, t_stat(later(s), &f->file), &f->file, 0);
  cancel(s, write_pages(s, later(s), &f->file, FRAME, 19, 1));
  cancel(s, read_pages(s, later(s), &f->file, FRAME, 6, 1));
  cancel(s, note(s, t_sync_data(later(s), &f->file), &f->file, 0));
  run_and_judge(s, from);
}

/* 0, or the outcome of one operation that is run by itself. */
static int64_t alone(struct scenario* s, struct tracked_op* op, uvdio_file_t* file,
                     int64_t expected) {
  unsigned from = s->count;
  note(s, op, file, expected);
  run_and_judge(s, from);
  return tracker_outcome(op);
}

/* What needs no line of its own: a file of zeros stays one, whatever it is told. */
static void use_what_changes_nothing(struct scenario* s,
                                     struct tracked_op* (*mode)(struct scenario*),
                                     uvdio_file_t* file) {
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    enum effect effect = facts_of(op)->effect;
    if (effect == EFFECT_NONE || effect == EFFECT_ZEROS) {
      int is_missing = on_memory() && op_may_give(op, UV_ENOTSUP) && effect == EFFECT_NONE;
      alone(s, t_example(s->f, mode(s), file, op), file,
            is_missing ? UV_ENOTSUP : facts_of(op)->gives);
    }
  }
}

/* Of a file of zeros, which stays one. */
static void use_space(struct scenario* s, struct tracked_op* (*mode)(struct scenario*),
                      uvdio_file_t* file) {
  const uint64_t end = (uint64_t)s->size;
  alone(s, t_preallocate_range(mode(s), file, 8 * PAGE, PAGE, UVDIO_SPACE_KEEP_SIZE), file, 0);
  if (end > 0) {
    alone(s, t_preallocate_range(mode(s), file, 0, PAGE, UVDIO_SPACE_WRITTEN), file, 0);
  }
  use_what_changes_nothing(s, mode, file);
  alone(s, t_next_data(mode(s), file, end), file, UV_ENXIO);
  alone(s, t_next_hole(mode(s), file, end), file, UV_ENXIO);
}

static void change_size(struct scenario* s, struct tracked_op* (*mode)(struct scenario*)) {
  uvdio_file_t* file = &s->f->other;
  if (alone(s, t_truncate(mode(s), file, 3 * PAGE), file, 0) == 0) {
    s->size = 3 * PAGE;
  }
  alone(s, t_size(mode(s), file), file, s->size);
  if (alone(s, t_preallocate(mode(s), file, 8 * PAGE), file, 0) == 0) {
    s->size = 8 * PAGE;
  }
  alone(s, t_size(mode(s), file), file, s->size);
  use_space(s, mode, file);
  if (alone(s, t_truncate(mode(s), file, 0), file, 0) == 0) {
    s->size = 0;
  }
}

/* What follows one that has failed finds other names than it should. */
static void name_one(struct scenario* s, struct tracked_op* op) {
  struct step* step = note(s, op, NULL, 0);
  run_loop(s);
  int follows = s->name_troubles > 0 && (op->result == UV_ENOENT || op->result == UV_EEXIST);
  if (op->accepted > 0 && !follows) {
    judge_result(s, step);
  }
  s->name_troubles += op->accepted == 0 || op->result != 0;
}

static void change_names(struct scenario* s, struct tracked_op* (*mode)(struct scenario*)) {
  uvdio_engine_t* engine = s->f->engine;
  uvdio_file_t* file = &s->f->other;
  name_one(s, t_mkdir(mode(s), engine, path_of(s->f, "folder")));
  name_one(s, t_link(mode(s), engine, path_of(s->f, "file"), path_of(s->f, "link")));
  name_one(s, t_rename(mode(s), engine, path_of(s->f, "link"), path_of(s->f, "name"), 0));
  name_one(s, t_rename(mode(s), engine, path_of(s->f, "name"), path_of(s->f, "link"),
                       UVDIO_RENAME_NO_REPLACE));
  name_one(s, t_unlink(mode(s), engine, path_of(s->f, "link")));
  name_one(s, t_sync_directory(mode(s), engine, path_of(s->f, "folder")));
  name_one(s, t_rmdir(mode(s), engine, path_of(s->f, "folder")));
  alone(s, t_replace(mode(s), file, path_of(s->f, "other")), file, 0);
}

/* The same relative to a directory, where it opens; and a file that is made without a name. */
static void change_names_at(struct scenario* s, struct tracked_op* (*mode)(struct scenario*)) {
  static uvdio_file_t base;
  static uvdio_file_t nameless;
  struct target both = {.base = &base, .path = "linked", .new_base = &base, .new_path = "renamed"};
  struct target one = {.base = &base, .path = "inner"};
  memset(&base, 0, sizeof(base));
  memset(&nameless, 0, sizeof(nameless));
  name_one(s, t_open(mode(s), s->f->engine, &base, s->f->dir, UVDIO_O_DIRECTORY));
  if (!is_open(&base)) {
    return;
  }
  name_one(s, t_at(mode(s), UVDIO_OP_MKDIR, &one));
  name_one(s, t_at(mode(s), UVDIO_OP_RMDIR, &one));
  name_one(s, t_open_at(mode(s), &base, &nameless, ".", UVDIO_O_ANONYMOUS | UVDIO_O_RDWR));
  if (is_open(&nameless)) {
    name_one(s, t_link_file(mode(s), &nameless, &base, "linked"));
    name_one(s, t_at(mode(s), UVDIO_OP_RENAME, &both));
    one.path = "renamed";
    name_one(s, t_at(mode(s), UVDIO_OP_UNLINK, &one));
    name_one(s, t_close(mode(s), &nameless));
  }
  name_one(s, t_sync_all(mode(s), &base));
  name_one(s, t_close(mode(s), &base));
}

static void write_durably(struct scenario* s) {
  unsigned from = s->count;
  for (unsigned i = 0; i < 2; i++) {
    struct step* step = write_pages(s, later(s), &s->wal, i ? SECOND_FRAME : HEAP, i, 1);
    if (step != NULL) {
      step->pages = 0; /* of another file than "file" */
    }
  }
  for (unsigned i = 0; i < 2; i++) {
    write_pages_so(s, later(s), &s->f->file, HEAP, 21 + i, 1,
                   UVDIO_WRITE_DURABLE | (i ? UVDIO_WRITE_BY_DSYNC : UVDIO_WRITE_BY_SYNC));
  }
  run_and_judge(s, from);
}

static void release_frames(struct scenario* s, struct tracked_op* op) {
  for (unsigned i = 0; i < op->frame_count; i++) {
    if (uvdio_buf_release(&op->frames[i]) != 0) {
      broken(s, "a frame can't be released", 0);
    }
  }
}

/* One has all frames at once, one gets them when these come back, one is cancelled before. */
static void wait_for_frames(struct scenario* s) {
  uvdio_arena_options_t options = {.frame_count = 2};
  uvdio_engine_t* engine = s->f->engine;
  unsigned from = s->count;
  uvdio_arena_t* arena;
  if (!went_well(s, uvdio_arena_create(&arena, &options), "uvdio_arena_create gave")) {
    return;
  }
  struct tracked_op* first = t_arena_wait(now(s), engine, arena, 2);
  note(s, first, NULL, 0);
  struct step* last = note(s, t_arena_wait(later(s), engine, arena, 1), NULL, 0);
  cancel(s, note(s, t_arena_wait(later(s), engine, arena, 2), NULL, 0));
  release_frames(s, first);
  run_and_judge(s, from);
  release_frames(s, last->op);
  if (uvdio_arena_destroy(arena, NULL) != 0) {
    broken(s, "frames are out when all came back", 0);
  }
}

static void do_at_once(struct scenario* s) {
  struct fixture* f = s->f;
  unsigned from = s->count;
  write_pages(s, now(s), &f->file, HEAP, 20, 1);
  read_pages(s, now(s), &s->reader, HEAP, 1, 2);
  note(s, t_sync_data(now(s), &f->file), &f->file, 0);
  note(s, t_sync_all(now(s), &f->file), &f->file, 0);
  note(s, t_stat(now(s), &f->file), &f->file, 0);
  note(s, t_close(now(s), &s->reader), &s->reader, 0);
  run_and_judge(s, from);
}

/* A descriptor becomes a file, which is locked, and comes back; it is there in every case. */
static void hand_over(struct scenario* s) {
  const unsigned flags = UVDIO_O_RDWR | UVDIO_O_LOCK_SHARED;
  uvdio_file_t* file = &s->adopted;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = blocking ? now(s) : later(s);
    t_adopt(op, s->f->engine, file, s->descriptor, flags);
    if (alone(s, op, NULL, 0) == 0) {
      alone(s, t_stat(blocking ? now(s) : later(s), file), file, 0);
      alone(s, t_release(blocking ? now(s) : later(s), file), file, s->descriptor);
    }
    if (is_open(file)) {
      alone(s, t_close(later(s), file), file, 0);
    }
  }
}

/* A buffered transfer of odd bytes; and the lock of what was closed is free. */
static void lock_and_buffer(struct scenario* s) {
  const unsigned flags = UVDIO_OPEN_RW | UVDIO_O_BUFFERED | UVDIO_O_DONTCACHE;
  char bytes[7] = "odd";
  for (unsigned i = 0; i < 2; i++) {
    uvdio_buf_t odd = uvdio_buf_view_bytes(bytes, sizeof(bytes));
    unsigned from = s->count;
    open_file(s, later(s), &s->adopted, "odd", flags | UVDIO_O_LOCK_EXCLUSIVE, 0);
    run_and_judge(s, from);
    if (is_open(&s->adopted)) {
      alone(s, t_write(later(s), &s->adopted, &odd, i), &s->adopted, sizeof(bytes));
      alone(s, t_close(later(s), &s->adopted), &s->adopted, 0);
    }
  }
}

/* Of a durable write: what may be the error of the sync in it. */
static int latches(int64_t result) {
  static const int harmless[] = {UV_EINVAL, UV_EFBIG,     UV_EFAULT,         UV_EBADF,   UV_EAGAIN,
                                 UV_EINTR,  UV_ECANCELED, UVDIO_ESHORTWRITE, UVDIO_EPOOL};
  for (size_t i = 0; i < COUNT_OF(harmless); i++) {
    if (result == harmless[i]) {
      return 0;
    }
  }
  return result < 0;
}

/* Whether the operation promised that something is durable, and broke the promise. */
static int lost_something(const struct scenario* s, const struct step* step) {
  const struct tracked_op* op = step->op;
  int is_sync = op->kind == UVDIO_OP_SYNC_DATA || op->kind == UVDIO_OP_SYNC_ALL;
  if (op->kind == UVDIO_OP_WRITE && (step->how & UVDIO_WRITE_BY_SYNC) != 0) {
    is_sync = op->req.transferred == PAGE; /* It was written. */
  } else if (op->kind == UVDIO_OP_WRITE && (op->file == &s->wal || step->how != 0)) {
    return latches(op->result);
  }
  return is_sync && op->result < 0 && op->result != UV_ECANCELED && op->result != UVDIO_EPOOL;
}

/* After a sync that failed, none succeeds. */
static void check_latch(struct scenario* s, const uvdio_file_t* file) {
  const struct tracked_op* failed = NULL;
  for (unsigned i = 0; i < s->count; i++) {
    const struct tracked_op* op = s->steps[i].op;
    int is_sync = op->kind == UVDIO_OP_SYNC_DATA || op->kind == UVDIO_OP_SYNC_ALL;
    if (op->file != file || op->accepted == 0) {
      continue;
    }
    if (failed != NULL && is_sync && op->result == 0) {
      broken(s, "a sync succeeded after one failed with", failed->result);
    }
    if (failed == NULL && lost_something(s, &s->steps[i])) {
      failed = op;
    }
  }
  if (is_open(file) && (failed == NULL ? 0 : failed->result) != latch_of(file)) {
    broken(s, "the latch is", latch_of(file));
  }
}

/* Two handles of one open file wait for each other, and have one latch. */
static void share_a_file(struct scenario* s) {
  struct fixture* f = s->f;
  unsigned from = s->count;
  uvdio_file_t first = {0};
  uvdio_file_t second = {0};
  open_file(s, now(s), &first, "shared", UVDIO_OPEN_RW | UVDIO_O_DUP, 0);
  if (is_open(&first) && went_well(s, uvdio_dup(f->engine, &second, &first), "uvdio_dup gave")) {
    note(s, t_preallocate(later(s), &first, PAGE), &first, 0);
    note(s, t_truncate(later(s), &second, PAGE), &second, 0);
    note(s, t_sync_data(later(s), &first), &first, 0);
    note(s, t_sync_all(later(s), &second), &second, 0);
    cancel(s, note(s, t_truncate(later(s), &second, 0), &second, 0));
    note(s, t_truncate(later(s), &first, PAGE), &first, 0);
    run_and_judge(s, from);
    if (latch_of(&first) != latch_of(&second)) {
      broken(s, "one handle is latched and the other not", 0);
    }
    note(s, t_truncate(now(s), &second, 0), &second, 0);
    note(s, t_close(now(s), &first), &first, 0);
    note(s, t_close(later(s), &second), &second, 0);
  } else if (is_open(&first)) {
    note(s, t_close(later(s), &first), &first, 0);
  }
  run_and_judge(s, from);
}

static void check_idle(struct scenario* s) {
  uvdio_engine_stats_t stats = stats_of(s->f);
  const struct tracker* tracker = &s->f->tracker;
  if (stats.pending != 0 || stats.in_flight != 0 || stats.submitted != tracker->accepted ||
      stats.completed != tracker->finished) {
    broken(s, "the engine's counts are not the tracker's", 0);
  }
}

/* The engine is closed on top of requests, open files, and a close that waits. */
static void end_in_flight(struct scenario* s) {
  struct fixture* f = s->f;
  unsigned from = s->count;
  for (unsigned i = 0; i < 12; i++) {
    read_pages(s, later(s), &f->file, FRAME, i % 8, 1);
  }
  write_pages(s, later(s), &f->file, FRAME, 24, 1);
  write_pages(s, later(s), &f->file, HEAP, 25, 4);
  note(s, t_sync_all(later(s), &f->file), &f->file, 0);
  note(s, t_size(later(s), &f->other), &f->other, s->size);
  note(s, t_close(later(s), &f->other), &f->other, 0);
  if (is_open(&s->extra)) {
    note(s, t_close(later(s), &s->extra), &s->extra, 0);
  }
  int code = t_engine_close(f->engine, on_engine_closed);
  if (code != 0) {
    broken(s, "uvdio_engine_close gave", code);
  }
  run_and_judge(s, from);
  f->engine = NULL;
  if (f->closed != 1) {
    broken(s, "callbacks of uvdio_engine_close: not one", 0);
  }
}

/*
 * Before and after.
 */

/* Past the page cache, or that is written back while direct I/O goes on. */
static void write_plainly(struct scenario* s) {
  static _Alignas(UVDIO_ALIGNMENT) char content[PAGES * PAGE];
  int fd = open(path_of(s->f, "file"), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
  for (unsigned i = 0; i < PAGES; i++) {
    fill_pattern(content + (size_t)i * PAGE, PAGE, i);
  }
  if (pwrite(fd, content, sizeof(content), 0) != (ssize_t)sizeof(content)) {
    broken(s, "the scene could not be set", 0);
  }
  close(fd);
}

void scenario_begin(struct scenario* s) {
  s->views = aligned_alloc(PAGE, (size_t)VIEWS * PAGE);
  write_plainly(s);
  s->descriptor = open(path_of(s->f, "file"), O_RDWR | O_CLOEXEC);
}

void scenario_live(struct scenario* s) {
  if (scenario_start(s) != 0) {
    return;
  }
  make_arenas(s);
  grow_a_buffer(s);
  open_files(s);
  register_second(s);
  if (s->between != NULL && s->between(s->context) != 0) {
    broken(s, "what was to happen in between did not", 0);
  }
  move_pages(s);
  change_size(s, later);
  change_names(s, later);
  change_names_at(s, later);
  write_durably(s);
  do_at_once(s);
  wait_for_frames(s);
  change_size(s, now);
  hand_over(s);
  lock_and_buffer(s);
  share_a_file(s);
  change_names(s, now);
  change_names_at(s, now);
  check_latch(s, &s->f->file);
  check_latch(s, &s->wal);
  check_idle(s);
  drop_second(s);
  snprintf(s->backend, sizeof(s->backend), "%s", uvdio_engine_backend(s->f->engine));
  snprintf(s->reason, sizeof(s->reason), "%s", uvdio_engine_backend_reason(s->f->engine));
  end_in_flight(s);
}

/* Pages that a write may have changed hold the old or the new; as many as it told of hold the
 * new. */
static void check_page(struct scenario* s, const char* page, unsigned number) {
  unsigned may = 0;
  unsigned must = 0;
  for (unsigned i = 0; i < s->count; i++) {
    const struct step* step = &s->steps[i];
    if (step->op->kind == UVDIO_OP_WRITE && number >= step->first &&
        number < step->first + step->pages) {
      may = step->op->accepted > 0;
      must = may && step->op->req.transferred / PAGE > number - step->first;
    }
  }
  if (is_pattern(page, PAGE, number)) {
    if (must) {
      broken(s, "a page that was written is as before", 0);
    }
  } else if (!may || !is_pattern(page, PAGE, number + NEW)) {
    broken(s, "a page holds what nobody wrote", 0);
  }
}

static void check_content(struct scenario* s) {
  static _Alignas(UVDIO_ALIGNMENT) char content[PAGES * PAGE];
  int fd = open(path_of(s->f, "file"), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (pread(fd, content, sizeof(content), 0) != (ssize_t)sizeof(content)) {
    broken(s, "the file is shorter than before", 0);
  }
  for (unsigned i = 0; i < PAGES; i++) {
    check_page(s, content + (size_t)i * PAGE, i);
  }
  close(fd);
}

static void check_reads(struct scenario* s) {
  for (unsigned i = 0; i < s->count; i++) {
    const struct step* step = &s->steps[i];
    if (step->op->kind == UVDIO_OP_READ && step->op->back.base != NULL) {
      check_read(s, step, &step->op->back);
    }
  }
}

void scenario_end(struct scenario* s) {
  if (close(s->descriptor) != 0) {
    broken(s, "a descriptor that was adopted did not come back", 0);
  }
  check_reads(s);
  check_content(s);
  free(s->views);
}

void scenario_assert_complete(const struct scenario* s) {
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    for (int blocking = 0; blocking < 2; blocking++) {
      if (!s->used[op][blocking]) {
        fail_msg("the scenario does not use %s, %s", uvdio_op_name(op),
                 blocking ? "synchronous" : "asynchronous");
      }
    }
  }
}
