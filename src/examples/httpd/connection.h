/* SPDX-License-Identifier: MIT */
/*
 * One client: its requests are read and answered one after the other, however many it sends ahead.
 * It holds the bytes of one head, and of frames window_max that were read ahead and two that the
 * socket has.
 *
 *     +--------------------------------------------------------------+
 *     v                                                              |
 *   READING --(a head)--> OPENING --(a file)--> SENDING --(sent)-----+
 *     |                      |                     |
 *     +-(what is wrong)------+----> SENDING -------+-(the last answer)--> LINGERING --> closed
 *
 * LINGERING: what a client still sends is thrown away until it closes, because a socket that is
 * closed with bytes unread may take the answer back (RFC 9112, 9.6).
 */
#ifndef HTTPD_CONNECTION_H
#define HTTPD_CONNECTION_H

#include <uvdio/stream.h>

#include "head.h"
#include "parser.h"
#include "server.h"

#define HTTPD_WRITES 2u

typedef enum { HTTPD_READING, HTTPD_OPENING, HTTPD_SENDING, HTTPD_LINGERING } httpd_state_t;

typedef struct httpd_connection_s httpd_connection_t;

typedef struct httpd_write_s {
  uv_write_t req;
  httpd_connection_t* connection;
  uvdio_buf_t frame; /* is released when the socket has its bytes */
  int is_used;
} httpd_write_t;

struct httpd_connection_s {
  uv_tcp_t tcp;
  httpd_link_t link;
  httpd_server_t* server;
  httpd_state_t state;
  unsigned pending; /* callbacks that come before the memory is freed */
  int is_closing;
  int is_reading; /* the socket */
  int is_ended;   /* the client sends nothing more */
  int is_last;    /* of the connection's answers */
  uint64_t deadline_ms;
  size_t unsent; /* bytes that the socket had not taken at the last look */

  size_t begin; /* of what has not been parsed */
  size_t end;
  char bytes[HTTPD_HEAD_MAX];
  httpd_parser_t parser;
  httpd_request_t request;

  httpd_answer_t answer;
  httpd_waiter_t waiter;
  httpd_file_t* file;
  uint64_t left; /* bytes of the body that the socket was not given */
  uvdio_req_t req;
  uvdio_buf_t frame;
  uvdio_reader_t* reader; /* where the body takes more than one frame */
  int is_waiting;         /* for frames of its own, or for the reader */
  size_t head_length;     /* 0: the socket was given it */
  char head[HTTPD_ANSWER_MAX];
  httpd_write_t writes[HTTPD_WRITES];
  uv_shutdown_t shutdown;
};

/* Takes a client from the listener, to refuse it where there are too many. UV_ENOMEM: it is left
 * there, and no other comes before it was taken. */
int httpd_connection_accept(httpd_server_t* server, int is_too_many);

/* Ends it at once. */
void httpd_connection_close(httpd_connection_t* connection);

/* The server stops: what is being answered is the last. */
void httpd_connection_finish(httpd_connection_t* connection);

/* Now and then: ends it where it has been waited for too long. */
void httpd_connection_look(httpd_connection_t* connection, uint64_t now_ms);

#endif
