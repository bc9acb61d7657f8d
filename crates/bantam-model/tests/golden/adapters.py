"""Makes low-rank adapters of models that models.py made, as peft saves them, with the logits that both together give. Run: python adapters.py

Needs torch, transformers and peft; the folders were made with transformers 5.24 and peft 0.21.
"""
import json
import pathlib

import torch
import transformers
from peft import LoraConfig, get_peft_model

here = pathlib.Path(__file__).parent
adapters = {
    "llama_adapter": ("llama_tied", "LlamaForCausalLM", dict(r=3, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])),
    "bert_adapter": (
        "bert_classifier",
        "BertForSequenceClassification",
        dict(r=4, lora_alpha=5, use_rslora=True, target_modules=["query", "output.dense"], modules_to_save=["classifier"]),
    ),
}

for name, (base, family, settings) in adapters.items():
    torch.manual_seed(11)
    model = get_peft_model(getattr(transformers, family).from_pretrained(here / base), LoraConfig(**settings))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # Fresh adapters change nothing: their second half is zero.
            if parameter.requires_grad:
                parameter.normal_(0.0, 0.3)
    model.eval()
    folder = here / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    inputs = json.loads((here / base / "expected.json").read_text())["ids"]
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([ids])).logits[0].flatten().tolist() for ids in inputs]
    (folder / "expected.json").write_text(json.dumps({"ids": inputs, "logits": logits}) + "\n")
