/* SPDX-License-Identifier: MIT */
/*
 * What simulated worlds share with the memory backend, beside its files: locks. A file in memory is
 * open as long as its handle_ names it, and its flags tell what lock it has.
 */
#ifndef UVDIO_BACKEND_MEMORY_H
#define UVDIO_BACKEND_MEMORY_H

#include "engine.h"
#include "os/os.h"

/* Whether two locks, by the flags of opens, can't be had at a time. */
static inline int uvdio__locks_conflict(unsigned one, unsigned other) {
  return (one & UVDIO__LOCKS) != 0 && (other & UVDIO__LOCKS) != 0 &&
         ((one | other) & UVDIO_O_LOCK_EXCLUSIVE) != 0;
}

/* Whether an open file of the engine's has `node` locked against an open by these flags. */
int uvdio__memory_is_locked(const uvdio_engine_t* engine, const void* node, unsigned flags);

#endif /* UVDIO_BACKEND_MEMORY_H */
