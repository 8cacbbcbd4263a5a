#!/bin/sh
# Makes .venv from the hashed lock, and puts the package itself in it for editing. Only the first run needs the network.
set -eu
cd "$(dirname "$0")/.."

python=$(tools/python.sh)
echo "Setting up .venv with $("$python" --version 2>&1)." >&2
if ! said=$("$python" -m venv --clear .venv 2>&1); then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Python could not make a virtual environment: install the package python$version-venv. It said: $(echo "$said" | tail -n 1)" >&2
    rm -rf .venv
    exit 1
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
    -r requirements-dev.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch .venv/.installed
