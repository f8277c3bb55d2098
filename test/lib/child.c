/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define CHILD_TIME 60 /* seconds */
#define NOBODY 65534

/* What the child got by the fork and can't give back (works of libuv's threads) is a leak for
 * valgrind, which does not look at a process that becomes another program. */
static void end_child(const char* file, int line) {
  if (line != 0) {
    fprintf(stderr, "in the child: %s:%d\n", file, line);
    fflush(stderr);
  } else if (under_valgrind()) {
    execlp("true", "true", (char*)NULL);
  }
  exit_child(line != 0);
}

int run_in_child(const char* file, child_part part, void* data) {
  int status = -1;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(CHILD_TIME);
    end_child(file, part(data));
  }
  if (child < 0 || waitpid(child, &status, 0) != child) {
    return -1;
  }
  return status;
}

void need_fork(void) {}

int become_nobody(void) {
  return setgid(NOBODY) == 0 && setuid(NOBODY) == 0 ? 0 : -1;
}

static int reach(void* folder) {
  EXPECT(become_nobody() == 0 && access(folder, W_OK | X_OK) == 0);
  return 0;
}

void need_a_way_for_nobody(const char* folder) {
  char path[4096];
  if (geteuid() != 0) {
    SKIP("becoming another user needs root");
  }
  snprintf(path, sizeof(path), "%s", folder);
  assert_int_equal(chmod(path, 0777), 0);
  if (in_a_child(reach, path) != 0) {
    SKIP("an ordinary user has no way to the build folder");
  }
}
