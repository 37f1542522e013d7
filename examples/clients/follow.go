// Says what a gaggle node is, whenever that changes: `goose TERM` or `duck`. See README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

var said string // last
func say(what string) {
	if what != said {
		fmt.Println(what)
	}
	said = what
}

// follow tells of the node until its stream ends or is silent for three seconds.
func follow(node string) {
	answer, err := http.Get(node + "/v1/events?every=1s")
	if err != nil {
		return
	}
	defer answer.Body.Close()
	silence := time.AfterFunc(3*time.Second, func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	for ; lines.Scan(); silence.Reset(3 * time.Second) {
		_, data, isData := strings.Cut(lines.Text(), "data: ")
		var now map[string]any // Of all events, those that speak of the role count.
		if isData && json.Unmarshal([]byte(data), &now) == nil {
			if status, isStatus := now["status"].(map[string]any); isStatus {
				now = status
			}
			if role, isRole := now["role"].(string); isRole {
				say(strings.Replace(role, "goose", fmt.Sprintf("goose %.0f", now["term"]), 1))
			}
		}
	}
}

func main() {
	for node := append(os.Args, "http://127.0.0.1:9000")[1]; ; time.Sleep(200 * time.Millisecond) {
		follow(node)
		say("duck") // It is not there, or says nothing. Ask again.
	}
}
