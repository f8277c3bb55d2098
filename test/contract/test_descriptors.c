/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that the program has becomes a file, and a file becomes one again. Whatever fails
 * leaves the descriptor open and as it was.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

#define STATUS (O_ACCMODE | O_APPEND | O_DIRECT | O_DSYNC | O_NONBLOCK | O_NOATIME)

static int open_by_hand(struct fixture* f, const char* name, int flags) {
  int fd = open(path_of(f, name), flags | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  return fd;
}

static int is_open(int fd) {
  return fcntl(fd, F_GETFD) != -1;
}

static int status_of(int fd) {
  int status = fcntl(fd, F_GETFL);
  assert_int_not_equal(status, -1);
  return status & STATUS;
}

static struct tracked_op* adopt(struct fixture* f, int blocking, int fd, unsigned flags) {
  struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
  t_adopt(op, f->engine, &f->other, fd, flags);
  run(f);
  return op;
}

static int file_descriptor(const uvdio_file_t* file) {
  uv_os_fd_t fd = -1;
  assert_ok(uvdio_file_descriptor(file, &fd));
  return fd;
}

/*
 * Adopting
 */

static void adopted_descriptor_is_a_file(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  for (int blocking = 0; blocking < 2; blocking++) {
    int fd = open_by_hand(f, "by hand", O_RDWR | O_CREAT | O_NONBLOCK | O_NOATIME);
    struct tracked_op* op = adopt(f, blocking, fd, UVDIO_O_RDWR);
    assert_result(op, 0);
    assert_int_equal(op->req.op, UVDIO_OP_OPEN);
    assert_int_equal(file_descriptor(&f->other), fd);
    assert_int_equal(status_of(fd), O_RDWR | O_DIRECT | O_NOATIME);
    uvdio_file_info_t info = info_of(&f->other);
    assert_int_equal(info.flags, UVDIO_O_RDWR);
    assert_int_equal(info.is_direct, 1);
    assert_string_equal(info.filesystem, info_of(&f->file).filesystem);
    assert_string_equal(info.backend, info_of(&f->file).backend);
    assert_int_equal(info.offset_align, info_of(&f->file).offset_align);
    for (unsigned i = 0; i < 4; i++) {
      write_page_of(f, &f->other, i, i);
    }
    struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->other);
    run(f);
    assert_result(sync, 0);
    assert_size(f, &f->other, 4 * PAGE);
    assert_holds(f, &f->other, 3 * PAGE, PAGE, 3);
    struct tracked_op* closing = t_close(op_new(&f->tracker), &f->other);
    run(f);
    assert_result(closing, 0);
    assert_false(is_open(fd));
  }
}

static void adopted_file_that_is_left_open_is_closed(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open_by_hand(f, "by hand", O_RDWR | O_CREAT);
  assert_result(adopt(f, 1, fd, UVDIO_O_RDWR), 0);
  end_engine(f);
  assert_false(is_open(fd));
}

static void descriptor_may_allow_more_than_is_asked_for(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  uvdio_buf_t page = filled(PAGE, 1);
  int fd = open_by_hand(f, "file", O_RDWR);
  assert_result(adopt(f, 0, fd, UVDIO_O_RDONLY), 0);
  assert_refused(t_write(op_now(&f->tracker), &f->other, &page, 0), UV_EBADF);
  assert_result(t_release(op_now(&f->tracker), &f->other), fd);
  assert_result(adopt(f, 0, fd, UVDIO_O_WRONLY), 0);
  assert_refused(t_read(op_now(&f->tracker), &f->other, &page, 0), UV_EBADF);
  assert_result(t_write(op_now(&f->tracker), &f->other, &page, 0), PAGE);
  assert_ok(uvdio_buf_release(&page));
}

/* A durable write that fails has to latch, whoever asked for it to be durable. */
static void durable_descriptor_is_a_durable_file(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open_by_hand(f, "file", O_RDWR | O_DSYNC);
  assert_result(adopt(f, 0, fd, UVDIO_O_RDWR), 0);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_WAL);
  assert_int_equal(info_of(&f->other).flags, UVDIO_O_RDWR | UVDIO_O_DSYNC);
  assert_int_equal(info_of(&f->other).is_durable_serialized,
                   info_of(&f->file).is_durable_serialized);
  assert_int_equal(status_of(fd), O_RDWR | O_DIRECT | O_DSYNC);
}

static void adopted_file_may_be_buffered(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t odd = uvdio_buf_view_bytes("abc", 3);
  NOT_ON_MEMORY("descriptors");
  int fd = open_by_hand(f, "file", O_RDWR | O_DIRECT);
  assert_result(adopt(f, 0, fd, UVDIO_O_RDWR | UVDIO_O_BUFFERED), 0);
  assert_int_equal(status_of(fd), O_RDWR);
  assert_result(t_write(op_now(&f->tracker), &f->other, &odd, 5), 3);
  assert_size(f, &f->other, 8);
}

static void adopted_file_is_locked(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open_by_hand(f, "file", O_RDWR);
  assert_result(adopt(f, 0, fd, UVDIO_O_RDWR | UVDIO_O_LOCK_EXCLUSIVE), 0);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_O_LOCK_SHARED);
  assert_result(open, UVDIO_ELOCKED);
  /* The lock is the open file's: a release keeps it. */
  assert_result(t_release(op_now(&f->tracker), &f->other), fd);
  open = t_open(op_now(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_O_LOCK_SHARED);
  assert_result(open, UVDIO_ELOCKED);
  int own = open_by_hand(f, "file", O_RDWR | O_DIRECT);
  assert_result(adopt(f, 0, own, UVDIO_O_RDWR | UVDIO_O_LOCK_SHARED), UVDIO_ELOCKED);
  assert_int_equal(status_of(own), O_RDWR | O_DIRECT);
  assert_int_equal(close(own), 0);
  assert_int_equal(close(fd), 0);
}

/*
 * Refused
 */

/* The descriptor stays open and as it was, in both forms. */
static void refused_as_it_was(struct fixture* f, int fd, unsigned flags, int expected) {
  int before = status_of(fd);
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_result(adopt(f, blocking, fd, flags), expected);
    assert_int_equal(status_of(fd), before);
  }
  assert_int_equal(close(fd), 0);
}

static void descriptor_that_is_none_is_refused(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int gone = dup(0);
  assert_int_equal(close(gone), 0);
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_result(adopt(f, blocking, gone, UVDIO_O_RDONLY), UV_EBADF);
  }
  assert_refused(t_adopt(op_new(&f->tracker), f->engine, &f->other, -1, UVDIO_O_RDONLY), UV_EBADF);
  int path_only = open_by_hand(f, "file", O_PATH);
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_result(adopt(f, blocking, path_only, UVDIO_O_RDONLY), UV_EBADF);
  }
  assert_int_equal(close(path_only), 0);
}

static void descriptor_for_something_else_is_refused_and_stays_as_it_was(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  const struct {
    int opened_for;
    unsigned flags;
    int expected;
  } pairs[] = {{O_RDONLY, UVDIO_O_RDWR, UV_EACCES},
               {O_RDONLY | O_NONBLOCK, UVDIO_O_WRONLY, UV_EACCES},
               {O_WRONLY, UVDIO_O_RDONLY, UV_EACCES},
               {O_WRONLY, UVDIO_O_RDWR, UV_EACCES},
               {O_RDWR | O_APPEND, UVDIO_O_RDWR, UV_EINVAL},
               {O_RDWR | O_NONBLOCK, UVDIO_O_RDWR | UVDIO_O_DSYNC, UV_EINVAL}};
  for (size_t i = 0; i < COUNT_OF(pairs); i++) {
    refused_as_it_was(f, open_by_hand(f, "file", pairs[i].opened_for), pairs[i].flags,
                      pairs[i].expected);
  }
}

static void what_is_no_file_is_refused_and_stays_as_it_was(void** state) {
  struct fixture* f = *state;
  int ends[2];
  NOT_ON_MEMORY("descriptors");
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  refused_as_it_was(f, ends[0], UVDIO_O_RDONLY, UV_ESPIPE);
  refused_as_it_was(f, ends[1], UVDIO_O_WRONLY, UV_ESPIPE);
  refused_as_it_was(f, open_by_hand(f, ".", O_RDONLY), UVDIO_O_RDONLY, UV_EISDIR);
}

static void file_without_direct_io_is_refused_and_stays_as_it_was(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  refused_as_it_was(f, dup(fd), UVDIO_O_RDONLY, UVDIO_ENODIRECT);
  assert_result(adopt(f, 0, fd, UVDIO_O_RDONLY | UVDIO_O_DIRECT_PREFERRED), 0);
  assert_int_equal(info_of(&f->other).is_direct, 0);
  assert_int_equal(status_of(fd), O_RDONLY);
}

static void flags_of_paths_are_refused(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_O_CREATE,    UVDIO_O_EXCLUSIVE | UVDIO_O_CREATE,
                            UVDIO_O_TRUNCATE,  UVDIO_O_NOFOLLOW,
                            UVDIO_O_WRONLY,    1u << 30,
                            UVDIO_O_EXCLUSIVE, UVDIO_O_ANONYMOUS};
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    struct tracked_op* op = i % 2 == 0 ? op_new(&f->tracker) : op_now(&f->tracker);
    assert_refused(t_adopt(op, f->engine, &f->other, 0, UVDIO_O_RDWR | flags[i]), UV_EINVAL);
  }
  assert_refused(t_adopt(op_new(&f->tracker), NULL, &f->other, 0, UVDIO_O_RDWR), UV_EINVAL);
  assert_refused(t_adopt(op_new(&f->tracker), f->engine, NULL, 0, UVDIO_O_RDWR), UV_EINVAL);
  assert_code(uvdio_adopt(f->engine, &f->other, NULL, 0, UVDIO_O_RDWR, NULL), UV_EINVAL);
  assert_refused(t_adopt(op_new(&f->tracker), f->engine, &f->file, 0, UVDIO_O_RDWR), UV_EBUSY);
}

static void descriptor_of_a_file_is_refused(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = file_descriptor(&f->file);
  assert_refused(t_adopt(op_now(&f->tracker), f->engine, &f->other, fd, UVDIO_O_RDWR), UV_EBUSY);
  int own = open_by_hand(f, "file", O_RDWR);
  uvdio_file_t third = {0};
  struct tracked_op* first = t_adopt(op_new(&f->tracker), f->engine, &f->other, own, UVDIO_O_RDWR);
  assert_refused(t_adopt(op_new(&f->tracker), f->engine, &third, own, UVDIO_O_RDWR), UV_EBUSY);
  run(f);
  assert_result(first, 0);
}

static void cancelled_adoption_leaves_the_descriptor_as_it_was(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open_by_hand(f, "file", O_RDWR | O_NONBLOCK);
  for (unsigned i = 0; i < 4 * matrix_options().depth + 16; i++) {
    write_page(f, i % 8);
  }
  struct tracked_op* op = t_adopt(op_new(&f->tracker), f->engine, &f->other, fd, UVDIO_O_RDWR);
  assert_ok(t_cancel(op));
  run(f);
  assert_int_equal(op->done, 1);
  if (op->result == UV_ECANCELED) {
    assert_int_equal(status_of(fd), O_RDWR | O_NONBLOCK);
    assert_int_equal(close(fd), 0);
  } else {
    assert_result(op, 0);
  }
}

/*
 * Releasing
 */

static void released_descriptor_stays_open(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  for (int blocking = 0; blocking < 2; blocking++) {
    int fd = file_descriptor(&f->file);
    put(f, &f->file, 0, PAGE, 1);
    struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    t_release(op, &f->file);
    run(f);
    assert_int_equal(op->done, 1);
    assert_int_equal(op->req.result, fd);
    assert_int_equal(op->req.op, UVDIO_OP_CLOSE);
    assert_true(is_open(fd));
    assert_int_equal(lseek(fd, 0, SEEK_END), PAGE);
    assert_refused(t_size(op_now(&f->tracker), &f->file), UV_EBADF);
    assert_code(uvdio_file_descriptor(&f->file, &(uv_os_fd_t){0}), UV_EBADF);
    t_adopt(op, f->engine, &f->file, fd, UVDIO_O_RDWR); /* and back */
    run(f);
    assert_code(op->result, 0);
    assert_holds(f, &f->file, 0, PAGE, 1);
  }
}

static void release_waits_for_what_was_submitted(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = file_descriptor(&f->file);
  struct tracked_op* writes[8];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_page(f, i);
  }
  assert_refused(t_release(op_now(&f->tracker), &f->file), UV_EBUSY);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* release = t_release(op_new(&f->tracker), &f->file);
  assert_refused(t_release(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_refused(t_close(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_code(t_cancel(release), UV_EBUSY);
  run(f);
  assert_int_equal(release->result, fd);
  assert_true(release->order > sync->order);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], PAGE);
    assert_true(release->order > writes[i]->order);
  }
  assert_int_equal(close(fd), 0);
}

/* The number may be another file's as soon as it is closed: a ring must not mean the old one. */
static void released_file_leaves_the_ring_s_table(void** state) {
  struct fixture* f = *state;
  struct stat before;
  struct stat after;
  NOT_ON_MEMORY("descriptors");
  run(f);
  write_page(f, 0);
  run(f);
  struct tracked_op* release = t_release(op_new(&f->tracker), &f->file);
  run(f);
  int fd = (int)release->result;
  assert_int_equal(fstat(fd, &before), 0);
  assert_int_equal(unlink(path_of(f, "file")), 0);
  assert_int_equal(close(fd), 0);
  open_now(f, &f->file, "another", UVDIO_OPEN_RW);
  assert_int_equal(file_descriptor(&f->file), fd);
  write_page(f, 0);
  write_page(f, 1);
  run(f);
  assert_int_equal(fstat(fd, &after), 0);
  assert_int_equal(after.st_size, 2 * PAGE);
}

static void memory_has_no_descriptors(void** state) {
  struct fixture* f = *state;
  uv_os_fd_t fd = -7;
  if (!on_memory()) {
    SKIP("only memory has none");
  }
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    assert_refused(t_adopt(op, f->engine, &f->other, 0, UVDIO_O_RDWR), UV_ENOTSUP);
    assert_refused(t_release(op, &f->file), UV_ENOTSUP);
  }
  assert_code(uvdio_file_descriptor(&f->file, &fd), UV_ENOTSUP);
  assert_int_equal(fd, -7);
  put(f, &f->file, 0, PAGE, 1);
}

static void nothing_is_asked_of_no_file(void** state) {
  struct fixture* f = *state;
  uv_os_fd_t fd;
  assert_code(uvdio_file_descriptor(NULL, &fd), UV_EINVAL);
  assert_code(uvdio_file_descriptor(&f->file, NULL), UV_EINVAL);
  assert_code(uvdio_file_descriptor(&f->other, &fd), UV_EBADF);
  assert_refused(t_release(op_new(&f->tracker), NULL), UV_EINVAL);
  assert_refused(t_release(op_new(&f->tracker), &f->other), UV_EBADF);
  assert_code(uvdio_release(&f->file, NULL, NULL), UV_EINVAL);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, adopted_descriptor_is_a_file),
      TEST_ON(fixture_open, adopted_file_that_is_left_open_is_closed),
      TEST_ON(fixture_open, descriptor_may_allow_more_than_is_asked_for),
      TEST_ON(fixture_open, durable_descriptor_is_a_durable_file),
      TEST_ON(fixture_open, adopted_file_may_be_buffered),
      TEST_ON(fixture_open, adopted_file_is_locked),
      TEST_ON(fixture_open, descriptor_that_is_none_is_refused),
      TEST_ON(fixture_open, descriptor_for_something_else_is_refused_and_stays_as_it_was),
      TEST_ON(fixture_open, what_is_no_file_is_refused_and_stays_as_it_was),
      TEST_ON(fixture_open, file_without_direct_io_is_refused_and_stays_as_it_was),
      TEST_ON(fixture_open, flags_of_paths_are_refused),
      TEST_ON(fixture_open, descriptor_of_a_file_is_refused),
      TEST_ON(fixture_open, cancelled_adoption_leaves_the_descriptor_as_it_was),
      TEST_ON(fixture_open, released_descriptor_stays_open),
      TEST_ON(fixture_open, release_waits_for_what_was_submitted),
      TEST_ON(fixture_open, released_file_leaves_the_ring_s_table),
      TEST_ON(fixture_open, memory_has_no_descriptors),
      TEST_ON(fixture_open, nothing_is_asked_of_no_file),
  };
  return matrix_main("descriptors", tests, COUNT_OF(tests), argc, argv);
}
