/* SPDX-License-Identifier: MIT */
/*
 * An open is one step on the path, whatever the filesystem thinks of direct I/O; one that fails
 * leaves nothing that was not there; and what is open goes past the page cache, however it came to
 * that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

#define NOBODY 65534
#define CREATED_QUERY (1024 + 4) /* F_CREATED_QUERY, which older headers lack */

/* What may create a file, and needs direct I/O. */
static const unsigned creating[] = {UVDIO_OPEN_RW, UVDIO_OPEN_CREATE, UVDIO_OPEN_WAL,
                                    UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE,
                                    UVDIO_OPEN_RW | UVDIO_O_NOFOLLOW};

/* A filesystem that refuses direct I/O. */
static struct filesystem ramfs;

static int ramfs_engine(void** state) {
  char why[FILESYSTEM_WHY_MAX];
  if (filesystem_make_indirect(&ramfs, "ramfs", 0, why) != 0) {
    print_message("ramfs: %s\n", why);
  }
  return fixture_engine(state);
}

static int ramfs_tear_down(void** state) {
  int failed = fixture_tear_down(state);
  if (ramfs.mounted) {
    filesystem_remove(&ramfs);
  }
  memset(&ramfs, 0, sizeof(ramfs));
  return failed;
}

static void need_ramfs(void) {
  if (!ramfs.mounted) {
    SKIP("a ramfs can't be mounted here");
  }
}

static const char* in_ramfs(const char* name) {
  static char paths[4][FILESYSTEM_PATH_MAX + 64];
  static unsigned next;
  char* path = paths[next++ % COUNT_OF(paths)];
  snprintf(path, sizeof(paths[0]), "%s/%s", ramfs.dir, name);
  return path;
}

static int64_t size_of(const char* path) {
  struct stat about;
  return lstat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

static struct tracked_op* open_at(struct fixture* f, struct tracked_op* op, const char* path,
                                  unsigned flags) {
  t_open(op, f->engine, &f->other, path, flags);
  run(f);
  return op;
}

static int is_direct(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(file, &info));
  return info.is_direct;
}

/*
 * Refused
 */

static void refused_open_removes_what_it_created(void** state) {
  struct fixture* f = *state;
  const char* path = in_ramfs("new");
  size_t before = open_descriptors();
  need_ramfs();
  for (size_t i = 0; i < COUNT_OF(creating); i++) {
    assert_result(open_at(f, op_new(&f->tracker), path, creating[i]), UVDIO_ENODIRECT);
    assert_false(is_there(path));
    assert_result(open_at(f, op_now(&f->tracker), path, creating[i]), UVDIO_ENODIRECT);
    assert_false(is_there(path));
    assert_int_equal(open_descriptors(), before);
  }
  const unsigned again = UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED;
  assert_result(open_at(f, op_new(&f->tracker), path, again), 0);
  assert_false(is_direct(&f->other));
  close_other(f);
  assert_true(is_there(path));
}

static void refused_open_removes_what_it_created_in_the_working_directory(void** state) {
  struct fixture* f = *state;
  char before[FILESYSTEM_PATH_MAX];
  need_ramfs();
  assert_non_null(getcwd(before, sizeof(before)));
  assert_int_equal(chdir(ramfs.dir), 0);
  struct tracked_op* open = open_at(f, op_new(&f->tracker), "new", UVDIO_OPEN_RW);
  struct tracked_op* again = open_at(f, op_now(&f->tracker), "./new", UVDIO_OPEN_RW);
  assert_int_equal(chdir(before), 0);
  assert_result(open, UVDIO_ENODIRECT);
  assert_result(again, UVDIO_ENODIRECT);
  assert_false(is_there(in_ramfs("new")));
}

static void refused_open_leaves_alone_what_was_there(void** state) {
  struct fixture* f = *state;
  const char* full = in_ramfs("full");
  const char* empty = in_ramfs("empty");
  need_ramfs();
  put_text(full, "text");
  put_text(empty, "");
  for (size_t i = 0; i < COUNT_OF(creating); i++) {
    int expected = (creating[i] & UVDIO_O_EXCLUSIVE) != 0 ? (int)UV_EEXIST : (int)UVDIO_ENODIRECT;
    assert_result(open_at(f, op_new(&f->tracker), full, creating[i]), expected);
    assert_result(open_at(f, op_now(&f->tracker), full, creating[i]), expected);
    assert_int_equal(size_of(full), 4);
    assert_result(open_at(f, op_new(&f->tracker), empty, creating[i]), expected);
    assert_result(open_at(f, op_now(&f->tracker), empty, creating[i]), expected);
    assert_true(is_there(empty));
  }
}

/* Whether the kernel tells of an open file that its open has created it (Linux 6.12). */
static int creations_are_told(void) {
  const char* path = in_ramfs("created");
  int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  assert_true(descriptor >= 0);
  int told = fcntl(descriptor, CREATED_QUERY, 0);
  assert_int_equal(close(descriptor), 0);
  assert_int_equal(unlink(path), 0);
  return told == 1;
}

/* The link stays, and what it led to goes: that was not there. Where the kernel does not tell, the
 * name alone would have to be believed, and that is the link's. */
static void refused_open_removes_what_it_created_behind_a_link(void** state) {
  struct fixture* f = *state;
  const char* link = in_ramfs("link");
  const char* target = in_ramfs("target");
  need_ramfs();
  int stays = !creations_are_told();
  assert_int_equal(symlink("target", link), 0);
  assert_result(open_at(f, op_new(&f->tracker), link, UVDIO_OPEN_RW), UVDIO_ENODIRECT);
  assert_true(is_there(link));
  assert_int_equal(is_there(target), stays);
  assert_int_equal(unlink(target), stays ? 0 : -1);
  assert_result(open_at(f, op_now(&f->tracker), link, UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE),
                UV_EEXIST);
  assert_result(open_at(f, op_now(&f->tracker), link, UVDIO_OPEN_RW | UVDIO_O_NOFOLLOW), UV_ELOOP);
  assert_false(is_there(target));
  assert_result(open_at(f, op_new(&f->tracker), link, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED), 0);
  close_other(f);
  assert_true(is_there(target));
}

/* An overlay takes the flag on behalf of the filesystem below, which is asked when something is
 * transferred. */
static void overlay_on_such_a_filesystem_refuses_as_well(void** state) {
  struct fixture* f = *state;
  static const char* const folders[] = {"low", "up", "work", "over"};
  char options[4 * FILESYSTEM_PATH_MAX];
  need_ramfs();
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    assert_int_equal(mkdir(in_ramfs(folders[i]), 0700), 0);
  }
  snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in_ramfs("low"),
           in_ramfs("up"), in_ramfs("work"));
  const char* over = in_ramfs("over");
  const char* path = in_ramfs("over/new");
  if (mount("overlay", over, "overlay", 0, options) != 0) {
    SKIP("an overlay can't be mounted on a ramfs here");
  }
  struct tracked_op* refused = open_at(f, op_new(&f->tracker), path, UVDIO_OPEN_RW);
  int is_left = is_there(path);
  struct tracked_op* open =
      open_at(f, op_new(&f->tracker), path, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  struct tracked_op* write = write_page_of(f, &f->other, 0, 1);
  run(f);
  struct tracked_op* close = t_close(op_now(&f->tracker), &f->other);
  umount2(over, MNT_DETACH);
  assert_result(refused, UVDIO_ENODIRECT);
  assert_false(is_left);
  assert_result(open, 0);
  assert_result(write, PAGE);
  assert_result(close, 0);
}

/*
 * Created
 */

/* As an ordinary user where the test is root's, who may write to anything. */
static void create_read_only(struct fixture* f, const char* path, unsigned flags) {
  int root = geteuid() == 0;
  struct stat about;
  uvdio_req_t req = {0};
  if (root && seteuid(NOBODY) != 0) {
    SKIP("root can't become an ordinary user for a moment (seteuid)");
  }
  flags |= UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE;
  int code = uvdio_open(f->engine, &f->other, &req, path, flags, 0444, NULL);
  if (root) {
    assert_int_equal(seteuid(0), 0);
  }
  assert_ok(code);
  put(f, &f->other, 0, PAGE, 1);
  close_other(f);
  assert_int_equal(stat(path, &about), 0);
  assert_int_equal(about.st_mode & 0777, 0444);
}

static void file_may_be_created_for_reading_only(void** state) {
  struct fixture* f = *state;
  assert_int_equal(chmod(f->dir, 0777), 0);
  create_read_only(f, path_of(f, "new"), 0);
  need_ramfs();
  assert_int_equal(chmod(ramfs.dir, 0777), 0);
  create_read_only(f, in_ramfs("new"), UVDIO_O_DIRECT_PREFERRED);
}

/* The header: these count at some moment between the call and the callback. */
static void folder_and_umask_hold_until_the_callback(void** state) {
  struct fixture* f = *state;
  char before[FILESYSTEM_PATH_MAX];
  struct stat about;
  uvdio_buf_t page = filled(PAGE, 1);
  assert_non_null(getcwd(before, sizeof(before)));
  assert_int_equal(chdir(f->dir), 0);
  mode_t mask = umask(0027);
  struct tracked_op* open =
      open_at(f, op_new(&f->tracker), "relative", UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE);
  umask(mask);
  assert_int_equal(chdir(before), 0);
  assert_result(open, 0);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &page, 0);
  run(f);
  assert_result(write, PAGE);
  close_other(f);
  assert_int_equal(stat(path_of(f, "relative"), &about), 0);
  assert_int_equal(about.st_size, PAGE);
  assert_int_equal(about.st_mode & 0027, 0);
}

/*
 * Leases: somebody is asked to let go of the file first (fcntl(2), F_SETLEASE).
 */

struct lease {
  int descriptor;
  atomic_int is_over;
  unsigned places;    /* descriptors of a path (O_PATH) */
  unsigned inherited; /* of those, what a program started meanwhile would get */
};

static void look_for_places(struct lease* lease) {
  for (int fd = 0; fd < 256; fd++) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_PATH) != 0) {
      lease->places++;
      lease->inherited += (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
    }
  }
}

/* An open that waits for the lease holds its path meanwhile: then the lease is given back. */
static void give_lease_back(void* data) {
  struct lease* lease = data;
  while (lease->places == 0 && !lease->is_over) {
    look_for_places(lease);
  }
  (void)fcntl(lease->descriptor, F_SETLEASE, F_UNLCK);
}

static int take_lease(struct lease* lease, const char* path) {
  memset(lease, 0, sizeof(*lease));
  lease->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  assert_true(lease->descriptor >= 0);
  return fcntl(lease->descriptor, F_SETLEASE, F_WRLCK);
}

static void open_leased(struct fixture* f, unsigned flags, int without_input) {
  struct lease lease;
  uv_thread_t thread;
  int input = dup(STDIN_FILENO);
  assert_int_equal(take_lease(&lease, path_of(f, "leased")), 0);
  assert_ok(uv_thread_create(&thread, give_lease_back, &lease));
  if (without_input) {
    close(STDIN_FILENO);
  }
  struct tracked_op* open = open_at(f, op_new(&f->tracker), path_of(f, "leased"), flags);
  lease.is_over = 1;
  assert_ok(uv_thread_join(&thread));
  close(lease.descriptor);
  assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
  close(input);
  assert_result(open, 0);
  assert_int_equal(lease.places, 1);
  assert_int_equal(lease.inherited, 0);
  close_other(f);
}

/* Without a standard input the path's descriptor is 0. */
static void open_waits_for_a_lease(void** state) {
  struct fixture* f = *state;
  if (on_memory()) {
    SKIP("the memory backend has no leases");
  }
  void (*before)(int) = signal(SIGIO, SIG_IGN);
  open_leased(f, UVDIO_OPEN_RW, 0);
  open_leased(f, UVDIO_OPEN_RW | UVDIO_O_NOFOLLOW, 0);
  open_leased(f, UVDIO_OPEN_RW, 1);
  signal(SIGIO, before);
}

/*
 * Descriptor 0, as in a program that has closed its standard input.
 */

/* One that is opened, and is no file after all. */
static void failed_open_gives_descriptor_0_back(void** state) {
  struct fixture* f = *state;
  for (unsigned blocking = 0; blocking < 2; blocking++) {
    int input = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    struct tracked_op* open =
        open_at(f, blocking ? op_now(&f->tracker) : op_new(&f->tracker), f->dir, UVDIO_OPEN_READ);
    int is_closed = fcntl(STDIN_FILENO, F_GETFD) == -1;
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
    assert_result(open, UV_EISDIR);
    assert_true(is_closed);
  }
}

static void file_may_have_descriptor_0(void** state) {
  struct fixture* f = *state;
  for (unsigned blocking = 0; blocking < 2; blocking++) {
    int input = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    struct tracked_op* open = open_at(f, blocking ? op_now(&f->tracker) : op_new(&f->tracker),
                                      path_of(f, "zero"), UVDIO_OPEN_RW);
    int is_open = fcntl(STDIN_FILENO, F_GETFD) != -1;
    uvdio_buf_t page = filled(PAGE, 1);
    struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &page, 0);
    run(f);
    struct tracked_op* close_op =
        t_close(blocking ? op_now(&f->tracker) : op_new(&f->tracker), &f->other);
    run(f);
    int is_closed = fcntl(STDIN_FILENO, F_GETFD) == -1;
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
    assert_result(open, 0);
    assert_result(write, PAGE);
    assert_result(close_op, 0);
    assert_true(is_open && is_closed);
  }
}

/*
 * Direct
 */

/* So that it shows what a page in the cache looks like. */
static const char* write_through_the_cache(struct fixture* f) {
  static char pages[16 * PAGE];
  const char* path = path_of(f, "cached");
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(pages, sizeof(pages), 1, file), 1);
  assert_int_equal(fclose(file), 0);
  return path;
}

static int has_a_cache_of_its_own(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(file, &info));
  return strcmp(info.filesystem, "ext4") == 0 || strcmp(info.filesystem, "xfs") == 0 ||
         strcmp(info.filesystem, "btrfs") == 0;
}

/* btrfs writes through the page cache whatever it checksums (Linux 6.14, its documentation),
 * and can't always drop a page afterwards. It checksums no file that it overwrites in place. */
static void have_no_checksums(const char* path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int flags = 0;
  assert_true(fd >= 0);
  (void)syscall(SYS_ioctl, fd, FS_IOC_GETFLAGS, &flags); /* not ioctl(): musl's takes an int */
  flags |= FS_NOCOW_FL;
  (void)syscall(SYS_ioctl, fd, FS_IOC_SETFLAGS, &flags); /* refused where there are no such flags */
  close(fd);
}

/* Direct I/O is switched on by the descriptor: the kernel heeds that in every request, also where a
 * ring knows the file by number. */
static void transfers_go_past_the_page_cache(void** state) {
  struct fixture* f = *state;
  enum { PAGES = 16 };
  if (!on_memory()) {
    have_no_checksums(path_of(f, "other"));
  }
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  if (!has_a_cache_of_its_own(&f->other) || sysconf(_SC_PAGESIZE) != PAGE) {
    SKIP("what is in the page cache can't be told here");
  }
  for (unsigned i = 0; i < PAGES; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write(op_new(&f->tracker), &f->other, &page, i * PAGE);
  }
  run(f);
  uvdio_buf_t all = blank(PAGES * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &all, 0);
  run(f);
  assert_result(read, PAGES * PAGE);
  assert_int_equal(cached_pages(path_of(f, "other"), PAGES), 0);
  assert_int_equal(cached_pages(write_through_the_cache(f), PAGES), PAGES);
}

/*
 * Alignment
 */

/* XFS with blocks larger than a page: it recommends whole ones for a file that shares them with
 * another. */
static struct filesystem blocks;

static int blocks_engine(void** state) {
  char why[FILESYSTEM_WHY_MAX];
  if (filesystem_make(&blocks, "blocks", 0, why) != 0) {
    print_message("blocks of 16384 bytes: %s\n", why);
  }
  return fixture_engine(state);
}

static int blocks_tear_down(void** state) {
  int failed = fixture_tear_down(state);
  if (blocks.mounted) {
    filesystem_remove(&blocks);
  }
  memset(&blocks, 0, sizeof(blocks));
  return failed;
}

enum { BLOCK = 16384 };

static const char* in_blocks(char path[FILESYSTEM_PATH_MAX + 16], const char* name) {
  snprintf(path, FILESYSTEM_PATH_MAX + 16, "%s/%s", blocks.dir, name);
  return path;
}

static void share_blocks(const char* from, const char* to) {
  int source = open(from, O_RDONLY | O_CLOEXEC);
  int copy = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  assert_true(source >= 0 && copy >= 0);
  assert_int_equal(ioctl(copy, FICLONE, source), 0);
  close(source);
  close(copy);
}

static void assert_goes(struct fixture* f, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = filled(size, seed);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &buf, offset);
  run(f);
  assert_result(write, size);
  assert_holds(f, &f->other, offset, size, seed);
}

static void alignment_that_is_recommended_is_not_enforced(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX + 16], snapshot[FILESYSTEM_PATH_MAX + 16];
  if (!blocks.mounted) {
    SKIP("XFS with blocks of 16384 bytes can't be had here (Linux 6.12)");
  }
  assert_result(open_at(f, op_new(&f->tracker), in_blocks(path, "file"), UVDIO_OPEN_RW), 0);
  put(f, &f->other, 0, 4 * BLOCK, 1);
  uvdio_file_info_t before = info_of(&f->other);
  close_other(f);
  share_blocks(path, in_blocks(snapshot, "snapshot"));
  assert_result(open_at(f, op_new(&f->tracker), path, UVDIO_OPEN_RW), 0);
  uvdio_file_info_t shared = info_of(&f->other);
  assert_int_equal(shared.offset_align, before.offset_align);
  assert_int_equal(shared.offset_align, UVDIO_ALIGNMENT);
  assert_int_equal(shared.system_offset_align, before.system_offset_align);
  assert_int_equal(shared.system_read_align, before.system_read_align);
  assert_goes(f, PAGE, PAGE, 2);
  close_other(f);
  assert_result(open_at(f, op_new(&f->tracker), path, UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN), 0);
  assert_int_equal(info_of(&f->other).offset_align, before.system_offset_align);
  assert_goes(f, 2 * BLOCK + before.system_offset_align, before.system_offset_align, 3);
  close_other(f);
  assert_result(open_at(f, op_new(&f->tracker), snapshot, UVDIO_OPEN_READ), 0);
  assert_holds(f, &f->other, 0, 4 * BLOCK, 1);
  close_other(f);
  if (shared.recommended_align == shared.system_offset_align) {
    SKIP("this kernel recommends nothing for files that share blocks (Linux 6.14)");
  }
  assert_int_equal(shared.recommended_align, BLOCK);
  assert_int_equal(before.recommended_align, before.system_offset_align);
}

#define ON_BLOCKS(function) \
  cmocka_unit_test_setup_teardown(function, blocks_engine, blocks_tear_down)
#define ON_RAMFS(function) cmocka_unit_test_setup_teardown(function, ramfs_engine, ramfs_tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      ON_RAMFS(refused_open_removes_what_it_created),
      ON_RAMFS(refused_open_removes_what_it_created_in_the_working_directory),
      ON_RAMFS(refused_open_leaves_alone_what_was_there),
      ON_RAMFS(refused_open_removes_what_it_created_behind_a_link),
      ON_RAMFS(overlay_on_such_a_filesystem_refuses_as_well),
      ON_RAMFS(file_may_be_created_for_reading_only),
      TEST_ON(fixture_engine, folder_and_umask_hold_until_the_callback),
      TEST_ON(fixture_engine, open_waits_for_a_lease),
      TEST_ON(fixture_open, file_may_have_descriptor_0),
      TEST_ON(fixture_open, failed_open_gives_descriptor_0_back),
      TEST_ON(fixture_engine, transfers_go_past_the_page_cache),
      ON_BLOCKS(alignment_that_is_recommended_is_not_enforced),
  };
  return matrix_main("opens", tests, COUNT_OF(tests), argc, argv);
}
