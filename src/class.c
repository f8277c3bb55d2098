/* SPDX-License-Identifier: MIT */
/*
 * See class.h.
 */
#include "class.h"

#include <string.h>

#include "allocator.h"
#include "device_model.h"
#include "sized.h"

/* The most that one request costs, so that no model makes virtual time run over; and the virtual
 * time at which all of it begins anew. */
#define COST_NS_MAX (UINT64_C(1) << 40)
#define VIRTUAL_TIME_MAX (UINT64_C(1) << 62)
/* What the device takes at a time, in the unit of weights. */
#define CLASS_WEIGHT_MAX (1u << 20)
/* Nanoseconds whose tokens a bucket holds at most. */
#define BURST_NS 10000000.0
#define NS_PER_S 1000000000.0
#define NS_PER_MS 1000000.0
#define SMALL_REQUEST 4096u
/* Without a device model: the cost of a small request, and the bytes that cost as much. */
#define COST_NS 10000u
#define COST_BYTES 65536u

typedef struct bucket_s {
  double rate;  /* per second; 0: no limit */
  double level; /* tokens; below zero: by how much the last request overdrew */
} bucket_t;

/* Somebody who waits for room. */
typedef struct room_wait_s {
  uvdio_link_t_ link;
  uvdio_room_cb cb;
  void* arg;
  int is_cancelled;
} room_wait_t;

typedef struct class_s {
  uvdio__list_t waiting;
  unsigned shares;
  unsigned depth; /* UINT_MAX: no limit */
  unsigned ioprio;
  uint64_t virtual_time;
  bucket_t operations;
  bucket_t bytes;
  uint64_t filled_ns; /* when the buckets were filled last */
  unsigned queue_max; /* 0: no bound */
  uint64_t queue_bytes_max;
  int is_full;
  uvdio_link_t_ room_waits; /* those that are cancelled, then the others in their order */
  unsigned room_wait_count;
  int is_held; /* a bucket holds up the first that waits */
  uvdio_class_stats_t stats;
} class_t;

typedef struct uvdio__classes_s {
  class_t classes[UVDIO_CLASSES];
  uvdio_device_model_t model;
  uint64_t virtual_now; /* of the request that began last */
  double wait_ns;       /* until a limit per second lets the next begin; 0: none is in the way */
  unsigned full;        /* classes that are full */
  unsigned room_waits;  /* of all classes */
  unsigned weight;      /* of what is in flight */
  unsigned in_flight;
} uvdio__classes_t;

/*
 * Buckets
 */

/* The tokens that it holds when it is full. */
static double most_of(const bucket_t* bucket) {
  double most = bucket->rate * (BURST_NS / NS_PER_S);

  return most < 1 ? 1 : most;
}

static void fill_bucket(bucket_t* bucket, double elapsed_ns) {
  double most = most_of(bucket);

  bucket->level += elapsed_ns * bucket->rate / NS_PER_S;
  bucket->level = bucket->level > most ? most : bucket->level;
}

/* By the time that has passed since the last call. */
static void fill_buckets(class_t* class) {
  uint64_t now = uvdio__clock_ns();
  double elapsed = (double)(now - class->filled_ns);

  class->filled_ns = now;
  fill_bucket(&class->operations, elapsed);
  fill_bucket(&class->bytes, elapsed);
}

/*
 * Options
 */

static unsigned default_shares(unsigned number) {
  switch (number) {
    case UVDIO_CLASS_LOG:
      return 1000;
    case UVDIO_CLASS_FOREGROUND:
      return 500;
    case UVDIO_CLASS_BACKGROUND:
      return 50;
    default:
      return 100;
  }
}

/* A bucket begins full, and a change of its rate does not cancel a debt. */
static void set_bucket(bucket_t* bucket, uint64_t rate) {
  int was_limited = bucket->rate > 0;

  bucket->rate = (double)rate;
  if (!was_limited) {
    bucket->level = most_of(bucket);
  }
}

static void set_options(class_t* class, unsigned number, const uvdio_class_options_t* options) {
  class->shares = options->shares == 0 ? default_shares(number) : options->shares;
  class->depth = options->depth == 0 ? UINT_MAX : options->depth;
  class->ioprio = uvdio__os_io_priority(options->priority);
  class->queue_max = options->queue_max;
  class->queue_bytes_max = options->queue_bytes_max;
  fill_buckets(class); /* What the old rates gave until now stays. */
  set_bucket(&class->operations, options->operations_max);
  set_bucket(&class->bytes, options->bytes_max);
}

static uvdio__classes_t* make_classes(void) {
  static const uvdio_class_options_t none = {0};
  uvdio__classes_t* classes = uvdio__alloc(sizeof(*classes), UVDIO__STRUCT_ALIGN, 1);
  unsigned i;

  for (i = 0; classes != NULL && i < UVDIO_CLASSES; i++) {
    uvdio__list_init(&classes->classes[i].waiting);
    uvdio__list_init(&classes->classes[i].room_waits);
    set_options(&classes->classes[i], i, &none);
  }
  return classes;
}

/*
 * Bounds
 */

/* After a change of what waits, or of the bounds. */
static void look_whether_full(uvdio_engine_t* engine, class_t* class) {
  uvdio__classes_t* classes = engine->classes;
  int is_full =
      (class->queue_max > 0 && class->stats.waiting >= class->queue_max) ||
      (class->queue_bytes_max > 0 && class->stats.waiting_bytes >= class->queue_bytes_max);

  if (is_full != class->is_full) {
    class->is_full = is_full;
    classes->full = is_full ? classes->full + 1 : classes->full - 1;
    engine->refuses &= ~REFUSES_SOME;
    engine->refuses |= classes->full > 0 ? REFUSES_SOME : 0;
  }
}

int uvdio__class_check(const uvdio_file_t* file, const uvdio_req_t* req, int is_bounded) {
  uvdio_engine_t* engine = file->engine_;
  int error = uvdio__engine_check(engine);
  class_t* class;

  if (error != 0 || !is_bounded) {
    return error;
  }
  class = &engine->classes->classes[uvdio__class_number(file, req)];
  class->stats.refused += (uint64_t) class->is_full;
  return class->is_full ? UVDIO_EFULL : 0;
}

static int has_room(const class_t* class) {
  return (class->queue_max == 0 || class->stats.waiting <= class->queue_max / 2) &&
         (class->queue_bytes_max == 0 || class->stats.waiting_bytes <= class->queue_bytes_max / 2);
}

static room_wait_t* first_room_wait(const class_t* class) {
  return UVDIO__CONTAINER_OF(class->room_waits.next, room_wait_t, link);
}

/* A forked child tells nobody. */
static int is_room_to_tell(const uvdio_engine_t* engine, const class_t* class) {
  return class->room_wait_count > 0 && !uvdio__engine_is_inherited(engine) &&
         (has_room(class) || engine->state != ENGINE_OPEN || first_room_wait(class)->is_cancelled);
}

int uvdio__class_has_room_to_tell(const uvdio_engine_t* engine) {
  uvdio__classes_t* classes = engine->classes;
  unsigned i;

  for (i = 0; classes != NULL && classes->room_waits > 0 && i < UVDIO_CLASSES; i++) {
    if (is_room_to_tell(engine, &classes->classes[i])) {
      return 1;
    }
  }
  return 0;
}

static void free_room_wait(uvdio__classes_t* classes, class_t* class, room_wait_t* wait) {
  uvdio__link_remove(&wait->link);
  class->room_wait_count--;
  classes->room_waits--;
  uvdio__free(wait, sizeof(*wait), UVDIO__STRUCT_ALIGN);
}

static void tell_first(uvdio_engine_t* engine, class_t* class) {
  room_wait_t wait = *first_room_wait(class);
  int is_open = engine->state == ENGINE_OPEN && !wait.is_cancelled;

  free_room_wait(engine->classes, class, first_room_wait(class));
  wait.cb(engine, (unsigned)(class - engine->classes->classes), is_open ? 0 : UV_ECANCELED,
          wait.arg);
}

/* Those that wait now, once at most: who is told may wait again at once. One that fills the class
 * leaves the others waiting. */
unsigned uvdio__class_tell_room(uvdio_engine_t* engine) {
  uvdio__classes_t* classes = engine->classes;
  unsigned told = 0;
  unsigned left;
  unsigned i;

  for (i = 0; classes != NULL && classes->room_waits > 0 && i < UVDIO_CLASSES; i++) {
    class_t* class = &classes->classes[i];
    for (left = class->room_wait_count; left > 0 && is_room_to_tell(engine, class); left--) {
      tell_first(engine, class);
      told++;
    }
  }
  return told;
}

static int check_room_wait(const uvdio_engine_t* engine, unsigned number, uvdio_room_cb cb) {
  int error;

  if (engine == NULL || cb == NULL || number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  return error == 0 && engine->classes == NULL ? UV_ENOENT : error;
}

int uvdio_class_wait_room(uvdio_engine_t* engine, unsigned number, uvdio_room_cb cb, void* arg) {
  int error = check_room_wait(engine, number, cb);
  room_wait_t* wait;
  class_t* class;

  if (error != 0) {
    return error;
  }
  wait = uvdio__alloc(sizeof(*wait), UVDIO__STRUCT_ALIGN, 1);
  if (wait == NULL) {
    return UV_ENOMEM;
  }
  wait->cb = cb;
  wait->arg = arg;
  class = &engine->classes->classes[number];
  uvdio__link_insert(&wait->link, &class->room_waits);
  class->room_wait_count++;
  engine->classes->room_waits++;
  uvdio__loop_wake(engine);
  return 0;
}

int uvdio_class_cancel_wait(uvdio_engine_t* engine, unsigned number, uvdio_room_cb cb, void* arg) {
  int error = check_room_wait(engine, number, cb);
  uvdio_link_t_* link;
  class_t* class;

  if (error != 0) {
    return error;
  }
  class = &engine->classes->classes[number];
  for (link = class->room_waits.next; link != &class->room_waits; link = link->next) {
    room_wait_t* wait = UVDIO__CONTAINER_OF(link, room_wait_t, link);
    if (wait->cb == cb && wait->arg == arg && !wait->is_cancelled) {
      wait->is_cancelled = 1;
      uvdio__link_remove(link);
      uvdio__link_insert(link, class->room_waits.next);
      uvdio__loop_wake(engine);
      return 0;
    }
  }
  return UV_ENOENT;
}

/*
 * Options of an engine
 */

/* Gives the engine classes, if it has none. */
static int have_classes(uvdio_engine_t* engine) {
  int error;

  if (engine->classes != NULL) {
    return 0;
  }
  if (uvdio__engine_pending(engine) > 0) {
    return UV_EBUSY;
  }
  error = uvdio__loop_have_timer(engine);
  if (error != 0) {
    return error;
  }
  engine->classes = make_classes();
  if (engine->classes == NULL) {
    return UV_ENOMEM;
  }
  assert(engine->not_direct == 0);
  engine->not_direct = 1;
  uvdio__engine_set_plain_end(engine);
  return 0;
}

static int set_class(uvdio_engine_t* engine, unsigned number,
                     const uvdio_class_options_t* options) {
  int error;

  if (options->shares > UVDIO_SHARES_MAX || (unsigned)options->priority > UVDIO_PRIORITY_REALTIME) {
    return UV_EINVAL;
  }
  error = uvdio__os_try_io_priority(options->priority);
  if (error == 0) {
    error = have_classes(engine);
  }
  if (error != 0) {
    return error;
  }
  set_options(&engine->classes->classes[number], number, options);
  look_whether_full(engine, &engine->classes->classes[number]);
  if (engine->waiting > 0) {
    uvdio__loop_wake(engine); /* The new limits may allow more than the old ones did. */
  }
  return 0;
}

int uvdio_class_set_sized(uvdio_engine_t* engine, unsigned number,
                          const uvdio_class_options_t* options, size_t size) {
  uvdio_class_options_t own = {0};
  int error;

  if (engine == NULL || number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  error = options == NULL ? 0 : uvdio__sized_in(&own, sizeof(own), options, size);
  if (error == 0) {
    error = uvdio__engine_check(engine);
  }
  return error != 0 ? error : set_class(engine, number, &own);
}

int uvdio_engine_set_device_model_sized(uvdio_engine_t* engine, const uvdio_device_model_t* model,
                                        size_t size) {
  uvdio_device_model_t own;
  int error;

  if (engine == NULL || model == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__sized_in(&own, sizeof(own), model, size);
  if (error == 0) {
    error = uvdio__engine_check(engine);
  }
  if (error == 0 && !uvdio__device_model_is_whole(&own)) {
    error = UV_EINVAL;
  }
  if (error == 0) {
    error = have_classes(engine);
  }
  if (error == 0) {
    engine->classes->model = own;
  }
  return error;
}

int uvdio_class_stats_sized(const uvdio_engine_t* engine, unsigned number,
                            uvdio_class_stats_t* stats, size_t size) {
  if (engine == NULL || stats == NULL || number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  if (engine->classes == NULL) {
    return UV_ENOENT;
  }
  uvdio__sized_out(stats, size, &engine->classes->classes[number].stats,
                   sizeof(uvdio_class_stats_t));
  return 0;
}

int uvdio_file_set_class(uvdio_file_t* file, unsigned number) {
  int error;

  if (file == NULL || number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || file->access_ == 0) {
    return UV_EBADF;
  }
  error = uvdio__engine_check(file->engine_);
  if (error == 0) {
    file->class_ = (unsigned char)number;
  }
  return error;
}

int uvdio_req_set_class(uvdio_req_t* req, unsigned number) {
  if (req == NULL || number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  if (uvdio__is_pending(req)) {
    return UV_EBUSY;
  }
  req->class_ = (unsigned char)number;
  return 0;
}

/*
 * Charges
 */

static size_t bytes_of(const uvdio_req_t* req) {
  return uvdio__is_transfer(req->op) ? req->length_ - req->transferred : 0;
}

/* Bytes beside those of a small request. */
static double more_than_small(size_t bytes) {
  return bytes > SMALL_REQUEST ? (double)(bytes - SMALL_REQUEST) : 0;
}

/* Nanoseconds of the device's time. */
static uint64_t cost_of(const uvdio__classes_t* classes, const uvdio_req_t* req) {
  const uvdio_device_model_t* model = &classes->model;
  int is_read = req->op == UVDIO_OP_READ;
  double rate = (double)(is_read ? model->read_operations : model->write_operations);
  double byte_rate = (double)(is_read ? model->read_bytes : model->write_bytes);
  size_t bytes = bytes_of(req);
  double cost = model->depth == 0
                    ? COST_NS + (double)bytes * COST_NS / COST_BYTES
                    : 1 + NS_PER_S / rate + more_than_small(bytes) * NS_PER_S / byte_rate;

  return cost < COST_NS_MAX ? (uint64_t)cost : COST_NS_MAX;
}

/* Of CLASS_WEIGHT_MAX, and at least 1: a request that is in flight has a weight. Rounded down, so
 * that model.depth small requests are not too many. */
static unsigned weight_of(const uvdio__classes_t* classes, const uvdio_req_t* req) {
  const uvdio_device_model_t* model = &classes->model;
  double part;

  if (model->depth == 0) {
    return 1;
  }
  part = (double)bytes_of(req) / (double)model->bytes_in_flight;
  part = part > 1.0 / model->depth ? part : 1.0 / model->depth;
  if (part >= 1) {
    return CLASS_WEIGHT_MAX;
  }
  return part * CLASS_WEIGHT_MAX < 1 ? 1 : (unsigned)(part * CLASS_WEIGHT_MAX);
}

static int is_too_heavy(const uvdio__classes_t* classes, const uvdio_req_t* req) {
  return classes->model.depth > 0 && classes->in_flight > 0 &&
         classes->weight + weight_of(classes, req) > CLASS_WEIGHT_MAX;
}

/*
 * Virtual time
 */

/* A class that had nothing to do has saved nothing up; nor has one that was held up. */
static void catch_up(const uvdio__classes_t* classes, class_t* class) {
  if (class->virtual_time < classes->virtual_now) {
    class->virtual_time = classes->virtual_now;
  }
}

/* Virtual times count from now on, which changes none of their differences that matter. */
static void count_anew(uvdio__classes_t* classes) {
  unsigned i;

  for (i = 0; i < UVDIO_CLASSES; i++) {
    class_t* class = &classes->classes[i];
    catch_up(classes, class);
    class->virtual_time -= classes->virtual_now;
  }
  classes->virtual_now = 0;
}

/* A request of the class begins. Virtual time never goes back: a class that was held up by its
 * depth or a limit begins where the others are. */
static void charge_time(uvdio__classes_t* classes, class_t* class, const uvdio_req_t* req) {
  catch_up(classes, class);
  classes->virtual_now = class->virtual_time;
  class->virtual_time += cost_of(classes, req) * UVDIO_SHARES_MAX / class->shares;
  if (classes->virtual_now > VIRTUAL_TIME_MAX) {
    count_anew(classes);
  }
}

/*
 * Limits per second
 */

/* Nanoseconds until the bucket has a token; 0 where it has, or is no limit. */
static double time_to_token(const bucket_t* bucket) {
  return bucket->rate > 0 && bucket->level < 1 ? (1 - bucket->level) * NS_PER_S / bucket->rate : 0;
}

static int has_limits(const class_t* class) {
  return class->operations.rate > 0 || class->bytes.rate > 0;
}

/* Nanoseconds until the limits of the class let another request begin. */
static double time_to_begin(class_t* class) {
  double operations;
  double bytes;

  fill_buckets(class);
  operations = time_to_token(&class->operations);
  bytes = time_to_token(&class->bytes);
  return operations > bytes ? operations : bytes;
}

/* A drain is not limited. */
static int is_limiting(const uvdio_engine_t* engine) {
  return engine->state == ENGINE_OPEN && engine->loop_state == LOOP_ATTACHED;
}

/*
 * Who is next
 */

int uvdio__class_holds(const uvdio_req_t* req) {
  return req->engine_->classes != NULL && req->state_ == STATE_WAITING && !req->charged_;
}

const uvdio__list_t* uvdio__class_waiting(const uvdio_engine_t* engine, unsigned number) {
  return &engine->classes->classes[number].waiting;
}

void uvdio__class_add(uvdio_req_t* req) {
  uvdio__classes_t* classes = req->engine_->classes;
  unsigned number = uvdio__class_number(req->file, req);
  class_t* class = &classes->classes[number];

  assert(!req->charged_ && number < UVDIO_CLASSES);
  req->in_class_ = (unsigned char)number;
  if (uvdio__list_is_empty(&class->waiting)) {
    catch_up(classes, class);
  }
  req->state_ = STATE_WAITING;
  uvdio__list_append(&class->waiting, req);
  class->stats.waiting++;
  class->stats.waiting_bytes += bytes_of(req);
  look_whether_full(req->engine_, class);
}

void uvdio__class_note_wait(const uvdio_req_t* req) {
  req->engine_->classes->classes[req->in_class_].stats.waited++;
}

void uvdio__class_remove(uvdio_req_t* req) {
  class_t* class = &req->engine_->classes->classes[req->in_class_];

  assert(uvdio__class_holds(req) && class->stats.waiting > 0);
  uvdio__list_remove(req);
  class->stats.waiting--;
  class->stats.waiting_bytes -= bytes_of(req);
  look_whether_full(req->engine_, class);
}

/* Whether the class may begin a request. If only its limits are in the way, `wait_ns` becomes the
 * time until they are not, where that is less. */
static int may_begin(class_t* class, int is_limiting, double* wait_ns) {
  double wait;

  if (uvdio__list_is_empty(&class->waiting) || class->stats.in_flight >= class->depth) {
    return 0;
  }
  wait = is_limiting && has_limits(class) ? time_to_begin(class) : 0;
  if (wait <= 0) {
    return 1;
  }
  class->is_held = 1;
  *wait_ns = *wait_ns == 0 || wait < *wait_ns ? wait : *wait_ns;
  return 0;
}

uvdio_req_t* uvdio__class_next(const uvdio_engine_t* engine) {
  uvdio__classes_t* classes = engine->classes;
  int limiting = is_limiting(engine);
  class_t* next = NULL;
  double wait_ns = 0;
  uvdio_req_t* req;
  unsigned i;

  for (i = 0; i < UVDIO_CLASSES; i++) {
    class_t* class = &classes->classes[i];
    if (may_begin(class, limiting, &wait_ns) &&
        (next == NULL || class->virtual_time < next->virtual_time)) {
      next = class;
    }
  }
  classes->wait_ns = wait_ns;
  req = next == NULL ? NULL : uvdio__list_first(&next->waiting);
  return req == NULL || is_too_heavy(classes, req) ? NULL : req;
}

void uvdio__class_wait_for_limits(uvdio_engine_t* engine) {
  double wait_ns = engine->classes->wait_ns;

  if (wait_ns > 0) {
    uvdio__loop_wake_after(engine, 1 + (uint64_t)(wait_ns / NS_PER_MS));
  }
}

void uvdio__class_begin(uvdio_req_t* req) {
  uvdio__classes_t* classes = req->engine_->classes;
  class_t* class = &classes->classes[req->in_class_];
  size_t bytes = bytes_of(req);

  uvdio__class_remove(req);
  charge_time(classes, class, req);
  class->operations.level -= 1;
  class->bytes.level -= (double)bytes;
  class->stats.limited += (uint64_t) class->is_held;
  class->is_held = 0;
  class->stats.operations++;
  class->stats.bytes += bytes;
  class->stats.in_flight++;
  classes->in_flight++;
  req->charged_ = 1;
  req->weight_ = weight_of(classes, req);
  req->ioprio_ = (unsigned short)(uvdio__is_transfer(req->op) ? class->ioprio : 0);
  classes->weight += req->weight_;
}

void uvdio__class_forget(uvdio_req_t* req) {
  uvdio__classes_t* classes = req->engine_->classes;
  class_t* class = &classes->classes[req->in_class_];

  if (req->weight_ == 0) {
    return;
  }
  assert(req->charged_ && classes->in_flight > 0 && class->stats.in_flight > 0 &&
         classes->weight >= req->weight_);
  classes->in_flight--;
  class->stats.in_flight--;
  classes->weight -= req->weight_;
  req->weight_ = 0;
}

void uvdio__class_end(uvdio_req_t* req) {
  uvdio__class_forget(req);
  req->charged_ = 0;
  req->ioprio_ = 0;
}

/* In a forked child somebody may wait still. */
static void free_room_waits(uvdio__classes_t* classes) {
  unsigned i;

  for (i = 0; i < UVDIO_CLASSES && classes->room_waits > 0; i++) {
    class_t* class = &classes->classes[i];
    while (class->room_wait_count > 0) {
      free_room_wait(classes, class, first_room_wait(class));
    }
  }
}

void uvdio__class_free(uvdio_engine_t* engine) {
  if (engine->classes != NULL) {
    free_room_waits(engine->classes);
  }
  uvdio__free(engine->classes, sizeof(*engine->classes), UVDIO__STRUCT_ALIGN);
}
