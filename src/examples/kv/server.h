/* SPDX-License-Identifier: MIT */
/*
 * Clients and their sockets. What the requests of one turn of the loop have changed goes into the
 * log at its end, and what can go out to a client by then goes in one write.
 */
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "command.h"
#include "list.h"

typedef struct kv_server_s kv_server_t;
struct kv_server_s {
  kv_store_t* store;
  unsigned clients_max;
  kv_server_counts_t counts;
  uv_tcp_t listener;
  uv_prepare_t prepare; /* the end of a turn: what follows is the wait for events */
  uv_idle_t idle;       /* active: the next turn comes at once */
  uv_timer_t timer;
  kv_link_t clients;
  kv_link_t due;     /* clients that may have something to do at the end of the turn */
  kv_link_t stalled; /* clients that wait for the store */
  int is_stopping;
  int is_closed;
  unsigned open_handles;                   /* of the server, while it is closed */
  void (*stopped_cb)(kv_server_t* server); /* no client is left */
  void (*closed_cb)(kv_server_t* server);
  void* data;
  char buffer[65536]; /* what arrives, for a moment */
};

/* Turns of the loop do the store's work from now on. The callbacks and `data` are set, the rest is
 * zero. */
int kv_server_init(kv_server_t* server, kv_store_t* store);

/* Returns 0 or an error; counts.port tells the port. */
int kv_server_listen(kv_server_t* server, const char* address, int port, unsigned clients_max);

/* The store has changed: more is durable, or it has room. */
void kv_server_wake(kv_server_t* server);

/* No more requests; the replies of those that were taken go out, and all clients are closed:
 * stopped_cb. */
void kv_server_stop(kv_server_t* server);

/* Closes the server's handles, when the store has closed. */
void kv_server_close(kv_server_t* server);

#endif /* KV_SERVER_H */
