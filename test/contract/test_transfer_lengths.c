/* SPDX-License-Identifier: MIT */
/*
 * Lengths at the edge of what numbers hold, and transfers of more than a system call moves. These
 * take much memory, so that they run in one place.
 */
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"

/* more than a system call moves, or an entry of a ring can ask for */
#define MORE ((size_t)1 << 32)

static _Alignas(4096) char page_bytes[UVDIO_PAGE_SIZE];

static void lengths_no_memory_has_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, PAGE);
  view.cap = (size_t)PTRDIFF_MAX + 1;
  assert_refused(t_read(op_new(&f->tracker), &f->file, &view, 0), UVDIO_EOFFSET);
  assert_refused(t_read(op_now(&f->tracker), &f->file, &view, 0), UVDIO_EOFFSET);
  view.cap = PAGE;
  assert_refused(t_read(op_new(&f->tracker), &f->file, &view, (uint64_t)INT64_MAX + 1),
                 UVDIO_EOFFSET);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &view, (uint64_t)INT64_MAX + 1 - PAGE),
                 UVDIO_EOFFSET);
}

static void length_beyond_the_capacity_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, PAGE);
  view.len = 2 * PAGE;
  assert_refused(t_write(op_new(&f->tracker), &f->file, &view, 0), UVDIO_EOFFSET);
  assert_refused(t_write(op_now(&f->tracker), &f->file, &view, 0), UVDIO_EOFFSET);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &view, 0), UVDIO_EOFFSET);
  assert_size(f, &f->file, 0);
}

/* Of a short file. The second one goes to a file that has been read from. */
static void read_of_more_than_a_call_moves_ends_with_the_file(void** state) {
  struct fixture* f = *state;
  if (uv_get_free_memory() < 2 * (uint64_t)MORE) {
    SKIP("not enough memory for reads of 4 GiB");
  }
  void* memory =
      mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    SKIP("not enough address space");
  }
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t view = uvdio_buf_view_bytes(memory, MORE);
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &view, 0);
    run(f);
    assert_result(read, PAGE);
    assert_true(is_pattern(memory, PAGE, 1));
    assert_true(op_take(read).cap == MORE);
    memset(memory, 0, PAGE);
  }
  munmap(memory, MORE);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, lengths_no_memory_has_are_refused),
      TEST_ON(fixture_open, length_beyond_the_capacity_is_refused),
      TEST_ON(fixture_open, read_of_more_than_a_call_moves_ends_with_the_file),
  };
  return matrix_main("transfer_lengths", tests, COUNT_OF(tests), argc, argv);
}
