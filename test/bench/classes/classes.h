/* SPDX-License-Identifier: MIT */
/*
 * `uvdio-bench classes`: reads and a log beside a copy, with classes and without.
 */
#ifndef UVDIO_BENCH_CLASSES_CLASSES_H
#define UVDIO_BENCH_CLASSES_CLASSES_H

int classes_main(int argc, char** argv);

#endif /* UVDIO_BENCH_CLASSES_CLASSES_H */
