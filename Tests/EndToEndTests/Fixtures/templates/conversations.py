# SPDX-License-Identifier: Apache-2.0
"""Conversations that make_fixtures.py renders with every template: requests as `tinysparse batch` takes them."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a \"city\" <now>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name", "enum": ["Ulm", "B\u00e2le"]},
                "days": {"type": "integer", "default": 3, "minimum": 0.5},
                "options": {"type": "object", "properties": {"units": {"type": ["string", "null"]}}, "required": []},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["city"],
        },
        "return": {"type": "string", "description": "A sentence"},
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {}}},
}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **fields):
    return {"role": "assistant", "content": content, **fields}


def call(name, arguments, id):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "You are brief."}
TOOLS = [WEATHER, CLOCK]
CALL = call("get_weather", {"city": "B\u00e2le", "days": 2, "tags": ["a", "b"], "options": {"units": None}}, "abcdef123")
CALLS = [
    user("Weather?"),
    assistant("", tool_calls=[CALL]),
    {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "{\"sky\": \"blue\"}"},
]

CONVERSATIONS = {
    "one turn": {"messages": [user("Hi")]},
    "one turn without a generation prompt": {"messages": [user("Hi")], "add_generation_prompt": False},
    "system message": {"messages": [SYSTEM, user("Hi")]},
    "several turns": {"messages": [user("Hi"), assistant("Hello!"), user("How are you?"), assistant("Fine."), user("Good")]},
    "several turns, system, answered": {
        "messages": [SYSTEM, user("Hi"), assistant("Hello!"), user("Bye"), assistant("Bye!")],
        "add_generation_prompt": False,
    },
    "special characters": {
        "messages": [
            {"role": "system", "content": "\"Quotes\" & 'marks' <b>\\n</b>"},
            user("  {{ x }} {% if %} <|im_end|>\n</s>[/INST]<|eot_id|> \U0001F642 na\u00efve\u2028 "),
            assistant("\n<think>no</think>\ttab\r\n"),
            user("\u00a0"),
        ]
    },
    "empty contents": {"messages": [{"role": "system", "content": ""}, user(""), assistant(""), user("")]},
    "parts": {"messages": [user([{"type": "text", "text": "Look: "}, {"type": "text", "text": "here"}])]},
    "tools": {"messages": [user("Weather?")], "tools": TOOLS},
    "tools, system": {"messages": [SYSTEM, user("Weather?")], "tools": TOOLS},
    "a tool call": {"messages": CALLS, "tools": TOOLS},
    "a tool call, answered": {
        "messages": CALLS + [assistant("Blue."), user("Thanks")],
        "tools": TOOLS,
        "add_generation_prompt": False,
    },
    "two tool calls": {
        "messages": [
            SYSTEM,
            user("Weather and time?"),
            assistant(None, tool_calls=[CALL, call("clock", {}, "abcdef456")]),
            {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "blue"},
            {"role": "tool", "name": "clock", "tool_call_id": "abcdef456", "content": "12:00"},
        ],
        "tools": TOOLS,
    },
    "arguments as text": {
        "messages": [user("Time?"), assistant("Let me see.", tool_calls=[call("clock", "{\"a\": 1}", "abcdef789")])],
        "tools": [CLOCK],
        "add_generation_prompt": False,
    },
    "thinking": {
        "messages": [
            user("2+2?"),
            assistant("<think>\nEasy.\n</think>\n\n4"),
            user("3+3?"),
            assistant("6", reasoning_content="Hm.\n"),
            user("4+4?"),
        ]
    },
    "thinking last": {
        "messages": [user("2+2?"), assistant("4", thinking="Add them.")],
        "add_generation_prompt": False,
        "enable_thinking": True,
    },
    "no thinking": {"messages": [user("Hi")], "enable_thinking": False},
    "arguments": {
        "messages": [SYSTEM, user("Hi")],
        "enable_thinking": True,
        "reasoning_effort": "high",
        "thinking": True,
        "date_string": "1 Jan 2000",
        "custom_tools": [CLOCK],
        "documents": [{"title": "T", "text": "Once"}],
    },
    "developer": {"messages": [{"role": "developer", "content": "Be kind."}, user("Hi")]},
    "other roles": {"messages": [user("Hi"), {"role": "critic", "content": "No."}]},
    "wrong order": {"messages": [assistant("Hello!"), user("Hi"), user("Hello?")]},
    "two system messages": {"messages": [SYSTEM, SYSTEM, user("Hi")]},
    "system in the middle": {"messages": [user("Hi"), SYSTEM, user("Hello?")]},
    "missing content": {"messages": [{"role": "user"}]},
    "no messages": {"messages": []},
}
