# SPDX-License-Identifier: Apache-2.0
"""What OpenAI's own Python client makes of the server."""
import json
import math

import jsonschema
import openai
from support import check

STORY = "Once upon a time there was a"
MESSAGES = [{"role": "system", "content": "A fairy tale. "}, {"role": "user", "content": "Once upon a time"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"], "additionalProperties": False,
}


def client(server, key="none"):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=300)


def check_client(server):
    api = client(server)
    models = api.models.list().data
    check("one model", [model.id for model in models] == [server.model], models)
    check("the model by its name", api.models.retrieve(server.model).id == server.model)
    check_completions(api, server.model)
    check_chat(api, server.model)
    check_constraints(api, server.model)
    check_errors(api, server.model)


def check_completions(api, model):
    fields = dict(model=model, prompt=STORY, max_tokens=16, seed=5)
    whole = api.completions.create(**fields)
    choice = whole.choices[0]
    check("the object of a completion", whole.object == "text_completion" and whole.id.startswith("cmpl-"), whole)
    check("it ends at its limit", choice.finish_reason == "length" and whole.usage.completion_tokens == 16, whole)
    check("usage adds up", whole.usage.total_tokens == whole.usage.prompt_tokens + 16, whole.usage)
    check("a seed repeats its text", api.completions.create(**fields).choices[0].text == choice.text)
    check("another seed, another text", api.completions.create(**fields | {"seed": 6}).choices[0].text != choice.text)
    parts = list(api.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    text = "".join(part.choices[0].text for part in parts if part.choices)
    check("a stream has the same text", text == choice.text, text)
    check("a stream ends with usage", parts[-1].usage == api.completions.create(**fields).usage or
          parts[-1].usage.total_tokens == whole.usage.total_tokens, parts[-1])
    check("one id for all parts", len({part.id for part in parts}) == 1)
    several = api.completions.create(**fields | {"prompt": [STORY, "The king"], "n": 2})
    check("two prompts, two texts each", [choice.index for choice in several.choices] == [0, 1, 2, 3], several)
    check("the first of them is the one alone", several.choices[0].text == choice.text)
    check("all texts count", several.usage.completion_tokens == 64, several.usage)
    stopped = api.completions.create(**fields | {"stop": choice.text[6:9]})
    check("a stop string ends the text", stopped.choices[0].text == choice.text[:choice.text.index(choice.text[6:9])]
          and stopped.choices[0].finish_reason == "stop", stopped)
    scored = api.completions.create(**fields | {"logprobs": 3}).choices[0]
    check("the tokens of logprobs are the text", "".join(scored.logprobs.tokens) == scored.text == choice.text, scored)
    check("offsets are where tokens begin", all(
        scored.text.startswith(token, offset)
        for token, offset in zip(scored.logprobs.tokens, scored.logprobs.text_offset)), scored.logprobs)
    check("the chosen token is among the likely ones", all(
        best[token] == own for best, token, own in zip(
            scored.logprobs.top_logprobs, scored.logprobs.tokens, scored.logprobs.token_logprobs)), scored.logprobs)


def check_chat(api, model):
    fields = dict(model=model, messages=MESSAGES, max_tokens=12, seed=2)
    whole = api.chat.completions.create(**fields)
    message = whole.choices[0].message
    check("the object of a chat", whole.object == "chat.completion" and message.role == "assistant", whole)
    parts = [{"type": "text", "text": "Once upon a time"}]
    same = api.chat.completions.create(**fields | {"messages": [MESSAGES[0], {"role": "user", "content": parts}]})
    check("content in parts", same.choices[0].message.content == message.content, same)
    check("the same prompt again is cached",
          same.usage.prompt_tokens_details.cached_tokens == same.usage.prompt_tokens - 1, same.usage)
    deltas = [part.choices[0] for part in api.chat.completions.create(**fields, stream=True) if part.choices]
    check("the role comes first", deltas[0].delta.role == "assistant" and deltas[0].delta.content == "", deltas[0])
    check("a stream has the same text", "".join(d.delta.content or "" for d in deltas) == message.content)
    check("only the last part has a reason",
          [d.finish_reason for d in deltas] == [None] * (len(deltas) - 1) + ["length"], deltas)
    scored = api.chat.completions.create(**fields, logprobs=True, top_logprobs=20).choices[0].logprobs.content
    check("bytes of tokens are the text", b"".join(bytes(token.bytes) for token in scored).decode() == message.content)
    check("twenty alternatives, the likeliest first", all(
        len(token.top_logprobs) == 20 and token.top_logprobs == sorted(token.top_logprobs, key=lambda c: -c.logprob)
        for token in scored))
    check("probabilities are at most 1", all(
        sum(math.exp(other.logprob) for other in token.top_logprobs) < 1.0001 for token in scored))
    streamed = [token for part in api.chat.completions.create(**fields, logprobs=True, stream=True)
                for choice in part.choices if choice.logprobs for token in choice.logprobs.content]
    check("the same in a stream", [token.logprob for token in streamed] == [token.logprob for token in scored])
    newer = {name: value for name, value in fields.items() if name != "max_tokens"} | {"max_completion_tokens": 12}
    check("max_completion_tokens", api.chat.completions.create(**newer).choices[0].message.content == message.content)


def check_constraints(api, model):
    fields = dict(model=model, messages=MESSAGES, max_tokens=120)
    schema = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}}
    for seed in range(4):
        answer = api.chat.completions.create(**fields, seed=seed, response_format=schema).choices[0]
        try:
            value = json.loads(answer.message.content)
            jsonschema.validate(value, SCHEMA)
            check("members in the schema's order", list(value) == ["name", "age"], value)
        except (ValueError, jsonschema.ValidationError) as problem:
            check("the answer follows the schema", False, (problem, answer))
        check("it ends by itself", answer.finish_reason == "stop", answer)
    words = api.chat.completions.create(**fields, extra_body={"regex": "(yes|no), (sir|madam)"}).choices[0].message.content
    check("a regular expression", words in {f"{a}, {b}" for a in ("yes", "no") for b in ("sir", "madam")}, words)
    digits = api.completions.create(
        model=model, prompt=STORY, extra_body={"grammar": 'root ::= "<" [0-9]{4} ">"'}).choices[0].text
    check("a grammar", len(digits) == 6 and digits[1:5].isdigit(), digits)


def check_errors(api, model):
    def fails(kind, what, call):
        try:
            call()
            check(what, False, "no error")
        except kind as problem:
            check(what, True, problem)

    create = api.chat.completions.create
    fails(openai.NotFoundError, "an unknown model", lambda: create(model="gpt-5", messages=MESSAGES))
    fails(openai.NotFoundError, "an unknown model's description", lambda: api.models.retrieve("gpt-5"))
    for name, value in [
        ("temperature", -1), ("frequency_penalty", 1), ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("logit_bias", {"5": 1}), ("n", 99), ("stop", ["a"] * 5), ("max_tokens", 10 ** 9), ("top_logprobs", 3),
        ("response_format", {"type": "xml"}), ("messages", []), ("messages", [{"role": "tool", "content": "x"}]),
    ]:
        fails(openai.BadRequestError, f"{name} {value}", lambda: create(**{"model": model, "messages": MESSAGES, name: value}))
    fails(openai.BadRequestError, "a prompt beyond the context",
          lambda: api.completions.create(model=model, prompt="long " * 5000))
    harmless = create(model=model, messages=MESSAGES, max_tokens=1, user="me", metadata={"a": "b"}, store=False,
                      presence_penalty=0, tool_choice="none", service_tier="auto")
    check("what changes nothing is ignored", harmless.usage.completion_tokens == 1, harmless)
