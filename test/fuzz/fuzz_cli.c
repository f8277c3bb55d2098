/* SPDX-License-Identifier: MIT */
/*
 * What people and programs type: options of the commands, numbers, sizes, seconds, and the
 * parameters that `uvdio-bench target` takes as JSON. The first byte tells what the others are;
 * lines are arguments.
 *
 * No command does its work here: each gets more operands than it takes, and stops there with a
 * message.
 */
#include <getopt.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/path.h"
#include "compare/compare.h"
#include "copy/copy.h"
#include "input.h"
#include "scaling/scaling.h"
#include "server/server.h"
#include "target/params.h"

#define ARGUMENTS_MAX 32
#define OPERANDS 6

static void quiet(void) {
  static int is_quiet;
  if (!is_quiet) {
    is_quiet = 1;
#ifdef __GLIBC__ /* the streams; a fuzzer and the sanitizers have the descriptors */
    stdout = fopen("/dev/null", "w");
    stderr = fopen("/dev/null", "w");
#else
    (void)freopen("/dev/null", "w", stdout);
    (void)freopen("/dev/null", "w", stderr);
#endif
  }
}

static void run_command(char* text, const char* name, int (*command)(int argc, char** argv)) {
  char* arguments[ARGUMENTS_MAX + OPERANDS + 2] = {(char*)(uintptr_t)name};
  static char operand[] = "/nonexistent/operand";
  int count = 1;
  for (char* line = strtok(text, "\n"); line != NULL && count < ARGUMENTS_MAX;
       line = strtok(NULL, "\n")) {
    if (strcmp(line, "--") != 0) { /* after it, options would be operands, and that is all */
      arguments[count++] = line;
    }
  }
  for (int i = 0; i < OPERANDS; i++) {
    arguments[count++] = operand;
  }
  optind = 0;
  int code = command(count, arguments);
  REQUIRE(code == CLI_USAGE || code == CLI_OK);
}

/* Subcommands of uvdio-bench were once options of bench; the inputs know them as such. */
static void run_bench(char* text) {
  static const struct {
    const char* line;
    const char* name;
    int (*command)(int argc, char** argv);
  } others[] = {{"--compare\n", "compare", compare_main},
                {"--copy\n", "copy", copy_bench_main},
                {"--scaling\n", "scaling", scaling_main},
                {"--server\n", "server", server_main}};
  for (size_t i = 0; i < CLI_COUNT_OF(others); i++) {
    size_t length = strlen(others[i].line);
    if (strncmp(text, others[i].line, length) == 0) {
      run_command(text + length, others[i].name, others[i].command);
      return;
    }
  }
  run_command(text, "bench", bench_main);
}

/* What was accepted is within the bounds that were given. */
static void parse_values(const char* text) {
  uint64_t value;
  uvdio_backend_t backend;
  if (parse_count("fuzz", "--option", text, 3, 1000, &value) == 0) {
    REQUIRE(value >= 3 && value <= 1000);
  }
  if (parse_bytes("fuzz", "--option", text, 8192, (uint64_t)1 << 62, &value) == 0) {
    REQUIRE(value >= 8192 && value <= (uint64_t)1 << 62 && value % UVDIO_ALIGNMENT == 0);
  }
  if (parse_seconds("fuzz", "--option", text, &value) == 0) {
    REQUIRE(value >= 1000000 && value <= 86400 * UINT64_C(1000000000));
  }
  if (parse_backend("fuzz", "--option", text, &backend) == 0) {
    REQUIRE(strcmp(backend_text(backend), text) == 0);
  }
}

static void join_paths(char* text) {
  char* name = strchr(text, '\n');
  if (name == NULL) {
    return;
  }
  *name++ = '\0';
  char* path = path_join(text, name);
  REQUIRE(path != NULL && strlen(path) <= strlen(text) + strlen(name) + 1);
  REQUIRE(strncmp(path, text, strlen(text)) == 0);
  REQUIRE(strcmp(path + strlen(path) - strlen(name), name) == 0);
  free(path);
}

static void unpack_json(const char* text) {
  work_params_t params = {0};
  json_t* json = json_loads(text, 0, NULL);
  if (json != NULL && target_params_unpack(json, &params) == 0) {
    REQUIRE(params.files >= 1 && params.files <= WORK_FILES_MAX);
    REQUIRE(params.loops >= 1 && params.loops <= WORK_LOOPS_MAX);
    REQUIRE(params.depth >= 1 && params.depth <= WORK_DEPTH_MAX);
    REQUIRE(params.block_size >= 1 && params.file_size >= params.block_size);
    REQUIRE(params.duration_ns <= INT64_MAX && params.operations <= INT64_MAX);
    REQUIRE(work_kind_text(params.kind) != NULL);
    REQUIRE(params.target != NULL && params.directory != NULL);
  }
  json_decref(json);
}

static void format_numbers(const char* text) {
  char small[16];
  double number = atof(text);
  uint64_t bytes = number >= 0 && number < 1.8e19 ? (uint64_t)number : 0;
  REQUIRE(format_size(small, sizeof(small), bytes) == small && strlen(small) < sizeof(small));
  REQUIRE(format_count(small, sizeof(small), number) == small && strlen(small) < sizeof(small));
  REQUIRE(format_rate(small, sizeof(small), number) == small && strlen(small) < sizeof(small));
  REQUIRE(format_time(small, sizeof(small), number) == small && strlen(small) < sizeof(small));
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  unsigned what = size > 0 ? bytes[0] : 0;
  size_t length = size > 0 ? size - 1 : 0;
  char* text = malloc(length + 1);
  REQUIRE(text != NULL);
  if (length > 0) {
    memcpy(text, bytes + 1, length);
  }
  text[length] = '\0';
  quiet();
  switch (what % 7) {
    case 0:
      run_command(text, "copy", copy_main);
      break;
    case 1:
      run_bench(text);
      break;
    case 2:
      run_command(text, "probe", probe_main);
      break;
    case 3:
      unpack_json(text);
      break;
    case 4:
      join_paths(text);
      break;
    case 5:
      format_numbers(text);
      break;
    default:
      parse_values(text);
  }
  free(text);
  return 0;
}
