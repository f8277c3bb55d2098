/* SPDX-License-Identifier: MIT */
/*
 * Whether io_uring works here, with which flags, and what else this kernel has: found out by use,
 * not by its version.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ring/ring.h"

#define OPS_KNOWN 64

typedef struct probe_s {
  size_t step; /* of the ladder */
  uint64_t supported;
  int has_sparse_buffers;
  int has_clones;
  int can_clone_buffers;
} probe_t;

/* From best to plainest; a kernel that does not know a flag answers EINVAL, and the next line is
 * tried. */
static const struct {
  unsigned flags;
  const char* words;
} setup_flags_by_preference[] = {
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_DEFER_TASKRUN,
     "single issuer, deferred task work"}, /* Linux 6.1 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_COOP_TASKRUN,
     "single issuer, cooperative task work"}, /* 6.0 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
     "cooperative task work"},               /* 5.19 */
    {IORING_SETUP_SUBMIT_ALL, "submit all"}, /* 5.18 */
    {0, "no optional flags"},                /* 5.10 */
};
#define LADDER_LENGTH (sizeof(setup_flags_by_preference) / sizeof(setup_flags_by_preference[0]))

static const char* kernel_release(struct utsname* name) {
  return uname(name) == 0 ? name->release : "unknown";
}

/* What went wrong and what would help, in words. */
void uvdio__ring_explain(int error, const char* call, char* reason, size_t size) {
  struct utsname kernel;
  struct rlimit limit = {0, 0};

  switch (error) {
    case UV_ENOSYS:
      (void)snprintf(
          reason, size,
          "%s is not there (ENOSYS): Linux %s is too old for io_uring, which takes 5.10, or a "
          "seccomp filter hides it",
          call, kernel_release(&kernel));
      break;
    case UV_EPERM:
    case UV_EACCES:
      (void)snprintf(
          reason, size,
          "%s is denied (%s): allow io_uring_setup, io_uring_enter and io_uring_register in "
          "the container's seccomp profile, and set the sysctl kernel.io_uring_disabled to 0",
          call, uv_err_name(error));
      break;
    case UV_ENOMEM:
      (void)getrlimit(RLIMIT_MEMLOCK, &limit);
      (void)snprintf(
          reason, size,
          "%s ran out of memory (ENOMEM): raise the limit on locked memory (ulimit -l, now "
          "%llu KiB; rings closed a moment ago still count) or ask for a smaller depth",
          call, (unsigned long long)limit.rlim_cur / 1024);
      break;
    case UV_EMFILE:
    case UV_ENFILE:
      (void)snprintf(
          reason, size,
          "%s found no free file descriptor (%s): raise the limit on open files (ulimit -n)", call,
          uv_err_name(error));
      break;
    default:
      (void)snprintf(reason, size, "%s failed with %s on Linux %s (io_uring takes 5.10 or later)",
                     call, uv_err_name(error), kernel_release(&kernel));
  }
}

/* An entry of zeros. */
static struct io_uring_sqe* get_sqe(struct io_uring* ring) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(ring);

  assert(sqe != NULL);
  memset(sqe, 0, sizeof(*sqe));
  return sqe;
}

/* Sends on the only entry there is. Returns its result, or a negative errno. */
static int await_one(struct io_uring* ring) {
  struct io_uring_cqe* cqe;
  unsigned retries = 0;
  int result;

  do {
    result = io_uring_submit_and_wait(ring, 1);
  } while (result == -EINTR && retries++ < UVDIO__RETRIES_MAX);
  if (result >= 0) {
    result = io_uring_peek_cqe(ring, &cqe);
  }
  if (result == 0) {
    result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
  }
  return result;
}

/* One no-op must come back, and ring the eventfd. */
static int round_trip(struct io_uring* ring, int event, const char** call) {
  uint64_t count;
  int result;

  *call = "io_uring_register";
  result = io_uring_register_eventfd(ring, event);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  *call = "io_uring_enter";
  uvdio__ring_fill(get_sqe(ring), IORING_OP_NOP, -1, NULL, 0, 0);
  result = await_one(ring);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  *call = "the ring's eventfd";
  return read(event, &count, sizeof(count)) == (ssize_t)sizeof(count) ? 0 : UV_EIO;
}

static uint64_t supported_ops(struct io_uring* ring) {
  struct io_uring_probe* probed = io_uring_get_probe_ring(ring);
  uint64_t supported = 0;
  int op;

  if (probed == NULL) {
    return 0;
  }
  for (op = 0; op < OPS_KNOWN; op++) {
    if (io_uring_opcode_supported(probed, op)) {
      supported |= UINT64_C(1) << op;
    }
  }
  io_uring_free_probe(probed);
  return supported;
}

static int has_sparse_buffers(const struct io_uring* ring) {
  struct io_uring_rsrc_register table;

  memset(&table, 0, sizeof(table));
  table.nr = 1;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  return uvdio__ring_register(ring->ring_fd, IORING_REGISTER_BUFFERS2, &table, sizeof(table)) !=
         -EINVAL;
}

/* A kernel that has it complains about the descriptor, one that has not about the call. */
static int has_clones(const struct io_uring* ring) {
  uvdio__clone_t clone;

  memset(&clone, 0, sizeof(clone));
  clone.source = UINT32_MAX;
  clone.flags = UVDIO__CLONE_REPLACE;
  return uvdio__ring_register(ring->ring_fd, UVDIO__REGISTER_CLONE_BUFFERS, &clone, 1) == -EBADF;
}

/* Puts an empty entry of `source` in front of one that a read then goes to. */
static int keeps_entries(struct io_uring* ring, struct io_uring* source, int event) {
  static _Alignas(UVDIO_PAGE_SIZE) char page[UVDIO_PAGE_SIZE];
  const struct iovec memory = {page, sizeof(page)};
  const uvdio__clone_t clone = {
      .source = (uint32_t)source->ring_fd, .flags = UVDIO__CLONE_REPLACE, .count = 1};
  const uint64_t one = 1;
  struct io_uring_sqe* sqe;

  (void)uvdio__ring_register(ring->ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
  if (uvdio__ring_make_table(source->ring_fd, 1) < 0 ||
      uvdio__ring_make_table(ring->ring_fd, 2) < 0 ||
      uvdio__ring_update_table(ring->ring_fd, 1, &memory, 1) < 0 ||
      uvdio__ring_register(ring->ring_fd, UVDIO__REGISTER_CLONE_BUFFERS, &clone, 1) < 0 ||
      write(event, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
    return 0;
  }
  sqe = get_sqe(ring);
  uvdio__ring_fill(sqe, IORING_OP_READ_FIXED, event, page, sizeof(uint64_t), 0);
  sqe->buf_index = 1;
  return await_one(ring) == (int)sizeof(uint64_t);
}

/* Whether copying into a table leaves the rest of it alone. Until 6.17 (and in 6.18.0) it emptied
 * what lies behind. */
static int can_clone_buffers(struct io_uring* ring, int event) {
  struct io_uring source;
  int kept;

  if (io_uring_queue_init(1, &source, 0) < 0) {
    return 0;
  }
  kept = keeps_entries(ring, &source, event);
  io_uring_queue_exit(&source);
  return kept;
}

static int try_step(size_t step, int event, probe_t* probe, const char** call) {
  struct io_uring_params params;
  struct io_uring ring;
  int error;

  memset(&params, 0, sizeof(params));
  params.flags = setup_flags_by_preference[step].flags;
  *call = "io_uring_setup";
  error = io_uring_queue_init_params(4, &ring, &params);
  if (error < 0) {
    return uv_translate_sys_error(-error);
  }
  error = round_trip(&ring, event, call);
  if (error == 0) {
    probe->step = step;
    probe->supported = supported_ops(&ring);
    probe->has_sparse_buffers = has_sparse_buffers(&ring);
    probe->has_clones = has_clones(&ring);
    probe->can_clone_buffers = probe->has_clones && can_clone_buffers(&ring, event);
  }
  io_uring_queue_exit(&ring);
  return error;
}

static void describe(const probe_t* probe, char* reason, size_t size) {
  struct utsname kernel;
  (void)snprintf(reason, size, "io_uring works here (Linux %s: %s)", kernel_release(&kernel),
                 setup_flags_by_preference[probe->step].words);
}

static int probe_ring(probe_t* probe, char* reason, size_t size) {
  const uint64_t needed = UINT64_C(1) << IORING_OP_READ | UINT64_C(1) << IORING_OP_WRITE;
  const char* call = "eventfd";
  int error = UV_EINVAL;
  size_t i;
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  if (event == -1) {
    error = uv_translate_sys_error(errno);
    uvdio__ring_explain(error, call, reason, size);
    return error;
  }
  for (i = 0; i < LADDER_LENGTH && error == UV_EINVAL; i++) {
    error = try_step(i, event, probe, &call);
  }
  (void)close(event);
  if (error == 0 && (probe->supported & needed) != needed) {
    error = UV_ENOSYS;
    call = "reading through a ring";
  }
  if (error != 0) {
    uvdio__ring_explain(error, call, reason, size);
    return error;
  }
  describe(probe, reason, size);
  return 0;
}

/* What the first engine found out holds for all: flags and operations are the kernel's. That saves
 * a ring per engine, and its share of the locked memory, which the kernel takes back late. A
 * refusal is not kept. The index into the ladder, plus one, is published last. */
static atomic_size_t cached_step;
static _Atomic uint64_t cached_ops;
static atomic_int cached_sparse_buffers;
static atomic_int cached_clones;
static atomic_int cached_clone_sources;

static void remember(const probe_t* probe) {
  atomic_store_explicit(&cached_ops, probe->supported, memory_order_relaxed);
  atomic_store_explicit(&cached_sparse_buffers, probe->has_sparse_buffers, memory_order_relaxed);
  atomic_store_explicit(&cached_clones, probe->has_clones, memory_order_relaxed);
  atomic_store_explicit(&cached_clone_sources, probe->can_clone_buffers, memory_order_relaxed);
  atomic_store_explicit(&cached_step, probe->step + 1, memory_order_release);
}

static int probe_once(probe_t* probe, char* reason, size_t size) {
  size_t step = atomic_load_explicit(&cached_step, memory_order_acquire);
  int error;

  if (step > 0) {
    probe->step = step - 1;
    probe->supported = atomic_load_explicit(&cached_ops, memory_order_relaxed);
    probe->has_sparse_buffers = atomic_load_explicit(&cached_sparse_buffers, memory_order_relaxed);
    probe->has_clones = atomic_load_explicit(&cached_clones, memory_order_relaxed);
    probe->can_clone_buffers = atomic_load_explicit(&cached_clone_sources, memory_order_relaxed);
    describe(probe, reason, size);
    return 0;
  }
  error = probe_ring(probe, reason, size);
  if (error == 0) {
    remember(probe);
  }
  return error;
}

int uvdio__ring_features(uvdio__ring_features_t* features, char* reason, size_t size) {
  probe_t probe;
  int error;

  memset(&probe, 0, sizeof(probe));
  error = probe_once(&probe, reason, size);
  if (error == 0) {
    features->flags = setup_flags_by_preference[probe.step].flags;
    features->supported = probe.supported;
    features->has_sparse_buffers = probe.has_sparse_buffers;
    features->has_clones = probe.has_clones;
    features->can_clone_buffers = probe.can_clone_buffers;
  }
  return error;
}

int uvdio__ring_probe(char* reason, size_t size) {
  probe_t probe;

  memset(&probe, 0, sizeof(probe));
  return probe_ring(&probe, reason, size);
}
