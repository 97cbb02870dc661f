"""How much of an endpoint the generation loop uses: 200 ms latency and room for 64 requests at once make 320 a second.

Four rounds in one run. Three go to the same loopback endpoint in a process of its own: a loop that sends one request at
a time, the bare SDK with 64 at once (what the transport alone allows here), and the stage as a user runs it, journal on
the disk and filters included. The fourth is the stage with a teacher in this process that answers at once: what the
engine itself costs. Usage: python benchmarks/bench_generate.py [REQUESTS]. Prints one JSON line.

    sustained   requests judged a second between the first and the last quarter of the run, from the journal's own times
    overall     from the first request to the last verdict, slow start included
    cpu_ms      CPU milliseconds of this process per request: all of it, the bare SDK's, and the engine's own, with one
                task a request, as sent here, and with five
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai

from seedtune import runs
from seedtune.config import Config
from seedtune.domains import Domain, load_domain
from seedtune.errors import LimitReached
from seedtune.generate import stage
from seedtune.generate.composing import Composer
from seedtune.generate.wording.parsing import parse_reply
from seedtune.records import Reply, Request, Usage
from seedtune.similarity import RougeIndex

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fake_teacher import tasks_for

LATENCY_S, ROOM, TASKS, MANY = 0.2, 64, 1, 5
ONE_BY_ONE = 20


async def serve() -> None:
    """The endpoint: raw HTTP/1.1 on asyncio, so that it takes little of the machine it shares."""
    room = asyncio.Semaphore(ROOM)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET"):  # It has no list of models.
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = json.loads(await reader.readexactly(int(length.split(b":")[1])))
            async with room:
                await asyncio.sleep(LATENCY_S)
            choice = {"index": 0, "message": {"role": "assistant", "content": tasks_for(body, TASKS)}}
            reply = {"object": "chat.completion", "choices": [{**choice, "finish_reason": "stop"}]}
            data = json.dumps(reply | {"usage": {"prompt_tokens": 500, "completion_tokens": 100}}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data))
            writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=2 * ROOM)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def messages(request: Request) -> Any:
    return [message.model_dump() for message in request.messages]


def requests_of(domain: Domain, count: int) -> list[Request]:
    composer = Composer(Config.model_validate({"generate": {"tasks_per_request": TASKS}}), domain.select_packs(None))
    return [composer.begin(index, index, [], structured=False) for index in range(count)]


def one_by_one(domain: Domain, url: str) -> float:
    """Replies a second of the plain loop: draw, send, wait, filter."""
    pool = RougeIndex()
    start = time.perf_counter()
    with openai.OpenAI(api_key="none", base_url=url) as client:
        for request in requests_of(domain, ONE_BY_ONE):
            completion = client.chat.completions.create(model="fake", messages=messages(request), seed=request.index)
            for task in parse_reply(completion.choices[0].message.content or "").tasks:
                if pool.nearest(task.instruction).score <= 0.7:
                    pool.add(task.instruction, task.instruction)
    return ONE_BY_ONE / (time.perf_counter() - start)


async def bare_sdk(domain: Domain, url: str, count: int) -> tuple[float, float]:
    """Replies a second, and CPU seconds per request."""
    asked = [messages(request) for request in requests_of(domain, count)]
    start, before = time.perf_counter(), time.process_time()
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

        async def work() -> None:
            while asked:
                await client.chat.completions.create(model="fake", messages=asked.pop(), seed=len(asked))

        await asyncio.gather(*(work() for _ in range(ROOM)))
    return count / (time.perf_counter() - start), (time.process_time() - before) / count


class AtOnce:
    """A teacher without a transport."""

    tasks = TASKS
    name, batch_size, bulk, concurrency, status, structured = "at once", 1, 1, ROOM, "", False

    def __init__(self, config: object, seed: int) -> None:
        pass

    async def check(self, request: Request) -> None:
        pass

    async def complete(self, requests: Sequence[Request], account: Any) -> list[Reply]:
        account.sending(requests)
        await asyncio.sleep(0)
        body = {"messages": messages(requests[0])}
        usage = Usage(prompt_tokens=500, completion_tokens=100)
        return [Reply(index=requests[0].index, text=tasks_for(body, self.tasks), usage=usage)]

    def interrupt(self) -> None:
        pass

    async def close(self) -> None:
        pass


class ManyAtOnce(AtOnce):
    tasks = MANY


def engine(folder: Path, url: str, count: int, tasks: int = TASKS) -> dict[str, float]:
    """The whole stage."""
    teacher = {"type": "openai", "model": "fake", "base_url": url, "concurrency": ROOM}
    generate = {
        "num_instructions": 10 * count * tasks,
        "tasks_per_request": tasks,
        "teacher": teacher | {"structured_output": "off"},
        "limits": {"max_requests": count, "stall_requests": None},
    }
    config = Config.model_validate({"runs_dir": folder, "generate": generate})
    domain = load_domain(config.domain)
    start, before = time.perf_counter(), time.process_time()
    try:
        with runs.open_run(config) as run:
            stage.run_generate(run, domain)
    except LimitReached:
        pass
    overall, cpu = count / (time.perf_counter() - start), (time.process_time() - before) / count
    with (config.run_dir / "generate" / "journal.jsonl").open(encoding="utf-8") as journal:
        events = (json.loads(line) for line in journal)
        times = [event["time"] for event in events if event["event"] == "committed"]
    first, last = len(times) // 4, 3 * len(times) // 4
    return {"overall": overall, "sustained": (last - first) / (times[last] - times[first]), "cpu": cpu}


def main(count: int) -> None:
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            domain = load_domain("bgp")
            plain = one_by_one(domain, url)
            sdk, sdk_cpu = asyncio.run(bare_sdk(domain, url, count // 2))
            with tempfile.TemporaryDirectory() as folder:
                found = engine(Path(folder), url, count)
        finally:
            server.terminate()
    own: list[float] = []
    for teacher in (AtOnce, ManyAtOnce):
        stage.make_teacher = teacher
        with tempfile.TemporaryDirectory() as folder:
            own.append(engine(Path(folder), url, count, teacher.tasks)["cpu"])
    ideal = ROOM / LATENCY_S
    result = {
        "requests": count,
        "ideal": ideal,
        "one_by_one": round(plain, 2),
        "bare_sdk": round(sdk, 1),
        "overall": round(found["overall"], 1),
        "sustained": round(found["sustained"], 1),
        "share_of_ideal": round(found["sustained"] / ideal, 3),
        "ratio": round(found["sustained"] / plain, 1),
        "cpu_ms": {
            "total": round(1e3 * found["cpu"], 2),
            "bare_sdk": round(1e3 * sdk_cpu, 2),
            "engine": round(1e3 * own[0], 2),
            "engine_five_tasks": round(1e3 * own[1], 2),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 6400)
