#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks who knows whom: the #include lines of sources, and the calls between their objects.

  layers.py FOLDER        FOLDER is a debug build by CMake, whose objects tell the calls
  layers.py --self-test   plants wrong includes, calls and a circle, and looks whether it finds them

Two rules. A module includes and calls only what its line below allows. No two files call each other
in a circle: in src/, in test/lib/, in test/bench/. Exit status: 0 where both hold, else 1.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

# Each module of src/, and what it may use. A module is a file name without its ending, or a folder;
# backend/memory.c and backend/memory_files.c are one, pool.c and pool_fork.c, too. From top to
# bottom:
MAY_USE = {
    "cli": "",
    "examples": "",
    "node": "",
    "bench": "cli",
    "lua": "",
    "group": "sized",
    "append": "sized growth refusal",
    "log": "sized stream",
    "stream": "sized growth refusal",
    "growth": "",
    "refusal": "",
    "api": "class file order durability queue completion loop vector request engine.h buffer",
    "late": "pending loop request engine.h",
    "pending": "class frames file order queue completion loop request engine.h",
    "names": "class path file order queue completion loop request engine.h",
    "engine_init": "file engine engine_close loop backend arena engine.h ring aio pool memory",
    "engine_close": "class metrics engine frames file order share durability queue loop vector"
    " request engine.h",
    "engine": "late class metrics frames file order share queue completion loop vector request"
    " backend arena engine.h",
    "frames": "file order queue completion loop request arena buffer engine.h",
    "file": "class path order share durability queue completion loop request engine.h",
    "order": "durability share queue completion loop request engine.h",
    "share": "loop engine.h",
    "durability": "request engine.h",
    "queue": "class metrics share completion batch loop request backend engine.h",
    "class": "loop request engine.h device_model",
    "metrics": "class request engine.h histogram ticks",
    "metrics_print": "",
    "histogram": "",
    "ticks": "",
    "device_model": "",
    "sim": "faults path completion vector request backend engine.h memory",
    "faults": "path completion loop request backend engine.h",
    "ring": "class completion batch wakeup loop vector request backend engine.h arena buffer",
    "aio": "completion batch wakeup loop vector request backend engine.h",
    "wakeup": "loop backend engine.h",
    "pool": "completion request backend engine.h",
    "memory": "completion vector request backend engine.h",
    "completion": "request backend engine.h",
    "loop": "metrics engine.h",
    "request": "vector backend engine.h",
    "vector": "request engine.h buffer",
    "engine.h": "loop request backend",
    "backend": "",
    "batch": "",
    "path": "",
    "arena": "buffer",
    "buffer": "",
    "debug": "vector request engine.h",
    "error": "",
    "allocator": "",
    "list": "",
    "compiler": "",
    "sized": "",
    "trace": "",
    "os": "",
}
# What every module of the library may use beside the public headers. Of these, os uses none.
FOR_ALL = "os allocator error list compiler sized trace debug".split()
PUBLIC_ONLY = ("cli", "bench", "examples", "lua", "group", "append", "log", "stream",
               "metrics_print")
PROGRAMS = ("cli", "bench", "examples", "lua")  # of these, which may call the others as well
# Headers that are not their namesake's: the engine's structure is known far below the engine.
HEADERS = {"src/engine.h": "engine.h", "src/iteration.h": "engine"}

# Calls against the direction, each by name: part of a contract that the lower side declares.
BACKENDS = "ring aio pool memory sim faults"
UPWARD = [
    # "This request has its outcome": declared in completion.h, implemented by order.c. Backends
    # make the call as well, because their end of a request is inline.
    ("queue " + BACKENDS, "order", "uvdio__order_outcome"),
    # What else the end of a request takes (completion.h), and what a backend reports (backend.h).
    (BACKENDS, "queue", "uvdio__queue_(continue|note_end)"),
    (BACKENDS, "queue", "uvdio__queue_(again|punt|unpoll|broken|mended)"),
    (BACKENDS, "queue", "uvdio__queue_(forget_running|flush_if_due)"),
    # How long a system call took: declared in engine.h, implemented by metrics.c.
    (BACKENDS + " file", "metrics", "uvdio__engine_keep_call"),
    # A frame's release: the only thing that buffers know of arenas.
    ("buffer", "arena", "uvdio__arena_release"),
    # A request has got its frames, on whatever thread one was released: declared in arena.h.
    ("arena", "frames", "uvdio__frames_given"),
    # A simulated engine is an engine with another backend.
    ("sim", "engine_init", "uvdio_engine_create_sized"),
]


def is_upward(caller, callee, name):
    return any(
        caller in callers.split() and callee == called and re.fullmatch(pattern, name)
        for callers, called, pattern in UPWARD
    )


def module_of(path):
    """The module that a file belongs to; None for a public header, and for tests."""
    parts = path.split("/")
    if path in HEADERS:
        return HEADERS[path]
    name = os.path.splitext(parts[-1])[0]
    if parts[:2] == ["test", "bench"]:
        return "bench"
    if parts[0] != "src":
        return None
    if len(parts) == 2:
        return name
    return re.sub("_(files|fork|names)$", "", name) if parts[1] == "backend" else parts[1]


def may_use(user, used):
    if used is None or user is None or used == user:
        return True
    shared = FOR_ALL if user not in ("os",) + PUBLIC_ONLY else []
    return used in MAY_USE.get(user, "").split() or used in shared


def wrong_includes(files):
    """Complaints about #include lines."""
    for path in files:
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            for folder in (os.path.dirname(path), "src", "include", "test/lib") if found else ():
                header = os.path.normpath(os.path.join(folder, found[1]))
                if header in files or os.path.exists(header):
                    if not may_use(module_of(path), module_of(header)):
                        yield f"{path}:{number}: includes {header}"
                    break


def objects_of(folder, files):
    """The object of each source: what a build has made for other targets and forgotten is none."""
    objects = {}
    for entry in json.load(open(folder + "/compile_commands.json", encoding="utf-8")):
        source = os.path.relpath(entry["file"])
        if source in files:
            output = re.search(r" -o (\S+)", entry["command"])[1]
            objects[source] = os.path.join(entry["directory"], output)
    return objects


def symbols_of(objects):
    """The external symbols: who defines a name, and which names a source takes from elsewhere."""
    definers, wanted = {}, {}
    for source, path in objects.items():
        listed = subprocess.run(["nm", "-g", path], check=True, capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            kind, name = line.split()[-2:]
            name = name[1:] if sys.platform == "darwin" else name
            if kind == "U":
                wanted.setdefault(source, set()).add(name)
            elif name != "main":
                definers.setdefault(name, set()).add(source)
    return definers, wanted


def calls_of(objects):
    """(caller, callee): what the caller's object takes from the callee's."""
    definers, wanted = symbols_of(objects)
    calls = {}
    for caller, names in wanted.items():
        for name in names:
            for callee in definers.get(name, ()):
                calls.setdefault((caller, callee), set()).add(name)
    return calls


def is_allowed(caller, callee, name):
    user, used = module_of(caller), module_of(callee)
    if user in PUBLIC_ONLY and used not in (PROGRAMS if user in PROGRAMS else PUBLIC_ONLY):
        return not name.startswith("uvdio__")
    return may_use(user, used) or is_upward(user, used, name)


def wrong_calls(calls):
    """Complaints about calls."""
    for (caller, callee), names in sorted(calls.items()):
        for name in sorted(names):
            if not is_allowed(caller, callee, name):
                yield f"{caller}: calls {name} of {callee}"


def circles(calls):
    """Complaints about files that call each other in a circle, but for calls of UPWARD."""
    below = {}
    for (caller, callee), names in calls.items():
        if not all(is_upward(module_of(caller), module_of(callee), name) for name in names):
            below.setdefault(caller, set()).add(callee)
    reached = {start: reach(below, start) for start in below}
    seen = set()
    for start in sorted(reached):
        circle = [path for path in sorted(reached[start]) if start in reached.get(path, ())]
        if circle and start not in seen:
            seen.update(circle)
            yield "a circle: " + " ".join(circle)
            for pair in sorted(calls):
                if set(pair) <= set(circle):
                    yield f"  {pair[0]} -> {pair[1]}: {' '.join(sorted(calls[pair]))}"


def reach(below, start):
    """The files that are called from `start`, directly or not."""
    reached, left = set(), list(below[start])
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            left.extend(below.get(path, ()))
    return reached


def check(folder):
    """All complaints about the tree in the current directory, whose build is in `folder`."""
    files = sorted(
        path
        for room in ("src", "include", "test/lib", "test/bench")
        for path in glob.glob(room + "/**/*.[ch]", recursive=True)
    )
    modules = {module_of(path) for path in files} - set(MAY_USE) - {None}
    objects = objects_of(folder, files)
    calls = calls_of(objects)
    found = [f"no line of the table is about {module}" for module in sorted(modules)]
    found += [*wrong_includes(files), *wrong_calls(calls), *circles(calls)]
    return found, f"{len(files)} files, {len(objects)} objects, {len(calls)} pairs with a call"


PLANTED = {
    "include/uvdio.h": "int uvdio_read(void);",
    "src/api.c": '#include "order.h"\n#include "uvdio.h"\nint uvdio_read(void) {\n'
    "  return uvdio__order_add(); }",
    "src/order.h": "int uvdio__order_add(void);",
    "src/order.c": '#include "order.h"\n#include "queue.h"\n'
    "int uvdio__order_add(void) { return uvdio__queue_add(); }\n"
    "int uvdio__order_outcome(void) { return 0; }",
    "src/queue.h": "int uvdio__queue_add(void);\nint uvdio__order_outcome(void);",
    "src/queue.c": '#include "queue.h"\n'
    "int uvdio__queue_add(void) { return uvdio__order_outcome(); }",
    "src/ring/ring.h": "int uvdio__ring(void);",
    "src/ring/ring.c": '#include "ring.h"\nint uvdio__ring(void) { return 0; }',
    "src/cli/main.c": '#include "uvdio.h"\nint main(void) { return uvdio_read(); }',
    "test/lib/left.c": "int left(void) { return 0; }",
    "test/lib/right.c": "int left(void);\nint right(void) { return left(); }",
}
# What is planted instead, and what has to be said of it.
DEFECTS = [
    ("src/queue.c", '#include "order.h"\n', "src/queue.c:1: includes src/order.h"),
    ("src/ring/ring.c", '#include "../queue.h"\n', "src/ring/ring.c:1: includes src/queue.h"),
    ("src/cli/main.c", '#include "order.h"\n', "src/cli/main.c:1: includes src/order.h"),
    ("src/unheard.c", "int uvdio__unheard;", "no line of the table is about unheard"),
    (
        "src/ring/ring.c",
        "int uvdio__queue_add(void);\nint uvdio__call(void) { return uvdio__queue_add(); }\n",
        "src/ring/ring.c: calls uvdio__queue_add of src/queue.c",
    ),
    (
        "src/cli/main.c",
        "int uvdio__order_add(void);\nint call(void) { return uvdio__order_add(); }\n",
        "src/cli/main.c: calls uvdio__order_add of src/order.c",
    ),
    (
        "test/lib/left.c",
        "int right(void);\nint call(void) { return right(); }\n",
        "a circle: test/lib/left.c test/lib/right.c",
    ),
]


def plant(sources):
    """Writes and compiles the sources in the current directory, and checks them."""
    for path, text in sources.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    commands = []
    for path in [path for path in sources if path.endswith(".c")]:
        output = path.replace("/", ".") + ".o"
        command = f"{os.environ.get('CC', 'cc')} -Iinclude -Isrc -w -c {path} -o {output}"
        subprocess.run(command.split(), check=True)
        commands.append({"directory": ".", "command": command, "file": path})
    os.mkdir("build")
    with open("build/compile_commands.json", "w", encoding="utf-8") as file:
        json.dump(commands, file)
    return check("build")[0]


def self_test():
    """Whether each planted defect is found, and nothing where there is none."""
    missed = []
    for path, text, expected in [("include/uvdio.h", "", None), *DEFECTS]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            found = plant({**PLANTED, path: text + PLANTED.get(path, "")})
            os.chdir("/")
        if (found[:1] != [expected]) if expected else found:
            missed.append(f"planted: {expected}; found: {found}")
    return missed, f"{len(DEFECTS)} planted defects"


def main():
    if len(sys.argv) != 2 or sys.argv[1] == "--help":
        print(__doc__)
        return 2
    if sys.argv[1] == "--self-test":
        found, amount = self_test()
    else:
        found, amount = check(sys.argv[1])
    print("\n".join([*found, f"layers: {amount}, {len(found)} lines of complaint"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
