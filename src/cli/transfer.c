/* SPDX-License-Identifier: MIT */
/*
 * A slot has one request and its own frames, and works on one block at a time:
 *
 *                   +------------------------------------------+
 *                   v                                          |
 *   take a block -> read source --(copy)-----> write target ---+
 *        |               |                                     |
 *        |               +------(compare)----> read target ----+
 *        v
 *   idle, when no block is left or the transfer is over
 *
 * A block is what a slot takes at once: block_size bytes of the file, or less where its data ends
 * before. Where zeros are not to be written, it takes as many writes as there are runs of something
 * else in it.
 *
 * Blocks are taken in order of their offsets, so that when one differs every earlier one is done or
 * in flight: the smallest offset that is reported in the end is the first that differs.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "transfer.h"
#include "uvdio.h"

/* Bytes, on most systems; where it is another one, this decides about memory that is not quite
 * worth it. */
#define HUGE_PAGE_SIZE ((size_t)2 * 1024 * 1024)

/* Bytes. Fewer zeros than a block of most filesystems are not worth a hole. */
#define ZEROS_LEAST ((size_t)4096)

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
 * Blocks.
 */

struct transfer_slot_s {
  transfer_t* transfer;
  uvdio_req_t req;
  uvdio_buf_t frame;  /* of the source */
  uvdio_buf_t mirror; /* of the target; comparing only */
  uint64_t offset;
  size_t length; /* of the block: bytes of the file, none in an empty one */
  size_t begin;  /* copying: the bytes of the block from here to `end` are being written */
  size_t end;
};

static void on_source_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame);
static void on_target_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t run);
static void on_target_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t mirror);

/* The first failure is the one to tell about: others are often its consequences. Of several
 * differences it is the one at the smallest offset. */
static void end_transfer(transfer_t* transfer, transfer_outcome_t outcome, uint64_t offset) {
  int nearer =
      outcome == TRANSFER_DIFFERS && transfer->outcome == outcome && offset < transfer->offset;
  if (transfer->outcome == TRANSFER_DONE || nearer) {
    transfer->outcome = outcome;
    transfer->offset = offset;
  }
}

static void fail(transfer_slot_t* slot, const uvdio_file_t* file, const char* operation,
                 int error) {
  transfer_t* transfer = slot->transfer;
  assert(error < 0);
  if (transfer->outcome == TRANSFER_DONE) {
    transfer->error = error;
    transfer->operation = operation;
    transfer->file = file;
  }
  end_transfer(transfer, TRANSFER_FAILED, slot->offset);
}

static size_t round_up(size_t length, size_t unit) {
  return (length + unit - 1) / unit * unit;
}

/* Behind the file's last byte there should be nothing: as much as there is room for is asked for,
 * to see it. */
static void read_source(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  int is_last = slot->offset + slot->length == transfer->size;
  slot->frame.cap = is_last ? transfer->block_size : slot->length;
  slot->frame.len = 0; /* of the last block, which may have been longer than this one */
  assert(slot->frame.cap % transfer->unit == 0);
  int error = uvdio_read(transfer->source, &slot->req, &slot->frame, slot->offset, on_source_read);
  if (error != 0) {
    fail(slot, transfer->source, "read", error);
  }
}

/* Up to the next multiple of the block size, so that what follows a hole is in step again. */
static size_t length_at_hand(const transfer_t* transfer) {
  uint64_t left = transfer->data.end - transfer->data.begin;
  uint64_t until = transfer->block_size - transfer->data.begin % transfer->block_size;
  return (size_t)(left < until ? left : until);
}

/* An empty file has one block all the same: reading it tells whether it is really empty. */
static void take_block(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  if (transfer->outcome != TRANSFER_DONE) {
    return;
  }
  if (transfer->data.begin == transfer->data.end) {
    transfer->data =
        extents_next(transfer->holes, transfer->data.end, transfer->size, transfer->unit);
  }
  int is_empty = transfer->size == 0 && !transfer->begun;
  if (transfer->data.begin == transfer->data.end && !is_empty) {
    return;
  }
  transfer->begun = 1;
  slot->offset = transfer->data.begin;
  slot->length = length_at_hand(transfer);
  transfer->data.begin += slot->length;
  read_source(slot);
}

static void finish_block(transfer_slot_t* slot) {
  slot->transfer->done += slot->length;
  take_block(slot);
}

static int is_zero(const char* bytes, size_t length) {
  return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Whether the piece of the block at `at` stays a hole. */
static int is_skipped(const transfer_slot_t* slot, size_t at, size_t piece) {
  size_t left = slot->length - at;
  return slot->transfer->skip_zeros && is_zero(slot->frame.base + at, left < piece ? left : piece);
}

/* Moves begin and end to the next run of bytes that are to be written, and returns whether there is
 * one. */
static int find_run(transfer_slot_t* slot) {
  size_t unit = slot->transfer->unit;
  size_t piece = unit > ZEROS_LEAST ? unit : ZEROS_LEAST;
  slot->begin = slot->end;
  while (slot->begin < slot->length && is_skipped(slot, slot->begin, piece)) {
    slot->begin += piece;
  }
  slot->end = slot->begin;
  while (slot->end < slot->length && !is_skipped(slot, slot->end, piece)) {
    slot->end = slot->transfer->skip_zeros ? slot->end + piece : slot->length;
  }
  slot->end = slot->end < slot->length ? slot->end : slot->length;
  return slot->begin < slot->length;
}

/* Direct I/O writes whole sectors: zeros follow the last byte, and the file is cut to its size
 * later. */
static void write_run(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  size_t padded = round_up(slot->end - slot->begin, transfer->alignment);
  uvdio_buf_t view = uvdio_buf_view_bytes(slot->frame.base + slot->begin, padded);
  assert(slot->begin + padded <= slot->frame.cap);
  memset(slot->frame.base + slot->end, 0, slot->begin + padded - slot->end);
  slot->frame.len = padded;
  int error = uvdio_write(transfer->target, &slot->req, slot->begin == 0 ? &slot->frame : &view,
                          slot->offset + slot->begin, on_target_written);
  if (error != 0) {
    fail(slot, transfer->target, "write", error);
  }
}

static void write_rest(transfer_slot_t* slot) {
  if (find_run(slot)) {
    write_run(slot);
  } else {
    finish_block(slot);
  }
}

static void read_target(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  slot->mirror.len = 0;
  slot->mirror.cap =
      transfer->target_goes_on ? round_up(slot->length, transfer->alignment) : slot->frame.cap;
  int error = uvdio_read(transfer->target, &slot->req, &slot->mirror, slot->offset, on_target_read);
  if (error != 0) {
    fail(slot, transfer->target, "read back", error);
  }
}

static void on_source_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame) {
  transfer_slot_t* slot = req->data;
  size_t length = slot->length;
  slot->frame = frame;
  if (result < 0) {
    fail(slot, slot->transfer->source, "read", (int)result);
  } else if ((size_t)result < length) {
    end_transfer(slot->transfer, TRANSFER_SHRANK, slot->offset + (size_t)result);
  } else if ((size_t)result > length) {
    end_transfer(slot->transfer, TRANSFER_GREW, slot->offset + length);
  } else if (slot->transfer->outcome == TRANSFER_FAILED ||
             slot->transfer->outcome == TRANSFER_STOPPED) {
    return;
  } else if (slot->transfer->mode == TRANSFER_COMPARE) {
    read_target(slot);
  } else {
    slot->end = 0;
    write_rest(slot);
  }
}

static void on_target_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t run) {
  transfer_slot_t* slot = req->data;
  if (slot->begin == 0) { /* the frame itself, and no view */
    slot->frame = run;
  }
  assert(run.base == slot->frame.base + slot->begin);
  if (result < 0) {
    fail(slot, slot->transfer->target, "write", (int)result);
    return;
  }
  slot->transfer->moved += slot->end - slot->begin;
  write_rest(slot);
}

/* Where two blocks, which are not equal, differ first. */
static size_t first_difference(const char* left, const char* right, size_t length) {
  size_t at = 0;
  while (at < length && left[at] == right[at]) {
    at++;
  }
  return at;
}

static void on_target_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t mirror) {
  transfer_slot_t* slot = req->data;
  size_t length = slot->length;
  slot->mirror = mirror;
  if (result < 0) {
    fail(slot, slot->transfer->target, "read back", (int)result);
    return;
  }
  size_t common = (size_t)result < length ? (size_t)result : length;
  int has_length =
      slot->transfer->target_goes_on ? (size_t)result >= length : (size_t)result == length;
  if (!has_length || memcmp(slot->frame.base, mirror.base, common) != 0) {
    size_t at = first_difference(slot->frame.base, mirror.base, common);
    end_transfer(slot->transfer, TRANSFER_DIFFERS, slot->offset + at);
    return;
  }
  slot->transfer->moved += length;
  finish_block(slot);
}

/* No more slots than there are blocks. */
static unsigned count_slots(const transfer_t* transfer) {
  uint64_t blocks = transfer->size / transfer->block_size + 1;
  return blocks < transfer->depth ? (unsigned)blocks : transfer->depth;
}

/* In huge pages a block is a few pieces of memory for the device instead of one for every 4096
 * bytes: on a virtio disk that was worth a factor of 1.5. Small copies would only pay for zeroing
 * them. */
static int open_arena(transfer_t* transfer) {
  uvdio_arena_options_t options = {
      .frame_size = transfer->block_size,
      .frame_count = (size_t)transfer->slot_count * (transfer->mode == TRANSFER_COMPARE ? 2 : 1),
  };
  int is_large = options.frame_size >= HUGE_PAGE_SIZE ||
                 options.frame_count >= HUGE_PAGE_SIZE / options.frame_size;
  options.flags = is_large ? UVDIO_ARENA_HUGE_PAGES : 0;
  int error = uvdio_arena_create(&transfer->arena, &options);
  if (error != 0 && is_large) { /* the system has none */
    options.flags = 0;
    error = uvdio_arena_create(&transfer->arena, &options);
  }
  return error;
}

static int open_slots(transfer_t* transfer) {
  for (unsigned i = 0; i < transfer->slot_count; i++) {
    transfer_slot_t* slot = &transfer->slots[i];
    slot->transfer = transfer;
    slot->req.data = slot;
    int error = uvdio_arena_acquire(transfer->arena, &slot->frame);
    if (error == 0 && transfer->mode == TRANSFER_COMPARE) {
      error = uvdio_arena_acquire(transfer->arena, &slot->mirror);
    }
    if (error != 0) {
      return error;
    }
  }
  return 0;
}

int transfer_start(transfer_t* transfer) {
  transfer->slot_count = count_slots(transfer);
  transfer->slots = calloc(transfer->slot_count, sizeof *transfer->slots);
  if (transfer->slots == NULL) {
    return UV_ENOMEM;
  }
  int error = open_arena(transfer);
  if (error == 0) {
    error = open_slots(transfer);
  }
  if (error != 0) {
    transfer_close(transfer);
    return error;
  }
  for (unsigned i = 0; i < transfer->slot_count; i++) {
    take_block(&transfer->slots[i]);
  }
  return 0;
}

void transfer_stop(transfer_t* transfer) {
  end_transfer(transfer, TRANSFER_STOPPED, 0);
  for (unsigned i = 0; i < transfer->slot_count; i++) {
    (void)uvdio_cancel(&transfer->slots[i].req); /* of no effect where nothing is pending */
  }
}

void transfer_close(transfer_t* transfer) {
  for (unsigned i = 0; i < transfer->slot_count; i++) {
    (void)uvdio_buf_release(&transfer->slots[i].frame);
    (void)uvdio_buf_release(&transfer->slots[i].mirror);
  }
  if (transfer->arena != NULL) {
    int error = uvdio_arena_destroy(transfer->arena, NULL);
    assert(error == 0);
    (void)error;
  }
  free(transfer->slots);
}
