package standin

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func TestFailuresAreNoticed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	nodes := []cluster.Node{{Name: "node1", Directory: t.TempDir()}, {Name: "node2", Directory: t.TempDir()}}
	f, err := newFailures(ctx, nodes)
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan string, 10)
	watching := make(chan error, 1)
	go func() { watching <- f.watch(ctx, func(node string) { changes <- node }) }()
	defer func() {
		cancel()
		if err := <-watching; err != nil {
			t.Errorf("watch: %v", err)
		}
	}()

	reachable, ok := f.context("node1")
	if !ok || !f.healthy("node1") || f.healthy("node3") {
		t.Fatalf("node1 reachable: %t, healthy: %t; node3, which is not of the cluster, healthy: %t", ok, f.healthy("node1"), f.healthy("node3"))
	}
	file := filepath.Join(nodes[0].Directory, failureFile)
	write(t, file, cluster.Power)
	expectChange(t, changes, "node1")
	if got := f.of("node1"); got != cluster.Power || f.healthy("node1") {
		t.Errorf("failure is %q, healthy %t, want power, not healthy", got, f.healthy("node1"))
	}
	if _, ok := f.context("node1"); ok || reachable.Err() == nil {
		t.Errorf("a node without power is reachable (%t), or its earlier context goes on (%v)", ok, reachable.Err())
	}
	if _, ok := f.context("node2"); !ok {
		t.Error("node2 is not reachable, and only node1 failed")
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expectChange(t, changes, "node1")
	if again, ok := f.context("node1"); !ok || again.Err() != nil {
		t.Errorf("node1 is back, but reachable %t, context %v", ok, again.Err())
	}
}

func TestANodeWithoutOVNIsReachable(t *testing.T) {
	node := cluster.Node{Name: "node1", Directory: t.TempDir()}
	write(t, filepath.Join(node.Directory, failureFile), cluster.OVN)
	f, err := newFailures(context.Background(), []cluster.Node{node})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.context("node1"); !ok || f.healthy("node1") {
		t.Errorf("reachable %t, healthy %t, want reachable, not healthy", ok, f.healthy("node1"))
	}
}

// write puts the failure where it is looked for, as package cluster does: all at once.
func write(t *testing.T, file string, f cluster.Failure) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(f), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func expectChange(t *testing.T, changes <-chan string, want string) {
	t.Helper()
	select {
	case got := <-changes:
		if got != want {
			t.Fatalf("%s changed, want %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nobody noticed that %s changed", want)
	}
}
