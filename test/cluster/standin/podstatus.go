package standin

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// containerState is what is known of the command of a pod's first container, or of a pod without command.
type containerState struct {
	running  bool
	started  time.Time // of the current or, if it is not running, the last run
	finished time.Time // of the last run, if it is not running
	exitCode int32     // of the last run, if it is not running
	restarts int32
}

// exitUnknown is the exit code that kubelet reports of a container that ended unseen.
const exitUnknown = 137

// willRestart says whether a container that ended with the exit code is started again.
func willRestart(policy corev1.RestartPolicy, exitCode int32) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	default:
		return true
	}
}

// restartPause is how long a container that has been restarted so many times waits for the next start: kubelet's
// growing pause, but of a size for tests.
func restartPause(restarts int32) time.Duration {
	return min(time.Second<<min(restarts, 4), 10*time.Second)
}

// podStatus is the status that kubelet would write now: the old one with phase, addresses, conditions and containers
// as they are. Times of conditions change only with their values.
func podStatus(pod *corev1.Pod, hostIP netip.Addr, podIPs []netip.Addr, c containerState, now time.Time) *corev1.PodStatus {
	status := pod.Status.DeepCopy()
	status.Phase = corev1.PodRunning
	ready := readiness{status: corev1.ConditionTrue}
	switch {
	case c.running:
	case willRestart(pod.Spec.RestartPolicy, c.exitCode):
		ready = readiness{status: corev1.ConditionFalse, reason: "ContainersNotReady"}
	case c.exitCode == 0:
		status.Phase = corev1.PodSucceeded
		ready = readiness{status: corev1.ConditionFalse, reason: "PodCompleted"}
	default:
		status.Phase = corev1.PodFailed
		ready = readiness{status: corev1.ConditionFalse, reason: "PodFailed"}
	}
	status.HostIP, status.HostIPs = hostIP.String(), []corev1.HostIP{{IP: hostIP.String()}}
	status.PodIP, status.PodIPs = "", nil
	for _, ip := range podIPs {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip.String()})
	}
	if len(podIPs) > 0 {
		status.PodIP = podIPs[0].String()
	}
	if status.StartTime == nil {
		start := metav1.NewTime(now).Rfc3339Copy()
		status.StartTime = &start
	}
	yes := readiness{status: corev1.ConditionTrue}
	setCondition(status, corev1.PodReadyToStartContainers, yes, now)
	setCondition(status, corev1.PodInitialized, yes, now)
	setCondition(status, corev1.ContainersReady, ready, now)
	setCondition(status, corev1.PodReady, ready, now)
	setCondition(status, corev1.PodScheduled, yes, now)
	status.ContainerStatuses = containerStatuses(pod, c)
	return status
}

// readiness is the value of a condition and the reason for it.
type readiness struct {
	status corev1.ConditionStatus
	reason string
}

// setCondition sets one condition, and its transition time if its value changes.
func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, to readiness, now time.Time) {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Type != kind {
			continue
		}
		if c.Status != to.status {
			c.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
		}
		c.Status, c.Reason, c.Message = to.status, to.reason, ""
		return
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{
		Type: kind, Status: to.status, Reason: to.reason, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy(),
	})
}

// containerStatuses reports the first container as it is and all others as running along with it.
func containerStatuses(pod *corev1.Pod, c containerState) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, container := range pod.Spec.Containers {
		started := c.running
		statuses = append(statuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: container.Image,
			ContainerID: "netcluster://" + string(pod.UID) + "/" + container.Name,
			Ready:       c.running, Started: &started, RestartCount: c.restarts, State: stateOf(pod, c),
		})
	}
	return statuses
}

// stateOf is the state of a container as the API has it: waiting is one that will be started again.
func stateOf(pod *corev1.Pod, c containerState) corev1.ContainerState {
	started := metav1.NewTime(c.started).Rfc3339Copy()
	if c.running {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
	}
	if willRestart(pod.Spec.RestartPolicy, c.exitCode) {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	}
	reason := "Completed"
	if c.exitCode != 0 {
		reason = "Error"
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: c.exitCode, Reason: reason,
		StartedAt: started, FinishedAt: metav1.NewTime(c.finished).Rfc3339Copy(),
	}}
}
