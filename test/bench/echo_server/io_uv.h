/* SPDX-License-Identifier: MIT */
/*
 * The background I/O by uv_fs_read and uv_fs_write.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_IO_UV_H
#define UVDIO_BENCH_ECHO_SERVER_IO_UV_H

#include "echo_server/io.h"

extern const io_means_t io_uv;

#endif /* UVDIO_BENCH_ECHO_SERVER_IO_UV_H */
