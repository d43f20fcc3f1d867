package standin

import (
	"fmt"
	"net/netip"
	"os/exec"

	corev1 "k8s.io/api/core/v1"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// podUIDVariable, in the environment of a pod's command, tells whose it is after a restart of the stand-in.
const podUIDVariable = "NETCLUSTER_POD_UID"

// component is the name of a pod's command among the processes of the cluster.
func component(pod podID) string { return "pod-" + pod.namespace + "-" + pod.name }

// podCommand returns what to run for the pod: the command and arguments of its first container, if it has a
// command and that exists on the machine. All other pods live without a process: there are no images here.
func podCommand(pod *corev1.Pod) ([]string, bool) {
	if len(pod.Spec.Containers) == 0 || len(pod.Spec.Containers[0].Command) == 0 {
		return nil, false
	}
	c := pod.Spec.Containers[0]
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		return nil, false
	}
	argv := append([]string{path}, c.Command[1:]...)
	return append(argv, c.Args...), true
}

// podEnvironment returns the variables of the pod's first container as KEY=VALUE, with those that kubelet adds to
// find the API server.
func podEnvironment(pod *corev1.Pod, s *cluster.State, podIPs []netip.Addr) ([]string, error) {
	env := []string{podUIDVariable + "=" + string(pod.UID)}
	if len(s.ServiceSubnets) > 0 {
		env = append(env, "KUBERNETES_SERVICE_HOST="+nthAddress(s.ServiceSubnets[0], 1).String(), "KUBERNETES_SERVICE_PORT=443")
	}
	for _, v := range pod.Spec.Containers[0].Env {
		value := v.Value
		if v.ValueFrom != nil {
			var err error
			if value, err = fieldValue(pod, v.ValueFrom, podIPs); err != nil {
				return nil, fmt.Errorf("environment variable %s: %w", v.Name, err)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// fieldValue is the value of a variable that refers to a field of the pod.
func fieldValue(pod *corev1.Pod, from *corev1.EnvVarSource, podIPs []netip.Addr) (string, error) {
	if from.FieldRef == nil {
		return "", fmt.Errorf("only fieldRef is supported")
	}
	switch path := from.FieldRef.FieldPath; path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "status.podIP":
		return podIPs[0].String(), nil
	default:
		return "", fmt.Errorf("field %s is not supported", path)
	}
}
