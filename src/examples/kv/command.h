/* SPDX-License-Identifier: MIT */
/*
 * What each request does: it asks or changes the store, and has its reply put into the output.
 */
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

#include "output.h"
#include "request.h"
#include "store.h"

/* For INFO. */
typedef struct kv_server_counts_s {
  uint64_t started_ms; /* of uv_now() */
  uint64_t connections;
  uint64_t commands;
  unsigned clients;
  int port;
} kv_server_counts_t;

typedef enum {
  KV_GO_ON = 0,
  KV_QUIT,    /* the client is closed when its replies have gone out */
  KV_SHUTDOWN /* the server stops */
} kv_action_t;

kv_action_t kv_command_run(kv_store_t* store, kv_server_counts_t* counts, kv_request_t* request,
                           kv_output_t* output);

#endif /* KV_COMMAND_H */
