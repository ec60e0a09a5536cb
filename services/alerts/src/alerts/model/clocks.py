"""What is due for an alert, and when. All of it follows from the alert, so that no change of one can forget a timer."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from alerts.model.alerts import Alert
from alerts.model.policies import Policy

# Nobody has answered; it is too long in its state; a crew at the scene is asked whether all are well.
ANSWER, LIMIT, ROLL_CALL = "answer", "limit", "roll_call"
_LIMIT_STEPS = 2


class Clock(NamedTuple):
    """`subject` is the agency that has not answered, or the number of the assignment whose crew is asked."""

    kind: str
    subject: str
    due_time: datetime


def find_clocks(alert: Alert, find_policy: Callable[[str], Policy]) -> Iterator[Clock]:
    if alert.close_time:
        return
    parts = alert.parts
    for response in parts.find_awaited():
        # While another alert stands for this one, nobody is called for it but those who were asked for it alone.
        if response.is_asked or not alert.merged_into:
            yield Clock(ANSWER, response.agency, response.find_due(find_policy(response.agency)))
    limit = find_policy(parts.lead.agency).find_limit(alert.kind, alert.state)
    if limit and not alert.merged_into and alert.limit_step < _LIMIT_STEPS:
        yield Clock(LIMIT, "", alert.state_time + (limit.alert if alert.limit_step else limit.warn))
    for assignment in alert.assignments:
        if due := assignment.find_roll_due(find_policy(assignment.agency).roll_call):
            yield Clock(ROLL_CALL, str(assignment.number), due)
