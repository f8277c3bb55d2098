/*
 * The command `uvdio`: the first argument names a subcommand, the rest is the subcommand's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

static const char usage[] =
    "usage: uvdio SUBCOMMAND [OPTIONS] ...\n"
    "       uvdio --help | --version\n"
    "\n"
    "Direct I/O on a libuv event loop, from the command line.\n"
    "\n"
    "  probe PATH     what this machine and the filesystem of PATH offer: backends, alignment, limits\n"
    "  copy SRC DST   copy a file past the page cache, durably, many requests in flight\n"
    "  bench [PATH]   measure every backend on a temporary file: write, verify, random-read\n"
    "\n"
    "`uvdio SUBCOMMAND --help` tells about its options.\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage, 128+N ended by signal N.\n"
    "Environment: UVDIO_BACKEND (ring, pool, memory) decides where no --backend is given;\n"
    "UV_THREADPOOL_SIZE is the number of threads of the pool (4).\n";

static const struct {
  const char* name;
  int (*main)(int argc, char** argv);
} subcommands[] = {
    {"probe", probe_main},
    {"copy", copy_main},
    {"bench", bench_main},
    /* Not for people: see peer.h, serve.h and bench_scaling.c. */
    {"bench-peer", peer_main},
    {"bench-serve", serve_main},
    {"bench-clients", clients_main},
    {"bench-scale", scaling_run_main},
};

static int print_version(void) {
  printf("uvdio %s (libuv %s)\n", uvdio_version_string(), uv_version_string());
  return CLI_OK;
}

static int print_usage(void) {
  fputs(usage, stdout);
  return CLI_OK;
}

static int dispatch(int argc, char** argv) {
  if (argc < 2) {
    fputs(usage, stderr);
    return CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    return print_usage();
  }
  if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
    return print_version();
  }
  for (size_t i = 0; i < CLI_COUNT_OF(subcommands); i++) {
    if (strcmp(argv[1], subcommands[i].name) == 0) {
      return subcommands[i].main(argc - 1, argv + 1);
    }
  }
  return report_usage(NULL, "there is no subcommand '%s': probe, copy and bench there are", argv[1]);
}

/* What is opened later must not become a standard stream that was closed: what is printed would go into it, and libuv ends a
 * program that closes one. Opened the wrong way round, so that using it fails as before. */
static int fill_standard_streams(void) {
  for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
    if (fcntl(i, F_GETFD) == -1 && errno == EBADF &&
        open("/dev/null", i == STDIN_FILENO ? O_WRONLY : O_RDONLY) != i) {
      return -1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (fill_standard_streams() != 0) {
    return CLI_FAILED;
  }
  /* A write past RLIMIT_FSIZE, or to a closed pipe, shall end in an error and not in a death that leaves
   * half a file behind. */
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  argv = uv_setup_args(argc, argv);

  int code = dispatch(argc, argv);
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
