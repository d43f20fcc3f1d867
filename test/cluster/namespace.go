package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
)

// namespaceDirectory is where ip netns keeps the names of network namespaces.
const namespaceDirectory = "/run/netns"

// InNamespace runs f in the named network namespace; what f starts with os/exec runs there too, but goroutines
// that f starts do not. The empty name is the namespace of the caller.
func InNamespace(name string, f func() error) error {
	if name == "" {
		return f()
	}
	target, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer target.Close()

	done := make(chan error, 1)
	// A goroutine of its own: if the thread cannot be brought back, it dies with this goroutine and nothing else
	// ever runs in the wrong namespace.
	go func() { done <- onThreadIn(target, f) }()
	return <-done
}

func onThreadIn(target netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("current network namespace: %w", err)
	}
	defer origin.Close()
	if err := netns.Set(target); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace: %w", err)
	}
	result := f()
	if err := netns.Set(origin); err != nil {
		return errors.Join(result, fmt.Errorf("leave network namespace: %w", err)) // stays locked: see InNamespace
	}
	runtime.UnlockOSThread()
	return result
}

// createNamespace makes a named network namespace with its loopback interface up. It leaves that to ip(8): with the
// first name that ip itself makes, it mounts the directory of names over itself, and names that others had made
// before could then no longer be removed.
func createNamespace(ctx context.Context, name string) error {
	if _, err := run(ctx, "ip", "netns", "add", name); err != nil {
		return fmt.Errorf("create network namespace %s: %w", name, err)
	}
	return setUp(name, "lo")
}

// deleteNamespace removes a named network namespace. The kernel frees what is in it when its last process is gone.
func deleteNamespace(ctx context.Context, name string) error {
	if _, err := run(ctx, "ip", "netns", "delete", name); err != nil {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// namespacesOf lists the network namespaces that belong to the named cluster, those of pods included.
func namespacesOf(name string) ([]string, error) {
	entries, err := os.ReadDir(namespaceDirectory)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("network namespaces: %w", err)
	}
	var found []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), namespacePrefix(name)) {
			found = append(found, entry.Name())
		}
	}
	return found, nil
}

// namespacePrefix begins the names of a cluster's network namespaces. Cluster names contain no '-', so no
// cluster's prefix begins another's.
func namespacePrefix(name string) string { return "nc-" + name + "-" }
