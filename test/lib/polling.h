/* SPDX-License-Identifier: MIT */
/*
 * Devices that can be polled, or are said to be: where the device under a folder has no queues for
 * polled requests, a file with "1" is mounted over what sysfs says of it. The kernel then refuses
 * to poll reads, and executes writes in a polled ring by interrupts: both are ways that files
 * really take (src/ring/polled.c).
 */
#ifndef UVDIO_TEST_POLLING_H
#define UVDIO_TEST_POLLING_H

/* Null where files in `folder` will be polled from now on, else why not. For the program's own
 * mount namespace (filesystem.h), and for good. */
const char* polling_begin(const char* folder);

/* Whether the kernel can do it, after that. */
int polling_is_real(void);

#endif /* UVDIO_TEST_POLLING_H */
