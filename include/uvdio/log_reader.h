/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/log_reader.h
 * Readers of an open log: its records in order, from any of them on, while more are appended. A
 * reader gives what is durable only, so that no crash takes back what it gave.
 *
 *     uvdio_log_reader_t* reader;
 *
 *     uvdio_log_reader_create(&reader, log, NULL);                (from the first record on)
 *     read_on();
 *
 *     static void read_on(void) {
 *       uvdio_log_record_t record;
 *       int error;
 *
 *       while ((error = uvdio_log_reader_take(reader, &record)) == 0) {
 *         send(record.lsn, record.bytes, record.length);          (until the next take)
 *       }
 *       if (error == UV_EAGAIN) {
 *         error = uvdio_log_reader_wait(reader, on_ready, NULL);  (on_ready calls read_on)
 *       } ...                                                     (UV_EOF: the log is closing)
 *     }
 *
 * What is given. Each record that is acknowledged, or was replayed at the open, once and in order:
 * those that recovery would replay after a crash at this moment, and no other. A record can be
 * taken as soon as its append's callback begins.
 *
 * Where to begin. A reader that begins at 0 begins with the first record that is there. One that
 * goes on where an earlier one has ended, perhaps in another life of the program, begins at the LSN
 * of the record that was taken last, plus one. Finding the place takes one read.
 *
 * Reading. A reader has its own handles of the segments and its own memory, and reads ahead by
 * direct reads, a class of its own if that is asked for. Appends wait for no reader. The device is
 * asked for blocks that are durable and do not change any more; of a block that a packed log is
 * going on with (UVDIO_LOG_PACKED), records come from the log's memory.
 *
 * Cuts. uvdio_log_cut() does not ask readers: a record in a segment that was given up can't be
 * taken any more, wherever its bytes are, and a reader that comes to it, or is there, gets
 * UVDIO_ECUT. With UVDIO_LOG_READER_PIN a cut spares the record that the reader has taken last, and
 * all behind it: the rest of the cut is made up for as the reader goes on, or closes. A reader that
 * pins and is not read from so lets the log grow.
 *
 * The end. After uvdio_log_close() a reader gives what is there, and then UV_EOF; the log's close
 * ends when its readers are closed. After an error of the log it gives what is durable, and then
 * that error.
 *
 * A log may have any number of readers. Their functions are called on the loop's thread, also from
 * callbacks of the log, but for its on_record, and of readers.
 */
#ifndef UVDIO_LOG_READER_H
#define UVDIO_LOG_READER_H

#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup log_readers Readers of logs
 * @{
 */

/** A reader of a log. */
typedef struct uvdio_log_reader_s uvdio_log_reader_t;

/** A wait or a close has ended: 0 or a negative code. In that of a wait the reader's functions may
 * be called, but uvdio_log_reader_destroy(). */
typedef void (*uvdio_log_reader_cb)(int status, void* arg);

/** A record that was taken. */
typedef struct uvdio_log_record_s {
  uint64_t lsn;      /**< its sequence number */
  const void* bytes; /**< the reader's: until the next take, wait, close or destruction of it */
  size_t length;     /**< bytes, 1 at least */
} uvdio_log_record_t;

/** Cuts spare what the reader has to take (see above). */
#define UVDIO_LOG_READER_PIN (1u << 0)

/** Options of a reader; all zero: the defaults. */
typedef struct uvdio_log_reader_options_s {
  /** The first record to take is the first whose LSN is not below this; 0 or 1: the first that is
   * there. */
  uint64_t begin;
  /** Bytes of memory for reading ahead, a multiple of 16 KiB, 1 GiB at most; 0: 1 MiB. Four reads
   * are in flight at most, each of a quarter. */
  size_t buffer_size;
  /** Bytes of a record at most: a longer one is UVDIO_ESIZE. 0: UVDIO_LOG_RECORD_MAX. A record that
   * spans blocks (4096 bytes) is gathered in memory that grows with its bytes, to less than twice
   * its length. The reader takes it beside the buffer, and gives it back where it is more than
   * that. */
  size_t record_max;
  unsigned class_number; /**< of its reads (uvdio/class.h); UVDIO_CLASS_DEFAULT: the files' */
  unsigned flags;        /**< UVDIO_LOG_READER_* */
} uvdio_log_reader_options_t;

/** What a reader does. */
typedef struct uvdio_log_reader_info_s {
  /** Where a reader that is created now would have to begin to go on behind this one: the next
   * record's LSN, or one between it and the last one's. */
  uint64_t next;
  uint64_t lsn;       /**< of the record that was taken last; 0: none was */
  uint64_t taken;     /**< records */
  uint64_t bytes;     /**< of these */
  uint64_t reads;     /**< that have ended */
  unsigned in_flight; /**< reads, now */
  int error;          /**< that the reader has stopped with; 0: none */
} uvdio_log_reader_info_t;

/** uvdio_log_reader_create() for bindings: `size` is that of the structure in the caller's header.
 */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_reader_create_sized(
    uvdio_log_reader_t** reader, uvdio_log_t* log, const uvdio_log_reader_options_t* options,
    size_t size);

/** Creates a reader of a log that is open. `options` may be null. Nothing is read before the first
 * take or wait. Errors returned: UV_EINVAL (null, unknown flag, sizes or class too large, a begin
 * past uvdio_log_durable(): no record of this log had such an LSN), UV_E2BIG (an option of a newer
 * header), UVDIO_EALIGN (buffer_size), UVDIO_ECUT (begin lies in a segment that was given up),
 * UV_EAGAIN (the log is being opened), UV_ENOMEM, UV_EBADF (the log, or its engine, is closing),
 * UVDIO_EFORK, UVDIO_ETHREAD, and the error that has stopped the log. */
static inline UVDIO_MUST_CHECK int uvdio_log_reader_create(
    uvdio_log_reader_t** reader, uvdio_log_t* log, const uvdio_log_reader_options_t* options) {
  return uvdio_log_reader_create_sized(reader, log, options, sizeof(uvdio_log_reader_options_t));
}

/** Takes the next record, and reads on behind it. Returns 0, and `record` is overwritten; or a
 * negative code, and it is not. The bytes of the record before are gone either way.
 *
 * Errors returned: UV_EAGAIN (it has not arrived, or none is durable behind the last one:
 * uvdio_log_reader_wait()); UV_EOF (none is left, and the log is closing); UV_EINVAL (null),
 * UV_EBUSY (a wait is pending), UV_EBADF (the reader, or the engine, is closing), UVDIO_EFORK,
 * UVDIO_ETHREAD; the error that has stopped the log. Others stop the reader, and each later take
 * returns them: UVDIO_ECUT, UVDIO_ESIZE (record_max), UV_ENOMEM, UVDIO_EDAMAGED (a block is wrong,
 * or its segment is not there), the error of a read (UV_EIO, UV_ECANCELED, ...). Create another
 * reader at `next` (uvdio_log_reader_info()) to go on. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_reader_take(uvdio_log_reader_t* reader,
                                                        uvdio_log_record_t* record);

/** Calls back once, when a take would not return UV_EAGAIN (status 0), or the reader is closed
 * before (UV_ECANCELED). The wait is a request of the engine (UVDIO_OP_ARENA_WAIT): it keeps the
 * loop alive, and an engine that is closed ends it (status 0, and a take says why).
 *
 * Errors returned: UV_EINVAL (null), UV_EALREADY (a take would not return UV_EAGAIN now), UV_EBUSY
 * (a wait is pending), UV_EBADF, UV_ENOMEM, UVDIO_EFORK, UVDIO_ETHREAD. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_reader_wait(uvdio_log_reader_t* reader,
                                                        uvdio_log_reader_cb cb, void* arg);

/** uvdio_log_reader_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_log_reader_info_sized(const uvdio_log_reader_t* reader,
                                             uvdio_log_reader_info_t* info, size_t size);

/** Tells what the reader does. Errors: UV_EINVAL (null). */
static inline int uvdio_log_reader_info(const uvdio_log_reader_t* reader,
                                        uvdio_log_reader_info_t* info) {
  return uvdio_log_reader_info_sized(reader, info, sizeof(uvdio_log_reader_info_t));
}

/** Closes the reader at any place: waits for its reads in flight, and frees it before `cb` (which
 * may be null) begins, whose status is 0. A wait that is pending is called back before it
 * (UV_ECANCELED). Close readers before their engine: where that is closed meanwhile, `cb` is given
 * UV_EBADF, and the reader is uvdio_log_reader_destroy()'s. Errors: UV_EINVAL (null), UV_EBADF
 * (closing already; or the engine is closing), UV_ENOMEM, UVDIO_EFORK, UVDIO_ETHREAD. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_log_reader_close(uvdio_log_reader_t* reader,
                                                         uvdio_log_reader_cb cb, void* arg);

/** Frees a reader whose engine is closed: from the engine's close callback on, also in a forked
 * child; before uvdio_log_destroy(). Errors: UV_EINVAL (null), UV_EBUSY (the engine has files of
 * the reader open or requests of it pending, or the call comes from a callback of the reader). */
UVDIO_EXTERN int uvdio_log_reader_destroy(uvdio_log_reader_t* reader);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_LOG_READER_H */
