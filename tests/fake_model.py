"""A model behind an endpoint on loopback: written answers, and log-likelihoods as vLLM gives them."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeModel:
    """Answers every question alike, and holds the token with number n likely at -n / 1000.

    Attributes:
        says: What it answers, or how it finds an answer to the last message.
        scores: Whether ``/completions`` knows ``echo``.
        dies_after: From so many requests on, it answers with an error 500.
        completes: What ``/completions`` answers in the place of the usual, by how many of its prompts came before: a
            status and a body; None is the usual.
        uses: Tokens that it says each answer took.
        asked: Bodies of the requests that it answered, by path.
    """

    def __init__(self, says: str | Callable[[str], str] = "True", scores: bool = True) -> None:
        self.says, self.scores = says, scores
        self.dies_after: int | None = None
        self.uses = 12
        self.completes: Callable[[int], tuple[int, Any] | None] = lambda _: None
        self.asked: dict[str, list[dict[str, Any]]] = {"/v1/chat/completions": [], "/v1/completions": []}
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._send(*model._answer(self.path, body))

            def _send(self, status: int, payload: Any) -> None:
                data = json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "FakeModel":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, body: dict[str, Any]) -> str:
        return self.says if isinstance(self.says, str) else self.says(body["messages"][-1]["content"])

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        with self._lock:
            if self.dies_after is not None and sum(map(len, self.asked.values())) >= self.dies_after:
                return 500, {"error": {"message": "out of order"}}
            if path == "/v1/completions" and not self.scores:
                return 400, {"error": {"message": "echo is not supported"}}
            self.asked[path].append(body)
            odd = self.completes(len(self.asked[path]) - 1) if path == "/v1/completions" else None
        if odd is not None:
            return odd
        if path == "/v1/completions":
            choices = [
                {"index": index, "text": "", "finish_reason": "length", "logprobs": self._logprobs(tokens)}
                for index, tokens in enumerate(body["prompt"])
            ]
        else:
            message = {"role": "assistant", "content": self._reply(body)}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        usage = {"prompt_tokens": self.uses - 2, "completion_tokens": 2, "total_tokens": self.uses}
        return 200, {"id": "x", "object": "x", "created": 0, "model": "fake", "choices": choices, "usage": usage}

    def _logprobs(self, tokens: list[int]) -> dict[str, Any]:
        # One more for the token that was generated.
        return {"token_logprobs": [None, *(-token / 1000 for token in tokens[1:]), -9.0], "tokens": []}
