/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench copy.
 */
#ifndef UVDIO_BENCH_COPY_COPY_H
#define UVDIO_BENCH_COPY_COPY_H

int copy_bench_main(int argc, char** argv);

#endif /* UVDIO_BENCH_COPY_COPY_H */
