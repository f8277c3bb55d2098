/* SPDX-License-Identifier: MIT */
/*
 * Every call that the library makes fails: the first, the second, ... until a life of the engine
 * (lib/scenario.h; lib/scenario_modules.h for groups and appenders, lib/scenario_streams.h for
 * streams and logs) goes by without the fault; once, and from then on; with the errors that the
 * call's man page names. Entries of a ring count as the calls that they stand for.
 *
 *   fault_sweep --backend ring            a few errors of each call
 *   fault_sweep --backend ring --all      all of them
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "child.h"
#include "faults.h"
#include "scenario.h"
#include "scenario_modules.h"
#include "scenario_streams.h"

#define NEVER_ENDS 1000u
#define ENOUGH_ASKED 200

/* Errors of each call that are tried without --all. */
#define FEW (under_valgrind() || UNDER_TSAN ? 1u : 2u)

/* No kernel is out of memory for requests for ever, or always interrupted when it takes them; where
 * one keeps completions to itself for ever, waiting is all that is left. Each such refusal is
 * waited for. */
#define SOME 5u

static int all;
static int few;
static unsigned injections;
static unsigned survived;

enum life { OPERATIONS, MODULES, STREAMS, LIVES };

struct injection {
  enum fault_call call;
  int error; /* 0: it moves `bytes` at most */
  size_t bytes;
  unsigned nth;
  unsigned times;
  int registered;
  enum life life;
  char what[128];
};

static unsigned for_good(enum fault_call call, int error) {
  int is_soft = error == EAGAIN || error == EBUSY || error == EINTR;
  return call == CALL_GET_EVENTS || (call == CALL_SUBMIT && is_soft) ? SOME : FOR_GOOD;
}

static void describe(struct injection* in) {
  static const char* const names[LIVES] = {"", ", groups and appenders", ", streams and logs"};
  char how[32];
  if (in->error != 0) {
    snprintf(how, sizeof(how), "%s", uvdio_err_name(uv_translate_sys_error(in->error)));
  } else {
    snprintf(how, sizeof(how), "%zu at most", in->bytes);
  }
  snprintf(in->what, sizeof(in->what), "%s no. %u, %s, %s%s%s", fault_call_name(in->call), in->nth,
           how, in->times == ONCE ? "once" : "from then on", in->registered ? ", registered" : "",
           names[in->life]);
}

static void set_fault(const struct injection* in) {
  faults_reset();
  if (in->error != 0) {
    fault_fail(in->call, in->nth, in->times, in->error);
  } else {
    fault_shorten(in->call, in->nth, in->times, in->bytes);
  }
}

static int is_memory(enum fault_call call) {
  return call == CALL_MEMALIGN || call == CALL_MMAP || call == CALL_MUTEX_INIT;
}

static void allow(struct scenario* s, const struct injection* in) {
  s->registered = in->registered;
  s->keeps_memory = in->call == CALL_MPROTECT;
  s->what = in->what;
  if (in->error == 0) {
    s->ends_early = in->bytes == 0;
    s->allowed[0] = in->bytes == 0 ? UVDIO_ESHORTWRITE : 0;
    /* not the end there */
    s->allowed[1] =
        in->bytes == 0 && strcmp(matrix.filesystem.kind, "fuse") == 0 ? UVDIO_ESHORTREAD : 0;
    return;
  }
  s->allowed[0] = uv_translate_sys_error(in->error);
  s->allowed[1] = is_memory(in->call) ? UV_ENOMEM : 0;
  s->allowed[2] = in->call == CALL_QUEUE_WORK ? UVDIO_EPOOL : 0;
  s->allowed[3] = in->call == CALL_FCNTL && in->error == EINVAL ? UVDIO_ENODIRECT : 0;
}

/* What can have made something durable. */
static unsigned syncs(void) {
  return fault_calls(CALL_FDATASYNC) - fault_hits(CALL_FDATASYNC) + fault_durable_writes();
}

static void live(struct scenario* s, enum life life) {
  switch (life) {
    case MODULES:
      scenario_live_in_modules(s, syncs);
      break;
    case STREAMS:
      scenario_live_in_streams(s, syncs);
      break;
    case OPERATIONS:
    case LIVES:
      scenario_live(s);
  }
}

/* One life with one fault, and everything that the fixture checks. Returns whether the fault was
 * met. */
static int live_with(struct injection* in) {
  void* state = NULL;
  struct scenario s = {0};
  describe(in);
  allow(&s, in);
  faults_reset();
  assert_int_equal(fixture_loop(&state), 0);
  s.f = state;
  scenario_begin(&s);
  set_fault(in);
  live(&s, in->life);
  unsigned hits = fault_hits(in->call);
  faults_reset();
  if (in->life == STREAMS) {
    scenario_replay(&s);
  }
  scenario_end(&s);
  if (fixture_tear_down(&state) != 0) {
    fail_msg("%s", in->what);
  }
  if (in->life == OPERATIONS && hits == 0 && s.troubles == 0) {
    scenario_assert_complete(&s);
  }
  injections += hits > 0;
  survived += hits > 0 && s.troubles == 0;
  return hits > 0;
}

/* What fails from its second call on fares much as what fails from its third on: without --all,
 * fewer of those. Groups and appenders, streams and logs make the same few calls over and over:
 * fewer and fewer, and so with --few in every life. */
static unsigned step_from(const struct injection* in) {
  if (all) {
    return 1;
  }
  if (few || in->life == STREAMS || in->times != ONCE) {
    return in->nth;
  }
  return in->life == MODULES ? 1 + in->nth / 8 : 1;
}

/* A polled ring is asked as often as the loop turns. */
static int is_asked_without_end(const struct injection* in) {
  return matrix.is_polled && in->call == CALL_GET_EVENTS && in->nth > ENOUGH_ASKED;
}

static void raise_until_unmet(struct injection in) {
  for (in.nth = 1; live_with(&in) && !is_asked_without_end(&in); in.nth += step_from(&in)) {
    assert_true(in.nth < NEVER_ENDS);
  }
}

static void fail_call(enum fault_call call, int registered, enum life life) {
  const int* errors = fault_errors(call);
  for (unsigned i = 0; errors[i] != 0 && (all || i < (registered || life != OPERATIONS ? 1 : FEW));
       i++) {
    struct injection in = {
        .call = call, .error = errors[i], .registered = registered, .life = life};
    in.times = ONCE;
    raise_until_unmet(in);
    if (all || i == 0) {
      in.times = for_good(call, in.error);
      raise_until_unmet(in);
    }
  }
}

static int is_pool(void) {
  return matrix.backend == UVDIO_BACKEND_POOL;
}

/* Whether registered memory makes any difference to the call. */
static int is_about_registration(enum fault_call call) {
  return call == CALL_REGISTER || call == CALL_SETUP || call == CALL_MEMALIGN ||
         call == CALL_MUTEX_INIT || call == CALL_CLOSE || call == CALL_PREAD ||
         call == CALL_PWRITE || call == CALL_SUBMIT;
}

/* Guard pages that stay cost an arena's memory, which those who look for leaks find, or fault
 * on. */
static int is_beyond_the_tools(enum fault_call call) {
  return call == CALL_MPROTECT && (UNDER_ASAN || under_valgrind());
}

static void fail_calls(int registered, enum life life) {
  if (!is_pool() && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
  for (unsigned call = 0; call < CALLS; call++) {
    int matters = all || !registered || is_about_registration((enum fault_call)call);
    if (matters && !is_beyond_the_tools((enum fault_call)call)) {
      fail_call((enum fault_call)call, registered, life);
    }
  }
}

static void every_call_fails(void** state) {
  (void)state;
  fail_calls(0, OPERATIONS);
}

static void every_call_of_groups_and_appenders_fails(void** state) {
  (void)state;
  fail_calls(0, MODULES);
}

static void every_call_of_streams_and_logs_fails(void** state) {
  (void)state;
  fail_calls(0, STREAMS);
}

static void every_call_fails_with_registered_memory(void** state) {
  (void)state;
  if (is_pool()) {
    SKIP("the pool registers no memory");
  }
  fail_calls(1, OPERATIONS);
}

static void shorten(enum fault_call call, size_t bytes, enum life life) {
  struct injection in = {.call = call, .bytes = bytes, .life = life};
  in.times = ONCE;
  raise_until_unmet(in);
  in.times = call == CALL_SUBMIT && bytes == 0 ? SOME : FOR_GOOD;
  raise_until_unmet(in);
}

/* A page or none; on the pool within a block as well. */
static void every_transfer_falls_short(void** state) {
  const enum fault_call calls[] = {CALL_PREAD, CALL_PWRITE};
  (void)state;
  if (!is_pool() && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
  for (size_t i = 0; i < COUNT_OF(calls); i++) {
    for (enum life life = OPERATIONS; life < LIVES; life++) {
      shorten(calls[i], 0, life);
      shorten(calls[i], UVDIO_PAGE_SIZE, life);
    }
  }
}

static void kernel_takes_fewer_entries_than_it_is_given(void** state) {
  (void)state;
  if (is_pool()) {
    SKIP("a pool has no entries");
  }
  for (size_t most = 0; most < 4; most++) {
    shorten(CALL_SUBMIT, most, OPERATIONS);
  }
  shorten(CALL_SUBMIT, 1, MODULES);
  shorten(CALL_SUBMIT, 1, STREAMS);
}

/*
 * The first ring of a process is preceded by a probe whose findings are kept. In a forked child,
 * each time anew.
 */

struct first_use {
  struct injection in;
  unsigned* shared; /* with the child: hits, survived */
};

static int use_for_the_first_time(void* data) {
  struct first_use* first = data;
  struct scenario s = {0};
  void* state = NULL;
  allow(&s, &first->in);
  EXPECT(fixture_loop(&state) == 0);
  s.f = state;
  scenario_begin(&s);
  set_fault(&first->in);
  scenario_live(&s);
  first->shared[0] = fault_hits(first->in.call);
  faults_reset();
  scenario_end(&s);
  first->shared[1] = s.troubles == 0;
  EXPECT(fixture_tear_down(&state) == 0);
  return 0;
}

static int met_at_first_use(struct first_use* first) {
  describe(&first->in);
  first->shared[0] = 0;
  if (in_a_child(use_for_the_first_time, first) != 0) {
    fail_msg("at first use: %s", first->in.what);
  }
  injections += first->shared[0] > 0;
  survived += first->shared[0] > 0 && first->shared[1];
  return first->shared[0] > 0;
}

/* As many as come in the probes and the set-up; what comes later is the other tests' matter. */
static void fail_at_first_use(enum fault_call call, unsigned last) {
  struct first_use first = {.in = {.call = call, .times = ONCE}};
  const int* errors = fault_errors(call);
  first.shared =
      mmap(NULL, UVDIO_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(first.shared, MAP_FAILED);
  for (unsigned i = 0; errors[i] != 0 && (all || i < FEW); i++) {
    first.in.error = errors[i];
    first.in.nth = 1;
    while (first.in.nth <= last && met_at_first_use(&first)) {
      first.in.nth++;
    }
  }
  munmap(first.shared, UVDIO_PAGE_SIZE);
}

static void first_ring_of_the_process_fails_anywhere(void** state) {
  (void)state;
  if (is_pool()) {
    SKIP("a pool needs no probe");
  }
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
  fail_at_first_use(CALL_SETUP, 4);
  fail_at_first_use(CALL_REGISTER, 12);
  fail_at_first_use(CALL_SUBMIT, 2);
  fail_at_first_use(CALL_EVENTFD, 3);
  fail_at_first_use(CALL_READ, 2);
}

static void take_options(int* argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < *argc; i++) {
    if (strcmp(argv[i], "--all") == 0) {
      all = 1;
    } else if (strcmp(argv[i], "--few") == 0) {
      few = 1;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argv[kept] = NULL;
  *argc = kept;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_ring_of_the_process_fails_anywhere), /* before this one has a ring */
      cmocka_unit_test(every_call_fails),
      cmocka_unit_test(every_call_fails_with_registered_memory),
      cmocka_unit_test(every_call_of_groups_and_appenders_fails),
      cmocka_unit_test(every_call_of_streams_and_logs_fails),
      cmocka_unit_test(every_transfer_falls_short),
      cmocka_unit_test(kernel_takes_fewer_entries_than_it_is_given),
  };
  take_options(&argc, argv);
  unsetenv("UVDIO_BACKEND");
  faults_reset();
  int failed = matrix_main("sweep", tests, COUNT_OF(tests), argc, argv);
  if (failed != SKIPPED_PROGRAM) {
    printf("%u injections, %u of them survived\n", injections, survived);
    print_figure(injections, "injections");
  }
  return failed;
}
