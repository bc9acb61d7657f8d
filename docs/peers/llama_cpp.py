"""What llama.cpp makes of a GGUF file. Needs xllamacpp (the log's figures: 2026.10.11549).

python llama_cpp.py text FILE           256 tokens, each the likeliest, from the token that begins a text
python llama_cpp.py ids FILE TEXTS      the ids of each text of a JSON list, as JSON, without tokens around them
"""

import json
import os
import sys
import urllib.request

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[2]
parameters.n_ctx = 512
parameters.n_gpu_layers = 0
parameters.n_parallel = 1
parameters.warmup = False
server = xllamacpp.Server(parameters)

if sys.argv[1] == "text":
    answer = server.handle_completions({"prompt": [1], "temperature": 0, "top_k": 1, "repeat_penalty": 1.0, "max_tokens": 256})
    answer = json.loads(answer) if isinstance(answer, str) else answer
    print(answer["choices"][0]["text"])
else:
    ids = []
    for text in json.load(open(sys.argv[3])):
        body = json.dumps({"content": text, "add_special": False, "parse_special": False}).encode()
        request = urllib.request.Request(server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        ids.append(json.load(urllib.request.urlopen(request))["tokens"])
    print(json.dumps(ids))
sys.stdout.flush()
# The server's threads would keep the program.
os._exit(0)
