/* SPDX-License-Identifier: MIT */
/*
 * One mutex, and two buffers in a circle, each with a condition on which its clients wait. Who
 * wakes up holds the mutex, notes its commit and places its next record before it lets go.
 */
#include "log/group.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define STACK_SIZE ((size_t)128 << 10)

typedef struct gathered_s {
  char* bytes;
  size_t size;
  unsigned count;
  pthread_cond_t is_durable;
} gathered_t;

typedef struct group_s {
  commits_t* commits;
  group_write_t write;
  void* arg;
  pthread_mutex_t mutex;
  pthread_cond_t may_start;
  int has_started;
  gathered_t buffers[2];
  uint64_t filling; /* number of the buffer that is filled: buffers[filling % 2] */
  uint64_t durable; /* all buffers before this one are */
  int is_writing;
  int error;
  pthread_t* threads;
  unsigned count;
} group_t;

/* Called, and left, with the mutex held. The next leader is woken before those that are done. */
static void lead(group_t* group) {
  gathered_t* buffer = &group->buffers[group->filling % 2];
  assert(!group->is_writing && buffer->count > 0);
  group->is_writing = 1;
  group->filling++;
  pthread_mutex_unlock(&group->mutex);
  int error = group->write(group->arg, buffer->bytes, buffer->size, buffer->count);
  pthread_mutex_lock(&group->mutex);
  group->error = group->error == 0 ? error : group->error;
  group->commits->flushes++;
  group->durable = group->filling;
  group->is_writing = 0;
  buffer->size = 0;
  buffer->count = 0;
  pthread_cond_signal(&group->buffers[group->filling % 2].is_durable);
  pthread_cond_broadcast(&buffer->is_durable);
}

static void commit(group_t* group) {
  const commits_params_t* params = group->commits->params;
  uint64_t number = group->filling;
  gathered_t* buffer = &group->buffers[number % 2];
  memcpy(buffer->bytes + buffer->size, group->commits->record, params->record_size);
  buffer->size += params->record_size;
  buffer->count++;
  while (group->durable <= number && group->error == 0) {
    if (group->is_writing) {
      pthread_cond_wait(&buffer->is_durable, &group->mutex);
    } else {
      lead(group);
    }
  }
}

static void* run_client(void* arg) {
  group_t* group = arg;
  pthread_mutex_lock(&group->mutex);
  while (!group->has_started) {
    pthread_cond_wait(&group->may_start, &group->mutex);
  }
  uint64_t began_ns = uv_hrtime();
  while (began_ns != 0 && group->error == 0) {
    commit(group);
    began_ns = commits_note(group->commits, began_ns);
  }
  /* Who was woken to lead, and does not, passes that on. */
  pthread_cond_signal(&group->buffers[group->filling % 2].is_durable);
  pthread_mutex_unlock(&group->mutex);
  return NULL;
}

static int start_clients(group_t* group) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error == 0) {
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (group->count < group->commits->params->clients && error == 0) {
      error = pthread_create(&group->threads[group->count], &attributes, run_client, group);
      group->count += error == 0;
    }
    (void)pthread_attr_destroy(&attributes);
  }
  return error == 0 ? 0 : uv_translate_sys_error(error);
}

/* Lets them go, also where not all of them could be started. */
static void run_clients(group_t* group, int error) {
  pthread_mutex_lock(&group->mutex);
  group->error = error;
  group->has_started = 1;
  commits_start(group->commits);
  pthread_cond_broadcast(&group->may_start);
  pthread_mutex_unlock(&group->mutex);
  for (unsigned i = 0; i < group->count; i++) {
    (void)pthread_join(group->threads[i], NULL);
  }
  commits_end(group->commits);
}

static int allocate(group_t* group) {
  const commits_params_t* params = group->commits->params;
  group->threads = calloc(params->clients, sizeof(*group->threads));
  int failed = group->threads == NULL;
  for (unsigned i = 0; i < 2; i++) {
    size_t size = params->clients * params->record_size;
    group->buffers[i].bytes = malloc(size);
    if (group->buffers[i].bytes == NULL) {
      failed = 1;
    } else {
      memset(group->buffers[i].bytes, 0, size); /* so that page faults are nobody's */
    }
    (void)pthread_cond_init(&group->buffers[i].is_durable, NULL);
  }
  (void)pthread_mutex_init(&group->mutex, NULL);
  (void)pthread_cond_init(&group->may_start, NULL);
  return failed ? UV_ENOMEM : 0;
}

static void free_all(group_t* group) {
  for (unsigned i = 0; i < 2; i++) {
    free(group->buffers[i].bytes);
    (void)pthread_cond_destroy(&group->buffers[i].is_durable);
  }
  (void)pthread_cond_destroy(&group->may_start);
  (void)pthread_mutex_destroy(&group->mutex);
  free(group->threads);
}

int group_run(commits_t* commits, group_write_t write, void* arg) {
  group_t group = {.commits = commits, .write = write, .arg = arg};
  int error = allocate(&group);
  if (error == 0) {
    commits->failed = "start threads for";
    error = start_clients(&group);
    commits->failed = error == 0 ? "write to" : commits->failed;
    run_clients(&group, error);
    error = group.error;
  }
  free_all(&group);
  return error;
}
