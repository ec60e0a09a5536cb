"""The OpenAPI document, from the contract: bindings, schemas with the bounds of protovalidate, and the comments."""

import re
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
    Field.TYPE_BYTES: {"type": "string", "format": "byte"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    # JSON numbers end at 53 bits.
    Field.TYPE_INT64: {"type": "string", "format": "int64"},
    Field.TYPE_STRING: {"type": "string"},
}
WELL_KNOWN: dict[str, Json] = {
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
# Reasons that an RPC may answer with beside those of its own comment, by what the rule and the request say of it.
COMMON = ("UNREADABLE_REQUEST", "INVALID_REQUEST", "OVERLOADED", "SERVICE_UNAVAILABLE", "DEADLINE_PASSED", "INTERNAL_ERROR")
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
            "items": {"type": "object", "required": ["@type"]},
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
    return OpenApi(contract).write()


class OpenApi:
    """Collects the schemas that the paths refer to."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schemas: Json = {"Error": ERROR_SCHEMA}
        self._reasons = self._find_reasons()

    def write(self) -> Json:
        paths: dict[str, Json] = {}
        for rpc in self._contract.rpcs:
            for number, binding in enumerate(rpc.bindings):
                operation = self._write_operation(rpc, binding, number)
                paths.setdefault(write_path(binding.path), {})[binding.method.lower()] = operation
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Siaga",
                "version": "1",
                "description": "Over JSON. The same RPCs are open to gRPC and gRPC-Web on the same port.",
            },
            "paths": paths,
            "components": {"schemas": dict(sorted(self._schemas.items())), "securitySchemes": SECURITY_SCHEMES},
        }

    def _write_operation(self, rpc: Rpc, binding: Binding, number: int) -> Json:
        message = self._contract.messages[rpc.method.input_type]
        in_path = [variable["field"] for variable in VARIABLE.finditer(binding.path)]
        operation: Json = {
            "operationId": f"{rpc.service}.{rpc.method.name}" + (f".{number + 1}" if number else ""),
            "tags": [rpc.service.rsplit(".", 1)[1]],
            "summary": re.split(r"(?<=[.:])\s", rpc.comment)[0].rstrip(".:"),
            "description": rpc.comment,
            "security": write_security(rpc),
            "parameters": self._write_path_parameters(rpc, binding),
            "responses": {"200": self._write_success(rpc), **self._write_errors(rpc, message)},
        }
        if binding.body == "*":
            schema = self._write_message(rpc.method.input_type, without=in_path)
            # An empty body is one without any field.
            needed = any(is_required(field) for field in message.field if field.name not in in_path)
            operation["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
            return operation
        if binding.body:
            field = next(field for field in message.field if field.name == binding.body)
            operation["requestBody"] = {
                "required": is_required(field),
                "content": {"application/json": {"schema": self._write_field(field)}},
            }
        hidden = {*in_path, binding.body}
        operation["parameters"] += self._write_query_parameters(rpc.method.input_type, hidden, prefix="", required=True)
        return operation

    def _write_path_parameters(self, rpc: Rpc, binding: Binding) -> list[Json]:
        """Write one parameter for each `*` of a variable, named for the collection before it."""
        found: list[Json] = []
        for variable in VARIABLE.finditer(binding.path):
            field = next(f for f in self._contract.messages[rpc.method.input_type].field if f.name == variable["field"])
            pattern = str(read_bounds(field.options.Extensions[validate_pb2.field]).get("pattern", ""))
            for word in re.findall(r"(\w+)/\*", variable["pattern"] or f"{field.name}s/*"):
                # The rule is on the whole name; where that has one variable part, it tells the rule of the part.
                whole = re.fullmatch(rf"\^{word}/(?P<part>[^/]+)\$", pattern)
                part = f"^{whole['part']}$" if whole else "^[^/]+$"
                comment = self._contract.comments[f"{rpc.method.input_type}.{field.name}"]
                schema = {"type": "string", "pattern": part}
                found.append({"name": singular(word), "in": "path", "required": True, "schema": schema, "description": comment})
        return found

    def _write_query_parameters(self, name: str, hidden: set[str], *, prefix: str, required: bool) -> list[Json]:
        found: list[Json] = []
        for field in self._contract.messages[name].field:
            if field.name in hidden:
                continue
            needed = required and is_required(field)
            path = prefix + field.json_name
            if field.type == Field.TYPE_MESSAGE and field.type_name not in WELL_KNOWN:
                found += self._write_query_parameters(field.type_name, set(), prefix=f"{path}.", required=needed)
            else:
                schema = self._write_field(field)
                found.append({"name": path, "in": "query", "required": needed, "schema": schema})
                found[-1]["description"] = self._contract.comments[f"{name}.{field.name}"]
        return found

    def _write_success(self, rpc: Rpc) -> Json:
        schema = self._write_message(rpc.method.output_type)
        if rpc.method.server_streaming:
            text = "Server-sent events; each `data:` is one JSON object of this schema."
            return {"description": text, "content": {"text/event-stream": {"schema": schema}}}
        comment = self._contract.comments[rpc.method.output_type]
        return {"description": comment.split("\n\n")[0] or "Done.", "content": {"application/json": {"schema": schema}}}

    def _write_errors(self, rpc: Rpc, message: DescriptorProto) -> Json:
        """Group the reasons that the RPC may answer with by their HTTP status."""
        listed = re.search(r"^\s*Errors:(.*)", rpc.comment, re.DOTALL | re.MULTILINE)
        reasons = [*re.findall(r"`([A-Z_]+)`", listed[1] if listed else ""), *COMMON]
        if any(binding.body for binding in rpc.bindings):
            reasons.append("REQUEST_TOO_LARGE")
        if not rpc.rule.emergency:
            reasons.append("INVALID_TOKEN")
            reasons += ["REQUEST_ID_REUSED"] if any(field.name == "request_id" for field in message.field) else []
        reasons += ["ACCESS_DENIED"] if rpc.rule.roles else []
        reasons += [] if rpc.rule.never_limited else ["RATE_LIMITED"]
        if rpc.rule.emergency:
            reasons.remove("INVALID_REQUEST")
        statuses: dict[int, dict[str, str]] = {}
        for reason in reasons:
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

    def _write_message(self, name: str, without: list[str] | None = None) -> Json:
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        key = name.removeprefix(".siaga.")
        if key not in self._schemas:
            # Entered before its fields are written, so that a message may hold itself.
            schema: Json = {"type": "object", "description": self._contract.comments[name], "properties": {}}
            self._schemas[key] = schema
            fields = [field for field in self._contract.messages[name].field if field.name not in (without or [])]
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
        self._schemas[key] = {"type": "string", "description": f"{self._contract.comments[name]}\n\n{told}", "enum": words}
        return {"$ref": f"#/components/schemas/{key}"}


def write_path(path: str) -> str:
    """Write `/v1/{name=alerts/*}:track` as `/v1/alerts/{alert}:track`."""
    return VARIABLE.sub(lambda found: re.sub(r"(\w+)/\*", name_part, found["pattern"] or f"{{{found['field']}}}"), path)


def name_part(found: re.Match[str]) -> str:
    return f"{found[1]}/{{{singular(found[1])}}}"


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
    if kind is None or kind == "timestamp":
        return {}
    found = {BOUNDS[rule.name]: value for rule, value in getattr(rules, kind).ListFields() if rule.name in BOUNDS}
    return found | ({"pattern": UUID} if rules.string.uuid else {})


def is_required(field: Field) -> bool:
    """Say whether a request without the field breaks a rule: it is required, or its zero value is not allowed."""
    rules = field.options.Extensions[validate_pb2.field]
    if rules.required or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE or field.proto3_optional:
        return rules.required
    zero_breaks = (rules.string.pattern and not re.search(rules.string.pattern, "")) or rules.string.uuid
    return bool(zero_breaks or rules.string.min_len or rules.repeated.min_items or 0 in rules.enum.not_in)
