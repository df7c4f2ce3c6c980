# SPDX-License-Identifier: Apache-2.0
"""Records what chat templates write, for TemplateTests. See README.md.

Needs transformers and jinja2; the versions used are in the fixtures.
"""

import argparse
import datetime
import json
import pathlib
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

from conversations import CONVERSATIONS
from snippets import DATA, SNIPPETS

FOLDER = pathlib.Path(__file__).parent
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
NOW = datetime.datetime(2024, 7, 26, 15, 4, 5)


class FixedTime(datetime.datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedTime


def snippet(source):
    """What a snippet writes; None for an error."""
    try:
        return chat_template_utils._compile_jinja_template(source).render(**DATA)
    except Exception:
        return None


def rendering(source, conversation):
    """What a template makes of a conversation, as `apply_chat_template` passes it; None for an error."""
    variables = {"add_generation_prompt": True, "tools": None, "documents": None, **conversation}
    try:
        messages = chat_template_utils._normalize_chat_messages(variables.pop("messages"))
        texts, _ = chat_template_utils.render_jinja_template([messages], chat_template=source, **TOKENS, **variables)
        return texts[0]
    except Exception:
        return None


def renderings(folder):
    """Every template of a folder with every conversation."""
    templates = []
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_bytes().decode()
        texts = [rendering(source, conversation) for conversation in CONVERSATIONS.values()]
        templates.append({"name": path.stem, "source": source, "texts": texts})
    conversations = [{"name": name, "request": request} for name, request in CONVERSATIONS.items()]
    return {"tokens": TOKENS, "conversations": conversations, "templates": templates}


def write(path, fixture):
    versions = {"jinja2": jinja2.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]}
    path.write_text(json.dumps({"versions": versions, **fixture}, ensure_ascii=False, indent=0) + "\n")
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=pathlib.Path, help="a folder of other templates (*.jinja)")
    parser.add_argument("--output", type=pathlib.Path, help="the fixture to make of them")
    arguments = parser.parse_args()
    if arguments.templates:
        write(arguments.output, renderings(arguments.templates))
    else:
        write(FOLDER / "snippets.json", {"data": DATA, "snippets": [[source, snippet(source)] for source in SNIPPETS]})
        write(FOLDER / "renderings.json", renderings(FOLDER / "families"))


if __name__ == "__main__":
    main()
