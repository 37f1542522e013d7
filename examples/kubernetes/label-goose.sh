#!/bin/sh
# Keeps the label `gaggle-role` of this pod at `goose` or `duck`, so that a Service that selects
# `gaggle-role: goose` leads to the Goose. A sidecar of each pod; it needs curl, kubectl, and leave to
# patch pods. A label is advice of some moments ago: what the Goose works on is protected by terms.
#
# POD_NAME: this pod, by the downward API. GAGGLE_NODE: where the node serves HTTP.

set -u
pod=${POD_NAME:?the name of this pod}
node=${GAGGLE_NODE:-http://127.0.0.1:9000}
labelled=

label() {
    [ "$1" = "$labelled" ] && return
    if kubectl label pod "$pod" "gaggle-role=$1" --overwrite; then
        labelled=$1
    fi
}

while :; do
    # A node that does not answer leads nobody to itself.
    role=$(curl --silent --fail --max-time 2 "$node/" | tr GD gd)
    label "${role:-duck}"
    # Answers as soon as something changes, and after five seconds in any case.
    index=$(curl --silent --max-time 2 "$node/v1/status" | sed -n 's/.*"index":\([0-9]*\).*/\1/p')
    curl --silent --fail --max-time 7 --output /dev/null \
        "$node/v1/status?index=${index:-0}&wait=5s" || sleep 1
done
