/* SPDX-License-Identifier: MIT */
/*
 * The parts of `uvdio probe`.
 *
 *   probe.c          the command: what is found out, and in which order
 *   probe_machine.c  facts of the machine: versions, container, limits
 *   probe_path.c     facts of a path, by a file that is opened and read there
 *   procfs.c, page.c reading what the kernel tells; the page that is told
 */
#ifndef UVDIO_CLI_PROBE_H
#define UVDIO_CLI_PROBE_H

#include "page.h"
#include "session.h"
#include "uvdio.h"

/* The first line: what runs here. The machine and the container. Limits. */
void probe_versions(page_t* page);
void probe_host(page_t* page);
void probe_limits(page_t* page);

/* A file at a path, open. */
typedef struct probe_file_s {
  const char* path; /* as it was given */
  session_t* session;
  uvdio_file_t file;
  int is_open;
  int is_temporary;   /* and gone from its directory */
  ssize_t page_bytes; /* read from the first page, or a code */
} probe_file_t;

/* Opens a file at the path, a temporary one in a directory, and reads a page. Returns CLI_OK, or
 * says why not; probe_close() is due in any case. */
int probe_open(probe_file_t* file, session_t* session, const char* path);
void probe_path(page_t* page, const probe_file_t* file);
void probe_close(probe_file_t* file);

#endif /* UVDIO_CLI_PROBE_H */
