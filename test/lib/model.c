/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WORD sizeof(uint64_t)
/* A word, from below: sector, file, number of the write, place in the sector. */
#define FILE_SHIFT 12
#define ORDER_SHIFT 20
#define PLACE_SHIFT 55

static uint64_t word_of(const struct model* model, uint64_t order, uint64_t sector) {
  return order << ORDER_SHIFT | (uint64_t)model->number << FILE_SHIFT | sector;
}

/* Whether anything ever written there looks like this. */
static int is_ours(const struct model* model, uint64_t sector, uint64_t word) {
  return word == 0 || ((word & ((1u << ORDER_SHIFT) - 1)) == word_of(model, 0, sector) &&
                       word >> ORDER_SHIFT <= model->clock);
}

static uint64_t at_place(uint64_t word, unsigned place) {
  return word == 0 ? 0 : word | (uint64_t)place << PLACE_SHIFT;
}

static int is_ours_at(const struct model* model, uint64_t sector, uint64_t word, unsigned place) {
  return word == 0 || (word >> PLACE_SHIFT == place &&
                       is_ours(model, sector, word & ((UINT64_C(1) << PLACE_SHIFT) - 1)));
}

/*
 * Guesses.
 */

static void set_guess(struct guesses* guesses, uint64_t order, uint64_t word) {
  guesses->list[0] =
      (struct guess){.order = order, .word = word, .kept = MODEL_SECTOR_MOST, .sole = 1};
  guesses->count = 1;
  guesses->any = 0;
}

static void remove_guess(struct guesses* guesses, unsigned at) {
  memmove(guesses->list + at, guesses->list + at + 1,
          (guesses->count - at - 1) * sizeof(guesses->list[0]));
  guesses->count--;
}

static void add_guess(struct guesses* guesses, const struct change* change, uint64_t word,
                      unsigned kept) {
  if (guesses->count == MODEL_GUESSES) {
    remove_guess(guesses, 0);
    guesses->any = 1;
  }
  guesses->list[guesses->count++] =
      (struct guess){.order = change->order, .word = word, .handle = change->handle, .kept = kept};
}

static struct guess* find_guess(struct guesses* guesses, uint64_t order) {
  for (unsigned i = 0; i < guesses->count; i++) {
    if (guesses->list[i].order == order) {
      return &guesses->list[i];
    }
  }
  return NULL;
}

static void forget_guess(struct guesses* guesses, uint64_t order) {
  struct guess* guess = find_guess(guesses, order);
  if (guess != NULL) {
    remove_guess(guesses, (unsigned)(guess - guesses->list));
  }
}

static void drop_before(struct guesses* guesses, unsigned at) {
  memmove(guesses->list, guesses->list + at, (guesses->count - at) * sizeof(guesses->list[0]));
  guesses->count -= at;
  guesses->any = 0;
}

/* Drops what is older than the newest change up to `order` that had the sector to itself. */
static void drop_older(struct guesses* guesses, uint64_t order) {
  for (unsigned i = guesses->count; i-- > 0;) {
    if (guesses->list[i].order <= order && guesses->list[i].sole) {
      drop_before(guesses, i);
      return;
    }
  }
}

static int is_covered(const struct guess* guess, const struct change* sync) {
  return guess->sole && guess->order <= sync->order &&
         (guess->handle == sync->handle || guess->ended < sync->order);
}

/* The same up to the newest change that the sync covers. */
static void drop_covered(struct guesses* guesses, const struct change* sync) {
  for (unsigned i = guesses->count; i-- > 0;) {
    if (is_covered(&guesses->list[i], sync)) {
      drop_before(guesses, i);
      return;
    }
  }
}

/* Whether these are `count` bytes from a word's place on, if the sector is as the guess says. */
static int is_word_of(const struct guess* guess, unsigned place, const char* bytes, size_t count) {
  size_t begin = place * WORD;
  size_t kept = guess->kept <= begin ? 0 : guess->kept - begin;
  uint64_t word = at_place(guess->word, place);
  if (kept < WORD) {
    memset((char*)&word + kept, 0, WORD - kept);
  }
  return memcmp(bytes, &word, count) == 0;
}

/* What nearly every sector is looked at by. */
static int is_whole_sector_of(uint64_t word, const char* bytes, size_t count) {
  const uint64_t* words = (const uint64_t*)(const void*)bytes;
  uint64_t step = word == 0 ? 0 : UINT64_C(1) << PLACE_SHIFT;
  uint64_t differs = 0;
  for (unsigned place = 0; place < count / WORD; place++, word += step) {
    differs |= words[place] ^ word;
  }
  return differs == 0;
}

static int is_sector_of(const struct guess* guess, const char* bytes, size_t count) {
  if (guess->kept == MODEL_SECTOR_MOST && count % WORD == 0) {
    return is_whole_sector_of(guess->word, bytes, count);
  }
  for (unsigned place = 0; place * WORD < count; place++) {
    size_t left = count - place * WORD;
    if (!is_word_of(guess, place, bytes + place * WORD, left < WORD ? left : WORD)) {
      return 0;
    }
  }
  return 1;
}

static int is_guessed(const struct guesses* guesses, const char* bytes, size_t count) {
  for (unsigned i = guesses->count; i-- > 0;) {
    if (is_sector_of(&guesses->list[i], bytes, count)) {
      return 1;
    }
  }
  return 0;
}

static int has_cut(const struct guesses* guesses) {
  for (unsigned i = 0; i < guesses->count; i++) {
    if (guesses->list[i].kept < MODEL_SECTOR_MOST) {
      return 1;
    }
  }
  return 0;
}

/*
 * Files.
 */

void model_init(struct model* model, unsigned number, unsigned sector, unsigned count,
                int ordered) {
  assert(number < 1u << (ORDER_SHIFT - FILE_SHIFT) && count <= MODEL_SECTORS_MOST);
  assert(sector % MODEL_SECTOR == 0 && sector <= MODEL_SECTOR_MOST);
  memset(model, 0, sizeof(*model));
  model->number = number;
  model->ordered = ordered;
  model->sector = sector;
  model->count = count;
  model->sectors = calloc(count, sizeof(*model->sectors));
  if (model->sectors == NULL) {
    abort();
  }
  model_reset(model, 0);
}

void model_free(struct model* model) {
  free(model->sectors);
  model->sectors = NULL;
}

static void reset_sectors(struct model* model) {
  memset(model->sectors, 0, model->count * sizeof(*model->sectors));
  for (unsigned i = 0; i < model->count; i++) {
    set_guess(&model->sectors[i].now, 0, 0);
    set_guess(&model->sectors[i].disk, 0, 0);
    model->sectors[i].settled_at = model->clock;
  }
}

void model_reset(struct model* model, int exists) {
  struct model old = *model;
  if (old.reset_at != 0 && old.reset_at == old.clock) {
    model->exists = exists;
    return; /* nothing has begun since */
  }
  memset(model, 0, sizeof(*model));
  model->number = old.number;
  model->ordered = old.ordered;
  model->sectors = old.sectors;
  model->sector = old.sector;
  model->count = old.count;
  model->exists = exists;
  model->clock = old.clock + 1;
  model->size_known = 1;
  model->size_at = model->clock;
  model->reset_at = model->clock;
  reset_sectors(model);
}

/* The sector that begins there or, in any case, the end. */
static uint64_t sector_at(const struct model* model, uint64_t offset) {
  uint64_t sector = offset / model->sector;
  return sector < model->count ? sector : model->count;
}

/*
 * Sectors.
 */

/* Behind the truncates that are at work: nothing is behind another handle's. */
static int is_ordered(const struct model* model, const struct change* change) {
  unsigned others = 0;
  for (unsigned i = 0; i < MODEL_HANDLES; i++) {
    others += i != change->handle ? model->truncates[i] : 0;
  }
  return model->ordered && others == 0;
}

static void sector_begins(const struct model* model, struct sector* sector,
                          const struct change* change, uint64_t word, unsigned kept) {
  int ordered = is_ordered(model, change);
  int is_first = sector->changes == (ordered ? sector->truncates : 0);
  int may_be_cut_later = sector->changes > 0 && !ordered;
  add_guess(&sector->now, change, word, kept);
  add_guess(&sector->disk, change, word, kept);
  sector->sole = is_first ? change->order : 0;
  sector->changes++;
  sector->truncates += change->op == UVDIO_OP_TRUNCATE;
  sector->cut |= kept < MODEL_SECTOR_MOST;
  sector->ragged |= sector->cut && (sector->now.any || may_be_cut_later);
}

/* The change is what is there now. */
static void settle(const struct model* model, struct sector* sector, uint64_t order, int durable) {
  struct guess* guess;
  if (sector->ragged || sector->cut) {
    sector->whole_at = model->clock;
  }
  sector->ragged = 0;
  find_guess(&sector->now, order)->sole = 1;
  drop_older(&sector->now, order);
  sector->cut = has_cut(&sector->now);
  sector->settled_at = model->clock;
  guess = find_guess(&sector->disk, order);
  guess->sole = durable || order > model->failed_at;
  guess->ended = model->clock;
  if (durable) {
    drop_older(&sector->disk, order);
  }
}

static void sector_ends(const struct model* model, struct sector* sector,
                        const struct change* change, enum model_end how) {
  int is_sole = sector->sole == change->order;
  assert(sector->changes > 0);
  sector->changes--;
  sector->truncates -= change->op == UVDIO_OP_TRUNCATE;
  if (is_sole) {
    sector->sole = 0;
  }
  if (how == MODEL_UNTOUCHED) {
    forget_guess(&sector->now, change->order);
    forget_guess(&sector->disk, change->order);
    sector->cut = has_cut(&sector->now);
  } else if (is_sole && how != MODEL_UNSURE) {
    settle(model, sector, change->order, how == MODEL_DURABLE);
  }
}

/* Of what is there for certain a part stays, and is known; else nobody can tell. */
static void cut_begins(const struct model* model, struct sector* sector,
                       const struct change* change) {
  struct guess last = sector->now.list[sector->now.count - 1];
  unsigned kept = (unsigned)(change->end % model->sector);
  sector->ragged |= sector->changes > 0 || sector->now.count > 1 || sector->now.any;
  sector->ragged_disk = 1;
  sector->whole_at = change->order;
  sector_begins(model, sector, change, last.word, kept < last.kept ? kept : last.kept);
}

static void cut_ends(const struct model* model, struct sector* sector, const struct change* change,
                     enum model_end how) {
  int ragged = sector->ragged;
  sector_ends(model, sector, change, how);
  sector->ragged = ragged;
}

/*
 * Sizes.
 */

static void resize_begins(struct model* model, struct change* change, int truncates) {
  change->resizes = 1;
  change->due_was = model->size_due;
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
  if (truncates || change->end > model->size_due) {
    model->size_due = change->end;
  }
}

static void note_end(struct model* model, const struct change* change, enum model_end how) {
  model->doubtful |= how == MODEL_UNSURE;
  if (how != MODEL_UNTOUCHED && change->end > model->grown) {
    model->grown = change->end;
  } else if (how == MODEL_UNTOUCHED && change->op == UVDIO_OP_TRUNCATE) {
    model->truncating = 0;
  }
}

static void resize_ends(struct model* model, const struct change* change, enum model_end how) {
  assert(model->resizing > 0);
  model->resizing--;
  model->size_at = ++model->clock;
  note_end(model, change, how);
  if (model->resizing > 0) {
    return;
  }
  if (model->doubtful) {
    model->size_known = 0;
  } else if (model->truncating || model->grown > model->size) {
    model->size_known |= model->truncating;
    model->size = model->grown;
  }
  if (model->size_known) {
    model->size_due = model->size;
  } else if (how == MODEL_UNTOUCHED) {
    model->size_due = change->due_was;
  }
}

int64_t model_expected_size(const struct model* model, const struct change* look) {
  int certain = model->size_known && model->resizing == 0 && model->size_at < look->order;
  return certain ? (int64_t)model->size : -1;
}

static uint64_t part_below(const struct change* read, uint64_t size) {
  uint64_t there = read->begin < size ? size - read->begin : 0;
  return there < read->end - read->begin ? there : read->end - read->begin;
}

int64_t model_expected_read(const struct model* model, const struct change* read) {
  int64_t size = model_expected_size(model, read);
  return size < 0 ? -1 : (int64_t)part_below(read, (uint64_t)size);
}

uint64_t model_due(const struct model* model, const struct change* read) {
  return part_below(read, model->size_due);
}

void model_learn_size(struct model* model, uint64_t size) {
  assert(model->resizing + model->writing == 0);
  model->size_known = 1;
  model->size = size;
  model->size_due = size;
  model->size_at = ++model->clock;
}

void model_doubt_size(struct model* model) {
  model->size_known = 0;
  model->size_at = ++model->clock;
}

/*
 * Operations.
 */

static void write_begins(struct model* model, struct change* change) {
  if (change->end > change->begin && !(change->size_was_known && change->end <= model->size)) {
    resize_begins(model, change, 0);
  } else {
    model->writing++;
  }
  for (uint64_t i = sector_at(model, change->begin); i < sector_at(model, change->end); i++) {
    sector_begins(model, &model->sectors[i], change, word_of(model, change->order, i),
                  MODEL_SECTOR_MOST);
  }
}

static void write_ends(struct model* model, const struct change* change, enum model_end how) {
  model->clock++;
  for (uint64_t i = sector_at(model, change->begin); i < sector_at(model, change->end); i++) {
    sector_ends(model, &model->sectors[i], change, how);
  }
  if (change->resizes) {
    resize_ends(model, change, how);
  } else {
    assert(model->writing > 0);
    model->writing--;
  }
  if (how == MODEL_DURABLE && change->end > change->begin) {
    model->entry_durable = 1;
    if (change->size_was_known && model->last_truncate < change->order &&
        change->end > model->floor) {
      model->floor = change->end;
    }
  }
}

/* The first sector that a truncate makes zeros as a whole; the one before it is cut within, where
 * the new size is no multiple. */
static uint64_t first_zeros(const struct model* model, const struct change* change) {
  return sector_at(model, change->end + (change->end % model->sector != 0 ? model->sector : 0));
}

static int cuts_within(const struct model* model, const struct change* change) {
  return change->end % model->sector != 0 && sector_at(model, change->end) < model->count;
}

static void truncate_begins(struct model* model, struct change* change) {
  resize_begins(model, change, 1);
  model->truncates[change->handle]++;
  model->last_truncate = change->order;
  if (change->end < model->floor) {
    model->floor = change->end;
  }
  for (uint64_t i = first_zeros(model, change); i < model->count; i++) {
    sector_begins(model, &model->sectors[i], change, 0, MODEL_SECTOR_MOST);
  }
  if (cuts_within(model, change)) {
    cut_begins(model, &model->sectors[sector_at(model, change->end)], change);
  }
}

static void truncate_ends(struct model* model, const struct change* change, enum model_end how) {
  assert(model->truncates[change->handle] > 0);
  model->truncates[change->handle]--;
  model->clock++;
  for (uint64_t i = first_zeros(model, change); i < model->count; i++) {
    sector_ends(model, &model->sectors[i], change, how);
  }
  if (cuts_within(model, change)) {
    cut_ends(model, &model->sectors[sector_at(model, change->end)], change, how);
  }
  resize_ends(model, change, how);
}

/* Zeros, up to where the file ends: a write of zeros that never makes it longer. */
static void zeros_begin(struct model* model, const struct change* change) {
  for (uint64_t i = sector_at(model, change->begin); i < sector_at(model, change->end); i++) {
    sector_begins(model, &model->sectors[i], change, 0, MODEL_SECTOR_MOST);
  }
}

static void zeros_end(struct model* model, const struct change* change, enum model_end how) {
  model->clock++;
  for (uint64_t i = sector_at(model, change->begin); i < sector_at(model, change->end); i++) {
    sector_ends(model, &model->sectors[i], change, how);
  }
}

static void sync_succeeds(struct model* model, const struct change* change) {
  model->entry_durable = 1;
  for (unsigned i = 0; i < model->count; i++) {
    if (model->sectors[i].disk.count > 1) {
      drop_covered(&model->sectors[i].disk, change);
    }
  }
  if (change->size_was_known && model->last_truncate < change->order) {
    model->floor = change->size_was;
  }
}

void model_sync_fails(struct model* model) {
  model->failed_at = model->clock;
  for (unsigned i = 0; i < model->count; i++) {
    struct guesses* disk = &model->sectors[i].disk;
    for (unsigned k = disk->any ? 0 : 1; k < disk->count; k++) {
      disk->list[k].sole = 0;
    }
  }
}

static void fill(const struct model* model, const struct change* write, void* bytes) {
  uint64_t* words = bytes;
  for (uint64_t at = write->begin; at < write->end; at += model->sector) {
    uint64_t word = word_of(model, write->order, at / model->sector);
    for (unsigned place = 0; place < model->sector / WORD; place++) {
      *words++ = at_place(word, place);
    }
  }
}

void model_begins(struct model* model, struct change* change, const struct operation* operation,
                  void* bytes) {
  int empties = operation->op == UVDIO_OP_OPEN && (operation->flags & UVDIO_O_TRUNCATE) != 0;
  memset(change, 0, sizeof(*change));
  change->op = empties ? UVDIO_OP_TRUNCATE : operation->op;
  change->size_was_known = model->size_known && model->resizing == 0;
  change->size_was = model->size;
  change->order = ++model->clock;
  change->handle = operation->handle;
  change->end = operation->offset + operation->length;
  change->begin = change->op == UVDIO_OP_TRUNCATE ? change->end : operation->offset;
  switch (facts_of(change->op)->effect) {
    case EFFECT_WRITE:
      write_begins(model, change);
      fill(model, change, bytes);
      break;
    case EFFECT_TRUNCATE:
      truncate_begins(model, change);
      break;
    case EFFECT_PREALLOCATE:
      if ((operation->flags & UVDIO_SPACE_KEEP_SIZE) == 0) {
        resize_begins(model, change, 0);
      }
      break;
    case EFFECT_ZEROS:
      zeros_begin(model, change);
      break;
    case EFFECT_NONE:
    case EFFECT_OPEN:
    case EFFECT_CLOSE:
    case EFFECT_READ:
    case EFFECT_SYNC:
    case EFFECT_SIZE:
    case EFFECT_STAT:
    case EFFECT_LOOK:
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      break;
  }
}

static void sync_ends(struct model* model, const struct change* change, enum model_end how) {
  if (how == MODEL_UNSURE) {
    model_sync_fails(model);
  } else if (how != MODEL_UNTOUCHED) {
    sync_succeeds(model, change);
  }
}

void model_ends(struct model* model, const struct change* change, enum model_end how) {
  switch (facts_of(change->op)->effect) {
    case EFFECT_WRITE:
      write_ends(model, change, how);
      break;
    case EFFECT_TRUNCATE:
      truncate_ends(model, change, how);
      break;
    case EFFECT_PREALLOCATE:
      if (change->resizes) {
        resize_ends(model, change, how);
      }
      break;
    case EFFECT_ZEROS:
      zeros_end(model, change, how);
      break;
    case EFFECT_SYNC:
      sync_ends(model, change, how);
      break;
    case EFFECT_NONE:
    case EFFECT_OPEN:
    case EFFECT_CLOSE:
    case EFFECT_READ:
    case EFFECT_SIZE:
    case EFFECT_STAT:
    case EFFECT_LOOK:
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      break;
  }
}

/*
 * Looking.
 */

/* The word that fills the sector, if it is a whole one. */
static struct guess whole_of(const char* bytes) {
  struct guess whole = {.kept = MODEL_SECTOR_MOST};
  memcpy(&whole.word, bytes, sizeof(whole.word));
  return whole;
}

/* Whether each word is of one of the guesses or, if older ones will do, of any write. */
static int is_mixed_of(const struct model* model, uint64_t number, const char* bytes, size_t count,
                       int older) {
  const struct guesses* now = &model->sectors[number].now;
  for (unsigned place = 0; place * WORD + WORD <= count; place++) {
    uint64_t word;
    unsigned i = 0;
    memcpy(&word, bytes + place * WORD, sizeof(word));
    while (i < now->count && !is_word_of(&now->list[i], place, bytes + place * WORD, WORD)) {
      i++;
    }
    if (i == now->count && !(older && is_ours_at(model, number, word, place))) {
      return 0;
    }
  }
  return 1;
}

static const char* check_sector(const struct model* model, uint64_t number, const char* bytes,
                                size_t count, uint64_t since, int strict) {
  const struct sector* about = &model->sectors[number];
  int settled = about->settled_at <= since;
  int older = about->now.any || !settled;
  if (about->ragged || is_guessed(&about->now, bytes, count) || about->whole_at > since ||
      (older && count < WORD)) {
    return NULL;
  }
  struct guess whole = whole_of(bytes);
  if (is_sector_of(&whole, bytes, count)) {
    return older && is_ours(model, number, whole.word) ? NULL : "a sector holds what it can't hold";
  }
  if (strict || (about->now.count == 1 && settled)) {
    return "a sector is mixed";
  }
  return is_mixed_of(model, number, bytes, count, older)
             ? NULL
             : "a sector is mixed of what it can't hold";
}

const char* model_check_read(const struct model* model, const struct change* read,
                             const void* bytes, uint64_t got, int strict, uint64_t* where) {
  const char* wrong = NULL;
  uint64_t at = 0;
  for (; at < got && wrong == NULL; at += model->sector) {
    uint64_t sector = sector_at(model, read->begin + at);
    uint64_t count = got - at < model->sector ? got - at : model->sector;
    *where = read->begin + at;
    if (sector < model->count) {
      wrong =
          check_sector(model, sector, (const char*)bytes + at, (size_t)count, read->order, strict);
    }
  }
  return wrong;
}

/* Whether all of the sector has been data since the operation began. */
static int is_data(const struct model* model, uint64_t number, const struct change* look) {
  const struct sector* sector = &model->sectors[number];
  const struct guesses* now = &sector->now;
  return sector->changes == 0 && !sector->ragged && sector->settled_at < look->order &&
         now->count == 1 && !now->any && now->list[0].word != 0 &&
         now->list[0].kept == MODEL_SECTOR_MOST;
}

const char* model_check_next(const struct model* model, const struct change* look, int64_t result) {
  int64_t size = model_expected_size(model, look);
  uint64_t first = sector_at(model, look->begin + model->sector - 1);
  uint64_t end = result == UV_ENXIO ? model->count : sector_at(model, (uint64_t)result);
  if (result >= 0 && (uint64_t)result < look->begin) {
    return "an extent before the place to look from";
  }
  if (size >= 0 && (result == UV_ENXIO) < (look->begin >= (uint64_t)size)) {
    return "an extent past the end";
  }
  if (look->op == UVDIO_OP_NEXT_HOLE) {
    if (size >= 0 && result > size) {
      return "a hole past the end";
    }
    if (size >= 0 && result == UV_ENXIO && look->begin < (uint64_t)size) {
      return "no hole at the end";
    }
    return result >= 0 && end < model->count && size > result && is_data(model, end, look)
               ? "data is called a hole"
               : NULL;
  }
  for (uint64_t i = first; i < end && size >= 0 && i < sector_at(model, (uint64_t)size); i++) {
    if (is_data(model, i, look)) {
      return "data was overlooked";
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
    model_reset(model, 0);
    return wrong;
  }
  if ((uint64_t)size < model->floor) {
    return "the file is shorter than what was made durable";
  }
  if ((uint64_t)size > model->ceiling) {
    return "the file is longer than it ever was";
  }
  model->exists = 1;
  model->entry_durable = 1;
  model->floor = (uint64_t)size;
  model->ceiling = (uint64_t)size;
  model->last_truncate = 0;
  model_learn_size(model, (uint64_t)size);
  return NULL;
}

const char* model_recover_sector(struct model* model, uint64_t number, const void* bytes) {
  struct sector* sector = &model->sectors[number];
  struct guess whole = whole_of(bytes);
  const char* wrong = NULL;
  int past = number * model->sector >= model->size;
  int ends_here = !past && model->size - number * model->sector < model->sector;
  int uniform = past || is_sector_of(&whole, bytes, model->sector);
  assert(sector->changes == 0);
  if (!past && !ends_here && !sector->ragged_disk) {
    if (!uniform) {
      wrong = "a sector was torn";
    } else if (!is_guessed(&sector->disk, bytes, model->sector) &&
               !(sector->disk.any && is_ours(model, number, whole.word))) {
      wrong = "a sector holds what was overwritten durably, or never written";
    }
  }
  sector->ragged = ends_here || !uniform;
  sector->ragged_disk = sector->ragged;
  sector->cut = 0;
  set_guess(&sector->now, 0, past ? 0 : whole.word);
  set_guess(&sector->disk, 0, past ? 0 : whole.word);
  sector->settled_at = ++model->clock;
  return wrong;
}
