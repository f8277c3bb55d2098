/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/faults.h
 * Faults on demand, for testing how a program takes errors, short transfers and slow devices: by
 * operation, path and range, and by chance from a seed. Unstable: this header may change at any
 * release.
 *
 *   A rule (uvdio_fault_rule_t) says which operations get which fault. Rules are an engine's, on
 *   whatever backend (uvdio_engine_add_rule()), or a simulated world's (uvdio_sim_add_rule() in
 *   uvdio/sim.h, which has more kinds of faults, and power cuts).
 *
 *     uvdio_fault_rule_t third_write_is_refused = {.op = UVDIO_OP_WRITE,
 *                                                  .path = "*.wal",
 *                                                  .skip = 2,
 *                                                  .times = 1,
 *                                                  .fault = {.kind = UVDIO_FAULT_ERROR,
 *                                                            .error = UV_ENOSPC}};
 *
 *     uvdio_engine_add_rule(engine, &third_write_is_refused);
 *
 * The program under test is run as it is: it sees what it would see of a disk or filesystem that
 * does so, with the library's answers to it (a failed sync latches its file, a short transfer goes
 * on with its rest, an interrupted operation is repeated). An engine that never had a rule spends
 * nothing on this.
 */
#ifndef UVDIO_FAULTS_H
#define UVDIO_FAULTS_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup faults Faults
 *
 * Engines know ERROR, SHORT and DELAY; the other kinds need a world's disk.
 * @{
 */

/** The kind of a fault. */
typedef enum {
  UVDIO_FAULT_NONE = 0, /**< no fault */
  /** Any operation. It fails with `error` and changes nothing. With UV_EINTR and UV_EAGAIN the
   * library repeats it.
   *
   * On an engine it does not reach the backend, so that after a failed sync or durable write the
   * system may hold what it would have made durable, and a later sync of another handle's would
   * succeed. A close can't fail: it would leave the descriptor open.
   *
   * In a world a close that fails has closed the file all the same, and a sync fails as on Linux: a
   * seeded subset of the sectors that it should have made durable is durable, and the rest never
   * becomes durable, because the kernel marks it clean. Programs see these sectors until the next
   * power cut, and the next sync succeeds without writing them (Rebello et al., ATC 2020). With
   * UV_EINTR and UV_EAGAIN a sync changes nothing either. */
  UVDIO_FAULT_ERROR,
  /** A write, in a world. It fails with `error` after a seeded subset of its sectors was
   * written. */
  UVDIO_FAULT_TORN,
  /** A read or write. It transfers at most `length` bytes, rounded down to a multiple of the file's
   * alignment (in a world writes: of the sector size; buffered files on an engine: of 512 bytes),
   * but at least one unit; 0: a seeded number of units. The library continues with the rest, which
   * is another operation to the rules. Writes by UVDIO_WRITE_ATOMIC are not short. */
  UVDIO_FAULT_SHORT,
  /** A write, in a world. It reports success and changes nothing but the file's size. */
  UVDIO_FAULT_LOST,
  /** A read, in a world: one seeded bit of the returned data is wrong; the disk is unchanged. A
   * write: one bit of the stored data is wrong. */
  UVDIO_FAULT_CORRUPT,
  /** A read or write, in a world. It reports success, but accessed another, seeded offset of the
   * file. If the file is too short for another offset, a read is correct and a write is lost. */
  UVDIO_FAULT_MISDIRECT,
  /** A read, in a world. A seeded sector of its range becomes unreadable (see uvdio_sim_damage),
   * and the read fails with `error`. */
  UVDIO_FAULT_LATENT,
  /** Any operation with a callback. In a world it completes `steps` later. On an engine it begins
   * `delay_ms` later, and counts as running all that time: its buffer is the library's, it has one
   * of the engine's `depth` places, and what is ordered behind it waits. The loop sleeps meanwhile.
   * A cancellation ends the operation at once, with UV_ECANCELED; uvdio_engine_close() ends the
   * delay, and the operation begins. */
  UVDIO_FAULT_DELAY,
  /** Any operation, in a world. A power cut, or a crash of all programs (`cut`), while the
   * operation is in flight. */
  UVDIO_FAULT_CUT
} uvdio_fault_kind_t;

/** Which changes that are not durable survive, in a world. */
typedef enum {
  /** a seeded subset: none, few, half, most or all of them */
  UVDIO_SIM_CUT_SEEDED = 0,
  UVDIO_SIM_CUT_NOTHING, /**< none: the disk holds the durable changes only */
  UVDIO_SIM_CUT_CRASH    /**< no power cut: all programs crash, but not the machine (uvdio/sim.h) */
} uvdio_sim_cut_t;

/** A fault. It has no effect on operations that it does not apply to (SHORT on a sync). */
typedef struct uvdio_fault_s {
  uvdio_fault_kind_t kind; /**< the kind of the fault */
  int error;               /**< UV_E*, negative; 0: UV_EIO */
  uint32_t steps;          /**< DELAY, in a world */
  size_t length;           /**< SHORT: bytes */
  uvdio_sim_cut_t cut;     /**< CUT */
  uint32_t delay_ms;       /**< DELAY, on an engine: milliseconds, at least */
} uvdio_fault_t;

/** An operation that is about to take effect. Each part of a short transfer is an event. */
typedef struct uvdio_fault_event_s {
  uint64_t number;  /**< 1 for the first of this world */
  uint64_t step;    /**< of the world */
  uvdio_op_t op;    /**< which operation */
  const char* path; /**< valid during the call */
  uint64_t offset;  /**< bytes; for truncate the requested length, for set_hint the value */
  size_t length;    /**< bytes; 0 unless the operation is a transfer */
  /** bytes from `offset` on of a preallocate, punch_hole or zero_range; 0 for all others */
  uint64_t span;
} uvdio_fault_event_t;

/** Injects faults. The rule matches operations by `op`, `path` and range. The first `skip`
 * operations that match get no fault; each later one gets it with the probability `ppm`, until
 * `times` operations have got it.
 *
 * A write that a sync makes durable (uvdio_write_flags()) is two operations: the write, and a
 * UVDIO_OP_SYNC_DATA. Syncs that share one are one, as is a replace, or an open. What the system
 * has repeated, and what moves from one backend to another, is not counted twice; what a fault has
 * repeated (UV_EINTR, UV_EAGAIN) is another operation. */
typedef struct uvdio_fault_rule_s {
  uvdio_op_t op; /**< UVDIO_OP_NONE: any */
  /** as given to uvdio_open, where each `*` stands for any characters, or none; null: any. Copied.
   * Of operations on names the first path; of files that were adopted "" */
  const char* path;
  uint64_t offset;     /**< bytes; transfers that touch [offset, offset + length) */
  uint64_t length;     /**< bytes; 0: any offset, and operations that are no transfers */
  uint64_t skip;       /**< number of matching operations that get no fault */
  uint64_t times;      /**< maximum number of faults; 0: unlimited */
  uint32_t ppm;        /**< parts per million; 0: always */
  uvdio_fault_t fault; /**< the fault */
} uvdio_fault_rule_t;

/** A rule, and what it has done. */
typedef struct uvdio_fault_rule_info_s {
  uvdio_op_t op;           /**< as in the rule */
  const char* path;        /**< as in the rule, until the rules are cleared; null: any */
  uvdio_fault_kind_t kind; /**< of its fault */
  int error;               /**< of its fault */
  uint64_t matched;        /**< number of operations that matched */
  uint64_t fired;          /**< number of those that got the fault */
} uvdio_fault_rule_info_t;

/** @} */

/**
 * @defgroup faults_of_an_engine Faults of an engine
 *
 * An engine's rules look at each operation when it is about to go to the backend, in the order in
 * which that happens: `depth` operations at a time, and what waits for others of its file after
 * them. A program whose operations come in the same order each time gets the same faults each time;
 * the kernel's order counts where callbacks submit. A synchronous operation (null callback) is
 * looked at in its call, and not delayed.
 *
 * Loop thread; without the loop running, any one thread. Each function returns UV_EINVAL for a null
 * pointer, UV_EBADF (the engine is closed, or the user has closed its handles), UVDIO_EFORK or
 * UVDIO_ETHREAD.
 * @{
 */

/** uvdio_engine_add_rule() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN int uvdio_engine_add_rule_sized(uvdio_engine_t* engine, const uvdio_fault_rule_t* rule,
                                             size_t size);

/** Adds a rule, for operations that have not gone to the backend yet. Rules are evaluated in the
 * order in which they were added, until one has a fault. Errors: UV_EINVAL (unknown operation or
 * fault, a wait for frames, an error above 0, ppm over a million, a DELAY without delay_ms),
 * UV_ENOTSUP (a kind that only worlds have; an ERROR for closes; an engine on a world), UV_ENOMEM.
 */
static inline int uvdio_engine_add_rule(uvdio_engine_t* engine, const uvdio_fault_rule_t* rule) {
  return uvdio_engine_add_rule_sized(engine, rule, sizeof(uvdio_fault_rule_t));
}

/** Removes all rules. What is delayed stays so until its time. */
UVDIO_EXTERN int uvdio_engine_clear_rules(uvdio_engine_t* engine);

/** Sets the seed by which rules with `ppm`, and SHORT without `length`, decide; 0 until then.
 * Errors: UV_ENOTSUP (an engine on a world), UV_ENOMEM. */
UVDIO_EXTERN int uvdio_engine_seed_rules(uvdio_engine_t* engine, uint64_t seed);

/** uvdio_engine_rule_info() for bindings: `size` is that of the structure in the caller's
 * header. */
UVDIO_EXTERN int uvdio_engine_rule_info_sized(const uvdio_engine_t* engine, unsigned index,
                                              uvdio_fault_rule_info_t* info, size_t size);

/** Tells of the rule that was added as the `index`-th, from 0 on. Errors: UV_ENOENT (there are
 * fewer). */
static inline int uvdio_engine_rule_info(const uvdio_engine_t* engine, unsigned index,
                                         uvdio_fault_rule_info_t* info) {
  return uvdio_engine_rule_info_sized(engine, index, info, sizeof(uvdio_fault_rule_info_t));
}

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_FAULTS_H */
