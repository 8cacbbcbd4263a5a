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

page() {
    python -m "penstock.testing.$1_page" | diff - "docs/$1.md" ||
        { echo "docs/$1.md is out of date: python -m penstock.testing.$1_page > docs/$1.md" >&2; return 1; }
}

run format ruff format --check --quiet .
run lint ruff check --quiet .
run types mypy --no-error-summary
run layers lint-imports --no-logo
run locks python tools/lock.py --check
run states-page page states
run calls-page page calls
if [ -n "$failed" ]; then
    echo "check failed:$failed" >&2
    exit 1
fi
