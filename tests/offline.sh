#!/bin/sh
# Run a command with no network but the loopback device, where the system lets us:
#     sh tests/offline.sh COMMAND [ARGUMENT...]
# The command can read in VIZCOURSE_OFFLINE whether that worked (1) or not (0).
set -eu

if [ "$(id -u)" = 0 ]; then
    isolate="unshare --net"
else
    isolate="unshare --net --map-root-user"
fi

if $isolate sh -c "ip link set lo up" >/dev/null 2>&1; then
    VIZCOURSE_OFFLINE=1
    export VIZCOURSE_OFFLINE
    exec $isolate sh -c 'ip link set lo up && exec "$@"' sh "$@"
fi

echo "offline: this system cannot cut the network off (unshare and ip are needed): going on with it" >&2
VIZCOURSE_OFFLINE=0
export VIZCOURSE_OFFLINE
exec "$@"
