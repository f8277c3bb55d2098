/*
 * Everything that people read: errors that say what to do, numbers with units, tables, JSON.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* What to do about an error. The codes that are missing here leave nothing to advise. */
static const struct {
  int error;
  const char* advice;
} hints[] = {
    {UV_ENOENT, "Check the path."},
    {UV_ENOTDIR, "Check the path: a part of it that should be a directory is a file."},
    {UV_EISDIR, "Name a file, not a directory."},
    {UV_ENAMETOOLONG, "Choose a shorter path."},
    {UV_ELOOP, "Check the symbolic links on the path."},
    {UV_EEXIST, "Choose another path, or remove that file first."},
    {UV_EACCES, "Check the permissions of the file and of the directories above it."},
    {UV_EPERM, "Check the owner and the attributes of the file (lsattr), or run as a user who may do this."},
    {UV_EROFS, "The filesystem is read-only: choose another one, or remount it writable."},
    {UV_ETXTBSY, "The file is a program that is running: stop it, or choose another path."},
    {UV_ENOSPC, "Free some space on that filesystem (df), or choose another one."},
    {UV_EFBIG, "Raise the limit on file size (ulimit -f), or choose a filesystem that takes larger files."},
    {UV_EIO, "The device failed: look into the kernel's log (dmesg), and don't trust what was written."},
    {UV_ENXIO, "The device is gone: look into the kernel's log (dmesg)."},
    {UV_EMFILE, "Raise the limit on open files (ulimit -n)."},
    {UV_ENFILE, "The whole system has too many files open (sysctl fs.file-max)."},
    {UV_ENOMEM, "Ask for less memory: a smaller --depth or --block."},
    {UV_ENOTSUP, "The filesystem can't do this: choose another one, such as ext4 or xfs."},
    {UV_ENOSYS, "The kernel can't do this: `uvdio probe` tells what it can."},
    {UV_EBUSY, "Something else uses the file: try again later."},
    {UV_EINVAL, "If the path is right, the filesystem may not take direct I/O: see `uvdio probe`."},
    {UVDIO_ENODIRECT, "Choose a file on a disk filesystem, such as ext4 or xfs."},
    {UVDIO_EBACKEND, "`uvdio probe` tells which backends are available, and why others are not."},
    {UVDIO_EALIGN, "Ask for a --block that is a multiple of what `uvdio probe` tells."},
    {UVDIO_ESIZE, "Ask for less memory: a smaller --depth or --block."},
    {UVDIO_EOFFSET, "Ask for smaller sizes."},
    {UVDIO_ESHORTREAD, "Make sure that nobody shortens the file meanwhile."},
    {UVDIO_ESHORTWRITE, "Check for free space (df) and limits on file size (ulimit -f)."},
#ifdef EDQUOT
    {-EDQUOT, "The disk quota is used up: remove files, or ask for more (quota)."},
#endif
#ifdef ESTALE
    {-ESTALE, "The file is gone from its server: check the mount."},
#endif
};

static const char* hint_for(int error) {
  for (size_t i = 0; i < CLI_COUNT_OF(hints); i++) {
    if (hints[i].error == error) {
      return hints[i].advice;
    }
  }
  return "";
}

/* What was said and stderr has not taken. Past its size, messages are cut. */
static char unsaid[16384];
static size_t unsaid_length;

/* stderr has no buffer, so that nothing overtakes anything. */
static void flush_unsaid(void) {
  size_t written = 0;
  ssize_t got = 0;
  for (int i = 0; written < unsaid_length && i < CLI_ATTEMPTS_MAX; i++) {
    got = write(fileno(stderr), unsaid + written, unsaid_length - written);
    if (got < 0 && errno != EINTR) {
      break;
    }
    written += got > 0 ? (size_t)got : 0;
  }
  unsaid_length -= written;
  memmove(unsaid, unsaid + written, unsaid_length);
}

int report_is_pending(void) {
  flush_unsaid();
  return unsaid_length > 0;
}

static void say_list(const char* format, va_list arguments) {
  size_t room = sizeof unsaid - unsaid_length;
  int length = vsnprintf(unsaid + unsaid_length, room, format, arguments);
  assert(length >= 0);
  unsaid_length += (size_t)length < room ? (size_t)length : room - 1;
  assert(unsaid_length < sizeof unsaid);
}

static void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_list(format, arguments);
  va_end(arguments);
}

static void say_prefix(const char* command) {
  fflush(stdout);
  say(command != NULL ? "uvdio %s: " : "uvdio: ", command);
}

/* A kernel that is newer than the library, or lets one of its inner codes out: the number at
 * least. */
static void say_cause(int error) {
  if (strcmp(uvdio_err_name(error), "UNKNOWN") == 0 && error < 0 && error > -4096) {
    say("%s (errno %d).", strerror(-error), -error);
  } else {
    say("%s (%s).", uvdio_strerror(error), uvdio_err_name(error));
  }
}

int report_error(const char* command, const char* operation, const char* path, int error) {
  const char* advice = hint_for(error);
  say_prefix(command);
  say("cannot %s%s%s: ", operation, path != NULL ? " " : "", path != NULL ? path : "");
  say_cause(error);
  say("%s%s\n", *advice != '\0' ? " " : "", advice);
  flush_unsaid();
  return CLI_FAILED;
}

int report_problem(const char* command, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_prefix(command);
  say_list(format, arguments);
  va_end(arguments);
  say("\n");
  flush_unsaid();
  return CLI_FAILED;
}

int report_usage(const char* command, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_prefix(command);
  say_list(format, arguments);
  va_end(arguments);
  say(".\nTry `uvdio %s%s--help`.\n", command != NULL ? command : "", command != NULL ? " " : "");
  flush_unsaid();
  return CLI_USAGE;
}

int report_option(const char* command, char** argv, int answer) {
  if (answer == ':') {
    return report_usage(command, "the option %s needs a value", argv[optind - 1]);
  }
  if (optopt > 0 && optopt < CLI_OPTION_FIRST) {
    return report_usage(command, "the option -%c is unknown or takes no value", optopt);
  }
  return report_usage(command, "the option %s is unknown, ambiguous or takes no value", argv[optind - 1]);
}

int report_engine(const char* command, uvdio_backend_t backend, int error) {
  char reason[256] = "";
  int named = backend != UVDIO_BACKEND_AUTO;
  if (named && uvdio_backend_probe(backend, reason, sizeof reason) != 0) {
    return report_problem(command, "the backend %s is not available here: %s", backend_text(backend), reason);
  }
  if (error == UVDIO_EBACKEND && !named) {
    const char* wish = getenv("UVDIO_BACKEND");
    return report_problem(command,
                          "the backend of the environment, UVDIO_BACKEND=%s, is unknown or not "
                          "available. Unset it, or see `uvdio probe`.",
                          wish != NULL ? wish : "");
  }
  return report_error(command, "start an engine", NULL, error);
}

int report_json(const char* command, json_t* value) {
  int failed = value == NULL || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) != 0;
  json_decref(value);
  if (failed) {
    return report_problem(command, "cannot write the JSON to standard output.");
  }
  fputc('\n', stdout);
  return CLI_OK;
}

json_t* json_thousandths(double value) {
  return json_real(round(value * 1000) / 1000);
}

/* Three digits that matter: 9.87, 98.7, 987. */
static int decimals_for(double value) {
  return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

char* format_size(char* text, size_t size, uint64_t bytes) {
  static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < CLI_COUNT_OF(units)) {
    value /= 1024;
    unit++;
  }
  int whole = value >= 100 || value == floor(value);
  snprintf(text, size, "%.*f %s", whole ? 0 : 1, value, units[unit]);
  return text;
}

static char* format_thousands(char* text, size_t size, double value, const char* unit) {
  static const char* const prefixes[] = {"", "k", "M", "G", "T"};
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < CLI_COUNT_OF(prefixes)) {
    value /= 1000;
    prefix++;
  }
  int plain = prefix == 0 && value == floor(value);
  snprintf(text, size, "%.*f%s%s%s", plain ? 0 : decimals_for(value), value,
           *prefixes[prefix] != '\0' || *unit != '\0' ? " " : "", prefixes[prefix], unit);
  return text;
}

char* format_count(char* text, size_t size, double count) {
  return format_thousands(text, size, count, "");
}

char* format_rate(char* text, size_t size, double bytes_per_s) {
  return format_thousands(text, size, bytes_per_s, "B/s");
}

char* format_time(char* text, size_t size, double microseconds) {
  static const char* const units[] = {"µs", "ms", "s"};
  size_t unit = 0;
  while (microseconds >= 999.5 && unit + 1 < CLI_COUNT_OF(units)) {
    microseconds /= 1000;
    unit++;
  }
  snprintf(text, size, "%.*f %s", decimals_for(microseconds), microseconds, units[unit]);
  return text;
}

void notes_add(notes_t* notes, const char* format, ...) {
  char note[NOTE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(note, sizeof note, format, arguments);
  va_end(arguments);
  for (size_t i = 0; i < notes->count; i++) {
    if (strcmp(notes->texts[i], note) == 0) {
      return;
    }
  }
  if (notes->count < NOTES_MAX) {
    memcpy(notes->texts[notes->count++], note, sizeof note);
  }
}

void notes_print(const notes_t* notes) {
  for (size_t i = 0; i < notes->count; i++) {
    printf("%s\n", notes->texts[i]);
  }
}

json_t* notes_json(const notes_t* notes) {
  json_t* list = json_array();
  for (size_t i = 0; i < notes->count; i++) {
    json_array_append_new(list, json_string(notes->texts[i]));
  }
  return list;
}

char (*table_add(table_t* table))[TABLE_CELL_SIZE] {
  void* rows = realloc(table->rows, (table->row_count + 1) * sizeof table->rows[0]);
  if (rows == NULL) {
    return NULL;
  }
  table->rows = rows;
  memset(table->rows[table->row_count], 0, sizeof table->rows[0]);
  return table->rows[table->row_count++];
}

int table_add_headings(table_t* table, const char* const* headings, size_t count, size_t text_columns) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  assert(count <= TABLE_COLUMNS_MAX && text_columns <= count);
  table->columns = count;
  table->text_columns = text_columns;
  for (size_t i = 0; i < count && cells != NULL; i++) {
    snprintf(cells[i], TABLE_CELL_SIZE, "%s", headings[i]);
  }
  return cells != NULL ? 0 : -1;
}

/* Columns of the terminal: bytes that go on with a UTF-8 character take none. */
static int text_width(const char* text) {
  int width = 0;
  for (; *text != '\0'; text++) {
    width += ((unsigned char)*text & 0xC0) != 0x80;
  }
  return width;
}

static int column_width(const table_t* table, size_t column) {
  int width = 0;
  for (size_t row = 0; row < table->row_count; row++) {
    int needed = text_width(table->rows[row][column]);
    width = needed > width ? needed : width;
  }
  return width;
}

void table_print(const table_t* table, FILE* out) {
  int widths[TABLE_COLUMNS_MAX];
  assert(table->columns <= TABLE_COLUMNS_MAX);
  for (size_t column = 0; column < table->columns; column++) {
    widths[column] = column_width(table, column);
  }
  for (size_t row = 0; row < table->row_count; row++) {
    for (size_t column = 0; column < table->columns; column++) {
      const char* cell = table->rows[row][column];
      int padding = widths[column] - text_width(cell);
      int left = column < table->text_columns;
      fprintf(out, "%s%*s%s%*s", column > 0 ? "  " : "", left ? 0 : padding, "", cell, left ? padding : 0,
              "");
    }
    fputc('\n', out);
  }
}

void table_free(table_t* table) {
  free(table->rows);
  memset(table, 0, sizeof *table);
}
