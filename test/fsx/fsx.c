/* SPDX-License-Identifier: MIT */
/*
 * Random operations on one file, several in flight, compared with a model in memory: what fsx does
 * for system calls.
 *
 *   fsx --backend ring --filesystem xfs --operations 100000 --seed 7
 *
 * An operation claims a range of the file, shared or alone, from its submission until its callback,
 * and operations whose claims conflict are never in flight together. One that changes the size, or
 * depends on it, claims everything from the block of the lower end on. So the model (lib/model.h)
 * knows at each callback what the file must hold.
 *
 *   choose ──► claim ──► submit ──► callback ──► compare with the model, give up the claim
 *      ▲          │ conflict           │
 *      └──────────┘                    └──► cancelled: the same operation again, same claim
 *
 * Every thousandth operation or so the file is closed, opened again with other flags, and compared
 * as a whole: by the library's synchronous reads, and by the system's through the page cache. In
 * between it has a second handle at times (uvdio_dup()). Beside it are a log and names (lib/
 * model_log.h, model_names.h).
 *
 * Exit status: 0 all agreed, 1 it did not (the seed and what was done to the bytes is printed), 77
 * it can't run here.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "filesystem.h"
#include "generator.h"
#include "model.h"
#include "model_log.h"
#include "model_names.h"
#include "polling.h"
#include "tracker.h"
#include "uvdio/group.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define BLOCK 4096u        /* claims on the size begin at one: filesystems zero whole ones */
#define FILE_MAX (2 * MIB) /* bytes: small, so that operations meet each other's traces */
#define JOBS_MAX 64u
#define HISTORY 4096u /* operations that a failure can tell of */
#define REOPEN_EVERY 1000u
/* one conflicting operation in so many keeps others from starting until it can */
#define PATIENCE 4u
#define BUSY_POLL_US 50u /* with even seeds */
#define TO_THE_END UINT64_MAX
#define MEMBERS 8u /* of a group */

/* Mostly a few blocks, seldom many. */
static const struct profile profile = {.size = FILE_MAX,
                                       .most = 16 * KIB,
                                       .seldom_most = 256 * KIB,
                                       .step = BLOCK,
                                       .any_length = 4,
                                       .exact = 4,
                                       .in_pieces = 4,
                                       .ranges = 5,
                                       .durable = 5,
                                       .shared = 6,
                                       .atomic = 5,
                                       .spaces = 2,
                                       .now = 64,
                                       .flags = {{UVDIO_O_DSYNC, 4},
                                                 {UVDIO_O_NATIVE_ALIGN, 2},
                                                 {UVDIO_O_BUFFERED, 4},
                                                 {UVDIO_O_DONTCACHE, 2},
                                                 {UVDIO_O_LOCK_SHARED, 4},
                                                 {UVDIO_O_DUP, 3}}};

struct job {
  struct tracked_op* top;
  int busy;
  struct operation operation;
  uvdio_file_t* file; /* the handle */
  uint64_t number;
  struct change change;
  uint64_t claim_begin;
  uint64_t claim_end;
  int claim_alone;
  uvdio_buf_t buf;
  char* base;          /* the buffer's, also while the library has it */
  int by_view;         /* the library gets a view, and the buffer stays */
  uvdio_group_t group; /* instead of a request with several buffers */
  uvdio_member_t members[MEMBERS];
  unsigned count; /* of them; 0: a request */
  size_t moved;
};

static struct {
  const char* backend_name;
  const char* filesystem_name;
  uvdio_backend_t backend;
  uint64_t operations;
  uint64_t seed;
  unsigned jobs;
  int is_polled; /* completions (polling.h) */
} options = {"pool", "here", UVDIO_BACKEND_POOL, 5000, 1, 16, 0};

static struct filesystem filesystem;
static char path[FILESYSTEM_PATH_MAX + 16];
static char log_path[FILESYSTEM_PATH_MAX + 16];
static struct model_log appended; /* beside the file */
static struct model_names names;
static uv_loop_t loop;
static uvdio_engine_t* engine;
static uvdio_arena_t* arena;
static uvdio_file_t file;
static uvdio_file_t second; /* of the same open file */
static enum { NO_SECOND, HAS_SECOND, SECOND_CLOSES } second_state;
static struct tracked_op* second_close;
static uint64_t seconds_closed;
static unsigned open_with;
static uint64_t align; /* bytes: what the open file asks of offsets and lengths */
static uint32_t atomic_min, atomic_max;
static uint64_t whole; /* writes that can't be torn */
static struct tracker tracker;
static struct job jobs[JOBS_MAX];
static struct job* waiting; /* chosen, and the next to start */
static struct operation history[HISTORY];
static struct model model;
static uint64_t started;
static uint64_t done[UVDIO_OP_COUNT], cancelled, refused, reopened;
static uint64_t elsewhere; /* opens after which another backend than the engine's executes */
static struct choices choices;

/*
 * Failure. What was done to the bytes in question, newest last.
 */

static void tell_history(uint64_t begin, uint64_t end) {
  uint64_t first = started > HISTORY ? started - HISTORY : 0;
  fprintf(stderr, "Operations there, among the last %u:\n", HISTORY);
  for (uint64_t number = first; number < started; number++) {
    const struct operation* past = &history[number % HISTORY];
    int resizes = past->op == UVDIO_OP_TRUNCATE || past->op == UVDIO_OP_PREALLOCATE;
    if (resizes ||
        (past->length > 0 && past->offset < end && past->offset + past->length > begin)) {
      fprintf(stderr, "  %8" PRIu64 " %-11s %8" PRIu64 " + %" PRIu64 "\n", number,
              uvdio_op_name(past->op), past->offset, past->length);
    }
  }
}

_Noreturn static void fail_at(const char* what, uint64_t begin, uint64_t end) {
  tell_history(begin, end);
  fprintf(
      stderr, "fsx %s %s: seed %" PRIu64 ", %" PRIu64 " operations started, size %" PRIu64 ": %s\n",
      options.backend_name, options.filesystem_name, options.seed, started, model.size_due, what);
  exit(1);
}

_Noreturn static void fail_job(const struct job* job, int64_t got, int64_t expected) {
  char what[256];
  snprintf(what, sizeof(what),
           "operation %" PRIu64 ", %s at %" PRIu64 ", gave %" PRId64 " (%s), not %" PRId64,
           job->number, uvdio_op_name(job->operation.op), job->operation.offset, got,
           got < 0 ? uvdio_err_name((int)got) : "no error", expected);
  fail_at(what, job->operation.offset, job->operation.offset + job->operation.length + 1);
}

static void must(const char* what, int64_t code) {
  char text[256];
  if (code < 0) {
    snprintf(text, sizeof(text), "%s: %s", what, uvdio_strerror((int)code));
    fail_at(text, 0, 0);
  }
}

static void compare(const char* what, const struct change* look, const void* bytes,
                    uint64_t length) {
  char text[256];
  uint64_t where;
  const char* wrong = model_check_read(&model, look, bytes, length, 1, &where);
  if (wrong != NULL) {
    snprintf(text, sizeof(text), "%s, %" PRIu64 " + %" PRIu64 ": at %" PRIu64 " %s", what,
             look->begin, length, where, wrong);
    fail_at(text, where, where + MODEL_SECTOR);
  }
}

/*
 * Claims.
 */

static uint64_t lower_block(uint64_t offset) {
  return offset - offset % BLOCK;
}

static void claim(struct job* job, uint64_t begin, uint64_t end, int alone) {
  job->claim_begin = begin;
  job->claim_end = end;
  job->claim_alone = alone;
}

/* What reaches past the last whole block meets whoever changes the size. */
static void claim_transfer(struct job* job, int alone) {
  uint64_t end = job->operation.offset + job->operation.length;
  uint64_t last = lower_block(model.size_due);
  if (end <= last) {
    claim(job, job->operation.offset, end, alone);
  } else {
    claim(job, alone && last < job->operation.offset ? last : job->operation.offset, TO_THE_END,
          alone);
  }
}

static void claim_size(struct job* job, uint64_t size, int alone) {
  claim(job, lower_block(size < model.size_due ? size : model.size_due), TO_THE_END, alone);
}

static void claim_space(struct job* job) {
  uint64_t end = job->operation.offset + job->operation.length;
  int grows = (job->operation.flags & UVDIO_SPACE_KEEP_SIZE) == 0 && end > model.size_due;
  claim_size(job, end, grows);
}

static void claim_what_it_needs(struct job* job) {
  switch (facts_of(job->operation.op)->effect) {
    case EFFECT_READ:
      claim_transfer(job, 0);
      break;
    case EFFECT_WRITE:
    case EFFECT_ZEROS:
      claim_transfer(job, 1);
      break;
    case EFFECT_TRUNCATE:
      claim_size(job, job->operation.length, 1);
      break;
    case EFFECT_PREALLOCATE:
      claim_space(job);
      break;
    case EFFECT_LOOK:
      claim(job, lower_block(job->operation.offset), TO_THE_END, 0);
      break;
    case EFFECT_SIZE:
    case EFFECT_STAT:
      claim_size(job, model.size_due, 0);
      break;
    case EFFECT_NONE:
    case EFFECT_SYNC:
    case EFFECT_OPEN:
    case EFFECT_CLOSE:
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      claim(job, 0, 0, 0);
      break;
  }
}

static int conflicts(struct job* job) {
  claim_what_it_needs(job);
  for (unsigned i = 0; i < options.jobs; i++) {
    const struct job* other = &jobs[i];
    if (other->busy && (job->claim_alone || other->claim_alone) &&
        job->claim_begin < other->claim_end && other->claim_begin < job->claim_end) {
      return 1;
    }
  }
  return 0;
}

static int is_transfer(const struct job* job) {
  return op_is(job->operation.op, UVDIO_OP_KIND_TRANSFER);
}

/*
 * Buffers: frames of an arena for single pages, which the ring gets to know by number; heap buffers
 * for the rest, one half of which go as they are and the other behind views, which are plain
 * memory.
 */

static void take_buffer(struct job* job) {
  int is_frame = job->operation.length == BLOCK && uvdio_arena_acquire(arena, &job->buf) == 0;
  if (!is_frame) {
    must("uvdio_buf_alloc", uvdio_buf_alloc(&job->buf, (size_t)job->operation.length, 0));
  }
  job->base = job->buf.base;
  job->by_view = job->buf.cap != job->operation.length || (!is_frame && one_in(&choices, 2));
  memset(job->base, 0xee, (size_t)job->operation.length);
  must("uvdio_buf_set_len",
       uvdio_buf_set_len(&job->buf,
                         job->operation.op == UVDIO_OP_WRITE ? (size_t)job->operation.length : 0));
}

static uvdio_buf_t view_of(const struct job* job) {
  uvdio_buf_t view = uvdio_buf_wrap(job->base, (size_t)job->operation.length);
  return uvdio_buf_view_len(view, job->buf.len);
}

/* At any time, in flight or not; what the kernel or its age has against it is no failure. */
static void change_registration(void) {
  int code = one_in(&choices, 2) ? uvdio_arena_register(engine, arena)
                                 : uvdio_arena_unregister(engine, arena);
  if (code != 0 && code != UV_EBUSY && code != UV_ENOENT && code != UV_ENOTSUP &&
      code != UV_ENOMEM) {
    must("registering the arena", code);
  }
}

/*
 * The end of an operation.
 */

static void submit(struct job* job);
static void start_more(void);

static void check_transfer(const struct job* job, int64_t result) {
  int is_read = job->operation.op == UVDIO_OP_READ;
  uint64_t expected = is_read ? model_due(&model, &job->change) : job->operation.length;
  if (job->operation.exact && expected < job->operation.length) {
    if (result != UVDIO_ESHORTREAD || job->moved != expected) {
      fail_job(job, result, UVDIO_ESHORTREAD);
    }
  } else if (result != (int64_t)expected) {
    fail_job(job, result, (int64_t)expected);
  }
  compare(is_read ? "what was read" : "a buffer after its write", &job->change, job->base,
          expected);
}

static void check_look(const struct job* job, int64_t result) {
  const char* wrong = model_check_next(&model, &job->change, result);
  if (wrong != NULL || (result < 0 && result != UV_ENXIO)) {
    fprintf(stderr, "%s\n", wrong != NULL ? wrong : "an error");
    fail_job(job, result, 0);
  }
}

static void check_plain(const struct job* job, int64_t result) {
  int64_t expected = job->operation.op == UVDIO_OP_SIZE ? (int64_t)model.size_due : 0;
  if (result != expected) {
    fail_job(job, result, expected);
  }
  if (job->operation.op == UVDIO_OP_STAT && job->top->stat.size != model.size_due) {
    fail_job(job, (int64_t)job->top->stat.size, (int64_t)model.size_due);
  }
}

static void finish(struct job* job, int64_t result) {
  int is_look = facts_of(job->operation.op)->effect == EFFECT_LOOK;
  int is_refused = !is_look && op_may_give(job->operation.op, result);
  done[job->operation.op]++;
  refused += (uint64_t)is_refused;
  model_ends(&model, &job->change, is_refused ? MODEL_UNTOUCHED : MODEL_DONE);
  if (is_transfer(job)) {
    check_transfer(job, result);
    must("uvdio_buf_release", uvdio_buf_release(&job->buf));
  } else if (is_look) {
    check_look(job, result);
  } else if (!is_refused) {
    check_plain(job, result);
  }
  job->busy = 0;
}

/* A cancelled write may have come half-way, so it is made once more: then the model is right
 * again. */
static void finish_or_repeat(struct job* job, int64_t result) {
  if (result == UV_ECANCELED) {
    cancelled++;
    submit(job);
    return;
  }
  finish(job, result);
  if (one_in(&choices, 2)) {
    start_more(); /* from inside a callback */
  }
}

static void on_end(struct tracked_op* top) {
  struct job* job = top->data;
  uvdio_buf_t back = op_take(top);
  if (tracker.violation[0] != '\0') {
    fail_at(tracker.violation, job->operation.offset,
            job->operation.offset + job->operation.length);
  }
  if (tracker_overtaken(top) != NULL) {
    fail_at("done before an older operation that has to come first", 0, 0);
  }
  if (!job->by_view) {
    job->buf = back;
  }
  job->moved = top->req.transferred;
  finish_or_repeat(job, top->result);
}

/*
 * Groups: what has several buffers, as so many members, merged or not.
 */

static int in_group_call;
static uint64_t groups, merged;

static void on_group(uvdio_group_t* group) {
  struct job* job = group->data;
  int64_t result = 0;
  job->moved = 0;
  for (unsigned i = 0; i < job->count; i++) {
    const uvdio_member_t* member = &job->members[i];
    job->moved += member->buf.len;
    result = result < 0 ? result : member->result < 0 ? member->result : result + member->result;
  }
  if (in_group_call) {
    fail_at("a group ended inside the call", 0, 0);
  }
  finish_or_repeat(job, result);
}

static int is_for_a_group(const struct job* job) {
  const struct operation* operation = &job->operation;
  return operation->pieces > 1 && operation->skip == 0 && !operation->now &&
         (operation->how & UVDIO_WRITE_ATOMIC) == 0;
}

/* Views of the job's buffer, each of one unit at least. */
static void split(struct job* job) {
  const struct operation* operation = &job->operation;
  size_t units = (size_t)operation->length / operation->unit;
  size_t count = operation->pieces < units ? operation->pieces : units;
  size_t at = 0;
  job->count = (unsigned)count;
  for (size_t i = 0; i < count; i++) {
    uvdio_member_t* member = &job->members[i];
    size_t end =
        i + 1 == count ? (size_t)operation->length : units * (i + 1) / count * operation->unit;
    member->op = operation->op;
    member->file = job->file;
    member->offset = operation->offset + at;
    member->flags = operation->op == UVDIO_OP_WRITE ? operation->how
                                                    : (operation->exact ? UVDIO_MEMBER_EXACT : 0);
    member->buf = operation->op == UVDIO_OP_WRITE ? uvdio_buf_view_bytes(job->base + at, end - at)
                                                  : uvdio_buf_wrap(job->base + at, end - at);
    at = end;
  }
}

static int call_group(struct job* job) {
  uvdio_group_options_t limits = {(size_t)choose(&choices, 3) * 128 * KIB, 0};
  split(job);
  job->group.data = job;
  in_group_call = 1;
  int code = uvdio_group_submit(&job->group, job->members, job->count, &limits, NULL, on_group);
  in_group_call = 0;
  if (code == 0 && job->group.failed > 0) {
    fail_at("a member of a group was refused", 0, 0);
  }
  groups++;
  merged += job->count - job->group.requests;
  return code;
}

/*
 * Submitting.
 */

/* What was chosen before, or is made once more, may have lost its handle. A replace is for a file
 * with one handle. */
static void adapt_to_handles(struct job* job) {
  job->file = second_state == HAS_SECOND ? job->file : &file;
  if (job->operation.op == UVDIO_OP_REPLACE && second_state != NO_SECOND) {
    job->operation.op = UVDIO_OP_SYNC_ALL;
  }
}

static int call(struct job* job) {
  uvdio_buf_t view = view_of(job);
  struct target target = {
      .file = job->file, .path = path, .buf = job->by_view && is_transfer(job) ? &view : &job->buf};
  return t_operation(job->top, &job->operation, &target)->code;
}

static void submit(struct job* job) {
  adapt_to_handles(job);
  int by_group = is_for_a_group(job) && one_in(&choices, 2);
  must(uvdio_op_name(job->operation.op), by_group ? call_group(job) : call(job));
  if (one_in(&choices, 32)) {
    (void)(by_group ? uvdio_group_cancel(&job->group) : t_cancel(job->top));
  }
}

/*
 * The second handle.
 */

/* The first one stays, with whatever is pending on it. */
static void on_second_closed(struct tracked_op* top) {
  for (unsigned i = 0; i < options.jobs; i++) {
    if (jobs[i].busy && jobs[i].file == &second) {
      fail_at("a handle was closed before what is pending on it", 0, 0);
    }
  }
  if (top->result != 0) {
    fail_at("a handle can't be closed", 0, 0);
  }
  second_state = NO_SECOND;
  seconds_closed++;
}

/* Opens it, or closes it with requests pending. */
static void change_second(void) {
  if (second_state == HAS_SECOND) {
    must("uvdio_close", t_close(second_close, &second)->code);
    second_state = SECOND_CLOSES;
  } else if (second_state == NO_SECOND && (open_with & UVDIO_O_DUP) != 0) {
    int code = uvdio_dup(engine, &second, &file);
    if (code == UV_EBUSY) {
      return; /* A replace is pending. */
    }
    must("uvdio_dup", code);
    second_state = HAS_SECOND;
  }
}

static void use_names(void) {
  model_names_step(&names, engine, &choices);
  if (names.wrong[0] != '\0') {
    fail_at(names.wrong, 0, 0);
  }
}

static void append(void) {
  model_log_step(&appended, engine, &choices);
  if (appended.wrong[0] != '\0') {
    fail_at(appended.wrong, 0, 0);
  }
}

/* Blocking forms may be refused while others are in flight. */
static void perform(struct job* job) {
  adapt_to_handles(job);
  int code = call(job);
  if (code == UV_EBUSY) {
    job->operation.now = 0;
    submit(job);
    return;
  }
  job->moved = job->top->req.transferred;
  finish(job, code < 0 ? code : job->top->result);
}

static void start(struct job* job) {
  job->file = second_state == HAS_SECOND && one_in(&choices, 2) ? &second : &file;
  history[started % HISTORY] = job->operation;
  job->number = started++;
  job->busy = 1;
  if (is_transfer(job)) {
    take_buffer(job);
  }
  model_begins(&model, &job->change, &job->operation, job->base);
  if (one_in(&choices, 64)) {
    play_names(&tracker, engine, path, &choices);
  }
  if (one_in(&choices, 512)) {
    change_registration();
  }
  if (one_in(&choices, 64)) {
    change_second();
  }
  if (one_in(&choices, 16)) {
    append();
  }
  if (one_in(&choices, 4)) {
    use_names();
  }
  if (job->operation.now) {
    perform(job);
  } else {
    submit(job);
  }
}

/* A write that can't be whole is an ordinary one. */
static void leave_what_is_refused(struct operation* operation) {
  if (operation->length < atomic_min || operation->length > atomic_max) {
    operation->how &= ~UVDIO_WRITE_ATOMIC;
  }
  whole += (operation->how & UVDIO_WRITE_ATOMIC) != 0;
}

static int must_pause(void) {
  return started >= options.operations || started >= (reopened + 1) * REOPEN_EVERY;
}

/* Returns 0 where nothing more may start: what claims much would wait for ever if others went past
 * it each time. */
static int start_or_wait(struct job* job) {
  if (!conflicts(job)) {
    start(job);
  } else if (one_in(&choices, PATIENCE)) {
    waiting = job;
    return 0;
  }
  return 1;
}

static int start_waiting(void) {
  struct job* job = waiting;
  if (job == NULL) {
    return 1;
  }
  if (conflicts(job)) {
    return 0;
  }
  waiting = NULL;
  start(job);
  return 1;
}

static void start_more(void) {
  static const struct weight none[] = {{0, 0}};
  int more = !must_pause() && start_waiting();
  for (unsigned i = 0; more && i < options.jobs && !must_pause(); i++) {
    if (!jobs[i].busy) {
      uvdio_op_t op = (uvdio_op_t)choose_action(&choices, weights_of(BY_FSX, none));
      jobs[i].operation = generate(&choices, &profile, op, align);
      leave_what_is_refused(&jobs[i].operation);
      more = start_or_wait(&jobs[i]);
    }
  }
}

/*
 * The whole file.
 */

/* From here on another handle of the open file stands in for the first one. */
static void renew_handle(void) {
  uvdio_req_t req = {0};
  uvdio_file_t other = {0};
  must("uvdio_dup", uvdio_dup(engine, &other, &file));
  must("uvdio_close", uvdio_close(&file, &req, NULL));
  must("uvdio_dup", uvdio_dup(engine, &file, &other));
  must("uvdio_close", uvdio_close(&other, &req, NULL));
}

static void open_file(unsigned more) {
  uvdio_req_t req = {0};
  uvdio_file_info_t info;
  if ((more & UVDIO_O_BUFFERED) == 0) {
    more &= ~UVDIO_O_DONTCACHE;
  }
  must("uvdio_open", uvdio_open(engine, &file, &req, path, UVDIO_OPEN_RW | more, 0600, NULL));
  if ((more & UVDIO_O_DUP) != 0) {
    renew_handle();
  }
  open_with = more;
  must("uvdio_file_info", uvdio_file_info(&file, &info));
  align = info.offset_align == 1 ? MODEL_SECTOR : info.offset_align;
  atomic_min = info.atomic_min;
  atomic_max = info.atomic_max;
  elsewhere += strcmp(info.backend, options.backend_name) != 0;
  if (align % MODEL_SECTOR != 0 || BLOCK % align != 0) {
    fail_at("alignment that no model knows", 0, 0);
  }
}

static void close_file(void) {
  uvdio_req_t req = {0};
  if (second_state == HAS_SECOND) {
    must("uvdio_close", uvdio_close(&second, &req, NULL));
    second_state = NO_SECOND;
  }
  must("uvdio_close", uvdio_close(&file, &req, NULL));
}

/* All of it, and more than there can be, so that the end shows. */
static void compare_file(const char* what, const void* bytes, int64_t size) {
  struct change look;
  char text[128];
  if (size != (int64_t)model.size_due) {
    snprintf(text, sizeof(text), "the size by %s is %" PRId64, what, size);
    fail_at(text, 0, 0);
  }
  struct operation read = {.op = UVDIO_OP_READ, .length = model.size_due};
  model_begins(&model, &look, &read, NULL);
  compare(what, &look, bytes, model.size_due);
}

static void compare_by_library(void) {
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  must("uvdio_buf_alloc", uvdio_buf_alloc(&buf, FILE_MAX + BLOCK, 0));
  must("uvdio_read", uvdio_read(&file, &req, &buf, 0, NULL));
  compare_file("the library", buf.base, req.result);
  must("uvdio_buf_release", uvdio_buf_release(&buf));
}

static void compare_by_system(void) {
  static unsigned char bytes[FILE_MAX + BLOCK];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail_at("the file can't be opened by the system", 0, 0);
  }
  compare_file("the system", bytes, pread(fd, bytes, sizeof(bytes), 0));
  close(fd);
}

/* Its content goes on: only the flags change. A file in RAM is not the system's to read. */
static void reopen(void) {
  close_file();
  if (options.backend != UVDIO_BACKEND_MEMORY) {
    compare_by_system();
  }
  open_file(generate(&choices, &profile, UVDIO_OP_OPEN, align).flags);
  compare_by_library();
  model_names_compare(&names, engine);
  if (names.wrong[0] != '\0') {
    fail_at(names.wrong, 0, 0);
  }
  reopened++;
  waiting = NULL; /* it was chosen by another alignment */
}

/*
 * The run.
 */

static int any_busy(void) {
  for (unsigned i = 0; i < options.jobs; i++) {
    if (jobs[i].busy) {
      return 1;
    }
  }
  return second_state == SECOND_CLOSES || model_names_pending(&names) > 0;
}

static void run_all(void) {
  while (started < options.operations) {
    watch_for_hang("operations of fsx");
    while (!must_pause() || any_busy()) {
      start_more();
      uv_run(&loop, UV_RUN_ONCE);
    }
    watch_for_hang("the comparison of fsx");
    reopen();
  }
  watch_for_hang(NULL);
}

static void begin(void) {
  char prefix[FILESYSTEM_PATH_MAX + 16];
  uvdio_engine_options_t how = {.backend = options.backend, .depth = options.jobs / 2};
  how.busy_poll_us = options.seed % 2 == 0 ? BUSY_POLL_US : 0;
  how.flags = options.is_polled ? UVDIO_ENGINE_POLLED : 0;
  uvdio_arena_options_t frames = {.frame_count = options.jobs / 4 + 1};
  model_init(&model, 0, MODEL_SECTOR, FILE_MAX / MODEL_SECTOR, 1);
  choices = choices_by_seed(options.seed);
  snprintf(path, sizeof(path), "%s/fsx", filesystem.dir);
  snprintf(log_path, sizeof(log_path), "%s/fsx-log", filesystem.dir);
  model_log_make(&appended, log_path, NULL);
  snprintf(prefix, sizeof(prefix), "%s/fsx-names", filesystem.dir);
  model_names_make(&names, prefix, NULL, options.backend != UVDIO_BACKEND_MEMORY);
  must("uv_loop_init", uv_loop_init(&loop));
  must("uvdio_engine_create", uvdio_engine_create(&engine, &loop, &how));
  must("uvdio_arena_create", uvdio_arena_create(&arena, &frames));
  tracker_init(&tracker);
  for (unsigned i = 0; i < options.jobs; i++) {
    jobs[i].top = op_then(&tracker, on_end, &jobs[i]);
  }
  second_close = op_then(&tracker, on_second_closed, NULL);
  open_file(UVDIO_O_TRUNCATE);
}

static void print_counts(void) {
  uvdio_engine_stats_t stats;
  must("uvdio_engine_stats", uvdio_engine_stats(engine, &stats));
  printf("fsx %s %s, seed %" PRIu64 ": %" PRIu64 " operations:", options.backend_name,
         options.filesystem_name, options.seed, started);
  for (unsigned op = 1; op < UVDIO_OP_COUNT; op++) {
    if (done[op] > 0) {
      printf(" %s %" PRIu64 ",", uvdio_op_name((uvdio_op_t)op), done[op]);
    }
  }
  printf(" cancelled %" PRIu64 ", reopened %" PRIu64 " (%" PRIu64
         " on another backend), whole writes %" PRIu64 ", space and hints refused %" PRIu64
         ", groups %" PRIu64 " with %" PRIu64 " merged members, appends %" PRIu64
         ", on names %" PRIu64 ", second handles closed %" PRIu64
         "; in flight at most %u,"
         " resumed %" PRIu64 ", retried %" PRIu64 ", punted %" PRIu64 ", fixed %" PRIu64 "\n",
         cancelled, reopened, elsewhere, whole, refused, groups, merged, appended.operations,
         names.operations, seconds_closed, stats.in_flight_peak, stats.resumed, stats.retried,
         stats.punted, stats.fixed);
  print_figure(started, "operations");
  if (options.is_polled) {
    print_figure(stats.polled, "transfers of a polled ring");
  }
}

static void end(void) {
  close_file();
  model_log_end(&appended, &loop);
  model_names_end(&names, engine, &loop);
  must("uvdio_engine_close", uvdio_engine_close(engine, NULL));
  uv_run(&loop, UV_RUN_DEFAULT);
  must("uvdio_arena_destroy", uvdio_arena_destroy(arena, NULL));
  must("uv_loop_close", uv_loop_close(&loop));
  model_log_bury(&appended, 0);
  model_names_bury(&names, NAMES_ENDED);
  model_names_free(&names);
  if (appended.wrong[0] != '\0') {
    fail_at(appended.wrong, 0, 0);
  }
  if (names.wrong[0] != '\0') {
    fail_at(names.wrong, 0, 0);
  }
  model_log_free(&appended);
  model_free(&model);
  tracker_finish(&tracker);
  if (tracker.violation[0] != '\0') {
    fail_at(tracker.violation, 0, 0);
  }
  if (uvdio_allocations() != 0) {
    fail_at("at the end the library holds memory", 0, 0);
  }
}

/*
 * Arguments.
 */

static int choose_backend(const char* name) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } backends[] = {{"ring", UVDIO_BACKEND_RING},
                  {"aio", UVDIO_BACKEND_AIO},
                  {"pool", UVDIO_BACKEND_POOL},
                  {"memory", UVDIO_BACKEND_MEMORY}};
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    if (strcmp(backends[i].name, name) == 0) {
      options.backend_name = name;
      options.backend = backends[i].backend;
      return 0;
    }
  }
  return -1;
}

static int read_argument(const char* name, const char* value) {
  if (strcmp(name, "--backend") == 0) {
    return choose_backend(value);
  }
  if (strcmp(name, "--filesystem") == 0) {
    options.filesystem_name = value;
    return filesystem_known(value) ? 0 : -1;
  }
  if (strcmp(name, "--polled") == 0) {
    options.is_polled = 1;
    return strcmp(value, "on") == 0 ? 0 : -1;
  }
  uint64_t number = strtoull(value, NULL, 10);
  if (strcmp(name, "--operations") == 0) {
    options.operations = number;
  } else if (strcmp(name, "--seed") == 0) {
    options.seed = number;
  } else if (strcmp(name, "--jobs") == 0 && number >= 2 && number <= JOBS_MAX) {
    options.jobs = (unsigned)number;
  } else {
    return -1;
  }
  return 0;
}

static int usage(const char* program) {
  fprintf(stderr,
          "usage: %s [--backend ring|aio|pool|memory]"
          " [--filesystem here|tmpfs|ext4|xfs|btrfs|fuse|sectors]"
          " [--operations N] [--seed N] [--jobs 2..%u] [--polled on]\n",
          program, JOBS_MAX);
  return 2;
}

static int skip_unpolled(const char* why) {
  skip_line(why);
  return SKIPPED_PROGRAM;
}

static int skip_program(const char* what, const char* why, int is_filesystem) {
  char line[2 * FILESYSTEM_WHY_MAX];
  snprintf(line, sizeof(line), "%s: %s", what, why);
  is_filesystem ? skip_line_as_told(line) : skip_line(line);
  return SKIPPED_PROGRAM;
}

/* Returns 0 or the code to exit with. */
static int find_filesystem(void) {
  char why[FILESYSTEM_WHY_MAX] = "";
  if (uvdio_backend_probe(options.backend, why, sizeof(why)) != 0) {
    return skip_program(options.backend_name, why, 0);
  }
  if (options.backend == UVDIO_BACKEND_MEMORY) {
    snprintf(filesystem.dir, sizeof(filesystem.dir), "/filesystem");
    options.filesystem_name = "-";
    return 0;
  }
  if (filesystem_make(&filesystem, options.filesystem_name, 0, why) != 0) {
    return skip_program(options.filesystem_name, why, 1);
  }
  const char* unpolled = options.is_polled ? polling_begin(filesystem.dir) : NULL;
  return unpolled != NULL ? skip_unpolled(unpolled) : 0;
}

int main(int argc, char** argv) {
  filesystems_begin();
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || read_argument(argv[i], argv[i + 1]) != 0) {
      return usage(argv[0]);
    }
  }
  int code = find_filesystem();
  if (code != 0) {
    return code;
  }
  begin();
  run_all();
  print_counts();
  end();
  return 0;
}
