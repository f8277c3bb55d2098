/* SPDX-License-Identifier: MIT */
/*
 * A callback of a stream's own, where no request of it is under way to bring one: soon, or when the
 * class of its requests has room again.
 */
#ifndef UVDIO_TICKER_H
#define UVDIO_TICKER_H

#include "uvdio.h"

typedef void (*uvdio__tick_cb)(void* stream);

typedef struct uvdio__ticker_s {
  uvdio_file_t* file;
  uvdio__tick_cb cb;
  void* stream;
  unsigned* pending; /* requests of the stream, of which a tick is one */
  int is_pending;
  int is_for_room;        /* of a tick that is pending */
  unsigned awaited_class; /* of the last wait for room; the file's may have changed since */
  uvdio_req_t req;
  uvdio_stat_t stat;
} uvdio__ticker_t;

void uvdio__ticker_init(uvdio__ticker_t* ticker, uvdio_file_t* file, unsigned* pending,
                        uvdio__tick_cb cb, void* stream);

/* Where a tick is pending, that is the one; of the room of a class it waits no longer. */
int uvdio__tick_soon(uvdio__ticker_t* ticker);

/* Does nothing where a tick is pending. UVDIO_CLASS_DEFAULT is the file's class. */
int uvdio__tick_when_there_is_room(uvdio__ticker_t* ticker, unsigned class_number);

/* Whether the stream has its turn ahead, and is to submit nothing before. */
static inline int uvdio__is_room_awaited(const uvdio__ticker_t* ticker) {
  return ticker->is_pending && ticker->is_for_room;
}

/* A tick that waits for room waits no longer. */
void uvdio__tick_at_once(uvdio__ticker_t* ticker);

#endif /* UVDIO_TICKER_H */
