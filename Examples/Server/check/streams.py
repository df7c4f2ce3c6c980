# SPDX-License-Identifier: Apache-2.0
"""Many streams at a time, each with the text of `tinysparse run`, while others misbehave."""
import asyncio
import concurrent.futures
import json
import subprocess
import time

import openai
from abuse import Crowd
from support import check

STARTS = ["Once upon a time there was", "The king said that", "In the forest", "A wolf and a fox", "She was é🙂 and"]


def prompt(number):
    return f"{STARTS[number % len(STARTS)]} {number}"


def alone(binary, model, number, tokens):
    """The text as the command line has it."""
    command = [binary, "run", "-m", model, "-t", "1", "-n", str(tokens), "--seed", str(number), prompt(number)]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()[:-1]


async def streamed(api, model, number, tokens):
    text, reason = "", None
    parts = await api.completions.create(
        model=model, prompt=prompt(number), max_tokens=tokens, seed=number, stream=True)
    async for part in parts:
        text += part.choices[0].text
        reason = part.choices[0].finish_reason or reason
    return text, reason


async def all_streamed(server, count, tokens):
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=900) as api:
        return await asyncio.gather(
            *(streamed(api, server.model, number, tokens) for number in range(count)), return_exceptions=True)


def check_streams(server, binary, model, count, tokens):
    """`count` streams at a time; a crowd that misbehaves comes and goes meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        expected = list(pool.map(lambda number: alone(binary, model, number, tokens), range(count)))
    for company in (False, True):
        crowd = Crowd(server) if company else None
        started = time.monotonic()
        answers = asyncio.run(all_streamed(server, count, tokens))
        seconds = time.monotonic() - started
        if crowd:
            crowd.stop()
        lost = [answer for answer in answers if isinstance(answer, BaseException)]
        same = sum(answer[0] == text for answer, text in zip(answers, expected) if not isinstance(answer, BaseException))
        who = f", while {crowd.count} clients misbehaved" if crowd else ""
        print(f"{count} streams of {tokens} tokens in {seconds:.1f} s: {same} have the text of `run`, {len(lost)} lost{who}",
              flush=True)
        check("every stream has the text of `run`", same == count and not lost, lost[:2])
        check("nothing is left open", server.wait_until_idle(), server.metrics())
    print("metrics: " + json.dumps(server.metrics()), flush=True)
