"""Llamas of random weights as GGUF files (F16), with a vocabulary: to measure speed and memory on. Needs no package.

Weights are drawn as bytes: the upper byte of a half-precision number (sign, exponent and two bits) by how often a normal distribution
has it, the lower byte evenly.
"""

import math
import random
import string
import struct

DEVIATION = 0.02
U32, F32, TEXT, LIST = 4, 6, 8, 9
ALIGNMENT = 32
PIECE = 1 << 22

# Vocabulary, width, layers, heads, heads of keys and values, channels, positions.
SHAPES = {
    "15m": (32000, 288, 6, 6, 6, 768, 2048),
    "135m": (49152, 576, 30, 9, 3, 1536, 8192),
    "1b": (32000, 2048, 22, 32, 4, 5632, 2048),
}


def upper_bytes():
    """256 upper bytes, each as often as the numbers that begin with it."""
    below = lambda x: 0.5 * (1 + math.erf(x / DEVIATION / math.sqrt(2)))
    value = lambda upper: struct.unpack("<e", bytes([0, upper]))[0]
    table, due = bytearray(), 0.0
    for upper in range(0x7C):
        due += 128 * 2 * (below(value(upper + 1)) - below(value(upper)))
        while len(table) + 0.5 < due and len(table) < 128:
            table.append(upper)
    table.extend([table[-1]] * (128 - len(table)))
    return bytes(table) + bytes(upper | 0x80 for upper in table)


def draw(generator, count, table):
    """Pieces of `count` numbers."""
    while count:
        now = min(count, PIECE)
        numbers = bytearray(generator.randbytes(2 * now))
        numbers[1::2] = numbers[1::2].translate(table)
        yield numbers
        count -= now


def byte_letters():
    """The letter that stands for each byte in vocabularies of byte-level BPE."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(0x100 + index) for index in range(len(others))]


def vocabulary(size):
    """Tokens and merges of a byte-level BPE whose words are random letters; token 0 ends a text."""
    generator = random.Random(1)
    tokens = ["<|endoftext|>", *byte_letters()]
    begins, letters = [chr(0x120), *string.ascii_lowercase], list(string.ascii_lowercase)
    known, merges = set(tokens), []
    while len(tokens) < size:
        left, right = generator.choice(begins), generator.choice(letters)
        if left + right not in known and len(left) < 9:
            known.add(left + right)
            tokens.append(left + right)
            merges.append(f"{left} {right}")
            begins.append(left + right)
    return tokens, merges


def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def metadata(shape):
    """The bytes of all keys and values, and how many they are."""
    tokens_count, width, layers, heads, kv_heads, channels, positions = shape
    tokens, merges = vocabulary(tokens_count)
    values = []
    add = lambda key, kind, value: values.append(text(key) + struct.pack("<I", kind) + value)
    number = lambda key, value: add(key, U32, struct.pack("<I", value))
    texts = lambda key, items: add(key, LIST, struct.pack("<IQ", TEXT, len(items)) + b"".join(map(text, items)))
    add("general.architecture", TEXT, text("llama"))
    number("general.file_type", 1)
    number("llama.vocab_size", tokens_count)
    number("llama.context_length", positions)
    number("llama.embedding_length", width)
    number("llama.block_count", layers)
    number("llama.feed_forward_length", channels)
    number("llama.attention.head_count", heads)
    number("llama.attention.head_count_kv", kv_heads)
    number("llama.rope.dimension_count", width // heads)
    add("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5))
    add("llama.rope.freq_base", F32, struct.pack("<f", 10000.0))
    add("tokenizer.ggml.model", TEXT, text("gpt2"))
    add("tokenizer.ggml.pre", TEXT, text("gpt-2"))
    texts("tokenizer.ggml.tokens", tokens)
    kinds = struct.pack(f"<{len(tokens)}i", 3, *[1] * (len(tokens) - 1))
    add("tokenizer.ggml.token_type", LIST, struct.pack("<IQ", 5, len(tokens)) + kinds)
    texts("tokenizer.ggml.merges", merges)
    number("tokenizer.ggml.bos_token_id", 0)
    number("tokenizer.ggml.eos_token_id", 0)
    return b"".join(values), len(values)


def tensors(shape):
    """Names and sizes, innermost first."""
    tokens, width, layers, heads, kv_heads, channels, _ = shape
    keys = width // heads * kv_heads
    yield "token_embd.weight", (width, tokens)
    yield "output_norm.weight", (width,)
    for layer in range(layers):
        block = lambda name, *sizes: (f"blk.{layer}.{name}.weight", sizes)
        yield block("attn_norm", width)
        yield block("attn_q", width, width)
        yield block("attn_k", width, keys)
        yield block("attn_v", width, keys)
        yield block("attn_output", width, width)
        yield block("ffn_norm", width)
        yield block("ffn_gate", width, channels)
        yield block("ffn_up", width, channels)
        yield block("ffn_down", channels, width)


def write(path, shape):
    """Writes the file, under its name only when it is whole."""
    listed, values, (pairs, count) = b"", list(tensors(shape)), metadata(shape)
    offset = 0
    for name, sizes in values:
        is_vector = len(sizes) == 1
        listed += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0 if is_vector else 1, offset)
        offset += -(-math.prod(sizes) * (4 if is_vector else 2) // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(values), count) + pairs + listed
    generator, table = random.Random(0), upper_bytes()
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb") as file:
        fill = lambda: file.write(bytes(-file.tell() % ALIGNMENT))
        file.write(head)
        fill()
        for _, sizes in values:
            if len(sizes) == 1:
                file.write(struct.pack("<f", 1.0) * sizes[0])
            else:
                for piece in draw(generator, math.prod(sizes), table):
                    file.write(piece)
            fill()
    unfinished.rename(path)
