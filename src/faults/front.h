/* SPDX-License-Identifier: MIT */
/*
 * The parts of an engine's faults. A front is a backend that stands before a queue's own: it asks
 * the engine's rules at each request that goes to the backend, and hands the request on, holds it,
 * or both, one after the other. An engine has fronts from its first rule on, and none before.
 *
 *   faults/rules.c  the rules, and which of them an operation matches
 *   faults/front.c  what the engine's users and its queues call
 *   faults/held.c   requests that are held, and the way to the backend behind
 *
 *                   no fault, SHORT               the backend's end of it
 *   queue -> front -----------------> backend ----------------------------> queue
 *              |         DELAY is over   ^
 *              +----> held --------------+
 *              ERROR   |       ERROR, or cancelled
 *                      +--------------------------------------------------> queue
 *
 * A request that is held runs, as far as its queue knows. A queue's `state` stays the backend's:
 * what a front has to know lies around the table of functions that the queue has.
 */
#ifndef UVDIO_FAULTS_FRONT_H
#define UVDIO_FAULTS_FRONT_H

#include "engine.h"
#include "faults/rules.h"

/* A request that is held. */
typedef struct uvdio__held_s {
  struct uvdio__held_s* next;
  uvdio_req_t* req;
  uint64_t due_ns; /* of uvdio__clock_ns(); 0: as soon as the loop can */
  int error;       /* it ends with that, and 0: it goes on to the backend */
} uvdio__held_t;

typedef struct uvdio__front_s {
  uvdio__backend_t backend; /* that the queue has: the one behind, but for what a front does */
  const uvdio__backend_t* behind;
  struct uvdio__fronts_s* fronts;
  uvdio__held_t* slots; /* as many as the queue's depth */
  uvdio__held_t* free;
  uvdio__held_t* held; /* oldest first */
} uvdio__front_t;

/* Of an engine: one for each of its queues. */
typedef struct uvdio__fronts_s {
  uvdio__rules_t rules;
  uint64_t random;
  unsigned count; /* of fronts that are not closed */
  uvdio__front_t fronts[QUEUES];
} uvdio__fronts_t;

static inline uvdio__front_t* uvdio__front_of(const uvdio__queue_t* queue) {
  return UVDIO__CONTAINER_OF(queue->backend, uvdio__front_t, backend);
}

/* Has an error end the operation, whatever a kernel would have meant by it: a ring's refusals are
 * tried again on the pool. What has every operation repeated still does. Returns the error. */
static inline int uvdio__front_answer(uvdio_req_t* req, int error) {
  if (error != UV_EINTR && error != UV_EAGAIN) {
    req->flags_ |= REQ_REFUSED;
  }
  return error;
}

/* Hands a request on to the backend behind, a part of it where it is to be short. Returns what that
 * one's submit does. */
int uvdio__front_pass(uvdio__queue_t* queue, uvdio_req_t* req);

/* Performs it there, a part of it where it is to be short. */
int64_t uvdio__front_perform(const uvdio__queue_t* queue, uvdio_req_t* req);

/* Holds a request that is being submitted: for so long, where the engine can delay (on its loop,
 * and not being closed), or until the loop's next iteration. */
void uvdio__front_hold(uvdio__queue_t* queue, uvdio_req_t* req, int error, uint64_t delay_ms);

/* Ends what is held and due, and what was cancelled. */
void uvdio__front_end_due(uvdio__queue_t* queue);

/* Has a request end that is held; returns 0 where it is not. */
int uvdio__front_cancel_held(const uvdio__queue_t* queue, const uvdio_req_t* req);

#endif /* UVDIO_FAULTS_FRONT_H */
