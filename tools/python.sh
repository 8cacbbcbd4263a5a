#!/bin/sh
# Prints the path of a Python that can be used: 3.11 to 3.13, starts (a version manager's shim may not), and can make a
# virtual environment. PYTHON names one by hand.
set -u

usable='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
bare=""
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    python=$(command -v "$name" 2>/dev/null) || continue
    "$python" -c "$usable" </dev/null >/dev/null 2>&1 || continue
    if "$python" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; then
        "$python" -c 'import sys; print(sys.executable)' </dev/null
        exit 0
    fi
    bare=${bare:-$python}
done
if [ -n "$bare" ]; then
    version=$("$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Penstock needs the venv module of Python $version, which $bare lacks: install the package python$version-venv (Debian, Ubuntu: apt install python$version-venv)." >&2
else
    echo "Penstock needs Python 3.11, 3.12 or 3.13, and none was found: install one, or name it: make PYTHON=/path/to/python3.12." >&2
fi
exit 1
