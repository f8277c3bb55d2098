/* SPDX-License-Identifier: MIT */
/*
 * What a file server is that uses libuv's uv_fs_read() and direct I/O, without further thought: a
 * buffer for each connection, which a worker reads into and the socket takes from. It knows just as
 * much HTTP as the benchmark's client sends (test/bench/httpd.sh), and keeps all files open.
 *
 *   uvdio-bench-plain PORT ROOT
 *   uvdio-bench-plain make ROOT FILES BYTES     the files, none of which is in the page cache then
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BLOCK 131072u
#define ALIGNMENT 4096u
#define BUCKETS 65536u

typedef struct file_s {
  struct file_s* next;
  uv_file descriptor;
  size_t size;
  char path[];
} file_t;

typedef struct client_s {
  uv_tcp_t tcp;
  uv_write_t write;
  uv_fs_t fs;
  size_t length; /* of what was asked */
  char asked[1024];
  char head[128];
  const file_t* file;
  size_t offset;
  char* block; /* null: none is needed any more */
  int is_busy;
  int is_closed;
} client_t;

static const char* root;
static file_t* files[BUCKETS];

static void read_on(client_t* client);

static void fail(const char* what) {
  fprintf(stderr, "uvdio-bench-plain: %s\n", what);
  exit(1);
}

static void free_if_over(client_t* client) {
  if (client->is_closed && !client->is_busy) {
    free(client->block);
    free(client);
  }
}

static void on_closed(uv_handle_t* handle) {
  client_t* client = handle->data;
  client->is_closed = 1;
  free_if_over(client);
}

static void leave(client_t* client) {
  if (!uv_is_closing((uv_handle_t*)&client->tcp)) {
    uv_close((uv_handle_t*)&client->tcp, on_closed);
  }
}

/* All files are opened at their first use, and stay so: opening is not what is measured. */
static const file_t* find(const char* path) {
  unsigned hash = 5381;
  for (const char* at = path; *at != '\0'; at++) {
    hash = hash * 33 + (unsigned char)*at;
  }
  file_t** bucket = &files[hash % BUCKETS];
  for (file_t* file = *bucket; file != NULL; file = file->next) {
    if (strcmp(file->path, path) == 0) {
      return file;
    }
  }
  char full[1024];
  uv_fs_t fs;
  file_t* file = malloc(sizeof(*file) + strlen(path) + 1);
  (void)snprintf(full, sizeof(full), "%s%s", root, path);
  file->descriptor = uv_fs_open(NULL, &fs, full, UV_FS_O_RDONLY | UV_FS_O_DIRECT, 0, NULL);
  uv_fs_req_cleanup(&fs);
  if (file->descriptor < 0 || uv_fs_fstat(NULL, &fs, file->descriptor, NULL) != 0) {
    fail(full);
  }
  file->size = (size_t)fs.statbuf.st_size;
  uv_fs_req_cleanup(&fs);
  memcpy(file->path, path, strlen(path) + 1);
  file->next = *bucket;
  *bucket = file;
  return file;
}

/* Returns whether there is a request. It is the only one: wrk sends none ahead. */
static int take_request(client_t* client) {
  client->asked[client->length] = '\0';
  if (strstr(client->asked, "\r\n\r\n") == NULL) {
    return 0;
  }
  char* path = strchr(client->asked, ' ');
  char* end = path != NULL ? strchr(path + 1, ' ') : NULL;
  if (end == NULL) {
    fail("this is no request");
    return 0;
  }
  *end = '\0';
  client->length = 0;
  client->offset = 0;
  client->file = find(path + 1);
  return 1;
}

static void on_written(uv_write_t* write, int status) {
  client_t* client = write->data;
  client->is_busy = 0;
  if (client->is_closed || status != 0) {
    leave(client);
    free_if_over(client);
  } else if (client->offset < client->file->size) {
    read_on(client);
  }
}

static void on_block(uv_fs_t* fs) {
  client_t* client = fs->data;
  ssize_t got = fs->result;
  uv_buf_t pieces[2];
  unsigned count = 0;
  uv_fs_req_cleanup(fs);
  client->is_busy = 0;
  if (got <= 0 || client->is_closed) {
    leave(client);
    free_if_over(client);
    return;
  }
  if (client->offset == 0) {
    int length = snprintf(client->head, sizeof(client->head),
                          "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", client->file->size);
    pieces[count++] = uv_buf_init(client->head, (unsigned)length);
  }
  pieces[count++] = uv_buf_init(client->block, (unsigned)got);
  client->offset += (size_t)got;
  client->is_busy = 1;
  if (uv_write(&client->write, (uv_stream_t*)&client->tcp, pieces, count, on_written) != 0) {
    client->is_busy = 0;
    leave(client);
  }
}

static void read_on(client_t* client) {
  uv_buf_t block = uv_buf_init(client->block, BLOCK);
  client->is_busy = 1;
  if (uv_fs_read(client->tcp.loop, &client->fs, client->file->descriptor, &block, 1,
                 (int64_t)client->offset, on_block) != 0) {
    fail("uv_fs_read");
  }
}

static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  client_t* client = handle->data;
  (void)suggested;
  *buf = uv_buf_init(client->asked + client->length,
                     (unsigned)(sizeof(client->asked) - 1 - client->length));
}

static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  client_t* client = stream->data;
  (void)buf;
  if (count < 0) {
    leave(client);
    return;
  }
  client->length += (size_t)count;
  if (!client->is_busy && take_request(client)) {
    read_on(client);
  }
}

static void on_client(uv_stream_t* listener, int status) {
  client_t* client = calloc(1, sizeof(*client));
  void* block = NULL;
  if (status != 0 || client == NULL || posix_memalign(&block, ALIGNMENT, BLOCK) != 0) {
    fail("no memory for a client");
  }
  client->block = block;
  client->tcp.data = client;
  client->write.data = client;
  client->fs.data = client;
  if (uv_tcp_init(listener->loop, &client->tcp) != 0 ||
      uv_accept(listener, (uv_stream_t*)&client->tcp) != 0 ||
      uv_tcp_nodelay(&client->tcp, 1) != 0 ||
      uv_read_start((uv_stream_t*)&client->tcp, alloc, on_read) != 0) {
    fail("a client could not be accepted");
  }
}

static int make_files(const char* folder, int count, unsigned size) {
  void* bytes = NULL;
  if (posix_memalign(&bytes, ALIGNMENT, size) != 0 || uv_random(NULL, NULL, bytes, size, 0, NULL)) {
    fail("no memory for a file");
  }
  for (int i = 0; i < count; i++) {
    char path[1024];
    uv_fs_t fs;
    uv_buf_t buf = uv_buf_init(bytes, size);
    (void)snprintf(path, sizeof(path), "%s/%05d", folder, i);
    int descriptor =
        uv_fs_open(NULL, &fs, path, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_DIRECT, 0644, NULL);
    if (descriptor < 0 || uv_fs_write(NULL, &fs, descriptor, &buf, 1, 0, NULL) != (int)size) {
      fail(path);
    }
    (void)uv_fs_close(NULL, &fs, descriptor, NULL);
  }
  free(bytes);
  return 0;
}

int main(int count, char** words) {
  uv_loop_t* loop = uv_default_loop();
  struct sockaddr_in address;
  uv_tcp_t listener;
  if (count == 5 && strcmp(words[1], "make") == 0) {
    return make_files(words[2], atoi(words[3]), (unsigned)atoi(words[4]));
  }
  if (count != 3) {
    fail("usage: uvdio-bench-plain PORT ROOT");
  }
  root = words[2];
  (void)signal(SIGPIPE, SIG_IGN);
  if (uv_ip4_addr("127.0.0.1", atoi(words[1]), &address) != 0 ||
      uv_tcp_init(loop, &listener) != 0 ||
      uv_tcp_bind(&listener, (const struct sockaddr*)&address, 0) != 0 ||
      uv_listen((uv_stream_t*)&listener, 511, on_client) != 0) {
    fail("cannot listen");
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
