/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of `uvdio`: main.c calls them.
 * argv[0] is the subcommand's name; each returns the exit code.
 */
#ifndef UVDIO_CLI_SUBCOMMANDS_H
#define UVDIO_CLI_SUBCOMMANDS_H

int probe_main(int argc, char** argv);
int copy_main(int argc, char** argv);
int bench_main(int argc, char** argv);

#endif /* UVDIO_CLI_SUBCOMMANDS_H */
