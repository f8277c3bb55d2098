/* SPDX-License-Identifier: MIT */
/*
 * Circular lists whose links are within what they hold: adding and removing allocate nothing. The
 * head is a link as well, and an empty list's head points to itself.
 */
#ifndef HTTPD_LIST_H
#define HTTPD_LIST_H

#include <stddef.h>

typedef struct httpd_link_s {
  struct httpd_link_s* next;
  struct httpd_link_s* prev;
} httpd_link_t;

#define HTTPD_OF(link, type, member) ((type*)(void*)((char*)(void*)(link)-offsetof(type, member)))

static inline void httpd_list_init(httpd_link_t* head) {
  head->next = head;
  head->prev = head;
}

static inline int httpd_list_is_empty(const httpd_link_t* head) {
  return head->next == head;
}

static inline void httpd_list_append(httpd_link_t* head, httpd_link_t* link) {
  link->next = head;
  link->prev = head->prev;
  head->prev->next = link;
  head->prev = link;
}

/* A link that was removed, or set up by httpd_list_init(), may be removed again. */
static inline void httpd_list_remove(httpd_link_t* link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  httpd_list_init(link);
}

#endif
