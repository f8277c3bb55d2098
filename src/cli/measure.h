/* SPDX-License-Identifier: MIT */
/*
 * What keeps a device busy.
 */
#ifndef UVDIO_CLI_MEASURE_H
#define UVDIO_CLI_MEASURE_H

/* Measures the device on which `path` lies, in some seconds, and writes the device model to that
 * path. Returns the exit code. */
int probe_measure(const char* path);

#endif /* UVDIO_CLI_MEASURE_H */
