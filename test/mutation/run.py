#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the tests bite? Plants defects, one at a time, and looks whether a test fails.

  sh test/run.sh mutation --sample N [--seed S]   N generated defects (defects.py), in an order that
                                                  the seed gives
  sh test/run.sh mutation --list FILE             those of a list by hand: mutants.txt has some
  sh test/run.sh mutation NAME...                 these, whatever they got before

  --survivors      of those chosen only what survived, once more, after new tests
  --report         no run: the table of what is known
  --check          no run: whether the lists still fit the sources
  --work FOLDER    where tree, build and results are; build/mutation
  --jobs N         tests at a time; 2
  --without REGEX  leaves out tests with such names: quicker, and a survivor may be none

It works in a copy of the tree, as it is when the run begins. Before the first defect each test runs
without one, and in a build that tells which lines it executes (reach.py); what is known of a test
holds as long as its program is the same, byte by byte. results.txt keeps a line per defect, by its
name and by the text of the function that it is in: an interrupted run goes on where it stopped, and
what changed is tried again. What counts:

  caught       a test failed, and failed again with the same defect; where it then passed, it had to
               fail a third time. A hang is a failure, and so is a reason for a skip that there was
               none of without the defect
  survived     all tests passed that execute one of the defect's lines, the quickest first. Where
               these have no code of their own, those that execute the function; where it has none,
               the file. Tests of the whole command are not run for defects of the library. Where
               no test executes the lines, the defect survives without a run. accepted.txt tells of
               some why no test can see them: they are tried by NAME only
  identical    the compiler makes the same code of it, at -O2: no defect, and in no count
  refused      it does not compile, or not without a warning: no defect either

A sample has N of caught and survived. The exit status is 0 where at least TO_REACH per cent of
those without an argument in accepted.txt were caught.
"""
import argparse
import collections
import concurrent.futures
import copy
import fcntl
import hashlib
import json
import math
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import defects
import reach

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "mutation")
TO_REACH = 95.0  # per cent

# Of these labels, and `guard`.
LABELS = {"unit", "contract", "sim", "fsx", "cli", "bench"}
# Tests of the whole command take half a minute each, and the library's own say more of it.
OF_COMMAND = {"cli", "bench"}
# What is built for tests that are scripts; uvdio_bench brings the command along.
SCRIPTED = {"cli": "uvdio_cli", "cli_copy": "uvdio_cli", "bench": "uvdio_bench",
            "guard": "uvdio_bench"}
# The first tests, and those before the last: only the programs of one stage are linked for it.
STAGES = (4, 20)
# How much longer than in the other build a test may take that is measured.
SLOWER_WHEN_MEASURED = 8
# What cmocka's programs print when a case has failed, at once; "not ok 1 # SKIP" is a skipped one.
FAILED_CASE = re.compile(rb"^not ok \d+ - ", re.M)
CCACHE = shutil.which("ccache")
TICK = os.sysconf("SC_CLK_TCK")

# How often an operator is chosen for each place where it applies: about the square root, so that
# the rare ones occur, too.
WEIGHTS = {"drop_list_operation": 7, "drop_flag": 7, "logic": 2.2, "constant": 2.1, "negate": 1.6,
           "off_by_one": 1.3, "compare": 1.3, "return_early": 1, "delete": 1, "swap_arguments": 1}


class Written:
    """A defect from a list by hand."""

    def __init__(self, name, path):
        self.name, self.path, self.lines, self.why, self.operator = name, path, [], "", "written"

    def old(self):
        return [text for sign, text in self.lines if sign != "+"]

    def new(self):
        return [text for sign, text in self.lines if sign != "-"]

    def key(self):
        return hashlib.sha256(repr((self.path, self.lines)).encode()).hexdigest()[:12]

    def span(self, source):
        """Where its text is. One that is not there, or more than once, is an error of the list."""
        bare, places = without_blanks(source)
        old = without_blanks("\n".join(self.old()))[0]
        count = bare.count(old) if old else 0
        if count != 1:
            raise ValueError(f"{self.name}: its text stands {count} times in {self.path}")
        first = bare.index(old)
        return places[first], places[first + len(old) - 1] + 1

    def apply(self, source):
        """The source with the defect in it."""
        start, end = self.span(source)
        return source[:start] + "\n".join(self.new()) + source[end:]

    def places(self, source):
        """The quote; a part of it may be no code, such as a macro."""
        inside = self.span(source)
        is_code = all(text.startswith(("  ", "}")) or not text for text in
                      source[source.rfind("\n", 0, inside[0]) + 1:inside[1]].split("\n"))
        return inside if is_code else (0, 0), (0, 0)


def without_blanks(text):
    """The text without blanks and comments, so that neither a formatter nor another wording moves a
    defect's place; and where each of its characters stands."""
    places = []
    for part in re.finditer(r"/\*.*?\*/|\S", text, re.S):
        if not part.group().startswith("/*"):
            places.append(part.start())
    return "".join(text[place] for place in places), places


def read_list(path):
    mutants = []
    for line in open(path, encoding="utf-8"):
        if line.startswith("== "):
            mutants.append(Written(*line[3:].split()))
        elif line.startswith("? "):
            mutants[-1].why = line[2:].strip()
        elif mutants and line.strip():
            sign = line[0] if line[0] in "+-" else " "
            mutants[-1].lines.append((sign, line.strip() if sign == " " else line[1:].strip()))
    names = [mutant.name for mutant in mutants]
    assert len(set(names)) == len(names), "two mutants have one name"
    return mutants


def read_accepted():
    """Name to reason: a name, a blank, the reason."""
    accepted = {}
    for line in open(os.path.join(HERE, "accepted.txt"), encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            name, reason = line.rstrip("\n").split(" ", 1)
            accepted[name] = reason
    return accepted


def in_order(sites, seed):
    """As a draw without putting back, by weight. The first N of it are a sample, and those of N + 1
    are one more."""
    def rank(site):
        digest = hashlib.sha256(f"{seed} {site.name}".encode()).digest()
        return -math.log((int.from_bytes(digest[:8], "big") + 1) / 2.0**64) / WEIGHTS[site.operator]
    return sorted(sites, key=rank)


def run(command, limit, cwd=None, env=None, text=None):
    """(status, output); a status of None after `limit` seconds, and nothing of it runs on then."""
    stdin = subprocess.PIPE if text is not None else subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=env, start_new_session=True)
    try:
        output, _ = process.communicate(text.encode() if text is not None else None, timeout=limit)
        return process.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        kill(process)
        output, _ = process.communicate()
        return None, output.decode(errors="replace")


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def copy_file(source, target):
    text = open(source, "rb").read()
    if not os.path.exists(target) or open(target, "rb").read() != text:
        shutil.copyfile(source, target)


def copy_folder(source, target):
    os.makedirs(target, exist_ok=True)
    wanted = os.listdir(source)
    for name in os.listdir(target):
        if name not in wanted:
            path = os.path.join(target, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for name in wanted:
        path = os.path.join(source, name)
        (copy_folder if os.path.isdir(path) else copy_file)(path, os.path.join(target, name))


class Test:
    """One of CTest's tests, run without CTest."""

    def __init__(self, found):
        self.name, self.command = found["name"], found["command"]
        properties = {entry["name"]: entry["value"] for entry in found["properties"]}
        self.labels = set(properties.get("LABELS", []))
        self.folder = properties.get("WORKING_DIRECTORY")
        self.env = dict(entry.split("=", 1) for entry in properties.get("ENVIRONMENT", []))
        if self.name in ("cli", "cli_copy", "bench"):
            self.command = self.command + ["simple"]  # ends with the first that is not ok
        self.seconds, self.cpu, self.skips = 20.0, 20.0, set()

    def program(self):
        for word in self.command:
            is_built = os.path.dirname(word).endswith(("test", "build"))
            if is_built and not word.endswith(".sh") and ".so" not in os.path.basename(word):
                return os.path.basename(word)
        return None

    def moved(self, build, other):
        """The same test in another build."""
        twin = copy.copy(self)
        twin.command = [word.replace(build, other) for word in self.command]
        twin.folder = self.folder and self.folder.replace(build, other)
        return twin

    def key(self):
        """Of what it depends on: its programs, and the folders of its scripts; not of where it may
        make files."""
        words = [os.path.dirname(word) if word.endswith((".sh", ".py")) else word
                 for word in self.command if os.path.isfile(word) or not os.path.isabs(word)]
        return reach.key_of(self.name, *words)

    def hangs(self, patience):
        return Hang(2 + 6 * self.cpu, 60 + 20 * self.seconds, patience)

    def has_failed_case(self, file):
        """A function: whether the program, whose output is the file, has told of a failed case.
        Scripts end with the first by themselves, and clean up."""
        told = bytearray()

        def has_failed():
            told.extend(os.pread(file.fileno(), 1 << 20, len(told)))
            return FAILED_CASE.search(told) is not None
        return has_failed if self.name not in SCRIPTED else lambda: False

    def wrapped(self):
        """Shared memory of its own, so that one that dies leaves nothing in it."""
        if os.geteuid() != 0:
            return self.command
        script = 'mount -t tmpfs -o size=6g,mode=1777 tmpfs /dev/shm && exec "$@"'
        inner = ["sh", "-c", script, "sh"] + self.command
        return ["unshare", "--mount", "--propagation", "private"] + inner


def threads_of(session):
    """(state, ticks of the whole process) of each thread of a session."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = stat_of(f"/proc/{process}/stat")
            if int(fields[3]) == session:
                ticks = sum(map(int, fields[11:15]))
                for thread in os.listdir(f"/proc/{process}/task"):
                    yield stat_of(f"/proc/{process}/task/{thread}/stat")[0], process, ticks
        except (OSError, IndexError):
            pass  # it has ended


def stat_of(path):
    """The fields behind the program's name, beginning with the state."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


class Hang:
    """Whether a test goes on. On a busy machine time says little: a test hangs when its processes
    have used far more of the processor than without a defect, or when all their threads have slept
    for a while (there is no test that waits for the clock)."""
    ASLEEP = 4.0  # seconds

    def __init__(self, cpu, seconds, patience):
        self.cpu, self.seconds, self.asleep = (patience * each
                                               for each in (cpu, seconds, self.ASLEEP))
        self.began = self.active = time.monotonic()
        self.ticks = {}

    def found(self, session):
        now = time.monotonic()
        ticks, is_active = {}, False
        for state, process, used in threads_of(session):
            is_active |= state in "RD"
            ticks[process] = used
        if is_active or ticks != self.ticks:
            self.active = now
        self.ticks = ticks
        return (now - self.active > self.asleep or now - self.began > self.seconds
                or sum(ticks.values()) / TICK > self.cpu)


class Runs:
    """Several tests at a time, until one fails."""

    def __init__(self, jobs):
        self.jobs, self.lock, self.running, self.stop = jobs, threading.Lock(), {}, False

    def start(self, test, env, output):
        return subprocess.Popen(test.wrapped(), cwd=test.folder,
                                env={**os.environ, **test.env, **env},
                                stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, start_new_session=True,
                                preexec_fn=with_all_signals)

    def one(self, test, patience=1, env=()):
        """(why it failed or None, output, seconds, seconds of the processor)"""
        began = time.monotonic()
        with tempfile.TemporaryFile() as file:
            with self.lock:
                if self.stop:
                    return None, "", 0, 0
                process = self.start(test, dict(env), file)
                self.running[test.name] = process
            try:
                end = wait(process, test.hangs(patience), test.has_failed_case(file))
            finally:
                kill(process)
                with self.lock:
                    self.running.pop(test.name, None)
            file.seek(0)
            output = file.read().decode(errors="replace")
        why = end.why or verdict(process.returncode)
        if why is None and skips_of(output) - test.skips:
            why = "skips"
        return why, output, time.monotonic() - began, end.cpu

    def until_one_fails(self, tests, seen):
        """The first test that fails, as (test, why, output), or None. `seen` is called with each
        that ended by itself."""
        self.stop, waiting, failed = False, collections.deque(tests), []

        def work():
            while True:
                with self.lock:
                    if self.stop or not waiting:
                        return
                    test = waiting.popleft()
                why, output, seconds, _ = self.one(test)
                with self.lock:
                    if self.stop:
                        return
                    seen(test, seconds)
                    if why is not None:
                        failed.append((test, why, output))
                        self.stop = True
                        for process in self.running.values():
                            kill(process)

        threads = [threading.Thread(target=work) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.stop = False
        return failed[0] if failed else None


# Why it was killed, or None; seconds of the processor
End = collections.namedtuple("End", "why cpu")


def wait(process, hang, has_failed_case):
    """Until it ends, or is killed: for it hangs, or one of its cases has failed already."""
    pause, why = 0.005, None
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return End(why, usage.ru_utime + usage.ru_stime)
        if why is None and has_failed_case():
            why = "failed"
        elif why is None and pause >= 0.2 and hang.found(process.pid):
            why = "hangs"
        if why is not None:
            kill(process)
        time.sleep(pause)
        pause = min(0.25, pause * 1.15)


def with_all_signals():
    """What this program ignores, for it may run in the background, is none of the tests'
    business."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def verdict(status):
    if status in (0, 77):
        return None
    return "failed" if status > 0 else f"signal {-status}"


def skips_of(output):
    return set(re.findall(r"SKIP: (.*)", output))


class Laboratory:
    """The copy of the tree, its build, and what the tests do without a defect."""

    def __init__(self, work, jobs, without="^$"):
        self.work, self.jobs, self.without = work, jobs, without
        self.tree, self.build = os.path.join(work, "tree"), os.path.join(work, "build")
        self.optimised = os.path.join(work, "optimised")
        self.includes, self.objects = {}, {}
        self.measured = os.path.join(work, "measured")
        self.runs, self.tests, self.commands, self.reach = Runs(jobs), [], {}, None
        self.deaths = collections.Counter()

    def set_up(self):
        os.makedirs(self.tree, exist_ok=True)
        lock = open(os.path.join(self.work, "lock"), "w", encoding="utf-8")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.lock = lock
        for name in ("include", "src", "test", "cmake"):
            copy_folder(os.path.join(ROOT, name), os.path.join(self.tree, name))
        for name in ("CMakeLists.txt", "CMakePresets.json", "README.md", "CHANGELOG.md", "LICENSE"):
            copy_file(os.path.join(ROOT, name), os.path.join(self.tree, name))
        self.make_tree(self.build, {"CMAKE_C_FLAGS": "-O1", "CMAKE_EXE_LINKER_FLAGS": ""})
        self.make_tree(self.measured, reach.flags(self.work, self.tree))
        self.read_commands()
        self.read_tests()
        self.add_guard()
        self.run_without_a_defect()
        self.measure()

    def make_tree(self, build, flags):
        linker = next((name for name in ("lld", "gold") if shutil.which(f"ld.{name}")), None)
        if linker:
            flags["CMAKE_EXE_LINKER_FLAGS"] += f" -fuse-ld={linker}"
        # What a defect is taken out of again was compiled before
        flags["CMAKE_C_COMPILER_LAUNCHER"] = CCACHE or ""
        status, output = run(["cmake", "-G", "Ninja", "-S", self.tree, "-B", build,
                              "-DCMAKE_BUILD_TYPE=", "-DUVDIO_BUILD_TESTS=ON",
                              "-DUVDIO_BUILD_CLI=ON", "-DUVDIO_WERROR=OFF"]
                             + [f"-D{name}={value}" for name, value in flags.items()], 600)
        if status == 0:
            status, output = self.make(build=build)
        if status != 0:
            sys.exit("the tree does not build without a defect:\n" + output[-3000:])

    def add_guard(self):
        """The test `guard` counts what optimised code costs, so that it has a build of its own."""
        script = os.path.join(self.tree, "test", "bench", "guard.sh")
        entry = {"name": "guard",
                 "command": ["sh", script, os.path.join(self.optimised, "uvdio-bench"),
                             os.path.join(self.optimised, "guard"), "Release"],
                 "properties": [{"name": "LABELS", "value": ["guard"]}]}
        status, output = run(["cmake", "-G", "Ninja", "-S", self.tree, "-B", self.optimised,
                              "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DUVDIO_BUILD_TESTS=OFF",
                              "-DUVDIO_WERROR=OFF"], 600)
        if status == 0:
            status, output = self.make(["uvdio_bench"], self.optimised)
        if status != 0:
            sys.exit("the optimised command does not build without a defect:\n" + output[-3000:])
        if not re.search(self.without, "guard"):
            self.tests.append(Test(entry))

    def make(self, targets=("uvdio_programs",), build=None):
        command = ["cmake", "--build", build or self.build, f"-j{self.jobs}", "--target", *targets]
        return run(command, 900)

    def read_commands(self):
        """How each source is compiled, once."""
        commands = os.path.join(self.build, "compile_commands.json")
        for entry in json.load(open(commands, encoding="utf-8")):
            path = os.path.relpath(entry["file"], self.tree)
            if path.startswith("src/") and "uvdio_shared" not in entry["command"]:
                words = shlex.split(entry["command"])
                words = words[1:] if words[0] == CCACHE else words
                kept = [word for word in words[:words.index("-o")] if word != "-O1"]
                self.commands[path] = (kept, entry["directory"])
                self.includes[path] = self.includes_of(words[words.index("-o") + 1])

    def includes_of(self, target):
        """The files that the compiler has read for an object."""
        _, output = run(["ninja", "-C", self.build, "-t", "deps", target], 60)
        return {os.path.relpath(os.path.join(self.build, line.strip()), self.tree)
                for line in output.split("\n") if line.startswith(" ")}

    def read_tests(self):
        _, output = run(["ctest", "--test-dir", self.build, "--show-only=json-v1"], 60)
        found = [Test(entry) for entry in json.loads(output)["tests"] if "command" in entry]
        self.tests = [test for test in found
                      if test.labels & LABELS and (test.program() or test.name in SCRIPTED)
                      and not re.search(self.without, test.name)]

    def run_without_a_defect(self):
        """Each test has to pass, and tells how long it takes and what it skips."""
        path = os.path.join(self.work, "baseline.json")
        known = json.load(open(path, encoding="utf-8")) if os.path.exists(path) else {}
        keys = {test.name: test.key() for test in self.tests}
        missing = [test for test in self.tests
                   if known.get(test.name, {}).get("key") != keys[test.name]]
        print(f"{len(missing)} tests to run without a defect", flush=True)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as several:
            for test, result in zip(missing, several.map(self.without_a_defect, missing)):
                known[test.name] = {"key": keys[test.name], **result}
                write(path, json.dumps(known))
        for test in self.tests:
            of_test = known[test.name]
            test.seconds, test.cpu = of_test["seconds"], of_test["cpu"]
            test.skips = set(of_test["skips"])

    def without_a_defect(self, test):
        for _ in range(3):
            why, output, seconds, cpu = self.runs.one(test, 3)
            if why in (None, "skips"):
                return {"seconds": seconds, "cpu": cpu, "skips": sorted(skips_of(output))}
        write(os.path.join(self.work, "failed.txt"), output)
        raise SystemExit(f"without a defect, {test.name} fails three times ({why}); "
                         f"see failed.txt in {self.work}")

    def measure(self):
        """Which lines each test executes."""
        self.reach = reach.Reach(self.tree, self.measured, os.path.join(self.work, "reach"))
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as several:
            list(several.map(self.measure_one, self.tests))
        self.reach.read_code()
        everything = sorted(name for name, lines in self.reach.lines.items() if lines is None)
        print("not measured, tried everywhere: " + (", ".join(everything) or "none"), flush=True)

    def measure_one(self, test):
        build = self.optimised if test.name == "guard" else self.build
        twin = test.moved(build, self.measured)

        def execute(env):
            for _ in range(3):
                why = self.runs.one(twin, SLOWER_WHEN_MEASURED, env)[0]
                if why in (None, "skips", "hangs"):
                    break
            # The guard's bounds are for other code
            return why in (None, "skips") or test.name == "guard"
        self.reach.measure(test.name, twin.key(), execute)

    def users_of(self, path):
        """The sources that have to be compiled to see a change of `path`."""
        if path.endswith(".c"):
            return [path]
        return [user for user in self.commands if path in self.includes[user]]

    def object_of(self, path, text=None, warnings="-Werror"):
        """(status, output, object) at -O2, where warnings are errors; `text` replaces what the file
        holds."""
        kept, folder = self.commands[path]
        target = os.path.join(self.work, "object.o")
        source = ["-x", "c", "-"] if text is not None else [os.path.join(self.tree, path)]
        where = ["-iquote", os.path.join(self.tree, os.path.dirname(path))]
        options = ["-O2", "-DNDEBUG", warnings, "-g0", "-o", target, "-c"]
        status, output = run(kept + where + options + source, 300, folder, text=text)
        return status, output, open(target, "rb").read() if status == 0 else b""

    def sound_object_of(self, path, text):
        if path not in self.objects:
            self.objects[path] = self.object_of(path, text, "-w")[2]
        return self.objects[path]

    def compare_code(self, site, original, planted):
        """None where the compiler sees a difference, else the result."""
        path = os.path.join(self.tree, site.path)
        is_header = not site.path.endswith(".c")
        # What somebody wrote down counts, warning or not
        warnings = "-w" if isinstance(site, Written) else "-Werror"
        for user in self.users_of(site.path):
            text = defects.read(self.tree, user) if is_header else original
            before = self.sound_object_of(user, text)
            if is_header:
                write(path, planted)
            try:
                text = text if is_header else planted
                status, output, after = self.object_of(user, text, warnings)
            finally:
                if is_header:
                    write(path, original)
            if status != 0:
                error = re.search(r"error: (.*)", output)
                return "refused\t" + (error.group(1) if error else "?")[:90]
            if before != after:
                return None
        return "identical\tthe same machine code"

    def in_stages(self, site, source):
        """The tests that execute it, those first that are likely to fail, and soon."""
        names = self.reach.tests_of(site.path, *(lines_of(source, *part)
                                                 for part in site.places(source)))

        # What one program does not notice on one backend it seldom notices on another
        before = collections.Counter()

        def worth(test):
            return (0.3 + 4 * self.deaths[site.path, test.name]) / (0.1 + test.seconds)

        def worth_then(test):
            before[test.program()] += 1
            return worth(test) * 0.5 ** (before[test.program()] - 1)

        tests = sorted((test for test in self.tests if test.name in names
                        and (site.path.startswith("src/cli/") or test.name not in OF_COMMAND)),
                       key=worth, reverse=True)
        tests = sorted(tests, key=worth_then, reverse=True)
        # Alone: others would disturb it, and it needs a build
        guard = [test for test in tests if test.name == "guard"]
        tests = [test for test in tests if test.name != "guard"]
        one, two = STAGES
        stages = (tests[:one], tests[one:two], tests[two:], guard)
        return [stage for stage in stages if stage]

    def judge(self, site):
        original = defects.read(self.tree, site.path)
        try:
            planted = site.apply(original)
        except ValueError as error:
            return f"refused\t{error}"
        times = collections.OrderedDict(code=0.0, build=0.0, tests=0.0, again=0.0)
        began = time.monotonic()
        same = self.compare_code(site, original, planted)
        times["code"] = time.monotonic() - began
        if same is not None:
            return same
        path = os.path.join(self.tree, site.path)
        write(path, planted)
        try:
            return self.try_tests(site, times, self.in_stages(site, original))
        finally:
            write(path, original)
            self.clean()

    def try_tests(self, site, times, stages):
        flakes = []
        for stage in stages:
            is_guard = stage[0].name == "guard"
            targets = sorted({SCRIPTED.get(test.name) or test.program() for test in stage} - {None})
            began = time.monotonic()
            status, output = self.make(targets, self.optimised if is_guard else None)
            times["build"] += time.monotonic() - began
            if status != 0:
                end = output[-200:].replace("\n", " ").replace("\t", " ")
                return "refused\tdoes not build: " + end
            left = list(stage)
            while left:
                began = time.monotonic()
                ended = set()
                failed = self.runs.until_one_fails(left, lambda test, seconds: ended.add(test.name))
                times["tests"] += time.monotonic() - began
                if failed is None:
                    break
                began = time.monotonic()
                is_sure = self.fails_again(failed[0])
                times["again"] += time.monotonic() - began
                self.keep(site, failed)
                if is_sure:
                    self.deaths[site.path, failed[0].name] += 1
                    return f"caught\t{failed[0].name} ({failed[1]})\t{told(times, flakes)}"
                flakes.append(failed[0].name)
                left = [test for test in left if test.name not in ended]
        count = sum(map(len, stages))
        return f"survived\t{count} tests\t{told(times, flakes)}"

    def fails_again(self, test):
        """A second time, or, where it passed then, in both of two more."""
        if self.runs.one(test, 2)[0] is not None:
            return True
        return all(self.runs.one(test, 2)[0] is not None for _ in range(2))

    def keep(self, site, failed):
        test, why, output = failed
        folder = os.path.join(self.work, "output")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, site.key() + ".txt"), "a", encoding="utf-8") as file:
            file.write(f"{site.name}\n{test.name}: {why}\n{output[-20000:]}\n")

    def clean(self):
        """What programs left that died."""
        folder = os.path.join(self.build, "test")
        for name in os.listdir(folder):
            if name.startswith("uvdio-"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def lines_of(source, start, end):
    """The first line and the last one, from 1."""
    return source.count("\n", 0, start) + 1, source.count("\n", 0, max(start, end - 1)) + 1


def told(times, flakes):
    text = ", ".join(f"{name} {seconds:.1f}" for name, seconds in times.items())
    flaky = f"; flaky: {' '.join(flakes)}" if flakes else ""
    return f"{sum(times.values()):.1f} s: {text}{flaky}"


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Results:
    def __init__(self, path):
        self.path, self.known = path, {}
        if os.path.exists(path):
            for line in open(path, encoding="utf-8"):
                key, _, result = line.rstrip("\n").split("\t", 2)
                self.known[key] = result

    def get(self, site):
        return self.known.get(site.key(), "")

    def kind(self, site):
        return self.get(site).split("\t")[0]

    def note(self, site, result):
        self.known[site.key()] = result
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{site.key()}\t{site.name}\t{result}\n")


def place_of(site, root):
    """Where it is today, and what it does there."""
    if not hasattr(site, "start"):
        return site.path
    source = defects.read(root, site.path)
    line = source.count("\n", 0, site.start) + 1
    old = " ".join(source[site.start:site.end].split())
    return f"{site.path}:{line} {old[:60]!r} -> {site.text[:60]!r}"


def report(sites, results, accepted, root):
    counts, times = collections.Counter(), []
    operators = collections.defaultdict(collections.Counter)
    for site in sites:
        kind = results.kind(site) or "none"
        if kind == "survived" and (site.name in accepted or getattr(site, "why", "")):
            kind = "accepted"
        counts[kind] += 1
        operators[site.operator][kind] += 1
        seconds = re.search(r"\t([\d.]+) s: ", results.get(site))
        times += [float(seconds.group(1))] if seconds else []
        if kind in ("survived", "accepted"):
            why = accepted.get(site.name) or getattr(site, "why", "")
            print(f"{kind}: {site.name}\n  {place_of(site, root)}\n  {why}".rstrip())
    for operator, of_it in sorted(operators.items()):
        numbers = ", ".join(f"{kind} {number}" for kind, number in sorted(of_it.items()))
        print(f"  {operator:20} {numbers}")
    judged = counts["caught"] + counts["survived"]
    share = 100 * counts["caught"] / max(1, judged)
    flaky = sum("flaky:" in results.get(site) for site in sites)
    print(f"{counts['caught']} of {judged} caught ({share:.1f} %), "
          f"{counts['accepted']} more accepted, {counts['identical']} identical, "
          f"{counts['refused']} refused, {counts['none']} not tried; {flaky} with a flaky test; "
          f"{sum(times) / max(1, len(times)):.1f} s each")
    return judged > 0 and counts["none"] == 0 and share >= TO_REACH


def check():
    """The mistakes of the lists, without building anything."""
    mistakes = []
    mutants = read_list(os.path.join(HERE, "mutants.txt"))
    for mutant in mutants:
        try:
            mutant.apply(defects.read(ROOT, mutant.path))
        except ValueError as error:
            mistakes.append(str(error))
    sites = defects.all_sites(ROOT)
    names = {site.name for site in sites}
    mistakes += [f"accepted.txt: there is no {name} (any more)"
                 for name in read_accepted() if name not in names]
    counts = f"{len(mutants)} mutants and {len(sites)} sites, {len(mistakes)} mistakes"
    print("\n".join(mistakes + [counts]))
    return not mistakes


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--list")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--report", action="store_true")
    # What FILE is relative to: test/run.sh changes the folder
    parser.add_argument("--here", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--work", default=WORK)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--without", default="^$")
    return parser.parse_args()


def counted(site, results):
    return results.kind(site) in ("caught", "survived")


def sample(sites, results, number):
    """As many of the order as hold `number` that count, as far as results are there."""
    taken, count = [], 0
    for site in sites:
        if count == number or not results.kind(site):
            break
        taken.append(site)
        count += counted(site, results)
    return taken


def try_all(lab, sites, results, number, again, accepted):
    """Until `number` of them count. The results that are there count, too, but for those to be had
    again. Of those with an argument only these are tried: each would take all tests."""
    done = count = 0
    for site in sites:
        if count >= number:
            break
        if not results.kind(site) or site.name in again:
            is_known = site.name in accepted and site.name not in again
            result = "survived\tnot tried" if is_known else lab.judge(site)
            results.note(site, result)
            done += 1
            print(f"[{count + 1}/{number}] {site.name}: " + result.replace("\t", "  "), flush=True)
        count += counted(site, results)


def chosen(options, root):
    """All sites that were asked for, in order, and how many of them have to count."""
    if options.list:
        sites = read_list(os.path.join(options.here, options.list))
        return sites, len(sites)
    if options.names:
        every = defects.all_sites(root) + read_list(os.path.join(HERE, "mutants.txt"))
        sites = [site for site in every if site.name in options.names]
        return sites, len(sites)
    return in_order(defects.all_sites(root), options.seed), options.sample or 400


def main():
    options = arguments()
    if options.check:
        sys.exit(0 if check() else 1)
    accepted = read_accepted()
    os.makedirs(options.work, exist_ok=True)
    results = Results(os.path.join(options.work, "results.txt"))
    lab = Laboratory(os.path.abspath(options.work), options.jobs, options.without)
    if not options.report:
        lab.set_up()
    root = lab.tree if not options.report else ROOT
    sites, number = chosen(options, root)
    for site in sites:
        if results.kind(site) == "caught":
            lab.deaths[site.path, results.get(site).split("\t")[1].split(" ")[0]] += 1
    if options.survivors:
        sites = [site for site in sample(sites, results, number)
                 if results.kind(site) == "survived" and site.name not in accepted]
        number = len(sites)
    again = {site.name for site in sites} if options.survivors or options.names else set()
    if not options.report:
        try_all(lab, sites, results, number, again, accepted)
    if not options.list and not options.names:
        sites = sample(sites, results, number)
    sys.exit(0 if report(sites, results, accepted, root) else 1)


if __name__ == "__main__":
    main()
