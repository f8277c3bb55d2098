/* SPDX-License-Identifier: MIT */
/*
 * A small log, as an example of what simulated worlds are for: records are appended, and
 * acknowledged when they are durable; whoever opens the log gets every acknowledged record back, in
 * order, and nothing that was never appended.
 *
 * One record to a page. A page carries its number, a checksum over all of it, and the checksum of
 * the page before: so that a page that survived from an earlier life of the log, behind one that
 * did not, is not taken for a successor. What is behind the last record is cut off before others
 * are appended: a part of a page may be there, and the next power cut may complete it, out of a
 * page with the same end that was on its way to the same place.
 *
 * The log of a program that crashed may change once more: writes that were on their way land later.
 * Who opens it waits for them first.
 *
 * The flaws are shortcuts that people take. cuts.c shows that each of them is caught.
 */
#ifndef UVDIO_TEST_LOG_H
#define UVDIO_TEST_LOG_H

#include "uvdio.h"

#define LOG_RECORD_MAX 1024u

enum log_flaw {
  LOG_SOUND = 0,
  LOG_NO_SYNC,     /* acknowledges when the write has ended */
  LOG_NO_CHECKSUM, /* takes a page by its number and length */
  /* takes a page whatever came before it, and leaves what it could not read where it is */
  LOG_NO_CHAIN,
  LOG_NO_RECOVERY_SYNC, /* hands out records that it has read, durable or not */
  LOG_NO_CUT_OFF,       /* that only: the chain saves it, nearly always */
  LOG_NO_WAIT,          /* reads and goes on at once, whatever an earlier program has on its way */
  LOG_FLAWS
};

struct log;

/* A record that recovery has found; number 0 comes first. */
typedef void (*log_record_cb)(struct log* log, uint64_t number, const void* data, size_t length);

/* All records below `count` are durable. */
typedef void (*log_durable_cb)(struct log* log, uint64_t count);

struct log {
  void* data; /* the user's */
  uvdio_file_t file;
  enum log_flaw flaw;
  uint64_t count; /* records appended, recovered ones included */
  uint64_t chain; /* checksum of the last page */
  int error;      /* the first one; nothing is acknowledged after it */
  log_durable_cb on_durable;
  int (*wait)(struct log* log); /* for an earlier program's last write, as a lock does */
};

/* Opens the log, hands out its records, and gets ready for more. Blocks. `log` is zeroed, but for
 * data, flaw, on_durable and wait. */
int log_open(struct log* log, uvdio_engine_t* engine, const char* path, log_record_cb on_record);

/* Appends a record of up to LOG_RECORD_MAX bytes, which are copied. */
int log_append(struct log* log, const void* data, size_t length);

/* Has on_durable called when everything appended so far is durable; never if something went
 * wrong. */
int log_commit(struct log* log);

#endif /* UVDIO_TEST_LOG_H */
