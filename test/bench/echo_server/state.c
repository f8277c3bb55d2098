/* SPDX-License-Identifier: MIT */
/*
 * The first failure of an echo server, which is the one to tell about.
 */
#include <assert.h>

#include "echo_server/state.h"

void echo_server_fail(echo_server_t* server, const char* failure, int error) {
  assert(error != 0);
  if (server->error == 0) {
    server->error = error;
    server->failure = failure;
  }
  server->events->failed(server);
}
