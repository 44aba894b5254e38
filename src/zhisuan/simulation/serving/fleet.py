"""The replicas of one service over time: started with a delay, drained before they stop, paid from start to stop."""

from dataclasses import dataclass, field

from zhisuan.gateway.routing.known import ReplicaKey
from zhisuan.simulation.serving.replica import Replica, Speed

NOT_YET = -1


@dataclass(slots=True, eq=False)
class Member:
    """``began_us`` is when it is paid from; ``ready_us`` when it takes calls; ``draining`` takes none any more."""

    replica: Replica
    began_us: int
    ready_us: int
    draining: bool = False
    stopped_us: int = NOT_YET
    ends_us: int = NOT_YET
    """When its present steps end; the clock's entry for another time is out of date."""
    begins: bool = False
    """Its next steps begin at this very instant, once all has come that comes now."""

    @property
    def key(self) -> ReplicaKey:
        return f"r{self.replica.number:05d}", 1


@dataclass(slots=True)
class Fleet:
    speed: Speed
    members: list[Member] = field(default_factory=list)
    able: list[Member] = field(default_factory=list)
    """Ready and not draining, in the order of keys."""

    def start(self, now_us: int, delay_us: int) -> Member:
        member = Member(Replica(len(self.members), self.speed), now_us, now_us + delay_us)
        self.members.append(member)
        return member

    def ready(self, member: Member) -> None:
        if not member.draining:
            self.able.append(member)
            self.able.sort(key=lambda one: one.replica.number)

    def live(self) -> list[Member]:
        return [one for one in self.members if one.stopped_us == NOT_YET and not one.draining]

    def drain(self, member: Member, now_us: int) -> None:
        member.draining = True
        if member in self.able:
            self.able.remove(member)
        self.stop_if_empty(member, now_us)

    def stop_if_empty(self, member: Member, now_us: int) -> None:
        if member.draining and member.replica.idle and member.stopped_us == NOT_YET:
            member.stopped_us = now_us

    def paid_us(self, end_us: int) -> int:
        return sum((end_us if one.stopped_us == NOT_YET else one.stopped_us) - one.began_us for one in self.members)
