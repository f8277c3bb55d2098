/* SPDX-License-Identifier: MIT */
/*
 * Files without a name, and the name that they, or other open files, are given.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

/* Opens f->other in the test's folder. */
static void open_anonymous(struct fixture* f, unsigned flags) {
  struct tracked_op* op =
      t_open(op_new(&f->tracker), f->engine, &f->other, f->dir, UVDIO_O_ANONYMOUS | flags);
  run(f);
  assert_int_equal(op->done, 1);
  if (op->result == UV_ENOTSUP) {
    SKIP("the filesystem has no files without a name");
  }
  assert_result(op, 0);
}

static int64_t link_other(struct fixture* f, const char* name) {
  struct tracked_op* op = t_link_file(op_new(&f->tracker), &f->other, NULL, path_of(f, name));
  run(f);
  assert_int_equal(op->done, 1);
  assert_int_equal(op->req.op, UVDIO_OP_LINK);
  assert_null(op->req.file);
  return op->result;
}

/* Names in the test's folder, of a real filesystem. */
static unsigned names_in(const struct fixture* f) {
  unsigned count = 0;
  DIR* dir = opendir(f->dir);
  assert_non_null(dir);
  for (struct dirent* entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    count += entry->d_name[0] != '.';
  }
  closedir(dir);
  return count;
}

static void it_is_a_file_without_a_name(void** state) {
  struct fixture* f = *state;
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, 2 * PAGE, 1);
  assert_holds(f, &f->other, 0, 2 * PAGE, 1);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->other);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->other, PAGE);
  run(f);
  assert_result(sync, 0);
  assert_result(truncate, 0);
  struct tracked_op* size = t_size(op_now(&f->tracker), &f->other);
  assert_int_equal(size->result, PAGE);
  assert_int_equal(info_of(&f->other).flags, UVDIO_O_ANONYMOUS | UVDIO_O_RDWR);
  if (!on_memory()) {
    assert_int_equal(names_in(f), 1);
    assert_int_equal(t_stat(op_now(&f->tracker), &f->other)->stat.links, 0);
  }
  close_other(f);
}

static void its_mode_arrives(void** state) {
  struct fixture* f = *state;
  struct stat found;
  uvdio_req_t req = {0};
  NOT_ON_MEMORY("modes");
  int error =
      uvdio_open(f->engine, &f->other, &req, f->dir, UVDIO_O_ANONYMOUS | UVDIO_O_RDWR, 0610, NULL);
  if (error == UV_ENOTSUP) {
    SKIP("the filesystem has no files without a name");
  }
  assert_ok(error);
  assert_int_equal(link_other(f, "named"), 0);
  assert_int_equal(stat(path_of(f, "named"), &found), 0);
  assert_int_equal(found.st_mode & 07777, 0610);
}

static void link_gives_it_a_name(void** state) {
  struct fixture* f = *state;
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, PAGE, 1);
  assert_int_equal(link_other(f, "named"), 0);
  assert_content(f, "named", 1);
  put(f, &f->other, 0, PAGE, 2); /* It is the file that is open. */
  assert_content(f, "named", 2);
  close_other(f);
  assert_content(f, "named", 2);
}

static void synchronous_forms_work(void** state) {
  struct fixture* f = *state;
  struct tracked_op* op =
      t_open(op_now(&f->tracker), f->engine, &f->other, f->dir, UVDIO_O_ANONYMOUS | UVDIO_O_WRONLY);
  if (op->result == UV_ENOTSUP) {
    SKIP("the filesystem has no files without a name");
  }
  assert_result(op, 0);
  put(f, &f->other, 0, PAGE, 3);
  assert_result(t_link_file(op_now(&f->tracker), &f->other, NULL, path_of(f, "named")), 0);
  assert_content(f, "named", 3);
}

static void link_replaces_nothing(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, PAGE, 2);
  assert_int_equal(link_other(f, "file"), UV_EEXIST);
  if (!on_memory()) { /* which needs no directories */
    assert_int_equal(link_other(f, "missing/a"), UV_ENOENT);
  }
  assert_int_equal(link_other(f, "file/a"), UV_ENOTDIR);
  assert_int_equal(link_other(f, ""), UV_EEXIST); /* the folder itself */
  assert_content(f, "file", 1);
  assert_int_equal(link_other(f, "named"), 0);
  assert_content(f, "named", 2);
}

static void it_gets_further_names(void** state) {
  struct fixture* f = *state;
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, PAGE, 1);
  assert_int_equal(link_other(f, "a"), 0);
  assert_int_equal(link_other(f, "b"), 0);
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "a")), 0);
  assert_content(f, "b", 1);
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "b")), 0);
  assert_int_equal(link_other(f, "c"), UV_ENOENT); /* It had a name, and has none any more. */
}

static void any_open_file_gets_further_names(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 4);
  struct tracked_op* op = t_link_file(op_new(&f->tracker), &f->file, NULL, path_of(f, "second"));
  run(f);
  assert_result(op, 0);
  assert_content(f, "second", 4);
  assert_result(t_replace(op_now(&f->tracker), &f->file, path_of(f, "third")), 0);
  assert_missing(f, "file"); /* Its path is the one that it was opened by. */
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "second")), 0);
  assert_result(t_unlink(op_now(&f->tracker), f->engine, path_of(f, "third")), 0);
  op = t_link_file(op_new(&f->tracker), &f->file, NULL, path_of(f, "second"));
  run(f);
  assert_result(op, UV_ENOENT);
}

static void link_then_replace(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, PAGE, 2);
  assert_refused(t_replace(op_new(&f->tracker), &f->other, path_of(f, "file")), UV_EINVAL);
  assert_int_equal(link_other(f, "file.new"), 0);
  struct tracked_op* replace = t_replace(op_new(&f->tracker), &f->other, path_of(f, "file"));
  run(f);
  assert_result(replace, 0);
  assert_content(f, "file", 2);
  assert_missing(f, "file.new");
}

static void bases_work(void** state) {
  struct fixture* f = *state;
  uvdio_file_t base = {0};
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "d")), 0);
  open_now(f, &base, "d", UVDIO_O_DIRECTORY);
  struct tracked_op* op =
      t_open_at(op_new(&f->tracker), &base, &f->other, ".", UVDIO_O_ANONYMOUS | UVDIO_O_RDWR);
  run(f);
  if (op->result == UV_ENOTSUP) {
    SKIP("the filesystem has no files without a name");
  }
  assert_result(op, 0);
  put(f, &f->other, 0, PAGE, 1);
  struct tracked_op* link = t_link_file(op_new(&f->tracker), &f->other, &base, "a");
  struct tracked_op* close = t_close(op_new(&f->tracker), &base);
  struct tracked_op* close_file = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(link, 0);
  assert_result(close, 0);
  assert_result(close_file, 0);
  assert_true(close->order > link->order && close_file->order > link->order);
  assert_content(f, "d/a", 1);
}

static void replace_at_follows_the_first_name(void** state) {
  struct fixture* f = *state;
  uvdio_file_t base = {0};
  assert_result(t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "d")), 0);
  open_now(f, &base, "d", UVDIO_O_DIRECTORY);
  open_anonymous(f, UVDIO_O_RDWR);
  put(f, &f->other, 0, PAGE, 1);
  assert_result(t_link_file(op_now(&f->tracker), &f->other, &base, "a"), 0);
  assert_refused(t_replace(op_new(&f->tracker), &f->other, path_of(f, "b")), UV_EINVAL);
  struct tracked_op* op = t_replace_at(op_new(&f->tracker), &f->other, &base, "b");
  run(f);
  assert_result(op, 0);
  assert_content(f, "d/b", 1);
  assert_missing(f, "d/a");
  assert_result(t_close(op_now(&f->tracker), &base), 0);
}

/* Another thread may look at the path, to make one more handle. */
static void file_for_several_handles_keeps_its_path(void** state) {
  struct fixture* f = *state;
  uvdio_file_t copy = {0};
  open_anonymous(f, UVDIO_O_RDWR | UVDIO_O_DUP);
  assert_result(t_link_file(op_now(&f->tracker), &f->other, NULL, path_of(f, "named")), 0);
  assert_refused(t_replace(op_new(&f->tracker), &f->other, path_of(f, "new")), UV_EINVAL);
  assert_ok(uvdio_dup(f->engine, &copy, &f->other));
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
}

static void path_has_to_be_a_directory(void** state) {
  struct fixture* f = *state;
  static const struct {
    const char* name;
    int error;
  } bad[] = {{"file", UV_ENOTDIR}, {"missing", UV_ENOENT}};
  open_anonymous(f, UVDIO_O_RDWR);
  close_other(f);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    struct tracked_op* op = t_open(op_new(&f->tracker), f->engine, &f->other,
                                   path_of(f, bad[i].name), UVDIO_O_ANONYMOUS | UVDIO_O_RDWR);
    run(f);
    assert_result(op, bad[i].error);
  }
}

static void bad_arguments_are_refused(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  static const unsigned bad[] = {0,
                                 UVDIO_OPEN_RW,
                                 UVDIO_O_RDWR | UVDIO_O_EXCLUSIVE,
                                 UVDIO_O_RDWR | UVDIO_O_TRUNCATE,
                                 UVDIO_O_RDWR | UVDIO_O_NOFOLLOW,
                                 UVDIO_O_DIRECTORY};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_refused(t_open(op_new(t), f->engine, &f->other, f->dir, UVDIO_O_ANONYMOUS | bad[i]),
                   UV_EINVAL);
  }
  assert_refused(t_link_file(op_new(t), &f->file, NULL, NULL), UV_EINVAL);
  assert_refused(t_link_file(op_new(t), &f->other, NULL, "a"), UV_EBADF);
  uvdio_req_t req = {0};
  assert_int_equal(uvdio_link_file(NULL, &req, "a", NULL), UV_EINVAL);
  assert_int_equal(uvdio_link_file(&f->file, NULL, "a", NULL), UV_EINVAL);
}

static void engine_that_closes_lets_it_vanish(void** state) {
  struct fixture* f = *state;
  open_anonymous(f, UVDIO_O_RDWR);
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &page, 0);
  end_engine(f);
  assert_result(write, PAGE);
  if (!on_memory()) {
    assert_int_equal(names_in(f), 1);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, it_is_a_file_without_a_name),
      TEST_ON(fixture_open, its_mode_arrives),
      TEST_ON(fixture_open, link_gives_it_a_name),
      TEST_ON(fixture_open, synchronous_forms_work),
      TEST_ON(fixture_open, link_replaces_nothing),
      TEST_ON(fixture_open, it_gets_further_names),
      TEST_ON(fixture_open, any_open_file_gets_further_names),
      TEST_ON(fixture_open, link_then_replace),
      TEST_ON(fixture_open, bases_work),
      TEST_ON(fixture_open, replace_at_follows_the_first_name),
      TEST_ON(fixture_open, file_for_several_handles_keeps_its_path),
      TEST_ON(fixture_open, path_has_to_be_a_directory),
      TEST_ON(fixture_open, bad_arguments_are_refused),
      TEST_ON(fixture_open, engine_that_closes_lets_it_vanish),
  };
  return matrix_main("anonymous", tests, COUNT_OF(tests), argc, argv);
}
