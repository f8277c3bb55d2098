/* SPDX-License-Identifier: MIT */
/*
 * One open file with several handles (uvdio_dup), on one engine, on two engines of a loop, and on
 * two threads: truncates run alone among all handles, the lock goes with the last one, and whoever
 * waits for another handle goes on when that ends, is cancelled or is closed.
 */
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"

#define MANY 12u
#define CHAIN 40u
#define SHAREABLE (UVDIO_OPEN_RW | UVDIO_O_DUP)

/* f->file is a handle on the fixture's engine; f->other is a second one of the same open file, on
 * an engine of its own where files can be had by two. */
static uvdio_engine_t* second;
static unsigned second_closed;

static void on_second_closed(uvdio_engine_t* engine) {
  (void)engine;
  second_closed++;
}

static int has_two_engines(void) {
  return !on_memory() || matrix.simulated;
}

static uvdio_engine_t* make_engine(struct fixture* f, uv_loop_t* loop) {
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* engine;
  assert_ok(f->sim != NULL ? uvdio_sim_engine_create(&engine, loop, f->sim, &options)
                           : uvdio_engine_create(&engine, loop, &options));
  return engine;
}

static int two_handles(void** state) {
  if (fixture_engine(state) != 0) {
    return -1;
  }
  struct fixture* f = *state;
  open_now(f, &f->file, "file", SHAREABLE);
  second = has_two_engines() ? make_engine(f, &f->loop) : f->engine;
  second_closed = 0;
  assert_ok(uvdio_dup(second, &f->other, &f->file));
  return 0;
}

static void close_second(struct fixture* f) {
  if (second != NULL && has_two_engines()) {
    uvdio_engine_stats_t stats;
    assert_ok(uvdio_engine_stats(second, &stats));
    f->elsewhere = stats.submitted;
    assert_ok(uvdio_engine_close(second, on_second_closed));
  }
  second = NULL;
}

static int tear_down(void** state) {
  struct fixture* f = *state;
  close_second(f);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  return fixture_tear_down(state);
}

#define TEST_WITH_TWO(function) cmocka_unit_test_setup_teardown(function, two_handles, tear_down)

static struct tracked_op* truncate_to(struct fixture* f, uvdio_file_t* file, unsigned pages) {
  return t_truncate(op_new(&f->tracker), file, (uint64_t)pages * PAGE);
}

/*
 * One file
 */

static void handles_have_one_file(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  put(f, &f->other, PAGE, PAGE, 2);
  assert_holds(f, &f->other, 0, PAGE, 1);
  assert_holds(f, &f->file, PAGE, PAGE, 2);
  for (unsigned i = 0; i < MANY; i++) {
    write_page_of(f, i % 2 ? &f->file : &f->other, i, 10 + i);
  }
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(sync, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_holds(f, i % 2 ? &f->other : &f->file, (uint64_t)i * PAGE, PAGE, 10 + i);
  }
  assert_size(f, &f->other, MANY * PAGE);
}

static void assert_same(uvdio_file_info_t info, uvdio_file_info_t source) {
  assert_string_equal(info.backend, source.backend);
  assert_string_equal(info.backend_concurrent, source.backend_concurrent);
  assert_string_equal(info.reason, source.reason);
  assert_string_equal(info.filesystem, source.filesystem);
  assert_int_equal(info.is_direct, source.is_direct);
  assert_int_equal(info.is_durable_serialized, source.is_durable_serialized);
  assert_int_equal(info.flags, source.flags);
  assert_int_equal(info.memory_align, source.memory_align);
  assert_int_equal(info.offset_align, source.offset_align);
  assert_int_equal(info.system_memory_align, source.system_memory_align);
  assert_int_equal(info.system_offset_align, source.system_offset_align);
  assert_int_equal(info.system_read_align, source.system_read_align);
  assert_int_equal(info.recommended_align, source.recommended_align);
  assert_int_equal(info.align_source, source.align_source);
  assert_int_equal(info.inode, source.inode);
  assert_int_equal(info.device, source.device);
  assert_int_equal(info.open_size, source.open_size);
  assert_int_equal(info.atomic_min, source.atomic_min);
  assert_int_equal(info.atomic_max, source.atomic_max);
  assert_int_equal(info.cache, source.cache);
  assert_int_equal(info.modified_ns, source.modified_ns);
  assert_int_equal(info.changed_ns, source.changed_ns);
  assert_int_equal(info.created_ns, source.created_ns);
  assert_int_equal(info.optimal_size, source.optimal_size);
  assert_int_equal(info.physical_block, source.physical_block);
  assert_int_equal(info.request_max, source.request_max);
  assert_int_equal(info.durable_method, source.durable_method);
}

static void handle_tells_what_its_source_tells(void** state) {
  struct fixture* f = *state;
  assert_same(info_of(&f->other), info_of(&f->file));
  assert_int_equal(info_of(&f->other).flags, SHAREABLE);
}

/* What no default is. */
static void handle_of_any_file_tells_what_its_source_tells(void** state) {
  static const unsigned kinds[] = {UVDIO_O_BUFFERED, UVDIO_O_BUFFERED | UVDIO_O_DONTCACHE,
                                   UVDIO_O_NATIVE_ALIGN, UVDIO_O_DSYNC};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    uvdio_file_t source = {0};
    uvdio_file_t copy = {0};
    open_now(f, &source, "kind", SHAREABLE | kinds[i]);
    assert_ok(uvdio_dup(f->engine, &copy, &source));
    assert_same(info_of(&copy), info_of(&source));
    put(f, &copy, 0, PAGE, kinds[i]);
    assert_holds(f, &source, 0, PAGE, kinds[i]);
    assert_result(t_close(op_now(&f->tracker), &copy), 0);
    assert_result(t_close(op_now(&f->tracker), &source), 0);
  }
}

static void note_path(const uvdio_request_info_t* info, void* arg) {
  const char** path = arg;
  *path = info->path;
}

static void handle_has_its_sources_path(void** state) {
  struct fixture* f = *state;
  const char* path = NULL;
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->other);
  assert_ok(uvdio_engine_walk(second, note_path, &path));
  assert_non_null(path);
  assert_string_equal(path, path_of(f, "file"));
  run(f);
  assert_int_equal(size->done, 1);
}

static void handle_may_be_the_source_of_another(void** state) {
  struct fixture* f = *state;
  uvdio_file_t third = {0};
  struct tracker* t = &f->tracker;
  assert_result(t_close(op_now(t), &f->file), 0);
  assert_ok(uvdio_dup(second, &third, &f->other));
  put(f, &third, 0, PAGE, 7);
  assert_result(t_close(op_now(t), &f->other), 0);
  assert_holds(f, &third, 0, PAGE, 7);
  assert_result(t_close(op_now(t), &third), 0);
}

static void read_only_source_has_read_only_handles(void** state) {
  struct fixture* f = *state;
  uvdio_file_t reader = {0};
  uvdio_file_t copy = {0};
  uvdio_buf_t page = filled(PAGE, 1);
  put(f, &f->file, 0, PAGE, 3);
  open_now(f, &reader, "file", UVDIO_OPEN_READ | UVDIO_O_DUP);
  assert_ok(uvdio_dup(second, &copy, &reader));
  assert_refused(t_write(op_new(&f->tracker), &copy, &page, 0), UV_EBADF);
  uvdio_buf_release(&page);
  assert_holds(f, &copy, 0, PAGE, 3);
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
  assert_result(t_close(op_now(&f->tracker), &reader), 0);
}

static void file_that_is_gone_lives_with_its_handles(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 5);
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "file")), 0);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_holds(f, &f->other, 0, PAGE, 5);
}

/*
 * Misuse
 */

static void wrong_arguments_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_t copy = {0};
  uvdio_file_t plain = {0};
  uvdio_file_t closed = {0};
  assert_code(uvdio_dup(NULL, &copy, &f->file), UV_EINVAL);
  assert_code(uvdio_dup(second, NULL, &f->file), UV_EINVAL);
  assert_code(uvdio_dup(second, &copy, NULL), UV_EINVAL);
  assert_code(uvdio_dup(second, &copy, &closed), UV_EBADF);
  assert_code(uvdio_dup(second, &f->other, &f->file), UV_EBUSY);
  assert_code(uvdio_dup(second, &f->file, &f->file), UV_EBUSY);
  open_now(f, &plain, "plain", UVDIO_OPEN_RW);
  assert_code(uvdio_dup(second, &copy, &plain), UV_EINVAL);
  assert_result(t_close(op_now(&f->tracker), &plain), 0);
  assert_code(uvdio_dup(second, &copy, &plain), UV_EBADF);
}

static void source_that_opens_or_closes_is_none(void** state) {
  struct fixture* f = *state;
  uvdio_file_t source = {0};
  uvdio_file_t copy = {0};
  struct tracker* t = &f->tracker;
  struct tracked_op* open = t_open(op_new(t), f->engine, &source, path_of(f, "new"), SHAREABLE);
  assert_code(uvdio_dup(second, &copy, &source), UV_EBADF);
  run(f);
  assert_result(open, 0);
  struct tracked_op* closing = t_close(op_new(t), &source);
  assert_code(uvdio_dup(second, &copy, &source), UV_EBADF);
  run(f);
  assert_result(closing, 0);
}

static void replace_is_for_the_only_handle(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_file_t copy = {0};
  NEEDS("replace");
  const char* path = path_of(f, "new");
  const char* told = NULL;
  assert_refused(t_replace(op_new(t), &f->file, path), UV_EBUSY);
  assert_refused(t_replace(op_now(t), &f->other, path), UV_EBUSY);
  assert_result(t_close(op_now(t), &f->file), 0);
  struct tracked_op* replace = t_replace(op_new(t), &f->other, path);
  assert_accepted(replace);
  assert_code(uvdio_dup(second, &copy, &f->other), UV_EBUSY);
  run(f);
  assert_result(replace, 0);
  assert_ok(uvdio_dup(second, &copy, &f->other));
  struct tracked_op* size = t_size(op_new(t), &copy);
  assert_ok(uvdio_engine_walk(second, note_path, &told));
  assert_string_equal(told, path);
  run(f);
  assert_int_equal(size->done, 1);
  assert_result(t_close(op_now(t), &copy), 0);
  assert_result(t_replace(op_now(t), &f->other, path_of(f, "newer")), 0);
}

static void files_in_memory_stay_with_their_engine(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {.backend =
                                        on_memory() ? UVDIO_BACKEND_POOL : UVDIO_BACKEND_MEMORY};
  uvdio_engine_t* engine;
  uvdio_file_t copy = {0};
  assert_ok(uvdio_engine_create(&engine, &f->loop, &options));
  assert_code(uvdio_dup(engine, &copy, &f->file), UV_EXDEV);
  assert_ok(uvdio_engine_close(engine, on_second_closed));
  assert_code(uvdio_dup(engine, &copy, &f->file), UV_EBADF);
  if (on_memory()) {
    options.backend = UVDIO_BACKEND_MEMORY;
    assert_ok(uvdio_engine_create(&engine, &f->loop, &options));
    assert_code(uvdio_dup(engine, &copy, &f->file), UV_EXDEV);
    assert_ok(uvdio_engine_close(engine, on_second_closed));
  }
  run(f);
}

static void open_that_fails_leaves_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_file_t file = {0};
  unsigned flags = UVDIO_O_RDWR | UVDIO_O_DUP;
  assert_result(t_open(op_now(&f->tracker), f->engine, &file, path_of(f, "none"), flags),
                UV_ENOENT);
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &file, path_of(f, "none"), flags);
  run(f);
  assert_result(open, UV_ENOENT);
  open_now(f, &file, "some", SHAREABLE);
  assert_result(t_close(op_now(&f->tracker), &file), 0);
}

/*
 * Truncates
 */

/* The order of callbacks tells it: one comes in the iteration of its outcome. */
static void truncate_waits_for_the_other_handle(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before[MANY];
  struct tracked_op* after[MANY];
  put(f, &f->file, 0, MANY * PAGE, 1);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    before[i] = i % 3 ? read_page_of(f, &f->file, i) : write_page_of(f, &f->file, i, 2);
  }
  struct tracked_op* truncate = truncate_to(f, &f->other, MANY / 2);
  for (unsigned i = 0; i < MANY; i++) {
    after[i] = read_page_of(f, &f->file, i);
  }
  run(f);
  assert_result(truncate, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(before[i], PAGE);
    assert_true(before[i]->order < truncate->order);
    assert_result(after[i], i < MANY / 2 ? PAGE : 0);
  }
}

static void truncates_of_both_handles_take_turns(void** state) {
  struct fixture* f = *state;
  struct tracked_op* truncates[MANY];
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_file_t* file = i % 2 ? &f->file : &f->other;
    truncates[i] = truncate_to(f, file, 20 + i);
    writes[i] = write_page_of(f, file, 1 + i, i);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(truncates[i], 0);
    assert_result(writes[i], PAGE);
  }
}

struct chain {
  struct fixture* f;
  uvdio_file_t* file;
  unsigned left;
  unsigned done;
};

static void next_truncate(struct tracked_op* op) {
  struct chain* chain = op->data;
  chain->done++;
  if (chain->left > 0) {
    chain->left--;
    t_truncate(op_then(&chain->f->tracker, next_truncate, chain), chain->file,
               (uint64_t)(chain->left % 5) * PAGE);
  }
}

static void start_chain(struct chain* chain) {
  t_truncate(op_then(&chain->f->tracker, next_truncate, chain), chain->file, 0);
  t_truncate(op_then(&chain->f->tracker, next_truncate, chain), chain->file, PAGE);
}

struct look {
  const struct chain* chains;
  unsigned truncates_before;
};

static void look_at_chains(struct tracked_op* op) {
  struct look* look = op->data;
  look->truncates_before = look->chains[0].done + look->chains[1].done;
}

/* Two handles truncate without a pause; a third one wants to read. */
static void nobody_starves_beside_truncates(void** state) {
  struct fixture* f = *state;
  uvdio_file_t third = {0};
  assert_ok(uvdio_dup(second, &third, &f->file));
  struct chain chains[2] = {{f, &f->file, CHAIN, 0}, {f, &f->other, CHAIN, 0}};
  struct look look = {chains, UINT32_MAX};
  start_chain(&chains[0]);
  start_chain(&chains[1]);
  uvdio_buf_t page = blank(PAGE);
  struct tracked_op* read = t_read(op_then(&f->tracker, look_at_chains, &look), &third, &page, 0);
  run(f);
  assert_int_equal(read->done, 1);
  assert_int_equal(chains[0].done, CHAIN + 2);
  assert_int_equal(chains[1].done, CHAIN + 2);
  assert_true(look.truncates_before < CHAIN / 2);
  assert_result(t_close(op_now(&f->tracker), &third), 0);
}

static void next_read(struct tracked_op* op) {
  struct chain* chain = op->data;
  chain->done++;
  if (chain->left > 0) {
    chain->left--;
    uvdio_buf_t page = blank(PAGE);
    t_read(op_then(&chain->f->tracker, next_read, chain), chain->file, &page, 0);
  }
}

/* A handle reads without a pause, several at a time; the other one truncates now and then. */
static void truncates_do_not_starve_beside_reads(void** state) {
  struct fixture* f = *state;
  struct chain reads = {f, &f->file, 20 * CHAIN, 0};
  struct chain truncates = {f, &f->other, 4, 0};
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < 4; i++) {
    uvdio_buf_t page = blank(PAGE);
    t_read(op_then(&f->tracker, next_read, &reads), &f->file, &page, 0);
  }
  start_chain(&truncates);
  while (truncates.done < 6 && reads.left > 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  assert_int_equal(truncates.done, 6);
  assert_true(reads.left > 10 * CHAIN);
  reads.left = 0;
  run(f);
}

static void synchronous_forms_are_turned_away(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_buf_t buf = filled(PAGE, 9);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  assert_refused(t_truncate(op_now(t), &f->other, 0), UV_EBUSY);
  run(f);
  assert_result(write, PAGE);
  struct tracked_op* truncate = truncate_to(f, &f->file, 4);
  assert_refused(t_write(op_now(t), &f->other, &buf, 0), UV_EBUSY);
  assert_refused(t_read(op_now(t), &f->other, &buf, 0), UV_EBUSY);
  assert_refused(t_punch_hole(op_now(t), &f->other, 0, PAGE), UV_EBUSY);
  assert_refused(t_truncate(op_now(t), &f->other, 0), UV_EBUSY);
  assert_result(t_sync_data(op_now(t), &f->other), 0);
  run(f);
  assert_result(truncate, 0);
  assert_result(t_write(op_now(t), &f->other, &buf, 0), PAGE);
  assert_result(t_truncate(op_now(t), &f->other, 0), 0);
  uvdio_buf_release(&buf);
}

/*
 * Cancelling and closing
 */

static void cancelled_truncate_lets_all_go_on(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* truncate = truncate_to(f, &f->other, 0);
  struct tracked_op* later = read_page_of(f, &f->file, 1);
  struct tracked_op* behind = read_page_of(f, &f->other, 1);
  assert_ok(t_cancel(truncate));
  run(f);
  assert_result(read, PAGE);
  assert_result(later, PAGE);
  assert_result(behind, PAGE);
  assert_result(truncate, UV_ECANCELED);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
}

/* A truncate of the other handle, and one at once of this one. */
struct pair {
  struct fixture* f;
  struct tracked_op* waiting;
  struct tracked_op* at_once;
};

static void cancel_and_truncate(struct tracked_op* op) {
  struct pair* pair = op->data;
  if (t_cancel(pair->waiting) == 0) {
    t_truncate(pair->at_once, &pair->f->file, 0);
  }
}

/* The access that the truncate waited for is its handle's by then, which has not heard of it. */
static void truncate_that_is_cancelled_when_it_may_go_lets_all_go_on(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  struct pair pair = {f, op_new(&f->tracker), op_now(&f->tracker)};
  put(f, &f->file, 0, PAGE, 1);
  t_read(op_then(&f->tracker, cancel_and_truncate, &pair), &f->file, &page, 0);
  t_truncate(pair.waiting, &f->other, 0);
  run(f);
  if (!is_done_by(&f->file, "pool")) { /* which may have begun it */
    assert_result(pair.waiting, UV_ECANCELED);
    assert_result(pair.at_once, 0);
  }
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
}

static void handle_closed_beside_a_wait_lets_all_go_on(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* truncate = truncate_to(f, &f->other, 0);
  struct tracked_op* later = read_page_of(f, &f->file, 1);
  assert_ok(t_cancel(truncate));
  struct tracked_op* closing = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(read, PAGE);
  assert_result(truncate, UV_ECANCELED);
  assert_result(later, PAGE);
  assert_result(closing, 0);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
}

static void close_waits_for_what_waits(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* truncate = truncate_to(f, &f->other, 1);
  struct tracked_op* closing = t_close(op_new(&f->tracker), &f->other);
  struct tracked_op* later = read_page_of(f, &f->file, 1);
  run(f);
  assert_result(read, PAGE);
  assert_result(truncate, 0);
  assert_result(closing, 0);
  assert_result(later, 0);
}

/* The engine leaves the loop with requests that only the other engine's can let go on. */
static void engine_closes_while_it_waits(void** state) {
  struct fixture* f = *state;
  if (!has_two_engines()) {
    SKIP("the memory backend has no files for two engines");
  }
  put(f, &f->file, 0, 2 * PAGE, 1);
  for (unsigned i = 0; i < MANY; i++) {
    read_page_of(f, &f->file, i % 2);
  }
  struct tracked_op* truncate = truncate_to(f, &f->other, 1);
  struct tracked_op* write = write_page_of(f, &f->other, 3, 4);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->other);
  watch_for_hang("an engine that waits for another one");
  close_second(f);
  run(f);
  watch_for_hang(NULL);
  assert_int_equal(second_closed, 1);
  assert_result(truncate, 0);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_size(f, &f->file, 4 * PAGE);
}

static void cancelling_all_ends_what_waits(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* waiting[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    waiting[i] = i % 3 == 0 ? truncate_to(f, &f->other, i) : write_page_of(f, &f->other, i, i);
  }
  assert_ok(uvdio_file_cancel(&f->other));
  run(f);
  assert_result(read, PAGE);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(waiting[i], UV_ECANCELED);
  }
  assert_size(f, &f->file, PAGE);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
}

struct turn {
  struct fixture* f;
  struct tracked_op* write;
  int was_done; /* the write, in the callback of the other handle's sync */
  struct tracked_op* at_once;
  struct tracked_op* later;
};

static void sync_in_turn(struct tracked_op* op) {
  struct turn* turn = op->data;
  struct fixture* f = turn->f;
  turn->was_done = turn->write->done > 0;
  turn->at_once = t_sync_all(op_now(&f->tracker), &f->file);
  turn->later = t_sync_all(op_new(&f->tracker), &f->file);
}

/* In the callback the turn of the handle has come, and its engine has not noticed. */
static void sync_comes_after_a_durable_write_that_waits_for_its_turn(void** state) {
  struct fixture* f = *state;
  static struct turn turn;
  static uvdio_file_t third;
  uvdio_buf_t page = filled(PAGE, 1);
  turn.f = f;
  assert_ok(uvdio_dup(f->engine, &third, &f->file));
  turn.write = t_write_flags(op_new(&f->tracker), &f->file, &page, 0,
                             UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC);
  struct tracked_op* first = t_sync_data(op_then(&f->tracker, sync_in_turn, &turn), &third);
  run(f);
  assert_result(first, 0);
  assert_result(turn.write, PAGE);
  assert_result(turn.later, 0);
  assert_true(turn.was_done || turn.at_once->code == UV_EBUSY);
  assert_true(turn.write->order < turn.later->order);
  assert_result(t_close(op_now(&f->tracker), &third), 0);
}

/*
 * Syncs, locks, descriptors
 */

static void syncs_of_both_handles_all_end(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_file_t* file = i % 2 ? &f->file : &f->other;
    write_page_of(f, file, i, i);
    syncs[i] =
        i % 3 ? t_sync_data(op_new(&f->tracker), file) : t_sync_all(op_new(&f->tracker), file);
  }
  assert_ok(t_cancel(syncs[3]));
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(syncs[i], i == 3 ? UV_ECANCELED : 0);
  }
}

static int can_lock(struct fixture* f) {
  uvdio_file_t file = {0};
  struct tracked_op* open = t_open(op_now(&f->tracker), f->engine, &file, path_of(f, "locked"),
                                   UVDIO_OPEN_RW | UVDIO_O_LOCK_EXCLUSIVE);
  if (open->result == 0) {
    assert_result(t_close(op_now(&f->tracker), &file), 0);
  }
  return open->result == 0;
}

static void lock_goes_with_the_last_handle(void** state) {
  struct fixture* f = *state;
  uvdio_file_t locked = {0};
  uvdio_file_t copy = {0};
  NEEDS("locks");
  for (unsigned i = 0; i < 2; i++) {
    open_now(f, &locked, "locked", SHAREABLE | UVDIO_O_LOCK_EXCLUSIVE);
    assert_false(can_lock(f));
    assert_ok(uvdio_dup(second, &copy, &locked));
    struct tracked_op* closing =
        i == 0 ? t_close(op_now(&f->tracker), &locked) : t_close(op_new(&f->tracker), &locked);
    run(f);
    assert_result(closing, 0);
    assert_false(can_lock(f));
    closing = i == 0 ? t_close(op_now(&f->tracker), &copy) : t_close(op_new(&f->tracker), &copy);
    run(f);
    assert_result(closing, 0);
    assert_true(can_lock(f));
  }
}

/* What was given out is not the library's to unlock. */
static void released_handle_keeps_the_lock(void** state) {
  struct fixture* f = *state;
  uvdio_file_t locked = {0};
  uvdio_file_t copy = {0};
  NEEDS("locks");
  NOT_ON_MEMORY("descriptors");
  open_now(f, &locked, "locked", SHAREABLE | UVDIO_O_LOCK_EXCLUSIVE);
  assert_ok(uvdio_dup(second, &copy, &locked));
  struct tracked_op* release = t_release(op_now(&f->tracker), &locked);
  assert_true(release->result >= 0);
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
  assert_false(can_lock(f));
  assert_int_equal(close((int)release->result), 0);
  assert_true(can_lock(f));
}

static void adopted_descriptor_may_have_handles(void** state) {
  struct fixture* f = *state;
  uvdio_file_t adopted = {0};
  uvdio_file_t copy = {0};
  const char* path = "";
  NEEDS("adoption");
  NOT_ON_MEMORY("descriptors");
  struct tracked_op* release = t_release(op_now(&f->tracker), &f->file);
  struct tracked_op* adopt = t_adopt(op_now(&f->tracker), f->engine, &adopted, (int)release->result,
                                     UVDIO_O_RDWR | UVDIO_O_DUP);
  assert_result(adopt, 0);
  assert_ok(uvdio_dup(second, &copy, &adopted));
  put(f, &copy, 0, PAGE, 8);
  assert_holds(f, &f->other, 0, PAGE, 8);
  struct tracked_op* size = t_size(op_new(&f->tracker), &copy);
  assert_ok(uvdio_engine_walk(second, note_path, &path));
  assert_string_equal(path, "");
  run(f);
  assert_int_equal(size->done, 1);
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
  assert_result(t_close(op_now(&f->tracker), &adopted), 0);
}

/*
 * Forks and threads
 */

static int use_in_child(void* data) {
  struct fixture* f = data;
  uvdio_file_t copy = {0};
  EXPECT(uvdio_dup(second, &copy, &f->file) == UVDIO_EFORK);
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_engine_close(second, on_second_closed) == 0);
  EXPECT(second == f->engine || uvdio_engine_close(f->engine, on_engine_closed) == 0);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  EXPECT(second == f->engine || f->closed == 1);
  EXPECT(second_closed == 1);
  return 0;
}

static void child_ends_what_waits_for_other_handles(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  run(f);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* truncate = truncate_to(f, &f->other, 1);
  struct tracked_op* later = read_page_of(f, &f->file, 1);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->other);
  assert_int_equal(in_a_child(use_in_child, f), 0);
  run(f);
  assert_result(read, PAGE);
  assert_result(truncate, 0);
  assert_result(later, 0);
  assert_result(sync, 0);
}

#define THREADS 3u
#define SLOTS 8u
#define ROUNDS 60u

/* A thread with a loop and an engine of its own, and a handle of the same open file. It writes and
 * reads its own pages, and truncates behind everybody's. */
struct party {
  struct fixture* f;
  unsigned number;
  uvdio_engine_t* engine;
  uvdio_file_t file;
  uvdio_req_t truncate;
  uvdio_req_t sync;
  unsigned rounds;
  unsigned running;
  unsigned wrong;
  struct slot {
    struct party* party;
    uvdio_req_t req;
    unsigned seed;
  } slots[SLOTS];
};

static void begin_round(struct party* party);

static void end_step(struct party* party) {
  if (--party->running == 0 && ++party->rounds < ROUNDS && party->wrong == 0) {
    begin_round(party);
  }
}

static void on_plain(uvdio_req_t* req, int64_t result) {
  struct party* party = req->data;
  party->wrong += result != 0;
  end_step(party);
}

static void on_slot_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
  struct slot* slot = req->data;
  slot->party->wrong +=
      result != PAGE || page.base[0] != (char)slot->seed || page.base[PAGE - 1] != (char)slot->seed;
  uvdio_buf_release(&page);
  end_step(slot->party);
}

static uint64_t place_of(const struct slot* slot) {
  const struct party* party = slot->party;
  return (uint64_t)(party->number + THREADS * (unsigned)(slot - party->slots)) * PAGE;
}

static void on_slot_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
  struct slot* slot = req->data;
  slot->party->wrong += result != PAGE;
  if (uvdio_read(&slot->party->file, req, &page, place_of(slot), on_slot_read) != 0) {
    slot->party->wrong++;
    uvdio_buf_release(&page);
    end_step(slot->party);
  }
}

static void begin_round(struct party* party) {
  uint64_t behind = (uint64_t)(THREADS * SLOTS + party->rounds % 3) * PAGE;
  party->running = SLOTS + 2;
  for (unsigned i = 0; i < SLOTS; i++) {
    struct slot* slot = &party->slots[i];
    uvdio_buf_t page;
    int failed = uvdio_buf_page(&page);
    slot->seed = party->number + 7 * party->rounds + i;
    memset(page.base, (int)slot->seed, PAGE);
    failed |= uvdio_buf_set_len(&page, PAGE);
    failed |= uvdio_write(&party->file, &slot->req, &page, place_of(slot), on_slot_written);
    party->wrong += failed != 0;
    if (i == SLOTS / 2) {
      party->wrong += uvdio_truncate(&party->file, &party->truncate, behind, on_plain) != 0;
    }
  }
  party->wrong += uvdio_sync_data(&party->file, &party->sync, on_plain) != 0;
}

static void take_part(void* argument) {
  struct party* party = argument;
  uv_loop_t loop;
  party->wrong += uv_loop_init(&loop) != 0;
  uvdio_engine_options_t options = matrix_options();
  party->wrong += uvdio_engine_create(&party->engine, &loop, &options) != 0;
  party->wrong += uvdio_dup(party->engine, &party->file, &party->f->file) != 0;
  party->truncate.data = party->sync.data = party;
  for (unsigned i = 0; i < SLOTS; i++) {
    party->slots[i].party = party;
    party->slots[i].req.data = &party->slots[i];
  }
  if (party->wrong == 0) {
    begin_round(party);
  }
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  party->wrong += party->rounds != ROUNDS;
  party->wrong += uvdio_engine_close(party->engine, NULL) != 0;
  party->wrong += uv_run(&loop, UV_RUN_DEFAULT) != 0;
  party->wrong += uv_loop_close(&loop) != 0;
}

static void threads_have_one_file(void** state) {
  struct fixture* f = *state;
  struct party parties[THREADS];
  uv_thread_t threads[THREADS];
  NOT_ON_MEMORY("files for several engines, or threads");
  memset(parties, 0, sizeof(parties));
  watch_for_hang("threads that share a file");
  for (unsigned i = 0; i < THREADS; i++) {
    parties[i].f = f;
    parties[i].number = i;
    assert_ok(uv_thread_create(&threads[i], take_part, &parties[i]));
  }
  for (unsigned i = 0; i < THREADS; i++) {
    assert_ok(uv_thread_join(&threads[i]));
    assert_int_equal(parties[i].wrong, 0);
  }
  watch_for_hang(NULL);
}

static void dup_is_for_the_engines_thread(void* argument) {
  struct fixture* f = argument;
  uvdio_file_t copy = {0};
  f->closed = (unsigned)(uvdio_dup(f->engine, &copy, &f->file) == UVDIO_ETHREAD);
}

static void other_threads_are_turned_away(void** state) {
  struct fixture* f = *state;
  uv_thread_t thread;
  run_once(f);
  assert_ok(uv_thread_create(&thread, dup_is_for_the_engines_thread, f));
  assert_ok(uv_thread_join(&thread));
  assert_int_equal(f->closed, 1);
  f->closed = 0;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_WITH_TWO(handles_have_one_file),
      TEST_WITH_TWO(handle_tells_what_its_source_tells),
      TEST_WITH_TWO(handle_of_any_file_tells_what_its_source_tells),
      TEST_WITH_TWO(handle_has_its_sources_path),
      TEST_WITH_TWO(handle_may_be_the_source_of_another),
      TEST_WITH_TWO(read_only_source_has_read_only_handles),
      TEST_WITH_TWO(file_that_is_gone_lives_with_its_handles),
      TEST_WITH_TWO(wrong_arguments_are_refused),
      TEST_WITH_TWO(source_that_opens_or_closes_is_none),
      TEST_WITH_TWO(replace_is_for_the_only_handle),
      TEST_WITH_TWO(files_in_memory_stay_with_their_engine),
      TEST_WITH_TWO(open_that_fails_leaves_nothing),
      TEST_WITH_TWO(truncate_waits_for_the_other_handle),
      TEST_WITH_TWO(truncates_of_both_handles_take_turns),
      TEST_WITH_TWO(nobody_starves_beside_truncates),
      TEST_WITH_TWO(truncates_do_not_starve_beside_reads),
      TEST_WITH_TWO(synchronous_forms_are_turned_away),
      TEST_WITH_TWO(cancelled_truncate_lets_all_go_on),
      TEST_WITH_TWO(truncate_that_is_cancelled_when_it_may_go_lets_all_go_on),
      TEST_WITH_TWO(handle_closed_beside_a_wait_lets_all_go_on),
      TEST_WITH_TWO(close_waits_for_what_waits),
      TEST_WITH_TWO(engine_closes_while_it_waits),
      TEST_WITH_TWO(cancelling_all_ends_what_waits),
      TEST_WITH_TWO(syncs_of_both_handles_all_end),
      TEST_WITH_TWO(sync_comes_after_a_durable_write_that_waits_for_its_turn),
      TEST_WITH_TWO(lock_goes_with_the_last_handle),
      TEST_WITH_TWO(released_handle_keeps_the_lock),
      TEST_WITH_TWO(adopted_descriptor_may_have_handles),
      TEST_WITH_TWO(child_ends_what_waits_for_other_handles),
      TEST_WITH_TWO(threads_have_one_file),
      TEST_WITH_TWO(other_threads_are_turned_away),
  };
  return matrix_main("dup", tests, COUNT_OF(tests), argc, argv);
}
