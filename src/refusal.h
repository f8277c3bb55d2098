/* SPDX-License-Identifier: MIT */
/*
 * With what a transfer of a file would be refused now, whatever its place: engine, thread, file and
 * class are asked by one that is never submitted, since no file has its offset.
 */
#ifndef UVDIO_REFUSAL_H
#define UVDIO_REFUSAL_H

#include <assert.h>

#include "uvdio.h"

/* uvdio_read() or uvdio_write(). */
typedef int (*uvdio__transfer_t)(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf,
                                 uint64_t offset, uvdio_io_cb cb);

static inline void uvdio__never_called(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  (void)result;
  (void)buf;
  assert(0);
}

/* Returns an error, or 0. `req` is one that is used for nothing else, `view` bytes of which such a
 * transfer might be. */
static inline int uvdio__refusal(uvdio__transfer_t transfer, uvdio_file_t* file, uvdio_req_t* req,
                                 uvdio_buf_t view) {
  int error = transfer(file, req, &view, UINT64_MAX, uvdio__never_called);

  assert(error != 0);
  return error == UVDIO_EALIGN || error == UVDIO_EOFFSET ? 0 : error;
}

#endif /* UVDIO_REFUSAL_H */
