/* SPDX-License-Identifier: MIT */
/*
 * Which skips are expected where: a skip that is not is a failure. So each reason is in the table
 * of skips.c, with what has to be lacking here for it; and whether it is, the kernel is asked
 * (capability.c), and not the library, which may just have lost it.
 */
#ifndef UVDIO_TEST_SKIPS_H
#define UVDIO_TEST_SKIPS_H

/* Where the program is: names of backend and filesystem, and the folder that it works in. Without,
 * it is a program without a matrix. */
void skips_are_of(const char* backend, const char* filesystem, const char* folder);

/* Whether the program runs under valgrind, where resident memory and time mean little. */
int under_valgrind(void);

/* Null, or what is wrong with the skip. */
const char* skip_is_wrong(const char* reason);

#endif /* UVDIO_TEST_SKIPS_H */
