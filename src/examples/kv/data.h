/* SPDX-License-Identifier: MIT */
/*
 * The data file: entries, one behind the other, each a head, a key and a value. The log says how
 * far it holds something, and which generation of it counts.
 *
 *   entry, from byte   0       its kind; 0: this byte is none, and the next one may be
 *                      1       bytes of the key, 32 bits, little-endian
 *                      5       bytes of the value
 *                      9       key and value
 *
 * Records of the log have the same entries, and in addition those of KV_CHECKPOINT, without a key.
 */
#ifndef KV_DATA_H
#define KV_DATA_H

#include <uvdio.h>
#include <uvdio/stream.h>

#define KV_HEAD_SIZE 9u
#define KV_KEY_MAX 65536u
#define KV_PATH_MAX 4096u
#define KV_FRAME_SIZE ((size_t)256 * 1024)
#define KV_WINDOW 4u /* frames of a stream */

typedef enum {
  KV_PADDING = 0,
  KV_SET = 1,
  KV_DELETE = 2,
  KV_CHECKPOINT = 3 /* its value: generation, end and LSN, 64 bits each */
} kv_kind_t;
#define KV_CHECKPOINT_SIZE 24u

typedef struct kv_head_s {
  unsigned kind;
  uint32_t key_length;
  uint32_t value_length;
} kv_head_t;

void kv_put64(char* bytes, uint64_t number);
uint64_t kv_get64(const char* bytes);
void kv_head_put(char* bytes, const kv_head_t* head);

/* Returns 0 where it can't be one. */
int kv_head_get(const char* bytes, kv_head_t* head);

/* An open data file, which is closed when nobody holds it any more. */
typedef struct kv_file_s kv_file_t;
struct kv_file_s {
  uvdio_file_t file;
  uvdio_req_t req;
  unsigned holders;
  uint64_t generation;
  void (*closed_cb)(void* arg); /* or null */
  void* closed_arg;
};

/* The path of a generation: to `path`, of KV_PATH_MAX bytes. */
void kv_data_path(char* path, const char* directory, uint64_t generation);

/* One that is not open yet, with one holder. */
kv_file_t* kv_file_create(uint64_t generation);
kv_file_t* kv_file_hold(kv_file_t* file);
void kv_file_drop(kv_file_t* file);

/* Reads entries of the data file in order. */
typedef struct kv_scan_s kv_scan_t;
struct kv_scan_s {
  uvdio_reader_t* reader;
  uvdio_block_t block; /* taken, and read up to `used` */
  size_t used;
  uint64_t begin; /* where the first byte of the block is in the file */
  uint64_t end;
  char head[KV_HEAD_SIZE];
  char key[KV_KEY_MAX];
  size_t filled; /* bytes of head and key */
  kv_head_t entry;
  uint64_t value_left;
  int is_running;
  int is_told; /* entry_cb has had the entry */
  /* For each entry, when head and key are there and the position of its value is known. Returns 1;
   * 0: it is to be called again, by kv_scan_go_on(). */
  int (*entry_cb)(kv_scan_t* scan, uint64_t position, void* arg);
  /* Bytes of its value: returns how many were taken; fewer: kv_scan_go_on() is to be called. Null:
   * values are left out. */
  size_t (*bytes_cb)(kv_scan_t* scan, const char* bytes, size_t length, void* arg);
  /* 0, or an error; the scan may be begun again. */
  void (*end_cb)(kv_scan_t* scan, int status, void* arg);
  void* arg;
};

/* Callbacks and `arg` are set. The end may come before the call returns. */
void kv_scan_begin(kv_scan_t* scan, uvdio_file_t* file, uvdio_arena_t* arena, uint64_t end);
void kv_scan_go_on(kv_scan_t* scan);

/* Ends a scan that is under way, without its callback. */
void kv_scan_stop(kv_scan_t* scan);

#endif /* KV_DATA_H */
