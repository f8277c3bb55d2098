/* SPDX-License-Identifier: MIT */
/*
 * The backend of a simulated world. Each flush is a step of the world: whatever is due by then
 * ends, the rest keeps `unflushed` above zero, so that the loop comes back without sleeping.
 *
 * A crash or a power cut marks the engines dead and leaves their requests where they are; they end
 * at the next steps, by which time they have nothing to do with the disk any more. What a crash
 * leaves on its way is the disk's (sim/late.c).
 */
#include "sim/sim.h"

#include "allocator.h"
#include "completion.h"
#include "vector.h"

static const uvdio_fault_t no_fault;

/*
 * Set-up
 */

static size_t slots_size(unsigned depth) {
  return depth * sizeof(uvdio__sim_slot_t);
}

uvdio__sim_engine_t* uvdio__sim_engine_make(uvdio_sim_t* sim, unsigned depth) {
  uvdio__sim_engine_t* engine = uvdio__alloc(sizeof(*engine), UVDIO__STRUCT_ALIGN, 1);
  unsigned i;

  if (engine == NULL) {
    return NULL;
  }
  engine->sim = sim;
  engine->slots = uvdio__alloc(slots_size(depth), UVDIO__STRUCT_ALIGN, 1);
  if (engine->slots == NULL) {
    uvdio__free(engine, sizeof(*engine), UVDIO__STRUCT_ALIGN);
    return NULL;
  }
  for (i = 0; i < depth; i++) {
    engine->slots[i].next_free = engine->free_slots;
    engine->free_slots = &engine->slots[i];
  }
  return engine;
}

void uvdio__sim_engine_free(uvdio__sim_engine_t* engine, unsigned depth) {
  uvdio__free(engine->slots, slots_size(depth), UVDIO__STRUCT_ALIGN);
  uvdio__free(engine, sizeof(*engine), UVDIO__STRUCT_ALIGN);
}

/* At the end of the list: the oldest comes first, wherever the order matters. */
void uvdio__sim_engine_attach(uvdio__sim_engine_t* engine, uvdio__queue_t* queue) {
  uvdio__sim_engine_t** end = &engine->sim->engines;

  queue->backend->close(queue);
  queue->backend = &uvdio__backend_sim;
  queue->state = engine;
  engine->queue = queue;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = engine;
  engine->sim->stats.engines++;
}

static void close_sim(uvdio__queue_t* queue) {
  uvdio__sim_engine_t* engine = queue->state;
  uvdio__sim_engine_t** link = &engine->sim->engines;

  while (*link != engine) {
    link = &(*link)->next;
  }
  *link = engine->next;
  engine->sim->stats.engines--;
  queue->state = NULL;
  uvdio__sim_engine_free(engine, queue->depth);
}

/*
 * What a request asks of the disk
 */

static void set_span(uvdio__sim_task_t* task, const uvdio_req_t* req) {
  if (uvdio__is_change(req->op)) {
    task->event.span = uvdio__span_of(req);
    task->keeps_size = (uvdio__detail_of(req) & UVDIO_SPACE_KEEP_SIZE) != 0;
  }
}

static uvdio__sim_task_t task_of(uvdio_sim_t* sim, const uvdio_req_t* req) {
  uvdio__sim_task_t task = {0};

  task.event.number = ++sim->events;
  task.event.step = sim->step;
  task.event.op = req->op;
  task.event.offset = req->offset_ + req->transferred;
  task.mark = sim->sequence;
  if (req->op == UVDIO_OP_OPEN) {
    task.opening = uvdio__open_state_of(req);
    task.event.path = task.opening->path;
    return task;
  }
  if (uvdio__is_name(req->op) || req->op == UVDIO_OP_REPLACE) {
    task.names = uvdio__names_of(req);
    task.event.path = task.names->path;
    task.durable = 1;
  }
  if (uvdio__is_name(req->op)) {
    task.file = task.names->linked == NULL ? NULL : task.names->linked->handle_.node;
    return task;
  }
  task.file = req->file->handle_.node;
  task.event.path = uvdio__node_path(task.file->now);
  task.unit = req->file->direct_ ? req->file->offset_mask_ + 1 : sim->options.sector_size;
  task.durable |= (req->flags_ & REQ_DURABLE) != 0;
  task.locks = req->file->flags_ & UVDIO__LOCKS;
  task.atomic = (req->flags_ & REQ_ATOMIC) != 0;
  if (!uvdio__is_transfer(req->op)) {
    set_span(&task, req);
    return task;
  }
  if (uvdio__is_vector(req)) {
    (void)uvdio__vector_layout(req, &task.event.length);
  } else {
    task.base = req->buf_.base + req->transferred;
    task.event.length = uvdio__request_rest(req);
  }
  return task;
}

/* Buffers are touched between these two, and nowhere else. The disk knows transfers of one buffer:
 * several are copied into one. Returns 0 when out of memory. */
static int begin_transfer(const uvdio_req_t* req, uvdio__sim_task_t* task) {
  uvdio__ownership_allow(req);
  if (!uvdio__is_vector(req)) {
    return 1;
  }
  task->base = uvdio__alloc(task->event.length, UVDIO__STRUCT_ALIGN, 0);
  if (task->base == NULL) {
    uvdio__ownership_forbid(req);
    return 0;
  }
  if (req->op == UVDIO_OP_WRITE) {
    uvdio__vector_gather(req, task->base, task->event.length);
  }
  return 1;
}

static void end_transfer(const uvdio_req_t* req, uvdio__sim_task_t* task, int64_t result) {
  if (uvdio__is_vector(req)) {
    if (req->op == UVDIO_OP_READ && result > 0) {
      uvdio__vector_scatter(req, task->base, (size_t)result);
    }
    uvdio__free(task->base, task->event.length, UVDIO__STRUCT_ALIGN);
    task->base = NULL;
  }
  uvdio__ownership_forbid(req);
}

/* Locks count while handle_ names the file: from the open on until its close, however that ends. */
static int64_t perform_plain(uvdio_sim_t* sim, const uvdio_req_t* req, uvdio__sim_task_t* task,
                             const uvdio_fault_t* fault) {
  int64_t result = uvdio__sim_perform(sim, task, fault);

  if (req->op == UVDIO_OP_OPEN && result == 0) {
    req->file->handle_.descriptor = task->opening->descriptor;
  }
  if (req->op == UVDIO_OP_CLOSE) {
    req->file->handle_.node = NULL;
  }
  if (req->op == UVDIO_OP_STAT && result == 0) {
    uvdio__memory_stat(req, task->file->now);
  }
  return result;
}

static int64_t perform_task(uvdio_sim_t* sim, const uvdio_req_t* req, uvdio__sim_task_t* task,
                            const uvdio_fault_t* fault) {
  int64_t result;

  if (!uvdio__is_transfer(req->op)) {
    return perform_plain(sim, req, task, fault);
  }
  if (!begin_transfer(req, task)) {
    return UV_ENOMEM;
  }
  result = uvdio__sim_perform(sim, task, fault);
  end_transfer(req, task, result);
  return result;
}

/*
 * Crashes and power cuts
 */

static int changes_disk(uvdio_op_t op) {
  return uvdio__is_change(op) || op == UVDIO_OP_OPEN || op == UVDIO_OP_REPLACE ||
         (uvdio__is_name(op) && op != UVDIO_OP_SYNC_DIRECTORY);
}

/* What of a change on its way got as far as the disk: nothing, all of it, or some of its sectors.
 * Nobody waited for it, so that none of it is durable. */
static void leave_half_done(uvdio_sim_t* sim, const uvdio_req_t* req) {
  uvdio_fault_t fault = {.kind = UVDIO_FAULT_NONE, .error = UV_EIO};
  uvdio__sim_task_t task = task_of(sim, req);
  uint64_t fate = uvdio__sim_random(sim, 3);

  sim->stats.killed++;
  if (fate == 0 || !changes_disk(req->op)) {
    return;
  }
  if (fate == 1 && req->op == UVDIO_OP_WRITE) {
    fault.kind = UVDIO_FAULT_TORN;
  }
  task.durable = 0;
  if (perform_task(sim, req, &task, &fault) == UV_ENOMEM) {
    sim->out_of_memory = 1;
  }
  if (task.names != NULL) {
    task.names->step = UVDIO__REPLACE_SYNC; /* Whoever asked for it is not told of any step. */
  }
  if (task.opening != NULL) {
    task.opening->descriptor = -1; /* The disk knows the file; nobody has it open. */
  }
}

/* The kernel finishes direct writes without the program that began them. Other operations take a
 * thread of the program's. */
static void leave_behind(uvdio_sim_t* sim, const uvdio_req_t* req) {
  uvdio__sim_task_t task;

  if (req->op != UVDIO_OP_WRITE) {
    leave_half_done(sim, req);
    return;
  }
  sim->stats.killed++;
  task = task_of(sim, req);
  if (!begin_transfer(req, &task)) {
    sim->out_of_memory = 1;
    return;
  }
  uvdio__sim_leave(sim, &task);
  end_transfer(req, &task, 0);
}

static void abandon_request(uvdio_sim_t* sim, const uvdio_req_t* req, uvdio_sim_cut_t cut) {
  if (cut == UVDIO_SIM_CUT_CRASH) {
    leave_behind(sim, req);
  } else if (cut != UVDIO_SIM_CUT_NOTHING) {
    leave_half_done(sim, req);
  }
}

static void kill_engine(uvdio__sim_engine_t* engine, uvdio_sim_cut_t cut) {
  const uvdio_req_t* req;

  engine->dead = 1;
  for (req = uvdio__list_first(&engine->queue->running); req != NULL;
       req = uvdio__list_after(&engine->queue->running, req)) {
    abandon_request(engine->sim, req, cut);
  }
}

static void note_end(uvdio_sim_t* sim, const char* what, const char* how) {
  uvdio_fault_event_t event = {0};

  event.number = ++sim->events;
  event.step = sim->step;
  event.path = what;
  uvdio__sim_note(sim, &event, how, 0, 0);
}

/* Of one program, or (null) of all. */
static void crash(uvdio_sim_t* sim, const uvdio__sim_engine_t* only) {
  uvdio__sim_engine_t* engine;

  sim->stats.crashes++;
  note_end(sim, "crash", only == NULL ? "" : "one");
  for (engine = sim->engines; engine != NULL; engine = engine->next) {
    if (!engine->dead && (only == NULL || engine == only)) {
      kill_engine(engine, UVDIO_SIM_CUT_CRASH);
    }
  }
  uvdio__sim_land_due(sim);
}

int uvdio_sim_crash(uvdio_sim_t* sim, const uvdio_engine_t* engine) {
  const uvdio__sim_engine_t* member;

  if (sim == NULL) {
    return UV_EINVAL;
  }
  member = sim->engines;
  while (engine != NULL && member != NULL && (member->dead || member->queue->engine != engine)) {
    member = member->next;
  }
  if (engine != NULL && member == NULL) {
    return UV_EINVAL;
  }
  crash(sim, engine == NULL ? NULL : member);
  return sim->out_of_memory ? UV_ENOMEM : 0;
}

/* From nothing to everything, so that each comes up within a few cuts. */
static unsigned pick_share(uvdio_sim_t* sim) {
  static const unsigned shares[] = {SIM_SHARE_NONE, 1, 4, 7, SIM_SHARE_ALL};
  return shares[uvdio__sim_random(sim, sizeof(shares) / sizeof(shares[0]))];
}

static void cut_power(uvdio_sim_t* sim, uvdio_sim_cut_t cut) {
  uvdio__sim_engine_t* engine;

  if (cut == UVDIO_SIM_CUT_CRASH) {
    crash(sim, NULL);
    return;
  }
  sim->stats.cuts++;
  note_end(sim, "power cut", cut == UVDIO_SIM_CUT_NOTHING ? "nothing" : "seeded");
  for (engine = sim->engines; engine != NULL; engine = engine->next) {
    if (!engine->dead) {
      kill_engine(engine, cut);
    }
  }
  uvdio__sim_end_late(sim, cut != UVDIO_SIM_CUT_NOTHING);
  uvdio__sim_cut(sim, cut == UVDIO_SIM_CUT_NOTHING ? SIM_SHARE_NONE : pick_share(sim));
}

int uvdio_sim_power_cut(uvdio_sim_t* sim, uvdio_sim_cut_t cut) {
  if (sim == NULL || (unsigned)cut > UVDIO_SIM_CUT_CRASH) {
    return UV_EINVAL;
  }
  cut_power(sim, cut);
  return sim->out_of_memory ? UV_ENOMEM : 0;
}

/*
 * Operations
 */

static int64_t result_of_dead(const uvdio_req_t* req) {
  return req->op == UVDIO_OP_CLOSE ? 0 : UVDIO_SIM_DEAD;
}

static void set_due(uvdio_sim_t* sim, uvdio__sim_slot_t* slot, uint64_t least, uint64_t most) {
  slot->due = sim->step + least + uvdio__sim_random(sim, most - least + 1);
}

static int submit_to_sim(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__sim_engine_t* engine = queue->state;
  uvdio_sim_t* sim = engine->sim;
  uvdio__sim_slot_t* slot = engine->free_slots;

  assert(slot != NULL);
  engine->free_slots = slot->next_free;
  slot->mark = sim->sequence;
  slot->asked = 0;
  set_due(sim, slot, sim->options.latency_min, sim->options.latency_max);
  req->worker_ = slot;
  queue->unflushed++;
  return 0;
}

typedef enum { DRAWN_PROCEED, DRAWN_DELAYED, DRAWN_DEAD } drawn_t;

/* Draws a fault for a request that is due, once: one that was delayed proceeds. */
static drawn_t draw_fault(uvdio__sim_engine_t* engine, uvdio__sim_slot_t* slot,
                          const uvdio_fault_event_t* event, uvdio_fault_t* fault) {
  *fault = no_fault;
  if (slot->asked) {
    return DRAWN_PROCEED;
  }
  slot->asked = 1;
  *fault = uvdio__sim_pick_fault(engine->sim, event);
  if (fault->kind == UVDIO_FAULT_DELAY && fault->steps > 0) {
    set_due(engine->sim, slot, fault->steps, fault->steps);
    return DRAWN_DELAYED;
  }
  if (fault->kind == UVDIO_FAULT_CUT) {
    cut_power(engine->sim, fault->cut);
  }
  return engine->dead ? DRAWN_DEAD : DRAWN_PROCEED;
}

/* Whether a request that was asked to end early does. */
static int cancel_succeeds(uvdio_sim_t* sim, const uvdio_req_t* req) {
  return req->cancelled_ && uvdio__sim_random(sim, 2) == 0;
}

static void end_request(uvdio__queue_t* queue, uvdio_req_t* req, int64_t result) {
  uvdio__sim_engine_t* engine = queue->state;
  uvdio__sim_slot_t* slot = req->worker_;

  req->worker_ = NULL;
  slot->next_free = engine->free_slots;
  engine->free_slots = slot;
  uvdio__queue_done(queue, req, result);
}

/* A request is due, in a world that is alive. Returns 0 where it is delayed. */
static int perform_or_delay(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__sim_engine_t* engine = queue->state;
  uvdio__sim_slot_t* slot = req->worker_;
  uvdio__sim_task_t task = task_of(engine->sim, req);
  uvdio_fault_t fault;
  drawn_t drawn;

  task.mark = slot->mark;
  drawn = draw_fault(engine, slot, &task.event, &fault);
  if (drawn == DRAWN_DELAYED) {
    return 0;
  }
  end_request(
      queue, req,
      drawn == DRAWN_DEAD ? result_of_dead(req) : perform_task(engine->sim, req, &task, &fault));
  return 1;
}

/* Ends a request where it is due. Returns 0 where it stays. */
static int end_if_due(uvdio__queue_t* queue, uvdio_req_t* req) {
  const uvdio__sim_engine_t* engine = queue->state;
  const uvdio__sim_slot_t* slot = req->worker_;

  if (engine->dead) {
    end_request(queue, req, result_of_dead(req));
    return 1;
  }
  if (slot->due >= engine->sim->step) {
    return 0;
  }
  if (cancel_succeeds(engine->sim, req)) {
    end_request(queue, req, UV_ECANCELED);
    return 1;
  }
  return perform_or_delay(queue, req);
}

/* Those that are due in one step end in either order, or in theirs. What that starts anew is for
 * the next step. */
static void flush_sim(uvdio__queue_t* queue) {
  const uvdio__sim_engine_t* engine = queue->state;
  uvdio_sim_t* sim = engine->sim;
  int in_order = (sim->options.flags & UVDIO_SIM_IN_ORDER) != 0;
  int backwards = !in_order && uvdio__sim_random(sim, 2) == 0;
  uvdio__list_t* running = &queue->running;
  uvdio_req_t* req = backwards ? uvdio__list_last(running) : uvdio__list_first(running);

  uvdio__sim_step(sim);
  while (req != NULL) {
    uvdio_req_t* next =
        backwards ? uvdio__list_before(running, req) : uvdio__list_after(running, req);
    if (!end_if_due(queue, req) && in_order) {
      break;
    }
    req = next;
  }
  queue->unflushed = queue->in_flight;
}

static void cancel_in_sim(uvdio__queue_t* queue, uvdio_req_t* req) {
  const uvdio__sim_engine_t* engine = queue->state;
  uvdio__sim_slot_t* slot = req->worker_;

  if (uvdio__sim_random(engine->sim, 2) == 0) {
    slot->due = engine->sim->step;
  }
}

/* The power goes off, or the program crashes, under a synchronous operation. */
static int64_t die_performing(uvdio__sim_engine_t* engine, uvdio_req_t* req, uvdio_sim_cut_t cut) {
  uvdio_sim_t* sim = engine->sim;

  abandon_request(sim, req, cut);
  cut_power(sim, cut);
  return result_of_dead(req);
}

static int64_t perform_in_sim(const uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__sim_engine_t* engine = queue->state;
  uvdio_sim_t* sim = engine->sim;
  uvdio__sim_task_t task;
  uvdio_fault_t fault;

  if (engine->dead) {
    return result_of_dead(req);
  }
  uvdio__sim_step(sim);
  task = task_of(sim, req);
  fault = uvdio__sim_pick_fault(sim, &task.event);
  if (fault.kind == UVDIO_FAULT_CUT) {
    return die_performing(engine, req, fault.cut);
  }
  return perform_task(sim, req, &task, &fault);
}

/* Any engine of the world may have its files. */
static int dup_in_sim(const uvdio__queue_t* queue, uvdio_file_t* file, const uvdio_file_t* source) {
  const uvdio__queue_t* other = &source->engine_->queues[QUEUE_MAIN];
  const uvdio__sim_engine_t* engine = queue->state;

  if (other->backend != queue->backend ||
      ((const uvdio__sim_engine_t*)other->state)->sim != engine->sim) {
    return UV_EXDEV;
  }
  if (engine->dead || ((const uvdio__sim_engine_t*)other->state)->dead) {
    return UVDIO_SIM_DEAD;
  }
  file->handle_ = source->handle_;
  return 0;
}

const uvdio__backend_t uvdio__backend_sim = {
    .name = "memory",
    .batch = 0,
    .probe = NULL,
    .init = NULL, /* uvdio_sim_engine_create() sets it up. */
    .submit = submit_to_sim,
    .flush = flush_sim,
    .reap = NULL,
    .cancel = cancel_in_sim,
    .perform = perform_in_sim,
    .dup = dup_in_sim,
    .close = close_sim,
};
