"""Makes `formats.gguf`: random blocks of every format, each with the numbers that the `gguf` package decodes from them, and numbers with the
blocks that it encodes them to. Run: python make.py (needs gguf and numpy; the file was made with gguf 0.19.0)

`python make.py --check FILE` prints what GGUFReader reads from FILE.
"""
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
