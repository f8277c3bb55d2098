/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench scaling, and the process that it starts.
 */
#ifndef UVDIO_BENCH_SCALING_SCALING_H
#define UVDIO_BENCH_SCALING_SCALING_H

int scaling_main(int argc, char** argv);
int scaling_run_main(int argc, char** argv);

#endif /* UVDIO_BENCH_SCALING_SCALING_H */
