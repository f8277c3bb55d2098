/* SPDX-License-Identifier: MIT */
/*
 * Streams of the library for lib/stream.js: a reader whose blocks become Buffers, and a writer that
 * takes bytes. Frames do not leave the addon: JavaScript would give them back when its collector
 * likes, and the stream would wait for that; so a block is copied once.
 */
#include <stdlib.h>

#include "addon.h"

typedef struct waiter_s {
  napi_deferred deferred; /* null: nobody waits */
  const char* name;
} waiter_t;

typedef struct stream_s {
  env_t* env;
  file_t* file;
  uvdio_arena_t* arena;
  int64_t memory;         /* bytes of it */
  uvdio_reader_t* reader; /* one of the two; both null: ended */
  uvdio_writer_t* writer;
  waiter_t room; /* a wait */
  waiter_t sync;
  waiter_t end;  /* the close */
  unsigned refs; /* of JavaScript, and one while it is not ended */
  link_t link;   /* env->streams */
} stream_t;

static void drop(stream_t* stream) {
  if (--stream->refs == 0) {
    free(stream);
  }
}

/* Reader or writer are gone: so are their frames. */
static void end_stream(stream_t* stream) {
  uvdio_arena_destroy(stream->arena, NULL);
  env_account(stream->env, -stream->memory);
  stream->reader = NULL;
  stream->writer = NULL;
  list_leave(&stream->link);
  file_drop(stream->file);
  drop(stream);
}

/* Streams whose file is closed, or (null) whose engine is: nothing of them is in flight. */
void streams_end(env_t* env, const file_t* file) {
  for (link_t* link = env->streams; link != NULL;) {
    stream_t* stream = LINK_OWNER(link, stream_t, link);
    link = link->next;
    if (file == NULL || stream->file == file) {
      int error = stream->reader != NULL ? uvdio_reader_destroy(stream->reader)
                                         : uvdio_writer_destroy(stream->writer);
      if (error == 0) {
        end_stream(stream);
      }
    }
  }
}

static void on_collected(napi_env napi, void* stream, void* hint) {
  (void)napi;
  (void)hint;
  drop(stream);
}

/* A call that is refused since another one waits leaves that one as it is. */
static napi_value wait_for(stream_t* stream, waiter_t* waiter, const char* name, int error) {
  if (error == 0) {
    waiter->name = name;
  }
  return promise_of(stream->env, error, name, stream->file->path, &waiter->deferred);
}

static void answer(stream_t* stream, waiter_t* waiter, int status) {
  napi_deferred deferred = waiter->deferred;

  waiter->deferred = NULL;
  settle(stream->env, deferred, status, (subject_t){waiter->name, stream->file->path, NULL}, NULL,
         NULL);
}

static void on_room(int status, void* arg) {
  stream_t* stream = arg;
  answer(stream, &stream->room, status);
}

static void on_synced(int status, void* arg) {
  stream_t* stream = arg;
  answer(stream, &stream->sync, status);
}

static void on_end(int status, void* arg) {
  stream_t* stream = arg;

  stream->reader = NULL;
  stream->writer = NULL;
  answer(stream, &stream->end, status);
  end_stream(stream);
}

/* Arguments: file, frame size, window, begin, (reader) end or (writer) size hint, flags. */
typedef struct wish_s {
  call_t call;
  void* file;
  uvdio_arena_options_t arena;
  unsigned window;
  uint64_t begin;
  uint64_t end;
  unsigned flags;
} wish_t;

static bool get_wish(wish_t* wish, napi_env napi, napi_callback_info info) {
  uint64_t frame_size = 0;

  call_begin(&wish->call, napi, info);
  if (!get_pointer(&wish->call, 0, &wish->file) || !get_uint64(&wish->call, 1, &frame_size) ||
      !get_unsigned(&wish->call, 2, &wish->window) || !get_uint64(&wish->call, 3, &wish->begin) ||
      !get_uint64(&wish->call, 4, &wish->end) || !get_unsigned(&wish->call, 5, &wish->flags)) {
    return false;
  }
  wish->arena.frame_size = (size_t)frame_size;
  wish->arena.frame_count = (size_t)wish->window + 1; /* one that is being copied */
  return true;
}

static int create_library_stream(const wish_t* wish, bool is_reader, stream_t* stream) {
  uvdio_file_t* file = &((file_t*)wish->file)->file;

  if (is_reader) {
    uvdio_reader_options_t options = {0};
    options.begin = wish->begin;
    options.end = wish->end;
    options.window_max = wish->window;
    options.flags = wish->flags;
    return uvdio_reader_create(&stream->reader, file, stream->arena, &options);
  }
  uvdio_writer_options_t options = {0};
  options.begin = wish->begin;
  options.size_hint = wish->end;
  options.window_max = wish->window;
  options.flags = wish->flags;
  return uvdio_writer_create(&stream->writer, file, stream->arena, &options);
}

static int create_stream(const wish_t* wish, bool is_reader, stream_t** result) {
  stream_t* stream = calloc(1, sizeof *stream);
  int error = stream == NULL ? UV_ENOMEM : uvdio_arena_create(&stream->arena, &wish->arena);

  if (error != 0) {
    free(stream);
    return error;
  }
  error = create_library_stream(wish, is_reader, stream);
  if (error != 0) {
    uvdio_arena_destroy(stream->arena, NULL);
    free(stream);
    return error;
  }
  stream->memory = (int64_t)(wish->arena.frame_size * wish->arena.frame_count);
  *result = stream;
  return 0;
}

static napi_value create(napi_env napi, napi_callback_info info, bool is_reader) {
  wish_t wish = {0};
  stream_t* stream = NULL;
  napi_value external = NULL;

  if (!get_wish(&wish, napi, info)) {
    return NULL;
  }
  env_t* env = wish.call.env;
  file_t* file = wish.file;
  int error = create_stream(&wish, is_reader, &stream);
  if (error != 0) {
    return throw_error(env, error, is_reader ? "read" : "write", file->path);
  }
  file->refs++;
  stream->env = env;
  stream->file = file;
  stream->refs = 1;
  list_join(&env->streams, &stream->link);
  env_account(env, stream->memory);
  if (napi_create_external(napi, stream, on_collected, NULL, &external) == napi_ok) {
    stream->refs++;
  }
  return external;
}

/* createReader(file, frameSize, window, begin, end, flags) -> stream */
static napi_value create_reader(napi_env napi, napi_callback_info info) {
  return create(napi, info, true);
}

/* createWriter(file, frameSize, window, begin, sizeHint, flags) -> stream */
static napi_value create_writer(napi_env napi, napi_callback_info info) {
  return create(napi, info, false);
}

/* The stream of argument 0; null with an exception pending. */
static stream_t* get_stream(call_t* call, napi_env napi, napi_callback_info info) {
  void* pointer = NULL;

  call_begin(call, napi, info);
  if (!get_pointer(call, 0, &pointer)) {
    return NULL;
  }
  stream_t* stream = pointer;
  if (stream->reader == NULL && stream->writer == NULL) {
    throw_error(call->env, UV_EBADF, "stream", NULL);
    return NULL;
  }
  return stream;
}

/* take(reader) -> Buffer, null (the end) or undefined (none has arrived: wait) */
static napi_value take_block(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_block_t block;
  napi_value value = NULL;
  stream_t* stream = get_stream(&call, napi, info);

  if (stream == NULL) {
    return NULL;
  }
  int error = uvdio_reader_take(stream->reader, &block);
  if (error != 0) {
    return nothing_taken(call.env, error, "read", stream->file->path);
  }
  napi_create_buffer_copy(napi, block.view.len, block.view.base, NULL, &value);
  uvdio_buf_release(&block.buf);
  return value;
}

/* put(writer, bytes, from) -> how many of the bytes behind `from` were taken; 0: wait */
static napi_value put_bytes(napi_env napi, napi_callback_info info) {
  call_t call;
  char* bytes = NULL;
  size_t length = 0;
  uint64_t from = 0;
  napi_value owner = NULL;
  stream_t* stream = get_stream(&call, napi, info);

  if (stream == NULL || !get_bytes(&call, 1, &bytes, &length, &owner) ||
      !get_uint64(&call, 2, &from) || from >= length) {
    return NULL;
  }
  if (is_read_into(call.env, owner, bytes, length)) {
    return throw_error(call.env, UV_EBUSY, "write", stream->file->path);
  }
  int64_t taken = uvdio_writer_write(stream->writer, bytes + from, length - (size_t)from);
  if (taken < 0 && taken != UV_EAGAIN) {
    return throw_error(call.env, (int)taken, "write", stream->file->path);
  }
  return make_number(call.env, taken < 0 ? 0 : (double)taken);
}

/* wait(stream) -> Promise, or undefined: no need to wait */
static napi_value wait_stream(napi_env napi, napi_callback_info info) {
  call_t call;
  stream_t* stream = get_stream(&call, napi, info);

  if (stream == NULL) {
    return NULL;
  }
  int error = stream->reader != NULL ? uvdio_reader_wait(stream->reader, on_room, stream)
                                     : uvdio_writer_wait(stream->writer, on_room, stream);
  if (error == UV_EALREADY) {
    return NULL;
  }
  return wait_for(stream, &stream->room, stream->reader != NULL ? "read" : "write", error);
}

/* syncWriter(writer) -> Promise */
static napi_value sync_writer(napi_env napi, napi_callback_info info) {
  call_t call;
  stream_t* stream = get_stream(&call, napi, info);

  return stream == NULL ? NULL
                        : wait_for(stream, &stream->sync, "datasync",
                                   uvdio_writer_sync(stream->writer, on_synced, stream));
}

/* closeStream(stream) -> Promise */
static napi_value close_stream(napi_env napi, napi_callback_info info) {
  call_t call;
  stream_t* stream = get_stream(&call, napi, info);

  if (stream == NULL) {
    return NULL;
  }
  int error = stream->reader != NULL ? uvdio_reader_close(stream->reader, on_end, stream)
                                     : uvdio_writer_close(stream->writer, on_end, stream);
  return wait_for(stream, &stream->end, "close", error);
}

/* abandonStream(writer) -> whether it has ended: without a request, and the file stays as it is */
static napi_value abandon_stream(napi_env napi, napi_callback_info info) {
  call_t call;
  napi_value value = NULL;
  stream_t* stream = get_stream(&call, napi, info);

  if (stream == NULL) {
    return NULL;
  }
  bool is_waited_for = stream->room.deferred != NULL || stream->sync.deferred != NULL;
  bool has_ended =
      !is_waited_for && stream->writer != NULL && uvdio_writer_destroy(stream->writer) == 0;
  if (has_ended) {
    end_stream(stream);
  }
  napi_get_boolean(napi, has_ended, &value);
  return value;
}

void stream_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "createReader", create_reader);
  export_function(env, exports, "createWriter", create_writer);
  export_function(env, exports, "take", take_block);
  export_function(env, exports, "put", put_bytes);
  export_function(env, exports, "wait", wait_stream);
  export_function(env, exports, "syncWriter", sync_writer);
  export_function(env, exports, "closeStream", close_stream);
  export_function(env, exports, "abandonStream", abandon_stream);
}
