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
 *                    submitted earlier and has to come first; reads give what may be there
 *   watched files    with one request at a time for each span of two pages, so that their content
 *                    is known: reads give it
 *   several handles  of a crowded file (uvdio_dup()), closed while others have requests pending
 *   names            in two open directories (model_names.h): each operation's result is known
 *   groups           of reads and writes of crowded files, merged or not
 *   a log            with one appender after another: what was acknowledged is there
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
#include "generator.h"
#include "model.h"
#include "model_log.h"
#include "model_names.h"
#include "ops.h"
#include "uvdio/group.h"
#include "uvdio/metrics.h"

#define PAGE UVDIO_PAGE_SIZE
#define CROWDED 3u
#define CROWDED_PAGES 26u
#define FILE_PAGES 26u
#define WATCHED_FEW 3u
#define WATCHED_MANY 70u /* more than a ring's table of files begins with */
#define SPANS 8u         /* of a watched file */
#define SPAN (2 * PAGE)  /* so that a transfer can be short */
#define FILES (CROWDED + WATCHED_MANY)
#define FRAMES 32u
#define LIVE_MOST 400u
#define ROUNDS 12u
#define FROM_OUTSIDE 48u /* actions of a round that come from outside the loop, at most */
#define FEW 4u
#define FROM_CALLBACKS 72u /* and from callbacks */
#define OF_A_CHILD 20u
#define TURNS_MOST 10000u
#define LIVES_MOST 32u
#define PARTIES 4u
#define MEMBERS 6u
#define NAMES_AT_ONCE 4u

enum story { PLAIN, FORKS, BREAKS_DOWN, IS_CLOSED };

struct life {
  enum story story;
  unsigned seed;
  char name[64];
};

enum state { CLOSED, OPENING, OPEN, CLOSING };

struct handle {
  uvdio_file_t file;
  enum state state;
};

struct subject {
  struct handle handles[MODEL_HANDLES]; /* of one open file: by the open, and by uvdio_dup() */
  unsigned flags;
  int is_watched;
  int busy[SPANS]; /* of a watched one: a request is in flight there */
  struct model model;
};

/* What is known of a request. */
struct note {
  struct subject* subject;
  struct handle* handle;
  struct operation operation;
  unsigned at; /* among the living */
  struct change change;
};

/* A group. */
struct party {
  uvdio_group_t group;
  uvdio_member_t members[MEMBERS];
  struct note notes[MEMBERS];
  unsigned count;
  unsigned left; /* members that were accepted and have not ended */
  int busy;
};

static uint64_t names_operations; /* of all lives */

static struct {
  const struct life* life;
  struct fixture* f;
  struct choices choices;
  unsigned watched; /* files */
  struct subject subjects[FILES];
  struct tracked_op* live[LIVE_MOST];
  unsigned live_count;
  struct party parties[PARTIES];
  int in_call;
  struct model_log log;
  char log_path[FILESYSTEM_PATH_MAX + 16];
  struct model_names names;
  unsigned budget; /* actions that callbacks may still do in this round */
  unsigned round;
  int entries_fail;   /* faults reach what is done to files */
  int closing;        /* the engine */
  unsigned breaks_at; /* the submission with which the ring is gone; 0: none yet */
  int in_child;
} chaos;

/*
 * Requests, from their submission to their end.
 */

static void act(void);

static struct note* note_of(const struct tracked_op* op) {
  return op->data;
}

static void act_in_a_callback(void) {
  for (unsigned i = (unsigned)choose(&chaos.choices, 3); i > 0 && chaos.budget > 0; i--) {
    chaos.budget--;
    act();
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

static void check_result_of(const struct tracked_op* op) {
  const char* name = uvdio_op_name(op->kind);
  if (!is_explained(op->result) && !op_may_give(op->kind, op->result)) {
    tracker_violation(op->tracker, "%s: gave %s", name, uvdio_err_name((int)op->result));
  }
  if (op->kind == UVDIO_OP_WRITE && op->result >= 0 && op->result != (int64_t)op->sent.len) {
    tracker_violation(op->tracker, "%s: gave %lld of %zu bytes", name, (long long)op->result,
                      op->sent.len);
  }
  const struct tracked_op* overtaken = tracker_overtaken(op);
  if (overtaken != NULL) {
    tracker_violation(op->tracker, "%s: done before an older %s", name,
                      uvdio_op_name(overtaken->kind));
  }
}

/* Whether a read got what may be there, or a size is what it has to be. Faults make a file's end of
 * any filesystem, so that fewer bytes than expected tell nothing. */
static void look(const struct tracked_op* op, const uvdio_buf_t* buf) {
  const struct note* note = note_of(op);
  const struct model* model = &note->subject->model;
  unsigned file = (unsigned)(note->subject - chaos.subjects);
  uint64_t where = 0;
  int64_t size = model_expected_size(model, &note->change);
  int64_t told = op->kind == UVDIO_OP_STAT ? (int64_t)op->stat.size : op->result;
  if ((op->kind == UVDIO_OP_SIZE || op->kind == UVDIO_OP_STAT) && op->result >= 0 && size >= 0 &&
      told != size) {
    tracker_violation(op->tracker, "file %u: size %lld, not %lld", file, (long long)told,
                      (long long)size);
  }
  if (op->kind != UVDIO_OP_READ || (op->result < 0 && op->result != UVDIO_ESHORTREAD)) {
    return;
  }
  int64_t most = model_expected_read(model, &note->change);
  if (most >= 0 && buf->len > (uint64_t)most) {
    tracker_violation(op->tracker, "file %u: a read beyond its end", file);
  }
  const char* wrong = model_check_read(model, &note->change, buf->base, buf->len, 0, &where);
  if (wrong != NULL) {
    tracker_violation(op->tracker, "file %u at %llu: %s", file, (unsigned long long)where, wrong);
  }
}

static void forget(struct tracked_op* op) {
  struct tracked_op* last = chaos.live[--chaos.live_count];
  unsigned at = note_of(op)->at;
  chaos.live[at] = last;
  note_of(last)->at = at;
}

static void discard(struct tracked_op* op) {
  free(op->data);
  op_free(op);
}

static int* busy_of(const struct note* note) {
  return &note->subject->busy[note->operation.offset / SPAN % SPANS];
}

static void on_end(struct tracked_op* op) {
  struct note* note = note_of(op);
  struct subject* subject = note->subject;
  forget(op);
  if (!chaos.in_child) {
    check_result_of(op);
    look(op, &op->back);
  }
  model_ends(&subject->model, &note->change, op->result >= 0 ? MODEL_DONE : MODEL_UNSURE);
  if (op->kind == UVDIO_OP_OPEN) {
    note->handle->state = op->result == 0 ? OPEN : CLOSED;
  } else if (op->kind == UVDIO_OP_CLOSE) {
    note->handle->state = CLOSED;
  } else {
    *busy_of(note) = 0;
  }
  discard(op);
  act_in_a_callback();
}

static struct tracked_op* new_op(struct subject* subject, const struct operation* operation) {
  struct note* note = calloc(1, sizeof(*note));
  if (note == NULL) {
    abort();
  }
  note->subject = subject;
  note->operation = *operation;
  note->handle = &subject->handles[operation->handle];
  return op_then(&chaos.f->tracker, on_end, note);
}

/* A sound file refuses nothing, and one that is latched tells its latch. */
static void check_refusal(const struct tracked_op* op) {
  uvdio_file_info_t info = {0};
  if (!chaos.in_child && !chaos.closing &&
      (uvdio_file_info(&note_of(op)->handle->file, &info) != 0 || info.latch_error != op->code)) {
    tracker_violation(op->tracker, "an operation was refused with %s", uvdio_err_name(op->code));
  }
}

/*
 * Handles.
 */

static unsigned count_handles(const struct subject* subject, enum state state) {
  unsigned count = 0;
  for (unsigned i = 0; i < MODEL_HANDLES; i++) {
    count += subject->handles[i].state == state;
  }
  return count;
}

/* One that is in the state, of which there is one. */
static unsigned find_handle(const struct subject* subject, enum state state) {
  unsigned at = (unsigned)choose(&chaos.choices, MODEL_HANDLES);
  while (subject->handles[at].state != state) {
    at = (at + 1) % MODEL_HANDLES;
  }
  return at;
}

static unsigned take_handle(const struct subject* subject) {
  return find_handle(subject, OPEN);
}

/* A replace may be pending. */
static int may_not_dup(const struct subject* subject, int code) {
  return code == UV_EBUSY || (code == UV_EINVAL && (subject->flags & UVDIO_O_DUP) == 0) ||
         ((code == UV_EBADF || code == UVDIO_EFORK) && (chaos.closing || chaos.in_child));
}

static void dup_handle(struct subject* subject) {
  if (count_handles(subject, CLOSED) == 0) {
    return;
  }
  struct handle* handle = &subject->handles[find_handle(subject, CLOSED)];
  const struct handle* source = &subject->handles[take_handle(subject)];
  int code = uvdio_dup(chaos.f->engine, &handle->file, &source->file);
  handle->state = code == 0 ? OPEN : CLOSED;
  if (code != 0 && !may_not_dup(subject, code)) {
    tracker_violation(&chaos.f->tracker, "uvdio_dup: %s", uvdio_err_name(code));
  }
}

/*
 * Operations.
 */

enum action { READ_NOW = UVDIO_OP_COUNT, READ_NOTHING, PLAY_NAMES, PLAY_GROUP, LOG, DUP };

static const struct weight of_watched[] = {
    {UVDIO_OP_WRITE, 13}, {UVDIO_OP_READ, 16}, {UVDIO_OP_CLOSE, 1}, {0, 0}};
/* Beside the operations, whose weights are in the generator's table. */
static const struct weight of_crowded[] = {{READ_NOW, 2},   {READ_NOTHING, 4}, {PLAY_NAMES, 3},
                                           {PLAY_GROUP, 5}, {LOG, 10},         {DUP, 3},
                                           {0, 0}};

static const struct profile watched = {
    .size = SPANS * SPAN, .most = SPAN, .flags = {{UVDIO_O_DSYNC, 8}, {UVDIO_O_DUP, 3}}};
static const struct profile crowded = {
    .size = CROWDED_PAGES * PAGE,
    .most = 3 * PAGE,
    .step = PAGE,
    .exact = 4,
    .in_pieces = 4,
    .ranges = 5,
    .durable = 5,
    .shared = 6,
    .spaces = 2,
    .flags = {
        {UVDIO_O_DSYNC, 5}, {UVDIO_O_TRUNCATE, 5}, {UVDIO_O_LOCK_EXCLUSIVE, 4}, {UVDIO_O_DUP, 3}}};

/* Sometimes a frame of the arena that comes and goes. */
static uvdio_buf_t take_buffer(size_t length) {
  uvdio_buf_t buf;
  if (length == SPAN && one_in(&chaos.choices, 2) &&
      uvdio_arena_acquire(chaos.f->arena, &buf) == 0) {
    memset(buf.base, 0xee, length);
    return buf;
  }
  return blank(length);
}

static uvdio_buf_t prepare(struct note* note) {
  const struct operation* operation = &note->operation;
  uvdio_buf_t buf = {0};
  if (op_is(operation->op, UVDIO_OP_KIND_TRANSFER) && operation->length > 0) {
    buf = take_buffer((size_t)operation->length);
  }
  model_begins(&note->subject->model, &note->change, operation, buf.base);
  if (operation->op == UVDIO_OP_WRITE) {
    assert_ok(uvdio_buf_set_len(&buf, buf.cap));
  }
  return buf;
}

/* It is gone then. */
static void refuse(struct tracked_op* op) {
  struct note* note = note_of(op);
  model_ends(&note->subject->model, &note->change, MODEL_UNTOUCHED);
  if (!note->operation.now) {
    check_refusal(op);
  }
  discard(op);
}

static void add_to_the_living(struct tracked_op* op) {
  struct note* note = note_of(op);
  note->at = chaos.live_count;
  chaos.live[chaos.live_count++] = op;
  if (op->kind == UVDIO_OP_OPEN) {
    note->handle->state = OPENING;
  } else if (op->kind == UVDIO_OP_CLOSE) {
    note->handle->state = CLOSING;
  } else {
    *busy_of(note) = 1;
  }
}

/* What was refused still has its buffer; the handle is empty otherwise. */
static void submit(struct subject* subject, const struct operation* operation) {
  static _Alignas(UVDIO_ALIGNMENT) char bytes[UVDIO_ALIGNMENT];
  struct tracked_op* op = new_op(subject, operation);
  uvdio_buf_t buf = prepare(note_of(op));
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  char name[32];
  snprintf(name, sizeof(name), "file-%u", (unsigned)(subject - chaos.subjects));
  struct target target = {.engine = chaos.f->engine,
                          .path = path_of(chaos.f, name),
                          .file = &note_of(op)->handle->file,
                          .buf = buf.base != NULL ? &buf : &nothing};
  t_operation(op, operation, &target);
  if (operation->now && op->accepted > 0) {
    look(op, &buf);
    discard(op);
  } else if (op->code != 0) {
    refuse(op);
  } else {
    add_to_the_living(op);
  }
  assert_ok(uvdio_buf_release(&buf));
}

/* It has ended before it is anywhere, and waits for nothing but its callback. */
static void read_nothing(struct subject* subject) {
  struct operation operation = {.op = UVDIO_OP_READ, .handle = take_handle(subject)};
  submit(subject, &operation);
}

/*
 * Groups.
 */

/* What is looked at in an operation, of a member. */
static struct tracked_op seen_as_operation(const uvdio_member_t* member, struct note* note) {
  struct tracked_op op = {.tracker = &chaos.f->tracker,
                          .kind = member->op,
                          .file = member->file,
                          .result = member->result,
                          .code = (int)member->result,
                          .data = note};
  op.sent.len = (size_t)note->operation.length;
  return op;
}

static void on_member(uvdio_member_t* member) {
  struct party* party = member->data;
  struct note* note = &party->notes[member - party->members];
  struct tracked_op op = seen_as_operation(member, note);
  if (chaos.in_call || party->left == 0) {
    tracker_violation(op.tracker, "a member ended inside the call, or twice");
    return;
  }
  party->left--;
  if (!chaos.in_child) {
    check_result_of(&op);
    look(&op, &member->buf);
  }
  model_ends(&note->subject->model, &note->change, member->result >= 0 ? MODEL_DONE : MODEL_UNSURE);
  assert_ok(uvdio_buf_release(&member->buf));
  act_in_a_callback();
}

static void on_group(uvdio_group_t* group) {
  struct party* party = group->data;
  if (party->left > 0 || !party->busy) {
    tracker_violation(&chaos.f->tracker, "a group ended before its members, or twice");
  }
  party->busy = 0;
}

/* Behind the one before, mostly, so that they can be merged. */
static void add_member(struct party* party, struct subject* subject, uvdio_op_t op) {
  uvdio_member_t* member = &party->members[party->count];
  struct note* note = &party->notes[party->count];
  note->subject = subject;
  note->operation = generate(&chaos.choices, &crowded, op, PAGE);
  note->operation.handle = take_handle(subject);
  note->handle = &subject->handles[note->operation.handle];
  note->operation.pieces = 0;
  note->operation.skip = 0;
  if (party->count > 0 && !one_in(&chaos.choices, 4)) {
    const struct operation* before = &note[-1].operation;
    uint64_t offset = before->offset + before->length;
    note->operation.offset = offset + (one_in(&chaos.choices, 3) ? PAGE : 0);
    note->operation.length = PAGE;
    note->operation.how = before->how;
    note->operation.exact = before->exact;
  }
  if (note->operation.offset + note->operation.length > crowded.size) {
    return;
  }
  member->data = party;
  member->op = op;
  member->flags =
      op == UVDIO_OP_WRITE ? note->operation.how : (note->operation.exact ? UVDIO_MEMBER_EXACT : 0);
  member->file = &note->handle->file;
  member->offset = note->operation.offset;
  member->buf = prepare(note);
  party->count++;
}

/* It is gone then. */
static void refuse_member(struct party* party, unsigned i) {
  uvdio_member_t* member = &party->members[i];
  struct tracked_op op = seen_as_operation(member, &party->notes[i]);
  model_ends(&party->notes[i].subject->model, &party->notes[i].change, MODEL_UNTOUCHED);
  check_refusal(&op);
  assert_ok(uvdio_buf_release(&member->buf));
  party->left--;
}

static void submit_group(struct subject* subject) {
  struct party* party = &chaos.parties[(unsigned)choose(&chaos.choices, PARTIES)];
  uvdio_group_options_t limits = {(size_t)choose(&chaos.choices, 3) * 8 * PAGE, PAGE};
  uvdio_op_t op = one_in(&chaos.choices, 2) ? UVDIO_OP_READ : UVDIO_OP_WRITE;
  if (party->busy) {
    (void)uvdio_group_cancel(&party->group);
    return;
  }
  party->group.data = party;
  party->count = 0;
  for (unsigned i = 1 + (unsigned)choose(&chaos.choices, MEMBERS); i > 0; i--) {
    add_member(party, subject, op);
  }
  if (party->count == 0) {
    return;
  }
  party->left = party->count;
  party->busy = 1;
  chaos.in_call = 1;
  party->busy = uvdio_group_submit(&party->group, party->members, party->count, &limits, on_member,
                                   on_group) == 0;
  chaos.in_call = 0;
  for (unsigned i = 0; i < party->count; i++) {
    if (party->members[i].result < 0) {
      refuse_member(party, i);
    }
  }
}

static unsigned busy_parties(void) {
  unsigned busy = 0;
  for (unsigned i = 0; i < PARTIES; i++) {
    busy += (unsigned)chaos.parties[i].busy;
  }
  return busy;
}

/*
 * The log.
 */

static int explains(int64_t error) {
  return is_explained(error) || (error == UV_EBADF && (chaos.closing || chaos.in_child));
}

static void make_log(void) {
  snprintf(chaos.log_path, sizeof(chaos.log_path), "%s/log", chaos.f->dir);
  model_log_make(&chaos.log, chaos.log_path, NULL);
  chaos.log.explains = explains;
  chaos.log.is_blurred = 1;
  chaos.log.injected = 1;
}

static void check_log(void) {
  if (chaos.log.wrong[0] != '\0') {
    tracker_violation(&chaos.f->tracker, "%s", chaos.log.wrong);
  }
}

static void use_log(void) {
  if (!chaos.in_child) {
    model_log_step(&chaos.log, chaos.f->engine, &chaos.choices);
    check_log();
  }
}

/*
 * Names.
 */

static void make_names(void) {
  char prefix[FILESYSTEM_PATH_MAX + 16];
  snprintf(prefix, sizeof(prefix), "%s/names", chaos.f->dir);
  model_names_make(&chaos.names, prefix, NULL, matrix.backend != UVDIO_BACKEND_MEMORY);
  chaos.names.explains = explains;
  chaos.names.is_blurred = 1;
}

static void check_names(void) {
  if (chaos.names.wrong[0] != '\0') {
    tracker_violation(&chaos.f->tracker, "%s", chaos.names.wrong);
  }
}

static void use_names(void) {
  for (unsigned i = 0; i < NAMES_AT_ONCE && !chaos.in_child; i++) {
    model_names_step(&chaos.names, chaos.f->engine, &chaos.choices);
    check_names();
  }
}

static void open_subject(struct subject* subject) {
  const struct profile* profile = subject->is_watched ? &watched : &crowded;
  struct operation operation = generate(&chaos.choices, profile, UVDIO_OP_OPEN, PAGE);
  operation.flags |= UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED;
  subject->flags = operation.flags;
  memset(subject->handles, 0, sizeof(subject->handles));
  submit(subject, &operation);
}

static void use_watched(struct subject* subject) {
  uvdio_op_t op = (uvdio_op_t)choose_action(&chaos.choices, of_watched);
  struct operation operation = generate(&chaos.choices, &watched, op, SPAN);
  if (op == UVDIO_OP_CLOSE || !subject->busy[operation.offset / SPAN]) {
    submit(subject, &operation);
  }
}

static void use_crowded(struct subject* subject) {
  unsigned action = choose_action(&chaos.choices, weights_of(BY_CHAOS, of_crowded));
  if (action == READ_NOTHING) {
    read_nothing(subject);
    return;
  }
  if (action == PLAY_GROUP) {
    submit_group(subject);
    return;
  }
  if (action == LOG) {
    use_log();
    return;
  }
  if (action == DUP) {
    dup_handle(subject);
    return;
  }
  if (action == PLAY_NAMES) {
    play_names(&chaos.f->tracker, chaos.f->engine, path_of(chaos.f, "chaos"), &chaos.choices);
    return;
  }
  uvdio_op_t op = action == READ_NOW ? UVDIO_OP_READ : (uvdio_op_t)action;
  struct operation operation = generate(&chaos.choices, &crowded, op, PAGE);
  operation.now = action == READ_NOW;
  operation.handle = take_handle(subject);
  if (op != UVDIO_OP_REPLACE || count_handles(subject, CLOSED) == MODEL_HANDLES - 1) {
    submit(subject, &operation);
  }
}

static void act_on(struct subject* subject) {
  unsigned open = count_handles(subject, OPEN);
  if (count_handles(subject, CLOSED) == MODEL_HANDLES) {
    open_subject(subject);
  } else if (open > 0 && subject->is_watched) {
    use_watched(subject);
  } else if (open > 0) {
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
  int fatal = chaos.life->story == BREAKS_DOWN && one_in(&chaos.choices, 4);
  return fatal ? (one_in(&chaos.choices, 2) ? EBADF : EPERM)
               : soft[(unsigned)choose(&chaos.choices, COUNT_OF(soft))];
}

static void fault_of_the_ring(void) {
  unsigned nth = 1 + (unsigned)choose(&chaos.choices, 4);
  unsigned times = 1 + (unsigned)choose(&chaos.choices, 5);
  if (chaos.breaks_at != 0) {
    return; /* another fault of a submission would take the filesystem of that one */
  }
  switch ((unsigned)choose(&chaos.choices, 6)) {
    case 0:
      fault_shorten(CALL_SUBMIT, nth, times, 1 + (unsigned)choose(&chaos.choices, 2));
      break;
    case 1:
    case 2:
      fault_fail(CALL_SUBMIT, nth, times, ring_error());
      break;
    case 3:
    case 4:
      fault_fail(CALL_GET_EVENTS, nth, one_in(&chaos.choices, 6) ? 30 : times, ring_error());
      break;
    default:
      fault_fail(CALL_REGISTER, nth, ONCE, one_in(&chaos.choices, 2) ? ENOMEM : EBADF);
      break;
  }
}

static int file_error(enum fault_call call) {
  static const int hard[] = {EIO, ENOSPC, EAGAIN, EINTR};
  int latches = call == CALL_FDATASYNC || call == CALL_FSYNC;
  if (call == CALL_ENTRY_CANCEL) {
    return EALREADY;
  }
  return latches && !one_in(&chaos.choices, 6)
             ? soft[(unsigned)choose(&chaos.choices, 2)]
             : hard[(unsigned)choose(&chaos.choices, COUNT_OF(hard))];
}

static void fault_of_files(void) {
  static const enum fault_call calls[] = {
      CALL_PREAD, CALL_PREAD,        CALL_PWRITE, CALL_PWRITE,    CALL_FDATASYNC,
      CALL_FSYNC, CALL_OPEN,         CALL_STATX,  CALL_FTRUNCATE, CALL_FALLOCATE,
      CALL_CLOSE, CALL_ENTRY_CANCEL, CALL_LINK,   CALL_RENAME};
  enum fault_call call = calls[(unsigned)choose(&chaos.choices, COUNT_OF(calls))];
  unsigned nth = 1 + (unsigned)choose(&chaos.choices, 4);
  unsigned times = 1 + (unsigned)choose(&chaos.choices, 5);
  if ((call == CALL_PREAD || call == CALL_PWRITE) && !one_in(&chaos.choices, 3)) {
    fault_shorten(call, nth, times, one_in(&chaos.choices, 4) ? 0 : PAGE);
  } else {
    fault_fail(call, nth, times, file_error(call));
  }
}

static void break_something(void) {
  if (!chaos.entries_fail || one_in(&chaos.choices, 3)) {
    fault_of_the_ring();
  } else {
    fault_of_files();
  }
}

/*
 * Rounds.
 */

static void cancel_something(void) {
  if (one_in(&chaos.choices, 8)) {
    struct subject* subject = &chaos.subjects[(unsigned)choose(&chaos.choices, CROWDED)];
    int code = one_in(&chaos.choices, 2) ? uvdio_engine_cancel(chaos.f->engine)
                                         : uvdio_file_cancel(&subject->handles[0].file);
    if (code != 0 && code != UV_EBADF && code != UVDIO_EFORK) {
      tracker_violation(&chaos.f->tracker, "cancelling all: %s", uvdio_err_name(code));
    }
    return;
  }
  if (chaos.live_count > 0) {
    (void)t_cancel(chaos.live[(unsigned)choose(&chaos.choices, chaos.live_count)]);
  }
}

/* Refused where there is no ring, where frames are in flight, after faults. */
static void register_or_unregister(void) {
  int code = one_in(&chaos.choices, 2) ? uvdio_arena_register(chaos.f->engine, chaos.f->arena)
                                       : uvdio_arena_unregister(chaos.f->engine, chaos.f->arena);
  (void)code;
}

static void close_the_engine(void) {
  if (chaos.life->story == IS_CLOSED && chaos.round >= ROUNDS / 2 && !chaos.closing) {
    int code = t_engine_close(chaos.f->engine, on_engine_closed);
    chaos.closing = 1;
    chaos.log.closing = 1;
    chaos.names.closing = 1;
    if (code != 0) {
      tracker_violation(&chaos.f->tracker, "uvdio_engine_close: %s", uvdio_err_name(code));
    }
  }
}

static void act(void) {
  unsigned what = (unsigned)choose(&chaos.choices, 100);
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
  } else if (what < 24) {
    use_names();
  } else if (what < 60) {
    act_on(&chaos.subjects[CROWDED + (unsigned)choose(&chaos.choices, chaos.watched)]);
  } else {
    act_on(&chaos.subjects[(unsigned)choose(&chaos.choices, CROWDED)]);
  }
}

static int child_closes_the_engine(void* data) {
  struct fixture* f = data;
  chaos.in_child = 1;
  chaos.budget = one_in(&chaos.choices, 2) ? OF_A_CHILD : 0;
  if (one_in(&chaos.choices, 2)) {
    break_something();
  }
  EXPECT(uv_loop_fork(&f->loop) == 0);
  for (unsigned i = one_in(&chaos.choices, 2) ? 3 : 0; i > 0; i--) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(f->closed == 1);
  EXPECT(chaos.live_count == 0);
  EXPECT(busy_parties() == 0);
  EXPECT(model_names_pending(&chaos.names) == 0);
  model_log_bury(&chaos.log, 0);
  check_log();
  EXPECT(f->tracker.finished == f->tracker.accepted);
  if (f->tracker.violation[0] != '\0') {
    fprintf(stderr, "in the child: %s\n", f->tracker.violation);
  }
  EXPECT(f->tracker.violation[0] == '\0');
  return 0;
}

/* At once, after a few turns, or when whatever is pending has ended and waits for its callback. */
static void fork_at_some_moment(struct fixture* f) {
  int until_ended = one_in(&chaos.choices, 4);
  unsigned turns = one_in(&chaos.choices, 2) ? 0 : (unsigned)choose(&chaos.choices, 4);
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
  for (unsigned i = 1 + (unsigned)choose(&chaos.choices, FEW); i > 0; i--) {
    struct subject* subject = &chaos.subjects[(unsigned)choose(&chaos.choices, CROWDED)];
    if (count_handles(subject, OPEN) > 0 && chaos.live_count < LIVE_MOST) {
      read_nothing(subject);
    }
  }
}

/* Mostly much at once; before forks the quiet moments count as well. */
static void act_from_outside(void) {
  unsigned kind = (unsigned)choose(&chaos.choices, chaos.life->story == FORKS ? 4 : 8);
  chaos.budget = kind < 2 ? 0 : (unsigned)choose(&chaos.choices, FROM_CALLBACKS);
  if (kind == 0) {
    act_quietly();
    return;
  }
  for (unsigned i = 1 + (unsigned)choose(&chaos.choices, kind == 1 ? FEW : FROM_OUTSIDE); i > 0;
       i--) {
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
  if (chaos.live_count + busy_parties() + model_names_pending(&chaos.names) != 0 ||
      chaos.log.ended != chaos.log.count) {
    tracker_violation(&f->tracker,
                      "round %u: the loop ended with %u requests and %u groups pending, or appends",
                      chaos.round, chaos.live_count, busy_parties());
  }
  check_log();
  check_names();
  tracker_verdict(&f->tracker);
}

/* Whatever chance had in mind: halfway through, the ring is gone for good. */
static void break_the_ring(void) {
  unsigned nth = 1 + (unsigned)choose(&chaos.choices, 4);
  chaos.breaks_at = fault_calls(CALL_SUBMIT) + nth;
  fault_fail(CALL_SUBMIT, nth, ONCE, one_in(&chaos.choices, 2) ? EBADF : EPERM);
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

static void make_models(void) {
  for (unsigned i = 0; i < FILES; i++) {
    struct subject* subject = &chaos.subjects[i];
    subject->is_watched = i >= CROWDED;
    model_init(&subject->model, i, PAGE, FILE_PAGES, 1);
  }
}

static int begin(void** state) {
  static const unsigned depths[] = {1, 2, 3, 8, 32};
  static const unsigned batches[] = {0, 0, 1, 2, 5};
  uvdio_engine_options_t options = {0};
  memset(&chaos, 0, sizeof(chaos));
  chaos.life = *state;
  chaos.choices = choices_by_seed(chaos.life->seed);
  chaos.watched = one_in(&chaos.choices, 3) ? WATCHED_MANY : WATCHED_FEW;
  chaos.entries_fail = matrix.backend != UVDIO_BACKEND_RING || faults_reach_the_ring();
  options.depth = depths[(unsigned)choose(&chaos.choices, COUNT_OF(depths))];
  options.submit_batch_max = batches[(unsigned)choose(&chaos.choices, COUNT_OF(batches))];
  options.callbacks_max = one_in(&chaos.choices, 3) ? 0 : 1 + (unsigned)choose(&chaos.choices, 3);
  options.busy_poll_us = one_in(&chaos.choices, 4) ? 50 : 0;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    chaos.f = *state;
    if (one_in(&chaos.choices, 2)) {
      assert_ok(uvdio_metrics_start(chaos.f->engine, NULL));
    }
    fixture_arena(chaos.f, SPAN, FRAMES);
    make_models();
    make_log();
    make_names();
  }
  return failed;
}

static int end(void** state) {
  struct fixture* f = *state;
  chaos.budget = 0;
  faults_reset();
  if (f->closed > 0) {
    f->engine = NULL;
  } else {
    model_log_end(&chaos.log, &f->loop);
    model_names_end(&chaos.names, f->engine, &f->loop);
    count_untracked(f);
  }
  model_log_bury(&chaos.log, 0);
  check_log();
  model_log_free(&chaos.log);
  model_names_bury(&chaos.names, NAMES_ENDED);
  model_names_free(&chaos.names);
  names_operations += chaos.names.operations;
  check_names();
  int failed = fixture_tear_down(state);
  for (unsigned i = 0; i < FILES; i++) {
    model_free(&chaos.subjects[i].model);
  }
  return failed;
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
    int is_other = strstr(uvdio_engine_backend_reason(f->engine), "no polled completions") != NULL;
    assert_string_equal(uvdio_engine_backend(f->engine), is_other ? "ring" : "pool");
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
  int status = matrix_main("chaos", tests, count, argc, argv);
  print_figure(names_operations, "operations on names");
  return status;
}
