/* SPDX-License-Identifier: MIT */
#include "skips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "system.h"

#define RINGS "*.r[ie]*.*"      /* ring and registered */
#define BATCHES "*.[ra][ie]*.*" /* and aio */
#define AIO "*.aio.*"
#define POOLS "*.pool.*"
#define MEMORY "*.memory.*"
#define ANYWHERE "*"

int under_valgrind(void) {
  const char* preload = getenv("LD_PRELOAD");
  return preload != NULL &&
         (strstr(preload, "valgrind") != NULL || strstr(preload, "vgpreload") != NULL);
}

/* The reason, where (program.backend.filesystem), and which capabilities explain it where one of
 * them is not there: names of capability.c, or of what the program itself is not under. "!name": it
 * is there. Null: nothing needs to be lacking, since the test asks the system by itself, or since
 * it is so by design. The first line that fits counts. */
static const struct expected {
  const char* reason;
  const char* where;
  const char* lacking;
} table[] = {
    {"ring: *", ANYWHERE, "ring"},
    {"aio: *", ANYWHERE, "aio"},
    {"each class has an order of its own", "contract_order.*", NULL},
    {"writes of another class need not wait for the sync that fails", "fault_syncs.*", NULL},
    {"this process may not use the real-time priority", "contract_classes.*", NULL},
    {"about workers: the pool only", "contract_metrics.*", NULL},
    {"about worlds", "contract_metrics.*", NULL},
    {"a world has rules of its own", "contract_metrics.memory.sim", NULL},
    {"this libuv does not measure the loop's idle time", "contract_metrics.*", NULL},
    {"a worker has to give the kernel's context back", AIO, NULL},
    {"registered: the ring takes no memory*", ANYWHERE, "ring,sparse-buffers"},
    {"registered: the ring does not execute*", ANYWHERE, "nowait"},
    {"registered: *", ANYWHERE, "ring"},
    {"polled: sysfs tells of no device *", ANYWHERE, NULL},
    {"polled: the device has no queues *", ANYWHERE, "root"},
    {"there is no ring to register an arena", ANYWHERE, "ring"},
    {"files of this filesystem are not with the ring", RINGS, "nowait"},
    {"files of this filesystem are not with the ring", ANYWHERE, NULL},
    {"files of this filesystem are not sent in batches", BATCHES, "nowait"},
    {"files of this filesystem are not sent in batches", ANYWHERE, NULL},
    {"this file's transfers don't go to a ring that registers memory", RINGS,
     "sparse-buffers,nowait"},
    {"this file's transfers don't go to a ring that registers memory", ANYWHERE, NULL},
    {"this kernel or backend keeps no table of files", RINGS, "file-table,nowait"},
    {"this kernel or backend keeps no table of files", ANYWHERE, NULL},
    {"rings register no memory piece by piece here*", ANYWHERE, "sparse-buffers"},
    {"this kernel registers no memory piece by piece*", ANYWHERE, "sparse-buffers"},
    {"libuv's own ring ends the process *", ANYWHERE, NULL},
    {"this kernel takes no vectors of registered memory", ANYWHERE, "fixed-vectors"},
    {"this kernel's rings don't copy from each other*", ANYWHERE, "vaults"},
    /* A busy machine may end a read before the kernel is asked, on any kernel. */
    {"this kernel posts completions without being asked", ANYWHERE, NULL},
    {"entries of a ring can't be made to fail here*", ANYWHERE, "nop-results"},

    /* Two backends, or one. */
    {"two backends take turns", RINGS, "nowait"},
    {"this file's transfers may go by either backend", RINGS, "nowait"},
    {"of two backends, either may be first", RINGS, "nowait"},
    {"files of this filesystem have one backend", RINGS, "!nowait"},
    {"files of this filesystem have one backend", ANYWHERE, NULL},
    {"what is alone goes to the pool there*", "*.ring.tmpfs", NULL},

    /* What a backend can't have. */
    {"the memory backend has no *", MEMORY, NULL},
    {"only memory has none", MEMORY, "never"},
    {"only memory has none", ANYWHERE, NULL},
    {"a world allocates for what it remembers", "*.memory.sim", NULL},
    {"this is the ring", RINGS, NULL},
    {"syncs go to no thread of libuv's there", BATCHES, "!nowait"},
    {"a sync in the kernel's hands can't be held there", BATCHES, "!nowait"},
    {"syncs of a ring can't be held", BATCHES, "!nowait"},
    {"this file has no atomic writes", ANYWHERE, "atomic-writes"},
    {"this ext4 takes direct I/O for a file within its inode", ANYWHERE, NULL},
    {"this filesystem keeps all pages in its cache", ANYWHERE, "dropped-pages"},
    {"this kernel keeps pages that were written", ANYWHERE, NULL},
    {"what the kernel has can't be held", POOLS, "never"},
    {"what the kernel has can't be held", ANYWHERE, NULL},
    {"the loop has run before, on this thread", "*.registered.*", NULL},
    {"the ring's alone", RINGS, "never"},
    {"the ring's alone", ANYWHERE, NULL},
    {"two results can be made to come together *", ANYWHERE, NULL},
    {"a sync can be held on libuv's threads only", BATCHES, NULL},
    {"the first of two backends may be another one", "*.ring.tmpfs*", NULL},
    {"writes of this filesystem may go through a cache", "*.ext4", "never"},
    {"writes of this filesystem may go through a cache", ANYWHERE, NULL},
    {"an entry of a ring can't be made to end within a block", RINGS, "!nowait"},
    {"requests of this backend may start at once", "*.memory.memory", "never"},
    {"requests of this backend may start at once", ANYWHERE, NULL},
    {"elsewhere it takes its time", "*.memory.memory", "never"},
    {"elsewhere it takes its time", ANYWHERE, NULL},
    {"what starts can't be held there", POOLS, "never"},
    {"what starts can't be held there", ANYWHERE, NULL},
    {"a pool *", POOLS, NULL},
    {"the pool *", POOLS, NULL},
    {"only a ring *", RINGS, "never"},
    {"only a ring *", ANYWHERE, NULL},
    {"about rings*", POOLS, NULL},
    {"about rings*", AIO, NULL},
    {"about rings*", ANYWHERE, "no-tsan"},

    /* The system, its rights and its memory. */
    {"the system reports no alignment below 4096 bytes here", MEMORY, NULL},
    {"the system reports no alignment below 4096 bytes here", ANYWHERE, "small-alignment"},
    {"locking 4 MiB*", ANYWHERE, "locked-memory"},
    {"the limit on locked memory is too low *", ANYWHERE, "locked-memory"},
    {"huge pages refused*", ANYWHERE, "huge-pages"},
    {"the system gives no memory to an arena of that size", ANYWHERE, "address-space,no-valgrind"},
    {"not enough address space", ANYWHERE, "address-space,no-valgrind"},
    {"no address space for five arenas of 4 GiB", ANYWHERE, "address-space,no-valgrind"},
    {"not enough memory for reads of 4 GiB", ANYWHERE, NULL},
    {"only root can *", ANYWHERE, "root"},
    {"becoming another user needs root", ANYWHERE, "root"},
    {"without root *", ANYWHERE, "root"},
    {"an ordinary user has no way to the build folder", ANYWHERE, NULL},
    {"root can't become an ordinary user for a moment*", ANYWHERE, NULL},
    {"this system has no *", ANYWHERE, "posix"},
    {"this system does not list open descriptors", ANYWHERE, NULL},
    {"older kernels *", ANYWHERE, NULL},
    {"* takes Linux *", ANYWHERE, NULL}, /* need_linux() asks the system */
    {"this kernel has no kernel.io_uring_disabled*", ANYWHERE, NULL},
    {"UVDIO_TEST_SYSCTL is not set*", ANYWHERE, NULL},
    {"no FUSE filesystem can be mounted*", ANYWHERE, NULL},
    {"libfuse 3 was not there *", ANYWHERE, NULL},
    {"btrfs does no quotas here", ANYWHERE, NULL},
    {"the file behind a loop device can't be cut", ANYWHERE, NULL},
    {"a loop device of this kernel reads zeros *", ANYWHERE, NULL},
    {"no zram device can be had*", ANYWHERE, NULL},
    {"a filesystem can't be shut down here", ANYWHERE, NULL},
    {"the limit on locked memory is too low for *", ANYWHERE, "much-locked-memory"},
    {"/proc/kallsyms is too short here", ANYWHERE, NULL},
    {"a ramfs can't be mounted here", ANYWHERE, NULL},
    {"an overlay can't be mounted *", ANYWHERE, NULL},
    {"no overlay can be mounted *", ANYWHERE, NULL},
    {"what is in the page cache can't be told here", ANYWHERE, NULL},
    {"XFS with blocks of 16384 bytes can't be had here*", ANYWHERE, NULL},
    {"this kernel recommends nothing for files that share blocks*", ANYWHERE, NULL},

    /* Tools that the program runs under. */
    {"the thread sanitizer *", ANYWHERE, "no-tsan"},
    {"valgrind has limits *", ANYWHERE, "no-valgrind"},
    {"what watches the program may have signals of its own", ANYWHERE,
     "no-asan,no-tsan,no-valgrind"},
    {"a sanitizer reports the fault of a guard page*", ANYWHERE, "no-asan,no-tsan"},
    {"only the address sanitizer sees accesses to memory", ANYWHERE, "!no-asan"},
    {"the address sanitizer can't guard a buffer of that length", ANYWHERE, "no-asan"},
    {"resident memory tells nothing here*", ANYWHERE, "no-asan,no-tsan,no-valgrind"},
    {"who comes between two instructions may want a lock that debug/ownership.c holds", ANYWHERE,
     "no-asan"},
    {"the processor can't be stopped after each instruction here", ANYWHERE,
     "no-asan,no-tsan,no-valgrind,steps"},
};

static char of[128] = "-.-";
static char in[4096] = ".";

void skips_are_of(const char* backend, const char* filesystem, const char* folder) {
  snprintf(of, sizeof(of), "%s.%s", backend, filesystem);
  snprintf(in, sizeof(in), "%s", folder);
}

static int is_there(const char* name) {
#if defined(__x86_64__) && defined(__linux__)
  int has_steps = 1;
#else
  int has_steps = 0;
#endif
#ifdef _WIN32
  int is_posix = 0;
#else
  int is_posix = 1;
#endif
  const struct {
    const char* name;
    int there;
  } own[] = {{"never", 1},
             {"no-tsan", !UNDER_TSAN},
             {"no-asan", !UNDER_ASAN},
             {"no-valgrind", !under_valgrind()},
             {"steps", has_steps},
             {"posix", is_posix}};
  for (size_t i = 0; i < COUNT_OF(own); i++) {
    if (strcmp(own[i].name, name) == 0) {
      return own[i].there;
    }
  }
  return system_has(name, in);
}

/* Whether one of them is as the skip has it. */
static int explains(const char* lacking) {
  char names[256];
  char* rest = NULL;
  snprintf(names, sizeof(names), "%s", lacking);
  for (char* name = strtok_r(names, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
    if (name[0] == '!' ? is_there(name + 1) : !is_there(name)) {
      return 1;
    }
  }
  return 0;
}

const char* skip_is_wrong(const char* reason) {
  static char words[512];
  char where[256];
  snprintf(where, sizeof(where), "%.100s.%.100s", system_program_name(), of);
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    if (system_matches(table[i].reason, reason) && system_matches(table[i].where, where)) {
      if (table[i].lacking == NULL || explains(table[i].lacking)) {
        return NULL;
      }
      snprintf(words, sizeof(words), "%s has no reason for it: nothing of \"%s\" is lacking", where,
               table[i].lacking);
      return words;
    }
  }
  snprintf(words, sizeof(words), "lib/skips.c does not expect it of %s", where);
  return words;
}
