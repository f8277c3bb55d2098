/* SPDX-License-Identifier: MIT */
/*
 * The command `uvdio`: its subcommands, and what it says about them.
 */
#include "cli.h"
#include "program.h"

static const char usage[] =
    "usage: uvdio SUBCOMMAND [OPTIONS] ...\n"
    "       uvdio --help | --version\n"
    "\n"
    "Direct I/O on a libuv event loop, from the command line.\n"
    "\n"
    "  probe PATH     backends, alignment and limits of this machine and filesystem\n"
    "  copy SRC DST   copy a file past the page cache, durably\n"
    "  bench [PATH]   measure every backend on a temporary file\n"
    "\n"
    "uvdio SUBCOMMAND --help prints the options.\n"
    "\n"
    "Environment: UVDIO_BACKEND (ring, aio, pool, memory) is the backend where --backend\n"
    "is not given; UV_THREADPOOL_SIZE is the number of the pool's threads (4).\n"
    "\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage, 128+N ended by\n"
    "signal N.\n";

static const program_subcommand_t subcommands[] = {
    {"probe", probe_main},
    {"copy", copy_main},
    {"bench", bench_main},
};

int main(int argc, char** argv) {
  static const program_t program = {
      .name = "uvdio",
      .usage = usage,
      .choice = "probe, copy or bench",
      .subcommands = subcommands,
      .subcommand_count = CLI_COUNT_OF(subcommands),
  };
  return program_main(&program, argc, argv);
}
