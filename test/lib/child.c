#include "child.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define CHILD_TIME 60 /* seconds */

/* What the child got by the fork and can't give back (works of libuv's threads) is a leak for valgrind, which does not
 * look at a process that becomes another program. */
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
