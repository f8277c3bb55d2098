/* SPDX-License-Identifier: MIT */
/*
 * `uvdio copy`: after a power cut, a kill or a signal the target is what it was before, or the
 * source as a whole; the source, if it was reported as copied. A cut and a kill may leave the
 * temporary file, which the next copy removes; an interrupted copy leaves nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "round.h"

#define SIZE_MAX_MIB 6u
#define MIB (1024u * 1024u)
#define FILE_NUMBER 0

extern char** environ;

struct copy {
  const struct plan* plan;
  struct random random;
  size_t size;
  char* content; /* of the source */
  int overwrites;
  int signal; /* END_KILL: which */
  char source[128];
  char target[128];
};

static int put_file(const char* path, const char* data, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  int failed = fd < 0;
  for (size_t done = 0; !failed && done < size;) {
    ssize_t wrote = write(fd, data + done, size - done);
    failed = wrote <= 0;
    done += failed ? 0 : (size_t)wrote;
  }
  failed = failed || fsync(fd) != 0;
  if (fd >= 0) {
    close(fd);
  }
  return failed;
}

static int sync_directory(const struct copy* copy) {
  int fd = open(copy->plan->stage->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int failed = fd < 0 || fsync(fd) != 0;
  close(fd);
  return failed;
}

/* The source, and for half of the rounds a target that is there already: other bytes, half as
 * many. */
static int make_files(struct copy* copy, char why[WHY_MAX]) {
  size_t padded = (copy->size + SECTOR - 1) / SECTOR * SECTOR;
  copy->content = malloc(padded);
  if (copy->content == NULL) {
    return round_failed(why, "memory", ENOMEM);
  }
  content_fill(copy->content, padded, copy->plan->seed, FILE_NUMBER, 0, 2);
  int failed =
      copy->overwrites && put_file(copy->target, copy->content + copy->size / 2, copy->size / 2);
  failed = failed || put_file(copy->source, copy->content, copy->size) || sync_directory(copy);
  return failed ? round_failed(why, "making the files", errno) : 0;
}

static void become_command(struct copy* copy, int go) {
  char command[] = "uvdio", verb[] = "copy", option[] = "--backend", block[] = "--block=64K";
  char* argv[] = {command, verb,         option,       (char*)copy->plan->backend_name,
                  block,   copy->source, copy->target, NULL};
  char byte;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  if (read(go, &byte, 1) == 1) {
    signal(SIGINT, SIG_DFL);
    fexecve(copy->plan->uvdio, argv, environ);
  }
  _exit(99);
}

/* A filesystem writes its journal every few seconds, which is longer than these copies take: here
 * it does so all the time, so that a cut finds what a copy has done by then. */
static int wait_and_sync(const struct copy* copy, pid_t process) {
  int status = -1;
  int directory = open(copy->plan->stage->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (waitpid(process, &status, WNOHANG) == 0) {
    (void)syncfs(directory);
  }
  close(directory);
  return status;
}

/* Runs the command, with the end to come or without. Returns its status. */
static int run_command(struct copy* copy, int with_end) {
  int go[2], status = -1;
  if (pipe(go) != 0) {
    return -1;
  }
  fflush(NULL);
  pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(go[1]);
    become_command(copy, go[0]);
  }
  close(go[0]);
  if (with_end) {
    round_arm(copy->plan, &copy->random, copy->signal, process);
  }
  if (write(go[1], "", 1) == 1 && with_end && copy->plan->end == END_CUT) {
    status = wait_and_sync(copy, process);
  } else {
    waitpid(process, &status, 0);
  }
  close(go[1]);
  /* The process number may come round again. */
  copy->plan->stage->disk->act_at =
      copy->plan->end == END_KILL ? 0 : copy->plan->stage->disk->act_at;
  return status;
}

static int succeeded(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Whether the target has these bytes and no others. */
static int target_has(const struct copy* copy, const char* bytes, size_t size) {
  struct stat status;
  char* data = malloc(size + 1);
  int fd = open(copy->target, O_RDONLY | O_CLOEXEC);
  int whole = data != NULL && fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size == size;
  for (size_t done = 0; whole && done < size;) {
    ssize_t got = read(fd, data + done, size - done);
    whole = got > 0;
    done += whole ? (size_t)got : 0;
  }
  whole = whole && memcmp(data, bytes, size) == 0;
  if (fd >= 0) {
    close(fd);
  }
  free(data);
  return whole;
}

static int is_as_before(const struct copy* copy) {
  struct stat status;
  return copy->overwrites ? target_has(copy, copy->content + copy->size / 2, copy->size / 2)
                          : lstat(copy->target, &status) != 0 && errno == ENOENT;
}

static int check_target(const struct copy* copy, const char* when, char why[WHY_MAX]) {
  snprintf(why, WHY_MAX, "the target is not the source %s", when);
  return target_has(copy, copy->content, copy->size) ? 0 : -1;
}

/* The old or the new one; the new one, if it was promised. */
static int check_old_or_new(const struct copy* copy, int status, char why[WHY_MAX]) {
  if (succeeded(status)) {
    return check_target(copy, "after it was reported as copied", why);
  }
  snprintf(why, WHY_MAX, "the target is neither what it was nor the source (%s)",
           copy->overwrites ? "there was one" : "there was none");
  return is_as_before(copy) || target_has(copy, copy->content, copy->size) ? 0 : -1;
}

/* Nothing but the two files, and the temporary one where it may be; mkfs makes lost+found. */
static int check_names(const struct copy* copy, int with_temporary, char why[WHY_MAX]) {
  static const char* const known[] = {".",      "..",     "lost+found",
                                      "source", "target", ".target.uvdio-copy"};
  size_t known_count = sizeof(known) / sizeof(known[0]) - (with_temporary ? 0 : 1);
  DIR* list = opendir(copy->plan->stage->dir);
  int failed = list == NULL;
  for (struct dirent* entry = failed ? NULL : readdir(list); entry != NULL && !failed;
       entry = readdir(list)) {
    failed = 1;
    for (size_t i = 0; i < known_count; i++) {
      failed = failed && strcmp(entry->d_name, known[i]) != 0;
    }
    snprintf(why, WHY_MAX, "%.200s was left behind", entry->d_name);
  }
  if (list != NULL) {
    closedir(list);
  }
  return failed ? -1 : 0;
}

static int copy_again(struct copy* copy, char why[WHY_MAX]) {
  int status = run_command(copy, 0);
  snprintf(why, WHY_MAX, "copying again ended with status 0x%x", (unsigned)status);
  return succeeded(status) && check_target(copy, "after it was copied again", why) == 0
             ? check_names(copy, 0, why)
             : -1;
}

static int check_after_cut(struct copy* copy, int status, char why[WHY_MAX]) {
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
    snprintf(why, WHY_MAX, "uvdio copy ended with status 0x%x", (unsigned)status);
    return -1;
  }
  if (round_recover(copy->plan, &copy->random, why) != 0 || check_names(copy, 1, why) != 0) {
    return -1;
  }
  copy->plan->model->acknowledged[DURABLE]++;
  return check_old_or_new(copy, status, why) == 0 ? copy_again(copy, why) : -1;
}

static int check_after_signal(struct copy* copy, int status, char why[WHY_MAX]) {
  if (check_names(copy, copy->signal == SIGKILL, why) != 0 ||
      check_old_or_new(copy, status, why) != 0) {
    return -1;
  }
  copy->plan->model->acknowledged[VISIBLE]++;
  int by_signal = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;
  if (!succeeded(status) && by_signal != copy->signal) {
    snprintf(why, WHY_MAX, "uvdio copy ended with status 0x%x", (unsigned)status);
    return -1;
  }
  return succeeded(status) ? 0 : copy_again(copy, why);
}

static int copy_and_check(struct copy* copy, char why[WHY_MAX]) {
  if (make_files(copy, why) != 0) {
    return -1;
  }
  int status = run_command(copy, 1);
  return copy->plan->end == END_CUT ? check_after_cut(copy, status, why)
                                    : check_after_signal(copy, status, why);
}

int round_of_copy(const struct plan* plan, char why[WHY_MAX]) {
  struct copy copy = {.plan = plan, .random = {plan->seed}};
  copy.size = 1 + random_below(&copy.random, SIZE_MAX_MIB * MIB);
  copy.overwrites = (int)random_below(&copy.random, 2);
  copy.signal = random_below(&copy.random, 2) ? SIGKILL : SIGTERM;
  snprintf(copy.source, sizeof(copy.source), "%.100s/source", plan->stage->dir);
  snprintf(copy.target, sizeof(copy.target), "%.100s/target", plan->stage->dir);
  model_init(plan->model, plan->seed);
  int failed = round_begin(plan, why);
  failed = failed ? failed : copy_and_check(&copy, why);
  free(copy.content);
  int error = stage_unmount(plan->stage);
  return failed || error == 0 ? failed : round_failed(why, "unmounting", error);
}
