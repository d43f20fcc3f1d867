package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Down removes everything of the named cluster: processes, network namespaces and files. It works on whatever is
// there, so that it can be called after a crash and again; removing a cluster that does not exist is no error.
func Down(ctx context.Context, name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("cluster name %q does not match %s", name, validName)
	}
	if os.Geteuid() != 0 {
		return errors.New("netcluster needs root: it removes network namespaces")
	}
	if err := stopRecorded(ctx, name); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	namespaces, err := namespacesOf(name)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	strays, err := markedProcesses(name)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	if err := killAll(strays); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	for _, namespace := range namespaces {
		if err := removeNamespace(ctx, namespace); err != nil {
			return fmt.Errorf("cluster %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(Directory(name)); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	return unmountNames(ctx)
}

// unmountNames undoes, when no network namespace has a name any more, what ip netns did for the first name: it
// mounted the directory of names over itself.
func unmountNames(ctx context.Context) error {
	if _, err := os.Stat(Root); errors.Is(err, os.ErrNotExist) {
		return nil // there was never a cluster
	}
	unlock, err := lockFile(ctx, Root)
	if err != nil {
		return err
	}
	defer unlock()
	names, err := os.ReadDir(namespaceDirectory)
	if errors.Is(err, os.ErrNotExist) || len(names) > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("names of network namespaces: %w", err)
	}
	// EINVAL: it is not a mount point.
	if err := unix.Unmount(namespaceDirectory, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", namespaceDirectory, err)
	}
	return nil
}

// stopRecorded ends the recorded processes. The stand-in goes first, so that it does not start others meanwhile;
// the rest is killed at once, as nothing they would do in their last moments is wanted.
func stopRecorded(ctx context.Context, name string) error {
	standIn, err := FindProcess(name, "stand-in")
	if err == nil {
		err = standIn.Kill(ctx)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	processes, err := Processes(name)
	if err != nil {
		return err
	}
	var killing errgroup.Group
	for i := range processes {
		killing.Go(func() error { return processes[i].Kill(ctx) })
	}
	return killing.Wait()
}

// removeNamespace kills the processes in a network namespace and removes it with everything in it.
func removeNamespace(ctx context.Context, namespace string) error {
	pids, err := namespaceProcesses(ctx, namespace)
	if err != nil {
		return err
	}
	if err := killAll(pids); err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	if err := emptyNamespace(namespace); err != nil {
		return err
	}
	return deleteNamespace(ctx, namespace)
}

// killAll kills processes that were found a moment ago; those that have ended since are no error.
func killAll(pids []int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}

// namespaceProcesses returns the pids of the processes in a network namespace.
func namespaceProcesses(ctx context.Context, namespace string) ([]int, error) {
	out, err := run(ctx, "ip", "netns", "pids", namespace)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(out) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("pids of network namespace %s: %w", namespace, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// emptyNamespace deletes the links of a namespace at once; the kernel would do it some time after the last user
// of the namespace is gone, and until then the other ends of its veths would stay. A name without a namespace, as
// a crash can leave it, is empty.
func emptyNamespace(namespace string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Join(namespaceDirectory, namespace), &fs); err != nil {
		return fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return nil
	}
	return inNetlink(namespace, func(h *netlink.Handle) error {
		links, err := h.LinkList()
		if err != nil {
			return err
		}
		for _, link := range links {
			if kind := link.Type(); kind != "veth" && kind != "bridge" {
				continue
			}
			err := h.LinkDel(link)
			if err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) && !errors.Is(err, syscall.ENODEV) {
				return fmt.Errorf("delete link %s: %w", link.Attrs().Name, err)
			}
		}
		return nil
	})
}
