/* SPDX-License-Identifier: MIT */
/*
 * Which way a file's writes become durable: by the write itself (RWF_DSYNC), or by a sync that
 * follows it and that others share. Which one is faster differs by device by a factor of two, in
 * both directions, so that an engine measures it by the first writes on a device that ask for the
 * better one:
 *
 *   writes     0 .. 15   16 .. 31   32 .. 47   48 .. 63   from then on
 *   method     DSYNC     SYNC       SYNC       DSYNC      SYNC, if its median is less than 7/8 of
 *                                                         DSYNC's; else DSYNC
 *
 * The time of a write is from its submission to its outcome, under the program's own load. Blocks
 * of one method, in this order, keep the other one's and a drift of the device out of most values.
 * Later writes that come before the last outcome go by DSYNC. Writes that fail are
 * no values: a method of which more than half failed loses, and a trial in which no write ended
 * well begins anew.
 *
 * One entry per device, backend, and kind of error reporting: files share it. Loop thread.
 */
#ifndef UVDIO_DURABILITY_H
#define UVDIO_DURABILITY_H

#include "engine.h"

typedef struct uvdio__durability_s uvdio__durability_t;

/* Makes a write durable: by REQ_DURABLE or REQ_THEN_SYNC, with REQ_TRIAL where it is measured.
 * `flags` are UVDIO_WRITE_*; `is_now`: the synchronous form, which is not measured. */
void uvdio__durability_choose(uvdio_req_t* req, unsigned flags, int is_now);

/* A request that had REQ_TRIAL has its outcome. */
void uvdio__durability_end(uvdio_req_t* req, int is_by_sync);

/* What is known about the file, for its information. */
void uvdio__durability_tell(const uvdio_file_t* file, uvdio_file_info_t* info);

void uvdio__durability_free(uvdio_engine_t* engine);

#endif /* UVDIO_DURABILITY_H */
