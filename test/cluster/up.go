package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// clusterSpace is what a cluster takes below Root: mostly etcd and logs.
const clusterSpace = 512 << 20

// Up makes a cluster and returns when its nodes are ready. What exists after an error is left for inspection:
// Down removes it.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	o.setDefaults()
	s, err := plan(o)
	if err != nil {
		return nil, err
	}
	if err := checkMachine(&o); err != nil {
		return nil, err
	}
	r, err := s.prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(Directory(o.Name), 0o755); errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("cluster %s exists already: remove it with \"netcluster down --name %s\"", o.Name, o.Name)
	} else if err != nil {
		return nil, err
	}
	if err := s.Save(); err != nil {
		return nil, err
	}
	c := &Cluster{State: s, options: o}
	if err := c.start(ctx, r); err != nil {
		return nil, fmt.Errorf("cluster %s: %w (\"netcluster down --name %s\" removes what there is of it)",
			o.Name, err, o.Name)
	}
	return c, nil
}

// checkMachine finds out early and with a clear message that a cluster cannot be made here.
func checkMachine(o *Options) error {
	if os.Geteuid() != 0 {
		return errors.New("netcluster needs root: it makes network namespaces")
	}
	for command, remedy := range map[string]string{
		"ip": "apt-get install iproute2", "ethtool": "apt-get install ethtool",
	} {
		if _, err := exec.LookPath(command); err != nil {
			return fmt.Errorf("%w: run %q", err, remedy)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("the userspace datapath of Open vSwitch needs tap devices: %w", err)
	}
	if err := os.MkdirAll(Root, 0o755); err != nil {
		return err
	}
	if err := needSpace(Root, clusterSpace); err != nil {
		return err
	}
	checkout, err := findCheckout(o.Checkout)
	if err != nil && (o.Program == "" || os.Getenv(assetsVariable) == "") {
		return err
	}
	o.Checkout = checkout
	if o.Program == "" {
		o.Program = filepath.Join(checkout, "bin", "netcluster")
	}
	if _, err := os.Stat(o.Program); err != nil {
		return fmt.Errorf("the netcluster executable, which runs parts of the cluster: %w", err)
	}
	return nil
}

// prepare gets the executables: the control plane's and Open vSwitch's and OVN's.
func (s *State) prepare(ctx context.Context, o Options) (*release, error) {
	var (
		r        *release
		fetching errgroup.Group
	)
	fetching.Go(func() (err error) {
		s.ControlPlane, err = controlPlane(ctx, o)
		return err
	})
	fetching.Go(func() (err error) {
		r, err = findRelease(ctx, o)
		return err
	})
	if err := fetching.Wait(); err != nil {
		return nil, err
	}
	s.Tools = r.tools
	return r, nil
}

// start brings up the control plane and OVN at the same time, then what needs both.
func (c *Cluster) start(ctx context.Context, r *release) error {
	p := &progress{tell: c.options.Progress}
	if err := p.step("making the underlay and the external hosts", func() error {
		// Down removes the mount of the directory of names when it finds no name there.
		unlock, err := lockFile(ctx, Root)
		if err != nil {
			return err
		}
		err = c.buildUnderlay(ctx)
		unlock()
		if err != nil {
			return err
		}
		return c.startExternals(c.options.Program)
	}); err != nil {
		return err
	}
	if err := c.writeControlPlaneFiles(); err != nil {
		return err
	}
	halves, halvesCtx := errgroup.WithContext(ctx)
	halves.Go(func() error { return c.startControlPlane(halvesCtx, c.options, p) })
	halves.Go(func() error { return c.startOVN(halvesCtx, r, p) })
	if err := halves.Wait(); err != nil {
		return err
	}
	if err := c.Save(); err != nil { // the forwarder's port is known now
		return err
	}
	return p.step("starting the stand-in, waiting for nodes", func() error {
		if err := c.createNodeObjects(ctx); err != nil {
			return err
		}
		if _, err := StartProcess(ProcessSpec{
			Cluster: c.Name, Component: "stand-in", Argv: []string{c.options.Program, "stand-in", "--name", c.Name},
		}); err != nil {
			return err
		}
		if err := c.waitForNodes(ctx); err != nil {
			return err
		}
		return c.waitForServices(ctx)
	})
}

func (s *State) startOVN(ctx context.Context, r *release, p *progress) error {
	if err := p.step("starting OVN databases and northd", func() error {
		if err := s.startCentral(ctx, r); err != nil {
			return err
		}
		return s.buildTopology(ctx)
	}); err != nil {
		return err
	}
	return p.step(fmt.Sprintf("starting %d nodes", len(s.Nodes)), func() error {
		nodes, nodesCtx := errgroup.WithContext(ctx)
		for i := range s.Nodes {
			n := &s.Nodes[i]
			nodes.Go(func() error {
				if err := s.buildNode(nodesCtx, n); err != nil {
					return err
				}
				if err := s.startNode(nodesCtx, n, r); err != nil {
					return err
				}
				return s.installBridgeFlows(nodesCtx, n)
			})
		}
		if err := nodes.Wait(); err != nil {
			return err
		}
		return s.waitForChassis(ctx)
	})
}

// waitForNodes waits until every Node is Ready.
func (c *Cluster) waitForNodes(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var waiting []string
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		waiting = nil
		for i := range nodes.Items {
			if !isReady(&nodes.Items[i]) {
				waiting = append(waiting, nodes.Items[i].Name)
			}
		}
		return len(waiting) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("nodes %v not ready, see %s: %w", waiting, LogPath(c.Name, "stand-in"), err)
	}
	return nil
}

// waitForServices waits until every node can reach the kubernetes service: a connection that is tried too early may
// never succeed, because connection tracking remembers where its first packet went.
func (s *State) waitForServices(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		vips, err := s.nbctl(ctx, "--bare", "--columns=vips", "list", "load_balancer")
		return strings.Contains(vips, firstServiceIP.String()), err
	})
	if err != nil {
		return fmt.Errorf("no load balancer for the kubernetes service, see %s: %w", LogPath(s.Name, "stand-in"), err)
	}
	return s.waitForChassis(ctx)
}

func isReady(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
