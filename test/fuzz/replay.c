/* SPDX-License-Identifier: MIT */
/*
 * Gives files to a fuzz target, one after the other, where no fuzzer is linked: so that what
 * fuzzers have found is tested with every compiler. A folder stands for the files in it.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "input.h"

static unsigned replayed;

static int replay_file(const char* path, size_t size) {
  uint8_t* bytes = malloc(size + 1);
  FILE* file = fopen(path, "rb");
  size_t got = file == NULL || bytes == NULL ? 0 : fread(bytes, 1, size, file);
  if (file == NULL || got != size) {
    dprintf(2, "%s: can't be read\n", path);
    return 1;
  }
  fclose(file);
  dprintf(2, "%s\n", path); /* The last line before an abort tells which one it was. */
  LLVMFuzzerTestOneInput(bytes, size);
  free(bytes);
  replayed++;
  return 0;
}

static int replay(const char* path);

static int replay_folder(const char* path) {
  DIR* folder = opendir(path);
  struct dirent* entry;
  int failed = folder == NULL;
  while (!failed && (entry = readdir(folder)) != NULL) {
    char inside[4096];
    if (entry->d_name[0] != '.') {
      snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
      failed = replay(inside);
    }
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return failed;
}

static int replay(const char* path) {
  struct stat found;
  if (stat(path, &found) != 0) {
    dprintf(2, "%s: is not there\n", path);
    return 1;
  }
  return S_ISDIR(found.st_mode) ? replay_folder(path) : replay_file(path, (size_t)found.st_size);
}

int main(int argc, char** argv) {
  int failed = argc < 2;
  for (int i = 1; i < argc && !failed; i++) {
    failed = replay(argv[i]);
  }
  dprintf(1, "1..1\n%s 1 - %u inputs\nFIGURE %u inputs\n", failed ? "not ok" : "ok", replayed,
          replayed);
  return failed;
}
