# SPDX-License-Identifier: Apache-2.0
"""Clients that misbehave: malformed and oversized requests, slow readers and writers, connections that drop."""
import json
import random
import socket
import struct
import threading
import time

from support import check, error, read_all, request, response

PROMPT = {"prompt": "Once upon a time", "max_tokens": 300, "ignore_eos": True}


def check_malformed(server):
    """Every fault gets an error of its own; the server lives on."""
    path = "/v1/completions"
    for body, code in [
        (b"", "invalid_json"), (b"{", "invalid_json"), (b"\xff\xfe", "invalid_json"), (b'{"prompt": "\xff"}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"), (b'{"prompt": "a", "seed": 1e999}', "invalid_json"), (b"[]", None), (b"5", None),
        (b"{}", None), (b'{"prompt": 5}', None), (b'{"prompt": []}', None), (b'{"prompt": [[]]}', None),
        (b'{"prompt": [1e9]}', None), (b'{"prompt": [2000000000]}', None), (b'{"prompt": [-1]}', None),
        (b'{"prompt": "a", "max_tokens": 0}', None), (b'{"prompt": "a", "max_tokens": "5"}', None),
        (b'{"prompt": "a", "temperature": 1e39}', None), (b'{"prompt": "a", "stop": [""]}', None),
        (b'{"prompt": "a", "stream": "yes"}', None), (b'{"prompt": "a", "n": 2.5}', None),
        (b'{"prompt": "a", "echo": true}', "unsupported_parameter"), (b'{"prompt": "a", "grammar": "root ::= root"}', None),
        (b'{"prompt": "a", "regex": "("}', None), (b'{"prompt": "a", "json_schema": {"$ref": "#/no"}}', None),
        (b'{"prompt": "a", "regex": "a", "grammar": "b"}', None), (b'{"prompt": "a", "logprobs": 21}', None),
        (b'{"model": "other", "prompt": "a"}', "model_not_found"),
        (json.dumps({"prompt": "long " * 3000}).encode(), "context_length_exceeded"),
        (json.dumps({"prompt": ["a"] * 17}).encode(), None),
    ]:
        found = error(server.ask(path, body=body))
        check(f"{body[:60]} is refused", found == (404 if code == "model_not_found" else 400, code), found)
    messages = b'{"messages": [{"role": "user", "content": %s}]}'
    for content in [b"5", b"{}", b'[{"type": "image_url"}]', b"[5]", b'[{"type": "text"}]', b"null"]:
        found = error(server.ask("/v1/chat/completions", body=messages % content))
        check(f"content {content} is refused", found[0] == 400 and "object" not in str(found[1]), found)
    check("another type", error(server.ask(path, body=b"{}", Content_Type="text/plain")) == (415, "unsupported_media_type"))
    check("another method", error(server.ask(path, method="GET")) == (405, "method_not_allowed"))
    check("another path", error(server.ask("/v1/embeddings", body=b"{}")) == (404, "not_found"))
    check("no model of that name", error(server.ask("/v1/models/x", method="GET")) == (404, "model_not_found"))


def check_oversized(server, limit):
    """What is larger than it may be ends in 413 or in the connection's end, announced or not."""
    body = b'{"prompt": "' + b"a" * limit + b'"}'
    check("a body beyond the limit", error(server.ask("/v1/completions", body=body)) == (413, "body_too_large"))
    with server.connect() as connection:
        connection.sendall(request("/v1/completions", b"", Content_Length=10 ** 15))
        connection.shutdown(socket.SHUT_WR)
        check("a length beyond the limit", error(response(connection)) == (413, "body_too_large"))
    with server.connect() as connection:
        connection.sendall(request("/v1/completions", b"", Content_Length=None, Transfer_Encoding="chunked", Connection=None))
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(limit // 0x10000 + 2):
            connection.sendall(chunk)
        check("chunks beyond the limit", connection.recv(100).startswith(b"HTTP/1.1 413 "))
    for what, data in [
        ("a header without an end", b"GET / HTTP/1.1\r\nA: " + b"a" * 200_000), ("no HTTP", b"\x16\x03\x01\x02\x00hello\r\n\r\n"),
        ("many headers", b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: 1\r\n" % i for i in range(20_000)) + b"\r\n"),
        ("two lengths", request("/v1/completions", b"{}", Content_length="5")), ("a bad chunk", request(
            "/v1/completions", b"", Content_Length=None, Transfer_Encoding="chunked") + b"zz\r\n"),
    ]:
        with server.connect() as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = read_all(connection)
        check(what, answer == b"" or b" 4" in answer[:13], answer[:80])
    check("the server is well", server.ask("/health", method="GET")[0] == 200)


def check_dropped(server):
    """A client that goes away ends its texts, whole or streamed, in the prompt or after it."""
    check("nothing is open", server.wait_until_idle())
    before = server.metrics()
    for stream in (False, True):
        for parts in (0, 1):
            connection = server.connect()
            connection.sendall(request("/v1/completions", json.dumps(PROMPT | {"n": 4, "stream": stream}).encode()))
            if parts and stream:
                connection.recv(100)
            else:
                while server.metrics()["open_texts"] == 0:
                    time.sleep(0.005)
            reset(connection)
    started = time.monotonic()
    check("they leave", server.wait_until_idle())
    after = server.metrics()
    print(f"dropped connections leave within {1000 * (time.monotonic() - started):.0f} ms", flush=True)
    check("all four were abandoned", after["requests_abandoned_total"] == before["requests_abandoned_total"] + 4, after)
    check("they wrote no answers", after["generated_tokens_total"] == before["generated_tokens_total"], after)


def reset(connection):
    """Closes without waiting for what is under way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def check_slow_reader(server):
    """A stream that nobody reads ends; needs small limits of the server."""
    with server.connect(receive_buffer=4096) as connection:
        fields = PROMPT | {"n": 16, "logprobs": 20, "stream": True, "max_tokens": 400}
        connection.sendall(request("/v1/completions", json.dumps(fields).encode()))
        check("others are answered meanwhile", server.ask(
            "/v1/completions", {"prompt": "Once", "max_tokens": 3, "seed": 1})[0] == 200)
        check("a stream that nobody reads ends", server.wait_until_idle(), server.metrics())
        check("it was abandoned", server.metrics()["requests_abandoned_total"] >= 1, server.metrics())
        data = read_all(connection)
    check("what was left has no end", b"[DONE]" not in data, data[-200:])


class Crowd:
    """Threads that misbehave until they are told to stop."""

    def __init__(self, server):
        self.server = server
        self.count = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [
            threading.Thread(target=self.repeat, args=(deed, seed))
            for seed, deed in enumerate([self.drop, self.garbage, self.huge, self.dawdle, self.trickle])
        ]
        for thread in self.threads:
            thread.start()

    def repeat(self, deed, seed):
        chance = random.Random(seed)
        while not self.is_over.is_set():
            try:
                deed(chance)
            except OSError:
                pass
            with self.lock:
                self.count += 1
            self.is_over.wait(0.05)

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def drop(self, chance):
        connection = self.server.connect()
        fields = PROMPT | {"stream": chance.random() < 0.7, "seed": chance.randrange(1000)}
        connection.sendall(request("/v1/completions", json.dumps(fields).encode()))
        connection.settimeout(chance.random())
        try:
            connection.recv(100)
        except TimeoutError:
            pass
        reset(connection) if chance.random() < 0.5 else connection.close()

    def garbage(self, chance):
        with self.server.connect() as connection:
            connection.settimeout(5)
            connection.sendall(chance.choice([
                chance.randbytes(2000), request("/v1/completions", b"{" * 500), request("/v1/completions", b'{"prompt": 1}'),
                request("/v1/completions", b'{"prompt": "a", "json_schema": {"type": "what"}}'), b"POST / HTTP/9.9\r\n\r\n",
            ]))
            connection.recv(1000)

    def huge(self, chance):
        with self.server.connect() as connection:
            connection.settimeout(5)
            connection.sendall(request("/v1/completions", b'{"prompt": "' + b"a" * (3 << 20) + b'"}'))
            connection.recv(1000)

    def dawdle(self, chance):
        """Asks for a long stream and reads next to nothing of it."""
        with self.server.connect(receive_buffer=4096) as connection:
            fields = PROMPT | {"stream": True, "logprobs": 20, "max_tokens": 100}
            connection.sendall(request("/v1/completions", json.dumps(fields).encode()))
            self.is_over.wait(1 + chance.random())

    def trickle(self, chance):
        """Sends a request byte by byte, and leaves."""
        with self.server.connect() as connection:
            for byte in request("/v1/completions", b'{"prompt": "a"}')[:40]:
                connection.sendall(bytes([byte]))
                if self.is_over.wait(0.02):
                    return
