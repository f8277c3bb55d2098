/* SPDX-License-Identifier: MIT */
/*
 * Records as bytes (record.h). The log has checked what it replays: a record that can't be read was
 * written by something else.
 */
#include "record.h"

#include <string.h>

struct head {
  uint32_t changes;
  uint32_t images;
};

/* In front of an image. */
struct image_head {
  uint64_t number;
};

static unsigned page_of(const struct store_change* change) {
  return (unsigned)(change->cell / STORE_PAGE_CELLS);
}

static unsigned find_page(const struct store_record* record, uint64_t number) {
  unsigned i = 0;
  while (i < record->page_count && record->pages[i] != number) {
    i++;
  }
  return i;
}

int store_record_set(struct store_record* record, const struct store_change* changes,
                     unsigned count, unsigned table_pages) {
  if (count == 0 || count > STORE_CHANGES_MAX) {
    return UV_EINVAL;
  }
  *record = (struct store_record){.count = count};
  memcpy(record->changes, changes, count * sizeof(*changes));
  for (unsigned i = 0; i < count; i++) {
    if (changes[i].cell / STORE_PAGE_CELLS >= table_pages) {
      return UV_EINVAL;
    }
    if (find_page(record, page_of(&changes[i])) == record->page_count) {
      record->pages[record->page_count++] = page_of(&changes[i]);
    }
  }
  return 0;
}

static unsigned count_images(const struct store_record* record) {
  unsigned count = 0;
  for (unsigned i = 0; i < record->page_count; i++) {
    count += record->images[i] != NULL;
  }
  return count;
}

static size_t size_of(const struct head* head) {
  return sizeof(*head) + head->changes * sizeof(struct store_change) +
         head->images * (sizeof(struct image_head) + UVDIO_PAGE_SIZE);
}

size_t store_record_size(const struct store_record* record) {
  struct head head = {record->count, count_images(record)};
  return size_of(&head);
}

void store_record_write(const struct store_record* record, char* bytes) {
  struct head head = {record->count, count_images(record)};
  memcpy(bytes, &head, sizeof(head));
  bytes += sizeof(head);
  memcpy(bytes, record->changes, record->count * sizeof(record->changes[0]));
  bytes += record->count * sizeof(record->changes[0]);
  for (unsigned i = 0; i < record->page_count; i++) {
    struct image_head image = {record->pages[i]};
    if (record->images[i] != NULL) {
      memcpy(bytes, &image, sizeof(image));
      memcpy(bytes + sizeof(image), record->images[i], UVDIO_PAGE_SIZE);
      bytes += sizeof(image) + UVDIO_PAGE_SIZE;
    }
  }
}

int store_record_read(struct store_record* record, const char* bytes, size_t length,
                      unsigned table_pages) {
  struct store_change changes[STORE_CHANGES_MAX];
  struct head head;
  if (length < sizeof(head)) {
    return UVDIO_EDAMAGED;
  }
  memcpy(&head, bytes, sizeof(head));
  if (head.changes > STORE_CHANGES_MAX || head.images > STORE_CHANGES_MAX ||
      length != size_of(&head)) {
    return UVDIO_EDAMAGED;
  }
  memcpy(changes, bytes + sizeof(head), head.changes * sizeof(changes[0]));
  if (store_record_set(record, changes, head.changes, table_pages) != 0) {
    return UVDIO_EDAMAGED;
  }
  bytes += sizeof(head) + head.changes * sizeof(changes[0]);
  for (unsigned i = 0; i < head.images; i++) {
    struct image_head image;
    memcpy(&image, bytes, sizeof(image));
    unsigned place = find_page(record, image.number);
    if (place == record->page_count) {
      return UVDIO_EDAMAGED;
    }
    record->images[place] = bytes + sizeof(image);
    bytes += sizeof(image) + UVDIO_PAGE_SIZE;
  }
  return 0;
}

void store_record_apply(const struct store_record* record, unsigned number,
                        struct store_page* page) {
  for (unsigned i = 0; i < record->count; i++) {
    if (page_of(&record->changes[i]) == number) {
      int64_t* cell = &page->cells[record->changes[i].cell % STORE_PAGE_CELLS];
      *cell = (int64_t)((uint64_t)*cell + (uint64_t)record->changes[i].delta); /* may wrap */
    }
  }
}
