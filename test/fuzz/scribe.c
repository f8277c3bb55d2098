/* SPDX-License-Identifier: MIT */
/*
 * See scribe.h. What is chosen by a byte stays as it is where that is possible: the corpus lives by
 * it.
 */
#include "scribe.h"

#include <inttypes.h>
#include <string.h>

#include "check.h"
#include "input.h"
#include "log/crc32c.h"
#include "log/format.h"
#include "uvdio/log.h"

#define NAME_SIZE 64
#define BLOCKS_AT_ONCE 24u
#define RECORDS_AT_ONCE 6u

static unsigned take(struct scribe* s, unsigned bound) {
  return (unsigned)choose(s->choices, bound);
}

static void segment_path(uint64_t number, char* path) {
  snprintf(path, NAME_SIZE, "wal/%016" PRIx64 ".seg", number);
}

/* One of the files that a log looks for. */
static void choose_path(struct scribe* s, char* path) {
  static const char* const others[] = {"wal/log", "wal/lock", "wal/next", "wal/log.new"};
  unsigned which = take(s, 4 + SCRIBE_SEGMENTS);
  if (which < 4) {
    snprintf(path, NAME_SIZE, "%s", others[which]);
  } else {
    segment_path(s->first + which - 4, path);
  }
}

static void poke(struct scribe* s, const char* path, const void* bytes, size_t size,
                 uint64_t offset) {
  int code = uvdio_sim_poke(s->sim, path, bytes, size, offset);
  REQUIRE(code == 0 || (s->has_directories && code == UV_EINVAL));
}

/* Returns whether there is such a block. */
static int peek(const struct scribe* s, const char* path, char* block, uint64_t offset) {
  return uvdio_sim_peek(s->sim, path, 0, block, FORMAT_BLOCK, offset) == FORMAT_BLOCK;
}

/*
 * Good blocks
 */

static void put_control(struct scribe* s, const char* path, uint64_t oldest) {
  char block[FORMAT_BLOCK];
  uvdio__log_head_t head = {.used = 16,
                            .first = FORMAT_CONTROL,
                            .durable = s->segment_size,
                            .log = s->log,
                            .epoch = FORMAT_VERSION};
  uvdio__log_put64(block + FORMAT_HEAD, oldest);
  uvdio__log_put64(block + FORMAT_HEAD + 8, s->first);
  uvdio__log_seal(block, &head);
  poke(s, path, block, sizeof(block), 0);
}

/* A whole segment, whose blocks are zeros. */
static void put_segment(struct scribe* s) {
  static const char zeros[FORMAT_BLOCK];
  char path[NAME_SIZE];
  char block[FORMAT_BLOCK];
  uvdio__log_head_t head = {.first = FORMAT_SEGMENT,
                            .position = s->segment * s->segment_size,
                            .durable = s->segment_size,
                            .log = s->log,
                            .epoch = FORMAT_VERSION};
  segment_path(s->segment, path);
  uvdio__log_seal(block, &head);
  poke(s, path, zeros, sizeof(zeros), s->segment_size - sizeof(zeros));
  poke(s, path, block, sizeof(block), 0);
  s->offset = FORMAT_BLOCK;
}

static void begin_log(struct scribe* s) {
  static const uint64_t firsts[] = {1, 2, 7, 300, (uint64_t)1 << 40};
  s->log = 0x5eed + take(s, 3);
  s->segment_size = take(s, 4) == 3 ? SCRIBE_SEGMENT_MAX : SCRIBE_SEGMENT_MAX / 2;
  s->first = s->segment = firsts[take(s, 5)];
  s->epoch = 1;
  s->before = 0;
  s->rest = 0;
  put_control(s, "wal/log", s->first - take(s, 3) % s->first);
  put_control(s, "wal/lock", s->first);
  put_segment(s);
}

static size_t choose_length(struct scribe* s) {
  static const size_t most[] = {8, 100, 1000, FORMAT_PAYLOAD, 3 * FORMAT_BLOCK, 100000};
  return 1 + take(s, 256) * most[take(s, 6)] / 256;
}

/* Records from `at` on, the last of which may go on in further blocks. Returns where they end. */
static size_t put_records(struct scribe* s, char* payload, size_t at) {
  for (unsigned i = 1 + take(s, RECORDS_AT_ONCE); i > 0 && FORMAT_PAYLOAD - at > FORMAT_LENGTH;
       i--) {
    size_t length = choose_length(s);
    size_t room = FORMAT_PAYLOAD - at - FORMAT_LENGTH;
    size_t size = length < room ? length : room;
    uvdio__log_put32(payload + at, (uint32_t)length);
    memset(payload + at + FORMAT_LENGTH, (int)(length + i), size);
    at += FORMAT_LENGTH + size;
    s->rest = length - size;
  }
  return at;
}

static void put_block(struct scribe* s) {
  char path[NAME_SIZE];
  char block[FORMAT_BLOCK];
  size_t goes_on = s->rest < FORMAT_PAYLOAD ? s->rest : FORMAT_PAYLOAD;
  uvdio__log_head_t head = {.used = FORMAT_PAYLOAD,
                            .first = FORMAT_NO_RECORD,
                            .position = s->segment * s->segment_size + s->offset,
                            .durable = s->durable,
                            .log = s->log,
                            .epoch = s->epoch,
                            .before = s->before};
  memset(block + FORMAT_HEAD, 7, goes_on);
  s->rest -= goes_on;
  if (s->rest == 0) {
    head.first = goes_on < FORMAT_PAYLOAD - FORMAT_LENGTH ? (unsigned)goes_on : FORMAT_NO_RECORD;
    head.used = (unsigned)put_records(s, block + FORMAT_HEAD, goes_on);
  }
  uvdio__log_seal(block, &head);
  segment_path(s->segment, path);
  poke(s, path, block, sizeof(block), s->offset);
  s->before = head.checksum;
}

static void move_on(struct scribe* s) {
  s->offset += FORMAT_BLOCK;
  if (s->offset >= s->segment_size) {
    s->offset = FORMAT_BLOCK;
    if (s->segment < s->first + SCRIBE_SEGMENTS - 1) {
      s->segment++;
      put_segment(s);
    }
  }
}

static void put_blocks(struct scribe* s) {
  for (unsigned i = 1 + take(s, BLOCKS_AT_ONCE); i > 0; i--) {
    put_block(s);
    move_on(s);
  }
}

/* Goes on where the log that is there ends. */
static void follow(struct scribe* s) {
  char path[NAME_SIZE] = "wal/log";
  char block[FORMAT_BLOCK];
  uvdio__log_head_t head;
  if (!peek(s, path, block, 0) || !uvdio__log_read_head(block, &head) ||
      (head.durable != SCRIBE_SEGMENT_MAX && head.durable != SCRIBE_SEGMENT_MAX / 2)) {
    return;
  }
  s->log = head.log;
  s->segment_size = head.durable;
  s->first = s->segment = uvdio__log_get64(block + FORMAT_HEAD + 8);
  s->rest = 0;
  for (s->offset = FORMAT_BLOCK; s->segment < s->first + SCRIBE_SEGMENTS; move_on(s)) {
    segment_path(s->segment, path);
    if (!peek(s, path, block, s->offset) || !uvdio__log_read_head(block, &head) ||
        head.log != s->log || head.position != s->segment * s->segment_size + s->offset) {
      return;
    }
    s->before = head.checksum;
    s->epoch = head.epoch;
    if (s->offset + FORMAT_BLOCK == s->segment_size) {
      return;
    }
  }
}

/*
 * Others
 */

/* Another value in one field of a block, under a checksum that is right. */
static void forge(struct scribe* s) {
  static const struct {
    unsigned at;
    unsigned size;
  } fields[] = {{4, 2},  {6, 2},  {8, 8},           {16, 8},
                {24, 8}, {32, 4}, {36, 4},          {FORMAT_HEAD, 4},
                {40, 8}, {48, 8}, {FORMAT_HEAD, 1}, {FORMAT_HEAD + 256, 4}};
  char path[NAME_SIZE];
  char block[FORMAT_BLOCK];
  unsigned index = take(s, 32);
  unsigned field = take(s, (unsigned)COUNT_OF(fields));
  choose_path(s, path);
  if (!peek(s, path, block, (uint64_t)index * FORMAT_BLOCK)) {
    return;
  }
  char* at = block + fields[field].at;
  uint64_t now = uvdio__log_get64(at);
  uint64_t small = take(s, 256);
  const uint64_t values[] = {0,
                             UINT64_MAX,
                             now + 1,
                             now - 1,
                             small,
                             small << 8,
                             now + FORMAT_BLOCK,
                             now + s->segment_size,
                             now ^ (uint64_t)1 << small % 64,
                             UVDIO_LOG_RECORD_MAX,
                             FORMAT_NO_RECORD,
                             s->segment * s->segment_size + s->offset};
  char bytes[8];
  uvdio__log_put64(bytes, values[take(s, (unsigned)COUNT_OF(values))]);
  memcpy(at, bytes, fields[field].size);
  uvdio__log_put32(block, uvdio__log_crc32c(block + 4, FORMAT_BLOCK - 4));
  poke(s, path, block, sizeof(block), (uint64_t)index * FORMAT_BLOCK);
}

/* Some bytes, under a checksum that is wrong then; or a block of zeros. */
static void damage(struct scribe* s) {
  char path[NAME_SIZE];
  char block[FORMAT_BLOCK] = {0};
  unsigned index = take(s, 32);
  unsigned at = take(s, FORMAT_BLOCK);
  choose_path(s, path);
  if (peek(s, path, block, (uint64_t)index * FORMAT_BLOCK)) {
    block[at] ^= (char)(1 + take(s, 255));
    if (take(s, 4) == 0) {
      memset(block, 0, sizeof(block));
    }
    poke(s, path, block, sizeof(block), (uint64_t)index * FORMAT_BLOCK);
  }
}

static void copy_block(struct scribe* s) {
  char from[NAME_SIZE];
  char to[NAME_SIZE];
  char block[FORMAT_BLOCK];
  uint64_t offsets[2] = {(uint64_t)take(s, 32) * FORMAT_BLOCK,
                         (uint64_t)take(s, 32) * FORMAT_BLOCK};
  choose_path(s, from);
  choose_path(s, to);
  if (peek(s, from, block, offsets[0])) {
    poke(s, to, block, sizeof(block), offsets[1]);
  }
}

static void make_directory(struct scribe* s, uvdio_engine_t* engine, const char* path) {
  uvdio_req_t req = {0};
  int code = uvdio_mkdir(engine, &req, path, 0700, NULL);
  REQUIRE(code == 0 || code == UV_EEXIST);
  s->has_directories = 1;
}

/* Keeps the first bytes of a file, under its name or another; or none, and not the name either. */
static void change_file(struct scribe* s, uvdio_engine_t* engine) {
  static char bytes[SCRIBE_SEGMENT_MAX];
  char from[NAME_SIZE];
  char to[NAME_SIZE];
  uvdio_req_t req = {0};
  unsigned how = take(s, 8);
  choose_path(s, from);
  choose_path(s, to);
  int64_t size = uvdio_sim_peek(s->sim, from, 0, bytes, sizeof(bytes), 0);
  int64_t kept = how < 4 ? size : (int64_t)take(s, 65536) * 2;
  if (size < 0 || s->has_directories) {
    return;
  }
  int code = uvdio_unlink(engine, &req, how < 4 ? to : from, NULL);
  REQUIRE(code == 0 || code == UV_ENOENT);
  if (how == 7) {
    make_directory(s, engine, from);
  } else if (how != 6) {
    kept = kept < size ? kept : size;
    poke(s, how < 4 ? to : from, bytes, (size_t)kept, 0);
  }
  REQUIRE(uvdio_sim_sync_directory(s->sim) == 0);
}

static void change_course(struct scribe* s) {
  switch (take(s, 6)) {
    case 0:
      s->epoch += take(s, 4);
      break;
    case 1:
      s->durable = s->segment * s->segment_size + s->offset;
      break;
    case 2:
      s->durable += FORMAT_BLOCK * (uint64_t)take(s, 40);
      break;
    case 3:
      move_on(s); /* leaves one out */
      break;
    case 4:
      s->rest = take(s, 2) == 0 ? 0 : s->rest + take(s, 5000);
      break;
    default:
      s->before++;
  }
}

/*
 * Which of them
 */

void scribe_begin(struct scribe* s, uvdio_sim_t* sim, struct choices* choices) {
  memset(s, 0, sizeof(*s));
  s->sim = sim;
  s->choices = choices;
  s->segment_size = SCRIBE_SEGMENT_MAX / 2;
  s->first = s->segment = 1;
  s->offset = FORMAT_BLOCK;
}

void scribe_act(struct scribe* s, uvdio_engine_t* engine) {
  switch (take(s, 10)) {
    case 0:
      begin_log(s);
      break;
    case 1:
    case 2:
      put_blocks(s);
      break;
    case 3:
    case 4:
      forge(s);
      break;
    case 5:
      damage(s);
      break;
    case 6:
      copy_block(s);
      break;
    case 7:
      change_file(s, engine);
      break;
    case 8:
      follow(s);
      break;
    default:
      change_course(s);
  }
}
