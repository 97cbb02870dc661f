"""``seedtune studio``: serve the pages until Ctrl-C."""

import logging
import secrets
import socket
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path

import uvicorn

from seedtune import console
from seedtune.errors import ConfigError
from seedtune.web.app import create_app
from seedtune.web.run_routes import list_configs
from seedtune.web.security import Access, is_loopback
from seedtune.web.terminal_review import user_name

PORT = 8765


def serve(
    runs_dir: Path = Path("runs"),
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open_browser: bool = False,
    configs: Path = Path("configs"),
    data: Path | None = None,
) -> int:
    """Serve the studio until it is interrupted. Runs that it started go on without it.

    Args:
        runs_dir: The folder of runs.
        host: The address to bind to. Any but this machine's own needs a token.
        port: None is 8765, or any free one where that is taken.
        token: What opens the pages, 20 characters or more. None is none on this machine, and a made one elsewhere.
        open_browser: Open the page.
        configs: The folder of configs that runs can be started from.
        data: A folder of files that programs of a model may be run on, besides those of domain and run.

    Returns:
        The exit code.

    Raises:
        ConfigError: the address cannot be bound to, or the token is too short.
    """
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    access = Access(host, token)
    listener = _bind(host, port)
    shown = socket.gethostname() if host in {"0.0.0.0", "::"} else host
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/"
    if token is not None:
        address += f"?token={token}"
    app = create_app(runs_dir, access, configs=list_configs(configs), reviewer=user_name(), data=data)
    settings = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(settings)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    console.say(f"studio: {address}\nCtrl-C ends the studio; runs go on")
    # While an index is made, a page must not wait for the usual 5 ms at each of its turns.
    sys.setswitchinterval(0.0005)
    if open_browser:
        webbrowser.open(address)
    # uvicorn ends cleanly at Ctrl-C, and then raises it once more.
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0


def _bind(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for wanted in [PORT, 0] if port is None else [port]:
        try:
            listener.bind((host.strip("[]"), wanted))
        except OSError as problem:
            if wanted != PORT or port is not None:
                listener.close()
                raise ConfigError(
                    f"--host {host} --port {wanted}: cannot be served on: {problem.strerror}"
                ) from problem
        else:
            break
    return listener
