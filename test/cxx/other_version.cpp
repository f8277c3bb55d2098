/* SPDX-License-Identifier: MIT */
/*
 * A part of test_cxx in the other version of C++: one program has both.
 */
#include <uvdio.hpp>

bool refuse_in_other_version(uv_loop_t* loop, std::error_code* error);

/* An engine that can't be made; returns whether one was made all the same. */
bool refuse_in_other_version(uv_loop_t* loop, std::error_code* error) {
  uvdio_engine_options_t options{};
  options.depth = UVDIO_DEPTH_MAX + 1;
  auto made = uvdio::engine::create(loop, options);
  *error = made.has_value() ? std::error_code() : made.error();
  return made.has_value();
}
