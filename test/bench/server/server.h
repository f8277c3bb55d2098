/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench server.
 */
#ifndef UVDIO_BENCH_SERVER_SERVER_H
#define UVDIO_BENCH_SERVER_SERVER_H

int server_main(int argc, char** argv);

#endif /* UVDIO_BENCH_SERVER_SERVER_H */
