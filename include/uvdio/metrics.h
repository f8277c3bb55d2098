/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/metrics.h
 * Metrics: where the time of requests goes, and who holds up the loop. Off until they are started;
 * until then they cost nothing.
 *
 *     uvdio_metrics_options_t options = UVDIO_ZERO;
 *     options.stall_ns = 20 * 1000 * 1000;                          (a turn of 20 ms is a stall)
 *     options.stall_cb = on_stall;
 *     uvdio_metrics_start(engine, &options);
 *     ...
 *     uvdio_histogram_t reads = UVDIO_ZERO;
 *     uvdio_metrics_histogram(engine, UVDIO_OP_READ, UVDIO_CLASS_ANY, UVDIO_STAGE_BACKEND, &reads);
 *     printf("%llu ns\n", (unsigned long long)uvdio_histogram_percentile(&reads, 99));
 *     ...
 *     uvdio_metrics_print(engine, UVDIO_METRICS_TEXT, text, sizeof(text), NULL);
 *
 * Stages. A request that was accepted while metrics were on counts once in each of three stages,
 * when its callback begins:
 *
 *   WAIT      from its acceptance until the backend has it: behind other requests of its file, for
 *             a place among `depth`, for its class, in a batch that is being gathered. A request
 *             that no backend gets (cancelled, a sync that shares another's outcome, a wait for
 *             frames) has all of its time in this stage
 *   BACKEND   until the library has the outcome: with the kernel or a worker. What is repeated or
 *             resumed, or moves to the pool, stays in this stage, its waits included. With ring and
 *             kernel AIO the completion may have been there for as long as the loop was elsewhere
 *   CALLBACK  until its callback begins: behind the callbacks before it
 *
 * The synchronous forms count nowhere.
 *
 * Turns. A turn of the loop is what it does between two waits for events. The longest, the longest
 * callback of a request and the longest system calls are kept; with stall_ns a turn that took that
 * long is told of. Turns count while requests of the engine are pending: with the last one's
 * callback a turn is over. A turn begins with the check phase; where the loop measures its idle
 * time (`uv_loop_configure(loop, UV_METRICS_IDLE_TIME)`) also callbacks of the poll phase belong to
 * it.
 *
 * Clock. The processor's counter where it runs at one rate (x86-64 with an invariant TSC, aarch64),
 * else uv_hrtime(). Time for which the thread was not scheduled counts as any other.
 */
#ifndef UVDIO_METRICS_H
#define UVDIO_METRICS_H

#include "../uvdio.h"
#include "class.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup histograms Histograms
 *
 * Log-linear histograms: values below 32 have a bucket each, and from there on each power of two is
 * cut into 32. So a value is known to 3.1 %, whatever its size. They are plain memory of the
 * caller's; one that is all zero is empty. Any thread, one at a time for each histogram.
 * @{
 */

/** Buckets of a histogram. */
#define UVDIO_HISTOGRAM_BUCKETS 1920u

/** A histogram of values from 0 to UINT64_MAX; of the library's own, nanoseconds. */
typedef struct uvdio_histogram_s {
  uint64_t counts[UVDIO_HISTOGRAM_BUCKETS]; /**< values in each bucket */
} uvdio_histogram_t;

/** The bucket that a value is in. */
UVDIO_EXTERN unsigned uvdio_histogram_bucket(uint64_t value);

/** The lowest value that is in a bucket; UINT64_MAX for a number that is no bucket's. */
UVDIO_EXTERN uint64_t uvdio_histogram_lowest(unsigned bucket);

/** Adds one value. */
UVDIO_EXTERN void uvdio_histogram_record(uvdio_histogram_t* histogram, uint64_t value);

/** Adds the values of another histogram. */
UVDIO_EXTERN void uvdio_histogram_merge(uvdio_histogram_t* histogram,
                                        const uvdio_histogram_t* other);

/** Empties the histogram. */
UVDIO_EXTERN void uvdio_histogram_reset(uvdio_histogram_t* histogram);

/** The number of values. */
UVDIO_EXTERN uint64_t uvdio_histogram_count(const uvdio_histogram_t* histogram);

/** The least value that `percent` of the values (0 to 100; what lies outside counts as one of
 * these) are not above, rounded up to the highest that its bucket holds; 0 of an empty one. 100:
 * the largest value, 0: the smallest. */
UVDIO_EXTERN uint64_t uvdio_histogram_percentile(const uvdio_histogram_t* histogram,
                                                 double percent);

/** The mean of the values, each taken as the middle of its bucket; 0 of an empty one. */
UVDIO_EXTERN double uvdio_histogram_mean(const uvdio_histogram_t* histogram);

/** @} */

/**
 * @defgroup metrics Metrics
 *
 * Loop thread; before the loop first runs, the thread that sets the engine up.
 * @{
 */

/** The parts of a request's life. */
typedef enum {
  UVDIO_STAGE_WAIT = 0, /**< in the library, before the backend has it */
  UVDIO_STAGE_BACKEND,  /**< with the kernel or a worker */
  UVDIO_STAGE_CALLBACK  /**< from the outcome until the callback begins */
} uvdio_stage_t;

/** How many stages there are. */
#define UVDIO_STAGES 3u

/** In the place of a class: all of them. */
#define UVDIO_CLASS_ANY UVDIO_CLASSES

/** System calls of the library on the loop's thread. */
typedef enum {
  UVDIO_CALL_SUBMIT = 0, /**< io_uring_enter(2) or io_submit(2), with a batch */
  UVDIO_CALL_REAP,       /**< io_uring_enter(2), for completions */
  UVDIO_CALL_REGISTER,   /**< memory, files, and the set-up and end of rings and contexts */
  UVDIO_CALL_FILE        /**< of an open's steps, and what no worker could be had for */
} uvdio_call_t;

/** How many kinds of calls there are. */
#define UVDIO_CALLS 4u

/** Durations are in nanoseconds. */
typedef struct uvdio_stall_info_s {
  uint64_t turn_ns;             /**< how long the turn took */
  uint64_t engine_ns;           /**< of it: in the engine's part of check and idle phase */
  uint64_t callbacks_ns;        /**< of that: in callbacks of requests */
  uint64_t calls_ns;            /**< of the turn: in the library's system calls */
  unsigned callbacks;           /**< callbacks of requests */
  uint64_t longest_callback_ns; /**< of these; 0: none */
  uvdio_op_t longest_op;        /**< whose callback that was */
  uint64_t longest_call_ns;     /**< of the system calls; 0: none */
  uvdio_call_t longest_call;    /**< which that was */
  unsigned in_flight;           /**< now: requests with the kernel or a worker */
  unsigned waiting;             /**< now: requests that wait for their turn in the library */
  uint64_t pending;             /**< now: requests without a callback */
} uvdio_stall_info_t;

/** A turn of the loop took stall_ns or longer. Called at its end, in the prepare phase, or behind
 * the callback of the last request that was pending. It may call
 * whatever a callback of libuv's may. What is left of turn_ns beside engine_ns was of the loop's
 * other handles, or was made outside the engine's phases by submissions (calls_ns). */
typedef void (*uvdio_stall_cb)(uvdio_engine_t* engine, const uvdio_stall_info_t* info, void* arg);

/** Options of metrics; all zero: the defaults. */
typedef struct uvdio_metrics_options_s {
  uint64_t stall_ns;       /**< nanoseconds: a turn of the loop that is a stall; 0: none is */
  uvdio_stall_cb stall_cb; /**< may be null: stalls are counted only */
  void* stall_arg;         /**< passed to it */
} uvdio_metrics_options_t;

/** What is kept beside histograms. Durations are in nanoseconds. */
typedef struct uvdio_metrics_s {
  uint64_t since_ns;            /**< how long ago metrics were started, or reset */
  uint64_t requests;            /**< that were counted in histograms */
  uint64_t dropped;             /**< that were not, for want of memory */
  uint64_t turns;               /**< of the loop that were measured */
  uint64_t longest_turn_ns;     /**< of these */
  uint64_t stalls;              /**< turns of stall_ns or more */
  uint64_t callbacks_ns;        /**< in all callbacks of requests */
  uint64_t longest_callback_ns; /**< of these */
  uvdio_op_t longest_op;        /**< whose callback that was; NONE: there was none */
} uvdio_metrics_t;

/** One of the library's system calls. Durations are in nanoseconds. */
typedef struct uvdio_call_metrics_s {
  uint64_t calls;      /**< how many there were; of REGISTER and FILE a few together count as one */
  uint64_t total_ns;   /**< in all of these */
  uint64_t longest_ns; /**< in the longest */
} uvdio_call_metrics_t;

/** One file, from its open on: of its requests that were counted. */
typedef struct uvdio_file_metrics_s {
  uint64_t reads;         /**< that ended, well or not */
  uint64_t writes;        /**< that ended, well or not */
  uint64_t syncs;         /**< that ended, well or not; replaces among them */
  uint64_t others;        /**< all else, its open among them */
  uint64_t failed;        /**< of all these: with an error, cancelled ones among them */
  uint64_t bytes_read;    /**< also by reads that failed half-way */
  uint64_t bytes_written; /**< also by writes that failed half-way */
  uint64_t longest_ns;    /**< from acceptance to callback, of the one that took longest */
  uvdio_op_t longest_op;  /**< which operation that was; NONE: there was none */
} uvdio_file_metrics_t;

/** How metrics are printed. */
typedef enum {
  UVDIO_METRICS_TEXT =
      0,             /**< a table of the stages by operation and class, and lines for the rest */
  UVDIO_METRICS_JSON /**< one object, in one line; durations are whole nanoseconds */
} uvdio_metrics_format_t;

/** uvdio_metrics_start() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_metrics_start_sized(uvdio_engine_t* engine,
                                           const uvdio_metrics_options_t* options, size_t size);

/** Starts metrics, for requests that are accepted from now on (called from a callback: from the end
 * of the engine's iteration on), or sets other options where they are on. `options` may be null.
 * Takes 46 KiB for each operation and class that comes by, at its first request. The first call in
 * a process may take a millisecond, to measure the clock. Errors: UV_EINVAL (null engine), UV_E2BIG
 * (an option of a newer header), UV_ENOMEM, UV_EBADF (the engine is closing), UVDIO_EFORK,
 * UVDIO_ETHREAD. */
static inline int uvdio_metrics_start(uvdio_engine_t* engine,
                                      const uvdio_metrics_options_t* options) {
  return uvdio_metrics_start_sized(engine, options, sizeof(uvdio_metrics_options_t));
}

/** Stops metrics, and gives up what was measured. uvdio_engine_close() does the same at its end, so
 * that requests count which it waits for. May be called from any callback. Errors: UV_EINVAL
 * (null), UV_ENOENT (metrics are off), UV_EBADF, UVDIO_EFORK, UVDIO_ETHREAD, as above. */
UVDIO_EXTERN int uvdio_metrics_stop(uvdio_engine_t* engine);

/** Forgets what was measured so far, requests included that are pending; metrics go on. Counters of
 * files stay. Errors: those of
 * uvdio_metrics_stop(). */
UVDIO_EXTERN int uvdio_metrics_reset(uvdio_engine_t* engine);

/** Adds what was measured in a stage to `histogram`, of requests of one operation (UVDIO_OP_NONE:
 * of all) and one class (UVDIO_CLASS_ANY: of all). Durations are in nanoseconds. An engine without
 * classes has all requests in UVDIO_CLASS_DEFAULT. Errors: UV_EINVAL (null, or an unknown
 * operation, class or stage), UV_ENOENT (metrics are off). */
UVDIO_EXTERN int uvdio_metrics_histogram(const uvdio_engine_t* engine, uvdio_op_t op,
                                         unsigned number, uvdio_stage_t stage,
                                         uvdio_histogram_t* histogram);

/** uvdio_metrics() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_metrics_sized(const uvdio_engine_t* engine, uvdio_metrics_t* metrics,
                                     size_t size);

/** Tells what is kept beside histograms. Errors: UV_EINVAL (null), UV_ENOENT (metrics are off). */
static inline int uvdio_metrics(const uvdio_engine_t* engine, uvdio_metrics_t* metrics) {
  return uvdio_metrics_sized(engine, metrics, sizeof(uvdio_metrics_t));
}

/** uvdio_metrics_call() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_metrics_call_sized(const uvdio_engine_t* engine, uvdio_call_t call,
                                          uvdio_call_metrics_t* metrics, size_t size);

/** Tells of one kind of system calls. Errors: UV_EINVAL (null, or an unknown call), UV_ENOENT
 * (metrics are off). */
static inline int uvdio_metrics_call(const uvdio_engine_t* engine, uvdio_call_t call,
                                     uvdio_call_metrics_t* metrics) {
  return uvdio_metrics_call_sized(engine, call, metrics, sizeof(uvdio_call_metrics_t));
}

/** The call's name ("submit"); "none" for what is no call. Any thread. */
UVDIO_EXTERN const char* uvdio_call_name(uvdio_call_t call);

/** uvdio_file_metrics() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_file_metrics_sized(const uvdio_file_t* file, uvdio_file_metrics_t* metrics,
                                          size_t size);

/** Tells the counters of a file: of its requests that were counted while its engine had metrics on.
 * They stay until the file is opened again. Errors: UV_EINVAL (null). */
static inline int uvdio_file_metrics(const uvdio_file_t* file, uvdio_file_metrics_t* metrics) {
  return uvdio_file_metrics_sized(file, metrics, sizeof(uvdio_file_metrics_t));
}

/** Prints what was measured to `text`, cut to `size` bytes with the null at the end; `text` may be
 * null where `size` is 0. `length` (may be null) receives the bytes of the whole, without the null.
 * Errors: UV_EINVAL (null engine, null text, an unknown format), UV_ENOENT (metrics are off),
 * UV_ENOBUFS (the text was cut). */
UVDIO_EXTERN int uvdio_metrics_print(const uvdio_engine_t* engine, uvdio_metrics_format_t format,
                                     char* text, size_t size, size_t* length);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_METRICS_H */
