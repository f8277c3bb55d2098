/* SPDX-License-Identifier: MIT */
/*
 * Can a program load a plug-in with the library inside, when all the room for thread-local
 * variables of late libraries is taken?
 *
 *   test_plugin FILLER PLUGIN FOLDER
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define FILLERS_MAX 4096

static const char* filler;
static const char* plugin;
static const char* folder;

static void copy_file(const char* from, const char* to) {
  char part[4096];
  size_t got;
  FILE* source = fopen(from, "rb");
  FILE* target = fopen(to, "wb");
  assert_true(source != NULL && target != NULL);
  while ((got = fread(part, 1, sizeof(part), source)) > 0) {
    assert_true(fwrite(part, 1, got, target) == got);
  }
  assert_int_equal(fclose(source), 0);
  assert_int_equal(fclose(target), 0);
}

#ifdef __GLIBC__
#define KEEPS_ROOM 1
#else
#define KEEPS_ROOM 0
#endif

/* A library that is loaded twice is so once: each is a copy. musl keeps no room at all, and musl
 * 1.2.3 ends by a fault of its own where it tells that of a library. */
static unsigned take_all_room(void) {
  char path[4096];
  unsigned taken = 0;
  void* loaded;
  do {
    (void)snprintf(path, sizeof(path), "%s/filler-%u.so", folder, taken);
    copy_file(filler, path);
    loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    (void)unlink(path);
    taken += loaded != NULL;
  } while (loaded != NULL && taken < FILLERS_MAX);
  assert_in_range(taken, 0, FILLERS_MAX - 1);
  return taken;
}

static void plugin_loads_when_all_room_is_taken(void** state) {
  char path[4096];
  (void)state;
  print_message("# room for %u variables of late libraries\n", KEEPS_ROOM ? take_all_room() : 0);
  void* loaded = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  if (loaded == NULL) {
    fail_msg("%s", dlerror());
  }
  int (*run)(const char* path);
  void* symbol = dlsym(loaded, "plugin_run");
  assert_non_null(symbol);
  memcpy(&run, &symbol, sizeof(run));
  (void)snprintf(path, sizeof(path), "%s/file", folder);
  assert_int_equal(run(path), 0);
  (void)unlink(path);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(plugin_loads_when_all_room_is_taken)};
  if (argc != 4) {
    return 2;
  }
  filler = argv[1];
  plugin = argv[2];
  folder = argv[3];
  return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
