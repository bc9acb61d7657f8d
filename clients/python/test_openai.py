"""The `openai` package, as it is, against `bantam serve`."""

import asyncio
import json
import re
import time
import unittest
import urllib.request
from typing import Literal

import openai
from pydantic import BaseModel

from bantam import BUNDLE, BUSY_URL, FUNCTION, KEY, MESSAGES, MODEL, NO_LOOPS, SCHEMA, TOOLS, URL


class Answer(BaseModel):
    label: Literal["order", "refund"]
    sure: bool


def client(url=URL, key=KEY, retries=0):
    return openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=retries, timeout=30)


def metric(name):
    request = urllib.request.Request(URL + "/metrics", headers={"Authorization": "Bearer " + KEY})
    lines = urllib.request.urlopen(request).read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


class Chats(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def create(self, **fields):
        fields = {"model": MODEL, "messages": MESSAGES, "max_completion_tokens": 20, "seed": 3, **fields}
        return self.client.chat.completions.create(**fields)

    def test_a_message_and_its_usage(self):
        answer = self.create()
        self.assertEqual((answer.object, answer.model), ("chat.completion", MODEL))
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 20)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 20)

    def test_a_stream_is_the_message(self):
        whole = self.create()
        chunks = list(self.create(stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "length")
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_the_streaming_helper_follows_it(self):
        fields = {"model": MODEL, "messages": MESSAGES, "response_format": Answer, "seed": 3, **NO_LOOPS}
        with self.client.chat.completions.stream(**fields) as stream:
            deltas = [event.delta for event in stream if event.type == "content.delta"]
            final = stream.get_final_completion().choices[0].message
        self.assertEqual("".join(deltas), final.content)
        self.assertIsInstance(final.parsed, Answer)

    def test_a_seed_repeats_an_answer(self):
        texts = [self.create(seed=seed).choices[0].message.content for seed in (5, 5, 6)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_a_stop_text_ends_it_and_is_not_told(self):
        whole = self.create(temperature=0).choices[0].message.content
        # Two letters: of what else it writes, some is no whole character.
        stop = re.search("[a-z]{2}", whole[4:]).group()
        cut = self.create(temperature=0, stop=[stop, "never said"]).choices[0]
        self.assertEqual((cut.message.content, cut.finish_reason), (whole[: whole.index(stop)], "stop"))

    def test_several_answers(self):
        answers = self.create(n=3).choices
        self.assertEqual([answer.index for answer in answers], [0, 1, 2])
        self.assertEqual(len({answer.message.content for answer in answers}), 3)

    def test_log_probabilities(self):
        told = self.create(logprobs=True, top_logprobs=4).choices[0].logprobs.content
        self.assertEqual(len(told), 20)
        for token in told:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 4)
            tops = [top.logprob for top in token.top_logprobs]
            self.assertEqual(tops, sorted(tops, reverse=True))
            self.assertEqual(bytes(token.bytes).decode() if not token.token.startswith("bytes:") else token.token, token.token)
        streamed = [chunk.choices[0].logprobs for chunk in self.create(logprobs=True, stream=True) if chunk.choices]
        self.assertEqual([entry.token for part in streamed if part for entry in part.content], [t.token for t in told])

    def test_a_schema_holds(self):
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
        for seed in range(4):
            answer = self.client.chat.completions.create(
                model=MODEL, messages=MESSAGES, response_format=form, seed=seed, **NO_LOOPS
            )
            Answer.model_validate_json(answer.choices[0].message.content)
        parsed = self.client.chat.completions.parse(
            model=MODEL, messages=MESSAGES, response_format=Answer, seed=3, **NO_LOOPS
        )
        self.assertIsInstance(parsed.choices[0].message.parsed, Answer)
        with self.assertRaises(openai.BadRequestError) as raised:
            self.create(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}})
        self.assertEqual(raised.exception.param, "response_format")

    def test_a_tool_is_called_and_its_result_taken(self):
        answer = self.create(tools=TOOLS, tool_choice="required", frequency_penalty=2, max_completion_tokens=500)
        message = answer.choices[0].message
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        call = message.tool_calls[0]
        self.assertEqual((call.type, call.function.name), ("function", "track"))
        self.assertIn(json.loads(call.function.arguments)["kind"], ["order", "refund"])
        result = {"role": "tool", "tool_call_id": call.id, "content": "on its way"}
        again = self.create(messages=[*MESSAGES, message, result], tools=TOOLS, tool_choice="none")
        self.assertIsNone(again.choices[0].message.tool_calls)
        self.assertTrue(again.choices[0].message.content)

    def test_a_streamed_call_of_a_tool(self):
        named = {"type": "function", "function": {"name": "track"}}
        chunks = list(self.create(tools=TOOLS, tool_choice=named, stream=True, frequency_penalty=2, max_completion_tokens=500))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertTrue(calls and calls[0].index == 0 and calls[0].id and calls[0].function.name == "track")
        arguments = "".join(call.function.arguments for call in calls if call.index == 0)
        self.assertIn(json.loads(arguments)["kind"], ["order", "refund"])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_leaving_a_stream_ends_the_answer(self):
        before = metric("bantam_cancelled_answers_total")
        stream = self.create(stream=True, max_completion_tokens=20_000, extra_body={"ignore_eos": True})
        for _, chunk in zip(range(5), stream):
            self.assertTrue(chunk.id)
        stream.close()
        for _ in range(100):
            if metric("bantam_cancelled_answers_total") > before:
                return
            time.sleep(0.05)
        self.fail("the answer goes on")


    def test_fields_that_change_nothing_are_passed_over(self):
        plain = self.create().choices[0].message.content
        more = self.create(
            user="ann", metadata={"a": "b"}, store=False, parallel_tool_calls=False, service_tier="auto",
            messages=[
                {"role": "developer", "content": "help"},
                {"role": "user", "content": [{"type": "text", "text": "where is my order"}]},
            ],
        )
        self.assertTrue(more.choices[0].message.content)
        self.assertEqual(self.create(user="ann", store=False).choices[0].message.content, plain)

    def test_many_at_a_time_are_each_as_alone(self):
        async def together():
            async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0) as client:
                ask = client.chat.completions.create
                fields = {"model": MODEL, "messages": MESSAGES, "max_tokens": 20}
                return await asyncio.gather(*(ask(**fields, seed=seed % 3) for seed in range(12)))

        texts = [answer.choices[0].message.content for answer in asyncio.run(together())]
        self.assertEqual(texts[:3] * 4, texts)
        self.assertEqual(self.create(seed=2).choices[0].message.content, texts[2])


class Others(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def test_completions(self):
        fields = {"model": MODEL, "prompt": ["where is", "i want"], "max_tokens": 6, "temperature": 0}
        whole = self.client.completions.create(**fields, logprobs=2)
        self.assertEqual([choice.index for choice in whole.choices], [0, 1])
        self.assertEqual(len(whole.choices[0].logprobs.tokens), 6)
        self.assertEqual(whole.usage.completion_tokens, 12)
        texts = ["", ""]
        for chunk in self.client.completions.create(**fields, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        self.assertEqual(texts, [choice.text for choice in whole.choices])

    def test_embeddings(self):
        for model in (MODEL, BUNDLE):
            # The client asks for base64 unless told otherwise.
            packed = self.client.embeddings.create(model=model, input=["where is my order", "i want a refund"])
            plain = self.client.embeddings.create(model=model, input=["where is my order"], encoding_format="float")
            self.assertEqual([row.index for row in packed.data], [0, 1])
            for a, b in zip(packed.data[0].embedding, plain.data[0].embedding, strict=True):
                self.assertAlmostEqual(a, b, places=6)
            self.assertAlmostEqual(sum(x * x for x in plain.data[0].embedding), 1, places=4)
            self.assertGreater(packed.usage.total_tokens, 0)

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], [MODEL, BUNDLE])
        self.assertEqual(self.client.models.retrieve(MODEL).owned_by, "bantam")

    def test_responses(self):
        first = self.client.responses.create(model=MODEL, input="where is my order", instructions="help", max_output_tokens=15)
        self.assertEqual((first.object, first.status), ("response", "incomplete"))
        self.assertEqual(first.incomplete_details.reason, "max_output_tokens")
        self.assertTrue(first.output_text)
        self.assertEqual(first.usage.output_tokens, 15)
        second = self.client.responses.create(
            model=MODEL, input="and my refund", previous_response_id=first.id, max_output_tokens=15
        )
        self.assertEqual(second.previous_response_id, first.id)
        self.assertGreater(second.usage.input_tokens, first.usage.input_tokens)
        self.assertEqual(self.client.responses.retrieve(first.id).output_text, first.output_text)
        self.client.responses.delete(first.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(first.id)

    def test_streamed_responses(self):
        fields = {"model": MODEL, "input": MESSAGES, "temperature": 0, "max_output_tokens": 12}
        whole = self.client.responses.create(**fields)
        events = list(self.client.responses.create(**fields, stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(text, whole.output_text)
        self.assertEqual(events[-1].type, "response.incomplete")
        self.assertEqual(events[-1].response.output_text, text)
        with self.client.responses.stream(**fields) as stream:
            helped = [event.delta for event in stream if event.type == "response.output_text.delta"]
        self.assertEqual("".join(helped), text)

    def test_responses_have_forms_and_call_tools(self):
        parsed = self.client.responses.parse(
            model=MODEL, input=MESSAGES, text_format=Answer, extra_body={"frequency_penalty": 2}
        )
        self.assertIsInstance(parsed.output_parsed, Answer)
        tools = [{"type": "function", "strict": True, **FUNCTION}]
        fields = {"model": MODEL, "tools": tools, "extra_body": {"frequency_penalty": 2}, "max_output_tokens": 500}
        called = self.client.responses.create(**fields, input=MESSAGES, tool_choice="required")
        call = called.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "track"))
        self.assertIn(json.loads(call.arguments)["kind"], ["order", "refund"])
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "on its way"}
        after = self.client.responses.create(**fields, input=[result], previous_response_id=called.id, tool_choice="none")
        self.assertEqual(after.output[0].type, "message")
        with self.client.responses.stream(**fields, input=MESSAGES, tool_choice="required") as stream:
            kinds = [event.type for event in stream]
        self.assertIn("response.function_call_arguments.done", kinds)


class Errors(unittest.TestCase):
    def ask(self, one, **fields):
        self.addCleanup(one.close)
        return one.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, "max_tokens": 2, **fields})

    def test_each_has_its_class(self):
        with self.assertRaises(openai.AuthenticationError) as raised:
            self.ask(client(key="wrong"))
        self.assertEqual(raised.exception.code, "invalid_api_key")
        with self.assertRaises(openai.NotFoundError) as raised:
            self.ask(client(), model="nowhere")
        self.assertEqual((raised.exception.code, raised.exception.param), ("model_not_found", "model"))
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask(client(), temperature=-1)
        self.assertEqual(raised.exception.param, "temperature")
        self.assertIn("temperature", raised.exception.message)
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask(client(), messages=[{"role": "user", "content": "where is my order " * 20_000}])
        self.assertEqual(raised.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.InternalServerError) as raised:
            self.ask(client(), extra_headers={"x-deadline-seconds": "0.000001"})
        self.assertEqual(raised.exception.code, "deadline")
        with self.assertRaises(openai.APIError) as raised:
            list(self.ask(client(), stream=True, extra_headers={"x-deadline-seconds": "0.000001"}))
        self.assertIn("in time", raised.exception.message)
        with self.assertRaises(openai.BadRequestError):
            image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
            self.ask(client(), messages=[{"role": "user", "content": [image]}])
        with self.assertRaises(openai.NotFoundError):
            client().audio.speech.create(model=MODEL, input="a", voice="alloy")

    def test_a_full_queue_is_a_rate_limit_and_asking_again_helps(self):
        long = {"stream": True, "max_tokens": 30_000, "extra_body": {"ignore_eos": True}}
        running = self.ask(client(BUSY_URL), **long)
        next(iter(running))
        waiting = self.ask(client(BUSY_URL), **long)
        with self.assertRaises(openai.RateLimitError) as raised:
            self.ask(client(BUSY_URL))
        self.assertEqual(raised.exception.code, "queue_full")
        self.assertGreater(int(raised.exception.response.headers["retry-after"]), 0)
        running.close()
        waiting.close()
        self.assertTrue(self.ask(client(BUSY_URL, retries=4)).choices)
