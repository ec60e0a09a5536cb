"""What public warnings say in the tests of the contract, and how they are issued."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contract.rpcs import Services

DISTRICT, CITY = "areas/31.71.01", "areas/31.71"


def texts(text: str = "Banjir") -> dict[str, str]:
    return dict.fromkeys(("event", "headline", "description", "instruction", "areaDescription"), text)


def info(**other: Any) -> dict[str, Any]:
    """Of one district, for an hour."""
    said = {
        "categories": ["MET"],
        "urgency": "IMMEDIATE",
        "severity": "SEVERE",
        "certainty": "OBSERVED",
        "indonesian": texts(),
        "area": {"areas": [DISTRICT]},
        "expireTime": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    return said | other


def issue(services: Services, token: str, **other: Any) -> Any:
    """By a supervisor; pending where it is of a whole city."""
    return services.call("alerts.IssueWarning", {"status": "ACTUAL", "info": info(**other)}, token=token).message
