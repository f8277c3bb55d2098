/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench clients JSON: the clients of the echo. Messages are due at times that are fixed
 * beforehand (a Poisson process over all connections), each on a connection taken at random. A
 * message is sent when it is due even if the one before is not back, and its latency counts from
 * when it was due: a server that stalls is charged for every message that came meanwhile, and not
 * for the one that noticed (no coordinated omission).
 *
 * The time when it was due travels in the message, so that nothing is to be remembered here. How
 * late a message really left is told as well: what the clients' own process waited for a processor
 * is in the latency, too.
 */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli/meter.h"
#include "cli/pattern.h"
#include "cli/report.h"
#include "echo_server/alarm.h"
#include "echo_server/clients.h"
#include "echo_server/params.h"
#include "harness/work.h"
#include "uvdio.h"

/* When the last messages are given up. */
#define PATIENCE_NS ((uint64_t)10000000000)

typedef struct {
  uint64_t due_ns;
  char padding[56];
} message_t;

typedef struct clients_s clients_t;

typedef struct {
  clients_t* clients;
  uv_tcp_t tcp;
  uv_connect_t connect;
  int is_open;
  char bytes[sizeof(message_t) * 16];
  size_t length; /* of an incomplete message */
} client_t;

struct clients_s {
  int port;
  unsigned connections;
  double gap_ns; /* between messages, on average */
  uint64_t warmup_ns;
  uint64_t duration_ns;
  uint64_t random;
  uv_loop_t loop;
  alarm_t alarm;
  client_t* clients;
  unsigned connected;
  uint64_t measured_ns; /* what is due from then on counts */
  uint64_t end_ns;
  double due_ns;
  uint64_t outstanding;
  int stopped;
  int error;
  const char* failure;
  meter_t latency;
  meter_t lateness;
};

static void stop(clients_t* all) {
  if (all->stopped) {
    return;
  }
  all->stopped = 1;
  alarm_close(&all->alarm);
  for (unsigned i = 0; i < all->connections; i++) {
    if (all->clients[i].is_open) {
      uv_close((uv_handle_t*)&all->clients[i].tcp, NULL);
    }
  }
}

static void fail(clients_t* all, const char* failure, int error) {
  assert(error != 0);
  if (all->error == 0) {
    all->error = error;
    all->failure = failure;
  }
  stop(all);
}

/*
 * Messages.
 */

/* The time between two messages of a Poisson process. */
static double next_gap(clients_t* all) {
  double share =
      ((double)(random_next(&all->random) >> 11) + 1) / 9007199254740992.0; /* of 2^53: never 0 */
  return -log(share) * all->gap_ns;
}

static void send_message(clients_t* all, uint64_t due_ns) {
  message_t message = {.due_ns = due_ns};
  uint64_t random = random_next(&all->random);
  client_t* client = &all->clients[work_below((uint32_t)(random >> 32), all->connections)];
  uv_buf_t buf = uv_buf_init((char*)&message, sizeof message);
  if (due_ns >= all->measured_ns) {
    meter_record(&all->lateness, due_ns, uv_hrtime(), sizeof message);
  }
  int written = uv_try_write((uv_stream_t*)&client->tcp, &buf, 1);
  if (written != (int)sizeof message) { /* a socket holds many seconds of messages */
    fail(all, "send", written < 0 ? written : UV_ENOBUFS);
    return;
  }
  all->outstanding++;
}

static void on_due(alarm_t* alarm) {
  clients_t* all = alarm->data;
  uint64_t now_ns = uv_hrtime();
  while (!all->stopped && all->due_ns <= (double)now_ns && all->due_ns < (double)all->end_ns) {
    send_message(all, (uint64_t)all->due_ns);
    all->due_ns += next_gap(all);
  }
  if (all->stopped) {
    return;
  }
  if (all->due_ns < (double)all->end_ns) {
    alarm_set(alarm, (uint64_t)all->due_ns);
  } else if (all->outstanding == 0) {
    stop(all);
  } else if (now_ns > all->end_ns + PATIENCE_NS) {
    fail(all, "echo", UV_ETIMEDOUT);
  } else {
    alarm_set(alarm, all->end_ns + PATIENCE_NS + 1);
  }
}

static void take_message(clients_t* all, const message_t* message, uint64_t now_ns) {
  assert(all->outstanding > 0 && message->due_ns <= now_ns);
  all->outstanding--;
  if (message->due_ns >= all->measured_ns) {
    meter_record(&all->latency, message->due_ns, now_ns, sizeof *message);
  }
  if (all->outstanding == 0 && all->due_ns >= (double)all->end_ns) {
    stop(all);
  }
}

static void on_alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  client_t* client = handle->data;
  (void)suggested;
  *buf = uv_buf_init(client->bytes + client->length,
                     (unsigned)(sizeof client->bytes - client->length));
}

static void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t* buf) {
  client_t* client = stream->data;
  uint64_t now_ns = uv_hrtime();
  size_t at = 0;
  message_t message;
  (void)buf;
  if (got < 0) {
    fail(client->clients, "echo", (int)got);
    return;
  }
  client->length += (size_t)got;
  for (; client->length - at >= sizeof message; at += sizeof message) {
    memcpy(&message, client->bytes + at, sizeof message);
    take_message(client->clients, &message, now_ns);
  }
  client->length -= at;
  memmove(client->bytes, client->bytes + at, client->length);
}

/*
 * Connections.
 */

static void begin(clients_t* all) {
  uint64_t now_ns = uv_hrtime();
  all->due_ns = (double)now_ns;
  all->measured_ns = now_ns + all->warmup_ns;
  all->end_ns = all->measured_ns + all->duration_ns;
  meter_start(&all->latency);
  meter_start(&all->lateness);
  on_due(&all->alarm);
}

static void on_connect(uv_connect_t* connect, int status) {
  client_t* client = connect->data;
  clients_t* all = client->clients;
  if (all->stopped) {
    return;
  }
  int error = status == 0 ? uv_tcp_nodelay(&client->tcp, 1) : status;
  error = error == 0 ? uv_read_start((uv_stream_t*)&client->tcp, on_alloc, on_read) : error;
  if (error != 0) {
    fail(all, "connect", error);
  } else if (++all->connected == all->connections) {
    begin(all);
  }
}

static int connect_client(clients_t* all, client_t* client) {
  struct sockaddr_in address;
  int error = uv_tcp_init(&all->loop, &client->tcp);
  if (error != 0) {
    return error;
  }
  client->clients = all;
  client->is_open = 1;
  client->tcp.data = client;
  client->connect.data = client;
  error = uv_ip4_addr("127.0.0.1", all->port, &address);
  return error == 0 ? uv_tcp_connect(&client->connect, &client->tcp,
                                     (const struct sockaddr*)&address, on_connect)
                    : error;
}

static int open_clients(clients_t* all) {
  all->clients = calloc(all->connections, sizeof *all->clients);
  if (all->clients == NULL || uv_loop_init(&all->loop) != 0) {
    return UV_ENOMEM;
  }
  int error = alarm_open(&all->alarm, &all->loop, on_due);
  all->alarm.data = all;
  for (unsigned i = 0; i < all->connections && error == 0; i++) {
    error = connect_client(all, &all->clients[i]);
  }
  return error;
}

/*
 * The process.
 */

static json_t* outcome_json(const clients_t* all) {
  const meter_t* latency = &all->latency;
  if (all->error != 0) {
    return json_pack("{s:s, s:s}", "failed", all->failure, "message", uvdio_strerror(all->error));
  }
  return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "messages", (json_int_t)latency->operations,
                   "messages_per_s", (double)latency->operations / ((double)all->duration_ns / 1e9),
                   "p50_us", meter_quantile(latency, 0.5) / 1e3, "p99_us",
                   meter_quantile(latency, 0.99) / 1e3, "p999_us",
                   meter_quantile(latency, 0.999) / 1e3, "late_p99_us",
                   meter_quantile(&all->lateness, 0.99) / 1e3);
}

static int unpack_params(json_t* json, clients_t* all) {
  json_int_t connections = 0, messages = 0, warmup = 0, duration = 0, seed = 1;
  int error = json_unpack(json, "{s:i, s:I, s:I, s:I, s:I, s:I}", "port", &all->port, "connections",
                          &connections, "messages", &messages, "warmup_ns", &warmup, "duration_ns",
                          &duration, "seed", &seed);
  if (error != 0 || all->port < 1 || all->port > 65535 || connections < 1 ||
      connections > ECHO_SERVER_CONNECTIONS_MAX || messages < 1 ||
      messages > ECHO_SERVER_MESSAGES_MAX || warmup < 0 || duration < 1) {
    return -1;
  }
  all->connections = (unsigned)connections;
  all->gap_ns = 1e9 / (double)messages;
  all->warmup_ns = (uint64_t)warmup;
  all->duration_ns = (uint64_t)duration;
  all->random = ((uint64_t)seed + 1) * 0x9E3779B97F4A7C15u;
  all->random = all->random != 0 ? all->random : 1;
  return 0;
}

int clients_main(int argc, char** argv) {
  static clients_t all; /* too large for some stacks */
  json_t* json = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
  int error = json != NULL ? unpack_params(json, &all) : -1;
  json_decref(json);
  if (error != 0) {
    return report_usage("clients",
                        "it is what `uvdio-bench server` starts, and takes its parameters");
  }
  error = open_clients(&all);
  if (error != 0) {
    return report_json(
        "clients", json_pack("{s:s, s:s}", "failed", "connect", "message", uvdio_strerror(error)));
  }
  (void)uv_run(&all.loop, UV_RUN_DEFAULT);
  (void)uv_loop_close(&all.loop);
  free(all.clients);
  return report_json("clients", outcome_json(&all));
}
