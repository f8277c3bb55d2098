/* SPDX-License-Identifier: MIT */
/*
 * What a file must hold, as far as that can be told: pages that one change at a time has touched.
 * What changes that overlapped in time have left is unknown, and is not compared.
 */
#ifndef UVDIO_TEST_FUZZ_SHADOW_H
#define UVDIO_TEST_FUZZ_SHADOW_H

#include <stdint.h>

#define SHADOW_PAGES 64u
#define SHADOW_PAGE 4096u

struct shadow_page {
  unsigned busy;    /* changes in flight that may touch it */
  uint64_t touched; /* when the last one began or ended */
  int is_unknown;
  uint8_t value; /* of every byte; meaningless where unknown */
};

struct shadow {
  int exists;
  unsigned size_busy;
  uint64_t size_touched;
  int is_size_unknown;
  uint64_t size;
  struct shadow_page pages[SHADOW_PAGES];
};

/* A change, or a look, from its submission to its callback. */
struct shadow_span {
  struct shadow* file;
  unsigned first; /* pages */
  unsigned end;
  int touches_size;
  int is_alone; /* so far */
  uint64_t began;
};

/* Everything is forgotten: no file is there. */
void shadow_reset(struct shadow* file);

/* A change begins; a read begins. `bytes` are rounded to pages; what lies past the last page has no
 * shadow. */
struct shadow_span shadow_change(struct shadow* file, uint64_t offset, uint64_t bytes,
                                 int touches_size);
struct shadow_span shadow_look(struct shadow* file, uint64_t offset, uint64_t bytes);

/* It ended: as a write of `value` up to `end`; as a change to the size (`may_shrink` 0:
 * preallocation); without having begun; or nobody knows how. */
void shadow_written(struct shadow_span* span, uint8_t value, uint64_t end);
void shadow_resized(struct shadow_span* span, uint64_t size, int may_shrink);
void shadow_untouched(struct shadow_span* span);
void shadow_lost(struct shadow_span* span);

/* Whether a look saw what the shadow knows: `got` bytes at `offset` of a file of which `asked` were
 * asked for. */
int shadow_agrees(const struct shadow_span* look, const uint8_t* bytes, uint64_t offset,
                  uint64_t got, uint64_t asked);

/* The size, or -1 where nobody can tell what a look that began there has to see. */
int64_t shadow_size(const struct shadow_span* look);

#endif /* UVDIO_TEST_FUZZ_SHADOW_H */
