/* SPDX-License-Identifier: MIT */
/*
 * See ../lib/child.h: Windows, which has no fork(2). Tests with a part in a child skip.
 */
#include "child.h"

#include "check.h"

#define NO_FORK "this system has no fork(2)"

void need_fork(void) {
  SKIP(NO_FORK);
}

int run_in_child(const char* file, child_part part, void* data) {
  (void)file;
  (void)part;
  (void)data;
  need_fork();
  return -1;
}

int become_nobody(void) {
  return -1;
}

void need_a_way_for_nobody(const char* folder) {
  (void)folder;
  SKIP(NO_FORK);
}
