/* SPDX-License-Identifier: MIT */
/*
 * See file.h: opening and closing, the engine's list of files, the choice of a queue, and the
 * synchronous form of all operations.
 */
#include "file.h"

#include <string.h>

#include "allocator.h"
#include "durability.h"
#include "path.h"
#include "queue.h"
#include "sized.h"

#define KNOWN_FLAGS                                                                        \
  (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE | UVDIO_O_DSYNC |  \
   UVDIO_O_NOFOLLOW | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_NATIVE_ALIGN | UVDIO_O_WRONLY |   \
   UVDIO__LOCKS | UVDIO_O_BUFFERED | UVDIO_O_DONTCACHE | UVDIO_O_DUP | UVDIO_O_DIRECTORY | \
   UVDIO_O_ANONYMOUS)

/*
 * The list of files
 */

static void file_link(uvdio_engine_t* engine, uvdio_file_t* file) {
  file->engine_ = engine;
  file->magic_ = uvdio__magic_of(file);
  file->prev_ = NULL;
  file->next_ = engine->files;
  if (engine->files != NULL) {
    engine->files->prev_ = file;
  }
  engine->files = file;
}

/* The engine is through with the file; it stays the library's until its magic_ is cleared. */
static void file_unlink(uvdio_file_t* file) {
  uvdio_engine_t* engine = file->engine_;

  if (file->share_ != NULL) { /* It was not opened: a close has left its share before. */
    (void)uvdio__share_leave(file, 0);
  }
  if (file->prev_ != NULL) {
    file->prev_->next_ = file->next_;
  } else {
    assert(engine->files == file);
    engine->files = file->next_;
  }
  if (file->next_ != NULL) {
    file->next_->prev_ = file->prev_;
  }
  file->state_ = FILE_CLOSED;
  file->access_ = 0;
  file->engine_ = NULL;
  uvdio__path_free(file->path_); /* One that was adopted has none. */
  file->path_ = NULL;
}

/* Marks a closed file as reusable, just before its callback. No-op for other files. */
static void file_release(uvdio_file_t* file) {
  if (file->state_ == FILE_CLOSED) {
    file->magic_ = 0;
  }
}

/*
 * The choice of a queue
 */

/* Why the file's transfers are not polled, or null. */
static const char* why_not_polled(const uvdio_file_t* file) {
  if (uvdio__engine_polled(file->engine_) == NULL) {
    return "its engine has no polled ring: uvdio_engine_backend_reason() tells why";
  }
  if (!file->direct_) {
    return "it has no direct I/O";
  }
  if (file->reason_[0] != '\0') {
    return file->reason_;
  }
  return file->facts_.can_poll
             ? NULL
             : "its device has no queues for polled requests (queue/io_poll in sysfs is not 1): "
               "drivers get some by a parameter, as nvme.poll_queues or virtio_blk.poll_queues";
}

static void pick_polled(uvdio_file_t* file) {
  const char* reason = file->engine_->wants_polled ? why_not_polled(file) : "";

  file->polled_reason_ = reason == NULL ? "" : reason;
  if (reason == NULL) {
    file->queue_concurrent_ = uvdio__engine_polled(file->engine_);
    file->concurrent_from_ = 0;
  }
}

static void pick_queue(uvdio_file_t* file) {
  uvdio_engine_t* engine = file->engine_;
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  int is_for_several = 0;
  const char* reason =
      queue->backend->avoid == NULL ? NULL : queue->backend->avoid(file, &is_for_several);

  file->queue_ = queue;
  file->reason_ = "";
  if (reason != NULL) {
    file->queue_ = &engine->queues[QUEUE_POOL];
    file->queue_concurrent_ = is_for_several ? queue : NULL;
    file->concurrent_from_ = 1;
    file->reason_ = reason;
  }
  pick_polled(file);
}

/*
 * Opening
 */

static size_t pick_align(const uvdio__open_state_t* opening, uint32_t system) {
  if ((opening->flags & (UVDIO_O_BUFFERED | UVDIO_O_DIRECTORY)) != 0) {
    return 1;
  }
  if ((opening->flags & UVDIO_O_NATIVE_ALIGN) != 0 && system != 0) {
    return system;
  }
  return system > UVDIO_ALIGNMENT ? system : UVDIO_ALIGNMENT;
}

static uvdio_cache_t cache_of(const uvdio__open_state_t* opening) {
  if (opening->direct) {
    return UVDIO_CACHE_BYPASSED;
  }
  return opening->drops_cache ? UVDIO_CACHE_DROPPED : UVDIO_CACHE_KEPT;
}

static uint32_t or_else(uint32_t align, uint32_t other) {
  return align != 0 ? align : other;
}

static unsigned char access_of(unsigned flags) {
  unsigned reads = (flags & UVDIO_O_WRONLY) == 0 ? ACCESS_READ : 0;
  unsigned write = (flags & UVDIO_O_DUP) != 0 ? ACCESS_WRITE_UNLATCHED : ACCESS_WRITE;
  unsigned writes = (flags & (UVDIO_O_RDWR | UVDIO_O_WRONLY)) != 0 ? write : 0;

  if ((flags & UVDIO_O_DIRECTORY) != 0) {
    return ACCESS_ANY | ACCESS_BASE;
  }
  return (unsigned char)(ACCESS_ANY | ACCESS_CONTENT | reads | writes);
}

int uvdio__file_allows(uvdio_file_t* file, unsigned access) {
  if (access != ACCESS_WRITE || (file->access_ & ACCESS_WRITE_UNLATCHED) == 0) {
    return 0;
  }
  (void)uvdio__order_latch_of(file);
  return 1;
}

/* From here on operations are accepted. */
static void file_start(uvdio_file_t* file) {
  file->state_ = FILE_OPEN;
  file->access_ = access_of(file->flags_);
  file->has_waiters_ = file->share_ != NULL;
  pick_queue(file);
}

/* What every write of the file is. One that the system syncs by itself is told of what others have
 * lost, as a durable one is, where errors are shared. */
static unsigned write_flags_of(const uvdio__open_state_t* opening) {
  return (opening->flags & UVDIO_O_DSYNC) != 0 || opening->is_synchronous ? REQ_DURABLE : 0;
}

static void file_opened(uvdio_file_t* file, uvdio__open_state_t* opening) {
  size_t memory = pick_align(opening, opening->memory_align);
  size_t offset = pick_align(opening, opening->offset_align);

  assert((memory & (memory - 1)) == 0 && (offset & (offset - 1)) == 0);
  file->flags_ = opening->flags;
  file->write_flags_ = write_flags_of(opening);
  file->handle_.descriptor = opening->descriptor;
  file->memory_mask_ = memory - 1;
  file->offset_mask_ = offset - 1;
  file->quirks_ = opening->quirks;
  file->direct_ = opening->direct;
  file->cache_ = (unsigned char)cache_of(opening);
  file->system_memory_align_ = opening->memory_align;
  file->system_offset_align_ = opening->offset_align;
  file->system_read_align_ = or_else(opening->read_align, opening->offset_align);
  file->recommended_align_ = or_else(opening->recommended_align, opening->offset_align);
  file->align_source_ = opening->align_source;
  file->facts_ = opening->facts;
  if ((opening->flags & UVDIO_O_TRUNCATE) != 0) {
    file->facts_.size = 0;
  }
  file->filesystem_ = opening->filesystem;
  opening->descriptor = -1; /* the file's from here on */
  file_start(file);
}

/* `path` is the file's copy, or becomes the open's own. */
static uvdio__open_state_t* make_open_state(const char* path, unsigned flags, int mode) {
  uvdio__open_state_t* opening = uvdio__alloc(sizeof(*opening), UVDIO__STRUCT_ALIGN, 1);

  if (opening == NULL) {
    return NULL;
  }
  opening->path = path;
  opening->flags = flags;
  opening->mode = mode;
  opening->at = UVDIO__AT_CWD;
  opening->descriptor = -1;
  opening->filesystem = "unknown";
  return opening;
}

/* A descriptor that no file has taken is closed by whoever performed the open. It is left to this
 * thread only where no worker could be had for that, and in a forked child. */
static void free_open_state(uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);

  if (opening->descriptor != -1) {
    uint64_t began_ns = uvdio__clock_ns();
    (void)uvdio__os_close(opening->descriptor);
    uvdio__engine_note_call(req->engine_, UVDIO_CALL_FILE, began_ns);
  }
  if ((req->flags_ & REQ_HOLDS) != 0) {
    uvdio__order_let_go(opening->base);
  }
  req->args_ = NULL;
  uvdio__path_free(opening->own_path);
  uvdio__free(opening, sizeof(*opening), UVDIO__STRUCT_ALIGN);
}

/* An adopted descriptor is its owner's again; its flags are a parent's, in a forked child. */
static void give_descriptor_back(const uvdio_req_t* req, uvdio__open_state_t* opening) {
  if (uvdio__engine_is_forked(req->engine_)) {
    opening->descriptor = -1;
  } else {
    uvdio__os_undo_open(opening);
  }
}

static void apply_open(uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);

  if (req->result != 0 && opening->is_adopted) {
    give_descriptor_back(req, opening);
  } else if (req->result == UVDIO_EPOOL) {
    uvdio__os_undo_open(opening); /* No worker took what was left of it. */
  }
  if (req->result == 0) {
    file_opened(req->file, opening);
  }
  free_open_state(req);
  if (req->result != 0) {
    file_unlink(req->file);
  }
}

#define HELD_MAX 3

/* The open files that an operation on names is about. */
static void held_by(const uvdio__names_t* names, uvdio_file_t* held[HELD_MAX]) {
  held[0] = names->base;
  held[1] = names->new_base;
  held[2] = names->linked;
}

void uvdio__names_hold(uvdio_req_t* req) {
  uvdio_file_t* held[HELD_MAX];
  unsigned i;

  held_by(uvdio__names_of(req), held);
  for (i = 0; i < HELD_MAX; i++) {
    if (held[i] != NULL) {
      uvdio__order_hold(held[i]);
      req->flags_ |= REQ_HOLDS;
    }
  }
}

static void let_go(const uvdio__names_t* names) {
  uvdio_file_t* held[HELD_MAX];
  unsigned i;

  held_by(names, held);
  for (i = 0; i < HELD_MAX; i++) {
    if (held[i] != NULL) {
      uvdio__order_let_go(held[i]);
    }
  }
}

/* The path of a file that may have several handles stays: another thread may be reading it. */
static int takes_first_name(const uvdio_file_t* file) {
  return file->path_kind_ == PATH_NONE && file->share_ == NULL;
}

/* A file without a name has got its first one. */
static void take_first_name(uvdio__names_t* names) {
  uvdio_file_t* file = names->linked;
  char* path = file->path_;

  file->path_ = names->own_path;
  names->own_path = path;
  file->path_kind_ = names->own_path_kind;
}

void uvdio__names_free(uvdio_req_t* req) {
  uvdio__names_t* names = uvdio__names_of(req);

  if (names->linked != NULL && takes_first_name(names->linked) && req->result == 0) {
    take_first_name(names);
  }
  if ((req->flags_ & REQ_HOLDS) != 0) {
    let_go(names);
  }
  req->args_ = NULL;
  if (uvdio__is_name(req->op)) {
    req->file = NULL;
  }
  uvdio__path_free(names->own_path);
  uvdio__free(names, names->size, UVDIO__STRUCT_ALIGN);
}

/*
 * Closing
 */

static int64_t close_on_this_thread(uvdio_req_t* req) {
  const uvdio__queue_t* queue = req->file->queue_;
  uint64_t began_ns = uvdio__clock_ns();
  int64_t result = queue->backend->perform(queue, req);

  uvdio__engine_note_call(req->engine_, UVDIO_CALL_FILE, began_ns);
  return result;
}

/* In a forked child: whether the descriptor is surely there. A release has left it alone, whatever
 * it had come to. */
static int is_open_for_sure(const uvdio_req_t* req) {
  return (req->flags_ & (REQ_OUTCOME_UNKNOWN | REQ_RELEASE)) != REQ_OUTCOME_UNKNOWN;
}

static void apply_close(uvdio_req_t* req) {
  if (req->result == UVDIO_EFORK && is_open_for_sure(req)) {
    req->flags_ &= ~REQ_RELEASE;     /* Nobody is told of this descriptor. */
    (void)close_on_this_thread(req); /* The parent closes its descriptor; this is the child's. */
  }
  if (req->result == UVDIO_EPOOL) {
    /* No worker took it, and the file must not stay open. */
    req->result = close_on_this_thread(req);
  }
  file_unlink(req->file);
}

/* The outcome of a request, as far as it is the file's: its state, or its order and latch. A file
 * that is closed then is the user's again. */
static void apply(uvdio_req_t* req) {
  if (req->op == UVDIO_OP_OPEN) {
    apply_open(req);
  } else if (req->op == UVDIO_OP_CLOSE) {
    apply_close(req);
  } else {
    uvdio__order_apply(req);
  }
  file_release(req->file);
  if (uvdio__is_name(req->op) || req->op == UVDIO_OP_REPLACE) {
    uvdio__names_free(req);
  }
}

void uvdio__file_finish(uvdio_req_t* req) {
  assert(req->op == UVDIO_OP_OPEN || req->op == UVDIO_OP_CLOSE);
  apply(req);
}

int uvdio__file_run_now(uvdio_req_t* req) {
  const uvdio__queue_t* queue = req->queue_;
  uvdio__verdict_t verdict;

  uvdio__queue_settle_polled(req->engine_);
  req->engine_->stats.synchronous++;
  do {
    verdict = uvdio__request_settle(req, queue->backend->perform(queue, req));
  } while (verdict != VERDICT_DONE);
  apply(req);
  return req->result < 0 ? (int)req->result : 0;
}

/*
 * Public
 */

/* Whether the flags that choose between direct I/O and the page cache choose one. */
static int is_cache_chosen(unsigned flags) {
  const unsigned buffered = UVDIO_O_BUFFERED | UVDIO_O_DIRECT_PREFERRED;

  return (flags & buffered) != buffered &&
         ((flags & UVDIO_O_DONTCACHE) == 0 || (flags & buffered) != 0);
}

/* A directory has no bytes, and a file without a name is made new. */
static int is_kind_good(unsigned flags) {
  const unsigned of_paths =
      UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE | UVDIO_O_NOFOLLOW;

  if ((flags & UVDIO_O_DIRECTORY) != 0) {
    return (flags & ~(UVDIO_O_DIRECTORY | UVDIO_O_NOFOLLOW)) == 0;
  }
  return (flags & UVDIO_O_ANONYMOUS) == 0 || (flags & of_paths) == 0;
}

/* Whether the flags say one thing each, and the file can be opened so. */
static int are_flags_good(unsigned flags) {
  const unsigned writing = UVDIO_O_RDWR | UVDIO_O_WRONLY;
  int is_writing = (flags & writing) != 0;
  int is_reading = (flags & UVDIO_O_WRONLY) == 0;

  return (flags & ~KNOWN_FLAGS) == 0 && is_kind_good(flags) && is_cache_chosen(flags) &&
         (flags & writing) != writing &&
         ((flags & (UVDIO_O_TRUNCATE | UVDIO_O_CREATE | UVDIO_O_ANONYMOUS)) == 0 || is_writing) &&
         (flags & UVDIO__LOCKS) != UVDIO__LOCKS &&
         ((flags & UVDIO_O_LOCK_SHARED) == 0 || is_reading) &&
         ((flags & UVDIO_O_LOCK_EXCLUSIVE) == 0 || is_writing);
}

static int check_open(const uvdio_engine_t* engine, const uvdio_file_t* file,
                      const uvdio_req_t* req, const char* path, unsigned flags) {
  int error;

  if (engine == NULL || file == NULL || req == NULL || path == NULL) {
    return UV_EINVAL;
  }
  if (!are_flags_good(flags)) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  if (file->magic_ == uvdio__magic_of(file) || uvdio__is_pending(req)) {
    return UV_EBUSY;
  }
  return (flags & (UVDIO_O_DIRECTORY | UVDIO_O_ANONYMOUS)) != 0 && !UVDIO__HAS_BASES &&
                 uvdio__has_descriptors(engine)
             ? UV_ENOTSUP
             : 0;
}

void uvdio__file_init(uvdio_file_t* file, uvdio_engine_t* engine) {
  file->engine_ = engine;
  file->queue_ = &engine->queues[QUEUE_MAIN];
  file->filesystem_ = "unknown";
  file->reason_ = "";
  file->polled_reason_ = "";
  file->handle_.descriptor = -1;
  uvdio__list_init(&file->order_);
  uvdio__list_init(&file->deferred_);
  uvdio__list_init(&file->followers_);
  uvdio__list_init(&file->durable_waiting_);
  uvdio__list_init(&file->written_);
  uvdio__list_init(&file->truncate_queue_);
}

static void prepare_file(uvdio_engine_t* engine, uvdio_file_t* file, unsigned flags) {
  void* data = file->data;

  memset(file, 0, sizeof(*file));
  file->data = data;
  uvdio__file_init(file, engine);
  file->flags_ = flags;
  file->write_flags_ = (flags & UVDIO_O_DSYNC) != 0 ? REQ_DURABLE : 0;
  file->state_ = FILE_OPENING;
  file_link(engine, file);
}

static int submit_open(uvdio_engine_t* engine, uvdio_file_t* file, uvdio_req_t* req,
                       uvdio__open_state_t* opening, char* path, unsigned char path_kind,
                       uvdio_cb cb) {
  int error = 0;

  prepare_file(engine, file, opening->flags);
  opening->wants_polled = engine->wants_polled;
  file->path_ = path;
  file->path_kind_ = (opening->flags & UVDIO_O_ANONYMOUS) != 0 ? PATH_NONE : path_kind;
  if ((opening->flags & UVDIO_O_DUP) != 0) {
    error = uvdio__share_create(engine, file);
  }
  if (error != 0) {
    uvdio__path_free(opening->own_path);
    uvdio__free(opening, sizeof(*opening), UVDIO__STRUCT_ALIGN);
    file_unlink(file);
    file_release(file);
    return error;
  }
  file->handle_.descriptor = opening->descriptor;
  uvdio__prepare(req, file, UVDIO_OP_OPEN, 0, 0);
  req->args_ = opening;
  if (cb == NULL) {
    return uvdio__file_run_now(req);
  }
  req->cb_.plain = cb;
  uvdio__engine_accept(engine, req);
  if (opening->base != NULL) {
    uvdio__order_hold(opening->base);
    req->flags_ |= REQ_HOLDS;
  }
  uvdio__queue_start(req);
  return 0;
}

/* Where no system keeps the files, the path behind that of its base leads to the file, and the file
 * keeps the one that it was given; but for a directory, which others are put behind. Returns 0 when
 * out of memory. */
static int own_paths(const uvdio_file_t* base, uvdio__open_state_t* opening, char** kept) {
  opening->own_path = uvdio__path_make(1, base == NULL ? NULL : uvdio__file_path(base), *kept);
  if (opening->own_path == NULL) {
    return 0;
  }
  opening->path = opening->own_path;
  if ((opening->flags & UVDIO_O_DIRECTORY) != 0) {
    opening->own_path = *kept;
    *kept = (char*)opening->path;
  }
  return 1;
}

/* `base` may be null. All checks have been made. */
static int open_file(uvdio_engine_t* engine, uvdio_file_t* base, uvdio_file_t* file,
                     uvdio_req_t* req, const char* path, unsigned flags, int mode, uvdio_cb cb) {
  char* copy = uvdio__path_make(0, NULL, path);
  uvdio__open_state_t* opening = copy == NULL ? NULL : make_open_state(copy, flags, mode);

  if (opening != NULL && !uvdio__has_descriptors(engine) && !own_paths(base, opening, &copy)) {
    uvdio__free(opening, sizeof(*opening), UVDIO__STRUCT_ALIGN);
    opening = NULL;
  }
  if (opening == NULL) {
    uvdio__path_free(copy);
    return UV_ENOMEM;
  }
  opening->base = base;
  opening->at = uvdio__base_descriptor(base);
  return submit_open(engine, file, req, opening, copy, uvdio__path_kind_of(base, path), cb);
}

int uvdio_open(uvdio_engine_t* engine, uvdio_file_t* file, uvdio_req_t* req, const char* path,
               unsigned flags, int mode, uvdio_cb cb) {
  int error = check_open(engine, file, req, path, flags);

  return error != 0 ? error : open_file(engine, NULL, file, req, path, flags, mode, cb);
}

int uvdio_open_at(uvdio_file_t* base, uvdio_file_t* file, uvdio_req_t* req, const char* path,
                  unsigned flags, int mode, uvdio_cb cb) {
  int error = base == NULL ? UV_EINVAL : uvdio__base_check(base);

  if (error == 0) {
    error = check_open(base->engine_, file, req, path, flags);
  }
  return error != 0 ? error : open_file(base->engine_, base, file, req, path, flags, mode, cb);
}

/* Whether a file of the engine has the descriptor, or is about to. What closes may have closed it,
 * so that the number is somebody else's. */
static int has_descriptor(const uvdio_engine_t* engine, intptr_t descriptor) {
  const uvdio_file_t* file = engine->files;

  while (file != NULL && (file->handle_.descriptor != descriptor ||
                          (file->state_ != FILE_OPENING && file->state_ != FILE_OPEN))) {
    file = file->next_;
  }
  return file != NULL;
}

static int check_adoption(const uvdio_engine_t* engine, const uvdio_file_t* file,
                          const uvdio_req_t* req, intptr_t descriptor, unsigned flags) {
  const unsigned of_paths =
      UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE | UVDIO_O_NOFOLLOW | UVDIO_O_ANONYMOUS;
  int error = (flags & of_paths) != 0 ? UV_EINVAL : check_open(engine, file, req, "", flags);

  if (error != 0) {
    return error;
  }
  if (!UVDIO__CAN_ADOPT || !uvdio__has_descriptors(engine)) {
    return UV_ENOTSUP;
  }
  if (descriptor < 0) {
    return UV_EBADF;
  }
  return has_descriptor(engine, descriptor) ? UV_EBUSY : 0;
}

int uvdio_adopt(uvdio_engine_t* engine, uvdio_file_t* file, uvdio_req_t* req, uv_os_fd_t descriptor,
                unsigned flags, uvdio_cb cb) {
  uvdio__open_state_t* opening;
  int error = check_adoption(engine, file, req, (intptr_t)descriptor, flags);

  if (error != 0) {
    return error;
  }
  opening = make_open_state("", flags, 0);
  if (opening == NULL) {
    return UV_ENOMEM;
  }
  opening->descriptor = (intptr_t)descriptor;
  opening->is_adopted = 1;
  opening->step = UVDIO__OPEN_STAT_FILE;
  return submit_open(engine, file, req, opening, NULL, PATH_NONE, cb);
}

/*
 * Further handles
 */

static int check_dup(const uvdio_engine_t* engine, const uvdio_file_t* file,
                     const uvdio_file_t* source) {
  int error;

  if (engine == NULL || file == NULL || source == NULL) {
    return UV_EINVAL;
  }
  if (source->magic_ != uvdio__magic_of(source) || source->access_ == 0) {
    return UV_EBADF;
  }
  if (source->share_ == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error == 0 && uvdio__engine_is_forked(source->engine_)) {
    error = UVDIO_EFORK;
  }
  if (error != 0) {
    return error;
  }
  return file->magic_ == uvdio__magic_of(file) ? UV_EBUSY : 0;
}

/* What an open has found out does not change, so that another thread may read it. */
static void copy_facts(uvdio_file_t* file, const uvdio_file_t* source) {
  file->memory_mask_ = source->memory_mask_;
  file->offset_mask_ = source->offset_mask_;
  file->quirks_ = source->quirks_;
  file->write_flags_ = source->write_flags_;
  file->direct_ = source->direct_;
  file->cache_ = source->cache_;
  file->system_memory_align_ = source->system_memory_align_;
  file->system_offset_align_ = source->system_offset_align_;
  file->system_read_align_ = source->system_read_align_;
  file->recommended_align_ = source->recommended_align_;
  file->align_source_ = source->align_source_;
  file->facts_ = source->facts_;
  file->filesystem_ = source->filesystem_;
}

static int copy_path(uvdio_file_t* file, const uvdio_file_t* source) {
  if (source->path_ == NULL) {
    return 0;
  }
  file->path_ = uvdio__path_make(0, NULL, source->path_);
  file->path_kind_ = source->path_kind_;
  return file->path_ != NULL ? 0 : UV_ENOMEM;
}

static int dup_parts(uvdio_engine_t* engine, uvdio_file_t* file, const uvdio_file_t* source) {
  const uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  int error = uvdio__share_join(engine, file, uvdio__share_of(source));

  if (error == 0) {
    error = copy_path(file, source);
  }
  if (error == 0) {
    error = queue->backend->dup(queue, file, source);
  }
  return error;
}

int uvdio_dup(uvdio_engine_t* engine, uvdio_file_t* file, const uvdio_file_t* source) {
  int error = check_dup(engine, file, source);

  if (error != 0) {
    return error;
  }
  prepare_file(engine, file, source->flags_);
  error = dup_parts(engine, file, source);
  if (error != 0) {
    file_unlink(file);
    file_release(file);
    return error;
  }
  copy_facts(file, source);
  file_start(file);
  return 0;
}

/*
 * Closing, as users call it
 */

static void start_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  file->state_ = FILE_CLOSING;
  file->access_ = 0;
  req->cb_.plain = cb;
  uvdio__engine_accept(req->engine_, req);
  uvdio__order_close(req);
}

/* Whether a request of the file has yet to be called back. */
static int is_callback_due(const uvdio_file_t* file) {
  const uvdio__list_t* completed = &file->engine_->completed;
  const uvdio_req_t* req = uvdio__list_first(completed);

  while (req != NULL && req->file != file) {
    req = uvdio__list_after(completed, req);
  }
  return file->pending_ > 0 || req != NULL;
}

static int submit_close(uvdio_file_t* file, uvdio_req_t* req, unsigned flags, uvdio_cb cb) {
  if (cb == NULL && is_callback_due(file)) {
    return UV_EBUSY;
  }
  uvdio__prepare(req, file, UVDIO_OP_CLOSE, 0, 0);
  req->flags_ = flags;
  if (cb == NULL) {
    uvdio__order_before_close(req);
    return uvdio__file_run_now(req);
  }
  start_close(file, req, cb);
  return 0;
}

int uvdio_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_ANY);

  return error != 0 ? error : submit_close(file, req, 0, cb);
}

int uvdio_release(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_ANY);

  if (error == 0 && !uvdio__has_descriptors(file->engine_)) {
    error = UV_ENOTSUP;
  }
  return error != 0 ? error : submit_close(file, req, REQ_RELEASE, cb);
}

int uvdio_file_descriptor(const uvdio_file_t* file, uv_os_fd_t* descriptor) {
  if (file == NULL || descriptor == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || (file->access_ & ACCESS_ANY) == 0) {
    return UV_EBADF;
  }
  if (!uvdio__has_descriptors(file->engine_)) {
    return UV_ENOTSUP;
  }
  *descriptor = (uv_os_fd_t)file->handle_.descriptor;
  return 0;
}

void uvdio__file_close_left_open(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  assert(file->state_ == FILE_OPEN && file->pending_ == 0);
  uvdio__prepare(req, file, UVDIO_OP_CLOSE, 0, 0);
  start_close(file, req, cb);
}

void uvdio__file_close_now(uvdio_file_t* file) {
  uvdio_req_t req;

  uvdio__prepare(&req, file, UVDIO_OP_CLOSE, 0, 0);
  uvdio__order_before_close(&req);
  (void)close_on_this_thread(&req);
  file_unlink(file);
  file_release(file);
}

int uvdio_file_info_sized(const uvdio_file_t* file, uvdio_file_info_t* info, size_t size) {
  uvdio_file_info_t own;
  uvdio__queue_t* queue;

  if (file == NULL || info == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || file->state_ == FILE_OPENING ||
      file->state_ == FILE_CLOSED) {
    return UV_EBADF;
  }
  queue = uvdio__queue_in_use(file->queue_);
  own.backend = queue->backend->name;
  own.reason = queue == file->queue_ ? file->reason_ : "";
  if (file->queue_concurrent_ != NULL) {
    queue = uvdio__queue_in_use(file->queue_concurrent_);
    own.reason = queue == file->queue_concurrent_ ? own.reason : "";
  }
  own.backend_concurrent = queue->backend->name;
  own.filesystem = file->filesystem_;
  own.is_direct = file->direct_;
  own.latch_error = uvdio__share_latch_of(file);
  own.is_registered = file->fixed_index_ > 0;
  own.is_durable_serialized = uvdio__has_shared_errors(file);
  own.flags = file->flags_;
  own.memory_align = (uint32_t)(file->memory_mask_ + 1);
  own.offset_align = (uint32_t)(file->offset_mask_ + 1);
  own.system_memory_align = file->system_memory_align_;
  own.system_offset_align = file->system_offset_align_;
  own.system_read_align = file->system_read_align_;
  own.recommended_align = file->recommended_align_;
  own.align_source = file->align_source_;
  own.open_size = file->facts_.size;
  own.device = file->facts_.device;
  own.inode = file->facts_.inode;
  own.modified_ns = file->facts_.modified_ns;
  own.changed_ns = file->facts_.changed_ns;
  own.created_ns = file->facts_.created_ns;
  own.optimal_size = file->facts_.optimal_size;
  own.atomic_min = file->facts_.atomic_min;
  own.atomic_max = file->facts_.atomic_max;
  uvdio__durability_tell(file, &own);
  own.cache = (uvdio_cache_t)file->cache_;
  own.physical_block = file->facts_.physical_block;
  own.request_max = file->facts_.request_max;
  queue = uvdio__engine_polled(file->engine_);
  own.is_polled =
      queue != NULL && file->queue_concurrent_ == queue && !uvdio__queue_is_broken(queue);
  own.polled_reason = own.is_polled || file->polled_reason_[0] != '\0' || queue == NULL
                          ? file->polled_reason_
                          : "its engine's polled ring has failed: uvdio_engine_backend_reason()";
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}
