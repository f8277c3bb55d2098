/* SPDX-License-Identifier: MIT */
#include "ops.h"

#include <stdio.h>
#include <string.h>

#include "system.h"

/*
 * Pages.
 */

struct tracked_op* read_page_of(struct fixture* f, uvdio_file_t* file, uint64_t page) {
  uvdio_buf_t buf = blank(PAGE);
  return t_read(op_new(&f->tracker), file, &buf, page * PAGE);
}

struct tracked_op* write_page_of(struct fixture* f, uvdio_file_t* file, uint64_t page,
                                 unsigned seed) {
  uvdio_buf_t buf = filled(PAGE, seed);
  return t_write(op_new(&f->tracker), file, &buf, page * PAGE);
}

struct tracked_op* read_page(struct fixture* f, unsigned page) {
  return read_page_of(f, &f->file, page);
}

struct tracked_op* write_page(struct fixture* f, unsigned page) {
  return write_page_of(f, &f->file, page, page);
}

/*
 * Files.
 */

void close_other(struct fixture* f) {
  assert_result(t_close(op_now(&f->tracker), &f->other), 0);
}

/*
 * Examples.
 */

static const char* place_of(const struct fixture* f, const char* path) {
  if (path == NULL) {
    return NULL;
  }
  return *path != '\0' ? path_of(f, path) : f->dir;
}

/* With a frame for each example of a wait. */
static uvdio_arena_t* spare_of(struct fixture* f) {
  uvdio_arena_options_t options = {.frame_count = 1024};
  if (f->spare == NULL && uvdio_arena_create(&f->spare, &options) != 0) {
    f->spare = NULL;
  }
  return f->spare;
}

struct tracked_op* t_example(struct fixture* f, struct tracked_op* op, uvdio_file_t* file,
                             uvdio_op_t kind) {
  const struct op_facts* facts = facts_of(kind);
  struct operation operation = facts->example;
  uvdio_buf_t buf = {0};
  struct target target = {.engine = f->engine,
                          .path = place_of(f, facts->path),
                          .new_path = place_of(f, facts->new_path),
                          .file = kind == UVDIO_OP_OPEN ? &f->other : file,
                          .buf = &buf};
  operation.op = kind;
  operation.now = op->blocking;
  target.arena = facts->effect == EFFECT_FRAMES ? spare_of(f) : NULL;
  memset(&op->stat, 0xee, sizeof(op->stat)); /* What nobody has written is seen. */
  if (kind == UVDIO_OP_READ) {
    buf = blank((size_t)operation.length);
    t_read(op, file, &buf, operation.offset); /* in pieces, where the matrix wants it */
  } else if (kind == UVDIO_OP_WRITE) {
    buf = filled((size_t)operation.length, 1);
    t_write(op, file, &buf, operation.offset);
  } else {
    t_operation(op, &operation, &target);
  }
  assert_ok(uvdio_buf_release(&buf)); /* It is empty where it was accepted. */
  return op;
}

void assert_example(const struct tracked_op* op, uvdio_op_t kind) {
  if (!op_may_give(kind, op->result)) {
    assert_result(op, facts_of(kind)->gives);
  }
}

void do_every_example(struct fixture* f, int blocking) {
  for (uvdio_op_t kind = UVDIO_OP_OPEN; kind < UVDIO_OP_COUNT; kind++) {
    int closes = facts_of(kind)->effect == EFFECT_CLOSE;
    put(f, &f->file, 0, PAGE, 1);
    if (closes) {
      open_now(f, &f->other, "other", UVDIO_OPEN_RW);
    }
    struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    t_example(f, op, closes ? &f->other : &f->file, kind);
    run(f);
    assert_example(op, kind);
    if (facts_of(kind)->effect == EFFECT_OPEN) {
      close_other(f);
    }
  }
}

/* Whatever the library leaves out shows. */
uvdio_file_info_t info_of(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  memset(&info, 0xff, sizeof(info));
  assert_ok(uvdio_file_info(file, &info));
  return info;
}

int is_done_by(const uvdio_file_t* file, const char* backend) {
  return strcmp(info_of(file).backend, backend) == 0;
}

int is_sent_in_batches(const uvdio_file_t* file) {
  return is_done_by(file, "ring") || is_done_by(file, "aio");
}

int has_one_backend(const uvdio_file_t* file) {
  return is_done_by(file, info_of(file).backend_concurrent);
}

void need_one_backend(const uvdio_file_t* file) {
  if (!has_one_backend(file)) {
    SKIP("this file's transfers may go by either backend");
  }
}

void need_two_backends(const uvdio_file_t* file) {
  if (has_one_backend(file)) {
    SKIP("files of this filesystem have one backend");
  }
}

int is_there(const char* path) {
  return system_look_at(path).is_there;
}

void put_text(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

/*
 * The loop.
 */

void run_once(struct fixture* f) {
  t_size(op_new(&f->tracker), &f->file);
  run(f);
}

void count_untracked(struct fixture* f) {
  f->tracker.accepted = (unsigned)stats_of(f).submitted;
  f->tracker.finished = (unsigned)stats_of(f).completed;
}

void run_untracked(struct fixture* f) {
  run(f);
  count_untracked(f);
}

size_t frames_out(const struct fixture* f) {
  uvdio_arena_info_t info;
  assert_ok(uvdio_arena_info(f->arena, &info));
  return info.frames_out;
}

void run_until_it_sleeps(struct fixture* f) {
  do {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  } while (uv_loop_alive(&f->loop) && uv_backend_timeout(&f->loop) == 0);
}

static void stop_the_loop(uv_timer_t* timer) {
  uv_stop(timer->loop);
  uv_close((uv_handle_t*)timer, NULL);
}

static void count_turn(uv_prepare_t* prepare) {
  unsigned* turns = prepare->data;
  ++*turns;
}

static void keep_awake(uv_idle_t* idle) {
  (void)idle;
}

unsigned run_for_a_while(struct fixture* f, unsigned ms, int spin) {
  unsigned turns = 0;
  uv_timer_t timer;
  uv_prepare_t prepare;
  uv_idle_t idle;
  uv_timer_init(&f->loop, &timer);
  uv_prepare_init(&f->loop, &prepare);
  uv_idle_init(&f->loop, &idle);
  prepare.data = &turns;
  uv_timer_start(&timer, stop_the_loop, ms, 0);
  uv_prepare_start(&prepare, count_turn);
  if (spin) {
    uv_idle_start(&idle, keep_awake);
  }
  uv_run(&f->loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t*)&prepare, NULL);
  uv_close((uv_handle_t*)&idle, NULL);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  return turns;
}

const char* segment_name(uint64_t number) {
  static char name[32];
  snprintf(name, sizeof(name), "wal/%016llx.seg", (unsigned long long)number);
  return name;
}

uint64_t size_of_file(struct fixture* f) {
  uvdio_req_t req = {0};
  assert_ok(uvdio_size(&f->file, &req, NULL));
  return (uint64_t)req.result;
}

void assert_bytes_at(struct fixture* f, uint64_t offset, const char* bytes, size_t length) {
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, uvdio_range_size(&f->file, offset, length), 0));
  assert_ok(uvdio_read_range(&f->file, &req, &buf, offset, length, NULL));
  uvdio_buf_t view = uvdio_range_view(&req, &buf);
  assert_int_equal(view.len, length);
  assert_memory_equal(view.base, bytes, length);
  assert_ok(uvdio_buf_release(&buf));
}

void assert_content(struct fixture* f, const char* name, unsigned seed) {
  uvdio_file_t file = {0};
  open_now(f, &file, name, UVDIO_OPEN_READ);
  assert_holds(f, &file, 0, PAGE, seed);
  assert_result(t_close(op_now(&f->tracker), &file), 0);
}

void assert_missing(struct fixture* f, const char* name) {
  uvdio_file_t file = {0};
  assert_result(t_open(op_now(&f->tracker), f->engine, &file, path_of(f, name), UVDIO_OPEN_READ),
                UV_ENOENT);
}
