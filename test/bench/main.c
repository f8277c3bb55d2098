/* SPDX-License-Identifier: MIT */
/*
 * The program `uvdio-bench`, which is not installed: measures this library side by side with
 * others. Each subcommand in the first list starts processes of its own with those in the second.
 */
#include "appends/appends.h"
#include "classes/classes.h"
#include "cli/cli.h"
#include "cli/program.h"
#include "compare/compare.h"
#include "copy/copy.h"
#include "echo_server/clients.h"
#include "echo_server/process.h"
#include "log/commits.h"
#include "scaling/scaling.h"
#include "server/server.h"
#include "streams/streams.h"
#include "target/process.h"

static const char usage[] =
    "usage: uvdio-bench SUBCOMMAND [OPTIONS] ...\n"
    "       uvdio-bench --help | --version\n"
    "\n"
    "Measures uvdio: side by side with others, and under loads. test/bench/README.md tells how\n"
    "to read it.\n"
    "\n"
    "  compare [DIRECTORY]   reads and writes by uvdio, a bare io_uring loop, libuv, fio,\n"
    "                        qemu-img\n"
    "  copy [DIRECTORY]      uvdio copy, dd and cp\n"
    "  appends [DIRECTORY]   appending by the appender and by plain writes\n"
    "  streams [DIRECTORY]   reading in order by the reader and by fixed numbers of reads\n"
    "  classes [DIRECTORY]   reads and a log beside a copy, with classes and without\n"
    "  log [DIRECTORY]       durable commits by the log, threads, SQLite and the device\n"
    "  scaling [DIRECTORY]   from few files, requests and frames to many\n"
    "  server [DIRECTORY]    on the loop of a busy server\n"
    "\n"
    "What these start, one process for each figure; each takes its parameters as JSON, or as\n"
    "words:\n"
    "\n"
    "  target JSON, echo-server JSON, clients JSON, scaling-run FOLDER SERIES SIZE READS\n"
    "\n"
    "`uvdio-bench SUBCOMMAND --help` tells about the options of the first eight.\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage, 128+N ended by signal N.\n";

static const program_subcommand_t subcommands[] = {
    {"compare", compare_main}, {"copy", copy_bench_main},         {"scaling", scaling_main},
    {"server", server_main},   {"target", target_main},           {"echo-server", echo_server_main},
    {"clients", clients_main}, {"scaling-run", scaling_run_main}, {"appends", appends_main},
    {"classes", classes_main}, {"streams", streams_main},         {"log", commits_main},
};

int main(int argc, char** argv) {
  static const program_t program = {
      .name = "uvdio-bench",
      .usage = usage,
      .choice = "compare, copy, appends, streams, classes, log, scaling or server",
      .subcommands = subcommands,
      .subcommand_count = CLI_COUNT_OF(subcommands),
  };
  return program_main(&program, argc, argv);
}
