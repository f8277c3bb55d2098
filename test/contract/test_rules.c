/* SPDX-License-Identifier: MIT */
/*
 * Faults by rules (uvdio/faults.h) in front of every backend: what a rule matches gets its fault,
 * and the library answers as it does to the real one.
 */
#include "uvdio/faults.h"

#include <string.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

/* Longer than any test: a delay that something else ends. */
#define FOREVER_MS 3600000u

static uvdio_fault_rule_t error_of(uvdio_op_t op, int error) {
  uvdio_fault_rule_t rule = {.op = op, .fault = {.kind = UVDIO_FAULT_ERROR, .error = error}};
  return rule;
}

static uvdio_fault_rule_t short_of(uvdio_op_t op, size_t length) {
  uvdio_fault_rule_t rule = {.op = op, .fault = {.kind = UVDIO_FAULT_SHORT, .length = length}};
  return rule;
}

static uvdio_fault_rule_t delay_of(uvdio_op_t op, uint32_t delay_ms) {
  uvdio_fault_rule_t rule = {.op = op, .fault = {.kind = UVDIO_FAULT_DELAY, .delay_ms = delay_ms}};
  return rule;
}

static void add(struct fixture* f, uvdio_fault_rule_t rule) {
  assert_ok(uvdio_engine_add_rule(f->engine, &rule));
}

static void add_times(struct fixture* f, uvdio_fault_rule_t rule, uint64_t times) {
  rule.times = times;
  add(f, rule);
}

static void clear(struct fixture* f) {
  assert_ok(uvdio_engine_clear_rules(f->engine));
}

static uint64_t fired(struct fixture* f, unsigned index) {
  uvdio_fault_rule_info_t info;
  assert_ok(uvdio_engine_rule_info(f->engine, index, &info));
  return info.fired;
}

static uint64_t matched(struct fixture* f, unsigned index) {
  uvdio_fault_rule_info_t info;
  assert_ok(uvdio_engine_rule_info(f->engine, index, &info));
  return info.matched;
}

/*
 * Rules
 */

static void assert_no_rule(struct fixture* f, uvdio_fault_rule_t rule, int error) {
  uvdio_fault_rule_info_t info;
  assert_code(uvdio_engine_add_rule(f->engine, &rule), error);
  assert_code(uvdio_engine_rule_info(f->engine, 0, &info), UV_ENOENT);
}

static void bad_rules_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t sound = error_of(UVDIO_OP_READ, 0);
  uvdio_fault_rule_t rule = sound;
  rule.op = UVDIO_OP_COUNT;
  assert_no_rule(f, rule, UV_EINVAL);
  rule.op = UVDIO_OP_ARENA_WAIT; /* No backend sees it. */
  assert_no_rule(f, rule, UV_EINVAL);
  rule = sound;
  rule.fault.error = 1;
  assert_no_rule(f, rule, UV_EINVAL);
  rule = sound;
  rule.ppm = 1000001;
  assert_no_rule(f, rule, UV_EINVAL);
  rule = sound;
  rule.fault.kind = (uvdio_fault_kind_t)(UVDIO_FAULT_CUT + 1);
  assert_no_rule(f, rule, UV_EINVAL);
  assert_no_rule(f, delay_of(UVDIO_OP_READ, 0), UV_EINVAL);
  assert_no_rule(f, error_of(UVDIO_OP_CLOSE, 0), UV_ENOTSUP);
  uvdio_fault_kind_t of_worlds[] = {UVDIO_FAULT_TORN,      UVDIO_FAULT_LOST,   UVDIO_FAULT_CORRUPT,
                                    UVDIO_FAULT_MISDIRECT, UVDIO_FAULT_LATENT, UVDIO_FAULT_CUT};
  for (size_t i = 0; i < COUNT_OF(of_worlds); i++) {
    rule = sound;
    rule.fault.kind = of_worlds[i];
    assert_no_rule(f, rule, UV_ENOTSUP);
  }
  unsigned char longer[sizeof(rule) + 8];
  memset(longer, 1, sizeof(longer));
  memcpy(longer, &sound, sizeof(sound));
  assert_code(
      uvdio_engine_add_rule_sized(f->engine, (uvdio_fault_rule_t*)(void*)longer, sizeof(longer)),
      UV_E2BIG);
}

static void nothing_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_READ, 0);
  uvdio_fault_rule_info_t info;
  assert_code(uvdio_engine_add_rule(NULL, &rule), UV_EINVAL);
  assert_code(uvdio_engine_add_rule(f->engine, NULL), UV_EINVAL);
  assert_code(uvdio_engine_clear_rules(NULL), UV_EINVAL);
  assert_code(uvdio_engine_seed_rules(NULL, 1), UV_EINVAL);
  assert_code(uvdio_engine_rule_info(NULL, 0, &info), UV_EINVAL);
  assert_code(uvdio_engine_rule_info(f->engine, 0, NULL), UV_EINVAL);
  assert_ok(uvdio_engine_clear_rules(f->engine));
}

struct elsewhere {
  struct fixture* f;
  int codes[4];
};

static void ask_all(struct elsewhere* e) {
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_READ, 0);
  uvdio_fault_rule_info_t info;
  e->codes[0] = uvdio_engine_add_rule(e->f->engine, &rule);
  e->codes[1] = uvdio_engine_clear_rules(e->f->engine);
  e->codes[2] = uvdio_engine_seed_rules(e->f->engine, 1);
  e->codes[3] = uvdio_engine_rule_info(e->f->engine, 0, &info);
}

static void ask_in_thread(void* data) {
  ask_all(data);
}

static int ask_in_child(void* data) {
  struct elsewhere* e = data;
  ask_all(e);
  for (size_t i = 0; i < COUNT_OF(e->codes); i++) {
    EXPECT(e->codes[i] == UVDIO_EFORK);
  }
  return 0;
}

static void other_threads_and_children_are_refused(void** state) {
  struct fixture* f = *state;
  struct elsewhere e = {.f = f};
  uv_thread_t thread;
  add(f, error_of(UVDIO_OP_TRUNCATE, UV_EIO));
  run_once(f);
  assert_ok(uv_thread_create(&thread, ask_in_thread, &e));
  assert_ok(uv_thread_join(&thread));
  for (size_t i = 0; i < COUNT_OF(e.codes); i++) {
    assert_code(e.codes[i], UVDIO_ETHREAD);
  }
  assert_int_equal(in_a_child(ask_in_child, &e), 0);
}

static void a_closed_engine_is_refused(void** state) {
  struct fixture* f = *state;
  struct elsewhere e = {.f = f};
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  ask_all(&e);
  for (size_t i = 0; i < COUNT_OF(e.codes); i++) {
    assert_code(e.codes[i], UV_EBADF);
  }
  run(f);
  f->engine = NULL;
}

static void rules_tell_what_they_did(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_info_t info;
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_WRITE, UV_ENOSPC);
  char path[] = "*file";
  rule.path = path;
  rule.skip = 1;
  rule.times = 2;
  add(f, delay_of(UVDIO_OP_READ, 1));
  add(f, rule);
  path[0] = '!'; /* It was copied. */
  for (unsigned i = 0; i < 5; i++) {
    struct tracked_op* write = write_page(f, i);
    run(f);
    assert_result(write, i == 1 || i == 2 ? UV_ENOSPC : PAGE);
  }
  assert_ok(uvdio_engine_rule_info(f->engine, 1, &info));
  assert_int_equal(info.op, UVDIO_OP_WRITE);
  assert_string_equal(info.path, "*file");
  assert_int_equal(info.kind, UVDIO_FAULT_ERROR);
  assert_int_equal(info.error, UV_ENOSPC);
  assert_int_equal(info.matched, 5);
  assert_int_equal(info.fired, 2);
  assert_ok(uvdio_engine_rule_info(f->engine, 0, &info));
  assert_null(info.path);
  assert_int_equal(info.kind, UVDIO_FAULT_DELAY);
  assert_int_equal(info.matched, 0);
  assert_code(uvdio_engine_rule_info(f->engine, 2, &info), UV_ENOENT);
  clear(f);
  assert_code(uvdio_engine_rule_info(f->engine, 0, &info), UV_ENOENT);
  struct tracked_op* write = write_page(f, 1);
  run(f);
  assert_result(write, PAGE);
}

/* Whether a read of the fixture's file is one that the pattern is about. */
static int is_path_like(struct fixture* f, const char* pattern) {
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_SIZE, UV_EXDEV);
  rule.path = pattern;
  add(f, rule);
  int64_t result = t_size(op_now(&f->tracker), &f->file)->result;
  clear(f);
  return result == UV_EXDEV;
}

static void paths_match_by_patterns(void** state) {
  struct fixture* f = *state;
  const char* path = path_of(f, "file");
  assert_true(is_path_like(f, path));
  assert_true(is_path_like(f, "*"));
  assert_true(is_path_like(f, "*file"));
  assert_true(is_path_like(f, "*/f*l*e"));
  assert_true(is_path_like(f, "*i*e*"));
  assert_true(is_path_like(f, "*file**"));
  assert_false(is_path_like(f, "file*"));
  assert_false(is_path_like(f, "*fil"));
  assert_false(is_path_like(f, "*files"));
  assert_false(is_path_like(f, "*file*x"));
  assert_false(is_path_like(f, "file"));
  assert_false(is_path_like(f, ""));
}

static void ranges_match_what_touches_them(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, (size_t)4 * PAGE, 1);
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_NONE, UV_EIO);
  rule.offset = (uint64_t)2 * PAGE;
  rule.length = 1;
  add(f, rule);
  for (unsigned page = 0; page < 4; page++) {
    struct tracked_op* read = read_page(f, page);
    run(f);
    assert_result(read, page == 2 ? UV_EIO : PAGE);
  }
  assert_result(t_sync_data(op_now(&f->tracker), &f->file), 0);
  uvdio_buf_t buf = blank((size_t)3 * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, UV_EIO);
}

static void the_first_rule_with_a_fault_decides(void** state) {
  struct fixture* f = *state;
  add_times(f, error_of(UVDIO_OP_READ, UV_EIO), 1);
  add(f, error_of(UVDIO_OP_NONE, UV_ENOSPC));
  for (unsigned i = 0; i < 2; i++) {
    struct tracked_op* read = read_page(f, 0);
    run(f);
    assert_result(read, i == 0 ? UV_EIO : UV_ENOSPC);
  }
  assert_int_equal(matched(f, 0), 2);
  assert_int_equal(matched(f, 1), 1);
}

/* The pattern of a hundred reads, by the rule's chance. */
static void draw(struct fixture* f, uint64_t seed, char drawn[101]) {
  uvdio_fault_rule_t rule = error_of(UVDIO_OP_SIZE, UV_EIO);
  rule.ppm = 500000;
  assert_ok(uvdio_engine_seed_rules(f->engine, seed));
  add(f, rule);
  for (unsigned i = 0; i < 100; i++) {
    struct tracked_op* op = i % 2 ? op_new(&f->tracker) : op_now(&f->tracker);
    t_size(op, &f->file);
    run(f);
    drawn[i] = op->result == UV_EIO ? '1' : '0';
  }
  drawn[100] = '\0';
  assert_true(fired(f, 0) > 20 && fired(f, 0) < 80);
  clear(f);
}

static void a_seed_is_a_run(void** state) {
  struct fixture* f = *state;
  char first[101];
  char second[101];
  draw(f, 1, first);
  draw(f, 1, second);
  assert_string_equal(first, second);
  draw(f, 2, second);
  assert_string_not_equal(first, second);
}

/*
 * Errors
 */

static struct tracked_op* do_example(struct fixture* f, uvdio_op_t kind, int blocking) {
  struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
  t_example(f, op, &f->file, kind);
  run(f);
  return op;
}

static void open_anew(struct fixture* f) {
  assert_int_equal(t_close(op_now(&f->tracker), &f->file)->done, 1);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
}

/* Once it fails, and has done nothing; then it does what it is for, on a file that no sync has
 * latched. */
static void every_operation_fails(struct fixture* f, int blocking) {
  for (uvdio_op_t kind = UVDIO_OP_OPEN; kind < UVDIO_OP_COUNT; kind++) {
    if (facts_of(kind)->effect == EFFECT_CLOSE || facts_of(kind)->effect == EFFECT_FRAMES) {
      continue;
    }
    open_anew(f);
    add_times(f, error_of(kind, UV_ENXIO), 1);
    assert_result(do_example(f, kind, blocking), UV_ENXIO);
    assert_int_equal(fired(f, 0), 1);
    open_anew(f);
    assert_example(do_example(f, kind, blocking), kind);
    if (facts_of(kind)->effect == EFFECT_OPEN) {
      close_other(f);
    }
    clear(f);
  }
}

static void any_operation_can_fail(void** state) {
  every_operation_fails(*state, 0);
}

static void any_synchronous_operation_can_fail(void** state) {
  every_operation_fails(*state, 1);
}

/* What a kernel says when it refuses something for now is the disk's answer here. */
static void any_error_is_the_answer(void** state) {
  struct fixture* f = *state;
  int errors[] = {UV_EIO,   UV_ENOSPC,    UV_ENOMEM,        UV_ENOBUFS, UV_ENOTSUP, UV_ENOSYS,
                  UV_EPERM, UV_ECANCELED, UVDIO_ESHORTREAD, UV_EINVAL,  UV_EACCES,  0};
  put(f, &f->file, 0, PAGE, 1);
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    int expected = errors[i] == 0 ? UV_EIO : errors[i];
    add(f, error_of(UVDIO_OP_READ, errors[i]));
    struct tracked_op* read = read_page(f, 0);
    run(f);
    assert_result(read, expected);
    uvdio_buf_t buf = blank(PAGE);
    assert_result(t_read(op_now(&f->tracker), &f->file, &buf, 0), expected);
    assert_ok(uvdio_buf_release(&buf));
    assert_int_equal(matched(f, 0), 2);
    clear(f);
  }
}

/* Kernel AIO may refuse a write besides. */
static void is_repeated(struct fixture* f, int error) {
  uint64_t before = stats_of(f).retried;
  add_times(f, error_of(UVDIO_OP_NONE, error), 3);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, PAGE);
  assert_true(stats_of(f).retried - before >= 3);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_int_equal(fired(f, 0), 3);
  assert_int_equal(matched(f, 0), 5); /* and the two that had no fault */
  clear(f);
}

static void interrupted_operations_are_repeated(void** state) {
  is_repeated(*state, UV_EINTR);
  is_repeated(*state, UV_EAGAIN);
}

static void not_for_ever(void** state) {
  struct fixture* f = *state;
  int errors[] = {UV_EINTR, UV_EAGAIN};
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    add(f, error_of(UVDIO_OP_READ, errors[i]));
    struct tracked_op* read = read_page(f, 0);
    run(f);
    assert_result(read, errors[i]);
    uvdio_buf_t buf = blank(PAGE);
    assert_result(t_read(op_now(&f->tracker), &f->file, &buf, 0), errors[i]);
    assert_ok(uvdio_buf_release(&buf));
    clear(f);
  }
}

static void failed_write_has_written_nothing(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 7);
  add(f, error_of(UVDIO_OP_WRITE, UV_ENOSPC));
  struct tracked_op* over = write_page_of(f, &f->file, 0, 8);
  struct tracked_op* behind = write_page_of(f, &f->file, 1, 9);
  run(f);
  assert_result(over, UV_ENOSPC);
  assert_result(behind, UV_ENOSPC);
  assert_int_equal(over->req.transferred, 0);
  assert_true(is_pattern(over->back.base, PAGE, 8));
  assert_holds(f, &f->file, 0, PAGE, 7);
  assert_size(f, &f->file, PAGE);
  assert_int_equal(info_of(&f->file).latch_error, 0);
}

static void assert_latched(struct fixture* f, int error) {
  uvdio_buf_t buf = filled(PAGE, 1);
  assert_code(info_of(&f->file).latch_error, error);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &buf, 0), error);
  assert_ok(uvdio_buf_release(&buf));
  assert_refused(t_sync_data(op_new(&f->tracker), &f->file), error);
}

static void failed_sync_latches(void** state) {
  struct fixture* f = *state;
  uvdio_op_t syncs[] = {UVDIO_OP_SYNC_DATA, UVDIO_OP_SYNC_ALL};
  for (size_t i = 0; i < 2 * COUNT_OF(syncs); i++) {
    uvdio_op_t kind = syncs[i / 2];
    open_anew(f);
    add_times(f, error_of(kind, UV_ENOSPC), 1);
    assert_result(do_example(f, kind, i % 2 != 0), UV_ENOSPC);
    assert_latched(f, UV_ENOSPC);
    clear(f);
  }
}

static struct tracked_op* write_durably(struct fixture* f) {
  uvdio_buf_t buf = filled(PAGE, 1);
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->file, &buf, 0, UVDIO_WRITE_DURABLE);
  run(f);
  return write;
}

static void failed_durable_write_latches(void** state) {
  struct fixture* f = *state;
  NEEDS("durable writes");
  add_times(f, error_of(UVDIO_OP_WRITE, UV_ENOSPC), 1);
  assert_result(write_durably(f), UV_ENOSPC);
  assert_latched(f, UV_ENOSPC);
}

/* A system that has no durable writes: the write is followed by a sync, which is an operation of
 * its own to the rules. */
static void failed_sync_of_a_durable_write_latches(void** state) {
  struct fixture* f = *state;
  NEEDS("durable writes");
  add_times(f, error_of(UVDIO_OP_WRITE, UV_ENOSYS), 1);
  add_times(f, error_of(UVDIO_OP_SYNC_DATA, UV_EIO), 1);
  struct tracked_op* write = write_durably(f);
  assert_result(write, UV_EIO);
  assert_int_equal(write->req.transferred, PAGE);
  assert_int_equal(matched(f, 0), 2);
  assert_int_equal(fired(f, 1), 1);
  assert_latched(f, UV_EIO);
}

static void failed_write_of_a_dsync_file_latches(void** state) {
  struct fixture* f = *state;
  assert_int_equal(t_close(op_now(&f->tracker), &f->file)->done, 1);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DSYNC);
  add_times(f, error_of(UVDIO_OP_WRITE, UV_EIO), 1);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, UV_EIO);
  assert_latched(f, UV_EIO);
}

static void those_that_share_a_sync_share_its_error(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[8];
  add(f, error_of(UVDIO_OP_SYNC_DATA, UV_EIO));
  struct tracked_op* write = write_page(f, 0);
  for (size_t i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = t_sync_data(op_new(&f->tracker), &f->file);
  }
  run(f);
  assert_result(write, PAGE);
  for (size_t i = 0; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], UV_EIO);
  }
}

static void closes_do_not_fail(void** state) {
  struct fixture* f = *state;
  add(f, error_of(UVDIO_OP_NONE, UV_EIO));
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(close, 0);
  clear(f);
}

/* Each is an operation to the rules once, whatever the system has repeated, or another backend has
 * done in the end. */
static void operations_are_counted_once(void** state) {
  struct fixture* f = *state;
  add(f, error_of(UVDIO_OP_UNLINK, UV_EIO));
  uvdio_fault_rule_t any = error_of(UVDIO_OP_NONE, UV_EIO);
  any.skip = 1000;
  add(f, any);
  for (unsigned i = 0; i < 20; i++) {
    write_page(f, i);
  }
  run(f);
  t_sync_all(op_new(&f->tracker), &f->file);
  t_size(op_new(&f->tracker), &f->file);
  t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  run(f);
  t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_int_equal(matched(f, 1), 24);
}

/*
 * Short transfers
 */

#define PAGES 8u

/* Writes and reads in steps of the rule's length, which take `parts` each. */
static void goes_in_parts(struct fixture* f, size_t length, uint64_t parts) {
  uint64_t before = stats_of(f).resumed;
  add(f, short_of(UVDIO_OP_NONE, length));
  uvdio_buf_t buf = filled((size_t)PAGES * PAGE, 3);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, (int64_t)PAGES * PAGE);
  assert_int_equal(stats_of(f).resumed - before, parts - 1);
  buf = blank((size_t)PAGES * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, (int64_t)PAGES * PAGE);
  assert_int_equal(stats_of(f).resumed - before, 2 * (parts - 1));
  assert_int_equal(fired(f, 0), 2 * parts);
  clear(f);
  assert_holds(f, &f->file, 0, (size_t)PAGES * PAGE, 3);
}

static void short_transfers_go_on(void** state) {
  struct fixture* f = *state;
  goes_in_parts(f, PAGE, PAGES);
  goes_in_parts(f, 1, PAGES);
  goes_in_parts(f, (size_t)3 * PAGE + 17, 3);
  goes_in_parts(f, (size_t)PAGES * PAGE, 1);
  goes_in_parts(f, SIZE_MAX, 1);
}

static void synchronous_ones_as_well(void** state) {
  struct fixture* f = *state;
  uint64_t before = stats_of(f).resumed;
  add(f, short_of(UVDIO_OP_NONE, PAGE));
  put(f, &f->file, 0, (size_t)PAGES * PAGE, 4);
  assert_int_equal(stats_of(f).resumed - before, PAGES - 1);
  assert_holds(f, &f->file, 0, (size_t)PAGES * PAGE, 4);
}

static void seeded_ones_are_of_any_length(void** state) {
  struct fixture* f = *state;
  uint64_t before = stats_of(f).resumed;
  add(f, short_of(UVDIO_OP_WRITE, 0));
  for (unsigned i = 0; i < 10; i++) {
    uvdio_buf_t buf = filled((size_t)PAGES * PAGE, i);
    struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
    run(f);
    assert_result(write, (int64_t)PAGES * PAGE);
    assert_holds(f, &f->file, 0, (size_t)PAGES * PAGE, i);
  }
  uint64_t resumed = stats_of(f).resumed - before;
  assert_true(resumed >= 10 && resumed < 10 * (PAGES - 1));
}

/* The bytes of several buffers, cut within one of them. */
static void several_buffers_are_cut_anywhere(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t bufs[3];
  add(f, short_of(UVDIO_OP_NONE, (size_t)3 * PAGE));
  for (unsigned i = 0; i < COUNT_OF(bufs); i++) {
    bufs[i] = filled((size_t)2 * PAGE, i);
  }
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, COUNT_OF(bufs), 0);
  run(f);
  assert_result(write, (int64_t)6 * PAGE);
  assert_int_equal(fired(f, 0), 2);
  clear(f);
  for (unsigned i = 0; i < COUNT_OF(bufs); i++) {
    assert_holds(f, &f->file, (uint64_t)2 * i * PAGE, (size_t)2 * PAGE, i);
  }
}

/* A buffered read that begins anywhere does not take its first part for the end of the file. */
static void buffered_transfers_go_on(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  put(f, &f->other, 0, (size_t)2 * PAGE, 5);
  add(f, short_of(UVDIO_OP_READ, 600));
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &buf, 100);
  run(f);
  assert_result(read, PAGE);
  assert_true(fired(f, 0) > 4);
  clear(f);
  uvdio_buf_t whole = blank((size_t)2 * PAGE);
  struct tracked_op* all = t_read(op_new(&f->tracker), &f->other, &whole, 0);
  run(f);
  assert_memory_equal(read->back.base, all->back.base + 100, PAGE);
  close_other(f);
}

/* A part is a sector at least, and what is left of a transfer is none. */
static void less_than_two_sectors_are_moved_at_once(void** state) {
  struct fixture* f = *state;
  char bytes[1000];
  open_now(f, &f->other, "other", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  put(f, &f->other, 0, PAGE, 5);
  add(f, short_of(UVDIO_OP_READ, 0));
  uint64_t before = stats_of(f).resumed;
  uvdio_buf_t view = uvdio_buf_wrap(bytes, sizeof(bytes));
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &view, 0);
  run(f);
  assert_result(read, (int64_t)sizeof(bytes));
  assert_int_equal(stats_of(f).resumed - before, 0);
  close_other(f);
}

static void the_end_of_the_file_stays_where_it_is(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, (size_t)3 * PAGE, 1);
  add(f, short_of(UVDIO_OP_READ, (size_t)2 * PAGE));
  uvdio_buf_t buf = blank((size_t)PAGES * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, (int64_t)3 * PAGE);
  buf = blank((size_t)PAGES * PAGE);
  read = t_read_exact(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_int_equal(read->req.transferred, (size_t)3 * PAGE);
}

/* What was moved by then is there, and nothing behind it. */
static void an_error_may_come_half_way(void** state) {
  struct fixture* f = *state;
  add_times(f, short_of(UVDIO_OP_WRITE, (size_t)3 * PAGE), 1);
  add(f, error_of(UVDIO_OP_WRITE, UV_ENOSPC));
  uvdio_buf_t buf = filled((size_t)PAGES * PAGE, 6);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, UV_ENOSPC);
  assert_int_equal(write->req.transferred, (size_t)3 * PAGE);
  assert_size(f, &f->file, (int64_t)3 * PAGE);
  assert_int_equal(fired(f, 1), 1);
}

/* Each part is looked at where it is. */
static void parts_touch_what_they_touch(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t at_the_begin = error_of(UVDIO_OP_WRITE, UV_EIO);
  at_the_begin.length = PAGE;
  add_times(f, short_of(UVDIO_OP_WRITE, PAGE), 3);
  add(f, at_the_begin);
  uvdio_buf_t buf = filled((size_t)PAGES * PAGE, 6);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, (int64_t)PAGES * PAGE);
  assert_int_equal(fired(f, 0), 3);
}

static void short_has_no_meaning_for_syncs(void** state) {
  struct fixture* f = *state;
  add(f, short_of(UVDIO_OP_SYNC_DATA, PAGE));
  assert_result(do_example(f, UVDIO_OP_SYNC_DATA, 0), 0);
}

/*
 * Delays
 */

static void delayed_operations_let_others_pass(void** state) {
  struct fixture* f = *state;
  const uint32_t delay_ms = 1000; /* within which the other has ended, on a busy disk as well */
  put(f, &f->file, 0, (size_t)4 * PAGE, 1);
  add_times(f, delay_of(UVDIO_OP_READ, delay_ms), 1);
  uint64_t began = uv_hrtime();
  struct tracked_op* delayed = read_page(f, 0);
  struct tracked_op* other = read_page(f, 1);
  run(f);
  assert_result(delayed, PAGE);
  assert_result(other, PAGE);
  assert_true(other->order < delayed->order);
  assert_true(uv_hrtime() - began >= delay_ms * UINT64_C(1000000));
}

static unsigned turns;

static void count_turn(uv_prepare_t* handle) {
  (void)handle;
  turns++;
}

/* A loop that looked at the clock would have turned some thousand times. */
static void the_loop_sleeps_meanwhile(void** state) {
  struct fixture* f = *state;
  uv_prepare_t prepare;
  assert_ok(uv_prepare_init(&f->loop, &prepare));
  assert_ok(uv_prepare_start(&prepare, count_turn));
  uv_unref((uv_handle_t*)&prepare);
  add(f, delay_of(UVDIO_OP_READ, 50));
  read_page(f, 0);
  turns = 0;
  run(f);
  assert_in_range(turns, 1, 30);
  uv_close((uv_handle_t*)&prepare, NULL);
  run(f);
}

static void shorter_delays_end_first(void** state) {
  struct fixture* f = *state;
  add_times(f, delay_of(UVDIO_OP_READ, FOREVER_MS), 1);
  add_times(f, delay_of(UVDIO_OP_READ, 30), 1);
  add_times(f, delay_of(UVDIO_OP_READ, 1), 1);
  unsigned before = f->tracker.finished;
  struct tracked_op* last = read_page(f, 0);
  read_page(f, 0);
  read_page(f, 0);
  watch_for_hang("delays behind a longer one");
  while (f->tracker.finished < before + 2) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_int_equal(last->done, 0);
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
}

/* It is made at the end of the delay, not at its begin, and what it orders is ordered. */
static void syncs_wait_for_delayed_writes(void** state) {
  struct fixture* f = *state;
  add_times(f, delay_of(UVDIO_OP_WRITE, 20), 1);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(write, PAGE);
  assert_result(size, 0);
  assert_result(sync, 0);
  assert_true(write->order < sync->order);
  assert_holds(f, &f->file, 0, PAGE, 2);
}

static void every_operation_can_be_late(void** state) {
  struct fixture* f = *state;
  add(f, delay_of(UVDIO_OP_NONE, 1));
  do_every_example(f, 0);
  assert_true(fired(f, 0) >= UVDIO_OP_COUNT - 1);
  clear(f);
}

static void synchronous_operations_are_never_late(void** state) {
  struct fixture* f = *state;
  add(f, delay_of(UVDIO_OP_NONE, FOREVER_MS));
  do_every_example(f, 1);
  clear(f);
}

struct seen {
  unsigned running;
};

static void look(const uvdio_request_info_t* info, void* arg) {
  struct seen* seen = arg;
  seen->running += info->op == UVDIO_OP_WRITE && info->state == UVDIO_REQUEST_RUNNING;
}

static unsigned running_writes(struct fixture* f) {
  struct seen seen = {0};
  assert_ok(uvdio_engine_walk(f->engine, look, &seen));
  return seen.running;
}

/* At depth 1 the next one waits for the place. */
static void delayed_operations_take_a_place(void** state) {
  struct fixture* f = *state;
  add_times(f, delay_of(UVDIO_OP_WRITE, FOREVER_MS), 1);
  struct tracked_op* delayed = write_page(f, 0);
  struct tracked_op* next = write_page(f, 1);
  run_for_a_while(f, 10, 0);
  assert_int_equal(running_writes(f), 1);
  assert_int_equal(next->done, 0);
  assert_ok(t_cancel(delayed));
  run(f);
  assert_result(delayed, UV_ECANCELED);
  assert_result(next, PAGE);
}

static void places_are_used_again(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  add_times(f, error_of(UVDIO_OP_READ, UV_EIO), 5);
  add(f, delay_of(UVDIO_OP_READ, 1));
  struct tracked_op* reads[10];
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = read_page(f, 0);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_result(reads[i], i < 5 ? UV_EIO : PAGE);
  }
}

static void cancelled_delays_end_at_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[4];
  put(f, &f->file, 0, PAGE, 1);
  add(f, delay_of(UVDIO_OP_WRITE, FOREVER_MS));
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_page_of(f, &f->file, 0, 2);
  }
  run_for_a_while(f, 5, 0);
  assert_int_equal(running_writes(f), COUNT_OF(writes));
  assert_ok(t_cancel(writes[2]));
  run_for_a_while(f, 5, 0);
  assert_result(writes[2], UV_ECANCELED);
  assert_int_equal(writes[1]->done + writes[3]->done, 0);
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], UV_ECANCELED);
    assert_true(is_pattern(writes[i]->back.base, PAGE, 2));
  }
  clear(f);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

/* Those that run beside it are the backend's to cancel. */
static void others_are_cancelled_as_ever(void** state) {
  struct fixture* f = *state;
  add_times(f, delay_of(UVDIO_OP_READ, 5), 1);
  struct tracked_op* delayed = read_page(f, 0);
  struct tracked_op* other = read_page(f, 0);
  run_until_it_sleeps(f);
  if (other->done == 0) {
    assert_ok(t_cancel(other));
  }
  run(f);
  assert_result(delayed, 0);
  assert_true(other->result == 0 || other->result == UV_ECANCELED);
}

/* All workers have something else to do: what the pool has has not begun. */
static void those_that_have_not_begun_are_cancelled(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  run_once(f);
  assert_ok(uvdio_engine_seed_rules(f->engine, 1));
  workers_occupy(&workers, &f->loop, WORKERS);
  struct tracked_op* read = read_page(f, 0);
  assert_ok(t_cancel(read));
  workers_release(&workers);
  run(f);
  assert_true(read->result == UV_ECANCELED || (read->result == 0 && !is_done_by(&f->file, "pool")));
}

static void closing_the_engine_ends_delays(void** state) {
  struct fixture* f = *state;
  add(f, delay_of(UVDIO_OP_NONE, FOREVER_MS));
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run_for_a_while(f, 5, 0);
  assert_int_equal(write->done, 0);
  end_engine(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
}

static void errors_come_while_the_engine_closes(void** state) {
  struct fixture* f = *state;
  add(f, error_of(UVDIO_OP_NONE, UV_EIO));
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  end_engine(f);
  assert_result(write, UV_EIO);
  assert_result(sync, UV_EIO);
}

static void close_handle(uv_handle_t* handle, void* arg) {
  (void)arg;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* As a program does at its end that knows no better. */
static void the_user_may_close_the_timer(void** state) {
  struct fixture* f = *state;
  add(f, delay_of(UVDIO_OP_NONE, FOREVER_MS));
  struct tracked_op* write = write_page(f, 0);
  run_for_a_while(f, 5, 0);
  uv_walk(&f->loop, close_handle, NULL);
  struct tracked_op* later = write_page(f, 1);
  end_engine(f);
  assert_result(write, PAGE);
  assert_result(later, PAGE);
}

static int close_in_child(void* data) {
  struct fixture* f = data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_engine_close(f->engine, NULL) == 0);
  EXPECT(uv_run(&f->loop, UV_RUN_DEFAULT) == 0);
  for (const struct tracked_op* op = f->tracker.ops; op != NULL; op = op->next) {
    EXPECT(op->kind != UVDIO_OP_WRITE || op->blocking || op->result == UVDIO_EFORK);
  }
  return 0;
}

static int wait_in_child(void* data) {
  struct fixture* f = data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  for (unsigned i = 0; i < 100; i++) {
    uv_sleep(1);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  EXPECT(uvdio_engine_close(f->engine, NULL) == 0);
  EXPECT(uv_run(&f->loop, UV_RUN_DEFAULT) == 0);
  return 0;
}

static void delays_are_the_parents(void** state) {
  struct fixture* f = *state;
  need_fork();
  add(f, delay_of(UVDIO_OP_WRITE, 50));
  struct tracked_op* write = write_page_of(f, &f->file, 0, 3);
  run_for_a_while(f, 5, 0);
  assert_int_equal(in_a_child(close_in_child, f), 0);
  assert_int_equal(in_a_child(wait_in_child, f), 0);
  run(f);
  assert_result(write, PAGE);
  assert_holds(f, &f->file, 0, PAGE, 3);
}

/* Rules that come while requests are under way are for those that follow. */
static void rules_may_come_at_any_time(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[8];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_page(f, i);
  }
  run_until_it_sleeps(f);
  add(f, error_of(UVDIO_OP_READ, UV_EIO));
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, UV_EIO);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], PAGE);
  }
}

/* Turns the loop so many times, and as often again until the open has ended. */
static void turn(struct fixture* f, unsigned times) {
  for (unsigned i = 0; i < times; i++) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_sleep(1);
  }
}

/* An open takes several steps, and a rule that comes in between is for the next one: no descriptor
 * is left behind. */
static void rules_may_come_while_a_file_is_opened(void** state) {
  struct fixture* f = *state;
  for (unsigned turns_before = 0; turns_before < 8; turns_before++) {
    end_engine(f);
    memset(&f->file, 0, sizeof(f->file));
    start_engine(f, matrix_options());
    struct tracked_op* open =
        t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_RW);
    turn(f, turns_before);
    add(f, error_of(UVDIO_OP_OPEN, UV_EMFILE));
    run(f);
    assert_true(open->result == 0 || (open->result == UV_EMFILE && turns_before == 0));
    clear(f);
  }
  end_engine(f);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, bad_rules_are_refused),
      TEST_ON(fixture_open, nothing_is_refused),
      TEST_ON(fixture_open, other_threads_and_children_are_refused),
      TEST_ON(fixture_engine, a_closed_engine_is_refused),
      TEST_ON(fixture_open, rules_tell_what_they_did),
      TEST_ON(fixture_open, paths_match_by_patterns),
      TEST_ON(fixture_open, ranges_match_what_touches_them),
      TEST_ON(fixture_open, the_first_rule_with_a_fault_decides),
      TEST_ON(fixture_open, a_seed_is_a_run),
      TEST_ON(fixture_open, any_operation_can_fail),
      TEST_ON(fixture_open, any_synchronous_operation_can_fail),
      TEST_ON(fixture_open, any_error_is_the_answer),
      TEST_ON(fixture_open, interrupted_operations_are_repeated),
      TEST_ON(fixture_open, not_for_ever),
      TEST_ON(fixture_open, failed_write_has_written_nothing),
      TEST_ON(fixture_open, failed_sync_latches),
      TEST_ON(fixture_open, failed_durable_write_latches),
      TEST_ON(fixture_open, failed_sync_of_a_durable_write_latches),
      TEST_ON(fixture_open, failed_write_of_a_dsync_file_latches),
      TEST_ON(fixture_open, those_that_share_a_sync_share_its_error),
      TEST_ON(fixture_open, closes_do_not_fail),
      TEST_ON(fixture_open, operations_are_counted_once),
      TEST_ON(fixture_open, short_transfers_go_on),
      TEST_ON(fixture_open, synchronous_ones_as_well),
      TEST_ON(fixture_open, seeded_ones_are_of_any_length),
      TEST_ON(fixture_open, several_buffers_are_cut_anywhere),
      TEST_ON(fixture_open, buffered_transfers_go_on),
      TEST_ON(fixture_open, less_than_two_sectors_are_moved_at_once),
      TEST_ON(fixture_open, the_end_of_the_file_stays_where_it_is),
      TEST_ON(fixture_open, an_error_may_come_half_way),
      TEST_ON(fixture_open, parts_touch_what_they_touch),
      TEST_ON(fixture_open, short_has_no_meaning_for_syncs),
      TEST_ON(fixture_open, delayed_operations_let_others_pass),
      TEST_ON(fixture_open, the_loop_sleeps_meanwhile),
      TEST_ON(fixture_open, shorter_delays_end_first),
      TEST_ON(fixture_open, syncs_wait_for_delayed_writes),
      TEST_ON(fixture_open, every_operation_can_be_late),
      TEST_ON(fixture_open, synchronous_operations_are_never_late),
      TEST_ON(fixture_open_at_depth_1, delayed_operations_take_a_place),
      TEST_ON(fixture_open_at_depth_1, places_are_used_again),
      TEST_ON(fixture_open, cancelled_delays_end_at_once),
      TEST_ON(fixture_open, others_are_cancelled_as_ever),
      TEST_ON(fixture_open, those_that_have_not_begun_are_cancelled),
      TEST_ON(fixture_open, closing_the_engine_ends_delays),
      TEST_ON(fixture_open, errors_come_while_the_engine_closes),
      TEST_ON(fixture_open, the_user_may_close_the_timer),
      TEST_ON(fixture_open, delays_are_the_parents),
      TEST_ON(fixture_open, rules_may_come_at_any_time),
      TEST_ON(fixture_open, rules_may_come_while_a_file_is_opened),
  };
  workers_begin();
  return matrix_main("contract_rules", tests, COUNT_OF(tests), argc, argv);
}
