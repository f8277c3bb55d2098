/* SPDX-License-Identifier: MIT */
/*
 * The echo: what arrives on a connection goes back at once. And the process with the clients, which
 * is started when the port is known, and tells on its standard output, at its end, what it
 * measured.
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "echo_server/echo.h"
#include "echo_server/params.h"
#include "echo_server/state.h"

#define PATH_SIZE 4096

/*
 * Connections.
 */

static void on_alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  connection_t* connection = handle->data;
  (void)suggested;
  *buf = uv_buf_init(connection->bytes, sizeof connection->bytes);
}

static void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t* buf);

static void close_connection(connection_t* connection) {
  if (connection->is_open) {
    connection->is_open = 0;
    uv_close((uv_handle_t*)&connection->tcp, NULL);
  }
}

static void on_written(uv_write_t* write, int status) {
  connection_t* connection = write->data;
  if (connection->is_open && status == 0) {
    (void)uv_read_start((uv_stream_t*)&connection->tcp, on_alloc, on_read);
  }
}

/* The socket is full: the next message waits until this one is gone, since there is one place for
 * both. */
static void write_rest(connection_t* connection, char* bytes, size_t size) {
  uv_buf_t rest = uv_buf_init(bytes, (unsigned)size);
  connection->write.data = connection;
  (void)uv_read_stop((uv_stream_t*)&connection->tcp);
  if (uv_write(&connection->write, (uv_stream_t*)&connection->tcp, &rest, 1, on_written) != 0) {
    close_connection(connection);
  }
}

static void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t* buf) {
  connection_t* connection = stream->data;
  if (got < 0) {
    close_connection(connection);
    return;
  }
  uv_buf_t echo = uv_buf_init(buf->base, (unsigned)got);
  ssize_t written = got > 0 ? uv_try_write(stream, &echo, 1) : 0;
  written = written == UV_EAGAIN ? 0 : written;
  if (written < 0) {
    close_connection(connection);
  } else if (written < got) {
    write_rest(connection, buf->base + written, (size_t)(got - written));
  }
}

static void on_connection(uv_stream_t* listener, int status) {
  echo_t* echo = listener->data;
  echo_server_t* server = echo->server;
  if (status != 0 || echo->accepted == server->params.connections || echo->is_stopped) {
    return;
  }
  connection_t* connection = &echo->connections[echo->accepted];
  int error = uv_tcp_init(&server->loop, &connection->tcp);
  if (error == 0) {
    echo->accepted++;
    connection->tcp.data = connection;
    connection->is_open = 1;
    error = uv_accept(listener, (uv_stream_t*)&connection->tcp);
  }
  error = error == 0 ? uv_tcp_nodelay(&connection->tcp, 1) : error;
  error = error == 0 ? uv_read_start((uv_stream_t*)&connection->tcp, on_alloc, on_read) : error;
  if (error != 0) {
    echo_server_fail(server, "accept", error);
  } else if (echo->accepted == server->params.connections) {
    server->events->connected(server);
  }
}

/*
 * The clients' process.
 */

static void end_clients(echo_t* echo) {
  if (!echo->is_running && !echo->is_telling) {
    echo->server->events->clients_ended(echo->server,
                                        json_loadb(echo->text, echo->length, 0, NULL));
  }
}

static void on_ended(uv_process_t* process, int64_t code, int signal) {
  echo_t* echo = process->data;
  (void)code;
  (void)signal;
  echo->is_running = 0;
  uv_close((uv_handle_t*)process, NULL);
  end_clients(echo);
}

static void on_alloc_text(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  echo_t* echo = handle->data;
  (void)suggested;
  *buf = uv_buf_init(echo->text + echo->length, (unsigned)(sizeof echo->text - echo->length));
}

static void on_text(uv_stream_t* stream, ssize_t got, const uv_buf_t* buf) {
  echo_t* echo = stream->data;
  (void)buf;
  if (got < 0) {
    echo->is_telling = 0;
    uv_close((uv_handle_t*)stream, NULL);
    end_clients(echo);
  } else {
    echo->length += (size_t)got;
  }
}

static char* clients_text(const echo_server_params_t* params, int port) {
  json_t* json =
      json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "port", port, "connections",
                (json_int_t)params->connections, "messages", (json_int_t)params->messages,
                "warmup_ns", (json_int_t)params->warmup_ns, "duration_ns",
                (json_int_t)params->duration_ns, "seed", (json_int_t)params->work.seed);
  char* text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return text;
}

static int start_clients(echo_t* echo, char* text) {
  char program[PATH_SIZE];
  char name[] = "clients";
  size_t size = sizeof program;
  char* arguments[] = {program, name, text, NULL};
  uv_stdio_container_t streams[] = {
      {.flags = UV_IGNORE},
      {.flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE),
       .data.stream = (uv_stream_t*)&echo->pipe},
      {.flags = UV_INHERIT_FD, .data.fd = 2},
  };
  uv_process_options_t options = {
      .file = program, .args = arguments, .stdio = streams, .stdio_count = 3, .exit_cb = on_ended};
  int error = uv_exepath(program, &size);
  error = error == 0 ? uv_pipe_init(&echo->server->loop, &echo->pipe, 0) : error;
  if (error != 0) {
    return error;
  }
  echo->pipe.data = echo;
  echo->is_telling = 1;
  echo->process.data = echo;
  error = uv_spawn(&echo->server->loop, &echo->process, &options);
  echo->is_running = error == 0;
  return error == 0 ? uv_read_start((uv_stream_t*)&echo->pipe, on_alloc_text, on_text) : error;
}

static int listen_anywhere(echo_t* echo, int* port) {
  struct sockaddr_in address;
  int size = sizeof address;
  int error = uv_tcp_init(&echo->server->loop, &echo->listener);
  if (error != 0) {
    return error;
  }
  echo->listener.data = echo;
  error = uv_ip4_addr("127.0.0.1", 0, &address);
  error = error == 0 ? uv_tcp_bind(&echo->listener, (const struct sockaddr*)&address, 0) : error;
  error = error == 0
              ? uv_listen((uv_stream_t*)&echo->listener, ECHO_SERVER_CONNECTIONS_MAX, on_connection)
              : error;
  error =
      error == 0 ? uv_tcp_getsockname(&echo->listener, (struct sockaddr*)&address, &size) : error;
  *port = ntohs(address.sin_port);
  return error;
}

int echo_open(echo_t* echo, echo_server_t* server) {
  int port;
  echo->server = server;
  echo->connections = calloc(server->params.connections, sizeof *echo->connections);
  if (echo->connections == NULL) {
    return UV_ENOMEM;
  }
  int error = listen_anywhere(echo, &port);
  char* text = error == 0 ? clients_text(&server->params, port) : NULL;
  if (error == 0) {
    error = text != NULL ? start_clients(echo, text) : UV_ENOMEM;
  }
  free(text);
  return error;
}

void echo_stop(echo_t* echo) {
  echo->is_stopped = 1;
  for (unsigned i = 0; i < echo->accepted; i++) {
    close_connection(&echo->connections[i]);
  }
  if (echo->listener.data != NULL) {
    uv_close((uv_handle_t*)&echo->listener, NULL);
  }
  if (echo->is_running) { /* something failed: what it would tell nobody waits for */
    (void)uv_process_kill(&echo->process, SIGTERM);
  }
  if (echo->is_telling && !echo->is_running) {
    echo->is_telling = 0;
    uv_close((uv_handle_t*)&echo->pipe, NULL);
  }
}

void echo_close(echo_t* echo) {
  free(echo->connections);
}
