/* SPDX-License-Identifier: MIT */
/*
 * `uvdio-bench log`: durable commits by the library's log, by threads, by SQLite, and by what the
 * device does alone.
 */
#ifndef UVDIO_BENCH_LOG_COMMITS_H
#define UVDIO_BENCH_LOG_COMMITS_H

int commits_main(int argc, char** argv);

#endif /* UVDIO_BENCH_LOG_COMMITS_H */
