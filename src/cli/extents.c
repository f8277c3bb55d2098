/* SPDX-License-Identifier: MIT */
/*
 * Data and holes, as the library finds them.
 */
#include "extents.h"

#include <assert.h>
#include <stddef.h>

/* Exactly as the system tells it. */
static extent_t ask(uvdio_file_t* file, uint64_t from, uint64_t size) {
  extent_t all = {from, size}, none = {size, size};
  uvdio_req_t req = {0};
  int error = uvdio_next_data(file, &req, from, NULL);
  if (error != 0) {
    return error == UV_ENXIO ? none : all; /* ENXIO: nothing but a hole until the end */
  }
  uint64_t begin = (uint64_t)req.result;
  if (begin >= size) { /* data that was appended meanwhile */
    return none;
  }
  uint64_t end = uvdio_next_hole(file, &req, begin, NULL) == 0 ? (uint64_t)req.result : size;
  return (extent_t){begin, end > begin && end < size ? end : size};
}

extent_t extents_next(uvdio_file_t* file, uint64_t from, uint64_t size, uint64_t unit) {
  assert(unit > 0 && (unit & (unit - 1)) == 0);
  if (from >= size || file == NULL) {
    return (extent_t){from < size ? from : size, size};
  }
  extent_t found = ask(file, from, size);
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

uint64_t extents_count(uvdio_file_t* file, uint64_t size, uint64_t unit) {
  uint64_t count = 0;
  extent_t data = extents_next(file, 0, size, unit);
  while (data.begin < data.end) {
    count += data.end - data.begin;
    data = extents_next(file, data.end, size, unit);
  }
  return count;
}
