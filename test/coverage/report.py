#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Coverage of the library, held against exceptions.txt.

  report.py ROOT BUILD      after the tests have run in BUILD (preset coverage); needs gcovr

Prints a table per file and what was not reached. The exit status is 0 where every line that was not
reached is named in exceptions.txt and at least BRANCHES_TO_REACH per cent of the branches that are
not named there were taken.
"""
import json
import os
import subprocess
import sys

BRANCHES_TO_REACH = 95.0


def gcovr(root, build):
    """gcovr's own view of the library's objects, and pages of annotated source next to it."""
    pages = os.path.join(build, "coverage")
    data = os.path.join(pages, "coverage.json")
    os.makedirs(pages, exist_ok=True)
    subprocess.run(["gcovr", "--root", root, "--filter", os.path.join(root, "src") + "/",
                    "--exclude", ".*/cli/.*", "--exclude-unreachable-branches",
                    "--json", data, "--html-details",
                    os.path.join(pages, "index.html"), "--html-title", "uvdio",
                    os.path.join(build, "CMakeFiles", "uvdio_static.dir")], check=True, cwd=build)
    with open(data, encoding="utf-8") as file:
        return json.load(file)["files"]


def read_exceptions(path):
    """(file, function, text) -> reason. A reason goes for all entries above it, up to the one
    before."""
    exceptions, waiting = {}, []
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        if line.startswith("    "):
            for entry in waiting:
                exceptions[entry] = line.strip()
            waiting = []
        else:
            waiting.append(tuple(part.strip() for part in line.split("|", 2)))
    assert not waiting, f"no reason is given for {waiting[0]}"
    return exceptions


def function_of(line, starts):
    name = ""
    for start, function in starts:
        if start > line:
            break
        name = function
    return name


def holes_of(file, root):
    """Yields (line, is_line, missed branches, all branches, key) for each line that counts."""
    name = file["file"].removeprefix("src/")
    source = open(os.path.join(root, file["file"]), encoding="utf-8").read().split("\n")
    starts = sorted((function["lineno"], function["name"]) for function in file["functions"])
    first = None  # of the present run of lines that were not reached
    for line in file["lines"]:
        if line.get("gcovr/noncode"):
            continue
        number = line["line_number"]
        branches = line.get("branches", [])
        missed = sum(branch["count"] == 0 for branch in branches)
        key = (name, function_of(number, starts), source[number - 1].strip())
        is_hole = line["count"] == 0
        if is_hole and first is not None:
            key = first
        first = key if is_hole else None
        yield number, is_hole, missed, len(branches), key


def examine(file, root, exceptions, used):
    """The counts of one file, and what is neither reached nor named."""
    counts = {"lines": 0, "reached": 0, "named": 0, "branches": 0, "taken": 0, "branches_named": 0}
    open_holes = []
    for number, is_hole, missed, branches, key in holes_of(file, root):
        named = key in exceptions
        if named and (is_hole or missed):
            used.add(key)
        counts["lines"] += 1
        counts["reached"] += not is_hole
        counts["named"] += is_hole and named
        counts["branches"] += branches
        counts["taken"] += branches - missed
        counts["branches_named"] += missed if named else 0
        if (is_hole or missed) and not named:
            what = "not reached" if is_hole else f"{missed} of {branches} branches not taken"
            open_holes.append((is_hole, f"{file['file']}:{number}: {what}: {' | '.join(key)}"))
    return counts, open_holes


def percent(part, whole):
    return 100.0 if whole == 0 else 100.0 * part / whole


def print_row(name, c):
    print(f"{name:26}{c['lines']:7}{percent(c['reached'], c['lines']):8.1f} %{c['named']:7}"
          f"{c['lines'] - c['reached'] - c['named']:7}"
          f"{c['branches']:10}{percent(c['taken'], c['branches']):8.1f} %"
          f"{c['branches_named']:7}{c['branches'] - c['taken'] - c['branches_named']:7}")


def main():
    root, build = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    exceptions = read_exceptions(os.path.join(root, "test", "coverage", "exceptions.txt"))
    total, used, open_holes = {}, set(), []
    print(f"{'file':26}{'lines':>7}{'reached':>10}{'named':>7}{'open':>7}"
          f"{'branches':>10}{'taken':>10}{'named':>7}{'open':>7}")
    for file in gcovr(root, build):
        counts, holes = examine(file, root, exceptions, used)
        print_row(file["file"], counts)
        open_holes += holes
        total = {key: total.get(key, 0) + value for key, value in counts.items()}
    print_row("all", total)
    for _, text in open_holes:
        print(text)
    for key in sorted(set(exceptions) - used):
        print(f"named, but reached: {' | '.join(key)}")
    lines = percent(total["reached"] + total["named"], total["lines"])
    branches = percent(total["taken"], total["branches"] - total["branches_named"])
    print(f"lines: {percent(total['reached'], total['lines']):.1f} % reached, "
          f"{lines:.1f} % with those that are named; "
          f"branches: {percent(total['taken'], total['branches']):.1f} % taken, "
          f"{branches:.1f} % of those that are not named")
    print(f"pages: {os.path.join(build, 'coverage', 'index.html')}")
    has_open_line = any(is_line for is_line, _ in open_holes)
    sys.exit(0 if not has_open_line and branches >= BRANCHES_TO_REACH else 1)


main()
