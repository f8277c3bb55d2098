/* SPDX-License-Identifier: MIT */
/*
 * Arenas whose memory the ring knows by number: what the library says of that, and frames that are
 * used. Where it says that there is no such ring, the kernel is asked whether that can be.
 */
#ifndef UVDIO_TEST_REGISTERED_H
#define UVDIO_TEST_REGISTERED_H

#include "fixture.h"

/* As fixture_open, with an engine that registers nothing by itself. */
int fixture_open_manual(void** state);

/* What an engine has registered of an arena; the fixture's engine, of the fixture's arena. */
uvdio_registration_t registration_with(const uvdio_engine_t* engine, const uvdio_arena_t* arena);
uvdio_registration_t registration_of(const struct fixture* f);

/* Whether the file's transfers go to a ring that registers; and what skips the test where they
 * don't. The fixture has an arena. */
int is_on_ring(const struct fixture* f);
void skip_without_ring(const struct fixture* f);

/* The arena's next frame. */
uvdio_buf_t frame_of(struct fixture* f);

/* Reads into a frame, so that the ring knows of the arena. */
void use_a_frame(struct fixture* f);

/* Destroys the arena, all of whose frames are back. */
void leave_arena(struct fixture* f);

#endif /* UVDIO_TEST_REGISTERED_H */
