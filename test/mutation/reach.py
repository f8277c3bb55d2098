# SPDX-License-Identifier: MIT
"""Which lines of src/ each test executes, so that a defect is tried by those tests only.

The tree is built once more, without optimisation and with a call at the beginning of each basic
block (reach.c), and each test runs alone in it. A block's lines are those that the table of lines
has between its call and the next one. Of what can't be measured nothing is said: such a test
executes everything.

Sets of lines are integers, a bit per line.
"""
import bisect
import hashlib
import json
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = "-O0 -g1 -gdwarf-4 -fno-inline -fsanitize-coverage=trace-pc"
# Of modules and shared libraries nothing is measured: tests that load them.
NOT_MEASURED = re.compile(r"^(plugin|abi)")
CALL = re.compile(r".*\tcall.*<__sanitizer_cov_trace_pc>\s*$")
FUNCTION = re.compile(r"^([0-9a-f]+) <[^>]+>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t")
ROW = re.compile(r"^\S+\s+(\d+)\s+0x([0-9a-f]+)\s")


def flags(work, root):
    """CMake's options for the build that is measured. Modules get a call that does nothing."""
    objects = {}
    texts = {"reach": open(os.path.join(root, "test", "mutation", "reach.c"), "rb").read(),
             "nothing": b"void __sanitizer_cov_trace_pc(void) {}"}
    for name, text in texts.items():
        objects[name] = os.path.join(work, name + ".o")
        subprocess.run(["cc", "-O2", "-fPIC", "-fvisibility=hidden", "-D_GNU_SOURCE", "-x", "c",
                        "-", "-c", "-o", objects[name]], input=text, check=True)
    return {"CMAKE_C_FLAGS": FLAGS, "CMAKE_EXE_LINKER_FLAGS": objects["reach"],
            "CMAKE_SHARED_LINKER_FLAGS": objects["nothing"],
            "CMAKE_MODULE_LINKER_FLAGS": objects["nothing"]}


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode(
        errors="replace").split("\n")


def calls_of(program):
    """(the addresses where blocks begin, the return address of each one's call), both in order. A
    function's first block begins with the function."""
    begins, returns, first, called = [], [], None, False
    for line in output_of("objdump", "-d", "--no-show-raw-insn", program):
        function, instruction = FUNCTION.match(line), INSTRUCTION.match(line)
        if function:
            first = int(function.group(1), 16)
        elif instruction:
            address = int(instruction.group(1), 16)
            if called:
                returns.append(address)
            called = CALL.match(line) is not None
            if called:
                begins.append(address if first is None else first)
                first = None
    return begins, returns


def rows_of(program, root):
    """(address, file of src/, line) of the table of lines."""
    path = None
    for line in output_of("objdump", "--wide", "--dwarf=decodedline", program):
        if line.endswith((":", ":[++]")):
            name = os.path.relpath(line.removeprefix("CU: ").rsplit(":", 1)[0], root)
            path = name if name.startswith("src/") else None
        elif path:
            found = ROW.match(line)
            if found:
                yield int(found.group(2), 16), path, int(found.group(1))


def blocks_of(program, root):
    """Return address of a block's call to its lines, as {path: lines}."""
    begins, returns = calls_of(program)
    blocks = {}
    for address, path, line in rows_of(program, root):
        number = bisect.bisect_right(begins, address) - 1
        if number >= 0:
            lines = blocks.setdefault(returns[number], {})
            lines[path] = lines.get(path, 0) | 1 << line
    return blocks


def add(lines, more):
    for path, bits in more.items():
        lines[path] = lines.get(path, 0) | bits


def is_program(path):
    if os.path.islink(path) or not os.path.isfile(path) or not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF" and ".so" not in path


class Reach:
    """Of each test the lines that it executes; `code` are all that have code."""

    def __init__(self, root, build, cache):
        self.root, self.build, self.cache = root, build, cache
        self.lines, self.code, self.blocks = {}, {}, {}
        os.makedirs(cache, exist_ok=True)
        self.programs = {name: os.path.join(folder, name)
                         for folder, _, files in os.walk(build) if "CMakeFiles" not in folder
                         for name in files if is_program(os.path.join(folder, name))}

    def blocks_by_name(self, name):
        if name not in self.blocks:
            path = self.programs.get(name)
            self.blocks[name] = blocks_of(path, self.root) if path else None
        return self.blocks[name]

    def read(self, folder):
        """What a test's programs left in the folder: the lines, or None where one is unknown."""
        lines = {}
        for name in os.listdir(folder):
            blocks = self.blocks_by_name(name)
            if blocks is None:
                return None
            with open(os.path.join(folder, name), "rb") as file:
                seen = file.read()
            at = seen.find(1)
            while at >= 0:
                add(lines, blocks.get(at, {}))
                at = seen.find(1, at + 1)
        return lines or None

    def known(self, name, key, find):
        """What `find` returns, a test's lines, unless a run before kept that under the same key."""
        path, entry = os.path.join(self.cache, name), {}
        key = key_of(key, *(os.path.join(HERE, tool) for tool in ("reach.py", "reach.c")))
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                entry = json.load(file)
        if entry.get("key") != key:
            lines = find()
            entry = {"key": key, "lines": lines and {path: hex(bits)
                                                     for path, bits in lines.items()}}
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(entry, file)
            os.replace(path + ".new", path)
        return entry["lines"] and {path: int(bits, 16) for path, bits in entry["lines"].items()}

    def measure(self, test, key, execute):
        """`execute(environment)` runs the test, and returns whether it ended well."""
        def find():
            folder = os.path.join(self.build, "reach", test)
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            os.chmod(folder, 0o777)
            is_well = execute({"UVDIO_REACH": folder}) and not NOT_MEASURED.match(test)
            lines = self.read(folder) if is_well else None
            shutil.rmtree(folder)
            return lines
        self.lines[test] = self.known(test, key, find)

    def read_code(self):
        """All lines that have code."""
        def find():
            lines = {}
            for name in self.programs:
                for of_block in (self.blocks_by_name(name) or {}).values():
                    add(lines, of_block)
            return lines
        self.code = self.known("all", key_of(*sorted(self.programs.values())), find)
        self.blocks = {}

    def tests_of(self, path, inner, outer):
        """Names of the tests that execute one of the lines `inner`; where none of these has code,
        of `outer`; where none of these has, of the file. Ranges are (first, last)."""
        code = self.code.get(path, 0)
        for first, last in (inner, outer, (0, code.bit_length())):
            wanted = (1 << last + 1) - (1 << first) & code
            if wanted:
                return {test for test, lines in self.lines.items()
                        if lines is None or lines.get(path, 0) & wanted}
        return set(self.lines)


def key_of(*parts):
    """Of files their content, of folders that of all files in them, of anything else its text."""
    digest = hashlib.sha256()
    for part in parts:
        if os.path.isdir(part):
            for folder, names, files in os.walk(part):
                names.sort()
                for name in sorted(files):
                    digest.update(name.encode())
                    digest.update(open(os.path.join(folder, name), "rb").read())
        elif os.path.isfile(part):
            digest.update(open(part, "rb").read())
        else:
            digest.update(part.encode())
    return digest.hexdigest()[:16]
