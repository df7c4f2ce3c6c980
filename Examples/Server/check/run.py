#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks a server that was built, by OpenAI's Python client, raw sockets and a browser.

    pip install openai jsonschema playwright
    python Examples/Server/check/run.py --server tinysparse-server --tinysparse tinysparse --model MODEL.gguf

The server gets the template `plain`, which every model can follow. --chromium names a browser; without it the page is not
tried.
"""
import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time

import support
from abuse import PROMPT, check_dropped, check_malformed, check_oversized, check_slow_reader
from client import MESSAGES, check_client, client
from streams import check_streams
from support import Server, check, error, read_all, request


def check_queue(arguments):
    """Two places and a queue of three: of eight requests five are answered, and three are told to come again."""
    with Server(arguments.server, arguments.model, "--places", "2", "--queue", "3") as server:
        answers = []
        slow = PROMPT | {"max_tokens": 200}
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=lambda n=number: answers.append(
                server.ask("/v1/completions", slow | {"seed": n}))))
            threads[-1].start()
            while server.metrics()["requests_accepted_total"] <= number:
                time.sleep(0.005)
        refused = [server.ask("/v1/completions", slow) for _ in range(3)]
        for answer in refused:
            check("a full queue", error(answer) == (429, "queue_full"), answer)
            check("it says when to come again", int(answer[1].get("retry-after", 0)) > 0, answer[1])
        check("health is not in the queue", server.ask("/health", method="GET")[0] == 200)
        for thread in threads:
            thread.join()
        check("those before are answered", [answer[0] for answer in answers] == [200] * 5)
        found = error(server.ask("/v1/completions", slow | {"n": 6}))
        check("more texts than there can be", found == (400, None), found)
        check("and there is room again", server.ask("/v1/completions", slow | {"max_tokens": 2})[0] == 200)


def check_key(arguments):
    with Server(arguments.server, arguments.model, "--template", "plain", key="opensesame") as server:
        for header in (None, "Bearer ", "Bearer opensesam", "Bearer opensesame2", "Basic opensesame", "opensesame"):
            found = error(server.ask("/v1/completions", {"prompt": "a"}, Authorization=header))
            check(f"the key {header}", found == (401, "invalid_api_key"), found)
        for path in ("/v1/models", "/metrics", "/v1/models/" + server.model):
            check(f"{path} needs the key", server.ask(path, method="GET")[0] == 401)
        check("health needs none", server.ask("/health", method="GET")[0] == 200)
        check("the page needs none", server.ask("/", method="GET")[0] == 200)
        answer = client(server, "opensesame").chat.completions.create(model=server.model, messages=MESSAGES, max_tokens=2)
        check("the right key", answer.usage.completion_tokens == 2, answer)


def check_drain(arguments):
    """After SIGTERM running answers go on to their ends, new requests get 503, and the process ends with 0."""
    with Server(arguments.server, arguments.model, "--places", "2") as server:
        answers = []
        threads = [threading.Thread(target=lambda n=n: answers.append(server.ask(
            "/v1/completions", PROMPT | {"seed": n, "stream": n % 2 == 0}))) for n in range(4)]
        for thread in threads:
            thread.start()
        while server.metrics()["open_texts"] < 4:
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        while (health := server.ask("/health", method="GET"))[0] == 200:
            time.sleep(0.005)
        check("health says that it drains", json.loads(health[2]) == {"status": "draining"}, health)
        found = error(server.ask("/v1/completions", {"prompt": "a"}))
        check("a new request", found == (503, "shutting_down"), found)
        for thread in threads:
            thread.join()
        check("running answers end", sorted(answer[0] for answer in answers) == [200] * 4 and all(
            b"[DONE]" in answer[2] or json.loads(answer[2])["usage"]["completion_tokens"] > 0 for answer in answers), answers)
        check("the process ends with 0", server.process.wait(60) == 0, server.process.returncode)
    with Server(arguments.server, arguments.model, "--drain-timeout", "1") as server:
        with server.connect() as connection:
            # More than can be written in a second.
            connection.sendall(request("/v1/completions", json.dumps(PROMPT | {"n": 16, "stream": True}).encode()))
            connection.recv(100)
            server.process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            rest = read_all(connection)
        check("what is still written then is told", b"shutting_down" in rest and b"[DONE]" not in rest, rest[-300:])
        check("patience has an end", server.process.wait(60) == 0 and time.monotonic() - started < 50)


def check_command_line(arguments):
    """Options that are not possible are refused by name."""
    for options in (["--port", "70000"], ["--places", "0"], ["--max-body", "0"], ["--context", "-1"], ["--threads", "999"],
                    ["--template", "none"], ["--cache", "float"], ["--api-key-file", "/nowhere"], ["--queue", "-1"]):
        result = subprocess.run([arguments.server, arguments.model, *options], capture_output=True, text=True, timeout=300)
        check(f"{options} is refused", result.returncode != 0 and "rror" in result.stderr, result.stderr)
    result = subprocess.run([arguments.server, "/nowhere.gguf"], capture_output=True, text=True, timeout=300)
    check("a model that is not there", result.returncode != 0 and "/nowhere.gguf" in result.stderr, result.stderr)


def check_curl(server):
    command = ["curl", "-sS", server.url + "/v1/completions", "-H", "Content-Type: application/json", "-d",
               '{"prompt": "Once upon a time", "max_tokens": 5, "seed": 1}']
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    check("curl", answer["usage"]["completion_tokens"] == 5, answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("server", "tinysparse", "model"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--chromium")
    parser.add_argument("--screenshots", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    template = ["--template", "plain"]
    with Server(arguments.server, arguments.model, *template, "--queue", str(arguments.streams + 100)) as server:
        check_client(server)
        check_curl(server)
        check_malformed(server)
        check_oversized(server, 1 << 20)
        check_dropped(server)
        print("OpenAI's client, curl, malformed, oversized and dropped requests", flush=True)
        check_streams(server, arguments.tinysparse, arguments.model, arguments.streams, arguments.tokens)
        if arguments.chromium:
            from page import check_page
            check_page(server, arguments.chromium, arguments.screenshots)
            print("the page in a browser", flush=True)
    small = ["--unread-pieces", "20", "--client-timeout", "2", "--places", "20"]
    with Server(arguments.server, arguments.model, *small) as server:
        check_slow_reader(server)
        print("slow readers", flush=True)
    check_queue(arguments)
    check_key(arguments)
    print("queue and key", flush=True)
    check_drain(arguments)
    check_command_line(arguments)
    print("drain and command line", flush=True)
    print(f"{support.checks} checks, {len(support.failures)} failed", flush=True)
    sys.exit(1 if support.failures else 0)


if __name__ == "__main__":
    main()
