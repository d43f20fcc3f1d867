package standin

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func TestPodCommand(t *testing.T) {
	for _, tc := range []struct {
		name          string
		command, args []string
		arguments     []string // behind the program itself
		want          bool
	}{
		{name: "none: the image's own", args: []string{"--flag"}},
		{name: "not on this machine", command: []string{"/no/such/program"}},
		{name: "with arguments", command: []string{"sh", "-c"}, args: []string{"exit 0"}, arguments: []string{"-c", "exit 0"}, want: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod := testPod("p", "node1", func(p *corev1.Pod) {
				p.Spec.Containers = []corev1.Container{{Command: tc.command, Args: tc.args}}
			})
			argv, ok := podCommand(pod)
			if ok != tc.want || ok && !slices.Equal(argv[1:], tc.arguments) {
				t.Errorf("got %q, %t, want … %q, %t", argv, ok, tc.arguments, tc.want)
			}
		})
	}
}

func TestPodEnvironment(t *testing.T) {
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	pod := testPod("p", "node1", func(p *corev1.Pod) {
		p.UID = "1-2"
		p.Spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "PLAIN", Value: "text"},
			{Name: "NAME", ValueFrom: field("metadata.name")},
			{Name: "NAMESPACE", ValueFrom: field("metadata.namespace")},
			{Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "IP", ValueFrom: field("status.podIP")},
		}}}
	})
	state := &cluster.State{ServiceSubnets: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}}
	got, err := podEnvironment(pod, state, []netip.Addr{podIP})
	want := []string{
		"NETCLUSTER_POD_UID=1-2", "KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443",
		"PLAIN=text", "NAME=p", "NAMESPACE=default", "NODE=node1", "IP=10.244.4.3",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}

	pod.Spec.Containers[0].Env[0] = corev1.EnvVar{Name: "SECRET", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}
	if got, err := podEnvironment(pod, state, []netip.Addr{podIP}); err == nil {
		t.Errorf("a secret: got %q, want an error", got)
	}
}
