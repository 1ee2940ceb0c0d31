"""An HTTP endpoint on an exported folder: python serve.py exported 8000

    curl -d '{"user": 3, "item": "i7", "price": 1.5}' http://localhost:8000/

The answer to a row is {"predictions": [p]}, to a list of rows {"predictions": [...]}, and
to a mistake {"error": "..."} with status 400. Needs jax, numpy and the folder.
"""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST_BYTES = 1 << 24
"""A request of more is refused."""


def make_server(folder: str | pathlib.Path, port: int) -> ThreadingHTTPServer:
    """A server of the model in a folder; port 0 takes any that is free."""
    sys.path.insert(0, str(folder))
    from predictor import Predictor  # of the folder

    model = Predictor(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # A client may ask again on one connection.
        timeout = 60
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", -1))
                if not 0 <= length <= MOST_BYTES:
                    raise ValueError(
                        f"expected at most {MOST_BYTES} bytes and their number"
                    )
                rows = json.loads(self.rfile.read(length))
                rows = rows if isinstance(rows, list) else [rows]
                predictions = model.predict(rows).tolist() if rows else []
                self.answer(200, {"predictions": predictions})
            except (ValueError, RecursionError) as error:
                self.close_connection = True
                self.answer(400, {"error": str(error) or "not JSON"})

        def answer(self, status: int, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *values: object) -> None:
            del format, values  # A line for every request would be most of the work.

    return ThreadingHTTPServer(("localhost", port), Handler)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not pathlib.Path(sys.argv[1], "predictor.py").is_file():
        sys.exit(
            "Expected an exported folder and a port: python serve.py exported 8000"
        )
    server = make_server(sys.argv[1], int(sys.argv[2]))
    print(f"Answers at http://localhost:{server.server_port}/", flush=True)
    server.serve_forever()
