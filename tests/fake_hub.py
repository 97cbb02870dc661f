"""A Hugging Face hub for tests: a real HTTP server on loopback that speaks what huggingface_hub uses to upload.

It knows whoami, repositories, the check of a card, preupload, Git LFS (basic transfer) and commits. Point HF_ENDPOINT
at ``url``, and set HF_HUB_DISABLE_XET=1: the protocol of hf_xet is not spoken.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_" + "T" * 34
USER = "ada"


@dataclass
class Repo:
    """A repository."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    """The files of each commit."""


class FakeHub:
    """Use as a context manager.

    Attributes:
        repos: By kind and name, such as ``("dataset", "ada/run")``.
        objects: Large files that arrived whole, by SHA-256.
        faults: What goes wrong, by endpoint (whoami, info, create, preupload, batch, upload, commit), one after the
            other: a status, "reset" (half of the body is read), "hang" (likewise, until ``released`` is set), "lost"
            (it is done, and the answer is 500), or nothing.
        sent: Bytes of each large file that arrived, whole or in part.
        calls: Requests by endpoint.
        unauthorised: Requests that should have shown the token and did not.
    """

    def __init__(self, faults: dict[str, list[str]] | None = None) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.faults = faults or {}
        self.sent: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.unauthorised = 0
        self.arrived = threading.Event()
        """Half of a large file is there that hangs."""
        self.released = threading.Event()
        self.lock = threading.Lock()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                hub.handle(self, "GET")

            def do_POST(self) -> None:
                hub.handle(self, "POST")

            def do_PUT(self) -> None:
                hub.handle(self, "PUT")

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # The client was killed: that is what some tests are about.

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._routes: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
            ("whoami", r"GET /api/whoami-v2", self._whoami),
            ("info", r"GET /api/(model|dataset)s/([\w.-]+/[\w.-]+?)(?:/revision/main)?", self._info),
            ("create", r"POST /api/repos/create", self._create),
            ("validate", r"POST /api/validate-yaml", self._validate),
            ("preupload", r"POST /api/(model|dataset)s/([\w.-]+/[\w.-]+)/preupload/main", self._preupload),
            ("batch", r"POST /(?:datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", self._batch),
            ("upload", r"PUT /lfs/(\w+)", self._upload),
            ("commit", r"POST /api/(model|dataset)s/([\w.-]+/[\w.-]+)/commit/main", self._commit),
        ]

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self, token: str = TOKEN) -> dict[str, str]:
        """Of a child process that talks to this hub alone."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def repo(self, kind: str, name: str, private: bool = True) -> Repo:
        """A repository, made if it is not there."""
        return self.repos.setdefault((kind, name), Repo(private))

    def handle(self, request: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request."""
        place = f"{method} {request.path.partition('?')[0]}"
        found = ((name, match, answer) for name, route, answer in self._routes if (match := re.fullmatch(route, place)))
        name, match, answer = next(found, ("unknown", None, None))
        if match is None or answer is None:
            self._send(request, 404, {"error": f"the fake hub does not know {place}"})
            return
        with self.lock:
            self.calls[name] += 1
            fault = self.faults[name].pop(0) if self.faults.get(name) else ""
        length = int(request.headers.get("Content-Length") or 0)
        if fault in ("reset", "hang"):
            half = request.rfile.read(length // 2)
            self.sent[match.group(1)] += len(half)
            if fault == "hang":
                self.arrived.set()
                self.released.wait(60)
            # With a linger time of 0, closing a socket resets the connection.
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            raise ConnectionResetError
        body = request.rfile.read(length)
        if fault.isdigit():
            self._send(request, int(fault), {"error": f"scripted {fault}"})
            return
        # What is sent to storage is signed by its address instead.
        if name != "upload" and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.unauthorised += 1
            self._send(request, 401, {"error": "Invalid credentials in Authorization header"})
            return
        with self.lock:
            status, payload = answer(body, *match.groups())
        self._send(request, *((500, {"error": "scripted loss"}) if fault == "lost" else (status, payload)))

    def _send(self, request: BaseHTTPRequestHandler, status: int, payload: Any) -> None:
        data = json.dumps(payload).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        if status >= 400 and "error" in payload:
            request.send_header("X-Error-Message", payload["error"])
        if payload.get("code"):
            request.send_header("X-Error-Code", payload["code"])
        request.end_headers()
        request.wfile.write(data)

    def _whoami(self, _: bytes) -> tuple[int, Any]:
        return 200, {"type": "user", "name": USER, "orgs": []}

    def _info(self, _: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo = self.repos.get((kind, name))
        if repo is None:
            return 404, {"error": "Repository not found", "code": "RepoNotFound"}
        card = repo.files.get("README.md", b"").decode().split("---\n")
        matter = yaml.safe_load(card[1]) if len(card) > 2 else {}
        return 200, {"id": name, "private": repo.private, "sha": "0" * 40, "siblings": [], "cardData": matter}

    def _create(self, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        kind, name = asked.get("type", "model"), f"{asked['organization'] or USER}/{asked['name']}"
        if asked["organization"] not in (None, USER):
            return 403, {"error": f"You don't have the rights to create a {kind} under {asked['organization']}"}
        if (kind, name) in self.repos:
            return 409, {"error": "You already created this repo"}
        self.repo(kind, name, private=asked["visibility"] == "private")
        return 200, {"url": f"{self.url}/{'datasets/' if kind == 'dataset' else ''}{name}"}

    def _validate(self, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        matter = yaml.safe_load(asked["content"].split("---\n")[1])
        if not isinstance(matter.get("license"), str):
            return 400, {"errors": [{"message": '"license" must be a string'}], "warnings": []}
        return 200, {"errors": [], "warnings": []}

    def _preupload(self, body: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo = self.repos[kind, name]
        files: list[dict[str, Any]] = []
        for file in json.loads(body)["files"]:
            large = file["size"] > 50_000 or file["path"].endswith((".safetensors", ".parquet"))
            entry = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if (old := repo.files.get(file["path"])) is not None:
                blob = hashlib.sha1(b"blob %d\0" % len(old) + old).hexdigest()
                entry["oid"] = hashlib.sha256(old).hexdigest() if large else blob
            files.append(entry)
        return 200, {"files": files}

    def _batch(self, body: bytes, name: str) -> tuple[int, Any]:
        objects: list[dict[str, Any]] = []
        for wanted in json.loads(body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.objects:
                entry["actions"] = {"upload": {"href": f"{self.url}/lfs/{wanted['oid']}"}}
            objects.append(entry)
        return 200, {"transfer": "basic", "objects": objects}

    def _upload(self, body: bytes, oid: str) -> tuple[int, Any]:
        self.sent[oid] += len(body)
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "checksum"}
        self.objects[oid] = body
        return 200, {}

    def _commit(self, body: bytes, kind: str, name: str) -> tuple[int, Any]:
        repo, changed = self.repos[kind, name], list[str]()
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    return 400, {"error": f"{value['path']}: its content never arrived"}
                repo.files[value["path"]] = self.objects[value["oid"]]
            if line["key"] != "header":
                changed.append(value["path"])
        repo.commits.append(changed)
        return 200, {
            "commitUrl": f"{self.url}/{name}/commit/{len(repo.commits)}",
            "commitOid": f"{len(repo.commits):040x}",
        }
