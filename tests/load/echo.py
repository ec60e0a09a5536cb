"""The floor of a question: a bare grpc.aio server that answers any call with the bytes it was sent. `python tests/load/echo.py PORT`."""

import asyncio
import sys

import grpc


class Echo(grpc.GenericRpcHandler):
    """No interceptor, no message, no work."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:  # grpc's own signature
        return grpc.unary_unary_rpc_method_handler(answer)


async def answer(request: bytes, _: grpc.aio.ServicerContext) -> bytes:
    return request


async def main(port: str) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
