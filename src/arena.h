/* SPDX-License-Identifier: MIT */
/*
 * An arena, and the reference that it shares with engines that have registered it.
 *
 * A ring keeps registered memory pinned until it is unregistered. So each engine that has
 * registered an arena holds its reference, which outlives the arena: destroying the arena marks the
 * reference as dead, and engines release their registrations in their next iteration
 * (uvdio__arenas_gone tells them to look).
 */
#ifndef UVDIO_ARENA_H
#define UVDIO_ARENA_H

#include <stdatomic.h>

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
};

/* Grows when an arena is destroyed whose reference engines hold. */
extern UVDIO__HIDDEN atomic_uint uvdio__arenas_gone;

/* Any thread. */
void uvdio__arena_ref_hold(uvdio__arena_ref_t* ref);
void uvdio__arena_ref_release(uvdio__arena_ref_t* ref);

#endif /* UVDIO_ARENA_H */
