#!/bin/sh
# Says what a gaggle node is, whenever that changes: `goose TERM` or `duck`. See README.md.
# It needs curl, and finds the two fields that it wants without a parser: they stand in this order in
# every event `role`, and in every `status` behind the node's own description.

node=${1:-http://127.0.0.1:9000}
said=

say() {
    [ "$1" = "$said" ] || echo "$1"
    said=$1
}

# Reads what the node says of itself; fails if it was Goose at the end.
hear() {
    while IFS= read -r line; do
        case $line in 'event: '*) name=${line#event: } ;; esac
        case $name$line in
        status'data: '*'"role":"goose","term":'* | role'data: '*'"role":"goose","term":'*)
            term=${line#*'"role":"goose","term":'}
            say "goose ${term%%[!0-9]*}"
            ;;
        status'data: '*'"role":"duck","term":'* | role'data: '*'"role":"duck","term":'*) say duck ;;
        esac
    done
    [ "${said#goose}" = "$said" ]
}

while :; do
    # Until the stream ends or is silent for three seconds.
    curl --silent --no-buffer --speed-limit 1 --speed-time 3 "$node/v1/events?every=1s" | hear ||
        said=goose
    say duck # It is not there, or says nothing. Ask again.
    sleep 0.2
done
