package controller

import (
	"net/netip"
)

// podSets follows the pods of one EgressIP through two sets. A pod is translated first; when the hosting chassis
// have installed that, it is rerouted. It leaves in the other order. Chassis do not install a transaction at the
// same time: without the order, some would send what others do not translate yet.
type podSets struct {
	translatedIn map[netip.Addr]int64 // pod -> configuration number with which it became translated
	leftIn       map[netip.Addr]int64 // pod -> configuration number with which it was no longer rerouted
}

// confirmations are configuration numbers that chassis have installed.
type confirmations struct {
	hosts int64 // the least of the chassis that host
	all   int64 // the least of all live chassis
}

// next gives the sets that are to be written, from the pods that are selected and what is written now. since is
// the configuration number for pods whose history is unknown: that of the take-over of this writer.
func (s *podSets) next(selected, translated, rerouted []netip.Addr, done confirmations, since int64) (t, r []netip.Addr, waiting bool) {
	isSelected, isTranslated, isRerouted := setOf(selected), setOf(translated), setOf(rerouted)
	for _, p := range selected {
		t = append(t, p)
		entered, known := s.translatedIn[p]
		if !known {
			entered = since
		}
		switch {
		case isRerouted[p] && isTranslated[p], isTranslated[p] && entered <= done.hosts:
			r = append(r, p)
		default:
			waiting = true
		}
	}
	for _, p := range translated {
		if isSelected[p] {
			continue
		}
		left, known := s.leftIn[p]
		if isRerouted[p] || known && left > done.all {
			t = append(t, p)
			waiting = true
		}
	}
	return t, r, waiting
}

// written remembers that the sets became part of the database with the configuration number.
func (s *podSets) written(config int64, before, after, reroutedBefore, reroutedAfter []netip.Addr) {
	wasTranslated, isTranslated := setOf(before), setOf(after)
	wasRerouted, isRerouted := setOf(reroutedBefore), setOf(reroutedAfter)
	translatedIn, leftIn := map[netip.Addr]int64{}, map[netip.Addr]int64{}
	for p := range isTranslated {
		switch in, known := s.translatedIn[p]; {
		case !wasTranslated[p]:
			translatedIn[p] = config
		case known && !isRerouted[p]:
			translatedIn[p] = in
		}
		switch left, known := s.leftIn[p]; {
		case wasRerouted[p] && !isRerouted[p]:
			leftIn[p] = config
		case known && !isRerouted[p]:
			leftIn[p] = left
		}
	}
	s.translatedIn, s.leftIn = translatedIn, leftIn
}

func setOf(addresses []netip.Addr) map[netip.Addr]bool {
	result := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		result[a] = true
	}
	return result
}
