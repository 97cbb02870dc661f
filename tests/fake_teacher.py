"""A teacher for tests: a real HTTP server on loopback that speaks the OpenAI chat protocol.

Its replies follow from the request alone, so two runs that send the same requests get the same replies. Faults are
scripted per request number: ``faults={3: "500"}``.
"""

import hashlib
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SUBJECTS = (
    "hold timer keepalive session neighbour prefix origin community attribute collector policy filter damping",
    "capability confederation reflector aggregate withdrawal announcement validation leak hijack blackhole",
    "nexthop multihop preference",
)
_WORDS = " ".join(_SUBJECTS).split()
_VERBS = (
    "Describe",
    "Compare",
    "List",
    "Derive",
    "Diagnose",
    "Summarise",
    "Configure",
    "Verify",
    "Classify",
    "Estimate",
)


def tasks_for(body: dict[str, Any], count: int) -> str:
    """``count`` numbered tasks that follow from the request's messages."""
    digest = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()
    draw = random.Random(digest)
    blocks: list[str] = []
    for number in range(1, count + 1):
        words = draw.sample(_WORDS, 11)
        # Little glue between the words: whole sentences of one pattern would be near-duplicates of each other.
        instruction = f"{draw.choice(_VERBS)} {' '.join(words[:4])} and {' '.join(words[4:8])}."
        given = f"{words[8]} 192.0.2.{draw.randrange(256)}/32" if draw.random() < 0.5 else "<noinput>"
        output = f"The {words[9]} follows the {words[10]}; value {draw.randrange(10**6)}."
        blocks.append(
            f"###\n{number}. Instruction: {instruction}\n{number}. Input: {given}\n{number}. Output: {output}"
        )
    return "\n".join(blocks)


class FakeTeacher:
    """Use as a context manager; ``url`` is the base URL.

    Attributes:
        served: How often each request (by the SHA-256 of its whole body, seed included) was answered with status 200.
        received: Requests received, faults included.
    """

    def __init__(
        self, tasks: int = 2, latency: float = 0.0, faults: dict[int, str] | None = None, model: str = "fake"
    ) -> None:
        self.tasks = tasks
        self.latency = latency
        self.faults = faults or {}
        self.model = model
        self.served: Counter[str] = Counter()
        self.received = 0
        self.lock = threading.Lock()
        teacher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Nagle's algorithm holds each reply back for 40 ms.
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": teacher.model, "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, payload = teacher.answer(body)
                self._send(status, payload)

            def _send(self, status: int, payload: dict[str, Any]) -> None:
                data = json.dumps(payload).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except ConnectionError:
                    pass  # The client was killed: that is what some tests are about.

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "FakeTeacher":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            number = self.received
            self.received += 1
        fault = self.faults.get(number, self.faults.get(-1, ""))
        if self.latency:
            time.sleep(self.latency)
        if fault in ("401", "403", "404", "429", "500", "400"):
            return int(fault), {"error": {"message": f"scripted {fault}", "type": "error", "code": None}}
        if body["model"] != self.model:
            return 404, {"error": {"message": f"The model '{body['model']}' does not exist", "code": "model_not_found"}}
        with self.lock:
            self.served[hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()] += 1
        text = "I am sorry, I cannot do that." if fault == "nonsense" else tasks_for(body, self.tasks)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if fault == "length" else "stop",
        }
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        reply = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [] if fault == "no_choices" else [choice],
        }
        return 200, reply if fault == "no_usage" else {**reply, "usage": usage}
