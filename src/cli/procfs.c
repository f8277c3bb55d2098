/* SPDX-License-Identifier: MIT */
/*
 * Reading what the kernel and the distribution tell about themselves, line by line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "procfs.h"

/* Calls `found` with each line, without its newline, until that returns something else than 0.
 * A line of mountinfo has no bound. */
static void each_line(const char* path, int (*found)(void* context, char* line), void* context) {
  FILE* file = fopen(path, "re");
  char* line = NULL;
  size_t room = 0;
  int is_found = 0;
  while (file != NULL && !is_found && getline(&line, &room, file) > 0) {
    line[strcspn(line, "\n")] = '\0';
    is_found = found(context, line);
  }
  free(line);
  if (file != NULL) {
    fclose(file);
  }
}

typedef struct {
  const char* key; /* null: any line */
  char* text;
  size_t size;
} wanted_t;

/* Of KEY: VALUE, KEY=VALUE, KEY="VALUE"; null where it is of another key. */
static char* value_of(char* line, const char* key) {
  size_t length = strlen(key);
  if (strncmp(line, key, length) != 0 || (line[length] != ':' && line[length] != '=')) {
    return NULL;
  }
  line += length + 1;
  line += strspn(line, " \t");
  if (*line == '"' || *line == '\'') {
    char* end = strrchr(line + 1, *line);
    line++;
    if (end != NULL) {
      *end = '\0';
    }
  }
  return line;
}

static int take_line(void* context, char* line) {
  wanted_t* wanted = context;
  const char* value = wanted->key != NULL ? value_of(line, wanted->key) : line;
  if (value != NULL) {
    snprintf(wanted->text, wanted->size, "%s", value);
  }
  return value != NULL;
}

size_t procfs_field(const char* path, const char* key, char* text, size_t size) {
  wanted_t wanted = {key, text, size};
  *text = '\0';
  each_line(path, take_line, &wanted);
  return strlen(text);
}

size_t procfs_line(const char* path, char* text, size_t size) {
  return procfs_field(path, NULL, text, size);
}

/*
 * Control groups. /proc/self/cgroup has a line NUMBER:CONTROLLERS:PATH for each hierarchy of
 * version 1, and 0::PATH for version 2.
 */

typedef struct {
  const char* controllers; /* with the colons around them */
  char* text;
  size_t size;
} wanted_group_t;

static int take_group(void* context, char* line) {
  const wanted_group_t* wanted = context;
  const char* controllers = strchr(line, ':');
  size_t length = strlen(wanted->controllers);
  if (controllers == NULL || strncmp(controllers, wanted->controllers, length) != 0) {
    return 0;
  }
  snprintf(wanted->text, wanted->size, "%s", controllers + length);
  return 1;
}

/* Returns where the hierarchy is mounted. */
static const char* find_group(char* text, size_t size) {
  wanted_group_t wanted = {":pids:", text, size};
  *text = '\0';
  each_line("/proc/self/cgroup", take_group, &wanted);
  if (*text != '\0') {
    return "/sys/fs/cgroup/pids";
  }
  wanted.controllers = "::";
  each_line("/proc/self/cgroup", take_group, &wanted);
  return "/sys/fs/cgroup";
}

size_t procfs_cgroup(char* text, size_t size) {
  (void)find_group(text, size);
  return strlen(text);
}

/* In a container the group's own folder may be mounted as the root of the hierarchy. */
size_t procfs_tasks_max(char* text, size_t size) {
  char group[PROCFS_TEXT_SIZE];
  char path[PROCFS_TEXT_SIZE + 64];
  const char* root = find_group(group, sizeof group);
  snprintf(path, sizeof path, "%s%s/pids.max", root, group);
  if (procfs_line(path, text, size) == 0) {
    snprintf(path, sizeof path, "%s/pids.max", root);
    (void)procfs_line(path, text, size);
  }
  return strlen(text);
}

/*
 * Mounts. A file's descriptor knows the number of its mount; a device has several mounts, and on
 * some filesystems another number than the mount's.
 */

typedef struct {
  const char* id;
  procfs_mount_t* mount;
} wanted_mount_t;

/* The kernel writes blanks, newlines and backslashes of names as three octal digits. */
static char* unescape(char* text) {
  char* to = text;
  for (const char* from = text; *from != '\0'; to++) {
    unsigned code;
    if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
      *to = (char)code;
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = '\0';
  return text;
}

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE OPTIONS */
static int take_mount(void* context, char* line) {
  const wanted_mount_t* wanted = context;
  procfs_mount_t* mount = wanted->mount;
  char* fields[6];
  for (size_t i = 0; i < 6; i++) {
    fields[i] = strsep(&line, " ");
  }
  char* rest = line != NULL ? strstr(line, "- ") : NULL;
  if (rest == NULL || strcmp(fields[0], wanted->id) != 0) {
    return 0;
  }
  rest += strlen("- ");
  (void)strsep(&rest, " ");
  char* source = strsep(&rest, " ");
  snprintf(mount->number, sizeof mount->number, "%s", fields[2]);
  snprintf(mount->point, sizeof mount->point, "%s", unescape(fields[4]));
  snprintf(mount->source, sizeof mount->source, "%s", source != NULL ? unescape(source) : "");
  snprintf(mount->options, sizeof mount->options, "%s; %s", fields[5], rest != NULL ? rest : "");
  return 1;
}

void procfs_mount(const char* path, procfs_mount_t* mount) {
  memset(mount, 0, sizeof *mount);
#ifdef O_PATH
  char name[64];
  char id[24];
  wanted_mount_t wanted = {id, mount};
  int descriptor = open(path, O_PATH | O_CLOEXEC);
  if (descriptor == -1) {
    return;
  }
  snprintf(name, sizeof name, "/proc/self/fdinfo/%d", descriptor);
  if (procfs_field(name, "mnt_id", id, sizeof id) > 0) {
    each_line("/proc/self/mountinfo", take_mount, &wanted);
  }
  close(descriptor);
#else
  (void)path;
  (void)take_mount;
#endif
}
