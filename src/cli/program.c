/* SPDX-License-Identifier: MIT */
/*
 * What a program does around its subcommand: standard streams, signals, --help and --version.
 * At the end output that was not written makes it fail.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "options.h"
#include "program.h"
#include "report.h"
#include "uvdio.h"

const char* program_libuv_built(void) {
#define TEXT_OF(number) #number
#define TEXT_OF_VERSION(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)
  return TEXT_OF_VERSION(UV_VERSION_MAJOR, UV_VERSION_MINOR, UV_VERSION_PATCH) UV_VERSION_SUFFIX;
#undef TEXT_OF_VERSION
#undef TEXT_OF
}

char* program_liburing(char* text, size_t size) {
  unsigned version = uvdio_liburing_version();
  if (version == 0) {
    snprintf(text, size, "none");
  } else {
    snprintf(text, size, "%u.%u", version >> 16, version >> 8 & 0xff);
  }
  return text;
}

/* What a report of a fault needs at least. */
static int print_version(const program_t* program) {
  char text[768];
  printf("%s %s (libuv %s)\n\n", program->name, uvdio_version_string(), uv_version_string());
  printf("libuv     %s, built with %s\n", uv_version_string(), program_libuv_built());
  printf("liburing  %s\n", program_liburing(text, sizeof text));
  for (int i = UVDIO_BACKEND_RING; i <= UVDIO_BACKEND_MEMORY; i++) {
    int error = uvdio_backend_probe((uvdio_backend_t)i, text, sizeof text);
    printf("%-9s %s: %s\n", backend_text((uvdio_backend_t)i),
           error == 0 ? "available" : "not available", text);
  }
  return CLI_OK;
}

static int print_usage(const program_t* program) {
  fputs(program->usage, stdout);
  return CLI_OK;
}

static int dispatch(const program_t* program, int argc, char** argv) {
  if (argc < 2) {
    fputs(program->usage, stderr);
    return CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    return print_usage(program);
  }
  if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
    return print_version(program);
  }
  for (size_t i = 0; i < program->subcommand_count; i++) {
    if (strcmp(argv[1], program->subcommands[i].name) == 0) {
      return program->subcommands[i].run(argc - 1, argv + 1);
    }
  }
  return report_usage(NULL, "there is no subcommand '%s': use %s", argv[1], program->choice);
}

/* A file that is opened later must not become a standard stream that was closed: output would go
 * into it, and libuv ends a program that closes one. Opened the wrong way round, so that using it
 * fails as before. */
static int fill_standard_streams(void) {
  for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
    if (fcntl(i, F_GETFD) == -1 && errno == EBADF &&
        open("/dev/null", i == STDIN_FILENO ? O_WRONLY : O_RDONLY) != i) {
      return -1;
    }
  }
  return 0;
}

/* What is short is written at once, whichever the C library, so that whoever takes its first line
 * alone, and goes, ends nothing halfway. */
static void buffer_output(void) {
  static char buffer[1 << 16];
  (void)setvbuf(stdout, buffer, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, sizeof buffer);
}

int program_main(const program_t* program, int argc, char** argv) {
  report_set_program(program->name);
  buffer_output();
  if (fill_standard_streams() != 0) {
    return CLI_FAILED;
  }
  /* A write past RLIMIT_FSIZE, or to a closed pipe, shall end in an error and not in a death that
   * leaves half a file behind. */
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  argv = uv_setup_args(argc, argv);

  int code = dispatch(program, argc, argv);
  assert(uvdio_allocations() == 0);
  errno = 0;
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK) {
    code = report_error(NULL, "write to", "standard output",
                        errno != 0 ? uv_translate_sys_error(errno) : UV_EIO);
  }
  if (report_is_pending() && code == CLI_OK) {
    code = CLI_FAILED;
  }
  return code;
}
