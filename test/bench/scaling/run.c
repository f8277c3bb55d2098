/* SPDX-License-Identifier: MIT */
/*
 * One figure: reads by one engine in this process, with so many files, requests or frames.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

#include "cli/session.h"
#include "scaling/model.h"
#include "scaling/run.h"
#include "uvdio.h"

typedef struct run_s run_t;

typedef struct {
  run_t* run;
  uvdio_req_t req;
  uvdio_buf_t buf;
} slot_t;

struct run_s {
  session_t session;
  uvdio_arena_t* arena;
  uvdio_file_t* files;
  uint64_t file_count;
  uint64_t files_open;
  slot_t* slots;
  uint64_t slot_count;
  uint64_t left; /* to submit */
  uint64_t random;
  int error;
};

static uint64_t draw(run_t* run, uint64_t below) {
  run->random = run->random * 6364136223846793005u + 1442695040888963407u;
  return (run->random >> 33) % below;
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

static void read_next(run_t* run, slot_t* slot) {
  if (run->left == 0 || run->error != 0) {
    return;
  }
  run->left--;
  run->error = uvdio_read(&run->files[run->left % run->file_count], &slot->req, &slot->buf,
                          draw(run, SCALING_FILE_SIZE / SCALING_BLOCK) * SCALING_BLOCK, on_read);
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  slot->buf = buf;
  if (result != SCALING_BLOCK) {
    slot->run->error = result < 0 ? (int)result : UVDIO_ESHORTREAD;
  }
  read_next(slot->run, slot);
}

static int open_files(const scaling_t* scaling, run_t* run) {
  char path[4096];
  int error = 0;
  run->files = calloc((size_t)run->file_count, sizeof *run->files);
  if (run->files == NULL) {
    return UV_ENOMEM;
  }
  for (uint64_t i = 0; i < run->file_count && error == 0; i++) {
    uvdio_req_t req = {0};
    error = scaling_path(scaling, i, path, sizeof path);
    error = error == 0 ? uvdio_open(run->session.engine, &run->files[i], &req, path,
                                    UVDIO_OPEN_READ, 0, NULL)
                       : error;
    run->files_open += error == 0;
  }
  return error;
}

/* Frames from all over the arena: all of them are taken, and those between given back. */
static int acquire_frames(run_t* run, uint64_t frames) {
  uint64_t step = frames / run->slot_count;
  uvdio_buf_t* all = calloc((size_t)frames, sizeof *all);
  int error = all == NULL ? UV_ENOMEM : 0;
  for (uint64_t i = 0; i < frames && error == 0; i++) {
    error = uvdio_arena_acquire(run->arena, &all[i]);
  }
  for (uint64_t i = 0; i < run->slot_count && error == 0; i++) {
    run->slots[i].buf = all[i * step];
    all[i * step] = (uvdio_buf_t){0};
  }
  for (uint64_t i = 0; i < frames && all != NULL; i++) {
    (void)uvdio_buf_release(&all[i]);
  }
  free(all);
  return error;
}

static int open_slots(run_t* run, uint64_t arena_size) {
  uint64_t frames =
      arena_size / SCALING_BLOCK > run->slot_count ? arena_size / SCALING_BLOCK : run->slot_count;
  uvdio_arena_options_t options = {.frame_count = (size_t)frames};
  run->slots = calloc((size_t)run->slot_count, sizeof *run->slots);
  int error = run->slots == NULL ? UV_ENOMEM : uvdio_arena_create(&run->arena, &options);
  if (error == 0) {
    error = uvdio_arena_register(run->session.engine, run->arena);
    error = error == UV_ENOTSUP && arena_size == 0
                ? 0
                : error; /* an older kernel: what is asked about is not the arena */
  }
  for (uint64_t i = 0; i < run->slot_count && error == 0; i++) {
    run->slots[i].run = run;
    run->slots[i].req.data = &run->slots[i];
  }
  return error == 0 ? acquire_frames(run, frames) : error;
}

static void close_run(run_t* run) {
  uvdio_req_t req = {0};
  for (uint64_t i = 0; i < run->slot_count && run->slots != NULL; i++) {
    (void)uvdio_buf_release(&run->slots[i].buf);
  }
  for (uint64_t i = 0; i < run->files_open; i++) {
    if (uvdio_close(&run->files[i], &req, NULL) != 0) {
      break; /* The engine's close closes what is left. */
    }
  }
  session_close(&run->session);
  if (run->arena != NULL) {
    (void)uvdio_arena_destroy(run->arena, NULL);
  }
  free(run->files);
  free(run->slots);
}

static double cpu_us(void) {
  struct rusage used;
  (void)getrusage(RUSAGE_SELF, &used);
  return 1e6 * (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static uint64_t calls_of(const run_t* run) {
  uvdio_engine_stats_t stats = {0};
  (void)uvdio_engine_stats(run->session.engine, &stats);
  return stats.system_calls + stats.wakeups;
}

/* Every file and every frame has been used once when the measuring begins. */
static void perform(run_t* run, uint64_t reads) {
  run->left = reads;
  for (uint64_t i = 0; i < run->slot_count; i++) {
    read_next(run, &run->slots[i]);
  }
  session_run(&run->session);
}

/* Reads that use every slot and every file. */
static uint64_t reads_for_all(const run_t* run) {
  return run->slot_count > run->file_count ? run->slot_count : run->file_count;
}

static int measure(const scaling_t* scaling, run_t* run, uint64_t arena_size,
                   scaling_figure_t* figure) {
  uint64_t most = reads_for_all(run);
  uint64_t reads = scaling->reads > most ? scaling->reads : most;
  int error = open_files(scaling, run);
  error = error == 0 ? open_slots(run, arena_size) : error;
  if (error != 0) {
    return error;
  }
  perform(run, most);
  double cpu = cpu_us();
  uint64_t calls = calls_of(run);
  perform(run, reads);
  figure->cpu_us = (cpu_us() - cpu) / (double)reads;
  figure->calls = (double)(calls_of(run) - calls) / (double)reads;
  return run->error;
}

int scaling_measure(const scaling_t* scaling, series_kind_t kind, uint64_t size,
                    scaling_figure_t* figure) {
  uvdio_engine_options_t options = {.depth = SCALING_DEPTH, .backend = UVDIO_BACKEND_RING};
  run_t run = {.random = 1,
               .file_count = kind == SERIES_FILES ? size : 1,
               .slot_count = kind == SERIES_QUEUED ? size : SCALING_DEPTH};
  int error = session_open(&run.session, &options);
  if (error != 0) {
    return error;
  }
  error = measure(scaling, &run, kind == SERIES_ARENA ? size : 0, figure);
  close_run(&run);
  return error;
}
