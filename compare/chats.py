"""Many chats at a time with a server of OpenAI's interface, all in one thread, so that the client takes little of the machine."""

import json
import random
import re
import selectors
import socket
import subprocess
import time
import urllib.request

from programs import Missing

READY_SECONDS = 60


class Server:
    """A server while it is measured."""

    def __init__(self, arguments, port):
        arguments = list(map(str, arguments))
        if port is not None:
            arguments += ["--port", str(port)]
        pipe = subprocess.PIPE if port is None else subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT if port is None else pipe, text=True
            )
        except FileNotFoundError as error:
            raise Missing(f"{arguments[0]} is not there") from error
        self.port = port if port is not None else self.told_port()
        self.wait()

    def told_port(self):
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                return int(found.group(1))
        raise Missing("the server ended before it told where it listens")

    def wait(self):
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise Missing("the server was not ready in time")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def request(vocabulary, prompt, tokens, generator):
    body = json.dumps({
        "model": "chat",
        "prompt": [generator.randrange(300, vocabulary) for _ in range(prompt)],
        "max_tokens": tokens,
        "temperature": 0,
        "logit_bias": {"0": -100},
        "stream": True,
    }).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def measure(server, count, vocabulary, prompt, tokens, seed):
    """Answer tokens per second in sum, and the milliseconds between the tokens of a chat that 99 % are below."""
    generator, chooser = random.Random(seed), selectors.DefaultSelector()
    requests = [request(vocabulary, prompt, tokens, generator) for _ in range(count)]
    began, times, ends = time.perf_counter(), [[] for _ in requests], [b""] * count
    for index, bytes_ in enumerate(requests):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(bytes_)
        connection.setblocking(False)
        chooser.register(connection, selectors.EVENT_READ, index)
    while chooser.get_map():
        for key, _ in chooser.select():
            received = key.fileobj.recv(1 << 16)
            now, index = time.perf_counter(), key.data
            # A mark may come in two pieces.
            seen = ends[index] + received
            times[index] += [now] * (seen.count(b"data: {") - ends[index].count(b"data: {"))
            ends[index] = seen[-64:] if received else seen
            if not received:
                chooser.unregister(key.fileobj)
                key.fileobj.close()
                if b"[DONE]" not in ends[index]:
                    raise Missing(f"an answer broke off: {ends[index]!r}")
    seconds = max(last for *_, last in times) - began
    gaps = sorted(1e3 * (b - a) for chat in times for a, b in zip(chat, chat[1:]))
    return {
        "tokens_per_second": count * tokens / seconds,
        "p99": gaps[min(len(gaps) - 1, len(gaps) * 99 // 100)],
    }
