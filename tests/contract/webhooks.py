"""An agency's system that takes what it is sent, and a webhook whose deliveries stay as they are."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chassis.testing import wait_until
from contract.rpcs import Services
from siaga.alerts.v1 import webhook_pb2

# Nobody listens there.
NOWHERE = "http://127.0.0.1:1025/"


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def run_taking() -> Iterator[str]:
    """Its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def make_deliveries(services: Services, token: str, number: int) -> str:
    """The name of a webhook with so many that were taken, and no others to come: it is told of nothing but tests."""
    with run_taking() as url:
        content = {"url": url, "events": ["MaydayRaised"]}
        name = services.call("alerts.CreateWebhook", content, token=token).message.name
        for _ in range(number):
            services.call("alerts.SendTestEvent", {"name": name}, token=token).require_ok()

        def are_taken() -> bool:
            found = services.call("alerts.ListWebhookDeliveries", {"name": name}, token=token).message.deliveries
            return [each.state for each in found] == [webhook_pb2.WebhookDelivery.DELIVERED] * number

        wait_until(are_taken, 15, "the deliveries are taken")
    return name


def find_webhook(services: Services, token: str) -> str:
    """The name of any that there is, or of a new one: there may not be many."""
    found = services.call("alerts.ListWebhooks", token=token).message.webhooks
    content = {"url": NOWHERE, "events": ["MaydayRaised"]}
    return (found[0] if found else services.call("alerts.CreateWebhook", content, token=token).message).name
