/* SPDX-License-Identifier: MIT */
/*
 * Groups (uvdio/group.h), over the public calls: a member is a request, or one of a run of members
 * that are one request together. The run's first member has the request; its chain (next_) has the
 * others, and their parts of the result follow from their offsets.
 */
#include "uvdio/group.h"

#include <assert.h>
#include <string.h>

#include "sized.h"

/* Buffers of a merged request: what needs no allocation (vector.h). */
#define PIECES_MAX 16u

typedef struct run_s {
  uvdio_member_t* first;
  uvdio_member_t* last;
  unsigned pieces;
  uint64_t end; /* in the file */
  size_t gap;   /* the largest */
} run_t;

static size_t length_of(const uvdio_member_t* member) {
  return member->op == UVDIO_OP_READ ? member->buf.cap : member->buf.len;
}

/* Whether the library has the buffer meanwhile, and its handle is empty. */
static int is_given_away(const uvdio_member_t* member) {
  return member->op == UVDIO_OP_READ || (member->flags & UVDIO_WRITE_SHARED) == 0;
}

/*
 * Ends
 */

/* Without a callback of its own the group has ended when its last member's callback begins, which
 * may free it. */
static void end_member(uvdio_member_t* member, int64_t result) {
  uvdio_group_t* group = member->group_;

  assert(group->pending_ > 0);
  member->group_ = NULL;
  member->result = result;
  group->failed += result < 0;
  if (group->cb_ == NULL) {
    group->pending_--;
    group->member_cb_(member);
    return;
  }
  if (group->member_cb_ != NULL) {
    group->member_cb_(member);
  }
  if (--group->pending_ == 0) {
    group->cb_(group);
  }
}

static void on_one(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio_member_t* member = req->data;

  if (is_given_away(member)) {
    member->buf = buf;
  }
  end_member(member, result);
}

/* Of a merged request that ended with `result`, having moved `moved` bytes. */
static int64_t part_of(const uvdio_member_t* member, uint64_t begin, size_t length, int64_t result,
                       size_t moved) {
  uint64_t before = member->offset - begin;
  size_t arrived = moved > before ? (size_t)(moved - before) : 0;

  if (result < 0 && (member->op == UVDIO_OP_WRITE || arrived < length)) {
    return result; /* A write may have been moved, and not be durable. */
  }
  if (arrived >= length) {
    return (int64_t)length;
  }
  return (member->flags & UVDIO_MEMBER_EXACT) != 0 ? UVDIO_ESHORTREAD : (int64_t)arrived;
}

/* The chain is walked to its end before any callback, which may free all of it with the last. */
static void take_parts(uvdio_member_t* first, ssize_t result, const uvdio_buf_t* bufs) {
  size_t moved = first->req_.transferred;
  uint64_t end = first->offset;
  uvdio_member_t* member;
  unsigned i = 0;

  for (member = first; member != NULL; member = member->next_) {
    i += member->offset > end; /* a gap */
    if (is_given_away(member)) {
      member->buf = bufs[i];
    }
    end = member->offset + length_of(member);
    member->result = part_of(member, first->offset, length_of(member), result, moved);
    i++;
  }
}

static void on_run(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  uvdio_member_t* member = req->data;

  (void)count;
  take_parts(member, result, bufs);
  (void)uvdio_buf_release(&member->gap_);
  while (member != NULL) {
    uvdio_member_t* next = member->next_;
    end_member(member, member->result);
    member = next;
  }
}

/*
 * Submission
 */

static int submit_one(uvdio_member_t* member, uvdio_io_cb cb) {
  uvdio_req_t* req = &member->req_;

  member->next_ = NULL;
  req->data = member;
  if (member->op == UVDIO_OP_WRITE) {
    return uvdio_write_flags(member->file, req, &member->buf, member->offset, member->flags, cb);
  }
  if ((member->flags & ~UVDIO_MEMBER_EXACT) != 0) {
    return UV_EINVAL;
  }
  return member->flags != 0 ? uvdio_read_exact(member->file, req, &member->buf, member->offset, cb)
                            : uvdio_read(member->file, req, &member->buf, member->offset, cb);
}

static void refuse(uvdio_group_t* group, uvdio_member_t* member, int error) {
  member->result = error;
  group->failed++;
}

static void submit_each(uvdio_group_t* group, uvdio_member_t* member) {
  while (member != NULL) {
    uvdio_member_t* next = member->next_;
    int error = submit_one(member, on_one);
    if (error != 0) {
      refuse(group, member, error);
    } else {
      member->group_ = group;
      group->pending_++;
      group->requests++;
    }
    member = next;
  }
}

/* The pieces of a run, gaps among them; returns how many members it has. */
static unsigned lay_out(const run_t* run, uvdio_buf_t bufs[PIECES_MAX]) {
  uint64_t end = run->first->offset;
  const uvdio_member_t* member;
  unsigned members = 0;
  unsigned i = 0;

  for (member = run->first; member != NULL; member = member->next_) {
    if (member->offset > end) {
      bufs[i++] = uvdio_buf_wrap(run->first->gap_.base, (size_t)(member->offset - end));
    }
    bufs[i++] = member->buf;
    end = member->offset + length_of(member);
    members++;
  }
  assert(i == run->pieces);
  return members;
}

static int submit_merged(const run_t* run, uvdio_buf_t bufs[PIECES_MAX]) {
  uvdio_member_t* first = run->first;

  first->req_.data = first;
  return first->op == UVDIO_OP_READ
             ? uvdio_readv(first->file, &first->req_, bufs, run->pieces, first->offset, on_run)
             : uvdio_writev_flags(first->file, &first->req_, bufs, run->pieces, first->offset,
                                  first->flags, on_run);
}

static void take_members(uvdio_group_t* group, uvdio_member_t* member) {
  static const uvdio_buf_t none;

  for (; member != NULL; member = member->next_) {
    member->group_ = group;
    if (is_given_away(member)) {
      member->buf = none;
    }
  }
}

/* A run that is refused as a whole, or has no memory for its gaps, goes one by one: each member has
 * its own answer. */
static void submit_run(uvdio_group_t* group, const run_t* run) {
  uvdio_buf_t bufs[PIECES_MAX];
  uvdio_member_t* first = run->first;
  unsigned members;

  if (first == run->last || (run->gap > 0 && uvdio_buf_alloc(&first->gap_, run->gap, 0) != 0)) {
    submit_each(group, first);
    return;
  }
  members = lay_out(run, bufs);
  if (submit_merged(run, bufs) != 0) {
    (void)uvdio_buf_release(&first->gap_);
    submit_each(group, first);
    return;
  }
  take_members(group, first);
  group->pending_ += members;
  group->requests++;
}

/*
 * Runs
 */

static run_t begin_run(uvdio_member_t* member) {
  run_t run = {member, member, 1, member->offset + length_of(member), 0};

  member->next_ = NULL;
  return run;
}

/* What a single read refuses is for that to say. */
static int has_known_flags(const uvdio_member_t* member) {
  return member->op == UVDIO_OP_WRITE || (member->flags & ~UVDIO_MEMBER_EXACT) == 0;
}

/* Whether the member can follow in the run. What is wrong with it is for its own call to say. */
static int can_join(const run_t* run, const uvdio_member_t* member,
                    const uvdio_group_options_t* options) {
  const uvdio_member_t* first = run->first;
  size_t length = length_of(member);
  uint64_t gap = member->offset - run->end;
  uint64_t size = member->offset + length - first->offset;

  return member->file == first->file && member->op == first->op && has_known_flags(member) &&
         member->flags == first->flags && member->offset >= run->end && length > 0 &&
         length_of(run->last) > 0 && length <= options->merge_size_max &&
         size <= options->merge_size_max && run->pieces + 1 + (gap > 0) <= PIECES_MAX &&
         gap <= (member->op == UVDIO_OP_READ ? options->merge_gap_max : 0);
}

static void join(run_t* run, uvdio_member_t* member) {
  size_t gap = (size_t)(member->offset - run->end);

  run->pieces += gap > 0 ? 2 : 1;
  run->gap = gap > run->gap ? gap : run->gap;
  run->end = member->offset + length_of(member);
  run->last->next_ = member;
  run->last = member;
  member->next_ = NULL;
}

static void submit_runs(uvdio_group_t* group, const uvdio_group_options_t* options) {
  run_t run = begin_run(&group->members_[0]);
  unsigned i;

  for (i = 1; i < group->count_; i++) {
    uvdio_member_t* member = &group->members_[i];
    if (can_join(&run, member, options)) {
      join(&run, member);
    } else {
      submit_run(group, &run);
      run = begin_run(member);
    }
  }
  submit_run(group, &run);
}

static int run_now(uvdio_group_t* group) {
  int first_error = 0;
  unsigned i;

  for (i = 0; i < group->count_; i++) {
    uvdio_member_t* member = &group->members_[i];
    int error = submit_one(member, NULL);
    member->result = error != 0 ? error : member->req_.result;
    group->failed += error != 0;
    group->requests += error == 0;
    first_error = first_error != 0 ? first_error : error;
  }
  return first_error;
}

static int check_members(const uvdio_member_t* members, unsigned count) {
  unsigned i;

  if (members == NULL || count == 0) {
    return UV_EINVAL;
  }
  for (i = 0; i < count; i++) {
    if (members[i].op != UVDIO_OP_READ && members[i].op != UVDIO_OP_WRITE) {
      return UV_EINVAL;
    }
    if (members[i].group_ != NULL) {
      return UV_EBUSY;
    }
  }
  return 0;
}

static void prepare(uvdio_group_t* group, uvdio_member_t* members, unsigned count) {
  unsigned i;

  group->failed = 0;
  group->requests = 0;
  group->members_ = members;
  group->count_ = count;
  for (i = 0; i < count; i++) {
    members[i].result = 0;
  }
}

int uvdio_group_submit_sized(uvdio_group_t* group, uvdio_member_t* members, unsigned count,
                             const uvdio_group_options_t* options, size_t size,
                             uvdio_member_cb member_cb, uvdio_group_cb cb) {
  uvdio_group_options_t own;
  int error = group == NULL ? UV_EINVAL : check_members(members, count);

  if (error == 0 && group->pending_ > 0) {
    error = UV_EBUSY;
  }
  memset(&own, 0, sizeof(own));
  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  if (error != 0) {
    return error;
  }
  prepare(group, members, count);
  group->member_cb_ = member_cb;
  group->cb_ = cb;
  if (member_cb == NULL && cb == NULL) {
    return run_now(group);
  }
  submit_runs(group, &own);
  return group->pending_ > 0 ? 0 : (int)members[0].result;
}

int uvdio_group_cancel(uvdio_group_t* group) {
  unsigned i;

  if (group == NULL || group->pending_ == 0) {
    return UV_EINVAL;
  }
  for (i = group->count_; i > 0; i--) { /* What waits for others goes before them. */
    int error = uvdio_cancel(&group->members_[i - 1].req_);
    if (error == UVDIO_ETHREAD || error == UVDIO_EFORK) {
      return error;
    }
  }
  return 0;
}
