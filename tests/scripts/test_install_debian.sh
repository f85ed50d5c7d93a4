#!/usr/bin/env bash
# scripts/install-debian.sh: what it installs, and how. dpkg-query, apt-get and sudo are fakes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
install=$root/scripts/install-debian.sh

# installed PACKAGE...: what dpkg-query knows; one that was removed, too.
installed() {
    fake dpkg-query <<FAKE
for package in "\$@"; do :; done
case " $* " in *" \$package "*) printf installed; exit ;; esac
[ "\$package" = git ] && printf config-files && exit
echo "no packages found matching \$package" >&2
exit 1
FAKE
}
# apt_get [STATUS]: notes what it is asked.
apt_get() {
    rm -f "$work/asked"
    fake apt-get <<FAKE
echo "apt-get \$*" >>"$work/asked"
echo "a word of apt's"
exit ${1:-0}
FAKE
}
# bash knows its user by EUID, which cannot be set; so these tests run the script as root or not, as they are run themselves.
fake sudo <<FAKE
echo sudo >>"$work/sudo"
exec "\$@"
FAKE

build="build-essential pkg-config git ca-certificates curl libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"

installed "$build"
apt_get
alone "$install" build
check "nothing missing: silence" test "$status:$out$err" = 0:
check "  and no apt-get" test ! -e "$work/asked"

installed "build-essential pkg-config ca-certificates libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"
apt_get
alone "$install" build
check "what is missing or was removed is installed" test "$status" = 0
check "  that alone, after an update" test "$(<"$work/asked")" = "apt-get update -o DPkg::Lock::Timeout=300
apt-get install --yes --no-install-recommends git curl -o DPkg::Lock::Timeout=300"
check "  stdout stays free" test -z "$out"
if ((EUID == 0)); then
    check "  root needs no sudo" test ! -e "$work/sudo"
else
    check "  through sudo" test -e "$work/sudo"
fi

apt_get 100
alone "$install" build
check "apt-get fails: so does the script" test "$status" = 1
check "  and says what to type" contains "$err" "apt-get update && apt-get install --yes --no-install-recommends git curl"

apt_get
alone "$install" demo
demo=$(grep -c . <<<"$(tail -n 1 "$work/asked" | tr ' ' '\n')")
check "the demo's set holds srtenc's package" grep -q gstreamer1.0-plugins-bad "$work/asked"
apt_get
alone "$install" build demo test
everything=$(grep -c . <<<"$(tail -n 1 "$work/asked" | tr ' ' '\n')")
check "the demo installs less than the tests" test "$demo" -lt "$everything"

alone "$install" bild
check "a wrong set is refused" test "$status" = 2

if ((EUID != 0)); then
    rm "$work/bin/sudo"
    apt_get
    alone "$install" build
    check "neither root nor sudo: nothing is tried" test "$status:$(ls "$work/asked" 2>/dev/null)" = 1:
    check "  and what to type is said" contains "$err" "apt-get update && apt-get install --yes --no-install-recommends git curl"
fi

rm "$work/bin/dpkg-query"
alone "$install" build
check "elsewhere than on Debian the packages are only named" test "$status" = 0
check "  all of them" contains "$err" "$build"

finish
