/* SPDX-License-Identifier: MIT */
/*
 * The names of a world, twice: `names` is what programs see, `disk_names` what is durable. Each
 * change goes to `names` at once and is appended to a list, as the changes of a file (sim/disk.c).
 * A change is durable as a whole or not at all: a rename is never half done.
 */
#include <string.h>

#include "allocator.h"
#include "sim/sim.h"

static uvdio__name_change_t* make_change(const char* path, const char* new_path) {
  size_t length = strlen(path) + 1;
  size_t new_length = new_path == NULL ? 0 : strlen(new_path) + 1;
  size_t size = sizeof(uvdio__name_change_t) + length + new_length;
  uvdio__name_change_t* change = uvdio__alloc(size, UVDIO__STRUCT_ALIGN, 1);

  if (change == NULL) {
    return NULL;
  }
  change->size = size;
  change->path = memcpy(change->bytes, path, length);
  if (new_path != NULL) {
    change->new_path = memcpy(change->bytes + length, new_path, new_length);
  }
  return change;
}

static void free_change(uvdio__name_change_t* change) {
  uvdio__free(change, change->size, UVDIO__STRUCT_ALIGN);
}

static void append(uvdio_sim_t* sim, uvdio__name_change_t* change) {
  uvdio__name_change_t** end = &sim->name_changes;

  change->sequence = ++sim->sequence;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = change;
}

/* Plays a change back over the names on the disk. */
static void put(uvdio_sim_t* sim, const uvdio__name_change_t* change) {
  if (uvdio__names_do(&sim->disk_names, change->op, change->path, change->new_path, change->file) !=
      0) {
    sim->out_of_memory = 1;
  }
}

static void drop_oldest(uvdio_sim_t* sim) {
  uvdio__name_change_t* change = sim->name_changes;

  sim->name_changes = change->next;
  free_change(change);
}

static void settle(uvdio_sim_t* sim) {
  while (sim->name_changes != NULL && sim->name_changes->durable) {
    put(sim, sim->name_changes);
    drop_oldest(sim);
  }
}

int uvdio__sim_change_names(uvdio_sim_t* sim, uvdio_op_t op, const char* path, const char* new_path,
                            uvdio__sim_file_t* file) {
  uvdio__name_change_t* change = make_change(path, new_path);

  if (change == NULL) {
    return UV_ENOMEM;
  }
  if (uvdio__names_do(&sim->names, op, path, new_path, file) != 0) {
    free_change(change);
    return UV_ENOMEM;
  }
  change->op = op;
  change->file = file;
  append(sim, change);
  sim->stats.files = sim->names.files;
  return 0;
}

int uvdio__sim_names(uvdio_sim_t* sim, uvdio_op_t op, const uvdio__names_t* names, uint64_t mark) {
  int error = uvdio__names_check(&sim->names, op, names);
  uvdio__sim_file_t* file = uvdio__names_find(&sim->names, names->path);

  if (error != 0) {
    return error;
  }
  if (op == UVDIO_OP_SYNC_DIRECTORY) {
    uvdio__sim_sync_names(sim, names->path, mark);
    return 0;
  }
  if (op == UVDIO_OP_RENAME && uvdio__names_find(&sim->names, names->new_path) == file) {
    return 0; /* It does nothing, and nothing of it can be on the disk after a cut. */
  }
  return uvdio__sim_change_names(sim, op, names->path, names->new_path, file);
}

int uvdio__sim_has_name(const uvdio__name_table_t* table, const uvdio__sim_file_t* file) {
  const uvdio__name_t* name = table->first;

  while (name != NULL && name->file != file) {
    name = name->next;
  }
  return name != NULL;
}

int uvdio__sim_link_file(uvdio_sim_t* sim, uvdio__sim_file_t* file, const uvdio__names_t* names) {
  int error = uvdio__names_check_new(&sim->names, names->new_path);

  if (error == 0 && !file->may_be_named && !uvdio__sim_has_name(&sim->names, file)) {
    error = UV_ENOENT;
  }
  if (error == 0) {
    error = uvdio__sim_change_names(sim, UVDIO_OP_LINK, names->path, names->new_path, file);
  }
  if (error == 0) {
    file->may_be_named = 0;
  }
  return error;
}

void uvdio__sim_sync_names(uvdio_sim_t* sim, const char* directory, uint64_t mark) {
  uvdio__name_change_t* change;

  for (change = sim->name_changes; change != NULL && change->sequence <= mark;
       change = change->next) {
    const char* path = change->new_path != NULL ? change->new_path : change->path;
    change->durable |= directory == NULL || uvdio__names_is_in(path, directory);
  }
  settle(sim);
}

void uvdio__sim_sync_names_of(uvdio_sim_t* sim, const char* path) {
  const char* slash = strrchr(path, '/');
  uvdio__name_change_t* change;

  for (change = sim->name_changes; change != NULL; change = change->next) {
    const char* other = change->new_path != NULL ? change->new_path : change->path;
    const char* other_slash = strrchr(other, '/');
    change->durable |= (slash == NULL) == (other_slash == NULL) &&
                       (slash == NULL || (slash - path == other_slash - other &&
                                          memcmp(path, other, (size_t)(slash - path)) == 0));
  }
  settle(sim);
}

void uvdio__sim_keep_file(uvdio__sim_file_t* file) {
  uvdio__name_change_t* change;

  for (change = file->sim->name_changes; change != NULL; change = change->next) {
    change->durable |= change->op == UVDIO_OP_OPEN && change->file == file;
  }
  settle(file->sim);
}

static void copy_names(uvdio_sim_t* sim) {
  const uvdio__name_t* name;

  for (name = sim->disk_names.first; name != NULL; name = name->next) {
    if (uvdio__names_put(&sim->names, name->path, name->file) != 0) {
      sim->out_of_memory = 1;
    }
  }
  sim->stats.files = sim->names.files;
}

void uvdio__sim_cut_names(uvdio_sim_t* sim, unsigned ref) {
  while (sim->name_changes != NULL) {
    if (sim->name_changes->durable || uvdio__sim_random(sim, SIM_SHARE_ALL) < ref) {
      put(sim, sim->name_changes);
    }
    drop_oldest(sim);
  }
  copy_names(sim);
}

void uvdio__sim_free_names(uvdio_sim_t* sim) {
  while (sim->name_changes != NULL) {
    drop_oldest(sim);
  }
  uvdio__names_clear(&sim->names);
  uvdio__names_clear(&sim->disk_names);
}
