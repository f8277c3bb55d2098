/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/sim.h
 * Simulated disks with power cuts, crashes and I/O faults, for testing programs that must survive
 * them. Unstable: this header may change at any release.
 *
 *   A world (uvdio_sim_t) is a disk with files. uvdio_sim_engine_create() creates an engine whose
 *   files are on that disk; otherwise it works like any other engine. The world outlives its
 *   engines. A test of a log or a pager has these steps:
 *
 *   1. Create a world from a seed.
 *   2. Create an engine on it, and run the program under test on that engine.
 *   3. Call uvdio_sim_power_cut(): every engine on the world is dead, and the disk holds the data
 *      that survived the power cut. Or call uvdio_sim_crash(): the program is dead, and its
 *      writes in flight may still reach the disk later.
 *   4. Close the dead engine, create a new one on the world, let the program recover, and check
 *      the result.
 *   5. Continue at 3, or with the next seed.
 *
 *     uvdio_sim_options_t options = {.seed = 1};
 *     uvdio_sim_t* sim;
 *     uvdio_engine_t* engine;
 *
 *     uvdio_sim_create(&sim, &options);
 *     uvdio_sim_engine_create(&engine, loop, sim, NULL);
 *     ...
 *     uvdio_sim_power_cut(sim, UVDIO_SIM_CUT_SEEDED);
 *     uvdio_engine_close(engine, NULL);
 *     uv_run(loop, UV_RUN_DEFAULT);                        (pending requests end with UV_ENODEV)
 *     uvdio_sim_engine_create(&engine, loop, sim, NULL);               (recover)
 *
 * Rules that hold everywhere:
 *
 *   1. A seed determines a run. All decisions of the world depend on its seed and on the order of
 *      the calls, never on addresses, clocks or threads. Two runs of a program that has no other
 *      source of randomness (uvdio_sim_random() provides one) have the same trace and the same
 *      digest. A log (uvdio/log.h) is such a source: a new one draws a number by which it knows its
 *      blocks. So the checksums of what was read differ in the traces of two runs; the digest is
 *      the same.
 *   2. Time is counted in steps. The world advances by a step each time one of its engines polls
 *      for completions: once or twice per loop iteration. While operations are in flight the loop
 *      does not block, so a test never waits for real time.
 *   3. An operation takes effect as a whole, when it completes. A synchronous operation (null
 *      callback) takes effect immediately, in one step, before operations that are in flight.
 *   4. A world, its engines and all functions of this header may be used on one thread only: the
 *      thread that runs the engines' loops. This is not checked.
 *   5. Functions return 0 (or a count) or a negative code. After an error nothing has changed,
 *      unless the function's comment says otherwise. Every function returns UV_EINVAL for a null
 *      pointer; the comments do not repeat that.
 *
 * Not simulated: the need to make directories, renaming them, permissions, a full disk (a fault
 * with UV_ENOSPC can replace it), sectors that are torn, and reads that see half of a concurrent
 * write.
 */
#ifndef UVDIO_SIM_H
#define UVDIO_SIM_H

#include "faults.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A world: a simulated disk with files, which outlives engines. */
typedef struct uvdio_sim_s uvdio_sim_t;

/**
 * @defgroup what_survives_a_power_cut What survives a power cut
 *
 * The world keeps two versions of each file: the one that programs see, and the one on the disk.
 * They differ by the changes that are not durable yet.
 *
 *   change                      is durable
 *   write                       after a sync of the file that started after the write had completed
 *   write, UVDIO_O_DSYNC        when it completes: its own bytes and the file's size, but no
 *                               earlier write of the file
 *   truncate, preallocate,      after such a sync, or when a later UVDIO_O_DSYNC write of the file
 *   write past the end (size)   completes
 *   punch_hole, zero_range      after such a sync, also with UVDIO_O_DSYNC
 *   new file                    see uvdio_sim_entry_t, or after a sync of its directory
 *   rename, link, unlink,       after a sync of its directory (of a rename or link: that of the new
 *   mkdir, rmdir                name; uvdio_sync_directory()) that started after it had completed
 *   uvdio_replace               when it completes: the content of the file, and the name
 *
 * sync_data and sync_all differ for new files only: both make content and size durable, as
 * fdatasync(2) promises. A sync covers the changes that had completed when it started, not those
 * that completed while it ran. The library starts a sync only after earlier changes have completed;
 * a library that did not would lose data in a world.
 *
 * At a power cut a seeded subset survives of the changes that are not durable and of the changes in
 * flight (with or without UVDIO_O_DSYNC):
 *
 *   - Content, by sectors. Each sector of each write, punched hole or zeroed range survives or is
 *     lost, independently of its neighbours. A lost sector has its previous content, or zeros where
 *     there was none. If several of these covered a sector, any of them may be the one that
 *     survives. A sector is never torn.
 *   - Writes by UVDIO_WRITE_ATOMIC, each as a whole, with the size that it has made: its sectors
 *     survive or are lost together. The faults TORN and SHORT make all of it or nothing.
 *   - Sizes, in order. If a change of a file's size is lost, all later ones are lost, too. Content
 *     past the size is lost. Size and content survive independently: a file may have grown without
 *     the bytes that made it grow.
 *   - Changes of names, each independently and as a whole: after a rename the file has its old name
 *     or its new one. New files are such changes. A file whose directory entry is lost is lost with
 *     all of its content, durable or not.
 *
 * Requests that wait in the library (more than `depth`, or a sync that waits for writes) have not
 * reached the disk. A sync in flight has no effect. All files are closed; files of a dead engine
 * must be opened again.
 * @{
 */

/** What makes a new file's directory entry durable. */
typedef enum {
  /** any sync of the file, or a completed UVDIO_O_DSYNC write: as on ext4, xfs and btrfs */
  UVDIO_SIM_ENTRY_BY_SYNC = 0,
  UVDIO_SIM_ENTRY_BY_SYNC_ALL, /**< uvdio_sync_all() only */
  /** uvdio_sim_sync_directory() only: POSIX promises no more (fsync(2)) */
  UVDIO_SIM_ENTRY_BY_DIRECTORY
} uvdio_sim_entry_t;

/** The result of every operation on a dead engine: of all that were pending at the crash or power
 * cut, and of every later one. Closes return 0. */
#define UVDIO_SIM_DEAD UV_ENODEV

/** @} */

/**
 * @defgroup what_outlives_a_crash What survives a crash
 *
 * A crash (SIGKILL, an abort, an exit with pending requests) ends engines; the machine keeps
 * running. All completed changes stay as programs saw them, and are as durable as before: a later
 * power cut may lose them. Operations in flight:
 *
 *   write      continues without its program, as with io_uring. By the seed it never lands, or
 *              lands as a whole, or sector by sector, where each sector never lands or lands at a
 *              step of its own. It may land at once, or after a successor has opened, read,
 *              truncated, overwritten and synced the file, but within landing_max steps. It has the
 *              effect of a write at that moment: it overwrites what others have written there
 *              meanwhile, extends the file if it ends past the file's end, and is not durable, with
 *              or without UVDIO_O_DSYNC, until a sync that starts after it.
 *   other changes, open   take effect before the crash ends, or never.
 *
 * No operation of a successor's engine prevents a write from landing or waits for it. The successor
 * must wait, as real programs do by a lock on the open file, which the kernel releases after the
 * last of these writes. Where the program that crashed had the file locked (UVDIO_O_LOCK_*), opens
 * that ask for a lock get UVDIO_ELOCKED until then. uvdio_sim_settle() simulates that wait. A
 * program that waits survives every crash; a program that does not wait is found out. At a power
 * cut, writes that have not landed are changes in flight like all others: they land, and survive or
 * are lost by the cut, or never land.
 * @{
 */

/** @} */

/**
 * @defgroup faults_of_a_world Faults of a world
 *
 * Rules (uvdio/faults.h) choose which operations fail, and a callback may choose for the rest.
 * @{
 */

/** Chooses a fault by setting the fields of `fault`, which is zeroed before the call: no fault.
 * Called once for each operation to which no rule applied, in a loop iteration or during a
 * synchronous operation. It must not call any function of the library except
 * uvdio_sim_random(). */
typedef void (*uvdio_sim_fault_cb)(void* data, const uvdio_fault_event_t* event,
                                   uvdio_fault_t* fault);

/** uvdio_sim_add_rule() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_add_rule_sized(uvdio_sim_t* sim, const uvdio_fault_rule_t* rule,
                                          size_t size);

/** Adds a rule. Rules are evaluated in the order in which they were added, until one has a fault.
 * Errors: UV_EINVAL (unknown operation, fault or cut, a wait for frames, an error above 0, ppm over
 * a million), UV_ENOMEM. */
static inline int uvdio_sim_add_rule(uvdio_sim_t* sim, const uvdio_fault_rule_t* rule) {
  return uvdio_sim_add_rule_sized(sim, rule, sizeof(uvdio_fault_rule_t));
}

/** Removes all rules. Damaged sectors stay damaged. */
UVDIO_EXTERN int uvdio_sim_clear_rules(uvdio_sim_t* sim);

/** uvdio_sim_rule_info() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_rule_info_sized(const uvdio_sim_t* sim, unsigned index,
                                           uvdio_fault_rule_info_t* info, size_t size);

/** Tells of the rule that was added as the `index`-th, from 0 on. Errors: UV_ENOENT (there are
 * fewer). */
static inline int uvdio_sim_rule_info(const uvdio_sim_t* sim, unsigned index,
                                      uvdio_fault_rule_info_t* info) {
  return uvdio_sim_rule_info_sized(sim, index, info, sizeof(uvdio_fault_rule_info_t));
}

/** @} */

/**
 * @defgroup worlds Worlds
 * @{
 */

/** Receives the trace, one line per call, without a newline and valid during the call only. A line
 * has the step, operation, path, range, result, fault, and a checksum of the data that was read:
 * nothing that differs between two runs with one seed, unless the program writes what differs. It
 * must not call any function of the
 * library. */
typedef void (*uvdio_sim_trace_cb)(void* data, const char* line);

/** Operations complete in the order in which they reached the disk; after a crash, writes land in
 * that order. */
#define UVDIO_SIM_IN_ORDER 1u

/** Options of a world. */
typedef struct uvdio_sim_options_s {
  uint64_t seed; /**< determines all random decisions */
  /** bytes, a power of two from 512 to 4096; 0: 512. The alignment for UVDIO_O_NATIVE_ALIGN */
  uint32_t sector_size;
  uint32_t latency_min; /**< minimum number of steps from submission to completion */
  /** maximum number of steps; the seed chooses, so that operations overtake each other; 0: 8, or
   * latency_min where that is more */
  uint32_t latency_max;
  unsigned flags; /**< UVDIO_SIM_IN_ORDER */
  /** maximum number of bytes per file that are written and not durable. Beyond it the oldest become
   * durable, as a disk writes back its cache; 0: 4 MiB */
  size_t cache_size;
  uint32_t landing_max;        /**< number of steps after a crash in which writes land; 0: 64 */
  uvdio_sim_entry_t entries;   /**< what makes a new file's directory entry durable */
  uvdio_sim_fault_cb on_fault; /**< chooses faults; may be null */
  uvdio_sim_trace_cb on_trace; /**< receives the trace; may be null */
  void* data;                  /**< argument of both callbacks */
  /** Bytes of the smallest and of the largest write by UVDIO_WRITE_ATOMIC, powers of two, not below
   * sector_size; both 0: there are none, and such a write is refused (UVDIO_EATOMIC). */
  uint32_t atomic_min;
  uint32_t atomic_max; /**< see atomic_min */
} uvdio_sim_options_t;

/** Counters since the world was created, and current values ("now"). */
typedef struct uvdio_sim_stats_s {
  uint64_t steps;        /**< the world's time */
  uint64_t operations;   /**< operations that reached the disk; parts of transfers count one each */
  uint64_t faults;       /**< faults that took effect */
  uint64_t cuts;         /**< power cuts */
  uint64_t crashes;      /**< crashes of programs */
  uint64_t killed;       /**< operations in flight at a crash or a power cut, except at
                            UVDIO_SIM_CUT_NOTHING */
  uint64_t landed;       /**< pieces of writes that landed after their program's crash */
  uint64_t landing;      /**< now: pieces that are still to land. 0: from now on only live engines
                            change the disk */
  uint64_t sectors_kept; /**< at power cuts: sectors that were not durable and survived */
  uint64_t sectors_lost; /**< at power cuts: sectors that were not durable and were lost */
  uint64_t entries_lost; /**< at power cuts: new files that were lost */
  uint64_t dirty;        /**< now: bytes that are written and not durable */
  unsigned files;        /**< now: files */
  unsigned engines;      /**< now: engines that are not closed, including dead ones */
} uvdio_sim_stats_t;

/** uvdio_sim_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_create_sized(uvdio_sim_t** sim, const uvdio_sim_options_t* options,
                                        size_t size);

/** Creates a world without files. `options` may be null; it is copied. Errors: UV_EINVAL (invalid
 * sector size or sizes of atomic writes, unknown flag or enumerator, latency_min above a
 * latency_max that is not 0), UV_ENOMEM. */
static inline int uvdio_sim_create(uvdio_sim_t** sim, const uvdio_sim_options_t* options) {
  return uvdio_sim_create_sized(sim, options, sizeof(uvdio_sim_options_t));
}

/** Frees the world and all of its files. Errors: UV_EBUSY (an engine on it is not closed yet). */
UVDIO_EXTERN int uvdio_sim_destroy(uvdio_sim_t* sim);

/** uvdio_sim_engine_create() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_sim_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop,
                                               uvdio_sim_t* sim,
                                               const uvdio_engine_options_t* options, size_t size);

/** Creates an engine as uvdio_engine_create() does, on the world's disk instead of the machine's.
 * The backend is called "memory". Paths are names, compared byte by byte. Any number of engines may
 * be on one world. Errors: those of uvdio_engine_create(), and UV_EINVAL if `options` requests a
 * backend other than AUTO or MEMORY. */
static inline int uvdio_sim_engine_create(uvdio_engine_t** engine, uv_loop_t* loop,
                                          uvdio_sim_t* sim, const uvdio_engine_options_t* options) {
  return uvdio_sim_engine_create_sized(engine, loop, sim, options, sizeof(uvdio_engine_options_t));
}

/** Cuts the power, at any time, also from a callback. The disk then holds the data that survives.
 * Every engine on the world is dead; the callbacks of its pending requests get UVDIO_SIM_DEAD, in
 * later iterations. The power is back immediately: a new engine may be created before the dead ones
 * are closed. A log of a dead engine is ended in one of two ways: close the engine, run the loop
 * until that has ended, then free the log's readers (uvdio_log_reader_destroy()) and the log
 * (uvdio_log_destroy(), behind which the loop runs once more); or close readers and log before the
 * engine (uvdio_log_close(), whose callback gets UVDIO_SIM_DEAD). Errors: UV_EINVAL (unknown cut),
 * UV_ENOMEM (content is lost: the world is unusable, and its operations fail with UV_ENOMEM). */
UVDIO_EXTERN int uvdio_sim_power_cut(uvdio_sim_t* sim, uvdio_sim_cut_t cut);

/** Crashes the program that owns `engine`, at any time, also from a callback; null: all programs on
 * the world. The engine's pending requests end with UVDIO_SIM_DEAD, as after a power cut. A new
 * engine may be created immediately. A program dies with all of its engines: where another one has
 * a handle of the same open file (uvdio_dup()), crash it as well, or its handle is latched by
 * UVDIO_SIM_DEAD. Errors: UV_EINVAL (no such engine, or a dead one), UV_ENOMEM
 * (as for power cuts). */
UVDIO_EXTERN int uvdio_sim_crash(uvdio_sim_t* sim, const uvdio_engine_t* engine);

/** Advances the world's time until all writes of crashed programs that are to land have landed;
 * operations of other engines don't complete meanwhile. A successor that waits for a lock on the
 * file sees the same. Returns the number of pieces that landed, or UV_ENOMEM (as for power cuts). A
 * test that checks each step runs its engine instead, until the counter `landing` is 0. */
UVDIO_EXTERN int64_t uvdio_sim_settle(uvdio_sim_t* sim);

/** Makes the directory entries of all files durable, as fsync(2) on the directory does. */
UVDIO_EXTERN int uvdio_sim_sync_directory(uvdio_sim_t* sim);

/** Returns a random number below `limit` from the world's seed, for decisions of the program under
 * test; 0 if `limit` is 0. */
UVDIO_EXTERN uint64_t uvdio_sim_random(uvdio_sim_t* sim, uint64_t limit);

/** uvdio_sim_stats() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_stats_sized(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats,
                                       size_t size);

/** Copies the counters. */
static inline int uvdio_sim_stats(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats) {
  return uvdio_sim_stats_sized(sim, stats, sizeof(uvdio_sim_stats_t));
}

/** Returns a hash over all operations, their results and all random decisions, but not over file
 * content. Equal runs have equal digests; runs that differ have different ones. */
UVDIO_EXTERN uint64_t uvdio_sim_digest(const uvdio_sim_t* sim);

/** @} */

/**
 * @defgroup the_disk_from_outside The disk from outside
 *
 * These functions access the disk without an engine: immediately, without faults, and without
 * advancing the world's time. Each of them returns UV_ENOENT if the file does not exist.
 * @{
 */

/** Returns the file's size in bytes: as programs see it, or on the disk, as it would be after
 * UVDIO_SIM_CUT_NOTHING. */
UVDIO_EXTERN int64_t uvdio_sim_size(const uvdio_sim_t* sim, const char* path, int on_disk);

/** Copies bytes out of the file, as programs see it or as it is on the disk. Returns the number of
 * bytes, which is less than `length` at the file's end. */
UVDIO_EXTERN int64_t uvdio_sim_peek(const uvdio_sim_t* sim, const char* path, int on_disk,
                                    void* base, size_t length, uint64_t offset);

/** Writes bytes into the file, and creates the file if it does not exist; both are durable at once.
 * Errors: UV_EINVAL (invalid path), UVDIO_EOFFSET, UV_ENOMEM; never UV_ENOENT. */
UVDIO_EXTERN int uvdio_sim_poke(uvdio_sim_t* sim, const char* path, const void* base, size_t length,
                                uint64_t offset);

/** Flips one seeded bit in each sector that the range touches, on the disk and as programs see it.
 * Changes that are not durable yet stay intact, and replace the corrupted content when they become
 * durable. */
UVDIO_EXTERN int uvdio_sim_corrupt(uvdio_sim_t* sim, const char* path, uint64_t offset,
                                   uint64_t length);

/** Makes every sector that the range touches unreadable: reads that touch one fail with UV_EIO
 * until it is overwritten as a whole or truncated. A power cut does not repair it. Errors:
 * UV_ENOMEM (some of the sectors may be damaged). */
UVDIO_EXTERN int uvdio_sim_damage(uvdio_sim_t* sim, const char* path, uint64_t offset,
                                  uint64_t length);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_SIM_H */
