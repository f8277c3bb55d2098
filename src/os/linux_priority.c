/* SPDX-License-Identifier: MIT */
/*
 * Linux: I/O priorities, ioprio_set(2). A number is a class and a level within it; no C library
 * names them, and old kernel headers lack <linux/ioprio.h>.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

#define CLASS_SHIFT 13
#define CLASS_REALTIME 1u
#define CLASS_BEST_EFFORT 2u
#define CLASS_IDLE 3u
#define OF_A_THREAD 1 /* IOPRIO_WHO_PROCESS: a thread, in spite of its name; 0: the calling one */

unsigned uvdio__os_io_priority(uvdio_priority_t priority) {
  switch (priority) {
    case UVDIO_PRIORITY_NONE:
      break;
    case UVDIO_PRIORITY_IDLE:
      return CLASS_IDLE << CLASS_SHIFT;
    case UVDIO_PRIORITY_LOW:
      return CLASS_BEST_EFFORT << CLASS_SHIFT | 7u;
    case UVDIO_PRIORITY_NORMAL:
      return CLASS_BEST_EFFORT << CLASS_SHIFT | 4u;
    case UVDIO_PRIORITY_HIGH:
      return CLASS_BEST_EFFORT << CLASS_SHIFT;
    case UVDIO_PRIORITY_REALTIME:
      return CLASS_REALTIME << CLASS_SHIFT | 4u;
  }
  return 0;
}

/* Old kernels (by 5.10's source) tell a level of a thread that has no priority, and refuse to set
 * that. */
static unsigned own_priority(void) {
  long number = syscall(SYS_ioprio_get, OF_A_THREAD, 0);
  return number >> CLASS_SHIFT > 0 ? (unsigned)number : 0;
}

/* The kernel looks at the right to a priority only where it is used. */
int uvdio__os_try_io_priority(uvdio_priority_t priority) {
  unsigned before;

  if (priority == UVDIO_PRIORITY_NONE) {
    return 0;
  }
  before = own_priority();
  if (syscall(SYS_ioprio_set, OF_A_THREAD, 0, uvdio__os_io_priority(priority)) != 0) {
    return uv_translate_sys_error(errno);
  }
  uvdio__os_set_io_priority(before);
  return 0;
}

/* ioprio_check_cap() in block/ioprio.c. */
int uvdio__os_is_privileged_io_priority(unsigned number) {
  return number >> CLASS_SHIFT == CLASS_REALTIME;
}

unsigned uvdio__os_swap_io_priority(unsigned number) {
  unsigned before = own_priority();

  uvdio__os_set_io_priority(number);
  return before;
}

void uvdio__os_set_io_priority(unsigned number) {
  (void)syscall(SYS_ioprio_set, OF_A_THREAD, 0, number);
}
