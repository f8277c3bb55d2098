/* SPDX-License-Identifier: MIT */
/*
 * What the parts of lib/faults share: faults.c decides what happens to a call, faults_system.c and
 * faults_ring.c stand in the calls' way.
 */
#ifndef UVDIO_TEST_FAULTS_INSIDE_H
#define UVDIO_TEST_FAULTS_INSIDE_H

#include "faults.h"
#include "uvdio.h"

#define WHOLE SIZE_MAX

/* Headers of C libraries lack these in some versions (pwritev2(2)). */
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

/* What happens to one call. */
struct plan {
  int error;    /* 0: none */
  size_t bytes; /* at most; WHOLE */
};

/* Around a call. The first counts it, and waits where it is held. */
struct plan fault_enter(enum fault_call call);
void fault_leave(enum fault_call call);

/* Counts a call that somebody else performs; `is_here`: perhaps on this thread. */
struct plan fault_plan(enum fault_call call, int is_here);

/* The bytes that a transfer of `length` moves by the plan: direct I/O takes whole blocks, so one
 * that is to end within one moves it, and tells less. */
static inline size_t fault_at_most(size_t length, const struct plan* plan) {
  size_t blocks = plan->bytes / UVDIO_ALIGNMENT + (plan->bytes % UVDIO_ALIGNMENT != 0);
  return plan->bytes >= length || blocks * UVDIO_ALIGNMENT > length ? length
                                                                    : blocks * UVDIO_ALIGNMENT;
}

/* Counts a write that asks to be durable by itself. */
void fault_count_durable_write(void);

/* Counts a write that must not be torn. */
void fault_count_atomic_write(void);

/* Whether the completions of kernel AIO are asked for in vain, this time. */
int fault_is_take_in_vain(void);

/* Counts a transfer with an I/O priority; notes that of a thread, where it has one. */
void fault_count_prioritised(unsigned priority);
void fault_note_priority(unsigned priority);

/* Since Linux 6.11. */
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x00000040
#endif

/* What the next entry that reads has to read from, or -1. */
int fault_blocking_pipe(void);

/* Whether the entry that syncs has to wait for those before it; asks once. */
int fault_takes_drain(void);

/* What the clock has to tell. */
uint64_t fault_clock(uint64_t now);

/* The filesystem that fstatfs has to tell of; 0: the true one. */
long fault_pretended(void);

/* The kernel's release that uname has to tell of, or null; whether statx has to tell of no direct
 * I/O. */
const char* fault_pretended_kernel(void);
int fault_pretended_no_direct(void);
unsigned fault_pretended_missing_opcode(void);

/* Whether the ring's flag has to stand where it need not. */
int fault_pretended_late_flag(void);

/* How many descriptors getrlimit has to tell of; 0: the true limit. */
unsigned fault_pretended_descriptors(void);

/* After io_setup(2): gives the kernel's ring of completions a layout that nobody knows, where that
 * is pretended. Returns `result`. */
long fault_blur_aio(long result, const unsigned long* context);

/* io_destroy(2), by a thread of its own that nobody waits for: it takes the kernel tens of
 * milliseconds. */
long fault_destroy_aio(long context);

/* Whether that is pretended. */
int fault_pretended_unknown_aio(void);

/* io_uring_setup(2) and io_uring_register(2), which the library calls by number and by liburing's
 * functions. */
long fault_fail_with(int error);

#endif /* UVDIO_TEST_FAULTS_INSIDE_H */
