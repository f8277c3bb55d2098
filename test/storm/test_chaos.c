/* SPDX-License-Identifier: MIT */
/*
 * Does everything that an engine promises hold when all of it happens at random, at once, under
 * faults? Each test is a life of an engine: rounds of random operations, cancellations, faults and
 * registrations, from outside the loop and from callbacks, and the loop run to its end after each.
 * The tracker and the fixture see to one callback each and to nothing being left. What is looked at
 * here:
 *
 *   crowded files    three, on which anything overlaps anything: nothing is refused but for a
 *                    latch, no sync or truncate succeeds and no close ends before what was
 *                    submitted earlier and has to come first
 *   watched files    with one request at a time for each span of two pages, so that their content
 *                    is known: reads give it
 *
 * A test's name tells its seed. The seed decides what is submitted first; which ends first, and
 * with it what callbacks submit, is the kernel's, so that a failure may need several runs to come
 * back: --test '*, seed 3'.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "faults.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define CROWDED 3u
#define CROWDED_PAGES 24u
#define WATCHED_FEW 3u
#define WATCHED_MANY 70u /* more than a ring's table of files begins with */
#define SPANS 8u         /* of a watched file */
#define SPAN (2 * PAGE)  /* so that a transfer can be short */
#define FILES (CROWDED + WATCHED_MANY)
#define FRAMES 32u
#define LIVE_MOST 400u
#define ROUNDS 12u
#define FROM_OUTSIDE 40u /* actions of a round that come from outside the loop, at most */
#define FEW 4u
#define FROM_CALLBACKS 60u /* and from callbacks */
#define OF_A_CHILD 20u
#define TURNS_MOST 10000u
#define LIVES_MOST 32u

enum story { PLAIN, FORKS, BREAKS_DOWN, IS_CLOSED };

struct life {
  enum story story;
  unsigned seed;
  char name[64];
};

enum state { CLOSED, OPENING, OPEN, CLOSING };

struct span {
  int busy;
  unsigned pattern; /* what it holds; 0: nobody knows */
};

struct subject {
  uvdio_file_t file;
  enum state state;
  struct span spans[SPANS]; /* of a watched one */
};

/* What is known of a request. */
struct note {
  struct subject* subject;
  uint64_t number; /* older requests have smaller ones */
  unsigned at;     /* among the living */
  int watched;
  unsigned span;
  unsigned pattern; /* a write's own, or what a read has to find; 0: nobody knows */
};

static struct {
  const struct life* life;
  struct fixture* f;
  uint64_t random;
  unsigned watched; /* files */
  struct subject subjects[FILES];
  struct top* live[LIVE_MOST];
  unsigned live_count;
  uint64_t submitted;
  unsigned budget; /* actions that callbacks may still do in this round */
  unsigned round;
  int entries_fail;   /* faults reach what is done to files */
  int closing;        /* the engine */
  unsigned breaks_at; /* the submission with which the ring is gone; 0: none yet */
  int in_child;
} chaos;

/*
 * Chance. xorshift64*, so that a seed means the same everywhere.
 */

static unsigned below(unsigned bound) {
  chaos.random ^= chaos.random >> 12;
  chaos.random ^= chaos.random << 25;
  chaos.random ^= chaos.random >> 27;
  return (unsigned)((chaos.random * UINT64_C(2685821657736338717) >> 33) % bound);
}

static int one_in(unsigned count) {
  return below(count) == 0;
}

/*
 * Requests, from their submission to their end.
 */

static void act(void);

static struct note* note_of(const struct top* op) {
  return op->data;
}

static void act_in_a_callback(void) {
  for (unsigned i = below(3); i > 0 && chaos.budget > 0; i--) {
    chaos.budget--;
    act();
  }
}

static int is_change(uvdio_op_t kind) {
  return kind == UVDIO_OP_WRITE || kind == UVDIO_OP_TRUNCATE || kind == UVDIO_OP_PREALLOCATE;
}

/* Whether of two on the same file the newer has to wait until the older has ended. */
static int is_first(uvdio_op_t older, uvdio_op_t newer) {
  switch (newer) {
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      return is_change(older);
    case UVDIO_OP_TRUNCATE:
      return is_change(older) || older == UVDIO_OP_READ;
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
    case UVDIO_OP_PREALLOCATE:
      return older == UVDIO_OP_TRUNCATE;
    case UVDIO_OP_CLOSE:
      return 1;
    case UVDIO_OP_NONE:
    case UVDIO_OP_OPEN:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_COUNT:
      break;
  }
  return 0;
}

/* It has done what it was for: what had to come first has ended. */
static void check_order(const struct top* op) {
  const struct note* note = note_of(op);
  for (unsigned i = 0; i < chaos.live_count; i++) {
    const struct top* other = chaos.live[i];
    if (other->file == op->file && note_of(other)->number < note->number &&
        is_first(other->kind, op->kind)) {
      tracker_violation(op->tracker, "%s: done before an older %s", uvdio_op_name(op->kind),
                        uvdio_op_name(other->kind));
    }
  }
}

/* No error but those injected, and what they and cancellations lead to. */
static int is_explained(int64_t result) {
  static const int codes[] = {UV_ECANCELED, UV_EIO,           UV_ENOSPC,        UV_EAGAIN,
                              UV_EINTR,     UVDIO_ESHORTREAD, UVDIO_ESHORTWRITE};
  if (result >= 0) {
    return 1;
  }
  if (result == UVDIO_EFORK) {
    return chaos.in_child;
  }
  for (size_t i = 0; i < COUNT_OF(codes); i++) {
    if (result == codes[i]) {
      return 1;
    }
  }
  return 0;
}

static void check_result_of(const struct top* op) {
  const char* name = uvdio_op_name(op->kind);
  if (!is_explained(op->result)) {
    tracker_violation(op->tracker, "%s: gave %s", name, uvdio_err_name((int)op->result));
  }
  if (op->kind == UVDIO_OP_WRITE && op->result >= 0 && op->result != (int64_t)op->sent.len) {
    tracker_violation(op->tracker, "%s: gave %lld of %zu bytes", name, (long long)op->result,
                      op->sent.len);
  }
  int touches_nothing = op->kind == UVDIO_OP_READ && op->sent.cap == 0;
  if ((op->result >= 0 && !touches_nothing) || op->kind == UVDIO_OP_CLOSE) {
    check_order(op);
  }
}

/* What a span of a watched file holds now, or that it held what it had to. */
static void look_at_span(struct top* op) {
  const struct note* note = note_of(op);
  struct span* span = &note->subject->spans[note->span];
  span->busy = 0;
  if (op->kind == UVDIO_OP_WRITE) {
    span->pattern = op->result == SPAN ? note->pattern : 0;
  } else if (op->result == SPAN && note->pattern != 0 &&
             !is_pattern(op->back.base, SPAN, note->pattern)) {
    tracker_violation(op->tracker, "file %u, span %u: other bytes than were written",
                      (unsigned)(note->subject - chaos.subjects), note->span);
  }
}

static void forget(struct top* op) {
  struct top* last = chaos.live[--chaos.live_count];
  unsigned at = note_of(op)->at;
  chaos.live[at] = last;
  note_of(last)->at = at;
}

static void discard(struct top* op) {
  free(op->data);
  op_free(op);
}

static void on_end(struct top* op) {
  struct note* note = note_of(op);
  forget(op);
  if (!chaos.in_child) {
    check_result_of(op);
  }
  if (op->kind == UVDIO_OP_OPEN) {
    note->subject->state = op->result == 0 ? OPEN : CLOSED;
  } else if (op->kind == UVDIO_OP_CLOSE) {
    note->subject->state = CLOSED;
  } else if (note->watched) {
    look_at_span(op);
  }
  discard(op);
  act_in_a_callback();
}

static struct top* new_op(struct subject* subject) {
  struct note* note = calloc(1, sizeof(*note));
  if (note == NULL) {
    abort();
  }
  note->subject = subject;
  note->number = ++chaos.submitted;
  return op_then(&chaos.f->tracker, on_end, note);
}

/* A sound file refuses nothing, and one that is latched tells its latch. */
static void check_refusal(const struct top* op) {
  uvdio_file_info_t info = {0};
  if (!chaos.in_child && !chaos.closing &&
      (uvdio_file_info(&note_of(op)->subject->file, &info) != 0 || info.latch_error != op->code)) {
    tracker_violation(op->tracker, "an operation was refused with %s", uvdio_err_name(op->code));
  }
}

/* Returns 0 where the operation was refused; it is gone then. */
static int is_accepted(struct top* op) {
  if (op->code != 0) {
    check_refusal(op);
    discard(op);
    return 0;
  }
  note_of(op)->at = chaos.live_count;
  chaos.live[chaos.live_count++] = op;
  return 1;
}

/*
 * Operations.
 */

/* Sometimes a frame of the arena that comes and goes. */
static uvdio_buf_t blank_span(void) {
  uvdio_buf_t span;
  if (one_in(2) && uvdio_arena_acquire(chaos.f->arena, &span) == 0) {
    memset(span.base, 0xee, SPAN);
    return span;
  }
  return blank(SPAN);
}

static uvdio_buf_t span_with(unsigned pattern) {
  uvdio_buf_t span = blank_span();
  fill_pattern(span.base, SPAN, pattern);
  assert_ok(uvdio_buf_set_len(&span, SPAN));
  return span;
}

/* What was refused still has its buffer; the handle is empty otherwise. */
static int is_accepted_with(struct top* op, uvdio_buf_t* buf) {
  assert_ok(uvdio_buf_release(buf));
  return is_accepted(op);
}

static void open_subject(struct subject* subject, unsigned flags) {
  char name[32];
  snprintf(name, sizeof(name), "file-%u", (unsigned)(subject - chaos.subjects));
  memset(&subject->file, 0, sizeof(subject->file));
  struct top* op = new_op(subject);
  t_open(op, chaos.f->engine, &subject->file, path_of(chaos.f, name),
         flags | UVDIO_O_DIRECT_PREFERRED);
  if (is_accepted(op)) {
    subject->state = OPENING;
  }
}

static void close_subject(struct subject* subject) {
  if (is_accepted(t_close(new_op(subject), &subject->file))) {
    subject->state = CLOSING;
  }
}

/* Patterns repeat after 256. */
static unsigned new_pattern(void) {
  return 1 + (unsigned)(chaos.submitted % 255);
}

static void transfer_span(struct subject* subject, unsigned span, int is_write) {
  struct span* now = &subject->spans[span];
  if (now->busy) {
    return;
  }
  struct top* op = new_op(subject);
  struct note* note = note_of(op);
  note->watched = 1;
  note->span = span;
  note->pattern = is_write ? new_pattern() : now->pattern;
  uvdio_buf_t buf = is_write ? span_with(note->pattern) : blank_span();
  if (is_write) {
    t_write(op, &subject->file, &buf, (uint64_t)span * SPAN);
  } else {
    t_read(op, &subject->file, &buf, (uint64_t)span * SPAN);
  }
  now->busy = is_accepted_with(op, &buf);
}

static void act_on_watched(struct subject* subject) {
  unsigned what = below(30);
  if (subject->state == CLOSED) {
    open_subject(subject, one_in(8) ? UVDIO_OPEN_WAL : UVDIO_OPEN_RW);
  } else if (subject->state == OPEN && what == 0) {
    close_subject(subject);
  } else if (subject->state == OPEN) {
    transfer_span(subject, below(SPANS), what < 14);
  }
}

static void read_some(struct subject* subject, uint64_t offset) {
  struct top* op = new_op(subject);
  uvdio_buf_t buf = blank((size_t)(1 + below(3)) * PAGE);
  if (one_in(4)) {
    t_read_exact(op, &subject->file, &buf, offset);
  } else {
    t_read(op, &subject->file, &buf, offset);
  }
  (void)is_accepted_with(op, &buf);
}

/* It has ended before it is anywhere, and waits for nothing but its callback. */
static void read_nothing(struct subject* subject) {
  static _Alignas(UVDIO_ALIGNMENT) char bytes[UVDIO_ALIGNMENT];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  (void)is_accepted(t_read(new_op(subject), &subject->file, &nothing, 0));
}

static void write_some(struct subject* subject, uint64_t offset) {
  struct top* op = new_op(subject);
  uvdio_buf_t buf = filled((size_t)(1 + below(2)) * PAGE, new_pattern());
  t_write(op, &subject->file, &buf, offset);
  (void)is_accepted_with(op, &buf);
}

static void read_now(struct subject* subject, uint64_t offset) {
  struct top* op = op_now(&chaos.f->tracker);
  uvdio_buf_t buf = blank_span();
  t_read(op, &subject->file, &buf, offset);
  assert_ok(uvdio_buf_release(&buf));
  op_free(op);
}

static void sync_some(struct subject* subject) {
  struct top* op = new_op(subject);
  (void)is_accepted(one_in(2) ? t_sync_data(op, &subject->file) : t_sync_all(op, &subject->file));
}

static void use_crowded(struct subject* subject) {
  uint64_t offset = (uint64_t)below(CROWDED_PAGES) * PAGE;
  unsigned what = below(34);
  if (what < 2) {
    read_nothing(subject);
  } else if (what < 12) {
    read_some(subject, offset);
  } else if (what < 24) {
    write_some(subject, offset);
  } else if (what < 28) {
    sync_some(subject);
  } else if (what < 29) {
    (void)is_accepted(t_size(new_op(subject), &subject->file));
  } else if (what < 31) {
    (void)is_accepted(t_truncate(new_op(subject), &subject->file, offset));
  } else if (what < 32) {
    (void)is_accepted(t_preallocate(new_op(subject), &subject->file, offset + PAGE));
  } else if (what < 33) {
    close_subject(subject);
  } else {
    read_now(subject, offset);
  }
}

static void act_on_crowded(struct subject* subject) {
  static const unsigned ways[] = {UVDIO_OPEN_RW, UVDIO_OPEN_RW, UVDIO_OPEN_RW, UVDIO_OPEN_WAL,
                                  UVDIO_OPEN_CREATE};
  if (subject->state == CLOSED) {
    open_subject(subject, ways[below(COUNT_OF(ways))]);
  } else if (subject->state == OPEN) {
    use_crowded(subject);
  }
}

/*
 * Faults.
 */

static const int soft[] = {EAGAIN, EINTR, EBUSY}; /* the same call may do the next time */

/* A ring breaks down for good with these. Completions that it never tells of would keep their
 * requests: that has an end. */
static int ring_error(void) {
  int fatal = chaos.life->story == BREAKS_DOWN && one_in(4);
  return fatal ? (one_in(2) ? EBADF : EPERM) : soft[below(COUNT_OF(soft))];
}

static void fault_of_the_ring(void) {
  unsigned nth = 1 + below(4);
  unsigned times = 1 + below(5);
  if (chaos.breaks_at != 0) {
    return; /* another fault of a submission would take the place of that one */
  }
  switch (below(6)) {
    case 0:
      fault_shorten(CALL_SUBMIT, nth, times, 1 + below(2));
      break;
    case 1:
    case 2:
      fault_fail(CALL_SUBMIT, nth, times, ring_error());
      break;
    case 3:
    case 4:
      fault_fail(CALL_GET_EVENTS, nth, one_in(6) ? 30 : times, ring_error());
      break;
    default:
      fault_fail(CALL_REGISTER, nth, ONCE, one_in(2) ? ENOMEM : EBADF);
      break;
  }
}

static int file_error(enum fault_call call) {
  static const int hard[] = {EIO, ENOSPC, EAGAIN, EINTR};
  int latches = call == CALL_FDATASYNC || call == CALL_FSYNC;
  if (call == CALL_ENTRY_CANCEL) {
    return EALREADY;
  }
  return latches && !one_in(6) ? soft[below(2)] : hard[below(COUNT_OF(hard))];
}

static void fault_of_files(void) {
  static const enum fault_call calls[] = {
      CALL_PREAD, CALL_PREAD, CALL_PWRITE,    CALL_PWRITE,    CALL_FDATASYNC, CALL_FSYNC,
      CALL_OPEN,  CALL_STATX, CALL_FTRUNCATE, CALL_FALLOCATE, CALL_CLOSE,     CALL_ENTRY_CANCEL};
  enum fault_call call = calls[below(COUNT_OF(calls))];
  unsigned nth = 1 + below(4);
  unsigned times = 1 + below(5);
  if ((call == CALL_PREAD || call == CALL_PWRITE) && !one_in(3)) {
    fault_shorten(call, nth, times, one_in(4) ? 0 : PAGE);
  } else {
    fault_fail(call, nth, times, file_error(call));
  }
}

static void break_something(void) {
  if (!chaos.entries_fail || one_in(3)) {
    fault_of_the_ring();
  } else {
    fault_of_files();
  }
}

/*
 * Rounds.
 */

static void cancel_something(void) {
  if (chaos.live_count > 0) {
    (void)t_cancel(chaos.live[below(chaos.live_count)]);
  }
}

/* Refused where there is no ring, where frames are in flight, after faults. */
static void register_or_unregister(void) {
  int code = one_in(2) ? uvdio_arena_register(chaos.f->engine, chaos.f->arena)
                       : uvdio_arena_unregister(chaos.f->engine, chaos.f->arena);
  (void)code;
}

static void close_the_engine(void) {
  if (chaos.life->story == IS_CLOSED && chaos.round >= ROUNDS / 2 && !chaos.closing) {
    int code = t_engine_close(chaos.f->engine, on_engine_closed);
    chaos.closing = 1;
    if (code != 0) {
      tracker_violation(&chaos.f->tracker, "uvdio_engine_close: %s", uvdio_err_name(code));
    }
  }
}

static void act(void) {
  unsigned what = below(100);
  if (chaos.live_count == LIVE_MOST) {
    return;
  }
  if (what < 5) {
    break_something();
  } else if (what < 8) {
    cancel_something();
  } else if (what < 11) {
    register_or_unregister();
  } else if (what < 12) {
    close_the_engine();
  } else if (what < 55) {
    act_on_watched(&chaos.subjects[CROWDED + below(chaos.watched)]);
  } else {
    act_on_crowded(&chaos.subjects[below(CROWDED)]);
  }
}

static int child_closes_the_engine(void* data) {
  struct fixture* f = data;
  chaos.in_child = 1;
  chaos.budget = one_in(2) ? OF_A_CHILD : 0;
  if (one_in(2)) {
    break_something();
  }
  EXPECT(uv_loop_fork(&f->loop) == 0);
  for (unsigned i = one_in(2) ? 3 : 0; i > 0; i--) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(f->closed == 1);
  EXPECT(chaos.live_count == 0);
  EXPECT(f->tracker.finished == f->tracker.accepted);
  if (f->tracker.violation[0] != '\0') {
    fprintf(stderr, "in the child: %s\n", f->tracker.violation);
  }
  EXPECT(f->tracker.violation[0] == '\0');
  return 0;
}

/* At once, after a few turns, or when whatever is pending has ended and waits for its callback. */
static void fork_at_some_moment(struct fixture* f) {
  int until_ended = one_in(4);
  unsigned turns = one_in(2) ? 0 : below(4);
  for (unsigned i = until_ended ? TURNS_MOST : turns; i > 0; i--) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    i = until_ended && stats_of(f).in_flight == 0 ? 1 : i;
  }
  if (in_a_child(child_closes_the_engine, f) != 0) {
    tracker_violation(&f->tracker, "round %u: the child failed", chaos.round);
  }
}

/* Nothing but requests that have ended before they are anywhere. */
static void act_quietly(void) {
  for (unsigned i = 1 + below(FEW); i > 0; i--) {
    struct subject* subject = &chaos.subjects[below(CROWDED)];
    if (subject->state == OPEN && chaos.live_count < LIVE_MOST) {
      read_nothing(subject);
    }
  }
}

/* Mostly much at once; before forks the quiet moments count as well. */
static void act_from_outside(void) {
  unsigned kind = below(chaos.life->story == FORKS ? 4 : 8);
  chaos.budget = kind < 2 ? 0 : below(FROM_CALLBACKS);
  if (kind == 0) {
    act_quietly();
    return;
  }
  for (unsigned i = 1 + below(kind == 1 ? FEW : FROM_OUTSIDE); i > 0; i--) {
    act();
  }
}

static void live_a_round(struct fixture* f) {
  watch_for_hang(chaos.life->name);
  act_from_outside();
  if (chaos.life->story == FORKS) {
    fork_at_some_moment(f);
  }
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
  if (chaos.live_count != 0) {
    tracker_violation(&f->tracker, "round %u: the loop ended with %u requests pending", chaos.round,
                      chaos.live_count);
  }
  tracker_verdict(&f->tracker);
}

/* Whatever chance had in mind: halfway through, the ring is gone for good. */
static void break_the_ring(void) {
  unsigned nth = 1 + below(4);
  chaos.breaks_at = fault_calls(CALL_SUBMIT) + nth;
  fault_fail(CALL_SUBMIT, nth, ONCE, one_in(2) ? EBADF : EPERM);
}

static void live(struct fixture* f) {
  for (chaos.round = 0; chaos.round < ROUNDS && f->closed == 0; chaos.round++) {
    if (chaos.life->story == BREAKS_DOWN && chaos.round == ROUNDS / 2) {
      break_the_ring();
    }
    live_a_round(f);
  }
}

/*
 * The stories.
 */

static int begin(void** state) {
  static const unsigned depths[] = {1, 2, 3, 8, 32};
  static const unsigned batches[] = {0, 0, 1, 2, 5};
  uvdio_engine_options_t options = {0};
  memset(&chaos, 0, sizeof(chaos));
  chaos.life = *state;
  chaos.random = chaos.life->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  chaos.watched = one_in(3) ? WATCHED_MANY : WATCHED_FEW;
  chaos.entries_fail = matrix.backend != UVDIO_BACKEND_RING || faults_reach_the_ring();
  options.depth = depths[below(COUNT_OF(depths))];
  options.submit_batch_max = batches[below(COUNT_OF(batches))];
  options.callbacks_max = one_in(3) ? 0 : 1 + below(3);
  options.busy_poll_us = one_in(4) ? 50 : 0;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    chaos.f = *state;
    fixture_arena(chaos.f, SPAN, FRAMES);
  }
  return failed;
}

static int end(void** state) {
  struct fixture* f = *state;
  chaos.budget = 0;
  faults_reset();
  if (f->closed > 0) {
    f->engine = NULL;
  }
  return fixture_tear_down(state);
}

static void plain_life(void** state) {
  live(*state);
}

static void life_with_forks(void** state) {
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
  live(*state);
}

static void ring_breaks_down(void** state) {
  struct fixture* f = *state;
  if (matrix.backend != UVDIO_BACKEND_RING) {
    SKIP("only a ring breaks down");
  }
  live(f);
  if (fault_calls(CALL_SUBMIT) >= chaos.breaks_at) {
    assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  }
}

static void engine_is_closed(void** state) {
  struct fixture* f = *state;
  live(f);
  if (!chaos.closing) {
    close_the_engine();
    live_a_round(f);
  }
  assert_int_equal(f->closed, 1);
}

static const struct {
  CMUnitTestFunction body;
  const char* name;
} stories[] = {
    [PLAIN] = {plain_life, "plain_life"},
    [FORKS] = {life_with_forks, "life_with_forks"},
    [BREAKS_DOWN] = {ring_breaks_down, "ring_breaks_down"},
    [IS_CLOSED] = {engine_is_closed, "engine_is_closed"},
};

static unsigned seeds(void) {
  return under_valgrind() || UNDER_TSAN ? 3 : 5;
}

/* A test for each story and seed, so that a failure tells both. */
int main(int argc, char** argv) {
  static struct life lives[LIVES_MOST];
  struct CMUnitTest tests[LIVES_MOST];
  size_t count = 0;
  for (unsigned i = 0; i < COUNT_OF(stories); i++) {
    for (unsigned seed = 1; seed <= seeds(); seed++) {
      struct life* life = &lives[count];
      life->story = (enum story)i;
      life->seed = seed;
      snprintf(life->name, sizeof(life->name), "%s, seed %u", stories[i].name, seed);
      tests[count++] = (struct CMUnitTest){life->name, stories[i].body, begin, end, life};
    }
  }
  return matrix_main("chaos", tests, count, argc, argv);
}
