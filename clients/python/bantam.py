"""Where the servers are, and what the tests of several clients ask."""

import os

URL = os.environ["BANTAM_URL"]
BUSY_URL = os.environ["BANTAM_BUSY_URL"]
KEY = os.environ["BANTAM_KEY"]
MODEL = "tiny"
BUNDLE = "sample"

MESSAGES = [{"role": "system", "content": "help"}, {"role": "user", "content": "where is my order"}]

# The model knows nothing, and would go on with spaces, which JSON allows, for long.
NO_LOOPS = {"max_tokens": 500, "frequency_penalty": 2}

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["order", "refund"]}, "sure": {"type": "boolean"}},
    "required": ["label", "sure"],
    "additionalProperties": False,
}

FUNCTION = {
    "name": "track",
    "description": "Tracks a parcel",
    "parameters": {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": ["order", "refund"]}},
        "required": ["kind"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": FUNCTION}]
