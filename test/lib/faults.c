/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "faults_inside.h"

int __real_close(int fd);

/* From the first call to the last; calls count from 1. */
struct range {
  unsigned first;
  unsigned last;
};

struct watch {
  unsigned calls;
  unsigned entries; /* of these calls: a ring's */
  unsigned here;    /* of those: on the test's thread */
  unsigned hits;
  unsigned now;
  unsigned most;
  struct range failing;
  int error;
  struct range shortened;
  size_t bytes;
  unsigned held; /* the number of the call; 0: none */
  int is_waiting;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct watch watches[CALLS];
static long pretended;
static const char* pretended_kernel;
static int pretended_no_direct;
static int pretended_late_flag;
static int pretended_unknown_aio;
static int drains_next_sync;
static unsigned pretended_descriptors;
static unsigned pretended_missing_opcode;
static unsigned durable_writes;
static unsigned atomic_writes;
static unsigned prioritised;
static unsigned last_priority;
static unsigned takes_in_vain;
static int blocking[2] = {-1, -1}; /* a pipe */
static unsigned to_block;
static pthread_t test_thread; /* the one that called faults_reset() */

/* The clock that stands still, on the loop's thread only; 0: it runs. */
static struct {
  unsigned looks;
  unsigned ends_reads_at;
  unsigned count;
  size_t length;
  uint64_t time;
} stopped;

static struct {
  uint64_t time;
  uint64_t step; /* 0: the clock is the true one */
  unsigned looks;
} stepping;

static int is_in(const struct range* range, unsigned call) {
  return call >= range->first && call <= range->last;
}

static struct range range_from(const struct watch* watch, unsigned nth, unsigned times) {
  struct range range;
  range.first = watch->calls + nth;
  range.last = times > UINT32_MAX - range.first ? UINT32_MAX : range.first + times - 1;
  return range;
}

static void end_blocking(void) {
  for (size_t i = 0; i < 2; i++) {
    if (blocking[i] != -1) {
      (void)__real_close(blocking[i]);
      blocking[i] = -1;
    }
  }
  to_block = 0;
}

static void take_lock(void) {
  pthread_mutex_lock(&lock);
}

static void release_lock(void) {
  pthread_mutex_unlock(&lock);
}

/* A fork while a worker has the lock would leave it taken in the child. Registered before the
 * library's handlers are: these make calls that pass here, so this lock is the last that a fork
 * takes, and the first that the child releases (pthread_atfork(3)). */
__attribute__((constructor(101))) static void survive_forks(void) {
  (void)pthread_atfork(take_lock, release_lock, release_lock);
}

void faults_reset(void) {
  static const struct range never = {1, 0};
  pthread_mutex_lock(&lock);
  test_thread = pthread_self();
  for (size_t i = 0; i < CALLS; i++) {
    unsigned now = watches[i].now;
    memset(&watches[i], 0, sizeof(watches[i]));
    watches[i].now = now;
    watches[i].failing = never;
    watches[i].shortened = never;
  }
  pretended = 0;
  pretended_kernel = NULL;
  pretended_no_direct = 0;
  pretended_late_flag = 0;
  pretended_unknown_aio = 0;
  drains_next_sync = 0;
  pretended_descriptors = 0;
  pretended_missing_opcode = 0;
  durable_writes = 0;
  atomic_writes = 0;
  prioritised = 0;
  last_priority = 0;
  takes_in_vain = 0;
  end_blocking();
  memset(&stopped, 0, sizeof(stopped));
  memset(&stepping, 0, sizeof(stepping));
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void fault_fail(enum fault_call call, unsigned nth, unsigned times, int error) {
  pthread_mutex_lock(&lock);
  watches[call].failing = range_from(&watches[call], nth, times);
  watches[call].error = error;
  pthread_mutex_unlock(&lock);
}

void fault_shorten(enum fault_call call, unsigned nth, unsigned times, size_t most) {
  pthread_mutex_lock(&lock);
  watches[call].shortened = range_from(&watches[call], nth, times);
  watches[call].bytes = most;
  pthread_mutex_unlock(&lock);
}

void fault_hold(enum fault_call call, unsigned nth) {
  pthread_mutex_lock(&lock);
  watches[call].held = watches[call].calls + nth;
  pthread_mutex_unlock(&lock);
}

void fault_await(enum fault_call call) {
  pthread_mutex_lock(&lock);
  while (!watches[call].is_waiting) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
}

void fault_release(enum fault_call call) {
  pthread_mutex_lock(&lock);
  watches[call].held = 0;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void fault_block_reads(unsigned count) {
  pthread_mutex_lock(&lock);
  if (blocking[0] == -1 && pipe(blocking) != 0) {
    abort();
  }
  to_block = count;
  pthread_mutex_unlock(&lock);
}

void fault_end_reads(unsigned count, size_t length) {
  static const char zeros[65536]; /* as much as a pipe takes */
  if (count * length > sizeof(zeros) ||
      write(blocking[1], zeros, count * length) != (ssize_t)(count * length)) {
    abort();
  }
}

void fault_stop_clock(unsigned looks, unsigned count, size_t length) {
  stopped.looks = 0;
  stopped.ends_reads_at = looks;
  stopped.count = count;
  stopped.length = length;
  stopped.time = uv_hrtime();
}

void fault_step_clock(uint64_t step_ns) {
  stepping.looks = 0;
  stepping.time = uv_hrtime();
  stepping.step = step_ns;
}

unsigned fault_clock_looks(void) {
  return stepping.looks;
}

uint64_t fault_clock(uint64_t now) {
  if (stepping.step > 0) {
    stepping.looks++;
    stepping.time += stepping.step;
    return stepping.time;
  }
  if (stopped.ends_reads_at == 0) {
    return now;
  }
  stopped.looks++;
  if (stopped.looks == stopped.ends_reads_at) {
    fault_end_reads(stopped.count, stopped.length);
  }
  if (stopped.looks == stopped.ends_reads_at + CLOCK_LOOKS) {
    stopped.ends_reads_at = 0;
  }
  return stopped.time;
}

int fault_blocking_pipe(void) {
  pthread_mutex_lock(&lock);
  int pipe_end = to_block > 0 ? blocking[0] : -1;
  to_block -= to_block > 0;
  pthread_mutex_unlock(&lock);
  return pipe_end;
}

long fault_pretended(void) {
  pthread_mutex_lock(&lock);
  long type = pretended;
  pthread_mutex_unlock(&lock);
  return type;
}

void fault_pretend_filesystem(long type) {
  pthread_mutex_lock(&lock);
  pretended = type;
  pthread_mutex_unlock(&lock);
}

const char* fault_pretended_kernel(void) {
  pthread_mutex_lock(&lock);
  const char* release = pretended_kernel;
  pthread_mutex_unlock(&lock);
  return release;
}

void fault_pretend_kernel(const char* release) {
  pthread_mutex_lock(&lock);
  pretended_kernel = release;
  pthread_mutex_unlock(&lock);
}

int fault_pretended_no_direct(void) {
  pthread_mutex_lock(&lock);
  int on = pretended_no_direct;
  pthread_mutex_unlock(&lock);
  return on;
}

void fault_pretend_late_flag(int on) {
  pthread_mutex_lock(&lock);
  pretended_late_flag = on;
  pthread_mutex_unlock(&lock);
}

void fault_pretend_unknown_aio(int on) {
  pthread_mutex_lock(&lock);
  pretended_unknown_aio = on;
  pthread_mutex_unlock(&lock);
}

int fault_pretended_unknown_aio(void) {
  pthread_mutex_lock(&lock);
  int on = pretended_unknown_aio;
  pthread_mutex_unlock(&lock);
  return on;
}

void fault_drain_next_sync(void) {
  pthread_mutex_lock(&lock);
  drains_next_sync = 1;
  pthread_mutex_unlock(&lock);
}

int fault_takes_drain(void) {
  pthread_mutex_lock(&lock);
  int drains = drains_next_sync;
  drains_next_sync = 0;
  pthread_mutex_unlock(&lock);
  return drains;
}

int fault_pretended_late_flag(void) {
  pthread_mutex_lock(&lock);
  int on = pretended_late_flag;
  pthread_mutex_unlock(&lock);
  return on;
}

void fault_pretend_no_direct(int on) {
  pthread_mutex_lock(&lock);
  pretended_no_direct = on;
  pthread_mutex_unlock(&lock);
}

unsigned fault_pretended_descriptors(void) {
  pthread_mutex_lock(&lock);
  unsigned most = pretended_descriptors;
  pthread_mutex_unlock(&lock);
  return most;
}

void fault_pretend_descriptors(unsigned most) {
  pthread_mutex_lock(&lock);
  pretended_descriptors = most;
  pthread_mutex_unlock(&lock);
}

unsigned fault_pretended_missing_opcode(void) {
  pthread_mutex_lock(&lock);
  unsigned opcode = pretended_missing_opcode;
  pthread_mutex_unlock(&lock);
  return opcode;
}

void fault_pretend_missing_opcode(unsigned opcode) {
  pthread_mutex_lock(&lock);
  pretended_missing_opcode = opcode;
  pthread_mutex_unlock(&lock);
}

unsigned fault_calls(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned calls = watches[call].calls;
  pthread_mutex_unlock(&lock);
  return calls;
}

unsigned fault_entries(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned entries = watches[call].entries;
  pthread_mutex_unlock(&lock);
  return entries;
}

unsigned fault_calls_here(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned here = watches[call].here;
  pthread_mutex_unlock(&lock);
  return here;
}

void fault_count_durable_write(void) {
  pthread_mutex_lock(&lock);
  durable_writes++;
  pthread_mutex_unlock(&lock);
}

void fault_count_atomic_write(void) {
  pthread_mutex_lock(&lock);
  atomic_writes++;
  pthread_mutex_unlock(&lock);
}

void fault_count_prioritised(unsigned priority) {
  pthread_mutex_lock(&lock);
  prioritised++;
  last_priority = priority;
  pthread_mutex_unlock(&lock);
}

void fault_take_in_vain(unsigned times) {
  pthread_mutex_lock(&lock);
  takes_in_vain = times;
  pthread_mutex_unlock(&lock);
}

int fault_is_take_in_vain(void) {
  pthread_mutex_lock(&lock);
  int is_in_vain = takes_in_vain > 0;
  takes_in_vain -= (unsigned)is_in_vain;
  pthread_mutex_unlock(&lock);
  return is_in_vain;
}

void fault_note_priority(unsigned priority) {
  pthread_mutex_lock(&lock);
  last_priority = priority != 0 ? priority : last_priority;
  pthread_mutex_unlock(&lock);
}

unsigned fault_last_priority(void) {
  pthread_mutex_lock(&lock);
  unsigned priority = last_priority;
  pthread_mutex_unlock(&lock);
  return priority;
}

unsigned fault_prioritised(void) {
  pthread_mutex_lock(&lock);
  unsigned count = prioritised;
  pthread_mutex_unlock(&lock);
  return count;
}

unsigned fault_atomic_writes(void) {
  pthread_mutex_lock(&lock);
  unsigned count = atomic_writes;
  pthread_mutex_unlock(&lock);
  return count;
}

unsigned fault_durable_writes(void) {
  pthread_mutex_lock(&lock);
  unsigned count = durable_writes;
  pthread_mutex_unlock(&lock);
  return count;
}

unsigned fault_hits(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned hits = watches[call].hits;
  pthread_mutex_unlock(&lock);
  return hits;
}

unsigned fault_most_at_once(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned most = watches[call].most;
  pthread_mutex_unlock(&lock);
  return most;
}

/*
 * Around each call.
 */

static void wait_while_held(struct watch* watch, unsigned number) {
  while (watch->held == number) {
    watch->is_waiting = 1;
    pthread_cond_broadcast(&changed);
    pthread_cond_wait(&changed, &lock);
  }
  watch->is_waiting = 0;
}

static struct plan plan_for(struct watch* watch, unsigned number) {
  struct plan plan = {0, WHOLE};
  if (is_in(&watch->failing, number)) {
    plan.error = watch->error;
  }
  if (is_in(&watch->shortened, number)) {
    plan.bytes = watch->bytes;
  }
  watch->hits += plan.error != 0 || plan.bytes != WHOLE;
  return plan;
}

struct plan fault_plan(enum fault_call call, int is_here) {
  pthread_mutex_lock(&lock);
  watches[call].here += (unsigned)is_here;
  struct plan plan = plan_for(&watches[call], ++watches[call].calls);
  watches[call].entries++;
  pthread_mutex_unlock(&lock);
  return plan;
}

struct plan fault_enter(enum fault_call call) {
  struct watch* watch = &watches[call];
  pthread_mutex_lock(&lock);
  unsigned number = ++watch->calls;
  struct plan plan = plan_for(watch, number);
  watch->here += pthread_equal(pthread_self(), test_thread) != 0;
  if (++watch->now > watch->most) {
    watch->most = watch->now;
  }
  if (watch->held == number) {
    wait_while_held(watch, number);
  }
  pthread_mutex_unlock(&lock);
  return plan;
}

void fault_leave(enum fault_call call) {
  pthread_mutex_lock(&lock);
  watches[call].now--;
  pthread_mutex_unlock(&lock);
}

long fault_fail_with(int error) {
  errno = error;
  return -1;
}
