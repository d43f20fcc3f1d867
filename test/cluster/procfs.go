package cluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// procStat is the part of /proc/PID/stat that identifies a process and says what it costs; see proc_pid_stat(5).
type procStat struct {
	state     byte
	parent    int
	cpuTicks  uint64 // user and system time, in clock ticks
	startTime uint64 // clock ticks since boot
}

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(raw))
}

// parseStat reads a line of /proc/PID/stat. The second field, the command's name in parentheses, may itself
// contain spaces and parentheses: fields are counted from the last one that closes.
func parseStat(line string) (procStat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("no command name in stat line %q", line)
	}
	const first = 3 // the number of the first field after the name
	fields := strings.Fields(line[end+1:])
	if len(fields) <= 22-first {
		return procStat{}, fmt.Errorf("stat line %q has too few fields", line)
	}
	var numbers [4]uint64
	for i, field := range []int{4, 14, 15, 22} {
		n, err := strconv.ParseUint(fields[field-first], 10, 64)
		if err != nil {
			return procStat{}, fmt.Errorf("field %d of stat line %q: %w", field, line, err)
		}
		numbers[i] = n
	}
	return procStat{
		state: fields[0][0], parent: int(numbers[0]), cpuTicks: numbers[1] + numbers[2], startTime: numbers[3],
	}, nil
}

// markedProcesses returns the pids of the processes that carry the cluster's mark in their environment, without
// the caller and its ancestors.
func markedProcesses(name string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	spared := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !spared[pid]; {
		spared[pid] = true
		stat, err := readStat(pid)
		if err != nil {
			break // the ancestor has ended; what is above it is init
		}
		pid = stat.parent
	}
	mark := []byte(environmentMark + "=" + name)
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || spared[pid] {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // ended meanwhile
		}
		for _, variable := range bytes.Split(environ, []byte{0}) {
			if bytes.Equal(variable, mark) {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}
