/* SPDX-License-Identifier: MIT */
#include "scenario_modules.h"

#include <string.h>

#include "scenario_life.h"
#include "uvdio/append.h"
#include "uvdio/group.h"

#define PAGES 32u /* of the file "file", each with its number's pattern */
#define NEW 128u  /* added to a page's number by a write */
#define MEMBERS 10u
#define READS 5u
#define APPENDS 8u
#define LENGTH_MAX ((size_t)20000)
#define STEP 1000u /* between the first bytes of two appends */

/*
 * Groups.
 */

struct group_part {
  struct scenario* s;
  uvdio_group_t group;
  uvdio_member_t members[MEMBERS];
  int64_t expected[MEMBERS];
  unsigned ended[MEMBERS];
  int is_refused[MEMBERS];
  unsigned members_ended;
  unsigned ended_at; /* so many members had ended when the group did */
  unsigned groups;
  int is_cancelled;
  int is_over; /* the engine closes */
};

static void on_member(uvdio_member_t* member) {
  struct group_part* part = member->data;
  part->ended[member - part->members]++;
  part->members_ended++;
}

static void on_group(uvdio_group_t* group) {
  struct group_part* part = group->data;
  part->groups++;
  part->ended_at = part->members_ended;
}

/* Returns -1 where there is no memory. */
static int set_member(struct group_part* part, unsigned i, uvdio_op_t op, uvdio_file_t* file,
                      uint64_t page) {
  uvdio_member_t* member = &part->members[i];
  member->data = part;
  member->op = op;
  member->file = file;
  member->offset = page * PAGE;
  part->expected[i] = PAGE;
  if (!life_expects(part->s, "uvdio_buf_page gave", uvdio_buf_page(&member->buf), 0)) {
    return -1;
  }
  if (op == UVDIO_OP_WRITE) {
    fill_pattern(member->buf.base, PAGE, (unsigned)page + NEW);
    member->buf.len = PAGE;
  }
  return 0;
}

/* Neighbours, with and without a gap, a read past the end, writes that are durable or not, and one
 * that is refused. */
static int set_members(struct group_part* part, uvdio_file_t* file, uvdio_file_t* written,
                       unsigned durable) {
  static const unsigned read_pages[READS] = {0, 1, 2, 4, PAGES};
  int failed = 0;
  unsigned i = 0;
  for (; i < READS; i++) {
    failed |= set_member(part, i, UVDIO_OP_READ, file, read_pages[i]);
    part->members[i].flags = UVDIO_MEMBER_EXACT;
  }
  part->expected[READS - 1] = UVDIO_ESHORTREAD;
  for (; i < MEMBERS; i++) {
    failed |= set_member(part, i, UVDIO_OP_WRITE, written, i);
    part->members[i].flags = durable;
  }
  part->members[MEMBERS - 1].offset += 1;
  part->expected[MEMBERS - 1] = UVDIO_EALIGN;
  return failed;
}

static void judge_bytes(struct group_part* part, unsigned i) {
  static char page[PAGE];
  const uvdio_member_t* member = &part->members[i];
  unsigned number = (unsigned)(member->offset / PAGE);
  if (member->op == UVDIO_OP_READ &&
      !is_pattern(member->buf.base, (size_t)member->result, number)) {
    life_broken(part->s, "a member brought other bytes than the file's", 0);
  }
  fill_pattern(page, PAGE, number + NEW);
  if (member->op == UVDIO_OP_WRITE && !life_holds(part->s, "written", member->offset, page, PAGE)) {
    life_broken(part->s, "a member's bytes are not in the file", 0);
  }
}

static void judge_member(struct group_part* part, unsigned i) {
  struct scenario* s = part->s;
  uvdio_member_t* member = &part->members[i];
  int64_t result = member->result;
  int fell_short = s->ends_early && member->op == UVDIO_OP_READ &&
                   (result == UVDIO_ESHORTREAD || (result >= 0 && result < (int64_t)PAGE));
  int may_be = fell_short || (part->is_cancelled && result == UV_ECANCELED) ||
               (part->is_over && result == UV_EBADF) ||
               (result < 0 && result == life_latch(member->file));
  s->troubles += may_be && !part->is_over;
  if (!may_be && life_expects(s, "a member gave", result, part->expected[i]) && result > 0) {
    judge_bytes(part, i);
  }
  if (part->ended[i] != !part->is_refused[i]) {
    life_broken(s, "a member did not end once, or was refused and ended", 0);
  }
  if (member->buf.base == NULL || uvdio_buf_release(&member->buf) != 0) {
    life_broken(s, "a member's buffer did not come back", 0);
  }
}

static void judge_group(struct group_part* part, int code) {
  unsigned negative = 0;
  for (unsigned i = 0; i < MEMBERS; i++) {
    negative += part->members[i].result < 0;
    judge_member(part, i);
  }
  if (negative != part->group.failed || part->groups != (code == 0) ||
      part->members_ended != part->ended_at) {
    life_broken(part->s, "a group did not end as it should", code);
  }
}

static int begin_group(struct group_part* part, struct scenario* s, uvdio_file_t* file,
                       uvdio_file_t* written, unsigned durable) {
  memset(part, 0, sizeof(*part));
  part->s = s;
  part->group.data = part;
  if (set_members(part, file, written, durable) == 0) {
    return 0;
  }
  for (unsigned i = 0; i < MEMBERS; i++) {
    (void)uvdio_buf_release(&part->members[i].buf);
  }
  return -1;
}

static int submit_group(struct group_part* part, const uvdio_group_options_t* options) {
  int code = uvdio_group_submit(&part->group, part->members, MEMBERS, options, on_member, on_group);
  for (unsigned i = 0; i < MEMBERS; i++) {
    part->is_refused[i] = part->members[i].result < 0;
  }
  return code;
}

static const uvdio_group_options_t merge_all = {16 * PAGE, PAGE};

static void use_groups(struct scenario* s, uvdio_file_t* file, uvdio_file_t* written) {
  static struct group_part part;
  for (unsigned kind = 0; kind < 4; kind++) {
    if (begin_group(&part, s, file, written, kind == 2 ? UVDIO_WRITE_DURABLE : 0) != 0) {
      continue;
    }
    int code = submit_group(&part, kind == 0 ? NULL : &merge_all);
    part.is_cancelled = kind == 3;
    if (part.is_cancelled && code == 0 && uvdio_group_cancel(&part.group) != 0) {
      life_broken(s, "a group can't be cancelled", 0);
    }
    life_run(s);
    judge_group(&part, code);
  }
}

static void use_a_group_now(struct scenario* s, uvdio_file_t* file, uvdio_file_t* written) {
  static struct group_part part;
  if (begin_group(&part, s, file, written, 0) == 0) {
    int64_t first = 0;
    int code = uvdio_group_submit(&part.group, part.members, MEMBERS, &merge_all, NULL, NULL);
    for (unsigned i = 0; i < MEMBERS; i++) {
      first = first == 0 && part.members[i].result < 0 ? part.members[i].result : first;
      part.is_refused[i] = 1; /* No callback follows. */
    }
    if (code != first) {
      life_broken(s, "a synchronous group does not tell its first error, but", code);
    }
    judge_group(&part, 1);
  }
}

/*
 * Appenders.
 */

struct log_part {
  struct scenario* s;
  const char* name;
  uvdio_file_t file;
  uvdio_appender_t* appender;
  unsigned (*syncs)(void);
  int is_durable; /* each append */
  int is_over;    /* the engine closes */
  uvdio_append_t appends[APPENDS];
  unsigned before[APPENDS]; /* syncs, when it was submitted */
  int asks[APPENDS];        /* to be durable */
  unsigned count;
  unsigned ended;
  int64_t error;
  uvdio_append_t ending;
  unsigned closes;
};

static char source[LENGTH_MAX + APPENDS * STEP];

static const char* bytes_of(unsigned i) {
  return source + (size_t)i * STEP;
}

static void judge_end(struct log_part* log, const uvdio_append_t* append, int64_t result,
                      int64_t expected) {
  struct scenario* s = log->s;
  int may_be = (log->is_over && result == UV_EBADF) ||
               (s->ends_early && result == UVDIO_ESHORTREAD) ||
               (result < 0 && (result == log->error || result == life_latch(&log->file)));
  s->troubles += may_be && !log->is_over;
  if (!may_be) {
    (void)life_expects(s, "an append gave", result, expected);
  }
  if (append->result != result || (log->error != 0 && result != log->error)) {
    life_broken(s, "an append does not fail as those before it:", result);
  }
  log->error = result < 0 ? result : log->error;
}

static void on_append(uvdio_append_t* append, int64_t result) {
  struct log_part* log = append->data;
  unsigned i = log->ended++;
  if (append != &log->appends[i]) {
    life_broken(log->s, "appends end in another order", 0);
    return;
  }
  judge_end(log, append, result, (int64_t)append->length);
  if (result >= 0 && (log->asks[i] || log->is_durable) && log->syncs() == log->before[i]) {
    life_broken(log->s, "an append is durable without a sync", 0);
  }
}

static void on_log_closed(uvdio_append_t* append, int64_t result) {
  struct log_part* log = append->data;
  log->closes++;
  judge_end(log, append, result, 0);
}

/* length 0: a sync. */
static void add(struct log_part* log, size_t length, unsigned flags) {
  unsigned i = log->count;
  uvdio_append_t* append = &log->appends[i];
  append->data = log;
  log->asks[i] = length == 0 || flags != 0;
  log->before[i] = log->syncs();
  int code = length == 0
                 ? uvdio_appender_sync(log->appender, append, on_append)
                 : uvdio_append(log->appender, append, bytes_of(i), length, flags, on_append);
  if (code == 0) {
    log->count++;
  } else if (code != log->error && code != life_latch(&log->file)) {
    (void)life_expects(log->s, "an append was refused with", code, 0);
  }
}

static void judge_log(struct log_part* log) {
  for (unsigned i = 0; i < log->count; i++) {
    const uvdio_append_t* append = &log->appends[i];
    if (append->result > 0 &&
        !life_holds(log->s, log->name, append->offset, bytes_of(i), append->length)) {
      life_broken(log->s, "the bytes of an append are not in the file", 0);
    }
  }
  if (log->ended != log->count) {
    life_broken(log->s, "an append did not end", 0);
  }
}

/* The file ends with the last append. */
static void judge_size(const struct log_part* log) {
  const uvdio_append_t* last = &log->appends[log->count - 1];
  if (life_size(log->s, log->name) != (int64_t)(last->offset + last->length)) {
    life_broken(log->s, "a file does not end with its last append", 0);
  }
}

static int begin_log(struct log_part* log, struct scenario* s, unsigned (*syncs)(void),
                     const char* name, const uvdio_appender_options_t* options) {
  memset(log, 0, sizeof(*log));
  log->s = s;
  log->syncs = syncs;
  log->name = name;
  log->ending.data = log;
  log->is_durable = (options->flags & UVDIO_APPEND_DURABLE) != 0;
  int is_new = (options->flags & UVDIO_APPEND_AT_SIZE) == 0;
  if (!life_open(s, &log->file, name, is_new ? UVDIO_OPEN_CREATE : UVDIO_OPEN_RW)) {
    return -1;
  }
  int code = uvdio_appender_create(&log->appender, &log->file, options);
  if (!life_expects(s, "uvdio_appender_create gave", code, 0)) {
    life_close(s, &log->file);
    return -1;
  }
  return 0;
}

/* More than fits into the buffers, so that some wait and some gather. */
static void append_some(struct log_part* log) {
  add(log, 700, 0);
  add(log, LENGTH_MAX, 0);
  add(log, 3, UVDIO_APPEND_DURABLE);
  add(log, 5000, 0);
  add(log, 0, 0);
}

static void end_log(struct log_part* log) {
  int code = uvdio_appender_close(log->appender, &log->ending, on_log_closed);
  life_run(log->s);
  if (log->closes != (code == 0)) {
    life_broken(log->s, "an appender's close did not end, or twice", 0);
  }
  if (code == 0 && log->error == 0 && log->count > 0) {
    judge_size(log);
  }
  if (!life_expects(log->s, "uvdio_appender_close gave", code, 0) &&
      uvdio_appender_destroy(log->appender) != 0) {
    life_broken(log->s, "an idle appender can't be destroyed", 0);
  }
  judge_log(log);
  life_close(log->s, &log->file);
}

static void use_appenders(struct scenario* s, unsigned (*syncs)(void)) {
  static const uvdio_appender_options_t kinds[] = {
      {.buffer_size = 2 * PAGE, .buffer_count = 2, .grow_min = 3 * PAGE},
      {.size = 701,
       .flags = UVDIO_APPEND_AT_SIZE | UVDIO_APPEND_EXACT_SIZE,
       .buffer_size = PAGE,
       .buffer_count = 1},
      {.flags = UVDIO_APPEND_DURABLE | UVDIO_APPEND_NO_REWRITE, .buffer_size = 2 * PAGE},
  };
  static struct log_part log;
  int has_log = 0;
  for (unsigned i = 0; i < COUNT_OF(kinds); i++) {
    int goes_on = (kinds[i].flags & UVDIO_APPEND_AT_SIZE) != 0;
    if ((goes_on && !has_log) || begin_log(&log, s, syncs, "log", &kinds[i]) != 0) {
      continue;
    }
    append_some(&log);
    life_run(s);
    add(&log, 100, 0);
    add(&log, 8000, UVDIO_APPEND_DURABLE);
    end_log(&log);
    has_log = log.error == 0;
  }
}

/*
 * The life.
 */

/* The engine is closed on top of a group, and of appends of which some have no room yet. */
static void end_in_flight(struct scenario* s, unsigned (*syncs)(void), uvdio_file_t* file,
                          uvdio_file_t* written) {
  static const uvdio_appender_options_t small = {.buffer_size = PAGE, .buffer_count = 1};
  static struct group_part part;
  static struct log_part log;
  int has_log = begin_log(&log, s, syncs, "log", &small) == 0;
  int has_group = begin_group(&part, s, file, written, 0) == 0;
  int code = has_group ? submit_group(&part, &merge_all) : 0;
  if (has_log) {
    append_some(&log);
  }
  part.is_over = 1;
  log.is_over = 1;
  if (t_engine_close(s->f->engine, on_engine_closed) != 0) {
    life_broken(s, "uvdio_engine_close was refused", 0);
  }
  life_run(s);
  s->f->engine = NULL;
  if (has_group) {
    judge_group(&part, code);
  }
  if (has_log) {
    judge_log(&log);
    if (uvdio_appender_destroy(log.appender) != 0) {
      life_broken(s, "an appender whose engine is gone can't be destroyed", 0);
    }
  }
}

void scenario_live_in_modules(struct scenario* s, unsigned (*syncs)(void)) {
  uvdio_file_t file = {0};
  uvdio_file_t written = {0};
  for (size_t i = 0; i < sizeof(source); i++) {
    source[i] = (char)(1 + i % 251);
  }
  if (scenario_start(s) != 0) {
    return;
  }
  if (life_open(s, &file, "file", UVDIO_OPEN_READ) &&
      life_open(s, &written, "written", UVDIO_OPEN_CREATE)) {
    use_groups(s, &file, &written);
    use_a_group_now(s, &file, &written);
  }
  use_appenders(s, syncs);
  end_in_flight(s, syncs, &file, &written);
}
