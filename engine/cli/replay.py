"""`replay`: recorded decisions asked again, as they were, under a candidate policy, or today."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.call import Call, Leaf, given, moment, pass_call, short
from engine.cli.door import Door, open_door
from engine.cli.exits import DONE, GATE_FAIL, MISMATCH, NOT_FOUND, USAGE, Ended
from engine.cli.policy import compiled_of
from engine.policy.compile import CompiledPolicy
from engine.replaying_packs import PackReplay, replay_pack

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_WAIT_S: Final = 30
_SHOWN_MAX: Final = 40
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SCOPE: Final = re.compile(r"verdict-\d+(\.\d+)?|run-\d+(/[A-Za-z0-9_.-]+)?")


@click.command("replay", cls=Leaf)
@click.argument("target", metavar="[VERDICT|RUN|RUN/STAGE|PACK]", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Every recorded decision.")
@click.option("--since", metavar="DATE_OR_AGE", default="",
              help="With --all: decisions since then, 2026-02-01 or 30d.")  # fmt: skip
@click.option("--environment", default="", help="With --all: only decisions about it.")
@click.option(
    "--policy",
    "policy_file",
    type=_FILE,
    help="A candidate: what would it have said, with the waivers of then?",
)
@click.option("--config", type=_FILE, help="Its limits; left out: those in force.")
@click.option(
    "--today",
    is_flag=True,
    help="With the feeds and the clock of today; a waiver that holds no more counts no more.",
)
@click.option("--deep", is_flag=True, help="From the raw sources: proves the findings as well.")
@click.option("--processes", type=click.IntRange(0, 8), default=0,
              help="Of one verdict: so many fresh processes have to agree.")  # fmt: skip
@click.option("--crosscheck", is_flag=True, help="Ask the second engine too; it is slow.")
@click.option("--jobs", type=click.IntRange(0, 64), default=0, help="Worker processes at most.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path),
              help="With --policy: write the pull request's report there, Markdown.")  # fmt: skip
@click.option("--reason", default="asked for on the command line", help="Goes on record.")
@pass_call
def replay(
    call: Call,
    /,
    target: str,
    everything: bool,
    since: str,
    environment: str,
    policy_file: Path | None,
    config: Path | None,
    report: Path | None,
    **more: Any,
) -> int:
    """Ask recorded decisions again and compare, without tolerance.

    A VERDICT, all of a RUN, one stage's health gate, an exported PACK (without any home or server),
    or --all. Exit code 0: all the same; 10: decisions flip under the candidate policy or today;
    20: one does not replay, or the baseline of a candidate does not.
    """
    if everything == bool(target):
        raise Ended(USAGE, "Name what to replay, or say --all.")
    if not everything and (since or environment):
        raise Ended(USAGE, "--since and --environment go with --all.")
    if report is not None and policy_file is None:
        raise Ended(USAGE, "--report goes with --policy.")
    if config is not None and policy_file is None:
        raise Ended(USAGE, "--config goes with --policy.")
    if more["today"] and policy_file is not None:
        raise Ended(USAGE, "--today asks by the policy of then; it does not go with --policy.")
    if target and not _SCOPE.fullmatch(target):
        set_ = [name for name in ("today", "deep", "processes", "crosscheck", "jobs", "report")
                if given(click.get_current_context(), name)]  # fmt: skip
        return _pack(call, Path(target), policy_file, config, set_)
    body = _body(policy_file, config, more)
    scope = target or "all"
    body |= {"scope": scope, "since_us": _since_us(since), "environment": environment}
    with open_door(call) as door:
        asked = door.post("/replays", body)
        call.say(f"{asked['name']}: {asked['total']} recorded decisions.")
        done = _followed(call, door, asked)
        found = _told(call, door, done, body["mode"])
        if report is not None:
            report.write_text(_text(door, f"/replays/{asked['n']}/report"))
            call.say(f"The report is in {report}.")
    call.give({**asked, **found})
    return _code(done)


def _body(policy_file: Path | None, config: Path | None, more: dict[str, Any]) -> dict[str, Any]:
    mode = "WHAT_IF" if policy_file is not None else "TODAY" if more["today"] else "VERIFY"
    return {
        "mode": mode,
        "depth": "DEEP" if more["deep"] else "SHALLOW",
        "policy": "" if policy_file is None else policy_file.read_text("utf-8"),
        "config": "" if config is None else config.read_text("utf-8"),
        "reason": more["reason"],
        "processes": more["processes"],
        "crosscheck": more["crosscheck"],
        "jobs": more["jobs"],
    }


def _followed(call: Call, door: Door, asked: dict[str, Any]) -> dict[str, Any]:
    """The request when it has ended; says how far it is while it goes on."""
    said = 0
    while True:
        done: dict[str, Any] = door.get(f"/replays/{asked['n']}", wait_s=_WAIT_S)
        if done["status"] != "RUNNING":
            return done
        if done["done"] != said:
            said = done["done"]
            call.say(f"  {said} of {done['total']}")


def _told(call: Call, door: Door, done: dict[str, Any], mode: str) -> dict[str, Any]:
    items = door.get("/replays", n=done["n"], limit=100)["items"]
    if mode == "VERIFY" or done["total"] == 1:
        _table(call, items)
    if done["total"] == 1 and items:
        _outcome(call, door, done["n"])
    found: dict[str, Any] = {"progress": done, "items": items}
    if mode != "VERIFY":
        found |= door.get(f"/replays/{done['n']}/flips")
        _flips(call, found, done["total"])
    call.say("", _sentence(done, mode))
    return found


def _table(call: Call, items: list[dict[str, Any]]) -> None:
    # What differs comes first: of a hundred that match nobody wants to read the list.
    unlike = [one for one in items if one["result"] not in {"MATCH", "SAME"}]
    shown = (unlike or items)[:_SHOWN_MAX]
    call.table(
        ("REPLAY", "DECISION", "OF", "DECIDED", "THEN", "NOW", "RESULT", "CAUSE"),
        [
            [
                one["name"],
                one["subject"],
                one["run_id"],
                moment(one["decided_us"]),
                one["decision_then"],
                one["decision_now"],
                one["result"] or one["status"],
                " ".join(filter(None, (one["cause"], one["facet"]))),
            ]
            for one in shown
        ],
    )
    if len(items) > len(shown):
        call.say(f"  and {len(items) - len(shown)} more of the newest {len(items)}")


def _outcome(call: Call, door: Door, n: int) -> None:
    one = door.get(f"/replays/{n}/1")
    call.say("", f"{one['subject']}: {one['sentence']}")
    call.say(*(f"  {c['at']}: {c['then']} -> {c['now']}" for c in one["diff"][:_SHOWN_MAX]))
    if one["crosscheck"]:
        call.say(f"  second engine: {one['crosscheck'].lower()}")
    if one["digests_seen"]:
        call.say(f"  fresh processes gave {len(one['digests_seen'])} different answer(s)")


def _flips(call: Call, found: dict[str, Any], total: int) -> None:
    flips = found["flips"]
    if flips:
        call.table(
            ("DECISION", "RUN", "ENVIRONMENT", "BUNDLE", "THEN", "NOW", "RULES", "LIVE IN"),
            [
                [
                    one["verdict"],
                    one["run"],
                    one["environment"],
                    f"{one['label']} {short(one['bundle'])}",
                    one["then"],
                    one["now"],
                    ", ".join(one["rules"]),
                    ", ".join(one["live"]),
                ]
                for one in flips[:_SHOWN_MAX]
            ],
        )
        if len(flips) > _SHOWN_MAX:
            call.say(f"  and {len(flips) - _SHOWN_MAX} more; --json and --report have them all")
    warns = sum(bool(one["newly_warns"]) for one in found["changes"])
    if warns:
        call.say(f"{warns} of {total} would pass or fail as before, with other warnings.")
    for one in found["unproven"][:_SHOWN_MAX]:
        call.say(f"{one['verdict']} says nothing: {one['cause']} {one['sentence']}")


def _sentence(done: dict[str, Any], mode: str) -> str:
    failed = f", {done['failed']} could not be asked" if done["failed"] else ""
    if mode == "VERIFY":
        return f"{done['matching']} of {done['total']} match, {done['mismatching']} do not{failed}."
    return (
        f"{done['flipped']} of {done['total']} decisions flip, {done['same']} stay, "
        f"{done['unproven']} are not proven{failed}."
    )


def _code(done: dict[str, Any]) -> int:
    if done["mismatching"] or done["unproven"] or done["failed"] or done["status"] != "COMPLETED":
        return MISMATCH
    return GATE_FAIL if done["flipped"] else DONE


def _pack(
    call: Call, pack: Path, policy_file: Path | None, config: Path | None, more: list[str]
) -> int:
    if not pack.exists():
        raise Ended(NOT_FOUND, f"{pack}: expected verdict-N, run-N, or a pack that exists.")
    if more:
        raise Ended(USAGE, f"--{more[0]} asks a home; a pack holds the frozen facts only.")
    found = replay_pack(pack, _candidate(policy_file, config))
    call.give({"path": str(pack), "items": [one.document() for one in found]})
    call.table(
        ("DECISION", "RESULT", "CAUSE", "WHAT WAS FOUND"),
        [
            [one.verdict_id, one.result, " ".join(filter(None, (one.cause, one.facet))),
             one.sentence]
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        call.say(*(f"  {one.verdict_id} {line}" for line in one.diff[:_SHOWN_MAX]))
    if not all(one.signed for one in found):
        call.say("No policy decision in this pack names one of these capsules.")
    call.say("", f"Who signed this pack is said by: releaseline verify {pack}")
    return _pack_code(found)


def _pack_code(found: tuple[PackReplay, ...]) -> int:
    results = {one.result for one in found}
    if results & {"MISMATCH", "UNPROVEN"} or not all(one.signed for one in found):
        return MISMATCH
    return GATE_FAIL if "FLIPPED" in results else DONE


def _candidate(policy_file: Path | None, config: Path | None) -> CompiledPolicy | None:
    if policy_file is None:
        return None
    if config is None:
        raise Ended(USAGE, "--policy over a pack needs --config: there is no home to ask.")
    return compiled_of(policy_file, config)


def _since_us(text: str) -> int:
    """A UTC date (its midnight) or an age back from now. 0 = since ever."""
    if not text:
        return 0
    age = re.fullmatch(r"([0-9]{1,6})([smhd])", text, re.ASCII)
    if age is not None:
        return int((time.time() - int(age[1]) * _UNITS_S[age[2]]) * 1_000_000)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Ended(
            USAGE, f"--since: expected a date like 2026-02-01 or an age like 30d, found {text!r}."
        ) from None
    return int(day.timestamp() * 1_000_000)


def _text(door: Door, path: str) -> str:
    _, content = door.download(path)
    return content.decode()
