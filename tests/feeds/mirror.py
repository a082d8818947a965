"""A mirror of feeds on a loopback port: a real HTTP server that can be told to misbehave."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Fault:
    """What goes wrong with a file. `times`: how often, then it is served as it should be."""

    kind: str
    value: str = ""
    times: int = 1_000_000


@dataclass
class Mirror:
    """Attributes:
    files: by path without the leading slash.
    cves: served page by page at `nvd`, as the API of NVD does.
    asked: path and status of every answer, in order.
    headers: those of the newest request per path, their names in lower case.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    cves: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    headers: dict[str, Mapping[str, str]] = field(default_factory=dict)
    said: str = "2026-03-01T00:00:00.000"

    def paths(self) -> list[str]:
        """What was asked for since the last call, in order."""
        found = [path for path, _ in self.asked]
        self.asked.clear()
        return found

    def ecosystem(self, name: str, advisories: Mapping[str, dict[str, Any]], *, root: str) -> None:
        """Publish advisories in the layout of OSV, replacing what was there."""
        for path in [p for p in self.files if p.startswith(f"{root}/{name}/")]:
            del self.files[path]
        rows = sorted(((one["modified"], key) for key, one in advisories.items()), reverse=True)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        texts = {key: json.dumps(one).encode() for key, one in advisories.items()}
        self.files[f"{root}/{name}/modified_id.csv"] = text.getvalue().encode()
        self.files[f"{root}/{name}/all.zip"] = archive({f"{k}.json": t for k, t in texts.items()})
        self.files |= {f"{root}/{name}/{key}.json": one for key, one in texts.items()}


def archive(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, one in members.items():
            file.writestr(name, one)
    return content.getvalue()


def advisory(name: str, modified: str = "2026-02-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": f"package-{name.lower()}"}
    affected = [{"package": package, "versions": ["1.0"]}]
    return {"id": name, "modified": modified, "affected": affected, **more}


def kev(*names: str, released: str = "2026-02-10T12:00:00Z") -> bytes:
    entries = [{"cveID": name, "vendorProject": "x"} for name in names]
    document = {"dateReleased": released, "count": len(entries), "vulnerabilities": entries}
    return json.dumps(document).encode()


def scores(**by_cve: str) -> bytes:
    about = "#model_version:v2025.03.14,score_date:2026-02-09T00:00:00+0000"
    lines = [about, "cve,epss,percentile"]
    lines += [f"{name.replace('_', '-')},{score},0.5" for name, score in by_cve.items()]
    return ("\n".join(lines) + "\n").encode()


def cve(name: str, modified: str = "2026-02-01T10:00:00.000", **more: Any) -> dict[str, Any]:
    return {"cve": {"id": name, "lastModified": modified, "metrics": {}, **more}}


def page(cves: list[dict[str, Any]], *, start: int, total: int, said: str) -> bytes:
    return json.dumps(
        {
            "format": "NVD_CVE",
            "version": "2.0",
            "timestamp": said,
            "startIndex": start,
            "resultsPerPage": len(cves),
            "totalResults": total,
            "vulnerabilities": cves,
        }
    ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: Mirror

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        self.mirror.headers[path] = {name.lower(): text for name, text in self.headers.items()}
        fault = self.mirror.faults.get(path)
        if fault is not None and fault.times > 0:
            fault.times -= 1
            if self._misbehave(path, fault):
                return
        if path == "nvd" and self.mirror.cves:
            self._send(path, 200, self._page(parse_qs(parts.query)))
            return
        content = self.mirror.files.get(path)
        if content is None:
            self._send(path, 404, b"")
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            self._send(path, 304, None, etag=etag)
        else:
            self._send(path, 200, content, etag=etag)

    def _page(self, asked: Mapping[str, list[str]]) -> bytes:
        start, size = int(asked["startIndex"][0]), min(3, int(asked["resultsPerPage"][0]))
        since = asked.get("lastModStartDate", [""])[0][:19]
        found = [one for one in self.mirror.cves if one["cve"]["lastModified"][:19] >= since]
        cut = found[start : start + size]
        return page(cut, start=start, total=len(found), said=self.mirror.said)

    def _misbehave(self, path: str, fault: Fault) -> bool:
        content = self.mirror.files.get(path, b"x" * 1000)
        match fault.kind:
            case "status":
                self._send(path, int(fault.value), b"no", **{"retry-after": "0"})
            case "redirect":
                self._send(path, 302, b"", location=fault.value)
            case "cut":
                self._begin(path, 200, {"content-length": str(len(content))})
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            case "unframed":
                self._begin(path, 200, {"connection": "close"})
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            case "drip":
                self._begin(path, 200, {"content-length": str(len(content))})
                for n in range(len(content)):
                    self.wfile.write(content[n : n + 1])
                    self.wfile.flush()
                    time.sleep(0.1)
            case "packed":
                self._send(path, 200, content, **{"content-encoding": "gzip"})
            case "header":
                name, _, value = fault.value.partition("=")
                self._send(path, 200, content, **{name: value})
        return True

    def _send(self, path: str, status: int, content: bytes | None, **headers: str) -> None:
        if content is not None:
            headers["content-length"] = str(len(content))
        self._begin(path, status, headers)
        if content:
            self.wfile.write(content)

    def _begin(self, path: str, status: int, headers: Mapping[str, str]) -> None:
        self.mirror.asked.append((path, status))
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def serving() -> Iterator[Mirror]:
    mirror = Mirror()
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
