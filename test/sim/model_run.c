/* SPDX-License-Identifier: MIT */
#include "model_run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "generator.h"
#include "model.h"
#include "model_log.h"
#include "model_names.h"
#include "system.h"
#include "tracker.h"
#include "uvdio/group.h"
#include "uvdio/metrics.h"
#include "uvdio/sim.h"

#define FILES 3u
#define SECTORS 192u /* of a file */
#define FILE_SIZE (SECTORS * MODEL_SECTOR)
#define SLOTS 48u
#define BLOCK ((size_t)UVDIO_PAGE_SIZE)
#define TRANSFER_MAX (4 * BLOCK)
#define FRAMES 12u
#define LATE_MAX (8 * SLOTS)
#define POISON 0xdeadbeefdeadbeefull
#define PATH_MAX_HERE 600
#define PARTIES 3u
#define MEMBERS 6u

enum action {
  CANCEL = UVDIO_OP_COUNT,
  MISUSE,
  CLOSE_ENGINE,
  CUT_POWER,
  PLAY_NAMES,
  PLAY_GROUP,
  LOG,
  NAMES,
  DUP
};

/* Beside the operations, whose weights are in the generator's table. */
static const struct weight own_weights[] = {
    {CANCEL, 50},     {MISUSE, 16}, {CLOSE_ENGINE, 2}, {CUT_POWER, 2}, {PLAY_NAMES, 20},
    {PLAY_GROUP, 60}, {LOG, 120},   {NAMES, 160},      {DUP, 30},      {0, 0}};

static const struct profile profile = {.size = FILE_SIZE,
                                       .most = TRANSFER_MAX,
                                       .step = MODEL_SECTOR,
                                       .any_length = 10,
                                       .most_often = 3,
                                       .exact = 5,
                                       .in_pieces = 4,
                                       .ranges = 5,
                                       .durable = 5,
                                       .shared = 6,
                                       .atomic = 4,
                                       .spaces = 2,
                                       .now = 14,
                                       .flags = {{UVDIO_O_DSYNC, 4},
                                                 {UVDIO_O_TRUNCATE, 10},
                                                 {UVDIO_O_EXCLUSIVE, 20},
                                                 {UVDIO_O_NATIVE_ALIGN, 3},
                                                 {UVDIO_O_BUFFERED, 6},
                                                 {UVDIO_O_LOCK_EXCLUSIVE, 4},
                                                 {UVDIO_O_DUP, 3}}};

enum handle_state { CLOSED, OPENING, OPEN, CLOSING };

struct run;

/* Of a subject's open file: the first by an open, the others of it by uvdio_dup(). */
struct handle {
  uvdio_file_t file;
  enum handle_state state;
};

struct subject {
  struct handle handles[MODEL_HANDLES];
  unsigned flags;
  uint64_t unit; /* what offsets and lengths are multiples of */
  struct model model;
  int existence_known;
  /* a sync did, since it was opened: those begun later than this can't succeed any more */
  uint64_t failed_at;
  char path[PATH_MAX_HERE];
};

struct slot {
  struct tracked_op* top;
  struct party* party; /* null: the operation has a request of its own */
  struct run* run;
  struct subject* subject;
  struct handle* handle;
  int busy;
  int cancelled;
  int born_dead; /* submitted after the power cut */
  int is_let_in; /* no truncate, or nothing beside one, was in the way when it was submitted */
  struct operation operation;
  struct change change;
  uvdio_buf_t sent;
};

/* A group. Each member has a slot, of which it does not use the request. */
struct party {
  struct run* run;
  uvdio_group_t group;
  uvdio_member_t members[MEMBERS];
  int codes[MEMBERS]; /* with which they have to be refused */
  unsigned count;
  unsigned left; /* members that were accepted and have not ended */
  unsigned failed;
  int has_end; /* a callback of its own */
  int busy;
};

/* A write that a crash left on its way. */
struct late {
  struct subject* subject;
  struct change change;
};

struct run {
  const struct model_options* options;
  struct model_totals* totals;
  uv_loop_t loop;
  uvdio_sim_t* sim;
  uvdio_engine_t* engine;
  uvdio_arena_t* arena;
  struct tracker tracker;
  struct subject subjects[FILES];
  struct slot slots[SLOTS];
  struct party parties[PARTIES];
  int in_group_call;
  struct model_log log;
  char log_path[PATH_MAX_HERE];
  struct model_names names;
  char (*views)[TRANSFER_MAX]; /* one for each slot */
  struct late late[LATE_MAX];
  unsigned late_count;
  struct choices choices;
  uint64_t step;
  uint64_t pace; /* steps to a turn of the loop, in the mean */
  int injected;  /* operations fail */
  int closing;   /* the engine */
  int dead;      /* power cut */
  uvdio_sim_cut_t cut;
};

static const struct run* present; /* for the message */

/*
 * Decisions.
 */

static int is_skipped(const char* ranges, uint64_t step) {
  while (ranges != NULL && *ranges != '\0') {
    char* end;
    uint64_t first = strtoull(ranges, &end, 10);
    uint64_t last = *end == '-' ? strtoull(end + 1, &end, 10) : first;
    if (step >= first && step <= last) {
      return 1;
    }
    ranges = *end == ',' ? end + 1 : NULL;
  }
  return 0;
}

/*
 * Handles.
 */

static int is_closed(const struct subject* subject) {
  for (unsigned i = 0; i < MODEL_HANDLES; i++) {
    if (subject->handles[i].state != CLOSED) {
      return 0;
    }
  }
  return 1;
}

/* Of one open file, another one in a state; or null. */
static struct handle* other_handle(struct subject* subject, const struct handle* handle,
                                   enum handle_state state) {
  for (unsigned i = 0; i < MODEL_HANDLES; i++) {
    if (&subject->handles[i] != handle && subject->handles[i].state == state) {
      return &subject->handles[i];
    }
  }
  return NULL;
}

/* Mostly one that is open, where there is one. */
static struct handle* take_handle(struct run* run, struct subject* subject) {
  struct handle* handle = &subject->handles[choose(&run->choices, MODEL_HANDLES)];
  struct handle* open = other_handle(subject, handle, OPEN);
  return handle->state == OPEN || open == NULL || one_in(&run->choices, 10) ? handle : open;
}

/*
 * Complaints.
 */

/* How to see it again. Also where the program is about to crash, so that nothing is formatted
 * here. */
static char replay[2 * PATH_MAX_HERE];

static void prepare_replay(const struct model_options* options) {
  static const char* const names[] = {"auto", "ring", "aio", "pool", "memory"};
  snprintf(replay, sizeof(replay),
           "\nreplay: sim_model --backend %s --seed %" PRIu64 " --steps %" PRIu64
           " --operations 1%s%.600s\n"
           "fewer steps: the same with --shrink\n",
           names[options->backend], options->seed, options->steps,
           options->skip != NULL ? " --skip " : "", options->skip != NULL ? options->skip : "");
}

static void on_crash(int number) {
  ssize_t ignored = write(STDERR_FILENO, replay, (unsigned)strlen(replay));
  (void)ignored;
  (void)signal(number, SIG_DFL);
  (void)raise(number);
}

/* The address sanitizer has its own say about the rest. */
static void watch_for_crashes(void) {
  (void)signal(SIGABRT, on_crash);
  if (!UNDER_ASAN && !UNDER_TSAN) {
    (void)signal(SIGSEGV, on_crash);
#ifdef SIGBUS
    (void)signal(SIGBUS, on_crash);
#endif
  }
}

__attribute__((format(printf, 1, 2), noreturn)) static void complain(const char* format, ...) {
  va_list arguments;
  fflush(stdout);
  fprintf(stderr, "FAILED at step %" PRIu64 ": ", present->step);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, "%s", replay);
  exit(1);
}

static void expect_code(int64_t got, int64_t expected, const char* what) {
  if (got != expected) {
    complain("%s: %" PRId64 " (%s), not %" PRId64 " (%s)", what, got, uvdio_err_name((int)got),
             expected, uvdio_err_name((int)expected));
  }
}

/* What happened to an operation, where somebody wants to read it. */
static void trace(const struct run* run, const struct slot* slot, const char* what,
                  int64_t number) {
  if (run->options->trace) {
    printf("step %" PRIu64 ": %s %s of subject %u by handle %u, slot %d, order %" PRIu64
           ", %" PRIu64 "-%" PRIu64 ": %" PRId64 "\n",
           run->step, what, uvdio_op_name(slot->operation.op), slot->subject->model.number,
           slot->operation.handle, (int)(slot - run->slots), slot->change.order,
           slot->operation.offset, slot->operation.offset + slot->sent.cap, number);
  }
}

static void print_line(void* data, const char* line) {
  (void)data;
  printf("  world: %s\n", line);
}

/*
 * Content.
 */

/* What a read does not bring must not look like what it could have brought. Valgrind does not see
 * what a ring writes. */
static void poison(const uvdio_buf_t* buf) {
  static int watched = -1;
  if (watched < 0) {
    watched = under_valgrind();
  }
  if (watched) {
    memset(buf->base, 0xee, buf->cap);
  }
  for (size_t at = 0; at < buf->cap; at += MODEL_SECTOR) {
    uint64_t word = POISON;
    memcpy(buf->base + at, &word, sizeof(word));
  }
}

static void check_bytes(const struct run* run, const struct slot* slot, const char* base,
                        size_t length) {
  int strict = run->sim != NULL;
  uint64_t where = 0;
  const char* wrong =
      model_check_read(&slot->subject->model, &slot->change, base, length, strict, &where);
  if (wrong != NULL) {
    uint64_t word;
    memcpy(&word, base + (where - slot->operation.offset), sizeof(word));
    complain("%s: read at %" PRIu64 " begun at %" PRIu64 ": %s: %016" PRIx64, slot->subject->path,
             where, slot->change.order, wrong, word);
  }
  run->totals->sectors += length / MODEL_SECTOR;
}

/*
 * Results.
 */

/* Errors that have nothing to do with what the operation is. */
static int is_excused(const struct run* run, const struct slot* slot, int64_t result) {
  if (result == UV_ECANCELED) {
    return slot->cancelled;
  }
  if (result == UVDIO_SIM_DEAD) {
    return run->dead && slot->operation.op != UVDIO_OP_CLOSE;
  }
  return run->injected && (result == UV_EIO || result == UV_ENOSPC) &&
         slot->operation.op != UVDIO_OP_OPEN && slot->operation.op != UVDIO_OP_CLOSE;
}

static void end_read(const struct run* run, const struct slot* slot, int64_t result,
                     const uvdio_buf_t* buf) {
  int64_t expected = model_expected_read(&slot->subject->model, &slot->change);
  int64_t cap = (int64_t)slot->sent.cap;
  int64_t got = (int64_t)buf->len;
  if (result != UVDIO_ESHORTREAD || !slot->operation.exact) {
    expect_code(result, got, "result of a read");
  }
  if (slot->operation.exact && (result == UVDIO_ESHORTREAD) != (got < cap)) {
    complain("an exact read of %" PRId64 " bytes: %" PRId64 " with %" PRId64 " bytes", cap, result,
             got);
  }
  if (expected >= 0) {
    expect_code(got, expected, "bytes of a read");
  }
  check_bytes(run, slot, buf->base, (size_t)got);
}

static void end_size(const struct slot* slot, int64_t result) {
  int64_t size = model_expected_size(&slot->subject->model, &slot->change);
  if (result < 0 || result > (int64_t)FILE_SIZE || (size >= 0 && result != size)) {
    complain("size of %s: %" PRId64 ", not %" PRId64, slot->subject->path, result, size);
  }
}

/* A lock outlives its program as long as its writes may land. */
static int is_locked_by_the_dead(const struct run* run, const struct slot* slot, int64_t result) {
  return result == UVDIO_ELOCKED && (slot->operation.flags & UVDIO_O_LOCK_EXCLUSIVE) != 0 &&
         run->totals->crashes > 0;
}

static void end_open(struct run* run, struct slot* slot, int64_t result) {
  struct subject* subject = slot->subject;
  uvdio_file_info_t info;
  int creates = (slot->operation.flags & UVDIO_O_CREATE) != 0;
  if (result == 0 && (slot->operation.flags & UVDIO_O_EXCLUSIVE) != 0 && subject->existence_known &&
      subject->model.exists) {
    complain("an exclusive open of %s, which exists", subject->path);
  }
  if (result == UV_EEXIST && ((slot->operation.flags & UVDIO_O_EXCLUSIVE) == 0 ||
                              (subject->existence_known && !subject->model.exists))) {
    complain("%s exists", subject->path);
  }
  if (result == UV_ENOENT && (creates || (subject->existence_known && subject->model.exists))) {
    complain("%s does not exist", subject->path);
  }
  if (result < 0 && result != UV_EEXIST && result != UV_ENOENT &&
      !is_locked_by_the_dead(run, slot, result) && !is_excused(run, slot, result)) {
    expect_code(result, 0, "open");
  }
  model_ends(&subject->model, &slot->change, result == 0 ? MODEL_DONE : MODEL_UNSURE);
  slot->handle->state = result == 0 ? OPEN : CLOSED;
  subject->failed_at = UINT64_MAX;
  if (result != 0) {
    subject->existence_known &= subject->model.exists || !creates;
    return;
  }
  subject->model.exists = 1;
  subject->existence_known = 1;
  expect_code(uvdio_file_info(&slot->handle->file, &info), 0, "file_info");
  subject->unit = info.offset_align > MODEL_SECTOR ? info.offset_align : MODEL_SECTOR;
}

/* Outcomes are called back in their order, but a synchronous one overtakes those that wait to be
 * called back. */
static void end_sync(struct slot* slot, int64_t result) {
  struct subject* subject = slot->subject;
  if (result == UV_ECANCELED) {
    return;
  }
  if (result != 0) {
    subject->failed_at = slot->operation.now ? subject->model.clock : 0;
  } else if (slot->change.order > subject->failed_at) {
    complain("a sync of %s succeeded after one that failed", subject->path);
  }
  model_ends(&subject->model, &slot->change, result == 0 ? MODEL_DONE : MODEL_UNSURE);
}

/*
 * Writes that outlive their program: at work until the world says that nothing lands any more.
 */

static void end_late(struct run* run) {
  for (unsigned i = 0; i < run->late_count; i++) {
    model_ends(&run->late[i].subject->model, &run->late[i].change, MODEL_UNSURE);
  }
  run->late_count = 0;
}

static void end_late_if_landed(struct run* run) {
  uvdio_sim_stats_t stats;
  if (run->late_count > 0) {
    expect_code(uvdio_sim_stats(run->sim, &stats), 0, "sim_get_stats");
    if (stats.landing == 0) {
      end_late(run);
    }
  }
}

static void settle(struct run* run) {
  int64_t landed = uvdio_sim_settle(run->sim);
  if (landed < 0) {
    complain("sim_settle: %" PRId64, landed);
  }
  end_late_if_landed(run);
}

/* A latched file's writes end with its error, also those that the crash found under way. */
static int may_be_late(const struct run* run, const struct slot* slot, int64_t result) {
  return run->dead && run->cut == UVDIO_SIM_CUT_CRASH && !slot->born_dead && result < 0 &&
         result != UV_ECANCELED;
}

static void leave(struct run* run, const struct slot* slot) {
  if (run->late_count == LATE_MAX) {
    complain("more late writes than there are slots for them");
  }
  run->late[run->late_count++] = (struct late){slot->subject, slot->change};
  run->totals->late++;
}

static void end_write(struct run* run, const struct slot* slot, int64_t result) {
  struct subject* subject = slot->subject;
  if (may_be_late(run, slot, result)) {
    leave(run, slot);
  } else {
    int durable =
        (subject->flags & UVDIO_O_DSYNC) != 0 || (slot->operation.how & UVDIO_WRITE_DURABLE) != 0;
    model_ends(&subject->model, &slot->change,
               result < 0 ? MODEL_UNSURE
               : durable  ? MODEL_DURABLE
                          : MODEL_DONE);
    if (result < 0 && (slot->operation.how & UVDIO_WRITE_BY_SYNC) != 0) {
      model_sync_fails(&subject->model);
    }
  }
}

static int is_look(uvdio_op_t op) {
  return facts_of(op)->effect == EFFECT_LOOK;
}

/* A world has room for every change. */
static int is_about_disk(const struct run* run, const struct slot* slot, int64_t result) {
  uvdio_op_t op = slot->operation.op;
  return op_may_give(op, result) && (run->sim == NULL || !op_is(op, UVDIO_OP_KIND_CHANGE));
}

static void end_look(const struct slot* slot, int64_t result) {
  const char* wrong = model_check_next(&slot->subject->model, &slot->change, result);
  if (wrong != NULL) {
    complain("%s of %s from %" PRIu64 ": %" PRId64 ": %s", uvdio_op_name(slot->operation.op),
             slot->subject->path, slot->operation.offset, result, wrong);
  }
}

static void check_outcome(const struct run* run, const struct slot* slot, int64_t result) {
  if (slot->born_dead && result != UVDIO_SIM_DEAD && slot->operation.op != UVDIO_OP_CLOSE &&
      result != UV_ECANCELED && !(slot->operation.op == UVDIO_OP_WRITE && slot->sent.len == 0)) {
    complain("%s on a dead engine: %" PRId64, uvdio_op_name(slot->operation.op), result);
  }
  if (result < 0 && slot->operation.op != UVDIO_OP_OPEN && !is_excused(run, slot, result) &&
      !(slot->operation.exact && result == UVDIO_ESHORTREAD) && !is_about_disk(run, slot, result)) {
    complain("%s of %s: %s%s", uvdio_op_name(slot->operation.op), slot->subject->path,
             uvdio_strerror((int)result),
             slot->cancelled ? ", after it was asked to end early" : "");
  }
  if (result >= 0 && slot->operation.op != UVDIO_OP_READ && slot->operation.op != UVDIO_OP_SIZE &&
      !is_look(slot->operation.op)) {
    expect_code(result, slot->operation.op == UVDIO_OP_WRITE ? (int64_t)slot->sent.len : 0,
                "result");
  }
}

/* Takes the outcome into account, however it came. */
static void end_operation(struct run* run, struct slot* slot, int64_t result,
                          const uvdio_buf_t* buf) {
  trace(run, slot, "end", result);
  run->totals->cancelled += result == UV_ECANCELED;
  run->totals->failed += result < 0 && result != UV_ECANCELED;
  check_outcome(run, slot, result);
  switch (facts_of(slot->operation.op)->effect) {
    case EFFECT_OPEN:
      end_open(run, slot, result);
      break;
    case EFFECT_READ:
      if (result >= 0 || result == UVDIO_ESHORTREAD) {
        end_read(run, slot, result, buf);
      }
      break;
    case EFFECT_WRITE:
      end_write(run, slot, result);
      break;
    case EFFECT_SYNC:
      end_sync(slot, result);
      break;
    case EFFECT_SIZE:
      if (result >= 0) {
        end_size(slot, result);
      }
      break;
    case EFFECT_STAT:
      if (result == 0) {
        end_size(slot, (int64_t)slot->top->stat.size);
      }
      break;
    case EFFECT_LOOK:
      if (result >= 0 || result == UV_ENXIO) {
        end_look(slot, result);
      }
      break;
    case EFFECT_NONE:
      break;
    case EFFECT_TRUNCATE:
    case EFFECT_PREALLOCATE:
    case EFFECT_ZEROS:
      model_ends(&slot->subject->model, &slot->change, result == 0 ? MODEL_DONE : MODEL_UNSURE);
      break;
    case EFFECT_CLOSE:
      slot->handle->state = CLOSED;
      break;
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      complain("an operation that is none");
  }
}

static void step(struct run* run);

/* What must hold of any operation (tracker.h). */
static void check_promises(const struct run* run) {
  if (run->tracker.violation[0] != '\0') {
    complain("%s", run->tracker.violation);
  }
  if (run->log.wrong[0] != '\0') {
    complain("%s", run->log.wrong);
  }
  if (run->names.wrong[0] != '\0') {
    complain("%s", run->names.wrong);
  }
}

/* A member that is under way, older than the operation and to be waited for. */
static const struct slot* older_member(const struct run* run, const struct slot* slot,
                                       uvdio_op_t as) {
  for (unsigned i = 0; i < SLOTS; i++) {
    const struct slot* other = &run->slots[i];
    if (other->busy && other->party != NULL && other->handle == slot->handle &&
        other->change.order <= slot->change.order && other->sent.cap > 0 &&
        op_waits_for(as, other->operation.op)) {
      return other;
    }
  }
  return NULL;
}

static uvdio_op_t ordered_as(const struct slot* slot) {
  return operation_ordered_as(slot->operation.op, slot->operation.flags);
}

/* An empty transfer waits for nothing. */
static int moves_or_changes(const struct slot* slot) {
  return !op_is(slot->operation.op, UVDIO_OP_KIND_TRANSFER) || slot->operation.length > 0;
}

/* What is under way on a handle of the open file, and runs alone beside the operation, or that
 * beside it. */
static int excludes(const struct slot* slot, const struct slot* other) {
  return other->busy && other->subject == slot->subject && moves_or_changes(slot) &&
         moves_or_changes(other) && !op_is(slot->operation.op, UVDIO_OP_KIND_SYNC) &&
         slot->operation.op != UVDIO_OP_CLOSE && op_waits_for(ordered_as(slot), ordered_as(other));
}

/* Among handles the order is that in which they are let in: nothing that was at once is passed. */
static void check_handles_first(const struct run* run, const struct slot* slot, int64_t result) {
  for (unsigned i = 0; result >= 0 && i < SLOTS; i++) {
    const struct slot* other = &run->slots[i];
    if (other->handle != slot->handle && excludes(slot, other) && other->is_let_in &&
        other->change.order < slot->change.order) {
      complain("%s of %s: done before an older %s of another handle",
               uvdio_op_name(slot->operation.op), slot->subject->path,
               uvdio_op_name(other->operation.op));
    }
  }
}

static int is_let_in(const struct run* run, const struct slot* slot) {
  for (unsigned i = 0; i < SLOTS; i++) {
    if (&run->slots[i] != slot && excludes(slot, &run->slots[i])) {
      return 0;
    }
  }
  return 1;
}

static void check_members_first(const struct run* run, const struct slot* slot, int64_t result) {
  uvdio_op_t as = operation_ordered_as(slot->operation.op, slot->operation.flags);
  if ((result >= 0 || as == UVDIO_OP_CLOSE) && older_member(run, slot, as) != NULL) {
    complain("%s: done before an older member of a group", uvdio_op_name(slot->operation.op));
  }
}

static void on_end(struct tracked_op* top) {
  struct slot* slot = top->data;
  struct run* run = slot->run;
  uvdio_buf_t back = op_take(top);
  check_promises(run);
  slot->busy = 0;
  if (tracker_overtaken(top) != NULL) {
    complain("%s: done before an older %s", uvdio_op_name(top->kind),
             uvdio_op_name(tracker_overtaken(top)->kind));
  }
  check_members_first(run, slot, top->result);
  check_handles_first(run, slot, top->result);
  end_operation(run, slot, top->result, &back);
  expect_code(uvdio_buf_release(&back), 0, "release");
  if (one_in(&run->choices, 4)) {
    step(run);
  }
}

/*
 * Submissions.
 */

static struct slot* free_slot(struct run* run) {
  uint64_t first = choose(&run->choices, SLOTS);
  for (uint64_t i = 0; i < SLOTS; i++) {
    struct slot* slot = &run->slots[(first + i) % SLOTS];
    if (!slot->busy) {
      return slot;
    }
  }
  return NULL;
}

/* What the call has to return; 0 also where the operation itself may fail. */
static int expected_code(const struct run* run, const struct slot* slot) {
  const struct subject* subject = slot->subject;
  int changes = op_needs_writing(slot->operation.op);
  int reads = slot->operation.op == UVDIO_OP_READ;
  uvdio_file_info_t info;
  if (run->closing) {
    return UV_EBADF;
  }
  if (slot->operation.op == UVDIO_OP_OPEN) {
    return 0;
  }
  if (slot->handle->state != OPEN || (reads && (subject->flags & UVDIO_O_WRONLY) != 0) ||
      (changes && (subject->flags & (UVDIO_O_RDWR | UVDIO_O_WRONLY)) == 0)) {
    return UV_EBADF;
  }
  if (!op_is(slot->operation.op, UVDIO_OP_KIND_CHANGE | UVDIO_OP_KIND_SYNC)) {
    return 0;
  }
  expect_code(uvdio_file_info(&slot->handle->file, &info), 0, "file_info");
  if ((slot->operation.how & UVDIO_WRITE_ATOMIC) != 0 &&
      (slot->operation.length < info.atomic_min || slot->operation.length > info.atomic_max ||
       slot->operation.length == 0)) {
    return UVDIO_EATOMIC;
  }
  if (info.latch_error != 0 && !run->injected && !run->dead) {
    complain("%s is latched: %s", subject->path, uvdio_strerror(info.latch_error));
  }
  if (info.latch_error == 0 && slot->operation.op == UVDIO_OP_REPLACE &&
      other_handle(slot->subject, slot->handle, OPEN) != NULL) {
    return UV_EBUSY;
  }
  return info.latch_error;
}

static void accepted(struct run* run, struct slot* slot) {
  slot->is_let_in = is_let_in(run, slot);
  slot->busy = 1;
  run->totals->operations++;
}

/* A heap buffer, a frame or a view, of `size` bytes. */
static uvdio_buf_t take_buffer(struct run* run, const struct slot* slot, size_t size) {
  uvdio_buf_t buf;
  uint64_t origin = choose(&run->choices, 3);
  if (origin == 0 && size == TRANSFER_MAX && uvdio_arena_acquire(run->arena, &buf) == 0) {
    return buf;
  }
  if (origin == 1 && uvdio_buf_alloc(&buf, size, 0) == 0 && buf.cap == size) {
    return buf;
  }
  if (origin == 1 && size > 0) {
    (void)uvdio_buf_release(&buf);
  }
  return uvdio_buf_wrap(run->views[slot - run->slots], size);
}

/* Files that may not be there are never opened for reads only. A read through a page cache sees
 * parts of sectors of a write on its way, of which the model knows nothing. */
static unsigned open_flags(struct run* run, const struct subject* subject, unsigned chosen) {
  int reads = one_in(&run->choices, 10) && subject->existence_known && subject->model.exists;
  if (run->sim == NULL) {
    chosen &= ~UVDIO_O_BUFFERED;
  }
  if (reads) {
    return UVDIO_OPEN_READ | (chosen & (UVDIO_O_NATIVE_ALIGN | UVDIO_O_BUFFERED));
  }
  return UVDIO_O_CREATE | chosen | (one_in(&run->choices, 10) ? UVDIO_O_WRONLY : UVDIO_O_RDWR);
}

/* Before it is prepared. */
static void take(struct slot* slot, struct subject* subject, struct handle* handle) {
  slot->subject = subject;
  slot->handle = handle;
}

static uvdio_buf_t provide(struct run* run, struct slot* slot) {
  struct subject* subject = slot->subject;
  struct operation* operation = &slot->operation;
  uvdio_op_t op = operation->op;
  uvdio_buf_t buf = uvdio_buf_wrap(NULL, 0);
  operation->handle = (unsigned)(slot->handle - subject->handles);
  slot->cancelled = 0;
  slot->born_dead = run->dead;
  if (op == UVDIO_OP_OPEN) {
    operation->flags = open_flags(run, subject, operation->flags);
  } else if (op_is(op, UVDIO_OP_KIND_TRANSFER)) {
    buf = take_buffer(run, slot, (size_t)operation->length);
  }
  if (op == UVDIO_OP_WRITE) {
    buf.len = one_in(&run->choices, 50) ? 0 : buf.cap;
    operation->length = buf.len;
  }
  slot->sent = buf;
  return buf;
}

static uvdio_buf_t prepare(struct run* run, struct slot* slot, uvdio_op_t op) {
  slot->operation = generate(&run->choices, &profile, op, slot->subject->unit);
  return provide(run, slot);
}

static int submit(struct run* run, struct slot* slot, uvdio_buf_t* buf) {
  struct subject* subject = slot->subject;
  struct target target = {
      .engine = run->engine, .path = subject->path, .file = &slot->handle->file, .buf = buf};
  int code = t_operation(slot->top, &slot->operation, &target)->code;
  check_promises(run);
  return code;
}

static void begin(const struct run* run, struct slot* slot) {
  struct subject* subject = slot->subject;
  model_begins(&subject->model, &slot->change, &slot->operation, slot->sent.base);
  if (slot->operation.op == UVDIO_OP_OPEN) {
    subject->flags = slot->operation.flags;
  } else if (slot->operation.op == UVDIO_OP_READ) {
    poison(&slot->sent);
  }
  trace(run, slot, "begin", slot->operation.flags);
}

/* Whether another handle of the open file may be in the way, or has been until its callback: what
 * waited for it on this one goes first. */
static int may_wait_for_handles(const struct run* run, const struct slot* slot) {
  for (unsigned i = 0; i < SLOTS; i++) {
    const struct slot* other = &run->slots[i];
    if (other->busy && other->subject == slot->subject) {
      return (slot->subject->flags & UVDIO_O_DUP) != 0;
    }
  }
  return 0;
}

/* Whether the synchronous form may be refused. Of files on disks more is, than the order of a file
 * asks for. */
static int may_be_busy(const struct run* run, const struct slot* slot) {
  uvdio_op_t op = operation_ordered_as(slot->operation.op, slot->operation.flags);
  uvdio_op_t as =
      run->sim != NULL || op == UVDIO_OP_SIZE || op == UVDIO_OP_STAT ? op : UVDIO_OP_CLOSE;
  return tracker_obstacle(&run->tracker, &slot->handle->file, as) != NULL ||
         older_member(run, slot, as) != NULL || may_wait_for_handles(run, slot);
}

/* Returns 0 where something else that is under way does not allow it. */
static int is_done_at_once(struct run* run, struct slot* slot, uvdio_buf_t* buf) {
  const struct tracked_op* top = slot->top;
  int busy = may_be_busy(run, slot);
  int code = submit(run, slot, buf);
  if (code == UV_EBUSY && busy) {
    run->totals->refused++;
    return 0;
  }
  expect_code(code, top->req.result < 0 ? top->req.result : 0, "a synchronous operation");
  run->totals->operations++;
  end_operation(run, slot, top->req.result, buf);
  return 1;
}

/* Makes an operation that has to be accepted. */
static void carry_out(struct run* run, struct slot* slot, uvdio_buf_t* buf) {
  uvdio_op_t op = slot->operation.op;
  begin(run, slot);
  if (slot->operation.now && is_done_at_once(run, slot, buf)) {
    return;
  }
  slot->operation.now = 0;
  expect_code(submit(run, slot, buf), 0, uvdio_op_name(op));
  if (op == UVDIO_OP_OPEN) {
    slot->handle->state = OPENING;
  } else if (op == UVDIO_OP_CLOSE) {
    slot->handle->state = CLOSING;
  }
  accepted(run, slot);
}

static void operate(struct run* run, struct subject* subject, uvdio_op_t op) {
  struct slot* slot = free_slot(run);
  struct handle* handle = op == UVDIO_OP_OPEN ? &subject->handles[0] : take_handle(run, subject);
  if (slot == NULL || (op == UVDIO_OP_OPEN && !is_closed(subject)) ||
      (op == UVDIO_OP_REPLACE && other_handle(subject, handle, CLOSING) != NULL)) {
    return;
  }
  take(slot, subject, handle);
  uvdio_buf_t buf = prepare(run, slot, op);
  int expected = expected_code(run, slot);
  if (expected == 0) {
    carry_out(run, slot, &buf);
  } else {
    slot->operation.now = 0;
    expect_code(submit(run, slot, &buf), expected, "an operation to be refused");
    run->totals->refused++;
  }
  expect_code(uvdio_buf_release(&buf), 0, "release");
}

static int is_replaced(const struct run* run, const struct handle* handle) {
  for (unsigned i = 0; i < SLOTS; i++) {
    const struct slot* slot = &run->slots[i];
    if (slot->busy && slot->handle == handle && slot->operation.op == UVDIO_OP_REPLACE) {
      return 1;
    }
  }
  return 0;
}

/* One more handle, where the open file has none of it yet. */
static void dup_handle(struct run* run) {
  struct subject* subject = &run->subjects[choose(&run->choices, FILES)];
  const struct handle* source = other_handle(subject, NULL, OPEN);
  struct handle* handle = other_handle(subject, NULL, CLOSED);
  if (source == NULL || handle == NULL) {
    return;
  }
  int is_allowed = (subject->flags & UVDIO_O_DUP) != 0;
  int expected = !is_allowed ? UV_EINVAL : run->closing ? UV_EBADF : run->dead ? UVDIO_SIM_DEAD : 0;
  int code = uvdio_dup(run->engine, &handle->file, &source->file);
  if ((code == UV_EBUSY && is_replaced(run, source)) || (code == UV_EBADF && run->closing)) {
    return;
  }
  expect_code(code, expected, "uvdio_dup");
  handle->state = code == 0 ? OPEN : CLOSED;
  run->totals->dups += code == 0;
}

/*
 * Groups.
 */

static void end_party(struct party* party) {
  if (!party->busy || party->left > 0 || party->group.failed != party->failed) {
    complain("a group ended with %u members under way, and %u, not %u, that failed", party->left,
             party->group.failed, party->failed);
  }
  party->busy = 0;
}

static void on_group(uvdio_group_t* group) {
  end_party(group->data);
}

/* Without a callback of its own the group has ended with its last member. */
static void on_member(uvdio_member_t* member) {
  struct slot* slot = member->data;
  struct run* run = slot->run;
  struct party* party = slot->party;
  uvdio_buf_t back = member->buf;
  if (run->in_group_call || party == NULL || party->left == 0) {
    complain("a member ended inside the call, or twice");
  }
  slot->busy = 0;
  slot->party = NULL;
  member->buf = uvdio_buf_wrap(NULL, 0);
  party->failed += member->result < 0;
  if (--party->left == 0 && !party->has_end) {
    end_party(party);
  }
  check_members_first(run, slot, member->result);
  check_handles_first(run, slot, member->result);
  end_operation(run, slot, member->result, &back);
  expect_code(uvdio_buf_release(&back), 0, "release");
  if (one_in(&run->choices, 4)) {
    step(run);
  }
}

/* Mostly where the one before ends, or a little further, so that they can be merged. */
static void follow(struct run* run, struct operation* operation, const struct operation* before,
                   uint64_t unit) {
  uint64_t offset = before->offset + before->length;
  offset += one_in(&run->choices, 3) ? choose(&run->choices, 4) * unit : 0;
  if (offset % unit == 0 && offset + unit <= FILE_SIZE && !one_in(&run->choices, 6)) {
    operation->offset = offset;
    operation->length = operation->length < FILE_SIZE - offset ? operation->length
                                                               : (FILE_SIZE - offset) / unit * unit;
    operation->how = before->how & ~UVDIO_WRITE_ATOMIC;
    operation->exact = before->exact;
  }
}

static void set_member(struct run* run, struct party* party, struct subject* subject,
                       uvdio_op_t op) {
  struct slot* slot = free_slot(run);
  if (slot == NULL) {
    return;
  }
  uvdio_member_t* member = &party->members[party->count];
  slot->operation = generate(&run->choices, &profile, op, subject->unit);
  slot->operation.now = 0;
  slot->operation.pieces = 0;
  slot->operation.skip = 0;
  if (party->count > 0) {
    const struct slot* before = party->members[party->count - 1].data;
    follow(run, &slot->operation, &before->operation, subject->unit);
  }
  take(slot, subject, take_handle(run, subject));
  member->buf = provide(run, slot);
  member->data = slot;
  member->op = op;
  member->flags =
      op == UVDIO_OP_WRITE ? slot->operation.how : (slot->operation.exact ? UVDIO_MEMBER_EXACT : 0);
  member->file = &slot->handle->file;
  member->offset = slot->operation.offset;
  slot->busy = 1; /* so that no other member takes it */
  party->codes[party->count++] = expected_code(run, slot);
}

static struct party* gather(struct run* run) {
  struct party* party = &run->parties[choose(&run->choices, PARTIES)];
  struct subject* subject = &run->subjects[choose(&run->choices, FILES)];
  uvdio_op_t op = one_in(&run->choices, 2) ? UVDIO_OP_READ : UVDIO_OP_WRITE;
  if (party->busy) {
    return NULL;
  }
  party->run = run;
  party->group.data = party;
  party->count = 0;
  party->left = 0;
  party->failed = 0;
  for (unsigned i = 1 + (unsigned)choose(&run->choices, MEMBERS); i > 0; i--) {
    if (one_in(&run->choices, 8)) {
      subject = &run->subjects[choose(&run->choices, FILES)];
      op = one_in(&run->choices, 2) ? UVDIO_OP_READ : UVDIO_OP_WRITE;
    }
    set_member(run, party, subject, op);
  }
  return party->count > 0 ? party : NULL;
}

/* Of those that have to be accepted. */
static void begin_members(struct run* run, struct party* party) {
  for (unsigned i = 0; i < party->count; i++) {
    struct slot* slot = party->members[i].data;
    if (party->codes[i] == 0) {
      begin(run, slot);
      accepted(run, slot);
      slot->party = party;
      party->left++;
    }
  }
}

static void check_refusals(struct run* run, struct party* party) {
  for (unsigned i = 0; i < party->count; i++) {
    uvdio_member_t* member = &party->members[i];
    struct slot* slot = member->data;
    if (party->codes[i] != 0) {
      expect_code(member->result, party->codes[i], "a member to be refused");
      expect_code(uvdio_buf_release(&member->buf), 0, "release");
      slot->busy = 0;
      party->failed++;
      run->totals->refused++;
    } else if (member->buf.base != NULL && (member->flags & UVDIO_WRITE_SHARED) == 0) {
      complain("a member kept its buffer");
    }
  }
}

static void submit_group(struct run* run) {
  uvdio_group_options_t options = {0};
  struct party* party = gather(run);
  if (party == NULL) {
    return;
  }
  options.merge_size_max = choose(&run->choices, 5) * TRANSFER_MAX;
  options.merge_gap_max = choose(&run->choices, 4) * MODEL_SECTOR;
  begin_members(run, party);
  party->has_end = one_in(&run->choices, 2);
  party->busy = party->left > 0;
  run->in_group_call = 1;
  int code = uvdio_group_submit(&party->group, party->members, party->count, &options, on_member,
                                party->has_end ? on_group : NULL);
  run->in_group_call = 0;
  expect_code(code, party->left > 0 ? 0 : party->codes[0], "a group");
  run->totals->members += party->left;
  run->totals->merged += party->left - party->group.requests;
  check_refusals(run, party);
}

static void cancel_group(struct run* run, struct party* party) {
  expect_code(uvdio_group_cancel(&party->group), 0, "cancelling a group");
  for (unsigned i = 0; i < SLOTS; i++) {
    run->slots[i].cancelled |= run->slots[i].party == party;
  }
}

static void cancel_handle(struct run* run, struct handle* handle) {
  int code = uvdio_file_cancel(&handle->file);
  int is_sure = !run->closing && (handle->state == OPEN || handle->state == CLOSED);
  int is_open =
      is_sure ? handle->state == OPEN : code == 0; /* callbacks run, or the engine closes it */
  expect_code(code, is_open ? 0 : UV_EBADF, "cancelling a file's");
}

/* Whatever is pending, of one handle or (null) of all. */
static void cancel_all(struct run* run, struct handle* handle) {
  if (handle != NULL) {
    cancel_handle(run, handle);
  } else {
    expect_code(uvdio_engine_cancel(run->engine), 0, "cancelling all");
    run->log.is_cancelled = 1;
    model_names_cancelled(&run->names);
  }
  for (unsigned i = 0; i < SLOTS; i++) {
    struct slot* slot = &run->slots[i];
    slot->cancelled |= slot->busy && (handle == NULL || slot->handle == handle);
  }
}

static void cancel_some(struct run* run) {
  if (one_in(&run->choices, 12)) {
    struct subject* subject = &run->subjects[choose(&run->choices, FILES)];
    cancel_all(run, one_in(&run->choices, 3) ? NULL : take_handle(run, subject));
    return;
  }
  struct slot* slot = &run->slots[choose(&run->choices, SLOTS)];
  for (unsigned i = 0; i < SLOTS / 2 && !slot->busy; i++) {
    slot = &run->slots[choose(&run->choices, SLOTS)];
  }
  if (slot->party != NULL) {
    cancel_group(run, slot->party);
    return;
  }
  int code = t_cancel(slot->top);
  if (!slot->busy) {
    expect_code(code, UV_EINVAL, "cancelling nothing");
    return;
  }
  trace(run, slot, "cancel", code);
  if (code != UV_EBUSY) {
    expect_code(code, 0, "cancel");
    slot->cancelled = 1;
  }
  if (code == 0 && slot->operation.op == UVDIO_OP_CLOSE) {
    complain("a close was cancelled");
  }
}

/* Calls that are wrong, on a file where nothing else is. */
/* Beside the files, whose content has to be what it was. */
static void play(struct run* run) {
  char prefix[PATH_MAX_HERE];
  snprintf(prefix, sizeof(prefix), "%.200s", run->subjects[0].path);
  play_names(&run->tracker, run->engine, prefix, &run->choices);
  check_promises(run);
}

static void misuse(struct run* run) {
  struct subject* subject = &run->subjects[choose(&run->choices, FILES)];
  struct slot* slot = &run->slots[choose(&run->choices, SLOTS)];
  uvdio_buf_t buf = uvdio_buf_view_bytes(run->views[0], BLOCK);
  uvdio_buf_t off = uvdio_buf_view_bytes(run->views[0] + 8, BLOCK);
  struct tracked_op* top = slot->top;
  uvdio_file_t* file = &subject->handles[0].file;
  if (run->closing || subject->handles[0].state != OPEN || (subject->flags & UVDIO_O_WRONLY) != 0 ||
      slot->party != NULL) {
    return;
  }
  top->blocking = 0;
  if (slot->busy) {
    expect_code(t_size(top, file)->code, UV_EBUSY, "a request in flight");
    expect_code(t_read(top, file, &buf, 0)->code, UV_EBUSY, "a request in flight");
  } else {
    if ((subject->flags & UVDIO_O_BUFFERED) == 0) {
      expect_code(t_read(top, file, &off, 0)->code, UVDIO_EALIGN, "misaligned memory");
      expect_code(t_read(top, file, &buf, 8)->code, UVDIO_EALIGN, "a misaligned offset");
    }
    expect_code(t_read(top, file, &buf, (uint64_t)INT64_MAX + 1)->code, UVDIO_EOFFSET,
                "an offset out of range");
    expect_code(t_preallocate(top, file, 0)->code, UV_EINVAL, "preallocating nothing");
    expect_code(t_punch_hole(top, file, 0, 0)->code, UV_EINVAL, "a hole of no bytes");
  }
  check_promises(run);
  run->totals->refused++;
}

/*
 * Engines.
 */

static void on_engine_closed(uvdio_engine_t* engine) {
  struct run* run = uvdio_engine_data(engine);
  uvdio_engine_stats_t stats;
  expect_code(uvdio_engine_stats(engine, &stats), 0, "stats");
  if (inside_library() || stats.pending != 0 || stats.in_flight != 0 ||
      run->tracker.accepted != run->tracker.finished) {
    complain("the engine closed with %" PRIu64 " pending, %u in flight, %u of %u called back",
             stats.pending, stats.in_flight, run->tracker.finished, run->tracker.accepted);
  }
  for (unsigned i = 0; i < PARTIES; i++) {
    if (run->parties[i].busy) {
      complain("the engine closed with a group under way");
    }
  }
  for (unsigned i = 0; i < FILES; i++) {
    for (unsigned k = 0; k < MODEL_HANDLES; k++) {
      run->subjects[i].handles[k].state = CLOSED;
    }
  }
  run->engine = NULL;
}

static void begin_close(struct run* run) {
  if (run->closing) {
    expect_code(t_engine_close(run->engine, on_engine_closed), UV_EBADF, "closing twice");
    return;
  }
  run->closing = 1;
  run->log.closing = 1;
  run->names.closing = 1;
  expect_code(t_engine_close(run->engine, on_engine_closed), 0, "engine_close");
}

static void start_engine(struct run* run) {
  uvdio_engine_options_t options = {0};
  options.backend = run->options->backend;
  options.depth = (unsigned)(1 + choose(&run->choices, 40));
  options.callbacks_max = (unsigned)(1 + choose(&run->choices, 40));
  int code = run->sim != NULL
                 ? uvdio_sim_engine_create(&run->engine, &run->loop, run->sim, &options)
                 : uvdio_engine_create(&run->engine, &run->loop, &options);
  expect_code(code, 0, "init");
  uvdio_engine_set_data(run->engine, run);
  if (choose(&run->choices, 2) == 0) {
    expect_code(uvdio_metrics_start(run->engine, NULL), 0, "metrics");
  }
  run->closing = 0;
  run->dead = 0;
  run->totals->engines++;
}

static void crash(struct run* run) {
  if (run->late_count + SLOTS > LATE_MAX) {
    settle(run);
  }
  expect_code(one_in(&run->choices, 3)
                  ? uvdio_sim_power_cut(run->sim, UVDIO_SIM_CUT_CRASH)
                  : uvdio_sim_crash(run->sim, one_in(&run->choices, 2) ? run->engine : NULL),
              0, "crash");
  run->totals->crashes++;
}

/* A cut or a crash, and perhaps some steps on the dead engine, before it is closed. */
static void cut_power(struct run* run) {
  static const uvdio_sim_cut_t kinds[] = {UVDIO_SIM_CUT_SEEDED, UVDIO_SIM_CUT_SEEDED,
                                          UVDIO_SIM_CUT_NOTHING, UVDIO_SIM_CUT_CRASH};
  if (run->sim == NULL || run->dead) {
    return;
  }
  run->cut = kinds[choose(&run->choices, 4)];
  if (run->cut == UVDIO_SIM_CUT_CRASH) {
    crash(run);
  } else {
    expect_code(uvdio_sim_power_cut(run->sim, run->cut), 0, "power_cut");
    run->totals->cuts++;
  }
  run->dead = 1;
  run->log.dead = 1;
  run->names.dead = 1;
}

/* Beside the files; its operations and comparisons count with theirs. */
static void append(struct run* run) {
  uint64_t operations = run->log.operations;
  if (run->engine != NULL) {
    model_log_step(&run->log, run->engine, &run->choices);
    check_promises(run);
    run->totals->operations += run->log.operations - operations;
    run->totals->appends += run->log.operations - operations;
  }
}

static void use_names(struct run* run) {
  uint64_t operations = run->names.operations;
  if (run->engine != NULL) {
    model_names_step(&run->names, run->engine, &run->choices);
    check_promises(run);
    run->totals->operations += run->names.operations - operations;
    run->totals->names += run->names.operations - operations;
  }
}

/* What is not in the files of the run. */
static void bury_the_rest(struct run* run) {
  int was_cut = run->dead && run->cut != UVDIO_SIM_CUT_CRASH;
  model_log_bury(&run->log, was_cut);
  model_names_bury(&run->names, was_cut     ? NAMES_AFTER_CUT
                                : run->dead ? NAMES_AFTER_CRASH
                                            : NAMES_ENDED);
  check_promises(run);
}

static void recover_subject(struct run* run, struct subject* subject) {
  static char content[FILE_SIZE];
  struct model* model = &subject->model;
  int64_t size = uvdio_sim_size(run->sim, subject->path, 0);
  const char* wrong = NULL;
  if (run->cut == UVDIO_SIM_CUT_CRASH && size >= 0) {
    model_doubt_size(model);
    model->exists = 1;
  } else {
    wrong = model_recover_size(model, size);
    memset(content, 0, sizeof(content));
    (void)uvdio_sim_peek(run->sim, subject->path, 0, content, sizeof(content), 0);
    for (uint64_t i = 0; wrong == NULL && size >= 0 && i < SECTORS; i++) {
      wrong = model_recover_sector(model, i, content + i * MODEL_SECTOR);
    }
  }
  subject->existence_known = 1;
  if (wrong != NULL) {
    complain("%s after a power cut: %s; size %" PRId64 ", at least %" PRIu64
             " and at most %" PRIu64,
             subject->path, wrong, size, model->floor, model->ceiling);
  }
}

static void run_until_closed(struct run* run) {
  watch_for_hang("the loop, while the engine closes");
  while (run->engine != NULL || uv_loop_alive(&run->loop)) {
    (void)uv_run(&run->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
}

/* The power may go off while the engine closes, too. */
static void renew_engine(struct run* run) {
  run_until_closed(run);
  bury_the_rest(run);
  if (run->dead && run->cut != UVDIO_SIM_CUT_CRASH) {
    end_late(run);
  }
  for (unsigned i = 0; i < FILES && run->dead; i++) {
    recover_subject(run, &run->subjects[i]);
  }
  start_engine(run);
}

/* Sizes that got out of sight are asked for when nothing changes them. */
static void learn_sizes(struct run* run) {
  for (unsigned i = 0; i < FILES; i++) {
    struct subject* subject = &run->subjects[i];
    uvdio_req_t req = {0};
    struct handle* handle = other_handle(subject, NULL, OPEN);
    if (handle != NULL && !subject->model.size_known &&
        subject->model.resizing + subject->model.writing == 0 && !run->dead && !run->closing &&
        uvdio_size(&handle->file, &req, NULL) == 0) {
      model_learn_size(&subject->model, (uint64_t)req.result);
    }
  }
}

/*
 * Steps.
 */

static void act(struct run* run, struct subject* subject) {
  static void (*const own[])(struct run*) = {
      [CANCEL - UVDIO_OP_COUNT] = cancel_some,
      [MISUSE - UVDIO_OP_COUNT] = misuse,
      [CLOSE_ENGINE - UVDIO_OP_COUNT] = begin_close,
      [CUT_POWER - UVDIO_OP_COUNT] = cut_power,
      [PLAY_NAMES - UVDIO_OP_COUNT] = play,
      [PLAY_GROUP - UVDIO_OP_COUNT] = submit_group,
      [LOG - UVDIO_OP_COUNT] = append,
      [NAMES - UVDIO_OP_COUNT] = use_names,
      [DUP - UVDIO_OP_COUNT] = dup_handle,
  };
  unsigned action = choose_action(&run->choices, weights_of(BY_MODEL, own_weights));
  if (action < UVDIO_OP_COUNT) {
    operate(run, subject, (uvdio_op_t)action);
  } else {
    own[action - UVDIO_OP_COUNT](run);
  }
}

static void step(struct run* run) {
  uint64_t number = run->step++;
  run->choices = choices_by_seed(random_mix(run->options->seed ^ random_mix(number)));
  if (run->engine == NULL || number >= run->options->steps ||
      is_skipped(run->options->skip, number)) {
    return;
  }
  struct subject* subject = &run->subjects[choose(&run->choices, FILES)];
  if (subject->handles[0].state == OPENING) {
    if (one_in(&run->choices, 10)) {
      cancel_some(run);
    }
  } else if (is_closed(subject) && !one_in(&run->choices, 10)) {
    operate(run, subject, UVDIO_OP_OPEN);
  } else {
    act(run, subject);
  }
}

static void run_steps(struct run* run) {
  while (run->step < run->options->steps) {
    step(run);
    uint64_t number = run->step;
    if (number % 64 == 0) {
      watch_for_hang("64 steps and their turns");
    }
    run->choices = choices_by_seed(random_mix(run->options->seed ^ random_mix(number) ^ 1));
    if (one_in(&run->choices, run->pace)) {
      (void)uv_run(&run->loop, UV_RUN_NOWAIT);
    }
    if (run->dead && run->engine != NULL && !run->closing && one_in(&run->choices, 4)) {
      begin_close(run);
    }
    if (run->closing && one_in(&run->choices, 4)) {
      renew_engine(run);
    }
    if (run->late_count > 0 && one_in(&run->choices, 64)) {
      settle(run);
    }
    end_late_if_landed(run);
    learn_sizes(run);
  }
}

/*
 * Worlds.
 */

static void add_rule(struct run* run, uvdio_op_t op, uvdio_fault_kind_t kind, int error,
                     uint32_t ppm) {
  uvdio_fault_rule_t rule = {0};
  rule.op = op;
  rule.ppm = ppm;
  rule.fault.kind = kind;
  rule.fault.error = error;
  rule.fault.steps = 20;
  expect_code(uvdio_sim_add_rule(run->sim, &rule), 0, "add_rule");
}

static int is_fallible(uvdio_op_t op) {
  enum effect effect = facts_of(op)->effect;
  return effect != EFFECT_OPEN && effect != EFFECT_CLOSE && effect != EFFECT_FRAMES;
}

static void add_faults(struct run* run) {
  if (!one_in(&run->choices, 3)) {
    add_rule(run, UVDIO_OP_NONE, UVDIO_FAULT_SHORT, 0, 100000);
    add_rule(run, UVDIO_OP_NONE, UVDIO_FAULT_DELAY, 0, 20000);
  }
  run->injected = one_in(&run->choices, 3);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    if (is_fallible(op) && one_in(&run->choices, 2)) {
      add_rule(run, op, UVDIO_FAULT_ERROR, one_in(&run->choices, 2) ? UV_EINTR : UV_EAGAIN, 10000);
    }
    if (is_fallible(op) && run->injected) {
      add_rule(run, op, UVDIO_FAULT_ERROR, one_in(&run->choices, 2) ? UV_EIO : UV_ENOSPC, 3000);
    }
  }
  if (run->injected) {
    add_rule(run, UVDIO_OP_WRITE, UVDIO_FAULT_TORN, UV_EIO, 3000);
  }
}

static void make_world(struct run* run) {
  uvdio_sim_options_t options = {0};
  options.seed = run->options->seed;
  options.atomic_min = run->options->seed % 2 == 0 ? 0 : 4096;
  options.atomic_max = 4 * options.atomic_min;
  options.on_trace = run->options->trace ? print_line : NULL;
  options.latency_max = (uint32_t)choose(&run->choices, 30);
  options.flags = one_in(&run->choices, 8) ? UVDIO_SIM_IN_ORDER : 0;
  options.cache_size = one_in(&run->choices, 4) ? (size_t)(1 + choose(&run->choices, 1 << 18)) : 0;
  options.landing_max = (uint32_t)choose(&run->choices, 200);
  expect_code(uvdio_sim_create(&run->sim, &options), 0, "sim_create");
  add_faults(run);
}

/* On a real filesystem, files are there and empty; in a world there are none. */
static void make_subjects(struct run* run) {
  for (unsigned i = 0; i < FILES; i++) {
    struct subject* subject = &run->subjects[i];
    uvdio_req_t req = {0};
    const char* directory = run->sim != NULL ? "/world" : run->options->directory;
    snprintf(subject->path, sizeof(subject->path), "%.500s/subject-%u", directory, i);
    subject->unit = BLOCK;
    subject->existence_known = 1;
    model_init(&subject->model, i, MODEL_SECTOR, SECTORS, 1);
    subject->model.exists = run->sim == NULL;
    if (run->sim == NULL) {
      expect_code(uvdio_open(run->engine, &subject->handles[0].file, &req, subject->path,
                             UVDIO_OPEN_CREATE, 0644, NULL),
                  0, "making a file");
      expect_code(uvdio_close(&subject->handles[0].file, &req, NULL), 0, "making a file");
    }
  }
}

static void make_log(struct run* run) {
  const char* directory = run->sim != NULL ? "/world" : run->options->directory;
  snprintf(run->log_path, sizeof(run->log_path), "%.500s/log", directory);
  model_log_make(&run->log, run->log_path, run->sim);
  run->log.injected = run->injected;
}

static void make_names(struct run* run) {
  const char* directory = run->sim != NULL ? "/world" : run->options->directory;
  char prefix[PATH_MAX_HERE];
  snprintf(prefix, sizeof(prefix), "%.500s/names", directory);
  model_names_make(&run->names, prefix, run->sim, run->sim == NULL);
  run->names.injected = run->injected;
}

static void check_file_at_end(struct run* run, struct subject* subject) {
  struct slot* slot = &run->slots[0];
  uvdio_req_t req = {0};
  if (uvdio_open(run->engine, &subject->handles[0].file, &req, subject->path, UVDIO_OPEN_READ, 0,
                 NULL) != 0) {
    if (subject->existence_known && subject->model.exists) {
      complain("%s is gone at the end", subject->path);
    }
    return;
  }
  for (uint64_t offset = 0; offset < FILE_SIZE; offset += TRANSFER_MAX) {
    uvdio_buf_t buf = uvdio_buf_wrap(run->views[0], TRANSFER_MAX);
    slot->subject = subject;
    slot->operation =
        (struct operation){.op = UVDIO_OP_READ, .offset = offset, .length = TRANSFER_MAX};
    model_begins(&subject->model, &slot->change, &slot->operation, NULL);
    expect_code(uvdio_read(&subject->handles[0].file, &req, &buf, offset, NULL), 0,
                "a read at the end");
    check_bytes(run, slot, buf.base, buf.len);
  }
  expect_code(uvdio_close(&subject->handles[0].file, &req, NULL), 0, "a close at the end");
}

static void end_engine(struct run* run) {
  if (run->engine != NULL && !run->closing) {
    begin_close(run);
  }
  renew_engine(run);
  if (run->sim != NULL) {
    expect_code(uvdio_sim_clear_rules(run->sim), 0, "clear_rules");
  }
  for (unsigned i = 0; i < FILES; i++) {
    check_file_at_end(run, &run->subjects[i]);
  }
  model_names_compare(&run->names, run->engine);
  begin_close(run);
  run_until_closed(run);
  bury_the_rest(run);
}

static void make_memory(struct run* run) {
  uvdio_arena_options_t options = {0};
  options.frame_size = TRANSFER_MAX;
  options.frame_count = FRAMES;
  expect_code(uvdio_arena_create(&run->arena, &options), 0, "arena_create");
  run->views = system_aligned_alloc(UVDIO_ALIGNMENT, SLOTS * TRANSFER_MAX);
  if (run->views == NULL) {
    complain("out of memory");
  }
  memset(run->views, 0, SLOTS * TRANSFER_MAX);
}

static void give_back(struct run* run, size_t allocations, size_t descriptors) {
  size_t out = 0;
  tracker_finish(&run->tracker);
  model_names_free(&run->names);
  check_promises(run);
  expect_code(uvdio_arena_destroy(run->arena, &out), 0, "frames that are out");
  if (run->sim != NULL) {
    expect_code(uvdio_sim_destroy(run->sim), 0, "sim_destroy");
  }
  expect_code(uv_loop_close(&run->loop), 0, "handles that are open");
  expect_code((int64_t)uvdio_allocations(), (int64_t)allocations, "allocations");
  expect_code((int64_t)open_descriptors(), (int64_t)descriptors, "descriptors");
  for (unsigned i = 0; i < FILES; i++) {
    model_free(&run->subjects[i].model);
  }
  run->totals->logged += run->log.compared;
  model_log_free(&run->log);
  run->totals->places += run->names.compared;
  system_aligned_free(run->views);
  free(run);
}

void run_model(const struct model_options* options, struct model_totals* totals) {
  size_t allocations = uvdio_allocations();
  size_t descriptors = open_descriptors();
  struct run* run = calloc(1, sizeof(*run));
  if (run == NULL) {
    abort();
  }
  present = run;
  prepare_replay(options);
  watch_for_crashes();
  run->options = options;
  run->totals = totals;
  run->choices = choices_by_seed(random_mix(options->seed));
  run->pace = 1 + choose(&run->choices, 12);
  tracker_init(&run->tracker);
  for (unsigned i = 0; i < SLOTS; i++) {
    run->slots[i].run = run;
    run->slots[i].top = op_then(&run->tracker, on_end, &run->slots[i]);
  }
  expect_code(uv_loop_init(&run->loop), 0, "loop_init");
  make_memory(run);
  if (options->backend == UVDIO_BACKEND_MEMORY) {
    make_world(run);
  }
  make_log(run);
  make_names(run);
  start_engine(run);
  make_subjects(run);
  run_steps(run);
  end_engine(run);
  give_back(run, allocations, descriptors);
}
