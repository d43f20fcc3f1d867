package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Command is a command to run in the network namespace of a node ("node/NAME"), a pod ("pod/NAMESPACE/NAME") or
// an external host ("external/NAME"). The caller sets its standard streams and runs it with Run or Output; other
// methods of exec.Cmd would start it in the caller's namespace.
type Command struct {
	*exec.Cmd
	namespace string
}

// Command prepares a command. It finds the tools of the cluster's OVN release and kubectl first; KUBECONFIG is the
// administrator's, and in nodes ovs-vsctl and the like talk to the node's Open vSwitch.
func (c *Cluster) Command(ctx context.Context, target string, argv ...string) (*Command, error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("exec in %s: no command", target)
	}
	namespace, env, err := c.resolve(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", target, err)
	}
	path := c.Tools + ":" + c.ControlPlane + ":" + os.Getenv("PATH")
	cmd := exec.CommandContext(ctx, lookIn(path, argv[0]), argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Env = append(append(os.Environ(), env...), "PATH="+path, "KUBECONFIG="+c.NodeKubeconfig())
	return &Command{Cmd: cmd, namespace: namespace}, nil
}

// Run starts the command in its namespace and waits until it ends; a failure is an *exec.ExitError.
func (c *Command) Run() error {
	if err := InNamespace(c.namespace, c.Cmd.Start); err != nil {
		return err
	}
	return c.Cmd.Wait()
}

// Output runs the command and returns its standard output.
func (c *Command) Output() ([]byte, error) {
	var out []byte
	err := InNamespace(c.namespace, func() (err error) {
		out, err = c.Cmd.Output()
		return err
	})
	return out, err
}

// resolve returns the network namespace of an exec target and what to add to the environment.
func (c *Cluster) resolve(ctx context.Context, target string) (namespace string, env []string, err error) {
	kind, rest, _ := strings.Cut(target, "/")
	switch kind {
	case "node":
		n, err := c.Node(rest)
		if err != nil {
			return "", nil, err
		}
		return n.Namespace, n.environment(), nil
	case "external":
		for _, e := range c.Externals {
			if e.Name == rest {
				return e.Namespace, nil, nil
			}
		}
		return "", nil, fmt.Errorf("cluster %s has no external network %q", c.Name, rest)
	case "pod":
		podNamespace, name, ok := strings.Cut(rest, "/")
		if !ok {
			break
		}
		namespace, err := c.podNamespace(ctx, podNamespace, name)
		return namespace, nil, err
	}
	return "", nil, errors.New("not node/NAME, pod/NAMESPACE/NAME or external/NAME")
}

// podNamespace is the network namespace of an existing pod, which for host-network pods is their node's.
func (c *Cluster) podNamespace(ctx context.Context, namespace, name string) (string, error) {
	client, err := c.client()
	if err != nil {
		return "", err
	}
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if !pod.Spec.HostNetwork {
		return PodNamespace(c.Name, namespace, string(pod.UID)), nil
	}
	n, err := c.Node(pod.Spec.NodeName)
	if err != nil {
		return "", err
	}
	return n.Namespace, nil
}

// lookIn finds an executable in the directories of a PATH; what is not found is left for exec to complain about.
func lookIn(path, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range strings.Split(path, ":") {
		candidate := dir + "/" + name
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate
		}
	}
	return name
}
