/* SPDX-License-Identifier: MIT */
/*
 * See connection.h. A body goes from the disk into a frame and from there to the socket. A body of
 * one frame is one read, and one write with its head; a longer one is a stream that reads ahead.
 */
#include "connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX
#define LINGER_MS 2000u

static const uvdio_buf_t no_frame;

static void parse_on(httpd_connection_t* c);
static void send_on(httpd_connection_t* c);
static void read_as_there_is_room(httpd_connection_t* c);
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf);

static uint64_t now_ms(const httpd_connection_t* c) {
  return uv_now(c->server->loop);
}

/*
 * The end
 */

static void free_if_over(httpd_connection_t* c) {
  if (c->pending > 0) {
    return;
  }
  assert(c->is_closing && c->reader == NULL && c->frame.base == NULL);
  if (c->file != NULL) {
    httpd_file_release(c->file);
  }
  httpd_server_t* server = c->server;
  httpd_list_remove(&c->link);
  free(c);
  server->on_left(server);
}

/* A callback has come; returns whether its connection goes on. Else it may be gone. */
static int came(httpd_connection_t* c) {
  assert(c->pending > 0);
  c->pending--;
  if (c->is_closing) {
    free_if_over(c);
    return 0;
  }
  return 1;
}

static void on_closed(uv_handle_t* handle) {
  (void)came(handle->data);
}

static void on_reader_closed(int status, void* arg) {
  (void)status;
  (void)came(arg);
}

/* Its blocks that were not taken go back to the arena. */
static void close_reader(httpd_connection_t* c) {
  if (c->reader != NULL && uvdio_reader_destroy(c->reader) != 0) {
    int error = uvdio_reader_close(c->reader, on_reader_closed, c);
    assert(error == 0);
    (void)error;
    c->pending++;
  }
  c->reader = NULL;
}

void httpd_connection_close(httpd_connection_t* c) {
  if (c->is_closing) {
    return;
  }
  c->is_closing = 1;
  c->pending++;
  uv_close((uv_handle_t*)&c->tcp, on_closed);
  httpd_files_forget(&c->waiter);
  if (c->is_waiting && c->reader == NULL) {
    (void)uvdio_cancel(&c->req); /* of a wait for a frame, which may take long */
  }
  close_reader(c);
}

static void on_shut_down(uv_shutdown_t* req, int status) {
  httpd_connection_t* c = req->data;
  if (came(c) && (status != 0 || c->is_ended)) {
    httpd_connection_close(c);
  }
}

static void linger(httpd_connection_t* c) {
  c->state = HTTPD_LINGERING;
  c->deadline_ms = now_ms(c) + LINGER_MS;
  c->end = 0;
  read_as_there_is_room(c);
  c->shutdown.data = c;
  if (uv_shutdown(&c->shutdown, (uv_stream_t*)&c->tcp, on_shut_down) != 0) {
    httpd_connection_close(c);
    return;
  }
  c->pending++;
}

/*
 * Sending
 */

static int is_sending(const httpd_connection_t* c) {
  return c->writes[0].is_used || c->writes[1].is_used;
}

static httpd_write_t* free_write(httpd_connection_t* c) {
  return !c->writes[0].is_used ? &c->writes[0] : !c->writes[1].is_used ? &c->writes[1] : NULL;
}

/* The answer is with the socket, or with the client. */
static void end_answer(httpd_connection_t* c) {
  httpd_server_t* server = c->server;
  server->requests++;
  close_reader(c);
  if (c->file != NULL) {
    httpd_file_release(c->file);
    c->file = NULL;
  }
  if (c->is_last || !c->request.keep_alive || server->is_stopping) {
    linger(c);
    return;
  }
  c->state = HTTPD_READING;
  c->deadline_ms = now_ms(c) + server->options->idle_ms;
  httpd_parser_begin(&c->parser, &c->request);
  parse_on(c);
}

static void on_written(uv_write_t* req, int status) {
  httpd_write_t* write = req->data;
  httpd_connection_t* c = write->connection;
  (void)uvdio_buf_release(&write->frame);
  write->frame = no_frame;
  write->is_used = 0;
  if (!came(c)) {
    return;
  }
  c->deadline_ms = now_ms(c) + c->server->options->send_ms;
  if (status != 0) {
    httpd_connection_close(c);
  } else if (c->left > 0) {
    send_on(c);
  } else if (!is_sending(c)) {
    end_answer(c);
  }
}

/* Takes bytes that the socket has from the pieces; returns how many pieces are left. */
static unsigned pass(uv_buf_t* pieces, unsigned count, size_t bytes) {
  unsigned passed = 0;
  while (passed < count && bytes >= pieces[passed].len) {
    bytes -= pieces[passed++].len;
  }
  for (unsigned i = passed; i < count; i++) {
    pieces[i - passed] = pieces[i];
  }
  if (passed < count) {
    pieces[0].base += bytes;
    pieces[0].len -= bytes;
  }
  return count - passed;
}

/* Gives the socket the head, if it has not got it, and the bytes of a frame, which is released when
 * it has them all. Returns whether it has; else on_written() comes. What may be had at once is
 * tried first, which costs less than a callback. */
static int transmit(httpd_connection_t* c, uvdio_buf_t frame, const uvdio_buf_t* view,
                    int may_be_at_once) {
  uv_stream_t* stream = (uv_stream_t*)&c->tcp;
  httpd_write_t* write = free_write(c);
  uv_buf_t pieces[2];
  unsigned count = 0;

  assert(write != NULL && !c->is_closing && view->len <= c->left);
  if (c->head_length > 0) {
    pieces[count++] = uv_buf_init(c->head, (unsigned)c->head_length);
    c->head_length = 0;
  }
  pieces[count++] = uvdio_buf_data_uv(view);
  c->left -= view->len;
  c->server->bytes += view->len;
  c->deadline_ms = now_ms(c) + c->server->options->send_ms;
  int taken = may_be_at_once ? uv_try_write(stream, pieces, count) : 0;
  count = pass(pieces, count, taken > 0 ? (size_t)taken : 0);
  write->frame = frame;
  if (count == 0) {
    (void)uvdio_buf_release(&write->frame);
    return 1;
  }
  write->req.data = write;
  write->is_used = 1;
  c->pending++;
  if (uv_write(&write->req, stream, pieces, count, on_written) != 0) {
    (void)uvdio_buf_release(&write->frame);
    write->is_used = 0;
    c->pending--;
    httpd_connection_close(c);
  }
  return 0;
}

/* An answer that is a head alone. It ends by on_written() in any case, so that many of them that
 * were asked for ahead don't call each other. */
static void transmit_head(httpd_connection_t* c) {
  httpd_write_t* write = &c->writes[0];
  uv_buf_t head = uv_buf_init(c->head, (unsigned)c->head_length);

  assert(!is_sending(c) && c->left == 0);
  c->head_length = 0;
  c->deadline_ms = now_ms(c) + c->server->options->send_ms;
  write->req.data = write;
  write->is_used = 1;
  c->pending++;
  if (uv_write(&write->req, (uv_stream_t*)&c->tcp, &head, 1, on_written) != 0) {
    write->is_used = 0;
    c->pending--;
    httpd_connection_close(c);
  }
}

/* An answer about no file. After some the rest of the connection's bytes can't be trusted, or is
 * not to be waited for. */
static void answer_error(httpd_connection_t* c, int status) {
  int is_head = c->request.method == HTTPD_HEAD;
  c->is_last = c->is_last || !(status == 403 || status == 404);
  c->state = HTTPD_SENDING;
  c->left = 0;
  c->head_length = httpd_head_print_error(
      c->head, status, c->server->date,
      !c->is_last && c->request.keep_alive && !c->server->is_stopping, is_head);
  transmit_head(c);
}

/* The body can't be had: an error, or the file is shorter than it was. The client learns it from
 * the status, or where it has the head already, from a connection that ends too early. */
static void fail(httpd_connection_t* c, int error) {
  if (c->head_length > 0) {
    answer_error(c, httpd_status_of(error));
  } else {
    httpd_connection_close(c);
  }
}

/*
 * A body of one frame
 */

static void on_small(uvdio_req_t* req, ssize_t result, uvdio_buf_t frame) {
  httpd_connection_t* c = req->data;
  if (c->is_closing || result != (ssize_t)c->answer.length) {
    (void)uvdio_buf_release(&frame);
    if (came(c)) {
      fail(c, result < 0 ? (int)result : UV_EIO);
    }
    return;
  }
  (void)came(c);
  uvdio_buf_t view = uvdio_range_view(req, &frame);
  if (transmit(c, frame, &view, 1)) {
    end_answer(c);
  }
}

/* The frame is there. Only what is needed of it is read. */
static void read_small(httpd_connection_t* c) {
  size_t length = (size_t)c->answer.length;
  c->frame.cap = uvdio_range_size(&c->file->file, c->answer.offset, length);
  int error =
      uvdio_read_range(&c->file->file, &c->req, &c->frame, c->answer.offset, length, on_small);
  if (error != 0) {
    (void)uvdio_buf_release(&c->frame);
    fail(c, error);
    return;
  }
  c->pending++;
}

static void on_frame(uvdio_req_t* req, int64_t result) {
  httpd_connection_t* c = req->data;
  c->is_waiting = 0;
  if (c->is_closing) {
    (void)uvdio_buf_release(&c->frame);
    c->frame = no_frame;
  }
  if (!came(c)) {
    return;
  }
  if (result < 0) {
    fail(c, (int)result);
  } else {
    read_small(c);
  }
}

static void begin_small(httpd_connection_t* c) {
  int error = uvdio_arena_acquire(c->server->arena, &c->frame);
  if (error == 0) {
    read_small(c);
    return;
  }
  error = uvdio_arena_wait(c->server->engine, &c->req, c->server->arena, &c->frame, 1, on_frame);
  if (error != 0) {
    fail(c, error);
    return;
  }
  c->is_waiting = 1;
  c->pending++;
}

/*
 * A longer body
 */

static void on_block(int status, void* arg) {
  httpd_connection_t* c = arg;
  (void)status;
  c->is_waiting = 0;
  if (came(c)) {
    send_on(c);
  }
}

/* Gives the socket what has arrived, as far as it may have frames. The last block ends the answer,
 * and the reader, which can't be freed in its own callback: so on_written() does it. */
static void send_on(httpd_connection_t* c) {
  uvdio_block_t block;
  int error = 0;

  while (c->left > 0 && !c->is_closing && !c->is_waiting && free_write(c) != NULL &&
         (error = uvdio_reader_take(c->reader, &block)) == 0) {
    (void)transmit(c, block.buf, &block.view, block.view.len < c->left);
  }
  if (error == UV_EAGAIN) {
    error = uvdio_reader_wait(c->reader, on_block, c);
    c->is_waiting = error == 0;
    c->pending += error == 0;
  }
  if (error != 0) {
    fail(c, error == UV_EOF ? UV_EIO : error);
  }
}

static void begin_long(httpd_connection_t* c) {
  uvdio_reader_options_t options = {.begin = c->answer.offset,
                                    .end = c->answer.offset + c->answer.length,
                                    .window_max = c->server->options->window_max};
  int error = uvdio_reader_create(&c->reader, &c->file->file, c->server->arena, &options);
  if (error != 0) {
    fail(c, error);
    return;
  }
  send_on(c);
}

/*
 * Requests
 */

static int fits_one_frame(const httpd_connection_t* c) {
  size_t frame_size = c->server->options->frame_size;
  return c->left <= frame_size &&
         uvdio_range_size(&c->file->file, c->answer.offset, (size_t)c->left) <= frame_size;
}

static void answer(httpd_connection_t* c) {
  const httpd_file_t* file = c->file;
  httpd_facts_t facts = {file->size, file->modified_s, file->etag};
  httpd_server_t* server = c->server;

  c->answer = httpd_request_answer(&c->request, &facts);
  c->state = HTTPD_SENDING;
  c->deadline_ms = now_ms(c) + server->options->send_ms;
  c->head_length = httpd_head_print(c->head, &c->answer, file, server->date,
                                    c->request.keep_alive && !server->is_stopping);
  c->left = c->request.method == HTTPD_HEAD ? 0 : c->answer.length;
  if (c->left == 0) {
    transmit_head(c);
  } else if (fits_one_frame(c)) {
    begin_small(c);
  } else {
    begin_long(c);
  }
}

static void on_file(httpd_waiter_t* waiter, httpd_file_t* file, int error) {
  httpd_connection_t* c = HTTPD_OF(waiter, httpd_connection_t, waiter);
  assert(!c->is_closing && c->state == HTTPD_OPENING);
  c->file = file;
  if (file == NULL) {
    answer_error(c, httpd_status_of(error));
  } else {
    answer(c);
  }
}

static void begin_request(httpd_connection_t* c) {
  char path[HTTPD_PATH_MAX];
  int status =
      c->request.method == HTTPD_OTHER ? 405 : httpd_request_path(&c->request, path, sizeof(path));

  c->state = HTTPD_OPENING;
  c->deadline_ms = NEVER; /* It is the disk that is waited for. */
  if (status != 0) {
    answer_error(c, status);
    return;
  }
  int error = httpd_files_get(&c->server->files, path, &c->waiter, &c->file);
  if (error == 0) {
    answer(c);
  } else if (error != UV_EAGAIN) {
    answer_error(c, httpd_status_of(error));
  }
}

static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  httpd_connection_t* c = handle->data;
  (void)suggested;
  *buf = uv_buf_init(c->bytes + c->end, (unsigned)(sizeof(c->bytes) - c->end));
}

/* A client that sends requests ahead is read from as far as there is room. */
static void read_as_there_is_room(httpd_connection_t* c) {
  int wanted = !c->is_ended && c->end < sizeof(c->bytes);
  if (wanted && !c->is_reading) {
    c->is_reading = uv_read_start((uv_stream_t*)&c->tcp, alloc, on_read) == 0;
  } else if (!wanted && c->is_reading) {
    (void)uv_read_stop((uv_stream_t*)&c->tcp);
    c->is_reading = 0;
  }
}

/* Takes the next request from the bytes that are there. */
static void parse_on(httpd_connection_t* c) {
  size_t used = 0;
  int result = 0;

  assert(c->state == HTTPD_READING);
  if (c->begin < c->end) {
    if (c->parser.consumed == 0) {
      c->deadline_ms = now_ms(c) + c->server->options->head_ms;
    }
    result = httpd_parser_feed(&c->parser, c->bytes + c->begin, c->end - c->begin, &used);
    c->begin += used;
  }
  if (c->begin == c->end || result > 1) {
    c->begin = 0;
    c->end = 0;
  }
  if (result == 0 && c->is_ended) {
    httpd_connection_close(c); /* No whole request comes any more. */
    return;
  }
  read_as_there_is_room(c);
  if (result == 1) {
    begin_request(c);
  } else if (result > 1) {
    answer_error(c, result);
  }
}

static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  httpd_connection_t* c = stream->data;
  (void)buf;
  if (count < 0 && (count != UV_EOF || c->state == HTTPD_LINGERING)) {
    httpd_connection_close(c);
    return;
  }
  if (c->state == HTTPD_LINGERING) {
    return; /* thrown away: the next bytes go to the same place */
  }
  c->is_ended = count == UV_EOF;
  c->end += c->is_ended ? 0 : (size_t)count;
  if (c->state == HTTPD_READING) {
    parse_on(c);
  } else {
    read_as_there_is_room(c);
  }
}

/*
 * What the server calls
 */

int httpd_connection_accept(httpd_server_t* server, int is_too_many) {
  httpd_connection_t* c = calloc(1, sizeof(*c));
  if (c == NULL) {
    return UV_ENOMEM;
  }
  c->server = server;
  c->tcp.data = c;
  c->req.data = c;
  c->writes[0].connection = c;
  c->writes[1].connection = c;
  c->waiter.cb = on_file;
  httpd_list_init(&c->waiter.link);
  httpd_list_append(&server->connections, &c->link);
  server->count++;
  httpd_parser_begin(&c->parser, &c->request);
  c->deadline_ms = now_ms(c) + server->options->idle_ms;
  int error = uv_tcp_init(server->loop, &c->tcp);
  assert(error == 0);
  error = uv_accept((uv_stream_t*)&server->listener, (uv_stream_t*)&c->tcp);
  if (error != 0) {
    httpd_connection_close(c);
    return 0;
  }
  (void)uv_tcp_nodelay(&c->tcp, 1);
  read_as_there_is_room(c);
  if (is_too_many) {
    answer_error(c, 503);
  }
  return 0;
}

void httpd_connection_finish(httpd_connection_t* c) {
  if (c->state == HTTPD_READING && c->parser.consumed == 0 && c->begin == c->end) {
    httpd_connection_close(c);
  }
}

void httpd_connection_look(httpd_connection_t* c, uint64_t now) {
  size_t unsent = uv_stream_get_write_queue_size((uv_stream_t*)&c->tcp);
  if (c->is_closing) {
    return;
  }
  if (c->state == HTTPD_SENDING && (unsent == 0 || unsent < c->unsent)) {
    c->deadline_ms = now + c->server->options->send_ms; /* The client takes, or the disk is slow. */
  }
  c->unsent = unsent;
  if (now < c->deadline_ms) {
    return;
  }
  if (c->state == HTTPD_READING && c->parser.consumed > 0) {
    answer_error(c, 408);
  } else {
    httpd_connection_close(c);
  }
}
