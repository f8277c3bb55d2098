/* SPDX-License-Identifier: MIT */
/*
 * io_uring_register(2) and the calls by which tables of buffers are made, filled and cloned.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ring/ring.h"

int uvdio__ring_register(int descriptor, unsigned opcode, const void* argument, unsigned count) {
  long result = syscall(SYS_io_uring_register, descriptor, opcode, argument, count);
  return result < 0 ? -errno : (int)result;
}

int uvdio__ring_make_table(int descriptor, unsigned count) {
  struct io_uring_rsrc_register table;

  memset(&table, 0, sizeof(table));
  table.nr = count;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  return uvdio__ring_register(descriptor, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

int uvdio__ring_update_table(int descriptor, unsigned first, const struct iovec* memory,
                             unsigned count) {
  struct io_uring_rsrc_update2 update;

  memset(&update, 0, sizeof(update));
  update.offset = first;
  update.data = (uint64_t)(uintptr_t)memory;
  update.nr = count;
  return uvdio__ring_register(descriptor, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}
