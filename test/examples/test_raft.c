/* SPDX-License-Identifier: MIT */
/*
 * The writer of src/examples/raft/: each request has its callback once, when its bytes are in their
 * place or nobody has its buffers any more; the writer's close comes after all of them, and errors
 * are raft's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "uv_writer.h"
#include "uvdio/faults.h"

#define WRITES 100
#define PARTS 3
#define LENGTH (PARTS * PAGE)

struct write {
  struct UvWriterReq req;
  char* parts[PARTS]; /* pages */
  unsigned number;
  unsigned place; /* of its callback among all, from 1 on */
  int status;
};

static struct {
  struct UvWriter* writer; /* freed in its close callback */
  struct write writes[WRITES];
  unsigned called;
  unsigned closed;
  unsigned called_at_close;
  unsigned chained;     /* so many writes, each of which submits the next one; 0: they don't */
  unsigned close_after; /* the callback that closes the writer; 0: none */
  int fd;
  char errmsg[UV_WRITER_ERRMSG_SIZE];
  struct filesystem small;
} t;

/*
 * A writer
 */

static int set_up(void** state) {
  memset(&t, 0, sizeof(t));
  t.fd = -1;
  (void)system_set_environment("UVDIO_BACKEND", matrix.backend_name);
  return fixture_loop(state);
}

static int tear_down(void** state) {
  for (unsigned i = 0; i < WRITES; i++) {
    for (unsigned part = 0; part < PARTS; part++) {
      free(t.writes[i].parts[part]);
    }
  }
  if (t.fd >= 0) {
    (void)close(t.fd); /* which the test reads by */
  }
  int failed = fixture_tear_down(state);
  if (t.small.root[0] != '\0') {
    filesystem_remove(&t.small);
  }
  return failed;
}

static void begin_at(struct fixture* f, const char* path, bool direct, unsigned depth) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* as raft does */
  t.fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0 && t.fd >= 0);
  t.writer = malloc(sizeof(*t.writer));
  memset(t.writer, 0xee, sizeof(*t.writer)); /* raft does not zero it */
  t.writer->data = &t;
  assert_ok(UvWriterInit(t.writer, &f->loop, fd, direct, true, depth, t.errmsg));
  assert_ptr_equal(t.writer->data, &t);
}

static void begin(struct fixture* f, unsigned depth) {
  begin_at(f, path_of(f, "segment"), true, depth);
}

static void on_close(struct UvWriter* w) {
  t.closed++;
  t.called_at_close = t.called;
  free(w);
}

static void end(struct fixture* f) {
  if (!t.writer->closing) {
    UvWriterClose(t.writer, on_close);
  }
  run(f);
  assert_int_equal(t.closed, 1);
  assert_int_equal(t.called_at_close, t.called);
}

static int submit(unsigned number);

static void on_write(struct UvWriterReq* req, int status) {
  struct write* write = req->data;
  write->status = status;
  write->place = ++t.called;
  if (write->place == t.close_after) {
    UvWriterClose(t.writer, on_close);
  }
  if (t.called < t.chained && submit(write->number + 1) != 0) {
    t.chained = 0; /* The number of calls tells. */
  }
}

static int submit(unsigned number) {
  struct write* write = &t.writes[number];
  uv_buf_t bufs[PARTS];
  write->number = number;
  memset(&write->req, 0xee, sizeof(write->req));
  write->req.data = write;
  for (unsigned part = 0; part < PARTS; part++) {
    if (write->parts[part] == NULL) {
      write->parts[part] = aligned_alloc(PAGE, PAGE);
      fill_pattern(write->parts[part], PAGE, number * PARTS + part);
    }
    bufs[part] = uv_buf_init(write->parts[part], PAGE);
  }
  int rv = UvWriterSubmit(t.writer, &write->req, bufs, PARTS, (size_t)number * LENGTH, on_write);
  memset(bufs, 0xee, sizeof(bufs)); /* The array is ours again. */
  return rv;
}

static void submit_all(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(submit(i));
  }
  assert_int_equal(t.called, 0);
}

static void assert_there(unsigned number) {
  char page[PAGE];
  for (unsigned part = 0; part < PARTS; part++) {
    off_t offset = (off_t)(number * LENGTH + part * PAGE);
    assert_int_equal(pread(t.fd, page, PAGE, offset), PAGE);
    assert_true(is_pattern(page, PAGE, number * PARTS + part));
  }
}

/* The first `skip` writes pass. */
static void add_rule(uint64_t skip, uvdio_fault_t fault) {
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE, .skip = skip, .times = 1, .fault = fault};
  assert_ok(uvdio_engine_add_rule(t.writer->engine, &rule));
}

/*
 * Bytes and order
 */

static void vectors_arrive_in_their_place(void** state) {
  struct fixture* f = *state;
  begin(f, 8);
  submit_all(WRITES);
  run(f);
  assert_int_equal(t.called, WRITES);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_int_equal(t.writes[i].status, 0);
    assert_int_equal(t.writes[i].req.len, LENGTH);
    assert_there(i);
  }
  end(f);
}

/* As raft does it: a segment has one write at a time, and the next one follows in the callback. */
static void one_after_the_other_is_in_order(void** state) {
  struct fixture* f = *state;
  begin(f, 1);
  t.chained = WRITES;
  assert_ok(submit(0));
  run(f);
  assert_int_equal(t.called, WRITES);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_int_equal(t.writes[i].status, 0);
    assert_int_equal(t.writes[i].place, i + 1);
    assert_there(i);
  }
  end(f);
}

static void requests_are_used_again(void** state) {
  struct fixture* f = *state;
  begin(f, 4);
  for (unsigned turn = 1; turn <= 5; turn++) {
    assert_ok(submit(7));
    run(f);
    assert_int_equal(t.called, turn);
    assert_there(7);
  }
  end(f);
}

static void many_buffers_are_one_write(void** state) {
  struct fixture* f = *state;
  uv_buf_t bufs[40];
  char* memory = aligned_alloc(PAGE, sizeof(bufs) / sizeof(bufs[0]) * PAGE);
  begin(f, 4);
  for (unsigned i = 0; i < COUNT_OF(bufs); i++) {
    bufs[i] = uv_buf_init(memory + (size_t)i * PAGE, PAGE);
    fill_pattern(bufs[i].base, PAGE, i);
  }
  t.writes[0].req.data = &t.writes[0];
  assert_ok(UvWriterSubmit(t.writer, &t.writes[0].req, bufs, COUNT_OF(bufs), 0, on_write));
  run(f);
  assert_int_equal(t.writes[0].status, 0);
  for (unsigned i = 0; i < COUNT_OF(bufs) / PARTS; i++) {
    assert_there(i);
  }
  free(memory);
  end(f);
}

static void without_direct_io_nothing_is_aligned(void** state) {
  struct fixture* f = *state;
  char bytes[201] = "";
  uv_buf_t bufs[2] = {uv_buf_init(bytes + 1, 100), uv_buf_init(bytes + 101, 100)};
  char back[200];
  begin_at(f, path_of(f, "segment"), false, 4);
  fill_pattern(bytes + 1, 200, 1);
  t.writes[0].req.data = &t.writes[0];
  assert_ok(UvWriterSubmit(t.writer, &t.writes[0].req, bufs, 2, 33, on_write));
  run(f);
  assert_int_equal(t.writes[0].status, 0);
  assert_int_equal(pread(t.fd, back, sizeof(back), 33), sizeof(back));
  assert_memory_equal(back, bytes + 1, sizeof(back));
  end(f);
}

/*
 * The close
 */

static unsigned count_of(int status) {
  unsigned count = 0;
  for (unsigned i = 0; i < WRITES; i++) {
    count += t.writes[i].place > 0 && t.writes[i].status == status;
  }
  return count;
}

/* The memory of a request is its owner's in the callback, so that what is there has to be whole. */
static void close_cancels_what_waits(void** state) {
  struct fixture* f = *state;
  begin(f, 2);
  submit_all(WRITES);
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  end(f);
  assert_int_equal(t.called, WRITES);
  assert_int_equal(count_of(0) + count_of(RAFT_CANCELED), WRITES);
  assert_true(count_of(RAFT_CANCELED) > WRITES / 2);
  for (unsigned i = 0; i < WRITES; i++) {
    if (t.writes[i].status == 0) {
      assert_there(i);
    }
  }
}

static void close_waits_for_what_is_in_flight(void** state) {
  struct fixture* f = *state;
  begin(f, 4);
  submit_all(4);
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  UvWriterClose(t.writer, on_close);
  assert_true(t.closed == 0);
  end(f);
  assert_int_equal(count_of(0) + count_of(RAFT_CANCELED), 4);
}

static void callback_may_close(void** state) {
  struct fixture* f = *state;
  begin(f, 2);
  t.close_after = 5;
  submit_all(WRITES);
  run(f);
  assert_int_equal(t.called, WRITES);
  assert_int_equal(t.closed, 1);
  assert_int_equal(t.called_at_close, WRITES);
  assert_true(count_of(0) >= 5);
}

static void close_closes_the_descriptor(void** state) {
  struct fixture* f = *state;
  uv_os_fd_t fd;
  begin(f, 2);
  assert_ok(uvdio_file_descriptor(&t.writer->file, &fd));
  end(f);
  assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/*
 * Errors
 */

static void full_disk_is_no_space(void** state) {
  struct fixture* f = *state;
  begin(f, 1);
  add_rule(2, (uvdio_fault_t){.kind = UVDIO_FAULT_ERROR, .error = UV_ENOSPC});
  submit_all(5);
  run(f);
  assert_int_equal(t.writes[1].status, 0);
  assert_int_equal(t.writes[2].status, RAFT_NOSPACE);
  assert_int_equal(t.writes[3].status, RAFT_NOSPACE); /* latched: nobody knows what is durable */
  assert_int_equal(t.called, 5);
  assert_string_equal(t.errmsg, "write: no space left on device");
  assert_there(1);
  assert_int_equal(submit(5), RAFT_NOSPACE);
  run(f);
  assert_int_equal(t.called, 5);
  end(f);
}

static void failing_disk_is_an_io_error(void** state) {
  struct fixture* f = *state;
  begin(f, 1);
  add_rule(0, (uvdio_fault_t){.kind = UVDIO_FAULT_ERROR, .error = UV_EIO});
  submit_all(1);
  run(f);
  assert_int_equal(t.writes[0].status, RAFT_IOERR);
  assert_string_equal(t.errmsg, "write: i/o error");
  end(f);
}

static void short_writes_go_on(void** state) {
  struct fixture* f = *state;
  begin(f, 1);
  add_rule(0, (uvdio_fault_t){.kind = UVDIO_FAULT_SHORT, .length = PAGE});
  submit_all(2);
  run(f);
  assert_int_equal(count_of(0), 2);
  assert_there(0);
  end(f);
}

static void real_disk_gets_full(void** state) {
  struct fixture* f = *state;
  char why[FILESYSTEM_WHY_MAX];
  char path[FILESYSTEM_PATH_MAX + 16];
  struct write* write = &t.writes[0];
  size_t size = 32 * MIB;
  char* memory = aligned_alloc(PAGE, size);
  uv_buf_t buf = uv_buf_init(memory, (unsigned)size);
  memset(memory, 1, size);
  if (filesystem_make(&t.small, "ext4", 16 * MIB, why) != 0) {
    free(memory);
    SKIP_AS_TOLD(why);
  }
  snprintf(path, sizeof(path), "%s/segment", t.small.dir);
  begin_at(f, path, true, 4);
  write->req.data = write;
  assert_ok(UvWriterSubmit(t.writer, &write->req, &buf, 1, 0, on_write));
  run(f);
  assert_int_equal(write->status, RAFT_NOSPACE);
  free(memory);
  end(f);
  (void)close(t.fd);
  t.fd = -1;
}

static void refused_writes_have_no_callback(void** state) {
  struct fixture* f = *state;
  char* memory = aligned_alloc(PAGE, PAGE);
  uv_buf_t buf = uv_buf_init(memory, 100);
  begin(f, 1);
  assert_int_equal(UvWriterSubmit(t.writer, &t.writes[0].req, &buf, 1, 0, on_write), RAFT_IOERR);
  assert_non_null(strstr(t.errmsg, "alignment"));
  run(f);
  assert_int_equal(t.called, 0);
  free(memory);
  end(f);
}

static void failed_init_leaves_the_descriptor(void** state) {
  struct fixture* f = *state;
  struct UvWriter writer;
  int fd = open(path_of(f, "segment"), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(UvWriterInit(&writer, &f->loop, fd, true, true, 1, t.errmsg), RAFT_IOERR);
  assert_non_null(strstr(t.errmsg, "permission denied"));
  assert_int_equal(UvWriterInit(&writer, &f->loop, -1, true, true, 1, t.errmsg), RAFT_IOERR);
  memset(&writer, 0xee, sizeof(writer)); /* Nobody has it. */
  run(f);
  assert_true(fcntl(fd, F_GETFD) >= 0);
  (void)close(fd);
}

static void threadpool_does_it_as_well(void** state) {
  struct fixture* f = *state;
  int fd = open(path_of(f, "segment"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  t.fd = open(path_of(f, "segment"), O_RDONLY | O_CLOEXEC);
  t.writer = malloc(sizeof(*t.writer));
  assert_ok(UvWriterInit(t.writer, &f->loop, fd, true, false, 2, t.errmsg));
  assert_string_equal(uvdio_engine_backend(t.writer->engine), "pool");
  submit_all(10);
  run(f);
  assert_int_equal(count_of(0), 10);
  assert_there(9);
  end(f);
}

#define TEST_WRITER(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char** argv) {
  static const struct CMUnitTest tests[] = {
      TEST_WRITER(vectors_arrive_in_their_place),
      TEST_WRITER(one_after_the_other_is_in_order),
      TEST_WRITER(requests_are_used_again),
      TEST_WRITER(many_buffers_are_one_write),
      TEST_WRITER(without_direct_io_nothing_is_aligned),
      TEST_WRITER(close_cancels_what_waits),
      TEST_WRITER(close_waits_for_what_is_in_flight),
      TEST_WRITER(callback_may_close),
      TEST_WRITER(close_closes_the_descriptor),
      TEST_WRITER(full_disk_is_no_space),
      TEST_WRITER(failing_disk_is_an_io_error),
      TEST_WRITER(short_writes_go_on),
      TEST_WRITER(real_disk_gets_full),
      TEST_WRITER(refused_writes_have_no_callback),
      TEST_WRITER(failed_init_leaves_the_descriptor),
      TEST_WRITER(threadpool_does_it_as_well),
  };
  return matrix_main("example_raft", tests, COUNT_OF(tests), argc, argv);
}
