/* SPDX-License-Identifier: MIT */
/*
 * The window at which a device reads no faster: found on devices that are formulas.
 */
#include "check.h"
#include "random.h"
#include "stream/knee.h"

#define LEAST 16u
#define MOST 128u

struct device {
  unsigned knee;  /* blocks in flight that keep it busy */
  double penalty; /* a block's time grows by this share for each in flight beyond */
  double noise;   /* of a block's time, at most */
};

static uvdio__knee_t knee;

static double time_of_block(const struct device* device, unsigned window) {
  double flight = window < device->knee ? (double)device->knee / window : 1;
  unsigned beyond = window > device->knee ? window - device->knee : 0;
  return 1000 * flight * (1 + device->penalty * beyond);
}

/* Takes a hundred thousand blocks, for each of which the stream waits or not. Returns the time of
 * the later half, of which the first ones are to be learnt from. */
static double time_of_reading(const struct device* device, unsigned* window, int has_waited) {
  struct random random = {.state = 5};
  double now_ns = 0;
  double middle_ns = 0;
  for (unsigned i = 0; i < 100000; i++) {
    double noise = device->noise * ((double)random_below(&random, 2001) / 1000 - 1);
    now_ns += time_of_block(device, *window) * (1 + noise);
    if (uvdio__knee_count(&knee, *window, has_waited)) {
      *window = uvdio__knee_judge(&knee, (uint64_t)now_ns);
      assert_in_range(*window, LEAST, MOST);
    }
    middle_ns = i == 50000 ? now_ns : middle_ns;
  }
  return (now_ns - middle_ns) / 50000;
}

/* From either side, on quiet and on noisy devices: within 3 % of the best window's time. */
static void knee_is_found(void** state) {
  static const unsigned knees[] = {1, 16, 32, 64, 128, 1000};
  static const unsigned begins[] = {LEAST, 64, MOST};
  (void)state;
  for (unsigned i = 0; i < COUNT_OF(knees) * COUNT_OF(begins) * 4; i++) {
    struct device device = {.knee = knees[i / 4 % COUNT_OF(knees)],
                            .penalty = (i & 1) != 0 ? 0.002 : 0,
                            .noise = (i & 2) != 0 ? 0.3 : 0};
    unsigned best = device.knee < LEAST ? LEAST : device.knee;
    unsigned window = begins[i / 4 / COUNT_OF(knees)];
    uvdio__knee_init(&knee, LEAST, MOST);
    double took = time_of_reading(&device, &window, 1);
    assert_true(took < 1.03 * time_of_block(&device, best < MOST ? best : MOST));
  }
}

/* Where more in flight brings nothing, no more is in flight, but for the trials. */
static void window_that_brings_nothing_is_left(void** state) {
  struct device device = {.knee = LEAST};
  unsigned window = MOST;
  (void)state;
  uvdio__knee_init(&knee, LEAST, MOST);
  (void)time_of_reading(&device, &window, 1);
  assert_in_range(window, LEAST, 2 * LEAST);
}

/* A consumer that is slower than the device tells nothing of it. */
static void consumer_without_waits_changes_nothing(void** state) {
  struct device device = {.knee = MOST};
  unsigned window = 32;
  (void)state;
  uvdio__knee_init(&knee, LEAST, MOST);
  (void)time_of_reading(&device, &window, 0);
  assert_int_equal(window, 32);
}

/* Counts until the next judgement, at which so much time has gone by. */
static unsigned judge_after(unsigned window, uint64_t* now_ns, uint64_t block_ns) {
  unsigned count = 1;
  while (!uvdio__knee_count(&knee, window, 1)) {
    count++;
  }
  *now_ns += count * block_ns;
  return uvdio__knee_judge(&knee, *now_ns);
}

/* A trial is compared with the time before it; another window begins all anew. */
static void change_from_elsewhere_ends_the_trial(void** state) {
  uint64_t now_ns = 0;
  (void)state;
  uvdio__knee_init(&knee, LEAST, MOST);
  assert_int_equal(judge_after(16, &now_ns, 5), 16);    /* settled */
  assert_int_equal(judge_after(16, &now_ns, 1000), 32); /* measured: the trial begins */
  assert_int_equal(judge_after(20, &now_ns, 5), 20);
  assert_int_equal(judge_after(20, &now_ns, 2000), 40); /* it is not the other one's end */
  assert_int_equal(judge_after(40, &now_ns, 5), 40);
  assert_int_equal(judge_after(40, &now_ns, 1950), 20); /* by less than 5 % */
  assert_int_equal(judge_after(20, &now_ns, 5), 20);
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(judge_after(20, &now_ns, 2000), 20); /* a pause */
  }
  assert_int_equal(judge_after(20, &now_ns, 2000), 16); /* then the other way */
  assert_int_equal(uvdio__knee_forget(&knee, 16), 20);  /* the trial is taken back */
  assert_int_equal(uvdio__knee_forget(&knee, 20), 20);
  assert_int_equal(judge_after(40, &now_ns, 5), 40);
  assert_int_equal(judge_after(40, &now_ns, 2000), 20);
  assert_int_equal(uvdio__knee_forget(&knee, 24), 24); /* somebody else's window */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knee_is_found),
      cmocka_unit_test(window_that_brings_nothing_is_left),
      cmocka_unit_test(consumer_without_waits_changes_nothing),
      cmocka_unit_test(change_from_elsewhere_ends_the_trial),
  };
  return cmocka_run_group_tests_name("knee", tests, NULL, NULL);
}
