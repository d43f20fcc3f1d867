package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Failure is a way in which a node fails.
type Failure string

// The ways in which a node fails.
const (
	Power  Failure = "power"  // all its processes freeze and its links are cut
	Link   Failure = "link"   // its links are cut
	OVN    Failure = "ovn"    // Open vSwitch and ovn-controller are killed
	Reboot Failure = "reboot" // all its processes are killed, its network namespace is lost, databases are kept
)

// podComponent begins the components of pods' commands, which the stand-in starts and stops.
const podComponent = "pod-"

// Failure says how the node is failing, the empty string if it is not.
func (n *Node) Failure() (Failure, error) {
	raw, err := os.ReadFile(n.failureFile())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	return Failure(strings.TrimSpace(string(raw))), nil
}

// failureFile exists while the node fails; the stand-in watches it.
func (n *Node) failureFile() string { return filepath.Join(n.Directory, "failed") }

// Fail makes a node fail. A node that fails already must be healed first.
func (c *Cluster) Fail(ctx context.Context, node string, how Failure) error {
	n, err := c.Node(node)
	if err != nil {
		return err
	}
	if !slices.Contains([]Failure{Power, Link, OVN, Reboot}, how) {
		return fmt.Errorf("failure %q: choose power, link, ovn or reboot", how)
	}
	current, err := n.Failure()
	if err != nil {
		return err
	}
	if current != "" {
		return fmt.Errorf("node %s is failing already (%s): heal it first", node, current)
	}
	// Written first, so that the stand-in does not repair what is about to break.
	if err := os.WriteFile(n.failureFile()+".new", []byte(how), 0o644); err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	if err := os.Rename(n.failureFile()+".new", n.failureFile()); err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	switch how {
	case Power:
		err = errors.Join(c.cutLinks(n), c.eachProcess(n, (*Process).Freeze))
	case Link:
		err = c.cutLinks(n)
	case OVN:
		err = c.killSwitch(ctx, n)
	case Reboot:
		err = c.shutDown(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("fail node %s: %w", node, err)
	}
	return nil
}

// Heal brings a failed node back. A failure other than the empty string must be the one that the node has.
// Healing a node that does not fail is no error.
func (c *Cluster) Heal(ctx context.Context, node string, how Failure) error {
	n, err := c.Node(node)
	if err != nil {
		return err
	}
	current, err := n.Failure()
	if err != nil || current == "" {
		return err
	}
	if how != "" && how != current {
		return fmt.Errorf("node %s is failing by %s, not %s", node, current, how)
	}
	if err := c.heal(ctx, n, current); err != nil {
		return fmt.Errorf("heal node %s: %w", node, err)
	}
	return nil
}

func (c *Cluster) heal(ctx context.Context, n *Node, how Failure) error {
	repair := map[Failure]func(context.Context, *Node) error{
		Power: func(_ context.Context, n *Node) error {
			return errors.Join(c.joinLinks(n), c.eachProcess(n, (*Process).Thaw))
		},
		Link:   func(_ context.Context, n *Node) error { return c.joinLinks(n) },
		OVN:    c.restartSwitch,
		Reboot: c.boot,
	}[how]
	if repair == nil {
		return fmt.Errorf("unknown failure %q", how)
	}
	if err := repair(ctx, n); err != nil {
		return err
	}
	// Kubelet is back from here on; only then do the pods run that are processes of this node.
	if err := os.Remove(n.failureFile()); err != nil {
		return err
	}
	if how != Reboot {
		return nil
	}
	return c.eachProcess(n, func(p *Process) error {
		if p.Alive() || strings.HasPrefix(p.Component, podComponent) {
			return nil
		}
		_, err := StartProcess(p.Spec())
		return err
	})
}

// boot makes a node anew around its databases, up to and including ovn-controller.
func (c *Cluster) boot(ctx context.Context, n *Node) error {
	if err := c.shutDown(ctx, n); err != nil { // what an interrupted heal has started
		return err
	}
	if err := c.buildNode(ctx, n); err != nil {
		return err
	}
	return c.restartSwitch(ctx, n)
}

// restartSwitch starts what startNode started, and installs the flows, which were lost with ovs-vswitchd.
func (c *Cluster) restartSwitch(ctx context.Context, n *Node) error {
	if err := c.killSwitch(ctx, n); err != nil {
		return err
	}
	r := &release{tools: c.Tools} // the databases exist: no schema is needed
	if err := c.startNode(ctx, n, r); err != nil {
		return err
	}
	return c.installBridgeFlows(ctx, n)
}

// killSwitch kills Open vSwitch and ovn-controller. Their devices, br-ex among them, vanish with ovs-vswitchd.
func (c *Cluster) killSwitch(ctx context.Context, n *Node) error {
	for _, what := range []string{"ovn-controller", "vswitchd", "ovsdb"} {
		p, err := FindProcess(c.Name, n.component(what))
		if err != nil {
			return err
		}
		if err := p.Kill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// shutDown kills all processes of the node, also those without a record, and removes its network namespace.
func (c *Cluster) shutDown(ctx context.Context, n *Node) error {
	if err := c.eachProcess(n, func(p *Process) error { return p.Kill(ctx) }); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(namespaceDirectory, n.Namespace)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return removeNamespace(ctx, n.Namespace)
}

func (c *Cluster) cutLinks(n *Node) error { return c.eachUnderlayPort(n, setDown) }

func (c *Cluster) joinLinks(n *Node) error { return c.eachUnderlayPort(n, setUp) }

// eachUnderlayPort does something to the underlay's ends of the node's links, as pulling a cable would: the node
// itself is not touched, but sees its carrier go.
func (c *Cluster) eachUnderlayPort(n *Node, do func(namespace, link string) error) error {
	for i := range c.Externals {
		if err := do(c.underlayNamespace(), underlayPort(i+1, n.Name)); err != nil {
			return err
		}
	}
	return nil
}

// eachProcess does something with every recorded process of the node, those of pods included.
func (c *Cluster) eachProcess(n *Node, do func(*Process) error) error {
	processes, err := Processes(c.Name)
	if err != nil {
		return err
	}
	var failed []error
	for i := range processes {
		if processes[i].Node == n.Name {
			failed = append(failed, do(&processes[i]))
		}
	}
	return errors.Join(failed...)
}
