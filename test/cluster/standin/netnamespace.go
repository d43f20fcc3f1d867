package standin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDirectory is where ip netns keeps the names of network namespaces.
const namespaceDirectory = "/run/netns"

// newNamespace makes a named network namespace.
func newNamespace(name string) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread, which is in the new namespace, ends with the goroutine
		handle, err := netns.NewNamed(name)
		if err == nil {
			err = handle.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("create network namespace %s: %w", name, err)
	}
	return nil
}

// removeNamespace deletes a named network namespace; one that is not there is no error.
func removeNamespace(name string) error {
	path := filepath.Join(namespaceDirectory, name)
	// EINVAL: a file that nothing was ever mounted on, left by a crash.
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount network namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// inNetlink calls f with a netlink handle of a namespace. A namespace that does not exist is an os.ErrNotExist.
func inNetlink(namespace string, f func(*netlink.Handle) error) error {
	ns, err := netns.GetFromName(namespace)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("network namespace %s: netlink: %w", namespace, err)
	}
	defer handle.Close()
	if err := f(handle); err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	return nil
}

// podNamespaces lists the network namespaces of a cluster's pods.
func podNamespaces(clusterName string) ([]string, error) {
	entries, err := os.ReadDir(namespaceDirectory)
	if err != nil {
		return nil, fmt.Errorf("network namespaces: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), sandboxPrefix(clusterName)) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
