"""What a workflow refuses comes back as the error it was."""

import pytest
from temporalio.exceptions import ApplicationError

from domain.errors import DecisionRefused, MintkeeperError, NotOpen, Refused
from starter.failures import domain_error


@pytest.mark.parametrize(("kind", "expected"), [("not_open", NotOpen), ("refused", Refused)])
def test_a_code_becomes_its_error(kind, expected):
    """The failure type is the code of one class of the closed tree."""
    error = domain_error(ApplicationError("no", type=kind))
    assert type(error) is expected
    assert error.message == "no"


def test_a_reason_becomes_a_refused_decision():
    """A refusal reason is a type of its own."""
    error = domain_error(ApplicationError("not yet", type="tier_not_eligible"))
    assert isinstance(error, DecisionRefused)
    assert error.reason == "tier_not_eligible"


def test_the_first_known_type_along_the_causes_counts():
    """Wrappers of the SDK have types of their own."""
    outer = ApplicationError("wrapped", type="ActivityError")
    outer.__cause__ = ApplicationError("taken", type="idempotency_conflict")
    assert domain_error(outer).code == "idempotency_conflict"


def test_an_unknown_type_keeps_its_word():
    """Nothing is guessed: the type is passed on as the code."""
    error = domain_error(ApplicationError("odd", type="boiler_leak"))
    assert (type(error), error.code, error.message) == (MintkeeperError, "boiler_leak", "odd")


def test_a_failure_of_another_kind_is_told():
    """Even what carries no type has a message."""
    assert domain_error(RuntimeError("terminated")).message == "terminated"
