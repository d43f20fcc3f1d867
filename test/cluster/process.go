package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// environmentMark is set in the environment of every process of a cluster to the cluster's name, so that Down
// finds processes whose record was never written.
const environmentMark = "NETCLUSTER_NAME"

// stopGrace is how long a process may take to end on SIGTERM before it gets SIGKILL.
const stopGrace = 5 * time.Second

// ProcessSpec says what to run as a process of a cluster.
type ProcessSpec struct {
	Cluster   string // name of the cluster
	Component string // unique in the cluster; names the log and the record: kube-apiserver, vswitchd-node1
	Node      string // the node whose fate the process shares, empty for none
	Namespace string // network namespace as ip netns knows it, empty for the machine's own
	Argv      []string
	Env       []string // KEY=VALUE, added to the caller's environment
	Directory string   // working directory, empty for /
	Ready     string   // URL, in the process's namespace, that answers 200 when it is ready; for WaitReady only
}

// Process is a process of a cluster. It is identified by its pid together with its start time, so that a record
// that outlived its process never leads to a signal for a stranger.
type Process struct {
	Cluster   string   `json:"cluster"`
	Component string   `json:"component"`
	PID       int      `json:"pid"`
	StartTime uint64   `json:"startTime"` // field 22 of /proc/PID/stat: clock ticks since boot
	Node      string   `json:"node,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Argv      []string `json:"argv"`
	Env       []string `json:"env,omitempty"`
	Directory string   `json:"directory,omitempty"`
	Ready     string   `json:"ready,omitempty"`

	// ended is closed by the reaper once result is set; nil if another program started the process.
	ended  chan struct{}
	result *os.ProcessState
}

// StartProcess starts a process in a session of its own, in the network namespace of the spec, with standard
// output and error appended to logs/COMPONENT.log of the cluster, and records it. A record of an earlier process
// of the same component is replaced; the earlier process must have ended.
//
// The process outlives its parent. While the parent lives, a goroutine waits for the process, so that it does
// not stay a zombie; Wait returns what that goroutine saw.
func StartProcess(spec ProcessSpec) (*Process, error) {
	p, err := startProcess(spec)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Component, err)
	}
	return p, nil
}

func startProcess(spec ProcessSpec) (*Process, error) {
	if len(spec.Argv) == 0 {
		return nil, errors.New("no command")
	}
	if earlier, err := loadProcess(recordPath(spec.Cluster, spec.Component)); err == nil && earlier.Alive() {
		return nil, fmt.Errorf("already running with pid %d", earlier.PID)
	}
	for _, dir := range []string{"processes", "logs"} {
		if err := os.MkdirAll(filepath.Join(Directory(spec.Cluster), dir), 0o755); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(LogPath(spec.Cluster, spec.Component), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor

	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(append(os.Environ(), spec.Env...), environmentMark+"="+spec.Cluster)
	cmd.Dir = spec.Directory
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := InNamespace(spec.Namespace, cmd.Start); err != nil {
		return nil, err
	}

	p := &Process{
		Cluster: spec.Cluster, Component: spec.Component, PID: cmd.Process.Pid, Node: spec.Node,
		Namespace: spec.Namespace, Argv: spec.Argv, Env: spec.Env, Directory: spec.Directory,
		Ready: spec.Ready, ended: make(chan struct{}),
	}
	// Until the reaper below runs, the process cannot vanish: at worst it is a zombie, which has a start time too.
	stat, err := readStat(p.PID)
	if err == nil {
		p.StartTime = stat.startTime
		err = p.record()
	}
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go p.reap(cmd)
	return p, nil
}

// reap waits for the process to end. An exit status other than zero is in the state, not an error here.
func (p *Process) reap(cmd *exec.Cmd) {
	_ = cmd.Wait()
	p.result = cmd.ProcessState
	close(p.ended)
}

// Wait returns how the process ended. It can only be called by the program that started the process.
func (p *Process) Wait(ctx context.Context) (*os.ProcessState, error) {
	if p.ended == nil {
		return nil, fmt.Errorf("wait for %s: it was started by another program", p.Component)
	}
	select {
	case <-p.ended:
		return p.result, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for %s: %w", p.Component, ctx.Err())
	}
}

// Spec is what the process was started from: starting it again gives the same process with the same arguments.
func (p *Process) Spec() ProcessSpec {
	return ProcessSpec{
		Cluster: p.Cluster, Component: p.Component, Node: p.Node, Namespace: p.Namespace,
		Argv: p.Argv, Env: p.Env, Directory: p.Directory, Ready: p.Ready,
	}
}

// Alive says whether the very process that was recorded runs, or is frozen; a zombie is not alive.
func (p *Process) Alive() bool {
	stat, err := readStat(p.PID)
	return err == nil && stat.startTime == p.StartTime && stat.state != 'Z' && stat.state != 'X'
}

// Stop ends the process and those in its process group: SIGTERM, after a few seconds SIGKILL. It removes the
// record. A process that has ended already, or whose pid belongs to another process by now, is no error.
func (p *Process) Stop(ctx context.Context) error {
	// A frozen process would get the SIGTERM only after it is thawed.
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		if err := p.Signal(s); err != nil {
			return err
		}
	}
	grace, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := p.waitGone(grace); err != nil {
		if err := p.Kill(ctx); err != nil {
			return err
		}
	}
	return p.forget()
}

// Kill ends the process and its process group with SIGKILL and waits until it is gone. The record stays, so that
// the process can be started again.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.waitGone(ctx)
}

// Freeze stops the process and its process group from running until Thaw.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process run on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Signal sends a signal to the process and its process group. If the process has ended, nothing is sent.
func (p *Process) Signal(s syscall.Signal) error {
	// The handle refers to one process for good, where a bare pid could be reused between check and signal. As
	// long as the leader lives, its process group's number is not reused either.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.Component, err)
	}
	defer handle.Release() //nolint:errcheck // it only frees the handle
	if !p.Alive() {
		return nil
	}
	if err := handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s (pid %d): %w", p.Component, p.PID, err)
	}
	if err := syscall.Kill(-p.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal the group of %s (pid %d): %w", p.Component, p.PID, err)
	}
	return nil
}

func (p *Process) waitGone(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for p.Alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s (pid %d) still runs: %w", p.Component, p.PID, ctx.Err())
		}
	}
	return nil
}

// Processes returns the recorded processes of the named cluster, living or not, ordered by component.
func Processes(name string) ([]Process, error) {
	files, err := filepath.Glob(recordPath(name, "*"))
	if err != nil {
		return nil, fmt.Errorf("processes of cluster %s: %w", name, err)
	}
	sort.Strings(files)
	all := make([]Process, 0, len(files))
	for _, file := range files {
		p, err := loadProcess(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // stopped since the directory was read
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *p)
	}
	return all, nil
}

// FindProcess returns the recorded process of one component.
func FindProcess(name, component string) (*Process, error) {
	return loadProcess(recordPath(name, component))
}

// LogPath is the file with a component's standard output and error.
func LogPath(name, component string) string {
	return filepath.Join(LogDirectory(name), component+".log")
}

// LogDirectory holds the logs of a cluster's components: COMPONENT.log.
func LogDirectory(name string) string { return filepath.Join(Directory(name), "logs") }

func recordPath(name, component string) string {
	return filepath.Join(Directory(name), "processes", component+".json")
}

func loadProcess(file string) (*Process, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("process %s: %w", strings.TrimSuffix(filepath.Base(file), ".json"), err)
	}
	p := &Process{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("process record %s: %w", file, err)
	}
	return p, nil
}

// record writes the process's record so that a reader sees all of it or none.
func (p *Process) record() error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := recordPath(p.Cluster, p.Component)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (p *Process) forget() error {
	if err := os.Remove(recordPath(p.Cluster, p.Component)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", p.Component, err)
	}
	return nil
}
