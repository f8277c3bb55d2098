/* SPDX-License-Identifier: MIT */
/*
 * A tick is a stat, which no class refuses, of a class that is not the stream's; or the room of a
 * class, for which each stream waits in its turn.
 */
#include "ticker.h"

#include "uvdio/class.h"

void uvdio__ticker_init(uvdio__ticker_t* ticker, uvdio_file_t* file, unsigned* pending,
                        uvdio__tick_cb cb, void* stream) {
  ticker->file = file;
  ticker->pending = pending;
  ticker->cb = cb;
  ticker->stream = stream;
  ticker->req.data = ticker;
  (void)uvdio_req_set_class(&ticker->req, UVDIO_CLASS_LOG);
}

static void end_tick(uvdio__ticker_t* ticker) {
  ticker->is_pending = 0;
  --*ticker->pending;
  ticker->cb(ticker->stream);
}

static void on_stat(uvdio_req_t* req, int64_t result) {
  (void)result;
  end_tick(req->data);
}

static void on_room(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  (void)engine;
  (void)number;
  (void)status;
  end_tick(arg);
}

static int count(uvdio__ticker_t* ticker, int is_for_room, int error) {
  if (error == 0) {
    ticker->is_pending = 1;
    ticker->is_for_room = is_for_room;
    ++*ticker->pending;
  }
  return error;
}

int uvdio__tick_soon(uvdio__ticker_t* ticker) {
  if (ticker->is_pending) {
    uvdio__tick_at_once(ticker);
    return 0;
  }
  return count(ticker, 0, uvdio_stat(ticker->file, &ticker->req, &ticker->stat, on_stat));
}

int uvdio__tick_when_there_is_room(uvdio__ticker_t* ticker, unsigned class_number) {
  if (ticker->is_pending) {
    return 0;
  }
  ticker->awaited_class = class_number != UVDIO_CLASS_DEFAULT ? class_number : ticker->file->class_;
  return count(
      ticker, 1,
      uvdio_class_wait_room(ticker->file->engine_, ticker->awaited_class, on_room, ticker));
}

void uvdio__tick_at_once(uvdio__ticker_t* ticker) {
  if (uvdio__is_room_awaited(ticker)) {
    (void)uvdio_class_cancel_wait(ticker->file->engine_, ticker->awaited_class, on_room, ticker);
  }
}
