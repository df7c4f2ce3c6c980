#!/usr/bin/env python3
"""Generates documents of the schemas in schemas.json, and checks them with the jsonschema package; needed only to change them.

    check_schemas.py TINYSPARSE MODEL

TINYSPARSE is the built program, MODEL the fixture tiny-llama.gguf. Writes outputs.json: for each schema and seed the text,
and whether it is complete. Needs jsonschema (4.25) with its formats. A temperature so high that all tokens which are
allowed are about equally likely makes the model try everything that the constraint allows.
"""
import json
import os
import subprocess
import sys

from jsonschema.validators import validator_for

SEEDS = 25
here = os.path.dirname(os.path.abspath(__file__))


def main(program, model):
    schemas = json.load(open(os.path.join(here, "schemas.json")))
    options = dict(prompt="Once", max_tokens=160, temperature=100, top_k=0, top_p=1, min_p=0)
    lines = [
        json.dumps(dict(options, id=f"{i} {seed}", seed=seed, json_schema=schema["schema"]))
        for i, schema in enumerate(schemas)
        for seed in range(SEEDS)
    ]
    command = [program, "batch", "-m", model, "--in-order", "-t", "1"]
    answers = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    outputs, complete, faults = [], 0, 0
    for line in answers.splitlines():
        answer = json.loads(line)
        if "error" in answer:
            sys.exit(f"{answer['id']}: {answer['error']}")
        i, seed = map(int, answer["id"].split())
        is_complete = answer["reason"] == "end"
        outputs.append(dict(schema=i, seed=seed, text=answer["text"], complete=is_complete))
        if not is_complete:
            continue
        complete += 1
        schema = schemas[i]["schema"]
        kind = validator_for(schema)
        validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
        try:
            validator.validate(json.loads(answer["text"]))
        except Exception as error:
            faults += 1
            print(f"{schemas[i]['name']}, seed {seed}: {answer['text']}\n    {str(error).splitlines()[0]}")
    with open(os.path.join(here, "outputs.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(o, ensure_ascii=False) for o in outputs) + "\n]\n")
    print(f"{len(outputs)} documents, {complete} complete, {faults} invalid")
    for i, schema in enumerate(schemas):
        print(f"{schema['name']}: {sum(o['complete'] for o in outputs if o['schema'] == i)} of {SEEDS} complete")
    sys.exit(faults > 0)


main(*sys.argv[1:])
