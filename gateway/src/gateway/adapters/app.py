"""The adapters behind Envoy: what transcoding cannot express, and every path that nobody else knows."""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast

import uvicorn
from google.rpc import error_details_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.errors import InternalError, Problem
from chassis.identity import challenge
from gateway.adapters.cap.app import Cap
from gateway.adapters.hsds.app import Hsds
from gateway.adapters.issuer import Issuer
from gateway.adapters.lost.app import Lost
from gateway.adapters.services import Directory, Service, Texts, Warnings
from gateway.adapters.sms.app import Sms
from gateway.contract import Contract
from gateway.errors import InvalidSignature, MethodNotFound, find_http_status, write_json
from gateway.openapi import write_openapi
from gateway.settings import Settings
from siaga.alerts.v1.text_service_pb2_grpc import TextServiceStub
from siaga.alerts.v1.warning_service_pb2_grpc import WarningServiceStub
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

# What is signed by the scheme of Standard Webhooks is opened by no token. The scheme has no name of its own in HTTP's registry.
SIGN = 'Standard-Webhooks realm="siaga"'
log = logging.getLogger("gateway.adapters")


def run_adapters(settings: Settings) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # No access log: Envoy keeps it, without queries and addresses.
    uvicorn.run(make_app(settings), host="127.0.0.1", port=settings.adapters_port, access_log=False, server_header=False, log_config=None)


def make_app(settings: Settings) -> Starlette:
    contract = Contract()
    document = write_openapi(contract)

    async def get_openapi(_: Request) -> Response:
        return JSONResponse(document)

    directory: Directory = Service(settings.upstreams["directory"][0], DirectoryServiceStub)  # pyright: ignore[reportAssignmentType]
    warnings: Warnings = Service(settings.upstreams["alerts"][0], WarningServiceStub)  # pyright: ignore[reportAssignmentType]

    texts: Texts = Service(settings.upstreams["alerts"][0], TextServiceStub)  # pyright: ignore[reportAssignmentType]

    @asynccontextmanager
    async def open_services(_: Starlette) -> AsyncGenerator[None, None]:
        async with directory.open(), warnings.open(), texts.open():
            yield

    routes = [Route("/openapi.json", get_openapi)]
    routes += [*Lost(settings, directory).routes, *Hsds(directory, contract).routes, *Cap(settings, warnings).routes]
    if settings.sms_secret_file:
        routes += Sms(settings.sms_secret_file, texts).routes
    if settings.dev_issuer:
        log.warning("THE DEVELOPMENT ISSUER IS ON: whoever asks gets a token for any demo person. Never run it in production.")
        routes += Issuer(settings.platform).routes
    # Starlette knows 404 and 405 by itself; both are "no such path or method" here, as at the edge.
    handlers = {Problem: answer_problem, 404: answer_unknown_path, 405: answer_unknown_path, 500: answer_fault}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=open_services)
    # Or a path with a slash too many were sent elsewhere, to whatever host the caller names.
    app.router.redirect_slashes = False
    return app


async def answer_problem(request: Request, error: Exception) -> Response:
    return write_error(cast("Problem", error), request)


async def answer_unknown_path(request: Request, _: Exception) -> Response:
    return write_error(MethodNotFound(), request)


async def answer_fault(request: Request, _: Exception) -> Response:
    """Answer for any other exception; the server logs its trace next to the id of the request."""
    request_id = request.headers.get("x-request-id", "")
    log.error("failed: errorId=%s", request_id)
    return write_error(InternalError(errorId=request_id), request)


def write_error(problem: Problem, request: Request) -> Response:
    status, headers = find_http_status(problem), find_retry(problem)
    if status == HTTPStatus.UNAUTHORIZED:
        # RFC 9110, 15.5.2.
        signed = isinstance(problem, InvalidSignature)
        headers["www-authenticate"] = SIGN if signed else challenge(request.headers.get("authorization", ""))
    return JSONResponse(write_json(problem), status, headers)


def find_retry(problem: Problem) -> dict[str, str]:
    """Say how long to wait where waiting helps, in whole seconds, as the header has it."""
    retry = error_details_pb2.RetryInfo()
    if not any(detail.Unpack(retry) for detail in problem.to_status().details):
        return {}
    return {"retry-after": str(math.ceil(retry.retry_delay.ToTimedelta().total_seconds()))}
