"""PyTorch's loss on the rows, in the order, of `bantam bench train --text FILE --steps N`: python train_curve.py FILE N

The same shape (13.8 M parameters), optimizer, clipping and batches; only the first weights are drawn by another generator.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH, LAYERS, HEADS, CHANNELS, VOCABULARY, TOKENS, ROWS = 384, 6, 6, 1024, 8192, 256, 16
MASK = (1 << 64) - 1


class Random:
    """Bantam's generator (SplitMix64)."""

    def __init__(self, seed, stream):
        self.state = seed ^ 0x5851F42D4C957F2D
        self.state = self.next() ^ (stream * 0x9E3779B97F4A7C15 & MASK)
        self.next()

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit):
        return self.next() * limit >> 64


def turned(x, cos, sin):
    """Rotary positions, the halves of each head turned against one another."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.RMSNorm(WIDTH, 1e-5), nn.RMSNorm(WIDTH, 1e-5)])
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        self.qkv, self.out = linear(WIDTH, 3 * WIDTH), linear(WIDTH, WIDTH)
        self.gate_up, self.down = linear(WIDTH, 2 * CHANNELS), linear(CHANNELS, WIDTH)

    def forward(self, x, cos, sin):
        rows, tokens, _ = x.shape
        heads = lambda y: y.view(rows, tokens, HEADS, WIDTH // HEADS).transpose(1, 2)
        q, k, v = map(heads, self.qkv(self.norms[0](x)).chunk(3, -1))
        q, k = turned(q, cos, sin).to(v.dtype), turned(k, cos, sin).to(v.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, tokens, WIDTH))
        gate, up = self.gate_up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.RMSNorm(WIDTH, 1e-5)
        outer = 0.02 / (2 * LAYERS) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=outer if "out." in name or "down." in name else 0.02)
        angles = torch.outer(torch.arange(TOKENS - 1.0), 10_000 ** -(torch.arange(0, WIDTH // HEADS, 2) / (WIDTH // HEADS)))
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, x):
        h = self.table(x)
        for block in self.blocks:
            h = block(h, self.cos, self.sin)
        return F.linear(self.norm(h), self.table.weight)


def main():
    text, steps = open(sys.argv[1], "rb").read(), int(sys.argv[2]) + 2
    torch.manual_seed(0)
    random = Random(0, 0)
    starts = [random.below(len(text) - TOKENS) for _ in range(ROWS * steps)]
    order, shuffle = list(range(len(starts))), Random(0, 0x6F72646572000000)
    for last in range(len(order) - 1, 0, -1):
        other = shuffle.below(last + 1)
        order[last], order[other] = order[other], order[last]
    model = Model()
    decayed = [p for p in model.parameters() if p.dim() == 2]
    plain = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    for step in range(steps):
        chosen = order[step * ROWS : (step + 1) * ROWS]
        batch = torch.tensor([list(text[starts[i] : starts[i] + TOKENS]) for i in chosen])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch[:, :-1])
        loss = F.cross_entropy(logits.float().reshape(-1, VOCABULARY), batch[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(step + 1, round(loss.item(), 4), flush=True)


main()
