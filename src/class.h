/* SPDX-License-Identifier: MIT */
/*
 * Classes of an engine's requests: who waits, who is next, and how much is in flight.
 *
 * An engine without classes has none of this, and its requests never come here: engine->not_direct
 * is 0 while nothing waits. With classes it is not, so that each request passes through a list of
 * its class:
 *
 *   uvdio__class_add    the request waits, last of its class
 *   uvdio__class_next   the first of the class that is next, where limits and the device allow one
 *   uvdio__class_begin  it is taken off the list, and charged
 *   uvdio__class_end    it has its outcome
 *
 * A request that is resumed, repeated or moved to the pool stays charged, and waits on its queue.
 *
 * Charges. The cost of a request is the time that it takes the device, by the device model; divided
 * by the shares of its class it is added to the class's virtual time, and the least of those is
 * next. A class whose list was empty, or that was held up, begins at the virtual time of the
 * request that began last (start-time fair queueing, Goyal, Vin and Cheng, 1996).
 *
 * What is in flight is measured in weights, of which the device takes CLASS_WEIGHT_MAX at a time:
 * model.depth small requests, or model.bytes_in_flight bytes of large ones, or a mixture.
 *
 * Bounds are on what is on the list of a class. engine->refuses has REFUSES_SOME while a class is
 * full, so that a submission looks at one word, as it does for a closing engine.
 *
 * Limits per second are token buckets that fill with time, to what BURST_NS allow, and may fall
 * below zero by one request. They hold while the engine is on its loop and open, which a drain
 * is not.
 */
#ifndef UVDIO_CLASS_INTERNAL_H
#define UVDIO_CLASS_INTERNAL_H

#include "engine.h"
#include "uvdio/class.h"

/* The class of a request, on that file. */
static inline unsigned uvdio__class_number(const uvdio_file_t* file, const uvdio_req_t* req) {
  return req->class_ != UVDIO_CLASS_DEFAULT ? req->class_ : file->class_;
}

/* Whether the request is on the list of its class: it waits, and has not begun. */
int uvdio__class_holds(const uvdio_req_t* req);

/* Where the engine refuses something: what it says to the request. A closing engine refuses all; a
 * class that is full refuses what `is_bounded`. */
int uvdio__class_check(const uvdio_file_t* file, const uvdio_req_t* req, int is_bounded);

/* Calls those back that wait for room, as far as there is some, or the engine is not open. Returns
 * how many were called. And whether there are any such. No-ops without classes. */
unsigned uvdio__class_tell_room(uvdio_engine_t* engine);
int uvdio__class_has_room_to_tell(const uvdio_engine_t* engine);

/* The requests of a class that wait. */
const uvdio__list_t* uvdio__class_waiting(const uvdio_engine_t* engine, unsigned number);

/* Appends an accepted request to the list of its class. */
void uvdio__class_add(uvdio_req_t* req);

/* A request that was submitted had to wait. */
void uvdio__class_note_wait(const uvdio_req_t* req);

/* Takes a request off the list of its class, on which it is. */
void uvdio__class_remove(uvdio_req_t* req);

/* The request that may begin now, or null. */
uvdio_req_t* uvdio__class_next(const uvdio_engine_t* engine);

/* Where limits per second were in the way of those that were next: wakes the loop when they are
 * not. After uvdio__class_next() has told that nothing may begin, and no later: with nothing else
 * under way nobody asks again. */
void uvdio__class_wait_for_limits(uvdio_engine_t* engine);

/* Takes the request that is next off its list, and charges it. */
void uvdio__class_begin(uvdio_req_t* req);

/* A request that has begun may never come back: it is in flight no more, as far as others wait for
 * that. */
void uvdio__class_forget(uvdio_req_t* req);

/* The request has its outcome. No-op where it was not charged. */
void uvdio__class_end(uvdio_req_t* req);

/* Frees the classes; no-op without classes. */
void uvdio__class_free(uvdio_engine_t* engine);

#endif /* UVDIO_CLASS_INTERNAL_H */
