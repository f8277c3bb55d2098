/* SPDX-License-Identifier: MIT */
/*
 * A part of a test that runs in a forked child. It returns 0 or the number of the line that was not
 * as expected; nothing of cmocka runs there, so it asks by EXPECT.
 */
#ifndef UVDIO_TEST_CHILD_H
#define UVDIO_TEST_CHILD_H

#define EXPECT(condition) \
  do {                    \
    if (!(condition)) {   \
      return __LINE__;    \
    }                     \
  } while (0)

typedef int (*child_part)(void* data);

/* Forks, and waits until the child has done its part. Returns its wait status: 0 when all was as
 * expected. A child that hangs is killed. `file` is that of the test, for the message. */
int run_in_child(const char* file, child_part part, void* data);
#define in_a_child(part, data) run_in_child(__FILE__, (part), (data))

/* Skips a test with a part in a child where there are none, before it has something pending. */
void need_fork(void);

/* Makes the child an ordinary user; 0 where that worked. */
int become_nobody(void);

/* Opens a folder to everybody. Skips the test where there is still no way into it for an ordinary
 * user, or where nobody can become one. */
void need_a_way_for_nobody(const char* folder);

#endif /* UVDIO_TEST_CHILD_H */
