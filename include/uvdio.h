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
 *     uvdio_file_t file = {0};
 *     uvdio_req_t req = {0};
 *     uvdio_buf_t page;
 *
 *     uvdio_engine_create(&engine, uv_default_loop(), NULL);
 *     uvdio_open(engine, &file, &req, "pages.db", UVDIO_OPEN_RW, 0644, NULL);   (no callback: done
 *     now) uvdio_buf_page(&page);
 *     uvdio_write(&file, &req, &page, 0, on_written);                        (page is empty from
 *     here) uv_run(uv_default_loop(), UV_RUN_DEFAULT);
 *
 *     static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
 *       uvdio_buf_release(&page);                                            (ours again)
 *     }
 *
 * What holds everywhere, and is therefore not repeated at each function:
 *
 *   1. Return values are 0 or a negative code: libuv's UV_E*, or one of the library's own (below).
 *      A negative return means: nothing was taken, no callback follows, the caller still owns
 *      everything that it passed in. uvdio_strerror() puts every code into words.
 *   2. 0 from an operation with a callback means: accepted. Exactly one callback follows, never
 *      from inside the submitting call, whether the operation succeeds, fails or is cancelled.
 *   3. A request belongs to the library from acceptance until its callback begins, and so does the
 *      buffer. Neither may be read, written, moved or freed in between. From inside the callback
 *      the request may be reused or freed.
 *   4. The buffer comes back only when neither the kernel nor a worker thread can touch it any
 *      more.
 *   5. Operations are called on the thread that runs the loop (from another one: UVDIO_ETHREAD).
 *      That is the thread of its first turn; to hand a loop on, see uvdio_engine_rebind().
 *      Buffers and arenas have no such rule; what they allow is said at each.
 *   6. A null callback means: do it now, on this thread, and block. The call returns 0 or the error
 *      that a callback would have been given; req->result holds the outcome, and the buffer never
 *      leaves the caller.
 *   7. Zero in a field of an options structure means: the default.
 *   8. Requests and files are zeroed once, before their first use (`uvdio_req_t req = {0};`).
 *   9. Operations on one file have no order among themselves, with two exceptions: a sync covers
 *      every write, truncate and preallocate that was submitted before it; and a truncate keeps its
 *      place among the others.
 *
 * Stability: everything here is stable within a major version, but for names that end in `_` and
 * fields under "private", which are nobody's to use. Headers in include/uvdio/ other than version.h
 * may change at any release.
 */
#ifndef UVDIO_H
#define UVDIO_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

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

/** Bytes. The size of one page, and what direct I/O asks of memory, offset and length unless a file
 * was opened with UVDIO_O_NATIVE_ALIGN. Both are powers of two. */
#define UVDIO_PAGE_SIZE 4096
/** See UVDIO_PAGE_SIZE. */
#define UVDIO_ALIGNMENT 4096

/** Bytes. The fixed size of a blob: 512 KiB. */
#define UVDIO_BLOB_SIZE 524288

/** Requests. What uvdio_engine_options_t.depth may be at most, and what it is when left at zero.
 * 32768 is the kernel's own limit on a submission queue (io_uring_setup(2), IORING_MAX_ENTRIES). */
#define UVDIO_DEPTH_MAX 32768
/** See UVDIO_DEPTH_MAX. */
#define UVDIO_DEPTH_DEFAULT 256

/** Microseconds. What uvdio_engine_options_t.busy_poll_us may be at most. */
#define UVDIO_BUSY_POLL_MAX 1000

/** An engine: what executes requests for one loop. */
typedef struct uvdio_engine_s uvdio_engine_t;
/** An arena: memory cut into frames. */
typedef struct uvdio_arena_s uvdio_arena_t;
typedef struct uvdio_buf_s uvdio_buf_t;
typedef struct uvdio_file_s uvdio_file_t;
typedef struct uvdio_req_s uvdio_req_t;

/** A buffer: memory, how much of it is initialised, and where it came from. */
struct uvdio_buf_s {
  char* base; /**< aligned to UVDIO_ALIGNMENT for heap buffers and frames; null when empty */
  size_t len; /**< initialised bytes: what a write sends, and what a completed read has set */
  size_t cap; /**< bytes there are: what a read asks for */
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
#define UVDIO_ERRNO_MAP(X)                                                                         \
  X(EALIGN, -5001, "memory, offset, length, chunk or frame size is not a multiple of the alignment") \
  X(EOFFSET, -5002, "size or offset is out of range (past INT64_MAX, or past the buffer)")       \
  X(ESHORTREAD, -5003, "the file ended, or stopped giving bytes, before the read was complete")    \
  X(ESHORTWRITE, -5004, "the file stopped taking bytes before the write was complete")             \
  X(EPOOL, -5005, "the operation could not be handed to libuv's threadpool")                       \
  X(ESIZE, -5006, "size is zero or too large for an aligned allocation")                         \
  X(ENODIRECT, -5007,                                                                              \
    "the filesystem refuses direct I/O (UVDIO_O_DIRECT_PREFERRED would go on buffered)")             \
  X(EDOUBLEFREE, -5008, "the arena frame was released already")                                        \
  X(ENOTFRAME, -5009, "the buffer is not a frame of its arena")                                     \
  X(ETHREAD, -5010, "called from a thread other than the one that runs the engine's loop")         \
  X(EFORK, -5011, "the engine belongs to the parent process; a forked child needs its own")        \
  X(EBACKEND, -5012, "the backend that was asked for is unknown or not available here")

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
  UVDIO_BACKEND_AUTO = 0, /**< the environment variable UVDIO_BACKEND, else ring, else pool */
  UVDIO_BACKEND_RING,     /**< io_uring: Linux 5.10 or later, where the program may use it */
  /** libuv's threadpool: everywhere. libuv aborts the process where it can't start its threads, at
   * their first use. So before the first work of the library's, as many threads are started and
   * ended at once to try that (Linux, and only while the process has too few threads for libuv's
   * to be among them); where they can't be, requests get UVDIO_EPOOL. */
  UVDIO_BACKEND_POOL,
  UVDIO_BACKEND_MEMORY /**< files in RAM that live as long as the engine: for tests */
} uvdio_backend_t;

/** Arenas are registered by uvdio_arena_register() only, not at first use. */
#define UVDIO_ENGINE_NO_AUTO_REGISTER 1u

/** What uvdio_engine_create() is asked for. */
typedef struct uvdio_engine_options_s {
  /** requests with the kernel at most; the rest wait in the library */
  unsigned depth;
  /** a backend other than AUTO is used, or uvdio_engine_create fails */
  uvdio_backend_t backend;
  /** at most so many per turn of the loop, so that others get theirs; 0: 256 */
  unsigned callbacks_max;
  /** Submissions to the ring are sent on together, so many at most: at once where the device has
   * little to do, else when so many have gathered or the turn ends. A write counts as four, and
   * one to a UVDIO_O_DSYNC file goes at once. 1: each by a system call of its own, which can gain
   * a few per cent of operations at small depths for much more CPU; 0: 16. */
  unsigned submit_batch_max;
  unsigned flags; /**< UVDIO_ENGINE_NO_AUTO_REGISTER */
  /** Microseconds of a turn of the loop for which the ring is watched by looking, before the loop
   * sleeps: it saves the way through the kernel's sleep at the price of a busy processor, and the
   * loop's other handles wait as long: for programs that do little else, not for busy servers. A
   * turn in which nothing came is followed by an ordinary sleep. 0: never; 1000 at most. Ring
   * backend only. */
  unsigned busy_poll_us;
} uvdio_engine_options_t;

/** Counted since uvdio_engine_create. A request counts as submitted when it was accepted, as
 * completed when its callback begins. */
typedef struct uvdio_engine_stats_s {
  uint64_t submitted;   /**< requests that were accepted */
  uint64_t completed;   /**< requests whose callback has begun */
  uint64_t cancelled;   /**< of those completed: with UV_ECANCELED */
  uint64_t failed;      /**< of those completed: with any other error */
  uint64_t synchronous; /**< operations without a callback, counted nowhere else */
  uint64_t batches;     /**< flushes that had something to submit */
  /** made by the ring on the loop's thread, reads of the eventfd included */
  uint64_t system_calls;
  uint64_t wakeups;        /**< times that the ring's eventfd woke the loop */
  uint64_t busy_hits;      /**< times that busy polling saw something come */
  uint64_t iterations;     /**< turns of the loop that ran callbacks */
  uint64_t callbacks_peak; /**< most callbacks in one turn */
  uint64_t resumed;        /**< short transfers that were taken up again */
  /** Times that operations were interrupted or turned away for the moment, and repeated: each 64
   * times at most, then UV_EINTR or UV_EAGAIN is what it ends with. */
  uint64_t retried;
  /** operations that the ring could not do and the pool did, closes among them */
  uint64_t punted;
  /** bytes of file content that were copied in memory by the library */
  uint64_t copied;
  /** transfers submitted to the ring whose memory it knew by number */
  uint64_t fixed;
  uint64_t registered_bytes;      /**< now: memory of arenas that the ring keeps pinned */
  uint64_t registrations_refused; /**< by the kernel; uvdio_arena_registration() tells why */
  /** Nanoseconds that the longest of the library's own system calls took on the loop's thread:
   * submitting, having completions posted, registering memory and files at first use and letting
   * go of them, and what could not be left to a worker. Not the synchronous forms, nor what the
   * user asks to be (un)registered. A thread that was not scheduled meanwhile counts as well. */
  uint64_t longest_call_ns;
  unsigned in_flight;      /**< now: with the kernel or a worker */
  unsigned in_flight_peak; /**< most of them at one time */
  uint64_t pending;        /**< now: accepted, callback not begun */
} uvdio_engine_stats_t;

/** The end of an engine, from uvdio_engine_close(). */
typedef void (*uvdio_engine_cb)(uvdio_engine_t* engine);

/** uvdio_engine_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop,
                                           const uvdio_engine_options_t* options, size_t size);

/** Creates an engine on `loop`, which must outlive it. `options` may be null. The engine may be set
 * up on one thread and its loop run on another: the loop's first turn binds it to the thread that
 * runs it. Any number of engines may share a loop. The loop is kept alive by pending requests
 * only, never by the engine itself. Some of the loop's handles are the engine's; their `data` is
 * null, and whoever walks over the loop may use it. Close the engine before a walk closes what is
 * left: an engine whose handles a walk has closed calls nobody back for what is under way before
 * it is closed, too, which it still can be. Errors: UV_EINVAL (null, unknown backend or flag,
 * depth over UVDIO_DEPTH_MAX, busy_poll_us over UVDIO_BUSY_POLL_MAX), UVDIO_EBACKEND (the backend
 * that the option or UVDIO_BACKEND names is unknown or not available; uvdio_backend_probe() tells
 * why), UV_ENOMEM (also: a ring that was asked for is more than the limit on locked memory
 * allows), UV_EMFILE. */
static inline int uvdio_engine_create(uvdio_engine_t** engine, uv_loop_t* loop,
                                      const uvdio_engine_options_t* options) {
  return uvdio_engine_create_sized(engine, loop, options, sizeof(uvdio_engine_options_t));
}

/** Closes the engine: from now on every operation on it is refused with UV_EBADF; what was accepted
 * runs to its callback, however long the kernel takes; files still open are then closed; then `cb`
 * (which may be null) is called; then `engine` is freed. From `cb` on no file of this engine is
 * open and none of its handles is left on the loop. There is no synchronous form. When it returns,
 * the engine's handles are closing, so that a walk that closes all that are not (uv_is_closing())
 * is harmless from now on, whatever is under way. An idle engine is closed within one turn of the
 * loop. What is under way is called back in the loop's closing phase, as many per turn as ever;
 * while a ring has requests in hand, each turn of the loop, also with UV_RUN_NOWAIT, sleeps for 1
 * ms at most where it has nothing else to do. In a forked child, after uv_loop_fork(), it gives
 * everything back: pending requests end with UVDIO_EFORK and the parent notices nothing. What
 * libuv's threadpool had in hand at the fork keeps the child's loop alive for good, and a little
 * memory with it: libuv has no means of dropping it. A descriptor whose open or close was in hand
 * at the fork may stay open in the child. With nothing pending, it may be called on whichever
 * thread runs the loop next; nothing notices where that is a mistake, but while another thread
 * waits in the loop's poll phase. Errors: UV_EINVAL (null), UV_EBADF (closing already),
 * UVDIO_ETHREAD (requests are pending and this is not the thread that the engine is bound to; or
 * the loop runs on another one). */
UVDIO_EXTERN int uvdio_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb);

/** For a loop that is handed on to another thread: forgets which thread the engine is bound to. As
 * after uvdio_engine_create(), the loop's next turn binds it to the thread that runs it; files
 * stay open. Called with nothing pending, by the thread that has run the loop or by the one that
 * runs it next, while no other runs it. Without it, operations on the new thread are
 * UVDIO_ETHREAD. On the ring it gets a new ring; what the ring knew of arenas and files it learns
 * again at their next use, but for arenas of an engine with UVDIO_ENGINE_NO_AUTO_REGISTER, which
 * have to be registered again. Call it on the old thread if that lives on: from another one, the
 * old ring, the memory that it has pinned and the files that it knows stay with the kernel until
 * that thread ends. The same goes for uvdio_engine_close().
 *
 * A loop that comes to another thread while requests are pending: operations, cancel, close and
 * rebind are refused there. What the kernel has not been given yet is done by libuv's threadpool,
 * and called back on the thread that runs the loop; so is everything of engines without a ring.
 * What a ring has in hand may have to wait until the loop runs on the old thread again, or that
 * thread ends (which it does not before the kernel is through with it); meanwhile the loop sleeps
 * as ever. From then on the pool does the work, until uvdio_engine_rebind().
 * Errors: UV_EINVAL (null), UV_EBADF (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD (the loop
 * runs on another thread), UV_EBUSY (requests are pending); of the ring, after which nothing has
 * changed: UV_ENOMEM, UV_EMFILE and others of the kernel. */
UVDIO_EXTERN int uvdio_engine_rebind(uvdio_engine_t* engine);

/** Returns the pointer that the user has set; null at first. */
UVDIO_EXTERN void* uvdio_engine_data(const uvdio_engine_t* engine);

/** Sets a pointer of the user's, which the library never touches. */
UVDIO_EXTERN void uvdio_engine_set_data(uvdio_engine_t* engine, void* data);

/** Returns the loop on which the engine lives. */
UVDIO_EXTERN uv_loop_t* uvdio_engine_loop(const uvdio_engine_t* engine);

/** The name of the backend that runs ("ring", "pool", "memory"), and in words that a person can act
 * on why it is that one. Both may change once, when a ring turns out to be unusable at its first
 * use or later. The text lives as long as the engine. Never null; a null engine gives "none". */
UVDIO_EXTERN const char* uvdio_engine_backend(const uvdio_engine_t* engine);

/** Why that backend runs, in words, as told at uvdio_engine_backend(). Never null. */
UVDIO_EXTERN const char* uvdio_engine_backend_reason(const uvdio_engine_t* engine);

/** Tries out whether a backend can be used here and now: for the ring, by a round trip through a
 * small one. `reason` (may be null) receives why or why not, cut to `size` bytes. AUTO asks about
 * whichever uvdio_engine_create would take. Returns 0 or the code that stands in the way. Any
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
#define UVDIO_OP_KIND_PLAIN 0u           /**< neither of these: open, size, close */
#define UVDIO_OP_KIND_TRANSFER (1u << 0) /**< moves bytes between a buffer and the file */
/** changes the file: a sync covers it, a latch refuses it */
#define UVDIO_OP_KIND_CHANGE (1u << 1)
#define UVDIO_OP_KIND_SYNC (1u << 2) /**< makes earlier changes durable */
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
  X(CLOSE, "close", UVDIO_OP_KIND_PLAIN)

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

/** The end of an operation without a buffer: 0 (for size: bytes), or a negative code. */
typedef void (*uvdio_cb)(uvdio_req_t* req, int64_t result);

/** The end of a read or write: bytes transferred, or a negative code. `buf` is the caller's again,
 * in every case. After a read buf.len is the number of bytes that arrived, also on error. */
typedef void (*uvdio_io_cb)(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

/** A request: one operation, from its submission to its callback. */
struct uvdio_req_s {
  void* data; /**< the user's; the library never touches it */
  /* to read, from the callback (or the synchronous return) until the request is used again */
  uvdio_file_t* file; /**< on which the operation was */
  int64_t result;     /**< what the callback was given */
  size_t transferred; /**< bytes moved by a read or write, also where it failed half-way */
  uvdio_op_t op;      /**< which operation it was */
  UVDIO_REQ_PRIVATE_FIELDS
};

/** Asks that a pending request end early. It ends in its one callback all the same: with
 * UV_ECANCELED when it had not started, with its ordinary result when it had; a read or write on
 * its way through a disk can't be stopped. Errors: UV_EINVAL (null, or not pending), UV_EBUSY
 * (done already with the callback on its way; or a close, which can't be taken back),
 * UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN int uvdio_cancel(uvdio_req_t* req);

/** @} */

/**
 * @defgroup files Files
 *
 * Checks that every operation on a file makes, in this order, before it takes anything:
 *
 *   UV_EINVAL        a null pointer (a null callback asks for the synchronous form), an empty
 *   buffer
 *   UV_EBADF         the file is not open, is being closed, or its engine is; a change to a
 *   read-only file UVDIO_EFORK, UVDIO_ETHREAD
 *   UV_EBUSY         the request is in flight already
 *   UVDIO_EALIGN     reads and writes: base, offset or length is no multiple of the file's
 *   alignment
 *   UVDIO_EOFFSET  an offset, length or their sum past INT64_MAX
 *   latched error    any change or sync after a failed sync or durable write (see uvdio_sync_data)
 *
 * Signals. The library sends none and handles none. The kernel sends one for I/O: where a write,
 * truncate or preallocate goes past the process's limit on file size (setrlimit(2), RLIMIT_FSIZE),
 * the thread that performs it is sent SIGXFSZ, whose default action ends the process. So ignore it,
 * signal(SIGXFSZ, SIG_IGN), or handle it, and the operation ends with UV_EFBIG, on every backend
 * but the one in memory, which knows no limit. (A worker of the kernel's, which the ring may use,
 * is sent none that ends the process; which operations it performs differs between kernels and
 * filesystems.) Memory that has gone from under a mapping is UV_EFAULT, and no SIGBUS, where the
 * kernel moves the bytes: on ring and pool.
 *
 * What goes beyond one handle. The library knows of one uvdio_file_t at a time, whatever else is
 * open on the same file:
 *
 *   A second handle, in this program or another: has an order, a latch and a queue of truncates of
 *   its own.
 *     - A sync waits for the changes that were submitted on its own handle. Of another handle's it
 *       makes durable what had ended when the sync began (fsync(2) is about the file), and says
 *       nothing about what was in flight there.
 *     - A sync that fails latches its own handle. Whether another handle is told of the same loss,
 *       once or at all, is the kernel's affair, so that a success there proves nothing about it.
 *     - A truncate waits for nothing of another handle and stops nothing there: see uvdio_truncate
 *       for what that does.
 *     - A read sees every write whose callback ran before the read was submitted, on whichever
 *       handle. Of a write that is in flight it may see any part. That holds on one machine, among
 *       direct transfers; memory that another program maps (mmap(2)), and what it wrote through the
 *       page cache and did not sync, are promised to nobody.
 *
 *   A forked child: the engine, its files and its requests are the parent's, and UVDIO_EFORK is the
 *     answer to every operation. The child can rely on nothing of what was in flight, its copies of
 *     those buffers included. It shares the open files: until it closes the engine, or calls exec
 *     or exit, the parent's close of a file is not the file's last one, so that space of an
 *     unlinked file stays taken and a lock of flock(2) on it stays held. A child that wants the
 *     files makes an engine and opens them itself: it is then a second handle like any other.
 *
 *   A program that ends with requests pending, by SIGKILL, a crash, or exit(3): the ring's writes
 *     that the kernel had taken go on, and may reach the file after the process is gone, waitpid(2)
 *     included, and after a successor has read it: each either lands, as a whole or in part, or
 *     never does. (What the kernel gave to a thread of the program is done before the program is
 *     gone, from Linux 5.12 on, or never: truncates, preallocates, opens, and writes that could not
 *     begin at once.) Of the pool, only what a worker had in hand is done, and that before the
 *     process is gone. What had ended before stays written, as durable as its syncs have made it. A
 *     successor that reads at once may see a block change once more: 175 ms later at the most in 30
 *     runs on one machine, but nothing bounds it, a slow device least of all. The kernel keeps the
 *     open file until the last of them is done, and with it a lock of flock(2) on that open file:
 *     who gets the lock comes after them. The library has no call that takes one. uvdio/sim.h has
 *     such ends to test against: uvdio_sim_crash().
 * @{
 */

#define UVDIO_O_RDONLY 0u    /**< open for reads */
#define UVDIO_O_RDWR 1u      /**< open for reads, writes and changes of the size */
#define UVDIO_O_CREATE 2u    /**< if missing; needs RDWR */
#define UVDIO_O_EXCLUSIVE 4u /**< with CREATE: fail with UV_EEXIST where the path exists */
#define UVDIO_O_TRUNCATE 8u  /**< to zero; needs RDWR */
#define UVDIO_O_DSYNC 16u    /**< a write is durable when its callback runs (O_DSYNC) */
#define UVDIO_O_NOFOLLOW 32u /**< refuse a path whose last part is a symbolic link (UV_ELOOP) */
/** Where the filesystem refuses direct I/O, go on through the page cache; uvdio_file_info() tells.
 * Without this flag the open fails with UVDIO_ENODIRECT. */
#define UVDIO_O_DIRECT_PREFERRED 64u
/** Enforce the alignment that the system requires for this file (512 bytes on many) instead of
 * UVDIO_ALIGNMENT. What it recommends may be more: uvdio_file_info_t.recommended_align. */
#define UVDIO_O_NATIVE_ALIGN 128u

/* The four ways in which files are mostly opened. */

/** An existing file, for reads. */
#define UVDIO_OPEN_READ UVDIO_O_RDONLY
/** A new or emptied file. */
#define UVDIO_OPEN_CREATE (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_TRUNCATE)
/** An existing file, or a new one. */
#define UVDIO_OPEN_RW (UVDIO_O_RDWR | UVDIO_O_CREATE)
/** A log: the same, and each write is durable when its callback runs. */
#define UVDIO_OPEN_WAL (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_DSYNC)

/** Who told what alignment the system requires. */
typedef enum {
  UVDIO_ALIGN_DEFAULT = 0, /**< UVDIO_ALIGNMENT: nobody said anything else */
  UVDIO_ALIGN_STATX,       /**< the kernel, by STATX_DIOALIGN (statx(2), Linux 6.1) */
  UVDIO_ALIGN_SYSTEM       /**< the device's sector size, asked for otherwise */
} uvdio_align_source_t;

/** What was opened, how it is executed, and which alignment holds. */
typedef struct uvdio_file_info_s {
  /** what executes this file's reads and writes: "ring", "pool", "memory" */
  const char* backend;
  /** and those that are submitted while others are in flight: mostly the same */
  const char* backend_concurrent;
  const char* reason;     /**< why it is not the engine's own backend, or "" */
  const char* filesystem; /**< "ext4", "xfs", ...; "unknown" */
  /** 1: past the page cache; 0: buffered, after UVDIO_O_DIRECT_PREFERRED */
  int is_direct;
  int latch_error;   /**< 0, or the error of the sync or durable write that failed */
  int is_registered; /**< 1: the ring has it in its table of files, which saves look-ups */
  /** 1: UVDIO_O_DSYNC, and one durable write runs at a time; see uvdio_write */
  int is_durable_serialized;
  unsigned flags; /**< UVDIO_* of the open */
  /**
   * Bytes, all powers of two. What is enforced, alike for reads and writes: UVDIO_ALIGNMENT or what
   * the system requires, if that is more; under UVDIO_O_NATIVE_ALIGN what it requires. */
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
} uvdio_file_info_t;

/** An open file. */
struct uvdio_file_s {
  void* data; /**< the user's; the library never touches it */
  UVDIO_FILE_PRIVATE_FIELDS
};

/** Opens `path` on the engine. `file` is filled in; it may be used from the callback on, and must
 * stay where it is until closed. `path` is copied, UTF-8. `mode` is for a file that gets created
 * (open(2)), and may forbid writing; Windows ignores it. Descriptors are close-on-exec.
 *
 * The path is looked up, permissions are checked and the umask is applied at some moment between
 * the call and the callback, on every backend (in the synchronous form: during the call). So what
 * they depend on has to hold all that time: the working directory for a relative path, the root
 * directory, the umask, user and groups of the process. What one thread has for itself
 * (unshare(2), setfsuid(2)) may or may not count.
 *
 * An open is one step on the path, under all of its flags: what is opened or created is what the
 * path leads to at that moment, and whether it takes direct I/O is found out by the descriptor.
 * "Direct" is past this kernel's page cache: a server behind the file (network, FUSE) is not told,
 * and may have a cache of its own.
 *
 * An open that fails, for whatever reason, leaves nothing that was not there: an existing file is
 * not truncated, and a file that this open has created is removed. Others may have seen it
 * meanwhile. It stays where somebody has written to it, or has put something else in its place;
 * only what replaces it in its folder between the last look at the name and its removal, two
 * system calls in a row, would be removed instead. (What is created through a link at the end of
 * the path stays on macOS, and on Linux before 6.12.)
 *
 * Errors returned: UV_EINVAL (null, unknown or contradictory flags), UV_EBADF (the engine is
 * closing), UV_EBUSY (the file is open, or the request in flight), UV_ENOMEM, UVDIO_EFORK,
 * UVDIO_ETHREAD. Errors delivered: UV_ENOENT, UV_EACCES, UV_EISDIR, ... of the system;
 * UVDIO_ENODIRECT; UV_ECANCELED; UV_EINTR where one of its system calls was interrupted each time
 * that it was tried (64 times: some FUSE filesystems always are). After an error the file is not
 * open, and may be used for another open. Opening may take long, and so may closing what an open
 * that failed had opened: workers do both, the kernel's or libuv's. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_open(uvdio_engine_t* engine, uvdio_file_t* file,
                                             uvdio_req_t* req, const char* path, unsigned flags,
                                             int mode, uvdio_cb cb);

/**
 * Reads buf->cap bytes at `offset` into the buffer; for less, pass a view, or a frame whose cap was
 * lowered: it comes back so, and is released all the same. (A heap buffer's cap has to be put back
 * before it is released or grows.) Short transfers are resumed; a result below cap means that the
 * file ended. cap may be more than the kernel moves at once (0x7ffff000, read(2)). A cap of 0 (a
 * view on nothing) gives 0 without touching the file. Ownership: emptied on acceptance, comes back
 * in the callback with len set to the bytes that arrived. The synchronous form leaves it where it
 * is and sets len. The loop's thread hands the kernel 1 MiB of plain memory at most (16 MiB that
 * are registered); more goes to a worker of the kernel's, because pages that were never touched are
 * faulted in by whoever hands them over. Errors returned: the checks above. Errors delivered: the
 * system's (UV_EIO, ...); UVDIO_ESHORTREAD (a network or FUSE filesystem stopped giving bytes
 * before the end of the file); UV_ECANCELED. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_read(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf,
                                             uint64_t offset, uvdio_io_cb cb);

/**
 * As uvdio_read, but the end of the file before cap is UVDIO_ESHORTREAD: the buffer comes back with
 * what arrived, counted in buf.len and req->transferred. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_read_exact(uvdio_file_t* file, uvdio_req_t* req,
                                                   uvdio_buf_t* buf, uint64_t offset,
                                                   uvdio_io_cb cb);

/** Writes the buffer's first len bytes at `offset`. Short transfers are resumed; the result is len.
 * A len of 0 gives 0 without touching the file. Durable when the callback runs if the file is
 * UVDIO_O_DSYNC, after a sync otherwise. Ownership as for uvdio_read; len stays as it is. An error
 * of a write on a UVDIO_O_DSYNC file latches it, as a failed sync does: it may come from the sync
 * that is part of such a write, and then what was written earlier may be lost as well. Not so
 * UV_EFBIG, UV_EFAULT, UV_EBADF, UV_EAGAIN, UV_EINTR, UV_EINVAL (where durable_serialized is 0),
 * UVDIO_ESHORTWRITE, UVDIO_EPOOL and UV_ECANCELED, which no sync has given. UV_ENOSPC does: after
 * room was made, reopen the file. Where writes may go through the page cache (info.direct is 0, or
 * the filesystem is neither XFS nor ext4 with extents nor a block device), the kernel tells each
 * error of write-back once per open file, to whoever asks first. There durable writes and syncs of
 * a file run one at a time (info.durable_serialized), and those that wait get a latched error. Not
 * even so can a device be found out that takes bytes, loses them and tells nobody. Errors
 * returned: the checks above; UV_EBUSY for the synchronous form while a truncate is about, or
 * (durable_serialized) a durable write or sync. Errors delivered: the system's (UV_ENOSPC, UV_EIO,
 * UV_EFBIG: see "Signals", ...); UVDIO_ESHORTWRITE (no progress, and no error told); UV_ECANCELED.
 * After each, req->transferred bytes have been written, and the state of the rest of the range is
 * unknown. From Linux 7.0 on the kernel may copy a direct write on a device that needs pages to
 * keep still (one that checksums them), because programs change buffers that are in flight. Here
 * nobody may touch them, on any kernel and device: where nothing is copied, that is what keeps the
 * checksum from being of other bytes than those written. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_write(uvdio_file_t* file, uvdio_req_t* req,
                                              uvdio_buf_t* buf, uint64_t offset, uvdio_io_cb cb);

/** Makes durable every write, truncate and preallocate that was submitted on this file before: it
 * waits for those still in flight, then syncs data and what is needed to read it back
 * (fdatasync(2)). A sync that fails, with whatever error, latches the file: the kernel may have
 * dropped what it could not write and would call the next sync a success (Rebello et al., ATC
 * 2020), so later changes and syncs fail with the same error until the file is reopened; also
 * those that were submitted before and have not been started. A truncate or preallocate that fails
 * does not latch. A sync covers what was written, and no more: after a write that failed, the next
 * sync can be a success of its own. Data is safe when both the write and the sync after it have
 * succeeded. All of this is per handle and not per file on the disk: what a second handle or
 * another process has written is not waited for, a latch of one handle is unknown to the other,
 * and a truncate keeps away the requests of its own handle only. One sync of a file runs at a
 * time, and those that gather meanwhile share the next one. Errors returned: the checks above;
 * UV_EBUSY for the synchronous form while changes or syncs are in flight. Errors delivered: the
 * system's (UV_EIO, UV_ENOSPC, ...); UV_ECANCELED (not started: no latch). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_sync_data(uvdio_file_t* file, uvdio_req_t* req,
                                                  uvdio_cb cb);

/** As uvdio_sync_data, and all metadata as well (fsync(2)). macOS and Windows have one kind of
 * sync, which is this. No sync is one of the file's name: after a power cut a file that was
 * created (or renamed) is sure to be found only if its directory was synced, too, by fsync(2) on a
 * descriptor of the directory. That also goes for UVDIO_O_DSYNC. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_sync_all(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** Gives the file's size in bytes as the result. Changes in flight may or may not count. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_size(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** Sets the file's size to `length` bytes, any number up to INT64_MAX; what is added reads as
 * zeros. It runs alone: after the reads, writes, truncates and preallocates that were submitted
 * before it on this file, and before those that come after, but for transfers of no bytes, which
 * touch nothing. (Beside direct writes, a truncate makes kernels lose writes or report errors for
 * them: Linux 6.18 lost acknowledged ones on XFS, and on ext4 the next sync failed with UV_EIO.)
 * Keep other processes from truncating, too. Errors returned: the checks above; UV_EBUSY for its
 * synchronous form while others of these are in flight, and for theirs while a truncate is. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_truncate(uvdio_file_t* file, uvdio_req_t* req,
                                                 uint64_t length, uvdio_cb cb);

/** Reserves space so that writes below `length` bytes don't run out of it, and makes the file at
 * least that long; what is added reads as zeros. Never shrinks. A log wants its segments written
 * once, too: a reserved block still costs a metadata update at its first durable write. macOS and
 * Windows have no call that only grows a file: there, let no write past `length` be in flight.
 * Errors delivered: UV_ENOSPC, UV_EFBIG (see "Signals"), UV_ENOTSUP (the filesystem can't), ...;
 * `length` zero: UV_EINVAL returned. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_preallocate(uvdio_file_t* file, uvdio_req_t* req,
                                                    uint64_t length, uvdio_cb cb);

/** Closes the file when everything submitted before has finished; from now on operations are
 * refused with UV_EBADF. Closing may take long (that of an unlinked file frees its blocks), so a
 * worker of libuv's threadpool does it, on every backend. In the callback the file is closed,
 * whatever the result says, and may be reused or freed. Closing does not sync. Errors returned:
 * UV_EINVAL, UV_EBADF, UV_EBUSY (the request is in flight; the synchronous form while requests are
 * pending), UVDIO_ETHREAD, UVDIO_EFORK. Errors delivered: the system's (close(2)). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/** uvdio_file_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_file_info_sized(const uvdio_file_t* file, uvdio_file_info_t* info,
                                       size_t size);

/** Tells what was opened, how it is executed and which alignment holds. The text lives until the
 * file is closed. Errors: UV_EINVAL (null), UV_EBADF (not open). Loop thread. */
static inline int uvdio_file_info(const uvdio_file_t* file, uvdio_file_info_t* info) {
  return uvdio_file_info_sized(file, info, sizeof(uvdio_file_info_t));
}

/** @} */

/**
 * @defgroup buffers Buffers
 *
 * A buffer is a handle on memory. Where that memory came from, its origin, decides what releasing
 * it does; everything else is the same for all.
 *
 *   heap     memory of this buffer alone. Release frees it.
 *   arena    a frame of an arena. Release hands it back.
 *   view     bytes that belong to someone else. Release only empties the handle; whoever owns the
 *            bytes keeps them alive for as long as a view is with the library, an arena with all of
 *            its memory: uvdio_arena_destroy() counts frames that are out, and knows nothing of
 *            views.
 *   empty    no memory: a zeroed structure, and what submitting, releasing and taking apart leave.
 *
 * Handles are plain structures. Views may be copied freely; of a heap buffer or a frame exactly one
 * handle may be used. Buffers may move between threads; one buffer is used by one thread at a time.
 * @{
 */

/** Where a buffer's memory came from. */
typedef enum {
  UVDIO_ORIGIN_NONE = 0, /**< the handle is empty */
  UVDIO_ORIGIN_HEAP,     /**< memory of this buffer alone */
  UVDIO_ORIGIN_ARENA,    /**< a frame of an arena */
  UVDIO_ORIGIN_VIEW      /**< memory of someone else */
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
 * reallocation when they don't fit, keeping content and alignment; `data` may lie within the
 * buffer. Frames and views never grow. Errors, all of which leave the buffer as it was: UV_EINVAL
 * (null), UV_ENOBUFS (does not fit and can't grow), UVDIO_EOFFSET (len is past cap, or len + size
 * out of range), UV_ENOMEM. */
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
 * One aligned allocation cut into equal frames. Acquire and release take constant time, never block
 * and never allocate, from any number of threads. Fresh frames are zero; a frame that comes around
 * again holds what its last user left, unless the arena is UVDIO_ARENA_ZEROED.
 * @{
 */

/** Each acquired frame is all zeros, and its len is the frame size instead of 0. */
#define UVDIO_ARENA_ZEROED 1u
/** Ask the system for huge pages (madvise(2), MADV_HUGEPAGE). Creation fails where it has none. */
#define UVDIO_ARENA_HUGE_PAGES 2u
/** Keep the memory from being swapped out (mlock(2)); charged to RLIMIT_MEMLOCK. */
#define UVDIO_ARENA_LOCKED 4u
/** For debugging: an inaccessible page after each frame, so that running over its end faults. */
#define UVDIO_ARENA_GUARD_PAGES 8u

/** What uvdio_arena_create() is asked for. */
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
  unsigned flags; /**< UVDIO_ARENA_* */
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

/** Frees the arena. `frames_out`, where not null, receives how many frames are out. Errors:
 * UV_EINVAL (null), UV_EBUSY (frames are out: the arena lives on). Any thread; no other thread may
 * use the arena meanwhile. */
UVDIO_EXTERN int uvdio_arena_destroy(uvdio_arena_t* arena, size_t* frames_out);

/** Takes a free frame: cap is the frame size, len 0 (or the frame size, in a zeroed arena). `frame`
 * is overwritten. It goes back through uvdio_buf_release(). Errors: UV_EINVAL (null), UV_ENOBUFS
 * (none is free). Any thread. */
UVDIO_EXTERN int uvdio_arena_acquire(uvdio_arena_t* arena, uvdio_buf_t* frame);

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
 * The kernel pins the memory of a direct transfer for as long as that takes, each time anew. Of
 * arenas it can be told once and for all; their frames then cost less (Linux 5.19, ring backend
 * only; io_uring_register(2), IORING_REGISTER_BUFFERS2). That happens by itself, for pieces of 1
 * MiB or a little more when a frame in them is first used, and takes some 0.1 to 0.6 ms for each
 * MiB of fresh memory, most of it for faulting the pages in. (There are 4096 pieces at most: those
 * of an arena over 4 GiB are larger. Pieces of more than 8 MiB, of larger frames or of an arena
 * over 32 GiB, are registered by uvdio_arena_register() only: the call that submits must not take
 * long.)
 *
 * Views are found by their address: one that lies within the memory of an arena that the engine
 * knows (a frame of it was used, or it was registered) goes the same way, whether it is of a part
 * of a frame, a whole one, or several that lie side by side, and so does a frame whose cap was
 * lowered. A view that goes beyond a piece is plain memory. Frames never do.
 *
 * Registered memory can't be swapped out, and counts against RLIMIT_MEMLOCK unless the process has
 * CAP_IPC_LOCK. Where the limit is reached, or the kernel refuses for another reason, transfers go
 * on as plain ones. Nobody may unmap the memory of a registered arena or give its pages back
 * (madvise(2), MADV_DONTNEED): the ring would go on using them.
 *
 * Several engines, on several threads, may use one arena. The first pins for itself; the others
 * share what is pinned once more, where the kernel allows that (without loss from about 6.18 on; at
 * the price of a descriptor), else each pins for itself. Destroying an arena is enough: engines let
 * go of it at the next turn of their loops, or when they register another one. That, unregistering
 * and closing the engine take the loop's thread some 6 µs for each MiB that is registered.
 *
 * A fork copies pinned pages at once (so that the child does not see what arrives in them), which
 * takes a while for a large arena, on the thread that forks, uv_spawn() included: 2.8 s instead of
 * 0.1 s were measured for 1 GiB. Unregister before, or keep the arena from children by madvise(2),
 * MADV_DONTFORK, where none uses it.
 * @{
 */

/** How much of an arena the engine's ring has registered. */
typedef struct uvdio_registration_s {
  size_t bytes;       /**< of the arena's memory: registered with this engine now */
  size_t size;        /**< of the arena's memory: all of it */
  int error;          /**< why no more is going to be registered by itself, or 0 */
  const char* reason; /**< the same in words that a person can act on, or "" ; static text */
} uvdio_registration_t;

/** Registers all of the arena with the engine's ring, now, and blocks for that: 0.1 to 0.6 ms per
 * MiB of fresh memory. Repeated, it tries what was refused once more. Errors: UV_EINVAL (null),
 * UV_EBADF (the engine is closing), UVDIO_EFORK, UVDIO_ETHREAD, UV_ENOTSUP (not a ring, too old a
 * kernel, an arena with guard pages or with frames over 512 MiB), UV_ENOMEM (memory, or the limit
 * on what may be locked: what was registered before that stays so), and others of the kernel.
 * After an error transfers work all the same. Loop thread; before the loop first runs, the thread
 * that sets the engine up. */
UVDIO_EXTERN int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena);

/** Takes the arena's memory out of the engine's ring, so that it is no longer pinned for this
 * engine. It is not registered again until uvdio_arena_register() is called. Errors: as above, and
 * UV_EBUSY (a frame or a view of its memory is in flight on this engine), UV_ENOENT (nothing of it
 * is registered). */
UVDIO_EXTERN int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena);

/** uvdio_arena_registration() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_arena_registration_sized(const uvdio_engine_t* engine,
                                                const uvdio_arena_t* arena,
                                                uvdio_registration_t* info, size_t size);

/** Tells how much of the arena the engine's ring knows, and why not more. Errors: UV_EINVAL (null).
 * Loop thread. */
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

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_H */
