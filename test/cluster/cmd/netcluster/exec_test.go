package main

import (
	"slices"
	"testing"
)

func TestLeadingFlagsAreOursAndTheRestIsTheTools(t *testing.T) {
	var name, zone string
	flags := map[string]*string{"--name": &name, "--zone": &zone}
	rest, err := leadingFlags([]string{"--name", "c", "--zone=z", "--wait=hv", "set", "--zone", "x"}, flags)
	if err != nil {
		t.Fatal(err)
	}
	if name != "c" || zone != "z" {
		t.Errorf("name %q, zone %q", name, zone)
	}
	if want := []string{"--wait=hv", "set", "--zone", "x"}; !slices.Equal(rest, want) {
		t.Errorf("rest %q, want %q", rest, want)
	}
	if _, err := leadingFlags([]string{"--name"}, flags); err == nil {
		t.Error("a flag without a value was accepted")
	}
}
