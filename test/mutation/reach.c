/* SPDX-License-Identifier: MIT */
/*
 * Which basic blocks of a program run. The compiler (-fsanitize-coverage=trace-pc) calls the
 * function below at the beginning of each block, which sets a byte of a file that is mapped into
 * memory. So what forked children, threads and programs that are killed did is there as well.
 * reach.py makes lines of it.
 *
 * The file is named after the program and stands in the directory UVDIO_REACH. Without that nothing
 * happens.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const char __ehdr_start; /* the linker's: where the program begins */
extern const char etext;        /* and where its code ends */

static unsigned char* seen;

/* By syscall(2): fault programs count calls of the C library's functions. */
__attribute__((constructor(101))) static void begin(void) {
  const char* folder = getenv("UVDIO_REACH");
  char program[PATH_MAX];
  char path[PATH_MAX];
  long length = folder ? readlink("/proc/self/exe", program, sizeof(program) - 1) : -1;
  if (length < 0) {
    return;
  }
  program[length] = '\0';
  snprintf(path, sizeof(path), "%s/%s", folder, strrchr(program, '/') + 1);
  size_t size = (size_t)(&etext - &__ehdr_start);
  int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) {
    return;
  }
  syscall(SYS_fchmod, file, 0666); /* some programs go on as another user */
  if (syscall(SYS_ftruncate, file, size) == 0) {
    long map = syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    seen = map == -1 ? NULL : (unsigned char*)map; /* NOLINT(performance-no-int-to-ptr) */
  }
  syscall(SYS_close, file);
}

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
  if (seen) {
    seen[(const char*)__builtin_return_address(0) - &__ehdr_start] = 1;
  }
}
