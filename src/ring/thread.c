/* SPDX-License-Identifier: MIT */
/*
 * Rings with deferred task work post completions only when the thread that they are bound to asks.
 * Where that thread ended while the ring has requests in hand, these would stay there for good,
 * with their buffers. So it asks before it ends: the destructor of a thread-specific value waits
 * until the kernel has posted everything. Whoever runs the loop by then finds it in memory.
 *
 * How much the kernel has in hand is told by the ring's own counters: entries taken less
 * completions posted. Nothing of the engine is read, which another thread may be using. The lock is
 * held for calls only that don't block.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "ring/ring.h"

#define LOOK_MS 1 /* between two looks */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all lists, and the rings in them */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int watches_forks;
static int has_key;

/* The rings that are bound to the thread. Emptied before the thread ends. */
struct uvdio__ring_owner_s {
  uvdio__ring_t* first;
  unsigned generation;
};
static _Thread_local uvdio__ring_owner_t this_thread;

/* Asks for what has finished. Returns 1 when there is nothing to wait for any more. */
static int settle(const uvdio__ring_owner_t* owner) {
  int is_settled = 1;
  uvdio__ring_t* ring;

  for (ring = owner->first; ring != NULL; ring = ring->next_of_thread) {
    if (!uvdio__ring_is_posted(&ring->ring)) {
      int result = io_uring_get_events(&ring->ring);
      int is_refused = result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY;
      is_settled = is_settled && (is_refused || uvdio__ring_is_posted(&ring->ring));
    }
  }
  return is_settled;
}

static void let_go(uvdio__ring_owner_t* owner) {
  static const uint64_t one = 1;
  uvdio__ring_t* ring;
  ssize_t written;

  while ((ring = owner->first) != NULL) {
    owner->first = ring->next_of_thread;
    ring->owner = NULL;
    /* For the last ones, too, that were posted. */
    written = write(ring->wakeup.eventfd, &one, sizeof(one));
    assert(written == (ssize_t)sizeof(one) || errno == EAGAIN);
    (void)written;
  }
}

/* A forked child's rings are its parent's. */
static void end_thread(void* value) {
  uvdio__ring_owner_t* owner = value;
  int is_settled = 0;

  while (!is_settled && owner->generation == uvdio__os_fork_generation()) {
    (void)pthread_mutex_lock(&lock);
    is_settled = settle(owner);
    if (is_settled) {
      let_go(owner);
    }
    (void)pthread_mutex_unlock(&lock);
    if (!is_settled) {
      (void)poll(NULL, 0, LOOK_MS);
    }
  }
}

static void before_fork(void) {
  (void)pthread_mutex_lock(&lock);
}

static void after_fork(void) {
  (void)pthread_mutex_unlock(&lock);
}

UVDIO__AT_LOAD static void watch_forks(void) {
  watches_forks = pthread_atfork(before_fork, after_fork, after_fork) == 0;
}

static void begin(void) {
  has_key = watches_forks && pthread_key_create(&key, end_thread) == 0;
}

void uvdio__ring_bind(uvdio__ring_t* ring) {
  uvdio__ring_owner_t* owner = &this_thread;

  assert(ring->owner == NULL);
  (void)pthread_once(&once, begin);
  if ((ring->features.flags & IORING_SETUP_DEFER_TASKRUN) == 0 || !has_key ||
      pthread_setspecific(key, owner) != 0) {
    return;
  }
  (void)pthread_mutex_lock(&lock);
  if (owner->generation != uvdio__os_fork_generation()) {
    owner->generation = uvdio__os_fork_generation();
    owner->first = NULL;
  }
  ring->owner = owner;
  ring->next_of_thread = owner->first;
  owner->first = ring;
  (void)pthread_mutex_unlock(&lock);
}

void uvdio__ring_unbind(uvdio__ring_t* ring) {
  uvdio__ring_t** link;
  int is_last;

  (void)pthread_mutex_lock(&lock);
  is_last =
      ring->owner == &this_thread && this_thread.first == ring && ring->next_of_thread == NULL;
  if (ring->owner != NULL) {
    link = &ring->owner->first;
    while (*link != ring) {
      link = &(*link)->next_of_thread;
    }
    *link = ring->next_of_thread;
    ring->owner = NULL;
  }
  (void)pthread_mutex_unlock(&lock);
  if (is_last) {
    (void)pthread_setspecific(key, NULL); /* The library may be unloaded before the thread ends. */
  }
}
