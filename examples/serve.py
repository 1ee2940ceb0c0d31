"""An HTTP endpoint on an exported folder: python serve.py exported 8000

    curl -d '{"user": 3, "item": "i7", "price": 1.5}' http://localhost:8000/

The answer to a row or a list of rows is {"predictions": [...]}, and to a mistake
{"error": "..."} with status 400. Needs jax, numpy and the folder.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def make_server(folder: str, port: int) -> ThreadingHTTPServer:
    """A server of the model in a folder; port 0 takes any that is free."""
    sys.path.insert(0, folder)
    from predictor import Predictor  # of the folder

    model = Predictor(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # A client may ask again on one connection.
        timeout = 60
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", -1))
                if not 0 <= length <= 1 << 24:
                    raise ValueError("expected a Content-Length of at most 16 MiB")
                rows = json.loads(self.rfile.read(length))
                found = model.predict(rows if isinstance(rows, list) else [rows])
                self.answer(200, {"predictions": found.tolist()})
            except (ValueError, RecursionError) as error:
                self.close_connection = True
                self.answer(400, {"error": str(error) or "not JSON"})

        def answer(self, status: int, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", f"{len(data)}")
            self.end_headers()
            self.wfile.write(data)

        def log_request(self, *about: object) -> None:
            del about  # A line for every request would be most of the work.

    server = ThreadingHTTPServer(("localhost", port), Handler)
    server.socket.listen(128)  # Of five, the default, more clients at once lose some.
    return server


if __name__ == "__main__":
    try:
        server = make_server(sys.argv[1], int(sys.argv[2]))
    except Exception as error:
        sys.exit(f"Expected an exported folder and a port ({error}).")
    print(f"Answers at http://localhost:{server.server_port}/", flush=True)
    server.serve_forever()
