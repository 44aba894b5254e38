#!/bin/sh
# Installs Ray into an environment of its own, build/ray-env, for the tests and the benchmark of the Ray engine.
# The platform itself never imports Ray; keeping the two apart shows that. Usage: ray_env.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."
python="${1:-python3}"
env="build/ray-env"
stamp="$env/.installed"
if [ -f "$stamp" ] && cmp -s requirements/ray.txt "$stamp"; then
    exit 0
fi
echo "installing Ray into $env (about 400 MB)"
rm -rf "$env"
mkdir -p build
"$python" -m venv "$env"
"$env/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/ray.txt
# Every job starts Python processes that import Ray: without compiled files each would compile them again.
"$env/bin/python" -m compileall -q "$env/lib" >/dev/null || true
cp requirements/ray.txt "$stamp"
