/* SPDX-License-Identifier: MIT */
/*
 * A client goes through these states:
 *
 *   open ----------------------> ending -------------> shut ----------> closed
 *    |   QUIT, a wrong request,         all replies         the peer has closed,
 *    |   the peer's end, a stop         have gone out       or a second has passed
 *    +-> closed: an error of the socket
 *
 * An open client is held, which means that its requests stay where they are and it is not read
 * from, while its replies take too much memory or the store has no room. A client that is ending
 * runs no request; what it sends is not looked at.
 */
#include "server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX ((size_t)1024 * 1024)
#define PARTS 64u
#define WRITES_PER_TURN 16u
#define FEED_MAX ((size_t)16 * 1024) /* hiredis moves the rest of what it has, again and again */
#define BACKLOG 511
#define TICK_MS 250u
#define TICKS_OF_SHUT 4u
#define TICKS_OF_STOP 8u

typedef struct client_s {
  uv_tcp_t tcp;
  kv_server_t* server;
  kv_link_t all;
  kv_link_t turn; /* in server->due or server->stalled, or in none */
  kv_requests_t requests;
  kv_output_t output;
  uv_write_t write;
  uv_shutdown_t shutdown;
  size_t writing; /* bytes of a write that is under way */
  unsigned ticks; /* since the client, or the server, was told to end */
  int is_due;
  int is_reading;
  int is_held;
  int is_ending;
  int is_at_end; /* the peer has closed its side */
  int is_shut;
} client_t;

static client_t* client_of(kv_link_t* link, size_t offset) {
  return (client_t*)(void*)((char*)link - offset);
}

static uv_stream_t* stream_of(client_t* client) {
  return (uv_stream_t*)&client->tcp;
}

static int is_closing(const client_t* client) {
  return uv_is_closing((const uv_handle_t*)&client->tcp);
}

static void make_due(client_t* client) {
  if (!client->is_due && !is_closing(client)) {
    client->is_due = 1;
    kv_list_move(&client->server->due, &client->turn);
  }
}

static void on_reply_ready(void* arg) {
  make_due(arg);
}

/*
 * The end of a client
 */

static void look_whether_stopped(kv_server_t* server) {
  if (server->is_stopping && kv_list_is_empty(&server->clients) && server->stopped_cb != NULL) {
    void (*stopped_cb)(kv_server_t*) = server->stopped_cb;
    server->stopped_cb = NULL;
    stopped_cb(server);
  }
}

static void on_client_closed(uv_handle_t* handle) {
  client_t* client = handle->data;
  kv_server_t* server = client->server;

  kv_requests_free(&client->requests);
  kv_output_free(&client->output);
  free(client);
  server->counts.clients--;
  look_whether_stopped(server);
}

static void close_client(client_t* client) {
  if (!is_closing(client)) {
    kv_list_remove(&client->all);
    kv_list_remove(&client->turn);
    uv_close((uv_handle_t*)&client->tcp, on_client_closed);
  }
}

static void end_client(client_t* client) {
  client->is_ending = 1;
  client->is_held = 0;
  make_due(client);
}

/* A close at once, with bytes that were not read, would take the last replies from the peer. */
static void shut_where_done(client_t* client) {
  if (!client->is_ending || client->output.first != NULL || client->writing > 0 ||
      client->is_shut) {
    return;
  }
  if (client->is_at_end || uv_shutdown(&client->shutdown, stream_of(client), NULL) != 0) {
    close_client(client);
    return;
  }
  client->is_shut = 1;
}

/*
 * Requests
 */

static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buf);

static void give_buffer(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  kv_server_t* server = ((client_t*)handle->data)->server;

  (void)suggested;
  *buf = uv_buf_init(server->buffer, sizeof(server->buffer));
}

static void set_reading(client_t* client, int is_wanted) {
  if (client->is_reading == is_wanted || client->is_at_end || is_closing(client)) {
    return;
  }
  client->is_reading = is_wanted;
  if (!is_wanted) {
    (void)uv_read_stop(stream_of(client));
  } else if (uv_read_start(stream_of(client), give_buffer, on_read) != 0) {
    close_client(client);
  }
}

static int may_run(const client_t* client) {
  return !client->is_ending && client->output.bytes < OUTPUT_MAX &&
         kv_store_has_room(client->server->store);
}

static void run_request(client_t* client, kv_request_t* request) {
  kv_server_t* server = client->server;
  kv_action_t action = kv_command_run(server->store, &server->counts, request, &client->output);

  if (action != KV_GO_ON) {
    end_client(client);
  }
  if (action == KV_SHUTDOWN) {
    kv_server_stop(server);
  }
}

static void run_requests(client_t* client) {
  kv_request_t request;

  while (may_run(client) && kv_requests_next(&client->requests, &request)) {
    run_request(client, &request);
    kv_request_free(&request);
  }
  if (client->requests.error != NULL && !client->is_ending) {
    kv_output_error(&client->output, "ERR %s", client->requests.error);
    end_client(client);
  }
  client->is_held = !client->is_ending && !may_run(client);
}

/* The peer's end comes behind its requests: those that are held are run yet. */
static void look_whether_at_end(client_t* client) {
  if (client->is_at_end && !client->is_held && !client->is_ending) {
    end_client(client);
  }
}

static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buf) {
  client_t* client = stream->data;

  if (size < 0) {
    client->is_reading = 0;
    client->is_at_end = 1;
    (void)uv_read_stop(stream);
    if (size != UV_EOF || client->is_shut) {
      close_client(client);
    } else {
      look_whether_at_end(client);
    }
    return;
  }
  for (size_t done = 0; done < (size_t)size && !client->is_ending;) {
    size_t left = (size_t)size - done;
    size_t part = left < FEED_MAX ? left : FEED_MAX;
    kv_requests_feed(&client->requests, buf->base + done, part);
    run_requests(client);
    done += part;
  }
  set_reading(client, !client->is_held);
  make_due(client);
}

/*
 * Replies
 */

static void on_written(uv_write_t* write, int status) {
  client_t* client = write->data;

  if (status < 0) {
    close_client(client);
    return;
  }
  kv_output_sent(&client->output, client->writing);
  client->writing = 0;
  make_due(client);
}

static size_t size_of(const uv_buf_t* parts, unsigned count) {
  size_t size = 0;

  for (unsigned i = 0; i < count; i++) {
    size += parts[i].len;
  }
  return size;
}

/* What the socket does not take at once waits in it. */
static void write_rest(client_t* client) {
  uv_buf_t parts[PARTS];
  unsigned count =
      kv_output_ready(&client->output, kv_store_durable(client->server->store), parts, PARTS);

  client->writing = size_of(parts, count);
  client->write.data = client;
  if (uv_write(&client->write, stream_of(client), parts, count, on_written) != 0) {
    close_client(client);
  }
}

/* Returns 1 where all of what was ready has gone out, and more may be. */
static int write_some(client_t* client) {
  uv_buf_t parts[PARTS];
  unsigned count =
      kv_output_ready(&client->output, kv_store_durable(client->server->store), parts, PARTS);
  size_t size = size_of(parts, count);
  int sent;

  if (count == 0) {
    return 0;
  }
  sent = uv_try_write(stream_of(client), parts, count);
  if (sent < 0 && sent != UV_EAGAIN) {
    close_client(client);
    return 0;
  }
  kv_output_sent(&client->output, sent > 0 ? (size_t)sent : 0);
  if (sent < 0 || (size_t)sent < size) {
    write_rest(client);
    return 0;
  }
  return 1;
}

static void write_replies(client_t* client) {
  unsigned left = WRITES_PER_TURN;

  while (client->writing == 0 && left > 0 && write_some(client)) {
    left--;
  }
  if (left == 0) {
    make_due(client); /* others come first */
  }
  if (!is_closing(client) && kv_output_error_of(&client->output) != 0) {
    fprintf(stderr, "uvdio-kv: cannot read a value: %s\n",
            uvdio_strerror(kv_output_error_of(&client->output)));
    close_client(client); /* a part of the value may have gone out */
  }
}

/*
 * Turns
 */

/* A client that is held by its own replies is due when half of them have gone out. */
static void settle(client_t* client) {
  kv_server_t* server = client->server;

  shut_where_done(client);
  if (is_closing(client) || client->is_due) {
    return;
  }
  if (client->is_held && may_run(client) && client->output.bytes < OUTPUT_MAX / 2) {
    make_due(client);
  } else if ((client->is_held && !kv_store_has_room(server->store)) ||
             kv_output_waits(&client->output, kv_store_durable(server->store))) {
    kv_list_move(&server->stalled, &client->turn);
  }
}

static void go_on_with_held(client_t* client) {
  if (client->is_held && client->output.bytes < OUTPUT_MAX / 2) {
    run_requests(client);
    look_whether_at_end(client);
  }
  set_reading(client, !client->is_held);
}

static void on_idle(uv_idle_t* idle) {
  (void)idle; /* active: the loop does not wait */
}

static void on_turn(uv_prepare_t* prepare) {
  kv_server_t* server = prepare->data;
  kv_link_t now;
  int wants_more;

  kv_list_init(&now);
  kv_list_move_all(&now, &server->due);
  for (kv_link_t *link = now.next, *next; link != &now; link = next) {
    next = link->next;
    go_on_with_held(client_of(link, offsetof(client_t, turn)));
  }
  wants_more = kv_store_turn(server->store);
  kv_list_move_all(&now, &server->due);
  while (!kv_list_is_empty(&now)) {
    client_t* client = client_of(now.next, offsetof(client_t, turn));
    kv_list_remove(&client->turn);
    client->is_due = 0;
    write_replies(client);
    settle(client);
  }
  if (wants_more || !kv_list_is_empty(&server->due)) {
    (void)uv_idle_start(&server->idle, on_idle);
  } else {
    (void)uv_idle_stop(&server->idle);
  }
}

void kv_server_wake(kv_server_t* server) {
  while (!kv_list_is_empty(&server->stalled)) {
    make_due(client_of(server->stalled.next, offsetof(client_t, turn)));
  }
}

static void on_tick(uv_timer_t* timer) {
  kv_server_t* server = timer->data;

  for (kv_link_t *link = server->clients.next, *next; link != &server->clients; link = next) {
    client_t* client = client_of(link, offsetof(client_t, all));
    next = link->next;
    if (client->is_shut || server->is_stopping) {
      client->ticks++;
    }
    if (client->ticks > (client->is_shut ? TICKS_OF_SHUT : TICKS_OF_STOP)) {
      close_client(client);
    }
  }
}

/*
 * The server
 */

static client_t* make_client(kv_server_t* server) {
  client_t* client = kv_alloc(sizeof(*client));

  memset(client, 0, sizeof(*client));
  (void)uv_tcp_init(server->listener.loop, &client->tcp);
  client->tcp.data = client;
  client->server = server;
  client->output.ready_cb = on_reply_ready;
  client->output.arg = client;
  kv_requests_init(&client->requests, server->store->options.value_max);
  kv_list_init(&client->all);
  kv_list_init(&client->turn);
  kv_list_move(&server->clients, &client->all);
  server->counts.clients++;
  server->counts.connections++;
  return client;
}

static void on_connection(uv_stream_t* listener, int status) {
  kv_server_t* server = listener->data;
  client_t* client;

  if (status < 0) {
    return; /* the next one may do */
  }
  client = make_client(server);
  if (uv_accept(listener, stream_of(client)) != 0) {
    close_client(client);
    return;
  }
  (void)uv_tcp_nodelay(&client->tcp, 1);
  set_reading(client, 1);
  if (server->counts.clients > server->clients_max) {
    kv_output_error(&client->output, "ERR max number of clients reached");
    end_client(client);
  }
}

int kv_server_init(kv_server_t* server, kv_store_t* store) {
  uv_loop_t* loop = uvdio_engine_loop(store->engine);

  server->store = store;
  kv_list_init(&server->clients);
  kv_list_init(&server->due);
  kv_list_init(&server->stalled);
  (void)uv_prepare_init(loop, &server->prepare);
  (void)uv_idle_init(loop, &server->idle);
  (void)uv_timer_init(loop, &server->timer);
  server->prepare.data = server;
  server->idle.data = server;
  server->timer.data = server;
  server->counts.started_ms = uv_now(loop);
  (void)uv_prepare_start(&server->prepare, on_turn);
  return uv_timer_start(&server->timer, on_tick, TICK_MS, TICK_MS);
}

static int address_of(const char* text, int port, struct sockaddr_storage* address) {
  return strchr(text, ':') != NULL ? uv_ip6_addr(text, port, (struct sockaddr_in6*)(void*)address)
                                   : uv_ip4_addr(text, port, (struct sockaddr_in*)(void*)address);
}

static int port_of(const struct sockaddr_storage* address) {
  return ntohs(address->ss_family == AF_INET6
                   ? ((const struct sockaddr_in6*)(const void*)address)->sin6_port
                   : ((const struct sockaddr_in*)(const void*)address)->sin_port);
}

int kv_server_listen(kv_server_t* server, const char* address, int port, unsigned clients_max) {
  struct sockaddr_storage name;
  int size = sizeof(name);
  int error = address_of(address, port, &name);

  if (error != 0) {
    return error;
  }
  server->clients_max = clients_max;
  (void)uv_tcp_init(uvdio_engine_loop(server->store->engine), &server->listener);
  server->listener.data = server;
  error = uv_tcp_bind(&server->listener, (struct sockaddr*)&name, 0);
  if (error == 0) {
    error = uv_listen((uv_stream_t*)&server->listener, BACKLOG, on_connection);
  }
  if (error == 0) {
    error = uv_tcp_getsockname(&server->listener, (struct sockaddr*)&name, &size);
  }
  server->counts.port = error == 0 ? port_of(&name) : 0;
  return error;
}

static void on_listener_closed(uv_handle_t* handle) {
  look_whether_stopped(handle->data);
}

void kv_server_stop(kv_server_t* server) {
  if (server->is_stopping) {
    return;
  }
  server->is_stopping = 1;
  for (kv_link_t* link = server->clients.next; link != &server->clients; link = link->next) {
    end_client(client_of(link, offsetof(client_t, all)));
  }
  uv_close((uv_handle_t*)&server->listener, on_listener_closed);
}

static void on_handle_closed(uv_handle_t* handle) {
  kv_server_t* server = handle->data;

  if (--server->open_handles == 0) {
    server->closed_cb(server);
  }
}

void kv_server_close(kv_server_t* server) {
  assert(server->is_stopping && kv_list_is_empty(&server->clients));
  server->open_handles = 3;
  uv_close((uv_handle_t*)&server->prepare, on_handle_closed);
  uv_close((uv_handle_t*)&server->idle, on_handle_closed);
  uv_close((uv_handle_t*)&server->timer, on_handle_closed);
}
