/* SPDX-License-Identifier: MIT */
/*
 * A disk with a volatile write cache, and a plug that can be pulled.
 *
 * It is a FUSE filesystem that consists of one file. What is written to it can be read at once, but
 * is durable only after an fsync. At a chosen request the power goes: of the writes since the last
 * fsync some survive and some don't, whole or in part, in any order, as the seed has it; from then
 * on every request fails with EIO, until the power is back.
 *
 *             write                       fsync, or luck at a power cut
 *   loop ──► [live] + list of pending ───────────────────────────────────► [durable]
 *            read ◄── [live]                       what was lost: durable ──► live
 *
 * A process of its own serves the file. It ends with the process that started it.
 */
#ifndef UVDIO_TEST_CRASH_DISK_H
#define UVDIO_TEST_CRASH_DISK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_act {
  DISK_CUT,   /* pull the plug */
  DISK_SIGNAL /* send a signal to a process, and go on */
};

/* Shared with the disk's process. Plain fields are written while no request is under way. */
struct disk_control {
  int lies;      /* an fsync does nothing and succeeds: the planted defect */
  unsigned unit; /* bytes that are written whole or not at all, a multiple of 512 */
  uint64_t seed; /* of what survives */
  enum disk_act act;
  int signal;
  pid_t target;
  _Atomic unsigned act_at;   /* at which request, counted from 1; 0: never */
  _Atomic unsigned requests; /* writes and syncs since disk_arm() */
  _Atomic int acted;
  _Atomic int off;
  /* counted over all cuts */
  _Atomic uint64_t cuts;
  _Atomic uint64_t pending; /* bytes that were not durable when the plug was pulled */
  _Atomic uint64_t lost;    /* those of them that did not survive */
};

/* Mounts the disk as the file `path`, which must exist, and serves it. `durable` and `live` are
 * files of `size` bytes with the same content. `home` is a mount namespace that lasts,
 * /proc/self/ns/mnt of before: the disk must not be in the one whose filesystems stand on it, or
 * its end might have to unmount them, and wait for itself. Returns the process, or -1 with errno
 * set. */
pid_t disk_start(struct disk_control* control, int home, const char* path, int durable, int live,
                 uint64_t size);

/* The next act, at the request number `at`. Nothing may be under way. */
void disk_arm(struct disk_control* control, enum disk_act act, unsigned at, uint64_t seed);

/* Pulls the plug now, where that has not happened. `path` as for disk_start. */
void disk_cut(struct disk_control* control, const char* path);

/* Makes the disk answer again. */
void disk_power(struct disk_control* control);

#endif /* UVDIO_TEST_CRASH_DISK_H */
