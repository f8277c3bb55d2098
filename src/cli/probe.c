/* SPDX-License-Identifier: MIT */
/*
 * uvdio probe: what this machine and the filesystem of a path offer, found out by trying. It is a
 * page that people paste into a report of a fault, so that it has what a maintainer asks for.
 */
#include <assert.h>
#include <getopt.h>
#include <jansson.h>
#include <uv.h>

#include "cli.h"
#include "measure.h"
#include "options.h"
#include "probe.h"
#include "report.h"

#define BACKEND_COUNT 4
#define REASON_SIZE 768

static const char usage[] =
    "usage: uvdio probe [--json] PATH\n"
    "       uvdio probe --measure FILE\n"
    "\n"
    "Prints what this machine and the filesystem of PATH offer for direct I/O:\n"
    "versions, machine and container; each backend, and why it is available or not;\n"
    "the backend that an engine takes; mount, backend, direct I/O and alignment of a\n"
    "file at PATH; and the limits that matter. It belongs into a report of a fault.\n"
    "\n"
    "PATH is a file, whose first page is read, or a directory, in which a temporary\n"
    "file is created and removed at once.\n"
    "\n"
    "  --json          the same as one JSON object\n"
    "  --measure FILE  measures the device on which FILE is to lie, for some seconds and\n"
    "                  by a temporary file of 128 MiB, and writes to FILE what keeps it\n"
    "                  busy: a device model, for uvdio_device_model_read()\n"
    "  --help          this text\n"
    "\n"
    "Exit codes: 0 done, 1 PATH can't be used, 2 wrong usage, 128+N ended by signal N\n"
    "(--measure).\n";

/*
 * Backends, and what an engine takes. They are asked while there is no engine, which might have
 * taken what a further ring needs.
 */

typedef struct {
  int error; /* 0: available */
  char reason[REASON_SIZE];
} backend_facts_t;

static const uvdio_backend_t backends[BACKEND_COUNT] = {
    UVDIO_BACKEND_RING,
    UVDIO_BACKEND_AIO,
    UVDIO_BACKEND_POOL,
    UVDIO_BACKEND_MEMORY,
};

static void find_backends(backend_facts_t* found) {
  for (size_t i = 0; i < BACKEND_COUNT; i++) {
    found[i].error = uvdio_backend_probe(backends[i], found[i].reason, sizeof found[i].reason);
  }
}

static void tell_backends(page_t* page, const backend_facts_t* found) {
  json_t* list = json_array();
  page_section(page, NULL, "Backends");
  for (size_t i = 0; i < BACKEND_COUNT; i++) {
    const char* name = backend_text(backends[i]);
    int is_there = found[i].error == 0;
    page_line(page, "  %-8s %-14s %s", name, is_there ? "available" : "not available",
              found[i].reason);
    json_array_append_new(
        list,
        json_pack("{s:s, s:b, s:s?, s:s}", "name", name, "available", is_there, "error",
                  is_there ? NULL : uvdio_err_name(found[i].error), "reason", found[i].reason));
  }
  page_value(page, "backends", list);
}

/* Whether an arena of 1 MiB, the piece in which they are registered, can be: that is where a limit
 * on locked memory shows. */
static int try_registration(uvdio_engine_t* engine, uvdio_registration_t* registration) {
  const uvdio_arena_options_t options = {.frame_count = 256};
  uvdio_arena_t* arena;
  int error = uvdio_arena_create(&arena, &options);
  if (error == 0) {
    error = uvdio_arena_register(engine, arena);
    int told = uvdio_arena_registration(engine, arena, registration);
    assert(told == 0);
    (void)told;
    (void)uvdio_arena_destroy(arena, NULL);
  }
  return error;
}

static void tell_engine(page_t* page, uvdio_engine_t* engine) {
  uvdio_registration_t registration = {.reason = ""}; /* whose texts outlive the arena */
  int error = try_registration(engine, &registration);
  const char* backend = uvdio_engine_backend(engine);
  const char* reason = uvdio_engine_backend_reason(engine);
  const char* why = error == 0                     ? ""
                    : *registration.reason != '\0' ? registration.reason
                                                   : uvdio_strerror(error);
  page_line(page, "  An engine takes %s: %s", backend, reason);
  page_line(page, "  It registers the memory of arenas: %s%s", error == 0 ? "yes" : "no, ", why);
  page_value(page, "engine",
             json_pack("{s:s, s:s, s:b, s:s}", "backend", backend, "reason", reason, "registers",
                       error == 0, "registers_reason", why));
}

/* The engine is asked after the file: its answer can change when it is first used. Polled
 * completions are asked for, so that it tells of them, too. */
static int tell_engine_and_file(page_t* page, const char* path) {
  uvdio_engine_options_t options = {.flags = UVDIO_ENGINE_POLLED};
  session_t session;
  probe_file_t file;
  int error = session_open(&session, &options);
  if (error != 0) {
    return session_report("probe", UVDIO_BACKEND_AUTO, error);
  }
  int code = probe_open(&file, &session, path);
  tell_engine(page, session.engine);
  if (file.is_open) {
    probe_path(page, &file);
  }
  probe_close(&file);
  session_close(&session);
  return code;
}

static int tell(page_t* page, const char* path) {
  backend_facts_t found[BACKEND_COUNT];
  find_backends(found);
  probe_versions(page);
  probe_host(page);
  tell_backends(page, found);
  page_value(page, "path", json_string(path)); /* left out where it is not UTF-8 */
  page_value(page, "engine", json_null());
  page_value(page, "file", json_null());
  int code = tell_engine_and_file(page, path);
  probe_limits(page);
  return code;
}

static int probe(const char* path, int as_json) {
  page_t page;
  if (page_open(&page) != 0) {
    return report_error("probe", "probe", path, UV_ENOMEM);
  }
  int code = tell(&page, path);
  int printed = page_print(&page, "probe", as_json);
  return code != CLI_OK ? code : printed;
}

int probe_main(int argc, char** argv) {
  enum { OPTION_JSON = CLI_OPTION_FIRST, OPTION_MEASURE };
  static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
                                          {"measure", required_argument, NULL, OPTION_MEASURE},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char* model = NULL;
  int as_json = 0, answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    switch (answer) {
      case OPTION_JSON:
        as_json = 1;
        break;
      case OPTION_MEASURE:
        model = optarg;
        break;
      case 'h':
        fputs(usage, stdout);
        return CLI_OK;
      default:
        return report_option("probe", argv, answer);
    }
  }
  if (model != NULL) {
    return as_json || argc > optind ? report_usage("probe", "--measure takes a FILE and no more")
                                    : probe_measure(model);
  }
  if (argc - optind != 1) {
    return report_usage("probe", "it takes one PATH, a file or a directory");
  }
  return probe(argv[optind], as_json);
}
