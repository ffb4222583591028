"""A hub of one's own on 127.0.0.1: the few answers of the Hugging Face hub that fetching a model needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin")


@dataclass
class Hub:
    """Models by their names, each a folder; ``gated`` ones are refused; ``asked`` are the paths of all requests."""

    address: str = ""
    models: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        known = [*self.hub.models, *self.hub.gated]
        name = next(
            (n for n in known if path.startswith((f"/api/models/{n}/", f"/{n}/")) or path == f"/api/models/{n}"), ""
        )
        if not name:
            return self._fault(404, "RepoNotFound")
        if name in self.hub.gated:
            return self._fault(403, "GatedRepo")
        rest = path.removeprefix("/api/models").removeprefix(f"/{name}").strip("/").split("/")
        if len(rest) > 1 and rest[1] not in ("main", COMMIT):
            return self._fault(404, "RevisionNotFound")
        if rest[0] == "resolve":
            return self._file(self.hub.models[name].joinpath(*rest[2:]))
        rows = [self._row(file) for file in sorted(self.hub.models[name].iterdir())]
        if rest[0] == "tree":
            rows = [
                {
                    "type": "file",
                    "path": r["rfilename"],
                    "oid": r["blobId"],
                    **{k: r[k] for k in ("size", "lfs") if k in r},
                }
                for r in rows
            ]
            return self._json(rows)
        return self._json({"id": name, "modelId": name, "sha": COMMIT, "siblings": rows})

    def _row(self, file):
        content = file.read_bytes()
        row = {"rfilename": file.name, "size": len(content), "blobId": git_hash(content)}
        if file.suffix in LARGE:
            row["lfs"] = {"sha256": sha256(content), "oid": sha256(content), "size": len(content), "pointerSize": 134}
        return row

    def _file(self, file):
        if not file.is_file():
            return self._fault(404, "EntryNotFound")
        content = file.read_bytes()
        tag = sha256(content) if file.suffix in LARGE else git_hash(content)
        return self._send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

    def _json(self, value):
        return self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fault(self, status, code):
        return self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status, content, headers):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *told):
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve while inside."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
