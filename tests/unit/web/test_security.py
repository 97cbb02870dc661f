"""Nothing but the studio's own page on this machine may look or change."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from conftest import ROOT
from seedtune.errors import ConfigError
from seedtune.web.app import create_app
from seedtune.web.security import CSRF_HEADER, MAX_BODY_BYTES, Access

ADDRESS = "http://127.0.0.1:8765"
TOKEN = "a-token-of-more-than-twenty-characters"
WEB = ROOT / "src" / "seedtune" / "web"


def studio(runs_dir: Path, access: Access | None = None, address: str = ADDRESS) -> TestClient:
    return TestClient(create_app(runs_dir, access), base_url=address)


@pytest.mark.parametrize("path", ["/", "/runs/one/data", "/api/runs", "/static/studio.css", "/nowhere", "/runs/none"])
def test_every_response_has_the_headers(runs_dir: Path, path: str) -> None:
    headers = studio(runs_dir).get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "localhost"])
def test_loopback_names_are_the_studios(runs_dir: Path, host: str) -> None:
    assert studio(runs_dir).get("/api/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "192.0.2.1", "", "[::1"]
)
def test_a_rebound_name_is_refused(runs_dir: Path, host: str) -> None:
    assert studio(runs_dir).get("/api/runs", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8765", "file://127.0.0.1:8765"]
)
def test_another_origin_is_refused_also_for_reading(runs_dir: Path, origin: str) -> None:
    assert studio(runs_dir).get("/api/runs", headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_here_and_nothing_else(runs_dir: Path, site: str) -> None:
    client = studio(runs_dir)
    assert (
        client.get("/static/runs.js", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    )
    framed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert client.get("/", headers=framed).status_code == 403
    assert client.get("/", headers=framed | {"Sec-Fetch-Dest": "document"}).status_code == 200


def test_a_change_needs_the_token_of_this_process(runs_dir: Path) -> None:
    access = Access()
    client = studio(runs_dir, access)
    body: dict[str, Any] = {"by": "ada", "words": [{"id": "x", "decision": "accept"}]}
    for headers in ({}, {CSRF_HEADER: "wrong"}, {CSRF_HEADER: Access().csrf}):
        assert client.post("/api/runs/one/words", json=body, headers=headers).status_code == 403
    assert not (runs_dir / "one" / "generate" / "review.jsonl").exists()
    # The same with the right one is only refused for what it says.
    assert client.post("/api/runs/one/words", json=body, headers={CSRF_HEADER: access.csrf}).status_code == 409


def test_a_huge_body_is_refused_before_it_is_read(runs_dir: Path) -> None:
    access = Access()
    headers = {CSRF_HEADER: access.csrf, "Content-Length": str(MAX_BODY_BYTES + 1)}
    assert studio(runs_dir, access).post("/api/start", content=b"{}", headers=headers).status_code == 413


def test_preflights_of_other_sites_get_no_permission(runs_dir: Path) -> None:
    asked = {"Origin": ADDRESS, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": CSRF_HEADER}
    answer = studio(runs_dir).options("/api/start", headers=asked)
    assert answer.status_code >= 400
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_other_machines_need_a_token() -> None:
    with pytest.raises(ConfigError, match="needs --token"):
        Access("0.0.0.0")
    with pytest.raises(ConfigError, match="too few"):
        Access("127.0.0.1", "short")
    Access("0.0.0.0", TOKEN)


def test_nothing_is_shown_without_the_token(runs_dir: Path) -> None:
    client = studio(runs_dir, Access("0.0.0.0", TOKEN), "http://192.0.2.1:8765")
    for path in ("/", "/api/runs", "/static/runs.js", "/?token=wrong", "/?token="):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert "one" not in answer.text.split()


def test_the_token_becomes_a_cookie_and_leaves_the_address(runs_dir: Path) -> None:
    client = studio(runs_dir, Access("0.0.0.0", TOKEN), "http://192.0.2.1:8765")
    first = client.get("/runs/one/data", params={"pack": "a", "token": TOKEN}, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/runs/one/data?pack=a")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/api/runs").status_code == 200


def test_a_token_never_redirects_to_another_site(runs_dir: Path) -> None:
    client = studio(runs_dir, Access("127.0.0.1", TOKEN))
    for path in ("//evil.example/", "/\\evil.example/"):
        answer = client.get(f"{ADDRESS}{path}?token={TOKEN}", follow_redirects=False)
        assert not answer.headers["location"].startswith(("//", "/\\", "http"))


def test_a_script_may_show_the_token_in_a_header(runs_dir: Path) -> None:
    client = studio(runs_dir, Access("127.0.0.1", TOKEN))
    assert client.get("/api/runs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/runs", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/runs/%2e%2e",
        "/runs/..%2f..%2fetc",
        "/api/runs/..%2Fsecret/log",
        "/api/runs/.hidden/items",
        "/api/runs/linked/items",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/templates/base.html",
    ],
)
def test_no_path_leaves_the_runs_folder(runs_dir: Path, path: str) -> None:
    secret = runs_dir.parent / "secret"
    (secret / "generate").mkdir(parents=True)
    (secret / "config.yaml").write_text("name: secret")
    (secret / "studio.log").write_text("very secret\n")
    (runs_dir / "linked").symlink_to(secret)
    answer = studio(runs_dir).get(path)
    assert answer.status_code == 404, answer.text
    assert "very secret" not in answer.text


def test_a_linked_run_is_not_listed(runs_dir: Path, tmp_path: Path) -> None:
    (runs_dir / "linked").symlink_to(runs_dir / "one")
    assert [run["name"] for run in studio(runs_dir).get("/api/runs").json()["runs"]] == ["one"]


def test_a_file_of_a_run_that_leads_elsewhere_is_not_followed(runs_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("very secret\n")
    (runs_dir / "one" / "studio.log").symlink_to(tmp_path / "secret")
    answer = studio(runs_dir).get("/api/runs/one/log")
    assert answer.status_code == 404
    assert "very secret" not in answer.text


def test_no_script_of_the_studio_reads_text_as_markup() -> None:
    """The one rule that keeps a model's text text; the browser tests try to break it."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|setHTML"
    )
    for path in [*WEB.glob("static/*.js"), *WEB.glob("templates/*.html")]:
        assert not forbidden.search(path.read_text()), path


def test_templates_have_nothing_that_the_policy_forbids() -> None:
    """Inline scripts and styles would silently do nothing; an address elsewhere would be asked for nothing."""
    for path in WEB.glob("templates/*.html"):
        text = path.read_text()
        assert not re.search(
            r"<script(?![^>]*\bsrc=\"/static/)|<style|\sstyle=|\son\w+=|\|\s*safe\b|https?://", text
        ), path
    for path in WEB.glob("static/*"):
        # The name of SVG's elements, which is no address.
        text = path.read_text().replace('"http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://|@import|url\(", text), path
