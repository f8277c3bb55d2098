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
 * Blocks are taken in order of their offsets, so that when one differs every earlier one is done or in
 * flight: the smallest offset that is reported in the end is the first that differs.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transfer.h"

/* Bytes, on most systems; where it is another one, this decides about memory that is not quite worth it. */
#define HUGE_PAGE_SIZE ((size_t)2 * 1024 * 1024)

struct transfer_slot_s {
  transfer_t* transfer;
  uvdio_req_t req;
  uvdio_buf_t frame;  /* of the source */
  uvdio_buf_t mirror; /* of the target; comparing only */
  uint64_t offset;
};

static void on_source_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame);
static void on_target_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame);
static void on_target_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t mirror);

/* The first failure is the one to tell about: others are often its consequences. Of several differences
 * it is the one at the smallest offset. */
static void end_transfer(transfer_t* transfer, transfer_outcome_t outcome, uint64_t offset) {
  int nearer = outcome == TRANSFER_DIFFERS && transfer->outcome == outcome && offset < transfer->offset;
  if (transfer->outcome == TRANSFER_DONE || nearer) {
    transfer->outcome = outcome;
    transfer->offset = offset;
  }
}

static void fail(transfer_slot_t* slot, const uvdio_file_t* file, const char* operation, int error) {
  transfer_t* transfer = slot->transfer;
  assert(error < 0);
  if (transfer->outcome == TRANSFER_DONE) {
    transfer->error = error;
    transfer->operation = operation;
    transfer->file = file;
  }
  end_transfer(transfer, TRANSFER_FAILED, slot->offset);
}

/* Bytes of the file in the slot's block: less than a block at the end, none in an empty file. */
static size_t block_length(const transfer_slot_t* slot) {
  uint64_t left = slot->transfer->size - slot->offset;
  return left < slot->transfer->block_size ? (size_t)left : slot->transfer->block_size;
}

static void read_source(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  int error = uvdio_read(transfer->source, &slot->req, &slot->frame, slot->offset, on_source_read);
  if (error != 0) {
    fail(slot, transfer->source, "read", error);
  }
}

/* Moves `next` past a hole. What can't be asked counts as data. */
static void skip_hole(transfer_t* transfer) {
#ifdef SEEK_DATA
  if (transfer->holes < 0 || transfer->next < transfer->data_end || transfer->next >= transfer->size) {
    return;
  }
  uint64_t from = transfer->next;
  off_t data = lseek(transfer->holes, (off_t)from, SEEK_DATA);
  if (data < 0) {
    transfer->next = errno == ENXIO ? transfer->size : from; /* nothing but a hole until the end */
    transfer->data_end = transfer->size;
  } else {
    off_t end = lseek(transfer->holes, data, SEEK_HOLE);
    transfer->next = (uint64_t)data / transfer->block_size * transfer->block_size;
    transfer->data_end = end > data ? (uint64_t)end : transfer->size;
  }
  assert(transfer->next >= from);
  transfer->done += transfer->next - from;
#else
  (void)transfer;
#endif
}

/* An empty file has one block all the same: reading it tells whether it is really empty. */
static void take_block(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  skip_hole(transfer);
  int over = transfer->next >= transfer->size && transfer->next > 0;
  if (over || transfer->outcome != TRANSFER_DONE) {
    return;
  }
  slot->offset = transfer->next;
  transfer->next += transfer->block_size;
  read_source(slot);
}

static void finish_block(transfer_slot_t* slot) {
  slot->transfer->done += block_length(slot);
  take_block(slot);
}

/* Direct I/O writes whole sectors: zeros follow the last byte, and the file is cut to its size later. */
static void write_target(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  size_t length = block_length(slot);
  size_t padded = (length + transfer->alignment - 1) / transfer->alignment * transfer->alignment;
  assert(padded <= slot->frame.cap);
  memset(slot->frame.base + length, 0, padded - length);
  slot->frame.len = padded;
  int error = uvdio_write(transfer->target, &slot->req, &slot->frame, slot->offset, on_target_written);
  if (error != 0) {
    fail(slot, transfer->target, "write", error);
  }
}

static void read_target(transfer_slot_t* slot) {
  transfer_t* transfer = slot->transfer;
  int error = uvdio_read(transfer->target, &slot->req, &slot->mirror, slot->offset, on_target_read);
  if (error != 0) {
    fail(slot, transfer->target, "read back", error);
  }
}

static void on_source_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame) {
  transfer_slot_t* slot = req->data;
  size_t length = block_length(slot);
  slot->frame = frame;
  if (result < 0) {
    fail(slot, slot->transfer->source, "read", (int)result);
  } else if ((size_t)result < length) {
    end_transfer(slot->transfer, TRANSFER_SHRANK, slot->offset + (size_t)result);
  } else if ((size_t)result > length) {
    end_transfer(slot->transfer, TRANSFER_GREW, slot->offset + length);
  } else if (slot->transfer->outcome == TRANSFER_FAILED || slot->transfer->outcome == TRANSFER_STOPPED) {
    return;
  } else if (slot->transfer->mode == TRANSFER_COMPARE) {
    read_target(slot);
  } else if (length > 0) {
    write_target(slot);
  }
}

static void on_target_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame) {
  transfer_slot_t* slot = req->data;
  slot->frame = frame;
  if (result < 0) {
    fail(slot, slot->transfer->target, "write", (int)result);
    return;
  }
  finish_block(slot);
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
  size_t length = block_length(slot);
  slot->mirror = mirror;
  if (result < 0) {
    fail(slot, slot->transfer->target, "read back", (int)result);
    return;
  }
  size_t common = (size_t)result < length ? (size_t)result : length;
  if ((size_t)result != length || memcmp(slot->frame.base, mirror.base, common) != 0) {
    size_t at = first_difference(slot->frame.base, mirror.base, common);
    end_transfer(slot->transfer, TRANSFER_DIFFERS, slot->offset + at);
    return;
  }
  finish_block(slot);
}

/* No more slots than there are blocks. */
static unsigned count_slots(const transfer_t* transfer) {
  uint64_t blocks = transfer->size / transfer->block_size + 1;
  return blocks < transfer->depth ? (unsigned)blocks : transfer->depth;
}

/* In huge pages a block is a few pieces of memory for the device instead of one for every 4096 bytes: on a virtio disk
 * that was worth a factor of 1.5. Small copies would only pay for zeroing them. */
static int open_arena(transfer_t* transfer) {
  uvdio_arena_options_t options = {
      .frame_size = transfer->block_size,
      .frame_count = (size_t)transfer->slot_count * (transfer->mode == TRANSFER_COMPARE ? 2 : 1),
  };
  int is_large = options.frame_size >= HUGE_PAGE_SIZE || options.frame_count >= HUGE_PAGE_SIZE / options.frame_size;
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
  transfer->slots = NULL;
  transfer->slot_count = 0;
  transfer->arena = NULL;
}
