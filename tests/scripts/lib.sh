# shellcheck shell=bash disable=SC2034 # root is for those who source this
# What the tests of the scripts share: a PATH that holds only what a test puts there, and verdicts. Sourced.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0

# A PATH of the everyday tools and of $work/bin, where fakes go: no cargo, curl, apt-get or GStreamer of this machine is seen.
tools=$work/tools
mkdir -p "$tools" "$work/bin" "$work/home"
for tool in bash basename cat chmod cp cut date dirname env false grep head id mkdir mktemp mv printf realpath rm sed sh sleep stat tail touch true; do
    ln -s "$(type -P "$tool")" "$tools/$tool"
done
# By its real path: what the PATH has may be a shim that needs the rest of the PATH.
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$tools/python3"

# fake NAME: a program called NAME in the PATH of `alone`, its script on stdin.
fake() {
    { echo '#!/bin/sh'; cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

# alone COMMAND...: runs it with that PATH and an empty home; leaves $status, and what it printed in $out and $err.
alone() {
    env -i PATH="$work/bin:$tools" HOME="$work/home" WORK="$work" "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    out=$(<"$work/out")
    err=$(<"$work/err")
}

# check WHAT CONDITION...: the condition is a command.
check() {
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        printf '  status %s\n  stdout: %s\n  stderr: %s\n' "${status-}" "${out-}" "${err-}"
        failures=$((failures + 1))
    fi
}

contains() {
    [[ $1 == *"$2"* ]]
}

finish() {
    ((failures == 0))
    exit
}
