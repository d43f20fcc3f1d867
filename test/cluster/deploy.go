package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// DeployOptions say how to run ovn-egress in a cluster.
type DeployOptions struct {
	Replicas    int      // controllers, on as many nodes; default 2
	Flags       []string // of the controllers, in addition to those of the manifest and stronger than them
	BinDir      string   // directory with an executable for each container; default bin/ of the checkout
	ManifestDir string   // a kustomization; default manifests/base of the checkout
}

// deployment is a Deploy at work.
type deployment struct {
	*Cluster
	options   DeployOptions
	manifests *manifests
}

// Deploy applies the manifests and runs what their Deployment and DaemonSet describe as processes: the
// controllers, egress-controller-1 and so on, in the namespaces of the first nodes, and an agent on every node,
// egress-agent-NODE. Each acts as its service account and is ready when Deploy returns. What runs already is
// replaced.
func (c *Cluster) Deploy(ctx context.Context, o DeployOptions) error {
	d, err := c.newDeployment(ctx, o)
	if err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	if err := d.stop(ctx); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	p := &progress{tell: c.options.Progress}
	if err := p.step("applying manifests", func() error { return d.apply(ctx) }); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	if err := p.step("starting controllers and agents", func() error { return d.start(ctx) }); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	return nil
}

// Undeploy ends the processes of Deploy and deletes the objects of the manifests, custom resource definitions and
// with them all EgressIPs included. Doing it again is no error.
func (c *Cluster) Undeploy(ctx context.Context, o DeployOptions) error {
	d, err := c.newDeployment(ctx, o)
	if err != nil {
		return fmt.Errorf("undeploy: %w", err)
	}
	if err := d.stop(ctx); err != nil {
		return fmt.Errorf("undeploy: %w", err)
	}
	if err := c.kubectl(ctx, d.manifests.objects, "delete", "--ignore-not-found", "--timeout=60s", "-f", "-"); err != nil {
		return fmt.Errorf("undeploy: %w", err)
	}
	return nil
}

func (c *Cluster) newDeployment(ctx context.Context, o DeployOptions) (*deployment, error) {
	if o.Replicas == 0 {
		o.Replicas = 2
	}
	if o.Replicas > len(c.Nodes) {
		return nil, fmt.Errorf("%d replicas need as many nodes, there are %d", o.Replicas, len(c.Nodes))
	}
	if o.BinDir == "" || o.ManifestDir == "" {
		checkout, err := findCheckout(c.options.Checkout)
		if err != nil {
			return nil, err
		}
		if o.BinDir == "" {
			o.BinDir = filepath.Join(checkout, "bin")
		}
		if o.ManifestDir == "" {
			o.ManifestDir = filepath.Join(checkout, "manifests", "base")
		}
	}
	m, err := c.readManifests(ctx, o.ManifestDir)
	if err != nil {
		return nil, err
	}
	return &deployment{Cluster: c, options: o, manifests: m}, nil
}

// apply creates or updates all objects and waits until the API serves the new types.
func (d *deployment) apply(ctx context.Context) error {
	if err := d.kubectl(ctx, d.manifests.objects, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	return d.kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
}

// start starts all processes, then waits until each is ready.
func (d *deployment) start(ctx context.Context) error {
	var started []*Process
	for _, w := range d.manifests.workloads {
		for i := range d.Nodes {
			n := &d.Nodes[i]
			component := w.component(n, i)
			if !w.everywhere && i >= d.options.Replicas {
				break
			}
			p, err := d.startOn(ctx, w, n, component)
			if err != nil {
				return err
			}
			started = append(started, p)
		}
	}
	var waiting errgroup.Group
	for _, p := range started {
		waiting.Go(func() error { return p.WaitReady(ctx) })
	}
	return waiting.Wait()
}

// component names the process of a workload on the node with the given index.
func (w workload) component(n *Node, index int) string {
	if w.everywhere {
		return n.component(w.name)
	}
	return fmt.Sprintf("%s-%d", w.name, index+1)
}

// startOn starts the one container of a workload as a process of a node.
func (d *deployment) startOn(ctx context.Context, w workload, n *Node, component string) (*Process, error) {
	if len(w.template.Containers) != 1 {
		return nil, fmt.Errorf("%s has %d containers, one is expected", w.name, len(w.template.Containers))
	}
	container := w.template.Containers[0]
	executable := filepath.Join(d.options.BinDir, container.Name)
	if _, err := os.Stat(executable); err != nil {
		return nil, fmt.Errorf("executable of container %s: %w", container.Name, err)
	}
	env, err := d.manifests.environment(w, container, n)
	if err != nil {
		return nil, err
	}
	ready, err := readiness(container)
	if err != nil {
		return nil, err
	}
	kubeconfig, err := d.serviceAccountKubeconfig(ctx, w, n, component)
	if err != nil {
		return nil, err
	}
	args := make([]string, 0, len(container.Args))
	for _, arg := range container.Args {
		args = append(args, expand(arg, env))
	}
	args = override(args, "--kubeconfig="+kubeconfig)
	if w.everywhere {
		args = override(args, "--ovs-address="+n.database())
	} else {
		args = override(override(args, d.databaseFlags()...), d.options.Flags...)
	}
	variables := make([]string, 0, len(env))
	for name, value := range env {
		variables = append(variables, name+"="+value)
	}
	return StartProcess(ProcessSpec{
		Cluster: d.Name, Component: component, Node: n.Name, Namespace: n.Namespace,
		Argv: append([]string{executable}, args...), Env: variables, Ready: ready,
	})
}

// databaseFlags lead the controllers to the northbound and southbound databases over TLS.
func (d *deployment) databaseFlags() []string {
	var flags []string
	for _, database := range []struct{ prefix, remote string }{
		{"--nb-", d.Zones[0].NBTLS}, {"--sb-", d.Zones[0].SBTLS},
	} {
		prefix := database.prefix
		flags = append(flags, prefix+"address="+database.remote,
			prefix+"client-privkey="+d.Path("pki", ovnClientKeyFile),
			prefix+"client-cert="+d.Path("pki", ovnClientCertFile),
			prefix+"client-cacert="+d.Path("pki", ovnCAFile))
	}
	return flags
}

// serviceAccountKubeconfig writes a kubeconfig with a token of the workload's service account. Agents' tokens are
// bound to their Node, and so name it, as the tokens of pods do.
func (d *deployment) serviceAccountKubeconfig(ctx context.Context, w workload, n *Node, component string) (string, error) {
	client, err := d.client()
	if err != nil {
		return "", err
	}
	const day = 24 * 60 * 60
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](day)},
	}
	if w.everywhere {
		node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("Node %s: %w", n.Name, err)
		}
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: node.Name, UID: node.UID,
		}
	}
	account := w.template.ServiceAccountName
	token, err := client.CoreV1().ServiceAccounts(w.namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of service account %s/%s: %w", w.namespace, account, err)
	}
	ca, err := os.ReadFile(d.Path("pki", "kubernetes-ca.crt"))
	if err != nil {
		return "", err
	}
	path := d.Path("kubeconfig." + component)
	return path, writeKubeconfig(path, d.APIServer, ca, &api.AuthInfo{Token: token.Status.Token})
}

// stop ends the processes of an earlier Deploy.
func (d *deployment) stop(ctx context.Context) error {
	processes, err := Processes(d.Name)
	if err != nil {
		return err
	}
	var stopping errgroup.Group
	for i := range processes {
		p := &processes[i]
		for _, w := range d.manifests.workloads {
			if strings.HasPrefix(p.Component, w.name+"-") {
				stopping.Go(func() error {
					err := os.Remove(d.Path("kubeconfig." + p.Component))
					if errors.Is(err, os.ErrNotExist) {
						err = nil
					}
					return errors.Join(p.Stop(ctx), err)
				})
			}
		}
	}
	return stopping.Wait()
}
