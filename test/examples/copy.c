/* SPDX-License-Identifier: MIT */
/*
 * A copy: a stream that reads ahead gives its frames to one that writes behind. No byte is copied
 * in memory, whichever is slower makes the other wait, and the new file ends where the old one
 * does.
 */
#include <stdio.h>
#include <string.h>
#include <uvdio/stream.h>

#define FRAME 65536u
#define FRAMES 32u
#define SIZE 1234567u

static char source[SIZE];
static char target[SIZE + 1];

static uvdio_file_t old_file;
static uvdio_file_t new_file;
static uvdio_reader_t* reader;
static uvdio_writer_t* writer;
static uvdio_block_t block;
static int is_held; /* a block that the writer had no room for */
static int result = 1;

static void on_closed(int status, void* arg) {
  (void)arg;
  result = result == 0 ? status : result;
}

/* The writer's close waits for the writes, cuts the file, and tells what has gone wrong. */
static void finish(int error) {
  int closed = uvdio_reader_close(reader, NULL, NULL);
  closed = closed != 0 ? closed : uvdio_writer_close(writer, on_closed, NULL);
  result = error != 0 ? error : closed;
}

static int give(void) {
  int error;
  (void)uvdio_buf_set_len(&block.buf, block.view.len); /* a last block has fewer bytes */
  error = uvdio_writer_put(writer, &block.buf);
  is_held = error == UV_EAGAIN;
  return error;
}

/* Goes on until one of the two has to be waited for. */
static void copy_on(int status, void* arg) {
  int error = status;
  while (error == 0) {
    error = is_held ? 0 : uvdio_reader_take(reader, &block);
    error = error != 0 ? error : give();
  }
  if (error == UV_EAGAIN) {
    error =
        is_held ? uvdio_writer_wait(writer, copy_on, arg) : uvdio_reader_wait(reader, copy_on, arg);
  }
  if (error != 0) {
    (void)uvdio_buf_release(&block.buf); /* empty where the writer has it */
    finish(error == UV_EOF ? 0 : error);
  }
}

static int begin(uvdio_engine_t* engine, uvdio_arena_t* arena) {
  static const uvdio_writer_options_t options = {.size_hint = SIZE, .flags = UVDIO_WRITER_DURABLE};
  static uvdio_req_t req;
  int error = uvdio_open(engine, &old_file, &req, "copy.example",
                         UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED, 0, NULL);
  if (error == 0) {
    error = uvdio_open(engine, &new_file, &req, "copy.example.new",
                       UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, NULL);
  }
  error = error != 0 ? error : uvdio_reader_create(&reader, &old_file, arena, NULL);
  return error != 0 ? error : uvdio_writer_create(&writer, &new_file, arena, &options);
}

static int write_source(void) {
  FILE* file = fopen("copy.example", "wb");
  int failed = file == NULL;
  for (size_t i = 0; i < SIZE; i++) {
    source[i] = (char)(i * 7 + (i >> 8));
  }
  failed = failed || fwrite(source, 1, SIZE, file) != SIZE;
  return file != NULL && fclose(file) == 0 ? failed : 1;
}

static int is_same(void) {
  FILE* file = fopen("copy.example.new", "rb");
  size_t bytes = file != NULL ? fread(target, 1, sizeof(target), file) : 0;
  if (file != NULL) {
    (void)fclose(file);
  }
  printf("%zu of %u bytes were copied\n", bytes, SIZE);
  return bytes == SIZE && memcmp(source, target, SIZE) == 0;
}

int main(void) {
  static const uvdio_arena_options_t frames = {.frame_size = FRAME, .frame_count = FRAMES};
  uv_loop_t* loop = uv_default_loop();
  uvdio_engine_t* engine = NULL;
  uvdio_arena_t* arena = NULL;
  int error = write_source() != 0 ? UV_EIO : uvdio_engine_create(&engine, loop, NULL);
  error = error != 0 ? error : uvdio_arena_create(&arena, &frames);
  error = error != 0 ? error : begin(engine, arena);
  if (error != 0) {
    fprintf(stderr, "copy: %s\n", uvdio_strerror(error));
    return 1;
  }
  copy_on(0, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  (void)uvdio_engine_close(engine, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  error = uvdio_arena_destroy(arena, NULL); /* all frames are back */
  int failed = result != 0 || error != 0 || !is_same();
  (void)remove("copy.example");
  (void)remove("copy.example.new");
  return failed;
}
