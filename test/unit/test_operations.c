/* SPDX-License-Identifier: MIT */
/* What a row of the generator's table has to tell, so that the programs that go through all rows
 * leave out none. */
#include "check.h"
#include "generator.h"

static void every_row_has_an_effect(void** state) {
  (void)state;
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    assert_in_range(facts_of(op)->effect, EFFECT_NONE, EFFECT_FRAMES);
    assert_int_equal(facts_of(op)->effect == EFFECT_NAMES, op_is(op, UVDIO_OP_KIND_NAME));
    assert_int_equal(facts_of(op)->effect == EFFECT_FRAMES, op_is(op, UVDIO_OP_KIND_FRAMES));
    assert_int_equal(facts_of(op)->effect == EFFECT_SYNC, op_is(op, UVDIO_OP_KIND_SYNC));
  }
}

/* Files are opened and closed by the harnesses themselves, play_names() does what is on names, and
 * what is for frames has no file. */
static int is_chosen(uvdio_op_t op, enum harness harness) {
  switch (facts_of(op)->effect) {
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      return 0;
    case EFFECT_OPEN:
      return harness == BY_MODEL;
    case EFFECT_CLOSE:
      return harness != BY_FSX;
    default:
      return 1;
  }
}

static void every_harness_chooses_every_operation(void** state) {
  (void)state;
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    for (enum harness harness = BY_MODEL; harness < HARNESSES; harness++) {
      assert_int_equal(facts_of(op)->weights[harness] > 0, is_chosen(op, harness));
    }
  }
}

static void table_of_a_harness_has_operations_and_its_own_actions(void** state) {
  (void)state;
  static const struct weight own[] = {{UVDIO_OP_COUNT, 7}, {UVDIO_OP_COUNT + 1, 0}};
  const struct weight* table = weights_of(BY_FSX, own);
  unsigned operations = 0;
  while (table[operations].action < UVDIO_OP_COUNT) {
    unsigned action = table[operations].action;
    assert_int_equal(table[operations].weight, facts_of((uvdio_op_t)action)->weights[BY_FSX]);
    operations++;
  }
  assert_true(operations > 0);
  assert_memory_equal(&table[operations], own, sizeof(own));
}

/* Else its errors would not be injected, and nothing would say so. */
static void every_operation_but_an_open_has_another_call(void** state) {
  (void)state;
  for (uvdio_op_t op = UVDIO_OP_READ; op < UVDIO_OP_COUNT; op++) {
    if (!op_is(op, UVDIO_OP_KIND_FRAMES)) { /* which the system knows nothing of */
      assert_in_range(facts_of(op)->call, CALL_OPEN + 1, CALLS - 1);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_has_an_effect),
      cmocka_unit_test(every_harness_chooses_every_operation),
      cmocka_unit_test(table_of_a_harness_has_operations_and_its_own_actions),
      cmocka_unit_test(every_operation_but_an_open_has_another_call),
  };
  return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}
