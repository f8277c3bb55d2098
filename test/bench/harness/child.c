/* SPDX-License-Identifier: MIT */
/*
 * Processes: started, read from and waited for, one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/session.h"
#include "harness/child.h"

extern char** environ;

static volatile sig_atomic_t noted_signal;
static volatile sig_atomic_t running; /* the child's process; 0 for none */

static void on_signal(int number) {
  if (noted_signal == 0) {
    noted_signal = number;
  }
  if (running > 0) {
    (void)kill((pid_t)running, SIGTERM);
  }
}

void child_watch_signals(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < CLI_COUNT_OF(numbers); i++) {
    if (!signal_is_ignored(numbers[i])) {
      (void)sigaction(numbers[i], &action, NULL);
    }
  }
}

int child_signal(void) {
  return noted_signal;
}

int child_exit_code(int code) {
  if (noted_signal == 0) {
    return code;
  }
  report_problem(NULL, "interrupted by signal %d (%s).", noted_signal, strsignal(noted_signal));
  return CLI_SIGNAL + noted_signal;
}

/* Reads to the end of the pipe. Returns text with a closing zero, or null. */
static char* read_all(int pipe_end) {
  size_t size = 0;
  size_t capacity = 65536;
  char* text = malloc(capacity);
  ssize_t got = 1;
  int interrupted = 0;
  while (text != NULL && got != 0) {
    if (size + 1 == capacity) {
      char* larger = realloc(text, capacity *= 2);
      if (larger == NULL) {
        free(text);
        return NULL;
      }
      text = larger;
    }
    got = read(pipe_end, text + size, capacity - size - 1);
    size += got > 0 ? (size_t)got : 0;
    interrupted = got < 0 && errno == EINTR ? interrupted + 1 : 0;
    if (got < 0 && (interrupted == 0 || interrupted == CLI_ATTEMPTS_MAX)) {
      break;
    }
  }
  if (text != NULL) {
    text[size] = '\0';
  }
  return text;
}

static int start(const char* const* argv, int output, int with_errors, pid_t* process) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  if (!with_errors) {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  fflush(NULL);
  int error =
      posix_spawnp(process, argv[0], &actions, NULL, (char* const*)(uintptr_t)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? 0 : uv_translate_sys_error(error);
}

static int wait_for(pid_t process) {
  int status = 0;
  pid_t ended = -1;
  errno = EINTR;
  for (int i = 0; ended < 0 && errno == EINTR && i < CLI_ATTEMPTS_MAX; i++) {
    ended = waitpid(process, &status, 0);
  }
  if (ended < 0) {
    return CLI_FAILED;
  }
  return WIFSIGNALED(status) ? CLI_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

int child_run(const char* const* argv, int with_errors, child_t* child) {
  int ends[2];
  pid_t process;
  if (pipe(ends) != 0) {
    return uv_translate_sys_error(errno);
  }
  (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  int error = noted_signal != 0 ? UV_EINTR : start(argv, ends[1], with_errors, &process);
  (void)close(ends[1]);
  if (error == 0) {
    running = (sig_atomic_t)process;
    if (noted_signal != 0) { /* came while it was being started */
      (void)kill(process, SIGTERM);
    }
    child->output = read_all(ends[0]);
    child->code = wait_for(process);
    running = 0;
    error = child->output != NULL ? 0 : UV_ENOMEM;
  }
  (void)close(ends[0]);
  return error;
}

int child_version(const char* program, const char* option, char* version, size_t size) {
  const char* const argv[] = {program, option, NULL};
  child_t child;
  if (child_run(argv, 0, &child) != 0) {
    return 0;
  }
  child.output[strcspn(child.output, "\n")] = '\0';
  snprintf(version, size, "%s", child.output);
  free(child.output);
  return child.code == 0;
}
