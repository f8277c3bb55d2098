/* SPDX-License-Identifier: MIT */
/*
 * What the files of the addon share. Each environment of Node's (the main thread, a worker) has one
 * engine on its own loop; the addon has no other state.
 *
 * Memory rule: the kernel gets no memory that JavaScript can free. It is one of
 *   - a block (alloc()), which requests in flight hold by a count of their own;
 *   - memory of read(), which JavaScript sees when the request has ended, held by a reference;
 *   - a copy, which the library owns.
 */
#ifndef UVDIO_NODE_ADDON_H
#define UVDIO_NODE_ADDON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAPI_VERSION 8
#include <node_api.h>
#include <uvdio.h>
#include <uvdio/class.h>
#include <uvdio/log.h>
#include <uvdio/log_reader.h>
#include <uvdio/stream.h>

#include "list.h"

/* Arguments of a native function at most. */
#define ARGUMENTS_MAX 9

typedef struct env_s env_t;
typedef struct file_s file_t;
typedef struct block_s block_t;
typedef struct op_s op_t;

/* The environment of one thread. */
struct env_s {
  napi_env napi;
  napi_async_context context; /* of all callbacks */
  napi_async_cleanup_hook_handle hook;
  uvdio_engine_t* engine; /* null before its first use, and after its end */
  uvdio_engine_options_t options;
  bool is_ending; /* no JavaScript can be called any more */
  double* shared; /* SHARED_*: numbers that calls hand over beside arguments and result */
  napi_ref shared_memory;
  unsigned class_number; /* of the operation that this native call submits */
  uint64_t copied;       /* bytes, by writes of memory that is no block's */
  op_t** ops;            /* all that were made, by their slots */
  size_t ops_count;
  size_t ops_room;
  op_t* spare;         /* operations to use again */
  link_t* files;       /* open, or being opened or closed */
  link_t* streams;     /* not closed */
  link_t* wals;        /* not closed */
  link_t* log_readers; /* not closed */
  uv_idle_t idle;      /* while logs end after their engine */
};

/* Places in env->shared. */
enum {
  SHARED_START = 0, /* of read(): where its memory is aligned */
  SHARED_TOKEN,     /* of the operation that was submitted last */
  SHARED_CLASS,     /* of the operation that the next native call submits */
  SHARED_COUNT
};

/* A file: it lives until JavaScript has let go of it and it is closed. */
struct file_s {
  uvdio_file_t file;
  env_t* env;
  char* path;
  bool is_nameless; /* anonymous, and was given no name */
  unsigned refs;
  link_t link; /* env->files */
};

/* What an error is about; paths may be null. */
typedef struct subject_s {
  const char* name; /* of the operation */
  const char* path;
  const char* dest; /* where an operation has two */
} subject_t;

/* The kind of a promise's value. */
typedef enum {
  VALUE_NONE = 0, /* undefined */
  VALUE_NUMBER,   /* the result */
  VALUE_FILE,     /* a handle on the file */
  VALUE_STAT
} value_t;

/* Bytes of a block that an operation uses. */
typedef struct claim_s {
  block_t* block; /* null: none */
  const char* begin;
  size_t length;
  bool is_change; /* a read */
  link_t user;    /* of the block's part */
} claim_t;

/* The buffers of readv() and writev(). */
typedef struct vector_s vector_t;

/* An operation in flight. */
struct op_s {
  uvdio_req_t req;
  env_t* env;
  napi_deferred deferred;
  napi_ref memory;  /* of read() */
  claim_t claim;    /* of readInto() and write() */
  vector_t* vector; /* of readv() and writev(), or null */
  file_t* file;
  char* path; /* of operations without a file */
  char* dest; /* of operations that give a name */
  const char* name;
  value_t value;
  size_t slot;   /* in env->ops */
  uint64_t turn; /* how often it was used */
  bool is_pending;
  uvdio_stat_t stat;
  op_t* next; /* spare */
};

/* environment.c */
extern int env_engine(env_t* env);
/* Tells the collector of memory that an object of JavaScript keeps from now on, or (negative) not
 * any more: else nothing presses it to look for objects that were forgotten. */
extern void env_account(env_t* env, int64_t bytes);
extern napi_value configure(napi_env napi, napi_callback_info info);
extern napi_value describe_engine(napi_env napi, napi_callback_info info);
extern napi_value count_engine(napi_env napi, napi_callback_info info);
extern env_t* env_create(napi_env napi);

/* values.c: arguments and results. Getters throw and return false. */
typedef struct call_s {
  env_t* env;
  size_t count;
  napi_value values[ARGUMENTS_MAX];
} call_t;

extern void call_begin(call_t* call, napi_env napi, napi_callback_info info);
extern bool get_uint64(call_t* call, size_t index, uint64_t* value);
extern bool get_bigint(call_t* call, size_t index, uint64_t* value);
extern bool get_unsigned(call_t* call, size_t index, unsigned* value);
extern bool get_text(call_t* call, size_t index, char** text);
extern bool get_pointer(call_t* call, size_t index, void** pointer);
extern bool get_bytes(call_t* call, size_t index, char** bytes, size_t* length, napi_value* owner);
extern bool bytes_of(env_t* env, napi_value value, char** bytes, size_t* length, napi_value* owner);
extern bool refuse_argument(call_t* call, const char* message);
extern napi_value make_number(env_t* env, double value);
extern void set_number(env_t* env, napi_value object, const char* name, double value);
extern void set_text(env_t* env, napi_value object, const char* name, const char* text);
extern void set_bigint(env_t* env, napi_value object, const char* name, uint64_t value);

/* error.c */
extern napi_value make_error(env_t* env, int code, subject_t subject);
extern napi_value throw_error(env_t* env, int code, const char* name, const char* path);

/* operation.c: promises, and their requests. */
extern op_t* op_begin(env_t* env, const char* name, file_t* file, napi_value* promise);
extern op_t* op_begin_on_file(call_t* call, const char* name, napi_value* promise);
extern napi_value op_submitted(op_t* op, int error, napi_value promise);
extern void op_let_go(op_t* op); /* of the memory that it uses */
extern void op_done(uvdio_req_t* req, int64_t result);
extern void op_io_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);
extern void ops_free(env_t* env);
extern napi_value cancel_operation(napi_env napi, napi_callback_info info);

/* Settles a promise from a callback of the library: `value` where `error` is 0. */
typedef napi_value (*settle_value_cb)(env_t* env, void* arg);
extern void settle(env_t* env, napi_deferred deferred, int error, subject_t subject,
                   settle_value_cb value_cb, void* arg);

/* The promise of a call of the library; null, with an exception pending, where it was refused. */
extern napi_value promise_of(env_t* env, int error, const char* name, const char* path,
                             napi_deferred* deferred);

/* What a take returns that has given nothing: undefined (UV_EAGAIN: wait), null (UV_EOF: the end),
 * or an exception. */
extern napi_value nothing_taken(env_t* env, int error, const char* name, const char* path);

/* memory.c */
extern napi_value alloc_block(napi_env napi, napi_callback_info info);
extern bool is_read_into(env_t* env, napi_value arraybuffer, const char* begin, size_t length);
extern void claim_let_go(claim_t* claim);

/* Makes a buffer of bytes of JavaScript's, for one request. */
typedef int (*lend_fn)(env_t* env, napi_value owner, char* bytes, size_t length, claim_t* claim,
                       uvdio_buf_t* buf);

/* Of a block's bytes, to be read into. UV_EINVAL: they are no block's; UV_EBUSY. */
extern int lend_for_read(env_t* env, napi_value owner, char* bytes, size_t length, claim_t* claim,
                         uvdio_buf_t* buf);

/* Of bytes to be written. Those of a block are claimed, written from where they are, and go on
 * being read by JavaScript: a write of them is UVDIO_WRITE_SHARED. Others JavaScript may change or
 * free at any time: `buf` is a copy, the caller's to release, and claim->block null. */
extern int lend_for_write(env_t* env, napi_value owner, char* bytes, size_t length, claim_t* claim,
                          uvdio_buf_t* buf);

/* vector.c */
extern void vector_free(vector_t* vector);
extern void vector_exports(env_t* env, napi_value exports);

/* names.c */
extern void name_exports(env_t* env, napi_value exports);

/* classes.c */
extern void class_exports(env_t* env, napi_value exports);

/* file.c */
extern void file_drop(file_t* file);
extern void file_ended(file_t* file);
extern napi_value file_value(file_t* file);
extern void file_exports(env_t* env, napi_value exports);

/* stream.c */
extern void stream_exports(env_t* env, napi_value exports);
extern void streams_end(env_t* env, const file_t* file);

/* wal.c */
extern void wal_exports(env_t* env, napi_value exports);
extern void wals_end(env_t* env);
extern uvdio_log_t* get_log(call_t* call, napi_env napi, napi_callback_info info,
                            const char** path);

/* log_reader.c */
extern void log_reader_exports(env_t* env, napi_value exports);
extern void log_readers_end(env_t* env);

/* module.c */
extern void export_function(env_t* env, napi_value exports, const char* name, napi_callback cb);

#endif /* UVDIO_NODE_ADDON_H */
