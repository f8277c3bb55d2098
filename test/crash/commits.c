/* SPDX-License-Identifier: MIT */
#include "commits.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

#define HEAD 24u            /* seed, number, life */
#define LOCK_WAIT_MS 10000u /* a program that was killed keeps its locks for a while */

/* The first complaint stays. */
__attribute__((format(printf, 2, 3))) static void complain(struct commits* commits,
                                                           const char* format, ...) {
  va_list values;
  if (commits->why[0] == '\0') {
    va_start(values, format);
    vsnprintf(commits->why, WHY_MAX, format, values);
    va_end(values);
  }
}

/*
 * Records
 */

/* The last life that began before it, or with it. */
static uint64_t life_of(const struct commits* commits, uint64_t number) {
  unsigned life = commits->lives;
  while (life > 0 && commits->begins[life - 1] > number) {
    life--;
  }
  return life;
}

size_t commit_fill(const struct commits* commits, uint64_t seed, uint64_t number, char* bytes) {
  uint64_t life = life_of(commits, number);
  struct random random = {random_mix(seed) ^ random_mix(number + (life << 40))};
  unsigned most = random_below(&random, 40) == 0 ? COMMIT_MAX : 2u << random_below(&random, 12);
  size_t length = HEAD + random_below(&random, most);
  const uint64_t head[] = {seed, number, life};
  _Static_assert(sizeof(head) == HEAD, "what the head holds");
  memcpy(bytes, head, HEAD);
  for (size_t at = HEAD; at < length; at++) {
    bytes[at] = (char)(random.state >> at % 7 * 8) + (char)(at / 7);
  }
  return length;
}

uint64_t commit_submit(struct commits* commits) {
  return ++commits->submitted;
}

void commit_reached(struct model* model, uint64_t number, uint64_t lsn) {
  struct commits* commits = &model->commits;
  commits->known[number % COMMITS_KNOWN].number = 0;
  commits->known[number % COMMITS_KNOWN].lsn = lsn;
  commits->known[number % COMMITS_KNOWN].number = number;
  if (commits->acknowledged < number) {
    commits->acknowledged = number;
    model->acknowledged[VISIBLE]++;
    model->acknowledged[DURABLE]++;
  }
}

uint64_t commit_lsn(const struct commits* commits, uint64_t number) {
  return commits->known[number % COMMITS_KNOWN].number == number
             ? commits->known[number % COMMITS_KNOWN].lsn
             : 0;
}

/*
 * Replays
 */

void commits_on_record(struct replay* replay, uint64_t lsn, const void* data, size_t length) {
  static char expected[COMMIT_MAX + HEAD];
  struct commits* commits = &replay->model->commits;
  uint64_t number = 0;
  if (length >= HEAD) {
    memcpy(&number, (const char*)data + sizeof(uint64_t), sizeof(number));
  }
  if (replay->first == 0) {
    replay->first = number;
  } else if (number != replay->last + 1 || lsn <= replay->last_lsn) {
    complain(commits, "record %llu was replayed behind record %llu", (unsigned long long)number,
             (unsigned long long)replay->last);
  }
  replay->last = number;
  replay->last_lsn = lsn;
  if (length != commit_fill(commits, replay->model->seed, number, expected) ||
      memcmp(expected, data, length) != 0) {
    complain(commits, "record %llu (%zu bytes) is not what was appended",
             (unsigned long long)number, length);
  }
  if (commit_lsn(commits, number) != 0 && commit_lsn(commits, number) != lsn) {
    complain(commits, "record %llu has another LSN than before", (unsigned long long)number);
  }
}

static void check_range(struct commits* commits, const struct replay* replay) {
  if (replay->first > commits->needed || replay->last < commits->acknowledged ||
      replay->last > commits->submitted) {
    complain(commits,
             "records %llu to %llu were replayed; %llu to %llu were acknowledged, and appended up "
             "to %llu",
             (unsigned long long)replay->first, (unsigned long long)replay->last,
             (unsigned long long)commits->needed, (unsigned long long)commits->acknowledged,
             (unsigned long long)commits->submitted);
  }
}

void commits_opened(const struct replay* replay) {
  struct commits* commits = &replay->model->commits;
  check_range(commits, replay);
  if (commits->why[0] != '\0') {
    return;
  }
  /* A kill may come between any two of these. */
  if (replay->last > commits->acknowledged) {
    commit_reached(replay->model, replay->last, replay->last_lsn);
  }
  commits->submitted = replay->last;
  assert(commits->lives < LIVES_MAX);
  commits->begins[commits->lives] = replay->last + 1;
  commits->lives++;
}

/*
 * Looking at what is left
 */

struct look {
  struct replay replay;
  int status;
};

static void on_record(uint64_t lsn, const void* data, size_t length, void* context) {
  struct look* look = context;
  commits_on_record(&look->replay, lsn, data, length);
}

static void on_open(uvdio_log_t* log, int status, void* context) {
  struct look* look = context;
  (void)log;
  look->status = status;
}

/* Opens and closes the log. Returns the first code that is none of success. */
static int look_into(struct look* look, uvdio_engine_t* engine, uv_loop_t* loop, const char* dir) {
  uvdio_log_options_t options = {.lock_wait_ms = LOCK_WAIT_MS};
  char path[256];
  uvdio_log_t* log;
  snprintf(path, sizeof(path), "%.200s/wal", dir);
  int error = uvdio_log_open(&log, engine, path, &options, on_record, on_open, look);
  if (error != 0) {
    return error;
  }
  uv_run(loop, UV_RUN_DEFAULT);
  error = uvdio_log_close(log, NULL, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  return look->status != 0 ? look->status : error;
}

int commits_check(struct model* model, const char* dir, uvdio_backend_t backend,
                  char why[WHY_MAX]) {
  uvdio_engine_options_t options = {.backend = backend};
  struct look look = {.replay.model = model};
  uvdio_engine_t* engine;
  uv_loop_t loop;
  int error = uv_loop_init(&loop);
  assert(error == 0);
  error = uvdio_engine_create(&engine, &loop, &options);
  if (error == 0) {
    error = look_into(&look, engine, &loop, dir);
    int refused = uvdio_engine_close(engine, NULL);
    assert(refused == 0);
    (void)refused;
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  int left = uv_loop_close(&loop);
  assert(left == 0);
  (void)left;
  if (error != 0) {
    complain(&model->commits, "the log can't be opened: %s", uvdio_strerror(error));
  } else {
    check_range(&model->commits, &look.replay);
    commit_reached(model, look.replay.last, look.replay.last_lsn); /* durable from now on */
  }
  snprintf(why, WHY_MAX, "%s", model->commits.why);
  return why[0] == '\0' ? 0 : -1;
}
