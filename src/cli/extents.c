/* SPDX-License-Identifier: MIT */
/*
 * Data and holes by lseek(2), space by fallocate(2).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "extents.h"

#ifdef SEEK_DATA
/* Exactly as the system tells it. */
static extent_t ask(int descriptor, uint64_t from, uint64_t size) {
  extent_t all = {from, size}, none = {size, size};
  off_t begin = lseek(descriptor, (off_t)from, SEEK_DATA);
  if (begin < 0) {
    return errno == ENXIO ? none : all; /* ENXIO: nothing but a hole until the end */
  }
  if ((uint64_t)begin >= size) { /* data that was appended meanwhile */
    return none;
  }
  off_t end = lseek(descriptor, begin, SEEK_HOLE);
  return (extent_t){(uint64_t)begin, end > begin && (uint64_t)end < size ? (uint64_t)end : size};
}
#else
static extent_t ask(int descriptor, uint64_t from, uint64_t size) {
  (void)descriptor;
  return (extent_t){from, size};
}
#endif

extent_t extents_next(int descriptor, uint64_t from, uint64_t size, uint64_t unit) {
  assert(unit > 0 && (unit & (unit - 1)) == 0);
  if (from >= size || descriptor < 0) {
    return (extent_t){from < size ? from : size, size};
  }
  extent_t found = ask(descriptor, from, size);
  if (found.begin == found.end) {
    return found;
  }
  uint64_t begin = found.begin & ~(unit - 1);
  uint64_t end = (found.end + unit - 1) & ~(unit - 1);
  found.begin = begin > from ? begin : from;
  found.end = end < size ? end : size;
  assert(from <= found.begin && found.begin < found.end && found.end <= size);
  return found;
}

uint64_t extents_count(int descriptor, uint64_t size, uint64_t unit) {
  uint64_t count = 0;
  extent_t data = extents_next(descriptor, 0, size, unit);
  while (data.begin < data.end) {
    count += data.end - data.begin;
    data = extents_next(descriptor, data.end, size, unit);
  }
  return count;
}

#ifdef __linux__
int extents_reserve(int descriptor, extent_t range) {
  int failed = -1;
  assert(range.begin < range.end);
  errno = EINTR;
  for (int i = 0; failed != 0 && errno == EINTR && i < CLI_ATTEMPTS_MAX; i++) {
    failed = fallocate(descriptor, 0, (off_t)range.begin, (off_t)(range.end - range.begin));
  }
  return failed == 0 ? 0 : errno == EOPNOTSUPP ? UV_ENOTSUP : uv_translate_sys_error(errno);
}
#else
int extents_reserve(int descriptor, extent_t range) {
  (void)descriptor;
  (void)range;
  return UV_ENOTSUP;
}
#endif
