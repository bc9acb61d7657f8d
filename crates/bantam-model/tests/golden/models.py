"""Makes a tiny random model of each family, as transformers saves it, with the logits that transformers computes. Run: python models.py

`python models.py --check FOLDER...` loads model folders, such as Bantam writes, and compares their logits with their expected.json.
Needs torch and transformers; the folders were made with transformers 5.24.
"""
import json
import pathlib
import sys

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

here = pathlib.Path(__file__).parent
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
words = special + "a bill card day due gone I in is it lost my now pay please rain stolen sun the today was when will".split()
ids = dict(pad_token_id=0, bos_token_id=2, eos_token_id=3)
sizes = dict(vocab_size=len(words), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32)
# One token, an odd and an even number of them, and as many as the model takes.
inputs = [[2], [2, 19, 10, 6, 3], [2, 26, 13, 13, 24, 4, 25, 3], [(7 * place + 2) % len(words) for place in range(32)]]

# The bases of the rotary positions are not what either program takes where a config is silent.
llama = dict(**sizes, **ids, num_key_value_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 500.0})
# Those that are built like Llama: heads of eight numbers, so that positions turn at four speeds.
like_llama = dict(**{**llama, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1})
# In the 32 tokens of the original context the four turn 5.1, 1.08, 0.23 and 0.05 times: fast, between, between, slow.
llama_3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 0.125, "high_freq_factor": 2.0, "original_max_position_embeddings": 32}
modernbert = dict(
    **sizes, **ids, cls_token_id=2, sep_token_id=3, global_attn_every_n_layers=1, classifier_pooling="mean", decoder_bias=False,
    rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 700.0}},
)
golden = {
    "llama_tied": ("LlamaForCausalLM", transformers.LlamaConfig(**llama, tie_word_embeddings=True)),
    "llama_untied": ("LlamaForCausalLM", transformers.LlamaConfig(**llama, rms_norm_eps=1e-3)),
    "llama_3": ("LlamaForCausalLM", transformers.LlamaConfig(**{**like_llama, "rope_parameters": llama_3})),
    "llama_linear": ("LlamaForCausalLM", transformers.LlamaConfig(**{**like_llama, "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.5}})),
    "mistral": ("MistralForCausalLM", transformers.MistralConfig(**like_llama, sliding_window=32)),
    "qwen2": ("Qwen2ForCausalLM", transformers.Qwen2Config(**like_llama, tie_word_embeddings=True)),
    # Heads that are not the width's share.
    "qwen3": ("Qwen3ForCausalLM", transformers.Qwen3Config(**like_llama, head_dim=6)),
    "modernbert_classifier": ("ModernBertForSequenceClassification", transformers.ModernBertConfig(**modernbert, num_labels=3)),
    "modernbert_masked": ("ModernBertForMaskedLM", transformers.ModernBertConfig(**modernbert)),
    # Windows of seven tokens, but for every third layer, which sees all.
    "modernbert_windows": ("ModernBertForMaskedLM", transformers.ModernBertConfig(**{
        **modernbert, "num_hidden_layers": 4, "global_attn_every_n_layers": 3, "local_attention": 6,
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in [("full_attention", 700.0), ("sliding_attention", 40.0)]},
    })),
    # Two labels without names: transformers leaves them out of the config.
    "bert_classifier": ("BertForSequenceClassification", transformers.BertConfig(**sizes, pad_token_id=0)),
}


def logits(model):
    """One sequence at a time, so that nothing is padded."""
    model.eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([sequence])).logits[0].flatten().tolist() for sequence in inputs]


def gradient_norms(model):
    """Of the mean loss of the next token over all sequences; the last token of each has none."""
    parts = [model(input_ids=torch.tensor([ids])).logits[0, :-1] for ids in inputs]
    targets = torch.tensor([token for ids in inputs for token in ids[1:]])
    torch.nn.functional.cross_entropy(torch.cat(parts), targets).backward()
    return {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}


def make():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    for name, (family, config) in golden.items():
        torch.manual_seed(7)
        model = getattr(transformers, family)(config)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                # Far from the usual start of 0.02, biases of 0 and gains of 1, so that nothing is forgotten unseen.
                is_gain = "norm" in key.lower() and key.endswith("weight")
                parameter.normal_(1.0 if is_gain else 0.0, 0.3)
        folder = here / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        expected = {"ids": inputs, "logits": logits(model)}
        if family.endswith("ForCausalLM"):
            expected["gradient_norms"] = gradient_norms(model)
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def check(folders):
    for folder in map(pathlib.Path, folders):
        family = json.loads((folder / "config.json").read_text())["architectures"][0]
        model, told = getattr(transformers, family).from_pretrained(folder, output_loading_info=True)
        wrong = {key: found for key, found in told.items() if found}
        assert not wrong, f"{folder}: {wrong}"
        expected = json.loads((folder / "expected.json").read_text())
        assert expected["ids"] == inputs, f"{folder}: made by another version of this script"
        pairs = zip(sum(logits(model), []), sum(expected["logits"], []), strict=True)
        largest = max(abs(ours - theirs) for ours, theirs in pairs)
        print(f"{folder.name}: {family}, largest difference {largest:.1e}")
        assert largest <= 1e-5, folder


if sys.argv[1:2] == ["--check"]:
    check(sys.argv[2:])
else:
    make()
