/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/sim.h
 * Simulated disks, for testing code that has to survive what real ones do. Unstable: this header
 * may change at any release.
 *
 *   A world (uvdio_sim_t) is a disk with files on it. Engines are put on it with
 *   uvdio_sim_engine_create() and work like any other; the world outlives them. So a test of a log
 *   or a pager runs like this:
 *
 *     1. make a world from a seed;
 *     2. put an engine on it, and run the program under test on that engine;
 *     3. uvdio_sim_power_cut(): every engine on the world is dead, the disk is what a power cut has
 *        left of it; or uvdio_sim_crash(): the program is dead, and what it had on its way to the
 *        disk may come later;
 *     4. close the dead engine, put a fresh one on the world, let the program recover, and look at
 *        what it found;
 *     5. go on at 3, or with the next seed.
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
 *     uv_run(loop, UV_RUN_DEFAULT);                        (what was pending ends with UV_ENODEV)
 *     uvdio_sim_engine_create(&engine, loop, sim, NULL);               (recover)
 *
 * What holds everywhere:
 *
 *   1. One seed, one run. Everything that the world decides comes from its seed and from the order
 *      in which it is used; no address, no clock, no thread has a say in it. Two runs of a program
 *      that decides nothing else by chance (uvdio_sim_random() is there for that) have the same
 *      trace and the same digest.
 *   2. Time is counted in steps. A world makes a step each time one of its engines looks for what
 *      is due: once or twice in a turn of the loop. While something is on its way the loop does not
 *      sleep, so nothing ever waits for real time.
 *   3. An operation takes effect at the moment at which it ends, as a whole. A synchronous
 *      operation (null callback) takes effect at once, in one step, overtaking whatever is on its
 *      way.
 *   4. A world, its engines and every function here belong to one thread: the one that runs the
 *      engines' loops. Nothing checks that.
 *   5. Return values are 0 (or a count) or a negative code, as everywhere; on an error nothing has
 *      changed, unless it says so. UV_EINVAL for a null pointer is not repeated.
 *
 * Not simulated: directories as such, links, permissions, renaming and removing files, a full disk
 * (a fault with UV_ENOSPC can stand for it), tearing within a sector, and reads that see half of a
 * concurrent write.
 */
#ifndef UVDIO_SIM_H
#define UVDIO_SIM_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A world. */
typedef struct uvdio_sim_s uvdio_sim_t;

/**
 * @defgroup what_survives_a_power_cut What survives a power cut
 *
 * Each file is there twice: as the running program sees it, and as it is on the disk. Between the
 * two lies what was changed and is not durable yet.
 *
 *   change                      durable
 *   write                       after a sync of that file which was started when the write had
 *                               ended
 *   write, UVDIO_O_DSYNC        when it ends: its own bytes, and the file's size. No earlier write
 *                               of the file
 *   truncate, preallocate,      after such a sync, or when a later UVDIO_O_DSYNC write of that file
 *   write past the end (size)   ends
 *   new file                    see uvdio_sim_entry_t
 *
 * sync_data and sync_all differ for new files only: content and size are durable after either
 * (fdatasync(2) promises both). A sync covers what had ended when it began, not what ended while it
 * was under way: the library holds syncs back until earlier changes have ended, and the world would
 * show if it did not.
 *
 * At a power cut, of what is not durable, and of every change on its way to the disk at that moment
 * (UVDIO_O_DSYNC or not), a seeded subset survives:
 *
 *   - sector by sector: each sector of each write survives or does not, whatever became of its
 *     neighbours. What was there before shows where it does not; zeros where nothing was. Where
 *     several writes went to one sector, any of them may be the one that shows. A sector itself is
 *     never torn.
 *   - sizes in order: if a change of a file's size is lost, so are all later ones. Content past the
 *     size is gone. But size and content don't know of each other: a file may have become longer
 *     without the bytes that made it so.
 *   - new files each by itself. A file whose entry is lost is lost with everything in it, durable
 *     or not.
 *
 * Requests that wait in the library (more than `depth`, or a sync behind writes) have not reached
 * the disk. A sync on its way has no effect of its own. Files are open no more; what was opened on
 * a dead engine has to be opened anew.
 * @{
 */

/** What makes a new file's directory entry durable. */
typedef enum {
  /** any sync of that file, or the end of a UVDIO_O_DSYNC write: as ext4, xfs and btrfs do */
  UVDIO_SIM_ENTRY_BY_SYNC = 0,
  UVDIO_SIM_ENTRY_BY_SYNC_ALL, /**< uvdio_sync_all() only */
  /** uvdio_sim_sync_directory() only: all that POSIX promises (fsync(2)) */
  UVDIO_SIM_ENTRY_BY_DIRECTORY
} uvdio_sim_entry_t;

/** What becomes of changes that are not durable. */
typedef enum {
  /** a seeded subset survives: now none, now few, half, most or all of them */
  UVDIO_SIM_CUT_SEEDED = 0,
  UVDIO_SIM_CUT_NOTHING, /**< none survives: the disk is as the last syncs left it */
  UVDIO_SIM_CUT_CRASH    /**< no power cut: every program crashes, not the machine; see below */
} uvdio_sim_cut_t;

/** What every operation on a dead engine ends with: those that were pending at the crash or power
 * cut, wherever they were, and every later one. Closes end with 0. */
#define UVDIO_SIM_DEAD UV_ENODEV

/** @} */

/**
 * @defgroup what_outlives_a_crash What outlives a crash
 *
 * A crash (SIGKILL, an abort, an exit with requests pending) ends engines and leaves the machine as
 * it is. All that had ended stays, as programs saw it and no more durable than it was: a power cut
 * may take it yet. Of what was on its way to the disk:
 *
 *   write      goes on without its program, as with io_uring: by the seed it never lands, or as a
 *              whole, or sector by sector, each of these never or at a step of its own. That may be
 *              before anybody looks, or after a successor has opened, read, truncated, written over
 *              and synced the file, in landing_max steps at the latest. It lands as a write of that
 *              moment: over what others have written there meanwhile, past the end if need be, and
 *              not durable, UVDIO_O_DSYNC or not, until a sync begins after it.
 *   truncate, preallocate, open   is done before the crash is over, or never.
 *
 * Nothing that a successor does through an engine stops a write from landing or waits for it: it
 * has to wait, as real ones do for a lock on the open file, which the kernel lets go of after the
 * last of these writes. uvdio_sim_settle() stands for that wait. A program that waits comes
 * through every crash, and one that does not wait is caught. At a power cut, what has not landed
 * is on its way like everything else: it lands, and is subject to the cut, or never does.
 * @{
 */

/** @} */

/**
 * @defgroup faults Faults
 * @{
 */

/** What happens to an operation. */
typedef enum {
  UVDIO_SIM_NONE = 0, /**< no fault */
  /** Any operation. It fails with `error` and changes nothing, with one exception: a sync. That
   * fails as on Linux: of the sectors that it should have made durable a seeded subset is, and the
   * rest never will be, because the kernel takes them for clean. The program sees them until the
   * next power cut, and a further sync succeeds without them (Rebello et al., ATC 2020). UV_EINTR
   * and UV_EAGAIN change nothing for syncs, too: the library repeats those. */
  UVDIO_SIM_ERROR,
  /** A write. It fails with `error`, and a seeded subset of its sectors has been written. */
  UVDIO_SIM_TORN,
  /** A read or write. It moves `length` bytes at most, rounded down to whole units of the file's
   * alignment, for a write to whole sectors, but at least one; 0: a seeded number of units. The
   * library takes up the rest. */
  UVDIO_SIM_SHORT,
  /** A write. It ends well and was never made, but for the file's size. */
  UVDIO_SIM_LOST,
  /** A read: one seeded bit of what is delivered is wrong; the disk is not. A write: one bit of
   * what is stored is wrong. */
  UVDIO_SIM_CORRUPT,
  /** A read or write. It ends well, but went to another place of the file, a seeded one. Where a
   * file is too short to have another, a read is as it should be and a write lost. */
  UVDIO_SIM_MISDIRECT,
  /** A read. A seeded sector of its range becomes unreadable (see uvdio_sim_damage), and it fails
   * with `error`. */
  UVDIO_SIM_LATENT,
  /** Any operation with a callback. It ends `steps` later than it would have. */
  UVDIO_SIM_DELAY,
  /**
   * Any operation. The power goes off, or all programs crash (`cut`), with the operation on its way
   * to the disk. */
  UVDIO_SIM_CUT
} uvdio_sim_kind_t;

/** A fault that does not apply to the operation (LOST for a read) is none. */
typedef struct uvdio_sim_fault_s {
  uvdio_sim_kind_t kind; /**< what happens */
  int error;             /**< UV_E*, negative; 0: UV_EIO */
  uint32_t steps;        /**< DELAY */
  size_t length;         /**< SHORT: bytes */
  uvdio_sim_cut_t cut;   /**< CUT */
} uvdio_sim_fault_t;

/** An operation that is about to take effect. A transfer that comes in several parts is several. */
typedef struct uvdio_sim_event_s {
  uint64_t number;  /**< 1 for the first of this world */
  uint64_t step;    /**< of the world */
  uvdio_op_t op;    /**< which operation */
  const char* path; /**< valid during the call */
  uint64_t offset;  /**< bytes; for truncate and preallocate the length asked for */
  size_t length;    /**< bytes; 0 for what is no transfer */
} uvdio_sim_event_t;

/** Decides about a fault by filling in `fault`, which comes zeroed: no fault. Called once per
 * operation for which no rule had one, in a turn of the loop, or during a synchronous operation.
 * It must call no function of the library but uvdio_sim_random(). */
typedef void (*uvdio_sim_fault_cb)(void* data, const uvdio_sim_event_t* event,
                                   uvdio_sim_fault_t* fault);

/** Faults without a function of one's own. An operation that matches all of `op`, `path` and range
 * counts; of those that count, the first `skip` pass, then `times` are struck, each with the
 * probability `ppm`. */
typedef struct uvdio_sim_rule_s {
  uvdio_op_t op;           /**< UVDIO_OP_NONE: any */
  const char* path;        /**< as given to uvdio_open; null: any. Copied */
  uint64_t offset;         /**< bytes; transfers that touch [offset, offset + length) */
  uint64_t length;         /**< bytes; 0: wherever, transfer or not */
  uint64_t skip;           /**< so many that match go unharmed first */
  uint64_t times;          /**< 0: for good */
  uint32_t ppm;            /**< parts per million; 0: always */
  uvdio_sim_fault_t fault; /**< what the others get */
} uvdio_sim_rule_t;

/** uvdio_sim_add_rule() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_add_rule_sized(uvdio_sim_t* sim, const uvdio_sim_rule_t* rule,
                                          size_t size);

/** Adds a rule. They are asked in the order in which they were added, until one has a fault.
 * Errors: UV_EINVAL (unknown operation, fault or cut, an error above 0, ppm over a million),
 * UV_ENOMEM. */
static inline int uvdio_sim_add_rule(uvdio_sim_t* sim, const uvdio_sim_rule_t* rule) {
  return uvdio_sim_add_rule_sized(sim, rule, sizeof(uvdio_sim_rule_t));
}

/** Removes every rule. What was damaged stays so. */
UVDIO_EXTERN int uvdio_sim_clear_rules(uvdio_sim_t* sim);

/** @} */

/**
 * @defgroup worlds Worlds
 * @{
 */

/** Receives the trace, one line per call, without a newline and valid during the call only. Lines
 * hold steps, operations, paths, ranges, results, faults, and a checksum of what was read: nothing
 * that differs between two runs of one seed. It must call no function of the library. */
typedef void (*uvdio_sim_trace_cb)(void* data, const char* line);

/** Operations end in the order in which they reached the disk. After a crash writes land in it. */
#define UVDIO_SIM_IN_ORDER 1u

/** What a world is made from. */
typedef struct uvdio_sim_options_s {
  uint64_t seed; /**< of everything that is drawn by chance */
  /** bytes, a power of two from 512 to 4096; 0: 512. What UVDIO_O_NATIVE_ALIGN asks for */
  uint32_t sector_size;
  uint32_t latency_min; /**< steps from submission to the end of an operation: at least these ... */
  /** ... and at most these, seeded, so that operations overtake each other; 0: 8, or latency_min
   * where that is more */
  uint32_t latency_max;
  unsigned flags; /**< UVDIO_SIM_IN_ORDER */
  /** bytes per file that may be written and not durable. What is more becomes durable, oldest
   * first, as a disk empties its cache; 0: 4 MiB */
  size_t cache_size;
  uint32_t landing_max;        /**< steps after a crash in which writes may still land; 0: 64 */
  uvdio_sim_entry_t entries;   /**< what makes a new file's directory entry durable */
  uvdio_sim_fault_cb on_fault; /**< may be null, as may on_trace */
  uvdio_sim_trace_cb on_trace; /**< receives the trace; may be null */
  void* data;                  /**< for both */
} uvdio_sim_options_t;

/** Counted since the world was made. */
typedef struct uvdio_sim_stats_s {
  uint64_t steps;        /**< the world's time */
  uint64_t operations;   /**< that reached the disk, parts of transfers each by themselves */
  uint64_t faults;       /**< drawn, and applied */
  uint64_t cuts;         /**< of the power */
  uint64_t crashes;      /**< of programs */
  uint64_t killed;       /**< operations that were on their way at a crash or a power cut, but for
                            UVDIO_SIM_CUT_NOTHING */
  uint64_t landed;       /**< pieces of writes, after their program's crash */
  uint64_t landing;      /**< now: pieces that are going to. 0: from now on only living engines
                            change anything */
  uint64_t sectors_kept; /**< at power cuts: not durable, and survived */
  uint64_t sectors_lost; /**< at power cuts: not durable, and did not */
  uint64_t entries_lost; /**< at power cuts: new files that vanished */
  uint64_t dirty;        /**< now: bytes written and not durable */
  unsigned files;        /**< now */
  unsigned engines;      /**< now: on this world and not yet closed, dead ones included */
} uvdio_sim_stats_t;

/** uvdio_sim_create() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_create_sized(uvdio_sim_t** sim, const uvdio_sim_options_t* options,
                                        size_t size);

/** Makes a world without files. `options` may be null; it is copied. Errors: UV_EINVAL (sector
 * size, unknown flag or enumerator, latency_min over a latency_max that is not 0), UV_ENOMEM. */
static inline int uvdio_sim_create(uvdio_sim_t** sim, const uvdio_sim_options_t* options) {
  return uvdio_sim_create_sized(sim, options, sizeof(uvdio_sim_options_t));
}

/** Frees the world with all of its files. Errors: UV_EBUSY (an engine on it is not closed yet). */
UVDIO_EXTERN int uvdio_sim_destroy(uvdio_sim_t* sim);

/** uvdio_sim_engine_create() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_sim_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop,
                                               uvdio_sim_t* sim,
                                               const uvdio_engine_options_t* options, size_t size);

/** As uvdio_engine_create(), on the world's disk instead of the machine's. The backend is called
 * "memory". Paths are names, compared byte by byte. Any number of engines may be on one world.
 * Errors: those of uvdio_engine_create(); UV_EINVAL also where `options` asks for another backend
 * than AUTO or MEMORY. */
static inline int uvdio_sim_engine_create(uvdio_engine_t** engine, uv_loop_t* loop,
                                          uvdio_sim_t* sim, const uvdio_engine_options_t* options) {
  return uvdio_sim_engine_create_sized(engine, loop, sim, options, sizeof(uvdio_engine_options_t));
}

/** Cuts the power, at any time, also from a callback: the disk becomes what survives, every engine
 * on the world is dead from here on, and what they had pending ends with UVDIO_SIM_DEAD in its
 * callback, in later turns. The power is back at once: a new engine may be put on the world before
 * the dead ones are closed. Errors: UV_EINVAL (unknown cut), UV_ENOMEM (content is lost: the world
 * is of no use any more, and its operations fail with UV_ENOMEM). */
UVDIO_EXTERN int uvdio_sim_power_cut(uvdio_sim_t* sim, uvdio_sim_cut_t cut);

/** Crashes the program that has the engine `engine`, at any time, also from a callback; null: all
 * programs on the world. What the engine had pending ends with UVDIO_SIM_DEAD, as after a power
 * cut. A new engine may be put on the world at once.
 * Errors: UV_EINVAL (no such engine, or a dead one), UV_ENOMEM (as for power cuts). */
UVDIO_EXTERN int uvdio_sim_crash(uvdio_sim_t* sim, const uvdio_engine_t* engine);

/** Lets steps pass until every write of a crashed program that is going to land has landed; other
 * engines' operations don't end meanwhile. It is what a successor that waits for a lock on the file
 * sees, in one call. Returns how many pieces landed, or UV_ENOMEM (as for power cuts). A test that
 * wants to look at each step instead goes on with its engine until `landing` of the counters is
 * 0. */
UVDIO_EXTERN int64_t uvdio_sim_settle(uvdio_sim_t* sim);

/** Makes every file's directory entry durable: what a program does with fsync(2) on the
 * directory. */
UVDIO_EXTERN int uvdio_sim_sync_directory(uvdio_sim_t* sim);

/** A number below `limit` from the world's seed, for a program's own decisions; 0 for a limit of
 * 0. */
UVDIO_EXTERN uint64_t uvdio_sim_random(uvdio_sim_t* sim, uint64_t limit);

/** uvdio_sim_stats() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_sim_stats_sized(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats,
                                       size_t size);

/** Copies the counters. */
static inline int uvdio_sim_stats(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats) {
  return uvdio_sim_stats_sized(sim, stats, sizeof(uvdio_sim_stats_t));
}

/** A number made of every operation, its result, and everything drawn by chance, but not of file
 * content: equal for two equal runs, different for two that went different ways. */
UVDIO_EXTERN uint64_t uvdio_sim_digest(const uvdio_sim_t* sim);

/** @} */

/**
 * @defgroup the_disk_from_outside The disk from outside
 *
 * Past every engine, at once, without faults or steps. Errors of all of these: UV_ENOENT (no such
 * file).
 * @{
 */

/** The file's size in bytes: as a program sees it, or on the disk, where it would be after
 * UVDIO_SIM_CUT_NOTHING. */
UVDIO_EXTERN int64_t uvdio_sim_size(const uvdio_sim_t* sim, const char* path, int on_disk);

/** Copies bytes out of the file, as a program sees it or as it is on the disk. Returns how many
 * there were, fewer than `length` at the file's end. */
UVDIO_EXTERN int64_t uvdio_sim_peek(const uvdio_sim_t* sim, const char* path, int on_disk,
                                    void* base, size_t length, uint64_t offset);

/** Puts bytes into the file, and makes the file if there is none; both are durable at once.
 * Errors: UV_EINVAL (a path that is none), UVDIO_EOFFSET, UV_ENOMEM; never UV_ENOENT. */
UVDIO_EXTERN int uvdio_sim_poke(uvdio_sim_t* sim, const char* path, const void* base, size_t length,
                                uint64_t offset);

/** Turns over one seeded bit in each sector that the range touches, on the disk and for programs
 * alike. Changes that are not durable yet are whole, and replace what was corrupted when they
 * become so. */
UVDIO_EXTERN int uvdio_sim_corrupt(uvdio_sim_t* sim, const char* path, uint64_t offset,
                                   uint64_t length);

/** Makes every sector that the range touches unreadable: reads that touch one fail with UV_EIO,
 * until it is written to as a whole or cut off. Power cuts don't mend it. Errors: UV_ENOMEM (some
 * of them may have become so). */
UVDIO_EXTERN int uvdio_sim_damage(uvdio_sim_t* sim, const char* path, uint64_t offset,
                                  uint64_t length);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_SIM_H */
