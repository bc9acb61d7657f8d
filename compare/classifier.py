"""A BERT classifier of 22 M random weights: made as a Hugging Face folder and for ONNX Runtime (int8), and measured there.

python classifier.py make FOLDER
python classifier.py measure FOLDER THREADS TOKENS BATCH      milliseconds of the middle call, texts per second, as JSON

Needs torch, transformers, tokenizers, onnx, onnxscript and onnxruntime; called by compare.py.
"""

import json
import string
import sys
import time
from pathlib import Path

VOCABULARY, LABELS = 30522, 150


def make(folder):
    import torch
    from onnxruntime.quantization import quantize_dynamic
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=LABELS
    )
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    words = (a + b + c + d for a in string.ascii_lowercase for b in string.ascii_lowercase for c in string.ascii_lowercase for d in "aeiou")
    spellings = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(next(words) for _ in range(VOCABULARY - 5))]
    tokenizer = Tokenizer(models.WordPiece({spelling: id for id, spelling in enumerate(spellings)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(spellings[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    batch, length = torch.export.Dim("batch", min=1, max=256), torch.export.Dim("length", min=2, max=512)
    ids = torch.randint(5, VOCABULARY, (2, 16))
    torch.onnx.export(
        model, (ids,), str(folder / "model.onnx"), input_names=["ids"], output_names=["scores"],
        dynamic_shapes={"input_ids": {0: batch, 1: length}},
    )
    quantize_dynamic(str(folder / "model.onnx"), str(folder / "int8.part"))
    (folder / "int8.part").rename(folder / "int8.onnx")


def measure(folder, threads, tokens, batch):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "int8.onnx"), options)
    ids = numpy.random.default_rng(0).integers(5, VOCABULARY, (batch, tokens))
    name, times = session.get_inputs()[0].name, []
    for attempt in range(20 + (400 if batch == 1 else 40)):
        began = time.perf_counter()
        session.run(None, {name: ids})
        if attempt >= 20:
            times.append(time.perf_counter() - began)
    middle = sorted(times)[len(times) // 2]
    print(json.dumps([1e3 * middle, batch / middle]))


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    make(folder) if sys.argv[1] == "make" else measure(folder, *map(int, sys.argv[3:6]))
