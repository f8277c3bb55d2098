/* SPDX-License-Identifier: MIT */
/*
 * Copying is a reader whose blocks are named, so that holes are not among them, and a writer that
 * is given the same frames; comparing is two readers. All frames are of one arena.
 *
 * Blocks are taken in order of their offsets: the first that differs, or fails, is the one that is
 * told of.
 */
#include <assert.h>
#include <string.h>
#include <uv.h>

#include "transfer.h"
#include "uvdio.h"

/* Bytes, on most systems; where it is another one, this decides about memory that is not quite
 * worth it. */
#define HUGE_PAGE_SIZE ((size_t)2 * 1024 * 1024)

enum { SOURCE, TARGET };

/*
 * Data and holes, as the library finds them.
 */

/* Exactly as the system tells it. */
static extent_t ask(uvdio_file_t* file, uint64_t from, uint64_t size) {
  extent_t all = {from, size}, none = {size, size};
  uvdio_req_t req = {0};
  int error = uvdio_next_data(file, &req, from, NULL);
  if (error != 0) {
    return error == UV_ENXIO ? none : all; /* ENXIO: nothing but a hole until the end */
  }
  uint64_t begin = (uint64_t)req.result;
  if (begin >= size) { /* data that was appended meanwhile */
    return none;
  }
  uint64_t end = uvdio_next_hole(file, &req, begin, NULL) == 0 ? (uint64_t)req.result : size;
  return (extent_t){begin, end > begin && end < size ? end : size};
}

extent_t extents_next(uvdio_file_t* file, uint64_t from, uint64_t size, uint64_t unit) {
  assert(unit > 0 && (unit & (unit - 1)) == 0);
  if (from >= size || file == NULL) {
    return (extent_t){from < size ? from : size, size};
  }
  extent_t found = ask(file, from, size);
  if (found.begin == found.end) {
    return found;
  }
  uint64_t begin = found.begin & ~(unit - 1);
  uint64_t end = (found.end + unit - 1) & ~(unit - 1);
  found.begin = begin > from ? begin : from;
  found.end = end < size ? end : size;
  assert(from <= found.begin && found.begin < found.end && found.end <= size);
  return found;
}

uint64_t extents_count(uvdio_file_t* file, uint64_t size, uint64_t unit) {
  uint64_t count = 0;
  extent_t data = extents_next(file, 0, size, unit);
  while (data.begin < data.end) {
    count += data.end - data.begin;
    data = extents_next(file, data.end, size, unit);
  }
  return count;
}

/*
 * The end.
 */

static void on_writer_closed(int status, void* arg) {
  (void)status;
  (void)arg;
}

/* The first failure is the one to tell about: others are often its consequences. */
static void end_transfer(transfer_t* transfer, transfer_outcome_t outcome, uint64_t offset) {
  int error = 0;
  if (transfer->is_over) {
    return;
  }
  transfer->is_over = 1;
  transfer->outcome = outcome;
  transfer->offset = offset;
  if (transfer->writer != NULL) { /* which a copy that has succeeded has closed */
    (void)uvdio_file_cancel(transfer->target);
    error = uvdio_writer_close(transfer->writer, on_writer_closed, NULL);
  }
  for (int side = SOURCE; side <= TARGET && error == 0; side++) {
    if (transfer->readers[side] != NULL) {
      error = uvdio_reader_close(transfer->readers[side], NULL, NULL);
    }
  }
  assert(error == 0);
}

static void fail(transfer_t* transfer, const uvdio_file_t* file, const char* operation, int error) {
  assert(error < 0);
  if (!transfer->is_over) {
    transfer->error = error;
    transfer->operation = operation;
    transfer->file = file;
  }
  end_transfer(transfer, TRANSFER_FAILED, 0);
}

/* Those that are the caller's still. */
static void release_blocks(transfer_t* transfer) {
  for (int side = SOURCE; side <= TARGET; side++) {
    (void)uvdio_buf_release(&transfer->blocks[side].buf);
    transfer->has_block[side] = 0;
  }
}

/*
 * Copying.
 */

static void copy_on(int status, void* arg);

/* Up to the next multiple of the block size, so that what follows a hole is in step again. */
static size_t length_at_hand(const transfer_t* transfer) {
  uint64_t left = transfer->data.end - transfer->data.begin;
  uint64_t until = transfer->block_size - transfer->data.begin % transfer->block_size;
  return (size_t)(left < until ? left : until);
}

/* Behind the file's last byte there should be nothing: as much as there is room for is asked for,
 * to see it. So an empty file has one block all the same. */
static int name_block(uvdio_named_block_t* block, void* arg) {
  transfer_t* transfer = arg;
  extent_t* data = &transfer->data;
  if (data->begin == data->end) {
    *data = extents_next(transfer->holes, data->end, transfer->size, transfer->unit);
  }
  int is_empty = transfer->size == 0 && !transfer->begun;
  if (data->begin == data->end && !is_empty) {
    return 0;
  }
  size_t length = length_at_hand(transfer);
  block->offset = data->begin;
  data->begin += length;
  block->length = data->begin == transfer->size ? transfer->block_size : length;
  block->data = (void*)(uintptr_t)length;
  transfer->begun = 1;
  return 1;
}

/* Gives the block that was taken to the writer, behind the hole that is before it; as it is, where
 * the writer has no room. */
static void write_block(transfer_t* transfer) {
  uvdio_block_t* block = &transfer->blocks[SOURCE];
  uint64_t hole = block->offset - (uint64_t)uvdio_writer_end(transfer->writer);
  int error = hole > 0 ? uvdio_writer_skip(transfer->writer, hole) : 0;
  assert(block->view.base == block->buf.base);
  block->buf.len = block->view.len;
  error = error == 0 ? uvdio_writer_put(transfer->writer, &block->buf) : error;
  transfer->has_block[SOURCE] = error == UV_EAGAIN;
  if (error == 0) {
    transfer->done += block->view.len;
  } else if (error != UV_EAGAIN) {
    fail(transfer, transfer->target, "write", error);
  }
}

static void copy_block(transfer_t* transfer) {
  const uvdio_block_t* block = &transfer->blocks[SOURCE];
  size_t length = (size_t)(uintptr_t)block->data;
  if (block->view.len < length) {
    end_transfer(transfer, TRANSFER_SHRANK, block->offset + block->view.len);
  } else if (block->view.len > length) {
    end_transfer(transfer, TRANSFER_GREW, block->offset + length);
  } else if (length > 0) {
    write_block(transfer);
  } else {
    release_blocks(transfer);
  }
}

static void note_written(transfer_t* transfer) {
  uvdio_writer_info_t info;
  int error = uvdio_writer_info(transfer->writer, &info);
  assert(error == 0);
  (void)error;
  transfer->moved = info.written;
}

static void on_size_set(int status, void* arg) {
  transfer_t* transfer = arg;
  if (status != 0) {
    fail(transfer, transfer->target, "set the size of", status);
  } else {
    end_transfer(transfer, TRANSFER_DONE, transfer->size);
  }
}

/* The close takes the padding of the last block off again, and makes a hole at the end. */
static void finish_copy(transfer_t* transfer) {
  uint64_t hole = transfer->size - (uint64_t)uvdio_writer_end(transfer->writer);
  int error = hole > 0 ? uvdio_writer_skip(transfer->writer, hole) : 0;
  error = error == 0 ? uvdio_writer_close(transfer->writer, on_size_set, transfer) : error;
  if (error != 0) {
    fail(transfer, transfer->target, "write", error);
  } else {
    transfer->writer = NULL;
  }
}

static void on_flushed(int status, void* arg) {
  transfer_t* transfer = arg;
  if (transfer->is_over) {
    return;
  }
  note_written(transfer);
  if (status != 0) {
    fail(transfer, transfer->target, "write", status);
  } else if (transfer->has_block[SOURCE]) {
    copy_on(0, transfer);
  } else {
    finish_copy(transfer);
  }
}

/* A block for which there is no room waits until all before it are written: a wait for room is one
 * for a frame, of which the reader may have all. */
static void wait_for_writer(transfer_t* transfer) {
  int error = uvdio_writer_flush(transfer->writer, on_flushed, transfer);
  if (error != 0) {
    fail(transfer, transfer->target, "write", error);
  }
}

static void wait_for_reader(transfer_t* transfer) {
  int error = uvdio_reader_wait(transfer->readers[SOURCE], copy_on, transfer);
  if (error != 0) {
    fail(transfer, transfer->source, "read", error);
  }
}

static int take_block(transfer_t* transfer) {
  return transfer->has_block[SOURCE]
             ? 0
             : uvdio_reader_take(transfer->readers[SOURCE], &transfer->blocks[SOURCE]);
}

static void copy_on(int status, void* arg) {
  transfer_t* transfer = arg;
  do {
    status = transfer->is_over ? UV_EOF : take_block(transfer);
    if (status == 0) {
      copy_block(transfer);
    }
  } while (status == 0 && !transfer->has_block[SOURCE]);
  if (transfer->is_over) {
    return;
  }
  note_written(transfer);
  if (status == 0 || status == UV_EOF) {
    wait_for_writer(transfer);
  } else if (status == UV_EAGAIN) {
    wait_for_reader(transfer);
  } else {
    fail(transfer, transfer->source, "read", status);
  }
}

/*
 * Comparing.
 */

static void compare_on(int status, void* arg);

/* Of a target that goes on, what lies behind the source's bytes is no concern; a reader's end of 0
 * is the file's. */
static int is_read_to_its_end(const transfer_t* transfer, int side) {
  return side == TARGET && transfer->target_goes_on && transfer->done == transfer->size;
}

/* Takes the next block of a file, an empty one at its end. Returns whether it is there; else it is
 * waited for, or the transfer is over. */
static int take_side(transfer_t* transfer, int side) {
  static const uvdio_block_t none;
  int error = 0;
  if (!transfer->has_block[side]) {
    error = is_read_to_its_end(transfer, side)
                ? UV_EOF
                : uvdio_reader_take(transfer->readers[side], &transfer->blocks[side]);
    transfer->has_block[side] = error == 0 || error == UV_EOF;
  }
  if (error == UV_EOF) {
    transfer->blocks[side] = none;
  } else if (error != 0) {
    error = error == UV_EAGAIN ? uvdio_reader_wait(transfer->readers[side], compare_on, transfer)
                               : error;
    if (error != 0) {
      fail(transfer, side == SOURCE ? transfer->source : transfer->target,
           side == SOURCE ? "read" : "read back", error);
    }
  }
  return transfer->has_block[side];
}

static size_t first_difference(const char* left, const char* right, size_t length) {
  size_t at = 0;
  while (at < length && left[at] == right[at]) {
    at++;
  }
  return at;
}

/* Blocks without bytes may be without memory, too. */
static int are_equal(const char* left, const char* right, size_t length) {
  return length == 0 || memcmp(left, right, length) == 0;
}

static void compare_blocks(transfer_t* transfer) {
  const uvdio_buf_t* left = &transfer->blocks[SOURCE].view;
  const uvdio_buf_t* right = &transfer->blocks[TARGET].view;
  uint64_t rest = transfer->size - transfer->done;
  size_t length = rest < transfer->block_size ? (size_t)rest : transfer->block_size;
  size_t common = right->len < length ? right->len : length;
  if (left->len < length) {
    end_transfer(transfer, TRANSFER_SHRANK, transfer->done + left->len);
  } else if (left->len > length) {
    end_transfer(transfer, TRANSFER_GREW, transfer->done + length);
  } else if (right->len != length || !are_equal(left->base, right->base, length)) {
    end_transfer(transfer, TRANSFER_DIFFERS,
                 transfer->done + first_difference(left->base, right->base, common));
  } else if (length == 0) {
    end_transfer(transfer, TRANSFER_DONE, transfer->size);
  }
  transfer->done += length;
  transfer->moved += length;
  release_blocks(transfer);
}

static void compare_on(int status, void* arg) {
  transfer_t* transfer = arg;
  (void)status;
  while (!transfer->is_over && take_side(transfer, SOURCE) && take_side(transfer, TARGET)) {
    compare_blocks(transfer);
  }
}

/*
 * Around it.
 */

/* In huge pages a block is a few pieces of memory for the device instead of one for every 4096
 * bytes: on a virtio disk that was worth a factor of 1.5. Small copies would only pay for zeroing
 * them. */
static int open_arena(transfer_t* transfer, size_t frames) {
  uvdio_arena_options_t options = {.frame_size = transfer->block_size, .frame_count = frames};
  int is_large = options.frame_size >= HUGE_PAGE_SIZE ||
                 options.frame_count >= HUGE_PAGE_SIZE / options.frame_size;
  options.flags = is_large ? UVDIO_ARENA_HUGE_PAGES_PREFERRED : 0;
  return uvdio_arena_create(&transfer->arena, &options);
}

/* No more than there are blocks. */
static unsigned count_requests(const transfer_t* transfer) {
  uint64_t blocks = transfer->size / transfer->block_size + 1;
  return blocks < transfer->depth ? (unsigned)blocks : transfer->depth;
}

/* Reader and writer have all frames in common, so that the slower one has the more in flight.
 * Blocks that are written before others have a place in the writer until those are written. */
static int open_copy(transfer_t* transfer) {
  unsigned count = count_requests(transfer);
  uvdio_reader_options_t reading = {.window_max = count,
                                    .flags = UVDIO_READER_FULL_WINDOW,
                                    .named_cb = name_block,
                                    .named_arg = transfer};
  uvdio_writer_options_t writing = {
      .window_max = count < UVDIO_STREAM_WINDOW_MAX / 2 ? 2 * count : UVDIO_STREAM_WINDOW_MAX,
      .flags = transfer->writer_flags,
      .size_hint = transfer->size};
  int error = open_arena(transfer, count);
  if (error == 0) {
    error = uvdio_reader_create(&transfer->readers[SOURCE], transfer->source, transfer->arena,
                                &reading);
  }
  return error == 0
             ? uvdio_writer_create(&transfer->writer, transfer->target, transfer->arena, &writing)
             : error;
}

/* Each reader has half of what is in flight, and a block that was taken. */
static int open_comparison(transfer_t* transfer) {
  unsigned count = (count_requests(transfer) + 1) / 2;
  uvdio_reader_options_t options = {.window_max = count, .flags = UVDIO_READER_FULL_WINDOW};
  int error = open_arena(transfer, 2 * ((size_t)count + 1));
  if (error == 0) {
    error = uvdio_reader_create(&transfer->readers[SOURCE], transfer->source, transfer->arena,
                                &options);
  }
  options.end = transfer->target_goes_on ? transfer->size : 0;
  return error == 0 ? uvdio_reader_create(&transfer->readers[TARGET], transfer->target,
                                          transfer->arena, &options)
                    : error;
}

int transfer_start(transfer_t* transfer) {
  int is_copy = transfer->mode == TRANSFER_COPY;
  int error = is_copy ? open_copy(transfer) : open_comparison(transfer);
  if (error != 0) {
    if (transfer->readers[SOURCE] != NULL) {
      (void)uvdio_reader_destroy(transfer->readers[SOURCE]);
    }
    transfer_close(transfer);
    return error;
  }
  is_copy ? copy_on(0, transfer) : compare_on(0, transfer);
  return 0;
}

void transfer_stop(transfer_t* transfer) {
  end_transfer(transfer, TRANSFER_STOPPED, 0);
}

void transfer_close(transfer_t* transfer) {
  release_blocks(transfer);
  if (transfer->arena != NULL) {
    int error = uvdio_arena_destroy(transfer->arena, NULL);
    assert(error == 0);
    (void)error;
  }
}
