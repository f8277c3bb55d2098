/* SPDX-License-Identifier: MIT */
/*
 * Bytes into a log's files (scribe.h) and into lives of a log: opened on what lies there, appended
 * to, cut, and ended by a close, with its engine, by a crash or by a power cut. After each open the
 * promises of uvdio/log.h are checked, and against what is known of the records.
 *
 * The disk is a simulated one, which outlives engines and answers alike every time.
 */
#include <string.h>

#include "input.h"
#include "log/crc32c.h"
#include "scribe.h"
#include "uvdio/log_reader.h"

#define STEPS_MAX 60u
#define RECORDS_MAX 32768u
#define APPENDS 12u
#define LENGTH_MAX 100000u
#define TURNS_MAX 200000u                 /* of the loop, in which anything has to end */
#define ALLOCATION_MAX ((size_t)16 << 20) /* all files together hold less */

struct record {
  uint64_t lsn; /* 0: not told yet */
  size_t length;
  uint32_t checksum;
};

struct piece {
  uvdio_log_append_t append;
  struct record record;
  int is_pending;
};

static struct {
  struct choices choices;
  uv_loop_t loop;
  uvdio_sim_t* sim;
  uvdio_engine_t* engine;
  struct scribe scribe;
  /* Records that were acknowledged, and those behind them that were appended. */
  struct record records[RECORDS_MAX];
  unsigned count;
  unsigned acknowledged;
  uint64_t cut; /* LSNs below it need not be replayed */
  int is_known; /* nobody has written to the files since a log was open on them */
  /* This life. */
  uvdio_log_t* log;
  struct record found[RECORDS_MAX];
  unsigned found_count;
  int opened;
  int status;
  int closed;
  int error; /* of an append */
  struct piece pieces[APPENDS];
  unsigned used;
  unsigned early; /* that were appended before the open's callback */
} w;

static char payload[LENGTH_MAX];

static unsigned take(unsigned bound) {
  return (unsigned)choose(&w.choices, bound);
}

/*
 * The library's memory: no block of it is larger than what files can ask for.
 */

static void* allocate(void* context, size_t size, size_t alignment, int zeroed) {
  void* memory = NULL;
  (void)context;
  REQUIRE(size <= ALLOCATION_MAX);
  alignment = alignment < sizeof(void*) ? sizeof(void*) : alignment;
  if (posix_memalign(&memory, alignment, size) != 0) {
    return NULL;
  }
  if (zeroed) {
    memset(memory, 0, size);
  }
  return memory;
}

static void release(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  (void)size;
  (void)alignment;
  free(memory);
}

/*
 * Records
 */

static int is_same(const struct record* known, const struct record* found) {
  return known->length == found->length && known->checksum == found->checksum &&
         (known->lsn == 0 || known->lsn == found->lsn);
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  (void)arg;
  REQUIRE(w.opened == 0 && lsn > 0 && length > 0 && length <= UVDIO_LOG_RECORD_MAX);
  REQUIRE(w.found_count == 0 || lsn > w.found[w.found_count - 1].lsn);
  REQUIRE(w.found_count < RECORDS_MAX);
  w.found[w.found_count++] = (struct record){lsn, length, uvdio__log_crc32c(data, length)};
}

/* The first that was replayed may be any whose LSN is known, or the first that was not
 * acknowledged. */
static unsigned find_first(void) {
  unsigned i = 0;
  while (i < w.acknowledged && (w.found_count == 0 || w.records[i].lsn != w.found[0].lsn)) {
    i++;
  }
  return i;
}

/* What was acknowledged is there, and in its order what was on its way behind it. */
static void compare(void) {
  unsigned first = find_first();
  for (unsigned i = 0; i < first; i++) {
    REQUIRE(w.records[i].lsn < w.cut);
  }
  REQUIRE(first + w.found_count >= w.acknowledged && first + w.found_count <= w.count);
  for (unsigned i = 0; i < w.found_count; i++) {
    REQUIRE(is_same(&w.records[first + i], &w.found[i]));
  }
}

static void know(void) {
  memcpy(w.records, w.found, w.found_count * sizeof(w.found[0]));
  w.count = w.acknowledged = w.found_count;
  w.is_known = 1;
}

static void add_record(struct piece* piece) {
  REQUIRE(w.count < RECORDS_MAX);
  w.records[w.count++] = piece->record;
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  (void)arg;
  REQUIRE(log == w.log && w.opened++ == 0 && status <= 0);
  w.status = status;
  if (status != 0) {
    return;
  }
  if (w.is_known) {
    compare();
  } else {
    w.cut = 0;
  }
  know();
  REQUIRE(w.count == 0 || uvdio_log_durable(log) == w.records[w.count - 1].lsn + 1);
  for (unsigned i = 0; i < w.early; i++) {
    add_record(&w.pieces[i]);
  }
}

static void on_append(uvdio_log_append_t* append, int status) {
  struct piece* piece = append->data;
  REQUIRE(piece->is_pending && w.opened == 1 && status <= 0);
  piece->is_pending = 0;
  if (status != 0) {
    w.error = status;
    return;
  }
  struct record* record = &w.records[w.acknowledged];
  REQUIRE(w.error == 0 && w.status == 0 && w.acknowledged < w.count);
  REQUIRE(is_same(record, &piece->record));
  REQUIRE(w.acknowledged == 0 || append->lsn > record[-1].lsn);
  REQUIRE(uvdio_log_durable(w.log) > append->lsn);
  record->lsn = append->lsn;
  w.acknowledged++;
}

static void on_close(uvdio_log_t* log, int status, void* arg) {
  (void)arg;
  (void)status;
  REQUIRE(log == w.log && w.closed++ == 0);
}

/*
 * A life
 */

static void turn(unsigned times) {
  while (times-- > 0 && uv_run(&w.loop, UV_RUN_NOWAIT) != 0) {
  }
}

static void run_to_the_end(void) {
  unsigned turns = 0;
  while (uv_run(&w.loop, UV_RUN_NOWAIT) != 0) {
    REQUIRE(turns++ < TURNS_MAX);
  }
}

static void start_engine(void) {
  REQUIRE(uvdio_sim_engine_create(&w.engine, &w.loop, w.sim, NULL) == 0);
}

static void append(void) {
  static const size_t most[] = {8, 100, 1000, 4056, 3 * 4096, LENGTH_MAX};
  struct piece* piece = &w.pieces[w.used];
  size_t length = 1 + take(256) * most[take(6)] / 256;
  memset(piece, 0, sizeof(*piece));
  piece->append.data = piece;
  piece->record = (struct record){0, length, uvdio__log_crc32c(payload, length)};
  int code = uvdio_log_append(w.log, &piece->append, payload, length, on_append);
  if (code != 0) {
    REQUIRE(code < 0 && w.opened);
    w.error = code;
    return;
  }
  piece->is_pending = 1;
  w.used++;
  if (!w.opened) {
    w.early++;
  } else {
    REQUIRE(w.status == 0);
    add_record(piece);
  }
}

static void cut(void) {
  uint64_t durable = uvdio_log_durable(w.log);
  uint64_t lsn = take(4) == 0 || w.count == 0 ? UINT64_MAX : w.records[take(w.count)].lsn;
  int code = uvdio_log_cut(w.log, lsn);
  REQUIRE(code == 0 || (code == UV_EAGAIN && !w.opened) || w.error != 0 || w.status != 0);
  lsn = lsn < durable ? lsn : durable;
  if (code == 0 && lsn > w.cut) {
    w.cut = lsn;
  }
}

static void open_log(void) {
  static const size_t buffers[] = {0, 4096, 8192, 32768};
  uvdio_log_options_t options = {.segment_size = SCRIBE_SEGMENT_MAX / 2};
  options.buffer_size = buffers[take(4)];
  options.flags = take(2) == 0 ? 0 : UVDIO_LOG_PACKED;
  w.found_count = w.used = w.early = 0;
  w.opened = w.status = w.closed = w.error = 0;
  REQUIRE(uvdio_log_open(&w.log, w.engine, "wal", &options, on_record, on_open, NULL) == 0);
  REQUIRE(w.opened == 0);
}

/* A directory in the place of a file may stop the log at any time. */
static void check_open(void) {
  REQUIRE(w.opened == 1);
  REQUIRE(!w.is_known || w.status == 0 || w.scribe.has_directories);
}

static void check_end(void) {
  REQUIRE(w.opened == 1);
  for (unsigned i = 0; i < w.used; i++) {
    REQUIRE(!w.pieces[i].is_pending);
  }
}

static void close_log(void) {
  REQUIRE(uvdio_log_close(w.log, on_close, NULL) == 0);
  run_to_the_end();
  check_open();
  check_end();
  REQUIRE(w.closed == 1);
  REQUIRE(w.status != 0 || w.scribe.has_directories || (w.error == 0 && w.acknowledged == w.count));
}

/* What was on its way may be replayed by the next life. */
static void bury(void) {
  REQUIRE(uvdio_engine_close(w.engine, NULL) == 0);
  run_to_the_end();
  check_end();
  REQUIRE(uvdio_log_destroy(w.log) == 0);
  run_to_the_end();
  REQUIRE(uvdio_sim_settle(w.sim) >= 0); /* its locks keep a successor out until then */
  start_engine();
}

static void end_life(void) {
  switch (take(6)) {
    case 0:
      bury();
      break;
    case 1:
      REQUIRE(uvdio_sim_power_cut(w.sim, UVDIO_SIM_CUT_SEEDED) == 0);
      bury();
      break;
    case 2:
      REQUIRE(uvdio_sim_power_cut(w.sim, UVDIO_SIM_CUT_NOTHING) == 0);
      bury();
      break;
    case 3:
      REQUIRE(uvdio_sim_crash(w.sim, w.engine) == 0);
      bury();
      break;
    default:
      close_log();
  }
}

static void live(void) {
  open_log();
  if (take(4) == 0) {
    append();
    turn(take(64));
  } else {
    run_to_the_end();
    check_open();
  }
  for (unsigned i = take(APPENDS - 1); i > 0 && w.error == 0 && w.opened && w.status == 0; i--) {
    append();
    turn(take(8));
    if (take(8) == 0) {
      cut();
    }
  }
  end_life();
}

static void on_ready(int status, void* arg) {
  (void)status;
  *(int*)arg = 1;
}

/* The next record, or why there is none. */
static int take_record(uvdio_log_reader_t* reader, uvdio_log_record_t* record) {
  int code = uvdio_log_reader_take(reader, record);
  while (code == UV_EAGAIN) {
    int is_ready = 0;
    unsigned turns = 0;
    REQUIRE(uvdio_log_reader_wait(reader, on_ready, &is_ready) == 0);
    while (!is_ready) {
      REQUIRE(turns++ < TURNS_MAX);
      (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    code = uvdio_log_reader_take(reader, record);
  }
  return code;
}

/* A reader gives what was replayed, with the same LSNs, and what was appended since. */
static void read_all(void) {
  uvdio_log_reader_t* reader;
  int code = uvdio_log_reader_create(&reader, w.log, NULL);
  REQUIRE(code == 0 || w.scribe.has_directories);
  if (code != 0) {
    return;
  }
  for (unsigned i = 0; i < w.acknowledged && code == 0; i++) {
    uvdio_log_record_t record;
    code = take_record(reader, &record);
    REQUIRE(code == 0 || w.scribe.has_directories);
    if (code == 0) {
      struct record taken = {record.lsn, record.length,
                             uvdio__log_crc32c(record.bytes, record.length)};
      REQUIRE(is_same(&w.records[i], &taken));
    }
  }
  REQUIRE(uvdio_log_reader_close(reader, NULL, NULL) == 0);
}

/* Whatever has happened: what is appended after an open is read, and replayed by the next. */
static void live_in_peace(void) {
  open_log();
  run_to_the_end();
  check_open();
  if (w.status == 0) {
    read_all();
    append();
    append();
  }
  if (w.status == 0 && w.error == 0) {
    run_to_the_end();
    read_all();
  }
  close_log();
}

/*
 * The whole
 */

static void step(void) {
  if (take(4) == 3) {
    live();
  } else {
    w.is_known = 0;
    scribe_act(&w.scribe, w.engine);
  }
}

static void set_up(void) {
  static const uvdio_allocator_t allocator = {NULL, allocate, release};
  uvdio_sim_options_t options = {.seed = take(256), .sector_size = UVDIO_PAGE_SIZE};
  uvdio_req_t req = {0};
  REQUIRE(uvdio_set_allocator(&allocator) == 0);
  for (size_t i = 0; i < sizeof(payload); i++) {
    payload[i] = (char)(i * 31 + (i >> 7));
  }
  options.latency_max = 1 + take(8);
  REQUIRE(uv_loop_init(&w.loop) == 0);
  REQUIRE(uvdio_sim_create(&w.sim, &options) == 0);
  start_engine();
  REQUIRE(uvdio_mkdir(w.engine, &req, "wal", 0700, NULL) == 0);
  REQUIRE(uvdio_sync_directory(w.engine, &req, ".", NULL) == 0);
  scribe_begin(&w.scribe, w.sim, &w.choices);
}

static void clean_up(void) {
  REQUIRE(uvdio_engine_close(w.engine, NULL) == 0);
  run_to_the_end();
  REQUIRE(uvdio_sim_destroy(w.sim) == 0);
  REQUIRE(uv_loop_close(&w.loop) == 0);
  REQUIRE(uvdio_allocations() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  w.choices = choices_by_bytes(bytes, size);
  w.count = w.acknowledged = 0;
  w.cut = 0;
  w.is_known = 1; /* nothing is there */
  set_up();
  for (unsigned steps = 0; w.choices.left > 0 && steps < STEPS_MAX; steps++) {
    step();
  }
  live_in_peace();
  live_in_peace();
  clean_up();
  return 0;
}
