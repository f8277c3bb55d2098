/* SPDX-License-Identifier: MIT */
/* The table of faults_calls.h, for those who ask by the call. */
#include "faults.h"

#define ERRORS_MAX 32

struct errors {
  const char* name;
  int list[ERRORS_MAX]; /* ended by 0 */
};

#define ROW(name, text, ...) [CALL_##name] = {text, {__VA_ARGS__}},
static const struct errors table[CALLS] = {FAULT_CALL_MAP(ROW)};
#undef ROW

const int* fault_errors(enum fault_call call) {
  return table[call].list;
}

const char* fault_call_name(enum fault_call call) {
  return table[call].name;
}
