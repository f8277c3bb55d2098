/* SPDX-License-Identifier: MIT */
/*
 * An open is several system calls. Whatever becomes of each of them: a file that opened can be
 * used, one that did not has left nothing behind, and nothing blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

static const enum fault_call steps[] = {CALL_OPEN, CALL_STATX, CALL_PREADV2, CALL_FSTATFS,
                                        CALL_FTRUNCATE};

/* An engine that knows its thread. */
static int bound_engine(void** state) {
  faults_reset();
  workers_begin();
  return fixture_open_bound(state);
}

static void assert_usable(struct fixture* f, uvdio_file_t* file) {
  uvdio_file_info_t info;
  struct tracker* t = &f->tracker;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_new(t), file, &page, 0);
  struct tracked_op* sync = t_sync_data(op_new(t), file);
  assert_ok(uvdio_file_info(file, &info));
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_holds(f, file, 0, PAGE, 1);
}

static const char* filesystem_of(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(file, &info));
  return info.filesystem;
}

static struct tracked_op* close_it(struct fixture* f, uvdio_file_t* file) {
  struct tracked_op* close = t_close(op_new(&f->tracker), file);
  run(f);
  return close;
}

/*
 * Turned away, or interrupted.
 */

/* Opens with one step failing once. */
static struct tracked_op* open_with(struct fixture* f, struct tracked_op* op, enum fault_call step,
                                    int error) {
  faults_reset();
  fault_fail(step, 1, ONCE, error);
  t_open(op, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  run(f);
  assert_int_equal(op->done, 1);
  return op;
}

/* Either is right, as long as it is true. */
static void turned_away_at(struct fixture* f, struct tracked_op* op, enum fault_call step) {
  size_t before = open_descriptors();
  open_with(f, op, step, EAGAIN);
  if (op->result == 0) {
    assert_usable(f, &f->other);
    assert_result(close_it(f, &f->other), 0);
  } else {
    assert_result(op, UV_EAGAIN);
    assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
  }
  assert_int_equal(open_descriptors(), before);
}

static void open_that_is_turned_away_is_usable_or_an_error(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    turned_away_at(f, op_new(&f->tracker), steps[i]);
    turned_away_at(f, op_now(&f->tracker), steps[i]);
  }
}

static void interrupted_at(struct fixture* f, struct tracked_op* op, enum fault_call step) {
  size_t before = open_descriptors();
  open_with(f, op, step, EINTR);
  assert_result(op, 0);
  assert_usable(f, &f->other);
  assert_string_equal(filesystem_of(&f->other), filesystem_of(&f->file));
  assert_result(close_it(f, &f->other), 0);
  assert_int_equal(open_descriptors(), before);
}

static void interrupted_open_is_repeated(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    interrupted_at(f, op_new(&f->tracker), steps[i]);
    interrupted_at(f, op_now(&f->tracker), steps[i]);
  }
}

static void failed_step_leaves_nothing_open(void** state) {
  struct fixture* f = *state;
  const enum fault_call fatal[] = {CALL_OPEN, CALL_STATX, CALL_FTRUNCATE};
  size_t before = open_descriptors();
  need_faults();
  for (size_t i = 0; i < COUNT_OF(fatal); i++) {
    assert_result(open_with(f, op_new(&f->tracker), fatal[i], EIO), UV_EIO);
    assert_result(open_with(f, op_now(&f->tracker), fatal[i], EIO), UV_EIO);
    assert_int_equal(open_descriptors(), before);
  }
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  assert_usable(f, &f->other);
}

/* A name that the filesystem does not take, for instance: the open says so, and not that there is
 * no such file. */
static void file_that_can_not_be_created_is_not_said_to_be_missing(void** state) {
  struct fixture* f = *state;
  need_faults();
  assert_result(open_with(f, op_new(&f->tracker), CALL_OPEN, EINVAL), UV_EINVAL);
  assert_result(open_with(f, op_now(&f->tracker), CALL_OPEN, EINVAL), UV_EINVAL);
}

/*
 * Failed when the file was there already, because this open had created it.
 */

/* Old kernels can't tell whether an open has created the file, and are asked in another way. Null:
 * this one. */
static const char* const kernels[] = {NULL, "5.10.0-30-amd64", "6.11.9", "6.12.0"};

static void fails_at(struct fixture* f, struct tracked_op* op, enum fault_call step,
                     const char* kernel) {
  faults_reset();
  fault_pretend_kernel(kernel);
  fault_fail(step, 1, ONCE, EIO);
  t_open(op, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  run(f);
  assert_result(op, UV_EIO);
}

static void failed_step_removes_what_was_created_and_nothing_else(void** state) {
  struct fixture* f = *state;
  const enum fault_call late[] = {CALL_STATX, CALL_FCNTL, CALL_FTRUNCATE};
  char path[FILESYSTEM_PATH_MAX + 64];
  need_faults();
  (void)snprintf(path, sizeof(path), "%s", path_of(f, "other"));
  for (size_t i = 0; i < COUNT_OF(late) * COUNT_OF(kernels); i++) {
    enum fault_call step = late[i / COUNT_OF(kernels)];
    const char* kernel = kernels[i % COUNT_OF(kernels)];
    fails_at(f, op_new(&f->tracker), step, kernel);
    assert_false(is_there(path));
    fails_at(f, op_now(&f->tracker), step, kernel);
    assert_false(is_there(path));
    put_text(path, "");
    fails_at(f, op_new(&f->tracker), step, kernel);
    fails_at(f, op_now(&f->tracker), step, kernel);
    assert_int_equal(unlink(path), 0);
  }
}

/* Where its folder can't be opened by the path, by the name that the system knows. */
static void what_was_created_is_found_by_its_descriptor(void** state) {
  struct fixture* f = *state;
  need_faults();
  faults_reset();
  fault_fail(CALL_STATX, 1, ONCE, EIO);
  fault_fail(CALL_OPEN, 2, ONCE, EACCES);
  struct tracked_op* open = op_new(&f->tracker);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  run(f);
  assert_result(open, UV_EIO);
  assert_int_equal(fault_hits(CALL_OPEN), 1);
  assert_false(is_there(path_of(f, "other")));
}

/* The last steps of a ring's open are for a worker. */
static void open_that_no_worker_ends_removes_what_it_created(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  for (size_t i = 0; i < COUNT_OF(kernels); i++) {
    faults_reset();
    fault_pretend_kernel(kernels[i]);
    fault_fail(CALL_QUEUE_WORK, 1, ONCE, EAGAIN);
    struct tracked_op* open = op_new(&f->tracker);
    t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
    run(f);
    assert_result(open, UVDIO_EPOOL);
    assert_false(is_there(path_of(f, "other")));
    assert_int_equal(open_descriptors(), before);
  }
}

/*
 * A descriptor that the program has.
 */

/* Adopts, with the n-th of such calls failing. The descriptor is as it was. */
static void not_adopted(struct fixture* f, struct tracked_op* op, enum fault_call call,
                        unsigned nth, int expected) {
  int fd = open(path_of(f, "file"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  int before = fcntl(fd, F_GETFL);
  faults_reset();
  fault_fail(call, nth, ONCE, EIO);
  t_adopt(op, f->engine, &f->other, fd, UVDIO_O_RDWR | UVDIO_O_LOCK_SHARED);
  run(f);
  assert_int_equal(fault_hits(call), 1);
  faults_reset();
  assert_result(op, expected);
  assert_int_equal(fcntl(fd, F_GETFL), before);
  assert_int_equal(close(fd), 0);
}

static void failed_step_gives_an_adopted_descriptor_back(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (int blocking = 0; blocking < 2; blocking++) {
    for (unsigned nth = 1; nth <= 3; nth++) { /* flags asked for, flags set, the lock */
      not_adopted(f, blocking ? op_now(&f->tracker) : op_new(&f->tracker), CALL_FCNTL, nth, UV_EIO);
    }
    not_adopted(f, blocking ? op_now(&f->tracker) : op_new(&f->tracker), CALL_STATX, 1, UV_EIO);
  }
  not_adopted(f, op_new(&f->tracker), CALL_QUEUE_WORK, 1, UVDIO_EPOOL);
}

/*
 * What happens to the path while an open is under way. A worker can be made to wait there.
 */

static void need_the_pool(void) {
  if (matrix.backend != UVDIO_BACKEND_POOL) {
    SKIP("what the kernel has can't be held");
  }
}

enum meanwhile { REPLACED, WRITTEN_TO, LINKED, GONE };

static void do_meanwhile(struct fixture* f, enum meanwhile what) {
  const char* path = path_of(f, "other");
  put_text(path_of(f, "victim"), "victim");
  if (what == WRITTEN_TO) {
    put_text(path, "text");
    return;
  }
  assert_int_equal(unlink(path), 0);
  if (what == REPLACED) {
    put_text(path, "");
  } else if (what == LINKED) {
    assert_int_equal(symlink("victim", path), 0);
  }
}

static struct tracked_op* open_meanwhile(struct fixture* f, enum meanwhile what, unsigned flags) {
  struct tracked_op* open = op_new(&f->tracker);
  fault_hold(CALL_STATX, 1);
  t_open(open, f->engine, &f->other, path_of(f, "other"), flags);
  uv_run(&f->loop, UV_RUN_NOWAIT); /* in case the engine has to learn its thread */
  fault_await(CALL_STATX);
  do_meanwhile(f, what);
  fault_release(CALL_STATX);
  run(f);
  return open;
}

static void failed_open_removes_nothing_of_somebody_else(void** state) {
  struct fixture* f = *state;
  const enum meanwhile whats[] = {REPLACED, WRITTEN_TO, LINKED, GONE};
  need_the_pool();
  for (size_t i = 0; i < COUNT_OF(whats); i++) {
    faults_reset();
    fault_fail(CALL_STATX, 1, ONCE, EIO);
    assert_result(open_meanwhile(f, whats[i], UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE), UV_EIO);
    assert_int_equal(is_there(path_of(f, "other")), whats[i] != GONE);
    assert_true(is_there(path_of(f, "victim")));
    unlink(path_of(f, "other"));
  }
}

/* Who locks what an open has just created goes on with it. */
static void file_that_somebody_locked_meanwhile_stays(void** state) {
  struct fixture* f = *state;
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  struct tracked_op* open_op = op_new(&f->tracker);
  faults_reset();
  fault_hold(CALL_FSTATFS, 1);
  t_open(open_op, f->engine, &f->other, path_of(f, "other"),
         UVDIO_OPEN_RW | UVDIO_O_LOCK_EXCLUSIVE);
  while (fault_calls(CALL_FSTATFS) == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT); /* until a worker has the open's last step */
  }
  fault_await(CALL_FSTATFS);
  int fd = open(path_of(f, "other"), O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
  fault_release(CALL_FSTATFS);
  run(f);
  assert_result(open_op, UVDIO_ELOCKED);
  assert_true(is_there(path_of(f, "other")));
  assert_int_equal(close(fd), 0);
  assert_int_equal(unlink(path_of(f, "other")), 0);
}

/* Whoever replaces the name is late: what was opened stays opened, direct or not. */
static void link_that_is_planted_meanwhile_is_not_followed(void** state) {
  struct fixture* f = *state;
  const unsigned flags = UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED;
  struct stat victim;
  need_the_pool();
  for (int no_direct = 0; no_direct <= 1; no_direct++) {
    faults_reset();
    fault_pretend_no_direct(no_direct);
    assert_result(open_meanwhile(f, LINKED, flags), 0);
    put(f, &f->other, 0, PAGE, 1);
    assert_int_equal(stat(path_of(f, "victim"), &victim), 0);
    assert_int_equal(victim.st_size, 6);
    assert_result(close_it(f, &f->other), 0);
    assert_int_equal(unlink(path_of(f, "other")), 0);
  }
}

static unsigned opens_taken(struct fixture* f, const char* kernel, unsigned flags, int expected) {
  faults_reset();
  fault_pretend_kernel(kernel);
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), flags);
  run(f);
  assert_result(open, expected);
  unsigned opens = fault_calls(CALL_OPEN);
  if (expected == 0) {
    assert_result(close_it(f, &f->other), 0);
  }
  return opens;
}

static void path_is_opened_once(void** state) {
  struct fixture* f = *state;
  const unsigned exclusive = UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE;
  for (size_t i = 0; i < COUNT_OF(kernels); i++) {
    int is_old = i == 1 || i == 2; /* there what was not created is opened by another step */
    assert_int_equal(opens_taken(f, kernels[i], exclusive | UVDIO_O_DIRECT_PREFERRED, 0), 1);
    assert_int_equal(opens_taken(f, kernels[i], exclusive, UV_EEXIST), 1);
    assert_int_equal(opens_taken(f, kernels[i], UVDIO_O_RDWR, 0), 1);
    assert_int_equal(opens_taken(f, kernels[i], UVDIO_OPEN_READ, 0), 1);
    assert_int_equal(opens_taken(f, kernels[i], UVDIO_OPEN_RW, 0), is_old ? 2 : 1);
    assert_int_equal(unlink(path_of(f, "other")), 0);
    assert_int_equal(opens_taken(f, kernels[i], UVDIO_OPEN_RW, 0), 1);
    assert_int_equal(unlink(path_of(f, "other")), 0);
  }
}

/* Nor is it opened again where the filesystem refuses direct I/O. */
static void refusal_of_direct_io_takes_no_second_open(void** state) {
  struct fixture* f = *state;
  static struct filesystem ramfs;
  char why[FILESYSTEM_WHY_MAX];
  char path[FILESYSTEM_PATH_MAX + 16];
  if (filesystem_make_indirect(&ramfs, "ramfs", 0, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  snprintf(path, sizeof(path), "%s/new", ramfs.dir);
  faults_reset();
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, path,
                                   UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED);
  run(f);
  unsigned opens = fault_calls(CALL_OPEN);
  struct tracked_op* close = close_it(f, &f->other);
  filesystem_remove(&ramfs);
  assert_result(open, 0);
  assert_result(close, 0);
  assert_int_equal(opens, 1);
}

/*
 * Cancelled while its last step waits for a worker.
 */

struct late_cancel {
  struct fixture* f;
  struct tracked_op* open;
  uint64_t punted; /* before */
  struct workers workers;
  uv_idle_t idle;
  int code;
};

static int waits_for_a_worker(const struct late_cancel* late) {
  return matrix.backend == UVDIO_BACKEND_POOL || stats_of(late->f).punted > late->punted;
}

static void cancel_when_it_waits(uv_idle_t* idle) {
  struct late_cancel* late = idle->data;
  if (!waits_for_a_worker(late)) {
    return;
  }
  late->code = t_cancel(late->open);
  workers_release(&late->workers);
  uv_close((uv_handle_t*)idle, NULL);
}

/* A pool has queued the open in the submitting call, and nothing has been done; a ring passes it on
 * in some later turn, when the file has been created: then the cancellation is too late and the
 * open goes on to its end. */
static void open_is_cancelled_while_every_worker_is_busy(void** state) {
  struct fixture* f = *state;
  struct late_cancel late = {.f = f};
  size_t before = open_descriptors();
  late.punted = stats_of(f).punted;
  workers_occupy(&late.workers, &f->loop, WORKERS);
  assert_int_equal(uv_idle_init(&f->loop, &late.idle), 0);
  late.idle.data = &late;
  assert_int_equal(uv_idle_start(&late.idle, cancel_when_it_waits), 0);
  late.open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  run(f);
  assert_ok(late.code);
  if (matrix.backend == UVDIO_BACKEND_RING) {
    assert_result(late.open, 0);
    assert_result(close_it(f, &f->other), 0);
  } else {
    assert_result(late.open, UV_ECANCELED);
    assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
  }
  assert_int_equal(open_descriptors(), before);
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  assert_usable(f, &f->other);
}

/*
 * What the system tells of a file: it need not tell what it is not asked for, and here it does not.
 */

static int64_t ns_of(struct timespec time) {
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void what_is_told_of_a_file_was_asked_for(void** state) {
  struct fixture* f = *state;
  struct stat told;
  faults_reset();
  put(f, &f->file, 0, PAGE, 1);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "file"), UVDIO_O_RDWR),
                0);
  struct tracked_op* op = t_stat(op_now(&f->tracker), &f->other);
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(&f->other, &info));
  assert_int_equal(stat(path_of(f, "file"), &told), 0);
  assert_result(op, 0);
  assert_int_equal(info.open_size, PAGE);
  assert_int_equal(info.inode, told.st_ino);
  assert_int_equal(info.modified_ns, ns_of(told.st_mtim));
  assert_int_equal(info.changed_ns, ns_of(told.st_ctim));
  assert_int_equal(info.created_ns, op->stat.created_ns);
  assert_int_equal(op->stat.size, PAGE);
  assert_int_equal(op->stat.inode, told.st_ino);
  assert_int_equal(op->stat.links, told.st_nlink);
  assert_int_equal(op->stat.mode, told.st_mode);
  assert_int_equal(op->stat.allocated, told.st_blocks * 512);
  assert_int_equal(op->stat.accessed_ns, ns_of(told.st_atim));
  assert_int_equal(op->stat.modified_ns, ns_of(told.st_mtim));
  assert_int_equal(op->stat.changed_ns, ns_of(told.st_ctim));
  close_other(f);
}

/*
 * A FIFO that nobody writes to.
 */

static void opens_as_no_file(struct fixture* f, struct tracked_op* op, unsigned flags) {
  watch_for_hang("the open of a FIFO");
  t_open(op, f->engine, &f->other, path_of(f, "fifo"), flags);
  run(f);
  assert_result(op, UV_ESPIPE);
}

static void fifo_is_refused_without_blocking(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_OPEN_READ, UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED,
                            UVDIO_OPEN_RW};
  size_t before = open_descriptors();
  assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    opens_as_no_file(f, op_new(&f->tracker), flags[i]);
    opens_as_no_file(f, op_now(&f->tracker), flags[i]);
  }
  assert_int_equal(open_descriptors(), before);
  assert_usable(f, &f->file);
  end_engine(f);
  assert_int_equal(f->closed, 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(bound_engine, open_that_is_turned_away_is_usable_or_an_error),
      FAULT_TEST_ON(bound_engine, interrupted_open_is_repeated),
      FAULT_TEST_ON(bound_engine, failed_step_leaves_nothing_open),
      FAULT_TEST_ON(bound_engine, file_that_can_not_be_created_is_not_said_to_be_missing),
      FAULT_TEST_ON(bound_engine, failed_step_removes_what_was_created_and_nothing_else),
      FAULT_TEST_ON(bound_engine, what_was_created_is_found_by_its_descriptor),
      FAULT_TEST_ON(bound_engine, open_that_no_worker_ends_removes_what_it_created),
      FAULT_TEST_ON(bound_engine, failed_open_removes_nothing_of_somebody_else),
      FAULT_TEST_ON(bound_engine, link_that_is_planted_meanwhile_is_not_followed),
      FAULT_TEST_ON(bound_engine, failed_step_gives_an_adopted_descriptor_back),
      FAULT_TEST_ON(bound_engine, file_that_somebody_locked_meanwhile_stays),
      FAULT_TEST_ON(bound_engine, path_is_opened_once),
      FAULT_TEST_ON(bound_engine, refusal_of_direct_io_takes_no_second_open),
      FAULT_TEST_ON(bound_engine, open_is_cancelled_while_every_worker_is_busy),
      FAULT_TEST_ON(bound_engine, what_is_told_of_a_file_was_asked_for),
      FAULT_TEST_ON(bound_engine, fifo_is_refused_without_blocking),
  };
  workers_begin();
  return matrix_main("opens", tests, COUNT_OF(tests), argc, argv);
}
