/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/class.h
 * Classes: requests of one engine that share a priority and limits. Where requests wait for each
 * other, classes decide who is next, in proportion to their shares.
 *
 *     uvdio_class_options_t background = UVDIO_ZERO;
 *     background.shares = 50;
 *     background.bytes_max = 200 << 20;                             (200 MiB per second)
 *
 *     uvdio_device_model_t model;
 *     uvdio_device_model_read("/etc/app/device.model", &model);     (by uvdio probe --measure)
 *     uvdio_engine_set_device_model(engine, &model);
 *     uvdio_class_set(engine, UVDIO_CLASS_BACKGROUND, &background);
 *     uvdio_file_set_class(&backup, UVDIO_CLASS_BACKGROUND);        (all requests of this file)
 *     uvdio_req_set_class(&req, UVDIO_CLASS_LOG);                   (this request, on any file)
 *
 * An engine has no classes until uvdio_class_set() or uvdio_engine_set_device_model() is called on
 * it. Until then classes of files and requests mean nothing, and cost nothing.
 *
 * Who is next. A request goes to its backend at once where there is room; else it waits, and when
 * there is room again the class is next that got the least so far, measured by the device's time
 * and divided by its shares (start-time fair queueing). So a class that asks for little hardly
 * waits, whatever the others ask for; one that asks for nothing saves nothing up; and none starves.
 * Within a class requests stand in the order of submission.
 *
 * Room. Without a device model there is room for uvdio_engine_options_t.depth requests, all of
 * which the device has at a time: it decides by itself which of them comes first, and a queue of
 * its own is what a class can't pass. The device model tells how much it takes to keep the device
 * busy, and no more is given to it at a time.
 *
 * Order between requests of one file is what it is without classes. A sync waits for the writes
 * before it and for the sync that runs, whichever class they are of (and of all handles of
 * uvdio_dup()): give writes and syncs of one file one class. What an appender or a group submits is
 * of its file's class.
 *
 * Back-pressure. A class may have a bound on what waits in it: beyond that, submissions are refused
 * with an error of their own, and a callback tells when there is room again. An engine whose
 * requests are all of the default class has a bound of its own by that one.
 *
 * Synchronous forms pass all this by, but for the bound.
 */
#ifndef UVDIO_CLASS_H
#define UVDIO_CLASS_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup classes Classes
 * @{
 */

/** The classes of an engine are numbers, below this one. */
#define UVDIO_CLASSES 16u
/** Of requests and files for which no class was set. 100 shares, where the options say nothing. */
#define UVDIO_CLASS_DEFAULT 0u
/** For logs, which others wait for. 1000 shares. The log of uvdio/log.h is of this class, where its
 * engine has classes: a bound of what waits in it (queue_max) that is reached stops that log. */
#define UVDIO_CLASS_LOG 1u
/** For reads that somebody waits for. 500 shares. */
#define UVDIO_CLASS_FOREGROUND 2u
/** For what may take long: copies, compaction, scrubbing. 50 shares. */
#define UVDIO_CLASS_BACKGROUND 3u
/** The first of the program's own. 100 shares. */
#define UVDIO_CLASS_USER 4u

/** The largest uvdio_class_options_t.shares. */
#define UVDIO_SHARES_MAX 10000u

/** The kernel's I/O priority of a request (ioprio_set(2)). Schedulers of block devices look at it
 * (mq-deadline, bfq), and some devices; "none" does not. Linux only: elsewhere it is not passed
 * on. */
typedef enum {
  UVDIO_PRIORITY_NONE = 0, /**< that of the thread */
  UVDIO_PRIORITY_IDLE,     /**< when nobody else wants the device */
  UVDIO_PRIORITY_LOW,      /**< best effort, level 7 */
  UVDIO_PRIORITY_NORMAL,   /**< best effort, level 4 */
  UVDIO_PRIORITY_HIGH,     /**< best effort, level 0 */
  UVDIO_PRIORITY_REALTIME  /**< before all others; CAP_SYS_ADMIN or CAP_SYS_NICE */
} uvdio_priority_t;

/** Options of a class; all zero: the defaults. */
typedef struct uvdio_class_options_s {
  unsigned shares; /**< against those of the other classes; at most UVDIO_SHARES_MAX */
  /** Requests of the class in flight at most; 0: as many as there is room for. */
  unsigned depth;
  /** Requests per second at most; 0: any number. A class that was idle may begin with what 10 ms
   * allow, and at least one request. */
  uint64_t operations_max;
  /** Bytes that reads and writes move per second at most; 0: any number. A request of more bytes
   * than there are left begins when there are any, and those that follow wait for the rest. What
   * more than 10 ms allow is not saved up: where a turn of the loop takes longer, as its callbacks
   * do, the class gets less. So it is with operations_max. */
  uint64_t bytes_max;
  /** Of reads and writes; by ring, aio and pool. A priority to which the process has no right any
   * more is left out. */
  uvdio_priority_t priority;
  /** Requests of the class that wait at most; 0: any number. While so many wait, reads, writes and
   * whatever else is about a file's content are refused with UVDIO_EFULL; syncs, stat, close and
   * release are not. */
  unsigned queue_max;
  /** The same in bytes of reads and writes: no more is accepted once so many wait. */
  uint64_t queue_bytes_max;
} uvdio_class_options_t;

/** Counters of a class since its engine has had classes, and some current values. */
typedef struct uvdio_class_stats_s {
  uint64_t operations;    /**< requests that were given to a backend */
  uint64_t bytes;         /**< of reads and writes among them */
  uint64_t waited;        /**< submissions that could not begin at once */
  uint64_t limited;       /**< times that operations_max or bytes_max held the class up */
  uint64_t refused;       /**< submissions that ended with UVDIO_EFULL */
  uint64_t waiting;       /**< now: requests */
  uint64_t waiting_bytes; /**< now: bytes of reads and writes among them */
  unsigned in_flight;     /**< now: requests */
} uvdio_class_stats_t;

/** What keeps a device busy. All zero: unknown. */
typedef struct uvdio_device_model_s {
  /** Small requests (4 KiB) in flight from which on more of them gain little. */
  unsigned depth;
  /** Bytes in flight from which on large requests gain little. */
  uint64_t bytes_in_flight;
  uint64_t read_operations;  /**< per second: random reads of 4 KiB, at that depth */
  uint64_t write_operations; /**< per second: random writes of 4 KiB */
  uint64_t read_bytes;       /**< per second: by large reads */
  uint64_t write_bytes;      /**< per second: by large writes */
} uvdio_device_model_t;

/** uvdio_class_set() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_class_set_sized(uvdio_engine_t* engine, unsigned number,
                                       const uvdio_class_options_t* options, size_t size);

/** Sets the options of a class, for what begins from now on; null options: the defaults. The first
 * call gives the engine classes, and a timer on its loop that does not keep the loop alive. Errors:
 * UV_EINVAL (null engine, `number` is not below UVDIO_CLASSES, shares above UVDIO_SHARES_MAX, an
 * unknown priority), UV_EBUSY (requests are pending, and the engine had no classes so far),
 * UV_EPERM (the system refuses the priority to this process), UV_ENOMEM, UV_EBADF (the engine is
 * closing), UVDIO_EFORK, UVDIO_ETHREAD. Loop thread; before the loop first runs, the thread that
 * sets the engine up. */
static inline int uvdio_class_set(uvdio_engine_t* engine, unsigned number,
                                  const uvdio_class_options_t* options) {
  return uvdio_class_set_sized(engine, number, options, sizeof(uvdio_class_options_t));
}

/** uvdio_class_stats() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_class_stats_sized(const uvdio_engine_t* engine, unsigned number,
                                         uvdio_class_stats_t* stats, size_t size);

/** Tells what a class has done. Errors: UV_EINVAL (null, or `number` is not below UVDIO_CLASSES),
 * UV_ENOENT (the engine has no classes). Loop thread. */
static inline int uvdio_class_stats(const uvdio_engine_t* engine, unsigned number,
                                    uvdio_class_stats_t* stats) {
  return uvdio_class_stats_sized(engine, number, stats, sizeof(uvdio_class_stats_t));
}

/** There is room in a class again (status 0), or the wait was ended, or its engine is closing
 * (UV_ECANCELED). */
typedef void (*uvdio_room_cb)(uvdio_engine_t* engine, unsigned number, int status, void* arg);

/** Calls back once, when the class has room: at most half of queue_max requests, and of
 * queue_bytes_max bytes, wait. Where it has room already the call comes by the next iteration of
 * the loop, which is kept alive for it. Bounded are requests that wait for their turn, not those
 * that wait for others of their file (behind a sync or a truncate). Any number may wait, and are
 * called back in the order of their calls; where one of them fills the class the others wait on.
 * Errors: UV_EINVAL (null engine or callback, `number` is not below UVDIO_CLASSES), UV_ENOENT (the
 * engine has no classes), UV_ENOMEM, UV_EBADF (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD.
 * In a forked child there is no callback before the engine is closed. Loop thread. */
UVDIO_EXTERN int uvdio_class_wait_room(uvdio_engine_t* engine, unsigned number, uvdio_room_cb cb,
                                       void* arg);

/** Ends the oldest wait with this callback and argument: it is called back with UV_ECANCELED by
 * the next iteration. Errors: UV_ENOENT (there is none), and those of uvdio_class_wait_room(). Loop
 * thread. */
UVDIO_EXTERN int uvdio_class_cancel_wait(uvdio_engine_t* engine, unsigned number, uvdio_room_cb cb,
                                         void* arg);

/** Sets the class of the file's requests that have none of their own, for those submitted from now
 * on; an open file only. Errors: UV_EINVAL (null, or `number` is not below UVDIO_CLASSES), UV_EBADF
 * (not open, or the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD. Loop thread. */
UVDIO_EXTERN int uvdio_file_set_class(uvdio_file_t* file, unsigned number);

/** Sets the class of a request, for each of its uses from now on; UVDIO_CLASS_DEFAULT: that of the
 * file. Errors: UV_EINVAL (null, or `number` is not below UVDIO_CLASSES), UV_EBUSY (the request is
 * pending). Any thread that may use the request. */
UVDIO_EXTERN int uvdio_req_set_class(uvdio_req_t* req, unsigned number);

/** uvdio_engine_set_device_model() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_engine_set_device_model_sized(uvdio_engine_t* engine,
                                                     const uvdio_device_model_t* model,
                                                     size_t size);

/** Sets the device model by which requests of the engine are weighed and limited, for what begins
 * from now on. It is one model: files on different devices want an engine for each device. Where
 * nothing is in flight a request begins whatever its weight. Errors: those of uvdio_class_set(),
 * UV_EINVAL also where a field is zero. Loop thread, as uvdio_class_set(). */
static inline int uvdio_engine_set_device_model(uvdio_engine_t* engine,
                                                const uvdio_device_model_t* model) {
  return uvdio_engine_set_device_model_sized(engine, model, sizeof(uvdio_device_model_t));
}

/** Reads a device model that `uvdio probe --measure` has written: lines of a name and a number, in
 * the names of the fields; what stands behind the number, text from `#` on, and names that this
 * version does not know, are passed over. Blocks. Errors: UV_EINVAL (null; a number that is none,
 * or a field that is missing or zero; `model` is unchanged), UV_EFBIG (more than 64 KiB), and those
 * of opening and reading a file. Any thread. */
UVDIO_EXTERN int uvdio_device_model_read(const char* path, uvdio_device_model_t* model);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_CLASS_H */
