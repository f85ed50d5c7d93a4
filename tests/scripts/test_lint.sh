#!/usr/bin/env bash
# The scripts are clean in the eyes of shellcheck.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root" || exit
check shellcheck shellcheck --external-sources --source-path=SCRIPTDIR examples/*.sh tests/*.sh tests/companions/*.sh tests/scripts/*.sh scripts/*.sh benches/*.sh .ci/run
finish
