#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""uvdio-httpd as its clients meet it: what they get, and what they can't make it do. Most of them
are bare sockets, because a well-behaved client sends nothing of what matters here.

  httpd.py PATH/TO/uvdio-httpd SCRATCH [BACKEND]

SCRATCH is a directory on a filesystem with direct I/O; what is made in it is removed. Prints TAP.
Exit status: 0, or 1 where something was not ok.
"""
import contextlib
import email.utils
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds, for what comes at once
LONG = 8 << 20
count = 0
failures = 0


def check(what, is_good, detail=""):
    global count, failures
    count += 1
    failures += not is_good
    print(f"{'ok' if is_good else 'not ok'} {count} - {what}", flush=True)
    if not is_good:
        print("# " + str(detail).replace("\n", "\n# "), flush=True)


def same(what, got, wanted):
    short = lambda value: value if len(repr(value)) < 200 else f"{len(value)}: {value[:60]!r}..."
    check(what, got == wanted, f"got {short(got)}, not {short(wanted)}")


def skip(what, why):
    global count
    count += 1
    print(f"SKIP: {what}: {why}\nok {count} # SKIP {what}: {why}", flush=True)


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Client:
    """One connection."""

    def __init__(self, server, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def hurry(self):
        """Takes what comes as others do."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def ask(self, path, *lines, method="GET", version="1.1"):
        head = [f"{method} {path} HTTP/{version}", "Host: test", *lines]
        self.send("\r\n".join(head) + "\r\n\r\n")

    def head(self):
        line = self.file.readline().decode()
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\n", line)
        if found is None:
            raise EOFError(f"no status line: {line!r}")
        fields = {}
        while (line := self.file.readline().decode()) != "\r\n":
            name, value = line.rstrip("\r\n").split(": ", 1)
            if name.lower() in fields:
                raise ValueError(f"{name} comes twice")
            fields[name.lower()] = value
        return int(found[1]), fields

    def answer(self, has_body=True):
        status, fields = self.head()
        length = int(fields.get("content-length", 0)) if has_body and status != 304 else 0
        return Answer(status, fields, self.file.read(length))

    def get(self, path, *lines, method="GET", version="1.1"):
        self.ask(path, *lines, method=method, version=version)
        return self.answer(has_body=method != "HEAD")

    def is_closed(self):
        """Waits for the server to close; nothing may come before."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def reset(self):
        """Closes so that the server gets an error."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


class Server:
    def __init__(self, root, *options, files=None):
        command = [program, "--port", "0", "--backend", backend, *options, root]
        limit = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh"] if files else []
        self.process = subprocess.Popen(
            limit + command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        servers.append(self)
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/ serves .* \((\w+), (.*)\)$", line)
        if found is None:
            raise SystemExit(f"no server: {line!r} {self.process.stderr.read()}")
        self.port, self.backend, self.parser = int(found[1]), found[2], found[3]

    def client(self, **options):
        return contextlib.closing(Client(self, **options))

    def status(self):
        """The numbers of its line: connections, requests, frames_out, ..."""
        self.process.send_signal(signal.SIGUSR1)
        return parse_status(self.process.stderr.readline())

    def wait_for(self, is_reached):
        status = self.status()
        end = time.monotonic() + PATIENCE
        while not is_reached(status) and time.monotonic() < end:
            time.sleep(0.02)
            status = self.status()
        return status

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return int(re.search(r"VmRSS:\s*(\d+) kB", lines.read())[1]) * 1024

    def stop(self, number=signal.SIGTERM):
        """Returns the exit status and the last line's numbers."""
        self.process.send_signal(number)
        text = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, parse_status(text) or text

    def ends_well(self, what):
        code, status = self.stop()
        check(
            f"{what}: the server ends, and no frame is lost",
            code == 0 and isinstance(status, dict) and status["frames_out"] == 0,
            f"{code} {status}",
        )


def parse_status(text):
    names = "connections requests bytes files opened frames_out frames".split()
    found = re.findall(
        r"uvdio-httpd: (\d+) connections, (\d+) requests, (\d+) bytes, (\d+) files, "
        r"(\d+) opened, (\d+) of (\d+) frames out",
        text,
    )
    return dict(zip(names, map(int, found[-1]))) if found else None


def write(name, data):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return data


def make_files():
    sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 131071, 131072, 131073, (1 << 20) + 1]
    made = {f"size{size}": write(f"size{size}", dice.randbytes(size)) for size in sizes}
    made["a/b/c/deep.html"] = write("a/b/c/deep.html", b"<p>deep</p>")
    made["white space+%.txt"] = write("white space+%.txt", b"names are decoded")
    made["long"] = write("long", dice.randbytes(LONG))
    write("index.html", b"the root's index")
    write("a/index.html", b"the folder's index")
    return made


# ------------------------------------------------------------------------------------------------


def test_usage():
    for words, code, text in (
        (["--help"], 0, "usage: uvdio-httpd"),
        (["--port", "65536"], 2, "--port takes a number from 0 to 65535"),
        (["--frames", "x"], 2, "--frames takes a number"),
        (["--backend", "none"], 2, "there is no backend 'none'"),
        (["one", "two"], 2, "there is another 'two'"),
        (["--frobnicate"], 2, "frobnicate"),
        (["--host", "nowhere", root], 1, "nowhere: invalid argument"),
        ([os.path.join(root, "missing")], 1, "ENOENT"),
        ([os.path.join(root, "size1")], 1, "ENOTDIR"),
    ):
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=PATIENCE)
        found = done.returncode == code and text in done.stdout + done.stderr
        check(f"{' '.join(words)[-40:]}: exit status {code}, and words", found, done)


def test_content(server):
    with server.client() as client:
        for name, data in made.items():
            path = "/" + name.replace("%", "%25").replace(" ", "%20")
            same(f"GET {name}", client.get(path).body, data)
            answer = client.get(path, method="HEAD")
            fields = answer.fields
            same(f"HEAD {name}", (answer.status, fields["content-length"]), (200, str(len(data))))
        same("a query is no part of the path", client.get("/size1?x=/../y").body, made["size1"])
        same("a whole URI", client.get("http://any/size513").body, made["size513"])
        same("an index", client.get("/").body, b"the root's index")
        same("a folder's index", client.get("/a/").body, b"the folder's index")
        fields = client.get("/a/b/c/deep.html").fields
        same("the type", fields["content-type"], "text/html; charset=utf-8")
        same("a type that is not known", client.get("/size1").fields["content-type"],
             "application/octet-stream")  # fmt: skip
        modified = email.utils.parsedate_to_datetime(fields["last-modified"]).timestamp()
        same("the time", int(modified), int(os.stat(root + "/a/b/c/deep.html").st_mtime))


def test_curl(server):
    if shutil.which("curl") is None:
        skip("curl", "it is not installed")
        return
    url = f"http://127.0.0.1:{server.port}/long"
    part = os.path.join(scratch, "part")
    with open(part, "wb") as file:
        file.write(made["long"][:1234567])
    for options in (["-C", "-"], ["--range", "0-"], ["--compressed"]):
        subprocess.run(["curl", "-sS", *options, "-o", part, url], check=True, timeout=PATIENCE)
        with open(part, "rb") as file:
            same(f"curl {options[0]}", file.read(), made["long"])
    stamp = subprocess.run(
        ["curl", "-sS", "-z", part, "-o", part, "-w", "%{http_code}", url],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    same("curl -z: not modified since", stamp.stdout, "304")


# By a file of n bytes: the field's value, and the bytes that are to come (None: 416, else 206), or
# all of them (200).
ALL = "all"
RANGES = [
    ("bytes=0-0", lambda n: (0, 1)),
    ("bytes=1-1", lambda n: (1, 2)),
    ("bytes=0-", lambda n: (0, n)),
    ("bytes=3-", lambda n: (3, n)),
    ("bytes=5-10", lambda n: (5, 11)),
    ("Bytes=5-10", lambda n: (5, 11)),
    ("bytes=4000-4200", lambda n: (4000, min(n, 4201)) if n > 4000 else None),
    ("bytes=-1", lambda n: (n - 1, n)),
    ("bytes=-4097", lambda n: (max(0, n - 4097), n)),
    ("bytes=-99999999999999999999999", lambda n: (0, n)),
    ("bytes=0-99999999999999999999999", lambda n: (0, n)),
    ("bytes=99999999999999999999999-", lambda n: None),
    ("bytes=-0", lambda n: None),
    ("bytes=10-5", lambda n: ALL),
    ("bytes=a-b", lambda n: ALL),
    ("bytes=-", lambda n: ALL),
    ("bytes=", lambda n: ALL),
    ("bytes=1-2x", lambda n: ALL),
    ("bytes=0-0,2-3", lambda n: ALL),
    ("lines=0-1", lambda n: ALL),
]


def ranges_of(size):
    for text, of in RANGES:
        yield text, of(size)
    yield f"bytes={size}-", None
    yield f"bytes={size}-{size}", None
    yield f"bytes={size - 1}-", (size - 1, size)
    yield f"bytes={size - 1}-{size + 5}", (size - 1, size)
    for _ in range(20):
        first = dice.randrange(size)
        last = dice.randrange(first, size)
        yield f"bytes={first}-{last}", (first, last + 1)


def range_is_good(answer, data, wanted):
    said = answer.fields.get("content-range")
    if wanted is None:
        return answer.status == 416 and said == f"bytes */{len(data)}" and answer.body == b""
    if wanted == ALL:
        return answer.status == 200 and said is None and answer.body == data
    first, end = wanted
    text = f"bytes {first}-{end - 1}/{len(data)}"
    return answer.status == 206 and said == text and answer.body == data[first:end]


def test_ranges(server):
    with server.client() as client:
        for size in (511, 4097, 131073, (1 << 20) + 1):
            data = made[f"size{size}"]
            for text, wanted in ranges_of(size):
                answer = client.get(f"/size{size}", f"Range: {text}")
                check(f"{text} of {size}", range_is_good(answer, data, wanted),
                      f"{answer.status} {answer.fields} {len(answer.body)}")  # fmt: skip
        for text in ("bytes=0-", "bytes=-1"):
            check(f"{text} of nothing",
                  range_is_good(client.get("/size0", f"Range: {text}"), b"", None))  # fmt: skip
        answer = client.get("/size511", "Range: bytes=0-0", method="HEAD")
        same("HEAD has no ranges", (answer.status, answer.fields["content-length"]), (200, "511"))


def test_conditions(server):
    late = "Fri, 01 Jan 2100 00:00:00 GMT"
    early = "Sunday, 06-Nov-94 08:49:37 GMT"
    with server.client() as client:
        fields = client.get("/size4097").fields
        tag, date = fields["etag"], fields["last-modified"]
        check("the tag is strong", re.fullmatch(r'"[^"]+"', tag) is not None, tag)
        for lines, status in (
            ([f"If-None-Match: {tag}"], 304),
            ([f"If-None-Match: W/{tag}"], 304),
            ([f'If-None-Match: "a,b", W/"c", {tag}'], 304),
            (['If-None-Match: "a"', f"If-None-Match: {tag}"], 304),
            (["If-None-Match: *"], 304),
            (['If-None-Match: "a"'], 200),
            ([f'If-None-Match: "{tag[1:-2]}"'], 200),
            (["If-None-Match: nonsense"], 200),
            ([f"If-Modified-Since: {date}"], 304),
            ([f"If-Modified-Since: {late}"], 304),
            ([f"If-Modified-Since: {early}"], 200),
            (["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 200),
            (["If-Modified-Since: tomorrow"], 200),
            (['If-None-Match: "a"', f"If-Modified-Since: {late}"], 200),
            ([f"If-None-Match: {tag}", f"If-Modified-Since: {early}"], 304),
            ([f"If-Match: {tag}"], 200),
            ([f"If-Match: W/{tag}"], 412),
            (['If-Match: "a"'], 412),
            (["If-Match: *"], 200),
            ([f"If-Unmodified-Since: {early}"], 412),
            ([f"If-Unmodified-Since: {date}"], 200),
            ([f"If-Match: {tag}", f"If-Unmodified-Since: {early}"], 200),
            ([f"If-Range: {tag}", "Range: bytes=0-0"], 206),
            ([f"If-Range: W/{tag}", "Range: bytes=0-0"], 200),
            (['If-Range: "a"', "Range: bytes=0-0"], 200),
            ([f"If-Range: {date}", "Range: bytes=0-0"], 206),
            ([f"If-Range: {early}", "Range: bytes=0-0"], 200),
            ([f"If-None-Match: {tag}", "Range: bytes=99999-"], 304),
            (["X-Empty:", f"If-None-Match: {tag}"], 304),
        ):
            for method in ("GET", "HEAD"):
                wanted = 200 if method == "HEAD" and status == 206 else status
                answer = client.get("/size4097", *lines, method=method)
                is_good = answer.status == wanted and answer.fields["etag"] == tag
                is_good &= (answer.body == b"") == (method == "HEAD" or status in (304, 412))
                check(f"{method} {', '.join(lines)}", is_good, f"{answer.status} {answer.fields}")


def test_pipelining(server):
    names = [name for name in made if name.startswith("size")] * 20
    dice.shuffle(names)
    heads = [f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n" for name in names]
    heads[-1] = heads[-1].replace("Host: x", "Host: x\r\nConnection: close")
    with server.client() as client:
        client.send("".join(heads))
        is_good = all(client.answer().body == made[name] for name in names)
        check("240 requests sent at once are answered in order", is_good)
        check("... and the last one closes", client.is_closed())
    text = "".join(heads[:3]) + "HEAD /size1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for cut in range(1, len(text), 7):
        with server.client() as client:
            client.send(text[:cut])
            client.send(text[cut:])
            bodies = [client.answer().body for _ in range(3)]
            if bodies != [made[name] for name in names[:3]] or client.head()[0] != 200:
                check(f"requests cut at byte {cut}", False)
    with server.client() as client:
        for byte in text.encode():
            client.send(bytes([byte]))
        bodies = [client.answer().body for _ in range(3)]
        same("byte by byte", bodies, [made[name] for name in names[:3]])
    with server.client() as client:
        client.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\nGET /size1 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        same("after the client's end", client.answer().body, made["long"])
        same("... comes the rest", client.answer().body, made["size1"])
        check("... and the server's end", client.is_closed())


def test_versions(server):
    for lines, goes_on in ((["Connection: keep-alive"], True), ([], False)):
        with server.client() as client:
            answer = client.get("/size1", *lines, version="1.0")
            same(f"HTTP/1.0 {lines}", answer.body, made["size1"])
            said = answer.fields["connection"]
            same("... says what becomes of the connection", said,
                 "keep-alive" if goes_on else "close")  # fmt: skip
            if goes_on:
                same("... goes on", client.get("/size1", version="1.0").body, made["size1"])
            check("... and closes", client.is_closed())


def test_paths(server):
    outside = write("../secret", b"outside of the root")
    for name in ("link", "a/link"):
        os.symlink(os.path.join(scratch, "secret"), os.path.join(root, name))
    os.symlink(scratch, os.path.join(root, "up"))
    os.symlink("size1", os.path.join(root, "inner"))
    os.mkfifo(os.path.join(root, "fifo"))
    with server.client() as client:
        for path, statuses in (
            ("/../secret", {403}),
            ("/a/../../secret", {403}),
            ("/%2e%2e/secret", {403}),
            ("/.%2E/secret", {403}),
            ("/..%2fsecret", {403}),
            ("/a%2f..%2f..%2fsecret", {403}),
            ("/./size1", {403}),
            ("/..", {403}),
            ("//etc/passwd", {404}),
            ("/%2fetc/passwd", {404}),
            ("/a//index.html", {404}),
            ("/link", {403}),
            ("/a/link", {403}),
            ("/inner", {403}),
            ("/up/secret", {404}),
            ("/up/", {404}),
            ("/fifo", {403}),
            ("/a", {404}),
            ("/size1/", {404}),
            ("/missing", {404}),
            ("/" + "x" * 300, {404}),
            ("/..%5csecret", {404}),
        ):
            answer = client.get(path)
            check(f"{path[:40]}: {statuses}", answer.status in statuses and
                  outside not in answer.body, f"{answer.status} {answer.body}")  # fmt: skip
            answer = client.get(path, method="HEAD")
            same(f"HEAD {path[:40]}", {answer.status}, statuses)
        same("... and the connection goes on", client.get("/size1").body, made["size1"])


def test_links():
    server = Server(root, "--follow-symlinks")
    with server.client() as client:
        same("--follow-symlinks", client.get("/link").body, b"outside of the root")
        same("... of folders", client.get("/up/secret").body, b"outside of the root")
        same("... takes no dots", client.get("/../secret").status, 403)
    server.ends_well("--follow-symlinks")


def test_bad_requests(server):
    good = "GET /size1 HTTP/1.1\r\n"
    host = "Host: x\r\n"
    for what, text, status in (
        ("garbage", "\x16\x03\x01\x02\r\n\r\n", 400),
        ("no host", good + "\r\n", 400),
        ("two hosts", good + host + host + "\r\n", 400),
        ("no path", "GET size1 HTTP/1.1\r\n" + host + "\r\n", 400),
        ("a wrong escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400),
        ("an escape without an end", "GET /%4 HTTP/1.1\r\n" + host + "\r\n", 400),
        ("a zero", "GET /size1%00.html HTTP/1.1\r\n" + host + "\r\n", 400),
        ("two lengths", good + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST", "POST /size1 HTTP/1.1\r\n" + host + "\r\n", 405),
        ("DELETE", "DELETE /size1 HTTP/1.1\r\n" + host + "\r\n", 405),
        ("a body", good + host + "Content-Length: 5\r\n\r\nhello", 413),
        ("chunks", good + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        ("a long target", f"GET /{'x' * 3000} HTTP/1.1\r\n" + host + "\r\n", 414),
        ("a long path", f"GET /{'x' * 1500} HTTP/1.1\r\n" + host + "\r\n", 414),
        ("a long field", good + host + f"X: {'y' * 9000}\r\n\r\n", 431),
        ("a long field without an end", good + host + "X: " + "y" * 9000, 431),
        ("many fields", good + host + "X: y\r\n" * 2000 + "\r\n", 431),
        ("a long condition", good + host + f"If-Match: {'y' * 600}\r\n\r\n", 431),
        ("HTTP/2", "GET / HTTP/2.0\r\n" + host + "\r\n", 505),
    ):
        with server.client() as client:
            client.send(text)
            answer = client.answer()
            same(what, answer.status, status)
            same("... closes, and says so", answer.fields["connection"], "close")
            check("... with a body that says why", str(status).encode() in answer.body)
            check("... and has ended", client.is_closed())
            if status == 405:
                same("... with what is allowed", answer.fields["allow"], "GET, HEAD")
    with server.client() as client:
        client.send("PUT /size1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
        client.send(b"x" * 4000000)
        same("who sends much before it reads gets the answer", client.answer().status, 413)
    with server.client() as client:
        client.ask("/size1", "Content-Length: 0")
        same("a body of nothing is none", client.answer().body, made["size1"])
        client.ask("/size1", "Connection: Upgrade", "Upgrade: h2c")
        same("no upgrade", client.answer().body, made["size1"])


def test_changes():
    server = Server(root, "--fresh", "0")
    write("changing", b"first")
    with server.client() as client:
        before = client.get("/changing")
        write("new", b"second")
        os.rename(os.path.join(root, "new"), os.path.join(root, "changing"))
        answer = client.get("/changing", f"If-None-Match: {before.fields['etag']}")
        same("a file that was replaced is found", answer.body, b"second")
        os.unlink(os.path.join(root, "changing"))
        same("... and one that is gone is not", client.get("/changing").status, 404)
    server.ends_well("changes")
    server = Server(root, "--fresh", "1000000")
    write("small", b"x" * 5000)
    write("large", b"x" * LONG)
    with server.client() as client:
        for name in ("small", "large"):
            client.get(f"/{name}")
            os.truncate(os.path.join(root, name), 100)
        same("a small file that has shrunk", client.get("/small").status, 500)
    with server.client() as client:
        client.ask("/large")
        try:
            status, _ = client.head()
            is_short = status == 500 or len(client.file.read(LONG)) < LONG
        except (EOFError, ConnectionResetError):
            is_short = True
        check("a large one that has shrunk ends early", is_short)
    server.ends_well("files that shrink")


def test_few_open_files():
    server = Server(root, "--files", "2", "--fresh", "1000000")
    with server.client() as client:
        for _ in range(3):
            for size in (0, 1, 511, 512, 513):
                same(f"2 open files: {size}", client.get(f"/size{size}").body, made[f"size{size}"])
        same("... and no more stay open", server.wait_for(lambda s: s["files"] <= 2)["files"], 2)
    server.ends_well("few open files")
    server = Server(root, "--connections", "1", "--files", "100", files=40)
    with server.client() as client:
        for name in made:
            if name.startswith("size"):
                same(f"40 descriptors: {name}", client.get(f"/{name}").body, made[name])
    server.process.stderr.readline()  # says that fewer stay open
    server.ends_well("few descriptors")


def test_too_many_clients():
    server = Server(root, "--connections", "4")
    clients = [Client(server) for _ in range(4)]
    for client in clients:
        client.get("/size1")
    with server.client() as client:
        answer = client.answer()
        same("the fifth of four clients gets 503", answer.status, 503)
        check("... and is closed", client.is_closed())
    clients.pop().close()
    server.wait_for(lambda status: status["connections"] == 3)
    with server.client() as client:
        same("... and another one, when one has left, does not", client.get("/size1").status, 200)
    for client in clients:
        same("... nor those before", client.get("/size1").status, 200)
        client.close()
    server.ends_well("too many clients")


def test_time():
    server = Server(root, "--idle", "300", "--head", "300", "--send", "300")
    with server.client() as client:
        check("a client that says nothing is closed", client.is_closed())
    with server.client() as client:
        client.get("/size1")
        check("... also after a request", client.is_closed())
    with server.client() as client:
        client.send("GET /size1 HTT")
        same("half a request gets 408", client.answer().status, 408)
        check("... and is closed", client.is_closed())
    with server.client(receive_buffer=4096) as client:
        client.ask("/long")
        status = server.wait_for(lambda status: status["connections"] == 0)
        same("a client that takes nothing is closed", status["connections"], 0)
        same("... and its frames are free", status["frames_out"], 0)
    server.ends_well("time")


def test_slow_clients(server):
    name, size, clients = "sparse", 24 << 20, []
    with open(os.path.join(root, name), "wb") as file:
        file.truncate(size)
        file.seek(size - 9)
        file.write(b"at an end")
    before = server.memory()
    for _ in range(8):
        clients.append(Client(server, receive_buffer=4096))
        clients[-1].ask(f"/{name}")
    status = server.wait_for(lambda s: s["connections"] == 8 and s["frames_out"] > 0)
    for _ in range(5):  # how many it is when nothing moves any more
        time.sleep(0.1)
        status = max(status, server.status(), key=lambda status: status["frames_out"])
    check("8 clients that don't read hold no more than 6 frames each",
          0 < status["frames_out"] <= 48, status)  # fmt: skip
    grown = server.memory() - before
    check("... and little else", grown < status["frames"] * 131072 + (16 << 20), grown)
    for client in clients:
        client.hurry()
    answers = [client.answer() for client in clients]
    check("... and get everything when they read", all(
        len(answer.body) == size and answer.body.endswith(b"\0at an end") for answer in answers
    ))  # fmt: skip
    for client in clients:
        client.close()
    status = server.wait_for(lambda status: status["frames_out"] == 0)
    same("... after which no frame is out", status["frames_out"], 0)


def test_clients_that_leave(server):
    for taken in (0, 1, 300000):
        clients = [Client(server, receive_buffer=4096) for _ in range(40)]
        for number, client in enumerate(clients):
            for _ in range(1 if number % 2 else 50):  # so that a read is under way at any time
                client.ask("/long" if number % 2 else "/size4097")
        for number, client in enumerate(clients):
            client.file.read(taken if number % 2 else min(taken, 4000))
            client.reset()
        status = server.wait_for(lambda s: s["connections"] == 0 and s["frames_out"] == 0)
        check(f"40 clients that leave after {taken} bytes leave nothing behind",
              status["connections"] == 0 and status["frames_out"] == 0, status)  # fmt: skip


def test_few_frames():
    server = Server(root, "--frames", "2", "--window", "4", "--connections", "600")
    clients = [Client(server) for _ in range(512)]
    sizes = [4097, 131073, 0, 512]
    for _ in range(2):
        for number, client in enumerate(clients):
            client.ask(f"/size{sizes[number % 4]}")
        is_good = all(
            client.answer().body == made[f"size{sizes[number % 4]}"]
            for number, client in enumerate(clients)
        )
        check("512 clients share 2 frames", is_good)
    for client in clients:
        for _ in range(50):
            client.ask("/size4097")
        client.reset()
    status = server.wait_for(lambda s: s["connections"] == 0 and s["frames_out"] == 0)
    check("... and leave none behind when they go while they wait",
          status["connections"] == 0 and status["frames_out"] == 0, status)  # fmt: skip
    server.ends_well("few frames")


def test_stop():
    server = Server(root)
    idle, busy = Client(server), Client(server, receive_buffer=4096)
    idle.get("/size1")
    busy.ask("/long")
    status, _ = busy.head()
    server.process.send_signal(signal.SIGTERM)
    check("at SIGTERM a client that waits is closed", idle.is_closed())
    with contextlib.suppress(ConnectionRefusedError), server.client() as late:
        check("... a new one is refused", late.is_closed())
    busy.hurry()
    same("... an answer on its way is sent", (status, busy.file.read(LONG)), (200, made["long"]))
    check("... and was the last", busy.is_closed())
    text = server.process.communicate(timeout=PATIENCE)[1]
    check("... and the server ends, and no frame is lost",
          server.process.returncode == 0 and parse_status(text)["frames_out"] == 0,
          text)  # fmt: skip
    for what, options, signals in (
        ("--stop", ["--stop", "300"], [signal.SIGTERM]),
        ("a second signal", [], [signal.SIGINT, signal.SIGTERM]),
    ):
        server = Server(root, *options)
        stuck = Client(server, receive_buffer=4096)
        stuck.ask("/long")
        stuck.head()
        for number in signals:
            server.process.send_signal(number)
            # Two signals at once may count as one for the loop.
            while os.path.exists(f"/proc/{server.process.pid}") and is_listening(server):
                time.sleep(0.01)
        text = server.process.communicate(timeout=PATIENCE)[1]
        check(f"{what} ends the answers that are stuck",
              server.process.returncode == 0 and parse_status(text)["frames_out"] == 0,
              text)  # fmt: skip
        stuck.close()


def is_listening(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
        return True
    except ConnectionError:
        return False


def main():
    test_usage()
    server = Server(root)
    print(f"# {server.backend}, {server.parser}")
    test_content(server)
    test_curl(server)
    test_ranges(server)
    test_conditions(server)
    test_pipelining(server)
    test_versions(server)
    test_paths(server)
    test_bad_requests(server)
    test_slow_clients(server)
    test_clients_that_leave(server)
    server.ends_well("all of it")
    test_links()
    test_changes()
    test_few_open_files()
    test_too_many_clients()
    test_time()
    test_few_frames()
    test_stop()
    print(f"1..{count}")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    program = os.path.abspath(sys.argv[1])
    backend = sys.argv[3] if len(sys.argv) == 4 else "auto"
    os.makedirs(sys.argv[2], exist_ok=True)
    # absolute, because links lead there
    scratch = tempfile.mkdtemp(prefix="uvdio-httpd.", dir=os.path.abspath(sys.argv[2]))
    root = os.path.join(scratch, "root")
    os.mkdir(root)
    servers = []
    dice = random.Random(1)
    try:
        made = make_files()
        status = main()
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
        shutil.rmtree(scratch)
    sys.exit(status)
