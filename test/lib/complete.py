#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An operation or a system call that the tests don't know would be tested nowhere, and nothing
would say so. This fails where

  - an operation of UVDIO_OP_MAP is missing from a generator, the scenario of the fault sweep, the
    tracker, or a contract program that tests every operation. A program that goes through all of
    them (EACH, below) has them by the generator's table, whose rows the compiler asks for,
  - the fault sweep has no error to inject into a call (faults_calls.h),
  - the ring submits an opcode to which the faults give no system call (call_of in faults_ring.c),
  - the library makes a call that no fault can reach: neither in faults_system.c nor in NO_FAULT.

  complete.py BUILD      a build with the objects of uvdio_static
"""
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Each has to use every operation.
USERS = ["test/lib/scenario.c", "test/lib/generator.c", "test/lib/model.c",
         "test/sim/model_run.c", "test/fuzz/fuzz_operations.c", "test/fsx/fsx.c",
         "test/stress/test_chaos.c", "test/fault/test_retries.c"]
USERS += [f"test/contract/test_{name}.c" for name in (
    "file", "synchronous", "bad_input", "cancel", "fork", "order", "latched_errors")]

# What goes through every operation there is, or asks what the table says of the one at hand.
EACH = r"op < UVDIO_OP_COUNT; op\+\+|do_every_example|weights_of\(BY_|switch \(facts_of\("

# Calls without a fault, by the reason.
NO_FAULT = {
    "can't fail": "memcpy memmove memset memcmp bcmp strrchr strlen strcmp strcspn snprintf sscanf "
                  "strtol free clock_gettime abort gnu_dev_makedev",
    "fails in a real way instead": "fstat fstatat stat readlink ioctl poll write sysconf "
                                   "dup2 fopen fscanf fclose",
    "set up once per process or thread": "pthread_atfork pthread_key_create pthread_once "
                                         "pthread_setspecific pthread_mutex_lock "
                                         "pthread_mutex_unlock",
    "the compiler's and the linker's": "__assert_fail __errno_location __tls_get_addr "
                                       "_GLOBAL_OFFSET_TABLE_ __stack_chk_fail",
}

# Libraries whose functions lib/faults_*.c wrap by name where they can fail, and instrumentation.
OURS = ("uv_", "uvdio_", "io_uring_", "__io_uring", "__asan", "__ubsan", "__tsan", "__gcov",
        "__llvm")


def read(path):
    return open(os.path.join(ROOT, path), encoding="utf-8").read()


def users_of(kind):
    """Operations on names have a program of their own, and no latch."""
    if "KIND_NAME" not in kind:
        return USERS
    other = {"test/contract/test_file.c": "test/contract/test_names.c"}
    return [other.get(path, path) for path in USERS if "latched_errors" not in path]


def missing_operations():
    table = re.search(r"#define UVDIO_OP_MAP\(X\)(.*?)\n\n", read("include/uvdio.h"), re.S).group(1)
    for name, text, kind in re.findall(r'X\((\w+), "(\w+)", (.*)\)', table):
        for path in users_of(kind):
            of_names = "|play_names|CASE_NAMES" if "KIND_NAME" in kind else ""
            uses = rf"\b(t_{text}|uvdio_{text}|UVDIO_OP_{name}{of_names})\b|{EACH}"
            if not re.search(uses, read(path)):
                yield f"{path}: does not use the operation {text}"


def missing_errors():
    calls = read("test/lib/faults_calls.h").split("#define FAULT_CALL_MAP(X)")[1]
    for call, text, errors in re.findall(r'X\((\w+), "([^"]*)"([^)]*)\)', calls):
        if not text or not re.match(r",[\s\\]*(E|OF_)[A-Z]", errors):
            yield f"test/lib/faults_calls.h: has no errors of {call}"


def missing_opcodes():
    known = re.search(r"call_of\(.*?\n}\n", read("test/lib/faults_ring.c"), re.S).group()
    for path in ("src/ring/submit.c", "src/ring/open.c"):
        for opcode in set(re.findall(r"\b(?:IORING_)?OP_[A-Z_]+\b", read(path))):
            if opcode.startswith(("IORING_OP_", "OP_")) and not re.search(rf"\b{opcode}\b", known):
                yield f"{path}: call_of in test/lib/faults_ring.c does not know {opcode}"


def plain(symbol):
    """fstat64, __isoc99_sscanf and __fstat_chk are names of what the sources call."""
    symbol = re.sub(r"@.*|^__isoc\d+_", "", symbol)
    fortified = re.fullmatch(r"__(\w+)_chk", symbol)
    return re.sub(r"64$", "", fortified.group(1) if fortified else symbol)


def missing_calls(build):
    wrapped = set(map(plain, re.findall(r"__wrap_(\w+)", read("test/lib/faults_system.c"))))
    reasons = {name for names in NO_FAULT.values() for name in names.split()}
    for folder in ("os", "ring", "backend"):
        objects = os.path.join(build, "CMakeFiles/uvdio_static.dir/src", folder, "*.o")
        for path in sorted(glob.glob(objects)):
            listing = subprocess.run(["nm", "-u", path], check=True, capture_output=True, text=True)
            for symbol in map(plain, re.findall(r" U (\S+)", listing.stdout)):
                if not symbol.startswith(OURS) and symbol not in wrapped | reasons:
                    yield f"src/{folder}/{os.path.basename(path)[:-2]}: no fault reaches {symbol}"


def main():
    complaints = [*missing_operations(), *missing_errors(), *missing_opcodes(),
                  *missing_calls(sys.argv[1])]
    print("\n".join(complaints))
    print(f"operations and calls: {len(complaints)} are missing somewhere")
    return len(complaints) > 0


if __name__ == "__main__":
    sys.exit(main())
