/* SPDX-License-Identifier: MIT */
/*
 * What the ring needs to know of an arena, and what the two share.
 *
 * A ring that knows an arena's memory by number keeps it pinned until it is told otherwise. So each
 * holds on to the arena's share, which outlives the arena: destroying an arena marks its share as
 * dead, and the engines let go of it in their next turn (uvdio__arenas_gone tells that there is
 * something to look for).
 */
#ifndef UVDIO_ARENA_H
#define UVDIO_ARENA_H

#include <stdatomic.h>

#include "os/os.h"
#include "uvdio.h"

typedef struct uvdio__arena_ref_s {
  atomic_uint refs;
  atomic_int dead;     /* the arena is gone */
  unsigned generation; /* of uvdio__os_fork_generation(): a child keeps away from what follows */
  uv_mutex_t lock;     /* for what follows */
  unsigned users;      /* engines that know of the arena */
  unsigned clone_source_users; /* of these: those that copy from the vault */
  intptr_t clone_source;       /* descriptor of a ring that pins the memory for them; -1: none */
  unsigned char* pinned;       /* for each segment, whether it does */
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

/* Grows whenever the share of some arena dies that others hold on to. */
extern UVDIO__HIDDEN atomic_uint uvdio__arenas_gone;

/* Any thread. */
void uvdio__arena_ref_hold(uvdio__arena_ref_t* ref);
void uvdio__arena_ref_release(uvdio__arena_ref_t* ref);

#endif /* UVDIO_ARENA_H */
