/* SPDX-License-Identifier: MIT */
/*
 * What is at the places of names (model_names.h): found by the system, in a world from outside, or
 * by opens in memory; and compared with what has to be there.
 */
#ifndef UVDIO_TEST_NAMES_FOUND_H
#define UVDIO_TEST_NAMES_FOUND_H

#include "model_names.h"

#define NAMES_MIXED UINT64_MAX

/* The path of a place, or that of a directory where the place is NAMES_PLACES. */
void names_path(const struct model_names* names, unsigned directory, unsigned place, char* path,
                size_t size);

/* Whether the bytes are a page full of one word. `word`: the one that is there beside zeros, 0, or
 * NAMES_MIXED. */
int names_page_word(const char* bytes, size_t length, uint64_t* word);

/* Whether the system finds the handle's file at a place. */
int names_is_at(const struct model_names* names, const struct names_handle* handle, unsigned place);

/* Whether the system finds anything at a place. */
int names_is_there(const struct model_names* names, unsigned place);

/* Nothing is under way: what is found is what has to be there. */
void names_compare(struct model_names* names);

/* After a crash or a power cut: what is found may be there, and is what is there from now on. */
void names_resolve(struct model_names* names);

#endif /* UVDIO_TEST_NAMES_FOUND_H */
