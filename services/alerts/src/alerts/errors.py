"""What callers of alerts are told."""

from chassis.errors import Problem, documented
from siaga.alerts.v1 import error_reason_pb2
from siaga.alerts.v1.error_reason_pb2 import ErrorReason


class AlertNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ALERT_NOT_FOUND)
    text = "There is no such alert that you may know of."


class AlreadyAcknowledged(Problem):
    """`operator` and `agency` are the winner's."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ALREADY_ACKNOWLEDGED)
    text = "Somebody else has taken this alert."


class NotAcknowledged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_ACKNOWLEDGED)
    text = "Nobody has taken this alert yet: acknowledge it first."


class NotClaimant(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_CLAIMANT)
    text = "Only the one who holds this alert, or a supervisor, may do this."


class AlertClosed(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ALERT_CLOSED)
    text = "This alert is closed."


class OperatorRequired(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.OPERATOR_REQUIRED)
    text = "Say in `operator` which person acts."
