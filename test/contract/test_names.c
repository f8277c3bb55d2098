/* SPDX-License-Identifier: MIT */
/*
 * Names: rename, link, unlink, directories, and the replacement of a name by an open file.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "fixture.h"
#include "ops.h"

static void make_file(struct fixture* f, const char* name, unsigned seed) {
  uvdio_file_t file = {0};
  open_now(f, &file, name, UVDIO_OPEN_CREATE);
  put(f, &file, 0, PAGE, seed);
  assert_result(t_close(op_now(&f->tracker), &file), 0);
}

/* Asynchronously, and by itself. */
static int64_t ended(struct fixture* f, struct tracked_op* op) {
  assert_accepted(op);
  assert_int_equal(op->done, 0);
  run(f);
  assert_int_equal(op->done, 1);
  assert_null(op->req.file);
  return op->result;
}

static int64_t rename_it(struct fixture* f, const char* from, const char* to, unsigned flags) {
  return ended(f,
               t_rename(op_new(&f->tracker), f->engine, path_of(f, from), path_of(f, to), flags));
}

static int64_t link_it(struct fixture* f, const char* from, const char* to) {
  return ended(f, t_link(op_new(&f->tracker), f->engine, path_of(f, from), path_of(f, to)));
}

static int64_t unlink_it(struct fixture* f, const char* name) {
  return ended(f, t_unlink(op_new(&f->tracker), f->engine, path_of(f, name)));
}

static int64_t mkdir_it(struct fixture* f, const char* name) {
  return ended(f, t_mkdir(op_new(&f->tracker), f->engine, path_of(f, name)));
}

static int64_t rmdir_it(struct fixture* f, const char* name) {
  return ended(f, t_rmdir(op_new(&f->tracker), f->engine, path_of(f, name)));
}

static int64_t sync_it(struct fixture* f, const char* name) {
  return ended(f, t_sync_directory(op_new(&f->tracker), f->engine, path_of(f, name)));
}

static void rename_moves_a_name(void** state) {
  struct fixture* f = *state;
  make_file(f, "a", 1);
  assert_int_equal(rename_it(f, "a", "b", 0), 0);
  assert_missing(f, "a");
  assert_content(f, "b", 1);
}

static void rename_replaces_what_is_there(void** state) {
  struct fixture* f = *state;
  make_file(f, "a", 1);
  make_file(f, "b", 2);
  assert_int_equal(rename_it(f, "a", "b", 0), 0);
  assert_missing(f, "a");
  assert_content(f, "b", 1);
}

static void rename_keeps_what_is_there_where_asked(void** state) {
  struct fixture* f = *state;
  make_file(f, "a", 1);
  make_file(f, "b", 2);
  int64_t result = rename_it(f, "a", "b", UVDIO_RENAME_NO_REPLACE);
  if (result == UV_EINVAL || result == UV_ENOSYS || result == UV_ENOTSUP) {
    SKIP("the filesystem can't rename without replacing");
  }
  assert_int_equal(result, UV_EEXIST);
  assert_content(f, "a", 1);
  assert_content(f, "b", 2);
  assert_int_equal(rename_it(f, "a", "c", UVDIO_RENAME_NO_REPLACE), 0);
  assert_missing(f, "a");
  assert_content(f, "c", 1);
}

static void link_gives_a_second_name(void** state) {
  struct fixture* f = *state;
  make_file(f, "a", 1);
  assert_int_equal(link_it(f, "a", "b"), 0);
  assert_content(f, "b", 1);
  assert_int_equal(link_it(f, "a", "b"), UV_EEXIST);
  assert_int_equal(rename_it(f, "a", "b", 0), 0); /* They are one file: nothing is done. */
  assert_content(f, "a", 1);
  assert_int_equal(unlink_it(f, "a"), 0);
  assert_missing(f, "a");
  assert_content(f, "b", 1);
}

static void unlinked_file_stays_open(void** state) {
  struct fixture* f = *state;
  NEEDS("open names");
  put(f, &f->file, 0, PAGE, 1);
  assert_int_equal(unlink_it(f, "file"), 0);
  assert_holds(f, &f->file, 0, PAGE, 1);
  put(f, &f->file, PAGE, PAGE, 2);
  assert_holds(f, &f->file, PAGE, PAGE, 2);
  make_file(f, "file", 3);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_content(f, "file", 3);
}

static void replaced_file_stays_open(void** state) {
  struct fixture* f = *state;
  NEEDS("open names");
  put(f, &f->file, 0, PAGE, 1);
  make_file(f, "new", 2);
  assert_int_equal(rename_it(f, "new", "file", 0), 0);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_content(f, "file", 2);
}

static void directories_come_and_go(void** state) {
  struct fixture* f = *state;
  assert_int_equal(mkdir_it(f, "d"), 0);
  assert_int_equal(mkdir_it(f, "d"), UV_EEXIST);
  make_file(f, "d/a", 1);
  assert_int_equal(rmdir_it(f, "d"), UV_ENOTEMPTY);
  assert_int_equal(sync_it(f, "d"), where_provided("sync_directory", 0));
  assert_int_equal(rename_it(f, "d/a", "a", 0), 0);
  assert_content(f, "a", 1);
  assert_int_equal(rmdir_it(f, "d"), 0);
  assert_int_equal(rmdir_it(f, "d"), UV_ENOENT);
  assert_int_equal(sync_it(f, "d"), where_provided("sync_directory", UV_ENOENT));
}

static void missing_names_are_told(void** state) {
  struct fixture* f = *state;
  assert_int_equal(rename_it(f, "none", "new", 0), UV_ENOENT);
  assert_int_equal(link_it(f, "none", "new"), UV_ENOENT);
  assert_int_equal(unlink_it(f, "none"), UV_ENOENT);
  assert_int_equal(rmdir_it(f, "none"), UV_ENOENT);
  assert_int_equal(sync_it(f, "none"), where_provided("sync_directory", UV_ENOENT));
  assert_missing(f, "new");
}

static void files_and_directories_are_told_apart(void** state) {
  struct fixture* f = *state;
  assert_int_equal(mkdir_it(f, "d"), 0);
  assert_int_equal(mkdir_it(f, "file"), UV_EEXIST);
  assert_int_equal(unlink_it(f, "d"), UV_EISDIR);
  assert_int_equal(rmdir_it(f, "file"), UV_ENOTDIR);
  assert_int_equal(sync_it(f, "file"), where_provided("sync_directory", UV_ENOTDIR));
  assert_int_equal(rename_it(f, "file", "d", 0), UV_EISDIR);
  assert_int_equal(link_it(f, "d", "e"), UV_EPERM);
  assert_int_equal(link_it(f, "file", "d"), UV_EEXIST);
  assert_int_equal(mkdir_it(f, "file/x"), UV_ENOTDIR);
  assert_int_equal(unlink_it(f, "file/x"), UV_ENOTDIR);
  assert_int_equal(rmdir_it(f, "d"), 0);
}

/* Whether or not the open may create a file there. */
static void directory_is_opened_as_no_file(void** state) {
  static const unsigned flags[] = {UVDIO_OPEN_READ, UVDIO_O_RDWR, UVDIO_OPEN_RW, UVDIO_OPEN_CREATE};
  struct fixture* f = *state;
  assert_int_equal(mkdir_it(f, "d"), 0);
  for (size_t i = 0; i < 2 * COUNT_OF(flags); i++) {
    struct tracked_op* op = i % 2 == 0 ? op_new(&f->tracker) : op_now(&f->tracker);
    t_open(op, f->engine, &f->other, path_of(f, "d"), flags[i / 2]);
    run(f);
    assert_result(op, UV_EISDIR);
  }
  assert_int_equal(rmdir_it(f, "d"), 0);
}

static void mode_of_a_directory_arrives(void** state) {
  struct fixture* f = *state;
  NEEDS("modes");
  NOT_ON_MEMORY("modes");
  struct stat found;
  uvdio_req_t req = {0};
  assert_ok(uvdio_mkdir(f->engine, &req, path_of(f, "d"), 0710, NULL));
  assert_int_equal(stat(path_of(f, "d"), &found), 0);
  assert_int_equal(found.st_mode & 07777, 0710);
  assert_int_equal(mkdir_it(f, "e"), 0); /* 0755 */
  assert_int_equal(stat(path_of(f, "e"), &found), 0);
  assert_int_equal(found.st_mode & 07777, 0755);
}

static void many_run_at_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[64];
  char name[16];
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    snprintf(name, sizeof(name), "d%u", i);
    ops[i] = t_mkdir(op_new(&f->tracker), f->engine, path_of(f, name));
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    snprintf(name, sizeof(name), "d%u", i);
    assert_result(ops[i], 0);
    ops[i] = t_rmdir(op_new(&f->tracker), f->engine, path_of(f, name));
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    assert_result(ops[i], 0);
  }
}

static void engine_that_closes_waits(void** state) {
  struct fixture* f = *state;
  struct tracked_op* mkdir = t_mkdir(op_new(&f->tracker), f->engine, path_of(f, "d"));
  struct tracked_op* rename =
      t_rename(op_new(&f->tracker), f->engine, path_of(f, "file"), path_of(f, "new"), 0);
  end_engine(f);
  assert_result(mkdir, 0);
  assert_result(rename, 0);
}

static void tell_path(const uvdio_request_info_t* info, void* arg) {
  if (info->op == UVDIO_OP_UNLINK) {
    snprintf(arg, FILESYSTEM_PATH_MAX, "%s", info->path);
  }
}

static void walk_tells_the_path(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX] = "";
  struct tracked_op* unlink = t_unlink(op_new(&f->tracker), f->engine, path_of(f, "file"));
  assert_ok(uvdio_engine_walk(f->engine, tell_path, path));
  run(f);
  assert_result(unlink, 0);
  assert_string_equal(path, path_of(f, "file"));
}

static void bad_arguments_are_refused(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = blocking ? op_now(t) : op_new(t);
    assert_refused(t_rename(op, NULL, "a", "b", 0), UV_EINVAL);
    assert_refused(t_rename(op, f->engine, NULL, "b", 0), UV_EINVAL);
    assert_refused(t_rename(op, f->engine, "a", NULL, 0), UV_EINVAL);
    assert_refused(t_rename(op, f->engine, "a", "b", 2), UV_EINVAL);
    assert_refused(t_link(op, NULL, "a", "b"), UV_EINVAL);
    assert_refused(t_link(op, f->engine, NULL, "b"), UV_EINVAL);
    assert_refused(t_link(op, f->engine, "a", NULL), UV_EINVAL);
    assert_refused(t_unlink(op, NULL, "a"), UV_EINVAL);
    assert_refused(t_unlink(op, f->engine, NULL), UV_EINVAL);
    assert_refused(t_mkdir(op, NULL, "a"), UV_EINVAL);
    assert_refused(t_mkdir(op, f->engine, NULL), UV_EINVAL);
    assert_refused(t_rmdir(op, NULL, "a"), UV_EINVAL);
    assert_refused(t_rmdir(op, f->engine, NULL), UV_EINVAL);
    assert_refused(t_sync_directory(op, NULL, "a"), UV_EINVAL);
    assert_refused(t_sync_directory(op, f->engine, NULL), UV_EINVAL);
    assert_refused(t_replace(op, &f->file, NULL), UV_EINVAL);
  }
}

static void empty_paths_lead_nowhere(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  assert_result(t_unlink(op_now(t), f->engine, ""), UV_ENOENT);
  assert_result(t_rmdir(op_now(t), f->engine, ""), UV_ENOENT);
  assert_result(t_mkdir(op_now(t), f->engine, ""), UV_ENOENT);
  assert_result(t_sync_directory(op_now(t), f->engine, ""),
                where_provided("sync_directory", UV_ENOENT));
  assert_result(t_rename(op_now(t), f->engine, path_of(f, "file"), "", 0), UV_ENOENT);
  assert_result(t_link(op_now(t), f->engine, "", path_of(f, "new")), UV_ENOENT);
  assert_result(t_replace(op_now(t), &f->file, ""), where_provided("replace", UV_ENOENT));
}

/*
 * Replacing.
 */

static int64_t replace_it(struct fixture* f, uvdio_file_t* file, const char* name) {
  struct tracked_op* op = t_replace(op_new(&f->tracker), file, path_of(f, name));
  run(f);
  assert_int_equal(op->done, 1);
  assert_ptr_equal(op->req.file, file);
  return op->result;
}

static void replace_gives_the_file_the_name(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  make_file(f, "table", 1);
  open_now(f, &f->other, "table.new", UVDIO_OPEN_CREATE);
  put(f, &f->other, 0, PAGE, 2);
  assert_int_equal(replace_it(f, &f->other, "table"), 0);
  assert_missing(f, "table.new");
  assert_content(f, "table", 2);
  put(f, &f->other, 0, PAGE, 3); /* It is the file that is open. */
  assert_content(f, "table", 3);
}

static void replaced_file_can_be_replaced_again(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  put(f, &f->file, 0, PAGE, 1);
  assert_int_equal(replace_it(f, &f->file, "a"), 0);
  assert_int_equal(replace_it(f, &f->file, "b"), 0);
  assert_int_equal(replace_it(f, &f->file, "b"), 0);
  assert_missing(f, "file");
  assert_missing(f, "a");
  assert_content(f, "b", 1);
}

static void replaces_in_a_row_follow_the_name(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* first = t_replace(op_new(&f->tracker), &f->file, path_of(f, "a"));
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(first, 0);
  assert_result(sync, 0);
  assert_content(f, "a", 1);
}

static void replace_waits_for_changes(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  uvdio_buf_t page = filled(PAGE, 5);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &page, 0);
  struct tracked_op* refused = t_replace(op_now(&f->tracker), &f->file, path_of(f, "new"));
  struct tracked_op* replace = t_replace(op_new(&f->tracker), &f->file, path_of(f, "new"));
  assert_refused(refused, UV_EBUSY);
  run(f);
  assert_result(write, PAGE);
  assert_result(replace, 0);
  assert_true(replace->order > write->order);
  assert_content(f, "new", 5);
}

static void replace_needs_the_file_at_its_path(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  put(f, &f->file, 0, PAGE, 1);
  make_file(f, "new", 2);
  make_file(f, "another", 3);
  assert_int_equal(rename_it(f, "another", "file", 0), 0);
  assert_int_equal(replace_it(f, &f->file, "new"), UV_ENOENT);
  assert_content(f, "new", 2);
  assert_content(f, "file", 3);
  assert_int_equal(unlink_it(f, "file"), 0);
  assert_int_equal(replace_it(f, &f->file, "new"), UV_ENOENT);
  assert_content(f, "new", 2);
}

/* An error of names latches nothing. */
static void replace_that_fails_leaves_the_file_usable(void** state) {
  struct fixture* f = *state;
  NEEDS("replace");
  assert_int_equal(mkdir_it(f, "d"), 0);
  assert_int_equal(replace_it(f, &f->file, "d"), UV_EISDIR);
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_int_equal(replace_it(f, &f->file, "new"), 0);
  assert_content(f, "new", 1);
}

/* A name that ends with a slash is a directory's, also where there is none. */
static void file_gets_no_directorys_name(void** state) {
  struct fixture* f = *state;
  char path[FILESYSTEM_PATH_MAX + 8];
  snprintf(path, sizeof(path), "%s/", path_of(f, "missing"));
  struct tracked_op* rename = t_rename(op_new(&f->tracker), f->engine, path_of(f, "file"), path, 0);
  struct tracked_op* link = t_link(op_new(&f->tracker), f->engine, path_of(f, "file"), path);
  struct tracked_op* replace = t_replace(op_new(&f->tracker), &f->file, path);
  run(f);
  assert_result(rename, UV_ENOTDIR);
  assert_result(link, UV_ENOENT);
  assert_result(replace, where_provided("replace", UV_ENOTDIR));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, rename_moves_a_name),
      TEST_ON(fixture_open, rename_replaces_what_is_there),
      TEST_ON(fixture_open, rename_keeps_what_is_there_where_asked),
      TEST_ON(fixture_open, link_gives_a_second_name),
      TEST_ON(fixture_open, unlinked_file_stays_open),
      TEST_ON(fixture_open, replaced_file_stays_open),
      TEST_ON(fixture_open, directories_come_and_go),
      TEST_ON(fixture_open, missing_names_are_told),
      TEST_ON(fixture_open, files_and_directories_are_told_apart),
      TEST_ON(fixture_open, directory_is_opened_as_no_file),
      TEST_ON(fixture_open, mode_of_a_directory_arrives),
      TEST_ON(fixture_open, many_run_at_once),
      TEST_ON(fixture_open_at_depth_1, many_run_at_once),
      TEST_ON(fixture_open, engine_that_closes_waits),
      TEST_ON(fixture_open, walk_tells_the_path),
      TEST_ON(fixture_open, bad_arguments_are_refused),
      TEST_ON(fixture_open, empty_paths_lead_nowhere),
      TEST_ON(fixture_open, replace_gives_the_file_the_name),
      TEST_ON(fixture_open, replaced_file_can_be_replaced_again),
      TEST_ON(fixture_open, replaces_in_a_row_follow_the_name),
      TEST_ON(fixture_open, replace_waits_for_changes),
      TEST_ON(fixture_open, replace_needs_the_file_at_its_path),
      TEST_ON(fixture_open, replace_that_fails_leaves_the_file_usable),
      TEST_ON(fixture_open, file_gets_no_directorys_name),
  };
  return matrix_main("names", tests, COUNT_OF(tests), argc, argv);
}
