"""What the engine needs of the outside, put together: targets, metrics, policies and secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping

from data.store import Store
from engine.adapters.driver_local_fleet import LocalFleetDriver
from engine.adapters.metrics_prometheus import PrometheusMetrics
from engine.adapters.metrics_router import RouterMetrics
from engine.adapters.runtime_fleet import FleetRuntime
from engine.catalog import Catalog
from engine.core.errors import Malformed, UnsafeConfig
from engine.evidence.feeds_seal import FeedsSigner
from engine.feeds_desk import FeedDesk
from engine.feeds_files import FeedFiles
from engine.fleet.control import Fleet
from engine.outside import Outside, Place
from engine.policy_book import PolicyBook
from engine.ports import BlobStore, Clock, FeedSource
from engine.settings import Environment, Settings
from engine.verdicts import PolicyDesk
from engine.wiring_integrations import prometheus_of, secret_sources


def fleet_of(settings: Settings, env: Environment) -> Fleet:
    return Fleet(
        settings.home / "fleet" / env.name,
        environment=env.name,
        targets=env.targets,
        slow_over_ms=env.workflow.metrics.slow_over_ms,
    )


def outside_of(
    settings: Settings,
    store: Store,
    clock: Clock,
    catalog: Catalog,
    fleets: Mapping[str, Fleet],
    input_key: bytes,
    feeds: FeedSource,
    book: PolicyBook,
) -> Outside:
    return Outside(
        store=store,
        clock=clock,
        settings=settings,
        catalog=catalog,
        desk=_desk(book, store.blobs, clock, feeds),
        places={
            name: _place(settings, fleet, store.blobs, clock) for name, fleet in fleets.items()
        },
        secrets=secret_sources(settings, input_key, os.environ),
    )


def feed_files_of(outside: Outside, desk: FeedDesk, input_key: bytes) -> FeedFiles:
    return FeedFiles(
        store=outside.store,
        clock=outside.clock,
        desk=desk,
        config=outside.settings.feeds,
        home=outside.settings.home,
        signer=FeedsSigner(input_key),
    )


def _place(settings: Settings, fleet: Fleet, blobs: BlobStore, clock: Clock) -> Place:
    env = settings.environment(fleet.environment)
    metrics: RouterMetrics | PrometheusMetrics
    if env.workflow.metrics.type == "prometheus":
        metrics = prometheus_of(settings, env, clock, os.environ)
    else:
        metrics = RouterMetrics(fleet, clock=clock)
    return Place(
        driver=LocalFleetDriver(fleet, blobs=blobs, clock=clock),
        metrics=metrics,
        runtime=FleetRuntime(fleet),
        burn=metrics,
    )


def _desk(book: PolicyBook, blobs: BlobStore, clock: Clock, feeds: FeedSource) -> PolicyDesk:
    try:
        return PolicyDesk(
            policies=book.files, feeds=feeds, blobs=blobs, clock=clock, in_force=book.in_force
        )
    except Malformed as error:  # found while opening a home, it is the home that is refused
        raise UnsafeConfig(str(error)) from error
