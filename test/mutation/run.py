#!/usr/bin/env python3
"""Do the tests bite? Plants the defects of mutants.txt one at a time and looks whether a test fails.

  sh test/mutation/run.sh                     all that have no result yet, then the table
  sh test/mutation/run.sh --survivors         those that survived once more, after new tests
  sh test/mutation/run.sh NAME...             these, whatever they got before
  sh test/mutation/run.sh --list              the table only, from what is known
  sh test/mutation/run.sh --check             only whether each of them still fits its file

It works in a copy of the tree in build/mutation, where results.txt keeps one line per mutant, so that an interrupted run
goes on where it stopped. A mutant has been caught when a test fails, or hangs for TEST_TIMEOUT seconds. One that does not
compile, or whose lines the source does not have (any more), is a mistake of the list, and counts nowhere. The exit status is 0 where at least 95 % of all were caught and none is without a result.
"""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "mutation")
TREE = os.path.join(WORK, "tree")
BUILD = os.path.join(WORK, "build")
RESULTS = os.path.join(WORK, "results.txt")
TEST_TIMEOUT = 40  # seconds; the longest test of these takes some ten
TO_REACH = 95.0  # per cent

LABELS = "^(unit|contract|sim|fsx)$"

# What is run, quickest answers first: which of them depends on the file. Whatever survives meets all the rest.
ALL_THE_REST = "."
STAGES = {
    "default": ["^unit_", "^(contract|fault)_.*(memory|pool\\.here)$", "^(contract|fault)_.*(ring|registered)\\.here$",
                ALL_THE_REST],
    "ring": ["^contract_.*(ring|registered)\\.here$", "^fault_.*(ring|registered)\\.here$", "^unit_",
             "^(contract|fault)_.*(memory|pool\\.here)$", ALL_THE_REST],
}


class Mutant:
    def __init__(self, name, path):
        self.name, self.path, self.lines, self.why = name, path, [], ""

    def old(self):
        return [text for sign, text in self.lines if sign != "+"]

    def new(self):
        return [text for sign, text in self.lines if sign != "-"]

    def key(self):
        return hashlib.sha256(repr((self.path, self.lines)).encode()).hexdigest()[:12]

    def apply(self, source):
        """The source with the defect in it. A text that is not there, or more than once, is an error of the list."""
        lines = source.split("\n")
        bare = [line.strip() for line in lines]
        old = self.old()
        places = [i for i in range(len(bare)) if bare[i:i + len(old)] == old]
        if len(places) != 1:
            raise ValueError(f"{self.name}: its lines stand {len(places)} times in {self.path}")
        place = places[0]
        return "\n".join(lines[:place] + self.new() + lines[place + len(old):])


def read_list():
    mutants = []
    for line in open(os.path.join(HERE, "mutants.txt"), encoding="utf-8"):
        if line.startswith("== "):
            mutants.append(Mutant(*line[3:].split()))
        elif line.startswith("? "):
            mutants[-1].why = line[2:].strip()
        elif mutants and line.strip():
            sign = line[0] if line[0] in "+-" else " "
            mutants[-1].lines.append((sign, line.strip() if sign == " " else line[1:].strip()))
    names = [mutant.name for mutant in mutants]
    assert len(set(names)) == len(names), "two mutants have one name"
    return mutants


def read_results():
    known = {}
    if os.path.exists(RESULTS):
        for line in open(RESULTS, encoding="utf-8"):
            key, result = line.rstrip("\n").split("\t", 1)
            known[key] = result
    return known


def note(known, mutant, result):
    known[mutant.key()] = result
    with open(RESULTS, "a", encoding="utf-8") as file:
        file.write(f"{mutant.key()}\t{result}\n")


def run(command, limit):
    """(status, output); a status of None after `limit` seconds, and nothing of it runs on then."""
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""


def set_up():
    """A fresh copy of what belongs to the tree, built once. Files that did not change keep their time."""
    os.makedirs(TREE, exist_ok=True)
    for name in ("include", "src", "test", "cmake"):
        copy_folder(os.path.join(ROOT, name), os.path.join(TREE, name))
    for name in ("CMakeLists.txt", "CMakePresets.json", "README.md", "CHANGELOG.md", "LICENSE"):
        copy_file(os.path.join(ROOT, name), os.path.join(TREE, name))
    status, output = run(["cmake", "-G", "Ninja", "-S", TREE, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Debug",
                          "-DUVDIO_BUILD_TESTS=ON", "-DUVDIO_BUILD_CLI=OFF", "-DUVDIO_WERROR=OFF",
                          f"-DUVDIO_TEST_TIMEOUT={TEST_TIMEOUT}"], 300)
    if status == 0:
        status, output = build()
    if status != 0:
        sys.exit("the tree does not build without a mutant:\n" + output[-3000:])


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


def build():
    return run(["cmake", "--build", BUILD, "-j2", "--target", "uvdio_programs"], 300)


def test(mutant):
    """The name of a test that fails, or None."""
    stages = STAGES["ring" if "ring" in mutant.path else "default"]
    for stage in stages:
        status, output = run(["ctest", "--test-dir", BUILD, "-j2", "--stop-on-failure",
                              "-L", LABELS, "-R", stage], 300)
        if status is None:
            return "hangs"
        if status != 0:
            failed = re.findall(r"(\S+) \.*\** *(Failed|Timeout|Subprocess aborted|Exception)", output)
            failed += re.findall(r"\d+ - (\S+) \((\w+)", output)
            return f"{failed[0][0]} ({failed[0][1].lower()})" if failed else "a test"
    return None


def judge(mutant):
    path = os.path.join(TREE, mutant.path)
    original = open(os.path.join(ROOT, mutant.path), encoding="utf-8").read()
    started = time.monotonic()
    try:
        planted = mutant.apply(original)
    except ValueError as error:
        return f"invalid\t{error}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(planted)
    try:
        status, output = build()
        if status != 0:
            error = re.search(r"error: (.*)", output)
            return "invalid\tdoes not compile: " + (error.group(1) if error else "?")[:80]
        failed = test(mutant)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(original)
    seconds = time.monotonic() - started
    return f"caught\t{failed}, {seconds:.0f} s" if failed else f"survived\t{seconds:.0f} s"


def report(mutants, known):
    results = {mutant.name: known.get(mutant.key(), "none") for mutant in mutants}
    for mutant in mutants:
        print(f"{mutant.path:24} {mutant.name:44} " + results[mutant.name].replace("\t", "  "))
    caught = sum(result.startswith("caught") for result in results.values())
    survived = [name for name, result in results.items() if result.startswith("survived")]
    invalid = [name for name, result in results.items() if result.startswith("invalid")]
    unknown = len(mutants) - caught - len(survived)
    judged = max(1, caught + len(survived))
    print(f"\n{caught} of {caught + len(survived)} caught ({100 * caught / judged:.1f} %), {unknown} not tried or invalid")
    for name in invalid:
        print(f"invalid: {name}")
    for mutant in mutants:
        if mutant.name in survived:
            print(f"survived: {mutant.name}: {mutant.why or 'not explained'}")
    return unknown == 0 and 100 * caught / judged >= TO_REACH


def check(mutants):
    """The mistakes of the list, without building anything."""
    mistakes = []
    for mutant in mutants:
        try:
            mutant.apply(open(os.path.join(ROOT, mutant.path), encoding="utf-8").read())
        except ValueError as error:
            mistakes.append(str(error))
    print("\n".join(mistakes + [f"{len(mutants)} mutants, {len(mistakes)} of them don't fit their files"]))
    return not mistakes


def pick(mutants, known, arguments):
    if "--list" in arguments:
        return []
    if "--survivors" in arguments:
        return [mutant for mutant in mutants if known.get(mutant.key(), "").startswith("survived")]
    if arguments:
        return [mutant for mutant in mutants if mutant.name in arguments]
    # In no order that means anything, so that what an interrupted run has done is a fair sample.
    return sorted((mutant for mutant in mutants if mutant.key() not in known), key=Mutant.key)


def main():
    mutants, arguments = read_list(), sys.argv[1:]
    if "--check" in arguments:
        sys.exit(0 if check(mutants) else 1)
    known = read_results()
    chosen = pick(mutants, known, arguments)
    if chosen:
        set_up()
        failed = test(Mutant("none", "src/engine.c"))
        if failed:
            sys.exit(f"without a mutant, {failed} fails")
    for number, mutant in enumerate(chosen, 1):
        note(known, mutant, judge(mutant))
        print(f"[{number}/{len(chosen)}] {mutant.name}: " + known[mutant.key()].replace("\t", "  "), flush=True)
    sys.exit(0 if report(mutants, known) else 1)


if __name__ == "__main__":
    main()
