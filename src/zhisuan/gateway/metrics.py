"""A few counts in the Prometheus text format (version 0.0.4); no tenant, key or model is named in them."""

from collections.abc import Iterable

from zhisuan.gateway.service import Gateway

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(gateway: Gateway) -> str:
    totals = gateway.meter.totals
    return "".join(
        (
            _family("calls_total", "counter", "Model calls that ended, by outcome.",
                    ((f'{{outcome="{outcome}"}}', count) for outcome, count in totals.calls.items())),
            _family("refusals_total", "counter", "Requests answered with an error, by code.",
                    ((f'{{code="{code}"}}', count) for code, count in sorted(gateway.refusals.items()))),
            _family("input_tokens_total", "counter", "Input tokens metered.", [("", totals.input_tokens)]),
            _family("output_tokens_total", "counter", "Output tokens metered.", [("", totals.output_tokens)]),
            _family("usage_shipped_total", "counter", "Usage records taken by the server.", [("", gateway.shipper.shipped)]),
            _family("calls_running", "gauge", "Model calls running now.", [("", gateway.limits.running)]),
            _family("tunnels_connected", "gauge", "Sites connected now.", [("", gateway.hub.connected)]),
        )
    )  # fmt: skip


def _family(name: str, kind: str, about: str, samples: Iterable[tuple[str, int]]) -> str:
    full = f"zhisuan_gateway_{name}"
    lines = [
        f"# HELP {full} {about}",
        f"# TYPE {full} {kind}",
        *(f"{full}{labels} {value}" for labels, value in samples),
    ]
    return "\n".join(lines) + "\n"
