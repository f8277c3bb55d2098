/* SPDX-License-Identifier: MIT */
/*
 * Registered buffers: arenas whose memory the kernel has pinned and addresses by an index, which
 * saves pinning it for each request.
 *
 *   arena     |  segment 0  |  segment 1  |  ...         1 << shift bytes each, 1 MiB or more
 *   table     |  first + 0  |  first + 1  |  ...         one entry per segment; others are empty
 *
 * A segment is registered when a frame is first used that no registered one holds: this bounds the
 * time that it takes (pinning faults pages in), and memory that is never used is never pinned. The
 * first engine that uses an arena registers for itself, the others by a clone source
 * (clone_source.c), where the kernel can clone.
 *
 * A refusal is remembered, and frames of that arena are plain memory from then on. So is a view
 * that no segment holds as a whole.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "allocator.h"
#include "class.h"
#include "ring/ring.h"
#include "vector.h"

#define SEGMENT_SHIFT_MIN 20u
#define SEGMENTS_MAX 4096u               /* of one arena: 8 GiB in segments of 2 MiB */
#define TABLE_SIZE 16384u                /* entries; the kernel's limit (IORING_MAX_REG_BUFFERS) */
#define ENTRY_SIZE_MAX ((size_t)1 << 30) /* bytes; the kernel's limit */
/* bytes that one submitting call registers at most: 4.5 ms of fresh memory */
#define AUTO_SIZE_MAX ((size_t)8 << 20)

/*
 * Geometry
 */

static unsigned shift_of(const uvdio_arena_t* arena) {
  unsigned shift = SEGMENT_SHIFT_MIN;

  while (((size_t)1 << shift) < arena->stride || ((arena->size - 1) >> shift) >= SEGMENTS_MAX) {
    shift++;
  }
  return shift;
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
 * Registrations by arena
 */

static uvdio__registration_t** bucket_of(const uvdio__ring_t* ring, uint64_t arena_id) {
  return (uvdio__registration_t**)&ring->buffers.buckets[arena_id % UVDIO__REGISTRATION_BUCKETS];
}

static uvdio__registration_t* look_up(const uvdio__ring_t* ring, const uvdio_arena_t* arena) {
  uvdio__registration_t* registration = *bucket_of(ring, arena->id);

  while (registration != NULL && registration->arena_id != arena->id) {
    registration = registration->bucket_next;
  }
  return registration;
}

static void put_into_bucket(const uvdio__ring_t* ring, uvdio__registration_t* registration) {
  uvdio__registration_t** bucket = bucket_of(ring, registration->arena_id);

  registration->bucket_next = *bucket;
  *bucket = registration;
}

static void take_from_bucket(const uvdio__ring_t* ring, const uvdio__registration_t* registration) {
  uvdio__registration_t** link = bucket_of(ring, registration->arena_id);

  while (*link != registration) {
    assert(*link != NULL);
    link = &(*link)->bucket_next;
  }
  *link = registration->bucket_next;
}

/*
 * Registrations by address
 */

#define ADDRESS_ROOM_MIN 8u

/* How many begin at the address or below it. */
static size_t count_up_to(const uvdio__ring_buffers_t* buffers, const char* address) {
  size_t low = 0;
  size_t high = buffers->address_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)buffers->by_address[middle]->base <= (uintptr_t)address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void free_addresses(uvdio__ring_buffers_t* buffers) {
  uvdio__free(buffers->by_address, buffers->address_room * sizeof(*buffers->by_address),
              UVDIO__STRUCT_ALIGN);
  buffers->by_address = NULL;
  buffers->address_room = 0;
}

/* Room for one more. Returns 0, or UV_ENOMEM. */
static int make_address_room(uvdio__ring_buffers_t* buffers) {
  size_t room = buffers->address_room == 0 ? ADDRESS_ROOM_MIN : 2 * buffers->address_room;
  uvdio__registration_t** larger;

  if (buffers->address_count < buffers->address_room) {
    return 0;
  }
  larger = uvdio__alloc(room * sizeof(*larger), UVDIO__STRUCT_ALIGN, 0);
  if (larger == NULL) {
    return UV_ENOMEM;
  }
  if (buffers->address_count > 0) {
    memcpy(larger, buffers->by_address, buffers->address_count * sizeof(*larger));
  }
  free_addresses(buffers);
  buffers->by_address = larger;
  buffers->address_room = room;
  return 0;
}

/* Memory that was a dead arena's comes here only after that arena was swept. */
static void insert_address(uvdio__ring_buffers_t* buffers, uvdio__registration_t* registration) {
  size_t at = count_up_to(buffers, registration->base);
  uvdio__registration_t** place = &buffers->by_address[at];

  assert(buffers->address_count < buffers->address_room);
  assert(at == 0 || (uintptr_t)place[-1]->base + place[-1]->size <= (uintptr_t)registration->base);
  assert(at == buffers->address_count ||
         (uintptr_t)registration->base + registration->size <= (uintptr_t)place[0]->base);
  memmove(place + 1, place, (buffers->address_count - at) * sizeof(*place));
  *place = registration;
  buffers->address_count++;
}

static void remove_address(uvdio__ring_buffers_t* buffers,
                           const uvdio__registration_t* registration) {
  size_t at = count_up_to(buffers, registration->base);
  uvdio__registration_t** place = &buffers->by_address[at - 1];

  assert(at > 0 && *place == registration);
  memmove(place, place + 1, (buffers->address_count - at) * sizeof(*place));
  buffers->address_count--;
}

/* The registration of the arena to which the address belongs, or null. That of a destroyed arena
 * may still be here: its address may be other memory now, which the kernel has not pinned. */
static uvdio__registration_t* registration_at(const uvdio__ring_t* ring, const char* address) {
  size_t count = count_up_to(&ring->buffers, address);
  uvdio__registration_t* registration = count == 0 ? NULL : ring->buffers.by_address[count - 1];

  if (registration == NULL ||
      (uintptr_t)address - (uintptr_t)registration->base >= registration->size ||
      atomic_load_explicit(&registration->ref->dead, memory_order_acquire)) {
    return NULL;
  }
  return registration;
}

static int is_registered(const uvdio__registration_t* registration, size_t segment) {
  return registration->segments[segment] == UVDIO__SEGMENT_REGISTERED;
}

/* Whether [begin, begin + length) of the arena, which begins in the segment or in its overlap, ends
 * there. */
static int fits(const uvdio__registration_t* registration, size_t segment, size_t begin,
                size_t length) {
  size_t end = ((segment + 1) << registration->shift) + registration->overlap;

  end = end < registration->size ? end : registration->size;
  return begin <= end && length <= end - begin;
}

/* The segment that holds all of the memory, or -1: of two that overlap, the one that is
 * registered. */
static int segment_of(const uvdio__registration_t* registration, const char* base, size_t length) {
  size_t begin = (size_t)(base - registration->base);
  size_t segment = begin >> registration->shift;

  if (segment >= registration->count || !fits(registration, segment, begin, length)) {
    return -1;
  }
  if (!is_registered(registration, segment) && segment > 0 &&
      is_registered(registration, segment - 1) && fits(registration, segment - 1, begin, length)) {
    return (int)segment - 1;
  }
  return (int)segment;
}

/* The place in the list, which is in the table's order, where `count` entries are free; null:
 * nowhere. */
static uvdio__registration_t** find_gap(uvdio__ring_buffers_t* buffers, unsigned count,
                                        unsigned* first) {
  uvdio__registration_t** link = &buffers->registrations;

  for (*first = 0; *link != NULL && (*link)->first - *first < count; link = &(*link)->next) {
    *first = (*link)->first + (*link)->count;
  }
  return TABLE_SIZE - *first < count ? NULL : link;
}

static size_t size_of_registration(unsigned count) {
  return sizeof(uvdio__registration_t) + count;
}

static void fill_registration(uvdio__registration_t* registration, const uvdio_arena_t* arena,
                              unsigned count) {
  registration->arena_id = arena->id;
  registration->base = arena->base;
  registration->size = arena->size;
  registration->ref = arena->ref;
  registration->shift = shift_of(arena);
  registration->overlap =
      ((size_t)1 << registration->shift) % arena->stride == 0 ? 0 : arena->stride;
  registration->count = count;
  registration->reason = "";
}

static const char table_is_full[] = "the kernel's table of registered buffers is full";

static void refuse(uvdio__registration_t* registration, int error, const char* reason) {
  registration->error = error;
  registration->reason = reason;
}

/* Makes a registration without segments; null when out of memory. */
static uvdio__registration_t* make_registration(uvdio__ring_t* ring, const uvdio_arena_t* arena) {
  uvdio__registration_t* registration;
  const char* unfit = why_unfit(arena);
  unsigned count = unfit != NULL ? 0 : (unsigned)((arena->size - 1) >> shift_of(arena)) + 1;
  uvdio__registration_t** link;
  unsigned first;

  link = find_gap(&ring->buffers, count, &first);
  if (link == NULL) {
    unfit = table_is_full;
    count = 0;
    link = find_gap(&ring->buffers, count, &first);
  }
  registration = make_address_room(&ring->buffers) != 0
                     ? NULL
                     : uvdio__alloc(size_of_registration(count), UVDIO__STRUCT_ALIGN, 1);
  if (registration == NULL) {
    return NULL;
  }
  fill_registration(registration, arena, count);
  registration->first = first;
  registration->next = *link;
  *link = registration;
  put_into_bucket(ring, registration);
  if (count > 0) {
    insert_address(&ring->buffers, registration);
  }
  uvdio__clone_source_join(ring, registration);
  if (unfit != NULL) {
    refuse(registration, unfit == table_is_full ? UV_ENOMEM : UV_ENOTSUP, unfit);
  }
  return registration;
}

static void remove_registration(uvdio__ring_t* ring, uvdio__registration_t* registration) {
  uvdio__registration_t** link = &ring->buffers.registrations;

  assert(registration->registered == 0);
  while (*link != registration) {
    link = &(*link)->next;
  }
  *link = registration->next;
  take_from_bucket(ring, registration);
  if (registration->count > 0) {
    remove_address(&ring->buffers, registration);
  }
  uvdio__clone_source_leave(ring, registration);
  uvdio__free(registration, size_of_registration(registration->count), UVDIO__STRUCT_ALIGN);
}

/*
 * The kernel's table
 */

static void empty_entries(int descriptor, unsigned first, unsigned count) {
  static const struct iovec nothing[64];

  while (count > 0) {
    unsigned some = count < 64 ? count : 64;
    (void)uvdio__ring_update_table(descriptor, first, nothing, some);
    first += some;
    count -= some;
  }
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

static int register_by_ring(uvdio__queue_t* queue, uvdio__registration_t* registration,
                            unsigned segment, unsigned count) {
  const uvdio__ring_t* ring = queue->state;
  int result = 0;

  for (; count > 0 && result >= 0; count--, segment++) {
    struct iovec memory = uvdio__ring_memory_of(registration, segment);
    if (!is_registered(registration, segment)) {
      result =
          uvdio__ring_update_table(ring->ring.ring_fd, registration->first + segment, &memory, 1);
    }
    if (result >= 0) {
      uvdio__ring_mark_registered(queue, registration, segment);
    }
  }
  return result;
}

static int need_table(uvdio__ring_t* ring) {
  int result = ring->buffers.has_table ? 0 : uvdio__ring_make_table(ring->ring.ring_fd, TABLE_SIZE);

  ring->buffers.has_table = result >= 0;
  return result;
}

static void register_segments(uvdio__queue_t* queue, uvdio__registration_t* registration,
                              unsigned segment, unsigned count) {
  int result = need_table(queue->state);

  if (result >= 0 && registration->by_clone) {
    result = uvdio__clone_source_register(queue, registration, segment, count);
    if (result == -EINVAL && registration->registered == 0) {
      uvdio__clone_source_give_up(registration);
      result = 0;
    }
  }
  if (result >= 0 && !registration->by_clone) {
    result = register_by_ring(queue, registration, segment, count);
  }
  if (result < 0) {
    refuse(registration, uv_translate_sys_error(-result), words_for(result));
    queue->engine->stats.registrations_refused++;
  }
}

static void mark_unregistered(uvdio__queue_t* queue, uvdio__registration_t* registration) {
  unsigned i;

  for (i = 0; i < registration->count; i++) {
    if (is_registered(registration, i)) {
      queue->engine->stats.registered_bytes -= uvdio__ring_memory_of(registration, i).iov_len;
    }
    registration->segments[i] = UVDIO__SEGMENT_NEW;
  }
  registration->registered = 0;
}

/* Takes everything out of the kernel's table again. */
static void unregister_segments(uvdio__queue_t* queue, uvdio__registration_t* registration) {
  const uvdio__ring_t* ring = queue->state;

  if (registration->registered > 0) {
    empty_entries(ring->ring.ring_fd, registration->first, registration->count);
    mark_unregistered(queue, registration);
  }
}

static void forget(uvdio__queue_t* queue, uvdio__registration_t* registration) {
  unregister_segments(queue, registration);
  remove_registration(queue->state, registration);
}

/* Only what the user did not hold back, not again after the first refusal (the next would be one,
 * too), and not while another engine is at it. */
static int may_register(const uvdio__queue_t* queue, const uvdio__registration_t* registration) {
  if (registration->error != 0 || queue->engine->no_auto_register) {
    return 0;
  }
  if (registration->by_clone) {
    if (uv_mutex_trylock(&registration->ref->lock) != 0) {
      return 0;
    }
    uv_mutex_unlock(&registration->ref->lock);
  }
  return 1;
}

/* Room that dead arenas take up is made free before a new one comes. */
static uvdio__registration_t* get_registration(uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  uvdio__registration_t* registration = look_up(queue->state, arena);

  if (registration == NULL) {
    uvdio__ring_sweep(queue);
    registration = make_registration(queue->state, arena);
  }
  return registration;
}

/* A submitting call registers little memory, unless it was asked to do more. */
static uvdio__registration_t* make_at_first_use(uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  const uvdio__ring_t* ring = queue->state;
  uvdio__registration_t* registration;

  if (!ring->features.has_sparse_buffers || queue->engine->no_auto_register) {
    return NULL;
  }
  registration = get_registration(queue, arena);
  if (registration != NULL && registration->error == 0 &&
      uvdio__ring_memory_of(registration, 0).iov_len > AUTO_SIZE_MAX) {
    refuse(registration, UV_ENOTSUP,
           "its pieces are larger than 8 MiB: only uvdio_arena_register() registers it");
  }
  return registration;
}

/* The registration that the memory lies in, or null: of a frame by its arena, of a view by its
 * address. */
static uvdio__registration_t* find(const uvdio__ring_t* ring, const uvdio_buf_t* buf) {
  if (buf->owner_ == NULL) {
    return registration_at(ring, buf->base);
  }
  return uvdio__is_frame(buf) ? look_up(ring, buf->owner_) : NULL;
}

static void register_at_first_use(uvdio__queue_t* queue, uvdio__registration_t* registration,
                                  unsigned segment) {
  if (may_register(queue, registration)) {
    uint64_t began_ns = uvdio__clock_ns();
    register_segments(queue, registration, segment, 1);
    uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
  }
}

/* The same, and that of a frame whose arena is not known yet, of which nothing is registered. */
static inline uvdio__registration_t* find_or_make(uvdio__queue_t* queue, const uvdio_buf_t* buf) {
  uvdio__registration_t* registration = find(queue->state, buf);

  if (registration == NULL && uvdio__is_frame(buf)) {
    registration = make_at_first_use(queue, buf->owner_);
  }
  return registration;
}

/* The index of a segment, which is registered here where it is not. */
static inline int index_of(uvdio__queue_t* queue, uvdio__registration_t* registration,
                           int segment) {
  if (!is_registered(registration, (size_t)segment)) {
    register_at_first_use(queue, registration, (unsigned)segment);
  }
  return is_registered(registration, (size_t)segment) ? (int)registration->first + segment
                                                      : UVDIO__BUFFER_PLAIN;
}

int uvdio__ring_buffer(uvdio__queue_t* queue, const uvdio_buf_t* buf, size_t length) {
  uvdio__registration_t* registration = find_or_make(queue, buf);
  int segment = registration == NULL ? -1 : segment_of(registration, buf->base, length);

  return segment < 0 ? UVDIO__BUFFER_PLAIN : index_of(queue, registration, segment);
}

int uvdio__ring_vector_buffer(uvdio__queue_t* queue, const uvdio_req_t* req) {
  const uvdio__vector_t* vector = uvdio__vector_of(req);
  uvdio__registration_t* registration = NULL;
  int segment = -1;
  unsigned i;

  for (i = 0; i < vector->count; i++) {
    const uvdio_buf_t* buf = &vector->bufs[i];
    size_t size = uvdio__size_of_buf(req->op, buf);
    uvdio__registration_t* own;
    int own_segment;
    if (size == 0) {
      continue;
    }
    own = find_or_make(queue, buf);
    own_segment = own == NULL ? -1 : segment_of(own, buf->base, size);
    if (own_segment < 0 ||
        (registration != NULL && (own != registration || own_segment != segment))) {
      return UVDIO__BUFFER_PLAIN;
    }
    registration = own;
    segment = own_segment;
  }
  return segment < 0 ? UVDIO__BUFFER_PLAIN : index_of(queue, registration, segment);
}

/*
 * By uvdio_arena_register()
 */

int uvdio__ring_register_arena(uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  uvdio__ring_t* ring = queue->state;
  uvdio__registration_t* registration;

  if (!ring->features.has_sparse_buffers) {
    return UV_ENOTSUP;
  }
  registration = look_up(ring, arena);
  if (registration != NULL && registration->reason == table_is_full) {
    forget(queue, registration); /* There may be room by now. */
  }
  registration = get_registration(queue, arena);
  if (registration == NULL) {
    return UV_ENOMEM;
  }
  if (registration->count > 0) {
    refuse(registration, 0, "");
    register_segments(queue, registration, 0, registration->count);
  }
  return registration->error;
}

/* Frames and views alike lie in the arena's memory. */
static int uses(const uvdio_req_t* req, const uvdio_arena_t* arena) {
  unsigned count;
  const uvdio_buf_t* bufs = uvdio__bufs_of(req, &count);
  unsigned i;

  for (i = 0; i < count; i++) {
    if ((uintptr_t)bufs[i].base - (uintptr_t)arena->base < arena->size) {
      return 1;
    }
  }
  return 0;
}

static int is_in_use(const uvdio__list_t* list, const uvdio_arena_t* arena) {
  const uvdio_req_t* req;

  for (req = uvdio__list_first(list); req != NULL; req = uvdio__list_after(list, req)) {
    if (uvdio__is_transfer(req->op) && uses(req, arena)) {
      return 1;
    }
  }
  return 0;
}

/* Or has yet to begin. */
static int is_waiting(const uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  unsigned i;

  for (i = 0; queue->engine->classes != NULL && i < UVDIO_CLASSES; i++) {
    if (is_in_use(uvdio__class_waiting(queue->engine, i), arena)) {
      return 1;
    }
  }
  return is_in_use(&queue->waiting, arena);
}

int uvdio__ring_unregister_arena(uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  uvdio__registration_t* registration = look_up(queue->state, arena);

  if (is_in_use(&queue->running, arena) || is_waiting(queue, arena)) {
    return UV_EBUSY;
  }
  if (registration == NULL || registration->registered == 0) {
    return UV_ENOENT;
  }
  unregister_segments(queue, registration);
  refuse(registration, UV_ECANCELED, "uvdio_arena_unregister() was called");
  return 0;
}

/* Those for which there was no room may find some now. */
static int is_to_be_forgotten(const uvdio__registration_t* registration) {
  return atomic_load_explicit(&registration->ref->dead, memory_order_acquire) ||
         registration->reason == table_is_full;
}

void uvdio__ring_sweep(uvdio__queue_t* queue) {
  uvdio__ring_t* ring = queue->state;
  uvdio__registration_t* registration = ring->buffers.registrations;
  unsigned gone = atomic_load_explicit(&uvdio__arenas_gone, memory_order_acquire);

  if (gone == ring->buffers.arenas_gone) {
    return;
  }
  ring->buffers.arenas_gone = gone;
  while (registration != NULL) {
    uvdio__registration_t* next = registration->next;
    if (is_to_be_forgotten(registration)) {
      uint64_t began_ns = uvdio__clock_ns();
      forget(queue, registration);
      uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
    }
    registration = next;
  }
}

void uvdio__ring_free_buffers(uvdio__ring_t* ring, int is_forked) {
  if (ring->buffers.has_table && !is_forked) {
    (void)uvdio__ring_register(ring->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
  }
  while (ring->buffers.registrations != NULL) {
    mark_unregistered(ring->queue, ring->buffers.registrations);
    remove_registration(ring, ring->buffers.registrations);
  }
  free_addresses(&ring->buffers);
}

void uvdio__ring_registration(const uvdio__queue_t* queue, const uvdio_arena_t* arena,
                              uvdio_registration_t* info) {
  const uvdio__ring_t* ring = queue->state;
  const uvdio__registration_t* registration = look_up(ring, arena);
  unsigned i;

  if (!ring->features.has_sparse_buffers) {
    info->error = UV_ENOTSUP;
    info->reason = "registering memory piece by piece takes Linux 5.19";
  } else if (registration == NULL) {
    info->reason = queue->engine->no_auto_register ? "uvdio_arena_register() was not called"
                                                   : "no frame of it was used yet";
  } else {
    for (i = 0; i < registration->count; i++) {
      size_t end = uvdio__ring_memory_of(registration, i).iov_len;
      size_t segment = (size_t)1 << registration->shift;
      info->bytes += is_registered(registration, i) ? (end < segment ? end : segment) : 0;
    }
    info->error = registration->error;
    info->reason = registration->reason;
  }
}
