"""All cases: importing a module adds its own."""
import cases_sparse  # noqa: F401
import cases_llama  # noqa: F401
import cases_gemma_phi3  # noqa: F401
import cases_layer_norm  # noqa: F401
import cases_experts  # noqa: F401
from case import CASES

# Found by trying a few: errors of the int8 emulation that do not depend on chance.
SALTS = {
    "minicpm-fatrelu": 7, "sparsellama": 16, "llama-linear": 1, "llama-yarn": 6, "smollm3": 1, "gemma2": 2,
    "gemma2-scalar": 1, "gemma3": 5, "gemma3-layers": 1, "phi3": 1, "phi3-window": 1, "phi3-longrope": 1, "gpt2": 2,
    "gpt-neox-sequential": 2, "persimmon": 1, "opt": 3, "opt-350m": 1, "olmoe": 1, "qwen2-moe": 2,
    "qwen2-moe-layers": 9, "qwen3-moe": 6, "smallthinker-layers": 5, "olmoe-clip": 11, "qwen3-moe-layers": 1,
    "smallthinker": 1}
for case in CASES:
    case.salt = SALTS.get(case.name, 0)
