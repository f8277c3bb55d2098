/* SPDX-License-Identifier: MIT */
/* See server.h. */
#include "server.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "connection.h"

#define TICK_MS 250u
#define BACKLOG 511
/* Connections beyond the most that are allowed, while they are told so. */
#define REFUSED_MAX 64u
/* Descriptors that are neither clients' nor files'. */
#define OTHER_DESCRIPTORS 64u

static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};

static int say(const char* what, int error) {
  fprintf(stderr, "uvdio-httpd: %s: %s (%s)\n", what, uvdio_strerror(error), uvdio_err_name(error));
  return error;
}

/*
 * The end: connections, then files, then the engine, then the loop's handles
 */

static void on_engine_closed(uvdio_engine_t* engine) {
  httpd_server_t* server = uvdio_engine_data(engine);
  uv_close((uv_handle_t*)&server->clock, NULL);
  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
    uv_close((uv_handle_t*)&server->signals[i], NULL);
  }
}

static void on_files_stopped(httpd_files_t* files) {
  int error = uvdio_engine_close(files->engine, on_engine_closed); /* and the root with it */
  assert(error == 0);
  (void)error;
}

static void on_left(httpd_server_t* server) {
  assert(server->count > 0);
  server->count--;
  if (server->is_stopping && server->count == 0) {
    httpd_files_stop(&server->files, on_files_stopped);
  }
}

static void for_each(httpd_server_t* server, void (*act)(httpd_connection_t* connection)) {
  httpd_link_t* link = server->connections.next;
  while (link != &server->connections) {
    httpd_connection_t* connection = HTTPD_OF(link, httpd_connection_t, link);
    link = link->next; /* None is freed before the next iteration of the loop. */
    act(connection);
  }
}

static void stop(httpd_server_t* server) {
  server->is_stopping = 1;
  server->stop_by_ms = uv_now(server->loop) + server->options->stop_ms;
  server->count++; /* for the walk */
  uv_close((uv_handle_t*)&server->listener, NULL);
  for_each(server, httpd_connection_finish);
  on_left(server);
}

/*
 * What comes from outside
 */

static void print_status(const httpd_server_t* server) {
  uvdio_arena_info_t arena;
  (void)uvdio_arena_info(server->arena, &arena);
  fprintf(stderr,
          "uvdio-httpd: %u connections, %" PRIu64 " requests, %" PRIu64 " bytes, %u files, %" PRIu64
          " opened, %zu of %zu frames out\n",
          server->count, server->requests, server->bytes, server->files.count, server->files.opens,
          arena.frames_out, arena.frame_count);
}

static void on_signal(uv_signal_t* handle, int number) {
  httpd_server_t* server = handle->data;
  if (number == SIGUSR1) {
    print_status(server);
  } else if (!server->is_stopping) {
    stop(server);
  } else {
    for_each(server, httpd_connection_close); /* The second one does not wait. */
  }
}

static void on_client(uv_stream_t* listener, int status) {
  httpd_server_t* server = listener->data;
  if (status != 0) {
    (void)say("a client could not be accepted", status);
    return;
  }
  unsigned most = server->options->connections_max;
  server->has_client = server->count >= most + REFUSED_MAX ||
                       httpd_connection_accept(server, server->count >= most) != 0;
}

static void print_date(httpd_server_t* server) {
  httpd_date_print((int64_t)time(NULL), server->date, sizeof(server->date));
}

static void on_tick(uv_timer_t* clock) {
  httpd_server_t* server = clock->data;
  uint64_t now = uv_now(server->loop);
  httpd_link_t* link = server->connections.next;

  print_date(server);
  while (link != &server->connections) {
    httpd_connection_t* connection = HTTPD_OF(link, httpd_connection_t, link);
    link = link->next;
    httpd_connection_look(connection, now);
  }
  if (server->is_stopping && now >= server->stop_by_ms) {
    for_each(server, httpd_connection_close);
  } else if (!server->is_stopping && server->has_client) {
    on_client((uv_stream_t*)&server->listener, 0);
  }
}

/*
 * The begin
 */

/* As many descriptors as clients and files may take; where there are fewer, fewer files stay
 * open. */
static void bound_files(httpd_server_t* server) {
  const httpd_options_t* options = server->options;
  uint64_t others = (uint64_t)options->connections_max + REFUSED_MAX + OTHER_DESCRIPTORS;
  uint64_t wanted = others + options->files_max;
  struct rlimit limit;

  server->files.files_max = options->files_max;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return;
  }
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur < wanted) {
    server->files.files_max = limit.rlim_cur > others ? (unsigned)(limit.rlim_cur - others) : 1;
    fprintf(stderr, "uvdio-httpd: at most %u files stay open: the limit of descriptors is %llu\n",
            server->files.files_max, (unsigned long long)limit.rlim_cur);
  }
}

static int listen_at(httpd_server_t* server) {
  const httpd_options_t* options = server->options;
  struct sockaddr_storage address;
  struct sockaddr_storage bound;
  int length = sizeof(bound);
  int is_v6 = strchr(options->host, ':') != NULL;
  int error = is_v6 ? uv_ip6_addr(options->host, options->port, (struct sockaddr_in6*)&address)
                    : uv_ip4_addr(options->host, options->port, (struct sockaddr_in*)&address);
  if (error != 0) {
    return say(options->host, error);
  }
  error = uv_tcp_init(server->loop, &server->listener);
  server->listener.data = server;
  error = error != 0 ? error : uv_tcp_bind(&server->listener, (const struct sockaddr*)&address, 0);
  error = error != 0 ? error : uv_listen((uv_stream_t*)&server->listener, BACKLOG, on_client);
  error =
      error != 0 ? error : uv_tcp_getsockname(&server->listener, (struct sockaddr*)&bound, &length);
  if (error != 0) {
    return say("cannot listen", error);
  }
  unsigned port = ntohs(is_v6 ? ((struct sockaddr_in6*)&bound)->sin6_port
                              : ((struct sockaddr_in*)&bound)->sin_port);
  printf("uvdio-httpd: http://%s%s%s:%u/ serves %s (%s, %s)\n", is_v6 ? "[" : "", options->host,
         is_v6 ? "]" : "", port, options->root, uvdio_engine_backend(server->engine),
         httpd_parser_name());
  return fflush(stdout) == 0 ? 0 : UV_EIO;
}

static int start_handles(httpd_server_t* server) {
  int error = uv_timer_init(server->loop, &server->clock);
  server->clock.data = server;
  error = error != 0 ? error : uv_timer_start(&server->clock, on_tick, TICK_MS, TICK_MS);
  for (size_t i = 0; error == 0 && i < sizeof(signals) / sizeof(signals[0]); i++) {
    error = uv_signal_init(server->loop, &server->signals[i]);
    server->signals[i].data = server;
    error = error != 0 ? error : uv_signal_start(&server->signals[i], on_signal, signals[i]);
  }
  return error == 0 ? 0 : say("cannot set up the loop", error);
}

int httpd_server_start(httpd_server_t* server, uv_loop_t* loop, const httpd_options_t* options) {
  uvdio_engine_options_t engine = {.backend = options->backend};
  uvdio_arena_options_t arena = {.frame_size = options->frame_size, .frame_count = options->frames};
  memset(server, 0, sizeof(*server));
  server->options = options;
  server->loop = loop;
  server->files.fresh_ms = options->fresh_ms;
  server->files.follows_links = options->follows_links;
  server->on_left = on_left;
  httpd_list_init(&server->connections);
  print_date(server);
  bound_files(server);
  (void)signal(SIGPIPE, SIG_IGN);

  int error = uvdio_engine_create(&server->engine, loop, &engine);
  if (error != 0) {
    return say("cannot create an engine", error);
  }
  uvdio_engine_set_data(server->engine, server);
  error = uvdio_arena_create(&server->arena, &arena);
  if (error != 0) {
    return say("cannot create the arena of frames", error);
  }
  error = httpd_files_start(&server->files, server->engine, options->root);
  if (error != 0) {
    return say(options->root, error);
  }
  error = start_handles(server);
  return error != 0 ? error : listen_at(server);
}

int httpd_server_end(httpd_server_t* server) {
  size_t frames_out = 0;
  assert(httpd_list_is_empty(&server->connections) && server->files.count == 0);
  print_status(server);
  int error = uvdio_arena_destroy(server->arena, &frames_out);
  return error == 0 ? 0 : say("frames were lost", error);
}
