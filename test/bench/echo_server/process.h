/* SPDX-License-Identifier: MIT */
/*
 * The server's process: `uvdio-bench echo-server JSON`.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_PROCESS_H
#define UVDIO_BENCH_ECHO_SERVER_PROCESS_H

int echo_server_main(int argc, char** argv);

#endif /* UVDIO_BENCH_ECHO_SERVER_PROCESS_H */
