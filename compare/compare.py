#!/usr/bin/env python3
"""Bantam beside what a user would take instead, on this machine: in turn, medians, as JSON and as a table.

Example: python3 compare/compare.py --llama-bin ~/llama.cpp/build/bin --python ~/venv/bin/python --real stories260K.bin --text stories.txt
See compare/README.md.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

from programs import Bantam, LlamaCpp, Missing
from rows import ROWS, Bench

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--bantam", type=Path, default=ROOT / "target/release/bantam", help="the program (default: target/release/bantam)")
    add("--llama-bin", type=Path, help="the folder with llama-bench, llama-quantize, llama-server and so on")
    add("--python", type=Path, help="a Python with torch, transformers, onnx, onnxscript and onnxruntime")
    add("--models", type=Path, default=ROOT / "target/compare", help="where models are made and kept (default: target/compare)")
    add("--real", type=Path, help="a Llama with weights that were learnt, for the divergence")
    add("--text", type=Path, help="plain text as that model knows it")
    add("--only", action="append", metavar="ROW", choices=[row[0] for row in ROWS], help="only this row; may be given several times")
    add("--rounds", type=int, default=5, help="rounds, each of Bantam and the peer (default: 5)")
    add("--threads", type=int, default=os.cpu_count(), help="threads of either (default: all)")
    add("--out", type=Path, help="the JSON file; what is in it of other rows stays (default: compare.json beside the models)")
    add("--readme", type=Path, help="a Markdown file whose table between the marks is written anew")
    return parser.parse_args()


def machine(threads):
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}
        model = f"{fields.get('model name', model)}, family {fields.get('cpu family')}, model {fields.get('model')}"
    except OSError:
        pass
    return f"{model}; {threads} threads"


def expect(program):
    try:
        subprocess.run([program, "--version"], capture_output=True)
    except OSError as error:
        raise SystemExit(f"{program}: {error.strerror}; build it with `cargo build --release`, or name it with --bantam")


def shown(row, side):
    value = row.get(side)
    return "" if value is None else f"{value:,.{row['digits']}f}"


def table(rows):
    lines = ["| work | unit | Bantam | peer | | ratio | aim |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        if "ours" not in row:
            lines.append(f"| {row['work']} | | | {row['peer']} | not measured: {row['missing']} | | |")
            continue
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else f"not measured: {row['missing']}"
        aim = f"{row['aim']:.2f} or {'less' if row['less'] else 'more'}"
        lines.append(f"| {row['work']} | {row['unit']} | {shown(row, 'ours')} | {row['peer']} | {shown(row, 'theirs')} | {ratio} | {aim} |")
    return "\n".join(lines)


def measured(rows):
    """How often and on what the figures were made."""
    counts = sorted({len(row["rounds"]["ours"]) for row in rows if "ours" in row})
    if not counts:
        return "Nothing was measured."
    how_often = f"{counts[0]} to {counts[-1]} rounds" if counts[1:] else f"{counts[0]} round{'s' * (counts[0] > 1)}"
    machines = {}
    for row in rows:
        if "ours" in row:
            machines.setdefault(row["machine"], []).append(row["work"])
    named = [on if len(machines) == 1 else f"{on} ({'; '.join(dict.fromkeys(works))})" for on, works in machines.items()]
    return f"Medians of {how_often} in turn, on {', and on '.join(named)}."


def put_into(path, text):
    before, mark, rest = path.read_text().partition(BEGIN)
    if not mark or END not in rest:
        raise SystemExit(f"{path}: no lines {BEGIN} and {END}; put them where the table shall stand")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main():
    asked = arguments()
    expect(asked.bantam)
    asked.models.mkdir(parents=True, exist_ok=True)
    out = asked.out or asked.models / "compare.json"
    known = json.loads(out.read_text())["rows"] if out.exists() else {}
    bench = Bench(
        Bantam(asked.bantam, asked.threads), LlamaCpp(asked.llama_bin, asked.threads), asked.models, asked.python, asked.real, asked.text,
        asked.rounds,
    )
    on = machine(asked.threads)
    for name, work, peer, run in ROWS:
        if asked.only and name not in asked.only:
            continue
        try:
            found = run(bench)
        except Missing as error:
            found = [{"missing": str(error)}]
        known[name] = [{"work": work, "peer": peer, "machine": on, **row} for row in found]
        print(table(known[name]).split("\n", 2)[2], flush=True)
        out.write_text(json.dumps({"rows": known}, indent=1) + "\n")
    rows = [row for name, *_ in ROWS for row in known.get(name, [])]
    text = f"{table(rows)}\n\n{measured(rows)}"
    if asked.readme:
        put_into(asked.readme, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
