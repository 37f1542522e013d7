"""Says what a gaggle node is, whenever that changes: `goose TERM` or `duck`. See README.md."""

import json
import sys
import time
import urllib.request


def events(node):
    """Each event of the node with its data, until the stream ends or is silent for three seconds."""
    with urllib.request.urlopen(node + "/v1/events?every=1s", timeout=3) as stream:
        name = None
        for line in stream:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def terms(node):
    """The node's term while it is Goose, and None while it is not: first as it is, then every change."""
    said = "nothing"
    while True:
        term = None
        try:
            for name, data in events(node):
                if name == "status":
                    data = data["status"]
                elif name != "role":
                    continue
                term = data["term"] if data["role"] == "goose" else None
                if term != said:
                    said = term
                    yield term
        except (OSError, ValueError):
            pass  # It is not there, or says nothing. Ask again.
        if said is not None:
            said = None
            yield None
        time.sleep(0.2)


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9000"
    for term in terms(address):
        print("duck" if term is None else f"goose {term}", flush=True)
