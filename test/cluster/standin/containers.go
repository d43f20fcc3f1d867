package standin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// adoptedPoll is how often a command that an earlier stand-in started is looked at: only its parent could wait
// for it.
const adoptedPoll = 500 * time.Millisecond

// containers are the running commands of pods. Its methods may be called concurrently, but for one pod at a time.
type containers struct {
	clusterName string
	log         logr.Logger
	ended       func(types.UID) // called, from any goroutine, when a pod's command ended or was stopped

	mu    sync.Mutex
	byPod map[types.UID]*container
}

// container is a command that was started for a pod; it stays here after it ended, until forget.
type container struct {
	process  *cluster.Process
	stopping bool
	state    containerState
}

func newContainers(clusterName string, log logr.Logger, ended func(types.UID)) *containers {
	return &containers{clusterName: clusterName, log: log, ended: ended, byPod: map[types.UID]*container{}}
}

// state returns what is known of the pod's command; false if none was started or adopted.
func (c *containers) state(pod types.UID) (containerState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.byPod[pod]; found != nil {
		return found.state, true
	}
	return containerState{}, false
}

// node is where the pod's command was started, empty if there is none.
func (c *containers) node(pod types.UID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.byPod[pod]; found != nil {
		return found.process.Node
	}
	return ""
}

// podsOn lists the pods whose commands were started on a node.
func (c *containers) podsOn(node string) []types.UID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []types.UID
	for uid, found := range c.byPod {
		if found.process.Node == node {
			pods = append(pods, uid)
		}
	}
	return pods
}

// start runs the command of a pod and watches it until ctx ends, when it runs on unwatched. The pod must have none
// that is still running.
func (c *containers) start(ctx context.Context, pod types.UID, spec cluster.ProcessSpec, restarts int32) error {
	process, err := cluster.StartProcess(spec)
	if err != nil {
		return err
	}
	c.watch(ctx, pod, process, containerState{running: true, started: time.Now(), restarts: restarts}, waitChild)
	return nil
}

// adopt takes over the command of a pod that an earlier stand-in started, if it is still running.
func (c *containers) adopt(ctx context.Context, pod podID, status *corev1.PodStatus) error {
	process, err := cluster.FindProcess(c.clusterName, component(pod))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if podOf(process) != pod.uid || !process.Alive() {
		return nil
	}
	state := containerState{running: true, started: time.Now()}
	if len(status.ContainerStatuses) > 0 {
		state.restarts = status.ContainerStatuses[0].RestartCount
		if running := status.ContainerStatuses[0].State.Running; running != nil {
			state.started = running.StartedAt.Time
		}
	}
	c.watch(ctx, pod.uid, process, state, waitStranger)
	return nil
}

// watch remembers a running command and, in a goroutine of its own, waits for its end.
func (c *containers) watch(
	ctx context.Context, pod types.UID, process *cluster.Process, state containerState,
	wait func(context.Context, *cluster.Process) (exitCode int32, err error),
) {
	watched := &container{process: process, state: state}
	c.mu.Lock()
	c.byPod[pod] = watched
	c.mu.Unlock()
	go func() {
		code, err := wait(ctx, process)
		if err != nil {
			return // the stand-in ends; the next one adopts the command
		}
		c.mu.Lock()
		watched.state.running, watched.state.exitCode, watched.state.finished = false, code, time.Now()
		c.mu.Unlock()
		c.ended(pod)
	}()
}

// waitChild waits for a command that this process started.
func waitChild(ctx context.Context, process *cluster.Process) (int32, error) {
	state, err := process.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if code := state.ExitCode(); code >= 0 {
		return int32(code), nil
	}
	return exitUnknown, nil // ended by a signal
}

// waitStranger waits for a command that an earlier stand-in started. Nobody can tell its exit code.
func waitStranger(ctx context.Context, process *cluster.Process) (int32, error) {
	ticker := time.NewTicker(adoptedPoll)
	defer ticker.Stop()
	for process.Alive() {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
		}
	}
	return exitUnknown, nil
}

// stop begins to end the command of a pod and reports whether it has ended already; if not, ended will be called.
// It takes as long as the command makes it take: SIGTERM first, SIGKILL some seconds later, whatever the pod's grace
// period, in a goroutine of its own.
func (c *containers) stop(ctx context.Context, pod types.UID) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.byPod[pod]
	if found == nil {
		return true
	}
	if !found.stopping {
		found.stopping = true
		go func() {
			if err := found.process.Stop(ctx); err != nil {
				c.log.Error(err, "Pod's command not stopped", "component", found.process.Component)
				c.mu.Lock()
				found.stopping = false // the next attempt may do better
				c.mu.Unlock()
			} else {
				c.forget(pod)
			}
			c.ended(pod)
		}()
	}
	return false
}

// forget drops the command of a pod that has ended.
func (c *containers) forget(pod types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byPod, pod)
}

// stopStrays ends the recorded commands of pods that are no more.
func (c *containers) stopStrays(ctx context.Context, exists func(types.UID) bool) error {
	processes, err := cluster.Processes(c.clusterName)
	if err != nil {
		return err
	}
	for i := range processes {
		if uid := podOf(&processes[i]); uid != "" && !exists(uid) {
			if err := processes[i].Stop(ctx); err != nil {
				return fmt.Errorf("command of pod %s, which is no more: %w", uid, err)
			}
		}
	}
	return nil
}

// podOf is the UID of the pod whose command the process is, empty if it is something else.
func podOf(process *cluster.Process) types.UID {
	prefix := podUIDVariable + "="
	i := slices.IndexFunc(process.Env, func(v string) bool { return strings.HasPrefix(v, prefix) })
	if i < 0 {
		return ""
	}
	return types.UID(strings.TrimPrefix(process.Env[i], prefix))
}
