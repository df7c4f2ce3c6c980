"""What the tiny models are: fields of native files under the names of their keys, and what tiny_files.py needs besides."""
import four_bit
import ternary

LLAMA = dict(architecture="llama", norm_epsilon=1e-5, norm_kind="rms", activation="silu",
             gated=True, positions="rope", rope_base=10000.0, rope_scaling=1.0, factors=[],
             tied_head=True, has_biases=False, vocabulary_size=320)
OPT = dict(architecture="opt", norm_epsilon=1e-5, norm_kind="layer", activation="relu",
           gated=False, positions="learned", tied_head=True, has_biases=True,
           vocabulary_size=320)


def shape(base, d_model, layers, heads, kv_heads, head_dim, d_ff, context, **more):
    return dict(base, embedding_length=d_model, layer_count=layers, head_count=heads,
                kv_head_count=kv_heads, head_dimension=head_dim, feed_forward_length=d_ff,
                context_length=context, **{"rope_dimensions": head_dim, **more})


MODELS = {
    "llama": shape(LLAMA, 96, 2, 6, 2, 16, 160, 128),
    "llama-relu": shape(LLAMA, 72, 2, 3, 1, 24, 120, 128, activation="relu", tied_head=False,
                        rope_base=500000.0),
    "opt": shape(OPT, 64, 2, 4, 4, 16, 192, 64),
    # Small ones for the rarer branches.
    "llama-factors": shape(LLAMA, 64, 1, 4, 2, 32, 72, 64, rope_scaling=4.0, norm_epsilon=1e-6,
                           rope_dimensions=24, vocabulary_size=300,
                           factors=[1 + i * i / 16 for i in range(12)]),
    "opt-gelu": shape(OPT, 48, 1, 3, 3, 16, 100, 64, activation="gelu", tied_head=False,
                      vocabulary_size=300),
    # Biases: of some matrices, and of all with a gate among them.
    "llama-qkv-biases": shape(LLAMA, 64, 1, 4, 2, 16, 72, 64, vocabulary_size=300, has_biases=True,
                              biases=["attn_q", "attn_k", "attn_v"]),
    "llama-biases": shape(LLAMA, 64, 1, 4, 2, 16, 100, 64, vocabulary_size=300, has_biases=True),
    # Predictors: of odd ranks and more than a group, of some layers only, that name none or all.
    "opt-predictors": shape(OPT, 64, 4, 4, 4, 16, 192, 64, predictors=dict(
        neuron_ranks=[8, 0, 70, 5], neuron_thresholds=[0.2, 0.0, -0.1, 1e9],
        head_ranks=[0, 4, 3, 5], head_thresholds=[0.0, 0.1, 1e9, -1e9], lookahead=False)),
    "llama-predictors": shape(LLAMA, 96, 3, 6, 2, 16, 160, 64, predictors=dict(
        neuron_ranks=[24, 16, 65], neuron_thresholds=[-1e9, 0.4, 0.0],
        head_ranks=[0, 6, 16], head_thresholds=[0.0, 0.0, 0.3], lookahead=True)),
    # Neurons chosen by their gates: some, none or all; a layer with a predictor, one dense.
    "llama-gates": shape(LLAMA, 64, 5, 4, 2, 16, 136, 64, vocabulary_size=300, predictors=dict(
        neuron_ranks=[0, 0, 12, 0, 0], neuron_thresholds=[0.25, 1e9, 0.1, 0.0, 0.0],
        head_ranks=[0, 4, 0, 0, 0], head_thresholds=[0.0, 0.1, 0.0, 0.0, 0.0], lookahead=False,
        gates=[1, 1, 0, 0, 1])),
    # Neighbouring neurons that share a score: some groups, none or all of them, and a layer without a predictor.
    "opt-groups": shape(OPT, 64, 4, 4, 4, 16, 216, 64, predictors=dict(
        neuron_ranks=[8, 70, 0, 5], neuron_thresholds=[0.3, 1e9, 0.0, -1e9],
        head_ranks=[0, 4, 0, 0], head_thresholds=[0.0, 0.1, 0.0, 0.0], lookahead=False, neuron_group=12)),
    # A screen of the head: more than a group wide; rows that are no multiple of a block; some tokens fall back.
    "llama-screen": shape(LLAMA, 96, 2, 6, 2, 16, 100, 64, vocabulary_size=333,
                          screen=dict(rank=70, rows=30, margin=10.0, wide_margin=12.5)),
    # 4-bit weights: all of them; and where a model that skips neurons has them, with biases.
    "llama-w4": shape(LLAMA, 96, 2, 6, 2, 16, 160, 128, four_bit=four_bit.NAMES[:-1]),
    "opt-w4": shape(OPT, 72, 2, 3, 3, 24, 130, 64, tied_head=False, vocabulary_size=300,
                    four_bit=["attn_q", "attn_k", "attn_v", "attn_output", "output"]),
    # And where it reads its gates in full, whose zeros name the neurons.
    "llama-relu-w4": shape(LLAMA, 72, 2, 3, 1, 24, 120, 64, activation="relu", vocabulary_size=300,
                           four_bit=["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate"]),
    # The exact form of GELU.
    "opt-gelu-erf": shape(OPT, 48, 1, 3, 3, 16, 100, 64, activation="gelu_erf", tied_head=False,
                          vocabulary_size=300),
    # What only format 2 says; several features each.
    "gemma": shape(
        LLAMA, 64, 3, 3, 1, 16, 72, 96, vocabulary_size=300, activation="gelu",
        norms=["attn_norm", "attn_q_norm", "attn_k_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm",
               "output_norm"],
        windows=[7, 0, 21], rope_layers=[2, 1, 2], magnitude=1.25, rope_scaling=8.0, rope_base=1e6,
        local_rope=dict(rope_base=1e4, rope_scaling=1.0, rope_dimensions=16, factors=[]),
        attention_soft_cap=3.0, logit_soft_cap=12.0, screen=dict(rank=24, rows=40, margin=7.0, wide_margin=8.0)),
    "olmo": shape(
        LLAMA, 64, 3, 4, 2, 16, 72, 96, vocabulary_size=300,
        norms=["attn_q_norm", "attn_k_norm", "post_attention_norm", "post_ffw_norm", "output_norm"],
        normalizes_all_heads=True, windows=[0, 1000, 1], rope_layers=[1, 0, 1]),
    "parallel": shape(
        LLAMA, 64, 2, 4, 2, 16, 72, 96, vocabulary_size=300, norm_kind="layer", activation="gelu_erf", gated=False,
        residual="parallel", norms=["attn_norm", "output_norm"], rope_dimensions=6, tied_head=False, has_biases=True,
        biases=["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down", "output"]),
    "parallel-two": shape(
        LLAMA, 64, 2, 4, 4, 16, 72, 96, vocabulary_size=300, norm_kind="layer", activation="relu2", gated=False,
        residual="parallel", predictors=dict(
            neuron_ranks=[8, 6], neuron_thresholds=[0.1, 0.1], head_ranks=[0, 5], head_thresholds=[0.0, 0.1],
            lookahead=False)),
    "bitnet": shape(
        LLAMA, 64, 2, 4, 2, 16, 72, 96, vocabulary_size=300, activation="relu2",
        norms=["attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm", "output_norm"], predictors=dict(
            neuron_ranks=[12, 0], neuron_thresholds=[0.1, 0.1], head_ranks=[0, 5], head_thresholds=[0.0, 0.1],
            lookahead=False, gates=[0, 1])),
    # 4-bit weights, whose down projection has all neurons.
    "bitnet-w4": shape(
        LLAMA, 64, 1, 4, 2, 16, 72, 64, vocabulary_size=300, activation="relu2",
        norms=["attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm", "output_norm"], four_bit=four_bit.NAMES[:-1]),
    # Ternary weights, more than a run of 256 columns in the down projection.
    "bitnet-ternary": shape(
        LLAMA, 72, 2, 3, 1, 24, 330, 96, vocabulary_size=300, activation="relu2",
        norms=["attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm", "output_norm"], ternary=ternary.NAMES),
    # And where neurons and heads are left out: up and gate by rows, beside an int8 down projection; with biases.
    "relu-ternary": shape(
        LLAMA, 72, 2, 3, 1, 24, 136, 64, vocabulary_size=300, activation="relu", has_biases=True,
        ternary=ternary.NAMES[:-1], predictors=dict(
            neuron_ranks=[8, 0], neuron_thresholds=[0.1, 0.0], head_ranks=[0, 4], head_thresholds=[0.0, 0.1],
            lookahead=False)),
    "bamboo": shape(
        LLAMA, 64, 1, 4, 2, 16, 72, 96, vocabulary_size=300, activation="relu", activates_up=True, predictors=dict(
            neuron_ranks=[0], neuron_thresholds=[0.2], head_ranks=[0], head_thresholds=[0.0], lookahead=False,
            gates=[1])),
    "fatrelu": shape(
        LLAMA, 64, 1, 4, 2, 16, 72, 96, vocabulary_size=300, activation="fatrelu", activation_threshold=0.3,
        predictors=dict(
            neuron_ranks=[0], neuron_thresholds=[0.5], head_ranks=[0], head_thresholds=[0.0], lookahead=False,
            gates=[1])),
    "opt-350m": shape(
        OPT, 64, 2, 4, 4, 16, 72, 64, vocabulary_size=300, embedding_width=48, residual="normalized",
        norms=["post_attention_norm", "post_ffw_norm"]),
    "longrope": shape(
        LLAMA, 64, 1, 4, 2, 16, 72, 128, vocabulary_size=300, rope_dimensions=12, factors=[1.0, 1.1, 1.2, 1.5, 2.0, 3.0],
        long_factors=[1.0, 1.5, 3.0, 6.0, 20.0, 40.0], original_context=72, magnitude=1.19),
    # Predictors of others: a ReLU between, from the residual stream before the MLP; so in parallel layers; and without
    # one, neurons and heads from the residual stream before attention.
    "powerinfer": shape(
        LLAMA, 64, 3, 4, 2, 16, 136, 64, vocabulary_size=300, activation="relu", predictors=dict(
            neuron_ranks=[12, 70, 5], neuron_thresholds=[0.0, 0.2, -0.1], head_ranks=[0] * 3, head_thresholds=[0.0] * 3,
            lookahead=False, neuron_input="ffn_residual", head_input="ffn_norm", neuron_relu=True)),
    "powerinfer-falcon": shape(
        LLAMA, 64, 2, 4, 1, 16, 72, 64, vocabulary_size=300, norm_kind="layer", activation="relu", gated=False,
        residual="parallel", norms=["attn_norm", "output_norm"], predictors=dict(
            neuron_ranks=[8, 6], neuron_thresholds=[0.0, 0.0], head_ranks=[0, 0], head_thresholds=[0.0, 0.0],
            lookahead=False, neuron_input="ffn_residual", head_input="ffn_norm", neuron_relu=True)),
    "dejavu": shape(
        OPT, 64, 3, 4, 4, 16, 136, 64, vocabulary_size=300, predictors=dict(
            neuron_ranks=[70, 0, 9], neuron_thresholds=[0.0, 0.0, 0.1], head_ranks=[0, 12, 5],
            head_thresholds=[0.0, 0.0, 0.1], lookahead=False, neuron_input="attn_residual",
            head_input="attn_residual", neuron_relu=False)),
    # Experts: more neurons than a group of 64; among 4-bit blocks of 16 rows, with a shared one that has a gate; chosen
    # before attention, with a shared one that has none.
    "experts": shape(
        LLAMA, 64, 1, 2, 1, 16, 240, 96, vocabulary_size=300, experts=dict(
            count=6, active=2, width=40, router="softmax", normalizes=True, looks_ahead=False)),
    "experts-shared": shape(
        LLAMA, 64, 2, 4, 2, 16, 160, 96, vocabulary_size=300, four_bit=four_bit.NAMES[1:-2], experts=dict(
            count=5, active=3, width=24, router="softmax", normalizes=False, looks_ahead=False, shared_gate=True)),
    "experts-ahead": shape(
        LLAMA, 64, 2, 4, 2, 16, 144, 96, vocabulary_size=300, activation="relu", experts=dict(
            count=8, active=2, width=16, router="sigmoid", normalizes=True, looks_ahead=True)),
}
BIG = shape(LLAMA, 256, 8, 8, 4, 32, 704, 512, vocabulary_size=4096)
