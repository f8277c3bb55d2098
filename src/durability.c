/* SPDX-License-Identifier: MIT */
/*
 * See durability.h: an engine's entries, the trial of the two methods, and what it comes to.
 */
#include "durability.h"

#include <stdlib.h>
#include <string.h>

#include "allocator.h"

#define BLOCK 16u
#define TRIALS (4 * BLOCK)
#define SAMPLES (TRIALS / 2)
#define SAMPLES_MIN (SAMPLES / 2) /* writes that failed are none */

enum { BY_DSYNC = 0, BY_SYNC };

struct uvdio__durability_s {
  uvdio__durability_t* next;
  uint64_t device;
  const void* queue;
  unsigned quirks;
  unsigned started; /* writes of the trial; TRIALS at most */
  unsigned ended;
  unsigned counts[2];
  uint64_t ns[2][SAMPLES]; /* of each method's writes */
  uint64_t median_ns[2];
  uvdio_durable_method_t method;
};

/*
 * Entries
 */

static unsigned key_quirks(const uvdio_file_t* file) {
  return file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR;
}

static uvdio__durability_t* make_entry(uvdio_file_t* file) {
  uvdio_engine_t* engine = file->engine_;
  uvdio__durability_t* entry = uvdio__alloc(sizeof(*entry), UVDIO__STRUCT_ALIGN, 1);

  if (entry == NULL) {
    return NULL;
  }
  entry->device = file->facts_.device;
  entry->queue = file->queue_;
  entry->quirks = key_quirks(file);
  entry->next = engine->durability;
  engine->durability = entry;
  return entry;
}

/* Null where nothing can be measured (files in memory and in worlds are on no device), and when out
 * of memory. */
static uvdio__durability_t* entry_of(uvdio_file_t* file) {
  uvdio__durability_t* entry = file->durability_;

  if (entry != NULL || file->facts_.device == 0) {
    return entry;
  }
  entry = file->engine_->durability;
  while (entry != NULL && !(entry->device == file->facts_.device && entry->queue == file->queue_ &&
                            entry->quirks == key_quirks(file))) {
    entry = entry->next;
  }
  file->durability_ = entry != NULL ? entry : make_entry(file);
  return file->durability_;
}

void uvdio__durability_free(uvdio_engine_t* engine) {
  uvdio__durability_t* entry;

  while ((entry = engine->durability) != NULL) {
    engine->durability = entry->next;
    uvdio__free(entry, sizeof(*entry), UVDIO__STRUCT_ALIGN);
  }
}

/*
 * The trial
 */

static unsigned flag_of(uvdio_durable_method_t method) {
  return method == UVDIO_DURABLE_BY_SYNC ? REQ_THEN_SYNC : REQ_DURABLE;
}

static unsigned begin_trial(uvdio__durability_t* entry, uvdio_req_t* req) {
  unsigned block = entry->started++ / BLOCK;

  req->began_ns_ = uvdio__clock_ns();
  return (block == 1 || block == 2 ? REQ_THEN_SYNC : REQ_DURABLE) | REQ_TRIAL;
}

/* The method that is no matter of choice, or UNDECIDED. */
static uvdio_durable_method_t given_method(const uvdio_file_t* file, unsigned flags) {
  if ((file->flags_ & UVDIO_O_DSYNC) != 0) {
    return UVDIO_DURABLE_BY_DSYNC;
  }
  if ((file->quirks_ & UVDIO__QUIRK_NO_WRITE_DSYNC) != 0 || file->without_dsync_ ||
      (flags & UVDIO_WRITE_BY_SYNC) != 0) {
    return UVDIO_DURABLE_BY_SYNC;
  }
  return (flags & UVDIO_WRITE_BY_DSYNC) != 0 || (file->write_flags_ & REQ_DURABLE) != 0
             ? UVDIO_DURABLE_BY_DSYNC
             : UVDIO_DURABLE_UNDECIDED;
}

void uvdio__durability_choose(uvdio_req_t* req, unsigned flags, int is_now) {
  uvdio_durable_method_t given = given_method(req->file, flags);
  uvdio__durability_t* entry = given == UVDIO_DURABLE_UNDECIDED ? entry_of(req->file) : NULL;

  if (entry == NULL) {
    req->flags_ |= flag_of(given);
  } else if (entry->method != UVDIO_DURABLE_UNDECIDED || entry->started == TRIALS || is_now) {
    req->flags_ |= flag_of(entry->method);
  } else {
    req->flags_ |= begin_trial(entry, req);
  }
}

static int compare_ns(const void* left, const void* right) {
  uint64_t a = *(const uint64_t*)left;
  uint64_t b = *(const uint64_t*)right;
  return (a > b) - (a < b);
}

static void take_median(uvdio__durability_t* entry, unsigned method) {
  unsigned count = entry->counts[method];

  qsort(entry->ns[method], count, sizeof(uint64_t), compare_ns);
  entry->median_ns[method] = count > 0 ? entry->ns[method][count / 2] : 0;
}

/* A sync takes a request of its own, which costs as much CPU as the write: it has to gain
 * something. */
static int is_sync_quicker(const uvdio__durability_t* entry) {
  uint64_t dsync_ns = entry->median_ns[BY_DSYNC];

  return entry->median_ns[BY_SYNC] < dsync_ns - dsync_ns / 8;
}

/* A method that failed too often is the worse one. */
static void decide(uvdio__durability_t* entry) {
  int has_dsync = entry->counts[BY_DSYNC] >= SAMPLES_MIN;
  int has_sync = entry->counts[BY_SYNC] >= SAMPLES_MIN;

  if (entry->counts[BY_DSYNC] == 0 && entry->counts[BY_SYNC] == 0) {
    entry->started = 0; /* None has ended well: nothing was measured. */
    entry->ended = 0;
    return;
  }
  take_median(entry, BY_DSYNC);
  take_median(entry, BY_SYNC);
  entry->method = has_sync && (!has_dsync || is_sync_quicker(entry)) ? UVDIO_DURABLE_BY_SYNC
                                                                     : UVDIO_DURABLE_BY_DSYNC;
}

void uvdio__durability_end(uvdio_req_t* req, int is_by_sync) {
  uvdio__durability_t* entry = req->file->durability_;
  unsigned method = is_by_sync ? BY_SYNC : BY_DSYNC;

  assert(entry != NULL && entry->ended < entry->started);
  if (req->result >= 0 && entry->counts[method] < SAMPLES) { /* One may have changed its method. */
    entry->ns[method][entry->counts[method]++] = uvdio__clock_ns() - req->began_ns_;
  }
  if (++entry->ended == TRIALS) {
    decide(entry);
  }
}

void uvdio__durability_tell(const uvdio_file_t* file, uvdio_file_info_t* info) {
  const uvdio__durability_t* entry = file->durability_;

  info->durable_method = given_method(file, 0);
  info->durable_dsync_ns = 0;
  info->durable_sync_ns = 0;
  if (info->durable_method == UVDIO_DURABLE_UNDECIDED && file->facts_.device == 0) {
    info->durable_method = UVDIO_DURABLE_BY_DSYNC;
  }
  if (info->durable_method == UVDIO_DURABLE_UNDECIDED && entry != NULL) {
    info->durable_method = entry->method;
    info->durable_dsync_ns = entry->median_ns[BY_DSYNC];
    info->durable_sync_ns = entry->median_ns[BY_SYNC];
  }
}
