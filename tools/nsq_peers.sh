#!/bin/sh
# Makes what the door of NSQ is tested against, in .cache/nsq-peers: the daemons and tools of NSQ itself, built from the release
# that nsq_peers/go.mod names, and the clients gnsq, ansq and pynsq, each in an environment of its own with what its suite needs.
# What is there already is left as it is. Needs the network once, and Go; where there is none, root on Debian installs it.
# With an argument: only that part (nsq, gnsq, ansq, pynsq).
set -eu
cd "$(dirname "$0")/.."

peers=$PWD/.cache/nsq-peers
pins=$PWD/tools/nsq_peers
python=$PWD/.venv/bin/python

# is_made NAME FILES: whether a part was made from these files as they are. Else its stamp goes, to be written when it is made.
is_made() {
    stamp=$peers/$1.stamp
    shift
    wanted=$(cat "$@" | cksum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    rm -f "$stamp"
    return 1
}

find_go() {
    for go in go /usr/local/go/bin/go; do
        if command -v "$go" >/dev/null; then
            go=$(command -v "$go")
            return
        fi
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends ca-certificates golang-go
        go=$(command -v go)
        return
    fi
    echo "NSQ is built with Go, and there is none: install it (Debian, Ubuntu: apt install golang-go), then make nsq-peers." >&2
    exit 1
}

# NSQ's own daemons and tools, in bin/.
make_nsq() {
    is_made nsq "$pins/go.mod" "$pins/go.sum" && return
    find_go
    rm -rf "$peers/bin" "$peers/go"
    mkdir -p "$peers/go" "$peers/bin"
    cp "$pins/go.mod" "$pins/go.sum" "$peers/go/"
    cd "$peers/go"
    CGO_ENABLED=0 GOFLAGS='' "$go" build -mod=mod -buildvcs=false -o "$peers/bin/" \
        github.com/nsqio/nsq/apps/... github.com/nsqio/nsq/bench/...
    echo "$wanted" >"$stamp"
}

# make_client NAME [OTHERS]: its sdist, which brings the suite, unpacked in NAME/suite, and installed in NAME/venv; before it
# what else has to be installed from source.
make_client() {
    name=$1
    is_made "$name" "$pins/$name.lock" "$pins/sources.txt" && return
    here=$peers/$name
    rm -rf "$here"
    mkdir -p "$here/suite"
    "$python" -m venv "$here/venv"
    "$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes --only-binary :all: -r "$pins/$name.lock"
    for source in "${2:-}" "$name"; do
        [ -n "$source" ] || continue
        grep "^$source==" "$pins/sources.txt" >"$here/source.txt"
        "$here/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
            --no-deps --require-hashes --no-binary :all: --no-build-isolation -d "$here" -r "$here/source.txt"
        "$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --no-deps --no-build-isolation "$here/$source"-*.tar.gz
    done
    tar xzf "$here/$name"-*.tar.gz -C "$here/suite" --strip-components=1
    echo "$wanted" >"$stamp"
}

# All of them: what needs the compiler beside what waits for the network.
make_all() {
    if [ ! -x "$python" ]; then
        echo "There is no .venv: make setup, then make nsq-peers." >&2
        exit 1
    fi
    mkdir -p "$peers"
    # Two at once would spoil each other's work.
    exec 9>"$peers/lock"
    if command -v flock >/dev/null; then flock 9; fi

    failed=""
    "$PWD/tools/nsq_peers.sh" nsq >"$peers/nsq.log" 2>&1 &
    nsq=$!
    for client in gnsq ansq pynsq; do
        "$PWD/tools/nsq_peers.sh" "$client" >"$peers/$client.log" 2>&1 || failed="$failed $client"
    done
    wait "$nsq" || failed="nsq$failed"
    if [ -n "$failed" ]; then
        for part in $failed; do
            tail -n 20 "$peers/$part.log" >&2
        done
        echo "Of NSQ's peers these could not be made, see above: $failed" >&2
        exit 1
    fi
    echo "NSQ's peers are in $peers."
}

case "${1:-all}" in
    nsq) make_nsq ;;
    ansq | gnsq) make_client "$1" ;;
    pynsq) make_client pynsq tornado ;;
    all) make_all ;;
    *)
        echo "$1 is none of nsq, gnsq, ansq, pynsq." >&2
        exit 2
        ;;
esac
