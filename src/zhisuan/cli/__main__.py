"""``python -m zhisuan.cli``: the same as ``zhisuan``."""

from zhisuan.cli.main import main

main()
