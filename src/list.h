/* SPDX-License-Identifier: MIT */
/*
 * Intrusive lists of requests: circular, the list being the link between its last and its first.
 * Inline, because every operation passes four of them.
 */
#ifndef UVDIO_LIST_H
#define UVDIO_LIST_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "uvdio.h"

/* A request is on one list at most, and its state_ tells on which. */
typedef uvdio_link_t_ uvdio__list_t;

static inline void uvdio__list_init(uvdio__list_t* list) {
  list->next = list;
  list->prev = list;
}

static inline int uvdio__list_is_empty(const uvdio__list_t* list) {
  return list->next == list;
}

static inline void uvdio__link_insert(uvdio_link_t_* link, uvdio_link_t_* before) {
  uvdio_link_t_* after = before->prev;

  assert(after->next == before);
  link->next = before;
  link->prev = after;
  after->next = link;
  before->prev = link;
}

static inline void uvdio__link_remove(const uvdio_link_t_* link) {
  assert(link->next->prev == link && link->prev->next == link);
  link->prev->next = link->next;
  link->next->prev = link->prev;
}

static inline uvdio_req_t* uvdio__link_req(const uvdio__list_t* list, const uvdio_link_t_* link) {
  return link == list ? NULL : (uvdio_req_t*)((uintptr_t)link - offsetof(uvdio_req_t, link_));
}

static inline void uvdio__list_append(uvdio__list_t* list, uvdio_req_t* req) {
  uvdio__link_insert(&req->link_, list);
}

static inline void uvdio__list_prepend(uvdio__list_t* list, uvdio_req_t* req) {
  uvdio__link_insert(&req->link_, list->next);
}

static inline void uvdio__list_remove(const uvdio_req_t* req) {
  uvdio__link_remove(&req->link_);
}

/* Of a list that is not empty. */
static inline uvdio_req_t* uvdio__list_take(uvdio__list_t* list) {
  uvdio_link_t_* first = list->next;

  assert(first != list);
  uvdio__link_remove(first);
  return (uvdio_req_t*)((uintptr_t)first - offsetof(uvdio_req_t, link_));
}

/* Null where there is none. */
static inline uvdio_req_t* uvdio__list_first(const uvdio__list_t* list) {
  return uvdio__link_req(list, list->next);
}

static inline uvdio_req_t* uvdio__list_last(const uvdio__list_t* list) {
  return uvdio__link_req(list, list->prev);
}

static inline uvdio_req_t* uvdio__list_after(const uvdio__list_t* list, const uvdio_req_t* req) {
  return uvdio__link_req(list, req->link_.next);
}

static inline uvdio_req_t* uvdio__list_before(const uvdio__list_t* list, const uvdio_req_t* req) {
  return uvdio__link_req(list, req->link_.prev);
}

static inline uvdio_req_t* uvdio__list_shift(uvdio__list_t* list) {
  uvdio_req_t* first = uvdio__list_first(list);

  if (first != NULL) {
    uvdio__list_remove(first);
  }
  return first;
}

#endif /* UVDIO_LIST_H */
