/* SPDX-License-Identifier: MIT */
#include "shadow.h"

#include <string.h>

#include "input.h"

static uint64_t clock_now;

void shadow_reset(struct shadow* file) {
  memset(file, 0, sizeof(*file));
}

static unsigned page_of(uint64_t offset, int up) {
  uint64_t page = offset / SHADOW_PAGE + (up && offset % SHADOW_PAGE != 0);
  return page < SHADOW_PAGES ? (unsigned)page : SHADOW_PAGES;
}

static struct shadow_span span_of(struct shadow* file, uint64_t offset, uint64_t bytes) {
  struct shadow_span span = {
      .file = file, .first = page_of(offset, 0), .end = page_of(offset + bytes, 1)};
  span.is_alone = 1;
  span.began = ++clock_now;
  return span;
}

struct shadow_span shadow_change(struct shadow* file, uint64_t offset, uint64_t bytes,
                                 int touches_size) {
  struct shadow_span span = span_of(file, offset, bytes);
  span.touches_size = touches_size;
  for (unsigned i = span.first; i < span.end; i++) {
    file->pages[i].busy++;
    file->pages[i].touched = span.began;
  }
  if (touches_size) {
    file->size_busy++;
    file->size_touched = span.began;
  }
  return span;
}

struct shadow_span shadow_look(struct shadow* file, uint64_t offset, uint64_t bytes) {
  struct shadow_span span = span_of(file, offset, bytes);
  for (unsigned i = span.first; i < span.end; i++) {
    span.is_alone &= file->pages[i].busy == 0;
  }
  span.touches_size = file->size_busy > 0; /* then its size is nothing to go by */
  return span;
}

/* Whether nothing else began or ended on the page while the span was under way. */
static int was_alone_on(const struct shadow_span* span, const struct shadow_page* page) {
  return page->busy == 1 && page->touched == span->began;
}

static int was_alone_on_size(const struct shadow_span* span) {
  return span->file->size_busy == 1 && span->file->size_touched == span->began;
}

static void end_page(struct shadow_page* page) {
  REQUIRE(page->busy > 0);
  page->busy--;
  page->touched = clock_now;
}

static void end_size(struct shadow_span* span) {
  struct shadow* file = span->file;
  if (span->touches_size) {
    REQUIRE(file->size_busy > 0);
    file->size_busy--;
    file->size_touched = clock_now;
  }
}

static void set_page(struct shadow_page* page, int is_known, uint8_t value) {
  page->is_unknown = !is_known;
  page->value = value;
}

void shadow_written(struct shadow_span* span, uint8_t value, uint64_t end) {
  struct shadow* file = span->file;
  int alone = was_alone_on_size(span);
  ++clock_now;
  for (unsigned i = span->first; i < span->end; i++) {
    set_page(&file->pages[i], was_alone_on(span, &file->pages[i]), value);
    end_page(&file->pages[i]);
  }
  if (!alone) {
    file->is_size_unknown = 1;
  } else if (end > file->size) {
    file->size = end;
  }
  end_size(span);
}

/* Pages that the new size cuts off, or that were beyond the old one, hold zeros from now on. */
void shadow_resized(struct shadow_span* span, uint64_t size, int may_shrink) {
  struct shadow* file = span->file;
  int alone = was_alone_on_size(span);
  uint64_t after = may_shrink || size > file->size ? size : file->size;
  ++clock_now;
  for (unsigned i = span->first; i < span->end; i++) {
    struct shadow_page* page = &file->pages[i];
    uint64_t begin = (uint64_t)i * SHADOW_PAGE;
    if (!alone || !was_alone_on(span, page) ||
        (may_shrink && begin < size && size < begin + SHADOW_PAGE)) {
      page->is_unknown = 1;
    } else if (may_shrink && begin >= size) {
      set_page(page, 1, 0);
    }
    end_page(page);
  }
  file->is_size_unknown = alone ? (may_shrink ? 0 : file->is_size_unknown) : 1;
  file->size = after;
  end_size(span);
}

void shadow_untouched(struct shadow_span* span) {
  ++clock_now;
  for (unsigned i = span->first; i < span->end; i++) {
    end_page(&span->file->pages[i]);
  }
  end_size(span);
}

void shadow_lost(struct shadow_span* span) {
  for (unsigned i = span->first; i < span->end; i++) {
    span->file->pages[i].is_unknown = 1;
  }
  span->file->is_size_unknown |= span->touches_size;
  shadow_untouched(span);
}

int64_t shadow_size(const struct shadow_span* look) {
  const struct shadow* file = look->file;
  int is_stable = !look->touches_size && file->size_busy == 0 && file->size_touched < look->began;
  return is_stable && !file->is_size_unknown ? (int64_t)file->size : -1;
}

static int is_full_of(const uint8_t* bytes, uint64_t count, uint8_t value) {
  for (uint64_t i = 0; i < count; i++) {
    if (bytes[i] != value) {
      return 0;
    }
  }
  return 1;
}

int shadow_agrees(const struct shadow_span* look, const uint8_t* bytes, uint64_t offset,
                  uint64_t got, uint64_t asked) {
  int64_t size = shadow_size(look);
  if (size >= 0) {
    uint64_t there = (uint64_t)size > offset ? (uint64_t)size - offset : 0;
    if (got != (there < asked ? there : asked)) {
      return 0;
    }
  }
  for (unsigned i = look->first; i < look->end && size >= 0; i++) {
    const struct shadow_page* page = &look->file->pages[i];
    uint64_t at = (uint64_t)i * SHADOW_PAGE - offset;
    uint64_t count = at >= got ? 0 : got - at < SHADOW_PAGE ? got - at : SHADOW_PAGE;
    int is_stable =
        look->is_alone && page->busy == 0 && page->touched < look->began && !page->is_unknown;
    if (is_stable && !is_full_of(bytes + at, count, page->value)) {
      return 0;
    }
  }
  return 1;
}
