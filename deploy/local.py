"""Runs the whole platform on this machine: `make run`.

Ports and the data folder are settings: GATEWAY_PORT, GATEWAY_ADAPTERS_PORT, GATEWAY_ADMIN_PORT, ALERTS_LISTEN,
DIRECTORY_LISTEN, VALKEY_PORT, SIAGA_DATA. Where REDIS_URL is set, no Valkey is started.
"""

import base64
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

from alerts.settings import Settings as AlertsSettings
from chassis.settings import read_settings
from directory.settings import Settings as DirectorySettings
from gateway.settings import Settings as GatewaySettings

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
MONAS = {"latitude": -6.1754, "longitude": 106.8272}


def main() -> None:
    environment = choose_environment()
    os.environ.update(environment)
    make_sms_secret(Path(environment["SIAGA_DATA"]))
    gateway = read_settings(GatewaySettings)
    require_free_ports(gateway)
    logs = Path(environment["SIAGA_DATA"]) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for service in ("directory", "alerts"):
        # A session of its own: on Ctrl-C it is ended from here, and does not complain of it.
        if subprocess.run([sys.executable, "-m", service, "migrate"], start_new_session=True, check=False).returncode:  # noqa: S603
            sys.exit(f"Siaga cannot start: the database of {service} is not ready, for the reason above.")
    terminal = Terminal()
    manager = Manager(terminal)
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        if name != "valkey" or "VALKEY_PORT" in environment:
            manager.add_process(name, f"exec >{shlex.quote(str(logs / name))}.log 2>&1; {command}", env=dict(os.environ))
    print("Starting ...", flush=True)
    threading.Thread(target=welcome, args=(f"http://localhost:{gateway.port}", logs), daemon=True).start()
    manager.loop()
    if terminal.ended:
        log = logs / f"{terminal.ended}.log"
        last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"Siaga has stopped, because {terminal.ended} ended. The last lines of {log}:\n{last}")


class Terminal(Printer):
    """Shows of what honcho tells only that everything stops; `ended` is the part that did so by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping, self.ended = False, ""

    def write(self, message: Message) -> None:
        words = message.data.split()
        if not self.stopping and words[1] in {"received", "stopped"}:
            self.stopping, self.ended = True, words[0] if words[1] == "stopped" else ""
            print("\nStopping ...", flush=True)


def choose_environment() -> dict[str, str]:
    """What the processes must agree on, where nobody has set it."""
    port, adapters = os.environ.get("GATEWAY_PORT", "8080"), os.environ.get("GATEWAY_ADAPTERS_PORT", "9103")
    chosen = {
        "SIAGA_DATA": str(Path(os.environ.get("SIAGA_DATA", ROOT / ".data")).resolve()),
        "SIAGA_ISSUER": os.environ.get("SIAGA_ISSUER", f"http://localhost:{port}/dev"),
        "SIAGA_JWKS_URL": os.environ.get("SIAGA_JWKS_URL", f"http://127.0.0.1:{adapters}/dev/jwks"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    chosen["SENTINEL_URL"] = os.environ.get("SENTINEL_URL", f"http://localhost:{port}")
    chosen["SENTINEL_TOKEN_URL"] = os.environ.get("SENTINEL_TOKEN_URL", f"http://127.0.0.1:{adapters}/dev/token")
    if "REDIS_URL" not in os.environ:
        chosen["VALKEY_PORT"] = os.environ.get("VALKEY_PORT", "9105")
        chosen["REDIS_URL"] = f"redis://127.0.0.1:{chosen['VALKEY_PORT']}"
    listens = {"alerts": os.environ.get("ALERTS_LISTEN"), "directory": os.environ.get("DIRECTORY_LISTEN")}
    if any(listens.values()):
        defaults = {"alerts": "127.0.0.1:9101", "directory": "127.0.0.1:9102"}
        upstreams = {name: [listens[name] or defaults[name]] for name in defaults}
        chosen["GATEWAY_UPSTREAMS"] = os.environ.get("GATEWAY_UPSTREAMS", json.dumps(upstreams))
        chosen["ALERTS_DIRECTORY"] = os.environ.get("ALERTS_DIRECTORY", upstreams["directory"][0])
    return chosen


def make_sms_secret(data: Path) -> None:
    """A secret to try the door of the SMS gateways with, where nobody has set another one."""
    if "GATEWAY_SMS_SECRET_FILE" in os.environ:
        return
    path = data / "dev" / "sms.secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    os.environ["GATEWAY_SMS_SECRET_FILE"] = str(path)


def require_free_ports(gateway: GatewaySettings) -> None:
    ports = {
        "GATEWAY_PORT": gateway.port,
        "GATEWAY_ADAPTERS_PORT": gateway.adapters_port,
        "GATEWAY_ADMIN_PORT": gateway.admin_port,
        "ALERTS_LISTEN": int(read_settings(AlertsSettings).listen.rpartition(":")[2]),
        "DIRECTORY_LISTEN": int(read_settings(DirectorySettings).listen.rpartition(":")[2]),
    }
    if "VALKEY_PORT" in os.environ:
        ports["VALKEY_PORT"] = int(os.environ["VALKEY_PORT"])
    taken = [f"  port {port} is taken: free it, or set another in {name}" for name, port in ports.items() if not can_listen(port)]
    if taken:
        sys.exit("Siaga cannot start:\n" + "\n".join(taken))


def can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def welcome(url: str, logs: Path) -> None:
    """Prints where to go once the journey of an SOS is possible."""
    began = time.monotonic()
    while not is_ready(url):
        if time.monotonic() - began > READY_SECONDS:
            print(f"Siaga is not ready after {READY_SECONDS} s: what hinders it stands in {logs}.", flush=True)
            return
        time.sleep(0.2)
    body = json.dumps({"requestId": str(uuid.uuid4()), "alertToken": uuid.uuid4().hex, "kind": "MEDICAL", "location": {"point": MONAS}})
    token = f"""-H "authorization: Bearer $(curl -s {url}/dev/token -d '{{"person":"dispatcher-112"}}' | cut -d'"' -f4)\""""
    newest = f"""$(curl -s {token} '{url}/v1/alerts?state=RAISED&pageSize=1' | grep -o 'alerts/[0-9a-f-]*' | head -n 1)"""
    print(
        f"""
Siaga is ready: {url}
  the contract   {url}/openapi.json
  demo persons   {url}/dev/persons

Watch as a dispatcher (leave it running, and go on in a second terminal):
  curl -N {token} {url}/v1/alerts:watch

Raise an SOS:
  curl {url}/v1/alerts:raise -d '{body}'

Acknowledge it:
  curl -X POST {token} "{url}/v1/{newest}:acknowledge"

Ctrl-C stops everything. The data stays in {logs.parent}, and what each part says in {logs}.
""",
        flush=True,
    )


def is_ready(url: str) -> bool:
    """Whether a dispatcher can sign in and see the alerts, and the directory answers."""
    try:
        request = urllib.request.Request(f"{url}/dev/token", json.dumps({"person": "dispatcher-112"}).encode())
        with urllib.request.urlopen(request, timeout=2) as response:
            token = json.load(response)["accessToken"]
        for path in ("/v1/alerts?pageSize=1", "/v1/areas?pageSize=1"):
            request = urllib.request.Request(f"{url}{path}", headers={"authorization": f"Bearer {token}"})
            urllib.request.urlopen(request, timeout=2).close()
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False
    return True


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
