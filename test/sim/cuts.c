/* SPDX-License-Identifier: MIT */
/*
 * Runs the log of log.h through simulated power cuts and crashes and checks what it finds
 * afterwards.
 *
 *   log_cuts [--flaw none|no_sync|no_checksum|no_chain|no_recovery_sync|no_cut_off|no_wait] [--cuts
 *   N] [--seed N]
 *            [--trace]
 *
 * A world lives through CUTS_PER_WORLD cuts; each world's seed is the one before plus one. A sound
 * log survives all cuts. A flawed one has to be caught, and once more by the seed alone: exit
 * status 0 means that all was as it should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log.h"
#include "uvdio/sim.h"

#define CUTS_PER_WORLD 10u
#define RECORDS_MAX 4096u
#define APPENDS_MAX 24u

static const char* const flaw_names[LOG_FLAWS] = {
    "none", "no_sync", "no_checksum", "no_chain", "no_recovery_sync", "no_cut_off", "no_wait"};

/* What the log has been told and has told. Records are numbers: the content follows from them. */
struct witness {
  uvdio_sim_t* sim;
  uint64_t records[RECORDS_MAX];
  uint64_t appended;
  uint64_t durable;    /* acknowledged, or found by an earlier recovery */
  uint64_t recovered;  /* by the recovery under way */
  char complaint[160]; /* the first thing that was wrong */
};

struct run {
  enum log_flaw flaw;
  int trace;
  uv_loop_t loop;
  uvdio_sim_t* sim;
  struct witness witness;
  uint64_t cuts;
  uint64_t kept; /* records that recovery found beyond what was acknowledged */
};

static void complain(struct witness* witness, const char* what, uint64_t number) {
  if (witness->complaint[0] == '\0') {
    snprintf(witness->complaint, sizeof(witness->complaint), "record %" PRIu64 " %s", number, what);
  }
}

/* The same call makes a record and checks it. */
static size_t make_record(uint64_t seed, char bytes[LOG_RECORD_MAX]) {
  size_t length = 8 + (size_t)(seed % (LOG_RECORD_MAX - 8));
  for (size_t i = 0; i < length; i++) {
    bytes[i] = (char)((seed >> i % 8 * 8) + i);
  }
  return length;
}

static void on_record(struct log* log, uint64_t number, const void* data, size_t length) {
  struct witness* witness = log->data;
  char expected[LOG_RECORD_MAX];
  witness->recovered++;
  if (number >= witness->appended) {
    complain(witness, "was found and never appended", number);
    return;
  }
  if (length != make_record(witness->records[number], expected) ||
      memcmp(data, expected, length) != 0) {
    complain(witness, "is not what was appended", number);
  }
}

static void on_durable(struct log* log, uint64_t count) {
  struct witness* witness = log->data;
  if (count > witness->durable) {
    witness->durable = count;
  }
}

static int wait_for_the_dead(struct log* log) {
  struct witness* witness = log->data;
  int64_t landed = uvdio_sim_settle(witness->sim);
  return landed < 0 ? (int)landed : 0;
}

/* What was found is promised from now on; the rest was never acknowledged, and is forgotten. */
static void judge(struct run* run) {
  struct witness* witness = &run->witness;
  if (witness->recovered < witness->durable) {
    complain(witness, "was acknowledged and is gone", witness->recovered);
  }
  run->kept += witness->recovered - witness->durable;
  witness->appended = witness->recovered;
  witness->durable = witness->recovered;
}

static void append_one(struct run* run, struct log* log) {
  struct witness* witness = &run->witness;
  char bytes[LOG_RECORD_MAX];
  if (witness->appended == RECORDS_MAX) {
    return;
  }
  uint64_t record = uvdio_sim_random(run->sim, UINT64_MAX);
  witness->records[witness->appended++] = record;
  (void)log_append(log, bytes, make_record(record, bytes));
}

/* Appends and commits for a while. The cut comes wherever that leaves the log. */
static void work(struct run* run, struct log* log) {
  uint64_t appends = uvdio_sim_random(run->sim, APPENDS_MAX);
  for (uint64_t i = 0; i < appends; i++) {
    append_one(run, log);
    if (uvdio_sim_random(run->sim, 4) == 0) {
      (void)log_commit(log);
    }
    for (uint64_t turns = uvdio_sim_random(run->sim, 4); turns > 0; turns--) {
      (void)uv_run(&run->loop, UV_RUN_NOWAIT);
    }
  }
}

static uvdio_sim_cut_t pick_cut(uvdio_sim_t* sim) {
  static const uvdio_sim_cut_t cuts[] = {UVDIO_SIM_CUT_SEEDED, UVDIO_SIM_CUT_SEEDED,
                                         UVDIO_SIM_CUT_NOTHING, UVDIO_SIM_CUT_CRASH};
  return cuts[uvdio_sim_random(sim, 4)];
}

/* From one start of the program to the next power cut or crash. */
static int live_once(struct run* run) {
  struct log log = {.data = &run->witness,
                    .flaw = run->flaw,
                    .on_durable = on_durable,
                    .wait = wait_for_the_dead};
  uvdio_engine_t* engine;
  int error = uvdio_sim_engine_create(&engine, &run->loop, run->sim, NULL);
  if (error != 0) {
    return error;
  }
  run->witness.recovered = 0;
  error = log_open(&log, engine, "log", on_record);
  judge(run);
  if (error == 0 && run->witness.complaint[0] == '\0') {
    work(run, &log);
  }
  if (error == 0) {
    error = uvdio_sim_power_cut(run->sim, pick_cut(run->sim));
  }
  run->cuts++;
  (void)uvdio_engine_close(engine, NULL);
  (void)uv_run(&run->loop, UV_RUN_DEFAULT);
  return error;
}

static void print_line(void* data, const char* line) {
  (void)data;
  puts(line);
}

/* Parts of transfers, interruptions: nothing that a program would notice. */
static int add_harmless_faults(uvdio_sim_t* sim) {
  uvdio_fault_rule_t shorter = {.ppm = 100000, .fault.kind = UVDIO_FAULT_SHORT};
  uvdio_fault_rule_t interrupted = {
      .ppm = 20000, .fault.kind = UVDIO_FAULT_ERROR, .fault.error = UV_EINTR};
  uvdio_fault_rule_t later = {.ppm = 20000, .fault.kind = UVDIO_FAULT_DELAY, .fault.steps = 30};
  interrupted.op = UVDIO_OP_SYNC_DATA;
  int error = uvdio_sim_add_rule(sim, &shorter);
  error = error != 0 ? error : uvdio_sim_add_rule(sim, &interrupted);
  return error != 0 ? error : uvdio_sim_add_rule(sim, &later);
}

/* One world, up to `cuts` cuts. Returns its digest; the witness has the complaint, if there is
 * one. */
static uint64_t live(struct run* run, uint64_t seed, uint64_t cuts) {
  uvdio_sim_options_t options = {.seed = seed, .on_trace = run->trace ? print_line : NULL};
  memset(&run->witness, 0, sizeof(run->witness));
  int error = uvdio_sim_create(&run->sim, &options);
  run->witness.sim = run->sim;
  if (error == 0) {
    error = add_harmless_faults(run->sim);
  }
  for (uint64_t i = 0; i < cuts && error == 0 && run->witness.complaint[0] == '\0'; i++) {
    error = live_once(run);
  }
  uint64_t digest = uvdio_sim_digest(run->sim);
  int left = uvdio_sim_destroy(run->sim);
  if (error != 0 || left != 0) {
    fprintf(stderr, "seed %" PRIu64 ": %s\n", seed, uvdio_strerror(error != 0 ? error : left));
    exit(2);
  }
  return digest;
}

/* Returns 0 where the seed alone leads to the same complaint. */
static int replay(struct run* run, uint64_t seed, uint64_t digest) {
  char complaint[sizeof(run->witness.complaint)];
  memcpy(complaint, run->witness.complaint, sizeof(complaint));
  printf("caught: seed %" PRIu64 ": %s\n", seed, complaint);
  printf("replay: log_cuts --flaw %s --seed %" PRIu64 " --cuts %u --trace\n", flaw_names[run->flaw],
         seed, CUTS_PER_WORLD);
  return live(run, seed, CUTS_PER_WORLD) != digest ||
         strcmp(complaint, run->witness.complaint) != 0;
}

static int run_worlds(struct run* run, uint64_t seed, uint64_t cuts) {
  while (run->cuts < cuts) {
    uint64_t left = cuts - run->cuts;
    uint64_t digest = live(run, seed, left < CUTS_PER_WORLD ? left : CUTS_PER_WORLD);
    if (run->witness.complaint[0] != '\0') {
      int differs = replay(run, seed, digest);
      if (differs) {
        puts("the seed alone leads somewhere else");
      }
      return run->flaw == LOG_SOUND || differs;
    }
    seed++;
  }
  printf("%s: %" PRIu64 " power cuts survived; %" PRIu64
         " records came through that nobody had been promised\n",
         flaw_names[run->flaw], run->cuts, run->kept);
  print_figure(run->cuts, "power cuts");
  return run->flaw != LOG_SOUND;
}

static int read_flaw(const char* name, enum log_flaw* flaw) {
  for (int i = 0; i < LOG_FLAWS; i++) {
    if (strcmp(name, flaw_names[i]) == 0) {
      *flaw = (enum log_flaw)i;
      return 0;
    }
  }
  return -1;
}

static int read_arguments(int argc, char** argv, struct run* run, uint64_t* seed, uint64_t* cuts) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--trace") == 0) {
      run->trace = 1;
    } else if (i + 1 == argc) {
      return -1;
    } else if (strcmp(argv[i], "--seed") == 0) {
      *seed = strtoull(argv[++i], NULL, 0);
    } else if (strcmp(argv[i], "--cuts") == 0) {
      *cuts = strtoull(argv[++i], NULL, 0);
    } else if (strcmp(argv[i], "--flaw") != 0 || read_flaw(argv[++i], &run->flaw) != 0) {
      return -1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  static struct run run;
  uint64_t seed = 1;
  uint64_t cuts = 10000;
  if (read_arguments(argc, argv, &run, &seed, &cuts) != 0) {
    fprintf(stderr, "usage: log_cuts [--flaw NAME] [--cuts N] [--seed N] [--trace]\n");
    return 2;
  }
  if (uv_loop_init(&run.loop) != 0) {
    return 2;
  }
  int failed = run_worlds(&run, seed, cuts);
  failed |= uv_loop_close(&run.loop) != 0 || uvdio_allocations() != 0;
  return failed;
}
