/* SPDX-License-Identifier: MIT */
/*
 * Open directories as bases of paths.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

struct bases {
  uvdio_file_t one; /* "d" */
  uvdio_file_t two; /* "e" */
};

static struct bases bases;

static void mkdir_now(struct fixture* f, const char* name) {
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, name)), 0);
}

/* "d" and "e", open. */
static int setup(void** state) {
  if (fixture_open(state) != 0) {
    return -1;
  }
  struct fixture* f = *state;
  memset(&bases, 0, sizeof(bases));
  mkdir_now(f, "d");
  mkdir_now(f, "e");
  open_now(f, &bases.one, "d", UVDIO_O_DIRECTORY);
  open_now(f, &bases.two, "e", UVDIO_O_DIRECTORY);
  return 0;
}

static void open_in(struct fixture* f, uvdio_file_t* base, const char* name, unsigned flags) {
  assert_result(t_open_at(op_now(&f->tracker), base, &f->other, name, flags), 0);
}

static void make_in(struct fixture* f, uvdio_file_t* base, const char* name, unsigned seed) {
  open_in(f, base, name, UVDIO_OPEN_CREATE);
  put(f, &f->other, 0, PAGE, seed);
  close_other(f);
}

static int64_t ended(struct fixture* f, struct tracked_op* op) {
  assert_accepted(op);
  run(f);
  assert_int_equal(op->done, 1);
  return op->result;
}

static int64_t at(struct fixture* f, uvdio_op_t op, struct target target) {
  struct tracked_op* tracked = t_at(op_new(&f->tracker), op, &target);
  int64_t result = ended(f, tracked);
  assert_null(tracked->req.file);
  return result;
}

static void path_is_relative_to_the_base(void** state) {
  struct fixture* f = *state;
  make_in(f, &bases.one, "a", 1);
  assert_content(f, "d/a", 1);
  struct tracked_op* op = t_open_at(op_new(&f->tracker), &bases.two, &f->other, "a", UVDIO_OPEN_RW);
  assert_int_equal(ended(f, op), 0);
  assert_int_equal(op->req.op, UVDIO_OP_OPEN);
  put(f, &f->other, 0, PAGE, 2);
  close_other(f);
  assert_content(f, "d/a", 1);
  assert_content(f, "e/a", 2);
  assert_missing(f, "a");
}

static void absolute_path_ignores_the_base(void** state) {
  struct fixture* f = *state;
  char absolute[FILESYSTEM_PATH_MAX];
  NOT_ON_MEMORY("a working directory");
  assert_non_null(realpath(path_of(f, "e"), absolute));
  strncat(absolute, "/a", sizeof(absolute) - strlen(absolute) - 1);
  make_in(f, &bases.one, absolute, 3);
  assert_content(f, "e/a", 3);
  assert_missing(f, "d/a");
}

static void base_can_be_opened_relative_to_a_base(void** state) {
  struct fixture* f = *state;
  uvdio_file_t inner = {0};
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.one, .path = "x"}), 0);
  assert_result(t_open_at(op_now(&f->tracker), &bases.one, &inner, "./x", UVDIO_O_DIRECTORY), 0);
  make_in(f, &inner, "a", 4);
  assert_content(f, "d/x/a", 4);
  assert_result(t_close(op_now(&f->tracker), &inner), 0);
}

static void base_moves_with_its_directory(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("renamed directories");
  assert_result(t_rename(op_now(&f->tracker), f->engine, path_of(f, "d"), path_of(f, "moved"), 0),
                0);
  make_in(f, &bases.one, "a", 5);
  assert_content(f, "moved/a", 5);
  mkdir_now(f, "d");
  assert_int_equal(at(f, UVDIO_OP_UNLINK, (struct target){.base = &bases.one, .path = "a"}), 0);
  assert_missing(f, "moved/a");
}

static void removed_directory_is_no_base(void** state) {
  struct fixture* f = *state;
  assert_result(t_rmdir(op_now(&f->tracker), f->engine, path_of(f, "d")), 0);
  assert_result(t_open_at(op_now(&f->tracker), &bases.one, &f->other, "missing/a", UVDIO_OPEN_READ),
                UV_ENOENT);
  assert_int_equal(at(f, UVDIO_OP_UNLINK, (struct target){.base = &bases.one, .path = "a"}),
                   UV_ENOENT);
}

static void names_are_relative_to_their_bases(void** state) {
  struct fixture* f = *state;
  make_in(f, &bases.one, "a", 1);
  struct target move = {.base = &bases.one, .path = "a", .new_base = &bases.two, .new_path = "b"};
  assert_int_equal(at(f, UVDIO_OP_RENAME, move), 0);
  assert_content(f, "e/b", 1);
  assert_missing(f, "d/a");
  struct target link = {.base = &bases.two, .path = "b", .new_base = &bases.one, .new_path = "c"};
  assert_int_equal(at(f, UVDIO_OP_LINK, link), 0);
  assert_content(f, "d/c", 1);
  assert_int_equal(at(f, UVDIO_OP_LINK, link), UV_EEXIST);
  assert_int_equal(at(f, UVDIO_OP_UNLINK, (struct target){.base = &bases.two, .path = "b"}), 0);
  assert_missing(f, "e/b");
  assert_content(f, "d/c", 1);
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.two, .path = "x"}), 0);
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.two, .path = "x"}),
                   UV_EEXIST);
  make_in(f, &bases.two, "x/a", 2);
  assert_content(f, "e/x/a", 2);
  assert_int_equal(at(f, UVDIO_OP_RMDIR, (struct target){.base = &bases.two, .path = "x"}),
                   UV_ENOTEMPTY);
  assert_int_equal(at(f, UVDIO_OP_UNLINK, (struct target){.base = &bases.two, .path = "x/a"}), 0);
  assert_int_equal(at(f, UVDIO_OP_RMDIR, (struct target){.base = &bases.two, .path = "x"}), 0);
  assert_missing(f, "e/x/a");
}

static void one_of_two_bases_may_be_none(void** state) {
  struct fixture* f = *state;
  make_in(f, &bases.one, "a", 1);
  struct target out = {.base = &bases.one, .path = "a", .new_path = path_of(f, "out")};
  assert_int_equal(at(f, UVDIO_OP_RENAME, out), 0);
  assert_content(f, "out", 1);
  struct target in = {.path = path_of(f, "out"), .new_base = &bases.two, .new_path = "in"};
  assert_int_equal(at(f, UVDIO_OP_LINK, in), 0);
  assert_content(f, "e/in", 1);
}

static void flag_of_a_rename_arrives(void** state) {
  struct fixture* f = *state;
  make_in(f, &bases.one, "a", 1);
  make_in(f, &bases.two, "b", 2);
  struct target move = {.base = &bases.one,
                        .path = "a",
                        .new_base = &bases.two,
                        .new_path = "b",
                        .flags = UVDIO_RENAME_NO_REPLACE};
  int64_t result = at(f, UVDIO_OP_RENAME, move);
  if (result == UV_EINVAL || result == UV_ENOSYS || result == UV_ENOTSUP) {
    SKIP("the filesystem can't rename without replacing");
  }
  assert_int_equal(result, UV_EEXIST);
  move.new_path = "c";
  assert_int_equal(at(f, UVDIO_OP_RENAME, move), 0);
  assert_content(f, "e/c", 1);
  assert_content(f, "e/b", 2);
}

static void synchronous_forms_work(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  make_in(f, &bases.one, "a", 1);
  struct target two = {.base = &bases.one, .path = "a", .new_base = &bases.two, .new_path = "b"};
  assert_result(t_at(op_now(t), UVDIO_OP_LINK, &two), 0);
  two.new_path = "c";
  assert_result(t_at(op_now(t), UVDIO_OP_RENAME, &two), 0);
  struct target one = {.base = &bases.two, .path = "x"};
  assert_result(t_at(op_now(t), UVDIO_OP_MKDIR, &one), 0);
  assert_result(t_at(op_now(t), UVDIO_OP_RMDIR, &one), 0);
  one.path = "b";
  assert_result(t_at(op_now(t), UVDIO_OP_UNLINK, &one), 0);
  assert_content(f, "e/c", 1);
  assert_result(t_sync_all(op_now(t), &bases.two), 0);
  assert_result(t_sync_data(op_now(t), &bases.two), 0);
}

static void directory_has_no_bytes(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_file_t* base = &bases.one;
  for (int blocking = 0; blocking < 2; blocking++) {
    uvdio_buf_t page = filled(PAGE, 1);
#define NEXT (blocking ? op_now(t) : op_new(t))
    assert_refused(t_read(NEXT, base, &page, 0), UV_EISDIR);
    assert_refused(t_write(NEXT, base, &page, 0), UV_EISDIR);
    assert_refused(t_size(NEXT, base), UV_EISDIR);
    assert_refused(t_truncate(NEXT, base, 0), UV_EISDIR);
    assert_refused(t_preallocate(NEXT, base, PAGE), UV_EISDIR);
    assert_refused(t_replace(NEXT, base, "x"), UV_EISDIR);
    assert_refused(t_link_file(NEXT, base, NULL, "x"), UV_EISDIR);
#undef NEXT
    uvdio_buf_release(&page);
  }
}

static void directory_is_a_file_otherwise(void** state) {
  struct fixture* f = *state;
  struct tracked_op* stat = t_stat(op_new(&f->tracker), &bases.one);
  struct tracked_op* data = t_sync_data(op_new(&f->tracker), &bases.one);
  struct tracked_op* all = t_sync_all(op_new(&f->tracker), &bases.one);
  run(f);
  assert_result(stat, 0);
  assert_result(data, 0);
  assert_result(all, 0);
  uvdio_file_info_t info = info_of(&bases.one);
  assert_int_equal(info.flags, UVDIO_O_DIRECTORY);
  assert_int_equal(info.is_direct, 0);
  assert_int_equal(info.latch_error, 0);
}

static void wrong_kinds_are_told(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* file = blocking ? op_now(t) : op_new(t);
    t_open(file, f->engine, &f->other, path_of(f, "file"), UVDIO_O_DIRECTORY);
    run(f);
    assert_result(file, UV_ENOTDIR);
    struct tracked_op* missing = blocking ? op_now(t) : op_new(t);
    t_open(missing, f->engine, &f->other, path_of(f, "missing"), UVDIO_O_DIRECTORY);
    run(f);
    assert_result(missing, UV_ENOENT);
    struct tracked_op* directory = blocking ? op_now(t) : op_new(t);
    t_open(directory, f->engine, &f->other, path_of(f, "d"), UVDIO_OPEN_READ);
    run(f);
    assert_result(directory, UV_EISDIR);
  }
}

/* It has no bytes that would have to be aligned, or could go past a cache. */
static void directory_is_not_for_direct_io(void** state) {
  struct fixture* f = *state;
  for (int blocking = 0; blocking < 2; blocking++) {
    t_open(blocking ? op_now(&f->tracker) : op_new(&f->tracker), f->engine, &f->other,
           path_of(f, "d"), UVDIO_O_DIRECTORY);
    run(f);
    uvdio_file_info_t info = info_of(&f->other);
    assert_int_equal(info.is_direct, 0);
    assert_int_equal(info.offset_align, 1);
    assert_int_equal(info.memory_align, 1);
    assert_int_equal(info.flags, UVDIO_O_DIRECTORY);
    close_other(f);
  }
}

static void bad_flags_are_refused(void** state) {
  struct fixture* f = *state;
  static const unsigned bad[] = {UVDIO_O_RDWR,
                                 UVDIO_O_WRONLY,
                                 UVDIO_OPEN_RW,
                                 UVDIO_O_EXCLUSIVE,
                                 UVDIO_O_DSYNC,
                                 UVDIO_O_BUFFERED,
                                 UVDIO_O_DIRECT_PREFERRED,
                                 UVDIO_O_NATIVE_ALIGN,
                                 UVDIO_O_LOCK_SHARED,
                                 UVDIO_O_DONTCACHE};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_refused(t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "d"),
                          UVDIO_O_DIRECTORY | bad[i]),
                   UV_EINVAL);
  }
  open_now(f, &f->other, "d", UVDIO_O_DIRECTORY | UVDIO_O_NOFOLLOW);
  close_other(f);
}

static void bad_bases_are_refused(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_file_t closed = {0};
  struct {
    uvdio_file_t* base;
    int error;
  } bad[] = {{&f->file, UV_ENOTDIR}, {&closed, UV_EBADF}};
  assert_refused(t_open_at(op_new(t), NULL, &f->other, "a", UVDIO_OPEN_READ), UV_EINVAL);
  assert_refused(t_open_at(op_new(t), &bases.one, NULL, "a", UVDIO_OPEN_READ), UV_EINVAL);
  assert_refused(t_open_at(op_new(t), &bases.one, &f->other, NULL, UVDIO_OPEN_READ), UV_EINVAL);
  assert_refused(t_open_at(op_new(t), &bases.one, &f->file, "a", UVDIO_OPEN_READ), UV_EBUSY);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    struct target one = {.base = bad[i].base, .path = "a"};
    struct target two = {.base = &bases.one, .path = "a", .new_base = bad[i].base, .new_path = "b"};
    assert_refused(t_open_at(op_new(t), bad[i].base, &f->other, "a", UVDIO_OPEN_READ),
                   bad[i].error);
    assert_refused(t_at(op_new(t), UVDIO_OP_UNLINK, &one), bad[i].error);
    assert_refused(t_at(op_new(t), UVDIO_OP_MKDIR, &one), bad[i].error);
    assert_refused(t_at(op_new(t), UVDIO_OP_RMDIR, &one), bad[i].error);
    assert_refused(t_at(op_new(t), UVDIO_OP_RENAME, &two), bad[i].error);
    assert_refused(t_at(op_new(t), UVDIO_OP_LINK, &two), bad[i].error);
    assert_refused(t_replace_at(op_new(t), &f->file, bad[i].base, "b"), bad[i].error);
    assert_refused(t_link_file(op_new(t), &f->file, bad[i].base, "b"), bad[i].error);
  }
  uvdio_req_t req = {0};
  assert_int_equal(uvdio_unlink_at(NULL, &req, "a", NULL), UV_EINVAL);
  assert_int_equal(uvdio_rename_at(NULL, &req, "a", NULL, "b", 0, NULL), UV_EINVAL);
  assert_int_equal(uvdio_rename_at(&bases.one, &req, "a", NULL, NULL, 0, NULL), UV_EINVAL);
  assert_int_equal(uvdio_rename_at(&bases.one, &req, NULL, NULL, "b", 0, NULL), UV_EINVAL);
  assert_int_equal(uvdio_rename_at(&bases.one, &req, "a", NULL, "b", 2, NULL), UV_EINVAL);
  assert_int_equal(uvdio_link_at(&bases.one, &req, "a", NULL, NULL, NULL), UV_EINVAL);
  assert_int_equal(uvdio_mkdir_at(&bases.one, NULL, "a", 0755, NULL), UV_EINVAL);
}

static void bases_of_two_engines_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_engine_t* engine;
  uvdio_engine_options_t options = {.backend = matrix.backend};
  uvdio_file_t other = {0};
  uvdio_req_t req = {0};
  NOT_ON_MEMORY("names that two engines share");
  assert_ok(uvdio_engine_create(&engine, &f->loop, &options));
  assert_ok(uvdio_open(engine, &other, &req, path_of(f, "e"), UVDIO_O_DIRECTORY, 0, NULL));
  assert_int_equal(uvdio_rename_at(&bases.one, &req, "a", &other, "b", 0, NULL), UV_EINVAL);
  assert_int_equal(uvdio_link_at(&other, &req, "a", &bases.one, "b", NULL), UV_EINVAL);
  assert_int_equal(uvdio_replace_at(&f->file, &req, &other, "b", NULL), UV_EINVAL);
  assert_int_equal(uvdio_link_file_at(&f->file, &req, &other, "b", NULL), UV_EINVAL);
  assert_ok(uvdio_close(&other, &req, NULL));
  assert_ok(uvdio_engine_close(engine, NULL));
  run(f);
}

static void close_of_a_base_waits(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  struct target make = {.base = &bases.one, .path = "x"};
  struct target move = {.base = &bases.one, .path = "x/", .new_base = &bases.two, .new_path = "y"};
  struct tracked_op* op = t_at(op_new(t), UVDIO_OP_MKDIR, &make);
  struct tracked_op* open = t_open_at(op_new(t), &bases.two, &f->other, "a", UVDIO_OPEN_RW);
  struct tracked_op* rename = t_at(op_new(t), UVDIO_OP_RENAME, &move);
  assert_refused(t_close(op_now(t), &bases.one), UV_EBUSY);
  struct tracked_op* one = t_close(op_new(t), &bases.one);
  struct tracked_op* two = t_close(op_new(t), &bases.two);
  assert_refused(t_at(op_new(t), UVDIO_OP_MKDIR, &make), UV_EBADF);
  run(f);
  assert_result(op, 0);
  assert_result(open, 0);
  assert_int_equal(rename->done, 1);
  assert_result(one, 0);
  assert_result(two, 0);
  assert_true(one->order > op->order && one->order > rename->order);
  assert_true(two->order > open->order && two->order > rename->order);
  close_other(f);
}

static void cancel_of_a_base_ends_what_is_relative_to_it(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  struct tracked_op* ops[4];
  struct target make = {.base = &bases.one, .path = "x"};
  struct target move = {.base = &bases.two, .path = "x", .new_base = &bases.one, .new_path = "y"};
  struct target other = {.base = &bases.two, .path = "z"};
  ops[0] = t_at(op_new(t), UVDIO_OP_MKDIR, &make);
  ops[1] = t_at(op_new(t), UVDIO_OP_RENAME, &move);
  ops[2] = t_open_at(op_new(t), &bases.one, &f->other, "a", UVDIO_OPEN_RW);
  ops[3] = t_at(op_new(t), UVDIO_OP_MKDIR, &other);
  assert_ok(uvdio_file_cancel(&bases.one));
  unsigned asked = 0;
  for (unsigned i = 0; i < 3; i++) {
    asked += ops[i]->req.cancelled_ != 0;
  }
  assert_int_equal(asked, 3);
  assert_int_equal(ops[3]->req.cancelled_, 0);
  run(f);
  assert_result(ops[3], 0);
  if (ops[2]->result == 0) {
    close_other(f);
  }
}

/* A replace that waits for a write of its file. */
static void cancel_of_a_base_ends_a_deferred_replace(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_new(t), &f->file, &page, 0);
  struct tracked_op* replace = t_replace_at(op_new(t), &f->file, &bases.one, "in");
  struct tracked_op* other = t_sync_all(op_new(t), &f->file);
  assert_ok(uvdio_file_cancel(&bases.one));
  assert_int_equal(write->req.cancelled_, 0);
  assert_int_equal(replace->req.cancelled_, 1);
  assert_int_equal(other->req.cancelled_, 0);
  run(f);
  assert_result(write, PAGE);
  assert_result(replace, UV_ECANCELED);
  assert_result(other, 0);
  assert_missing(f, "d/in");
}

static void tell_path(const uvdio_request_info_t* info, void* arg) {
  snprintf(arg, FILESYSTEM_PATH_MAX, "%s", info->path);
}

static void walk_tells_the_path(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX] = "";
  struct target make = {.base = &bases.one, .path = "x"};
  struct tracked_op* op = t_at(op_new(&f->tracker), UVDIO_OP_MKDIR, &make);
  assert_ok(uvdio_engine_walk(f->engine, tell_path, path));
  run(f);
  assert_result(op, 0);
  assert_string_equal(path + strlen(path) - 1, "x");
}

static void engine_that_closes_closes_bases(void** state) {
  struct fixture* f = *state;
  struct target make = {.base = &bases.one, .path = "x"};
  struct tracked_op* op = t_at(op_new(&f->tracker), UVDIO_OP_MKDIR, &make);
  end_engine(f);
  assert_result(op, 0);
}

/*
 * Replaces
 */

static void replace_at_finds_the_file_in_its_base(void** state) {
  struct fixture* f = *state;
  make_in(f, &bases.one, "table", 1);
  open_in(f, &bases.one, "table.new", UVDIO_OPEN_CREATE);
  put(f, &f->other, 0, PAGE, 2);
  assert_refused(t_replace(op_new(&f->tracker), &f->other, "table"), UV_EINVAL);
  assert_int_equal(ended(f, t_replace_at(op_new(&f->tracker), &f->other, &bases.two, "table")),
                   UV_ENOENT);
  assert_int_equal(ended(f, t_replace_at(op_new(&f->tracker), &f->other, &bases.one, "table")), 0);
  assert_int_equal(ended(f, t_replace_at(op_new(&f->tracker), &f->other, &bases.one, "table2")), 0);
  close_other(f);
  assert_content(f, "d/table2", 2);
  assert_missing(f, "d/table");
  assert_missing(f, "d/table.new");
}

static void replace_at_moves_a_file_into_a_base(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 7);
  assert_int_equal(ended(f, t_replace_at(op_new(&f->tracker), &f->file, &bases.one, "in")), 0);
  assert_content(f, "d/in", 7);
  assert_missing(f, "file");
  assert_refused(t_replace(op_new(&f->tracker), &f->file, "out"), UV_EINVAL);
  assert_result(t_replace_at(op_now(&f->tracker), &f->file, &bases.one, "in2"), 0);
  assert_content(f, "d/in2", 7);
}

/*
 * Adopting
 */

static void directory_is_adopted(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int fd = open(path_of(f, "d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_result(t_adopt(op_now(&f->tracker), f->engine, &f->other, fd, UVDIO_O_DIRECTORY), 0);
  struct target make = {.base = &f->other, .path = "x"};
  assert_int_equal(at(f, UVDIO_OP_MKDIR, make), 0);
  struct tracked_op* release = t_release(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(release, fd);
  assert_int_equal(unlinkat(fd, "x", AT_REMOVEDIR), 0);
  struct tracked_op* op = t_adopt(op_new(&f->tracker), f->engine, &f->other, fd, UVDIO_OPEN_READ);
  run(f);
  assert_result(op, UV_EISDIR);
  assert_int_equal(close(fd), 0);
  fd = open(path_of(f, "file"), O_RDONLY | O_CLOEXEC);
  op = t_adopt(op_new(&f->tracker), f->engine, &f->other, fd, UVDIO_O_DIRECTORY);
  run(f);
  assert_result(op, UV_ENOTDIR);
  assert_int_equal(close(fd), 0);
}

/*
 * Spellings
 */

/* On every backend a path has many. */
static void dots_and_slashes_lead_to_the_same_file(void** state) {
  struct fixture* f = *state;
  static const char* const same[] = {"a", "./a", ".//a", "././a", ".//.//a"};
  make_in(f, &bases.one, "a", 1);
  for (size_t i = 0; i < COUNT_OF(same); i++) {
    open_in(f, &bases.one, same[i], UVDIO_OPEN_READ);
    assert_holds(f, &f->other, 0, PAGE, 1);
    close_other(f);
  }
  assert_content(f, "d/./a", 1);
  assert_content(f, "./d//a", 1);
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.one, .path = "x/"}), 0);
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.one, .path = "./x"}),
                   UV_EEXIST);
  struct target move = {
      .base = &bases.one, .path = "./a", .new_base = &bases.one, .new_path = "x/.//b"};
  assert_int_equal(at(f, UVDIO_OP_RENAME, move), 0);
  assert_content(f, "d/x/b", 1);
  assert_int_equal(at(f, UVDIO_OP_UNLINK, (struct target){.base = &bases.one, .path = "x//b"}), 0);
  assert_int_equal(at(f, UVDIO_OP_RMDIR, (struct target){.base = &bases.one, .path = ".//x"}), 0);
}

static void empty_path_leads_nowhere(void** state) {
  struct fixture* f = *state;
  assert_result(t_open_at(op_now(&f->tracker), &bases.one, &f->other, "", UVDIO_OPEN_READ),
                UV_ENOENT);
  assert_int_equal(at(f, UVDIO_OP_MKDIR, (struct target){.base = &bases.one, .path = ""}),
                   UV_ENOENT);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(setup, path_is_relative_to_the_base),
      TEST_ON(setup, absolute_path_ignores_the_base),
      TEST_ON(setup, base_can_be_opened_relative_to_a_base),
      TEST_ON(setup, base_moves_with_its_directory),
      TEST_ON(setup, removed_directory_is_no_base),
      TEST_ON(setup, names_are_relative_to_their_bases),
      TEST_ON(setup, one_of_two_bases_may_be_none),
      TEST_ON(setup, flag_of_a_rename_arrives),
      TEST_ON(setup, synchronous_forms_work),
      TEST_ON(setup, directory_has_no_bytes),
      TEST_ON(setup, directory_is_a_file_otherwise),
      TEST_ON(setup, wrong_kinds_are_told),
      TEST_ON(setup, directory_is_not_for_direct_io),
      TEST_ON(setup, bad_flags_are_refused),
      TEST_ON(setup, bad_bases_are_refused),
      TEST_ON(setup, bases_of_two_engines_are_refused),
      TEST_ON(setup, close_of_a_base_waits),
      TEST_ON(setup, cancel_of_a_base_ends_what_is_relative_to_it),
      TEST_ON(setup, cancel_of_a_base_ends_a_deferred_replace),
      TEST_ON(setup, walk_tells_the_path),
      TEST_ON(setup, engine_that_closes_closes_bases),
      TEST_ON(setup, replace_at_finds_the_file_in_its_base),
      TEST_ON(setup, replace_at_moves_a_file_into_a_base),
      TEST_ON(setup, directory_is_adopted),
      TEST_ON(setup, dots_and_slashes_lead_to_the_same_file),
      TEST_ON(setup, empty_path_leads_nowhere),
  };
  return matrix_main("bases", tests, COUNT_OF(tests), argc, argv);
}
