#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server uvdio-kv, as clients meet it: on sockets, with real files, stopped and killed.

  kv.py PATH/TO/uvdio-kv SCRATCH [--only TEST] [--kills N] [--seconds S] [--any-memory]

SCRATCH is a directory; what is made in it is removed. Prints TAP. --kills: how often the server is
killed under load, each time after up to --seconds. --any-memory: its memory is not looked at, as
under sanitizers, which have their own. Exit status: 0, or 1 where something was not ok.
"""
import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = 60
SMALL = ["--segment", "1M"]  # files of the log, which are made before the server is ready
MIB = 1 << 20


class Server:
    """A server in a directory of its own, which may be started again."""

    def __init__(self, program, scratch, *options):
        self.program, self.options = program, list(options)
        self.directory = tempfile.mkdtemp(dir=scratch)
        self.start()

    def start(self):
        command = [self.program, "--port", "0", *SMALL, *self.options, self.directory]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.line = self.process.stdout.readline()
        words = self.line.split()
        self.port = int(words[4].rstrip(",")) if "ready" in words else None

    def end(self, number=signal.SIGTERM):
        """Sends a signal and waits. Returns the exit status, and what was said on stderr."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        err = self.process.communicate(timeout=TIMEOUT)[1]
        return self.process.returncode, err

    def again(self, number=signal.SIGTERM):
        status, err = self.end(number)
        check(status == (0 if number == signal.SIGTERM else -number), f"ended with {status}: {err}")
        self.start()
        if self.port is None:
            raise AssertionError(f"it did not start again: {self.wait()[1]}")

    def client(self):
        return Client(self.port)

    def info(self):
        with self.client() as client:
            lines = client.ask(b"INFO").decode().split("\r\n")
        return dict(line.split(":") for line in lines if ":" in line)

    any_memory = False

    def memory(self):
        """Bytes that are resident now."""
        if self.any_memory:
            return 0
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        shutil.rmtree(self.directory)


class Failure(Exception):
    """What an error reply says."""

    def __eq__(self, other):
        return isinstance(other, Failure) and self.args == other.args

    __hash__ = Exception.__hash__


def request(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Client:
    """One connection."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Failure(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            value = self.file.read(int(rest) + 2)
            if len(value) != int(rest) + 2:
                raise EOFError
            check(value.endswith(b"\r\n"), "a value has its end")
            return value[:-2]
        check(kind == b"*", f"a reply of kind {kind}")
        return [self.reply() for _ in range(int(rest))]

    def ask(self, *words):
        self.send(request(*words))
        return self.reply()

    def rest(self):
        """All that comes before the end of the connection."""
        return self.file.read()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_same(got, wanted, what):
    check(got == wanted, f"{what}: {str(got)[:200]} instead of {str(wanted)[:200]}")


def wait_until(condition, what):
    """For what the server does by itself in the background."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        check(time.monotonic() < end, f"this did not come: {what}")
        time.sleep(0.02)


def test_commands(make):
    """each command, right and wrong"""
    with make() as server, server.client() as client:
        for words, wanted in [
            (["PING"], b"PONG"),
            (["ping", "there"], b"there"),
            (["GET", "key"], None),
            (["EXISTS", "key"], 0),
            (["DEL", "key"], 0),
            (["SET", "key", "value"], b"OK"),
            (["GET", "key"], b"value"),
            (["set", "key", "other"], b"OK"),
            (["GeT", "key"], b"other"),
            (["EXISTS", "key", "none", "key"], 2),
            (["SET", "second", ""], b"OK"),
            (["GET", "second"], b""),
            (["DEL", "key", "none", "second", "key"], 2),
            (["GET", "key"], None),
            (["EXISTS", "key", "second"], 0),
            (["CONFIG", "GET", "save"], [b"save", b""]),
            (["CONFIG", "GET", "appendonly"], [b"appendonly", b"yes"]),
            (["CONFIG", "GET", "appendfsync"], [b"appendfsync", b"always"]),
            (["CONFIG", "GET", "other"], []),
            (["CONFIG", "SET", "save"], Failure("ERR only CONFIG GET is known")),
            (["COMMAND"], []),
            (["COMMAND", "DOCS"], []),
            (["GET"], Failure("ERR wrong number of arguments for 'GET'")),
            (["SET", "a", "b", "NX"], Failure("ERR wrong number of arguments for 'SET'")),
            (["FLUSH\r\nALL"], Failure("ERR unknown command 'FLUSH??ALL'")),
            (["GET", "k" * 65537], Failure("ERR key is longer than 65536 bytes")),
            (["SET", "k" * 65537, "v"], Failure("ERR key is longer than 65536 bytes")),
            (["SET", "k" * 65536, "v"], b"OK"),
            (["GET", "k" * 65536], b"v"),
        ]:
            check_same(client.ask(*words), wanted, str(words)[:80])
        info = server.info()
        check_same(info["keys"], "1", "keys of INFO")
        check_same(info["tcp_port"], str(server.port), "tcp_port of INFO")
        check_same(client.ask("QUIT"), b"OK", "QUIT")
        check_same(client.rest(), b"", "what follows QUIT")
        client.close()
        with server.client() as other:
            other.send(request("SET", "last", "one") + request("SHUTDOWN"))
            check_same(other.rest(), b"+OK\r\n", "what is answered at SHUTDOWN")
        check_same(server.wait(), (0, ""), "the end by SHUTDOWN")
        server.start()
        with server.client() as other:
            check_same(other.ask("GET", "last"), b"one", "the value after it")


def random_requests(count, model):
    """Requests in a row, and their replies."""
    sent, replies = [], []
    for number in range(count):
        key = random.choice([b"a", b"b", b"c\r\n", b"", b"\0\xff", b"d", b"e" * 1000])
        kind = random.choice(["SET", "SET", "GET", "DEL", "EXISTS", "PING", "NONE"])
        if kind == "SET":
            value = random.randbytes(random.choice([0, 1, 100, 1024, 1025, 200000, 300000]))
            model[key] = value
            sent.append(request("SET", key, value))
            replies.append(b"OK")
        elif kind == "GET":
            sent.append(request("GET", key))
            replies.append(model.get(key))
        elif kind == "DEL":
            sent.append(request("DEL", key))
            replies.append(int(model.pop(key, None) is not None))
        elif kind == "EXISTS":
            sent.append(request("EXISTS", key))
            replies.append(int(key in model))
        elif kind == "PING":
            sent.append(request("PING", number))
            replies.append(b"%d" % number)
        else:
            sent.append(request("NONE"))
            replies.append(Failure("ERR unknown command 'NONE'"))
    return sent, replies


def test_pipelines(make):
    """replies in order, of requests in pieces of any length, with any bytes"""
    with make("--memory", "1M") as server, server.client() as client:
        model = {}
        for _ in range(6):
            sent, replies = random_requests(150, model)
            data = b"".join(sent)
            writer = threading.Thread(target=send_in_pieces, args=(client, data))
            writer.start()
            for number, wanted in enumerate(replies):
                check_same(client.reply(), wanted, f"reply {number} to {sent[number][:40]}")
            writer.join()
        wait_until(lambda: int(server.info()["checkpoints"]) > 0, "a checkpoint of these values")


def send_in_pieces(client, data):
    while data:
        size = random.choice([1, 7, 1000, 65536, 300000])
        client.send(data[:size])
        data = data[size:]


MALFORMED = [
    (b"PING\r\n", "Protocol error"),
    (b"\0\0\0\0", "Protocol error"),
    (b"GET / HTTP/1.1\r\n\r\n", "Protocol error"),
    (b"+OK\r\n", "Protocol error: a request is an array"),
    (b":1\r\n", "Protocol error: a request is an array"),
    (b"$4\r\nPING\r\n", "Protocol error: a request is an array"),
    (b"*-1\r\n", "Protocol error: invalid multibulk length"),
    (b"*1025\r\n", "Protocol error: invalid multibulk length"),
    (b"*99999999999999999999\r\n", ""),
    (b"*x\r\n", ""),
    (b"*1\r\n:5\r\n", "Protocol error: expected '$'"),
    (b"*1\r\n+PING\r\n", "Protocol error: expected '$'"),
    (b"*1\r\n*1\r\n$4\r\nPING\r\n", "Protocol error: expected '$'"),
    (b"*1\r\n" * 20, "Protocol error: expected '$'"),
    (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "Protocol error: invalid bulk length"),
    (b"*2\r\n$3\r\nGET\r\n$-2\r\n" + b"x" * 100, ""),
    (b"*2\r\n$3\r\nGET\r\n$1048577\r\n" + b"x" * 100, "Protocol error: invalid bulk length"),
    (b"*1\r\n$9223372036854775807\r\n" + b"x" * 100, "Protocol error: invalid bulk length"),
    (b"*1\r\n$4294967294\r\n" + b"x" * 100, "Protocol error: invalid bulk length"),
    (b"*1\r\n$" + b"1" * 100, "Protocol error: too big bulk count string"),
    (b"*" + b"\n" * 100, "Protocol error: too big bulk count string"),
    (b"*" + b"1\n" * 100, "Protocol error: too big bulk count string"),
    (request("DEL", *[b"x" * 60000] * 40), "Protocol error: too big request"),
]


def test_malformed(make):
    """what is no request gets an error, and the connection is closed"""
    with make("--value-max", "1M") as server:
        for data, wanted in MALFORMED:
            with server.client() as client:
                client.send(request("PING") + data)
                check_same(client.reply(), b"PONG", f"the request before {data[:40]}")
                got = client.reply()
                check(isinstance(got, Failure), f"{data[:40]} is an error")
                check(got.args[0].startswith("ERR " + wanted), f"{data[:40]}: {got}")
                check_same(client.rest(), b"", f"what follows {data[:40]}")
        with server.client() as client:
            check_same(client.ask("PING"), b"PONG", "others are served")
        check_same(server.end(), (0, ""), "the end")


def test_half_requests(make):
    """connections that end in the middle leave nothing behind"""
    with make() as server, server.client() as client:
        data = request("SET", "half", b"x" * 100000)
        for size in [0, 1, 5, 20, 40, 1000, 99999]:
            for is_reset in [False, True]:
                other = server.client()
                other.send(data[:size])
                if is_reset:
                    linger = b"\1\0\0\0\0\0\0\0"
                    other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                other.close()
        other = server.client()
        other.send(request("SET", "whole", "x") * 100 + data[:50])
        other.socket.shutdown(socket.SHUT_WR)
        check_same(other.rest(), b"+OK\r\n" * 100, "what came before the end is answered")
        other.close()
        wait_until(lambda: server.info()["connected_clients"] == "2", "the others are gone")
        check_same(client.ask("EXISTS", "half", "whole"), 1, "no half request was executed")
        check_same(server.end(), (0, ""), "the end, with a client")


def test_slow_readers(make):
    """who does not read its replies is not read from, and holds up nobody"""
    with make("--memory", "2M") as server, server.client() as client:
        value = random.randbytes(MIB // 2)
        for name in ["memory", "file"]:
            check_same(client.ask("SET", name, value), b"OK", "SET")
            if name == "memory":
                continue
            for number in range(6):
                check_same(client.ask("SET", f"more{number}", value), b"OK", "SET")
            wait_until(lambda: int(server.info()["memory_bytes"]) < 2 * MIB, "a checkpoint")
        before = server.memory()
        pings = request("PING") * 600000
        slow = []
        for data in [request("GET", "file") * 50 + pings, request("GET", "more5") * 50, pings]:
            other = Client(server.port, receive_buffer=65536)
            other.socket.setblocking(False)
            sent = send_what_goes(other, data)
            other.socket.settimeout(TIMEOUT)
            slow.append((other, data[sent:]))
        check_same(client.ask("GET", "more5"), value, "others are served")
        check(server.memory() - before < 16 * MIB, "memory is bounded")
        other, rest = slow[0]
        writer = threading.Thread(target=send_until_closed, args=(other, rest))
        writer.start()
        for _ in range(50):
            check_same(other.reply(), value, "a slow reader's value")
        for _ in range(100000):
            check_same(other.reply(), b"PONG", "what follows it")
        other.socket.shutdown(socket.SHUT_RDWR)
        other.close()
        writer.join()
        status, err = server.end()
        check_same((status, err), (0, ""), "the end, with clients that don't read")


def send_until_closed(client, data):
    try:
        client.send(data)
    except OSError:
        pass


def send_what_goes(client, data):
    """Until the server takes no more, for a while."""
    sent = 0
    idle = 0
    while idle < 5 and sent < len(data):
        try:
            sent += client.socket.send(data[sent : sent + 65536])
            idle = 0
        except BlockingIOError:
            time.sleep(0.05)
            idle += 1
    return sent


def test_large_values(make):
    """values up to the limit, from memory and from the data file, in bounded memory"""
    with make("--value-max", "4M", "--memory", "4M") as server, server.client() as client:
        sizes = [1023, 1024, 1025, 65535, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 7, 4 * MIB]
        values = {b"key%d" % size: random.randbytes(size) for size in sizes}
        for key, value in values.items():
            check_same(client.ask("SET", key, value), b"OK", f"SET of {len(value)}")
            check_same(client.ask("GET", key), value, f"GET of {len(value)}")
        wait_until(lambda: int(server.info()["checkpoints"]) > 0, "a checkpoint")
        for _ in range(2):
            client.send(b"".join(request("GET", key) for key in values))
            for key, value in values.items():
                check_same(client.reply(), value, f"GET of {len(value)} in a row")
            client.close()
            server.again()
            client.__init__(server.port)
        with server.client() as other:
            other.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4194305\r\n" + b"x" * 100)
            check_same(
                other.reply(), Failure("ERR Protocol error: invalid bulk length"), "one byte more"
            )
        for number in range(3):
            check_same(client.ask("SET", f"n{number}", b"y" * 4 * MIB), b"OK", "SET of 4 MiB")
        check(server.memory() < 80 * MIB, f"memory is bounded: {server.memory()}")


def test_checkpoints(make):
    """the log is cut, the data file is written anew, and a restart finds all of it"""
    options = ["--memory", "1M", "--log", "1M", "--compact", "1M"]
    with make(*options) as server, server.client() as client:
        model = {}
        for turn in range(8):
            data, count = [], 0
            for number in range(400):
                key = b"key%d" % random.randrange(600)
                if random.random() < 0.2:
                    model.pop(key, None)
                    data.append(request("DEL", key))
                else:
                    model[key] = random.randbytes(random.choice([0, 10, 4087, 4096, 9000]))
                    data.append(request("SET", key, model[key]))
                count += 1
            client.send(b"".join(data))
            for _ in range(count):
                check(client.reply() in (b"OK", 0, 1), "a reply")
            if turn in (3, 7):
                client.close()
                server.again(signal.SIGKILL if turn == 3 else signal.SIGTERM)
                client.__init__(server.port)
            check_model(client, model)
        for name in ["checkpoints", "compactions"]:
            wait_until(lambda n=name: change_and_ask(server, client, model, n) > 0, name)
        for number in range(60):
            model.pop(b"key%d" % number, None)
        delete_during_checkpoint(server, client)
        for name in ["checkpoints", "compactions"]:
            before = int(server.info()[name])
            wait_until(
                lambda n=name, b=before: change_and_ask(server, client, model, n) > b, name
            )
        client.close()
        server.again()
        client.__init__(server.port)
        check_model(client, model)
        info = server.info()
        check_same(int(info["keys"]), len(model), "keys of INFO")
        check(int(info["log_segments"]) < 8, "the log was cut")
        names = [name for name in os.listdir(server.directory) if name.startswith("data")]
        check_same(len(names), 1, f"data files: {names}")


def change_and_ask(server, client, model, name):
    data = []
    for number in range(60, 600, 7):
        model[b"key%d" % number] = random.randbytes(5000)
        data.append(request("SET", b"key%d" % number, model[b"key%d" % number]))
    client.send(b"".join(data))
    for _ in data:
        check_same(client.reply(), b"OK", "SET")
    return int(server.info()[name])


def check_model(client, model):
    keys = [b"key%d" % number for number in range(600)]
    client.send(b"".join(request("GET", key) + request("PING", key) for key in keys))
    for key in keys:
        check_same(client.reply(), model.get(key), f"the value of {key}")
        check_same(client.reply(), key, "the reply behind it")


def delete_during_checkpoint(server, client):
    """Keys that are deleted while their values are on their way to the data file."""
    data = b""
    for number in range(60):
        data += request("SET", b"key%d" % number, b"x" * 10000)
    data += b"".join(request("DEL", b"key%d" % number) for number in range(60))
    before = int(server.info()["checkpoints"])
    while int(server.info()["checkpoints"]) == before:
        client.send(data)
        for _ in range(120):
            check(client.reply() in (b"OK", 1), "a reply")


def test_backends(make):
    """on each backend that is here"""
    for backend in ["ring", "aio", "pool"]:
        with make("--backend", backend, "--memory", "1M") as server:
            if server.port is None:
                print(f"# SKIP: {backend}: {server.wait()[1].strip()}")
                continue
            values = {b"key%d" % number: random.randbytes(70000) for number in range(12)}
            with server.client() as client:
                check_same(server.info()["backend"], backend, "the backend")
                client.send(b"".join(request("SET", *change) for change in values.items()))
                check_same([client.reply() for _ in values], [b"OK"] * 12, "replies")
            wait_until(lambda s=server: int(s.info()["checkpoints"]) > 0, "a checkpoint")
            server.again()
            with server.client() as client:
                for key, value in values.items():
                    check_same(client.ask("GET", key), value, f"the value of {key}")
            check_same(server.end(), (0, ""), "the end")


def test_damage(make):
    """a data file that was cut, and a log that is damaged, are told of"""
    with make("--memory", "1M") as server:
        with server.client() as client:
            for number in range(20):
                check_same(client.ask("SET", f"key{number}", b"x" * 100000), b"OK", "SET")
        wait_until(lambda: int(server.info()["checkpoints"]) > 0, "a checkpoint")
        check_same(server.end(), (0, ""), "the end")
        name = next(name for name in os.listdir(server.directory) if name.startswith("data"))
        path = os.path.join(server.directory, name)
        os.truncate(path, os.path.getsize(path) // 2)
        check_damage_is_told(server)
    with make() as server:
        value = random.randbytes(1000)
        with server.client() as client:
            for number in range(20):
                check_same(client.ask("SET", f"key{number}", value), b"OK", "SET")
        check_same(server.end(), (0, ""), "the end")
        damage_first(os.path.join(server.directory, "log"), value)
        check_damage_is_told(server)


def damage_first(directory, value):
    """Changes a bit where this was logged first; durable records follow it."""
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "r+b") as file:
            place = file.read().find(value)
            if place >= 0:
                file.seek(place)
                file.write(bytes([value[0] ^ 1]))
                return
    raise AssertionError("the log has the value")


def check_damage_is_told(server):
    server.start()
    check_same(server.line, "", "no first line")
    status, err = server.wait()
    check(status == 1 and "EDAMAGED" in err, f"damage is told of: {status}, {err}")


def test_limits(make):
    """wrong options, a directory in use, too many clients"""
    with make("--clients", "2") as server:
        for options in [
            [],
            ["--port", "x", "d"],
            ["--value-max", "0", "d"],
            ["--memory", " -5", "none/d"],
            ["--frob", "d"],
        ]:
            result = subprocess.run([server.program, *options], capture_output=True, check=False)
            check_same(result.returncode, 2, f"{options}")
        result = subprocess.run([server.program, "--help"], capture_output=True, check=False)
        check(result.returncode == 0 and result.stdout.startswith(b"usage:"), "--help")
        command = [server.program, "--port", "0", server.directory]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        check(result.returncode == 1 and "ELOCKED" in result.stderr, "a second server is refused")
        with server.client() as first, server.client() as second:
            check_same((first.ask("PING"), second.ask("PING")), (b"PONG", b"PONG"), "two clients")
            with server.client() as third:
                got = third.reply()
                check_same(got, Failure("ERR max number of clients reached"), "the third")
                check_same(third.rest(), b"", "and it is closed")
        wait_until(lambda: is_served(server), "room for another one")


def is_served(server):
    """A client that is one too many is told so, or finds the connection closed in its face."""
    try:
        with server.client() as client:
            return client.ask("PING") == b"PONG"
    except (OSError, EOFError):
        return False


def request_of(change):
    key, value = change
    return request("SET", key, value) if value is not None else request("DEL", key)


class Writer(threading.Thread):
    """Changes keys of its own, in pipelines, and remembers what was acknowledged, or read: a list
    for each key, which begins with that value and has those that were sent after it."""

    lock = threading.Lock()

    def __init__(self, port, number, all_values):
        super().__init__()
        self.port, self.number, self.all_values = port, number, all_values
        self.values = all_values[number]
        self.acknowledged = 0
        self.failure = None
        self.random = random.Random(random.random())

    def run(self):
        try:
            with Client(self.port) as client:
                while True:
                    self.change_some(client)
        except (OSError, EOFError):
            pass
        except Exception as error:
            self.failure = error

    def end(self):
        """When its server is gone. What has failed in its thread fails here."""
        self.join()
        if self.failure is not None:
            raise self.failure

    def change_some(self, client):
        changes = []
        for _ in range(self.random.choice([1, 1, 5, 50])):
            key = b"%d:%d" % (self.number, int(100 * self.random.random() ** 4))
            size = self.random.choice([8, 8, 100, 5000, 100000])
            value = self.random.randbytes(size) if self.random.random() < 0.9 else None
            changes.append((key, value))
            with self.lock:
                self.values.setdefault(key, [None]).append(value)
        client.send(b"".join(map(request_of, changes)))
        for key, value in changes:
            check(client.reply() in (b"OK", 0, 1), "a reply")
            self.note(self.values, key, value)
            self.acknowledged += 1

    def note(self, values, key, value):
        """It is not to be lost any more. One that is not there was followed by a later one."""
        with self.lock:
            if value in values.get(key, []):
                del values[key][: values[key].index(value)]


class Reader(Writer):
    """What it has read is not to be lost, either."""

    def change_some(self, client):
        number = self.random.randrange(len(self.all_values))
        key = b"%d:%d" % (number, self.random.randrange(3))
        self.note(self.all_values[number], key, client.ask("GET", key))


def test_kills(make, kills, seconds):
    """no acknowledged change, and none that was read, is lost where the server is killed"""
    options = ["--memory", "2M", "--log", "2M", "--compact", "1M"]
    with make(*options) as server:
        all_values = [{} for _ in range(4)]
        acknowledged = 0
        for kill in range(kills):
            writers = [Writer(server.port, number, all_values) for number in range(4)]
            writers += [Reader(server.port, number, all_values) for number in range(2)]
            for writer in writers:
                writer.start()
            time.sleep(random.uniform(0.3, 1) * seconds)
            were_served = all(writer.is_alive() for writer in writers)
            server.again(signal.SIGKILL)
            for writer in writers:
                writer.end()
                acknowledged += writer.acknowledged
            check(were_served, f"kill {kill}: all connections were there until it")
            with server.client() as client:
                check_after_kill(client, all_values, kill)
        print(f"# {kills} kills, {acknowledged} acknowledged changes")
        check(acknowledged > 0, "something was acknowledged")


def check_after_kill(client, all_values, kill):
    """Each key has what was acknowledged last, or what was sent after it; and keeps that."""
    for values in all_values:
        keys = list(values)
        client.send(b"".join(request("GET", key) for key in keys))
        for key in keys:
            got = client.reply()
            check(got in values[key], f"kill {kill}: {key} has lost a change: {str(got)[:40]}")
            values[key] = [got]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("scratch")
    parser.add_argument("--only")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--any-memory", action="store_true")
    arguments = parser.parse_args()
    Server.any_memory = arguments.any_memory or not os.path.exists("/proc/self/statm")
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f"# seed {seed}")
    scratch = tempfile.mkdtemp(dir=arguments.scratch)
    program = os.path.abspath(arguments.program)
    failures = 0
    tests = [(n, t) for n, t in globals().items() if n.startswith("test_")]
    tests = [(n, t) for n, t in tests if arguments.only in (None, n[5:])]
    for number, (name, test) in enumerate(tests, 1):
        more = [arguments.kills, arguments.seconds] if name == "test_kills" else []
        begin = time.monotonic()
        try:
            test(lambda *options: Server(program, scratch, *options), *more)
            outcome = "ok"
        except (AssertionError, EOFError, OSError, subprocess.SubprocessError) as error:
            print(f"# {type(error).__name__}: {error}")
            outcome = "not ok"
            failures += 1
        print(f"{outcome} {number} - {name[5:]}: {test.__doc__}", flush=True)
        print(f"# {time.monotonic() - begin:.1f} s", flush=True)
    print(f"1..{len(tests)}")
    shutil.rmtree(scratch)
    return 1 if failures or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
