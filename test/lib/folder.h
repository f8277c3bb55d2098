/* SPDX-License-Identifier: MIT */
#ifndef UVDIO_TEST_FOLDER_H
#define UVDIO_TEST_FOLDER_H

/*
 * The end of a folder that a test has used, on every system.
 */

/* Removes a folder with everything in it; links are not followed. Returns 0 where nothing is left,
 * or -1 with errno. */
int remove_folder(const char* path);

#endif /* UVDIO_TEST_FOLDER_H */
