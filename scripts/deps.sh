#!/bin/sh
# Installs the packages that the netns cluster and the tests need and this machine lacks. None of their services is
# started: the test bed starts processes of its own.
#
#   scripts/deps.sh            install
#   scripts/deps.sh --check    only say what is missing
set -eu

packages="
  openvswitch-switch openvswitch-common ovn-central ovn-host ovn-common
  debootstrap debian-archive-keyring
  ethtool iproute2 nftables tcpdump
  curl gcc libc6-dev
"

missing=
for package in $packages; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=unknown
  [ "$status" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
  exit 0
fi
echo "missing packages:$missing"
if [ "${1:-}" = --check ]; then
  exit 1
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "this installs them as root on Debian; run 'make deps' as root, or install them your way" >&2
  exit 1
fi

# What starts a service when its package is installed asks this file first: 101 means no (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
restore() {
  rm -f "$policy"
  if [ -e "$policy.before-ovn-egress" ]; then
    mv "$policy.before-ovn-egress" "$policy"
  fi
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A copy that is there already is from a run that was killed: it is the machine's own, what is in its place is ours.
if [ -e "$policy" ] && [ ! -e "$policy.before-ovn-egress" ]; then
  mv "$policy" "$policy.before-ovn-egress"
fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 0755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Word splitting is wanted.
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
