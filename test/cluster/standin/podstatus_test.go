package standin

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

var (
	hostIP = netip.MustParseAddr("172.18.0.11")
	podIP  = netip.MustParseAddr("10.244.4.3")
	noon   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func conditionOf(status *corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func podWithPolicy(policy corev1.RestartPolicy) *corev1.Pod {
	return testPod("p", "node1", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = policy
		p.Spec.Containers = []corev1.Container{{Name: "first"}, {Name: "second"}}
	})
}

func TestPodStatusFollowsTheCommand(t *testing.T) {
	for _, tc := range []struct {
		policy corev1.RestartPolicy
		state  containerState
		want   string // phase, Ready, its reason, state of the container
	}{
		{corev1.RestartPolicyAlways, containerState{running: true}, "Running True  running"},
		{corev1.RestartPolicyNever, containerState{running: true}, "Running True  running"},
		{corev1.RestartPolicyNever, containerState{}, "Succeeded False PodCompleted terminated"},
		{corev1.RestartPolicyNever, containerState{exitCode: 3}, "Failed False PodFailed terminated"},
		{corev1.RestartPolicyOnFailure, containerState{}, "Succeeded False PodCompleted terminated"},
		{corev1.RestartPolicyOnFailure, containerState{exitCode: 3}, "Running False ContainersNotReady waiting"},
		{corev1.RestartPolicyAlways, containerState{}, "Running False ContainersNotReady waiting"},
	} {
		status := podStatus(podWithPolicy(tc.policy), hostIP, []netip.Addr{podIP}, tc.state, noon)
		ready := conditionOf(status, corev1.PodReady)
		got := fmt.Sprintf("%s %s %s %s", status.Phase, ready.Status, ready.Reason, stateName(status.ContainerStatuses[0].State))
		if got != tc.want {
			t.Errorf("%s, %+v: got %q, want %q", tc.policy, tc.state, got, tc.want)
		}
		if status.PodIP != podIP.String() || status.HostIP != hostIP.String() || len(status.ContainerStatuses) != 2 {
			t.Errorf("%s, %+v: status %+v", tc.policy, tc.state, status)
		}
	}
}

func stateName(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Waiting != nil:
		return "waiting"
	case s.Terminated != nil:
		return "terminated"
	}
	return "none"
}

func TestPodStatusIsWrittenOnlyWhenItChanges(t *testing.T) {
	pod := podWithPolicy(corev1.RestartPolicyAlways)
	state := containerState{running: true, started: noon}
	pod.Status = *podStatus(pod, hostIP, []netip.Addr{podIP}, state, noon)
	later := podStatus(pod, hostIP, []netip.Addr{podIP}, state, noon.Add(time.Minute))
	if !equality.Semantic.DeepEqual(&pod.Status, later) {
		t.Errorf("a minute later the status is %+v, before it was %+v", later, pod.Status)
	}

	state.running, state.finished = false, noon.Add(time.Minute)
	stopped := podStatus(pod, hostIP, []netip.Addr{podIP}, state, noon.Add(time.Minute))
	if got := conditionOf(stopped, corev1.PodReady).LastTransitionTime; !got.Time.Equal(noon.Add(time.Minute)) {
		t.Errorf("Ready changed at %s, want a minute after %s", got, noon)
	}
	if got := conditionOf(stopped, corev1.PodInitialized).LastTransitionTime; !got.Time.Equal(noon) {
		t.Errorf("Initialized changed at %s, want %s", got, noon)
	}
}

func TestRestartPauseGrowsToTenSeconds(t *testing.T) {
	var got []time.Duration
	for restarts := range int32(6) {
		got = append(got, restartPause(restarts))
	}
	if want := "[1s 2s 4s 8s 10s 10s]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestACommandThatEndedUnseenCountsAsKilled(t *testing.T) {
	pod := podWithPolicy(corev1.RestartPolicyNever)
	if state, ok := endedUnseen(pod); ok {
		t.Errorf("a pod that never ran: got %+v", state)
	}
	running := containerState{running: true, started: noon, restarts: 2}
	pod.Status = *podStatus(pod, hostIP, nil, running, noon)
	state, ok := endedUnseen(pod)
	want := containerState{exitCode: exitUnknown, restarts: 2, started: noon}
	if !ok || state.exitCode != want.exitCode || state.restarts != want.restarts || !state.started.Equal(want.started) || state.running {
		t.Errorf("got %+v, %t, want %+v", state, ok, want)
	}
}
