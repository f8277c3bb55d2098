/* SPDX-License-Identifier: MIT */
/*
 * Lists that an element joins at the front and leaves from any place. A list is a pointer to the
 * first link, null where there is none; an element has a link for each list that it can be in.
 */
#ifndef UVDIO_NODE_LIST_H
#define UVDIO_NODE_LIST_H

#include <stddef.h>

typedef struct link_s link_t;

struct link_s {
  link_t* next;
  link_t** place; /* what points to this one: the list, or `next` of the one before */
};

/* The element that a link is a member of; the link is not null. */
#define LINK_OWNER(link, type, member) ((type*)(void*)((char*)(link)-offsetof(type, member)))

static inline void list_join(link_t** list, link_t* link) {
  link->next = *list;
  link->place = list;
  if (link->next != NULL) {
    link->next->place = &link->next;
  }
  *list = link;
}

static inline void list_leave(link_t* link) {
  if (link->next != NULL) {
    link->next->place = link->place;
  }
  *link->place = link->next;
}

#endif /* UVDIO_NODE_LIST_H */
