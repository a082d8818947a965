"""What a retention of samples found and did, as one value for the log, the record and people."""

from __future__ import annotations

from dataclasses import dataclass

DAY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Attributes:
    before_us: samples of ended runs go when the newest of their attempt is older than this.
    minutes: rows of the roll-ups that stay for these attempts, for ever.
    kept: attempts that are old enough and were not touched, each with the reason.
    bytes_before, bytes_after: of the database's blocks in use.
    dry_run: nothing was done; the numbers say what would be.
    stopped: it was told to end early; what is left comes next time.
    """

    before_us: int
    runs: int = 0
    attempts: int = 0
    samples: int = 0
    minutes: int = 0
    kept: tuple[str, ...] = ()
    bytes_before: int = 0
    bytes_after: int = 0
    took_ms: int = 0
    dry_run: bool = False
    stopped: bool = False

    def sentence(self) -> str:
        """For the log and for people: what, how much, and what was left alone."""
        if not self.attempts:
            said = "No raw samples are old enough to go."
        else:
            verb = "would go" if self.dry_run else "went"
            said = (
                f"{self.samples} raw samples of {self.attempts} attempts in {self.runs} runs "
                f"{verb}; {self.minutes} minutes of their roll-up stay"
            )
            said += (
                "."
                if self.dry_run
                else (
                    f". The database used {self.bytes_before} bytes before and {self.bytes_after} "
                    f"after, in {self.took_ms} ms."
                )
            )
        if self.kept:
            said += f" {len(self.kept)} attempts were left alone: {'; '.join(self.kept[:3])}."
        return said
