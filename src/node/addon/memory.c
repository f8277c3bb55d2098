/* SPDX-License-Identifier: MIT */
/*
 * Blocks: aligned memory of alloc(). JavaScript holds a block by its ArrayBuffer, requests hold it
 * by a count, and the last of them frees it: an ArrayBuffer that is detached, transferred or
 * collected, or whose environment ends, leaves the kernel with memory that is still there.
 */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

struct block_s {
  uvdio_buf_t buf;
  unsigned refs;   /* of the ArrayBuffer, and of each claim */
  size_t users;    /* claims on it */
  size_t longest;  /* bytes of one of them at most */
  size_t width;    /* bytes of a part */
  link_t* parts[]; /* claims, by the part of the block in which their bytes begin */
};

/* Parts of a block: one per PART_MIN bytes, and so many at most. */
#define PART_MIN 65536
#define PARTS_MAX 4096

static const napi_type_tag block_tag = {0x8f1c5f0c9a0e4d5bULL, 0xb1a77c2f3e60d94aULL};

static void drop(block_t* block) {
  if (--block->refs == 0) {
    uvdio_buf_release(&block->buf);
    free(block);
  }
}

static void on_collected(napi_env napi, void* memory, void* hint) {
  (void)napi;
  (void)memory;
  drop(hint);
}

static int create_block(size_t size, block_t** result) {
  size_t count = size / PART_MIN + 1 < PARTS_MAX ? size / PART_MIN + 1 : PARTS_MAX;
  block_t* block = calloc(1, sizeof *block + count * sizeof(link_t*));
  int error = block == NULL ? UV_ENOMEM : uvdio_buf_alloc(&block->buf, size, UVDIO_BUF_ZEROED);

  if (error != 0) {
    free(block);
    return error;
  }
  block->refs = 1;
  block->width = block->buf.cap / count + 1;
  *result = block;
  return 0;
}

/* alloc(size) -> ArrayBuffer, whose length is a multiple of the alignment */
napi_value alloc_block(napi_env napi, napi_callback_info info) {
  call_t call;
  uint64_t size = 0;
  block_t* block = NULL;
  napi_value arraybuffer = NULL;

  call_begin(&call, napi, info);
  if (!get_uint64(&call, 0, &size)) {
    return NULL;
  }
  int error = create_block((size_t)size, &block);
  if (error != 0) {
    return throw_error(call.env, error, "alloc", NULL);
  }
  napi_status status = napi_create_external_arraybuffer(napi, block->buf.base, block->buf.cap,
                                                        on_collected, block, &arraybuffer);
  if (status != napi_ok) { /* builds with V8's memory cage (Electron) have no such memory */
    drop(block);
    return throw_error(call.env, UV_ENOTSUP, "alloc", NULL);
  }
  napi_type_tag_object(napi, arraybuffer, &block_tag);
  napi_wrap(napi, arraybuffer, block, NULL, NULL, NULL);
  return arraybuffer;
}

/* The block under an ArrayBuffer, or null: the memory is somebody else's. */
static block_t* block_of(env_t* env, napi_value arraybuffer) {
  bool is_block = false;
  void* block = NULL;

  if (napi_check_object_type_tag(env->napi, arraybuffer, &block_tag, &is_block) != napi_ok ||
      !is_block || napi_unwrap(env->napi, arraybuffer, &block) != napi_ok) {
    return NULL;
  }
  return block;
}

static size_t part_of(const block_t* block, const char* byte) {
  return (size_t)(byte - block->buf.base) / block->width;
}

/* Whether an operation in flight reads into these bytes, or (is_change) has anything to do with
 * them. Such a one begins before their end, and not further before their begin than the longest. */
static bool is_busy(const block_t* block, const char* begin, size_t length, bool is_change) {
  size_t before = (size_t)(begin - block->buf.base);
  const char* first = begin - (before < block->longest ? before : block->longest);

  for (size_t i = part_of(block, first); i <= part_of(block, begin + length - 1); i++) {
    for (link_t* link = block->parts[i]; link != NULL; link = link->next) {
      const claim_t* claim = LINK_OWNER(link, claim_t, user);
      if ((is_change || claim->is_change) && begin < claim->begin + claim->length &&
          claim->begin < begin + length) {
        return true;
      }
    }
  }
  return false;
}

/* Whether an operation in flight reads into these bytes, which are to be copied. */
bool is_read_into(env_t* env, napi_value arraybuffer, const char* begin, size_t length) {
  const block_t* block = length == 0 ? NULL : block_of(env, arraybuffer);

  return block != NULL && block->users > 0 && is_busy(block, begin, length, false);
}

/* An operation uses bytes of the block until it lets go. */
static int claim_bytes(block_t* block, claim_t* claim, const char* begin, size_t length,
                       bool is_change) {
  if (length == 0) {
    return UV_EINVAL;
  }
  if (is_busy(block, begin, length, is_change)) {
    return UV_EBUSY;
  }
  claim->block = block;
  claim->begin = begin;
  claim->length = length;
  claim->is_change = is_change;
  list_join(&block->parts[part_of(block, begin)], &claim->user);
  block->longest = block->longest < length ? length : block->longest;
  block->users++;
  block->refs++;
  return 0;
}

void claim_let_go(claim_t* claim) {
  block_t* block = claim->block;

  if (block == NULL) {
    return;
  }
  list_leave(&claim->user);
  if (--block->users == 0) {
    block->longest = 0;
  }
  claim->block = NULL;
  drop(block);
}

int lend_for_read(env_t* env, napi_value owner, char* bytes, size_t length, claim_t* claim,
                  uvdio_buf_t* buf) {
  block_t* block = block_of(env, owner);

  *buf = uvdio_buf_wrap(bytes, length);
  return block == NULL ? UV_EINVAL : claim_bytes(block, claim, bytes, length, true);
}

int lend_for_write(env_t* env, napi_value owner, char* bytes, size_t length, claim_t* claim,
                   uvdio_buf_t* buf) {
  bool is_aligned = ((uintptr_t)bytes & (UVDIO_ALIGNMENT - 1)) == 0;
  block_t* block = block_of(env, owner);

  if (block != NULL && is_aligned) {
    *buf = uvdio_buf_view_bytes(bytes, length);
    return claim_bytes(block, claim, bytes, length, false);
  }
  if (is_read_into(env, owner, bytes, length)) {
    return UV_EBUSY;
  }
  int error = uvdio_buf_alloc(buf, length, UVDIO_BUF_FULL);
  if (error == 0) {
    memcpy(buf->base, bytes, length);
  }
  return error;
}
