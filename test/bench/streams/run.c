/* SPDX-License-Identifier: MIT */
#include "streams/run.h"

#include <stdio.h>
#include <string.h>
#include <uvdio/class.h>
#include <uvdio/stream.h>

#include "cli/session.h"

#define FIXED_MAX (1u << (STREAMS_FIXED - 1))
/* Of the arena: those of the largest window, and one that is taken. */
#define FRAMES (FIXED_MAX + 1)
#define PREPARED ((size_t)1 << 20)
#define CLASS_BYTES ((size_t)512 * 1024)

typedef struct run_s run_t;

typedef struct slot_s {
  run_t* run;
  uvdio_buf_t frame;
  uvdio_req_t req;
} slot_t;

struct run_s {
  const streams_params_t* params;
  session_t session;
  uvdio_file_t file;
  uvdio_arena_t* arena;
  uvdio_reader_t* reader;
  slot_t slots[FIXED_MAX];
  uint64_t begun;
  uint64_t ended; /* bytes */
  uint64_t end_ns;
  slot_t page;
  uint64_t pages;
  uint64_t random;
  int64_t error;
};

void streams_name(int method, char* name, size_t size) {
  if (method < STREAMS_FIXED) {
    snprintf(name, size, "%u", 1u << method);
  } else {
    static const char* const names[] = {"reader", "full window", "in a class"};
    snprintf(name, size, "%s", names[method - STREAMS_FIXED]);
  }
}

static void note(run_t* run, int64_t result) {
  if (result < 0 && run->error == 0) {
    run->error = result;
  }
}

static void count(run_t* run, size_t bytes) {
  run->ended += bytes;
  if (run->ended == run->params->size) {
    run->end_ns = uv_hrtime();
  }
}

/*
 * Fixed numbers of reads
 */

static void read_next(slot_t* slot);

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  slot->frame = buf;
  note(slot->run, result);
  count(slot->run, buf.len);
  read_next(slot);
}

static void read_next(slot_t* slot) {
  run_t* run = slot->run;
  if (run->begun < run->params->size && run->error == 0) {
    uint64_t offset = run->begun;
    run->begun += run->params->block_size;
    note(run, uvdio_read(&run->file, &slot->req, &slot->frame, offset, on_read));
  }
}

static void begin_fixed(run_t* run, unsigned number) {
  for (unsigned i = 0; i < number; i++) {
    slot_t* slot = &run->slots[i];
    slot->run = run;
    slot->req.data = slot;
    note(run, uvdio_arena_acquire(run->arena, &slot->frame));
    read_next(slot);
  }
}

/*
 * The reader
 */

static void take_all(int status, void* arg) {
  run_t* run = arg;
  uvdio_block_t block;
  int error = status;
  while (error == 0 && (error = uvdio_reader_take(run->reader, &block)) == 0) {
    count(run, block.view.len);
    (void)uvdio_buf_release(&block.buf);
  }
  if (error == UV_EAGAIN) {
    error = uvdio_reader_wait(run->reader, take_all, run);
  }
  note(run, error == UV_EOF ? 0 : error);
}

static void begin_reader(run_t* run, int method) {
  size_t depth = CLASS_BYTES / run->params->block_size;
  uvdio_class_options_t few = {.depth = depth > 0 ? (unsigned)depth : 1};
  uvdio_reader_options_t options = {.flags = method == STREAMS_FULL ? UVDIO_READER_FULL_WINDOW : 0};
  if (method == STREAMS_CLASS) {
    options.class_number = UVDIO_CLASS_BACKGROUND;
    note(run, uvdio_class_set(run->session.engine, UVDIO_CLASS_BACKGROUND, &few));
  }
  int error = uvdio_reader_create(&run->reader, &run->file, run->arena, &options);
  note(run, error);
  if (error == 0) {
    take_all(0, run);
  }
}

/*
 * Random pages
 */

static void read_page(slot_t* slot);

static void on_page(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  slot->frame = buf;
  note(slot->run, result);
  slot->run->pages++;
  read_page(slot);
}

static void read_page(slot_t* slot) {
  run_t* run = slot->run;
  if (run->ended < run->params->size && run->error == 0) {
    uint64_t pages = run->params->size / UVDIO_PAGE_SIZE;
    run->random = run->random * 6364136223846793005u + 1442695040888963407u;
    uint64_t offset = (run->random >> 33) % pages * UVDIO_PAGE_SIZE;
    note(run, uvdio_read(&run->file, &slot->req, &slot->frame, offset, on_page));
  }
}

static void begin_pages(run_t* run) {
  run->page.run = run;
  run->page.req.data = &run->page;
  note(run, uvdio_buf_page(&run->page.frame));
  read_page(&run->page);
}

/*
 * One run
 */

static void measure(run_t* run, int method, streams_figure_t* figure) {
  uint64_t began_ns = uv_hrtime();
  double seconds;
  if (method < STREAMS_FIXED) {
    begin_fixed(run, 1u << method);
  } else {
    begin_reader(run, method);
  }
  if (run->params->is_beside) {
    begin_pages(run);
  }
  session_run(&run->session);
  seconds = (double)(run->end_ns - began_ns) / 1e9;
  figure->bytes = (double)run->ended / seconds;
  figure->pages = (double)run->pages / seconds;
}

static void give_back(run_t* run) {
  for (unsigned i = 0; i < FIXED_MAX; i++) {
    (void)uvdio_buf_release(&run->slots[i].frame);
  }
  (void)uvdio_buf_release(&run->page.frame);
  if (run->reader != NULL) {
    (void)uvdio_reader_destroy(run->reader);
  }
  session_close(&run->session); /* which closes the file */
  if (run->arena != NULL) {
    (void)uvdio_arena_destroy(run->arena, NULL);
  }
}

static int open_all(run_t* run) {
  uvdio_arena_options_t frames = {.frame_size = run->params->block_size, .frame_count = FRAMES};
  uvdio_req_t req = {0};
  int error = uvdio_arena_create(&run->arena, &frames);
  return error != 0 ? error
                    : uvdio_open(run->session.engine, &run->file, &req, run->params->path,
                                 UVDIO_OPEN_READ, 0, NULL);
}

int streams_run(const streams_params_t* params, int method, streams_figure_t* figure) {
  static run_t run;
  uvdio_engine_options_t options = {.backend = params->backend};
  memset(&run, 0, sizeof run);
  run.params = params;
  int error = session_open(&run.session, &options);
  if (error != 0) {
    return error;
  }
  error = open_all(&run);
  if (error == 0) {
    measure(&run, method, figure);
  }
  give_back(&run);
  return error != 0 ? error : (int)run.error;
}

static int write_all(session_t* session, const streams_params_t* params) {
  static uvdio_file_t file; /* which the engine closes */
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  memset(&file, 0, sizeof file);
  int error = uvdio_buf_alloc(&buf, PREPARED, UVDIO_BUF_FULL);
  if (error != 0) {
    return error;
  }
  memset(buf.base, 0x5a, PREPARED);
  error = uvdio_open(session->engine, &file, &req, params->path, UVDIO_OPEN_CREATE, 0600, NULL);
  for (uint64_t at = 0; at < params->size && error == 0; at += PREPARED) {
    error = uvdio_write(&file, &req, &buf, at, NULL);
  }
  error = error == 0 ? uvdio_sync_all(&file, &req, NULL) : error;
  (void)uvdio_buf_release(&buf);
  return error;
}

int streams_prepare(const streams_params_t* params) {
  static session_t session;
  uvdio_engine_options_t options = {.backend = params->backend};
  int error = session_open(&session, &options);
  if (error == 0) {
    error = write_all(&session, params);
    session_close(&session);
  }
  return error;
}
