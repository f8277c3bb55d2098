/* SPDX-License-Identifier: MIT */
/*
 * The server: it listens, bounds what connections may take together, ends those that are idle or
 * stuck, and stops when it is asked to.
 */
#ifndef HTTPD_SERVER_H
#define HTTPD_SERVER_H

#include <uvdio.h>

#include "files.h"
#include "list.h"

typedef struct httpd_options_s {
  const char* root;
  const char* host;
  int port; /* 0: one that is free */
  unsigned connections_max;
  unsigned files_max;
  unsigned frames;
  size_t frame_size;   /* bytes */
  unsigned window_max; /* frames that a connection reads ahead */
  uvdio_backend_t backend;
  int follows_links;
  uint64_t fresh_ms;
  uint64_t idle_ms; /* for the next request to begin */
  uint64_t head_ms; /* for a request to be whole, from its first byte on */
  uint64_t send_ms; /* for the client to take anything of an answer */
  uint64_t stop_ms; /* for the answers that are on their way when the server stops */
} httpd_options_t;

typedef struct httpd_server_s httpd_server_t;

struct httpd_server_s {
  const httpd_options_t* options;
  uv_loop_t* loop;
  uvdio_engine_t* engine;
  uvdio_arena_t* arena;
  httpd_files_t files;
  uv_tcp_t listener;
  uv_timer_t clock;
  uv_signal_t signals[3];
  httpd_link_t connections;
  unsigned count; /* of connections */
  int has_client; /* with the listener, because there was no memory for it */
  int is_stopping;
  uint64_t stop_by_ms;
  uint64_t requests; /* answered */
  uint64_t bytes;    /* of files, given to sockets */
  char date[32];
  void (*on_left)(httpd_server_t* server); /* a connection is gone */
};

/* Sets everything up and begins to listen. Blocks; after an error, which it has told on stderr,
 * the process ends. */
int httpd_server_start(httpd_server_t* server, uv_loop_t* loop, const httpd_options_t* options);

/* When the loop has ended. Returns 0, or an error: frames were lost. */
int httpd_server_end(httpd_server_t* server);

#endif
