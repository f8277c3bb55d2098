/* SPDX-License-Identifier: MIT */
/*
 * Durable writes to one file, by the interface that raft has for them: src/uv_writer.h of
 * canonical's and cowsql's raft, the replication under dqlite. An example of how code for kernel
 * AIO is replaced. Names, arguments and codes are raft's; what is behind them is not.
 *
 * There, a writer has an AIO context, an eventfd, a poll handle, a check handle, two queues, and
 * one path for what the kernel takes without blocking and another for the threadpool. Here it has
 * an engine and a file: uvdio_adopt() takes the descriptor, uvdio_writev_flags() writes durably.
 * What differs for raft:
 *
 *   - A request has its callback when the kernel is done with its buffers, also when the writer is
 *     closed. RAFT_CANCELED means that the request was not durable by then, and that nobody uses
 *     its buffers any more.
 *   - The array of buffers is the caller's again when UvWriterSubmit() returns; their memory stays
 *     with the writer until the callback.
 *   - More requests than max_concurrent_writes wait for their turn. They may end in another order;
 *     raft has one write of a segment at a time.
 *   - A full disk is RAFT_NOSPACE, whether the kernel says so or writes less.
 *   - After a failed write every later one fails with the same error, since nobody knows what is
 *     durable; raft gives up the segment then.
 *   - A disk that takes durable writes better as writes with a shared sync after them gets these.
 *
 * In raft, uv_writer.c is replaced as a whole; UvOsIoSetup() and its like, and the probe for
 * asynchronous I/O (UvFsProbeCapabilities()), are no longer needed. A writer has an engine of its
 * own, as it had an AIO context, because the interface has no place for one that writers share.
 */
#ifndef RAFT_UV_WRITER_H
#define RAFT_UV_WRITER_H

#include <stdbool.h>
#include <uvdio.h>

#ifdef RAFT_API /* within raft: after its include/raft.h */
#define UV_WRITER_ERRMSG_SIZE RAFT_ERRMSG_BUF_SIZE
#else
#define UV_WRITER_ERRMSG_SIZE 256
enum { RAFT_NOMEM = 1, RAFT_CANCELED = 13, RAFT_IOERR = 18, RAFT_NOSPACE = 22, RAFT_TOOMANY = 23 };
#endif

struct UvWriter;
struct UvWriterReq;
struct raft_tracer;

/* The writer is closed: its memory may be released. */
typedef void (*UvWriterCloseCb)(struct UvWriter* w);
/* 0, or a code of raft's. */
typedef void (*UvWriterReqCb)(struct UvWriterReq* req, int status);

struct UvWriter {
  void* data; /* the user's */
  struct uv_loop_s* loop;
  uvdio_engine_t* engine;
  uvdio_file_t file;
  UvWriterCloseCb close_cb;
  bool closing;
  char* errmsg; /* UV_WRITER_ERRMSG_SIZE bytes of the user's: what failed last */
  struct raft_tracer* tracer;
};

struct UvWriterReq {
  void* data;              /* the user's */
  struct UvWriter* writer; /* where it was submitted */
  size_t len;              /* bytes of all buffers */
  int status;              /* its result, from the callback on */
  UvWriterReqCb cb;
  uvdio_req_t req;
};

/* Takes the descriptor, which stays the caller's where this fails. `direct`: past the page cache;
 * memory, offsets and lengths are aligned to 4096 then. `async`: whatever the system has, else the
 * threadpool. */
int UvWriterInit(struct UvWriter* w, struct uv_loop_s* loop, uv_file fd, bool direct, bool async,
                 unsigned max_concurrent_writes, char* errmsg);

/* Requests that wait end with RAFT_CANCELED; what the kernel has goes on, and ends as ever. Then
 * the descriptor is closed, and `cb` (may be null) called. */
void UvWriterClose(struct UvWriter* w, UvWriterCloseCb cb);

/* Has no effect: uvdio has probes for tracers. */
void UvWriterSetTracer(struct UvWriter* w, struct raft_tracer* tracer);

/* Writes `n` buffers, one after the other, at `offset`. They are durable when `cb` has 0. After an
 * error, which is returned, no callback follows. */
int UvWriterSubmit(struct UvWriter* w, struct UvWriterReq* req, const uv_buf_t bufs[], unsigned n,
                   size_t offset, UvWriterReqCb cb);

#endif /* RAFT_UV_WRITER_H */
