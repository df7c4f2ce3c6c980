# SPDX-License-Identifier: Apache-2.0
"""Starts and stops servers, and counts what was checked."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

failures = []
checks = 0


def check(what, good, found=""):
    """Notes a check; what fails is printed at once."""
    global checks
    checks += 1
    if not good:
        failures.append(what)
        print(f"FAILED: {what}: {str(found)[:400]}", flush=True)


class Server:
    """A server of its own, on any free port; `with` stops it."""

    def __init__(self, binary, model, *options, key=None):
        environment = {name: value for name, value in os.environ.items() if name != "TINYSPARSE_API_KEY"}
        if key:
            environment["TINYSPARSE_API_KEY"] = key
        self.process = subprocess.Popen(
            [binary, model, "--port", "0", *options], stderr=subprocess.PIPE, text=True, env=environment)
        self.log = []
        self.port = None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"serving (\S+) at http://.*:(\d+)/", line):
                self.model, self.port = found[1], int(found[2])
                break
        if self.port is None:
            raise SystemExit("the server does not start:\n" + "".join(self.log))
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(300)
        except subprocess.TimeoutExpired:
            check("the server ends after SIGTERM", False)
            self.process.kill()

    def connect(self, receive_buffer=None):
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(300)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def ask(self, path, fields=None, **options):
        """A request on a connection of its own. Returns status, headers, body."""
        body = options.pop("body", None)
        if fields is not None:
            body = json.dumps(fields).encode()
        with self.connect() as connection:
            connection.sendall(request(path, body, **options))
            return response(connection)

    def metrics(self):
        text = self.ask("/metrics", method="GET")[2].decode()
        return {name: int(value) for name, value in re.findall(r"^tinysparse_(\w+) (\d+)$", text, re.M)}

    def wait_until_idle(self, seconds=300):
        """Whether nothing is being written within some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.metrics()["open_texts"] == 0:
                return True
            time.sleep(0.05)
        return False


def request(path, body=None, method="POST", **headers):
    """The bytes of a request."""
    head = {"Host": "localhost", "Connection": "close"}
    if body is not None:
        head |= {"Content-Type": "application/json", "Content-Length": len(body)}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in head.items() if value is not None]
    return "\r\n".join(lines + ["", ""]).encode() + (body or b"")


def read_all(connection):
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except (ConnectionResetError, BrokenPipeError):
        pass
    return data


def response(connection):
    head, _, body = read_all(connection).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1]) if len(lines[0].split()) > 1 else 0
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return status, headers, body


def unchunked(data):
    parts = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        count = int(size, 16)
        if count == 0:
            break
        parts.append(rest[:count])
        data = rest[count + 2:]
    return b"".join(parts)


def error(answer):
    """The status and code of an answer that has to be an error as OpenAI's clients expect it."""
    status, _, body = answer
    try:
        fields = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return status, f"no error object: {body[:200]}"
    if set(fields) != {"message", "type", "param", "code"} or not fields["message"]:
        return status, f"not all members: {fields}"
    return status, fields["code"]
