/* SPDX-License-Identifier: MIT */
/*
 * A file's bytes lie in extents of 64 KiB, found by their number in a hash table that grows with
 * them: a file with one byte at the far end costs one extent. Extents that were never written to
 * read as zeros. Of each extent it is known which pages are data; the others are holes.
 */
#include "backend/memory_files.h"

#include <assert.h>
#include <string.h>

#include "allocator.h"
#include "backend/memory_names.h"
#include "uvdio.h"

#define EXTENT_SIZE ((size_t)65536)
#define HOLE_SIZE ((size_t)4096) /* what a hole is made of */
#define PAGES_PER_EXTENT (EXTENT_SIZE / HOLE_SIZE)
#define BUCKETS_MIN ((size_t)8)

typedef struct extent_s {
  struct extent_s* next;
  uint64_t number;
  uint32_t data; /* a bit for each page */
  char bytes[EXTENT_SIZE];
} extent_t;

struct uvdio__node_s {
  uvdio__node_t* next;
  char* path;
  uint64_t size;
  extent_t** buckets;
  size_t bucket_count; /* a power of two */
  size_t extent_count;
  unsigned names; /* in the store that has it */
  unsigned opens;
  int may_be_named; /* it has no name and never had one */
};

struct uvdio__store_s {
  uvdio__node_t* nodes;
  uvdio__name_table_t names;
};

static void free_extent(extent_t* extent) {
  uvdio__free(extent, sizeof(*extent), UVDIO__STRUCT_ALIGN);
}

static extent_t** bucket_of(const uvdio__node_t* node, uint64_t number) {
  uint64_t hash = number * UINT64_C(0x9e3779b97f4a7c15);
  return &node->buckets[(hash >> 32) & (node->bucket_count - 1)];
}

static extent_t* find_extent(const uvdio__node_t* node, uint64_t number) {
  extent_t* extent = *bucket_of(node, number);
  while (extent != NULL && extent->number != number) {
    extent = extent->next;
  }
  return extent;
}

static extent_t** make_buckets(size_t count) {
  return uvdio__alloc(count * sizeof(extent_t*), UVDIO__STRUCT_ALIGN, 1);
}

static void free_buckets(extent_t** buckets, size_t count) {
  uvdio__free(buckets, count * sizeof(extent_t*), UVDIO__STRUCT_ALIGN);
}

/* Doubles the table. Out of memory is no error here: the chains only get longer. */
static void grow_table(uvdio__node_t* node) {
  size_t old_count = node->bucket_count;
  extent_t** old = node->buckets;
  extent_t** fresh = make_buckets(old_count * 2);
  size_t i;

  if (fresh == NULL) {
    return;
  }
  node->buckets = fresh;
  node->bucket_count = old_count * 2;
  for (i = 0; i < old_count; i++) {
    while (old[i] != NULL) {
      extent_t* extent = old[i];
      extent_t** bucket = bucket_of(node, extent->number);
      old[i] = extent->next;
      extent->next = *bucket;
      *bucket = extent;
    }
  }
  free_buckets(old, old_count);
}

static extent_t* make_extent(uvdio__node_t* node, uint64_t number) {
  extent_t* extent = uvdio__alloc(sizeof(*extent), UVDIO__STRUCT_ALIGN, 1);
  extent_t** bucket;

  if (extent == NULL) {
    return NULL;
  }
  if (node->extent_count >= node->bucket_count) {
    grow_table(node);
  }
  bucket = bucket_of(node, number);
  extent->number = number;
  extent->next = *bucket;
  *bucket = extent;
  node->extent_count++;
  return extent;
}

/* How many of `length` bytes lie in the extent in which `offset` lies. */
static size_t part_within_extent(uint64_t offset, uint64_t length) {
  uint64_t room = EXTENT_SIZE - offset % EXTENT_SIZE;
  return (size_t)(length < room ? length : room);
}

/* The bits of `count` pages, from the first one on. */
static uint32_t page_bits(size_t first, size_t count) {
  return ((UINT32_C(1) << count) - 1) << first;
}

/* The pages that [begin, end) of an extent touches. */
static uint32_t touched_pages(size_t begin, size_t end) {
  size_t first = begin / HOLE_SIZE;
  return page_bits(first, (end + HOLE_SIZE - 1) / HOLE_SIZE - first);
}

/* The pages that lie within [begin, end) of an extent as a whole. */
static uint32_t whole_pages(size_t begin, size_t end) {
  size_t first = (begin + HOLE_SIZE - 1) / HOLE_SIZE;
  return end / HOLE_SIZE <= first ? 0 : page_bits(first, end / HOLE_SIZE - first);
}

int64_t uvdio__node_read(uvdio__node_t* node, char* base, size_t length, uint64_t offset) {
  size_t done = 0;

  if (offset >= node->size) {
    return 0;
  }
  if (length > node->size - offset) {
    length = (size_t)(node->size - offset);
  }
  while (done < length) {
    size_t part = part_within_extent(offset + done, length - done);
    const extent_t* extent = find_extent(node, (offset + done) / EXTENT_SIZE);
    if (extent != NULL) {
      memcpy(base + done, extent->bytes + (offset + done) % EXTENT_SIZE, part);
    } else {
      memset(base + done, 0, part);
    }
    done += part;
  }
  return (int64_t)done;
}

int64_t uvdio__node_write(uvdio__node_t* node, const char* base, size_t length, uint64_t offset) {
  size_t done = 0;

  while (done < length) {
    size_t part = part_within_extent(offset + done, length - done);
    uint64_t number = (offset + done) / EXTENT_SIZE;
    extent_t* extent = find_extent(node, number);
    if (extent == NULL) {
      extent = make_extent(node, number);
    }
    if (extent == NULL) {
      break;
    }
    memcpy(extent->bytes + (offset + done) % EXTENT_SIZE, base + done, part);
    extent->data |=
        touched_pages((offset + done) % EXTENT_SIZE, (offset + done) % EXTENT_SIZE + part);
    done += part;
  }
  if (done > 0 && offset + done > node->size) {
    node->size = offset + done;
  }
  return done == 0 && length > 0 ? UV_ENOMEM : (int64_t)done;
}

uint64_t uvdio__node_size(const uvdio__node_t* node) {
  return node->size;
}

uint64_t uvdio__node_allocated(const uvdio__node_t* node) {
  return (uint64_t)node->extent_count * EXTENT_SIZE;
}

/* Frees the extents that begin at `size` or later. */
static void drop_extents(uvdio__node_t* node, uint64_t size) {
  size_t i;

  for (i = 0; i < node->bucket_count; i++) {
    extent_t** link = &node->buckets[i];
    while (*link != NULL) {
      extent_t* extent = *link;
      if (extent->number < size / EXTENT_SIZE + (size % EXTENT_SIZE != 0)) {
        link = &extent->next;
        continue;
      }
      *link = extent->next;
      free_extent(extent);
      node->extent_count--;
    }
  }
}

void uvdio__node_truncate(uvdio__node_t* node, uint64_t size) {
  if (size < node->size) {
    extent_t* last = find_extent(node, size / EXTENT_SIZE);
    size_t keep = size % EXTENT_SIZE;
    if (last != NULL && keep != 0) {
      memset(last->bytes + keep, 0, EXTENT_SIZE - keep);
      last->data &= touched_pages(0, keep);
    }
    drop_extents(node, size);
  }
  node->size = size;
}

static void unlink_extent(uvdio__node_t* node, const extent_t* extent) {
  extent_t** link = bucket_of(node, extent->number);

  while (*link != extent) {
    link = &(*link)->next;
  }
  *link = extent->next;
  node->extent_count--;
}

/* The extent at or behind a number that is the first of those with data. */
static const extent_t* next_extent(const uvdio__node_t* node, uint64_t number) {
  const extent_t* found = find_extent(node, number);
  size_t i;

  if (found != NULL && found->data != 0) {
    return found;
  }
  found = NULL;
  for (i = 0; i < node->bucket_count; i++) {
    const extent_t* extent;
    for (extent = node->buckets[i]; extent != NULL; extent = extent->next) {
      if (extent->number > number && extent->data != 0 &&
          (found == NULL || extent->number < found->number)) {
        found = extent;
      }
    }
  }
  return found;
}

void uvdio__node_punch(uvdio__node_t* node, uint64_t offset, uint64_t length) {
  uint64_t end = offset + length < node->size ? offset + length : node->size;

  while (offset < end) {
    const extent_t* next = next_extent(node, offset / EXTENT_SIZE);
    extent_t* extent = next == NULL ? NULL : find_extent(node, next->number);
    size_t begin;
    size_t part;
    if (extent == NULL || extent->number * EXTENT_SIZE >= end) {
      return;
    }
    offset = offset > extent->number * EXTENT_SIZE ? offset : extent->number * EXTENT_SIZE;
    begin = (size_t)(offset % EXTENT_SIZE);
    part = part_within_extent(offset, end - offset);
    memset(extent->bytes + begin, 0, part);
    extent->data &= ~whole_pages(begin, begin + part);
    offset += part;
    if (extent->data == 0) {
      unlink_extent(node, extent);
      free_extent(extent);
    }
  }
}

static int64_t next_data(const uvdio__node_t* node, uint64_t offset) {
  uint64_t page = offset / HOLE_SIZE;
  const extent_t* extent;

  if (offset >= node->size) {
    return UV_ENXIO;
  }
  while ((extent = next_extent(node, page / PAGES_PER_EXTENT)) != NULL) {
    uint64_t first = extent->number * PAGES_PER_EXTENT;
    for (page = page > first ? page : first; page < first + PAGES_PER_EXTENT; page++) {
      if ((extent->data >> (page - first) & 1) != 0) {
        return (int64_t)(page * HOLE_SIZE > offset ? page * HOLE_SIZE : offset);
      }
    }
  }
  return UV_ENXIO;
}

static int64_t next_hole(const uvdio__node_t* node, uint64_t offset) {
  uint64_t at = offset;

  if (offset >= node->size) {
    return UV_ENXIO;
  }
  while (at < node->size) {
    const extent_t* extent = find_extent(node, at / EXTENT_SIZE);
    if (extent == NULL || (extent->data >> (at % EXTENT_SIZE / HOLE_SIZE) & 1) == 0) {
      return (int64_t)at;
    }
    at = (at / HOLE_SIZE + 1) * HOLE_SIZE;
  }
  return (int64_t)node->size;
}

/* What is left out has a case in memory.c and in sim/perform.c. */
int64_t uvdio__node_tell(const uvdio__node_t* node, uvdio_op_t op, uint64_t offset) {
  switch (op) {
    case UVDIO_OP_SIZE:
      return (int64_t)uvdio__node_size(node);
    case UVDIO_OP_NEXT_DATA:
      return next_data(node, offset);
    case UVDIO_OP_NEXT_HOLE:
      return next_hole(node, offset);
    case UVDIO_OP_SET_HINT:
      return UV_ENOTSUP;
    case UVDIO_OP_OPEN:
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
    case UVDIO_OP_TRUNCATE:
    case UVDIO_OP_PREALLOCATE:
    case UVDIO_OP_CLOSE:
    case UVDIO_OP_STAT:
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_SYNC_DIRECTORY:
    case UVDIO_OP_REPLACE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_ARENA_WAIT:
    case UVDIO_OP_COUNT:
      break;
  }
  assert(0 && "an operation that memory and worlds perform themselves");
  return UV_EINVAL;
}

void uvdio__node_destroy(uvdio__node_t* node) {
  if (node->buckets != NULL) {
    drop_extents(node, 0);
    free_buckets(node->buckets, node->bucket_count);
  }
  if (node->path != NULL) {
    uvdio__free(node->path, strlen(node->path) + 1, UVDIO__STRUCT_ALIGN);
  }
  uvdio__free(node, sizeof(*node), UVDIO__STRUCT_ALIGN);
}

uvdio__node_t* uvdio__node_create(const char* path) {
  size_t path_size = strlen(path) + 1;
  uvdio__node_t* node = uvdio__alloc(sizeof(*node), UVDIO__STRUCT_ALIGN, 1);

  if (node == NULL) {
    return NULL;
  }
  node->path = uvdio__alloc(path_size, UVDIO__STRUCT_ALIGN, 0);
  node->buckets = make_buckets(BUCKETS_MIN);
  node->bucket_count = BUCKETS_MIN;
  if (node->path != NULL) {
    memcpy(node->path, path, path_size);
  }
  if (node->path == NULL || node->buckets == NULL) {
    uvdio__node_destroy(node);
    return NULL;
  }
  return node;
}

const char* uvdio__node_path(const uvdio__node_t* node) {
  return node->path;
}

int uvdio__node_copy(uvdio__node_t* to, const uvdio__node_t* from) {
  size_t i;

  drop_extents(to, 0);
  to->size = from->size;
  for (i = 0; i < from->bucket_count; i++) {
    const extent_t* extent;
    for (extent = from->buckets[i]; extent != NULL; extent = extent->next) {
      extent_t* copy = make_extent(to, extent->number);
      if (copy == NULL) {
        return UV_ENOMEM;
      }
      memcpy(copy->bytes, extent->bytes, EXTENT_SIZE);
      copy->data = extent->data;
    }
  }
  return 0;
}

uvdio__store_t* uvdio__store_create(void) {
  return uvdio__alloc(sizeof(uvdio__store_t), UVDIO__STRUCT_ALIGN, 1);
}

void uvdio__store_destroy(uvdio__store_t* store) {
  uvdio__names_clear(&store->names);
  while (store->nodes != NULL) {
    uvdio__node_t* node = store->nodes;
    store->nodes = node->next;
    uvdio__node_destroy(node);
  }
  uvdio__free(store, sizeof(*store), UVDIO__STRUCT_ALIGN);
}

static int names_directory(const char* path) {
  const char* last = strrchr(path, '/');
  const char* name = last == NULL ? path : last + 1;
  return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

uvdio__node_t* uvdio__store_find(const uvdio__store_t* store, const char* path) {
  return uvdio__names_find(&store->names, path);
}

int uvdio__store_refuses_directory(const char* path, unsigned flags) {
  const unsigned exclusive = UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE;
  int has_slash = path[strlen(path) - 1] == '/';

  return (flags & exclusive) == exclusive && !has_slash ? UV_EEXIST : UV_EISDIR;
}

int uvdio__store_admits(const char* path, unsigned flags, int exists) {
  if (*path == '\0') {
    return UV_ENOENT;
  }
  if (names_directory(path)) {
    return uvdio__store_refuses_directory(path, flags);
  }
  if (exists && (flags & UVDIO_O_EXCLUSIVE) != 0) {
    return (flags & UVDIO_O_CREATE) != 0 ? UV_EEXIST : UV_EINVAL; /* No file here is a device. */
  }
  if (exists) {
    return 0;
  }
  return (flags & UVDIO_O_CREATE) != 0 ? 0 : UV_ENOENT;
}

static void add_to_store(uvdio__store_t* store, uvdio__node_t* node) {
  node->next = store->nodes;
  store->nodes = node;
}

static uvdio__node_t* add_node(uvdio__store_t* store, const char* path) {
  uvdio__node_t* node = uvdio__node_create(path);

  if (node == NULL) {
    return NULL;
  }
  if (uvdio__names_put(&store->names, path, node) != 0) {
    uvdio__node_destroy(node);
    return NULL;
  }
  node->names = 1;
  add_to_store(store, node);
  return node;
}

/* A directory, or a file without a name in it. */
static int open_nameless(uvdio__store_t* store, const char* path, unsigned flags,
                         uvdio__node_t** node) {
  int error = uvdio__names_check_directory(&store->names, path);
  uvdio__node_t* made = error == 0 ? uvdio__node_create(path) : NULL;

  if (made == NULL) {
    return error != 0 ? error : UV_ENOMEM;
  }
  made->may_be_named = (flags & UVDIO_O_ANONYMOUS) != 0;
  made->opens = 1;
  add_to_store(store, made);
  *node = made;
  return 0;
}

/* Frees a file that nobody can reach any more. */
static void release_node(uvdio__store_t* store, uvdio__node_t* node) {
  uvdio__node_t** link = &store->nodes;

  if (node->names > 0 || node->opens > 0) {
    return;
  }
  while (*link != node) {
    link = &(*link)->next;
  }
  *link = node->next;
  uvdio__node_destroy(node);
}

int uvdio__store_open(uvdio__store_t* store, const char* path, unsigned flags,
                      uvdio__node_t** node) {
  uvdio__node_t* found = uvdio__store_find(store, path);
  int error;

  if ((flags & UVDIO__NAMELESS) != 0) {
    return open_nameless(store, path, flags, node);
  }
  if (found == NULL && *path != '\0' && uvdio__names_is_directory(&store->names, path)) {
    return uvdio__store_refuses_directory(path, flags);
  }
  error = uvdio__store_admits(path, flags, found != NULL);
  if (error != 0) {
    return error;
  }
  if (found == NULL) {
    found = add_node(store, path);
    if (found == NULL) {
      return UV_ENOMEM;
    }
  }
  if ((flags & UVDIO_O_TRUNCATE) != 0) {
    uvdio__node_truncate(found, 0);
  }
  found->opens++;
  *node = found;
  return 0;
}

void uvdio__store_reopen(uvdio__node_t* node) {
  assert(node->opens > 0);
  node->opens++;
}

void uvdio__store_close(uvdio__store_t* store, uvdio__node_t* node) {
  assert(node->opens > 0);
  node->opens--;
  release_node(store, node);
}

int uvdio__store_do(uvdio__store_t* store, uvdio_op_t op, const uvdio__names_t* names) {
  uvdio__node_t* file = uvdio__names_find(&store->names, names->path);
  uvdio__node_t* hidden =
      op == UVDIO_OP_RENAME ? uvdio__names_find(&store->names, names->new_path) : NULL;
  int error = uvdio__names_check(&store->names, op, names);

  if (error == 0) {
    error = uvdio__names_do(&store->names, op, names->path, names->new_path, file);
  }
  if (error != 0) {
    return error;
  }
  if (op == UVDIO_OP_LINK) {
    file->names++;
  }
  if (op == UVDIO_OP_UNLINK) {
    file->names--;
    release_node(store, file);
  }
  if (hidden != NULL && hidden != file) {
    hidden->names--;
    release_node(store, hidden);
  }
  return 0;
}

int uvdio__store_link(uvdio__store_t* store, uvdio__node_t* node, const uvdio__names_t* names) {
  int error = uvdio__names_check_new(&store->names, names->new_path);

  if (error == 0 && node->names == 0 && !node->may_be_named) {
    error = UV_ENOENT;
  }
  if (error == 0) {
    error = uvdio__names_put(&store->names, names->new_path, node);
  }
  if (error == 0) {
    node->names++;
    node->may_be_named = 0;
  }
  return error;
}

int uvdio__store_replace(uvdio__store_t* store, const uvdio__node_t* node,
                         const uvdio__names_t* names) {
  return uvdio__names_find(&store->names, names->path) == node
             ? uvdio__store_do(store, UVDIO_OP_RENAME, names)
             : UV_ENOENT;
}
