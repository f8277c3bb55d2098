/*
 * One figure of one peer in one cell: by a child that is this program, or by a witness.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

const contender_t contenders[] = {
    {"ring", CONTENDER_CHILD, "4", 1, "uvdio on io_uring, buffers from an arena, which is registered"},
    {"ring-plain", CONTENDER_CHILD, "4", 1, "the same with the arena not registered"},
    {"ring-heap", CONTENDER_CHILD, "4", 0, "the same with buffers from the heap"},
    {"ring-prompt", CONTENDER_CHILD, "4", 0, "as ring, in batches of one: a system call for each request"},
    {"ring-busy", CONTENDER_CHILD, "4", 0, "as ring, with busy polling for up to 0.2 ms a turn"},
    {"pool", CONTENDER_CHILD, "4", 1, "uvdio on libuv's threadpool, 4 threads"},
    {"pool-32", CONTENDER_CHILD, "32", 0, "the same with 32 threads"},
    {"limit", CONTENDER_CHILD, "4", 1, "a bare liburing loop: registered, submit_and_wait, nothing else"},
    {"limit-prompt", CONTENDER_CHILD, "4", 1, "the same with a system call for each request"},
    {"uv-4", CONTENDER_CHILD, "4", 1, "uv_fs_read and uv_fs_write, 4 threads (libuv's default)"},
    {"uv-32", CONTENDER_CHILD, "32", 1, "the same with 32 threads"},
    {"fio-uring", CONTENDER_FIO, "io_uring", 1, "fio, ioengine=io_uring, registered buffers and files"},
    {"fio-libaio", CONTENDER_FIO, "libaio", 1, "fio, ioengine=libaio"},
    {"qemu-img", CONTENDER_QEMU, "io_uring", 1, "qemu-img bench -i io_uring; random is a fixed stride there"},
};
const size_t contender_count = CLI_COUNT_OF(contenders);

void compare_child_environment(const contender_t* peer) {
  (void)setenv("UV_THREADPOOL_SIZE", peer->detail, 1);
}

int compare_child_argv(const compare_t* compare, size_t cell, size_t peer, uint64_t operations,
                       const char* argv[4], char** text) {
  work_params_t params = compare_params(compare, cell);
  json_t* json = json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "peer", compare->peers[peer]->name,
      "directory", params.directory, "operation", work_kind_text(params.kind), "files", (json_int_t)params.files,
      "loops", (json_int_t)params.loops, "depth", (json_int_t)params.depth, "block_size",
      (json_int_t)params.block_size, "file_size", (json_int_t)params.file_size, "duration_ns",
      (json_int_t)params.duration_ns, "operations", (json_int_t)operations, "seed", (json_int_t)params.seed, "pin",
      params.pin, "huge_pages", params.huge_pages);
  *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  argv[0] = compare->program;
  argv[1] = "bench-peer";
  argv[2] = *text;
  argv[3] = NULL;
  return *text != NULL ? 0 : -1;
}

double compare_number(const json_t* json, const char* path) {
  char key[64];
  while (json != NULL && *path != '\0') {
    size_t length = strcspn(path, "/");
    snprintf(key, sizeof key, "%.*s", (int)length, path);
    json = json_is_array(json) ? json_array_get(json, 0) : json_object_get(json, key);
    path += length + (path[length] == '/');
  }
  return json_is_number(json) ? json_number_value(json) : NAN;
}

/*
 * uvdio bench-peer
 */

static int take_child(compare_t* compare, size_t cell, size_t peer, json_t* json, sample_t* sample) {
  row_t* row = compare_row(compare, cell, peer);
  const char* name = compare->peers[peer]->name;
  const char* failed = json_string_value(json_object_get(json, "failed"));
  if (failed != NULL) {
    notes_add(&compare->notes, "%s in blocks of %zu at depth %u: %s: %s.", name, compare->cells[cell].block_size,
              compare->cells[cell].depth, failed, json_string_value(json_object_get(json, "message")));
    return -1;
  }
  sample->iops = compare_number(json, "iops");
  sample->p50_us = compare_number(json, "p50_us");
  sample->p99_us = compare_number(json, "p99_us");
  sample->p999_us = compare_number(json, "p999_us");
  sample->cpu_us_per_op = compare_number(json, "cpu_us_per_op");
  sample->rss_kib = compare_number(json, "rss_kib");
  const char* executed_by = json_string_value(json_object_get(json, "executed_by"));
  if (executed_by != NULL) {
    snprintf(row->executed_by, sizeof row->executed_by, "%s", executed_by);
  }
  if (executed_by != NULL && strncmp(executed_by, name, strlen(executed_by)) != 0) {
    notes_add(&compare->notes, "%s: its reads and writes were executed by %s.", name, executed_by);
  }
  const char* unregistered = json_string_value(json_object_get(json, "unregistered"));
  if (unregistered != NULL) {
    notes_add(&compare->notes, "%s in blocks of %zu: its buffers were not registered: %s.", name,
              compare->cells[cell].block_size, unregistered);
  }
  json_decref(row->first_engine);
  row->first_engine = json_incref(json_object_get(json, "first_engine"));
  return 0;
}

static int sample_child(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  const char* argv[4];
  char* text;
  child_t child;
  compare_child_environment(compare->peers[peer]);
  int error = compare_child_argv(compare, cell, peer, 0, argv, &text);
  error = error != 0 ? UV_ENOMEM : child_run(argv, 1, &child);
  free(text);
  if (error != 0) {
    notes_add(&compare->notes, "%s could not be started: %s.", compare->peers[peer]->name, uvdio_strerror(error));
    return -1;
  }
  json_t* json = json_loads(child.output, 0, NULL);
  if (json == NULL && child_signal() == 0) {
    notes_add(&compare->notes, "%s ended with exit code %d and told nothing.", compare->peers[peer]->name, child.code);
  }
  int result = json != NULL ? take_child(compare, cell, peer, json, sample) : -1;
  json_decref(json);
  free(child.output);
  return result;
}

int compare_sample(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  *sample = (sample_t){NAN, NAN, NAN, NAN, NAN, NAN};
  switch (compare->peers[peer]->kind) {
    case CONTENDER_CHILD:
      return sample_child(compare, cell, peer, sample);
    case CONTENDER_FIO:
      return sample_fio(compare, cell, peer, sample);
    case CONTENDER_QEMU:
      return sample_qemu(compare, cell, peer, sample);
  }
  return -1;
}
