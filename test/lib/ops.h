/* SPDX-License-Identifier: MIT */
/*
 * What many tests do: they read and write a page, ask what is known of a file, and let the loop run
 * for a while. All of it goes through the tracker of the fixture.
 */
#ifndef UVDIO_TEST_OPS_H
#define UVDIO_TEST_OPS_H

#include "fixture.h"

/* Submits a read of one page of the fixture's file, or a write of the pattern with the page's
 * number. */
struct tracked_op* read_page(struct fixture* f, unsigned page);
struct tracked_op* write_page(struct fixture* f, unsigned page);

/* The same with any file, and with any pattern. */
struct tracked_op* read_page_of(struct fixture* f, uvdio_file_t* file, uint64_t page);
struct tracked_op* write_page_of(struct fixture* f, uvdio_file_t* file, uint64_t page,
                                 unsigned seed);

/* A page of the pattern is at a name of the test's folder; there is nothing. */
void assert_content(struct fixture* f, const char* name, unsigned seed);
void assert_missing(struct fixture* f, const char* name);

/* The size of the fixture's file; bytes lie in it from there on. */
uint64_t size_of_file(struct fixture* f);
void assert_bytes_at(struct fixture* f, uint64_t offset, const char* bytes, size_t length);

/* The name of a segment of the log in the directory "wal"; until the next call. */
const char* segment_name(uint64_t number);

/* Closes f->other at once. */
void close_other(struct fixture* f);

/* Submits the operation that a row of the generator's table has as its example, with a buffer of
 * its own where it takes one. An open is of f->other. */
struct tracked_op* t_example(struct fixture* f, struct tracked_op* op, uvdio_file_t* file,
                             uvdio_op_t kind);

/* Asserts that it ended as its row says. */
void assert_example(const struct tracked_op* op, uvdio_op_t kind);

/* Does every operation's example, in one form, each with a file of one written page. */
void do_every_example(struct fixture* f, int blocking);

/* What is known of a file, and whether its transfers go to that backend first. */
uvdio_file_info_t info_of(const uvdio_file_t* file);
int is_done_by(const uvdio_file_t* file, const char* backend);
/* Whether that backend gathers submissions: a ring, or kernel AIO. */
int is_sent_in_batches(const uvdio_file_t* file);

/* Whether a file's transfers go to one backend, alone and beside others, so that none overtakes
 * another; and what skips the test where they don't, or do. */
int has_one_backend(const uvdio_file_t* file);
void need_one_backend(const uvdio_file_t* file);
void need_two_backends(const uvdio_file_t* file);

/* One request that changes nothing, and the loop until it has ended. */
void run_once(struct fixture* f);

/* The tracker knows no requests of groups, appenders, streams and logs: as many have ended as were
 * accepted. The same, after the loop's end (run()). */
void count_untracked(struct fixture* f);
void run_untracked(struct fixture* f);

/* How many frames of the fixture's arena are out. */
size_t frames_out(const struct fixture* f);

/* Runs the loop, without waiting, until it wants to sleep. */
void run_until_it_sleeps(struct fixture* f);

/* Runs the loop for so many milliseconds; where it is to spin, without sleep. Returns the number of
 * its turns. */
unsigned run_for_a_while(struct fixture* f, unsigned ms, int spin);

/* Asks the system whether there is something under a path, and puts a text there. */
int is_there(const char* path);
void put_text(const char* path, const char* text);

/* How many of a file's first pages are in the page cache; 64 at most are looked at. */
unsigned cached_pages(const char* path, size_t pages);

#endif /* UVDIO_TEST_OPS_H */
