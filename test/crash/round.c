/* SPDX-License-Identifier: MIT */
#include "round.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUESTS_LOG2_MIN 3 /* the end comes within 8 to 512 requests to the disk: */
#define REQUESTS_LOG2_MAX 9 /* early ends are as frequent as late ones */
#define RECOVERY_REQUESTS 16
#define SECOND_CUT_IN 3 /* one round in so many */
#define WRITER_TIME 120 /* seconds: then it hangs */

int round_failed(char why[WHY_MAX], const char* what, int error) {
  snprintf(why, WHY_MAX, "%.120s: %.120s", what, strerror(error < 0 ? -error : error));
  return -1;
}

int round_begin(const struct plan* plan, char why[WHY_MAX]) {
  stage_reset(plan->stage);
  int error = stage_mount(plan->stage);
  return error != 0 ? round_failed(why, "mounting a fresh filesystem", error) : 0;
}

void round_arm(const struct plan* plan, struct random* random, int signal_number, pid_t target) {
  unsigned range =
      1u << (REQUESTS_LOG2_MIN + random_below(random, REQUESTS_LOG2_MAX - REQUESTS_LOG2_MIN + 1));
  struct disk_control* disk = plan->stage->disk;
  disk->signal = signal_number;
  disk->target = target;
  disk_arm(disk, plan->end == END_CUT ? DISK_CUT : DISK_SIGNAL, 1 + random_below(random, range),
           random_next(random));
}

/* Mounting replays the journal; that may be cut off, too, and fail for it. */
static int cut_recovery(const struct plan* plan, struct random* random, char why[WHY_MAX]) {
  uint64_t seed = random_next(random);
  disk_arm(plan->stage->disk, DISK_CUT, 1 + random_below(random, RECOVERY_REQUESTS), seed);
  int mounted = stage_mount(plan->stage);
  if (mounted != 0 && !plan->stage->disk->off) {
    return round_failed(why, "mounting after the power cut", mounted);
  }
  int error = stage_pull_plug(plan->stage);
  return error != 0 ? round_failed(why, "unmounting after a second power cut", error) : 0;
}

int round_recover(const struct plan* plan, struct random* random, char why[WHY_MAX]) {
  int error = stage_pull_plug(plan->stage);
  if (error != 0) {
    return round_failed(why, "unmounting after the power cut", error);
  }
  if (random_below(random, SECOND_CUT_IN) == 0 && cut_recovery(plan, random, why) != 0) {
    return -1;
  }
  error = stage_mount(plan->stage);
  return error != 0 ? round_failed(why, "mounting after the power cut", error) : 0;
}

/*
 * The writer's process. It says when it is ready, and waits for the word to go.
 */

struct signals {
  int ready[2];
  int go[2];
};

static void say_ready(void* context) {
  struct signals* signals = context;
  char byte = 0;
  if (write(signals->ready[1], &byte, 1) != 1 || read(signals->go[0], &byte, 1) != 1) {
    _exit(2);
  }
}

static void become_writer(const struct plan* plan, const struct work* work, struct random random,
                          struct signals* signals) {
  struct writer writer = {.model = plan->model,
                          .dir = plan->stage->dir,
                          .backend = plan->backend,
                          .defect = plan->defect,
                          .random = random,
                          .work = work};
  signal(SIGINT, SIG_DFL);
  close(signals->ready[0]);
  close(signals->go[1]);
  alarm(WRITER_TIME);
  _exit(writer_run(&writer, say_ready, signals) == 0 ? 0 : 1);
}

static pid_t start_writer(const struct plan* plan, const struct work* work, struct random random,
                          struct signals* signals) {
  pid_t parent = getpid();
  fflush(NULL);
  pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
      become_writer(plan, work, random, signals);
    }
    _exit(2);
  }
  close(signals->ready[1]);
  close(signals->go[0]);
  return process;
}

static int check_end(const struct plan* plan, int status, char why[WHY_MAX]) {
  int expected = plan->end == END_KILL ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                       : WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!expected) {
    snprintf(why, WHY_MAX, "the writer ended with status 0x%x%s", (unsigned)status,
             WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    return -1;
  }
  if (!plan->stage->disk->acted) {
    snprintf(why, WHY_MAX, "an operation failed before the end came: %s",
             uvdio_strerror(plan->model->error));
    return -1;
  }
  return 0;
}

static int run_writer(const struct plan* plan, const struct work* work, struct random* random,
                      char why[WHY_MAX]) {
  struct signals signals;
  char byte = 0;
  int status = 0;
  if (pipe(signals.ready) != 0 || pipe(signals.go) != 0) {
    return round_failed(why, "pipe", errno);
  }
  struct random of_writer = {random_next(random)};
  pid_t process = start_writer(plan, work, of_writer, &signals);
  int prepared = read(signals.ready[0], &byte, 1) == 1;
  if (prepared) {
    round_arm(plan, random, SIGKILL, process);
    prepared = write(signals.go[1], &byte, 1) == 1;
  }
  waitpid(process, &status, 0);
  close(signals.ready[0]);
  close(signals.go[1]);
  return check_end(plan, status, why);
}

/*
 * What is left.
 */

static int check(const struct plan* plan, const struct work* work, enum promise promise,
                 char why[WHY_MAX]) {
  const char* dir = plan->stage->dir;
  int failed = model_check(plan->model, dir, promise, why);
  return failed || work->check == NULL ? failed : work->check(plan->model, dir, plan->backend, why);
}

static int check_after_cut(const struct plan* plan, const struct work* work, struct random* random,
                           char why[WHY_MAX]) {
  return round_recover(plan, random, why) == 0 ? check(plan, work, DURABLE, why) : -1;
}

/* At once, and again when everything has been unmounted in peace. */
static int check_after_kill(const struct plan* plan, const struct work* work, char why[WHY_MAX]) {
  if (check(plan, work, VISIBLE, why) != 0) {
    return -1;
  }
  int error = stage_unmount(plan->stage);
  error = error != 0 ? error : stage_mount(plan->stage);
  return error != 0 ? round_failed(why, "mounting again", error) : check(plan, work, VISIBLE, why);
}

static int live(const struct plan* plan, const struct work* work, struct random* random,
                char why[WHY_MAX]) {
  if (run_writer(plan, work, random, why) != 0) {
    return -1;
  }
  return plan->end == END_CUT ? check_after_cut(plan, work, random, why)
                              : check_after_kill(plan, work, why);
}

int round_of_work(const struct plan* plan, const struct work* work, char why[WHY_MAX]) {
  struct random random = {plan->seed};
  model_init(plan->model, plan->seed);
  work->layout(plan->model, &random);
  int failed = round_begin(plan, why);
  for (unsigned lives = work->lives > 0 ? work->lives : 1; lives > 0 && !failed; lives--) {
    failed = live(plan, work, &random, why);
  }
  int error = stage_unmount(plan->stage);
  return failed || error == 0 ? failed : round_failed(why, "unmounting", error);
}
