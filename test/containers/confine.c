/* SPDX-License-Identifier: MIT */
/*
 * Runs a program as a container would: under a seccomp filter that libseccomp makes of a profile
 * like Docker's (what is not allowed is denied), under a limit on locked memory, as another user,
 * in a control group.
 *
 *   confine [--errno N] [--add FILE]... [--deny CALL]... [--memlock BYTES] [--user ID]
 *           [--group DIR] PROGRAM ARGUMENT...
 *
 * --errno is what a denied call gets (1: EPERM); --add adds a rule as profiles of Docker have it:
 * {"names": [...], "action": "SCMP_ACT_ALLOW"}; --deny denies one call more. Exit code: 125 where
 * that fails, else the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FAILED 125
#define CALLS_MAX 1024
#define LIST_MAX 16

/* Calls that Docker's profile of version 25 and later denies to a container without capabilities;
 * clone3 gets ENOSYS there, so that the C library takes clone. */
static const char* const denied[] = {
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "acct",
    "add_key",
    "bpf",
    "clone3",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsmount",
    "fsopen",
    "get_mempolicy",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_load",
    "kexec_file_load",
    "keyctl",
    "mbind",
    "mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
};

typedef struct {
  int error;
  const char* added[LIST_MAX]; /* files */
  size_t added_count;
  const char* more[LIST_MAX]; /* calls that are denied, too */
  size_t more_count;
  const char* memlock;
  const char* user;
  const char* group;
} plan_t;

static void fail(const char* what, int error) {
  fprintf(stderr, "confine: %s: %s\n", what, strerror(error));
  exit(FAILED);
}

static int is_among(const char* name, const char* const* list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(list[i], name) == 0) {
      return 1;
    }
  }
  return 0;
}

static void add_rule(scmp_filter_ctx filter, uint32_t action, const char* name) {
  int number = seccomp_syscall_resolve_name(name);
  int error = number == __NR_SCMP_ERROR ? -EINVAL : seccomp_rule_add(filter, action, number, 0);
  if (error != 0) {
    fail(name, -error);
  }
}

static void allow_the_rest(scmp_filter_ctx filter, const plan_t* plan) {
  for (int number = 0; number < CALLS_MAX; number++) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (name != NULL && !is_among(name, denied, sizeof denied / sizeof *denied) &&
        !is_among(name, plan->more, plan->more_count)) {
      add_rule(filter, SCMP_ACT_ALLOW, name);
    }
    free(name);
  }
}

/* As a container runtime does it with an element of a profile's "syscalls". */
static void add_file(scmp_filter_ctx filter, const char* path) {
  json_error_t error;
  json_t *rule = json_load_file(path, 0, &error), *name;
  const char* action = json_string_value(json_object_get(rule, "action"));
  json_t* names = json_object_get(rule, "names");
  size_t i;
  if (action == NULL || strcmp(action, "SCMP_ACT_ALLOW") != 0 || json_array_size(names) == 0) {
    fprintf(stderr, "confine: %s: %s\n", path,
            rule == NULL ? error.text : "it has no names, or another action than SCMP_ACT_ALLOW");
    exit(FAILED);
  }
  json_array_foreach(names, i, name) {
    add_rule(filter, SCMP_ACT_ALLOW, json_string_value(name));
  }
  json_decref(rule);
}

static void put_filter(const plan_t* plan) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO((unsigned)plan->error));
  if (filter == NULL) {
    fail("seccomp_init", ENOMEM);
  }
  allow_the_rest(filter, plan);
  if (plan->error != ENOSYS) {
    add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3");
  }
  for (size_t i = 0; i < plan->added_count; i++) {
    add_file(filter, plan->added[i]);
  }
  int error = seccomp_load(filter);
  if (error != 0) {
    fail("seccomp_load", -error);
  }
  seccomp_release(filter);
}

static void enter_group(const char* group) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", group);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file == -1 || write(file, "0", 1) != 1) { /* this process */
    fail(path, errno);
  }
  close(file);
}

static void limit_memory(const char* bytes) {
  struct rlimit limit = {0, 0};
  limit.rlim_cur = limit.rlim_max = strtoul(bytes, NULL, 10);
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    fail("setrlimit", errno);
  }
}

static void become(const char* user) {
  unsigned id = (unsigned)strtoul(user, NULL, 10);
  if (setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0) {
    fail("setresuid", errno);
  }
}

static void usage(void) {
  fputs(
      "usage: confine [--errno N] [--add FILE]... [--deny CALL]... [--memlock BYTES]\n"
      "               [--user ID] [--group DIR] PROGRAM ARGUMENT...\n",
      stderr);
  exit(FAILED);
}

static void add_to(const char** list, size_t* count) {
  if (*count == LIST_MAX) {
    usage();
  }
  list[(*count)++] = optarg;
}

static const struct option options[] = {{"errno", required_argument, NULL, 'e'},
                                        {"add", required_argument, NULL, 'a'},
                                        {"deny", required_argument, NULL, 'd'},
                                        {"memlock", required_argument, NULL, 'm'},
                                        {"user", required_argument, NULL, 'u'},
                                        {"group", required_argument, NULL, 'g'},
                                        {NULL, 0, NULL, 0}};

static plan_t read_plan(int argc, char** argv) {
  plan_t plan = {.error = EPERM};
  int answer;
  while ((answer = getopt_long(argc, argv, "+", options, NULL)) != -1) {
    switch (answer) {
      case 'e':
        plan.error = atoi(optarg);
        break;
      case 'a':
        add_to(plan.added, &plan.added_count);
        break;
      case 'd':
        add_to(plan.more, &plan.more_count);
        break;
      case 'm':
        plan.memlock = optarg;
        break;
      case 'u':
        plan.user = optarg;
        break;
      case 'g':
        plan.group = optarg;
        break;
      default:
        usage();
    }
  }
  if (optind == argc) {
    usage();
  }
  return plan;
}

int main(int argc, char** argv) {
  plan_t plan = read_plan(argc, argv);
  if (plan.group != NULL) {
    enter_group(plan.group);
  }
  if (plan.memlock != NULL) {
    limit_memory(plan.memlock);
  }
  if (plan.user != NULL) {
    become(plan.user);
  }
  put_filter(&plan);
  execv(argv[optind], argv + optind);
  fail(argv[optind], errno);
  return FAILED;
}
