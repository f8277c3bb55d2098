/* SPDX-License-Identifier: MIT */
/*
 * See frames.h.
 */
#include "frames.h"

#include "uvdio/class.h"

#define WINDOW_BYTES ((size_t)8 * 1024 * 1024)
#define WINDOW_LOW 4u
#define WINDOW_HIGH 128u

int uvdio__stream_check(unsigned window_max, unsigned class_number) {
  return window_max > UVDIO_STREAM_WINDOW_MAX || class_number >= UVDIO_CLASSES ? UV_EINVAL : 0;
}

int uvdio__stream_look(const uvdio_file_t* file, const uvdio_arena_t* arena,
                       uvdio_file_info_t* info, uvdio_arena_info_t* frames) {
  int error = uvdio_arena_info(arena, frames);

  error = error != 0 ? error : uvdio_file_info(file, info);
  if (error == 0 && (frames->frame_size % info->offset_align != 0 ||
                     frames->frame_size % info->memory_align != 0)) {
    error = UVDIO_EALIGN;
  }
  return error;
}

unsigned uvdio__stream_window(unsigned window_max, size_t frame_size) {
  size_t window = WINDOW_BYTES / frame_size;

  if (window_max != 0) {
    return window_max;
  }
  window = window < WINDOW_LOW ? WINDOW_LOW : window;
  return (unsigned)(window > WINDOW_HIGH ? WINDOW_HIGH : window);
}
