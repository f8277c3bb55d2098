/* SPDX-License-Identifier: MIT */
/*
 * Files that the ring knows by number: the table they are in grows, and gives out again what comes
 * free. A file that is closed is really closed, though the table is a reference to it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "memory.h"
#include "ops.h"

static void files_get_slots_with_their_first_transfer(void** state) {
  struct fixture* f = *state;
  assert_false(info_of(&f->file).is_registered);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  run(f);
  assert_result(write, PAGE);
  if (!info_of(&f->file).is_registered) {
    SKIP("this kernel or backend keeps no table of files");
  }
}

/* A lease for writing is given only where nobody else has the file open (fcntl(2)). */
static int is_open_elsewhere(const char* path) {
  int descriptor = open(path, O_RDWR | O_CLOEXEC);
  assert_true(descriptor >= 0);
  int refused = fcntl(descriptor, F_SETLEASE, F_WRLCK) != 0;
  close(descriptor);
  return refused;
}

static void closed_file_is_closed(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_new(&f->tracker), &f->file, &page, 0);
  run(f);
  assert_true(is_open_elsewhere(path_of(f, "file")));
  t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_false(is_open_elsewhere(path_of(f, "file")));
  open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  assert_holds(f, &f->file, 0, PAGE, 1);
  page = filled(PAGE, 2);
  t_write(op_new(&f->tracker), &f->file, &page, 0);
  run(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_false(is_open_elsewhere(path_of(f, "file")));
}

static struct tracked_op* change_or_read(struct fixture* f, unsigned which) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t page = which == 0 ? filled(PAGE, 2) : which == 1 ? blank(PAGE) : (uvdio_buf_t){0};
  switch (which) {
    case 0:
      return t_write(op, &f->file, &page, 0);
    case 1:
      return t_read(op, &f->file, &page, 0);
    case 2:
      return t_sync_data(op, &f->file);
    case 3:
      return t_sync_all(op, &f->file);
    case 4:
      return t_truncate(op, &f->file, 2 * PAGE);
    case 5:
      return t_stat(op, &f->file);
    case 6:
      return t_punch_hole(op, &f->file, 0, PAGE);
    case 7:
      return t_zero_range(op, &f->file, 0, PAGE);
    case 8:
      return t_next_hole(op, &f->file, 0);
    default:
      return t_preallocate(op, &f->file, 2 * PAGE);
  }
}

/* A close that waits for what came before it gives the slot back as one does that waits for
 * nothing. */
static void file_that_is_closed_behind_something_is_closed(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned which = 0; which < 9; which++) {
    uvdio_buf_t page = filled(PAGE, 1);
    /* gives the file its slot */
    struct tracked_op* first = t_write(op_new(&f->tracker), &f->file, &page, 0);
    run(f);
    struct tracked_op* op = change_or_read(f, which);
    struct tracked_op* closing = t_close(op_new(&f->tracker), &f->file);
    run(f);
    assert_result(first, PAGE);
    assert_true(op->result >= 0);
    assert_result(closing, 0);
    assert_false(is_open_elsewhere(path_of(f, "file")));
    open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  }
}

/* Its slot is given up before the descriptor, and not only when its close has ended. */
static void file_that_is_being_closed_is_not_registered(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &page, 0);
  run(f);
  assert_result(write, PAGE);
  struct tracked_op* closing = t_close(op_new(&f->tracker), &f->file);
  assert_int_equal(info_of(&f->file).is_registered, 0);
  run(f);
  assert_result(closing, 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
}

#define FILES 200 /* the table begins with 64 slots */

static void table_grows_with_the_files(void** state) {
  struct fixture* f = *state;
  static uvdio_file_t files[FILES];
  static struct tracked_op* writes[FILES];
  char name[32];
  memset(files, 0, sizeof(files));
  for (unsigned i = 0; i < FILES; i++) {
    snprintf(name, sizeof(name), "file%u", i);
    open_now(f, &files[i], name, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  }
  for (unsigned i = 0; i < FILES; i++) {
    writes[i] = write_page_of(f, &files[i], 0, i);
  }
  run(f);
  unsigned with_slot = 0;
  for (unsigned i = 0; i < FILES; i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &files[i], 0, PAGE, i);
    struct tracked_op* read = read_page_of(f, &files[i], 0);
    run(f);
    assert_result(read, PAGE);
    assert_true(is_pattern(read->back.base, PAGE, i));
    with_slot += (unsigned)info_of(&files[i]).is_registered;
    op_free(read);
  }
  assert_true(with_slot == 0 || with_slot == FILES);
  for (unsigned i = 0; i < FILES; i++) {
    t_close(i % 2 == 0 ? op_new(&f->tracker) : op_now(&f->tracker), &files[i]);
  }
  run(f);
}

/* As many as the table begins with. */
static uvdio_file_t table[64];

static void open_one(struct fixture* f, unsigned which) {
  char name[32];
  snprintf(name, sizeof(name), "file%u", which);
  open_now(f, &table[which], name, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
}

static void fill_a_table(struct fixture* f) {
  memset(table, 0, sizeof(table));
  for (unsigned i = 0; i < COUNT_OF(table); i++) {
    open_one(f, i);
    write_page_of(f, &table[i], 0, i);
    run(f);
  }
}

static void give_a_slot_out_again(struct fixture* f, unsigned which) {
  int is_registered = info_of(&table[which]).is_registered;
  assert_result(t_close(op_now(&f->tracker), &table[which]), 0);
  open_one(f, which);
  struct tracked_op* read = read_page_of(f, &table[which], 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, which));
  assert_int_equal(info_of(&table[which]).is_registered, is_registered);
}

static void close_the_files(struct fixture* f) {
  for (unsigned i = 0; i < COUNT_OF(table); i++) {
    assert_result(t_close(op_now(&f->tracker), &table[i]), 0);
  }
}

/* The first slot to be given out again lies in the middle of the table. */
static void slots_are_given_out_again(void** state) {
  fill_a_table(*state);
  for (unsigned which = 20; which < 23; which++) {
    give_a_slot_out_again(*state, which);
  }
  close_the_files(*state);
}

/* Memory with bytes behind it that look like free slots, for a search that goes too far. */
#define BEHIND 64u

static void* allocate(void* context, size_t size, size_t alignment, int zeroed) {
  char* memory = plain_allocate(context, size + BEHIND, alignment, zeroed);
  if (memory != NULL) {
    memset(memory + size, 0xff, BEHIND);
  }
  return memory;
}

static void release(void* context, void* memory, size_t size, size_t alignment) {
  plain_release(context, memory, size + BEHIND, alignment);
}

static int open_with_memory_behind(void** state) {
  const uvdio_allocator_t allocator = {NULL, allocate, release};
  return uvdio_set_allocator(&allocator) != 0 ? -1 : fixture_open(state);
}

static int tear_down_with_memory_behind(void** state) {
  int failed = fixture_tear_down(state);
  return uvdio_set_allocator(NULL) != 0 || failed;
}

/* Behind the one that was given out last everything is taken up to the end of the table, so that
 * the search goes on at its beginning. */
static void search_for_a_slot_begins_again_at_the_front(void** state) {
  fill_a_table(*state);
  give_a_slot_out_again(*state, 40);
  give_a_slot_out_again(*state, 10);
  close_the_files(*state);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, files_get_slots_with_their_first_transfer),
      TEST_ON(fixture_open, closed_file_is_closed),
      TEST_ON(fixture_open, file_that_is_closed_behind_something_is_closed),
      TEST_ON(fixture_open, file_that_is_being_closed_is_not_registered),
      TEST_ON(fixture_open, table_grows_with_the_files),
      TEST_ON(fixture_open, slots_are_given_out_again),
      cmocka_unit_test_setup_teardown(search_for_a_slot_begins_again_at_the_front,
                                      open_with_memory_behind, tear_down_with_memory_behind),
  };
  return matrix_main("registered_files", tests, COUNT_OF(tests), argc, argv);
}
