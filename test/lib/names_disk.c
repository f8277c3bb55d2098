/* SPDX-License-Identifier: MIT */
#include "names_disk.h"

#include <assert.h>
#include <string.h>

/* Two names of one file stay, as rename(2) has it. */
static void move(struct names_table* table, const struct names_change* change) {
  int is_one_file = change->value != NAMES_A_DIRECTORY && table->at[change->to] == change->value;
  if (change->from == change->to || is_one_file) {
    return;
  }
  table->at[change->to] = change->value;
  if (table->at[change->from] == change->value) {
    table->at[change->from] = NAMES_NOTHING;
  }
}

void names_apply(struct names_table* table, const struct names_change* change) {
  switch ((int)change->op) {
    case UVDIO_OP_OPEN:
    case UVDIO_OP_LINK:
      table->at[change->to] = change->value;
      break;
    case UVDIO_OP_RENAME:
      move(table, change);
      break;
    case UVDIO_OP_MKDIR:
      if (table->at[change->to] == NAMES_NOTHING) {
        table->at[change->to] = NAMES_A_DIRECTORY;
      }
      break;
    default:
      assert(change->op == UVDIO_OP_UNLINK || change->op == UVDIO_OP_RMDIR);
      if (table->at[change->from] == change->value) {
        table->at[change->from] = NAMES_NOTHING;
      }
  }
}

static unsigned directory_of(const struct names_change* change) {
  int removes = change->op == UVDIO_OP_UNLINK || change->op == UVDIO_OP_RMDIR;
  return (removes ? change->from : change->to) / NAMES_EACH;
}

static void settle(struct names_disk* disk) {
  unsigned settled = 0;
  while (settled < disk->count && disk->changes[settled].durable) {
    names_apply(&disk->table, &disk->changes[settled++]);
  }
  disk->count -= settled;
  memmove(disk->changes, disk->changes + settled, disk->count * sizeof(disk->changes[0]));
}

void names_disk_add(struct names_disk* disk, struct names_change change) {
  assert(disk->count < NAMES_CHANGES);
  change.number = ++disk->number;
  disk->changes[disk->count++] = change;
  settle(disk);
}

void names_disk_sync(struct names_disk* disk, unsigned directory, uint64_t number) {
  for (unsigned i = 0; i < disk->count; i++) {
    struct names_change* change = &disk->changes[i];
    change->durable |= change->number <= number && directory_of(change) == directory;
  }
  settle(disk);
}

void names_disk_keep(struct names_disk* disk, uint8_t file) {
  for (unsigned i = 0; i < disk->count; i++) {
    struct names_change* change = &disk->changes[i];
    change->durable |= change->op == UVDIO_OP_OPEN && change->value == file;
  }
  settle(disk);
}

unsigned names_disk_undurable(const struct names_disk* disk) {
  unsigned undurable = 0;
  for (unsigned i = 0; i < disk->count; i++) {
    undurable += !disk->changes[i].durable;
  }
  return undurable;
}

unsigned names_disk_directory_due(const struct names_disk* disk) {
  return disk->count == 0 ? 0 : directory_of(&disk->changes[0]);
}

int names_disk_has(const struct names_disk* disk, uint8_t file) {
  int has = memchr(disk->table.at, file, sizeof(disk->table.at)) != NULL;
  for (unsigned i = 0; i < disk->count && !has; i++) {
    has = disk->changes[i].value == file;
  }
  return has;
}

struct search {
  const struct names_disk* disk;
  int (*is_found)(void* data, const struct names_table* table);
  void* data;
  struct names_table found;
};

/* With the next change, and without it where it is not durable. */
static int try_from(struct search* search, struct names_table table, unsigned next) {
  const struct names_change* change = &search->disk->changes[next];
  struct names_table with = table;
  if (next == search->disk->count) {
    search->found = table;
    return search->is_found(search->data, &table);
  }
  names_apply(&with, change);
  return try_from(search, with, next + 1) ||
         (!change->durable && try_from(search, table, next + 1));
}

int names_disk_recover(struct names_disk* disk,
                       int (*is_found)(void* data, const struct names_table* table), void* data) {
  struct search all = {.disk = disk, .is_found = is_found, .data = data};
  if (!try_from(&all, disk->table, 0)) {
    return 0;
  }
  disk->table = all.found;
  disk->count = 0;
  return 1;
}
