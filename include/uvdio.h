/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio.h
 * uvdio: direct I/O on a libuv event loop that the program already has.
 *
 *   An engine (uvdio_engine_t) lives on one uv_loop_t. Files (uvdio_file_t) are opened on the
 *   engine. Each operation is a request (uvdio_req_t) that ends with exactly one callback, on the
 *   loop's thread. Reads and writes move a buffer (uvdio_buf_t) into the library; the callback
 *   moves it back.
 *
 *     uvdio_engine_t* engine;
 *     uvdio_file_t file = UVDIO_ZERO;
 *     uvdio_req_t req = UVDIO_ZERO;
 *     uvdio_buf_t page;
 *
 *     uvdio_engine_create(&engine, uv_default_loop(), NULL);
 *     uvdio_open(engine, &file, &req, "pages.db", UVDIO_OPEN_RW, 0644, NULL);   (this one blocks)
 *     uvdio_buf_page(&page);
 *     uvdio_write(&file, &req, &page, 0, on_written);                           (page is empty now)
 *     uv_run(uv_default_loop(), UV_RUN_DEFAULT);
 *
 *     static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
 *       uvdio_buf_release(&page);                                               (ours again)
 *     }
 *
 * Names. Functions are called uvdio_<noun>_<verb>, and uvdio_<noun>_<what> where they ask;
 * operations on a file have short names (uvdio_read, uvdio_write, ...), as libuv's uv_fs_*. Names
 * that end in `_` are private.
 *
 * Rules that hold everywhere:
 *
 *   1. Functions return 0 or a negative code: libuv's UV_E*, or one of the library's own (below).
 *      After a negative return nothing was taken, no callback follows, and the caller still owns
 *      everything that it passed. uvdio_strerror() gives a text for every code.
 *   2. 0 from an operation with a callback means that it was accepted. Exactly one callback
 *      follows, never from inside the submitting call, on success, on error and on cancellation
 *      alike.
 *   3. From acceptance until its callback begins, a request and its buffer belong to the library:
 *      they must not be read, written, moved or freed. The callback may reuse or free the request.
 *   4. A buffer comes back only when neither the kernel nor a worker thread can access it any more.
 *   5. Operations are called on the thread that runs the loop; another thread gets UVDIO_ETHREAD.
 *      The engine is bound to the thread of the loop's first iteration (uvdio_engine_rebind() binds
 *      it anew). Buffers and arenas may be used on any thread; their functions say how.
 *   6. A null callback makes an operation synchronous: it blocks on the calling thread and returns
 *      0 or the error that the callback would have got. req->result holds the result, and the
 *      buffer stays with the caller.
 *   7. Zero in a field of an options structure means the default.
 *   8. Requests and files are zeroed once, before their first use: `uvdio_req_t req = UVDIO_ZERO;`.
 *   9. Operations on one file run in any order, with two exceptions: a sync covers every change
 *      (write, truncate, preallocate, punch_hole, zero_range) that was submitted before it; and a
 *      truncate (and a preallocate that writes) runs alone, between the operations before and after
 *      it.
 *
 * Stability. From 1.0 on, a major version keeps API and ABI; before, a minor version does.
 * Structures grow at their end only: options and results carry their size, and files and requests
 * have reserved room, so that a program runs with a newer library of the same SOVERSION. Headers in
 * include/uvdio/ that call themselves unstable may change at any release.
 */
#ifndef UVDIO_H
#define UVDIO_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#if UV_VERSION_HEX < 0x012c00
#error "uvdio needs libuv 1.44 or later"
#endif

#ifndef _WIN32
#include <sys/types.h>
#include <sys/uio.h>
#endif

#include "uvdio/private.h"
#include "uvdio/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @def UVDIO_MUST_CHECK
 * Marks results that must not be ignored: where a submission fails no callback follows. */
#if defined(__GNUC__)
#define UVDIO_MUST_CHECK __attribute__((warn_unused_result))
#else
#define UVDIO_MUST_CHECK
#endif

/** @def UVDIO_EXTERN
 * Marks what the library exports. */
#if defined(_WIN32) && defined(UVDIO_BUILDING_SHARED)
#define UVDIO_EXTERN __declspec(dllexport)
#elif defined(_WIN32) && defined(UVDIO_USING_SHARED)
#define UVDIO_EXTERN __declspec(dllimport)
#elif defined(__GNUC__)
#define UVDIO_EXTERN __attribute__((visibility("default")))
#else
#define UVDIO_EXTERN
#endif

/** @def UVDIO_ZERO
 * Zeroes a structure where it is defined: `uvdio_req_t req = UVDIO_ZERO;`. It is `{0}` in C, and
 * `{}` in C++, where compilers warn of the members that `{0}` leaves out. */
#ifdef __cplusplus
#define UVDIO_ZERO \
  {}
#else
#define UVDIO_ZERO \
  { 0 }
#endif

/** Bytes, a power of two: the size of one page. */
#define UVDIO_PAGE_SIZE 4096
/** Bytes, a power of two: the alignment of memory, offset and length for direct I/O, unless a file
 * was opened with UVDIO_O_NATIVE_ALIGN. */
#define UVDIO_ALIGNMENT 4096

/** Bytes. The fixed size of a blob: 512 KiB. */
#define UVDIO_BLOB_SIZE 524288

/** Requests: the largest uvdio_engine_options_t.depth. It is the kernel's limit on a submission
 * queue (io_uring_setup(2), IORING_MAX_ENTRIES). */
#define UVDIO_DEPTH_MAX 32768
/** Requests: the depth where the option is 0. */
#define UVDIO_DEPTH_DEFAULT 256

/** Microseconds: the largest uvdio_engine_options_t.busy_poll_us. */
#define UVDIO_BUSY_POLL_MAX 1000

/** An engine executes requests for one loop. */
typedef struct uvdio_engine_s uvdio_engine_t;
/** An arena: memory cut into frames. */
typedef struct uvdio_arena_s uvdio_arena_t;
typedef struct uvdio_buf_s uvdio_buf_t;
typedef struct uvdio_file_s uvdio_file_t;
typedef struct uvdio_req_s uvdio_req_t;

/** A buffer: memory, how much of it is initialised, and where it came from. */
struct uvdio_buf_s {
  char* base; /**< aligned to UVDIO_ALIGNMENT for heap buffers and frames; null: no memory */
  size_t len; /**< initialised bytes: a write sends them, a completed read sets their number */
  size_t cap; /**< bytes of memory: a read asks for as many */
  UVDIO_BUF_PRIVATE_FIELDS
};

/**
 * @defgroup errors Errors
 *
 * System errors are libuv's UV_E* codes, and where libuv has no name for one the system's negative
 * errno. The library's own lie below every one of those, so that the two can share an int.
 * @{
 */
/* clang-format off */
/** The library's own errors: X(name, code, message). */
#define UVDIO_ERRNO_MAP(X)                                                                        \
  X(EALIGN, -5001,                                                                                \
    "memory, offset, length, chunk or frame size is not a multiple of the alignment")             \
  X(EOFFSET, -5002, "size or offset is out of range (past INT64_MAX, or past the buffer)")        \
  X(ESHORTREAD, -5003, "the file ended, or stopped giving bytes, before the read was complete")   \
  X(ESHORTWRITE, -5004, "the file stopped taking bytes before the write was complete")            \
  X(EPOOL, -5005, "the operation could not be handed to libuv's threadpool")                      \
  X(ESIZE, -5006,                                                                                 \
    "size is zero or too large (for an aligned allocation, or a limit such as record_max)")       \
  X(ENODIRECT, -5007,                                                                             \
    "the filesystem refuses direct I/O (UVDIO_O_DIRECT_PREFERRED would go on buffered)")          \
  X(EDOUBLEFREE, -5008, "the arena frame was released already")                                   \
  X(ENOTFRAME, -5009, "the buffer is not a frame of its arena")                                   \
  X(ETHREAD, -5010, "called from a thread other than the one that runs the engine's loop")        \
  X(EFORK, -5011, "the engine belongs to the parent process; a forked child needs its own")       \
  X(EBACKEND, -5012,                                                                              \
    "the backend that was asked for (by an option, or UVDIO_BACKEND in the environment) is "      \
    "unknown or not available here")                                                              \
  X(ELOCKED, -5013,                                                                               \
    "the file is locked by somebody else (UVDIO_O_LOCK_SHARED, _EXCLUSIVE), or a log is: by "     \
    "another program, or by the last writes of one that was killed (lock_wait_ms)")               \
  X(EATOMIC, -5014,                                                                               \
    "the file has no atomic writes, or none of this shape (one buffer whose length is a power "   \
    "of two from atomic_min to atomic_max, at a multiple of it)")                                 \
  X(EFULL, -5015,                                                                                 \
    "as many requests or bytes wait as the request's class allows (queue_max, "                   \
    "queue_bytes_max; uvdio_class_wait_room() tells when there is room), or as the log does "     \
    "(waiting_max)")                                                                              \
  X(EDAMAGED, -5016,                                                                              \
    "the log is damaged: a block that was durable, or its control file, is missing or wrong")     \
  X(ECUT, -5017, "the record was given up (uvdio_log_cut())")

/** The library's own errors. */
enum uvdio_errno {
#define UVDIO_ERRNO_ENUM_(name, code, message) UVDIO_##name = (code),
  UVDIO_ERRNO_MAP(UVDIO_ERRNO_ENUM_)
#undef UVDIO_ERRNO_ENUM_
};
/* clang-format on */

/** Returns what the code means, in one line: libuv's codes, the system's that libuv passes on
 * without a name (-EDQUOT, -ESTALE, -EUCLEAN, ...), and the library's own. Never null and never
 * allocated; a number that is no code gives "unknown error". Any thread. */
UVDIO_EXTERN const char* uvdio_strerror(int error);

/** Returns the code's name without prefix ("EALIGN", "ENOSPC", "EDQUOT"). Never null and never
 * allocated; a number that is no code gives "UNKNOWN". Any thread. */
UVDIO_EXTERN const char* uvdio_err_name(int error);

/** @} */

/**
 * @defgroup engine Engine
 * @{
 */

/** What executes operations. */
typedef enum {
  /** the environment variable UVDIO_BACKEND, else the first that can be had of ring, aio, pool */
  UVDIO_BACKEND_AUTO = 0,
  UVDIO_BACKEND_RING, /**< io_uring: Linux 5.10 or later, where the program may use it */
  /** kernel AIO (io_submit(2)): Linux 4.19 or later; the default profiles of containers allow it
   * where they deny io_uring. It executes direct reads and writes of up to 1 MiB, and syncs;
   * everything else, files without direct I/O, and what could not begin without waiting (a write
   * that extends its file, RWF_NOWAIT of preadv2(2)) go to the threadpool. A write to a frozen
   * filesystem (fsfreeze(8), snapshots) blocks the loop until it thaws, which it does on no other
   * backend. It has no registered memory. Requests count against the machine's sysctl
   * fs.aio-max-nr, `depth` of them per engine; where that leaves less room, fewer are in flight,
   * and uvdio_engine_backend_reason() says so. */
  UVDIO_BACKEND_AIO,
  /** libuv's threadpool: everywhere. libuv aborts the process where it can't start its threads at
   * their first use. Before its first work the library therefore starts as many threads, which end
   * at once (Linux, and only while the process has too few threads for libuv's to be among them);
   * where that fails, requests end with UVDIO_EPOOL. */
  UVDIO_BACKEND_POOL,
  UVDIO_BACKEND_MEMORY /**< files in RAM that live as long as the engine: for tests */
} uvdio_backend_t;

/** Arenas are registered by uvdio_arena_register() only, and not at first use. */
#define UVDIO_ENGINE_NO_AUTO_REGISTER (1u << 0)

/** Polled completions: direct reads and writes of files whose device has queues for it go to a
 * second ring (IORING_SETUP_IOPOLL), where the engine asks the device for what is done instead of
 * being interrupted. For programs that have a core to themselves, NVMe disks with queues for
 * polling (the module parameters nvme.poll_queues and virtio_blk.poll_queues; queue/io_poll in
 * sysfs is 1 then), and a latency that counts: while such a request is in flight the loop does
 * not sleep, and takes all of a core. Each pass of the loop asks once; with busy_poll_us it asks
 * for so long before it goes on, which saves system calls.
 *
 * What is not polled goes on as without the flag: files without direct I/O or on another device,
 * on any other backend, transfers of more than 1 MiB or 16 buffers, atomic writes, syncs and all
 * other operations. uvdio_engine_backend_reason() tells whether the engine has such a ring,
 * uvdio_file_info() whether a file uses it, and if not why; uvdio_engine_stats_t.polled and
 * .unpolled count. Where the kernel refuses to poll a file's device after all, the request moves
 * to the ordinary ring, and later ones of the file go there at once. The kernel polls writes that
 * extend a file or fill a hole by interrupts. Nothing that is in flight there can be cancelled.
 * Synchronous forms first wait for what the kernel has there. A system call of the program's own
 * must not wait on the loop's thread for what is in flight there, as fallocate(2) and truncate(2)
 * do for direct I/O of the file: nobody would ask for it.
 *
 * The second ring has `depth` entries as well, which count as locked memory, and memory that is
 * registered is registered with both rings; files are not. */
#define UVDIO_ENGINE_POLLED (1u << 1)

/** Options of an engine; all zero: the defaults. */
typedef struct uvdio_engine_options_s {
  /** Requests in flight at most, with kernel and workers together; others wait in the library. */
  unsigned depth;
  /** A backend other than AUTO is used, or uvdio_engine_create() fails. */
  uvdio_backend_t backend;
  /** Callbacks per loop iteration at most, so that the loop's other handles get their share;
   * 0: 256. */
  unsigned callbacks_max;
  /** Requests per io_uring_enter(2) or io_submit(2) at most; 0: 16. Smaller batches are submitted
   * at once while the device is idle, and at the end of each iteration. A write counts as four, a
   * durable one is submitted at once. 1: a system call for each request, which gains a few per cent
   * of operations at small depths and costs much CPU. */
  unsigned submit_batch_max;
  unsigned flags; /**< UVDIO_ENGINE_* */
  /** Microseconds per loop iteration for which a ring or kernel AIO is polled for completions
   * before the loop blocks; 0: never; at most UVDIO_BUSY_POLL_MAX. Lowers latency, burns CPU, and
   * delays the loop's other handles. An iteration that found nothing is followed by an ordinary
   * sleep. The other backends have nothing to poll. */
  unsigned busy_poll_us;
} uvdio_engine_options_t;

/** Counters since uvdio_engine_create(), and some current values. A request counts as submitted
 * when it is accepted, and as completed when its callback begins. */
typedef struct uvdio_engine_stats_s {
  uint64_t submitted;   /**< requests that were accepted */
  uint64_t completed;   /**< requests whose callback has begun */
  uint64_t cancelled;   /**< of those completed: with UV_ECANCELED */
  uint64_t failed;      /**< of those completed: with any other error */
  uint64_t synchronous; /**< operations without a callback, counted nowhere else */
  uint64_t batches;     /**< flushes that submitted something */
  /** by ring or kernel AIO on the loop's thread, reads of the eventfd included */
  uint64_t system_calls;
  uint64_t wakeups;        /**< of the loop, by the eventfd of ring or kernel AIO */
  uint64_t busy_hits;      /**< times that busy polling found a completion */
  uint64_t iterations;     /**< loop iterations that ran callbacks */
  uint64_t callbacks_peak; /**< most callbacks in one iteration */
  uint64_t resumed;        /**< short transfers that were continued */
  /** Repetitions of operations that were interrupted or refused for the moment: at most 64 per
   * operation, which then ends with UV_EINTR or UV_EAGAIN. */
  uint64_t retried;
  /** operations that moved from ring or kernel AIO to the pool, closes among them */
  uint64_t punted;
  /** bytes of file content that were copied in memory by the library */
  uint64_t copied;
  /** transfers that were submitted to the ring with registered memory */
  uint64_t fixed;
  uint64_t registered_bytes;      /**< now, by the engine's ring */
  uint64_t registrations_refused; /**< by the kernel; uvdio_arena_registration() tells why */
  /** Nanoseconds of the library's longest system call on the loop's thread: submission, completion,
   * registering memory and files at first use and releasing them, and calls that no worker could
   * be had for. Without synchronous forms, uvdio_arena_register() and uvdio_arena_unregister().
   * Includes the time for which the thread was not scheduled. */
  uint64_t longest_call_ns;
  unsigned in_flight;      /**< now: with the kernel or a worker */
  unsigned in_flight_peak; /**< most of them at one time */
  uint64_t pending;        /**< now: accepted, callback not begun */
  uint64_t polled; /**< transfers that were submitted to the polled ring (UVDIO_ENGINE_POLLED) */
  /** of those: that moved to the ordinary ring, because the kernel refused to poll or moved a part
   * only */
  uint64_t unpolled;
  /** now: of `pending`, those that wait for frames (uvdio_arena_wait()) and not for a device; a
   * reader of a log that waits at its end is one */
  uint64_t frame_waits;
} uvdio_engine_stats_t;

/** The end of an engine, from uvdio_engine_close(). */
typedef void (*uvdio_engine_cb)(uvdio_engine_t* engine);

/** uvdio_engine_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop,
                                           const uvdio_engine_options_t* options, size_t size);

/** Creates an engine on `loop`, which must outlive it. `options` may be null. The engine may be
 * created on one thread and its loop run on another: the loop's first iteration binds it to the
 * thread that runs the loop. Any number of engines may share a loop. The loop is kept alive by
 * pending requests only. The engine owns some handles of the loop, whose `data` is null and may be
 * used by code that walks over the loop's handles. Close the engine before a walk that closes all
 * handles: an engine whose handles were closed takes requests still, but runs no callback until it
 * is closed itself, which it still can be. Errors: UV_EINVAL (null, unknown backend or flag, depth
 * over UVDIO_DEPTH_MAX, busy_poll_us over UVDIO_BUSY_POLL_MAX), UV_E2BIG (an option of a newer
 * header), UVDIO_EBACKEND (the backend that the option or the environment variable UVDIO_BACKEND
 * names is unknown or not available; uvdio_backend_probe() tells why), UV_ENOMEM (also: the ring
 * that was asked for is more than the limit on locked memory allows), UV_EMFILE. */
static inline int uvdio_engine_create(uvdio_engine_t** engine, uv_loop_t* loop,
                                      const uvdio_engine_options_t* options) {
  return uvdio_engine_create_sized(engine, loop, options, sizeof(uvdio_engine_options_t));
}

/** Closes the engine. From now on every operation on it is refused with UV_EBADF. Accepted requests
 * run to their callbacks, however long the kernel takes, but for waits for frames, which end with
 * UV_ECANCELED (uvdio_arena_wait()); files that are still open are then closed; then `cb` (may be
 * null) is called; then `engine` is freed. When `cb` begins, no file of this engine is open and
 * none of its handles is left on the loop. There is no synchronous form.
 * When the call returns, all of the engine's handles are closing, so that a walk that closes every
 * handle which is not uv_is_closing() is harmless from now on. An idle engine is closed within one
 * loop iteration (with kernel AIO when a worker has given the kernel's context back, which takes 25
 * to 40 ms). Callbacks of pending requests run in the loop's closing phase, at most callbacks_max
 * per iteration; while requests are in flight on a ring or kernel AIO, or wait for another handle
 * of their file (uvdio_dup()), each iteration, also with UV_RUN_NOWAIT, blocks for up to 1 ms where
 * the loop has nothing else to do. In a forked child, after uv_loop_fork(), it frees the child's
 * copy: pending requests end with UVDIO_EFORK, and the parent is not affected. Work queued on
 * libuv's threadpool at the time of the fork keeps the child's loop alive forever and leaks a small
 * allocation, because libuv can't drop it. A descriptor that was being opened or closed at the fork
 * may stay open in the child. With nothing pending, any thread that runs the loop next may call it.
 * A mistake about that is noticed only while another thread is in the loop's poll phase. Errors:
 * UV_EINVAL (null), UV_EBADF (closing already), UVDIO_ETHREAD (requests are pending and this is not
 * the thread that the engine is bound to; or the loop runs on another one). */
UVDIO_EXTERN int uvdio_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb);

/** Unbinds the engine from its thread, for a loop that is handed on to another one: as after
 * uvdio_engine_create(), the loop's next iteration binds it to the thread that runs the loop.
 * Files stay open. Called with nothing pending, by the thread that has run the loop or by the one
 * that runs it next, while no other runs it. Without it, operations on the new thread get
 * UVDIO_ETHREAD. On the ring the engine gets a new ring. Arenas and files are registered again at
 * their next use; with UVDIO_ENGINE_NO_AUTO_REGISTER, arenas have to be registered again. Call it
 * on the old thread if that lives on: from another one, the old ring, its registered memory and
 * files stay with the kernel until that thread ends. The same holds for uvdio_engine_close().
 *
 * Where the loop runs on another thread while requests are pending, operations, cancel, close and
 * rebind are refused there. Requests that the kernel has not got yet go to libuv's threadpool, and
 * their callbacks run on the thread that runs the loop; so does everything of engines without a
 * ring. Requests in flight on a ring may have to wait until the loop runs on the old thread again,
 * or that thread ends (which waits for the kernel); meanwhile the loop sleeps as usual. From then
 * on the pool executes new requests, until uvdio_engine_rebind(). Errors: UV_EINVAL (null),
 * UV_EBADF (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD (the loop runs on another thread),
 * UV_EBUSY (requests are pending); of the ring, with nothing changed: UV_ENOMEM, UV_EMFILE and
 * others of the kernel. */
UVDIO_EXTERN int uvdio_engine_rebind(uvdio_engine_t* engine);

/** Returns the pointer that the user has set; null at first. */
UVDIO_EXTERN void* uvdio_engine_data(const uvdio_engine_t* engine);

/** Sets a pointer of the user's, which the library never touches. */
UVDIO_EXTERN void uvdio_engine_set_data(uvdio_engine_t* engine, void* data);

/** Returns the loop on which the engine lives. */
UVDIO_EXTERN uv_loop_t* uvdio_engine_loop(const uvdio_engine_t* engine);

/** The name of the engine's backend: "ring", "aio", "pool" or "memory". It may change once, to
 * "pool", when a ring or kernel AIO turns out to be unusable at its first use or later. The text
 * lives as long as the engine. Never null; a null engine gives "none". */
UVDIO_EXTERN const char* uvdio_engine_backend(const uvdio_engine_t* engine);

/** Why that backend runs, and why not a better one, in words that a person can act on. Lifetime as
 * for uvdio_engine_backend(). Never null. */
UVDIO_EXTERN const char* uvdio_engine_backend_reason(const uvdio_engine_t* engine);

/** Tries whether a backend can be used here and now: a ring by a round trip through a small one,
 * kernel AIO by one through a small context (whose end blocks for 25 to 40 ms). `reason` (may be
 * null) receives why or why not, cut to `size` bytes. AUTO asks about the backend that
 * uvdio_engine_create() would choose. Returns 0, or the error that stands in the way. Any
 * thread. */
UVDIO_EXTERN int uvdio_backend_probe(uvdio_backend_t backend, char* reason, size_t size);

/** uvdio_engine_stats() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_engine_stats_sized(const uvdio_engine_t* engine, uvdio_engine_stats_t* stats,
                                          size_t size);

/** Copies the counters. Errors: UV_EINVAL (null). Loop thread. */
static inline int uvdio_engine_stats(const uvdio_engine_t* engine, uvdio_engine_stats_t* stats) {
  return uvdio_engine_stats_sized(engine, stats, sizeof(uvdio_engine_stats_t));
}

/** @} */

/**
 * @defgroup requests Requests
 * @{
 */

/** @name Kinds of operations
 * The third column of UVDIO_OP_MAP; the library and its tests derive from it how an operation is
 * ordered, latched and covered.
 * @{ */
#define UVDIO_OP_KIND_PLAIN 0u           /**< neither of these: open, size, stat, close */
#define UVDIO_OP_KIND_TRANSFER (1u << 0) /**< moves bytes between a buffer and the file */
/** changes the file: a sync covers it, a latch refuses it */
#define UVDIO_OP_KIND_CHANGE (1u << 1)
#define UVDIO_OP_KIND_SYNC (1u << 2) /**< makes earlier changes durable */
#define UVDIO_OP_KIND_NAME (1u << 3) /**< on names, with an engine and no file */
/** for frames of an arena, with an engine and no file; no backend executes it */
#define UVDIO_OP_KIND_FRAMES (1u << 4)
/** @} */

/* clang-format off */
/** X(NAME, text, kind): every operation there is. New ones come last: the values are ABI. */
#define UVDIO_OP_MAP(X)                                                     \
  X(OPEN, "open", UVDIO_OP_KIND_PLAIN)                                      \
  X(READ, "read", UVDIO_OP_KIND_TRANSFER)                                   \
  X(WRITE, "write", UVDIO_OP_KIND_TRANSFER | UVDIO_OP_KIND_CHANGE)          \
  X(SYNC_DATA, "sync_data", UVDIO_OP_KIND_SYNC)                             \
  X(SYNC_ALL, "sync_all", UVDIO_OP_KIND_SYNC)                               \
  X(SIZE, "size", UVDIO_OP_KIND_PLAIN)                                      \
  X(TRUNCATE, "truncate", UVDIO_OP_KIND_CHANGE)                             \
  X(PREALLOCATE, "preallocate", UVDIO_OP_KIND_CHANGE)                       \
  X(CLOSE, "close", UVDIO_OP_KIND_PLAIN)                                    \
  X(STAT, "stat", UVDIO_OP_KIND_PLAIN)                                      \
  X(PUNCH_HOLE, "punch_hole", UVDIO_OP_KIND_CHANGE)                         \
  X(ZERO_RANGE, "zero_range", UVDIO_OP_KIND_CHANGE)                         \
  X(NEXT_DATA, "next_data", UVDIO_OP_KIND_PLAIN)                            \
  X(NEXT_HOLE, "next_hole", UVDIO_OP_KIND_PLAIN)                            \
  X(SET_HINT, "set_hint", UVDIO_OP_KIND_PLAIN)                               \
  X(RENAME, "rename", UVDIO_OP_KIND_NAME)                                   \
  X(LINK, "link", UVDIO_OP_KIND_NAME)                                       \
  X(UNLINK, "unlink", UVDIO_OP_KIND_NAME)                                   \
  X(MKDIR, "mkdir", UVDIO_OP_KIND_NAME)                                     \
  X(RMDIR, "rmdir", UVDIO_OP_KIND_NAME)                                     \
  X(SYNC_DIRECTORY, "sync_directory", UVDIO_OP_KIND_NAME)                   \
  X(REPLACE, "replace", UVDIO_OP_KIND_SYNC)                                 \
  X(ARENA_WAIT, "arena_wait", UVDIO_OP_KIND_FRAMES)

/** Operations. */
typedef enum {
  UVDIO_OP_NONE = 0, /**< no operation */
#define UVDIO_OP_ENUM_(name, text, kind) UVDIO_OP_##name,
  UVDIO_OP_MAP(UVDIO_OP_ENUM_)
#undef UVDIO_OP_ENUM_
  UVDIO_OP_COUNT /**< how many there are, and one */
} uvdio_op_t;
/* clang-format on */

/** The operation's name ("read"); "none" for what is no operation. Any thread. */
UVDIO_EXTERN const char* uvdio_op_name(uvdio_op_t op);

/** The end of an operation without a buffer: 0 (for size: bytes, for next_data and next_hole: an
 * offset), or a negative code. */
typedef void (*uvdio_cb)(uvdio_req_t* req, int64_t result);

/** The end of a read or write: bytes transferred, or a negative code. `buf` is the caller's again,
 * in every case. After a read buf.len is the number of bytes that arrived, also on error. */
typedef void (*uvdio_io_cb)(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

/** The end of a read or write of several buffers: bytes transferred, or a negative code. All
 * buffers are the caller's again, in every case and in their order. After a read each has its part
 * of the bytes that arrived as its len. `bufs` is an array of the library's own, and not the one
 * that the call was given; it is there until the callback returns: release each buffer in it, or
 * copy its handle. */
typedef void (*uvdio_vector_cb)(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs,
                                unsigned count);

/** A request: one operation, from its submission to its callback. */
struct uvdio_req_s {
  void* data; /**< the user's; the library never touches it */
  /* to read, from the callback (or the synchronous return) until the request is used again */
  /** on which the operation was; null after one on names (uvdio_rename), or for frames */
  uvdio_file_t* file;
  int64_t result; /**< what the callback was given */
  /** bytes moved by a read or write, also where it failed half-way; of uvdio_replace(): 1 where
   * `path` is the new file */
  size_t transferred;
  uvdio_op_t op; /**< which operation it was */
  UVDIO_REQ_PRIVATE_FIELDS
};

/** Asks that a pending request end early. Its one callback runs all the same: with UV_ECANCELED
 * where it had not started, else with its ordinary result; disk I/O in flight can't be stopped.
 * Errors: UV_EINVAL (null, or not pending), UV_EBUSY (it has ended and its callback is due; a
 * close, which can't be taken back; a call within uvdio_engine_walk()), UVDIO_ETHREAD, UVDIO_EFORK.
 */
UVDIO_EXTERN int uvdio_cancel(uvdio_req_t* req);

/** Asks all pending requests of the engine to end early, as uvdio_cancel() asks one; closes go on.
 * Those that had not started end with UV_ECANCELED in the loop's next iteration. May be called from
 * a callback, and after uvdio_engine_close(): an engine that is closed then waits only for what the
 * kernel or a worker has in hand. Errors: UV_EINVAL (null), UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN int uvdio_engine_cancel(uvdio_engine_t* engine);

/** The same for the requests of one file, also after uvdio_close(). Errors: UV_EINVAL (null),
 * UV_EBADF (the file is neither open nor being opened or closed), UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN int uvdio_file_cancel(uvdio_file_t* file);

/** How far a pending request has come. */
typedef enum {
  UVDIO_REQUEST_WAITING = 0, /**< for one of the engine's `depth` places */
  UVDIO_REQUEST_RUNNING,     /**< with the kernel or a worker */
  /** for other requests of its file, see rule 9, or for frames (uvdio_arena_wait()) */
  UVDIO_REQUEST_DEFERRED,
  UVDIO_REQUEST_COMPLETED /**< its callback is due */
} uvdio_request_state_t;

/** One pending request. Later versions may append fields. */
typedef struct uvdio_request_info_s {
  /** its `data` may be read, and its `file` but for operations on names and for frames */
  const uvdio_req_t* req;
  uvdio_op_t op;               /**< which operation it is */
  uvdio_request_state_t state; /**< how far it has come */
  /** by which its file was opened, or on which it works; until the callback returns */
  const char* path;
  /** the backend that has it, or is to have it: "ring", ...; "none" of a wait for frames */
  const char* backend;
  uint64_t offset;    /**< bytes, where it begins; of a truncate the size; of others 0 */
  size_t length;      /**< bytes of a read or write, frames; of others it means nothing */
  size_t transferred; /**< bytes of these that were moved in steps that have ended */
  uint64_t age_ms;    /**< milliseconds since it was accepted, by uv_now() */
  int is_cancelled;   /**< 1: it was asked to end early */
  /** Milliseconds since any request of the engine was called back, or since this one was accepted
   * where that is less. As much as age_ms, and the device hangs, or the thread of the loop does;
   * less, and others got through: it is slow, or they were first. */
  uint64_t silent_ms;
} uvdio_request_info_t;

/** One pending request, from uvdio_engine_walk(). It may call no function of the library but those
 * that ask (uvdio_op_name(), uvdio_file_info(), ...). To end what is too old, collect the requests
 * and cancel them after the walk; within it, cancelling is refused with UV_EBUSY. */
typedef void (*uvdio_walk_cb)(const uvdio_request_info_t* info, void* arg);

/** Calls `cb` for each pending request of the engine, in no particular order: for a look at an
 * engine that seems to hang. Among them are the closes that uvdio_engine_close() makes, and, as
 * UVDIO_OP_NONE, the end of its kernel AIO. Takes time by the number of requests and files; makes
 * no system call. Errors: UV_EINVAL (null), UVDIO_ETHREAD, UVDIO_EFORK. Loop thread. */
UVDIO_EXTERN int uvdio_engine_walk(uvdio_engine_t* engine, uvdio_walk_cb cb, void* arg);

/** A request that is late, from uvdio_engine_watch(). It stays pending, and its buffer the
 * library's, until its own callback: what the kernel has can't be taken back. The callback may call
 * any function of the library, uvdio_cancel() of the request included, but not free it. */
typedef void (*uvdio_late_cb)(const uvdio_request_info_t* info, void* arg);

/** From now on `cb` is called on the loop's thread, once for each request that has been pending for
 * `deadline_ms` milliseconds or, where it has one, for its own deadline; a quarter of `deadline_ms`
 * later at most, while the loop turns. Time is uv_now()'s: after long work of your own call
 * uv_update_time() before you submit. A null `cb` ends that. Costs nothing per request, and a look
 * at all pending ones in each quarter. An engine that is being closed goes on to report where it
 * has iterations: with ring and kernel AIO; with the pool, uvdio_engine_walk() tells what its close
 * waits for. Errors: UV_EINVAL (null engine; a callback and 0 ms, or more than UINT32_MAX),
 * UV_EBADF (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD. Loop thread; before the loop first
 * runs, the thread that sets the engine up. */
UVDIO_EXTERN int uvdio_engine_watch(uvdio_engine_t* engine, uint64_t deadline_ms, uvdio_late_cb cb,
                                    void* arg);

/** Sets a deadline of the request's own, in milliseconds from its acceptance, for each of its uses
 * from now on; 0: that of uvdio_engine_watch(), without which no deadline is looked at. Errors:
 * UV_EINVAL (null, or more than UINT32_MAX), UV_EBUSY (the request is pending). Any thread that may
 * use the request. */
UVDIO_EXTERN int uvdio_req_set_deadline(uvdio_req_t* req, uint64_t deadline_ms);

/** @} */

/**
 * @defgroup files Files
 *
 * Checks that every operation on a file makes, in this order, before it takes anything:
 *
 *   UV_EINVAL       a null pointer (a null callback asks for the synchronous form), a buffer
 *                   without memory (never allocated, released, or submitted already)
 *   UV_EBADF        the file is not open or is being closed, or its engine is; a change to a
 *                   read-only file, a read of a write-only one
 *   UV_EISDIR       the file is a directory (UVDIO_O_DIRECTORY), and the operation about bytes
 *   UVDIO_EFORK     a forked child uses its parent's engine
 *   UVDIO_ETHREAD   another thread than the loop's
 *   UVDIO_EFULL     the request's class has no room (uvdio/class.h)
 *   UV_EBUSY        the request is pending already
 *   UVDIO_EALIGN    reads and writes: base, offset or length is no multiple of the file's alignment
 *   UVDIO_EOFFSET   an offset, length or their sum past INT64_MAX; a len past the buffer's cap
 *   UVDIO_EATOMIC   writes with UVDIO_WRITE_ATOMIC: the file can't, or not so
 *   latched error   any change or sync after a failed sync or durable write (uvdio_sync_data())
 *
 * Signals. The library sends none and handles none. Where a write, truncate or preallocate goes
 * past the process's limit on file size (setrlimit(2), RLIMIT_FSIZE), the kernel sends SIGXFSZ to
 * the thread that performs it, whose default action ends the process. Ignore it (signal(SIGXFSZ,
 * SIG_IGN)) or handle it, and the operation ends with UV_EFBIG, on every backend but the one in
 * memory, which has no limit. (The kernel's own workers, which the ring may use, get no signal that
 * ends the process; which operations they perform differs between kernels and filesystems.) Memory
 * that was unmapped under a buffer gives UV_EFAULT, and no SIGBUS, on ring and pool.
 *
 * Several handles. The library knows one uvdio_file_t at a time, whatever else is open on the same
 * file:
 *
 *   A second handle, in this program or another, has its own order, latch and truncates.
 *     - A sync waits for the changes that were submitted on its own handle. Of another handle's
 *       changes it makes durable those that had ended when the sync began (fsync(2) is about the
 *       file).
 *     - A failed sync latches its own handle. Whether another handle is told of the same loss is up
 *       to the kernel: a success there proves nothing.
 *     - A truncate waits for nothing of another handle and excludes nothing there: see
 *       uvdio_truncate().
 *     - A read sees every write whose callback ran before the read was submitted, on any handle; of
 *       a write in flight it may see any part. This holds on one machine and among direct
 *       transfers, not for mmap(2) or unsynced writes through the page cache.
 *
 *   Handles that uvdio_dup() has made of an open file share its latch, and wait for each other's
 *     truncates and syncs: see there.
 *
 *   A descriptor that uvdio_adopt() has taken, and its duplicates elsewhere, are one open file: its
 *     flags, position and lock are shared with whoever has a duplicate, and the library knows of
 *     none. As to order, latch and syncs it is a handle like any other.
 *
 *   A forked child gets UVDIO_EFORK from every operation on its parent's engine, and can't rely on
 *     requests that were in flight, nor on its copies of their buffers. It shares the open files
 *     until it closes the engine, or calls exec or exit: until then a close by the parent is not
 *     the last one, so that the space of an unlinked file stays taken and a lock of flock(2) stays
 *     held. A lock of UVDIO_O_LOCK_* goes with the parent's close all the same, and not with the
 *     child's; where the parent ends without a close, the child keeps it. A child that wants the
 *     files makes its own engine and opens them: a second handle like any other.
 *
 *   fork(2) itself waits until no thread of libuv's holds the lock of a loop whose engines have
 *     work on the threadpool, at most half a second for each loop: a child that ran the loop would
 *     wait for that lock for good (libuv 1.44 to 1.50, src/threadpool.c). Nobody waits for a loop
 *     that has only works of the program's own. The library's handlers (pthread_atfork(3)) are
 *     registered when it is loaded: handlers that a program registers after that may use the
 *     library, those that were there before dlopen(3) loaded it must not.
 *
 *   A program that ends with requests pending, by SIGKILL, a crash or exit(3): writes that the
 *     kernel has accepted from a ring go on, and may reach the file after the process is gone
 *     (waitpid(2) included) and after a successor has read the file; each lands as a whole, in
 *     part, or never.
 *     (Requests that the kernel executes on a thread of the program are done before the program is
 *     gone, from Linux 5.12 on, or never: truncates, preallocates, opens, and writes that could not
 *     begin at once.) Of the pool only the requests that a worker executes are done, before the
 *     process is gone. Writes that had ended stay written, as durable as their syncs have made
 *     them. So a successor that reads at once may see a block change later: after 175 ms at most in
 *     30 runs on one machine, but nothing bounds it. The kernel keeps the open file, and with it a
 *     lock of UVDIO_O_LOCK_* or flock(2), until the last of these writes is done: a successor that
 *     gets the lock comes after them. uvdio_sim_crash() in uvdio/sim.h simulates such ends.
 * @{
 */

#define UVDIO_O_RDONLY 0u        /**< open for reads */
#define UVDIO_O_RDWR (1u << 0)   /**< open for reads, writes and changes of the size */
#define UVDIO_O_CREATE (1u << 1) /**< if missing; needs RDWR or WRONLY */
/** With CREATE: fail with UV_EEXIST where the path exists. Without it: open a block device for
 * itself, and fail with UV_EBUSY where it is mounted or another program has it so (open(2), O_EXCL;
 * Linux alone, elsewhere UV_ENOTSUP); what is no block device fails with UV_EINVAL. */
#define UVDIO_O_EXCLUSIVE (1u << 2)
#define UVDIO_O_TRUNCATE (1u << 3) /**< to zero; needs RDWR or WRONLY */
#define UVDIO_O_DSYNC (1u << 4)    /**< a write is durable when its callback runs (O_DSYNC) */
/** refuse a path whose last part is a symbolic link (UV_ELOOP) */
#define UVDIO_O_NOFOLLOW (1u << 5)
/** Where the filesystem refuses direct I/O, use the page cache; uvdio_file_info() tells. The
 * alignment is enforced all the same, so that a program's transfers are the same everywhere.
 * Without this flag the open fails with UVDIO_ENODIRECT. */
#define UVDIO_O_DIRECT_PREFERRED (1u << 6)
/** Enforce the alignment that the system requires for this file (512 bytes on many) instead of
 * UVDIO_ALIGNMENT. What it recommends may be more: uvdio_file_info_t.recommended_align. */
#define UVDIO_O_NATIVE_ALIGN (1u << 7)
/** Open for writes and changes of the size, and not for reads: the file's permissions need not
 * allow them. Not with RDWR. A filesystem that accepts direct I/O and refuses each direct transfer
 * (an overlay over one without it) is noticed by a trial read; of a write-only file the first write
 * fails there with UV_EINVAL. */
#define UVDIO_O_WRONLY (1u << 8)
/** Lock the whole file against UVDIO_O_LOCK_EXCLUSIVE of others; needs RDONLY or RDWR. The lock is
 * taken within the open, before anything is truncated. It is advisory: it keeps out who asks for
 * one. Where somebody has a lock that excludes it, the open does not wait and ends with
 * UVDIO_ELOCKED; a file that it has created stays, because it is the other's. The lock goes with
 * the close, before the close's callback; see "Several handles" for forks and crashes.
 *
 * It belongs to the open file and not to the process (Linux: F_OFD_SETLK, fcntl(2); macOS:
 * flock(2)): it excludes other handles of this program as well, and closing one of these does not
 * release it. On Linux it excludes locks of fcntl(2) and lockf(3), and none of flock(2). On network
 * filesystems it is the server's. Memory and worlds have locks among the files of their engines.
 * Windows: UV_ENOTSUP. */
#define UVDIO_O_LOCK_SHARED (1u << 9)
/** The same against every other lock; needs RDWR or WRONLY. */
#define UVDIO_O_LOCK_EXCLUSIVE (1u << 10)
/** Use the page cache by choice: offsets, lengths and memory of any alignment. Writes are durable
 * after a sync, as ever. Not with DIRECT_PREFERRED. (Memory and worlds: the alignment alone.) */
#define UVDIO_O_BUFFERED (1u << 11)
/** With BUFFERED, or DIRECT_PREFERRED where that goes buffered: transfers leave nothing behind in
 * the page cache (RWF_DONTCACHE, preadv2(2), Linux 6.14): written pages are written back at once
 * and dropped then, pages that were read are dropped after the read, and those that were there
 * before stay. It is a wish: Linux 6.18 keeps the pages of blocks that ext4 overwrites. Where
 * kernel or filesystem lack it the pages are kept, as without the flag, and so they are on other
 * systems and for write-only files, which can't be asked; uvdio_file_info_t.cache tells. */
#define UVDIO_O_DONTCACHE (1u << 12)
/** uvdio_dup() may make further handles of the open file, on other engines and threads. Costs each
 * read and change of the file some look-ups, and a mutex where none was under way before. */
#define UVDIO_O_DUP (1u << 13)
/** Open a directory, as a base: paths can be relative to it (uvdio_open_at(), uvdio_rename_at(),
 * ...), wherever it is moved. uvdio_sync_all() and uvdio_sync_data() make its names durable, as
 * uvdio_sync_directory() does, and latch as of any file; uvdio_stat(), uvdio_file_info(),
 * uvdio_file_descriptor(), uvdio_release() and uvdio_close() work as ever. It is not direct, and
 * whatever is about bytes gets UV_EISDIR (reads, writes, sizes, space, replaces, links). With
 * NOFOLLOW at most. What is no directory ends with UV_ENOTDIR. macOS, Windows: UV_ENOTSUP. */
#define UVDIO_O_DIRECTORY (1u << 14)
/** A new file without a name, in the filesystem of the directory at `path` (O_TMPFILE, open(2)): it
 * is gone when it is closed, and after a crash, until uvdio_link_file() has given it a name. Needs
 * RDWR or WRONLY; not with CREATE, EXCLUSIVE, TRUNCATE, NOFOLLOW or DIRECTORY. UV_ENOTSUP where the
 * filesystem has none (some of FUSE, NFS and overlays), on macOS and on Windows. */
#define UVDIO_O_ANONYMOUS (1u << 15)

/** An existing file, for reads. */
#define UVDIO_OPEN_READ UVDIO_O_RDONLY
/** A new or emptied file. */
#define UVDIO_OPEN_CREATE (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_TRUNCATE)
/** An existing file, or a new one. */
#define UVDIO_OPEN_RW (UVDIO_O_RDWR | UVDIO_O_CREATE)
/** A log: the same, and each write is durable when its callback runs. */
#define UVDIO_OPEN_WAL (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_DSYNC)

/** The source of the alignment that the system requires. */
typedef enum {
  UVDIO_ALIGN_DEFAULT = 0, /**< UVDIO_ALIGNMENT: the system reports nothing */
  UVDIO_ALIGN_STATX,       /**< the kernel, by STATX_DIOALIGN (statx(2), Linux 6.1) */
  UVDIO_ALIGN_SYSTEM       /**< the device's sector size, asked for otherwise */
} uvdio_align_source_t;

/** A method to make a write durable: UVDIO_WRITE_DURABLE. */
typedef enum {
  UVDIO_DURABLE_UNDECIDED = 0, /**< not enough writes have been measured */
  UVDIO_DURABLE_BY_DSYNC,      /**< the write itself is durable */
  UVDIO_DURABLE_BY_SYNC        /**< a sync follows, which writes share */
} uvdio_durable_method_t;

/** What transfers have to do with the page cache. */
typedef enum {
  UVDIO_CACHE_BYPASSED = 0, /**< direct I/O */
  UVDIO_CACHE_KEPT,         /**< buffered: pages stay in the cache */
  UVDIO_CACHE_DROPPED       /**< buffered, by UVDIO_O_DONTCACHE: none stays that was not there */
} uvdio_cache_t;

/** What was opened, how it is executed, and which alignment holds. */
typedef struct uvdio_file_info_s {
  /** backend of this file's reads and writes: "ring", "aio", "pool", "memory" */
  const char* backend;
  /** backend used while other requests are in flight: the same one on most filesystems */
  const char* backend_concurrent;
  const char* reason;     /**< why it is not the engine's own backend, or "" */
  const char* filesystem; /**< "ext4", "xfs", ...; "unknown" */
  /** 1: past the page cache; 0: buffered, by UVDIO_O_DIRECT_PREFERRED or UVDIO_O_BUFFERED */
  int is_direct;
  int latch_error;   /**< 0, or the error of the sync or durable write that failed */
  int is_registered; /**< 1: in the ring's table of files, which saves look-ups */
  /** 1: durable writes run one at a time; see uvdio_write */
  int is_durable_serialized;
  unsigned flags; /**< UVDIO_* of the open */
  /**
   * Bytes, all powers of two. What is enforced, alike for reads and writes: UVDIO_ALIGNMENT or what
   * the system requires, if that is more; under UVDIO_O_NATIVE_ALIGN what it requires; under
   * UVDIO_O_BUFFERED 1. */
  uint32_t memory_align;
  uint32_t offset_align; /**< and length */
  /** What the system requires; 0 where it does not say. */
  uint32_t system_memory_align;
  uint32_t system_offset_align; /**< and length: of reads and writes */
  uint32_t system_read_align;   /**< and length: of reads, less where the system tells them apart */
  /** What it recommends for offset and length of writes, where that is more than it requires (else
   * system_offset_align). XFS: smaller writes to blocks that files share (reflinks, snapshots) go
   * through the page cache, which costs more; a sync covers them like the others. */
  uint32_t recommended_align;
  uvdio_align_source_t align_source; /**< who gave the system_* values */

  /** What was true when the file was opened, from the system calls that the open makes anyway: none
   * is made for it, and later changes don't show. (For the times, NFS writes the file's dirty pages
   * back first, on a worker: Linux, fs/nfs/inode.c, nfs_getattr().) 0: the system does not say, or
   * the file is in memory and has no such thing. */
  uint64_t open_size;  /**< bytes; 0 after UVDIO_O_TRUNCATE, and of a block device (uvdio_size()) */
  uint64_t device;     /**< the filesystem's; st_dev of stat(2). 0 on Windows */
  uint64_t inode;      /**< the file's on it; st_ino. 0 on Windows */
  int64_t modified_ns; /**< since 1970, as the two below; the content (mtime) */
  int64_t changed_ns;  /**< the content or the metadata (ctime) */
  int64_t created_ns;  /**< the file (btime of statx(2)) */

  uint32_t optimal_size; /**< bytes of a transfer that suits the filesystem (st_blksize) */
  /** Bytes of the smallest write that can't be torn (RWF_ATOMIC; statx(2), STATX_WRITE_ATOMIC,
   * Linux 6.11); powers of two up to atomic_max can't, either. 0: none. */
  uint32_t atomic_min;
  uint32_t atomic_max; /**< bytes of the largest; 0: none */

  /** How UVDIO_WRITE_DURABLE makes writes of this file durable. */
  uvdio_durable_method_t durable_method;
  /** Nanoseconds: the medians that the method was chosen by, of writes on the file's device through
   * this engine; 0: not measured. */
  uint64_t durable_dsync_ns;
  uint64_t durable_sync_ns; /**< the same, by a sync */

  uvdio_cache_t cache; /**< is_direct, and what is left of buffered transfers */

  /* Of the device that has the file, asked for by the open's last step. What is required of a
   * transfer are the system_* values; of these, what is less or more is slower. 0: unknown, as of
   * network and memory filesystems, and of those that several devices may have (btrfs). */
  /** Bytes that the device writes at least: of a write that covers a part of such a block, it reads
   * the rest first (Linux: queue/physical_block_size in sysfs, or the ioctl BLKPBSZGET of a block
   * device; Windows: FILE_STORAGE_INFO, of direct files; macOS: DKIOCGETPHYSICALBLOCKSIZE, of
   * disks). */
  uint32_t physical_block;
  /** Bytes of the largest request that the device gets; the system splits larger transfers (Linux:
   * queue/max_sectors_kb in sysfs, or the ioctl BLKSECTGET; elsewhere 0). */
  uint64_t request_max;

  /** 1: its reads and writes go to the engine's polled ring (UVDIO_ENGINE_POLLED). */
  int is_polled;
  const char* polled_reason; /**< why not, or "": the engine was not asked to, or it is */
} uvdio_file_info_t;

/** An open file. */
struct uvdio_file_s {
  void* data; /**< the user's; the library never touches it */
  UVDIO_FILE_PRIVATE_FIELDS
};

/** Opens `path` on the engine. `file` is filled in; it may be used from the callback on, and must
 * stay where it is until it is closed. `path` (UTF-8) is copied. `mode` is for a file that is
 * created (open(2)), and may forbid writing; Windows ignores it. Descriptors are close-on-exec.
 *
 * The path is looked up, permissions are checked and the umask is applied at some moment between
 * the call and the callback, on every backend (synchronous form: during the call). Whatever these
 * depend on has to hold all that time: the working directory for a relative path, the root
 * directory, the umask, user and groups of the process. Per-thread state (unshare(2), setfsuid(2))
 * may or may not count.
 *
 * An open is one step on the path, with all of its flags: the file is the one that the path leads
 * to at that moment, and its descriptor tells whether it takes direct I/O. Direct I/O bypasses
 * this kernel's page cache; a server behind the file (network, FUSE) is not told, and may have a
 * cache of its own.
 *
 * An open that fails leaves everything as it was: an existing file is not truncated, and a file
 * that this open has created is removed, although others may have seen it. It is not removed where
 * somebody has locked it, has written to it or has put something else in its place; only a
 * replacement between the last look at the name and its removal, two system calls in a row, would
 * be removed instead. (A file created through a symbolic link at the end of the path stays on
 * macOS, and on Linux before 6.12.)
 *
 * Opening may take long, and so may closing the descriptor of a failed open: workers do both.
 *
 * Errors returned: UV_EINVAL (null, unknown or contradictory flags), UV_EBADF (the engine is
 * closing), UV_EBUSY (the file is open, or the request pending), UV_ENOMEM, UVDIO_EFORK,
 * UVDIO_ETHREAD. Errors delivered: UV_ENOENT, UV_EACCES, UV_EISDIR, ... of the system;
 * UVDIO_ENODIRECT; UVDIO_ELOCKED; UV_ECANCELED; UV_EINTR where a system call was interrupted 64
 * times (some FUSE filesystems always are). After an error the file is not open, and may be used
 * for another open. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_open(uvdio_engine_t* engine, uvdio_file_t* file,
                                             uvdio_req_t* req, const char* path, unsigned flags,
                                             int mode, uvdio_cb cb);

/** Like uvdio_open(), with a path that is relative to an open directory (UVDIO_O_DIRECTORY); an
 * absolute one ignores it (openat(2)). The file is on the engine of `base`, which counts as pending
 * until the callback: its close waits, and uvdio_file_cancel() of it ends the open early. The
 * directory may be moved meanwhile. Errors returned: those of uvdio_open(); UV_EINVAL (null),
 * UV_EBADF (`base` is not open), UV_ENOTDIR (it is no directory). Errors delivered: those of
 * uvdio_open(); UV_ENOENT also where the directory was removed. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_open_at(uvdio_file_t* base, uvdio_file_t* file,
                                                uvdio_req_t* req, const char* path, unsigned flags,
                                                int mode, uvdio_cb cb);

/** Makes a file of a descriptor that the program has: one that was handed to it, or opened by a
 * call that uvdio_open() has no flag for. `flags` are those of an open, without CREATE, EXCLUSIVE,
 * TRUNCATE, NOFOLLOW and ANONYMOUS. The descriptor has to allow what they ask for (RDONLY: reads;
 * RDWR: both; WRONLY: writes), and may allow more. O_DSYNC of the descriptor counts as
 * UVDIO_O_DSYNC, which it can't be given later. Direct I/O is switched on, or off by
 * UVDIO_O_BUFFERED, and O_NONBLOCK off (fcntl(2), F_SETFL). These flags, and the position, which
 * asking for the size of a file moves, belong to the open file, which duplicates of the descriptor
 * and forked children share.
 *
 * Ownership: from the callback on (synchronous form: from the return on) the descriptor is the
 * library's, which closes it with the file; uvdio_release() gives it back. Until then the program
 * leaves it alone. After an error it is the caller's, open, and with the flags that it had. The
 * file has no path: uvdio_request_info_t tells "".
 *
 * The request's operation is UVDIO_OP_OPEN. Errors returned: those of uvdio_open(); UV_EBADF also
 * for a negative descriptor; UV_EBUSY also where a file of this engine has the descriptor;
 * UV_ENOTSUP (memory, worlds, macOS, Windows). Errors delivered: UV_EBADF (no descriptor, or one of
 * O_PATH), UV_EACCES (opened for less than the flags ask for), UV_EINVAL (opened with O_APPEND, or
 * without O_DSYNC where UVDIO_O_DSYNC asks for it), UV_ESPIPE and UV_EISDIR (no file to be read at
 * an offset), UVDIO_ENODIRECT, UVDIO_ELOCKED, UV_ECANCELED and the system's. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_adopt(uvdio_engine_t* engine, uvdio_file_t* file,
                                              uvdio_req_t* req, uv_os_fd_t descriptor,
                                              unsigned flags, uvdio_cb cb);

/** Makes one more handle of an open file, on the same engine or another one, whose loop may run on
 * another thread: `file` is open when the call returns, without a callback. The file must have been
 * opened with UVDIO_O_DUP, or be such a handle itself. Handles are closed one by one, in any order;
 * the advisory lock of the open (UVDIO_O_LOCK_*) goes with the last of them. Where one was released
 * (uvdio_release()), it goes when all their descriptors are closed, also those of forked children.
 *
 * The handles have one open file, with one set of flags (dup(2)), and of the rules that hold for
 * operations on one file these hold for all handles together:
 *   - A truncate (and a preallocate that writes) runs alone: reads and changes of other handles
 *     that are under way end before it begins, and later ones wait until it has ended. No handle
 *     waits forever, whatever the others submit.
 *   - One sync runs at a time, or durable write where is_durable_serialized is 1.
 *   - The latch. After a sync or durable write of one handle has failed, changes and syncs of every
 *     handle get its error.
 * Each handle's syncs wait for its own changes. Of another handle's changes a sync makes durable
 * those that had their callbacks when it was submitted. Synchronous forms end with UV_EBUSY where
 * they would have to wait for another handle. A loop that does not run holds others up only while
 * reads, changes or a sync of its handles are pending, also where these wait for another handle:
 * its turn may have come.
 *
 * Call it on the thread of `engine`; `source` may be another thread's, but has to be open from
 * before the call until it returns. uvdio_replace() is for a file with one handle. Makes one system
 * call, which does not block (F_DUPFD_CLOEXEC of fcntl(2); DuplicateHandle). Errors: UV_EINVAL
 * (null, or the source was opened without UVDIO_O_DUP), UV_EBADF (the source is not open, or the
 * engine is closing), UV_EBUSY (`file` is open, or a replace of the source is pending),
 * UVDIO_EFORK, UVDIO_ETHREAD, UV_EXDEV (one engine has files in memory, or in a world, that the
 * other has not), UV_ENOMEM, UV_EMFILE. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_dup(uvdio_engine_t* engine, uvdio_file_t* file,
                                            const uvdio_file_t* source);

/** Reads buf->cap bytes at `offset` into the buffer. For less, pass a view, or a frame whose cap
 * was lowered: it comes back so, and is released as usual. (A heap buffer's cap has to be restored
 * before it is released or grows.) Short transfers are resumed, so that a result below cap means
 * the end of the file. cap may be more than one system call moves (0x7ffff000, read(2)). A cap of
 * 0 gives 0 without touching the file.
 *
 * Ownership: `buf` is emptied on acceptance, and comes back in the callback with len set to the
 * bytes that arrived. The synchronous form leaves it where it is and sets len.
 *
 * The loop's thread hands the kernel 1 MiB of plain memory at most (16 MiB of registered memory),
 * because it faults in pages that were never touched; the kernel's workers take more.
 *
 * Errors returned: the checks above. Errors delivered: the system's (UV_EIO, ...);
 * UVDIO_ESHORTREAD (a network or FUSE filesystem gave no more bytes before the end of the file);
 * UV_ECANCELED. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_read(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf,
                                             uint64_t offset, uvdio_io_cb cb);

/** Like uvdio_read(), but the end of the file before cap is UVDIO_ESHORTREAD: the buffer comes back
 * with the bytes that arrived, counted in buf.len and req->transferred. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_read_exact(uvdio_file_t* file, uvdio_req_t* req,
                                                   uvdio_buf_t* buf, uint64_t offset,
                                                   uvdio_io_cb cb);

/** The bytes that a buffer has to have for uvdio_read_range() of this range; 0 where `length` is 0,
 * the file is not open, or the range ends past INT64_MAX. At most `length` and twice the file's
 * alignment. Any thread, while the file is open. */
UVDIO_EXTERN size_t uvdio_range_size(const uvdio_file_t* file, uint64_t offset, size_t length);

/** Reads `length` bytes at `offset`, neither of which has to be aligned: the aligned range around
 * them is read into the buffer, whose base is aligned and whose cap is uvdio_range_size() at least,
 * and uvdio_range_view() tells where in it they are. Nothing is copied. The result is the number of
 * bytes of the range that arrived; below `length` means the end of the file. A length of 0 gives 0
 * without touching the file.
 *
 * Ownership as for uvdio_read(). buf.len and req->transferred count the bytes of the aligned range
 * that arrived, from the buffer's begin on.
 *
 * Errors returned: those of uvdio_read(), but for the alignment of offset and length; UV_ENOBUFS
 * (cap is below uvdio_range_size()). Errors delivered: those of uvdio_read(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_read_range(uvdio_file_t* file, uvdio_req_t* req,
                                                   uvdio_buf_t* buf, uint64_t offset, size_t length,
                                                   uvdio_io_cb cb);

/** The bytes that uvdio_read_range() was asked for, as a view of its buffer: as many as arrived,
 * also after an error. From the callback, or the return of the synchronous form, until the request
 * is used again. Any thread. */
static inline uvdio_buf_t uvdio_range_view(const uvdio_req_t* req, const uvdio_buf_t* buf) {
  size_t skip = req->range_skip_;
  size_t length = (size_t)(uintptr_t)req->args_;
  size_t arrived = req->transferred > skip ? req->transferred - skip : 0;
  uvdio_buf_t view = {buf->base + skip, arrived < length ? arrived : length, 0, NULL};
  view.cap = view.len;
  return view;
}

/** Writes the buffer's first len bytes at `offset`. Short transfers are resumed; the result is len.
 * A len of 0 gives 0 without touching the file. The write is durable when its callback runs if the
 * file was opened with UVDIO_O_DSYNC, else after a sync (uvdio_sync_data()). Ownership as for
 * uvdio_read(); len is kept.
 *
 * Latch. An error of a write on a UVDIO_O_DSYNC file latches it, as a failed sync does, because it
 * may come from the sync that is part of such a write, and earlier writes may be lost as well.
 * Errors that no sync gives don't: UV_EFBIG, UV_EFAULT, UV_EBADF, UV_EAGAIN, UV_EINTR, UV_EINVAL
 * and UVDIO_EATOMIC (where is_durable_serialized is 0), UVDIO_ESHORTWRITE, UVDIO_EPOOL,
 * UV_ECANCELED. UV_ENOSPC does: reopen the file after making room.
 *
 * Shared errors. Where writes may go through the page cache (is_direct is 0, or the filesystem is
 * neither XFS nor ext4 with extents nor a block device), the kernel reports an error of write-back
 * once per open file, to the first caller that asks. There durable writes and syncs of a file run
 * one at a time (is_durable_serialized), and those that wait get the latched error. There, each
 * write of a file that the system syncs by itself counts as a durable one: by its mount (mount(8),
 * sync), or by an attribute that it has when it is opened (chattr(1), +S). A device that loses
 * writes without an error can't be detected.
 *
 * Stable pages. From Linux 7.0 on the kernel may copy direct writes for devices that checksum
 * pages, because programs change buffers in flight. Nobody may access the library's buffers in
 * flight, on any kernel and device: where nothing is copied, this keeps the checksum true. For the
 * same reason btrfs writes what it checksums through the page cache, from Linux 6.14 on and with
 * is_direct at 1; files that it overwrites in place have no checksums (chattr(1), +C; the btrfs
 * documentation, "Checksumming").
 *
 * Errors returned: the checks above; UV_EBUSY for the synchronous form while a truncate is
 * pending, or (is_durable_serialized) a durable write or sync. Errors delivered: the system's
 * (UV_ENOSPC, UV_EIO, UV_EFBIG: see "Signals", ...); UVDIO_ESHORTWRITE (no progress, and no error
 * reported); UV_ECANCELED. After an error, req->transferred bytes have been written, and the state
 * of the rest of the range is unknown. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_write(uvdio_file_t* file, uvdio_req_t* req,
                                              uvdio_buf_t* buf, uint64_t offset, uvdio_io_cb cb);

/** The write is durable when its callback runs, as on a UVDIO_O_DSYNC file, by the better method
 * for the file: the write itself (RWF_DSYNC, pwritev2(2)), or a sync after it that all writes share
 * which wait for one by then. Which one is faster depends on the device, by a factor of two in both
 * directions, and on the program's load. So the engine measures the first 64 such writes on a
 * device, 32 by each method and none of them twice, and then uses the sync where its median is
 * less than 7/8 of the other one's, since it costs more CPU time; uvdio_file_info() tells the
 * method. Files in memory and in simulated worlds use the first method; macOS, Windows and
 * filesystems that are not known to keep RWF_DSYNC (FUSE, network, ...) the second, and so does a
 * file whose first such write the system refuses. */
#define UVDIO_WRITE_DURABLE (1u << 0)
/** With DURABLE: by the write itself, where the file can (see there). */
#define UVDIO_WRITE_BY_DSYNC (1u << 1)
/** With DURABLE: by a sync that follows; no effect on a UVDIO_O_DSYNC file. */
#define UVDIO_WRITE_BY_SYNC (1u << 2)
/** The caller keeps the buffer, whose bytes anybody may read until the callback, and nobody may
 * change: a buffer pool writes a page back while readers use it. The handle is not emptied, and
 * must not be released before the callback, which gets a view on the same bytes. The bytes may be
 * in several shared writes at once. Memory of an arena is registered memory here once it is
 * registered (as for a view); a shared write does not register it. A build with
 * UVDIO_DEBUG_OWNERSHIP ends a program that has changed the bytes, when the write ends. */
#define UVDIO_WRITE_SHARED (1u << 3)

/** The write can't be torn: after a crash or power cut all of it is there, or nothing (RWF_ATOMIC,
 * pwritev2(2), Linux 6.11; files on XFS and ext4 since Linux 6.13). It is one buffer whose length
 * is a power of two from atomic_min to atomic_max of uvdio_file_info(), at an offset that is a
 * multiple of it; anything else is UVDIO_EATOMIC, and so is each write of a file that has none
 * (atomic_max is 0). It is never split or resumed: a short one is UVDIO_ESHORTWRITE. What the
 * kernel refuses all the same (EINVAL, EOPNOTSUPP) ends with UVDIO_EATOMIC, and nothing was
 * written. It says nothing about when: it is durable as other writes are, and may be with DURABLE.
 * Readers may still see a part of it while it is in flight. Registered memory is used as plain
 * memory, because the kernel takes no other (generic_atomic_write_valid() in fs/read_write.c).
 * Files in memory, on macOS and on Windows have no atomic writes; a world has them by an option
 * (uvdio/sim.h). */
#define UVDIO_WRITE_ATOMIC (1u << 4)

/** Like uvdio_write(), with `flags` (UVDIO_WRITE_*, or 0).
 *
 * A durable write ends when data and the metadata that reading it takes are durable, and says
 * nothing about other writes. By a sync: the sync begins when the write has ended, and is one of
 * the file's: one runs at a time, and each makes durable whatever had ended before it. If the sync
 * fails, the write gets its error, with req->transferred at len, and the file is latched. If it is
 * cancelled between write and sync, the bytes are written and not durable (UV_ECANCELED).
 *
 * Errors returned: those of uvdio_write(); UV_EINVAL (unknown flag; BY_DSYNC or BY_SYNC without
 * DURABLE, or both); UVDIO_EATOMIC (see UVDIO_WRITE_ATOMIC); UV_EBUSY for the synchronous form
 * while a sync is pending that the write would have to share (where the system turns out to refuse
 * RWF_DSYNC, after the bytes were written). Errors delivered: those of uvdio_write() on a
 * UVDIO_O_DSYNC file, and of uvdio_sync_data(); UVDIO_EATOMIC. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_write_flags(uvdio_file_t* file, uvdio_req_t* req,
                                                    uvdio_buf_t* buf, uint64_t offset,
                                                    unsigned flags, uvdio_io_cb cb);

/** Buffers of one transfer, at most. */
#define UVDIO_VECTOR_MAX 65536u

/** Reads into several buffers, one after the other, what uvdio_read() would read into one of all
 * their caps. Pages of a buffer pool that follow each other in the file come with one request.
 * Each base, and each cap, is a multiple of the file's alignment (with two buffers or more, each
 * cap is a multiple of both memory_align and offset_align); a cap may be 0. Views, frames of any
 * arenas and heap buffers may be mixed; none may share bytes with another.
 *
 * One system call moves 1024 buffers at most; more take several, one after the other. A ring uses
 * registered memory where all frames are in the same registered segment (Linux 6.15,
 * IORING_OP_READV_FIXED).
 *
 * Ownership: on acceptance all handles in `bufs` are emptied, and the array may go or be used again
 * at once; they come back in the callback, in an array of the library's own. The synchronous form
 * leaves them where they are and sets each len.
 * Nothing is allocated for 16 buffers or fewer, once as many requests have been pending before, up
 * to the engine's depth. More than 16 buffers of plain memory are submitted by a kernel worker.
 *
 * Errors returned: those of uvdio_read(), for each buffer; UV_EINVAL (no buffer), UV_E2BIG (more
 * than UVDIO_VECTOR_MAX), UV_ENOMEM. Nothing is taken then. Errors delivered: those of
 * uvdio_read(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_readv(uvdio_file_t* file, uvdio_req_t* req,
                                              uvdio_buf_t* bufs, unsigned count, uint64_t offset,
                                              uvdio_vector_cb cb);

/** Like uvdio_readv(), but the end of the file before the last byte is UVDIO_ESHORTREAD, as in
 * uvdio_read_exact(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_readv_exact(uvdio_file_t* file, uvdio_req_t* req,
                                                    uvdio_buf_t* bufs, unsigned count,
                                                    uint64_t offset, uvdio_vector_cb cb);

/** Writes the first len bytes of several buffers, one after the other, as uvdio_write() would write
 * one buffer of all of them: one write for latch, syncs and truncates. On a UVDIO_O_DSYNC file up
 * to 1024 buffers are one durable write of the system, with one flush; more take one for each
 * 1024, and so do more bytes than 0x7ffff000. Windows writes each buffer by a call of its own.
 * Base and len follow the rules that uvdio_readv() has for base and cap; a len may be 0. Ownership
 * as for uvdio_readv(); each len is kept.
 *
 * Errors returned: those of uvdio_write(), for each buffer; UV_EINVAL (no buffer), UV_E2BIG (more
 * than UVDIO_VECTOR_MAX), UV_ENOMEM. Nothing is taken then. Errors delivered: those of
 * uvdio_write(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writev(uvdio_file_t* file, uvdio_req_t* req,
                                               uvdio_buf_t* bufs, unsigned count, uint64_t offset,
                                               uvdio_vector_cb cb);

/** Like uvdio_writev(), with `flags` as in uvdio_write_flags(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writev_flags(uvdio_file_t* file, uvdio_req_t* req,
                                                     uvdio_buf_t* bufs, unsigned count,
                                                     uint64_t offset, unsigned flags,
                                                     uvdio_vector_cb cb);

/** Makes every change durable that was submitted on this file before (writes, truncates,
 * preallocates, punched holes, zeroed ranges):
 * waits for those in flight, then syncs data and the metadata that reading it takes
 * (fdatasync(2)). One sync of a file runs at a time, and those that gather meanwhile share the
 * next one.
 *
 * Latch. A sync that fails, with any error, latches the file: the kernel may have dropped pages
 * that it could not write, and would report success for the next sync (Rebello et al., ATC 2020).
 * Later changes and syncs fail with the same error until the file is reopened, also those that
 * were submitted before and have not started. No other change that fails does latch, but for
 * durable writes.
 *
 * A sync covers data that was written: after a failed write the next sync may succeed. Data is
 * safe when both the write and the sync after it have succeeded. Syncs, latch and truncates are
 * per handle, see "Several handles".
 *
 * Errors returned: the checks above; UV_EBUSY for the synchronous form while changes or syncs are
 * pending. Errors delivered: the system's (UV_EIO, UV_ENOSPC, ...); UV_ECANCELED (not started: no
 * latch). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_sync_data(uvdio_file_t* file, uvdio_req_t* req,
                                                  uvdio_cb cb);

/** Like uvdio_sync_data(), with all metadata (fsync(2)). macOS and Windows have one kind of sync,
 * this one. Syncing a file does not make its directory entry durable, nor does UVDIO_O_DSYNC:
 * after creating or renaming it, sync the directory as well (uvdio_sync_directory()). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_sync_all(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** Gives the file's size in bytes as the result. Changes in flight may or may not count. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_size(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** What the system says of a file (statx(2), fstat(2); GetFileInformationByHandleEx()). 0: it does
 * not say, or the file is in memory and has no such thing. */
typedef struct uvdio_stat_s {
  uint64_t size;       /**< bytes; what uvdio_size() tells, also of a block device */
  uint64_t allocated;  /**< bytes of space that are taken, for holes less than the size */
  uint64_t device;     /**< the filesystem's; st_dev. 0 on Windows */
  uint64_t inode;      /**< the file's on it; st_ino. 0 on Windows */
  uint64_t links;      /**< names that it has; 0 once all are removed */
  uint32_t mode;       /**< kind and permissions; st_mode. 0 on Windows */
  int64_t accessed_ns; /**< since 1970, as the three below; the last read (atime) */
  int64_t modified_ns; /**< the content (mtime) */
  int64_t changed_ns;  /**< the content or the metadata (ctime) */
  int64_t created_ns;  /**< the file (btime) */
} uvdio_stat_t;

/** uvdio_stat() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_stat_sized(uvdio_file_t* file, uvdio_req_t* req,
                                                   uvdio_stat_t* stat, size_t size, uvdio_cb cb);

/** Asks what is known of the file now; uvdio_file_info() has what the open has learnt. A worker of
 * the threadpool asks, on every backend but memory. Changes in flight may or may not count. `stat`
 * is the library's from acceptance until the callback (synchronous form: during the call), and is
 * filled in where the result is 0, else as it was.
 *
 * Errors returned: the checks above (also for a null `stat`). Errors delivered: the system's;
 * UV_ECANCELED. */
static inline UVDIO_MUST_CHECK int uvdio_stat(uvdio_file_t* file, uvdio_req_t* req,
                                              uvdio_stat_t* stat, uvdio_cb cb) {
  return uvdio_stat_sized(file, req, stat, sizeof(uvdio_stat_t), cb);
}

/** Sets the file's size to `length` bytes, at most INT64_MAX; added bytes read as zeros. It runs
 * alone: after the reads and changes that were submitted before it on this file, and before those
 * that come after. (Transfers of no bytes don't count.) Beside direct
 * writes, a truncate makes kernels lose writes: Linux 6.18 lost acknowledged ones on XFS, and on
 * ext4 the next sync failed with UV_EIO. Keep other handles and processes from truncating, too.
 *
 * Errors returned: the checks above; UV_EBUSY for its synchronous form while one of these is
 * pending, and for theirs while a truncate is. Errors delivered: the system's. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_truncate(uvdio_file_t* file, uvdio_req_t* req,
                                                 uint64_t length, uvdio_cb cb);

/** Reserve space only: the size stays, also where the range ends past it. */
#define UVDIO_SPACE_KEEP_SIZE (1u << 0)
/** The range consists of written blocks afterwards, so that a durable write to it costs no
 * metadata update. */
#define UVDIO_SPACE_WRITTEN (1u << 1)

/** Reserves space for `length` bytes at `offset`, so that writes to them don't run out of it, and
 * makes the file end there at least; added bytes read as zeros, and what was written stays. Never
 * shrinks a file. Neither offset nor length has to be aligned. `flags` are UVDIO_SPACE_*:
 *
 *   0          reserved space is not written space: the first write to it still marks it as
 *              written, and a durable one waits for the filesystem's journal for that.
 *   KEEP_SIZE  the same, and the size stays. What is past it is given back by a truncate, and on
 *              Windows when the file is closed.
 *   WRITTEN    blocks of the range that nobody has written to are written with zeros: by
 *              FALLOC_FL_WRITE_ZEROES where kernel, filesystem and device can (Linux 6.17,
 *              fallocate(2)), else by writes of 1 MiB each on a worker. Offset and length are
 *              multiples of the file's alignment. The space is reserved first, so that UV_ENOSPC
 *              comes before anything is written. It runs alone on the file, as a truncate does,
 *              and looks for blocks that are not written when it runs (lseek(2), SEEK_HOLE): no
 *              write on this handle is overwritten. One by another handle or process into a hole,
 *              between the look and the zeros, is: keep others from writing to the range
 *              meanwhile. Sync the file afterwards, because marking the blocks as written is a
 *              change like others. Reserved blocks that somebody has read through the page cache
 *              may pass for written there, and be left out. Filesystems that write to a new
 *              place each time (btrfs, zfs) gain nothing from it. After an error some of the blocks
 *              are written. A filesystem that does not tell its holes (lseek(2) calls all of the
 *              file data, as FUSE may) gains nothing. Linux; UV_ENOTSUP on macOS and Windows. In
 *              memory and in worlds it does what 0 does.
 *
 * macOS and Windows reserve up to the end of the range, holes before the end of the file excepted,
 * and can't grow a file without the risk of cutting it: there, it runs alone on the file, as a
 * truncate does, and another program must have no write past the end of the range in flight.
 *
 * Errors returned: the checks above; UV_EINVAL (`length` is 0, unknown flags, both flags),
 * UVDIO_EALIGN (WRITTEN); UV_EBUSY for its synchronous form while a truncate is pending or, where
 * it runs alone, any read or change, and for theirs while it is pending. Errors delivered:
 * UV_ENOSPC, UV_EFBIG (see "Signals"), UV_ENOTSUP (the filesystem can't; block devices), ... */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_preallocate(uvdio_file_t* file, uvdio_req_t* req,
                                                    uint64_t offset, uint64_t length,
                                                    unsigned flags, uvdio_cb cb);

/** Gives the space of `length` bytes at `offset` back to the filesystem; they read as zeros. The
 * size stays; what is past it counts as well. Neither has to be aligned: parts of blocks at both
 * ends are zeroed, and stay allocated. A change like a write: a sync makes it durable (with
 * UVDIO_O_DSYNC, too), until which a power cut may bring some of the bytes back. It may run beside
 * reads and writes of other ranges; the kernel makes it wait for direct writes in flight and holds
 * back new ones (xfs, ext4, btrfs). Beside transfers of the same bytes either may come first.
 *
 * Block devices: the device's command that discards and leaves zeros, and UV_ENOTSUP where it has
 * none; offset and length are multiples of its logical block size, else UV_EINVAL (fallocate(2),
 * blkdev_fallocate() in block/fops.c). macOS: multiples of the filesystem's block, else UV_EINVAL
 * (F_PUNCHHOLE). Windows makes the file sparse (FSCTL_SET_SPARSE, FSCTL_SET_ZERO_DATA).
 *
 * Errors returned: the checks above; UV_EINVAL (`length` is 0); UV_EBUSY for the synchronous form
 * while a truncate is pending. Errors delivered: UV_ENOTSUP (the filesystem can't), UV_EIO, ... */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_punch_hole(uvdio_file_t* file, uvdio_req_t* req,
                                                   uint64_t offset, uint64_t length, uvdio_cb cb);

/** Makes `length` bytes at `offset` read as zeros and keeps their space, or reserves it where there
 * was none, as far as the file's end and beyond; the size stays. Little or nothing is written
 * (FALLOC_FL_ZERO_RANGE); durable writes to the range cost a metadata update afterwards. Otherwise
 * like uvdio_punch_hole(), with the same errors, and UV_ENOSPC.
 *
 * A filesystem without it (tmpfs): the range is punched, and reserved by a second call; in between,
 * others may take the space. Then the result is UV_ENOSPC, and the bytes are zeros. Block devices:
 * the kernel has the device zero the range, or writes zeros. Windows: FSCTL_SET_ZERO_DATA. macOS:
 * UV_ENOTSUP. In memory and in worlds it does what uvdio_punch_hole() does. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_zero_range(uvdio_file_t* file, uvdio_req_t* req,
                                                   uint64_t offset, uint64_t length, uvdio_cb cb);

/** Gives the offset of the first data at `offset` or behind it as the result (lseek(2), SEEK_DATA).
 * A hole reads as zeros; space that is reserved and not written may count as either, and so may
 * written zeros. Where a filesystem or a block device knows no holes, all bytes are data. Changes
 * in flight may or may not count. The library looks by the descriptor, whose position is undefined
 * afterwards; no operation uses it.
 *
 * Errors returned: the checks above. Errors delivered: UV_ENXIO (no data there or behind; or
 * `offset` is at the file's end or past it), ... */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_next_data(uvdio_file_t* file, uvdio_req_t* req,
                                                  uint64_t offset, uvdio_cb cb);

/** Gives the offset of the first hole at `offset` or behind it as the result (SEEK_HOLE). The
 * file's end counts as one, so that there always is one. Otherwise like uvdio_next_data(), with the
 * same errors. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_next_hole(uvdio_file_t* file, uvdio_req_t* req,
                                                  uint64_t offset, uvdio_cb cb);

/** What uvdio_set_hint() tells the filesystem about a file. */
typedef enum {
  /** Bytes, a multiple of the filesystem's block: what it allocates at a time; 0: its own choice.
   * Before the first block is allocated (XFS: FS_IOC_FSSETXATTR, ioctl_xfs_fsgetxattr(2)). */
  UVDIO_HINT_EXTENT_SIZE = 1,
  /** uvdio_write_life_t: how long what is written lives (Linux 4.13, F_SET_RW_HINT, fcntl(2)). The
   * kernel keeps it in memory, for all handles, while the file is in use. */
  UVDIO_HINT_WRITE_LIFE
} uvdio_hint_t;

/** Values of UVDIO_HINT_WRITE_LIFE: relative to each other, the meaning is up to the program. */
typedef enum {
  UVDIO_WRITE_LIFE_NOT_SET = 0, /**< no hint */
  UVDIO_WRITE_LIFE_NONE,        /**< nothing is known of it */
  UVDIO_WRITE_LIFE_SHORT,       /**< a short life */
  UVDIO_WRITE_LIFE_MEDIUM,      /**< longer */
  UVDIO_WRITE_LIFE_LONG,        /**< longer still */
  UVDIO_WRITE_LIFE_EXTREME      /**< the longest */
} uvdio_write_life_t;

/** Tells the filesystem a fact about the file by which it may place it better. Content, size and
 * the order of operations are not affected; a sync does not wait for it.
 *
 * Errors returned: the checks above (UV_EBADF: a read-only file, too); UV_EINVAL (unknown hint, or
 * unknown write life), UVDIO_EOFFSET (an extent size past UINT32_MAX). Errors delivered: UV_ENOTSUP
 * (the filesystem has no such hint; macOS, Windows, memory and worlds have none), UV_EINVAL (the
 * filesystem refuses the value, or blocks are allocated already), UV_EPERM (not the owner). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_set_hint(uvdio_file_t* file, uvdio_req_t* req,
                                                 uvdio_hint_t hint, uint64_t value, uvdio_cb cb);

/** Closes the file when everything submitted before has ended; from now on its operations are
 * refused with UV_EBADF. Closing may take long (that of an unlinked file frees its blocks), so a
 * worker of libuv's threadpool does it, on every backend. When the callback begins the file is
 * closed, whatever the result, and may be reused or freed. Closing does not sync.
 *
 * Errors returned: UV_EINVAL, UV_EBADF, UV_EBUSY (the request is pending; the synchronous form
 * while requests are pending), UVDIO_ETHREAD, UVDIO_EFORK. Errors delivered: the system's
 * (close(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** Ends the file as uvdio_close() does, but leaves its descriptor open: it is the result, and the
 * program's from the callback on (synchronous form: in req->result), with the flags that it has by
 * then (direct I/O). A lock of UVDIO_O_LOCK_* stays with it. Any file can be released, adopted or
 * opened by its path.
 *
 * The request's operation is UVDIO_OP_CLOSE. Errors returned: those of uvdio_close(), and
 * UV_ENOTSUP (memory, worlds), after which the file is open as before. Errors delivered:
 * UVDIO_EFORK alone, in a forked child, whose copy of the descriptor is closed. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_release(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** Gives the descriptor of an open file, for calls that the library does not have (ioctl(2),
 * fadvise(2), fstat(2)). It stays the library's: don't close it, don't change its flags (fcntl(2),
 * F_SETFL), and don't use it after the file's close. What is read or written by it passes by the
 * file's order, latch and syncs, as by another handle ("Several handles"). On Windows it is opened
 * for overlapped transfers (FILE_FLAG_OVERLAPPED): ReadFile() wants an OVERLAPPED for it, and for
 * what uvdio_release() gives. Errors: UV_EINVAL (null), UV_EBADF (not open), UV_ENOTSUP (memory,
 * worlds). Loop thread. */
UVDIO_EXTERN int uvdio_file_descriptor(const uvdio_file_t* file, uv_os_fd_t* descriptor);

/**
 * Syncs the file as uvdio_sync_all() does, gives it the name `path`, and makes the name durable, so
 * that a crash or a power cut leaves the file that was at `path` before, or this one, as a whole.
 * The callback means that the new one is durable. The file has to be at the path by which it was
 * opened, on the same filesystem as `path`; afterwards `path` is that path, so that it can be
 * replaced again. Both paths are taken relative to the working directory of the moment, `path` is
 * copied, and a symbolic link at `path` is replaced itself. Usual is a name beside the one to
 * replace:
 *
 *     uvdio_open(engine, &file, &req, "table.new", UVDIO_OPEN_CREATE, 0644, NULL);
 *     ...                                                                        (write it)
 *     uvdio_replace(&file, &req, "table", on_replaced);
 *
 * It waits for changes that were submitted before, as a sync does, runs alone among the file's
 * syncs, and takes a worker of libuv's threadpool on every backend. Steps and what an error leaves:
 * the sync of the file (it latches as that of uvdio_sync_all(); `path` was not touched), the rename
 * (`path` was not touched), another sync of the file (`path` is the new file; a power cut leaves
 * either one; it latches as the first one does), and one of the directory (the same, but that the
 * error does not latch, and uvdio_sync_directory() may be tried).
 *
 * Errors returned: the checks above; a latched error; UV_EBUSY for its synchronous form while a
 * change or a sync is pending. Errors delivered: those of uvdio_sync_all(), uvdio_rename() and
 * uvdio_sync_directory(); UV_ENOENT (also: the file is not at its path any more); UV_ENOTSUP
 * (Windows). After an error req->transferred tells whether `path` is the new file: 1, else 0.
 * UV_EINVAL is returned where the file has no such path: it is anonymous without a name, was
 * adopted, or was opened by uvdio_open_at() (see uvdio_replace_at()). Before a second replace of
 * the same file the callback of the first has to run, because that is when the path changes.
 * Source: rename(2), fsync(2). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_replace(uvdio_file_t* file, uvdio_req_t* req,
                                                const char* path, uvdio_cb cb);

/** Like uvdio_replace(), with `path` relative to an open directory. That is where the file has to
 * be as well, if it was opened by uvdio_open_at(); one that was opened by uvdio_open() has to be at
 * its path. Afterwards the file is as one that was opened by uvdio_open_at() (`path` is not
 * absolute). `base` counts as pending until the callback; null: uvdio_replace(). Errors: those of
 * uvdio_replace(); UV_EBADF and UV_ENOTDIR of `base`; UV_EINVAL (another engine's). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_replace_at(uvdio_file_t* file, uvdio_req_t* req,
                                                   uvdio_file_t* base, const char* path,
                                                   uvdio_cb cb);

/** Gives an open file a name that does not exist yet, on the same filesystem: what a file needs
 * that was opened with UVDIO_O_ANONYMOUS, and a further name for any other that has one. So a name
 * never leads to half a file: write, uvdio_sync_data(), this, uvdio_sync_all(), and sync the
 * directory: the name is durable then. (Content that was not synced before may be missing behind
 * it. A success of the directory's sync alone proves less: see uvdio_sync_directory().) To replace
 * what is there, link a name beside it and use uvdio_replace(), which takes the first name of an
 * anonymous or adopted file as its path (but not where that was opened with UVDIO_O_DUP). It runs
 * beside everything else on the file, which stays open, as does `base`, until the callback; the
 * path is copied.
 *
 * The request's operation is UVDIO_OP_LINK, and its `file` null in the callback: it is one on names
 * (see there). A worker of libuv's threadpool executes it. Errors returned: the checks above
 * (UV_EISDIR for a directory); UV_ENOMEM. Errors delivered: UV_EEXIST, UV_ENOENT (also: the file
 * had a name and has none any more), UV_ENOTDIR, UV_EXDEV, UV_ENOTSUP (macOS, Windows), ... Source:
 * linkat(2), AT_SYMLINK_FOLLOW of /proc/self/fd, or AT_EMPTY_PATH without /proc. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_link_file(uvdio_file_t* file, uvdio_req_t* req,
                                                  const char* path, uvdio_cb cb);

/** Like uvdio_link_file(), with a path that is relative to an open directory. Errors returned:
 * those of uvdio_link_file(); UV_EBADF and UV_ENOTDIR of `base`; UV_EINVAL (another engine's). A
 * null `base` is uvdio_link_file(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_link_file_at(uvdio_file_t* file, uvdio_req_t* req,
                                                     uvdio_file_t* base, const char* path,
                                                     uvdio_cb cb);

/** uvdio_file_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_file_info_sized(const uvdio_file_t* file, uvdio_file_info_t* info,
                                       size_t size);

/** Tells what was opened, how it is executed and which alignment applies. Texts live until the file
 * is closed. Errors: UV_EINVAL (null), UV_EBADF (not open). Loop thread. */
static inline int uvdio_file_info(const uvdio_file_t* file, uvdio_file_info_t* info) {
  return uvdio_file_info_sized(file, info, sizeof(uvdio_file_info_t));
}

/** @} */

/**
 * @defgroup names Names
 *
 * Operations on names: they have an engine and no file. Paths are copied, and are relative to the
 * working directory of the moment at which an operation runs. They run in any order, also with
 * operations on files: who needs an order submits the next one from the callback of the one before.
 * req->file is null in the callback.
 *
 * A ring executes rename and unlink since Linux 5.11, link and mkdir since 5.15, on one of the
 * kernel's workers; else, and for the directory's sync, a worker of libuv's threadpool does. In the
 * memory backend and in simulated worlds "." and double slashes don't count, and ".." is a name
 * like any other. There a directory exists where one was made or where something lies in it, files
 * need none to be made, no directory can be renamed (UV_ENOTSUP), and a base is a place among the
 * names: it is the same one where the directory was removed and made again.
 *
 * The forms with _at take paths that are relative to open directories (UVDIO_O_DIRECTORY), which
 * count as pending until the callback: their close waits. The engine is theirs. An absolute path
 * ignores its directory; where an operation has two, one may be null, for the working directory.
 * uvdio_file_cancel() of a directory ends them early.
 *
 * None of them is durable by itself. After a power cut each name that was made, renamed, linked or
 * unlinked may be as before or as after, until its directory was synced (uvdio_sync_directory());
 * a rename is never half done.
 *
 * Errors returned by all: UV_EINVAL (null, an unknown flag, directories of two engines), UV_EBADF
 * (the engine is closing, the directory is not open), UV_ENOTDIR (it is no directory), UVDIO_EFORK,
 * UVDIO_ETHREAD, UV_EBUSY (the request is pending already), UV_ENOMEM. Errors
 * delivered are the system's; after one nothing has changed, but for UV_EIO, UV_EINTR and the like
 * of a failing disk or network, which leave it open.
 *
 * What a signal interrupts (EINTR) is repeated. On local disks an interrupted operation has changed
 * nothing; a server behind FUSE or NFS may have made it, so that the repeated one ends with
 * UV_EEXIST or UV_ENOENT by its own doing: there, look at the names after one of these.
 * @{
 */

/** Fail with UV_EEXIST where the new path exists, in one step with the rename (renameat2(2)).
 * Where system or filesystem lack it: UV_EINVAL, UV_ENOSYS or UV_ENOTSUP, and nothing changed. */
#define UVDIO_RENAME_NO_REPLACE (1u << 0)

/** Gives what is at `path` the name `new_path`, on the same filesystem, and replaces what is there
 * in one step. `flags`: UVDIO_RENAME_*. Open files stay what they are. Errors delivered: UV_ENOENT,
 * UV_EEXIST (with the flag), UV_EISDIR, UV_ENOTDIR, UV_ENOTEMPTY, UV_EXDEV, ... (rename(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_rename(uvdio_engine_t* engine, uvdio_req_t* req,
                                               const char* path, const char* new_path,
                                               unsigned flags, uvdio_cb cb);

/** Gives the file at `path` a second name. Errors delivered: UV_ENOENT, UV_EEXIST, UV_EPERM (a
 * directory, or the filesystem has no links), UV_EXDEV, UV_EMLINK, ... (link(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_link(uvdio_engine_t* engine, uvdio_req_t* req,
                                             const char* path, const char* new_path, uvdio_cb cb);

/** Removes a name. The file's space is freed when its last name is gone and no program has it open.
 * Errors delivered: UV_ENOENT, UV_EISDIR (macOS: UV_EPERM), ... (unlink(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_unlink(uvdio_engine_t* engine, uvdio_req_t* req,
                                               const char* path, uvdio_cb cb);

/** Makes a directory; `mode` as for mkdir(2), not used on Windows. Errors delivered: UV_EEXIST,
 * UV_ENOENT, UV_ENOTDIR, ... */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_mkdir(uvdio_engine_t* engine, uvdio_req_t* req,
                                              const char* path, int mode, uvdio_cb cb);

/** Removes an empty directory. Errors delivered: UV_ENOENT, UV_ENOTDIR, UV_ENOTEMPTY, UV_EBUSY,
 * ... (rmdir(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_rmdir(uvdio_engine_t* engine, uvdio_req_t* req,
                                              const char* path, uvdio_cb cb);

/** uvdio_rename() relative to open directories: `path` to `base`, `new_path` to `new_base`. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_rename_at(uvdio_file_t* base, uvdio_req_t* req,
                                                  const char* path, uvdio_file_t* new_base,
                                                  const char* new_path, unsigned flags,
                                                  uvdio_cb cb);

/** uvdio_link() relative to open directories, as uvdio_rename_at(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_link_at(uvdio_file_t* base, uvdio_req_t* req,
                                                const char* path, uvdio_file_t* new_base,
                                                const char* new_path, uvdio_cb cb);

/** uvdio_unlink() relative to an open directory. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_unlink_at(uvdio_file_t* base, uvdio_req_t* req,
                                                  const char* path, uvdio_cb cb);

/** uvdio_mkdir() relative to an open directory. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_mkdir_at(uvdio_file_t* base, uvdio_req_t* req,
                                                 const char* path, int mode, uvdio_cb cb);

/** uvdio_rmdir() relative to an open directory. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_rmdir_at(uvdio_file_t* base, uvdio_req_t* req,
                                                 const char* path, uvdio_cb cb);

/** Makes durable the names in the directory at `path`, as they were when it began: those that
 * operations have made, renamed or removed there whose callbacks ran before it was submitted. A
 * rename between two directories is durable by a sync of the new one. Opens, syncs and closes the
 * directory. Where the disk goes meanwhile, a success of fsync(2) of a directory proves little: XFS
 * ends it so after it has shut down (which is noticed here), and at power cuts ext4 lost names as
 * well (Linux 6.18). After a rename or link, sync the file too, as uvdio_replace() does.
 * Errors delivered: UV_ENOENT, UV_ENOTDIR, UV_EIO, ... (open(2), fsync(2)); UV_ENOTSUP
 * (Windows, which has no such call). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_sync_directory(uvdio_engine_t* engine, uvdio_req_t* req,
                                                       const char* path, uvdio_cb cb);

/** @} */

/**
 * @defgroup buffers Buffers
 *
 * A buffer is a handle on memory. Its origin decides what releasing it does; everything else is the
 * same for all origins.
 *
 *   heap     memory of this buffer alone. Release frees it.
 *   arena    a frame of an arena. Release returns it to the arena.
 *   view     memory of somebody else. Release only empties the handle. The owner keeps the memory
 *   alive
 *            while a view is with the library, an arena all of its memory: uvdio_arena_destroy()
 *            counts acquired frames, and knows no views.
 *   none     no memory: a zeroed structure; submitting, releasing and detaching leave one.
 *
 * Handles are plain structures. Views may be copied freely; of a heap buffer or a frame exactly one
 * handle may be used. Buffers may move between threads; one thread at a time uses a buffer.
 * @{
 */

/** The origin of a buffer's memory. */
typedef enum {
  UVDIO_ORIGIN_NONE = 0, /**< no memory */
  UVDIO_ORIGIN_HEAP,     /**< memory of this buffer alone */
  UVDIO_ORIGIN_ARENA,    /**< a frame of an arena */
  UVDIO_ORIGIN_VIEW      /**< memory of somebody else */
} uvdio_buf_origin_t;

/** The bytes are zero, those up to cap as well, and len is the size that was asked for. From
 * UVDIO_MAP_THRESHOLD bytes on, resident memory grows only where the buffer is written to. */
#define UVDIO_BUF_ZEROED (1u << 0)
/** len is the size that was asked for, although the bytes are uninitialised: the caller fills
 * them. */
#define UVDIO_BUF_FULL (1u << 1)

/** Allocates a heap buffer of `size` bytes; cap is `size` rounded up to a multiple of
 * UVDIO_ALIGNMENT. Without `flags` (UVDIO_BUF_*) the bytes are uninitialised and len is 0.
 * `buf` is overwritten, so it must not own anything.
 * Errors: UV_EINVAL (null, unknown flag), UVDIO_ESIZE (zero, or too large to round up), UV_ENOMEM.
 * On error `buf` is left as it was. Any thread. */
UVDIO_EXTERN int uvdio_buf_alloc(uvdio_buf_t* buf, size_t size, unsigned flags);

/** Allocates one zeroed page: len and cap are UVDIO_PAGE_SIZE. Errors as for uvdio_buf_alloc(). */
static inline int uvdio_buf_page(uvdio_buf_t* buf) {
  return uvdio_buf_alloc(buf, UVDIO_PAGE_SIZE, UVDIO_BUF_ZEROED);
}

/** Allocates a zeroed blob: len and cap are UVDIO_BLOB_SIZE. Errors as for uvdio_buf_alloc(). One
 * that is not zeroed comes from uvdio_buf_alloc() with UVDIO_BUF_FULL. */
static inline int uvdio_buf_blob(uvdio_buf_t* buf) {
  return uvdio_buf_alloc(buf, UVDIO_BLOB_SIZE, UVDIO_BUF_ZEROED);
}

/** Copies `source` into a new heap buffer with the same len and content and at least the same cap.
 * Works for every origin; `source` keeps what it has. `copy` is overwritten. Errors: UV_EINVAL
 * (null, or `source` is empty), UVDIO_EOFFSET (its len is past its cap), UVDIO_ESIZE (`source` has
 * a cap of zero), UV_ENOMEM. Any thread. */
UVDIO_EXTERN int uvdio_buf_clone(uvdio_buf_t* copy, const uvdio_buf_t* source);

/**
 * Gives the memory back to where it came from and empties the handle. An empty handle is left alone
 * and 0 returned, as free(NULL) does. A refused release changes nothing.
 * Errors: UV_EINVAL (null), UVDIO_ENOTFRAME (an arena handle whose base is no frame of that arena),
 * UVDIO_EDOUBLEFREE (the frame is not out: another copy of the handle was released before).
 * Any thread, for every origin. */
UVDIO_EXTERN int uvdio_buf_release(uvdio_buf_t* buf);

/** Where the memory came from. Any thread. */
UVDIO_EXTERN uvdio_buf_origin_t uvdio_buf_origin(const uvdio_buf_t* buf);

/** Whether there are no initialised bytes. */
static inline int uvdio_buf_is_empty(const uvdio_buf_t* buf) {
  return buf->len == 0;
}

/** Sets len to 0. The bytes stay as they are. */
static inline void uvdio_buf_clear(uvdio_buf_t* buf) {
  buf->len = 0;
}

/** Shortens len to `len`; does nothing where it is that short already. */
static inline void uvdio_buf_truncate(uvdio_buf_t* buf, size_t len) {
  if (len < buf->len) {
    buf->len = len;
  }
}

/** Declares that the first `len` bytes are initialised.
 * Errors: UV_EINVAL (null), UVDIO_EOFFSET (`len` is past cap; nothing changed). */
UVDIO_EXTERN int uvdio_buf_set_len(uvdio_buf_t* buf, size_t len);

/**
 * Appends `size` bytes from `data`. A heap buffer (and an empty handle, which becomes one) grows by
 * reallocation when they don't fit, to twice its cap or to what is needed, if that is more, keeping
 * content and alignment; `data` may lie within the buffer. Frames and views never grow. Errors, all
 * of which leave the buffer as it was: UV_EINVAL (null), UV_ENOBUFS (does not fit and can't grow),
 * UVDIO_EOFFSET (len is past cap, or len + size out of range), UV_ENOMEM. */
UVDIO_EXTERN int uvdio_buf_extend(uvdio_buf_t* buf, const void* data, size_t size);

/** Takes a heap buffer apart: hands out base, len and cap, and empties the handle without freeing.
 * The memory goes back through uvdio_buf_attach() only.
 * Errors: UV_EINVAL (null, empty, or not of heap origin). */
UVDIO_EXTERN int uvdio_buf_detach(uvdio_buf_t* buf, char** base, size_t* len, size_t* cap);

/** Rebuilds the heap buffer that uvdio_buf_detach() took apart, and owns its memory again.
 * Errors: UV_EINVAL (null), UVDIO_EALIGN (base or cap is not a multiple of UVDIO_ALIGNMENT),
 * UVDIO_ESIZE (cap is zero), UVDIO_EOFFSET (len is past cap). */
UVDIO_EXTERN int uvdio_buf_attach(uvdio_buf_t* buf, char* base, size_t len, size_t cap);

/** Writes what the buffer is into `text` ("heap buffer 0x7f..., 4096 of 8192 bytes"), cut to `size`
 * bytes with the closing zero. Returns the length that the whole text has, as snprintf does, or
 * UV_EINVAL (null). */
UVDIO_EXTERN int uvdio_buf_describe(const uvdio_buf_t* buf, char* text, size_t size);

/*
 * Views. None of these allocates or frees, and the memory's owner stays the owner.
 */

/** A view on `cap` bytes at `base`, of which none is initialised yet. */
static inline uvdio_buf_t uvdio_buf_wrap(void* base, size_t cap) {
  uvdio_buf_t view = {(char*)base, 0, cap, NULL};
  return view;
}

/** A view on `len` bytes at `base`, all of them initialised. */
static inline uvdio_buf_t uvdio_buf_view_bytes(void* base, size_t len) {
  uvdio_buf_t view = {(char*)base, len, len, NULL};
  return view;
}

/** A view on the same bytes as `buf`, with the same len and cap. */
static inline uvdio_buf_t uvdio_buf_view(const uvdio_buf_t* buf) {
  uvdio_buf_t view = {buf->base, buf->len, buf->cap, NULL};
  return view;
}

/** The same view with another len, which must not be past its cap (set_len checks; this does
 * not). */
static inline uvdio_buf_t uvdio_buf_view_len(uvdio_buf_t view, size_t len) {
  view.len = len;
  return view;
}

/** A view for reading: `len` initialised bytes from `offset` on. Its len and cap are `len`. Errors:
 * UV_EINVAL (null or empty), UVDIO_EOFFSET (the range is not within buf->len, or that past cap). */
UVDIO_EXTERN int uvdio_buf_slice(const uvdio_buf_t* buf, size_t offset, size_t len,
                                 uvdio_buf_t* view);

/** A view for writing: `len` bytes from `offset` on, initialised or not. Its cap is `len`; its len
 * counts those of them that lie within buf->len. Errors: UV_EINVAL (null or empty), UVDIO_EOFFSET
 * (the range is not within buf->cap). */
UVDIO_EXTERN int uvdio_buf_slice_space(const uvdio_buf_t* buf, size_t offset, size_t len,
                                       uvdio_buf_t* view);

/** As uvdio_buf_slice, without any check. */
static inline uvdio_buf_t uvdio_buf_slice_nocheck(const uvdio_buf_t* buf, size_t offset,
                                                  size_t len) {
  return uvdio_buf_view_bytes(buf->base + offset, len);
}

/** Walks memory in equal steps. Plain data: no clean-up. */
typedef struct uvdio_chunks_s {
  UVDIO_CHUNKS_PRIVATE_FIELDS
} uvdio_chunks_t;

/** Starts to walk the buffer's cap in views of `chunk` bytes, a multiple of UVDIO_ALIGNMENT. The
 * last view holds what is left and may be shorter. Each view's len counts its initialised bytes.
 * Errors: UV_EINVAL (null, empty buffer, chunk of zero), UVDIO_EALIGN. */
UVDIO_EXTERN int uvdio_buf_chunks(const uvdio_buf_t* buf, size_t chunk, uvdio_chunks_t* chunks);

/** Stores the next view and returns 1, or returns 0 at the end. */
UVDIO_EXTERN int uvdio_chunks_next(uvdio_chunks_t* chunks, uvdio_buf_t* view);

/*
 * To libuv's and the system's own pairs and back. "data" is the initialised bytes (len), "space"
 * all of them (cap). The pairs own nothing; the way back makes views, all of whose bytes count as
 * initialised. uv_buf_t holds 32 bits of length on Windows: keep buffers below 4 GiB there.
 */

/** The initialised bytes as libuv's pair. On Windows it holds 32 bits of length. */
static inline uv_buf_t uvdio_buf_data_uv(const uvdio_buf_t* buf) {
  uv_buf_t pair;
  pair.base = buf->base;
#ifdef _WIN32
  pair.len = (ULONG)buf->len;
#else
  pair.len = buf->len;
#endif
  return pair;
}

/** All bytes, initialised or not, as libuv's pair. */
static inline uv_buf_t uvdio_buf_space_uv(const uvdio_buf_t* buf) {
  uvdio_buf_t all = uvdio_buf_view_len(*buf, buf->cap);
  return uvdio_buf_data_uv(&all);
}

/** A view on the bytes of libuv's pair, all of them initialised. */
static inline uvdio_buf_t uvdio_buf_from_uv(uv_buf_t pair) {
  return uvdio_buf_view_bytes(pair.base, pair.len);
}

#ifndef _WIN32
/** The initialised bytes as the system's pair. */
static inline struct iovec uvdio_buf_data_iovec(const uvdio_buf_t* buf) {
  struct iovec pair;
  pair.iov_base = buf->base;
  pair.iov_len = buf->len;
  return pair;
}

/** All bytes, initialised or not, as the system's pair. */
static inline struct iovec uvdio_buf_space_iovec(const uvdio_buf_t* buf) {
  struct iovec pair;
  pair.iov_base = buf->base;
  pair.iov_len = buf->cap;
  return pair;
}

/** A view on the bytes of the system's pair, all of them initialised. */
static inline uvdio_buf_t uvdio_buf_from_iovec(struct iovec pair) {
  return uvdio_buf_view_bytes(pair.iov_base, pair.iov_len);
}
#endif

/** @} */

/**
 * @defgroup arenas Arenas
 *
 * One aligned allocation, cut into equal frames. Acquire and release take constant time, don't
 * block and don't allocate, on any thread; uvdio_arena_wait() waits until frames are free, and
 * while requests do so, a release takes a mutex for some instructions and wakes the loops of those
 * that it gives frames to. Fresh frames are zero; a reused frame holds the bytes of its last user,
 * unless the arena is UVDIO_ARENA_ZEROED.
 * @{
 */

/** Each acquired frame is all zeros, and its len is the frame size instead of 0. */
#define UVDIO_ARENA_ZEROED (1u << 0)
/** Ask the system for huge pages (madvise(2), MADV_HUGEPAGE). Creation fails where it has none. */
#define UVDIO_ARENA_HUGE_PAGES (1u << 1)
/** Keep the memory from being swapped out (mlock(2)); charged to RLIMIT_MEMLOCK. */
#define UVDIO_ARENA_LOCKED (1u << 2)
/** For debugging: an inaccessible page after each frame, so that running over its end faults. */
#define UVDIO_ARENA_GUARD_PAGES (1u << 3)
/** As UVDIO_ARENA_HUGE_PAGES where the system has huge pages, and nothing elsewhere:
 * uvdio_arena_info() tells by UVDIO_ARENA_HUGE_PAGES whether they were to be had. */
#define UVDIO_ARENA_HUGE_PAGES_PREFERRED (1u << 4)

/** Options of an arena. */
typedef struct uvdio_arena_options_s {
  size_t frame_size;  /**< bytes, a multiple of UVDIO_ALIGNMENT; 0: UVDIO_PAGE_SIZE */
  size_t frame_count; /**< at most UINT32_MAX - 2; 0 is an error */
  unsigned flags;     /**< UVDIO_ARENA_* */
} uvdio_arena_options_t;

/** What an arena is. */
typedef struct uvdio_arena_info_s {
  size_t frame_size;  /**< bytes */
  size_t frame_count; /**< free and acquired */
  /** acquired and not yet released; a snapshot where other threads are at work */
  size_t frames_out;
  /** UVDIO_ARENA_*, those that were asked for, and UVDIO_ARENA_HUGE_PAGES where it holds */
  unsigned flags;
} uvdio_arena_info_t;

/** uvdio_arena_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_arena_create_sized(uvdio_arena_t** arena,
                                          const uvdio_arena_options_t* options, size_t size);

/** Allocates an arena. The memory is mapped, and costs nothing until it is written to.
 * Errors: UV_EINVAL (null, unknown flag), UVDIO_EALIGN (frame size), UVDIO_ESIZE (no frames, or too
 * many), UVDIO_EOFFSET (their total is out of range), UV_ENOMEM, and what the system says to huge
 * pages, locking or guard pages. Any thread. */
static inline int uvdio_arena_create(uvdio_arena_t** arena, const uvdio_arena_options_t* options) {
  return uvdio_arena_create_sized(arena, options, sizeof(uvdio_arena_options_t));
}

/** Frees the arena. `frames_out`, where not null, receives how many frames are out; those of a
 * request that was given frames are, from then on, and while requests wait for some, some are.
 * Errors: UV_EINVAL (null), UV_EBUSY (frames are out, or waited for: the arena lives on). Any
 * thread; no other thread may use the arena meanwhile. */
UVDIO_EXTERN int uvdio_arena_destroy(uvdio_arena_t* arena, size_t* frames_out);

/** Takes a free frame: cap is the frame size, len 0 (or the frame size, in a zeroed arena). `frame`
 * is overwritten. Before a write set len (uvdio_buf_set_len()): a write of 0 bytes succeeds, and
 * writes nothing. It goes back through uvdio_buf_release(). Errors: UV_EINVAL (null), UV_ENOBUFS
 * (none is free, or requests wait for frames, which nobody overtakes). Any thread. */
UVDIO_EXTERN int uvdio_arena_acquire(uvdio_arena_t* arena, uvdio_buf_t* frame);

/** Waits until `count` frames of the arena are free and takes them, all or none. They are as
 * uvdio_arena_acquire() gives them, in the array `frames`, which is overwritten: the library's from
 * acceptance until the callback, it holds the frames where the result is 0, and else empty handles.
 *
 * First come, first served, among all engines and threads of the arena: nobody gets frames past a
 * request that waits, whoever wants fewer neither. So each gets its turn as long as frames are
 * released, and two that want many don't hold parts that the other one lacks. A program that keeps
 * frames while it waits for more may wait for itself: take what belongs together at once. While
 * nobody waits, acquiring and releasing frames cost what they cost without this call.
 *
 * It is a request of the engine, though no backend executes it: its callback runs on the thread of
 * the engine's loop, whoever releases the frames where, and the loop stays alive until then.
 * uvdio_cancel() and uvdio_engine_cancel() end it with UV_ECANCELED, and so does
 * uvdio_engine_close(), because perhaps nobody ever releases a frame; but for one that has its
 * frames already (UV_EBUSY). The arena lives until the callback. With a null callback it waits for
 * nothing: it takes the frames that are free, or returns UV_ENOBUFS.
 *
 * In a forked child, the arena of its parent has no frames to give while its parent's requests wait
 * at the fork: releasing them there is right, and they are not given out again.
 *
 * The request's operation is UVDIO_OP_ARENA_WAIT. Errors returned: UV_EINVAL (null; no frames),
 * UV_EBADF (the engine is closing, or its handles were closed), UVDIO_EFORK (the engine or the
 * arena is a parent's), UVDIO_ETHREAD, UV_EBUSY (the request is pending), UV_E2BIG (more frames
 * than the arena has), UV_ENOMEM (the engine's first wait takes a handle on the loop); UV_ENOBUFS
 * (see above). Errors delivered: UV_ECANCELED; UVDIO_EFORK (a forked child closes the engine). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_arena_wait(uvdio_engine_t* engine, uvdio_req_t* req,
                                                   uvdio_arena_t* arena, uvdio_buf_t* frames,
                                                   unsigned count, uvdio_cb cb);

/** Starts to walk all frames, acquired or not, as views of one frame each; len is 0.
 * Errors: UV_EINVAL (null). Any thread. */
UVDIO_EXTERN int uvdio_arena_frames(const uvdio_arena_t* arena, uvdio_chunks_t* chunks);

/** uvdio_arena_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_arena_info_sized(const uvdio_arena_t* arena, uvdio_arena_info_t* info,
                                        size_t size);

/** Tells what the arena is. Errors: UV_EINVAL (null). Any thread. */
static inline int uvdio_arena_info(const uvdio_arena_t* arena, uvdio_arena_info_t* info) {
  return uvdio_arena_info_sized(arena, info, sizeof(uvdio_arena_info_t));
}

/** @} */

/**
 * @defgroup registered_memory Registered memory
 *
 * The kernel pins and unpins user pages on every direct transfer. Registering an arena pins it
 * once, which makes its transfers cheaper (Linux 5.19, ring only; io_uring_register(2),
 * IORING_REGISTER_BUFFERS2). Pieces of 1 MiB or a little more are registered when a frame in them
 * is first used, which takes 0.1 to 0.6 ms per MiB of fresh memory, mostly for faulting pages in.
 * (There are at most 4096 pieces, so that those of an arena over 4 GiB are larger. Pieces of more
 * than 8 MiB, of larger frames or of an arena over 32 GiB, are registered by uvdio_arena_register()
 * only: a submitting call must not take long.)
 *
 * Views are found by their address: a view within memory of an arena that the engine has registered
 * is executed as a frame is, whether it is a part of a frame, a whole one, or several adjacent
 * ones; and so is a frame whose cap was lowered. A view beyond the end of a piece is plain memory.
 *
 * Registered memory can't be swapped out, and counts against RLIMIT_MEMLOCK unless the process has
 * CAP_IPC_LOCK. Where the limit is reached, or the kernel refuses for another reason, transfers go
 * on as plain ones. Don't unmap the memory of a registered arena or give its pages back
 * (madvise(2), MADV_DONTNEED): the ring would go on using the old pages.
 *
 * Several engines, on several threads, may use one arena. The first one registers for itself; the
 * others share one more registration where the kernel can clone it (without loss from about Linux
 * 6.18 on, for a descriptor), else each registers for itself. Destroying an arena releases its
 * registrations, at each engine's next iteration or when it registers another arena. This,
 * unregistering, and closing the engine take the loop's thread some 6 us per registered MiB.
 *
 * A fork copies pinned pages at once, on the forking thread, uv_spawn() included: 2.8 s instead of
 * 0.1 s were measured for 1 GiB. Unregister before, or exclude the arena from children by
 * madvise(2), MADV_DONTFORK.
 * @{
 */

/** How much of an arena is registered with an engine. */
typedef struct uvdio_registration_s {
  size_t bytes;       /**< registered with this engine now */
  size_t size;        /**< all of the arena */
  int error;          /**< why no more will be registered at first use, or 0 */
  const char* reason; /**< the same in words that a person can act on, or "" ; static text */
} uvdio_registration_t;

/** Registers all of the arena with the engine's ring, and blocks for it: 0.1 to 0.6 ms per MiB of
 * fresh memory. A repeated call tries again what was refused. Errors: UV_EINVAL (null), UV_EBADF
 * (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD, UV_ENOTSUP (no ring, too old a kernel, an
 * arena with guard pages or with frames over 512 MiB), UV_ENOMEM (memory, or the limit on locked
 * memory; earlier pieces stay registered), and others of the kernel. After an error transfers work
 * as before. Loop thread; before the loop first runs, the thread that sets the engine up. */
UVDIO_EXTERN int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena);

/** Takes the arena out of the engine's ring. It is not registered again before
 * uvdio_arena_register(). Errors: as for uvdio_arena_register(), and UV_EBUSY (a frame or view of
 * its memory is in flight on this engine), UV_ENOENT (nothing of it is registered). */
UVDIO_EXTERN int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena);

/** uvdio_arena_registration() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_arena_registration_sized(const uvdio_engine_t* engine,
                                                const uvdio_arena_t* arena,
                                                uvdio_registration_t* info, size_t size);

/** Tells how much of the arena is registered with the engine, and why not more. Errors: UV_EINVAL
 * (null). Loop thread. */
static inline int uvdio_arena_registration(const uvdio_engine_t* engine, const uvdio_arena_t* arena,
                                           uvdio_registration_t* info) {
  return uvdio_arena_registration_sized(engine, arena, info, sizeof(uvdio_registration_t));
}

/** @} */

/**
 * @defgroup memory Memory
 * @{
 */

/**
 * Where the library's own memory comes from: buffers, arenas, engines. Both functions may be called
 * from any thread at any time.
 *   allocate  returns `size` bytes aligned to `alignment` (a power of two), or null; when `zeroed`
 *   is
 *             not 0 the bytes must be zero. Memory that is not so aligned is released at once and
 *             counts as none: UV_ENOMEM.
 *   release   takes back what allocate returned, with the same `size` and `alignment`. */
typedef struct uvdio_allocator_s {
  void* context; /**< passed to both functions */
  /** See above. */
  void* (*allocate)(void* context, size_t size, size_t alignment, int zeroed);
  /** See above. */
  void (*release)(void* context, void* memory, size_t size, size_t alignment);
} uvdio_allocator_t;

/**
 * Replaces the allocator of the whole process; null restores the system's. The structure is copied.
 * The system's takes allocations of UVDIO_MAP_THRESHOLD bytes and more straight from fresh zero
 * pages. Errors: UV_EINVAL (a null function), UV_EBUSY (memory of the present allocator is still
 * out). Any thread, but no call into the library may be under way on another one. */
UVDIO_EXTERN int uvdio_set_allocator(const uvdio_allocator_t* allocator);

/** Bytes. Allocations of this size and more are mapped, so that zeroed ones cost no memory until
 * they are written to. */
#define UVDIO_MAP_THRESHOLD 262144

/** Returns how many allocations of the library are out at this moment: buffers, arenas, engines and
 * what they hold. 0 after everything was released. Any thread. */
UVDIO_EXTERN size_t uvdio_allocations(void);

/** @} */

/**
 * @defgroup version Version
 * @{
 */

/** Returns the version that runs, as UVDIO_VERSION_HEX. Any thread. */
UVDIO_EXTERN unsigned uvdio_version(void);

/** Returns the version that runs, as text ("0.2.0"). Never null. Any thread. */
UVDIO_EXTERN const char* uvdio_version_string(void);

/** Returns the version of the liburing that runs, in the form of UVDIO_VERSION_HEX: 0x020900 is
 * 2.9, and there is no third number. 2.3 does not tell by itself, and is the only one that does
 * not. 0: the library was built without the ring. Any thread. */
UVDIO_EXTERN unsigned uvdio_liburing_version(void);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_H */
