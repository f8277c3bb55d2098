/* SPDX-License-Identifier: MIT */
#include "steps.h"

#include "check.h"

#if defined(__linux__) && defined(__x86_64__)

#include <signal.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static struct {
  volatile unsigned now;
  volatile unsigned nth;
  volatile int came;
  void (*intrude)(void* data);
  void* data;
  struct sigaction before;
} steps;

/* By the first signal, which is sent, and by each that the processor makes of a step after that. */
static void on_step(int number, siginfo_t* info, void* context) {
  greg_t* flags = &((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL];
  (void)number;
  (void)info;
  if (++steps.now == steps.nth) {
    steps.came = 1;
    steps.intrude(steps.data);
  }
  *flags = steps.now < steps.nth ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
}

int steps_possible(void) {
  return !UNDER_TSAN && !under_valgrind();
}

void steps_begin(unsigned nth, void (*intrude)(void* data), void* data) {
  struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
  steps.now = 0;
  steps.nth = nth;
  steps.came = 0;
  steps.intrude = intrude;
  steps.data = data;
  (void)sigaction(SIGTRAP, &action, &steps.before);
  (void)raise(SIGTRAP);
}

int steps_end(void) {
  steps.nth = 0; /* The next step is the last. */
  (void)sigaction(SIGTRAP, &steps.before, NULL);
  return steps.came;
}

#else

int steps_possible(void) {
  return 0;
}

void steps_begin(unsigned nth, void (*intrude)(void* data), void* data) {
  (void)nth;
  (void)intrude;
  (void)data;
}

int steps_end(void) {
  return 0;
}

#endif
