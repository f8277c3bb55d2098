/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints: values that are in memory are written to the data file, and the log is cut. Where
 * most of the data file is old, what is left of it is written to a new one.
 *
 *   NONE -> WRITES -> CLOSES -> TELLS -> ENDS -> NONE       a checkpoint
 *   NONE -> COPIES -> CLOSES -> TELLS -> ENDS -> NONE       a compaction
 *
 * While it writes, clients change entries as ever, and these changes are the next checkpoint's. The
 * batch that tells of a checkpoint comes behind all changes that it may have written: so what the
 * data file has, the log has had. A crash before that batch is durable leaves what there was.
 */
#ifndef KV_CHECKPOINT_H
#define KV_CHECKPOINT_H

#include "state.h"

/* Does what can be done in this turn of the loop, and begins a checkpoint where one is due. Returns
 * 1 where there is more to do at once. */
int kv_checkpoint_turn(kv_store_t* store);

/* Gives up a checkpoint that still writes; where the log is being told of it, it goes on. */
void kv_checkpoint_stop(kv_store_t* store);

#endif /* KV_CHECKPOINT_H */
