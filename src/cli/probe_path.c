/* SPDX-License-Identifier: MIT */
/*
 * uvdio probe, of a path: a file is opened there, and a page really read. An open with O_DIRECT
 * that succeeds proves nothing yet.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "path.h"
#include "probe.h"
#include "procfs.h"
#include "report.h"

/*
 * Trying.
 */

static void try_page_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
  (void)result;
  *(uvdio_buf_t*)req->data = page;
}

static void find_info(const probe_file_t* file, uvdio_file_info_t* info) {
  int error = uvdio_file_info(&file->file, info);
  assert(error == 0);
  (void)error;
}

/* The first page, as large as the file's alignment, to see it work; a temporary file is given one
 * before. */
static ssize_t try_page(probe_file_t* file) {
  session_t* session = file->session;
  uvdio_file_info_t info;
  uvdio_buf_t page = {0};
  uvdio_req_t req = {.data = &page};
  find_info(file, &info);
  int64_t result = uvdio_buf_alloc(&page, info.offset_align, UVDIO_BUF_ZEROED);
  if (result == 0 && file->is_temporary) {
    result = session_await(session, &req, uvdio_write(&file->file, &req, &page, 0, try_page_done));
  }
  if (result >= 0) {
    result = session_await(session, &req, uvdio_read(&file->file, &req, &page, 0, try_page_done));
  }
  (void)uvdio_buf_release(&page);
  return (ssize_t)result;
}

static int try_file(probe_file_t* file, const char* path, unsigned flags) {
  session_t* session = file->session;
  uvdio_req_t req = {0};
  flags |= UVDIO_O_DIRECT_PREFERRED;
  int64_t error = session_await(
      session, &req,
      uvdio_open(session->engine, &file->file, &req, path, flags, 0600, session_done));
  if (error != 0) {
    return report_error("probe", file->is_temporary ? "create a file in" : "open", file->path,
                        (int)error);
  }
  file->is_open = 1;
  if (file->is_temporary) {
    (void)unlink(path); /* at once: nothing can leave it behind then */
  }
  file->page_bytes = try_page(file);
  return CLI_OK;
}

static int try_temporary(probe_file_t* file) {
  char* path = path_temporary(file->path, "probe");
  if (path == NULL) {
    return report_error("probe", "use", file->path, UV_ENOMEM);
  }
  int code = try_file(file, path, UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE);
  free(path);
  return code;
}

int probe_open(probe_file_t* file, session_t* session, const char* path) {
  struct stat status;
  memset(file, 0, sizeof *file);
  file->path = path;
  file->session = session;
  if (stat(path, &status) != 0) {
    return report_error("probe", "open", path, uv_translate_sys_error(errno));
  }
  /* Files of the memory backend are not on any path: one is made there. */
  int simulated = strcmp(uvdio_engine_backend(session->engine), "memory") == 0;
  file->is_temporary = S_ISDIR(status.st_mode) || simulated;
  if (file->is_temporary) {
    return try_temporary(file);
  }
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return report_problem(
        "probe", "cannot probe %s: it is neither a file nor a directory. Name one of those.", path);
  }
  return try_file(file, path, UVDIO_OPEN_READ);
}

void probe_close(probe_file_t* file) {
  uvdio_req_t req = {0};
  if (file->is_open) {
    (void)session_await(file->session, &req, uvdio_close(&file->file, &req, session_done));
    file->is_open = 0;
  }
}

/*
 * Telling.
 */

static void tell_mount(page_t* page, const char* path) {
  procfs_mount_t mount;
  procfs_mount(path, &mount);
  page_text(page, "mount_point", "mount point", mount.point);
  page_value(page, "device", *mount.source != '\0' ? json_string(mount.source) : json_null());
  page_value(page, "device_number",
             *mount.number != '\0' ? json_string(mount.number) : json_null());
  if (*mount.source != '\0') {
    page_words(page, "device", "%s (%s)", mount.source, mount.number);
  }
  page_text(page, "mount_options", "mount options", mount.options);
}

/* A number of bytes; no line where it is 0. */
static void tell_bytes(page_t* page, const char* key, const char* label, uint64_t bytes) {
  page_value(page, key, json_integer((json_int_t)bytes));
  if (bytes != 0) {
    page_words(page, label, "%llu bytes", (unsigned long long)bytes);
  }
}

static void tell_alignment(page_t* page, const uvdio_file_info_t* info) {
  static const char* const sources[][2] = {
      [UVDIO_ALIGN_DEFAULT] = {"default", "the default: the system does not say"},
      [UVDIO_ALIGN_STATX] = {"statx", "the kernel (STATX_DIOALIGN)"},
      [UVDIO_ALIGN_SYSTEM] = {"system", "the device's sector size"},
  };
  page_value(page, "memory_align", json_integer(info->memory_align));
  page_value(page, "offset_align", json_integer(info->offset_align));
  page_value(page, "system_memory_align", json_integer(info->system_memory_align));
  page_value(page, "system_offset_align", json_integer(info->system_offset_align));
  page_value(page, "system_read_align", json_integer(info->system_read_align));
  page_value(page, "recommended_align", json_integer(info->recommended_align));
  page_words(page, "alignment enforced", "memory %u bytes, offset and length %u bytes",
             info->memory_align, info->offset_align);
  if (info->system_offset_align != 0) {
    page_words(page, "alignment the system requires", "memory %u bytes, offset and length %u bytes",
               info->system_memory_align, info->system_offset_align);
  }
  if (info->system_read_align < info->system_offset_align) {
    page_words(page, "... of reads alone", "offset and length %u bytes", info->system_read_align);
  }
  if (info->recommended_align > info->system_offset_align) {
    page_words(page, "alignment recommended", "offset and length of writes %u bytes",
               info->recommended_align);
  }
  assert((size_t)info->align_source < CLI_COUNT_OF(sources));
  page_fact(page, "align_source", json_string(sources[info->align_source][0]),
            "alignment learnt from", "%s", sources[info->align_source][1]);
}

static void tell_transfers(page_t* page, const uvdio_file_info_t* info) {
  static const char* const methods[][2] = {
      [UVDIO_DURABLE_UNDECIDED] = {"measured",
                                   "each by itself, or by a sync that they share: an "
                                   "engine measures the better one"},
      [UVDIO_DURABLE_BY_DSYNC] = {"dsync", "each by itself"},
      [UVDIO_DURABLE_BY_SYNC] = {"sync", "by a sync that they share"},
  };
  tell_bytes(page, "optimal_size", "transfers that suit it", info->optimal_size);
  tell_bytes(page, "physical_block", "blocks of the device", info->physical_block);
  tell_bytes(page, "request_max", "requests of the device, at most", info->request_max);
  page_value(page, "atomic_min", json_integer(info->atomic_min));
  page_value(page, "atomic_max", json_integer(info->atomic_max));
  if (info->atomic_max != 0) {
    page_words(page, "writes that can't be torn", "%u to %u bytes", info->atomic_min,
               info->atomic_max);
  }
  assert((size_t)info->durable_method < CLI_COUNT_OF(methods));
  page_fact(page, "durable_method", json_string(methods[info->durable_method][0]), "durable writes",
            "%s", methods[info->durable_method][1]);
}

static void tell_page(page_t* page, const probe_file_t* file) {
  const char* label = file->is_temporary ? "a page written and read back" : "first page read";
  page_value(page, "page_result", json_integer(file->page_bytes));
  if (file->page_bytes >= 0) {
    page_words(page, label, "%zd bytes", file->page_bytes);
  } else {
    page_words(page, label, "%s (%s)", uvdio_strerror((int)file->page_bytes),
               uvdio_err_name((int)file->page_bytes));
  }
}

void probe_path(page_t* page, const probe_file_t* file) {
  uvdio_file_info_t info;
  find_info(file, &info);
  page_section(page, "file", "Path %s%s", file->path,
               file->is_temporary ? " (by a temporary file)" : "");
  page_text(page, "filesystem", "filesystem", info.filesystem);
  tell_mount(page, file->path);
  page_fact(page, "direct", json_boolean(info.is_direct), "direct I/O", "%s",
            info.is_direct ? "yes" : "no: the filesystem refuses it, so it is buffered");
  page_value(page, "backend", json_string(info.backend));
  page_value(page, "reason", json_string(info.reason));
  page_words(page, "executed by", "%s%s%s", info.backend, *info.reason != '\0' ? ": " : "",
             info.reason);
  page_value(page, "polled_reason", json_string(info.polled_reason));
  page_fact(page, "polled", json_boolean(info.is_polled), "polled completions, if asked for",
            "%s%s", info.is_polled ? "yes" : "no: ", info.polled_reason);
  tell_alignment(page, &info);
  tell_transfers(page, &info);
  tell_page(page, file);
}
