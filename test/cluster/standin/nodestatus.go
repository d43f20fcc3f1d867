package standin

import (
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// maxPods is how many pods a node claims to have room for: what its pod subnet has addresses for, nearly.
const maxPods = "1000"

// condition is the value of a node's condition with kubelet's, or the control plane's, reason for it.
type condition struct {
	kind            corev1.NodeConditionType
	status          corev1.ConditionStatus
	reason, message string
}

// livingConditions are those that kubelet reports of a healthy node.
var livingConditions = []condition{
	{corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	{corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	{corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
	{corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"},
}

// nodeStatus is the status that the node should have now: the old one with what kubelet reports or, of a node that
// is powered off, with what kube-controller-manager would write once it misses kubelet's reports. Of a node that
// is merely unreachable the status stays as it is: it is for kube-controller-manager to find out.
func nodeStatus(node *corev1.Node, spec *cluster.Node, version string, f cluster.Failure, now time.Time) *corev1.NodeStatus {
	status := node.Status.DeepCopy()
	switch {
	case poweredOff(f):
		for _, c := range livingConditions {
			setNodeCondition(status, condition{
				c.kind, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.",
			}, now)
		}
	case !cutOff(f):
		for _, c := range livingConditions {
			setNodeCondition(status, c, now)
		}
		describeNode(status, spec, version)
	}
	return status
}

// setNodeCondition sets one condition; its times change only if it does, so that an unchanged status is not
// written. What kubelet does instead, a report every five minutes, is left to the lease.
func setNodeCondition(status *corev1.NodeStatus, to condition, now time.Time) {
	stamp := metav1.NewTime(now).Rfc3339Copy()
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Type != to.kind {
			continue
		}
		if c.Status == to.status && c.Reason == to.reason {
			return
		}
		if c.Status != to.status {
			c.LastTransitionTime = stamp
		}
		c.Status, c.Reason, c.Message, c.LastHeartbeatTime = to.status, to.reason, to.message, stamp
		return
	}
	status.Conditions = append(status.Conditions, corev1.NodeCondition{
		Type: to.kind, Status: to.status, Reason: to.reason, Message: to.message,
		LastHeartbeatTime: stamp, LastTransitionTime: stamp,
	})
}

// describeNode fills in addresses, room and software.
func describeNode(status *corev1.NodeStatus, spec *cluster.Node, version string) {
	status.Addresses = nil
	for _, address := range spec.Addresses {
		status.Addresses = append(status.Addresses,
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address.Addr().String()})
	}
	status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: spec.Name})
	status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse(maxPods),
	}
	status.Allocatable = status.Capacity.DeepCopy()
	status.NodeInfo = corev1.NodeSystemInfo{
		SystemUUID: spec.Chassis, KubeletVersion: version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
		ContainerRuntimeVersion: "netcluster://stand-in", OSImage: "netcluster",
	}
}
