/* SPDX-License-Identifier: MIT */
/*
 * What simulated worlds share with the memory backend, beside its files: locks, and the answer to a
 * stat. A file in memory is open as long as its handle_ names it, and its flags tell what lock it
 * has.
 */
#ifndef UVDIO_BACKEND_MEMORY_H
#define UVDIO_BACKEND_MEMORY_H

#include <string.h>

#include "backend/memory_files.h"
#include "engine.h"
#include "os/os.h"
#include "request.h"

/* Whether two locks, by the flags of opens, can't be had at a time. */
static inline int uvdio__locks_conflict(unsigned one, unsigned other) {
  return (one & UVDIO__LOCKS) != 0 && (other & UVDIO__LOCKS) != 0 &&
         ((one | other) & UVDIO_O_LOCK_EXCLUSIVE) != 0;
}

/* Whether an open file of the engine's has `node` locked against an open by these flags. */
int uvdio__memory_is_locked(const uvdio_engine_t* engine, const void* node, unsigned flags);

/* Answers a stat. */
static inline void uvdio__memory_stat(const uvdio_req_t* req, const uvdio__node_t* node) {
  uvdio_stat_t stat;

  memset(&stat, 0, sizeof(stat));
  stat.size = uvdio__node_size(node);
  stat.allocated = uvdio__node_allocated(node);
  stat.links = 1;
  uvdio__request_tell_stat(req, &stat);
}

#endif /* UVDIO_BACKEND_MEMORY_H */
