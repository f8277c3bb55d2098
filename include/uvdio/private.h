/* SPDX-License-Identifier: MIT */
/**
 * @file private.h
 * The private fields of structures that callers allocate. Nobody but the library uses them: they
 * are here because C has to know the sizes. `reserved_` is room for later versions, so that a
 * program built against an older header runs with a newer library of the same SOVERSION.
 */
/** @cond private */
#ifndef UVDIO_PRIVATE_H
#define UVDIO_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

/* An intrusive list is a circle of these. */
typedef struct uvdio_link_s_ {
  struct uvdio_link_s_* next;
  struct uvdio_link_s_* prev;
} uvdio_link_t_;

/* What an open learns of the file; 0 where the system does not say. */
typedef struct uvdio_facts_s_ {
  uint64_t size;
  uint64_t request_max;
  uint64_t device;
  uint64_t inode;
  int64_t modified_ns;
  int64_t changed_ns;
  int64_t created_ns;
  uint32_t physical_block;
  uint32_t optimal_size;
  uint32_t atomic_min;
  uint32_t atomic_max;
  uint32_t can_poll; /* 1: its device has queues for polled requests, and the open has asked */
} uvdio_facts_t_;

/* What metrics count of a file (uvdio/metrics.h). */
typedef struct uvdio_file_counters_s_ {
  uint64_t reads;
  uint64_t writes;
  uint64_t syncs;
  uint64_t others;
  uint64_t failed;
  uint64_t bytes_read;
  uint64_t bytes_written;
  uint64_t longest_ns;
  unsigned longest_op; /* uvdio_op_t */
} uvdio_file_counters_t_;

/* The origin: src/buffer.h. */
#define UVDIO_BUF_PRIVATE_FIELDS const void* owner_;

#define UVDIO_CHUNKS_PRIVATE_FIELDS \
  char* base_;                      \
  size_t len_;                      \
  size_t cap_;                      \
  size_t chunk_;                    \
  size_t stride_;

/* src/request.h tells the states. */
#define UVDIO_REQ_PRIVATE_FIELDS \
  unsigned char state_;          \
  unsigned char cancelled_;      \
  unsigned char retries_;        \
  unsigned char class_;          \
  unsigned flags_;               \
  uintptr_t magic_;              \
  uvdio_engine_t* engine_;       \
  void* queue_;                  \
  uvdio_link_t_ link_;           \
  uvdio_link_t_ order_link_;     \
  uint64_t sequence_;            \
  union {                        \
    uvdio_cb plain;              \
    uvdio_io_cb io;              \
    uvdio_vector_cb vector;      \
  } cb_;                         \
  uvdio_buf_t buf_;              \
  uint64_t offset_;              \
  size_t length_;                \
  size_t high_water_;            \
  size_t range_skip_;            \
  void* args_;                   \
  void* worker_;                 \
  uint64_t began_ns_;            \
  uint64_t submitted_ms_;        \
  unsigned weight_;              \
  unsigned short ioprio_;        \
  unsigned char in_class_;       \
  unsigned char charged_;        \
  uint32_t deadline_ms_;         \
  uvdio_arena_t* arena_;         \
  uint64_t accepted_ticks_;      \
  uint64_t began_ticks_;         \
  uint64_t ended_ticks_;         \
  void* reserved_[4]; /* zero; becomes fields of later versions */

/* src/file.h tells the states, src/order.h the lists. */
#define UVDIO_FILE_PRIVATE_FIELDS                                                                 \
  uvdio_engine_t* engine_;                                                                        \
  void* queue_;                                                                                   \
  void* queue_concurrent_;   /* of transfers, beside concurrent_from_ others; null: queue_ */     \
  unsigned concurrent_from_; /* so many requests or more are in flight */                         \
  size_t memory_mask_;                                                                            \
  size_t offset_mask_;                                                                            \
  uint64_t pending_; /* requests without an outcome, but for the close */                         \
  int has_waiters_;  /* a truncate or the close waits or runs */                                  \
  unsigned flags_;                                                                                \
  unsigned write_flags_; /* request flags that each write has */                                  \
  int latch_;            /* the error that later changes and syncs get; or 0 */                   \
  unsigned fixed_index_; /* in the ring's table of files, plus one; 0: none */                    \
  uintptr_t magic_;                                                                               \
  uvdio_file_t* next_;                                                                            \
  uvdio_file_t* prev_;                                                                            \
  union {                                                                                         \
    intptr_t descriptor;                                                                          \
    void* node;                                                                                   \
  } handle_;                                                                                      \
  unsigned quirks_;                                                                               \
  unsigned char state_;                                                                           \
  unsigned char without_dsync_; /* the system has refused UVDIO__WRITE_DSYNC */                   \
  unsigned char dsync_works_;   /* a durable write has succeeded */                               \
  unsigned char access_;        /* what may be done now; 0 while state_ is not open */            \
  unsigned char cache_;         /* uvdio_cache_t */                                               \
  unsigned char path_kind_;     /* PATH_*: what path_ is relative to (src/file.h) */              \
  unsigned char refusals_;      /* writes in a row that kernel AIO refused to begin */            \
  unsigned char detour_;        /* so many writes go to the pool at once (src/aio/submit.c) */    \
  unsigned char class_;         /* of requests that have none of their own */                     \
  uint64_t sequence_;                                                                             \
  uvdio_link_t_ order_;           /* changes without an outcome, oldest first */                  \
  uvdio_link_t_ deferred_;        /* syncs that wait for changes or another sync, oldest first */ \
  uvdio_link_t_ followers_;       /* syncs that share the outcome of syncing_ */                  \
  uvdio_link_t_ durable_waiting_; /* durable writes that wait for syncing_, oldest first */       \
  uvdio_link_t_ written_;         /* durable writes that are written and wait for a sync */       \
  uvdio_req_t* syncing_;          /* the sync that runs, or a durable write in its place */       \
  uvdio_link_t_ truncate_queue_;  /* requests behind a truncate, and truncates that wait */       \
  uint64_t truncate_waiters_;     /* length of truncate_queue_ */                                 \
  uint64_t unordered_pending_;    /* those of pending_ that no truncate excludes: syncs, sizes */ \
  uvdio_req_t* truncating_;                                                                       \
  uvdio_req_t* close_req_;                                                                        \
  int direct_;                                                                                    \
  uvdio_align_source_t align_source_;                                                             \
  uint32_t system_memory_align_;                                                                  \
  uint32_t system_offset_align_;                                                                  \
  uint32_t system_read_align_;                                                                    \
  uint32_t recommended_align_;                                                                    \
  uvdio_facts_t_ facts_;                                                                          \
  uvdio_file_counters_t_ counters_;                                                               \
  void* durability_; /* src/durability.h */                                                       \
  void* share_;      /* src/share.h; null without UVDIO_O_DUP */                                  \
  char* path_;                                                                                    \
  const char* filesystem_;                                                                        \
  const char* reason_;                                                                            \
  const char* polled_reason_; /* why its transfers are not polled; or "" */                       \
  void* reserved_[6];         /* zero; becomes fields of later versions */

#endif /* UVDIO_PRIVATE_H */
/** @endcond */
