/* SPDX-License-Identifier: MIT */
/*
 * Filesystems that tests run on, each with a directory for their files.
 *
 *   here                 the working directory's filesystem, whatever it is
 *   tmpfs                /dev/shm, or a tmpfs mounted for the purpose
 *   ext4, xfs, btrfs     a fresh image, loop-mounted
 *   fuse                 ext4 in an image, served by a program (fuse2fs)
 *   blocks               XFS with blocks of 16384 bytes (Linux 6.12)
 *   sectors              ext4 on a loop device with 4096-byte sectors
 *   ramfs                mounted; it refuses direct I/O
 *
 * Mounting takes root. It happens in a mount namespace of the program's own, and images are
 * unlinked as soon as they are mounted: however the program ends, the kernel takes mounts and loop
 * devices back, and only empty folders can be left (after SIGKILL).
 */
#ifndef UVDIO_TEST_FILESYSTEM_H
#define UVDIO_TEST_FILESYSTEM_H

#include <stddef.h>
#include <stdint.h>

#define FILESYSTEM_PATH_MAX 512
#define FILESYSTEM_WHY_MAX 256

struct filesystem {
  char kind[16];
  const char* name;               /* as the library names it; null for `here`, which may be any */
  char root[FILESYSTEM_PATH_MAX]; /* our folder; removed at the end */
  char dir[FILESYSTEM_PATH_MAX];  /* the folder for files, on the filesystem */
  int mounted;
};

/* Enters the namespace. Comes before the program's first thread: each has its own. */
void filesystems_begin(void);

/* Makes one; `size` in bytes counts where there is an image, 0 stands for a comfortable one.
 * Returns 0, or -1 with the reason in `why`. */
int filesystem_make(struct filesystem* filesystem, const char* kind, uint64_t size,
                    char why[FILESYSTEM_WHY_MAX]);

/* The same where direct I/O need not be possible: ramfs never takes it, tmpfs not before Linux
 * 6.6. */
int filesystem_make_indirect(struct filesystem* filesystem, const char* kind, uint64_t size,
                             char why[FILESYSTEM_WHY_MAX]);

/* Removes the filesystem with everything in it; the program ends with 1 where something is left.
 * Also done at exit, and at signals that end the program. */
void filesystem_remove(struct filesystem* filesystem);

/* Runs a program of the system's, such as mkfs or dmsetup, with its output kept. Returns 0, or -1
 * with the first line of what it said in `why`. */
int run_program(char* const argv[], char why[FILESYSTEM_WHY_MAX]);

/* Whether `kind` is one of the names above, whatever the machine has. */
int filesystem_known(const char* kind);

#endif /* UVDIO_TEST_FILESYSTEM_H */
