"""How each verb of the book is said at each door."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.authority.house import ENV, House

_N: Final = itertools.count(1)
_WHY: Final = "because the table is asked"
_FREEZE: Final = {"kind": "DENY", "name": "far off", "reason": _WHY, "environments": ["eu-stage"],
                  "begins": "2099-12-24 18:00", "ends": "2099-12-27 06:00"}  # fmt: skip
_SCHEDULE: Final = {"bundle": "BUNDLE", "environment": ENV, "at": "2099-12-24T02:00",
                    "window_s": 3_600}  # fmt: skip

_WAIVER: Final = {"finding": "CVE-2024-3651", "purl": "pkg:pypi/idna@3.6", "reason": _WHY,
                  "days": 3, "environments": [ENV]}  # fmt: skip


@dataclass(frozen=True)
class Deed:
    """Attributes:
    method, path, more: of the HTTP request.
    words: of the command line; empty = there is no command for it.
    """

    method: str
    path: str
    more: dict[str, Any]
    words: tuple[str, ...] = ()


Make = Callable[[House, str, Path], Deed]


def _act(action: str, *words: str, confirm: bool = False, **more: Any) -> Make:
    def make(house: House, run_id: str, folder: Path) -> Deed:
        body = {"action": action, "reason": _WHY, **more}
        said = ["run", words[0], run_id, *words[1:]] if words else []
        if confirm:
            body["confirm"] = run_id
            said += ["--confirm", run_id]
        if action in {"approve", "reject"}:
            body["binding"] = str(house.services.store.run(run_id).binding)
        if said:
            said += ["--reason", _WHY]
        return Deed("POST", f"/runs/{run_id}/actions", {"json": body}, tuple(said))

    return make


def _get(path: str, *words: str, **query: str) -> Make:
    return lambda house, run_id, folder: Deed(
        "GET", path.replace("RUN", run_id), {"params": query},
        tuple(word.replace("RUN", run_id).replace("FOLDER", str(folder)) for word in words),
    )  # fmt: skip


def _post(path: str, body: dict[str, Any] | None, *words: str) -> Make:
    """`N` in a text stands for a number that was not used before."""

    def make(house: House, run_id: str, folder: Path) -> Deed:
        n = str(next(_N))

        def filled(text: str) -> str:
            text = text.replace("RUN", run_id).replace("BUNDLE", str(house.bundle))
            return text.replace("#N", n)

        more = {} if body is None else {"json": json.loads(filled(json.dumps(body)))}
        return Deed("POST", filled(path), more, tuple(filled(word) for word in words))

    return make


def _bundle(house: House, run_id: str, folder: Path) -> Deed:
    n = next(_N)
    path = folder / f"app-{n}.json"
    path.write_text(f'{{"n": {n}}}')
    named = {"name": "shop", "version": f"1.{n}"}
    files = [("component", (path.name, path.read_bytes()))]
    words = ("bundle", "create", str(path), "--name", "shop", "--version", f"2.{n}")
    return Deed("POST", "/bundles", {"data": named, "files": files}, words)


def _attestation(house: House, run_id: str, folder: Path) -> Deed:
    path = folder / "no-envelope.json"
    path.write_text("{}")
    files = {"files": [("attestation", (path.name, b"{}"))]}
    words = ("attestation", "import", str(path), "--bundle", str(house.bundle))
    return Deed("POST", f"/bundles/{house.bundle}/attestations", files, words)


def _feeds(house: House, run_id: str, folder: Path) -> Deed:
    path = folder / "feeds.tar.gz"
    path.write_bytes(house.services.feed_files.export())
    files = {"files": {"file": (path.name, path.read_bytes(), "application/gzip")}}
    return Deed("POST", "/feeds/import", files, ("feeds", "import", str(path)))


def _addendum(house: House, run_id: str, folder: Path) -> Deed:
    words = ("evidence", "addendum", run_id, "--text", _WHY)
    return Deed("POST", f"/runs/{run_id}/evidence/addenda", {"data": {"text": _WHY}}, words)


def _policy(house: House, run_id: str, folder: Path) -> Deed:
    policies = house.home / "policies"
    policy, config = policies / "release-gate.yaml", policies / "release-gate.config.json"
    n, shipped = next(_N), policy.read_text()
    texts = [shipped.replace("version: 1.0.0", f"version: {door}.{n}.0") for door in (1, 2)]
    changed = folder / f"policy-{n}.yaml"
    changed.write_text(texts[1])
    body = {"policy": texts[0], "config": config.read_text(), "environments": ["eu-stage"],
            "reason": _WHY}  # fmt: skip
    words = ("policy", "publish", str(changed), "--config", str(config), "--to", "eu-stage",
             "--reason", _WHY)  # fmt: skip
    return Deed("POST", "/policies", {"json": body}, words)


def _freeze_to_end(house: House, run_id: str, folder: Path) -> Deed:
    made = []
    for _ in range(2):
        answer = house.api("ana.li", "POST", "/freezes", json=_FREEZE)
        made.append(answer.json()["id"])
    words = ("freeze", "end", made[1], "--reason", _WHY)
    return Deed("POST", f"/freezes/{made[0]}/end", {"json": {"reason": _WHY}}, words)


def _waiver_to(word: str) -> Make:
    def make(house: House, run_id: str, folder: Path) -> Deed:
        made = [
            house.api("eva.roth", "POST", "/waivers", json=_WAIVER).json()["id"] for _ in range(2)
        ]
        words = ("waiver", word, made[1], "--reason", _WHY)
        return Deed("POST", f"/waivers/{made[0]}/{word}", {"json": {"reason": _WHY}}, words)

    return make


def _schedule_to_cancel(house: House, run_id: str, folder: Path) -> Deed:
    made = []
    for _ in range(2):
        wish = {**_SCHEDULE, "bundle": str(house.bundle)}
        made.append(house.api("ana.li", "POST", "/schedules", json=wish).json()["id"])
    words = ("schedule", "cancel", made[1], "--reason", _WHY)
    return Deed("POST", f"/schedules/{made[0]}/cancel", {"json": {"reason": _WHY}}, words)


def _token_to_revoke(house: House, run_id: str, folder: Path) -> Deed:
    made = [
        house.services.identity.create_token("bob.smith", service=False, actor="test").token_id
        for _ in range(2)
    ]
    return Deed("DELETE", f"/tokens/{made[0]}", {}, ("token", "revoke", made[1]))


def _session_to_end(house: House, run_id: str, folder: Path) -> Deed:
    identity = house.services.identity
    ids = []
    for _ in range(2):
        identity.redeem_link(identity.create_link("bob.smith", actor="test"))
        ids.append(identity.sessions()[-1].session_id)
    return Deed("DELETE", f"/sessions/{ids[0]}", {}, ("admin", "end-session", ids[1]))


def _webhook(house: House, run_id: str, folder: Path) -> tuple[str, str]:
    """Two webhooks that were made for this; an admin's own door made them."""
    names = (f"hook-{next(_N)}", f"hook-{next(_N)}")
    for name in names:
        body = {"name": name, "url": "http://127.0.0.1:9/told"}
        assert house.api("dora.admin", "POST", "/webhooks", json=body).status_code == 201
    return names


def _with_webhook(method: str, rest: str, *words: str, body: dict[str, Any] | None = None) -> Make:
    def make(house: House, run_id: str, folder: Path) -> Deed:
        first, second = _webhook(house, run_id, folder)
        more = {} if body is None else {"json": body}
        said = (*words[:2], second, *words[2:])
        return Deed(method, f"/webhooks/{first}{rest}", more, said)

    return make


def _probe(house: House, run_id: str, folder: Path) -> Deed:
    house.services.prober.wait()  # one look at a time: that of whoever asked before has to end
    return Deed("POST", "/integrations/status-page/probe", {})


DEEDS: Final[dict[str, Make]] = {
    "pause": _act("pause", "pause"),
    "resume": _act("resume", "resume"),
    "continue": _act("continue", "continue", "--override", override=True),
    "confirm_continue": _act("continue", "continue", "--override", override=True),
    "rerun_step": _act("rerun_step"),
    "mark_step_failed": _act("mark_step_failed", "mark-failed"),
    "retry_step": _act("retry_step", "retry"),
    "rollback": _act("rollback", "rollback"),
    "retry_rollback": _act("retry_rollback", "retry-rollback"),
    "cancel": _act("cancel", "cancel"),
    "close_failed": _act("close_failed", "close", confirm=True),
    "start_now": _act("start_now", "start-now"),
    "approve": _act("approve", "approve"),
    "reject": _act("reject", "reject"),
    "withdraw": _act("withdraw", "withdraw"),
    "reschedule": _act("reschedule", "reschedule", "--at", "2099-12-24T02:00", "--window", "1h",
                       window={"at": "2099-12-24T02:00", "time_zone": "UTC", "window_s": 3_600}),
    "schedule_step": _act("schedule_step", "schedule-step", "--step", "full-100", "--at",
                          "2099-12-24T06:00", "--window", "1h", step="full-100",
                          window={"at": "2099-12-24T06:00", "time_zone": "UTC", "window_s": 3_600}),
    "unschedule_step": _act("unschedule_step", "unschedule-step", "--step", "full-100",
                            step="full-100"),
    "break_glass": _act("break_glass", "break-glass", "--incident", "INC-1", ticket="INC-1"),
    "comment": _act("comment", "comment"),
    "review": _act("review", "review"),
    "rerun": _act("rerun", "rerun"),
    "rollback_promotion": _act("rollback_promotion", "rollback-promotion"),
    "export": _get("/runs/RUN/evidence/export", "evidence", "export", "RUN", "--kind", "partial",
                   "-o", "FOLDER", "--force", kind="partial"),
    "drill": _post("/runs/RUN/drill", None),
    "annotate_addendum": _addendum,
    "replay": _post("/runs/RUN/replays", {"reason": _WHY}),
    "promote": _post("/promotions", {"bundle": "BUNDLE", "environment": ENV},
                     "promote", "--bundle", "BUNDLE", "--to", ENV),
    "schedule": _post("/schedules", _SCHEDULE, "schedule", "create", "--bundle", "BUNDLE",
                      "--to", ENV, "--at", "2099-12-24T02:00", "--window", "1h"),
    "cancel_schedule": _schedule_to_cancel,
    "create_bundle": _bundle,
    "import_attestation": _attestation,
    "lift_hold": _post("/holds/lift", {"bundle": "BUNDLE", "environment": ENV, "reason": _WHY},
                       "hold", "lift", "--bundle", "BUNDLE", "--from", ENV, "--reason", _WHY),
    "set_freeze": _post("/freezes", _FREEZE, "freeze", "add", "far off", "--reason", _WHY,
                        "--env", "eu-stage", "--from", "2099-12-24 18:00",
                        "--until", "2099-12-27 06:00"),
    "end_freeze": _freeze_to_end,
    "publish_policy": _policy,
    "request_waiver": _post("/waivers", _WAIVER, "waiver", "request", "CVE-2024-3651",
                            "pkg:pypi/idna@3.6", "--env", ENV, "--days", "3", "--reason", _WHY),
    "grant_waiver": _waiver_to("grant"),
    "refuse_waiver": _waiver_to("refuse"),
    "revoke_waiver": _waiver_to("revoke"),
    "sync_feeds": _post("/feeds/sync", {}, "feeds", "sync"),
    "rescan": _post("/rescans", {}, "rescan", "now"),
    "import_feeds": _feeds,
    "probe_integration": _probe,
    "read_audit": _get("/audit", "audit", "list"),
    "check_audit": _post("/audit/check", None, "audit", "check"),
    "make_link": _post("/links", {"user": "bob.smith"}, "admin", "link", "--user", "bob.smith"),
    "make_token": _post("/tokens", {"user": "bob.smith"}, "token", "create", "--user",
                        "bob.smith"),
    "list_tokens": _get("/tokens", "token", "list"),
    "revoke_token": _token_to_revoke,
    "release_account": lambda house, run_id, folder: Deed(
        "DELETE", "/people/bob.smith/account", {},
        ("admin", "release-account", "--user", "bob.smith")),
    "end_session": _session_to_end,
    "check_store": _post("/fsck", None),
    "check_log": _post("/log/fsck", None),
    "backup": _get("/backup", "backup", "-o", "FOLDER/copy.tar"),
    "retention": _post("/retention", None),
    "add_webhook": _post("/webhooks", {"name": "api-#N", "url": "http://127.0.0.1:9/told"},
                         "webhook", "add", "cli-#N", "http://127.0.0.1:9/told"),
    "rotate_webhook": _with_webhook("POST", "/rotate", "webhook", "rotate"),
    "test_webhook": _with_webhook("POST", "/test", "webhook", "test"),
    "redeliver": _with_webhook("POST", "/redeliver", "webhook", "redeliver", "--all",
                               body={"all": True}),
    "remove_webhook": _with_webhook("DELETE", "", "webhook", "remove"),
}  # fmt: skip
