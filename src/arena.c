/* SPDX-License-Identifier: MIT */
/*
 * Arenas: one mapping cut into equal frames, and a lock-free stack of the free ones.
 *
 *   links[i]   for a free frame: the next free one, or LINK_END. For a frame that is out: LINK_OUT.
 *   top        low half: the first free frame, LINK_END, or LINK_CLOSED while somebody waits for
 *              frames (arena.h); high half: a tag that changes at every push and pop, and when the
 *              stack is opened, so that a stale comparison fails although the same frame is on top
 *              again.
 *
 * A release first claims the frame by swapping LINK_OUT for LINK_END, and only one thread can: that
 * is what makes a second release an error instead of a corrupted stack.
 */
#include "arena.h"

#include <assert.h>
#include <string.h>

#include "allocator.h"
#include "buffer.h"
#include "compiler.h"
#include "os/os.h"
#include "sized.h"

#define LINK_CLOSED UINT32_MAX /* all bits, so that one instruction sets it */
#define LINK_END (UINT32_MAX - 1)
#define LINK_OUT (UINT32_MAX - 2)
#define FRAMES_MAX ((size_t)UINT32_MAX - 2)
#define TRIES_MAX 16 /* to take several frames at a time, before the stack is closed for it */
#define KNOWN_FLAGS                                                                             \
  (UVDIO_ARENA_ZEROED | UVDIO_ARENA_HUGE_PAGES | UVDIO_ARENA_LOCKED | UVDIO_ARENA_GUARD_PAGES | \
   UVDIO_ARENA_HUGE_PAGES_PREFERRED)

/*
 * Shares
 */

atomic_uint uvdio__arenas_gone;

static uvdio__arena_ref_t* make_arena_ref(void) {
  uvdio__arena_ref_t* ref = uvdio__alloc(sizeof(*ref), UVDIO__STRUCT_ALIGN, 1);

  if (ref == NULL) {
    return NULL;
  }
  if (uv_mutex_init(&ref->lock) != 0) {
    uvdio__free(ref, sizeof(*ref), UVDIO__STRUCT_ALIGN);
    return NULL;
  }
  ref->generation = uvdio__os_fork_generation();
  ref->clone_source = -1;
  atomic_init(&ref->refs, 1);
  atomic_init(&ref->dead, 0);
  return ref;
}

void uvdio__arena_ref_hold(uvdio__arena_ref_t* ref) {
  atomic_fetch_add_explicit(&ref->refs, 1, memory_order_relaxed);
}

void uvdio__arena_ref_release(uvdio__arena_ref_t* ref) {
  if (atomic_fetch_sub_explicit(&ref->refs, 1, memory_order_acq_rel) == 1) {
    if (ref->generation == uvdio__os_fork_generation()) {
      uv_mutex_destroy(&ref->lock); /* In a child it may be held by a thread that is not there. */
    }
    uvdio__free(ref, sizeof(*ref), UVDIO__STRUCT_ALIGN);
  }
}

/* A child has the clone source's descriptor, too, and must not change the parent's
 * registrations. */
static void give_up_clone_source(uvdio__arena_ref_t* ref) {
  if (ref->generation == uvdio__os_fork_generation()) {
    uv_mutex_lock(&ref->lock);
    if (ref->clone_source != -1) {
      ref->close_clone_source(ref);
    }
    uv_mutex_unlock(&ref->lock);
  } else if (ref->clone_source != -1) {
    (void)uvdio__os_close(ref->clone_source);
    uvdio__free(ref->pinned, ref->pinned_count, UVDIO__STRUCT_ALIGN);
    ref->clone_source = -1;
  }
}

/* Marks the reference as dead and releases the arena's part; engines that hold it will look. */
static void end_arena_ref(uvdio__arena_ref_t* ref) {
  if (ref == NULL) {
    return;
  }
  give_up_clone_source(ref);
  atomic_store_explicit(&ref->dead, 1, memory_order_release);
  if (atomic_load_explicit(&ref->refs, memory_order_acquire) > 1) {
    atomic_fetch_add_explicit(&uvdio__arenas_gone, 1, memory_order_release);
  }
  uvdio__arena_ref_release(ref);
}

/*
 * Frames
 */

static uint64_t next_top(uint64_t top, uint32_t frame) {
  return ((top >> 32) + 1) << 32 | frame;
}

/* From 1 on. */
static _Atomic uint64_t next_id = 1;

static int check_options(const uvdio_arena_options_t* options, size_t frame_size) {
  if ((options->flags & ~KNOWN_FLAGS) != 0) {
    return UV_EINVAL;
  }
  if (!uvdio__is_aligned(NULL, frame_size)) {
    return UVDIO_EALIGN;
  }
  if (options->frame_count == 0 || options->frame_count > FRAMES_MAX) {
    return UVDIO_ESIZE;
  }
  return 0;
}

/* Guards every frame, or makes every guard accessible again. Stops at the first that the system
 * refuses. */
static int protect_guards(uvdio_arena_t* arena, int accessible) {
  size_t page = uvdio__os_page_size();
  size_t i;

  for (i = 1; i <= arena->frame_count; i++) {
    int error = uvdio__os_protect(arena->base + i * arena->stride - page, page, accessible);
    if (error != 0) {
      return error;
    }
  }
  return 0;
}

/* Huge pages that are preferred are asked for as others are, and done without. */
static int ask_for_huge_pages(uvdio_arena_t* arena) {
  int is_needed = (arena->flags & UVDIO_ARENA_HUGE_PAGES) != 0;
  int error = 0;

  if (is_needed || (arena->flags & UVDIO_ARENA_HUGE_PAGES_PREFERRED) != 0) {
    error = uvdio__os_advise_huge(arena->base, arena->size);
    arena->flags |= error == 0 ? UVDIO_ARENA_HUGE_PAGES : 0;
  }
  return is_needed ? error : 0;
}

static int apply_flags(uvdio_arena_t* arena) {
  int error = ask_for_huge_pages(arena);

  if (error == 0 && (arena->flags & UVDIO_ARENA_LOCKED) != 0) {
    error = uvdio__os_lock(arena->base, arena->size);
  }
  if (error == 0 && (arena->flags & UVDIO_ARENA_GUARD_PAGES) != 0) {
    error = protect_guards(arena, 0);
  }
  return error;
}

static void free_memory(uvdio_arena_t* arena) {
  if (arena->base != NULL) {
    if ((arena->flags & UVDIO_ARENA_LOCKED) != 0) {
      uvdio__os_unlock(arena->base, arena->size);
    }
    if ((arena->flags & UVDIO_ARENA_GUARD_PAGES) != 0 && protect_guards(arena, 1) != 0) {
      arena->base = NULL; /* Kept for good: whoever got this memory next would fault on it. */
    }
  }
  if (arena->has_mutex && !uvdio__arena_is_forked(arena)) {
    uv_mutex_destroy(&arena->wait_mutex); /* In a child another thread of the parent may have it. */
  }
  end_arena_ref(arena->ref);
  uvdio__free(arena->base, arena->size, UVDIO_ALIGNMENT);
  uvdio__free(arena->links, arena->frame_count * sizeof(*arena->links), UVDIO__STRUCT_ALIGN);
  uvdio__free(arena, sizeof(*arena), UVDIO__STRUCT_ALIGN);
}

/* Strings all frames together, the first one on top. */
static void fill_stack(uvdio_arena_t* arena) {
  size_t i;

  for (i = 0; i < arena->frame_count; i++) {
    atomic_init(&arena->links[i], (uint32_t)(i + 1));
  }
  atomic_init(&arena->links[arena->frame_count - 1], LINK_END);
  atomic_init(&arena->top, 0);
  atomic_init(&arena->frames_out, 0);
  uvdio__list_init(&arena->waiters);
  arena->reserve = LINK_END;
}

static int allocate_memory(uvdio_arena_t* arena) {
  arena->ref = make_arena_ref();
  arena->base = uvdio__alloc(arena->size, UVDIO_ALIGNMENT, 1);
  arena->links = uvdio__alloc(arena->frame_count * sizeof(*arena->links), UVDIO__STRUCT_ALIGN, 0);
  if (arena->ref == NULL || arena->base == NULL || arena->links == NULL) {
    return UV_ENOMEM;
  }
  if (uv_mutex_init(&arena->wait_mutex) != 0) {
    return UV_ENOMEM;
  }
  arena->has_mutex = 1;
  fill_stack(arena);
  return apply_flags(arena);
}

/* The guard of a frame is the last page of its stride. */
static size_t stride_of(const uvdio_arena_options_t* options, size_t frame_size) {
  size_t page = uvdio__os_page_size();

  if ((options->flags & UVDIO_ARENA_GUARD_PAGES) == 0) {
    return frame_size;
  }
  return ((frame_size + page - 1) & ~(page - 1)) + page;
}

static int create_arena(uvdio_arena_t** arena, const uvdio_arena_options_t* options) {
  uvdio_arena_t* fresh;
  size_t frame_size;
  size_t stride;
  int error;

  frame_size = options->frame_size == 0 ? UVDIO_PAGE_SIZE : options->frame_size;
  error = check_options(options, frame_size);
  if (error != 0) {
    return error;
  }
  stride = stride_of(options, frame_size);
  if (stride < frame_size || options->frame_count > (size_t)PTRDIFF_MAX / stride) {
    return UVDIO_EOFFSET;
  }
  fresh = uvdio__alloc(sizeof(*fresh), UVDIO__STRUCT_ALIGN, 1);
  if (fresh == NULL) {
    return UV_ENOMEM;
  }
  fresh->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
  fresh->frame_size = frame_size;
  fresh->stride = stride;
  fresh->frame_count = options->frame_count;
  fresh->size = stride * options->frame_count;
  fresh->flags = options->flags;
  error = allocate_memory(fresh);
  if (error != 0) {
    free_memory(fresh);
    return error;
  }
  *arena = fresh;
  return 0;
}

int uvdio_arena_create_sized(uvdio_arena_t** arena, const uvdio_arena_options_t* options,
                             size_t size) {
  uvdio_arena_options_t own;
  int error;

  if (arena == NULL || options == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__sized_in(&own, sizeof(own), options, size);
  return error != 0 ? error : create_arena(arena, &own);
}

/* Also waits for whoever has just served the last one. */
static int is_waited_for(uvdio_arena_t* arena) {
  int is_waited = 0;

  if (!uvdio__arena_is_forked(arena)) {
    uv_mutex_lock(&arena->wait_mutex);
    is_waited = !uvdio__list_is_empty(&arena->waiters);
    uv_mutex_unlock(&arena->wait_mutex);
  }
  return is_waited;
}

int uvdio_arena_destroy(uvdio_arena_t* arena, size_t* frames_out) {
  size_t out;
  int is_waited;

  if (arena == NULL) {
    return UV_EINVAL;
  }
  is_waited = is_waited_for(arena); /* First: who serves the last one counts frames meanwhile. */
  out = atomic_load_explicit(&arena->frames_out, memory_order_acquire);
  if (frames_out != NULL) {
    *frames_out = out;
  }
  if (out != 0 || is_waited) {
    return UV_EBUSY;
  }
  free_memory(arena);
  return 0;
}

static inline void set_frame(uvdio_arena_t* arena, uint32_t index, uvdio_buf_t* frame) {
  frame->base = arena->base + index * arena->stride;
  frame->cap = arena->frame_size;
  frame->len = (arena->flags & UVDIO_ARENA_ZEROED) != 0 ? frame->cap : 0;
  frame->owner_ = arena;
}

int uvdio_arena_acquire(uvdio_arena_t* arena, uvdio_buf_t* frame) {
  uint64_t top;
  uint32_t index;

  if (arena == NULL || frame == NULL) {
    return UV_EINVAL;
  }
  top = atomic_load_explicit(&arena->top, memory_order_acquire);
  for (;;) {
    uint32_t next;
    index = (uint32_t)top;
    if (index >= LINK_END) {
      return UV_ENOBUFS;
    }
    /* May be stale when another thread took the frame meanwhile; then the tag has moved on. */
    next = atomic_load_explicit(&arena->links[index], memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(&arena->top, &top, next_top(top, next),
                                              memory_order_acq_rel, memory_order_acquire)) {
      break;
    }
  }
  atomic_fetch_add_explicit(&arena->frames_out, 1, memory_order_relaxed);
  set_frame(arena, index, frame);
  if ((arena->flags & UVDIO_ARENA_ZEROED) != 0) {
    memset(frame->base, 0, frame->cap);
  }
  /* From here on the frame can be released, so this comes last. */
  atomic_store_explicit(&arena->links[index], LINK_OUT, memory_order_release);
  return 0;
}

/*
 * Waiting
 */

/* Counts free frames from `index` on, `count` at most. `next` receives the link behind them. What
 * is read counts only where `top` turns out not to have changed: links belong to the stack then. */
static size_t count_free(const uvdio_arena_t* arena, uint32_t index, size_t count, uint32_t* next) {
  size_t found = 0;

  while (found < count && index < arena->frame_count) {
    index = atomic_load_explicit(&arena->links[index], memory_order_acquire);
    found++;
  }
  *next = index;
  return found;
}

/* Takes so many frames off the chain that begins with `index`, and is the caller's. Returns what is
 * left of it. */
static uint32_t take_chain(uvdio_arena_t* arena, uint32_t index, uvdio_buf_t* frames,
                           size_t count) {
  size_t i;

  atomic_fetch_add_explicit(&arena->frames_out, count, memory_order_relaxed);
  for (i = 0; i < count; i++) {
    uint32_t next = atomic_load_explicit(&arena->links[index], memory_order_relaxed);
    assert(index < arena->frame_count);
    set_frame(arena, index, &frames[i]);
    atomic_store_explicit(&arena->links[index], LINK_OUT, memory_order_release);
    index = next;
  }
  return index;
}

/* Whatever is free is the reserve from here on. With the mutex held, while nobody waits. */
static void close_stack(uvdio_arena_t* arena) {
  uint64_t top = atomic_fetch_or_explicit(&arena->top, LINK_CLOSED, memory_order_acq_rel);

  assert((uint32_t)top != LINK_CLOSED && arena->reserved == 0);
  arena->reserve = (uint32_t)top;
}

/* Nobody waits any more: what is in the reserve is free for all. */
static void open_stack(uvdio_arena_t* arena) {
  uint64_t top = atomic_load_explicit(&arena->top, memory_order_relaxed);

  assert((uint32_t)top == LINK_CLOSED);
  atomic_store_explicit(&arena->top, next_top(top, arena->reserve), memory_order_release);
  arena->reserve = LINK_END;
  arena->reserved = 0;
}

/* Takes so many frames where they are free, with the mutex held, while nobody waits; or leaves the
 * stack closed, and all that is free in the reserve. */
static int take_or_close(uvdio_arena_t* arena, uvdio_buf_t* frames, size_t count) {
  uint32_t next;

  close_stack(arena);
  arena->reserved = count_free(arena, arena->reserve, count, &next);
  if (arena->reserved < count) {
    return 0;
  }
  arena->reserve = take_chain(arena, arena->reserve, frames, count);
  open_stack(arena);
  return 1;
}

/* Where others are so busy with the stack that there is no end to it. */
static UVDIO__NOINLINE int take_alone(uvdio_arena_t* arena, uvdio_buf_t* frames, size_t count) {
  int is_taken = 0;

  uv_mutex_lock(&arena->wait_mutex);
  if (uvdio__list_is_empty(&arena->waiters)) {
    is_taken = take_or_close(arena, frames, count);
    if (!is_taken) {
      open_stack(arena);
    }
  }
  uv_mutex_unlock(&arena->wait_mutex);
  return is_taken;
}

int uvdio__arena_take(uvdio_arena_t* arena, uvdio_buf_t* frames, size_t count) {
  uint64_t top = atomic_load_explicit(&arena->top, memory_order_acquire);
  int tries;

  for (tries = 0; tries < TRIES_MAX; tries++) {
    uint64_t before = top;
    uint32_t next;
    if (count_free(arena, (uint32_t)top, count, &next) < count) {
      top = atomic_load_explicit(&arena->top, memory_order_acquire);
      if (top == before) {
        return 0;
      }
    } else if (atomic_compare_exchange_strong_explicit(&arena->top, &top, next_top(top, next),
                                                       memory_order_acq_rel,
                                                       memory_order_acquire)) {
      (void)take_chain(arena, (uint32_t)before, frames, count);
      return 1;
    }
  }
  return take_alone(arena, frames, count);
}

/* Gives the reserve to those that wait, in their order, as far as it goes. With the mutex held. */
static void serve(uvdio_arena_t* arena) {
  while (!uvdio__list_is_empty(&arena->waiters)) {
    uvdio_req_t* req = UVDIO__CONTAINER_OF(arena->waiters.next, uvdio_req_t, order_link_);
    if (arena->reserved < req->length_) {
      return;
    }
    arena->reserve = take_chain(arena, arena->reserve, req->args_, req->length_);
    arena->reserved -= req->length_;
    uvdio__link_remove(&req->order_link_);
    req->high_water_ = req->length_;
    uvdio__frames_given(req);
  }
  open_stack(arena);
}

int uvdio__arena_wait(uvdio_arena_t* arena, uvdio_req_t* req) {
  int is_given;

  assert(req->length_ > 0 && req->length_ <= arena->frame_count && req->high_water_ == 0);
  uv_mutex_lock(&arena->wait_mutex);
  is_given =
      uvdio__list_is_empty(&arena->waiters) && take_or_close(arena, req->args_, req->length_);
  if (!is_given) {
    uvdio__link_insert(&req->order_link_, &arena->waiters);
  }
  uv_mutex_unlock(&arena->wait_mutex);
  return is_given;
}

int uvdio__arena_withdraw(uvdio_arena_t* arena, uvdio_req_t* req) {
  int is_given;

  uv_mutex_lock(&arena->wait_mutex);
  is_given = req->high_water_ != 0;
  if (!is_given) {
    uvdio__link_remove(&req->order_link_);
    serve(arena); /* Those behind it may want less. */
  }
  uv_mutex_unlock(&arena->wait_mutex);
  return is_given;
}

/* Last, but for the unlocking of the mutex: from here on the arena may be destroyed. */
static inline int end_release(uvdio_arena_t* arena) {
  atomic_fetch_sub_explicit(&arena->frames_out, 1, memory_order_release);
  return 0;
}

/* A frame is released while the stack is closed. Returns 0 where it has been opened meanwhile. The
 * frame is back before a request gets it, because the callback may destroy the arena: that waits
 * for the mutex. */
static int give_to_waiters(uvdio_arena_t* arena, uint32_t index) {
  int is_waited;

  if (uvdio__arena_is_forked(arena)) {
    (void)end_release(arena);
    return 1; /* The queue is the parent's, and may be half changed: the frame stays with nobody. */
  }
  uv_mutex_lock(&arena->wait_mutex);
  is_waited = !uvdio__list_is_empty(&arena->waiters);
  if (is_waited) {
    atomic_store_explicit(&arena->links[index], arena->reserve, memory_order_release);
    arena->reserve = index;
    arena->reserved++;
    (void)end_release(arena);
    serve(arena);
  }
  uv_mutex_unlock(&arena->wait_mutex);
  return is_waited;
}

/*
 * Release
 */

/* Returns 0 where the stack is closed. The release of links is for count_free(). */
static inline int push(uvdio_arena_t* arena, uint32_t index) {
  uint64_t top = atomic_load_explicit(&arena->top, memory_order_relaxed);

  do {
    if (UVDIO__UNLIKELY((uint32_t)top == LINK_CLOSED)) {
      return 0;
    }
    atomic_store_explicit(&arena->links[index], (uint32_t)top, memory_order_release);
  } while (!atomic_compare_exchange_weak_explicit(&arena->top, &top, next_top(top, index),
                                                  memory_order_acq_rel, memory_order_relaxed));
  return 1;
}

/* The stack was closed, and may be opened at any moment. */
static UVDIO__NOINLINE int release_to_waiters(uvdio_arena_t* arena, uint32_t index) {
  while (!give_to_waiters(arena, index)) {
    if (push(arena, index)) {
      return end_release(arena);
    }
  }
  return 0;
}

int uvdio__arena_release(uvdio_arena_t* arena, const uvdio_buf_t* frame) {
  size_t distance = (size_t)(frame->base - arena->base);
  size_t index = distance / arena->stride;
  uint32_t expected = LINK_OUT;

  if (index >= arena->frame_count || distance % arena->stride != 0) {
    return UVDIO_ENOTFRAME;
  }
  if (!atomic_compare_exchange_strong_explicit(&arena->links[index], &expected, LINK_END,
                                               memory_order_acq_rel, memory_order_relaxed)) {
    return UVDIO_EDOUBLEFREE;
  }
  if (UVDIO__UNLIKELY(!push(arena, (uint32_t)index))) {
    return release_to_waiters(arena, (uint32_t)index);
  }
  return end_release(arena);
}

int uvdio_arena_frames(const uvdio_arena_t* arena, uvdio_chunks_t* chunks) {
  if (arena == NULL || chunks == NULL) {
    return UV_EINVAL;
  }
  chunks->base_ = arena->base;
  chunks->len_ = 0;
  chunks->cap_ = arena->size;
  chunks->chunk_ = arena->frame_size;
  chunks->stride_ = arena->stride;
  return 0;
}

int uvdio_arena_info_sized(const uvdio_arena_t* arena, uvdio_arena_info_t* info, size_t size) {
  uvdio_arena_info_t own;

  if (arena == NULL || info == NULL) {
    return UV_EINVAL;
  }
  own.frame_size = arena->frame_size;
  own.frame_count = arena->frame_count;
  own.frames_out = atomic_load_explicit(&arena->frames_out, memory_order_relaxed);
  own.flags = arena->flags;
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}
