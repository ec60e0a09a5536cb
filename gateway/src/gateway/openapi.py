"""The OpenAPI document, from the contract: bindings, schemas with the bounds of protovalidate, and the comments."""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from buf.validate import validate_pb2
from gateway.contract import VARIABLE, Binding, Contract, Rpc
from gateway.errors import HTTP_STATUS
from siaga.access.v1.access_pb2 import Rule
from siaga.errors.v1 import error_reason_pb2

Json = dict[str, Any]
Field = FieldDescriptorProto

SCALARS: dict[int, Json] = {
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    # JSON numbers end at 53 bits.
    Field.TYPE_INT64: {"type": "string", "format": "int64"},
    Field.TYPE_STRING: {"type": "string"},
}
WELL_KNOWN: dict[str, Json] = {
    ".google.protobuf.Empty": {"type": "object", "description": "Nothing."},
    ".google.protobuf.FieldMask": {"type": "string"},
    ".google.protobuf.Struct": {"type": "object"},
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
BOUNDS = {
    "gte": "minimum",
    "lte": "maximum",
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "min_items": "minItems",
    "max_items": "maxItems",
    "max_pairs": "maxProperties",
}
# Reasons that any RPC may answer with beside those of its own comment.
COMMON = ("UNREADABLE_REQUEST", "OVERLOADED", "SERVICE_UNAVAILABLE", "DEADLINE_PASSED", "INTERNAL_ERROR")
ERROR_SCHEMA: Json = {
    "type": "object",
    "description": "google.rpc.Status.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "google.rpc.Code."},
        "message": {"type": "string", "description": "For people."},
        "details": {
            "type": "array",
            "description": "google.rpc.ErrorInfo with `reason`, `domain` and `metadata`, and as the reason has it BadRequest or RetryInfo.",
            "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
        },
    },
}
SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "alertToken": {
        "type": "apiKey",
        "in": "header",
        "name": "siaga-alert-token",
        "description": "The alert token, which opens its alert to whoever has it.",
    },
}


def write_openapi(contract: Contract) -> Json:
    writer = Writer(contract)
    paths: dict[str, Json] = {}
    for rpc in contract.rpcs:
        for number, binding in enumerate(rpc.bindings):
            paths.setdefault(write_path(binding.path), {})[binding.method.lower()] = writer.write_operation(rpc, binding, number)
    services = dict.fromkeys(rpc.service for rpc in contract.rpcs if rpc.bindings)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Siaga",
            "version": "1",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            "description": "Over JSON. The same RPCs are open to gRPC and gRPC-Web on the same port.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name_tag(each), "description": contract.comments[f".{each}"]} for each in services],
        "paths": paths,
        "components": {"schemas": dict(sorted(writer.schemas.items())), "securitySchemes": SECURITY_SCHEMES},
    }


def name_tag(service: str) -> str:
    return service.rsplit(".", 1)[1]


class Writer:
    """Writes operations, and collects the schemas that they refer to."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._reasons = self._find_reasons()
        self.schemas: Json = {"Error": ERROR_SCHEMA}

    def write_operation(self, rpc: Rpc, binding: Binding, number: int) -> Json:
        request = rpc.method.input_type
        message = self._contract.messages[request]
        in_path = [variable["field"] for variable in VARIABLE.finditer(binding.path)]
        operation: Json = {
            "operationId": f"{rpc.service}.{rpc.method.name}" + (f".{number + 1}" if number else ""),
            "tags": [name_tag(rpc.service)],
            "summary": re.split(r"(?<=[.:])\s", rpc.comment)[0].rstrip(".:"),
            "description": rpc.comment,
            "security": write_security(rpc),
            "parameters": self._write_path_parameters(request, binding.path),
            "responses": {"200": self._write_success(rpc), **self._write_errors(rpc, message)},
        }
        if binding.body == "*":
            # An empty body is one without any field.
            needed = any(is_required(field) for field in message.field if field.name not in in_path)
            content = {"application/json": {"schema": self._write_message(request, without=in_path)}}
            operation["requestBody"] = {"required": needed, "content": content}
        else:
            operation["parameters"] += self._write_query_parameters(request, without=[*in_path, binding.body])
        if binding.body not in {"", "*"}:
            body = next(field for field in message.field if field.name == binding.body)
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": self._write_field(body)}}}
        return operation

    def _write_path_parameters(self, request: str, path: str) -> list[Json]:
        found: list[Json] = []
        for variable in VARIABLE.finditer(path):
            collection = variable["collection"]
            holder, field = self._find_field(request, variable["field"])
            # The rule is on the whole name, such as `^alerts/[0-9a-f-]{36}$`; the parameter is what follows the collection.
            pattern = read_bounds(field.options.Extensions[validate_pb2.field])["pattern"].replace(f"{collection}/", "", 1)
            schema = {"type": "string", "pattern": pattern}
            comment = self._contract.comments[f"{holder}.{field.name}"]
            found.append({"name": singular(collection), "in": "path", "required": True, "schema": schema, "description": comment})
        return found

    def _find_field(self, message: str, path: str) -> tuple[str, Field]:
        """The field at a path such as `facility.name`, and the message that it is in."""
        first, _, rest = path.partition(".")
        field = next(each for each in self._contract.messages[message].field if each.name == first)
        return self._find_field(field.type_name, rest) if rest else (message, field)

    def _write_query_parameters(self, name: str, without: Sequence[str] = (), prefix: str = "", *, required: bool = True) -> list[Json]:
        found: list[Json] = []
        for field in self._contract.messages[name].field:
            needed = required and is_required(field)
            path = prefix + field.json_name
            if field.name in without:
                continue
            if field.type == Field.TYPE_MESSAGE and field.type_name not in WELL_KNOWN:
                found += self._write_query_parameters(field.type_name, prefix=f"{path}.", required=needed)
            else:
                comment = self._contract.comments[f"{name}.{field.name}"]
                schema = self._write_field(field)
                found.append({"name": path, "in": "query", "required": needed, "schema": schema, "description": comment})
        return found

    def _write_success(self, rpc: Rpc) -> Json:
        if rpc.method.output_type == ".google.api.HttpBody":
            # The body as it is; its type stands in the comment, as `text/csv`.
            media = re.findall(r"`(\w+/\w+)`", rpc.comment)[0]
            return {"description": "A file.", "content": {media: {"schema": {"type": "string"}}}}
        schema = self._write_message(rpc.method.output_type)
        if rpc.method.server_streaming:
            text = "Server-sent events; each `data:` is one JSON object of this schema."
            return {"description": text, "content": {"text/event-stream": {"schema": schema}}}
        known = WELL_KNOWN.get(rpc.method.output_type, {})
        comment = known.get("description") or self._contract.comments[rpc.method.output_type]
        return {"description": comment.split("\n\n")[0], "content": {"application/json": {"schema": schema}}}

    def _write_errors(self, rpc: Rpc, message: DescriptorProto) -> Json:
        """Group the reasons that the RPC may answer with by their HTTP status."""
        more = {
            "INVALID_REQUEST": not rpc.rule.emergency,
            "REQUEST_TOO_LARGE": any(binding.body for binding in rpc.bindings),
            "INVALID_TOKEN": not rpc.rule.emergency,
            "REQUEST_ID_REUSED": not rpc.rule.emergency and any(field.name == "request_id" for field in message.field),
            "ACCESS_DENIED": bool(rpc.rule.roles),
            "RATE_LIMITED": not rpc.rule.never_limited,
        }
        own = re.findall(r"`([A-Z_]+)`", rpc.comment.partition("Errors:")[2])
        statuses: dict[int, dict[str, str]] = {}
        for reason in (*own, *COMMON, *(reason for reason, given in more.items() if given)):
            # A service's own reason goes before a shared one of the same name.
            code, comment = self._reasons.get((rpc.package, reason)) or self._reasons["siaga.errors.v1", reason]
            statuses.setdefault(HTTP_STATUS[code], {})[reason] = comment
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        return {
            str(status): {"description": "\n".join(f"* `{reason}`: {comment}" for reason, comment in found.items()), "content": content}
            for status, found in sorted(statuses.items())
        }

    def _find_reasons(self) -> dict[tuple[str, str], tuple[int, str]]:
        """Return the code and the comment of every documented reason, by package and name."""
        return {
            (package, value.name): (value.options.Extensions[error_reason_pb2.code], self._contract.comments[f"{name}.{value.name}"])
            for name, enum in self._contract.enums.items()
            if enum.name == "ErrorReason"
            for package in [name[1:].rsplit(".", 1)[0]]
            for value in enum.value
        }

    def _write_message(self, name: str, without: Sequence[str] = ()) -> Json:
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        key = name.removeprefix(".siaga.")
        if key not in self.schemas:
            # Entered before its fields are written, so that a message may hold itself.
            schema: Json = {"type": "object", "description": self._contract.comments[name], "properties": {}}
            self.schemas[key] = schema
            fields = [field for field in self._contract.messages[name].field if field.name not in without]
            for field in fields:
                comment = self._contract.comments[f"{name}.{field.name}"]
                schema["properties"][field.json_name] = {"description": comment, **self._write_field(field)}
            if required := [field.json_name for field in fields if is_required(field)]:
                schema["required"] = required
        return {"$ref": f"#/components/schemas/{key}"}

    def _write_field(self, field: Field) -> Json:
        rules = field.options.Extensions[validate_pb2.field]
        if field.label != Field.LABEL_REPEATED:
            return self._write_value(field, rules)
        bounds = read_bounds(rules)
        entry = self._contract.messages.get(field.type_name)
        if entry is not None and entry.options.map_entry:
            values = self._write_value(entry.field[1], rules.map.values)
            return {"type": "object", "additionalProperties": values, **bounds}
        return {"type": "array", "items": self._write_value(field, rules.repeated.items), **bounds}

    def _write_value(self, field: Field, rules: validate_pb2.FieldRules) -> Json:
        if field.type == Field.TYPE_MESSAGE:
            return self._write_message(field.type_name)
        if field.type == Field.TYPE_ENUM:
            return self._write_enum(field.type_name, list(rules.enum.not_in))
        schema = dict(SCALARS[field.type]) | read_bounds(rules)
        # An empty string stands for an absent one, in requests and in answers.
        if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE and "pattern" in schema:
            schema["pattern"] = f"^$|{schema['pattern']}"
        return schema

    def _write_enum(self, name: str, without: list[int]) -> Json:
        """Write the words; that of 0 among them, because answers say it where nothing is set."""
        words = [value.name for value in self._contract.enums[name].value if value.number not in without]
        if without:
            return {"type": "string", "enum": words}
        told = "\n".join(f"* `{word}`: {self._contract.comments[f'{name}.{word}']}" for word in words)
        key = name.removeprefix(".siaga.")
        self.schemas[key] = {"type": "string", "description": f"{self._contract.comments[name]}\n\n{told}", "enum": words}
        return {"$ref": f"#/components/schemas/{key}"}


def write_path(path: str) -> str:
    """Write `/v1/{name=alerts/*}:track` as `/v1/alerts/{alert}:track`."""
    return VARIABLE.sub(lambda found: f"{found['collection']}/{{{singular(found['collection'])}}}", path)


def singular(word: str) -> str:
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def write_security(rpc: Rpc) -> list[Json]:
    if rpc.rule.token == Rule.REQUIRED:
        return [{"bearer": []}]
    # An alert's own RPCs take its token from whoever has no sign-in; RaiseAlert is where the client names it.
    of_an_alert = rpc.package.startswith("siaga.alerts.") and not rpc.rule.emergency
    return [{}, {"bearer": []}, *([{"alertToken": []}] if of_an_alert else [])]


def read_bounds(rules: validate_pb2.FieldRules) -> Json:
    """Translate the rules of the field's type, such as `string` or `double`; those that JSON Schema has no word for are left out."""
    kind = rules.WhichOneof("type")
    given = getattr(rules, kind).ListFields() if kind else []
    found = {BOUNDS[rule.name]: value for rule, value in given if rule.name in BOUNDS}
    return found | ({"pattern": UUID} if rules.string.uuid else {})


def is_required(field: Field) -> bool:
    """Say whether a request without the field breaks a rule: it is required, or its zero value is not allowed."""
    rules = field.options.Extensions[validate_pb2.field]
    if rules.required or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE or field.proto3_optional:
        return rules.required
    zero_breaks = (rules.string.pattern and not re.search(rules.string.pattern, "")) or rules.string.uuid
    return bool(zero_breaks or rules.string.min_len or rules.repeated.min_items or 0 in rules.enum.not_in)
