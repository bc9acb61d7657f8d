"""Makes `formats.gguf`: random blocks of every format, each with the numbers that the `gguf` package decodes from them, and numbers with the
blocks that it encodes them to. Makes `llama.gguf`: the model in `../golden/llama_untied`, as llama.cpp's converter would write it.
Run: python make.py (needs gguf and numpy; the files were made with gguf 0.19.0)

`python make.py --check FILE` prints what GGUFReader reads from FILE.
"""
import json
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

if sys.argv[1:2] == ["--check"]:
    reader = gguf.GGUFReader(sys.argv[2])
    for key, field in reader.fields.items():
        print(key, str(field.contents())[:80])
    for tensor in reader.tensors:
        numbers = dequantize(tensor.data, tensor.tensor_type)
        print(tensor.name, tensor.shape.tolist(), tensor.tensor_type.name, numbers.shape, float(np.abs(numbers).mean()))
    sys.exit()

random = np.random.default_rng(7)
# Where half-precision scales stand in a block; all other bytes are free.
halves = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.F16: [0],
}
rows, columns = 3, 256
writer = gguf.GGUFWriter(pathlib.Path(__file__).parent / "formats.gguf", "test")
writer.add_uint8("u8", 200)
writer.add_int8("i8", -100)
writer.add_uint16("u16", 60000)
writer.add_int16("i16", -30000)
writer.add_uint32("u32", 4000000000)
writer.add_int32("i32", -2000000000)
writer.add_float32("f32", 0.1)
writer.add_uint64("u64", 2**63)
writer.add_int64("i64", -(2**62))
writer.add_float64("f64", 0.1)
writer.add_bool("bool", True)
writer.add_string("text", "▁héllo")
writer.add_array("texts", ["a", "", "ß"])
writer.add_array("numbers", [1, -2, 3])
writer.add_array("nested", [[1, 2], [3]])
for kind in [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]:
    length, size = gguf.GGML_QUANT_SIZES[kind]
    if kind in (Type.F32, Type.BF16):
        numbers = random.normal(size=(rows, columns)).astype(np.float32)
        blocks = quantize(numbers, kind).view(np.uint8)
    else:
        blocks = random.integers(0, 256, size=(rows * columns // length, size), dtype=np.uint8)
        for at in halves[kind]:
            scales = random.normal(scale=0.1, size=len(blocks)).astype(np.float16)
            blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
        # A subnormal scale and the largest one.
        if kind != Type.F16:
            blocks[0, halves[kind][0] : halves[kind][0] + 2] = [1, 0]
            blocks[1, halves[kind][0] : halves[kind][0] + 2] = [0xFF, 0x7B]
        blocks = blocks.reshape(rows, -1)
    expected = dequantize(blocks.view(np.float32) if kind == Type.F32 else blocks, kind)
    writer.add_tensor(f"{kind.name}.blocks", blocks, raw_dtype=kind)
    writer.add_tensor(f"{kind.name}.expected", expected.astype(np.float32))

numbers = (random.normal(size=(4, 64)) * np.array([[1e-6], [1], [40], [1e4]])).astype(np.float32)
numbers[0, :32] = 0
# Ties: multiples of half a step, and two numbers equally far from zero.
numbers[1, :32] = np.arange(-16, 16) * 0.5
numbers[2, :32] = np.arange(-8, 8, 0.5)
numbers[2, 32:34] = [200, -200]
writer.add_tensor("numbers", numbers)
for kind in [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0]:
    writer.add_tensor(f"numbers.{kind.name}", quantize(numbers, kind).view(np.uint8), raw_dtype=kind)

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

folder = pathlib.Path(__file__).parent.parent / "golden" / "llama_untied"
config = json.loads((folder / "config.json").read_text())
raw = (folder / "model.safetensors").read_bytes()
header = 8 + int.from_bytes(raw[:8], "little")
listed = json.loads(raw[8:header])
heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]


def permute(weights, heads):
    """Rows of a head from halves to neighbours, as `LlamaModel.permute` in convert_hf_to_gguf.py."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
writer = gguf.GGUFWriter(pathlib.Path(__file__).parent / "llama.gguf", "llama")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_block_count(config["num_hidden_layers"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
writer.add_rope_dimension_count(config["hidden_size"] // heads)
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("gpt-2")
writer.add_token_list([chr(ord("a") + index) for index in range(config["vocab_size"])])
writer.add_token_merges([])
for name, entry in listed.items():
    if name == "__metadata__":
        continue
    start, end = entry["data_offsets"]
    weights = np.frombuffer(raw[header + start : header + end], dtype=np.float32).reshape(entry["shape"])
    if name.endswith("q_proj.weight"):
        weights = permute(weights, heads)
    if name.endswith("k_proj.weight"):
        weights = permute(weights, kv_heads)
    writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weights)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
