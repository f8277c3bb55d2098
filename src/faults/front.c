/* SPDX-License-Identifier: MIT */
/*
 * Fronts: what queues call in a backend's place, and the public functions that an engine gets its
 * rules by.
 */
#include "faults/front.h"

#include "allocator.h"
#include "completion.h"
#include "faults/random.h"
#include "sized.h"

static const uvdio_fault_t no_fault = {.kind = UVDIO_FAULT_NONE};

/*
 * The fault of a request
 */

static const char* path_of(const uvdio_req_t* req) {
  if (req->op == UVDIO_OP_OPEN) {
    return uvdio__open_state_of(req)->path;
  }
  if (uvdio__is_name(req->op) || req->op == UVDIO_OP_REPLACE) {
    return uvdio__names_of(req)->path;
  }
  return req->file->path_ != NULL ? req->file->path_ : "";
}

/* Whether a fault has an effect here. A close that is not made would leave a descriptor behind. */
static int applies(const uvdio_fault_t* fault, const uvdio_req_t* req) {
  return uvdio__fault_applies(fault, req->op) &&
         (fault->kind != UVDIO_FAULT_ERROR || req->op != UVDIO_OP_CLOSE);
}

/* An operation is asked for once, however often the system has it repeated, and an open not half
 * way: it would leave its descriptor behind. */
static const uvdio_fault_t* pick_fault(uvdio__fronts_t* fronts, const uvdio_req_t* req) {
  uvdio_fault_event_t event = {.op = req->op, .offset = req->offset_ + req->transferred};
  const uvdio_fault_t* fault;

  if (fronts->rules.first == NULL || (req->flags_ & (REQ_ASKED | REQ_UNCANCELLABLE)) != 0) {
    return &no_fault;
  }
  event.path = path_of(req);
  event.length = uvdio__is_transfer(req->op) ? uvdio__request_rest(req) : 0;
  fault = uvdio__rules_pick(&fronts->rules, &fronts->random, &event);
  return fault != NULL && applies(fault, req) ? fault : &no_fault;
}

/* Bytes. What is not direct stops at a multiple of it, too: elsewhere a read would say that the
 * file ends there. */
#define SECTOR_MIN 512u

static void make_short(uvdio__fronts_t* fronts, uvdio_req_t* req, size_t wanted) {
  size_t mask = req->file->offset_mask_ | req->file->memory_mask_;
  size_t unit = mask != 0 ? mask + 1 : SECTOR_MIN;
  size_t rest = uvdio__request_rest(req);
  size_t length = uvdio__fault_shorten(&fronts->random, rest, wanted, unit);
  size_t odd = mask != 0 ? 0 : (size_t)(req->offset_ + req->transferred) % SECTOR_MIN;

  if (length < rest && (req->flags_ & REQ_ATOMIC) == 0) {
    req->flags_ |= REQ_SHORT;
    req->result = (int64_t)(length - odd);
  }
}

/*
 * The backend
 */

static int is_performed_here(const uvdio__queue_t* queue, const uvdio_req_t* req) {
  return (req->flags_ & REQ_SHORT) != 0 && !queue->backend->has_descriptors;
}

static int submit_to_front(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__fronts_t* fronts = uvdio__front_of(queue)->fronts;
  const uvdio_fault_t* fault = pick_fault(fronts, req);

  if (fault->kind == UVDIO_FAULT_ERROR) {
    uvdio__front_hold(queue, req, uvdio__fault_error(fault), 0);
    return 0;
  }
  req->flags_ |= REQ_ASKED;
  if (fault->kind == UVDIO_FAULT_DELAY) {
    uvdio__front_hold(queue, req, 0, fault->delay_ms);
    return 0;
  }
  if (fault->kind == UVDIO_FAULT_SHORT) {
    make_short(fronts, req, fault->length);
  }
  if (is_performed_here(queue, req)) {
    uvdio__front_hold(queue, req, 0, 0);
    return 0;
  }
  return uvdio__front_pass(queue, req);
}

static int64_t perform_in_front(const uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__fronts_t* fronts = uvdio__front_of(queue)->fronts;
  const uvdio_fault_t* fault = pick_fault(fronts, req);

  if (fault->kind == UVDIO_FAULT_ERROR) {
    return uvdio__front_answer(req, uvdio__fault_error(fault));
  }
  req->flags_ |= REQ_ASKED;
  if (fault->kind == UVDIO_FAULT_SHORT) {
    make_short(fronts, req, fault->length);
  }
  return uvdio__front_perform(queue, req);
}

/* Memory takes the oldest that run: those that are held are none of its. */
static void flush_behind(uvdio__queue_t* queue) {
  const uvdio__front_t* front = uvdio__front_of(queue);
  const uvdio__held_t* held;

  for (held = front->held; held != NULL; held = held->next) {
    uvdio__list_remove(held->req);
    uvdio__list_append(&queue->running, held->req);
  }
  front->behind->flush(queue);
}

static int reap_both(uvdio__queue_t* queue) {
  const uvdio__front_t* front = uvdio__front_of(queue);

  if (front->held != NULL) {
    uvdio__front_end_due(queue);
  }
  return front->behind->reap != NULL ? front->behind->reap(queue) : 0;
}

static void cancel_in_front(uvdio__queue_t* queue, uvdio_req_t* req) {
  if (!uvdio__front_cancel_held(queue, req)) {
    uvdio__front_of(queue)->behind->cancel(queue, req);
  }
}

/* uvdio__front_pass() has done it: what is held was not submitted. */
static void prioritise_nothing(uvdio__queue_t* queue, const uvdio_req_t* req) {
  (void)queue;
  (void)req;
}

static void free_slots(uvdio__front_t* front, unsigned depth) {
  if (front->slots != NULL) {
    uvdio__free(front->slots, depth * sizeof(*front->slots), UVDIO__STRUCT_ALIGN);
  }
}

static void close_both(uvdio__queue_t* queue) {
  uvdio__front_t* front = uvdio__front_of(queue);
  uvdio__fronts_t* fronts = front->fronts;

  queue->backend = front->behind;
  queue->backend->close(queue);
  free_slots(front, queue->depth);
  if (--fronts->count == 0) {
    uvdio__rules_clear(&fronts->rules);
    uvdio__free(fronts, sizeof(*fronts), UVDIO__STRUCT_ALIGN);
  }
}

/*
 * Set-up
 */

static void fill_front(uvdio__front_t* front, const uvdio__queue_t* queue) {
  unsigned i;

  for (i = queue->depth; i > 0; i--) {
    front->slots[i - 1].next = front->free;
    front->free = &front->slots[i - 1];
  }
  front->behind = queue->backend;
  front->backend = *front->behind;
  front->backend.submit = submit_to_front;
  front->backend.prioritise = front->behind->prioritise != NULL ? prioritise_nothing : NULL;
  front->backend.perform = perform_in_front;
  front->backend.reap = reap_both;
  front->backend.cancel = cancel_in_front;
  front->backend.close = close_both;
  if (!front->backend.has_descriptors) {
    front->backend.flush = flush_behind;
  }
}

static uvdio__fronts_t* make_fronts(uvdio_engine_t* engine) {
  uvdio__fronts_t* fronts = uvdio__alloc(sizeof(*fronts), UVDIO__STRUCT_ALIGN, 1);
  unsigned i;

  if (fronts == NULL) {
    return NULL;
  }
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__front_t* front = &fronts->fronts[i];
    front->fronts = fronts;
    front->slots =
        uvdio__alloc(engine->queues[i].depth * sizeof(*front->slots), UVDIO__STRUCT_ALIGN, 1);
    if (front->slots == NULL) {
      break;
    }
    fill_front(front, &engine->queues[i]);
    fronts->count++;
  }
  if (fronts->count == engine->queue_count) {
    return fronts;
  }
  while (i-- > 0) {
    free_slots(&fronts->fronts[i], engine->queues[i].depth);
  }
  uvdio__free(fronts, sizeof(*fronts), UVDIO__STRUCT_ALIGN);
  return NULL;
}

/* The engine's, or null where it has none. */
static uvdio__fronts_t* fronts_of(const uvdio_engine_t* engine) {
  const uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  return queue->backend->submit == submit_to_front ? uvdio__front_of(queue)->fronts : NULL;
}

/* Puts fronts before the engine's backends, where it has none yet. A world, which can't be asked
 * for by name, has rules of its own. */
static int need_fronts(uvdio_engine_t* engine) {
  uvdio__fronts_t* fronts;
  unsigned i;
  int error;

  if (fronts_of(engine) != NULL) {
    return 0;
  }
  if (engine->queues[QUEUE_MAIN].backend->probe == NULL) {
    return UV_ENOTSUP;
  }
  error = uvdio__loop_have_timer(engine);
  if (error != 0) {
    return error;
  }
  fronts = make_fronts(engine);
  if (fronts == NULL) {
    return UV_ENOMEM;
  }
  for (i = 0; i < engine->queue_count; i++) {
    engine->queues[i].backend = &fronts->fronts[i].backend;
  }
  return 0;
}

/*
 * Public
 */

/* What an engine can do, of what there is. */
static int check_rule(const uvdio_fault_rule_t* rule) {
  switch (rule->fault.kind) {
    case UVDIO_FAULT_NONE:
    case UVDIO_FAULT_SHORT:
      return 0;
    case UVDIO_FAULT_ERROR:
      return rule->op == UVDIO_OP_CLOSE ? UV_ENOTSUP : 0;
    case UVDIO_FAULT_DELAY:
      return rule->fault.delay_ms == 0 ? UV_EINVAL : 0;
    case UVDIO_FAULT_TORN:
    case UVDIO_FAULT_LOST:
    case UVDIO_FAULT_CORRUPT:
    case UVDIO_FAULT_MISDIRECT:
    case UVDIO_FAULT_LATENT:
    case UVDIO_FAULT_CUT:
      return UV_ENOTSUP;
  }
  return UV_EINVAL;
}

int uvdio_engine_add_rule_sized(uvdio_engine_t* engine, const uvdio_fault_rule_t* rule,
                                size_t size) {
  uvdio_fault_rule_t own;
  int error;

  if (engine == NULL || rule == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__sized_in(&own, sizeof(own), rule, size);
  if (error == 0) {
    error = uvdio__engine_check(engine);
  }
  if (error == 0) {
    error = check_rule(&own);
  }
  if (error == 0) {
    error = need_fronts(engine);
  }
  return error != 0 ? error
                    : uvdio__rules_add(&fronts_of(engine)->rules, &own,
                                       !engine->queues[QUEUE_MAIN].backend->has_descriptors);
}

int uvdio_engine_clear_rules(uvdio_engine_t* engine) {
  int error = engine == NULL ? UV_EINVAL : uvdio__engine_check(engine);

  if (error == 0 && fronts_of(engine) != NULL) {
    uvdio__rules_clear(&fronts_of(engine)->rules);
  }
  return error;
}

int uvdio_engine_seed_rules(uvdio_engine_t* engine, uint64_t seed) {
  int error = engine == NULL ? UV_EINVAL : uvdio__engine_check(engine);

  if (error == 0) {
    error = need_fronts(engine);
  }
  if (error == 0) {
    fronts_of(engine)->random = seed;
  }
  return error;
}

int uvdio_engine_rule_info_sized(const uvdio_engine_t* engine, unsigned index,
                                 uvdio_fault_rule_info_t* info, size_t size) {
  const uvdio__fronts_t* fronts;
  int error = engine == NULL || info == NULL ? UV_EINVAL : uvdio__engine_check(engine);

  if (error != 0) {
    return error;
  }
  fronts = fronts_of(engine);
  return fronts == NULL ? UV_ENOENT : uvdio__rules_tell(&fronts->rules, index, info, size);
}
