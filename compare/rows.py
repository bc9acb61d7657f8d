"""The rows of the comparison: what is run for each, in turn, and what is made of it."""

import json
from pathlib import Path
from statistics import median

import chats
import random_gguf
from programs import Missing, command

CHATS, PROMPT, ANSWER = 16, 128, 128


class Bench:
    """The two sides and the models that both run."""

    def __init__(self, bantam, llama, models, python, real, text, rounds):
        self.bantam, self.llama, self.models, self.python = bantam, llama, models, python
        self.real, self.text, self.rounds = real, text, rounds

    def model(self, size, kind, pure=False):
        """A file of random weights; what makes it is llama.cpp where it is there, so that both sides read what is the peer's own. Pure: all of its
        matrices have the same bits; llama.cpp gives the head 8 otherwise, or 6, which Bantam fits to 4."""
        path = self.models / f"random-{size}-{kind}{'-pure' * pure}.gguf"
        if path.exists():
            return path
        if kind == "f16":
            random_gguf.write(path, random_gguf.SHAPES[size])
        elif self.llama.folder is None:
            self.bantam.quantize(self.model(size, "f16"), kind.lower(), path)
        else:
            self.llama.quantize(self.model(size, "f16"), kind, path, pure=pure)
        return path

    def in_turn(self, ours, theirs):
        """Both, A B A B; the peer's list is empty where the peer is missing."""
        found, missing = ([], []), None
        for _ in range(self.rounds):
            found[0].append(ours())
            if missing is None:
                try:
                    found[1].append(theirs())
                except Missing as error:
                    missing = str(error)
        return *found, missing


def compared(ours, theirs, missing, unit, aim, less=False, digits=0, **more):
    """A row of the table. `less`: the smaller figure is the better one, and the ratio shall not pass the aim."""
    row = {"unit": unit, "aim": aim, "less": less, "digits": digits, "ours": median(ours), "rounds": {"ours": ours, "theirs": theirs}}
    if theirs:
        row |= {"theirs": median(theirs), "ratio": median(ours) / median(theirs)}
    return row | {"missing": missing, **more}


def speed(phase, size, ours_kind, theirs_kind, bits, aim, context=0, pure=False):
    def run(bench):
        tokens = 512 if phase == "prefill" else 128
        ours, theirs = bench.model(size, ours_kind, pure), bench.model(size, theirs_kind, pure)
        told = []

        def once():
            told.append(bench.bantam.bench(phase, ours, bits, tokens, context))
            return told[-1]["tokens_per_second"]

        lists = bench.in_turn(once, lambda: bench.llama.bench(phase, theirs, tokens, context))
        shares = {key: told[-1][key] for key in ("bits_per_weight", "bandwidth_share", "ceiling_share")}
        setting = bench.llama.setting(phase, theirs, tokens, context) if lists[1] else None
        return [compared(*lists, "tokens/s", aim, bantam=shares, peer_setting=setting)]

    return run


def concurrent(bench):
    model, vocabulary = bench.model("135m", "Q4_0"), random_gguf.SHAPES["135m"][0]
    seeds = iter(range(1, 1000))

    def once(serve):
        with chats.Server(*serve) as server:
            chats.measure(server, CHATS, vocabulary, 16, 4, 0)
            return chats.measure(server, CHATS, vocabulary, PROMPT, ANSWER, next(seeds))

    def theirs():
        serve = lambda flash: bench.llama.serve(model, CHATS, PROMPT + ANSWER + 8, flash)
        key = "serve"
        if key not in bench.llama.best:
            tried = {flash: once(serve(flash))["tokens_per_second"] for flash in ("on", "off")}
            bench.llama.best[key] = max(tried, key=tried.get)
        return once(serve(bench.llama.best[key]))

    ours, peers, missing = bench.in_turn(lambda: once(bench.bantam.serve(model, 4, CHATS)), theirs)
    of = lambda name, aim, unit, less: compared(
        [one[name] for one in ours], [one[name] for one in peers], missing, unit, aim, less, 0 if not less else 1
    )
    setting = {"peer_setting": f"fa {bench.llama.best.get('serve')}"}
    return [
        of("tokens_per_second", 2.0, "tokens/s", False) | setting,
        of("p99", 1.0, "ms between tokens, p99", True) | setting,
    ]


def prompt_of(bench, model, tokens):
    """A text of so many tokens."""
    words = [spelling[1:] for spelling in random_gguf.vocabulary(2000)[0] if spelling.startswith(chr(0x120)) and len(spelling) > 2]
    text = " "
    for word in words:
        longer = f"{text} {word}".strip()
        count = bench.bantam.token_count(model, longer)
        if count <= tokens:
            text = longer
        if count == tokens:
            return text
    raise Missing(f"no text of {tokens} tokens was found")


def cold_start(bench):
    model = bench.model("135m", "Q4_0")
    prompt = prompt_of(bench, model, 20)
    # Reads the file once, so that it is in the page cache for both: in pieces, since the system counts what this program has in memory when it
    # starts another as that one's, too.
    with model.open("rb") as file:
        while file.read(1 << 20):
            pass
    many = lambda run: median(run()[0] for _ in range(5))
    lists = bench.in_turn(
        lambda: many(lambda: bench.bantam.answer(model, prompt, 4, 4)), lambda: many(lambda: bench.llama.answer(model, prompt, 4))
    )
    return [compared(*lists, "s to the first token", 0.5, less=True, digits=3, peer_setting="no warm-up")]


def memory(bench):
    rows = []
    for size, kind, bits in (("135m", "Q4_0", 4), ("135m", "Q8_0", 8), ("1b", "Q4_0", 4)):
        model = bench.model(size, kind)
        _, _, layers, heads, kv_heads, _, _ = shape = random_gguf.SHAPES[size]
        past = layers * 2 * 2 * kv_heads * (shape[1] // heads) * (20 + 128)
        limit = (1.15 * model.stat().st_size + past) / 1e6
        prompt = prompt_of(bench, model, 20)
        ours, theirs, missing = bench.in_turn(
            lambda: bench.bantam.answer(model, prompt, 128, bits)[1] / 1e6, lambda: bench.llama.answer(model, prompt, 128)[1] / 1e6
        )
        row = compared(ours, [limit], None, "MB at most", 1.0, less=True, peer="file + 15 % + past", peer_peak=theirs and median(theirs))
        rows.append(row | {"work": f"peak memory, {size} {kind}", "peer_missing": missing})
    return rows


def classifier(batch):
    def run(bench):
        folder = bench.models / "classifier"
        here = Path(__file__).with_name("classifier.py")
        if bench.python is None:
            raise Missing("no Python with ONNX Runtime was named (--python)")
        if not (folder / "int8.onnx").exists():
            command([bench.python, here, "make", folder])
        index = 0 if batch == 1 else 1
        ours = lambda: bench.bantam.classify(folder, 16, batch)[index]
        theirs = lambda: json.loads(command([bench.python, here, "measure", folder, bench.bantam.threads, 16, batch]))[index]
        lists = bench.in_turn(ours, theirs)
        if batch == 1:
            return [compared(*lists, "ms, p50", 1 / 2.5, less=True, digits=2, peer_setting="int8")]
        return [compared(*lists, "texts/s", 2.5, peer_setting="int8")]

    return run


def divergence(bench):
    """Nats a token between a model and what it was made from, on the second half of a text; the first half calibrates."""
    if bench.real is None or bench.text is None:
        raise Missing("no model with real weights and no text were named (--real, --text)")
    folder = bench.models / "divergence"
    folder.mkdir(exist_ok=True)
    name = bench.real.stem
    lines = bench.text.read_text().splitlines(keepends=True)
    texts = {"calibration": folder / "calibration.txt", "test": folder / "test.txt"}
    middle = len(lines) // 2
    texts["calibration"].write_text("".join(lines[:middle]))
    texts["test"].write_text("".join(lines[middle:]))
    path = lambda what: folder / f"{name}-{what}.gguf"
    bench.bantam.quantize(bench.real, "f16", path("f16"))
    reference, importance = folder / f"{name}.logits", folder / f"{name}.imatrix"
    bench.llama.reference(path("f16"), texts["test"], reference)
    bench.llama.importance(path("f16"), texts["calibration"], importance)
    rows = []
    for kind in ("Q4_0", "Q8_0"):
        found = {}
        for calibrated in (False, True):
            ours, theirs = path(f"{kind}-ours-{calibrated}"), path(f"{kind}-theirs-{calibrated}")
            bench.bantam.quantize(bench.real, kind.lower(), ours, texts["calibration"] if calibrated else None)
            # Pure: all tensors with the same bits as ours, the head too.
            bench.llama.quantize(path("f16"), kind, theirs, importance if calibrated else None, pure=True)
            for side, file in (("ours", ours), ("theirs", theirs)):
                value = bench.llama.divergence(file, texts["test"], reference)
                found[side, calibrated] = {"divergence": value, "bytes": file.stat().st_size}
        for calibrated in (False, True):
            ours, theirs = found["ours", calibrated], found["theirs", calibrated]
            row = compared([ours["divergence"]], [theirs["divergence"]], None, "nats a token", 1.0, less=True, digits=5)
            how = "calibrated" if calibrated else "plain"
            sizes = {"ours": ours["bytes"], "theirs": theirs["bytes"]}
            rows.append(row | {"work": f"divergence from f16, {name} {kind}, {how}", "bytes": sizes})
    reference.unlink()
    return rows


# Name, what is done, the peer as the table names it, and how.
ROWS = [
    ("prefill-135m-4bit", "prefill 512, 135 M, 4 bits", "llama.cpp Q4_0", speed("prefill", "135m", "Q4_0", "Q4_0", 4, 2.5)),
    ("prefill-135m-8bit", "prefill 512, 135 M, 8 bits", "llama.cpp Q8_0", speed("prefill", "135m", "Q8_0", "Q8_0", 8, 3.5)),
    ("decode-135m-4bit", "decode 128, 135 M, 4 bits", "llama.cpp Q4_0", speed("decode", "135m", "Q4_0", "Q4_0", 4, 1.6)),
    ("decode-135m-8bit", "decode 128, 135 M, 8 bits", "llama.cpp Q8_0", speed("decode", "135m", "Q8_0", "Q8_0", 8, 1.4)),
    ("decode-15m", "decode 128, 15 M, 4 bits", "llama.cpp Q4_0", speed("decode", "15m", "Q4_0", "Q4_0", 4, 2.5)),
    ("prefill-1b", "prefill 512, 1.03 B, 4 bits", "llama.cpp Q4_K_M", speed("prefill", "1b", "Q4_0", "Q4_K_M", 4, 1.5)),
    ("decode-1b", "decode 128, 1.03 B, 4 bits", "llama.cpp Q4_K_M", speed("decode", "1b", "Q4_0", "Q4_K_M", 4, 1.1)),
    ("decode-4096", "decode 128 after 4,096 tokens, 135 M", "llama.cpp Q4_0", speed("decode", "135m", "Q4_0", "Q4_0", 4, 1.5, 4096)),
    ("prefill-135m-pure", "prefill 512, 135 M, 4 bits everywhere", "llama.cpp Q4_0", speed("prefill", "135m", "Q4_0", "Q4_0", 4, 2.5, pure=True)),
    ("decode-135m-pure", "decode 128, 135 M, 4 bits everywhere", "llama.cpp Q4_0", speed("decode", "135m", "Q4_0", "Q4_0", 4, 1.6, pure=True)),
    ("decode-15m-pure", "decode 128, 15 M, 4 bits everywhere", "llama.cpp Q4_0", speed("decode", "15m", "Q4_0", "Q4_0", 4, 2.5, pure=True)),
    ("prefill-1b-pure", "prefill 512, 1.03 B, 4 bits everywhere", "llama.cpp Q4_0", speed("prefill", "1b", "Q4_0", "Q4_0", 4, 1.5, pure=True)),
    ("decode-1b-pure", "decode 128, 1.03 B, 4 bits everywhere", "llama.cpp Q4_0", speed("decode", "1b", "Q4_0", "Q4_0", 4, 1.1, pure=True)),
    ("chats", "16 chats at a time, 135 M", "llama-server -np 16", concurrent),
    ("cold-start", "cold start, 135 M, 20-token prompt", "llama-completion", cold_start),
    ("classifier-1", "22 M BERT, 16 tokens, batch 1", "ONNX Runtime int8", classifier(1)),
    ("classifier-64", "22 M BERT, 16 tokens, batch 64", "ONNX Runtime int8", classifier(64)),
    ("memory", "peak memory", "", memory),
    ("divergence", "divergence from f16", "llama-quantize --pure", divergence),
]
