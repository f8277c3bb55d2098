/*
 * Work that keeps the threadpool's threads occupied: there is always as much of it as was asked for, in the queue or
 * with a thread. It goes through uv_queue_work. uv_getaddrinfo would not do: libuv lets it have half of the threads.
 */
#include <stdlib.h>
#include <string.h>

#include "serve.h"

static const char* const kind_names[WORKS_KIND_COUNT] = {
    [WORKS_NONE] = "none", [WORKS_SLEEP] = "sleep", [WORKS_CPU] = "cpu"};

const char* works_kind_text(works_kind_t kind) {
  return kind_names[kind];
}

int works_kind_parse(const char* text, works_kind_t* kind) {
  for (int i = 0; i < WORKS_KIND_COUNT; i++) {
    if (strcmp(text, kind_names[i]) == 0) {
      *kind = (works_kind_t)i;
      return 0;
    }
  }
  return -1;
}

/* On one of the threads. */
static void run(uv_work_t* request) {
  const works_t* works = request->data;
  const serve_params_t* params = &works->serve->params;
  if (params->works_kind == WORKS_SLEEP) {
    uv_sleep(params->works_ms);
    return;
  }
  uint64_t end_ns = uv_hrtime() + (uint64_t)params->works_ms * 1000000;
  while (uv_hrtime() < end_ns) {
  }
}

static void on_run(uv_work_t* request, int status) {
  works_t* works = request->data;
  (void)status;
  works->done += works->serve->io.recording != 0;
  if (!works->stopping) {
    int error = uv_queue_work(&works->serve->loop, request, run, on_run);
    if (error != 0) {
      serve_fail(works->serve, "uv_queue_work", error);
    }
  }
}

int works_open(works_t* works, serve_t* serve) {
  works->serve = serve;
  works->requests = calloc(serve->params.works + 1, sizeof *works->requests);
  return works->requests != NULL ? 0 : UV_ENOMEM;
}

int works_begin(works_t* works) {
  const serve_params_t* params = &works->serve->params;
  int error = 0;
  for (unsigned i = 0; params->works_kind != WORKS_NONE && i < params->works && error == 0; i++) {
    works->requests[i].data = works;
    error = uv_queue_work(&works->serve->loop, &works->requests[i], run, on_run);
  }
  return error;
}

void works_stop(works_t* works) {
  works->stopping = 1;
}

void works_close(works_t* works) {
  free(works->requests);
}
