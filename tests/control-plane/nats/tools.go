//go:build tools

// Package tools names the NATS server, so that go.mod and go.sum pin what it is built from.
package tools

import _ "github.com/nats-io/nats-server/v2"
