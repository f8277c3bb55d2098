/* SPDX-License-Identifier: MIT */
/*
 * Probes for tracers (USDT, provider `uvdio`), where the build has them (UVDIO_WITH_TRACING). A
 * probe is a nop, and a note that tells a tracer where its arguments are at that moment: arguments
 * are fields as they are in memory, so that without a tracer nothing is computed for them.
 *
 *   probe     when                                            arguments
 *   submit    a request was accepted: its callback follows    REQUEST, path, offset, length
 *   start     a backend has it; again after a resume, a punt  REQUEST, backend, offset, length
 *             or a retry
 *   punt      it goes from that backend to the pool           REQUEST, backend, transferred
 *   resume    a short transfer is to go on                    REQUEST, transferred, length
 *   complete  it has its outcome                              REQUEST, result, submitted_ms
 *   deliver   its callback is about to run                    REQUEST, result, submitted_ms
 *   stall     a queue takes nothing for now (begins is 1),    engine, backend, begins, in_flight,
 *             or takes requests again (0)                     unflushed, waiting
 *
 * The synchronous forms pass none of them. These are an interface: a probe keeps its name and the
 * arguments that it has; new arguments come last.
 *
 *   argument      type         meaning
 *   REQUEST       3 arguments  the request's address; uvdio_op_t, 4 bytes; the file's address (for
 *                              an operation on names one that stands for none)
 *   path          const char*  of the file, as it was opened; null where there is none
 *   backend       const char*  "ring", "aio", ...
 *   offset        uint64_t     where it begins; of a truncate the size
 *   length        size_t       bytes of a read or write; of others it means nothing
 *   transferred   size_t       bytes that have been moved
 *   result        int64_t      as the callback gets it
 *   submitted_ms  uint64_t     when it was accepted, by uv_now(): on Linux the clock is
 *                              CLOCK_MONOTONIC, as bpftrace's `nsecs`
 *   engine        address      the queue's
 *   begins        unsigned     0 or 1
 *   in_flight     unsigned     requests that the backend has; `unflushed` of them it holds back
 *   waiting       unsigned     requests of the engine that wait
 */
#ifndef UVDIO_TRACE_H
#define UVDIO_TRACE_H

#include "uvdio.h"

/* An asm statement of its own, as sys/sdt.h provides for: by its lines gcc would take one for a lot
 * of code, and inline no function that has it. */
#ifdef UVDIO_HAVE_TRACING
#if defined(__clang__) && defined(__LP64__) /* which would copy fields to the stack */
#define STAP_SDT_ARG_CONSTRAINT nr
#endif
#include <sys/sdt.h>
#define UVDIO__PROBE(name, count, ...)            \
  __asm__ __volatile__ __inline__(STAP_PROBE_ASM( \
      uvdio, name, STAP_PROBE_ASM_TEMPLATE(count))::STAP_PROBE_ASM_OPERANDS(count, __VA_ARGS__))
#else
#define UVDIO__PROBE(name, count, ...) UVDIO__PROBE_NONE_##count(__VA_ARGS__)
#define UVDIO__PROBE_NONE_5(a, b, c, d, e) ((void)(a), (void)(b), (void)(c), (void)(d), (void)(e))
#define UVDIO__PROBE_NONE_6(a, b, c, d, e, f) (UVDIO__PROBE_NONE_5(a, b, c, d, e), (void)(f))
#endif

static inline void uvdio__trace_submit(const uvdio_req_t* req) {
  UVDIO__PROBE(submit, 6, req, req->op, req->file, req->file->path_, req->offset_, req->length_);
}

static inline void uvdio__trace_start(const uvdio_req_t* req, const char* backend) {
  UVDIO__PROBE(start, 6, req, req->op, req->file, backend, req->offset_, req->length_);
}

static inline void uvdio__trace_punt(const uvdio_req_t* req, const char* backend) {
  UVDIO__PROBE(punt, 5, req, req->op, req->file, backend, req->transferred);
}

static inline void uvdio__trace_resume(const uvdio_req_t* req) {
  UVDIO__PROBE(resume, 5, req, req->op, req->file, req->transferred, req->length_);
}

static inline void uvdio__trace_complete(const uvdio_req_t* req) {
  UVDIO__PROBE(complete, 5, req, req->op, req->file, req->result, req->submitted_ms_);
}

static inline void uvdio__trace_deliver(const uvdio_req_t* req) {
  UVDIO__PROBE(deliver, 5, req, req->op, req->file, req->result, req->submitted_ms_);
}

/* Of the queue, its `in_flight` and `unflushed`; of its engine, how many wait. */
static inline void uvdio__trace_stall(const uvdio_engine_t* engine, const char* backend,
                                      unsigned begins, unsigned in_flight, unsigned unflushed,
                                      unsigned waiting) {
  UVDIO__PROBE(stall, 6, engine, backend, begins, in_flight, unflushed, waiting);
}

#endif /* UVDIO_TRACE_H */
