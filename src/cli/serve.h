/*
 * A busy server, for measuring: one loop that echoes messages over TCP, reads or writes files in the background, and
 * has work for the threadpool. `uvdio bench-serve JSON` runs it once and prints what it measured as JSON. It starts
 * `uvdio bench-clients JSON`, so that the messages come from another process, where their latency is measured.
 * `uvdio bench --server` starts such a process for each figure (server.h).
 *
 *   serve.c          the process: parameters, when what begins and ends, JSON
 *   serve_echo.c     the echo, and the process with the clients
 *   serve_io.c       the background I/O: how much when
 *   serve_uvdio.c    ... by this library
 *   serve_uv.c       ... by uv_fs_read and uv_fs_write
 *   serve_works.c    work that keeps the threadpool's threads occupied
 *   clients.c        the clients: messages at times that were fixed before, whatever the server does
 *   alarm.c          a call at a point of time, to a few microseconds
 *
 * All parts begin when the last connection was accepted. What happens during the warm-up is not measured, and the
 * background goes on until the last echo is back.
 */
#ifndef UVDIO_CLI_SERVE_H
#define UVDIO_CLI_SERVE_H

#include "peer.h"

#define SERVE_CONNECTIONS_MAX 512
#define SERVE_MESSAGES_MAX 100000 /* per second, over all connections */
#define SERVE_WORKS_MAX 2048

typedef enum {
  WORKS_NONE,
  WORKS_SLEEP, /* wait, as for a slow name server */
  WORKS_CPU    /* compute */
} works_kind_t;

#define WORKS_KIND_COUNT 3

/* "none", "sleep", "cpu" */
const char* works_kind_text(works_kind_t kind);
int works_kind_parse(const char* text, works_kind_t* kind);

typedef struct serve_params_s {
  const char* variant; /* by what the background I/O is done: "none", "ring", "pool", "uv" */
  work_params_t work;  /* the files, and what is done with them at which depth */
  uint64_t rate;       /* background operations per second; 0: as many as go */
  unsigned callbacks_max; /* of the library; 0: its default */
  unsigned busy_poll_us;       /* of the library on the ring */
  unsigned connections;        /* 0: no echo */
  unsigned messages;           /* per second, over all connections */
  works_kind_t works_kind;
  unsigned works; /* always so many with the threadpool */
  unsigned works_ms;
  uint64_t warmup_ns;
  uint64_t duration_ns;
} serve_params_t;

typedef struct serve_s serve_t;

/*
 * The background I/O.
 */
typedef struct io_s io_t;

typedef struct io_slot_s {
  io_t* io;
  struct io_slot_s* next_free;
  uint64_t began_ns;
  char* memory;
  uvdio_req_t req; /* of the library; its buffer is a frame */
  uvdio_buf_t buf;
  uv_fs_t fs; /* of libuv */
} io_slot_t;

typedef struct io_means_s {
  const char* name;
  int (*open)(io_t* io); /* file and buffers. Returns 0 or a code; closing takes back what there is */
  int (*submit)(io_slot_t* slot, const step_t* step);
  void (*stop)(io_t* io);  /* on the loop, when nothing more will be submitted */
  void (*close)(io_t* io); /* after the loop has ended */
} io_means_t;

extern const io_means_t io_ring;
extern const io_means_t io_pool;
extern const io_means_t io_uv;

struct io_s {
  serve_t* serve;
  const io_means_t* means; /* null: no I/O */
  work_t work;
  io_slot_t* slots;
  io_slot_t* free;
  uint64_t begun_ns;
  uint64_t submitted;
  int recording;
  int stopping;
  uv_timer_t timer;
  char executed_by[16]; /* the backend that a uvdio engine really had; "" otherwise */
  /* private to the means */
  uvdio_engine_t* engine;
  uvdio_file_t file;
  uvdio_arena_t* arena;
  char* memory;
  int descriptor;
};

int io_open(io_t* io, serve_t* serve);
void io_begin(io_t* io);
void io_stop(io_t* io);
void io_close(io_t* io);

/* What a means calls for each operation that has ended: `result` is bytes or a code. */
void io_done(io_slot_t* slot, ssize_t result);

/*
 * Work for the threads.
 */
typedef struct works_s {
  serve_t* serve;
  uv_work_t* requests;
  uint64_t done; /* while measuring */
  int stopping;
} works_t;

int works_open(works_t* works, serve_t* serve);
int works_begin(works_t* works);
void works_stop(works_t* works);
void works_close(works_t* works);

/*
 * The echo.
 */
typedef struct connection_s {
  struct echo_s* echo;
  uv_tcp_t tcp;
  uv_write_t write;
  int is_open;
  char bytes[4096];
} connection_t;

typedef struct echo_s {
  serve_t* serve;
  uv_tcp_t listener;
  connection_t* connections;
  unsigned accepted;
  uv_process_t process;
  uv_pipe_t pipe; /* what the process with the clients tells */
  int is_running; /* that process */
  int is_telling;
  int is_stopped;
  char text[4096];
  size_t length;
} echo_t;

/* Listens and starts the clients. Returns 0 or a code. */
int echo_open(echo_t* echo, serve_t* serve);
void echo_stop(echo_t* echo);
void echo_close(echo_t* echo);

/*
 * The process.
 */
struct serve_s {
  serve_params_t params;
  uv_loop_t loop;
  uv_timer_t clock;
  io_t io;
  works_t works;
  echo_t echo;
  meter_t usage;
  double cpu_us;
  double window_s; /* what was measured; 0: not yet */
  int clients_ended;
  int stopped;
  json_t* clients; /* what they told */
  int error;       /* what went wrong first: a code, or 0 */
  const char* failure;
};

/* Notes the first failure, and ends everything. */
void serve_fail(serve_t* serve, const char* failure, int error);

/* The last connection was accepted. */
void serve_begin(serve_t* serve);

/* The clients have told, and `json` is ours now; it may be null. */
void serve_clients_ended(serve_t* serve, json_t* json);

/*
 * Alarms. At most one call for each setting, not before `at_ns` (uv_hrtime).
 */
typedef struct alarm_s {
  void (*call)(struct alarm_s* alarm);
  void* data;
#ifdef __linux__
  int descriptor;
  uv_poll_t poll;
#else
  uv_timer_t timer;
#endif
} alarm_t;

int alarm_open(alarm_t* alarm, uv_loop_t* loop, void (*call)(alarm_t* alarm));
void alarm_set(alarm_t* alarm, uint64_t at_ns);
void alarm_close(alarm_t* alarm);

/* Children of the command line, see above. */
int serve_main(int argc, char** argv);
int clients_main(int argc, char** argv);

#endif /* UVDIO_CLI_SERVE_H */
