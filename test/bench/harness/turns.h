/* SPDX-License-Identifier: MIT */
/*
 * In which order methods are measured in a round. One that comes behind another always finds the
 * disk as that has left it, with its writes still under way; so each round has an order of its own,
 * by the round's number, and all runs have the same ones.
 */
#ifndef UVDIO_BENCH_HARNESS_TURNS_H
#define UVDIO_BENCH_HARNESS_TURNS_H

#include <stddef.h>
#include <stdint.h>

#define TURNS_MAX 32u

typedef struct turns_s {
  unsigned char at[TURNS_MAX]; /* whose turn it is */
} turns_t;

/* The turns of `count` methods, TURNS_MAX at most. */
turns_t turns_of(uint64_t round, size_t count);

#endif /* UVDIO_BENCH_HARNESS_TURNS_H */
