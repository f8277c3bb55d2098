/* SPDX-License-Identifier: MIT */
#include "model_names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "names_found.h"

#define PAGE UVDIO_PAGE_SIZE
#define NOWHERE NAMES_PLACES
#define LIST_MOST (NAMES_CHANGES - 2 * NAMES_JOBS)

enum action { ANONYMOUS = UVDIO_OP_COUNT, LINK_FILE, DUP, CANCEL };

static const struct weight weights[] = {{UVDIO_OP_OPEN, 30},    {ANONYMOUS, 8},
                                        {UVDIO_OP_RENAME, 30},  {UVDIO_OP_LINK, 16},
                                        {UVDIO_OP_UNLINK, 20},  {UVDIO_OP_MKDIR, 8},
                                        {UVDIO_OP_RMDIR, 8},    {UVDIO_OP_REPLACE, 16},
                                        {LINK_FILE, 12},        {UVDIO_OP_WRITE, 24},
                                        {UVDIO_OP_READ, 12},    {UVDIO_OP_SYNC_DATA, 6},
                                        {UVDIO_OP_SYNC_ALL, 8}, {UVDIO_OP_SYNC_DIRECTORY, 6},
                                        {UVDIO_OP_CLOSE, 18},   {DUP, 10},
                                        {CANCEL, 12},           {UVDIO_OP_OPEN, 0}};

__attribute__((format(printf, 2, 3))) static void wrong(struct model_names* names,
                                                        const char* format, ...) {
  va_list arguments;
  if (names->wrong[0] != '\0') {
    return;
  }
  va_start(arguments, format);
  vsnprintf(names->wrong, sizeof(names->wrong), format, arguments);
  va_end(arguments);
}

static int chance(struct model_names* names, unsigned count) {
  return one_in(names->choices, count);
}

static unsigned take(struct model_names* names, unsigned bound) {
  return (unsigned)choose(names->choices, bound);
}

/*
 * Places, files and handles.
 */

static uint8_t value_at(const struct model_names* names, unsigned place) {
  return place == NOWHERE ? NAMES_NOTHING : names->now.at[place];
}

static int is_file(uint8_t value) {
  return value != NAMES_NOTHING && value != NAMES_A_DIRECTORY;
}

static int is_base(const struct model_names* names, const struct names_handle* handle) {
  return handle < names->handles + NAMES_DIRECTORIES;
}

static unsigned directory_of_base(const struct model_names* names,
                                  const struct names_handle* base) {
  return (unsigned)(base - names->handles);
}

static int has_name(const struct model_names* names, uint8_t file) {
  return memchr(names->now.at, file, sizeof(names->now.at)) != NULL;
}

static int is_used(const struct model_names* names, uint8_t file) {
  int used = has_name(names, file) || names_disk_has(&names->disk, file);
  for (unsigned i = 0; i < NAMES_HANDLES; i++) {
    const struct names_handle* handle = &names->handles[i];
    used |= handle->state != NAMES_CLOSED && handle->value == file;
  }
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    used |= names->jobs[i].busy && names->jobs[i].value == file;
  }
  for (unsigned i = 0; i < names->maybe_count; i++) { /* A crash may have given it a name. */
    used |= names->maybe[i].value == file;
  }
  return used;
}

/* For a file that may be made. */
static uint8_t new_file(struct model_names* names, int may_be_named) {
  uint8_t number = 1;
  while (is_used(names, number)) {
    number++;
  }
  if (number >= NAMES_FILES) {
    abort();
  }
  names->files[number] =
      (struct names_file){.word = ++names->words << 8 | number, .may_be_named = may_be_named};
  return number;
}

/* How many handles of the same open file there are, in a state. */
static unsigned handles_of(const struct model_names* names, const struct names_handle* handle,
                           enum names_state state) {
  unsigned count = 0;
  for (unsigned i = NAMES_DIRECTORIES; i < NAMES_HANDLES; i++) {
    count += names->handles[i].state == state && names->handles[i].opening == handle->opening;
  }
  return count;
}

static int is_same_open_file(const struct names_handle* one, const struct names_handle* other) {
  return one == other || (one != NULL && other != NULL && one->opening == other->opening);
}

/* Whether something is pending on the handle or on another one of its open file. */
static int is_in_use(const struct model_names* names, const struct names_handle* handle) {
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    const struct names_job* job = &names->jobs[i];
    if (job->busy && (job->base == handle || job->new_base == handle ||
                      is_same_open_file(job->handle, handle))) {
      return 1;
    }
  }
  return 0;
}

/*
 * Arguments.
 */

static unsigned take_place(struct model_names* names) {
  return take(names, NAMES_PLACES);
}

/* The open directory of a place, or (null) its path; seldom one that is not open. */
static struct names_handle* take_base(struct model_names* names, unsigned place) {
  struct names_handle* base = &names->handles[place / NAMES_EACH];
  int may_be = base->state == NAMES_OPEN ? chance(names, 2)
                                         : base->state != NAMES_OPENING && chance(names, 16);
  return may_be ? base : NULL;
}

/* Mostly one that is open; null where there is none. */
static struct names_handle* take_handle(struct model_names* names, int is_wanted_open) {
  unsigned first = take(names, NAMES_HANDLES);
  int any = chance(names, 32);
  for (unsigned i = 0; i < NAMES_HANDLES; i++) {
    unsigned at = (first + i) % NAMES_HANDLES;
    struct names_handle* handle = &names->handles[at];
    int is_suitable =
        is_wanted_open ? handle->state == NAMES_OPEN || any : handle->state == NAMES_CLOSED;
    if (at >= NAMES_DIRECTORIES && is_suitable && handle->state != NAMES_OPENING) {
      return handle;
    }
  }
  return NULL;
}

static void set_open(struct model_names* names, struct names_job* job) {
  job->to = take_place(names);
  job->base = take_base(names, job->to);
  job->handle = take_handle(names, 0);
  job->operation.flags = UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED;
  if (!chance(names, 3)) {
    job->operation.flags |= UVDIO_O_CREATE | (chance(names, 3) ? UVDIO_O_EXCLUSIVE : 0);
  }
  job->operation.flags |= chance(names, 2) ? UVDIO_O_DUP : 0;
  job->value = value_at(names, job->to);
  if (job->value == NAMES_NOTHING && (job->operation.flags & UVDIO_O_CREATE) != 0) {
    job->value = new_file(names, 0);
  }
}

static void set_anonymous(struct model_names* names, struct names_job* job) {
  job->handle = take_handle(names, 0);
  job->base = take_base(names, take_place(names));
  job->operation.flags = UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_ANONYMOUS |
                         (chance(names, 2) ? UVDIO_O_DUP : 0);
  job->value = new_file(names, 1);
}

/* Where uvdio_replace() looks for the file. */
static unsigned source_of(const struct model_names* names, const struct names_job* job) {
  const struct names_handle* handle = job->handle;
  if (handle->way == NAMES_BY_NOTHING || handle->way == NAMES_UNSURE ||
      (handle->way == NAMES_BY_BASE && job->base == NULL)) {
    return NOWHERE;
  }
  return handle->way == NAMES_BY_PATH
             ? handle->place
             : directory_of_base(names, job->base) * NAMES_EACH + handle->place % NAMES_EACH;
}

static void set_replace(struct model_names* names, struct names_job* job) {
  job->handle = take_handle(names, 1);
  job->to = take_place(names);
  job->base = take_base(names, job->to);
  if (job->handle != NULL) {
    job->value = job->handle->value;
    job->from = source_of(names, job);
  }
}

static void set_link_file(struct model_names* names, struct names_job* job) {
  job->handle = take_handle(names, 1);
  job->to = take_place(names);
  job->new_base = take_base(names, job->to);
  job->value = job->handle != NULL ? job->handle->value : NAMES_NOTHING;
}

static void set_two_names(struct model_names* names, struct names_job* job) {
  job->from = take_place(names);
  job->to = take_place(names);
  job->base = take_base(names, job->from);
  job->new_base = take_base(names, job->to);
  job->flags =
      job->operation.op == UVDIO_OP_RENAME && chance(names, 4) ? UVDIO_RENAME_NO_REPLACE : 0;
  job->value = value_at(names, job->from);
}

static void set_one_name(struct model_names* names, struct names_job* job) {
  unsigned place = take_place(names);
  job->base = take_base(names, place);
  if (job->operation.op == UVDIO_OP_MKDIR) {
    job->to = place;
    job->value = NAMES_A_DIRECTORY;
  } else {
    job->from = place;
    job->value = value_at(names, place);
  }
}

/* A directory is closed and synced as well. */
static void set_on_handle(struct model_names* names, struct names_job* job) {
  int may_be_base = op_is(job->operation.op, UVDIO_OP_KIND_SYNC) ||
                    job->operation.op == UVDIO_OP_CLOSE || job->operation.op == UVDIO_OP_STAT;
  job->handle = take_handle(names, 1);
  if (may_be_base && chance(names, 4)) {
    struct names_handle* base = &names->handles[take(names, NAMES_DIRECTORIES)];
    job->handle = base->state == NAMES_OPEN ? base : job->handle;
  }
  job->operation.length = op_is(job->operation.op, UVDIO_OP_KIND_TRANSFER) ? PAGE : 0;
  job->operation.unit = PAGE;
  job->value = job->handle != NULL ? job->handle->value : NAMES_NOTHING;
}

static void open_base(struct names_job* job, struct names_handle* base) {
  job->operation.op = UVDIO_OP_OPEN;
  job->operation.flags = UVDIO_O_DIRECTORY;
  job->handle = base;
}

/* Returns 0 where there is nothing to do it with. */
static int set(struct model_names* names, struct names_job* job, unsigned action) {
  switch (action) {
    case ANONYMOUS:
      job->operation.op = UVDIO_OP_OPEN;
      set_anonymous(names, job);
      return job->handle != NULL;
    case LINK_FILE:
      job->operation.op = UVDIO_OP_LINK;
      set_link_file(names, job);
      return job->handle != NULL;
    case UVDIO_OP_OPEN:
      set_open(names, job);
      return job->handle != NULL;
    case UVDIO_OP_REPLACE:
      set_replace(names, job);
      return job->handle != NULL && job->handle->way != NAMES_UNSURE;
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
      set_two_names(names, job);
      return 1;
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
      set_one_name(names, job);
      return 1;
    case UVDIO_OP_SYNC_DIRECTORY:
      job->operation.offset = take(names, NAMES_DIRECTORIES);
      return 1;
    default:
      set_on_handle(names, job);
      return job->handle != NULL;
  }
}

/*
 * Claims.
 */

static int is_on_names(const struct names_job* job) {
  return op_is(job->operation.op, UVDIO_OP_KIND_NAME) || job->operation.op == UVDIO_OP_OPEN ||
         job->operation.op == UVDIO_OP_REPLACE;
}

static void claim(const struct model_names* names, struct names_job* job) {
  const uint8_t values[] = {value_at(names, job->from), value_at(names, job->to), job->value};
  if (!is_on_names(job)) {
    return;
  }
  job->places = (job->from == NOWHERE ? 0 : UINT64_C(1) << job->from) |
                (job->to == NOWHERE ? 0 : UINT64_C(1) << job->to);
  for (unsigned i = 0; i < COUNT_OF(values); i++) {
    job->files |= is_file(values[i]) ? UINT64_C(1) << values[i] : 0;
  }
}

/* A handle in between is not used: its siblings count for a replace. */
static int conflicts(const struct model_names* names, const struct names_job* job) {
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    const struct names_job* other = &names->jobs[i];
    if (other->busy && ((other->places & job->places) != 0 || (other->files & job->files) != 0)) {
      return 1;
    }
  }
  return job->operation.op == UVDIO_OP_REPLACE && handles_of(names, job->handle, NAMES_CLOSING) > 0;
}

/*
 * What has to come of it.
 */

static int expect_rename(const struct model_names* names, const struct names_job* job) {
  uint8_t from = value_at(names, job->from);
  uint8_t to = value_at(names, job->to);
  if (from == NAMES_NOTHING) {
    return UV_ENOENT;
  }
  if (from == NAMES_A_DIRECTORY && !names->is_real) {
    return UV_ENOTSUP;
  }
  if (to != NAMES_NOTHING && (job->flags & UVDIO_RENAME_NO_REPLACE) != 0) {
    return UV_EEXIST;
  }
  if (from == NAMES_A_DIRECTORY) {
    return is_file(to) ? UV_ENOTDIR : 0;
  }
  return to == NAMES_A_DIRECTORY ? UV_EISDIR : 0;
}

static int expect_link(const struct model_names* names, const struct names_job* job) {
  uint8_t from = value_at(names, job->from);
  if (from == NAMES_NOTHING) {
    return UV_ENOENT;
  }
  if (from == NAMES_A_DIRECTORY) {
    return UV_EPERM;
  }
  return value_at(names, job->to) != NAMES_NOTHING ? UV_EEXIST : 0;
}

static int expect_link_file(const struct model_names* names, const struct names_job* job) {
  if (value_at(names, job->to) != NAMES_NOTHING) {
    return UV_EEXIST;
  }
  return names->files[job->value].may_be_named || has_name(names, job->value) ? 0 : UV_ENOENT;
}

static int expect_replace(const struct model_names* names, const struct names_job* job) {
  if (value_at(names, job->from) != job->value) {
    return UV_ENOENT;
  }
  return value_at(names, job->to) == NAMES_A_DIRECTORY ? UV_EISDIR : 0;
}

static int expect_open(const struct model_names* names, const struct names_job* job) {
  unsigned flags = job->operation.flags;
  uint8_t value = value_at(names, job->to);
  if ((flags & (UVDIO_O_DIRECTORY | UVDIO_O_ANONYMOUS)) != 0) {
    return 0;
  }
  if (value != NAMES_NOTHING && (flags & UVDIO_O_EXCLUSIVE) != 0) {
    return UV_EEXIST;
  }
  if (value == NAMES_A_DIRECTORY) {
    return UV_EISDIR;
  }
  return value == NAMES_NOTHING && (flags & UVDIO_O_CREATE) == 0 ? UV_ENOENT : 0;
}

static int expect_removal(uint8_t value, int is_removed, int error) {
  if (value == NAMES_NOTHING) {
    return UV_ENOENT;
  }
  return is_removed ? 0 : error;
}

static int expect(const struct model_names* names, const struct names_job* job) {
  uint8_t from = value_at(names, job->from);
  switch (job->operation.op) {
    case UVDIO_OP_RENAME:
      return expect_rename(names, job);
    case UVDIO_OP_LINK:
      return job->handle != NULL ? expect_link_file(names, job) : expect_link(names, job);
    case UVDIO_OP_REPLACE:
      return expect_replace(names, job);
    case UVDIO_OP_OPEN:
      return expect_open(names, job);
    case UVDIO_OP_MKDIR:
      return value_at(names, job->to) != NAMES_NOTHING ? UV_EEXIST : 0;
    case UVDIO_OP_UNLINK:
      return expect_removal(from, is_file(from), UV_EISDIR);
    case UVDIO_OP_RMDIR:
      return expect_removal(from, from == NAMES_A_DIRECTORY, UV_ENOTDIR);
    case UVDIO_OP_WRITE:
      return PAGE;
    default:
      return 0;
  }
}

/* Another error that a system may see first. */
static int expect_else(const struct model_names* names, const struct names_job* job) {
  int is_link = job->operation.op == UVDIO_OP_LINK && job->handle == NULL;
  return is_link && value_at(names, job->to) != NAMES_NOTHING ? UV_EEXIST : job->expected;
}

/* What a filesystem may lack; nothing was changed then. */
static int is_lacking(const struct model_names* names, const struct names_job* job,
                      int64_t result) {
  int is_anonymous = (job->operation.flags & UVDIO_O_ANONYMOUS) != 0;
  if (!names->is_real) {
    return 0;
  }
  return (is_anonymous && result == UV_ENOTSUP) ||
         (job->flags != 0 && (result == UV_EINVAL || result == UV_ENOSYS || result == UV_ENOTSUP));
}

/* Whether an error has nothing to do with what is there. */
static int is_excused(const struct model_names* names, const struct names_job* job, int64_t error) {
  return (error == UV_ECANCELED && job->is_cancelled) || (error == UVDIO_SIM_DEAD && names->dead) ||
         (error == UV_EBADF && names->closing) ||
         (names->injected && (error == UV_EIO || error == UV_ENOSPC)) ||
         (error < 0 && names->explains != NULL && names->explains(error));
}

static int is_open(const struct names_handle* handle) {
  return handle == NULL || handle->state == NAMES_OPEN;
}

/* What the call returns where it takes nothing. */
static int expect_refusal(const struct model_names* names, const struct names_job* job) {
  uvdio_op_t op = job->operation.op;
  uvdio_file_info_t info = {0};
  if (names->closing || !is_open(job->base) || !is_open(job->new_base) ||
      (op != UVDIO_OP_OPEN && !is_open(job->handle))) {
    return UV_EBADF;
  }
  if (op == UVDIO_OP_REPLACE && job->from == NOWHERE) {
    return UV_EINVAL;
  }
  if (op_is(op, UVDIO_OP_KIND_CHANGE | UVDIO_OP_KIND_SYNC) && op != UVDIO_OP_SYNC_DIRECTORY &&
      uvdio_file_info(&job->handle->file, &info) == 0 && info.latch_error != 0) {
    return info.latch_error;
  }
  return op == UVDIO_OP_REPLACE && handles_of(names, job->handle, NAMES_OPEN) > 1 ? UV_EBUSY : 0;
}

/*
 * Ends.
 */

static void check_page(struct model_names* names, const struct names_job* job,
                       const uvdio_buf_t* buf) {
  const struct names_file* file = &names->files[job->value];
  uint64_t word = 0;
  int is_whole = names_page_word(buf->base, buf->len, &word);
  if (word == NAMES_MIXED || (word != 0 && word != file->word)) {
    wrong(names, "a file holds %" PRIx64 ", not %" PRIx64, word, file->word);
  }
  if (job->is_covered && file->losses == job->losses && !names->is_blurred && !is_whole) {
    wrong(names, "a file that was written holds %zu bytes, or zeros", buf->len);
  }
}

static void open_ends(struct model_names* names, struct names_job* job, int is_done) {
  struct names_handle* handle = job->handle;
  handle->state = is_done ? NAMES_OPEN : NAMES_CLOSED;
  handle->value = is_done ? job->value : NAMES_NOTHING;
  handle->flags = job->operation.flags;
  handle->opening = ++names->openings;
  handle->place = job->to;
  handle->way = job->to == NOWHERE                       ? NAMES_BY_NOTHING
                : job->base != NULL && job->spelling < 2 ? NAMES_BY_BASE
                                                         : NAMES_BY_PATH;
}

static const struct names_job* older_user(const struct model_names* names,
                                          const struct names_job* close) {
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    const struct names_job* job = &names->jobs[i];
    if (job->busy && job->number < close->number &&
        (job->base == close->handle || job->new_base == close->handle ||
         (job->handle == close->handle && job->operation.op != UVDIO_OP_OPEN))) {
      return job;
    }
  }
  return NULL;
}

/* Whatever comes of it, the handle is closed. */
static void close_ends(struct model_names* names, const struct names_job* job) {
  const struct names_job* older = older_user(names, job);
  if (older != NULL) {
    wrong(names, "a close came before an older %s", uvdio_op_name(older->operation.op));
  }
  job->handle->state = NAMES_CLOSED;
}

/* The page may be lost, also what another sync is making durable. */
static void lose_page(struct names_file* file) {
  file->losses++;
  file->is_written &= file->is_synced;
}

static void sync_ends(struct model_names* names, const struct names_job* job, int64_t result) {
  struct names_file* file = &names->files[job->value];
  int is_directory = is_base(names, job->handle);
  if (result == 0 && is_directory) {
    names_disk_sync(&names->disk, directory_of_base(names, job->handle), job->changes);
  } else if (result == 0) {
    file->is_synced |= job->is_covered && file->losses == job->losses;
    names_disk_keep(&names->disk, job->value);
  } else if (!is_directory && result != UV_ECANCELED) {
    lose_page(file);
  }
}

/* The first name of an anonymous file; one that has several handles gets none. */
static void take_way(struct names_job* job, const struct names_handle* base) {
  job->handle->way = base != NULL && job->spelling < 2 ? NAMES_BY_BASE : NAMES_BY_PATH;
  job->handle->place = job->to;
}

static void link_file_ends(struct model_names* names, struct names_job* job) {
  names->files[job->value].may_be_named = 0;
  if (job->handle->way == NAMES_BY_NOTHING && (job->handle->flags & UVDIO_O_DUP) == 0) {
    take_way(job, job->new_base);
  }
}

static void replace_ends(struct model_names* names, struct names_job* job, int64_t result) {
  if (result == 0) {
    sync_ends(names, job, 0);
    names_disk_sync(&names->disk, job->to / NAMES_EACH, job->changes);
    take_way(job, job->base);
  } else if (result != UV_ECANCELED && result != job->expected) {
    lose_page(&names->files[job->value]);
    job->handle->way = NAMES_UNSURE;
  }
}

/* A rename to another name of the file, or to the same one, does nothing. */
static int changes_names(const struct model_names* names, const struct names_job* job) {
  uvdio_op_t op = job->operation.op;
  int moves = op == UVDIO_OP_RENAME || op == UVDIO_OP_REPLACE;
  if (moves &&
      (job->from == job->to || (is_file(job->value) && value_at(names, job->to) == job->value))) {
    return 0;
  }
  if (op == UVDIO_OP_OPEN) {
    return job->to != NOWHERE && value_at(names, job->to) == NAMES_NOTHING;
  }
  return op != UVDIO_OP_SYNC_DIRECTORY && (op_is(op, UVDIO_OP_KIND_NAME) || op == UVDIO_OP_REPLACE);
}

static struct names_change change_of(const struct names_job* job) {
  uvdio_op_t op = job->operation.op;
  return (struct names_change){.op = op == UVDIO_OP_REPLACE ? UVDIO_OP_RENAME : op,
                               .from = job->from,
                               .to = job->to,
                               .value = job->value,
                               .durable = op == UVDIO_OP_REPLACE};
}

static void change_names(struct model_names* names, const struct names_job* job) {
  struct names_change change = change_of(job);
  names_apply(&names->now, &change);
  if (names->sim != NULL) {
    names_disk_add(&names->disk, change);
  }
}

/* A crash found it under way. Whatever has ended is behind it. */
static void leave(struct model_names* names, const struct names_job* job) {
  struct names_change change = change_of(job);
  change.durable = 0;
  names->maybe[names->maybe_count++] = change;
}

static void end_effect(struct model_names* names, struct names_job* job, int64_t result) {
  switch ((int)job->operation.op) {
    case UVDIO_OP_OPEN:
      open_ends(names, job, result == 0);
      break;
    case UVDIO_OP_CLOSE:
      close_ends(names, job);
      break;
    case UVDIO_OP_WRITE:
      names->files[job->value].is_written |= result == PAGE;
      break;
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      sync_ends(names, job, result);
      break;
    case UVDIO_OP_SYNC_DIRECTORY:
      if (result == 0) {
        names_disk_sync(&names->disk, (unsigned)job->operation.offset, job->changes);
      }
      break;
    case UVDIO_OP_REPLACE:
      replace_ends(names, job, result);
      break;
    case UVDIO_OP_LINK:
      if (result == 0 && job->handle != NULL) {
        link_file_ends(names, job);
      }
      break;
    default:
      break;
  }
}

/* Whether what has failed has left its name all the same: a replace may have come so far, and an
 * open can't remove what it has made where faults meet its own removal of that, too. */
static int has_happened(const struct model_names* names, const struct names_job* job,
                        int64_t result) {
  int is_in_doubt = names->is_real && names->explains != NULL && job->expected == 0 &&
                    result != UV_ECANCELED && !names->closing;
  if (result >= 0 || !is_in_doubt) {
    return result >= 0;
  }
  return job->operation.op == UVDIO_OP_REPLACE ? names_is_at(names, job->handle, job->to)
         : job->operation.op == UVDIO_OP_OPEN  ? names_is_there(names, job->to)
                                               : 0;
}

/* What was done at the places of an operation that has gone wrong, newest last. */
static void tell_past(const struct model_names* names, const struct names_job* job) {
  uint64_t first = names->ended > NAMES_PAST ? names->ended - NAMES_PAST : 0;
  for (uint64_t i = first; i < names->ended; i++) {
    const struct names_past* past = &names->past[i % NAMES_PAST];
    int is_there = (past->from != NOWHERE && (past->from == job->from || past->from == job->to)) ||
                   (past->to != NOWHERE && (past->to == job->from || past->to == job->to));
    if (is_there) {
      fprintf(stderr, "%" PRIu64 " of %" PRIu64 ": %s%s from place %u to %u gave %" PRId64 "\n", i,
              names->ended, uvdio_op_name(past->op), past->is_now ? " at once" : "", past->from,
              past->to, past->result);
    }
  }
}

static void note_past(struct model_names* names, const struct names_job* job, int64_t result) {
  names->past[names->ended++ % NAMES_PAST] =
      (struct names_past){job->operation.op, job->operation.now, job->from, job->to, result};
}

static void finish(struct model_names* names, struct names_job* job, int64_t result,
                   const uvdio_buf_t* buf) {
  int is_read = job->operation.op == UVDIO_OP_READ;
  int is_told = is_read ? result >= 0 : result == job->expected || result == job->else_expected;
  note_past(names, job, result);
  if (!is_told && !is_excused(names, job, result) && !is_lacking(names, job, result)) {
    tell_past(names, job);
    wrong(names, "%s from place %u to %u gave %" PRId64 " (%s), not %d",
          uvdio_op_name(job->operation.op), job->from, job->to, result,
          result < 0 ? uvdio_err_name((int)result) : "no error", job->expected);
    return;
  }
  if (is_read && result >= 0) {
    check_page(names, job, buf);
  }
  int has_changed = changes_names(names, job);
  if (has_changed && has_happened(names, job, result)) {
    change_names(names, job);
  } else if (has_changed && job->expected == 0 && result == UVDIO_SIM_DEAD && !job->was_dead) {
    leave(names, job);
  }
  end_effect(names, job, result);
}

static void check_promises(struct model_names* names) {
  if (names->tracker.violation[0] != '\0') {
    wrong(names, "%s", names->tracker.violation);
  }
}

static void on_end(struct tracked_op* top) {
  struct names_job* job = top->data;
  struct model_names* names = job->names;
  uvdio_buf_t back = op_take(top);
  check_promises(names);
  job->busy = 0;
  if (tracker_overtaken(top) != NULL) {
    wrong(names, "of names, %s: done before an older %s", uvdio_op_name(top->kind),
          uvdio_op_name(tracker_overtaken(top)->kind));
  }
  finish(names, job, top->result, &back);
  (void)uvdio_buf_release(&back);
}

/*
 * Submissions.
 */

/* Relative to its directory, or (also: an absolute one) the path. */
static void spell(const struct model_names* names, const struct names_job* job,
                  const struct names_handle* base, unsigned place, char* path, size_t size) {
  if (base == NULL || job->spelling == 2) {
    names_path(names, 0, place, path, size);
  } else {
    snprintf(path, size, "%s%u", job->spelling == 1 ? "./" : "", place % NAMES_EACH);
  }
}

static uvdio_buf_t provide(const struct model_names* names, const struct names_job* job) {
  uvdio_buf_t buf = {0};
  if (!op_is(job->operation.op, UVDIO_OP_KIND_TRANSFER)) {
    return buf;
  }
  if (uvdio_buf_alloc(&buf, PAGE, UVDIO_BUF_ZEROED) != 0) {
    abort();
  }
  for (size_t at = 0; job->operation.op == UVDIO_OP_WRITE && at < PAGE; at += sizeof(uint64_t)) {
    memcpy(buf.base + at, &names->files[job->value].word, sizeof(uint64_t));
  }
  return buf;
}

/* The one path of an operation is that of the place that it has. */
static unsigned first_place(const struct names_job* job) {
  int is_replace = job->operation.op == UVDIO_OP_REPLACE;
  return job->from != NOWHERE && !is_replace ? job->from : job->to;
}

static void write_paths(const struct model_names* names, const struct names_job* job, char* path,
                        char* new_path, size_t size) {
  unsigned flags = job->operation.flags;
  if (job->operation.op == UVDIO_OP_SYNC_DIRECTORY) {
    names_path(names, (unsigned)job->operation.offset, NOWHERE, path, size);
  } else if (job->operation.op == UVDIO_OP_OPEN && (flags & UVDIO_O_DIRECTORY) != 0) {
    names_path(names, directory_of_base(names, job->handle), NOWHERE, path, size);
  } else if (job->operation.op == UVDIO_OP_OPEN && (flags & UVDIO_O_ANONYMOUS) != 0) {
    job->base != NULL ? (void)snprintf(path, size, ".") : names_path(names, 0, NOWHERE, path, size);
  } else if (first_place(job) != NOWHERE) {
    spell(names, job, job->base, first_place(job), path, size);
  }
  if (job->to != NOWHERE) {
    spell(names, job, job->new_base, job->to, new_path, size);
  }
}

/* Refused are what is not open, and what is latched. Synchronous forms may be in the way of
 * others. */
static int call(struct model_names* names, struct names_job* job, uvdio_buf_t* buf) {
  char path[NAMES_PREFIX_MAX + 32] = "";
  char new_path[NAMES_PREFIX_MAX + 32] = "";
  int is_link_file = job->operation.op == UVDIO_OP_LINK && job->handle != NULL;
  int is_at = job->base != NULL || job->new_base != NULL;
  write_paths(names, job, path, new_path, sizeof(path));
  struct target target = {.engine = is_at ? NULL : names->engine,
                          .path = path,
                          .new_path = new_path,
                          .file = job->handle != NULL ? &job->handle->file : NULL,
                          .buf = buf,
                          .flags = job->flags,
                          .base = job->base != NULL ? &job->base->file : NULL,
                          .new_base = job->new_base != NULL ? &job->new_base->file : NULL,
                          .linked = is_link_file ? &job->handle->file : NULL};
  int code = t_operation(job->top, &job->operation, &target)->code;
  memset(path, 'x', sizeof(path)); /* They were copied. */
  memset(new_path, 'x', sizeof(new_path));
  check_promises(names);
  return code;
}

static void refused(struct model_names* names, const struct names_job* job, int code,
                    int expected) {
  if (code != expected && !is_excused(names, job, code)) {
    wrong(names, "%s was refused with %s, not %s", uvdio_op_name(job->operation.op),
          uvdio_err_name(code), uvdio_err_name(expected));
  }
}

static void note(struct model_names* names, struct names_job* job) {
  struct names_file* file = &names->files[is_file(job->value) ? job->value : 0];
  job->number = ++names->submitted;
  job->was_dead = names->dead;
  job->changes = names->disk.number;
  job->losses = file->losses;
  job->is_covered = file->is_written;
}

static void submit_now(struct model_names* names, struct names_job* job, uvdio_buf_t* buf,
                       int may_be_busy) {
  int code = call(names, job, buf);
  names->operations++;
  if (code == UV_EBUSY && may_be_busy) {
    return;
  }
  finish(names, job, code < 0 ? code : job->top->result, buf);
}

static void submit_later(struct model_names* names, struct names_job* job, uvdio_buf_t* buf) {
  int code = call(names, job, buf);
  if (code != 0) {
    refused(names, job, code, 0);
    return;
  }
  job->busy = 1;
  names->operations++;
  if (job->operation.op == UVDIO_OP_OPEN) {
    job->handle->state = NAMES_OPENING;
    job->handle->value = job->value;
    job->handle->opening = 0;
  } else if (job->operation.op == UVDIO_OP_CLOSE) {
    job->handle->state = NAMES_CLOSING;
  }
}

static void submit(struct model_names* names, struct names_job* job) {
  uvdio_buf_t buf = provide(names, job);
  int refusal = expect_refusal(names, job);
  int may_be_busy =
      job->handle != NULL && job->operation.op != UVDIO_OP_OPEN && is_in_use(names, job->handle);
  job->expected = expect(names, job);
  job->else_expected = expect_else(names, job);
  note(names, job);
  if (refusal != 0) {
    refused(names, job, call(names, job, &buf), refusal);
  } else if (job->operation.now) {
    submit_now(names, job, &buf, may_be_busy);
  } else {
    submit_later(names, job, &buf);
  }
  (void)uvdio_buf_release(&buf);
}

static struct names_job* free_job(struct model_names* names) {
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    struct names_job* job = &names->jobs[i];
    if (!job->busy) {
      *job = (struct names_job){.top = job->top, .names = names, .from = NOWHERE, .to = NOWHERE};
      return job;
    }
  }
  return NULL;
}

/*
 * Steps.
 */

static void dup_handle(struct model_names* names) {
  struct names_handle* source = take_handle(names, 1);
  struct names_handle* handle = take_handle(names, 0);
  if (source == NULL || handle == NULL || names->closing) {
    return;
  }
  int is_allowed = (source->flags & UVDIO_O_DUP) != 0;
  int expected = source->state != NAMES_OPEN ? UV_EBADF : is_allowed ? 0 : UV_EINVAL;
  int code = uvdio_dup(names->engine, &handle->file, &source->file);
  if (code == UV_EBUSY && is_in_use(names, source)) {
    return; /* A replace is pending. */
  }
  if (code != expected) {
    if (!is_excused(names, &names->jobs[0], code)) {
      wrong(names, "uvdio_dup: %s, not %s", uvdio_err_name(code), uvdio_err_name(expected));
    }
  } else if (code == 0) {
    uvdio_file_t file = handle->file;
    *handle = *source;
    handle->file = file;
    handle->way = is_in_use(names, source) ? NAMES_UNSURE : source->way; /* by a replace's end */
  }
}

static void cancel_handle(struct model_names* names, struct names_handle* handle) {
  if (uvdio_file_cancel(&handle->file) != 0) {
    return;
  }
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    struct names_job* job = &names->jobs[i];
    job->is_cancelled |= job->base == handle || job->new_base == handle || job->handle == handle;
  }
}

static void cancel(struct model_names* names) {
  struct names_job* job = &names->jobs[take(names, NAMES_JOBS)];
  if (chance(names, 4)) {
    cancel_handle(names, &names->handles[take(names, NAMES_HANDLES)]);
    return;
  }
  int code = t_cancel(job->top);
  if (!job->busy ? code != UV_EINVAL : code != 0 && code != UV_EBUSY) {
    wrong(names, "cancelling gave %s", uvdio_err_name(code));
  }
  job->is_cancelled |= code == 0;
}

static void make_directories(struct model_names* names) {
  char path[NAMES_PREFIX_MAX + 32];
  uvdio_req_t req = {0};
  int code = 0;
  for (unsigned i = 0; i < NAMES_DIRECTORIES && (code == 0 || code == UV_EEXIST); i++) {
    names_path(names, i, NOWHERE, path, sizeof(path));
    code = uvdio_mkdir(names->engine, &req, path, 0755, NULL);
  }
  if (code == 0 || code == UV_EEXIST) {
    snprintf(path, sizeof(path), "%s", names->prefix);
    *strrchr(path, '/') = '\0';
    code = uvdio_sync_directory(names->engine, &req, path[0] != '\0' ? path : "/", NULL);
  }
  names->is_prepared = code == 0;
  if (code != 0 && !is_excused(names, &names->jobs[0], code)) {
    wrong(names, "the directories can't be made: %s", uvdio_err_name(code));
  }
}

/* Returns 0 where the next step can't be any. */
static int is_ready(struct model_names* names) {
  int is_alive = !names->dead && !names->closing;
  if (is_alive && !names->is_prepared) {
    make_directories(names);
  }
  if (is_alive && names->is_prepared && names->doubt != NAMES_KNOWN) {
    names_resolve(names);
  }
  return names->is_prepared && names->doubt == NAMES_KNOWN && names->wrong[0] == '\0';
}

/* What is lost by a cut has to be one of a few. */
static int is_sync_due(const struct model_names* names) {
  return names_disk_undurable(&names->disk) >= NAMES_UNDURABLE || names->disk.count >= LIST_MOST;
}

static void sync_what_is_due(struct model_names* names, struct names_job* job) {
  job->operation.op = UVDIO_OP_SYNC_DIRECTORY;
  job->operation.offset = names_disk_directory_due(&names->disk);
  submit(names, job);
}

/* Returns 0 where one of them is open, or will be. */
static int opens_a_base(struct model_names* names, struct names_job* job) {
  struct names_handle* base = &names->handles[take(names, NAMES_DIRECTORIES)];
  if (base->state != NAMES_CLOSED || !chance(names, 3)) {
    return 0;
  }
  open_base(job, base);
  submit(names, job);
  return 1;
}

void model_names_step(struct model_names* names, uvdio_engine_t* engine, struct choices* choices) {
  names->engine = engine;
  names->choices = choices;
  if (!is_ready(names)) {
    return;
  }
  unsigned action = choose_action(choices, weights);
  struct names_job* job = free_job(names);
  if (action == CANCEL) {
    cancel(names);
  } else if (action == DUP) {
    dup_handle(names);
  } else if (job != NULL) {
    char absolute = names->prefix[0] == '/';
    job->operation =
        (struct operation){.op = action < UVDIO_OP_COUNT ? (uvdio_op_t)action : UVDIO_OP_NONE,
                           .now = chance(names, 8)};
    job->spelling = take(names, absolute ? 3 : 2);
    if (is_sync_due(names)) {
      sync_what_is_due(names, job);
    } else if (!opens_a_base(names, job) && set(names, job, action)) {
      claim(names, job);
      if (!conflicts(names, job)) {
        submit(names, job);
      }
    }
  }
}

/*
 * Engines.
 */

/* By another run before this one. */
static void remove_what_is_there(const struct model_names* names) {
  char path[NAMES_PREFIX_MAX + 32];
  for (unsigned place = 0; place < NAMES_PLACES; place++) {
    names_path(names, 0, place, path, sizeof(path));
    if (unlink(path) != 0) {
      (void)rmdir(path);
    }
  }
}

void model_names_make(struct model_names* names, const char* prefix, uvdio_sim_t* sim,
                      int is_real) {
  memset(names, 0, sizeof(*names));
  snprintf(names->prefix, sizeof(names->prefix), "%s", prefix);
  names->sim = sim;
  names->is_real = is_real;
  tracker_init(&names->tracker);
  if (is_real) {
    remove_what_is_there(names);
  }
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    names->jobs[i].names = names;
    names->jobs[i].top = op_then(&names->tracker, on_end, &names->jobs[i]);
  }
}

void model_names_free(struct model_names* names) {
  tracker_finish(&names->tracker);
  check_promises(names);
}

void model_names_cancelled(struct model_names* names) {
  for (unsigned i = 0; i < NAMES_JOBS; i++) {
    names->jobs[i].is_cancelled |= names->jobs[i].busy;
  }
}

unsigned model_names_pending(const struct model_names* names) {
  return names->tracker.accepted - names->tracker.finished;
}

void model_names_compare(struct model_names* names, uvdio_engine_t* engine) {
  names->engine = engine;
  if (is_ready(names) && model_names_pending(names) == 0) {
    names_compare(names);
  }
}

void model_names_end(struct model_names* names, uvdio_engine_t* engine, uv_loop_t* loop) {
  while (uv_run(loop, UV_RUN_DEFAULT) != 0) {
  }
  model_names_compare(names, engine);
  for (unsigned i = 0; i < NAMES_HANDLES; i++) {
    struct names_handle* handle = &names->handles[i];
    uvdio_req_t req = {0};
    int code = handle->state == NAMES_OPEN ? uvdio_close(&handle->file, &req, NULL) : 0;
    if (code != 0) {
      wrong(names, "at the end a handle can't be closed: %s", uvdio_err_name(code));
    }
    handle->state = NAMES_CLOSED;
  }
}

void model_names_bury(struct model_names* names, enum names_end how) {
  if (model_names_pending(names) > 0) {
    wrong(names, "the engine closed with operations on names pending");
  }
  for (unsigned i = 0; i < NAMES_HANDLES; i++) {
    names->handles[i] = (struct names_handle){.state = NAMES_CLOSED};
  }
  if (names->sim == NULL && !names->is_real) {
    names->now = (struct names_table){{0}};
    names->is_prepared = 0;
  }
  if (how == NAMES_AFTER_CUT) {
    names->doubt = NAMES_CUT;
  } else if (how == NAMES_AFTER_CRASH && names->doubt == NAMES_KNOWN) {
    names->doubt = NAMES_CRASHED;
  }
  names->dead = 0;
  names->closing = 0;
}
