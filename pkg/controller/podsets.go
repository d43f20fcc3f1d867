package controller

import (
	"net/netip"
	"time"
)

// podSets follows the pods of one EgressIP through two sets. A pod is translated first; when the hosting chassis
// have installed that, it is rerouted. It leaves in the other order. Chassis do not install a transaction at the
// same time: without the order, some would send what others do not translate yet.
type podSets struct {
	translatedIn map[netip.Addr]int64     // pod -> configuration number with which it became translated
	left         map[netip.Addr]departure // pod -> when it was no longer rerouted
}

// confirmations are configuration numbers that chassis have installed.
type confirmations struct {
	hosts int64 // the least of the chassis that host
	all   int64 // the least of all live chassis
}

// next gives the sets that are to be written, from the pods that are selected and what is written now. since is
// the configuration number for pods whose history is unknown: that of the take-over of this writer. A pod for which
// elsewhere is true is still translated by another EgressIP and has to leave there first: a gateway router that
// hosts both could take either address. waiting says that the sets are not yet what the selection asks for.
func (s *podSets) next(selected, translated, rerouted []netip.Addr, done confirmations, since int64, now time.Time,
	elsewhere func(netip.Addr) bool) (t, r []netip.Addr, waiting bool) {
	isSelected, isTranslated, isRerouted := setOf(selected), setOf(translated), setOf(rerouted)
	for _, p := range selected {
		if !isTranslated[p] && elsewhere(p) {
			waiting = true
			continue
		}
		t = append(t, p)
		entered, known := s.translatedIn[p]
		if !known {
			entered = since
		}
		if isTranslated[p] && (isRerouted[p] || entered <= done.hosts) {
			r = append(r, p)
		} else {
			waiting = true
		}
	}
	for _, p := range translated {
		if isSelected[p] {
			continue
		}
		d, known := s.left[p]
		if isRerouted[p] || known && d.config > done.all && now.Before(d.since.Add(overlapAtMost)) {
			t = append(t, p)
			waiting = true
		}
	}
	return t, r, waiting
}

// written remembers that the sets became part of the database with the configuration number.
func (s *podSets) written(config int64, now time.Time, before, after, reroutedBefore, reroutedAfter []netip.Addr) {
	wasTranslated, wasRerouted, isRerouted := setOf(before), setOf(reroutedBefore), setOf(reroutedAfter)
	translatedIn, left := map[netip.Addr]int64{}, map[netip.Addr]departure{}
	for _, p := range after {
		if isRerouted[p] {
			continue
		}
		if in, known := s.translatedIn[p]; !wasTranslated[p] {
			translatedIn[p] = config
		} else if known {
			translatedIn[p] = in
		}
		if d, known := s.left[p]; wasRerouted[p] {
			left[p] = departure{config: config, since: now}
		} else if known {
			left[p] = d
		}
	}
	s.translatedIn, s.left = translatedIn, left
}

func setOf(addresses []netip.Addr) map[netip.Addr]bool {
	result := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		result[a] = true
	}
	return result
}
