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


class IncidentNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INCIDENT_NOT_FOUND)
    text = "There is no such incident of your agency."


class AgencyNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.AGENCY_NOT_FOUND)
    text = "The directory knows no such agency."


class NotRequested(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_REQUESTED)
    text = "Nobody waits for this agency's answer to a request."


class AlertChanged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ALERT_CHANGED)
    text = "The alert has changed since you read it: read it again."


class CallerNotContactable(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.CALLER_NOT_CONTACTABLE)
    text = "This caller must not be contacted."


class UnitNotFound(Problem):
    """`unit` is the one, where several were named."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_NOT_FOUND)
    text = "Your agency has no such unit."


class UnitExists(Problem):
    """`name` is the unit that there is."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_EXISTS)
    text = "There is a unit of this name."


class UnitChanged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_CHANGED)
    text = "The unit has changed since you read it: read it again."


class UnitBusy(Problem):
    """`unit` is the one."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_BUSY)
    text = "The unit is at work for an alert."


class UnitOffDuty(Problem):
    """`unit` is the one."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_OFF_DUTY)
    text = "The unit is off duty."


class UnitPositionOld(Problem):
    """`unit` is the one, `seconds` the age of its position."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNIT_POSITION_OLD)
    text = "The unit may be elsewhere by now: send it with `acceptOldPositions`, or another one."


class DrillMismatch(Problem):
    """`unit` or `alert` is the one that does not fit."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.DRILL_MISMATCH)
    text = "An exercise and an emergency do not go together."


class NotCrew(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_CREW)
    text = "Only the unit's crew, or whoever answers for its agency, may do this."


class InvalidTransition(Problem):
    """`status` is the unit's present one."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_TRANSITION)
    text = "The unit cannot come to this from where it is."


class WrongPin(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WRONG_PIN)
    text = "The old PIN is not right, or was tried too often."


class SignInRequired(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.SIGN_IN_REQUIRED)
    text = "Sign in anew, or give the old PIN."


class PinsTooAlike(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.PINS_TOO_ALIKE)
    text = "One slip of the finger must not make the duress PIN of the PIN."


class ReasonRequired(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.REASON_REQUIRED)
    text = "This alert is closed and restricted: say in `reason` why you read it."


class AgencyInConflict(Problem):
    """`alert` is the one, where several were named."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.AGENCY_IN_CONFLICT)
    text = "This agency must not know of the alert."


class CallerIsStaff(Problem):
    """`alert` is the one."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.CALLER_IS_STAFF)
    text = "Whoever answers for an agency is helped for themselves: their own alert is put together with no other."


class WebhookNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WEBHOOK_NOT_FOUND)
    text = "Your agency has no such webhook."


class WebhookChanged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WEBHOOK_CHANGED)
    text = "The webhook has changed since you read it: read it again."


class WebhookTargetRefused(Problem):
    """`fields` say what is wrong with the URL."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WEBHOOK_TARGET_REFUSED)
    text = "Events may not be sent to this URL."


class WebhookDisabled(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WEBHOOK_DISABLED)
    text = "The webhook is disabled: enable it first."


class DeliveryNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.DELIVERY_NOT_FOUND)
    text = "The webhook has no such delivery."


class TooManyWebhooks(Problem):
    """`max` is how many there may be."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.TOO_MANY_WEBHOOKS)
    text = "Your agency has as many webhooks as it may have: remove one first."


class WarningNotFound(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WARNING_NOT_FOUND)
    text = "There is no such warning that you may know of."


class NotIssuer(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_ISSUER)
    text = "Only the agency that issued this warning may do this."


class WarningClosed(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WARNING_CLOSED)
    text = "This warning was cancelled or has expired: issue a new one."


class WarningChanged(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WARNING_CHANGED)
    text = "The warning has changed since you read it: read it again."


class NotPending(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.NOT_PENDING)
    text = "Nothing of this warning awaits approval."


class SecondPersonRequired(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.SECOND_PERSON_REQUIRED)
    text = "Another supervisor of your agency must approve what you wrote."


class WarningFull(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.WARNING_FULL)
    text = "This warning has as many messages as it can have: cancel it, and issue a new one."


class AreaNotFound(Problem):
    """`area` is the one."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.AREA_NOT_FOUND)
    text = "The directory knows no such area."


class OutsideJurisdiction(Problem):
    """`area` is the one, `agency` the room that takes every SOS there."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.OUTSIDE_JURISDICTION)
    text = "Another agency answers there: name your own areas at once, and ask that agency, or one above both, to warn there."


class StatisticsOutOfScope(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.STATISTICS_OUT_OF_SCOPE)
    text = "You may see the statistics of your own areas or of your own agency."


class StatisticsNotReady(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.STATISTICS_NOT_READY)
    text = "The alerts are being counted for the first time: try again shortly."
