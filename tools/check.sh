#!/bin/sh
# Every gate of quality, all of them even when one fails. Expects the tools on PATH.
set -u
cd "$(dirname "$0")/.."

failed=""
run() {
    name=$1
    shift
    if "$@"; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        failed="$failed $name"
    fi
}

states_page() {
    python -m penstock.testing.states_page | diff - docs/states.md ||
        { echo "docs/states.md is out of date: python -m penstock.testing.states_page > docs/states.md" >&2; return 1; }
}

run format ruff format --check --quiet .
run lint ruff check --quiet .
run types mypy --no-error-summary
run layers lint-imports --no-logo
run locks python tools/lock.py --check
run states-page states_page
if [ -n "$failed" ]; then
    echo "check failed:$failed" >&2
    exit 1
fi
