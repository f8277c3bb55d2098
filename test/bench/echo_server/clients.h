/* SPDX-License-Identifier: MIT */
/*
 * The clients' process: `uvdio-bench clients JSON`.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_CLIENTS_H
#define UVDIO_BENCH_ECHO_SERVER_CLIENTS_H

int clients_main(int argc, char** argv);

#endif /* UVDIO_BENCH_ECHO_SERVER_CLIENTS_H */
