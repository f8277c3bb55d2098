/* SPDX-License-Identifier: MIT */
/*
 * Faults that no kernel produces on demand. A program that is linked with them (uvdio_fault in
 * CMakeLists.txt) has its system calls wrapped by the linker (--wrap), those of the library
 * included:
 *
 *   fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);    the next fdatasync fails with EIO and does not
 *                                                reach the kernel
 *   fault_shorten(CALL_PREAD, 2, FOR_GOOD, 512); from the second one on, a pread moves 512 bytes at
 *                                                most
 *   fault_hold(CALL_FSYNC, 1);                   the next fsync waits on its worker thread ...
 *   fault_release(CALL_FSYNC);                   ... until now
 *
 * "The n-th" counts from the call that sets the fault: 1 is the next. A call has one fault of each
 * sort at a time, and may be held and fail. All of it is called on the test's thread.
 *
 * Entries of a ring count as the system call that they stand for. What fails or gives no bytes is
 * turned into a no-op with that result, which takes Linux 6.10 (faults_reach_the_ring); what is
 * short is sent on with a shorter length, which has to be a multiple of the alignment. Entries are
 * never held, but for a sync by fault_drain_next_sync(); reads can be blocked:
 *
 * Control blocks of kernel AIO are no different, but that everything can be made to fail and to end
 * at any byte.
 *
 *   fault_block_reads(2);                        the next two reads stay with the kernel, ...
 *   fault_end_reads(1, UVDIO_PAGE_SIZE);         ... and one of so many bytes ends now, whole, with
 *                                                zeros
 */
#ifndef UVDIO_TEST_FAULTS_H
#define UVDIO_TEST_FAULTS_H

#include <stddef.h>
#include <stdint.h>

#include "faults_calls.h"

/* CALL_OPEN and so on, by the table in faults_calls.h. */
enum fault_call {
#define FAULT_CALL_(name, text, ...) CALL_##name,
  FAULT_CALL_MAP(FAULT_CALL_)
#undef FAULT_CALL_
      CALLS
};

#define ONCE 1u
#define FOR_GOOD UINT32_MAX

/* Forgets every fault and every count, and lets go what is held. Belongs before and after each
 * test. */
void faults_reset(void);

/* The n-th call and those after it, `times` in all, fail with `error` (E*). */
void fault_fail(enum fault_call call, unsigned nth, unsigned times, int error);

/* The n-th transfer and those after it, `times` in all, move `most` bytes at most; CALL_SUBMIT: so
 * many entries. */
void fault_shorten(enum fault_call call, unsigned nth, unsigned times, size_t most);

/* The n-th call waits, before anything else happens. fault_await() returns when it has come;
 * fault_release() lets it go. */
void fault_hold(enum fault_call call, unsigned nth);
void fault_await(enum fault_call call);
void fault_release(enum fault_call call);

/* The next `count` entries of a ring that read stay with the kernel, which can cancel them: they
 * read from an empty pipe. So many of that length end by fault_end_reads(), at once, of 64 KiB at
 * most; a signal handler may call it. What is left ends with no bytes by faults_reset(). */
void fault_block_reads(unsigned count);
void fault_end_reads(unsigned count, size_t length);

/* The next entry that syncs waits until all that was submitted to its ring before has ended,
 * blocked reads included (IOSQE_IO_DRAIN). What is submitted behind it waits for it. */
void fault_drain_next_sync(void);

/* The clock (uv_hrtime) stands still from now on, which keeps whoever watches for completions
 * watching; whoever looks at it for the `looks`-th time finds that `count` blocked reads of that
 * length have just ended. It runs again after CLOCK_LOOKS more looks, which is far more than it
 * takes to see that, or by faults_reset(). */
#define CLOCK_LOOKS 10000u
void fault_stop_clock(unsigned looks, unsigned count, size_t length);

/* The clock moves by so much whenever somebody looks at it; 0: as it does. How many have looked
 * since. */
void fault_step_clock(uint64_t step_ns);
unsigned fault_clock_looks(void);

/* The kernel's flag that completions are to be fetched (IORING_SQ_TASKRUN) is set again whenever a
 * ring has been entered, though there may be none: as where a worker adds its work, is held up, and
 * sets the flag after the work was fetched. 0 for the truth. */
void fault_pretend_late_flag(int on);

/* The ring of completions of kernel AIO that is made from now on has a layout that the library does
 * not know, so that it has to call io_getevents(2); 0 for the truth. */
void fault_pretend_unknown_aio(int on);

/* The library asks for the completions of kernel AIO in vain, so many times. */
void fault_take_in_vain(unsigned times);

/* fstatfs tells of a filesystem of this type; 0 for the true one. */
void fault_pretend_filesystem(long type);

/* uname tells of this release of the kernel; null for the true one. */
void fault_pretend_kernel(const char* release);

/* getrlimit tells that so many descriptors may be open; 0 for the truth. */
void fault_pretend_descriptors(unsigned most);

/* Rings are probed on a kernel without this opcode; 0 (which every kernel has) for the truth. */
void fault_pretend_missing_opcode(unsigned opcode);

/* statx(2) tells that files take no direct I/O, though they opened for it; 0 for the truth. Not
 * where an entry of a ring asks. */
void fault_pretend_no_direct(int on);

/* Since faults_reset(): how many calls there were, and how many at the same time at most (not
 * counting a ring's). */
unsigned fault_calls(enum fault_call call);
unsigned fault_most_at_once(enum fault_call call);

/* How many of those calls were entries of a ring. */
unsigned fault_entries(enum fault_call call);

/* How many of the calls were made on the test's thread, entries of a ring that may be performed
 * when they are submitted (those without IOSQE_ASYNC) included. */
unsigned fault_calls_here(enum fault_call call);

/* How many writes have asked to be durable by themselves (RWF_DSYNC). */
unsigned fault_durable_writes(void);

/* The same of those that must not be torn (RWF_ATOMIC), as far as they have reached the kernel. */
unsigned fault_atomic_writes(void);

/* How many transfers had an I/O priority, as entries of a ring or blocks of kernel AIO. */
unsigned fault_prioritised(void);

/* The last such priority, and of a thread that performs a transfer. */
unsigned fault_last_priority(void);

/* How many of those calls a fault was meant for. */
unsigned fault_hits(enum fault_call call);

/* The errors that the call's man page names, ended by 0. Those that differ most in what they lead
 * to come first. */
const int* fault_errors(enum fault_call call);
const char* fault_call_name(enum fault_call call);

/* Whether entries of a ring can be made to fail here; and what skips the test on a ring where they
 * can't. */
int faults_reach_the_ring(void);
void need_faults(void);

struct fixture;

/* A read whose data comes when it has been submitted, so that its submission does not end it. */
struct tracked_op* read_that_ends_later(struct fixture* f);

/* As fixture_tear_down, without faults; and as TEST_ON, with that. */
int faults_tear_down(void** state);

/* As fixture_open, on a loop that has turned, with workers to be held (workers.h) and so many pages
 * in the file. */
int faults_open_written(void** state, unsigned pages);
#define FAULT_TEST_ON(set_up, function) \
  cmocka_unit_test_setup_teardown(function, set_up, faults_tear_down)

#endif /* UVDIO_TEST_FAULTS_H */
