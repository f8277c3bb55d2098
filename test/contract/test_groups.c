/* SPDX-License-Identifier: MIT */
/*
 * Groups: a result for each member, one callback for all, and members that become one request. Here
 * members are compared with what single reads and writes would have done.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "random.h"
#include "uvdio/group.h"

#define MANY 40u

/* What the callbacks note. */
struct note {
  unsigned members;
  unsigned groups;
  unsigned members_before; /* the group's callback: it is the last */
};

static uvdio_member_t members[MANY];
static uvdio_group_t group;
static struct note noted;

static void on_member(uvdio_member_t* member) {
  noted.members++;
  noted.groups += member->data != member ? 100 : 0;
}

static void on_group(uvdio_group_t* ended) {
  noted.groups++;
  noted.groups += ended->data != &group ? 100 : 0;
  noted.members_before = noted.members;
}

static void clear(void) {
  memset(members, 0, sizeof(members));
  memset(&noted, 0, sizeof(noted));
  memset(&group, 0, sizeof(group));
  group.data = &group;
}

static void set(unsigned i, uvdio_op_t op, uvdio_file_t* file, uint64_t offset, uvdio_buf_t buf) {
  members[i].op = op;
  members[i].file = file;
  members[i].offset = offset;
  members[i].buf = buf;
  members[i].data = &members[i];
}

static void release(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(uvdio_buf_release(&members[i].buf));
  }
}

/* The tracker knows nothing of groups, but counts requests. */
static void count_requests(struct fixture* f, unsigned count) {
  f->tracker.accepted += count;
  f->tracker.finished += count;
}

static void submit(struct fixture* f, unsigned count, const uvdio_group_options_t* options) {
  assert_ok(uvdio_group_submit(&group, members, count, options, on_member, on_group));
  count_requests(f, group.requests);
  for (unsigned i = 0; i < count; i++) {
    assert_true(members[i].result < 0 || (members[i].flags & UVDIO_WRITE_SHARED) != 0 ||
                members[i].buf.base == NULL);
  }
}

/* All came back, once. */
static void finish(struct fixture* f, unsigned accepted) {
  watch_for_hang("a group");
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
  assert_int_equal(noted.members, accepted);
  assert_int_equal(noted.members_before, accepted);
  assert_int_equal(noted.groups, 1);
}

/* Each page of the file has its number's pattern. */
static void put_pages(struct fixture* f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    put(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
}

static void assert_pages(const uvdio_member_t* member, size_t length) {
  for (size_t at = 0; at < length; at += PAGE) {
    assert_true(is_pattern(member->buf.base + at, PAGE, (unsigned)((member->offset + at) / PAGE)));
  }
}

static const uvdio_group_options_t merge_all = {MIB, 4 * PAGE};

/*
 * Each by itself.
 */

static void each_member_has_its_own_result(void** state) {
  struct fixture* f = *state;
  put_pages(f, 4);
  clear();
  set(0, UVDIO_OP_READ, &f->file, 2 * PAGE, blank(PAGE));
  set(1, UVDIO_OP_WRITE, &f->file, 8 * PAGE, filled(PAGE, 5));
  set(2, UVDIO_OP_READ, &f->file, 20 * PAGE, blank(PAGE));
  set(3, UVDIO_OP_READ, &f->file, 20 * PAGE, blank(PAGE));
  members[3].flags = UVDIO_MEMBER_EXACT;
  set(4, UVDIO_OP_READ, &f->file, 0, blank(PAGE));
  submit(f, 5, NULL);
  assert_int_equal(group.requests, 5);
  finish(f, 5);
  assert_int_equal(members[0].result, PAGE);
  assert_pages(&members[0], PAGE);
  assert_int_equal(members[1].result, PAGE);
  assert_int_equal(members[2].result, 0);
  assert_int_equal(members[3].result, UVDIO_ESHORTREAD);
  assert_int_equal(members[4].buf.len, PAGE);
  assert_int_equal(group.failed, 1);
  release(5);
  assert_holds(f, &f->file, 8 * PAGE, PAGE, 5);
}

static void refused_members_keep_their_buffers(void** state) {
  struct fixture* f = *state;
  clear();
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  set(0, UVDIO_OP_WRITE, &f->other, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, 1, filled(PAGE, 2));
  set(2, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 3));
  set(3, UVDIO_OP_READ, &f->file, 0, blank(PAGE));
  members[3].flags = UVDIO_WRITE_DURABLE;
  submit(f, 4, &merge_all);
  assert_int_equal(members[0].result, UV_EBADF);
  assert_int_equal(members[1].result, UVDIO_EALIGN);
  assert_int_equal(members[3].result, UV_EINVAL);
  finish(f, 1);
  assert_int_equal(group.failed, 3);
  assert_true(is_pattern(members[1].buf.base, PAGE, 2));
  release(4);
}

static void none_accepted_is_no_group(void** state) {
  struct fixture* f = *state;
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 1, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, 2, filled(PAGE, 2));
  assert_code(uvdio_group_submit(&group, members, 2, NULL, NULL, on_group), UVDIO_EALIGN);
  run(f);
  assert_int_equal(noted.groups, 0);
  assert_int_equal(group.failed, 2);
  assert_code(uvdio_group_cancel(&group), UV_EINVAL);
  release(2);
}

static void either_callback_may_be_left_out(void** state) {
  struct fixture* f = *state;
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, PAGE, filled(PAGE, 2));
  assert_ok(uvdio_group_submit(&group, members, 2, NULL, on_member, NULL));
  count_requests(f, 4);
  run(f);
  assert_int_equal(noted.members, 2);
  assert_ok(uvdio_group_submit(&group, members, 2, NULL, NULL, on_group));
  run(f);
  assert_int_equal(noted.members, 2);
  assert_int_equal(noted.groups, 1);
  release(2);
}

static void synchronous_form_does_one_after_the_other(void** state) {
  struct fixture* f = *state;
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, 1, filled(PAGE, 2));
  set(2, UVDIO_OP_READ, &f->file, 0, blank(PAGE));
  assert_code(uvdio_group_submit(&group, members, 3, &merge_all, NULL, NULL), UVDIO_EALIGN);
  assert_int_equal(members[0].result, PAGE);
  assert_int_equal(members[1].result, UVDIO_EALIGN);
  assert_int_equal(members[2].result, PAGE);
  assert_int_equal(group.failed, 1);
  assert_true(is_pattern(members[2].buf.base, PAGE, 1));
  release(3);
}

/*
 * Merged.
 */

static void neighbours_become_one_request(void** state) {
  struct fixture* f = *state;
  clear();
  for (unsigned i = 0; i < 8; i++) {
    set(i, UVDIO_OP_WRITE, &f->file, (uint64_t)i * PAGE, filled(PAGE, 10 + i));
  }
  submit(f, 8, &merge_all);
  assert_int_equal(group.requests, 1);
  assert_int_equal(stats_of(f).pending, 1);
  finish(f, 8);
  for (unsigned i = 0; i < 8; i++) {
    assert_int_equal(members[i].result, PAGE);
    assert_int_equal(members[i].buf.len, PAGE);
  }
  release(8);
  clear();
  for (unsigned i = 0; i < 8; i++) {
    set(i, UVDIO_OP_READ, &f->file, (uint64_t)i * PAGE, blank(PAGE));
  }
  size_t allocations = uvdio_allocations();
  submit(f, 8, &merge_all);
  assert_int_equal(group.requests, 1);
  assert_int_equal(uvdio_allocations(), allocations); /* There is no gap to be read. */
  finish(f, 8);
  for (unsigned i = 0; i < 8; i++) {
    assert_int_equal(members[i].result, PAGE);
    assert_true(is_pattern(members[i].buf.base, PAGE, 10 + i));
  }
  release(8);
}

/* The limits, each at its edge. */
static void limits_bound_what_is_merged(void** state) {
  static const struct {
    uvdio_group_options_t options;
    unsigned gap; /* pages between members */
    unsigned requests;
  } cases[] = {
      {{0, 0}, 0, 6},
      {{2 * PAGE, 0}, 0, 3},
      {{2 * PAGE - 1, 0}, 0, 6},
      {{6 * PAGE, 0}, 0, 1},
      {{6 * PAGE, 0}, 1, 6},
      {{11 * PAGE, PAGE}, 1, 1},
      {{11 * PAGE - 1, PAGE}, 1, 2},
      {{MIB, PAGE}, 2, 6},
      {{MIB, 2 * PAGE}, 2, 1},
  };
  struct fixture* f = *state;
  put_pages(f, 20);
  for (unsigned c = 0; c < COUNT_OF(cases); c++) {
    clear();
    for (unsigned i = 0; i < 6; i++) {
      set(i, UVDIO_OP_READ, &f->file, (uint64_t)i * (1 + cases[c].gap) * PAGE, blank(PAGE));
    }
    submit(f, 6, &cases[c].options);
    assert_int_equal(group.requests, cases[c].requests);
    finish(f, 6);
    for (unsigned i = 0; i < 6; i++) {
      assert_int_equal(members[i].result, PAGE);
      assert_pages(&members[i], PAGE);
    }
    release(6);
  }
}

static void no_more_buffers_than_a_request_has_for_nothing(void** state) {
  struct fixture* f = *state;
  put_pages(f, MANY);
  clear();
  for (unsigned i = 0; i < MANY; i++) {
    set(i, UVDIO_OP_READ, &f->file, (uint64_t)i * PAGE, blank(PAGE));
  }
  submit(f, MANY, &merge_all);
  assert_int_equal(group.requests, 3);
  finish(f, MANY);
  release(MANY);
}

/* Another file, operation or flag, a step back, or a gap between writes. */
static void what_differs_stays_apart(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->other, PAGE, filled(PAGE, 2));
  set(2, UVDIO_OP_WRITE, &f->file, 2 * PAGE, filled(PAGE, 3));
  set(3, UVDIO_OP_WRITE, &f->file, 4 * PAGE, filled(PAGE, 4));
  set(4, UVDIO_OP_WRITE, &f->file, 3 * PAGE, filled(PAGE, 5));
  set(5, UVDIO_OP_WRITE, &f->file, 5 * PAGE, filled(PAGE, 6));
  set(6, UVDIO_OP_WRITE, &f->file, 6 * PAGE, filled(PAGE, 7));
  members[6].flags = UVDIO_WRITE_DURABLE;
  set(7, UVDIO_OP_READ, &f->file, 9 * PAGE, blank(PAGE));
  submit(f, 8, &merge_all);
  assert_int_equal(group.requests, 8);
  finish(f, 8);
  assert_int_equal(group.failed, 0);
  release(8);
  assert_holds(f, &f->file, 4 * PAGE, PAGE, 4);
  assert_holds(f, &f->other, PAGE, PAGE, 2);
}

static void end_of_the_file_is_told_to_each(void** state) {
  struct fixture* f = *state;
  put_pages(f, 3);
  clear();
  for (unsigned i = 0; i < 6; i++) {
    set(i, UVDIO_OP_READ, &f->file, (uint64_t)i * 2 * PAGE, blank(PAGE));
    members[i].flags = UVDIO_MEMBER_EXACT;
  }
  submit(f, 6, &merge_all);
  assert_int_equal(group.requests, 1);
  finish(f, 6);
  for (unsigned i = 0; i < 6; i++) {
    assert_int_equal(members[i].result, i < 2 ? (int64_t)PAGE : UVDIO_ESHORTREAD);
    assert_int_equal(members[i].buf.len, i < 2 ? PAGE : 0);
  }
  assert_int_equal(group.failed, 4);
  release(6);
}

static void merged_members_have_views_and_shares(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t pages = filled(4 * PAGE, 9);
  clear();
  for (unsigned i = 0; i < 4; i++) {
    set(i, UVDIO_OP_WRITE, &f->file, (uint64_t)i * PAGE,
        uvdio_buf_view_bytes(pages.base + (size_t)i * PAGE, PAGE));
    members[i].flags = UVDIO_WRITE_SHARED | UVDIO_WRITE_DURABLE;
  }
  submit(f, 4, &merge_all);
  assert_int_equal(group.requests, 1);
  for (unsigned i = 0; i < 4; i++) {
    assert_ptr_equal(members[i].buf.base, pages.base + (size_t)i * PAGE);
  }
  finish(f, 4);
  assert_int_equal(group.failed, 0);
  assert_holds(f, &f->file, 0, 4 * PAGE, 9);
  assert_ok(uvdio_buf_release(&pages));
}

/* Each of them is a whole; merged they would be another one. */
static void atomic_writes_are_not_merged(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  int fits = info.atomic_max > 0 && info.atomic_min <= PAGE;
  clear();
  for (unsigned i = 0; i < 2; i++) {
    set(i, UVDIO_OP_WRITE, &f->file, (uint64_t)i * PAGE, filled(PAGE, i));
    members[i].flags = UVDIO_WRITE_ATOMIC;
  }
  set(2, UVDIO_OP_READ, &f->file, 0, blank(PAGE));
  submit(f, 3, &merge_all);
  assert_int_equal(group.requests, fits ? 3 : 1);
  finish(f, fits ? 3 : 1);
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(members[i].result, fits ? PAGE : UVDIO_EATOMIC);
  }
  release(3);
}

/* Where one of a run is wrong, the others go without it. */
static void bad_neighbour_spoils_nothing(void** state) {
  struct fixture* f = *state;
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, PAGE, filled(PAGE, 2));
  members[1].buf.len = 100;
  set(2, UVDIO_OP_WRITE, &f->file, PAGE + 100, filled(PAGE, 3));
  set(3, UVDIO_OP_WRITE, &f->file, 3 * PAGE, filled(PAGE, 4));
  submit(f, 4, &merge_all);
  finish(f, 2);
  assert_int_equal(members[0].result, PAGE);
  assert_int_equal(members[1].result, UVDIO_EALIGN);
  assert_int_equal(members[2].result, UVDIO_EALIGN);
  assert_int_equal(members[3].result, PAGE);
  members[1].buf.len = PAGE;
  release(4);
}

static void bad_neighbour_behind_a_gap_leaves_nothing(void** state) {
  struct fixture* f = *state;
  put_pages(f, 8);
  clear();
  set(0, UVDIO_OP_READ, &f->file, 0, blank(PAGE));
  set(1, UVDIO_OP_READ, &f->file, 2 * PAGE + 100, blank(PAGE));
  submit(f, 2, &merge_all);
  finish(f, 1);
  assert_int_equal(members[0].result, PAGE);
  assert_int_equal(members[1].result, UVDIO_EALIGN);
  assert_null(members[0].gap_.base);
  release(2);
}

static void all_are_cancelled_together(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = write_page(f, 30);
  clear();
  for (unsigned i = 0; i < 8; i++) {
    set(i, UVDIO_OP_WRITE, &f->file, (uint64_t)(i / 4 + i) * PAGE, filled(PAGE, i));
  }
  submit(f, 8, &merge_all);
  assert_int_equal(group.requests, 2);
  assert_ok(uvdio_group_cancel(&group));
  finish(f, 8);
  assert_result(first, PAGE);
  for (unsigned i = 0; i < 8; i++) {
    assert_int_equal(members[i].result, UV_ECANCELED);
    assert_true(is_pattern(members[i].buf.base, PAGE, i));
  }
  release(8);
}

/* What a read refuses alone, it refuses beside others. */
static void reads_with_unknown_flags_are_refused(void** state) {
  struct fixture* f = *state;
  put_pages(f, 2);
  for (unsigned merged = 0; merged < 2; merged++) {
    clear();
    for (unsigned i = 0; i < 2; i++) {
      set(i, UVDIO_OP_READ, &f->file, (uint64_t)i * PAGE, blank(PAGE));
      members[i].flags = 1u << 5;
    }
    assert_code(uvdio_group_submit(&group, members, 2, merged ? &merge_all : NULL, NULL, on_group),
                UV_EINVAL);
    assert_int_equal(group.failed, 2);
    release(2);
  }
}

/* Without a callback of its own a group has ended when its last member's begins. */
static unsigned rounds;

static void submit_again(uvdio_member_t* member) {
  uvdio_group_t* own = &group;
  (void)member;
  noted.members++;
  if (own->pending_ == 0 && ++rounds < 3 &&
      uvdio_group_submit(own, members, 2, NULL, submit_again, NULL) != 0) {
    noted.groups = 100;
  }
}

static void last_member_may_begin_the_group_anew(void** state) {
  struct fixture* f = *state;
  clear();
  rounds = 0;
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  set(1, UVDIO_OP_WRITE, &f->file, PAGE, filled(PAGE, 2));
  assert_ok(uvdio_group_submit(&group, members, 2, NULL, submit_again, NULL));
  count_requests(f, 6);
  run(f);
  assert_int_equal(noted.members, 6);
  assert_int_equal(noted.groups, 0);
  release(2);
}

/* The last callback may free all there is. */
static void on_last(uvdio_group_t* ended) {
  uvdio_member_t* own = ended->data;
  for (unsigned i = 0; i < 3; i++) {
    noted.groups += uvdio_buf_release(&own[i].buf) == 0;
  }
  free(own);
  free(ended);
}

static void last_callback_may_free_all(void** state) {
  struct fixture* f = *state;
  uvdio_member_t* own = calloc(3, sizeof(*own));
  uvdio_group_t* once = calloc(1, sizeof(*once));
  assert_true(own != NULL && once != NULL);
  clear();
  once->data = own;
  for (unsigned i = 0; i < 3; i++) {
    own[i].op = UVDIO_OP_WRITE;
    own[i].file = &f->file;
    own[i].offset = (uint64_t)i * PAGE;
    own[i].buf = filled(PAGE, i);
  }
  assert_ok(uvdio_group_submit(once, own, 3, &merge_all, NULL, on_last));
  count_requests(f, 1);
  run(f);
  assert_int_equal(noted.groups, 3);
}

/* Whatever is merged, each member gets what it would have got alone. */
static void random_members_get_their_own_bytes(void** state) {
  struct fixture* f = *state;
  struct random random = {7};
  put_pages(f, 64);
  for (unsigned round = 0; round < 60; round++) {
    uvdio_group_options_t options = {(size_t)random_below(&random, 40) * PAGE,
                                     (size_t)random_below(&random, 5) * PAGE};
    unsigned count = 1 + random_below(&random, MANY);
    uint64_t page = random_below(&random, 8);
    clear();
    for (unsigned i = 0; i < count; i++) {
      size_t pages = random_below(&random, 4);
      set(i, UVDIO_OP_READ, &f->file, page * PAGE, blank((pages > 0 ? pages : 1) * PAGE));
      members[i].buf.cap = pages * PAGE;
      page += pages + (random_below(&random, 3) == 0 ? random_below(&random, 6) : 0);
    }
    submit(f, count, &options);
    finish(f, count);
    for (unsigned i = 0; i < count; i++) {
      uint64_t end = 64 * PAGE;
      uint64_t due = members[i].offset >= end ? 0 : end - members[i].offset;
      due = due < members[i].buf.cap ? due : members[i].buf.cap;
      assert_int_equal(members[i].result, due);
      assert_int_equal(members[i].buf.len, due);
      assert_pages(&members[i], (size_t)due);
      members[i].buf.cap = members[i].buf.cap > 0 ? members[i].buf.cap : PAGE;
    }
    release(count);
  }
}

/*
 * Misuse.
 */

static void odd_groups_are_refused(void** state) {
  struct fixture* f = *state;
  struct {
    uvdio_group_options_t options;
    uint64_t more;
  } longer = {{0, 0}, 1};
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  assert_code(uvdio_group_submit(NULL, members, 1, NULL, NULL, on_group), UV_EINVAL);
  assert_code(uvdio_group_submit(&group, NULL, 1, NULL, NULL, on_group), UV_EINVAL);
  assert_code(uvdio_group_submit(&group, members, 0, NULL, NULL, on_group), UV_EINVAL);
  assert_code(
      uvdio_group_submit_sized(&group, members, 1, &longer.options, sizeof(longer), NULL, on_group),
      UV_E2BIG);
  members[0].op = UVDIO_OP_SYNC_DATA;
  assert_code(uvdio_group_submit(&group, members, 1, NULL, NULL, on_group), UV_EINVAL);
  members[0].op = UVDIO_OP_WRITE;
  assert_code(uvdio_group_cancel(NULL), UV_EINVAL);
  assert_code(uvdio_group_cancel(&group), UV_EINVAL);
  submit(f, 1, NULL);
  assert_code(uvdio_group_submit(&group, members, 1, NULL, NULL, on_group), UV_EBUSY);
  finish(f, 1);
  release(1);
}

/* Whether it has a request of its own or is part of another one's; the first group is none the
 * wiser. */
static void members_of_a_pending_group_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_group_t second = {0};
  clear();
  for (unsigned i = 0; i < 3; i++) {
    set(i, UVDIO_OP_WRITE, &f->file, (uint64_t)i * PAGE, filled(PAGE, i));
  }
  submit(f, 3, &merge_all);
  for (unsigned i = 0; i < 3; i++) {
    assert_code(uvdio_group_submit(&second, &members[i], 1, NULL, NULL, on_group), UV_EBUSY);
    assert_code(uvdio_group_submit(&second, &members[i], 1, NULL, NULL, NULL), UV_EBUSY);
  }
  assert_int_equal(second.failed, 0);
  finish(f, 3);
  assert_int_equal(group.failed, 0);
  assert_holds(f, &f->file, 2 * PAGE, PAGE, 2);
  submit(f, 3, &merge_all); /* and are free again */
  noted = (struct note){0};
  finish(f, 3);
  release(3);
}

static int cancel_in_child(void* data) {
  EXPECT(uvdio_group_cancel(data) == UVDIO_EFORK);
  return 0;
}

static void children_are_turned_away(void** state) {
  struct fixture* f = *state;
  need_fork();
  clear();
  set(0, UVDIO_OP_WRITE, &f->file, 0, filled(PAGE, 1));
  submit(f, 1, NULL);
  assert_int_equal(in_a_child(cancel_in_child, &group), 0);
  finish(f, 1);
  release(1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, each_member_has_its_own_result),
      TEST_ON(fixture_open, refused_members_keep_their_buffers),
      TEST_ON(fixture_open, none_accepted_is_no_group),
      TEST_ON(fixture_open, either_callback_may_be_left_out),
      TEST_ON(fixture_open, synchronous_form_does_one_after_the_other),
      TEST_ON(fixture_open, neighbours_become_one_request),
      TEST_ON(fixture_open_bound, neighbours_become_one_request),
      TEST_ON(fixture_open, limits_bound_what_is_merged),
      TEST_ON(fixture_open, no_more_buffers_than_a_request_has_for_nothing),
      TEST_ON(fixture_open, what_differs_stays_apart),
      TEST_ON(fixture_open, end_of_the_file_is_told_to_each),
      TEST_ON(fixture_open, merged_members_have_views_and_shares),
      TEST_ON(fixture_open, atomic_writes_are_not_merged),
      TEST_ON(fixture_open, bad_neighbour_spoils_nothing),
      TEST_ON(fixture_open, bad_neighbour_behind_a_gap_leaves_nothing),
      TEST_ON(fixture_open_at_depth_1, all_are_cancelled_together),
      TEST_ON(fixture_open, reads_with_unknown_flags_are_refused),
      TEST_ON(fixture_open, last_member_may_begin_the_group_anew),
      TEST_ON(fixture_open, last_callback_may_free_all),
      TEST_ON(fixture_open, random_members_get_their_own_bytes),
      TEST_ON(fixture_open, odd_groups_are_refused),
      TEST_ON(fixture_open, members_of_a_pending_group_are_refused),
      TEST_ON(fixture_open, children_are_turned_away),
  };
  return matrix_main("groups", tests, COUNT_OF(tests), argc, argv);
}
