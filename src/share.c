/* SPDX-License-Identifier: MIT */
/*
 * See share.h. Whoever ends an access or a sync gives it to those that wait (`given`), and wakes
 * their loops; a handle's own thread takes note of it (`has`).
 */
#include "share.h"

#include "allocator.h"

/* What handles share. All fields by the mutex, but the atomic ones. */
typedef struct open_file_s {
  uv_mutex_t mutex;
  uvdio_link_t_ access_queue;    /* shares that wait for shared access */
  uvdio_link_t_ exclusive_queue; /* shares that wait for exclusive access, oldest first */
  uvdio_link_t_ sync_queue;      /* shares that wait for the sync, oldest first */
  const uvdio__share_t* exclusive;
  const uvdio__share_t* syncing;
  unsigned users;     /* shares that have shared access */
  unsigned replacing; /* replaces that are pending */
  /* Not 0 while exclusive access is wanted or had: shared access may have to wait. */
  atomic_uint exclusive_wanted;
  atomic_int latch;
  atomic_uint references;
  atomic_uint released; /* handles whose descriptor was given out */
} open_file_t;

struct uvdio__share_s {
  open_file_t* open_file;
  uvdio_engine_t* engine;
  uvdio_file_t* file;
  uvdio_link_t_ engine_link; /* on engine->shares */
  uvdio_link_t_ signal_link; /* on engine->signals (loop.h) */
  uvdio_link_t_ access_link; /* on open_file->access_queue, and so on */
  uvdio_link_t_ exclusive_link;
  uvdio_link_t_ sync_link;
  unsigned given;   /* SHARE_*; by the mutex, as the next two */
  unsigned waits;   /* SHARE_*: what it is noted as waiting for */
  int is_admitted;  /* what waited for access may begin, whoever wants it exclusively */
  unsigned has;     /* SHARE_* of `given`; the handle's thread alone, as the next two */
  unsigned asked;   /* SHARE_*: it may wait for it, or have been given it */
  int was_admitted; /* is_admitted has yet to be cleared */
};

static open_file_t* lock(const uvdio__share_t* share) {
  uv_mutex_lock(&share->open_file->mutex);
  return share->open_file;
}

static void unlock(open_file_t* open_file) {
  uv_mutex_unlock(&open_file->mutex);
}

static int is_forked(const uvdio__share_t* share) {
  return uvdio__engine_is_forked(share->engine);
}

static int is_empty(const uvdio_link_t_* list) {
  return list->next == list;
}

/*
 * Making and freeing
 */

static int make(uvdio_engine_t* engine, uvdio_file_t* file, open_file_t* open_file) {
  int error = uvdio__loop_listen(engine);
  uvdio__share_t* share;

  if (error != 0) {
    return error;
  }
  share = uvdio__alloc(sizeof(*share), UVDIO__STRUCT_ALIGN, 1);
  if (share == NULL) {
    return UV_ENOMEM;
  }
  share->open_file = open_file;
  share->engine = engine;
  share->file = file;
  uvdio__link_insert(&share->engine_link, &engine->shares);
  uvdio__list_init(&share->signal_link);
  file->share_ = share;
  return 0;
}

static void unmake(uvdio__share_t* share) {
  if (!is_forked(share)) {
    uvdio__loop_forget_signal(share->engine, &share->signal_link);
  }
  uvdio__link_remove(&share->engine_link);
  share->file->share_ = NULL;
  uvdio__free(share, sizeof(*share), UVDIO__STRUCT_ALIGN);
}

static void free_open_file(open_file_t* open_file, int has_mutex) {
  if (has_mutex) {
    uv_mutex_destroy(&open_file->mutex);
  }
  uvdio__free(open_file, sizeof(*open_file), UVDIO__STRUCT_ALIGN);
}

static open_file_t* make_open_file(void) {
  open_file_t* open_file = uvdio__alloc(sizeof(*open_file), UVDIO__STRUCT_ALIGN, 1);

  if (open_file != NULL && uv_mutex_init(&open_file->mutex) != 0) {
    free_open_file(open_file, 0);
    return NULL;
  }
  if (open_file != NULL) {
    atomic_init(&open_file->references, 1);
    uvdio__list_init(&open_file->access_queue);
    uvdio__list_init(&open_file->exclusive_queue);
    uvdio__list_init(&open_file->sync_queue);
  }
  return open_file;
}

int uvdio__share_create(uvdio_engine_t* engine, uvdio_file_t* file) {
  open_file_t* open_file = make_open_file();
  int error = open_file == NULL ? UV_ENOMEM : make(engine, file, open_file);

  if (error != 0 && open_file != NULL) {
    free_open_file(open_file, 1);
  }
  return error;
}

int uvdio__share_join(uvdio_engine_t* engine, uvdio_file_t* file, uvdio__share_t* other) {
  int error = make(engine, file, other->open_file);
  open_file_t* open_file;

  if (error != 0) {
    return error;
  }
  open_file = lock(other);
  if (open_file->replacing > 0) {
    error = UV_EBUSY;
  } else {
    atomic_fetch_add(&open_file->references, 1);
  }
  unlock(open_file);
  if (error != 0) {
    unmake(uvdio__share_of(file));
  }
  return error;
}

void uvdio__share_for_each(uvdio_engine_t* engine, void (*take)(uvdio_file_t* file)) {
  uvdio_link_t_* link = engine->shares.next;

  while (link != &engine->shares) {
    const uvdio__share_t* share = UVDIO__CONTAINER_OF(link, uvdio__share_t, engine_link);
    link = link->next;
    take(share->file);
  }
}

void uvdio__share_for_each_given(uvdio_engine_t* engine, void (*take)(uvdio_file_t* file)) {
  uvdio_link_t_* link;

  if (uvdio__engine_is_forked(engine)) {
    return;
  }
  while ((link = uvdio__loop_take_signal(engine, &engine->signals)) != NULL) {
    take(UVDIO__CONTAINER_OF(link, uvdio__share_t, signal_link)->file);
  }
}

int uvdio__share_is_any_waiting(const uvdio_engine_t* engine) {
  const uvdio_link_t_* link = engine->shares.next;

  while (link != &engine->shares &&
         UVDIO__CONTAINER_OF(link, const uvdio__share_t, engine_link)->asked == 0) {
    link = link->next;
  }
  return link != &engine->shares;
}

/*
 * Giving
 */

static void give(uvdio__share_t* share, unsigned what) {
  share->given |= what;
  uvdio__loop_signal(share->engine, &share->engine->signals, &share->signal_link);
}

static void wait_no_more(uvdio__share_t* share, unsigned what) {
  unsigned ended = share->waits & what;

  share->waits &= ~what;
  if ((ended & SHARE_ACCESS) != 0) {
    uvdio__link_remove(&share->access_link);
  }
  if ((ended & SHARE_EXCLUSIVE) != 0) {
    uvdio__link_remove(&share->exclusive_link);
    atomic_fetch_sub(&share->open_file->exclusive_wanted, 1);
  }
  if ((ended & SHARE_SYNC) != 0) {
    uvdio__link_remove(&share->sync_link);
  }
}

/* Exclusive access for the one that has waited longest, once nobody has any. */
static void give_exclusive(open_file_t* open_file) {
  if (open_file->exclusive == NULL && open_file->users == 0 &&
      !is_empty(&open_file->exclusive_queue)) {
    uvdio__share_t* share =
        UVDIO__CONTAINER_OF(open_file->exclusive_queue.next, uvdio__share_t, exclusive_link);
    wait_no_more(share, SHARE_EXCLUSIVE);
    open_file->exclusive = share;
    atomic_fetch_add(&open_file->exclusive_wanted, 1);
    give(share, SHARE_EXCLUSIVE);
  }
}

/* Shared access for all that wait for it, before the next one has it exclusively. One may have it
 * and wait for more of it, where nobody had it exclusively in between. */
static void give_access(open_file_t* open_file) {
  while (!is_empty(&open_file->access_queue)) {
    uvdio__share_t* share =
        UVDIO__CONTAINER_OF(open_file->access_queue.next, uvdio__share_t, access_link);
    wait_no_more(share, SHARE_ACCESS);
    open_file->users += (share->given & SHARE_ACCESS) == 0;
    share->is_admitted = 1;
    give(share, SHARE_ACCESS);
  }
}

static void give_sync(open_file_t* open_file) {
  if (open_file->syncing == NULL && !is_empty(&open_file->sync_queue)) {
    uvdio__share_t* share =
        UVDIO__CONTAINER_OF(open_file->sync_queue.next, uvdio__share_t, sync_link);
    wait_no_more(share, SHARE_SYNC);
    open_file->syncing = share;
    give(share, SHARE_SYNC);
  }
}

/* Takes from the share what it was given, and gives it to others. */
static void take_back(open_file_t* open_file, uvdio__share_t* share, unsigned what) {
  unsigned ended = share->given & what;

  share->given &= ~ended;
  if ((ended & SHARE_ACCESS) != 0) {
    assert(open_file->users > 0);
    open_file->users--;
    share->is_admitted = 0;
  }
  if ((ended & SHARE_EXCLUSIVE) != 0) {
    assert(open_file->exclusive == share);
    open_file->exclusive = NULL;
    atomic_fetch_sub(&open_file->exclusive_wanted, 1);
    give_access(open_file);
  }
  if ((ended & SHARE_SYNC) != 0) {
    assert(open_file->syncing == share);
    open_file->syncing = NULL;
  }
  give_exclusive(open_file);
  give_sync(open_file);
}

/* Ends the share's waiting. Others may have waited for the exclusive access that it waited for. */
static void withdraw(open_file_t* open_file, uvdio__share_t* share, unsigned what) {
  wait_no_more(share, what);
  take_back(open_file, share, share->given & what & ~share->has);
  if (atomic_load(&open_file->exclusive_wanted) == 0) {
    give_access(open_file);
  }
}

int uvdio__share_leave(uvdio_file_t* file, int is_release) {
  uvdio__share_t* share = uvdio__share_of(file);
  open_file_t* open_file = share->open_file;
  int is_parents = is_forked(share);
  int is_last;

  atomic_fetch_add(&open_file->released, (unsigned)is_release);
  if (!is_parents) {
    (void)lock(share);
    assert(share->given == 0 && share->waits == 0); /* Nothing of it is pending. */
    unlock(open_file);
  }
  unmake(share);
  if (atomic_fetch_sub(&open_file->references, 1) > 1) {
    return 0;
  }
  is_last = atomic_load(&open_file->released) == 0;
  free_open_file(open_file, !is_parents);
  return is_last;
}

/*
 * Asking
 */

void uvdio__share_take_grants(uvdio__share_t* share) {
  open_file_t* open_file;

  if (is_forked(share)) {
    return;
  }
  open_file = lock(share);
  share->has = share->given;
  share->asked &= share->waits;
  share->was_admitted = share->is_admitted;
  unlock(open_file);
}

/* Whether the share may have it at this moment. */
static int is_free(const open_file_t* open_file, const uvdio__share_t* share, unsigned what) {
  int is_wanted = open_file->exclusive != NULL || !is_empty(&open_file->exclusive_queue);

  switch (what) {
    case SHARE_ACCESS:
      return !is_wanted || ((share->given & SHARE_ACCESS) != 0 && share->is_admitted);
    case SHARE_EXCLUSIVE:
      return !is_wanted && open_file->users == 0;
    default:
      assert(what == SHARE_SYNC);
      return open_file->syncing == NULL && is_empty(&open_file->sync_queue);
  }
}

static void take(open_file_t* open_file, uvdio__share_t* share, unsigned what) {
  if ((share->given & what) != 0) {
    return;
  }
  share->given |= what;
  if (what == SHARE_ACCESS) {
    open_file->users++;
  } else if (what == SHARE_EXCLUSIVE) {
    open_file->exclusive = share;
    atomic_fetch_add(&open_file->exclusive_wanted, 1);
  } else {
    open_file->syncing = share;
  }
}

static void wait_for(open_file_t* open_file, uvdio__share_t* share, unsigned what) {
  if ((share->waits & what) != 0) {
    return;
  }
  share->waits |= what;
  if (what == SHARE_ACCESS) {
    uvdio__link_insert(&share->access_link, &open_file->access_queue);
  } else if (what == SHARE_EXCLUSIVE) {
    uvdio__link_insert(&share->exclusive_link, &open_file->exclusive_queue);
    atomic_fetch_add(&open_file->exclusive_wanted, 1);
  } else if (what == SHARE_SYNC) {
    uvdio__link_insert(&share->sync_link, &open_file->sync_queue);
  }
}

/* Shared access that it has does for more, unless somebody wants it exclusively. */
static int is_enough(const uvdio__share_t* share, unsigned what) {
  return (share->has & what) != 0 &&
         (what != SHARE_ACCESS ||
          atomic_load_explicit(&share->open_file->exclusive_wanted, memory_order_relaxed) == 0);
}

int uvdio__share_begin(uvdio__share_t* share, unsigned what, int may_wait) {
  open_file_t* open_file;
  int may;

  if (is_forked(share) || is_enough(share, what)) {
    return 1;
  }
  open_file = lock(share);
  may = is_free(open_file, share, what) || (what != SHARE_ACCESS && (share->given & what) != 0);
  if (may) {
    wait_no_more(share, what);
    take(open_file, share, what);
    share->has |= what;
    share->asked &= ~what;
  } else if (may_wait) {
    wait_for(open_file, share, what);
    share->asked |= what;
  }
  unlock(open_file);
  return may;
}

void uvdio__share_end(uvdio__share_t* share, unsigned what) {
  if ((share->has & what) == 0 || is_forked(share)) {
    return;
  }
  (void)lock(share);
  share->has &= ~what;
  take_back(share->open_file, share, what);
  unlock(share->open_file);
}

void uvdio__share_withdraw(uvdio__share_t* share, unsigned what) {
  open_file_t* open_file;

  if ((share->asked & what) == 0 || is_forked(share)) {
    return;
  }
  open_file = lock(share);
  share->asked &= ~what;
  withdraw(open_file, share, what);
  unlock(open_file);
}

void uvdio__share_admitted(uvdio__share_t* share) {
  if (share->was_admitted && !is_forked(share)) {
    open_file_t* open_file = lock(share);
    share->is_admitted = 0;
    share->was_admitted = 0;
    unlock(open_file);
  }
}

int uvdio__share_begin_replace(uvdio__share_t* share) {
  open_file_t* open_file;
  int is_alone;

  if (is_forked(share)) {
    return 1;
  }
  open_file = lock(share);
  is_alone = atomic_load(&open_file->references) == 1;
  open_file->replacing += (unsigned)is_alone;
  unlock(open_file);
  return is_alone;
}

void uvdio__share_end_replace(uvdio__share_t* share) {
  if (!is_forked(share)) {
    open_file_t* open_file = lock(share);
    assert(open_file->replacing > 0);
    open_file->replacing--;
    unlock(open_file);
  }
}

/*
 * The latch
 */

int uvdio__share_latch(uvdio__share_t* share, int error) {
  int present = 0;

  return atomic_compare_exchange_strong(&share->open_file->latch, &present, error) ? error
                                                                                   : present;
}

int uvdio__share_latched(const uvdio__share_t* share) {
  return atomic_load(&share->open_file->latch);
}
