/* SPDX-License-Identifier: MIT */
/*
 * Commits as raft's libuv back end writes its segments: one loop, kernel AIO of whole blocks with
 * one write in flight at a time, which goes on in the last block of the one before. Without
 * checksums, and into segments that are open and written through already: less work than there.
 */
#include <assert.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "log/methods.h"

#define BLOCK ((size_t)4096)
#define LENGTH sizeof(uint32_t)
#define SEGMENTS 4u
#define SEGMENT_SIZE ((size_t)16 << 20)

typedef struct {
  commits_t* commits;
  uv_loop_t loop;
  uv_poll_t poll;
  int event;
  aio_context_t context;
  int files[SEGMENTS];
  unsigned segment;
  size_t offset; /* in the segment, of the buffer's first block */
  char* buffer;  /* a segment's size */
  size_t used;   /* of the buffer; its full blocks are durable where nothing is in flight */
  struct iocb block;
  int is_in_flight;
  uint64_t* began_ns; /* of each client */
  /* Clients, in a circle: those in flight, then those that wait. */
  unsigned* clients;
  unsigned first;
  unsigned in_flight;
  unsigned waiting;
  int error;
} run_t;

static void note(run_t* run, int error) {
  run->error = run->error == 0 ? error : run->error;
}

static void add_client(run_t* run, unsigned client) {
  unsigned count = run->commits->params->clients;
  assert(run->in_flight + run->waiting < count);
  run->clients[(run->first + run->in_flight + run->waiting) % count] = client;
  run->waiting++;
}

/*
 * Writing
 */

/* Full blocks leave the buffer; a segment without room for one record more is left. */
static void make_room(run_t* run) {
  size_t full = run->used / BLOCK * BLOCK;
  memmove(run->buffer, run->buffer + full, run->used - full);
  run->offset += full;
  run->used -= full;
  if (run->offset + run->used + LENGTH + run->commits->params->record_size > SEGMENT_SIZE) {
    run->segment = (run->segment + 1) % SEGMENTS;
    run->offset = 0;
    run->used = 0;
    run->commits->rolls++;
  }
}

static void encode(run_t* run) {
  uint32_t length = (uint32_t)run->commits->params->record_size;
  while (run->waiting > 0 && run->offset + run->used + LENGTH + length <= SEGMENT_SIZE) {
    memcpy(run->buffer + run->used, &length, LENGTH);
    memcpy(run->buffer + run->used + LENGTH, run->commits->record, length);
    run->used += LENGTH + length;
    run->waiting--;
    run->in_flight++;
  }
}

static void write_waiting(run_t* run) {
  struct iocb* block = &run->block;
  make_room(run);
  encode(run);
  size_t size = (run->used + BLOCK - 1) / BLOCK * BLOCK;
  memset(run->buffer + run->used, 0, size - run->used);
  *block = (struct iocb){.aio_lio_opcode = IOCB_CMD_PWRITE,
                         .aio_fildes = (uint32_t)run->files[run->segment],
                         .aio_buf = (uint64_t)(uintptr_t)run->buffer,
                         .aio_nbytes = size,
                         .aio_offset = (int64_t)run->offset,
                         .aio_flags = IOCB_FLAG_RESFD,
                         .aio_resfd = (uint32_t)run->event};
  if (syscall(SYS_io_submit, run->context, 1, &block) != 1) {
    note(run, uv_translate_sys_error(errno));
    return;
  }
  run->is_in_flight = 1;
}

static void stop_if_idle(run_t* run) {
  if (!run->is_in_flight) {
    (void)uv_poll_stop(&run->poll);
  }
}

static void end_commits(run_t* run) {
  run->commits->flushes++;
  while (run->in_flight > 0) {
    unsigned client = run->clients[run->first];
    run->first = (run->first + 1) % run->commits->params->clients;
    run->in_flight--;
    run->began_ns[client] = commits_note(run->commits, run->began_ns[client]);
    if (run->began_ns[client] != 0) {
      add_client(run, client);
    }
  }
}

static void on_event(uv_poll_t* poll, int status, int events) {
  run_t* run = poll->data;
  struct io_event event;
  uint64_t count;
  (void)events;
  note(run, status);
  if (read(run->event, &count, sizeof count) != sizeof count) {
    return; /* not yet */
  }
  if (syscall(SYS_io_getevents, run->context, 1, 1, &event, NULL) != 1) {
    note(run, UV_EIO);
    event.res = 0;
  }
  run->is_in_flight = 0;
  if (event.res != (int64_t)run->block.aio_nbytes) {
    note(run, event.res < 0 ? (int)event.res : UV_EIO);
  }
  if (run->error == 0) {
    end_commits(run);
  }
  if (run->error == 0 && run->waiting > 0) {
    write_waiting(run);
  }
  stop_if_idle(run);
}

static void measure(run_t* run) {
  commits_start(run->commits);
  for (unsigned i = 0; i < run->commits->params->clients; i++) {
    run->began_ns[i] = uv_hrtime();
    add_client(run, i);
  }
  write_waiting(run);
  if (run->error == 0) {
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
  }
  commits_end(run->commits);
}

/*
 * Open and close
 */

static void name_segment(unsigned number, char name[16]) {
  (void)snprintf(name, 16, "%u", number);
}

int commits_prepare_segments(commits_t* commits) {
  int error = 0;
  for (unsigned i = 0; i < SEGMENTS && error == 0; i++) {
    char name[16];
    name_segment(i, name);
    error = commits_make_file(commits, name, SEGMENT_SIZE);
  }
  return error;
}

static int open_segments(run_t* run) {
  int error = 0;
  run->commits->failed = "open a file in";
  for (unsigned i = 0; i < SEGMENTS && error == 0; i++) {
    char name[16];
    name_segment(i, name);
    run->files[i] = commits_open_direct(run->commits, name);
    error = run->files[i] < 0 ? run->files[i] : 0;
  }
  return error;
}

static int allocate(run_t* run) {
  unsigned count = run->commits->params->clients;
  void* buffer = NULL;
  run->clients = calloc(count, sizeof(*run->clients));
  run->began_ns = calloc(count, sizeof(*run->began_ns));
  if (run->clients == NULL || run->began_ns == NULL ||
      posix_memalign(&buffer, BLOCK, SEGMENT_SIZE) != 0) {
    return UV_ENOMEM;
  }
  run->buffer = memset(buffer, 0, SEGMENT_SIZE);
  return 0;
}

static int open_context(run_t* run) {
  run->commits->failed = "set up kernel AIO for";
  run->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (run->event < 0 || syscall(SYS_io_setup, 1, &run->context) != 0) {
    return uv_translate_sys_error(errno);
  }
  int error = uv_loop_init(&run->loop);
  if (error != 0) {
    return error;
  }
  error = uv_poll_init(&run->loop, &run->poll, run->event);
  assert(error == 0);
  run->poll.data = run;
  return uv_poll_start(&run->poll, UV_READABLE, on_event);
}

static void give_back(run_t* run) {
  if (run->poll.data != NULL) {
    uv_close((uv_handle_t*)&run->poll, NULL);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run->loop);
  }
  if (run->context != 0) {
    (void)syscall(SYS_io_destroy, run->context);
  }
  if (run->event >= 0) {
    (void)close(run->event);
  }
  for (unsigned i = 0; i < SEGMENTS; i++) {
    if (run->files[i] >= 0) {
      (void)close(run->files[i]);
    }
  }
  free(run->buffer);
  free(run->clients);
  free(run->began_ns);
}

int commits_by_segments(commits_t* commits) {
  run_t run = {.commits = commits, .event = -1, .files = {-1, -1, -1, -1}};
  int error = allocate(&run);
  error = error != 0 ? error : open_segments(&run);
  error = error != 0 ? error : open_context(&run);
  if (error == 0) {
    commits->failed = "write to";
    measure(&run);
    error = run.error;
  }
  give_back(&run);
  return error;
}
