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


class FacilityNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.FACILITY_NOT_FOUND)
    text = "There is no such facility."


class CoverageNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.COVERAGE_NOT_FOUND)
    text = "No agency is named for this category in this area."


class EntryExists(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ENTRY_EXISTS)
    text = "An entry of this name exists already."


class EntryChanged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ENTRY_CHANGED)
    text = "Somebody else has changed the entry since it was read: read it again."


class EntryInUse(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ENTRY_IN_USE)
    text = "Other entries need this one."


class InvalidEntry(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_ENTRY)
    text = "The entry would break a rule of the directory; the fields at fault are named."
