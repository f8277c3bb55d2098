/* SPDX-License-Identifier: MIT */
/*
 * All that is pending, at once: what a walk over the requests tells, and what is left when those of
 * a file or of the engine are asked to end early.
 */
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "system.h"

#define MANY 40u
#define KINDS 8u

/*
 * Walks
 */

struct list {
  uvdio_request_info_t of[2 * MANY];
  unsigned count;
};

static void note(const uvdio_request_info_t* info, void* arg) {
  struct list* list = arg;
  if (list->count < COUNT_OF(list->of)) {
    list->of[list->count] = *info;
  }
  list->count++;
}

static struct list walk(struct fixture* f) {
  struct list list = {.count = 0};
  assert_ok(uvdio_engine_walk(f->engine, note, &list));
  assert_true(list.count <= COUNT_OF(list.of));
  return list;
}

static const uvdio_request_info_t* find(const struct list* list, const struct tracked_op* op) {
  const uvdio_request_info_t* found = NULL;
  for (unsigned i = 0; i < list->count; i++) {
    if (list->of[i].req == &op->req) {
      assert_null(found);
      found = &list->of[i];
    }
  }
  assert_non_null(found);
  return found;
}

static void every_request_is_told_once(void** state) {
  struct fixture* f = *state;
  uv_update_time(&f->loop);
  uint64_t began_ms = uv_now(&f->loop);
  struct tracked_op* write = write_page(f, 3);
  struct tracked_op* read = read_page(f, 5);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, 9 * PAGE);
  struct tracked_op* late = write_page(f, 6);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  uv_update_time(&f->loop);
  struct list list = walk(f);
  assert_int_equal(list.count, 6);
  assert_int_equal(list.count, stats_of(f).pending);

  const uvdio_request_info_t* info = find(&list, write);
  assert_int_equal(info->op, UVDIO_OP_WRITE);
  assert_int_equal(info->offset, 3 * PAGE);
  assert_int_equal(info->length, PAGE);
  assert_int_equal(info->transferred, 0);
  assert_int_equal(info->is_cancelled, 0);
  assert_true(info->age_ms <= uv_now(&f->loop) - began_ms);
  assert_string_equal(info->path, path_of(f, "file"));
  assert_true(info->state == UVDIO_REQUEST_WAITING || info->state == UVDIO_REQUEST_RUNNING);
  assert_true(strlen(info->backend) > 0);
  assert_int_equal(find(&list, read)->op, UVDIO_OP_READ);
  assert_int_equal(find(&list, sync)->state, UVDIO_REQUEST_DEFERRED);
  assert_int_equal(find(&list, truncate)->state, UVDIO_REQUEST_DEFERRED);
  assert_int_equal(find(&list, truncate)->offset, 9 * PAGE);
  assert_int_equal(find(&list, late)->state, UVDIO_REQUEST_DEFERRED);
  assert_int_equal(find(&list, close)->op, UVDIO_OP_CLOSE);
  assert_int_equal(find(&list, close)->state, UVDIO_REQUEST_DEFERRED);
  run(f);
  assert_result(close, 0);
  list = walk(f);
  assert_int_equal(list.count, 0);
}

/* Of a system whose files have descriptors, as libuv has them. */
static int gives_descriptors(void) {
  return !on_memory() && system_provides("adoption");
}

static void close_descriptor(int64_t descriptor) {
  uv_fs_t request;
  assert_int_equal(uv_fs_close(NULL, &request, (uv_file)descriptor, NULL), 0);
  uv_fs_req_cleanup(&request);
}

/* What begins nowhere tells 0. */
static void others_have_no_offset(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[11];
  unsigned count = 0;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  fixture_arena(f, PAGE, 1);
  ops[count++] = t_sync_all(op_new(&f->tracker), &f->file);
  ops[count++] = t_size(op_new(&f->tracker), &f->file);
  ops[count++] = t_stat(op_new(&f->tracker), &f->file);
  ops[count++] = t_mkdir(op_new(&f->tracker), f->engine, path_of(f, "directory"));
  ops[count++] = t_link_file(op_new(&f->tracker), &f->file, NULL, path_of(f, "link"));
  ops[count++] = t_sync_directory(op_new(&f->tracker), f->engine, path_of(f, "."));
  ops[count++] = t_replace(op_new(&f->tracker), &f->other, path_of(f, "new"));
  ops[count++] = t_arena_wait(op_new(&f->tracker), f->engine, f->arena, 1);
  ops[count++] = t_sync_data(op_new(&f->tracker), &f->other);
  ops[count++] = t_close(op_new(&f->tracker), &f->file);
  ops[count] = gives_descriptors() ? t_release(op_new(&f->tracker), &f->other)
                                   : t_close(op_new(&f->tracker), &f->other);
  struct list list = walk(f);
  for (unsigned i = 0; i <= count; i++) {
    assert_accepted(ops[i]);
    assert_int_equal(find(&list, ops[i])->offset, 0);
  }
  run(f);
  if (gives_descriptors()) {
    close_descriptor(ops[count]->req.result);
  }
}

static void only_as_many_run_as_the_engine_is_deep(void** state) {
  struct fixture* f = *state;
  unsigned running = 0;
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
  }
  struct list list = walk(f);
  assert_int_equal(list.count, MANY);
  for (unsigned i = 0; i < MANY; i++) {
    running += list.of[i].state == UVDIO_REQUEST_RUNNING;
  }
  assert_true(running <= 1);
  run(f);
}

static void ask_for_an_end(struct tracked_op* op) {
  struct list* list = op->data;
  list->count = 0;
  if (uvdio_engine_walk(op->req.file->engine_, note, list) != 0) {
    list->count = 2 * MANY;
  }
}

/* In a callback its own request is pending no more, and others may be due. */
static void callback_sees_what_is_left(void** state) {
  struct fixture* f = *state;
  struct list list = {.count = 0};
  uvdio_buf_t page = filled(PAGE, 1);
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t none = filled(PAGE, 1);
    none.len = 0;
    t_write(op_then(&f->tracker, ask_for_an_end, &list), &f->file, &none, 0);
  }
  t_write(op_new(&f->tracker), &f->file, &page, 0);
  struct list before = walk(f);
  unsigned completed = 0;
  for (unsigned i = 0; i < before.count; i++) {
    completed += before.of[i].state == UVDIO_REQUEST_COMPLETED;
  }
  assert_int_equal(completed, 3);
  run(f);
  assert_true(list.count <= 1);
}

static void cancel_within(const uvdio_request_info_t* info, void* arg) {
  uvdio_req_t* req = (uvdio_req_t*)(uintptr_t)info->req;
  unsigned* refused = arg;
  *refused += uvdio_cancel(req) == UV_EBUSY && uvdio_file_cancel(req->file) == UV_EBUSY &&
              uvdio_engine_cancel(req->file->engine_) == UV_EBUSY;
}

static void nothing_is_cancelled_within_a_walk(void** state) {
  struct fixture* f = *state;
  unsigned refused = 0;
  struct tracked_op* first = write_page(f, 0);
  struct tracked_op* second = write_page(f, 1);
  assert_ok(uvdio_engine_walk(f->engine, cancel_within, &refused));
  assert_int_equal(refused, 2);
  run(f);
  assert_result(first, PAGE);
  assert_result(second, PAGE);
}

/*
 * Ending early
 */

/* Of everything something, so that some of it waits for the rest. */
static void submit_kinds(struct fixture* f, uvdio_file_t* file, struct tracked_op* ops[KINDS]) {
  uvdio_buf_t page = filled(PAGE, 2);
  ops[0] = write_page_of(f, file, 1, 1);
  ops[1] = t_sync_data(op_new(&f->tracker), file);
  ops[2] = t_sync_all(op_new(&f->tracker), file);
  ops[3] = t_truncate(op_new(&f->tracker), file, 8 * PAGE);
  ops[4] = t_write_flags(op_new(&f->tracker), file, &page, PAGE,
                         UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC);
  ops[5] = t_truncate(op_new(&f->tracker), file, 4 * PAGE);
  ops[6] = read_page_of(f, file, 0);
  ops[7] = t_size(op_new(&f->tracker), file);
}

/* What had not begun has ended so. */
static unsigned count_cancelled(struct tracked_op* ops[KINDS]) {
  unsigned count = 0;
  for (unsigned i = 0; i < KINDS; i++) {
    assert_int_equal(ops[i]->done, 1);
    assert_true(ops[i]->result >= 0 || ops[i]->result == UV_ECANCELED);
    count += ops[i]->result == UV_ECANCELED;
  }
  return count;
}

static void engine_goes_on_after_all_were_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[KINDS];
  submit_kinds(f, &f->file, ops);
  assert_ok(uvdio_engine_cancel(f->engine));
  struct list list = walk(f);
  for (unsigned i = 0; i < list.count; i++) {
    assert_true(list.of[i].state == UVDIO_REQUEST_COMPLETED ||
                (list.of[i].state == UVDIO_REQUEST_RUNNING && list.of[i].is_cancelled));
  }
  run(f);
  assert_true(count_cancelled(ops) >= KINDS - 2);
  assert_code(info_of(&f->file).latch_error, 0);
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_holds(f, &f->file, 0, PAGE, 0);
}

static void other_files_go_on(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[KINDS];
  struct tracked_op* others[KINDS];
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  submit_kinds(f, &f->other, others);
  submit_kinds(f, &f->file, ops);
  assert_ok(uvdio_file_cancel(&f->file));
  run(f);
  assert_true(count_cancelled(ops) >= KINDS - 2);
  assert_int_equal(count_cancelled(others), 0);
}

static void closing_file_is_closed_sooner(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[KINDS];
  submit_kinds(f, &f->file, ops);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  assert_ok(uvdio_file_cancel(&f->file));
  run(f);
  assert_true(count_cancelled(ops) >= KINDS - 2);
  assert_result(close, 0);
  assert_code(uvdio_file_cancel(&f->file), UV_EBADF);
}

static void closing_engine_is_closed_sooner(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[KINDS];
  submit_kinds(f, &f->file, ops);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
  f->engine = NULL;
  assert_true(count_cancelled(ops) >= KINDS - 2);
  assert_int_equal(f->closed, 1);
}

/* The first two are with the kernel, or a worker, by then. */
static void cancel_the_rest(struct tracked_op* op) {
  int* code = op->data;
  *code = uvdio_engine_cancel(op->req.file->engine_);
}

static void callback_may_end_the_rest(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  int code = 1;
  uvdio_buf_t page = filled(PAGE, 0);
  writes[0] = t_write(op_then(&f->tracker, cancel_the_rest, &code), &f->file, &page, 0);
  for (unsigned i = 1; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  run(f);
  assert_code(code, 0);
  assert_result(writes[0], PAGE);
  assert_result(writes[MANY - 1], UV_ECANCELED);
}

/* Writes that share a sync: whoever is the first of them is cancelled, again and again, and the one
 * that is left becomes durable. */
struct crowd {
  struct tracked_op* writes[MANY];
  unsigned refused;
};

static void cancel_the_crowd(struct tracked_op* op) {
  struct crowd* crowd = op->data;
  for (unsigned i = 1; i < MANY - 1; i++) {
    if (crowd->writes[i]->done == 0) {
      int code = uvdio_cancel(&crowd->writes[i]->req);
      crowd->refused += code != 0 && code != UV_EBUSY;
    }
  }
}

static void first_of_many_is_cancelled_again_and_again(void** state) {
  struct fixture* f = *state;
  struct crowd crowd = {.refused = 0};
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    crowd.writes[i] =
        t_write_flags(op_then(&f->tracker, i == 0 ? cancel_the_crowd : NULL, &crowd), &f->file,
                      &page, (uint64_t)i * PAGE, UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC);
  }
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(crowd.refused, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_int_equal(crowd.writes[i]->done, 1);
    assert_true(crowd.writes[i]->result == PAGE || crowd.writes[i]->result == UV_ECANCELED);
  }
  assert_result(crowd.writes[MANY - 1], PAGE);
  assert_result(sync, 0);
  assert_code(info_of(&f->file).latch_error, 0);
}

/* An open that has begun may have gone too far. */
static void opens_end_as_well(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  assert_ok(uvdio_file_cancel(&f->other));
  run(f);
  assert_true(open->result == UV_ECANCELED || open->result == 0);
  if (open->result == 0) {
    close_other(f);
  }
}

/*
 * Misuse
 */

static void nothing_is_no_engine_and_no_file(void** state) {
  struct fixture* f = *state;
  uvdio_file_t none = {0};
  struct list list = {.count = 0};
  assert_code(uvdio_engine_walk(NULL, note, &list), UV_EINVAL);
  assert_code(uvdio_engine_walk(f->engine, NULL, &list), UV_EINVAL);
  assert_code(uvdio_engine_cancel(NULL), UV_EINVAL);
  assert_code(uvdio_file_cancel(NULL), UV_EINVAL);
  assert_code(uvdio_file_cancel(&none), UV_EBADF);
  assert_ok(uvdio_engine_cancel(f->engine));
  assert_ok(uvdio_file_cancel(&f->file));
}

struct outsider {
  struct fixture* f;
  int codes[3];
};

static void call_from_outside(void* arg) {
  struct outsider* outsider = arg;
  struct list list = {.count = 0};
  outsider->codes[0] = uvdio_engine_walk(outsider->f->engine, note, &list);
  outsider->codes[1] = uvdio_engine_cancel(outsider->f->engine);
  outsider->codes[2] = uvdio_file_cancel(&outsider->f->file);
}

static void other_threads_are_turned_away(void** state) {
  struct fixture* f = *state;
  struct outsider outsider = {.f = f};
  uv_thread_t thread;
  assert_ok(uv_thread_create(&thread, call_from_outside, &outsider));
  assert_ok(uv_thread_join(&thread));
  for (unsigned i = 0; i < COUNT_OF(outsider.codes); i++) {
    assert_code(outsider.codes[i], UVDIO_ETHREAD);
  }
}

static int look_in_child(void* context) {
  struct fixture* f = context;
  struct list list = {.count = 0};
  return uvdio_engine_walk(f->engine, note, &list) == UVDIO_EFORK &&
                 uvdio_engine_cancel(f->engine) == UVDIO_EFORK &&
                 uvdio_file_cancel(&f->file) == UVDIO_EFORK
             ? 0
             : 1;
}

static void children_are_turned_away(void** state) {
  assert_int_equal(in_a_child(look_in_child, *state), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, every_request_is_told_once),
      TEST_ON(fixture_open, others_have_no_offset),
      TEST_ON(fixture_open_bound, every_request_is_told_once),
      TEST_ON(fixture_open_at_depth_1, only_as_many_run_as_the_engine_is_deep),
      TEST_ON(fixture_open, callback_sees_what_is_left),
      TEST_ON(fixture_open, nothing_is_cancelled_within_a_walk),
      TEST_ON(fixture_open, engine_goes_on_after_all_were_cancelled),
      TEST_ON(fixture_open_bound, engine_goes_on_after_all_were_cancelled),
      TEST_ON(fixture_open_at_depth_1, engine_goes_on_after_all_were_cancelled),
      TEST_ON(fixture_open_bound, other_files_go_on),
      TEST_ON(fixture_open_at_depth_1, other_files_go_on),
      TEST_ON(fixture_open_bound, closing_file_is_closed_sooner),
      TEST_ON(fixture_open, closing_engine_is_closed_sooner),
      TEST_ON(fixture_open_bound, closing_engine_is_closed_sooner),
      TEST_ON(fixture_open_at_depth_1, callback_may_end_the_rest),
      TEST_ON(fixture_open_bound, first_of_many_is_cancelled_again_and_again),
      TEST_ON(fixture_open_at_depth_4, first_of_many_is_cancelled_again_and_again),
      TEST_ON(fixture_open, opens_end_as_well),
      TEST_ON(fixture_open_bound, opens_end_as_well),
      TEST_ON(fixture_open, nothing_is_no_engine_and_no_file),
      TEST_ON(fixture_open_bound, other_threads_are_turned_away),
      TEST_ON(fixture_open_bound, children_are_turned_away),
  };
  return matrix_main("pending", tests, COUNT_OF(tests), argc, argv);
}
