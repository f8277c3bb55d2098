/* SPDX-License-Identifier: MIT */
/*
 * Commits by SQLite, in WAL mode with synchronous=FULL. SQLite has one writer at a time and no
 * group commit, so the group's leader does what programs do: it makes one transaction of all
 * records.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "log/group.h"

#define PATH_SIZE 4096

typedef struct {
  sqlite3* connection;
  sqlite3_stmt* begin;
  sqlite3_stmt* insert;
  sqlite3_stmt* commit;
  size_t record_size;
} database_t;

static int execute(sqlite3_stmt* statement) {
  int is_done = sqlite3_step(statement) == SQLITE_DONE;
  return sqlite3_reset(statement) == SQLITE_OK && is_done ? 0 : UV_EIO;
}

static int insert(database_t* database, const char* bytes) {
  if (sqlite3_bind_blob(database->insert, 1, bytes, (int)database->record_size, SQLITE_STATIC) !=
      SQLITE_OK) {
    return UV_EIO;
  }
  return execute(database->insert);
}

static int write_group(void* arg, const char* bytes, size_t size, unsigned count) {
  database_t* database = arg;
  int error = execute(database->begin);
  (void)size;
  for (unsigned i = 0; i < count && error == 0; i++) {
    error = insert(database, bytes + i * database->record_size);
  }
  return error == 0 ? execute(database->commit) : error;
}

static int compile(database_t* database, const char* text, sqlite3_stmt** statement) {
  return sqlite3_prepare_v2(database->connection, text, -1, statement, NULL) == SQLITE_OK ? 0
                                                                                          : UV_EIO;
}

static int open_database(database_t* database, const char* path) {
  static const char set_up[] =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "CREATE TABLE records (number INTEGER PRIMARY KEY, record BLOB)";
  if (sqlite3_open(path, &database->connection) != SQLITE_OK ||
      sqlite3_exec(database->connection, set_up, NULL, NULL, NULL) != SQLITE_OK) {
    return UV_EIO;
  }
  int error = compile(database, "BEGIN IMMEDIATE", &database->begin);
  error = error != 0
              ? error
              : compile(database, "INSERT INTO records (record) VALUES (?)", &database->insert);
  return error != 0 ? error : compile(database, "COMMIT", &database->commit);
}

static void close_database(database_t* database) {
  (void)sqlite3_finalize(database->begin);
  (void)sqlite3_finalize(database->insert);
  (void)sqlite3_finalize(database->commit);
  (void)sqlite3_close(database->connection);
}

/* A new database in each round: they would grow otherwise. */
static void remove_database(const char* path) {
  char other[PATH_SIZE + 8];
  (void)unlink(path);
  (void)snprintf(other, sizeof other, "%s-wal", path);
  (void)unlink(other);
  (void)snprintf(other, sizeof other, "%s-shm", path);
  (void)unlink(other);
}

int commits_by_sqlite(commits_t* commits) {
  char path[PATH_SIZE];
  database_t database = {.record_size = commits->params->record_size};
  commits_path(commits, "database", path, sizeof path);
  remove_database(path);
  commits->failed = "open a database in";
  int error = open_database(&database, path);
  error = error != 0 ? error : group_run(commits, write_group, &database);
  close_database(&database);
  remove_database(path);
  return error;
}
