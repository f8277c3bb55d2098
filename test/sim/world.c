/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdlib.h>
#include <string.h>

int world_make(void** state, const uvdio_sim_options_t* options) {
  struct world* w = calloc(1, sizeof(*w));
  if (w == NULL || uv_loop_init(&w->loop) != 0) {
    return -1;
  }
  *state = w;
  w->allocations = uvdio_allocations();
  tracker_init(&w->tracker);
  return uvdio_sim_create(&w->sim, options);
}

int world_empty(void** state) {
  return world_make(state, NULL);
}

int world_open(void** state) {
  int failed = world_empty(state);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

static void close_engine(struct world* w) {
  if (w->engine != NULL) {
    (void)t_engine_close(w->engine, NULL);
    w->engine = NULL;
  }
  watch_for_hang("the loop, after uvdio_engine_close");
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
}

int world_tear_down(void** state) {
  struct world* w = *state;
  close_engine(w);
  tracker_finish(&w->tracker);
  if (w->sim != NULL && uvdio_sim_destroy(w->sim) != 0) {
    tracker_violation(&w->tracker, "uvdio_sim_destroy failed");
  }
  if (uv_loop_close(&w->loop) != 0) {
    tracker_violation(&w->tracker, "handles are left on the loop");
  }
  if (uvdio_allocations() != w->allocations) {
    tracker_violation(&w->tracker, "%zu allocations are out, %zu before", uvdio_allocations(),
                      w->allocations);
  }
  int failed = w->tracker.violation[0] != '\0';
  if (failed) {
    print_error("%s\n", w->tracker.violation);
  }
  free(w);
  return failed;
}

void start(struct world* w) {
  assert_ok(uvdio_sim_engine_create(&w->engine, &w->loop, w->sim, NULL));
}

void open_file(struct world* w, const char* path, unsigned flags) {
  assert_result(t_open(op_now(&w->tracker), w->engine, &w->file, path, flags), 0);
}

void run_world(struct world* w) {
  watch_for_hang("the loop never ends");
  w->tracker.thread = uv_thread_self();
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
  tracker_verdict(&w->tracker);
}

void turn(struct world* w, unsigned times) {
  for (; times > 0; times--) {
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
  }
}

void bury(struct world* w) {
  close_engine(w);
  tracker_verdict(&w->tracker);
  memset(&w->file, 0, sizeof(w->file));
}

void cut(struct world* w, uvdio_sim_cut_t kind) {
  assert_ok(uvdio_sim_power_cut(w->sim, kind));
  bury(w);
  start(w);
}

uvdio_buf_t pattern(size_t size, unsigned seed) {
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, size, UVDIO_BUF_ZEROED));
  fill_pattern(buf.base, size, seed);
  return buf;
}

void write_now(struct world* w, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = pattern(size, seed);
  struct tracked_op* write = t_write(op_now(&w->tracker), &w->file, &buf, offset);
  assert_ok(uvdio_buf_release(&buf));
  assert_result(write, size);
}

void sync_now(struct world* w) {
  assert_result(t_sync_data(op_now(&w->tracker), &w->file), 0);
}

static char* peek(const struct world* w, int on_disk, uint64_t offset, size_t size) {
  char* bytes = malloc(size);
  assert_non_null(bytes);
  if (uvdio_sim_peek(w->sim, "file", on_disk, bytes, size, offset) != (int64_t)size) {
    free(bytes);
    return NULL;
  }
  return bytes;
}

int holds(const struct world* w, int on_disk, uint64_t offset, size_t size, unsigned seed) {
  char* bytes = peek(w, on_disk, offset, size);
  int same = bytes != NULL && is_pattern(bytes, size, seed);
  free(bytes);
  return same;
}

int holds_zeros(const struct world* w, int on_disk, uint64_t offset, size_t size) {
  char* bytes = peek(w, on_disk, offset, size);
  int same = bytes != NULL && is_zero(bytes, size);
  free(bytes);
  return same;
}

int64_t assert_survives(const struct world* w, const char* bytes, size_t most, uint64_t durable) {
  int64_t size = uvdio_sim_size(w->sim, "file", 0);
  assert_true(size >= (int64_t)durable && size <= (int64_t)most);
  char* found = peek(w, 0, 0, (size_t)size);
  assert_non_null(found);
  assert_memory_equal(found, bytes, (size_t)durable);
  for (size_t i = (size_t)durable; i < (size_t)size; i++) {
    assert_true(found[i] == 0 || found[i] == bytes[i]);
  }
  free(found);
  return size;
}

uvdio_sim_stats_t sim_stats(const struct world* w) {
  uvdio_sim_stats_t stats;
  assert_ok(uvdio_sim_stats(w->sim, &stats));
  return stats;
}

uvdio_fault_rule_t rule_for(uvdio_op_t op, uvdio_fault_kind_t kind) {
  uvdio_fault_rule_t rule = {0};
  rule.op = op;
  rule.fault.kind = kind;
  return rule;
}

void add_rule(struct world* w, uvdio_fault_rule_t rule) {
  assert_ok(uvdio_sim_add_rule(w->sim, &rule));
}
