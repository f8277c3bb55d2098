/* SPDX-License-Identifier: MIT */
/*
 * The background I/O by this library.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_IO_UVDIO_H
#define UVDIO_BENCH_ECHO_SERVER_IO_UVDIO_H

#include "echo_server/io.h"

extern const io_means_t io_ring;
extern const io_means_t io_pool;

#endif /* UVDIO_BENCH_ECHO_SERVER_IO_UVDIO_H */
