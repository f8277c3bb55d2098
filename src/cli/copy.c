/* SPDX-License-Identifier: MIT */
/*
 * uvdio copy: one file to another, past the page cache, with many requests in flight.
 *
 * A list of steps, each of which runs the loop until it is done; the first that fails ends it:
 *
 *   open source, open target, reserve space, move the blocks, [sync, compare], give it its mode and
 *   times, publish: sync it, and rename it to the target
 *
 * Whatever goes wrong before that, what was created is removed, and the last words say what became
 * of the target. It is removed first, so that on a full disk there is room for the words.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "format.h"
#include "options.h"
#include "path.h"
#include "progress.h"
#include "report.h"
#include "session.h"
#include "target.h"
#include "transfer.h"
#include "uvdio.h"

/* By default as many requests as make 8 MiB: enough for the device to have something to do while
 * others are being called back, whatever the block size. */
#define IN_FLIGHT_DEFAULT ((uint64_t)8 * 1024 * 1024)
#define DEPTH_LEAST 8
#define DEPTH_MOST 512
#define BLOCK_DEFAULT (1024 * 1024)
#define BLOCK_MAX (1024 * 1024 * 1024)

static const char usage[] =
    "usage: uvdio copy [OPTIONS] SRC DST\n"
    "\n"
    "Copies the file SRC to DST by direct I/O. Where DST is a directory, the copy has\n"
    "the name of SRC in it. The copy succeeds when data, size and name are on the\n"
    "disk. Where a filesystem refuses direct I/O, its file goes through the page\n"
    "cache, and the last line says so.\n"
    "\n"
    "What is written is a file beside DST, .NAME.uvdio-copy, which replaces DST when\n"
    "it is complete: a failure, a signal, a crash or a power cut leaves the old DST\n"
    "or the new one, as a whole. The new one has mode, owner, access control lists\n"
    "and extended attributes of the old, but not its attributes of chattr(1). A\n"
    "symbolic link stays, and what it leads to is replaced. Other hard links of the\n"
    "old DST keep its content. Until the end there has to be room for both.\n"
    "\n"
    "SRC and DST may be block devices. A device is not written to if it is mounted or\n"
    "smaller than SRC. Of a larger one the bytes behind the length of SRC stay, but\n"
    "for the rest of the last sector, which becomes zeros.\n"
    "\n"
    "  -p, --preserve   keep mode, owner and times of SRC where DST is a file; only\n"
    "                   root can keep the owner. Access control lists and extended\n"
    "                   attributes are not copied. Without this option a new DST has\n"
    "                   the permissions of SRC, less the umask\n"
    "  --in-place       write into DST itself, which needs no room for two, no right to\n"
    "                   create files beside it, and keeps hard links and everything\n"
    "                   else about it. What ends the copy early leaves it incomplete\n"
    "  --sparse WHEN    auto (the default): holes of SRC become holes of DST, and are\n"
    "                   not read; always: runs of 4096 zeros do, too, and no space is\n"
    "                   reserved; never: all of DST is written. A device has no holes\n"
    "  --verify         read both files again and compare them, holes included\n"
    "  --depth N        requests in flight, at most 32768; the default makes 8 MiB of\n"
    "                   them, but 8 at least and 512 at most\n"
    "  --block BYTES    bytes per request, with K, M or G: a multiple of 4096, at\n"
    "                   most 1G (1M)\n"
    "  --backend B      auto, ring, aio or pool (auto)\n"
    "  --metrics        print where the time went, by operation: what waited in uvdio,\n"
    "                   was with the kernel or a worker, and waited for its callback\n"
    "  --progress       show progress although stderr is no terminal\n"
    "  --no-progress    never show progress\n"
    "  --help           this text\n"
    "\n"
    "The copy takes memory for DEPTH blocks, with --verify for three more at most.\n"
    "Space for DST is reserved first. The rate at the end counts bytes that were\n"
    "written.\n"
    "\n"
    "On failure, and on SIGINT, SIGTERM or SIGHUP, what was created is removed. The\n"
    "same signal once more ends the copy at once. A signal that was ignored at the\n"
    "start (nohup) stays ignored. After SIGKILL, a crash or a power cut\n"
    ".NAME.uvdio-copy may be there: the next copy to DST removes it, if it is of the\n"
    "same user and no other copy has it locked. Nothing else is left.\n"
    "\n"
    "Exit codes: 0 copied, 1 failed, 2 wrong usage, 128+N ended by signal N.\n";

typedef enum { SPARSE_AUTO, SPARSE_ALWAYS, SPARSE_NEVER } sparse_t;

typedef enum {
  TARGET_UNTOUCHED,
  TARGET_OVERWRITTEN, /* in place */
  TARGET_CREATED,     /* there is a new file, which may be a temporary one */
  TARGET_COMPLETE
} target_state_t;

typedef struct {
  /* options */
  const char* source_path;
  char* target_path;
  int in_place;
  uvdio_engine_options_t engine;
  int with_metrics;
  uint64_t block_size;
  sparse_t sparse;
  int preserve;
  int verify;
  int progress_wanted;
  /* state */
  session_t session;
  progress_t progress;
  uvdio_file_t source;
  target_t target;
  uvdio_req_t req;
  transfer_t* transfer; /* the one that runs, or null */
  struct stat source_status;
  uint64_t size;
  uvdio_file_t* holes; /* the source, to find its holes; or null: none are to be kept */
  int is_reserved;     /* space, and so the file is as large as it will be, or larger */
  target_state_t state;
  int discard_error; /* errno of removing, or emptying, what is left of a failure */
  int is_emptied;
  atomic_int interrupted;
  /* for the last line */
  uint64_t moved;
  uint64_t started_ns;
  double copy_seconds;
  double verify_seconds;
  char* metrics; /* or null */
  char method[256];
} copy_t;

/* Reports, but for what a signal brought about: that is told at the end. */
static int fail(copy_t* copy, const char* operation, const char* path, int64_t error) {
  return copy->session.signal != 0 ? CLI_FAILED : report_error("copy", operation, path, (int)error);
}

/*
 * Checks that need no engine.
 */

static int check_source(copy_t* copy) {
  if (stat(copy->source_path, &copy->source_status) != 0) {
    return fail(copy, "open", copy->source_path, uv_translate_sys_error(errno));
  }
  if (S_ISDIR(copy->source_status.st_mode)) {
    return report_error("copy", "open", copy->source_path, UV_EISDIR);
  }
  if (!S_ISREG(copy->source_status.st_mode) && !S_ISBLK(copy->source_status.st_mode)) {
    return report_problem(
        "copy",
        "cannot copy %s: it is not a regular file or a block device, but a pipe, a terminal or a "
        "socket. Use cat or dd for those.",
        copy->source_path);
  }
  return CLI_OK;
}

/* A directory stands for the source's name in it. */
static int name_target(copy_t* copy, const char* path) {
  struct stat status;
  const char* slash = strrchr(copy->source_path, '/');
  int in_directory = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
  copy->target_path =
      in_directory ? path_join(path, slash != NULL ? slash + 1 : copy->source_path) : strdup(path);
  copy->target.path = copy->target_path;
  return copy->target_path != NULL ? CLI_OK : report_error("copy", "open", path, UV_ENOMEM);
}

/*
 * Steps.
 */

static int open_source(copy_t* copy) {
  int64_t result =
      session_await(&copy->session, &copy->req,
                    uvdio_open(copy->session.engine, &copy->source, &copy->req, copy->source_path,
                               UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED, 0, session_done));
  if (result != 0) {
    return fail(copy, "open", copy->source_path, result);
  }
  result = session_await(&copy->session, &copy->req,
                         uvdio_size(&copy->source, &copy->req, session_done));
  if (result < 0) {
    return fail(copy, "tell the size of", copy->source_path, result);
  }
  copy->size = (uint64_t)result;
  copy->holes = copy->sparse != SPARSE_NEVER && !copy->target.is_device ? &copy->source : NULL;
  return CLI_OK;
}

static int check_room(copy_t* copy) {
  int64_t room = session_await(&copy->session, &copy->req,
                               uvdio_size(&copy->target.file, &copy->req, session_done));
  if (room < 0) {
    return fail(copy, "tell the size of", copy->target_path, room);
  }
  if ((uint64_t)room < copy->size) {
    return report_problem(
        "copy", "%s has %lld bytes, which is too small for the %llu of %s. Nothing was changed.",
        copy->target_path, (long long)room, (unsigned long long)copy->size, copy->source_path);
  }
  copy->state = TARGET_OVERWRITTEN;
  return CLI_OK;
}

static int empty_target(copy_t* copy) {
  copy->state = TARGET_OVERWRITTEN;
  int64_t result = session_await(&copy->session, &copy->req,
                                 uvdio_truncate(&copy->target.file, &copy->req, 0, session_done));
  return result == 0 ? CLI_OK : fail(copy, "empty", copy->target_path, result);
}

/* With -p, nobody else may look into it before it has the owner and the mode that it is to have. */
static int open_target(copy_t* copy) {
  mode_t mode =
      copy->source_status.st_mode & (copy->preserve ? S_IRWXU : S_IRWXU | S_IRWXG | S_IRWXO);
  int code = target_open(&copy->target, &copy->session, mode);
  copy->state = target_is_new(&copy->target) ? TARGET_CREATED : TARGET_UNTOUCHED;
  if (code == CLI_OK && copy->state == TARGET_UNTOUCHED) {
    code = copy->target.is_device ? check_room(copy) : empty_target(copy);
  }
  return code;
}

static size_t alignment_of(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(file, &info);
  assert(error == 0);
  (void)error;
  return info.offset_align > info.memory_align ? info.offset_align : info.memory_align;
}

/* Both are powers of two: the larger one is a multiple of the other. */
static size_t unit_of(const copy_t* copy) {
  size_t source = alignment_of(&copy->source);
  size_t target = alignment_of(&copy->target.file);
  return source > target ? source : target;
}

/* The block that was asked for, or the next larger one that both files can do. */
static size_t block_size_for(const copy_t* copy) {
  size_t unit = unit_of(copy);
  return ((size_t)copy->block_size + unit - 1) / unit * unit;
}

/* Range by range: the holes are to stay. The last block is written to its end. */
static int64_t reserve_data(copy_t* copy) {
  uint64_t unit = unit_of(copy);
  int64_t result = 0;
  extent_t data = extents_next(copy->holes, 0, copy->size, unit);
  while (data.begin < data.end && result == 0 && !atomic_load(&copy->interrupted)) {
    uint64_t length = (data.end - data.begin + unit - 1) / unit * unit;
    result = session_await(
        &copy->session, &copy->req,
        uvdio_preallocate(&copy->target.file, &copy->req, data.begin, length, 0, session_done));
    data = extents_next(copy->holes, data.end, copy->size, unit);
  }
  return result;
}

/* Finds out about a disk that is too small before anything is written to it. Where zeros become
 * holes, only reading tells what will be written. */
static int reserve_space(copy_t* copy) {
  if (copy->target.is_device || copy->sparse == SPARSE_ALWAYS || copy->size == 0) {
    return CLI_OK;
  }
  progress_start(&copy->progress, "reserving space", NULL, NULL, 0);
  int64_t result = reserve_data(copy);
  progress_stop(&copy->progress);
  copy->is_reserved = result == 0;
  int tolerated = result == UV_ENOTSUP || result == UV_ENOSYS;
  return result == 0 || tolerated ? CLI_OK
                                  : fail(copy, "reserve space for", copy->target_path, result);
}

static int report_transfer(copy_t* copy, const transfer_t* transfer) {
  switch (transfer->outcome) {
    case TRANSFER_DONE:
      return CLI_OK;
    case TRANSFER_FAILED:
      return fail(copy, transfer->operation,
                  transfer->file == &copy->source ? copy->source_path : copy->target_path,
                  transfer->error);
    case TRANSFER_SHRANK:
      return report_problem(
          "copy",
          "%s ended at byte %llu, though its size was %llu: it was shortened meanwhile. "
          "Copy it again when nobody writes to it.",
          copy->source_path, (unsigned long long)transfer->offset, (unsigned long long)copy->size);
    case TRANSFER_GREW:
      return report_problem(
          "copy",
          "%s gives more bytes than the %llu of its size: it grew meanwhile, or is not "
          "a file on a disk. Copy it again when nobody writes to it, or with cat.",
          copy->source_path, (unsigned long long)copy->size);
    case TRANSFER_DIFFERS:
      return report_problem(
          "copy",
          "%s and %s differ, first at byte %llu. Copy again; if that persists, check the "
          "disk and who else writes to these files.",
          copy->source_path, copy->target_path, (unsigned long long)transfer->offset);
    case TRANSFER_STOPPED:
      return CLI_FAILED;
  }
  return CLI_FAILED;
}

static unsigned writer_flags(const copy_t* copy) {
  unsigned flags = copy->target.is_device || copy->is_reserved ? UVDIO_WRITER_NO_GROWTH : 0;
  int skips_zeros = copy->sparse == SPARSE_ALWAYS && !copy->target.is_device;
  return skips_zeros ? flags | UVDIO_WRITER_SPARSE : flags;
}

static int run_transfer(copy_t* copy, transfer_mode_t mode, const char* verb) {
  transfer_t transfer = {.mode = mode,
                         .source = &copy->source,
                         .target = &copy->target.file,
                         .size = copy->size,
                         .block_size = block_size_for(copy),
                         .unit = unit_of(copy),
                         .depth = copy->engine.depth,
                         .holes = mode == TRANSFER_COPY ? copy->holes : NULL,
                         .writer_flags = writer_flags(copy),
                         .target_goes_on = copy->target.is_device};
  int error = transfer_start(&transfer);
  if (error != 0) {
    return fail(copy, "get memory for the blocks of", copy->source_path, error);
  }
  copy->transfer = &transfer;
  progress_start(&copy->progress, verb, &transfer.done, &transfer.moved,
                 extents_count(transfer.holes, transfer.size, transfer.unit));
  session_run(&copy->session);
  progress_stop(&copy->progress);
  copy->transfer = NULL;
  copy->moved = mode == TRANSFER_COPY ? transfer.moved : copy->moved;
  transfer_close(&transfer);
  return report_transfer(copy, &transfer);
}

static int copy_blocks(copy_t* copy) {
  return run_transfer(copy, TRANSFER_COPY, "copying");
}

/* Bytes that were appended behind the last block show here only. */
static int check_size(copy_t* copy) {
  int64_t result = session_await(&copy->session, &copy->req,
                                 uvdio_size(&copy->source, &copy->req, session_done));
  if (result < 0) {
    return fail(copy, "tell the size of", copy->source_path, result);
  }
  if ((uint64_t)result != copy->size) {
    return report_problem(
        "copy",
        "%s had %llu bytes at first and has %lld now: it was changed meanwhile. Copy it "
        "again when nobody writes to it.",
        copy->source_path, (unsigned long long)copy->size, (long long)result);
  }
  return CLI_OK;
}

/* What is compared is on the disk by then. */
static int verify_target(copy_t* copy) {
  if (!copy->verify) {
    return CLI_OK;
  }
  progress_start(&copy->progress, "syncing", NULL, NULL, 0);
  int64_t result = session_await(&copy->session, &copy->req,
                                 uvdio_sync_all(&copy->target.file, &copy->req, session_done));
  progress_stop(&copy->progress);
  if (result != 0) {
    return fail(copy, "sync", copy->target_path, result);
  }
  uint64_t started_ns = uv_hrtime();
  int code = run_transfer(copy, TRANSFER_COMPARE, "verifying");
  copy->verify_seconds = (double)(uv_hrtime() - started_ns) / 1e9;
  return code;
}

/* After everything that changes the times. */
static int keep_attributes(copy_t* copy) {
  return copy->target.is_device
             ? CLI_OK
             : target_finish(&copy->target, copy->preserve ? &copy->source_status : NULL);
}

/* Who did it and how: asked for while the files are open. */
static int describe_method(copy_t* copy) {
  uvdio_file_info_t source, target;
  int error = uvdio_file_info(&copy->source, &source);
  error = error == 0 ? uvdio_file_info(&copy->target.file, &target) : error;
  assert(error == 0);
  int same = strcmp(source.backend, target.backend) == 0;
  int used = snprintf(copy->method, sizeof copy->method, same ? "%s" : "%s for SRC, %s for DST",
                      source.backend, target.backend);
  assert(used > 0 && (size_t)used < sizeof copy->method);
  char* rest = copy->method + used;
  size_t left = sizeof copy->method - (size_t)used;
  if (source.is_direct && target.is_direct) {
    snprintf(rest, left, ", direct I/O");
  } else if (source.is_direct == target.is_direct) {
    snprintf(rest, left, ", buffered: %s and %s refuse direct I/O", source.filesystem,
             target.filesystem);
  } else {
    snprintf(rest, left, ", %s direct, %s buffered: %s refuses direct I/O",
             source.is_direct ? "SRC" : "DST", source.is_direct ? "DST" : "SRC",
             source.is_direct ? target.filesystem : source.filesystem);
  }
  return CLI_OK;
}

/* A signal that comes later changes nothing. */
static int publish(copy_t* copy) {
  int is_complete;
  progress_start(&copy->progress, "syncing", NULL, NULL, 0);
  int code = target_publish(&copy->target, &copy->session, &is_complete);
  progress_stop(&copy->progress);
  copy->state = is_complete ? TARGET_COMPLETE : copy->state;
  copy->copy_seconds = (double)(uv_hrtime() - copy->started_ns) / 1e9 - copy->verify_seconds;
  return code;
}

static int run_steps(copy_t* copy) {
  static int (*const steps[])(copy_t*) = {
      open_source,   open_target,     reserve_space,   copy_blocks, check_size,
      verify_target, keep_attributes, describe_method, publish,
  };
  int code = CLI_OK;
  copy->started_ns = uv_hrtime();
  for (size_t i = 0; i < CLI_COUNT_OF(steps) && code == CLI_OK; i++) {
    code = copy->session.signal != 0 ? CLI_FAILED : steps[i](copy);
  }
  return code;
}

/*
 * Around the steps.
 */

static void on_interrupt(void* context) {
  copy_t* copy = context;
  atomic_store(&copy->interrupted, 1);
  if (copy->transfer != NULL) {
    transfer_stop(copy->transfer);
  }
}

static int check_backend(const copy_t* copy) {
  if (strcmp(uvdio_engine_backend(copy->session.engine), "memory") == 0) {
    return report_problem("copy",
                          "the backend memory keeps files in RAM and finds none on a disk. Unset "
                          "UVDIO_BACKEND, or ask for --backend ring, aio or pool.");
  }
  return CLI_OK;
}

/* A target that was not finished must not pass for a copy. What could not be said up to now,
 * because the disk is full, can be when the blocks are free. While the file is open nobody else can
 * have one with its number. */
static void discard(copy_t* copy) {
  int is_overwritten = copy->state == TARGET_OVERWRITTEN && !copy->target.is_device;
  copy->is_emptied = is_overwritten && report_is_pending();
  if (copy->state == TARGET_CREATED || copy->is_emptied) {
    copy->discard_error = target_discard(&copy->target, copy->is_emptied);
  }
}

static int run_session(copy_t* copy) {
  int error = session_open(&copy->session, &copy->engine);
  if (error != 0) {
    return session_report("copy", copy->engine.backend, error);
  }
  int code = check_backend(copy);
  error = session_watch(&copy->session, on_interrupt, copy);
  if (error == 0) {
    error = progress_open(&copy->progress, &copy->session.loop, copy->progress_wanted);
  }
  if (error != 0) {
    code = report_error("copy", "watch", "signals and the clock", error);
  }
  if (copy->with_metrics) {
    error = uvdio_metrics_start(copy->session.engine, NULL);
    code = error == 0 ? code : report_error("copy", "start", "metrics", error);
  }
  if (code == CLI_OK) {
    code = run_steps(copy);
  }
  if (copy->with_metrics) {
    copy->metrics = session_metrics(&copy->session, UVDIO_METRICS_TEXT);
  }
  discard(copy);
  progress_close(&copy->progress);
  session_close(&copy->session);
  return code;
}

static void tell_about_overwritten(const copy_t* copy) {
  const char* path = copy->target_path;
  if (copy->is_emptied && copy->discard_error == 0) {
    report_problem("copy", "%s was incomplete and has been emptied, to make room for this message.",
                   path);
  } else {
    report_problem("copy", "%s is incomplete. Don't use it; copy again%s.", path,
                   copy->target.is_device ? "" : ", or remove it");
  }
}

static void tell_about_created(const copy_t* copy) {
  const char* temporary = copy->target.temporary;
  const char* path = temporary != NULL ? temporary : copy->target_path;
  if (copy->discard_error == ESTALE) {
    report_problem("copy", "what is at %s now is another file, and was left as it is.", path);
  } else if (copy->discard_error != 0) {
    report_problem("copy", "%s is incomplete. Remove it: that failed here (%s).", path,
                   strerror(copy->discard_error));
  }
  if (temporary != NULL) {
    report_problem("copy", "%s was not %s.", copy->target_path,
                   copy->target.exists ? "changed" : "created");
  } else if (copy->discard_error == 0) {
    report_problem("copy", "%s was incomplete and has been removed.", path);
  }
}

static void tell_about_failure(const copy_t* copy) {
  if (copy->session.signal != 0) {
    report_problem("copy", "interrupted by signal %d (%s).", copy->session.signal,
                   strsignal(copy->session.signal));
  }
  if (copy->state == TARGET_OVERWRITTEN) {
    tell_about_overwritten(copy);
  } else if (copy->state == TARGET_CREATED) {
    tell_about_created(copy);
  }
}

/* Bytes of a hole are no bytes per second. */
static void print_summary(const copy_t* copy) {
  char size[16], moved[16], holes[16], speed[16];
  uint64_t hole_bytes = copy->size - copy->moved;
  double seconds = copy->copy_seconds > 0 ? copy->copy_seconds : 1e-9;
  assert(copy->moved <= copy->size);
  printf("copied %llu bytes (%s)", (unsigned long long)copy->size,
         format_size(size, sizeof size, copy->size));
  if (hole_bytes > 0) {
    printf(": data %llu bytes (%s), holes %llu bytes (%s),", (unsigned long long)copy->moved,
           format_size(moved, sizeof moved, copy->moved), (unsigned long long)hole_bytes,
           format_size(holes, sizeof holes, hole_bytes));
  }
  printf(" in %.3f s, %s; %s; ", copy->copy_seconds,
         copy->moved > 0 ? format_rate(speed, sizeof speed, (double)copy->moved / seconds)
                         : "nothing to write",
         copy->method);
  if (copy->verify) {
    printf("verified in %.3f s\n", copy->verify_seconds);
  } else {
    printf("not verified\n");
  }
}

static int run_copy(copy_t* copy, const char* path) {
  int code = check_source(copy);
  code = code == CLI_OK ? name_target(copy, path) : code;
  if (code == CLI_OK) {
    code = target_find(&copy->target, copy->source_path, &copy->source_status, copy->in_place);
  }
  code = code == CLI_OK ? run_session(copy) : code;
  if (copy->state != TARGET_COMPLETE) {
    tell_about_failure(copy);
    code = copy->session.signal != 0 ? CLI_SIGNAL + copy->session.signal : code;
  }
  target_free(&copy->target);
  if (code == CLI_OK) {
    print_summary(copy);
    fputs(copy->metrics != NULL ? copy->metrics : "", stdout);
  }
  free(copy->metrics);
  free(copy->target_path);
  return code;
}

enum {
  OPTION_VERIFY = CLI_OPTION_FIRST,
  OPTION_IN_PLACE,
  OPTION_SPARSE,
  OPTION_DEPTH,
  OPTION_BLOCK,
  OPTION_BACKEND,
  OPTION_METRICS,
  OPTION_PROGRESS,
  OPTION_NO_PROGRESS
};

static int set_backend(copy_t* copy, const char* text) {
  int code = parse_backend("copy", "--backend", text, &copy->engine.backend);
  if (code == 0 && copy->engine.backend == UVDIO_BACKEND_MEMORY) {
    return report_usage(
        "copy",
        "--backend memory keeps files in RAM and finds none on a disk: take ring, aio or pool");
  }
  return code;
}

static int set_sparse(copy_t* copy, const char* text) {
  static const char* const names[] = {
      [SPARSE_AUTO] = "auto", [SPARSE_ALWAYS] = "always", [SPARSE_NEVER] = "never"};
  for (size_t i = 0; i < CLI_COUNT_OF(names); i++) {
    if (strcmp(text, names[i]) == 0) {
      copy->sparse = (sparse_t)i;
      return CLI_OK;
    }
  }
  return report_usage("copy", "--sparse takes auto, always or never, not '%s'", text);
}

static int set_option(copy_t* copy, int option, const char* value) {
  switch (option) {
    case 'p':
      copy->preserve = 1;
      return CLI_OK;
    case OPTION_IN_PLACE:
      copy->in_place = 1;
      return CLI_OK;
    case OPTION_SPARSE:
      return set_sparse(copy, value);
    case OPTION_VERIFY:
      copy->verify = 1;
      return CLI_OK;
    case OPTION_DEPTH:
      return parse_unsigned("copy", "--depth", value, UVDIO_DEPTH_MAX, &copy->engine.depth);
    case OPTION_BLOCK:
      return parse_bytes("copy", "--block", value, UVDIO_ALIGNMENT, BLOCK_MAX, &copy->block_size);
    case OPTION_BACKEND:
      return set_backend(copy, value);
    case OPTION_METRICS:
      copy->with_metrics = 1;
      return CLI_OK;
    case OPTION_PROGRESS:
    case OPTION_NO_PROGRESS:
      copy->progress_wanted = option == OPTION_PROGRESS;
      return CLI_OK;
  }
  return CLI_USAGE;
}

static unsigned default_depth(uint64_t block_size) {
  uint64_t depth = IN_FLIGHT_DEFAULT / block_size;
  depth = depth > DEPTH_LEAST ? depth : DEPTH_LEAST;
  return (unsigned)(depth < DEPTH_MOST ? depth : DEPTH_MOST);
}

int copy_main(int argc, char** argv) {
  static const struct option options[] = {
      {"preserve", no_argument, NULL, 'p'},
      {"in-place", no_argument, NULL, OPTION_IN_PLACE},
      {"sparse", required_argument, NULL, OPTION_SPARSE},
      {"verify", no_argument, NULL, OPTION_VERIFY},
      {"depth", required_argument, NULL, OPTION_DEPTH},
      {"block", required_argument, NULL, OPTION_BLOCK},
      {"backend", required_argument, NULL, OPTION_BACKEND},
      {"metrics", no_argument, NULL, OPTION_METRICS},
      {"progress", no_argument, NULL, OPTION_PROGRESS},
      {"no-progress", no_argument, NULL, OPTION_NO_PROGRESS},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  copy_t copy = {.block_size = BLOCK_DEFAULT, .target.descriptor = -1};
  copy.progress_wanted = isatty(STDERR_FILENO);
  int answer;
  while ((answer = getopt_long(argc, argv, ":hp", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("copy", argv, answer)
                                              : set_option(&copy, answer, optarg);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind != 2) {
    return report_usage("copy", "it takes two paths, SRC and DST");
  }
  if (copy.engine.depth == 0) {
    copy.engine.depth = default_depth(copy.block_size);
  }
  copy.source_path = argv[optind];
  return run_copy(&copy, argv[optind + 1]);
}
