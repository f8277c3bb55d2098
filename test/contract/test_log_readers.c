/* SPDX-License-Identifier: MIT */
/*
 * Readers of a log: each record that is durable comes once, in its order and as it was, from any
 * LSN on and while more are appended; and none comes that is not durable, or was cut off.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "uvdio/faults.h"
#include "uvdio/log_reader.h"

#define RECORDS_MAX 2000u
#define SEGMENT ((uint64_t)64 * 1024)
#define SMALL_BUFFER ((size_t)4 * PAGE)

/* The log under test, and its records in this life and before. */
static struct {
  struct fixture* f;
  uvdio_log_t* log;
  uvdio_log_options_t options;
  unsigned appended;
  unsigned acknowledged;
  unsigned failed;
  uint64_t lsns[RECORDS_MAX];
  size_t lengths[RECORDS_MAX];
  int status; /* of the open, or the close */
  int closed;
} t;

struct piece {
  uvdio_log_append_t append;
  unsigned number;
  char* bytes;
};

/* A reader, and what it has given. */
struct follower {
  uvdio_log_reader_t* reader;
  unsigned next;  /* number of the record that is expected */
  unsigned waits; /* callbacks of the last one */
  int status;     /* of the last wait */
  int is_waiting;
  int closes; /* calls of on_closed */
  int close_status;
  int end; /* what a take has returned that was neither 0 nor UV_EAGAIN */
};

static char byte_of(unsigned number, size_t at) {
  return (char)(number * 11 + at * 17 + (at >> 9));
}

static int is_record(unsigned number, const uvdio_log_record_t* record) {
  const char* bytes = record->bytes;
  if (record->length != t.lengths[number] || record->lsn != t.lsns[number]) {
    return 0;
  }
  for (size_t i = 0; i < record->length; i++) {
    if (bytes[i] != byte_of(number, i)) {
      return 0;
    }
  }
  return 1;
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  (void)arg;
  t.status = status;
}

static void on_log_closed(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  (void)arg;
  t.closed++;
  t.status = status;
}

static void on_append(uvdio_log_append_t* append, int status) {
  struct piece* piece = append->data;
  if (status == 0) {
    t.lsns[piece->number] = append->lsn;
    t.acknowledged++;
  } else {
    t.failed++;
  }
  free(piece->bytes);
  free(piece);
}

static void append(size_t length) {
  struct piece* piece = calloc(1, sizeof(*piece));
  assert_non_null(piece);
  piece->append.data = piece;
  piece->number = t.appended;
  piece->bytes = malloc(length);
  assert_non_null(piece->bytes);
  for (size_t i = 0; i < length; i++) {
    piece->bytes[i] = byte_of(piece->number, i);
  }
  assert_true(t.appended < RECORDS_MAX);
  t.lengths[t.appended++] = length;
  assert_ok(uvdio_log_append(t.log, &piece->append, piece->bytes, length, on_append));
}

static void open_log(void) {
  t.status = 1;
  assert_ok(
      uvdio_log_open(&t.log, t.f->engine, path_of(t.f, "wal"), &t.options, NULL, on_open, NULL));
  run_untracked(t.f);
  assert_ok(t.status);
}

static void close_log(void) {
  t.closed = 0;
  assert_ok(uvdio_log_close(t.log, on_log_closed, NULL));
  run_untracked(t.f);
  assert_int_equal(t.closed, 1);
}

static void begin_with(void** state, uvdio_log_options_t options) {
  memset(&t, 0, sizeof(t));
  t.f = *state;
  t.options = options;
  t_mkdir(op_now(&t.f->tracker), t.f->engine, path_of(t.f, "wal"));
  open_log();
}

static void begin(void** state, unsigned flags) {
  begin_with(state, (uvdio_log_options_t){.segment_size = SEGMENT, .flags = flags});
}

/* So many records, which are acknowledged: the first in a flush alone, and the others together. */
static void append_all(unsigned count, size_t length) {
  for (unsigned i = 0; i < count; i++) {
    append(length);
  }
  run_untracked(t.f);
  assert_int_equal(t.acknowledged, t.appended);
}

static uvdio_log_stats_t log_stats(void) {
  uvdio_log_stats_t stats;
  assert_ok(uvdio_log_stats(t.log, &stats));
  return stats;
}

static uvdio_log_reader_info_t info_of_reader(const struct follower* r) {
  uvdio_log_reader_info_t info;
  assert_ok(uvdio_log_reader_info(r->reader, &info));
  return info;
}

/*
 * Followers
 */

static void follow_with(struct follower* r, uvdio_log_reader_options_t options) {
  memset(r, 0, sizeof(*r));
  assert_ok(uvdio_log_reader_create(&r->reader, t.log, &options));
}

static void follow(struct follower* r) {
  memset(r, 0, sizeof(*r));
  assert_ok(uvdio_log_reader_create(&r->reader, t.log, NULL));
}

/* With room for a few blocks, so that its memory comes round. */
static void follow_closely(struct follower* r, uint64_t begin) {
  follow_with(r, (uvdio_log_reader_options_t){.begin = begin, .buffer_size = SMALL_BUFFER});
}

static void on_ready(int status, void* arg) {
  struct follower* r = arg;
  if (inside_library()) {
    tracker_violation(&t.f->tracker, "a wait was called back from inside a call");
  }
  r->waits++;
  r->is_waiting = 0;
  r->status = status;
}

static void on_closed(int status, void* arg) {
  struct follower* r = arg;
  r->closes++;
  r->close_status = status;
}

/* Takes what can be taken now, up to that record. */
static int take_some(struct follower* r, unsigned number) {
  uvdio_log_record_t record;
  int code = 0;
  while (r->next < number && (code = uvdio_log_reader_take(r->reader, &record)) == 0) {
    assert_true(r->next < t.acknowledged);
    assert_true(record.lsn < uvdio_log_durable(t.log));
    assert_true(is_record(r->next, &record));
    r->next++;
  }
  return code;
}

static int take(struct follower* r) {
  return take_some(r, RECORDS_MAX);
}

static void wait(struct follower* r) {
  r->waits = 0;
  assert_ok(uvdio_log_reader_wait(r->reader, on_ready, r));
  r->is_waiting = 1;
}

/* Takes on, with waits, up to that record, or to an error, which it returns; else 0. */
static int take_up_to(struct follower* r, unsigned number) {
  while (r->next < number) {
    int code = take_some(r, number);
    if (code != UV_EAGAIN && code != 0) {
      return code;
    }
    if (code != 0) {
      wait(r);
      while (r->is_waiting) {
        assert_true(uv_run(&t.f->loop, UV_RUN_ONCE) != 0 || !r->is_waiting);
      }
      assert_int_equal(r->waits, 1);
      assert_ok(r->status);
    }
  }
  return 0;
}

static void take_all(struct follower* r) {
  assert_ok(take_up_to(r, t.appended));
  assert_code(take(r), UV_EAGAIN);
}

/* To an error, with all records before it. */
static void take_to_error(struct follower* r, unsigned number, int expected) {
  assert_code(take_up_to(r, RECORDS_MAX), expected);
  assert_int_equal(r->next, number);
  uvdio_log_record_t record;
  assert_code(uvdio_log_reader_take(r->reader, &record), expected); /* and it stays so */
  assert_code(uvdio_log_reader_wait(r->reader, on_ready, r), UV_EALREADY);
}

static void leave(struct follower* r) {
  assert_ok(uvdio_log_reader_close(r->reader, on_closed, r));
  assert_int_equal(r->closes, 0);
  run_untracked(t.f);
  assert_int_equal(r->closes, 1);
  assert_ok(r->close_status);
}

/*
 * Records
 */

static void empty_log_has_none(void** state) {
  struct follower r;
  begin(state, 0);
  follow(&r);
  assert_code(take(&r), UV_EAGAIN);
  append(10);
  assert_code(take(&r), UV_EAGAIN); /* it is not durable yet */
  take_all(&r);
  leave(&r);
  close_log();
}

/* Lengths around those of a block's payload, of several blocks and of several segments. */
static void read_lengths(void** state, unsigned flags) {
  static const size_t some[] = {1,    4,    100,  4046,  4047, 4051,   4052,   4053, 4056,
                                4057, 4096, 8104, 8108,  8112, 3,      50000,  1,    9,
                                4044, 7,    2,    70000, 5,    200000, 300000, 12};
  struct follower early;
  struct follower late;
  begin(state, flags);
  follow_closely(&early, 0);
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 0; i < COUNT_OF(some); i++) {
      append(some[i]);
      if (round == 1 || (round == 2 && i % 3 == 0)) {
        take_all(&early);
      }
    }
    take_all(&early);
  }
  follow(&late);
  take_all(&late);
  leave(&late);
  leave(&early);
  follow_closely(&late, 0);
  take_all(&late);
  leave(&late);
  close_log();
}

static void any_length_is_read(void** state) {
  read_lengths(state, 0);
}

static void any_length_is_read_packed(void** state) {
  read_lengths(state, UVDIO_LOG_PACKED);
}

static void large_record_is_read(void** state) {
  struct follower r;
  begin(state, 0);
  append(20);
  append(MIB + MIB / 2 + 77);
  append(20);
  follow_closely(&r, 0);
  take_all(&r);
  leave(&r);
  close_log();
}

static size_t largest; /* allocation, in bytes */

static void* measure_and_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  largest = size > largest ? size : largest;
  return plain_allocate(context, size, alignment, zeroed);
}

static int engine_that_measures(void** state) {
  const uvdio_allocator_t allocator = {NULL, measure_and_allocate, plain_release};
  return uvdio_set_allocator(&allocator) != 0 ? -1 : fixture_engine(state);
}

static int tear_down_and_measure_no_more(void** state) {
  int failed = fixture_tear_down(state);
  return uvdio_set_allocator(NULL) != 0 || failed;
}

/* A length alone takes no memory: it may be all that is there of a record. */
static void memory_grows_with_a_record_s_bytes(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(1, 2 * MIB);
  follow_closely(&r, 0);
  largest = 0;
  while (info_of_reader(&r).reads < 8) {
    assert_code(take(&r), UV_EAGAIN);
    (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
  }
  assert_code(take(&r), UV_EAGAIN);
  assert_in_range(largest, PAGE, MIB / 2);
  take_all(&r);
  leave(&r);
  close_log();
}

/* What another life has left, and what this one adds. */
static void records_of_earlier_lives_are_read(void** state) {
  struct follower r;
  begin(state, UVDIO_LOG_PACKED);
  append_all(30, 700);
  close_log();
  t.options.flags = 0;
  open_log();
  follow(&r);
  append_all(10, 3000);
  take_all(&r);
  leave(&r);
  close_log();
}

/* The reader waits at the end of the log, and is called once for each flush. */
static void follow_the_tail(void** state, unsigned flags) {
  struct follower r;
  begin(state, flags);
  follow_closely(&r, 0);
  for (unsigned i = 0; i < 80; i++) {
    assert_code(take(&r), UV_EAGAIN);
    wait(&r);
    append(50 + i * 97 % 3000);
    run_untracked(t.f);
    assert_int_equal(r.waits, 1);
    assert_ok(r.status);
    assert_code(uvdio_log_reader_wait(r.reader, on_ready, &r), UV_EALREADY);
    assert_code(take(&r), UV_EAGAIN);
    assert_int_equal(r.next, i + 1);
  }
  assert_true(flags != 0 || log_stats().last_segment > 4);
  leave(&r);
  close_log();
}

static void tail_is_followed(void** state) {
  follow_the_tail(state, 0);
}

static void packed_tail_is_followed(void** state) {
  follow_the_tail(state, UVDIO_LOG_PACKED);
}

/* At no turn of the loop has a reader what is not acknowledged; it has all that is soon after. */
static void give_what_is_durable(void** state, unsigned flags) {
  struct follower r;
  begin(state, flags);
  follow_closely(&r, 0);
  for (unsigned i = 0; i < 60; i++) {
    append(i % 9 == 0 ? 30000 : 900);
    for (unsigned turns = 0; turns < i % 7; turns++) {
      assert_code(take(&r), UV_EAGAIN); /* which looks */
      (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
    }
  }
  take_all(&r);
  leave(&r);
  close_log();
}

static void only_what_is_durable_is_given(void** state) {
  give_what_is_durable(state, 0);
}

static void only_what_is_durable_is_given_packed(void** state) {
  give_what_is_durable(state, UVDIO_LOG_PACKED);
}

/* Within an append's callback the record is there, where its block is in memory. */
static struct follower at_once;

static void take_at_once(uvdio_log_append_t* append, int status) {
  uvdio_log_record_t record;
  assert_ok(status);
  while (uvdio_log_reader_take(at_once.reader, &record) == 0) {
    at_once.next++;
    assert_true(record.lsn == append->lsn && record.length == append->length);
  }
}

static void record_can_be_taken_within_its_callback(void** state) {
  uvdio_log_append_t some[3] = {{0}, {0}, {0}};
  begin(state, UVDIO_LOG_PACKED);
  follow(&at_once);
  for (unsigned i = 0; i < 3; i++) { /* one in a flush alone, and two in the next, in its block */
    assert_ok(uvdio_log_append(t.log, &some[i], "hello", 5 - i, take_at_once));
  }
  run_untracked(t.f);
  assert_int_equal(at_once.next, 3);
  leave(&at_once);
  close_log();
}

/* The bytes of a record stay while the log and the reader go on. */
static void bytes_stay_until_the_next_take(void** state) {
  struct follower r;
  uvdio_log_record_t record;
  begin(state, UVDIO_LOG_PACKED);
  append_all(100, 1000);
  follow_closely(&r, 0);
  for (unsigned i = 0; i < 100; i++) {
    int code;
    while ((code = uvdio_log_reader_take(r.reader, &record)) == UV_EAGAIN) {
      (void)uv_run(&t.f->loop, UV_RUN_ONCE);
    }
    assert_ok(code);
    append(10);
    (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
    (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
    assert_true(is_record(i, &record));
  }
  run_untracked(t.f);
  leave(&r);
  close_log();
}

/*
 * Where a reader begins
 */

static void reader_begins_anywhere(void** state) {
  struct follower r;
  begin(state, UVDIO_LOG_PACKED);
  for (unsigned i = 0; i < 60; i++) {
    append(i % 7 == 0 ? 20000 : 300);
    if (i % 3 == 0) {
      run_untracked(t.f);
    }
  }
  run_untracked(t.f);
  for (unsigned i = 0; i < t.appended; i++) {
    for (unsigned behind = 0; behind < 2; behind++) {
      follow_closely(&r, t.lsns[i] + behind);
      r.next = i + behind;
      assert_ok(take_up_to(&r, i + 2 < t.appended ? i + 2 : t.appended));
      leave(&r);
    }
  }
  follow_closely(&r, uvdio_log_durable(t.log)); /* behind the last one */
  r.next = t.appended;
  assert_code(take(&r), UV_EAGAIN);
  append(500);
  take_all(&r);
  leave(&r);
  close_log();
}

static void lsn_that_was_never_told_is_refused(void** state) {
  uvdio_log_reader_t* none = NULL;
  uvdio_log_reader_options_t options = {0};
  begin(state, 0);
  append_all(3, 100);
  options.begin = uvdio_log_durable(t.log) + 1;
  assert_code(uvdio_log_reader_create(&none, t.log, &options), UV_EINVAL);
  options.begin = UINT64_MAX;
  assert_code(uvdio_log_reader_create(&none, t.log, &options), UV_EINVAL);
  assert_null(none);
  close_log();
}

static void next_goes_on_in_the_next_life(void** state) {
  struct follower r;
  unsigned next = 0;
  uint64_t begin_at = 0;
  begin(state, 0);
  for (unsigned lives = 0; lives < 5; lives++) {
    append_all(6, 5000);
    follow_closely(&r, begin_at);
    r.next = next;
    assert_ok(take_up_to(&r, r.next + (lives == 4 ? t.appended - next : 4)));
    begin_at = info_of_reader(&r).next;
    next = r.next;
    assert_true(info_of_reader(&r).lsn == t.lsns[next - 1] && begin_at > t.lsns[next - 1]);
    assert_true(next == t.appended || begin_at <= t.lsns[next]);
    leave(&r);
    close_log();
    open_log();
  }
  assert_int_equal(next, t.appended);
  close_log();
}

static void readers_do_not_meet(void** state) {
  struct follower some[5];
  begin(state, UVDIO_LOG_PACKED);
  append_all(40, 2500);
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    follow_closely(&some[i], t.lsns[i * 7]);
    some[i].next = i * 7;
  }
  for (unsigned i = 0; i < 40; i++) {
    struct follower* r = &some[i % COUNT_OF(some)];
    assert_ok(take_up_to(r, r->next + 1));
    append(700);
    (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    if (!some[i].is_waiting && take(&some[i]) == UV_EAGAIN) {
      wait(&some[i]);
    }
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    while (some[i].is_waiting) {
      append(10);
      (void)uv_run(&t.f->loop, UV_RUN_ONCE);
    }
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    take_all(&some[i]);
    leave(&some[i]);
  }
  close_log();
}

static void begin_behind_a_record_without_an_end(void** state) {
  begin_with(state, (uvdio_log_options_t){.segment_size = SEGMENT, .buffer_size = 2 * PAGE});
  append(100);
  append(5 * PAGE); /* in several flushes */
  run_untracked(t.f);
  close_log();
  uint64_t last = (t.lsns[1] + 5 * PAGE) / PAGE * PAGE;
  const char* name = segment_name(last / SEGMENT);
  open_now(t.f, &t.f->other, name, UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED);
  uvdio_buf_t page = filled(PAGE, 1);
  assert_result(t_write(op_now(&t.f->tracker), &t.f->other, &page, last % SEGMENT), PAGE);
  assert_ok(uvdio_buf_release(&page));
  close_other(t.f);
  t.appended = t.acknowledged = 1;
  open_log();
}

/* A record that an open has found without its end, and what was appended behind it. */
static void record_without_an_end_is_left_out(void** state) {
  struct follower r;
  begin_behind_a_record_without_an_end(state);
  follow_closely(&r, 0);
  take_all(&r);
  append_all(3, 6000);
  take_all(&r);
  leave(&r);
  close_log();
}

/*
 * Cuts
 */

/* Of a reader that is in a segment which was cut off, though its blocks may be read already; and
 * whatever the segment has become. */
static void records_that_were_cut_off_are_not_given(void** state) {
  for (unsigned rounds = 0; rounds < 4; rounds++) {
    struct follower r;
    uvdio_log_reader_t* none = NULL;
    uvdio_log_reader_options_t options = {0};
    if (rounds == 0) {
      begin(state, 0);
    }
    append_all(30, 3000);
    follow_closely(&r, t.lsns[t.appended - 30]);
    r.next = t.appended - 30;
    assert_ok(take_up_to(&r, r.next + 2));
    assert_ok(uvdio_log_cut(t.log, t.lsns[t.appended - 1]));
    if (rounds % 2 == 1) {
      run_untracked(t.f);
      append_all(40, 3000); /* into segments that are used again */
    }
    assert_code(take(&r), UVDIO_ECUT);
    assert_int_equal(info_of_reader(&r).error, UVDIO_ECUT);
    leave(&r);
    options.begin = t.lsns[0];
    assert_code(uvdio_log_reader_create(&none, t.log, &options), UVDIO_ECUT);
  }
  assert_true(log_stats().segments_used_again > 0);
  struct follower r;
  follow(&r); /* with the first that is there */
  while (t.lsns[r.next] / SEGMENT < log_stats().first_segment) {
    r.next++;
  }
  take_all(&r);
  leave(&r);
  close_log();
}

/* A cut behind the reader, and of what it has taken, is none of its business. */
static void cut_behind_the_reader_spares_it(void** state) {
  struct follower r;
  begin(state, 0);
  follow_closely(&r, 0);
  for (unsigned i = 0; i < 60; i++) {
    append_all(1, 3000);
    take_all(&r);
    assert_ok(uvdio_log_cut(t.log, t.lsns[t.appended - 1]));
  }
  assert_true(log_stats().segments_used_again > 1);
  leave(&r);
  close_log();
}

/* A wait that a cut ends: the record whose first blocks the reader has is gone. */
static void cut_within_a_record_that_is_gathered(void** state) {
  struct follower r;
  begin(state, 0);
  append(10);
  append(3 * SEGMENT);
  append(10);
  run_untracked(t.f);
  follow_closely(&r, 0);
  assert_ok(take_up_to(&r, 1));
  assert_code(take(&r), UV_EAGAIN); /* four blocks are there */
  assert_ok(uvdio_log_cut(t.log, t.lsns[2]));
  take_to_error(&r, 1, UVDIO_ECUT);
  leave(&r);
  follow(&r);
  r.next = 2;
  take_all(&r);
  leave(&r);
  close_log();
}

/* A pin spares what the reader needs, and no more; the cut is made up for as the reader goes on. */
static void pin_spares_records(void** state) {
  struct follower r;
  struct follower other;
  begin(state, 0);
  append_all(60, 3000);
  follow_with(&r,
              (uvdio_log_reader_options_t){
                  .begin = t.lsns[20], .buffer_size = SMALL_BUFFER, .flags = UVDIO_LOG_READER_PIN});
  follow_with(&other,
              (uvdio_log_reader_options_t){
                  .begin = t.lsns[45], .buffer_size = SMALL_BUFFER, .flags = UVDIO_LOG_READER_PIN});
  r.next = 20;
  other.next = 45;
  assert_ok(uvdio_log_cut(t.log, t.lsns[59]));
  run_untracked(t.f);
  assert_int_equal(log_stats().first_segment, t.lsns[20] / SEGMENT);
  append_all(40, 3000);
  for (unsigned i = 20; i < t.appended; i++) {
    assert_ok(take_up_to(&r, i + 1));
    run_untracked(t.f);
    uint64_t last = i < 45 ? t.lsns[i] / SEGMENT : t.lsns[45] / SEGMENT;
    assert_int_equal(log_stats().first_segment, last);
  }
  take_all(&other);
  run_untracked(t.f);
  assert_int_equal(log_stats().first_segment, t.lsns[59] / SEGMENT);
  leave(&other);
  leave(&r);
  close_log();
}

static void pin_ends_with_its_reader(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(60, 3000);
  follow_with(&r, (uvdio_log_reader_options_t){.flags = UVDIO_LOG_READER_PIN});
  assert_ok(take_up_to(&r, 1));
  assert_ok(uvdio_log_cut(t.log, t.lsns[59]));
  run_untracked(t.f);
  assert_int_equal(log_stats().first_segment, 1);
  leave(&r);
  assert_int_equal(log_stats().first_segment, t.lsns[59] / SEGMENT);
  close_log();
}

/*
 * Errors
 */

static void record_that_is_too_long_is_told(void** state) {
  static const size_t lengths[] = {5000, 900};
  for (unsigned i = 0; i < COUNT_OF(lengths); i++) {
    struct follower r;
    if (i == 0) {
      begin(state, 0);
    }
    unsigned first = t.appended;
    append(400);
    append(lengths[i]);
    append(300);
    run_untracked(t.f);
    follow_with(&r,
                (uvdio_log_reader_options_t){.begin = t.lsns[first], .record_max = lengths[i] - 1});
    r.next = first;
    take_to_error(&r, first + 1, UVDIO_ESIZE);
    uint64_t next = info_of_reader(&r).next;
    assert_int_equal(next, t.lsns[first + 1]);
    leave(&r);
    follow_with(&r, (uvdio_log_reader_options_t){.begin = next, .record_max = lengths[i]});
    r.next = first + 1;
    take_all(&r);
    leave(&r);
  }
  close_log();
}

static void fail_once(uvdio_op_t op, int error) {
  uvdio_fault_rule_t rule = {.op = op, .times = 1};
  rule.fault.kind = UVDIO_FAULT_ERROR;
  rule.fault.error = error;
  assert_ok(t.f->sim != NULL ? uvdio_sim_add_rule(t.f->sim, &rule)
                             : uvdio_engine_add_rule(t.f->engine, &rule));
}

static void error_of_a_request_stops_the_reader(void** state) {
  static const uvdio_op_t ops[] = {UVDIO_OP_READ, UVDIO_OP_OPEN};
  begin(state, 0);
  append_all(60, 3000);
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    struct follower r;
    follow_closely(&r, 0);
    assert_ok(take_up_to(&r, 4));
    fail_once(ops[i], UV_EIO);
    assert_code(take_up_to(&r, RECORDS_MAX), UV_EIO);
    unsigned number = r.next;
    assert_true(number >= 4 && number < 59);
    take_to_error(&r, number, UV_EIO);
    uint64_t next = info_of_reader(&r).next;
    leave(&r);
    follow_closely(&r, next);
    r.next = number;
    take_all(&r);
    leave(&r);
  }
  append_all(1, 10); /* the log does not mind */
  close_log();
}

/* Puts the block of one record, with a byte more or less, to where that of another one is. */
static void put_block(uint64_t from, uint64_t to, char more) {
  uvdio_buf_t page = blank(PAGE);
  struct tracker* tracker = &t.f->tracker;
  assert_true(from / SEGMENT == 1 && to / SEGMENT == 1);
  open_now(t.f, &t.f->other, "wal/0000000000000001.seg", UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED);
  assert_result(t_read(op_now(tracker), &t.f->other, &page, from % SEGMENT / PAGE * PAGE), PAGE);
  page.base[60] = (char)(page.base[60] + more);
  assert_result(t_write(op_now(tracker), &t.f->other, &page, to % SEGMENT / PAGE * PAGE), PAGE);
  assert_ok(uvdio_buf_release(&page));
  close_other(t.f);
}

static void damage_is_told(void** state) {
  struct follower r;
  begin(state, 0);
  for (unsigned i = 0; i < 8; i++) {
    append_all(1, 3000); /* in a block of its own */
  }
  append_all(50, 3000);
  put_block(t.lsns[2], t.lsns[1], 0); /* whole, but not where it belongs */
  follow_closely(&r, t.lsns[1]);
  r.next = 1;
  take_to_error(&r, 1, UVDIO_EDAMAGED);
  leave(&r);
  put_block(t.lsns[5], t.lsns[5], 1);
  follow_closely(&r, t.lsns[2]);
  r.next = 2;
  take_to_error(&r, 5, UVDIO_EDAMAGED);
  leave(&r);
  const char* name = segment_name(2);
  assert_result(t_unlink(op_now(&t.f->tracker), t.f->engine, path_of(t.f, name)), 0);
  follow_closely(&r, t.lsns[6]);
  r.next = 6;
  unsigned in_first = 6; /* in the end, of the record that goes on in the second segment */
  while (t.lsns[in_first + 1] / SEGMENT == 1) {
    in_first++;
  }
  take_to_error(&r, in_first, UVDIO_EDAMAGED);
  leave(&r);
  close_log();
}

/* A block of this log and this place, as it was before: of a write that was lost. */
static void block_that_does_not_follow_is_damage(void** state) {
  struct follower r;
  uvdio_buf_t page = blank(PAGE);
  begin(state, UVDIO_LOG_PACKED);
  append_all(1, 1000);
  open_now(t.f, &t.f->other, "wal/0000000000000001.seg", UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED);
  assert_result(t_read(op_now(&t.f->tracker), &t.f->other, &page, PAGE), PAGE);
  append_all(1, 4056 - 2 * 4 - 1000); /* fills that block, to the last byte of its payload */
  append_all(1, 500);
  assert_result(t_write(op_now(&t.f->tracker), &t.f->other, &page, PAGE), PAGE);
  assert_ok(uvdio_buf_release(&page));
  close_other(t.f);
  follow_closely(&r, 0);
  take_to_error(&r, 1, UVDIO_EDAMAGED);
  leave(&r);
  close_log();
}

/* What is durable is given all the same, and then the error of the log. */
static void error_of_the_log_comes_last(void** state) {
  struct follower r;
  struct follower slow;
  begin(state, UVDIO_LOG_PACKED);
  follow_closely(&r, 0);
  follow_closely(&slow, 0);
  append_all(40, 2100);
  take_all(&r);
  wait(&r);
  fail_once(UVDIO_OP_WRITE, UV_EIO);
  append(100);
  append(100);
  run_untracked(t.f);
  assert_int_equal(t.failed, 2);
  assert_int_equal(r.waits, 1);
  assert_ok(r.status);
  take_to_error(&r, 40, UV_EIO);
  take_to_error(&slow, 40, UV_EIO);
  uvdio_log_reader_t* none = NULL;
  assert_code(uvdio_log_reader_create(&none, t.log, NULL), UV_EIO);
  leave(&slow);
  leave(&r);
  close_log();
  assert_code(t.status, UV_EIO);
}

/* A class that is full refuses reads; the reader goes on by itself. */
static void full_class_slows_readers_down(void** state) {
  static const uvdio_class_options_t bounds = {.depth = 1, .queue_max = 1};
  uvdio_log_reader_options_t options = {.class_number = UVDIO_CLASS_USER,
                                        .buffer_size = SMALL_BUFFER};
  struct follower some[3];
  begin(state, 0);
  append_all(60, 3000);
  assert_ok(uvdio_class_set(t.f->engine, UVDIO_CLASS_USER, &bounds));
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    follow_with(&some[i], options);
    assert_code(take(&some[i]), UV_EAGAIN);
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    wait(&some[i]);
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    while (some[i].is_waiting) {
      assert_true(uv_run(&t.f->loop, UV_RUN_ONCE) != 0 || !some[i].is_waiting);
    }
    take_all(&some[i]);
  }
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    leave(&some[i]);
  }
  close_log();
}

/*
 * Ends
 */

static void closing_log_has_an_end(void** state) {
  struct follower r;
  uvdio_log_record_t record;
  begin(state, 0);
  follow_closely(&r, 0);
  for (unsigned i = 0; i < 30; i++) {
    append(3000);
  }
  assert_ok(take_up_to(&r, 1));
  t.closed = 0;
  assert_ok(uvdio_log_close(t.log, on_log_closed, NULL));
  assert_code(take_up_to(&r, 31), UV_EOF);
  assert_int_equal(r.next, 30);
  assert_code(uvdio_log_reader_take(r.reader, &record), UV_EOF);
  run_untracked(t.f);
  assert_int_equal(t.closed, 0); /* it waits for its reader */
  leave(&r);
  assert_int_equal(t.closed, 1);
  assert_ok(t.status);
}

/* A reader that waits at the end is told of it. */
static void close_of_the_log_ends_a_wait(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(3, 100);
  follow(&r);
  take_all(&r);
  wait(&r);
  t.closed = 0;
  assert_ok(uvdio_log_close(t.log, on_log_closed, NULL));
  run_untracked(t.f);
  assert_int_equal(r.waits, 1);
  assert_ok(r.status);
  assert_code(take(&r), UV_EOF);
  assert_int_equal(t.closed, 0);
  uvdio_log_reader_t* none = NULL;
  assert_code(uvdio_log_reader_create(&none, t.log, NULL), UV_EBADF);
  leave(&r);
  assert_int_equal(t.closed, 1);
}

/* With reads in flight, with none, at the end, at once. */
static void reader_closes_at_any_place(void** state) {
  begin(state, 0);
  append_all(100, 3000);
  for (unsigned turns = 0; turns < 12; turns++) {
    struct follower r;
    follow_closely(&r, 0);
    unsigned waits = turns > 0;
    if (waits > 0) {
      assert_code(take(&r), UV_EAGAIN);
      wait(&r);
      for (unsigned i = 1; i < turns && r.is_waiting; i++) {
        (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
      }
    }
    int was_waiting = r.is_waiting;
    uvdio_log_record_t record;
    assert_ok(uvdio_log_reader_close(r.reader, on_closed, &r));
    assert_code(uvdio_log_reader_close(r.reader, on_closed, &r), UV_EBADF);
    assert_code(uvdio_log_reader_take(r.reader, &record), UV_EBADF);
    assert_code(uvdio_log_reader_wait(r.reader, on_ready, &r), UV_EBADF);
    run_untracked(t.f);
    assert_int_equal(r.closes, 1);
    assert_int_equal(r.waits, waits);
    assert_code(r.status, was_waiting ? UV_ECANCELED : 0);
  }
  close_log();
}

static void close_within(int status, void* arg) {
  struct follower* r = arg;
  on_ready(status, arg);
  assert_code(uvdio_log_reader_destroy(r->reader), UV_EBUSY);
  assert_ok(uvdio_log_reader_close(r->reader, on_closed, r));
}

static void callback_may_close_the_reader(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(3, 100);
  for (unsigned i = 0; i < 2; i++) {
    follow(&r);
    if (i == 1) {
      take_all(&r);
    }
    assert_code(take(&r), UV_EAGAIN);
    assert_ok(uvdio_log_reader_wait(r.reader, close_within, &r));
    append(10);
    run_untracked(t.f);
    assert_int_equal(r.closes, 1);
    assert_ok(r.status);
  }
  close_log();
}

static void cancelled_wait_goes_on(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(3, 100);
  follow(&r);
  take_all(&r);
  wait(&r);
  assert_ok(uvdio_engine_cancel(t.f->engine));
  for (unsigned i = 0; i < 5; i++) {
    (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
  }
  assert_true(r.is_waiting);
  append(10);
  run_untracked(t.f);
  assert_int_equal(r.waits, 1);
  take_all(&r);
  leave(&r);
  close_log();
}

/* The engine goes first: waits end, and readers and log can be freed. */
static void engine_may_close_first(void** state) {
  struct follower some[3];
  uvdio_log_record_t record;
  begin(state, 0);
  append_all(50, 3000);
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    follow_closely(&some[i], 0);
  }
  take_all(&some[0]); /* waits at the end, the second for a read, the third has not begun */
  wait(&some[0]);
  assert_code(take(&some[1]), UV_EAGAIN);
  wait(&some[1]);
  assert_ok(t_engine_close(t.f->engine, on_engine_closed));
  assert_code(uvdio_log_reader_take(some[0].reader, &record), UV_EBADF);
  assert_code(uvdio_log_reader_close(some[0].reader, on_closed, &some[0]), UV_EBADF);
  assert_code(uvdio_log_reader_destroy(some[0].reader), UV_EBUSY);
  run(t.f);
  assert_int_equal(t.f->closed, 1);
  assert_int_equal(some[0].waits, 1);
  assert_int_equal(some[1].waits, 1);
  assert_code(uvdio_log_reader_take(some[1].reader, &record), UV_EBADF);
  assert_code(uvdio_log_destroy(t.log), UV_EBUSY);
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    assert_ok(uvdio_log_reader_destroy(some[i].reader));
  }
  assert_ok(uvdio_log_destroy(t.log));
  run(t.f);
  t.f->engine = NULL;
}

static void close_meets_the_engine_s(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(50, 3000);
  follow_closely(&r, 0);
  assert_code(take(&r), UV_EAGAIN);
  wait(&r);
  assert_ok(uvdio_log_reader_close(r.reader, on_closed, &r));
  assert_ok(t_engine_close(t.f->engine, on_engine_closed));
  run(t.f);
  assert_int_equal(r.waits, 1);
  assert_int_equal(r.closes, 1);
  if (r.close_status == UV_EBADF) {
    assert_ok(uvdio_log_reader_destroy(r.reader));
  }
  assert_ok(uvdio_log_destroy(t.log));
  run(t.f);
  t.f->engine = NULL;
}

static int use_in_child(void* data) {
  struct follower* r = data;
  uvdio_log_record_t record;
  uvdio_log_reader_t* none = NULL;
  EXPECT(uvdio_log_reader_take(r->reader, &record) == UVDIO_EFORK);
  EXPECT(uvdio_log_reader_wait(r->reader, on_ready, r) == UVDIO_EFORK);
  EXPECT(uvdio_log_reader_create(&none, t.log, NULL) == UVDIO_EFORK);
  EXPECT(uvdio_log_reader_close(r->reader, on_closed, r) == UVDIO_EFORK);
  return 0;
}

/* The log was closed before, and waits for its reader, which the engine's end has left. */
static void log_s_close_ends_with_its_last_reader(void** state) {
  struct follower r;
  begin(state, 0);
  append_all(3, 100);
  follow(&r);
  take_all(&r);
  assert_ok(uvdio_log_close(t.log, on_log_closed, NULL));
  run(t.f);
  assert_ok(t_engine_close(t.f->engine, on_engine_closed));
  run(t.f);
  assert_int_equal(t.closed, 0);
  assert_ok(uvdio_log_reader_destroy(r.reader));
  assert_code(uvdio_log_destroy(t.log), UV_EBUSY); /* its close was not called back */
  run(t.f);
  assert_int_equal(t.closed, 1);
  assert_code(t.status, UV_EBADF);
  assert_ok(uvdio_log_destroy(t.log));
  run(t.f);
  t.f->engine = NULL;
}

static void children_are_turned_away(void** state) {
  struct follower r;
  need_fork();
  begin(state, 0);
  append_all(3, 100);
  follow(&r);
  take_all(&r);
  assert_int_equal(in_a_child(use_in_child, &r), 0);
  append_all(1, 10);
  take_all(&r);
  leave(&r);
  close_log();
}

static void use_on_a_thread(void* data) {
  struct follower* r = data;
  uvdio_log_record_t record;
  uvdio_log_reader_t* none = NULL;
  r->end = uvdio_log_reader_take(r->reader, &record) == UVDIO_ETHREAD &&
           uvdio_log_reader_wait(r->reader, on_ready, r) == UVDIO_ETHREAD &&
           uvdio_log_reader_create(&none, t.log, NULL) == UVDIO_ETHREAD &&
           uvdio_log_reader_close(r->reader, on_closed, r) == UVDIO_ETHREAD;
}

static void other_threads_are_turned_away(void** state) {
  struct follower r;
  uv_thread_t thread;
  begin(state, 0);
  append_all(3, 100);
  follow(&r);
  assert_code(take(&r), UV_EAGAIN); /* so that something is pending, and the thread matters */
  assert_ok(uv_thread_create(&thread, use_on_a_thread, &r));
  assert_ok(uv_thread_join(&thread));
  assert_int_equal(r.end, 1);
  take_all(&r);
  leave(&r);
  close_log();
}

static void misuse_is_refused(void** state) {
  uvdio_log_reader_t* none = NULL;
  uvdio_log_record_t record;
  uvdio_log_reader_info_t info;
  struct follower r;
  const struct {
    uvdio_log_reader_options_t options;
    int code;
  } bad[] = {
      {{.flags = 1u << 30}, UV_EINVAL},
      {{.buffer_size = PAGE}, UVDIO_EALIGN},
      {{.buffer_size = (size_t)1 << 31}, UV_EINVAL},
      {{.record_max = UVDIO_LOG_RECORD_MAX + 1}, UV_EINVAL},
      {{.class_number = UVDIO_CLASSES}, UV_EINVAL},
      {{.begin = 2}, UV_EINVAL},
  };
  memset(&t, 0, sizeof(t));
  t.f = *state;
  t.options.segment_size = SEGMENT;
  t_mkdir(op_now(&t.f->tracker), t.f->engine, path_of(t.f, "wal"));
  assert_ok(
      uvdio_log_open(&t.log, t.f->engine, path_of(t.f, "wal"), &t.options, NULL, on_open, NULL));
  assert_code(uvdio_log_reader_create(&none, t.log, NULL), UV_EAGAIN);
  run_untracked(t.f);
  assert_code(uvdio_log_reader_create(NULL, t.log, NULL), UV_EINVAL);
  assert_code(uvdio_log_reader_create(&none, NULL, NULL), UV_EINVAL);
  for (unsigned i = 0; i < COUNT_OF(bad); i++) {
    assert_code(uvdio_log_reader_create(&none, t.log, &bad[i].options), bad[i].code);
  }
  uint64_t newer[20] = {[19] = 1};
  assert_code(uvdio_log_reader_create_sized(&none, t.log, (const void*)newer, sizeof(newer)),
              UV_E2BIG);
  assert_null(none);
  assert_code(uvdio_log_reader_take(NULL, &record), UV_EINVAL);
  assert_code(uvdio_log_reader_wait(NULL, on_ready, &r), UV_EINVAL);
  assert_code(uvdio_log_reader_info(NULL, &info), UV_EINVAL);
  assert_code(uvdio_log_reader_close(NULL, on_closed, &r), UV_EINVAL);
  assert_code(uvdio_log_reader_destroy(NULL), UV_EINVAL);
  follow(&r);
  assert_ok(uvdio_log_reader_destroy(r.reader)); /* it has asked for nothing yet */
  follow(&r);
  assert_code(uvdio_log_reader_take(r.reader, NULL), UV_EINVAL);
  assert_code(uvdio_log_reader_wait(r.reader, NULL, &r), UV_EINVAL);
  assert_code(uvdio_log_reader_info(r.reader, NULL), UV_EINVAL);
  wait(&r);
  assert_code(uvdio_log_reader_wait(r.reader, on_ready, &r), UV_EBUSY);
  assert_code(uvdio_log_reader_take(r.reader, &record), UV_EBUSY);
  assert_code(uvdio_log_reader_destroy(r.reader), UV_EBUSY);
  append_all(2, 10);
  take_all(&r);
  info = info_of_reader(&r);
  assert_true(info.taken == 2 && info.bytes == 20 && info.reads > 0 && info.in_flight == 0);
  assert_ok(uvdio_log_reader_close(r.reader, NULL, NULL));
  run_untracked(t.f);
  close_log();
}

/* A reader that begins behind a record which ends in the block that a packed log goes on in. */
static void record_behind_one_that_was_skipped_to_the_tail(void** state) {
  struct follower r;
  begin(state, UVDIO_LOG_PACKED);
  append_all(1, 10000);
  follow_closely(&r, t.lsns[0] + 1);
  r.next = 1;
  assert_code(take(&r), UV_EAGAIN);
  run_untracked(t.f);
  assert_code(take(&r), UV_EAGAIN); /* which comes to the tail */
  append(100);
  append(5000);
  append(100);
  run_untracked(t.f);
  assert_int_equal(t.acknowledged, 4);
  take_all(&r);
  leave(&r);
  close_log();
}

/* It has taken the last record of the first segment, and the next one is in the second. */
static void cut_behind_a_pinned_reader_that_waits(void** state, struct follower* r) {
  begin(state, 0);
  append_all(15, 4052); /* the first segment's blocks, one each */
  follow_with(r, (uvdio_log_reader_options_t){.flags = UVDIO_LOG_READER_PIN});
  take_all(r);
  wait(r);
  append_all(1, 10);
  assert_true(t.lsns[14] / SEGMENT == 1 && t.lsns[15] / SEGMENT == 2);
  assert_ok(uvdio_log_cut(t.log, uvdio_log_durable(t.log)));
  run_untracked(t.f);
}

/* What the reader has taken last is spared while it waits for what follows. */
static void pin_spares_what_was_taken_last(void** state) {
  struct follower r;
  cut_behind_a_pinned_reader_that_waits(state, &r);
  assert_true(info_of_reader(&r).lsn == t.lsns[14]);
  assert_int_equal(log_stats().first_segment, 1);
  take_all(&r);
  run_untracked(t.f);
  assert_int_equal(log_stats().first_segment, 2);
  leave(&r);
  close_log();
}

/* So that a consumer's next life begins behind it. */
static void pinned_reader_s_successor_begins_behind_it(void** state) {
  struct follower r;
  uint64_t last;
  cut_behind_a_pinned_reader_that_waits(state, &r);
  last = info_of_reader(&r).lsn; /* which it has kept, and there is another life */
  assert_ok(uvdio_log_close(t.log, on_log_closed, NULL));
  leave(&r);
  open_log();
  follow_with(&r, (uvdio_log_reader_options_t){.begin = last + 1, .flags = UVDIO_LOG_READER_PIN});
  r.next = 15;
  take_all(&r);
  leave(&r);
  close_log();
}

/* A record without an end, which is longer than what the reader takes, is none. */
static void record_without_an_end_is_not_too_long(void** state) {
  struct follower r;
  begin_behind_a_record_without_an_end(state);
  follow_with(&r, (uvdio_log_reader_options_t){.record_max = 6000});
  append_all(3, 6000);
  take_all(&r);
  leave(&r);
  close_log();
}

/* A reader that pins goes through segments that were cut meanwhile: an append waits no longer. */
static void window_is_not_put_off_by_pins(void** state) {
  struct follower r;
  if (!on_memory() || matrix.simulated) {
    SKIP("elsewhere it takes its time");
  }
  begin_with(state, (uvdio_log_options_t){.segment_size = SEGMENT, .window_ms = 100});
  for (unsigned i = 0; i < 600; i++) {
    append(3000);
  }
  run_untracked(t.f);
  follow_with(&r, (uvdio_log_reader_options_t){.flags = UVDIO_LOG_READER_PIN});
  assert_ok(uvdio_log_cut(t.log, t.lsns[599]));
  assert_ok(take_up_to(&r, 1));
  append(10);
  while (t.acknowledged < 601 && r.next < 600) {
    uint64_t segment = t.lsns[r.next - 1] / SEGMENT;
    do {
      assert_ok(take_up_to(&r, r.next + 1));
    } while (r.next < 600 && t.lsns[r.next - 1] / SEGMENT == segment);
    uint64_t until = uv_hrtime() + 50000000;
    while (uv_hrtime() < until) {
      (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
    }
  }
  assert_int_equal(t.acknowledged, 601);
  leave(&r);
  close_log();
}

static uvdio_class_stats_t class_now(void) {
  uvdio_class_stats_t stats;
  assert_ok(uvdio_class_stats(t.f->engine, UVDIO_CLASS_USER, &stats));
  return stats;
}

/* A reader that waits for its class's room closes while there is none. */
static void close_waits_for_no_room(void** state) {
  static const uvdio_class_options_t bounds = {.depth = 1, .queue_max = 1, .operations_max = 1};
  uvdio_log_reader_options_t options = {.class_number = UVDIO_CLASS_USER,
                                        .buffer_size = SMALL_BUFFER};
  struct follower some[2];
  begin(state, 0);
  append_all(60, 3000);
  assert_ok(uvdio_class_set(t.f->engine, UVDIO_CLASS_USER, &bounds));
  for (unsigned i = 0; i < COUNT_OF(some); i++) {
    uint64_t refused = class_now().refused;
    follow_with(&some[i], options);
    assert_code(take(&some[i]), UV_EAGAIN);
    while (class_now().refused == refused) {
      (void)uv_run(&t.f->loop, UV_RUN_NOWAIT);
    }
  }
  assert_int_equal(class_now().waiting, 1);
  assert_ok(uvdio_log_reader_close(some[1].reader, on_closed, &some[1]));
  while (some[1].closes == 0) {
    (void)uv_run(&t.f->loop, UV_RUN_ONCE);
  }
  assert_int_equal(class_now().waiting, 1);
  leave(&some[0]);
  close_log();
}

static void on_log_closed_destroy(uvdio_log_t* log, int status, void* arg) {
  on_log_closed(log, status, arg);
  assert_code(uvdio_log_destroy(log), UV_EBUSY);
}

static void log_is_not_destroyed_in_its_close_callback(void** state) {
  begin(state, 0);
  assert_ok(uvdio_log_close(t.log, on_log_closed_destroy, NULL));
  run_untracked(t.f);
  assert_int_equal(t.closed, 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_engine, empty_log_has_none),
      TEST_ON(fixture_engine, any_length_is_read),
      TEST_ON(fixture_engine, any_length_is_read_packed),
      TEST_ON(fixture_engine, large_record_is_read),
      cmocka_unit_test_setup_teardown(memory_grows_with_a_record_s_bytes, engine_that_measures,
                                      tear_down_and_measure_no_more),
      TEST_ON(fixture_engine, records_of_earlier_lives_are_read),
      TEST_ON(fixture_engine, tail_is_followed),
      TEST_ON(fixture_engine, packed_tail_is_followed),
      TEST_ON(fixture_engine, only_what_is_durable_is_given),
      TEST_ON(fixture_engine, only_what_is_durable_is_given_packed),
      TEST_ON(fixture_engine, record_can_be_taken_within_its_callback),
      TEST_ON(fixture_engine, bytes_stay_until_the_next_take),
      TEST_ON(fixture_engine, reader_begins_anywhere),
      TEST_ON(fixture_engine, lsn_that_was_never_told_is_refused),
      TEST_ON(fixture_engine, next_goes_on_in_the_next_life),
      TEST_ON(fixture_engine, readers_do_not_meet),
      TEST_ON(fixture_engine, record_without_an_end_is_left_out),
      TEST_ON(fixture_engine, records_that_were_cut_off_are_not_given),
      TEST_ON(fixture_engine, cut_behind_the_reader_spares_it),
      TEST_ON(fixture_engine, cut_within_a_record_that_is_gathered),
      TEST_ON(fixture_engine, pin_spares_records),
      TEST_ON(fixture_engine, pin_ends_with_its_reader),
      TEST_ON(fixture_engine, record_that_is_too_long_is_told),
      TEST_ON(fixture_engine, error_of_a_request_stops_the_reader),
      TEST_ON(fixture_engine, damage_is_told),
      TEST_ON(fixture_engine, block_that_does_not_follow_is_damage),
      TEST_ON(fixture_engine, error_of_the_log_comes_last),
      TEST_ON(fixture_engine, full_class_slows_readers_down),
      TEST_ON(fixture_engine, closing_log_has_an_end),
      TEST_ON(fixture_engine, close_of_the_log_ends_a_wait),
      TEST_ON(fixture_engine, reader_closes_at_any_place),
      TEST_ON(fixture_engine, callback_may_close_the_reader),
      TEST_ON(fixture_engine, cancelled_wait_goes_on),
      TEST_ON(fixture_engine, engine_may_close_first),
      TEST_ON(fixture_engine, close_meets_the_engine_s),
      TEST_ON(fixture_engine, log_s_close_ends_with_its_last_reader),
      TEST_ON(fixture_engine, children_are_turned_away),
      TEST_ON(fixture_engine, other_threads_are_turned_away),
      TEST_ON(fixture_engine, misuse_is_refused),
      TEST_ON(fixture_engine, record_behind_one_that_was_skipped_to_the_tail),
      TEST_ON(fixture_engine, pin_spares_what_was_taken_last),
      TEST_ON(fixture_engine, pinned_reader_s_successor_begins_behind_it),
      TEST_ON(fixture_engine, record_without_an_end_is_not_too_long),
      TEST_ON(fixture_engine, window_is_not_put_off_by_pins),
      TEST_ON(fixture_engine, close_waits_for_no_room),
      TEST_ON(fixture_engine, log_is_not_destroyed_in_its_close_callback),
  };
  return matrix_main("log_readers", tests, COUNT_OF(tests), argc, argv);
}
