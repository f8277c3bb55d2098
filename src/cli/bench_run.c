/* SPDX-License-Identifier: MIT */
/*
 * The runner that uses the library. Each of `depth` slots has one request and one frame of an
 * arena; the callback of a request submits the next one. Nothing is allocated and no clock is read
 * more than once per operation.
 */
#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "bench.h"
#include "meter.h"
#include "pattern.h"
#include "session.h"
#include "uvdio.h"

typedef struct run_s run_t;

typedef struct {
  run_t* run;
  uvdio_req_t req;
  uvdio_buf_t frame;
  uint64_t offset;
  uint64_t began_ns;
} slot_t;

struct run_s {
  bench_params_t params;
  session_t* session;
  uvdio_file_t* file;
  bench_failure_t* failure;
  int failed;
  uint64_t next;   /* offset of the next block in order */
  uint64_t random; /* state of the random numbers */
  uint64_t blocks;
  uint64_t deadline_ns;
  uvdio_arena_t* arena;
  slot_t* slots;
  unsigned slot_count;
  meter_t meter;
};

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame);

/* Less than a block at the end of a file that is no multiple of it. */
static size_t length_at(const run_t* run, uint64_t offset) {
  uint64_t left = run->params.file_size - offset;
  return left < run->params.block_size ? (size_t)left : run->params.block_size;
}

/* The first failure is the one to tell about. Others end in silence, the loop with them. */
static void fail(slot_t* slot, int error) {
  run_t* run = slot->run;
  if (!run->failed) {
    run->failed = 1;
    run->failure->error = error;
    run->failure->operation = run->params.operation == BENCH_WRITE ? "write" : "read";
    run->failure->offset = slot->offset;
  }
}

static void fail_check(slot_t* slot, size_t at) {
  run_t* run = slot->run;
  if (!run->failed) {
    fail(slot, 0);
    run->failure->offset = slot->offset + at;
    run->failure->found = (unsigned char)slot->frame.base[at];
    run->failure->expected = pattern_byte(run->params.seed, slot->offset + at);
  }
}

/* Moves the slot to its next block, and returns whether there is one. */
static int next_block(slot_t* slot, uint64_t now_ns) {
  run_t* run = slot->run;
  if (run->params.operation == BENCH_RANDOM_READ) {
    slot->offset = random_next(&run->random) % run->blocks * run->params.block_size;
    return now_ns < run->deadline_ns;
  }
  slot->offset = run->next;
  if (run->next == run->params.file_size) {
    return 0;
  }
  run->next += length_at(run, slot->offset);
  return 1;
}

/* Submits the slot's next operation, unless the phase is over. */
static void submit(slot_t* slot, uint64_t now_ns) {
  run_t* run = slot->run;
  if (run->failed || run->session->signal != 0 || !next_block(slot, now_ns)) {
    return;
  }
  slot->began_ns = now_ns;
  int error;
  if (run->params.operation == BENCH_WRITE) {
    slot->frame.len = length_at(run, slot->offset);
    pattern_fill(slot->frame.base, slot->frame.len, run->params.seed, slot->offset);
    error = uvdio_write(run->file, &slot->req, &slot->frame, slot->offset, on_done);
  } else {
    error = uvdio_read(run->file, &slot->req, &slot->frame, slot->offset, on_done);
  }
  if (error != 0) {
    fail(slot, error);
  }
}

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame) {
  slot_t* slot = req->data;
  run_t* run = slot->run;
  uint64_t now_ns = uv_hrtime();
  size_t length = length_at(run, slot->offset);
  slot->frame = frame;
  if (result != (ssize_t)length) {
    fail(slot, result < 0 ? (int)result : UVDIO_ESHORTREAD);
    return;
  }
  meter_record(&run->meter, slot->began_ns, now_ns, length);
  if (run->params.operation == BENCH_VERIFY) {
    size_t at = pattern_check(frame.base, length, run->params.seed, slot->offset);
    if (at < length) {
      fail_check(slot, at);
    }
    now_ns = uv_hrtime(); /* checking took its time, which is not the next block's */
  }
  submit(slot, now_ns);
}

static void close_run(run_t* run) {
  for (unsigned i = 0; run->slots != NULL && i < run->slot_count; i++) {
    (void)uvdio_buf_release(&run->slots[i].frame);
  }
  if (run->arena != NULL) {
    int error = uvdio_arena_destroy(run->arena, NULL);
    assert(error == 0);
    (void)error;
  }
  free(run->slots);
  free(run);
}

static int open_slots(run_t* run) {
  uvdio_arena_options_t options = {.frame_size = run->params.block_size,
                                   .frame_count = run->slot_count};
  run->slots = calloc(run->slot_count, sizeof *run->slots);
  int error = run->slots == NULL ? UV_ENOMEM : uvdio_arena_create(&run->arena, &options);
  for (unsigned i = 0; i < run->slot_count && error == 0; i++) {
    run->slots[i].run = run;
    run->slots[i].req.data = &run->slots[i];
    error = uvdio_arena_acquire(run->arena, &run->slots[i].frame);
  }
  return error;
}

static run_t* open_run(session_t* session, uvdio_file_t* file, const bench_params_t* params,
                       bench_failure_t* failure) {
  run_t* run = calloc(1, sizeof *run);
  if (run == NULL) {
    return NULL;
  }
  run->params = *params;
  run->session = session;
  run->file = file;
  run->failure = failure;
  run->random = params->seed != 0 ? params->seed : 1;
  run->blocks = params->file_size / params->block_size;
  run->slot_count = params->depth;
  if (open_slots(run) != 0) {
    close_run(run);
    return NULL;
  }
  return run;
}

int bench_run(session_t* session, uvdio_file_t* file, const bench_params_t* params,
              meter_figures_t* figures, bench_failure_t* failure) {
  run_t* run = open_run(session, file, params, failure);
  if (run == NULL) {
    *failure = (bench_failure_t){.error = UV_ENOMEM, .operation = "get memory for"};
    return -1;
  }
  meter_start(&run->meter);
  run->deadline_ns = run->meter.started_ns + params->duration_ns;
  for (unsigned i = 0; i < run->slot_count; i++) {
    submit(&run->slots[i], uv_hrtime());
  }
  session_run(session);
  meter_finish(&run->meter, figures);
  int failed = run->failed;
  close_run(run);
  return failed ? -1 : 0;
}
