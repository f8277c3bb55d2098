/* SPDX-License-Identifier: MIT */
/*
 * A circular list whose links lie in its members. A link that is in no list leads to itself.
 */
#ifndef KV_LIST_H
#define KV_LIST_H

typedef struct kv_link_s kv_link_t;
struct kv_link_s {
  kv_link_t* next;
  kv_link_t* previous;
};

static inline void kv_list_init(kv_link_t* link) {
  link->next = link;
  link->previous = link;
}

static inline int kv_list_is_empty(const kv_link_t* list) {
  return list->next == list;
}

static inline void kv_list_remove(kv_link_t* link) {
  link->previous->next = link->next;
  link->next->previous = link->previous;
  kv_list_init(link);
}

/* Wherever it is, it becomes the last member of this list. */
static inline void kv_list_move(kv_link_t* list, kv_link_t* link) {
  kv_list_remove(link);
  link->next = list;
  link->previous = list->previous;
  list->previous->next = link;
  list->previous = link;
}

/* All members of `from` become the last ones of this list. */
static inline void kv_list_move_all(kv_link_t* list, kv_link_t* from) {
  while (from->next != from) {
    kv_list_move(list, from->next);
  }
}

#endif /* KV_LIST_H */
