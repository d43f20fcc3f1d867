package vswitch

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Keys in external_ids of the integration bridge, written by ovn-controller.
const (
	keyConfig     = "ovn-nb-cfg"     // NB_Global.nb_cfg that is installed
	keyConfigTime = "ovn-nb-cfg-ts"  // when the number was written, in milliseconds since the epoch
	keyStartTime  = "ovn-startup-ts" // when ovn-controller started, in milliseconds since the epoch
)

// Chassis is what ovn-controller reports about itself.
type Chassis struct {
	// Config is the northbound configuration number (NB_Global.nb_cfg) that is installed; 0 if none is reported.
	Config int64
	// Recorded is when Config was written; zero if that is not reported.
	Recorded time.Time
	// Started is when ovn-controller started; zero if that is not reported (releases before 22.12).
	Started time.Time
}

// Stale reports whether Config was written by an earlier run of ovn-controller. The database outlives a reboot, the
// flows do not; and a number that is right again is not written again, so a stale number may be true.
func (c Chassis) Stale() bool {
	return !c.Recorded.IsZero() && c.Recorded.Before(c.Started)
}

// readChassis reads the external_ids of the integration bridge. What is missing stays zero; what cannot be read does
// too, and is named in the error.
func readChassis(ids map[string]string) (Chassis, error) {
	config, errConfig := number(ids, keyConfig)
	recorded, errRecorded := number(ids, keyConfigTime)
	started, errStarted := number(ids, keyStartTime)
	return Chassis{Config: config, Recorded: fromMillis(recorded), Started: fromMillis(started)},
		errors.Join(errConfig, errRecorded, errStarted)
}

func number(ids map[string]string, key string) (int64, error) {
	text, ok := ids[key]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("external_ids:%s: %w", key, err)
	}
	return n, nil
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
