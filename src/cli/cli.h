/* SPDX-License-Identifier: MIT */
/*
 * What every file of a command needs: exit codes, a few constants, the subcommands.
 * The commands use the public interface of the library only, and are for systems with POSIX calls.
 */
#ifndef UVDIO_CLI_H
#define UVDIO_CLI_H

/* Exit codes. After a signal: CLI_SIGNAL plus its number, as shells count. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SIGNAL = 128 };

#define CLI_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* How often in a row a call that was interrupted, or put off, is repeated. */
#define CLI_ATTEMPTS_MAX 1000

/* Values that getopt_long returns for long options without a letter. */
enum { CLI_OPTION_FIRST = 256 };

/* The subcommands. argv[0] is the subcommand's name; each returns the exit code. */
int probe_main(int argc, char** argv);
int copy_main(int argc, char** argv);
int bench_main(int argc, char** argv);

#endif /* UVDIO_CLI_H */
