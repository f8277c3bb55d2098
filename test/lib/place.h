/* SPDX-License-Identifier: MIT */
/*
 * Places: directories on the filesystems at hand.
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
#ifndef UVDIO_TEST_PLACE_H
#define UVDIO_TEST_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define PLACE_PATH_MAX 512
#define PLACE_WHY_MAX 256

struct place {
  char kind[16];
  const char* filesystem;    /* as the library names it; null for `here`, which may be any */
  char root[PLACE_PATH_MAX]; /* our folder; removed at the end */
  char dir[PLACE_PATH_MAX];  /* the folder for files, on the filesystem */
  int mounted;
};

/* Enters the namespace. Comes before the program's first thread: each has its own. */
void places_begin(void);

/* Makes a place; `size` in bytes is that of the filesystem where one is made, 0 for a comfortable
 * one. Returns 0, or -1 with the reason in `why`. */
int place_make(struct place* place, const char* kind, uint64_t size, char why[PLACE_WHY_MAX]);

/* The same for a place that need not take direct I/O, as ramfs never and tmpfs before Linux 6.6
 * does not. */
int place_make_indirect(struct place* place, const char* kind, uint64_t size,
                        char why[PLACE_WHY_MAX]);

/* Removes the place with everything in it. Also done at exit, and at signals that end the
 * program. */
void place_remove(struct place* place);

/* Removes the files of a folder, which holds no folders, and the folder. */
void remove_folder(const char* path);

/* Runs a program of the system's, such as mkfs or dmsetup, with its output kept. Returns 0, or -1
 * with the first line of what it said in `why`. */
int run_program(char* const argv[], char why[PLACE_WHY_MAX]);

/* Whether `kind` names a place, whatever the machine has. */
int place_known(const char* kind);

#endif /* UVDIO_TEST_PLACE_H */
