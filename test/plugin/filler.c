/* SPDX-License-Identifier: MIT */
/*
 * A library that takes the least of the room that the C library keeps for thread-local variables of
 * libraries that come late.
 */
static _Thread_local long filler __attribute__((tls_model("initial-exec"), used));

long* filler_of_this_thread(void);

__attribute__((visibility("default"))) long* filler_of_this_thread(void) {
  return &filler;
}
