"""One model call as the gateway sees it, and the usage it amounts to at any moment."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from zhisuan.gateway.accounting import TokenCounts, estimate_input
from zhisuan.gateway.requests import ModelRequest
from zhisuan.gateway.routes import Choice
from zhisuan.wire.gateway import KeyAnswer, TokenUsage

Outcome = Literal["completed", "client_closed", "upstream_failed"]


@dataclass(slots=True)
class Call:
    """``started`` and later moments are seconds of the event loop's clock; ``at`` is the time of day.

    What was used, where the replica reported no counts: output is the content pieces handed to the client; input is
    estimated from the request, as soon as the client has had a piece or has itself walked away. A call that failed
    before its first piece used nothing.
    """

    id: str
    at: datetime
    started: float
    key: KeyAnswer
    request: ModelRequest
    choice: Choice | None = None
    counts: TokenCounts | None = None
    pieces: int = 0
    pieces_checkpointed: int = 0
    first_piece_at: float | None = None
    _input_estimate: int | None = field(default=None, repr=False)

    def begin_attempt(self, choice: Choice) -> None:
        self.choice = choice
        self.counts = None

    def delivered(self, pieces: int, now: float) -> None:
        """The client has been handed ``pieces`` more pieces of content."""
        self.pieces += pieces
        if pieces and self.first_piece_at is None:
            self.first_piece_at = now

    def usage(self, outcome: Outcome, now: float) -> TokenUsage | None:
        """What this call comes to if it ends now; None as long as no replica was asked."""
        if self.choice is None:
            return None
        counts = self._counts(outcome)
        return TokenUsage(
            id=self.id,
            at=self.at,
            org_id=self.key.org_id,
            project_id=self.key.project_id,
            key_id=self.key.key_id,
            deployment_id=self.choice.route.deployment_id,
            lease_id=self.choice.replica.lease_id,
            model=self.request.model,
            input_tokens=counts.input_tokens,
            cached_input_tokens=counts.cached_input_tokens,
            output_tokens=counts.output_tokens,
            estimated=counts.estimated,
            outcome=outcome,
            duration_ms=_milliseconds(now - self.started),
            first_token_ms=None if self.first_piece_at is None else _milliseconds(self.first_piece_at - self.started),
        )

    def _counts(self, outcome: Outcome) -> TokenCounts:
        if self.counts is not None:
            return self.counts
        if outcome == "upstream_failed" and not self.pieces:
            return TokenCounts()
        if self._input_estimate is None:
            self._input_estimate = estimate_input(self.request.body)
        return TokenCounts(input_tokens=self._input_estimate, output_tokens=self.pieces, estimated=True)


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
