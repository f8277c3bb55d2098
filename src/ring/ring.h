/* SPDX-License-Identifier: MIT */
/*
 * The parts of the ring backend.
 *
 *   ring/ring.c      set-up, the loop's thread, close
 *   ring/submit.c    entries of the submission queue, batches
 *   ring/drain.c     the eventfd and completions
 *   ring/open.c      opens, in steps
 *   ring/failure.c   a kernel that refuses, for the moment or for good
 *   ring/probe.c     whether io_uring works here, with which flags; and why not, in words
 *   ring/buffers.c   arenas whose memory the kernel knows by number ("registered", "fixed" buffers)
 *   ring/clone_source.c  the ring that holds an arena's memory for others
 *   ring/files.c     files that it knows by number
 *   ring/polled.c    the second ring of an engine, whose completions are polled for
 *   ring/thread.c    what becomes of a ring whose thread ends
 *   ring/syscalls.c  io_uring_register(2)
 *
 * ring.c calls all of them, and none calls ring.c. submit.c and drain.c call open.c and failure.c,
 * and polled.c calls submit.c and drain.c.
 */
#ifndef UVDIO_RING_H
#define UVDIO_RING_H

#include <liburing.h>

#include "arena.h"
#include "buffer.h"
#include "engine.h"
#include "wakeup.h"

/*
 * Probe
 */
typedef struct uvdio__ring_features_s {
  unsigned flags;         /* for io_uring_setup */
  uint64_t supported;     /* bit per opcode */
  int has_sparse_buffers; /* tables with gaps (Linux 5.19) */
  /* parts of a table can be copied between rings (6.13), and slots let go of at once */
  int has_clones;
  int can_clone_buffers; /* and copying leaves the rest of the table alone */
} uvdio__ring_features_t;

/* See backend.h. */
int uvdio__ring_probe(char* reason, size_t size);

/* What this kernel has, tried out once per process. Any thread. */
int uvdio__ring_features(uvdio__ring_features_t* features, char* reason, size_t size);

/* What went wrong and what would help, in words. */
void uvdio__ring_explain(int error, const char* call, char* reason, size_t size);

/* io_uring_register(2) itself: 0 or more, or a negative errno. liburing's functions for these are
 * missing from its shared library in some versions, or take a ring that was enabled. */
int uvdio__ring_register(int descriptor, unsigned opcode, const void* argument, unsigned count);

/* IORING_REGISTER_CLONE_BUFFERS, which liburing has since 2.9. */
#define UVDIO__REGISTER_CLONE_BUFFERS 30
#define UVDIO__CLONE_REPLACE 2u

typedef struct uvdio__clone_s { /* struct io_uring_clone_buffers, as of Linux 6.13 */
  uint32_t source;
  uint32_t flags;
  uint32_t source_offset;
  uint32_t target_offset;
  uint32_t count;
  uint32_t pad[3];
} uvdio__clone_t;

/*
 * The low bits of an entry's user data: a transfer; a cancellation, whose completion nobody waits
 * for
 */
#define TRANSFER_MARK ((uintptr_t)1)
#define CANCEL_MARK ((uintptr_t)2)
#define MARKS (CANCEL_MARK | TRANSFER_MARK)

/*
 * Entries of the submission queue
 *
 * A place of the queue keeps what its last user left there, and liburing's io_uring_prep_*() clear
 * all of it up to version 2.4 and leave that to io_uring_get_sqe() since. So entries are whole by
 * construction: whoever hands one out has zeroed it, or overwrites it to its last byte, and nobody
 * calls io_uring_prep_*().
 */
static inline void uvdio__ring_fill(struct io_uring_sqe* sqe, int opcode, int descriptor,
                                    const void* address, unsigned length, uint64_t offset) {
  sqe->opcode = (uint8_t)opcode;
  sqe->fd = descriptor;
  sqe->addr = (uintptr_t)address;
  sqe->len = length;
  sqe->off = offset;
}

/*
 * Registered buffers
 *
 * An arena is cut into segments of 1 MiB or more. A segment is registered when a frame that begins
 * in it is first used, or all of them by uvdio_arena_register(). Segments overlap, so that a frame
 * that begins in a segment ends in it, too. A frame that lies in the overlap of a registered one
 * uses that, and its own stays unregistered.
 *
 * A frame names its arena. A view does not: its memory is found by address among the registrations.
 * The address of a destroyed arena may belong to another one, so that a registration counts only
 * while its reference is not dead.
 */
#define UVDIO__SEGMENT_NEW 0
#define UVDIO__SEGMENT_REGISTERED 1

typedef struct uvdio__registration_s {
  uint64_t arena_id;
  const char* base;
  size_t size;
  size_t overlap; /* of a segment with the next one */
  uvdio__arena_ref_t* ref;
  unsigned shift; /* a segment begins every 1 << shift bytes */
  unsigned first; /* its number in the kernel's table; the others follow */
  unsigned count; /* segments */
  unsigned registered;
  int by_clone;                              /* cloned, instead of registered by this ring */
  int error;                                 /* why not all can be registered, or 0 */
  const char* reason;                        /* the same in words */
  struct uvdio__registration_s* next;        /* by `first` */
  struct uvdio__registration_s* bucket_next; /* in the same bucket */
  unsigned char segments[];
} uvdio__registration_t;

#define UVDIO__REGISTRATION_BUCKETS 256

typedef struct uvdio__ring_buffers_s {
  /* by the arena's id */
  uvdio__registration_t* buckets[UVDIO__REGISTRATION_BUCKETS];
  uvdio__registration_t* registrations; /* by their places in the table */
  uvdio__registration_t** by_address;   /* those that have segments; of different memory each */
  size_t address_count;
  size_t address_room;
  int has_table;
  unsigned arenas_gone; /* uvdio__arenas_gone when it was last looked at */
} uvdio__ring_buffers_t;

/*
 * Registered files
 */
typedef struct uvdio__ring_files_s {
  int* descriptors; /* by slot; -1: free */
  unsigned capacity;
  unsigned used;
  unsigned next; /* where to look for a free slot first */
  int off;       /* this kernel can't, or has refused */
  int full;      /* and can't grow; until a slot gets free */
} uvdio__ring_files_t;

typedef struct uvdio__ring_owner_s uvdio__ring_owner_t;

typedef struct uvdio__ring_s {
  struct io_uring ring;
  uvdio__ring_owner_t* owner; /* the thread that it is bound to, as long as that lives */
  struct uvdio__ring_s* next_of_thread;
  int enabled;
  int broken;
  int is_polled;    /* see polled.c */
  int is_asked;     /* of that ring: by a flush, since it was last reaped */
  int off_thread;   /* and that only because the loop had come to another thread */
  unsigned cancels; /* cancellations whose completion has not come */
  struct io_uring_sqe* entries;
  unsigned entry_count;
  unsigned entry_mask;
  unsigned completion_mask;
  uvdio__ring_buffers_t buffers;
  uvdio__ring_files_t files;
  uvdio__ring_features_t features;
  uvdio__queue_t* queue;
  uvdio__wakeup_t wakeup;
  /* of asking for completions, one after the other, UVDIO__RETRIES_MAX at most */
  unsigned interruptions;
  /* the kernel's flag stands, and there was nothing behind it when it was asked last */
  int flag_is_late;
} uvdio__ring_t;

#define UVDIO__BUFFER_PLAIN (-1)

/* The index of the registered buffer that holds `length` bytes of a transfer's memory, which is
 * registered here at the first use of a frame in it; UVDIO__BUFFER_PLAIN: it goes as plain
 * memory. */
int uvdio__ring_buffer(uvdio__queue_t* queue, const uvdio_buf_t* buf, size_t length);

/* The same of a transfer with several buffers, where all lie in one. */
int uvdio__ring_vector_buffer(uvdio__queue_t* queue, const uvdio_req_t* req);

/* Makes a table of empty entries; puts memory into some of them, or (null) empties them. Return 0
 * or more, or a negative errno. */
int uvdio__ring_make_table(int descriptor, unsigned count);
int uvdio__ring_update_table(int descriptor, unsigned first, const struct iovec* memory,
                             unsigned count);

/* A segment, and as much behind it as the last frame that begins in it may take. */
static inline struct iovec uvdio__ring_memory_of(const uvdio__registration_t* registration,
                                                 unsigned segment) {
  size_t size = (size_t)1 << registration->shift;
  size_t begin = (size_t)segment << registration->shift;
  size_t rest = registration->size - begin;
  struct iovec memory = {
      .iov_base = (void*)(uintptr_t)(registration->base + begin),
      .iov_len = size + registration->overlap < rest ? size + registration->overlap : rest};
  return memory;
}

static inline void uvdio__ring_mark_registered(uvdio__queue_t* queue,
                                               uvdio__registration_t* registration,
                                               unsigned segment) {
  if (registration->segments[segment] != UVDIO__SEGMENT_REGISTERED) {
    registration->segments[segment] = UVDIO__SEGMENT_REGISTERED;
    registration->registered++;
    queue->engine->stats.registered_bytes += uvdio__ring_memory_of(registration, segment).iov_len;
  }
}

/* The second engine of an arena and those after it register by the arena's clone source
 * (registration->by_clone), where the kernel can clone entries. */
void uvdio__clone_source_join(const uvdio__ring_t* ring, uvdio__registration_t* registration);
void uvdio__clone_source_leave(const uvdio__ring_t* ring,
                               const uvdio__registration_t* registration);

/* Registers segments by cloning. Returns 0 or more, or a negative errno. */
int uvdio__clone_source_register(uvdio__queue_t* queue, uvdio__registration_t* registration,
                                 unsigned segment, unsigned count);

/* The ring may not clone from this source: it registers by itself from now on. */
void uvdio__clone_source_give_up(uvdio__registration_t* registration);

int uvdio__ring_register_arena(uvdio__queue_t* queue, const uvdio_arena_t* arena);
int uvdio__ring_unregister_arena(uvdio__queue_t* queue, const uvdio_arena_t* arena);
void uvdio__ring_registration(const uvdio__queue_t* queue, const uvdio_arena_t* arena,
                              uvdio_registration_t* info);

/* Lets go of arenas that are gone. */
void uvdio__ring_sweep(uvdio__queue_t* queue);

/* Give up the tables. The kernel's part would go with the ring, but late, and not while a forked
 * child has the ring's descriptor: so it is emptied, but by a child. */
void uvdio__ring_free_buffers(uvdio__ring_t* ring, int is_forked);

/* See backend.h. */
const char* uvdio__ring_avoid(const uvdio_file_t* file, int* is_for_several);

/* Gives the file a slot if there is one to be had. */
void uvdio__ring_add_file(uvdio__queue_t* queue, uvdio_file_t* file);

/* Takes the file's slot away, before its descriptor is closed. */
void uvdio__ring_unregister_file(uvdio__queue_t* queue, uvdio_file_t* file);

void uvdio__ring_free_files(uvdio__ring_t* ring, int is_forked);

/* Whether the kernel has posted the completions of all that it has taken. */
static inline int uvdio__ring_is_posted(const struct io_uring* ring) {
  return io_uring_smp_load_acquire(ring->cq.ktail) == io_uring_smp_load_acquire(ring->sq.khead);
}

/* Binds the ring to the calling thread, which does not end before the kernel has posted all
 * completions; unbinds it before it is closed, on any thread. */
void uvdio__ring_bind(uvdio__ring_t* ring);
void uvdio__ring_unbind(uvdio__ring_t* ring);

/*
 * Submission (submit.c), completion (drain.c): see backend.h
 */
int uvdio__ring_submit(uvdio__queue_t* queue, uvdio_req_t* req);
void uvdio__ring_prioritise(uvdio__queue_t* queue, const uvdio_req_t* req);
void uvdio__ring_flush(uvdio__queue_t* queue);
void uvdio__ring_cancel(uvdio__queue_t* queue, uvdio_req_t* req);
int uvdio__ring_reap(uvdio__queue_t* queue);
int uvdio__ring_busy_poll(uvdio__queue_t* queue, uint64_t deadline);
void uvdio__ring_wait(uvdio__queue_t* queue, int timeout_ms);
void uvdio__ring_on_event(uv_poll_t* handle, int status, int events);

/* Takes what is posted: how many. Asks the kernel for more: 0 where it refuses, and is asked again
 * a little later. */
unsigned uvdio__ring_drain(uvdio__queue_t* queue);
int uvdio__ring_get_events(uvdio__queue_t* queue);

/* The parts of busy polling: signals are off from here on, until it is reaped (0: it can't be
 * polled); whether there is something to be reaped. */
int uvdio__ring_begin_busy_poll(uvdio__queue_t* queue);
int uvdio__ring_has_come(const uvdio__queue_t* queue);

/*
 * Polled completions (polled.c): see backend.h
 */
int uvdio__polled_submit(uvdio__queue_t* queue, uvdio_req_t* req);
void uvdio__polled_flush(uvdio__queue_t* queue);
void uvdio__polled_cancel(uvdio__queue_t* queue, uvdio_req_t* req);
int uvdio__polled_reap(uvdio__queue_t* queue);
int uvdio__polled_busy_poll(uvdio__queue_t* queue, uint64_t deadline);

/* Fills the entry of an open's next step; takes the result of one. */
void uvdio__ring_prepare_open(struct io_uring_sqe* sqe, uvdio_req_t* req);
void uvdio__ring_advance_open(uvdio__queue_t* queue, uvdio_req_t* req, int result);

/* Gives the ring up, for a reason in words or for the error of a system call. */
void uvdio__ring_give_up(uvdio__queue_t* queue, const char* reason);
void uvdio__ring_disable(uvdio__queue_t* queue, int error, const char* call);

#endif /* UVDIO_RING_H */
