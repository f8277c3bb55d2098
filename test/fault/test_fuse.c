/* SPDX-License-Identifier: MIT */
/*
 * A filesystem in user space that fails, dawdles and gives less than it is asked for, as a
 * network's may. The kernel does not smooth that over for direct I/O.
 */
#include "fixture.h"
#include "ops.h"

#ifdef HAVE_FUSE

#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 32u

/* Shared with the process that serves the filesystem. */
struct knobs {
  int read_error;
  int write_error;
  int sync_error;
  unsigned delay_us;
  size_t most; /* bytes that a read gives at most */
};

static struct knobs* knobs;
static char content[PAGES * PAGE];

/*
 * The filesystem: one file, without a name cache or a page cache.
 */

static int fs_getattr(const char* path, struct stat* about, struct fuse_file_info* info) {
  (void)info;
  memset(about, 0, sizeof(*about));
  about->st_nlink = 1;
  if (strcmp(path, "/") == 0) {
    about->st_mode = S_IFDIR | 0755;
    return 0;
  }
  about->st_mode = S_IFREG | 0644;
  about->st_size = sizeof(content);
  return strcmp(path, "/file") == 0 ? 0 : -ENOENT;
}

static int fs_open(const char* path, struct fuse_file_info* info) {
  (void)path;
  info->direct_io = 1;
  return 0;
}

static int fs_read(const char* path, char* to, size_t size, off_t offset,
                   struct fuse_file_info* info) {
  size_t rest = (size_t)offset < sizeof(content) ? sizeof(content) - (size_t)offset : 0;
  (void)path;
  (void)info;
  usleep(knobs->delay_us);
  if (knobs->read_error != 0) {
    return -knobs->read_error;
  }
  size = size < rest ? size : rest;
  size = size < knobs->most ? size : knobs->most;
  memcpy(to, content + offset, size);
  return (int)size;
}

static int fs_write(const char* path, const char* from, size_t size, off_t offset,
                    struct fuse_file_info* info) {
  (void)path;
  (void)info;
  usleep(knobs->delay_us);
  if (knobs->write_error != 0 || (size_t)offset + size > sizeof(content)) {
    return -(knobs->write_error != 0 ? knobs->write_error : ENOSPC);
  }
  memcpy(content + offset, from, size);
  return (int)size;
}

static int fs_fsync(const char* path, int data_only, struct fuse_file_info* info) {
  (void)path;
  (void)data_only;
  (void)info;
  return -knobs->sync_error;
}

static const struct fuse_operations operations = {
    .getattr = fs_getattr, .open = fs_open, .read = fs_read, .write = fs_write, .fsync = fs_fsync};

/* Returns what the process exits with. A byte through the pipe says that the filesystem is
 * there. */
static int serve(const char* dir, int ready) {
  char name[] = "uvdio";
  char* argv[] = {name, NULL};
  struct fuse_args args = FUSE_ARGS_INIT(1, argv);
  struct fuse* fuse = fuse_new(&args, &operations, sizeof(operations), NULL);
  fill_pattern(content, sizeof(content), 1);
  if (fuse == NULL || fuse_mount(fuse, dir) != 0 || write(ready, "x", 1) != 1) {
    return 1;
  }
  return fuse_loop(fuse) != 0;
}

/*
 * Set-up.
 */

static pid_t server;
static char mounted[FILESYSTEM_PATH_MAX + 16];

static int start_server(const char* dir) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0) {
    return -1;
  }
  server = fork();
  if (server == 0) {
    close(ready[0]);
    _exit(serve(dir, ready[1]));
  }
  close(ready[1]);
  int came = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  return came ? 0 : -1;
}

static void stop_server(void) {
  int status;
  if (mounted[0] != '\0') {
    umount2(mounted, MNT_DETACH);
  }
  if (server > 0) {
    waitpid(server, &status, 0);
  }
  rmdir(mounted);
  server = 0;
  mounted[0] = '\0';
}

static int tear_down(void** state) {
  memset(knobs, 0, sizeof(*knobs)); /* nothing waits any more */
  int failed = fixture_tear_down(state);
  stop_server();
  return failed;
}

/* The folder lies beside the fixture's: that one is removed before the filesystem is gone. */
static void open_on_fuse(struct fixture* f) {
  char path[sizeof(mounted) + 8];
  memset(knobs, 0, sizeof(*knobs));
  knobs->most = SIZE_MAX;
  snprintf(mounted, sizeof(mounted), "%s/fuse-XXXXXX", matrix.filesystem.dir);
  if (mkdtemp(mounted) == NULL || start_server(mounted) != 0) {
    SKIP("no FUSE filesystem can be mounted (root, /dev/fuse)");
  }
  snprintf(path, sizeof(path), "%s/file", mounted);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_O_RDWR), 0);
}

static struct tracked_op* read_pages(struct fixture* f, unsigned first, unsigned pages) {
  uvdio_buf_t buf = blank((size_t)pages * PAGE);
  return t_read(op_new(&f->tracker), &f->file, &buf, (uint64_t)first * PAGE);
}

/*
 * Tests.
 */

static void errors_come_as_they_are(void** state) {
  struct fixture* f = *state;
  const int errors[] = {EIO, ENODATA, ETIMEDOUT, ENOSPC, ESTALE};
  open_on_fuse(f);
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    knobs->read_error = errors[i];
    knobs->write_error = errors[i];
    struct tracked_op* read = read_pages(f, 0, 2);
    struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
    run(f);
    assert_result(read, uv_translate_sys_error(errors[i]));
    assert_result(write, uv_translate_sys_error(errors[i]));
  }
  knobs->read_error = 0;
  struct tracked_op* read = read_pages(f, 0, PAGES);
  run(f);
  assert_result(read, PAGES * PAGE);
  assert_true(is_pattern(read->back.base, PAGES * PAGE, 1));
}

static void short_reads_are_resumed(void** state) {
  struct fixture* f = *state;
  open_on_fuse(f);
  knobs->most = PAGE;
  struct tracked_op* read = read_pages(f, 0, 8);
  run(f);
  assert_result(read, 8 * PAGE);
  assert_true(is_pattern(read->back.base, 8 * PAGE, 1));
  assert_true(stats_of(f).resumed >= 7);
}

static void file_that_stops_giving_bytes_has_not_ended(void** state) {
  struct fixture* f = *state;
  open_on_fuse(f);
  knobs->most = 0;
  struct tracked_op* read = read_pages(f, 0, 8);
  run(f);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_int_equal(read->req.transferred, 0);
  knobs->most = SIZE_MAX;
  read = read_pages(f, PAGES - 1, 2);
  run(f);
  assert_result(read, PAGE);
}

/* Takes down what mount_overlay() has made, so far as it came. */
static void unmount_overlay(const char* dir) {
  static const char* const folders[] = {"over", "upper", "work/work", "work"};
  char path[FILESYSTEM_PATH_MAX + 64];
  snprintf(path, sizeof(path), "%s/over", dir);
  umount2(path, MNT_DETACH);
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
    rmdir(path);
  }
  rmdir(dir);
}

/* An overlay with the FUSE filesystem below it, as of a container: the kernel tells a magic number
 * of its own. */
static int mount_overlay(const char* dir) {
  static const char* const folders[] = {"over", "upper", "work"};
  char path[FILESYSTEM_PATH_MAX + 64];
  char options[4 * FILESYSTEM_PATH_MAX];
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
    if (mkdir(path, 0700) != 0) {
      return -1;
    }
  }
  snprintf(path, sizeof(path), "%s/over", dir);
  snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", mounted, dir,
           dir);
  return mount("overlay", path, "overlay", 0, options);
}

/* What passes requests on gives what it got: a short read, at no block's end, is no end of the
 * file. */
static void short_reads_below_an_overlay_are_resumed(void** state) {
  struct fixture* f = *state;
  char dir[FILESYSTEM_PATH_MAX + 16];
  char path[sizeof(dir) + 16];
  open_on_fuse(f);
  snprintf(dir, sizeof(dir), "%s/overlay-XXXXXX", matrix.filesystem.dir);
  assert_non_null(mkdtemp(dir));
  if (mount_overlay(dir) != 0) {
    unmount_overlay(dir);
    SKIP("no overlay can be mounted over FUSE");
  }
  snprintf(path, sizeof(path), "%s/over/file", dir);
  struct tracked_op* open = t_open(op_now(&f->tracker), f->engine, &f->other, path,
                                   UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED);
  assert_result(open, 0);
  knobs->most = 5 * PAGE + 848;
  uvdio_buf_t buf = blank(PAGES * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &buf, 0);
  run(f);
  struct tracked_op* close = t_close(op_now(&f->tracker), &f->other);
  unmount_overlay(dir);
  assert_result(read, PAGES * PAGE);
  assert_true(is_pattern(read->back.base, PAGES * PAGE, 1));
  assert_result(close, 0);
}

static void count_tick(uv_timer_t* timer) {
  unsigned* ticks = timer->data;
  if (++*ticks == 3) {
    knobs->delay_us = 0;
    uv_close((uv_handle_t*)timer, NULL);
  }
}

/* The filesystem goes on only when the loop has ticked: a loop that waited for it would wait
 * long. */
static void delays_do_not_hold_up_the_loop(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[16];
  uv_timer_t timer;
  unsigned ticks = 0;
  open_on_fuse(f);
  knobs->delay_us = 20000;
  assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
  timer.data = &ticks;
  assert_int_equal(uv_timer_start(&timer, count_tick, 1, 1), 0);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = read_pages(f, i, 1);
  }
  struct tracked_op* write = write_page_of(f, &f->file, 20, 2);
  struct tracked_op* cancelled = read_pages(f, 21, 1);
  int code = t_cancel(cancelled);
  assert_true(code == 0 || code == UV_EBUSY);
  run(f);
  assert_int_equal(ticks, 3);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_result(reads[i], PAGE);
  }
  assert_result(write, PAGE);
  assert_true(cancelled->result == PAGE || cancelled->result == UV_ECANCELED ||
              cancelled->result == UV_EINTR);
  assert_holds(f, &f->file, 20 * PAGE, PAGE, 2);
}

static void failed_sync_latches(void** state) {
  struct fixture* f = *state;
  open_on_fuse(f);
  knobs->sync_error = EIO;
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* second = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(first, UV_EIO);
  assert_result(second, UV_EIO);
  knobs->sync_error = 0;
  assert_refused(t_sync_all(op_new(&f->tracker), &f->file), UV_EIO);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(errors_come_as_they_are),
      TEST(short_reads_are_resumed),
      TEST(file_that_stops_giving_bytes_has_not_ended),
      TEST(short_reads_below_an_overlay_are_resumed),
      TEST(delays_do_not_hold_up_the_loop),
      TEST(failed_sync_latches),
  };
  knobs = mmap(NULL, sizeof(*knobs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  return matrix_main("fuse", tests, COUNT_OF(tests), argc, argv);
}

#else

int main(void) {
  skip_line("libfuse 3 was not there when the tests were built");
  return SKIPPED_PROGRAM;
}

#endif
