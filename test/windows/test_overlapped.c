/* SPDX-License-Identifier: MIT */
/*
 * Overlapped calls: several requests of one handle are under way at once, each waits for its own
 * end, and nothing of them stays behind.
 *
 * Windows keeps a request on a synchronous handle waiting while another one is pending. Wine does
 * not, and performs transfers of files within the call. So the request that is pending here is one
 * of a pipe, and of files the flags are looked at; that two reads of a file on a disk run at once
 * is seen on Windows alone.
 */
#include "fixture.h"
#include "ops.h"

#include <windows.h>
#include <winternl.h>

#include "os/os.h"

#define ROUNDS 1000
#define NAME L"\\\\.\\pipe\\uvdio-test-overlapped"
#define FILE_MODE_INFORMATION_CLASS 16
#define SYNCHRONOUS_IO (0x10u | 0x20u) /* FILE_SYNCHRONOUS_IO_ALERT, _NONALERT */

struct pipe {
  HANDLE server; /* overlapped; its requests are the library's */
  HANDLE client;
  uv_thread_t thread;
  char bytes[4];
  int64_t result; /* of the read that is pending */
};

static struct pipe set_up_pipe(void) {
  struct pipe pipe = {0};
  pipe.server = CreateNamedPipeW(NAME, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_BYTE, 1,
                                 PAGE, PAGE, 0, NULL);
  assert_ptr_not_equal(pipe.server, INVALID_HANDLE_VALUE);
  pipe.client = CreateFileW(NAME, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
  assert_ptr_not_equal(pipe.client, INVALID_HANDLE_VALUE);
  return pipe;
}

static void tear_down_pipe(const struct pipe* pipe) {
  assert_true(CloseHandle(pipe->client));
  assert_true(CloseHandle(pipe->server));
}

static void read_from_server(void* data) {
  struct pipe* pipe = data;
  pipe->result = uvdio__os_read((intptr_t)pipe->server, pipe->bytes, sizeof(pipe->bytes), 0);
}

static void answer(const struct pipe* pipe, const char* bytes) {
  DWORD count = 0;
  assert_true(WriteFile(pipe->client, bytes, (DWORD)strlen(bytes), &count, NULL));
  assert_int_equal(count, strlen(bytes));
}

/* Nothing that is read comes before all has been written. Were the handle a synchronous one, some
 * write would wait for the read, and this would never end. */
static void writes_pass_a_read_that_is_pending(void** state) {
  struct pipe pipe = set_up_pipe();
  (void)state;
  watch_for_hang("a write waits for a read of the same handle");
  assert_ok(uv_thread_create(&pipe.thread, read_from_server, &pipe));
  for (unsigned i = 0; i < ROUNDS; i++) {
    char sent = (char)i;
    char received = 0;
    DWORD count = 0;
    assert_int_equal(uvdio__os_write((intptr_t)pipe.server, &sent, 1, 0, 0), 1);
    assert_true(ReadFile(pipe.client, &received, 1, &count, NULL));
    assert_int_equal(received, sent);
  }
  answer(&pipe, "done");
  assert_ok(uv_thread_join(&pipe.thread));
  watch_for_hang(NULL);
  assert_int_equal(pipe.result, 4);
  assert_memory_equal(pipe.bytes, "done", 4);
  tear_down_pipe(&pipe);
}

/* What is pending may end with less than was asked for, and with an error. */
static void pending_read_has_its_own_end(void** state) {
  struct pipe pipe = set_up_pipe();
  (void)state;
  assert_ok(uv_thread_create(&pipe.thread, read_from_server, &pipe));
  answer(&pipe, "x");
  assert_ok(uv_thread_join(&pipe.thread));
  assert_int_equal(pipe.result, 1);
  assert_ok(uv_thread_create(&pipe.thread, read_from_server, &pipe));
  assert_true(CloseHandle(pipe.client));
  assert_ok(uv_thread_join(&pipe.thread));
  assert_int_equal(pipe.result, UV_EOF); /* ERROR_BROKEN_PIPE */
  assert_true(CloseHandle(pipe.server));
}

/*
 * Files.
 */

static HANDLE handle_of(const uvdio_file_t* file) {
  uv_os_fd_t handle = NULL;
  assert_ok(uvdio_file_descriptor(file, &handle));
  return handle;
}

static ULONG mode_of(HANDLE handle) {
  IO_STATUS_BLOCK status;
  ULONG mode = 0;
  assert_int_equal(NtQueryInformationFile(handle, &status, &mode, sizeof(mode),
                                          (FILE_INFORMATION_CLASS)FILE_MODE_INFORMATION_CLASS),
                   0);
  return mode;
}

static void files_are_opened_for_overlapped_requests(void** state) {
  static const unsigned flags[] = {UVDIO_OPEN_RW, UVDIO_OPEN_READ, UVDIO_OPEN_WAL,
                                   UVDIO_OPEN_RW | UVDIO_O_BUFFERED, UVDIO_OPEN_RW | UVDIO_O_DUP};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    open_now(f, &f->other, "file", flags[i]);
    assert_int_equal(mode_of(handle_of(&f->other)) & SYNCHRONOUS_IO, 0);
    close_other(f);
  }
}

static HANDLE open_synchronous(const struct fixture* f) {
  HANDLE handle = CreateFileA(path_of(f, "file"), GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
  assert_ptr_not_equal(handle, INVALID_HANDLE_VALUE);
  return handle;
}

/* A test that nobody fails proves nothing: such a handle is seen. */
static void synchronous_handles_work_as_well(void** state) {
  struct fixture* f = *state;
  char bytes[8] = "";
  HANDLE handle = open_synchronous(f);
  intptr_t descriptor = (intptr_t)handle;
  assert_int_not_equal(mode_of(handle) & SYNCHRONOUS_IO, 0);
  assert_int_equal(uvdio__os_write(descriptor, "abcdef", 6, 2, 0), 6);
  assert_int_equal(uvdio__os_read(descriptor, bytes, 4, 4), 4);
  assert_memory_equal(bytes, "cdef", 4);
  assert_int_equal(uvdio__os_read(descriptor, bytes, 8, 6), 2);
  assert_int_equal(uvdio__os_read(descriptor, bytes, 8, 8), 0);
  assert_int_equal(uvdio__os_read(descriptor, bytes, 8, 100), 0);
  assert_int_equal(uvdio__os_size(descriptor), 8);
  assert_true(CloseHandle(handle));
}

/* A program may have completions of the handle posted to a port of its own. */
static void nothing_is_posted_to_a_port(void** state) {
  struct fixture* f = *state;
  OVERLAPPED_ENTRY entry;
  ULONG count = 0;
  HANDLE port = CreateIoCompletionPort(handle_of(&f->file), NULL, 1, 1);
  assert_non_null(port);
  put(f, &f->file, 0, PAGE, 1);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_size(f, &f->file, PAGE);
  assert_false(GetQueuedCompletionStatusEx(port, &entry, 1, &count, 0, FALSE));
  assert_int_equal(GetLastError(), WAIT_TIMEOUT);
  assert_true(CloseHandle(port));
}

/* With an error, at the end of the file, and of what the system may not know. */
static void do_each_once(struct fixture* f) {
  intptr_t descriptor = (intptr_t)handle_of(&f->file);
  char bytes[1];
  put(f, &f->file, 0, PAGE, 1);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_int_equal(uvdio__os_read(descriptor, bytes, 0, PAGE), 0);
  assert_int_equal(uvdio__os_read(-2, bytes, 1, 0), UV_EBADF);
  assert_int_equal(uvdio__os_write(-2, bytes, 1, 0, 0), UV_EBADF);
  (void)uvdio__os_zero_range(descriptor, 0, PAGE);
  (void)uvdio__os_punch_hole(descriptor, 0, PAGE);
  (void)uvdio__os_next_data(descriptor, 0);
  (void)uvdio__os_next_hole(descriptor, 0);
  assert_ok(uvdio__os_sync(descriptor, 0));
}

static void no_event_is_left_behind(void** state) {
  struct fixture* f = *state;
  do_each_once(f);
  size_t before = open_descriptors();
  for (unsigned i = 0; i < 20; i++) {
    do_each_once(f);
  }
  assert_int_equal(open_descriptors(), before);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, no_event_is_left_behind),
      cmocka_unit_test(writes_pass_a_read_that_is_pending),
      cmocka_unit_test(pending_read_has_its_own_end),
      TEST_ON(fixture_open, files_are_opened_for_overlapped_requests),
      TEST_ON(fixture_open, synchronous_handles_work_as_well),
      TEST_ON(fixture_open, nothing_is_posted_to_a_port),
  };
  return matrix_main("overlapped", tests, COUNT_OF(tests), argc, argv);
}
