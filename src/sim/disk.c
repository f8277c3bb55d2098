/* SPDX-License-Identifier: MIT */
/*
 * One file of a world, twice: `now` is what programs see, `disk` what is durable. Each change goes
 * to `now` at once and is appended to a list; the list, played back over `disk`, gives `now`.
 * Whatever becomes of changes is a way of playing back that list:
 *
 *   sync            its beginning, all of it
 *   durable write   itself, as soon as nothing older is left; until then it is marked as kept
 *   failed sync     its beginning, without some of the sectors: those are on the disk never, and
 *                   seen until a power cut
 *   power cut       all of it, without some of the sectors and sizes; then `now` becomes `disk`
 */
#include <string.h>

#include "allocator.h"
#include "path.h"
#include "sim/sim.h"

/*
 * The list
 */

/* Bytes that a change holds. */
static size_t size_of_bytes(const uvdio__change_t* change) {
  return change->zeros ? 0 : change->length;
}

static void append_change(uvdio__sim_file_t* file, uvdio__change_t* change) {
  change->next = NULL;
  change->sequence = ++file->sim->sequence;
  if (file->newest != NULL) {
    file->newest->next = change;
  } else {
    file->oldest = change;
  }
  file->newest = change;
  file->dirty += size_of_bytes(change);
  file->sim->stats.dirty += size_of_bytes(change);
}

static void drop_oldest(uvdio__sim_file_t* file) {
  uvdio__change_t* change = file->oldest;

  file->oldest = change->next;
  if (file->oldest == NULL) {
    file->newest = NULL;
  }
  file->dirty -= size_of_bytes(change);
  file->sim->stats.dirty -= size_of_bytes(change);
  uvdio__free(change, sizeof(*change) + size_of_bytes(change), UVDIO__STRUCT_ALIGN);
}

static uvdio__change_t* make_change(const char* base, size_t length, uint64_t offset) {
  uvdio__change_t* change = uvdio__alloc(sizeof(*change) + length, UVDIO__STRUCT_ALIGN, 0);

  if (change != NULL) {
    memset(change, 0, sizeof(*change));
    change->offset = offset;
    change->length = length;
    if (length > 0) {
      memcpy(change->bytes, base, length);
    }
  }
  return change;
}

/*
 * Playing it back
 */

/* What is written where the file ends is written with the rest of its sector, which holds zeros:
 * what a larger size on the disk has there does not come back. */
static size_t tail_of(const uvdio__sim_file_t* file, uint64_t end) {
  uint64_t sector = file->sim->options.sector_size;
  uint64_t used = end % sector;

  return end == uvdio__node_size(file->now) && used != 0 ? (size_t)(sector - used) : 0;
}

static void put_tail(uvdio__sim_file_t* file, const uvdio__change_t* change) {
  uint64_t end = change->offset + change->length;
  uint64_t size = uvdio__node_size(file->disk);

  if (change->tail > 0 && end < size) {
    uvdio__node_punch(file->disk, end, change->tail < size - end ? change->tail : size - end);
  }
}

/* Bytes past the size on the disk are lost with the size that they had made. */
static void put_bytes(uvdio__sim_file_t* file, const uvdio__change_t* change, size_t begin,
                      size_t length) {
  uint64_t offset = change->offset + begin;
  uint64_t size = uvdio__node_size(file->disk);

  if (offset >= size) {
    return;
  }
  if (length > size - offset) {
    length = (size_t)(size - offset);
  }
  if (change->zeros) {
    uvdio__node_punch(file->disk, offset, length);
  } else if (uvdio__node_write(file->disk, change->bytes + begin, length, offset) !=
             (int64_t)length) {
    file->sim->out_of_memory = 1;
  }
  if (begin + length == change->length) {
    put_tail(file, change);
  }
}

static void put_whole(uvdio__sim_file_t* file, const uvdio__change_t* change) {
  if (change->resizes) {
    uvdio__node_truncate(file->disk, change->size);
  }
  put_bytes(file, change, 0, change->length);
}

static int chance(uvdio_sim_t* sim, unsigned ref) {
  return uvdio__sim_random(sim, SIM_SHARE_ALL) < ref;
}

/* Bytes from `begin` to the end of the sector in which it lies, or of the change. */
static size_t sector_part(const uvdio__sim_file_t* file, const uvdio__change_t* change,
                          size_t begin) {
  uint64_t sector = file->sim->options.sector_size;
  uint64_t room = sector - (change->offset + begin) % sector;
  return room < change->length - begin ? (size_t)room : change->length - begin;
}

/* Bytes that a cut decides about at a time. */
static size_t fate_part(const uvdio__sim_file_t* file, const uvdio__change_t* change,
                        size_t begin) {
  return change->atomic ? change->length : sector_part(file, change, begin);
}

static uint64_t count_sectors(const uvdio__sim_file_t* file, size_t length) {
  uint64_t sector = file->sim->options.sector_size;
  return (length + sector - 1) / sector;
}

/* Each sector by itself, but for atomic writes. Counts those that are put and those that are
 * not. */
static void apply_random_subset(uvdio__sim_file_t* file, const uvdio__change_t* change,
                                unsigned ref, uint64_t* durable, uint64_t* lost) {
  size_t begin = 0;

  while (begin < change->length) {
    size_t part = fate_part(file, change, begin);
    if (chance(file->sim, ref)) {
      put_bytes(file, change, begin, part);
      *durable += count_sectors(file, part);
    } else {
      *lost += count_sectors(file, part);
    }
    begin += part;
  }
}

static int is_durable(const uvdio__change_t* change) {
  return (change->length == 0 || change->data_durable) &&
         (!change->resizes || change->size_durable);
}

/* Changes that are wholly durable become part of the disk when nothing older is in their way. */
static void settle(uvdio__sim_file_t* file) {
  while (file->oldest != NULL && is_durable(file->oldest)) {
    put_whole(file, file->oldest);
    drop_oldest(file);
  }
}

static void empty_cache(uvdio__sim_file_t* file) {
  while (file->dirty > file->sim->options.cache_size) {
    put_whole(file, file->oldest);
    drop_oldest(file);
  }
  settle(file);
}

/*
 * Changes
 */

/* A durable write makes the file's size durable, and with it all sizes before. */
static void mark_durable(uvdio__sim_file_t* file, uvdio__change_t* durable) {
  uvdio__change_t* change;

  for (change = file->oldest; change != NULL; change = change->next) {
    change->size_durable = 1;
  }
  durable->data_durable = 1;
  if (file->sim->options.entries == UVDIO_SIM_ENTRY_BY_SYNC) {
    uvdio__sim_keep_file(file);
  }
}

static void mend(uvdio__sim_file_t* file, uint64_t first, uint64_t end) {
  uvdio__damage_t** link = &file->damage;

  while (*link != NULL) {
    uvdio__damage_t* damage = *link;
    if (damage->sector < first || damage->sector >= end) {
      link = &damage->next;
      continue;
    }
    *link = damage->next;
    uvdio__free(damage, sizeof(*damage), UVDIO__STRUCT_ALIGN);
  }
}

int64_t uvdio__sim_write(uvdio__sim_file_t* file, const char* base, size_t length, uint64_t offset,
                         unsigned how) {
  uint64_t sector = file->sim->options.sector_size;
  uvdio__change_t* change = make_change(base, length, offset);
  uint64_t size = uvdio__node_size(file->now);

  if (change == NULL) {
    return UV_ENOMEM;
  }
  if (uvdio__node_write(file->now, base, length, offset) != (int64_t)length) {
    file->sim->out_of_memory = 1;
    uvdio__free(change, sizeof(*change) + length, UVDIO__STRUCT_ALIGN);
    return UV_ENOMEM;
  }
  change->size = uvdio__node_size(file->now);
  change->resizes = change->size != size;
  change->tail = tail_of(file, offset + length);
  mend(file, (offset + sector - 1) / sector, (offset + length) / sector);
  change->atomic = (how & SIM_WRITE_ATOMIC) != 0;
  append_change(file, change);
  if ((how & SIM_WRITE_DURABLE) != 0) {
    mark_durable(file, change);
  }
  empty_cache(file);
  return (int64_t)length;
}

/* Bytes of one change. */
#define ZEROS_MOST ((uint64_t)1 << 30)

static int punch_piece(uvdio__sim_file_t* file, uint64_t offset, size_t length) {
  uint64_t sector = file->sim->options.sector_size;
  uvdio__change_t* change = make_change(NULL, 0, offset);

  if (change == NULL) {
    return UV_ENOMEM;
  }
  change->zeros = 1;
  change->length = length;
  change->size = uvdio__node_size(file->now);
  change->tail = tail_of(file, offset + length);
  uvdio__node_punch(file->now, offset, length);
  mend(file, (offset + sector - 1) / sector, (offset + length) / sector);
  append_change(file, change);
  return 0;
}

int uvdio__sim_punch(uvdio__sim_file_t* file, uint64_t offset, uint64_t length) {
  uint64_t size = uvdio__node_size(file->now);
  uint64_t end = offset + length < size ? offset + length : size;
  int error = 0;

  while (offset < end && error == 0) {
    uint64_t part = end - offset < ZEROS_MOST ? end - offset : ZEROS_MOST;
    error = punch_piece(file, offset, (size_t)part);
    offset += part;
  }
  return error;
}

int uvdio__sim_resize(uvdio__sim_file_t* file, uint64_t size) {
  uint64_t sector = file->sim->options.sector_size;
  uvdio__change_t* change;

  if (size == uvdio__node_size(file->now)) {
    return 0;
  }
  change = make_change(NULL, 0, 0);
  if (change == NULL) {
    return UV_ENOMEM;
  }
  change->size = size;
  change->resizes = 1;
  uvdio__node_truncate(file->now, size);
  mend(file, (size + sector - 1) / sector, UINT64_MAX);
  append_change(file, change);
  return 0;
}

void uvdio__sim_sync(uvdio__sim_file_t* file, uint64_t mark, uvdio_op_t op) {
  uvdio_sim_entry_t entries = file->sim->options.entries;

  while (file->oldest != NULL && file->oldest->sequence <= mark) {
    put_whole(file, file->oldest);
    drop_oldest(file);
  }
  settle(file);
  if (entries == UVDIO_SIM_ENTRY_BY_SYNC ||
      (entries == UVDIO_SIM_ENTRY_BY_SYNC_ALL && op != UVDIO_OP_SYNC_DATA)) {
    uvdio__sim_keep_file(file);
  }
}

/* Sizes are in the filesystem's journal; what gets lost are the pages. */
void uvdio__sim_fail_sync(uvdio__sim_file_t* file, uint64_t mark) {
  uint64_t durable = 0;
  uint64_t lost = 0;

  while (file->oldest != NULL && file->oldest->sequence <= mark) {
    uvdio__change_t* change = file->oldest;
    if (change->resizes) {
      uvdio__node_truncate(file->disk, change->size);
    }
    apply_random_subset(file, change, change->data_durable ? SIM_SHARE_ALL : SIM_SHARE_ALL / 2,
                        &durable, &lost);
    drop_oldest(file);
  }
  settle(file);
}

/*
 * Power cuts
 */

/* Where a size before it was lost, there is no room for an atomic write any more; one that has made
 * the size has its fate. */
static unsigned share_of(const uvdio__sim_file_t* file, const uvdio__change_t* change,
                         unsigned ref) {
  if (!change->atomic) {
    return ref;
  }
  if (change->offset + change->length > uvdio__node_size(file->disk)) {
    return SIM_SHARE_NONE;
  }
  return change->resizes && !change->size_durable ? SIM_SHARE_ALL : ref;
}

static void cut_changes(uvdio__sim_file_t* file, unsigned ref) {
  uvdio_sim_stats_t* stats = &file->sim->stats;
  int sizes_follow = 1;

  while (file->oldest != NULL) {
    uvdio__change_t* change = file->oldest;
    if (change->resizes && sizes_follow) {
      sizes_follow = change->size_durable || chance(file->sim, ref);
    }
    if (change->resizes && sizes_follow) {
      uvdio__node_truncate(file->disk, change->size);
    }
    if (change->data_durable) {
      put_bytes(file, change, 0, change->length);
    } else {
      apply_random_subset(file, change, share_of(file, change, ref), &stats->sectors_kept,
                          &stats->sectors_lost);
    }
    drop_oldest(file);
  }
}

static void free_file(uvdio__sim_file_t* file) {
  while (file->oldest != NULL) {
    drop_oldest(file);
  }
  mend(file, 0, UINT64_MAX);
  if (file->now != NULL) {
    uvdio__node_destroy(file->now);
  }
  if (file->disk != NULL) {
    uvdio__node_destroy(file->disk);
  }
  uvdio__free(file, sizeof(*file), UVDIO__STRUCT_ALIGN);
}

static void cut_file(uvdio__sim_file_t* file, unsigned ref) {
  cut_changes(file, ref);
  if (uvdio__node_copy(file->now, file->disk) != 0) {
    file->sim->out_of_memory = 1;
  }
}

/* Counts the files that had a name and have none any more. */
void uvdio__sim_cut(uvdio_sim_t* sim, unsigned ref) {
  uvdio__sim_file_t** link = &sim->files;
  uvdio__name_table_t before = sim->names;

  sim->names.first = NULL;
  sim->names.files = 0;
  uvdio__sim_cut_names(sim, ref);
  while (*link != NULL) {
    uvdio__sim_file_t* file = *link;
    if (uvdio__sim_has_name(&sim->names, file)) {
      cut_file(file, ref);
      link = &file->next;
      continue;
    }
    *link = file->next;
    sim->stats.entries_lost += (uint64_t)uvdio__sim_has_name(&before, file);
    free_file(file);
  }
  uvdio__names_clear(&before);
}

/*
 * Files
 */

uvdio__sim_file_t* uvdio__sim_find(const uvdio_sim_t* sim, const char* path) {
  return uvdio__names_find(&sim->names, path);
}

/* A file that no name leads to, and which the world does not have yet. */
static uvdio__sim_file_t* make_nameless(uvdio_sim_t* sim, const char* path) {
  uvdio__sim_file_t* file = uvdio__alloc(sizeof(*file), UVDIO__STRUCT_ALIGN, 1);

  if (file == NULL) {
    return NULL;
  }
  file->sim = sim;
  file->now = uvdio__node_create(path);
  file->disk = uvdio__node_create(path);
  if (file->now == NULL || file->disk == NULL) {
    free_file(file);
    return NULL;
  }
  return file;
}

static void add_to_world(uvdio_sim_t* sim, uvdio__sim_file_t* file) {
  uvdio__sim_file_t** end = &sim->files;

  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = file;
}

static uvdio__sim_file_t* make_file(uvdio_sim_t* sim, const char* path) {
  uvdio__sim_file_t* file = make_nameless(sim, path);

  if (file == NULL) {
    return NULL;
  }
  if (uvdio__sim_change_names(sim, UVDIO_OP_OPEN, path, NULL, file) != 0) {
    free_file(file);
    return NULL;
  }
  add_to_world(sim, file);
  return file;
}

static uvdio__sim_file_t* find_directory(const uvdio_sim_t* sim, const char* path) {
  uvdio__sim_file_t* file = sim->files;

  while (file != NULL && (!file->is_directory || strcmp(uvdio__node_path(file->now), path) != 0)) {
    file = file->next;
  }
  return file;
}

/* A directory, or a file without a name in it. Both stay until the power is cut. */
static int open_nameless(uvdio_sim_t* sim, const char* path, unsigned flags,
                         uvdio__sim_file_t** file) {
  int is_directory = (flags & UVDIO_O_DIRECTORY) != 0;
  int error = uvdio__names_check_directory(&sim->names, path);

  if (error != 0) {
    return error;
  }
  *file = is_directory ? find_directory(sim, path) : NULL;
  if (*file != NULL) {
    return 0;
  }
  *file = make_nameless(sim, path);
  if (*file == NULL) {
    return UV_ENOMEM;
  }
  (*file)->is_directory = is_directory;
  (*file)->may_be_named = !is_directory;
  add_to_world(sim, *file);
  return 0;
}

int uvdio__sim_open(uvdio_sim_t* sim, const char* path, unsigned flags, uvdio__sim_file_t** file) {
  uvdio__sim_file_t* found = uvdio__sim_find(sim, path);
  int error;

  if ((flags & UVDIO__NAMELESS) != 0) {
    return open_nameless(sim, path, flags, file);
  }
  if (found == NULL && *path != '\0' && uvdio__names_is_directory(&sim->names, path)) {
    return uvdio__store_refuses_directory(path, flags);
  }
  error = uvdio__store_admits(path, flags, found != NULL);
  if (error != 0) {
    return error;
  }
  if (found == NULL) {
    found = make_file(sim, path);
    if (found == NULL) {
      return UV_ENOMEM;
    }
  }
  *file = found;
  return (flags & UVDIO_O_TRUNCATE) != 0 ? uvdio__sim_resize(found, 0) : 0;
}

void uvdio__sim_free_files(uvdio_sim_t* sim) {
  uvdio__sim_free_names(sim);
  while (sim->files != NULL) {
    uvdio__sim_file_t* file = sim->files;
    sim->files = file->next;
    free_file(file);
  }
}

/*
 * Damage
 */

int uvdio__sim_is_damaged(const uvdio__sim_file_t* file, uint64_t offset, uint64_t length) {
  uint64_t sector = file->sim->options.sector_size;
  const uvdio__damage_t* damage;

  assert(length > 0);
  for (damage = file->damage; damage != NULL; damage = damage->next) {
    if (damage->sector >= offset / sector && damage->sector <= (offset + length - 1) / sector) {
      return 1;
    }
  }
  return 0;
}

int uvdio__sim_damage_sector(uvdio__sim_file_t* file, uint64_t sector) {
  uvdio__damage_t* damage = uvdio__alloc(sizeof(*damage), UVDIO__STRUCT_ALIGN, 1);

  if (damage == NULL) {
    return UV_ENOMEM;
  }
  damage->sector = sector;
  damage->next = file->damage;
  file->damage = damage;
  return 0;
}

void uvdio__sim_flip(uvdio_sim_t* sim, char* base, size_t length) {
  size_t at = (size_t)uvdio__sim_random(sim, length);
  base[at] = (char)(base[at] ^ (1 << uvdio__sim_random(sim, 8)));
}

/*
 * From outside
 */

/* As the disk's node would be if it had everything that is kept already. */
static uint64_t kept_size(const uvdio__sim_file_t* file) {
  uint64_t size = uvdio__node_size(file->disk);
  const uvdio__change_t* change;

  for (change = file->oldest; change != NULL; change = change->next) {
    if (change->resizes && change->size_durable) {
      size = change->size;
    }
  }
  return size;
}

/* Plays a kept change back over a copy of [offset, offset + length). */
static void overlay(const uvdio__change_t* change, char* base, size_t length, uint64_t offset) {
  uint64_t begin = change->offset > offset ? change->offset : offset;
  uint64_t change_end = change->offset + change->length;
  uint64_t end = change_end < offset + length ? change_end : offset + length;

  if (change->resizes && change->size_durable && change->size < offset + length) {
    size_t cut = change->size > offset ? (size_t)(change->size - offset) : 0;
    memset(base + cut, 0, length - cut);
  }
  if (change->data_durable && begin < end) {
    assert(!change->zeros); /* They become durable by syncs only, which take them off the list. */
    memcpy(base + (begin - offset), change->bytes + (begin - change->offset),
           (size_t)(end - begin));
  }
}

static int64_t peek_disk(const uvdio__sim_file_t* file, char* base, size_t length,
                         uint64_t offset) {
  uint64_t size = kept_size(file);
  const uvdio__change_t* change;

  if (offset >= size) {
    return 0;
  }
  length = length < size - offset ? length : (size_t)(size - offset);
  memset(base, 0, length);
  (void)uvdio__node_read(file->disk, base, length, offset);
  for (change = file->oldest; change != NULL; change = change->next) {
    overlay(change, base, length, offset);
  }
  return (int64_t)length;
}

/* The file of a path as somebody outside has written it, or null. */
static uvdio__sim_file_t* find_from_outside(const uvdio_sim_t* sim, const char* path) {
  const uvdio__name_t* name = sim->names.first;

  while (name != NULL && (name->file == NULL || !uvdio__path_is(path, name->path))) {
    name = name->next;
  }
  return name == NULL ? NULL : name->file;
}

int64_t uvdio_sim_size(const uvdio_sim_t* sim, const char* path, int on_disk) {
  const uvdio__sim_file_t* file;

  if (sim == NULL || path == NULL) {
    return UV_EINVAL;
  }
  file = find_from_outside(sim, path);
  if (file == NULL) {
    return UV_ENOENT;
  }
  return (int64_t)(on_disk ? kept_size(file) : uvdio__node_size(file->now));
}

int64_t uvdio_sim_peek(const uvdio_sim_t* sim, const char* path, int on_disk, void* base,
                       size_t length, uint64_t offset) {
  uvdio__sim_file_t* file;

  if (sim == NULL || path == NULL || base == NULL) {
    return UV_EINVAL;
  }
  file = find_from_outside(sim, path);
  if (file == NULL) {
    return UV_ENOENT;
  }
  if (on_disk) {
    return peek_disk(file, base, length, offset);
  }
  return uvdio__node_read(file->now, base, length, offset);
}

int uvdio_sim_poke(uvdio_sim_t* sim, const char* path, const void* base, size_t length,
                   uint64_t offset) {
  uvdio__sim_file_t* file = NULL; /* gcc 12 at -O3 does not see that it is set */
  char* normal;
  int error;

  if (sim == NULL || path == NULL || base == NULL) {
    return UV_EINVAL;
  }
  if (offset > INT64_MAX || length > INT64_MAX - offset) {
    return UVDIO_EOFFSET;
  }
  normal = uvdio__path_make(1, NULL, path);
  if (normal == NULL) {
    return UV_ENOMEM;
  }
  error = uvdio__sim_open(sim, normal, UVDIO_OPEN_RW, &file);
  uvdio__path_free(normal);
  if (error != 0) {
    return error == UV_ENOMEM ? error : UV_EINVAL;
  }
  if (length > 0 && uvdio__sim_write(file, base, length, offset, SIM_WRITE_DURABLE) < 0) {
    return UV_ENOMEM;
  }
  uvdio__sim_keep_file(file);
  return sim->out_of_memory ? UV_ENOMEM : 0;
}

/* The sectors that the range touches, within the file: [*first, *end). */
static uvdio__sim_file_t* find_sectors(const uvdio_sim_t* sim, const char* path, uint64_t offset,
                                       uint64_t length, uint64_t* first, uint64_t* end) {
  uvdio__sim_file_t* file = find_from_outside(sim, path);
  uint64_t sector = sim->options.sector_size;
  uint64_t size = file == NULL ? 0 : uvdio__node_size(file->now);

  if (offset > size) {
    offset = size;
  }
  if (length > size - offset) {
    length = size - offset;
  }
  *first = offset / sector;
  *end = length == 0 ? *first : (offset + length - 1) / sector + 1;
  return file;
}

static void flip_in_node(uvdio__node_t* node, uint64_t offset, int bit) {
  char byte;

  if (uvdio__node_read(node, &byte, 1, offset) == 1) {
    byte = (char)(byte ^ (1 << bit));
    (void)uvdio__node_write(node, &byte, 1, offset);
  }
}

/* What is kept is on the disk, also while it waits in the list. */
static void flip_in_kept(uvdio__change_t* change, uint64_t offset, int bit) {
  for (; change != NULL; change = change->next) {
    if (change->data_durable && offset >= change->offset &&
        offset - change->offset < change->length) {
      assert(!change->zeros);
      char* byte = &change->bytes[offset - change->offset];
      *byte = (char)(*byte ^ (1 << bit));
    }
  }
}

int uvdio_sim_corrupt(uvdio_sim_t* sim, const char* path, uint64_t offset, uint64_t length) {
  uvdio__sim_file_t* file;
  uint64_t first;
  uint64_t end;

  if (sim == NULL || path == NULL) {
    return UV_EINVAL;
  }
  file = find_sectors(sim, path, offset, length, &first, &end);
  if (file == NULL) {
    return UV_ENOENT;
  }
  for (; first < end; first++) {
    uint64_t begin = first * sim->options.sector_size;
    uint64_t left = uvdio__node_size(file->now) - begin;
    uint64_t part = left < sim->options.sector_size ? left : sim->options.sector_size;
    uint64_t at = begin + uvdio__sim_random(sim, part);
    int bit = (int)uvdio__sim_random(sim, 8);
    flip_in_node(file->now, at, bit);
    flip_in_node(file->disk, at, bit);
    flip_in_kept(file->oldest, at, bit);
  }
  return 0;
}

int uvdio_sim_damage(uvdio_sim_t* sim, const char* path, uint64_t offset, uint64_t length) {
  uvdio__sim_file_t* file;
  uint64_t first;
  uint64_t end;
  int error = 0;

  if (sim == NULL || path == NULL) {
    return UV_EINVAL;
  }
  file = find_sectors(sim, path, offset, length, &first, &end);
  if (file == NULL) {
    return UV_ENOENT;
  }
  for (; first < end && error == 0; first++) {
    error = uvdio__sim_damage_sector(file, first);
  }
  return error;
}
