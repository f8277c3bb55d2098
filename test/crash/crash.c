/* SPDX-License-Identifier: MIT */
/*
 * What is promised to be there, is it there after a power cut; and what was done, after a kill?
 * ../README.md, "Power cuts and kills", tells how this works.
 *
 * Prints TAP: a line per kind of work and ending. Exit codes: 0, 1 something was lost, 2 wrong
 * usage, 77 can't run here.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "round.h"

#define SKIPPED 77
#define ROUNDS_DEFAULT 8

static const char usage[] =
    "usage: crash [OPTIONS]\n"
    "  --filesystem P     ext4, xfs or btrfs (ext4)\n"
    "  --backend B   ring, aio or pool (ring)\n"
    "  --work W      log, records, pages, space, names, append, commits or copy (all)\n"
    "  --end E       cut (the power) or kill (the writer) (both)\n"
    "  --seed N      of the first round; each further one takes the next (1)\n"
    "  --rounds N    of each work and end (8)\n"
    "  --uvdio PATH  the command, for copy\n"
    "  --defect D    plants a defect, which must be found:\n"
    "                early       what was only submitted counts as done\n"
    "                wide        a sync counts for what was submitted after it, too\n"
    "                no-dsync    the log, or each record, is written as if it need not be durable\n"
    "                lying-disk  an fsync does nothing, and succeeds\n";

static const struct work* const works[] = {&work_log,   &work_records, &work_pages,  &work_space,
                                           &work_names, &work_append,  &work_commits};
static const char* const endings[ENDINGS] = {"cut", "kill"};
#define COPY "copy"
#define WORKS (sizeof(works) / sizeof(works[0]))

struct options {
  const char* filesystem;
  const char* backend;
  const char* work;
  const char* end;
  const char* uvdio;
  const char* defect;
  uint64_t seed;
  unsigned rounds;
};

/*
 * Rounds.
 */

static void say_replay(const struct options* options, const struct plan* plan, const char* work) {
  printf("# replay: crash --filesystem %s --backend %s --work %s --end %s --seed %" PRIu64
         " --rounds 1",
         options->filesystem, options->backend, work, endings[plan->end], plan->seed);
  printf(plan->uvdio >= 0 ? " --uvdio %s\n" : "%s\n", plan->uvdio >= 0 ? options->uvdio : "");
}

struct tally {
  unsigned rounds;
  uint64_t promised;
  uint64_t pending;
  uint64_t lost;
};

static int run_round(const struct plan* plan, const struct work* work, struct tally* tally,
                     char why[WHY_MAX]) {
  const struct disk_control* disk = plan->stage->disk;
  uint64_t pending = disk->pending, lost = disk->lost;
  int failed = work != NULL ? round_of_work(plan, work, why) : round_of_copy(plan, why);
  tally->rounds++;
  tally->promised += plan->model->acknowledged[plan->end == END_CUT ? DURABLE : VISIBLE];
  tally->pending += disk->pending - pending;
  tally->lost += disk->lost - lost;
  return failed;
}

static void say_tally(const struct plan* plan, const struct tally* tally, uint64_t seed) {
  printf("# seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " %s", seed, plan->seed, tally->promised,
         plan->end == END_CUT ? "acknowledged as durable" : "completed");
  if (plan->end == END_CUT) {
    printf("; of %" PRIu64 " KiB in the disk's cache %" PRIu64 " KiB lost", tally->pending / 1024,
           tally->lost / 1024);
  }
  printf("\nFIGURE %u %s\nFIGURE %" PRIu64 " promises\n", tally->rounds,
         plan->end == END_CUT ? "power cuts" : "kills", tally->promised);
}

/* All rounds of one line. A round that found something is the last one: a planted defect has been
 * found then. */
static int run_case(const struct options* options, struct plan* plan, const struct work* work,
                    unsigned number) {
  const char* name = work != NULL ? work->name : COPY;
  struct tally tally = {0};
  char why[WHY_MAX] = "";
  int failed = 0;
  for (unsigned i = 0; i < options->rounds && !failed; i++) {
    plan->seed = options->seed + i;
    failed = run_round(plan, work, &tally, why);
  }
  if (failed) {
    printf("# seed %" PRIu64 ": %s\n", plan->seed, why);
    say_replay(options, plan, name);
  }
  int ok = options->defect != NULL ? failed : !failed;
  say_tally(plan, &tally, options->seed);
  printf("%s %u - %s, %s, %s on %s%s%s\n", ok ? "ok" : "not ok", number, name, endings[plan->end],
         options->backend, options->filesystem, options->defect != NULL ? ", must be found: " : "",
         options->defect != NULL ? options->defect : "");
  fflush(stdout);
  return ok ? 0 : 1;
}

/* Calls run_case, or only counts, for each case that was asked for. Returns how many (failed). */
static unsigned each_case(const struct options* options, struct plan* plan, int only_count) {
  unsigned number = 0, failed = 0;
  for (int end = 0; end < ENDINGS; end++) {
    for (size_t i = 0; i <= WORKS; i++) {
      const struct work* work = i < WORKS ? works[i] : NULL;
      const char* name = work != NULL ? work->name : COPY;
      int wanted = (options->end == NULL || strcmp(options->end, endings[end]) == 0) &&
                   (options->work == NULL ? work != NULL || options->uvdio != NULL
                                          : strcmp(options->work, name) == 0);
      if (wanted) {
        number++;
        plan->end = (enum ending)end;
        failed += only_count ? 0 : (unsigned)run_case(options, plan, work, number);
      }
    }
  }
  return only_count ? number : failed;
}

/*
 * Options.
 */

static int parse(struct options* options, int argc, char** argv) {
  static const struct option known[] = {
      {"filesystem", required_argument, NULL, 'p'},
      {"backend", required_argument, NULL, 'b'},
      {"work", required_argument, NULL, 'w'},
      {"end", required_argument, NULL, 'e'},
      {"seed", required_argument, NULL, 's'},
      {"rounds", required_argument, NULL, 'r'},
      {"uvdio", required_argument, NULL, 'u'},
      {"defect", required_argument, NULL, 'd'},
      {NULL, 0, NULL, 0},
  };
  int answer, bad = 0;
  while ((answer = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (answer) {
      case 'p':
        options->filesystem = optarg;
        break;
      case 'b':
        options->backend = optarg;
        break;
      case 'w':
        options->work = optarg;
        break;
      case 'e':
        options->end = optarg;
        break;
      case 's':
        options->seed = strtoull(optarg, NULL, 0);
        break;
      case 'r':
        options->rounds = (unsigned)strtoul(optarg, NULL, 0);
        break;
      case 'u':
        options->uvdio = optarg;
        break;
      case 'd':
        options->defect = optarg;
        break;
      default:
        bad = 1;
    }
  }
  return bad || optind != argc;
}

static int find_defect(const char* name, enum defect* defect) {
  static const char* const names[] = {"early", "wide", "no-dsync", "lying-disk"};
  static const enum defect defects[] = {DEFECT_EARLY, DEFECT_WIDE, DEFECT_NO_DSYNC, DEFECT_NONE};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(name, names[i]) == 0) {
      *defect = defects[i];
      return 0;
    }
  }
  return -1;
}

static const struct {
  const char* name;
  uvdio_backend_t backend;
} backends[] = {
    {"ring", UVDIO_BACKEND_RING}, {"aio", UVDIO_BACKEND_AIO}, {"pool", UVDIO_BACKEND_POOL}};

/* Returns 0 where it is one of them. */
static int find_backend(const char* name, uvdio_backend_t* backend) {
  for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
    if (strcmp(backends[i].name, name) == 0) {
      *backend = backends[i].backend;
      return 0;
    }
  }
  return -1;
}

/* Returns 0 where the names are known. */
static int apply(const struct options* options, struct plan* plan) {
  plan->backend_name = options->backend;
  plan->uvdio = options->uvdio != NULL ? open(options->uvdio, O_RDONLY | O_CLOEXEC) : -1;
  if (options->uvdio != NULL && plan->uvdio < 0) {
    perror(options->uvdio);
    return -1;
  }
  if (options->defect != NULL && find_defect(options->defect, &plan->defect) != 0) {
    return -1;
  }
  return find_backend(options->backend, &plan->backend) == 0 &&
                 (options->work == NULL || strcmp(options->work, COPY) != 0 || plan->uvdio >= 0) &&
                 each_case(options, plan, 1) > 0
             ? 0
             : -1;
}

static int skip_all(const char* why) {
  printf("SKIP: %s\n", why);
  return SKIPPED;
}

int main(int argc, char** argv) {
  struct options options = {
      .filesystem = "ext4", .backend = "ring", .seed = 1, .rounds = ROUNDS_DEFAULT};
  struct stage stage;
  struct plan plan = {.stage = &stage};
  char why[WHY_MAX];
  if (parse(&options, argc, argv) != 0 || apply(&options, &plan) != 0) {
    fputs(usage, stderr);
    return 2;
  }
  if (uvdio_backend_probe(plan.backend, why, sizeof(why)) != 0 ||
      stage_make(&stage, options.filesystem, why) != 0) {
    return skip_all(why);
  }
  plan.model =
      mmap(NULL, sizeof(*plan.model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (plan.model == MAP_FAILED) {
    return skip_all(strerror(errno));
  }
  stage.disk->lies = options.defect != NULL && strcmp(options.defect, "lying-disk") == 0;
  printf("1..%u\n", each_case(&options, &plan, 1));
  return each_case(&options, &plan, 0) == 0 ? 0 : 1;
}
