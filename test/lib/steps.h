/* SPDX-License-Identifier: MIT */
/*
 * What comes between two instructions, wherever that is: the processor stops after each one, and at
 * the n-th the test does what another thread, or the kernel, might have done just then. With n from
 * 1 on, until the part under test is over sooner, every place has had its turn:
 *
 *   do {
 *     steps_begin(++n, do_what_others_do, data);
 *     the_part_under_test();
 *   } while (steps_end());
 */
#ifndef UVDIO_TEST_STEPS_H
#define UVDIO_TEST_STEPS_H

/* Whether that can be had: on x86-64 under Linux, and by itself, without a tool that puts signals
 * off. */
int steps_possible(void);

/* Calls `intrude` at the n-th step from here. It runs in a signal handler. */
void steps_begin(unsigned nth, void (*intrude)(void* data), void* data);

/* Stops that. Returns whether it came so far. */
int steps_end(void);

#endif /* UVDIO_TEST_STEPS_H */
