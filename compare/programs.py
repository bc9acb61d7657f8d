"""Bantam and llama.cpp as programs: each function runs one once and gives its figures."""

import json
import os
import re
import subprocess
import time


class Missing(Exception):
    """A program, an option or a file is not there: the row is passed over, and the table says why."""


def command(arguments, **options):
    """What a program wrote to its standard output."""
    try:
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    except FileNotFoundError as error:
        raise Missing(f"{arguments[0]} is not there") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no message"]
        raise Missing(f"{os.path.basename(str(arguments[0]))} {arguments[1]}: {last[0][:200]}")
    return done.stdout


def watched(arguments):
    """Seconds from a program's start to the first byte that it writes, and its most memory in bytes."""
    began = time.perf_counter()
    try:
        process = subprocess.Popen(
            list(map(str, arguments)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise Missing(f"{arguments[0]} is not there") from error
    first = os.read(process.stdout.fileno(), 1)
    seconds = time.perf_counter() - began
    while os.read(process.stdout.fileno(), 1 << 16):
        pass
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode or not first:
        raise Missing(f"{os.path.basename(str(arguments[0]))} ended with {process.returncode} and wrote nothing")
    return seconds, usage.ru_maxrss * 1024


class Bantam:
    """The program that is measured."""

    def __init__(self, program, threads):
        self.program, self.threads = program, threads

    def bench(self, phase, model, bits, tokens, context=0):
        """Tokens per second and all that `bantam bench` tells beside."""
        return json.loads(command([
            self.program, "bench", phase, model, "--tokens", tokens, "--context", context,
            "--format", f"int{bits}", "--threads", self.threads, "--json",
        ]))

    def answer(self, model, prompt, tokens, bits):
        """As `watched`, for an answer to a prompt."""
        return watched([
            self.program, "generate", model, "--prompt", prompt, "--tokens", tokens, "--greedy",
            "--format", f"int{bits}", "--threads", self.threads,
        ])

    def token_count(self, model, text):
        return len(json.loads(command([self.program, "tokenize", model, "--text", text, "--json"]).splitlines()[0])["ids"])

    def quantize(self, model, kind, out, calibration=None):
        extra = ["--calibration", calibration] if calibration else []
        command([self.program, "quantize", model, "--to", kind, "--out", out, "--force", "--threads", self.threads, *extra])

    def serve(self, model, bits, chats):
        """The command of a server, and how its address is found in what it writes."""
        arguments = [
            self.program, "serve", f"chat={model}", "--port", 0, "--format", f"int{bits}",
            "--most-running", chats, "--threads", self.threads,
        ]
        return arguments, None

    def classify(self, folder, tokens, batch):
        """Milliseconds of the middle call, and texts per second."""
        found = json.loads(command([
            self.program, "bench", "classify", folder, "--tokens", tokens, "--batch", batch,
            "--threads", self.threads, "--json",
        ]))
        return found["latency_p50_microseconds"] / 1e3, found["requests_per_second"]


# Flash attention and repacked weights of llama.cpp, off and on.
SETTINGS = [(flash, repack) for flash in (0, 1) for repack in (0, 1)]


class LlamaCpp:
    """The peer for language models."""

    def __init__(self, folder, threads):
        self.folder, self.threads, self.best = folder, threads, {}

    def program(self, name):
        if self.folder is None:
            raise Missing("llama.cpp was not named (--llama-bin)")
        return self.folder / name

    def bench(self, phase, model, tokens, context=0):
        """Tokens per second with the best of its settings, which are tried at first."""
        key = (phase, model, tokens, context)
        if key not in self.best:
            tried = {setting: self.bench_with(setting, *key) for setting in SETTINGS}
            self.best[key] = max(tried, key=tried.get)
        return self.bench_with(self.best[key], *key)

    def bench_with(self, setting, phase, model, tokens, context):
        work = ["-p", tokens, "-n", 0] if phase == "prefill" else ["-p", 0, "-n", tokens]
        flash, repack = setting
        told = command([
            self.program("llama-bench"), "-m", model, "-t", self.threads, *work, "-d", context, "-r", 3,
            "-fa", flash, "--repack", repack, "-o", "json",
        ])
        return json.loads(told)[0]["avg_ts"]

    def setting(self, phase, model, tokens, context=0):
        flash, repack = self.best[(phase, model, tokens, context)]
        return f"fa {flash}, repack {repack}"

    def answer(self, model, prompt, tokens):
        return watched([
            self.program("llama-completion"), "-m", model, "-p", prompt, "-n", tokens, "-t", self.threads, "--temp", 0,
            "--no-warmup", "-no-cnv", "--simple-io", "--no-display-prompt", "--ignore-eos", "-c", 512,
        ])

    def quantize(self, model, kind, out, importance=None, pure=False):
        extra = ["--imatrix", importance] if importance else []
        extra += ["--pure"] if pure else []
        command([self.program("llama-quantize"), *extra, model, out, kind, self.threads])

    def importance(self, model, text, out):
        command([self.program("llama-imatrix"), "-m", model, "-f", text, "-o", out, "-c", 512, "-t", self.threads])

    def reference(self, model, text, out):
        """Writes what a model says about a text, which others are compared with."""
        command([
            self.program("llama-perplexity"), "-m", model, "-f", text, "-c", 512, "-t", self.threads,
            "--kl-divergence-base", out,
        ])

    def divergence(self, model, text, reference):
        """The mean divergence in nats a token."""
        told = command([
            self.program("llama-perplexity"), "-m", model, "-f", text, "-c", 512, "-t", self.threads,
            "--kl-divergence-base", reference, "--kl-divergence",
        ])
        found = re.search(r"Mean\s+KLD:\s+(\S+)", told)
        if not found:
            raise Missing("llama-perplexity names no divergence")
        return float(found.group(1))

    def serve(self, model, chats, positions, flash):
        arguments = [
            self.program("llama-server"), "-m", model, "-np", chats, "-c", chats * positions, "-t", self.threads,
            "-tb", self.threads, "-fa", flash, "--host", "127.0.0.1",
        ]
        return arguments, 18480
