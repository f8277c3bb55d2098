/* SPDX-License-Identifier: MIT */
#include "generator.h"

#include <assert.h>

#include "system.h"

#define SELDOM 16u
#define BYTE 256u

/*
 * Choices.
 */

struct choices choices_by_seed(uint64_t seed) {
  return (struct choices){.random = {seed}};
}

struct choices choices_by_bytes(const uint8_t* bytes, size_t size) {
  return (struct choices){.bytes = bytes, .left = size};
}

static unsigned next_byte(struct choices* choices) {
  if (choices->left == 0) {
    return 0;
  }
  choices->left--;
  return *choices->bytes++;
}

uint64_t choose(struct choices* choices, uint64_t bound) {
  assert(bound > 0);
  if (bound == 1) {
    return 0;
  }
  if (choices->bytes == NULL) {
    return (random_next(&choices->random) >> 16) % bound;
  }
  unsigned low = next_byte(choices);
  return (bound <= BYTE ? low : low + BYTE * next_byte(choices)) % bound;
}

int one_in(struct choices* choices, uint64_t count) {
  return count > 0 && choose(choices, count) == count - 1;
}

/* A byte stands for the same action as long as nothing is put before it in the table. */
unsigned choose_action(struct choices* choices, const struct weight* weights) {
  uint64_t sum = 0;
  for (unsigned i = 0; weights[i].weight > 0; i++) {
    sum += weights[i].weight;
  }
  assert(choices->bytes == NULL || sum <= BYTE);
  uint64_t pick = choose(choices, choices->bytes == NULL ? sum : BYTE);
  for (; weights->weight > 0 && pick >= weights->weight; weights++) {
    pick -= weights->weight;
  }
  return weights->action;
}

/*
 * Arguments.
 */

static void choose_range(struct choices* choices, const struct profile* profile, uint64_t unit,
                         struct operation* operation) {
  int is_seldom = profile->seldom_most > 0 && one_in(choices, SELDOM);
  uint64_t most = (is_seldom ? profile->seldom_most : profile->most) / unit;
  uint64_t units = profile->size / unit;
  uint64_t first = choose(choices, units);
  uint64_t count = one_in(choices, profile->most_often) ? most : 1 + choose(choices, most);
  operation->pieces = one_in(choices, profile->in_pieces) ? 2 + (unsigned)choose(choices, 6) : 0;
  operation->unit = (size_t)unit;
  operation->offset = first * unit;
  operation->length = (count < units - first ? count : units - first) * unit;
}

static uint64_t choose_length(struct choices* choices, const struct profile* profile) {
  uint64_t step = one_in(choices, profile->any_length) ? 1 : profile->step;
  return choose(choices, profile->size / step + 1) * step;
}

static unsigned choose_flags(struct choices* choices, const struct profile* profile) {
  unsigned flags = 0;
  for (unsigned i = 0; i < sizeof(profile->flags) / sizeof(profile->flags[0]); i++) {
    flags |= one_in(choices, profile->flags[i].in) ? profile->flags[i].flag : 0;
  }
  return flags;
}

/* By the better method, and by each. */
static unsigned choose_durable(struct choices* choices) {
  static const unsigned methods[] = {0, UVDIO_WRITE_BY_DSYNC, UVDIO_WRITE_BY_SYNC};
  return UVDIO_WRITE_DURABLE | methods[choose(choices, 3)];
}

/* Of pieces that others may have written to; written space alone has to be aligned. */
static void choose_space(struct choices* choices, const struct profile* profile, uint64_t unit,
                         struct operation* operation) {
  static const unsigned flags[] = {0, UVDIO_SPACE_KEEP_SIZE, UVDIO_SPACE_WRITTEN};
  choose_range(choices, profile, unit, operation);
  operation->pieces = 0;
  if (operation->op == UVDIO_OP_PREALLOCATE) {
    operation->flags = flags[choose(choices, 3)];
  }
}

static void choose_hint(struct choices* choices, struct operation* operation) {
  operation->flags = one_in(choices, 2) ? UVDIO_HINT_EXTENT_SIZE : UVDIO_HINT_WRITE_LIFE;
  operation->length = choose(choices, UVDIO_WRITE_LIFE_EXTREME + 1);
  operation->length *= operation->flags == UVDIO_HINT_EXTENT_SIZE ? 65536 : 1;
}

/* Whole: of a power of two bytes, at a multiple of them. */
static void make_atomic(struct operation* operation) {
  uint64_t length = operation->unit;
  while (length * 2 <= operation->length) {
    length *= 2;
  }
  operation->length = length;
  operation->offset -= operation->offset % length;
  operation->pieces = 0;
  operation->how |= UVDIO_WRITE_ATOMIC;
}

struct operation generate(struct choices* choices, const struct profile* profile, uvdio_op_t op,
                          uint64_t unit) {
  struct operation operation = {.op = op};
  operation.now = one_in(choices, profile->now);
  switch (op) {
    case UVDIO_OP_READ:
      operation.exact = one_in(choices, profile->exact);
      choose_range(choices, profile, unit, &operation);
      operation.skip =
          one_in(choices, profile->ranges) ? 1 + (size_t)choose(choices, unit / 2 - 1) : 0;
      break;
    case UVDIO_OP_WRITE:
      choose_range(choices, profile, unit, &operation);
      if (!operation.now && one_in(choices, profile->durable)) {
        operation.how = choose_durable(choices);
      }
      if (!operation.now && one_in(choices, profile->shared)) {
        operation.how |= UVDIO_WRITE_SHARED;
      }
      if (one_in(choices, profile->atomic)) {
        make_atomic(&operation);
      }
      break;
    case UVDIO_OP_TRUNCATE:
      operation.length = choose_length(choices, profile);
      break;
    case UVDIO_OP_PREALLOCATE:
      if (one_in(choices, profile->spaces)) {
        choose_space(choices, profile, unit, &operation);
        break;
      }
      operation.length = choose_length(choices, profile);
      operation.length += operation.length == 0; /* which is no length */
      break;
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      choose_space(choices, profile, unit, &operation);
      break;
    case UVDIO_OP_NEXT_DATA:
    case UVDIO_OP_NEXT_HOLE:
      operation.offset = choose(choices, profile->size / unit) * unit;
      break;
    case UVDIO_OP_SET_HINT:
      choose_hint(choices, &operation);
      break;
    case UVDIO_OP_OPEN:
      operation.flags = choose_flags(choices, profile);
      break;
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
    case UVDIO_OP_REPLACE:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_STAT:
    case UVDIO_OP_CLOSE:
    case UVDIO_OP_ARENA_WAIT:
    CASE_NAMES:
      break;
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      assert(0);
  }
  return operation;
}

/*
 * Calls.
 */

static int submit_at(uvdio_op_t op, const struct target* target, uvdio_req_t* req, uvdio_cb cb) {
  switch ((int)op) {
    case UVDIO_OP_RENAME:
      return uvdio_rename_at(target->base, req, target->path, target->new_base, target->new_path,
                             target->flags, cb);
    case UVDIO_OP_LINK:
      return uvdio_link_at(target->base, req, target->path, target->new_base, target->new_path, cb);
    case UVDIO_OP_UNLINK:
      return uvdio_unlink_at(target->base, req, target->path, cb);
    case UVDIO_OP_MKDIR:
      return uvdio_mkdir_at(target->base, req, target->path, 0755, cb);
    default:
      assert(op == UVDIO_OP_RMDIR);
      return uvdio_rmdir_at(target->base, req, target->path, cb);
  }
}

static int submit_on_names(uvdio_op_t op, const struct target* target, uvdio_req_t* req,
                           uvdio_cb cb) {
  if (target->linked != NULL) {
    return uvdio_link_file_at(target->linked, req, target->new_base, target->new_path, cb);
  }
  if (target->engine == NULL && (target->base != NULL || target->new_base != NULL)) {
    return submit_at(op, target, req, cb);
  }
  switch ((int)op) {
    case UVDIO_OP_RENAME:
      return uvdio_rename(target->engine, req, target->path, target->new_path, target->flags, cb);
    case UVDIO_OP_LINK:
      return uvdio_link(target->engine, req, target->path, target->new_path, cb);
    case UVDIO_OP_UNLINK:
      return uvdio_unlink(target->engine, req, target->path, cb);
    case UVDIO_OP_MKDIR:
      return uvdio_mkdir(target->engine, req, target->path, 0755, cb);
    case UVDIO_OP_RMDIR:
      return uvdio_rmdir(target->engine, req, target->path, cb);
    default:
      assert(op == UVDIO_OP_SYNC_DIRECTORY);
      return uvdio_sync_directory(target->engine, req, target->path, cb);
  }
}

int operation_submit(const struct operation* operation, const struct target* target,
                     uvdio_req_t* req, uvdio_cb plain_cb, uvdio_io_cb io_cb) {
  uvdio_cb plain = operation->now ? NULL : plain_cb;
  uvdio_io_cb io = operation->now ? NULL : io_cb;
  uvdio_file_t* file = target->file;
  switch (operation->op) {
    case UVDIO_OP_OPEN:
      return target->base != NULL ? uvdio_open_at(target->base, file, req, target->path,
                                                  operation->flags, 0644, plain)
                                  : uvdio_open(target->engine, file, req, target->path,
                                               operation->flags, 0644, plain);
    case UVDIO_OP_READ:
      return operation->exact ? uvdio_read_exact(file, req, target->buf, operation->offset, io)
                              : uvdio_read(file, req, target->buf, operation->offset, io);
    case UVDIO_OP_WRITE:
      return operation->how == 0
                 ? uvdio_write(file, req, target->buf, operation->offset, io)
                 : uvdio_write_flags(file, req, target->buf, operation->offset, operation->how, io);
    case UVDIO_OP_SYNC_DATA:
      return uvdio_sync_data(file, req, plain);
    case UVDIO_OP_SYNC_ALL:
      return uvdio_sync_all(file, req, plain);
    case UVDIO_OP_SIZE:
      return uvdio_size(file, req, plain);
    case UVDIO_OP_STAT:
      return uvdio_stat(file, req, target->stat, plain);
    case UVDIO_OP_TRUNCATE:
      return uvdio_truncate(file, req, operation->length, plain);
    case UVDIO_OP_PREALLOCATE:
      return uvdio_preallocate(file, req, operation->offset, operation->length, operation->flags,
                               plain);
    case UVDIO_OP_PUNCH_HOLE:
      return uvdio_punch_hole(file, req, operation->offset, operation->length, plain);
    case UVDIO_OP_ZERO_RANGE:
      return uvdio_zero_range(file, req, operation->offset, operation->length, plain);
    case UVDIO_OP_NEXT_DATA:
      return uvdio_next_data(file, req, operation->offset, plain);
    case UVDIO_OP_NEXT_HOLE:
      return uvdio_next_hole(file, req, operation->offset, plain);
    case UVDIO_OP_SET_HINT:
      return uvdio_set_hint(file, req, (uvdio_hint_t)operation->flags, operation->length, plain);
    case UVDIO_OP_CLOSE:
      return uvdio_close(file, req, plain);
    case UVDIO_OP_REPLACE: /* by itself, so that only the sync is seen */
      return uvdio_replace_at(file, req, target->base, target->path, plain);
    CASE_NAMES:
      return submit_on_names(operation->op, target, req, plain);
    case UVDIO_OP_ARENA_WAIT:
      return uvdio_arena_wait(target->engine, req, target->arena, target->frames,
                              (unsigned)operation->length, plain);
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return UV_EINVAL;
}

/*
 * Kinds.
 */

int op_is(uvdio_op_t op, unsigned kinds) {
#define KIND_OF(name, text, kind) [UVDIO_OP_##name] = (kind),
  static const unsigned kind_of[UVDIO_OP_COUNT] = {UVDIO_OP_MAP(KIND_OF)};
#undef KIND_OF
  return (kind_of[op] & kinds) != 0;
}

uvdio_op_t operation_ordered_as(uvdio_op_t op, unsigned flags) {
  int writes = op == UVDIO_OP_PREALLOCATE && (flags & UVDIO_SPACE_WRITTEN) != 0;
  return writes ? UVDIO_OP_TRUNCATE : op;
}

/* Syncs wait for changes; a close for everything; a truncate for all that moves or changes bytes,
 * and all that for it. */
int op_waits_for(uvdio_op_t newer, uvdio_op_t older) {
  const unsigned bytes = UVDIO_OP_KIND_TRANSFER | UVDIO_OP_KIND_CHANGE;
  if (newer == UVDIO_OP_CLOSE) {
    return 1;
  }
  if (op_is(newer, UVDIO_OP_KIND_SYNC)) {
    return op_is(older, UVDIO_OP_KIND_CHANGE);
  }
  return op_is(newer, bytes) && op_is(older, bytes) &&
         (newer == UVDIO_OP_TRUNCATE || older == UVDIO_OP_TRUNCATE);
}

/*
 * What the tests know of each operation. The map's last operation has a row, or this file does not
 * compile; unit_operations asks for what is in a row.
 */

#define BYTES UVDIO_PAGE_SIZE

static const struct op_facts facts[] = {
    [UVDIO_OP_OPEN] = {.effect = EFFECT_OPEN,
                       .example = {.flags = UVDIO_OPEN_RW},
                       .path = "other",
                       .call = CALL_OPEN,
                       .has_entry = 1,
                       .weights = {[BY_MODEL] = 80}},
    [UVDIO_OP_READ] = {.effect = EFFECT_READ,
                       .example = {.length = BYTES},
                       .gives = BYTES,
                       .call = CALL_PREAD,
                       .has_entry = 1,
                       .weights = {[BY_MODEL] = 270, [BY_FSX] = 36, [BY_CHAOS] = 20}},
    [UVDIO_OP_WRITE] = {.effect = EFFECT_WRITE,
                        .example = {.length = BYTES},
                        .gives = BYTES,
                        .call = CALL_PWRITE,
                        .has_entry = 1,
                        .weights = {[BY_MODEL] = 360, [BY_FSX] = 40, [BY_CHAOS] = 24}},
    [UVDIO_OP_SYNC_DATA] = {.effect = EFFECT_SYNC,
                            .call = CALL_FDATASYNC,
                            .has_entry = 1,
                            .weights = {[BY_MODEL] = 60, [BY_FSX] = 4, [BY_CHAOS] = 4}},
    [UVDIO_OP_SYNC_ALL] = {.effect = EFFECT_SYNC,
                           .call = CALL_FSYNC,
                           .has_entry = 1,
                           .weights = {[BY_MODEL] = 30, [BY_FSX] = 3, [BY_CHAOS] = 4}},
    [UVDIO_OP_SIZE] = {.effect = EFFECT_SIZE,
                       .gives = BYTES,
                       .call = CALL_LSEEK,
                       .weights = {[BY_MODEL] = 50, [BY_FSX] = 4, [BY_CHAOS] = 2}},
    [UVDIO_OP_TRUNCATE] = {.effect = EFFECT_TRUNCATE,
                           .example = {.length = BYTES},
                           .call = CALL_FTRUNCATE,
                           .weights = {[BY_MODEL] = 30, [BY_FSX] = 7, [BY_CHAOS] = 4}},
    [UVDIO_OP_PREALLOCATE] = {.effect = EFFECT_PREALLOCATE,
                              .example = {.length = BYTES},
                              .may_give = {UV_ENOTSUP},
                              .call = CALL_FALLOCATE,
                              .has_entry = 1,
                              .weights = {[BY_MODEL] = 40, [BY_FSX] = 6, [BY_CHAOS] = 2}},
    [UVDIO_OP_CLOSE] = {.effect = EFFECT_CLOSE,
                        .call = CALL_CLOSE,
                        .weights = {[BY_MODEL] = 20, [BY_CHAOS] = 2}},
    [UVDIO_OP_STAT] = {.effect = EFFECT_STAT,
                       .call = CALL_STATX,
                       .weights = {[BY_MODEL] = 20, [BY_FSX] = 2, [BY_CHAOS] = 2}},
    [UVDIO_OP_PUNCH_HOLE] = {.effect = EFFECT_ZEROS,
                             .example = {.length = BYTES},
                             .may_give = {UV_ENOTSUP},
                             .call = CALL_FALLOCATE,
                             .has_entry = 1,
                             .weights = {[BY_MODEL] = 24, [BY_FSX] = 5, [BY_CHAOS] = 2}},
    [UVDIO_OP_ZERO_RANGE] = {.effect = EFFECT_ZEROS,
                             .example = {.length = BYTES},
                             .may_give = {UV_ENOTSUP},
                             .call = CALL_FALLOCATE,
                             .has_entry = 1,
                             .weights = {[BY_MODEL] = 12, [BY_FSX] = 4, [BY_CHAOS] = 1}},
    [UVDIO_OP_NEXT_DATA] = {.effect = EFFECT_LOOK,
                            .may_give = {UV_ENXIO},
                            .call = CALL_LSEEK,
                            .weights = {[BY_MODEL] = 16, [BY_FSX] = 3, [BY_CHAOS] = 1}},
    [UVDIO_OP_NEXT_HOLE] = {.effect = EFFECT_LOOK,
                            .gives = BYTES,
                            .may_give = {UV_ENXIO},
                            .call = CALL_LSEEK,
                            .weights = {[BY_MODEL] = 16, [BY_FSX] = 3, [BY_CHAOS] = 1}},
    [UVDIO_OP_SET_HINT] = {.effect = EFFECT_NONE,
                           .needs_writing = 1,
                           .example = {.flags = UVDIO_HINT_WRITE_LIFE},
                           .may_give = {UV_ENOTSUP, UV_EINVAL, UV_EPERM},
                           .call = CALL_FCNTL,
                           .weights = {[BY_MODEL] = 4, [BY_FSX] = 1, [BY_CHAOS] = 1}},
    [UVDIO_OP_RENAME] = {.effect = EFFECT_NAMES,
                         .path = "none",
                         .new_path = "new",
                         .gives = UV_ENOENT,
                         .call = CALL_RENAME},
    [UVDIO_OP_LINK] = {.effect = EFFECT_NAMES,
                       .path = "none",
                       .new_path = "new",
                       .gives = UV_ENOENT,
                       .call = CALL_LINK},
    [UVDIO_OP_UNLINK] = {.effect = EFFECT_NAMES,
                         .path = "none",
                         .gives = UV_ENOENT,
                         .call = CALL_UNLINK},
    [UVDIO_OP_MKDIR] = {.effect = EFFECT_NAMES,
                        .path = "file",
                        .gives = UV_EEXIST,
                        .call = CALL_MKDIR},
    [UVDIO_OP_RMDIR] = {.effect = EFFECT_NAMES,
                        .path = "none",
                        .gives = UV_ENOENT,
                        .call = CALL_RMDIR},
    [UVDIO_OP_SYNC_DIRECTORY] = {.effect = EFFECT_NAMES, .path = "", .call = CALL_FSYNC},
    [UVDIO_OP_REPLACE] = {.effect = EFFECT_SYNC,
                          .path = "file",
                          .call = CALL_RENAME,
                          .weights = {[BY_MODEL] = 10, [BY_FSX] = 1, [BY_CHAOS] = 1}},
    [UVDIO_OP_ARENA_WAIT] = {.effect = EFFECT_FRAMES, .example = {.length = 1}},
};

_Static_assert(sizeof(facts) / sizeof(facts[0]) == UVDIO_OP_COUNT, "an operation has no row");

const struct op_facts* facts_of(uvdio_op_t op) {
  assert(op > UVDIO_OP_NONE && op < UVDIO_OP_COUNT);
  return &facts[op];
}

#define OWN_MAX 15u /* actions of a harness's own */

const struct weight* weights_of(enum harness harness, const struct weight* own) {
  static struct weight tables[HARNESSES][UVDIO_OP_COUNT + OWN_MAX + 1];
  struct weight* table = tables[harness];
  unsigned count = 0;
  if (table[0].weight > 0) {
    return table;
  }
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    if (facts[op].weights[harness] > 0) {
      table[count++] = (struct weight){op, facts[op].weights[harness]};
    }
  }
  for (; own->weight > 0; own++) {
    assert(count < UVDIO_OP_COUNT + OWN_MAX);
    table[count++] = *own;
  }
  table[count] = *own;
  return table;
}

int op_may_give(uvdio_op_t op, int64_t result) {
  const int* error = facts_of(op)->may_give;
  while (*error != 0 && *error != result) {
    error++;
  }
  return *error != 0 || (result == UV_ENOTSUP && !system_provides(uvdio_op_name(op)));
}

int op_needs_writing(uvdio_op_t op) {
  return op_is(op, UVDIO_OP_KIND_CHANGE) || facts_of(op)->needs_writing;
}
