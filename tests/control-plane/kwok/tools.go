//go:build tools

// Package tools names KWOK, so that go.mod and go.sum pin what it is built from.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
