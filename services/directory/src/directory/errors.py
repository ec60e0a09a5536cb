"""What callers of the directory are told."""

from chassis.errors import Problem, documented
from siaga.directory.v1 import error_reason_pb2
from siaga.directory.v1.error_reason_pb2 import ErrorReason


class AreaNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.AREA_NOT_FOUND)
    text = "There is no such area."


class AgencyNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.AGENCY_NOT_FOUND)
    text = "There is no such agency."


class HotlineNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.HOTLINE_NOT_FOUND)
    text = "There is no such hotline."


class BoundaryUnknown(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.BOUNDARY_UNKNOWN)
    text = "The boundary of this area has not been imported."


class InvalidImport(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_IMPORT)
    text = "The import was refused as a whole; the lines at fault are named."
