/* SPDX-License-Identifier: MIT */
/*
 * An arena, and the reference that it shares with engines that have registered it.
 *
 * A ring keeps registered memory pinned until it is unregistered. So each engine that has
 * registered an arena holds its reference, which outlives the arena: destroying the arena marks the
 * reference as dead, and engines release their registrations in their next iteration
 * (uvdio__arenas_gone tells them to look).
 *
 * Requests that wait for frames (frames.h) stand in a queue, first come first served:
 *
 *   nobody waits    free frames are on the stack, and whoever wants some takes them there
 *   somebody waits  the stack is closed: nobody takes frames past the queue. Free frames are in the
 *                   reserve, which is always less than what the first of the queue wants.
 *
 * Whoever releases a frame meets the closed stack, and gives the frames of the reserve to those
 * that they suffice for, in order. So only who waits, or releases while somebody waits, takes the
 * mutex. The queue knows neither engines nor loops: uvdio__frames_given() is told.
 */
#ifndef UVDIO_ARENA_H
#define UVDIO_ARENA_H

#include <stdatomic.h>

#include "list.h"
#include "os/os.h"
#include "uvdio.h"

typedef struct uvdio__arena_ref_s {
  atomic_uint refs;
  atomic_int dead;             /* the arena is gone */
  unsigned generation;         /* of uvdio__os_fork_generation(): a child leaves the rest alone */
  uv_mutex_t lock;             /* of the fields below */
  unsigned users;              /* engines that have registered the arena */
  unsigned clone_source_users; /* of these: engines that clone */
  intptr_t clone_source;       /* descriptor of a ring that holds the memory for them; -1: none */
  unsigned char* pinned;       /* for each segment: registered with the clone source */
  size_t pinned_count;
  void (*close_clone_source)(struct uvdio__arena_ref_s* ref); /* with the lock held */
} uvdio__arena_ref_t;

struct uvdio_arena_s {
  uint64_t id; /* never used twice, unlike the address */
  char* base;
  size_t size;       /* bytes mapped */
  size_t frame_size; /* bytes that a user sees */
  size_t stride;     /* bytes from one frame to the next: frame_size, and the guard page */
  size_t frame_count;
  unsigned flags;
  uvdio__arena_ref_t* ref;
  atomic_size_t frames_out;
  _Atomic uint64_t top;
  _Atomic uint32_t* links;
  int has_mutex;
  uv_mutex_t wait_mutex; /* of the fields below; not in a forked child */
  uvdio_link_t_ waiters; /* requests that wait, oldest first, by their order_link_ */
  uint32_t reserve;      /* the first of the free frames while somebody waits, strung as a stack */
  size_t reserved;       /* how many they are */
};

/* Grows when an arena is destroyed whose reference engines hold. */
extern UVDIO__HIDDEN atomic_uint uvdio__arenas_gone;

/* Any thread. */
void uvdio__arena_ref_hold(uvdio__arena_ref_t* ref);
void uvdio__arena_ref_release(uvdio__arena_ref_t* ref);

/* Whether this process got the arena by a fork. Then nobody waits for its frames here. */
static inline int uvdio__arena_is_forked(const uvdio_arena_t* arena) {
  return arena->ref->generation != uvdio__os_fork_generation();
}

/*
 * Several frames at a time, all or none; the bytes of a zeroed arena's are as their last user has
 * left them. Any thread, but for what says otherwise, and not in a forked child.
 */

/* Takes so many frames where they are free and nobody waits: 1, else 0 and nothing is touched. */
int uvdio__arena_take(uvdio_arena_t* arena, uvdio_buf_t* frames, size_t count);

/* The same for a request that wants `length_` frames into the array `args_`, which else goes into
 * the queue. */
int uvdio__arena_wait(uvdio_arena_t* arena, uvdio_req_t* req);

/* Takes a request out of the queue. Returns 1 where it was given its frames before. On the thread
 * of its engine, which has not been told of them yet. */
int uvdio__arena_withdraw(uvdio_arena_t* arena, uvdio_req_t* req);

/* The queue's one call upward, implemented by frames.c: the request has its frames, and has left
 * the queue. With the mutex held; the request may be gone when this returns. */
void uvdio__frames_given(uvdio_req_t* req);

#endif /* UVDIO_ARENA_H */
