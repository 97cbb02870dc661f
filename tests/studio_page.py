"""A client of the studio that speaks as its own page does."""

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from seedtune.web.app import create_app
from seedtune.web.security import CSRF_HEADER, Access

ADDRESS = "http://127.0.0.1:8765"


class Page:
    """What the studio's own page can do."""

    def __init__(self, runs_dir: Path, **options: Any) -> None:
        self.access = options.pop("access", Access())
        self.app = create_app(runs_dir, self.access, **options)
        self.client = TestClient(self.app, base_url=ADDRESS)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an address below the run ``one``."""
        response = self.client.get(f"/api/runs/one{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        """Post to an address, as the page does."""
        response = self.client.post(path, json=body, headers={CSRF_HEADER: self.access.csrf, "Origin": ADDRESS})
        assert response.status_code == status, response.text
        return response.json()

    def say(self, identity: str, decision: str, by: str = "ada", **more: Any) -> None:
        """One word on one task."""
        self.post("/api/runs/one/words", {"by": by, "words": [{"id": identity, "decision": decision, **more}]})

    def rows(self, **query: Any) -> list[dict[str, Any]]:
        """One page of rows."""
        rows: list[dict[str, Any]] = self.get("/items", **query)["rows"]
        return rows
