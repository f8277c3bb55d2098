/* SPDX-License-Identifier: MIT */
/*
 * A filesystem may take the flag for direct I/O and still not do it: it says so by an alignment of
 * zero (statx(2), STATX_DIOALIGN; ext4 does for files whose content goes through its journal). Here
 * statx(2) says so.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

#define MASK_AT 0
#define ALIGN_AT 152
#define READ_ALIGN_AT 180
#define HAS_ALIGN 0x2000u
#define HAS_READ_ALIGN 0x20000u

static struct {
  unsigned memory;
  unsigned offset;
  unsigned read; /* 0: not known */
  int is_known;
} answer;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* Tells what is known of what was asked for. */
static void put_answer(char* stat, unsigned asked) {
  unsigned known = (answer.is_known ? HAS_ALIGN : 0) | (answer.read != 0 ? HAS_READ_ALIGN : 0);
  unsigned mask;
  memcpy(&mask, stat + MASK_AT, sizeof(mask));
  mask &= ~(HAS_ALIGN | HAS_READ_ALIGN);
  mask |= known & asked;
  memcpy(stat + MASK_AT, &mask, sizeof(mask));
  memcpy(stat + ALIGN_AT, &answer, 2 * sizeof(unsigned));
  memcpy(stat + READ_ALIGN_AT, &answer.read, sizeof(answer.read));
}

/* Arguments that were not passed are read as well and mean nothing, as in the C library. */
long __wrap_syscall(long number, ...) {
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (size_t i = 0; i < COUNT_OF(a); i++) {
    a[i] = va_arg(arguments, long);
  }
  va_end(arguments);
  long result = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_statx && result == 0) {
    put_answer((char*)(uintptr_t)a[4], (unsigned)a[3]);
  }
  return result;
}

static void answer_with(unsigned memory, unsigned offset, int is_known) {
  answer.memory = memory;
  answer.offset = offset;
  answer.read = 0;
  answer.is_known = is_known;
}

static struct tracked_op* open_other(struct fixture* f, unsigned flags) {
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), flags);
  run(f);
  return open;
}

static void either_zero_is_a_refusal(void** state) {
  struct fixture* f = *state;
  const unsigned zeros[][2] = {{0, 0}, {0, 4096}, {4096, 0}};
  for (size_t i = 0; i < COUNT_OF(zeros); i++) {
    answer_with(zeros[i][0], zeros[i][1], 1);
    assert_result(open_other(f, UVDIO_OPEN_RW), UVDIO_ENODIRECT);
    assert_result(open_other(f, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED), 0);
    uvdio_file_info_t info = info_of(&f->other);
    assert_int_equal(info.is_direct, 0);
    assert_int_equal(info.system_memory_align, 0);
    assert_int_equal(info.system_offset_align, 0);
    assert_int_equal(info.system_read_align, 0);
    assert_int_equal(info.recommended_align, 0);
    put(f, &f->other, 0, 3 * PAGE, 1);
    assert_holds(f, &f->other, 0, 3 * PAGE, 1);
    close_other(f);
  }
}

static void silence_is_no_refusal(void** state) {
  struct fixture* f = *state;
  answer_with(0, 0, 0);
  assert_result(open_other(f, UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN), 0);
  uvdio_file_info_t info = info_of(&f->other);
  assert_int_equal(info.is_direct, 1);
  assert_int_equal(info.align_source, UVDIO_ALIGN_DEFAULT);
  assert_int_equal(info.memory_align, UVDIO_ALIGNMENT);
  assert_int_equal(info.offset_align, UVDIO_ALIGNMENT);
  close_other(f);
}

/* Memory and offsets need not ask for the same, and may ask for more than a page. */
static void each_alignment_is_enforced_by_itself(void** state) {
  struct fixture* f = *state;
  answer_with(512, 16384, 1);
  assert_result(open_other(f, UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN), 0);
  uvdio_file_info_t info = info_of(&f->other);
  assert_int_equal(info.memory_align, 512);
  assert_int_equal(info.offset_align, 16384);
  assert_int_equal(info.system_read_align, 16384);
  assert_int_equal(info.recommended_align, 16384);
  assert_int_equal(info.align_source, UVDIO_ALIGN_STATX);
  close_other(f);
  assert_result(open_other(f, UVDIO_OPEN_RW), 0);
  info = info_of(&f->other);
  assert_int_equal(info.memory_align, UVDIO_ALIGNMENT);
  assert_int_equal(info.offset_align, 16384);
  uvdio_buf_t page = filled(PAGE, 1);
  assert_refused(t_write(op_new(&f->tracker), &f->other, &page, 0), UVDIO_EALIGN);
  assert_ok(uvdio_buf_release(&page));
  put(f, &f->other, 0, 16384, 1);
  close_other(f);
}

/* Where a transfer of several buffers goes on is memory of some buffer, at a place that the lengths
 * before it give. */
static void lengths_of_several_buffers_keep_to_both(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t bufs[2] = {filled(PAGE, 1), filled(PAGE, 2)};
  answer_with(4096, 512, 1);
  assert_result(open_other(f, UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN), 0);
  bufs[0].len = 512;
  assert_refused(t_writev(op_new(&f->tracker), &f->other, bufs, 2, 0), UVDIO_EALIGN);
  struct tracked_op* alone = t_writev(op_new(&f->tracker), &f->other, bufs, 1, 0);
  run(f);
  assert_result(alone, 512);
  assert_ok(uvdio_buf_release(&bufs[1]));
  close_other(f);
}

/* What a filesystem recommends and what it requires is known of XFS only: elsewhere what it says
 * for writes holds for all. */
static void reads_may_require_less(void** state) {
  struct fixture* f = *state;
  answer_with(512, 16384, 1);
  answer.read = 512;
  assert_result(open_other(f, UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN), 0);
  uvdio_file_info_t info = info_of(&f->other);
  unsigned required = strcmp(info.filesystem, "xfs") == 0 ? 512 : 16384;
  assert_int_equal(info.offset_align, required);
  assert_int_equal(info.system_offset_align, required);
  assert_int_equal(info.system_read_align, 512);
  assert_int_equal(info.recommended_align, 16384);
  close_other(f);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_engine, either_zero_is_a_refusal),
      TEST_ON(fixture_engine, silence_is_no_refusal),
      TEST_ON(fixture_engine, each_alignment_is_enforced_by_itself),
      TEST_ON(fixture_engine, lengths_of_several_buffers_keep_to_both),
      TEST_ON(fixture_engine, reads_may_require_less),
  };
  return matrix_main("no_direct", tests, COUNT_OF(tests), argc, argv);
}
