"""``zhisuan simulate …``: the commands over ``zhisuan.simulation``; each runs here, without a server."""
