/* SPDX-License-Identifier: MIT */
/*
 * Files as Windows knows them: what contract/test_file.c asks POSIX is asked of Win32 here. Names
 * are UTF-8 and become UTF-16, handles are not inherited, and others may have the file as well.
 */
#include "fixture.h"
#include "ops.h"

#include <stdio.h>
#include <string.h>
#include <windows.h>

#define SECONDS_1601_TO_1970 INT64_C(11644473600)

static HANDLE handle_of(const uvdio_file_t* file) {
  uv_os_fd_t handle = NULL;
  assert_ok(uvdio_file_descriptor(file, &handle));
  return handle;
}

static HANDLE open_by_system(const char* path) {
  HANDLE handle = CreateFileA(path, GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
  assert_ptr_not_equal(handle, INVALID_HANDLE_VALUE);
  return handle;
}

static int64_t ns_of(const FILETIME* time) {
  uint64_t since_1601 = (uint64_t)time->dwHighDateTime << 32 | time->dwLowDateTime;
  return ((int64_t)since_1601 - SECONDS_1601_TO_1970 * 10000000) * 100;
}

static void stat_tells_what_the_system_does(void** state) {
  struct fixture* f = *state;
  BY_HANDLE_FILE_INFORMATION told;
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 64 * PAGE + 7), 0);
  assert_true(CreateHardLinkA(path_of(f, "link"), path_of(f, "file"), NULL));
  HANDLE handle = open_by_system(path_of(f, "link"));
  assert_true(GetFileInformationByHandle(handle, &told));
  assert_true(CloseHandle(handle));
  struct tracked_op* op = t_stat(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(op, 0);
  assert_int_equal(op->stat.size, 64 * PAGE + 7);
  assert_int_equal(op->stat.links, 2);
  assert_int_equal(op->stat.modified_ns, ns_of(&told.ftLastWriteTime));
  assert_int_equal(op->stat.created_ns, ns_of(&told.ftCreationTime));
  assert_true(op->stat.modified_ns > 0);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  assert_int_equal(info_of(&f->other).open_size, 64 * PAGE + 7);
  assert_int_equal(info_of(&f->other).modified_ns, op->stat.modified_ns);
  close_other(f);
}

/* Before 1970, far away, and as the system has them where nobody has set one. */
static void times_of_any_age_are_told(void** state) {
  static const uint64_t ticks[] = {1, 116444736000000000, 130000000000000000, 208678800000000000,
                                   INT64_MAX};
  struct fixture* f = *state;
  HANDLE handle = open_by_system(path_of(f, "file"));
  for (size_t i = 0; i < COUNT_OF(ticks); i++) {
    FILETIME set = {(DWORD)ticks[i], (DWORD)(ticks[i] >> 32)};
    FILETIME found;
    if (!SetFileTime(handle, NULL, NULL, &set)) {
      continue; /* The filesystem knows no such times. */
    }
    assert_true(GetFileTime(handle, NULL, NULL, &found));
    struct tracked_op* op = t_stat(op_now(&f->tracker), &f->file);
    int64_t since = ns_of(&found) / 100;
    int has_number = since <= INT64_MAX / 100 && since >= INT64_MIN / 100;
    assert_result(op, 0);
    if (has_number && found.dwHighDateTime < 0x02000000) {
      assert_int_equal(op->stat.modified_ns, ns_of(&found));
    }
  }
  assert_true(CloseHandle(handle));
}

static void handles_are_not_inherited(void** state) {
  struct fixture* f = *state;
  DWORD flags = HANDLE_FLAG_INHERIT;
  uvdio_file_t copy = {0};
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_DUP);
  assert_ok(uvdio_dup(f->engine, &copy, &f->other));
  const uvdio_file_t* files[] = {&f->file, &f->other, &copy};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    assert_true(GetHandleInformation(handle_of(files[i]), &flags));
    assert_int_equal(flags & HANDLE_FLAG_INHERIT, 0);
  }
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
  close_other(f);
}

/* Another program may open, rename and remove what is open here. */
static void others_may_have_the_file(void** state) {
  struct fixture* f = *state;
  HANDLE handle = open_by_system(path_of(f, "file"));
  put(f, &f->file, 0, PAGE, 1);
  assert_true(MoveFileA(path_of(f, "file"), path_of(f, "moved")));
  put(f, &f->file, PAGE, PAGE, 2);
  assert_content(f, "moved", 1);
  assert_true(DeleteFileA(path_of(f, "moved")));
  assert_holds(f, &f->file, PAGE, PAGE, 2);
  assert_true(CloseHandle(handle));
}

static void names_are_utf_8(void** state) {
  struct fixture* f = *state;
  wchar_t wide[FILESYSTEM_PATH_MAX];
  static const char name[] = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"; /* three scripts */
  open_now(f, &f->other, name, UVDIO_OPEN_RW);
  close_other(f);
  int length = MultiByteToWideChar(CP_UTF8, 0, path_of(f, name), -1, wide, FILESYSTEM_PATH_MAX);
  assert_true(length > 0);
  assert_true(GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES);
  uvdio_file_t broken = {0};
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &broken, path_of(f, "\xff\xfe"), UVDIO_OPEN_RW);
  assert_result(open, UV_ECHARSET);
  /* The fixture's own calls know no such name. */
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, name)), 0);
  assert_int_equal(GetFileAttributesW(wide), INVALID_FILE_ATTRIBUTES);
}

static void both_slashes_separate(void** state) {
  struct fixture* f = *state;
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "d")), 0);
  open_now(f, &f->other, "d\\file", UVDIO_OPEN_RW);
  close_other(f);
  assert_true(is_there(path_of(f, "d/file")));
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "d/file")), 0);
  assert_result(
      t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "file\\x\\y"), UVDIO_OPEN_RW),
      UV_ENOTDIR);
  assert_result(
      t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "none\\x\\y"), UVDIO_OPEN_RW),
      UV_ENOENT);
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "file/x/y")), UV_ENOTDIR);
  assert_result(
      t_rename(op_now(&f->tracker), f->engine, path_of(f, "file"), path_of(f, "file/x/y"), 0),
      UV_ENOTDIR);
  assert_result(t_rename(op_now(&f->tracker), f->engine, path_of(f, "d"), path_of(f, "file"), 0),
                UV_ENOTDIR);
}

/* What has no offsets or is a device is refused as elsewhere. */
static void pipes_are_no_files(void** state) {
  struct fixture* f = *state;
  HANDLE pipe = CreateNamedPipeA("\\\\.\\pipe\\uvdio-test-files", PIPE_ACCESS_DUPLEX,
                                 PIPE_TYPE_BYTE, 1, PAGE, PAGE, 0, NULL);
  assert_ptr_not_equal(pipe, INVALID_HANDLE_VALUE);
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &f->other, "\\\\.\\pipe\\uvdio-test-files",
             UVDIO_O_RDWR | UVDIO_O_BUFFERED);
  assert_result(open, UV_ESPIPE);
  assert_true(CloseHandle(pipe));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, stat_tells_what_the_system_does),
      TEST_ON(fixture_open, times_of_any_age_are_told),
      TEST_ON(fixture_open, handles_are_not_inherited),
      TEST_ON(fixture_open, others_may_have_the_file),
      TEST_ON(fixture_open, names_are_utf_8),
      TEST_ON(fixture_open, both_slashes_separate),
      TEST_ON(fixture_open, pipes_are_no_files),
  };
  return matrix_main("windows_files", tests, COUNT_OF(tests), argc, argv);
}
