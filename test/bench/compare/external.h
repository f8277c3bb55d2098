/* SPDX-License-Identifier: MIT */
/*
 * One figure of fio or qemu-img.
 */
#ifndef UVDIO_BENCH_COMPARE_EXTERNAL_H
#define UVDIO_BENCH_COMPARE_EXTERNAL_H

#include <stddef.h>

#include "compare/model.h"

/* As sample_child(). */
int sample_fio(compare_t* compare, size_t cell, size_t target, sample_t* sample);
int sample_qemu(compare_t* compare, size_t cell, size_t target, sample_t* sample);

#endif /* UVDIO_BENCH_COMPARE_EXTERNAL_H */
