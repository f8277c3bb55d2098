/* SPDX-License-Identifier: MIT */
/*
 * The frames of a stream, and the options that readers and writers have in common.
 */
#ifndef UVDIO_STREAM_FRAMES_H
#define UVDIO_STREAM_FRAMES_H

#include "uvdio/stream.h"

/* Returns 0 or UV_EINVAL. */
int uvdio__stream_check(unsigned window_max, unsigned class_number);

/* Whether frames of the arena can be blocks of the file; tells of both. Errors: UVDIO_EALIGN, and
 * those of uvdio_arena_info() and uvdio_file_info(). */
int uvdio__stream_look(const uvdio_file_t* file, const uvdio_arena_t* arena,
                       uvdio_file_info_t* info, uvdio_arena_info_t* frames);

/* The largest window: what was asked for, or for 0 what suits the size of a frame. */
unsigned uvdio__stream_window(unsigned window_max, size_t frame_size);

#endif /* UVDIO_STREAM_FRAMES_H */
