/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/append.h
 * Appending bytes of any length to a file that takes aligned blocks only: logs, tables, streams.
 *
 *     uvdio_appender_t* log;
 *     uvdio_append_t append = UVDIO_ZERO;
 *
 *     uvdio_appender_create(&log, &file, NULL);                      (goes on at the file's end)
 *     uvdio_append(log, &append, "hello", 5, UVDIO_APPEND_DURABLE, on_appended);
 *
 *     static void on_appended(uvdio_append_t* append, int64_t result) {
 *       append->offset, append->length, ...                          (where the bytes lie)
 *     }
 *
 * Bytes are copied into the appender's buffers, once, which is what it is for: many small appends
 * become one write. Full buffers are in flight side by side. A last block that is not full is
 * padded with zeros and written at once where nothing else of it is in flight; what arrives
 * meanwhile gathers for the next write (group commit). No two writes in flight touch one block.
 *
 * The file's size is kept ahead of the appends, because writes that extend a file run one at a time
 * on some filesystems (XFS): by uvdio_truncate(), in steps that double. Closing the appender cuts
 * the file to the bytes that were appended. Steps that go past the process's limit on file size
 * (RLIMIT_FSIZE) are no error, but the kernel sends SIGXFSZ (uvdio.h, "Signals"), though the bytes
 * may be far from the limit: ignore it, or use UVDIO_APPEND_NO_GROWTH. What a program finds behind
 * them after a crash:
 *
 *   - zeros, or bytes of appends that were under way, each block of which may be there or not. So
 *     records have to tell their end, by a checksum for example, and UVDIO_APPEND_AT_SIZE goes on
 *     there.
 *   - The file is never shorter than the bytes that are durable.
 *
 * Rewriting. Where appends end within a block, the next one rewrites the block: its old bytes are
 * the same, and the new ones follow. Of a block on which power was cut while it was rewritten,
 * sectors that the device writes as a whole hold old or new bytes, and acknowledged ones are the
 * same in both. A device that tears or loses a sector which it is writing can harm the acknowledged
 * bytes of the last block (uvdio_file_info_t.offset_align of them at most), and no others.
 * UVDIO_APPEND_NO_REWRITE takes that risk away while it appends, for space. A cut within the last
 * block (the close's, and those of AT_SIZE and EXACT_SIZE), and growth from within one, make the
 * filesystem write zeros behind the last byte, and so that block again.
 *
 * Between its creation and its end the appender alone may change the file; reads are free. A second
 * appender on the file, or a write of the program's, is not noticed, and overwrites what was
 * appended. uvdio_appender_size() is the end of the bytes, and not uvdio_size(). An
 * appender is made of the calls of uvdio.h, and uvdio_engine_stats() and uvdio_engine_walk() show
 * its requests. Its functions are called on the loop's thread. They have no synchronous form.
 */
#ifndef UVDIO_APPEND_H
#define UVDIO_APPEND_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup appending Appending
 * @{
 */

/** An appender: the end of a file, and buffers for it. */
typedef struct uvdio_appender_s uvdio_appender_t;
typedef struct uvdio_append_s uvdio_append_t;

/** The end of an append: its length, or a negative code; of a sync and a close: 0, or a negative
 * code. `append` may be used again, or freed, and so may its bytes. */
typedef void (*uvdio_append_cb)(uvdio_append_t* append, int64_t result);

/** One append, sync or close. Zeroed once, before its first use. */
struct uvdio_append_s {
  void* data;      /**< the user's; the library never touches it */
  uint64_t offset; /**< of the first byte in the file; from the callback on */
  size_t length;   /**< bytes */
  int64_t result;  /**< what the callback was given */
  /** @cond private */
  uvdio_appender_t* appender_; /* null: not pending */
  uvdio_append_t* next_;
  uvdio_append_cb cb_;
  const char* bytes_;
  size_t placed_;     /* bytes that have been copied */
  uint64_t end_;      /* of its bytes in the file, once all are placed */
  uint64_t sequence_; /* once all are placed */
  unsigned kind_;
  unsigned flags_;
  void* reserved_[3]; /* zero; becomes fields of later versions */
  /** @endcond */
};

/** Of an appender: each write is durable (UVDIO_WRITE_DURABLE), and so an append when its callback
 * runs. Of one append: it and all before it are durable then, by a sync that appends share. */
#define UVDIO_APPEND_DURABLE (1u << 0)
/** Go on at options.size, which the program's format knows. What the file holds behind is cut off.
 * Without this flag the appender goes on at the file's end. */
#define UVDIO_APPEND_AT_SIZE (1u << 1)
/** A block that holds bytes of an earlier write is not written again: the next append begins at the
 * next block, and the gap is zeros. append->offset tells. Appends that are written together follow
 * each other without a gap. */
#define UVDIO_APPEND_NO_REWRITE (1u << 2)
/** The file's size is not kept ahead. Faster where many appends share large writes that are not
 * durable, on ext4. */
#define UVDIO_APPEND_NO_GROWTH (1u << 3)
/** Each sync (uvdio_appender_sync(), or an append with DURABLE on an appender without) cuts the
 * file to the bytes that were appended, so that it ends with the last one while nothing more is
 * appended, also after a power cut; and by less than a block behind the last byte of an append that
 * was under way. Implies UVDIO_APPEND_NO_GROWTH. Each cut waits for the writes before it and holds
 * back those behind it. Durable writes of a DURABLE appender don't cut. */
#define UVDIO_APPEND_EXACT_SIZE (1u << 4)

/** Options of an appender; all zero: the defaults. */
typedef struct uvdio_appender_options_s {
  uint64_t size;         /**< bytes; with UVDIO_APPEND_AT_SIZE */
  size_t buffer_size;    /**< bytes of a write at most, a multiple of offset_align; 0: 128 KiB */
  unsigned buffer_count; /**< writes in flight at most; 0: 4; at most UVDIO_APPEND_BUFFERS_MAX */
  unsigned flags;        /**< UVDIO_APPEND_* */
  /** Bytes: the first step by which the file grows ahead; 0: 1 MiB, or grow_max if that is less.
   * Steps double. The next one is made when less than half of the last one is left. */
  uint64_t grow_min;
  uint64_t grow_max; /**< bytes: the largest step; 0: 32 MiB, or grow_min if that is more */
} uvdio_appender_options_t;

/** Buffers of an appender, at most. */
#define UVDIO_APPEND_BUFFERS_MAX 1024u

/** uvdio_appender_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_appender_create_sized(
    uvdio_appender_t** appender, uvdio_file_t* file, const uvdio_appender_options_t* options,
    size_t size);

/** Creates an appender on a regular file that is open for writing, and must stay so until the
 * appender has ended. `options` may be null. All of its memory is allocated here: the buffers, and
 * some KiB.
 *
 * The appender then prepares the file by requests, which keep the loop alive: it asks for the size,
 * cuts off what is behind UVDIO_APPEND_AT_SIZE, syncs (what a program that crashed has left may be
 * in a cache only, and the cut must not be undone behind an append), and reads the last block where
 * it is not full. Appends wait for that, and get its errors: the system's; UVDIO_EOFFSET (the file
 * is shorter than options.size); UVDIO_ESHORTREAD (it was cut meanwhile); UV_EBADF (the last block
 * has to be read, and the file is open for writing only).
 *
 * Errors returned: UV_EINVAL (null, unknown flag, a size without UVDIO_APPEND_AT_SIZE, too many
 * buffers, grow_min over grow_max), UV_E2BIG (an option of a newer header), UVDIO_EALIGN
 * (buffer_size), UVDIO_ESIZE (the buffers are too large together), UVDIO_EOFFSET (size, grow_min or
 * grow_max past INT64_MAX), UV_ENOMEM, UV_EBADF (the file is not open, or for reads only),
 * UVDIO_ETHREAD, UVDIO_EFORK. */
static inline UVDIO_MUST_CHECK int uvdio_appender_create(uvdio_appender_t** appender,
                                                         uvdio_file_t* file,
                                                         const uvdio_appender_options_t* options) {
  return uvdio_appender_create_sized(appender, file, options, sizeof(uvdio_appender_options_t));
}

/** Appends `length` bytes, behind all that were appended before. `flags`: 0 or
 * UVDIO_APPEND_DURABLE. The bytes are read until the callback, and must not change: what finds no
 * room in the buffers waits in the caller's memory, so that the library's is bounded. They need no
 * alignment.
 *
 * Callbacks run in the order of the calls, when the bytes are in the file, or durable (DURABLE).
 *
 * Errors stop the appender. After an error of a write, a sync or a cut, nothing that was pending is
 * acknowledged, and all of it gets the error; later calls return it. The same holds where
 * uvdio_file_cancel() or uvdio_engine_cancel() ends one of its requests (UV_ECANCELED). What was
 * acknowledged stays as durable as it was. A file that could not be grown ahead is no error, and is
 * not tried again.
 *
 * Errors returned: UV_EINVAL (null, no bytes, unknown flag), UV_EBADF (the appender is closing, or
 * the file is not open), UVDIO_EFORK, UVDIO_ETHREAD, UV_EBUSY (`append` is pending), UVDIO_EOFFSET
 * (past INT64_MAX), the error that has stopped the appender. Errors delivered: those of
 * uvdio_write_flags() and uvdio_sync_data(), and of the preparation. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_append(uvdio_appender_t* appender, uvdio_append_t* append,
                                               const void* bytes, size_t length, unsigned flags,
                                               uvdio_append_cb cb);

/** Makes all that was appended before durable; the callback comes in its turn. Syncs that gather
 * while one runs share the next one. append->offset is the end of the bytes that it covers. Errors
 * as for uvdio_append(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_appender_sync(uvdio_appender_t* appender,
                                                      uvdio_append_t* append, uvdio_append_cb cb);

/** Returns where the bytes end that were appended, those included that wait for room; the next
 * append begins there (with UVDIO_APPEND_NO_REWRITE there or later). UV_EAGAIN: the file's size is
 * not known yet (see uvdio_appender_create()); where the preparation has failed, its error.
 * UV_EINVAL: null. Loop thread. */
UVDIO_EXTERN int64_t uvdio_appender_size(const uvdio_appender_t* appender);

/** Closes the appender, when all that was submitted before has ended: cuts the file to its last
 * byte, syncs it, and frees the appender before `cb` begins, which must not be null: it is given
 * the appender's error. The file stays open, and the caller's.
 * After an error the file is left as it is, and `cb` gets the error. Where the power was cut before
 * the callback, growth may be left.
 *
 * Errors returned: UV_EINVAL (null), UV_EBADF (closing already; the file is not open:
 * uvdio_appender_destroy()), UV_EBUSY (`append` is pending), UVDIO_EFORK, UVDIO_ETHREAD. Errors
 * delivered: those of uvdio_append(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_appender_close(uvdio_appender_t* appender,
                                                       uvdio_append_t* append, uvdio_append_cb cb);

/** Frees the appender and leaves the file as it is: where the file was closed, its engine is gone,
 * or in a forked child after the engine was closed there. Errors: UV_EINVAL (null), UV_EBUSY (a
 * request of the appender is pending; or called from one of its callbacks). */
UVDIO_EXTERN int uvdio_appender_destroy(uvdio_appender_t* appender);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_APPEND_H */
