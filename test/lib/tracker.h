/* SPDX-License-Identifier: MIT */
/*
 * The tracker: every operation of a test goes through it, and it watches the promises that hold for
 * all of them (the head of uvdio.h, rules 2 to 5 of the design):
 *
 *   exactly one callback for each accepted request, none for a refused one;
 *   none from inside a call into the library;
 *   each on the loop's thread;
 *   acceptance empties the caller's handle, refusal leaves it exactly as it was;
 *   the buffer that comes back is the one that went in, with the len that the header promises;
 *   req->result, transferred, op, file and data say what the callback was given.
 *
 * A broken promise is written down (the first one counts) and fails the test when it asks, by
 * tracker_verdict(), or at its teardown. No assertion jumps out of a callback.
 *
 * Each t_* function submits one operation and returns `op`, so that a line reads
 *
 *   struct tracked_op* write = t_write(op_new(t), &file, &page, 0);
 *
 * With op->blocking set (op_now) the callback passed is null. Afterwards `op->result` is the
 * outcome either way: what the callback was given, or the code with which the call was refused.
 */
#ifndef UVDIO_TEST_TRACKER_H
#define UVDIO_TEST_TRACKER_H

#include "check.h"
#include "generator.h"

struct tracked_op;
typedef void (*tracked_op_cb)(struct tracked_op* op);

struct tracker {
  uv_thread_t thread; /* that runs the loop */
  unsigned accepted;
  unsigned finished;      /* callbacks seen */
  struct tracked_op* ops; /* all that live, newest first */
  char violation[256];    /* the first broken promise; "" while there is none */
};

#define TRACKED_FRAMES 8u /* at most, of one wait */

struct tracked_op {
  uvdio_req_t req;
  struct tracker* tracker;
  int blocking;      /* pass a null callback */
  int code;          /* what the last submitting call returned */
  unsigned accepted; /* times; blocking calls that were carried out included */
  unsigned done;     /* callbacks, and such calls */
  unsigned number;   /* of its acceptance, from 1 on */
  unsigned order;    /* 1 for the tracker's first callback, 2 for the next ... */
  int64_t result;
  uvdio_stat_t stat; /* what a stat has told */
  /* What a wait for frames was given; released with the operation, but for those taken. */
  uvdio_buf_t frames[TRACKED_FRAMES];
  unsigned frame_count; /* how many were asked for */
  uvdio_op_t kind;
  uvdio_op_t ordered_as; /* see operation_ordered_as() */
  unsigned space_flags;  /* of a preallocation */
  uvdio_file_t* file;
  uvdio_buf_t sent;  /* what went in */
  uvdio_buf_t kept;  /* of a shared write of the generator's: the handle, which comes back */
  uvdio_buf_t back;  /* what came back; released with the operation unless taken */
  uvdio_buf_t* bufs; /* of several: what went in, and after the callback what came back */
  unsigned buf_count;
  int is_odd;         /* a range that the generator made of a whole read */
  int is_split;       /* they are views of `sent`, which comes back whole */
  tracked_op_cb then; /* the test's own part of the callback; may free `op` */
  void* data;
  struct tracked_op* next;
  struct tracked_op* prev;
};

void tracker_init(struct tracker* tracker);

/* From now on t_read(), t_read_exact() and t_write() split what they can into so many pieces, which
 * go as several buffers: at most 8. */
void tracker_split(unsigned pieces);

/* From now on requests belong to one class after the other, where the engine has some. */
void tracker_use_classes(void);

/* From now on t_open() opens with these flags as well; and those. */
void tracker_open_with(unsigned flags);
unsigned tracker_opens_with(void);

/* Notes a broken promise, in the words of printf. */
void tracker_violation(struct tracker* tracker, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fails the test that runs if a promise was broken. */
void tracker_verdict(const struct tracker* tracker);

/* Notes it as broken promises if something is still to come, then frees all operations and the
 * buffers that came back with them. */
void tracker_finish(struct tracker* tracker);

/* How many requests were accepted, and called back, over all trackers that are finished. */
uint64_t tracker_requests(void);

/* How many transfers have been submitted to a polled ring, by engines that t_engine_close() has
 * closed. */
uint64_t tracker_polled(void);

/* A new operation, asynchronous or (op_now) blocking, and one with a hook. They live until
 * tracker_finish() or op_free(). */
struct tracked_op* op_new(struct tracker* tracker);
struct tracked_op* op_now(struct tracker* tracker);
struct tracked_op* op_then(struct tracker* tracker, tracked_op_cb then, void* data);
void op_free(struct tracked_op* op);

/* Takes the buffer that came back: it is the test's to release. */
uvdio_buf_t op_take(struct tracked_op* op);

struct tracked_op* t_open(struct tracked_op* op, uvdio_engine_t* engine, uvdio_file_t* file,
                          const char* path, unsigned flags);
struct tracked_op* t_read(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                          uint64_t offset);
struct tracked_op* t_read_exact(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                uint64_t offset);
struct tracked_op* t_write(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                           uint64_t offset);
struct tracked_op* t_write_flags(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                 uint64_t offset, unsigned flags);
struct tracked_op* t_read_range(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                uint64_t offset, size_t length);
struct tracked_op* t_readv(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                           unsigned count, uint64_t offset);
struct tracked_op* t_readv_exact(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                                 unsigned count, uint64_t offset);
struct tracked_op* t_writev(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                            unsigned count, uint64_t offset);
struct tracked_op* t_writev_flags(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                                  unsigned count, uint64_t offset, unsigned flags);
struct tracked_op* t_sync_data(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_sync_all(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_size(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_stat(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_truncate(struct tracked_op* op, uvdio_file_t* file, uint64_t length);
struct tracked_op* t_preallocate(struct tracked_op* op, uvdio_file_t* file, uint64_t length);
struct tracked_op* t_close(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_adopt(struct tracked_op* op, uvdio_engine_t* engine, uvdio_file_t* file,
                           int descriptor, unsigned flags);
struct tracked_op* t_release(struct tracked_op* op, uvdio_file_t* file);
struct tracked_op* t_preallocate_range(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                       uint64_t length, unsigned flags);
struct tracked_op* t_punch_hole(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                uint64_t length);
struct tracked_op* t_zero_range(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                uint64_t length);
struct tracked_op* t_next_data(struct tracked_op* op, uvdio_file_t* file, uint64_t offset);
struct tracked_op* t_next_hole(struct tracked_op* op, uvdio_file_t* file, uint64_t offset);
struct tracked_op* t_set_hint(struct tracked_op* op, uvdio_file_t* file, uvdio_hint_t hint,
                              uint64_t value);

struct tracked_op* t_rename(struct tracked_op* op, uvdio_engine_t* engine, const char* path,
                            const char* new_path, unsigned flags);
struct tracked_op* t_link(struct tracked_op* op, uvdio_engine_t* engine, const char* path,
                          const char* new_path);
struct tracked_op* t_unlink(struct tracked_op* op, uvdio_engine_t* engine, const char* path);
struct tracked_op* t_mkdir(struct tracked_op* op, uvdio_engine_t* engine, const char* path);
struct tracked_op* t_rmdir(struct tracked_op* op, uvdio_engine_t* engine, const char* path);
struct tracked_op* t_sync_directory(struct tracked_op* op, uvdio_engine_t* engine,
                                    const char* path);
struct tracked_op* t_replace(struct tracked_op* op, uvdio_file_t* file, const char* path);

/* For frames, TRACKED_FRAMES at most, which are in op->frames afterwards. */
struct tracked_op* t_arena_wait(struct tracked_op* op, uvdio_engine_t* engine, uvdio_arena_t* arena,
                                unsigned count);

/* Relative to open directories. */
struct tracked_op* t_open_at(struct tracked_op* op, uvdio_file_t* base, uvdio_file_t* file,
                             const char* path, unsigned flags);
struct tracked_op* t_replace_at(struct tracked_op* op, uvdio_file_t* file, uvdio_file_t* base,
                                const char* path);
struct tracked_op* t_link_file(struct tracked_op* op, uvdio_file_t* file, uvdio_file_t* base,
                               const char* path);

/* An operation on names with all that it may have but the engine. */
struct tracked_op* t_at(struct tracked_op* op, uvdio_op_t kind, const struct target* target);

/* Submits an operation on names that begin so, and that nothing else uses; any of them, with
 * whatever outcome. */
void play_names(struct tracker* tracker, uvdio_engine_t* engine, const char* prefix,
                struct choices* choices);

/* Any of these, as the generator has it. */
struct tracked_op* t_operation(struct tracked_op* op, const struct operation* operation,
                               const struct target* target);

/* What has been accepted and not called back of a file, in whose way a new operation of a kind, or
 * its synchronous form, may be; or null. */
const struct tracked_op* tracker_obstacle(const struct tracker* tracker, const uvdio_file_t* file,
                                          uvdio_op_t kind);

/* What an operation that has ended well, or a close, should have waited for and has not; or null.
 * What moves no bytes waits for nothing. */
const struct tracked_op* tracker_overtaken(const struct tracked_op* op);

/* What an operation has come to that may have been refused: its result, or the code for that. */
int64_t tracker_outcome(const struct tracked_op* op);

/* Returns what uvdio_cancel and uvdio_engine_close return. */
int t_cancel(struct tracked_op* op);
int t_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb);

/* Whether a call into the library is under way on this thread, so that no callback may run. */
int inside_library(void);

/* The operation ran once and ended with `expected`. */
#define assert_result(op, expected) check_result((op), (int64_t)(expected), #op, __FILE__, __LINE__)

/* The submitting call refused it, and nothing followed. */
#define assert_refused(op, expected) check_refused((op), (expected), #op, __FILE__, __LINE__)

#define assert_accepted(op) assert_code((op)->code, 0)

void check_result(const struct tracked_op* op, int64_t expected, const char* what, const char* file,
                  int line);
void check_refused(const struct tracked_op* op, int expected, const char* what, const char* file,
                   int line);

#endif /* UVDIO_TEST_TRACKER_H */
