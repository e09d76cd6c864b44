"""A stand-in for W&B's server, which answers what its client asks at the start and the end of a run."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """Runs within ``with``, at ``url``.

    Attributes:
        asked: The requests to its API: operation and variables.
        lines: What was sent of the history: a dict per call of ``log``.
        uploaded: Names of files.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[dict[str, Any]] = []
        self.uploaded: list[str] = []

    def __enter__(self) -> "Server":
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody listens any more."""
        self.http.shutdown()
        self.http.server_close()

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """All that the client may look for, whatever it asks."""
        self.asked.append((operation, variables))
        project = {"id": "1", "name": variables.get("project") or "project", "entity": {"id": "1", "name": "me"}}
        name = variables.get("name") or "run"
        bucket = {"id": "1", "name": name, "displayName": name, "config": "{}", "tags": [], "project": project}
        files = [{"name": file, "uploadUrl": f"{self.url}/{file}"} for file in variables.get("files", [])]
        return {
            "viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}},
            "serverInfo": {"features": []},
            "upsertBucket": {"bucket": bucket, "inserted": True},
            "createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files},
        }

    def stream(self, content: dict[str, Any]) -> None:
        """Take lines of the history."""
        history = content.get("files", {}).get("wandb-history.jsonl", {"content": []})
        self.lines += [json.loads(line) for line in history["content"]]


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """What serves for it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_PUT(self) -> None:
            self.body()
            server.uploaded.append(self.path[1:])
            self.reply({})

        def do_POST(self) -> None:
            body = self.body()
            if self.path == "/graphql":
                query = json.loads(body)
                self.reply({"data": server.answer(query.get("operationName"), query.get("variables") or {})})
                return
            if self.path.endswith("/file_stream"):
                server.stream(json.loads(body))
            self.reply({})

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    return Handler
