/* SPDX-License-Identifier: MIT */
/*
 * The build option UVDIO_DEBUG_OWNERSHIP: whoever touches what belongs to the library is told so,
 * with the operation that it belongs to, at the first wrong touch, on the standard error. The
 * program ends there, but for releases that are refused anyway.
 *
 *   with AddressSanitizer   any access to the buffer of a pending transfer, and to a request that
 *                           was freed
 *   always                  the bytes of a shared write changed before its end,
 *                           a request written to while pending, a buffer released while its bytes
 *                           are in flight, a second release of a frame, a frame that comes to an
 *                           arena that it is not of (with the last operation that it went through,
 *                           if that is not long ago)
 *
 * Without the option all of this is nothing.
 */
#ifndef UVDIO_OWNERSHIP_H
#define UVDIO_OWNERSHIP_H

#include "uvdio.h"

#ifdef UVDIO_DEBUG_OWNERSHIP

/* The request, and a transfer's buffer, are the library's from here ... */
void uvdio__ownership_acquire(const uvdio_req_t* req);

/* ... and are as they were: asked whenever something has come of the request ... */
void uvdio__ownership_check(const uvdio_req_t* req);

/* ... to here. */
void uvdio__ownership_release(const uvdio_req_t* req);

/* Between the two calls the library itself touches the buffer in memory, on whatever thread. */
void uvdio__ownership_allow(const uvdio_req_t* req);
void uvdio__ownership_forbid(const uvdio_req_t* req);

/* The user releases the buffer; the release of a frame was refused with `error`. */
void uvdio__ownership_release_buf(const uvdio_buf_t* buf);
void uvdio__ownership_refuse(const uvdio_buf_t* buf, int error);

#else

static inline void uvdio__ownership_acquire(const uvdio_req_t* req) {
  (void)req;
}

static inline void uvdio__ownership_check(const uvdio_req_t* req) {
  (void)req;
}

static inline void uvdio__ownership_release(const uvdio_req_t* req) {
  (void)req;
}

static inline void uvdio__ownership_allow(const uvdio_req_t* req) {
  (void)req;
}

static inline void uvdio__ownership_forbid(const uvdio_req_t* req) {
  (void)req;
}

static inline void uvdio__ownership_release_buf(const uvdio_buf_t* buf) {
  (void)buf;
}

static inline void uvdio__ownership_refuse(const uvdio_buf_t* buf, int error) {
  (void)buf;
  (void)error;
}

#endif

#endif /* UVDIO_OWNERSHIP_H */
