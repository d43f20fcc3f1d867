package cluster

import (
	"os/exec"
	"testing"
	"time"
)

// sleeper starts a process outside of any cluster; its parent reaps it, as a cluster's process has one that does.
func sleeper(t *testing.T) *Process {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		_ = cmd.Wait() // it is always killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // most tests have killed it
		<-reaped
	})
	stat, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return &Process{Cluster: "none", Component: "sleeper", PID: cmd.Process.Pid, StartTime: stat.startTime}
}

func TestStopLeavesAProcessAloneThatReusesThePID(t *testing.T) {
	stranger := sleeper(t)
	recorded := *stranger
	recorded.StartTime--
	if recorded.Alive() {
		t.Error("a process with another start time counts as the recorded one")
	}
	if err := recorded.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := recorded.Kill(t.Context()); err != nil {
		t.Errorf("kill: %v", err)
	}
	if !stranger.Alive() {
		t.Error("the stranger was killed")
	}
}

func TestStopEndsAFrozenProcess(t *testing.T) {
	p := sleeper(t)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, p, 'T')
	if !p.Alive() {
		t.Error("a frozen process does not count as alive")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("it is still alive")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestThawLetsAFrozenProcessRun(t *testing.T) {
	p := sleeper(t)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, p, 'T')
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, p, 'S')
}

func waitForState(t *testing.T, p *Process, want byte) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); ; <-tick.C {
		stat, err := readStat(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		if stat.state == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("state %c, want %c", stat.state, want)
		}
	}
}

func TestParseStatCountsFieldsAfterTheName(t *testing.T) {
	line := "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 11 22 0 0 20 0 1 0 987654 1000 2"
	got, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	if want := (procStat{state: 'S', parent: 7, cpuTicks: 33, startTime: 987654}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, broken := range []string{"", "42 (a", "42 (a) S 1 2", "42 (a) S x 42 42 0 -1 0 1 2 3 4 11 22 0 0 20 0 1 0 9 1"} {
		if _, err := parseStat(broken); err == nil {
			t.Errorf("%q was parsed", broken)
		}
	}
}
