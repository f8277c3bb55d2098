/* SPDX-License-Identifier: MIT */
/*
 * See pool_fork.h. The lock of the list is taken before those of loops, and libuv takes no other
 * lock while it holds one of a loop: so the order among loops does not matter.
 */
#include "backend/pool_fork.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#include "os/os.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uvdio__pool_fork_t* first;

/* A lock that does not come free in that time may be another copy of the library's, whose handler
 * has taken it before: the fork goes on without it. */
#define ATTEMPTS 500u
#define ATTEMPT_MS 1u

/* A loop of several pools is locked for the first of them. */
static int is_first_of_loop(const uvdio__pool_fork_t* entry) {
  const uvdio__pool_fork_t* other = first;

  while (other->loop != entry->loop) {
    other = other->next;
  }
  return other == entry;
}

static int lock_within_reason(uv_mutex_t* mutex) {
  unsigned attempts = 0;

  while (uv_mutex_trylock(mutex) != 0) {
    if (++attempts == ATTEMPTS) {
      return 0;
    }
    uv_sleep(ATTEMPT_MS);
  }
  return 1;
}

static void before_fork(void) {
  uvdio__pool_fork_t* entry;

  (void)pthread_mutex_lock(&lock);
  for (entry = first; entry != NULL; entry = entry->next) {
    entry->is_locked = is_first_of_loop(entry) && lock_within_reason(&entry->loop->wq_mutex);
  }
}

static void in_parent(void) {
  uvdio__pool_fork_t* entry;

  for (entry = first; entry != NULL; entry = entry->next) {
    if (entry->is_locked) {
      uv_mutex_unlock(&entry->loop->wq_mutex);
    }
  }
  (void)pthread_mutex_unlock(&lock);
}

/* New locks, because some kinds can't be released here: the thread that holds them has another
 * number by now. libuv does the same with the lock of its threads. */
static void in_child(void) {
  uvdio__pool_fork_t* entry;

  for (entry = first; entry != NULL; entry = entry->next) {
    if (is_first_of_loop(entry)) {
      (void)uv_mutex_init(&entry->loop->wq_mutex);
    }
    entry->link = NULL;
  }
  first = NULL;
  (void)pthread_mutex_unlock(&lock);
}

UVDIO__AT_LOAD static void watch_forks(void) {
  (void)pthread_atfork(before_fork, in_parent, in_child);
}

void uvdio__pool_fork_enter(uvdio__pool_fork_t* entry, uv_loop_t* loop) {
  assert(entry->link == NULL);
  (void)pthread_mutex_lock(&lock);
  entry->loop = loop;
  entry->link = &first;
  entry->next = first;
  if (first != NULL) {
    first->link = &entry->next;
  }
  first = entry;
  (void)pthread_mutex_unlock(&lock);
}

void uvdio__pool_fork_leave(uvdio__pool_fork_t* entry) {
  (void)pthread_mutex_lock(&lock);
  assert(entry->link != NULL && *entry->link == entry);
  *entry->link = entry->next;
  if (entry->next != NULL) {
    entry->next->link = entry->link;
  }
  entry->link = NULL;
  (void)pthread_mutex_unlock(&lock);
}
