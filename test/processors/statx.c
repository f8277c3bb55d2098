/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into programs under qemu's user emulation, whose statx(2) keeps the kernel's mask, and
 * with it the promise of an alignment for direct I/O (STATX_DIOALIGN), but leaves the two fields
 * zero, which says that there is no direct I/O at all. Here the promise is taken back: the
 * alignment is unknown, as on kernels before 6.1.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PROMISE 0x2000u /* STATX_DIOALIGN, which the cross compiler's headers may not have */

long syscall(long number, ...);

long syscall(long number, ...) {
  long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) {
    arguments[i] = va_arg(list, long);
  }
  va_end(list);
  long result = next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                     arguments[5]);
  if (number == SYS_statx && result == 0) {
    ((struct statx*)arguments[4])->stx_mask &= ~PROMISE;
  }
  return result;
}
