"""Reading the settings: files to one document, every problem in it, and the frozen value."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from engine.core.digest import Digest
from engine.core.errors import Malformed, UnsafeConfig
from engine.core.health_criteria import Criteria, shown
from engine.core.health_parse import parse_gate
from engine.core.jcs import JsonValue, canonical
from engine.core.metrics import SeriesNames
from engine.settings_approval import approval_of
from engine.settings_feeds import import_keys_of, origins_of
from engine.settings_hooks import inbound_of, outbound_of, webhooks_of
from engine.settings_integrations import integrations_of
from engine.settings_openslo import OpenSloFiles
from engine.settings_parts import duration_ms
from engine.settings_problems import check_shape, gate_problems
from engine.settings_references import check_references
from engine.settings_shape import (
    EnvironmentSection,
    HealthGate,
    MetricsSource,
    PromotionWorkflow,
    SettingsFile,
    WorkflowStage,
    days,
    share_bp,
)
from engine.settings_sign_in import grants_of, oidc_of
from engine.settings_trust import anchors_of
from engine.settings_values import (
    DeclaredInput,
    DriverConfig,
    Environment,
    EvidenceConfig,
    FeedsConfig,
    IntegrityConfig,
    MetricsConfig,
    Person,
    PolicyFiles,
    RateLimit,
    RetentionConfig,
    ServerConfig,
    Settings,
    Stage,
    WaiversConfig,
    Workflow,
)
from engine.settings_yaml import KeyPath, Located, Problem, problem_at, read_yaml

FILE: Final = "releaseline.yaml"
FOLDER: Final = "releaseline.d"
_SIZE_MAX: Final = 5 * 1024 * 1024
_SLOW_OVER_MS: Final = 250


def read_settings(home: Path) -> Settings:
    """Read `releaseline.yaml`, and every `*.yaml` of the folder `releaseline.d`, in `home`.

    Raises:
        UnsafeConfig: one line per problem, each `file:line: key: expected ..., found ...`.
    """
    document, problems = _load(home)
    file, workflows = None, dict[str, Workflow]()
    if not problems or document.value is not None:
        damaged = {(p.file, p.line, p.key) for p in problems}
        file, wrong = check_shape(document)
        wrong += check_references(document, home)
        slos = OpenSloFiles(home)
        workflows, gates = _workflows(document, slos)
        # What YAML could not read is null from here on; that is no problem of its own.
        problems += [p for p in wrong + gates if (p.file, p.line, p.key) not in damaged]
    if problems or file is None:
        # What stands behind an alias is wrong in every place that uses it; it is said once.
        once = {(p.file, p.line, p.message): p for p in sorted(problems, reverse=True)}
        raise UnsafeConfig(
            "\n".join(str(problem) for problem in sorted(once.values())),
            hint=f"Mend {FILE} and start again; nothing was started.",
        )
    return _settings(home, file, workflows, slos)


def _load(home: Path) -> tuple[Located, list[Problem]]:
    """The files of the home as one document: lists are joined, other keys stand once."""
    single, folder = home / FILE, home / FOLDER
    files = [single] if single.exists() else []
    files += sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise UnsafeConfig(
            f"{single}: expected the settings of this home, found nothing",
            hint=f"`releaseline init {home}` writes a commented one.",
        )
    parts, problems = list[Located](), list[Problem]()
    for path in files:
        part, wrong = _load_file(path)
        parts.append(part)
        problems += wrong
    return (parts[0] if len(parts) == 1 else _joined(parts, problems)), problems


def _joined(parts: list[Located], problems: list[Problem]) -> Located:
    whole = Located({})
    for part in parts:
        top = part.spot(())
        if part.value is None:
            continue
        if not isinstance(part.value, dict):
            message = f"expected a mapping, found {shown(part.value)}"
            problems.append(Problem(file=top.file, line=top.line, key="", message=message))
            continue
        for key, value in part.value.items():
            earlier, shift = whole.value.get(key), 0
            if isinstance(earlier, list) and isinstance(value, list):
                shift = len(earlier)
                earlier += value
            elif key in whole.value:
                spot, first = part.spot((key,)), whole.spot((key,))
                message = f"expected this key once, found it in {first.file}:{first.line} already"
                problems.append(Problem(file=spot.file, line=spot.line, key=key, message=message))
                continue
            else:
                whole.value[key] = list(value) if isinstance(value, list) else value
            whole.spots.setdefault((), top)
            for path, spot in part.spots.items():
                if path[:1] == (key,):
                    whole.spots.setdefault(_shifted(path, shift), spot)
    return whole


def _shifted(path: KeyPath, shift: int) -> KeyPath:
    match path:
        case (key, int(index), *rest):
            return (key, index + shift, *rest)
        case _:
            return path


def _load_file(path: Path) -> tuple[Located, list[Problem]]:
    name = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"expected a readable file, found {error.strerror}"
        return Located(None), [Problem(file=name, line=0, key="", message=message)]
    if len(content) > _SIZE_MAX:
        message = f"expected at most {_SIZE_MAX} bytes, found {len(content)}"
        return Located(None), [Problem(file=name, line=0, key="", message=message)]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8 text, found byte {content[error.start]:#04x}"
        return Located(None), [Problem(file=name, line=line, key="", message=message)]
    return read_yaml(text, name)


def _workflows(document: Located, slos: OpenSloFiles) -> tuple[dict[str, Workflow], list[Problem]]:
    """Every workflow whose shape is right, each gate judged; a broken one is left out."""
    workflows, problems = dict[str, Workflow](), list[Problem]()
    raw = document.value.get("workflows") if isinstance(document.value, dict) else None
    for i, one in enumerate(raw if isinstance(raw, list) else []):
        try:
            parsed = PromotionWorkflow.model_validate(one)
        except ValidationError:
            continue  # `check_shape` says what is wrong with it
        workflow, wrong = _workflow(document, ("workflows", i), parsed, slos)
        problems += wrong
        if workflow is not None:
            workflows[workflow.name] = workflow
    return workflows, problems


def _workflow(
    document: Located, path: KeyPath, parsed: PromotionWorkflow, slos: OpenSloFiles
) -> tuple[Workflow | None, list[Problem]]:
    stages, problems = list[Stage](), list[Problem]()
    slow_ms: set[int] = set()
    for i, stage in enumerate(parsed.stages):
        gate = stage.gate or parsed.defaults
        if gate is None:
            continue  # said by `check_references`
        if gate.proceed_if.latency_p95 is not None:
            slow_ms.add(duration_ms(gate.proceed_if.latency_p95.slow_over))
        try:
            own = (*path, "stages", i, "gate")
            place = own if stage.gate is not None else (*path, "defaults")
            mapping, wrong = slos.filled_in(_mapping(gate, stage.for_), document, place)
            problems += wrong
            if not wrong:
                stages.append(_stage(stage, parse_gate(mapping)))
        except Malformed as error:
            problems += gate_problems(document, place, str(error))
    if len(slow_ms) > 1:
        limits = ", ".join(f"{ms}ms" for ms in sorted(slow_ms))
        message = f"expected one slow_over in all gates of a workflow, found {limits}"
        problems.append(problem_at(document, (*path, "stages"), message))
    series = parsed.metrics_source.series
    if slow_ms and series is not None and series.durations is None:
        message = "expected the name of a histogram, since a gate limits latency_p95, found none"
        place = (*path, "metrics_source", "series", "durations")
        problems.append(problem_at(document, place, message))
    if problems:
        return None, problems
    metrics = _metrics(parsed.metrics_source, next(iter(slow_ms), _SLOW_OVER_MS))
    poll_ms = duration_ms(parsed.metrics_source.poll)
    workflow = Workflow(
        name=parsed.name,
        digest=_workflow_digest(parsed.name, poll_ms, metrics, stages),
        poll_ms=poll_ms,
        metrics=metrics,
        stages=tuple(stages),
    )
    return workflow, []


def _metrics(source: MetricsSource, slow_over_ms: int) -> MetricsConfig:
    named = {} if source.series is None else source.series.model_dump(exclude_unset=True)
    return MetricsConfig(
        type=source.type,
        url=source.url or "",
        slow_over_ms=slow_over_ms,
        timeout_ms=duration_ms(source.timeout),
        max_sample_age_ms=duration_ms(source.max_sample_age),
        token=source.token or "",
        series=SeriesNames(**{key: name or "" for key, name in named.items()}),
    )


def _stage(stage: WorkflowStage, criteria: Criteria) -> Stage:
    targets = stage.targets
    return Stage(
        name=stage.name,
        share_bp=0 if targets is None else share_bp(targets.share),
        min_targets=0 if targets is None else targets.min,
        criteria=criteria,
        on_failure=stage.on_failure or "",
    )


def _mapping(gate: HealthGate, held: str | None) -> dict[str, Any]:
    """The gate as its judge reads it. `held` is a verification's own duration."""
    mapping: dict[str, Any] = gate.model_dump(mode="json", by_alias=True, exclude_none=True)
    if held is not None:
        mapping["proceed_if"]["healthy"]["for"] = held
    return mapping


def _workflow_digest(
    name: str, poll_ms: int, metrics: MetricsConfig, stages: list[Stage]
) -> Digest:
    asked: dict[str, JsonValue] = {}
    if metrics.type == "prometheus":
        asked = {"token": metrics.token, "series": dict(asdict(metrics.series))}
    document: dict[str, JsonValue] = {
        "schema": "releaseline.workflow/1",
        "name": name,
        "pollMs": poll_ms,
        "metrics": {
            "type": metrics.type,
            "url": metrics.url,
            "slowOverMs": metrics.slow_over_ms,
            "timeoutMs": metrics.timeout_ms,
            "maxSampleAgeMs": metrics.max_sample_age_ms,
            **asked,
        },
        "stages": [
            {
                "name": stage.name,
                "shareBp": stage.share_bp,
                "minTargets": stage.min_targets,
                "criteria": stage.criteria.document(),
                "onFailure": stage.on_failure,
            }
            for stage in stages
        ],
    }
    return Digest.of(canonical(document))


def _written(file: SettingsFile, *, trusting: bool) -> dict[str, Any]:
    """What the digest of the settings covers, as it was written."""
    # Settings that trust nobody keep the digest that they had before there was such a section.
    left_out = {"workflows"} if trusting else {"workflows", "trust"}
    # The same holds for sections that came later.
    left_out |= {"outbound", "webhooks", "hooks"} - file.model_fields_set
    written: dict[str, Any] = file.model_dump(mode="json", by_alias=True, exclude=left_out)
    if not file.integrations.servers:
        del written["integrations"]
    if not file.feeds.sources:
        del written["feeds"]["sources"]
    if not file.feeds.import_keys:
        del written["feeds"]["import_keys"]
    if file.sign_in.oidc is None:
        del written["sign_in"]
    for environment in written["environments"]:  # nor do environments that need no ticket change it
        if environment["rollback_ticket"] is None:
            del environment["rollback_ticket"]
        if environment["queue"] == "fifo":
            del environment["queue"]
        for key in ("on_timeout", "conflicts"):
            if environment["approval"][key] is None:
                del environment["approval"][key]
    return written


def _settings(
    home: Path, file: SettingsFile, workflows: dict[str, Workflow], slos: OpenSloFiles
) -> Settings:
    policies = {
        one.name: PolicyFiles(name=one.name, policy=home / one.policy, config=home / one.config)
        for one in file.policies
    }
    trust = anchors_of(home, file.trust)
    written = _written(file, trusting=bool(trust))
    document: dict[str, JsonValue] = {
        "schema": "releaseline.settings/1",
        **written,
        "workflows": {name: str(one.digest) for name, one in workflows.items()},
        **({"openslo": dict(slos.digests)} if slos.digests else {}),
        **({"trusted": {one.name: str(one.digest) for one in trust}} if trust else {}),
    }
    return Settings(
        home=home,
        digest=Digest.of(canonical(document)),
        environments={
            one.name: _environment(home, one, workflows[one.workflow], policies[one.policy])
            for one in file.environments
        },
        policies=policies,
        feeds=FeedsConfig(
            folder=home / file.feeds.folder,
            sources=origins_of(home, file.feeds),
            import_keys=import_keys_of(home, file.feeds),
        ),
        server=ServerConfig(
            host=file.server.host,
            port=file.server.port,
            allowed_hosts=tuple(file.server.allowed_hosts),
            behind_proxy=file.server.behind_proxy,
            public_log=file.server.public_log,
            rate_limit=RateLimit(
                per_second=file.server.rate_limit.per_second, burst=file.server.rate_limit.burst
            ),
        ),
        evidence=EvidenceConfig(
            issuer=file.evidence.issuer,
            log_origin=file.evidence.log_origin,
            base_uri=file.evidence.base_uri,
        ),
        people={one.user: Person(user=one.user, email=one.email) for one in file.people},
        grants={one.user: grants_of(one.roles) for one in file.people},
        integrations=integrations_of(home, file.integrations),
        retention=RetentionConfig(samples_days=days(file.retention.samples)),
        integrity=IntegrityConfig(
            every_us=duration_ms(file.integrity.every) * 1_000,
            bytes_per_s=file.integrity.megabytes_per_second * 1_000_000,
        ),
        waivers=WaiversConfig(days_max=days(file.waivers.longest)),
        trust=trust,
        outbound=outbound_of(file.outbound),
        webhooks=webhooks_of(file.webhooks),
        hooks=inbound_of(file.hooks),
        oidc=oidc_of(file.sign_in),
    )


def _environment(
    home: Path, one: EnvironmentSection, workflow: Workflow, policy: PolicyFiles
) -> Environment:
    inputs = []
    for declared in one.inputs:
        scheme, _, place = declared.from_.partition(":")
        path = str(home / place) if scheme == "file" else place
        inputs.append(DeclaredInput(name=declared.name, scheme=scheme, path=path))
    return Environment(
        name=one.name,
        region=one.region,
        promotes_from=one.promotes_from,
        targets=tuple(one.targets),
        driver=DriverConfig(kind=one.driver.kind),
        workflow=workflow,
        policy=policy,
        inputs=tuple(inputs),
        approval=approval_of(one.approval),
        on_breach=one.on_breach,
        rollback_ticket=one.rollback_ticket or "",
        queue=one.queue,
    )
