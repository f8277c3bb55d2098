/* SPDX-License-Identifier: MIT */
/*
 * Files: what opens, sizes, syncs and questions about them do, alike on every backend and
 * filesystem. test_transfers.c reads and writes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

#define NOBODY 65534

static struct tracked_op* open_later(struct fixture* f, const char* name, unsigned flags) {
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, name), flags);
  run(f);
  return open;
}

static void close_later(struct fixture* f, uvdio_file_t* file) {
  struct tracked_op* close = t_close(op_new(&f->tracker), file);
  run(f);
  assert_result(close, 0);
}

static void assert_not_open(struct fixture* f, uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_code(uvdio_file_info(file, &info), UV_EBADF);
  assert_refused(t_size(op_new(&f->tracker), file), UV_EBADF);
}

/*
 * Open.
 */

static void missing_file_is_created_on_demand_only(void** state) {
  struct fixture* f = *state;
  assert_result(open_later(f, "new", UVDIO_O_RDWR), UV_ENOENT);
  assert_not_open(f, &f->other);
  assert_result(open_later(f, "new", UVDIO_OPEN_READ), UV_ENOENT);
  assert_result(open_later(f, "new", UVDIO_OPEN_RW), 0);
  assert_size(f, &f->other, 0);
  close_later(f, &f->other);
  assert_result(open_later(f, "new", UVDIO_OPEN_READ), 0);
}

static void open_rw_keeps_and_create_truncates(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  close_later(f, &f->file);
  assert_result(open_later(f, "file", UVDIO_OPEN_RW), 0);
  assert_holds(f, &f->other, 0, 2 * PAGE, 1);
  close_later(f, &f->other);
  assert_result(open_later(f, "file", UVDIO_OPEN_CREATE), 0);
  assert_size(f, &f->other, 0);
}

static void open_truncates_without_creating(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  assert_result(open_later(f, "missing", UVDIO_O_RDWR | UVDIO_O_TRUNCATE), UV_ENOENT);
  assert_result(open_later(f, "file", UVDIO_O_RDWR | UVDIO_O_TRUNCATE), 0);
  assert_size(f, &f->file, 0);
}

static void exclusive_creation_refuses_what_exists(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  unsigned flags = UVDIO_OPEN_CREATE | UVDIO_O_EXCLUSIVE;
  assert_result(open_later(f, "file", flags), UV_EEXIST);
  assert_not_open(f, &f->other);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_result(open_later(f, "fresh", flags), 0);
}

static void folder_is_no_file(void** state) {
  struct fixture* f = *state;
  assert_result(open_later(f, "", UVDIO_OPEN_READ), UV_EISDIR);
  assert_result(open_later(f, "", UVDIO_O_RDWR), UV_EISDIR);
  assert_result(open_later(f, ".", UVDIO_OPEN_READ), UV_EISDIR);
  assert_result(open_later(f, "..", UVDIO_OPEN_READ), UV_EISDIR);
  assert_not_open(f, &f->other);
}

/* A slash at the end says that a directory is meant, which no open for writing makes. */
static void exclusive_creation_refuses_a_directory(void** state) {
  struct fixture* f = *state;
  unsigned flags = UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE;
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "d")), 0);
  assert_result(open_later(f, "d", flags), UV_EEXIST);
  assert_result(open_later(f, "..", flags), UV_EEXIST);
  assert_result(open_later(f, "d/", flags), UV_EISDIR);
  assert_result(open_later(f, "d", UVDIO_OPEN_RW), UV_EISDIR);
  assert_not_open(f, &f->other);
}

static void path_may_be_relative(void** state) {
  struct fixture* f = *state;
  char before[FILESYSTEM_PATH_MAX];
  assert_non_null(getcwd(before, sizeof(before)));
  assert_true(on_memory() || chdir(f->dir) == 0);
  struct tracked_op* open_op =
      t_open(op_now(&f->tracker), f->engine, &f->other, "relative", UVDIO_OPEN_RW);
  struct tracked_op* folder =
      t_open(op_now(&f->tracker), f->engine, &f->file, "..", UVDIO_OPEN_READ);
  assert_int_equal(chdir(before), 0);
  assert_result(open_op, 0);
  assert_result(folder, UV_EISDIR);
  put(f, &f->other, 0, PAGE, 1);
  assert_holds(f, &f->other, 0, PAGE, 1);
}

static void empty_path_is_not_found(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, "", UVDIO_OPEN_READ);
  run(f);
  assert_result(open, UV_ENOENT);
}

static void missing_folder_is_not_found(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("folders");
  assert_result(open_later(f, "missing/file", UVDIO_OPEN_RW), UV_ENOENT);
  assert_result(open_later(f, "file/file", UVDIO_OPEN_RW), UV_ENOTDIR);
}

/* The ring takes the path when it submits, which may be later. */
static void path_is_copied(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX + 64];
  strcpy(path, path_of(f, "new"));
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_RW);
  memset(path, 'x', strlen(path));
  run(f);
  assert_result(open, 0);
  close_later(f, &f->other);
  assert_result(open_later(f, "new", UVDIO_OPEN_READ), 0);
}

static void file_can_be_closed_and_opened_again_and_again(void** state) {
  struct fixture* f = *state;
  int mine = 0;
  f->other.data = &mine;
  for (unsigned i = 0; i < 20; i++) {
    assert_result(open_later(f, "other", UVDIO_OPEN_RW), 0);
    put(f, &f->other, i * PAGE, PAGE, i);
    close_later(f, &f->other);
    assert_not_open(f, &f->other);
  }
  assert_ptr_equal(f->other.data, &mine);
  assert_result(open_later(f, "other", UVDIO_OPEN_READ), 0);
  assert_size(f, &f->other, 20 * PAGE);
}

static void many_files_open_at_once(void** state) {
  struct fixture* f = *state;
  enum { MANY = 40 };
  static uvdio_file_t files[MANY];
  char name[16];
  memset(files, 0, sizeof(files));
  for (unsigned i = 0; i < MANY; i++) {
    snprintf(name, sizeof(name), "many-%u", i);
    t_open(op_new(&f->tracker), f->engine, &files[i], path_of(f, name), UVDIO_OPEN_RW);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    put(f, &files[i], 0, PAGE, i);
  }
  for (unsigned i = 0; i < MANY; i++) {
    assert_holds(f, &files[i], 0, PAGE, i);
    t_close(op_new(&f->tracker), &files[i]);
  }
  run(f);
}

static void wal_is_written_like_any_file(void** state) {
  struct fixture* f = *state;
  assert_result(open_later(f, "wal", UVDIO_OPEN_WAL), 0);
  uvdio_buf_t buf = filled(4 * PAGE, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &buf, 0);
  run(f);
  assert_result(write, 4 * PAGE);
  assert_holds(f, &f->other, 0, 4 * PAGE, 1);
  close_later(f, &f->other);
  assert_result(open_later(f, "wal", UVDIO_OPEN_WAL), 0);
  assert_size(f, &f->other, 4 * PAGE);
}

/*
 * Size.
 */

static struct tracked_op* truncate_later(struct fixture* f, uint64_t length) {
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, length);
  run(f);
  return truncate;
}

static void size_is_told_as_the_result(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(before, 0);
  put(f, &f->file, 7 * PAGE, PAGE, 1);
  struct tracked_op* after = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(after, 8 * PAGE);
}

/* In memory, too; and an older header has a shorter structure. */
static void stat_tells_size_and_space(void** state) {
  struct fixture* f = *state;
  struct {
    uint64_t size;
    uint64_t behind;
  } shorter = {0, 17};
  uvdio_req_t req = {0};
  put(f, &f->file, 0, 3 * PAGE, 1);
  struct tracked_op* op = t_stat(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(op, 0);
  assert_int_equal(op->stat.size, 3 * PAGE);
  assert_true(op->stat.allocated >= 3 * PAGE || strcmp(info_of(&f->file).filesystem, "btrfs") == 0);
  assert_int_equal(op->stat.links, 1);
  void* place = &shorter;
  assert_ok(uvdio_stat_sized(&f->file, &req, place, sizeof(shorter.size), NULL));
  assert_int_equal(shorter.size, 3 * PAGE);
  assert_int_equal(shorter.behind, 17);
  assert_int_equal(req.op, UVDIO_OP_STAT);
}

static void truncate_shortens(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 4 * PAGE, 1);
  assert_result(truncate_later(f, 5000), 0);
  assert_size(f, &f->file, 5000);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_result(truncate_later(f, 0), 0);
  assert_size(f, &f->file, 0);
}

static void truncate_lengthens_with_zeros(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  assert_result(truncate_later(f, PAGE), 0);
  assert_result(truncate_later(f, 200 * PAGE), 0);
  assert_size(f, &f->file, 200 * PAGE);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_zeros(f, &f->file, PAGE, 199 * PAGE);
}

/* What lay behind an unaligned end does not come back. */
static void truncate_within_a_page_forgets_its_rest(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  assert_result(truncate_later(f, 100), 0);
  assert_result(truncate_later(f, PAGE), 0);
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, 100, 1));
  assert_true(is_zero(read->back.base + 100, PAGE - 100));
}

static struct tracked_op* preallocate_later(struct fixture* f, uint64_t length) {
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, length);
  run(f);
  return preallocate;
}

static void preallocate_lengthens_with_zeros(void** state) {
  struct fixture* f = *state;
  NEEDS("preallocate");
  put(f, &f->file, 0, PAGE, 1);
  assert_result(preallocate_later(f, 1024 * 1024 + 17), 0);
  assert_size(f, &f->file, 1024 * 1024 + 17);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_zeros(f, &f->file, PAGE, 255 * PAGE);
}

static void preallocate_never_shrinks(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 4 * PAGE, 1);
  assert_result(preallocate_later(f, PAGE), 0);
  assert_size(f, &f->file, 4 * PAGE);
  assert_holds(f, &f->file, 0, 4 * PAGE, 1);
}

/* The rest of it stands in space.c. */
static void punched_and_zeroed_bytes_read_as_zeros(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  NEEDS("punch_hole");
  put(f, &f->file, 0, 4 * PAGE, 1);
  struct tracked_op* punch = t_punch_hole(op_new(t), &f->file, 0, PAGE);
  struct tracked_op* zero = t_zero_range(op_new(t), &f->file, 2 * PAGE, 2 * PAGE);
  run(f);
  assert_result(punch, 0);
  assert_result(zero, 0);
  assert_zeros(f, &f->file, 0, PAGE);
  assert_zeros(f, &f->file, 2 * PAGE, 2 * PAGE);
  assert_size(f, &f->file, 4 * PAGE);
  struct tracked_op* data = t_next_data(op_new(t), &f->file, PAGE);
  struct tracked_op* hole = t_next_hole(op_new(t), &f->file, PAGE);
  struct tracked_op* hint = t_set_hint(op_new(t), &f->file, UVDIO_HINT_WRITE_LIFE, 0);
  run(f);
  assert_result(data, PAGE);
  assert_true(hole->result >= 2 * PAGE && hole->result <= 4 * PAGE);
  assert_true(hint->result == 0 || hint->result == UV_ENOTSUP);
}

/* One after the other, with the arguments of the generator's table. */
static void every_operation_gives_what_it_should(void** state) {
  do_every_example(*state, 0);
}

/*
 * Sync.
 */

static void both_syncs_succeed(void** state) {
  struct fixture* f = *state;
  struct tracked_op* idle = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(idle, 0);
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* data = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* all = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(data, 0);
  assert_result(all, 0);
}

/* test_names.c has the rest. */
static void replacing_a_name_succeeds(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  struct tracked_op* replace = t_replace(op_new(&f->tracker), &f->file, path_of(f, "new"));
  run(f);
  assert_result(replace, 0);
}

static void read_only_file_can_be_synced(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(sync, 0);
}

/*
 * What is known about a file.
 */

static void info_tells_who_executes_and_why(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  assert_non_null(info.reason);
  if (strcmp(info.backend, uvdio_engine_backend(f->engine)) == 0) {
    assert_string_equal(info.reason, "");
    assert_string_equal(info.backend_concurrent, info.backend);
  } else {
    assert_string_equal(info.backend, "pool");
    assert_true(strlen(info.reason) > 0);
    if (strcmp(info.backend_concurrent, "pool") != 0) {
      assert_string_equal(info.backend_concurrent, uvdio_engine_backend(f->engine));
      assert_non_null(strstr(info.reason, "while others are in flight"));
    }
  }
}

static void info_tells_what_was_opened(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  assert_int_equal(info.flags, UVDIO_OPEN_RW | tracker_opens_with());
  assert_int_equal(info.is_direct, 1);
  assert_int_equal(info.latch_error, 0);
  if (matrix.filesystem.name != NULL) {
    assert_string_equal(info.filesystem, matrix.filesystem.name);
  }
  assert_non_null(info.filesystem);
}

static void open_size_is_that_after_the_truncate(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  assert_int_equal(info_of(&f->file).open_size, 3 * PAGE);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED);
  assert_int_equal(info_of(&f->file).open_size, 0);
}

static void info_tells_the_alignment_that_holds(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  assert_true(info.memory_align >= UVDIO_ALIGNMENT);
  assert_true(info.offset_align >= UVDIO_ALIGNMENT);
  assert_true(info.memory_align % UVDIO_ALIGNMENT == 0);
  assert_true(info.system_offset_align <= info.offset_align);
  assert_true(info.system_memory_align <= info.memory_align);
  if (info.align_source == UVDIO_ALIGN_DEFAULT) {
    assert_int_equal(info.system_offset_align, 0);
  }
}

/* Where the system reports 512 bytes, 512 bytes can be had. */
static void native_alignment_lets_sectors_through(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "native", UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN);
  uvdio_file_info_t info = info_of(&f->other);
  if (info.system_offset_align == 0 || info.system_offset_align >= UVDIO_ALIGNMENT) {
    assert_true(info.offset_align >= UVDIO_ALIGNMENT);
    SKIP("the system reports no alignment below 4096 bytes here");
  }
  size_t sector = info.system_offset_align;
  assert_int_equal(info.offset_align, sector);
  assert_int_equal(info.memory_align, info.system_memory_align);
  put(f, &f->other, 0, 8 * sector, 1);
  put(f, &f->other, 3 * sector, sector, 2);
  assert_holds(f, &f->other, 3 * sector, sector, 2);
  assert_holds(f, &f->other, 0, 3 * sector, 1);
  assert_size(f, &f->other, (int64_t)(8 * sector));
}

static void native_alignment_is_enforced_too(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "native", UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN);
  size_t unit = info_of(&f->other).offset_align;
  uvdio_buf_t buf = filled(2 * unit, 1);
  assert_refused(t_read(op_new(&f->tracker), &f->other, &buf, unit / 2), UVDIO_EALIGN);
  uvdio_buf_truncate(&buf, unit / 2);
  assert_refused(t_write(op_new(&f->tracker), &f->other, &buf, 0), UVDIO_EALIGN);
  assert_ok(uvdio_buf_release(&buf));
}

static void file_that_is_opening_tells_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info;
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  assert_code(uvdio_file_info(&f->other, &info), UV_EBADF);
  run(f);
  assert_result(open, 0);
  assert_ok(uvdio_file_info(&f->other, &info));
}

static int told;

static void ask(struct tracked_op* op) {
  uvdio_file_info_t info;
  told = uvdio_file_info(op->data, &info);
}

/* Closed, and its callback still to come: in memory, everything that is due ends before the first
 * callback. */
static void file_that_has_closed_tells_nothing(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  t_size(op_then(&f->tracker, ask, &f->other), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
  told = 1;
  run(f);
  assert_result(close, 0);
  assert_true(told == UV_EBADF || (told == 0 && (!on_memory() || matrix.simulated)));
}

/*
 * Filesystems that refuse direct I/O. /proc is one, and everywhere; ramfs can be written to.
 */

static void refused_direct_io_is_an_error_by_default(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("filesystems");
  NEEDS("procfs");
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, "/proc/version", 0);
  run(f);
  assert_result(open, UVDIO_ENODIRECT);
  assert_not_open(f, &f->other);
}

static void refused_direct_io_goes_on_buffered_if_preferred(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("filesystems");
  NEEDS("procfs");
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, "/proc/version",
                                   UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED);
  run(f);
  assert_result(open, 0);
  assert_int_equal(info_of(&f->other).is_direct, 0);
  struct tracked_op* read = read_page_of(f, &f->other, 0);
  run(f);
  assert_int_equal(read->done, 1);
  assert_true(read->result > 0);
  assert_memory_equal(read->back.base, "Linux version", 13);
}

/* Such a file gives some 4000 bytes at a time, has no size, and ends where no byte comes any
 * more. */
static void file_without_a_size_is_read_to_its_end(void** state) {
  enum { WANTED = 16 * PAGE };
  struct fixture* f = *state;
  static char expected[WANTED];
  NOT_ON_MEMORY("filesystems");
  NEEDS("procfs");
  FILE* file = fopen("/proc/kallsyms", "r");
  size_t got = file == NULL ? 0 : fread(expected, 1, WANTED, file);
  if (file != NULL) {
    fclose(file);
  }
  if (got < WANTED) {
    SKIP("/proc/kallsyms is too short here");
  }
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->other, "/proc/kallsyms",
                       UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED),
                0);
  uvdio_buf_t buf = blank(WANTED);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &buf, 0);
  run(f);
  assert_result(read, WANTED);
  assert_memory_equal(read->back.base, expected, WANTED);
}

static void preferred_direct_io_stays_direct_where_it_can(void** state) {
  struct fixture* f = *state;
  assert_result(open_later(f, "new", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED), 0);
  assert_int_equal(info_of(&f->other).is_direct, 1);
}

static void buffered_file_is_written_and_synced(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("filesystems");
  char why[FILESYSTEM_WHY_MAX];
  char path[FILESYSTEM_PATH_MAX + 16];
  static struct filesystem ramfs;
  if (filesystem_make_indirect(&ramfs, "ramfs", 0, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  snprintf(path, sizeof(path), "%s/file", ramfs.dir);
  struct tracked_op* refused =
      t_open(op_new(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_RW);
  run(f);
  assert_result(refused, UVDIO_ENODIRECT);
  struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, path,
                                   UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED);
  run(f);
  assert_result(open, 0);
  put(f, &f->other, 0, 3 * PAGE, 1);
  assert_holds(f, &f->other, 0, 3 * PAGE, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->other), 0);
  close_later(f, &f->other);
  filesystem_remove(&ramfs);
}

/*
 * Counters.
 */

static void counters_tell_what_happened(void** state) {
  struct fixture* f = *state;
  write_page_of(f, &f->file, 0, 1);
  assert_int_equal(stats_of(f).pending, 1);
  run(f);
  struct tracked_op* missing = open_later(f, "missing", UVDIO_OPEN_READ);
  assert_result(missing, UV_ENOENT);
  uvdio_engine_stats_t stats = stats_of(f);
  assert_int_equal(stats.submitted, 2);
  assert_int_equal(stats.completed, 2);
  assert_int_equal(stats.failed, 1);
  assert_int_equal(stats.cancelled, 0);
  assert_int_equal(stats.synchronous, 1); /* the fixture's open */
  assert_int_equal(stats.pending, 0);
  assert_int_equal(stats.copied, 0);
  assert_true(stats.in_flight_peak >= 1);
}

/*
 * What POSIX knows of a file.
 */

#ifndef _WIN32
static void file_without_permission_is_refused(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("permissions");
  int root = geteuid() == 0;
  assert_int_equal(chmod(path_of(f, "file"), 0), 0);
  if (root && seteuid(NOBODY) != 0) {
    SKIP("root can't become an ordinary user for a moment (seteuid)");
  }
  struct tracked_op* open = open_later(f, "file", UVDIO_OPEN_READ);
  if (root) {
    assert_int_equal(seteuid(0), 0);
  }
  assert_result(open, UV_EACCES);
}

static void symbolic_link_is_followed_unless_forbidden(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("symbolic links");
  put(f, &f->file, 0, PAGE, 1);
  assert_int_equal(symlink("file", path_of(f, "link")), 0);
  assert_result(open_later(f, "link", UVDIO_OPEN_READ | UVDIO_O_NOFOLLOW), UV_ELOOP);
  assert_result(open_later(f, "link", UVDIO_OPEN_READ), 0);
  assert_holds(f, &f->other, 0, PAGE, 1);
  close_later(f, &f->other);
  assert_result(open_later(f, "file", UVDIO_OPEN_READ | UVDIO_O_NOFOLLOW), 0);
}

static void mode_is_for_files_that_get_created(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("permissions");
  struct stat about;
  uvdio_req_t req = {0};
  mode_t before = umask(0);
  int code = uvdio_open(f->engine, &f->other, &req, path_of(f, "new"), UVDIO_OPEN_RW, 0640, NULL);
  umask(before);
  assert_ok(code);
  assert_int_equal(stat(path_of(f, "new"), &about), 0);
  assert_int_equal(about.st_mode & 0777, 0640);
}

/* The descriptor behind the file "name", by the system's table: the library does not hand its own
 * out. */
static int descriptor_of(struct fixture* f, const char* name) {
  for (int fd = 3; fd < 256; fd++) {
    char link[64];
    char target[FILESYSTEM_PATH_MAX + 64] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof(target) - 1) > 0 && strcmp(target, path_of(f, name)) == 0) {
      return fd;
    }
  }
  return -1;
}

static void descriptor_carries_what_was_asked_for(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  open_now(f, &f->other, "wal", UVDIO_OPEN_WAL);
  int file = descriptor_of(f, "file");
  int wal = descriptor_of(f, "wal");
  assert_true(file >= 0);
  assert_true(wal >= 0);
  /* Opened without blocking, and taken out of that: a ring would refuse instead of wait. */
  assert_int_equal(fcntl(file, F_GETFL) & (O_ACCMODE | O_DIRECT | O_DSYNC | O_NONBLOCK),
                   O_RDWR | O_DIRECT);
  assert_int_equal(fcntl(wal, F_GETFL) & (O_DIRECT | O_DSYNC), O_DIRECT | O_DSYNC);
}

/* Files, opened in either form, rings, eventfds, and whatever holds an arena's memory. */
static void no_descriptor_outlives_an_exec(void** state) {
  struct fixture* f = *state;
  enum { DESCRIPTORS = 256 };
  char known[DESCRIPTORS];
  uvdio_buf_t frame;
  int new_ones = 0;
  NOT_ON_MEMORY("descriptors");
  for (int fd = 0; fd < DESCRIPTORS; fd++) {
    known[fd] = fcntl(fd, F_GETFD) >= 0;
  }
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  assert_result(open_later(f, "other", UVDIO_OPEN_WAL), 0);
  fixture_arena(f, PAGE, 4);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  frame.len = frame.cap;
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_result(write, PAGE);
  for (int fd = 0; fd < DESCRIPTORS; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && !known[fd]) {
      new_ones++;
      assert_int_equal(flags & FD_CLOEXEC, FD_CLOEXEC);
    }
  }
  assert_true(new_ones >= 2);
}

static int64_t ns_of(struct timespec time) {
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void stat_tells_what_the_system_does(void** state) {
  struct fixture* f = *state;
  struct stat about;
  NOT_ON_MEMORY("inodes and times");
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(truncate_later(f, 64 * PAGE + 7), 0);
  assert_int_equal(link(path_of(f, "file"), path_of(f, "link")), 0);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = t_stat(blocking ? op_now(&f->tracker) : op_new(&f->tracker), &f->file);
    run(f);
    assert_result(op, 0);
    assert_int_equal(stat(path_of(f, "file"), &about), 0);
    assert_int_equal(op->stat.size, 64 * PAGE + 7);
    assert_int_equal(op->stat.allocated, about.st_blocks * 512);
    assert_int_equal(op->stat.device, about.st_dev);
    assert_int_equal(op->stat.inode, about.st_ino);
    assert_int_equal(op->stat.links, 2);
    assert_int_equal(op->stat.mode, about.st_mode);
    assert_int_equal(op->stat.accessed_ns, ns_of(about.st_atim));
    assert_int_equal(op->stat.modified_ns, ns_of(about.st_mtim));
    assert_int_equal(op->stat.changed_ns, ns_of(about.st_ctim));
    assert_int_equal(op->stat.created_ns, info_of(&f->file).created_ns);
  }
}

static void info_tells_what_the_open_has_learnt(void** state) {
  struct fixture* f = *state;
  struct stat stat_of_file;
  NOT_ON_MEMORY("inodes and times");
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 2 * PAGE + 7), 0);
  assert_int_equal(info_of(&f->file).open_size, 0);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED);
  uvdio_file_info_t info = info_of(&f->other);
  assert_int_equal(stat(path_of(f, "file"), &stat_of_file), 0);
  assert_int_equal(info.open_size, 2 * PAGE + 7);
  assert_int_equal(info.inode, stat_of_file.st_ino);
  assert_int_equal(info.device, stat_of_file.st_dev);
  assert_int_equal(info.modified_ns, ns_of(stat_of_file.st_mtim));
  assert_int_equal(info.changed_ns, ns_of(stat_of_file.st_ctim));
  assert_true(info.created_ns >= 0 && info.created_ns <= info.changed_ns);
  assert_int_equal(info.optimal_size, stat_of_file.st_blksize);
  assert_true(info.atomic_min <= info.atomic_max);
  assert_int_equal(info.atomic_max & (info.atomic_max - (info.atomic_max > 0)), 0);
}

/* Nanoseconds since 1970 are none for some 292 years and more; the filesystem may know no such
 * times at all. */
static void times_far_away_are_none(void** state) {
  static const int64_t seconds[] = {0,           -1,          9223372034,   9223372035,
                                    9223372036,  9223372037,  -9223372034,  -9223372035,
                                    -9223372036, -9223372037, INT64_MAX / 2};
  const int64_t most = 9223372035;
  struct fixture* f = *state;
  NOT_ON_MEMORY("inodes and times");
  for (size_t i = 0; i < COUNT_OF(seconds); i++) {
    const struct timespec times[2] = {{.tv_sec = seconds[i], .tv_nsec = 7},
                                      {.tv_sec = seconds[i], .tv_nsec = 9}};
    struct stat about;
    assert_int_equal(utimensat(AT_FDCWD, path_of(f, "file"), times, 0), 0);
    open_now(f, &f->other, "file", UVDIO_OPEN_READ);
    struct tracked_op* op = t_stat(op_now(&f->tracker), &f->other);
    int64_t modified_ns = info_of(&f->other).modified_ns;
    assert_int_equal(stat(path_of(f, "file"), &about), 0);
    int is_known = about.st_mtim.tv_sec <= most && about.st_mtim.tv_sec >= -most;
    assert_int_equal(op->stat.modified_ns, is_known ? ns_of(about.st_mtim) : 0);
    assert_int_equal(modified_ns, op->stat.modified_ns);
    assert_result(t_close(op_now(&f->tracker), &f->other), 0);
  }
}
#endif

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_engine, missing_file_is_created_on_demand_only),
      TEST_ON(fixture_open, open_rw_keeps_and_create_truncates),
      TEST_ON(fixture_open, open_truncates_without_creating),
      TEST_ON(fixture_open, exclusive_creation_refuses_what_exists),
      TEST_ON(fixture_open, exclusive_creation_refuses_a_directory),
      TEST_ON(fixture_engine, path_may_be_relative),
      TEST_ON(fixture_engine, folder_is_no_file),
      TEST_ON(fixture_engine, empty_path_is_not_found),
      TEST_ON(fixture_open, missing_folder_is_not_found),
      TEST_ON(fixture_engine, path_is_copied),
      TEST_ON(fixture_engine, file_can_be_closed_and_opened_again_and_again),
      TEST_ON(fixture_engine, many_files_open_at_once),
      TEST_ON(fixture_engine, wal_is_written_like_any_file),
      TEST_ON(fixture_open, size_is_told_as_the_result),
      TEST_ON(fixture_open, stat_tells_size_and_space),
      TEST_ON(fixture_open, truncate_shortens),
      TEST_ON(fixture_open, truncate_lengthens_with_zeros),
      TEST_ON(fixture_open, truncate_within_a_page_forgets_its_rest),
      TEST_ON(fixture_open, preallocate_lengthens_with_zeros),
      TEST_ON(fixture_open, replacing_a_name_succeeds),
      TEST_ON(fixture_open, preallocate_never_shrinks),
      TEST_ON(fixture_open, punched_and_zeroed_bytes_read_as_zeros),
      TEST_ON(fixture_open, both_syncs_succeed),
      TEST_ON(fixture_open, every_operation_gives_what_it_should),
      TEST_ON(fixture_open, read_only_file_can_be_synced),
      TEST_ON(fixture_open, info_tells_who_executes_and_why),
      TEST_ON(fixture_open, info_tells_what_was_opened),
      TEST_ON(fixture_open, open_size_is_that_after_the_truncate),
      TEST_ON(fixture_open, info_tells_the_alignment_that_holds),
      TEST_ON(fixture_engine, native_alignment_lets_sectors_through),
      TEST_ON(fixture_engine, native_alignment_is_enforced_too),
      TEST_ON(fixture_open, file_that_is_opening_tells_nothing),
      TEST_ON(fixture_open, file_that_has_closed_tells_nothing),
      TEST_ON(fixture_engine, refused_direct_io_is_an_error_by_default),
      TEST_ON(fixture_engine, refused_direct_io_goes_on_buffered_if_preferred),
      TEST_ON(fixture_engine, file_without_a_size_is_read_to_its_end),
      TEST_ON(fixture_engine, preferred_direct_io_stays_direct_where_it_can),
      TEST_ON(fixture_engine, buffered_file_is_written_and_synced),
      TEST_ON(fixture_open, counters_tell_what_happened),
#ifndef _WIN32
      TEST_ON(fixture_open, file_without_permission_is_refused),
      TEST_ON(fixture_open, symbolic_link_is_followed_unless_forbidden),
      TEST_ON(fixture_engine, mode_is_for_files_that_get_created),
      TEST_ON(fixture_open, descriptor_carries_what_was_asked_for),
      TEST_ON(fixture_loop, no_descriptor_outlives_an_exec),
      TEST_ON(fixture_open, stat_tells_what_the_system_does),
      TEST_ON(fixture_open, info_tells_what_the_open_has_learnt),
      TEST_ON(fixture_open, times_far_away_are_none),
#endif
  };
  return matrix_main("file", tests, COUNT_OF(tests), argc, argv);
}
