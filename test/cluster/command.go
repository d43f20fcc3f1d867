package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// run executes a command and returns its standard output; the error carries the end of what it wrote.
func run(ctx context.Context, argv ...string) (string, error) {
	return runWith(exec.CommandContext(ctx, argv[0], argv[1:]...))
}

// runIn is run in a network namespace.
func runIn(ctx context.Context, namespace string, argv ...string) (string, error) {
	var out string
	err := InNamespace(namespace, func() (err error) {
		out, err = run(ctx, argv...)
		return err
	})
	return out, err
}

func runWith(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		const tail = 1500
		message := strings.TrimSpace(stderr.String() + stdout.String())
		if len(message) > tail {
			message = "… " + message[len(message)-tail:]
		}
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, message)
	}
	return strings.TrimSpace(stdout.String()), nil
}
