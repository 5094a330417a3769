"""What a gateway or a node in trouble answers, whatever was asked: names of Horizon's problems."""

from __future__ import annotations

from typing import Final

# Title and HTTP status by name.
OUTAGES: Final = {
    "service_unavailable": ("Service Unavailable", 503),
    "server_over_capacity": ("Server Over Capacity", 503),
    "stale_history": ("Historical DB Is Too Stale", 503),
    "still_ingesting": ("Still Ingesting", 503),
    "timeout": ("Timeout", 504),
    "server_error": ("Internal Server Error", 500),
    "before_history": ("Data Requested Is Before Recorded History", 410),
    "not_acceptable": ("An acceptable response content-type could not be provided for this request", 406),
    "transaction_submission_disabled": ("Transaction Submission Disabled", 403),
    "transaction_submission_exception": ("Transaction Submission Exception", 500),
    "transaction_submission_failed": ("Transaction Submission Failed", 500),
    "transaction_submission_invalid_status": ("Transaction Submission Invalid Status", 500),
}
