"""Starts a part of the gateway: `python -m gateway envoy|render|validate|adapters|sentinel`."""

import argparse
import json
import sys

from chassis.settings import read_settings
from gateway.adapters.app import run_adapters
from gateway.contract import Contract
from gateway.envoy.render import render_config
from gateway.envoy.run import check_config, run_envoy
from gateway.sentinel.run import run_sentinel
from gateway.settings import Settings


def print_config(settings: Settings) -> None:
    json.dump(render_config(Contract(), settings), sys.stdout, indent=1)


COMMANDS = {
    "envoy": (run_envoy, "render the configuration and run Envoy with it"),
    "render": (print_config, "print Envoy's configuration"),
    "validate": (check_config, "let Envoy check the configuration"),
    "adapters": (run_adapters, "run the adapters behind Envoy"),
    "sentinel": (run_sentinel, "raise a drill SOS every few seconds, and an alarm when it is late"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Settings come from the environment; see the README.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text)
    run, _ = COMMANDS[parser.parse_args().command]
    run(read_settings(Settings))


if __name__ == "__main__":
    main()
