/* SPDX-License-Identifier: MIT */
/*
 * A fork while libuv's threads work.
 *
 * A thread that has done a work adds it to a list of its loop and wakes the loop, both under the
 * loop's lock (uv_loop_t::wq_mutex; libuv 1.44 to 1.50, src/threadpool.c). A child that is forked
 * meanwhile has this lock, held by a thread that it has not, and uv_loop_fork() leaves it so: the
 * child's loop stops for good when it looks at the list. So a fork waits for the locks of all loops
 * for which a pool has works, and gives the child new ones.
 */
#ifndef UVDIO_POOL_FORK_H
#define UVDIO_POOL_FORK_H

#include <uv.h>

/* A pool that has works, in the list of all of them. */
typedef struct uvdio__pool_fork_s {
  uv_loop_t* loop;
  struct uvdio__pool_fork_s* next;
  struct uvdio__pool_fork_s** link; /* the pointer to this one; null: not in the list */
  int is_locked;                    /* by this process, for the fork under way */
} uvdio__pool_fork_t;

#ifndef _WIN32
/* Before a pool's first work, and after the end of its last one. A child's list is empty. */
void uvdio__pool_fork_enter(uvdio__pool_fork_t* entry, uv_loop_t* loop);
void uvdio__pool_fork_leave(uvdio__pool_fork_t* entry);
#else
static inline void uvdio__pool_fork_enter(uvdio__pool_fork_t* entry, uv_loop_t* loop) {
  (void)entry;
  (void)loop;
}

static inline void uvdio__pool_fork_leave(uvdio__pool_fork_t* entry) {
  (void)entry;
}
#endif

#endif /* UVDIO_POOL_FORK_H */
