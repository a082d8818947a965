"""The book of policies: which version is in force where, and the one way to change that.

Versions are blobs by digest; the record of who brought which into force, where and when is the log
itself. Files of the home are the first versions, and a file that was changed is taken up when the
house starts, on record and without an author.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.asker import Asker, actor_of
from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused, UnsafeConfig
from engine.core.events import Recorded
from engine.core.house import ADMIN
from engine.core.policy_versions import (
    HOME,
    PUBLISHED,
    PolicyPublished,
    Version,
    authors,
    home_files,
    in_force,
    refusal,
    versions,
)
from engine.core.scopes import PUBLISH_POLICY
from engine.policy.cases import (
    SUFFIX,
    Outcome,
    no_files,
    read_cases,
    run_cases,
    summary,
    with_inputs,
)
from engine.policy.compile import compile_policy
from engine.policy.model import Policy, load_policy
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.settings import Settings
from engine.trail.denials import denied

_UNREAD: Final = Digest.of(b"")
_TESTS_BYTES_MAX: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is asked for at the door.

    Attributes:
        policy, config: as written, YAML and JSON.
        tests: with their inputs in them (`engine.policy.cases.with_inputs`); empty = none.
        environments: where it comes into force; at least one.
    """

    policy: bytes
    config: bytes
    tests: bytes
    environments: tuple[str, ...]
    reason: str


class PolicyBook:
    """Thread-safe. Follows the log.

    Args:
        files: the policy of each environment as it stands in the home's file.
        tests: the cases beside it, with their inputs in them; of environments that have some.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        clock: Clock,
        files: Mapping[str, Policy],
        tests: Mapping[str, bytes] | None = None,
    ) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._lock = threading.Lock()
        self._published: dict[int, tuple[PolicyPublished, str, int]] = {}
        self._follow(store.of_kinds([PolicyPublished.TYPE]))
        digests = [(name, policy.digest) for name, policy in files.items()]
        self.files, self._tests = files, tests or {}
        self._changed = set(home_files(self.versions(), digests))
        self.stop = store.subscribe(self._follow)

    def versions(self) -> tuple[Version, ...]:
        """Every version that was ever in force, oldest first."""
        with self._lock:
            return versions(self._published[seq] for seq in sorted(self._published))

    def in_force(self, environment: str) -> Digest:
        """Raises `NotFound`."""
        with self._lock:
            if environment in self._changed:
                return self.files[environment].digest
        found = in_force(self.versions(), environment)
        if found is None:
            raise NotFound(f"There is no policy for environment {environment!r}.")
        return found.event.policy

    def authors(self, environment: str) -> tuple[str, ...]:
        """People who changed the environment's policy less than 14 days ago."""
        return authors(self.versions(), environment, self._clock.now_us())

    def take_up_files(self) -> None:
        """Record the files of the home that are others than when they were last looked at."""
        with self._lock:
            changed = sorted(self._changed)
        self._append([self._found(name) for name in changed], actor="engine")
        with self._lock:
            self._changed.clear()

    def _found(self, environment: str) -> PolicyPublished:
        policy, content = self.files[environment], self._tests.get(environment, b"")
        if not content:
            return self._event(environment, policy, HOME, None, 0, "found in the home's file")
        outcomes = run_cases(compile_policy(policy), read_cases(content, no_files))
        passed = sum(one.ok for one in outcomes)
        reason = "found in the home's file"
        if passed < len(outcomes):  # it is in force all the same: nobody may be locked out by it
            reason = f"{reason}; {summary(outcomes)}"
        tests = self._store.blobs.put(content)
        return self._event(environment, policy, HOME, tests, passed, reason)

    def why_not(self, environment: str, asker: Asker) -> str:
        """Why this person may not publish there at all; empty when they may."""
        blocked = refusal(self._actor(asker, environment), environment, _UNREAD, None, reason="-")
        return "" if blocked is None else blocked.sentence

    def check(self, asked: Publication) -> tuple[Policy, tuple[Outcome, ...]]:
        """Read, lint and test what would be published. It changes nothing.

        Raises:
            Malformed: naming every problem of the first part that is not good.
        """
        policy = load_policy(asked.policy, asked.config)
        compiled = compile_policy(policy)
        if not asked.tests:
            return policy, ()
        if len(asked.tests) > _TESTS_BYTES_MAX:
            raise Malformed(
                f"expected at most {_TESTS_BYTES_MAX} bytes, found {len(asked.tests)}",
                where="tests",
            )
        return policy, run_cases(compiled, read_cases(asked.tests, no_files))

    def publish(
        self, asked: Publication, asker: Asker, *, command_id: str = ""
    ) -> tuple[PolicyPublished, ...]:
        """Bring a policy into force in every environment that is asked for, or in none.

        Runs that were requested before keep the policy that they were requested under. The same
        `command_id` returns the events of then and publishes nothing.

        Raises:
            NotFound: unknown environment.
            Malformed: the policy is not sound, or one of its tests is not as expected.
            Refused: not a policy author there, no reason, or nothing would change. On record.
        """
        if not asked.environments:
            raise Malformed("expected at least one, found none", where="environments")
        names = tuple(dict.fromkeys(asked.environments))
        actors = {name: self._actor(asker, name) for name in names}
        earlier = self._store.by_command(command_id) if command_id else ()
        if earlier:
            return _published(earlier)
        self._refuse(asker, actors, _UNREAD, asked.reason)  # before anything is read
        policy, outcomes = self.check(asked)
        self._refuse(asker, actors, policy.digest, asked.reason)
        bad = [one for one in outcomes if not one.ok]
        if bad:
            told = "; ".join(f"{one.name}: {', '.join(one.problems)}" for one in bad)
            raise Malformed(f"{summary(outcomes)} {told}", where="tests")
        self._store.blobs.put(policy.blob)
        tests = None
        if asked.tests:
            tests = self._store.blobs.put(with_inputs(asked.tests, no_files))
        events = [
            self._event(name, policy, PUBLISHED, tests, len(outcomes), asked.reason.strip())
            for name in names
        ]
        self._append(events, actor=asker.user, command_id=command_id)
        return tuple(events)

    def _refuse(
        self, asker: Asker, actors: Mapping[str, Actor], policy: Digest, reason: str
    ) -> None:
        now = self.versions()
        for name, actor in actors.items():
            blocked = refusal(actor, name, policy, in_force(now, name), reason=reason)
            if blocked is not None:
                here = in_force(now, name)
                denied(
                    self._store,
                    user=asker.user,
                    action=PUBLISH_POLICY,
                    code=blocked.code,
                    reason=blocked.sentence,
                    environment=name,
                    asked=reason,
                    before=None if here is None else here.event.policy,
                    after=None if policy == _UNREAD else policy,
                )
                raise Refused(blocked.sentence, code=blocked.code)

    def _event(
        self,
        environment: str,
        policy: Policy,
        source: str,
        tests: Digest | None,
        passed: int,
        reason: str,
    ) -> PolicyPublished:
        here = in_force(self.versions(), environment)
        return PolicyPublished(
            environment=environment,
            policy=policy.digest,
            name=policy.name,
            version=policy.version,
            before=None if here is None else here.event.policy,
            source=source,
            tests=tests,
            passed=passed,
            reason=reason,
        )

    def _append(
        self, events: Sequence[PolicyPublished], *, actor: str, command_id: str = ""
    ) -> None:
        """All of them at once: no environment is left behind by a power cut."""
        recorded = append_to(self._store, ADMIN, *events, actor=actor, command_id=command_id)
        self._follow(recorded)  # whoever asks next must see it, before the log's own word

    def _follow(self, recorded: Sequence[Recorded]) -> None:
        with self._lock:
            for one in recorded:
                if isinstance(one.event, PolicyPublished):
                    self._published[one.seq] = (one.event, one.actor, one.ts_us)

    def _actor(self, asker: Asker, environment: str) -> Actor:
        name = self._settings.environment(environment).name
        return actor_of(self._settings, asker, name)


def tests_of(settings: Settings) -> dict[str, bytes]:
    """The cases beside each environment's policy, with their inputs in them.

    Raises:
        UnsafeConfig: such a file is not what it should be.
    """
    files = {
        environment.name: path_of_tests(environment.policy.policy)
        for environment in settings.environments.values()
    }
    try:
        whole = {  # many environments share a policy
            tests: with_inputs(tests.read_bytes(), beside(tests), where=str(tests))
            for tests in set(files.values())
            if tests.is_file()
        }
    except Malformed as error:
        raise UnsafeConfig(str(error)) from error
    return {name: whole[tests] for name, tests in files.items() if tests in whole}


def path_of_tests(policy: Path) -> Path:
    """Where the tests of a policy's file are, when it has any."""
    return policy.with_name(policy.name.removesuffix(".yaml") + SUFFIX)


def beside(tests: Path) -> Callable[[str], bytes]:
    """Reads the inputs that a file of tests names, from its own folder and nowhere else."""
    folder = tests.resolve().parent

    def read(name: str) -> bytes:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise Malformed(f"expected a file beside the tests, found {name!r}", where="input")
        return path.read_bytes()

    return read


def policies_of(settings: Settings) -> dict[str, Policy]:
    """The policy of each environment, from the home's files.

    Raises:
        UnsafeConfig: a file is not what it should be: found while opening a home, it is the home
            that is refused.
    """
    try:
        policies = {
            name: load_policy(
                files.policy.read_bytes(),
                files.config.read_bytes(),
                policy_where=str(files.policy),
                config_where=str(files.config),
            )
            for name, files in settings.policies.items()
        }
    except Malformed as error:
        raise UnsafeConfig(str(error)) from error
    return {env.name: policies[env.policy.name] for env in settings.environments.values()}


def _published(recorded: Sequence[Recorded]) -> tuple[PolicyPublished, ...]:
    return tuple(one.event for one in recorded if isinstance(one.event, PolicyPublished))
