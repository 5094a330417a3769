"""Which workflows and activities serve which task queue; start, drain, stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.acks import AckActivities
from activities.assignment import AssignmentActivities
from activities.boundary import ErrorBoundary
from activities.cleanup import CodeCleanup, UploadCleanup
from activities.decisions import DecisionActivities
from activities.escalations import EscalationActivities
from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.relay import Relay
from activities.requests import RequestActivities
from activities.run_commands import RunCommandActivities
from activities.sla import SlaActivities
from activities.stellar.activities import StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.channel_gate import MOST_WAITING
from activities.stellar.horizon import Horizon
from activities.stellar.rules import SubmissionRules
from activities.stellar.signers import build_wallet
from activities.upkeep import UpkeepActivities
from db.session import Database
from domain import steps
from domain.ack import NO_AUTHORITY, Authority
from domain.errors import ConfigurationError
from domain.passes import open_secret
from settings import Settings
from starter import temporal
from starter.authority import open_authority
from starter.workflows import RequestWorkflows
from workflows.auto_assign import AutoAssignWorkflow
from workflows.channel_accounts import (
    ChannelAccountsWorkflow,
    ChannelBalancesWorkflow,
    ChannelTopUpWorkflow,
)
from workflows.cleanup import CleanupExpiredOtpsWorkflow, CleanupStaleUploadsWorkflow
from workflows.escalation import EscalationWorkflow
from workflows.ledger_inspection import LedgerInspectionWorkflow
from workflows.mint_request import MintRequestWorkflow
from workflows.sla_check import SlaCheckWorkflow
from workflows.upkeep import AuditPendingWorkflow

log = logging.getLogger("mintkeeper.worker")

DRAIN = timedelta(seconds=20)
"""At SIGTERM running activities may finish for so long: one submit instead of two."""

HEARTBEATS = timedelta(seconds=3)
"""By default one is sent every 8 s only, close to the 10 s after which one is missed."""

STELLAR_SLOTS = 4 * MOST_WAITING
"""Those who wait for a channel account or the ledger only hold a slot; nobody else may lack one for it."""

MAX_CACHED = 4000
"""Waiting requests kept in memory, about 100 kB each; one beyond it is replayed when something happens."""

_RUNNER = SandboxedWorkflowRunner(
    # the rules are deterministic by construction; importing them anew for each run costs 200 ms
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "domain", "workflows", "rfc8785", "cryptography", "stellar_sdk"
    )
)


_CHANNEL_WORKFLOWS = (ChannelAccountsWorkflow, ChannelTopUpWorkflow, ChannelBalancesWorkflow)


async def run_worker(settings: Settings, *, queues: Sequence[str], stop: asyncio.Event) -> None:
    """Serve the queues until `stop` is set, then drain.

    Raises ConfigurationError, or Unavailable when Temporal or the database can't be reached.
    """
    unknown = set(queues) - set(steps.QUEUES)
    if unknown:
        raise ConfigurationError(f"unknown queue {sorted(unknown)[0]}: there are {', '.join(steps.QUEUES)}")
    client = await temporal.connect()
    await _check_search_attributes(client)
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        await database.ping()
        for queue in queues:
            await stack.enter_async_context(_serving(queue, client, database, settings))
        log.info("serving %s", ", ".join(queues))
        await stop.wait()
        log.info("draining")


async def _check_search_attributes(client: Client) -> None:
    missing = await temporal.missing_search_attributes(client)
    if missing:
        raise ConfigurationError(
            f"Temporal does not know the search attribute {missing[0]}: run 'mintkeeper schedules apply'"
        )


@asynccontextmanager
async def _serving(queue: str, client: Client, database: Database, settings: Settings) -> AsyncIterator[None]:
    """One queue's worker (or relay), running inside the context."""
    if queue == steps.NOTIFICATIONS_QUEUE:
        async with _relaying(database, settings):
            yield
    elif queue == steps.STELLAR_QUEUE:
        horizon = Horizon(settings.horizon_url)
        wallet, rules = build_wallet(settings), SubmissionRules.of(settings)
        stellar = StellarActivities(database, horizon, wallet, rules)
        accounts = ChannelAccountActivities(database, horizon, wallet, rules)
        try:
            # with another phrase it would take accounts that it can't sign for
            await accounts.check_family()
            async with stellar_worker(client, stellar, accounts):
                yield
        finally:
            await horizon.close()
    elif queue == steps.MINT_QUEUE:
        async with mint_worker(client, database, open_authority(settings.authority_key)):
            yield
    elif queue == steps.UPLOADS_QUEUE:
        async with uploads_worker(client, database, settings.storage_url):
            yield
    else:
        async with maintenance_worker(client, database):
            yield


def mint_worker(client: Client, database: Database, authority: Authority = NO_AUTHORITY) -> Worker:
    """Workflows and the database's activities; without an authority no ack, and no decision that the server
    signed for somebody, is believed."""
    requests, decisions = RequestActivities(database), DecisionActivities(database, authority)
    runs, acks = EscalationActivities(database, RequestWorkflows(client)), AckActivities(database, authority)
    return Worker(
        client,
        task_queue=steps.MINT_QUEUE,
        workflows=[MintRequestWorkflow, EscalationWorkflow, LedgerInspectionWorkflow],
        activities=[
            requests.open_request,
            requests.run_stage,
            requests.expire,
            requests.assign,
            requests.read_standing,
            requests.comment,
            decisions.decide,
            acks.acknowledge,
            runs.raise_event,
            runs.open_run,
            runs.run_event_stage,
            runs.close_run,
            RunCommandActivities(database, authority).command,
        ],
        workflow_runner=_RUNNER,
        interceptors=[ErrorBoundary()],
        max_cached_workflows=MAX_CACHED,
        graceful_shutdown_timeout=DRAIN,
    )


def stellar_worker(client: Client, stellar: StellarActivities, accounts: ChannelAccountActivities) -> Worker:
    """Whatever signs or asks the ledger; a queue of its own, since only its workers hold signers."""
    return Worker(
        client,
        task_queue=steps.STELLAR_QUEUE,
        activities=[
            stellar.submit,
            stellar.settle,
            stellar.inspector.inspect,
            accounts.plan_channels,
            accounts.fund_channels,
            accounts.deliver_funding,
            accounts.top_up_channels,
            accounts.look_at_channels,
        ],
        interceptors=[ErrorBoundary()],
        max_concurrent_activities=STELLAR_SLOTS,
        max_heartbeat_throttle_interval=HEARTBEATS,
        graceful_shutdown_timeout=DRAIN,
    )


def maintenance_worker(client: Client, database: Database) -> Worker:
    """The periodic tasks, and the workflows of the channel accounts."""
    requests = RequestWorkflows(client)
    upkeep, assignment = UpkeepActivities(database, requests), AssignmentActivities(database, requests)
    sla = SlaActivities(database, requests)
    return Worker(
        client,
        task_queue=steps.MAINTENANCE_QUEUE,
        workflows=[
            AuditPendingWorkflow,
            SlaCheckWorkflow,
            AutoAssignWorkflow,
            CleanupExpiredOtpsWorkflow,
            *_CHANNEL_WORKFLOWS,
        ],
        activities=[
            upkeep.audit_pending,
            sla.sla_check,
            sla.sla_alert,
            assignment.auto_assign,
            assignment.tell_assigned,
            CodeCleanup(database).cleanup_expired_otps,
        ],
        workflow_runner=_RUNNER,
        interceptors=[ErrorBoundary()],
        max_heartbeat_throttle_interval=HEARTBEATS,
        graceful_shutdown_timeout=DRAIN,
    )


def uploads_worker(client: Client, database: Database, storage_url: str) -> Worker:
    """The clean-up of documents; a queue of its own, since its workers need the storage."""
    return Worker(
        client,
        task_queue=steps.UPLOADS_QUEUE,
        workflows=[CleanupStaleUploadsWorkflow],
        activities=[UploadCleanup(database, storage_url).cleanup_stale_uploads],
        workflow_runner=_RUNNER,
        interceptors=[ErrorBoundary()],
        max_heartbeat_throttle_interval=HEARTBEATS,
        graceful_shutdown_timeout=DRAIN,
    )


def replayer() -> Replayer:
    """Replays histories exactly as the worker would run them."""
    return Replayer(
        workflows=[
            MintRequestWorkflow,
            EscalationWorkflow,
            LedgerInspectionWorkflow,
            AuditPendingWorkflow,
            SlaCheckWorkflow,
            AutoAssignWorkflow,
            CleanupExpiredOtpsWorkflow,
            CleanupStaleUploadsWorkflow,
            *_CHANNEL_WORKFLOWS,
        ],
        workflow_runner=_RUNNER,
        data_converter=pydantic_data_converter,
    )


@asynccontextmanager
async def _relaying(database: Database, settings: Settings) -> AsyncIterator[None]:
    channels = build_channels(ChannelSettings.of(settings))
    relay = Relay(
        database,
        channels,
        public_url=settings.public_url,
        temporal_url=settings.temporal_ui_url,
        authority=open_authority(settings.authority_key),
        secret=open_secret(settings.session_secret) if settings.session_secret else None,
    )
    try:
        async with relay.running():
            yield
    finally:
        await asyncio.gather(*(channel.close() for channel in channels.values()))
