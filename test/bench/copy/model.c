/* SPDX-License-Identifier: MIT */
/*
 * The names of the programs that copy.
 */
#include "copy/model.h"

static const char* const target_names[COPY_TARGET_COUNT] = {
    [COPY_RING] = "ring", [COPY_POOL] = "pool", [COPY_DD] = "dd", [COPY_CP] = "cp"};

const char* copy_target_text(copy_target_t target) {
  return target_names[target];
}
