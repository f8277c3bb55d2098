/* SPDX-License-Identifier: MIT */
/*
 * See files.h. Symbolic links are refused by opening a path part by part, each relative to the
 * folder before it and none through a link, so that nothing outside of the root is reached whatever
 * happens to the names meanwhile.
 */
#include "files.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "types.h"

/* What a file needs until it is open. */
struct httpd_opening_s {
  const char* next_part; /* of the path: not opened yet */
  uvdio_file_t folders[2];
  unsigned depth; /* folders that were opened; the last one is folders[(depth - 1) % 2] */
  int is_done;
  int error;
  httpd_link_t waiters;
};

/*
 * The table
 */

static httpd_file_t** bucket_of(httpd_files_t* files, const char* path) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (; *path != '\0'; path++) {
    hash = (hash ^ (unsigned char)*path) * 16777619u;
  }
  return &files->buckets[hash % HTTPD_FILES_BUCKETS];
}

static httpd_file_t* find(httpd_files_t* files, const char* path) {
  httpd_file_t* file = *bucket_of(files, path);
  while (file != NULL && strcmp(file->path, path) != 0) {
    file = file->next_in_bucket;
  }
  return file;
}

static void list(httpd_file_t* file) {
  httpd_file_t** bucket = bucket_of(file->files, file->path);
  file->next_in_bucket = *bucket;
  *bucket = file;
  file->is_listed = 1;
}

static void delist(httpd_file_t* file) {
  httpd_file_t** at = bucket_of(file->files, file->path);
  assert(file->is_listed);
  while (*at != file) {
    at = &(*at)->next_in_bucket;
  }
  *at = file->next_in_bucket;
  file->is_listed = 0;
  httpd_list_remove(&file->idle);
}

static void free_file(httpd_file_t* file) {
  httpd_files_t* files = file->files;
  assert(!file->is_listed && file->users == 0 && file->opening == NULL);
  free(file->path);
  free(file);
  files->count--;
  if (files->count == 0 && files->on_stopped != NULL) {
    files->on_stopped(files);
  }
}

static void on_closed(uvdio_req_t* req, int64_t result) {
  (void)result;
  free_file(req->data);
}

/* The entry leaves the table, and is gone when nobody uses it. */
static void discard(httpd_file_t* file) {
  if (file->is_listed) {
    delist(file);
  }
  if (file->users == 0) {
    int error = uvdio_close(&file->file, &file->req, on_closed);
    assert(error == 0);
    (void)error;
  }
}

/*
 * Opening
 */

static void go_on(httpd_file_t* file);

/* Tells those who wait. `users` keeps the file until all were told, since the last user of all may
 * be gone by then. */
static void opened(httpd_file_t* file) {
  httpd_opening_t* opening = file->opening;
  int is_good = opening->error == 0;

  file->opening = NULL;
  file->users = 1;
  if (!is_good) {
    delist(file);
  }
  while (!httpd_list_is_empty(&opening->waiters)) {
    httpd_waiter_t* waiter = HTTPD_OF(opening->waiters.next, httpd_waiter_t, link);
    httpd_list_remove(&waiter->link);
    file->users += is_good ? 1 : 0;
    waiter->cb(waiter, is_good ? file : NULL, opening->error);
  }
  free(opening);
  if (is_good) {
    httpd_file_release(file);
  } else {
    file->users = 0;
    free_file(file);
  }
}

static void learn(httpd_file_t* file) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(&file->file, &info);
  assert(error == 0);
  (void)error;
  file->size = info.open_size;
  file->modified_s = info.modified_ns / 1000000000;
  file->opened_ms = uv_now(uvdio_engine_loop(file->files->engine));
  (void)snprintf(file->etag, sizeof(file->etag), "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
                 info.inode, (uint64_t)info.modified_ns, info.open_size);
  httpd_date_print(file->modified_s, file->modified, sizeof(file->modified));
  file->type = httpd_type_of(file->path);
}

static void on_folder_closed(uvdio_req_t* req, int64_t result) {
  (void)result;
  go_on(req->data);
}

static void close_folder(httpd_file_t* file, unsigned number) {
  int error = uvdio_close(&file->opening->folders[number % 2], &file->req, on_folder_closed);
  assert(error == 0);
  (void)error;
}

static void finish(httpd_file_t* file) {
  httpd_opening_t* opening = file->opening;
  opening->is_done = 1;
  if (opening->depth > 0) {
    close_folder(file, opening->depth - 1);
    opening->depth = 0;
  } else {
    opened(file);
  }
}

static void on_file(uvdio_req_t* req, int64_t result) {
  httpd_file_t* file = req->data;
  file->opening->error = result < 0 ? (int)result : 0;
  if (result >= 0) {
    learn(file);
  }
  finish(file);
}

/* A folder is closed when the next one is open in it. */
static void on_folder(uvdio_req_t* req, int64_t result) {
  httpd_file_t* file = req->data;
  httpd_opening_t* opening = file->opening;
  if (result < 0) {
    opening->error = (int)result;
    finish(file);
    return;
  }
  opening->depth++;
  if (opening->depth > 1) {
    close_folder(file, opening->depth - 2);
  } else {
    go_on(file);
  }
}

static int open_folder(httpd_file_t* file, uvdio_file_t* base, const char* slash) {
  httpd_opening_t* opening = file->opening;
  char name[HTTPD_PATH_MAX];
  size_t length = (size_t)(slash - opening->next_part);
  memcpy(name, opening->next_part, length);
  name[length] = '\0';
  opening->next_part = slash + 1;
  return uvdio_open_at(base, &opening->folders[opening->depth % 2], &file->req, name,
                       UVDIO_O_DIRECTORY | UVDIO_O_NOFOLLOW, 0, on_folder);
}

/* Opens the next part of the path. */
static int open_part(httpd_file_t* file) {
  httpd_opening_t* opening = file->opening;
  uvdio_file_t* base =
      opening->depth == 0 ? &file->files->root : &opening->folders[(opening->depth - 1) % 2];
  const char* slash = file->files->follows_links ? NULL : strchr(opening->next_part, '/');
  unsigned nofollow = file->files->follows_links ? 0 : UVDIO_O_NOFOLLOW;

  return slash != NULL
             ? open_folder(file, base, slash)
             : uvdio_open_at(base, &file->file, &file->req, opening->next_part,
                             UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED | nofollow, 0, on_file);
}

/* The next step, when nothing is under way. */
static void go_on(httpd_file_t* file) {
  httpd_opening_t* opening = file->opening;
  if (!opening->is_done) {
    opening->error = open_part(file);
    if (opening->error == 0) {
      return;
    }
  }
  finish(file);
}

static void free_unopened(httpd_file_t* file) {
  free(file->path);
  free(file->opening);
  free(file);
}

static int make(httpd_files_t* files, const char* path, httpd_file_t** made) {
  httpd_file_t* file = calloc(1, sizeof(*file));
  if (file == NULL) {
    return UV_ENOMEM;
  }
  file->path = strdup(path);
  file->opening = calloc(1, sizeof(*file->opening));
  if (file->path == NULL || file->opening == NULL) {
    free_unopened(file);
    return UV_ENOMEM;
  }
  file->files = files;
  file->req.data = file;
  file->opening->next_part = file->path;
  httpd_list_init(&file->idle);
  httpd_list_init(&file->opening->waiters);
  int error = open_part(file);
  if (error != 0) {
    free_unopened(file);
    return error;
  }
  files->count++;
  files->opens++;
  list(file);
  *made = file;
  return 0;
}

/*
 * What others call
 */

int httpd_files_start(httpd_files_t* files, uvdio_engine_t* engine, const char* root) {
  files->engine = engine;
  httpd_list_init(&files->idle);
  return uvdio_open(engine, &files->root, &files->req, root, UVDIO_O_DIRECTORY, 0, NULL);
}

int httpd_files_get(httpd_files_t* files, const char* path, httpd_waiter_t* waiter,
                    httpd_file_t** file) {
  httpd_file_t* found = find(files, path);
  uint64_t now = uv_now(uvdio_engine_loop(files->engine));

  if (strlen(path) >= HTTPD_PATH_MAX) {
    return UV_ENAMETOOLONG;
  }
  if (found != NULL && found->opening == NULL && now - found->opened_ms >= files->fresh_ms) {
    discard(found);
    found = NULL;
  }
  if (found != NULL && found->opening == NULL) {
    httpd_list_remove(&found->idle);
    found->users++;
    *file = found;
    return 0;
  }
  if (found == NULL) {
    if (files->count >= files->files_max && !httpd_list_is_empty(&files->idle)) {
      discard(HTTPD_OF(files->idle.next, httpd_file_t, idle)); /* one goes for one that comes */
    }
    int error = make(files, path, &found);
    if (error != 0) {
      return error;
    }
  }
  httpd_list_append(&found->opening->waiters, &waiter->link);
  return UV_EAGAIN;
}

void httpd_files_forget(httpd_waiter_t* waiter) {
  httpd_list_remove(&waiter->link);
}

void httpd_file_release(httpd_file_t* file) {
  httpd_files_t* files = file->files;
  assert(file->users > 0);
  file->users--;
  if (file->users == 0 && file->is_listed && files->on_stopped == NULL) {
    httpd_list_append(&files->idle, &file->idle);
  } else if (file->users == 0) {
    discard(file);
  }
}

void httpd_files_stop(httpd_files_t* files, void (*cb)(httpd_files_t* files)) {
  files->on_stopped = cb;
  while (!httpd_list_is_empty(&files->idle)) {
    discard(HTTPD_OF(files->idle.next, httpd_file_t, idle));
  }
  if (files->count == 0) {
    cb(files);
  } /* else when the last one that is being opened or closed is gone */
}
