"""`huggingface_hub.InferenceClient`, as it is, against `bantam serve`."""

import json
import unittest

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from bantam import BUNDLE, KEY, MESSAGES, MODEL, NO_LOOPS, SCHEMA, TOOLS, URL


class Chats(unittest.TestCase):
    def setUp(self):
        self.client = InferenceClient(base_url=URL, api_key=KEY, timeout=30)

    def ask(self, **fields):
        return self.client.chat_completion(MESSAGES, **{"model": MODEL, "max_tokens": 20, "seed": 3, **fields})

    def test_a_stream_is_the_message(self):
        whole = self.ask()
        self.assertEqual((whole.choices[0].finish_reason, whole.usage.completion_tokens), ("length", 20))
        chunks = list(self.ask(stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].usage.completion_tokens, 20)

    def test_a_client_that_names_no_model(self):
        self.assertEqual(InferenceClient(URL, token=KEY).chat_completion(MESSAGES, max_tokens=2).model, MODEL)
        self.assertEqual(InferenceClient(URL + "/v1", token=KEY).chat_completion(MESSAGES, max_tokens=2).model, MODEL)

    def test_a_text_is_gone_on_with(self):
        for url in [URL + "/", f"{URL}/models/{MODEL}"]:
            client = InferenceClient(url, token=KEY)
            whole = client.text_generation("where is my order", max_new_tokens=6, details=True)
            self.assertEqual(whole.details.generated_tokens, len(whole.details.tokens))
            self.assertEqual(client.text_generation("where is my order", max_new_tokens=6), whole.generated_text)
            pieces = client.text_generation("where is my order", max_new_tokens=6, stream=True)
            self.assertEqual("".join(pieces), whole.generated_text)
            told = list(client.text_generation("where is my order", max_new_tokens=6, stream=True, details=True))
            self.assertEqual(told[-1].generated_text, whole.generated_text)

    def test_a_chat_at_the_address_of_a_model(self):
        client = InferenceClient(f"{URL}/models/{MODEL}", token=KEY)
        self.assertEqual(client.chat_completion(MESSAGES, max_tokens=2).model, MODEL)

    def test_its_openai_spelling(self):
        answer = self.client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=4, stop=["zzz"])
        self.assertTrue(answer.choices[0].message.content)

    def test_log_probabilities(self):
        told = self.ask(logprobs=True, top_logprobs=2).choices[0].logprobs.content
        self.assertEqual((len(told), len(told[0].top_logprobs)), (20, 2))

    def test_a_schema_holds(self):
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
        for seed in range(4):
            text = self.ask(response_format=form, seed=seed, **NO_LOOPS).choices[0].message.content
            value = json.loads(text)
            self.assertEqual(sorted(value), ["label", "sure"])
            self.assertIn(value["label"], ["order", "refund"])

    def test_a_tool_is_called(self):
        answer = self.ask(tools=TOOLS, tool_choice="required", **NO_LOOPS)
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "track")
        self.assertIn(json.loads(call.function.arguments)["kind"], ["order", "refund"])

    def test_errors(self):
        with self.assertRaises(HfHubHTTPError) as raised:
            self.ask(model="nowhere")
        self.assertEqual(raised.exception.response.status_code, 404)
        with self.assertRaises(HfHubHTTPError) as raised:
            InferenceClient(URL, token="wrong").chat_completion(MESSAGES)
        self.assertEqual(raised.exception.response.status_code, 401)


class Tasks(unittest.TestCase):
    def test_labels(self):
        client = InferenceClient(model=f"{URL}/models/{BUNDLE}", token=KEY)
        labels = client.text_classification("where is my order", top_k=2)
        self.assertEqual(len(labels), 2)
        self.assertGreaterEqual(labels[0].score, labels[1].score)

    def test_features(self):
        client = InferenceClient(model=f"{URL}/models/{BUNDLE}/pipeline/feature-extraction", token=KEY)
        rows = client.feature_extraction(["where is my order", "i want a refund"])
        self.assertEqual(rows.shape[0], 2)
