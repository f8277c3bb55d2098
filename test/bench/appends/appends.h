/* SPDX-License-Identifier: MIT */
/*
 * `uvdio-bench appends`: appending, by the library's appender and without it.
 */
#ifndef UVDIO_BENCH_APPENDS_APPENDS_H
#define UVDIO_BENCH_APPENDS_APPENDS_H

int appends_main(int argc, char** argv);

#endif /* UVDIO_BENCH_APPENDS_APPENDS_H */
