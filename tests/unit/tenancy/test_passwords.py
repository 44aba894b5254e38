"""What a guess of a password costs."""

from argon2 import Type, extract_parameters

from zhisuan.base.secrets import NO_PASSWORD


def test_a_password_is_dear_to_guess() -> None:
    """At least what OWASP's Password Storage Cheat Sheet asks of Argon2id: 19 MiB and two passes. The value is hashed as the
    module is loaded, so no test's own setting is in it."""
    cost = extract_parameters(NO_PASSWORD)
    assert cost.type is Type.ID
    assert cost.memory_cost >= 19 * 1024 and cost.time_cost >= 2
