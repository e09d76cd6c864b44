"""A stand-in of the Hub's endpoints, as huggingface_hub asks them: repositories in memory, behind a local address."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

LARGE = (".safetensors", ".pkl", ".pt", ".npy", ".png")
"""Ends of the names of files that are kept as the Hub keeps large ones, under their SHA-256."""


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubServer(ThreadingHTTPServer):
    """Serves ``repositories``; what it does wrong is set by the tests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        """By repository and commit, the last one newest: files."""
        self.large: dict[str, bytes] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.gated: set[str] = set()
        self.readonly: set[str] = set()
        self.cut = 0
        """Bytes that are missing at the end of large files."""
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def add(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A commit that holds these files and no others."""
        commit = hashlib.sha1(repr((repository, sorted(files.items()))).encode()).hexdigest()
        self.commits.setdefault(repository, {})[commit] = dict(files)
        self.branches.setdefault(repository, {})[branch] = commit
        return commit

    def files(self, repository: str) -> dict[str, bytes]:
        return self.commits[repository][self.branches[repository]["main"]]

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

    def handle_error(self, *_: Any) -> None:
        """A client that is cut off is what a test wants."""


class Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, content: Any = b"", status: int = 200, size: int | None = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        if size is not None and self.command != "HEAD":
            self.close_connection = True

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    def files(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        server = self.server
        if repository not in server.commits:
            # of what is private, nothing is said to strangers
            return self.refuse(401, "RepoNotFound", "Repository not found")  # type: ignore[func-returns-value]
        commit = server.branches[repository].get(revision, revision)
        if commit not in server.commits[repository]:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")  # type: ignore[func-returns-value]
        if repository in server.gated:
            return self.refuse(403, "GatedRepo", "Access is restricted")  # type: ignore[func-returns-value]
        return commit, server.commits[repository][commit]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path):
            if found := self.files(match[1], match[2] or "main"):
                self.answer(
                    {"id": match[1], "sha": found[0], "siblings": [sibling(*file) for file in found[1].items()]}
                )
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if found := self.files(match[1], match[2]):
                commit, files = found
                if match[3] not in files:
                    return self.refuse(404, "EntryNotFound", "Entry not found")
                data = files[match[3]]
                lfs = sibling(match[3], data).get("lfs")
                headers = {"X_Repo_Commit": commit, "ETag": f'"{lfs["sha256"] if lfs else git_hash(data)}"'}
                cut = self.server.cut if lfs else 0
                self.answer(data[: len(data) - cut], size=len(data), **headers)
        else:
            self.refuse(404, "", path)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(data).hexdigest() == self.path.rpartition("/")[2]
        self.server.large[self.path.rpartition("/")[2]] = data
        self.answer()

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"POST {path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if not self.headers.get("Authorization"):
            return self.refuse(401, "", "Invalid username or password.")
        if path == "/api/repos/create":
            asked = json.loads(body)
            repository = f"{asked['organization']}/{asked['name']}"
            if repository in server.readonly:
                return self.refuse(403, "", "You don't have the rights to create a model under this namespace")
            known = repository in server.commits
            if not known:
                server.add(repository, {})
            return self.answer({"url": f"{server.url}/{repository}", "id": repository}, 409 if known else 200)
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                each | {"actions": {"upload": {"href": f"{server.url}/upload/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            files = dict(server.files(match[1]))
            for line in body.decode().splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    files[value["path"]] = server.large[value["oid"]]
                elif entry["key"] == "deletedFile":
                    del files[value["path"]]
            commit = server.add(match[1], files)
            return self.answer({"commitUrl": f"{server.url}/{match[1]}/commit/{commit}", "commitOid": commit})
        self.refuse(404, "", path)


def sibling(name: str, data: bytes) -> dict[str, Any]:
    """What the Hub tells of a file."""
    told: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_hash(data)}
    if name.endswith(LARGE):
        told["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return told


@contextmanager
def serving(folder: Path) -> Iterator[HubServer]:
    """Let huggingface_hub ask a stand-in, with an empty cache in a folder, and a token."""
    server = HubServer()
    with pytest.MonkeyPatch.context() as patch:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", server.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setenv("HF_TOKEN", "hf_stand_in")
        yield server
    server.stop()
