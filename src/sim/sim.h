/* SPDX-License-Identifier: MIT */
/*
 * What the parts of a simulated world share. include/uvdio/sim.h says what a world does.
 *
 *   sim/sim.c      options, creation, engines, directories
 *   sim/random.c   the random numbers that decide everything
 *   sim/rules.c    which fault an event gets
 *   sim/trace.c    a line per event, their digest, counters
 *   sim/names.c    names: which lead where, and which changes of that are durable
 *   sim/disk.c     one file: what is there, what is on the disk, and the changes between the two
 *   sim/perform.c  one operation on it, with its fault
 *   sim/backend.c  the backend: when operations end, crashes and power cuts
 *   sim/late.c     writes that land after their program has crashed
 */
#ifndef UVDIO_SIM_INTERNAL_H
#define UVDIO_SIM_INTERNAL_H

#include "backend/memory.h"
#include "backend/memory_files.h"
#include "backend/memory_names.h"
#include "engine.h"
#include "faults/rules.h"
#include "uvdio/sim.h"

typedef struct uvdio__sim_file_s uvdio__sim_file_t;
typedef struct uvdio__sim_engine_s uvdio__sim_engine_t;

struct uvdio_sim_s {
  uvdio_sim_options_t options; /* with the defaults filled in */
  uint64_t random;
  uint64_t step;
  uint64_t events;   /* number of the last operation */
  uint64_t sequence; /* number of the last change */
  uint64_t digest;
  int out_of_memory;              /* ran out of memory where nothing could be taken back */
  uvdio__name_table_t names;      /* as programs see them */
  uvdio__name_table_t disk_names; /* durable */
  /* from `disk_names` to `names`; never begins with a durable one */
  struct uvdio__name_change_s* name_changes;
  uvdio__sim_file_t* files; /* in the order of their creation, not of their addresses */
  uvdio__rules_t rules;
  uvdio__sim_engine_t* engines;
  struct uvdio__late_s* late; /* in the order in which crashes have left them */
  struct uvdio__late_s* late_newest;
  uvdio_sim_stats_t stats;
};

/* A change that is not wholly durable: bytes written or punched, a new size, or both. */
typedef struct uvdio__change_s {
  struct uvdio__change_s* next;
  uint64_t sequence;
  uint64_t offset;
  size_t length;    /* bytes written; 0 for a new size alone */
  size_t tail;      /* zeros behind them, up to the end of the sector, where the file ended */
  uint64_t size;    /* of the file, after this */
  int resizes;      /* `size` is news */
  int zeros;        /* the bytes are zeros, and not held */
  int atomic;       /* its sectors, and the size, survive together or not at all */
  int data_durable; /* the bytes are durable, and wait for older changes only */
  int size_durable; /* the same of the size */
  char bytes[];
} uvdio__change_t;

typedef struct uvdio__damage_s {
  struct uvdio__damage_s* next;
  uint64_t sector;
} uvdio__damage_t;

struct uvdio__sim_file_s {
  uvdio__sim_file_t* next;
  uvdio_sim_t* sim;
  uvdio__node_t* now;  /* as programs see it */
  uvdio__node_t* disk; /* durable */
  /* from `disk` to `now`; never begins with a change that is wholly durable */
  uvdio__change_t* oldest;
  uvdio__change_t* newest;
  size_t dirty; /* bytes of these changes */
  uvdio__damage_t* damage;
  int is_directory;
  int may_be_named; /* it has no name and never had one */
};

/* A change of names that is not part of `disk_names` yet. */
typedef struct uvdio__name_change_s {
  struct uvdio__name_change_s* next;
  size_t size;
  uint64_t sequence;
  uvdio_op_t op;           /* UVDIO_OP_OPEN: a new file */
  uvdio__sim_file_t* file; /* that it is about, or null */
  int durable;             /* and waits for older changes only */
  const char* path;
  const char* new_path; /* or null */
  char bytes[];         /* the paths */
} uvdio__name_change_t;

/* A piece of a write whose program has crashed, on its way to the disk. */
typedef struct uvdio__late_s {
  struct uvdio__late_s* next;
  uvdio__sim_file_t* file;
  uint64_t number; /* of the write, as an event */
  uint64_t due;    /* step */
  unsigned locks;  /* of the file that it was written by: UVDIO__LOCKS of its flags */
  uint64_t offset;
  size_t length;
  int atomic;
  char bytes[];
} uvdio__late_t;

/* One engine on a world, or what a crash or a power cut has left of it. */
struct uvdio__sim_engine_s {
  uvdio__sim_engine_t* next;
  uvdio_sim_t* sim;
  uvdio__queue_t* queue;
  int dead;
  struct uvdio__sim_slot_s* slots; /* queue->depth of them */
  struct uvdio__sim_slot_s* free_slots;
};

/* What is remembered of a request on its way. */
typedef struct uvdio__sim_slot_s {
  struct uvdio__sim_slot_s* next_free;
  uint64_t due;  /* step */
  uint64_t mark; /* the newest change when it was submitted: what a sync covers */
  int asked;     /* for a fault */
} uvdio__sim_slot_t;

/*
 * sim.c
 */

uint64_t uvdio__sim_random(uvdio_sim_t* sim, uint64_t limit);

/* Picks the fault of an operation: by rule, by callback, or none. It applies to the operation, and
 * is counted. */
uvdio_fault_t uvdio__sim_pick_fault(uvdio_sim_t* sim, const uvdio_fault_event_t* event);

/* Puts down what happened, in words where somebody listens. `check` is a checksum of what was
 * read. */
void uvdio__sim_note(uvdio_sim_t* sim, const uvdio_fault_event_t* event, const char* what,
                     int64_t result, uint64_t check);

/*
 * sim/names.c
 */

/* Makes the change, as programs see it from now on: 0 or UV_ENOMEM. */
int uvdio__sim_change_names(uvdio_sim_t* sim, uvdio_op_t op, const char* path, const char* new_path,
                            uvdio__sim_file_t* file);

/* An operation on names. Errors as for the system calls, and UV_ENOMEM. */
int uvdio__sim_names(uvdio_sim_t* sim, uvdio_op_t op, const uvdio__names_t* names, uint64_t mark);

/* Whether a path in `table` leads to the file. */
int uvdio__sim_has_name(const uvdio__name_table_t* table, const uvdio__sim_file_t* file);

/* Gives a file that is open a name. Errors as for the system call, and UV_ENOMEM. */
int uvdio__sim_link_file(uvdio_sim_t* sim, uvdio__sim_file_t* file, const uvdio__names_t* names);

/* Makes the changes up to `mark` durable whose new name lies in the directory; null: in any. */
void uvdio__sim_sync_names(uvdio_sim_t* sim, const char* directory, uint64_t mark);

/* The same for all in the directory in which the path lies. */
void uvdio__sim_sync_names_of(uvdio_sim_t* sim, const char* path);

/* Makes durable that the file was created. */
void uvdio__sim_keep_file(uvdio__sim_file_t* file);

/* Decides about each change that is not durable, as uvdio__sim_cut() does; then forgets all. */
void uvdio__sim_cut_names(uvdio_sim_t* sim, unsigned ref);
void uvdio__sim_free_names(uvdio_sim_t* sim);

/*
 * sim/disk.c
 */

uvdio__sim_file_t* uvdio__sim_find(const uvdio_sim_t* sim, const char* path);

/* By the flags of an open. Errors as for uvdio__store_open(). */
int uvdio__sim_open(uvdio_sim_t* sim, const char* path, unsigned flags, uvdio__sim_file_t** file);
void uvdio__sim_free_files(uvdio_sim_t* sim);

/* How a write is made. */
#define SIM_WRITE_DURABLE 1u /* on the disk as well */
#define SIM_WRITE_ATOMIC 2u  /* survives as a whole or not at all */

/* Writes, as programs see it from now on. The change can be had at file->newest, or has become part
 * of the disk. Returns bytes or UV_ENOMEM. */
int64_t uvdio__sim_write(uvdio__sim_file_t* file, const char* base, size_t length, uint64_t offset,
                         unsigned how);

/* Sets the size. 0 or UV_ENOMEM. */
int uvdio__sim_resize(uvdio__sim_file_t* file, uint64_t size);

/* Makes the range zeros, as far as the size. 0 or UV_ENOMEM. */
int uvdio__sim_punch(uvdio__sim_file_t* file, uint64_t offset, uint64_t length);

/* Makes the changes up to `mark` durable. */
void uvdio__sim_sync(uvdio__sim_file_t* file, uint64_t mark, uvdio_op_t op);

/* The same, by a sync that fails: a seeded subset of their sectors becomes durable, and the rest
 * never. */
void uvdio__sim_fail_sync(uvdio__sim_file_t* file, uint64_t mark);

/* Decides what is left of every change that is not durable: of each sector, size and new file with
 * a probability of `share` to SIM_SHARE_ALL. */
#define SIM_SHARE_NONE 0u
#define SIM_SHARE_ALL 8u
void uvdio__sim_cut(uvdio_sim_t* sim, unsigned ref);

/* Whether the range holds an unreadable sector. */
int uvdio__sim_is_damaged(const uvdio__sim_file_t* file, uint64_t offset, uint64_t length);
int uvdio__sim_damage_sector(uvdio__sim_file_t* file, uint64_t sector);

/* Turns over one bit within the range, seeded. */
void uvdio__sim_flip(uvdio_sim_t* sim, char* base, size_t length);

/*
 * sim/perform.c
 */

/* What is to be done, in the world's terms. */
typedef struct uvdio__sim_task_s {
  uvdio_fault_event_t event;
  uvdio__sim_file_t* file; /* null for an open, and for names but the link of an open file */
  uvdio__open_state_t* opening;
  uvdio__names_t* names; /* of an operation on names, or a replace */
  char* base;
  size_t unit; /* what a short read is a multiple of */
  uint64_t mark;
  int durable;    /* a write, or a replace's name */
  unsigned locks; /* that the file was opened with */
  int atomic;     /* a write */
  int keeps_size; /* a preallocation */
} uvdio__sim_task_t;

int64_t uvdio__sim_perform(uvdio_sim_t* sim, uvdio__sim_task_t* task, const uvdio_fault_t* fault);

/*
 * sim/late.c
 */

/* Decides what of a write that is on its way lands after its program's crash, and when. */
void uvdio__sim_leave(uvdio_sim_t* sim, const uvdio__sim_task_t* task);

/* A step of the world. What is due lands before anything else. */
void uvdio__sim_step(uvdio_sim_t* sim);
void uvdio__sim_land_due(uvdio_sim_t* sim);

/* The machine ends: what is still on its way lands now or never. */
void uvdio__sim_end_late(uvdio_sim_t* sim, int some_land);

/*
 * sim/backend.c
 */

extern const uvdio__backend_t uvdio__backend_sim;

/* An engine's part of the world, before there is an engine; null when out of memory. */
uvdio__sim_engine_t* uvdio__sim_engine_make(uvdio_sim_t* sim, unsigned depth);
void uvdio__sim_engine_free(uvdio__sim_engine_t* engine, unsigned depth);

/* Puts it to work on a queue that has just been set up. */
void uvdio__sim_engine_attach(uvdio__sim_engine_t* engine, uvdio__queue_t* queue);

#endif /* UVDIO_SIM_INTERNAL_H */
