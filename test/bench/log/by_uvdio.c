/* SPDX-License-Identifier: MIT */
/*
 * Commits by this library's log. All clients are on one loop; a client's callback begins its next
 * commit.
 */
#include <stdlib.h>
#include <uv.h>
#include <uvdio/log.h>

#include "cli/session.h"
#include "log/methods.h"

#define WARM_UP 64

typedef struct run_s run_t;

typedef struct client_s {
  run_t* run;
  uvdio_log_append_t append;
  uint64_t began_ns;
} client_t;

struct run_s {
  commits_t* commits;
  session_t session;
  uvdio_log_t* log;
  client_t* clients;
  uint64_t segment; /* in which the last commit lies */
  uint64_t segment_size;
  int error;
};

static void note(run_t* run, int error) {
  run->error = run->error == 0 ? error : run->error;
}

/*
 * Open and close
 */

static void on_end(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  note(arg, status);
}

static int open_log(run_t* run) {
  const commits_params_t* params = run->commits->params;
  uvdio_engine_options_t engine = {.backend = params->backend};
  uvdio_log_options_t options = {0};
  if (run->commits->method == COMMITS_ROLLING) {
    options.segment_size = params->segment_size;
  }
  if (run->commits->method == COMMITS_PACKED) {
    options.flags = UVDIO_LOG_PACKED;
  }
  run->segment_size = options.segment_size == 0 ? (uint64_t)64 << 20 : options.segment_size;
  run->commits->failed = "start an engine for";
  int error = session_open(&run->session, &engine);
  if (error != 0) {
    return error;
  }
  run->commits->failed = "open a log in";
  error = uvdio_log_open(&run->log, run->session.engine, run->commits->folder, &options, NULL,
                         on_end, run);
  if (error != 0) {
    session_close(&run->session);
    return error;
  }
  session_run(&run->session); /* until the next segment is there as well */
  return 0;
}

/* The next run begins with what this one leaves: with one segment. */
static void close_log(run_t* run) {
  note(run, run->error != 0 ? 0 : uvdio_log_cut(run->log, uvdio_log_durable(run->log)));
  session_run(&run->session);
  int error = uvdio_log_close(run->log, on_end, run);
  note(run, error);
  session_run(&run->session);
  session_close(&run->session);
}

int commits_prepare_uvdio(commits_t* commits) {
  run_t run = {.commits = commits};
  int error = open_log(&run);
  if (error == 0) {
    close_log(&run);
  }
  return error != 0 ? error : run.error;
}

/*
 * Commits
 */

static void begin(client_t* client);

/* As a program does that has taken its checkpoint: what is in earlier segments is not needed. */
static void cut_behind(run_t* run, uint64_t lsn) {
  uint64_t segment = lsn / run->segment_size;
  if (segment != run->segment) {
    run->segment = segment;
    note(run, uvdio_log_cut(run->log, lsn));
  }
}

static void on_durable(uvdio_log_append_t* append, int status) {
  client_t* client = append->data;
  run_t* run = client->run;
  note(run, status);
  if (status == 0) {
    client->began_ns = commits_note(run->commits, client->began_ns);
    cut_behind(run, append->lsn);
  }
  if (run->error == 0 && client->began_ns != 0) {
    begin(client);
  }
}

static void begin(client_t* client) {
  run_t* run = client->run;
  note(run, uvdio_log_append(run->log, &client->append, run->commits->record,
                             run->commits->params->record_size, on_durable));
}

static void set_up_clients(run_t* run) {
  for (unsigned i = 0; i < run->commits->params->clients; i++) {
    run->clients[i].run = run;
    run->clients[i].append.data = &run->clients[i];
  }
}

/* An engine tries two ways of durable writes by its first 64. The clock has not started, so that a
 * client ends with its first commit. */
static void warm_up(run_t* run) {
  for (unsigned i = 0; i < WARM_UP && run->error == 0; i++) {
    begin(&run->clients[0]);
    session_run(&run->session);
  }
}

static void measure(run_t* run) {
  const commits_params_t* params = run->commits->params;
  uvdio_log_stats_t before = {0};
  uvdio_log_stats_t after = {0};
  (void)uvdio_log_stats(run->log, &before);
  commits_start(run->commits);
  for (unsigned i = 0; i < params->clients && run->error == 0; i++) {
    run->clients[i].began_ns = uv_hrtime();
    begin(&run->clients[i]);
  }
  session_run(&run->session);
  commits_end(run->commits);
  (void)uvdio_log_stats(run->log, &after);
  run->commits->flushes = after.flushes - before.flushes;
  run->commits->rolls = after.last_segment - before.last_segment;
}

int commits_by_uvdio(commits_t* commits) {
  run_t run = {.commits = commits};
  run.clients = calloc(commits->params->clients, sizeof(*run.clients));
  int error = run.clients == NULL ? UV_ENOMEM : open_log(&run);
  if (error == 0) {
    if (run.error == 0) {
      commits->failed = "append to a log in";
      set_up_clients(&run);
      warm_up(&run);
      measure(&run);
    }
    close_log(&run);
    error = run.error;
  }
  free(run.clients);
  return error;
}
