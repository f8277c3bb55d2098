/* SPDX-License-Identifier: MIT */
/*
 * The process of one target: `uvdio-bench target JSON`.
 */
#ifndef UVDIO_BENCH_TARGET_PROCESS_H
#define UVDIO_BENCH_TARGET_PROCESS_H

int target_main(int argc, char** argv);

#endif /* UVDIO_BENCH_TARGET_PROCESS_H */
