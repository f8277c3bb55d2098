/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content.h"

void model_init(struct model* model, uint64_t seed) {
  memset(model, 0, sizeof(*model));
  model->seed = seed;
}

struct file* model_add_file(struct model* model, const char* name) {
  assert(model->file_count < FILES_MAX);
  struct file* file = &model->files[model->file_count++];
  snprintf(file->name, sizeof(file->name), "%s", name);
  file->first = model->slot_count;
  return file;
}

struct slot* model_add_slot(struct model* model, uint32_t size) {
  assert(model->file_count > 0 && model->slot_count < SLOTS_MAX);
  assert(size <= SLOT_SIZE_MAX && size % SECTOR == 0);
  struct file* file = &model->files[model->file_count - 1];
  struct slot* slot = &model->slots[model->slot_count++];
  slot->offset = file_end(model, file);
  slot->size = size;
  slot->bounds[VISIBLE].zero = slot->bounds[DURABLE].zero = 1;
  file->count++;
  return slot;
}

uint64_t file_end(const struct model* model, const struct file* file) {
  const struct slot* last = &model->slots[file->first + file->count];
  return file->count == 0 ? 0 : last[-1].offset + last[-1].size;
}

/*
 * Submitting widens both ranges, reaching narrows one.
 */

uint32_t slot_submit(struct file* file, struct slot* slot) {
  uint64_t end = slot->offset + slot->size;
  for (int i = 0; i < PROMISES; i++) {
    if (file->size[i].high < end) {
      file->size[i].high = end;
    }
  }
  return ++slot->submitted;
}

void slot_reached(struct model* model, struct file* file, struct slot* slot, uint32_t version,
                  enum promise promise) {
  struct slot_bounds* bounds = &slot->bounds[promise];
  uint64_t end = slot->offset + slot->size;
  assert(version <= slot->submitted);
  if (bounds->low < version || (bounds->low == version && bounds->zero)) {
    bounds->low = version;
    bounds->zero = 0;
    model->acknowledged[promise]++;
  }
  if (file->size[promise].low < end) {
    file->size[promise].low = end;
  }
}

void size_submit(struct model* model, struct file* file, uint64_t size) {
  for (int i = 0; i < PROMISES; i++) {
    struct size_bounds* bounds = &file->size[i];
    bounds->low = bounds->low < size ? bounds->low : size;
    bounds->high = bounds->high > size ? bounds->high : size;
    for (unsigned k = file->first; k < file->first + file->count; k++) {
      model->slots[k].bounds[i].zero |= model->slots[k].offset >= size;
    }
  }
}

void size_reached(struct model* model, struct file* file, uint64_t size, enum promise promise) {
  file->size[promise].low = size;
  file->size[promise].high = size;
  for (unsigned k = file->first; k < file->first + file->count; k++) {
    struct slot* slot = &model->slots[k];
    if (slot->offset >= size) {
      slot->bounds[promise].low = slot->submitted + 1;
    }
  }
  model->acknowledged[promise]++;
}

void name_submit(struct file* file) {
  file->tried = 1;
}

void name_reached(struct model* model, struct file* file, enum promise promise) {
  if (!file->present[promise]) {
    file->present[promise] = 1;
    model->acknowledged[promise]++;
  }
}

/*
 * Checking.
 */

struct checker {
  const struct model* model;
  const struct file* file;
  enum promise promise;
  int fd;
  uint64_t size;
  char* why;
};

static int is_allowed(const struct checker* c, const struct slot* slot, uint32_t version) {
  const struct slot_bounds* bounds = &slot->bounds[c->promise];
  return version == 0 ? bounds->zero : version >= bounds->low && version <= slot->submitted;
}

static int complain(const struct checker* c, const struct slot* slot, uint64_t offset,
                    uint32_t version) {
  static const char* const done[] = {"completed", "acknowledged as durable"};
  char found[32];
  snprintf(found, sizeof(found), version == 0 ? "zeros" : "version %u", (unsigned)version);
  snprintf(c->why, WHY_MAX,
           "%s, byte %llu, slot of %u bytes at %llu: %s; %s up to version %u, submitted up to %u",
           c->file->name, (unsigned long long)offset, (unsigned)slot->size,
           (unsigned long long)slot->offset,
           version == CONTENT_FOREIGN ? "bytes that nobody wrote there" : found, done[c->promise],
           (unsigned)slot->bounds[c->promise].low, (unsigned)slot->submitted);
  return -1;
}

/* What lies past the file's end counts as zeros. */
static int check_slot(const struct checker* c, const struct slot* slot) {
  static char data[SLOT_SIZE_MAX];
  memset(data, 0, slot->size);
  ssize_t got = pread(c->fd, data, slot->size, (off_t)slot->offset);
  if (got < 0) {
    snprintf(c->why, WHY_MAX, "%s can't be read at %llu: %s", c->file->name,
             (unsigned long long)slot->offset, strerror(errno));
    return -1;
  }
  for (size_t at = 0; at < slot->size; at += SECTOR) {
    uint64_t offset = slot->offset + at;
    uint32_t version =
        content_version(data + at, c->model->seed, (unsigned)(c->file - c->model->files), offset);
    if (!is_allowed(c, slot, version)) {
      return complain(c, slot, offset, version);
    }
  }
  return 0;
}

static int check_size(const struct checker* c) {
  const struct size_bounds* bounds = &c->file->size[c->promise];
  if (c->size >= bounds->low && c->size <= bounds->high) {
    return 0;
  }
  snprintf(c->why, WHY_MAX, "%s has %llu bytes; it should have %llu to %llu", c->file->name,
           (unsigned long long)c->size, (unsigned long long)bounds->low,
           (unsigned long long)bounds->high);
  return -1;
}

static int check_open_file(struct checker* c) {
  struct stat status;
  if (fstat(c->fd, &status) != 0) {
    snprintf(c->why, WHY_MAX, "%s: %s", c->file->name, strerror(errno));
    return -1;
  }
  c->size = (uint64_t)status.st_size;
  int failed = check_size(c);
  for (unsigned i = 0; i < c->file->count && !failed; i++) {
    failed = check_slot(c, &c->model->slots[c->file->first + i]);
  }
  return failed;
}

static int check_file(struct checker* c, const char* dir) {
  char path[256];
  snprintf(path, sizeof(path), "%.200s/%s", dir, c->file->name);
  c->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (c->fd < 0) {
    int expected = errno == ENOENT && !c->file->present[c->promise];
    snprintf(c->why, WHY_MAX, "%s: %s", c->file->name, strerror(errno));
    return expected ? 0 : -1;
  }
  int failed = check_open_file(c);
  close(c->fd);
  if (!failed && !c->file->tried) {
    snprintf(c->why, WHY_MAX, "%s is there, and nobody created it", c->file->name);
    failed = -1;
  }
  return failed;
}

int model_check(const struct model* model, const char* dir, enum promise promise,
                char why[WHY_MAX]) {
  int failed = 0;
  for (unsigned i = 0; i < model->file_count && !failed; i++) {
    struct checker checker = {model, &model->files[i], promise, -1, 0, why};
    failed = check_file(&checker, dir);
  }
  return failed;
}
