/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/stream.h
 * Streams: a file in order, read ahead or written behind, in frames of an arena. The reader decides
 * how far it reads ahead, and the writer bounds what is in flight; neither copies a frame.
 *
 *     uvdio_reader_t* reader;
 *
 *     uvdio_reader_create(&reader, &file, arena, NULL);              (the whole file)
 *     read_on();
 *
 *     static void read_on(void) {
 *       uvdio_block_t block;
 *       int error;
 *
 *       while ((error = uvdio_reader_take(reader, &block)) == 0) {
 *         use(block.view.base, block.view.len);
 *         uvdio_buf_release(&block.buf);                             (ours since the take)
 *       }
 *       if (error == UV_EAGAIN) {
 *         error = uvdio_reader_wait(reader, on_ready, NULL);         (on_ready calls read_on)
 *       } ...                                                        (UV_EOF: the end)
 *     }
 *
 * Streams are made of the calls of uvdio.h, whose rules hold: uvdio_engine_stats() and
 * uvdio_engine_walk() show their requests, uvdio_file_cancel() and uvdio_engine_cancel() end them,
 * and their requests keep the loop alive. The file stays open while a stream uses it, and the arena
 * lives as long. Functions are called on the loop's thread; they have no synchronous form, but take
 * and write never wait.
 */
#ifndef UVDIO_STREAM_H
#define UVDIO_STREAM_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup streams Streams
 * @{
 */

/** The largest window of a stream: what an engine can have in flight. */
#define UVDIO_STREAM_WINDOW_MAX UVDIO_DEPTH_MAX

/** What a stream was asked for has happened (status 0), or not (a negative code). The stream's
 * functions may be called, but not those that free it; after a close it is gone. */
typedef void (*uvdio_stream_cb)(int status, void* arg);

/**
 * @name Reading ahead
 *
 * The window is how many blocks are in flight or arrived and not taken. It begins with one block,
 * doubles where a take finds that its block has not arrived, up to 1 MiB (or two blocks where that
 * is more), and shrinks where blocks have been waiting for a while to be taken. Beyond 1 MiB it
 * grows only where that is faster: now and then the stream tries twice or half as many blocks for
 * some windows, and stays with them where they pay. Back-pressure is not taking the next one: then
 * no more is read than the window.
 *
 * A stream that is read at the device's speed keeps its queue full, so that others wait behind it.
 * While its engine has requests of others, and until 16 MiB were taken without seeing one, the
 * window is therefore not above 1 MiB, or two blocks where that is more. Waits for frames are not
 * counted (uvdio_arena_wait(); a reader of a log that waits at its end). Where others matter more
 * than that, give the stream a class that has a depth (uvdio/class.h), or a smaller window_max;
 * where they don't, UVDIO_READER_FULL_WINDOW.
 * @{
 */

/** A stream that reads a file. */
typedef struct uvdio_reader_s uvdio_reader_t;

/** A block of a stream. */
typedef struct uvdio_block_s {
  /** The frame: the caller's, who releases it (uvdio_buf_release()). */
  uvdio_buf_t buf;
  /** The bytes of the block within it. */
  uvdio_buf_t view;
  uint64_t offset; /**< bytes: where the view's first byte lies in the file */
  void* data;      /**< what the callback that named the block has set; else null */
} uvdio_block_t;

/** A block that is to be read. */
typedef struct uvdio_named_block_s {
  uint64_t offset; /**< bytes; of any alignment */
  size_t length;   /**< bytes; with its alignment not more than a frame (uvdio_range_size()) */
  void* data;      /**< the user's; comes with the block */
} uvdio_named_block_t;

/** Names the next block of a stream, in the order in which blocks are to be taken: that of a tree's
 * leaves, for example. Returns 1 (the block is set), 0 (the end) or a negative code: none is known
 * now (not UV_EAGAIN or UV_EOF, which a take says of itself: they become UV_EINVAL). The take that
 * finds no other block returns that code, and each take asks again. It is called from takes, waits
 * and callbacks of the stream's requests, ahead of what is taken, and must call no function of the
 * stream (UV_EBUSY). */
typedef int (*uvdio_named_cb)(uvdio_named_block_t* block, void* arg);

/** What streams of a file have learnt, for those that come after them: how far reading ahead is
 * worth while. Zeroed once; it outlives its streams, which belong to one thread. Where more than a
 * quarter of what was read was not taken, because streams end early or jump, a stream begins with
 * one block and grows by one block at a time. */
typedef struct uvdio_reader_history_s {
  /** @cond private */
  uint64_t taken_; /* blocks, of late */
  uint64_t dropped_;
  unsigned window_; /* of the stream that changed it last */
  void* reserved_[2];
  /** @endcond */
} uvdio_reader_history_t;

/** Begin with the largest window, and keep it, also beside requests of others: for what is read to
 * its end at the device's speed. */
#define UVDIO_READER_FULL_WINDOW (1u << 0)

/** Options of a reader; all zero: the defaults. */
typedef struct uvdio_reader_options_s {
  uint64_t begin; /**< bytes, of any alignment */
  uint64_t end;   /**< bytes, behind the last one; 0: the file's end */
  /** Blocks that are in flight or arrived and not taken, at most; 0: as many as 8 MiB hold, and 4
   * to 128. Not more than the arena has frames. */
  unsigned window_max;
  unsigned class_number; /**< of its reads (uvdio/class.h); UVDIO_CLASS_DEFAULT: the file's */
  unsigned flags;        /**< UVDIO_READER_* */
  /** Null: blocks are the file's bytes from begin to end, each up to the next multiple of the frame
   * size. */
  uvdio_named_cb named_cb;
  void* named_arg;                 /**< the callback's */
  uvdio_reader_history_t* history; /**< may be null; may be that of several streams */
} uvdio_reader_options_t;

/** What a reader does. */
typedef struct uvdio_reader_info_s {
  unsigned window;     /**< blocks, now */
  unsigned window_max; /**< blocks */
  unsigned in_flight;  /**< blocks that are being read now, dropped ones included */
  unsigned ready;      /**< blocks that can be taken now, the first one's arrival provided */
  uint64_t taken;      /**< blocks */
  uint64_t waited;     /**< blocks that had not arrived when they were to be taken */
  uint64_t dropped;    /**< blocks that were read, or being read, and never taken */
} uvdio_reader_info_t;

/** uvdio_reader_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_reader_create_sized(uvdio_reader_t** reader,
                                                            uvdio_file_t* file,
                                                            uvdio_arena_t* arena,
                                                            const uvdio_reader_options_t* options,
                                                            size_t size);

/** Creates a stream that reads an open file into frames of the arena, whose frame size is that of a
 * block, and a multiple of the file's alignment. `options` may be null. Nothing is read before the
 * first take or wait. Other streams may use the arena, and the program. A stream keeps the frames
 * of its window until they are taken, also from another one that waits for a frame: give an arena
 * as many frames as all windows have blocks, and as many as are taken and not released. Registered
 * memory is used as for any read.
 *
 * The file may change: a block has the bytes of the file when it was read, and the end is where a
 * read in its turn found it (a file that grows is followed as long as that was not seen).
 *
 * Errors returned: UV_EINVAL (null, unknown flag, end below begin, named_cb with begin or end, the
 * window or the class too large), UV_E2BIG (an option of a newer header), UVDIO_EALIGN (the frame
 * size), UVDIO_EOFFSET (past INT64_MAX), UV_ENOMEM, UV_EBADF (the file is not open, or for writes
 * only), UV_EISDIR, UVDIO_ETHREAD, UVDIO_EFORK. */
static inline UVDIO_MUST_CHECK int uvdio_reader_create(uvdio_reader_t** reader, uvdio_file_t* file,
                                                       uvdio_arena_t* arena,
                                                       const uvdio_reader_options_t* options) {
  return uvdio_reader_create_sized(reader, file, arena, options, sizeof(uvdio_reader_options_t));
}

/** Takes the next block, in order, and reads on behind it. Returns 0, and `block` is overwritten
 * and its frame the caller's; or a negative code, and `block` is as it was. A block holds a byte at
 * least, but for one that was named: the file may end before it, or within it.
 *
 * Errors returned: UV_EAGAIN (it has not arrived: uvdio_reader_wait()); UV_EOF (the end, now and
 * until a seek); what the callback that names blocks has returned; UV_EINVAL (null), UV_EBADF (the
 * file is not open, or the stream is closing), UV_EBUSY (called from that callback), UVDIO_ETHREAD,
 * UVDIO_EFORK; UV_ENOBUFS (a named block does not fit into a frame), UVDIO_EOFFSET (it ends past
 * INT64_MAX); the error of the block's read (UV_EIO, UV_ECANCELED, ...). After an error of a block
 * the blocks before it have been taken, and the stream returns the error until a seek. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_reader_take(uvdio_reader_t* reader, uvdio_block_t* block);

/** Calls back once, when a take would not return UV_EAGAIN (status 0), or the stream is closed
 * before (UV_ECANCELED). Where the arena has no free frame for a block of the window, the stream
 * waits for one meanwhile (uvdio_arena_wait()): a program that holds all frames waits for itself.
 *
 * Errors returned: UV_EINVAL (null), UV_EALREADY (a take would not return UV_EAGAIN now), UV_EBUSY
 * (a wait is pending; or called from the callback that names blocks), UV_EBADF, UVDIO_ETHREAD,
 * UVDIO_EFORK. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_reader_wait(uvdio_reader_t* reader, uvdio_stream_cb cb,
                                                    void* arg);

/** Goes on at `begin`, up to `end` (0: the file's end), and forgets an end or error that was seen.
 * Blocks that were read ahead stay where the new range begins among them and ends where the old one
 * did; else they are dropped: their frames are released, and reads that have not begun are
 * cancelled. A stream whose blocks are named drops them, and asks for names again; `begin` and
 * `end` are 0 there. Of a named block that was dropped nothing is told.
 *
 * Errors returned: UV_EINVAL (null, end below begin, not 0 where blocks are named), UVDIO_EOFFSET,
 * UV_EBADF, UV_EBUSY (called from the callback that names blocks), UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN int uvdio_reader_seek(uvdio_reader_t* reader, uint64_t begin, uint64_t end);

/** uvdio_reader_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_reader_info_sized(const uvdio_reader_t* reader, uvdio_reader_info_t* info,
                                         size_t size);

/** Tells what the stream does. Errors: UV_EINVAL (null). Loop thread. */
static inline int uvdio_reader_info(const uvdio_reader_t* reader, uvdio_reader_info_t* info) {
  return uvdio_reader_info_sized(reader, info, sizeof(uvdio_reader_info_t));
}

/** Closes the stream at any place: drops what was read ahead, waits for the reads in flight, and
 * frees the stream before `cb` (which may be null) begins, whose status is 0. Blocks that were
 * taken stay the caller's. A wait that is pending is called back before it (UV_ECANCELED). The file
 * stays open.
 *
 * Errors returned: UV_EINVAL (null), UV_EBADF (closing already; the file is not open:
 * uvdio_reader_destroy()), UV_EBUSY (called from the callback that names blocks), UVDIO_ETHREAD,
 * UVDIO_EFORK. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_reader_close(uvdio_reader_t* reader, uvdio_stream_cb cb,
                                                     void* arg);

/** Frees a stream that has no request pending: at once, where all that was read was taken, or
 * where its file or engine was closed. A wait that is pending is not called back. Errors: UV_EINVAL
 * (null), UV_EBUSY (a request of the stream is pending; or called from one of its callbacks).
 * Loop thread. */
UVDIO_EXTERN int uvdio_reader_destroy(uvdio_reader_t* reader);

/** @} */

/**
 * @name Writing behind
 *
 * Bytes of any size become frames, which are written when they are full, while the program goes on.
 * The file's size is kept ahead of the writes by uvdio_truncate(), as an appender keeps it
 * (uvdio/append.h, which has the reasons), so that writes run side by side; the close cuts the file
 * to the last byte. So the stream has the file from `begin` on for itself: what is there is
 * overwritten, or cut off. A block device has its size, and keeps it: it is neither grown nor cut,
 * and what lies behind the stream's last block stays. Errors stop the stream: each later call
 * returns the first one, and the close is given it.
 *
 * Holes are what is not written: by uvdio_writer_skip(), and with UVDIO_WRITER_SPARSE where the
 * bytes are zeros. What the file has there stays, so that it is to read as zeros before the stream
 * begins, where that matters: an empty or new file does, a block device does not.
 * @{
 */

/** A stream that writes a file. */
typedef struct uvdio_writer_s uvdio_writer_t;

/** The file's size is not kept ahead: where it is large enough already. The close cuts it all the
 * same. */
#define UVDIO_WRITER_NO_GROWTH (1u << 0)
/** The close syncs the file (uvdio_sync_data()), when it has cut it. */
#define UVDIO_WRITER_DURABLE (1u << 1)
/** Zeros are not written: 4096 of them (or a block of the file's alignment, where that is larger)
 * from a multiple of that in a frame on, and those that a frame ends with. What a frame has beside
 * them takes a write for each run, one after the other. */
#define UVDIO_WRITER_SPARSE (1u << 2)

/** Options of a writer; all zero: the defaults. */
typedef struct uvdio_writer_options_s {
  uint64_t begin; /**< bytes, a multiple of the file's alignment: where the first byte lies */
  /** Bytes that are expected: the first step by which the file grows. 0: unknown, and steps double
   * from 1 MiB to 32 MiB. It need not be true. */
  uint64_t size_hint;
  /** Frames that are being filled or written, at most; 0: as for a reader. */
  unsigned window_max;
  unsigned class_number; /**< of its requests but growth, cuts and syncs; as for a reader */
  unsigned flags;        /**< UVDIO_WRITER_* */
} uvdio_writer_options_t;

/** uvdio_writer_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_create_sized(uvdio_writer_t** writer,
                                                            uvdio_file_t* file,
                                                            uvdio_arena_t* arena,
                                                            const uvdio_writer_options_t* options,
                                                            size_t size);

/** Creates a stream that writes an open regular file, or block device, from frames of the arena,
 * whose frame size is a multiple of the file's alignment. `options` may be null. No request is made
 * before the first write.
 *
 * Errors returned: UV_EINVAL (null, unknown flag, the window or the class too large), UV_E2BIG (an
 * option of a newer header), UVDIO_EALIGN (the frame size, begin), UVDIO_EOFFSET (past INT64_MAX),
 * UV_ENOMEM, UV_EBADF (the file is not open, or for reads only), UV_EISDIR, UVDIO_ETHREAD,
 * UVDIO_EFORK. */
static inline UVDIO_MUST_CHECK int uvdio_writer_create(uvdio_writer_t** writer, uvdio_file_t* file,
                                                       uvdio_arena_t* arena,
                                                       const uvdio_writer_options_t* options) {
  return uvdio_writer_create_sized(writer, file, arena, options, sizeof(uvdio_writer_options_t));
}

/** Copies bytes into the stream, as many as there is room for, and returns how many: `length`, or
 * fewer; then uvdio_writer_wait() tells when there is room. The caller's bytes are not used after
 * the call.
 *
 * Errors returned: UV_EAGAIN (no room for any), UV_EINVAL (null, no bytes), UV_EBADF (the file is
 * not open, or the stream is closing), UVDIO_EOFFSET (past INT64_MAX), UVDIO_ETHREAD, UVDIO_EFORK,
 * the error that has stopped the stream. */
UVDIO_EXTERN UVDIO_MUST_CHECK int64_t uvdio_writer_write(uvdio_writer_t* writer, const void* bytes,
                                                         size_t length);

/** Gives the first len bytes of a frame of any arena, or of a heap buffer, to the stream, which
 * writes them without a copy, and releases the buffer. The stream's bytes so far end at a multiple
 * of the file's alignment. len need not be one: the rest of the block, which is within cap, is
 * zeroed. Ownership: `buf` is emptied where the result is 0.
 *
 * What a reader has given goes on without a copy where the block's view begins at the base of its
 * buf: put buf, with the view's len (uvdio_buf_set_len()), since buf.len counts all bytes that were
 * read into the frame. Else the view is copied (uvdio_writer_write()), and buf released.
 *
 * Errors returned: those of uvdio_writer_write(); UV_EINVAL (no bytes; a view), UVDIO_EALIGN (base,
 * or the bytes so far end elsewhere: uvdio_writer_write() takes these), UV_ENOBUFS (cap). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_put(uvdio_writer_t* writer, uvdio_buf_t* buf);

/** Leaves a hole of `length` bytes behind the bytes so far: what comes next lies behind it. Whole
 * blocks of the file's alignment within the hole are not written, so that they are as they were in
 * the file; where a hole ends within a block that has other bytes as well, its bytes there are
 * zeros. A hole needs no room and no frame: there is no UV_EAGAIN. A hole at the end is the close's
 * to make, by the size; before that it is in the file, as a flush or a sync tells, without showing
 * in its size.
 *
 * Errors returned: UV_EINVAL (null, no bytes), UV_EBADF (the file is not open, or the stream is
 * closing), UVDIO_EOFFSET (past INT64_MAX), UVDIO_ETHREAD, UVDIO_EFORK, the error that has stopped
 * the stream. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_skip(uvdio_writer_t* writer, uint64_t length);

/** Calls back once, when the stream has room for a byte at least (status 0), or has stopped (its
 * error), or is closed (UV_ECANCELED). Where the arena has no free frame it waits for one, also for
 * who wants to put a buffer that needs none. Errors returned: UV_EINVAL (null), UV_EALREADY (there
 * is room), UV_EBUSY (a wait is pending), UV_EBADF, UVDIO_ETHREAD, UVDIO_EFORK, the error that has
 * stopped the stream. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_wait(uvdio_writer_t* writer, uvdio_stream_cb cb,
                                                    void* arg);

/** Writes what is there, a block that is not full with zeros behind the last byte, and calls back
 * when all bytes that were given so far are in the file. What follows writes that block again, when
 * its write has ended. Errors returned: UV_EINVAL (null), UV_EBUSY (a flush is pending), UV_EBADF,
 * UVDIO_ETHREAD, UVDIO_EFORK, the error that has stopped the stream. Errors delivered: those of
 * uvdio_write(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_flush(uvdio_writer_t* writer, uvdio_stream_cb cb,
                                                     void* arg);

/** The same, and all of it is durable (uvdio_sync_data()); the size may still be ahead. Errors as
 * for a flush, of which it is independent; those of uvdio_sync_data(). */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_sync(uvdio_writer_t* writer, uvdio_stream_cb cb,
                                                    void* arg);

/** Returns where the stream's bytes end in the file; UV_EINVAL: null. Loop thread. */
UVDIO_EXTERN int64_t uvdio_writer_end(const uvdio_writer_t* writer);

/** What a writer does. */
typedef struct uvdio_writer_info_s {
  unsigned window_max; /**< frames */
  /** Frames that are being filled or written now, and those that were written before earlier
   * ones. */
  unsigned used;
  /** Bytes of writes that have ended: holes are none of them, nor are zeros behind the last byte;
   * those of a block that was written again count again. */
  uint64_t written;
} uvdio_writer_info_t;

/** uvdio_writer_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_writer_info_sized(const uvdio_writer_t* writer, uvdio_writer_info_t* info,
                                         size_t size);

/** Tells what the stream does. Errors: UV_EINVAL (null). Loop thread. */
static inline int uvdio_writer_info(const uvdio_writer_t* writer, uvdio_writer_info_t* info) {
  return uvdio_writer_info_sized(writer, info, sizeof(uvdio_writer_info_t));
}

/** Closes the stream: writes what is there, cuts the file to the last byte (also where none was
 * written; a block device keeps its size), and frees the stream before `cb` begins, which must not
 * be null: it is given the error that has stopped the stream, after which the file is left as it is
 * (also with the size to which it had grown for blocks that were not written); or 0. A stream that
 * is to be given up ends so as well: close it, and remove the file. Flushes and syncs that are
 * pending are called back before it, and a wait (UV_ECANCELED). The file stays open.
 *
 * Errors returned: UV_EINVAL (null), UV_EBADF (closing already; the file is not open:
 * uvdio_writer_destroy()), UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_writer_close(uvdio_writer_t* writer, uvdio_stream_cb cb,
                                                     void* arg);

/** Frees a stream that has no request pending, and leaves the file as it is; bytes that were not
 * written are lost. Nothing that is pending is called back. Errors: UV_EINVAL (null), UV_EBUSY (a
 * request of the stream is pending; or called from one of its callbacks). Loop thread. */
UVDIO_EXTERN int uvdio_writer_destroy(uvdio_writer_t* writer);

/** @} */

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_STREAM_H */
