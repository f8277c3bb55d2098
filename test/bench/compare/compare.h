/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench compare.
 */
#ifndef UVDIO_BENCH_COMPARE_COMPARE_H
#define UVDIO_BENCH_COMPARE_COMPARE_H

int compare_main(int argc, char** argv);

#endif /* UVDIO_BENCH_COMPARE_COMPARE_H */
