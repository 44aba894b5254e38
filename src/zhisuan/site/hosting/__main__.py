"""``python -m zhisuan.site.hosting``."""

from zhisuan.site.hosting.main import main

if __name__ == "__main__":
    raise SystemExit(main())
