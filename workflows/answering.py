"""What the workflows of both kinds of run answer: acknowledgements, and signed commands about stages."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from temporalio import workflow

from workflows.handling import Turn, as_json_object, judge_ack, judge_command

with workflow.unsafe.imports_passed_through():
    from domain.ack import AckOutcome
    from domain.steps import AckAnswer, AckStep, CommandAnswer, CommandOutcome, CommandStep


class Whose(NamedTuple):
    """Which run a message is for; `run_id` is None for a mint request's own."""

    request_id: str
    tenant: str
    run_id: str | None = None


class Answering(ABC):
    """A run that can be acknowledged, cancelled and resumed, in turn with its stages.

    A stage that has begun is written first, one that has not is held back. Messages may have any number
    of arguments of any shape: one that does not fit would otherwise fail the workflow task for ever.
    """

    _turn: asyncio.Lock
    _opened: bool

    @abstractmethod
    def _whose(self) -> Whose:
        """Which run this is."""

    @abstractmethod
    def _adopt(self, answer: AckAnswer | CommandAnswer) -> None:
        """Take over how the run stands after a message."""

    @abstractmethod
    def _check_commandable(self) -> None:
        """Raise ApplicationError when no command can have an effect any more."""

    @workflow.update
    async def acknowledge(self, signed: Any) -> AckOutcome:
        """The envelope of an ack token: its recipient is on it, and the stages to come are held back."""
        return await self._acknowledge((signed,))

    @workflow.signal
    async def ack(self, *signed: Any) -> None:
        """The same, durable even while no worker runs."""
        await self._acknowledge(signed)

    @workflow.update(name="command")
    async def take_command(self, signed: Any) -> CommandOutcome:
        """A signed `escalation.cancel` or `escalation.resume`: about the stages, never about the request."""
        async with self._in_turn():
            request_id, tenant, run_id = self._whose()
            step = CommandStep(
                run_id=run_id or request_id,
                tenant=tenant,
                signed=as_json_object((signed,)),
                at=workflow.now(),
            )
            answer = await judge_command(step)
            self._adopt(answer)
            return answer.outcome

    @take_command.validator
    def _command_validator(self, signed: Any) -> None:  # noqa: ARG002 - the signature is the update's
        self._check_commandable()

    async def _acknowledge(self, signed: tuple[Any, ...]) -> AckOutcome:
        async with self._in_turn():
            request_id, tenant, run_id = self._whose()
            step = AckStep(
                request_id=request_id,
                tenant=tenant,
                run_id=run_id,
                signed=as_json_object(signed),
                at=workflow.now(),
            )
            answer = await judge_ack(step)
            self._adopt(answer)
            return answer.outcome

    def _in_turn(self) -> Turn:
        return Turn(self._turn, lambda: self._opened)
