/* SPDX-License-Identifier: MIT */
/*
 * Faults that a plain Linux machine produces by itself: quotas, disks that shrink or have no
 * memory, too few descriptors, too little memory that may be locked.
 * contract/test_transfer_limits.c and test_latched_errors.c have full disks, file size limits and
 * filesystems that are shut down.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child.h"
#include "disk.h"
#include "scenario.h"

static struct tracked_op* read_at(struct fixture* f, size_t size, uint64_t offset) {
  uvdio_buf_t buf = blank(size);
  return t_read(op_new(&f->tracker), &f->file, &buf, offset);
}

static struct tracked_op* write_at(struct fixture* f, const uvdio_buf_t* content, uint64_t offset) {
  uvdio_buf_t copy = blank(content->len);
  memcpy(copy.base, content->base, content->len);
  assert_ok(uvdio_buf_set_len(&copy, content->len));
  return t_write(op_new(&f->tracker), &f->file, &copy, offset);
}

/* What no device can compress. */
static uvdio_buf_t noise(size_t size) {
  uvdio_buf_t buf = blank(size);
  uint64_t x = 88172645463325252u;
  for (size_t i = 0; i < size; i += sizeof(x)) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(buf.base + i, &x, sizeof(x));
  }
  assert_ok(uvdio_buf_set_len(&buf, size));
  return buf;
}

/*
 * A quota.
 */

static struct filesystem limited;

static int remove_limited(void** state) {
  int failed = fixture_tear_down(state);
  filesystem_remove(&limited);
  return failed;
}

static int run_quietly(const char* format, const char* path) {
  char line[FILESYSTEM_PATH_MAX * 2];
  snprintf(line, sizeof(line), format, path);
  return system(line);
}

static void limit_to_four_mib(void) {
  char why[FILESYSTEM_WHY_MAX];
  if (filesystem_make(&limited, "btrfs", 0, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  if (run_quietly("btrfs subvolume create '%s/sub' >/dev/null 2>&1", limited.dir) != 0 ||
      run_quietly("btrfs quota enable '%s' >/dev/null 2>&1", limited.dir) != 0 ||
      run_quietly("btrfs qgroup limit 4M '%s/sub' >/dev/null 2>&1", limited.dir) != 0) {
    SKIP("btrfs does no quotas here");
  }
}

static void quota_that_is_used_up_is_told(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX + 16];
  struct tracked_op* last = NULL;
  limit_to_four_mib();
  uvdio_buf_t content = noise(MIB);
  snprintf(path, sizeof(path), "%s/sub/file", limited.dir);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_OPEN_RW), 0);
  for (unsigned i = 0; i < 8; i++) {
    last = write_at(f, &content, (uint64_t)i * MIB);
    run(f);
    if (last->result != MIB) {
      break;
    }
  }
  assert_result(last, uv_translate_sys_error(EDQUOT));
  assert_string_equal(uvdio_err_name((int)last->result), "EDQUOT"); /* libuv 1.44 has no name */
  struct tracked_op* read = read_at(f, MIB, 0);
  run(f);
  assert_result(read, MIB);
  assert_memory_equal(read->back.base, content.base, MIB);
  assert_int_equal(run_quietly("btrfs qgroup limit none '%s/sub' >/dev/null 2>&1", limited.dir), 0);
  last = write_at(f, &content, 4 * (uint64_t)MIB);
  run(f);
  assert_result(last, MIB);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  uvdio_buf_release(&content);
}

/*
 * Disks.
 */

/* The file behind a loop device is cut: what was there can't be read any more, the rest can. */
static void disk_that_shrank_fails_what_it_lost(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  char why[FILESYSTEM_WHY_MAX];
  if (disk_make(&disk, 8 * MIB, 16 * MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, disk.path, UVDIO_O_RDWR), 0);
  put(f, &f->file, 0, 4 * MIB, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  if (disk_cut(&disk, MIB) != 0) {
    disk_remove(&disk);
    SKIP("the file behind a loop device can't be cut");
  }
  struct tracked_op* kept = read_at(f, 64 * PAGE, 0);
  struct tracked_op* lost = read_at(f, 64 * PAGE, 2 * MIB);
  run(f);
  disk_remove(&disk);
  if (lost->result == 64 * PAGE && is_zero(lost->back.base, 64 * PAGE)) {
    SKIP("a loop device of this kernel reads zeros where its file has ended");
  }
  assert_result(kept, 64 * PAGE);
  assert_true(is_pattern(kept->back.base, 64 * PAGE, 1));
  assert_result(lost, UV_EIO);
}

static int write_text(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  if (file == NULL) {
    return -1;
  }
  int failed = fputs(text, file) < 0;
  return fclose(file) != 0 || failed;
}

/* A fresh compressed disk in memory; returns its number or -1. */
static int make_zram(void) {
  char path[64];
  int number = -1;
  FILE* control = fopen("/sys/class/zram-control/hot_add", "r");
  if (control == NULL) {
    return -1;
  }
  int got = fscanf(control, "%d", &number);
  fclose(control);
  snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", number);
  if (got != 1 || write_text(path, "16M") != 0) {
    return -1;
  }
  snprintf(path, sizeof(path), "/sys/block/zram%d/mem_limit", number);
  return write_text(path, "1M") == 0 ? number : -1;
}

static void remove_zram(int number) {
  char text[64];
  snprintf(text, sizeof(text), "/sys/block/zram%d/reset", number);
  (void)write_text(text, "1");
  snprintf(text, sizeof(text), "%d", number);
  (void)write_text("/sys/class/zram-control/hot_remove", text);
}

static int open_zram(int number) {
  char path[32];
  snprintf(path, sizeof(path), "/dev/zram%d", number);
  for (unsigned i = 0; i < 100 && access(path, R_OK | W_OK) != 0; i++) {
    usleep(10000); /* until the device has its name */
  }
  return access(path, R_OK | W_OK);
}

static void disk_without_memory_fails_writes(void** state) {
  struct fixture* f = *state;
  char path[32];
  uvdio_buf_t content = noise(MIB);
  int number = make_zram();
  if (number < 0 || open_zram(number) != 0) {
    uvdio_buf_release(&content);
    SKIP("no zram device can be had (root, the module zram)");
  }
  snprintf(path, sizeof(path), "/dev/zram%d", number);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_O_RDWR), 0);
  struct tracked_op* writes[4];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_at(f, &content, (uint64_t)i * MIB);
  }
  run(f);
  unsigned failed = 0;
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_true(writes[i]->result == MIB || writes[i]->result == UV_EIO ||
                writes[i]->result == UV_ENOMEM);
    failed += writes[i]->result < 0;
  }
  assert_true(failed > 0);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(close->done, 1);
  remove_zram(number);
  uvdio_buf_release(&content);
}

/*
 * Descriptors.
 */

static rlim_t set_descriptors(rlim_t most) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = most;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return before;
}

/* The lowest number that is free: with this as the limit, nothing more can be opened. */
static rlim_t first_free_descriptor(void) {
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  close(fd);
  return (rlim_t)fd;
}

static void open_without_descriptors_fails_and_works_later(void** state) {
  struct fixture* f = *state;
  if (under_valgrind() && matrix.backend == UVDIO_BACKEND_RING) {
    SKIP("valgrind has limits on descriptors of its own, and a ring does not ask it");
  }
  rlim_t before = set_descriptors(first_free_descriptor());
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  struct tracked_op* at_once = op_now(&f->tracker);
  uvdio_file_t file = {0};
  t_open(at_once, f->engine, &file, path_of(f, "other"), UVDIO_OPEN_RW);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  set_descriptors(before);
  assert_result(open, UV_EMFILE);
  assert_result(at_once, UV_EMFILE);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  put(f, &f->other, 0, PAGE, 1);
}

static void ring_without_descriptors_is_refused_and_replaced(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* engine = NULL;
  if (matrix.backend == UVDIO_BACKEND_POOL) {
    SKIP("a pool takes no descriptors");
  }
  rlim_t before = set_descriptors(first_free_descriptor());
  int code = uvdio_engine_create(&engine, &f->loop, &options);
  int code_auto = uvdio_engine_create(&f->engine, &f->loop, NULL);
  set_descriptors(before);
  uvdio_engine_set_data(f->engine, f);
  assert_code(code, UV_EMFILE);
  assert_ok(code_auto);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_non_null(strstr(uvdio_engine_backend_reason(f->engine), "EMFILE"));
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
}

/*
 * Memory that may be locked, as an ordinary user: root is exempt.
 */

static int live_with_little_memory(void* data) {
  const struct rlimit little = {4096, 4096};
  struct scenario s = {.what = "a life with little memory to lock", .registered = 1};
  void* state = NULL;
  (void)data;
  EXPECT(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
  EXPECT(become_nobody() == 0);
  EXPECT(fixture_loop(&state) == 0);
  s.f = state;
  s.allowed[0] = UV_ENOMEM; /* of uvdio_engine_create() for a ring, and of locked arenas */
  scenario_begin(&s);
  scenario_live(&s);
  scenario_end(&s);
  /* Debian's 5.10, 6.1 and 6.12 give the ring all the same. */
  EXPECT(!linux_is(6, 18) ? strcmp(s.backend, "ring") == 0 || strstr(s.reason, "ulimit -l") != NULL
                          : strcmp(s.backend, "aio") == 0 && strstr(s.reason, "ulimit -l") != NULL);
  EXPECT(fixture_tear_down(&state) == 0);
  return 0;
}

static void little_memory_to_lock_leaves_kernel_aio(void** state) {
  (void)state;
  if (matrix.backend != UVDIO_BACKEND_RING || UNDER_TSAN) {
    SKIP("about rings, and a fork, which the thread sanitizer does not follow");
  }
  need_a_way_for_nobody(matrix.filesystem.dir);
  assert_int_equal(in_a_child(live_with_little_memory, NULL), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_loop, little_memory_to_lock_leaves_kernel_aio),
      TEST_ON(fixture_loop, ring_without_descriptors_is_refused_and_replaced),
      TEST_ON(fixture_engine, open_without_descriptors_fails_and_works_later),
      cmocka_unit_test_setup_teardown(quota_that_is_used_up_is_told, fixture_engine,
                                      remove_limited),
      TEST_ON(fixture_engine, disk_that_shrank_fails_what_it_lost),
      TEST_ON(fixture_engine, disk_without_memory_fails_writes),
  };
  unsetenv("UVDIO_BACKEND");
  return matrix_main("resource_limits", tests, COUNT_OF(tests), argc, argv);
}
