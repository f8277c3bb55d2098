/* SPDX-License-Identifier: MIT */
/*
 * `uvdio-bench streams`: reading a file in order, by the library's reader and by fixed numbers of
 * reads in flight.
 */
#ifndef UVDIO_BENCH_STREAMS_STREAMS_H
#define UVDIO_BENCH_STREAMS_STREAMS_H

int streams_main(int argc, char** argv);

#endif /* UVDIO_BENCH_STREAMS_STREAMS_H */
