/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/log.h
 * A log with group commit: records of any length, appended at any rate, each with one callback when
 * it is durable, and replayed in their order after a crash.
 *
 *     uvdio_log_t* log;
 *     uvdio_log_append_t append = UVDIO_ZERO;
 *
 *     uvdio_log_open(&log, engine, "wal", NULL, on_record, on_open, NULL);   (a directory)
 *     ...
 *     uvdio_log_append(log, &append, "hello", 5, on_durable);
 *
 *     static void on_durable(uvdio_log_append_t* append, int status) {
 *       append->lsn ...                                    (0: durable, and all before it as well)
 *     }
 *
 * Group commit. One flush is in flight at a time: what is appended meanwhile shares the next one.
 * Callbacks run in the order of the appends. With window_ms a flush waits for company, up to
 * flush_size bytes.
 *
 * Sequence numbers. A record's LSN grows from record to record, never comes back, and is never 0.
 * It tells where the record lies: number of the segment times segment_size, and the offset in it.
 *
 * Files. The directory has segments (`0000000000000001.seg`, ...), made ahead and written through
 * once, so that a durable write changes no metadata; the file `log`, which tells where the log
 * begins; and `lock`, which keeps a second program out, and tells that there is a log; and at times
 * `next` and `log.new`, which become one of them, and may be left behind. A backup has to have all
 * of `log`, `lock` and the segments: where `log` and `lock` are missing there is no log, whatever
 * else lies there, and an open makes a new one, which takes the segments' names
 * (UVDIO_LOG_EXISTING). uvdio_log_cut() gives up segments, which are used again under new names.
 * Each block of 4096 bytes has a checksum (CRC-32C), its own position, and the position up to which
 * all was durable when it was written; so blocks of an earlier use, of another log, or of a flush
 * that a crash has interrupted, are never taken for records.
 *
 * Space. A new log takes two segments of the disk at once, the first one before its open ends, and
 * the next one right behind: 128 MiB with default options. Later it has those that hold what was
 * not cut off, one that was, and one that is made ahead.
 *
 * The directory's own name is the caller's to make durable, before the first append: where
 * uvdio_mkdir() has made it, by uvdio_sync_directory() of the directory in which it lies. Without
 * that a power cut may take the directory, and with it all that was acknowledged. All names within
 * it are made durable by the log.
 *
 * What a flush begins, it begins with a block of its own: a block that holds acknowledged bytes is
 * not written again, so that no torn write can harm them. A flush of one small record so takes 4096
 * bytes. With UVDIO_LOG_PACKED a flush goes on in the last block: a device that tears a block which
 * it writes can then harm the acknowledged records of that block.
 *
 * Recovery, at the open: all records that were acknowledged are replayed, in their order, and
 * perhaps some behind them that were on their way. The first block that is missing or wrong is the
 * end, unless a later one tells that it had been durable: then the log is damaged
 * (UVDIO_EDAMAGED), and nothing is appended behind the hole. Damage in the last flush looks like an
 * interrupted one. Files behind the last segment that bear the names of further ones, and have no
 * block of this log, are not there for it, and overwritten or removed. What was replayed is durable
 * when the open's callback runs.
 *
 * Errors. After an error of a write, no record is acknowledged any more that was pending or comes
 * later: all get the error. Close the log, and open it again to learn which records are there.
 *
 * Readers take records of an open log, and follow what is appended (uvdio/log_reader.h).
 *
 * A log is made of the calls of uvdio.h; uvdio_engine_stats() and uvdio_engine_walk() show its
 * requests. Its functions are called on the loop's thread.
 */
#ifndef UVDIO_LOG_H
#define UVDIO_LOG_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup logs Logs
 * @{
 */

/** A log. */
typedef struct uvdio_log_s uvdio_log_t;
typedef struct uvdio_log_append_s uvdio_log_append_t;

/** Bytes of a record at most: 1 GiB. */
#define UVDIO_LOG_RECORD_MAX ((size_t)1 << 30)

/** The end of an append: 0, and the record is durable, or a negative code. `append` may be used
 * again, or freed, and so may its bytes. */
typedef void (*uvdio_log_append_cb)(uvdio_log_append_t* append, int status);

/** The end of an open or a close: 0 or a negative code. */
typedef void (*uvdio_log_cb)(uvdio_log_t* log, int status, void* arg);

/** A record, at recovery: `data` until the call returns. It may call no function of the log. */
typedef void (*uvdio_log_record_cb)(uint64_t lsn, const void* data, size_t length, void* arg);

/** One append. Zeroed once, before its first use. */
struct uvdio_log_append_s {
  void* data;    /**< the user's; the library never touches it */
  uint64_t lsn;  /**< of the record; from its callback on, where that was given 0 */
  size_t length; /**< bytes */
  /** @cond private */
  uvdio_log_t* log_; /* null: not pending */
  uvdio_log_append_t* next_;
  uvdio_log_append_cb cb_;
  const char* bytes_;
  size_t placed_;     /* bytes that are in a buffer */
  int is_begun_;      /* and so is the record's head */
  void* reserved_[3]; /* zero; becomes fields of later versions */
  /** @endcond */
};

/** A flush goes on in the last block of the one before (see above). */
#define UVDIO_LOG_PACKED (1u << 0)
/** The log has to be there: in a directory without one the open ends with UV_ENOENT, and makes no
 * new one (but an empty file `lock`). For programs that know that they have written to it, and
 * whose directory may be another one, not mounted, or restored in part. */
#define UVDIO_LOG_EXISTING (1u << 1)

/** Options of a log; all zero: the defaults. */
typedef struct uvdio_log_options_s {
  /** Bytes of a segment, a multiple of 4096, 64 KiB at least; 0: 64 MiB. A log that is there keeps
   * its own. */
  uint64_t segment_size;
  /** Bytes of a flush at most, a multiple of 4096, half a segment at most; 0: 4 MiB, or a quarter
   * of a segment if that is less. The log takes memory for two of them, from 2 MiB on in huge pages
   * where the system has some; what no flush and no recovery has needed costs nothing. A log that
   * is there with smaller segments takes half of one of these. */
  size_t buffer_size;
  /** Milliseconds for which a flush waits for company; 0: it begins at once. */
  unsigned window_ms;
  /** Bytes for which it waits at most; 0: buffer_size. */
  size_t flush_size;
  /** Bytes of records that find no room in the buffers, and wait in the caller's memory, at most:
   * an append that would be more gets UVDIO_EFULL, but for one that finds no other waiting, of
   * whatever length; 0: any number. */
  uint64_t waiting_max;
  unsigned flags; /**< UVDIO_LOG_* */
  /** Milliseconds for which the open waits while somebody else has the log: another program, or the
   * kernel for one that was killed, until that one's last writes have ended, which takes some
   * milliseconds. 0: it does not wait, and gets UVDIO_ELOCKED at once. */
  unsigned lock_wait_ms;
} uvdio_log_options_t;

/** Counters of a log since its open, and some current values. */
typedef struct uvdio_log_stats_s {
  uint64_t appends;             /**< that are durable */
  uint64_t bytes;               /**< of these */
  uint64_t flushes;             /**< that have ended well */
  uint64_t flushed_bytes;       /**< by these, blocks as a whole */
  uint64_t segments_made;       /**< new ones */
  uint64_t segments_used_again; /**< those that were cut off before */
  uint64_t replayed;            /**< records, at the open */
  uint64_t waiting;             /**< now: bytes that wait in callers' memory */
  uint64_t first_segment;       /**< now: number of the segment with which the log begins */
  uint64_t last_segment;        /**< now: number of the one that is being written */
} uvdio_log_stats_t;

/** uvdio_log_open() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_open_sized(uvdio_log_t** log, uvdio_engine_t* engine,
                                                       const char* path,
                                                       const uvdio_log_options_t* options,
                                                       size_t size, uvdio_log_record_cb record_cb,
                                                       uvdio_log_cb open_cb, void* arg);

/** Opens the log in the directory `path`, which has to be there, and recovers it; where it has
 * neither `log` nor `lock` it gets a new log (but see UVDIO_LOG_EXISTING). `options` and
 * `record_cb` may be null. `path` is copied, and a relative one has to lead there until the log is
 * closed. `record_cb` is called for each record, then `open_cb` once. Appends are accepted from the
 * call on, and written behind what is recovered. After an error `open_cb` is given it, appends get
 * it, and the log has to be closed.
 *
 * Errors returned: UV_EINVAL (null, an empty path, unknown flags, sizes out of range), UV_E2BIG (an
 * option of a newer header), UVDIO_EALIGN (sizes), UV_ENAMETOOLONG, UV_ENOMEM, UV_EBADF (the engine
 * is closing), UVDIO_EFORK, UVDIO_ETHREAD. Errors delivered: UVDIO_ELOCKED (another program has the
 * log, or had it and was killed, or another log of this one has it: lock_wait_ms), UVDIO_EDAMAGED,
 * UV_ENOENT (no such directory; no log, with UVDIO_LOG_EXISTING), UV_ENOSPC, UV_ENOTSUP (Windows,
 * which has no durable names), and others of the system. */
static inline UVDIO_MUST_CHECK int uvdio_log_open(uvdio_log_t** log, uvdio_engine_t* engine,
                                                  const char* path,
                                                  const uvdio_log_options_t* options,
                                                  uvdio_log_record_cb record_cb,
                                                  uvdio_log_cb open_cb, void* arg) {
  return uvdio_log_open_sized(log, engine, path, options, sizeof(uvdio_log_options_t), record_cb,
                              open_cb, arg);
}

/** Appends a record. Its bytes are read until the callback, and must not change; they need no
 * alignment. Callbacks run in the order of the appends. Status 0 means that the record is durable,
 * and with it all before it. Errors returned: UV_EINVAL (null, no bytes), UVDIO_ESIZE (more than
 * UVDIO_LOG_RECORD_MAX), UV_EBUSY (`append` is pending), UVDIO_EFULL (waiting_max), UV_EBADF (the
 * log, or its engine, is closing), UVDIO_EFORK, UVDIO_ETHREAD, and the error that has stopped the
 * log. Errors delivered: those of uvdio_write_flags() and of the open. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_append(uvdio_log_t* log, uvdio_log_append_t* append,
                                                   const void* bytes, size_t length,
                                                   uvdio_log_append_cb cb);

/** Gives up records before `lsn`: all segments that have none from there on are used again, or
 * removed, in the background. Records before `lsn` may be replayed all the same. An LSN past what
 * is durable gives up no more than what is. An error of this work does not stop the log before it
 * needs a segment, and then the work is tried again, as it is by the next cut. Errors: UV_EINVAL
 * (null), UV_EAGAIN (the log is being opened), UV_EBADF, UVDIO_EFORK, UVDIO_ETHREAD, and the error
 * that has stopped the log. What readers need is given up as well, but for those that pin it
 * (uvdio/log_reader.h). */
UVDIO_EXTERN int uvdio_log_cut(uvdio_log_t* log, uint64_t lsn);

/** All records whose LSN is below this are durable; 1 where there are none. Any LSN that is told
 * later is not below it. */
UVDIO_EXTERN uint64_t uvdio_log_durable(const uvdio_log_t* log);

/** uvdio_log_stats() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_log_stats_sized(const uvdio_log_t* log, uvdio_log_stats_t* stats,
                                       size_t size);

/** Tells the counters. Errors: UV_EINVAL (null). */
static inline int uvdio_log_stats(const uvdio_log_t* log, uvdio_log_stats_t* stats) {
  return uvdio_log_stats_sized(log, stats, sizeof(uvdio_log_stats_t));
}

/** Closes the log when all that was appended before has ended, and its readers are closed
 * (uvdio/log_reader.h), and frees it after `cb` (which may be null) returns. `cb` is given the
 * error that has stopped the log (UV_EIO where that is UV_EBADF), or 0. Close logs before their
 * engine: where that is closed meanwhile, `cb` is given UV_EBADF, and the log is
 * uvdio_log_destroy()'s. What waits for a reader that nobody closes keeps no loop alive. Errors:
 * UV_EINVAL (null), UV_EBADF (closing already; or the engine is closing), UVDIO_EFORK,
 * UVDIO_ETHREAD. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_close(uvdio_log_t* log, uvdio_log_cb cb, void* arg);

/** Frees a log whose engine is closed: from the engine's close callback on, also in a forked child.
 * Appends that are pending then get no callback. The loop has to run once more before
 * uv_loop_close(): the log's timer ends then. Errors: UV_EINVAL (null), UV_EBUSY (the log has a
 * reader, the engine has files of the log open or requests of it pending, a close that was accepted
 * has not been called back, or the call comes from a callback of the log). */
UVDIO_EXTERN int uvdio_log_destroy(uvdio_log_t* log);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_LOG_H */
