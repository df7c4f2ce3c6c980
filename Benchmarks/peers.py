"""Runtimes in Python that `compare` measures; run by the interpreter that has their packages.

    pip install openvino-genai nncf                               # for openvino
    pip install ctranslate2 transformers accelerate gguf torch    # for ctranslate2
    python Benchmarks/peers.py RUNTIME convert MODEL.gguf DIR WEIGHTS...
    python Benchmarks/peers.py RUNTIME measure DIR/WEIGHTS [--threads 1] [--prompt 128] [--generate 64] [--depth 0]
        [--option NAME=VALUE]

convert makes a folder DIR/WEIGHTS for each of WEIGHTS from a GGUF file in half precision, unless it is there, and prints the
runtime's name and version first. WEIGHTS are int8, with one symmetric scale per output channel, or int4 (openvino only), with
one symmetric scale per 64 columns and int8 in the embedding, which is the output matrix, too. measure prints the tokens per
second of prefill and decode as JSON; options are those of the runtime. If a package is missing, either says so and exits with
status 3.
"""
import argparse
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time


def convert_openvino(gguf, folder, kinds):
    """A GGUF file as OpenVINO GenAI reads it, with the weights compressed by NNCF."""
    import nncf
    import openvino
    import openvino_genai
    print(f"OpenVINO GenAI {openvino_genai.__version__}, NNCF {nncf.__version__}")
    if not kinds:
        return
    options = {
        "int8": {"mode": nncf.CompressWeightsMode.INT8_SYM},
        "int4": {"mode": nncf.CompressWeightsMode.INT4_SYM, "group_size": 64},
    }
    # What it has read it writes beside the file.
    source = folder / "source"
    source.mkdir()
    link = source / "model.gguf"
    link.symlink_to(gguf.resolve())
    openvino_genai.LLMPipeline(link, "CPU", enable_save_ov_model=True)
    for kind in kinds:
        model = nncf.compress_weights(openvino.Core().read_model(source / "openvino_model.xml"), **options[kind])
        made = folder / kind
        made.mkdir()
        openvino.save_model(model, made / "openvino_model.xml")
        for file in source.glob("openvino_*tokenizer.*"):
            shutil.copy(file, made)


def open_openvino(folder, threads, options):
    """A function that reads token ids and generates so many more, greedily."""
    import numpy
    import openvino
    import openvino_genai
    pipeline = openvino_genai.LLMPipeline(folder, "CPU", INFERENCE_NUM_THREADS=threads, **options)

    def generate(ids, count):
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = count, True, False
        prompt = numpy.array([ids], dtype=numpy.int64)
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(prompt), openvino.Tensor(numpy.ones_like(prompt)))
        return pipeline.generate(inputs, config).tokens[0]
    return generate


def convert_ctranslate2(gguf, folder, kinds):
    """A GGUF file as CTranslate2 reads it, by way of a Hugging Face folder in single precision."""
    import ctranslate2
    import transformers
    print(f"CTranslate2 {ctranslate2.__version__}")
    if not kinds:
        return
    names = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**names)
    read = transformers.AutoModelForCausalLM.from_pretrained(**names)
    # What was read from GGUF counts as quantized and cannot be saved; a copy can.
    del read.config.quantization_config
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    source = folder / "source"
    tokenizer.save_pretrained(source)
    model.save_pretrained(source)
    for kind in kinds:
        ctranslate2.converters.TransformersConverter(str(source)).convert(str(folder / kind), quantization=kind)


def open_ctranslate2(folder, threads, options):
    """A function that reads token ids and generates so many more, greedily."""
    import ctranslate2
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    options = {"compute_type": "int8", "inter_threads": 1, "intra_threads": threads, **options}
    generator = ctranslate2.Generator(str(folder), device="cpu", **options)

    def generate(ids, count):
        # The prompt goes through the layers in one block only if the result is not to have it.
        [result] = generator.generate_batch(
            [[vocabulary[i] for i in ids]], min_length=count, max_length=count, beam_size=1, sampling_topk=1,
            include_prompt_in_result=False)
        return result.sequences_ids[0]
    return generate


RUNTIMES = {"openvino": (convert_openvino, open_openvino), "ctranslate2": (convert_ctranslate2, open_ctranslate2)}


def measure(generate, prompt, count, depth):
    """Tokens per second of a prompt and of decoding, both after `depth` tokens, as differences of whole generations."""
    rng = random.Random(1)

    def seconds(length, new):
        # New tokens every time: what was read before may be cached. Low ids are control tokens.
        ids = [rng.randrange(1000, 40000) for _ in range(length)]
        start = time.perf_counter()
        if len(generate(ids, new)) != new:
            sys.exit(f"not {new} tokens were generated")
        return time.perf_counter() - start

    # The first run of each shape is for warming up, as in llama-bench.
    seconds(depth + prompt, 1)
    prefill = seconds(depth + prompt, 1) - (seconds(depth, 1) if depth else 0)
    context = max(depth, 1)
    seconds(context, count + 1)
    decode = seconds(context, count + 1) - seconds(context, 1)
    return {"prefill_tokens_per_second": prompt / prefill, "decode_tokens_per_second": count / decode}


def convert_missing(convert, gguf, folder, kinds):
    """Makes the folders of `kinds` that are not there: whole, or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        missing = [kind for kind in kinds if not (folder / kind).exists()]
        convert(gguf, pathlib.Path(scratch), missing)
        for kind in missing:
            (pathlib.Path(scratch) / kind).rename(folder / kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", choices=RUNTIMES)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("convert")
    command.add_argument("gguf", type=pathlib.Path)
    command.add_argument("folder", type=pathlib.Path)
    command.add_argument("weights", nargs="+", choices=["int8", "int4"])
    command = commands.add_parser("measure")
    command.add_argument("folder", type=pathlib.Path)
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--prompt", type=int, default=128)
    command.add_argument("--generate", type=int, default=64)
    command.add_argument("--depth", type=int, default=0)
    command.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    a = parser.parse_args()
    convert, opened = RUNTIMES[a.runtime]
    try:
        if a.command == "convert":
            convert_missing(convert, a.gguf, a.folder, a.weights)
        else:
            options = dict(option.split("=", 1) for option in a.option)
            print(json.dumps(measure(opened(a.folder, a.threads, options), a.prompt, a.generate, a.depth)))
    except ModuleNotFoundError as missing:
        print(f"{a.runtime}: {sys.executable} has no package {missing.name}")
        sys.exit(3)


if __name__ == "__main__":
    main()
