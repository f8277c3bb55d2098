/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/group.h
 * Groups: many reads and writes by one call, with a result for each, and one callback when all have
 * ended. Where the caller asks for it, members next to each other in a file become one request.
 *
 *     uvdio_group_t group = UVDIO_ZERO;
 *     uvdio_member_t members[2] = {UVDIO_ZERO};
 *
 *     members[0].op = UVDIO_OP_READ;
 *     members[0].file = &file;
 *     members[0].offset = 0;
 *     uvdio_buf_page(&members[0].buf);
 *     ... members[1] ...
 *     uvdio_group_submit(&group, members, 2, NULL, NULL, on_all);
 *
 *     static void on_all(uvdio_group_t* group) {
 *       members[0].result, members[0].buf, ...                      (ours again)
 *     }
 *
 * A group is made of the calls of uvdio.h, and its rules hold: a member is a request of its file
 * like any other, for order, syncs, latch and cancellation.
 */
#ifndef UVDIO_GROUP_H
#define UVDIO_GROUP_H

#include "../uvdio.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @defgroup groups Groups
 * @{
 */

typedef struct uvdio_group_s uvdio_group_t;
typedef struct uvdio_member_s uvdio_member_t;

/** The end of one member: its result and buf are set. The member stays the library's memory until
 * the group has ended. */
typedef void (*uvdio_member_cb)(uvdio_member_t* member);

/** The end of all members. The group and its members may be used again, or freed. */
typedef void (*uvdio_group_cb)(uvdio_group_t* group);

/** A read is exact: the end of the file before cap is UVDIO_ESHORTREAD (uvdio_read_exact()). */
#define UVDIO_MEMBER_EXACT (1u << 16)

/** One read or write of a group. Zeroed once, before its first use. */
struct uvdio_member_s {
  void* data;         /**< the user's; the library never touches it */
  uvdio_op_t op;      /**< UVDIO_OP_READ or UVDIO_OP_WRITE */
  unsigned flags;     /**< of a read UVDIO_MEMBER_EXACT, of a write UVDIO_WRITE_* */
  uvdio_file_t* file; /**< any file; members may have different ones, of one engine */
  uint64_t offset;    /**< bytes */
  uvdio_buf_t buf;    /**< as for uvdio_read() or uvdio_write(); back at the member's end */
  int64_t result;     /**< bytes, or a negative code; from the member's end, or its refusal, on */
  /** @cond private */
  uvdio_req_t req_;
  uvdio_group_t* group_; /* null: not pending */
  uvdio_member_t* next_; /* of those that are one request */
  uvdio_buf_t gap_;      /* what is read between them */
  void* reserved_[4];
  /** @endcond */
};

/** Several members. Zeroed once, before its first use. */
struct uvdio_group_s {
  void* data;        /**< the user's; the library never touches it */
  unsigned failed;   /**< members whose result is negative, the refused ones included */
  unsigned requests; /**< requests that the accepted members have become */
  /** @cond private */
  uvdio_member_t* members_;
  unsigned count_;
  unsigned pending_; /* members that were accepted and have not ended */
  uvdio_member_cb member_cb_;
  uvdio_group_cb cb_;
  void* reserved_[2];
  /** @endcond */
};

/** When members become one request; all zero: never. */
typedef struct uvdio_group_options_s {
  /** Bytes: the largest request that members are merged into, gaps included; of 16 buffers at most.
   * 0: none is merged. */
  size_t merge_size_max;
  /** Bytes: the largest gap between two reads that is read with them and thrown away. 0: reads are
   * merged only where one ends where the next one begins. Writes always. */
  size_t merge_gap_max;
} uvdio_group_options_t;

/** uvdio_group_submit() for bindings: `size` is that of the structure in the caller's header. */
UVDIO_EXTERN UVDIO_MUST_CHECK int uvdio_group_submit_sized(uvdio_group_t* group,
                                                           uvdio_member_t* members, unsigned count,
                                                           const uvdio_group_options_t* options,
                                                           size_t size, uvdio_member_cb member_cb,
                                                           uvdio_group_cb cb);

/** Submits all members. `group` and `members` are the library's until `cb` begins; `member_cb` (may
 * be null) runs for each accepted member, then `cb` (may be null where `member_cb` is not) for the
 * group. Without `cb` the group has ended when the `member_cb` of its last accepted member begins.
 *
 * Merging. Neighbours in the array become one request (uvdio_readv(), uvdio_writev_flags()) where
 * file, operation and flags are the same and the next one begins where the one before ends, or, of
 * reads, not further behind than merge_gap_max; of 16 buffers at most, each gap being one; writes
 * by UVDIO_WRITE_ATOMIC never. So sort
 * members by offset. A merged request ends as a whole, and each member gets its part of the result:
 * a read whose bytes all arrived before an error has succeeded; an error of a write is that of all
 * members. The bytes of gaps go to memory that is allocated for the request. Adjacent reads gain
 * most; with gaps of twice their size they gained 1.1 to 1.2 times the speed on one machine, and
 * lost from four times on.
 *
 * Ownership: the buffers of accepted members are emptied; each is back in its member at that
 * member's end (a UVDIO_WRITE_SHARED one stays there).
 *
 * Refusals: a member that uvdio_read() or uvdio_write_flags() refuses keeps its buffer, has the
 * code as its result, and counts as failed; no callback follows for it. The call returns 0 where at
 * least one member was accepted.
 *
 * The synchronous form (both callbacks null) executes one member after the other, unmerged, and
 * returns the first error.
 *
 * Errors returned: UV_EINVAL (null, no member, an operation that is neither read nor write),
 * UV_EBUSY (the group is pending, or a member is, in this group or another), UV_E2BIG (an option of
 * a newer header); where no member was accepted, the first one's refusal. No callback follows then.
 * Loop thread. */
static inline UVDIO_MUST_CHECK int uvdio_group_submit(uvdio_group_t* group, uvdio_member_t* members,
                                                      unsigned count,
                                                      const uvdio_group_options_t* options,
                                                      uvdio_member_cb member_cb,
                                                      uvdio_group_cb cb) {
  return uvdio_group_submit_sized(group, members, count, options, sizeof(uvdio_group_options_t),
                                  member_cb, cb);
}

/** Asks all pending members to end early, as uvdio_cancel() does. Errors: UV_EINVAL (null, or not
 * pending), UVDIO_ETHREAD, UVDIO_EFORK. */
UVDIO_EXTERN int uvdio_group_cancel(uvdio_group_t* group);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* UVDIO_GROUP_H */
