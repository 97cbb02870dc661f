"""Teachers for tests: real HTTP servers on loopback that speak the OpenAI protocol.

Their replies follow from the request alone, so two runs that send the same requests get the same replies.
:class:`FakeTeacher` has faults scripted per request number (``faults={3: "500"}``), and the Files and Batches APIs.
:class:`FaultyTeacher` breaks replies on the wire, and keeps the bill.
"""

import asyncio
import contextlib
import hashlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
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


def draw_for(body: dict[str, Any]) -> random.Random:
    """Random numbers that follow from the request's messages."""
    return random.Random(hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest())


def made_tasks(body: dict[str, Any], count: int) -> list[dict[str, str]]:
    """``count`` tasks that follow from the request's messages; with a quote where they show a passage."""
    draw = draw_for(body)
    tasks: list[dict[str, str]] = []
    for _ in range(count):
        words = draw.sample(_WORDS, 11)
        # Little glue between the words: whole sentences of one pattern would be near-duplicates of each other.
        instruction = f"{draw.choice(_VERBS)} {' '.join(words[:4])} and {' '.join(words[4:8])}."
        given = f"{words[8]} 192.0.2.{draw.randrange(256)}/32" if draw.random() < 0.5 else ""
        output = f"The {words[9]} follows the {words[10]}; value {draw.randrange(10**6)}."
        tasks.append({"instruction": instruction, "input": given, "output": output})
    passage = re.search(r"<([\w-]+)>\n(.+?)\n</\1>", body["messages"][-1]["content"], re.DOTALL)
    if passage:
        quote = " ".join(passage[2].split()[:8])
        tasks = [task | {"quote": quote} for task in tasks]
    return tasks


def tasks_for(body: dict[str, Any], count: int) -> str:
    """``count`` numbered tasks that follow from the request's messages."""
    said = body["messages"][-1]["content"]
    first = len(re.findall(r"^\d+\. Instruction: *\S", said, re.MULTILINE)) + 1
    blocks: list[str] = []
    for number, task in enumerate(made_tasks(body, count), first):
        labels = [f"{number}. {label.title()}: {text or '<noinput>'}" for label, text in task.items()]
        blocks.append("\n".join(labels))
    return "\n###\n".join(blocks)


_STEPS = {
    "classification": ("whether a task is a classification", "Is it classification?"),
    "instances": ("Write instances of the last task", "Below are tasks.", "Below are classification tasks."),
    "instructions": ("Continue a list of instructions", "Think of a series of tasks"),
    "judgement": ("Judge task",),
}
"""Words by which the prompt of a step is known."""


def step_of(body: dict[str, Any]) -> str:
    """What the request asks for, by the words of its last message."""
    said = body["messages"][-1]["content"]
    return next((step for step, marks in _STEPS.items() if any(mark in said for mark in marks)), "tasks")


def reply_for(body: dict[str, Any], tasks: int) -> str:
    """A good reply to a request of any step, by its schema where it has one, else as text."""
    step, draw, made = step_of(body), draw_for(body), made_tasks(body, tasks)
    said = body["messages"][-1]["content"]
    if "response_format" in body:
        return json.dumps(_by_schema(body["response_format"]["json_schema"]["schema"], step, draw, made))
    if step == "classification":
        return draw.choice(["yes", "no", "no"])
    if step == "instances":
        parts = (
            {"Class label": "output", "Input": "input"}
            if "Class label" in said
            else {"Input": "input", "Output": "output"}
        )
        lines = [[f"{label}: {task[part] or '<noinput>'}" for label, part in parts.items()] for task in made]
        return "\n".join("\n".join([f"Example {number}", *found]) for number, found in enumerate(lines, 1))
    if step == "instructions":
        first = len(re.findall(r"^\d+\. ", said.rpartition("so far:")[2], re.MULTILINE)) + 1
        return "\n".join(f"{number}. {task['instruction']}" for number, task in enumerate(made, first))
    if step == "judgement":
        judged = range(1, len(set(re.findall(r"<[\w-]+ task (\d+)>", said))) + 1)
        return "\n".join(f"{n}. Reason: as it looks\n{n}. Score: {draw.randint(3, 5)}" for n in judged)
    return tasks_for(body, tasks)


def _by_schema(schema: dict[str, Any], step: str, draw: random.Random, made: list[dict[str, str]]) -> Any:
    """What a reply of this schema holds; its texts are those of the tasks."""
    if step == "tasks":
        return {"tasks": made}
    if step == "instructions":
        return {"instructions": [task["instruction"] for task in made]}
    if step == "classification":
        return {"is_classification": draw.random() < 0.33}
    listed = next(iter(schema["properties"].values()))["items"]["properties"]
    if step == "judgement":
        return {
            "judgements": [
                {"task": n, "reason": "as it looks", "score": draw.randint(3, 5)} for n in listed["task"]["enum"]
            ]
        }
    return {"instances": [{name: task["output" if name == "label" else name] for name in listed} for task in made]}


class FakeTeacher:
    """Use as a context manager; ``url`` is the base URL.

    ``structured=False`` refuses ``response_format`` in OpenAI's words; ``max_model_len`` stands in the list of models.

    Attributes:
        served: How often each request (by the SHA-256 of its whole body, seed included) was answered with status 200.
        received: Requests received, faults included.
    """

    def __init__(
        self,
        tasks: int = 2,
        latency: float = 0.0,
        faults: dict[int, str] | None = None,
        model: str = "fake",
        structured: bool = True,
        max_model_len: int | None = None,
    ) -> None:
        self.tasks = tasks
        self.structured = structured
        self.max_model_len = max_model_len
        self.latency = latency
        self.faults = faults or {}
        self.model = model
        self.served: Counter[str] = Counter()
        self.received = 0
        self.batches = FakeBatches(self)
        self.lock = threading.Lock()
        teacher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Nagle's algorithm holds each reply back for 40 ms.
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.endswith("/models"):
                    self._send(*teacher.models())
                else:
                    self._send(*teacher.batches.get(path.removeprefix("/v1/")))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                data = self.rfile.read(length)
                if len(data) < length:
                    return  # The client went away.
                if self.path.endswith("/files"):
                    self._send(*teacher.batches.upload(self.headers["Content-Type"], data))
                elif self.path.endswith("/batches"):
                    self._send(*teacher.batches.create(json.loads(data)))
                else:
                    self._send(*teacher.answer(json.loads(data)))

            def _send(self, status: int, payload: Any) -> None:
                data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
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

    def models(self) -> tuple[int, Any]:
        model = {"id": self.model, "object": "model"}
        window = {} if self.max_model_len is None else {"max_model_len": self.max_model_len}
        return 200, {"object": "list", "data": [model | window]}

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
        if "response_format" in body and not self.structured:
            said = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
            return 400, {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}}
        with self.lock:
            self.served[hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()] += 1
        text = "I am sorry, I cannot do that." if fault == "nonsense" else reply_for(body, self.tasks)
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


class FakeBatches:
    """The Files and Batches APIs of a :class:`FakeTeacher`.

    Attributes:
        polls: A batch ends at this poll.
        outcomes: By number of the batch, "completed" by default. "expired" and "cancelled": every second request has no
            reply. "too_large" and "failed": not begun. "errors": every second line is an error 500. "torn": the output
            breaks off in the middle. "gone": the files are not there any more.
        lost_creations: So many creations are done and answered with 500.
        created: Batches created.
        asked: Times that a batch was polled.
    """

    def __init__(self, teacher: "FakeTeacher") -> None:
        self.polls = 1
        self.outcomes: dict[int, str] = {}
        self.lost_creations = 0
        self.created: list[dict[str, Any]] = []
        self.asked = 0
        self._teacher = teacher
        self._files: dict[str, bytes] = {}

    def upload(self, content_type: str, data: bytes) -> tuple[int, Any]:
        boundary = b"--" + content_type.partition("boundary=")[2].encode()
        parts = [part.strip(b"\r\n").partition(b"\r\n\r\n") for part in data.split(boundary)[1:-1]]
        form = {head.partition(b'name="')[2].partition(b'"')[0]: content for head, _, content in parts}
        assert form[b"purpose"] == b"batch"
        return 200, {"id": self._store(form[b"file"]), "object": "file"}

    def create(self, body: dict[str, Any]) -> tuple[int, Any]:
        identity = f"batch_{len(self.created)}"
        lines = [json.loads(line) for line in self._files[body["input_file_id"]].splitlines()]
        batch = {"id": identity, "object": "batch", "status": "validating", "polls": 0, **body}
        self.created.append(batch | {"lines": lines})
        if self.lost_creations:
            self.lost_creations -= 1
            return 500, {"error": {"message": "scripted 500"}}
        return 200, batch

    def get(self, path: str) -> tuple[int, Any]:
        kind, _, rest = path.partition("/")
        if kind == "files":
            data = self._files.get(rest.removesuffix("/content"))
            return (404, {"error": {"message": "no such file"}}) if data is None else (200, data)
        if not rest:
            return 200, {"object": "list", "data": [self._shown(batch) for batch in reversed(self.created)]}
        number = next((n for n, batch in enumerate(self.created) if batch["id"] == rest), None)
        if number is None:
            return 404, {"error": {"message": "no such batch"}}
        batch = self.created[number]
        self.asked += 1
        batch["polls"] += 1
        if batch["polls"] == self.polls:
            self._end(batch, self.outcomes.get(number, "completed"))
        elif batch["polls"] < self.polls:
            batch["status"] = "in_progress"
        return 200, self._shown(batch)

    def _end(self, batch: dict[str, Any], outcome: str) -> None:
        if outcome in ("failed", "too_large"):
            code = "token_limit_exceeded" if outcome == "too_large" else "invalid_request"
            batch |= {"status": "failed", "errors": {"data": [{"code": code, "message": f"scripted {outcome}"}]}}
            return
        good: list[bytes] = []
        bad: list[bytes] = []
        for number, line in enumerate(batch["lines"]):
            half = outcome in ("expired", "cancelled", "errors") and number % 2
            status, body = (500, {}) if half else self._teacher.answer(line["body"])
            result = {"id": "r", "custom_id": line["custom_id"], "response": {"status_code": status, "body": body}}
            if half and outcome != "errors":
                result |= {"response": None, "error": {"code": f"batch_{outcome}", "message": "not run"}}
            (good if status == 200 else bad).append(json.dumps(result).encode() + b"\n")
        output = b"".join(good)
        output = output[: len(output) // 2] if outcome == "torn" else output
        batch |= {"output_file_id": self._store(output), "error_file_id": self._store(b"".join(bad))}
        batch["status"] = outcome if outcome in ("expired", "cancelled") else "completed"
        if outcome == "gone":
            self._files.clear()

    def _store(self, data: bytes) -> str:
        identity = f"file-{len(self._files)}"
        self._files[identity] = data
        return identity

    def _shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        counts = {"completed": 0, "failed": 0, "total": len(batch["lines"])}
        return {key: value for key, value in batch.items() if key != "lines"} | {"request_counts": counts}


@dataclass(frozen=True)
class Charge:
    """What the endpoint puts on the bill for one attempt."""

    index: int
    prompt_tokens: int
    completion_tokens: int


@dataclass
class Attempt:
    """One request as it arrived."""

    index: int
    """The request's own seed: its index in a run of seed 0."""
    number: int
    """How often it came before."""
    body: dict[str, Any]
    in_flight: int
    """Requests at the endpoint with it, itself included."""


@dataclass
class FaultyTeacher:
    """An endpoint that breaks replies on the wire; raw HTTP on asyncio, in a thread of its own. A context manager.

    ``fault`` names what goes wrong with an attempt, or nothing: "429", "429 retry" (with Retry-After), another status,
    "hang", "reset", "cut", "truncated", "encoding", "trickle", "no_choices", "no_usage", "length", "content_filter".
    All but the refusals (4xx) are charged for, lost replies at the most they can cost.
    """

    fault: Callable[[Attempt], str] = lambda _: ""
    latency: Callable[[Attempt], float] = lambda _: 0.0
    """In seconds."""
    tasks: int = 1
    retry_after_s: int = 1
    bill: list[Charge] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    loads: list[int] = field(default_factory=list)
    """Requests in flight at each arrival."""

    def __enter__(self) -> "FaultyTeacher":
        self._in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self._port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def start(self) -> None:
        """Listen, after :meth:`stop` at the same address."""

        async def listen() -> None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, backlog=256)
            self._port = self._server.sockets[0].getsockname()[1]

        self._here(listen())

    def stop(self) -> None:
        """Die: no new connection, and resets on the old ones."""

        async def close() -> None:
            self._server.close()
            for writer in list(self._connections):
                _reset(writer)

        self._here(close())

    def _here(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get "):
                    writer.write(_response(404, b"{}"))  # It has no list of models.
                    continue
                length = head.split(b"content-length:")[1].split(b"\r\n")[0]
                body = json.loads(await reader.readexactly(int(length)))
                self._in_flight += 1
                try:
                    await self._answer(body, reader, writer)
                finally:
                    self._in_flight -= 1
        self._connections.discard(writer)
        writer.close()

    async def _answer(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index = int(body["seed"])
        attempt = Attempt(index, self.attempts[index], body, self._in_flight)
        self.attempts[index] += 1
        self.loads.append(self._in_flight)
        fault = self.fault(attempt)
        self.faults[fault] += 1
        if seconds := self.latency(attempt):
            await asyncio.sleep(seconds)
        if fault[:1] == "4":
            header = b"Retry-After: %d\r\n" % self.retry_after_s if "retry" in fault else b""
            writer.write(_response(int(fault[:3]), json.dumps({"error": {"message": fault}}).encode(), header))
            return
        prompt = sum(len(message["content"].encode()) for message in body["messages"]) // 3
        delivered = fault in ("", "no_choices", "length", "content_filter")
        completion = 40 if delivered else body["max_tokens"]
        self.bill.append(Charge(index, prompt, completion))
        data = json.dumps(self._completion(attempt, fault, prompt, completion)).encode()
        if fault == "hang":
            await reader.read(1)
            raise ConnectionResetError
        if fault == "trickle":
            for byte in _response(200, data):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
                if reader.at_eof() or writer.transport.is_closing():
                    raise ConnectionResetError
        else:
            self._deliver(fault, data, writer)

    def _completion(self, attempt: Attempt, fault: str, prompt: int, completion: int) -> dict[str, Any]:
        reason = fault if fault in ("length", "content_filter") else "stop"
        message = {"role": "assistant", "content": reply_for(attempt.body, self.tasks)}
        choices = [] if fault == "no_choices" else [{"index": 0, "message": message, "finish_reason": reason}]
        usage = {"prompt_tokens": prompt, "completion_tokens": completion}
        return {"object": "chat.completion", "choices": choices} | ({} if fault == "no_usage" else {"usage": usage})

    def _deliver(self, fault: str, data: bytes, writer: asyncio.StreamWriter) -> None:
        if fault == "reset":
            _reset(writer)
            raise ConnectionResetError
        if fault == "truncated":
            # Whole for HTTP, half for JSON.
            writer.write(_response(200, data[: len(data) // 2]))
        elif fault == "cut":
            writer.write(_response(200, data)[:-10])
            raise ConnectionResetError
        elif fault == "encoding":
            writer.write(_response(200, b'{"choices": "\xff\xfe\xe9"}'))
        elif fault.isdigit():
            writer.write(_response(int(fault), b'{"error": {"message": "scripted"}}'))
        else:
            writer.write(_response(200, data))


def _response(status: int, data: bytes, header: bytes = b"") -> bytes:
    start = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    return start % (status, header, len(data)) + data


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
