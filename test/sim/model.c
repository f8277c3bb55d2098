/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <string.h>

#define WORDS (MODEL_SECTOR / sizeof(uint64_t))
#define ORDER_SHIFT 16
#define SECTOR_BITS 12

uint64_t model_word(const struct model* model, uint64_t order, uint64_t sector) {
  return order << ORDER_SHIFT | (uint64_t)model->number << SECTOR_BITS | sector;
}

/* Whether anything ever written there looks like this. */
static int is_ours(const struct model* model, uint64_t sector, uint64_t word) {
  return word == 0 || ((word & ((1u << ORDER_SHIFT) - 1)) == (model_word(model, 0, sector)) &&
                       word >> ORDER_SHIFT <= model->clock);
}

/*
 * Guesses.
 */

static void set_guess(struct guesses* guesses, uint64_t order, uint64_t word) {
  guesses->list[0] = (struct guess){order, word, 1};
  guesses->count = 1;
  guesses->any = 0;
}

static void add_guess(struct guesses* guesses, uint64_t order, uint64_t word) {
  if (guesses->count == MODEL_GUESSES) {
    memmove(guesses->list, guesses->list + 1, (MODEL_GUESSES - 1) * sizeof(guesses->list[0]));
    guesses->count--;
    guesses->any = 1;
  }
  guesses->list[guesses->count++] = (struct guess){order, word, 0};
}

static struct guess* find_guess(struct guesses* guesses, uint64_t order) {
  for (unsigned i = 0; i < guesses->count; i++) {
    if (guesses->list[i].order == order) {
      return &guesses->list[i];
    }
  }
  return NULL;
}

/* Drops what is older than the newest change up to `order` that had the sector to itself. */
static void drop_older(struct guesses* guesses, uint64_t order) {
  for (unsigned i = guesses->count; i-- > 0;) {
    if (guesses->list[i].order <= order && guesses->list[i].sole) {
      memmove(guesses->list, guesses->list + i, (guesses->count - i) * sizeof(guesses->list[0]));
      guesses->count -= i;
      guesses->any = 0;
      return;
    }
  }
}

static int is_guessed(const struct model* model, const struct guesses* guesses, uint64_t sector,
                      uint64_t word) {
  for (unsigned i = 0; i < guesses->count; i++) {
    if (guesses->list[i].word == word) {
      return 1;
    }
  }
  return guesses->any && is_ours(model, sector, word);
}

void model_reset(struct model* model, unsigned number, int exists) {
  uint64_t clock = model->clock;
  memset(model, 0, sizeof(*model));
  model->number = number;
  model->exists = exists;
  model->clock = clock + 1;
  model->size_known = 1;
  model->size_at = model->clock;
  for (unsigned i = 0; i < MODEL_SECTORS; i++) {
    set_guess(&model->sectors[i].now, 0, 0);
    set_guess(&model->sectors[i].disk, 0, 0);
    model->sectors[i].settled_at = model->clock;
  }
}

/*
 * Sectors.
 */

static void sector_begins(struct sector* sector, uint64_t order, uint64_t word) {
  add_guess(&sector->now, order, word);
  add_guess(&sector->disk, order, word);
  sector->sole = sector->changes == 0 ? order : 0;
  sector->changes++;
}

static void sector_ends(const struct model* model, struct sector* sector, uint64_t order, int ok,
                        int durable) {
  struct guess* guess;
  assert(sector->changes > 0);
  sector->changes--;
  if (sector->sole != order) {
    return;
  }
  sector->sole = 0;
  if (!ok) {
    return;
  }
  if (sector->ragged) {
    sector->ragged = 0;
    sector->whole_at = model->clock;
  }
  find_guess(&sector->now, order)->sole = 1;
  drop_older(&sector->now, order);
  sector->settled_at = model->clock;
  guess = find_guess(&sector->disk, order);
  guess->sole = durable || order > model->failed_at;
  if (durable) {
    drop_older(&sector->disk, order);
  }
}

/*
 * Sizes.
 */

static void look(const struct model* model, struct change* change) {
  change->size_was_known = model->size_known && model->resizing == 0;
  change->size_was = model->size;
}

static void resize_begins(struct model* model, struct change* change, int truncates) {
  change->resizes = 1;
  if (model->resizing == 0) {
    model->truncating = 0;
    model->doubtful = truncates && model->writing > 0;
    model->grown = 0;
  } else if (truncates || model->truncating) {
    model->doubtful = 1;
  }
  model->truncating |= truncates;
  model->resizing++;
  model->size_at = change->order;
  if (change->end > model->ceiling) {
    model->ceiling = change->end;
  }
}

static void resize_ends(struct model* model, const struct change* change, int ok) {
  assert(model->resizing > 0);
  model->resizing--;
  model->size_at = ++model->clock;
  model->doubtful |= !ok;
  if (change->end > model->grown) {
    model->grown = change->end;
  }
  if (model->resizing > 0) {
    return;
  }
  if (model->doubtful) {
    model->size_known = 0;
  } else if (model->truncating || model->grown > model->size) {
    model->size = model->grown;
  }
}

int64_t model_expected_size(const struct model* model, uint64_t since) {
  int certain = model->size_known && model->resizing == 0 && model->size_at < since;
  return certain ? (int64_t)model->size : -1;
}

void model_learn_size(struct model* model, uint64_t size) {
  assert(model->resizing + model->writing == 0);
  model->size_known = 1;
  model->size = size;
  model->size_at = ++model->clock;
}

void model_doubt_size(struct model* model) {
  model->size_known = 0;
  model->size_at = ++model->clock;
}

/*
 * Operations.
 */

void model_write_begins(struct model* model, struct change* change, uint64_t offset,
                        uint64_t length) {
  memset(change, 0, sizeof(*change));
  look(model, change);
  change->order = ++model->clock;
  change->begin = offset;
  change->end = offset + length;
  if (length > 0 && !(change->size_was_known && change->end <= model->size)) {
    resize_begins(model, change, 0);
  } else {
    model->writing++;
  }
  for (uint64_t i = offset / MODEL_SECTOR; i < change->end / MODEL_SECTOR; i++) {
    sector_begins(&model->sectors[i], change->order, model_word(model, change->order, i));
  }
}

void model_write_ends(struct model* model, const struct change* change, int ok, int durable) {
  model->clock++;
  for (uint64_t i = change->begin / MODEL_SECTOR; i < change->end / MODEL_SECTOR; i++) {
    sector_ends(model, &model->sectors[i], change->order, ok, durable);
  }
  if (change->resizes) {
    resize_ends(model, change, ok);
  } else {
    assert(model->writing > 0);
    model->writing--;
  }
  if (ok && durable && change->end > change->begin) {
    model->entry_durable = 1;
    if (change->size_was_known && model->last_truncate < change->order &&
        change->end > model->floor) {
      model->floor = change->end;
    }
  }
}

static void cut_within(struct sector* sector) {
  sector->ragged = 1;
  sector->ragged_disk = 1;
  sector->sole = 0;
}

void model_truncate_begins(struct model* model, struct change* change, uint64_t length) {
  memset(change, 0, sizeof(*change));
  look(model, change);
  change->order = ++model->clock;
  change->begin = length;
  change->end = length;
  resize_begins(model, change, 1);
  model->last_truncate = change->order;
  if (length < model->floor) {
    model->floor = length;
  }
  for (uint64_t i = length / MODEL_SECTOR; i < MODEL_SECTORS; i++) {
    sector_begins(&model->sectors[i], change->order, 0);
  }
  if (length % MODEL_SECTOR != 0) {
    cut_within(&model->sectors[length / MODEL_SECTOR]);
  }
}

void model_truncate_ends(struct model* model, const struct change* change, int ok) {
  model->clock++;
  for (uint64_t i = change->end / MODEL_SECTOR; i < MODEL_SECTORS; i++) {
    sector_ends(model, &model->sectors[i], change->order, ok, 0);
  }
  resize_ends(model, change, ok);
}

void model_preallocate_begins(struct model* model, struct change* change, uint64_t length) {
  memset(change, 0, sizeof(*change));
  look(model, change);
  change->order = ++model->clock;
  change->end = length;
  resize_begins(model, change, 0);
}

void model_preallocate_ends(struct model* model, const struct change* change, int ok) {
  resize_ends(model, change, ok);
}

void model_sync_begins(struct model* model, struct change* change) {
  memset(change, 0, sizeof(*change));
  look(model, change);
  change->order = ++model->clock;
}

void model_sync_ends(struct model* model, const struct change* change) {
  model->entry_durable = 1;
  for (unsigned i = 0; i < MODEL_SECTORS; i++) {
    if (model->sectors[i].disk.count > 1) {
      drop_older(&model->sectors[i].disk, change->order);
    }
  }
  if (change->size_was_known && model->last_truncate < change->order) {
    model->floor = change->size_was;
  }
}

void model_sync_failed(struct model* model) {
  model->failed_at = model->clock;
  for (unsigned i = 0; i < MODEL_SECTORS; i++) {
    struct guesses* disk = &model->sectors[i].disk;
    for (unsigned k = disk->any ? 0 : 1; k < disk->count; k++) {
      disk->list[k].sole = 0;
    }
  }
}

/*
 * Looking.
 */

static int is_uniform(const uint64_t* words) {
  uint64_t differs = 0;
  for (unsigned i = 1; i < WORDS; i++) {
    differs |= words[i] ^ words[0];
  }
  return differs == 0;
}

static int may_be_read(const struct model* model, uint64_t number, uint64_t word, uint64_t since) {
  const struct sector* sector = &model->sectors[number];
  return is_guessed(model, &sector->now, number, word) ||
         (sector->settled_at > since && is_ours(model, number, word));
}

const char* model_check_read(const struct model* model, uint64_t sector, const uint64_t* words,
                             uint64_t since, int strict) {
  const struct sector* about = &model->sectors[sector];
  if (about->ragged || about->whole_at > since) {
    return NULL;
  }
  if (is_uniform(words)) {
    return may_be_read(model, sector, words[0], since) ? NULL : "a sector holds what it can't hold";
  }
  if (strict || (about->now.count == 1 && about->settled_at <= since)) {
    return "a sector is mixed";
  }
  for (unsigned i = 0; i < WORDS; i++) {
    if (!may_be_read(model, sector, words[i], since)) {
      return "a sector is mixed of what it can't hold";
    }
  }
  return NULL;
}

/*
 * After a power cut.
 */

const char* model_recover_size(struct model* model, int64_t size) {
  if (size < 0) {
    const char* wrong = model->exists && model->entry_durable ? "a durable file is gone" : NULL;
    model_reset(model, model->number, 0);
    return wrong;
  }
  if ((uint64_t)size < model->floor) {
    return "the file is shorter than what was made durable";
  }
  if ((uint64_t)size > model->ceiling) {
    return "the file is longer than it ever was";
  }
  assert(model->resizing + model->writing == 0);
  model->exists = 1;
  model->entry_durable = 1;
  model->floor = (uint64_t)size;
  model->ceiling = (uint64_t)size;
  model->last_truncate = 0;
  model_learn_size(model, (uint64_t)size);
  return NULL;
}

const char* model_recover_sector(struct model* model, uint64_t number, const uint64_t* words) {
  struct sector* sector = &model->sectors[number];
  const char* wrong = NULL;
  int past = number * MODEL_SECTOR >= model->size;
  int ends_here = !past && model->size - number * MODEL_SECTOR < MODEL_SECTOR;
  int uniform = past || is_uniform(words);
  assert(sector->changes == 0);
  if (!past && !ends_here && !sector->ragged_disk) {
    if (!uniform) {
      wrong = "a sector was torn";
    } else if (!is_guessed(model, &sector->disk, number, words[0])) {
      wrong = "a sector holds what was overwritten durably, or never written";
    }
  }
  sector->ragged = ends_here || !uniform;
  sector->ragged_disk = sector->ragged;
  set_guess(&sector->now, 0, past ? 0 : words[0]);
  set_guess(&sector->disk, 0, past ? 0 : words[0]);
  sector->settled_at = ++model->clock;
  return wrong;
}
