/* SPDX-License-Identifier: MIT */
/*
 * A buffer pool that misses some pages: pages that follow each other in the file come by one
 * request, into frames of an arena that need not lie side by side.
 */
#include <stdio.h>
#include <string.h>
#include <uvdio.h>

#define PAGES 64u

typedef struct {
  uvdio_file_t file;
  uvdio_arena_t* arena;
  uvdio_buf_t table[PAGES]; /* frames by page; base is null where a page is not there */
  unsigned requests;
  int failed;
} pager_t;

/* A run of pages that is on its way. */
typedef struct {
  uvdio_req_t req;
  pager_t* pager;
  unsigned first;
} run_t;

static void on_run(uvdio_req_t* req, ssize_t result, uvdio_buf_t* frames, unsigned count) {
  run_t* run = req->data;
  for (unsigned i = 0; i < count; i++) {
    run->pager->table[run->first + i] = frames[i];
  }
  if (result < 0) {
    run->pager->failed = (int)result;
  }
}

/* What is refused stays the caller's. */
static int load_run(pager_t* pager, run_t* run, unsigned first, unsigned count) {
  uvdio_buf_t frames[PAGES];
  unsigned got = 0;
  int error = 0;
  while (got < count && (error = uvdio_arena_acquire(pager->arena, &frames[got])) == 0) {
    got++;
  }
  run->pager = pager;
  run->first = first;
  run->req.data = run;
  if (error == 0) {
    error = uvdio_readv_exact(&pager->file, &run->req, frames, count,
                              (uint64_t)first * UVDIO_PAGE_SIZE, on_run);
  }
  for (unsigned i = 0; error != 0 && i < got; i++) {
    (void)uvdio_buf_release(&frames[i]);
  }
  pager->requests += error == 0;
  return error;
}

/* `wanted` is in order. */
static int load(pager_t* pager, run_t* runs, const unsigned* wanted, unsigned count) {
  unsigned begin = 0;
  for (unsigned i = 1; i <= count; i++) {
    if (i == count || wanted[i] != wanted[i - 1] + 1) {
      int error = load_run(pager, &runs[pager->requests], wanted[begin], i - begin);
      if (error != 0) {
        return error;
      }
      begin = i;
    }
  }
  return 0;
}

/* Each page begins with its number. */
static int make_file(uvdio_engine_t* engine, pager_t* pager, const char* path) {
  uvdio_req_t req;
  uvdio_buf_t page;
  memset(&req, 0, sizeof(req));
  int error = uvdio_open(engine, &pager->file, &req, path,
                         UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, NULL);
  for (unsigned i = 0; error == 0 && i < PAGES; i++) {
    error = uvdio_buf_page(&page);
    if (error == 0) {
      memcpy(page.base, &i, sizeof(i));
      error = uvdio_write(&pager->file, &req, &page, (uint64_t)i * UVDIO_PAGE_SIZE, NULL);
      (void)uvdio_buf_release(&page);
    }
  }
  return error;
}

static int holds(const pager_t* pager, unsigned page) {
  unsigned number = PAGES;
  if (pager->table[page].base != NULL) {
    memcpy(&number, pager->table[page].base, sizeof(number));
  }
  return number == page;
}

int main(void) {
  static const unsigned wanted[] = {3, 4, 5, 9, 20, 21, 22, 23};
  const unsigned count = sizeof(wanted) / sizeof(wanted[0]);
  static pager_t pager;
  static run_t runs[PAGES];
  uvdio_arena_options_t frames = {.frame_size = UVDIO_PAGE_SIZE, .frame_count = PAGES};
  uvdio_engine_t* engine;
  int error = uvdio_engine_create(&engine, uv_default_loop(), NULL);
  if (error == 0) {
    error = uvdio_arena_create(&pager.arena, &frames);
  }
  if (error == 0) {
    error = make_file(engine, &pager, "pager.example");
  }
  if (error == 0) {
    error = load(&pager, runs, wanted, count);
  }
  if (error != 0) {
    fprintf(stderr, "pager: %s\n", uvdio_strerror(error));
    return 1;
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  unsigned loaded = 0;
  for (unsigned i = 0; i < count; i++) {
    loaded += (unsigned)holds(&pager, wanted[i]);
    (void)uvdio_buf_release(&pager.table[wanted[i]]);
  }
  (void)uvdio_engine_close(engine, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)uvdio_arena_destroy(pager.arena, NULL);
  (void)remove("pager.example");
  printf("%u of %u pages by %u requests\n", loaded, count, pager.requests);
  return loaded == count && pager.failed == 0 ? 0 : 1;
}
