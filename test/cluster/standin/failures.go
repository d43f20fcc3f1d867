package standin

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// failureFile is the name, in a node's directory, of the file that exists while the node is failed.
const failureFile = "failed"

// poweredOff says whether whoever could ask the node would learn at once that it is not there.
func poweredOff(f cluster.Failure) bool { return f == cluster.Power || f == cluster.Reboot }

// cutOff says whether the node's kubelet cannot reach the API server, nor anyone else the node's databases. A node
// without failure is not cut off, nor is one of which only the OVN processes have failed.
func cutOff(f cluster.Failure) bool { return poweredOff(f) || f == cluster.Link }

// failures follows which nodes are failed. Its methods may be called concurrently.
type failures struct {
	mu    sync.Mutex
	nodes map[string]*nodeFailure // node name -> its failure
}

// nodeFailure is what is known of one node.
type nodeFailure struct {
	node    *cluster.Node
	failure cluster.Failure
	// reachable ends when the node becomes cut off, so that whoever is waiting for its databases gives up.
	reachable context.Context
	cut       context.CancelFunc
}

// newFailures reads the present state of all nodes. Contexts of nodes derive from ctx.
func newFailures(ctx context.Context, nodes []cluster.Node) (*failures, error) {
	f := &failures{nodes: map[string]*nodeFailure{}}
	for i := range nodes {
		n := &nodeFailure{node: &nodes[i]}
		n.reachable, n.cut = context.WithCancel(ctx)
		f.nodes[nodes[i].Name] = n
		if _, err := f.refresh(ctx, nodes[i].Name); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// of returns how a node of the cluster has failed; empty if it has not.
func (f *failures) of(node string) cluster.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[node].failure
}

// healthy says whether the node is one of the cluster's and has not failed.
func (f *failures) healthy(node string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.nodes[node]
	return ok && n.failure == ""
}

// context returns a context that ends when the node is cut off, and false if it is cut off now.
func (f *failures) context(node string) (context.Context, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[node].reachable, !cutOff(f.nodes[node].failure)
}

// watch follows the nodes' failure files until ctx ends and calls changed for each node whose failure changes.
func (f *failures) watch(ctx context.Context, changed func(node string)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	defer watcher.Close() //nolint:errcheck // nothing is left to lose
	byDirectory := map[string]string{}
	for name, n := range f.nodes {
		byDirectory[n.node.Directory] = name
		if err := watcher.Add(n.node.Directory); err != nil {
			return fmt.Errorf("watch node %s: %w", name, err)
		}
	}
	// What happened before the watch began.
	for name := range f.nodes {
		if err := f.refreshAndTell(ctx, name, changed); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Errors:
			return fmt.Errorf("watch nodes: %w", err)
		case event := <-watcher.Events:
			if filepath.Base(event.Name) != failureFile {
				continue
			}
			if err := f.refreshAndTell(ctx, byDirectory[filepath.Dir(event.Name)], changed); err != nil {
				return err
			}
		}
	}
}

func (f *failures) refreshAndTell(ctx context.Context, node string, changed func(string)) error {
	different, err := f.refresh(ctx, node)
	if err == nil && different {
		changed(node)
	}
	return err
}

// refresh reads the failure file of a node and reports whether its failure changed.
func (f *failures) refresh(ctx context.Context, name string) (bool, error) {
	n := f.nodes[name]
	now, err := n.node.Failure()
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := n.failure
	n.failure = now
	switch {
	case cutOff(now) && !cutOff(before):
		n.cut()
	case !cutOff(now) && cutOff(before):
		n.reachable, n.cut = context.WithCancel(ctx)
	}
	return now != before, nil
}
