#!/bin/sh
# Installs system packages that are missing, where this user may; else says what to run.
# Usage: system-packages.sh PACKAGE…   Exit 1 when something is still missing.
missing=""
for package in "$@"; do
    case "$package" in
        bubblewrap) command -v bwrap >/dev/null 2>&1 || missing="$missing $package" ;;
        fonts-noto-cjk) [ -d /usr/share/fonts/opentype/noto ] || missing="$missing $package" ;;
        *) command -v "$package" >/dev/null 2>&1 || missing="$missing $package" ;;
    esac
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing on this system:$missing. Install them with your package manager." >&2
    exit 1
fi
run=""
if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then run="sudo -n"; else
        echo "missing on this system:$missing. Run: sudo apt-get install$missing" >&2
        exit 1
    fi
fi
echo "installing system packages:$missing"
$run apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing >/dev/null
