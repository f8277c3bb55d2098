/* SPDX-License-Identifier: MIT */
/*
 * The files below the root that are open: opening one for direct I/O takes longer than reading it,
 * so it stays open for the requests that follow. An entry that is older than `fresh_ms` is opened
 * anew, because its name may lead to another file by now.
 *
 *   opening --(error)--> gone
 *      |
 *      v
 *    open  --(too old, too many, stop; and nobody uses it)--> closing --> gone
 */
#ifndef HTTPD_FILES_H
#define HTTPD_FILES_H

#include <uvdio.h>

#include "list.h"

#define HTTPD_FILES_BUCKETS 4096u
#define HTTPD_PATH_MAX 1024u

typedef struct httpd_files_s httpd_files_t;
typedef struct httpd_waiter_s httpd_waiter_t;
typedef struct httpd_opening_s httpd_opening_t;

typedef struct httpd_file_s {
  uvdio_file_t file;
  uint64_t size;
  int64_t modified_s;
  char modified[32]; /* as fields of an answer */
  char etag[48];
  const char* type;

  /* The rest is the table's. */
  httpd_files_t* files;
  uvdio_req_t req;
  char* path;
  httpd_opening_t* opening; /* null: it is open */
  int is_listed;            /* found by its path, and in one of the lists */
  unsigned users;
  uint64_t opened_ms;
  struct httpd_file_s* next_in_bucket;
  httpd_link_t idle; /* in files->idle while nobody uses it */
} httpd_file_t;

/* Who waits for a file is told once: the file, which is his to release, or null and an error. */
struct httpd_waiter_s {
  httpd_link_t link;
  void (*cb)(httpd_waiter_t* waiter, httpd_file_t* file, int error);
};

struct httpd_files_s {
  uvdio_engine_t* engine;
  uvdio_file_t root;
  uvdio_req_t req;
  unsigned files_max;
  uint64_t fresh_ms;
  int follows_links; /* also out of the root */
  unsigned count;    /* entries, those that are being opened or closed included */
  uint64_t opens;
  httpd_link_t idle; /* the one that was used longest ago is first */
  void (*on_stopped)(httpd_files_t* files);
  httpd_file_t* buckets[HTTPD_FILES_BUCKETS];
};

/* Opens the root. Blocks. */
int httpd_files_start(httpd_files_t* files, uvdio_engine_t* engine, const char* root);

/* Returns 0 and a file, or UV_EAGAIN: the waiter is called back; or an error. */
int httpd_files_get(httpd_files_t* files, const char* path, httpd_waiter_t* waiter,
                    httpd_file_t** file);

/* The waiter is not called back; one that does not wait is left alone. */
void httpd_files_forget(httpd_waiter_t* waiter);

void httpd_file_release(httpd_file_t* file);

/* Closes everything but the root. No file is in use, and nobody waits. */
void httpd_files_stop(httpd_files_t* files, void (*cb)(httpd_files_t* files));

#endif
