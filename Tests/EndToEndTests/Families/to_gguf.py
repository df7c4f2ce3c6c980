"""Converts fixtures to GGUF with llama.cpp's converter: the folder's own tensors and configuration, F16 matrices.

The name of each is "tiny": llama.cpp expects certain tokens of a model named after Phi-3. Vocabularies are always
converted as byte-level BPE with GPT-2's splitting, whatever the family publishes.
"""
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch

os.environ["TQDM_DISABLE"] = "1"

HERE = os.path.dirname(os.path.abspath(__file__))


def read_config(folder, is_mistral_format=False):
    with open(os.path.join(folder, "config.json")) as file:
        return json.load(file)


def convert_all(folders, llama_cpp):
    """Writes model.gguf into each folder. llama_cpp: the root of its sources."""
    sys.path[:0] = [llama_cpp, os.path.join(llama_cpp, "gguf-py")]
    import gguf
    from conversion import ModelBase, get_model_architecture, get_model_class
    from conversion.base import ModelType, TextModel
    logging.disable(logging.WARNING)
    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    # config.json as it is: the configuration classes of new versions rename some keys that the converter reads.
    ModelBase.load_hparams = staticmethod(read_config)
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            config = read_config(folder)
            config.pop("auto_map", None)  # Or the tokenizer asks whether to run the custom code.
            with open(os.path.join(scratch, "config.json"), "w") as file:
                json.dump(config, file)
            shutil.copy(os.path.join(folder, "model.safetensors"), scratch)
            shutil.copy(os.path.join(HERE, "tokenizer.json"), scratch)
            with open(os.path.join(scratch, "tokenizer_config.json"), "w") as file:
                file.write('{"tokenizer_class": "PreTrainedTokenizerFast"}')
            source = Path(scratch)
            kind = get_model_class(get_model_architecture(config, ModelType.TEXT))
            kind.set_vocab = TextModel._set_vocab_gpt2
            target = os.path.join(folder, "model.gguf")
            with torch.inference_mode():
                kind(source, gguf.LlamaFileType.MOSTLY_F16, Path(target), model_name="tiny").write()
        print(f"{os.path.basename(folder):28} {os.path.getsize(target)}", flush=True)
