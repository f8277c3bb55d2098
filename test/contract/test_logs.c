/* SPDX-License-Identifier: MIT */
/*
 * Logs: every record that was acknowledged is replayed, in its order and as it was, whatever its
 * length; segments follow each other and are used again; and what is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "ops.h"
#include "random.h"
#include "uvdio/class.h"
#include "uvdio/faults.h"
#include "uvdio/log.h"

#define RECORDS_MAX 4000u
#define SEGMENT ((uint64_t)64 * 1024)
#define FAR_MS 1000000u

/* A log under test, and what is known of its records. */
struct tested {
  struct fixture* f;
  uvdio_log_t* log;
  uvdio_log_options_t options;
  int opened; /* calls of on_open */
  int status; /* what the last one was given */
  int closed; /* calls of on_close */
  int close_status;
  unsigned appended; /* records, in this life and before */
  unsigned acknowledged;
  unsigned failed;
  int error; /* the first of those */
  unsigned out_of_order;
  uint64_t lsns[RECORDS_MAX];
  size_t lengths[RECORDS_MAX];
  unsigned replayed; /* in this life, from `first` on */
  unsigned first;
  unsigned wrong; /* that were not as they should be */
};

struct piece {
  uvdio_log_append_t append;
  struct tested* t;
  unsigned number;
  char* bytes;
};

static struct tested tested;

/* The bytes of a record tell its number. */
static char byte_of(unsigned number, size_t at) {
  return (char)(number * 7 + at * 13 + (at >> 8));
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  struct tested* t = arg;
  unsigned number = t->first + t->replayed++;
  const char* bytes = data;
  int is_good = number < t->appended && length == t->lengths[number] &&
                (t->lsns[number] == 0 || t->lsns[number] == lsn);
  for (size_t i = 0; i < length && is_good; i++) {
    is_good = bytes[i] == byte_of(number, i);
  }
  t->wrong += !is_good;
  if (is_good) {
    t->lsns[number] = lsn;
  }
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  struct tested* t = arg;
  t->wrong += log != t->log;
  t->opened++;
  t->status = status;
}

static void on_close(uvdio_log_t* log, int status, void* arg) {
  struct tested* t = arg;
  t->wrong += log != t->log;
  t->closed++;
  t->close_status = status;
}

static void on_append(uvdio_log_append_t* append, int status) {
  struct piece* piece = append->data;
  struct tested* t = piece->t;
  if (inside_library()) {
    tracker_violation(&t->f->tracker, "append: called back from inside a call");
  }
  if (status == 0) {
    t->out_of_order += piece->number != t->acknowledged;
    t->out_of_order += t->acknowledged > 0 && append->lsn <= t->lsns[t->acknowledged - 1];
    t->lsns[piece->number] = append->lsn;
    t->out_of_order += uvdio_log_durable(t->log) <= append->lsn;
    t->acknowledged++;
  } else {
    t->failed++;
    t->error = t->error != 0 ? t->error : status;
  }
  free(piece->bytes);
  free(piece);
}

static int append(struct tested* t, size_t length) {
  struct piece* piece = calloc(1, sizeof(*piece));
  assert_non_null(piece);
  piece->t = t;
  piece->append.data = piece;
  piece->number = t->appended;
  piece->bytes = malloc(length);
  assert_non_null(piece->bytes);
  for (size_t i = 0; i < length; i++) {
    piece->bytes[i] = byte_of(piece->number, i);
  }
  int code = uvdio_log_append(t->log, &piece->append, piece->bytes, length, on_append);
  if (code == 0) {
    assert_true(t->appended < RECORDS_MAX);
    t->lengths[t->appended] = length;
    t->lsns[t->appended++] = 0;
  } else {
    free(piece->bytes);
    free(piece);
  }
  return code;
}

static void open_log(struct tested* t) {
  t->opened = t->closed = 0;
  t->replayed = 0;
  assert_ok(uvdio_log_open(&t->log, t->f->engine, path_of(t->f, "wal"), &t->options, on_record,
                           on_open, t));
  assert_int_equal(t->opened, 0);
}

static void run_log(struct tested* t) {
  run_untracked(t->f);
}

static void close_log(struct tested* t) {
  assert_ok(uvdio_log_close(t->log, on_close, t));
  assert_int_equal(t->closed, 0);
  run_log(t);
  assert_int_equal(t->closed, 1);
}

/* Closed and opened again: all records are there. */
static void reopen(struct tested* t) {
  close_log(t);
  assert_ok(t->close_status);
  open_log(t);
  run_log(t);
  assert_int_equal(t->opened, 1);
  assert_ok(t->status);
  assert_int_equal(t->wrong, 0);
}

static void assert_all_there(struct tested* t) {
  assert_int_equal(t->failed, 0);
  assert_int_equal(t->out_of_order, 0);
  assert_int_equal(t->acknowledged, t->appended);
  reopen(t);
  assert_int_equal(t->first + t->replayed, t->appended);
}

static struct tested* begin_with(struct fixture* f, uvdio_log_options_t options) {
  memset(&tested, 0, sizeof(tested));
  tested.f = f;
  tested.options = options;
  t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "wal"));
  open_log(&tested);
  return &tested;
}

/* Writes that keep the default class full. */
struct crowd {
  struct fixture* f;
  uvdio_req_t reqs[3];
  uvdio_buf_t pages[3];
  unsigned running;
  unsigned refused;
  int goes_on;
};

static void write_beside(struct crowd* crowd);

static void on_beside(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct crowd* crowd = req->data;
  assert_int_equal(result, PAGE);
  crowd->pages[req - crowd->reqs] = buf;
  crowd->running--;
  if (crowd->goes_on) {
    write_beside(crowd);
  }
}

/* As many as the class takes. */
static void write_beside(struct crowd* crowd) {
  for (unsigned i = 0; i < 3; i++) {
    crowd->reqs[i].data = crowd;
    if (crowd->pages[i].base != NULL) {
      int code =
          uvdio_write(&crowd->f->file, &crowd->reqs[i], &crowd->pages[i], i * PAGE, on_beside);
      assert_true(code == 0 || code == UVDIO_EFULL);
      crowd->running += code == 0;
      crowd->refused += code != 0;
    }
  }
}

static struct tested* begin(struct fixture* f, unsigned flags) {
  return begin_with(f, (uvdio_log_options_t){.segment_size = SEGMENT, .flags = flags});
}

static uvdio_log_stats_t log_stats(const struct tested* t) {
  uvdio_log_stats_t stats;
  assert_ok(uvdio_log_stats(t->log, &stats));
  return stats;
}

/* Of the next replay: records from the first segment on. */
static void expect_what_was_not_cut(struct tested* t) {
  uint64_t first_segment = log_stats(t).first_segment;
  t->first = t->appended;
  while (t->lsns[t->first - 1] / SEGMENT >= first_segment) {
    t->first--;
  }
}

/*
 * Records
 */

static void new_log_is_empty(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  assert_int_equal(t->opened, 1);
  assert_ok(t->status);
  assert_int_equal(t->replayed, 0);
  assert_int_equal(uvdio_log_durable(t->log), 1);
  reopen(t);
  assert_int_equal(t->replayed, 0);
  close_log(t);
}

static void records_come_back(void** state) {
  struct tested* t = begin(*state, 0);
  for (unsigned i = 0; i < 10; i++) {
    assert_ok(append(t, i + 1)); /* before it is open */
  }
  run_log(t);
  assert_all_there(t);
  for (unsigned i = 0; i < 10; i++) {
    assert_ok(append(t, 100));
    run_log(t);
  }
  assert_all_there(t);
  close_log(t);
}

/* Lengths around those of a block's payload, and many of a buffer. */
static void lengths(void** state, unsigned flags) {
  static const size_t some[] = {1,    2,     4,    5,    100,  4046, 4047,  4048,   4050,   4051,
                                4052, 4053,  4055, 4056, 4057, 4096, 8104,  8108,   8112,   16384,
                                3,    50000, 1,    9,    4044, 7,    70000, 200000, 300000, 12};
  struct tested* t = begin(*state, flags);
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 0; i < COUNT_OF(some); i++) {
      assert_ok(append(t, some[i]));
      if (round == 1 || (round == 2 && i % 3 == 0)) {
        run_log(t);
      }
    }
    run_log(t);
    assert_all_there(t);
  }
  close_log(t);
}

static void any_length_comes_back(void** state) {
  lengths(state, 0);
}

static void any_length_comes_back_packed(void** state) {
  lengths(state, UVDIO_LOG_PACKED);
}

static void packed_log_takes_less(void** state) {
  struct tested* t = begin(*state, UVDIO_LOG_PACKED);
  run_log(t);
  for (unsigned i = 0; i < 40; i++) {
    assert_ok(append(t, 50));
    run_log(t);
  }
  assert_int_equal(t->lsns[39] / UVDIO_PAGE_SIZE, t->lsns[0] / UVDIO_PAGE_SIZE);
  assert_all_there(t);
  assert_ok(append(t, 50)); /* behind an open, a block of its own */
  run_log(t);
  assert_int_equal(t->lsns[40] / UVDIO_PAGE_SIZE, t->lsns[39] / UVDIO_PAGE_SIZE + 1);
  assert_all_there(t);
  close_log(t);
}

/* What arrives while a flush is in flight shares the next one. */
static void appends_share_flushes(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  for (unsigned i = 0; i < 200; i++) {
    assert_ok(append(t, 20));
  }
  run_log(t);
  assert_int_equal(t->acknowledged, 200);
  assert_int_equal(log_stats(t).flushes, 2);
  assert_int_equal(log_stats(t).appends, 200);
  assert_int_equal(log_stats(t).bytes, 200 * 20);
  close_log(t);
}

/* As large as a flush may be, from memory in huge pages where there are some; and what is more than
 * both buffers take. */
static void large_flushes_come_back(void** state) {
  struct fixture* f = *state;
  struct tested* t = begin_with(
      f, (uvdio_log_options_t){.segment_size = 64 * SEGMENT, .buffer_size = (size_t)2 * MIB});
  run(f);
  for (unsigned i = 0; i < 300; i++) {
    assert_ok(append(t, 16384));
  }
  run(f);
  assert_true(log_stats(t).flushes <= 5);
  assert_all_there(t);
  close_log(t);
}

static void window_gathers(void** state) {
  struct fixture* f = *state;
  struct tested* t = begin_with(f, (uvdio_log_options_t){.segment_size = SEGMENT, .window_ms = 20});
  run(f);
  for (unsigned i = 0; i < 50; i++) {
    assert_ok(append(t, 20));
  }
  run(f);
  assert_int_equal(log_stats(t).flushes, 1);
  t->options.flush_size = 40; /* of the next life, whose window does not end by itself */
  t->options.window_ms = FAR_MS;
  assert_all_there(t);
  for (unsigned i = 0; i < 2; i++) {
    assert_ok(append(t, 20));
  }
  run(f);
  assert_int_equal(log_stats(t).flushes, 1);
  close_log(t);
}

/*
 * Segments
 */

static void cut_segments_are_used_again(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  for (unsigned i = 0; i < 300; i++) {
    assert_ok(append(t, 3000));
    run_log(t);
    if (i % 10 == 9) {
      assert_ok(uvdio_log_cut(t->log, t->lsns[t->acknowledged - 1]));
      run_log(t);
    }
  }
  uvdio_log_stats_t stats = log_stats(t);
  assert_true(stats.segments_used_again > 5);
  assert_true(stats.segments_made < 8);
  assert_true(stats.last_segment > 15 && stats.first_segment + 2 >= stats.last_segment);
  /* Those of the last segment are there, whole, and no others. */
  expect_what_was_not_cut(t);
  assert_all_there(t);
  assert_int_equal(log_stats(t).first_segment, stats.first_segment);
  assert_missing(t->f, "wal/0000000000000001.seg");
  close_log(t);
}

/* A log keeps the size of its segments, whatever a later open asks for. */
static void size_of_segments_stays(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  assert_ok(append(t, 100));
  run_log(t);
  t->options = (uvdio_log_options_t){0}; /* segments of 64 MiB, flushes of 4 MiB */
  assert_all_there(t);
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(append(t, 50000));
  }
  run_log(t);
  assert_true(log_stats(t).last_segment > 10);
  assert_all_there(t);
  close_log(t);
}

/* A record that begins in a segment that was cut off is gone, though its end is there. */
static void cut_within_a_record(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  assert_ok(append(t, 100));
  assert_ok(append(t, 3 * SEGMENT / 2));
  assert_ok(append(t, 100));
  run_log(t);
  assert_int_equal(t->acknowledged, 3);
  assert_ok(uvdio_log_cut(t->log, t->lsns[2]));
  run_log(t);
  t->first = 2;
  assert_all_there(t);
  assert_int_equal(t->replayed, 1);
  close_log(t);
}

static void cut_past_the_end_keeps_the_last(void** state) {
  struct tested* t = begin(*state, 0);
  assert_code(uvdio_log_cut(t->log, 1), UV_EAGAIN);
  run_log(t);
  assert_ok(append(t, 10));
  run_log(t);
  assert_ok(uvdio_log_cut(t->log, UINT64_MAX));
  run_log(t);
  assert_all_there(t);
  assert_int_equal(t->replayed, 1);
  close_log(t);
}

/*
 * Damage
 */

/* Reads or writes the block of a segment that has this record's begin. */
static void move_block(struct tested* t, uint64_t lsn, uvdio_buf_t* page, int is_write) {
  uint64_t offset = lsn % SEGMENT / PAGE * PAGE;
  const char* name = segment_name(lsn / SEGMENT);
  open_now(t->f, &t->f->other, name, UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED);
  struct tracked_op* op = op_now(&t->f->tracker);
  assert_result(
      is_write ? t_write(op, &t->f->other, page, offset) : t_read(op, &t->f->other, page, offset),
      PAGE);
  close_other(t->f);
}

/* Changes one byte of that block. */
static void damage(struct tested* t, uint64_t lsn) {
  uvdio_buf_t page = blank(PAGE);
  move_block(t, lsn, &page, 0);
  page.base[100]++;
  move_block(t, lsn, &page, 1);
  assert_ok(uvdio_buf_release(&page));
}

static struct tested* with_records(struct fixture* f, unsigned count) {
  struct tested* t = begin(f, 0);
  run_log(t);
  for (unsigned i = 0; i < count; i++) {
    assert_ok(append(t, 1000));
    run_log(t);
  }
  assert_int_equal(t->acknowledged, count);
  return t;
}

static void open_to_its_end(struct tested* t, int expected) {
  open_log(t);
  run_log(t);
  assert_int_equal(t->opened, 1);
  assert_code(t->status, expected);
}

static void damage_in_the_middle_is_an_error(void** state) {
  struct tested* t = with_records(*state, 40);
  close_log(t);
  damage(t, t->lsns[7]);
  open_to_its_end(t, UVDIO_EDAMAGED);
  assert_int_equal(t->replayed, 7);
  assert_int_equal(t->wrong, 0);
  assert_code(append(t, 10), UVDIO_EDAMAGED);
  assert_code(uvdio_log_cut(t->log, 1), UVDIO_EDAMAGED);
  close_log(t);
  assert_code(t->close_status, UVDIO_EDAMAGED);
}

/* Also where all that tells of it is in a later segment. */
static void damage_at_the_end_of_a_segment_is_an_error(void** state) {
  struct tested* t = with_records(*state, 20);
  unsigned last = 0;
  while (last + 1 < 20 && t->lsns[last + 1] / SEGMENT == t->lsns[0] / SEGMENT) {
    last++;
  }
  assert_true(last < 18);
  close_log(t);
  damage(t, t->lsns[last]);
  open_to_its_end(t, UVDIO_EDAMAGED);
  assert_int_equal(t->replayed, last);
  close_log(t);
}

static void torn_end_is_an_end(void** state) {
  struct tested* t = with_records(*state, 10);
  close_log(t);
  damage(t, t->lsns[9]);
  t->appended = t->acknowledged = 9;
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 9);
  assert_ok(append(t, 500));
  run_log(t);
  assert_all_there(t);
  close_log(t);
}

/* A packed block keeps what it was while the one behind it is written: as a cut may leave it. */
static void block_that_does_not_follow_is_an_end(void** state) {
  struct tested* t = begin(*state, UVDIO_LOG_PACKED);
  uvdio_buf_t page = blank(PAGE);
  run_log(t);
  assert_ok(append(t, 1000));
  run_log(t);
  move_block(t, t->lsns[0], &page, 0);
  assert_ok(append(t, 5000)); /* goes on in that block, and ends in the next */
  run_log(t);
  close_log(t);
  move_block(t, t->lsns[0], &page, 1);
  assert_ok(uvdio_buf_release(&page));
  t->appended = t->acknowledged = 1;
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 1);
  close_log(t);
}

/* Of a flush that was interrupted its second block is left. The next life writes the same first
 * block again: the second one does not follow it all the same. */
static void what_an_open_has_left_out_stays_out(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  assert_ok(append(t, 100));  /* in a flush alone */
  assert_ok(append(t, 4052)); /* a block */
  assert_ok(append(t, 4052)); /* and another, in one flush */
  run_log(t);
  assert_int_equal(log_stats(t).flushes, 2);
  close_log(t);
  damage(t, t->lsns[1]);
  t->appended = t->acknowledged = 1;
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 1);
  assert_ok(append(t, 4052));
  run_log(t);
  t->appended = 2;
  assert_all_there(t);
  assert_int_equal(t->replayed, 2);
  close_log(t);
}

static void missing_segment_is_an_error(void** state) {
  struct tested* t = with_records(*state, 50);
  uint64_t middle = t->lsns[25] / SEGMENT;
  assert_true(middle > t->lsns[0] / SEGMENT && middle < t->lsns[49] / SEGMENT);
  close_log(t);
  const char* name = segment_name(middle);
  assert_result(t_unlink(op_now(&t->f->tracker), t->f->engine, path_of(t->f, name)), 0);
  open_to_its_end(t, UVDIO_EDAMAGED);
  close_log(t);
}

/* Also the last one that has records: the one behind it, which was made ahead, is there. */
static void missing_last_segment_is_an_error(void** state) {
  struct tested* t = with_records(*state, 20);
  uint64_t last = t->lsns[19] / SEGMENT;
  assert_true(last > t->lsns[0] / SEGMENT);
  assert_int_equal(log_stats(t).last_segment, last);
  close_log(t);
  const char* name = segment_name(last);
  assert_result(t_unlink(op_now(&t->f->tracker), t->f->engine, path_of(t->f, name)), 0);
  open_to_its_end(t, UVDIO_EDAMAGED);
  close_log(t);
}

static void damaged_control_file_is_an_error(void** state) {
  struct tested* t = with_records(*state, 1);
  close_log(t);
  uvdio_buf_t page = filled(PAGE, 3);
  open_now(t->f, &t->f->other, "wal/log", UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED);
  assert_result(t_write(op_now(&t->f->tracker), &t->f->other, &page, 0), PAGE);
  assert_ok(uvdio_buf_release(&page));
  close_other(t->f);
  open_to_its_end(t, UVDIO_EDAMAGED);
  assert_int_equal(t->replayed, 0);
  close_log(t);
}

static void unlink_now(struct tested* t, const char* name) {
  assert_result(t_unlink(op_now(&t->f->tracker), t->f->engine, path_of(t->f, name)), 0);
}

/* The mark in the lock's file tells that there was a log. */
static void assert_marked(struct tested* t) {
  unlink_now(t, "wal/log");
  open_to_its_end(t, UVDIO_EDAMAGED);
  close_log(t);
}

static void missing_control_file_is_an_error(void** state) {
  struct tested* t = with_records(*state, 3);
  close_log(t);
  assert_marked(t);
}

static void add_rule(struct fixture* f, const uvdio_fault_rule_t* rule) {
  if (f->sim != NULL) {
    assert_ok(uvdio_sim_add_rule(f->sim, rule));
  } else {
    assert_ok(uvdio_engine_add_rule(f->engine, rule));
  }
}

/* The write of the mark fails, and with it the open; the control file has its name by then. */
static void mark_that_was_not_written_is_made(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE, .path = "*lock", .times = 1};
  rule.fault.kind = UVDIO_FAULT_ERROR;
  rule.fault.error = UV_EIO;
  add_rule(f, &rule);
  struct tested* t = begin(f, 0);
  run_log(t);
  assert_code(t->status, UV_EIO);
  close_log(t);
  open_to_its_end(t, 0);
  assert_ok(append(t, 100));
  run_log(t);
  assert_all_there(t);
  close_log(t);
  assert_marked(t);
}

/* A program that was killed may have left a log without the mark: the next open makes it. */
static void missing_mark_is_made(void** state) {
  struct tested* t = with_records(*state, 3);
  close_log(t);
  unlink_now(t, "wal/lock");
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 3);
  close_log(t);
  assert_marked(t);
}

/* Who knows that there is a log makes no new one in its place. */
static void log_that_has_to_exist_is_not_made(void** state) {
  struct tested* t = with_records(*state, 3);
  close_log(t);
  t->options.flags |= UVDIO_LOG_EXISTING;
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 3);
  close_log(t);
  unlink_now(t, "wal/lock");
  unlink_now(t, "wal/log");
  open_to_its_end(t, UV_ENOENT);
  assert_int_equal(t->replayed, 0);
  close_log(t);
  open_to_its_end(t, UV_ENOENT); /* nor by the open before */
  close_log(t);
}

static void forget_log(struct tested* t) {
  unlink_now(t, "wal/log");
  unlink_now(t, "wal/lock");
  t->appended = t->acknowledged = 0;
}

/* A new log in a directory that an old one has left segments in. */
static void segments_of_another_log_are_none(void** state) {
  struct tested* t = with_records(*state, 60);
  assert_true(t->lsns[59] / SEGMENT > 3);
  close_log(t);
  forget_log(t);
  open_to_its_end(t, 0);
  assert_int_equal(t->replayed, 0);
  for (unsigned i = 0; i < 40; i++) {
    assert_ok(append(t, 1000));
    run_log(t);
    assert_all_there(t);
  }
  close_log(t);
}

/* The same of files that nobody has made as segments, of any size. */
static void files_without_a_head_are_none(void** state) {
  static const size_t pages[] = {0, 1, 5, 16, 30};
  struct fixture* f = *state;
  struct tested* t = begin(f, 0);
  run_log(t);
  for (unsigned i = 0; i < COUNT_OF(pages); i++) {
    uvdio_buf_t page = filled(PAGE, 3);
    uint64_t number = log_stats(t).last_segment + 2;
    const char* name = segment_name(number);
    open_now(f, &f->other, name, UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_DIRECT_PREFERRED);
    for (unsigned k = 0; k < pages[i]; k++) {
      assert_result(t_write(op_now(&f->tracker), &f->other, &page, k * PAGE), PAGE);
    }
    assert_ok(uvdio_buf_release(&page));
    close_other(f);
    assert_all_there(t);
    for (unsigned k = 0; k < 16; k++) {
      assert_ok(append(t, 4000));
      run_log(t);
    }
    assert_all_there(t);
  }
  close_log(t);
}

/* But a block of this log in such a file tells that it was a segment. The one behind it, which was
 * made ahead, would tell of a gap. */
static void segment_without_a_head_is_an_error(void** state) {
  struct tested* t = with_records(*state, 20);
  uint64_t last = t->lsns[19] / SEGMENT;
  assert_true(last > t->lsns[0] / SEGMENT);
  close_log(t);
  const char* name = segment_name(last + 1);
  assert_result(t_unlink(op_now(&t->f->tracker), t->f->engine, path_of(t->f, name)), 0);
  damage(t, last * SEGMENT);
  open_to_its_end(t, UVDIO_EDAMAGED);
  close_log(t);
}

/*
 * Errors
 */

static void fail_once(struct fixture* f, uvdio_op_t op, int error, uint64_t times) {
  uvdio_fault_rule_t rule = {.op = op, .times = times};
  rule.fault.kind = UVDIO_FAULT_ERROR;
  rule.fault.error = error;
  add_rule(f, &rule);
}

/* No room for the next segment, for a while: it is tried again when it is needed. */
static void passing_error_is_tried_again(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  fail_once(t->f, UVDIO_OP_PREALLOCATE, UV_ENOSPC, 1);
  for (unsigned i = 0; i < 12; i++) {
    assert_ok(append(t, 20000));
    run_log(t);
    assert_int_equal(t->acknowledged, i + 1);
  }
  assert_int_equal(t->failed, 0);
  assert_all_there(t);
  close_log(t);
}

/* There is no room for good: what needs the next segment gets the error, and all after it. */
static void lasting_error_stops_the_log(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  fail_once(t->f, UVDIO_OP_PREALLOCATE, UV_ENOSPC, 0);
  for (unsigned i = 0; i < 20 && t->error == 0; i++) {
    if (append(t, 20000) != 0) {
      break;
    }
    run_log(t);
  }
  assert_code(t->error, UV_ENOSPC);
  assert_true(t->acknowledged >= 3);
  assert_code(append(t, 1), UV_ENOSPC);
  close_log(t);
  assert_code(t->close_status, UV_ENOSPC);
}

/* The close frees the log, which UV_EBADF would deny. */
static void descriptor_that_is_gone_is_no_end_of_the_engine(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  fail_once(t->f, UVDIO_OP_WRITE, UV_EBADF, 0);
  for (unsigned i = 0; i < 20 && t->error == 0; i++) { /* a world's other rules may come first */
    assert_ok(append(t, 1));
    run_log(t);
  }
  assert_code(t->error, UV_EBADF);
  close_log(t);
  assert_code(t->close_status, UV_EIO);
}

/* What can't be removed stays, and the log opens and goes on. */
static void segments_that_stay_stop_nobody(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  fail_once(t->f, UVDIO_OP_UNLINK, UV_EPERM, 0);
  for (unsigned i = 0; i < 30; i++) {
    assert_ok(append(t, 20000));
    run_log(t);
    assert_ok(i % 7 != 6 ? 0 : uvdio_log_cut(t->log, t->lsns[i]));
    run_log(t);
  }
  expect_what_was_not_cut(t);
  assert_all_there(t);
  close_log(t);
}

/* What a cut could not do is done by the next one, and by that alone: nothing else goes on. */
static void next_cut_does_what_the_last_one_could_not(void** state) {
  struct tested* t = begin(*state, 0);
  const char* first = "wal/0000000000000001.seg";
  run_log(t);
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(append(t, 20000));
    run_log(t);
  }
  fail_once(t->f, UVDIO_OP_UNLINK, UV_EPERM, 1);
  for (unsigned i = 0; i < 2; i++) {
    assert_ok(uvdio_log_cut(t->log, t->lsns[19]));
    run_log(t);
    if (i == 0) {
      open_now(t->f, &t->f->other, first, UVDIO_O_DIRECT_PREFERRED);
      close_other(t->f);
    }
  }
  assert_missing(t->f, first);
  expect_what_was_not_cut(t);
  assert_all_there(t);
  close_log(t);
}

static void log_being_opened_is_not_destroyed(void** state) {
  struct tested* t = begin(*state, 0);
  assert_code(uvdio_log_destroy(t->log), UV_EBUSY);
  run_log(t);
  assert_code(uvdio_log_destroy(t->log), UV_EBUSY);
  close_log(t);
}

/* A callback that comes when the engine is gone may call the log all the same. */
static void late_callback_finds_no_engine(uvdio_log_append_t* append, int status) {
  struct tested* t = append->data;
  t->error = status;
  t->failed = (unsigned)(uvdio_log_cut(t->log, 1) != 0) +
              (unsigned)(uvdio_log_close(t->log, on_close, t) == UV_EBADF);
}

static void engine_closes_within_a_window(void** state) {
  struct fixture* f = *state;
  struct tested* t = begin_with(f, (uvdio_log_options_t){.segment_size = SEGMENT, .window_ms = 30});
  uvdio_log_append_t one = {.data = t};
  run_log(t);
  assert_ok(uvdio_log_append(t->log, &one, "x", 1, late_callback_finds_no_engine));
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  run(f);
  assert_int_equal(f->closed, 1);
  assert_code(t->error, UV_EBADF);
  assert_int_equal(t->failed, 2);
  assert_ok(uvdio_log_destroy(t->log));
  run(f);
  f->engine = NULL;
}

/* It refuses others' writes, and the log has a class of its own: at its open, for flushes, and for
 * new segments. */
static void full_default_class_does_not_stop_a_log(void** state) {
  struct fixture* f = *state;
  uvdio_class_options_t bound = {.depth = 1, .queue_max = 1};
  struct crowd crowd = {.f = f, .goes_on = 1};
  open_now(f, &f->file, "beside", UVDIO_OPEN_RW);
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_DEFAULT, &bound));
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(uvdio_buf_page(&crowd.pages[i]));
  }
  write_beside(&crowd);
  struct tested* t = begin(f, 0);
  watch_for_hang("appends beside a full class");
  for (unsigned i = 0; i < 60; i++) {
    assert_ok(append(t, 4000));
    while (t->acknowledged + t->failed < t->appended) {
      (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
  }
  assert_int_equal(t->error, 0);
  assert_true(log_stats(t).last_segment > log_stats(t).first_segment);
  crowd.goes_on = 0;
  while (crowd.running > 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_true(crowd.refused > 0);
  run_log(t);
  assert_all_there(t);
  close_log(t);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(uvdio_buf_release(&crowd.pages[i]));
  }
}

static void second_log_is_kept_out(void** state) {
  static struct tested other;
  struct tested* t = begin(*state, 0);
  run_log(t);
  memset(&other, 0, sizeof(other));
  other.f = t->f;
  open_log(&other);
  assert_ok(append(&other, 10));
  run_log(t);
  assert_int_equal(other.opened, 1);
  assert_code(other.status, UVDIO_ELOCKED);
  assert_int_equal(other.failed, 1);
  assert_code(other.error, UVDIO_ELOCKED);
  assert_code(append(&other, 10), UVDIO_ELOCKED);
  close_log(&other);
  assert_code(other.close_status, UVDIO_ELOCKED);
  assert_ok(append(t, 10));
  run_log(t);
  assert_all_there(t);
  close_log(t);
}

/* Opens it a second time; returns when the lock was asked for more than once. */
static struct tested* begin_locked_out(struct tested* t, unsigned wait_ms) {
  static struct tested other;
  memset(&other, 0, sizeof(other));
  other.f = t->f;
  other.options = t->options;
  other.options.lock_wait_ms = wait_ms;
  run_log(t);
  uint64_t before = stats_of(t->f).submitted;
  open_log(&other);
  watch_for_hang("a second log");
  while (other.opened == 0 && stats_of(t->f).submitted < before + 3) {
    (void)uv_run(&t->f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  return &other;
}

static void open_waits_for_the_lock(void** state) {
  struct tested* t = begin(*state, 0);
  struct tested* other = begin_locked_out(t, 3600000);
  assert_int_equal(other->opened, 0);
  assert_ok(append(other, 10));
  assert_ok(uvdio_log_close(t->log, on_close, t));
  run_log(t);
  assert_int_equal(t->closed, 1);
  assert_int_equal(other->opened, 1);
  assert_ok(other->status);
  assert_all_there(other);
  close_log(other);
}

static void wait_for_the_lock_has_an_end(void** state) {
  struct tested* t = begin(*state, 0);
  struct tested* other = begin_locked_out(t, 8);
  run_log(other);
  assert_int_equal(other->opened, 1);
  assert_code(other->status, UVDIO_ELOCKED);
  close_log(other);
  close_log(t);
}

static void close_ends_the_wait_for_the_lock(void** state) {
  struct tested* t = begin(*state, 0);
  struct tested* other = begin_locked_out(t, 3600000);
  assert_ok(append(other, 10));
  assert_code(uvdio_log_cut(other->log, 1), UV_EAGAIN);
  close_log(other);
  assert_int_equal(other->opened, 1);
  assert_code(other->status, UVDIO_ELOCKED);
  assert_int_equal(other->failed, 1);
  assert_code(other->close_status, UVDIO_ELOCKED);
  close_log(t);
}

/* Which may be before the pause is over, or behind it. */
static void engine_closes_while_the_lock_is_waited_for(void** state) {
  struct fixture* f = *state;
  struct tested* t = begin(f, 0);
  struct tested* other = begin_locked_out(t, 3600000);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  watch_for_hang("the engine's close");
  while (!f->closed) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_int_equal(other->opened, 1);
  assert_code(other->status, UV_EBADF); /* and not that somebody has the log */
  assert_ok(uvdio_log_destroy(other->log));
  assert_ok(uvdio_log_destroy(t->log));
  run(f);
  f->engine = NULL;
}

static void missing_directory_is_told(void** state) {
  struct tested* t = &tested;
  NOT_ON_MEMORY("directories that have to be made");
  memset(t, 0, sizeof(*t));
  t->f = *state;
  open_log(t);
  assert_ok(append(t, 10));
  assert_ok(append(t, 10));
  run_log(t);
  assert_int_equal(t->opened, 1);
  assert_code(t->status, UV_ENOENT);
  assert_int_equal(t->failed, 2);
  close_log(t);
}

static void close_waits_for_appends(void** state) {
  struct tested* t = begin(*state, 0);
  for (unsigned i = 0; i < 30; i++) {
    assert_ok(append(t, 30000)); /* some wait for room, and for segments */
  }
  close_log(t);
  assert_ok(t->close_status);
  assert_int_equal(t->opened, 1);
  assert_int_equal(t->acknowledged, 30);
  open_log(t);
  run_log(t);
  assert_all_there(t);
  close_log(t);
}

static void close_within_a_callback(uvdio_log_append_t* append, int status) {
  struct tested* t = append->data;
  t->failed += status != 0;
  assert_code(uvdio_log_destroy(t->log), UV_EBUSY);
  t->error = uvdio_log_close(t->log, on_close, t);
}

static void callback_may_close_the_log(void** state) {
  struct tested* t = begin(*state, 0);
  uvdio_log_append_t first = {.data = t};
  run_log(t);
  assert_ok(uvdio_log_append(t->log, &first, "first", 5, close_within_a_callback));
  run_log(t);
  assert_ok(t->error);
  assert_int_equal(t->closed, 1);
  assert_ok(t->close_status);
}

static void no_more_waits_than_is_allowed(void** state) {
  struct tested* t = begin_with(
      *state, (uvdio_log_options_t){
                  .segment_size = SEGMENT, .buffer_size = 2 * PAGE, .waiting_max = 10000});
  unsigned accepted = 0;
  int code = 0;
  while ((code = append(t, 3000)) == 0) {
    accepted++;
  }
  assert_code(code, UVDIO_EFULL);
  assert_int_equal(accepted, 3); /* it is not open yet */
  assert_int_equal(log_stats(t).waiting, 9000);
  run_log(t);
  assert_int_equal(log_stats(t).waiting, 0);
  assert_ok(append(t, 100000)); /* alone, whatever its length */
  run_log(t);
  assert_all_there(t);
  close_log(t);
}

/* The engine goes first: nothing is lost or called twice, and the log can be freed. */
static void engine_may_close_first(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  for (unsigned i = 0; i < 5; i++) {
    assert_ok(append(t, 50000));
  }
  assert_ok(t_engine_close(t->f->engine, on_engine_closed));
  assert_code(append(t, 10), UV_EBADF);
  assert_code(uvdio_log_close(t->log, on_close, t), UV_EBADF);
  assert_code(uvdio_log_destroy(t->log), UV_EBUSY);
  run(t->f);
  assert_int_equal(t->f->closed, 1);
  assert_int_equal(t->acknowledged + t->failed, 5);
  assert_true(t->failed == 0 || t->error == UV_EBADF);
  assert_ok(uvdio_log_destroy(t->log));
  run(t->f);
  t->f->engine = NULL;
}

static void close_meets_the_engine_s(void** state) {
  struct tested* t = begin(*state, 0);
  run_log(t);
  assert_ok(append(t, 50000));
  assert_ok(uvdio_log_close(t->log, on_close, t));
  assert_ok(t_engine_close(t->f->engine, on_engine_closed));
  run(t->f);
  assert_int_equal(t->f->closed, 1);
  assert_int_equal(t->closed, 1);
  assert_int_equal(t->acknowledged + t->failed, 1);
  if (t->close_status == UV_EBADF) {
    assert_ok(uvdio_log_destroy(t->log));
  }
  run(t->f);
  t->f->engine = NULL;
}

static void misuse_is_refused(void** state) {
  struct tested* t = begin(*state, 0);
  struct fixture* f = t->f;
  uvdio_log_t* none = NULL;
  uvdio_log_append_t one = {.data = t};
  uvdio_log_stats_t stats;
  char* path = calloc(1, 5000);
  const struct {
    uvdio_log_options_t options;
    int code;
  } bad[] = {
      {{.segment_size = 8192}, UV_EINVAL},
      {{.segment_size = 65536 + 512}, UVDIO_EALIGN},
      {{.buffer_size = 1000}, UVDIO_EALIGN},
      {{.segment_size = 65536, .buffer_size = 65536}, UV_EINVAL},
      {{.segment_size = (uint64_t)1 << 50}, UV_EINVAL},
      {{.flags = 1u << 30}, UV_EINVAL},
  };
  assert_non_null(path);
  memset(path, 'x', 4999);
  assert_code(uvdio_log_open(NULL, f->engine, "wal", NULL, NULL, on_open, t), UV_EINVAL);
  assert_code(uvdio_log_open(&none, NULL, "wal", NULL, NULL, on_open, t), UV_EINVAL);
  assert_code(uvdio_log_open(&none, f->engine, NULL, NULL, NULL, on_open, t), UV_EINVAL);
  assert_code(uvdio_log_open(&none, f->engine, "", NULL, NULL, on_open, t), UV_EINVAL);
  assert_code(uvdio_log_open(&none, f->engine, "wal", NULL, NULL, NULL, t), UV_EINVAL);
  assert_code(uvdio_log_open(&none, f->engine, path, NULL, NULL, on_open, t), UV_ENAMETOOLONG);
  for (unsigned i = 0; i < COUNT_OF(bad); i++) {
    assert_code(uvdio_log_open(&none, f->engine, "wal", &bad[i].options, NULL, on_open, t),
                bad[i].code);
  }
  assert_null(none);
  assert_code(uvdio_log_append(NULL, &one, "x", 1, on_append), UV_EINVAL);
  assert_code(uvdio_log_append(t->log, NULL, "x", 1, on_append), UV_EINVAL);
  assert_code(uvdio_log_append(t->log, &one, NULL, 1, on_append), UV_EINVAL);
  assert_code(uvdio_log_append(t->log, &one, "x", 0, on_append), UV_EINVAL);
  assert_code(uvdio_log_append(t->log, &one, "x", 1, NULL), UV_EINVAL);
  assert_code(uvdio_log_append(t->log, &one, "x", UVDIO_LOG_RECORD_MAX + 1, on_append),
              UVDIO_ESIZE);
  assert_code(uvdio_log_cut(NULL, 1), UV_EINVAL);
  assert_code(uvdio_log_close(NULL, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_log_destroy(NULL), UV_EINVAL);
  assert_code(uvdio_log_stats(NULL, &stats), UV_EINVAL);
  assert_code(uvdio_log_stats(t->log, NULL), UV_EINVAL);
  assert_int_equal(uvdio_log_durable(NULL), 1);
  run_log(t);
  assert_ok(append(t, 10));
  assert_ok(uvdio_log_append(t->log, &one, "x", 1, close_within_a_callback));
  assert_code(uvdio_log_append(t->log, &one, "x", 1, close_within_a_callback), UV_EBUSY);
  run_log(t);
  assert_int_equal(t->closed, 1);
  free(path);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_engine, new_log_is_empty),
      TEST_ON(fixture_engine, records_come_back),
      TEST_ON(fixture_engine, any_length_comes_back),
      TEST_ON(fixture_engine, any_length_comes_back_packed),
      TEST_ON(fixture_engine, packed_log_takes_less),
      TEST_ON(fixture_engine, appends_share_flushes),
      TEST_ON(fixture_engine, large_flushes_come_back),
      TEST_ON(fixture_engine, window_gathers),
      TEST_ON(fixture_engine, cut_segments_are_used_again),
      TEST_ON(fixture_engine, size_of_segments_stays),
      TEST_ON(fixture_engine, cut_within_a_record),
      TEST_ON(fixture_engine, cut_past_the_end_keeps_the_last),
      TEST_ON(fixture_engine, damage_in_the_middle_is_an_error),
      TEST_ON(fixture_engine, damage_at_the_end_of_a_segment_is_an_error),
      TEST_ON(fixture_engine, torn_end_is_an_end),
      TEST_ON(fixture_engine, block_that_does_not_follow_is_an_end),
      TEST_ON(fixture_engine, what_an_open_has_left_out_stays_out),
      TEST_ON(fixture_engine, missing_segment_is_an_error),
      TEST_ON(fixture_engine, missing_last_segment_is_an_error),
      TEST_ON(fixture_engine, damaged_control_file_is_an_error),
      TEST_ON(fixture_engine, missing_control_file_is_an_error),
      TEST_ON(fixture_engine, missing_mark_is_made),
      TEST_ON(fixture_engine, mark_that_was_not_written_is_made),
      TEST_ON(fixture_engine, log_that_has_to_exist_is_not_made),
      TEST_ON(fixture_engine, segments_of_another_log_are_none),
      TEST_ON(fixture_engine, files_without_a_head_are_none),
      TEST_ON(fixture_engine, segment_without_a_head_is_an_error),
      TEST_ON(fixture_engine, passing_error_is_tried_again),
      TEST_ON(fixture_engine, lasting_error_stops_the_log),
      TEST_ON(fixture_engine, descriptor_that_is_gone_is_no_end_of_the_engine),
      TEST_ON(fixture_engine, segments_that_stay_stop_nobody),
      TEST_ON(fixture_engine, next_cut_does_what_the_last_one_could_not),
      TEST_ON(fixture_engine, log_being_opened_is_not_destroyed),
      TEST_ON(fixture_engine, engine_closes_within_a_window),
      TEST_ON(fixture_engine, full_default_class_does_not_stop_a_log),
      TEST_ON(fixture_engine, second_log_is_kept_out),
      TEST_ON(fixture_engine, open_waits_for_the_lock),
      TEST_ON(fixture_engine, wait_for_the_lock_has_an_end),
      TEST_ON(fixture_engine, close_ends_the_wait_for_the_lock),
      TEST_ON(fixture_engine, engine_closes_while_the_lock_is_waited_for),
      TEST_ON(fixture_engine, missing_directory_is_told),
      TEST_ON(fixture_engine, close_waits_for_appends),
      TEST_ON(fixture_engine, callback_may_close_the_log),
      TEST_ON(fixture_engine, no_more_waits_than_is_allowed),
      TEST_ON(fixture_engine, engine_may_close_first),
      TEST_ON(fixture_engine, close_meets_the_engine_s),
      TEST_ON(fixture_engine, misuse_is_refused),
  };
  return matrix_main("logs", tests, COUNT_OF(tests), argc, argv);
}
