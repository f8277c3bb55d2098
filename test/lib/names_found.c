/* SPDX-License-Identifier: MIT */
#include "names_found.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

#define PAGE UVDIO_PAGE_SIZE
#define PATH_SIZE (NAMES_PREFIX_MAX + 32)

enum kind { IS_NOTHING, IS_FILE, IS_DIRECTORY };

struct found {
  enum kind kind[NAMES_PLACES];
  uint64_t word[NAMES_PLACES];
  int is_whole[NAMES_PLACES];
  uint64_t inode[NAMES_PLACES]; /* 0: unknown */
};

void names_path(const struct model_names* names, unsigned directory, unsigned place, char* path,
                size_t size) {
  if (place == NAMES_PLACES) {
    snprintf(path, size, "%s-%c", names->prefix, 'a' + (int)directory);
  } else {
    snprintf(path, size, "%s-%c/%u", names->prefix, 'a' + (int)(place / NAMES_EACH),
             place % NAMES_EACH);
  }
}

int names_page_word(const char* bytes, size_t length, uint64_t* word) {
  int is_whole = length == PAGE;
  *word = 0;
  for (size_t at = 0; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
    uint64_t one;
    memcpy(&one, bytes + at, sizeof(one));
    is_whole &= one != 0;
    if (one != 0 && *word != 0 && one != *word) {
      *word = NAMES_MIXED;
      return 0;
    }
    *word = one != 0 ? one : *word;
  }
  return is_whole;
}

static void complain(struct model_names* names, const char* what, unsigned place,
                     const struct found* found) {
  static const char* const kinds[] = {"nothing", "a file", "a directory"};
  if (names->wrong[0] == '\0') {
    snprintf(names->wrong, sizeof(names->wrong),
             "%s, at place %u is %s with %" PRIx64 " (whole: %d); there has to be %d", what, place,
             kinds[found->kind[place]], found->word[place], found->is_whole[place],
             names->now.at[place]);
  }
}

/*
 * Looking.
 */

static void look_by_system(const char* path, unsigned place, struct found* found) {
  char page[PAGE];
  struct system_entry entry = system_look_at(path);
  if (!entry.is_there) {
    return;
  }
  found->kind[place] = entry.is_directory ? IS_DIRECTORY : IS_FILE;
  found->inode[place] = entry.inode;
  int64_t got = entry.is_directory ? -1 : system_read(path, page, sizeof(page));
  if (got >= 0) {
    found->is_whole[place] = names_page_word(page, (size_t)got, &found->word[place]);
  }
}

static int is_directory(const struct model_names* names, const char* path) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  int code = uvdio_open(names->engine, &file, &req, path, UVDIO_O_DIRECTORY, 0, NULL);
  return code == 0 && uvdio_close(&file, &req, NULL) == 0;
}

static void look_into_the_world(const struct model_names* names, const char* path, unsigned place,
                                struct found* found) {
  char page[PAGE];
  int64_t size = uvdio_sim_size(names->sim, path, 0);
  int64_t got = size < 0 ? 0 : uvdio_sim_peek(names->sim, path, 0, page, sizeof(page), 0);
  if (size >= 0) {
    found->kind[place] = IS_FILE;
    found->is_whole[place] = names_page_word(page, (size_t)got, &found->word[place]);
  } else if (is_directory(names, path)) {
    found->kind[place] = IS_DIRECTORY;
  }
}

static void look_by_library(const struct model_names* names, const char* path, unsigned place,
                            struct found* found) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t page;
  if (uvdio_open(names->engine, &file, &req, path, UVDIO_OPEN_READ, 0, NULL) != 0) {
    found->kind[place] = is_directory(names, path) ? IS_DIRECTORY : IS_NOTHING;
    return;
  }
  found->kind[place] = IS_FILE;
  if (uvdio_buf_page(&page) == 0 && uvdio_read(&file, &req, &page, 0, NULL) == 0) {
    found->is_whole[place] = names_page_word(page.base, page.len, &found->word[place]);
  }
  (void)uvdio_buf_release(&page);
  if (uvdio_close(&file, &req, NULL) != 0) {
    abort();
  }
}

static struct found look(const struct model_names* names) {
  struct found found = {{IS_NOTHING}, {0}, {0}, {0}};
  char path[PATH_SIZE];
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    names_path(names, 0, place, path, sizeof(path));
    if (names->is_real) {
      look_by_system(path, place, &found);
    } else if (names->sim != NULL) {
      look_into_the_world(names, path, place, &found);
    } else {
      look_by_library(names, path, place, &found);
    }
  }
  return found;
}

int names_is_at(const struct model_names* names, const struct names_handle* handle,
                unsigned place) {
  char path[PATH_SIZE];
  uvdio_file_info_t info = {0};
  names_path(names, 0, place, path, sizeof(path));
  struct system_entry entry = system_look_at(path);
  return entry.is_there && uvdio_file_info(&handle->file, &info) == 0 && info.inode == entry.inode;
}

int names_is_there(const struct model_names* names, unsigned place) {
  char path[PATH_SIZE];
  names_path(names, 0, place, path, sizeof(path));
  return system_look_at(path).is_there;
}

/*
 * Comparing.
 */

static enum kind kind_of(uint8_t value) {
  return value == NAMES_NOTHING ? IS_NOTHING : value == NAMES_A_DIRECTORY ? IS_DIRECTORY : IS_FILE;
}

static int is_content(const struct model_names* names, const struct found* found, unsigned place,
                      uint8_t value, int was_cut) {
  const struct names_file* file = &names->files[value];
  int has_all = was_cut ? file->is_synced : file->is_written;
  return (found->word[place] == 0 || found->word[place] == file->word) &&
         (!has_all || found->is_whole[place] || names->is_blurred);
}

/* Two places lead to one file, or not. */
static int is_told_apart(const struct found* found, const struct names_table* table, unsigned one,
                         unsigned other) {
  int are_files = found->kind[one] == IS_FILE && found->kind[other] == IS_FILE;
  return !are_files || found->inode[one] == 0 || found->inode[other] == 0 ||
         (found->inode[one] == found->inode[other]) == (table->at[one] == table->at[other]);
}

/* The first place where something else has to be; NAMES_PLACES: none. */
static unsigned first_difference(const struct model_names* names, const struct found* found,
                                 const struct names_table* table, int was_cut) {
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    uint8_t value = table->at[place];
    int is_so = found->kind[place] == kind_of(value) &&
                (found->kind[place] != IS_FILE || is_content(names, found, place, value, was_cut));
    for (unsigned other = 0; other < place; other++) {
      is_so &= is_told_apart(found, table, other, place);
    }
    if (!is_so) {
      return place;
    }
  }
  return NAMES_PLACES;
}

/* Nothing but the places is there. */
static void compare_entries(struct model_names* names, unsigned directory) {
  char path[PATH_SIZE];
  names_path(names, directory, NAMES_PLACES, path, sizeof(path));
  DIR* entries = opendir(path);
  const struct dirent* entry;
  while (entries != NULL && (entry = readdir(entries)) != NULL) {
    int is_own = entry->d_name[0] == '.' ||
                 (entry->d_name[0] >= '0' && entry->d_name[0] < '0' + (int)NAMES_EACH &&
                  entry->d_name[1] == '\0');
    if (!is_own && names->wrong[0] == '\0') {
      snprintf(names->wrong, sizeof(names->wrong), "a name that nobody made: %.100s",
               entry->d_name);
    }
  }
  if (entries != NULL) {
    (void)closedir(entries);
  }
}

void names_compare(struct model_names* names) {
  struct found found = look(names);
  unsigned place = first_difference(names, &found, &names->now, 0);
  if (place < NAMES_PLACES) {
    complain(names, "where nothing is under way", place, &found);
  }
  for (unsigned i = 0; names->is_real && i < NAMES_DIRECTORIES; i++) {
    compare_entries(names, i);
  }
  names->compared += NAMES_PLACES;
}

/*
 * After a crash or a cut.
 */

struct after_cut {
  const struct model_names* names;
  const struct found* found;
};

static int is_possible(void* data, const struct names_table* table) {
  const struct after_cut* cut = data;
  return first_difference(cut->names, cut->found, table, 1) == NAMES_PLACES;
}

static void poke(struct model_names* names, unsigned place, uint64_t word) {
  uint64_t page[PAGE / sizeof(uint64_t)];
  char path[PATH_SIZE];
  for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++) {
    page[i] = word;
  }
  names_path(names, 0, place, path, sizeof(path));
  if (uvdio_sim_poke(names->sim, path, page, PAGE, 0) != 0) {
    abort();
  }
}

/* Which places lead to one file is seen where one of them gets new bytes. Everything is durable
 * anyway. */
static void tell_apart(struct model_names* names, struct found* found) {
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    if (found->kind[place] != IS_FILE || found->inode[place] != 0) {
      continue;
    }
    poke(names, place, ++names->words << 8);
    struct found then = look(names);
    for (unsigned other = place; other < NAMES_PLACES; other++) {
      if (then.word[other] == then.word[place]) {
        found->inode[other] = place + 1;
      }
    }
  }
}

/* From now on each file has its bytes, durably. */
static void write_files(struct model_names* names) {
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    uint8_t value = names->now.at[place];
    if (kind_of(value) == IS_FILE) {
      poke(names, place, names->files[value].word);
      names->files[value].is_written = 1;
      names->files[value].is_synced = 1;
      names->files[value].may_be_named = 0;
    }
  }
}

static void resolve_cut(struct model_names* names) {
  struct found found = look(names);
  struct after_cut cut = {names, &found};
  for (unsigned i = 0; i < names->maybe_count; i++) {
    names_disk_add(&names->disk, names->maybe[i]);
  }
  tell_apart(names, &found);
  if (!names_disk_recover(&names->disk, is_possible, &cut)) {
    unsigned place = first_difference(names, &found, &names->now, 1);
    complain(names, "after a power cut that nothing explains", place % NAMES_PLACES, &found);
    return;
  }
  names->now = names->disk.table;
  write_files(names);
}

/* Any change makes something of nothing somewhere, or nothing of something. */
static int has_come_true(const struct model_names* names, const struct found* found,
                         const struct names_table* then) {
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    enum kind kind = kind_of(then->at[place]);
    if (kind != kind_of(names->now.at[place])) {
      return found->kind[place] == kind;
    }
  }
  return 0;
}

static void resolve_crash(struct model_names* names) {
  struct found found = look(names);
  for (unsigned i = 0; i < names->maybe_count; i++) {
    struct names_table then = names->now;
    names_apply(&then, &names->maybe[i]);
    if (has_come_true(names, &found, &then)) {
      names->now = then;
      names_disk_add(&names->disk, names->maybe[i]);
      if (kind_of(names->maybe[i].value) == IS_FILE) {
        names->files[names->maybe[i].value].may_be_named = 0; /* It may be its first one. */
      }
    }
  }
  unsigned place = first_difference(names, &found, &names->now, 0);
  if (place < NAMES_PLACES) {
    complain(names, "after a crash", place, &found);
  }
}

void names_resolve(struct model_names* names) {
  if (names->doubt == NAMES_CUT) {
    resolve_cut(names);
  } else {
    resolve_crash(names);
  }
  names->maybe_count = 0;
  names->doubt = NAMES_KNOWN;
  names->compared += NAMES_PLACES;
}
