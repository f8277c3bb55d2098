/*
 * Registered buffers: arenas whose memory the kernel has pinned and knows by number, which saves pinning it anew for each
 * request.
 *
 *   arena     |  segment 0  |  segment 1  |  ...         1 << shift bytes each, 1 MiB or more
 *   table     |  first + 0  |  first + 1  |  ...         one entry per segment, the rest of the table empty
 *
 * A segment is registered when a frame in it is first used: so the time that this takes (pinning faults the pages in) is
 * bounded, and memory that is never used is never pinned. Where the kernel can copy entries between rings (6.13), a
 * segment is pinned once per arena, by a ring that does nothing else (the share's vault), and engines copy it from
 * there: sooner, and charged once. Otherwise each engine pins for itself.
 *
 * What fails is remembered, and its frames go as plain memory.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "memory.h"
#include "ring.h"

#define SEGMENT_SHIFT_MIN 20u
#define SEGMENTS_MAX 4096u           /* of one arena: 8 GiB in segments of 2 MiB */
#define TABLE_SIZE 16384u            /* entries; the kernel's limit (IORING_MAX_REG_BUFFERS) */
#define ENTRY_SIZE_MAX ((size_t)1 << 30) /* bytes; the kernel's limit */

/*
 * Geometry
 */

static unsigned shift_of(const uvdio_arena_t* arena) {
  unsigned shift = SEGMENT_SHIFT_MIN;

  while (((size_t)1 << shift) < arena->stride || (arena->size >> shift) >= SEGMENTS_MAX) {
    shift++;
  }
  return shift;
}

/* A segment, and as much behind it as the last frame that begins in it may take. */
static struct iovec memory_of(const uvdio__pin_t* pin, unsigned segment) {
  size_t size = (size_t)1 << pin->shift;
  size_t begin = (size_t)segment << pin->shift;
  size_t overlap = size % pin->stride == 0 ? 0 : pin->stride;
  size_t rest = pin->size - begin;
  struct iovec memory = {.iov_base = (void*)(uintptr_t)(pin->base + begin),
                         .iov_len = size + overlap < rest ? size + overlap : rest};
  return memory;
}

/* Why the arena can't be registered at all, or null. */
static const char* why_unfit(const uvdio_arena_t* arena) {
  if ((arena->flags & UVDIO_ARENA_GUARD_PAGES) != 0) {
    return "guard pages can't be pinned";
  }
  if (arena->stride > ENTRY_SIZE_MAX / 2) {
    return "its frames are larger than 512 MiB";
  }
  return NULL;
}

/*
 * Pins
 */

static const uvdio__pin_t no_pin; /* arenas' ids begin at 1 */

void uvdio__ring_init_buffers(uvdio__ring_buffers_t* buffers) {
  size_t i;

  for (i = 0; i < UVDIO__PIN_CACHE; i++) {
    buffers->cache[i] = &no_pin;
  }
}

static uvdio__pin_t* look_up(const uvdio__ring_t* ring, const uvdio_arena_t* arena) {
  uvdio__pin_t* pin;

  for (pin = ring->buffers.pins; pin != NULL && pin->arena_id != arena->id; pin = pin->next) {
  }
  return pin;
}

/* The place in the list, which is in the table's order, where `count` entries are free; null: nowhere. */
static uvdio__pin_t** find_gap(uvdio__ring_buffers_t* buffers, unsigned count, unsigned* first) {
  uvdio__pin_t** link = &buffers->pins;

  for (*first = 0; *link != NULL && (*link)->first - *first < count; link = &(*link)->next) {
    *first = (*link)->first + (*link)->count;
  }
  return TABLE_SIZE - *first < count ? NULL : link;
}

static size_t size_of_pin(unsigned count) {
  return sizeof(uvdio__pin_t) + count;
}

static void fill_pin(uvdio__pin_t* pin, const uvdio_arena_t* arena, unsigned count) {
  pin->arena_id = arena->id;
  pin->base = arena->base;
  pin->size = arena->size;
  pin->stride = arena->stride;
  pin->share = arena->share;
  pin->shift = shift_of(arena);
  pin->count = count;
  pin->reason = "";
  uvdio__share_hold(pin->share);
}

static void refuse(uvdio__pin_t* pin, int error, const char* reason) {
  pin->error = error;
  pin->reason = reason;
}

/* What the ring knows of the arena, made at its first use; null when out of memory. */
static uvdio__pin_t* get_pin(uvdio__ring_t* ring, const uvdio_arena_t* arena) {
  uvdio__pin_t* pin = look_up(ring, arena);
  const char* unfit = why_unfit(arena);
  unsigned count = unfit != NULL ? 0 : (unsigned)((arena->size - 1) >> shift_of(arena)) + 1;
  uvdio__pin_t** link;
  unsigned first;

  if (pin != NULL) {
    return pin;
  }
  link = find_gap(&ring->buffers, count, &first);
  if (link == NULL) {
    unfit = "the kernel's table of registered buffers is full";
    count = 0;
    link = find_gap(&ring->buffers, count, &first);
  }
  pin = uvdio__alloc(size_of_pin(count), UVDIO__STRUCT_ALIGN, 1);
  if (pin == NULL) {
    return NULL;
  }
  fill_pin(pin, arena, count);
  pin->first = first;
  pin->next = *link;
  *link = pin;
  if (unfit != NULL) {
    refuse(pin, UV_ENOTSUP, unfit);
  }
  return pin;
}

/*
 * The kernel's table
 */

static int make_table(int descriptor, unsigned count) {
  struct io_uring_rsrc_register table;

  memset(&table, 0, sizeof(table));
  table.nr = count;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  return uvdio__ring_register(descriptor, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

/* Puts memory into entries of a table, or (null) empties them. Returns how many, or an error. */
static int update_table(int descriptor, unsigned first, const struct iovec* memory, unsigned count) {
  struct io_uring_rsrc_update2 update;

  memset(&update, 0, sizeof(update));
  update.offset = first;
  update.data = (uint64_t)(uintptr_t)memory;
  update.nr = count;
  return uvdio__ring_register(descriptor, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}

static void empty_entries(int descriptor, unsigned first, unsigned count) {
  static const struct iovec nothing[64];

  while (count > 0) {
    unsigned some = count < 64 ? count : 64;
    (void)update_table(descriptor, first, nothing, some);
    first += some;
    count -= some;
  }
}

/*
 * The vault. Its lock is held.
 */

/* A ring of one entry that nobody maps, submits to or waits for. */
static int open_vault(uvdio__share_t* share, unsigned count) {
  struct io_uring_params params;
  long descriptor;
  int result;

  memset(&params, 0, sizeof(params));
  descriptor = syscall(SYS_io_uring_setup, 1, &params);
  if (descriptor < 0) {
    return -errno;
  }
  share->pinned = uvdio__alloc(count, UVDIO__STRUCT_ALIGN, 1);
  share->pinned_count = count;
  share->vault = (intptr_t)descriptor;
  result = share->pinned == NULL ? -ENOMEM : make_table((int)descriptor, count);
  if (result < 0) {
    uvdio__share_close_vault(share);
  }
  return result;
}

/* Pins what is not pinned yet, up to the first refusal. */
static int pin_by_vault(const uvdio__pin_t* pin, unsigned segment, unsigned count) {
  uvdio__share_t* share = pin->share;
  int result = share->vault == -1 ? open_vault(share, pin->count) : 0;

  for (; count > 0 && result >= 0; count--, segment++) {
    struct iovec memory = memory_of(pin, segment);
    if (!share->pinned[segment]) {
      result = update_table((int)share->vault, segment, &memory, 1);
      share->pinned[segment] = result >= 0;
    }
  }
  return result;
}

/* Copies entries, empty ones included, into the ring's table, which grows as needed. */
static int copy_entries(const uvdio__ring_t* ring, const uvdio__pin_t* pin, unsigned segment,
                        unsigned count) {
  uvdio__clone_t clone;

  memset(&clone, 0, sizeof(clone));
  clone.source = (uint32_t)pin->share->vault;
  clone.flags = UVDIO__CLONE_REPLACE;
  clone.source_offset = segment;
  clone.target_offset = pin->first + segment;
  clone.count = count;
  return uvdio__ring_register(ring->ring.ring_fd, UVDIO__REGISTER_CLONE_BUFFERS, &clone, 1);
}

static void leave_vault(uvdio__share_t* share) {
  assert(share->users > 0);
  if (--share->users == 0) {
    uvdio__share_close_vault(share);
  }
}

static int may_use_vault(const uvdio__ring_t* ring, const uvdio__share_t* share) {
  return ring->traits.has_clones && share->generation == uvdio__os_fork_generation();
}

/*
 * Letting go
 */

/* The ring knows nothing of the arena any more. */
static void leave_share(const uvdio__ring_t* ring, uvdio__pin_t* pin) {
  if (pin->known > 0 && may_use_vault(ring, pin->share)) {
    uv_mutex_lock(&pin->share->lock);
    leave_vault(pin->share);
    uv_mutex_unlock(&pin->share->lock);
  }
  pin->known = 0;
}

static void free_pin(uvdio__ring_t* ring, uvdio__pin_t* pin) {
  const uvdio__pin_t** cached = &ring->buffers.cache[pin->arena_id % UVDIO__PIN_CACHE];

  assert(pin->known == 0);
  if (*cached == pin) {
    *cached = &no_pin;
  }
  uvdio__share_release(pin->share);
  uvdio__free(pin, size_of_pin(pin->count), UVDIO__STRUCT_ALIGN);
}

/*
 * Segments
 */

static const char* words_for(int error) {
  if (error == -ENOMEM) {
    return "the limit on locked memory (ulimit -l) does not allow to pin more";
  }
  if (error == -EFAULT || error == -EOPNOTSUPP) {
    return "its memory is of a kind that the kernel does not pin";
  }
  if (error == -EMFILE || error == -ENFILE) {
    return "no file descriptor is free (ulimit -n)";
  }
  return "the kernel refused to register memory";
}

static void note_known(uvdio__lane_t* lane, uvdio__pin_t* pin, unsigned segment) {
  if (pin->segments[segment] != UVDIO__SEGMENT_KNOWN) {
    pin->segments[segment] = UVDIO__SEGMENT_KNOWN;
    pin->known++;
    lane->engine->stats.registered_bytes += memory_of(pin, segment).iov_len;
  }
}

/* The vault pins, and the ring copies: at its first time everything, because another engine may have had it pinned. */
static int register_by_vault(uvdio__lane_t* lane, uvdio__pin_t* pin, unsigned segment, unsigned count) {
  uvdio__share_t* share = pin->share;
  int pinned = pin_by_vault(pin, segment, count);
  int copied = pinned;
  unsigned i;

  if (share->vault == -1) {
    return pinned;
  }
  if (pin->known == 0) {
    segment = 0;
    count = pin->count;
    share->users++;
  }
  copied = copy_entries(lane->state, pin, segment, count);
  for (i = segment; i < segment + count && copied >= 0; i++) {
    if (share->pinned[i]) {
      note_known(lane, pin, i);
    }
  }
  if (pin->known == 0) {
    leave_vault(share);
  }
  return pinned < 0 ? pinned : copied;
}

static int register_by_ring(uvdio__lane_t* lane, uvdio__pin_t* pin, unsigned segment, unsigned count) {
  uvdio__ring_t* ring = lane->state;
  int result = ring->buffers.has_table ? 0 : make_table(ring->ring.ring_fd, TABLE_SIZE);

  ring->buffers.has_table = result >= 0;
  for (; count > 0 && result >= 0; count--, segment++) {
    struct iovec memory = memory_of(pin, segment);
    if (pin->segments[segment] != UVDIO__SEGMENT_KNOWN) {
      result = update_table(ring->ring.ring_fd, pin->first + segment, &memory, 1);
    }
    if (result >= 0) {
      note_known(lane, pin, segment);
    }
  }
  return result;
}

static void register_segments(uvdio__lane_t* lane, uvdio__pin_t* pin, unsigned segment, unsigned count) {
  int result;

  if (may_use_vault(lane->state, pin->share)) {
    uv_mutex_lock(&pin->share->lock);
    result = register_by_vault(lane, pin, segment, count);
    uv_mutex_unlock(&pin->share->lock);
  } else {
    result = register_by_ring(lane, pin, segment, count);
  }
  if (result < 0) {
    refuse(pin, uv_translate_sys_error(-result), words_for(result));
    lane->engine->stats.registrations_refused++;
  }
}

/* Takes everything out of the kernel's table again. */
static void unregister_segments(uvdio__lane_t* lane, uvdio__pin_t* pin) {
  const uvdio__ring_t* ring = lane->state;
  unsigned i;

  if (pin->known == 0) {
    return;
  }
  empty_entries(ring->ring.ring_fd, pin->first, pin->count);
  for (i = 0; i < pin->count; i++) {
    if (pin->segments[i] == UVDIO__SEGMENT_KNOWN) {
      lane->engine->stats.registered_bytes -= memory_of(pin, i).iov_len;
    }
    pin->segments[i] = UVDIO__SEGMENT_NEW;
  }
  leave_share(ring, pin);
}

/* Only what the user did not hold back, and not again after the first refusal: the next would be one, too. */
static int may_register(const uvdio__lane_t* lane, const uvdio__pin_t* pin) {
  return pin->error == 0 && !lane->engine->manual;
}

int uvdio__ring_find_buffer(uvdio__lane_t* lane, const uvdio_buf_t* buf) {
  uvdio__ring_t* ring = lane->state;
  const uvdio_arena_t* arena = buf->owner_;
  uvdio__pin_t* pin = look_up(ring, arena);
  size_t segment;

  if (!ring->traits.has_sparse_buffers || (pin == NULL && lane->engine->manual)) {
    return UVDIO__BUFFER_PLAIN;
  }
  pin = pin == NULL ? get_pin(ring, arena) : pin;
  if (pin == NULL) {
    return UVDIO__BUFFER_PLAIN;
  }
  ring->buffers.cache[arena->id % UVDIO__PIN_CACHE] = pin;
  segment = (size_t)(buf->base - pin->base) >> pin->shift;
  if (segment >= pin->count) {
    return UVDIO__BUFFER_PLAIN;
  }
  if (pin->segments[segment] == UVDIO__SEGMENT_NEW && may_register(lane, pin)) {
    register_segments(lane, pin, (unsigned)segment, 1);
  }
  return pin->segments[segment] == UVDIO__SEGMENT_KNOWN ? (int)(pin->first + segment) : UVDIO__BUFFER_PLAIN;
}

/*
 * By the user's word
 */

int uvdio__ring_register_arena(uvdio__lane_t* lane, const uvdio_arena_t* arena) {
  uvdio__ring_t* ring = lane->state;
  uvdio__pin_t* pin;

  if (!ring->traits.has_sparse_buffers) {
    return UV_ENOTSUP;
  }
  pin = get_pin(ring, arena);
  if (pin == NULL) {
    return UV_ENOMEM;
  }
  if (pin->count > 0) {
    refuse(pin, 0, "");
    register_segments(lane, pin, 0, pin->count);
  }
  return pin->error;
}

static int is_in_use(const uvdio__list_t* list, const uvdio_arena_t* arena) {
  const uvdio_req_t* req;

  for (req = list->head; req != NULL; req = req->next_) {
    if (uvdio__is_transfer(req->op) && req->buf_.owner_ == arena) {
      return 1;
    }
  }
  return 0;
}

int uvdio__ring_unregister_arena(uvdio__lane_t* lane, const uvdio_arena_t* arena) {
  uvdio__pin_t* pin = look_up(lane->state, arena);

  if (is_in_use(&lane->running, arena) || is_in_use(&lane->waiting, arena)) {
    return UV_EBUSY;
  }
  if (pin == NULL || pin->known == 0) {
    return UV_ENOENT;
  }
  unregister_segments(lane, pin);
  refuse(pin, UV_ECANCELED, "uvdio_arena_unregister() was called");
  return 0;
}

void uvdio__ring_sweep(uvdio__lane_t* lane) {
  uvdio__ring_t* ring = lane->state;
  uvdio__pin_t** link = &ring->buffers.pins;

  while (*link != NULL) {
    uvdio__pin_t* pin = *link;
    if (!atomic_load_explicit(&pin->share->dead, memory_order_acquire)) {
      link = &pin->next;
      continue;
    }
    *link = pin->next;
    unregister_segments(lane, pin);
    free_pin(ring, pin);
  }
}

void uvdio__ring_free_buffers(uvdio__ring_t* ring) {
  while (ring->buffers.pins != NULL) {
    uvdio__pin_t* pin = ring->buffers.pins;
    ring->buffers.pins = pin->next;
    leave_share(ring, pin);
    free_pin(ring, pin);
  }
}

void uvdio__ring_registration(const uvdio__lane_t* lane, const uvdio_arena_t* arena,
                              uvdio_registration_t* registration) {
  const uvdio__ring_t* ring = lane->state;
  const uvdio__pin_t* pin = look_up(ring, arena);
  unsigned i;

  if (!ring->traits.has_sparse_buffers) {
    registration->error = UV_ENOTSUP;
    registration->reason = "registering memory piece by piece takes Linux 5.19";
  } else if (pin == NULL) {
    registration->reason = lane->engine->manual ? "uvdio_arena_register() was not called"
                                                : "no frame of it was used yet";
  } else {
    for (i = 0; i < pin->count; i++) {
      size_t end = memory_of(pin, i).iov_len;
      size_t segment = (size_t)1 << pin->shift;
      registration->bytes += pin->segments[i] == UVDIO__SEGMENT_KNOWN ? (end < segment ? end : segment) : 0;
    }
    registration->error = pin->error;
    registration->reason = pin->reason;
  }
}
