/* SPDX-License-Identifier: MIT */
/*
 * Counters: programs that run another program and count what it does.
 * Counts depend little on how busy the machine is.
 *
 *   system calls   perf stat, which disturbs least; else strace, under which a program is slower,
 *                  so that more completes per turn and fewer calls are made for each operation
 *   instructions   valgrind --tool=callgrind: user space, all threads
 */
#ifndef UVDIO_BENCH_HARNESS_COUNTER_H
#define UVDIO_BENCH_HARNESS_COUNTER_H

typedef struct counter_s counter_t;

/* The first one of system calls that works here, or null. */
const counter_t* counter_of_calls(void);

/* Null where valgrind is not installed. */
const counter_t* counter_of_instructions(void);

const char* counter_name(const counter_t* counter);

/* Runs `command` under the counter. Returns the count, or NAN where it failed. */
double counter_run(const counter_t* counter, const char* const* command);

#endif /* UVDIO_BENCH_HARNESS_COUNTER_H */
