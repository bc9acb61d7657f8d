"""Writes expected.json: what transformers makes of the templates in this folder.

Run with transformers 5 and jinja2 3.1: `python make.py`.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
SPECIAL = [
    "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
    "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "<|system|>",
    "<|user|>", "<|assistant|>", "<|end|>",
]
# As in Qwen, these are added and not special; a run of spaces is ordinary text.
ADDED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>", "    "]
ENDS = {
    "llama2": ("<s>", "</s>"), "llama3": ("<|begin_of_text|>", "<|eot_id|>"), "mistral": ("<s>", "</s>"),
    "gemma": ("<bos>", "<eos>"), "phi": ("<s>", "<|endoftext|>"),
}


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIAL) + 320, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(["user assistant system tool name arguments where is my order you help"] * 3, trainer)
    # Phi's marks take the spaces behind them.
    made.add_special_tokens([AddedToken("<|end|>", rstrip=True, normalized=False, special=True)])
    made.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED])
    return made


def call(name, arguments):
    return {"id": "call_abcde", "type": "function", "function": {"name": name, "arguments": arguments}}


TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "The weather of a city, \"now\" & <here>",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "é ü"}, "days": {"type": "integer", "maximum": 7}}, "required": ["city"]},
    }},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]
USER = {"role": "user", "content": "Where is my order?"}
SYSTEM = {"role": "system", "content": "You are terse."}
ASSISTANT = {"role": "assistant", "content": " On its way.\n"}
CONVERSATIONS = {
    "one": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "  naïve <b>\"café\"</b> & 東京 😀\n\n    code()  "}]},
    "over": {"messages": [USER, ASSISTANT]},
    "two_users": {"messages": [USER, {"role": "user", "content": "Hello?"}]},
    "thoughts": {"messages": [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nSoon."}, {"role": "user", "content": "When?"}, {"role": "assistant", "content": "<think>\nlater\n</think>\n\nLater."}]},
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "calls": {"tools": TOOLS, "messages": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("weather", {"city": "Zürich <&>", "days": 2, "x": [1.0, None]})]},
        {"role": "tool", "content": "{\"sun\": true}", "name": "weather", "tool_call_id": "call_abcde"},
    ]},
}


def main():
    engine = tokenizer()
    engine.save(str(HERE / "tokenizer.json"))
    expected = []
    for path in sorted(HERE.glob("*.jinja")):
        begin, end = ENDS.get(path.stem, (None, "<|im_end|>"))
        wrapped = PreTrainedTokenizerFast(
            tokenizer_object=engine, bos_token=begin, eos_token=end, chat_template=path.read_text()
        )
        for name, conversation in CONVERSATIONS.items():
            for answer_next in (True, False):
                case = {"template": path.stem, "begin": begin, "end": end, "conversation": name, "answer_next": answer_next}
                arguments = {**conversation, "add_generation_prompt": answer_next}
                messages = arguments.pop("messages")
                try:
                    case["text"] = wrapped.apply_chat_template(messages, tokenize=False, **arguments)
                    case["ids"] = wrapped.apply_chat_template(messages, tokenize=True, return_dict=False, **arguments)
                except Exception as fault:
                    case["fault"] = str(fault)
                expected.append(case)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in expected)
    conversations = json.dumps(CONVERSATIONS, ensure_ascii=False)
    (HERE / "expected.json").write_text(f'{{"conversations": {conversations}, "cases": [\n{lines}\n]}}\n')


main()
